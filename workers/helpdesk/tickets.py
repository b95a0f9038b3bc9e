"""
Tickets: what customers want of us, from the first word to the end.

    hears   arrivals (`arrivals`), whatever was done to a ticket in this batch, timers of tickets
    reads   tickets in hand, the ledgers of their desks, who works, their clocks
    writes  ticket, ticket_entry; whose each is, its clocks, and its one timer: the earliest that anything waits for
    tells   ticket.opened, assigned, replied, waiting, resolved, reopened, closed; service.delivered

What is done to a ticket is done by `acts`. All that follows from it is settled here, once for a batch: those
that nobody has are given to somebody, the ones that wait longest first, and then clocks hear of everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schema.ticketing import UNSOLVED
from workers import timers
from workers.helpdesk import acts, arrivals, clocks
from workers.helpdesk.acts import Opening, Said, open_ticket

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import RowMapping

    from workers.batch import Batch, Case

    Row = dict[str, Any]

__all__ = ["Opening", "Said", "hear", "look", "open_for", "settle"]


def hear(batch: Batch) -> None:
    """Take up what happened to the leads of a batch."""
    if batch.arrivals:
        arrivals.take_up(batch)
    settle(batch)


def look(batch: Batch, rows: Sequence[RowMapping]) -> None:
    """Do what is to be done now that these timers went off; their leads are in hand."""
    found = [ticket for ticket in batch.tickets.load(row["id"] for row in rows) if ticket["lead_id"] in batch.cases]
    clocks.gather(batch, [ticket["id"] for ticket in found])
    moments = {ticket["id"]: clocks.look(batch, batch.cases[ticket["lead_id"]], ticket) for ticket in found}
    for ticket in found:
        if ticket["status"] == "resolved" and ticket["closes_at"] <= batch.now:
            acts.close(batch.cases[ticket["lead_id"]], ticket)
    settle(batch, moments)


def open_for(case: Case, wanted: Opening, said: Said | None = None, *, actor: str) -> Row:
    """
    Open a ticket of a lead in hand for an occasion of our own, with what the customer `said`; return its row.

    Raises as `acts.open_ticket` does.
    """
    ticket = open_ticket(case, wanted, actor=actor)
    if said is not None:
        acts.heard(case, ticket, said)
    settle(case.batch)
    return ticket


def settle(batch: Batch, moments: dict[str, datetime | None] | None = None) -> None:
    """
    Settle what follows for the tickets to which something happened: whose they are, their clocks and timers.

    `moments` are tickets that were looked at, each with when its clocks want to be looked at again.
    """
    news, batch.tickets.news = batch.tickets.news, {}
    looked = moments or {}
    touched = {ticket_id: batch.tickets.rows[ticket_id] for ticket_id in (*news, *looked)}
    if not touched:
        return
    queued: dict[str, datetime | None] = {}
    for ticket in sorted(touched.values(), key=_since):
        if ticket["owner"] is None and ticket["status"] in UNSOLVED:
            passed = batch.tickets.passed.pop(ticket["id"], ())
            queued[ticket["id"]] = batch.desks.deal(batch.cases[ticket["lead_id"]], ticket, passed=passed)
    if len(touched) > 1:
        clocks.gather(batch, [ticket_id for ticket_id in news if ticket_id in batch.tickets.had])
    for ticket_id, ticket in touched.items():
        case = batch.cases[ticket["lead_id"]]
        entries = news.get(ticket_id, []) + batch.tickets.news.pop(ticket_id, [])
        moment = clocks.changed(batch, case, ticket, entries) if entries else looked[ticket_id]
        batch.tickets.news.pop(ticket_id, None)
        waits = [at for at in (moment, ticket["closes_at"], queued.get(ticket_id)) if at is not None]
        timers.at(batch, "ticket", ticket_id, ticket["lead_id"], min(waits, default=None))


def _since(ticket: Row) -> tuple[bool, float, str]:
    """Those that wait before those that come new, the longest first."""
    since = ticket["waiting_since"]
    return (False, since.timestamp(), ticket["id"]) if since else (True, 0.0, "")
