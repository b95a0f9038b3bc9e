"""A drawing as plain values, JSON-ready: what is drawn, what it means, and where. docs/diagrams.md says the shape."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from schema.diagram.figures import DELAYS
from schema.diagram.layout import Box, placed
from schema.diagram.model import Drawing, Window
from schema.kpi.catalog import CATALOG

DEFINITIONS: Final = {
    "count": "In a state: how often leads came into it. On a move: how often it happened. At a touchpoint, a step, a "
    "campaign or a message: how often that was.",
    "share": CATALOG["conversion_snapshot"].definition,
    "p50_s": "In a state: " + CATALOG["time_in_state"].definition + " On a move: " + CATALOG["time_to_move"].definition,
    "p90_s": "The same for nine in ten. Null where so many have not got there yet.",
    "heat": f"By the half of a state's leads: 0 {DELAYS[0]}, 0.25 {DELAYS[1]}, 0.5 {DELAYS[2]}, 0.75 {DELAYS[3]}, 1 "
    f"{DELAYS[4]}; null at ends and where customers stay.",
    "width": "The count by that of the arrow that most leads take.",
    "open": "Of the count, those who are still there.",
    "lost": CATALOG["drop_off"].definition,
    "bottleneck": "The rank among the places where leads wait, the worst first.",
    "gain": "What it would bring if nobody waited there.",
    "unknown": "It happened and is not in the journey.",
    "never": "It is in the journey and did not happen in this time.",
    "parts": "The counts of the notes, one by one.",
    "measured": "KPIs that the journey has targets for, in the same window.",
    "was": "The same figures before, of the leads that followed the other version.",
}
"""What each of the `marks` means."""


def facts(drawing: Drawing) -> dict[str, Any]:
    """Nodes, edges and groups with their places; `x` and `y` are left upper corners, in pixels."""
    picture = placed(drawing)
    nodes = [asdict(each.node) | {"box": _box(each.box)} for each in picture.nodes]
    edges = [
        asdict(each.edge) | {"points": each.points, "rest": each.rest, "label_box": _box(each.label)}
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
        "window": None if drawing.window is None else _window(drawing.window),
        "definitions": {} if drawing.window is None else DEFINITIONS,
        "departments": drawing.departments,
        "grouping": drawing.grouping or None,
        "width": picture.width,
        "height": picture.height,
        "groups": groups,
        "nodes": nodes,
        "edges": edges,
    }


def _window(window: Window) -> dict[str, Any]:
    as_of = None if window.as_of is None else window.as_of.isoformat()
    return asdict(window) | {"since": str(window.since), "until": str(window.until), "as_of": as_of}


def _box(box: Box | None) -> dict[str, float] | None:
    return None if box is None else asdict(box)
