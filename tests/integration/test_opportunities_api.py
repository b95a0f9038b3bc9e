"""Opportunities over HTTP and on the command line: what is answered, what is refused, and with which words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from schema.store.ids import new_id
from services.api import opportunity_shapes as shapes
from services.cli.main import app
from tests.management import Site, open_site
from workers.moves import move_lead

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


def refused(site: Site, method: str, path: str, body: object = None, status: int = 409) -> dict[str, Any]:
    response = site.client.request(method, path, json=body)
    assert response.status_code == status, response.text
    return dict(response.json())


def opened(site: Site) -> dict[str, Any]:
    """Have a lead become an opportunity, and return the one that is opened with that."""
    lead = site.seed.lead(site.seed.person(), owner="ana")
    move_lead(site.engine, lead, "qualify", reason=None, actor="key:1")
    [made] = site.get(f"/v1/opportunities?lead={lead}")["items"]
    return dict(made)


def test_one_goes_from_the_first_talk_to_the_sale_and_is_shown_on_the_way(site: Site) -> None:
    lead = opened(site)["lead_id"]
    said = {"amount": "1200.50", "expected_close": "2027-01-31", "products": [{"name": "Kiln", "quantity": "2"}]}
    made = site.post(f"/v1/leads/{lead}/opportunities", said, 201)
    path = f"/v1/opportunities/{made['id']}"
    shapes.OpportunityChanged.model_validate(made)
    assert (made["stage"], made["owner"], made["currency"], made["moved"]) == ("first_talk", "ana", "EUR", None)

    changed = site.client.patch(path, json={"stage": "offer", "next_action": "call", "owner": "ben", "expect": 1})
    assert (changed.status_code, changed.json()["owner"]) == (200, "ben")
    [listed] = site.get(f"/v1/opportunities?status=open&stage=offer&owner=ben&lead={lead}")["items"]
    assert {name: changed.json()[name] for name in listed} == listed
    shapes.Opportunities.model_validate(site.get("/v1/opportunities?limit=1"))
    shapes.Pipeline.model_validate(site.get("/v1/opportunities/pipeline?owner=ben"))
    forecast = site.get("/v1/opportunities/forecast?by=owner&months=24")
    shapes.Forecast.model_validate(forecast)
    assert {item["group"] for item in forecast["items"] if float(item["naive"])} == {"ben"}

    won = site.post(f"{path}/win", {"amount": "1100"})
    assert (won["status"], won["amount"], won["moved"]["to_state"]) == ("won", "1100", "customer")
    assert [change["what"] for change in won["history"]] == ["opened", "stage", "won"]
    assert any(ids == [lead] for _, ids in site.hinted)
    shapes.OpportunityShown.model_validate(site.get(path))


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"amount": 12}, "validation_failed", "/body/amount"),
        ({"amount": "12,50"}, "amount_invalid", "/body/amount"),
        ({"currency": "XXX"}, "currency_unknown", "/body/currency"),
        ({"owner": "nobody"}, "owner_unknown", "/body/owner"),
        ({"expected_close": "31.1.2027"}, "day_invalid", "/body/expected_close"),
        ({"probability": "0.5"}, "validation_failed", None),
        ({"stage": "ofer"}, "stage_unknown", "/body/stage"),
        ({"stage": "offer"}, "stage_requires", "/body/stage"),
        ({"outcome": "won"}, "validation_failed", "/body"),
        ({"next_action": "a\u0000b"}, "validation_failed", "/body/next_action"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_kept(site: Site, body: object, code: str, pointer: str | None) -> None:
    made = opened(site)
    told = refused(site, "PATCH", f"/v1/opportunities/{made['id']}", body, 422)
    assert told["code"] == code
    if pointer:
        assert told["errors"][0]["pointer"] == pointer
    assert site.get(f"/v1/opportunities/{made['id']}")["changes"] == 1


def test_a_loser_hears_what_is_so_and_what_is_possible(site: Site) -> None:
    made = opened(site)
    path = f"/v1/opportunities/{made['id']}"
    wrong = refused(site, "POST", f"{path}/lose", {"reason": "weather"}, 422)
    site.post(f"{path}/lose", {"reason": "price"})
    again = refused(site, "POST", f"{path}/win")
    late = refused(site, "PATCH", path, {"next_action": "call"})
    other = opened(site)
    stale = refused(site, "PATCH", f"/v1/opportunities/{other['id']}", {"next_action": "call", "expect": 9})
    done = site.seed.lead(site.seed.person())
    move_lead(site.engine, done, "disqualify", reason=None, actor="key:1")
    closed = refused(site, "POST", f"/v1/leads/{done}/opportunities", {})

    assert (wrong["code"], "price" in wrong["known"]) == ("reason_unknown", True)
    assert (again["code"], again["outcome"], late["code"]) == ("opportunity_closed", "lost", "opportunity_closed")
    assert (stale["code"], stale["changes"]) == ("opportunity_changed", 1)
    assert (closed["code"], closed["possible"]) == ("illegal_transition", ["requalify", "recycle"])
    for unknown in (new_id(), "none"):
        assert refused(site, "GET", f"/v1/opportunities/{unknown}", status=404)["code"] == "opportunity_not_found"
        assert refused(site, "POST", f"/v1/opportunities/{unknown}/win", status=404)["code"] == "opportunity_not_found"
    assert refused(site, "POST", f"/v1/leads/{new_id()}/opportunities", {}, 404)["code"] == "lead_not_found"
    assert refused(site, "GET", "/v1/opportunities/forecast?pipeline=sale", status=409)["known"] == ["sales"]
    reader = site.key("opportunities:read")
    assert site.client.post(f"{path}/reopen", headers=reader).status_code == 403
    assert site.post(f"{path}/reopen", {"stage": "first_talk"})["moved"]["name"] == "win_back"


def test_the_command_line_does_the_same_and_a_trial_keeps_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHLINE_DATABASE_URL", site.url)
    monkeypatch.setenv("THROUGHLINE_SECRET_KEY", "s" * 40)
    run = CliRunner()
    lead = opened(site)["lead_id"]

    def call(*words: str, status: int = 0) -> str:
        done = run.invoke(app, ["opportunities", *words])
        assert done.exit_code == status, (done.output, done.exception)
        return done.output if status == 0 else str(done.exception)

    made = json.loads(call("open", lead, "--amount", "700", "--close", "2027-02-01", "--next", "call", "--json"))
    [first] = [each for each in json.loads(call("list", "--lead", lead, "--json"))["items"] if each["id"] != made["id"]]
    call("lose", first["id"], "--reason", "timing")
    trial = call("win", made["id"], "--dry-run")
    assert "Nothing is kept; otherwise" in trial
    assert "from opportunity to customer (win)" in trial
    assert site.get(f"/v1/opportunities/{made['id']}")["status"] == "open"
    call("change", made["id"], "--stage", "offer", "--close", "none", status=1)
    call("change", made["id"], "--stage", "offer", "--competitor", "Rival", "--probability", "0.9")
    assert "700 EUR" in call("show", made["id"])
    assert made["id"] in call("list", "--status", "open", "--stage", "offer")
    assert "offer" in call("pipeline")
    assert "EUR" in call("forecast", "--by", "stage", "--months", "12")
    assert "one of the reasons of sales: price" in call("lose", made["id"], "--reason", "rain", status=1)
    assert "went from opportunity to lost (lose)" in call("lose", made["id"], "--reason", "price")
    assert "open again at offer" in call("reopen", made["id"])
    assert "Say what is to be changed" in call("change", made["id"], status=1)
