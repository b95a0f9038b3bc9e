"""Silence: three usual gaps at these hours of the week are too long, and nights and weekends are none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from schema.silence import Heard, Rhythm, rhythm

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def heard(*moments: datetime) -> list[Heard]:
    """One arrival at each of these moments."""
    return [Heard(1, moment, moment) for moment in sorted(moments)]


def office(weeks: int, each: int = 1) -> list[Heard]:
    """Arrivals in every hour from 9 to 17, Monday to Friday, of the weeks before this Monday."""
    hours = [
        MONDAY - timedelta(weeks=week) + day * DAY + hour * HOUR
        for week in range(1, weeks + 1)
        for day in range(5)
        for hour in range(9, 17)
    ]
    return [Heard(each, at, at + timedelta(minutes=30)) for at in sorted(hours)]


def judged(history: list[Heard], now: datetime) -> Rhythm:
    found = rhythm(history, now)
    assert found is not None
    return found


def test_of_a_source_that_hardly_anything_came_from_nothing_is_usual() -> None:
    assert rhythm([], MONDAY) is None
    assert rhythm(heard(*(MONDAY - day * DAY for day in range(1, 5))), MONDAY) is None


def test_without_history_three_median_gaps_are_too_long() -> None:
    history = heard(*(MONDAY - minutes * timedelta(minutes=20) for minutes in range(30)))
    assert judged(history, MONDAY + timedelta(minutes=60)) == Rhythm(timedelta(minutes=20), silent=False)
    assert judged(history, MONDAY + timedelta(minutes=61)) == Rhythm(timedelta(minutes=20), silent=True)


def test_a_busy_source_is_not_silent_after_a_moment() -> None:
    history = [Heard(1000, MONDAY - HOUR, MONDAY)]
    assert not judged(history, MONDAY + timedelta(minutes=14)).silent
    assert judged(history, MONDAY + timedelta(minutes=16)).silent


def test_a_source_that_sleeps_at_night_and_at_weekends_is_not_silent_then() -> None:
    history = office(4)
    assert not judged(history, MONDAY - timedelta(minutes=1)).silent  # since Friday afternoon
    assert not judged(history, MONDAY + 11 * HOUR).silent
    assert judged(history, MONDAY + 13 * HOUR).silent


def test_while_there_are_not_three_weeks_of_history_the_hours_of_the_day_tell() -> None:
    days = [MONDAY - day * DAY + hour * HOUR for day in range(1, 6) for hour in range(9, 17)]
    assert not judged(heard(*days), MONDAY + 9 * HOUR).silent
    assert judged(heard(*days), MONDAY + 13 * HOUR).silent


def test_one_campaign_and_one_outage_change_nothing_about_what_is_usual() -> None:
    history = [
        Heard(500 if hour.first_at >= MONDAY - timedelta(weeks=1) else hour.number, hour.first_at, hour.last_at)
        for hour in office(6)
        if not MONDAY - timedelta(weeks=3) <= hour.first_at < MONDAY - timedelta(weeks=2)
    ]
    assert not judged(history, MONDAY + 11 * HOUR).silent
    assert judged(history, MONDAY + 13 * HOUR).silent


def test_of_a_rare_source_whole_days_are_taken_together() -> None:
    history = heard(*(MONDAY - day * DAY + (day * 7 % 11) * HOUR for day in range(1, 50)))
    assert not judged(history, MONDAY + 2 * DAY).silent
    assert judged(history, MONDAY + 4 * DAY).silent


@given(st.lists(st.integers(0, 50 * 24 * 60), min_size=5, max_size=60), st.integers(0, 60 * 24 * 60))
def test_who_is_silent_stays_so_until_something_comes(minutes: list[int], later: int) -> None:
    history = heard(*{MONDAY - timedelta(minutes=ago) for ago in minutes})
    gap = timedelta(minutes=later)
    before, after = rhythm(history, MONDAY), rhythm([*history, Heard(1, MONDAY + gap, MONDAY + gap)], MONDAY + gap)
    assert after is None or not after.silent
    assert before is None or before.usual_gap >= timedelta()
