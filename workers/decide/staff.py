"""
Staff: who can take a lead or a ticket at a moment, why somebody cannot, and when they can again.

Somebody is free who is not away, within the working hours of the pool and their own, has fewer open leads than they
take at once and fewer new ones than they take in a while, and for whom no older lead waits. Pure: what is known about
people's work comes in as a `Staff`, and how a journey staffs its pools is worked out once for each version.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from schema.hours import Hours, hours
from schema.journey.expressions import Expression
from schema.journey.model import Journey
from schema.journey.parts import Worked

_SETTLED_AFTER: Final = 100
"""Looks at absences, calendars and windows in turn, until all of them agree on a moment."""
_MOST_ROSTERS: Final = 64
_UNITS: Final = (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


class Absence(NamedTuple):
    """From when to when somebody takes no leads; without an end until they are back."""

    start: datetime
    end: datetime | None


@dataclass(slots=True)
class Staff:
    """
    What is known about people's work, by their short names; by default everybody is here and has nothing to do.

    One is about leads, another about tickets. `away` are absences that are not over, `open` the leads somebody has,
    `recent` the moments at which they were given one, oldest first. `ahead` says for each pool (journey version and
    name) since when the oldest lead that is not in hand here waits for each person. Decisions only read it; whoever
    records them tells it with `gave` and `took`.
    """

    away: dict[str, list[Absence]] = field(default_factory=dict)
    open: dict[str, int] = field(default_factory=dict)
    recent: dict[str, list[datetime]] = field(default_factory=dict)
    ahead: dict[tuple[str, str], dict[str, datetime]] = field(default_factory=dict)

    def gave(self, person: str, now: datetime, *, counts: bool) -> None:
        """Somebody was given a lead; it `counts` among the recent ones of people who take so many in a while."""
        self.open[person] = self.open.get(person, 0) + 1
        if counts:
            self.recent.setdefault(person, []).append(now)

    def took(self, person: str) -> None:
        """Somebody has a lead less: it was closed or handed on."""
        self.open[person] = self.open.get(person, 0) - 1

    def absence(self, person: str, at: datetime) -> Absence | None:
        """The absence that `at` falls into; of several the one that ends last."""
        found = [spell for spell in self.away.get(person, ()) if spell.start <= at and not _over(spell, at)]
        return max(found, key=lambda spell: spell.end or _FOR_EVER) if found else None


EVERYBODY: Final = Staff()
"""Nobody is away and nobody has any work. Not to be changed."""
_FOR_EVER: Final = datetime.max.replace(tzinfo=UTC)


def _over(spell: Absence, at: datetime) -> bool:
    return spell.end is not None and spell.end <= at


class Seat(msgspec.Struct, frozen=True):
    """
    Somebody's place in a pool: `hours` are their own, `limit` the leads they have at once, `most` in any `per`.

    `member` is what a pool's `fits` may ask about them.
    """

    person: str
    weight: int
    hours: Hours | None
    limit: int | None
    most: int | None
    per: timedelta
    member: dict[str, Any]


class Bench(msgspec.Struct, frozen=True):
    """
    A pool or a desk with its people in the order of the file. `weights` are theirs, `what` is what they share.

    `plain` ones ask nothing about working hours, capacity or who fits: there everybody is free who is not away.
    """

    name: str
    hours: Hours | None
    fits: Expression | None
    seats: tuple[Seat, ...]
    weights: dict[str, int]
    accept_within: timedelta | None
    plain: bool
    what: str = "lead"


class Roster(msgspec.Struct, frozen=True):
    """
    How a journey is staffed: its pools and desks, everybody's own place, and who has a limit to what they take.

    `desks` are by their names in the journey; their ledgers, and what `Bench.name` says, by `desk_place` of these.
    `busy` are the people who take only so many tickets.
    """

    journey: Journey
    benches: dict[str, Bench]
    people: dict[str, Seat]
    limited: frozenset[str]
    windows: dict[str, int]
    desks: dict[str, Bench] = {}
    busy: frozenset[str] = frozenset()


def desk_place(desk: str) -> str:
    """What the ledger of a desk is called among those of the pools; no pool has such a name."""
    return f"desk/{desk}"


_rosters: dict[str, Roster] = {}


def roster(journey: Journey) -> Roster:
    """How the journey is staffed; worked out once for each version."""
    found = _rosters.get(journey.version)
    if found is None or found.journey is not journey:
        if len(_rosters) >= _MOST_ROSTERS:
            _rosters.clear()
        found = _rosters[journey.version] = _staffed(journey)
    return found


def _staffed(journey: Journey) -> Roster:
    people = {name: _seat(journey, name, 0) for name in journey.people}
    benches = {name: _bench(journey, name, people) for name in journey.route.pools}
    limited = frozenset(name for name, seat in people.items() if seat.limit is not None)
    windows = {name: seat.most for name, seat in people.items() if seat.most is not None}
    desks = {name: _desk(journey, name, people) for name in journey.service.desks} if journey.service else {}
    busy = frozenset(seat.person for bench in desks.values() for seat in bench.seats if seat.limit is not None)
    return Roster(journey, benches, people, limited, windows, desks, busy)


def _seat(journey: Journey, name: str, weight: int) -> Seat:
    person = journey.people[name]
    capacity = person.capacity
    return Seat(
        person=name,
        weight=weight,
        hours=_hours(journey, person, person.tz),
        limit=capacity.open if capacity else None,
        most=capacity.max if capacity else None,
        per=(capacity.per if capacity else None) or timedelta(),
        member={"name": name, "speaks": list(person.speaks), "skills": list(person.skills)},
    )


def _bench(journey: Journey, name: str, people: dict[str, Seat]) -> Bench:
    pool = journey.route.pools[name]
    seats = tuple(msgspec.structs.replace(people[person], weight=weight) for person, weight in pool.members.items())
    worked = _hours(journey, pool, None)
    free = all(seat.hours is None and seat.limit is None and seat.most is None for seat in seats)
    return Bench(
        name=name,
        hours=worked,
        fits=pool.fits,
        seats=seats,
        weights=dict(pool.members),
        accept_within=pool.accept_within or journey.route.accept_within,
        plain=free and worked is None and pool.fits is None,
    )


def _desk(journey: Journey, name: str, people: dict[str, Seat]) -> Bench:
    assert journey.service is not None  # noqa: S101 - whoever has desks has a service
    desk = journey.service.desks[name]
    seats = tuple(
        msgspec.structs.replace(people[person], weight=weight, limit=_tickets(journey, person), most=None)
        for person, weight in desk.members.items()
    )
    worked = _hours(journey, desk, None)
    free = all(seat.hours is None and seat.limit is None for seat in seats)
    return Bench(
        name=desk_place(name),
        hours=worked,
        fits=None,
        seats=seats,
        weights=dict(desk.members),
        accept_within=None,
        plain=free and worked is None,
        what="ticket",
    )


def _tickets(journey: Journey, person: str) -> int | None:
    capacity = journey.people[person].capacity
    return capacity.tickets if capacity else None


def _hours(journey: Journey, worked: Worked, tz: str | None) -> Hours | None:
    calendar = journey.calendars[worked.calendar] if worked.calendar else worked.hours
    return hours(calendar, tz) if calendar else None


class Out(NamedTuple):
    """
    Why somebody cannot take a lead now: a code, the same in words, and until when, where the calendar says so.

    The codes are `away`, `closed` (outside working hours), `full` (as many open leads as they take), `limit` (as many
    new ones as they take in a while), `queue` (an older lead waits for them), `unfit` and `passed` (had it already).
    """

    code: str
    why: str
    until: datetime | None = None


def why_not(seat: Seat, bench: Bench | None, staff: Staff, now: datetime) -> Out | None:
    """Why somebody can take no lead of a pool now (no pool: of none); None where they can."""
    spell = staff.absence(seat.person, now) if staff.away else None
    if spell:
        return Out("away", f"away until {told(spell.end) if spell.end else 'they are back'}", spell.end)
    shut = [worked for worked in (bench and bench.hours, seat.hours) if worked and not worked.is_open(now)]
    if shut:
        opens = _open_together([worked for worked in (bench and bench.hours, seat.hours) if worked], now)
        return Out(
            "closed", f"outside working hours until {told(opens) if opens else 'the calendar is changed'}", opens
        )
    have = staff.open.get(seat.person, 0)
    if seat.limit is not None and have >= seat.limit:
        return Out("full", f"at capacity: {have} of {seat.limit} open {bench.what if bench else 'lead'}s")
    frees = _window_frees(seat, staff)
    if frees is not None and frees > now:
        return Out("limit", f"{seat.most} of {seat.most} in {lasting(seat.per)} until {told(frees)}", frees)
    return None


def free_again(seat: Seat, bench: Bench | None, staff: Staff, now: datetime) -> datetime | None:
    """The next moment from `now` on at which somebody could be free; None where only less work makes them so."""
    if seat.limit is not None and staff.open.get(seat.person, 0) >= seat.limit:
        return None
    worked = _worked(seat, bench)
    at: datetime | None = max(now, _window_frees(seat, staff) or now)
    for _ in range(_SETTLED_AFTER):
        if at is None:
            return None
        spell = staff.absence(seat.person, at)
        if spell:
            at = spell.end
            continue
        opens = _open_together(worked, at)
        if opens == at:
            return at
        at = opens
    return None


def _worked(seat: Seat, bench: Bench | None) -> list[Hours]:
    """The calendars that have to be open: that of the pool and their own, where there are such."""
    return [calendar for calendar in (bench and bench.hours, seat.hours) if calendar]


def _window_frees(seat: Seat, staff: Staff) -> datetime | None:
    """When the latest `most` of somebody's leads are no longer all within `per`; None where there are fewer."""
    recent = staff.recent.get(seat.person, ()) if seat.most is not None else ()
    return recent[-seat.most] + seat.per if seat.most is not None and len(recent) >= seat.most else None


def _open_together(worked: list[Hours], at: datetime) -> datetime | None:
    """The first moment from `at` on at which all of them are open."""
    for _ in range(_SETTLED_AFTER):
        opens = [calendar.next_open(at) for calendar in worked]
        later = [moment for moment in opens if moment is not None]
        if len(later) < len(opens):
            return None
        latest = max(later, default=at)
        if latest <= at:
            return at
        at = latest
    return None


def told(at: datetime) -> str:
    """A moment as explanations tell it: `2026-11-30 09:00 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def lasting(time: timedelta) -> str:
    """A duration as the journey writes it: `30d`."""
    seconds = int(time.total_seconds())
    unit, length = next((unit, length) for unit, length in _UNITS if seconds % length == 0)
    return f"{seconds // length}{unit}"
