"""Hand-overs over HTTP and on the command line: a list in pages, one of them, and what each two departments come to."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from schema.store import handovers
from schema.store.handovers import Wanted
from services.api.handovers import Handover, Page, Summary
from services.cli.main import app
from tests.management import Site, open_site
from workers.handovers import TAKEN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.spine import Spine

NOW: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
# Of each ten: five taken after 1 to 5 minutes, one that ended, four open; one in three is about a ticket.
MANY: Final = """
INSERT INTO handover (about_kind, about_id, number, lead_id, journey, at, what, from_department, to_department, actor,
                      system, taken_at, taken_by, ended_at)
SELECT CASE WHEN n % 3 = 0 THEN 'ticket' ELSE 'lead' END, about, 1, CASE WHEN n % 3 = 0 THEN lead ELSE about END,
       'v', at, CASE WHEN n % 3 = 0 THEN 'opened' ELSE 'qualify' END,
       CASE n % 2 WHEN 0 THEN 'marketing' ELSE 'sales' END,
       CASE n % 2 WHEN 0 THEN 'sales' ELSE 'service' END, 'journey', CASE n % 2 WHEN 0 THEN 'CRM' ELSE 'Helpdesk' END,
       CASE WHEN n % 10 < 5 THEN at + (n % 10 + 1) * interval '1 minute' END,
       CASE WHEN n % 10 < 5 THEN 'ana' END, CASE WHEN n % 10 = 5 THEN at END
FROM (
    SELECT n, gen_random_uuid() AS about, gen_random_uuid() AS lead,
           CAST(:now AS timestamptz) - (n / 2) * interval '1 minute' AS at FROM generate_series(0, 19999) AS n
) AS given
"""


@pytest.fixture
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


def get(site: Site, path: str, status: int = 200, **query: Any) -> Any:  # noqa: ANN401 - decoded JSON
    answer = site.client.get(path, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_hand_overs_are_read_in_pages_and_by_pair_of_departments(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get(site, "/v1/handovers/summary")["items"] == get(site, "/v1/handovers")["items"] == []
    with site.engine.begin() as connection:
        connection.execute(text(MANY), {"now": NOW})
        connection.execute(text("ANALYZE handover"))

    seen, cursor = [], None
    for _ in range(4):
        page = get(
            site, "/v1/handovers", open=True, department="sales", limit=3, **({"cursor": cursor} if cursor else {})
        )
        Page.model_validate(page)
        seen += page["items"]
        cursor = page["next"]
    assert len({item["id"] for item in seen}) == 12
    assert {(item["to_department"], item["status"]) for item in seen} == {("sales", "open")}
    assert [item["at"] for item in seen] == sorted((item["at"] for item in seen), reverse=True)

    one = get(site, f"/v1/handovers/{seen[0]['id']}")
    Handover.model_validate(one)
    assert one | {"waited_s": 0} == seen[0] | {"waited_s": 0}
    of_lead = get(site, "/v1/handovers", lead=one["lead_id"])["items"]
    assert [item["id"] for item in of_lead] == [one["id"]]
    window: dict[str, Any] = {
        "from": (NOW - timedelta(minutes=9)).isoformat(),
        "to": (NOW + timedelta(minutes=1)).isoformat(),
    }
    assert len(get(site, "/v1/handovers", **window)["items"]) == 20

    summed = get(site, "/v1/handovers/summary", **window)
    Summary.model_validate(summed)
    with site.engine.connect() as connection:
        begin, end = (datetime.fromisoformat(window[name]) for name in ("from", "to"))
        items = handovers.summary(connection, begin, end, NOW)
    pairs = {(item["from_department"], item["to_department"]): item for item in items}
    # By hand: n of 0, 2, …, 18. Taken after 1, 3, 5, 1, 3 and 5 minutes; open since 3, 4, 8 and 9 minutes.
    assert pairs["marketing", "sales"] == {
        "from_department": "marketing", "to_department": "sales", "handovers": 10, "open": 4, "taken": 6, "ended": 0,
        "waiting": {"p50_s": 210, "p90_s": 486, "longest_open_s": 540}, "about": {"lead": 6, "ticket": 4},
        "systems": {"CRM": 10},
    }  # fmt: skip
    # n of 1, 3, …, 19: 5 and 15 ended.
    assert {name: pairs["sales", "service"][name] for name in ("open", "taken", "ended")} == {
        "open": 4, "taken": 4, "ended": 2,
    }  # fmt: skip
    assert [item | {"waiting": None} for item in summed["items"]] == [item | {"waiting": None} for item in items]

    assert get(site, "/v1/handovers", 422, cursor="x")["code"] == "cursor_invalid"
    assert get(site, "/v1/handovers", 422, lead="x")["code"] == "lead_invalid"
    assert get(site, "/v1/handovers/summary", 422, **{"from": "2999-01-01T00:00:00Z"})["code"] == "window_empty"
    assert get(site, "/v1/handovers/x.1", 404)["code"] == "handover_not_found"

    monkeypatch.setenv("THROUGHLINE_DATABASE_URL", site.url)

    def said(*words: str) -> str:
        done = CliRunner().invoke(app, ["handovers", *words, "--data-dir", str(tmp_path)])
        assert done.exit_code == 0, done.output
        return done.stdout

    listed = json.loads(said("list", "--open", "--department", "sales", "--limit", "3", "--json"))
    assert [item["id"] for item in listed["items"]] == [item["id"] for item in seen[:3]]
    assert f"{one['id']}\tmarketing\tsales\t" in said("list", "--lead", one["lead_id"])
    assert "worked on in" not in said("show", one["id"])
    shown = json.loads(said("summary", "--from", window["from"], "--to", window["to"], "--json"))
    assert [item | {"waiting": None} for item in shown["items"]] == [item | {"waiting": None} for item in items]
    assert "marketing\tsales\t10\t4\t6\t0\t" in said("summary", "--from", window["from"], "--to", window["to"])


def test_every_list_is_a_range_of_an_index(spine: Spine) -> None:
    cursor = f"{NOW.isoformat()}~{'0' * 8}-0000-0000-0000-{'0' * 12}.1"
    lead = f"{'0' * 8}-0000-0000-0000-{'0' * 12}"
    with spine.engine.begin() as connection:
        connection.execute(text(MANY), {"now": NOW})
        given = {"now": NOW, "ids": f"{{{lead}}}", "rows": json.dumps([{"lead_id": lead, "about_id": lead}])}
        for statement in (TAKEN, handovers.ENDED):  # also where the server knows nothing about the table yet
            plan = "\n".join(connection.execute(text(f"EXPLAIN {statement.text}"), given).scalars())
            assert "pk_handover" in plan, plan
            assert "ix_handover" not in plan, plan
        connection.execute(text("ANALYZE handover"))
        for wanted in (Wanted(), Wanted("sales", open=True), Wanted(since=NOW, until=NOW), Wanted(lead=lead)):
            asked, parameters = handovers.statement(wanted, ["sales", "service"], cursor, 51)
            plan = "\n".join(connection.execute(text(f"EXPLAIN (ANALYZE) {asked}"), parameters).scalars())
            assert "Seq Scan" not in plan, plan
            assert "Rows Removed by Filter" not in plan, plan
