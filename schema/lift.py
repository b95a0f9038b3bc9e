"""
Lift: how much more often a goal is reached with a campaign than without it, or more is bought, and how sure that is.

The interval of one proportion is Wilson's (1927, Journal of the American Statistical Association 22, 209-212), that of
the difference of two is Newcombe's hybrid score interval (1998, Statistics in Medicine 17, 873-890, method 10), which
holds for few people and for shares near 0 and 1, too.

The interval of the difference of two means is Welch's (1947, Biometrika 34, 28-35), which does not ask that both groups
vary alike. It is about the mean, so amounts may be as skewed as purchases are, but only where many people bought: of a
few large orders it knows too little.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from decimal import Decimal

Z95: Final = 1.959963984540054
"""Standard deviations on either side of the mean that hold 95 % of a normal distribution."""
_LEVEL: Final = 0.95
_LEAST: Final = 2
"""People without whom there is no variance to speak of."""


class Lift(NamedTuple):
    """A difference of two shares (each 0 to 1) or means, with the bounds of its 95 % interval."""

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


class Amounts(NamedTuple):
    """What so many people spent: the sum of their amounts, and of the squares of these. Who spent nothing counts."""

    people: int
    total: Decimal
    squares: Decimal

    @property
    def mean(self) -> Decimal:
        """What one of them spent."""
        return self.total / self.people

    @property
    def doubt(self) -> float:
        """The square of the standard error of the mean."""
        return max(0.0, float((self.squares - self.total * self.mean) / (self.people - 1))) / self.people


def welch(amounts: Amounts, without: Amounts) -> Lift | None:
    """
    Return by how much one of these people spent more than one of the others; None where too little is known to say.

    That is where one of them are fewer than two, or all spent the same, as where nobody bought anything: how much such
    people vary cannot be read off them.

    >>> from decimal import Decimal as D
    >>> found = welch(Amounts(10, D(1000), D(101_800)), Amounts(20, D(1800), D(171_500)))
    >>> [round(value, 3) for value in found]
    [10.0, -3.784, 23.784]
    """
    if min(amounts.people, without.people) < _LEAST:
        return None
    doubts = amounts.doubt, without.doubt
    if not all(doubts):
        return None
    both = sum(doubts)
    freedom = both**2 / sum(
        doubt**2 / (group.people - 1) for doubt, group in zip(doubts, (amounts, without), strict=True)
    )
    difference, width = float(amounts.mean - without.mean), student(freedom) * sqrt(both)
    return Lift(difference, difference - width, difference + width)


def student(freedom: float) -> float:
    """
    Return how many standard errors on either side of a mean hold 95 % of Student's distribution.

    >>> [round(student(degrees), 3) for degrees in (1, 4, 30, 1e6)]
    [12.706, 2.776, 2.042, 1.96]
    """
    from scipy.special import stdtrit  # noqa: PLC0415 - only results of campaigns pay for it

    return float(stdtrit(freedom, (1 + _LEVEL) / 2))
