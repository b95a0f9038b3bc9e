"""Load: how much work each person has in one world, over time."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from workers.simulate.history import Window

MOST_DAYS: Final = timedelta(days=62)
"""A longer window is told by weeks."""


class Share(msgspec.Struct, frozen=True):
    """
    One person's work.

    `before` are open leads from before the window; `given` those they were given in it and `closed` those that they
    no longer had, by day or week from the window's beginning; `peak` the most that were open at once.
    """

    before: int
    given: tuple[int, ...]
    closed: tuple[int, ...]
    peak: int

    @property
    def total(self) -> int:
        """Leads given within the window."""
        return sum(self.given)

    @property
    def open(self) -> tuple[int, ...]:
        """Leads open at the end of each day or week."""
        left, ends = self.before, []
        for given, closed in zip(self.given, self.closed, strict=True):
            left += given - closed
            ends.append(left)
        return tuple(ends)


class Load:
    """Counts, from one change of hands to the next."""

    def __init__(self, window: Window, before: Mapping[str, int]) -> None:
        self._since = window.since
        self._until = window.until
        self.period = timedelta(days=1) if window.until - window.since <= MOST_DAYS else timedelta(days=7)
        self.open: Counter[str] = Counter(before)
        self._before = dict(before)
        self._peak: Counter[str] = Counter(before)
        self._given: dict[str, Counter[int]] = defaultdict(Counter)
        self._closed: dict[str, Counter[int]] = defaultdict(Counter)

    def given(self, person: str, at: datetime) -> None:
        """Somebody has one open lead more."""
        self.open[person] += 1
        self._peak[person] = max(self._peak[person], self.open[person])
        self._given[person][self._place(at)] += 1

    def freed(self, person: str, at: datetime) -> None:
        """Somebody has one open lead less."""
        self.open[person] -= 1
        self._closed[person][self._place(at)] += 1

    def carried(self, person: str) -> None:
        """A lead from before the window, which they have had all along."""
        self.open[person] += 1
        self._before[person] = self._before.get(person, 0) + 1
        self._peak[person] = max(self._peak[person], self.open[person])

    def shares(self) -> dict[str, Share]:
        """Everybody's, by name."""
        places = range(-(-(self._until - self._since) // self.period))
        names = sorted({*self._before, *self._given, *self._closed})
        return {
            name: Share(
                self._before.get(name, 0),
                tuple(self._given[name][place] for place in places),
                tuple(self._closed[name][place] for place in places),
                self._peak[name],
            )
            for name in names
        }

    def _place(self, at: datetime) -> int:
        return (at - self._since) // self.period
