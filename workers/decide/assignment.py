"""Assignment: how a lead came to its owner, and what became of that; as plain values and as it is kept in a row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec


class Assignment(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """
    How a lead came to its owner: the column `assignment`.

    `passed` are those who had it before and did not keep it, `declined` the reason of an owner who does not want it,
    `escalated` that nobody in turn accepted it, `by_hand` that somebody decided it. `waits_for` are the people that a
    lead in a queue could go to.
    """

    since: datetime | None = None
    accept_by: datetime | None = None
    remind_at: datetime | None = None
    reminded: bool = False
    accepted_at: datetime | None = None
    declined: str | None = None
    passed: tuple[str, ...] = ()
    escalated: bool = False
    by_hand: bool = False
    waits_for: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """The same as JSON, without what is not so."""
        written: dict[str, Any] = msgspec.to_builtins(self)
        return written


def assignment(row: Mapping[str, Any] | None) -> Assignment:
    """The assignment as it is kept in a row; an empty one for none."""
    return msgspec.convert(row, Assignment) if row else _NONE


_NONE: Final = Assignment()
