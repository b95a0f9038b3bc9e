"""
Follow-ups as people read them: a list, an owner's day, one of them; and the addresses of calendars.

What is open is in order of its due time, what is over the latest first. Every list is a range of an index.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from sqlalchemy import text

from schema import tables
from schema.errors import Permanent
from schema.hours import day_ends
from schema.journey.follow_up import FELL_AWAY
from schema.store import rows
from schema.store.ids import is_id, new_id

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from schema.store.journeys import JourneyBook

Status = Literal["open", "done", "cancelled"]
LARGEST_PAGE: Final = 200
_FIELDS: Final = (
    "id", "lead_id", "rule", "text", "owner", "due_at", "first_due_at", "remind_at", "snoozed_until",
    "snoozes", "created_at", "created_by", "reminded_at", "late_at", "escalated_at", "escalated_to", "outcome",
    "reason", "note", "done_at", "done_by",
)  # fmt: skip
_WITH_PERSON: Final = """
SELECT f.*, p.name AS person_name, p.email, p.phone, COALESCE(c.name, p.company_name) AS company
FROM ({}) AS f LEFT JOIN person AS p ON p.id = f.person_id LEFT JOIN company AS c ON c.id = p.company_id
"""
_ONE: Final = text(_WITH_PERSON.format("SELECT * FROM follow_up WHERE id = CAST(:id AS uuid)"))
_WHERE: Final = {
    "owner": "f.owner = :owner",
    "about": "f.about_id = CAST(:about AS uuid)",
    "lead": "f.lead_id = CAST(:lead AS uuid)",
    "until": "f.due_at < CAST(:until AS timestamptz)",
    "since": "f.due_at >= CAST(:since AS timestamptz)",
}
_OPEN: Final = "f.outcome IS NULL"
_OVER: Final = {
    "done": f"f.outcome IS NOT NULL AND f.outcome <> '{FELL_AWAY}'",
    "cancelled": f"f.outcome IS NOT NULL AND f.outcome = '{FELL_AWAY}'",
}
_LEAD_OWNER: Final = text("SELECT owner FROM lead WHERE id = CAST(:id AS uuid)")
_COUNTED: Final = 10_000
_COUNT: Final = text("""
SELECT count(*) FILTER (WHERE due_at < :now) AS overdue,
       count(*) FILTER (WHERE due_at >= :now AND due_at < :ends) AS today, count(*) AS open
FROM (
    SELECT due_at FROM follow_up WHERE owner = :owner AND outcome IS NULL ORDER BY due_at LIMIT :most
) AS f
""")
# What is over stays in a calendar for a while, so that it is seen to be.
_CALENDAR: Final = text(
    _WITH_PERSON.format(f"""
    (SELECT * FROM follow_up AS f WHERE f.owner = :owner AND {_OPEN} ORDER BY f.due_at, f.id LIMIT :most)
    UNION ALL
    (SELECT * FROM follow_up AS f WHERE f.owner = :owner AND f.outcome IS NOT NULL AND f.done_at >= :since
     ORDER BY f.done_at DESC, f.id DESC LIMIT :most)
    """)  # noqa: S608 - made of texts of ours
)
_FEED: Final = text("SELECT owner FROM calendar_feed WHERE id = CAST(:id AS uuid) AND revoked_at IS NULL")
_FEED_OF: Final = text("SELECT id FROM calendar_feed WHERE owner = :owner AND revoked_at IS NULL")
_REVOKE: Final = text("""
UPDATE calendar_feed SET revoked_at = :now WHERE owner = :owner AND revoked_at IS NULL
""")


class Wanted(NamedTuple):
    """Which follow-ups are to be listed; None: any. `since` and `until` bound the due time of open ones."""

    status: Status = "open"
    owner: str | None = None
    until: datetime | None = None
    since: datetime | None = None
    about: str | None = None
    lead: str | None = None


def listed(
    connection: Connection, wanted: Wanted, now: datetime, *, cursor: str | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    """
    Return one page of follow-ups, and where the next one begins.

    :raises Permanent: `cursor_invalid`
    """
    asked, parameters = statement(wanted, cursor, limit + 1)
    found = list(connection.execute(text(asked), parameters).mappings())
    more = len(found) > limit
    by = "due_at" if wanted.status == "open" else "done_at"
    return [shown(row, now) for row in found[:limit]], _cursor(found[limit - 1], by) if more else None


def statement(wanted: Wanted, cursor: str | None, most: int) -> tuple[str, dict[str, Any]]:
    """
    The statement that lists follow-ups, and its parameters: written for what is asked, so that it finds its index.

    :raises Permanent: `cursor_invalid`
    """
    given = {name: value for name, value in wanted._asdict().items() if value is not None and name != "status"}
    by, way = ("due_at", "ASC") if wanted.status == "open" else ("done_at", "DESC")
    where = [_WHERE[name] for name in given] + [_OVER.get(wanted.status, _OPEN)]
    parameters: dict[str, Any] = given | {"most": most}
    if cursor is not None:
        at, last = _place(cursor)
        where.append(f"(f.{by}, f.id) {'>' if way == 'ASC' else '<'} (CAST(:at AS timestamptz), CAST(:last AS uuid))")
        parameters |= {"at": at, "last": last}
    order = f"ORDER BY f.{by} {way}, f.id {way}"
    page = f"SELECT * FROM follow_up AS f WHERE {' AND '.join(where)} {order} LIMIT :most"  # noqa: S608 - texts of ours
    return f"{_WITH_PERSON.format(page)} {order}", parameters


def one(connection: Connection, book: JourneyBook, follow_up_id: str, now: datetime) -> dict[str, Any] | None:
    """Return a follow-up, with the `outcomes` that it can have."""
    row = connection.execute(_ONE, {"id": follow_up_id}).mappings().one_or_none() if is_id(follow_up_id) else None
    if row is None:
        return None
    journey = book.version(connection, row["journey"])
    return shown(row, now) | {"outcomes": list(journey.outcomes(row["rule"]))}


def day(connection: Connection, book: JourneyBook, owner: str, now: datetime, *, limit: int = 50) -> dict[str, Any]:
    """
    Return an owner's day on their clock: what is `overdue`, due `today` and `next`, at most `limit` of each.

    `counts` are of all that is open, up to ten thousand.

    :raises Permanent: `owner_unknown`: nobody of an active journey, and without any work
    """
    zone = zone_of(connection, book, owner)
    ends = day_ends(zone or "UTC", now)
    mine = Wanted(owner=owner)
    spans = {
        "overdue": mine._replace(until=now),
        "today": mine._replace(since=now, until=ends),
        "next": mine._replace(since=ends),
    }
    given = {"owner": owner, "now": now, "ends": ends, "most": _COUNTED}
    counts = dict(connection.execute(_COUNT, given).mappings().one())
    if zone is None and not counts["open"]:
        known(connection, book, owner)
    lists = {name: listed(connection, span, now, limit=limit)[0] for name, span in spans.items()}
    return {"owner": owner, "day_ends": ends, "counts": counts, **lists}


def zone_of(connection: Connection, book: JourneyBook, owner: str) -> str | None:
    """Return the time zone of one of the people of the active journeys; None where they are in none."""
    return next((journey.people[owner].tz for journey in book.active(connection) if owner in journey.people), None)


def lead_owner(connection: Connection, lead_id: str) -> str | None:
    """Return who has a lead; None where nobody does, or there is none."""
    found = connection.execute(_LEAD_OWNER, {"id": lead_id}).scalar_one_or_none() if is_id(lead_id) else None
    return str(found) if found else None


def known(connection: Connection, book: JourneyBook, owner: str) -> None:
    """Raise Permanent (`owner_unknown`) for somebody who is in no active journey."""
    people = sorted({name for journey in book.active(connection) for name in journey.people})
    if owner not in people:
        listed_ = f"; there are {', '.join(people)}" if people else ""
        raise Permanent("owner_unknown", f"There is nobody of this name{listed_}.", known=people)


def shown(row: RowMapping, now: datetime) -> dict[str, Any]:
    """A follow-up as it is told: its row with the columns of its person beside."""
    over = row["outcome"] is not None
    return {name: row[name] for name in _FIELDS} | {
        "journey_name": row["journey_name"],
        "status": "open" if not over else "cancelled" if row["outcome"] == FELL_AWAY else "done",
        "overdue": not over and row["due_at"] <= now,
        "about": {"kind": row["about_kind"], "id": row["about_id"]},
        "person": {
            "id": row["person_id"],
            "name": row["person_name"],
            "email": row["email"],
            "phone": row["phone"],
            "company": row["company"],
        },
    }


def _cursor(row: RowMapping, by: str) -> str:
    return f"{row[by].isoformat()}~{row['id']}".replace("+00:00", "Z")


def _place(cursor: str) -> tuple[datetime, str]:
    at, _, last = cursor.partition("~")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not is_id(last):
        raise Permanent("cursor_invalid", "This is not a cursor of this list.")
    return moment, last


# -- calendars ---------------------------------------------------------------------------------------------------------


def calendar(connection: Connection, owner: str, since: datetime, *, most: int) -> list[RowMapping]:
    """Return the rows of an owner's calendar: what is open, and what is over since then; at most `most` of each."""
    return list(connection.execute(_CALENDAR, {"owner": owner, "since": since, "most": most}).mappings())


def owner_of(connection: Connection, feed_id: str) -> str | None:
    """Return whose calendar has this id; None where there is none, or it was taken back."""
    found = connection.execute(_FEED, {"id": feed_id}).scalar_one_or_none() if is_id(feed_id) else None
    return str(found) if found else None


def feed_of(connection: Connection, owner: str, actor: str, now: datetime) -> str:
    """Return the id of an owner's calendar, made if they have none."""
    row = {"id": new_id(), "owner": owner, "created_at": now, "created_by": actor}
    rows.insert(connection, tables.calendar_feed, [row], "ON CONFLICT DO NOTHING")
    return str(connection.execute(_FEED_OF, {"owner": owner}).scalar_one())


def revoke_feed(connection: Connection, owner: str, now: datetime) -> bool:
    """Take the address of an owner's calendar back; tell whether they had one."""
    return bool(connection.execute(_REVOKE, {"owner": owner, "now": now}).rowcount)
