"""
Dates: when does a campaign begin that is tied to a day or a moment of somebody's own, as 30 days before a renewal?

A moment is counted from exactly. A day begins at midnight by the person's clock; where that is one of several, when it
has begun in all of them. Whole days before and after it are days of the calendar, whatever the clocks do in between.
"""

from __future__ import annotations

from calendar import isleap
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from schema.facts import Facts
from schema.journey.campaign import Enter
from schema.quiet import whereabouts

_ROOTS: Final = frozenset({"person", "company", "lead"})
_LONGEST: Final = 40
_LEAP_DAY: Final = (2, 29)
_Date = TypeVar("_Date", date, datetime)
_SAFE_YEARS: Final = range(2, 9999)


class Due(NamedTuple):
    """The latest moment that has come and is not too long ago, and the next one ahead; each where there is one."""

    reached: datetime | None = None
    ahead: datetime | None = None


def due(facts: Facts, way: Enter, now: datetime) -> Due:
    """When a way in by `date` is due for this lead; nothing where the field is missing or is no date."""
    value = _date(_value(facts, way.date or ""))
    if value is None:
        return Due()
    moments = sorted(_moments(value, way, whereabouts(facts.person), now))
    reached = [moment for moment in moments if moment <= now < moment + way.late]
    ahead = [moment for moment in moments if moment > now]
    return Due(max(reached, default=None), min(ahead, default=None))


def _value(facts: Facts, path: str) -> Any:  # noqa: ANN401 - any plain value of a lead
    root, *names = path.split(".")
    value: Any = getattr(facts, root) if root in _ROOTS else None
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _date(value: object) -> date | datetime | None:
    """A day or a moment as ISO 8601 writes it; None for anything else, and for years nobody lives in."""
    if isinstance(value, str):
        value = _read(value.strip()) if len(value) <= _LONGEST else None
    return value if isinstance(value, date) and value.year in _SAFE_YEARS else None


@lru_cache(maxsize=4096)
def _read(text: str) -> date | datetime | None:
    for kind in (date, datetime):
        try:
            return kind.fromisoformat(text)
        except ValueError:
            continue
    return None


def _moments(value: date | datetime, way: Enter, zones: tuple[str, ...], now: datetime) -> list[datetime]:
    """The moments at which the way is due; of a yearly one those around now."""
    shift = (way.after or timedelta()) - (way.before or timedelta())
    if not way.yearly:
        return [found for found in [_shifted(value, shift, zones)] if found]
    # A shift of several years makes no other moments than what is left of it, so this looks far enough either way.
    reach = abs(shift).days // 365 + 2
    years = range(max(value.year, now.year - reach), now.year + reach + 1)
    return [found for year in years if (found := _shifted(_in_year(value, year), shift, zones))]


def _in_year(value: _Date, year: int) -> _Date:
    if (value.month, value.day) == _LEAP_DAY and not isleap(year):
        return value.replace(year=year, day=28)
    return value.replace(year=year)


def _shifted(value: date | datetime, shift: timedelta, zones: tuple[str, ...]) -> datetime | None:
    """`value` and so much, in UTC; None where that is beyond what a calendar knows."""
    try:
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC) + shift
        days = timedelta(days=shift.days)
        begins = value + days if isinstance(value, datetime) else datetime.combine(value + days, time())
        moments = [begins.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for zone in zones or ("UTC",)]
        return max(moments) + (shift - days)
    except OverflowError:
        return None
