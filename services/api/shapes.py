"""
The answers of the management API as OpenAPI describes them; a test holds real answers against them.

More fields may come to stand beside these; none of these will go.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """One JSON object."""

    model_config = ConfigDict(extra="forbid")


class Score(Shape):
    """Points from 0 to 100; null before the lead is scored."""

    total: int | None
    fit: int | None
    engagement: int | None
    grade: str | None
    cell: str | None
    predicted: float | None


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


class TimeInState(Shape):
    """How long a lead was in one state: at its latest visit and in all, in seconds; a visit that goes on until now."""

    latest_s: float
    total_s: float
    visits: int


class Assignment(Shape):
    """How the lead came to its owner: by when they have to accept it, and whether they did."""

    since: datetime | None
    accept_by: datetime | None
    accepted_at: datetime | None
    passed: list[str] = Field(description="Who had it before and did not keep it.")
    escalated: bool
    by_hand: bool


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
    assignment: Assignment | None = Field(description="Null without an owner.")
    waiting_since: datetime | None = Field(description="Set while it waits in the queue of its pool.")
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
    in_state_since: datetime
    overdue: bool
    recycled: int
    merged_into: str | None = Field(None, description="The lead in which it goes on, since two people were merged.")
    time_in_state: dict[str, TimeInState] | None = Field(None, description="By state; only where one lead is read.")


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
    kind: Literal["receipt", "touchpoint", "decision", "transition", "handover", "event"]
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
    about: str | None = Field(None, description="Why the owner that is asked about got it, or did not.")


class Why(Shape):
    """Everything that was decided about a lead; with `owner`, what says why somebody got it or did not."""

    lead_id: str
    state: str
    owner: str | None = None
    decisions: list[Decision]


class Activation(Shape):
    """A time in which new leads entered a version; `until` is null while they still do."""

    at: datetime
    until: datetime | None
    actor: str
    rollback: bool


class ScorePoint(Shape):
    """A score as it is, or will be with nothing new, at a moment."""

    at: datetime
    total: int
    fit: int
    engagement: int
    grade: str | None
    cell: str | None


class Target(Shape):
    """What would raise a score: each of `needs` reaches `total`, the smallest first; `limits` say what does not."""

    grade: str | None
    total: int
    reached: bool
    needs: list[dict[str, Any]]
    reach: dict[str, Any]
    limits: list[str]


class Outlook(Shape):
    """A score explained: what gives points, what does not, how it will fall, and what would raise it."""

    lead_id: str
    at: datetime
    journey: str
    text: str
    because: list[str]
    why_not: list[str]
    explanation: dict[str, Any]
    curve: list[ScorePoint]
    next_change: ScorePoint | None
    target: Target | None


class JourneyVersion(Shape):
    """A journey version; versions never change. `open_leads` follow it now."""

    version: str
    name: str
    initial_state: str
    created_at: datetime
    active: bool
    activated_at: datetime | None
    open_leads: int
    activations: list[Activation]


class Journeys(Shape):
    """Every journey version."""

    items: list[JourneyVersion]
    next: None


class JourneyDocument(JourneyVersion):
    """A journey version with its file, as it was written."""

    document: str


class Prediction(Shape):
    """A prediction model: what it learned from, and what its test on newer leads measured. Versions never change."""

    version: str
    journey: str
    created_at: datetime
    active: bool
    activated_at: datetime | None
    learned: dict[str, Any]
    test: dict[str, Any]


class Predictions(Shape):
    """Every prediction model."""

    items: list[Prediction]
    next: None


class PredictionModel(Prediction):
    """A prediction model with all that it says."""

    document: dict[str, Any]


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
    unreadable: list[str]


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


class Counts(Shape):
    """Receipts by what became of them; `received` is the sum of the others but `canary`, which stands apart."""

    received: int
    in_flight: int
    processed: int
    merged: int
    quarantined: int
    spam: int
    rejected: int
    dead: int
    unaccounted: int
    canary: int


class HourAccount(Counts):
    """What came within one hour."""

    hour: datetime


class SourceAccount(Counts):
    """What came from one source. `pending` is in flight or dead. It is silent after three of its usual gaps."""

    source: str
    pending: int
    last_at: datetime | None
    usual_gap_s: int | None
    silent: bool
    silent_since: datetime | None
    hours: list[HourAccount]


class Unaccounted(Shape):
    """What is unaccounted for, of one kind, with the ids of the first."""

    kind: str
    count: int
    ids: list[str]


class Canary(Shape):
    """One way into a source: how long ago the last canary was sent that came through, and whether one is late."""

    source: str
    path: str
    sent_at: datetime
    age_s: float
    late: bool
    error: str | None


class Account(Shape):
    """The conservation account of a range of time, and of every live lead."""

    unaccounted: int
    found: list[Unaccounted]
    since: datetime
    until: datetime
    late_timers: int
    audited_at: datetime | None
    sources: list[SourceAccount]
    canaries: list[Canary]


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


class Absence(Shape):
    """A time in which somebody takes no leads; without an end until they are back."""

    id: str
    kind: Literal["pause", "leave"]
    from_at: datetime
    until_at: datetime | None


class KeptAbsence(Absence):
    """The absence as it is kept, and whose it is."""

    person: str


class Team(Shape):
    """A pool that somebody is in."""

    journey: str
    pool: str


class Owner(Shape):
    """Somebody who owns leads: what they have, and whether they can take one now."""

    owner: str
    name: str | None
    pools: list[Team]
    open: int = Field(description="Open leads; 10000 means that many or more.")
    to_accept: int = Field(description="Of these, those still to be accepted.")
    free: bool = Field(description="Whether they could be given a lead by one of their pools now.")
    why: str | None = Field(description="Why not.")
    until: datetime | None = Field(description="Until when not, where the calendar says so.")
    absences: list[Absence]


class PoolQueue(Shape):
    """Leads that wait for somebody of a pool."""

    journey: str
    pool: str
    waiting: int
    oldest_since: datetime


class Owners(Shape):
    """Everybody who owns leads, and where leads wait for them."""

    items: list[Owner]
    queues: list[PoolQueue]
    next: None


class Back(Shape):
    """The absences that were taken back."""

    owner: str
    ended: list[str]


class Owned(Shape):
    """Whose lead it is now."""

    lead_id: str
    owner: str | None
    pool: str | None
    assignment: Assignment | None
    waiting_since: datetime | None
