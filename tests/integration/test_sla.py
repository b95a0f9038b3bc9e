"""What is promised about tickets, over HTTP and on the command line: what is due, and counting it by other hours."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from schema.store import clock, journeys
from services.cli.main import app
from tests.desking import JOURNEY
from tests.integration.test_clocks import OFFICE, SLAS
from tests.management import Site, open_site
from workers.helpdesk.by_hand import TicketService

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def site(postgres_server: str) -> Iterator[Site]:
    """A ticket that is urgent and breached, and a usual one."""
    with open_site(postgres_server) as made:
        version = activate(made, SLAS)
        desk = TicketService(made.engine, lambda *_: None)
        for priority, ago in (("normal", 0), ("urgent", 45)):
            lead = made.seed.lead(journey=version)
            wanted = {"kind": "question", "source": "phone", "channel": "phone", "priority": priority}
            desk.open(lead, wanted, actor="key:1", now=clock.now() - timedelta(minutes=ago))
        yield made


def activate(site: Site, slas: str) -> str:
    with site.engine.begin() as connection:
        journey = journeys.store(connection, JOURNEY + slas, clock.now())
        journeys.activate(connection, journey, clock.now())
    return journey.version


def line(site: Site, monkeypatch: pytest.MonkeyPatch, *arguments: str, status: int = 0) -> str:
    monkeypatch.setenv("THROUGHLINE_DATABASE_URL", site.url)
    monkeypatch.setenv("THROUGHLINE_SECRET_KEY", "p" * 32)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == status, done.output
    return str(done.stdout)


def promises(page: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(item["ticket"]["priority"], item["metric"], item["state"]) for item in page["items"]]


def test_what_is_breached_longest_is_listed_first_page_by_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = site.get("/v1/clocks")
    assert promises(everything) == [
        ("urgent", "first_response", "breached"), ("urgent", "resolution", "active"),
        ("normal", "first_response", "active"), ("normal", "resolution", "active"),
    ]  # fmt: skip
    first = everything["items"][0]
    assert (first["policy"], first["why"], first["target_s"]) == ("urgent", 'ticket.priority == "urgent"', 1800)
    assert -1000 < first["left_s"] <= -900

    page = site.get("/v1/clocks?limit=3")
    last = site.get(f"/v1/clocks?limit=3&cursor={page['next']}")
    assert promises(page) + promises(last) == promises(everything)
    assert last["next"] is None
    now = clock.now().isoformat().replace("+00:00", "Z")
    assert promises(site.get(f"/v1/clocks?before={now}")) == promises(everything)[:1]
    assert site.get("/v1/clocks?cursor=2026~x", status=422)["code"] == "cursor_invalid"
    shown = site.get(f"/v1/tickets/{first['ticket']['id']}")["clocks"]
    assert [each["metric"] for each in shown] == ["first_response", "resolution"]
    told = line(site, monkeypatch, "sla", "due", "--before", "1m")
    assert [row.split("\t")[1:5] for row in told.splitlines()[1:]] == [["urgent", "ben", "first response", "breached"]]


def test_another_calendar_is_said_in_words_before_it_counts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = "Every clock that runs is counted by default, version {}"
    assert line(site, monkeypatch, "sla", "recalculate").startswith(usual.format(""))
    activate(site, OFFICE.replace("resolution: 10h", "next_response: 1h").replace("next_response: 2h, ", ""))

    told = line(site, monkeypatch, "sla", "recalculate", "--dry-run")
    assert "2 tickets would be counted by default" in told
    assert "1 clock promised no more" in told
    before = site.get("/v1/clocks")
    refused = site.client.post("/v1/clocks/recalculations", json={}, headers=site.key("tickets:read"))
    assert refused.status_code == 403
    assert site.post("/v1/clocks/recalculations", {"journey": "nobody"}, status=409)["code"] == "journey_not_active"
    tried = site.post("/v1/clocks/recalculations", {"dry_run": True})
    assert site.get("/v1/clocks") | {"items": []} == before | {"items": []}
    done = site.post("/v1/clocks/recalculations", {})
    assert done == tried | {"dry_run": False}
    assert (done["tickets"], done["clocks"]["dropped"], done["more"]) == (2, 1, False)
    assert ("normal", "resolution", "active") not in promises(site.get("/v1/clocks"))
    assert json.loads(line(site, monkeypatch, "sla", "recalculate", "--json"))["tickets"] == 0
