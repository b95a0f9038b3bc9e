"""A journey is read as people read: plain sentences, durations and weights in words, nothing left out."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import assume, given, settings

from schema.journey import Expression, default_text, load, shipped
from schema.journey import words as wording
from schema.journey.fields import FIELDS
from schema.journey.model import Again, Capacity
from schema.journey.parts import Calendar
from schema.journey.phrases import NOUNS, said
from schema.journey.show import printed, sections
from tests.mutations import Mutant, mutants

LISTS: Final = {"dach": ("DE", "AT"), "rivals": ("rival.example",)}


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("company.employees >= 50", "the company's number of employees is 50 or more"),
        ("50 <= company.employees", "the company's number of employees is 50 or more"),
        ("score.total < 45", "the score is less than 45"),
        ('person.country == "DE"', 'the person\'s country is "DE"'),
        ('!(person.country == "DE")', 'the person\'s country is not "DE"'),
        ("person.country in lists.dach", "the person's country is in the list dach"),
        ("!(company.domain in lists.rivals)", "the company's domain is not in the list rivals"),
        ('person.country in ["DE", "AT", "CH"]', 'the person\'s country is "AT", "CH" or "DE"'),
        ("has(person.phone)", "the person's telephone number is known"),
        ("!has(person.phone)", "the person's telephone number is not known"),
        ("has(person.interests)", "the person's interests are known"),
        ('"purchase" in touchpoint.kinds', '"purchase" has come in'),
        ('"crm" in lead.interests', '"crm" is among the lead\'s interests'),
        ("size(lead.message) > 20", "the length of the message is more than 20"),
        ("size(lead.interests) > 0", "the number of the lead's interests is more than 0"),
        ("qualification.passed", "the lead is qualified"),
        ("!qualification.passed", "the lead is not qualified"),
        ("person.custom.budget >= 500", "the person's budget is 500 or more"),
        ("int(person.custom.roof_m2) < 15", "the person's roof_m2, read as a number, is less than 15"),
        ("person.consent.marketing", "the consent to marketing is true"),
        ("person.language in member.speaks", "the person's language is among the languages the member speaks"),
        (
            "qualification.passed && (score.total >= 45 || score.fit > 9)",
            "the lead is qualified and either the score is 45 or more or the fit is more than 9",
        ),
        (
            'source == "fair" || score.total > 3 && score.fit > 9',
            'the source is "fair" or both the score is more than 3 and the fit is more than 9',
        ),
    ],
)
def test_a_simple_question_is_said_exactly(question: str, words: str) -> None:
    assert said(Expression(question, LISTS)) == words


@pytest.mark.parametrize(
    "question",
    [
        'person.job_title.matches("(?i)head")',
        "lead.interests.exists(topic, topic == source)",
        "company.employees > 5 ? score.total > 3 : score.fit > 3",
        "score.total + score.fit > 60",
        "!(score.total > 3 && score.fit > 3)",
        "score.total > 1 && (score.fit > 2 || score.fit < 9 && score.engagement > 4)",
        "score.total > 1 && (score.fit > 2 || score.fit < 0 || score.engagement > 4)",
    ],
)
def test_what_has_no_clear_words_is_shown_as_it_was_written(question: str) -> None:
    assert said(Expression(question, LISTS)) == question


def test_every_field_that_a_question_can_ask_about_has_a_name() -> None:
    assert NOUNS.keys() == FIELDS.keys()


@pytest.mark.parametrize(
    ("length", "words", "short"),
    [
        (timedelta(days=30), "30 days", "30d"),
        (timedelta(hours=24), "1 day", "1d"),
        (timedelta(hours=36), "36 hours", "36h"),
        (timedelta(minutes=90), "90 minutes", "90m"),
        (timedelta(seconds=1), "1 second", "1s"),
    ],
)
def test_a_duration_is_said_in_the_largest_unit_that_fits(length: timedelta, words: str, short: str) -> None:
    assert (wording.time(length), wording.short(length)) == (words, short)


def test_working_hours_are_said_by_runs_of_days() -> None:
    office = Calendar.model_validate(
        {
            "tz": "Europe/Berlin",
            "mon-thu": "09:00-12:00, 13:00-18:00",
            "fri": "09:00-15:00",
            "holidays": ["DE", "2026-12-24"],
        }
    )
    assert wording.hours(office) == (
        "Monday to Thursday 09:00-12:00 and 13:00-18:00, Friday 09:00-15:00 (Europe/Berlin); "
        "closed on the holidays of DE and 2026-12-24"
    )
    assert wording.hours(Calendar.model_validate({"fri-mon": "22:00-06:00", "wed": "08:00-24:00"})) == (
        "Monday 22:00-06:00, Wednesday 08:00-24:00, Friday to Sunday 22:00-06:00 (UTC)"
    )
    assert wording.hours(Calendar()) == "never (UTC)"


def test_capacity_and_second_chances_are_said() -> None:
    assert wording.capacity(Capacity(open=12)) == "at most 12 at once"
    most = Capacity.model_validate({"open": 12, "max": 5, "per": "7d"})
    assert wording.capacity(most) == "at most 12 at once and 5 new within 7 days"
    assert wording.again(Again()) == "never"
    assert wording.again(Again(news=True, most=1)) == "when they are heard of again, at most once"


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shipped_journey_fits_the_page_and_says_what_it_is_about(name: str) -> None:
    journey = load(shipped()[name])
    text = printed(journey, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert all(state.label in text for state in journey.lifecycle.values() if state.label)
    assert "WHAT HAPPENS BY ITSELF, AND WHEN" in text
    assert json.loads(json.dumps([section.facts() for section in sections(journey)]))


def test_the_default_journey_says_who_is_told_what_and_when() -> None:
    text = " ".join(printed(load(default_text())).split())
    for sentence in (
        "Who has not told is asked: “What are you looking for, and by when do you need it?”",
        "Without an answer within 30 days it fails.",
        "+20 Company of 50 or more (group size): the company's number of employees is 50 or more",
        "+5 email.click (at most 3 count within any 7 days, group clicks)",
        "ana (Ana Keller): 2 of 3 turns, 67%; ben (Ben Huber): 1 of 3 turns, 33%.",
        "then it is handed on to the next in turn, once; and at last to eva (Eva Lind).",
        "by itself if the lead is qualified and the score is 45 or more",
        "14 days in opportunity: told as overdue.",
    ):
        assert sentence in text


def test_parts_that_a_journey_does_not_have_are_left_out() -> None:
    small = load(
        "journey: small\npeople: {ana: {email: ana@example.com}}\nroute: {pools: {all: {members: {ana: 1}}}}\n"
        "lifecycle: {lead: {to: {win: customer}}, customer: {final: true}}\n"
    )
    assert [section.part for section in sections(small)] == ["sources", "route", "people", "lifecycle"]


@settings(max_examples=100, deadline=None)
@given(mutants())
def test_whatever_a_journey_says_differently_is_shown_differently(mutant: Mutant | None) -> None:
    assume(mutant)
    assert mutant
    assert sections(mutant.before) != sections(mutant.after) or head(mutant.before) != head(mutant.after)


def head(journey: object) -> list[object]:
    return [getattr(journey, name) for name in ("journey", "label", "description", "departments")]
