"""
Claims: the rows that are due for a step, locked for the transaction that asks for them.

Rows that a hint names come first, then the oldest that wait. What another worker has is passed over, never waited for,
so that claims cannot block each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from schema.store.campaigns import STANDS_STILL, UNDER_WAY
from schema.store.ids import uuid_array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, RowMapping, TextClause

_RECEIPTS_NAMED: Final = text("""
SELECT *, due_since < :overdue AS suspect FROM receipt
WHERE id = ANY(CAST(:ids AS uuid[])) AND due_since IS NOT NULL
  AND (CAST(:sources AS text[]) IS NULL OR source = ANY(CAST(:sources AS text[])))
ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_RECEIPTS_DUE: Final = text("""
SELECT *, due_since < :overdue AS suspect FROM receipt
WHERE due_since IS NOT NULL AND id <> ALL(CAST(:ids AS uuid[]))
  AND (CAST(:sources AS text[]) IS NULL OR source = ANY(CAST(:sources AS text[])))
ORDER BY due_since LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_LEADS_NAMED: Final = text("""
SELECT id, attempts, due_since < :overdue AS suspect, journey FROM lead
WHERE id = ANY(CAST(:ids AS uuid[])) AND due_since IS NOT NULL AND next_step = :step
  AND journey <> ALL(CAST(:unread AS text[]))
ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
""")
# Looks at a bounded number of due leads: those of one step have no index of their own, because every step updates it.
_LEADS_DUE: Final = text("""
SELECT id, attempts, due_since < :overdue AS suspect, journey FROM lead
WHERE id = ANY(ARRAY(
    SELECT id FROM (
        SELECT id, next_step FROM lead WHERE due_since IS NOT NULL AND journey <> ALL(CAST(:unread AS text[]))
        ORDER BY due_since LIMIT 10000
    ) AS due
    WHERE next_step = :step AND id <> ALL(CAST(:ids AS uuid[])) LIMIT 4 * :limit
)) AND due_since IS NOT NULL AND next_step = :step
ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
""")
# With an enrolment its lead is locked, so that nothing happens to the one while the other is decided about.
# That somebody is due for long says little, as many may be; but who was tried before, or (`careful`) by a process that
# has just been started, perhaps in the place of one that died with them.
_ENROLMENT: Final = "e.*, l.journey AS lead_journey, e.due_at < :overdue AND (:careful OR e.attempts > 0) AS suspect"
_ENROLMENT_DUE: Final = f"""
e.due_at <= :now AND e.journey <> ALL(CAST(:unread AS text[])) AND l.journey <> ALL(CAST(:unread AS text[]))
  AND NOT {STANDS_STILL.format(of="e")}
"""
_ENROLMENTS_NAMED: Final = text(f"""
SELECT {_ENROLMENT} FROM enrolment AS e JOIN lead AS l ON l.id = e.lead_id
WHERE e.id = ANY(CAST(:ids AS uuid[])) AND {_ENROLMENT_DUE}
ORDER BY e.id LIMIT :limit FOR UPDATE OF l, e SKIP LOCKED
""")  # noqa: S608 - our own text
# Campaigns take turns, so that nobody waits behind the many of another one.
_ENROLMENTS_DUE: Final = text(f"""
WITH RECURSIVE {UNDER_WAY}, waiting AS (
    SELECT first.id, first.place FROM under_way AS c CROSS JOIN LATERAL (
        SELECT e.id, row_number() OVER (ORDER BY e.due_at) AS place FROM enrolment AS e
        WHERE e.journey_name = c.journey_name AND e.campaign = c.campaign AND e.due_at <= :now
          AND e.journey <> ALL(CAST(:unread AS text[]))
        ORDER BY e.due_at LIMIT 4 * :limit
    ) AS first
    WHERE NOT {STANDS_STILL.format(of="c")} ORDER BY first.place LIMIT 4 * :limit
)
SELECT {_ENROLMENT}
FROM waiting JOIN enrolment AS e ON e.id = waiting.id JOIN lead AS l ON l.id = e.lead_id
WHERE {_ENROLMENT_DUE} AND e.id <> ALL(CAST(:ids AS uuid[]))
ORDER BY waiting.place LIMIT :limit FOR UPDATE OF l, e SKIP LOCKED
""")  # noqa: S608 - our own text
_TIMER: Final = "t.*, l.journey AS lead_journey, t.due_at < :overdue AND (:careful OR t.attempts > 0) AS suspect"
_TIMERS_NAMED: Final = text(f"""
SELECT {_TIMER} FROM timer AS t JOIN lead AS l ON l.id = t.lead_id
WHERE t.id = ANY(CAST(:ids AS uuid[])) AND t.due_at <= :now AND l.journey <> ALL(CAST(:unread AS text[]))
ORDER BY t.id LIMIT :limit FOR UPDATE OF l, t SKIP LOCKED
""")  # noqa: S608 - our own text
_TIMERS_DUE: Final = text(f"""
SELECT {_TIMER} FROM timer AS t JOIN lead AS l ON l.id = t.lead_id
WHERE t.due_at <= :now AND l.journey <> ALL(CAST(:unread AS text[])) AND t.id <> ALL(CAST(:ids AS uuid[]))
ORDER BY t.due_at LIMIT :limit FOR UPDATE OF l, t SKIP LOCKED
""")  # noqa: S608 - our own text
TIMED: Final = ("enrolment", "timer")
"""Subjects that are due at a moment of their own, and locked with their lead."""
_NAMED: Final = {
    "receipt": _RECEIPTS_NAMED,
    "lead": _LEADS_NAMED,
    "enrolment": _ENROLMENTS_NAMED,
    "timer": _TIMERS_NAMED,
}
_DUE: Final = {"receipt": _RECEIPTS_DUE, "lead": _LEADS_DUE, "enrolment": _ENROLMENTS_DUE, "timer": _TIMERS_DUE}
_ATTEMPT: Final = {
    "receipt": text("UPDATE receipt SET attempts = attempts + 1 WHERE id = ANY(CAST(:ids AS uuid[]))"),
    "lead": text("UPDATE lead SET attempts = attempts + 1 WHERE id = ANY(CAST(:ids AS uuid[]))"),
    # Due from now on, so that nobody else takes it for one that has just died with its worker.
    "enrolment": text("""
        UPDATE enrolment SET attempts = attempts + 1, due_at = CAST(:now AS timestamptz)
        WHERE id = ANY(CAST(:ids AS uuid[])) AND due_at <= CAST(:now AS timestamptz)
        """),
    "timer": text("""
        UPDATE timer SET attempts = attempts + 1, due_at = CAST(:now AS timestamptz)
        WHERE id = ANY(CAST(:ids AS uuid[])) AND due_at <= CAST(:now AS timestamptz)
        """),
}
_RELEASE: Final = {
    "receipt": text("UPDATE receipt SET due_since = NULL WHERE id = :id AND due_since IS NOT NULL"),
    "lead": text("UPDATE lead SET due_since = NULL WHERE id = :id AND due_since IS NOT NULL"),
    "enrolment": text("UPDATE enrolment SET due_at = NULL WHERE id = :id AND due_at <= :now"),
    "timer": text("UPDATE timer SET due_at = NULL WHERE id = :id AND due_at <= :now"),
}


def claim(
    connection: Connection,
    subject: str,
    ids: Sequence[str],
    later: Sequence[str],
    limit: int,
    wanted: Mapping[str, object],
    *,
    more: bool,
) -> list[RowMapping]:
    """
    Lock at most `limit` rows that are due: those named, then with `more` the oldest others, but for those of `later`.

    Each has `attempts` and `suspect`: due since before `wanted["overdue"]`, it may be one that ends its worker.
    """

    def locked(statement: TextClause, ids: Sequence[str], limit: int) -> list[RowMapping]:
        given = {**wanted, "ids": uuid_array(ids), "limit": limit}
        return list(connection.execute(statement, given).mappings())

    found = locked(_NAMED[subject], ids, limit) if ids else []
    if more and len(found) < limit:
        left = [*(row["id"] for row in found), *later]
        found += locked(_DUE[subject], left, limit - len(found))
    return found


def count_attempt(connection: Connection, subject: str, ids: Sequence[str], now: datetime) -> None:
    """Keep that rows are tried once more."""
    if ids:
        given = {"now": now} if subject in TIMED else {}
        connection.execute(_ATTEMPT[subject], {"ids": uuid_array(ids)} | given)


def release(connection: Connection, subject: str, row_id: str, now: datetime) -> bool:
    """Make a row due no more; tell whether it was."""
    given = {"now": now} if subject in TIMED else {}
    return bool(connection.execute(_RELEASE[subject], {"id": row_id} | given).rowcount)
