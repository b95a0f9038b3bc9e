"""
Figures as values: what was seen in the buckets, and what is told of it. Pure.

A figure never stands alone: it has its numerator and denominator, how many it rests on, and an interval where it is a
share. One that cannot be told is None, with a reason; nothing is divided by zero.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from schema.kpi import bins, survival
from schema.lift import wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date

Unit = Literal["count", "share", "seconds", "money", "money_per_day", "points", "score", "turns", "ratio"]
NOTHING: Final = "nothing_counted"
STILL_OPEN: Final = "most_still_open"
DAY_S: Final = 86_400

PARTS: Final[dict[str, tuple[str, ...]]] = {
    "touched": ("touchpoint",),
    "qualification": ("answer",),
    "entered": ("state",),
    "left": ("state", "transition", "to"),
    "moved": ("state", "transition", "to"),
    "overdue": ("state",),
    "parked": ("state",),
    "handed_on": ("reason",),
    "first_response": ("about",),
    "first_response_hours": ("about",),
    "handover": ("from", "to"),
    "taken": ("from", "to"),
    "purchased": ("kind", "currency"),
    "fault": ("code",),
    "credit": ("model",),
    "credit_amount": ("model", "currency"),
    "opportunity.opened": ("pipeline",),
    "opportunity.won": ("pipeline",),
    "opportunity.lost": ("pipeline", "reason"),
    "opportunity.reopened": ("pipeline",),
    "opportunity.amount": ("pipeline", "outcome", "currency"),
    "ticket.opened": ("ticket",),
    "ticket.resolved": ("ticket",),
    "ticket.reopened": ("ticket",),
    "ticket.closed": ("ticket",),
    "sla.hit": ("sla",),
    "sla.missed": ("sla",),
    "contract.value": ("currency",),
    "survey.sent": ("survey",),
    "survey.answered": ("survey",),
    "follow_up.created": ("rule",),
    "follow_up.done": ("rule", "outcome"),
    "follow_up.late": ("rule",),
    "campaign.entered": ("campaign",),
    "campaign.exited": ("campaign", "outcome"),
    "message.sent": ("campaign", "step"),
}
"""What the parts of a measure's `item` are called, in their order."""


class Of(NamedTuple):
    """What a figure is asked of: `Of("state", "lead")`."""

    kind: str
    code: str


class Shape(NamedTuple):
    """
    What of a journey figures have to know.

    `won` and `lost` are the states that count as such, `away` those that are a loss on the way: lost, or final without
    being won. `ways` are the states that each transition leaves, `departments` whose work a state is, and `surveys` the
    kind of each (csat or nps).
    """

    won: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    away: frozenset[str] = frozenset()
    ways: Mapping[str, frozenset[str]] = {}
    departments: Mapping[str, str] = {}
    surveys: Mapping[str, str] = {}


@dataclass(slots=True)
class Cell:
    """Counts that were added up."""

    n: int = 0
    total: Decimal = Decimal(0)
    bins: dict[int, int] = field(default_factory=dict)

    def add(self, n: int, total: Decimal, sizes: Mapping[int, int]) -> None:
        self.n += n
        self.total += total
        for size, count in sizes.items():
            self.bins[size] = self.bins.get(size, 0) + count

    def mean_s(self) -> float | None:
        """The mean duration in seconds, within 1 %."""
        of = sum(self.bins.values())
        return sum(bins.seconds_of(size) * count for size, count in self.bins.items()) / of if of > 0 else None


class Row(NamedTuple):
    """A bucket, or several added up by a database: the parts of its item by name."""

    parts: Mapping[str, str]
    day: date
    n: int
    total: Decimal
    bins: Mapping[int, int]


@lru_cache(maxsize=4096)
def parts_of(measure: str, item: str) -> Mapping[str, str]:
    """Return what the parts of an item are: `{"state": "lead", "transition": "qualify", "to": "opportunity"}`."""
    names = PARTS.get(measure, ())
    return dict(zip(names, item.split(">", len(names) - 1), strict=False)) if names else {"item": item}


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What was counted, by measure: within the time that a figure is of, before its end, and before its beginning.

    `age_s` says how long ago the middle of a day was.
    """

    rows: Mapping[str, list[Row]]
    shape: Shape
    age_s: Callable[[date], float]
    until: Mapping[str, list[Row]] = field(default_factory=dict)
    since: Mapping[str, list[Row]] = field(default_factory=dict)
    of: Of | None = None

    def fits(self, parts: Mapping[str, str]) -> bool:
        """Whether this is what is asked of; of what has no such part, everything is."""
        return self.of is None or parts.get(self.of.kind, self.of.code) == self.of.code

    def cells(self, measure: str, *names: str, when: str = "rows", **where: str) -> dict[tuple[str, ...], Cell]:
        """Add up what fits by its parts `names`; with `where` only what has these parts."""
        found: dict[tuple[str, ...], Cell] = defaultdict(Cell)
        for row in getattr(self, when).get(measure, ()):
            if self.fits(row.parts) and all(row.parts.get(name) == value for name, value in where.items()):
                found[tuple(row.parts.get(name, "") for name in names)].add(row.n, row.total, row.bins)
        return dict(sorted(found.items()))

    def cell(self, measure: str, when: str = "rows", **where: str) -> Cell:
        """Add up all that fits."""
        return self.cells(measure, when=when, **where).get((), Cell())


@dataclass(frozen=True, slots=True)
class Figure:
    """
    What is told: `value` in the KPI's unit, None for a `reason`; `sample` is how many it rests on.

    `low` and `high` are the bounds of a 95 % interval. Of durations `value` is the median; `open` counts those that
    are not over yet, and `longest` is how long the longest has
    lasted. `part` says what it is of, where one question has several answers.
    """

    part: Mapping[str, str]
    value: float | Decimal | None
    sample: int
    numerator: int | float | Decimal | None = None
    denominator: int | float | Decimal | None = None
    low: float | None = None
    high: float | None = None
    p90: float | None = None
    mean: float | None = None
    open: int | None = None
    longest: float | None = None
    reason: str | None = None


def share(part: Mapping[str, str], reached: int, of: int, *, still_open: int | None = None) -> Figure:
    """
    Return a share, 0 to 1, with Wilson's interval. What came back later may make it more than 1; then it has none.

    >>> share({}, 15, 148).value == 15 / 148
    True
    >>> share({}, 0, 0).reason
    'nothing_counted'
    """
    told = Figure(part, None, of, reached, of, open=still_open)
    if of <= 0:
        return replace(told, reason=NOTHING)
    low, high = wilson(reached, of) if 0 <= reached <= of else (None, None)
    return replace(told, value=reached / of, low=low, high=high)


def spread(part: Mapping[str, str], cell: Cell) -> Figure:
    """Return how long something takes: median, 90th percentile and mean, in seconds."""
    of = sum(cell.bins.values())
    told = Figure(part, bins.percentile(cell.bins, 0.5), max(of, 0), numerator=of, denominator=of)
    if of <= 0:
        return replace(told, value=None, reason=NOTHING)
    return replace(told, p90=bins.percentile(cell.bins, 0.9), mean=cell.mean_s())


def stay(part: Mapping[str, str], begun: Iterable[Row], over: Iterable[Row], age_s: Callable[[date], float]) -> Figure:
    """
    Return how long stays take that began at some time, those that are not over counted for as long as they last.

    `over` are those of them that ended, by the day on which they began.
    """
    days: dict[date, int] = defaultdict(int)
    ended = Cell()
    for row in begun:
        days[row.day] += row.n
    entered = sum(days.values())
    for row in over:
        days[row.day] -= row.n
        ended.add(row.n, row.total, row.bins)
    still: dict[int, int] = defaultdict(int)
    for day, count in days.items():
        if count > 0:
            still[bins.bin_of(max(age_s(day), 0.0))] += count
    waiting = sum(still.values())
    longest = bins.seconds_of(max({*ended.bins, *still})) if ended.bins or still else None
    told = Figure(part, None, entered, numerator=ended.n, denominator=entered, open=waiting, longest=longest)
    if entered <= 0:
        return replace(told, reason=NOTHING)
    median, ninth = survival.percentiles(ended.bins, still, (0.5, 0.9))
    return replace(told, value=median, p90=ninth, reason=STILL_OPEN if median is None else None)


def count(part: Mapping[str, str], n: int) -> Figure:
    """Return how many."""
    return Figure(part, n, n, numerator=n)


def mean(part: Mapping[str, str], total: Decimal, of: int) -> Figure:
    """Return what one of so many comes to."""
    told = Figure(part, None, of, numerator=total, denominator=of)
    return replace(told, value=total / of) if of > 0 else replace(told, reason=NOTHING)
