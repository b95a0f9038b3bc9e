"""Scoring: thresholds that fall, groups that are used, and points that add up to what is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from schema.journey.check.finding import Finding, View, warning
from schema.journey.check.world import most_engagement, most_fit
from schema.journey.document import Path
from schema.journey.fields import nearest
from schema.journey.question import LIMIT

_SCORE: Path = ("score",)


def falling(view: View) -> Iterator[Finding]:
    """Grades that do not go down."""
    for path, grades in _thresholds(view).items():
        before: int | None = None
        for grade, least in grades.items():
            if before is not None and least >= before:
                message = "grades go down: the best first, each with a lower score than the last"
                yield Finding((*path, grade), message)
            before = least


def reached(view: View) -> Iterator[Finding]:
    """Grades that nobody has enough points for."""
    fit, deeds = most_fit(view.journey), most_engagement(view.journey)
    together = (min(LIMIT, fit + deeds), f"fit gives at most {fit} points and engagement {deeds}")
    most = {"fit": (fit, f"fit gives at most {fit}"), "engagement": (deeds, f"engagement gives at most {deeds}")}
    for path, grades in _thresholds(view).items():
        points, why = most.get(str(path[-1]), together)
        for grade, least in grades.items():
            if least > points:
                yield warning((*path, grade), f"no lead gets {grade}: {why}")


def _thresholds(view: View) -> dict[Path, Mapping[str, int]]:
    score = view.journey.score
    here: dict[Path, Mapping[str, int]] = {(*_SCORE, "grades"): score.grades}
    if score.grid:
        here |= {(*_SCORE, "grid", "fit"): score.grid.fit, (*_SCORE, "grid", "engagement"): score.grid.engagement}
    return here


def groups(view: View) -> Iterator[Finding]:
    """Groups that nobody defined or uses, or that are to limit two different things."""
    score = view.journey.score
    fit = {("fit", at): rule.group for at, rule in enumerate(score.fit) if rule.group}
    deeds = {("engagement", "on", kind): rule.group for kind, rule in score.engagement.on.items() if rule.group}
    for place, group in [*fit.items(), *deeds.items()]:
        if group not in score.groups:
            message = f"{group} is not among the groups{nearest(group, list(score.groups)) or '; add it to `groups`'}"
            yield Finding((*_SCORE, *place, "group"), message)
    for group in score.groups:
        if group in fit.values() and group in deeds.values():
            message = f"{group} is used by fit and by engagement, and limits each of them apart: give each its own"
            yield warning((*_SCORE, "groups", group), message, of_key=True)
        elif group not in {*fit.values(), *deeds.values()}:
            yield warning((*_SCORE, "groups", group), "no rule is in this group", of_key=True)


def points(view: View) -> Iterator[Finding]:
    """Rules, caps and whole axes that give nothing."""
    score = view.journey.score
    rules = [((*_SCORE, "fit", at, "points"), rule.points, rule.group) for at, rule in enumerate(score.fit)]
    rules += [
        ((*_SCORE, "engagement", "on", kind, "points"), rule.points, rule.group)
        for kind, rule in score.engagement.on.items()
    ]
    for path, given, group in rules:
        limits = score.groups.get(group or "")
        if given == 0:
            yield warning(path, "0 points change nothing: leave the rule out")
        elif limits and (limits.cap == 0 if given > 0 else limits.floor == 0):
            limit = "cap" if given > 0 else "floor"
            yield warning(path, f"these points never count: the {limit} of the group {group} is 0")
    if score.engagement.on and score.engagement.cap == 0:
        yield Finding((*_SCORE, "engagement", "cap"), "with a cap of 0 nothing that somebody does counts")
    asked = {path for expression in view.journey.expressions() for path in expression.paths}
    if not rules and any(path.startswith("score.") for path in asked):
        yield warning(_SCORE, "there are no rules, so every score is 0, and expressions ask for it", of_key=True)
    if rules and not any(given > 0 for _, given, _ in rules):
        yield Finding(_SCORE, "no rule gives points, so every score is 0: give some rule more than 0")
