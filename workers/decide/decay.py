"""
Decay: when will a score have changed its side of a threshold by age alone?

Engagement is a sum of strands, each halving at its own pace, bounded by its group and then as a whole. How the moment
is found depends on them. Of one pace: what is left of all is one share x, falling from 1 to 0; the sum is made of
straight lines in x, and the moment has a formula. Of several, all positive: the sum only falls, not sooner than if all
had the shortest half-life and not later than if all had the longest; between the two it is searched for. With negative
points among them the sum may fall and rise: then the time ahead is walked through in stretches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schema.journey.model import Group

HORIZON_S = 5 * 365.25 * 86_400.0
"""How far ahead is looked: what changes later than in five years is not waited for."""
_SURELY_S = 1e-3
"""Later than the moment of the formula by this: there the sum is past the threshold by more than its last digit."""
_STRETCH_S = 86_400.0
_SHORTEST_S = 1.0
_SOON_S = 60.0
_MOST_STRETCHES = 400


class Strand(NamedTuple):
    """`points` now, which begin to halve every `half_life_s` in `delay_s`; those of a `group` are bounded together."""

    group: str | None
    half_life_s: float
    delay_s: float
    points: float

    def left(self, ahead_s: float) -> float:
        """The points that are left of it then."""
        share: float = 0.5 ** (max(0.0, ahead_s - self.delay_s) / self.half_life_s)
        return self.points * share


def next_change(
    strands: Sequence[Strand], groups: Mapping[str, Group], below: int | None, above: int | None
) -> float | None:
    """
    Seconds until the rounded sum is less than `below`, or `above` or more; None where that is not within `HORIZON_S`.

    Given that it is neither now. Found to the second. Where negative points of another half-life are among them, a
    change that lasts less than a second may be passed over; and where such a sum runs along a threshold for so long
    that it cannot be told in bounded work, the answer is a moment before the change, a minute or more from now, from
    where looking again gets nearer.
    """
    paces = sorted({strand.half_life_s for strand in strands})
    falls = all(strand.points >= 0.0 for strand in strands)
    if not strands or (falls and below is None):
        return None
    delay_s = max(strand.delay_s for strand in strands)
    if len(paces) == 1 and delay_s == 0.0:
        ahead_s = _of_one_pace(strands, groups, below, above, paces[0])
        return ahead_s + _SURELY_S if ahead_s < HORIZON_S else None
    if falls and below is not None:
        sooner = _of_one_pace(strands, groups, below, None, paces[0])
        later = _of_one_pace(strands, groups, below, None, paces[-1]) + delay_s
        return _searched(strands, groups, below, sooner, later)
    return _walked(strands, groups, below, above)


def _of_one_pace(
    strands: Sequence[Strand], groups: Mapping[str, Group], below: int | None, above: int | None, half_life_s: float
) -> float:
    """
    The same where every strand halves every `half_life_s` from now on, however far ahead; infinity for never.

    A group is at its limit while x is above the limit's share of its points; from there on it falls with the others.
    """
    steady, slope = 0.0, 0.0
    bends: list[tuple[float, float, float]] = []
    together: dict[str | None, float] = {}
    for strand in strands:
        together[strand.group] = together.get(strand.group, 0.0) + strand.points
    for name, points in together.items():
        kept = bounded(points, groups[name]) if name in groups else points  # type: ignore[index]
        if kept == points:
            slope += points
        elif kept:
            steady += kept
            bends.append((kept / points, kept, points))
    bends.sort(reverse=True)
    for bend, kept, points in (*bends, (0.0, 0.0, 0.0)):
        share = -1.0
        if slope > 0.0 and below is not None:
            share = (below - 0.5 - steady) / slope
        elif slope < 0.0 and above is not None:
            share = (above - 0.5 - steady) / slope
        if share > bend:
            return max(0.0, -half_life_s * math.log2(share))
        steady, slope = steady - kept, slope + points
    return math.inf


def _searched(
    strands: Sequence[Strand], groups: Mapping[str, Group], below: int, sooner: float, later: float
) -> float | None:
    """The first second at which a sum that only falls is under the threshold, between two moments."""
    last = math.ceil(min(later, HORIZON_S)) + 1
    if round(_sum(strands, groups, last)) >= below:
        return None
    first = max(0, math.floor(min(sooner, HORIZON_S)) - 1)
    while last - first > 1:
        middle = (first + last) // 2
        if round(_sum(strands, groups, middle)) < below:
            last = middle
        else:
            first = middle
    return float(last)


def _walked(
    strands: Sequence[Strand], groups: Mapping[str, Group], below: int | None, above: int | None
) -> float | None:
    """
    The same for a sum that may fall and rise.

    Over a stretch every strand lies between its two ends, so the sum has bounds; a stretch whose bounds stay on this
    side is done with, however long. Stretches grow while that holds and are halved where it does not.
    """

    def stays(least: float, most: float) -> bool:
        return (below is None or round(least) >= below) and (above is None or round(most) < above)

    at, step, proven = 0.0, _STRETCH_S, False
    for _ in range(_MOST_STRETCHES):
        end = min(at + step, HORIZON_S)
        if stays(*_bounds(strands, groups, at, end)):
            if end == HORIZON_S:
                return None
            at, step, proven = end, step * 2 if proven else step, True
        elif step > _SHORTEST_S:
            step, proven = max(_SHORTEST_S, step // 2), False
        elif stays(then := _sum(strands, groups, end), then):
            at = end
        else:
            return end
    return max(at, _SOON_S)


def _sum(strands: Sequence[Strand], groups: Mapping[str, Group], ahead_s: float) -> float:
    """What the strands come to then."""
    points: dict[str | None, float] = {}
    for strand in strands:
        points[strand.group] = points.get(strand.group, 0.0) + strand.left(ahead_s)
    return _limited(points, groups)


def _bounds(
    strands: Sequence[Strand], groups: Mapping[str, Group], start_s: float, end_s: float
) -> tuple[float, float]:
    """The least and the most that they can come to between two moments."""
    least: dict[str | None, float] = {}
    most: dict[str | None, float] = {}
    for strand in strands:
        first, last = strand.left(start_s), strand.left(end_s)
        least[strand.group] = least.get(strand.group, 0.0) + min(first, last)
        most[strand.group] = most.get(strand.group, 0.0) + max(first, last)
    return _limited(least, groups), _limited(most, groups)


def _limited(points: Mapping[str | None, float], groups: Mapping[str, Group]) -> float:
    total = 0.0
    for name, together in points.items():
        total += bounded(together, groups[name]) if name in groups else together  # type: ignore[index]
    return total


def bounded(points: float, group: Group) -> float:
    """The points of a group within its limits."""
    return max(group.floor, min(group.cap, points))
