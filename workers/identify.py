"""
Identify: whose is this arrival?

    hears   receipts that are pending
    reads   the receipt's raw bytes, match keys, people, companies, open leads, and of who has none the latest
    writes  person, company, match keys, consent, purchase, touchpoint, lead; what it says about a message of ours; the
            mail that asks to confirm a consent; the receipt's outcome; and makes `qualify` the next step of a new lead,
            `score` that of a known one (`qualify` again while its qualification has not passed, or when it was told no)
    tells   lead.created, or lead.touched; person.opt_in_requested
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET
from sqlalchemy import text

from schema import payload, tables
from schema.draft import match_keys, says_something
from schema.events import LeadCreated, LeadTouched, PersonOptInRequested
from schema.facts import Facts, Touch
from schema.kpi.segments import campaign_of, segment_of
from schema.opt_in import NOTED_TOKEN
from schema.providers import FETCHED
from schema.store.ids import new_id
from schema.understand import understand
from schema.understood import HELD, Raw
from workers import canary
from workers.batch import Case, known, lead_facts, person_facts
from workers.identity import belongings, people
from workers.identity.people import Arrival
from workers.runtime import step
from workers.sending import opt_in, told

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from msgspec import UnsetType
    from sqlalchemy import RowMapping

    from schema.journey import Journey
    from workers.batch import Batch


@dataclass(frozen=True, slots=True)
class Refusal:
    """A receipt that goes no further: `quarantined`, `spam` or `rejected`, for a reason; it can be run again."""

    reason: str
    status: str = "quarantined"
    detail: dict[str, Any] | None = None
    test: bool = False


@step("identify", subject="receipt")
def identify(batch: Batch) -> None:
    """Tie each receipt to a person and a lead."""
    arrivals = []
    fetched = _fetched(batch)
    canaries = canary.noted(batch)
    for receipt in batch.receipts:
        if receipt["id"] in canaries:
            _settle(batch, receipt, "rejected", reason=canaries[receipt["id"]], test=True)
            continue
        raw = fetched.get(receipt["id"]) or raw_of(receipt)
        found = read(receipt, raw, batch.book.for_source(batch.connection, receipt["source"]))
        if isinstance(found, Refusal):
            _settle(batch, receipt, found.status, reason=found.reason, detail=found.detail, test=found.test)
        else:
            arrivals.append(found)
    arrivals = _of_people(batch, arrivals)
    if not arrivals:
        return
    owners = people.find_or_create(batch, arrivals)
    arrivals = [arrival for arrival in arrivals if arrival.receipt["id"] in owners]
    leads, younger, unread = people.leads_of(batch, {(owners[a.receipt["id"]], a.journey.name) for a in arrivals})
    taken: list[tuple[Arrival, Case]] = []
    for arrival in arrivals:
        person = batch.people[owners[arrival.receipt["id"]]]
        place = (person["id"], arrival.journey.name)
        if place in younger:
            batch.postponed.append(arrival.receipt["id"])
        elif place in unread:
            batch.waiting.append(arrival.receipt["id"])
        elif place in leads:
            case = batch.cases[leads[place]]
            _touch(batch, case, arrival, person)
            taken.append((arrival, case))
        elif arrival.by_machine:
            _refuse(batch, arrival)
        else:
            case = _create(batch, arrival, person)
            leads[place] = case.id
            taken.append((arrival, case))
    batch.arrivals = taken
    belongings.keep(batch, taken)


def read_again(batch: Batch) -> list[Arrival]:
    """Read the batch's receipts once more as the step did, without settling anything; what is refused is left out."""
    fetched = _fetched(batch)
    found = (
        read(each, fetched.get(each["id"]) or raw_of(each), batch.book.for_source(batch.connection, each["source"]))
        for each in batch.receipts
    )
    return [each for each in found if isinstance(each, Arrival)]


def _of_people(batch: Batch, arrivals: list[Arrival]) -> list[Arrival]:
    """Settle what a machine wrote and is about nobody known, and mail of our own that came back; return the others."""
    named = {a.understood.message_id for a in arrivals} - {""}
    found = batch.connection.execute(_NAMED, {"ids": sorted(named)}) if named else ()
    met = {row.message_id: row.direction for row in found}
    ours = {name for name, direction in met.items() if direction == "out"}
    machines = [a for a in arrivals if a.by_machine and a.understood.message_id not in ours]
    known_to = {a.receipt["id"] for a in people.recognise(batch, machines)} if machines else set()
    left = []
    for arrival in arrivals:
        name = arrival.understood.message_id
        if name in ours:
            _settle(batch, arrival.receipt, "rejected", reason="loop", test=arrival.understood.test)
        elif arrival.by_machine and arrival.receipt["id"] not in known_to:
            _refuse(batch, arrival)
        else:
            if name in met:  # sent twice with a difference, or made up: both are kept
                arrival.draft.issues.append(payload.Issue("", "message_id_reused"))
            elif name:
                met[name] = "in"
            left.append(arrival)
    return left


def _refuse(batch: Batch, arrival: Arrival) -> None:
    read = arrival.understood
    _settle(batch, arrival.receipt, read.outcome, reason=read.reason, detail=read.detail or None, test=read.test)


def raw_of(receipt: RowMapping) -> Raw:
    return Raw(receipt["channel"], receipt["content_type"], receipt["body"], receipt["headers"], receipt["received_at"])


def _fetched(batch: Batch) -> dict[str, Raw]:
    """Find what was fetched for receipts that only named it, to be read in their place."""
    hooks = {receipt["id"]: receipt for receipt in batch.receipts if receipt["channel"] == "hook"}
    found = batch.connection.execute(_FETCHED, {"ids": list(hooks)}) if hooks else ()
    return {
        row.receipt_id: Raw(
            "hook",
            row.content_type,
            row.body,
            hooks[row.receipt_id]["headers"] | {FETCHED: "true"},
            hooks[row.receipt_id]["received_at"],
        )
        for row in found
    }


def read(receipt: RowMapping, raw: Raw, journey: Journey | None) -> Arrival | Refusal:
    """Read a receipt's bytes by its source. Pure: the same bytes and journey give the same."""
    if (held := raw.headers.get(HELD)) and not receipt["released_at"]:
        return Refusal(held)
    if journey is None:
        return Refusal("source_unknown")
    try:
        understood = understand(raw, journey.sources[receipt["source"]])
    except payload.Refused as refused:
        return Refusal(refused.code)
    if understood.outcome and not understood.only_known and not receipt["released_at"]:
        return Refusal(understood.reason, understood.outcome, understood.detail or None, understood.test)
    keys = [*match_keys(understood.draft, receipt["source"]), *understood.keys]
    # A signed address says more than who it was used by, and anything says more than a telephone.
    keys.sort(key=lambda key: (key[0] != "lead", key[0] == "phone"))
    if not (keys or understood.only_known or says_something(understood.draft) or receipt["released_at"]):
        return Refusal("nothing_recognised", test=understood.test)
    return Arrival(receipt, understood, keys, journey)


def _create(batch: Batch, arrival: Arrival, person: dict[str, Any]) -> Case:
    journey, receipt, read = arrival.journey, arrival.receipt, arrival.draft
    began = _began(batch, arrival)
    lead: dict[str, Any] = dict.fromkeys(_COLUMNS) | {
        "id": new_id(),
        "person_id": person["id"],
        "journey": journey.version,
        "journey_name": journey.name,
        "state": journey.initial,
        "open": True,
        "next_step": journey.steps[0],
        "due_since": batch.now,
        "attempts": 0,
        "source": receipt["source"],
        "channel": receipt["channel"],
        "interests": read.interests,
        "attribution": read.attribution,
        "message": read.message,
        "created_at": began,
        "decisions": 0,
        "transitions": 0,
        "events": 0,
        "entered_at": began if arrival.understood.quiet else batch.now,
        "overdue": False,
        "recycled": 0,
        "waits": {},
        "test": receipt["test"] or arrival.understood.test,
        "quiet": arrival.understood.quiet,
    }
    case = batch.begin(lead, _facts(lead, person), journey, receipt["trace"])
    _keep_touch(batch, case, arrival)
    case.decided("created", None, _explain(arrival))
    case.tell(
        LeadCreated(
            person["id"],
            receipt["id"],
            receipt["source"],
            receipt["channel"],
            journey.version,
            journey.initial,
            arrival.understood.quiet,
            test=lead["test"],
            kind=arrival.understood.kind,
            at=_earlier(batch, arrival),
            campaign=campaign_of(read.attribution, case.journey) or UNSET,
            segment=_segment(case),
        ),
    )
    _ask_to_confirm(case, arrival)
    _settle(batch, receipt, "processed", lead=case, test=arrival.understood.test)
    return case


def _began(batch: Batch, arrival: Arrival) -> datetime:
    """Say since when there is a lead: history that is loaded from a file began when it happened."""
    told = arrival.understood.occurred_at if arrival.receipt["channel"] == "import" else None
    return min(told or batch.now, batch.now)


def _earlier(batch: Batch, arrival: Arrival) -> datetime | UnsetType:
    """Say when it happened, where that is earlier than now."""
    at = arrival.happened_at
    return at if at < batch.now else UNSET


def _segment(case: Case) -> str | UnsetType:
    kpis = case.journey.kpis
    return (segment_of(case.facts, case.journey) or UNSET) if kpis.segment or kpis.segments else UNSET


def _touch(batch: Batch, case: Case, arrival: Arrival, person: dict[str, Any]) -> None:
    receipt, read = arrival.receipt, arrival.draft
    case.trace = receipt["trace"]
    case.lead["interests"] = _united(case.lead["interests"], read.interests)
    case.lead["attribution"] = read.attribution | case.lead["attribution"]
    case.lead["message"] = read.message or case.lead["message"]
    case.lead["created_at"] = min(case.lead["created_at"], _began(batch, arrival))
    if not arrival.understood.quiet:
        case.wake()
    case.facts.person = person_facts(person["id"], person)
    case.facts.company = people.company_facts(person)
    case.facts.lead = lead_facts(case.lead)
    _keep_touch(batch, case, arrival)
    case.decided("matched", None, _explain(arrival))
    case.tell(
        LeadTouched(
            person["id"],
            receipt["id"],
            arrival.understood.kind,
            receipt["source"],
            receipt["channel"],
            arrival.understood.quiet,
            at=_earlier(batch, arrival),
            campaign=campaign_of(read.attribution, case.journey) or UNSET,
            segment=_segment(case),
        ),
    )
    if not case.new and case.lead["next_step"] != case.journey.steps[0]:
        case.go(case.begins_at())
    _ask_to_confirm(case, arrival)
    _settle(batch, receipt, "merged", lead=case, test=arrival.understood.test)


def _ask_to_confirm(case: Case, arrival: Arrival) -> None:
    """Tell that consent waits to be confirmed, with the link that does it."""
    # A purpose may be a stranger's own words, which have no place in an event.
    purposes = [name for name in arrival.understood.data.get("consent_pending", ()) if _CODE.match(name)]
    token = arrival.receipt["headers"].get(NOTED_TOKEN)
    if purposes and token:
        case.tell(PersonOptInRequested(case.lead["person_id"], arrival.receipt["id"], purposes, f"/c/{token}"))
        opt_in.plan(case.batch, case, arrival.receipt["id"], purposes, f"/c/{token}")


def _keep_touch(batch: Batch, case: Case, arrival: Arrival) -> None:
    receipt, read = arrival.receipt, arrival.draft
    understood = arrival.understood
    occurred_at = arrival.happened_at
    data = known(
        {
            "message": read.message,
            "consent": read.consent or None,
            "custom": read.custom or None,
            "issues": [{"pointer": issue.pointer, "code": issue.code} for issue in read.issues] or None,
            "merged_person": arrival.origin,
            **understood.data,
        },
    )
    batch.write(
        tables.touchpoint,
        {
            "id": receipt["id"],
            "person_id": case.lead["person_id"],
            "lead_id": case.id,
            "kind": understood.kind,
            "channel": receipt["channel"],
            "source": receipt["source"],
            "occurred_at": occurred_at,
            "recorded_at": batch.now,
            "data": data,
        },
    )
    if understood.message_id:
        batch.write(
            tables.message,
            {"message_id": understood.message_id, "lead_id": case.id, "direction": "in", "at": occurred_at},
        )
    told.note(batch, case, understood, occurred_at)
    touch = Touch(kind=understood.kind, occurred_at=occurred_at, id=receipt["id"], machine="machine" in understood.data)
    case.facts.touchpoints.append(touch)


def _facts(lead: dict[str, Any], person: dict[str, Any]) -> Facts:
    return Facts(
        lead_id=lead["id"],
        source=lead["source"],
        channel=lead["channel"],
        state=lead["state"],
        person=person_facts(person["id"], person),
        company=people.company_facts(person),
        lead=lead_facts(lead),
        touchpoints=[],
        qualification=None,
        score=None,
        owner=None,
        pool=None,
        entered_at=lead["entered_at"],
        quiet=lead["quiet"],
    )


def _explain(arrival: Arrival) -> dict[str, Any]:
    return {
        "receipt": arrival.receipt["id"],
        "matched_on": [kind for kind, _ in arrival.keys],
        "issues": [issue.code for issue in arrival.draft.issues],
    } | arrival.noted


def _settle(
    batch: Batch,
    receipt: RowMapping,
    status: str,
    *,
    reason: str | None = None,
    lead: Case | None = None,
    detail: dict[str, Any] | None = None,
    test: bool = False,
) -> None:
    batch.change(
        tables.receipt,
        {
            "id": receipt["id"],
            "status": status,
            "reason": reason,
            "lead_id": lead and lead.id,
            "person_id": lead and lead.lead["person_id"],
            "due_since": None,
            "test": receipt["test"] or test,
            # Who released it, and from what, stays with it.
            "detail": detail or (receipt["detail"] if receipt["released_at"] else None),
        },
    )


def _united(first: Iterable[str], second: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*first, *second]))


_NAMED: Final = text("SELECT message_id, direction FROM message WHERE message_id = ANY(CAST(:ids AS text[]))")
_FETCHED: Final = text(
    "SELECT receipt_id, content_type, body FROM retrieval "
    "WHERE receipt_id = ANY(CAST(:ids AS uuid[])) AND body IS NOT NULL"
)
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_COLUMNS: Final = tuple(column.name for column in tables.lead.c if column.name != "event_tx")
