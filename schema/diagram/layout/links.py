"""
Arrows that would run across many lanes: drawn level where nothing is in the way, else as a short piece at each end.

Both ends stand in one row, and each says in words what is at the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from schema.diagram.layout.box import Box, PlacedEdge, Point
from schema.diagram.model import Edge

_STUB: Final = 14.0
_CORNER: Final = 8.0
_NEAR: Final = 5.0


def linked(
    edges: Sequence[Edge], boxes: Mapping[str, Box], labels: Iterable[Box], drawn: Iterable[PlacedEdge]
) -> list[PlacedEdge]:
    """Find places for `edges` beside `boxes`, where `labels` and arrows `drawn` before are in the way."""
    things = [*boxes.values(), *labels]
    pieces = [piece for each in drawn for piece in pairwise(each.points)]
    slots = _slots(edges, boxes)
    found = []
    for at, edge in enumerate(edges):
        source, target = boxes[edge.source], boxes[edge.target]
        right = 1 if source.middle[0] < target.middle[0] else -1
        start = source.right if right > 0 else source.x
        end = target.x if right > 0 else target.right
        leaves, reaches = slots[at]
        level = next(
            (
                y
                for y in (reaches, leaves)
                if _beside(y, source)
                and _beside(y, target)
                and not _taken(y, at, edge, edges, slots)
                and _free(((start, y), (end, y)), things, pieces)
            ),
            None,
        )
        if level is not None:
            line = ((start, level), (end, level))
            pieces.append(line)
            found.append(PlacedEdge(edge, line, None, ()))
            continue
        first = ((start, leaves), (round(start + right * _STUB, 1), leaves))
        rest = ((round(end - right * _STUB, 1), reaches), (end, reaches))
        pieces += [first, rest]
        found.append(PlacedEdge(edge, first, None, (), rest))
    return found


def _slots(edges: Sequence[Edge], boxes: Mapping[str, Box]) -> list[tuple[float, float]]:
    """How far down each arrow leaves its source and reaches its target; all that touch a box are spread over it."""
    touching: dict[str, list[tuple[int, int]]] = {}
    for at, edge in enumerate(edges):
        touching.setdefault(edge.source, []).append((at, 0))
        touching.setdefault(edge.target, []).append((at, 1))
    places: dict[tuple[int, int], float] = {}
    for key, ends in touching.items():
        box = boxes[key]
        for number, end in enumerate(ends, 1):
            places[end] = round(box.y + box.height * number / (len(ends) + 1), 1)
    return [(places[at, 0], places[at, 1]) for at in range(len(edges))]


def _taken(y: float, at: int, edge: Edge, edges: Sequence[Edge], slots: Sequence[tuple[float, float]]) -> bool:
    """Whether another arrow touches one of the two boxes so near that both would be one line."""
    ends = {edge.source, edge.target}
    return any(
        (other.source in ends and abs(leaves - y) < _NEAR) or (other.target in ends and abs(reaches - y) < _NEAR)
        for number, (other, (leaves, reaches)) in enumerate(zip(edges, slots, strict=True))
        if number != at
    )


def _beside(y: float, box: Box) -> bool:
    return box.y + _CORNER <= y <= box.bottom - _CORNER


def _free(line: tuple[Point, Point], things: Sequence[Box], pieces: Sequence[tuple[Point, Point]]) -> bool:
    """Whether nothing is in the way of a level line between two boxes."""
    (x0, y), (x1, _) = sorted(line)
    if any(box.x < x1 - 1 and box.right > x0 + 1 and box.y - _NEAR < y < box.bottom + _NEAR for box in things):
        return False
    return not any(
        min(a[0], b[0]) < x1 + 1 and max(a[0], b[0]) > x0 - 1 and min(a[1], b[1]) - _NEAR < y < max(a[1], b[1]) + _NEAR
        for a, b in pieces
    )
