"""Figures as they are asked: they lead back to their rows, say what can be asked, and tell when a target is missed."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from typer.testing import CliRunner

from schema import tables
from schema.journey import default_text
from schema.store import feed, journeys, kpi_figures, rows
from schema.store.feed import Cursor
from schema.store.journeys import JourneyBook
from services.api import kpis as shapes
from services.cli.main import app
from tests.desking import activate
from tests.management import Site, open_site, settle
from tests.spine import Spine
from workers.figures import forecasts, targets
from workers.figures.count import Counting, count
from workers.sales.by_hand import Sales

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schema.journey import Journey

SHOP: Final = default_text().replace("sources:\n", "sources:\n  shop: {kind: api, map: {what: kind}}\n", 1)
WHO: Final[dict[str, Any]] = {"interests": "crm", "employees": 600, "country": "DE"}
HOUR: Final = timedelta(hours=1)
TARGETS: Final = """
kpis:
  tz: Europe/Berlin
  targets:
    wins: {kpi: win_rate, of: {transition: win}, at_least: 50%, over: 7d, needed: 4}
    fast: {kpi: time_in_state, of: {state: lead}, at_most: 1h, percentile: 90, over: 7d, needed: 3, label: Fast start}
    many: {kpi: arrivals, at_least: 5, over: 7d}
"""


@pytest.fixture(scope="module")
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


@pytest.fixture(scope="module")
def life(site: Site) -> Iterator[Spine]:
    """Five leads of two sources on two days: one refused, four at sales; one of these lost, two bought, one twice."""
    spine = Spine(site.url)
    activate(spine, text=SHOP)
    came = [spine.arrives({"email": f"c{number}@kiln.example", **WHO}) for number in range(3)]
    came.append(spine.arrives({"email": "x@rival.example", "company_domain": "rival.example"}))
    spine.run()
    spine.passes(20 * HOUR)
    came.append(spine.arrives({"email": "c4@kiln.example", **WHO}, source="contact"))
    spine.run()
    opportunity = spine.rows("SELECT id FROM opportunity WHERE lead_id = :id", id=spine.lead_of(came[2])["id"])
    sales = Sales(spine.engine, spine.hints.send)
    sales.lose(opportunity[0]["id"], "price", actor="key:1", now=spine.now)
    for number, order in ((0, "A-1"), (0, "A-2"), (1, "A-3")):
        spine.passes(HOUR)
        told = {"email": f"c{number}@kiln.example", "what": "purchase", "order_id": order, "total": "99.90"}
        spine.arrives(told | {"currency": "EUR"}, source="shop", channel="api")
        spine.run()
    _counted(spine)
    yield spine
    spine.close()


def _counted(spine: Spine) -> None:
    settle(spine.engine)
    counting = Counting(JourneyBook())
    while count(spine.engine, counting):
        pass


def test_before_anything_is_counted_there_are_figures_that_say_so(site: Site) -> None:
    listed = site.get("/v1/kpis")
    shapes.Overview.model_validate(listed)
    assert listed["as_of"] is None
    told = {item["name"]: [(each["value"], each["reason"]) for each in item["figures"]] for item in listed["items"]}
    assert (told["arrivals"], told["win_rate"]) == ([(0, None)], [(None, "nothing_counted")])
    assert site.client.get("/v1/kpis", headers=site.key("leads:read")).status_code == 403
    assert site.get("/v1/kpis/restated") == {"items": [], "next": None}


WINDOW: Final = "from=2026-11-20&to=2026-11-23"


@pytest.mark.parametrize(
    ("asked", "of", "number", "value"),
    [
        ("arrivals", "", 5, 5),
        ("touchpoints", "", 9, 9),
        ("qualification_rate", "", 5, 0.8),
        ("conversion", "of=lead", 5, 0.8),
        ("drop_off", "of=lead", 5, 0.2),
        ("conversion_snapshot", "of=opportunity", 3, 2 / 3),
        ("win_rate", "", 3, 2 / 3),
        ("wins", "", 2, 2),
        ("value", "", 3, "299.70"),
        ("upsell_rate", "", 3, 1 / 3),
        ("lost_reasons", "of=sales", 1, 1.0),
        ("assigned", "", 4, 4),
    ],
)
def test_a_figure_leads_back_to_its_rows(
    site: Site, life: Spine, asked: str, of: str, number: int, value: float | str
) -> None:
    told = site.get(f"/v1/kpis/{asked}?{WINDOW}&{of}")
    shapes.Asked.model_validate(told)
    whole = [item for item in told["items"] if not item["part"].keys() - {"currency", "pipeline", "reason"}]
    assert [(item["value"], item["sample"]) for item in whole] == [(pytest.approx(value), number)]
    found: list[dict[str, Any]] = []
    path, pages = f"/v1/kpis/{asked}/rows?{WINDOW}&{of}&limit=2", 0
    following: str | None = ""
    while following is not None:
        page = site.get(f"{path}&cursor={following}" if following else path)
        shapes.Rows.model_validate(page)
        assert len(page["items"]) <= 2
        found, following, pages = found + page["items"], page["next"], pages + 1
    assert len({(row["lead_id"], row["at"], row["id"], str(row["detail"])) for row in found}) == len(found) == number
    assert [row["at"] for row in found] == sorted(row["at"] for row in found)
    assert {row["lead_id"] for row in found} <= {row["id"] for row in life.rows("SELECT id::text FROM lead")}
    assert pages <= number // 2 + 2


def test_a_figure_by_a_dimension_and_by_day_adds_up_to_the_whole(site: Site, life: Spine) -> None:
    del life
    for by in ("source", "channel", "owner", "version"):
        items = site.get(f"/v1/kpis/arrivals?{WINDOW}&by={by}")["items"]
        assert sum(item["value"] for item in items) == 5, by
    sources = site.get(f"/v1/kpis/arrivals?{WINDOW}&by=source&every=day")["items"]
    assert {(each["group"], each["from"]): each["value"] for each in sources if each["value"]} == {
        ("website", "2026-11-20"): 4,
        ("contact", "2026-11-21"): 1,
    }
    by_source = site.get(f"/v1/kpis/conversion?{WINDOW}&by=source&of=lead")["items"]
    assert {each["group"]: (each["numerator"], each["denominator"]) for each in by_source} == {
        "contact": (1, 1),
        "website": (3, 4),
    }
    weeks = site.get("/v1/kpis/arrivals?from=2026-11-20&to=2026-11-25&every=week")["items"]
    assert [(each["from"], each["to"], each["value"]) for each in weeks] == [
        ("2026-11-20", "2026-11-23", 5),
        ("2026-11-23", "2026-11-25", 0),
    ]
    departments = site.get(f"/v1/kpis/time_in_state?{WINDOW}&by=department")["items"]
    assert {(each["group"], each["part"]["state"]) for each in departments} >= {("sales", "opportunity")}
    rows_of = site.get(f"/v1/kpis/arrivals/rows?{WINDOW}&source=contact")["items"]
    assert [row["detail"]["source"] for row in rows_of] == ["contact"]


@pytest.mark.parametrize(
    ("path", "status", "code", "says"),
    [
        ("arrival", 404, "kpi_unknown", "did you mean arrivals?"),
        ("conversion?of=leed", 422, "of_unknown", "state: lead, opportunity"),
        ("wins?of=lead", 422, "of_unknown", "of everything together"),
        ("attributed_wins?by=owner", 422, "by_unknown", "source, channel, campaign"),
        ("arrivals?from=2026-11-02&to=2026-11-02", 422, "window_invalid", "a later one"),
        ("arrivals?from=2020-01-01&to=2026-11-02&every=day", 422, "window_invalid", "400 at once"),
        ("arrivals?to=9999-12-31&every=month", 422, "window_invalid", "9000-01-01"),
        ("restated?from=0001-01-01", 422, "window_invalid", "ten years"),
        ("fairness/rows", 422, "rows_unknown", "These are: arrivals"),
        ("arrivals/rows?cursor=MQ", 422, "cursor_invalid", "not a cursor"),
        ("arrivals?journey=none", 404, "journey_not_active", "Active are: default"),
    ],
)
def test_what_cannot_be_asked_is_answered_with_what_can(
    site: Site, path: str, status: int, code: str, says: str
) -> None:
    answer = site.get(f"/v1/kpis/{path}", status)
    assert answer["code"] == code
    assert says in answer["detail"]


def test_the_latest_values_stand_with_the_targets(site: Site, life: Spine, monkeypatch: pytest.MonkeyPatch) -> None:
    activate(life, text=SHOP + TARGETS.replace("Europe/Berlin", "UTC"))
    monkeypatch.setenv("THROUGHLINE_DATABASE_URL", site.url)
    targets.look(life.engine, JourneyBook(), life.now)
    with life.engine.connect() as connection:
        journey = kpi_figures.journey_of(connection, JourneyBook(), None)
        listed = kpi_figures.overview(connection, journey, life.now)
    figures = {item["name"]: item for item in listed["items"]}
    assert figures["arrivals"]["figures"][0]["value"] == 5
    assert figures["win_rate"]["targets"][0] | {"since": 0, "looked_at": 0} == {
        "target": "wins", "label": None, "kpi": "win_rate", "of": {"kind": "transition", "code": "win"},
        "at_least": "50%", "at_most": None, "percentile": None, "over_days": 7, "needed": 4, "missed": None, "since": 0,
        "value": pytest.approx(2 / 3), "sample": 3, "looked_at": 0,
    }  # fmt: skip
    done = CliRunner().invoke(app, ["kpi", "rows", "value", "--from", "2026-11-20", "--to", "2026-11-23", "--csv"])
    table = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["kind"], row["amount"]) for row in table] == [("purchase", "99.90")] * 3
    shown = CliRunner().invoke(app, ["kpi", "show", "arrivals", "--from", "2026-11-20", "--to", "2026-11-23"])
    assert shown.stdout == "value\tsample\n5\t5\n"
    assert CliRunner().invoke(app, ["kpi", "list", "--csv"]).stdout.count("\n") > 60


def _moves(spine: Spine, day: date, **ways: int) -> None:
    """Count moves out of the state opportunity on a day."""
    ends = {"win": "customer", "lose": "lost"}
    empty = {"journey_name": "default", "dim": "", "value": "", "day": day, "bins": {}}
    made = [{"measure": "moved", "item": f"opportunity>{way}>{ends[way]}", "n": n} for way, n in ways.items()]
    with spine.engine.begin() as connection:
        rows.insert(connection, tables.kpi_bucket, [empty | each for each in made])


def test_a_missed_target_is_told_once_and_again_when_it_is_met(spine: Spine) -> None:
    activate(spine, text=SHOP + TARGETS)
    book, now = JourneyBook(), spine.now
    assert targets.look(spine.engine, book, now) == 0, "nothing was ever counted"
    spine.do("INSERT INTO consumer (name, updated_at) VALUES ('kpi', :now)", now=now)
    _moves(spine, now.date() - timedelta(days=2), win=1, lose=2)
    told = []
    for at, day, won in (
        (now, None, 0),  # three are too few
        (now, now.date() - timedelta(days=1), 0),  # one in four
        (now + timedelta(seconds=30), None, 0),  # looked at just now
        (now + timedelta(minutes=2), None, 0),  # missed still
        (now + timedelta(minutes=4), now.date(), 3),  # four in seven
        (now + timedelta(days=30), None, 0),  # nothing in the window: as it was
    ):
        spine.do("UPDATE kpi_target SET looked_at = :at", at=now - HOUR) if day else None
        if day:
            _moves(spine, day, **({"win": won} if won else {"lose": 1}))
        spine.do("UPDATE consumer SET updated_at = :at WHERE name = 'kpi'", at=at)
        told.append(targets.look(spine.engine, book, at))
    assert told == [0, 1, 0, 0, 1, 0]
    stream = targets.stream("default", "wins")
    settle(spine.engine)
    with spine.engine.connect() as connection:
        events = [each for each in feed.read(connection, Cursor()).events if each["subject"] == stream]
    assert [(each["type"], each["id"], each["data"]["value"], each["data"]["sample"]) for each in events] == [
        ("throughline.kpi.missed.v1", f"{stream}.1", 0.25, 4),
        ("throughline.kpi.met.v1", f"{stream}.2", pytest.approx(4 / 7), 7),
    ]
    assert {"since": "2026-11-14", "until": "2026-11-21", "tz": "Europe/Berlin", "at_least": "50%"}.items() <= (
        events[0]["data"].items()
    )
    settle(spine.engine)
    counted = count(spine.engine, Counting(JourneyBook()))
    assert counted == 2, "figures pass over what is told of targets"
    assert spine.rows("SELECT count(*) AS n FROM kpi_lead") == [{"n": 0}]


def test_while_counting_is_behind_no_target_is_judged(spine: Spine) -> None:
    activate(spine, text=SHOP + TARGETS)
    spine.do("INSERT INTO consumer (name, updated_at) VALUES ('kpi', :now)", now=spine.now)
    _moves(spine, spine.now.date(), lose=9)
    spine.arrives({"email": "c1@kiln.example", **WHO})
    spine.run()
    settle(spine.engine)
    late = spine.now + timedelta(minutes=6)
    assert targets.look(spine.engine, JourneyBook(), late) == 0
    _counted(spine)
    assert targets.look(spine.engine, JourneyBook(), late) == 1


def test_what_is_expected_is_kept_by_day_and_held_against_what_came(spine: Spine) -> None:
    activate(spine, text=SHOP)
    lead = spine.lead_of(_settled(spine, spine.arrives({"email": "c1@kiln.example", **WHO})))
    (opportunity,) = spine.rows("SELECT id::text FROM opportunity WHERE lead_id = :id", id=lead["id"])
    sales = Sales(spine.engine, spine.hints.send)
    given = {"amount": "1000.00", "probability": 0.5, "expected_close": "2026-11-28"}
    sales.change(opportunity["id"], given, actor="key:1", now=spine.now)
    assert [forecasts.keep(spine.engine, JourneyBook(), spine.now) for _ in range(2)] == [1, 0]
    (kept,) = spine.rows("SELECT * FROM kpi_forecast")
    assert (kept["day"], kept["until"], kept["currency"]) == (date(2026, 11, 20), date(2026, 12, 1), "EUR")
    assert kept["low"] <= kept["expected"] <= kept["high"]
    sales.win(opportunity["id"], {}, actor="key:1", now=spine.now + HOUR)
    _counted(spine)
    later = datetime(2026, 12, 2, tzinfo=UTC)
    assert _told(spine, "forecast_hit_rate", spine.now) == []
    assert _told(spine, "forecast_hit_rate", later) == [1.0]
    assert _told(spine, "forecast_ratio", later) == [pytest.approx(1000 / float(kept["expected"]))]


def _settled(spine: Spine, receipt: str) -> str:
    spine.run()
    return receipt


def _told(spine: Spine, name: str, now: datetime) -> list[Any]:
    with spine.engine.connect() as connection:
        journey: Journey = journeys.stored(connection, journeys.active_version(connection, "default"))
        asked = kpi_figures.question(journey, name, now)
        return [item["value"] for item in kpi_figures.answer(connection, journey, asked, now)["items"]]
