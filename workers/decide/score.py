"""
Score: how warm is a lead, and what makes it so?

Fit is who somebody is and does not age. Engagement is what they do; each touchpoint's points halve every half-life,
read at a moment, so that no nightly job has to keep a number true. The order in which touchpoints are given does not
matter, not even in the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import msgspec

from schema.facts import Facts, Touch
from schema.journey.expressions import Unknown
from schema.journey.model import Group, Journey, ScoreRules, TouchPoints
from workers.decide.decay import Strand, bounded, next_change
from workers.decide.machines import Uncounted, by_machines

CLOCKS_DIFFER = timedelta(minutes=5)
"""A touchpoint may be this much later than `now` (another machine's clock) and counts as just now; more is ignored."""
MOST_TOLD = 20
"""Touchpoints that an explanation names one by one, the strongest; the rest of each rule is summed up."""
_AT_ONCE = timedelta(0)


class Predicted(Protocol):
    """A trained probability of conversion, 0 to 1, as `workers.decide.predict` makes it."""

    @property
    def probability(self) -> float:
        """0 to 1."""

    @property
    def version(self) -> str:
        """Which model says so."""

    def explain(self) -> dict[str, Any]:
        """JSON-ready."""


class Part(msgspec.Struct, frozen=True, gc=False):
    """Points from one rule; for engagement from one touchpoint, at the moment of reading. Before any limit."""

    rule: str
    points: float
    touchpoint: str | None = None
    group: str | None = None

    def explain(self) -> dict[str, Any]:
        """JSON-ready."""
        told: dict[str, Any] = {"rule": self.rule, "points": round(self.points, 2)}
        if self.touchpoint:
            told["touchpoint"] = self.touchpoint
        return {**told, "group": self.group} if self.group else told


class Grouped(msgspec.Struct, frozen=True, gc=False):
    """The points of one group on one axis (`fit` or `engagement`), and what its limits let count of them."""

    group: str
    axis: str
    points: float
    counted: float

    def explain(self) -> dict[str, Any]:
        """JSON-ready."""
        told = {"group": self.group, "axis": self.axis}
        return {**told, "points": round(self.points, 2), "counted": round(self.counted, 2)}


class Score(msgspec.Struct, frozen=True, gc=False):
    """
    `total`, `fit` and `engagement` from 0 to 100, `grade` and `cell` from the journey (empty where none is reached).

    `parts` are the points before limits and rounding, `groups` what the limits of groups made of them, `unknown` the
    fit rules that a missing answer left open, `uncounted` what gave no points. `summed` is fit and engagement before
    they were rounded and bounded. `look_again` is when, with nothing new, the grade, the cell or the answer of a guard
    changes; None where that never happens.
    """

    total: int
    fit: int
    engagement: int
    grade: str
    parts: tuple[Part, ...]
    unknown: tuple[tuple[str, tuple[str, ...]], ...] = ()
    cell: str = ""
    groups: tuple[Grouped, ...] = ()
    uncounted: tuple[Uncounted, ...] = ()
    summed: tuple[float, float] = (0.0, 0.0)
    predicted: float | None = None
    prediction: dict[str, Any] | None = None
    look_again: datetime | None = None

    def facts(self) -> dict[str, Any]:
        """As `score` in expressions."""
        known: dict[str, Any] = {"total": self.total, "fit": self.fit, "engagement": self.engagement}
        known["grade"] = self.grade
        if self.cell:
            known["cell"] = self.cell
        if self.predicted is not None:
            known["predicted"] = self.predicted
        return known

    def explain(self) -> dict[str, Any]:
        """The record for the table `decision`."""
        told = {**self.facts(), "parts": list(_told(self.parts))}
        if self.groups:
            told["groups"] = [group.explain() for group in self.groups]
        before = {"fit": round(self.summed[0], 2), "engagement": round(self.summed[1], 2)}
        limited = {axis: points for axis, points in before.items() if abs(points - told[axis]) > 0.5}  # noqa: PLR2004 - rounding
        if limited:
            told["before_limits"] = limited
        if self.unknown:
            told["unknown"] = [{"rule": rule, "missing": list(missing)} for rule, missing in self.unknown]
        if self.uncounted:
            told["uncounted"] = [found.explain() for found in self.uncounted]
        if self.prediction is not None:
            told["prediction"] = self.prediction
        return told


class _Deeds(NamedTuple):
    """Engagement before limits: points by touchpoint, how they fall, what gave none, and the next one that will."""

    parts: list[Part]
    strands: list[Strand]
    uncounted: list[Uncounted]
    ahead: datetime | None


def warmth(facts: Facts, journey: Journey, now: datetime, prediction: Predicted | None = None) -> Score:
    """How warm the lead is at `now` (with a time zone), 0 (cold) to 100 (call now), each point with its origin."""
    rules = journey.score
    fit_parts, unknown = _fit(facts, journey)
    deeds = _engagement(facts.touchpoints, rules, now)
    fit_points, fit_groups = _together("fit", fit_parts, rules.groups)
    points, groups = _together("engagement", deeds.parts, rules.groups)
    fit, engagement = _bounded(fit_points, 100), _bounded(points, rules.engagement.cap)
    total = min(100, fit + engagement)
    return Score(
        total,
        fit,
        engagement,
        rules.grade(total),
        (*fit_parts, *deeds.parts),
        tuple(unknown),
        rules.cell(fit, engagement),
        (*fit_groups, *groups),
        tuple(deeds.uncounted),
        (fit_points, points),
        round(prediction.probability, 4) if prediction else None,
        prediction.explain() if prediction else None,
        _look_again(deeds, journey, fit, engagement, now),
    )


def fitting(parts: Sequence[Part], rules: ScoreRules) -> float:
    """The fit that rules which hold come to, before it is bounded as a whole."""
    return _together("fit", parts, rules.groups)[0]


def engaged(touches: Sequence[Touch], rules: ScoreRules, now: datetime) -> float:
    """The engagement that touchpoints come to, before it is rounded and bounded as a whole."""
    return _together("engagement", _engagement(touches, rules, now).parts, rules.groups)[0]


def _fit(facts: Facts, journey: Journey) -> tuple[list[Part], list[tuple[str, tuple[str, ...]]]]:
    view = facts.context(journey)
    parts, unknown = [], []
    for rule in journey.score.fit:
        answer = rule.when.evaluate(view)
        if answer is True:
            parts.append(Part(rule.name, rule.points, None, rule.group))
        elif isinstance(answer, Unknown):
            unknown.append((rule.name, answer.missing))
    return parts, unknown


def _engagement(touches: Iterable[Touch], rules: ScoreRules, now: datetime) -> _Deeds:
    """Touchpoints that give points, each with what is left of them at `now`; the latest first."""
    on, suspicious, latest = rules.engagement.on, rules.machines.kinds, now + CLOCKS_DIFFER
    counting: list[Touch] = []
    ahead: datetime | None = None
    suspects = False
    for touch in touches:
        if touch.kind in on or touch.kind in suspicious:
            if touch.occurred_at <= latest:
                counting.append(touch)
                suspects = suspects or touch.kind in suspicious
            elif ahead is None or touch.occurred_at < ahead:
                ahead = touch.occurred_at
    uncounted: list[Uncounted] = []
    if suspects:
        machines, uncounted = by_machines([touch for touch in touches if touch.occurred_at <= latest], rules.machines)
        counting = [touch for touch in counting if touch.id not in machines and touch.kind in on]
    counting.sort(key=attrgetter("occurred_at", "id"), reverse=True)
    usual = rules.engagement.half_life
    parts: list[Part] = []
    falling: dict[tuple[str | None, timedelta, timedelta], list[float]] = {}
    for touch in _within_limits(counting, on, uncounted):
        rule = on[touch.kind]
        half_life = rule.half_life or usual
        age, delay = now - touch.occurred_at, _AT_ONCE
        if age < _AT_ONCE:
            age, delay = _AT_ONCE, -age
        points = rule.points * 0.5 ** (age / half_life)
        parts.append(Part(touch.kind, points, touch.id, rule.group))
        falling.setdefault((rule.group, half_life, delay), []).append(points)
    strands = [
        Strand(group, half_life.total_seconds(), delay.total_seconds(), math.fsum(points))
        for (group, half_life, delay), points in falling.items()
    ]
    return _Deeds(parts, strands, uncounted, ahead)


def _within_limits(
    touches: Iterable[Touch], rules: Mapping[str, TouchPoints], uncounted: list[Uncounted]
) -> Iterator[Touch]:
    """
    The touchpoints that count: of a rule with `max` and `per`, at most `max` in any window of that length.

    Read from the latest on, which of all choices gives the most points: each that is chosen is as late as can be.
    So one more of them never takes points away, whenever it happened and in whatever order they are heard of.
    """
    counted: dict[str, list[datetime]] = {}
    beyond: dict[str, int] = {}
    for touch in touches:
        rule = rules[touch.kind]
        if rule.max is not None:
            chosen = counted.setdefault(touch.kind, [])
            full = len(chosen) >= rule.max
            if full and (rule.per is None or chosen[-rule.max] - touch.occurred_at < rule.per):
                beyond[touch.kind] = beyond.get(touch.kind, 0) + 1
                continue
            chosen.append(touch.occurred_at)
        yield touch
    uncounted += [Uncounted(kind, "limit", beyond[kind]) for kind in sorted(beyond)]


def _together(axis: str, parts: Sequence[Part], groups: Mapping[str, Group]) -> tuple[float, list[Grouped]]:
    """The sum of the points, those of each group within its limits, and what those did."""
    if not groups:
        return math.fsum(part.points for part in parts), []
    found: dict[str, list[float]] = {}
    alone: list[float] = []
    for part in parts:
        (found.setdefault(part.group, []) if part.group in groups else alone).append(part.points)  # type: ignore[arg-type]
    told = []
    for name in sorted(found):
        points = math.fsum(found[name])
        told.append(Grouped(name, axis, points, bounded(points, groups[name])))
    return math.fsum((*alone, *(group.counted for group in told))), told


def _bounded(points: float, most: int) -> int:
    return max(0, min(most, round(points)))


def _look_again(deeds: _Deeds, journey: Journey, fit: int, engagement: int, now: datetime) -> datetime | None:
    """The next moment, in whole seconds, at which something that follows from the score is different by age alone."""
    soonest = None if deeds.ahead is None else deeds.ahead - CLOCKS_DIFFER
    below, above = _sides(journey, fit, engagement)
    if below is not None or above is not None:
        ahead_s = next_change(deeds.strands, journey.score.groups, below, above)
        if ahead_s is not None:
            changes = now + timedelta(seconds=ahead_s)
            soonest = changes if soonest is None else min(soonest, changes)
    if soonest is not None and soonest.microsecond:
        soonest = soonest.replace(microsecond=0) + timedelta(seconds=1)
    return soonest


def _sides(journey: Journey, fit: int, engagement: int) -> tuple[int | None, int | None]:
    """
    The thresholds of the engagement beside this one: the one it stands on or above, and the next one up.

    One of the total is one of the engagement as well, for as much as fit leaves to reach.
    """
    below = above = None
    for threshold in (*(least - fit for least in journey.score_steps["total"]), *journey.score_steps["engagement"]):
        if 0 < threshold <= journey.score.engagement.cap:
            if threshold <= engagement:
                below = threshold if below is None else max(below, threshold)
            else:
                above = threshold if above is None else min(above, threshold)
    return below, above


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
