"""Tally: the figures of one world, counted from the courses of its leads."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schema.journey import Journey
    from schema.journey.model import ScoreRules
    from workers.simulate.course import Course

BIN: Final = 10
"""Points that one bar of the distribution of scores holds."""


class Tally:
    """Counts leads; `figures` are plain values, ready for JSON."""

    def __init__(self, journey: Journey) -> None:
        self._journey = journey
        self._points = _Points(journey.score)
        self._leads = self._scored = self._total = self._waiting = self._anew = self._compared = 0
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._rules: dict[str, dict[str, Counter[str]]] = {
            part: defaultdict(Counter) for part in ("criteria", "fit", "engagement", "pools", "transitions")
        }
        self._sums: dict[str, Counter[str]] = {"fit": Counter(), "engagement": Counter()}
        self._bins = [0] * (100 // BIN)
        for criterion in journey.qualify:
            self._rules["criteria"][criterion.name]["pass"] += 0
        for fit in journey.score.fit:
            self._rules["fit"][fit.label or fit.when.source]["leads"] += 0
        for kind in journey.score.engagement.on:
            self._rules["engagement"][kind]["leads"] += 0
        for pool in journey.route.pools:
            self._rules["pools"][pool]["leads"] += 0
        for name in (name for state in journey.lifecycle.values() for name in state.to):
            self._rules["transitions"][name]["made"] += 0

    def add(self, course: Course) -> None:
        """Count one lead."""
        self._leads += 1
        self._waiting += course.waiting
        self._anew += course.anew
        counts = self._counts
        counts["states"][course.state] += 1
        if course.outcome:
            counts["qualification"][course.outcome] += 1
        if course.reason:
            counts["reasons"][course.reason] += 1
        counts["asked"].update(course.ask)
        counts["told"].update(course.told)
        counts["impossible"].update(course.impossible)
        self._compared += course.compared
        counts["differs"].update(course.differs)
        self._judge(course)
        self._score(course)
        self._route(course)
        self._move(course)

    def figures(self) -> dict[str, Any]:
        """Everything that was counted."""
        counts = self._counts
        rules = {part: {name: dict(count) for name, count in by.items()} for part, by in self._rules.items()}
        for part, sums in self._sums.items():
            for name, points in sums.items():
                rules[part][name]["points"] = round(points, 2)
        return {
            "leads": self._leads,
            "qualification": _ordered(counts["qualification"], ("qualified", "incomplete", "disqualified")),
            "reasons": _largest(counts["reasons"]),
            "asked": _largest(counts["asked"]),
            "score": {
                "scored": self._scored,
                "mean": round(self._total / self._scored, 1) if self._scored else None,
                "distribution": self._bins,
                "grades": _ordered(counts["grades"], (*self._journey.score.grades, "")),
                "cells": dict(sorted(counts["cells"].items())),
            },
            "pools": _ordered(counts["pools"], tuple(self._journey.route.pools)),
            "waiting": self._waiting,
            "owners": dict(sorted(counts["owners"].items())),
            "states": _ordered(counts["states"], tuple(self._journey.lifecycle)),
            "told": _largest(counts["told"]),
            "impossible_by_hand": _largest(counts["impossible"]),
            "began_anew": self._anew,
            "rules": rules,
            "fidelity": {"leads": self._leads, "compared": self._compared, "differs": dict(counts["differs"])},
        }

    def _judge(self, course: Course) -> None:
        failing = [name for name, verdict in course.criteria.items() if verdict == "fail"]
        for name, verdict in course.criteria.items():
            count = self._rules["criteria"][name]
            count[verdict] += 1
            count["mattered"] += course.outcome == "disqualified" and failing == [name]

    def _score(self, course: Course) -> None:
        if course.total is None:
            return
        self._scored += 1
        self._total += course.total
        self._bins[min(course.total // BIN, len(self._bins) - 1)] += 1
        self._counts["grades"][course.grade] += 1
        if course.cell:
            self._counts["cells"][course.cell] += 1
        matters = self._points.matters(course)
        for part, points in (("fit", course.fit), ("engagement", course.engagement)):
            for name, given in points.items():
                count = self._rules[part][name]
                count["leads"] += 1
                count["mattered"] += name in matters
                self._sums[part][name] += given  # type: ignore[assignment]  # a Counter of fractions
        for name in course.open:
            self._rules["fit"][name]["unknown"] += 1

    def _route(self, course: Course) -> None:
        if course.pool:
            self._counts["pools"][course.pool] += 1
        if course.owner:
            self._counts["owners"][course.owner] += 1
        for name, why in course.pools.items():
            count = self._rules["pools"][name]
            count["leads"] += name == course.pool
            count["unknown"] += why.startswith("unknown")
            count["no"] += name != course.pool and not why.startswith("unknown")

    def _move(self, course: Course) -> None:
        for name, _, _, by in course.moves:
            count = self._rules["transitions"][name]
            count["made"] += 1
            count["by_hand"] += by == "hand"
        for name, why in course.looked.items():
            self._rules["transitions"][name]["unknown" if why.endswith("known") else "not_yet"] += 1


class _Points:
    """Whether the grade of a lead hangs on one rule's points: without them it would be another."""

    def __init__(self, rules: ScoreRules) -> None:
        self._rules = rules
        self._groups = {rule.label or rule.when.source: rule.group for rule in rules.fit}
        self._kinds = {kind: rule.group for kind, rule in rules.engagement.on.items()}

    def matters(self, course: Course) -> set[str]:
        """Return the rules of which that is true; none where the points do not add up to the total as told."""
        if course.total is None or self._total(course.fit, course.engagement) != course.total:
            return set()
        found = set()
        for name in (*course.fit, *course.engagement):
            fit = {rule: points for rule, points in course.fit.items() if rule != name}
            deeds = {rule: points for rule, points in course.engagement.items() if rule != name}
            if self._rules.grade(self._total(fit, deeds)) != course.grade:
                found.add(name)
        return found

    def _total(self, fit: Mapping[str, float], engagement: Mapping[str, float]) -> int:
        who = _bounded(self._grouped(fit, self._groups), 100)
        deeds = _bounded(self._grouped(engagement, self._kinds), self._rules.engagement.cap)
        return min(100, who + deeds)

    def _grouped(self, points: Mapping[str, float], groups: Mapping[str, str | None]) -> float:
        if not self._rules.groups:
            return sum(points.values())
        sums: dict[str | None, float] = defaultdict(float)
        for rule, given in points.items():
            sums[groups.get(rule)] += given
        for name, group in self._rules.groups.items():
            if name in sums:
                sums[name] = max(group.floor, min(group.cap, sums[name]))
        return sum(sums.values())


def _bounded(points: float, most: int) -> int:
    return max(0, min(most, round(points)))


def _ordered(counts: Mapping[str, int], order: tuple[str, ...]) -> dict[str, int]:
    """The counts in a given order, zero for what never was, and whatever else there is after it."""
    return {name: counts.get(name, 0) for name in order} | {
        name: number for name, number in sorted(counts.items()) if name not in order
    }


def _largest(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
