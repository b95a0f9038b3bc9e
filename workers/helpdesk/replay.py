"""
Replaying another help desk's log into tickets: a ticket for each case, an entry for each thing that was done.

What happened is kept with its own name and time, and nothing follows from it: no turn, no clock. The tickets are
closed. That they were opened, resolved, opened again and closed is told quietly, with its time: figures count it.
Set-based, a portion at a time, with the leads locked; told again, only what is new is added.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import text

from schema import tables
from schema.errors import Transient
from schema.events import Event, TicketClosed, TicketOpened, TicketReopened, TicketResolved
from schema.store import rows, telling
from schema.store.ids import new_id, uuid_array

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from schema.journey import Journey

ACTIVITY: Final = "activity"
"""The kind of an entry that another system told; its own name for what was done stands in its data."""
IMPORT: Final = "import"
PORTION: Final = 500

_LEADS: Final = text("""
SELECT DISTINCT ON (k.value) k.value, l.id, l.person_id
FROM person_key AS k JOIN lead AS l ON l.person_id = k.person_id AND l.journey_name = :name AND l.merged_into IS NULL
WHERE k.kind = :kind AND k.value = ANY(CAST(:values AS text[])) ORDER BY k.value, l.id DESC
""")
_LOCK: Final = text("""
SELECT id, person_id, merged_into, event_tx > pg_current_xact_id() AS younger FROM lead
WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE
""")
_KNOWN: Final = text("""
SELECT id, external_id, lead_id, kind, entries, opened_at, resolved_at, closed_at, reopened, opened_by FROM ticket
WHERE source = :source AND external_id = ANY(CAST(:cases AS text[]))
""")
_ENTRIES: Final = text("""
SELECT ticket_id, at, data ->> 'activity' AS activity FROM ticket_entry
WHERE ticket_id = ANY(CAST(:ids AS uuid[])) AND kind = :kind
""")


_ATTEMPTS: Final = 10
"""A transaction that waited for a lead may be older than one that told of it meanwhile; the next is not."""


class Done(NamedTuple):
    """One thing that was done: when, what it is called there, by whom, and what was said."""

    at: datetime
    activity: str
    agent: str | None = None
    text: str | None = None


class Case(NamedTuple):
    """A case of another help desk: what it is called, the match key of its customer, and what was done, in order."""

    id: str
    customer: tuple[str, str]
    done: Sequence[Done]


class Replayed(NamedTuple):
    """How many tickets are new, how many were known, how many entries were added; and cases that could not be kept."""

    tickets: int
    known: int
    entries: int
    refused: dict[str, str]


class _Busy(Exception):
    """A younger transaction has told of one of the leads."""


def replay(
    engine: Engine,
    journey: Journey,
    source: str,
    cases: Sequence[Case],
    *,
    kind: str,
    now: datetime,
    resolving: Collection[str] = (),
) -> Iterator[Replayed]:
    """
    Keep these cases, each `PORTION` in a transaction; the people they are about have leads already.

    Each of the activities `resolving` resolves its case, and any other one after it opens it again; where none of them
    comes last, the last one resolves it.

    Refused are, by case: `lead_unknown`, `lead_busy` (people are merged just now), `not_imported` (a ticket of ours).
    """
    for first in range(0, len(cases), PORTION):
        portion = cases[first : first + PORTION]
        for _ in range(_ATTEMPTS):
            try:
                with engine.begin() as connection:
                    kept = _portion(connection, journey, source, portion, kind, frozenset(resolving), now)
            except _Busy:
                continue
            yield kept
            break
        else:
            raise Transient("lead_busy", "Others are at work on these leads: run it again, and it goes on from here.")


def _portion(
    connection: Connection,
    journey: Journey,
    source: str,
    cases: Sequence[Case],
    kind: str,
    resolving: frozenset[str],
    now: datetime,
) -> Replayed:
    wanted = {"source": source, "cases": [case.id for case in cases]}
    known = {row["external_id"]: row for row in connection.execute(_KNOWN, wanted).mappings()}
    leads = _leads(connection, journey.name, cases, {row["lead_id"] for row in known.values()})
    kept = _kept(connection, [row["id"] for row in known.values()])
    new: list[dict[str, Any]] = []
    grown: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    refused: dict[str, str] = {}
    told: list[tuple[str, Event]] = []
    for case in cases:
        row = known.get(case.id)
        if row is not None and row["opened_by"] != IMPORT:
            refused[case.id] = "not_imported"
        elif row is None and case.customer not in leads:
            refused[case.id] = "lead_unknown"
        elif row is None:
            lead_id, person_id = leads[case.customer]
            turns = turned(case.done, resolving)
            ticket = _ticket(journey, source, case, kind, now) | {"lead_id": lead_id, "person_id": person_id}
            ticket |= _standing(turns, 0, case.done[-1].at)
            new.append(ticket)
            opened = TicketOpened(
                ticket["id"],
                person_id,
                kind,
                ticket["priority"],
                source,
                IMPORT,
                IMPORT,
                None,
                quiet=True,
                at=case.done[0].at,
            )
            told.append((lead_id, opened))
            told += [(lead_id, event) for event in _told(ticket, turns, 0)]
            entries += _entries(ticket["id"], case.done, 0, now)
        else:
            added = list(_missing(case.done, kept[row["id"]]))
            turns = turned([done for done in added if done.at > row["closed_at"]], resolving, again=True)
            if added:
                entries += _entries(row["id"], added, row["entries"], now)
                since = dict(row) | {"opened_at": min(row["opened_at"], *(done.at for done in added))}
                last = max(row["closed_at"], *(done.at for done in added))
                ticket = {"id": row["id"], "entries": row["entries"] + len(added), "updated_at": now,
                          "opened_at": since["opened_at"], "resolved_at": row["resolved_at"]}  # fmt: skip
                grown.append(ticket | _standing(turns, row["reopened"], last))
                told += [(row["lead_id"], event) for event in _told(since, turns, row["reopened"])]
    rows.together(
        connection,
        rows.Write(tables.ticket, new),
        rows.Write(tables.ticket, grown, key="id"),
        rows.Write(tables.ticket_entry, entries),
    )
    telling.tell(connection, told, now)
    ours = sum(code == "not_imported" for code in refused.values())
    return Replayed(len(new), len(known) - ours, len(entries), refused)


def _leads(
    connection: Connection, name: str, cases: Iterable[Case], known: Collection[str]
) -> dict[tuple[str, str], tuple[str, str]]:
    """The lead and person of each customer, locked together with the leads of tickets that are `known`."""
    found: dict[str, tuple[str, str]] = {}
    for key in {case.customer[0] for case in cases}:
        values = sorted({case.customer[1] for case in cases if case.customer[0] == key})
        for row in connection.execute(_LEADS, {"name": name, "kind": key, "values": values}):
            found[row.id] = (key, row.value)
    locked = connection.execute(_LOCK, {"ids": uuid_array(sorted({*found, *known}))}).all()
    if any(row.younger for row in locked):
        raise _Busy
    return {found[row.id]: (row.id, row.person_id) for row in locked if row.id in found and not row.merged_into}


def _kept(connection: Connection, ids: Sequence[str]) -> Mapping[str, Counter[tuple[datetime, str]]]:
    """What is kept of known tickets: by ticket, how often each thing was done at which time."""
    kept: dict[str, Counter[tuple[datetime, str]]] = {ticket: Counter() for ticket in ids}
    found = connection.execute(_ENTRIES, {"ids": uuid_array(ids), "kind": ACTIVITY}) if ids else ()
    for row in found:
        kept[row.ticket_id][row.at, row.activity] += 1
    return kept


def turned(done: Sequence[Done], resolving: Collection[str], *, again: bool = False) -> list[tuple[str, datetime]]:
    """
    Return when a case was `resolved`, and `reopened` by what came after, in order; at the end it is resolved.

    `again`: it was resolved before the first of these.
    """
    turns: list[tuple[str, datetime]] = []
    solved = again
    for each in done:
        if (each.activity in resolving) != solved:
            solved = not solved
            turns.append(("resolved" if solved else "reopened", each.at))
    return turns if solved else [*turns, ("resolved", done[-1].at)]


def _missing(done: Iterable[Done], kept: Counter[tuple[datetime, str]]) -> Iterator[Done]:
    left = kept.copy()
    for each in done:
        if left[each.at, each.activity]:
            left[each.at, each.activity] -= 1
        else:
            yield each


def _ticket(journey: Journey, source: str, case: Case, kind: str, now: datetime) -> dict[str, Any]:
    assert journey.service is not None  # noqa: S101 - the caller has asked for the kind
    return {
        "id": new_id(),
        "journey_name": journey.name,
        "journey": journey.version,
        "kind": kind,
        "priority": journey.service.kinds[kind].priority,
        "status": "closed",
        "source": source,
        "channel": IMPORT,
        "external_id": case.id,
        "opened_at": case.done[0].at,
        "opened_by": IMPORT,
        "entries": len(case.done),
        "updated_at": now,
    }


def _standing(turns: Sequence[tuple[str, datetime]], reopened: int, last: datetime) -> dict[str, Any]:
    """What became of a ticket, which is closed since the last thing that was done about it."""
    times = reopened + sum(turn == "reopened" for turn, _ in turns)
    standing = {"status_since": last, "closed_at": last, "reopened": times}
    return standing | {"resolved_at": turns[-1][1]} if turns else standing


def _told(ticket: Mapping[str, Any], turns: Sequence[tuple[str, datetime]], times: int) -> Iterator[Event]:
    """What is told of a ticket that has been opened: resolved, and again after it was `times` reopened; closed."""
    about = ticket["id"], ticket["kind"], IMPORT
    for turn, at in turns:
        if turn == "reopened":
            times += 1
            yield TicketReopened(*about, times, quiet=True, at=at)
        else:
            took_s = int((at - ticket["opened_at"]).total_seconds())
            yield TicketResolved(*about, None, None, took_s, quiet=True, at=at)
    if turns:
        yield TicketClosed(*about, quiet=True, at=turns[-1][1])


def _entries(ticket_id: str, done: Iterable[Done], behind: int, now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "ticket_id": ticket_id,
            "number": number,
            "at": each.at,
            "recorded_at": now,
            "kind": ACTIVITY,
            "actor": each.agent or IMPORT,
            "channel": IMPORT,
            "body": each.text,
            "data": {"activity": each.activity},
        }
        for number, each in enumerate(done, behind + 1)
    ]
