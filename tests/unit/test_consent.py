"""Consent: what an arrival says that somebody allows or refuses, and what it does not say."""

from __future__ import annotations

import pytest

from schema.consent import Answer, answers, shown
from schema.draft import Draft
from schema.understood import Understood


def test_a_tick_gives_a_no_withdraws_and_silence_says_nothing() -> None:
    said = Understood(Draft(consent={"marketing": True, "terms": False}), "form")

    assert answers(said, "form") == [
        Answer("marketing", "given", "opt_in"),
        Answer("terms", "withdrawn", "declined"),
    ]
    assert answers(Understood(Draft(), "form"), "form") == []


def test_what_waits_for_its_confirmation_is_pending_and_what_is_confirmed_is_given_by_the_mailbox() -> None:
    waiting = Understood(Draft(), "form", data={"consent_pending": ["marketing"]})
    confirmed = Understood(Draft(consent={"marketing": True}), "opt_in.confirmed")

    assert answers(waiting, "form") == [Answer("marketing", "pending", "opt_in")]
    assert answers(confirmed, "opt_in") == [Answer("marketing", "given", "double_opt_in")]


@pytest.mark.parametrize(
    ("kind", "basis"),
    [
        ("email.unsubscribe", "unsubscribe"),
        ("unsubscribed", "unsubscribe"),
        ("email.complaint", "complaint"),
        ("erasure.requested", "erasure"),
    ],
)
def test_who_unsubscribes_complains_or_wants_to_be_erased_gets_no_more_marketing(kind: str, basis: str) -> None:
    said = Understood(Draft(consent={"marketing": True, "terms": True}), kind)

    assert answers(said, "event") == [Answer("terms", "given", "reported"), Answer("marketing", "withdrawn", basis)]


@pytest.mark.parametrize("kind", ["email.bounce", "email.auto_reply", "complaint", "purchase"])
def test_what_is_no_answer_says_nothing_about_consent(kind: str) -> None:
    assert answers(Understood(Draft(), kind), "email") == []


def test_a_system_that_says_somebody_agreed_is_told_apart_from_themselves() -> None:
    said = Understood(Draft(consent={"marketing": True}), "api")

    assert answers(said, "api") == [Answer("marketing", "given", "reported")]


def test_a_purpose_in_a_strangers_own_words_is_bounded_and_an_empty_one_is_none() -> None:
    said = Understood(Draft(consent={"x" * 5000: True, "  ": True} | {f"p{n}": True for n in range(500)}), "form")

    found = answers(said, "form")

    assert len(found) == 50
    assert all(0 < len(answer.purpose) <= 100 for answer in found)


def test_the_words_that_were_shown_and_what_shows_it_stand_beside_the_answer() -> None:
    evidence = {"text": "Send me news", "version": "7", "shown": True}
    said = Understood(Draft(), "form", data={"consent_evidence": evidence, "confirms": "r1"})

    assert shown(said) == ("Send me news", "7", {"shown": True, "confirms": "r1"})
    assert evidence == {"text": "Send me news", "version": "7", "shown": True}
