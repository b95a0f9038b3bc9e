"""Canaries as they are kept: which were sent when, which came through, and how the ways in stand by that."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import tables
from schema.store import rows

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

WITHIN: Final = timedelta(minutes=1)
"""A canary that takes longer is late."""
KEPT: Final = timedelta(days=1)
"""Then a canary that came is removed, with its receipt."""
_AWAITED: Final = timedelta(days=30)
"""So long one that did not come is known, so that it is no lead if it comes after all."""
_REMOVED_AT_ONCE: Final = 1_000

_STANDING: Final = text("""
SELECT source, path, min(sent_at) AS first_at, max(sent_at) AS sent_at,
       max(sent_at) FILTER (WHERE came_at IS NOT NULL) AS through_at,
       (array_agg(error ORDER BY sent_at DESC))[1] AS error,
       (array_agg(came_at ORDER BY sent_at DESC))[1] AS came_at
FROM canary WHERE source = ANY(CAST(:sources AS text[])) GROUP BY source, path ORDER BY source, path
""")
_SENT: Final = text("SELECT source, path, max(sent_at) AS sent_at FROM canary GROUP BY source, path")
_FAILED: Final = text("UPDATE canary SET error = :error WHERE nonce = :nonce AND came_at IS NULL")
_REMOVE: Final = text("""
WITH old AS (
    DELETE FROM canary WHERE id = ANY(ARRAY(
        SELECT c.id FROM canary AS c
        WHERE c.sent_at < :before AND (c.receipt_id IS NOT NULL OR c.sent_at < :lost)
        ORDER BY c.sent_at LIMIT :most FOR UPDATE SKIP LOCKED
    )) RETURNING source, key, receipt_id
), forgotten AS (
    DELETE FROM submission AS s USING old WHERE s.source = old.source AND s.key = old.key
), removed AS (
    DELETE FROM receipt AS r USING old WHERE r.id = old.receipt_id AND r.test AND r.lead_id IS NULL
)
SELECT count(*) FROM old
""")


def standing(connection: Connection, sources: Collection[str], now: datetime) -> list[dict[str, Any]]:
    """
    Say of each way into these sources when a canary was last sent, and how old the last is that came through.

    `age_s` counts from when that one was sent (from the first one that was, where none came through yet); `late` says
    that the latest did not come through in time, and `error` why, where that is known.
    """
    told = []
    for row in connection.execute(_STANDING, {"sources": sorted(sources)}):
        is_late = row.came_at is None and (row.error is not None or now - row.sent_at > WITHIN)
        told.append(
            {
                "source": row.source,
                "path": row.path,
                "sent_at": row.sent_at,
                "age_s": round(max(0.0, (now - (row.through_at or row.first_at)).total_seconds()), 3),
                "late": is_late,
                "error": row.error,
            }
        )
    return told


def last_sent(connection: Connection) -> dict[tuple[str, str], datetime]:
    """Return when the latest canary was sent, by source and path."""
    return {(row.source, row.path): row.sent_at for row in connection.execute(_SENT)}


def keep(connection: Connection, sent: Sequence[Mapping[str, Any]]) -> None:
    """Keep canaries before they are sent."""
    rows.insert(connection, tables.canary, sent)


def failed(connection: Connection, nonce: str, error: str) -> None:
    """Note that a canary could not be handed over."""
    connection.execute(_FAILED, {"nonce": nonce, "error": error})


def remove(connection: Connection, now: datetime, *, kept: timedelta = KEPT) -> int:
    """Remove canaries that came and are older than `kept`, and what they left; return how many."""
    wanted = {"before": now - kept, "lost": now - _AWAITED, "most": _REMOVED_AT_ONCE}
    return int(connection.execute(_REMOVE, wanted).scalar_one())
