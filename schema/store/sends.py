"""
The ledger of sends: claiming what is due, writing down how it went, and what came back of it.

A claim is one transaction that takes a few due sends and makes them `sending`; it is known by its `claimed_at`. What
became of it is written in another one. In between the message is handed over, and nobody else has it. A claim whose
worker ended is `unknown` after a while: nobody can tell whether the mail went out, so nobody sends it again by itself.

Rows are locked in the order enrolments, sends; a claim locks sends only, and never waits for one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import text

from schema import tables
from schema.store import rows
from schema.store.campaigns import STANDS_STILL
from schema.store.ids import is_id, uuid_array

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection, RowMapping

SERVICE, MARKETING = 0, 1
"""Lanes: what somebody waits for goes before what they only want to hear."""
PARKED_UNTIL: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""When a send is due whose campaign stands still: never by itself."""
_PARKED_AT_ONCE: Final = 5_000

_DUE: Final = text("""
SELECT s.* FROM send AS s
WHERE state = 'planned' AND lane = :lane AND due_at <= :now AND journey <> ALL(CAST(:unread AS text[]))
ORDER BY due_at LIMIT :most FOR UPDATE SKIP LOCKED
""")
_STILL: Final = text(f"""
SELECT DISTINCT place.journey_name, place.campaign
FROM jsonb_to_recordset(CAST(:places AS jsonb)) AS place(journey_name text, campaign text)
WHERE {STANDS_STILL.format(of="place")}
""")  # noqa: S608 - made of texts of ours
_PARK: Final = text("""
UPDATE send SET due_at = :until, reason = 'campaign_paused' WHERE id = ANY(ARRAY(
    SELECT id FROM send WHERE state = 'planned' AND lane = :lane AND due_at <= :now
      AND journey_name = :journey_name AND campaign = :campaign
    ORDER BY due_at LIMIT :most FOR UPDATE SKIP LOCKED
))
""")
_UNPARK: Final = text(f"""
UPDATE send SET due_at = :now, reason = NULL WHERE id = ANY(ARRAY(
    SELECT parked.id FROM send AS parked
    WHERE state = 'planned' AND lane = ANY('{{0,1}}') AND due_at = :until AND NOT {STANDS_STILL.format(of="parked")}
    LIMIT :most FOR UPDATE SKIP LOCKED
))
""")  # noqa: S608 - made of texts of ours
# Who has a person's lock decides about all of their marketing; nobody waits for it.
_MINE: Final = text("""
SELECT id FROM unnest(CAST(:people AS uuid[])) AS wanted(id)
WHERE pg_try_advisory_xact_lock(hashtextextended('send ' || id::text, 0))
""")
_SIBLINGS: Final = text("""
SELECT s.* FROM send AS s
WHERE person_id = ANY(CAST(:people AS uuid[])) AND state = 'planned' AND lane = 1 AND due_at <= :now
  AND id <> ALL(CAST(:ids AS uuid[])) AND journey <> ALL(CAST(:unread AS text[]))
ORDER BY id FOR UPDATE SKIP LOCKED
""")
_RECENT: Final = text("""
SELECT person_id, claimed_at FROM send
WHERE person_id = ANY(CAST(:people AS uuid[])) AND claimed_at > :since AND lane = 1
  AND state IN ('sending', 'sent', 'unknown')
""")
_ASKED: Final = text("""
SELECT person_id, count(*) AS times FROM send
WHERE person_id = ANY(CAST(:people AS uuid[])) AND claimed_at > :since AND campaign = 'opt_in'
  AND state IN ('sending', 'sent', 'unknown')
GROUP BY person_id
""")
_ENROLMENTS: Final = text("SELECT * FROM enrolment WHERE id = ANY(CAST(:ids AS uuid[]))")
# Whoever comes late with an answer, after the row was given up as unknown, may still say how it went.
_SETTLE: Final = text("""
UPDATE send AS s SET state = r.state, reason = r.reason, reply = r.reply, due_at = r.due_at, attempts = r.attempts,
    settled_at = r.settled_at, bounced_at = COALESCE(r.bounced_at, s.bounced_at)
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
    id uuid, claimed_at timestamptz, state text, reason text, reply text, due_at timestamptz, attempts smallint,
    settled_at timestamptz, bounced_at timestamptz)
WHERE s.id = r.id AND s.claimed_at = r.claimed_at AND s.state IN ('sending', 'unknown')
RETURNING s.id, s.state
""")
_SKIP: Final = text("""
UPDATE send AS s SET state = 'skipped', reason = r.reason, due_at = NULL, settled_at = :now
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, reason text)
WHERE s.id = r.id AND s.state = 'planned'
""")
_WAKE: Final = text("""
UPDATE enrolment SET due_at = :now WHERE id = ANY(ARRAY(
    SELECT id FROM enrolment WHERE id = ANY(CAST(:ids AS uuid[])) AND outcome IS NULL ORDER BY id FOR UPDATE
))
RETURNING id
""")
_LOST: Final = text("""
SELECT id, enrolment_id, attempts, claimed_at FROM send WHERE state = 'sending' AND claimed_at < :before
ORDER BY claimed_at LIMIT :most
""")
_OWES: Final = text("""
SELECT EXISTS (SELECT FROM send WHERE state = 'planned' AND lane = 0 AND due_at <= :now)
    OR EXISTS (SELECT FROM send WHERE state = 'planned' AND lane = 1 AND due_at <= :now)
    OR EXISTS (SELECT FROM send WHERE state = 'sending' AND claimed_at < :before)
    OR EXISTS (SELECT FROM send WHERE state = 'planned' AND lane = ANY('{0,1}') AND due_at = :until)
""")
_ONE: Final = text("SELECT * FROM send WHERE id = CAST(:id AS uuid)")
_SHOWN: Final = """
SELECT id, state, reason, reply, journey_name, campaign, step, person_id, lead_id, planned_at, due_at, claimed_at,
       settled_at, attempts
FROM send WHERE (CAST(:cursor AS uuid) IS NULL OR id < CAST(:cursor AS uuid)) AND
"""
_LIST: Final = text(f"{_SHOWN} (CAST(:state AS text) IS NULL OR state = :state) ORDER BY id DESC LIMIT :most")
# In these words, so that the few are found by their own index.
_LIST_UNKNOWN: Final = text(f"{_SHOWN} state = 'unknown' ORDER BY id DESC LIMIT :most")
_COUNT: Final = text("""
SELECT (SELECT count(*) FROM send WHERE state = 'unknown') AS unknown,
       (SELECT count(*) FROM (
           SELECT FROM send WHERE state = 'planned' AND lane = 0 AND due_at <= :now LIMIT :most) AS d) AS service_due,
       (SELECT count(*) FROM (
           SELECT FROM send WHERE state = 'planned' AND lane = 1 AND due_at <= :now LIMIT :most) AS d) AS marketing_due
""")
_RESOLVE: Final = text("""
UPDATE send SET state = :state, reason = :reason, due_at = :due_at, settled_at = :settled_at
WHERE id = CAST(:id AS uuid) AND state = 'unknown' RETURNING enrolment_id
""")
_TOLD: Final = {
    what: text(f"""
UPDATE send AS s SET {what}_at = r.at
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, at timestamptz)
WHERE s.id = r.id AND s.{what}_at IS NULL
""")  # noqa: S608 - columns of ours
    for what in ("opened", "clicked", "replied", "bounced", "complained", "unsubscribed")
}
_LATEST: Final = text("""
SELECT s.id FROM send AS s
WHERE s.person_id = CAST(:person AS uuid) AND s.claimed_at > :since AND s.state IN ('sent', 'sending', 'unknown')
ORDER BY s.claimed_at DESC LIMIT 1
""")


class Settled(NamedTuple):
    """How a send in hand went: its new state and why, what was answered, and when it is due again if it is."""

    id: str
    claimed_at: datetime
    enrolment_id: str | None
    state: str
    attempts: int
    reason: str | None = None
    reply: str | None = None
    due_at: datetime | None = None
    bounced_at: datetime | None = None


def due(connection: Connection, lane: int, now: datetime, unread: Collection[str], most: int) -> list[RowMapping]:
    """Lock the sends of a lane that are due, the oldest first, but what follows a version that cannot be read."""
    wanted = {"lane": lane, "now": now, "unread": sorted(unread), "most": most}
    return list(connection.execute(_DUE, wanted).mappings())


def park(connection: Connection, found: Sequence[RowMapping], now: datetime) -> list[RowMapping]:
    """Set aside what is due of campaigns that stand still, also beyond `found`; return what is left of it."""
    places = {(row["journey_name"], row["campaign"], row["lane"]) for row in found}
    named = [{"journey_name": name, "campaign": campaign} for name, campaign, _ in places]
    if not named:
        return []
    still = {tuple(row) for row in connection.execute(_STILL, {"places": rows.as_json(named)})}
    for name, campaign, lane in places:
        if (name, campaign) in still:
            place = {"journey_name": name, "campaign": campaign, "lane": lane}
            connection.execute(_PARK, place | {"now": now, "until": PARKED_UNTIL, "most": _PARKED_AT_ONCE})
    return [row for row in found if (row["journey_name"], row["campaign"]) not in still]


def unpark(connection: Connection, now: datetime) -> int:
    """Make what was set aside due whose campaign goes on; return how many, at most a portion."""
    parameters = {"now": now, "until": PARKED_UNTIL, "most": _PARKED_AT_ONCE}
    return connection.execute(_UNPARK, parameters).rowcount


def lock_people(connection: Connection, people: Collection[str]) -> set[str]:
    """Return those of the people whose marketing nobody else decides about until this transaction ends."""
    return set(connection.execute(_MINE, {"people": uuid_array(sorted(people))}).scalars()) if people else set()


def siblings(
    connection: Connection, people: Collection[str], ids: Collection[str], now: datetime, unread: Collection[str]
) -> list[RowMapping]:
    """Lock the other marketing that is due to these people."""
    wanted = {"people": uuid_array(people), "ids": uuid_array(ids), "now": now, "unread": sorted(unread)}
    return list(connection.execute(_SIBLINGS, wanted).mappings()) if people else []


def recent(connection: Connection, people: Collection[str], since: datetime) -> dict[str, list[datetime]]:
    """Return when marketing went out to each of these people since a moment, or may have."""
    found: dict[str, list[datetime]] = {}
    if people:
        for row in connection.execute(_RECENT, {"people": uuid_array(people), "since": since}):
            found.setdefault(row.person_id, []).append(row.claimed_at)
    return found


def asked(connection: Connection, people: Collection[str], now: datetime) -> dict[str, int]:
    """Return how often each of these people was asked to confirm a consent within a day, as far as they were."""
    if not people:
        return {}
    found = connection.execute(_ASKED, {"people": uuid_array(people), "since": now - timedelta(days=1)})
    return {row.person_id: row.times for row in found}


def enrolments(connection: Connection, ids: Collection[str]) -> dict[str, RowMapping]:
    """Return the enrolments that planned sends, by id."""
    answer = connection.execute(_ENROLMENTS, {"ids": uuid_array(ids)}).mappings() if ids else ()
    return {row["id"]: row for row in answer}


def take(connection: Connection, going: Sequence[Mapping[str, Any]], later: Sequence[Mapping[str, Any]]) -> None:
    """Make those that go `sending`, with what is to be kept of them, and put the others off."""
    messages = [
        {name: row[name] for name in ("message_id", "lead_id", "at")}
        | {"direction": "out", "ticket_id": row.get("ticket_id")}
        for row in going
        if row["lead_id"]  # what goes to one of our own people is about no single one
    ]
    taken = [{name: value for name, value in row.items() if name in tables.send.c} for row in going]
    for row in taken:
        row.pop("lead_id")
    rows.together(
        connection,
        rows.Write(tables.message, messages, "ORDER BY message_id ON CONFLICT DO NOTHING"),
        rows.Write(tables.send, taken, key="id"),
    )
    rows.update(connection, tables.send, "id", later)


def settle(connection: Connection, settled: Sequence[Settled], now: datetime) -> list[str]:
    """
    Write down how claims went, and have the enrolments of those that are over looked at; return their ids.

    A row that another claim has by now is left alone.
    """
    over = sorted({s.enrolment_id for s in settled if s.due_at is None and s.enrolment_id})
    woken = _wake(connection, over, now)
    found = [s._asdict() | {"settled_at": None if s.due_at else now} for s in settled]
    for row in found:
        row.pop("enrolment_id")
    connection.execute(_SETTLE, {"rows": rows.as_json(found)})
    return woken


def skip(connection: Connection, refused: Mapping[str, str], enrolled: Collection[str], now: datetime) -> list[str]:
    """Write down which planned sends are not to be, by id with their reasons; return the enrolments that go on."""
    woken = _wake(connection, sorted(enrolled), now)
    found = [{"id": send_id, "reason": reason} for send_id, reason in sorted(refused.items())]
    connection.execute(_SKIP, {"rows": rows.as_json(found), "now": now})
    return woken


def _wake(connection: Connection, enrolments: Sequence[str], now: datetime) -> list[str]:
    if not enrolments:
        return []
    return list(connection.execute(_WAKE, {"ids": uuid_array(enrolments), "now": now}).scalars())


def lost(connection: Connection, before: datetime, most: int = 1000) -> list[RowMapping]:
    """Return claims that nobody has written down anything about since before a moment."""
    return list(connection.execute(_LOST, {"before": before, "most": most}).mappings())


def owes(connection: Connection, now: datetime, lease: timedelta) -> bool:
    """Tell whether anything is due to be sent, was given up, or was set aside."""
    return bool(connection.execute(_OWES, {"now": now, "before": now - lease, "until": PARKED_UNTIL}).scalar_one())


def one(connection: Connection, send_id: str) -> RowMapping | None:
    """Return a send."""
    return connection.execute(_ONE, {"id": send_id}).mappings().one_or_none() if is_id(send_id) else None


def listed(
    connection: Connection, *, state: str | None = None, cursor: str | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    """Return sends, the newest first, and where the next page begins; no personal data."""
    wanted = {"state": state, "cursor": cursor, "most": limit + 1}
    statement = _LIST_UNKNOWN if state == "unknown" else _LIST
    found = [dict(row) for row in connection.execute(statement, wanted).mappings()]
    return found[:limit], found[limit - 1]["id"] if len(found) > limit else None


def counts(connection: Connection, now: datetime, most: int = 100_000) -> Mapping[str, int]:
    """Return how many sends are `unknown`, and are due in each lane (counted up to `most`)."""
    return dict(connection.execute(_COUNT, {"now": now, "most": most}).mappings().one())


def resolve(connection: Connection, send_id: str, *, sent: bool, now: datetime) -> str | None:
    """
    Say of an unknown send that it went out, or have it sent again; return its enrolment, if it has one.

    Raises LookupError where it is not unknown.
    """
    change = {
        "id": send_id,
        "state": "sent" if sent else "planned",
        "reason": "resolved_by_hand",
        "due_at": None if sent else now,
        "settled_at": now if sent else None,
    }
    row = connection.execute(_RESOLVE, change).one_or_none()
    if row is None:
        raise LookupError(send_id)
    if sent and row.enrolment_id:
        _wake(connection, [row.enrolment_id], now)
    return str(row.enrolment_id) if row.enrolment_id else None


def told(connection: Connection, what: str, found: Mapping[str, datetime]) -> None:
    """Keep that something happened to sends for the first time: `opened`, `clicked`, `replied`, `bounced` …."""
    given = [{"id": send_id, "at": at} for send_id, at in sorted(found.items())]
    if given:
        connection.execute(_TOLD[what], {"rows": rows.as_json(given)})


def latest(connection: Connection, person_id: str, since: datetime) -> str | None:
    """Return the last message that went to somebody since a moment, or may have."""
    found = connection.execute(_LATEST, {"person": person_id, "since": since}).scalar_one_or_none()
    return str(found) if found else None
