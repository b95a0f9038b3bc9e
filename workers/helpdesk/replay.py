"""
Replaying another help desk's log into tickets: a ticket for each case, an entry for each thing that was done.

What happened is kept with its own name and time, and nothing follows from it: no turn, no clock, no event. The tickets
are closed. Set-based, a portion at a time, with the leads locked; told again, only what is new is added.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import text

from schema import tables
from schema.store import rows
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
SELECT id, person_id FROM lead WHERE id = ANY(CAST(:ids AS uuid[])) AND merged_into IS NULL ORDER BY id FOR UPDATE
""")
_KNOWN: Final = text("""
SELECT id, external_id, lead_id, entries, opened_by, opened_at, status_since, resolved_at, closed_at, reopened
FROM ticket
WHERE source = :source AND external_id = ANY(CAST(:cases AS text[]))
""")
_ENTRIES: Final = text("""
SELECT ticket_id, at, data ->> 'activity' AS activity FROM ticket_entry
WHERE ticket_id = ANY(CAST(:ids AS uuid[])) AND kind = :kind
""")


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


def replay(
    engine: Engine,
    journey: Journey,
    source: str,
    cases: Sequence[Case],
    *,
    kind: str,
    resolves: Collection[str] = (),
    now: datetime,
) -> Iterator[Replayed]:
    """
    Keep these cases, each `PORTION` in a transaction; the people they are about have leads already.

    `resolves` are the names of what resolves a case: what is done after it was reopened for.

    Refused are, by case: `lead_unknown`, `lead_busy` (people are merged just now), `not_imported` (a ticket of ours).
    """
    for first in range(0, len(cases), PORTION):
        with engine.begin() as connection:
            portion = cases[first : first + PORTION]
            yield _portion(connection, journey, source, portion, kind, frozenset(resolves), now)


def _portion(
    connection: Connection,
    journey: Journey,
    source: str,
    cases: Sequence[Case],
    kind: str,
    resolves: frozenset[str],
    now: datetime,
) -> Replayed:
    leads = _leads(connection, journey.name, cases)
    wanted = {"source": source, "cases": [case.id for case in cases]}
    known = {row["external_id"]: row for row in connection.execute(_KNOWN, wanted).mappings()}
    kept = _kept(connection, [row["id"] for row in known.values()])
    new: list[dict[str, Any]] = []
    grown: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    refused: dict[str, str] = {}
    for case in cases:
        row = known.get(case.id)
        if row is not None and row["opened_by"] != IMPORT:
            refused[case.id] = "not_imported"
        elif row is None and case.customer not in leads:
            refused[case.id] = "lead_unknown"
        elif row is None:
            lead_id, person_id = leads[case.customer]
            ticket = _ticket(journey, source, case, kind, now) | _course(case.done, resolves)
            ticket |= {"lead_id": lead_id, "person_id": person_id}
            new.append(ticket)
            entries += _entries(ticket["id"], case.done, 0, now)
        else:
            before = kept[row["id"]]
            added = list(_missing(case.done, before))
            every = sorted([*(Done(*each) for each in before.elements()), *added], key=lambda done: done.at)
            course = _course(every, resolves)
            if not resolves:
                course["reopened"] = row["reopened"]
            if added or (resolves and any(row[name] != value for name, value in course.items())):
                entries += _entries(row["id"], added, row["entries"], now)
                grown.append({"id": row["id"], "entries": row["entries"] + len(added), "updated_at": now} | course)
    rows.together(
        connection,
        rows.Write(tables.ticket, new),
        rows.Write(tables.ticket, grown, key="id"),
        rows.Write(tables.ticket_entry, entries),
    )
    ours = sum(code == "not_imported" for code in refused.values())
    return Replayed(len(new), len(known) - ours, len(entries), refused)


def _leads(connection: Connection, name: str, cases: Iterable[Case]) -> dict[tuple[str, str], tuple[str, str]]:
    """The lead and person of each customer, locked."""
    found: dict[str, tuple[str, str]] = {}
    for key in {case.customer[0] for case in cases}:
        values = sorted({case.customer[1] for case in cases if case.customer[0] == key})
        for row in connection.execute(_LEADS, {"name": name, "kind": key, "values": values}):
            found[row.id] = (key, row.value)
    locked = connection.execute(_LOCK, {"ids": uuid_array(found)}) if found else ()
    return {found[row.id]: (row.id, row.person_id) for row in locked}


def _kept(connection: Connection, ids: Sequence[str]) -> Mapping[str, Counter[tuple[datetime, str]]]:
    """What is kept of known tickets: by ticket, how often each thing was done at which time."""
    kept: dict[str, Counter[tuple[datetime, str]]] = {ticket: Counter() for ticket in ids}
    found = connection.execute(_ENTRIES, {"ids": uuid_array(ids), "kind": ACTIVITY}) if ids else ()
    for row in found:
        kept[row.ticket_id][row.at, row.activity] += 1
    return kept


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
        "opened_by": IMPORT,
        "entries": len(case.done),
        "updated_at": now,
    }


def _course(done: Sequence[Done], resolves: frozenset[str]) -> dict[str, Any]:
    """When a case was opened, resolved for the last time and closed, and how often it was reopened in between."""
    last = done[-1].at
    return {
        "opened_at": done[0].at,
        "status_since": last,
        "resolved_at": max((each.at for each in done if each.activity in resolves), default=last),
        "closed_at": last,
        "reopened": sum(each.activity in resolves and then.activity not in resolves for each, then in pairwise(done)),
    }


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
