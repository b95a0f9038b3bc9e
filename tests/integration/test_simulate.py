"""The time machine on a real database: what workers recorded is what the same journey comes to, and nothing changes."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from schema.journey import Journey, default_text, load
from schema.store import journeys
from services.cli.main import app
from services.cli.simulation import prose
from services.cli.simulation.page import page
from services.cli.simulation.report import examples, report
from tests.spine import NOON, Spine
from workers.moves import move_lead
from workers.owners import Owners
from workers.replay import replay
from workers.simulate import history
from workers.simulate.history import Window
from workers.simulate.run import simulate
from workers.sweep import wake

pytestmark = pytest.mark.xdist_group("simulate")

STRICTER = (("score.total >= 45", "score.total >= 75"), ("{cem: 1, dee: 1}", "{cem: 3, dee: 1}"))
SMALL_TEAM = (
    ("{name: Cem Kaya, email: cem@example.com,", "{name: Cem Kaya, email: cem@example.com, capacity: {open: 3},"),
    (
        "{name: Dee Moore, email: dee@example.com,",
        "{name: Dee Moore, email: dee@example.com, capacity: {open: 6, max: 2, per: 3d}, calendar: office,",
    ),
    ("# Named sets", "calendars: {office: {tz: America/New_York, mon-fri: '09:00-17:00'}}\n# Named sets"),
)


def draft(*changes: tuple[str, str]) -> str:
    text_ = default_text()
    for old, new in changes:
        assert old in text_
        text_ = text_.replace(old, new)
    return text_


def a_month(spine: Spine, arrivals: int = 40) -> Window:
    """Somebody writes every few hours, some again; a few leads are lost by hand; waits end when they do."""
    chance = random.Random(7)  # noqa: S311 - a sequence, not a secret
    runtime = spine.runtime()
    people: list[str] = []
    hands = Owners(spine.engine, lambda _, __: None)
    began = spine.now
    for number in range(arrivals):
        until = spine.now + timedelta(hours=chance.randint(2, 30))
        while due := spine.rows("SELECT min(wake_at) AS at FROM lead WHERE due_since IS NULL")[0]["at"]:
            if due >= until:
                break
            spine.now = due
            for step in wake(spine.engine, due):
                spine.run(runtime, str(step))
        spine.now = until
        again = people and chance.random() < 0.3
        who = chance.choice(people) if again else f"p{number}@firm{number % 5}.example"
        people.append(who)
        receipt = spine.arrives(
            {
                "email": who,
                "name": f"Person {number}",
                "employees": [5, 60, 700][hash_of(who) % 3],
                "country": ["DE", "US", "GB"][hash_of(who) % 3],
                "message": "We would like to know what it costs." if hash_of(who) % 4 else "",
            }
        )
        spine.run(runtime)
        lead = spine.lead_of(receipt)
        if lead["owner"] and lead["open"] and chance.random() < 0.6:
            spine.now += timedelta(minutes=20)
            if chance.random() < 0.8:
                hands.accept(lead["id"], None, actor="key", now=spine.now)
            else:
                hands.decline(lead["id"], "no_time", actor="key", now=spine.now)
            spine.run(runtime, "route")
        lead = spine.lead_of(receipt)
        if lead["state"] == "opportunity" and chance.random() < 0.3:
            move_lead(spine.engine, lead["id"], "lose", reason="price", actor="key", now=spine.now)
            for step in ("route", "advance"):
                spine.run(runtime, step)
    return Window(began, spine.now + timedelta(minutes=1))


def activated(spine: Spine, document: str) -> Journey:
    with spine.engine.begin() as connection:
        journey = journeys.store(connection, document, NOON)
        journeys.activate(connection, journey, NOON)
    return journey


def hash_of(who: str) -> int:
    return sum(who.encode())


def found(spine: Spine, window: Window, before: str, after: str, **settings: Any) -> dict[str, Any]:  # noqa: ANN401
    result = simulate(spine.url, before, after, window, **settings)
    return report(result, load(before), load(after), window, against="active", draft="draft.yaml")


def contents(spine: Spine) -> dict[str, Any]:
    """Every row of every table that a simulation could be tempted to touch."""
    tables = ("lead", "decision", "transition", "event", "touchpoint", "receipt", "person", "pool")
    return {
        name: spine.rows(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) AS sum FROM {name} AS t")  # noqa: S608
        for name in tables
    }


@pytest.mark.parametrize("changes", [(), SMALL_TEAM], ids=["everybody takes all", "a team that is soon full"])
def test_simulated_the_active_journey_comes_to_what_its_workers_recorded(
    spine: Spine, changes: tuple[tuple[str, str], ...]
) -> None:
    document = draft(*changes)
    activated(spine, document)
    window = a_month(spine)
    told = found(spine, window, document, document)

    leads = spine.rows("SELECT count(*) AS n FROM lead")[0]["n"]
    assert told["leads"] == leads > 20
    for name, count in told["fidelity"].items():
        assert count == {"compared": leads, "same": leads}, name
    states = {row["state"]: row["n"] for row in spine.rows("SELECT state, count(*) AS n FROM lead GROUP BY state")}
    assert {state: n for state, n in told["figures"]["after"]["states"].items() if n} == states


@pytest.mark.parametrize("many", [1, 1_000_000], ids=["two processes", "one process"])
def test_the_active_journey_against_itself_makes_no_difference_and_changes_nothing(spine: Spine, many: int) -> None:
    window = a_month(spine, 15)
    before = contents(spine)
    told = found(spine, window, default_text(), default_text(), many=many)

    assert told["changes"]["different"] == 0
    assert told["changes"]["only_before"] == told["changes"]["only_after"] == 0
    assert told["figures"]["before"] == told["figures"]["after"]
    assert told["differences"] == []
    assert contents(spine) == before


def test_a_draft_tells_what_it_would_have_done_the_same_in_one_process_and_in_two(spine: Spine) -> None:
    window = a_month(spine, 25)
    one, two = (found(spine, window, default_text(), draft(*STRICTER), many=many) for many in (1_000_000, 1))

    assert one == two
    made = [one["figures"][side]["rules"]["transitions"]["qualify"]["made"] for side in ("before", "after")]
    assert made[0] > made[1]
    assert one["changes"]["by"]["state"]
    given = [one["people"]["cem"][side]["given"] for side in ("before", "after")]
    assert given[0] < given[1]
    assert one["differences"]


def test_only_the_window_counts_and_older_leads_go_on_from_where_they_were(spine: Spine) -> None:
    whole = a_month(spine, 30)
    middle = whole.since + (whole.until - whole.since) / 2
    told = found(spine, Window(middle, whole.until), default_text(), default_text())

    touched = "SELECT count(DISTINCT lead_id) AS n FROM touchpoint WHERE recorded_at >= :at"
    assert told["leads"] == spine.rows(touched, at=middle)[0]["n"] > 0
    state = told["fidelity"]["state"]
    assert state["same"] == state["compared"]


def test_a_window_in_which_nothing_came_in_says_so(spine: Spine) -> None:
    told = found(spine, Window(NOON - timedelta(days=9), NOON - timedelta(days=8)), default_text(), draft(*STRICTER))

    assert told["leads"] == 0
    assert "Nothing came in" in prose.text(told)
    assert "Nothing came in" in page(told)


def test_the_report_holds_no_personal_data_and_fits_a_terminal(spine: Spine) -> None:
    window = a_month(spine, 20)
    told = found(spine, window, default_text(), draft(*STRICTER))
    written = prose.text(told)

    assert max(len(line) for line in written.splitlines()) <= 80
    for form in (written, page(told), str(told)):
        assert "@firm" not in form
        assert "Person " not in form
    assert examples(told["changes"])[0] in page(told)


def test_the_page_fetches_nothing(spine: Spine) -> None:
    window = a_month(spine, 5)
    written = page(found(spine, window, default_text(), draft(*STRICTER)))

    assert "http" not in written.replace("http-equiv", "")
    assert "<script" not in written
    assert "src=" not in written


def test_a_simulation_takes_no_number_that_the_feed_would_wait_for(spine: Spine) -> None:
    window = a_month(spine, 3)
    seen: list[dict[str, Any]] = []

    def watch(_: int, __: int) -> None:
        seen.extend(
            spine.rows(
                "SELECT backend_xid FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'throughline simulate'"
            )
        )

    found(spine, window, default_text(), default_text(), many=1, tell=watch)
    assert seen
    assert [row for row in seen if row["backend_xid"] is not None] == []


def test_what_came_in_a_window_is_found_without_reading_everything_else(spine: Spine) -> None:
    a_month(spine, 2)
    with spine.engine.connect() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = connection.execute(
            text(f"EXPLAIN {history.FIRST}"), {"since": NOON, "until": spine.now, "most": None}
        ).scalars()
        assert "ix_touchpoint_recorded" in "\n".join(plan)


@pytest.mark.parametrize("changes", [(), SMALL_TEAM], ids=["everybody takes all", "a team that is soon full"])
def test_every_decision_that_workers_stored_comes_out_the_same_when_it_is_made_again(
    spine: Spine, changes: tuple[tuple[str, str], ...]
) -> None:
    journey = activated(spine, draft(*changes))
    a_month(spine)

    replayed = 0
    for lead in spine.rows("SELECT id FROM lead"):
        rows_ = spine.rows("SELECT * FROM decision WHERE lead_id = :id ORDER BY number", id=lead["id"])
        again = replay(rows_, lambda _: journey)
        assert [made for made in again if made.same is not True] == []
        replayed += len(again)
    assert replayed > 150
    by_step = spine.rows("SELECT DISTINCT outcome FROM decision WHERE step = 'route'")
    assert {row["outcome"] for row in by_step} >= {"routed", "reminded", "handed_on", "escalated"}


def test_steps_that_run_apart_keep_what_each_of_them_starts_from(spine: Spine) -> None:
    runtime = spine.runtime(chain=False)
    receipt = spine.arrives({"email": "somebody@example.com", "employees": 80, "message": "We need a lot of it."})
    spine.run(runtime)

    rows_ = spine.rows("SELECT * FROM decision WHERE lead_id = :id ORDER BY number", id=spine.lead_of(receipt)["id"])
    again = replay(rows_, lambda _: load(default_text()))
    assert [(made.step, made.same) for made in again] == [
        (step, True) for step in ("qualify", "score", "route", "advance")
    ]


def run(spine: Spine, *arguments: str) -> Result:
    settings = {"THROUGHLINE_DATABASE_URL": spine.url, "THROUGHLINE_SECRET_KEY": "s" * 64}
    return CliRunner().invoke(app, [*arguments], env=settings, prog_name="throughline")


def test_the_command_prints_a_report_and_writes_a_page(spine: Spine, tmp_path: Path) -> None:
    window = a_month(spine, 10)
    (tmp_path / "draft.yaml").write_text(draft(*STRICTER))
    asked = [
        "journey", "simulate", str(tmp_path / "draft.yaml"),
        "--from", window.since.isoformat(), "--to", window.until.isoformat(),
    ]  # fmt: skip

    printed = run(spine, *asked, "--html", str(tmp_path / "report.html"))
    assert printed.exit_code == 0, printed.output
    assert "go differently" in printed.output
    assert "<h1>" in (tmp_path / "report.html").read_text()
    named = json.loads(run(spine, *asked, "--names", "--json").output)
    told = [example["name"] for kind in named["changes"]["by"]["state"] for example in kind["examples"]]
    assert told
    assert all(name.startswith("Person ") for name in told)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("shipped:default", "--last", "30"), "a number and a unit"),
        (("shipped:default", "--last", "30d", "--from", "2026-01-01"), "either --last or --from"),
        (("shipped:default", "--from", "yesterday"), "2026-10-01"),
        (("shipped:default", "--from", "2026-02-01", "--to", "2026-01-01"), "ends before it begins"),
        (("nowhere.yaml",), "Cannot read nowhere.yaml"),
        (("shipped:default", "--against", "000000000000"), "neither a file"),
    ],
)
def test_what_cannot_be_simulated_is_said_in_words(spine: Spine, arguments: tuple[str, ...], words: str) -> None:
    refused = run(spine, "journey", "simulate", *arguments)

    assert refused.exit_code == 1
    assert words in str(refused.exception)


def test_why_can_make_every_decision_again(spine: Spine) -> None:
    receipt = spine.arrives({"email": "somebody@example.com", "employees": 80, "message": "We need a lot of it."})
    spine.run()
    lead = spine.lead_of(receipt)["id"]

    same = run(spine, "leads", "why", lead, "--replay")
    assert (same.exit_code, same.output) == (
        0, "4 decisions were made again from what was known then, and came out the same.\n",
    )  # fmt: skip
    spine.do("UPDATE decision SET explanation = jsonb_set(explanation, '{total}', '99') WHERE step = 'score'")
    differs = run(spine, "leads", "why", lead, "--replay")
    assert differs.exit_code == 1
    assert "Decision 3 (score) came out differently: explanation.total." in differs.output
