"""Routing: the first pool that fits, the owner a lead has, and turns that can be proved fair."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from schema.facts import Facts
from schema.journey import default_journey
from workers.decide.route import Ledger, choose, next_turn, seated

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WEIGHTS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), st.integers(1, 1000), min_size=1, max_size=9)


def lead(country: str | None = None, owner: str | None = None, pool: str | None = None) -> Facts:
    return Facts("l1", "website", "form", "lead", person={"country": country}, owner=owner, pool=pool)


def turned(ledger: Ledger, turns: int) -> tuple[Ledger, list[str]]:
    owners = []
    for _ in range(turns):
        owner, _ = next_turn(ledger)
        owners.append(owner)
        ledger = Ledger(ledger.turn + 1, {**ledger.taken, owner: ledger.taken[owner] + 1}, ledger.weights)
    return ledger, owners


def test_a_lead_goes_to_the_first_pool_that_wants_it() -> None:
    found = choose(lead("AT"), default_journey(), {}, NOW)
    assert (found.pool, found.owner, found.turn, found.reason) == ("dach", "ana", 1, "turn")


def test_a_lead_no_pool_asks_for_goes_to_the_one_that_takes_whatever_is_left() -> None:
    found = choose(lead("FR"), default_journey(), {}, NOW)
    assert [(c.pool, c.chosen, c.why) for c in found.candidates] == [
        ("dach", False, "does not hold"),
        ("everybody", True, "catch-all"),
    ]


def test_a_pool_whose_question_has_no_answer_is_passed_over_and_says_so() -> None:
    found = choose(lead(), default_journey(), {}, NOW)
    assert found.pool == "everybody"
    assert found.candidates[0].why == "unknown: person.country"


def test_a_lead_keeps_the_owner_it_has_and_takes_no_turn() -> None:
    found = choose(lead("DE", owner="dee", pool="everybody"), default_journey(), {}, NOW)
    assert (found.owner, found.pool, found.turn, found.ledger) == ("dee", "everybody", None, None)
    assert found.explain() == {"pool": "everybody", "owner": "dee", "turn": None, "reason": "keeps_owner"}


def test_a_lead_whose_owner_has_left_gets_another_one() -> None:
    assert choose(lead("DE", owner="zoe"), default_journey(), {}, NOW).reason == "turn"


def test_the_ledger_carries_the_turns_from_lead_to_lead_and_is_not_changed_in_place() -> None:
    ledgers: dict[str, Ledger] = {}
    owners = []
    for turn in range(1, 31):
        before = dict(ledgers)
        found = choose(lead("DE"), default_journey(), ledgers, NOW)
        assert ledgers == before
        assert found.turn == turn
        assert found.ledger is not None
        ledgers["dach"] = found.ledger
        owners.append(found.owner)
    assert Counter(owners) == {"ana": 20, "ben": 10}


def test_the_explanation_shows_how_everybody_stood() -> None:
    told = json.loads(json.dumps(choose(lead("DE"), default_journey(), {}, NOW).explain()))
    assert told["members"] == [
        {"person": "ana", "weight": 2, "turns": 0, "why": "due first: by turn 2"},
        {"person": "ben", "weight": 1, "turns": 0, "why": "due later: by turn 3"},
    ]
    assert [candidate["pool"] for candidate in told["candidates"]] == ["dach"]


@settings(max_examples=40, deadline=None)
@given(WEIGHTS)
def test_nobody_is_ever_a_whole_turn_from_their_share(weights: dict[str, int]) -> None:
    everything = sum(weights.values())
    ledger = seated(Ledger(), weights)
    taken = dict.fromkeys(weights, 0)
    _, owners = turned(ledger, 2000)
    for turn, owner in enumerate(owners, start=1):
        taken[owner] += 1
        assert all(abs(taken[person] * everything - turn * weights[person]) < everything for person in weights)


@settings(max_examples=40, deadline=None)
@given(WEIGHTS, st.permutations(range(9)))
def test_the_order_in_which_members_are_written_changes_nothing(weights: dict[str, int], order: list[int]) -> None:
    members = list(weights.items())
    shuffled = dict(members[place] for place in order if place < len(members))
    assert turned(seated(Ledger(), weights), 50)[1] == turned(seated(Ledger(), shuffled), 50)[1]


@settings(max_examples=60, deadline=None)
@given(WEIGHTS, WEIGHTS, st.integers(0, 200), st.integers(1, 200))
def test_a_newcomer_gets_their_share_from_now_on_and_no_burst(
    before: dict[str, int], after: dict[str, int], turns: int, more: int
) -> None:
    ledger, _ = turned(seated(Ledger(), before), turns)
    reseated = seated(ledger, after)
    later, owners = turned(reseated, more)
    assert later.turn == turns + more
    start = 0 if before != after else turns
    counts = Counter(owners)
    everything = sum(after.values())
    if start == 0:
        assert all(abs(counts[person] * everything - more * after[person]) < everything for person in after)
    else:
        assert reseated is ledger
