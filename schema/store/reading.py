"""
Reading: receipts, leads with their whole story, journeys, as the API and the command line show them.

Every statement finds its rows by an index, also among ten million leads; lists are read in pages, the newest first,
each page beginning where the last one ended. Results are plain values, ready to be written as JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import contact, lifecycle
from schema.store import clock
from schema.store.ids import is_id, uuid_array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, RowMapping, TextClause

LARGEST_PAGE: Final = 200
_MOST_PEOPLE: Final = 500
"""People a name search looks at, in order of the alphabet."""
_LAST_CHARACTER: Final = "\U0010ffff"

_RECEIPT: Final = text("""
SELECT r.id, r.source, r.channel, r.status, r.reason, r.lead_id, r.person_id, r.received_at, r.content_type,
       octet_length(r.body) AS bytes, r.detail, COALESCE(t.data -> 'issues', '[]') AS issues
FROM receipt AS r LEFT JOIN touchpoint AS t ON t.id = r.id
WHERE r.id = CAST(:id AS uuid)
""")

_PAGE: Final = "SELECT id FROM lead WHERE {where} ORDER BY id DESC LIMIT :limit"
_CONDITIONS: Final = {
    "state": "state = :state",
    "owner": "owner = :owner",
    "people": "person_id = ANY(CAST(:people AS uuid[]))",
    "overdue": "overdue",
    "in_time": "NOT overdue",
    "cursor": "id < CAST(:cursor AS uuid)",
}
_LEADS: Final = text("""
SELECT l.id, l.state, l.open, l.next_step, l.due_since, l.journey, l.journey_name, l.source, l.channel,
       l.score_total, l.score_fit, l.score_engagement, l.grade, l.score_cell, l.predicted,
       l.pool, l.owner, l.assignment, l.waiting_since, l.qualification, l.attribution,
       l.interests, l.message, l.created_at, l.updated_at, l.person_id, l.overdue, l.recycled, l.merged_into,
       COALESCE(
           l.entered_at, (SELECT at FROM transition WHERE lead_id = l.id AND number = l.transitions), l.created_at
       ) AS in_state_since,
       p.name, p.email, p.phone, p.country, p.language,
       COALESCE(c.name, p.company_name) AS company_name, c.domain AS company_domain,
       COALESCE(c.employees, p.company_employees) AS company_employees
FROM lead AS l JOIN person AS p ON p.id = l.person_id LEFT JOIN company AS c ON c.id = p.company_id
WHERE l.id = ANY(CAST(:ids AS uuid[])) ORDER BY l.id DESC
""")
_TRANSITIONS: Final = text("""
SELECT from_state, to_state, at FROM transition WHERE lead_id = CAST(:id AS uuid) ORDER BY number
""")
_BY_KEY: Final = text("SELECT person_id FROM person_key WHERE kind = :kind AND value = :value")
# Comparisons by bytes, as the index orders them: LIKE with a parameter could not use it.
_BY_NAME: Final = text("""
SELECT COALESCE(merged_into, id) AS person_id FROM person
WHERE lower(name) ~>=~ lower(CAST(:first AS text))
  AND lower(name) ~<=~ (lower(CAST(:first AS text)) || CAST(:last AS text))
ORDER BY lower(name) USING ~<~ LIMIT :limit
""")

_STORY: Final = text("""
SELECT at, kind, id, name, data FROM (
    SELECT r.received_at AS at, 0 AS rank, 'receipt' AS kind, r.id::text AS id, r.status AS name, r.id::text AS place,
           jsonb_build_object('source', r.source, 'channel', r.channel, 'reason', r.reason) AS data
    FROM receipt AS r WHERE r.id = ANY(ARRAY(SELECT id FROM touchpoint WHERE lead_id = CAST(:id AS uuid)))
  UNION ALL
    SELECT occurred_at, 1, 'touchpoint', id::text, kind, id::text,
           jsonb_build_object('source', source, 'channel', channel, 'recorded_at', recorded_at) || data
    FROM touchpoint WHERE lead_id = CAST(:id AS uuid)
  UNION ALL
    SELECT at, 2, 'decision', number::text, step, lpad(number::text, 10, '0'),
           jsonb_build_object('number', number, 'outcome', outcome, 'reason', reason, 'journey', journey)
    FROM decision WHERE lead_id = CAST(:id AS uuid)
  UNION ALL
    SELECT at, 3, 'transition', number::text, name, lpad(number::text, 10, '0'),
           jsonb_build_object('number', number, 'from_state', from_state, 'to_state', to_state, 'actor', actor,
                              'reason', reason, 'journey', journey)
    FROM transition WHERE lead_id = CAST(:id AS uuid)
  UNION ALL
    SELECT at, 4, 'handover', about_id::text || '.' || number::text, what,
           about_id::text || lpad(number::text, 10, '0'),
           jsonb_build_object('about', jsonb_build_object('kind', about_kind, 'id', about_id),
                              'from_department', from_department, 'to_department', to_department, 'actor', actor,
                              'system', system, 'taken_at', taken_at, 'taken_by', taken_by, 'ended_at', ended_at)
    FROM handover WHERE about_id = CAST(:id AS uuid) OR (lead_id = CAST(:id AS uuid) AND about_id <> lead_id)
  UNION ALL
    SELECT time, 5, 'event', lead_id::text || '.' || sequence::text, type, lpad(sequence::text, 10, '0'),
           jsonb_build_object('sequence', sequence, 'data', data)
    FROM event WHERE lead_id = CAST(:id AS uuid)
) AS story ORDER BY at, rank, place LIMIT :limit OFFSET :offset
""")

_DECISIONS: Final = text("""
SELECT number, step, at, journey, outcome, reason, explanation
FROM decision WHERE lead_id = CAST(:id AS uuid) ORDER BY number
""")

_JOURNEYS: Final = """
SELECT j.version, j.name, j.initial_state, j.created_at, a.version IS NOT NULL AS active, a.activated_at{document}
FROM journey AS j LEFT JOIN journey_active AS a ON a.version = j.version AND a.name = j.name
"""
_ALL_JOURNEYS: Final = text(_JOURNEYS.format(document="") + "ORDER BY j.name, j.created_at DESC, j.version")
_ONE_JOURNEY: Final = text(_JOURNEYS.format(document=", j.document") + "WHERE j.version = :version")


def receipt(connection: Connection, receipt_id: str) -> dict[str, Any] | None:
    """Return one arrival and what became of it, without what it said; None if there is none."""
    if not is_id(receipt_id):
        return None
    row = connection.execute(_RECEIPT, {"id": receipt_id}).mappings().one_or_none()
    return dict(row) if row else None


def leads(
    connection: Connection,
    *,
    state: str | None = None,
    owner: str | None = None,
    q: str | None = None,
    overdue: bool | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], str | None]:
    """
    Return leads, the newest first, and the cursor of the next page (None: there is none).

    `q` is an e-mail address or an international phone number, which find their person, or the beginning of a name.
    `overdue` leads are in their state for longer than the journey allows.
    """
    wanted: dict[str, Any] = {"state": state, "owner": owner, "cursor": cursor}
    if q is not None and q.strip():
        wanted["people"] = uuid_array(people(connection, q))
    if overdue is not None:
        wanted["overdue" if overdue else "in_time"] = True
    given = {name: value for name, value in wanted.items() if value is not None}
    statement = page_statement(given)
    ids = [row.id for row in connection.execute(statement, given | {"limit": limit + 1})]
    return _leads(connection, ids[:limit]), ids[limit - 1] if len(ids) > limit else None


def page_statement(given: Mapping[str, object]) -> TextClause:
    """Return the statement that finds one page of ids for the filters in `given`."""
    where = " AND ".join(condition for name, condition in _CONDITIONS.items() if name in given)
    return text(_PAGE.format(where=where or "true"))


def people(connection: Connection, q: str) -> list[str]:
    """Return the ids of the people that `q` finds: by match key if it is an address or a number, else by name."""
    key = _match_key(q.strip())
    if key:
        found = connection.execute(_BY_KEY, {"kind": key[0], "value": key[1]})
    else:
        found = connection.execute(_BY_NAME, {"first": q.strip(), "last": _LAST_CHARACTER, "limit": _MOST_PEOPLE})
    return [row.person_id for row in found]


def lead(connection: Connection, lead_id: str, *, now: datetime | None = None) -> dict[str, Any] | None:
    """
    Return one lead as it is at `now` (None: at this moment), with its time in each state; None if there is none.

    `time_in_state` has for each state the lead has been in `latest_s` and `total_s` (the stay that goes on counts until
    now) and `visits`, from its transitions.
    """
    found = _leads(connection, [lead_id]) if is_id(lead_id) else []
    if not found:
        return None
    [shown] = found
    moves = [(row.from_state, row.to_state, row.at) for row in connection.execute(_TRANSITIONS, {"id": lead_id})]
    stays = lifecycle.time_in_state(shown["state"], shown["created_at"], moves, now or clock.now())
    return shown | {"time_in_state": stays}


def timeline(
    connection: Connection,
    lead_id: str,
    *,
    offset: int = 0,
    limit: int = 500,
) -> tuple[list[dict[str, Any]], int | None]:
    """
    Return the lead's story in order of time: receipts, touchpoints, decisions, transitions, hand-overs, events.

    Also returns the offset of the next page. The story only grows at its end, except for what is told late.
    """
    parameters = {"id": lead_id, "limit": limit + 1, "offset": offset}
    items = [dict(row) for row in connection.execute(_STORY, parameters).mappings()]
    return items[:limit], offset + limit if len(items) > limit else None


def decisions(connection: Connection, lead_id: str) -> list[dict[str, Any]]:
    """Return what was decided about a lead, in order, with each explanation as it was stored."""
    return [dict(row) for row in connection.execute(_DECISIONS, {"id": lead_id}).mappings()]


def journeys(connection: Connection) -> list[dict[str, Any]]:
    """Return every journey version, without its document."""
    return [dict(row) for row in connection.execute(_ALL_JOURNEYS).mappings()]


def journey(connection: Connection, version: str) -> dict[str, Any] | None:
    """Return one journey version with its document, as it was written; None if there is none."""
    row = connection.execute(_ONE_JOURNEY, {"version": version}).mappings().one_or_none()
    return dict(row) if row else None


def _match_key(q: str) -> tuple[str, str] | None:
    if "@" in q:
        key = contact.email(q).match_key
        return ("email", key) if key else None
    number = contact.phone(q, None).e164
    return ("phone", number) if number else None


def _leads(connection: Connection, ids: Sequence[str]) -> list[dict[str, Any]]:
    if not ids:
        return []
    return [_lead(row) for row in connection.execute(_LEADS, {"ids": uuid_array(ids)}).mappings()]


def _lead(row: RowMapping) -> dict[str, Any]:
    """Give a lead the shape that is relied on from outside."""
    return {
        "id": row["id"],
        "state": row["state"],
        "open": row["open"],
        "next_step": row["next_step"],
        "due_since": row["due_since"],
        "score": {
            "total": row["score_total"],
            "fit": row["score_fit"],
            "engagement": row["score_engagement"],
            "grade": row["grade"],
            "cell": row["score_cell"],
            "predicted": row["predicted"],
        },
        "owner": row["owner"],
        "pool": row["pool"],
        "assignment": assignment(row["assignment"]) if row["owner"] else None,
        "waiting_since": row["waiting_since"],
        "person": {
            "id": row["person_id"],
            "name": row["name"],
            "email": row["email"],
            "phone": row["phone"],
            "company": row["company_name"] or row["company_domain"],
            "country": row["country"],
            "language": row["language"],
        },
        "company": {
            "name": row["company_name"],
            "domain": row["company_domain"],
            "employees": row["company_employees"],
        },
        "source": row["source"],
        "channel": row["channel"],
        "journey": row["journey"],
        "journey_name": row["journey_name"],
        "qualification": row["qualification"],
        "attribution": row["attribution"],
        "interests": row["interests"],
        "message": row["message"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "in_state_since": row["in_state_since"],
        "overdue": row["overdue"],
        "recycled": row["recycled"],
        "merged_into": row["merged_into"],
    }


def assignment(kept: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Give an assignment the shape that is shown: what is not kept is not so."""
    if kept is None:
        return None
    return {
        "since": kept.get("since"),
        "accept_by": kept.get("accept_by"),
        "accepted_at": kept.get("accepted_at"),
        "passed": kept.get("passed", []),
        "escalated": kept.get("escalated", False),
        "by_hand": kept.get("by_hand", False),
    }
