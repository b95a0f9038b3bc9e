"""
Working people in the database: who is away, what they have, what waits for them; and the queues of the pools.

What is decided from is read after the pools are locked, and whoever frees a place locks its person first: so no lead
begins to wait for somebody in the moment that they become free. A lead that was set aside, with a step that is not due,
holds nobody up. Every statement finds its rows by an index; of a long queue the oldest thousand are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import tables
from schema.errors import Permanent
from schema.store import rows
from schema.store.ids import is_id, new_id, uuid_array

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

MOST_WOKEN: Final = 200
"""Leads of one queue that are looked at in one go, however many places there are; those that are served wake more."""
MOST_COUNTED: Final = 10_000
"""Up to here leads are counted where people are shown; more cost more than anybody wants to know."""

_KNOWN: Final = text("""
SELECT NULL AS journey, NULL AS pool, person, from_at AS since, until_at AS until FROM absence WHERE until_at > :now
UNION ALL
SELECT NULL, NULL, person, from_at, until_at FROM absence WHERE until_at IS NULL
UNION ALL
SELECT CASE WHEN due THEN '' ELSE journey END, name, waits_for, min(waiting_since), NULL
FROM pool CROSS JOIN LATERAL (
    SELECT journey, waiting_since, due_since IS NOT NULL AS due, assignment -> 'waits_for' AS people FROM lead
    WHERE journey_name = pool.journey_name AND pool = pool.name AND waiting_since IS NOT NULL
      AND (next_step IS NULL OR due_since IS NOT NULL) AND id <> ALL(CAST(:in_hand AS uuid[]))
    ORDER BY waiting_since LIMIT 1000
) AS queue CROSS JOIN LATERAL jsonb_array_elements_text(COALESCE(people, '[]')) AS waits_for
WHERE journey_name = ANY(CAST(:names AS text[])) GROUP BY 1, 2, 3
""")
_LOCK: Final = text("""
SELECT pg_advisory_xact_lock(hashtextextended(person, 1953003122))
FROM (SELECT person FROM unnest(CAST(:people AS text[])) AS wanted(person) ORDER BY person) AS ordered
""")
_OPEN: Final = text("""
SELECT owner, count(*) AS leads FROM lead WHERE open AND owner = ANY(CAST(:people AS text[])) GROUP BY owner
""")
_RECENT: Final = text("""
SELECT wanted.person, given.at
FROM jsonb_to_recordset(CAST(:windows AS jsonb)) AS wanted(person text, most int)
CROSS JOIN LATERAL (
    SELECT at FROM assignment WHERE person = wanted.person ORDER BY at DESC LIMIT wanted.most
) AS given ORDER BY given.at
""")
_OLDER: Final = text("""
SELECT mine.number FROM jsonb_to_recordset(CAST(:queued AS jsonb))
    AS mine(number int, journey_name text, pool text, journey text, waits_for jsonb, since timestamptz)
WHERE EXISTS (
    SELECT FROM (
        SELECT id, journey, assignment FROM lead
        WHERE journey_name = mine.journey_name AND pool = mine.pool AND waiting_since <= mine.since
          AND (next_step IS NULL OR due_since IS NOT NULL)
        ORDER BY waiting_since LIMIT 1000
    ) AS older
    WHERE older.journey = mine.journey AND older.assignment -> 'waits_for' = mine.waits_for
      AND older.id <> ALL(CAST(:in_hand AS uuid[]))
)
""")
_WAKE: Final = text("""
UPDATE lead SET due_since = :now, next_step = 'route', wake_at = NULL
WHERE id = ANY(ARRAY(
    SELECT waiting.id FROM jsonb_to_recordset(CAST(:wanted AS jsonb))
        AS wanted(journey_name text, pool text, person text, waits_for jsonb, most int)
    JOIN pool ON pool.journey_name = COALESCE(wanted.journey_name, pool.journey_name)
             AND pool.name = COALESCE(wanted.pool, pool.name)
    CROSS JOIN LATERAL (
        SELECT id FROM lead
        WHERE journey_name = pool.journey_name AND pool = pool.name AND waiting_since IS NOT NULL
          AND next_step IS NULL AND due_since IS NULL
          AND (wanted.person IS NULL OR jsonb_exists(assignment -> 'waits_for', wanted.person))
          AND (wanted.waits_for IS NULL OR assignment -> 'waits_for' = wanted.waits_for)
        ORDER BY waiting_since, id LIMIT wanted.most FOR UPDATE SKIP LOCKED
    ) AS waiting
)) RETURNING id
""")
_UNACCEPTED: Final = text("""
UPDATE lead SET due_since = :now, next_step = 'route', wake_at = NULL
WHERE id = ANY(ARRAY(
    SELECT id FROM lead WHERE open AND owner = :person AND next_step IS NULL AND due_since IS NULL
      AND assignment ? 'accept_by' AND NOT assignment ? 'accepted_at' FOR UPDATE SKIP LOCKED
)) RETURNING id
""")
_LAST: Final = text("""
SELECT DISTINCT ON (person_id) person_id, owner, updated_at FROM lead
WHERE person_id = ANY(CAST(:people AS uuid[])) AND id <> ALL(CAST(:in_hand AS uuid[])) AND owner IS NOT NULL
ORDER BY person_id, id DESC
""")
_LOCK_ALL: Final = text("SELECT FROM pool ORDER BY journey_name, name FOR UPDATE")
_BACK: Final = text("""
DELETE FROM absence WHERE id = ANY(ARRAY(
    SELECT id FROM absence WHERE until_at > :now AND person = :person
  UNION ALL
    SELECT id FROM absence WHERE until_at IS NULL AND person = :person
)) AND (id = CAST(:id AS uuid) OR (CAST(:id AS uuid) IS NULL AND from_at <= :now)) RETURNING id
""")
_ABSENCES: Final = text("""
SELECT id, person, kind, from_at, until_at FROM absence WHERE until_at > :now
UNION ALL SELECT id, person, kind, from_at, until_at FROM absence WHERE until_at IS NULL
ORDER BY person, from_at
""")
# Owners one after the other by the index, however many leads each has.
_OWNERS: Final = text("""
WITH RECURSIVE owners AS (
    (SELECT owner FROM lead WHERE open AND owner IS NOT NULL ORDER BY owner LIMIT 1)
  UNION ALL
    SELECT (SELECT owner FROM lead WHERE open AND owner > owners.owner ORDER BY owner LIMIT 1)
    FROM owners WHERE owner IS NOT NULL
)
SELECT owner, count(*) AS leads, count(*) FILTER (WHERE to_accept) AS to_accept
FROM owners CROSS JOIN LATERAL (
    SELECT assignment ? 'accept_by' AND NOT assignment ? 'accepted_at' AS to_accept FROM lead
    WHERE open AND owner = owners.owner LIMIT :most
) AS theirs WHERE owner IS NOT NULL GROUP BY owner
""")
_QUEUES: Final = text("""
SELECT pool.journey_name AS journey, name AS pool, count(*) AS waiting, min(waiting_since) AS oldest_since
FROM pool CROSS JOIN LATERAL (
    SELECT waiting_since FROM lead
    WHERE journey_name = pool.journey_name AND pool = pool.name AND waiting_since IS NOT NULL
    ORDER BY waiting_since LIMIT :most
) AS queue GROUP BY pool.journey_name, name ORDER BY pool.journey_name, name
""")


def known(connection: Connection, names: Collection[str], in_hand: Iterable[str], now: datetime) -> Sequence[Row[Any]]:
    """
    Return absences that are not over, and since when leads wait for whom: rows (journey, pool, person, since, until).

    An absence has no pool. A lead that waits has its journey's version, or an empty one where it is looked at just now,
    whoever asks. Leads in hand are left out.
    """
    wanted = {"names": list(names), "in_hand": uuid_array(in_hand), "now": now}
    return connection.execute(_KNOWN, wanted).all()


def lock(connection: Connection, people: Collection[str]) -> None:
    """Have nobody else count these people's leads, or free their places, until this transaction ends."""
    connection.execute(_LOCK, {"people": list(people)})


def open_leads(connection: Connection, people: Collection[str]) -> dict[str, int]:
    """Return how many open leads each of these people has; nothing for none."""
    return {row.owner: row.leads for row in connection.execute(_OPEN, {"people": list(people)})}


def recent(connection: Connection, most: Mapping[str, int]) -> dict[str, list[datetime]]:
    """Return when each person was given their latest leads, at most so many, oldest first."""
    windows = rows.as_json([{"person": person, "most": number} for person, number in most.items()])
    found: dict[str, list[datetime]] = {}
    for row in connection.execute(_RECENT, {"windows": windows}):
        found.setdefault(row.person, []).append(row.at)
    return found


def behind(connection: Connection, queued: Sequence[Mapping[str, Any]], in_hand: Iterable[str]) -> set[int]:
    """Return the `number` of those for which an older lead waits in the same queue for the same people."""
    wanted = {"queued": rows.as_json(queued), "in_hand": uuid_array(in_hand)}
    return set(connection.execute(_OLDER, wanted).scalars())


def wake(connection: Connection, wanted: Sequence[Mapping[str, Any]], now: datetime) -> list[str]:
    """
    Make the oldest waiting leads due for `route`; return their ids.

    Each of `wanted` names how many (`most`), and maybe of which queue (`journey_name`, `pool`) and whom they wait for
    (`person`: at least for them; `waits_for`: exactly for these); None asks for any.
    """
    return list(connection.execute(_WAKE, {"wanted": rows.as_json(wanted), "now": now}).scalars())


def last_owners(
    connection: Connection, people: Iterable[str], in_hand: Iterable[str]
) -> dict[str, tuple[str, datetime]]:
    """Return who had the latest lead of each person, and until when; leads in hand are left out."""
    wanted = {"people": uuid_array(people), "in_hand": uuid_array(in_hand)}
    return {row.person_id: (row.owner, row.updated_at) for row in connection.execute(_LAST, wanted)}


def absences(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    """Return the absences that are not over."""
    return [dict(row) for row in connection.execute(_ABSENCES, {"now": now}).mappings()]


def go_away(
    connection: Connection,
    person: str,
    kind: str,
    start: datetime,
    end: datetime | None,
    actor: str,
    now: datetime,
) -> tuple[dict[str, Any], list[str]]:
    """
    Keep an absence; return it, and the leads that are to be looked at because nobody accepted them yet.

    :raises Permanent: `absence_backwards`, it ends before it begins; `absence_over`, it has ended already
    """
    if end is not None and end <= start:
        raise Permanent("absence_backwards", "An absence ends after it begins.")
    if end is not None and end <= now:
        raise Permanent("absence_over", "This absence is over already.")
    connection.execute(_LOCK_ALL)
    row = {"id": new_id(), "person": person, "kind": kind, "from_at": start, "until_at": end,
           "created_at": now, "created_by": actor}  # fmt: skip
    rows.insert(connection, tables.absence, [row])
    woken = connection.execute(_UNACCEPTED, {"person": person, "now": now}).scalars() if start <= now else ()
    return {name: row[name] for name in ("id", "person", "kind", "from_at", "until_at")}, list(woken)


def come_back(
    connection: Connection, person: str, absence_id: str | None, now: datetime
) -> tuple[list[str], list[str]]:
    """
    Take back an absence, or (None) all that somebody is in now; return their ids, and the waiting leads to look at.

    :raises Permanent: `absence_unknown`
    """
    if absence_id is not None and not is_id(absence_id):
        raise Permanent("absence_unknown", "There is no such absence.")
    connection.execute(_LOCK_ALL)
    found = list(connection.execute(_BACK, {"person": person, "id": absence_id, "now": now}).scalars())
    if absence_id is not None and not found:
        raise Permanent("absence_unknown", "There is no such absence.")
    wanted = {"journey_name": None, "pool": None, "person": person, "waits_for": None, "most": MOST_WOKEN}
    return found, wake(connection, [wanted], now) if found else []


def loads(connection: Connection) -> dict[str, tuple[int, int]]:
    """Return for everybody who has open leads how many, up to `MOST_COUNTED`, and how many they have not accepted."""
    found = connection.execute(_OWNERS, {"most": MOST_COUNTED})
    return {row.owner: (row.leads, row.to_accept) for row in found}


def queues(connection: Connection) -> list[dict[str, Any]]:
    """Return each queue in which leads wait: journey, pool, how many (up to `MOST_COUNTED`), since when the oldest."""
    return [dict(row) for row in connection.execute(_QUEUES, {"most": MOST_COUNTED}).mappings()]
