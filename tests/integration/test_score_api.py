"""A lead's score over HTTP: what it is made of, how it will fall, what would raise it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from services.api import shapes
from tests.management import NOW, Site, open_site

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


def given_lead(site: Site) -> str:
    """A lead that filled in a form at NOW, and of which no employees are known."""
    person = site.seed.person("Ana Lopez", "ana@acme.example")
    lead = site.seed.lead(person)
    site.seed.touchpoint(lead, person, kind="form", occurred_at=NOW)
    site.seed.touchpoint(lead, person, kind="letter", occurred_at=NOW)
    return lead


def test_a_score_is_told_with_its_parts_its_future_and_what_would_raise_it(site: Site) -> None:
    lead = given_lead(site)
    told = site.get(f"/v1/leads/{lead}/score?at=2026-03-02T09:00:00Z&target=B")
    shapes.Outlook.model_validate(told)
    assert (told["lead_id"], told["at"]) == (lead, "2026-03-02T09:00:00Z")
    assert told["text"] == "Scored 30 of 100, grade C: fit 0, engagement 30."
    assert [part["points"] for part in told["explanation"]["parts"]] == [30.0]
    assert "Not counted: 1 letter: the journey gives no points for it." in told["why_not"]
    assert [point["total"] for point in told["curve"]] == [30, 26, 15, 4]
    assert told["next_change"]["total"] == 19
    assert (told["target"]["grade"], told["target"]["total"], told["target"]["reached"]) == ("B", 45, False)
    assert told["target"]["needs"][0]["fit"][0]["missing"] == ["company.employees"]
    assert all(need["total"] >= 45 for need in told["target"]["needs"])


def test_a_moment_without_a_time_zone_is_utc(site: Site) -> None:
    lead = given_lead(site)
    told = site.get(f"/v1/leads/{lead}/score?at=2026-04-01T09:00:00")
    assert (told["at"], told["curve"][0]["total"]) == ("2026-04-01T09:00:00Z", 15)


def test_without_a_target_the_next_better_grade_is_taken(site: Site) -> None:
    lead = given_lead(site)
    assert site.get(f"/v1/leads/{lead}/score?at=2026-03-02T09:00:00Z")["target"]["grade"] == "B"
    assert site.get(f"/v1/leads/{lead}/score?at=2027-03-02T09:00:00Z")["target"]["grade"] == "C"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("target=Z", "target_unknown"),
        ("target=101", "target_unknown"),
        ("target=" + "9" * 100, "validation_failed"),
        ("target=%00", "validation_failed"),
        ("at=yesterday", "validation_failed"),
        ("at=9999-12-31T23:59:59Z", "moment_unlikely"),
        ("at=0001-01-01T00:00:00%2B14:00", "moment_unlikely"),
    ],
)
def test_a_question_that_cannot_be_read_is_refused(site: Site, query: str, code: str) -> None:
    problem = site.get(f"/v1/leads/{given_lead(site)}/score?{query}", 422)
    assert problem["code"] == code
    assert "yesterday" not in str(problem)


def test_an_unknown_target_names_the_grades_there_are(site: Site) -> None:
    assert site.get(f"/v1/leads/{given_lead(site)}/score?target=Z", 422)["grades"] == "A, B, C, D"


@pytest.mark.parametrize("name", ["nonsense", "019a8b00-0000-7000-8000-000000000000", "%00"])
def test_the_score_of_nobody_is_not_found(site: Site, name: str) -> None:
    problem = site.get(f"/v1/leads/{name}/score", 404)
    assert problem["code"] == "lead_not_found"
    assert "nonsense" not in str(problem)


def test_a_score_holds_no_personal_data(site: Site) -> None:
    told = str(site.get(f"/v1/leads/{given_lead(site)}/score"))
    assert "Ana" not in told
    assert "acme" not in told


def test_what_is_dated_later_is_not_counted_yet(site: Site) -> None:
    lead = given_lead(site)
    before = (NOW - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = site.get(f"/v1/leads/{lead}/score?at={before}")
    assert told["explanation"]["total"] == 0
    assert "Not counted: 1 form yet: it is dated later than this moment." in told["why_not"]
