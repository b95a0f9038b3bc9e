"""
Lift: how much more often a goal is reached with a campaign than without it, and how sure that is.

The interval of one proportion is Wilson's (1927, Journal of the American Statistical Association 22, 209-212), that of
the difference of two is Newcombe's hybrid score interval (1998, Statistics in Medicine 17, 873-890, method 10), which
holds for few people and for shares near 0 and 1, too.
"""

from __future__ import annotations

from math import sqrt
from typing import Final, NamedTuple

Z95: Final = 1.959963984540054
"""Standard deviations on either side of the mean that hold 95 % of a normal distribution."""


class Lift(NamedTuple):
    """A difference of two shares, each 0 to 1, with the bounds of its 95 % interval."""

    difference: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out that there is no difference."""
        return self.low > 0 or self.high < 0


def wilson(reached: int, of: int, z: float = Z95) -> tuple[float, float]:
    """
    Return the bounds of the interval of the share `reached` of `of`, from 0 to 1.

    >>> [round(bound, 4) for bound in wilson(15, 148)]
    [0.0624, 0.1605]
    """
    share = reached / of
    middle = 2 * reached + z * z
    width = z * sqrt(z * z + 4 * reached * (1 - share))
    below, scale = middle - width, 2 * (of + z * z)
    return max(0.0, below / scale), min(1.0, (middle + width) / scale)


def lift(reached: int, of: int, reached_without: int, of_without: int) -> Lift | None:
    """
    Return by how much the share `reached` of `of` is above that of the others; None where one of them has nobody.

    >>> [round(value, 4) for value in lift(56, 70, 48, 80)]
    [0.2, 0.0524, 0.3339]
    """
    if not of or not of_without:
        return None
    share, without = reached / of, reached_without / of_without
    low, high = wilson(reached, of)
    low_without, high_without = wilson(reached_without, of_without)
    difference = share - without
    return Lift(
        difference,
        difference - sqrt((share - low) ** 2 + (high_without - without) ** 2),
        difference + sqrt((high - share) ** 2 + (without - low_without) ** 2),
    )
