"""Contracts as values: when renewals are talked about, when somebody is inactive, health, and other offers."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, StrictInt

from schema.journey.parts import Code, Duration, Name, Part, Points, Question, Text, Zone


class Contracts(Part):
    """
    Sales that renew, and customers who stop buying.

    At each moment of `before` the end of a contract that does not renew itself, `contract.renewal_due` is told and
    follow-up rules can answer it; of those that were missed the latest is told. What is not renewed within `grace`
    after its end has ended. Days begin in `tz`. Who has no contract that runs, and has bought nothing for
    `inactive_after`, is told of once, as `customer.inactive`.
    """

    before: Annotated[tuple[Duration, ...], Field(max_length=20)] = (
        timedelta(days=90),
        timedelta(days=60),
        timedelta(days=30),
        timedelta(days=7),
    )
    grace: Duration | None = None
    inactive_after: Duration | None = None
    tz: Zone = "UTC"
    department: Name | None = None


class HealthRule(Part):
    """Points for what is so with a customer; negative ones where it speaks against them."""

    when: Question
    points: Points
    label: Text | None = None

    @property
    def name(self) -> str:
        """What the rule is called where its points are told."""
        return self.label or self.when.source


class Health(Part):
    """
    How well a customer is, 0 to 100, from `start` on.

    Below `at_risk` they may leave, which is told as `customer.at_risk`: once, and again only after they were well.
    """

    start: Annotated[StrictInt, Field(ge=0, le=100)] = 70
    rules: tuple[HealthRule, ...] = ()
    at_risk: Annotated[StrictInt, Field(ge=0, le=100)] = 40


class Offer(Part):
    """Something else that a customer may need (`product`), `when` something holds; never while they complain."""

    label: Text | None = None
    product: Text
    kind: Code = "cross_sell"
    when: Question
