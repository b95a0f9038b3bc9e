"""Diagrams over HTTP: the four of the journey that is meant, in three forms, with a tag and a strict policy."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from schema.diagram import FORMS, KINDS, draw, written
from schema.journey import default_journey, default_text
from tests.management import Site, open_site

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


def test_each_diagram_of_the_active_journey_is_answered_in_each_form(site: Site) -> None:
    for kind in KINDS:
        for form, media in FORMS.items():
            answer = site.client.get(f"/v1/diagrams/{kind}.{form}")
            assert answer.status_code == 200
            assert answer.headers["content-type"] == media
            assert answer.text == written(draw(default_journey(), kind), form)
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; style-src 'sha256-")
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_diagram_that_one_has_is_not_sent_again_and_another_version_has_another_tag(site: Site) -> None:
    first = site.client.get("/v1/diagrams/state.svg")
    tag = first.headers["etag"]
    assert tag.startswith(f'"{default_journey().version}-')
    again = site.client.get("/v1/diagrams/state.svg", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    changed = default_text().replace("label: Opportunity", "label: Chance", 1)
    put = site.client.put("/v1/journeys", content=changed, headers={"Content-Type": "application/yaml"})
    version = put.json()["version"]
    other = site.client.get(f"/v1/diagrams/state.svg?version={version}", headers={"If-None-Match": tag})
    assert other.status_code == 200
    assert "Chance" in {each.text for each in ET.fromstring(other.content).iter()}  # noqa: S314 - our own
    named = site.client.get(f"/v1/diagrams/state.svg?journey=default&version={version}")
    assert named.headers["etag"] == other.headers["etag"] != tag


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("pie.svg", 404, "diagram_unknown"),
        ("state.png", 404, "diagram_unknown"),
        ("state.svg?version=ffffffffffff", 404, "journey_not_found"),
        ("state.svg?journey=nobody", 404, "journey_not_found"),
        ("state.svg?journey=nobody&version={version}", 404, "journey_not_found"),
        ("state.svg?journey=%00", 422, "validation_failed"),
    ],
)
def test_what_there_is_not_is_said_in_words(site: Site, path: str, status: int, code: str) -> None:
    problem = site.get("/v1/diagrams/" + path.format(version=default_journey().version), status)
    assert problem["code"] == code
    assert "nobody" not in str(problem)


def test_reading_diagrams_takes_the_scope_of_reading_journeys(site: Site) -> None:
    assert site.client.get("/v1/diagrams/crm.json", headers=site.key("journeys:read")).status_code == 200
    assert site.client.get("/v1/diagrams/crm.json", headers=site.key("leads:read")).status_code == 403
    assert site.client.get("/v1/diagrams/crm.json", headers={"Authorization": ""}).status_code == 401
