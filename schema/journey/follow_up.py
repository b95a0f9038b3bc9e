"""Follow-up rules as values: what sets off work for a person, whose it is, and until when it is to be done."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, StrictBool, model_validator

from schema.journey.parts import Code, Duration, Name, Part, Question, Text, TouchKind, Worked, in_a_list

OUTCOMES: tuple[str, ...] = ("done", "not_reached", "not_needed")
"""What can come of work whose rule says nothing else, and of work that was made by hand."""
FELL_AWAY = "cancelled"
HAPPENS: tuple[str, ...] = (
    "opportunity.opened", "opportunity.stage", "opportunity.won", "opportunity.lost", "opportunity.reopened",
    "opportunity.quiet", "contract.started", "contract.renewal_due", "contract.renewed", "contract.ended",
    "customer.at_risk", "ticket.opened", "ticket.assigned", "ticket.replied", "ticket.waiting", "ticket.resolved",
    "ticket.reopened", "ticket.closed", "ticket.at_risk", "ticket.breached", "service.delivered", "survey.sent",
    "survey.answered", "follow_up.done", "follow_up.late",
)  # fmt: skip
"""What happens here, beside what people do, and can set off work."""


class Escalate(Part):
    """
    Who is told when work is not done: the lead's `owner` or one of the people; with `assign` it becomes theirs.

    That is as soon as it is late, or that much working time `after`; once.
    """

    after: Duration | None = None
    to: Name
    assign: StrictBool = False


class FollowUpRule(Worked):
    """
    Work for a person.

    It is set off by the lead coming into a `state` and staying there, or by an `event`: a kind of touchpoint, or
    something that happens here (`contract.renewal_due`, `opportunity.quiet`, `ticket.at_risk`, `follow_up.late`, …);
    `when` has to hold beside it. While one is open, the same rule makes no other about the same.

    `to` is the lead's `owner`, one of the people, or the owner of what it is about (`agent`). It is due `within` that
    working time: of its own `hours` or `calendar`, else of the person's, else by the clock. They are reminded `remind`
    before, and it is `escalate`d when it is late. `outcomes` are what can come of it, of which one is named when it is
    done.
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
    outcomes: Annotated[tuple[Code, ...], Field(min_length=1)] = OUTCOMES

    @model_validator(mode="after")
    def _set_off(self) -> FollowUpRule:
        if (self.state is None) == (not self.event):
            raise ValueError("give either `state` or `event`: what sets it off")
        if FELL_AWAY in self.outcomes:
            raise ValueError(f"{FELL_AWAY} is what becomes of work that falls away by itself: use another word")
        return self
