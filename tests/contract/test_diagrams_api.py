"""Diagrams over HTTP: the four of the journey that is meant, in three forms, with a tag and a strict policy."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Final

import pytest
from sqlalchemy import text

from schema.diagram import FORMS, KINDS, draw, written
from schema.journey import default_journey, default_text
from schema.kpi.bins import bin_of
from tests.management import Site, open_site

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILL: Final = text("""
INSERT INTO kpi_bucket (journey_name, measure, item, dim, value, day, n, bins)
SELECT 'default', measure, item, dim, value, DATE '2026-10-05', n, bins
FROM jsonb_to_recordset(CAST(:rows AS jsonb))
  AS given (measure text, item text, dim text, value text, n int, bins jsonb)
""")


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


@pytest.fixture(scope="module")
def counted(site: Site) -> str:
    """October as it was counted, and another version of the journey that most leads followed; its version."""
    targets = """
kpis:
  targets:
    wins: {kpi: win_rate, of: {state: opportunity}, at_least: 25%}
    fast: {kpi: time_in_state, of: {state: opportunity}, at_most: 1d}
"""
    put = site.client.put(
        "/v1/journeys", content=default_text() + targets, headers={"Content-Type": "application/yaml"}
    )
    version: str = put.json()["version"]
    days = {"took": {str(bin_of(7_200.0)): 40}}
    moved = [
        ("created", "", 100, {}), ("entered", "lead", 100, {}), ("moved", "lead>qualify>opportunity", 90, {}),
        ("entered", "opportunity", 90, {}), ("left", "opportunity>win>customer", 40, days["took"]),
        ("moved", "opportunity>win>customer", 40, days["took"]), ("moved", "lead>by_hand>customer", 2, {}),
        ("handover", "marketing>sales", 90, {}), ("taken", "marketing>sales", 40, days["took"]),
    ]  # fmt: skip
    of = [("", "", 1), ("source", "website", 2), ("version", version, 1), ("version", default_journey().version, 10)]
    given = [
        {"measure": measure, "item": item, "dim": dim, "value": value, "n": n // part, "bins": took}
        for measure, item, n, took in moved
        for dim, value, part in of
    ]
    with site.engine.begin() as connection:
        connection.execute(_FILL, {"rows": json.dumps(given)})
    return version


OCTOBER: Final = "overlay=live&from=2026-10-01&to=2026-11-01"


def test_what_really_happened_is_drawn_from_what_was_counted(site: Site, counted: str) -> None:
    told = site.get(f"/v1/diagrams/process.json?{OCTOBER}&version={counted}")
    marks = {part["id"]: part["marks"] for part in (*told["nodes"], *told["edges"]) if part["marks"]}
    assert (marks["state:opportunity"]["count"], marks["state:opportunity"]["open"]) == (90, 50)
    assert marks["move:opportunity:win"]["p50_s"] == pytest.approx(7_200, rel=0.02)
    assert marks["unknown:lead:by_hand:customer"]["unknown"]
    assert marks["state:opportunity"]["bottleneck"] in {1, 2}
    wins, fast = marks["state:opportunity"]["measured"]
    assert (wins["label"], wins["value"], wins["target"], wins["met"]) == ("win rate", "100%", "≥ 25%", True)
    assert (fast["value"], fast["met"]) == ("not known", None)
    sales = next(group for group in told["groups"] if group["id"] == "lane:sales")
    assert sales["notes"][0].endswith("from Marketing 90, 50 not taken up")
    channels = next(node for node in told["nodes"] if node["id"] == "channels")
    assert 50 in channels["marks"]["parts"]
    assert (told["window"]["since"], told["window"]["until"]) == ("2026-10-01", "2026-11-01")
    website = site.get(f"/v1/diagrams/state.json?{OCTOBER}&version={counted}&only=source=website")
    assert next(node["marks"]["count"] for node in website["nodes"] if node["id"] == "state:lead") == 50
    crm = site.client.get(f"/v1/diagrams/crm.svg?{OCTOBER}&version={counted}")
    assert "conversion 0% " not in crm.text
    assert crm.headers["etag"] != site.client.get(f"/v1/diagrams/crm.svg?version={counted}").headers["etag"]


def test_days_long_ago_or_far_ahead_have_nothing_in_them(site: Site, counted: str) -> None:
    for days in ("from=0001-01-01&to=0001-02-01", "from=9999-11-01&to=9999-12-31"):
        told = site.get(f"/v1/diagrams/crm.json?overlay=live&{days}&version={counted}")
        assert {node["marks"]["count"] for node in told["nodes"] if node["id"].startswith("state:")} == {0}


def test_two_versions_are_drawn_with_the_figures_of_their_own_leads(site: Site, counted: str) -> None:
    older = default_journey().version
    told = site.get(f"/v1/diagrams/state.json?{OCTOBER}&version={counted}&before={older}")
    lead = next(node["marks"] for node in told["nodes"] if node["id"] == "state:lead")
    assert (lead["was"]["count"], lead["count"]) == (10, 100)
    plain = site.get(f"/v1/diagrams/state.json?version={counted}&before={older}")
    assert (plain["compared"], plain["window"]) == (True, None)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("pie.svg", 404, "diagram_unknown"),
        ("state.png", 404, "diagram_unknown"),
        ("state.svg?version=ffffffffffff", 404, "journey_not_found"),
        ("state.svg?journey=nobody", 404, "journey_not_found"),
        ("state.svg?journey=nobody&version={version}", 404, "journey_not_found"),
        ("state.svg?journey=%00", 422, "validation_failed"),
        ("state.svg?before=ffffffffffff", 404, "journey_not_found"),
        ("state.svg?overlay=dead", 422, "validation_failed"),
        ("state.svg?from=2026-10-01", 422, "overlay_missing"),
        ("state.svg?overlay=live&from=2026-10-01&to=2026-10-01", 422, "window_empty"),
        ("state.svg?overlay=live&to=0001-01-01", 422, "window_empty"),
        ("state.svg?overlay=live&from=1996-10-01&to=2026-10-01", 422, "window_too_long"),
        ("state.svg?overlay=live&only=nobody=nobody", 422, "dimension_unknown"),
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
