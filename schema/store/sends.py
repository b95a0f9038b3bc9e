"""
The ledger of sends: claiming what is due, writing down how it went, and what came back of it.

A claim is one transaction that takes a few due sends and makes them `sending`; it is known by its `claimed_at`. What
became of it is written in another one. In between the message is handed over, and nobody else has it. A claim whose
worker ended is `unknown` after a while: nobody can tell whether the mail went out, so nobody sends it again by itself.

Whatever ends a send tells its event in the same transaction, as the next one of its lead. So rows are locked in the
order leads, enrolments, sends; a claim locks sends only, and never waits for one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import text

from schema import tables
from schema.errors import Transient
from schema.events import MessageFailed, MessageSent, MessageUnknown
from schema.store import rows
from schema.store.campaigns import STANDS_STILL
from schema.store.ids import is_id, uuid_array
from schema.store.telling import tell

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection, RowMapping

    from schema.events import Event

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
# One look into the index for each campaign that has any, however many those are; in the whole order of that index.
_PARKED: Final = f"""
WITH RECURSIVE place AS (
    (
        SELECT journey_name, campaign FROM send WHERE state = 'planned' AND reason = 'campaign_paused'
        ORDER BY journey_name, campaign, due_at LIMIT 1
    )
    UNION ALL
    SELECT later.journey_name, later.campaign FROM place AS p CROSS JOIN LATERAL (
        SELECT journey_name, campaign FROM send
        WHERE state = 'planned' AND reason = 'campaign_paused'
          AND (journey_name, campaign) > (p.journey_name, p.campaign)
        ORDER BY journey_name, campaign, due_at LIMIT 1
    ) AS later
), going AS (
    SELECT * FROM place WHERE NOT {STANDS_STILL.format(of="place")}
)
"""  # noqa: S608 - made of texts of ours
_UNPARK: Final = text(f"""
{_PARKED}
UPDATE send SET due_at = :now, reason = NULL WHERE id = ANY(ARRAY(
    SELECT parked.id FROM going CROSS JOIN LATERAL (
        SELECT id FROM send
        WHERE state = 'planned' AND reason = 'campaign_paused'
          AND journey_name = going.journey_name AND campaign = going.campaign
        ORDER BY journey_name, campaign, due_at LIMIT :most FOR UPDATE SKIP LOCKED
    ) AS parked LIMIT :most
))
""")  # noqa: S608 - made of texts of ours
# Who has a person's lock decides about all of their marketing; nobody waits for it.
_MINE: Final = text("""
SELECT id FROM unnest(CAST(:people AS uuid[])) AS wanted(id)
WHERE pg_try_advisory_xact_lock(hashtextextended('send ' || id::text, 0))
""")
# By their people alone, and then by their keys: asked for more at once, the index of all that is due is read as well.
_SIBLINGS: Final = text("""
WITH theirs AS MATERIALIZED (
    SELECT id, state, lane, due_at, journey FROM send WHERE person_id = ANY(CAST(:people AS uuid[]))
), locked AS MATERIALIZED (
    SELECT * FROM send WHERE id = ANY(ARRAY(
        SELECT id FROM theirs
        WHERE state = 'planned' AND lane = 1 AND due_at <= :now AND id <> ALL(CAST(:ids AS uuid[]))
          AND journey <> ALL(CAST(:unread AS text[]))
    ))
    ORDER BY id FOR UPDATE SKIP LOCKED
)
SELECT * FROM locked WHERE state = 'planned' AND due_at <= :now
""")
# What is asked of their state has to come afterwards, or the index of all that was ever sent is read as well.
_LATELY: Final = """
WITH lately AS MATERIALIZED (
    SELECT person_id, claimed_at, lane, campaign, state FROM send
    WHERE person_id = ANY(CAST(:people AS uuid[])) AND claimed_at > :since
)
"""
_RECENT: Final = text(f"""
{_LATELY} SELECT person_id, claimed_at FROM lately WHERE lane = 1 AND state IN ('sending', 'sent', 'unknown')
""")  # noqa: S608 - made of texts of ours
_ASKED: Final = text(f"""
{_LATELY} SELECT person_id, count(*) AS times FROM lately
WHERE campaign = 'opt_in' AND state IN ('sending', 'sent', 'unknown') GROUP BY person_id
""")  # noqa: S608 - made of texts of ours
_ENROLMENTS: Final = text("SELECT * FROM enrolment WHERE id = ANY(CAST(:ids AS uuid[]))")
_LOCK_LEADS: Final = text("""
SELECT event_tx > pg_current_xact_id() AS younger FROM lead
WHERE id = ANY(ARRAY(SELECT lead_id FROM send WHERE id = ANY(CAST(:ids AS uuid[])))) ORDER BY id FOR UPDATE
""")
# Whoever comes late with an answer, after the row was given up as unknown, may still say how it went.
_SETTLE: Final = text("""
UPDATE send AS s SET state = r.state, reason = r.reason, reply = r.reply, due_at = r.due_at, attempts = r.attempts,
    settled_at = r.settled_at, bounced_at = COALESCE(r.bounced_at, s.bounced_at)
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
    id uuid, claimed_at timestamptz, state text, reason text, reply text, due_at timestamptz, attempts smallint,
    settled_at timestamptz, bounced_at timestamptz)
WHERE s.id = r.id AND s.claimed_at = r.claimed_at AND s.state IN ('sending', 'unknown')
RETURNING s.*
""")
_SKIP: Final = text("""
UPDATE send AS s SET state = 'skipped', reason = r.reason, due_at = NULL, settled_at = :now,
    data = s.data || jsonb_strip_nulls(jsonb_build_object('missing', r.missing))
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, reason text, missing text)
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
_OWES: Final = text(f"""
{_PARKED}
SELECT EXISTS (SELECT FROM send WHERE state = 'planned' AND lane = 0 AND due_at <= :now)
    OR EXISTS (SELECT FROM send WHERE state = 'planned' AND lane = 1 AND due_at <= :now)
    OR EXISTS (SELECT FROM send WHERE state = 'sending' AND claimed_at < :before)
    OR EXISTS (SELECT FROM going)
""")  # noqa: S608 - made of texts of ours
_ONE: Final = text("SELECT * FROM send WHERE id = CAST(:id AS uuid)")
_COUNT: Final = text("""
SELECT (SELECT count(*) FROM send WHERE state = 'unknown') AS unknown,
       (SELECT count(*) FROM (
           SELECT FROM send WHERE state = 'planned' AND lane = 0 AND due_at <= :now LIMIT :most) AS d) AS service_due,
       (SELECT count(*) FROM (
           SELECT FROM send WHERE state = 'planned' AND lane = 1 AND due_at <= :now LIMIT :most) AS d) AS marketing_due
""")
_RESOLVE: Final = text("""
UPDATE send SET state = :state, reason = :reason, due_at = :due_at, settled_at = :settled_at
WHERE id = CAST(:id AS uuid) AND state = 'unknown' RETURNING *
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
    return connection.execute(_UNPARK, {"now": now, "most": _PARKED_AT_ONCE}).rowcount


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

    A row that another claim has by now is left alone. Raises Transient (`lead_in_work`) where this transaction began
    before one that has told of a lead since: the same in a new one works.
    """
    ended = [each for each in settled if each.due_at is None]
    _lock_leads(connection, [each.id for each in ended])
    woken = _wake(connection, sorted({each.enrolment_id for each in ended if each.enrolment_id}), now)
    found = [s._asdict() | {"settled_at": None if s.due_at else now} for s in settled]
    for row in found:
        row.pop("enrolment_id")
    written = connection.execute(_SETTLE, {"rows": rows.as_json(found)}).mappings().all()
    _tell(connection, [row for row in written if row["due_at"] is None], now)
    return woken


def _lock_leads(connection: Connection, ids: Collection[str]) -> None:
    """Lock the leads of sends of which events are to be told. Raises Transient."""
    if ids and any(connection.execute(_LOCK_LEADS, {"ids": uuid_array(ids)}).scalars().all()):
        raise Transient("lead_in_work", "A worker has this lead in hand: try again.")


def _tell(connection: Connection, ended: Sequence[RowMapping], now: datetime) -> None:
    """Put what became of sends into the outbox."""
    # A mail to one of our own people is about no lead.
    told = ((row["lead_id"], event) for row in ended if row["lead_id"] and (event := _event(row)))
    tell(connection, told, now)


def _event(row: RowMapping) -> Event | None:
    about = {name: row[name] for name in ("campaign", "step", "enrolment_id", "person_id", "journey")}
    match row["state"]:
        case "sent":
            return MessageSent(row["id"], **about)
        case "failed":
            return MessageFailed(row["id"], **about, reason=row["reason"])
        case "unknown":
            return MessageUnknown(row["id"], **about, reason=row["reason"])
    return None


def skip(
    connection: Connection, refused: Mapping[str, tuple[str, str | None]], enrolled: Collection[str], now: datetime
) -> list[str]:
    """
    Write down which planned sends are not to be; return the enrolments that go on.

    `refused` has by id why, and the field that was missing, if that is it.
    """
    woken = _wake(connection, sorted(enrolled), now)
    found = [{"id": send_id, "reason": why, "missing": field} for send_id, (why, field) in sorted(refused.items())]
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
    return bool(connection.execute(_OWES, {"now": now, "before": now - lease}).scalar_one())


def one(connection: Connection, send_id: str) -> RowMapping | None:
    """Return a send."""
    return connection.execute(_ONE, {"id": send_id}).mappings().one_or_none() if is_id(send_id) else None


def counts(connection: Connection, now: datetime, most: int = 100_000) -> Mapping[str, int]:
    """Return how many sends are `unknown`, and are due in each lane (counted up to `most`)."""
    return dict(connection.execute(_COUNT, {"now": now, "most": most}).mappings().one())


def resolve(connection: Connection, send_id: str, *, sent: bool, now: datetime) -> str | None:
    """
    Say of an unknown send that it went out, or have it sent again; return its enrolment, if it has one.

    Raises LookupError where it is not unknown, and Transient as `settle`.
    """
    known = one(connection, send_id)
    if known is None:
        raise LookupError(send_id)
    if sent:
        _lock_leads(connection, [send_id])
        _wake(connection, [known["enrolment_id"]] if known["enrolment_id"] else [], now)
    change = {
        "id": send_id,
        "state": "sent" if sent else "planned",
        "reason": "resolved_by_hand",
        "due_at": None if sent else now,
        "settled_at": now if sent else None,
    }
    row = connection.execute(_RESOLVE, change).mappings().one_or_none()
    if row is None:
        raise LookupError(send_id)
    _tell(connection, [row], now)
    return str(row["enrolment_id"]) if row["enrolment_id"] else None


def told(connection: Connection, what: str, found: Mapping[str, datetime]) -> None:
    """Keep that something happened to sends for the first time: `opened`, `clicked`, `replied`, `bounced` …."""
    given = [{"id": send_id, "at": at} for send_id, at in sorted(found.items())]
    if given:
        connection.execute(_TOLD[what], {"rows": rows.as_json(given)})


def latest(connection: Connection, person_id: str, since: datetime) -> str | None:
    """Return the last message that went to somebody since a moment, or may have."""
    found = connection.execute(_LATEST, {"person": person_id, "since": since}).scalar_one_or_none()
    return str(found) if found else None
