"""Nobody is written to outside the hours, whatever their clock shows and however little is known of their place."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema import zones as places
from schema.journey.campaign import Mail
from schema.journey.parts import Calendar
from schema.quiet import whereabouts, window, zones

IANA = sorted(zoneinfo.available_timezones())
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
START = datetime(2024, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(0, 8 * 366 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))


def mail(**more: object) -> Mail:
    return Mail.model_validate({"sender": "Ana <ana@example.com>", **more})


def office(**more: object) -> Mail:
    return mail(hours={"mon-fri": "09:00-18:00"}, **more)


def on_the_wall(at: datetime, zone: str) -> tuple[str, str]:
    shown = at.astimezone(zoneinfo.ZoneInfo(zone))
    return DAYS[shown.weekday()], shown.strftime("%H:%M")


def test_a_zone_somebody_gave_counts_alone() -> None:
    assert zones("US", "DE", "Asia/Tokyo") == ("Asia/Tokyo",)
    assert whereabouts({"country": "US", "custom": {"timezone": "Asia/Tokyo"}}) == ("Asia/Tokyo",)
    assert whereabouts({"preferences": {"tz": "Europe/Rome"}, "custom": {"tz": "Asia/Tokyo"}}) == ("Europe/Rome",)


def test_a_zone_that_does_not_exist_says_nothing() -> None:
    assert zones("DE", None, "Europe/Berlln") == ("Europe/Berlin",)
    assert whereabouts({"custom": {"tz": 5, "time_zone": "../etc/passwd"}}) == ()


def test_somebody_may_be_where_they_live_or_where_their_phone_is_from() -> None:
    assert zones("DE", "PT", None) == ("Atlantic/Azores", "Europe/Berlin", "Europe/Lisbon")
    assert whereabouts({"country": "DE", "phone": "+351 912 345 678"}) == zones("DE", "PT", None)
    assert whereabouts({"phone": "no number"}) == zones(None, None, None) == ()


def test_every_country_there_are_numbers_of_has_zones_that_exist() -> None:
    assert set(phonenumbers.SUPPORTED_REGIONS) - places.by_country().keys() <= {"AC", "TA", "XK"}
    assert {zone for found in places.by_country().values() for zone in found} <= set(IANA)
    assert set(places.everywhere()) <= set(IANA)


def test_without_hours_everybody_is_written_to_at_once() -> None:
    at = datetime(2026, 1, 4, 3, tzinfo=UTC)
    assert window(mail(), ("Asia/Tokyo",))(at) == at


def test_who_may_be_in_several_places_is_written_to_when_it_is_day_in_all_of_them() -> None:
    friday_evening = datetime(2026, 1, 9, 23, 30, tzinfo=UTC)
    found = window(office(), zones("US", None, None))(friday_evening)
    assert found == datetime(2026, 1, 12, 19, tzinfo=UTC)  # 9:00 in Honolulu, 14:00 in New York


def test_of_whose_place_nothing_is_known_is_written_to_by_the_zones_to_assume() -> None:
    sunday = datetime(2026, 1, 4, 3, tzinfo=UTC)
    assert window(office(assume="Europe/Berlin"), ())(sunday) == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert window(office(), ())(sunday) is None


def test_hours_with_a_zone_mean_that_clock_for_everybody() -> None:
    berlin = mail(hours={"tz": "Europe/Berlin", "mon-fri": "09:00-18:00"})
    sunday = datetime(2026, 1, 4, 3, tzinfo=UTC)
    assert window(berlin, ("Asia/Tokyo",))(sunday) == datetime(2026, 1, 5, 8, tzinfo=UTC)


def test_hours_may_be_one_of_the_calendars() -> None:
    shared = Calendar.model_validate({"mon": "10:00-11:00"})
    found = window(mail(calendar="short"), ("UTC",), {"short": shared})(datetime(2026, 1, 6, tzinfo=UTC))
    assert found == datetime(2026, 1, 12, 10, tzinfo=UTC)


@pytest.mark.parametrize("region", sorted({zone.partition("/")[0] for zone in IANA}))
def test_in_every_zone_it_is_day_on_the_wall_when_we_write(region: str) -> None:
    """Around every change of the clocks of a leap year, and on its leap day."""
    for zone in (zone for zone in IANA if zone.partition("/")[0] == region):
        allowed = window(office(), (zone,))
        starts = [datetime(2028, 2, 27, 7, 31, tzinfo=UTC) + timedelta(hours=19 * step) for step in range(8)]
        for at in [*starts, *_changes(zone)]:
            found = allowed(at)
            assert found is not None
            day, time = on_the_wall(found, zone)
            assert day in DAYS[:5], zone
            assert "09:00" <= time < "18:00", zone
            assert at <= found <= at + timedelta(days=4)
            assert allowed(found) == found


def _changes(zone: str) -> list[datetime]:
    clock = zoneinfo.ZoneInfo(zone)
    days = [datetime(2028, 1, 1, tzinfo=UTC) + timedelta(days=step) for step in range(366)]
    offsets = [at.astimezone(clock).utcoffset() for at in days]
    return [
        days[step] + timedelta(hours=more)
        for step in range(1, len(days))
        if offsets[step] != offsets[step - 1]
        for more in range(-26, 26, 5)
    ]


@settings(max_examples=200, deadline=None)
@given(MOMENTS, st.lists(st.sampled_from(IANA), min_size=1, max_size=4), st.integers(1, 23))
def test_no_moment_before_the_one_found_was_allowed_everywhere(at: datetime, whose: list[str], length: int) -> None:
    told = mail(hours={"mon-sun": f"00:30-{length:02}:30"})
    found = window(told, whose)(at)
    each = [window(told, (zone,)) for zone in whose]
    if found is None:
        found = at + timedelta(days=2)
    else:
        assert all(allowed(found) == found for allowed in each)
    moment = at
    while moment < min(found, at + timedelta(days=2)):
        assert any(allowed(moment) != moment for allowed in each)
        moment += timedelta(minutes=17)
