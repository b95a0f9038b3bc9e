"""Turns: everybody gets their share, whoever else is there or is not."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.decide.turns import TURN, Ledger, after, next_turn, owed, seated

NAMES = "abcdefghij"
WEIGHTS = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 1000), min_size=1, max_size=9)
CHANGES = st.lists(
    st.tuples(WEIGHTS, st.integers(1, 12)),
    min_size=1,
    max_size=40,
)


class Watch:
    """Deals turns beside the ledger's own counting: exact shares, for whoever is in play."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.share: Counter[str] = Counter()
        self.turns: Counter[str] = Counter()
        self.exact: dict[str, Fraction] = {}
        self.changes = 0
        self.owners: list[str] = []

    def deal(self, weights: dict[str, int]) -> str:
        before = self.ledger
        self.ledger = seated(self.ledger, weights)
        self.changes += self.ledger is not before
        owner, _ = next_turn(self.ledger)
        self.ledger = after(self.ledger, owner)
        everything = sum(weights.values())
        for person, weight in weights.items():
            self.exact[person] = self.exact.get(person, Fraction(0)) + Fraction(weight, everything)
        self.exact[owner] -= 1
        self.turns[owner] += 1
        self.owners.append(owner)
        return owner

    def furthest(self) -> Fraction:
        return max(abs(deviation) for deviation in self.exact.values())


@settings(max_examples=50, deadline=None)
@given(WEIGHTS)
def test_nobody_is_ever_a_whole_turn_from_their_share(weights: dict[str, int]) -> None:
    everything = sum(weights.values())
    ledger, taken = seated(Ledger(), weights), dict.fromkeys(weights, 0)
    for turn in range(1, 1500):
        owner, _ = next_turn(ledger)
        ledger = after(ledger, owner)
        taken[owner] += 1
        assert all(abs(taken[person] * everything - turn * weights[person]) < everything for person in weights)


@settings(max_examples=150, deadline=None)
@given(CHANGES)
def test_whoever_comes_and_goes_nobody_is_n_minus_one_turns_from_their_share(
    changes: list[tuple[dict[str, int], int]],
) -> None:
    watch = Watch()
    for weights, turns in changes:
        for _ in range(turns):
            watch.deal(weights)
            people = len(watch.exact)
            rounding = Fraction(watch.changes, TURN)
            assert watch.furthest() <= max(people - 1, 0) + rounding


@settings(max_examples=150, deadline=None)
@given(CHANGES)
def test_what_the_ledger_says_is_owed_is_what_is_owed_and_together_nothing(
    changes: list[tuple[dict[str, int], int]],
) -> None:
    watch = Watch()
    for weights, turns in changes:
        for _ in range(turns):
            watch.deal(weights)
    credit = owed(watch.ledger)
    assert sum(credit.values()) == 0
    rounding = Fraction(watch.changes + 1, TURN)
    for person, deviation in watch.exact.items():
        assert abs(Fraction(credit.get(person, 0), TURN) - deviation) <= rounding


@settings(max_examples=60, deadline=None)
@given(CHANGES, st.permutations(range(10)))
def test_the_ledger_can_be_kept_read_back_and_replayed(
    changes: list[tuple[dict[str, int], int]], order: list[int]
) -> None:
    """Also when the database gives members back in another order than they were written in."""
    first, second = Watch(), Watch()
    for weights, turns in changes:
        members = list(weights.items())
        shuffled = dict(members[place] for place in order if place < len(members))
        for _ in range(turns):
            first.deal(weights)
            second.ledger = msgspec.json.decode(msgspec.json.encode(second.ledger), type=Ledger)
            second.deal(shuffled)
    assert first.owners == second.owners


def test_with_sets_that_flip_on_each_lead_the_first_by_name_does_not_win() -> None:
    watch = Watch()
    for lead in range(3000):
        watch.deal({"ana": 1, "ben": 1} if lead % 2 else {"ana": 1, "ben": 1, "cem": 1})
    assert watch.turns == {"ana": 1250, "ben": 1250, "cem": 500}


def test_who_was_away_neither_catches_up_nor_has_lost_anything() -> None:
    watch = Watch()
    for _ in range(100):
        watch.deal({"ana": 1, "ben": 1})
    for _ in range(50):
        watch.deal({"ana": 1})
    before = watch.turns.copy()
    for _ in range(10):
        watch.deal({"ana": 1, "ben": 1})
    assert watch.turns - before == {"ana": 5, "ben": 5}


def test_a_new_version_with_other_weights_keeps_what_everybody_is_owed() -> None:
    watch = Watch()
    watch.deal({"ana": 1, "ben": 1})  # ana has had half a turn too many
    assert watch.deal({"ana": 3, "ben": 2}) == "ben"


def test_who_leaves_and_comes_back_has_what_they_were_owed() -> None:
    watch = Watch()
    watch.deal({"ana": 1, "ben": 1})
    for _ in range(6):
        watch.deal({"ana": 1, "cem": 1})
    assert owed(watch.ledger)["ben"] == TURN // 2


def test_of_those_who_are_owed_a_whole_turn_the_one_who_is_owed_most_goes_first_whatever_the_weights() -> None:
    credit = {"ana": 2 * TURN, "ben": TURN * 3 // 2, "cem": -TURN * 7 // 2}
    ledger = seated(Ledger(credit=credit), {"ana": 1000, "ben": 1, "cem": 500})
    assert next_turn(ledger)[0] == "ana"


@settings(max_examples=60, deadline=None)
@given(WEIGHTS, st.integers(1, 400))
def test_a_turn_is_told_to_be_taken_no_later_than_it_is_due(weights: dict[str, int], turns: int) -> None:
    ledger = seated(Ledger(), weights)
    for turn in range(1, turns):
        owner, standings = next_turn(ledger)
        assert next(place for place in standings if place.person == owner).due >= turn
        ledger = after(ledger, owner)
