"""
Score: how warm is a lead?

    hears   leads whose next step is `score`: something came in, or their score has fallen below a threshold by age
    reads   lead, person, company, touchpoints, the active prediction model
    writes  score, grade and cell, and the moment at which age alone will have changed what follows from them
    tells   lead.scored; not where nothing came in and no figure is another one
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.events import LeadScored
from workers.decide.predict import predict
from workers.decide.score import warmth
from workers.runtime import step

if TYPE_CHECKING:
    from workers.batch import Batch, Case
    from workers.decide.score import Score


@step("score")
def score(batch: Batch) -> None:
    """Read each lead's warmth at this moment."""
    for case in batch.at("score"):
        model = batch.models.active(batch.connection, case.journey.name)
        prediction = predict(case.facts, model, batch.now) if model else None
        record(case, warmth(case.facts, case.journey, batch.now, prediction))
        case.go(case.journey.after("score"))


def record(case: Case, found: Score) -> None:
    """Keep a score that was just read, and tell it where it is another one."""
    grade, cell = found.grade or None, found.cell or None
    columns = {
        "score_total": found.total,
        "score_fit": found.fit,
        "score_engagement": found.engagement,
        "grade": grade,
        "score_cell": cell,
        "predicted": found.predicted,
    }
    changed = any(case.lead[name] != value for name, value in columns.items())
    if changed or any(touch.new for touch in case.facts.touchpoints):
        case.lead |= columns
        case.facts.know(score=found.facts())
        case.decided("scored", grade, found.explain())
        case.tell(LeadScored(found.total, found.fit, found.engagement, grade, cell, found.predicted))
    case.look_again(found.look_again if case.lead["open"] else None)
