"""What is sure about every lead of a journey: the values its fields have, and the most points it can get."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from datetime import timedelta

from schema.journey.holds import OUTCOMES, Band, World, bands
from schema.journey.model import Engagement, Journey, TouchPoints
from schema.journey.question import LIMIT
from schema.journey.service import PRIORITIES
from schema.ticketing import LEADS_TO

_NEVER: dict[str, tuple[str, ...]] = {
    "qualify": ("qualification.",),
    "score": ("score.",),
    "route": ("owner", "pool"),
}
"""What is never known when a step is left out."""
CLOCKS_DIFFER = timedelta(minutes=5)
"""Touchpoints from so far ahead still count as just now."""


POINTS = frozenset(
    f"score.{key}"
    for key in ("*", "fit", "engagement", "on", "points", "max", "per", "half_life", "cap", "group", "groups")
)
"""What the most points depend on."""


def world(journey: Journey, spoilt: Collection[str]) -> World:
    """The world of the journey's leads; nothing is sure where something had to be left out."""
    cells = _cells(journey)
    pipelines = journey.pipelines.values()
    kinds = [("ticket.kind", journey.service.kinds, {"service.*", "service.kinds"})] if journey.service else []
    known: list[tuple[str, Iterable[str], set[str]]] = [
        ("source", journey.sources, {"sources.*"}),
        ("owner", journey.people, {"people.*"}),
        ("member.name", journey.people, {"people.*"}),
        ("ticket.priority", PRIORITIES, set()),
        ("ticket.status", LEADS_TO, set()),
        ("opportunity.status", ("open", "won", "lost"), set()),
        ("opportunity.pipeline", journey.pipelines, {"pipelines.*"}),
        ("opportunity.stage", {stage for each in pipelines for stage in each.stages}, {"pipelines.*"}),
        ("pool", journey.route.pools, {"route.*", "route.pools"}),
        ("state", journey.lifecycle, {"lifecycle.*"}),
        ("score.grade", journey.score.grades, {"score.*", "score.grades"}),
        ("score.cell", cells, {"score.*", "score.grid", "score.fit", "score.engagement"}),
        ("qualification.reason", codes(journey), {"qualify.*", "qualify.name", "qualify.reason"}),
        ("qualification.outcome", OUTCOMES, set()),
        *kinds,
    ]
    whole = {name: frozenset(values) for name, values, needs in known if needs.isdisjoint(spoilt)}
    never = [name for step, names in _NEVER.items() if step not in journey.steps for name in names]
    never += [name for name in ("score.grade", "score.cell") if whole.get(name) == frozenset()]
    return World(
        values=whole,
        limits=_limits(journey, sure=POINTS.isdisjoint(spoilt)),
        unknown=() if "steps.*" in spoilt else tuple(never),
        grades=bands(journey.score.grades, LIMIT) if "score.grade" in whole else {},
        cells=cells if "score.cell" in whole else {},
    )


def codes(journey: Journey) -> list[str]:
    """The reasons with which the journey disqualifies."""
    return [criterion.reason or criterion.name for criterion in journey.qualify]


def _cells(journey: Journey) -> dict[str, tuple[Band, Band]]:
    grid = journey.score.grid
    if grid is None:
        return {}
    fit, deeds = bands(grid.fit, LIMIT), bands(grid.engagement, LIMIT)
    return {letter + number: (one, other) for letter, one in fit.items() for number, other in deeds.items()}


def _limits(journey: Journey, *, sure: bool) -> dict[str, Band]:
    """Without any rule that gives points nothing is concluded from that: see `scoring.points`."""
    rules = journey.score.fit or journey.score.engagement.on
    fit, deeds = (most_fit(journey), most_engagement(journey)) if sure and rules else (LIMIT, LIMIT)
    return {
        "score.fit": (0, fit),
        "score.engagement": (0, deeds),
        "score.total": (0, min(LIMIT, fit + deeds)),
        "score.predicted": (0, 1),
        "person.health": (0, 100),
        "touchpoint.count": (0, math.inf),
        "company.employees": (0, math.inf),
    }


def most_fit(journey: Journey) -> int:
    """The most points for who somebody is."""
    return min(LIMIT, math.ceil(_grouped(journey, ((rule.group, rule.points) for rule in journey.score.fit))))


def most_engagement(journey: Journey) -> int:
    """The most points for what somebody does, however often; rather too many than too few."""
    rules = journey.score.engagement
    points = _grouped(journey, ((rule.group, _most(rule, rules)) for rule in rules.on.values()))
    return min(LIMIT, rules.cap, math.ceil(min(points, LIMIT)))


def _grouped(journey: Journey, points: Iterable[tuple[str | None, float]]) -> float:
    together: dict[str | None, float] = {}
    for group, most in points:
        together[group] = together.get(group, 0) + max(0, most)
    groups = journey.score.groups
    return sum(min(most, groups[name].cap) if name in groups else most for name, most in together.items())


def _most(rule: TouchPoints, rules: Engagement) -> float:
    """The most points of one kind: without a limit any number, else a full window, and what is left of those before."""
    if rule.points <= 0 or rule.max is None:
        return math.inf if rule.points > 0 else 0
    if rule.per is None:
        return rule.max * rule.points
    kept = 0.5 ** (rule.per / (rule.half_life or rules.half_life))
    ahead = math.ceil(CLOCKS_DIFFER / rule.per)
    return rule.max * rule.points * (ahead + 1 / (1 - kept)) if kept < 1 else math.inf
