"""
Can a question ever hold, can two hold at once, does one follow from another?

Small reasoning over what the questions compare: ranges of numbers, sets of texts, flags, what is known and what is not.
As everywhere in the language a question is true, false or unknown, and only true counts as holding. What is not simple
(`Other`) may hold or not, and is the same wherever it is written the same. The work is bounded: where there are too
many cases, the answer is that everything is possible.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, TypeVar

from schema.journey.fields import kind
from schema.journey.question import Always, Among, Atom, Compare, Contains, Every, Not, Other, Some, Told, Tree, Value

MOST_CASES = 64
Want = Literal["true", "false", "not true", "not false"]
Answer = bool | None
"""None: unknown."""
Fact = tuple[Atom, Answer]
Case = tuple[Fact, ...]
_Key = TypeVar("_Key")
Band = tuple[float, float]
"""Whole numbers from the first to the last, both included."""

_OPPOSITE: dict[Want, Want] = {
    "true": "false",
    "false": "true",
    "not true": "not false",
    "not false": "not true",
}
_ANSWERS: Mapping[Want, tuple[Answer, ...]] = {
    "true": (True,),
    "false": (False,),
    "not true": (False, None),
    "not false": (True, None),
}
_NEGATED = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_WHOLE = {"score.total", "score.fit", "score.engagement", "touchpoint.count"}
_SCORES = ("score.total", "score.fit", "score.engagement")
_PASSED = "qualification.passed"
_OUTCOME = "qualification.outcome"
OUTCOMES = ("qualified", "disqualified", "incomplete")


@dataclass(frozen=True, slots=True)
class World:
    """
    What is sure about every lead of a journey.

    `values` are the only texts that a field has, `limits` the range of a number, `unknown` the beginnings of fields
    that are never known, `grades` and `cells` the points behind a grade, and the fit and engagement behind a cell.
    """

    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    limits: Mapping[str, Band] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    grades: Mapping[str, Band] = field(default_factory=dict)
    cells: Mapping[str, tuple[Band, Band]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Possible:
    """A case that can be: an `example` of it, and whether it rests on nothing but what could be reasoned about."""

    example: str
    sure: bool


class _TooMany(Exception):
    """More cases than are looked at."""


def can_hold(world: World, *asked: tuple[Tree, Want]) -> Possible | None:
    """The first case in which all of these are as wanted; None when there is none."""
    unsure: Possible | None = None
    try:
        for case in _joined([_ways(tree, want) for tree, want in asked]):
            if found := _possible(case, world):
                if found.sure:
                    return found
                unsure = unsure or found
    except _TooMany:
        return Possible("", sure=False)
    return unsure


def follows(world: World, this: Tree, other: Tree) -> bool:
    """Whether `other` holds whenever `this` does."""
    return can_hold(world, (this, "true"), (other, "not true")) is None


def _ways(tree: Tree, want: Want) -> list[Case]:
    """The cases in which `tree` is answered as wanted, each a conjunction of answers to simple questions."""
    if isinstance(tree, Not):
        return _ways(tree.part, _OPPOSITE[want])
    if isinstance(tree, Every | Some):
        together = isinstance(tree, Every) is (want in {"true", "not false"})
        ways = [_ways(part, want) for part in tree.parts]
        return _joined(ways) if together else _few([case for way in ways for case in way])
    if isinstance(tree, Always):
        return [()] if tree.answer is (want in {"true", "not false"}) else []
    wanted = _ANSWERS[want]
    return [((tree, answer),) for answer in wanted if answer is not None or not isinstance(tree, Told)]


def _joined(ways: Sequence[list[Case]]) -> list[Case]:
    if math.prod(len(way) for way in ways) > MOST_CASES:
        raise _TooMany
    return [tuple(fact for case in cases for fact in case) for cases in product(*ways)]


def _few(cases: list[Case]) -> list[Case]:
    if len(cases) > MOST_CASES:
        raise _TooMany
    return cases


@dataclass(slots=True)
class _Domain:
    """What one term can be: known or not, a number in a range, one of some texts."""

    known: Answer = None
    kinds: set[str] = field(default_factory=set)
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    among: frozenset[Value] | None = None
    never: set[Value] = field(default_factory=set)

    def compare(self, sign: str, value: Value) -> None:
        """Take over that `term sign value` holds."""
        if sign == "==":
            self.keep(frozenset({value}))
        elif sign == "!=":
            self.never.add(value)
        elif not isinstance(value, str):
            self.below(value, strictly=sign == "<") if sign in {"<", "<="} else self.above(value, strictly=sign == ">")

    def keep(self, values: frozenset[Value]) -> None:
        """Take over that it is one of these."""
        self.among = values if self.among is None else self.among & values
        numbers = [value for value in values if not isinstance(value, str)]
        if numbers and len(numbers) == len(values):
            self.above(min(numbers))
            self.below(max(numbers))

    def below(self, most: float, *, strictly: bool = False) -> None:
        if most < self.high or (most == self.high and strictly):
            self.high, self.open_high = most, strictly

    def above(self, least: float, *, strictly: bool = False) -> None:
        if least > self.low or (least == self.low and strictly):
            self.low, self.open_low = least, strictly

    def whole(self) -> None:
        """Only whole numbers count: move the ends to the next ones."""
        if not math.isinf(self.low):
            self.low = math.floor(self.low) + 1 if self.open_low else math.ceil(self.low)
        if not math.isinf(self.high):
            self.high = math.ceil(self.high) - 1 if self.open_high else math.floor(self.high)
        self.open_low = self.open_high = False
        if self.among is not None:
            self.among = frozenset(value for value in self.among if isinstance(value, str) or value == int(value))

    def inside(self, number: Value) -> bool:
        """Whether a number is in the range."""
        if isinstance(number, str):
            return True
        above = number > self.low if self.open_low else number >= self.low
        return above and (number < self.high if self.open_high else number <= self.high)

    def left(self) -> list[Value] | None:
        """The values that are left, where they can be counted; None where there are more than anybody counts."""
        if self.among is not None:
            return sorted((v for v in self.among - self.never if self.inside(v)), key=str)
        span = self.high - self.low
        if span < 0 or (span == 0 and (self.open_low or self.open_high)):
            return []
        return [self.low] if span == 0 and self.low not in self.never else [] if span == 0 else None


@dataclass(slots=True)
class _Facts:
    """The answers of one case, put together by term."""

    world: World
    terms: dict[str, _Domain] = field(default_factory=dict)
    inside: dict[tuple[str, Value], Answer] = field(default_factory=dict)
    others: dict[str, Answer] = field(default_factory=dict)
    has: dict[str, Answer] = field(default_factory=dict)
    consistent: bool = True

    def of(self, term: str) -> _Domain:
        if term not in self.terms:
            made = self.terms[term] = _Domain(never={""})
            if term in self.world.values:
                made.keep(frozenset(self.world.values[term]))
            if term.startswith("size("):
                made.above(1)  # what is empty is unknown
            made.above(self.world.limits.get(term, (-math.inf, 0))[0])
            made.below(self.world.limits.get(term, (0, math.inf))[1])
        return self.terms[term]

    def note(self, atom: Atom, answer: Answer) -> None:
        if isinstance(atom, Other):
            self._same(self.others, atom.source, answer)
        elif isinstance(atom, Told):
            self._same(self.has, atom.term, bool(answer))
        elif isinstance(atom, Contains):
            self._know(atom.term, answer is not None)
            if answer is not None:
                self._same(self.inside, (atom.term, atom.value), answer)
        elif isinstance(atom, Compare | Among):
            self._value(atom, answer)

    def _value(self, atom: Compare | Among, answer: Answer) -> None:
        term = _OUTCOME if atom.term == _PASSED else atom.term
        domain = self._know(term, answer is not None)
        if answer is None:
            return
        if atom.term == _PASSED and isinstance(atom, Compare):
            passed = ((atom.sign == "==") is bool(atom.value)) is answer
            domain.keep(frozenset({"qualified"} if passed else {"disqualified", "incomplete"}))
        elif isinstance(atom, Compare):
            domain.kinds.add(
                "flag" if isinstance(atom.value, bool) else type(atom.value).__name__.replace("float", "int")
            )
            value = str(atom.value) if isinstance(atom.value, bool) else atom.value
            domain.compare(atom.sign if answer else _NEGATED[atom.sign], value)
            if isinstance(atom.value, bool):
                domain.keep(frozenset({"True", "False"}))
        elif answer:
            domain.keep(atom.values)
        else:
            domain.never |= atom.values

    def _know(self, term: str, known: bool) -> _Domain:  # noqa: FBT001 - whether it is known is what is told
        domain = self.of(term)
        self.consistent &= domain.known in {None, known}
        self.consistent &= not (known and term.removeprefix("size(").startswith(self.world.unknown or ("\0",)))
        domain.known = known
        return domain

    def _same(self, told: dict[_Key, Answer], key: _Key, answer: Answer) -> None:
        self.consistent &= told.setdefault(key, answer) is answer


def _possible(case: Case, world: World) -> Possible | None:
    """Whether the answers of a case can all be given about one lead, with an example."""
    facts = _Facts(world)
    for atom, answer in case:
        facts.note(atom, answer)
    if not facts.consistent or not _agree_on_what_is_known(facts):
        return None
    _relate(facts)
    for term, domain in facts.terms.items():
        if not domain.known:
            continue
        if term in _WHOLE or term.startswith("size("):
            domain.whole()
        if len(domain.kinds) > 1 or domain.left() == []:
            return None
    if not _graded(facts):
        return None
    return Possible(_example(facts), sure=not facts.others)


def _agree_on_what_is_known(facts: _Facts) -> bool:
    scored = {facts.terms[term].known for term in _SCORES if term in facts.terms} - {None}
    graded = any(facts.terms[term].known for term in ("score.grade", "score.cell") if term in facts.terms)
    if len(scored) > 1 or (graded and False in scored):
        return False  # a score is known with all its parts, and has to be for a grade
    for path, told in facts.has.items():
        if told and path.startswith(facts.world.unknown or ("\0",)):
            return False
        for term in (path, f"size({path})"):
            known = facts.terms[term].known if term in facts.terms else None
            if (known and not told) or (known is False and told and kind(path) != "any"):
                return False
    return True


def _relate(facts: _Facts) -> None:
    """What fields say about each other: the score is the sum of its parts, a reason is that of a disqualification."""
    if not facts.terms.keys().isdisjoint(_SCORES):
        total, fit, deeds = (facts.of(term) for term in _SCORES)
        for domain in (total, fit, deeds):
            domain.whole()
        most = facts.world.limits.get("score.total", (0, 100))[1]
        total.below(min(most, fit.high + deeds.high))
        total.above(min(most, max(0.0, fit.low) + max(0.0, deeds.low)))
        for one, other in ((fit, deeds), (deeds, fit)):
            one.below(total.high)
            one.above(total.low - other.high)
    reason = facts.terms.get("qualification.reason")
    if reason and reason.known:
        facts.of(_OUTCOME).known = True
        facts.of(_OUTCOME).keep(frozenset({"disqualified"}))
    latest = facts.terms.get("touchpoint.kind")
    if latest and latest.known:
        gone = {value for (term, value), there in facts.inside.items() if term == "touchpoint.kinds" and not there}
        latest.never |= gone


def _graded(facts: _Facts) -> bool:
    """Whether a grade and a cell can go with the points that are left."""
    grade, cell = facts.terms.get("score.grade"), facts.terms.get("score.cell")
    total, fit, deeds = (facts.terms.get(term) for term in _SCORES)
    lowest = min((low for low, _ in facts.world.grades.values()), default=0)
    scored = any(domain and domain.known for domain in (total, fit, deeds))
    if grade and grade.known is False and total and scored and lowest:
        total.below(lowest - 1)
        if total.left() == []:
            return False
    if grade and grade.known and facts.world.grades:
        left = [band for name, band in facts.world.grades.items() if name in (grade.left() or ())]
        if not any(_meet(total, band) for band in left):
            return False
    if cell and cell.known and facts.world.cells:
        both = [pair for name, pair in facts.world.cells.items() if name in (cell.left() or ())]
        return any(_meet(fit, one) and _meet(deeds, other) for one, other in both)
    return True


def _meet(domain: _Domain | None, band: Band) -> bool:
    return domain is None or (domain.low <= band[1] and domain.high >= band[0])


def _example(facts: _Facts) -> str:
    """A few values that such a lead has, as `score.total is 50`."""
    told = list(_examples(facts))
    return " and ".join(told[:3])


def _examples(facts: _Facts) -> Iterator[str]:
    for term, domain in facts.terms.items():
        if not domain.known:
            continue
        left = domain.left()
        if left:
            yield f"{term} is {left[0]}"
        elif left is None and not (math.isinf(domain.low) and math.isinf(domain.high)):
            yield f"{term} is {_number(domain)}"
    for (term, value), there in facts.inside.items():
        if there:
            yield f"{term} has {value}"
    for path, told in facts.has.items():
        yield f"{path} is {'known' if told else 'not known'}"


def _number(domain: _Domain) -> str:
    """A number in the range: an end where it belongs to it, else one inside."""
    if not math.isinf(domain.low) and not domain.open_low and domain.low not in domain.never:
        return f"{domain.low:g}"
    if not math.isinf(domain.high) and not domain.open_high and domain.high not in domain.never:
        return f"{domain.high:g}"
    if math.isinf(domain.high):
        return f"{domain.low + 1:g}"
    return f"{domain.high - 1:g}" if math.isinf(domain.low) else f"{(domain.low + domain.high) / 2:g}"


def bands(thresholds: Mapping[str, int], most: float) -> dict[str, Band]:
    """For each name the numbers at which it is the first whose threshold is reached; `most` is as far as they go."""
    result, above = {}, most
    for name, least in thresholds.items():
        result[name] = (float(least), above)
        above = min(above, least - 1)
    return result
