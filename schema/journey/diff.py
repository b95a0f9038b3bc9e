"""
What changes between two journeys, in words: what they mean is compared, not how they are written.

Comments, spacing, keys that say what is usual anyway and the order of things whose order means nothing make no
difference. `differences` is pure and complete: what it says nothing about is the same in both. The way back is its
mirror: `added` and `removed`, `before` and `after` change places.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from schema.journey import words
from schema.journey.campaign import Step
from schema.journey.diff_words import Kind, Path, Week, nothing, plain, told, worded
from schema.journey.expressions import Expression
from schema.journey.model import Again, Capacity, FitRule, Journey
from schema.journey.parts import Calendar
from schema.journey.target import Target

TITLES: Final = {
    "journey": "The journey",
    "departments": "Departments",
    "sources": "Where leads come from",
    "identity": "Who is one person",
    "steps": "Steps",
    "qualify": "Who is qualified",
    "requalify": "Who is looked at again",
    "score": "How warm a lead is",
    "route": "Who gets it",
    "people": "People",
    "calendars": "Calendars",
    "lists": "Lists",
    "lifecycle": "States and ways",
    "transitions": "Transitions",
    "mail": "How campaigns write",
    "templates": "Messages",
    "campaigns": "Campaigns",
    "follow_ups": "Work for people",
    "pipelines": "How possible sales are worked on",
    "contracts": "What renews",
    "health": "How well a customer is",
    "offers": "What is offered",
    "service": "How customers are helped",
    "surveys": "What customers are asked",
    "kpis": "How figures are counted",
}
"""The parts of a journey in the order they are told; what stands at the top of the file belongs to `journey`."""

_IN_ORDER: Final = {"steps", "redirect", "reason", "enter", "exit", "branch"}
"""Lists whose order means something: of a transition's reasons the first is recorded by itself."""
_RULES: Final = {("score", "fit"), ("health", "rules")}
"""Lists of rules that are compared by what they are called or ask."""
_MARKS: Final = {"added": "+", "removed": "-", "changed": "*", "moved": ">"}
_WORD: Final = re.compile(r"""[rR]?"(?:\\.|[^"\\])*"|[rR]?'(?:\\.|[^'\\])*'|[\w.]+|&&|\|\||[=!<>]=|\S""")


@dataclass(frozen=True, slots=True)
class Difference:
    """
    One thing that is not the same.

    `path` names it, as in `("lifecycle", "opportunity", "sla")`; criteria stand there by their name, fit rules by their
    label. `before` and `after` are JSON-ready, None where there is nothing. `text` says it in a sentence.
    """

    part: str
    path: Path
    kind: Kind
    before: Any
    after: Any
    text: str

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "part": self.part,
            "path": list(self.path),
            "kind": self.kind,
            "before": self.before,
            "after": self.after,
            "text": self.text,
        }


def differences(a: Journey, b: Journey) -> list[Difference]:
    """Everything that is not the same in `b` as it is in `a`, in the order of `TITLES`."""
    found = [*_between((), _whole(a), _whole(b)), *_orders(a, b)]
    order = list(TITLES)
    return sorted(found, key=lambda difference: order.index(difference.part))


def printed(found: Iterable[Difference], width: int = 80) -> str:
    """The differences as text, grouped by part; + is new, - is gone, * is changed, > stands elsewhere."""
    text: list[str] = []
    part = ""
    for difference in found:
        if difference.part != part:
            part = difference.part
            text += ["", TITLES[part].upper()] if text else [TITLES[part].upper()]
        mark = f"  {_MARKS[difference.kind]} "
        text += textwrap.wrap(
            difference.text,
            width,
            initial_indent=mark,
            subsequent_indent="      ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(text or ["Nothing changes."]) + "\n"


# -- comparing ---------------------------------------------------------------------------------------------------------


def _whole(journey: Journey) -> dict[str, Any]:
    """The parts by name; every transition that a state names is there, as the plain one if the file says no more."""
    parts = {name: getattr(journey, name) for name in Journey.model_fields}
    names = dict.fromkeys([*journey.transitions, *(name for _, name, _ in sorted(journey.moves))])
    return parts | {"transitions": {name: journey.transition(name) for name in names}}


def _between(path: Path, a: Any, b: Any) -> Iterator[Difference]:  # noqa: ANN401 - any value of a journey
    one, other = _named(path, a, b)
    if one is None or other is None:
        if not _same(path, a, b):
            yield _difference(path, a, b)
    elif path[-1:] == ("members",):
        yield from _turns(path, a, b)
    else:
        for name in dict.fromkeys([*one, *other]):
            yield from _between((*path, name), one.get(name), other.get(name))


def _named(path: Path, a: Any, b: Any) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:  # noqa: ANN401
    """The parts of both by the names they are compared under; lists of rules have names too."""
    if path == ("qualify",):
        one, other = ({criterion.name: criterion for criterion in criteria} for criteria in (a, b))
        return one, other
    if path[:1] == ("campaigns",) and path[2:] == ("steps",):
        return _step_names(a or ()), _step_names(b or ())
    return _rules(a or (), b or ()) if path in _RULES else (_parts(a), _parts(b))


def _step_names(steps: Iterable[Step]) -> dict[str, Step]:
    """Steps of a campaign by their own name, else by what they do: numbers would change with every step added."""
    named: dict[str, Step] = {}
    for step in steps:
        name = step.name or worded(step)
        twice = sum(known.split(" #")[0] == name for known in named)
        named[f"{name} #{twice + 1}" if twice else name] = step
    return named


def _parts(value: Any) -> Mapping[str, Any] | None:  # noqa: ANN401 - any value of a journey
    """What is compared one by one; None for a value that is compared as a whole."""
    if isinstance(value, Again | Capacity | Target | Week):
        return None
    if isinstance(value, Calendar):
        return {"tz": value.tz, "holidays": value.holidays, "days": Week(words.week(value))}
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields}
    return value if isinstance(value, dict) else None


def _rules(a: Iterable[FitRule], b: Iterable[FitRule]) -> tuple[dict[str, FitRule], dict[str, FitRule]]:
    """The fit rules of both by a name that they share: the label, or what is asked where labels differ or repeat."""
    one, other = list(a), list(b)
    named: tuple[dict[str, FitRule], dict[str, FitRule]] = ({}, {})
    for known_by in (_label, _asked):
        mine, yours = _once(one, known_by), _once(other, known_by)
        for shared in mine.keys() & yours.keys():
            named[0][shared], named[1][shared] = mine[shared], yours[shared]
            one.remove(mine[shared])
            other.remove(yours[shared])
    for rest, into in ((one, named[0]), (other, named[1])):
        for number, rule in enumerate(rest, 1):
            name = _label(rule) or _asked(rule)
            into[name if name not in named[0] and name not in named[1] else f"{name} #{number}"] = rule
    return named


def _label(rule: FitRule) -> str:
    return rule.label or ""


def _asked(rule: FitRule) -> str:
    return _canonical(rule.when)


def _once(rules: list[FitRule], name: Callable[[FitRule], str]) -> dict[str, FitRule]:
    """The rules whose name no other one has."""
    names = [name(rule) for rule in rules]
    return {key: rule for key, rule in zip(names, rules, strict=True) if key and names.count(key) == 1}


def _same(path: Path, a: Any, b: Any) -> bool:  # noqa: ANN401 - any value of a journey
    if isinstance(a, Expression) and isinstance(b, Expression):
        return _canonical(a) == _canonical(b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return a == b if path[-1] in _IN_ORDER else set(a) == set(b)
    return bool(a == b)


def _canonical(question: Expression) -> str:
    """The question with one blank between words and, where that is the same, the same kind of quotes."""
    found = _WORD.findall(question.source)
    return " ".join(f'"{word[1:-1]}"' if word[0] == "'" and not set(word) & set('"\\') else word for word in found)


def _turns(path: Path, a: Mapping[str, int], b: Mapping[str, int]) -> Iterator[Difference]:
    """Whose weight changes, and whose share does because of that, each with their share of the turns."""
    one, other = ({name: words.percent(weight, sum(of.values())) for name, weight in of.items()} for of in (a, b))
    pool = f"Pool {path[2]}"
    for name in dict.fromkeys([*a, *b]):
        before, after = a.get(name), b.get(name)
        if before is None:
            text = f"{pool}: {name} joins with weight {after}, {other[name]} of the turns"
            yield Difference("route", (*path, name), "added", before, after, text)
        elif after is None:
            text = f"{pool}: {name} leaves, who had weight {before}, {one[name]} of the turns"
            yield Difference("route", (*path, name), "removed", before, after, text)
        elif before != after:
            text = f"{pool}: weight of {name} {before} -> {after}, {one[name]} -> {other[name]} of the turns"
            yield Difference("route", (*path, name), "changed", before, after, text)
    shifted = [name for name in a if a[name] == b.get(name) and one[name] != other[name]]
    if shifted:
        shares = words.listing(f"{name} {one[name]} -> {other[name]}" for name in shifted)
        was, is_now = ({name: of[name] for name in shifted} for of in (one, other))
        yield Difference("route", path, "changed", was, is_now, f"{pool}: of the turns then {shares}")


def _orders(a: Journey, b: Journey) -> Iterator[Difference]:
    """What stands in another place where the place means something."""
    if a.initial != b.initial:
        yield _moved(("lifecycle",), a.initial, b.initial, "New leads start in another state")
    criteria = [[criterion.name for criterion in journey.qualify] for journey in (a, b)]
    yield from _reordered(("qualify",), criteria, "Criteria are looked at in another order")
    pools = [list(journey.route.pools) for journey in (a, b)]
    yield from _reordered(("route", "pools"), pools, "Pools are tried in another order")
    for campaign in a.campaigns.keys() & b.campaigns.keys():
        steps = [list(_step_names(journey.campaigns[campaign].steps)) for journey in (a, b)]
        about = f"Campaign {campaign}: steps are taken in another order"
        yield from _reordered(("campaigns", campaign, "steps"), steps, about)
    offers = [list(journey.offers) for journey in (a, b)]
    yield from _reordered(("offers",), offers, "Offers are made in another order")
    for name in a.pipelines.keys() & b.pipelines.keys():
        stages = [list(journey.pipelines[name].stages) for journey in (a, b)]
        yield from _reordered(("pipelines", name, "stages"), stages, f"Pipeline {name}: stages stand in another order")
    if a.service and b.service:
        slas = [list(service.slas) for service in (a.service, b.service)]
        yield from _reordered(("service", "slas"), slas, "SLAs are tried in another order")
    for state in a.automatic.keys() & b.automatic.keys():
        ways = [[way.name for way in journey.automatic[state]] for journey in (a, b)]
        about = f"State {state}: ways that are taken by themselves are tried in another order"
        yield from _reordered(("lifecycle", state, "to"), ways, about)


def _reordered(path: Path, both: list[list[str]], about: str) -> Iterator[Difference]:
    one, other = ([name for name in names if name in both[0] and name in both[1]] for names in both)
    if one != other:
        yield _moved(path, one, other, about)


def _moved(path: Path, before: Any, after: Any, about: str) -> Difference:  # noqa: ANN401 - a name or names
    return Difference(path[0], path, "moved", before, after, f"{about}: {worded(before)} -> {worded(after)}")


# -- telling -----------------------------------------------------------------------------------------------------------


def _difference(path: Path, a: Any, b: Any) -> Difference:  # noqa: ANN401 - any value of a journey
    kind: Kind = "added" if nothing(a) else "removed" if nothing(b) else "changed"
    part = path[0] if path[0] in TITLES else "journey"
    return Difference(part, path, kind, plain(a), plain(b), told(path, kind, a, b))
