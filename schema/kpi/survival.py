"""
How long a stay takes, where many are not over yet: Kaplan and Meier's estimate (1958) on counts by size.

Whoever is still there counts as having stayed for at least so long, so that a slow week is not hidden by those who have
not got through it. Sizes are bins (`schema/kpi/bins.py`): a percentile is told within 1 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.kpi.bins import seconds_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def percentiles(
    ended: Mapping[int, int], still: Mapping[int, int], shares: Sequence[float]
) -> tuple[float | None, ...]:
    """
    Return the durations in seconds within which each of `shares` (0 to 1) of all are over.

    `ended` counts those that are over by their bin, `still` the others by the bin of how long they have lasted so far;
    of equal length, those that ended go first. None where it cannot be told: too many are not over yet.

    >>> percentiles({3: 1, 9: 1}, {}, (0.5, 0.9)) == (seconds_of(3), seconds_of(9))
    True
    >>> percentiles({3: 1}, {9: 3}, (0.5,))
    (None,)
    """
    at_risk = sum(ended.values()) + sum(still.values())
    left = 1.0
    answers: list[float | None] = [None] * len(shares)
    for number in sorted({*ended, *still}):
        over = ended.get(number, 0)
        if over and at_risk > 0:
            left *= 1 - over / at_risk
            for at, share in enumerate(shares):
                if answers[at] is None and left <= 1 - share + 1e-9:
                    answers[at] = seconds_of(number)
        at_risk -= over + still.get(number, 0)
    return tuple(answers)
