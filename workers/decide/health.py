"""
Health: how well is a customer?

Points of the journey's rules are added to where everybody starts; a rule that asks for what is not known gives none.
Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from schema.facts import Facts
    from schema.journey import Journey
    from schema.journey.contract import Health

LEAST, MOST = 0, 100


class Counted(NamedTuple):
    """One rule that holds, with its points."""

    name: str
    points: int


class Wellness(NamedTuple):
    """How well a customer is, 0 to 100, the rules that say so, and those that could not be answered."""

    score: int
    start: int
    at_risk: int
    counted: tuple[Counted, ...]
    unknown: tuple[str, ...]

    @property
    def low(self) -> bool:
        """Whether they may leave."""
        return self.score < self.at_risk

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        rules = [{"rule": each.name, "points": each.points} for each in self.counted]
        start = {"score": self.score, "start": self.start, "at_risk_below": self.at_risk, "at_risk": self.low}
        return start | {"rules": rules, "unknown": list(self.unknown)}


def wellness(facts: Facts, journey: Journey, rules: Health) -> Wellness:
    """How well the customer is whom these facts are about."""
    view = facts.context(journey)
    counted, unknown = [], []
    for rule in rules.rules:
        answer = rule.when.evaluate(view)
        if answer is True:
            counted.append(Counted(rule.name, rule.points))
        elif answer is not False:
            unknown.append(rule.name)
    points = rules.start + sum(each.points for each in counted)
    score = max(LEAST, min(MOST, points))
    return Wellness(score, rules.start, rules.at_risk, tuple(counted), tuple(unknown))
