"""Service as values: the customers' tickets, whose work they are, and within what time they are answered and solved."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, model_validator

from schema.journey.parts import Code, Duration, Name, Part, Question, Text, TouchKind, Worked, in_a_list

PRIORITIES: tuple[str, ...] = ("low", "normal", "high", "urgent")
METRICS: tuple[str, ...] = ("first_response", "next_response", "resolution")
OWNER = "owner"
"""Whoever has the ticket, where a person is named."""
LONGEST = timedelta(days=3650)
Priority = Literal["low", "normal", "high", "urgent"]


class TicketKind(Part):
    """
    A kind of ticket.

    `root_cause`: what it can be put down to, one of which is named before it is resolved. `served`: resolving it is a
    service rendered, which the journey hears of as the touchpoint `service.delivered`.
    """

    label: Text | None = None
    description: Text | None = None
    priority: Priority = "normal"
    root_cause: tuple[Code, ...] = ()
    served: StrictBool = False


class Opens(Part):
    """
    Which arrivals open a ticket of a `kind`, or go on with one that is open: kinds of touchpoints `on`, or `sources`.

    The first entry that fits decides; `when` has to hold beside it.
    """

    on: Annotated[tuple[TouchKind, ...], BeforeValidator(in_a_list, TouchKind | tuple[TouchKind, ...])] = ()
    sources: Annotated[tuple[Name, ...], BeforeValidator(in_a_list, Name | tuple[Name, ...])] = ()
    when: Question | None = None
    kind: Code
    priority: Priority | None = None


class Desk(Worked):
    """
    People who share tickets by weight, and which are theirs; without `when`: whatever is left.

    They are the work of its `department`, else of that of the whole service.
    """

    label: Text | None = None
    department: Name | None = None
    when: Question | None = None
    members: Annotated[dict[Name, Annotated[StrictInt, Field(ge=1, le=1000)]], Field(min_length=1)]


class Escalation(Part):
    """
    When `at` per cent of the time is over, `to` is told, once: the ticket's `owner` or one of the people.

    With `assign` it becomes theirs.
    """

    at: Annotated[StrictInt, Field(ge=1, le=1000)]
    to: Name = OWNER
    assign: StrictBool = False

    @model_validator(mode="after")
    def _to_somebody(self) -> Escalation:
        if self.assign and self.to == OWNER:
            raise ValueError("`assign` needs `to`: one of the people, for its owner has the ticket already")
        return self


class Sla(Worked):
    """
    Within what working time a ticket is answered and solved; the first one whose `when` holds is a ticket's.

    `first_response` and `resolution` count from its opening, `next_response` from the customer's first message after
    our latest answer. Clocks stand still while the ticket is in one of the statuses of `pauses`, and are at risk from
    `at_risk` per cent of the time on. Without hours of its own a policy counts those of the ticket's desk, and day and
    night where that has none.
    """

    label: Text | None = None
    when: Question | None = None
    first_response: Duration | None = None
    next_response: Duration | None = None
    resolution: Duration | None = None
    pauses: tuple[Literal["waiting", "on_hold"], ...] = ("waiting",)
    at_risk: Annotated[StrictInt, Field(ge=1, le=99)] = 80
    escalate: Annotated[tuple[Escalation, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _promises(self) -> Sla:
        times = [time for time in (self.first_response, self.next_response, self.resolution) if time is not None]
        if not times:
            raise ValueError(f"this promises nothing: give one or more of {', '.join(METRICS)}")
        if max(times) > LONGEST:
            raise ValueError(f"promise nothing for more than {LONGEST.days}d")
        return self


class Service(Part):
    """
    How customers are helped.

    A resolved ticket is closed after `close_after`; the customer's answer until then reopens it, a later one opens
    another that refers to it. `desks` share the work in fair turns; the last one has no `when`.
    """

    department: Name | None = None
    system: Text | None = None
    kinds: Annotated[dict[Code, TicketKind], Field(min_length=1)]
    opens: tuple[Opens, ...] = ()
    desks: Annotated[dict[Name, Desk], Field(min_length=1)]
    slas: dict[Code, Sla] = {}
    close_after: Duration = timedelta(days=7)
