"""
Trends: changes of a figure's level, told once, against its own week.

A series is walked through day by day. What is usual is the level since the last change, by the weekday: the middle
half of the same weekdays, so that a quiet weekend is no drop and one great day no rise. Of the last days, 3 to 28,
those are found that lie furthest from it together; when that is further than chance allows (`LIMIT` standard
deviations, measured by the series' own scatter, and never less than that of pure counting) and most of these days lie
on the same side, the level has changed since the first of them. From there on the new level is the usual one, so a
change is told once.

Values are made even first: counts by Anscombe's square root (1948), shares by the arcsine, durations by the logarithm;
so a half and a double are as far, and scatter does not grow with the level. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

Kind = Literal["count", "share", "duration"]
HISTORY: Final = 28
"""Days of the first level that have to be known before anything can be a change."""
SETTLED: Final = 14
"""Days of a new level before the next change is looked for."""
SHORTEST: Final = 3
LONGEST: Final = 28
"""A change is seen in the last 3 to 28 days, or not at all."""
LOOKED_BACK: Final = 56
"""What is usual is learned from so many days at most."""
LIMIT: Final = 4.5
_SAME_SIDE: Final = 0.65
_LEAST_CHANGE: Final = 0.1
"""A level that changed by less is not worth telling."""
_MAD: Final = 1.4826
_WEEK: Final = 7
_FLOORS: Final[dict[Kind, float]] = {"count": 1.0, "share": 1.0, "duration": 0.1}
"""The least scatter of a day of weight 1: that of pure counting; for durations a tenth."""
_NOTHING: Final = 2 * math.sqrt(0.375)
"""A count of 0 on the even scale."""
_QUIETEST: Final = -0.8
_SPIKE: Final = 3.0
"""A day counts as at most so many standard deviations from what is usual, however far it lies."""


class Point(NamedTuple):
    """
    A day of a series: of a count `value` is the number and `weight` 1; of a share or a duration, what it was that day.

    `weight` is then how many that rests on; 0: none on that day, which says nothing.
    """

    day: date
    value: float
    weight: float = 1.0


class Change(NamedTuple):
    """
    A level changed: `before` and `after` in the figure's own unit, a day's mean of counts.

    `since` is the first day of the new level and `noticed` the day whose end showed it. `z`: how many standard
    deviations it lies beyond what is usual. `days` of the new level are known by now.
    """

    since: date
    noticed: date
    before: float
    after: float
    z: float
    days: int


@dataclass(frozen=True, slots=True)
class _Season:
    """
    How far each weekday usually lies from the middle of its week, on the even scale.

    A quiet weekend is a share of the week, so that of counts `scales` with the level; others are added to it.
    """

    by_weekday: list[float]
    scales: bool

    def of(self, level: float, day: date) -> float:
        """What is usual on a day where the middle of its week is `level`."""
        off = self.by_weekday[day.weekday()]
        return max(level * (1 + off), _NOTHING) if self.scales else level + off

    def without(self, value: float, day: date) -> float:
        """The level that a day's value tells."""
        off = self.by_weekday[day.weekday()]
        return value / (1 + off) if self.scales else value - off


@dataclass(slots=True)
class _Usual:
    """What is usual: the level, the scatter of one day of weight 1, and how many days that rests on."""

    level: float
    scatter: float
    days: int


def changes(points: Sequence[Point], kind: Kind = "count") -> list[Change]:
    """
    Return the changes of level in a series of days, oldest first; none before `HISTORY` days are known.

    `points` are whole days in order, without gaps (a day on which nothing happened is a day).

    :raises ValueError: days are missing
    """
    if any((later.day - point.day).days != 1 for point, later in pairwise(points)):
        msg = "a series has every day, in order"
        raise ValueError(msg)
    even = [_even(point, kind) for point in points]
    found: list[tuple[int, int, float]] = []
    start, look = 0, HISTORY + SHORTEST
    season = _Season([0.0] * _WEEK, scales=kind == "count")
    while look <= len(points):
        if start == 0 and (look - HISTORY - SHORTEST) % _WEEK == 0:
            season = _season(points, even, max(0, look - LOOKED_BACK), look - SHORTEST, scales=kind == "count")
        seen = _furthest(points, even, start, look, season, floor=_FLOORS[kind])
        if seen is None:
            look += 1
            continue
        first, z = seen
        before, after = _level(points, start, first, kind), _level(points, first, look, kind)
        if _worth(before, after):
            found.append((first, look - 1, z))
            start = first
            look = max(look + 1, first + SETTLED)
        else:
            look += 1
    bounds = [0, *(first for first, _, _ in found), len(points)]
    told = [
        Change(
            points[first].day,
            points[noticed].day,
            _level(points, bounds[number], first, kind),
            _level(points, first, bounds[number + 2], kind),
            round(z, 2),
            bounds[number + 2] - first,
        )
        for number, (first, noticed, z) in enumerate(found)
    ]
    # What came to nothing in the days since was chance after all.
    return [change for change in told if _worth(change.before, change.after)]


def _worth(before: float, after: float) -> bool:
    return abs(after - before) >= _LEAST_CHANGE * max(abs(before), abs(after))


def _even(point: Point, kind: Kind) -> float:
    if kind == "count":
        return 2 * math.sqrt(max(point.value, 0.0) + 0.375)
    if kind == "share":
        return 2 * math.asin(math.sqrt(min(max(point.value, 0.0), 1.0)))
    return math.log(max(point.value, 1.0))


def _season(points: Sequence[Point], even: Sequence[float], start: int, end: int, *, scales: bool) -> _Season:
    found: list[list[float]] = [[] for _ in range(_WEEK)]
    for at in range(start, end):
        if points[at].weight > 0:
            found[points[at].day.weekday()].append(even[at])
    each = [_middle(values) for values in found]
    known = [value for value in each if value is not None]
    centre = sum(known) / len(known) if known else 0.0
    off = [0.0 if value is None else value - centre for value in each]
    return _Season([max(value / centre, _QUIETEST) if centre else 0.0 for value in off] if scales else off, scales)


def _middle(values: Sequence[float]) -> float | None:
    """The mean of the middle half: as little moved by single days as the median, and finer for small counts."""
    if not values:
        return None
    ordered = sorted(values)
    cut = len(ordered) // 4
    kept = ordered[cut : len(ordered) - cut]
    return sum(kept) / len(kept)


def _usual(
    points: Sequence[Point], even: Sequence[float], start: int, end: int, season: _Season, *, floor: float
) -> _Usual | None:
    start = max(start, end - LOOKED_BACK)
    there = [at for at in range(start, end) if points[at].weight > 0]
    if not there:
        return None
    level = _middle([season.without(even[at], points[at].day) for at in there]) or 0.0
    off = [abs(even[at] - season.of(level, points[at].day)) * math.sqrt(points[at].weight) for at in there]
    return _Usual(level, max(_MAD * median(off), floor), len(there))


def _furthest(
    points: Sequence[Point], even: Sequence[float], start: int, look: int, season: _Season, *, floor: float
) -> tuple[int, float] | None:
    """The first of the last days that lie furthest from what was usual before them, where that is no chance."""
    end = max(look - LONGEST, start + (SETTLED if start else HISTORY))
    usual = _usual(points, even, start, end, season, floor=floor)
    if usual is None or usual.days < _WEEK:
        return None
    best: tuple[int, float] | None = None
    total = weight = 0.0
    above = below = there = 0
    for at in range(look - 1, end - 1, -1):
        point = points[at]
        if point.weight <= 0:
            continue
        off = even[at] - season.of(usual.level, point.day)
        reach = _SPIKE * usual.scatter / math.sqrt(point.weight)
        total += min(max(off, -reach), reach) * point.weight
        weight += point.weight
        there += 1
        above += off > 0
        below += off < 0
        if there < SHORTEST:
            continue
        unsure = 1 + max(there, _WEEK) / usual.days
        z = total / (usual.scatter * math.sqrt(weight * unsure))
        if abs(z) > LIMIT and max(above, below) >= _SAME_SIDE * there and (best is None or abs(z) > abs(best[1])):
            best = (at, z)
    return best


def _level(points: Sequence[Point], start: int, end: int, kind: Kind) -> float:
    """The level of some days in the figure's unit: the mean of counts and shares, the median of durations."""
    own = [point for point in points[start:end] if point.weight > 0]
    weight = sum(point.weight for point in own)
    if not own:
        return 0.0
    if kind != "duration":
        return sum(point.value * point.weight for point in own) / weight
    reached = 0.0
    for point in sorted(own, key=lambda each: each.value):
        reached += point.weight
        if reached >= weight / 2:
            return point.value
    return own[-1].value
