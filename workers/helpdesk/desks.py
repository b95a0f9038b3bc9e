"""
Desks: giving tickets to people in fair turns, and waking those that wait when somebody becomes free.

As with leads, the ledgers are locked before anything is read that is decided from, and by whoever frees a place too: so
no ticket begins to wait in the moment that somebody becomes free. One that failed and was set aside holds nobody up. A
ticket that waits always has a timer, at the latest
`LOOK_AGAIN` from now, which a place that became free brings forward. A timer that somebody else has in hand is passed
over: that ticket is looked at anyway.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.events import TicketAssigned
from schema.store import rows, staff
from schema.store.ids import uuid_array
from workers.decide import desk
from workers.decide.staff import Absence, Staff, desk_place, roster
from workers.happening import About, happen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from schema.journey import Journey
    from workers.batch import Batch, Case

    Row = dict[str, Any]

LOOK_AGAIN: Final = timedelta(hours=1)
"""How long a waiting ticket is left alone at most, whatever calendars say: who works when may have been changed."""
_SERVED_WAKE: Final = 2
"""Tickets that are looked at for each one that was served from a queue; it ends where nobody is free."""

_OPEN: Final = text("""
SELECT owner, count(*) AS tickets FROM ticket
WHERE owner = ANY(CAST(:people AS text[])) AND status IN ('new', 'open')
GROUP BY owner
""")
_AHEAD: Final = text("""
SELECT place.desk, (
    SELECT waiting_since FROM ticket
    WHERE journey_name = :name AND desk = place.desk AND waiting_since IS NOT NULL
      AND id <> ALL(CAST(:in_hand AS uuid[]))
      AND EXISTS (SELECT FROM timer WHERE timer.id = ticket.id AND timer.due_at IS NOT NULL)
    ORDER BY waiting_since LIMIT 1
) AS since
FROM unnest(CAST(:desks AS text[])) AS place(desk)
""")
_WAKE: Final = text("""
UPDATE timer SET due_at = :now WHERE id = ANY(ARRAY(
    SELECT t.id FROM jsonb_to_recordset(CAST(:wanted AS jsonb)) AS wanted(journey_name text, desk text, most int)
    CROSS JOIN LATERAL (
        SELECT id FROM ticket
        WHERE journey_name = wanted.journey_name AND desk = wanted.desk AND waiting_since IS NOT NULL
        ORDER BY waiting_since LIMIT wanted.most
    ) AS oldest
    JOIN timer AS t ON t.id = oldest.id WHERE t.due_at > :now FOR UPDATE OF t SKIP LOCKED
)) RETURNING id
""")


class Desks:
    """The desks of one batch: what it knows of people's work on tickets, and who is to be woken."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._staff: dict[str, Staff] = {}
        self._wanted: Counter[tuple[str, str]] = Counter()

    def journey(self, case: Case, ticket: Row) -> Journey | None:
        """By what version work is shared now: the active one, else the ticket's own; None: by none that has desks."""
        active = case.newest()
        if active.service is not None:
            return active
        own = self._batch.book.version(self._batch.connection, ticket["journey"])
        return own if own.service is not None else None

    def deal(self, case: Case, ticket: Row, *, passed: Sequence[str] = ()) -> datetime | None:
        """
        Give a ticket in hand to somebody, or leave it waiting; return when to look at it again, if it waits.

        Whoever deals several lets those that have waited longest come first.
        """
        journey = self.journey(case, ticket)
        if journey is None:
            return None
        batch = self._batch
        ledgers, known = batch.pools.desks(journey), self._known(journey)
        found = desk.deal(ticket, case.facts, journey, ledgers, batch.now, known, passed)
        desk.keep(found, journey, ledgers, known, batch.now)
        waited, at_desk = ticket["waiting_since"], ticket["desk"]
        ticket["desk"] = found.desk
        if any(member.out == "queue" for member in found.members):
            self._wanted[journey.name, found.desk] += 1  # those it has to wait behind are looked at now
        if found.owner is None:
            ticket["waiting_since"] = waited or batch.now
            if waited is None or at_desk != found.desk:
                batch.tickets.note(ticket, "assigned", "journey", data=found.explain())
                case.tell(TicketAssigned(ticket["id"], found.desk, None, None, found.reason))
            latest = batch.now + LOOK_AGAIN
            return min(found.look_again or latest, latest)
        if waited is not None:
            self._wanted[journey.name, found.desk] += _SERVED_WAKE
        given(case, ticket, found.owner, "journey", found.reason, found.explain())
        return None

    def frees(self) -> None:
        """Find out whose work became less in this batch, and lock what that takes; before it is written."""
        lost = {owner for owner, by in self._batch.tickets.loads().items() if by < 0}
        if not lost:
            return
        for journey in self._batch.book.active(self._batch.connection):
            served = lost & roster(journey).busy
            if journey.service is not None and served:
                self._batch.pools.desks(journey)
                for name, each in journey.service.desks.items():
                    if places := len(served & each.members.keys()):
                        self._wanted[journey.name, name] += places

    def wake(self) -> None:
        """Have those that wait longest looked at, as many as there may be places for; after all is written."""
        if self._wanted:
            wanted = [(name, place, most) for (name, place), most in self._wanted.items()]
            self._batch.hints["followup"] += wake(self._batch.connection, wanted, self._batch.now)

    def _known(self, journey: Journey) -> Staff:
        """What is known about people's work on tickets, read once; the ledgers are locked."""
        if journey.name in self._staff:
            return self._staff[journey.name]
        batch, rostered = self._batch, roster(journey)
        known = self._staff[journey.name] = Staff()
        for absence in staff.absences(batch.connection, batch.now):
            spell = Absence(absence["from_at"], absence["until_at"])
            known.away.setdefault(absence["person"], []).append(spell)
        if rostered.busy:
            batch.pools.lock_people(rostered.busy)
            people = {"people": list(rostered.busy)}
            known.open |= {row.owner: row.tickets for row in batch.connection.execute(_OPEN, people)}
            for owner, by in batch.tickets.loads().items():
                known.open[owner] = known.open.get(owner, 0) + by
        places = {
            "name": journey.name,
            "desks": list(rostered.desks),
            "in_hand": uuid_array(row["id"] for row in batch.tickets.rows.values() if row["waiting_since"]),
        }
        for row in batch.connection.execute(_AHEAD, places):
            if row.since is not None:
                bench = rostered.desks[row.desk]
                known.ahead[journey.version, desk_place(row.desk)] = dict.fromkeys(bench.weights, row.since)
        return known


def given(case: Case, ticket: Row, owner: str | None, actor: str, reason: str, more: Row | None = None) -> None:
    """Have a ticket be somebody's, whoever decided it, and tell that; `more` is kept with the entry."""
    had = ticket["owner"]
    ticket |= {"owner": owner, "waiting_since": None}
    data = {"owner": owner, "desk": ticket["desk"], "reason": reason} | (more or {})
    case.batch.tickets.note(ticket, "assigned", actor, data={**data, "left": had} if had else data)
    case.tell(TicketAssigned(ticket["id"], ticket["desk"], owner, had, reason))
    if owner is not None:
        told = {"kind": ticket["kind"], "priority": ticket["priority"], "reason": reason}
        happen(case, "ticket.assigned", About("ticket", ticket["id"], owner), data=told)


def wake(connection: Connection, wanted: Iterable[tuple[str, str, int]], now: datetime) -> list[str]:
    """
    Make the timers of those due that wait longest at each desk: (journey name, desk, how many); return their ids.

    The ledgers of the desks are locked by this transaction.
    """
    asked = [
        {"journey_name": name, "desk": place, "most": min(most, staff.MOST_WOKEN)}
        for name, place, most in sorted(wanted)
    ]
    return list(connection.execute(_WAKE, {"wanted": rows.as_json(asked), "now": now}).scalars()) if asked else []


def wake_for(connection: Connection, journeys: Collection[Journey], person: str, now: datetime) -> list[str]:
    """Have a portion of what waits at somebody's desks looked at, since they are back; return what is due."""
    places = [
        (journey.name, name, staff.MOST_WOKEN)
        for journey in journeys
        for name, each in (journey.service.desks if journey.service else {}).items()
        if person in each.members
    ]
    return wake(connection, places, now)
