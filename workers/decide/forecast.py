"""
Forecast: what will the open opportunities of a pipeline bring, month by month?

Each one's way to its end is drawn many times, from how others went on from its stage, given how long it has been there
already. What is told of a month and currency is the mean of the draws and the interval that four in five of them lie
in. Beside it stands the figure that most people know: amount times probability, in the month that somebody said.

The ways: of a stage's visits the lengths and where they led to, with Kaplan and Meier's weights, so that those which
are not over yet count as what they are. One that has been at its stage for longer than any other is not expected to
end. Where a stage has too few visits, the probability and the day that stand on the opportunity are drawn from.

The same opportunities, visits and moment give the same figures: the draws are seeded.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workers.decide.stays import LEVEL, Stay, by_stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

ENOUGH_DECIDED: Final = 30
"""So many decided opportunities, and forecasts rest on own history."""
ENOUGH_VISITS: Final = 10
"""So many visits of a stage that are over, and ways on from it are drawn."""
DRAWS: Final = 2_000
_MOST_WAYS: Final = 2_000_000
"""Ways that are drawn at most, but each opportunity's at least `_FEWEST_DRAWS` times."""
_FEWEST_DRAWS: Final = 100
_AT_ONCE: Final = 500_000
_MOST_STAGES: Final = 50
_SEED: Final = 1
_NEVER: Final = -1
_WON: Final = -2
_LOST: Final = -3


class Open(NamedTuple):
    """
    An open opportunity: since when it is at its stage, its probability 0 to 1, and the day it should close, if any.

    `given`: somebody said the probability. `group`: what it is counted under.
    """

    stage: str
    since: datetime
    amount: Decimal
    currency: str
    probability: float
    given: bool
    closes: date | None
    group: str | None = None


class Month(NamedTuple):
    """
    What a month brings in a currency. `naive`: amount times probability of those that somebody expects in it.

    `low` and `high`: with a probability of 80 % it is no less and no more. `month` None: no day was said and nothing
    is known of how long they take.
    """

    month: str | None
    group: str | None
    currency: str
    expected: Decimal
    low: Decimal
    high: Decimal
    naive: Decimal


class Forecast(NamedTuple):
    """
    Months in order, and what they rest on.

    `decided` opportunities that are over; `by_history` and `by_stage` open ones by where their ways come from;
    `older_than_any` of them stand at their stage for longer than any other did, and are not expected to end.
    """

    months: list[Month]
    decided: int
    by_history: int
    by_stage: int
    older_than_any: int
    past_due: int
    draws: int


@dataclass(frozen=True, slots=True)
class _Ways:
    """Of a stage: lengths of its visits in seconds, ascending, where each led to, and the share over by then."""

    lengths: NDArray[np.float64]
    targets: NDArray[np.int64]
    over: NDArray[np.float64]

    def over_by(self, age: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of visits that are over at an age."""
        return np.concatenate([[0.0], self.over])[np.searchsorted(self.lengths, age, side="right")]


def forecast(
    opened: Sequence[Open], seen: Iterable[Stay], stages: Iterable[str], now: datetime, months: int
) -> Forecast:
    """Return what is to be expected in this month and those after it, `months` in all; `now` is in UTC."""
    visits = list(seen)
    decided = len({stay.opportunity_id for stay in visits if stay.to in {"won", "lost"}})
    names = {name: at for at, name in enumerate(dict.fromkeys([*stages, *(each.stage for each in opened)]))}
    ways = _ways(visits, names) if decided >= ENOUGH_DECIDED else {}
    calendar = _Calendar(now, months)
    kinds = sorted({(each.group or "", each.currency) for each in opened})
    draws = min(DRAWS, max(_FEWEST_DRAWS, _MOST_WAYS // max(1, len(opened))))
    random = np.random.default_rng(_SEED)
    sums = np.zeros((len(kinds), months + 1, draws))
    portion = max(1, _AT_ONCE // draws)
    for start in range(0, len(opened), portion):
        some = opened[start : start + portion]
        won_in = _won_in(some, ways, names, calendar, random, draws)
        amounts = np.array([float(each.amount) for each in some])
        for number, kind in enumerate(kinds):
            own = [at for at, each in enumerate(some) if (each.group or "", each.currency) == kind]
            for month in range(months + 1 if own else 0):
                sums[number, month] += amounts[own] @ (won_in[own] == month)
    by_history = [each for each in opened if names[each.stage] in ways]
    return Forecast(
        months=_told(opened, sums, kinds, calendar),
        decided=decided,
        by_history=len(by_history),
        by_stage=len(opened) - len(by_history),
        older_than_any=sum(_is_older(each, ways[names[each.stage]], now) for each in by_history),
        past_due=sum(each.closes is not None and each.closes < now.date() for each in opened),
        draws=draws,
    )


# -- the ways on -------------------------------------------------------------------------------------------------------


def _ways(visits: Iterable[Stay], names: Mapping[str, int]) -> dict[int, _Ways]:
    """The ways on from each stage that has enough visits which are over."""
    found: dict[int, _Ways] = {}
    for name, stays in by_stage(visits).items():
        if name not in names or sum(stay.to is not None for stay in stays) < ENOUGH_VISITS:
            continue
        ordered = sorted(stays, key=lambda stay: (stay.seconds, stay.to is None, stay.to or ""))
        left, over = 1.0, []
        for number, stay in enumerate(ordered):
            if stay.to is not None:
                left -= left / (len(ordered) - number)
                over.append((stay.seconds, _target(stay.to, names), 1.0 - left))
        lengths, targets, shares = (np.array(column) for column in zip(*over, strict=True))
        found[names[name]] = _Ways(lengths, targets, shares)
    return found


def _target(to: str, names: Mapping[str, int]) -> int:
    return _WON if to == "won" else _LOST if to == "lost" else names.get(to, _NEVER)


def _is_older(each: Open, way: _Ways, now: datetime) -> bool:
    """Whether it is at its stage for longer than any other was that went on."""
    return bool((now - each.since).total_seconds() >= way.lengths[-1])


def _won_in(
    some: Sequence[Open],
    ways: Mapping[int, _Ways],
    names: Mapping[str, int],
    calendar: _Calendar,
    random: np.random.Generator,
    draws: int,
) -> NDArray[np.int64]:
    """The number of the month in which each is won, draw by draw; -1: in none, the one after the last: some day."""
    probability = np.array([each.probability for each in some])[:, None]
    lucky = random.random((len(some), draws)) < probability
    said = np.array([calendar.said(each.closes) for each in some], dtype=np.int64)[:, None]
    found = np.where(lucky, said, -1)
    drawn = [at for at, each in enumerate(some) if names[each.stage] in ways]
    if drawn:
        state = np.repeat(np.array([names[some[at].stage] for at in drawn], dtype=np.int64)[:, None], draws, axis=1)
        age = np.array([max((calendar.now - some[at].since).total_seconds(), 0.0) for at in drawn])
        end, after_s = _walk(state, age, ways, random)
        given = np.array([some[at].given for at in drawn])[:, None]
        won = np.where(given, lucky[drawn] & (end != _NEVER), end == _WON)
        month = np.searchsorted(calendar.ends_s, after_s, side="right")
        found[drawn] = np.where(won & (month < len(calendar.ends_s)), month, -1)
    return found


def _walk(
    state: NDArray[np.int64], age: NDArray[np.float64], ways: Mapping[int, _Ways], random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Go on from each stage until the end; return how it ends (or that it does not), and after how many seconds."""
    ends, aged = state.ravel(), np.repeat(age, state.shape[1])
    after_s = np.zeros(len(ends))
    going = np.arange(len(ends))
    for _ in range(_MOST_STAGES):
        stages = ends[going]
        for stage, way in ways.items():
            here = going[stages == stage]
            if len(here):
                already = aged[here]
                over = way.over_by(already)
                drawn = over + random.random(len(here)) * (1 - over)
                at = np.searchsorted(way.over, drawn, side="right")
                last = np.minimum(at, len(way.lengths) - 1)
                after_s[here] += np.maximum(way.lengths[last] - already, 0.0)
                ends[here] = np.where(at == last, way.targets[last], _NEVER)
        going = going[np.isin(ends[going], list(ways))]
        if not len(going):
            break
        aged[going] = 0.0
    ends[ends >= 0] = _NEVER
    return ends.reshape(state.shape), after_s.reshape(state.shape)


# -- months ------------------------------------------------------------------------------------------------------------


class _Calendar:
    """The month that it is, and those after it."""

    def __init__(self, now: datetime, months: int) -> None:
        self.now = now
        first = now.year * 12 + now.month - 1
        starts = [datetime(at // 12, at % 12 + 1, 1, tzinfo=UTC) for at in range(first, first + months + 1)]
        self.labels = [f"{start:%Y-%m}" for start in starts[:-1]]
        self.ends_s = np.array([(start - now).total_seconds() for start in starts[1:]])

    def said(self, closes: date | None) -> int:
        """The number of a day's month; what is past is due now, and what has no day comes after the last; -1: later."""
        if closes is None:
            return len(self.labels)
        day = max(closes, self.now.date())
        at = (day.year - self.now.year) * 12 + day.month - self.now.month
        return at if at < len(self.labels) else -1


def _told(
    opened: Sequence[Open], sums: NDArray[np.float64], kinds: Sequence[tuple[str, str]], calendar: _Calendar
) -> list[Month]:
    naive: dict[tuple[str, str, int], Decimal] = defaultdict(Decimal)
    for each in opened:
        weighted = each.amount * Decimal(repr(each.probability))
        naive[each.group or "", each.currency, calendar.said(each.closes)] += weighted
    found: list[Month] = []
    for month, label in enumerate([*calendar.labels, None]):
        for number, (group, currency) in enumerate(kinds):
            drawn, plain = sums[number, month], naive[group, currency, month]
            if label is None and not plain and not drawn.any():
                continue
            low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            money = [_cents(value) for value in (float(drawn.mean()), float(low), float(high), plain)]
            found.append(Month(label, group or None, currency, *money))
    return found


def _cents(value: float | Decimal) -> Decimal:
    return Decimal(str(value)).quantize(Decimal("0.01"))
