"""
Plots as SVG: figures over time, how long states take, and bars. Pure, self-contained, no script.

Drawn here and not by a library: what there is for Python brings tens of megabytes (matplotlib) or a script for the
browser (plotly, altair, bokeh, pygal), and none of it takes the page's own colours by day, by night and on paper.
Colours come from the style sheet; text is text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape, quoteattr

from schema.diagram.text import plain, width, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_WIDE: Final = 400.0
_HIGH: Final = 210.0
_LEFT: Final = 50.0
_RIGHT: Final = 14.0
_TOP: Final = 24.0
_BOTTOM: Final = 28.0
_TEXT: Final = 11.0
_LABELS: Final = 6
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TIMES: Final = ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
_DECADES: Final = (
    (1, "1 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3_600, "1 h"), (6 * 3_600, "6 h"), (86_400, "1 d"),
    (7 * 86_400, "1 w"), (30 * 86_400, "30 d"), (90 * 86_400, "90 d"), (365 * 86_400, "1 y"), (1_825 * 86_400, "5 y"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """
    A value of some days; None where nothing is known. `low` and `high` bound its interval, `upper` is nine in ten.

    `cut`: not all days of the period are in it; `few`: it rests on too few. `told` is what pointing at it says.
    """

    since: date
    until: date
    value: float | None
    low: float | None = None
    high: float | None = None
    upper: float | None = None
    cut: bool = False
    few: bool = False
    told: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places: values are divided by `unit`, whose `name` stands above the axis."""

    low: float
    high: float
    ticks: Sequence[float]
    unit: float
    name: str

    def y(self, value: float) -> float:
        """Where a value stands."""
        inner = _HIGH - _TOP - _BOTTOM
        return _TOP + inner * (1 - (value - self.low) / (self.high - self.low))


def over_time(points: Sequence[Point], unit: str, name: str, spoken: str, *, target: float | None = None) -> str:
    """
    Return how a figure went: a line with gaps where nothing is known, its interval as a band, nine in ten dashed.

    Points of periods that are cut off or rest on few are hollow. `name` is what the axis counts in, `spoken` the plot
    in words.
    """
    scale = _scale(points, unit, name, target)
    first, last = points[0].since, points[-1].until
    days = max((last - first).days, 1)

    def x(point: Point) -> float:
        middle = (point.since - first).days + (point.until - point.since).days / 2
        return _LEFT + (_WIDE - _LEFT - _RIGHT) * middle / days

    body = [*_grid(scale, unit, first, last), *_band(points, x, scale)]
    if target is not None and scale.low <= target <= scale.high:
        y = _n(scale.y(target))
        body.append(f'<path class="target" d="M{_n(_LEFT)} {y}H{_n(_WIDE - _RIGHT)}"/>')
    for run in _runs(points, lambda point: point.upper):
        places = [f"{_n(x(point))} {_n(scale.y(point.upper or 0))}" for point in run]
        body.append(f'<path class="upper" d="M{"L".join(places)}"/>')
    for run in _runs(points, lambda point: point.value):
        body += _line(run, x, scale)
    body += [part for point in points for part in _dot(point, x(point), scale, len(points))]
    return _svg("plot", _WIDE, _HIGH, spoken, body)


def _scale(points: Sequence[Point], unit: str, name: str, target: float | None) -> Scale:
    values = [v for p in points for v in (p.value, p.upper) if v is not None]
    bounds = [v for p in points for v in (p.low, p.high) if v is not None]
    highest, lowest = max([*values, *bounds], default=1.0), min([*values, *bounds, 0.0], default=0.0)
    if target is not None and target <= 2 * highest:
        highest = max(highest, target)
    size = 1.0
    if unit == "seconds":
        size, name = next(((s, n) for s, n in _TIMES if highest >= 2 * s), _TIMES[-1])
    elif unit == "share":
        size = 0.01
        highest = min(highest, 1.0) if highest > 0 else 0.1
    elif unit == "points":
        highest, lowest = min(highest, 100.0), max(lowest, -100.0)
    step = _step((highest - lowest) / size or 1.0, whole=unit == "count")
    low, high = math.floor(lowest / size / step), math.ceil(highest / size / step - 1e-9)
    high = max(high, low + 1)
    ticks = [number * step * size for number in range(low, high + 1)]
    return Scale(ticks[0], ticks[-1], ticks, size, name)


def _step(span: float, *, whole: bool) -> float:
    """A round step that gives some four parts."""
    raw = max(span, 1e-9) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(nice * power for nice in (1, 2, 2.5, 5, 10) if raw <= nice * power * 1.0001)
    return max(float(math.ceil(step)), 1.0) if whole else step


def _grid(scale: Scale, unit: str, first: date, last: date) -> Iterator[str]:
    yield f'<text class="axis" x="2" y="12">{_t(scale.name)}</text>'
    for tick in scale.ticks:
        y = scale.y(tick)
        yield f'<path class="{"zero" if not tick else "grid"}" d="M{_n(_LEFT)} {_n(y)}H{_n(_WIDE - _RIGHT)}"/>'
        shown = _number(tick / scale.unit) + (" %" if unit == "share" else "")
        yield f'<text class="axis" x="{_n(_LEFT - 6)}" y="{_n(y + 3.8)}" text-anchor="end">{shown}</text>'
    days = max((last - first).days, 1)
    for day, label in _dates(first, last):
        x = _LEFT + (_WIDE - _LEFT - _RIGHT) * (day - first).days / days
        yield f'<path class="tick" d="M{_n(x)} {_n(_HIGH - _BOTTOM)}v4"/>'
        anchor = "middle" if x < _WIDE - _RIGHT - 14 else "end"
        yield f'<text class="axis" x="{_n(x)}" y="{_n(_HIGH - _BOTTOM + 17)}" text-anchor="{anchor}">{label}</text>'


def _dates(first: date, last: date) -> Iterator[tuple[date, str]]:
    """Days that are named on the axis: the first of months or years where there are several, else single days."""
    days = (last - first).days
    months = [day for day in (first + timedelta(days=n) for n in range(days)) if day.day == 1]
    if len(months) >= 3:  # noqa: PLR2004 - fewer do not say where one is
        each = next(n for n in (1, 2, 3, 6, 12, 24, 60, 120) if len(months) / n <= _LABELS)
        for at, day in enumerate(day for day in months if (day.month - 1) % min(each, 12) == 0):
            if each > 12 and day.year % (each // 12):  # noqa: PLR2004 - more than a year
                continue
            year = f" {day.year}" if at == 0 or day.month == 1 else ""
            yield day, str(day.year) if each >= 12 else f"{_MONTHS[day.month - 1]}{year}"  # noqa: PLR2004 - a year
        return
    each = max(math.ceil(days / _LABELS), 1)
    for number in range(0, days, each):
        day = first + timedelta(days=number)
        yield day, f"{day.day} {_MONTHS[day.month - 1]}"


def _runs(points: Iterable[Point], value: Callable[[Point], float | None]) -> Iterator[list[Point]]:
    """Points that follow each other without a gap."""
    for known, run in groupby(points, lambda point: value(point) is not None):
        if known:
            yield list(run)


def _band(points: Sequence[Point], x: Callable[[Point], float], scale: Scale) -> Iterator[str]:
    for run in _runs(points, lambda point: None if point.low is None or point.high is None else point.low):
        top = [(x(point), scale.y(min(point.high or 0, scale.high))) for point in run]
        bottom = [(x(point), scale.y(max(point.low or 0, scale.low))) for point in reversed(run)]
        if len(run) == 1:
            top, bottom = [(top[0][0] - 2, top[0][1]), (top[0][0] + 2, top[0][1])], [
                (bottom[0][0] + 2, bottom[0][1]), (bottom[0][0] - 2, bottom[0][1])
            ]  # fmt: skip
        yield f'<path class="band" d="M{"L".join(f"{_n(a)} {_n(b)}" for a, b in [*top, *bottom])}Z"/>'


def _line(run: Sequence[Point], x: Callable[[Point], float], scale: Scale) -> Iterator[str]:
    """The line through a run; to and from what is cut off it is dotted."""
    places = [(point, f"{_n(x(point))} {_n(scale.y(point.value or 0))}") for point in run]
    steps = [(before[1], after[1], before[0].cut or after[0].cut) for before, after in pairwise(places)]
    for cut, part in groupby(steps, lambda step: step[2]):
        there = list(part)
        d = "L".join([there[0][0], *(step[1] for step in there)])
        yield f'<path class="line{" cut" if cut else ""}" d="M{d}"/>'


def _dot(point: Point, x: float, scale: Scale, many: int) -> Iterator[str]:
    if point.value is None:
        return
    hollow = " hollow" if point.cut or point.few else ""
    radius = 2.6 if many <= 70 else 1.6  # noqa: PLR2004 - more would touch
    yield f'<circle class="dot{hollow}" cx="{_n(x)}" cy="{_n(scale.y(point.value))}" r="{radius}">'
    yield f"<title>{_t(point.told)}</title></circle>"


# -- how long states take ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stay:
    """How long something takes: half are over within `median`, nine in ten within `ninth`; None: not known yet."""

    label: str
    median: float | None
    ninth: float | None
    longest: float | None
    told: str
    few: bool = False


def stays(rows: Sequence[Stay], spoken: str) -> str:
    """Return how long each takes, on one axis whose steps grow: half, nine in ten, and the longest."""
    left, right, row, top = 190.0, 250.0, 30.0, 14.0
    wide, high = 900.0, top + row * len(rows) + 30
    values = [v for stay in rows for v in (stay.median, stay.ninth, stay.longest) if v]
    low, high_s = max(min(values, default=60) / 1.6, 0.5), max(values, default=86_400) * 1.3
    span = math.log(high_s / low) or 1.0

    def x(seconds: float) -> float:
        return left + (wide - left - right) * math.log(max(seconds, low) / low) / span

    body = []
    for seconds, label in _DECADES:
        if low <= seconds <= high_s:
            body.append(f'<path class="grid" d="M{_n(x(seconds))} {_n(top)}V{_n(high - 26)}"/>')
            body.append(
                f'<text class="axis" x="{_n(x(seconds))}" y="{_n(high - 10)}" text-anchor="middle">{label}</text>'
            )
    for at, stay in enumerate(rows):
        y = top + row * (at + 0.5)
        (label,) = wrapped(stay.label, 12, left - 16, most=1) or ("",)
        body.append(f'<text class="name" x="{_n(left - 12)}" y="{_n(y + 4)}" text-anchor="end">{_t(label)}</text>')
        start = stay.median
        if stay.longest:
            known = "" if start else " open"
            body.append(f'<path class="whisker{known}" d="M{_n(x(start or low))} {_n(y)}H{_n(x(stay.longest))}"/>')
        if start and stay.ninth:
            body.append(f'<path class="range" d="M{_n(x(start))} {_n(y)}H{_n(x(stay.ninth))}"/>')
        if start:
            few = " hollow" if stay.few else ""
            said = f"<title>{_t(stay.told)}</title>"
            body.append(f'<circle class="dot{few}" cx="{_n(x(start))}" cy="{_n(y)}" r="5">{said}</circle>')
        body.append(f'<text class="aside" x="{_n(wide - right + 14)}" y="{_n(y + 4)}">{_t(stay.told)}</text>')
    return _svg("stays", wide, high, spoken, body)


# -- bars --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of pieces, each with its class and size, and what stands beside it."""

    label: str
    pieces: Sequence[tuple[str, float]]
    told: str
    whisker: tuple[float, float] | None = None


def bars(rows: Sequence[Bar], spoken: str, *, wide: float = 900.0) -> str:
    """Return horizontal bars on a common scale, the label before each and the figures behind it."""
    told = max((width(bar.told, _TEXT) for bar in rows), default=0) + 16
    left = min(max((width(bar.label, 12) for bar in rows), default=0) + 16, wide * 0.3)
    right = min(told, wide * 0.45)
    row = 30.0
    most = max((sum(size for _, size in bar.pieces) for bar in rows), default=0)
    most = max(most, max((bar.whisker[1] for bar in rows if bar.whisker), default=0)) or 1
    room = wide - left - right
    body = []
    for number, bar in enumerate(rows):
        y = row * number + 4
        (label,) = wrapped(bar.label, 12, left - 12, most=1) or ("",)
        body.append(f'<text class="name" x="{_n(left - 10)}" y="{_n(y + 15)}" text-anchor="end">{_t(label)}</text>')
        x = left
        for classes, size in bar.pieces:
            if size > 0:
                body.append(
                    f'<rect class="{classes}" x="{_n(x)}" y="{_n(y)}" width="{_n(room * size / most)}" height="22"/>'
                )
            x += room * size / most
        if bar.whisker:
            low, high = (left + room * bound / most for bound in bar.whisker)
            ends = "".join(f"M{_n(at)} {_n(y + 7)}v8" for at in (low, high))
            body.append(f'<path class="whisker" d="M{_n(low)} {_n(y + 11)}H{_n(high)}{ends}"/>')
            x = max(x, high)
        (told_line,) = wrapped(bar.told, _TEXT, right, most=1) or ("",)
        body.append(f'<text class="aside" x="{_n(x + 8)}" y="{_n(y + 15)}">{_t(told_line)}</text>')
    return _svg("bars", wide, row * len(rows) + 4, spoken, body)


# -- helpers -----------------------------------------------------------------------------------------------------------


def _svg(classes: str, wide: float, high: float, spoken: str, body: Iterable[str]) -> str:
    size = f'viewBox="0 0 {_n(wide)} {_n(high)}" width="{_n(wide)}" height="{_n(high)}"'
    return f'<svg class="tl {classes}" role="img" aria-label={quoteattr(plain(spoken))} {size}>{"".join(body)}</svg>'


def _number(value: float) -> str:
    if abs(value) >= 10_000:  # noqa: PLR2004 - five digits and more are shortened
        return f"{value / 1000:,.0f}k" if abs(value) < 10_000_000 else f"{value / 1_000_000:,.0f}M"  # noqa: PLR2004
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _t(text: str) -> str:
    return escape(plain(text))


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
