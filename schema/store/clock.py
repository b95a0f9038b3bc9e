"""The clock. Decisions get `now` as an argument; only the edges of a unit of work ask for it here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Says what time it is, in UTC: `now`, or one that somebody moves."""


def now() -> datetime:
    """Return the current moment, in UTC."""
    return datetime.now(UTC)
