"""
What is done to a ticket, whoever does it: opened, written to and answered, noted, changed, resolved, assigned.

Each of these changes a ticket in hand, whose lead is in hand, and says what happened. Who gets the ticket, what its
clocks say and when it is looked at again is settled for all of them together by `workers/helpdesk/tickets.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schema import ticketing
from schema.errors import Permanent
from schema.events import (
    TicketClosed,
    TicketOpened,
    TicketReopened,
    TicketReplied,
    TicketResolved,
    TicketWaiting,
)
from schema.journey.fields import instead
from schema.store.ids import new_id
from workers.happening import About, happen
from workers.helpdesk.book import seconds
from workers.helpdesk.desks import given

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from schema.journey import Journey
    from schema.journey.service import Service
    from workers.batch import Case

    Row = dict[str, Any]

CUSTOMER: Final = "customer"
JOURNEY: Final = "journey"
SERVICE: Final = "service"
"""The channel of touchpoints that come from work on tickets."""


class Opening(NamedTuple):
    """What is to be opened; without `priority`, with that of its kind. `external_id` is what its source calls it."""

    kind: str
    source: str
    channel: str
    priority: str | None = None
    subject: str | None = None
    external_id: str | None = None
    refers_to: str | None = None


class Said(NamedTuple):
    """What was said on a channel; `data` is kept with it. `machine`: no person said it."""

    text: str | None
    channel: str
    at: datetime | None = None
    machine: bool = False
    touchpoint_id: str | None = None
    data: Mapping[str, Any] = {}


def open_ticket(
    case: Case,
    wanted: Opening,
    *,
    actor: str,
    at: datetime | None = None,
    data: Mapping[str, Any] | None = None,
) -> Row:
    """
    Open a ticket of a lead in hand, by the active version of its journey; what was said in it is a message of its own.

    `at` is since when it counts, `data` says how it came to it; codes only.

    :raises Permanent: `service_unknown`, the journey has no `service`; `kind_unknown`
    """
    journey = case.newest()
    service = _service(journey)
    if wanted.kind not in service.kinds:
        raise _unknown("kind", wanted.kind, service.kinds)
    moment = min(at or case.batch.now, case.batch.now)
    ticket = case.batch.tickets.begin(
        {
            "id": new_id(),
            "lead_id": case.id,
            "person_id": case.lead["person_id"],
            "journey_name": journey.name,
            "journey": journey.version,
            **wanted._asdict(),
            "priority": wanted.priority or service.kinds[wanted.kind].priority,
            "status": "new",
            "desk": None,
            "owner": None,
            "department": None,
            "waiting_since": None,
            "root_cause": None,
            "resolution": None,
            "sla": None,
            "opened_at": moment,
            "opened_by": actor,
            "status_since": moment,
            "first_response_at": None,
            "resolved_at": None,
            "closed_at": None,
            "closes_at": None,
            "reopened": 0,
            "entries": 0,
            "updated_at": case.batch.now,
        }
    )
    told = {"kind": wanted.kind, "priority": ticket["priority"], **(data or {})}
    case.batch.tickets.note(ticket, "opened", actor, at=moment, channel=wanted.channel, data=told)
    case.batch.tickets.recount(case, ticket, None)
    case.tell(
        TicketOpened(
            ticket["id"],
            ticket["person_id"],
            wanted.kind,
            ticket["priority"],
            wanted.source,
            wanted.channel,
            actor,
            wanted.refers_to,
        )
    )
    _happen(case, ticket, "opened", channel=SERVICE, at=moment, key="opened")
    return ticket


def heard(case: Case, ticket: Row, said: Said) -> None:
    """
    The customer writes or calls: what waited for them goes on, and what was resolved is opened again.

    What a machine wrote is kept and changes nothing. The ticket is not over.
    """
    now = case.batch.now
    case.batch.tickets.note(
        ticket,
        "message_in",
        CUSTOMER,
        at=min(said.at or now, now),
        channel=said.channel,
        body=said.text,
        machine=said.machine,
        touchpoint_id=said.touchpoint_id,
        data=dict(said.data),
    )
    if not said.machine:
        _become(case, ticket, ticketing.after_customer(ticket["status"]), CUSTOMER, {"reason": "customer_wrote"})


def answer(case: Case, ticket: Row, said: Said, *, actor: str, status: str | None = None) -> Row:
    """
    Keep that the customer was answered, and have the ticket be in a `status` then (not resolved); return the entry.

    Whoever of the journey's people answers a ticket that nobody has, has it.

    :raises Permanent: `ticket_closed`
    :raises schema.ticketing.StatusNotPossible: it cannot become `status`
    """
    if ticket["status"] == "closed":
        raise Permanent("ticket_closed", "The ticket is closed for good: open another one, which may refer to it.")
    after = ticketing.after_agent(ticket["status"])
    if status is not None and status != after:
        after = ticketing.checked(after, status)
    batch = case.batch
    first = ticket["first_response_at"] is None
    entry = batch.tickets.note(ticket, "message_out", actor, channel=said.channel, body=said.text, data=dict(said.data))
    if first:
        ticket["first_response_at"] = batch.now
    after_s = seconds(ticket["opened_at"], batch.now) if first else None
    case.tell(TicketReplied(ticket["id"], actor, said.channel, first, after_s))
    if ticket["owner"] is None and actor in people(case, ticket):
        given(case, ticket, actor, actor, "answered")
    _happen(case, ticket, "replied", channel=said.channel, data={"first": first})
    _become(case, ticket, after, actor, {})
    return entry


def remark(case: Case, ticket: Row, *, text: str, actor: str) -> Row:
    """Keep a remark for colleagues: the customer never sees it, and it is no answer. Return the entry."""
    return case.batch.tickets.note(ticket, "note", actor, body=text)


def set_status(
    case: Case,
    ticket: Row,
    wanted: str,
    *,
    actor: str,
    root_cause: str | None = None,
    resolution: str | None = None,
    reason: str | None = None,
) -> None:
    """
    Have a ticket be in another status.

    :raises schema.ticketing.StatusNotPossible: it cannot become that from what it is; nothing is changed then
    :raises Permanent: `root_cause_required`, `root_cause_unknown` (`known` are those there are)
    """
    ticketing.checked(ticket["status"], wanted)
    if wanted == "resolved":
        ticket["root_cause"] = _root_cause(case, ticket, root_cause)
        ticket["resolution"] = resolution or ticket["resolution"]
    told = {"reason": reason} if reason else {}
    if wanted == "resolved" and ticket["root_cause"]:
        told["root_cause"] = ticket["root_cause"]
    _become(case, ticket, wanted, actor, told, text=resolution if wanted == "resolved" else None)


def close(case: Case, ticket: Row) -> None:
    """Close a resolved ticket whose time to object is over, as of the moment when it was."""
    _become(case, ticket, "closed", JOURNEY, {"reason": "nobody_objected"}, at=ticket["closes_at"])


def change(case: Case, ticket: Row, *, actor: str, **wanted: str | None) -> bool:
    """
    Change what a ticket is said to be: its `kind`, `priority`, `subject` or `desk`; whether anything changed.

    At another desk it is somebody else's.

    :raises Permanent: `ticket_closed`; `kind_unknown`, `desk_unknown` (`known` are those there are)
    """
    if ticket["status"] == "closed":
        raise Permanent("ticket_closed", "The ticket is closed for good: nothing about it can be changed.")
    new = {name: value for name, value in wanted.items() if value is not None and value != ticket[name]}
    if not new:
        return False
    service = _service(_own(case, ticket))
    if (kind := new.get("kind")) is not None and kind not in service.kinds:
        raise _unknown("kind", kind, service.kinds)
    if (desk := new.get("desk")) is not None:
        active = case.batch.desks.journey(case, ticket)
        known = active.service.desks if active and active.service else {}
        if desk not in known:
            raise _unknown("desk", desk, known)
    before = (ticket["status"], ticket["kind"])
    told = {name: {"from": ticket[name], "to": value} for name, value in new.items() if name != "subject"}
    ticket |= new
    case.batch.tickets.note(ticket, "changed", actor, data=told | ({"subject": True} if "subject" in new else {}))
    case.batch.tickets.recount(case, ticket, before)
    if desk is not None:
        ticket |= {"owner": None, "waiting_since": None}
    return True


def assign(case: Case, ticket: Row, owner: str, *, actor: str, reason: str | None = None) -> bool:
    """
    Have a ticket be somebody's, whatever the desks say; it takes no turn. Whether it was not theirs already.

    :raises Permanent: `ticket_closed`; `owner_unknown` (`known` are those there are)
    """
    known = people(case, ticket)
    if owner not in known:
        raise _unknown("owner", owner, known)
    if ticket["status"] == "closed":
        raise Permanent("ticket_closed", "The ticket is closed for good: nothing is left to do.")
    if ticket["owner"] == owner:
        return False
    because = reason or "by_hand"
    given(case, ticket, owner, actor, because)
    return True


def take(case: Case, ticket: Row, owner: str, *, actor: str) -> bool:
    """
    Have somebody take a ticket that nobody has; whether it was not theirs already.

    :raises Permanent: `ticket_taken` (`owner` has it); and as `assign` does
    """
    if ticket["owner"] not in {None, owner}:
        raise Permanent("ticket_taken", f"{ticket['owner']} has this ticket.", owner=ticket["owner"])
    return assign(case, ticket, owner, actor=actor, reason="taken")


def release(case: Case, ticket: Row, *, actor: str, reason: str | None = None) -> bool:
    """Have whose ticket it is give it back to the desk: the next in turn gets it. Whether anybody had it."""
    if ticket["owner"] is None or ticket["status"] not in ticketing.UNSOLVED:
        return False
    case.batch.tickets.passed[ticket["id"]] = (ticket["owner"],)
    because = reason or "released"
    given(case, ticket, None, actor, because)
    return True


def people(case: Case, ticket: Row) -> Mapping[str, Any]:
    """The people who can have a ticket: those of the version whose desks share it, else of its lead's."""
    journey = case.batch.desks.journey(case, ticket) or case.journey
    return journey.people


# -- what they share ---------------------------------------------------------------------------------------------------


def _become(
    case: Case,
    ticket: Row,
    wanted: str,
    actor: str,
    data: Mapping[str, Any],
    *,
    at: datetime | None = None,
    text: str | None = None,
) -> None:
    """Have a ticket be in a status that it may come to, with all that this means."""
    was = ticket["status"]
    if wanted == was:
        return
    moment = at or case.batch.now
    before = (was, ticket["kind"])
    ticket |= {"status": wanted, "status_since": moment}
    told = {"from": was, "to": wanted, **data}
    case.batch.tickets.note(ticket, "status", actor, at=moment, body=text, data=told)
    if was == "resolved" and wanted != "closed":
        ticket |= {"resolved_at": None, "closes_at": None, "reopened": ticket["reopened"] + 1}
        case.tell(TicketReopened(ticket["id"], ticket["kind"], actor, ticket["reopened"]))
        _happen(case, ticket, "reopened", channel=SERVICE, data={"times": ticket["reopened"]})
    elif wanted == "resolved":
        _resolved(case, ticket, actor, moment)
    elif wanted == "closed":
        ticket |= {"closed_at": moment, "closes_at": None}
        case.tell(TicketClosed(ticket["id"], ticket["kind"], actor))
        _happen(case, ticket, "closed", at=moment)
    elif wanted == "waiting":
        case.tell(TicketWaiting(ticket["id"], actor))
        _happen(case, ticket, "waiting")
    case.batch.tickets.recount(case, ticket, before)


def _resolved(case: Case, ticket: Row, actor: str, moment: datetime) -> None:
    service = _service(_own(case, ticket))
    ticket |= {"resolved_at": moment, "closes_at": moment + service.close_after, "waiting_since": None}
    took = seconds(ticket["opened_at"], moment)
    told = ticket["owner"], ticket["root_cause"], took
    case.tell(TicketResolved(ticket["id"], ticket["kind"], actor, *told))
    data = {"root_cause": ticket["root_cause"]} if ticket["root_cause"] else {}
    _happen(case, ticket, "resolved", channel=SERVICE, data=data | {"reopened": ticket["reopened"]})
    kind = service.kinds.get(ticket["kind"])
    if kind is not None and kind.served and not ticket["reopened"]:
        about = About("ticket", ticket["id"], ticket["owner"])
        happen(case, "service.delivered", about, key=ticket["id"], data={"kind": ticket["kind"]}, channel=SERVICE)


def _happen(
    case: Case,
    ticket: Row,
    what: str,
    *,
    channel: str = "",
    key: str = "",
    at: datetime | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    about = About("ticket", ticket["id"], ticket["owner"])
    told = {"kind": ticket["kind"], "priority": ticket["priority"], **(data or {})}
    happen(case, f"ticket.{what}", about, key=key, at=at, data=told, channel=channel)


def _own(case: Case, ticket: Row) -> Journey:
    return case.batch.book.version(case.batch.connection, ticket["journey"])


def _service(journey: Journey) -> Service:
    if journey.service is None:
        raise Permanent("service_unknown", f"The journey {journey.name} has no `service`: it knows no tickets.")
    return journey.service


def _root_cause(case: Case, ticket: Row, given_: str | None) -> str | None:
    """The root cause that a resolved ticket is put down to, which its kind may ask for."""
    service = _service(_own(case, ticket))
    kind = service.kinds.get(ticket["kind"])
    known = kind.root_cause if kind else ()
    # One that it was put down to before counts if its kind has it still: another kind may have none.
    cause = given_ or (ticket["root_cause"] if ticket["root_cause"] in known else None)
    if cause is None and known:
        words = f"To resolve a ticket of the kind {ticket['kind']}, say what it is put down to: {', '.join(known)}."
        raise Permanent("root_cause_required", words, known=list(known))
    if cause is not None and not known:
        words = f"Tickets of the kind {ticket['kind']} are put down to nothing: leave the root cause out."
        raise Permanent("root_cause_unknown", words, known=[])
    if cause is not None and cause not in known:
        raise _unknown("root_cause", cause, known)
    return cause


def _unknown(what: str, given_: str, known: Iterable[str]) -> Permanent:
    names = list(known)
    words = f"There is no such {what.replace('_', ' ')}{instead(given_, names)}"
    return Permanent(f"{what}_unknown", words, known=names)
