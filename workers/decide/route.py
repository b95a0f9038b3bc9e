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
from workers.decide.staff import EVERYBODY, Bench, Out, Roster, Seat, Staff, free_again, roster, why_not
from workers.decide.turns import Ledger, Standing, after, next_turn, seated

NOBODY_IS_LEFT: Final = "nobody_left"
"""The reason of a lead that everybody in its pool has had already."""
_WAITS: Final = {
    "away": "everybody_away",
    "closed": "outside_working_hours",
    "full": "at_capacity",
    "limit": "at_capacity",
    "queue": "others_first",
}
_PASSED: Final = Out("passed", "had it already")
_QUEUE: Final = Out("queue", "an older lead waits for them")
_UNFIT: Final = Out("unfit", "does not fit")


class Member(msgspec.Struct, frozen=True, gc=False):
    """
    One person of the pool when the turn came, and why it was theirs or not.

    `turns` are those taken since the same people play, `credit` what they were owed before that, in millionths of a
    turn. Who was not free is `out` by a code, `until` a moment where the calendar says so.
    """

    person: str
    weight: int
    turns: int
    why: str
    credit: int = 0
    out: str = ""
    until: datetime | None = None

    def told(self) -> dict[str, Any]:
        """As the explanation has it."""
        known: dict[str, Any] = {
            "person": self.person, "weight": self.weight, "turns": self.turns, "why": self.why
        }  # fmt: skip
        if self.credit:
            known["credit"] = self.credit
        if self.out:
            known["out"] = self.out
        if self.until:
            known["until"] = self.until.isoformat()
        return known


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """One pool that was looked at: `why` is `holds`, `does not hold`, `catch-all` or what is unknown."""

    pool: str
    chosen: bool
    why: str


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
        queued = _queued(bench, staff, now, passed, outs, ledger)
        return msgspec.structs.replace(queued, candidates=candidates, previous=previous)
    weights = {person: weight for person, weight in bench.weights.items() if person not in outs}
    ledger = seated(ledger, weights if outs else bench.weights)
    owner, standings = next_turn(ledger)
    given = _assigned(owner, rostered, bench, facts, journey, now, passed)
    return Routing(
        bench.name,
        owner,
        ledger.turn + 1,
        "turn",
        candidates,
        _members(bench, ledger, outs, standings, owner),
        after(ledger, owner),
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
    out = _out(rostered.people[person], bench if person in bench.weights else None, facts, journey, staff, now)
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
            outs[seat.person] = _PASSED
        elif seat.person in unfit:
            outs[seat.person] = _UNFIT
        elif out := _out(seat, bench, facts, journey, staff, now):
            outs[seat.person] = out
    return outs


def _out(seat: Seat, bench: Bench | None, facts: Facts, journey: Journey, staff: Staff, now: datetime) -> Out | None:
    """Why somebody cannot take this lead now: what keeps them from any, or an older one that waits for them."""
    out = why_not(seat, bench, staff, now)
    if out is None and bench is not None and staff.ahead:
        oldest = staff.ahead.get((journey.version, bench.name), {}).get(seat.person)
        if oldest is not None and oldest < (facts.waiting_since or now):
            return _QUEUE
    return out


def _queued(
    bench: Bench, staff: Staff, now: datetime, passed: tuple[str, ...], outs: dict[str, Out], ledger: Ledger
) -> Routing:
    """Nobody is free: a place in the queue, and when somebody could be."""
    wanted = [seat for seat in bench.seats if outs[seat.person].code not in {"passed", "unfit"}]
    frees = [at for seat in wanted if (at := free_again(seat, bench, staff, now)) and at > now]
    reasons = {_WAITS[outs[seat.person].code] for seat in wanted}
    reason = reasons.pop() if len(reasons) == 1 else "nobody_free" if reasons else NOBODY_IS_LEFT
    waits = Assignment(passed=passed, waits_for=tuple(seat.person for seat in wanted))
    return Routing(
        bench.name,
        None,
        None,
        reason,
        members=_members(bench, ledger, outs, (), None),
        outcome="waiting",
        assignment=waits,
        look_again=min(frees, default=None),
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


def _members(
    bench: Bench, ledger: Ledger, outs: Mapping[str, Out], standings: Collection[Standing], owner: str | None
) -> tuple[Member, ...]:
    """How everybody of the pool stood, in the order of the file. Turn numbers are as the pool counts them, from 1."""
    credit = ledger.credit
    places = {place.person: place for place in standings}
    members = []
    for person, weight in bench.weights.items():
        own = credit.get(person, 0) if credit else 0
        out = outs.get(person)
        if out:
            members.append(Member(person, weight, ledger.taken.get(person, 0), out.why, own, out.code, out.until))
            continue
        place = places[person]
        if person == owner:
            why = f"due first: by turn {place.due}"
        elif place.may > ledger.turn + 1:
            why = f"may go again from turn {place.may}"
        else:
            why = f"due later: by turn {place.due}"
        members.append(Member(person, weight, ledger.taken[person], why, own))
    return tuple(members)
