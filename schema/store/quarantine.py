"""
Quarantine: what arrived and was held back, as spam or because it could not be understood.

Nothing here is lost. `release` lets a receipt run the normal way, and nothing holds it again for what it says; it is
held anew only if it cannot be read at all. `read_again` has a receipt read by the journey that is active now, as
after a mapping was mended, and lets the same checks judge it. Both are harmless twice. Lists and portions find their
rows by the indexes of held receipts, however many others there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import text

from schema.store.ids import is_id, uuid_array

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, TextClause

LARGEST_PAGE: Final = 200
PORTION: Final = 1000
"""The most receipts that one transaction lets go."""

_HELD: Final = "status IN ('quarantined', 'spam')"
_COLUMNS: Final = (
    "id, source, channel, status, reason, received_at, content_type, octet_length(body) AS bytes, detail, released_at"
)
_CONDITIONS: Final = {
    "reason": "reason = :reason",
    "source": "source = :source",
    "status": "status = :status",
}
_COUNTS: Final = text(f"""
SELECT status, reason, source, count(*) AS receipts, min(received_at) AS first_at, max(received_at) AS last_at
FROM receipt WHERE {_HELD}
GROUP BY status, reason, source ORDER BY receipts DESC, status, reason, source LIMIT :limit
""")  # noqa: S608 - our own text
_ONE: Final = text(f"SELECT {_COLUMNS}, body, headers FROM receipt WHERE id = CAST(:id AS uuid)")  # noqa: S608 - as above
_STATUS: Final = text("SELECT id, status FROM receipt WHERE id = ANY(CAST(:ids AS uuid[]))")
# Who let it go and what it was held for stay with it: whoever judges the judge wants to know.
_RELEASE: Final = text(f"""
UPDATE receipt SET status = 'pending', due_since = :now, attempts = 0, released_at = :now, reason = NULL,
    detail = COALESCE(detail, '{{}}') || jsonb_build_object('held_for', reason, 'released_by', CAST(:actor AS text))
WHERE id = ANY(CAST(:ids AS uuid[])) AND {_HELD} RETURNING id
""")  # noqa: S608 - as above
_READ_AGAIN: Final = text(f"""
UPDATE receipt SET status = 'pending', due_since = :now, attempts = 0, reason = NULL
WHERE id = ANY(CAST(:ids AS uuid[])) AND {_HELD} RETURNING id
""")  # noqa: S608 - as above


class Which(msgspec.Struct, frozen=True):
    """Which of the held receipts are meant; what is None does not matter."""

    reason: str | None = None
    source: str | None = None
    status: str | None = None
    """`quarantined` or `spam`."""

    @property
    def given(self) -> dict[str, str]:
        """What was asked for, by name."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


EVERYTHING: Final = Which()


def held(
    connection: Connection, which: Which = EVERYTHING, *, cursor: str | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    """Return held receipts without what they say, the newest first, and the cursor of the next page (None: none)."""
    parameters = which.given | {"limit": limit + 1} | ({"cursor": cursor} if cursor else {})
    found = [dict(row) for row in connection.execute(page_statement(which, cursor=cursor), parameters).mappings()]
    return found[:limit], found[limit - 1]["id"] if len(found) > limit else None


def counts(connection: Connection, limit: int = LARGEST_PAGE) -> list[dict[str, Any]]:
    """Return how many are held by status, reason and source, the most frequent first."""
    return [dict(row) for row in connection.execute(_COUNTS, {"limit": limit}).mappings()]


def receipt(connection: Connection, receipt_id: str) -> dict[str, Any] | None:
    """Return one receipt with its raw `body` and `headers`, held or not; None if there is none."""
    if not is_id(receipt_id):
        return None
    row = connection.execute(_ONE, {"id": receipt_id}).mappings().one_or_none()
    return dict(row) | {"body": bytes(row["body"])} if row else None


def release(connection: Connection, ids: Sequence[str], actor: str, now: datetime) -> set[str]:
    """Let receipts run the normal way; return the ids of those that were held until now."""
    return _let_go(connection, _RELEASE, ids, {"now": now, "actor": actor})


def read_again(connection: Connection, ids: Sequence[str], now: datetime) -> set[str]:
    """Have receipts read by the active journey; return the ids of those that were held until now."""
    return _let_go(connection, _READ_AGAIN, ids, {"now": now})


def portion(
    connection: Connection, which: Which, *, cursor: str | None = None, limit: int = PORTION
) -> tuple[list[str], str | None]:
    """
    Lock the next held receipts, the oldest first; return their ids, and the cursor to go on with (None: no more).

    Those that are held again meanwhile come no second time: the cursor is behind them. What somebody else is letting
    go at this moment is left to them.
    """
    parameters = which.given | {"limit": limit} | ({"cursor": cursor} if cursor else {})
    ids = list(connection.execute(portion_statement(which, cursor=cursor), parameters).scalars())
    return ids, ids[-1] if len(ids) == limit else None


def statuses(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Return the status of each receipt that there is."""
    wanted = uuid_array(receipt_id for receipt_id in ids if is_id(receipt_id))
    return {row.id: row.status for row in connection.execute(_STATUS, {"ids": wanted})}


def page_statement(which: Which, *, cursor: str | None = None) -> TextClause:
    """Return the statement that finds one page."""
    return text(f"SELECT {_COLUMNS} FROM receipt WHERE {_where(which, cursor, '<')} ORDER BY id DESC LIMIT :limit")  # noqa: S608 - our own text


def portion_statement(which: Which, *, cursor: str | None = None) -> TextClause:
    """Return the statement that finds and locks one portion."""
    where = _where(which, cursor, ">")
    return text(f"SELECT id FROM receipt WHERE {where} ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED")  # noqa: S608 - our own text


def _where(which: Which, cursor: str | None, beyond: str) -> str:
    conditions = [_HELD, *(condition for name, condition in _CONDITIONS.items() if name in which.given)]
    return " AND ".join(conditions + ([f"id {beyond} CAST(:cursor AS uuid)"] if cursor else []))


def _let_go(connection: Connection, statement: TextClause, ids: Sequence[str], values: dict[str, Any]) -> set[str]:
    wanted = uuid_array(receipt_id for receipt_id in ids if is_id(receipt_id))
    return set(connection.execute(statement, values | {"ids": wanted}).scalars())
