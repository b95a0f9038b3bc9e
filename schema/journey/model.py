"""
The journey as values: what each key of the file means, its type and its default.

`load` makes these from text; nothing here is changed afterwards. Durations are `timedelta`, expressions are compiled.
`Person.skills`, `Person.capacity`, `Pool.hours` and `Route.accept_within` are checked and kept with the version;
the decision `route` of this version chooses by `when` and `members` alone.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    StrictBool,
    StrictInt,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from schema.journey.expressions import Expression, Reads

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)"


def duration(value: object) -> timedelta:
    """`30d`, `24h`, `15m`, `90s` or `2w` as a timedelta. Raises ValueError for anything else, and for zero."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smhdw])", value) if isinstance(value, str) else None
    if not found:
        raise ValueError("write a number and a unit: 15m, 2h, 24h, 30d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _expression(value: object, info: ValidationInfo) -> Expression:
    if not isinstance(value, str):
        mistake = "write an expression in quotes, as in 'company.employees >= 50'"
        raise ValueError(mistake)  # noqa: TRY004 - pydantic collects ValueError
    return Expression(value, (info.context or {}).get("lists"))


def _zone(name: str) -> str:
    if name not in zoneinfo.available_timezones():
        raise ValueError("there is no such time zone; write it as in Europe/Berlin")
    return name


def _in_a_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _in_points(value: object) -> object:
    return {"points": value} if isinstance(value, int) else value


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
TouchKind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$", max_length=100)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
Zone = Annotated[str, AfterValidator(_zone)]
Duration = Annotated[timedelta, PlainValidator(duration), WithJsonSchema({"type": "string"})]
Question = Annotated[Expression, PlainValidator(_expression), WithJsonSchema({"type": "string"})]
Points = Annotated[StrictInt, Field(ge=-100, le=100)]


class Part(BaseModel):
    """A part of the file: keys it does not know are refused, and it never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Capacity(Part):
    """How much open work a person takes."""

    open: Annotated[StrictInt, Field(ge=1)]


class Person(Part):
    """Somebody who can own a lead."""

    name: Text | None = None
    email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
    tz: Zone = "UTC"
    speaks: tuple[Language, ...] = ()
    skills: tuple[Name, ...] = ()
    capacity: Capacity | None = None


class Dedupe(Part):
    """How long the same content from one source counts as the same arrival (a sender's own id counts for ever)."""

    window: Duration = timedelta(hours=24)


class Source(Part):
    """
    Where leads come from.

    `map` reads a payload: its key (dotted for what is nested) gives our field; without `map` the usual names are
    understood. `redirect` are the pages a browser may be sent to after a form, `origins` the sites whose scripts may
    post, `region` (a country code) the country of telephone numbers written without one.
    """

    kind: Literal["form", "api", "email", "events", "import", "hook"]
    label: Text | None = None
    description: Text | None = None
    enabled: StrictBool = True
    address: Text | None = None
    map: dict[Text, Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]*$", max_length=100)]] = {}
    dedupe: Dedupe = Dedupe()
    redirect: tuple[Annotated[str, StringConstraints(pattern=r"^(https?://[^\s/]|/)\S*$")], ...] = ()
    origins: tuple[Annotated[str, StringConstraints(pattern=r"^(\*|https?://[^\s/]+)$")], ...] = ()
    region: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None


class Criterion(Part):
    """
    One check of qualification: `require` must hold, or `reject` must not.

    `unknown` says what a missing answer means: `ask` for it (the default), let it `pass`, or `fail`.
    """

    name: Name
    description: Text | None = None
    require: Question | None = None
    reject: Question | None = None
    reason: Code = ""
    unknown: Literal["ask", "pass", "fail"] = "ask"

    @model_validator(mode="after")
    def _one_question(self) -> Criterion:
        if (self.require is None) == (self.reject is None):
            raise ValueError("give either `require` (must hold) or `reject` (must not hold)")
        return self

    @property
    def rule(self) -> Expression:
        """The question, whichever way it is meant."""
        rule = self.require or self.reject
        assert rule is not None  # noqa: S101 - `_one_question` has seen to it
        return rule


class FitRule(Part):
    """Points for who somebody is."""

    when: Question
    points: Points
    label: Text | None = None


class TouchPoints(Part):
    """Points for one kind of touchpoint; with `max` and `per`, for at most `max` of them in any `per`."""

    points: Points
    max: Annotated[StrictInt, Field(ge=1)] | None = None
    per: Duration | None = None

    @model_validator(mode="after")
    def _per_what(self) -> TouchPoints:
        if self.per is not None and self.max is None:
            raise ValueError("`per` needs `max`: how many count within that time")
        return self


class Engagement(Part):
    """Points for what somebody does; they halve every `half_life` and are together at most `cap`."""

    half_life: Duration = timedelta(days=30)
    cap: Annotated[StrictInt, Field(ge=0, le=100)] = 100
    on: dict[TouchKind, Annotated[TouchPoints, BeforeValidator(_in_points)]] = {}


class ScoreRules(Part):
    """How warm a lead is: 0 (cold) to 100 (call now)."""

    fit: tuple[FitRule, ...] = ()
    engagement: Engagement = Engagement()
    grades: dict[str, Annotated[StrictInt, Field(ge=0, le=100)]] = {}

    def grade(self, total: int) -> str:
        """The first grade that `total` reaches; empty when it reaches none."""
        return next((grade for grade, least in self.grades.items() if total >= least), "")


class Hours(BaseModel):
    """Working hours: `tz`, and for days or ranges of days the time, as in `mon-fri: '09:00-18:00'`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[
        Annotated[str, StringConstraints(pattern=rf"^{_DAY}(-{_DAY})?$")],
        Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)$")],
    ]
    tz: Zone


class Pool(Part):
    """People who share work by weight, and which leads are theirs; without `when`: whatever is left."""

    label: Text | None = None
    when: Question | None = None
    members: Annotated[dict[Name, Annotated[StrictInt, Field(ge=1, le=1000)]], Field(min_length=1)]
    hours: Hours | None = None


class Route(Part):
    """Which pool and person a lead goes to: the first pool whose `when` holds, then by turns."""

    pools: Annotated[dict[Name, Pool], Field(min_length=1)]
    accept_within: Duration | None = None


class State(Part):
    """Where a lead can be, whose work that is, how long it should last, and the named ways out."""

    label: Text | None = None
    description: Text | None = None
    department: Name | None = None
    sla: Duration | None = None
    final: StrictBool = False
    to: dict[Code, Code] = {}


class Transition(Part):
    """
    A named move. With `when` it happens by itself as soon as that holds, unless `automatic: false`.

    `reason`: a single code is recorded by itself; of a list, whoever moves the lead names one.
    """

    label: Text | None = None
    description: Text | None = None
    when: Question | None = None
    automatic: StrictBool = Field(default_factory=lambda known: known.get("when") is not None)
    reason: Annotated[tuple[Code, ...], BeforeValidator(_in_a_list)] = ()
    system: Text | None = None

    @model_validator(mode="after")
    def _automatic_when(self) -> Transition:
        if self.automatic and self.when is None:
            raise ValueError("`automatic: true` needs `when`: the moment it happens by itself")
        return self


_PLAIN = Transition()
_USUAL_SOURCES = {"website": Source(kind="form"), "api": Source(kind="api")}


class Journey(Part):
    """How leads travel. Two journeys with the same `version` say the same, word for word."""

    journey: Name
    label: Text | None = None
    description: Text | None = None
    departments: tuple[Name, ...] = ()
    people: dict[Name, Person] = {}
    lists: dict[Code, tuple[Text, ...]] = {}
    sources: dict[Name, Source] = _USUAL_SOURCES
    steps: Annotated[tuple[Code, ...], Field(min_length=1)] = ("qualify", "score", "route", "advance")
    qualify: tuple[Criterion, ...] = ()
    score: ScoreRules = ScoreRules()
    route: Route
    lifecycle: Annotated[dict[Code, State], Field(min_length=1)]
    transitions: dict[Code, Transition] = {}
    campaigns: Annotated[dict[str, Any], Field(max_length=0)] = {}

    _version: str = PrivateAttr("")

    @property
    def name(self) -> str:
        """The journey's name, the same in all its versions."""
        return self.journey

    def after(self, step: str) -> str | None:
        """The step that follows `step`; None after the last, when a lead is settled."""
        following = self.steps[self.steps.index(step) + 1 :]
        return following[0] if following else None

    @cached_property
    def version(self) -> str:
        """12 hexadecimal digits of the hash of what the file says; comments and spacing do not count."""
        return self._version

    @cached_property
    def initial(self) -> str:
        """The state a new lead is in: the first one."""
        return next(iter(self.lifecycle))

    @cached_property
    def moves(self) -> frozenset[tuple[str, str, str]]:
        """Every move there is: from state, transition, to state."""
        return frozenset(
            (state, name, target) for state, there in self.lifecycle.items() for name, target in there.to.items()
        )

    @cached_property
    def automatic(self) -> dict[str, tuple[tuple[str, str, Expression], ...]]:
        """For each state the moves that can happen by themselves, in order: transition, to state, guard."""
        return {state: tuple(self._automatic_from(there)) for state, there in self.lifecycle.items()}

    def _automatic_from(self, state: State) -> Iterator[tuple[str, str, Expression]]:
        for name, target in state.to.items():
            transition = self.transition(name)
            if transition.automatic and transition.when is not None:
                yield name, target, transition.when

    def transition(self, name: str) -> Transition:
        """The definition of a transition; a plain one for a name that is only used."""
        return self.transitions.get(name, _PLAIN)

    def expressions(self) -> Iterator[Expression]:
        """Every expression of the journey."""
        yield from (criterion.rule for criterion in self.qualify)
        yield from (rule.when for rule in self.score.fit)
        yield from (pool.when for pool in self.route.pools.values() if pool.when)
        yield from (transition.when for transition in self.transitions.values() if transition.when)

    @cached_property
    def reads(self) -> Reads:
        """The fields that the expressions of this journey look at."""
        return Reads(path for expression in self.expressions() for path in expression.paths)
