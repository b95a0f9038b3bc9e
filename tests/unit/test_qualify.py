"""Qualification: what speaks against a lead disqualifies it; what is not known is asked for; a no is not for ever."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schema.facts import Facts, Touch
from schema.journey import Journey, default_journey, load
from tests.again import AGAIN
from workers.decide.qualify import Qualification, judge, left_as_it_is, turned_down

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def lead(
    person: dict[str, str] | None = None, company: dict[str, Any] | None = None, about: dict[str, object] | None = None
) -> Facts:
    known = {"email": "ana@example.com"} if person is None else person
    return Facts("l1", "website", "form", "lead", person=known, company=company or {}, lead=about or {})


def asking(unknown: str) -> Journey:
    return load(f"""\
journey: asking
people: {{ana: {{email: ana@example.com}}}}
qualify: [{{name: big, require: company.employees >= 50, reason: too_small, unknown: {unknown}}}]
route: {{pools: {{everybody: {{members: {{ana: 1}}}}}}}}
lifecycle: {{lead: {{final: true}}}}
""")


def test_a_lead_that_meets_every_criterion_is_qualified() -> None:
    found = judge(lead(about={"interests": ["demo"]}, company={"domain": "acme.example"}), default_journey(), NOW)
    assert (found.outcome, found.reason, found.ask, found.look_again) == ("qualified", "", (), None)
    assert found.facts() == {"outcome": "qualified", "passed": True, "reason": ""}


def test_a_competitor_is_disqualified_with_that_reason() -> None:
    found = judge(lead(about={"interests": ["demo"]}, company={"domain": "rival.example"}), default_journey(), NOW)
    assert (found.outcome, found.reason) == ("disqualified", "competitor")
    assert not found.facts()["passed"]


def test_somebody_who_cannot_be_answered_is_disqualified_for_the_first_reason_that_holds() -> None:
    found = judge(lead(person={}, company={"domain": "rival.example"}), default_journey(), NOW)
    assert (found.outcome, found.reason) == ("disqualified", "unreachable")


def test_a_lead_that_did_not_say_what_it_needs_is_asked_and_not_disqualified() -> None:
    found = judge(lead(about={"interests": []}), default_journey(), NOW)
    assert (found.outcome, found.ask) == ("incomplete", ("has_need",))
    assert found.criteria[-1].missing == ("lead.interests", "lead.message")


@pytest.mark.parametrize(
    ("unknown", "outcome", "reason"),
    [("ask", "incomplete", ""), ("pass", "qualified", ""), ("fail", "disqualified", "too_small")],
)
def test_the_journey_says_what_an_unknown_answer_means(unknown: str, outcome: str, reason: str) -> None:
    found = judge(lead(), asking(unknown), NOW)
    assert (found.outcome, found.reason) == (outcome, reason)


def test_the_explanation_names_every_rule_its_verdict_and_what_is_missing() -> None:
    told = json.loads(json.dumps(judge(lead(), asking("ask"), NOW).explain()))
    assert told == {
        "outcome": "incomplete",
        "reason": "",
        "ask": ["big"],
        "criteria": [
            {"name": "big", "verdict": "unknown", "rule": "company.employees >= 50", "missing": ["company.employees"]}
        ],
    }


# -- what is asked -----------------------------------------------------------------------------------------------------


def later(facts: Facts, found: Qualification) -> Facts:
    """The same lead when it is looked at the next time."""
    facts.know(qualification=json.loads(json.dumps(found.facts())))
    return facts


def test_what_is_asked_has_its_question_what_is_missing_and_until_when() -> None:
    found = judge(lead(), load(AGAIN), NOW)
    assert found.facts()["ask"] == [
        {
            "criterion": "big",
            "question": "How many people work with you?",
            "missing": ["company.employees"],
            "asked_at": NOW.isoformat(),
            "asked_until": (NOW + 14 * DAY).isoformat(),
        }
    ]
    assert found.look_again == NOW + 14 * DAY


def test_another_look_does_not_start_the_clock_of_a_question_again() -> None:
    facts = lead()
    for days in (0, 3, 13):
        found = judge(facts, load(AGAIN), NOW + days * DAY)
        assert (found.outcome, found.look_again) == ("incomplete", NOW + 14 * DAY)
        later(facts, found)
    found = judge(facts, load(AGAIN), NOW + 14 * DAY)
    assert (found.outcome, found.reason) == ("disqualified", "too_small")
    assert found.criteria[-1].taken_as == "fail"


def test_who_did_not_answer_is_not_asked_the_same_again_by_the_next_look() -> None:
    rules = load(AGAIN.replace("within: 14d", "within: 14d\n    otherwise: pass"))
    facts = later(lead(), judge(lead(), rules, NOW))
    found = judge(facts, rules, NOW + 15 * DAY)
    assert (found.outcome, found.ask) == ("qualified", ())
    again = judge(later(facts, found), rules, NOW + 16 * DAY)
    assert (again.outcome, again.ask, again.look_again) == ("qualified", (), None)


def test_an_answer_ends_the_asking_and_a_new_question_has_its_own_time() -> None:
    facts = later(lead(), judge(lead(), load(AGAIN), NOW))
    answered = lead(company={"employees": 80})
    answered.qualification = facts.qualification
    found = judge(answered, load(AGAIN), NOW + DAY)
    assert (found.outcome, found.look_again) == ("qualified", None)
    forgotten = judge(later(lead(), found), load(AGAIN), NOW + 20 * DAY)
    assert forgotten.look_again == NOW + 34 * DAY


# -- who was told no ---------------------------------------------------------------------------------------------------

SMALL = {"employees": 5}
RIVAL = {"domain": "rival.example", "employees": 500}


def told_no(company: dict[str, Any] | None = None, interests: list[str] | None = None, recycled: int = 0) -> Facts:
    """A lead that was told no at NOW, and is where the journey keeps such leads."""
    facts = lead(company=company or {}, about={"interests": interests or ["crm"]})
    later(facts, judge(facts, load(AGAIN), NOW))
    facts.state, facts.entered_at, facts.recycled = "out", NOW, recycled
    return facts


def touched(facts: Facts, *, new: bool = True) -> Facts:
    facts.touchpoints = [Touch("form", NOW + DAY, "t1", new)]
    return facts


def test_a_competitor_who_writes_again_is_not_looked_at_again() -> None:
    found = judge(touched(told_no(RIVAL)), load(AGAIN), NOW + 400 * DAY)
    assert (found.outcome, found.reason, found.look, found.stands) == ("disqualified", "competitor", "never", True)
    assert (found.look_again, found.criteria) == (None, ())


def test_news_that_take_the_reason_away_bring_a_lead_back() -> None:
    facts = touched(told_no({"employees": 80}, ["shoes"]))
    same = judge(facts, load(AGAIN), NOW + DAY)
    assert (same.outcome, same.reason, same.look, same.again) == ("disqualified", "no_need", "news", 0)
    facts = touched(told_no({"employees": 80}, ["shoes"]))
    facts.know(lead={"interests": ["shoes", "crm"]})
    back = judge(facts, load(AGAIN), NOW + DAY)
    assert (back.outcome, back.look, back.again, back.facts()["again"]) == ("qualified", "news", 1, 1)


def test_nothing_new_is_no_news() -> None:
    facts = touched(told_no({"employees": 80}, ["shoes"]), new=False)
    assert judge(facts, load(AGAIN), NOW + DAY).look == "not_yet"


def test_a_lead_is_looked_at_again_only_as_often_as_the_journey_allows() -> None:
    facts = touched(told_no({"employees": 80}, ["shoes"], recycled=2))
    facts.know(lead={"interests": ["crm"]})
    found = judge(facts, load(AGAIN), NOW + DAY)
    assert (found.outcome, found.reason, found.look) == ("disqualified", "no_need", "most")


def test_after_a_while_the_answer_that_spoke_against_a_lead_is_asked_for_anew() -> None:
    facts = told_no(SMALL)
    early = judge(facts, load(AGAIN), NOW + 89 * DAY)
    assert (early.look, early.look_again, early.stands) == ("not_yet", NOW + 90 * DAY, True)
    found = judge(facts, load(AGAIN), NOW + 90 * DAY)
    assert (found.outcome, found.ask, found.look, found.again) == ("incomplete", ("big",), "after", 1)
    assert found.facts()["ask"][0]["anew"] is True
    assert found.look_again == NOW + 104 * DAY


def test_the_old_answer_does_not_count_while_it_is_asked_for_anew_and_a_better_one_does() -> None:
    facts = told_no(SMALL)
    later(facts, judge(facts, load(AGAIN), NOW + 90 * DAY))
    facts.state, facts.recycled, facts.entered_at = "lead", 1, NOW + 90 * DAY
    waiting = judge(facts, load(AGAIN), NOW + 100 * DAY)
    assert (waiting.outcome, waiting.look_again) == ("incomplete", NOW + 104 * DAY)
    over = judge(later(facts, waiting), load(AGAIN), NOW + 104 * DAY)
    assert (over.outcome, over.reason, over.look_again) == ("disqualified", "too_small", NOW + 194 * DAY)
    better = lead(company={"employees": 60}, about={"interests": ["crm"]})
    better.qualification = waiting.facts()
    assert judge(better, load(AGAIN), NOW + 101 * DAY).outcome == "qualified"


def test_a_while_counts_from_the_no_and_news_in_between_change_nothing() -> None:
    facts = touched(told_no(SMALL))
    found = judge(facts, load(AGAIN), NOW + 30 * DAY)
    assert (found.look, found.look_again) == ("not_yet", NOW + 90 * DAY)
    again = judge(touched(later(facts, found)), load(AGAIN), NOW + 60 * DAY)
    assert (again.look, again.look_again, again.since) == ("not_yet", NOW + 90 * DAY, NOW)


def test_news_that_change_nothing_do_not_start_a_while_again() -> None:
    rules = load(AGAIN.replace("too_small: 90d", "too_small: {news: true, after: 90d}"))
    facts = touched(told_no(SMALL))
    found = judge(facts, rules, NOW + 30 * DAY)
    assert (found.outcome, found.look, found.stands) == ("disqualified", "news", False)
    assert (found.since, found.look_again) == (NOW, NOW + 90 * DAY)


def test_each_look_that_brings_a_lead_back_has_its_own_number() -> None:
    found = judge(told_no(SMALL, recycled=1), load(AGAIN), NOW + 90 * DAY)
    assert (found.again, found.facts()["again"]) == (2, 2)


def test_another_reason_found_at_the_second_look_begins_a_while_of_its_own() -> None:
    facts = told_no(SMALL)
    facts.know(company={"employees": 5, "domain": "rival.example"})
    found = judge(facts, load(AGAIN), NOW + 90 * DAY)
    assert (found.outcome, found.reason, found.again) == ("disqualified", "competitor", 0)
    assert (found.since, found.look_again) == (NOW + 90 * DAY, None)


def test_who_did_not_answer_and_then_writes_is_asked_anew() -> None:
    rules = load(AGAIN.replace("too_small: 90d", "too_small: news"))
    facts = later(lead(), judge(lead(), rules, NOW))
    later(facts, judge(facts, rules, NOW + 14 * DAY))
    facts.state, facts.entered_at = "out", NOW + 14 * DAY
    found = judge(touched(facts), rules, NOW + 20 * DAY)
    assert (found.outcome, found.ask, found.again, found.look_again) == ("incomplete", ("big",), 1, NOW + 34 * DAY)


def test_who_was_told_no_by_a_move_is_looked_at_again_as_its_reason_or_any_other_says() -> None:
    facts = lead(company={"employees": 80}, about={"interests": ["crm"]})
    facts.state, facts.entered_at = "out", NOW
    said = turned_down(facts, load(AGAIN), NOW, "too_small")
    assert (said.outcome, said.reason, said.look_again) == ("disqualified", "too_small", NOW + 90 * DAY)
    rude = touched(later(facts, turned_down(facts, load(AGAIN), NOW, "rude")))
    assert judge(rude, load(AGAIN), NOW + DAY).look == "news"
    without = load(AGAIN.replace(", otherwise: news", ""))
    assert judge(rude, without, NOW + DAY).look == "never"


def test_a_lead_that_is_not_the_latest_of_its_person_stays_closed() -> None:
    found = left_as_it_is(told_no(SMALL), load(AGAIN), NOW + 90 * DAY, "newer_lead")
    assert (found.outcome, found.reason, found.stands, found.look_again) == ("disqualified", "too_small", True, None)


def test_whoever_overrules_a_no_has_what_spoke_against_the_lead_asked_for_anew() -> None:
    facts = lead(company=RIVAL | SMALL, about={"interests": ["shoes"]})
    facts.qualification = {"outcome": "disqualified", "passed": False, "reason": "competitor", "overruled": True}
    found = judge(facts, load(AGAIN), NOW)
    assert (found.outcome, found.ask) == ("incomplete", ("not_a_rival", "fitting", "big"))
    assert judge(later(facts, found), load(AGAIN), NOW + DAY).outcome == "incomplete"


def test_a_second_look_that_is_not_over_yet_goes_on_with_the_same_questions() -> None:
    facts = told_no(SMALL)
    found = judge(facts, load(AGAIN), NOW + 90 * DAY)
    again = judge(later(facts, found), load(AGAIN), NOW + 91 * DAY)
    assert (again.outcome, again.look, again.again, again.look_again) == ("incomplete", "after", 1, NOW + 104 * DAY)
