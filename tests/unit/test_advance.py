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
from tests.again import AGAIN
from workers.decide.advance import Overdue, next_moves

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
score: {engagement: {on: {form: 30}}}
route: {pools: {everybody: {members: {ana: 1}}}}
lifecycle: {lead: {to: {close: closed}}, closed: {final: true}}
transitions: {close: {reason: done, when: 'score.total > 3'}}
""")
    assert lifecycle.reason(single, "close", None) == "done"
    assert next_moves(lead("lead", 5), single, NOW).moves[0].reason == "done"


# -- what time does ----------------------------------------------------------------------------------------------------

DAY = timedelta(days=1)


def since(state: str, ago: timedelta, *kinds: str) -> Facts:
    """A lead that has been in a state of the journey `again` for a while."""
    facts = lead(state, None, *kinds)
    facts.entered_at = NOW - ago
    return facts


def test_a_lead_moves_by_itself_when_it_was_in_its_state_for_long_enough_and_not_before() -> None:
    early = next_moves(since("chance", 30 * DAY - timedelta(seconds=1)), load(AGAIN), NOW)
    assert (early.moves, early.look_again) == ((), NOW + timedelta(seconds=1))
    assert [(looked.transition, looked.verdict, looked.until) for looked in early.considered] == [
        ("stale", "too early", NOW + timedelta(seconds=1))
    ]
    [move] = next_moves(since("chance", 30 * DAY), load(AGAIN), NOW).moves
    assert (move.name, move.after, move.explain()["after_s"]) == ("stale", 30 * DAY, 30 * 86400)


def test_a_move_that_was_missed_for_days_is_made_when_it_is_looked_at() -> None:
    assert [move.to_state for move in next_moves(since("chance", 300 * DAY), load(AGAIN), NOW).moves] == ["stale"]


def test_time_in_a_state_counts_from_the_move_into_it() -> None:
    found = next_moves(since("chance", 300 * DAY), load(AGAIN), NOW)
    assert (found.state, found.overdue, found.look_again) == ("stale", None, NOW + 2 * DAY)


def test_a_lead_with_a_condition_and_a_time_waits_for_the_time_whatever_its_condition_says() -> None:
    rules = load(AGAIN.replace("stale: {after: 30d}", "stale: {after: 30d, when: score.total < 10}"))
    assert next_moves(since("chance", DAY), rules, NOW).look_again == NOW + 29 * DAY
    over = next_moves(since("chance", 31 * DAY), rules, NOW)
    assert (over.moves, over.look_again) == ((), None)
    assert [(looked.verdict, looked.missing) for looked in over.considered] == [("unknown", ("score.total",))]
    facts = since("chance", 31 * DAY)
    facts.score = {"total": 9}
    assert next_moves(facts, rules, NOW).state == "stale"


def test_a_way_back_to_a_state_of_this_run_is_waited_for_and_not_forgotten() -> None:
    rules = load(
        AGAIN.replace("stale: {sla: 2d, to: {", "stale: {sla: 90d, to: {retry: chance, ").replace(
            "  buy:", "  retry: {after: 7d}\n  buy:"
        )
    )
    found = next_moves(since("chance", 40 * DAY), rules, NOW)
    assert (found.state, found.look_again) == ("stale", NOW + 7 * DAY)


def test_a_lead_that_is_too_long_in_its_state_is_told_once_for_each_stay() -> None:
    soon = next_moves(since("stale", DAY), load(AGAIN), NOW)
    assert (soon.overdue, soon.look_again) == (None, NOW + DAY)
    facts = since("stale", 3 * DAY)
    late = next_moves(facts, load(AGAIN), NOW)
    assert (late.overdue, late.look_again) == (Overdue("stale", NOW - 3 * DAY, 2 * DAY), None)
    facts.overdue = True
    assert next_moves(facts, load(AGAIN), NOW).overdue is None
    moved = next_moves(since("stale", 3 * DAY, "purchase"), load(AGAIN), NOW)
    assert (moved.state, moved.overdue) == ("offered", None)


def test_nothing_is_owed_in_a_final_state() -> None:
    found = next_moves(since("lost", 300 * DAY, "purchase"), load(AGAIN), NOW)
    assert (found.moves, found.considered, found.overdue, found.look_again) == ((), (), None, None)


def test_without_a_moment_of_entry_nothing_is_made_up() -> None:
    found = next_moves(lead("chance"), load(AGAIN), NOW)
    assert (found.moves, found.look_again) == ((), None)


# -- who comes back ----------------------------------------------------------------------------------------------------


def looked_at(again: int | None, recycled: int = 0) -> Facts:
    facts = since("out", 90 * DAY)
    facts.recycled = recycled
    facts.qualification = {"outcome": "incomplete", "passed": False, "reason": "", "look": "after"}
    facts.qualification |= {"again": again} if again else {}
    return facts


def test_a_lead_comes_back_from_a_no_when_it_was_looked_at_again_and_nothing_spoke_against_it() -> None:
    found = next_moves(looked_at(1), load(AGAIN), NOW)
    assert [(move.name, move.to_state, move.trigger, move.reason) for move in found.moves] == [
        ("requalify", "lead", "requalify", "after")
    ]
    assert found.comes_back


def test_one_second_look_brings_a_lead_back_once() -> None:
    for facts in (looked_at(None), looked_at(1, recycled=1)):
        found = next_moves(facts, load(AGAIN), NOW)
        assert (found.moves, [looked.verdict for looked in found.considered]) == ((), ["no look"])


def test_a_lead_that_comes_back_is_scored_and_routed_before_it_moves_on() -> None:
    facts = looked_at(1)
    facts.qualification = {"outcome": "qualified", "passed": True, "reason": "", "look": "after", "again": 1}
    assert [move.to_state for move in next_moves(facts, load(AGAIN), NOW).moves] == ["lead"]


# -- asked for by somebody ---------------------------------------------------------------------------------------------


def test_a_move_with_a_condition_is_refused_to_who_asks_until_it_holds() -> None:
    facts = since("chance", DAY)
    with pytest.raises(lifecycle.GuardNotMet) as unknown:
        lifecycle.guard(load(AGAIN), "offer", facts)
    assert unknown.value.facts["missing"] == ["company.employees"]
    facts.know(company={"employees": 7_341})
    lifecycle.guard(load(AGAIN), "offer", facts)
    facts.know(company={"employees": 41})
    with pytest.raises(lifecycle.GuardNotMet) as small:
        lifecycle.guard(load(AGAIN), "offer", facts)
    assert (small.value.facts["missing"], small.value.facts["guard"]) == ([], "company.employees >= 100")
    assert "41" not in str(small.value)


def test_a_move_that_happens_by_itself_may_be_asked_for_before_its_time() -> None:
    lifecycle.guard(load(AGAIN), "stale", since("chance", timedelta()))
    lifecycle.guard(load(AGAIN), "buy", since("stale", timedelta()))


def test_a_reason_that_the_journey_does_not_have_is_refused() -> None:
    for said in ("because", "", None):
        with pytest.raises(lifecycle.ReasonRequired):
            lifecycle.reason(load(AGAIN), "drop", said)
    assert lifecycle.reason(load(AGAIN), "lose", "In our own words") == "In our own words"


# -- time in state -----------------------------------------------------------------------------------------------------


def test_time_in_a_state_is_its_latest_stay_and_all_of_them() -> None:
    moves = [
        ("lead", "chance", NOW + DAY),
        ("chance", "lead", NOW + 3 * DAY),
        ("lead", "lead", NOW + 4 * DAY),
        ("lead", "chance", NOW + 6 * DAY),
    ]
    day = 86400.0
    assert lifecycle.time_in_state("chance", NOW, moves, NOW + 10 * DAY) == {
        "lead": {"latest_s": 3 * day, "total_s": 4 * day, "visits": 2},
        "chance": {"latest_s": 4 * day, "total_s": 6 * day, "visits": 2},
    }
    assert lifecycle.time_in_state("lead", NOW, [], NOW) == {"lead": {"latest_s": 0.0, "total_s": 0.0, "visits": 1}}
