"""
Quiet hours: when may we write to somebody whose clock we may not know?

The hours of `mail` are asked by the clock of the person's own place. What is known of that place (a time zone they
gave, their country, the country of their phone) leaves one zone or several; then a moment is allowed when it is allowed
in each of them. A journey that names a zone in its hours means that clock for everybody.

Pure: `now` and the person come in, moments go out, in UTC.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

from schema import zones as places
from schema.hours import Hours, hours

if TYPE_CHECKING:
    from schema.journey.campaign import Mail
    from schema.journey.parts import Calendar

NextAllowed = Callable[[datetime], datetime | None]
"""The first moment from the given one on that is allowed, itself included; None where there is none."""
ZONE_NAMES: Final = ("tz", "timezone", "time_zone")
"""What the answer is called in which people give their time zone (`person.preferences` or `person.custom`)."""
_HORIZON: Final = timedelta(days=366)
"""How far ahead is looked for a moment that suits several zones."""


@cache
def _known() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


@lru_cache(maxsize=4096)
def zones(country: str | None, phone_region: str | None, tz: str | None) -> tuple[str, ...]:
    """
    The time zones somebody may be in, in order; empty where nothing is known.

    A zone that they gave counts alone. Else all of their country, and those of their phone's country where that is
    another: they may be in either. What does not exist says nothing.
    """
    if tz and tz in _known():
        return (tz,)
    table = places.by_country()
    found = {*table.get((country or "").upper(), ()), *table.get((phone_region or "").upper(), ())}
    return tuple(sorted(found))


def whereabouts(person: Mapping[str, Any]) -> tuple[str, ...]:
    """The same for a person as facts have it: `country`, `phone`, and a zone in `preferences` or `custom`."""
    country, phone = person.get("country"), person.get("phone")
    return zones(
        country if isinstance(country, str) else None,
        _region(phone) if isinstance(phone, str) else None,
        _given(person),
    )


def _given(person: Mapping[str, Any]) -> str | None:
    for group in ("preferences", "custom"):
        answers = person.get(group) or {}
        for name in ZONE_NAMES:
            value = answers.get(name)
            if isinstance(value, str) and value in _known():
                return value
    return None


@lru_cache(maxsize=4096)
def _region(phone: str) -> str | None:
    """The country of a number in E.164; None where it is not one, or belongs to several."""
    import phonenumbers  # noqa: PLC0415 - its tables take a while to read

    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(phone))
    except phonenumbers.NumberParseException:
        return None


def window(mail: Mail, whose: Iterable[str], calendars: Mapping[str, Calendar] | None = None) -> NextAllowed:
    """
    When campaigns may write to somebody who is in one of the zones `whose` (see `zones`).

    `calendars` are the journey's, which `mail` may name one of. Where nothing is known of somebody, the zones that
    `mail.assume` names are taken, else all there are. Without hours every moment is allowed.
    """
    calendar = mail.hours or (calendars or {}).get(mail.calendar or "")
    if calendar is None:
        return _at_once
    if "tz" in calendar.model_fields_set:
        return _common(calendar, (calendar.tz,))
    return _common(calendar, tuple(sorted({*whose})) or tuple(sorted({*mail.assume})) or places.everywhere())


def _at_once(at: datetime) -> datetime:
    return at.astimezone(UTC)


def _common(calendar: Calendar, whose: tuple[str, ...]) -> NextAllowed:
    clocks = _clocks(tuple(hours(calendar, zone) for zone in whose))
    return lambda at: _next(clocks, at)


def _clocks(found: tuple[Hours, ...]) -> tuple[Hours, ...]:
    """Each clock once."""
    return tuple(dict.fromkeys(found))


def _next(clocks: tuple[Hours, ...], at: datetime) -> datetime | None:
    """The first moment from `at` on at which all are open: whoever is closed puts it off, until nobody does."""
    last = at + _HORIZON
    moment, agreed, turn = at.astimezone(UTC), 0, 0
    while agreed < len(clocks):
        found = clocks[turn].next_open(moment)
        if found is None or found > last:
            return None
        agreed = agreed + 1 if found == moment else 1
        moment = found
        turn = (turn + 1) % len(clocks)
    return moment
