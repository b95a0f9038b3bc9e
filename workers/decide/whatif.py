"""
What if: what would make this lead a B?

The smallest things that reach a score: rules of fit that would have to hold, touchpoints that would have to happen now,
or both. Each suggestion is scored as if it were so, by the same rules and limits, and is only made if it reaches.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import msgspec

from schema.facts import Facts, Touch
from schema.journey.expressions import Unknown
from schema.journey.holds import Want, World, can_hold
from schema.journey.model import FitRule, Journey
from schema.journey.question import Tree
from workers.decide.score import Part, engaged, fitting

MOST_TOLD = 6
"""Suggestions that are made, the smallest."""
MOST_TOUCHES = 10
"""Touchpoints that one suggestion asks for; what takes more is no suggestion."""
_PAIR = 2
_PAIRED = 8
_MOST_RULES = 4
_MOST_KINDS = 20
_ENOUGH = 200
_ANY = World()


class Suppose(msgspec.Struct, frozen=True, gc=False):
    """A rule of fit that would have to hold, or no longer to; `missing` are the fields that it waits for."""

    rule: str
    points: int
    holds: bool
    missing: tuple[str, ...] = ()

    def explain(self) -> dict[str, Any]:
        """JSON-ready."""
        told = {"rule": self.rule, "points": self.points, "holds": self.holds}
        return {**told, "missing": list(self.missing)} if self.missing else told


class Need(msgspec.Struct, frozen=True, gc=False):
    """
    One way to a score: all of `fit` and so many touchpoints of each kind, now; `total` is what it comes to.

    `also` are the rules that then hold as well, because they follow, and `lost` those that no longer can.
    """

    fit: tuple[Suppose, ...]
    touches: tuple[tuple[str, int], ...]
    total: int
    also: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many things have to be so or happen."""
        return len(self.fit) + sum(count for _, count in self.touches)

    def explain(self) -> dict[str, Any]:
        """JSON-ready."""
        touches = [{"kind": kind, "count": count} for kind, count in self.touches]
        told = {"fit": [rule.explain() for rule in self.fit], "touches": touches, "total": self.total}
        return {**told, "also": list(self.also), "lost": list(self.lost)}


class Reach(msgspec.Struct, frozen=True, gc=False):
    """
    How far this lead can get: the most that its fit and its engagement can come to, and what fit lacks for a target.

    `capped`: it is the journey's cap that ends engagement, not the limits of its rules.
    """

    target: int
    fit: int
    engagement: int
    most_fit: int
    most_engagement: int
    capped: bool

    @property
    def possible(self) -> bool:
        """Whether anything can make it reach the target."""
        return min(100, self.most_fit + self.most_engagement) >= self.target

    @property
    def fit_lacks(self) -> int:
        """The points that fit would have to gain even if engagement were at its most."""
        return max(0, self.target - self.most_engagement - self.fit)

    def explain(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**msgspec.structs.asdict(self), "possible": self.possible, "fit_lacks": self.fit_lacks}


class _Option(msgspec.Struct, frozen=True, gc=False):
    """A rule of fit that could help."""

    suppose: Suppose
    rule: FitRule

    @property
    def wanted(self) -> tuple[Tree, Want]:
        """What has to be so."""
        return self.rule.when.tree, "true" if self.suppose.holds else "not true"


def needs(facts: Facts, journey: Journey, now: datetime, target_total: int) -> list[Need]:
    """
    The smallest suggestions for a total of at least `target_total`, none where it is reached already.

    Of the same size, answers go before deeds and what just suffices before what does more. None as well where it takes
    more than `MOST_TOUCHES`, or cannot be: `reach` says which.
    """
    fit = _Fit(facts, journey)
    engagement = _Engagement(facts, journey, now)
    if min(100, fit.of(()) + engagement.of(())) >= target_total:
        return []
    found: list[Need] = []
    for chosen in fit.choices():
        also, lost = fit.consequences(chosen)
        for touches in engagement.ways(target_total - fit.of(chosen)):
            total = min(100, fit.of(chosen) + engagement.of(touches))
            if total >= target_total:
                found.append(Need(tuple(option.suppose for option in chosen), touches, total, also, lost))
    found.sort(key=lambda need: (need.size, -len(need.fit), need.total, need.touches))
    return _smallest(found)[:MOST_TOLD]


def reach(facts: Facts, journey: Journey, now: datetime, target_total: int) -> Reach:
    """How far the lead could get, if everything that speaks for it were so and happened as often as it counts."""
    fit, engagement = _Fit(facts, journey), _Engagement(facts, journey, now)
    most = engagement.most()
    capped = most == journey.score.engagement.cap
    return Reach(target_total, fit.of(()), engagement.of(()), fit.most(), most, capped)


def supposed(touches: Iterable[tuple[str, int]], journey: Journey, now: datetime) -> list[Touch]:
    """
    Touchpoints of these kinds, so many of each, as if they happened now.

    Those that scanners make as well lie as far apart as a person's do, the others all at `now`.
    """
    machines = journey.score.machines
    apart, clicks, made = machines.within + timedelta(seconds=1), 0, list[Touch]()
    for kind, count in touches:
        for number in range(count):
            at = now
            if kind in machines.kinds:
                at -= clicks * apart
                clicks += 1
            made.append(Touch(kind, at, f"supposed {kind} {number}"))
    return made


class _Fit:
    """What fit comes to if other rules held: with what follows from them, and without what they exclude."""

    def __init__(self, facts: Facts, journey: Journey) -> None:
        self._rules = journey.score
        self._holding: list[FitRule] = []
        options = []
        view = facts.context(journey)
        for rule in journey.score.fit:
            answer = rule.when.evaluate(view)
            if answer is True:
                self._holding.append(rule)
            if rule.points and (answer is True) == (rule.points < 0):
                missing = answer.missing if isinstance(answer, Unknown) else ()
                options.append(_Option(Suppose(rule.name, rule.points, rule.points > 0, missing), rule))
        self._known: dict[tuple[int, ...], list[FitRule]] = {}
        self._options = sorted(options, key=lambda option: -abs(option.rule.points))

    def of(self, chosen: tuple[_Option, ...]) -> int:
        """Fit if these were so."""
        return max(0, min(100, round(self._points(chosen))))

    def _points(self, chosen: tuple[_Option, ...]) -> float:
        return fitting([Part(rule.name, rule.points, None, rule.group) for rule in self._then(chosen)], self._rules)

    def consequences(self, chosen: tuple[_Option, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The other rules that would then hold as well, and those that would no longer."""
        asked = [option.rule for option in chosen]
        then = self._then(chosen)
        also = [rule for rule in then if not _among(rule, self._holding) and not _among(rule, asked)]
        lost = [rule for rule in self._holding if not _among(rule, then) and not _among(rule, asked)]
        return tuple(rule.name for rule in also), tuple(rule.name for rule in lost)

    def choices(self) -> Iterator[tuple[_Option, ...]]:
        """No rule, each alone, pairs of the strongest, and the strongest together, one after the other."""
        useful = [option for option in self._options if self._points((option,)) > self._points(())]
        yield ()
        yield from ((option,) for option in useful)
        yield from (pair for pair in combinations(useful[:_PAIRED], _PAIR) if _can_be(pair))
        yield from (chosen for chosen in self._together() if _PAIR < len(chosen) <= _MOST_RULES)

    def most(self) -> int:
        """With everything that speaks for the lead and can be so at once, the strongest first."""
        return max(map(self.of, self._together()), default=self.of(()))

    def _together(self) -> Iterator[tuple[_Option, ...]]:
        chosen: tuple[_Option, ...] = ()
        for option in self._options:
            more = (*chosen, option)
            if _can_be(more) and self._points(more) >= self._points(chosen):
                chosen = more
                yield chosen

    def _then(self, chosen: tuple[_Option, ...]) -> list[FitRule]:
        """The rules that would hold."""
        key = tuple(id(option.rule) for option in chosen)
        if key not in self._known:
            self._known[key] = [rule for rule in self._rules.fit if self._holds_then(rule, chosen)]
        return self._known[key]

    def _holds_then(self, rule: FitRule, chosen: tuple[_Option, ...]) -> bool:
        asked = next((option for option in chosen if option.rule is rule), None)
        if asked:
            return asked.suppose.holds
        held = _among(rule, self._holding)
        near = [option.wanted for option in chosen if {*option.rule.when.paths} & {*rule.when.paths}]
        if not near:
            return held
        if held:
            return can_hold(_ANY, *near, (rule.when.tree, "true")) is not None
        return can_hold(_ANY, *near, (rule.when.tree, "not true")) is None


def _can_be(chosen: Sequence[_Option]) -> bool:
    """Whether all of them can be so about one lead."""
    return can_hold(_ANY, *(option.wanted for option in chosen)) is not None


def _among(rule: FitRule, rules: Iterable[FitRule]) -> bool:
    return any(rule is other for other in rules)


class _Engagement:
    """What engagement comes to with touchpoints that have not happened; each combination is scored once."""

    def __init__(self, facts: Facts, journey: Journey, now: datetime) -> None:
        self._facts, self._journey, self._now = facts, journey, now
        rules = journey.score.engagement.on
        kinds = sorted((kind for kind in rules if rules[kind].points > 0), key=lambda kind: -rules[kind].points)
        self._kinds = kinds[:_MOST_KINDS]
        self._known: dict[tuple[tuple[str, int], ...], float] = {}

    def points(self, touches: tuple[tuple[str, int], ...]) -> float:
        """Before rounding and the cap."""
        if touches not in self._known:
            more = supposed(touches, self._journey, self._now)
            self._known[touches] = engaged([*self._facts.touchpoints, *more], self._journey.score, self._now)
        return self._known[touches]

    def of(self, touches: tuple[tuple[str, int], ...]) -> int:
        """As it is told."""
        return max(0, min(self._journey.score.engagement.cap, round(self.points(touches))))

    def ways(self, least: int) -> Iterator[tuple[tuple[str, int], ...]]:
        """Touchpoints with which engagement is `least` or more: of each kind alone, and the strongest of all mixed."""
        if self.of(()) >= least:
            yield ()
            return
        if least > self._journey.score.engagement.cap:
            return
        for kind in self._kinds:
            for count in range(1, MOST_TOUCHES + 1):
                if self.of(((kind, count),)) >= least:
                    yield ((kind, count),)
                    break
                if self.points(((kind, count),)) <= self.points(((kind, count - 1),) if count > 1 else ()):
                    break
        mixed = next((mix for mix in self._mixes() if self.of(mix) >= least), None)
        if mixed:
            yield mixed

    def _mixes(self) -> Iterator[tuple[tuple[str, int], ...]]:
        """One touchpoint more each time, the one that adds most."""
        mix: Counter[str] = Counter()
        for _ in range(MOST_TOUCHES):
            before = self.points(_sorted(mix))
            gains = {kind: self.points(_sorted(mix + Counter([kind]))) for kind in self._kinds}
            best = max(gains, key=lambda kind: gains[kind], default=None)
            if best is None or gains[best] <= before:
                return
            mix[best] += 1
            yield _sorted(mix)

    def most(self) -> int:
        """With as many of every kind as can make a difference."""
        rules = self._journey.score.engagement.on
        enough = _ENOUGH - min(0.0, self.points(()))
        counts = {kind: math.ceil(enough / rule.points) for kind, rule in rules.items() if rule.points > 0}
        return self.of(tuple((kind, min(count, rules[kind].max or count)) for kind, count in counts.items()))


def _sorted(mix: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(mix.items()))


def _smallest(found: Iterable[Need]) -> list[Need]:
    """Without those that ask for all that another one asks for, and more."""
    kept: list[Need] = []
    for need in sorted(found, key=lambda need: (len(need.fit) + len(need.also), need.size)):
        asked = {*(rule.rule for rule in need.fit), *need.also}
        if not any(asked >= {rule.rule for rule in less.fit} and _fewer(less.touches, need.touches) for less in kept):
            kept.append(need)
    order = {id(need): number for number, need in enumerate(found)}
    return sorted(kept, key=lambda need: order[id(need)])


def _fewer(some: Iterable[tuple[str, int]], more: Iterable[tuple[str, int]]) -> bool:
    counts = dict(more)
    return all(counts.get(kind, 0) >= count for kind, count in some)
