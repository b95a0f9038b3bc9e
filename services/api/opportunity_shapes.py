"""What the API answers about opportunities, as OpenAPI describes it. Amounts are exact decimals, as text."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from services.api.shapes import Shape

Status = Literal["open", "won", "lost"]


class Probability(Shape):
    """
    How probable the sale is, 0 to 1, and what that rests on.

    `given`: somebody said so. `history`: own history, with the bounds of an 80 % interval. `stage`: what the journey
    says of the stage, since fewer than 20 that were ever there are decided.
    """

    value: float
    basis: Literal["given", "history", "stage"]
    low: float | None
    high: float | None
    decided: int = Field(description="Of the latest decided ones, those that were ever at this stage.")
    won: int


class Product(Shape):
    """What may be sold."""

    name: str | None = None
    sku: str | None = None
    quantity: str | None = None
    price: str | None = None


class Opportunity(Shape):
    """A possible sale."""

    id: str
    lead_id: str
    person_id: str
    journey_name: str
    pipeline: str
    name: str | None
    status: Status
    stage: str = Field(description="Of one that is over: where it was.")
    stage_since: datetime
    owner: str | None = Field(description="Its own, else that of the lead.")
    amount: str | None
    currency: str | None
    probability: Probability | None = Field(description="Null for one that is over.")
    expected_close: date | None
    products: list[Product]
    competitors: list[str]
    next_action: str | None
    reason: str | None = Field(description="Why it was lost.")
    opened_at: datetime
    opened_by: str = Field(description="`journey`: by itself, when the lead came into the pipeline's state.")
    closed_at: datetime | None
    touched_at: datetime = Field(description="When anything last happened to it, what the person does included.")
    quiet_since: datetime | None = Field(description="Told that nothing has happened for too long, and nothing since.")
    changes: int = Field(description="How often it was changed; `expect` of a change can ask for it.")
    reopened: int


class Opportunities(Shape):
    """One page of opportunities."""

    items: list[Opportunity]
    next: str | None


class Change(Shape):
    """One change, with the fields that it changed."""

    number: int
    at: datetime
    actor: str
    what: Literal["opened", "stage", "changed", "won", "lost", "reopened"]
    from_stage: str | None
    to_stage: str
    stayed_s: int | None = Field(description="Seconds in the stage that was left.")
    amount: str | None
    currency: str | None
    data: dict[str, Any] = Field(description="By field: `from` and `to`.")


class OpportunityShown(Opportunity):
    """A possible sale with everything that was changed of it."""

    history: list[Change]


class Moved(Shape):
    """The move that the lead made with its opportunity."""

    name: str
    from_state: str
    to_state: str


class OpportunityChanged(OpportunityShown):
    """A possible sale after it was changed."""

    moved: Moved | None = Field(description="Null: the lead stayed where it is.")


class AtStage(Shape):
    """What stands at a stage."""

    stage: str
    label: str | None
    probability: float | None = Field(description="What the journey says; null for a stage it does not have any more.")
    count: int
    without_amount: int
    quiet: int
    oldest: datetime | None = Field(description="Since when the one that is there for longest.")
    sums: dict[str, str] = Field(description="Of the amounts, by currency.")


class Pipeline(Shape):
    """The open opportunities of a pipeline, stage by stage."""

    journey: str
    pipeline: str
    label: str | None
    owner: str | None
    stages: list[AtStage]


class Expected(Shape):
    """What a month brings in a currency."""

    month: str | None = Field(description="As 2026-11. Null: no day was said, nor is known how long they take.")
    group: str | None = Field(description="With `by`: whose, or at which stage.")
    currency: str
    expected: str = Field(description="The mean of what was drawn.")
    low: str = Field(description="With a probability of 80 % it is between `low` and `high`.")
    high: str
    naive: str = Field(description="Amount times probability of those that somebody expects in this month.")
    won: str | None = Field(description="What was won in this month already; only for the first month.")


class RestsOn(Shape):
    """What a forecast rests on."""

    open: int
    left_out: int = Field(description="Open ones without an amount, or at a stage that the journey does not have.")
    decided: int = Field(description="Opportunities that are over; from 30 on ways are drawn from own history.")
    by_history: int = Field(description="Open ones whose way was drawn from own history.")
    by_stage: int = Field(description="Open ones of which their probability and the day that was said were taken.")
    older_than_any: int = Field(description="At their stage for longer than any other was; not expected to end.")
    past_due: int = Field(description="The day that was said is over; `naive` has them in the first month.")
    draws: int


class Forecast(Shape):
    """What the open opportunities of a pipeline will bring."""

    journey: str
    pipeline: str
    at: datetime
    by: Literal["owner", "stage"] | None
    level: float
    items: list[Expected]
    rests_on: RestsOn
