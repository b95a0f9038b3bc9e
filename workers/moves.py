"""
A move asked for by a person or a program: the same one write path as the step `advance`, for one lead.

Not a step: it is asked for, answered at once, and refused where the journey does not know it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from schema import lifecycle
from schema.errors import Permanent, Transient
from schema.store import clock
from schema.store.journeys import JourneyBook
from workers.batch import Batch
from workers.decide.advance import Move

if TYPE_CHECKING:
    from datetime import datetime

_LOCK: Final = text("SELECT id FROM lead WHERE id = :id FOR UPDATE")
_ATTEMPTS: Final = 3


def move_lead(
    engine: Engine,
    lead_id: str,
    name: str,
    *,
    reason: str | None,
    actor: str,
    now: datetime | None = None,
) -> dict[str, Any]:
    """
    Make the named transition and return `{"lead_id", "name", "from_state", "to_state", "at"}`.

    :raises Permanent: `lead_unknown`; `other_lead_open`, the person has another open lead on this journey
    :raises schema.lifecycle.IllegalTransition: the lead's journey has no such move from its state
    :raises schema.lifecycle.ReasonRequired: the transition needs one of its reasons
    """
    book = JourneyBook()
    for _ in range(_ATTEMPTS):
        at = now or clock.now()
        with engine.begin() as connection:
            if connection.execute(_LOCK, {"id": lead_id}).one_or_none() is None:
                raise Permanent("lead_unknown")
            batch = Batch(connection, book, at, "advance")
            if batch.load([lead_id]):
                continue  # a younger transaction has told events of it: ours must be younger still
            case = batch.cases[lead_id]
            from_state = case.facts.state
            to_state = lifecycle.move(case.journey, from_state, name)
            why = lifecycle.reason(case.journey, name, reason)
            case.decided("moved", why or None, {"moves": [{"name": name, "asked_by": actor}]})
            case.move(Move(name, from_state, to_state, why, ""), actor=actor)
            try:
                batch.record()
            except IntegrityError as error:
                if getattr(getattr(error.orig, "diag", None), "constraint_name", None) != "uq_lead_open":
                    raise
                raise Permanent("other_lead_open", lead_id=lead_id) from error
            return {"lead_id": lead_id, "name": name, "from_state": from_state, "to_state": to_state, "at": at}
    raise Transient("lead_busy", lead_id=lead_id)
