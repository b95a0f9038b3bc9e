"""Where leads wait, read from the buckets: what is counted there is what is told."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from typer.testing import CliRunner

from schema import tables
from schema.errors import Permanent
from schema.journey import default_journey
from schema.kpi import bins
from schema.store import flows, rows
from schema.store.journeys import JourneyBook
from services.api import flow_shapes
from services.cli.main import app
from tests.management import Site, open_site, settle
from workers.figures.count import Counting, count

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from tests.spine import Spine

FIRST = date(2026, 10, 1)
DAYS = 30
UNTIL = FIRST + timedelta(days=DAYS)
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HOUR, DAY = 3600, 86_400


class HasEngine(Protocol):
    """A `Spine` or a `Site`."""

    engine: Engine


class Buckets:
    """Buckets as the counting leaves them."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str, date], dict[str, Any]] = {}

    def add(
        self, measure: str, item: str, day: int, n: int, took_s: float | None = None, dim: str = "", value: str = ""
    ) -> None:
        """Count something on the so manieth day of the window."""
        at = FIRST + timedelta(days=day)
        empty = {"journey_name": "default", "measure": measure, "item": item, "dim": dim, "value": value,
                 "day": at, "n": 0, "bins": {}}  # fmt: skip
        row = self.rows.setdefault((measure, item, dim, at), empty)
        row["n"] += n
        if took_s is not None:
            size = str(bins.bin_of(took_s))
            row["bins"][size] = row["bins"].get(size, 0) + n

    def keep(self, there: HasEngine) -> None:
        """Write them."""
        with there.engine.begin() as connection:
            rows.insert(connection, tables.kpi_bucket, list(self.rows.values()))


@pytest.fixture
def told(spine: Spine) -> dict[str, dict[str, Any]]:
    """
    A month of default: ten leads a day, of which sales get six after a day and let them wait for five of ten days.

    Two of the six are won, four lost. Before the window 60 were at sales already.
    """
    given = Buckets()
    given.add("entered", "lead", -9, 10)
    given.add("moved", "lead>qualify>opportunity", -9, 10)
    given.add("entered", "opportunity", -9, 60)
    given.add("entered", "customer", -9, 7)
    given.add("entered", "old_state", -9, 3)
    # A migration renamed a stay that began before: it is in the new state from its beginning.
    given.add("entered", "lead", -8, 1)
    given.add("left", "lead>migrate>opportunity", -8, 1)
    given.add("migrated", "v1>v2", -2, 1)
    given.add("entered", "opportunity", -8, 1)
    for day in range(DAYS):
        given.add("created", "", day, 10)
        given.add("entered", "lead", day, 10)
        given.add("first_response", "lead", day, 10, 4 * HOUR)
        given.add("accepted", "", day, 10, 20 * HOUR)
        given.add("moved", "lead>qualify>opportunity", day, 6, 20 * HOUR)
        given.add("moved", "lead>disqualify>disqualified", day, 4, 20 * HOUR)
        given.add("entered", "opportunity", day, 6)
        given.add("entered", "disqualified", day, 4)
        given.add("handover", "marketing>sales", day, 6)
        given.add("taken", "marketing>sales", day, 6, 5 * DAY)
        given.add("handover", "sales>service", DAYS - 1, 2)  # since the last day, and nobody takes them up
        given.add("moved", "opportunity>win>customer", day, 2, 10 * DAY)
        given.add("moved", "opportunity>lose>lost", day, 4, 10 * DAY)
        given.add("entered", "customer", day, 2)
        given.add("entered", "lost", day, 4)
    given.add("moved", "customer>teleport>lost", 3, 2, DAY)
    given.add("moved", "opportunity>win>customer", DAYS, 50, DAY)  # after the window
    given.keep(spine)
    with spine.engine.connect() as connection:
        found = flows.bottlenecks(connection, default_journey(), FIRST, UNTIL, NOW)
    return {f"{one['kind']}:{one['name']}": one for one in found["places"]}


def test_the_worst_is_where_most_days_are_lost(told: dict[str, dict[str, Any]]) -> None:
    sales = told["state:opportunity"]
    handed = told["handover:marketing>sales"]
    assert {one["rank"] for one in (sales, handed)} == {1, 2}
    assert handed["in_progress_average"] == pytest.approx(30, rel=0.02)
    jam = told["handover:sales>service"]
    assert (jam["in_progress"], jam["gain"]["days_per_month"]) == (2 * DAYS, pytest.approx(30.4375, rel=0.02))
    assert told["first_act:lead"]["rank"] == told["state:lead"]["rank"] + 1 == 4
    assert sales["arrivals"] == sales["completions"] == 6 * DAYS
    assert sales["in_progress"] == sales["in_progress_average"] == 61  # 60, and the one renamed
    assert sales["waiting"]["rests_on"] == "taken marketing>sales"
    assert sales["waiting"]["share"] == pytest.approx(0.5, rel=0.02)
    assert sales["working"]["mean_s"] == pytest.approx(5 * DAY, rel=0.02)
    # 61 are there on average, and six a day for ten days would be 60.
    assert sales["little"]["lambda_w"] == pytest.approx(60, rel=0.02)
    assert sales["little"]["agrees"]
    assert sales["dropped"] | {"low": None, "high": None} == {
        "n": 4 * DAYS, "by_rule": 0, "share": 0.6667, "low": None, "high": None}  # fmt: skip
    # Half of their 61 x 30.4 days; half of the lost of a month, each of whom would be won as those who go on are: all.
    assert sales["gain"]["days_per_month"] == pytest.approx(61 * 30.4375 / 2, rel=0.02)
    assert sales["gain"]["days_sooner"] == pytest.approx(5, rel=0.02)
    assert sales["gain"]["wins_per_month"] == pytest.approx(4 * 30.4375 / 2, rel=0.02)
    assert sales["win_chance"] == pytest.approx(2 / 6, abs=1e-3)


def test_new_leads_wait_until_the_first_of_ours_acts_and_a_rule_of_the_journey_loses_nobody(
    told: dict[str, dict[str, Any]],
) -> None:
    lead = told["state:lead"]
    assert lead["waiting"]["rests_on"] == "first_response"
    assert lead["waiting"]["mean_s"] == pytest.approx(4 * HOUR, rel=0.02)
    assert lead["dropped"]["by_rule"] == lead["dropped"]["n"] == 4 * DAYS
    assert lead["gain"]["wins_per_month"] == 0
    assert lead["little"]["lambda_w"] == pytest.approx(10 * 20 / 24, rel=0.02)
    assert (lead["in_progress"], lead["little"]["agrees"]) == (0, None)  # midnight does not see them
    assert lead["gain"]["days_per_month"] == pytest.approx(10 * 4 / 24 * 30.4375, rel=0.02)


def test_who_is_to_stay_is_no_bottleneck_and_who_cannot_go_on_is_seen(told: dict[str, dict[str, Any]]) -> None:
    assert told["state:customer"]["reason"] == "rests"
    assert told["state:customer"]["in_progress"] == 7 + 2 * DAYS - 2
    assert set(told["state:customer"]["gain"].values()) == {None}
    assert told["state:serviced"]["reason"] == "nobody"
    old = told["state:old_state"]
    assert (old["in_progress"], old["reason"], old["waiting"]["share"]) == (3, "small", 1.0)
    assert old["label"] == "old_state (not in this version)"


def test_moves_are_held_against_the_journey(spine: Spine, told: dict[str, dict[str, Any]]) -> None:
    with spine.engine.connect() as connection:
        found = {move.item: move for move in flows.moves(connection, default_journey(), FIRST, UNTIL)}

    assert told
    assert found["opportunity>win>customer"].n == 2 * DAYS
    assert found["opportunity>win>customer"].bins == {bins.bin_of(10 * DAY): 2 * DAYS}
    assert [item for item, move in found.items() if not move.known] == ["customer>teleport>lost"]
    assert not found["customer>lapse>inactive"].n
    assert {move.item for move in found.values() if move.known} == {">".join(m) for m in default_journey().moves}


# -- over HTTP and on the command line ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


def test_what_is_asked_over_http_is_answered_as_described_and_bad_windows_are_told(site: Site) -> None:
    today = datetime.now(UTC).date()
    given = Buckets()
    for day in range(150):
        at = (today - timedelta(days=150 - day) - FIRST).days
        for dim, value in (("", ""), ("source", "website")):
            given.add("created", "", at, 20 if day < 120 else 60, dim=dim, value=value)
        given.add("entered", "lead", at, 20)
        given.add("moved", "lead>qualify>opportunity", at, 12, HOUR)
    given.keep(site)
    found = {"website": (datetime.now(UTC) - timedelta(hours=9)).isoformat(), "of_another": NOW.isoformat()}
    with site.engine.begin() as connection:
        account = {"at": datetime.now(UTC), "took_ms": 1, "unaccounted": 0, "found": {}, "silent": found}
        rows.insert(connection, tables.audit, [account])

    bottlenecks = site.get("/v1/kpis/bottlenecks")
    flow_shapes.Bottlenecks.model_validate(bottlenecks)
    assert bottlenecks["to"] == (today + timedelta(days=1)).isoformat()
    assert next(one for one in bottlenecks["places"] if one["name"] == "lead")["arrivals"] == 29 * 20

    trends = site.get("/v1/kpis/trends")
    flow_shapes.Trends.model_validate(trends)
    silent, *changed = trends["items"]
    assert (silent["what"], silent["of"]) == ("silent", {"source": "website"})
    assert {tuple(each["of"].items()) for each in changed} == {(), (("source", "website"),)}
    for each in changed:
        assert (each["figure"], each["before"], each["after"], each["change"]) == ("arrivals", 20, 60, 2)
        assert each["since"] == (today - timedelta(days=30)).isoformat()
    assert len(site.get(f"/v1/kpis/trends?from={today}")["items"]) == 1

    flow_shapes.Process.model_validate(site.get("/v1/kpis/process?of=tickets"))
    flow_shapes.Pairs.model_validate(site.get("/v1/kpis/process/rows?of=leads&first=created&then=qualify"))
    for path, status, code in (
        ("/v1/kpis/bottlenecks?from=2026-05-01&to=2026-04-01", 422, "range_invalid"),
        ("/v1/kpis/bottlenecks?from=2020-05-01&to=2026-04-01", 422, "range_invalid"),
        ("/v1/kpis/bottlenecks?to=0001-01-01", 422, "range_invalid"),
        ("/v1/kpis/bottlenecks?journey=nothing", 404, "journey_not_active"),
        ("/v1/kpis/process?of=tickets&from=2026-05-01&to=2026-05-01T00:00:00Z", 422, "range_invalid"),
        ("/v1/kpis/process?of=tickets&to=0001-01-01", 422, "range_invalid"),
        ("/v1/kpis/process?of=people", 422, "validation_failed"),
        ("/v1/kpis/process/rows?of=leads&first=a&then=b&cursor=%00", 422, "cursor_invalid"),
        ("/v1/kpis/process/rows?of=leads&first=a&then=b&cursor=x.1", 422, "cursor_invalid"),
    ):
        assert site.get(path, status)["code"] == code, path


def test_the_commands_say_it_in_words(
    spine: Spine, told: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("THROUGHLINE_DATABASE_URL", spine.url)
    log = tmp_path / "log.csv"
    log.write_text("case,activity,time\n1,=open,2026-01-01T10:00\n1,close,2026-01-01T12:00\n2,=open,never\n")

    def said(*words: str) -> str:
        done = CliRunner().invoke(app, ["kpi", *words])
        assert not done.exception, done.output
        return done.output

    where = said("bottlenecks", "--from", str(FIRST), "--to", str(UNTIL))
    assert "marketing to sales" in where
    assert "1. Opportunity: without waiting the leads of a month would lose 9" in where
    assert "Nothing is counted yet" in where  # no worker has counted: the buckets are ours
    assert json.loads(said("bottlenecks", "--from", str(FIRST), "--to", str(UNTIL), "--json"))["enough"] == 20
    assert said("trends").startswith("what\tof")
    assert "=open\tclose\t1\t100%\t2.0 h" in said("process", "--log", str(log))
    assert "1 rows left out: time_invalid (the first on line 4)" in said("process", "--log", str(log))
    assert json.loads(said("process", "--log", str(log), "--from", "2026-02-01", "--json"))["cases"] == 0
    assert said("process", "--of", "tickets", "--from", "2026-01-01", "--to", "2026-02-01").startswith("No tickets of")
    for words, code in (
        ([], "process_unclear"),
        (["--of", "people"], "process_unknown"),
        (["--of", "leads", "--rows", "a"], "pair_invalid"),
        (["--log", str(log), "--tz", "Nowhere"], "zone_unknown"),
    ):
        error = CliRunner().invoke(app, ["kpi", "process", *words]).exception
        assert isinstance(error, Permanent)
        assert error.code == code
    assert told


def test_what_workers_counted_is_what_is_there(spine: Spine) -> None:
    rival = default_journey().lists["competitors"][0]
    for number in range(4):
        spine.arrives({"email": f"spy{number}@{rival}", "interests": "crm"})
        spine.arrives({"email": f"p{number}@firm{number}.example", "country": "DE", "interests": "crm"})
        spine.run()
        spine.passes(timedelta(days=1))
    settle(spine.engine)
    counting = Counting(JourneyBook())
    while count(spine.engine, counting):
        pass
    with spine.engine.connect() as connection:
        until = spine.now.date() + timedelta(days=1)
        happened = {move.item: move.n for move in flows.moves(connection, default_journey(), FIRST, until) if move.n}
        places = flows.bottlenecks(connection, default_journey(), FIRST, until, spine.now)["places"]

    moved = spine.rows("SELECT from_state || '>' || name || '>' || to_state AS item, count(*) AS n "
                       "FROM transition GROUP BY 1")  # fmt: skip
    there = spine.rows("SELECT state, count(*) AS n FROM lead GROUP BY 1")
    assert happened == {row["item"]: row["n"] for row in moved} != {}
    in_progress = {one["name"]: one["in_progress"] for one in places if one["kind"] == "state" and one["in_progress"]}
    assert in_progress == {row["state"]: row["n"] for row in there}
