"""Tickets over HTTP and on the command line, and another help desk's log that is replayed into them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import event
from typer.testing import CliRunner

from schema.errors import Permanent
from schema.store import tickets as store
from services.api import ticket_shapes as shapes
from services.cli import tickets as commands
from services.cli.main import app
from tests.desking import JOURNEY, activate, tickets, told, writes
from tests.management import Site, open_site
from tests.spine import Spine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES: Final = "  chat: {kind: api}\n", "  chat: {kind: api}\n  desk: {kind: import}\n"


@pytest.fixture
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


@pytest.fixture
def given(site: Site) -> Iterator[Spine]:
    """The same database, for a spine whose journey has a service."""
    spine = Spine(site.url)
    activate(spine, text=JOURNEY.replace(*FILES))
    yield spine
    spine.close()


def call(site: Site, method: str, path: str, body: Any = None, status: int = 200) -> Any:  # noqa: ANN401 - decoded JSON
    answer = site.client.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_an_agent_works_on_a_ticket_from_the_call_to_the_end(site: Site, given: Spine) -> None:
    lead = given.lead_of(writes(given))["id"]
    asked = {"kind": "complaint", "channel": "phone", "text": "Hm."}
    made = call(site, "POST", f"/v1/leads/{lead}/tickets", asked, 201)
    shapes.TicketShown.model_validate(made)
    path = f"/v1/tickets/{made['number']}"
    answered = call(site, "POST", f"{path}/messages", {"text": "Sorry!", "by": "ana", "status": "waiting"})
    assert answered["status"] == "waiting"
    said = call(site, "POST", f"{path}/messages", {"text": "Well.", "channel": "phone", "said_by": "customer"})
    assert said["status"] == "open"
    for late in ({"status": "waiting"}, {"status": "resolved", "root_cause": "product"}):
        unread = call(site, "POST", f"{path}/status", late | {"seen": answered["entries"]}, 409)
        assert (unread["code"], unread["entries"]) == ("customer_wrote", said["entries"])
    call(site, "POST", f"{path}/notes", {"text": "Be nice.", "by": "ana"})
    call(site, "PATCH", path, {"priority": "urgent"})
    refused = call(site, "POST", f"{path}/status", {"status": "resolved"}, 422)
    assert (refused["code"], refused["errors"][0]["pointer"], refused["known"]) == (
        "root_cause_required", "/body/root_cause", ["product", "delivery"],
    )  # fmt: skip
    call(site, "POST", f"{path}/status", {"status": "resolved", "root_cause": "product", "resolution": "A new one."})
    again = call(site, "POST", f"{path}/status", {"status": "resolved", "root_cause": "product"}, 409)
    assert (again["code"], again["now"], again["possible"]) == ("status_not_possible", "resolved", ["open", "closed"])
    call(site, "POST", f"{path}/status", {"status": "closed"})
    assert call(site, "POST", f"{path}/messages", {"text": "One more."}, 409)["code"] == "ticket_closed"

    shown = call(site, "GET", path)
    shapes.TicketShown.model_validate(shown)
    public = [entry["body"] for entry in shown["thread"] if entry["public"]]
    assert public == ["Hm.", "Sorry!", "Well."]
    assert [event["ticket_id"] for event in told(given, "ticket.resolved")] == [made["id"]]
    call(site, "GET", "/v1/tickets/999999", status=404)
    call(site, "POST", f"{path}/assign", {"owner": "nobody_here"}, 422)
    mail = call(site, "POST", f"/v1/tickets/{tickets(given)[0]['id']}/messages", {"text": "x", "send": True}, 409)
    assert mail["code"] == "mail_not_configured"


def test_tickets_are_listed_by_whatever_is_asked(site: Site, given: Spine) -> None:
    for number in range(5):
        writes(given, number, "It is broken." if number == 3 else "Hello?")
    found = tickets(given)

    def numbers(query: str) -> list[int]:
        items = call(site, "GET", f"/v1/tickets?{query}")["items"]
        return [item["number"] for item in items]

    every = [row["number"] for row in found][::-1]
    first = call(site, "GET", "/v1/tickets?limit=3")
    shapes.Tickets.model_validate(first)
    assert [item["number"] for item in first["items"]] == every[:3]
    assert numbers(f"limit=3&cursor={first['next']}") == every[3:]
    assert numbers("kind=complaint") == numbers("desk=complaints") == [found[3]["number"]]
    assert numbers("owner=ben") == [row["number"] for row in reversed(found) if row["owner"] == "ben"]
    assert numbers("owner=nobody") == [row["number"] for row in reversed(found) if row["owner"] is None]
    assert numbers(f"lead={found[2]['lead_id']}") == numbers("q=c2@kiln.example") == [found[2]["number"]]
    assert numbers(f"q=%23{found[1]['number']}") == [found[1]["number"]]
    assert numbers("status=resolved") == []
    assert numbers("q=" + "9" * 40) == []


@pytest.mark.parametrize(("asked", "index"), [("nobody", "ix_ticket_nobody"), ("ben", "ix_ticket_owner")])
def test_whose_tickets_are_asked_for_is_found_by_an_index_among_many(given: Spine, asked: str, index: str) -> None:
    given.do(
        """
        INSERT INTO ticket (id, lead_id, person_id, journey_name, journey, kind, priority, status, source, channel,
                            owner, opened_at, opened_by, status_since, updated_at, closed_at)
        SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'default', 'v', 'question', 'normal',
               CASE WHEN n % 9 = 0 THEN 'open' ELSE 'closed' END, 'website', 'form',
               CASE WHEN n % 9 = 0 THEN 'ana' WHEN n % 2 = 0 THEN 'ben' END,
               :now, 'customer', :now, :now, CASE WHEN n % 9 > 0 THEN CAST(:now AS timestamptz) END
        FROM generate_series(1, 4000) AS n
        """,
        now=given.now,
    )
    given.do("ANALYZE ticket")
    asking: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:  # noqa: ANN401
        asking.append((statement, parameters))

    with given.engine.connect() as connection:
        event.listen(connection, "before_cursor_execute", note)
        assert store.tickets(connection, store.Asked(owner=asked)) == ([], None)
        statement, parameters = asking[0]
        explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, TIMING off) {statement}", parameters)
        plan = "\n".join(explained.scalars())
    assert index in plan, plan
    assert "Removed by Filter" not in plan, plan


def test_the_command_line_does_the_same(
    site: Site, given: Spine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lead = given.lead_of(writes(given))["id"]
    monkeypatch.setenv("THROUGHLINE_DATABASE_URL", site.url)
    monkeypatch.setenv("THROUGHLINE_SECRET_KEY", "s" * 32)

    def run(*words: str, status: int = 0) -> str:
        done = CliRunner().invoke(app, ["tickets", *words, "--data-dir", str(tmp_path)])
        assert done.exit_code == status, (done.output, done.exception)
        return done.stdout

    assert "Nothing is kept" in run("open", lead, "question", "Where?", "--owner", "ben", "--dry-run")
    opened = json.loads(run("open", lead, "question", "Where?", "--owner", "ben", "--json"))
    number = str(opened["number"])
    assert (
        run("reply", number, "There.", "--by", "ben", "--status", "waiting") == f"#{number} is waiting; it is ben's.\n"
    )
    run("reply", number, "Ah.", "--customer", "--channel", "phone")
    run("note", number, "Nice person.")
    run("assign", number, "ana")
    assert "closed on" in run("status", number, "resolved", "--by", "ana")
    assert f"{number}\tresolved\tnormal\tquestion\tana" in run("list", "--status", "resolved")
    assert "Nice person." in run("show", number)
    refused = CliRunner().invoke(app, ["tickets", "take", number, "ben", "--data-dir", str(tmp_path)])
    assert isinstance(refused.exception, Permanent)
    assert refused.exception.code == "ticket_taken"


def test_another_help_desk_s_log_is_replayed_quietly_and_once(
    site: Site, given: Spine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("THROUGHLINE_DATABASE_URL", site.url)
    monkeypatch.setenv("THROUGHLINE_SECRET_KEY", "s" * 32)
    log = tmp_path / "log.csv"
    lines = ["CaseID,Activity,Done,Who", "2,Assign,2012-04-03 16:55:38,", "2,Close,2012-04-05 17:15:52,",
             "3,Assign,2010-10-29 18:14:06,bea@kiln.example", "2,Assign,2012-04-03 16:55:38,", "4,Assign,never,",
             ",Assign,2012-04-03 16:55:38,"]  # fmt: skip
    log.write_text("\n".join(lines))
    words = ["tickets", "import", str(log), "--source", "desk", "--kind", "question", "--tz", "Europe/Rome", "--json"]
    words += ["--map", "CaseID=case, Activity=activity", "--map", "Done=time,Who=customer"]

    def run() -> dict[str, Any]:
        done = CliRunner().invoke(app, [*words, "--data-dir", str(tmp_path)])
        assert done.exit_code == 0, (done.output, done.exception)
        return dict(json.loads(done.stdout))

    first = run()
    assert (first["tickets"], first["entries"]) == (2, 4)
    assert (first["refused"], first["first_refused"]["time_invalid"]) == ({"time_invalid": 1, "case_missing": 1}, 6)
    two, three = sorted(tickets(given), key=lambda row: str(row["external_id"]))
    assert (two["external_id"], two["status"], two["entries"]) == ("2", "closed", 3)
    assert two["opened_at"].isoformat() == "2012-04-03T14:55:38+00:00"
    entry = given.rows("SELECT at, kind, data FROM ticket_entry WHERE ticket_id = :id ORDER BY number", id=two["id"])[2]
    assert (entry["kind"], entry["data"], entry["at"]) == ("activity", {"activity": "Close"}, two["closed_at"])
    assert given.rows("SELECT email FROM person WHERE id = :id", id=three["person_id"]) == [
        {"email": "bea@kiln.example"}
    ]
    for quiet in ("timer", "ticket_clock", "send"):
        assert given.rows(f"SELECT count(*) AS n FROM {quiet}") == [{"n": 0}]  # noqa: S608 - our own names
    assert told_quietly(given, two) == [
        ("ticket.opened", "2012-04-03T14:55:38Z", None),
        ("ticket.resolved", "2012-04-05T15:15:52Z", 2 * 86400 + 20 * 60 + 14),
        ("ticket.closed", "2012-04-05T15:15:52Z", None),
    ]
    log.write_text("\n".join([*lines, "3,Close,2010-11-02 09:00:00,bea@kiln.example"]))
    again = run()
    assert (again["tickets"], again["known"], again["entries"]) == (0, 2, 1)
    assert {row["external_id"]: row["entries"] for row in tickets(given)} == {"2": 3, "3": 2}
    assert [name for name, _, _ in told_quietly(given, three)] == [
        f"ticket.{what}" for what in ("opened", "resolved", "closed", "reopened", "resolved", "closed")
    ]
    assert given.rows("SELECT count(*) AS n FROM ticket WHERE reopened = 1 AND resolved_at = closed_at") == [{"n": 1}]
    assert given.rows(
        "SELECT count(*) AS n FROM lead AS l WHERE events <> (SELECT max(sequence) FROM event WHERE lead_id = l.id)"
    ) == [{"n": 0}]


def told_quietly(given: Spine, ticket: dict[str, Any]) -> list[tuple[str, str, int | None]]:
    found = given.rows(
        "SELECT type, data FROM event WHERE data ->> 'ticket_id' = :id AND data ->> 'quiet' = 'true' ORDER BY sequence",
        id=ticket["id"],
    )
    return [(row["type"], row["data"]["at"], row["data"].get("after_s")) for row in found]


def test_a_wrong_map_says_what_to_write() -> None:
    from services.cli.ticket_import import columns_of  # noqa: PLC0415 - slow to import

    assert commands.import_.__doc__
    with pytest.raises(Permanent, match="which column is activity and which is time"):
        columns_of(["A=case"])
    with pytest.raises(Permanent, match="CaseID=case"):
        columns_of(["A=case", "B=what"])
