"""
Route: whose lead is it?

    hears   leads whose next step is `route`
    reads   lead, person, company, the ledgers of the pools (locked until the turns are recorded), who is away, and
            where the journey limits it what people have; whoever had this person's last lead
    writes  owner and pool, the turn in the pool's ledger, the assignment; or a place in the pool's queue
    waits   until a lead has to be accepted, and until somebody is free by the calendar
    tells   lead.routed, lead.queued, lead.reminded, lead.handed_on or lead.escalated; nothing where nothing changed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from schema.events import Event, LeadAccepted, LeadEscalated, LeadHandedOn, LeadQueued, LeadReminded, LeadRouted
from workers.decide.assignment import assignment
from workers.decide.inputs import inputs, staffed
from workers.decide.route import Routing, choose, keep
from workers.runtime import step

if TYPE_CHECKING:
    from workers.batch import Batch, Case


@step("route")
def route(batch: Batch) -> None:
    """Give each lead to somebody, in fair turns; those that have waited longest come first."""
    cases = sorted(batch.at("route"), key=_since)
    recall(batch, cases)
    for case in cases:
        deal(case)
        case.go(case.journey.after("route"))


def deal(case: Case) -> Routing:
    """Decide whose a lead in hand is, keep that and tell it; what the lead is due for is left alone."""
    batch, facts = case.batch, case.facts
    if case.inputs is None:
        case.inputs = inputs(facts, case.journey, "route", batch.now)
    ledgers, staff = batch.ledgers(case.journey), batch.staff(case.journey)
    found = choose(facts, case.journey, ledgers, batch.now, staff)
    known = staffed(found, facts, case.journey, staff)
    event = _event(case, found)
    keep(found, case.journey, ledgers, staff, facts.owner)
    batch.pools.took(case, found)
    case.lead |= {"owner": found.owner, "pool": found.pool, "waiting_since": None}
    if found.owner is None:
        case.lead["waiting_since"] = facts.waiting_since or batch.now
    if found.assignment is not None:
        case.lead["assignment"] = found.assignment.row()
    case.facts.know(
        owner=found.owner,
        pool=found.pool,
        assignment=case.lead["assignment"],
        waiting_since=case.lead["waiting_since"],
    )
    told = found.explain()
    case.decided(found.outcome, found.reason, {**told, "staff": known} if known else told, step="route")
    if event is not None:
        case.tell(event)
    case.look_again(found.look_again, step="route")
    return found


def accepted(case: Case) -> bool:
    """
    The owner of a lead in hand takes it on, by saying so or by working on it; whether that is new.

    A lead that nobody is known to have been given stays as it is.
    """
    kept = assignment(case.lead["assignment"])
    owner = case.lead["owner"]
    now, since = case.batch.now, kept.since
    if owner is None or since is None or kept.accepted_at is not None:
        return False
    kept = msgspec.structs.replace(kept, accepted_at=now, declined=None)
    case.lead["assignment"] = kept.row()
    case.facts.know(assignment=case.lead["assignment"])
    case.look_again(None, step="route")
    case.tell(LeadAccepted(owner, max(0, int((now - since).total_seconds()))))
    case.batch.handovers.accepted(case, owner)
    return True


def recall(batch: Batch, cases: list[Case]) -> None:
    """Find out who had these people's last leads, where their journey gives them back."""
    wanted = [case for case in cases if case.journey.route.sticky and not case.facts.owner]
    owners = batch.last_owners(wanted) if wanted else {}
    for case in wanted:
        last = owners.get(case.lead["person_id"])
        if last is not None and case.journey.route.sticky is not None:
            owner, until = last
            case.facts.previous_owner = (owner, until + case.journey.route.sticky)


def _since(case: Case) -> tuple[bool, float, str]:
    """Those that wait before those that come new, the longest first; those that come new in their order."""
    since = case.facts.waiting_since
    return (False, since.timestamp(), case.id) if since else (True, 0.0, "")


def _event(case: Case, found: Routing) -> Event | None:
    facts = case.facts
    if found.outcome == "escalated":
        return LeadEscalated(str(found.owner), len(found.assignment.passed) if found.assignment else 0)
    if found.outcome == "reminded":
        by = assignment(facts.assignment).accept_by
        return LeadReminded(str(found.owner), by.isoformat() if by else "")
    if found.left:
        reason = found.reason if found.outcome == "handed_on" else "owner_left"
        if found.owner is None:
            reason = "declined" if facts.owner in case.journey.people else "owner_left"
        return LeadHandedOn(found.left, found.owner, reason)
    if found.owner is None:
        queued = facts.waiting_since is not None and facts.pool == found.pool
        return None if queued else LeadQueued(found.pool, found.reason)
    if found.owner == facts.owner:
        return None
    return LeadRouted(found.pool, found.owner, found.reason)
