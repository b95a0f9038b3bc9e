"""Advancing: a lead moves by itself only forward, only for what is known, and always comes to rest."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema import lifecycle
from schema.facts import Facts, Touch
from schema.journey import default_journey, load
from workers.decide.advance import next_moves

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PASSED = {"outcome": "qualified", "passed": True, "reason": ""}


def lead(state: str = "lead", total: int | None = None, *kinds: str, new: bool = True) -> Facts:
    facts = Facts("l1", "website", "form", state, qualification=PASSED)
    facts.score = None if total is None else {"total": total, "fit": 0, "engagement": 0, "grade": "B"}
    facts.touchpoints = [Touch(kind, NOW - timedelta(hours=at), str(at), new) for at, kind in enumerate(kinds)]
    return facts


def path(facts: Facts) -> list[str]:
    return [move.to_state for move in next_moves(facts, default_journey(), NOW).moves]


def test_a_warm_lead_becomes_an_opportunity_and_a_cold_one_stays() -> None:
    assert path(lead("lead", 45)) == ["opportunity"]
    assert path(lead("lead", 44)) == []


def test_a_disqualified_lead_takes_the_reason_of_its_qualification_along() -> None:
    facts = lead("lead", 90)
    facts.know(qualification={"outcome": "disqualified", "passed": False, "reason": "competitor"})
    found = next_moves(facts, default_journey(), NOW)
    assert [(move.name, move.to_state, move.reason) for move in found.moves] == [
        ("disqualify", "disqualified", "competitor")
    ]
    assert found.state == "disqualified"


def test_a_guard_that_cannot_be_answered_moves_nothing_and_names_what_is_missing() -> None:
    found = next_moves(lead("lead"), default_journey(), NOW)
    assert found.state is None
    assert [(looked.transition, looked.verdict, looked.missing) for looked in found.considered] == [
        ("disqualify", "not yet", ()),
        ("qualify", "unknown", ("score.total",)),
    ]


def test_a_purchase_carries_a_qualified_lead_all_the_way_to_customer_in_one_run() -> None:
    assert path(lead("lead", 80, "page.pricing", "purchase", "form")) == ["opportunity", "customer"]


def test_a_touchpoint_moves_a_lead_once() -> None:
    assert path(lead("opportunity", 80, "purchase")) == ["customer"]
    assert path(lead("opportunity", 80, "purchase", new=False)) == []


def test_a_lead_in_a_final_state_is_left_alone() -> None:
    assert path(lead("disqualified", 99, "purchase")) == []
    assert path(lead("a_state_of_another_version", 99, "purchase")) == []


def test_automation_does_not_go_back_to_a_state_of_this_run() -> None:
    facts = lead("serviced", None, "service.requested", "survey.answered")
    assert path(facts) == ["additional_service", "feedback_provided"]
    facts = lead("lead", 80)
    facts.visited = frozenset({"opportunity"})
    assert path(facts) == []


def test_the_explanation_is_ready_for_json() -> None:
    told = json.loads(json.dumps(next_moves(lead("lead", 50), default_journey(), NOW).explain()))
    assert told["moves"] == [
        {
            "name": "qualify",
            "from_state": "lead",
            "to_state": "opportunity",
            "reason": "",
            "guard": "qualification.passed && score.total >= 45",
        }
    ]
    assert [looked["verdict"] for looked in told["considered"]] == ["not yet", "made", "unknown"]


KINDS = ["purchase", "service.delivered", "service.requested", "survey.answered", "contract.renewed", "contract.ended"]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(default_journey().lifecycle)), st.integers(0, 100), st.sets(st.sampled_from(KINDS)))
def test_every_run_ends_in_moves_of_the_journey_without_a_state_twice(state: str, total: int, kinds: set[str]) -> None:
    journey = default_journey()
    moves = next_moves(lead(state, total, *sorted(kinds)), journey, NOW).moves
    states = [state, *(move.to_state for move in moves)]
    assert len(set(states)) == len(states) <= len(journey.lifecycle)
    assert [move.from_state for move in moves] == states[:-1]
    assert {(move.from_state, move.name, move.to_state) for move in moves} <= journey.moves


def test_a_person_can_ask_for_every_move_of_the_journey_and_for_no_other() -> None:
    journey = default_journey()
    for state, name, target in journey.moves:
        assert lifecycle.move(journey, state, name) == target
    with pytest.raises(lifecycle.IllegalTransition) as caught:
        lifecycle.move(journey, "lead", "win")
    assert caught.value.code == "illegal_transition"
    assert caught.value.facts["possible"] == ["disqualify", "qualify"]
    assert lifecycle.possible(journey, "nowhere") == {}


def test_a_lost_lead_needs_one_of_the_reasons_and_a_move_with_one_reason_brings_its_own() -> None:
    journey = default_journey()
    assert lifecycle.reason(journey, "lose", "price") == "price"
    assert lifecycle.reason(journey, "win", None) == ""
    with pytest.raises(lifecycle.ReasonRequired):
        lifecycle.reason(journey, "lose", None)
    single = load("""\
journey: single
people: {ana: {email: ana@example.com}}
route: {pools: {everybody: {members: {ana: 1}}}}
lifecycle: {lead: {to: {close: closed}}, closed: {final: true}}
transitions: {close: {reason: done, when: 'score.total > 3'}}
""")
    assert lifecycle.reason(single, "close", None) == "done"
    assert next_moves(lead("lead", 5), single, NOW).moves[0].reason == "done"
