"""
The level parts of arrows between two layers: each gets a track of its own, in an order with few crossings.

Nothing else is between two layers, so no arrow runs through a box or a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

STEP: Final = 10.0
_APART: Final = 7.0
_OVERLAID: Final = 1000
_ROUNDS: Final = 12


@dataclass(frozen=True, slots=True)
class Run:
    """A link that changes its column: it comes down at `start` and goes on down at `end`."""

    start: float
    end: float

    def overlaps(self, other: Run) -> bool:
        """Whether both on one track would touch."""
        mine, yours = sorted((self.start, self.end)), sorted((other.start, other.end))
        return mine[0] < yours[1] + _APART and yours[0] < mine[1] + _APART

    def spans(self, x: float) -> bool:
        return min(self.start, self.end) < x < max(self.start, self.end)


def tracks(runs: Sequence[Run]) -> list[int]:
    """The track of each run, counted from above."""
    cost = [[_cost(one, other) if one is not other else 0 for other in runs] for one in runs]
    order = _ordered(cost)
    track = [0] * len(runs)
    for at, run in enumerate(order):
        above = [track[other] + 1 for other in order[:at] if runs[run].overlaps(runs[other])]
        track[run] = max(above, default=0)
    return track


def _cost(upper: Run, lower: Run) -> int:
    """Crossings when `upper` has a track above that of `lower`; much more where they would lie on each other."""
    if not upper.overlaps(lower):
        return 0
    overlaid = abs(upper.end - lower.start) < _APART
    return lower.spans(upper.end) + upper.spans(lower.start) + _OVERLAID * overlaid


def _ordered(cost: Sequence[Sequence[int]]) -> list[int]:
    """An order from above with low cost: greedily, then by moving single ones."""
    left = list(range(len(cost)))
    order: list[int] = []
    while left:
        first = min(left, key=lambda one: sum(cost[one][other] - cost[other][one] for other in left))
        left.remove(first)
        order.append(first)
    for _ in range(_ROUNDS):
        better = False
        for at in range(len(order)):
            better |= _moved(order, at, cost)
        if not better:
            break
    return order


def _moved(order: list[int], at: int, cost: Sequence[Sequence[int]]) -> bool:
    """Move one to its best place; whether that is another one."""
    one = order[at]
    rest = order[:at] + order[at + 1 :]
    price = sum(cost[one][other] for other in rest)
    prices = [price]
    for other in rest:
        price += cost[other][one] - cost[one][other]
        prices.append(price)
    best = min(range(len(prices)), key=lambda place: (prices[place], abs(place - at)))
    if prices[best] >= prices[at]:
        return False
    order[:] = [*rest[:best], one, *rest[best:]]
    return True
