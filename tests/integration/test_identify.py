"""Identify: an arrival finds its person and its lead, once, whatever arrives beside it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.spine import Spine

ANA = {"email": "ana@kiln.example", "name": "Ana Pons", "company": "Kiln", "interests": "crm"}


def test_an_arrival_becomes_a_person_a_company_a_touchpoint_and_a_lead(spine: Spine) -> None:
    receipt = spine.arrives(ANA | {"message": "Call me"})

    spine.run()

    found = spine.receipt(receipt)
    lead = spine.lead_of(receipt)
    [person] = spine.rows("SELECT * FROM person")
    [company] = spine.rows("SELECT * FROM company")
    [touch] = spine.rows("SELECT * FROM touchpoint")
    assert (found["status"], found["person_id"]) == ("processed", person["id"])
    assert (person["name"], person["email"], person["company_id"]) == ("Ana Pons", "ana@kiln.example", company["id"])
    assert (company["domain"], company["name"]) == ("kiln.example", "Kiln")
    assert (touch["id"], touch["lead_id"], touch["kind"]) == (receipt, lead["id"], "form")
    assert lead["message"] == "Call me"


@pytest.mark.parametrize("batch_size", [1, 50])
def test_many_arrivals_of_one_person_are_one_person_with_many_touchpoints(spine: Spine, batch_size: int) -> None:
    receipts = [spine.arrives(ANA | {"message": str(number)}) for number in range(20)]

    spine.run(spine.runtime(batch_size=batch_size), ids=receipts)

    assert len({spine.lead_of(receipt)["id"] for receipt in receipts}) == 1
    assert spine.rows("SELECT count(*) AS n FROM person") == [{"n": 1}]
    assert spine.rows("SELECT count(*) AS n FROM touchpoint") == [{"n": 20}]
    assert [spine.receipt(receipt)["status"] for receipt in receipts].count("processed") == 1


def test_two_hundred_arrivals_of_one_person_taken_by_many_workers_are_one_person(spine: Spine) -> None:
    for number in range(200):
        spine.arrives(ANA | {"message": str(number)})
    runtimes = [spine.runtime(batch_size=10) for _ in range(4)]

    with ThreadPoolExecutor(4) as workers:
        for _ in range(10):
            list(workers.map(lambda runtime: runtime.hear("identify", now=spine.now), runtimes))
    spine.run()

    assert spine.rows("SELECT count(*) AS n FROM person") == [{"n": 1}]
    assert spine.rows("SELECT count(*) AS n FROM lead") == [{"n": 1}]
    assert spine.rows("SELECT count(*) AS n FROM touchpoint") == [{"n": 200}]
    assert spine.rows("SELECT count(*) AS n FROM receipt WHERE lead_id IS NOT NULL") == [{"n": 200}]


def test_an_address_is_the_same_however_it_is_written(spine: Spine) -> None:
    receipts = [
        spine.arrives({"email": email}) for email in ("ana@kiln.example", "ANA@Kiln.Example ", "Ana@kiln.example")
    ]

    spine.run()

    assert len({spine.receipt(receipt)["person_id"] for receipt in receipts}) == 1


def test_two_people_with_one_telephone_stay_two(spine: Spine) -> None:
    one = spine.arrives({"email": "ana@kiln.example", "phone": "+49 30 1234567"})
    two = spine.arrives({"email": "ben@kiln.example", "phone": "+49 30 1234567"})

    spine.run()

    assert spine.receipt(one)["person_id"] != spine.receipt(two)["person_id"]


def test_a_known_person_gets_what_was_missing_and_a_program_changes_nothing_that_they_said(spine: Spine) -> None:
    spine.arrives(ANA)
    spine.run()
    other = {"email": "ana@kiln.example", "name": "A. P.", "country": "DE", "interests": "billing"}
    spine.arrives(other, source="api", channel="api")

    spine.run()

    [person] = spine.rows("SELECT * FROM person")
    assert (person["name"], person["country"]) == ("Ana Pons", "DE")
    assert person["interests"] == ["crm", "billing"]


def test_an_arrival_of_a_person_with_a_lead_runs_again_from_score(spine: Spine) -> None:
    first = spine.arrives(ANA)
    spine.run()
    spine.passes(timedelta(days=1))
    second = spine.arrives(ANA | {"message": "Any news?"})

    spine.run()

    steps = spine.rows("SELECT step FROM decision ORDER BY number")
    assert [row["step"] for row in steps] == [
        *("identify", "qualify", "score", "route", "advance"),
        *("identify", "score", "route", "advance"),
    ]
    assert spine.receipt(second)["status"] == "merged"
    assert spine.lead_of(first)["id"] == spine.lead_of(second)["id"]


def test_a_competitor_is_disqualified_and_never_scored_or_routed(spine: Spine) -> None:
    from schema.journey import default_journey  # noqa: PLC0415 - only this test needs the list

    domain = default_journey().lists["competitors"][0]
    receipt = spine.arrives({"email": f"spy@{domain}", "name": "Spy"})

    spine.run()

    lead = spine.lead_of(receipt)
    assert (lead["state"], lead["open"], lead["owner"], lead["score_total"]) == ("disqualified", False, None, None)
    assert lead["qualification"]["reason"] == "competitor"


def test_a_competitor_who_comes_back_is_kept_with_the_lead_that_was_disqualified(spine: Spine) -> None:
    from schema.journey import default_journey  # noqa: PLC0415

    domain = default_journey().lists["competitors"][0]
    first = spine.arrives({"email": f"spy@{domain}"})
    spine.run()
    second = spine.arrives({"email": f"spy@{domain}", "message": "again"})

    spine.run()

    assert spine.receipt(second)["status"] == "merged"
    assert spine.lead_of(first)["id"] == spine.lead_of(second)["id"]
    assert spine.lead_of(first)["state"] == "disqualified"


@pytest.mark.parametrize(
    ("payload", "source", "reason"),
    [
        (b'{"colour": "blue"}', "website", "nothing_recognised"),
        (b"{", "website", "json_syntax"),
        (b'{"email": "ana@kiln.example"}', "a_source_nobody_knows", "source_unknown"),
    ],
)
def test_what_cannot_be_understood_waits_in_quarantine_with_its_reason(
    spine: Spine,
    payload: bytes,
    source: str,
    reason: str,
) -> None:
    bad = spine.arrives(payload, source=source)
    good = spine.arrives(ANA)

    spine.run()

    found = spine.receipt(bad)
    assert (found["status"], found["reason"], bytes(found["body"])) == ("quarantined", reason, payload)
    assert spine.receipt(good)["status"] == "processed"


def test_an_address_that_cannot_be_used_does_not_lose_the_lead(spine: Spine) -> None:
    receipt = spine.arrives({"email": "x@y.example\r\nBcc: v@w.example", "name": "Eve", "message": "Hello"})

    spine.run()

    [person] = spine.rows("SELECT * FROM person")
    [touch] = spine.rows("SELECT data FROM touchpoint")
    assert spine.receipt(receipt)["status"] == "processed"
    assert person["email"] is None
    assert touch["data"]["issues"]


def test_a_question_that_is_answered_anew_has_the_new_answer(spine: Spine) -> None:
    spine.arrives({"email": "lee@kiln.example", "message": "A first question.", "budget": "none", "seats": 5})
    spine.run()
    spine.arrives({"email": "lee@kiln.example", "message": "A second one.", "budget": "20000"})
    spine.run()

    (person,) = spine.rows("SELECT custom FROM person")
    assert person["custom"] == {"budget": "20000", "seats": 5}
