"""
Dealing: whose turn is it among the people of a pool or a desk, or who has to be waited for?

What leads and tickets have in common. Who cannot take this one now is out for a reason that is told; of the others the
one whose turn it is takes it (`workers/decide/turns.py`). Where everybody is out it waits, and whatever has waited
longer for the same people goes before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from workers.decide.staff import Bench, Out, Seat, Staff, free_again, why_not
from workers.decide.turns import Ledger, Standing, after, next_turn, seated

NOBODY_IS_LEFT: Final = "nobody_left"
"""The reason of what everybody has had already."""
_WAITS: Final = {
    "away": "everybody_away",
    "closed": "outside_working_hours",
    "full": "at_capacity",
    "limit": "at_capacity",
    "queue": "others_first",
}
PASSED: Final = Out("passed", "had it already")


class Member(msgspec.Struct, frozen=True, gc=False):
    """
    One person of a pool or desk when the turn came, and why it was theirs or not.

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
    """One pool or desk that was looked at: `why` is `holds`, `does not hold`, `catch-all` or what is unknown."""

    pool: str
    chosen: bool
    why: str


class Turn(NamedTuple):
    """Whose turn it is, its number (from 1), how everybody stood, and the ledger after it."""

    owner: str
    number: int
    members: tuple[Member, ...]
    ledger: Ledger


class Queued(NamedTuple):
    """Why nobody is free, for whom it waits, how everybody stands, and when somebody could be free."""

    reason: str
    waits_for: tuple[str, ...]
    members: tuple[Member, ...]
    look_again: datetime | None


def out_now(
    seat: Seat, bench: Bench | None, version: str, waiting_since: datetime | None, staff: Staff, now: datetime
) -> Out | None:
    """Why somebody cannot take this one now: what keeps them from any, or an older one that waits for them."""
    out = why_not(seat, bench, staff, now)
    if out is None and bench is not None and staff.ahead:
        oldest = staff.ahead.get((version, bench.name), {}).get(seat.person)
        if oldest is not None and oldest < (waiting_since or now):
            return Out("queue", f"an older {bench.what} waits for them")
    return out


def turn(bench: Bench, ledger: Ledger, outs: Mapping[str, Out]) -> Turn:
    """Deal a turn among those who are not out; there has to be one."""
    weights = {person: weight for person, weight in bench.weights.items() if person not in outs}
    ledger = seated(ledger, weights if outs else bench.weights)
    owner, standings = next_turn(ledger)
    return Turn(owner, ledger.turn + 1, _members(bench, ledger, outs, standings, owner), after(ledger, owner))


def queued(bench: Bench, ledger: Ledger, outs: Mapping[str, Out], staff: Staff, now: datetime) -> Queued:
    """Everybody is out: whom to wait for, and until when at most."""
    wanted = [seat for seat in bench.seats if outs[seat.person].code not in {"passed", "unfit"}]
    frees = [at for seat in wanted if (at := free_again(seat, bench, staff, now)) and at > now]
    reasons = {_WAITS[outs[seat.person].code] for seat in wanted}
    reason = reasons.pop() if len(reasons) == 1 else "nobody_free" if reasons else NOBODY_IS_LEFT
    members = _members(bench, ledger, outs, (), None)
    return Queued(reason, tuple(seat.person for seat in wanted), members, min(frees, default=None))


def _members(
    bench: Bench, ledger: Ledger, outs: Mapping[str, Out], standings: Collection[Standing], owner: str | None
) -> tuple[Member, ...]:
    """How everybody stood, in the order of the file. Turn numbers are as the ledger counts them, from 1."""
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
