"""
Silence: has a source been quiet for three times as long as usual?

What is usual depends on the hour: a source that sleeps at night and at weekends is not silent then. Where there is
history enough, the arrivals that usually come in the same hours of the week (of the day, while there are not yet
three weeks of it) are added up over the silence, each as the median of the periods before, so that one campaign or
one outage says nothing. When three are missing, it has lasted for three of the usual gaps. For sources that are too
rare for that the hours are taken together, six and then twenty-four, and where that is not enough either, the median
gap between arrivals is the usual one. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GAPS: Final = 3
"""So many usual gaps are too long."""
LOOKED_BACK: Final = timedelta(weeks=8)
SHORTEST: Final = timedelta(minutes=15)
"""A shorter silence is none, however busy the source: its last arrivals may be on their way."""
_FEWEST: Final = 5
"""Arrivals before anything can be called usual."""
_PERIODS: Final = 3
_WEEK: Final = 7 * 24
_DAY: Final = 24
_WIDTHS: Final = (1, 6, 24)
_HOUR: Final = timedelta(hours=1)


class Heard(NamedTuple):
    """What came from a source within one hour: how many, and the moments of the first and the last."""

    number: int
    first_at: datetime
    last_at: datetime


class Rhythm(NamedTuple):
    """How long the gaps of a source usually are at the hours since its last arrival, and whether this one is longer."""

    usual_gap: timedelta
    silent: bool


def rhythm(heard: Sequence[Heard], now: datetime) -> Rhythm | None:
    """
    Judge the silence of a source since its last arrival.

    `heard` are its hours in which anything came, the oldest first, over at most `LOOKED_BACK`. None: too few arrivals
    to know what is usual.
    """
    if sum(hour.number for hour in heard) < _FEWEST:
        return None
    quiet = max(now - heard[-1].last_at, timedelta())
    missed = _missed(heard, quiet, now)
    if missed is None:
        gap = _median_gap(heard)
        return Rhythm(gap, quiet > max(GAPS * gap, SHORTEST))
    usual = quiet / missed if missed else LOOKED_BACK
    return Rhythm(min(usual, LOOKED_BACK), missed >= GAPS and quiet > SHORTEST)


def _missed(heard: Sequence[Heard], quiet: timedelta, now: datetime) -> float | None:
    """Add up what usually comes in the hours of a silence; None where the history does not tell."""
    counts: dict[int, int] = defaultdict(int)
    for hour in heard:
        counts[int((now - hour.last_at) / _HOUR)] += hour.number
    known = int((now - heard[0].first_at) / _HOUR) - int(quiet / _HOUR)
    period = _WEEK if known >= _PERIODS * _WEEK else _DAY
    if known < _PERIODS * period:
        return None
    (whole,) = _usual(counts, period, period, quiet, known)
    for width in _WIDTHS:
        usual = _usual(counts, period, width, quiet, known)
        if sum(usual) >= max(whole, 1) / 2:  # else most of it falls between the hours that are usual
            return _added_up(usual, width, quiet)
    return None


def _usual(counts: Mapping[int, int], period: int, width: int, quiet: timedelta, known: int) -> list[float]:
    """Return what usually comes in each block of `width` hours of a period, counted back from now."""
    first, last = int(quiet / _HOUR), known + int(quiet / _HOUR)
    found = []
    for block in range(period // width):
        places = range(block * width, last, period)
        whole = [place for place in places if place >= first and place + width <= last]
        found.append(median([sum(counts.get(place + hour, 0) for hour in range(width)) for place in whole] or [0]))
    return found


def _added_up(usual: Sequence[float], width: int, quiet: timedelta) -> float:
    whole, part = divmod(quiet / _HOUR / width, 1)
    blocks = int(whole)
    return sum(usual[block % len(usual)] for block in range(blocks)) + part * usual[blocks % len(usual)]


def _median_gap(heard: Sequence[Heard]) -> timedelta:
    """Return the median gap; arrivals within an hour count as evenly spread."""
    gaps = [(later.first_at - earlier.last_at, 1) for earlier, later in pairwise(heard)]
    gaps += [((hour.last_at - hour.first_at) / (hour.number - 1), hour.number - 1) for hour in heard if hour.number > 1]
    gaps.sort()
    half, passed = sum(number for _, number in gaps) / 2, 0
    for gap, number in gaps:
        passed += number
        if passed >= half:
            return gap
    return timedelta()
