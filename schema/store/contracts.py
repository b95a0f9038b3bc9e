"""
Reading contracts: one with its terms, lists of them, and what rules may ask of somebody's.

Every statement finds its rows by an index; lists are read in pages.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import text

from schema.errors import Permanent
from schema.store.ids import is_id, uuid_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

Status = Literal["active", "cancelled", "renewed", "ended"]
OVER: Final = ("renewed", "ended")
"""What only a contract that is over can be; a cancelled one may run until the end of its term."""
LARGEST_PAGE: Final = 200
MOST_TERMS: Final = 200

_COLUMNS: Final = (
    "id, lead_id, person_id, journey_name, source, external_id, follows, products, amount, currency, starts_on, "
    "ends_on, anchor_on, period, tz, renews_itself, status, reason, told, recorded_at, cancelled_at, ended_at"
)
_ONE: Final = text(f"SELECT {_COLUMNS} FROM contract WHERE id = CAST(:id AS uuid)")  # noqa: S608 - our own text
_NEXT: Final = text("SELECT id FROM contract WHERE follows = CAST(:id AS uuid)")
# The whole chain that a term belongs to: back to its first term, then on from there.
_TERMS: Final = text(f"""
WITH RECURSIVE back AS (
    SELECT id, follows, 1 AS steps FROM contract WHERE id = CAST(:id AS uuid)
    UNION ALL
    SELECT c.id, c.follows, back.steps + 1 FROM back JOIN contract AS c ON c.id = back.follows WHERE back.steps < :most
), chain AS (
    SELECT id, 1 AS number FROM (SELECT id FROM back ORDER BY steps DESC LIMIT 1) AS first
    UNION ALL
    SELECT c.id, chain.number + 1 FROM chain JOIN contract AS c ON c.follows = chain.id WHERE chain.number < :most
)
SELECT {_COLUMNS}, chain.number FROM chain JOIN contract AS c USING (id) ORDER BY chain.number
""")  # noqa: S608 - our own text
_RUNNING: Final = text(f"""
SELECT {_COLUMNS} FROM contract
WHERE ended_at IS NULL AND ends_on <= COALESCE(CAST(:until AS date), 'infinity')
  AND (CAST(:status AS text) IS NULL OR status = :status)
  AND (CAST(:day AS date) IS NULL OR (ends_on, id) > (CAST(:day AS date), CAST(:after AS uuid)))
ORDER BY ends_on, id LIMIT :limit
""")  # noqa: S608 - our own text
_OF: Final = """
WITH own AS MATERIALIZED (SELECT {columns} FROM contract WHERE {of} = CAST(:of AS uuid))
SELECT * FROM own WHERE ends_on <= COALESCE(CAST(:until AS date), 'infinity')
  AND (NOT :running OR ended_at IS NULL) AND (CAST(:status AS text) IS NULL OR status = :status)
  AND (CAST(:day AS date) IS NULL OR (ends_on, id) > (CAST(:day AS date), CAST(:after AS uuid)))
ORDER BY ends_on, id LIMIT :limit
"""
_OF_PERSON: Final = text(_OF.format(columns=_COLUMNS, of="person_id"))
_OF_LEAD: Final = text(_OF.format(columns=_COLUMNS, of="lead_id"))
_KNOWN: Final = text("""
SELECT person_id, count(*) AS running, min(ends_on) AS ends_on FROM contract
WHERE person_id = ANY(CAST(:ids AS uuid[])) AND ended_at IS NULL GROUP BY person_id
""")
_HEALTH: Final = text("""
SELECT DISTINCT ON (l.person_id) l.person_id, h.score FROM lead AS l JOIN health AS h ON h.lead_id = l.id
WHERE l.person_id = ANY(CAST(:ids AS uuid[])) ORDER BY l.person_id, h.at DESC, l.id DESC
""")


def contract(connection: Connection, contract_id: str, now: datetime) -> dict[str, Any] | None:
    """Return one term of a contract, with all its `terms` in order; None if there is none."""
    if not is_id(contract_id):
        return None
    row = connection.execute(_ONE, {"id": contract_id}).mappings().one_or_none()
    if row is None:
        return None
    chain = connection.execute(_TERMS, {"id": contract_id, "most": MOST_TERMS}).mappings()
    terms = [
        {name: term[name] for name in ("id", "number", "starts_on", "ends_on", "status", "ended_at")} for term in chain
    ]
    return shown(dict(row), now) | {"terms": terms}


def renewed_as(connection: Connection, contract_id: str) -> str | None:
    """Return the id of the term that follows one; None where none does."""
    found: str | None = connection.execute(_NEXT, {"id": contract_id}).scalar_one_or_none()
    return found


def contracts(  # noqa: PLR0913 - what a list may be asked for
    connection: Connection,
    now: datetime,
    *,
    person: str | None = None,
    lead: str | None = None,
    until: date | None = None,
    status: Status | None = None,
    running: bool = False,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], str | None]:
    """
    Return one page of contracts, those that end first at first, and the cursor of the next page.

    All that run and end by `until`; of one `person` or `lead`, unless `running`, also those that are over.

    :raises Permanent: `filter_missing`, those that are over are listed of one person or lead; `cursor_invalid`
    """
    if status in OVER and not (person or lead):
        raise Permanent("filter_missing", "Contracts that are over are listed of one person or lead: say whose.")
    if cursor is not None and not _is_cursor(cursor):
        raise Permanent("cursor_invalid", "This is not a cursor of this list.")
    day, _, after = (cursor or "").partition("_")
    asked = {"until": until, "day": day or None, "after": after or None, "limit": limit + 1}
    asked |= {"status": status, "running": running}
    if person or lead:
        question = _OF_PERSON if person else _OF_LEAD
        rows = connection.execute(question, asked | {"of": person or lead}).mappings().all()
    else:
        rows = connection.execute(_RUNNING, asked).mappings().all()
    last = rows[limit - 1] if len(rows) > limit else None
    following = f"{last['ends_on'].isoformat()}_{last['id']}" if last else None
    return [shown(dict(row), now) for row in rows[:limit]], following


def _is_cursor(cursor: str) -> bool:
    day, _, contract_id = cursor.partition("_")
    try:
        return is_id(contract_id) and date.fromisoformat(day).isoformat() == day
    except ValueError:
        return False


def known(connection: Connection, person_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what rules may ask of each person's contracts: how many run, and the day on which the first ends."""
    found = connection.execute(_KNOWN, {"ids": uuid_array(person_ids)})
    return {row.person_id: {"running": row.running, "ends_on": row.ends_on.isoformat()} for row in found}


def health(connection: Connection, person_ids: Iterable[str]) -> dict[str, int]:
    """Return how well each customer is, 0 to 100, as of when something last happened; who is none is left out."""
    return {row.person_id: row.score for row in connection.execute(_HEALTH, {"ids": uuid_array(person_ids)})}


def shown(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """One term as it is shown: `days_left` counts whole days of its own calendar, today's included."""
    amount = row["amount"]
    days_left = None
    if row["ended_at"] is None:
        days_left = (row["ends_on"] - now.astimezone(ZoneInfo(row["tz"])).date()).days + 1
    return {
        "id": row["id"],
        "lead_id": row["lead_id"],
        "person_id": row["person_id"],
        "journey_name": row["journey_name"],
        "source": row["source"],
        "external_id": row["external_id"],
        "follows": row["follows"],
        "products": row["products"],
        "amount": None if amount is None else format(amount, "f"),
        "currency": row["currency"],
        "starts_on": row["starts_on"],
        "ends_on": row["ends_on"],
        "period": row["period"],
        "tz": row["tz"],
        "renews_itself": row["renews_itself"],
        "status": row["status"],
        "running": row["ended_at"] is None,
        "days_left": days_left,
        "reason": row["reason"],
        "told": [timedelta(seconds=each).days for each in row["told"]],
        "recorded_at": row["recorded_at"],
        "cancelled_at": row["cancelled_at"],
        "ended_at": row["ended_at"],
    }
