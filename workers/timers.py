"""
Timers: when a ticket, an opportunity, a contract, a follow-up or a survey is to be looked at again.

`at` says it for one of them, within a batch that has its lead in hand; `record` writes it with the batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import text

from schema import tables
from schema.store import rows
from schema.store.ids import uuid_array

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from workers.batch import Batch

_DELETE: Final = text("DELETE FROM timer WHERE id = ANY(CAST(:ids AS uuid[]))")
_OWES: Final = text("SELECT EXISTS (SELECT FROM timer WHERE due_at <= :now)")
_UPSERT: Final = (
    "ORDER BY id ON CONFLICT (id) DO UPDATE SET due_at = EXCLUDED.due_at, lead_id = EXCLUDED.lead_id, attempts = 0"
)


class Timer(NamedTuple):
    """What is to be looked at, and when; None: not any more."""

    kind: str
    lead_id: str
    due_at: datetime | None


def at(batch: Batch, kind: str, subject_id: str, lead_id: str, moment: datetime | None) -> None:
    """Have something of a lead looked at again at a moment, whatever it waited for before; None: it need not be."""
    batch.timers[subject_id] = Timer(kind, lead_id, moment)


def record(batch: Batch) -> None:
    """Write what was said; a timer that went off and was not set again is gone."""
    for row in batch.went_off:
        batch.timers.setdefault(row["id"], Timer(row["kind"], row["lead_id"], None))
    if not batch.timers:
        return
    gone = [subject for subject, timer in batch.timers.items() if timer.due_at is None]
    if gone:
        batch.connection.execute(_DELETE, {"ids": uuid_array(gone)})
    left = [{"id": subject, **timer._asdict()} for subject, timer in batch.timers.items() if timer.due_at is not None]
    rows.insert(batch.connection, tables.timer, left, _UPSERT)


def owes(connection: Connection, now: datetime) -> bool:
    """Whether a timer is due."""
    return bool(connection.execute(_OWES, {"now": now}).scalar_one())
