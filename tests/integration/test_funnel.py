"""
Two files of a funnel, leads and deals, as `docs/examples` reads them: what figures say is what plain counting says.

The rows are made up, in the shape of the public funnel and with its faults: blank origins, a deal won before its first
contact, a deal of nobody in the other file, a row that stands twice, moments near midnight of another time zone.
"""

from __future__ import annotations

import csv
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from schema.kpi import bins
from schema.store import journeys
from schema.store.journeys import JourneyBook
from schema.store.kpis import buckets
from tests.integration.test_import import EXAMPLES, load, table
from tests.management import settle
from tests.spine import NOON
from workers.figures.count import Counting, count
from workers.learn.examples import gather
from workers.simulate.history import Window, chunks

if TYPE_CHECKING:
    from pathlib import Path

    from schema.store.kpis import Bucket
    from tests.spine import Spine

ZONE: Final = ZoneInfo("America/Sao_Paulo")
LEADS: Final = "mql_id,first_contact_date,landing_page_id,origin"
DEALS: Final = "mql_id,seller_id,sdr_id,sr_id,won_date,business_segment,lead_type"
ORIGINS: Final = ("social", "paid search", "", "organic search", "direct traffic")
SEGMENTS: Final = ("pet", "home decor", "car accessories", "")

STAGES: Final = """
journey: default
people: {ana: {email: ana@example.com}}
sources: {files: {kind: import}, website: {kind: form}}
qualify: [{name: known, require: has(person.email)}]
route: {pools: {all: {members: {ana: 1}}}}
lifecycle:
  lead: {to: {qualify: opportunity}}
  opportunity: {sla: 14d, to: {win: customer, lose: lost, tire: lost}}
  customer: {to: {lapse: lost}}
  lost: {final: true}
transitions:
  qualify: {when: qualification.passed}
  win: {when: '"purchase" in touchpoint.kinds'}
  tire: {after: 60d}
  lapse: {after: 365d}
follow_ups: {welcome: {state: customer, text: Say hello, within: 2d}}
pipelines: {sales: {state: opportunity, won: win, lost: lose, stages: {talk: {probability: 30}}}}
"""


def funnel() -> tuple[list[str], list[str]]:
    """90 leads over five months, a third of them won after up to four months; around midnight UTC."""
    leads, deals = [], []
    for number in range(90):
        met = date(2018, 1, 1) + timedelta(days=number * 7 % 150)
        leads.append(f"m{number},{met},p{number % 4},{ORIGINS[number % 5]}")
        if number % 3 == 0:
            won = datetime.fromisoformat(f"{met} 23:30:{number % 60:02}") + timedelta(days=number * 11 % 120)
            deals.append(f"m{number},s,d,r,{won},{SEGMENTS[number % 4]},industry")
    early = datetime.fromisoformat(leads[10].split(",")[1]) - timedelta(hours=29)
    deals += [f"m10,s,d,r,{early},pet,industry", "m999,s,d,r,2018-03-31 22:00:00,toys,industry", deals[4]]
    return leads, deals


def counted(spine: Spine, *measures: str, dim: str = "") -> list[Bucket]:
    settle(spine.engine)
    counting = Counting(JourneyBook())
    while count(spine.engine, counting):
        pass
    with spine.engine.connect() as connection:
        return list(buckets(connection, "olist", measures, date(2000, 1, 1), date(2100, 1, 1), dim=dim))


def test_what_figures_say_of_a_funnel_that_was_loaded_is_what_plain_counting_says(spine: Spine, tmp_path: Path) -> None:
    leads, deals = funnel()
    _follow(spine, (EXAMPLES / "olist-journey.yaml").read_text(encoding="utf-8"))
    load(spine.url, table(tmp_path, "\n".join([LEADS, *leads])), str(EXAMPLES / "olist-leads.yaml"), source="olist")
    plan = table(tmp_path, _without_what_is_not_there(EXAMPLES / "olist-deals.yaml"), "deals.yaml")
    told = load(spine.url, table(tmp_path, "\n".join([DEALS, *deals]), "deals.csv"), str(plan), source="olist")
    assert (told["rows"], told["repeated"], told["processed"]) == (33, 1, 1)

    met = {row["mql_id"]: row for row in csv.DictReader([LEADS, *leads])}
    won = {row["mql_id"]: row for row in csv.DictReader([DEALS, *deals])}
    took = {name: _moment(row["won_date"]) - _moment(_met(met.get(name), row)) for name, row in won.items()}

    made_by = Counter(row["origin"] for row in met.values()) + Counter([""])
    won_by = Counter(met[name]["origin"] if name in met else "" for name in won)
    found = counted(spine, "created", "won", dim="campaign")
    assert _by_value(found, "created") == made_by
    assert _by_value(found, "won") == won_by

    whole = counted(spine, "created", "won", "fault", "entered", "moved", "left")
    held = bins.added(bucket.bins for bucket in whole if bucket.measure == "won")
    assert held == Counter(bins.bin_of(span.total_seconds()) for span in took.values() if span >= timedelta())
    assert [(each.item, each.n, each.day) for each in whole if each.measure == "fault"] == [
        ("won_before_contact", 1, _moment(won["m10"]["won_date"]).date())
    ]
    first = Counter(row["first_contact_date"] for row in met.values()) + Counter(["2018-03-31"])
    assert Counter({str(b.day): b.n for b in whole if b.measure == "created"}) == first

    by_month = Counter[tuple[str, str]]()
    for bucket in counted(spine, "won", dim="segment"):
        by_month[bucket.value, f"{bucket.day:%Y-%m}"] += bucket.n
    assert by_month == Counter((row["business_segment"], row["won_date"][:7]) for row in won.values())

    with spine.engine.connect() as connection:
        learnt = gather(connection, JourneyBook(), "olist", NOON)
        window = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
        played = [each for chunk in chunks(connection, "olist", window) for each in chunk]
    assert (len(learnt.won), learnt.at_once) == (31, 1)  # the deal of nobody began with its win
    assert learnt.columns["lead.attribution.origin"].rows
    assert [each.carried for each in played] == [None] * 91  # older than the window, but known here only since

    moves = spine.rows(
        "SELECT t.at, l.entered_at, l.created_at FROM transition AS t JOIN lead AS l ON l.id = t.lead_id"
    )
    assert all(move["at"] == move["entered_at"] >= move["created_at"] for move in moves)
    expected = {name: max(_moment(row["won_date"]), _moment(_met(met.get(name), row))) for name, row in won.items()}
    assert Counter(move["at"] for move in moves) == Counter(at.astimezone(UTC) for at in expected.values())
    assert [b.n for b in whole if b.measure == "moved"] == list(
        dict(sorted(Counter(at.astimezone(ZONE).date() for at in expected.values()).items())).values()
    )


def test_history_of_several_moves_keeps_the_time_of_each_and_clocks_begin_when_somebody_writes(
    spine: Spine, tmp_path: Path
) -> None:
    """Opportunities are opened and won when they were, by rows of one file."""
    _follow(spine, STAGES)
    file = table(
        tmp_path,
        "email,name,company,employees,country,kind,when,amount,currency\n"
        "ada@lind.example,Ada Lind,Lind,800,DE,form,2025-03-03,,\n"
        "ada@lind.example,Ada Lind,Lind,800,DE,demo.requested,2025-03-05 10:00,,\n"
        "ada@lind.example,Ada Lind,Lind,800,DE,purchase,2025-04-01 09:30,950.00,EUR\n",
    )
    load(spine.url, file, "when=occurred_at,kind=kind")

    moves = spine.rows("SELECT name, at::date::text AS day FROM transition ORDER BY number")
    events = spine.rows("SELECT type, data ->> 'at' AS at, data FROM event ORDER BY sequence")
    at = {row["type"]: row["at"] for row in events}
    assert moves == [{"name": "qualify", "day": "2025-03-03"}, {"name": "win", "day": "2025-04-01"}]
    assert at["lead.created"] == at["lead.qualified"] == at["opportunity.opened"] == "2025-03-03T00:00:00Z"
    assert at["purchase.recorded"] == at["lead.transitioned"] == at["opportunity.won"] == "2025-04-01T09:30:00Z"
    [sale] = spine.rows("SELECT opened_at, closed_at, outcome FROM opportunity")
    assert (sale["opened_at"].date(), sale["outcome"]) == (date(2025, 3, 3), "won")
    assert [row["data"]["after_s"] for row in events if row["type"] == "opportunity.won"] == [
        (sale["closed_at"] - sale["opened_at"]).total_seconds()
    ]
    assert not spine.rows("SELECT FROM timer")
    assert spine.rows("SELECT wake_at, quiet, entered_at::date::text AS since FROM lead") == [
        {"wake_at": None, "quiet": True, "since": "2025-04-01"}
    ]

    spine.arrives({"email": "ada@lind.example", "message": "Hello again"})
    spine.run()

    [lead] = spine.rows("SELECT quiet, entered_at, state FROM lead")
    assert lead == {"quiet": False, "entered_at": spine.now - timedelta.resolution, "state": "customer"}
    assert spine.rows("SELECT rule FROM follow_up") == [], "it did not become a customer now"
    assert len(spine.rows("SELECT FROM transition")) == 2


def _follow(spine: Spine, text: str) -> None:
    with spine.engine.begin() as connection:
        journeys.activate(connection, journeys.store(connection, text, NOON), NOON)


def _without_what_is_not_there(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    there = {f"  {name}:" for name in DEALS.split(",")}
    return "\n".join(line for line in lines if not line.startswith("  ") or line.split(":")[0] + ":" in there)


def _met(row: dict[str, str] | None, deal: dict[str, str]) -> str:
    return row["first_contact_date"] if row else deal["won_date"]


def _moment(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=ZONE)


def _by_value(found: list[Bucket], measure: str) -> Counter[str]:
    by = Counter[str]()
    for bucket in found:
        if bucket.measure == measure:
            by[bucket.value] += bucket.n
    return by
