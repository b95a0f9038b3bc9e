"""The command line as people type it: what it prints, what it changes, and how it says no."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn

import jsonschema
import pytest
import typer.main
from sqlalchemy import create_engine, text

from schema import messages, tables
from schema.settings import Settings
from schema.store import clock, rows
from schema.store.engine import make_engine
from schema.store.ids import new_id
from services.cli.main import app, main
from services.cli.terminal import plain
from services.migrate import migrate
from services.supervise import prepare
from tests.integration.test_versions import small
from tests.servers import ROOT, create_database, drop_database
from workers.app import register_steps
from workers.broker import make_broker
from workers.hints import Hints
from workers.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("cli")

READING: Final = {
    "journey check", "journey show", "journey versions", "journey diff", "journey simulate", "leads list",
    "leads show", "leads why", "leads score", "events tail", "ops queues", "ops dead-letters", "ops account",
    "keys list", "score models", "score show", "owners list",
    "people show", "kpi list", "kpi show", "kpi rows", "kpi restated", "kpi verify",
}  # fmt: skip
CHANGING: Final = {
    "migrate",
    "journey activate",
    "journey rollback",
    "journey migrate",
    "leads import",
    "leads accept",
    "leads decline",
    "leads assign",
    "owners away",
    "owners back",
    "ops retry",
    "ops discard",
    "kpi count",
    "kpi rebuild",
    "keys create",
    "keys revoke",
    "score train",
    "score activate",
}


class Shell:
    """
    Runs the command line in processes of its own, each forked from one that has loaded everything already.

    A fresh interpreter per command would spend a second each on imports.
    """

    def __init__(self, folder: Path) -> None:
        self._out, self._err = folder / "out", folder / "err"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.test_cli"],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("THROUGHLINE_")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, arguments: Sequence[str], settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        assert self._process.stdin
        assert self._process.stdout
        order = {"arguments": arguments, "settings": settings, "out": str(self._out), "err": str(self._err)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(arguments, status, self._out.read_text(), self._err.read_text())

    def close(self) -> None:
        self._process.communicate()


def serve_shell() -> None:
    """Be the process that `Shell` talks to."""
    for module in (
        "schema.journey",
        "schema.store.reading",
        "schema.store.why",
        "services.api.keys",
        "services.migrate",
    ):
        import_module(module)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            run_forked(order)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def run_forked(order: dict[str, Any]) -> NoReturn:
    """Become the command that was ordered."""
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.environ.update(order["settings"])
    sys.argv = ["throughline", *order["arguments"]]
    status: Any = 70
    try:
        main()
    except SystemExit as end:
        status = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


@dataclass
class Terminal:
    """Somebody at a shell where this database is configured."""

    shell: Shell
    url: str
    folder: Path

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        configured = {"DATABASE_URL": self.url, "SECRET_KEY": "for this test only", "DATA_DIR": str(self.folder)}
        given = {f"THROUGHLINE_{name}": value for name, value in (configured | settings).items()}
        return self.shell.run(arguments, given)

    def says(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert (done.returncode, done.stderr.partition("next: ")[0]) == (0, "")
        return done.stdout

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever it printed
        return json.loads(self.says(*arguments, "--json"))

    def refuses(self, *arguments: str, **settings: str) -> str:
        done = self.run(*arguments, **settings)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("shell"))
    yield shell
    shell.close()


@pytest.fixture(scope="module")
def terminal(shell: Shell, postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A database with the shipped journey and two leads that went their way."""
    name = f"cli_{secrets.token_hex(4)}"
    url = create_database(postgres_server, name)
    prepare(url)
    receive(url, {"email": "lena@nordwind.example", "name": "Lena Vogt", "message": "We need it for our whole team."})
    receive(url, {"email": "rita@rival.example", "name": "Rita Rook", "message": "What would fifty seats cost us?"})
    yield Terminal(shell, url, tmp_path_factory.mktemp("cli"))
    drop_database(postgres_server, name)


def receive(url: str, fields: dict[str, str]) -> None:
    receipt = {
        "id": new_id(),
        "source": "website",
        "channel": "form",
        "content_type": "application/json",
        "body": rows.as_bytea(json.dumps(fields).encode()),
        "trace": secrets.token_hex(16),
        "received_at": clock.now(),
        "due_since": clock.now(),
    }
    execute(url, lambda connection: rows.insert(connection, tables.receipt, [receipt]))
    engine = make_engine(url, name="cli test", hot=True)
    broker = make_broker(Settings(database_url=url))
    hints = Hints(broker)
    register_steps()
    assert Runtime(engine, hints, serves=messages.STEPS).hear("identify") == 1
    hints.close()
    broker.close()
    engine.dispose()


def execute(url: str, change: Any) -> Any:  # noqa: ANN401 - a function on a connection and what it returns
    engine = create_engine(url)
    with engine.begin() as connection:
        found = change(connection)
    engine.dispose()
    return found


def commands() -> Iterator[tuple[str, Any]]:
    for name, command in typer.main.get_group(app).commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {inner}", each) for inner, each in command.commands.items())
        else:
            yield name, command


def options(command: Any) -> set[str]:  # noqa: ANN401 - a click command
    return {option for parameter in command.params for option in parameter.opts}


# -- what is promised of every command ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_says_what_it_does_and_gives_an_example(name: str, command: Any) -> None:  # noqa: ANN401
    assert len(command.help) > 40
    assert f"throughline {name}" in command.help or name == "bench"


def test_commands_that_read_offer_json_and_commands_that_change_a_dry_run() -> None:
    found = dict(commands())
    assert {name for name in READING if "--json" not in options(found[name])} == set()
    assert {name for name in CHANGING if "--dry-run" not in options(found[name])} == set()


def test_asking_for_help_loads_nothing_slow() -> None:
    slow = ["sqlalchemy", "psycopg", "pydantic", "fastapi", "starlette", "dramatiq", "alembic", "yaml", "uvicorn"]
    code = f"import sys, services.cli.main; sys.exit(', '.join(sys.modules.keys() & {slow!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_what_strangers_wrote_cannot_steer_the_terminal() -> None:
    assert plain("\x1b[31mred\u202e\nline") == " [31mred  line"


# -- leads -------------------------------------------------------------------------------------------------------------


def test_leads_are_listed_the_newest_first_and_in_pages(terminal: Terminal) -> None:
    first = terminal.json("leads", "list", "--limit", "1")
    assert [lead["person"]["name"] for lead in first["items"]] == ["Rita Rook"]
    second = terminal.json("leads", "list", "--limit", "1", "--cursor", first["next"])
    assert [lead["person"]["name"] for lead in second["items"]] == ["Lena Vogt"]
    assert second["next"] is None
    assert [lead["state"] for lead in terminal.json("leads", "list", "--q", "rita@rival.example")["items"]] == [
        "disqualified"
    ]


def test_without_a_terminal_a_list_is_lines_of_tabs(terminal: Terminal) -> None:
    head, *lines = terminal.says("leads", "list").splitlines()
    assert head.split("\t") == ["lead", "person", "state", "score", "owner", "since"]
    assert [line.split("\t")[1:3] for line in lines] == [["Rita Rook", "disqualified"], ["Lena Vogt", "lead"]]


def test_a_lead_is_shown_with_its_story_and_with_its_reasons(terminal: Terminal) -> None:
    rita, _ = terminal.json("leads", "list")["items"]
    story = terminal.json("leads", "show", rita["id"])["timeline"]
    assert [item["name"] for item in story if item["kind"] == "transition"] == ["disqualify"]
    assert "lead to disqualified" in terminal.says("leads", "show", rita["id"])
    decisions = terminal.json("leads", "why", rita["id"])["decisions"]
    assert ("qualify", "disqualified", "competitor") in [(d["step"], d["outcome"], d["reason"]) for d in decisions]
    assert "Disqualified: competitor." in terminal.says("leads", "why", rita["id"])


def test_a_score_is_shown_with_how_it_falls_and_what_would_raise_it(terminal: Terminal) -> None:
    _, lena = terminal.json("leads", "list")["items"]
    told = terminal.json("leads", "score", lena["id"], "--target", "A")
    assert (told["lead_id"], told["explanation"]["total"]) == (lena["id"], lena["score"]["total"])
    shown = terminal.says("leads", "score", lena["id"])
    assert f"Scored {lena['score']['total']} of 100" in shown
    assert "With nothing new:\nat\ttotal\tfit\tengagement\tgrade\tcell\n" in shown
    assert "To reach " in shown
    refused = terminal.refuses("leads", "score", lena["id"], "--target", "Z")
    assert "Give a grade of the lead's journey (A, B, C, D) or points from 1 to 100." in refused
    assert "2026-11-21T09:30Z" in terminal.refuses("leads", "score", lena["id"], "--at", "soon")


def test_an_unknown_lead_is_said_to_be_unknown(terminal: Terminal) -> None:
    assert terminal.refuses("leads", "why", new_id()) == "throughline: There is no lead with this id.\n"
    assert terminal.refuses("leads", "score", "nonsense") == "throughline: There is no lead with this id.\n"
    assert terminal.refuses("leads", "show", "nonsense") == "throughline: There is no lead with this id.\n"


# -- events ------------------------------------------------------------------------------------------------------------


def test_events_come_one_per_line_and_can_be_read_on_from_where_they_ended(terminal: Terminal) -> None:
    done = terminal.run("events", "tail", "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["sequence"] for event in told if event["subject"] == told[0]["subject"]] == [1, 2, 3, 4]
    cursor = done.stderr.removeprefix("next: ").strip()
    assert terminal.says("events", "tail", "--after", cursor) == ""
    only = terminal.says("events", "tail", "--types", "lead.disqualified").splitlines()
    assert len(only) == 1
    assert "reason=competitor" in only[0]


def test_an_unknown_type_of_event_is_refused_with_those_that_there_are(terminal: Terminal) -> None:
    assert "lead.scored" in terminal.refuses("events", "tail", "--types", "lead.scorned")


# -- operators ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def letter(terminal: Terminal) -> str:
    """An open dead letter about a receipt whose identify kept failing."""
    receipt, letter = new_id(), new_id()
    pending = {
        "id": receipt, "source": "website", "channel": "form", "content_type": "text/plain", "body": "", "trace": "0",
        "received_at": clock.now(),
    }  # fmt: skip
    dead = {
        "id": letter, "step": "identify", "subject": "receipt", "subject_id": receipt, "fingerprint": letter[-16:],
        "error": "KeyError: unexpected", "attempts": 3, "created_at": clock.now(),
    }  # fmt: skip

    def put(connection: Any) -> None:  # noqa: ANN401
        rows.insert(connection, tables.receipt, [pending])
        rows.insert(connection, tables.dead_letter, [dead])

    execute(terminal.url, put)
    return letter


def test_a_dead_letter_is_listed_and_can_be_retried_after_a_dry_run(terminal: Terminal, letter: str) -> None:
    assert letter in [item["id"] for item in terminal.json("ops", "dead-letters", "--step", "identify")["items"]]
    kind = ["--fingerprint", letter[-16:]]
    assert "would retry" in terminal.says("ops", "retry", *kind, "--dry-run")
    assert "due again" in terminal.says("ops", "retry", *kind)
    assert "was resolved before: retried" in terminal.says("ops", "retry", letter)


def test_a_dead_letter_that_is_discarded_leaves_its_receipt_rejected_and_accounted_for(
    terminal: Terminal, letter: str
) -> None:
    assert "discarded" in terminal.says("ops", "discard", letter, "--reason", "test_data")
    account = terminal.json("ops", "account")
    assert account["unaccounted"] == 0
    assert [source["rejected"] for source in account["sources"]] == [1]


def test_resolving_nothing_or_something_unknown_is_an_error(terminal: Terminal) -> None:
    assert "name dead letters" in terminal.refuses("ops", "retry")
    assert terminal.run("ops", "retry", new_id()).returncode == 1


def test_queues_are_all_there_with_what_waits_in_them(terminal: Terminal) -> None:
    queues = terminal.json("ops", "queues")["queues"]
    assert {"name", "waiting", "in_work", "oldest_s", "dead"} <= queues[0].keys()
    assert queues[0]["name"] == "identify"
    assert terminal.says("ops", "queues").startswith("queue\twaiting\t")


def test_figures_are_counted_proved_and_put_right(terminal: Terminal) -> None:
    assert terminal.json("kpi", "count", "--dry-run")["counted"] == 0
    assert terminal.json("kpi", "count")["left"] == 0
    assert "Every number is equal" in terminal.says("kpi", "verify")
    engine = make_engine(terminal.url, name="test")
    with engine.begin() as connection:
        connection.execute(text("UPDATE kpi_bucket SET n = 5 WHERE measure = 'created' AND dim = ''"))
    engine.dispose()
    done = terminal.run("kpi", "verify")
    assert done.returncode == 1
    assert ": 5 (0), recounted " in done.stdout
    assert "1 of them were put right" in terminal.says("kpi", "rebuild")
    assert terminal.json("kpi", "verify")["equal"]


# -- keys --------------------------------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_can_be_revoked(terminal: Terminal) -> None:
    made = terminal.json("keys", "create", "--scopes", "leads:write,leads:read", "--label", "shop", "--expires", "90d")
    assert made.keys() == {"id", "key"}
    assert made["key"].startswith(f"tl_{made['id']}_")
    assert made["key"] not in terminal.says("keys", "list", "--json")
    terminal.says("keys", "revoke", made["id"])
    (listed,) = [key for key in terminal.json("keys", "list")["items"] if key["id"] == made["id"]]
    assert listed["revoked_at"]
    assert listed["scopes"] == ["leads:read", "leads:write"]


def test_a_dry_run_makes_no_key_and_a_wrong_scope_is_answered_with_the_right_ones(terminal: Terminal) -> None:
    before = terminal.json("keys", "list")
    assert "would make" in terminal.says("keys", "create", "--scopes", "leads:write", "--dry-run")
    assert "leads:write" in terminal.refuses("keys", "create", "--scopes", "leads:fly")
    assert "no key with this id" in terminal.refuses("keys", "revoke", "nobody")
    assert terminal.json("keys", "list") == before


# -- journeys ----------------------------------------------------------------------------------------------------------


def test_the_shipped_journey_is_in_order_and_a_mistake_is_found_by_line(terminal: Terminal) -> None:
    assert "in order" in terminal.says("journey", "check")
    broken = terminal.folder / "broken.yaml"
    broken.write_text(terminal.says("journey", "show", "--yaml").replace("half_life: 30d", "half_live: 30d"))
    refused = terminal.refuses("journey", "check", str(broken))
    assert f"{broken}:" in refused
    assert "half_life" in refused
    doubtful = terminal.folder / "doubtful.yaml"
    doubtful.write_text(f"{terminal.says('journey', 'show', '--yaml')}calendars: {{office: {{mon: '09:00-17:00'}}}}\n")
    assert terminal.run("journey", "check", str(doubtful)).returncode == 0
    assert "warning: calendars.office: nobody works" in terminal.refuses("journey", "check", "--strict", str(doubtful))
    [checked] = terminal.json("journey", "check", str(doubtful))
    assert checked["problems"][0].keys() == {"path", "line", "column", "message", "severity", "text"}
    assert terminal.run("journey", "activate", str(broken)).returncode == 1
    assert "Cannot read" in terminal.refuses("journey", "check", str(terminal.folder / "missing.yaml"))


def test_a_journey_is_shown_in_words_as_it_was_written_and_as_json(terminal: Terminal) -> None:
    shown = terminal.says("journey", "show", "shipped:solar")
    assert shown.startswith("Solar roofs\n")
    assert "by itself if the lead is qualified and the score is 30 or more" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
    told = terminal.json("journey", "show")
    stored = terminal.says("journey", "show", "--yaml")
    assert (told["document"], told["content"]["journey"], told["version"]) == (stored, "default", active(terminal))
    assert "WHO GETS IT" in terminal.says("journey", "show", active(terminal))
    assert terminal.says("journey", "show", "default") == terminal.says("journey", "show")
    assert "shipped are shipped:default, shipped:solar" in terminal.refuses("journey", "show", "shipped:none")
    assert "nor the name of an active journey (default)" in terminal.refuses("journey", "show", "other")


def test_what_changes_is_said_in_words_for_files_versions_and_names(terminal: Terminal) -> None:
    draft = terminal.folder / "draft.yaml"
    draft.write_text(terminal.says("journey", "show", "--yaml", "shipped:default").replace("sla: 14d", "sla: 7d"))
    said = terminal.says("journey", "diff", "shipped:default", str(draft))
    assert said.endswith("\nSTATES AND WAYS\n  * State opportunity: SLA 14 days -> 7 days\n")
    told = terminal.json("journey", "diff", str(draft), "shipped:default")
    assert told["differences"] == [
        {
            "part": "lifecycle",
            "path": ["lifecycle", "opportunity", "sla"],
            "kind": "changed",
            "before": "7d",
            "after": "14d",
            "text": "State opportunity: SLA 7 days -> 14 days",
        }
    ]
    assert "Nothing changes." in terminal.says("journey", "diff", "default", active(terminal))
    draft.write_text("journey: draft\n")
    assert str(draft) in terminal.refuses("journey", "diff", "default", str(draft))


def test_the_schema_of_the_language_accepts_what_is_shipped(terminal: Terminal) -> None:
    schema = json.loads(terminal.says("journey", "schema"))
    for name in ("shipped:default", "shipped:solar"):
        jsonschema.validate(terminal.json("journey", "show", name)["content"], schema)


def test_a_journey_is_switched_on_after_a_dry_run_that_changes_nothing(terminal: Terminal) -> None:
    changed = terminal.folder / "changed.yaml"
    changed.write_text(
        terminal.says("journey", "show", "--yaml").replace("label: Customer journey", "label: Our journey")
    )
    before = terminal.json("journey", "versions")
    assert "would activate" in terminal.says("journey", "activate", str(changed), "--dry-run")
    assert terminal.json("journey", "versions") == before
    terminal.says("journey", "activate", str(changed))
    assert "is active already" in terminal.says("journey", "activate", str(changed))
    assert terminal.says("journey", "show").startswith("Our journey\n")
    assert [entry["active"] for entry in terminal.json("journey", "versions")["items"]] == [True, False]


def test_going_back_is_one_command_and_a_broken_file_is_not_switched_on(terminal: Terminal) -> None:
    first = active(terminal)
    changed = terminal.folder / "other.yaml"
    changed.write_text(labelled(terminal, "Quite another journey"))
    said = terminal.says("journey", "activate", str(changed))
    assert f"instead of {first}" in said
    assert "Quite another journey" in said
    second = active(terminal)
    assert f"would activate default {first}" in terminal.says("journey", "rollback", "--dry-run")
    assert active(terminal) == second
    assert terminal.json("journey", "rollback")["version"] == first
    assert active(terminal) == first
    assert terminal.json("journey", "activate", second)["before"] == first
    changed.write_text("journey: default\n")
    assert str(changed) in terminal.refuses("journey", "activate", str(changed))
    assert active(terminal) == second
    assert "No journey of this name" in terminal.refuses("journey", "rollback", "nobody")


def test_leads_follow_another_version_after_a_dry_run_that_says_what_it_would_do(terminal: Terminal) -> None:
    changed = terminal.folder / "renamed.yaml"
    changed.write_text(small())
    said = terminal.says("journey", "activate", str(changed))
    old = lead_journey(terminal)
    assert f"journey migrate --from {old} --to {active(terminal)} --dry-run" in said

    stuck = terminal.refuses("journey", "migrate", "--all", "--dry-run")
    assert "The new version has no state lead, where 1 lead is; it has asked, won, gone. Add: --map lead=STATE" in stuck
    assert "--map lead=STATE" in terminal.refuses("journey", "migrate", "--from", old)
    assert "Say whose leads" in terminal.refuses("journey", "migrate")
    assert "OLD=NEW" in terminal.refuses("journey", "migrate", "--all", "--map", "lead")
    assert lead_journey(terminal) == old
    mapped = ("journey", "migrate", "--all", "--map", "lead=asked")
    assert f"{old}\tlead\tasked\t1" in terminal.says(*mapped, "--dry-run")
    assert lead_journey(terminal) == old
    done = terminal.json(*mapped)
    assert (done["migrated"], done["left"]) == (1, 0)
    assert lead_journey(terminal) == active(terminal)
    assert terminal.says(*mapped).startswith("0 leads now follow default ")


def active(terminal: Terminal) -> str:
    return next(str(entry["version"]) for entry in terminal.json("journey", "versions")["items"] if entry["active"])


def labelled(terminal: Terminal, label: str) -> str:
    written = terminal.says("journey", "show", "--yaml").splitlines()
    return "\n".join(f"label: {label}" if line.startswith("label: ") else line for line in written)


def lead_journey(terminal: Terminal) -> str:
    """Return the version that the lead that is still open follows."""
    [lead] = [lead for lead in terminal.json("leads", "list")["items"] if lead["open"]]
    return str(lead["journey"])


# -- no database -------------------------------------------------------------------------------------------------------


def test_a_folder_without_a_database_is_not_given_one_by_looking(shell: Shell, tmp_path: Path) -> None:
    refused = Terminal(shell, "", tmp_path / "nothing").refuses("leads", "list")
    assert "There is no Throughline in" in refused
    assert not (tmp_path / "nothing").exists()


def test_a_database_without_tables_is_told_how_to_get_them(shell: Shell, postgres_server: str, tmp_path: Path) -> None:
    name = f"bare_{secrets.token_hex(4)}"
    bare = Terminal(shell, create_database(postgres_server, name), tmp_path)
    assert "throughline migrate" in bare.refuses("ops", "queues")
    assert bare.says("migrate", "--dry-run").startswith("would run 0001")
    assert bare.says("migrate").startswith("ran 0001")
    assert migrate(bare.url) == []
    drop_database(postgres_server, name)


def test_a_database_that_is_away_is_one_line(shell: Shell, tmp_path: Path) -> None:
    refused = Terminal(shell, "postgresql://nobody@127.0.0.1:1/none", tmp_path).refuses("ops", "queues")
    assert "does not answer" in refused
    assert refused.count("\n") == 1


def test_a_setting_that_makes_no_sense_is_named_in_one_line(shell: Shell, tmp_path: Path) -> None:
    refused = Terminal(shell, "", tmp_path).refuses(
        "up", "--workers", "1", "--data-dir", str(tmp_path), LOG_FORMAT="loud"
    )
    assert "THROUGHLINE_LOG_FORMAT" in refused
    assert refused.count("\n") == 1


if __name__ == "__main__":
    serve_shell()
