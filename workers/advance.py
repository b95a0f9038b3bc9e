"""
Advance: where does a lead stand now?

    hears   leads whose next step is `advance`
    reads   lead, person, company, qualification, score, owner, touchpoints
    writes  the transitions that happen by themselves, and the lead's state; the lead is settled, but one that comes
            back from a no goes on with the step after `qualify`
    waits   until time alone may move the lead, and until it is in its state for too long
    tells   lead.transitioned, for each move; lead.overdue, once for each stay

Whatever happens to a lead comes by here: campaigns hear of it when the batch is recorded
(`workers/campaigns/enrolments.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.events import LeadOverdue
from workers import qualify
from workers.decide import history
from workers.decide.advance import next_moves
from workers.runtime import step

if TYPE_CHECKING:
    from workers.batch import Batch, Case


@step("advance")
def advance(batch: Batch) -> None:
    """Make the moves that each lead's journey makes by itself."""
    for case in batch.at("advance"):
        case.heard = True
        if _just_came(case):
            case.came_into.append(case.facts.state)
        found = next_moves(case.facts, case.journey, batch.now)
        outcome = "moved" if found.moves else "overdue" if found.overdue else "stays"
        case.decided(outcome, None, found.explain())
        for move in found.moves:
            case.move(move)
        if found.moves:
            qualify.moved(case, found.moves[-1].reason)
        if found.overdue:
            case.lead["overdue"] = case.facts.overdue = True
            late = found.overdue.explain()
            case.tell(LeadOverdue(late["state"], late["since"], late["sla_s"]))
        case.look_again(found.look_again)
        case.go(case.journey.after("qualify" if found.comes_back else "advance"))


def _just_came(case: Case) -> bool:
    """Whether it came into its state since it became due: a new lead into the first one, or one that was moved."""
    if case.facts.quiet and not case.lead["transitions"]:
        return history.begins(case.facts)
    since = case.facts.entered_at
    return since is not None and since >= (case.lead["due_since"] or case.batch.now)
