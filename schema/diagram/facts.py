"""A drawing as plain values, JSON-ready: what is drawn, what it means, and where. docs/diagrams.md says the shape."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from schema.diagram.layout import Box, placed
from schema.diagram.model import Drawing, Marks


def facts(drawing: Drawing) -> dict[str, Any]:
    """Nodes, edges and groups with their places; `x` and `y` are left upper corners, in pixels."""
    picture = placed(drawing)
    nodes = [asdict(each.node) | {"marks": _marks(each.node.marks), "box": _box(each.box)} for each in picture.nodes]
    edges = [
        asdict(each.edge) | {"marks": _marks(each.edge.marks), "points": each.points, "label_box": _box(each.label)}
        for each in picture.edges
    ]
    groups = [asdict(each.group) | {"box": _box(each.box)} for each in picture.groups]
    return {
        "diagram": drawing.kind,
        "journey": drawing.journey,
        "version": drawing.version,
        "title": drawing.title,
        "subtitle": drawing.subtitle,
        "description": drawing.description,
        "compared": drawing.compared,
        "departments": drawing.departments,
        "grouping": drawing.grouping or None,
        "width": picture.width,
        "height": picture.height,
        "groups": groups,
        "nodes": nodes,
        "edges": edges,
    }


def _marks(marks: Marks | None) -> dict[str, Any] | None:
    return None if marks is None else asdict(marks)


def _box(box: Box | None) -> dict[str, float] | None:
    return None if box is None else asdict(box)
