"""
A move asked for by a person or a program: the same one write path as the step `advance`, for one lead.

Not a step: it is asked for, answered at once, and refused where the journey does not know it or its guard does not
hold; that it was asked for is kept either way. Who moves a lead has accepted it.

Afterwards the lead goes on by itself. Into a state where qualification matters it is qualified again, and where it was
told no before, the answers that spoke against it are asked for anew: whoever moves it has overruled them. A lead that
is opened again anywhere else is scored and routed; any other is looked at for what happens by itself in its new state.
Nothing is due for one that is closed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from schema import lifecycle
from schema.errors import Permanent, Transient
from schema.store import clock
from schema.store.journeys import JourneyBook
from workers import qualify
from workers.batch import Batch, Case
from workers.decide.advance import Move
from workers.route import accepted

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_LOCK: Final = text("SELECT id, merged_into FROM lead WHERE id = :id FOR UPDATE")
_ATTEMPTS: Final = 10
"""A transaction that waited for the lead may be older than one that told events of it meanwhile; the next is not."""


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
    Make the named transition and return `{"lead_id", "name", "from_state", "to_state", "at", "next_step"}`.

    `next_step` is what the lead is due for now, if anything. A refused move leaves a decision that says so.

    :raises Permanent: `lead_unknown`; `lead_merged`, it goes on in the lead `into`; `other_lead_open`, the person has
        another open lead on this journey
    :raises schema.lifecycle.IllegalTransition: the lead's journey has no such move from its state
    :raises schema.lifecycle.GuardNotMet: the transition has a `when`, and it does not hold
    :raises schema.lifecycle.ReasonRequired: the transition needs one of its reasons
    :raises Transient: `lead_busy`, others tell events of it without end
    """
    try:
        return with_lead(engine, lead_id, now, partial(make, name=name, reason=reason, actor=actor))
    except Permanent as refusal:
        if refusal.code not in {"lead_unknown", "lead_merged"}:
            with_lead(engine, lead_id, now, partial(_refuse, name=name, refusal=refusal, actor=actor))
        raise


def with_lead(
    engine: Engine, lead_id: str, now: datetime | None, act: Callable[[Case], dict[str, Any]]
) -> dict[str, Any]:
    """
    Lock the lead, let `act` change it, and record that, in one transaction; return what `act` does.

    Raises as `move_lead` does where there is no such lead, or it is not to be had.
    """
    book = JourneyBook()
    for _ in range(_ATTEMPTS):
        with engine.begin() as connection:
            lead = connection.execute(_LOCK, {"id": lead_id}).one_or_none()
            if lead is None:
                raise Permanent("lead_unknown")
            if lead.merged_into:
                raise Permanent("lead_merged", f"This lead goes on in {lead.merged_into}.", into=lead.merged_into)
            batch = Batch(connection, book, now or clock.now(), "move")
            if batch.load([lead_id]):
                continue  # a younger transaction has told events of it: ours must be younger still
            done = act(batch.cases[lead_id])
            try:
                batch.record()
            except IntegrityError as error:
                if getattr(getattr(error.orig, "diag", None), "constraint_name", None) != "uq_lead_open":
                    raise
                raise Permanent("other_lead_open", lead_id=lead_id) from error
            return done
    raise Transient("lead_busy", lead_id=lead_id)


def make(
    case: Case, name: str, reason: str | None, actor: str, *, trigger: Literal["manual", "opportunity"] = "manual"
) -> dict[str, Any]:
    """Make a move for a lead in hand and have it go on; raises as `move_lead` does where it may not be made."""
    from_state = case.facts.state
    to_state = lifecycle.move(case.journey, from_state, name)
    lifecycle.guard(case.journey, name, case.facts)
    why = lifecycle.reason(case.journey, name, reason)
    accepted(case)
    move = Move(name, from_state, to_state, why, "", trigger=trigger)
    told = {"name": name, "from_state": from_state, "to_state": to_state, "asked_by": actor}
    case.decided("moved", why if lifecycle.is_code(why) else None, {"moves": [told]})
    case.move(move, actor=actor)
    _overrule(case, from_state)
    qualify.moved(case, why, by_hand=True)
    _go_on(case, reopened=case.journey.lifecycle[from_state].final)
    return {
        "lead_id": case.id,
        "name": name,
        "from_state": from_state,
        "to_state": to_state,
        "at": case.batch.now,
        "next_step": case.lead["next_step"],
    }


def _refuse(case: Case, name: str, refusal: Permanent, actor: str) -> dict[str, Any]:
    """Keep that a move was asked for in vain; a name that no journey could have is not repeated."""
    facts = {fact: refusal.facts[fact] for fact in ("possible", "guard", "missing", "reasons") if fact in refusal.facts}
    asked_for = name if lifecycle.is_code(name) else None
    told = {"name": asked_for, "state": case.facts.state, "asked_by": actor} | facts
    case.decided("refused", refusal.code, told)
    return {}


def _overrule(case: Case, from_state: str) -> None:
    """Whoever takes a lead out of where those are who were told no, overrules that; it counts as another look."""
    if lifecycle.turns_down(case.journey, from_state):
        case.lead["recycled"] = case.facts.recycled = case.facts.recycled + 1
    qualification = case.lead["qualification"] or {}
    if qualification.get("outcome") == "disqualified" and not lifecycle.turns_down(case.journey, case.facts.state):
        case.lead["qualification"] = qualification | {"overruled": True}
        case.facts.know(qualification=case.lead["qualification"])


def _go_on(case: Case, *, reopened: bool) -> None:
    """Make the lead due for what follows a move by hand, unless something before that is due already."""
    if not case.lead["open"]:
        case.heard = True
        case.go(None)
        return
    steps = case.journey.steps
    first = "advance"
    if lifecycle.qualifies(case.journey, case.facts.state):
        first = "qualify"
    elif reopened:
        first = (case.journey.after("qualify") if "qualify" in steps else steps[0]) or "advance"
    due = case.lead["next_step"]
    if due not in steps or steps.index(due) > steps.index(first):
        case.go(first)
