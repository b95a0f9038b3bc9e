"""
Clocks: within what time a ticket is answered and solved, as its policy says, and who hears of it when it is not.

    reads   ticket_clock, ticket_pause; the version that a clock is counted by
    writes  ticket_clock, ticket_pause; the ticket's `sla`, and its `owner` where an escalation says so
    tells   ticket.at_risk, ticket.breached, ticket.escalated, ticket.clock_ended

Whoever changes a ticket says so with `changed`, whose answer is the moment at which `look` wants to be asked; the
ticket's one timer is set by them. Everything is written once when the batch is recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schema import sla, ticketing
from schema.events import TicketAtRisk, TicketBreached, TicketClockEnded, TicketEscalated
from schema.store import clocks as store
from workers.decide.clock import Entry, Life, Passed, Ticket, policy
from workers.happening import About, happen
from workers.helpdesk.desks import given

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from schema.sla import Clock, Pause, Rule
    from workers.batch import Batch, Case

_ENDS: Final = frozenset({"hit", "missed"})
CHOOSES: Final = frozenset({"opened", "changed", "assigned"})
"""Entries after which the policy is chosen: kind, priority or desk may be others."""


def gather(batch: Batch, ticket_ids: Iterable[str]) -> None:
    """
    Read the clocks of these tickets at once; whoever has many tickets in hand says so before.

    One that was not named here is read by itself when it is asked about, and a new one not at all.
    """
    wanted = [ticket for ticket in ticket_ids if ticket not in batch.clocks]
    if wanted:
        kept = store.read(batch.connection, wanted)
        for ticket in wanted:
            batch.clocks[ticket] = _life(batch, *kept.get(ticket, ((), ())))


def changed(batch: Batch, case: Case, ticket: dict[str, Any], entries: Sequence[Mapping[str, Any]]) -> datetime | None:
    """
    Keep the clocks of a ticket that something happened to; return when they want to be looked at again.

    `ticket` is its row as it will be, `entries` the new rows of `ticket_entry`, oldest first. Asked before the ticket
    is written: its `sla` is set here, and an escalation may give it to somebody else.
    """
    if ticket["id"] not in batch.clocks:
        if any(entry["kind"] == "opened" for entry in entries):
            batch.clocks[ticket["id"]] = _life(batch)
        else:
            gather(batch, [ticket["id"]])
    life = batch.clocks[ticket["id"]]
    journey = batch.book.version(batch.connection, ticket["journey"])
    chosen = any(entry["kind"] in CHOOSES for entry in entries)
    if chosen:
        ticket["sla"] = policy(case.facts, journey, ticketing.asked(ticket))
    rule = sla.rule(journey, ticket["sla"], ticket["desk"])
    if rule is None and not life.clocks:
        return None
    heard = [Entry(entry["kind"], entry["at"], bool(entry.get("machine"))) for entry in entries]
    ended = {place for place, clock in life.clocks.items() if not clock.running}
    passed = life.follow(_standing(ticket), heard, rule, batch.now, chosen=chosen)
    _tell(case, ticket, passed)
    for place, clock in life.clocks.items():
        if place not in ended and clock.state in _ENDS and clock.stopped_at is not None:
            about = ticket["id"], clock.metric, clock.cycle, clock.policy, clock.target_s, clock.stopped_at.isoformat()
            case.tell(TicketClockEnded(*about, ticket["owner"], clock.state == "hit", clock.worked_s or 0))
    return life.next_moment()


def look(batch: Batch, case: Case, ticket: dict[str, Any]) -> datetime | None:
    """Tell what time has passed for a ticket since it was looked at; return when it wants to be looked at again."""
    return changed(batch, case, ticket, ())


def record(batch: Batch) -> None:
    """Write what became of the clocks of this batch's tickets, in one statement."""
    lives = batch.clocks.items()
    store.write(
        batch.connection,
        [(ticket, life.clocks[place]) for ticket, life in lives for place in life.changed],
        [(ticket, pause) for ticket, life in lives for pause in life.pauses if pause.from_at in life.paused],
    )


def _life(batch: Batch, clocks: Iterable[Clock] = (), pauses: Iterable[Pause] = ()) -> Life:
    def rules(version: str, name: str, desk: str | None) -> Rule:
        return store.rule(batch.book, batch.connection, version, name, desk)

    return Life(rules, clocks, pauses)


def _standing(ticket: Mapping[str, Any]) -> Ticket:
    answered = ticket["first_response_at"] is not None
    return Ticket(ticket["status"], ticket["status_since"], ticket["opened_at"], answered)


def _tell(case: Case, ticket: dict[str, Any], passed: Iterable[Passed]) -> None:
    """Tell what was passed, in that order; each threshold comes here once."""
    for one in passed:
        clock = one.clock
        about = ticket["id"], clock.metric, clock.cycle, clock.policy
        at = one.at.isoformat()
        if one.state is not None:
            event = TicketBreached if one.state == "breached" else TicketAtRisk
            case.tell(event(*about, clock.target_s, at, ticket["owner"]))
            data = {"metric": clock.metric, "policy": clock.policy, "percent": one.percent}
            key = f"{clock.metric}.{clock.cycle}"
            happen(case, f"ticket.{one.state}", _about(ticket), key=key, at=one.at, data=data)
        for escalation in one.escalations:
            to = ticket["owner"] if escalation.to == "owner" else escalation.to
            assigned = escalation.assign and to != ticket["owner"]
            case.tell(TicketEscalated(*about, one.percent, at, to, assigned))
            if assigned:
                given(case, ticket, to, "journey", "escalated", {"metric": clock.metric, "percent": one.percent})


def _about(ticket: Mapping[str, Any]) -> About:
    return About("ticket", ticket["id"], ticket["owner"])
