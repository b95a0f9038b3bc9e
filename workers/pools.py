"""
Pools: turns, working people and queues, as one transaction sees and changes them.

Deciding about a lead needs the ledger of its pool, locked until the turns are committed, and what is known about
people's work, read once after that. When the batch is recorded, its leads' places in the queues are settled: of those
that wait for the same people only the oldest has a timer, so that a thousand of them do not wake for one place. Whoever
leaves a queue wakes those after it, and a place that became free wakes the oldest who wait for that person, wherever
that happened: in a step, in a move by hand or in a migration.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import structs
from sqlalchemy import text

from schema import tables
from schema.store import rows, staff
from workers.decide.staff import Absence, Staff, roster
from workers.decide.turns import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from schema.journey import Journey
    from workers.batch import Batch, Case
    from workers.decide.route import Routing

_EXIST: Final = text("""
INSERT INTO pool (journey_name, name)
SELECT journey_name, name FROM jsonb_to_recordset(CAST(:pools AS jsonb)) AS wanted(journey_name text, name text)
ORDER BY journey_name, name ON CONFLICT DO NOTHING
""")
_LOCK: Final = text("""
SELECT journey_name, name, turn, taken, weights, credit FROM pool
WHERE journey_name = ANY(CAST(:names AS text[])) ORDER BY journey_name, name FOR UPDATE
""")
_SERVED_WAKE: Final = 2
"""Leads that are looked at for each one that was served from a queue: more may be free, and it ends where nobody is."""


class Place(NamedTuple):
    """A place in a queue: of which pool, by which journey version, and for whom."""

    journey_name: str
    pool: str
    journey: str
    waits_for: tuple[str, ...]


class Pools:
    """The pools of one batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._ledgers: dict[str, dict[str, Ledger]] = {}
        self._staff: Staff | None = None
        self._locked: set[str] = set()
        self._given: dict[str, str] = {}
        self._assigned: list[Mapping[str, Any]] = []
        self._wanted: Counter[tuple[str | None, str | None, str | None, tuple[str, ...] | None]] = Counter()
        self.woken: list[str] = []
        """Leads that were made due for `route` when the batch was recorded."""

    def has(self, journey: Journey) -> bool:
        """Tell whether the journey's pools are locked already."""
        return journey.name in self._ledgers

    def ledgers(self, journey: Journey) -> dict[str, Ledger]:
        """Return the turns of the journey's pools, locked until this transaction ends."""
        if journey.name not in self._ledgers:
            self._lock(journey)
        return self._ledgers[journey.name]

    def desks(self, journey: Journey) -> dict[str, Ledger]:
        """Return the turns of the journey's desks, among those of its pools; locked until this transaction ends."""
        ledgers = self._batch.ledgers(journey)
        places = {bench.name for bench in roster(journey).desks.values()}
        if places <= ledgers.keys():
            return ledgers
        self._make((journey.name, place) for place in places - ledgers.keys())
        found = self._locked_ledgers([journey.name])[journey.name]
        ledgers |= {place: found[place] for place in places - ledgers.keys()}
        return ledgers

    def staff(self, journey: Journey) -> Staff:
        """Return what is known about people's work; the journey's pools are locked."""
        self.ledgers(journey)
        if self._staff is None:
            self._staff = self._known()
        return self._staff

    def took(self, case: Case, found: Routing) -> None:
        """Take note of a decision about a lead in hand, before it is recorded."""
        for member in found.members:
            if member.out == "queue":  # those it has to wait behind are looked at now
                self._wanted[case.journey.name, found.pool, member.person, None] += 1
        if found.owner is not None:
            self.gave(case, found.owner)

    def gave(self, case: Case, owner: str) -> None:
        """Take note that a lead in hand is somebody's now, whoever decided it."""
        if self._given.get(case.id) != owner and case.facts.owner != owner:
            self._given[case.id] = owner
            seat = roster(case.journey).people.get(owner)
            if seat is not None and seat.most is not None:
                self._assigned.append({"person": owner, "at": self._batch.now, "lead_id": case.id})

    # -- gather --------------------------------------------------------------------------------------------------------

    def _lock(self, journey: Journey) -> None:
        """Lock the pools of every journey in hand at once, always in the same order."""
        asked = {case.journey.version: case.journey for case in self._batch.cases.values()} | {journey.version: journey}
        names = sorted({one.name for one in asked.values()} - self._ledgers.keys())
        wanted = {(one.name, pool) for one in asked.values() if one.name in names for pool in one.route.pools}
        found = self._locked_ledgers(names)
        missing = sorted(wanted - {(name, pool) for name, pools in found.items() for pool in pools})
        if missing:
            self._make(missing)
            found = self._locked_ledgers(names)
        self._ledgers |= found

    def _make(self, places: Iterable[tuple[str, str]]) -> None:
        pools = rows.as_json([{"journey_name": name, "name": pool} for name, pool in places])
        self._batch.connection.execute(_EXIST, {"pools": pools})

    def _locked_ledgers(self, names: list[str]) -> dict[str, dict[str, Ledger]]:
        found: dict[str, dict[str, Ledger]] = {name: {} for name in names}
        for row in self._batch.connection.execute(_LOCK, {"names": names}):
            found[row.journey_name][row.name] = Ledger(row.turn, row.taken, row.weights, row.credit)
        return found

    def _known(self) -> Staff:
        connection, now = self._batch.connection, self._batch.now
        cases = self._batch.cases.values()
        in_hand = [case.id for case in cases if case.facts.waiting_since]
        versions = {case.journey.version for case in cases}
        known = Staff()
        for row in staff.known(connection, self._ledgers, in_hand, now):
            if row.pool is None:
                known.away.setdefault(row.person, []).append(Absence(row.since, row.until))
            else:
                for version in [row.journey] if row.journey else versions:
                    oldest = known.ahead.setdefault((version, row.pool), {})
                    oldest[row.person] = min(row.since, oldest.get(row.person, row.since))
        rosters = [roster(journey) for journey in {case.journey.version: case.journey for case in cases}.values()]
        limited = set().union(*(one.limited for one in rosters))
        windows: Counter[str] = Counter()
        for one in rosters:
            windows |= Counter(one.windows)
        if limited or windows:
            self.lock_people(limited | windows.keys())
        if limited:
            known.open |= staff.open_leads(connection, limited)
            self._count_in_hand(known)
        if windows:
            known.recent |= staff.recent(connection, windows)
        return known

    def lock_people(self, people: Iterable[str]) -> None:
        """Have nobody else count these people's work, or free their places, until this transaction ends."""
        missing = set(people) - self._locked
        if missing:
            staff.lock(self._batch.connection, missing)
            self._locked |= missing

    def _count_in_hand(self, known: Staff) -> None:
        """Count leads in hand as they are now, not as the database still has them."""
        for case in self._batch.cases.values():
            before, now = _holder(case.had), _holder(case.lead)
            if before != now:
                for owner, by in ((before, -1), (now, 1)):
                    if owner is not None:
                        known.open[owner] = known.open.get(owner, 0) + by

    # -- record --------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Settle the places in the queues of the leads in hand, before they are written."""
        queued: dict[Place, list[Case]] = defaultdict(list)
        for case in self._batch.cases.values():
            lead = case.lead
            if lead["waiting_since"] is None:
                continue
            if not lead["open"]:
                lead["waiting_since"] = None
            elif "route" in lead["waits"] and (place := _place(lead)):
                queued[place].append(case)
        if queued:
            self._leave_one_timer(queued)

    def record(self) -> None:
        """Write the turns, and wake the leads that may be served now."""
        turns = [
            {"journey_name": journey, "name": name} | structs.asdict(ledger)
            for journey, ledgers in self._ledgers.items()
            for name, ledger in ledgers.items()
        ]
        rows.insert(
            self._batch.connection,
            tables.pool,
            turns,
            "ON CONFLICT (journey_name, name) DO UPDATE "
            "SET turn = excluded.turn, taken = excluded.taken, weights = excluded.weights, credit = excluded.credit",
        )
        rows.insert(self._batch.connection, tables.assignment, self._assigned, "ON CONFLICT DO NOTHING")
        self._note_leavers()
        self._note_places()
        if self._wanted:
            self._wake(self._batch.now)

    def _leave_one_timer(self, queued: Mapping[Place, list[Case]]) -> None:
        """Keep the timer of the oldest of those that wait for the same people; the others go when it goes."""
        firsts = []
        for cases in queued.values():
            first, *others = sorted(cases, key=lambda case: (case.lead["waiting_since"], case.id))
            firsts.append(first)
            for case in others:
                _forget_timer(case)
        asked = [
            place._asdict() | {"number": number, "since": first.lead["waiting_since"]}
            for number, (place, first) in enumerate(zip(queued, firsts, strict=True))
        ]
        for number in staff.behind(self._batch.connection, asked, self._batch.cases):
            _forget_timer(firsts[number])

    def _note_leavers(self) -> None:
        """Whoever left a queue makes room at its head."""
        for case in self._batch.cases.values():
            place = _place(case.had) if case.had and case.had["waiting_since"] else None
            if place and place != (_place(case.lead) if case.lead["waiting_since"] else None):
                served = case.lead["owner"] is not None
                self._wanted[place.journey_name, place.pool, None, place.waits_for] += _SERVED_WAKE if served else 1

    def _note_places(self) -> None:
        """Somebody who lost an open lead, or one that decisions here counted as theirs, has a place more."""
        places: Counter[str] = Counter()
        for case in self._batch.cases.values():
            now = _holder(case.lead)
            for before in {_holder(case.had), self._given.get(case.id)} - {now, None}:
                places[before] += 1  # type: ignore[index]  # None is not among them
        if not places:
            return
        journeys = [*self._batch.book.active(self._batch.connection), *(c.journey for c in self._batch.cases.values())]
        limited = set().union(*(roster(one).limited for one in {one.version: one for one in journeys}.values()))
        places = Counter({person: number for person, number in places.items() if person in limited})
        if places:
            self.lock_people(places)
            for person, number in places.items():
                self._wanted[None, None, person, None] += number

    def _wake(self, now: datetime) -> None:
        wanted = [
            {"journey_name": name, "pool": pool, "person": person, "waits_for": waits_for,
             "most": min(number, staff.MOST_WOKEN)}
            for (name, pool, person, waits_for), number in self._wanted.items()
        ]  # fmt: skip
        self.woken += staff.wake(self._batch.connection, wanted, now)


def _holder(lead: Mapping[str, Any] | None) -> str | None:
    """Who has an open lead."""
    return lead["owner"] if lead is not None and lead["open"] else None


def _place(lead: Mapping[str, Any]) -> Place | None:
    assigned = lead["assignment"] or {}
    if lead["pool"] is None:
        return None
    return Place(lead["journey_name"], lead["pool"], lead["journey"], tuple(assigned.get("waits_for", ())))


def _forget_timer(case: Case) -> None:
    case.lead["waits"].pop("route", None)
    if case.lead["next_step"] is None:
        case.lead["wake_at"] = min(case.lead["waits"].values(), default=None)
