"""
Tally: the facts of a portion of events, added up into what is added to each bucket.

Facts with the same dimensions are put together first, and only then counted for each dimension, since most leads of a
portion share them.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schema.kpi.measures import ALL, DIMS, MONTHS, SIZED
from workers.figures.rules import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal

    from workers.figures.fold import Fact
    from workers.figures.memory import Dims
    from workers.figures.rules import Rules

MATURES: Final = frozenset({"left", "taken"})
"""Measures of which a day is never over: how what began on it ends is known later."""
_NAMES: Final = (ALL, *DIMS)
_BY_MONTH: Final = tuple(MONTHS + name for name in _NAMES)
_SIZED: Final = frozenset(SIZED)

Group = tuple[str, str, int, str]
"""Journey, measure, day and item."""
Bucket = tuple[str, str, str, int, str, str]
"""Journey, measure, dimension, day, item and value: the key of a bucket, in its order."""
_Values = tuple[dict[str, list[Any]], ...]
"""What is added for each value of each dimension: n, total and bins."""
_N, _TOTAL, _BINS = range(3)


class Restated(NamedTuple):
    """What was added to a day that was over: how many, what they came to, and the latest moment that told of it."""

    n: int
    total: Decimal | int
    at: int


class Tally:
    """The facts of a portion."""

    def __init__(self, rules: Mapping[str, Rules]) -> None:
        self._rules = rules
        self._sums: dict[tuple[str, str, int, Dims], list[Any]] = {}
        self.restated: dict[Group, Restated] = {}

    def add(self, facts: Iterable[Fact], told_at: int) -> None:
        """Add the facts of an event that was told at a moment, in milliseconds since 1970."""
        last, today = "", 0
        for version, measure, item, day, dims, n, total, number in facts:
            place = measure, item, day, dims
            found = self._sums.get(place)
            if found is None:
                found = self._sums[place] = [0, 0, {}]
            found[_N] += n
            if total:
                found[_TOTAL] += total
            if number is not None:
                bins = found[_BINS]
                bins[number] = bins.get(number, 0) + n
            if version != last:
                last, today = version, self._rules[version].day(told_at)
            if day < today and measure not in MATURES:
                key = self._rules[version].name, measure, day, item
                was = self.restated.get(key, (0, 0, 0))
                self.restated[key] = Restated(was[0] + n, was[1] + total, max(was[2], told_at))

    def groups(self) -> list[dict[str, Any]]:
        """
        Return what is added to buckets, by day and by month, those together that differ by dimension only, in order.

        Each is `{"journey_name", "measure", "day", "item", "parts": [[dim, value, n, total, bins], …]}`; what comes to
        nothing is left out.
        """
        days: dict[Group, _Values] = {}
        for (measure, item, day, dims), added in self._sums.items():
            into = days.setdefault((self._rules[dims[-1]].name, measure, day, item), _nothing())
            for values, value in zip(into, (ALL, *dims), strict=True):
                _add(values, value, added)
        months: dict[Group, _Values] = {}
        for (journey, measure, day, item), group in days.items():
            if measure in _SIZED:
                first = date.fromordinal(day).replace(day=1).toordinal()
                into = months.setdefault((journey, measure, first, item), _nothing())
                for values, there in zip(into, group, strict=True):
                    for value, added in there.items():
                        _add(values, value, added)
        return [
            {"journey_name": journey, "measure": measure, "day": date.fromordinal(day), "item": item, "parts": parts}
            for groups, names in ((days, _NAMES), (months, _BY_MONTH))
            for (journey, measure, day, item), group in sorted(groups.items(), key=_place)
            if (parts := _parts(group, names))
        ]

    def buckets(self) -> dict[Bucket, list[Any]]:
        """Return the same as `[n, total, bins]` for each bucket."""
        return {
            (each["journey_name"], each["measure"], dim, each["day"].toordinal(), each["item"], value): list(added)
            for each in self.groups()
            for dim, value, *added in each["parts"]
        }


def _place(group: tuple[Group, object]) -> Group:
    return group[0]


def _nothing() -> _Values:
    return tuple({} for _ in _NAMES)


def _add(values: dict[str, list[Any]], value: str, added: Sequence[Any]) -> None:
    n, total, bins = added
    into = values.get(value)
    if into is None:
        values[value] = [n, total, bins.copy()]
        return
    into[_N] += n
    into[_TOTAL] += total
    if bins:
        there = into[_BINS]
        for number, count in bins.items():
            there[number] = there.get(number, 0) + count


def _parts(group: _Values, names: Sequence[str]) -> list[list[Any]]:
    parts = []
    for name, values in zip(names, group, strict=True):
        for value, (n, total, bins) in values.items():
            left = {number: count for number, count in bins.items() if count} if 0 in bins.values() else bins
            if n or total or left:
                parts.append([name, value, n, total, left])
    return parts


def restated_row(key: Group, found: Restated) -> dict[str, Any]:
    """Return a row of `kpi_restated`."""
    journey, measure, day, item = key
    return {
        "noted_at": moment(found.at),
        "journey_name": journey,
        "measure": measure,
        "item": item,
        "day": date.fromordinal(day),
        "n": found.n,
        "total": found.total,
    }
