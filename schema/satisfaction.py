"""
Satisfaction: what answers to surveys come to, and how sure that is. Pure.

CSAT is the share of those who answered 4 or 5, with Wilson's interval. NPS is the share of 9 and 10 less the share of
0 to 6, from -100 to 100. Its interval is that of a difference of two shares of one whole, calculated as if three more
people had answered (half of them in the middle, a quarter at either end): without them, ten tens would look certain.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

from schema.lift import Z95, wilson

if TYPE_CHECKING:
    from collections.abc import Mapping

SATISFIED: Final = 4
PROMOTER: Final = 9
DETRACTOR: Final = 6
_MORE: Final = 3
"""People who are added for the interval of NPS; tests hold its coverage against an exact count."""


class Measure(NamedTuple):
    """A figure with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def csat(scores: Mapping[int, int]) -> Measure | None:
    """
    The share of those who are satisfied, 0 to 1, of so many answers by score; None without any.

    >>> [round(figure, 3) for figure in csat({5: 6, 4: 2, 2: 2})]
    [0.8, 0.49, 0.943]
    """
    of = sum(scores.values())
    if not of:
        return None
    satisfied = sum(number for score, number in scores.items() if score >= SATISFIED)
    return Measure(satisfied / of, *wilson(satisfied, of))


def nps(scores: Mapping[int, int]) -> Measure | None:
    """
    Promoters less detractors in per cent of all, -100 to 100; None without any answer.

    >>> [round(figure, 1) for figure in nps({10: 6, 8: 2, 3: 2})]
    [40.0, -12.6, 74.1]
    """
    of = sum(scores.values())
    if not of:
        return None
    promoters = sum(number for score, number in scores.items() if score >= PROMOTER)
    detractors = sum(number for score, number in scores.items() if score <= DETRACTOR)
    more = of + _MORE
    up, down = (promoters + _MORE / 4) / more, (detractors + _MORE / 4) / more
    middle = up - down
    width = Z95 * sqrt((up + down - middle * middle) / more)
    low, high = 100 * max(-1.0, middle - width), 100 * min(1.0, middle + width)
    value = 100 * (promoters - detractors) / of
    return Measure(value, min(low, value), max(high, value))
