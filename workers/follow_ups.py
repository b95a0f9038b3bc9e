"""Follow-ups: work for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import RowMapping

    from workers.batch import Batch


def hear(batch: Batch) -> None:
    """Take up what happened to the leads of a batch."""


def look(batch: Batch, rows: Sequence[RowMapping]) -> None:
    """Do what is to be done now that these timers went off; their leads are in hand."""
