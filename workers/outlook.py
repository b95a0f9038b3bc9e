"""
Outlook: a lead's score when somebody asks, what it is made of, how it will fall, and what would raise it.

Not a step: nothing is decided and nothing is written. The person and the company are taken as they are known today,
also for a moment that is past or to come.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from schema.errors import Permanent, Transient
from schema.store import clock, why
from schema.store.ids import is_id
from schema.store.journeys import JourneyBook
from workers.batch import Batch
from workers.decide.predict import predict
from workers.decide.score import CLOCKS_DIFFER, warmth
from workers.decide.whatif import needs, reach

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from schema.facts import Facts
    from schema.journey import Journey
    from workers.decide.score import Score

_FARTHEST: Final = timedelta(days=36_525)
_AHEAD: Final = (timedelta(), timedelta(days=7), timedelta(days=30), timedelta(days=90))


def outlook(
    connection: Connection, lead_id: str, *, at: datetime | None = None, target: str | None = None
) -> dict[str, Any]:
    """
    Return the score of a lead `at` a moment (now, where none is given), ready to be written as JSON.

    `target` is a grade of its journey or a whole number up to 100; without it the next better grade is taken.

    :raises Permanent: `lead_unknown`; `moment_unlikely`, more than a century from now; `target_unknown`, with the
        `grades` there are
    """
    if at is not None and abs(at - clock.now()) > _FARTHEST:
        raise Permanent("moment_unlikely")
    batch = Batch(connection, JourneyBook(), at or clock.now(), "score")
    if is_id(lead_id) and batch.load([lead_id]):
        raise Transient("lead_busy", lead_id=lead_id)
    if lead_id not in batch.cases:
        raise Permanent("lead_unknown")
    case = batch.cases[lead_id]
    facts, journey, now = case.facts, case.journey, batch.now
    model = batch.models.active(connection, journey.name)
    found = warmth(facts, journey, now, predict(facts, model, now) if model else None)
    explanation = found.explain()
    explanation["uncounted"] = [*explanation.get("uncounted", ()), *_left_out(facts, journey, now)]
    told = why.told({"step": "score", "outcome": "scored", "reason": None, "explanation": explanation})
    changes = found.look_again
    return {
        "lead_id": case.id,
        "at": now,
        "journey": journey.version,
        "text": told["text"],
        "because": told["because"],
        "why_not": told["why_not"],
        "explanation": explanation,
        "curve": [_point(warmth(facts, journey, now + ahead), now + ahead) for ahead in _AHEAD],
        "next_change": _point(warmth(facts, journey, changes), changes) if changes else None,
        "target": _target(facts, journey, now, found, target),
    }


def _point(score: Score, at: datetime) -> dict[str, Any]:
    figures = {"total": score.total, "fit": score.fit, "engagement": score.engagement}
    return {"at": at, **figures, "grade": score.grade or None, "cell": score.cell or None}


def _left_out(facts: Facts, journey: Journey, now: datetime) -> list[dict[str, Any]]:
    """Touchpoints that no rule looks at, and those that are yet to come, by kind."""
    rules = journey.score.engagement.on
    ahead = Counter(touch.kind for touch in facts.touchpoints if touch.occurred_at > now + CLOCKS_DIFFER)
    others = Counter(touch.kind for touch in facts.touchpoints if touch.kind not in rules) - ahead
    return [
        {"rule": kind, "why": reason, "touchpoints": count}
        for reason, counts in (("no_rule", others), ("ahead", ahead))
        for kind, count in sorted(counts.items())
    ]


def _target(facts: Facts, journey: Journey, now: datetime, found: Score, target: str | None) -> dict[str, Any] | None:
    """What it takes to reach the target; None where there is no better grade."""
    grade, total = _wanted(journey, found.total, target)
    if total is None:
        return None
    suggestions = [need.explain() for need in needs(facts, journey, now, total)]
    far = reach(facts, journey, now, total).explain()
    return {
        "grade": grade,
        "total": total,
        "reached": found.total >= total,
        "needs": [{**need, "text": why.suggested(need)} for need in suggestions],
        "reach": far,
        "limits": list(why.within_reach(far)),
    }


def _wanted(journey: Journey, total: int, target: str | None) -> tuple[str | None, int | None]:
    grades = journey.score.grades
    if target is None:
        better = [(grade, least) for grade, least in grades.items() if least > total]
        return better[-1] if better else (None, None)
    by_name = {grade.casefold(): grade for grade in grades}
    if target.casefold() in by_name:
        grade = by_name[target.casefold()]
        return grade, grades[grade]
    if target.isascii() and target.isdigit() and 0 < int(target[:4]) <= 100:  # noqa: PLR2004 - a score's range
        return None, int(target[:4])
    raise Permanent("target_unknown", grades=", ".join(grades))
