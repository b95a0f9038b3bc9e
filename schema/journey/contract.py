"""Contracts as values: when renewals are talked about, what renewing and lapsing mean, health, and other offers."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, StrictInt

from schema.journey.parts import Code, Duration, Name, Part, Points, Question, Text


class Contracts(Part):
    """
    Sales that renew.

    At each moment of `before` the end, `contract.renewal_due` is told and follow-up rules can answer it; a moment that
    was missed is caught up. A contract that was not renewed within `grace` after its end has ended. `renewed` and
    `ended` are the transitions that follow, the latter when no other contract of the lead runs.
    """

    before: tuple[Duration, ...] = (timedelta(days=90), timedelta(days=60), timedelta(days=30), timedelta(days=7))
    grace: Duration | None = None
    department: Name | None = None
    renewed: Code | None = None
    ended: Code | None = None


class HealthRule(Part):
    """Points for what is so with a customer; negative ones where it speaks against them."""

    when: Question
    points: Points
    label: Text | None = None


class Health(Part):
    """How well a customer is, 0 to 100, from `start` on; below `at_risk` they may leave, which is told once."""

    start: Annotated[StrictInt, Field(ge=0, le=100)] = 70
    rules: tuple[HealthRule, ...] = ()
    at_risk: Annotated[StrictInt, Field(ge=0, le=100)] = 40


class Offer(Part):
    """Something else that a customer may need (`product`), `when` something holds; never while they complain."""

    label: Text | None = None
    product: Text
    kind: Code = "cross_sell"
    when: Question
