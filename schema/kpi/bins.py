"""
How long things take, as counts by size: percentiles from whole numbers that add up, whatever the order.

A bin holds what lies between two neighbours of a geometric row, so that a percentile is told within 1 % of the true
one: the sketch of Masson, Rim and Lee, "DDSketch" (VLDB 2019), with exact counts. Two sets of bins are put together by
adding them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ACCURACY: Final = 0.01
"""How far a percentile may be off, as a share of it."""
_GAMMA: Final = (1 + ACCURACY) / (1 - ACCURACY)
_LOG: Final = math.log(_GAMMA)


def bin_of(seconds: float) -> int:
    """Return the bin of a duration: 0 up to one second, then one for each 2 %. Raises ValueError below 0."""
    if seconds < 0:
        msg = "a duration cannot be below 0"
        raise ValueError(msg)
    return 0 if seconds <= 1 else math.ceil(math.log(seconds) / _LOG - 1e-9)


def seconds_of(number: int) -> float:
    """Return the duration that stands for a bin, in seconds: within 1 % of all that it holds. Bin 0: half a second."""
    return 0.5 if number <= 0 else 2 * _GAMMA**number / (_GAMMA + 1)


def added(sets: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Put sets of bins together; bins that come to 0 fall away."""
    whole: dict[int, int] = {}
    for bins in sets:
        for number, count in bins.items():
            whole[number] = whole.get(number, 0) + count
    return {number: count for number, count in sorted(whole.items()) if count}


def percentile(bins: Mapping[int, int], share: float) -> float | None:
    """
    Return the duration in seconds that a `share` (0 to 1) of what the bins hold does not exceed; None where nothing is.

    It is the lowest bin at which that many are reached (nearest rank, no interpolation).
    """
    count = sum(bins.values())
    if count <= 0:
        return None
    wanted = max(1, math.ceil(share * count))
    reached = 0
    for number in sorted(bins):
        reached += bins[number]
        if reached >= wanted:
            return seconds_of(number)
    return None


def kept(bins: Mapping[int, int]) -> dict[str, int]:
    """Return bins as they are kept in JSON, in order."""
    return {str(number): count for number, count in sorted(bins.items()) if count}


def read(stored: Mapping[str, int]) -> dict[int, int]:
    """Read what `kept` wrote."""
    return {int(number): count for number, count in stored.items()}
