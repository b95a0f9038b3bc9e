"""
Advance: where does a lead stand now?

    hears   leads whose next step is `advance`
    reads   lead, person, company, qualification, score, owner, touchpoints
    writes  the transitions whose guards hold, and the lead's state; the lead is settled
    tells   lead.transitioned, for each move
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.decide.advance import next_moves
from workers.runtime import step

if TYPE_CHECKING:
    from workers.batch import Batch


@step("advance")
def advance(batch: Batch) -> None:
    """Make the moves that each lead's journey makes by itself."""
    for case in batch.at("advance"):
        found = next_moves(case.facts, case.journey, batch.now)
        case.decided("moved" if found.moves else "stays", None, found.explain())
        for move in found.moves:
            case.move(move)
        case.go(case.journey.after("advance"))
