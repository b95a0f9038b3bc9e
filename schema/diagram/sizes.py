"""What is written in each box and on each arrow, line by line, and how large that makes it. Units are CSS pixels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from schema.diagram.figures import Style, counted, told
from schema.diagram.model import Edge, Marks, Node
from schema.diagram.text import width as text_width
from schema.diagram.text import wrapped

SIZE: Final[dict[Style, float]] = {
    "label": 14, "note": 11.5, "kpi": 11, "figures": 11.5, "way": 12, "aside": 10.5, "touch": 11, "times": 11,
    "alarm": 11.5, "met": 11, "missed": 11, "few": 11, "odd": 11, "badge": 11,
}  # fmt: skip
"""How large each style of text is."""
HEIGHT: Final[dict[Style, float]] = {
    "label": 18, "note": 15, "kpi": 15, "figures": 16, "way": 15, "aside": 13, "touch": 15, "times": 14,
    "alarm": 18, "met": 15, "missed": 15, "few": 15, "odd": 15, "badge": 15,
}  # fmt: skip
"""How much of the page a line of it takes."""
BOLD: Final = frozenset({"label", "figures", "alarm", "missed", "badge"})
_OUTCOMES: Final = {"won": "✓ won", "lost": "✕ lost"}
SIGN: Final = 17.0
"""Room for the sign of a change beside a label."""
PORT: Final = 14.0
"""Least distance between two arrows on one side of a box."""
_ROOM: Final = 168.0
_WAY_ROOM: Final = 128.0
_FIGURES_ROOM: Final = 112.0
_BOTH_ROOM: Final = 150.0
_PAD: Final = 14.0
_START: Final = 16.0
_LEAST_WIDTH: Final = 84.0
_LEAST_HEIGHT: Final = 38.0


@dataclass(frozen=True, slots=True)
class Written:
    """One line of text in its style."""

    text: str
    style: Style

    @property
    def width(self) -> float:
        return text_width(self.text, SIZE[self.style], bold=self.style in BOLD)


@dataclass(frozen=True, slots=True)
class Sized:
    """The lines of a box or label, and the room it takes."""

    lines: tuple[Written, ...]
    width: float
    height: float


def of_node(node: Node, arrows: int) -> Sized:
    """A box with its text; wide enough for `arrows` on one of its sides."""
    if node.shape == "start":
        return Sized((), _START, _START)
    lines = [
        *_lines(node.label, "label", _ROOM),
        *_lines(_OUTCOMES.get(node.outcome, ""), "badge", _ROOM),
        *(line for note in notes(node) for line in _lines(note, "note", _ROOM)),
        *(line for link in node.links for line in _lines(link, "touch", _ROOM)),
        *_lines(_measured(_not_measured(node)), "kpi", _ROOM, most=4),
        *_figures(node.marks, _ROOM),
    ]
    width, height = _room(lines)
    least = max(_LEAST_WIDTH, (arrows + 1) * PORT)
    if node.shape == "decision":
        # A rectangle of text fits into a diamond where its share of the width and of the height make one.
        wide = max(width * 1.6 + _PAD, least * 1.3)
        return Sized(tuple(lines), wide, max(height / (1 - width / wide) + 2, _LEAST_HEIGHT))
    return Sized(tuple(lines), max(width + 2 * _PAD + 4, least), max(height + _PAD + 4, _LEAST_HEIGHT))


def of_edge(edge: Edge) -> Sized:
    """The label of an arrow; without any text it takes no room."""
    room = _BOTH_ROOM if edge.marks is not None and edge.marks.was is not None else _FIGURES_ROOM
    lines = [
        *_lines(edge.label, "way", _WAY_ROOM, most=2),
        *_lines(edge.note, "aside", _WAY_ROOM, most=2),
        *_lines(_measured(_not_measured(edge)), "aside", _WAY_ROOM, most=2),
        *_figures(edge.marks, room, arrow=True),
    ]
    if not lines:
        return Sized((), 2, 0)
    width, height = _room(lines)
    return Sized(tuple(lines), width + 8 + (2 * SIGN if edge.change else 0), height + 4)


def notes(node: Node) -> tuple[str, ...]:
    """The notes of a box, each with its count where there is one."""
    counts = node.marks.parts if node.marks is not None else ()
    return tuple(
        note if count is None else f"{note} · {counted(count)}"
        for note, count in zip_longest(node.notes, counts[: len(node.notes)])
    )


def _not_measured(part: Node | Edge) -> tuple[str, ...]:
    """The KPIs of which there is no figure."""
    marks = part.marks
    known = {each.label for each in marks.measured} if marks is not None else set()
    if isinstance(part, Node) and marks is not None and marks.count is not None:
        known |= {"arrivals", "drop off", "time in state"}
    return tuple(kpi for kpi in part.kpis if kpi not in known)


def _figures(marks: Marks | None, room: float, *, arrow: bool = False) -> list[Written]:
    """Figures, each in one line where that fits, else broken where it reads well."""
    lines = []
    for each in told(marks, arrow=arrow):
        whole = Written(each.text, each.style)
        parts = [each.text] if whole.width <= room else each.parts
        lines += [line for part in parts for line in _lines(part, each.style, room)]
    return lines


def _room(lines: list[Written]) -> tuple[float, float]:
    return max((line.width for line in lines), default=0.0), sum(HEIGHT[line.style] for line in lines)


def _measured(kpis: tuple[str, ...]) -> str:
    return f"KPI: {', '.join(kpis)}" if kpis else ""


def _lines(text: str, style: Style, room: float, most: int = 3) -> list[Written]:
    if not text.strip():
        return []
    return [Written(line, style) for line in wrapped(text, SIZE[style], room, most=most, bold=style in BOLD)]
