"""
Desk: which ticket an arrival belongs to, which rule opens one, and whose a ticket is.

A ticket goes to the first desk whose `when` holds and there, in turns, to one of its people who are free; where nobody
is, it waits, and whatever has waited longer goes before. Turns, calendars, absences and capacity are those of leads
(`dealing.py`). Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schema.facts import Facts
from schema.journey.expressions import Unknown
from schema.journey.model import Journey
from schema.journey.service import Opens, Service
from schema.ticketing import asked, topic
from workers.decide.dealing import PASSED, Candidate, Member, out_now, queued, turn
from workers.decide.staff import Bench, Out, Staff, roster
from workers.decide.turns import Ledger

if TYPE_CHECKING:
    from schema.journey.expressions import Expression

Ticket = Mapping[str, Any]
"""A ticket's row, as it is or will be."""
_TALKS: Final = frozenset({"chat", "phone", "sms", "whatsapp", "messenger"})
"""Channels on which one thing leads to another without saying so."""


class Heard(msgspec.Struct, frozen=True, gc=False):
    """
    What an arrival says that matters for tickets.

    `answers`: it is an answer to something; `threads` are the tickets that its conversation belongs to, the latest
    message first, `external_id` is what its source calls the ticket. `machine`: no person wrote it.
    """

    kind: str
    source: str
    channel: str
    at: datetime
    subject: str | None = None
    text: str | None = None
    answers: bool = False
    threads: tuple[str, ...] = ()
    external_id: str | None = None
    machine: bool = False


def belongs(heard: Heard, tickets: Collection[Ticket], opens: str | None) -> Ticket | None:
    """
    The one of a person's `tickets` that an arrival belongs to, closed ones included; None: to none of them.

    By its conversation, else by its external id. Else to the person's only ticket from that source that is not closed:
    an answer, what is said on a channel like chat, and what would open (`opens`) another of the same kind about the
    same.
    """
    known = {ticket["id"]: ticket for ticket in tickets}
    for ticket_id in heard.threads:
        if ticket_id in known:
            return known[ticket_id]
    if heard.external_id is not None:
        same = (each for each in tickets if each["external_id"] == heard.external_id)
        return next((each for each in same if each["source"] == heard.source), None)
    going = [each for each in tickets if each["source"] == heard.source and not over(each, heard.at)]
    if len(going) != 1:
        return None
    ticket = going[0]
    if heard.answers or heard.channel in _TALKS:
        return ticket
    again = opens == ticket["kind"] and topic(heard.subject) == topic(ticket["subject"])
    return ticket if again else None


def over(ticket: Ticket, at: datetime) -> bool:
    """Whether a ticket is closed at a moment, be it that nobody has written that down yet."""
    return ticket["status"] == "closed" or bool(ticket["closes_at"] and at >= ticket["closes_at"])


def may_concern(service: Service, kind: str, source: str) -> bool:
    """Whether a rule of the service could open a ticket for such an arrival."""
    return any(kind in rule.on or source in rule.sources for rule in service.opens)


def opening(heard: Heard, facts: Facts, journey: Journey) -> tuple[int, Opens] | None:
    """The rule that opens a ticket for an arrival, with its place in the file, from 0; None: it opens none."""
    if journey.service is None or heard.machine:
        return None
    said = {"channel": heard.channel, "source": heard.source, "subject": heard.subject, "text": heard.text}
    for number, rule in enumerate(journey.service.opens):
        named = heard.kind in rule.on or heard.source in rule.sources
        if named and (rule.when is None or _holds(rule.when, facts, journey, said) is True):
            return number, rule
    return None


class Dealt(msgspec.Struct, frozen=True, gc=False):
    """
    Whose a ticket is, or that it waits (`owner` is None), at which `desk`.

    `reason` is `turn`, or what is wanting. `ledger` is the desk's after the turn, for the caller to keep before it asks
    for the next ticket; `look_again` when somebody could be free, as far as calendars say.
    """

    desk: str
    owner: str | None
    reason: str
    turn: int | None = None
    candidates: tuple[Candidate, ...] = ()
    members: tuple[Member, ...] = ()
    ledger: Ledger | None = None
    look_again: datetime | None = None

    def explain(self) -> dict[str, Any]:
        """The record for the entry of the ticket."""
        known: dict[str, Any] = {"desk": self.desk, "owner": self.owner, "reason": self.reason}
        known |= {"turn": self.turn} if self.turn is not None else {}
        if self.candidates:
            known["candidates"] = [
                {"desk": looked.pool, "chosen": looked.chosen, "why": looked.why} for looked in self.candidates
            ]
        return known | {"members": [member.told() for member in self.members]}


def deal(
    ticket: Ticket,
    facts: Facts,
    journey: Journey,
    ledgers: Mapping[str, Ledger],
    now: datetime,
    staff: Staff,
    passed: Iterable[str] = (),
) -> Dealt:
    """
    Whose a ticket is to be: at its desk, else at the first one that takes it, by the `journey` of the day.

    `staff` is what is known about people's work on tickets at `now`; `passed` are not to get it this time. Neither
    `ledgers` nor `staff` is changed: `keep` does that.
    """
    desk, candidates = _desk(ticket, facts, journey)
    bench = roster(journey).desks[desk]
    outs = _outs(ticket, bench, journey, staff, now, frozenset(passed))
    ledger = ledgers.get(bench.name) or Ledger()
    if len(outs) == len(bench.weights):
        waits = queued(bench, ledger, outs, staff, now)
        return Dealt(desk, None, waits.reason, None, candidates, waits.members, None, waits.look_again)
    found = turn(bench, ledger, outs)
    return Dealt(desk, found.owner, "turn", found.number, candidates, found.members, found.ledger)


def keep(dealt: Dealt, journey: Journey, ledgers: dict[str, Ledger], staff: Staff, now: datetime) -> None:
    """Take a decision over into the ledgers and what is known about people's work."""
    if dealt.ledger is not None:
        ledgers[roster(journey).desks[dealt.desk].name] = dealt.ledger
    if dealt.owner is not None:
        staff.gave(dealt.owner, now, counts=False)


def _desk(ticket: Ticket, facts: Facts, journey: Journey) -> tuple[str, tuple[Candidate, ...]]:
    """The ticket's desk, if there still is such a one, else the first whose `when` holds; the last takes any ticket."""
    assert journey.service is not None  # noqa: S101 - whoever deals tickets has asked
    desks = journey.service.desks
    if ticket["desk"] in desks:
        return ticket["desk"], ()
    *_, last = desks
    looked_at = []
    for name, desk in desks.items():
        answer = _holds(desk.when, facts, journey, asked(ticket)) if desk.when and name != last else True
        if answer is True:
            looked_at.append(Candidate(name, chosen=True, why="holds" if name != last else "catch-all"))
            break
        unknown = f"unknown: {', '.join(answer.missing) or 'no answer'}" if isinstance(answer, Unknown) else ""
        looked_at.append(Candidate(name, chosen=False, why=unknown or "does not hold"))
    return looked_at[-1].pool, tuple(looked_at)


def _holds(when: Expression, facts: Facts, journey: Journey, ticket: Mapping[str, Any]) -> bool | Unknown:
    view = facts.context(journey)
    view.replace("ticket", dict(ticket))
    answer = when.evaluate(view)
    view.replace("ticket", None)
    return answer


def _outs(
    ticket: Ticket, bench: Bench, journey: Journey, staff: Staff, now: datetime, passed: Collection[str]
) -> dict[str, Out]:
    """Who of a desk cannot take this ticket now, and why."""
    if bench.plain and not staff.away and not staff.ahead and not passed:
        return {}
    outs = {}
    for seat in bench.seats:
        if seat.person in passed:
            outs[seat.person] = PASSED
        elif out := out_now(seat, bench, journey.version, ticket["waiting_since"], staff, now):
            outs[seat.person] = out
    return outs
