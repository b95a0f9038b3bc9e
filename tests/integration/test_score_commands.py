"""`throughline score`: learning, looking at what was learned, switching it on and off, and how it says no."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, cast

import pytest

from schema.store import predictions
from tests.integration.test_cli import Shell, Terminal
from tests.integration.test_predictions import JOURNEY, a_past
from tests.servers import create_database, drop_database
from tests.spine import Spine, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("cli")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("shell"))
    yield shell
    shell.close()


@pytest.fixture(scope="module")
def terminal(shell: Shell, postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A shell at a database with a past that can be learned from."""
    name = f"score_{secrets.token_hex(4)}"
    url = create_database(postgres_server, name)
    prepare(url, JOURNEY)
    spine = Spine(url)
    a_past(spine)
    spine.close()
    yield Terminal(shell, url, tmp_path_factory.mktemp("score"))
    drop_database(postgres_server, name)


def active(terminal: Terminal) -> dict[str, str]:
    spine = Spine(terminal.url)
    with spine.engine.connect() as connection:
        found = predictions.active(connection)
    spine.close()
    return found


def trained(terminal: Terminal, *options: str) -> dict[str, Any]:
    return cast("dict[str, Any]", terminal.json("score", "train", *options))


def test_a_dry_run_reports_and_keeps_nothing(terminal: Terminal) -> None:
    told = trained(terminal, "--dry-run")
    assert (told["journey"], told["kept"], told["learned"]["leads"]) == ("pumps", False, 260)
    assert told["report"]["factors"][0]["feature"] == "person.custom.via"
    assert told["version"] not in terminal.says("score", "models", "--json")
    said = terminal.says("score", "train", "--dry-run")
    assert f"would keep {told['version']} for pumps" in said
    for words in ("AUC", "calibration", "top factors", "referral x", "won, "):
        assert words in said


def test_what_was_learned_is_kept_shown_switched_on_and_off(terminal: Terminal) -> None:
    version = trained(terminal)["version"]
    assert active(terminal) == {}
    assert version in terminal.says("score", "models")
    assert f"would activate {version} for pumps" in terminal.says("score", "activate", version, "--dry-run")
    assert active(terminal) == {}
    assert f"activated {version} for pumps" in terminal.says("score", "activate", version)
    assert active(terminal) == {"pumps": version}
    assert "is active already" in terminal.says("score", "activate", version)
    assert "active since" in terminal.says("score", "show", version)
    shown = terminal.json("score", "show", version)
    assert (shown["active"], shown["document"]["format"]) == (True, 1)
    assert version in terminal.says("score", "activate", "none")
    assert active(terminal) == {}
    again = trained(terminal, "--activate")
    assert (again["version"], again["active"], active(terminal)) == (version, True, {"pumps": version})
    terminal.says("score", "activate", "none")


def test_nothing_that_tells_who_somebody_is_stands_in_a_model(terminal: Terminal) -> None:
    written = json.dumps(terminal.json("score", "show", trained(terminal)["version"]))
    for word in ("person 1", "nordwind", "@"):
        assert word not in written.casefold()


def test_mistakes_are_answered_with_what_there_is(terminal: Terminal) -> None:
    assert "There is no journey pump; did you mean pumps?" in terminal.refuses("score", "train", "--journey", "pump")
    assert "throughline score models" in terminal.refuses("score", "show", "nonsense")
    assert "throughline score models" in terminal.refuses("score", "activate", "nonsense")
    assert "No lead has anything named via" in terminal.refuses("score", "train", "--leave-out", "via")
    assert "--won COLUMN" in terminal.refuses("score", "train", "--table", "leads.csv")
    assert "give it with --table" in terminal.refuses("score", "train", "--won", "won")


def test_where_nothing_useful_is_learned_nothing_is_kept_unless_forced(terminal: Terminal) -> None:
    without = ("score", "train", "--leave-out", "person.custom.via")
    done = terminal.run(*without)
    assert done.returncode == 1
    assert "no more than the share that is won anyway. Nothing was kept; --force" in done.stdout
    version = json.loads(terminal.run(*without, "--json").stdout)["version"]
    assert version not in terminal.says("score", "models")
    terminal.says(*without, "--force")
    assert version in terminal.says("score", "models")


def test_a_table_is_tried_without_a_database(terminal: Terminal, shell: Shell, tmp_path: Path) -> None:
    rows = [f"{'fair' if n % 3 else 'web'},{n % (2 if n % 3 else 7) == 0},2026-01-{n % 28 + 1:02}" for n in range(400)]
    file = tmp_path / "leads.csv"
    file.write_text("\n".join(["origin,won,at", *rows]))
    nowhere = Terminal(shell, "", tmp_path / "nothing")
    told = nowhere.json("score", "train", "--table", str(file), "--won", "won", "--when", "at")
    assert told["report"]["factors"][0]["up"][0]["value"] == "fair"
    assert told["kept"] is False
    assert "is for leads in the database" in terminal.refuses(
        "score", "train", "--table", str(file), "--won", "won", "--lost-after", "9d"
    )
