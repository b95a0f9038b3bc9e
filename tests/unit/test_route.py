"""Routing: the first pool that fits, the owner a lead has, and turns that can be proved fair."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.facts import Facts
from schema.journey import default_journey
from tests.teams import one_pool, team
from workers.decide.route import Routing, choose, keep
from workers.decide.staff import Absence, Staff
from workers.decide.turns import Ledger, next_turn

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
OFFICE = {"tz": "Europe/Berlin", "mon-fri": "09:00-18:00"}


def lead(country: str | None = None, owner: str | None = None, pool: str | None = None) -> Facts:
    return Facts("l1", "website", "form", "lead", person={"country": country}, owner=owner, pool=pool)


def told(found: Routing) -> dict[str, str]:
    return {member.person: member.why for member in found.members}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def owned(assignment: dict[str, Any]) -> Facts:
    """A lead of ana's that she was given at noon."""
    given = {"since": NOW.isoformat()} | assignment
    return Facts("l1", "website", "form", "lead", owner="ana", pool="all", assignment=given)


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
@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(["ana", "ben", "cem"]), max_size=2), st.sampled_from(["de", "en", "tr"])),
        min_size=1,
        max_size=40,
    )
)
def test_whose_turn_it_was_can_be_worked_out_again_from_what_the_decision_kept(
    leads: list[tuple[set[str], str]],
) -> None:
    journey = team(TURKISH, SPEAKERS)
    ledgers: dict[str, Ledger] = {}
    for gone, language in leads:
        staff = Staff(away={person: [Absence(NOW, None)] for person in sorted(gone)})
        found = choose(speaker(language), journey, ledgers, NOW, staff)
        if found.turn is not None:
            told = json.loads(json.dumps(found.explain()))
            free = [member for member in told["members"] if "out" not in member]
            ledger = Ledger(
                told["turn"] - 1,
                {member["person"]: member["turns"] for member in free},
                {member["person"]: member["weight"] for member in free},
                {member["person"]: member["credit"] for member in free if "credit" in member},
            )
            assert next_turn(ledger)[0] == told["owner"]
        keep(found, journey, ledgers, staff, None)


# -- who is free -------------------------------------------------------------------------------------------------------


def test_who_is_away_is_passed_over_and_it_says_until_when() -> None:
    journey = team(one_pool())
    staff = Staff(away={"ana": [Absence(NOW - HOUR, NOW + 24 * HOUR)]})
    found = choose(lead(), journey, {}, NOW, staff)
    assert found.owner == "ben"
    assert told(found) == {"ana": "away until 2026-11-22 12:00 UTC", "ben": "due first: by turn 1"}
    assert found.members[0].until == NOW + 24 * HOUR


def test_when_nobody_is_there_the_lead_waits_until_the_first_comes_back() -> None:
    journey = team(one_pool())
    staff = Staff(
        away={
            "ana": [Absence(NOW, NOW + 3 * HOUR), Absence(NOW + 2 * HOUR, NOW + 9 * HOUR)],
            "ben": [Absence(NOW, None)],
        }
    )
    found = choose(lead(), journey, {}, NOW, staff)
    assert (found.owner, found.pool, found.outcome, found.reason) == (None, "all", "waiting", "everybody_away")
    assert found.look_again == NOW + 9 * HOUR
    assert found.ledger is None
    assert found.assignment is not None
    assert found.assignment.waits_for == ("ana", "ben")
    assert told(found)["ben"] == "away until they are back"


def test_outside_working_hours_a_lead_waits_for_the_next_shift() -> None:
    journey = team(one_pool(pool={"hours": OFFICE}))
    found = choose(lead(), journey, {}, utc("2026-11-21 12:00"))  # a Saturday
    assert (found.reason, found.look_again) == ("outside_working_hours", utc("2026-11-23 08:00"))


def test_own_hours_and_those_of_the_pool_both_have_to_be_open() -> None:
    early = {"ana": {"hours": {"tz": "UTC", "mon-sun": "05:00-10:00"}}}
    journey = team(one_pool(pool={"hours": OFFICE}), early)
    assert choose(lead(), journey, {}, utc("2026-11-23 09:30")).owner == "ana"
    late = choose(lead(), journey, {}, utc("2026-11-23 10:30"))
    assert late.owner == "ben"
    assert told(late)["ana"] == "outside working hours until 2026-11-24 08:00 UTC"


def test_hours_without_a_zone_are_in_that_of_the_person() -> None:
    journey = team(one_pool({"dee": 1}), {"dee": {"tz": "America/New_York", "hours": {"mon-fri": "09:00-17:00"}}})
    assert choose(lead(), journey, {}, utc("2026-11-23 13:00")).look_again == utc("2026-11-23 14:00")


def test_who_has_as_many_open_leads_as_they_take_gets_none_until_one_is_closed() -> None:
    journey = team(one_pool(), {name: {"capacity": {"open": 40}} for name in ("ana", "ben")})
    staff = Staff(open={"ana": 40, "ben": 39})
    ledgers: dict[str, Ledger] = {}
    found = choose(lead(), journey, ledgers, NOW, staff)
    assert (found.owner, told(found)["ana"]) == ("ben", "at capacity: 40 of 40 open leads")

    keep(found, journey, ledgers, staff, None)
    full = choose(lead(), journey, ledgers, NOW, staff)
    assert (full.owner, full.reason, full.look_again) == (None, "at_capacity", None)


def test_twelve_in_thirty_days_is_twelve_and_the_thirteenth_waits_for_the_window() -> None:
    journey = team(one_pool({"ana": 1}), {"ana": {"capacity": {"max": 12, "per": "30d"}}})
    ledgers: dict[str, Ledger] = {}
    staff = Staff()
    for day in range(12):
        found = choose(lead(), journey, ledgers, NOW + day * 24 * HOUR, staff)
        assert found.owner == "ana"
        keep(found, journey, ledgers, staff, None)
    found = choose(lead(), journey, ledgers, NOW + 12 * 24 * HOUR, staff)
    assert (found.owner, found.look_again) == (None, NOW + 30 * 24 * HOUR)
    assert told(found) == {"ana": "12 of 12 in 30d until 2026-12-21 12:00 UTC"}
    assert choose(lead(), journey, ledgers, NOW + 30 * 24 * HOUR, staff).owner == "ana"


def test_one_lead_in_thirty_days_is_not_rounded_to_none() -> None:
    journey = team(one_pool({"ana": 1}), {"ana": {"capacity": {"max": 1, "per": "30d"}}})
    assert choose(lead(), journey, {}, NOW).owner == "ana"


def test_a_newcomer_does_not_overtake_who_waits_for_the_same_person() -> None:
    journey = team(one_pool())
    staff = Staff(ahead={(journey.version, "all"): {"ana": NOW - HOUR}})
    found = choose(lead(), journey, {}, NOW, staff)
    assert (found.owner, told(found)["ana"]) == ("ben", "an older lead waits for them")
    older = lead()
    older.waiting_since = NOW - 2 * HOUR
    assert choose(older, journey, {}, NOW, staff).owner == "ana"


# -- who fits ----------------------------------------------------------------------------------------------------------

TURKISH = {
    "pools": {
        "speaks": {"fits": "person.language in member.speaks", "when": 'person.country == "DE"',
                   "members": {"ana": 1, "cem": 1}},
        "rest": {"fits": "person.language in member.speaks", "members": {"ana": 1, "ben": 1}},
    },
}  # fmt: skip
SPEAKERS = {"ana": {"speaks": ["de"]}, "ben": {"speaks": ["en"]}, "cem": {"speaks": ["tr", "de"]}}


def speaker(language: str | None) -> Facts:
    return Facts("l1", "website", "form", "lead", person={"country": "DE", "language": language})


def test_only_those_who_fit_take_turns_and_who_is_not_known_not_to_does() -> None:
    journey = team(TURKISH, SPEAKERS)
    assert choose(speaker("tr"), journey, {}, NOW).owner == "cem"
    assert told(choose(speaker("tr"), journey, {}, NOW))["ana"] == "does not fit"
    assert {member.out for member in choose(speaker(None), journey, {}, NOW).members} == {""}


def test_where_nobody_fits_the_next_pool_is_looked_at_and_the_catch_all_takes_anybody() -> None:
    journey = team(TURKISH, SPEAKERS)
    english = choose(speaker("en"), journey, {}, NOW)
    assert [(looked.pool, looked.why) for looked in english.candidates] == [
        ("speaks", "nobody fits"), ("rest", "catch-all"),
    ]  # fmt: skip
    assert english.owner == "ben"
    assert choose(speaker("fi"), journey, {}, NOW).owner == "ana"


# -- who had it before -------------------------------------------------------------------------------------------------


def test_whoever_had_this_persons_last_lead_gets_the_next_and_it_takes_no_turn() -> None:
    journey = team(one_pool(sticky="180d"))
    known = lead()
    known.previous_owner = ("ben", NOW + HOUR)
    found = choose(known, journey, {}, NOW)
    assert (found.owner, found.reason, found.turn, found.ledger) == ("ben", "sticky", None, None)


@pytest.mark.parametrize(
    ("until", "away", "why"),
    [(NOW, [], "too long ago"), (NOW + HOUR, [Absence(NOW, None)], "not there")],
)
def test_whoever_had_it_too_long_ago_or_is_not_there_takes_turns_as_all(
    until: datetime, away: list[Absence], why: str
) -> None:
    journey = team(one_pool(sticky="180d"))
    known = lead()
    known.previous_owner = ("ben", until)
    found = choose(known, journey, {}, NOW, Staff(away={"ben": away}))
    assert (found.owner, found.reason) == ("ana", "turn"), why


# -- who accepts it ----------------------------------------------------------------------------------------------------

PATIENT = one_pool({"ana": 1, "ben": 1, "cem": 1}, accept_within="2h", remind_after="1h", hand_on=1, escalate_to="dee")
BOSS: dict[str, Any] = {"dee": {}}


def test_time_to_accept_is_working_time() -> None:
    journey = team(PATIENT | {"pools": {"all": {"members": {"ana": 1}, "hours": OFFICE}}}, BOSS)
    found = choose(lead(), journey, {}, utc("2026-11-20 16:00"))  # Friday, an hour before closing
    assert found.assignment is not None
    assert found.assignment.accept_by == utc("2026-11-23 09:00")
    assert found.assignment.remind_at == utc("2026-11-20 17:00")
    assert found.look_again == found.assignment.remind_at


def test_who_does_not_accept_is_reminded_once_and_then_it_is_handed_on() -> None:
    journey = team(PATIENT, BOSS)
    clock = {"accept_by": (NOW + 2 * HOUR).isoformat(), "remind_at": (NOW + HOUR).isoformat()}
    assert choose(owned(clock), journey, {}, NOW).look_again == NOW + HOUR

    reminded = choose(owned(clock), journey, {}, NOW + HOUR)
    assert (reminded.outcome, reminded.owner, reminded.look_again) == ("reminded", "ana", NOW + 2 * HOUR)
    again = choose(owned(clock | {"reminded": True}), journey, {}, NOW + HOUR)
    assert (again.outcome, again.look_again) == ("routed", NOW + 2 * HOUR)

    passed = choose(owned(clock | {"reminded": True}), journey, {}, NOW + 2 * HOUR)
    assert (passed.outcome, passed.owner, passed.left, passed.reason) == ("handed_on", "ben", "ana", "not_accepted")
    assert passed.assignment is not None
    assert passed.assignment.passed == ("ana",)
    assert passed.assignment.accept_by == NOW + 4 * HOUR
    assert told(passed)["ana"] == "had it already"


def test_an_accepted_lead_stays() -> None:
    journey = team(PATIENT, BOSS)
    clock = {"accept_by": (NOW + HOUR).isoformat(), "accepted_at": NOW.isoformat()}
    found = choose(owned(clock), journey, {}, NOW + 9 * HOUR)
    assert (found.owner, found.reason, found.look_again) == ("ana", "keeps_owner", None)


def test_after_so_many_hands_it_goes_to_the_one_who_answers_for_it_and_no_further() -> None:
    journey = team(PATIENT, BOSS)
    late = {"accept_by": NOW.isoformat(), "passed": ["ben"]}
    found = choose(owned(late), journey, {}, NOW)
    assert (found.outcome, found.owner, found.look_again) == ("escalated", "dee", None)
    assert found.assignment is not None
    assert found.assignment.passed == ("ben", "ana")
    theirs = Facts("l1", "website", "form", "lead", owner="dee", pool="all", assignment=found.assignment.row())
    assert choose(theirs, journey, {}, NOW + 99 * HOUR).reason == "keeps_owner"


def test_without_anybody_who_answers_for_it_the_last_one_keeps_it_and_it_is_told_once() -> None:
    journey = team(one_pool({"ana": 1}, accept_within="2h"))
    found = choose(owned({"accept_by": NOW.isoformat()}), journey, {}, NOW)
    assert (found.outcome, found.owner) == ("escalated", "ana")
    assert found.assignment is not None
    kept = owned(found.assignment.row())
    assert choose(kept, journey, {}, NOW + HOUR).outcome == "routed"


def test_where_nobody_else_is_there_now_it_stays_until_somebody_is() -> None:
    journey = team(one_pool(accept_within="2h"))
    staff = Staff(away={"ben": [Absence(NOW, NOW + 5 * HOUR)]})
    found = choose(owned({"accept_by": NOW.isoformat()}), journey, {}, NOW, staff)
    assert (found.owner, found.reason, found.look_again) == ("ana", "keeps_owner", NOW + 5 * HOUR)


def test_who_goes_away_for_longer_than_they_have_loses_it_at_once() -> None:
    journey = team(one_pool(accept_within="2h"))
    clock = {"accept_by": (NOW + 2 * HOUR).isoformat()}
    long, short = Absence(NOW, NOW + 3 * HOUR), Absence(NOW, NOW + HOUR)
    assert choose(owned(clock), journey, {}, NOW, Staff(away={"ana": [long]})).reason == "owner_away"
    assert choose(owned(clock), journey, {}, NOW, Staff(away={"ana": [short]})).owner == "ana"


def test_a_declined_lead_waits_for_the_others_when_they_are_not_there() -> None:
    journey = team(one_pool(accept_within="2h"))
    staff = Staff(away={"ben": [Absence(NOW, None)]})
    found = choose(owned({"declined": "no_time"}), journey, {}, NOW, staff)
    assert (found.owner, found.outcome, found.reason, found.left) == (None, "waiting", "everybody_away", "ana")
    assert found.assignment is not None
    assert (found.assignment.passed, found.assignment.waits_for) == (("ana",), ("ben",))


@settings(max_examples=60, deadline=None)
@given(
    hand_on=st.integers(0, 4),
    answers=st.booleans(),
    turns=st.lists(st.sampled_from(["late", "declined"]), min_size=20, max_size=20),
)
def test_however_often_nobody_accepts_it_ends_with_somebody_and_is_never_lost(
    *, hand_on: int, answers: bool, turns: list[str]
) -> None:
    route = one_pool({"ana": 1, "ben": 1, "cem": 1}, accept_within="2h", hand_on=hand_on)
    journey = team(route | ({"escalate_to": "dee"} if answers else {}), BOSS)
    ledgers: dict[str, Ledger] = {}
    staff, now, owners = Staff(), NOW, []
    facts = lead()
    for turn in turns:
        found = choose(facts, journey, ledgers, now, staff)
        keep(found, journey, ledgers, staff, facts.owner)
        assert found.owner is not None
        if found.owner != facts.owner:
            owners.append(found.owner)
        facts.know(owner=found.owner, pool=found.pool)
        if found.assignment:
            facts.know(assignment=found.assignment.row())
        if turn == "declined" and facts.assignment and not facts.assignment.get("escalated"):
            facts.know(assignment=facts.assignment | {"declined": "no_time"})
        now += 3 * HOUR
    assert len(owners) == len(set(owners))
    assert len(owners) <= len(journey.people)
