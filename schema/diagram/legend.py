"""What the colours, lines and shapes of a drawing mean: only those that are in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from schema.diagram.figures import DELAYS, READING, counted
from schema.diagram.model import Drawing, titled
from schema.diagram.style import DEPARTMENTS, WIDEST
from schema.diagram.text import wrapped

Sort = Literal["arrow", "bar", "box", "dot", "ring", "diamond", "gauge", "words", "added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A sample of something, drawn with the same classes as the thing itself, and what it means."""

    sort: Sort
    classes: str
    text: str


def legend(drawing: Drawing, room: float) -> list[Entry]:
    """All entries of a drawing; sentences in lines of `room` pixels."""
    return [
        *_words(drawing, room),
        *_departments(drawing),
        *_boxes(drawing),
        *_arrows(drawing),
        *_changes(drawing),
        *_marks(drawing),
    ]


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


def _words(drawing: Drawing, room: float) -> Iterator[Entry]:
    """How the figures are to be read, where there are any."""
    if drawing.window is not None:
        for sentence in READING:
            yield from (Entry("words", "", line) for line in wrapped(sentence, 11.5, room, most=4))


def _marks(drawing: Drawing) -> Iterator[Entry]:
    marks = [part.marks for part in drawing.parts if part.marks is not None]
    widest = drawing.window.widest if drawing.window is not None else 0
    if widest:
        yield Entry("arrow", f"edge w{WIDEST}", f"{counted(widest)} {'lead' if widest == 1 else 'leads'}")
        if widest > WIDEST:
            half = round(WIDEST / 2)
            yield Entry("arrow", f"edge w{half}", f"{counted(round(widest * half / WIDEST))}, in proportion")
            yield Entry("arrow", "edge w1", f"{counted(round(widest * 1.5 / WIDEST))} or fewer")
    if any(mark.heat is not None for mark in marks):
        for step, text in enumerate(DELAYS):
            yield Entry("gauge", f"h{step}", f"half in {text}" if step == 0 else text)
    if any(mark.bottleneck is not None for mark in marks):
        yield Entry("box", "bottleneck", "bottleneck")
    if any(mark.unknown for mark in marks):
        yield Entry("arrow", "edge unknown", "happened, not in the journey")
    if any(mark.never for mark in marks):
        yield Entry("arrow", "edge never", "did not happen")
