"""Pipelines as values: the stages an opportunity goes through until it is won or lost, and what each means."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, StrictInt, StringConstraints

from schema.journey.parts import Code, Duration, Name, Part, Text

ASKED_FOR: Final = (
    "amount", "competitors", "expected_close", "name", "next_action", "owner", "probability", "products",
)  # fmt: skip
"""What a stage can require of an opportunity."""
Percent = Annotated[StrictInt, Field(ge=0, le=100)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class Stage(Part):
    """
    Where an opportunity stands; `probability` per cent of those that come here are won.

    Who is longer than `quiet` without anything happening is told of; without it, who is quieter than nine in ten were
    who went on from here, once there are enough of them. `requires` are the fields an opportunity has to have before
    it may come here.
    """

    label: Text | None = None
    description: Text | None = None
    probability: Percent
    quiet: Duration | None = None
    system: Text | None = None
    requires: tuple[Code, ...] = ()


class Pipeline(Part):
    """
    How possible sales are worked on.

    A lead that comes into `state` has one opened at the first stage, unless one is open. `won` and `lost` are the
    transitions that follow when an opportunity is won, and when the last one that is open is lost, from wherever the
    journey has them; `reopen` the one that follows when a lost one is taken up again. `reasons` are those for which
    one can be lost.
    """

    label: Text | None = None
    state: Code | None = None
    department: Name | None = None
    currency: Currency = "EUR"
    stages: Annotated[dict[Code, Stage], Field(min_length=1)]
    won: Code | None = None
    lost: Code | None = None
    reopen: Code | None = None
    reasons: Annotated[tuple[Code, ...], Field(min_length=1)] = ("price", "timing", "competitor", "no_answer", "other")

    @property
    def first(self) -> str:
        """The stage at which an opportunity begins."""
        return next(iter(self.stages))
