"""Qualification: what speaks against a lead disqualifies it; what is not known is asked for."""

from __future__ import annotations

import json

import pytest

from schema.facts import Facts
from schema.journey import Journey, default_journey, load
from workers.decide.qualify import judge


def lead(
    person: dict[str, str] | None = None, company: dict[str, str] | None = None, about: dict[str, object] | None = None
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
    found = judge(lead(about={"interests": ["demo"]}, company={"domain": "acme.example"}), default_journey())
    assert (found.outcome, found.reason, found.ask) == ("qualified", "", ())
    assert found.facts() == {"outcome": "qualified", "passed": True, "reason": ""}


def test_a_competitor_is_disqualified_with_that_reason() -> None:
    found = judge(lead(about={"interests": ["demo"]}, company={"domain": "rival.example"}), default_journey())
    assert (found.outcome, found.reason) == ("disqualified", "competitor")
    assert not found.facts()["passed"]


def test_somebody_who_cannot_be_answered_is_disqualified_for_the_first_reason_that_holds() -> None:
    found = judge(lead(person={}, company={"domain": "rival.example"}), default_journey())
    assert (found.outcome, found.reason) == ("disqualified", "unreachable")


def test_a_lead_that_did_not_say_what_it_needs_is_asked_and_not_disqualified() -> None:
    found = judge(lead(about={"interests": []}), default_journey())
    assert (found.outcome, found.ask) == ("incomplete", ("has_need",))
    assert found.criteria[-1].missing == ("lead.interests", "lead.message")


@pytest.mark.parametrize(
    ("unknown", "outcome", "reason"),
    [("ask", "incomplete", ""), ("pass", "qualified", ""), ("fail", "disqualified", "too_small")],
)
def test_the_journey_says_what_an_unknown_answer_means(unknown: str, outcome: str, reason: str) -> None:
    found = judge(lead(), asking(unknown))
    assert (found.outcome, found.reason) == (outcome, reason)


def test_the_explanation_names_every_rule_its_verdict_and_what_is_missing() -> None:
    told = json.loads(json.dumps(judge(lead(), asking("ask")).explain()))
    assert told == {
        "outcome": "incomplete",
        "reason": "",
        "ask": ["big"],
        "criteria": [
            {"name": "big", "verdict": "unknown", "rule": "company.employees >= 50", "missing": ["company.employees"]}
        ],
    }
