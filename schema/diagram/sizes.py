"""What is written in each box and on each arrow, line by line, and how large that makes it. Units are CSS pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from schema.diagram.model import Edge, Marks, Node
from schema.diagram.text import width as text_width
from schema.diagram.text import wrapped

Style = Literal["label", "note", "kpi", "figures", "way", "aside"]

SIZE: Final[dict[Style, float]] = {"label": 14, "note": 11.5, "kpi": 11, "figures": 11.5, "way": 12, "aside": 10.5}
"""How large each style of text is."""
HEIGHT: Final[dict[Style, float]] = {"label": 18, "note": 15, "kpi": 15, "figures": 16, "way": 15, "aside": 13}
"""How much of the page a line of it takes."""
BOLD: Final = frozenset({"label", "figures"})
SIGN: Final = 17.0
"""Room for the sign of a change beside a label."""
PORT: Final = 14.0
"""Least distance between two arrows on one side of a box."""
_ROOM: Final = 168.0
_WAY_ROOM: Final = 128.0
_PAD: Final = 14.0
_START: Final = 16.0
_LEAST_WIDTH: Final = 84.0
_LEAST_HEIGHT: Final = 38.0
_DAY_S: Final = 86_400
_HOUR_S: Final = 3_600
_MINUTE_S: Final = 60
_MANY: Final = 10_000
_MILLION: Final = 1_000_000


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
        *(line for note in node.notes for line in _lines(note, "note", _ROOM)),
        *(line for line in _lines(_measured(node.kpis), "kpi", _ROOM, most=4)),
        *(line for figure in figures(node.marks) for line in _lines(figure, "figures", _ROOM)),
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
    lines = [
        *_lines(edge.label, "way", _WAY_ROOM, most=2),
        *_lines(edge.note, "aside", _WAY_ROOM, most=2),
        *_lines(_measured(edge.kpis), "aside", _WAY_ROOM, most=2),
        *(line for figure in figures(edge.marks) for line in _lines(figure, "figures", _WAY_ROOM)),
    ]
    if not lines:
        return Sized((), 2, 0)
    width, height = _room(lines)
    return Sized(tuple(lines), width + 8 + (2 * SIGN if edge.change else 0), height + 4)


def figures(marks: Marks | None) -> tuple[str, ...]:
    """What really happened, in short lines: how many (`1,204 · 41%`), how long (`2 d · 90% in 9 d`), what is odd."""
    if marks is None:
        return ()
    many = [] if marks.count is None else [_counted(marks.count)]
    many += [] if marks.share is None else [f"{marks.share:.0%}"]
    long = [] if marks.p50_s is None else [_lasting(marks.p50_s)]
    long += [] if marks.p90_s is None else [f"90% in {_lasting(marks.p90_s)}"]
    odd = "not in the journey" if marks.unknown else "never happens" if marks.never else ""
    return tuple(line for line in (" · ".join(many), " · ".join(long), odd) if line)


def _counted(number: int) -> str:
    if number >= _MILLION:
        return f"{number / _MILLION:.1f}M"
    return f"{number:,}" if number < _MANY else f"{number / 1000:,.0f}k"


def _lasting(seconds: float) -> str:
    for size, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds:.0f} s"


def _measured(kpis: tuple[str, ...]) -> str:
    return f"KPI: {', '.join(kpis)}" if kpis else ""


def _lines(text: str, style: Style, room: float, most: int = 3) -> list[Written]:
    if not text.strip():
        return []
    return [Written(line, style) for line in wrapped(text, SIZE[style], room, most=most, bold=style in BOLD)]


def _room(lines: list[Written]) -> tuple[float, float]:
    return max((line.width for line in lines), default=0.0), sum(HEIGHT[line.style] for line in lines)
