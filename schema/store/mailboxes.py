"""Mailboxes as operators see them: how far each was read, and why one cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection


def mailboxes(connection: Connection) -> list[dict[str, Any]]:
    """
    Every mailbox that was ever read, those that somebody has to look at first.

    `skipped` mails could not be kept and are still there; `error` is a code, `alarm` that it will not pass by itself.
    """
    return [dict(row) for row in connection.execute(_MAILBOXES).mappings()]


_MAILBOXES: Final = text("""
SELECT name, source, polled_at, read_to, uid, skipped, failures, failing_since, error, alarm
FROM mailbox ORDER BY alarm DESC, name
""")
