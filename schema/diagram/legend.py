"""What the colours, lines and shapes of a drawing mean: only those that are in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from schema.diagram.model import Drawing, titled
from schema.diagram.style import DEPARTMENTS

Sort = Literal["arrow", "bar", "box", "dot", "ring", "diamond", "added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A sample of something, drawn with the same classes as the thing itself, and what it means."""

    sort: Sort
    classes: str
    text: str


def legend(drawing: Drawing) -> list[Entry]:
    """All entries of a drawing."""
    return [*_departments(drawing), *_boxes(drawing), *_arrows(drawing), *_changes(drawing), *_marks(drawing)]


def _departments(drawing: Drawing) -> Iterator[Entry]:
    for number, name in enumerate(drawing.departments):
        yield Entry("bar", f"d{number % DEPARTMENTS}", titled(name))


def _boxes(drawing: Drawing) -> Iterator[Entry]:
    shapes = {node.shape for node in drawing.nodes}
    outcomes = set() if drawing.compared else {node.outcome for node in drawing.nodes}
    kinds: list[tuple[bool, Entry]] = [
        ("start" in shapes, Entry("dot", "", "a new lead")),
        ("decision" in shapes, Entry("diamond", "decision", "decision")),
        ("touchpoint" in shapes, Entry("box", "touchpoint", "touchpoint with the customer")),
        ("campaign" in shapes, Entry("box", "campaign", "campaign")),
        ("won" in outcomes, Entry("box", "won", "counts as won")),
        ("lost" in outcomes, Entry("box", "lost", "counts as lost")),
        (any(node.final for node in drawing.nodes), Entry("ring", "", "final")),
    ]
    yield from (entry for there, entry in kinds if there)


def _arrows(drawing: Drawing) -> Iterator[Entry]:
    if any(edge.line == "move" and not edge.hands_over for edge in drawing.edges):
        yield Entry("arrow", "edge move", "transition")
    if any(edge.hands_over for edge in drawing.edges):
        yield Entry("arrow", "edge over", "hand-over to another department")
    if any(edge.line == "message" for edge in drawing.edges):
        yield Entry("arrow", "edge message", "from or to the customer")


def _changes(drawing: Drawing) -> Iterator[Entry]:
    if not drawing.compared:
        return
    yield Entry("added", "added", "added")
    yield Entry("removed", "removed", "removed")
    yield Entry("changed", "changed", "changed")
    yield Entry("box", "", "the same in both")


def _marks(drawing: Drawing) -> Iterator[Entry]:
    marks = [part.marks for part in drawing.parts if part.marks is not None]
    if any(mark.unknown for mark in marks):
        yield Entry("arrow", "edge unknown", "happened, not in the journey")
    if any(mark.never for mark in marks):
        yield Entry("arrow", "edge never", "never happens")
