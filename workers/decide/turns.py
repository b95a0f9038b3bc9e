"""
Turns: whose turn is it, so that everybody gets their share?

A pool deals turns by the rule of proportionate fairness (Baruah, Cohen, Plaxton and Varvel, 1996). Every turn is owed
to those who are in play for it in proportion to their weights, and whoever takes it pays a whole one. Somebody may take
a turn when they would not be paid further ahead than a turn by it, and is due when they would be owed a whole turn if
another went first; of those who may, the one who is due soonest does. While the same people play, nobody is ever a
whole turn away from their share, whatever the weights.

Who is in play changes from lead to lead: people are away, full, or do not fit. What each is owed at that moment is kept
as their credit and they go on from there, so nobody gains or loses by it, and whoever is not in play neither gains nor
loses at all. Among those in play only what they are owed compared with each other counts, and whoever is owed a whole
turn goes before all others, the one who is owed most first. Then nobody is ever n-1 turns away from their share, for n
people and any changes: whoever took the turn stands less than two turns behind everybody who could have, and with that
any k people together stay less than k(n-k) turns ahead of their shares, as each turn that would take them further goes
to somebody who is closer than that to the others. No rule that does not know the changes beforehand can keep it below a
fixed number of turns for any number of people: that is the carpool problem (Fagin and Williams, 1983; Ajtai, Aspnes,
Naor, Rabani, Schulman and Waarts, Fairness in Scheduling, 1998), where picking the one who is owed most gives (n-1)/2.

Whole numbers only, ties by name: from the ledger anybody can replay every turn.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

TURN: Final = 1_000_000
"""A turn in the unit of credit."""


class Ledger(msgspec.Struct, frozen=True):
    """
    The turns of one pool.

    `turn` counts all there ever were. `weights` are those of the people in play, `taken` counts the turns of each since
    these began to play, and `credit` is what everybody who ever played was owed at that moment, in millionths of a
    turn; together it is nothing. Who leaves keeps what they are owed for the time when they come back.
    """

    turn: int = 0
    taken: dict[str, int] = {}
    weights: dict[str, int] = {}
    credit: dict[str, int] = {}


class Standing(NamedTuple):
    """
    How somebody in play stands before a turn. `may` is the number of the first turn they may take, `due` of the last.

    `owed` orders those who are due at once.
    """

    due: int
    owed: int
    person: str
    may: int


def seated(ledger: Ledger, weights: dict[str, int]) -> Ledger:
    """The ledger with these in play: itself, or one that goes on from what everybody is owed."""
    if ledger.weights == weights:
        return ledger
    return Ledger(ledger.turn, dict.fromkeys(weights, 0), dict(weights), owed(ledger))


def owed(ledger: Ledger) -> dict[str, int]:
    """What everybody is owed now, in millionths of a turn; nothing where it is nothing. Together it is nothing too."""
    credit = dict(ledger.credit)
    everything, turns = sum(ledger.weights.values()), sum(ledger.taken.values())
    parts = {person: divmod(TURN * turns * weight, everything) for person, weight in ledger.weights.items()}
    left = TURN * turns - sum(whole for whole, _ in parts.values())
    # What does not divide goes to the largest remainders, so that nothing is made or lost.
    larger = sorted(parts, key=lambda person: (-parts[person][1], person))[:left]
    for person, (whole, _) in parts.items():
        credit[person] = credit.get(person, 0) + whole + (person in larger) - TURN * ledger.taken[person]
    return {person: millionths for person, millionths in credit.items() if millionths}


def next_turn(ledger: Ledger) -> tuple[str, list[Standing]]:
    """Whose turn is next, and how everybody in play stands. The ledger has to be `seated`, with somebody in play."""
    weights, taken, credit = ledger.weights, ledger.taken, ledger.credit
    people, everything, turns = len(weights), sum(weights.values()), sum(taken.values())
    together = sum([credit.get(person, 0) for person in weights]) if credit else 0
    turn, unit = ledger.turn, TURN * people
    standings = []
    for person, weight in weights.items():
        own = credit.get(person, 0) if credit else 0
        # What they are owed compared with the others in play, times `unit` times all weights; and each turn's share.
        lag = unit * (turns * weight - taken[person] * everything) + everything * (people * own - together)
        share = unit * weight
        due = -((lag - unit * everything) // share)
        may = -lag // share + 1
        standings.append(Standing(turn + max(due, 1), -lag - share, person, turn + may))
    return min([place for place in standings if place.may <= turn + 1])[2], standings


def after(ledger: Ledger, owner: str) -> Ledger:
    """The ledger when `owner` has taken the turn."""
    taken = {**ledger.taken, owner: ledger.taken[owner] + 1}
    return Ledger(ledger.turn + 1, taken, ledger.weights, ledger.credit)
