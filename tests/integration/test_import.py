"""Files of leads on their way: who they become, what an interruption leaves, and what the same file again does."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from typer.testing import CliRunner

from schema.errors import Permanent
from schema.settings import Settings
from schema.store import journeys
from schema.store.engine import make_async_engine
from schema.store.journeys import JourneyBook
from services.cli import imports
from services.cli.main import app
from services.importing import mapping, run
from services.importing.reading import Row, Rows
from services.importing.run import Forecast, Order
from services.receive import Receiver
from tests.servers import ROOT
from tests.spine import NOON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.spine import Spine

EXAMPLES: Final = ROOT / "docs" / "examples"
ROWS: Final = 10_000
BAD: Final = 137
CUT: Final = 5_000
HEAD: Final = "email,full_name,created_at,note\n"


def ordered(
    rows: Rows, map_: str | None = None, *, source: str = "files", quiet: bool = True, id_column: str | None = None
) -> Order:
    return Order(source, mapping.read(map_, rows.columns), quiet=quiet, id_column=id_column)


def load(
    url: str,
    file: Path,
    map_: str | None = None,
    *,
    source: str = "files",
    quiet: bool = True,
    id_column: str | None = None,
    outcome: Path | None = None,
) -> dict[str, Any]:
    rows = Rows(file)
    rows.count()
    order = ordered(rows, map_, source=source, quiet=quiet, id_column=id_column)
    return imports.load(Settings(database_url=url), url, order, file, rows, outcome=outcome)


def expected(spine: Spine, file: Path) -> Forecast:
    rows = Rows(file)
    with spine.engine.connect() as connection:
        journey = JourneyBook().for_source(connection, "files")
    assert journey
    return imports.forecast(spine.engine, journey.sources["files"], ordered(rows), rows)


def table(folder: Path, text: str, name: str = "leads.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def count(spine: Spine, name: str) -> int:
    return int(spine.rows(f"SELECT count(*) AS count FROM {name}")[0]["count"])  # noqa: S608 - a table of ours


ADA = "ada@lind.example,Ada Lind,2024-03-01T10:00:00Z,"
BOB = "bob@ross.example,Bob Ross,2024-03-02T10:00:00Z,"


def test_a_row_becomes_a_lead_that_began_when_the_file_says(spine: Spine, tmp_path: Path) -> None:
    told = load(spine.url, table(tmp_path, f"{HEAD}{ADA}Wants a call\n"))

    (lead,) = spine.rows("SELECT * FROM lead")
    (touched,) = spine.rows("SELECT * FROM touchpoint")
    assert (told["rows"], told["processed"]) == (1, 1)
    assert lead["created_at"] == touched["occurred_at"] == datetime(2024, 3, 1, 10, tzinfo=UTC)
    assert (lead["channel"], lead["source"], lead["next_step"], lead["due_since"]) == ("import", "files", None, None)
    assert lead["score_total"] is not None


def test_a_lead_began_at_its_first_touch_whichever_row_comes_first(spine: Spine, tmp_path: Path) -> None:
    later = "ada@lind.example,Ada Lind,2025-01-01T10:00:00Z,later\n"

    load(spine.url, table(tmp_path, HEAD + later))
    load(spine.url, table(tmp_path, f"{HEAD}{ADA}\n"))

    assert [lead["created_at"].year for lead in spine.rows("SELECT created_at FROM lead")] == [2024]
    assert count(spine, "touchpoint") == 2


def test_a_lead_that_was_only_loaded_is_quiet_until_it_is_heard_of_otherwise(spine: Spine, tmp_path: Path) -> None:
    load(spine.url, table(tmp_path, f"{HEAD}{ADA}\n"))
    quiet = spine.rows("SELECT quiet FROM lead")[0]["quiet"]
    told = spine.rows("SELECT data FROM event WHERE type = 'lead.created'")[0]["data"]

    spine.arrives({"email": "ada@lind.example", "message": "Please call me back about prices."})
    spine.run()

    assert (quiet, told["quiet"]) == (True, True)
    assert spine.rows("SELECT quiet FROM lead") == [{"quiet": False}]
    assert spine.rows("SELECT data ->> 'quiet' AS quiet FROM event WHERE type = 'lead.touched'") == [{"quiet": "false"}]


def test_rows_that_may_set_things_off_are_leads_like_any_other(spine: Spine, tmp_path: Path) -> None:
    load(spine.url, table(tmp_path, f"{HEAD}{ADA}\n"), quiet=False)

    assert spine.rows("SELECT quiet FROM lead") == [{"quiet": False}]


def test_the_same_file_again_adds_nothing_in_whatever_order_its_rows_are(spine: Spine, tmp_path: Path) -> None:
    load(spine.url, table(tmp_path, f"{HEAD}{ADA}\n{BOB}\n{ADA}\n"))
    before = {name: count(spine, name) for name in ("receipt", "lead", "touchpoint", "event")}

    again = load(spine.url, table(tmp_path, f"{HEAD}{BOB}\n{ADA}\n", "other name.csv"))
    same = load(spine.url, table(tmp_path, f"{HEAD}{ADA}\n{BOB}\n{ADA}\n"))

    assert before["receipt"] == before["lead"] == 2
    assert {name: count(spine, name) for name in before} == before
    assert (again["repeated"], again["imported_before"]) == (2, None)
    assert (same["repeated"], same["imported_before"] is None) == (3, False)


def test_a_row_with_a_name_of_its_own_is_taken_once_whatever_changes_in_it(spine: Spine, tmp_path: Path) -> None:
    head = "row_id,email,exported\n"
    load(spine.url, table(tmp_path, f"{head}7,ada@lind.example,monday\n"), id_column="row_id")

    told = load(spine.url, table(tmp_path, f"{head}7,ada@lind.example,tuesday\n"), id_column="row_id")

    assert (told["repeated"], told["reasons"]) == (1, {"content_changed": 1})
    assert count(spine, "receipt") == 1


def test_columns_to_ignore_are_neither_kept_nor_make_a_row_another(spine: Spine, tmp_path: Path) -> None:
    plan = table(tmp_path, "ignore: [exported, salary]\n", "map.yaml")
    head = "email,exported,salary\n"
    load(spine.url, table(tmp_path, f"{head}ada@lind.example,monday,90000\n"), str(plan))

    told = load(spine.url, table(tmp_path, f"{head}ada@lind.example,tuesday,91000\n"), str(plan))

    assert told["repeated"] == 1
    assert bytes(spine.rows("SELECT body FROM receipt")[0]["body"]) == b'{"email":"ada@lind.example"}'


def test_what_was_held_back_is_read_again_when_the_map_was_mended(spine: Spine, tmp_path: Path) -> None:
    file = table(
        tmp_path, "email,met\nada@lind.example,01.03.2024\nbob@ross.example,2024-03-02\ncem@kaya.example,1,2\n"
    )
    first = load(spine.url, file, "met=occurred_at")
    mended = table(tmp_path, "fields: {met: occurred_at}\ndates: '%d.%m.%Y'\n", "map.yaml")

    second = load(spine.url, file, str(mended))

    assert (first["processed"], first["reasons"]) == (1, {"date_invalid": 1, "too_many_cells": 1})
    assert (second["processed"], second["repeated"], second["quarantined"]) == (1, 2, 0)
    assert (count(spine, "receipt"), count(spine, "lead")) == (3, 2)
    assert spine.rows("SELECT reason FROM receipt WHERE status = 'quarantined'") == [{"reason": "too_many_cells"}]


def test_two_files_that_name_people_by_the_same_id_speak_of_the_same_person(spine: Spine, tmp_path: Path) -> None:
    """The maps of the public funnel in `docs/examples`, on rows of the same columns."""
    text = (EXAMPLES / "olist-journey.yaml").read_text(encoding="utf-8")
    with spine.engine.begin() as connection:
        journeys.activate(connection, journeys.store(connection, text, NOON), NOON)
    leads = table(
        tmp_path,
        "mql_id,first_contact_date,landing_page_id,origin\n"
        "m1,2018-02-01,p1,social\nm2,2017-10-20,p2,paid search\nm3,2018-03-22,p3,\n",
    )
    deals = table(
        tmp_path,
        "mql_id,seller_id,sdr_id,sr_id,won_date,business_segment,lead_type,lead_behaviour_profile,"
        "business_type,declared_monthly_revenue\n"
        "m1,s,d,r,2018-02-26 19:58:54,pet,online medium,cat,reseller,0.0\n"
        "m3,s,d,r,2018-03-20 10:00:00,toys,industry,eagle,reseller,0.0\n",
        "deals.csv",
    )

    load(spine.url, leads, str(EXAMPLES / "olist-leads.yaml"), source="olist")
    told = load(spine.url, deals, str(EXAMPLES / "olist-deals.yaml"), source="olist")

    found = spine.rows(
        "SELECT k.value, l.state, l.created_at::date::text AS began, l.attribution ->> 'origin' AS origin, "
        "p.custom ->> 'segment' AS segment FROM lead AS l JOIN person AS p ON p.id = l.person_id "
        "JOIN person_key AS k ON k.person_id = p.id ORDER BY k.value"
    )
    assert told["merged"] == 2
    assert [tuple(row.values()) for row in found] == [
        ("m1", "customer", "2018-02-01", "social", "pet"),
        ("m2", "lead", "2017-10-20", "paid search", None),
        ("m3", "customer", "2018-03-20", None, "toys"),  # won before anybody wrote down the first contact
    ]


def test_one_row_tells_of_the_first_contact_and_of_the_purchase(spine: Spine, tmp_path: Path) -> None:
    plan = table(
        tmp_path,
        "fields: {met: occurred_at}\n"
        "touchpoints: [{kind: purchase, at: won, properties: {value: amount}}]\nconstants: {country: DE}\n",
        "map.yaml",
    )
    file = table(
        tmp_path,
        "email,met,won,amount\nada@lind.example,2024-01-02,2024-05-01,500\nbob@ross.example,2024-01-03,,\n",
    )

    told = load(spine.url, file, str(plan))

    touched = spine.rows(
        "SELECT kind, occurred_at::date::text AS day, data #>> '{properties,value}' AS value "
        "FROM touchpoint ORDER BY occurred_at"
    )
    assert (told["rows"], told["arrivals"], told["processed"], told["merged"]) == (2, 3, 2, 1)
    assert [tuple(row.values()) for row in touched] == [
        ("import", "2024-01-02", None),
        ("import", "2024-01-03", None),
        ("purchase", "2024-05-01", "500"),
    ]


def test_the_outcome_of_each_row_names_its_receipt_and_lead(spine: Spine, tmp_path: Path) -> None:
    outcome = tmp_path / "outcome.csv"

    load(spine.url, table(tmp_path, f"{HEAD}{ADA}=1+1\n{BOB}a,b\nx,,yesterday,\n{ADA}=1+1\n"), outcome=outcome)

    with outcome.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    (lead,) = spine.rows("SELECT id FROM lead")
    assert [(line["row"], line["outcome"], line["reason"]) for line in lines] == [
        ("2", "processed", ""),
        ("3", "quarantined", "too_many_cells"),
        ("4", "quarantined", "date_invalid"),
        ("5", "repeated", ""),
    ]
    assert lines[0]["lead"] == lines[3]["lead"] == lead["id"]
    assert spine.receipt(lines[1]["receipt"])["reason"] == "too_many_cells"
    assert lines[0]["note"] == "'=1+1"


def test_a_formula_is_kept_as_it_was_written(spine: Spine, tmp_path: Path) -> None:
    load(spine.url, table(tmp_path, f"{HEAD}{ADA}=cmd|calc\n"))

    assert json.loads(bytes(spine.rows("SELECT body FROM receipt")[0]["body"]))["note"] == "=cmd|calc"


def test_a_dry_run_says_what_would_happen_and_writes_nothing(spine: Spine, tmp_path: Path) -> None:
    load(spine.url, table(tmp_path, f"{HEAD}{ADA}\n"))
    before = {name: count(spine, name) for name in ("receipt", "lead", "submission", "import_run", "person")}
    more = "cem@kaya.example,Cem,2024-03-03,\ncem@kaya.example,Cem,2024-03-04,again\n"
    file = table(tmp_path, f"{HEAD}{ADA}\n{ADA}new note\n{BOB}\n{more}dee@moore.example,,soon,\n,,2024-01-01,\n")

    told = expected(spine, file)
    done = load(spine.url, file)

    assert {name: told.counts[name] for name in ("rows", "new_people", "known_people", "repeated", "unusable")} == {
        "rows": 7, "new_people": 2, "known_people": 2, "repeated": 1, "unusable": 2,
    }  # fmt: skip
    assert dict(told.reasons) == {"date_invalid": 1, "nothing_recognised": 1} == done["reasons"]
    assert [row.number for row, _ in told.examples] == [4, 5]
    assert (done["processed"], done["merged"], done["repeated"], done["quarantined"]) == (2, 2, 1, 2)
    assert before == {"receipt": 1, "lead": 1, "submission": 1, "import_run": 1, "person": 1}


def test_an_unclosed_quote_is_found_before_anything_is_stored(spine: Spine, tmp_path: Path) -> None:
    with pytest.raises(Permanent) as refused:
        load(spine.url, table(tmp_path, f'{HEAD}{ADA}\n{BOB}"never closed\n'))

    assert refused.value.code == "quote_unterminated"
    assert count(spine, "receipt") == 0


def test_killed_in_the_middle_an_import_goes_on_and_doubles_nothing(spine: Spine, tmp_path: Path) -> None:
    lines = [f"p{at}@firm.example,Person {at},2024-01-01,{'x,y' if at % 73 == 1 else ''}" for at in range(ROWS)]
    file = table(tmp_path, HEAD + "\n".join(lines) + "\n")
    command = [sys.executable, "-m", "tests.integration.test_import", spine.url, str(file)]

    killed = subprocess.run(command, cwd=ROOT, env=os.environ, check=False)
    stored = count(spine, "receipt")
    told = load(spine.url, file)

    assert killed.returncode == -signal.SIGKILL
    assert 0 < stored < ROWS
    assert (told["rows"], told["repeated"], told["waiting"], told["failed"]) == (
        ROWS,
        stored,
        0,
        0,
    )
    by_status = {row["status"]: row["count"] for row in spine.rows("SELECT status, count(*) FROM receipt GROUP BY 1")}
    assert by_status == {"processed": ROWS - BAD, "quarantined": BAD}
    assert count(spine, "lead") == count(spine, "person") == count(spine, "touchpoint") == ROWS - BAD
    assert spine.rows("SELECT 1 FROM lead WHERE due_since IS NOT NULL OR owner IS NULL AND state = 'opportunity'") == []


def test_two_imports_of_the_same_file_at_once_double_nobody(spine: Spine, tmp_path: Path) -> None:
    lines = "".join(f"p{at}@firm.example,Person {at},2024-01-01,\n" for at in range(300))
    file = table(tmp_path, HEAD + lines)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: load(spine.url, file), range(2))

    assert first["processed"] + second["processed"] == first["repeated"] + second["repeated"] == 300
    assert first["waiting"] == second["waiting"] == 0
    assert count(spine, "lead") == count(spine, "receipt") == count(spine, "touchpoint") == 300
    assert spine.rows("SELECT DISTINCT status FROM receipt") == [{"status": "processed"}]


def test_rows_that_were_stored_and_never_worked_on_are_worked_on_the_next_time(spine: Spine, tmp_path: Path) -> None:
    file = table(tmp_path, f"{HEAD}{ADA}\n{BOB}\n")
    asyncio.run(_only_stored(spine, Rows(file)))
    before = spine.rows("SELECT DISTINCT status FROM receipt")

    told = load(spine.url, file)

    assert before == [{"status": "pending"}]
    assert told["repeated"] == 2
    assert spine.rows("SELECT status, count(*) FROM receipt GROUP BY 1") == [{"status": "processed", "count": 2}]


async def _only_stored(spine: Spine, rows: Rows) -> None:
    engine = make_async_engine(spine.url, name="test")
    async with Receiver(engine, max_waiting=100, on_received=lambda _: None) as receiver:
        await run.store(receiver, spine.engine, [told for row in rows for told in run.arrivals(row, ordered(rows))])
    await engine.dispose()


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_says_what_became_of_the_rows(
    spine: Spine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THROUGHLINE_DATABASE_URL", spine.url)
    file = str(table(tmp_path, f"{HEAD}{ADA}\n{BOB}\nx,y,z\n"))

    looked = CliRunner().invoke(app, ["leads", "import", file, "--dry-run", "--json"])

    told = json.loads(looked.stdout)
    assert (told["dry_run"], told["new_people"], told["unusable"]) == (True, 2, 1)
    assert told["examples"][0] == {
        "row": 2,
        "touchpoint": "import",
        "occurred_at": "2024-03-01T10:00:00Z",
        "name": "Ada Lind",
        "email": "ada@lind.example",
        "company": "lind.example",
    }


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--source", "nowhere"], "source_unknown"),
        (["--map", "note=owner"], "protected_field"),
        (["--id", "nothing"], "column_unknown"),
        (["--sheet", "Leads"], "sheet_unknown"),
        (["--outcome", "leads.csv"], "outcome_unwritable"),
        (["--outcome", "no folder/outcome.csv"], "outcome_unwritable"),
    ],
)
def test_the_command_refuses_what_it_cannot_mean(
    spine: Spine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], code: str
) -> None:
    monkeypatch.setenv("THROUGHLINE_DATABASE_URL", spine.url)
    monkeypatch.chdir(tmp_path)

    refused = CliRunner().invoke(app, ["leads", "import", str(table(tmp_path, f"{HEAD}{ADA}\n")), *options])

    assert isinstance(refused.exception, Permanent)
    assert refused.exception.code == code
    assert count(spine, "receipt") == 0


class _Cut(Rows):
    """Rows whose reader is killed in the middle of them."""

    def __iter__(self) -> Iterator[Row]:
        for row in super().__iter__():
            if row.number > CUT:
                os.kill(os.getpid(), signal.SIGKILL)
            yield row


if __name__ == "__main__":
    _url, _file = sys.argv[1:]
    _rows = _Cut(Path(_file))
    imports.load(Settings(database_url=_url), _url, ordered(_rows), Path(_file), _rows)
