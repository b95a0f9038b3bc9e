"""Boxes and lines with their places: what the layout answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schema.diagram.model import Drawing, Edge, Group, Node
from schema.diagram.sizes import Sized, Written

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: its left upper corner and its size, in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> Point:
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class PlacedNode:
    node: Node
    box: Box
    lines: tuple[Written, ...]


@dataclass(frozen=True, slots=True)
class PlacedEdge:
    """
    `points` from the source to the target, each level with or straight above or below the next one.

    An arrow with a `rest` is interrupted: `points` leave the source, the `rest` reaches the target.
    """

    edge: Edge
    points: tuple[Point, ...]
    label: Box | None
    lines: tuple[Written, ...]
    rest: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True)
class PlacedGroup:
    """A lane or band; its name stands in `head`, and below it the `notes`."""

    group: Group
    box: Box
    head: Box
    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """The whole picture without title and legend; everything is within `width` and `height`."""

    drawing: Drawing
    width: float
    height: float
    nodes: tuple[PlacedNode, ...]
    edges: tuple[PlacedEdge, ...]
    groups: tuple[PlacedGroup, ...]


def rounded(x: float, y: float, size: Sized) -> Box:
    return Box(round(x, 1), round(y, 1), round(size.width, 1), round(size.height, 1))


def tidy(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points rounded, without those in the middle of a straight line."""
    kept: list[Point] = []
    for x, y in points:
        point = (round(x, 1), round(y, 1))
        if kept and kept[-1] == point:
            continue
        if len(kept) > 1 and (kept[-2][0] == kept[-1][0] == point[0] or kept[-2][1] == kept[-1][1] == point[1]):
            kept.pop()
        kept.append(point)
    return tuple(kept)
