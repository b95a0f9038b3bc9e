"""
Route: whose lead is it, and is that fair?

An owner who is still with us keeps the lead, unless it is to be handed on. Else whoever had this person's lead before
gets it back, where the journey wants that. Else the first pool whose `when` holds, and in which somebody fits, gives it
to one of its people who are free, in turns (`workers/decide/turns.py`). Is nobody free, it waits in the pool's queue.

Who is given a lead accepts it within the pool's time, counted while they work. If they do not, they are reminded, it is
handed on to others in turn, and goes at last to the one who answers for that. A turn that was not accepted, or was
declined, stays taken: else it would pay not to accept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from schema.facts import Facts
from schema.journey.expressions import Expression, Unknown
from schema.journey.model import Journey
from workers.decide.assignment import Assignment, assignment
from workers.decide.dealing import NOBODY_IS_LEFT, PASSED, Candidate, Member, out_now, queued, turn
from workers.decide.staff import EVERYBODY, Bench, Out, Roster, Seat, Staff, roster
from workers.decide.turns import Ledger

_UNFIT: Final = Out("unfit", "does not fit")


class Routing(msgspec.Struct, frozen=True, gc=False):
    """
    Whose lead it is, or that it waits (`owner` is None) in the queue of `pool`.

    `outcome` is `routed`, `waiting`, `reminded`, `handed_on` or `escalated`, `reason` says why: `turn`, `sticky` or
    `keeps_owner`; of one that waits what is wanting; of the others why it left its owner. With a turn, `turn` is its
    number in the pool (from 1), and `ledger` the pool's ledger after it, for the caller to keep before it asks for the
    next lead. `assignment` is what is to be kept of it, None where nothing changes. `left` is the owner it had before.
    `look_again` is when to ask again, if nothing happens until then.
    """

    pool: str | None
    owner: str | None
    turn: int | None
    reason: str
    candidates: tuple[Candidate, ...] = ()
    members: tuple[Member, ...] = ()
    ledger: Ledger | None = None
    outcome: str = "routed"
    assignment: Assignment | None = None
    left: str | None = None
    look_again: datetime | None = None
    previous: Member | None = None

    def explain(self) -> dict[str, Any]:
        """The record for the table `decision`."""
        known: dict[str, Any] = {"pool": self.pool, "owner": self.owner, "turn": self.turn, "reason": self.reason}
        if self.left:
            known["left"] = self.left
        if self.assignment and self.assignment.accept_by:
            known["accept_by"] = self.assignment.accept_by.isoformat()
        if self.look_again:
            known["look_again"] = self.look_again.isoformat()
        if self.previous:
            known["previous"] = self.previous.told()
        if self.candidates:
            known["candidates"] = [
                {"pool": looked.pool, "chosen": looked.chosen, "why": looked.why} for looked in self.candidates
            ]
            known["members"] = [member.told() for member in self.members]
        return known


def choose(
    facts: Facts,
    journey: Journey,
    ledgers: Mapping[str, Ledger],
    now: datetime,
    staff: Staff = EVERYBODY,
) -> Routing:
    """
    The pool and the person for one lead, and the ledger of that pool after the turn.

    `ledgers` has the ledger of every pool that has one, `staff` what is known about people's work at `now`, when the
    lead is routed. Neither is changed: `keep` does that.
    """
    if facts.owner not in journey.people:
        found = _given(facts, journey, ledgers, now, staff)
        return msgspec.structs.replace(found, left=facts.owner) if facts.owner else found
    kept = assignment(facts.assignment)
    why = _leaves(facts, kept, journey, now, staff)
    if why:
        return _handed_on(facts, journey, ledgers, now, staff, kept, why)
    return _kept(facts, kept, now)


def keep(found: Routing, journey: Journey, ledgers: dict[str, Ledger], staff: Staff, owner: str | None) -> None:
    """Take a decision about a lead that had `owner` over into the ledgers and what is known about people's work."""
    if found.pool is not None and found.ledger is not None:
        ledgers[found.pool] = found.ledger
    if found.owner != owner:
        if owner:
            staff.took(owner)
        if found.owner and found.assignment and found.assignment.since:
            seat = roster(journey).people[found.owner]
            staff.gave(found.owner, found.assignment.since, counts=seat.most is not None)


# -- an owner it has ---------------------------------------------------------------------------------------------------


def _leaves(facts: Facts, kept: Assignment, journey: Journey, now: datetime, staff: Staff) -> str:
    """Why the lead leaves its owner; empty where it stays."""
    if kept.declined:
        return "declined"
    by = kept.accept_by
    if by is None or kept.accepted_at or kept.escalated or journey.lifecycle[facts.state].final:
        return ""
    if now >= by:
        return "not_accepted"
    spell = staff.absence(facts.owner or "", now) if staff.away else None
    return "owner_away" if spell and (spell.end is None or spell.end > by) else ""


def _kept(facts: Facts, kept: Assignment, now: datetime) -> Routing:
    """The owner keeps it; while they have not accepted it, its clock is looked at."""
    by = kept.accept_by
    if by is None or kept.accepted_at or kept.escalated or now >= by:
        return Routing(facts.pool, facts.owner, None, "keeps_owner")
    remind = kept.remind_at if not kept.reminded else None
    if remind is not None and now >= remind:
        reminded = msgspec.structs.replace(kept, reminded=True)
        return Routing(
            facts.pool, facts.owner, None, "keeps_owner", outcome="reminded", assignment=reminded, look_again=by
        )
    return Routing(facts.pool, facts.owner, None, "keeps_owner", look_again=remind or by)


def _handed_on(
    facts: Facts,
    journey: Journey,
    ledgers: Mapping[str, Ledger],
    now: datetime,
    staff: Staff,
    kept: Assignment,
    why: str,
) -> Routing:
    """To the next in turn, or to the one who answers for leads that nobody accepts, or, for want of both, nobody."""
    owner = str(facts.owner)
    passed = tuple(dict.fromkeys((*kept.passed, owner)))
    last = journey.route.escalate_to
    answers = last if last in journey.people and last not in passed else None
    if len(kept.passed) < journey.route.hand_on or (why == "declined" and answers is None):
        found = _given(facts, journey, ledgers, now, staff, passed)
        waits = found.owner is None and found.reason != NOBODY_IS_LEFT
        if found.owner or (waits and why == "declined"):
            outcome = "handed_on" if found.owner else "waiting"
            reason = why if found.owner else found.reason
            return msgspec.structs.replace(found, outcome=outcome, reason=reason, left=owner)
        if waits and found.look_again:  # nobody else is there now: it stays until somebody is
            return Routing(facts.pool, owner, None, "keeps_owner", found.candidates, found.members,
                           look_again=found.look_again)  # fmt: skip
    if answers is None:
        escalated = msgspec.structs.replace(kept, escalated=True, declined=None, accepted_at=None)
        return Routing(facts.pool, owner, None, why, outcome="escalated", assignment=escalated)
    escalated = Assignment(since=now, passed=passed, escalated=True)
    return Routing(facts.pool, answers, None, why, outcome="escalated", assignment=escalated, left=owner)


# -- an owner it gets --------------------------------------------------------------------------------------------------


def _given(
    facts: Facts,
    journey: Journey,
    ledgers: Mapping[str, Ledger],
    now: datetime,
    staff: Staff,
    passed: tuple[str, ...] = (),
) -> Routing:
    """An owner for a lead that none of `passed` kept, or a place in a queue."""
    rostered = roster(journey)
    if passed and facts.pool in rostered.benches:
        bench = rostered.benches[facts.pool]
        candidates: tuple[Candidate, ...] = (Candidate(bench.name, chosen=True, why="its pool"),)
        unfit = _unfit(bench, facts, journey)
    else:
        bench, candidates, unfit = _pool(facts, journey, rostered)
        before = assignment(facts.assignment).passed if facts.waiting_since else ()
        passed = passed or (before if set(before) < bench.weights.keys() else ())
    previous = None if passed else _previous(facts, journey, rostered, bench, now, staff)
    if previous and not previous.out:
        given = _assigned(previous.person, rostered, bench, facts, journey, now, passed)
        return Routing(bench.name, previous.person, None, "sticky", candidates, assignment=given, previous=previous,
                       look_again=given.remind_at or given.accept_by)  # fmt: skip
    outs = _outs(facts, journey, bench, staff, now, passed, unfit)
    ledger = ledgers.get(bench.name) or Ledger()
    if len(outs) == len(bench.weights):
        waiting = _queued(bench, staff, now, passed, outs, ledger)
        return msgspec.structs.replace(waiting, candidates=candidates, previous=previous)
    found = turn(bench, ledger, outs)
    given = _assigned(found.owner, rostered, bench, facts, journey, now, passed)
    return Routing(
        bench.name,
        found.owner,
        found.number,
        "turn",
        candidates,
        found.members,
        found.ledger,
        assignment=given,
        look_again=given.remind_at or given.accept_by,
        previous=previous,
    )


def _pool(facts: Facts, journey: Journey, rostered: Roster) -> tuple[Bench, tuple[Candidate, ...], Collection[str]]:
    """The first pool whose `when` holds and in which somebody fits, and who does not; the last one takes any lead."""
    view = facts.context(journey)
    looked_at = []
    unfit: Collection[str] = ()
    *_, last = journey.route.pools
    for name, pool in journey.route.pools.items():
        answer = True if pool.when is None else pool.when.evaluate(view)
        bench = rostered.benches[name]
        if answer is True:
            unfit = _unfit(bench, facts, journey) if bench.fits else ()
            if name == last or len(unfit) < len(bench.seats):
                looked_at.append(Candidate(name, chosen=True, why="holds" if pool.when else "catch-all"))
                break
            why = "nobody fits"
        elif isinstance(answer, Unknown):
            why = f"unknown: {', '.join(answer.missing) or 'no answer'}"
        else:
            why = "does not hold"
        looked_at.append(Candidate(name, chosen=False, why=why))
    return rostered.benches[looked_at[-1].pool], tuple(looked_at), unfit


def _unfit(bench: Bench, facts: Facts, journey: Journey) -> Collection[str]:
    """Of whom `fits` does not hold. In the catch-all, where nobody fits, everybody does."""
    if bench.fits is None:
        return ()
    unfit = {seat.person for seat in bench.seats if not _fits(bench.fits, seat, facts, journey)}
    *_, last = journey.route.pools
    return () if bench.name == last and len(unfit) == len(bench.seats) else unfit


def _fits(fits: Expression, seat: Seat, facts: Facts, journey: Journey) -> bool:
    """Whether a member fits; who is not known not to does."""
    view = facts.context(journey)
    view.replace("member", seat.member)
    answer = fits.evaluate(view)
    view.replace("member", None)
    return answer is not False


def _previous(
    facts: Facts, journey: Journey, rostered: Roster, bench: Bench, now: datetime, staff: Staff
) -> Member | None:
    """Whoever had this person's lead before and would get this one, with why they do not; None for nobody."""
    if facts.previous_owner is None or journey.route.sticky is None:
        return None
    person, until = facts.previous_owner
    if person not in rostered.people or now >= until:
        return None
    pool = bench if person in bench.weights else None
    out = out_now(rostered.people[person], pool, journey.version, facts.waiting_since, staff, now)
    why = out.why if out else "had this person's lead before"
    return Member(person, bench.weights.get(person, 0), 0, why, out=out.code if out else "", until=out and out.until)


def _outs(
    facts: Facts,
    journey: Journey,
    bench: Bench,
    staff: Staff,
    now: datetime,
    passed: Collection[str],
    unfit: Collection[str],
) -> dict[str, Out]:
    """Who of a pool cannot take this lead now, and why."""
    ahead = staff.ahead.get((journey.version, bench.name))
    if bench.plain and not staff.away and not ahead and not passed:
        return {}
    outs = {}
    for seat in bench.seats:
        if seat.person in passed:
            outs[seat.person] = PASSED
        elif seat.person in unfit:
            outs[seat.person] = _UNFIT
        elif out := out_now(seat, bench, journey.version, facts.waiting_since, staff, now):
            outs[seat.person] = out
    return outs


def _queued(
    bench: Bench, staff: Staff, now: datetime, passed: tuple[str, ...], outs: dict[str, Out], ledger: Ledger
) -> Routing:
    """Nobody is free: a place in the queue, and when somebody could be."""
    found = queued(bench, ledger, outs, staff, now)
    waits = Assignment(passed=passed, waits_for=found.waits_for)
    return Routing(
        bench.name,
        None,
        None,
        found.reason,
        members=found.members,
        outcome="waiting",
        assignment=waits,
        look_again=found.look_again,
    )


def _assigned(
    owner: str, rostered: Roster, bench: Bench, facts: Facts, journey: Journey, now: datetime, passed: tuple[str, ...]
) -> Assignment:
    """The lead is given to somebody; their clock to accept it runs while they work, unless it was only loaded."""
    within = bench.accept_within
    if within is None or facts.quiet:
        return Assignment(since=now, passed=passed)
    worked = rostered.people[owner].hours or bench.hours

    def by(time: timedelta) -> datetime | None:
        return worked.add(now, time) if worked else now + time

    remind = journey.route.remind_after
    remind_at = by(remind) if remind and remind < within else None
    return Assignment(since=now, accept_by=by(within), remind_at=remind_at, passed=passed)
