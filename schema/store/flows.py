"""
How leads flow through a journey, read from the buckets: the moves that happened, and where leads wait.

`moves` holds what happened against what the journey file says; `bottlenecks` fills the places of
`schema/kpi/bottlenecks.py`. Days are days of the journey's figures (`kpis.tz`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import text

from schema.errors import Permanent
from schema.journey.model import State
from schema.kpi import bins
from schema.kpi.bottlenecks import ENOUGH, FORMULAS, Exit, Place, chances, mean_s, ranked
from schema.store import kpis

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from schema.journey import Journey

WINDOW: Final = 30
"""Days that are looked at where nothing else is said."""
_READ: Final = ("created", "entered", "moved", "parked", "assigned", "accepted", "first_response", "handover", "taken")
LONGEST: Final = timedelta(days=366)
_DAY: Final = timedelta(days=1)
_EARLIEST: Final = date(1970, 1, 1)
_LATEST: Final = date(9000, 1, 1)
_GONE: Final = State()
"""A state that other versions have: whoever is still there does not get on."""
_STOCK: Final = text("""
SELECT measure, item, sum(n)::bigint AS n FROM kpi_bucket
WHERE journey_name = :journey AND dim = '' AND day < :before
  AND measure = ANY(CAST('{entered,moved,parked,handover,taken}' AS text[]))
GROUP BY measure, item
""")
# A migration renames a stay from its beginning: it is told on the day on which that began, and is no move.
_RENAMED: Final = text("""
SELECT item, day, n FROM kpi_bucket
WHERE journey_name = :journey AND measure = 'left' AND dim = '' AND day < :until AND item LIKE '%>migrate>%'
  AND EXISTS (SELECT FROM kpi_bucket WHERE journey_name = :journey AND measure = 'migrated' AND dim = '')
""")


class Moved(NamedTuple):
    """
    How often a move happened in a window, and how long the stays before it were (`bins`).

    `known`: the journey file has it. One that it has and that never happened has `n` 0.
    """

    from_state: str
    name: str
    to_state: str
    n: int
    bins: Mapping[int, int]
    known: bool

    @property
    def item(self) -> str:
        """As measures write it."""
        return f"{self.from_state}>{self.name}>{self.to_state}"


def window(journey: Journey, since: date | None, until: date | None, now: datetime) -> tuple[date, date]:
    """
    Return the days that are meant: up to tomorrow, and from 30 days before the end, where nothing else is said.

    :raises Permanent: `range_invalid`
    """
    last = until or now.astimezone(ZoneInfo(journey.kpis.tz)).date() + _DAY
    first = since or max(last, _EARLIEST + LONGEST) - timedelta(days=WINDOW)
    if not _EARLIEST <= first < last <= _LATEST or last - first > LONGEST:
        words = f"The window has to begin before it ends, and may have {LONGEST.days} days at most."
        raise Permanent("range_invalid", words)
    return first, last


def moves(connection: Connection, journey: Journey, since: date, until: date) -> list[Moved]:
    """
    Return every move of the journey and every other that happened, from `since` up to but not including `until`.

    In the journey file's order, then those that it does not have: of other versions, after merges, or by hand.
    """
    seen: dict[tuple[str, str, str], _Sum] = defaultdict(_Sum)
    for bucket in kpis.buckets(connection, journey.name, ["moved"], since, until):
        first, name, then = _move(bucket.item)
        seen[first, name, then].add(bucket)
    ours = [(state, name, to) for state, there in journey.lifecycle.items() for name, to in there.to.items()]
    others = sorted((move for move in seen if move not in journey.moves), key=lambda move: (-seen[move].n, move))
    found = {move: seen.get(move, _Sum()) for move in [*ours, *others]}
    return [Moved(*move, each.n, bins.added([each.bins]), move in journey.moves) for move, each in found.items()]


def bottlenecks(connection: Connection, journey: Journey, since: date, until: date, now: datetime) -> dict[str, Any]:
    """
    Return where leads wait, the worst first, with the evidence: `places` are as `schema.kpi.bottlenecks.ranked` says.

    A window that is not over yet counts up to `now`.
    """
    flow = _flow(connection, journey.name, since, until)
    zone = ZoneInfo(journey.kpis.tz)
    begin, end = (datetime.combine(day, time(), zone) for day in (since, until))
    days = max((min(end, now) - begin) / _DAY, 1.0)
    won = frozenset(name for name, there in journey.lifecycle.items() if there.outcome == "won")
    ends = frozenset(name for name, there in journey.lifecycle.items() if there.final)
    ways: dict[str, dict[str, int]] = defaultdict(dict)
    for (state, _, to), each in flow.moved.items():
        ways[state][to] = ways[state].get(to, 0) + each.n
    chance = chances(ways, won, ends)
    places = [_first_act(flow, journey, days)]
    others = {state for state, held in flow.before.items() if held} | flow.entered.keys()
    states = [*journey.lifecycle, *sorted(others - journey.lifecycle.keys())]
    places += [_state(flow, journey, state, days, won) for state in states]
    places += [_handover(flow, item, days) for item in sorted(flow.handed.keys() | flow.handed_before.keys())]
    found = ranked([place for place in places if place is not None], chance)
    for one in found:
        one["label"] = _label(journey, one["kind"], one["name"])
    return {
        "journey": journey.name,
        "from": since,
        "to": until,
        "tz": journey.kpis.tz,
        "days": round(days, 2),
        "as_of": kpis.counted_until(connection, now),
        "enough": ENOUGH,
        "formulas": FORMULAS,
        "places": found,
    }


def towards_winning(journey: Journey) -> list[str]:
    """Return the states from which a lead can still be won, in the journey file's order."""
    found = _before(journey, frozenset(name for name, there in journey.lifecycle.items() if there.outcome == "won"))
    return [state for state in journey.lifecycle if state in found]


# -- what was counted --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sum:
    """Buckets added up."""

    n: int = 0
    bins: dict[int, int] = field(default_factory=dict)

    def add(self, bucket: kpis.Bucket) -> None:
        self.n += bucket.n
        for size, number in bucket.bins.items():
            self.bins[size] = self.bins.get(size, 0) + number


@dataclass(slots=True)
class _Flow:
    """What happened within a window, and how many were where before it."""

    since: date
    days: int
    entered: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    moved: dict[tuple[str, str, str], _Sum] = field(default_factory=lambda: defaultdict(_Sum))
    grown: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    """By state and number of the day: how many more were there at its end than at its beginning."""
    before: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    handed: dict[str, _Sum] = field(default_factory=lambda: defaultdict(_Sum))
    taken: dict[str, _Sum] = field(default_factory=lambda: defaultdict(_Sum))
    handed_before: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    waits: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    """By hand-over and number of the day: how many that were handed over on it nobody has taken up."""
    acts: dict[str, _Sum] = field(default_factory=lambda: defaultdict(_Sum))

    def levels(self, state: str) -> list[int]:
        """How many were there at the beginning of each day, and at the end of the last."""
        levels, grown = [self.before.get(state, 0)], self.grown.get(state, {})
        for number in range(self.days):
            levels.append(levels[-1] + grown.get(number, 0))
        return levels


def _flow(connection: Connection, journey: str, since: date, until: date) -> _Flow:
    flow = _Flow(since, max((until - since).days, 1))
    for row in connection.execute(_STOCK, {"journey": journey, "before": since}):
        if row.measure in {"handover", "taken"}:
            flow.handed_before[row.item] += row.n if row.measure == "handover" else -row.n
        else:
            state = row.item.partition(">")[0]
            flow.before[state] += row.n if row.measure == "entered" else -row.n
    for bucket in kpis.buckets(connection, journey, _READ, since, until):
        _take(flow, bucket, (bucket.day - since).days)
    for row in connection.execute(_RENAMED, {"journey": journey, "until": until}):
        state = row.item.partition(">")[0]
        if row.day < since:
            flow.before[state] -= row.n
        else:
            flow.grown[state][(row.day - since).days] -= row.n
            flow.entered[state] -= row.n
    return flow


def _take(flow: _Flow, bucket: kpis.Bucket, day: int) -> None:
    match bucket.measure:
        case "entered":
            flow.entered[bucket.item] += bucket.n
            flow.grown[bucket.item][day] += bucket.n
        case "moved":
            move = _move(bucket.item)
            flow.moved[move].add(bucket)
            flow.grown[move[0]][day] -= bucket.n
        case "parked":
            flow.grown[bucket.item][day] -= bucket.n
        case "handover":
            flow.handed[bucket.item].add(bucket)
            flow.waits[bucket.item][day] += bucket.n
        case "taken":
            flow.taken[bucket.item].add(bucket)
            flow.waits[bucket.item][day] -= bucket.n
        case "first_response" if bucket.item != "lead":
            pass
        case _:
            flow.acts[bucket.measure].add(bucket)


def _move(item: str) -> tuple[str, str, str]:
    first, _, rest = item.partition(">")
    name, _, then = rest.partition(">")
    return first, name, then


# -- places ------------------------------------------------------------------------------------------------------------


def _first_act(flow: _Flow, journey: Journey, days: float) -> Place | None:
    """The wait of new leads until somebody of ours first does something about them."""
    arrivals = flow.acts["created"].n
    wait, rests_on = _act(flow)
    if not wait:
        return None
    way = Exit("", sum(wait.values()), wait)
    return Place("first_act", journey.initial, days, arrivals, [way], wait=wait, rests_on=rests_on)


def _act(flow: _Flow) -> tuple[dict[int, int], str | None]:
    """
    How long new leads wait until somebody of ours first acts, and whose measure that is.

    Of answering and accepting the one that is sooner on average, where enough did it. Accepting is told from the
    assignment on: the mean wait until that is put before it.
    """
    answered, accepted, assigned = (flow.acts[name].bins for name in ("first_response", "accepted", "assigned"))
    before = mean_s(assigned) or 0.0
    known = {"first_response": answered, "accepted": _later(accepted, before)}
    enough = {name: wait for name, wait in known.items() if sum(wait.values()) >= ENOUGH}
    there = enough or {name: wait for name, wait in known.items() if wait}
    if not there:
        return assigned, "assigned" if assigned else None
    name = min(there, key=lambda name: mean_s(there[name]) or 0.0)
    return there[name], name


def _later(of: Mapping[int, int], by_s: float) -> dict[int, int]:
    return bins.added({bins.bin_of(bins.seconds_of(size) + by_s): number} for size, number in of.items())


def _state(flow: _Flow, journey: Journey, state: str, days: float, won: frozenset[str]) -> Place:
    there = journey.lifecycle.get(state, _GONE)
    exits = [_exit(journey, move, each) for move, each in flow.moved.items() if move[0] == state]
    levels = flow.levels(state)
    before_winning = state in _before(journey, won)
    wait, share, rests_on = _handed_in(flow, journey, state)
    if state == journey.initial and not wait:
        wait, rests_on = _act(flow)
        share = 1.0
    return Place(
        "state",
        state,
        days,
        flow.entered.get(state, 0),
        exits,
        levels,
        levels[-1],
        wait,
        share,
        rests_on,
        rests=there is not _GONE
        and (there.final or there.outcome is not None or not (before_winning or there.sla is not None)),
        wins=before_winning,
    )


def _exit(journey: Journey, move: tuple[str, str, str], each: _Sum) -> Exit:
    """A way out; it leads away from winning where it ends in a state that is lost, or final without being won."""
    to = journey.lifecycle.get(move[2])
    away = to is not None and (to.outcome == "lost" or (to.final and to.outcome is None))
    how = journey.transition(move[1])
    by_rule = away and how.trigger == "automatic" and how.when is not None and how.after is None
    return Exit(move[2], each.n, each.bins, loss=away and not by_rule, by_rule=by_rule)


def _handed_in(flow: _Flow, journey: Journey, state: str) -> tuple[dict[int, int], float, str | None]:
    """How long leads wait that are handed over to a state's department, for which share of them, and by what."""
    ours = journey.lifecycle.get(state, _GONE).department
    handed, items = 0, set()
    for (first, _, to), each in flow.moved.items():
        theirs = journey.lifecycle.get(first, _GONE).department
        if to == state and ours and theirs and theirs != ours:
            handed += each.n
            items.add(f"{theirs}>{ours}")
    taken = sorted(item for item in items if item in flow.taken)
    arrivals = flow.entered.get(state, 0)
    if not taken or arrivals <= 0:
        return {}, 1.0, None
    wait = bins.added(flow.taken[item].bins for item in taken)
    return wait, min(handed / arrivals, 1.0), "taken " + ", ".join(taken)


def _handover(flow: _Flow, item: str, days: float) -> Place:
    handed, taken = flow.handed.get(item, _Sum()), flow.taken.get(item, _Sum())
    still = flow.handed_before.get(item, 0) + handed.n - taken.n
    exits = [Exit("", taken.n, taken.bins)] if taken.n else []
    waited = flow.handed_before.get(item, 0) * days + (mean_s(taken.bins) or 0.0) / _DAY.total_seconds() * taken.n
    waited += sum(n * _left_of(days, day) for day, n in flow.waits.get(item, {}).items())
    return Place(
        "handover",
        item,
        days,
        handed.n,
        exits,
        now=still,
        wait=taken.bins,
        rests_on="taken" if taken.bins else None,
        average=waited / days,
    )


def _left_of(days: float, day: int) -> float:
    """How many of a window's days come after the middle of one of them, or of what there is of it."""
    return max(days - day - 0.5, (days - day) / 2, 0.0)


def _before(journey: Journey, won: frozenset[str]) -> set[str]:
    """States from which there is a way to winning that no final state lies on."""
    found: set[str] = set()
    reached = set(won)
    while reached:
        reached = {
            first
            for first, _, to in journey.moves
            if to in reached and first not in won and first not in found and not journey.lifecycle[first].final
        }
        found |= reached
    return found


def _label(journey: Journey, kind: str, name: str) -> str:
    if kind == "handover":
        first, _, then = name.partition(">")
        return f"{first} to {then}"
    if kind == "first_act":
        return "First act of ours"
    return journey.lifecycle[name].label or name if name in journey.lifecycle else f"{name} (not in this version)"
