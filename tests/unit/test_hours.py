"""Working time: what a calendar of the journey means, in every zone and on the days when clocks are changed."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from schema.hours import Hours, hours
from schema.journey.parts import Calendar

MINUTE = timedelta(minutes=1)
BERLIN = {"tz": "Europe/Berlin", "mon-fri": "09:00-12:00, 13:00-18:00"}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ZONES = sorted(zoneinfo.available_timezones())
TIMES = st.integers(0, 95).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")
SPANS = st.lists(st.tuples(TIMES, TIMES).filter(lambda span: span[0] != span[1]), min_size=1, max_size=3)
WEEKS = st.dictionaries(st.sampled_from(DAYS), SPANS, max_size=7)
YEARS = st.datetimes(datetime(2024, 1, 1), datetime(2031, 1, 1)).map(  # noqa: DTZ001 - the zone is added
    lambda moment: moment.replace(second=0, microsecond=0, tzinfo=UTC)
)


def compiled(**written: object) -> Hours:
    return hours(Calendar.model_validate(written))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def minutes(time: str) -> int:
    return int(time[:2]) * 60 + int(time[3:])


def on_the_wall(week: dict[str, list[tuple[str, str]]], closed: set[date], local: datetime) -> bool:
    """Whether a shift of this day, or one of the day before that goes on over midnight, shows on the wall clock."""
    now = local.hour * 60 + local.minute
    for back in (0, 1):
        day = local.date() - timedelta(days=back)
        if day in closed:
            continue
        for start, end in week.get(DAYS[day.weekday()], ()):
            last = minutes(end) + (1440 if minutes(end) <= minutes(start) else 0)
            if minutes(start) <= now + back * 1440 < last:
                return True
    return False


def calendar(zone: str, week: dict[str, list[tuple[str, str]]], closed: set[date]) -> Hours:
    written = {day: ", ".join(f"{start}-{end}" for start, end in spans) for day, spans in week.items()}
    return compiled(tz=zone, holidays=[day.isoformat() for day in closed], **written)


def changes(zone: str, year: int) -> list[datetime]:
    """The days of a year on which the zone's clocks are changed."""
    tz, start = ZoneInfo(zone), datetime(year, 1, 1, tzinfo=UTC)

    def changed(day: int, until: int) -> bool:
        shown = [(start + timedelta(days=at)).astimezone(tz).utcoffset() for at in (day, until)]
        return shown[0] != shown[1]

    weeks = [day for day in range(0, 364, 7) if changed(day, day + 7)]
    return [start + timedelta(days=day) for week in weeks for day in range(week, week + 7) if changed(day, day + 1)]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ZONES), WEEKS, YEARS, st.sets(st.integers(-1, 3), max_size=2), st.integers(1, 60))
@example("Europe/Berlin", {"sun": [("01:00", "04:00")]}, utc("2026-03-28 20:00"), set(), 20)
@example("Europe/Berlin", {"sun": [("02:15", "02:45")]}, utc("2026-10-24 20:00"), set(), 20)
@example("Australia/Lord_Howe", {"sun": [("01:30", "02:15")]}, utc("2026-04-04 00:00"), set(), 40)
@example("Pacific/Chatham", {"sat": [("22:00", "06:00")]}, utc("2028-02-28 00:00"), set(), 60)
def test_working_time_is_what_the_wall_clock_says_minute_by_minute(
    zone: str, week: dict[str, list[tuple[str, str]]], start: datetime, off: set[int], span: int
) -> None:
    closed = {start.date() + timedelta(days=day) for day in off}
    found, tz = calendar(zone, week, closed), ZoneInfo(zone)

    counted = 0
    for minute in range(span * 60):
        at = start + minute * MINUTE
        expected = on_the_wall(week, closed, at.astimezone(tz))
        assert found.is_open(at) == expected, at
        counted += expected

    assert found.worked(start, start + timedelta(hours=span)) == counted * MINUTE


def test_in_no_zone_of_the_world_is_a_minute_lost_or_invented_when_clocks_change() -> None:
    week = {day: [("00:30", "02:45"), ("23:00", "00:15")] for day in DAYS}
    for zone in ZONES:
        found, tz = calendar(zone, week, set()), ZoneInfo(zone)
        for start in changes(zone, 2026):
            moments = [start + 15 * quarter * MINUTE for quarter in range(120)]
            shown = [on_the_wall(week, set(), at.astimezone(tz)) for at in moments]
            assert [found.is_open(at) for at in moments] == shown, zone
            assert found.worked(start, start + timedelta(hours=30)) == 15 * MINUTE * sum(shown), zone


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ZONES), WEEKS, YEARS, st.integers(1, 5000))
def test_a_moment_is_found_by_the_time_worked_until_then(
    zone: str, week: dict[str, list[tuple[str, str]]], start: datetime, minutes_worked: int
) -> None:
    assume(week)
    found, worked = calendar(zone, week, set()), minutes_worked * MINUTE

    end = found.add(start, worked)

    assert end is not None
    assert found.worked(start, end) == worked
    assert found.worked(start, end - timedelta(microseconds=1)) < worked


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(ZONES), WEEKS, YEARS, YEARS, YEARS, st.integers(0, 2000))
def test_more_time_is_never_less_working_time(
    zone: str, week: dict[str, list[tuple[str, str]]], first: datetime, second: datetime, third: datetime, extra: int
) -> None:
    found = calendar(zone, week, set())
    start, middle, end = sorted((first, second, third))

    assert found.worked(start, middle) + found.worked(middle, end) == found.worked(start, end)
    sooner, later = found.add(start, extra * MINUTE), found.add(middle, extra * MINUTE)
    if sooner is not None and later is not None:
        assert sooner <= later


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(ZONES), WEEKS, YEARS)
def test_what_opens_next_is_open_and_nothing_before_it_is(
    zone: str, week: dict[str, list[tuple[str, str]]], start: datetime
) -> None:
    found = calendar(zone, week, set())

    opens, closes = found.next_open(start), found.next_close(start)

    assert (opens is None) == (not week)
    if opens is not None:
        assert found.is_open(opens)
        assert found.worked(start, opens) == timedelta()
    if closes is not None:
        assert not found.is_open(closes)
        assert found.worked(start, closes) == closes - start


def test_lunch_and_night_and_the_weekend_are_not_worked() -> None:
    office = compiled(**BERLIN)
    friday = utc("2026-11-20 16:30")  # 17:30 in Berlin

    assert office.worked(friday, utc("2026-11-23 09:00")) == timedelta(hours=1, minutes=30)
    assert office.add(friday, timedelta(hours=4)) == utc("2026-11-23 12:30")  # 30 minutes, three hours, half an hour
    assert office.next_open(utc("2026-11-21 00:00")) == utc("2026-11-23 08:00")
    assert office.next_close(utc("2026-11-23 08:00")) == utc("2026-11-23 11:00")


def test_a_holiday_closes_the_shifts_that_begin_on_it_and_no_others() -> None:
    night = compiled(**{"tz": "Europe/Berlin", "mon-sun": "22:00-06:00", "holidays": ["2026-12-25"]})
    assert night.is_open(utc("2026-12-25 03:00"))
    assert not night.is_open(utc("2026-12-25 22:30"))
    assert not night.is_open(utc("2026-12-26 03:00"))


def test_a_country_and_its_region_have_their_own_holidays() -> None:
    corpus_christi = utc("2026-06-04 09:00")
    assert compiled(**BERLIN, holidays="DE").is_open(corpus_christi)
    assert not compiled(**BERLIN, holidays="DE-BY").is_open(corpus_christi)


def test_a_day_by_itself_goes_before_the_days_it_is_among() -> None:
    for written in ({"fri": "09:00-15:00", "mon-fri": "09:00-18:00"}, {"mon-fri": "09:00-18:00", "fri": "09:00-15:00"}):
        office = compiled(**written)
        assert not office.is_open(utc("2026-11-20 16:00"))
        assert office.is_open(utc("2026-11-19 16:00"))


def test_a_year_of_nights_is_short_of_an_hour_in_march_and_has_one_more_in_october() -> None:
    night = compiled(tz="Europe/Berlin", sun="01:00-04:00")
    weeks = [utc("2026-01-05 00:00") + timedelta(days=7 * week) for week in range(51)]
    worked = [night.worked(week, week + timedelta(days=7)) for week in weeks]
    assert {str(week.date()): int(time / timedelta(hours=1)) for week, time in zip(weeks, worked, strict=True)
            if time != timedelta(hours=3)} == {"2026-03-23": 2, "2026-10-19": 4}  # fmt: skip


def test_days_may_go_over_the_weekend() -> None:
    rota = compiled(**{"sat-mon": "10:00-12:00"})
    assert [rota.is_open(utc(f"2026-11-{day} 11:00")) for day in (20, 21, 22, 23, 24)] == [
        False, True, True, True, False,
    ]  # fmt: skip


def test_a_calendar_without_a_zone_is_told_in_that_of_its_owner() -> None:
    written = Calendar.model_validate({"mon-fri": "09:00-17:00"})
    assert hours(written, "America/New_York").next_open(utc("2026-11-20 00:00")) == utc("2026-11-20 14:00")
    named = Calendar.model_validate({"tz": "UTC", "mon-fri": "09:00-17:00"})
    assert hours(named, "America/New_York").next_open(utc("2026-11-20 00:00")) == utc("2026-11-20 09:00")


def test_what_never_opens_and_what_never_closes_has_no_moment() -> None:
    never, always = compiled(), compiled(**{"mon-sun": "00:00-24:00"})
    start = utc("2026-11-20 12:00")
    assert (never.next_open(start), never.add(start, MINUTE)) == (None, None)
    assert never.worked(start, utc("2030-01-01 00:00")) == timedelta()
    assert never.next_close(start) == start
    assert always.next_close(start) is None
    assert always.add(start, timedelta(days=400)) == start + timedelta(days=400)
    assert always.worked(start, start + timedelta(days=4000)) == timedelta(days=4000)


def test_time_before_and_after_all_calendars_is_answered_too() -> None:
    office = compiled(**BERLIN)
    assert not office.is_open(datetime.max.replace(tzinfo=UTC))
    assert office.next_open(datetime.max.replace(tzinfo=UTC)) is None
    assert not office.is_open(datetime.min.replace(tzinfo=UTC))


def test_working_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="forward"):
        compiled(**BERLIN).add(utc("2026-11-20 12:00"), -MINUTE)
