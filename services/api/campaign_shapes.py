"""What the API answers about campaigns, as OpenAPI describes it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from services.api.shapes import Shape

Outcome = Literal["finished", "goal", "exited", "aborted", "cancelled"]


class Audience(Shape):
    """How many may enter within a time, and how many did; more have to be approved."""

    most: int
    per_s: int
    expect: int | None
    entered: int = Field(description="Within that time until now.")
    approved_most: int | None
    approved_until: datetime | None
    approved_by: str | None


class Campaign(Shape):
    """One campaign of a journey, with its figures of all time."""

    journey: str
    name: str
    label: str | None
    kind: Literal["marketing", "service"] | None = Field(description="Null where no active version has it any more.")
    status: Literal["running", "paused", "held", "ended"] = Field(
        description="`held`: more people entered than expected. `ended`: in no active version, so nobody new enters."
    )
    paused_at: datetime | None
    paused_by: str | None
    held_at: datetime | None
    audience: Audience | None
    entered: int
    running: int
    goal: int = Field(description="How many reached the goal.")


class Campaigns(Shape):
    """Every campaign."""

    items: list[Campaign]
    next: str | None


class WaitingAt(Shape):
    """How many are at a step, and since when the one who came first."""

    step: str
    waiting: int
    oldest: datetime | None


class VersionOf(Shape):
    """How many follow a version."""

    version: str
    running: int


class CampaignShown(Campaign):
    """One campaign, step by step."""

    description: str | None
    versions: list[VersionOf]
    steps: list[WaitingAt]


class CampaignChanged(CampaignShown):
    """One campaign after it was asked to stand still or go on; `changed` is false where it did so already."""

    changed: bool


class Approved(CampaignShown):
    """One campaign after its audience was approved."""

    approved: int = Field(description="So many may enter within the audience's time.")


class Enrolment(Shape):
    """Somebody's way through a campaign."""

    id: str
    lead_id: str
    person_id: str
    journey: str
    entered_at: datetime
    entered_by: str
    step: str | None = Field(description="The next one, or where it waits; null: over.")
    since: datetime
    due_at: datetime | None = Field(description="When it is looked at; null: over, or waiting for a message.")
    steps: int = Field(description="Steps taken.")
    arms: dict[str, str]
    holdout: bool
    outcome: Outcome | None
    reason: str | None
    goal_at: datetime | None
    ended_at: datetime | None


class Enrolments(Shape):
    """One page of enrolments."""

    items: list[Enrolment]
    next: str | None


class StepTaken(Shape):
    """A step that was taken, and why it went as it did."""

    number: int
    step: str
    action: str
    at: datetime
    outcome: str
    explanation: dict[str, Any]


class Message(Shape):
    """What became of a message."""

    id: str
    step: str
    template: str
    state: str
    reason: str | None
    planned_at: datetime
    due_at: datetime | None
    settled_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None
    replied_at: datetime | None
    bounced_at: datetime | None
    unsubscribed_at: datetime | None


class EnrolmentShown(Enrolment):
    """Somebody's way through a campaign, with every step and message."""

    taken: list[StepTaken]
    messages: list[Message]


class People(Shape):
    """What became of people; `goal_rate` is the share of all who entered."""

    entered: int
    running: int
    finished: int
    goal: int
    exited: int
    aborted: int
    cancelled: int
    goal_rate: float | None
    reasons: dict[str, int]


class Lift(Shape):
    """By how much the goal rate is above that of those held out, with the bounds of the interval at this level."""

    difference: float
    low: float
    high: float
    level: float
    sure: bool = Field(description="Whether the interval leaves out that there is no difference.")


class MessageCounts(Shape):
    """Messages by what became of them."""

    planned: int
    sent: int
    delivered: int
    failed: int
    unknown: int
    skipped: int
    opened: int
    clicked: int
    replied: int
    bounced: int
    complained: int
    unsubscribed: int


class StepMessages(MessageCounts):
    """Messages of one step; `reasons` are those for which some were skipped or failed."""

    reasons: dict[str, int]


class Cost(Shape):
    """What it has cost so far, and for each goal reached; amounts are decimals as text."""

    fixed: str
    per_send: str
    total: str
    per_goal: str | None
    currency: str


class Bought(Shape):
    """What people bought in one currency; amounts are decimals as text, `net` is what was `sold` less `refunded`."""

    buyers: int
    purchases: int
    sold: str
    refunded: str
    net: str
    per_person: str | None = Field(description="Of everybody who entered, not only of those who bought.")


class Incremental(Shape):
    """What those who got it bought more than as many of those held out, with the bounds of the interval (Welch)."""

    per_person: str
    total: str
    low: str
    high: str
    level: float
    sure: bool = Field(description="Whether the interval leaves out that there is no difference.")


class BoughtIn(Bought):
    """What those who got the campaign bought in one currency, beside what those bought who are held out."""

    currency: str
    holdout: Bought | None
    incremental: Incremental | None = Field(
        description="Null where fewer than two people are in a group, or all of a group spent the same, as nothing."
    )


class Revenue(Shape):
    """What people bought after they entered, within the time of the goal; currencies are never added up."""

    within_s: int
    people: int = Field(description="Who got the campaign, each once, however often they entered.")
    held_out: int
    uncounted: int = Field(description="Purchases whose amount or currency cannot be read.")
    currencies: list[BoughtIn]


class Return(Shape):
    """The return on investment: what came in beyond the cost, as a share of it. 0.5: half as much again."""

    plain: float | None = Field(description="Of all that those who got the campaign bought.")
    incremental: float | None = Field(description="Of what they bought more than those held out.")
    low: float | None
    high: float | None
    reason: Literal["no_cost", "cost_zero", "no_window", "currencies_differ"] | None = Field(
        description="Why there is none."
    )


class StepResults(Shape):
    """What came of one step."""

    step: str
    action: str | None
    waiting: int
    taken: int
    outcomes: dict[str, int]
    messages: StepMessages | None


class Results(Shape):
    """What came of a campaign: of those who got it, and of those held out."""

    journey: str
    name: str
    people: People
    holdout: People | None
    lift: Lift | None
    messages: MessageCounts
    cost: Cost | None = Field(description="Null where the journey does not say.")
    revenue: Revenue | None = Field(description="Null where the goal has no `within`.")
    return_: Return = Field(alias="return")
    steps: list[StepResults]


class StepMoved(Shape):
    """People at a step of a version: `to` is where they go on, null where the new version has no such step."""

    version: str
    step: str
    people: int
    to: str | None


class Followed(Shape):
    """What became of a migration: how many `moved`, how many `left` the campaign, and how many `remain` to be moved."""

    campaign: str
    to: str
    people: int
    steps: list[StepMoved]
    stuck: list[StepMoved]
    moved: int
    left: int
    remain: int
    dry_run: bool


class Entered(Shape):
    """What became of leads that were to be enrolled; `not_entered` counts the others by reason."""

    looked_at: int
    entered: int
    not_entered: dict[str, int]
    dry_run: bool
