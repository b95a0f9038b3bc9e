"""
Qualify: is this somebody we can help?

A criterion that fails disqualifies, with its reason; what the lead has not told us does not: it is asked for.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from schema.facts import Facts
from schema.journey.expressions import Unknown, View
from schema.journey.model import Criterion, Journey

Verdict = Literal["pass", "fail", "unknown"]
Outcome = Literal["qualified", "disqualified", "incomplete"]


class Judged(msgspec.Struct, frozen=True, gc=False):
    """One criterion with its verdict; `missing` are the fields an answer would need."""

    criterion: Criterion
    verdict: Verdict
    missing: tuple[str, ...] = ()

    def explain(self) -> dict[str, Any]:
        """JSON-ready, with `missing` only where something is."""
        told = {"name": self.criterion.name, "verdict": self.verdict, "rule": self.criterion.rule.source}
        return {**told, "missing": list(self.missing)} if self.missing else told


class Qualification(msgspec.Struct, frozen=True, gc=False):
    """
    What the criteria say together.

    `incomplete`: nothing speaks against the lead, but something has to be asked first; it goes on and is not
    disqualified. `reason` is the code of the first criterion that failed, or empty.
    """

    outcome: Outcome
    reason: str
    criteria: tuple[Judged, ...]

    @property
    def ask(self) -> tuple[str, ...]:
        """The criteria whose answers are missing and wanted."""
        wanted = (judged for judged in self.criteria if judged.verdict == "unknown")
        return tuple(judged.criterion.name for judged in wanted if judged.criterion.unknown == "ask")

    def facts(self) -> dict[str, Any]:
        """As `qualification` in expressions."""
        return {"outcome": self.outcome, "passed": self.outcome == "qualified", "reason": self.reason}

    def explain(self) -> dict[str, Any]:
        """The record for the table `decision`."""
        criteria = [judged.explain() for judged in self.criteria]
        return {"outcome": self.outcome, "reason": self.reason, "ask": list(self.ask), "criteria": criteria}


def judge(facts: Facts, journey: Journey) -> Qualification:
    """All criteria of the journey about one lead: one that fails disqualifies, with the reason of the first."""
    view = facts.context(journey)
    criteria = tuple([_judged(criterion, view) for criterion in journey.qualify])
    failed = next((judged.criterion for judged in criteria if _fails(judged)), None)
    if failed:
        return Qualification("disqualified", failed.reason or failed.name, criteria)
    asks = any(judged.verdict == "unknown" and judged.criterion.unknown == "ask" for judged in criteria)
    return Qualification("incomplete" if asks else "qualified", "", criteria)


def _judged(criterion: Criterion, view: View) -> Judged:
    answer = criterion.rule.evaluate(view)
    if isinstance(answer, Unknown):
        return Judged(criterion, "unknown", answer.missing)
    return Judged(criterion, "pass" if answer is (criterion.require is not None) else "fail")


def _fails(judged: Judged) -> bool:
    return judged.verdict == "fail" or (judged.verdict == "unknown" and judged.criterion.unknown == "fail")
