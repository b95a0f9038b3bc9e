"""
Reading tickets: lists in pages, one with everything that was said and done about it, and what people have open.

Every statement finds its rows by an index: lists by lead, by owner, by what is searched for, else by status.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import text

from schema.store import clock, clocks, reading, rows
from schema.store.ids import is_id, uuid_array
from schema.tables.ticket import STATUSES
from schema.ticketing import COMPLAINT, LEADS_TO, UNSOLVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, TextClause

LARGEST_PAGE: Final = 200
MOST_ENTRIES: Final = 500
"""Entries that stand with a ticket; there are pages for the others."""
NOBODY: Final = "nobody"
"""As an owner: of tickets that nobody has."""
_NOT_CLOSED: Final = tuple(status for status in STATUSES if status != "closed")
_MOST_DIGITS: Final = 18
_MOST_IN_THREAD: Final = 20

_SHOWN: Final = """
t.id, t.number, t.lead_id, t.person_id, t.journey_name, t.journey, t.kind, t.priority, t.status, t.subject, t.desk,
t.owner, t.waiting_since, t.source, t.channel, t.external_id, t.refers_to, t.root_cause, t.resolution, t.sla,
t.opened_at, t.opened_by, t.status_since, t.first_response_at, t.resolved_at, t.closed_at, t.closes_at, t.reopened,
t.entries, t.updated_at, p.name AS person_name, p.email AS person_email, p.phone AS person_phone
"""
_TICKETS: Final = text(f"""
SELECT {_SHOWN} FROM ticket AS t JOIN person AS p ON p.id = t.person_id
WHERE t.id = ANY(CAST(:ids AS uuid[])) ORDER BY t.id DESC
""")  # noqa: S608 - our own text
_BY_NUMBER: Final = text("SELECT id FROM ticket WHERE number = :number")
_ENTRIES: Final = text("""
SELECT e.number, e.at, e.recorded_at, e.kind, e.actor, e.channel, e.body, e.machine, e.touchpoint_id, e.data,
       CASE WHEN s.bounced_at IS NULL THEN s.state ELSE 'bounced' END AS sent, s.reason AS sent_reason
FROM ticket_entry AS e LEFT JOIN send AS s ON s.id = CAST(e.data ->> 'send' AS uuid)
WHERE e.ticket_id = CAST(:id AS uuid) AND e.number > :after ORDER BY e.number LIMIT :limit
""")
_CONDITIONS: Final = {
    "lead": "lead_id = CAST(:lead AS uuid)",
    "owner": "owner = :owner",
    "unowned": "owner IS NULL",
    "desk": "desk = :desk",
    "kind": "kind = :kind",
    "found": "(number = :number OR external_id = :called OR person_id = ANY(CAST(:people AS uuid[])))",
    "cursor": "id < CAST(:cursor AS uuid)",
}
_ANSWERS: Final = text("""
SELECT r.send_id, e.body AS text, t.subject, t.number, t.source, ARRAY(
    SELECT message_id FROM message WHERE ticket_id = t.id ORDER BY at DESC LIMIT :most
) AS thread
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(send_id uuid, ticket uuid, entry int)
JOIN ticket AS t ON t.id = r.ticket JOIN ticket_entry AS e ON e.ticket_id = t.id AND e.number = r.entry
""")
_COUNTED: Final = text("""
SELECT person_id, count(*) AS open, count(*) FILTER (WHERE kind = :complaint) AS complaints
FROM ticket WHERE person_id = ANY(CAST(:ids AS uuid[])) AND status = ANY(CAST(:statuses AS text[]))
GROUP BY person_id
""")


def _number(called: str) -> int:
    """The number of a ticket as people write it, `#123` or `123`; 0 for anything else."""
    digits = called.strip().removeprefix("#")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS else 0


class Asked(NamedTuple):
    """
    Which tickets are asked for.

    Without a `status` those that are not closed; with a lead or `q`, all. `q` is a ticket's number or what another
    system calls it, or whatever finds a lead: an address, a telephone number, the beginning of a name. The owner
    `NOBODY` finds those that nobody has.
    """

    status: str | None = None
    owner: str | None = None
    desk: str | None = None
    kind: str | None = None
    lead: str | None = None
    q: str | None = None


def tickets(
    connection: Connection, asked: Asked, *, cursor: str | None = None, limit: int = 50, now: datetime | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return tickets with their clocks, the newest first, and the cursor of the next page (None: there is none)."""
    given: dict[str, Any] = {"lead": asked.lead, "desk": asked.desk, "kind": asked.kind, "cursor": cursor}
    given["unowned" if asked.owner == NOBODY else "owner"] = asked.owner
    if asked.q is not None and asked.q.strip():
        given |= {
            "found": True,
            "number": _number(asked.q),
            "called": asked.q.strip(),
            "people": uuid_array(reading.people(connection, asked.q)),
        }
    given = {name: value for name, value in given.items() if value is not None}
    by = frozenset(given.keys() & _CONDITIONS.keys())
    statuses = (asked.status,) if asked.status else STATUSES if {"lead", "found"} & by else _NOT_CLOSED
    narrow = bool({"lead", "found"} & by)
    parameters = given | {"statuses": list(statuses), "limit": limit + 1}
    ids = list(connection.execute(_page(by, closed="closed" in statuses, narrow=narrow), parameters).scalars())
    return shown(connection, ids[:limit], now=now), ids[limit - 1] if len(ids) > limit else None


@cache
def _page(asked: frozenset[str], *, closed: bool, narrow: bool) -> TextClause:
    """The ids of a page: by the index of what is asked for, else of each status, the latest of all of them."""
    where = [condition for name, condition in _CONDITIONS.items() if name in asked]
    if narrow:
        by_status = ["status = ANY(CAST(:statuses AS text[]))"]
        return text(f"SELECT id FROM ticket WHERE {' AND '.join(by_status + where)} ORDER BY id DESC LIMIT :limit")  # noqa: S608 - our own texts
    # Whose they are has indexes of its own; those of nobody or of somebody may be few among many that are open.
    whose = bool({"owner", "unowned"} & asked)
    one = ["status = one.status", *where, *([] if closed or whose else ["status <> 'closed'"])]
    return text(f"""
        SELECT found.id FROM unnest(CAST(:statuses AS text[])) AS one(status) CROSS JOIN LATERAL (
            SELECT id FROM ticket WHERE {" AND ".join(one)} ORDER BY id DESC LIMIT :limit
        ) AS found ORDER BY found.id DESC LIMIT :limit
    """)  # noqa: S608 - our own texts


def shown(connection: Connection, ids: Iterable[str], *, now: datetime | None = None) -> list[dict[str, Any]]:
    """Return tickets as people are shown them, the newest first, with their clocks."""
    wanted = uuid_array(ids)
    found = [dict(row) for row in connection.execute(_TICKETS, {"ids": wanted}).mappings()] if wanted != "{}" else []
    running = clocks.shown(connection, [row["id"] for row in found], now or clock.now()) if found else {}
    return [_ticket(row) | {"clocks": running[row["id"]]} for row in found]


def ticket(
    connection: Connection,
    ticket_id: str,
    *,
    after: int = 0,
    limit: int = MOST_ENTRIES,
    now: datetime | None = None,
) -> dict[str, Any] | None:
    """
    Return one ticket with its thread from the entry behind `after` on, by its id or number; None if there is none.

    `next` is the `after` of the next page of entries. Notes are for colleagues: whoever shows this to a customer leaves
    out entries that are not `public`.
    """
    known = id_of(connection, ticket_id)
    found = next(iter(shown(connection, [known] if known else [], now=now)), None)
    if found is None:
        return None
    asked = {"id": found["id"], "after": after, "limit": limit + 1}
    thread = [dict(entry) for entry in connection.execute(_ENTRIES, asked).mappings()]
    entries = [entry | {"public": entry["kind"] in {"message_in", "message_out"}} for entry in thread[:limit]]
    return found | {"thread": entries, "next": entries[-1]["number"] if len(thread) > limit else None}


def id_of(connection: Connection, called: str) -> str | None:
    """Return the id of a ticket that is called by its id or its number; None where there cannot be one."""
    if is_id(called):
        return called
    number = _number(called)
    found = connection.execute(_BY_NUMBER, {"number": number}).scalar_one_or_none() if number else None
    return str(found) if found else None


def answers(connection: Connection, sends: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """
    Return what these sends are to say, by their ids: `text`, the ticket's `subject`, `number` and `source`.

    `thread` are the message ids of its mails, the oldest first; of many the latest.
    """
    wanted = [
        {"send_id": send["id"], "ticket": send["data"]["ticket"], "entry": send["data"]["entry"]} for send in sends
    ]
    given = {"rows": rows.as_json(wanted), "most": _MOST_IN_THREAD}
    found = connection.execute(_ANSWERS, given).mappings() if wanted else ()
    return {row["send_id"]: {**row, "thread": list(reversed(row["thread"]))} for row in found}


def _ticket(row: dict[str, Any]) -> dict[str, Any]:
    person = {name: row.pop(f"person_{name}") for name in ("id", "name", "email", "phone")}
    return row | {"person": person, "possible": list(LEADS_TO[row["status"]])}


def counted(connection: Connection, person_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return how many tickets of each person are not resolved, as rules see it: `open`, and of them `complaints`."""
    wanted = {"ids": uuid_array(person_ids), "statuses": list(UNSOLVED), "complaint": COMPLAINT}
    found = connection.execute(_COUNTED, wanted)
    return {row.person_id: {"open": row.open, "complaints": row.complaints} for row in found}
