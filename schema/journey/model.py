"""
The journey as values: what each key of the file means, its type and its default.

`load` makes these from text; nothing here is changed afterwards. Durations are `timedelta`, expressions are compiled.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    StrictBool,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from schema.journey.campaign import Campaign, Mail, Template
from schema.journey.contract import Contracts, Health, Offer
from schema.journey.expressions import Expression, Reads
from schema.journey.fields import nearest
from schema.journey.follow_up import OUTCOMES, FollowUpRule
from schema.journey.kpi import Kpis
from schema.journey.parts import (
    Calendar,
    Code,
    Duration,
    Language,
    Name,
    Part,
    Points,
    Question,
    Text,
    Threshold,
    TimeOfDay,
    TouchKind,
    Worked,
    Zone,
    in_a_list,
)
from schema.journey.pipeline import Pipeline
from schema.journey.question import LIMIT, atoms, edges
from schema.journey.service import Service
from schema.journey.source import Source
from schema.journey.survey import Survey

KPIS = {
    "arrivals": "how many came in",
    "conversion": "the share that goes on from here by the wanted way",
    "drop_off": "the share that is lost from here",
    "time_in_state": "how long leads stay, median and 90th percentile",
    "time_to_accept": "from being given a lead to accepting it",
    "first_response": "from a lead's message to our first answer",
    "resolution_time": "from a ticket to its resolution",
    "sla_hit_rate": "the share done within the time agreed",
    "satisfaction": "the mean answer to our surveys",
    "win_rate": "won, of all that were decided",
    "value": "the sum of what was sold",
    "renewal_rate": "renewed, of all that could have been",
}
"""The KPIs that a state or transition can be measured by, each with its meaning."""


def _kpi(name: str) -> str:
    if name not in KPIS:
        raise ValueError(f"there is no such KPI{nearest(name, list(KPIS))}; there are {', '.join(KPIS)}")
    return name


def _again(value: object) -> object:
    """`never`, `news` or a duration as the mapping it is short for."""
    if value == "never":
        return {}
    if value == "news":
        return {"news": True}
    return {"after": value} if isinstance(value, str) else value


def _in_points(value: object) -> object:
    return {"points": value} if isinstance(value, int) else value


Kpi = Annotated[
    str,
    AfterValidator(_kpi),
    WithJsonSchema({"oneOf": [{"const": name, "description": meaning} for name, meaning in KPIS.items()]}),
]


class Capacity(Part):
    """
    How much work a person takes: at most `open` leads at once, and at most `max` new ones in any `per`.

    Beside them at most so many `tickets` that want something of them now.
    """

    open: Annotated[StrictInt, Field(ge=1)] | None = None
    tickets: Annotated[StrictInt, Field(ge=1)] | None = None
    max: Annotated[StrictInt, Field(ge=1, le=1000)] | None = None
    per: Duration | None = None

    @model_validator(mode="after")
    def _max_per(self) -> Capacity:
        if (self.max is None) != (self.per is None):
            raise ValueError("`max` and `per` belong together: at most so many new leads within that time")
        return self


class Person(Worked):
    """
    Somebody who can own a lead. Without working hours of their own they work when their pools do.

    What they have is their `department`'s work, whoever else's it would be. With a `digest`, what is overdue and due on
    the day is mailed to them at that time of each of their working days.
    """

    name: Text | None = None
    department: Name | None = None
    email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
    tz: Zone = "UTC"
    speaks: tuple[Language, ...] = ()
    skills: tuple[Name, ...] = ()
    capacity: Capacity | None = None
    digest: TimeOfDay | None = None


class Identity(Part):
    """
    When people are merged by themselves: never, unless `merge` names the kinds of match keys to be believed.

    An arrival goes to the person of its surest key (external id, then e-mail address, then phone number). Where it also
    carries a key of somebody else, that is kept as a suggestion. With `merge: [external_id, email]` an external id of
    one person and the address of another, in one arrival, merge the second into the first. A phone number never does.
    A merge that was undone by hand is not made again.
    """

    merge: tuple[Literal["external_id", "email"], ...] = ()


class Criterion(Part):
    """
    One check of qualification: `require` must hold, or `reject` must not.

    `unknown` says what a missing answer means: `ask` for it (the default), let it `pass`, or `fail`. What is asked for
    is `question`, in words for the lead; who has not answered `within` that time is taken as `otherwise` says.
    """

    name: Name
    description: Text | None = None
    require: Question | None = None
    reject: Question | None = None
    reason: Code = ""
    unknown: Literal["ask", "pass", "fail"] = "ask"
    question: Text | None = None
    within: Duration | None = None
    otherwise: Literal["pass", "fail"] = "fail"

    @model_validator(mode="after")
    def _one_question(self) -> Criterion:
        if (self.require is None) == (self.reject is None):
            raise ValueError("give either `require` (must hold) or `reject` (must not hold)")
        if self.unknown != "ask" and (self.question is not None or self.within is not None):
            raise ValueError("`question` and `within` are for `unknown: ask`")
        return self

    @property
    def rule(self) -> Expression:
        """The question, whichever way it is meant."""
        rule = self.require or self.reject
        assert rule is not None  # noqa: S101 - `_one_question` has seen to it
        return rule


class Again(Part):
    """
    When somebody who was disqualified is looked at again: on `news` (a new touchpoint), `after` a while, or never.

    At most `most` times. After a while the answers that spoke against them count as unknown: they are asked anew.
    """

    news: StrictBool = False
    after: Duration | None = None
    most: Annotated[StrictInt, Field(ge=1, le=100)] = 3


class FitRule(Part):
    """Points for who somebody is; those of one `group` are together within its limits."""

    when: Question
    points: Points
    label: Text | None = None
    group: Code | None = None

    @property
    def name(self) -> str:
        """What the rule is called where its points are told."""
        return self.label or self.when.source


class TouchPoints(Part):
    """
    Points for one kind of touchpoint; with `max` and `per`, for at most `max` of them in any `per`.

    They halve every `half_life` of their own, else that of all engagement.
    """

    points: Points
    max: Annotated[StrictInt, Field(ge=1)] | None = None
    per: Duration | None = None
    half_life: Duration | None = None
    group: Code | None = None

    @model_validator(mode="after")
    def _per_what(self) -> TouchPoints:
        if self.per is not None and self.max is None:
            raise ValueError("`per` needs `max`: how many count within that time")
        return self


class Engagement(Part):
    """Points for what somebody does; they halve every `half_life` and are together at most `cap`."""

    half_life: Duration = timedelta(days=30)
    cap: Annotated[StrictInt, Field(ge=0, le=100)] = 100
    on: dict[TouchKind, Annotated[TouchPoints, BeforeValidator(_in_points, Points | TouchPoints)]] = {}


class Group(Part):
    """The most and the least that the points of one group come to together."""

    cap: Annotated[StrictInt, Field(ge=0, le=100)] = 100
    floor: Annotated[StrictInt, Field(ge=-100, le=0)] = -100


class Grid(Part):
    """Fit and engagement apart: a letter for the one, a number for the other, told together as in `A1`."""

    fit: Annotated[dict[str, Threshold], Field(min_length=1)]
    engagement: Annotated[dict[str, Threshold], Field(min_length=1)]


class Machines(Part):
    """
    How clicks and openings by security scanners are told from those of people; they give no points.

    One of `kinds` is a machine's when `burst` or more of them come within `within`, or when it comes sooner than
    `after_send` after a message went out, or when its sender says so (`machine` in its data).
    """

    kinds: tuple[TouchKind, ...] = ("email.click", "email.open")
    burst: Annotated[StrictInt, Field(ge=2)] = 3
    within: Duration = timedelta(seconds=10)
    after_send: Duration = timedelta(seconds=2)


class ScoreRules(Part):
    """How warm a lead is: 0 (cold) to 100 (call now)."""

    fit: tuple[FitRule, ...] = ()
    engagement: Engagement = Engagement()
    groups: dict[Code, Group] = {}
    grades: dict[str, Threshold] = {}
    grid: Grid | None = None
    machines: Machines = Machines()

    def grade(self, total: int) -> str:
        """The first grade that `total` reaches; empty when it reaches none."""
        return next((grade for grade, least in self.grades.items() if total >= least), "")

    def cell(self, fit: int, engagement: int) -> str:
        """The first of each that is reached, as in `A1`; empty without a grid, or where one of them reaches none."""
        if self.grid is None:
            return ""
        column = next((letter for letter, least in self.grid.fit.items() if fit >= least), "")
        row = next((number for number, least in self.grid.engagement.items() if engagement >= least), "")
        return column + row if column and row else ""


class Pool(Worked):
    """
    People who share work by weight, and which leads are theirs; without `when`: whatever is left.

    `fits` is asked about the lead and each member (`member.speaks`, `member.skills`): only those it holds for, or
    whose answer is unknown, are looked at; where nobody fits, the next pool is. Outside its working hours a pool
    gives nothing out: leads wait in its queue.
    """

    label: Text | None = None
    when: Question | None = None
    fits: Question | None = None
    members: Annotated[dict[Name, Annotated[StrictInt, Field(ge=1, le=1000)]], Field(min_length=1)]
    accept_within: Duration | None = None


class Route(Part):
    """
    Which pool and person a lead goes to: the first pool whose `when` holds, then by turns.

    The owner accepts it within `accept_within` of working time, or is reminded after `remind_after` and then it is
    handed on to the next in turn, at most `hand_on` times, and at last to `escalate_to`. Who had a person's lead
    before within `sticky` gets the next one.
    """

    pools: Annotated[dict[Name, Pool], Field(min_length=1)]
    accept_within: Duration | None = None
    remind_after: Duration | None = None
    hand_on: Annotated[StrictInt, Field(ge=0, le=20)] = 1
    escalate_to: Name | None = None
    sticky: Duration | None = None

    @model_validator(mode="after")
    def _reminded_before(self) -> Route:
        accepted = [pool.accept_within for pool in self.pools.values() if pool.accept_within] + [self.accept_within]
        if self.remind_after and not any(within and within > self.remind_after for within in accepted):
            raise ValueError("`remind_after` has to be shorter than `accept_within`")
        return self


class State(Part):
    """
    Where a lead can be, whose work that is, how long it should last, and the named ways out.

    `outcome` says what reaching it means for the business: figures and predictions count it as won or lost.
    """

    label: Text | None = None
    description: Text | None = None
    department: Name | None = None
    system: Text | None = None
    sla: Duration | None = None
    outcome: Literal["won", "lost"] | None = None
    final: StrictBool = False
    kpis: tuple[Kpi, ...] = ()
    to: dict[Code, Code] = {}


class Transition(Part):
    """
    A named move. `trigger` says what sets it off.

    `automatic`: by itself as soon as `when` holds and the lead has been in its state for `after` (either may be left
    out); the usual where there is one of them. `requalify`: by itself when somebody who was disqualified is looked at
    again and no criterion fails. `manual`: somebody asks for it, and where there is a `when`, it has to hold.
    `reason`: a single code is recorded by itself; of a list, whoever moves the lead names one.
    """

    label: Text | None = None
    description: Text | None = None
    department: Name | None = None
    system: Text | None = None
    when: Question | None = None
    after: Duration | None = None
    trigger: Literal["automatic", "manual", "requalify"] = Field(
        default_factory=lambda known: "automatic" if known.get("when") or known.get("after") else "manual"
    )
    reason: Annotated[tuple[Code, ...], BeforeValidator(in_a_list, Code | tuple[Code, ...])] = ()
    kpis: tuple[Kpi, ...] = ()

    @model_validator(mode="after")
    def _triggered(self) -> Transition:
        if self.trigger == "automatic" and self.when is None and self.after is None:
            raise ValueError("`trigger: automatic` needs `when` or `after`: the moment it happens by itself")
        if self.trigger != "automatic" and self.after is not None:
            raise ValueError("`after` is for transitions that happen by themselves")
        return self


class Way(NamedTuple):
    """One way out of a state."""

    name: str
    to: str
    transition: Transition


_PLAIN = Transition()
_USUAL_SOURCES = {"website": Source(kind="form"), "api": Source(kind="api")}


class Journey(Part):
    """How leads travel. Two journeys with the same `version` say the same, word for word."""

    journey: Name
    label: Text | None = None
    description: Text | None = None
    departments: tuple[Name, ...] = ()
    people: dict[Name, Person] = {}
    calendars: dict[Name, Calendar] = {}
    lists: dict[Code, tuple[Text, ...]] = {}
    sources: dict[Name, Source] = _USUAL_SOURCES
    identity: Identity = Identity()
    steps: Annotated[tuple[Code, ...], Field(min_length=1)] = ("qualify", "score", "route", "advance")
    qualify: tuple[Criterion, ...] = ()
    requalify: dict[Code, Annotated[Again, BeforeValidator(_again, Literal["never", "news"] | Duration | Again)]] = {}
    score: ScoreRules = ScoreRules()
    route: Route
    lifecycle: Annotated[dict[Code, State], Field(min_length=1)]
    transitions: dict[Code, Transition] = {}
    mail: Mail | None = None
    templates: dict[Name, Template] = {}
    campaigns: dict[Code, Campaign] = {}
    pipelines: dict[Code, Pipeline] = {}
    contracts: Contracts | None = None
    health: Health | None = None
    offers: dict[Code, Offer] = {}
    service: Service | None = None
    follow_ups: dict[Code, FollowUpRule] = {}
    surveys: dict[Code, Survey] = {}
    kpis: Kpis = Kpis()

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
    def automatic(self) -> dict[str, tuple[Way, ...]]:
        """For each state the moves that can happen by themselves, in the order of the file."""
        return {
            state: tuple(
                Way(name, target, transition)
                for name, target in there.to.items()
                if (transition := self.transition(name)).trigger != "manual"
            )
            for state, there in self.lifecycle.items()
        }

    def transition(self, name: str) -> Transition:
        """The definition of a transition; a plain one for a name that is only used."""
        return self.transitions.get(name, _PLAIN)

    def outcomes(self, rule: str | None) -> tuple[str, ...]:
        """What can come of the work of a follow-up rule; of a campaign's, or one made by hand, what is usual."""
        return self.follow_ups[rule].outcomes if rule in self.follow_ups else OUTCOMES

    def expressions(self) -> Iterator[Expression]:
        """Every expression of the journey."""
        yield from (criterion.rule for criterion in self.qualify)
        yield from (rule.when for rule in self.score.fit)
        yield from (pool.when for pool in self.route.pools.values() if pool.when)
        yield from (pool.fits for pool in self.route.pools.values() if pool.fits)
        yield from (transition.when for transition in self.transitions.values() if transition.when)
        for campaign in self.campaigns.values():
            yield from (question for _, question in campaign.questions())
        yield from (rule.when for rule in self.health.rules) if self.health else ()
        yield from (offer.when for offer in self.offers.values())
        if self.service:
            yield from (each.when for each in self.service.opens if each.when)
            yield from (desk.when for desk in self.service.desks.values() if desk.when)
            yield from (sla.when for sla in self.service.slas.values() if sla.when)
        yield from (rule.when for rule in self.follow_ups.values() if rule.when)
        yield from (survey.when for survey in self.surveys.values() if survey.when)
        yield from self.kpis.segments.values()

    @cached_property
    def reads(self) -> Reads:
        """The fields that the expressions of this journey look at."""
        return Reads(path for expression in self.expressions() for path in expression.paths)

    @cached_property
    def score_thresholds(self) -> dict[str, frozenset[int]]:
        """
        For `total`, `fit` and `engagement` the points from which on an expression answers otherwise than below.

        `score.total > 44` and `score.total >= 45` both give 45. Where points are part of a calculation, all count.
        """
        asked = [atom for expression in self.expressions() for atom in atoms(expression.tree)]
        return {
            name: frozenset(edge for atom in asked for edge in edges(atom, f"score.{name}") if 0 < edge <= LIMIT)
            for name in ("total", "fit", "engagement")
        }

    @cached_property
    def score_steps(self) -> dict[str, tuple[int, ...]]:
        """Of `total` and `engagement` the points from which on the grade, the cell or an answer is another one."""
        steps = {name: set(self.score_thresholds[name]) for name in ("total", "engagement")}
        steps["total"] |= {*self.score.grades.values()}
        steps["engagement"] |= {*self.score.grid.engagement.values()} if self.score.grid else set()
        return {name: tuple(sorted(found - {0})) for name, found in steps.items()}
