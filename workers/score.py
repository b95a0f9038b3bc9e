"""
Score: how warm is a lead?

    hears   leads whose next step is `score`
    reads   lead, person, company, touchpoints
    writes  score and grade
    tells   lead.scored
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.events import LeadScored
from workers.decide.score import warmth
from workers.runtime import step

if TYPE_CHECKING:
    from workers.batch import Batch


@step("score")
def score(batch: Batch) -> None:
    """Read each lead's warmth at this moment."""
    for case in batch.at("score"):
        found = warmth(case.facts, case.journey, batch.now)
        grade = found.grade or None
        case.lead |= {
            "score_total": found.total,
            "score_fit": found.fit,
            "score_engagement": found.engagement,
            "grade": grade,
        }
        case.facts.know(score=found.facts())
        case.decided("scored", grade, found.explain())
        case.tell(LeadScored(found.total, found.fit, found.engagement, grade))
        case.go(case.journey.after("score"))
