"""The report's parts: words that do not say more than is known, plots with gaps, tables that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.journey import default_journey
from schema.kpi.catalog import CATALOG
from schema.kpi.figure import Figure, share
from schema.store.kpi_figures import Told
from services.cli.report import plot, sheets
from services.cli.report.ask import Answer, Asked
from services.cli.report.business import campaigns
from services.cli.report.parts import Cell, Column, Table
from services.cli.report.words import change, listed, rests_on, value

FIRST: Final = date(2026, 10, 1)
WIN_RATE, ARRIVALS, NPS, VALUE = (CATALOG[name] for name in ("win_rate", "arrivals", "nps", "value"))


def number(n: int) -> Figure:
    return Figure({}, n, n, numerator=n)


@pytest.mark.parametrize(
    ("name", "now", "before", "said"),
    [
        ("win_rate", share({}, 40, 100), share({}, 20, 100), "+20.0 points (before: 20.0 %)"),
        ("win_rate", share({}, 22, 100), share({}, 20, 100), "+2.0 points (before: 20.0 %, may be chance)"),
        ("win_rate", share({}, 4, 10), share({}, 20, 100), "before: 20.0 %; too few to compare"),
        ("win_rate", share({}, 40, 100), share({}, 0, 0), "nothing to compare with"),
        ("arrivals", number(150), number(100), "+50.0 % (before: 100)"),
        ("arrivals", number(105), number(100), "+5.0 % (before: 100, may be chance)"),
        ("arrivals", number(5), number(0), "before: 0"),
        ("nps", Figure({}, 30.0, 90, low=20, high=40), Figure({}, 25.0, 90, low=15, high=35),
         "+5.0 points (before: +25, may be chance)"),
        ("nps", Figure({}, 60.0, 90, low=50, high=70), Figure({}, 25.0, 90, low=15, high=35),
         "+35.0 points (before: +25)"),
    ],
)  # fmt: skip
def test_a_change_says_whether_it_may_be_chance(name: str, now: Figure, before: Figure, said: str) -> None:
    assert change(CATALOG[name], now, before) == said


def test_figures_are_said_with_their_unit_and_with_how_few_they_rest_on() -> None:
    euros = Figure({"currency": "EUR"}, Decimal("-12345.67"), 3)
    assert (value(VALUE, euros), value(NPS, Figure({}, -3.4, 50))) == ("-12,346 EUR", "-3")
    assert rests_on(WIN_RATE, share({}, 3, 10)) == "3 of 10, too few to say much (needs 30)"
    answer = Answer(WIN_RATE, [Told(FIRST, FIRST, None, share({}, 3, 10))])
    [row] = listed("t", "", [answer], default_journey()).rows
    assert next(cell for cell in row if cell.value == pytest.approx(0.3)).mark == "few"


@given(st.lists(st.text(alphabet="=+-@\t\r\n aé€\"',;<0"), min_size=1, max_size=4))
def test_no_cell_of_a_sheet_is_a_formula_and_nothing_is_lost(texts: list[str]) -> None:
    table = Table("t", "", [Column(f"c{at}") for at in range(len(texts))], [[Cell(text) for text in texts]])
    _, line = csv.reader(io.StringIO(sheets.written(table), newline=""))
    assert not any(cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in line)
    assert [cell.removeprefix("'") for cell in line] == [text.removeprefix("'") for text in texts]


def test_numbers_stay_numbers_in_a_sheet() -> None:
    values = [-1, Decimal("-1E+3"), 0.25, None, True, FIRST, Decimal("12.50")]
    table = Table("t", "", [Column("c")] * len(values), [[Cell(each) for each in values]])
    assert sheets.written(table).splitlines()[1] == "-1,-1000,0.25,,true,2026-10-01,12.50"


def points(values: list[float | None], **more: Any) -> list[plot.Point]:  # noqa: ANN401 - its fields
    days = [FIRST + timedelta(days=at) for at in range(len(values))]
    return [plot.Point(day, day + timedelta(days=1), each, **more) for day, each in zip(days, values, strict=True)]


def places(d: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([-\d.]+) ([-\d.]+)", d)]


def drawn(svg: str, classes: str) -> list[ET.Element]:
    return [each for each in ET.fromstring(svg).iter() if each.get("class") == classes]  # noqa: S314 - our own text


def test_a_plot_has_gaps_where_nothing_is_known_and_bands_for_intervals() -> None:
    svg = plot.over_time(points([0.2, 0.3, None, 0.4], low=0.1, high=0.5), "share", "", "<spoken> & told")
    lines = [places(line.get("d") or "") for line in drawn(svg, "line")]
    assert [len(line) for line in lines] == [2]  # the last point stands alone
    assert (len(drawn(svg, "dot")), len(drawn(svg, "band"))) == (3, 1)
    assert "&lt;spoken&gt; &amp; told" in svg
    hollow = plot.over_time(points([5, 6], cut=True), "count", "a day", "")
    assert (len(drawn(hollow, "dot hollow")), len(drawn(hollow, "line cut"))) == (2, 1)


@given(
    st.lists(st.none() | st.floats(-1e9, 1e9) | st.just(0.0), min_size=1, max_size=60).filter(any),
    st.sampled_from(["count", "seconds", "money", "score"]),
)
def test_whatever_the_values_all_points_lie_within_the_axes_and_ticks_are_few(
    values: list[float | None], unit: str
) -> None:
    svg = plot.over_time(points(values), unit, "", "")
    inner = (24.0 - 0.2, 210.0 - 28.0 + 0.2)
    dots = drawn(svg, "dot")
    assert len(dots) == sum(each is not None for each in values)
    assert all(inner[0] <= float(dot.get("cy") or 0) <= inner[1] for dot in dots)
    assert 2 <= len(drawn(svg, "grid")) + len(drawn(svg, "zero")) <= 8


@pytest.mark.parametrize("days", [1, 7, 31, 92, 365, 800, 3660])
def test_the_axis_of_time_names_a_few_days(days: int) -> None:
    named = list(plot._dates(FIRST, FIRST + timedelta(days=days)))  # noqa: SLF001 - what stands on the axis
    assert 1 <= len(named) <= 9
    assert [day for day, _ in named] == sorted({day for day, _ in named})


def test_a_campaign_is_told_with_its_costs_and_how_sure_its_lift_is() -> None:
    journey = default_journey()
    asked = Asked(journey, FIRST, FIRST, datetime(2026, 11, 1, tzinfo=UTC), None, "day", "week", None)
    for by in ("source", "campaign"):
        asked.answers["attributed_wins", by] = Answer(CATALOG["attributed_wins"])
    more = {"total": "900.00", "low": "-100.00", "high": "1900.00"}
    asked.campaigns = {
        "not_ready_yet": {
            "people": {"entered": 1000, "goal": 120, "goal_rate": 0.12},
            "holdout": {"entered": 100},
            "lift": {"difference": 0.04, "low": -0.01, "high": 0.08, "sure": False},
            "messages": {"sent": 1800},
            "cost": {"total": "500.00", "currency": "EUR"},
            "revenue": {"currencies": [{"currency": "EUR", "net": "25000.00", "incremental": more}]},
            "return": {"plain": 49.0, "incremental": 0.8, "low": -1.2, "high": 2.8, "reason": None},
        },
        "slow": None,
    }
    table = next(block for block in campaigns(asked).blocks if isinstance(block, Table))
    row = dict(zip((column.key for column in table.columns), table.rows[0], strict=True))
    texts = {key: row[key].text for key in ("campaign", "lift", "lift_interval", "cost", "revenue", "return")}
    assert texts == {
        "campaign": "Not ready yet",
        "lift": "+4.0 points, may be chance",
        "lift_interval": "-1.0 to +8.0",
        "cost": "500.00 EUR",
        "revenue": "25,000 EUR",
        "return": "+80 %",
    }
    assert [row[key].value for key in ("return_low", "return_high", "incremental", "lift_low", "held_out")] == [
        -1.2, 2.8, Decimal("900.00"), -0.01, 100,
    ]  # fmt: skip
    assert "Not read in time: slow" in table.warning


def test_no_interval_is_cut_off_at_the_edge_of_its_plot() -> None:
    svg = plot.over_time(points([0.0, 40.0], low=-60.0, high=90.0, few=True), "points", "points", "")
    [band] = drawn(svg, "band")
    heights = {y for _, y in places(band.get("d") or "")}
    zero = places(drawn(svg, "zero")[0].get("d") or "")[0][1]
    assert min(heights) < zero < max(heights)
    assert len(heights) == 2
