"""What the API answers about tickets, as OpenAPI describes it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from services.api.shapes import Shape

Status = Literal["new", "open", "waiting", "on_hold", "resolved", "closed"]
Priority = Literal["low", "normal", "high", "urgent"]


class Customer(Shape):
    """Whose ticket it is."""

    id: str
    name: str | None
    email: str | None
    phone: str | None


class Clock(Shape):
    """One promise of a ticket, in seconds of working time."""

    metric: Literal["first_response", "next_response", "resolution"]
    cycle: int
    state: Literal["active", "at_risk", "breached", "hit", "missed", "cancelled"]
    started_at: datetime
    due_at: datetime | None = Field(description="Null: it stands still, or is over.")
    stopped_at: datetime | None
    paused_since: datetime | None
    target_s: int
    elapsed_s: int
    left_s: int | None = Field(description="Negative once the time is over; null: it is stopped.")
    told: list[int] = Field(description="The thresholds that were told, in per cent.")
    policy: str
    label: str | None
    why: str | None = Field(description="The condition of the policy, the first one that held.")
    hours: str | None
    journey: str


class Entry(Shape):
    """Something that was said or done. Notes are for colleagues: only `public` entries may be shown to a customer."""

    number: int
    at: datetime
    recorded_at: datetime
    kind: str = Field(description="opened, message_in, message_out, note, status, assigned, changed; or as imported.")
    actor: str = Field(description="customer, journey, a person of the journey, or whoever asked for it.")
    channel: str | None
    body: str | None
    machine: bool = Field(description="An automatic answer: it counts as none.")
    touchpoint_id: str | None
    data: dict[str, Any]
    sent: str | None = Field(description="What became of an answer that was to be mailed: as of a send, or `bounced`.")
    sent_reason: str | None = Field(description="Why it was not sent.")
    public: bool


class Ticket(Shape):
    """What a customer wants of us."""

    id: str
    number: int | None = Field(description="What people call it by.")
    lead_id: str
    journey_name: str
    journey: str
    person: Customer
    kind: str
    priority: Priority
    status: Status
    possible: list[Status] = Field(description="What it can become.")
    subject: str | None
    desk: str | None
    owner: str | None
    waiting_since: datetime | None = Field(description="Since when nobody of its desk is free.")
    source: str
    channel: str
    external_id: str | None
    refers_to: str | None = Field(description="The closed ticket that it goes on with.")
    root_cause: str | None
    resolution: str | None
    sla: str | None
    opened_at: datetime
    opened_by: str
    status_since: datetime
    first_response_at: datetime | None
    resolved_at: datetime | None
    closes_at: datetime | None = Field(description="When it is closed if the customer does not object.")
    closed_at: datetime | None
    reopened: int
    entries: int
    updated_at: datetime
    clocks: list[Clock]


class TicketShown(Ticket):
    """A ticket with its thread, oldest first."""

    thread: list[Entry]
    next: int | None = Field(description="The `after` of the next page of the thread.")


class Tickets(Shape):
    """One page of tickets."""

    items: list[Ticket]
    next: str | None
