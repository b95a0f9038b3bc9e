"""
Events that leave: committed facts as CloudEvents 1.0, one type per thing that happened to a lead.

Data are ids, codes and figures, never personal data: who may know more asks `GET /v1/leads/{id}`. An event's id is
its lead and its number on that lead, so the same event has the same id however often it is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from datetime import datetime

PREFIX: Final = "throughline."
VERSION: Final = ".v1"


class Event(msgspec.Struct, frozen=True):
    """Base of the data of an event; the class says its type."""


class LeadCreated(Event, frozen=True):
    """A lead began: the first touch of a person on a journey. `quiet`: from a file; nothing is to be set off by it."""

    person_id: str
    receipt_id: str
    source: str
    channel: str
    journey: str
    state: str
    quiet: bool = False


class LeadTouched(Event, frozen=True):
    """Another touchpoint reached an open lead. `quiet`: from a file; nothing is to be set off by it."""

    person_id: str
    touchpoint_id: str
    kind: str
    source: str
    channel: str
    quiet: bool = False


class PersonOptInRequested(Event, frozen=True):
    """Consent was ticked and counts when it is confirmed: send the person a link to `path`, on our base URL."""

    person_id: str
    receipt_id: str
    purposes: list[str]
    path: str


class PersonMerged(Event, frozen=True):
    """
    Two people are one: `merged` goes on as `survivor`; `undo` is the call that takes it back.

    `leads` are those that went over, `parked` the leads that rest, each with the one it goes on in. `fields` are what
    the survivor got, each with the receipt that had said it.
    """

    merge_id: str
    survivor: str
    merged: str
    leads: list[str]
    parked: Mapping[str, str]
    fields: Mapping[str, str | None]
    rule: str | None
    undo: str


class PersonUnmerged(Event, frozen=True):
    """They are two people again; `leads` went back, `reopened` are those of them that had rested."""

    merge_id: str
    survivor: str
    merged: str
    leads: list[str]
    reopened: list[str]


class LeadQualified(Event, frozen=True):
    """Every criterion passed."""

    criteria: Mapping[str, str]


class LeadDisqualified(Event, frozen=True):
    """A criterion said no; `reason` is its code."""

    reason: str
    criteria: Mapping[str, str]


class LeadUndecided(Event, frozen=True):
    """No criterion said no, but some are unknown and should be asked for."""

    unknown: list[str]
    criteria: Mapping[str, str]


class LeadScored(Event, frozen=True):
    """The score was read anew: 0 (cold) to 100 (call now)."""

    total: int
    fit: int
    engagement: int
    grade: str | None
    cell: str | None = None
    predicted: float | None = None


class LeadRouted(Event, frozen=True):
    """The lead has an owner."""

    pool: str | None
    owner: str
    reason: str


class LeadQueued(Event, frozen=True):
    """Nobody is free: the lead waits in the pool's queue."""

    pool: str | None
    reason: str


class LeadAccepted(Event, frozen=True):
    """The owner took the lead on, `after_s` seconds after it was given to them."""

    owner: str
    after_s: int


class LeadHandedOn(Event, frozen=True):
    """The lead leaves its owner for the next in turn; `reason` is a code, such as `not_accepted` or `declined`."""

    from_owner: str
    owner: str | None
    reason: str


class LeadReminded(Event, frozen=True):
    """The owner has not accepted the lead yet and should be reminded."""

    owner: str
    accept_by: str


class LeadEscalated(Event, frozen=True):
    """Nobody in turn accepted the lead: it goes to the one who answers for that."""

    owner: str
    handed_on: int


class LeadOverdue(Event, frozen=True):
    """The lead is in its state for longer than the journey allows; told once for each stay."""

    state: str
    since: str
    sla_s: int


class LeadMigrated(Event, frozen=True):
    """The lead follows another version of its journey from now on."""

    from_journey: str
    journey: str
    from_state: str
    state: str


class LeadTransitioned(Event, frozen=True):
    """The lead moved between two states of its lifecycle."""

    name: str
    from_state: str
    to_state: str
    actor: str
    reason: str | None
    journey: str


class CampaignEntered(Event, frozen=True):
    """
    Somebody entered a campaign; `by` says how: a way in of the journey file, or who enrolled them by hand.

    `holdout`: they get nothing of it, so that its effect can be measured.
    """

    campaign: str
    enrolment_id: str
    person_id: str
    by: str
    holdout: bool
    journey: str


class CampaignExited(Event, frozen=True):
    """
    Somebody's way through a campaign is over.

    `outcome` is finished, goal, exited, aborted or cancelled; `reason` a code, where there is one; `steps` how many
    steps they took.
    """

    campaign: str
    enrolment_id: str
    person_id: str
    outcome: str
    reason: str | None
    steps: int
    journey: str


class CampaignNotified(Event, frozen=True):
    """A campaign has something to tell under the `name` that its step `notify` gives it."""

    campaign: str
    enrolment_id: str
    person_id: str
    step: str
    name: str


class CampaignHeld(Event, frozen=True):
    """
    More people entered a campaign than its `audience` allows: it stands still until it is approved.

    Told once, of the lead of somebody who waits for it. `most` people may enter within `per_s` seconds.
    """

    campaign: str
    most: int
    per_s: int


class FollowUpRequested(Event, frozen=True):
    """A campaign asks for a task: `to` is a person of the journey (null: nobody has the lead yet), with a due time."""

    campaign: str
    enrolment_id: str
    person_id: str
    step: str
    text: str
    to: str | None
    due_at: str | None


class MessageSent(Event, frozen=True):
    """
    A message went out: its mail server, or whatever takes it, has it. Told where somebody says so by hand, too.

    `campaign` is `opt_in` for one that asks to confirm a consent; such a one has no enrolment.
    """

    send_id: str
    campaign: str
    step: str
    enrolment_id: str | None
    person_id: str
    journey: str


class MessageFailed(Event, frozen=True):
    """A message was refused for good, or put off by the other side until we gave up; `reason` is a code."""

    send_id: str
    campaign: str
    step: str
    enrolment_id: str | None
    person_id: str
    journey: str
    reason: str | None


class MessageUnknown(Event, frozen=True):
    """
    Nobody knows whether a message went out: it is not sent again by itself, and somebody has to look; `reason` is why.

    `message.sent` may follow, when that turns out.
    """

    send_id: str
    campaign: str
    step: str
    enrolment_id: str | None
    person_id: str
    journey: str
    reason: str | None


TYPES: Final[dict[str, type[Event]]] = {
    "lead.created": LeadCreated,
    "lead.touched": LeadTouched,
    "person.opt_in_requested": PersonOptInRequested,
    "person.merged": PersonMerged,
    "person.unmerged": PersonUnmerged,
    "lead.qualified": LeadQualified,
    "lead.disqualified": LeadDisqualified,
    "lead.undecided": LeadUndecided,
    "lead.scored": LeadScored,
    "lead.routed": LeadRouted,
    "lead.queued": LeadQueued,
    "lead.accepted": LeadAccepted,
    "lead.handed_on": LeadHandedOn,
    "lead.reminded": LeadReminded,
    "lead.escalated": LeadEscalated,
    "lead.overdue": LeadOverdue,
    "lead.migrated": LeadMigrated,
    "lead.transitioned": LeadTransitioned,
    "campaign.entered": CampaignEntered,
    "campaign.exited": CampaignExited,
    "campaign.notified": CampaignNotified,
    "campaign.held": CampaignHeld,
    "follow_up.requested": FollowUpRequested,
    "message.sent": MessageSent,
    "message.failed": MessageFailed,
    "message.unknown": MessageUnknown,
}
_NAMES: Final = {kind: name for name, kind in TYPES.items()}


def name_of(event: Event) -> str:
    """Return `noun.verb` of an event's data."""
    return _NAMES[type(event)]


def full_type(name: str) -> str:
    """Return the CloudEvents type of `noun.verb`."""
    return f"{PREFIX}{name}{VERSION}"


def event_id(lead_id: str, sequence: int) -> str:
    """Return the id that this event has whenever and wherever it is told."""
    return f"{lead_id}.{sequence}"


def cloud_event(
    *,
    name: str,
    lead_id: str,
    sequence: int,
    time: datetime,
    trace: str | None,
    data: dict[str, Any],
) -> dict[str, Any]:
    """Return the structured CloudEvent, ready to be written as JSON."""
    kind = full_type(name)
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id(lead_id, sequence),
        "source": "/throughline",
        "type": kind,
        "subject": lead_id,
        "time": time.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "dataschema": f"/v1/schemas/{kind}",
        "sequence": sequence,
        "data": data,
    }
    if trace:
        envelope["traceid"] = trace
    return envelope


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a whole event of type `noun.verb`; `KeyError` if there is none."""
    data = msgspec.json.schema(TYPES[name])
    body = data["$defs"][TYPES[name].__name__]
    kind = full_type(name)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"/v1/schemas/{kind}",
        "title": kind,
        "description": body.pop("description", ""),
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "sequence", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "description": "Stable: told again, it is the same."},
            "source": {"type": "string"},
            "type": {"const": kind},
            "subject": {"type": "string", "format": "uuid", "description": "The lead."},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "dataschema": {"type": "string"},
            "sequence": {"type": "integer", "minimum": 1, "description": "1, 2, 3 … of this lead, without gaps."},
            "traceid": {"type": "string"},
            "data": body,
        },
    }
