"""Merging people over HTTP and on the command line, as people and programs meet it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from schema import tables
from schema.store.ids import new_id
from services.cli.main import app
from tests.management import NOW, Site, open_site

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


def two(site: Site, mark: str) -> tuple[str, str]:
    people = [site.seed.person(f"Ana {mark}", f"{name}.{mark}@kiln.example") for name in ("ana", "ann")]
    for person in people:
        site.seed.lead(person)
    return people[0], people[1]


def refused(site: Site, path: str, body: object = None, status: int = 409) -> dict[str, Any]:
    response = site.client.post(path, json=body)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json"), (
        response.text
    )
    return dict(response.json())


def test_two_people_are_merged_and_parted_again(site: Site) -> None:
    survivor, merged = two(site, "one")
    [lead] = [each["id"] for each in site.get(f"/v1/people/{merged}")["leads"]]

    done = site.post(f"/v1/people/{survivor}/merge", {"merged": merged, "reason": "same_phone"})
    again = site.post(f"/v1/people/{survivor}/merge", {"merged": merged})

    assert again == done
    assert site.get(f"/v1/people/{merged}")["merged_into"] == survivor
    assert done["leads"] == [lead]
    [(rests, goes_on)] = done["parked"].items()
    shown = site.get(f"/v1/leads/{rests}")
    assert (shown["merged_into"], shown["open"], shown["person"]["id"]) == (goes_on, False, survivor)
    told = site.get(f"/v1/leads/{rests}/why")["decisions"][-1]
    assert told["text"] == (f"Person {merged} goes on as {survivor}. It rests and goes on in lead {goes_on}.")

    back = site.post(f"/v1/people/{merged}/unmerge")

    assert (back["reopened"], back["arrivals_since"]) == ([rests], {"survivor": 0, "merged": 0})
    assert site.get(f"/v1/people/{merged}")["merged_into"] is None
    assert site.get(f"/v1/leads/{rests}")["merged_into"] is None
    assert refused(site, f"/v1/people/{merged}/unmerge")["code"] == "person_not_merged"


def test_a_lead_that_rests_is_not_moved_and_says_where_it_goes_on(site: Site) -> None:
    survivor, merged = two(site, "two")
    done = site.post(f"/v1/people/{survivor}/merge", {"merged": merged})
    [(rests, goes_on)] = done["parked"].items()
    told = refused(site, f"/v1/leads/{rests}/accept")
    assert (told["code"], told["into"]) == ("lead_merged", goes_on)


def test_what_cannot_be_merged_is_refused_with_a_code(site: Site) -> None:
    survivor, merged = two(site, "three")
    nobody = f"{survivor[:-8]}00000000"
    assert refused(site, f"/v1/people/{nobody}/merge", {"merged": merged}, 404)["code"] == "person_not_found"
    assert refused(site, f"/v1/people/{survivor}/merge", {"merged": nobody}, 404)["code"] == "person_not_found"
    assert refused(site, "/v1/people/not-an-id/unmerge", None, 404)["code"] == "person_not_found"
    assert refused(site, f"/v1/people/{survivor}/merge", {"merged": survivor}, 422)["code"] == "same_person"
    assert refused(site, f"/v1/people/{survivor}/merge", {"merged": merged, "reason": "No!"}, 422)["errors"]
    site.post(f"/v1/people/{survivor}/merge", {"merged": merged})
    told = refused(site, f"/v1/people/{merged}/merge", {"merged": survivor})
    assert (told["code"], told["person"], told["into"]) == ("person_merged", merged, survivor)


def test_people_of_one_name_and_company_are_suggested_until_they_are_one(site: Site) -> None:
    company = site.seed.insert(tables.company, id=new_id(), domain="oven.example", created_at=NOW)
    survivor, merged = two(site, "four")
    with site.engine.begin() as connection:
        connection.execute(text("UPDATE person SET company_id = :id WHERE name = 'Ana four'"), {"id": company})

    [found] = site.get(f"/v1/people/{survivor}/suggestions")["items"]
    assert (found["id"], found["reasons"][0]["reason"]) == (merged, "name")
    site.post(f"/v1/people/{survivor}/merge", {"merged": merged})
    assert site.get(f"/v1/people/{survivor}/suggestions") == {"items": [], "next": None}
    site.get(f"/v1/people/{survivor[:-8]}00000000/suggestions", 404)


def test_a_key_needs_the_scope(site: Site) -> None:
    survivor, merged = two(site, "five")
    reading = site.key("leads:read")
    for path in (f"/v1/people/{survivor}/merge", f"/v1/people/{merged}/unmerge"):
        assert site.client.post(path, json={"merged": merged}, headers=reading).status_code == 403


def test_the_command_line_merges_parts_and_suggests(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHLINE_DATABASE_URL", site.url)
    monkeypatch.setenv("THROUGHLINE_SECRET_KEY", "k" * 32)
    survivor, merged = two(site, "six")

    def people(*words: str) -> str:
        result = CliRunner().invoke(app, ["people", *words])
        assert result.exit_code == 0, result.output
        return result.output

    assert people("merge", survivor, merged, "--dry-run").startswith("Nothing is kept; otherwise: ")
    assert site.get(f"/v1/people/{merged}")["merged_into"] is None
    done = json.loads(people("merge", survivor, merged, "--json"))
    assert (done["merged"], done["dry_run"]) == (merged, False)
    assert people("suggest", merged).splitlines() == ["person\tname\te-mail\tphone\twhy"]
    assert "are two people again" in people("unmerge", merged)
    assert site.get(f"/v1/people/{merged}")["merged_into"] is None
    refusal = CliRunner().invoke(app, ["people", "unmerge", merged])
    assert refusal.exit_code == 1
    assert "not merged" in str(refusal.exception)
