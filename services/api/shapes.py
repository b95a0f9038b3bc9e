"""
The answers of the management API as OpenAPI describes them; a test holds real answers against them.

More fields may come to stand beside these; none of these will go.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """One JSON object."""

    model_config = ConfigDict(extra="forbid")


class Score(Shape):
    """Points from 0 to 100; null before the lead is scored."""

    total: int | None
    fit: int | None
    engagement: int | None
    grade: str | None


class Person(Shape):
    """Who the lead is about."""

    id: str
    name: str | None
    email: str | None
    phone: str | None
    company: str | None
    country: str | None
    language: str | None


class Company(Shape):
    """Whom the person works for, as far as it is known."""

    name: str | None
    domain: str | None
    employees: int | None


class Lead(Shape):
    """One person's way along one journey, as it is now."""

    id: str
    state: str
    open: bool
    next_step: str | None
    due_since: datetime | None
    score: Score
    owner: str | None
    pool: str | None
    person: Person
    company: Company
    source: str
    channel: str
    journey: str
    journey_name: str
    qualification: dict[str, Any] | None
    attribution: dict[str, Any]
    interests: list[Any]
    message: str | None
    created_at: datetime
    updated_at: datetime


class Leads(Shape):
    """One page of leads."""

    items: list[Lead]
    next: str | None


class Receipt(Shape):
    """One arrival and what became of it."""

    id: str
    source: str
    channel: str
    status: Literal["pending", "processed", "merged", "quarantined", "spam", "rejected"]
    reason: str | None
    lead_id: str | None
    person_id: str | None
    received_at: datetime
    content_type: str
    bytes: int
    issues: list[dict[str, Any]]
    detail: dict[str, Any] | None
    links: dict[str, str]


class Moment(Shape):
    """One entry of a lead's story."""

    at: datetime
    kind: Literal["receipt", "touchpoint", "decision", "transition", "event"]
    id: str
    name: str
    data: dict[str, Any]


class Timeline(Shape):
    """A lead's story, in order of time."""

    items: list[Moment]
    next: str | None


class Decision(Shape):
    """A stored decision, in figures and in words."""

    number: int
    step: str
    at: datetime
    journey: str
    outcome: str
    reason: str | None
    explanation: dict[str, Any]
    text: str
    because: list[str]
    why_not: list[str]


class Why(Shape):
    """Everything that was decided about a lead."""

    lead_id: str
    state: str
    decisions: list[Decision]


class JourneyVersion(Shape):
    """A journey version; versions never change."""

    version: str
    name: str
    initial_state: str
    created_at: datetime
    active: bool
    activated_at: datetime | None


class Journeys(Shape):
    """Every journey version."""

    items: list[JourneyVersion]
    next: None


class JourneyDocument(JourneyVersion):
    """A journey version with its file, as it was written."""

    document: str


class Feed(Shape):
    """Events in feed order, and the cursor to read on from."""

    events: list[dict[str, Any]]
    next: str


class Queue(Shape):
    """What waits for one actor."""

    name: str
    waiting: int
    in_work: int
    oldest_s: float
    dead: int


class Queues(Shape):
    """Every queue."""

    queues: list[Queue]


class DeadLetter(Shape):
    """A receipt or a lead whose step kept failing."""

    id: str
    step: str
    subject: Literal["receipt", "lead"]
    subject_id: str
    fingerprint: str
    error: str
    facts: dict[str, Any]
    attempts: int
    created_at: datetime
    resolved_at: datetime | None
    resolution: str | None


class DeadLetters(Shape):
    """Open dead letters, the newest first."""

    items: list[DeadLetter]
    next: str | None


class Resolved(DeadLetter):
    """A dead letter after a decision; `changed` is false when it had been resolved before."""

    changed: bool


class DeadLetterGroup(Shape):
    """Open dead letters of the same kind."""

    fingerprint: str
    step: str
    error: str
    letters: int
    first_at: datetime
    last_at: datetime
    latest_id: str


class DeadLetterGroups(Shape):
    """Open dead letters by kind, the most frequent first."""

    items: list[DeadLetterGroup]
    next: None


class HeldReceipt(Shape):
    """A receipt that was held back; `detail` says what was found, without personal data."""

    id: str
    source: str
    channel: str
    status: Literal["pending", "processed", "merged", "quarantined", "spam", "rejected"]
    reason: str | None
    received_at: datetime
    content_type: str
    bytes: int
    detail: dict[str, Any] | None
    released_at: datetime | None


class Quarantine(Shape):
    """One page of held receipts."""

    items: list[HeldReceipt]
    next: str | None


class QuarantineCount(Shape):
    """How many receipts are held for the same reason."""

    status: Literal["quarantined", "spam"]
    reason: str
    source: str
    receipts: int
    first_at: datetime
    last_at: datetime


class QuarantineCounts(Shape):
    """Held receipts by status, reason and source, the most frequent first."""

    items: list[QuarantineCount]
    next: None


class LetGo(Shape):
    """A receipt after it was let go; `changed` is false when it was not held."""

    id: str
    status: Literal["pending", "processed", "merged", "quarantined", "spam", "rejected"]
    changed: bool


class LetGoMany(Shape):
    """How many were let go, and the cursor to go on with."""

    changed: int
    next: str | None


class SourceAccount(Shape):
    """Receipts of one source by what became of them; `received` is their sum."""

    source: str
    received: int
    pending: int
    processed: int
    merged: int
    quarantined: int
    spam: int
    rejected: int


class Account(Shape):
    """The conservation account of a recent window."""

    unaccounted: int
    unaccounted_receipts: int
    unaccounted_leads: int
    since: datetime
    sources: list[SourceAccount]


class Check(Shape):
    """One condition for being ready; `reason` is a code, null when it is met."""

    name: str
    ok: bool
    reason: str | None


class Readiness(Shape):
    """Whether this process can take leads, and why not."""

    ready: bool
    checks: list[Check]


class Alive(Shape):
    """The process runs."""

    status: Literal["alive"]


class ProblemDocument(BaseModel):
    """RFC 9457 problem details with a stable `code`; further members say more."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[dict[str, str]] = []
