"""Compare: what becomes of the same leads in two worlds, counted by kind of difference, with examples in words."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from schema.journey import Journey
    from workers.simulate.course import Course

ASPECTS: Final = ("qualification", "grade", "pool", "owner", "state")
"""What is compared, in the order in which a lead comes by it."""


class Comparison:
    """Takes the courses of both worlds in any order; a lead that only one of them knows is `missing`."""

    def __init__(self, before: Journey, after: Journey, *, examples: int) -> None:
        self._journeys = (before, after)
        self._examples = examples
        self._waiting: tuple[dict[str, Course], dict[str, Course]] = ({}, {})
        self._kinds: dict[str, dict[tuple[str, str], _Kind]] = {aspect: {} for aspect in ASPECTS}
        self.leads = self.same = self.points_up = self.points_down = 0

    def before(self, course: Course) -> None:
        """Take a course of the world as it is."""
        self._pair(course, 0)

    def after(self, course: Course) -> None:
        """Take a course of the world as it would be."""
        self._pair(course, 1)

    def changes(self) -> dict[str, Any]:
        """Everything that is different, the most frequent first, ready for JSON."""
        return {
            "leads": self.leads,
            "same": self.same,
            "score": {"higher": self.points_up, "lower": self.points_down},
            "only_before": len(self._waiting[0]),
            "only_after": len(self._waiting[1]),
            "by": {
                aspect: [self._told(aspect, *item) for item in _frequent(kinds)]
                for aspect, kinds in self._kinds.items()
            },
        }

    def _pair(self, course: Course, side: int) -> None:
        other = self._waiting[1 - side].pop(course.lead, None)
        if other is None:
            self._waiting[side][course.lead] = course
            return
        before, after = (course, other) if side == 0 else (other, course)
        self.leads += 1
        self.points_up += (after.total or 0) > (before.total or 0)
        self.points_down += (after.total or 0) < (before.total or 0)
        alike = before.total == after.total
        for aspect in ASPECTS:
            was, becomes = _LOOK[aspect](before), _LOOK[aspect](after)
            if was != becomes:
                alike = False
                kind = self._kinds[aspect].setdefault((was, becomes), _Kind(self._examples))
                kind.add(before, after)
        self.same += alike

    def _told(self, aspect: str, change: tuple[str, str], kind: _Kind) -> dict[str, Any]:
        return {
            "before": change[0],
            "after": change[1],
            "leads": kind.count,
            "examples": [
                {"lead": before.lead, "why": list(_WHY[aspect](before, after, *self._journeys))}
                for before, after in kind.examples()
            ],
        }


class _Kind:
    """One kind of difference; of its leads the oldest are kept, whichever order they come in."""

    __slots__ = ("_kept", "_most", "count")

    def __init__(self, most: int) -> None:
        self.count = 0
        self._most = most
        self._kept: list[tuple[str, Course, Course]] = []

    def add(self, before: Course, after: Course) -> None:
        self.count += 1
        kept = self._kept
        if len(kept) < self._most or (kept and before.lead < kept[-1][0]):
            self._kept = heapq.nsmallest(self._most, [*kept, (before.lead, before, after)], key=lambda item: item[0])

    def examples(self) -> list[tuple[Course, Course]]:
        return [(before, after) for _, before, after in self._kept]


def _frequent(kinds: dict[tuple[str, str], _Kind]) -> list[tuple[tuple[str, str], _Kind]]:
    return sorted(kinds.items(), key=lambda item: (-item[1].count, item[0]))


def _qualification(course: Course) -> str:
    return f"{course.outcome}: {course.reason}" if course.reason else course.outcome


def _owner(course: Course) -> str:
    return course.owner or (f"nobody yet, waits for {course.pool}" if course.waiting else "")


_LOOK: Final[dict[str, Callable[[Course], str]]] = {
    "qualification": _qualification,
    "grade": lambda course: course.grade,
    "pool": lambda course: course.pool,
    "owner": _owner,
    "state": lambda course: course.state,
}


# -- why, in words -----------------------------------------------------------------------------------------------------


def _why_qualification(before: Course, after: Course, was: Journey, becomes: Journey) -> Iterator[str]:
    rules = [{criterion.name: criterion.rule.source for criterion in journey.qualify} for journey in (was, becomes)]
    for name in dict.fromkeys((*before.criteria, *after.criteria)):
        then, now = before.criteria.get(name, "not asked"), after.criteria.get(name, "not asked")
        if then != now:
            rule = rules[1].get(name) or rules[0].get(name, "")
            yield f"{name}: {_VERDICTS[then]} before, {_VERDICTS[now]} now ({rule})"


_VERDICTS: Final = {"pass": "passed", "fail": "failed", "unknown": "unknown", "not asked": "not asked"}


def _why_grade(before: Course, after: Course, was: Journey, becomes: Journey) -> Iterator[str]:
    if before.total != after.total:
        yield f"score {_number(before.total)} before, {_number(after.total)} now"
        then, now = before.fit | before.engagement, after.fit | after.engagement
        for rule in dict.fromkeys((*then, *now)):
            if then.get(rule) != now.get(rule):
                yield f"{rule}: {_points(then.get(rule))} before, {_points(now.get(rule))} now"
    elif was.score.grades != becomes.score.grades:
        yield f"score {_number(after.total)} as before; the grades begin elsewhere"


def _why_pool(before: Course, after: Course, was: Journey, becomes: Journey) -> Iterator[str]:  # noqa: ARG001
    for name in dict.fromkeys((*before.pools, *after.pools)):
        then, now = before.pools.get(name, "not looked at"), after.pools.get(name, "not looked at")
        if then != now:
            yield f"{name}: {then} before, {now} now"


def _why_owner(before: Course, after: Course, was: Journey, becomes: Journey) -> Iterator[str]:
    if before.pool != after.pool:
        yield from _why_pool(before, after, was, becomes)
        yield f"pool {before.pool or 'none'} before, {after.pool or 'none'} now"
    elif not (before.owner and after.owner):
        yield f"{_words(before.routed) or 'not routed'} before, {_words(after.routed) or 'not routed'} now"
    else:
        yield f"pool {after.pool} as before; the turns fall otherwise"


def _why_state(before: Course, after: Course, was: Journey, becomes: Journey) -> Iterator[str]:
    then, now = [move[0] for move in before.moves], [move[0] for move in after.moves]
    for name in (name for name in dict.fromkeys(then) if name not in now):
        yield f"{name} is not made any more{_guard(becomes, name)}: {_why_not(after, name)}"
    for name in (name for name in dict.fromkeys(now) if name not in then):
        yield f"{name} is made now{_guard(becomes, name)}"
    for name in dict.fromkeys(after.impossible):
        yield f"{name}, made by hand, is not possible in this journey from there"
    if before.outcome != after.outcome or before.reason != after.reason:
        yield from _why_qualification(before, after, was, becomes)
    elif before.total != after.total:
        yield from _why_grade(before, after, was, becomes)


def _guard(journey: Journey, name: str) -> str:
    guard = journey.transition(name).when
    return f" ({guard.source})" if guard else ""


def _why_not(course: Course, name: str) -> str:
    if name in course.impossible:
        return "there is no such way from there"
    return {"not yet": "its condition does not hold"}.get(why := course.looked.get(name, ""), why) or "not looked at"


_WHY: Final[dict[str, Callable[[Course, Course, Journey, Journey], Iterator[str]]]] = {
    "qualification": _why_qualification,
    "grade": _why_grade,
    "pool": _why_pool,
    "owner": _why_owner,
    "state": _why_state,
}


def _number(value: int | None) -> str:
    return "none" if value is None else str(value)


def _points(value: float | None) -> str:
    return "nothing" if value is None else f"{value:+g}"


def _words(code: str) -> str:
    return code.replace("_", " ")
