"""The OpenAPI document: whole, true, and readable without another host."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typer.main import get_command

from schema.events import TYPES, full_type, json_schema
from schema.store.ids import new_id
from services.api import shapes
from services.api.keys import SCOPES
from services.cli.main import app
from tests.management import NOW, Site, open_site

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTRACT = {
    ("post", "/f/{source}"),
    ("post", "/hooks/{source}"),
    ("post", "/v1/leads"),
    ("post", "/v1/events"),
    ("post", "/v1/track"),
    ("post", "/v1/batch"),
    ("get", "/v1/receipts/{receipt_id}"),
    ("get", "/v1/leads"),
    ("get", "/v1/leads/{lead_id}"),
    ("get", "/v1/leads/{lead_id}/timeline"),
    ("get", "/v1/leads/{lead_id}/why"),
    ("post", "/v1/leads/{lead_id}/transitions"),
    ("post", "/v1/leads/{lead_id}/accept"),
    ("post", "/v1/leads/{lead_id}/decline"),
    ("put", "/v1/leads/{lead_id}/owner"),
    ("get", "/v1/surveys"),
    ("get", "/v1/surveys/results"),
    ("post", "/v1/surveys/{survey_id}/answer"),
    ("post", "/v1/leads/{lead_id}/surveys"),
    ("get", "/v1/owners"),
    ("get", "/v1/handovers"),
    ("get", "/v1/handovers/summary"),
    ("get", "/v1/handovers/{handover_id}"),
    ("get", "/v1/follow-ups"),
    ("post", "/v1/follow-ups"),
    ("get", "/v1/follow-ups/day"),
    ("get", "/v1/follow-ups/{follow_up_id}"),
    ("post", "/v1/follow-ups/{follow_up_id}/done"),
    ("post", "/v1/follow-ups/{follow_up_id}/snooze"),
    ("post", "/v1/follow-ups/{follow_up_id}/assign"),
    ("post", "/v1/follow-ups/{follow_up_id}/cancel"),
    ("post", "/v1/owners/{owner}/calendar"),
    ("delete", "/v1/owners/{owner}/calendar"),
    ("post", "/v1/owners/{owner}/absences"),
    ("delete", "/v1/owners/{owner}/absences/{absence_id}"),
    ("get", "/v1/events"),
    ("get", "/v1/schemas/{kind}"),
    ("get", "/v1/journeys"),
    ("get", "/v1/journeys/{version}"),
    ("put", "/v1/journeys"),
    ("post", "/v1/journeys/{version}/activate"),
    ("post", "/v1/journeys/{name}/rollback"),
    ("post", "/v1/journeys/{version}/migrations"),
    ("get", "/v1/diagrams/{kind}.{form}"),
    ("get", "/v1/kpis"),
    ("get", "/v1/kpis/{name}"),
    ("get", "/v1/kpis/{name}/rows"),
    ("get", "/v1/kpis/restated"),
    ("get", "/v1/predictions"),
    ("get", "/v1/predictions/{version}"),
    ("get", "/v1/ops/queues"),
    ("get", "/v1/ops/dead-letters"),
    ("post", "/v1/ops/dead-letters/{letter_id}/retry"),
    ("post", "/v1/ops/dead-letters/{letter_id}/discard"),
    ("get", "/v1/ops/account"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
}
OPEN = {
    "/f/{source}",
    "/f/{source}/thanks",
    "/hooks/{source}",
    "/healthz",
    "/readyz",
    "/v1/schemas",
    "/v1/schemas/{kind}",
}


@pytest.fixture(scope="module")
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


@pytest.fixture(scope="module")
def document(site: Site) -> dict[str, Any]:
    return dict(site.get("/openapi.json"))


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def test_every_call_of_the_contract_is_described_intake_too(document: dict[str, Any]) -> None:
    assert {(method, path) for method, path, _ in _operations(document)} >= CONTRACT


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r"'\$ref': '#/components/schemas/([^']+)'", str(document)))
    assert references
    assert references <= document["components"]["schemas"].keys()


def test_every_call_has_words_a_name_of_its_own_and_problems_for_errors(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in _operations(document)]
    assert len(names) == len(set(names))
    for method, path, operation in _operations(document):
        assert operation["summary"], (method, path)
        for status, response in operation["responses"].items():
            if status[0] in "45" and path != "/readyz":
                assert "application/problem+json" in response["content"], (method, path, status)


@pytest.mark.parametrize("noun", ["opportunities", "tickets", "contracts", "follow-ups", "surveys"])
def test_lists_of_sales_and_service_are_asked_for_in_the_same_words(document: dict[str, Any], noun: str) -> None:
    over_http = {each["name"] for each in document["paths"][f"/v1/{noun}"]["get"]["parameters"]}
    group = get_command(app).commands[noun]  # type: ignore[attr-defined]  # of a group
    listed = {word for each in group.commands["list"].params for word in each.opts}
    assert {"status", "lead", "limit", "cursor"} <= over_http
    assert {
        "--json",
        "--data-dir",
        *(f"--{name.replace('_', '-')}" for name in over_http - {"about", "person"}),
    } <= listed
    assert "state" not in over_http


def test_every_call_that_shows_or_changes_something_asks_for_a_key(document: dict[str, Any]) -> None:
    for method, path, operation in _operations(document):
        assert bool(operation.get("security")) is (path not in OPEN), (method, path)
        if path not in OPEN:
            assert any(f"`{scope}`" in operation["description"] for scope in SCOPES), (method, path)


def test_the_reference_is_shown_without_another_host(site: Site) -> None:
    page = site.client.get("/docs")
    assert page.status_code == 200
    assert "//" not in page.text.replace("<!doctype html>", "")
    for asset in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        answer = site.client.get(asset)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(("text/css", "text/javascript"))
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert site.client.get("/docs/..%2fpages.py").status_code == 404


def test_real_answers_have_the_shapes_that_are_described(site: Site) -> None:
    person = site.seed.person("Ana Lopez", "ana@acme.example")
    lead = site.seed.lead(person, next_step="score")
    site.seed.receipt(status="processed", lead_id=lead, person_id=person)
    site.seed.dead_letter("lead", lead, "score")
    for path, shape in (
        ("/v1/leads", shapes.Leads),
        (f"/v1/leads/{lead}", shapes.Lead),
        (f"/v1/leads/{lead}/timeline", shapes.Timeline),
        (f"/v1/leads/{lead}/why", shapes.Why),
        ("/v1/journeys", shapes.Journeys),
        ("/v1/events", shapes.Feed),
        ("/v1/ops/queues", shapes.Queues),
        ("/v1/ops/dead-letters", shapes.DeadLetters),
        ("/v1/ops/dead-letters?group=fingerprint", shapes.DeadLetterGroups),
        ("/v1/ops/account", shapes.Account),
        ("/healthz", shapes.Alive),
    ):
        shape.model_validate(site.get(path))
    shapes.Readiness.model_validate(site.get("/readyz", 503))
    shapes.ProblemDocument.model_validate(site.get("/v1/leads/none", 404))


@pytest.mark.parametrize("name", TYPES)
def test_real_events_are_what_their_schema_says(site: Site, name: str) -> None:
    lead = new_id()
    site.seed.event(lead, 1, name, _data(name))
    (event,) = [event for event in site.get(f"/v1/events?types={name}")["events"] if event["subject"] == lead]
    schema = site.get(f"/v1/schemas/{full_type(name)}")
    assert schema["required"] == [key for key in schema["required"] if key in event]
    assert event.keys() <= schema["properties"].keys()
    data = schema["properties"]["data"]
    assert event["data"].keys() == set(data["properties"])
    assert set(data["required"]) <= event["data"].keys()
    for field, value in event["data"].items():
        assert _is_allowed(value, data["properties"][field]), field
    assert event["time"] == NOW.isoformat().replace("+00:00", "Z")


def _data(name: str) -> dict[str, Any]:
    """An example of the event's data, as the event itself would be written."""
    examples = {"string": "x", "boolean": True, "integer": 1, "number": 0.5, "array": ["x"], "object": {"x": "pass"}}
    written_as = {"date-time": NOW.isoformat(), "decimal": "1.50"}
    fields = json_schema(name)["properties"]["data"]["properties"]
    data = {
        field: written_as.get(_format(described), examples[_kinds(described)[0]]) for field, described in fields.items()
    }
    written: dict[str, Any] = msgspec.to_builtins(msgspec.convert(data, TYPES[name]))
    return written


def _is_allowed(value: object, schema: dict[str, Any]) -> bool:
    named = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    return named[type(value)] in _kinds(schema)


def _format(schema: dict[str, Any]) -> str:
    """As what its text is to be read, empty where any text will do."""
    found = [part["format"] for part in (schema, *schema.get("anyOf", ())) if "format" in part]
    return found[0] if found else ""


def _kinds(schema: dict[str, Any]) -> list[str]:
    """The JSON types a field may have, `null` last."""
    kinds = [schema["type"]] if "type" in schema else [part["type"] for part in schema["anyOf"]]
    return sorted(kinds, key=lambda kind: kind == "null")
