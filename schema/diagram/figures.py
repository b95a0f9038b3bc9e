"""What really happened, in the words and numbers that are written in boxes and on arrows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple, TypeVar

from schema.diagram.model import Marks, Measured

Style = Literal[
    "label", "note", "kpi", "figures", "way", "aside", "touch", "times", "alarm", "met", "missed", "few", "odd", "badge"
]
"""How a line of text looks and what it is about."""
_T = TypeVar("_T", int, float)
_NONE: Final = "–"  # noqa: RUF001 - a dash where there is no figure
DELAYS: Final = ("under an hour", "under a day", "under a week", "under 30 days", "longer")
"""The steps of delay, by the time after which half of all leads have left a state."""
DELAY_LIMITS_S: Final = (3_600, 86_400, 7 * 86_400, 30 * 86_400)
"""Where each step but the last ends, in seconds."""
_IN_A_BOX: Final = (
    "In a box: how often leads came into the state in this time; by when half of those had left it, and 90%, where"
    " those still there count as waiting; and how many have gone to an end without a sale since (drop-off)."
)
_ON_AN_ARROW: Final = (
    "On an arrow: how many went this way in this time, their share of all that left the state in this time, and how"
    " long half of them, and 90%, had been in it."
)
READING: Final = (_IN_A_BOX, _ON_AN_ARROW)
"""How the figures are to be read."""
_DAY_S: Final = 86_400
_HOUR_S: Final = 3_600
_MINUTE_S: Final = 60
_MANY: Final = 100_000
_MILLION: Final = 1_000_000
_EXACT: Final = 10
_SIGNS: Final = {True: "✓ ", False: "✕ ", None: ""}
_STYLES: Final[dict[bool | None, Style]] = {True: "met", False: "missed", None: "few"}


class Told(NamedTuple):
    """One thing that is told, in parts between which a line may break; `joint` stands between them otherwise."""

    parts: tuple[str, ...]
    style: Style
    joint: str = " · "

    @property
    def text(self) -> str:
        return self.joint.join(self.parts)


def told(marks: Marks | None, *, arrow: bool = False) -> list[Told]:
    """
    What is written in a box, or shorter on an arrow: how many (`1,204 · 41%`), how long (`half in 2 d · 90% in 9 d`).

    Then who is lost, KPIs, and what is odd. With what was before: `1,204 → 1,310`.
    """
    if marks is None:
        return []
    lines: list[Told] = []
    if marks.bottleneck is not None:
        lines.append(Told((f"▲ Bottleneck {marks.bottleneck}",), "alarm"))
        lines += [Told((marks.gain,), "times")] if marks.gain else []
    lines += _counts(marks, arrow=arrow)
    lines += [_of_kpi(each, marks.was) for each in marks.measured]
    if marks.unknown:
        lines.append(Told(("not in the journey",), "odd"))
    if marks.never:
        lines.append(Told(("did not happen" if arrow else "nobody came here",), "odd"))
    return lines


def figures(marks: Marks | None, *, arrow: bool = False) -> tuple[str, ...]:
    """The same without how it looks."""
    return tuple(each.text for each in told(marks, arrow=arrow))


def counted(number: int) -> str:
    """How many: `1,204`, `134k`, `1.3M`."""
    if number >= _MILLION:
        return f"{number / _MILLION:.1f}M"
    return f"{number:,}" if number < _MANY else f"{number / 1000:,.0f}k"


def lasting(seconds: float) -> str:
    """How long: `2.2 d`, `14 d`, `35 min`."""
    for size, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= size:
            many = seconds / size
            return f"{many:.1f}".removesuffix(".0") + f" {unit}" if many < _EXACT else f"{many:.0f} {unit}"
    return f"{seconds:.0f} s"


def shared(share: float) -> str:
    """A part of all: `41%`, `0.4%`, and never 0 or all where it is not quite."""
    if 0 < share < 0.01:  # noqa: PLR2004 - one per cent
        return f"{share:.1%}" if share >= 0.001 else "<0.1%"  # noqa: PLR2004 - likewise
    return "99.9%" if 0.995 <= share < 1 else f"{share:.0%}"  # noqa: PLR2004 - what would be told as all


def _counts(marks: Marks, *, arrow: bool) -> Iterator[Told]:
    was = marks.was
    compare = was is not None
    many = _both(was.count if was else None, marks.count, counted, compare=compare)
    part = _both(was.share if was else None, marks.share, shared, compare=compare)
    if (many or part) and not (marks.never and not compare):
        yield Told(tuple(each for each in (many, part) if each), "figures")
    half = _both(was.p50_s if was else None, marks.p50_s, lasting, compare=compare)
    most = _both(was.p90_s if was else None, marks.p90_s, lasting, compare=compare)
    half = half if arrow and not compare else half and f"half in {half}"
    if half or most:
        yield Told(tuple(text for text in (half, most and f"90% in {most}") if text), "times")
    elif marks.open:
        yield Told((f"{counted(marks.open)} still there",), "times")
    gone = _both(_lost(was), _lost(marks), shared, compare=compare)
    if gone and (marks.lost or (was and was.lost)):
        yield Told((f"drop-off {gone}" + ("" if was else f" ({counted(marks.lost or 0)})"),), "times")


def _lost(marks: Marks | None) -> float | None:
    return marks.lost / marks.count if marks is not None and marks.count and marks.lost is not None else None


def _both(before: _T | None, after: _T | None, said: Callable[[_T], str], *, compare: bool) -> str:
    """One figure, or that of before and that of after; nothing where there is neither."""
    if before is None and after is None:
        return ""
    now = _NONE if after is None else said(after)
    return f"{_NONE if before is None else said(before)} → {now}" if compare else now


def _of_kpi(kpi: Measured, was: Marks | None) -> Told:
    before = next((each.value for each in was.measured if each.label == kpi.label), _NONE) if was else ""
    value = f"{before} → {kpi.value}" if before else kpi.value
    target = (f"(target {kpi.target})",) if kpi.target else ()
    return Told((f"{_SIGNS[kpi.met]}{kpi.label} {value}", *target), _STYLES[kpi.met], " ")
