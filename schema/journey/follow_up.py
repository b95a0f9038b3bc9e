"""Follow-up rules as values: what sets off work for a person, whose it is, and until when it is to be done."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from schema.journey.parts import Code, Duration, Name, Part, Question, Text, TouchKind, Worked, in_a_list


class Escalate(Part):
    """Who is told when work is not done, `after` its due time; with `assign` it becomes theirs."""

    after: Duration | None = None
    to: Name
    assign: bool = False


class FollowUpRule(Worked):
    """
    Work for a person.

    It is set off by the lead coming into a `state`, or by an `event` (a kind of touchpoint, or something that happens
    here: `contract.renewal_due`, `opportunity.quiet`, `ticket.at_risk`, …); `when` has to hold beside it. While one is
    open, the same rule makes no other about the same.

    `to` is the lead's `owner`, one of the people, or the owner of what it is about (`agent`). It is due `within` that
    working time; they are reminded `remind` before, and it is `escalate`d when it is late. `outcomes` are what can come
    of it, of which one is named when it is done.
    """

    label: Text | None = None
    state: Code | None = None
    event: Annotated[tuple[TouchKind, ...], BeforeValidator(in_a_list, TouchKind | tuple[TouchKind, ...])] = ()
    when: Question | None = None
    text: Text
    to: Name = "owner"
    within: Duration
    remind: Duration | None = None
    escalate: Escalate | None = None
    outcomes: Annotated[tuple[Code, ...], Field(min_length=1)] = ("done", "not_reached", "not_needed")

    @model_validator(mode="after")
    def _set_off(self) -> FollowUpRule:
        if (self.state is None) == (not self.event):
            raise ValueError("give either `state` or `event`: what sets it off")
        return self
