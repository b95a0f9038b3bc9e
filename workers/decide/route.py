"""
Route: whose lead is it, and is that fair?

The first pool whose `when` holds takes the lead; an owner who is still with us keeps it. Within a pool people take
turns by weight, by the rule of proportionate fairness (Baruah, Cohen, Plaxton and Varvel, 1996): somebody with weight w
of W in all may take their j-th turn from turn floor((j-1)*W/w) on and has to have had it by ceil(j*W/w); of those who
may, the one who has to soonest does. After any number of turns nobody is a whole turn away from their share, which the
ledger shows and anybody can replay: whole numbers only, ties by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from schema.facts import Facts
from schema.journey.expressions import Unknown
from schema.journey.model import Journey


class Ledger(msgspec.Struct, frozen=True):
    """
    The turns of one pool.

    `turn` counts all there ever were. `taken` counts each member's since the weights were last changed: then everybody
    starts even, so a newcomer has no backlog to catch up on and nobody an old debt.
    """

    turn: int = 0
    taken: dict[str, int] = {}
    weights: dict[str, int] = {}
    credit: dict[str, int] = {}


class Member(msgspec.Struct, frozen=True, gc=False):
    """One person of the pool when the turn came: turns taken before it, and why it was theirs or not."""

    person: str
    weight: int
    turns: int
    why: str


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """One pool that was looked at: `why` is `holds`, `does not hold`, `catch-all` or what is unknown."""

    pool: str
    chosen: bool
    why: str


class Routing(msgspec.Struct, frozen=True, gc=False):
    """
    Whose lead it is. `reason` is `turn` or `keeps_owner`.

    With `turn`: its number in the pool (from 1), and `ledger` is the pool's ledger after it, for the caller to keep
    before it asks for the next lead. An owner who is kept takes no turn: `turn` and `ledger` are None.
    """

    pool: str | None
    owner: str
    turn: int | None
    reason: str
    candidates: tuple[Candidate, ...] = ()
    members: tuple[Member, ...] = ()
    ledger: Ledger | None = None

    def explain(self) -> dict[str, Any]:
        """The record for the table `decision`."""
        told: dict[str, Any] = {"pool": self.pool, "owner": self.owner, "turn": self.turn, "reason": self.reason}
        if self.candidates:
            told["candidates"] = [msgspec.structs.asdict(candidate) for candidate in self.candidates]
            told["members"] = [msgspec.structs.asdict(member) for member in self.members]
        return told


def choose(facts: Facts, journey: Journey, ledgers: Mapping[str, Ledger], now: datetime) -> Routing:  # noqa: ARG001
    """
    The pool and the person for one lead, and the ledger of that pool after the turn.

    `ledgers` has the ledger of every pool that has one; it is not changed. `now` is when the lead is routed.
    """
    if facts.owner in journey.people:
        return Routing(facts.pool, facts.owner, None, "keeps_owner")
    pool, candidates = _pool(facts, journey)
    ledger = seated(ledgers.get(pool, Ledger()), journey.route.pools[pool].members)
    owner, members = next_turn(ledger)
    after = Ledger(ledger.turn + 1, {**ledger.taken, owner: ledger.taken[owner] + 1}, ledger.weights)
    return Routing(pool, owner, after.turn, "turn", candidates, members, after)


def _pool(facts: Facts, journey: Journey) -> tuple[str, tuple[Candidate, ...]]:
    """The first pool whose `when` holds; the last one has none, so there always is one."""
    view = facts.context(journey)
    looked_at = []
    for name, pool in journey.route.pools.items():
        answer = True if pool.when is None else pool.when.evaluate(view)
        if answer is True:
            looked_at.append(Candidate(name, True, "holds" if pool.when else "catch-all"))
            break
        why = f"unknown: {', '.join(answer.missing) or 'no answer'}" if isinstance(answer, Unknown) else "does not hold"
        looked_at.append(Candidate(name, False, why))
    return looked_at[-1].pool, tuple(looked_at)


def seated(ledger: Ledger, weights: dict[str, int]) -> Ledger:
    """The ledger for these weights: itself, or, when they have changed, one in which everybody starts even."""
    if ledger.weights == weights and ledger.taken.keys() == weights.keys():
        return ledger
    return Ledger(ledger.turn, dict.fromkeys(weights, 0), dict(weights))


def next_turn(ledger: Ledger) -> tuple[str, tuple[Member, ...]]:
    """Whose turn is next, and how each member stood. The ledger has to be `seated`."""
    everything = sum(ledger.weights.values())
    turn = sum(ledger.taken.values())
    standing = []
    for person, weight in ledger.weights.items():
        taken = ledger.taken[person]
        standing.append((taken * everything // weight, -(-(taken + 1) * everything // weight), person))
    _, _, owner = min((deadline, person, person) for start, deadline, person in standing if start <= turn)
    first = ledger.turn - turn
    return owner, tuple([_member(ledger, place, owner, turn, first) for place in standing])


def _member(ledger: Ledger, place: tuple[int, int, str], owner: str, turn: int, first: int) -> Member:
    """Turn numbers are told as the pool counts them, from 1."""
    start, deadline, person = place
    if person == owner:
        why = f"due first: by turn {first + deadline}"
    elif start > turn:
        why = f"may go again from turn {first + start + 1}"
    else:
        why = f"due later: by turn {first + deadline}"
    return Member(person, ledger.weights[person], ledger.taken[person], why)
