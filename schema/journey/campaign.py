"""
Campaigns as values: who enters, what happens to them step by step, what they are sent, and when that ends.

A person's way through a campaign is an enrolment. Its steps are a list that is gone through from the top; `go` and the
other jumps lead forward only, so there is always an end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from schema.journey.parts import (
    Code,
    Duration,
    FieldName,
    Name,
    Part,
    Question,
    Text,
    TouchKind,
    Worked,
    Zone,
    duration,
    in_a_list,
)

Percent = Annotated[StrictInt, Field(ge=0, le=50)]
Weight = Annotated[StrictInt, Field(ge=1, le=1000)]
Subject = Annotated[str, StringConstraints(min_length=1, max_length=250, pattern=r"^[^\r\n]+$")]
Body = Annotated[str, StringConstraints(min_length=1, max_length=100_000)]
LanguageTag = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")]
Mailbox = Annotated[str, StringConstraints(pattern=r"^([^<>@\r\n]*<)?[^\s<>@]+@[^\s<>@]+>?$", max_length=320)]
_MONEY = r"[0-9]{1,12}(\.[0-9]{1,6})?"

AGAIN = ("once", "after_exit", "always")
"""How often somebody may enter, in words; else it is a duration."""


def _again(value: object) -> str | timedelta:
    """One of `AGAIN`, or a duration. Raises ValueError."""
    if isinstance(value, str) and value in AGAIN:
        return value
    with suppress(ValueError):
        return duration(value)
    raise ValueError(f"write {', '.join(AGAIN)}, or a while as in 30d")


def _answer(value: object) -> str | float | bool:
    """What an answer of a person can be set to. Raises ValueError."""
    if isinstance(value, str | bool | int | float):
        return value
    mistake = "write a text, a number, true or false"
    raise ValueError(mistake)  # pydantic collects ValueError


def _money(value: object) -> Decimal:
    """An amount as it is written, exactly: `1200`, `0.002` or `'1200.00'`. Raises ValueError."""
    written = value if isinstance(value, str) else "" if isinstance(value, bool) else str(value)
    with suppress(ArithmeticError):
        written = written if isinstance(value, str) else format(Decimal(written), "f")
    if not re.fullmatch(_MONEY, written):
        mistake = "write an amount, 0 or more, with a point and at most 6 digits behind it, as in 1200 or '0.002'"
        raise ValueError(mistake)
    return Decimal(written)


Money = Annotated[
    Decimal,
    PlainValidator(_money),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{_MONEY}$"}], "default": 0}
    ),
]
Again = Annotated[
    str | timedelta,
    PlainValidator(_again),
    WithJsonSchema({"anyOf": [{"enum": list(AGAIN)}, {"type": "string", "pattern": "^[1-9][0-9]{0,5}[smhdw]$"}]}),
]
Answer = Annotated[
    str | bool | int | float, PlainValidator(_answer), WithJsonSchema({"type": ["string", "boolean", "number"]})
]


class Cap(Part):
    """At most so many messages to one person within any `per`."""

    most: Annotated[StrictInt, Field(ge=1, le=100)]
    per: Duration


class Mail(Worked):
    """
    How mail goes out: from whom, when, and how much of it one person gets from all campaigns together.

    `hours` or `calendar` are when campaigns may write, by the clock of the person's own place unless a time zone is
    named; where that is not known, only when it is allowed in every place it can be. `assume` are the zones to take
    for somebody of whose place nothing is known. `postal` is the business's address, which marketing has to name.
    `opens` and `clicks` say whether these are noticed.
    """

    sender: Mailbox
    reply_to: Mailbox | None = None
    postal: Text | None = None
    caps: tuple[Cap, ...] = ()
    assume: Annotated[tuple[Zone, ...], BeforeValidator(in_a_list, Zone | tuple[Zone, ...])] = ()
    opens: StrictBool = True
    clicks: StrictBool = True


class Wording(Part):
    """What a message says in one language."""

    subject: Subject
    preview: Subject | None = None
    text: Body
    html: Body | None = None


class Template(Wording):
    """
    A message: `subject` and `text` with fields in double braces, as in `{{ person.first_name | default: "there" }}`.

    The text is Markdown; what is sent is plain text and a page made from it. `html` replaces that page. A field that
    is missing and has no default is a reason not to send. `languages` has the same in other languages, whole.
    """

    label: Text | None = None
    languages: dict[LanguageTag, Wording] = {}

    def said_in(self, language: str | None) -> tuple[str | None, Wording]:
        """
        The words for somebody of this language (`pt-BR`), and which of `languages` these are.

        What is said in the language of just that place goes first, then in the language anywhere, then the template's
        own words (None).
        """
        whole = language or ""
        for tag in (whole, whole.partition("-")[0]):
            if tag in self.languages:
                return tag, self.languages[tag]
        return None, self

    def wordings(self) -> Iterator[tuple[tuple[str, ...], Wording]]:
        """All that it says, with where that stands in it."""
        yield (), self
        for tag, wording in self.languages.items():
            yield ("languages", tag), wording


class Enter(Part):
    """
    A way in: coming into a `state`, an `event` (a kind of touchpoint), a `date`, or as soon as `when` holds.

    Beside one of the others `when` has to hold at that moment. `date` names a field with a day or moment, `before` or
    `after` how far from it; `yearly` for a day that comes back every year (29 February on the 28th in other years).
    A day begins when it begins for the person. Who is noticed more than `late` after the moment does not enter.
    """

    when: Question | None = None
    state: Code | None = None
    event: TouchKind | None = None
    date: Annotated[str, StringConstraints(pattern=r"^[a-z]\w*(\.\w+)+$", max_length=100)] | None = None
    before: Duration | None = None
    after: Duration | None = None
    yearly: StrictBool = False
    late: Duration = timedelta(days=7)

    @model_validator(mode="after")
    def _one_way(self) -> Enter:
        given = [name for name in ("state", "event", "date") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError("give one of `state`, `event` and `date`; several ways in are several entries")
        if not given and self.when is None:
            raise ValueError("say who enters: `when`, `state`, `event` or `date`")
        if self.date is None and (self.before or self.after or self.yearly or "late" in self.model_fields_set):
            raise ValueError("`before`, `after`, `yearly` and `late` are for `date`")
        if self.before and self.after:
            raise ValueError("give either `before` or `after`")
        return self


class Exit(Part):
    """
    What ends an enrolment at once, wherever it is: an `event` (a kind of touchpoint), or that `when` holds.

    Marketing ends by itself when the lead comes to a final state, but not for who entered since then.
    """

    when: Question | None = None
    event: TouchKind | None = None
    reason: Code = "exit_condition"

    @model_validator(mode="after")
    def _one(self) -> Exit:
        if (self.when is None) == (self.event is None):
            raise ValueError("give either `when` or `event`")
        return self


class Goal(Part):
    """
    What the campaign is for. It is reached when `when` holds within that time after entering; the enrolment ends.

    After its last step an enrolment waits for what is left of that time. Without `within` the goal counts until the
    last step.
    """

    when: Question
    within: Duration | None = None


class Audience(Part):
    """At most so many people may enter within any `per`; when there are more, the campaign waits to be approved."""

    most: Annotated[StrictInt, Field(ge=1)]
    per: Duration
    expect: Annotated[StrictInt, Field(ge=0)] | None = None


class Cost(Part):
    """What the campaign costs, exactly: once, and for each message that goes out; in `currency`."""

    fixed: Money = Decimal(0)
    per_send: Money = Decimal(0)
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "EUR"


class Way(Part):
    """Where to go if `when` holds; without it, in any case."""

    when: Question | None = None
    go: Code


class FollowUp(Part):
    """A task for somebody: the lead's `owner` or one of the people, to be done `within` that time."""

    text: Text
    to: Name = "owner"
    within: Duration | None = None


def _called(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


ACTIONS = ("send", "wait", "wait_until", "branch", "split", "set", "follow_up", "notify", "exit", "go")
"""What a step can do: each has one of them."""


class Step(Part):
    """
    One step, which does one thing.

    - `send` a template. Where the person had enough mail already (`capped`): `defer` it until there is room, `skip` it
      and go on, or `abort` the enrolment.
    - `wait` that long.
    - `wait_until` something holds, at most for `timeout`; then go to the step called `otherwise`, or on.
    - `branch`: go the first way whose `when` holds, else on.
    - `split`: go to one of the steps by weight, always the same one for the same person.
    - `set` answers of the person (`person.custom`).
    - `follow_up`: give somebody a task.
    - `notify`: tell other systems, under that name.
    - `exit` for a reason, or `go` to a step further down.
    """

    name: Code | None = None
    send: Name | None = None
    capped: Literal["defer", "skip", "abort"] = "defer"
    wait: Duration | None = None
    wait_until: Question | None = None
    timeout: Duration | None = None
    otherwise: Code | None = None
    branch: Annotated[tuple[Way, ...], Field(min_length=1)] | None = None
    split: Annotated[dict[Code, Weight], Field(min_length=2)] | None = None
    set: Annotated[dict[FieldName, Answer], Field(min_length=1)] | None = None
    follow_up: Annotated[FollowUp, BeforeValidator(_called, Text | FollowUp)] | None = None
    notify: Code | None = None
    exit: Code | None = None
    go: Code | None = None

    @model_validator(mode="after")
    def _one_action(self) -> Step:
        given = [action for action in ACTIONS if getattr(self, action) is not None]
        if len(given) != 1:
            raise ValueError(f"a step does one thing, one of {', '.join(ACTIONS)}")
        if self.wait_until is None and (self.timeout is not None or self.otherwise is not None):
            raise ValueError("`timeout` and `otherwise` are for `wait_until`")
        if self.wait_until is not None and self.timeout is None:
            raise ValueError("`wait_until` needs a `timeout`: nobody waits for ever")
        if "capped" in self.model_fields_set and self.send is None:
            raise ValueError("`capped` is for `send`")
        return self

    @property
    def action(self) -> str:
        """What it does, one of `ACTIONS`."""
        return next(action for action in ACTIONS if getattr(self, action) is not None)


class Campaign(Part):
    """
    A nurturing programme.

    `marketing` needs consent to its `purpose`; `service` mail goes to everybody it concerns, without caps and hours,
    and before all marketing. Whoever entered may enter `again`: never (`once`), when the last time is over
    (`after_exit`), a while after they last entered (`30d`), or at each occasion (`always`, while not enrolled). Of
    several campaigns that want to write to one person, the higher `priority` (0 to 100) goes first. `holdout` percent
    of those who enter get nothing, always the same people, so that the effect can be measured.
    """

    label: Text | None = None
    description: Text | None = None
    department: Name | None = None
    kind: Literal["marketing", "service"] = "marketing"
    purpose: Code = "marketing"
    priority: Annotated[StrictInt, Field(ge=0, le=100)] = 50
    enter: Annotated[tuple[Enter, ...], Field(min_length=1)]
    again: Again = "once"
    exit: tuple[Exit, ...] = ()
    goal: Goal | None = None
    holdout: Percent = 0
    audience: Audience | None = None
    cost: Cost | None = None
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]

    def questions(self) -> Iterator[tuple[tuple[str | int, ...], Question]]:
        """Every expression of the campaign, with where it stands in it."""
        for at, way in enumerate(self.enter):
            if way.when is not None:
                yield ("enter", at, "when"), way.when
        for at, leave in enumerate(self.exit):
            if leave.when is not None:
                yield ("exit", at, "when"), leave.when
        if self.goal is not None:
            yield ("goal", "when"), self.goal.when
        for at, step in enumerate(self.steps):
            if step.wait_until is not None:
                yield ("steps", at, "wait_until"), step.wait_until
            for number, choice in enumerate(step.branch or ()):
                if choice.when is not None:
                    yield ("steps", at, "branch", number, "when"), choice.when

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What the steps are called, in order: by their own name, else by what they do and their number."""
        return tuple(step.name or f"{step.action}_{number}" for number, step in enumerate(self.steps, 1))

    def target(self, name: str | None, place: int) -> int:
        """Where to go from the step at `place`: to the step of that name, else on to the next. Raises ValueError."""
        return place + 1 if name is None else self.place(name)

    def following(self, place: int) -> tuple[int, ...]:
        """Where the step at `place` can lead: places in `steps`, and one beyond for the end. Raises ValueError."""
        step = self.steps[place]
        if step.exit is not None:
            return ()
        if step.go is not None:
            return (self.place(step.go),)
        if step.split is not None:
            return tuple(self.place(name) for name in step.split)
        named = [way.go for way in step.branch or ()] + ([step.otherwise] if step.otherwise else [])
        always = any(way.when is None for way in step.branch or ())
        return tuple(self.place(name) for name in named) + (() if always else (place + 1,))

    def place(self, name: str) -> int:
        """Where the step of that name stands in `steps`. Raises ValueError for one that is not there."""
        return self.names.index(name)
