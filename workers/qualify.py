"""
Qualify: is this somebody we can help?

    hears   leads whose next step is `qualify`
    reads   lead, person, company
    writes  qualification; a disqualified lead goes straight to `advance`, any other to the step after
    tells   lead.qualified, lead.disqualified or lead.undecided (something has to be asked first)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.events import Event, LeadDisqualified, LeadQualified, LeadUndecided
from workers.decide.qualify import Qualification, judge
from workers.runtime import step

if TYPE_CHECKING:
    from workers.batch import Batch


@step("qualify")
def qualify(batch: Batch) -> None:
    """Judge each lead by the criteria of its journey."""
    for case in batch.at("qualify"):
        found = judge(case.facts, case.journey)
        case.lead["qualification"] = found.facts()
        case.facts.know(qualification=found.facts())
        case.decided(found.outcome, found.reason or None, found.explain())
        case.tell(_event(found))
        case.go("advance" if found.outcome == "disqualified" else case.journey.after("qualify"))


def _event(found: Qualification) -> Event:
    criteria = {judged.criterion.name: judged.verdict for judged in found.criteria}
    if found.outcome == "disqualified":
        return LeadDisqualified(found.reason, criteria)
    if found.outcome == "incomplete":
        return LeadUndecided(list(found.ask), criteria)
    return LeadQualified(criteria)
