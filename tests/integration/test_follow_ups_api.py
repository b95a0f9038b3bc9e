"""Follow-ups as people meet them: over HTTP, on the command line, and in the calendar they look at."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.routing import Route
from typer.testing import CliRunner

from schema import tables
from schema.settings import Settings
from schema.store import clock, follow_ups
from schema.store.engine import make_async_engine
from schema.store.follow_ups import Wanted
from schema.store.ids import new_id
from schema.store.journeys import JourneyBook
from services.api.calendars import Calendars, address, written
from services.cli.main import app
from tests.management import NOW, Site, open_site
from tests.spine import PEPPER

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = timedelta(hours=1)
SECRET = "the secret of these tests"


@pytest.fixture
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as site:
        yield site


def owed(site: Site, owner: str = "ana", **more: Any) -> str:  # noqa: ANN401 - columns
    """Work as the workers would have left it."""
    lead = more.pop("lead_id", None) or site.seed.lead(site.seed.person("Jo Kiln"))
    due_at = more.pop("due_at", clock.now() + HOUR)
    row = {
        "id": new_id(),
        "lead_id": lead,
        "person_id": site_person(site, lead),
        "journey_name": "default",
        "journey": site.seed.version,
        "rule": "call",
        "occasion": new_id(),
        "text": "Call them",
        "about_kind": "lead",
        "about_id": lead,
        "role": "owner",
        "owner": owner,
        "created_at": NOW,
        "created_by": "journey",
        "due_at": due_at,
        "first_due_at": due_at,
        "updated_at": NOW,
    }
    return site.seed.insert(tables.follow_up, **(row | more))


def site_person(site: Site, lead: str) -> str:
    with site.engine.connect() as connection:
        found = connection.execute(text("SELECT person_id FROM lead WHERE id = :id"), {"id": lead})
        return str(found.scalar_one())


def test_an_owner_sees_their_day_and_does_their_work_over_http(site: Site) -> None:
    now = clock.now()
    lead = site.seed.lead(site.seed.person("Jo Kiln", "jo@kiln.example"))
    made = site.post("/v1/follow-ups", {"lead_id": lead, "text": "Send it", "owner": "ana", "within": "1h"}, 201)
    late = owed(site, due_at=now - HOUR)
    far = owed(site, due_at=now + 100 * HOUR)
    owed(site, "ben", due_at=now - HOUR)

    pages = [site.get("/v1/follow-ups?owner=ana&limit=2")]
    pages.append(site.get(f"/v1/follow-ups?owner=ana&limit=2&cursor={pages[0]['next']}"))
    assert [[item["id"] for item in page["items"]] for page in pages] == [[late, made["id"]], [far]]
    assert pages[1]["next"] is None
    assert [item["id"] for item in site.get(f"/v1/follow-ups?about={lead}")["items"]] == [made["id"]]
    assert made["person"] | {"id": ""} == {
        "id": "", "name": "Jo Kiln", "email": "jo@kiln.example", "phone": None, "company": None,
    }  # fmt: skip
    day = site.get("/v1/follow-ups/day?owner=ana")
    assert ([item["id"] for item in day["overdue"]], day["counts"]["overdue"], day["counts"]["open"]) == ([late], 1, 3)
    assert [item["id"] for item in [*day["today"], *day["next"]]] == [made["id"], far]

    path = f"/v1/follow-ups/{made['id']}"
    until = (now + 48 * HOUR).isoformat()
    assert site.post(f"{path}/snooze", {"until": until})["snoozes"] == 1
    assert site.post(f"{path}/assign", {"owner": "ben"})["owner"] == "ben"
    refused = site.post(f"{path}/done", {"outcome": "sold"}, 422)
    assert (refused["code"], refused["possible"]) == ("outcome_unknown", made["outcomes"])
    done = site.post(f"{path}/done", {"outcome": "done", "note": "They want it", "channel": "phone"})
    assert (done["status"], done["outcome"], done["note"]) == ("done", "done", "They want it")
    again = site.post(f"{path}/done", {"outcome": "done"}, 409)
    assert (again["code"], again["outcome"], again["done_by"]) == ("follow_up_over", "done", done["done_by"])
    assert site.post(f"/v1/follow-ups/{far}/cancel")["reason"] == "not_needed"
    assert [item["id"] for item in site.get("/v1/follow-ups?status=done")["items"]] == [made["id"]]
    assert [item["id"] for item in site.get("/v1/follow-ups?status=cancelled&owner=ana")["items"]] == [far]


def test_what_cannot_be_is_answered_with_what_to_do(site: Site) -> None:
    lead = site.seed.lead()
    work = {"lead_id": lead, "text": "x"}
    wrong = [
        ("/v1/follow-ups", work | {"lead_id": new_id()}, 404, "lead_not_found"),
        ("/v1/follow-ups", work | {"owner": "dee-dee"}, 422, "owner_unknown"),
        ("/v1/follow-ups", work | {"within": "soon"}, 422, "validation_failed"),
        ("/v1/follow-ups", work | {"due_at": NOW.isoformat()}, 422, "due_in_the_past"),
        ("/v1/follow-ups", work | {"about": {"kind": "ticket", "id": new_id()}}, 422, "subject_unknown"),
        (f"/v1/follow-ups/{new_id()}/done", {"outcome": "done"}, 404, "follow_up_not_found"),
        ("/v1/follow-ups/x/cancel", None, 404, "follow_up_not_found"),
        ("/v1/owners/nobody/calendar", None, 422, "owner_unknown"),
    ]
    for path, body, status, code in wrong:
        assert site.post(path, body, status)["code"] == code
    for path, status, code in (
        ("/v1/follow-ups?cursor=x", 422, "cursor_invalid"),
        ("/v1/follow-ups/day?owner=nobody", 422, "owner_unknown"),
        (f"/v1/follow-ups/{new_id()}", 404, "follow_up_not_found"),
    ):
        assert site.get(path, status)["code"] == code
    site.client.headers.update(site.key("follow_ups:read"))
    site.post("/v1/follow-ups", work, 403)


def test_a_calendar_is_read_without_a_login_until_its_address_is_taken_back(site: Site) -> None:
    now = clock.now().replace(microsecond=0)
    work = owed(site, due_at=now + HOUR, remind_at=now + 0.5 * HOUR, changes=3)
    gone = owed(site, outcome="cancelled", reason="x", done_at=now, done_by="x")
    done = owed(site, outcome="done", done_at=now, done_by="x")
    owed(site, "ben")
    settings = Settings(database_url=site.url, secret_key=SECRET, base_url="https://crm.example/")
    assert settings.pepper() == PEPPER

    def make() -> str:
        with site.engine.begin() as connection:
            return address(connection, JourneyBook(), settings, "ana", "key:1", now)

    def revoke() -> bool:
        with site.engine.begin() as connection:
            return follow_ups.revoke_feed(connection, "ana", now)

    url = make()
    assert (make(), url.startswith("https://crm.example/calendar/")) == (url, True)
    answer, same, unknown = _get(site, settings, url, url[:-5] + "A.ics")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    assert (same.status_code, same.content, unknown.status_code) == (304, b"", 404)
    events = {str(event["uid"]).partition("@")[0]: event for event in _events(answer.content)}
    assert events.keys() == {work, gone, done}
    assert events[work].decoded("dtend") == now + HOUR
    assert (str(events[work]["summary"]), events[work]["sequence"]) == ("Call them (Jo Kiln)", 3)
    [alarm] = events[work].subcomponents
    assert alarm.decoded("trigger") == now + 0.5 * HOUR
    assert (str(events[gone]["status"]), str(events[done]["summary"])) == ("CANCELLED", "Done: Call them (Jo Kiln)")
    assert revoke()
    assert not revoke()
    assert make() != url
    assert _get(site, settings, url)[0].status_code == 404


def _get(site: Site, settings: Settings, *urls: str) -> list[httpx.Response]:
    """Ask for each of these, and after the first for the same again with what it answered."""

    async def ask() -> list[httpx.Response]:
        engine = make_async_engine(site.url, name="calendars")
        calendars = Calendars(engine, settings)
        served = Starlette(
            routes=[Route("/calendar/{token}.ics", calendars.feed)],
            exception_handlers={Exception: lambda _, error: error.response()},
        )
        transport = httpx.ASGITransport(served, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="https://crm.example") as client:
            first = await client.get(urls[0])
            answers = [first, await client.get(urls[0], headers={"If-None-Match": first.headers.get("etag", "x")})]
            answers += [await client.get(url) for url in urls[1:]]
        await engine.dispose()
        return answers

    return asyncio.run(ask())


def _events(content: bytes) -> list[Any]:
    return list(icalendar.Calendar.from_ical(content).walk("VEVENT"))


@given(st.text(max_size=200), st.text(max_size=80))
def test_whatever_somebody_is_called_a_calendar_is_one(words: str, name: str) -> None:
    item = {
        "id": "1", "text": words, "about": {"kind": "lead", "id": "2"}, "person": {"name": name, "company": None},
        "status": "open", "due_at": NOW, "remind_at": None, "created_at": NOW, "at": NOW, "changes": 0,
    }  # fmt: skip

    content = written([item], "ana", "http://localhost")

    assert all(len(line) <= 75 for line in content.split(b"\r\n"))
    assert content.count(b"\nBEGIN:") + 1 == content.count(b"\nEND:") == 2
    assert b"\n" not in content.replace(b"\r\n", b"")
    [event] = _events(content)
    assert _printed(str(event["summary"])).startswith(_printed(words))


def _printed(words: str) -> str:
    return "".join(letter for letter in words if letter.isprintable() and not letter.isspace())


def test_the_command_line_shows_a_day_and_changes_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHLINE_DATABASE_URL", site.url)
    monkeypatch.setenv("THROUGHLINE_SECRET_KEY", SECRET)
    lead = site.seed.lead()
    late = owed(site, due_at=clock.now() - HOUR)

    def run(*arguments: str) -> Any:  # noqa: ANN401 - JSON
        result = CliRunner().invoke(app, ["follow-ups", *arguments, "--json"], catch_exceptions=False)
        return json.loads(result.stdout)

    made = run("add", lead, "Send the offer", "--owner", "ana", "--due", "2199-12-01T09:00")
    assert made["due_at"] == "2199-12-01T08:00:00Z"
    assert run("done", late, "--dry-run")["outcome"] == "done"
    assert run("day", "ana")["counts"]["overdue"] == 1
    assert run("snooze", late, "--until", "2199-01-01")["snoozes"] == 1
    assert run("done", late, "--outcome", "not_reached")["outcome"] == "not_reached"
    assert [item["id"] for item in run("list", "--owner", "ana")["items"]] == [made["id"]]
    assert run("assign", made["id"], "ben")["owner"] == "ben"
    assert run("cancel", made["id"])["reason"] == "not_needed"
    assert run("show", made["id"])["status"] == "cancelled"
    first, second = run("calendar", "ana")["url"], run("calendar", "ana", "--rotate")["url"]
    assert (first == second, run("calendar", "ana", "--revoke")["revoked"]) == (False, True)


@pytest.mark.parametrize("analysed", [False, True], ids=["fresh", "with statistics"])
def test_ten_thousand_open_follow_ups_of_one_owner_are_read_by_an_index(site: Site, *, analysed: bool) -> None:
    work = owed(site)
    with site.engine.begin() as connection:
        columns = "lead_id, person_id, journey_name, journey, rule, text, about_kind, role, created_at, created_by"
        connection.execute(
            text(f"""
            INSERT INTO follow_up (id, {columns}, occasion, about_id, owner, due_at, first_due_at, updated_at, outcome,
                                   done_at)
            SELECT gen_random_uuid(), {columns}, n, gen_random_uuid(), CASE WHEN n % 3 = 0 THEN 'ben' ELSE owner END,
                   due_at + n * interval '1 minute', due_at, due_at, CASE WHEN n % 3 = 1 THEN 'done' END,
                   CASE WHEN n % 3 = 1 THEN due_at END
            FROM follow_up, generate_series(1, 30000) AS n WHERE id = :id
            """),  # noqa: S608 - columns named here
            {"id": work},
        )
    with site.engine.connect() as connection:
        if analysed:
            connection.execute(text("ANALYZE follow_up"))
        now = clock.now()
        asked = [
            Wanted(owner="ana"), Wanted(), Wanted("done", owner="ana"), Wanted("done"), Wanted(about=new_id()),
            Wanted(owner="ana", until=now), Wanted(lead=new_id()),
        ]  # fmt: skip
        for wanted in asked:
            for cursor in (None, f"2027-01-01T00:00:00Z~{new_id()}"):
                statement, parameters = follow_ups.statement(wanted, cursor, 50)
                plan = "\n".join(connection.execute(text(f"EXPLAIN {statement}"), parameters).scalars())
                assert "Seq Scan on follow_up" not in plan, plan
                assert "Sort" not in plan[plan.index("Limit") :] or wanted.about or wanted.lead, plan
        page, following = follow_ups.listed(connection, Wanted(owner="ana"), now)
    assert (len(page), following is None) == (50, False)
