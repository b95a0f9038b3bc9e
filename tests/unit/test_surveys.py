"""Surveys: whose turn it is, who is asked after all, what the language refuses, and what answers come to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import comb
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.facts import Facts
from schema.journey import Journey, JourneyInvalid, load
from schema.journey.show import printed
from schema.satisfaction import csat, nps
from schema.store.surveys import tally
from workers.decide.survey import News, plans, refused, sampled

NOW: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY: Final = timedelta(days=1)
JOURNEY: Final = """
journey: team
people: {ana: {email: a@example.com}}
route: {pools: {all: {members: {ana: 1}}}}
lifecycle: {lead: {to: {win: won, lose: gone}}, won: {to: {leave: gone}}, gone: {final: true}}
mail: {sender: a@example.com}
service: {kinds: {complaint: {}}, desks: {all: {members: {ana: 1}}}}
templates: {ask: {subject: Hello, text: '{{ survey.question }} {{ survey.url }}'}}
surveys:
  helped: {kind: csat, event: [ticket.resolved, demo.given], after: 2h, question: 'How?', template: ask}
  recommends: {kind: nps, state: won, after: 90d, cooldown: 30d, when: person.country == "DE", question: 'Would you?',
    template: ask, low: 6, complaint: complaint}
"""
RESOLVED: Final = News("ticket.resolved", "ticket.resolved t 1", "ticket", "t")


def lead(state: str = "won", **person: Any) -> Facts:  # noqa: ANN401
    known = {"id": "p", "email": "p@example.com", "country": "DE"} | person
    return Facts("l", "website", "form", state, {name: value for name, value in known.items() if value is not None})


def journey(old: str = "", new: str = "") -> Journey:
    assert old in JOURNEY
    return load(JOURNEY.replace(old, new) if old else JOURNEY)


def test_what_happened_and_where_a_lead_came_plan_one_survey_each() -> None:
    twice = RESOLVED._replace(occasion="ticket.resolved t 2")
    found = plans(lead(), journey(), NOW, [RESOLVED, twice, News("form", "f", "lead", "l")], "state l 3")
    assert [(plan.survey, plan.occasion, plan.about_id, plan.due_at - NOW) for plan in found] == [
        ("helped", twice.occasion, "t", timedelta(hours=2)),
        ("recommends", "state l 3", "l", 90 * DAY),
    ]
    assert plans(lead("lead"), journey(), NOW, [], "state l 1") == []


@given(st.text(max_size=20), st.text(max_size=20), st.integers(1, 99))
def test_a_larger_sample_holds_the_smaller_one_and_a_hundred_is_everybody(person: str, what: str, share: int) -> None:
    assert sampled(person, what, share) <= sampled(person, what, share + 1)
    assert sampled(person, what, 100)


def test_a_sample_is_the_share_that_was_asked_for_and_another_one_on_each_occasion() -> None:
    drawn = {occasion: [sampled(f"p{number}", occasion, 20) for number in range(2_000)] for occasion in "ab"}
    assert 340 < sum(drawn["a"]) < 460
    assert 40 < sum(one and other for one, other in zip(*drawn.values(), strict=True)) < 130


@pytest.mark.parametrize(
    ("name", "facts", "more", "why"),
    [
        ("recommends", lead(), {}, None),
        ("recommends", lead("lead"), {}, None),
        ("recommends", lead("gone"), {}, "lead_closed"),
        ("recommends", lead(country="FR"), {}, "condition"),
        ("recommends", lead(country=None), {}, "condition"),
        ("recommends", lead(email=None), {}, "no_address"),
        ("recommends", lead(), {"last_asked": NOW - 30 * DAY}, None),
        ("recommends", lead(), {"last_asked": NOW - 29 * DAY}, "cooldown"),
        ("helped", lead("gone"), {"ticket": {"status": "closed"}}, None),
        ("helped", lead(), {"ticket": {"status": "waiting"}}, "reopened"),
        ("gone", lead(), {}, "survey_unknown"),
    ],
)
def test_whether_somebody_is_asked_is_decided_when_the_time_has_come(
    name: str, facts: Facts, more: dict[str, Any], why: str | None
) -> None:
    known: dict[str, Any] = {"last_asked": None} | more
    assert refused(journey().surveys.get(name), facts, journey(), NOW, **known) == why


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("state: won, after", "state: wom, after", "there is no state wom; did you mean won"),
        ("low: 6, complaint: complaint", "low: 6, complaint: moan", "there is no kind of ticket moan"),
        ("low: 6, complaint: complaint", "low: 6", "belong together"),
        ("low: 6", "low: 10", "write 9 or less"),
        ("kind: nps", "kind: csat", "one of 1 to 4"),
        ("event: [ticket.resolved, demo.given]", "event: survey.sent", "not set off by surveys"),
        ("mail: {sender: a@example.com}", "", "nobody is there to ask"),
        ("template: ask}", "template: asks}", "there is no template asks; did you mean ask"),
        (" {{ survey.url }}", "", "no link to answer by"),
        ("{{ survey.question }}", "{{ survey.questions }}", "not a field of a message"),
    ],
)
def test_a_survey_that_could_not_work_is_refused_with_what_to_do(old: str, new: str, why: str) -> None:
    with pytest.raises(JourneyInvalid, match=why):
        journey(old, new)


def test_a_survey_is_told_in_plain_sentences() -> None:
    told = " ".join(printed(journey()).split())
    assert "helped - CSAT, 1 to 5, 2 hours after ticket.resolved or demo.given" in told
    assert "An answer of 6 or less opens a ticket: complaint." in told


@pytest.mark.parametrize(("promoters", "detractors"), [(0.5, 0.2), (0.3, 0.3), (0.1, 0.7), (0.9, 0.02)])
def test_the_interval_of_nps_holds_the_truth_about_as_often_as_it_says(promoters: float, detractors: float) -> None:
    of, held = 20, 0.0
    for up in range(of + 1):
        for down in range(of + 1 - up):
            rest = of - up - down
            found = nps({10: up, 7: rest, 2: down})
            assert found is not None
            ways = comb(of, up) * comb(of - up, down)
            likely = ways * promoters**up * detractors**down * (1 - promoters - detractors) ** rest
            held += likely * (found.low <= 100 * (promoters - detractors) <= found.high)
    assert 0.93 < held < 0.98


@given(st.dictionaries(st.integers(0, 10), st.integers(0, 50)))
def test_a_measure_lies_within_its_interval_and_the_interval_within_the_scale(scores: dict[int, int]) -> None:
    asked = sum(scores.values())
    assert (nps(scores) is None) is (asked == 0)
    for found, least, most in ((nps(scores), -100, 100), (csat(scores), 0, 1)):
        if found is not None:
            assert least <= found.low <= found.value <= found.high <= most


def test_results_count_mails_and_answers_in_person_apart() -> None:
    counted: list[dict[str, Any]] = [
        {"mailed": True, "score": None, "number": 6},
        {"mailed": True, "score": 5, "number": 3},
        {"mailed": True, "score": 1, "number": 1},
        {"mailed": False, "score": 4, "number": 4},
    ]
    found = tally("csat", counted)
    assert (found["sent"], found["answered"], found["response_rate"], found["in_person"]) == (10, 4, 0.4, 4)
    assert (found["csat"]["value"], found["mean"]) == (7 / 8, 4.0)
    assert found["scores"] == {"1": 1, "2": 0, "3": 0, "4": 4, "5": 3}
