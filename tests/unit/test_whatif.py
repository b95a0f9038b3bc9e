"""What would make this lead a B? Whatever is suggested reaches it, and nothing smaller of the same kind does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schema.facts import Facts, Touch
from schema.journey import Journey, default_journey
from workers.decide.score import warmth
from workers.decide.whatif import MOST_TOLD, Need, needs, reach, supposed

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
KINDS = ("form", "email.click", "visit", "spam")
FLAGS = "abcd"


def journey_of(fit: list[tuple[int, str]], cap: int, most: int | None, group: int) -> Journey:
    rules = [
        {"when": f"person.custom.{name}", "points": points, "group": "who" if in_group else None}
        for name, (points, in_group) in zip(FLAGS, fit, strict=False)
    ]
    on: dict[str, Any] = {
        "form": 30,
        "email.click": {"points": 6, "max": most, "group": "web"},
        "visit": {"points": 9, "half_life": "3d", "group": "web"},
        "spam": -15,
    }
    return Journey.model_validate(
        {
            "journey": "scoring",
            "people": {"ana": {"email": "ana@example.com"}},
            "score": {
                "fit": rules,
                "engagement": {"cap": cap, "on": on},
                "groups": {"who": {"cap": 25}, "web": {"cap": group}},
                "grades": {"A": 70, "B": 45, "C": 20},
            },
            "route": {"pools": {"everybody": {"members": {"ana": 1}}}},
            "lifecycle": {"lead": {"final": True}},
        }
    )


FIT = st.lists(st.tuples(st.integers(-30, 40), st.sampled_from(["", "who"])), max_size=4)
JOURNEYS = st.builds(journey_of, FIT, st.integers(0, 100), st.none() | st.integers(1, 4), st.integers(5, 40))
TOUCHES = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 40 * 24 * 60)), max_size=5).map(
    lambda drawn: [Touch(kind, NOW - timedelta(minutes=ago), str(number)) for number, (kind, ago) in enumerate(drawn)]
)
ANSWERS = st.dictionaries(st.sampled_from(FLAGS), st.booleans())


def lead(answers: dict[str, bool], touches: list[Touch]) -> Facts:
    return Facts("l1", "website", "form", "lead", person={"custom": dict(answers)}, touchpoints=list(touches))


def as_if(need: Need, answers: dict[str, bool], touches: list[Touch], journey: Journey) -> Facts:
    """The lead with all that a suggestion asks for."""
    changed = {rule.rule.removeprefix("person.custom."): rule.holds for rule in need.fit}
    return lead(answers | changed, touches + supposed(need.touches, journey, NOW))


@settings(max_examples=200, deadline=None)
@given(JOURNEYS, ANSWERS, TOUCHES, st.integers(1, 100))
def test_every_suggestion_reaches_what_was_asked_for(
    journey: Journey, answers: dict[str, bool], touches: list[Touch], target: int
) -> None:
    facts = lead(answers, touches)
    found = needs(facts, journey, NOW, target)
    far = reach(facts, journey, NOW, target)
    assert len(found) <= MOST_TOLD
    for need in found:
        then = warmth(as_if(need, answers, touches, journey), journey, NOW)
        assert then.total == need.total >= target
        assert far.possible
        for number, (kind, count) in enumerate(need.touches):
            if len(need.touches) == 1 and count > 1:
                fewer = Need(need.fit, ((kind, count - 1),), 0)
                assert warmth(as_if(fewer, answers, touches, journey), journey, NOW).total < target, number
    if warmth(facts, journey, NOW).total >= target:
        assert found == []


@settings(max_examples=200, deadline=None)
@given(JOURNEYS, ANSWERS, TOUCHES)
def test_nothing_reaches_what_is_called_out_of_reach(
    journey: Journey, answers: dict[str, bool], touches: list[Touch]
) -> None:
    far = reach(lead(answers, touches), journey, NOW, 100)
    best = {name: rule.points > 0 for name, rule in zip(FLAGS, journey.score.fit, strict=False) if rule.points}
    many = [("form", 20), ("visit", 20), ("email.click", 20)]
    facts = lead(answers | best, touches + supposed(many, journey, NOW))
    found = warmth(facts, journey, NOW)
    assert (found.fit, found.engagement) == (far.most_fit, far.most_engagement)
    assert far.possible == (found.total == 100)


def asking(touches: list[Touch], **company: object) -> Facts:
    return Facts("l1", "website", "form", "lead", company=company, touchpoints=touches)


def told(found: list[Need]) -> list[tuple[list[str], dict[str, int]]]:
    return [([rule.rule for rule in need.fit], dict(need.touches)) for need in found]


def test_what_is_missing_for_a_b_is_named_the_smallest_first() -> None:
    facts = asking([Touch("form", NOW, "1")])
    found = told(needs(facts, default_journey(), NOW, 45))
    assert found[0] == (["Company of 50 or more"], {})
    assert ([], {"email.reply": 1}) in found
    assert ([], {"event": 3}) not in found
    [company] = [need for need in needs(facts, default_journey(), NOW, 45) if need.fit and not need.touches][:1]
    assert company.fit[0].missing == ("company.employees",)


def test_an_answer_that_was_given_is_not_asked_for_again() -> None:
    facts = asking([Touch("form", NOW, "1")], employees=3)
    [small] = [
        need for need in needs(facts, default_journey(), NOW, 50) if told([need])[0] == (["Company of 50 or more"], {})
    ]
    assert small.fit[0].missing == ()


COUNTRIES = Journey.model_validate(
    {
        "journey": "scoring",
        "people": {"ana": {"email": "ana@example.com"}},
        "score": {
            "fit": [
                {"when": 'person.country == "DE"', "points": 30},
                {"when": 'person.country in ["US", "CA"]', "points": 25},
                {"when": "company.employees >= 50", "points": 20},
                {"when": "company.employees >= 500", "points": 15},
                {"when": "company.employees >= 10000", "points": -10},
            ]
        },
        "route": {"pools": {"everybody": {"members": {"ana": 1}}}},
        "lifecycle": {"lead": {"final": True}},
    }
)


def test_two_answers_that_exclude_each_other_are_not_asked_for_together() -> None:
    assert reach(asking([]), COUNTRIES, NOW, 70).most_fit == 65
    assert needs(asking([]), COUNTRIES, NOW, 70) == []
    [need] = needs(asking([]), COUNTRIES, NOW, 65)
    assert {rule.rule for rule in need.fit} == {'person.country == "DE"', "company.employees >= 500"}


def test_what_follows_from_an_answer_is_counted_and_the_smaller_answer_goes_first() -> None:
    enough = needs(asking([]), COUNTRIES, NOW, 31)[0]
    assert [rule.rule for rule in enough.fit] == ["company.employees >= 500"]
    assert (enough.total, enough.also) == (35, ("company.employees >= 50",))
    assert warmth(asking([], employees=500), COUNTRIES, NOW).total == 35
    smaller = needs(asking([]), COUNTRIES, NOW, 20)
    assert ["company.employees >= 50"] in [[rule.rule for rule in need.fit] for need in smaller]
    assert ["company.employees >= 500"] not in [[rule.rule for rule in need.fit] for need in smaller]


def test_what_an_answer_would_undo_is_counted_too() -> None:
    american = Facts("l1", "website", "form", "lead", person={"country": "US"}, company={"employees": 60})
    [need] = needs(american, COUNTRIES, NOW, 46)[:1]
    assert (need.total, need.lost) == (50, ('person.country in ["US", "CA"]',))
    huge = asking([], employees=20_000)
    assert warmth(huge, COUNTRIES, NOW).total == 25
    assert needs(huge, COUNTRIES, NOW, 35)[0].fit[0].holds is False


def test_clicks_that_are_suggested_are_those_of_a_person() -> None:
    journey = journey_of([], 100, None, 40)
    clicks = [need.touches for need in needs(lead({}, []), journey, NOW, 18)]
    assert (("email.click", 3),) in clicks


def test_nothing_is_suggested_for_more_than_a_score_can_be() -> None:
    facts = asking([Touch("form", NOW, "1")], employees=900)
    facts.person = {"country": "DE", "phone": "+49301234567"}
    assert needs(facts, default_journey(), NOW, 100) != []
    assert needs(facts, default_journey(), NOW, 101) == []


def test_what_the_cap_keeps_out_of_reach_says_what_fit_lacks() -> None:
    far = reach(asking([Touch("form", NOW, "1")]), default_journey(), NOW, 70)
    assert (far.most_engagement, far.capped, far.fit, far.fit_lacks) == (60, True, 0, 10)
    assert all(need.fit for need in needs(asking([Touch("form", NOW, "1")]), default_journey(), NOW, 70))
