"""How leads flow: changes of level, where leads wait, and the process that any log shows."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import Permanent
from schema.kpi import bins
from schema.kpi.bottlenecks import MONTH, Exit, Place, chances, ranked
from schema.kpi.discovered import Entry, discover
from schema.kpi.trends import Change, Point, changes
from services.cli.kpi_log import LogFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MONDAY = date(2026, 1, 5)
WEEK = (1.3, 1.2, 1.2, 1.1, 1.0, 0.2, 0.1)
DAY = 86_400


# -- changes of level --------------------------------------------------------------------------------------------------


def poisson(random: Random, mean: float) -> int:
    """Knuth's way: as many as uniform numbers can be multiplied before the product falls below exp(-mean)."""
    limit, product, number = math.exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        number += 1
    return number


def arrivals(seed: int, days: int, level: Callable[[int], float]) -> list[Point]:
    """Arrivals of so many days that come by chance, with a week's ups and downs."""
    random = Random(seed)  # noqa: S311 - the same series each time
    days_ = [MONDAY + timedelta(days=number) for number in range(days)]
    return [Point(day, poisson(random, level(n) * WEEK[day.weekday()])) for n, day in enumerate(days_)]


@pytest.mark.parametrize("mean", [3, 12, 60])
def test_what_only_chance_and_weekends_move_is_hardly_ever_a_change(mean: float) -> None:
    alarms = [seed for seed in range(40) if changes(arrivals(seed, 182, lambda _: mean))]
    assert len(alarms) <= 1


@pytest.mark.parametrize(("mean", "within"), [(12, 14), (60, 6)])
@pytest.mark.parametrize("factor", [2, 0.5])
def test_a_level_that_doubles_or_halves_is_told_once_and_soon(mean: float, within: int, factor: float) -> None:
    begins = 100
    within *= 1 if factor > 1 else 2
    for seed in range(15):
        [change] = changes(arrivals(seed, 160, lambda day: mean * (factor if day >= begins else 1)))
        day = MONDAY + timedelta(days=begins)
        assert day <= change.noticed < day + timedelta(days=within)
        assert abs((change.since - day).days) <= within / 2
        usual = mean * sum(WEEK) / 7
        assert change.before == pytest.approx(usual, rel=0.15)
        assert change.after == pytest.approx(usual * factor, rel=0.2)


def test_a_source_that_ends_and_comes_back_is_told_twice() -> None:
    found = changes(arrivals(4, 170, lambda day: 0 if 90 <= day < 120 else 30))
    assert [(change.after < change.before) for change in found] == [True, False]
    assert [(change.since - MONDAY).days for change in found] == [90, 120]
    assert found[0].after == 0


def test_one_great_day_is_no_change_of_level() -> None:
    series = arrivals(5, 120, lambda _: 20)
    for at in (60, 61, 90):
        series[at] = series[at]._replace(value=900)
    assert changes(series) == []


def test_shares_and_durations_change_their_level_too_and_days_without_any_say_nothing() -> None:
    random = Random(8)  # noqa: S311 - the same series each time
    shares, spans = [], []
    for number in range(120):
        day = MONDAY + timedelta(days=number)
        weight = 0 if day.weekday() == 6 else random.randrange(20, 60)
        share = 0.3 if number < 80 else 0.15
        won = sum(random.random() < share for _ in range(weight))
        shares.append(Point(day, won / weight if weight else 0, weight))
        spans.append(Point(day, (DAY if number < 80 else 2 * DAY) * random.uniform(0.8, 1.25) if weight else 0, weight))
    [share_change], [slower] = changes(shares, "share"), changes(spans, "duration")
    assert abs((share_change.since - MONDAY).days - 80) <= 4
    assert [share_change.before, share_change.after] == pytest.approx([0.3, 0.15], abs=0.03)
    assert abs((slower.since - MONDAY).days - 80) <= 2
    assert slower.after == pytest.approx(2 * DAY, rel=0.1)


def test_too_few_days_say_nothing_and_missing_days_are_refused() -> None:
    assert changes(arrivals(1, 30, lambda day: 10 if day < 20 else 90)) == []
    with pytest.raises(ValueError, match="every day"):
        changes([Point(MONDAY, 1), Point(MONDAY + timedelta(days=2), 1)])
    assert Change._fields[0] == "since"


# -- where leads wait --------------------------------------------------------------------------------------------------


def stays(n: int, days: float) -> dict[int, int]:
    return {bins.bin_of(days * DAY): n}


def test_the_chance_to_win_follows_from_the_moves_round_loops() -> None:
    moved = {"new": {"talk": 50, "lost": 50}, "talk": {"new": 20, "customer": 40, "lost": 40}, "customer": {"gone": 9}}
    found = chances(moved, frozenset({"customer"}), frozenset({"lost", "gone"}))
    # new = talk / 2, talk = 0.2 new + 0.4: by hand
    assert found["talk"] == pytest.approx(0.4 / 0.9)
    assert found["new"] == pytest.approx(0.2 / 0.9)
    assert (found["customer"], found["lost"], found["gone"]) == (1, 0, 0)


def test_a_place_that_nobody_leaves_is_the_worst_and_piles_up_what_would_be_won() -> None:
    busy = Place("state", "busy", 30, 300, [Exit("won", 300, stays(300, 1.5))], [15] * 31, 15, wins=True)
    jammed = Place("state", "jammed", 30, 300, [], list(range(0, 310, 10)), 300, wins=True)
    first, second = ranked([busy, jammed], {"won": 1, "busy": 1, "jammed": 0.5})

    assert (first["name"], first["rank"], second["rank"]) == ("jammed", 1, None)
    assert second["reason"] == "no_waiting"  # all are as fast as the fastest quarter
    assert first["gain"]["days_per_month"] == pytest.approx(150 * MONTH)  # 150 are there on average
    assert first["gain"]["wins_per_month"] == pytest.approx(300 * 0.5 * MONTH / 30)
    assert first["little"]["agrees"] is None
    assert second["little"] | {"w_s": 0} == {
        "l": 15, "lambda_per_day": 10, "w_s": 0, "lambda_w": pytest.approx(15, rel=0.01),
        "deviation": pytest.approx(0, abs=0.01), "agrees": True, "why_not": None}  # fmt: skip


def test_littles_law_shows_that_a_place_fills_up() -> None:
    filling = Place("state", "filling", 30, 300, [Exit("x", 60, stays(60, 3))], list(range(0, 248, 8)), 240)
    [told] = ranked([filling], {})
    assert told["little"]["l"] == 120
    assert told["little"]["lambda_w"] == pytest.approx(30, rel=0.01)
    assert told["little"]["deviation"] == pytest.approx(0.75, abs=0.01)
    assert told["little"]["agrees"] is False


def test_few_are_said_to_be_few_and_stand_behind_the_others() -> None:
    few = Place("state", "few", 30, 5, [Exit("x", 4, stays(2, 1) | stays(2, 200), loss=True)], [3] * 31, 3)
    many = Place("state", "many", 30, 90, [Exit("x", 90, stays(40, 1) | stays(50, 3))], [6] * 31, 6)
    idle = Place("state", "idle", 30, 0, [])
    home = Place("state", "home", 30, 900, [], [900] * 31, 900, rests=True)
    told = ranked([home, idle, few, many], {})
    assert [(one["name"], one["rank"], one["reason"]) for one in told] == [
        ("many", 1, None), ("few", None, "small"), ("home", None, "rests"), ("idle", None, "nobody")]  # fmt: skip
    assert told[1]["dropped"]["low"] == pytest.approx(0.51, abs=0.01)  # four of four is not much
    assert told[3]["gain"]["days_per_month"] is None


# -- the process of a log ----------------------------------------------------------------------------------------------

_MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 3), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
_LOGS = st.lists(st.builds(Entry, st.sampled_from("123"), st.sampled_from("ab"), _MOMENTS), max_size=25)


@given(log=_LOGS)
def test_every_entry_follows_another_or_begins_a_case(log: list[Entry]) -> None:
    found = discover(log)
    assert sum(each.n for each in found.follows) == found.entries - found.cases == len(log) - found.cases
    assert sum(each.starts for each in found.activities) == sum(each.ends for each in found.activities) == found.cases
    assert sum(each.n for each in found.variants) == found.cases
    assert sum(each.n * each.length for each in found.variants) == found.entries
    by_case = sorted(log, key=lambda entry: entry.case)
    assert discover(by_case) == found  # cases may stand mixed


def test_a_log_is_read_as_strangers_write_it(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    text = (
        "\ufeffCase ID;Activity;Who;Complete Timestamp\r\n"
        "1;Öffnen;ana;2026-03-29 01:30:00\r\n"
        "1;Schließen;ben;2026-03-29 03:30:00\r\n"  # an hour later: summer time begins between them
        "2;Öffnen;ana;2026/03/29 12:00:00\r\n"
        ";Öffnen;ana;2026-03-29 12:00:00\r\n"
        "3;Öffnen;ana;yesterday\r\n"
        "4;Öffnen\r\n"
        "\r\n"
        "2;Öffnen;ana;2026-03-29T12:00:00Z\r\n"
    )
    file.write_bytes(text.encode())
    log = LogFile(file, [], ZoneInfo("Europe/Berlin"))
    found = discover(log)

    assert log.columns == {"case": "Case ID", "activity": "Activity", "time": "Complete Timestamp"}
    assert log.refused == {"case_missing": 1, "time_invalid": 2}
    assert log.first_refused == {"case_missing": 5, "time_invalid": 6}
    took = {(each.first, each.then): each.p50_s for each in found.follows}
    assert took == {("Öffnen", "Schließen"): 3600, ("Öffnen", "Öffnen"): 7200}


def test_times_may_be_written_in_any_form_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("case,activity,at\n1,a,03.11.2026 10:00\n1,b,04.11.2026 10:00\n1,c,2026-11-05T10:00\n")
    log = LogFile(file, [], UTC, "%d.%m.%Y %H:%M")
    assert [(each.first, each.then, each.p50_s) for each in discover(log).follows] == [("a", "b", DAY)]
    assert log.refused == {"time_invalid": 1}
    with pytest.raises(Permanent) as told:
        LogFile(file, [], UTC, "%Q")
    assert told.value.code == "format_invalid"


@pytest.mark.parametrize(
    ("given_", "code"),
    [
        (["Who=case"], "map_invalid"),
        (["Who=customer"], "map_invalid"),
        (["Nowhere=case", "What=activity", "When=time"], "columns_unknown"),
    ],
)
def test_columns_that_cannot_be_told_are_asked_for(tmp_path: Path, given_: list[str], code: str) -> None:
    file = tmp_path / "log.csv"
    file.write_text("Who,What,When\n1,a,2026-01-01\n")
    with pytest.raises(Permanent) as told:
        LogFile(file, given_, UTC)
    assert told.value.code == code
    assert "Who, What, When" in str(told.value) or "as in" in str(told.value) or "CaseID=case" in str(told.value)
