"""
Qualify: is this somebody we can help?

    hears   leads whose next step is `qualify`
    reads   lead, person, company; of who was told no and passes now, whether they have a newer lead
    writes  qualification, with what is asked; a disqualified lead goes straight to `advance`, and so does one that
            comes back from there; any other to the step after
    waits   until an answer is overdue; until who was told no is looked at again
    tells   lead.qualified, lead.disqualified or lead.undecided (something has to be asked first)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from schema import lifecycle
from schema.events import Event, LeadDisqualified, LeadQualified, LeadUndecided
from workers.decide import history
from workers.decide.qualify import Qualification, judge, left_as_it_is, turned_down
from workers.runtime import step

if TYPE_CHECKING:
    from workers.batch import Batch, Case


@step("qualify")
def qualify(batch: Batch) -> None:
    """Judge each lead by the criteria of its journey."""
    judged = [(case, judge(case.facts, case.journey, batch.now)) for case in batch.at("qualify")]
    superseded = batch.superseded(case.id for case, found in judged if found.again)
    for case, judgement in judged:
        found = judgement
        if case.id in superseded:
            found = left_as_it_is(case.facts, case.journey, batch.now, "newer_lead")
        keep(case, found)
        case.decided(found.outcome, found.reason or None, found.explain())
        if not found.stands:
            case.tell(_event(case, found))
        straight = found.outcome == "disqualified" or found.again
        case.go("advance" if straight else case.journey.after("qualify"))


def keep(case: Case, found: Qualification) -> None:
    """Make a judgement the lead's own, with the moment at which it is made anew."""
    case.lead["qualification"] = found.facts()
    case.facts.know(qualification=found.facts())
    case.look_again(found.look_again, step="qualify")


def moved(case: Case, reason: str, *, by_hand: bool = False) -> None:
    """
    See to the qualification of a lead that has just been moved.

    Where its journey keeps who was told no, it was told no now, whatever moved it there: with the reason of the move
    where no criterion gave one or somebody said so, which decides when it is looked at again.
    """
    if lifecycle.turns_down(case.journey, case.facts.state):
        before = case.facts.qualification or {}
        told = reason if lifecycle.is_code(reason) else ""
        if before.get("outcome") != "disqualified" or (by_hand and told):
            keep(case, turned_down(case.facts, case.journey, case.batch.now, told))


def _event(case: Case, found: Qualification) -> Event:
    at = (history.judged_at(case.facts, case.batch.now) or UNSET) if case.facts.quiet else UNSET
    criteria = {judged.criterion.name: judged.verdict for judged in found.criteria}
    if found.outcome == "disqualified":
        return LeadDisqualified(found.reason, criteria, at=at)
    if found.outcome == "incomplete":
        return LeadUndecided(list(found.ask), criteria, at=at)
    return LeadQualified(criteria, at=at)
