"""The clock. Decisions get `now` as an argument; only the edges of a unit of work ask for it here."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current moment, in UTC."""
    return datetime.now(UTC)
