"""
Events that leave: committed facts as CloudEvents 1.0, one type per thing that happened to a lead.

Data are ids, codes and figures, never personal data: who may know more asks `GET /v1/leads/{id}`. An event's id is
its lead and its number on that lead, so the same event has the same id however often it is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

PREFIX: Final = "throughline."
VERSION: Final = ".v1"
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Event(msgspec.Struct, frozen=True):
    """Base of the data of an event; the class says its type."""


class LeadCreated(Event, frozen=True):
    """
    A lead began: the first touch of a person on a journey. `quiet`: from a file; nothing is to be set off by it.

    `kind` is that of the touchpoint, `at` when it was, where that is earlier than the event's own time. `campaign` is
    the advertising campaign that brought them (`utm_campaign`), `segment` what the journey's `kpis` say. `test`: no
    figure counts it.
    """

    person_id: str
    receipt_id: str
    source: str
    channel: str
    journey: str
    state: str
    quiet: bool = False
    test: bool = False
    kind: str | UnsetType = UNSET
    at: Moment | UnsetType = UNSET
    campaign: str | UnsetType = UNSET
    segment: str | UnsetType = UNSET


class LeadTouched(Event, frozen=True):
    """
    Another touchpoint reached an open lead. `quiet`: from a file; nothing is to be set off by it.

    `at` is when it happened, where that is earlier than the event's own time. `campaign` is the advertising campaign
    that brought them this time. `segment` is what the journey's `kpis` say of the lead now.
    """

    person_id: str
    touchpoint_id: str
    kind: str
    source: str
    channel: str
    quiet: bool = False
    at: Moment | UnsetType = UNSET
    campaign: str | UnsetType = UNSET
    segment: str | UnsetType = UNSET


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
    """Every criterion passed. `at` is when, where a file told of it later; so with the others."""

    criteria: Mapping[str, str]
    at: Moment | UnsetType = UNSET


class LeadDisqualified(Event, frozen=True):
    """A criterion said no; `reason` is its code."""

    reason: str
    criteria: Mapping[str, str]
    at: Moment | UnsetType = UNSET


class LeadUndecided(Event, frozen=True):
    """No criterion said no, but some are unknown and should be asked for."""

    unknown: list[str]
    criteria: Mapping[str, str]
    at: Moment | UnsetType = UNSET


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
    """
    The lead moved between two states of its lifecycle, in a `system`.

    Where the departments are two, it was handed over. Null: the journey does not say. `at` is when that was, where a
    file told of it later: never before the move before it.
    """

    name: str
    from_state: str
    to_state: str
    actor: str
    reason: str | None
    journey: str
    from_department: str | None = None
    to_department: str | None = None
    system: str | None = None
    at: Moment | UnsetType = UNSET


class PurchaseRecorded(Event, frozen=True):
    """
    Somebody bought or renewed, or was paid back (`kind`), at the moment `at`; amounts are exact decimals, as text.

    `products` are article numbers, or names where there are none. Told of the same purchase again when something else
    turns out to be true: then `was` is what stood until now (`kind`, `amount`, `currency`, `at`), in whose place this
    stands. `quiet`: from a file.
    """

    purchase_id: str
    person_id: str
    kind: str
    amount: Decimal | None
    currency: str | None
    products: list[str]
    at: Moment
    quiet: bool = False
    was: Mapping[str, str | None] | UnsetType = UNSET


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


class TicketOpened(Event, frozen=True):
    """
    A customer wants something of us: an issue, a complaint, a request, a question. `by`: `customer`, or who did.

    `quiet`: from a file, and nothing is to be set off by it; `at` is then when that was. So with the others of tickets.
    """

    ticket_id: str
    person_id: str
    kind: str
    priority: str
    source: str
    channel: str
    by: str
    refers_to: str | None
    quiet: bool = False
    at: Moment | UnsetType = UNSET


class TicketAssigned(Event, frozen=True):
    """Somebody is to see to the ticket; without an `owner` it waits at its `desk`, for the `reason`."""

    ticket_id: str
    desk: str | None
    owner: str | None
    from_owner: str | None
    reason: str


class TicketReplied(Event, frozen=True):
    """We answered; `after_s` seconds after it was opened, for the `first` answer."""

    ticket_id: str
    by: str
    channel: str
    first: bool
    after_s: int | None


class TicketWaiting(Event, frozen=True):
    """The ticket waits for its customer."""

    ticket_id: str
    by: str


class TicketResolved(Event, frozen=True):
    """It is done, if the customer does not object: `after_s` seconds after it was opened."""

    ticket_id: str
    kind: str
    by: str
    owner: str | None
    root_cause: str | None
    after_s: int
    quiet: bool = False
    at: Moment | UnsetType = UNSET


class TicketReopened(Event, frozen=True):
    """It was resolved, and is not: for the so manieth `time`."""

    ticket_id: str
    kind: str
    by: str
    time: int
    quiet: bool = False
    at: Moment | UnsetType = UNSET


class TicketClosed(Event, frozen=True):
    """It is over for good."""

    ticket_id: str
    kind: str
    by: str
    quiet: bool = False
    at: Moment | UnsetType = UNSET


class TicketAtRisk(Event, frozen=True):
    """
    Much of the time is over within which something was promised: a `metric`, for the so manieth time (`cycle`).

    `at` is when that was, which may be long ago where nobody looked; `target_s` is in seconds of working time.
    """

    ticket_id: str
    metric: str
    cycle: int
    policy: str
    target_s: int
    at: str
    owner: str | None


class TicketBreached(Event, frozen=True):
    """The time is over within which something was promised; the fields are those of `ticket.at_risk`."""

    ticket_id: str
    metric: str
    cycle: int
    policy: str
    target_s: int
    at: str
    owner: str | None


class TicketClockEnded(Event, frozen=True):
    """
    A promise was kept (`hit`) or broken: what it was about is done, `worked_s` seconds of working time after its start.

    The other fields are those of `ticket.at_risk`. Of a promise that fell away nothing is told.
    """

    ticket_id: str
    metric: str
    cycle: int
    policy: str
    target_s: int
    at: str
    owner: str | None
    hit: bool
    worked_s: int


class TicketEscalated(Event, frozen=True):
    """So many `percent` of the time are over: `to` should see to it (null: nobody's), and has it if `assigned`."""

    ticket_id: str
    metric: str
    cycle: int
    policy: str
    percent: int
    at: str
    to: str | None
    assigned: bool


class ContractStarted(Event, frozen=True):
    """A contract runs from now on, or from its first day on; days are days of its time zone. `quiet`: from a file."""

    contract_id: str
    person_id: str
    starts_on: str
    ends_on: str
    tz: str
    renews_itself: bool
    amount: str | None
    currency: str | None
    by: str
    quiet: bool = False


class ContractRenewalDue(Event, frozen=True):
    """
    The end of a contract comes near, and it does not renew itself.

    `before_s` is the moment of the journey that this is, `late_s` how much later it is told, and `missed` how many
    moments before it nobody could tell.
    """

    contract_id: str
    person_id: str
    ends_on: str
    before_s: int
    late_s: int
    missed: int


class ContractRenewed(Event, frozen=True):
    """The term `follows` has another after it: `contract_id`. `by`: `itself`, `arrival`, or who did it by hand."""

    contract_id: str
    follows: str
    person_id: str
    starts_on: str
    ends_on: str
    tz: str
    renews_itself: bool
    amount: str | None
    currency: str | None
    by: str
    quiet: bool = False


class ContractCancelled(Event, frozen=True):
    """A contract is not renewed any more; it runs until `ends_on`."""

    contract_id: str
    person_id: str
    ends_on: str
    reason: str | None
    by: str
    quiet: bool = False


class ContractEnded(Event, frozen=True):
    """A contract is over: `cancelled` before, or not renewed in time; `running` others of the lead go on."""

    contract_id: str
    person_id: str
    ends_on: str
    cancelled: bool
    reason: str | None
    running: int


class CustomerAtRisk(Event, frozen=True):
    """A customer's health fell below `at_risk`: they may leave. Told again only after they were well."""

    person_id: str
    score: int
    at_risk: int


class FollowUpRequested(Event, frozen=True):
    """A campaign asks for a task: `to` is a person of the journey (null: nobody has the lead yet), with a due time."""

    campaign: str
    enrolment_id: str
    person_id: str
    step: str
    text: str
    to: str | None
    due_at: str | None


class FollowUpCreated(Event, frozen=True):
    """
    There is work for a person: `owner`, by their short name (null: nobody has the lead yet), with a due time.

    `about` is what kind of thing it is about, with its id; `rule` is of the journey, `campaign/step`, or null: by hand.
    """

    follow_up_id: str
    person_id: str
    rule: str | None
    about: str
    about_id: str
    owner: str | None
    due_at: str


class FollowUpAssigned(Event, frozen=True):
    """Open work is somebody else's now; `left` had it before. `reason`: lead_owner, agent, escalated or by_hand."""

    follow_up_id: str
    owner: str | None
    left: str | None
    reason: str


class FollowUpSnoozed(Event, frozen=True):
    """Open work was put off: it is due at `due_at` now."""

    follow_up_id: str
    owner: str | None
    until: str
    due_at: str


class FollowUpReminded(Event, frozen=True):
    """The owner is to be reminded of work that is due soon."""

    follow_up_id: str
    owner: str | None
    due_at: str


class FollowUpLate(Event, frozen=True):
    """Work was not done until it was due."""

    follow_up_id: str
    owner: str | None
    due_at: str


class FollowUpEscalated(Event, frozen=True):
    """Somebody is to hear that work is late; with `assigned` it is theirs now."""

    follow_up_id: str
    owner: str | None
    to: str | None
    assigned: bool


class FollowUpDone(Event, frozen=True):
    """Work was done, with one of the outcomes of its rule."""

    follow_up_id: str
    rule: str | None
    outcome: str
    owner: str | None
    done_by: str


class FollowUpCancelled(Event, frozen=True):
    """Work fell away: by hand, or for what became of what it is about."""

    follow_up_id: str
    owner: str | None
    reason: str


class OpportunityOpened(Event, frozen=True):
    """
    There may be a sale. `by`: `journey`, or who opened it by hand; amounts are exact decimals, as text.

    `at` is when that was, where a file told of it later; so with those that are won and lost.
    """

    opportunity_id: str
    person_id: str
    pipeline: str
    stage: str
    owner: str | None
    amount: str | None
    currency: str | None
    by: str
    at: Moment | UnsetType = UNSET


class OpportunityChanged(Event, frozen=True):
    """What is known of a possible sale, or its stage, is not what it was; `fields` names what changed."""

    opportunity_id: str
    pipeline: str
    from_stage: str
    stage: str
    fields: list[str]
    owner: str | None
    amount: str | None
    currency: str | None
    by: str


class OpportunityWon(Event, frozen=True):
    """They bought, `after_s` seconds after it was opened; `stage` is where it stood."""

    opportunity_id: str
    person_id: str
    pipeline: str
    stage: str
    owner: str | None
    amount: str | None
    currency: str | None
    after_s: int
    by: str
    at: Moment | UnsetType = UNSET


class OpportunityLost(Event, frozen=True):
    """They did not buy, for a `reason` of the pipeline, or for what became of the lead."""

    opportunity_id: str
    person_id: str
    pipeline: str
    stage: str
    owner: str | None
    amount: str | None
    currency: str | None
    reason: str
    after_s: int
    by: str
    at: Moment | UnsetType = UNSET


class OpportunityReopened(Event, frozen=True):
    """It was over, and is open again at `stage`; `was` is its outcome until then."""

    opportunity_id: str
    pipeline: str
    stage: str
    owner: str | None
    was: str
    by: str


class OpportunityQuiet(Event, frozen=True):
    """
    Nothing has happened to an open one for `silent_s` seconds, longer than `limit_s`; told once for each spell.

    `rests_on`: the limit comes from so many others that went on from its stage; null: the journey says it.
    """

    opportunity_id: str
    pipeline: str
    stage: str
    owner: str | None
    silent_s: int
    limit_s: int
    rests_on: int | None


class SurveySent(Event, frozen=True):
    """
    Somebody is asked how satisfied they are; the mail goes out next.

    `kind` is csat or nps, `agent` whose work it is about.
    """

    survey_id: str
    person_id: str
    survey: str
    kind: str
    about: str
    about_id: str
    agent: str | None
    expires_at: str


class SurveyAnswered(Event, frozen=True):
    """
    Somebody said how satisfied they are: `csat` 1 to 5, `nps` 0 to 10. What they wrote beside it is not told.

    `answer` is 1 for the first one; the latest counts. `ticket_id` is the complaint that a low one opened.
    """

    survey_id: str
    person_id: str
    survey: str
    kind: str
    score: int
    answer: int
    about: str
    about_id: str
    agent: str | None
    channel: str
    ticket_id: str | None


class SurveyCancelled(Event, frozen=True):
    """Nobody is asked after all, for a `reason`."""

    survey_id: str
    survey: str
    reason: str


class HandoverMade(Event, frozen=True):
    """
    Something of a lead passed from one department to another: a `ticket`, an `opportunity` or a `follow_up`.

    That a `lead` itself did is told by `lead.transitioned`, and here only where it follows another version. `about_id`
    and `number` name it. `owner` is whose it is there, `system` the one in which it was handed over. `taken`: somebody
    of that department fetched it.
    """

    about: str
    about_id: str
    number: int
    what: str
    from_department: str
    to_department: str
    owner: str | None
    system: str | None
    actor: str
    taken: bool


class HandoverTaken(Event, frozen=True):
    """
    Somebody of the `department` did the first thing about work that had passed to it, `after_s` seconds later.

    `about` says what passed: the `lead`, a `ticket`, an `opportunity` or a `follow_up`; `about_id` and `number` name
    it.
    """

    about: str
    about_id: str
    number: int
    department: str
    actor: str
    after_s: int


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


class KpiMissed(Event, frozen=True):
    """
    A figure is not what the journey's `target` asks, of so many (`sample`) from the day `since` up to before `until`.

    `value` is in the `unit` of the KPI, seconds for durations; null: it is longer than can be told. Told once, until it
    is met again. The event is about the target: its `subject` is no lead, and always the same for the same target.
    """

    target: str
    kpi: str
    of_kind: str | None
    of: str | None
    unit: str
    at_least: str | None
    at_most: str | None
    percentile: int | None
    value: float | None
    sample: int
    since: str
    until: str
    tz: str
    journey: str


class KpiMet(Event, frozen=True):
    """A figure that was not what its target asks is so again; the fields are those of `kpi.missed`."""

    target: str
    kpi: str
    of_kind: str | None
    of: str | None
    unit: str
    at_least: str | None
    at_most: str | None
    percentile: int | None
    value: float | None
    sample: int
    since: str
    until: str
    tz: str
    journey: str


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
    "purchase.recorded": PurchaseRecorded,
    "campaign.entered": CampaignEntered,
    "campaign.exited": CampaignExited,
    "campaign.notified": CampaignNotified,
    "campaign.held": CampaignHeld,
    "opportunity.opened": OpportunityOpened,
    "opportunity.changed": OpportunityChanged,
    "opportunity.won": OpportunityWon,
    "opportunity.lost": OpportunityLost,
    "opportunity.reopened": OpportunityReopened,
    "opportunity.quiet": OpportunityQuiet,
    "ticket.opened": TicketOpened,
    "ticket.assigned": TicketAssigned,
    "ticket.replied": TicketReplied,
    "ticket.waiting": TicketWaiting,
    "ticket.resolved": TicketResolved,
    "ticket.reopened": TicketReopened,
    "ticket.closed": TicketClosed,
    "ticket.at_risk": TicketAtRisk,
    "ticket.breached": TicketBreached,
    "ticket.clock_ended": TicketClockEnded,
    "ticket.escalated": TicketEscalated,
    "contract.started": ContractStarted,
    "contract.renewal_due": ContractRenewalDue,
    "contract.renewed": ContractRenewed,
    "contract.cancelled": ContractCancelled,
    "contract.ended": ContractEnded,
    "customer.at_risk": CustomerAtRisk,
    "follow_up.requested": FollowUpRequested,
    "follow_up.created": FollowUpCreated,
    "follow_up.assigned": FollowUpAssigned,
    "follow_up.snoozed": FollowUpSnoozed,
    "follow_up.reminded": FollowUpReminded,
    "follow_up.late": FollowUpLate,
    "follow_up.escalated": FollowUpEscalated,
    "follow_up.done": FollowUpDone,
    "follow_up.cancelled": FollowUpCancelled,
    "survey.sent": SurveySent,
    "survey.answered": SurveyAnswered,
    "survey.cancelled": SurveyCancelled,
    "handover.made": HandoverMade,
    "handover.taken": HandoverTaken,
    "message.sent": MessageSent,
    "message.failed": MessageFailed,
    "message.unknown": MessageUnknown,
    "kpi.missed": KpiMissed,
    "kpi.met": KpiMet,
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
            "subject": {"type": "string", "format": "uuid", "description": "The lead; of `kpi.…` the target."},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "dataschema": {"type": "string"},
            "sequence": {"type": "integer", "minimum": 1, "description": "1, 2, 3 … of this subject, without gaps."},
            "traceid": {"type": "string"},
            "data": body,
        },
    }
