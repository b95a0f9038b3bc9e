"""
Score: how warm is a lead, and what makes it so?

Fit is who somebody is and does not age. Engagement is what they do; each touchpoint's points halve every half-life,
read at a moment, so that no nightly job has to keep a number true. The order in which touchpoints are given does not
matter, not even in the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import msgspec

from schema.facts import Facts, Touch
from schema.journey.expressions import Unknown
from schema.journey.model import Engagement, Journey, TouchPoints

CLOCKS_DIFFER = timedelta(minutes=5)
"""A touchpoint may be this much later than `now` (another machine's clock) and counts as just now; more is ignored."""
MOST_TOLD = 20
"""Touchpoints that an explanation names one by one, the strongest; the rest of each rule is summed up."""


class Part(msgspec.Struct, frozen=True, gc=False):
    """Points from one rule; for engagement from one touchpoint, at the moment of reading."""

    rule: str
    points: float
    touchpoint: str | None = None

    def explain(self) -> dict[str, Any]:
        """JSON-ready."""
        told = {"rule": self.rule, "points": round(self.points, 2)}
        return {**told, "touchpoint": self.touchpoint} if self.touchpoint else told


class Score(msgspec.Struct, frozen=True, gc=False):
    """
    `total`, `fit` and `engagement` from 0 to 100, `grade` from the journey (empty below the lowest).

    `parts` are the points before caps and rounding; `unknown` are fit rules that a missing answer left open.
    """

    total: int
    fit: int
    engagement: int
    grade: str
    parts: tuple[Part, ...]
    unknown: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def facts(self) -> dict[str, Any]:
        """As `score` in expressions."""
        return {"total": self.total, "fit": self.fit, "engagement": self.engagement, "grade": self.grade}

    def explain(self) -> dict[str, Any]:
        """The record for the table `decision`."""
        told = {**self.facts(), "parts": list(_told(self.parts))}
        unknown = [{"rule": rule, "missing": list(missing)} for rule, missing in self.unknown]
        return {**told, "unknown": unknown} if unknown else told


def warmth(facts: Facts, journey: Journey, now: datetime) -> Score:
    """How warm the lead is at `now` (with a time zone), 0 (cold) to 100 (call now), each point with its origin."""
    rules = journey.score
    fit_parts, unknown = _fit(facts, journey)
    deeds = _engagement(facts.touchpoints, rules.engagement, now)
    fit = _bounded(sum(part.points for part in fit_parts), 100)
    engagement = _bounded(math.fsum(part.points for part in deeds), rules.engagement.cap)
    total = min(100, fit + engagement)
    return Score(total, fit, engagement, rules.grade(total), (*fit_parts, *deeds), tuple(unknown))


def _fit(facts: Facts, journey: Journey) -> tuple[list[Part], list[tuple[str, tuple[str, ...]]]]:
    view = facts.context(journey)
    parts, unknown = [], []
    for rule in journey.score.fit:
        answer = rule.when.evaluate(view)
        if answer is True:
            parts.append(Part(rule.label or rule.when.source, rule.points))
        elif isinstance(answer, Unknown):
            unknown.append((rule.label or rule.when.source, answer.missing))
    return parts, unknown


def _bounded(points: float, most: int) -> int:
    return max(0, min(most, round(points)))


def _engagement(touches: Iterable[Touch], rules: Engagement, now: datetime) -> list[Part]:
    """Touchpoints that give points, each with what is left of them at `now`; the oldest first."""
    latest = now + CLOCKS_DIFFER
    counting = [touch for touch in touches if touch.kind in rules.on and touch.occurred_at <= latest]
    counting.sort(key=attrgetter("occurred_at", "id"))
    half_life = rules.half_life.total_seconds()
    parts = []
    for touch in _within_limits(counting, rules.on):
        age = max(0.0, (now - touch.occurred_at).total_seconds())
        parts.append(Part(touch.kind, rules.on[touch.kind].points * 0.5 ** (age / half_life), touch.id))
    return parts


def _within_limits(touches: Iterable[Touch], rules: dict[str, TouchPoints]) -> Iterator[Touch]:
    """
    The touchpoints that count: of a rule with `max` and `per`, at most `max` in any window of that length.

    Read from the oldest on, so what counted once goes on counting when more comes in.
    """
    counted: dict[str, list[datetime]] = {}
    for touch in touches:
        rule = rules[touch.kind]
        if rule.max is not None:
            recent = counted.setdefault(touch.kind, [])
            full = len(recent) >= rule.max
            if full and (rule.per is None or touch.occurred_at - recent[-rule.max] < rule.per):
                continue
            recent.append(touch.occurred_at)
        yield touch


def _told(parts: tuple[Part, ...]) -> Iterator[dict[str, Any]]:
    """Every fit rule, the strongest touchpoints, and the others summed up by rule."""
    deeds = sorted((part for part in parts if part.touchpoint), key=lambda part: -abs(part.points))
    yield from (part.explain() for part in parts if not part.touchpoint)
    yield from (part.explain() for part in deeds[:MOST_TOLD])
    rest: dict[str, list[float]] = {}
    for part in deeds[MOST_TOLD:]:
        rest.setdefault(part.rule, []).append(part.points)
    for rule, points in rest.items():
        yield {"rule": rule, "points": round(math.fsum(points), 2), "touchpoints": len(points)}
