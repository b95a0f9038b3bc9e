"""Policies in the journey file: what is wrong is said where it stands, and what they mean in words."""

from __future__ import annotations

import pytest

from schema.journey import load, review
from schema.journey.diff import differences
from schema.journey.sla_words import policies

HEAD = """\
journey: small
people: {ana: {email: ana@example.com}, eva: {email: eva@example.com}}
calendars: {office: {tz: Europe/Berlin, mon-fri: '09:00-17:00'}}
route: {pools: {everybody: {members: {ana: 1, eva: 1}}}}
lifecycle: {lead: {to: {sell: customer}}, customer: {final: true}}
service:
  kinds: {request: {}, complaint: {priority: high}}
  desks: {support: {members: {ana: 1}, calendar: office}}
  slas:
"""
URGENT = """\
    urgent:
      when: ticket.priority == "urgent"
      first_response: 30m
      escalate: [{at: 50}, {at: 150, to: eva, assign: true}]
"""
USUAL = "    usual: {when: has(ticket.kind), resolution: 5d, pauses: [waiting, on_hold]}\n"


@pytest.mark.parametrize(
    ("slas", "complaint"),
    [
        (URGENT.replace("eva", "evva"), "13:42: service.slas.urgent.escalate[1].to: evva is not among the people; did"),
        (URGENT.replace(", to: eva", ""), "`assign` needs `to`: one of the people, for its owner has the ticket"),
        (URGENT.replace("{at: 150", "{at: 0"), "service.slas.urgent.escalate[1].at"),
        (URGENT.replace("150, to: eva, assign: true", "50"), "owner is told at 50% already"),
        (
            USUAL.replace("when: has(ticket.kind), ", "") + URGENT,
            "service.slas.urgent: is never a ticket's: usual before it has all of them; put it first",
        ),
        (
            URGENT + URGENT.replace("urgent:", "worse:").replace('"urgent"', '"urgent" && ticket.kind == "request"'),
            "service.slas.worse: is never a ticket's: urgent before it has all of them",
        ),
        (USUAL.replace("resolution: 5d, ", ""), "promises nothing: give one or more of first_response, next_response"),
        (USUAL.replace("5d", "9999w"), "promise nothing for more than 3650d"),
        (
            USUAL.replace("has(ticket.kind), resol", "has(ticket.kind), calendar: ofice, resol"),
            "there is no calendar ofice; did you mean office?",
        ),
        (
            USUAL.replace("has(ticket.kind), resol", "has(ticket.kind), hours: {tz: UTC}, resol"),
            "names no days, so this is never open",
        ),
        (URGENT.replace('"urgent"', '"urgnt"'), "there is no"),
    ],
)
def test_what_is_wrong_with_a_policy_is_said_with_what_to_do(slas: str, complaint: str) -> None:
    said = [f"{problem.line}:{problem.column}: {problem.path}: {problem.message}" for problem in review(HEAD + slas)]
    assert any(complaint in one for one in said), said


def test_a_policy_is_told_in_words_and_so_is_what_changes() -> None:
    journey = load(HEAD + URGENT + USUAL)
    assert list(policies(journey)) == [
        (0, 'SLA 1. urgent: if the ticket\'s priority is "urgent".'),
        (1, "A ticket is first answered within 30 minutes, counted in the hours of its desk."),
        (1, "The time stands still while it waits for the customer."),
        (1, "At risk from 80% of the time on; at 50% the owner is told; at 150% eva is told and gets the ticket."),
        (0, "SLA 2. usual: if the ticket's kind is known."),
        (1, "A ticket is resolved within 5 days, counted in the hours of its desk."),
        (1, "The time stands still while it waits for the customer or it is on hold."),
        (1, "At risk from 80% of the time on."),
        (0, "Nothing is promised about any other ticket."),
    ]
    other = load(HEAD + USUAL.replace("5d", "3d").replace(", on_hold", "") + URGENT.replace("150", "120"))
    found = [difference.text for difference in differences(journey, other) if difference.part == "service"]
    assert "SLA usual: resolved within 5 days -> 3 days" in found
    assert "SLA usual: stands still while on_hold removed" in found
    assert "SLAs are tried in another order: urgent, usual -> usual, urgent" in found
    [escalated] = [text for text in found if "SLA urgent" in text]
    assert "at 120% eva is told and gets the ticket added" in escalated
