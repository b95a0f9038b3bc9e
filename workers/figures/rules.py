"""
Rules: what journeys say about counting: whose days are counted, and what working time is.

A version never changes, so neither does what is counted by it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from schema.hours import hours
from schema.store.journeys import Unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from schema.hours import Hours
    from schema.journey import Journey
    from schema.journey.parts import Calendar
    from schema.store.journeys import JourneyBook

QUARTER_MS: Final = 900_000
_PLAIN_SINCE: Final = 100_000_000_000
"""From 1973 on clocks differ from UTC by quarters of an hour, so that each of these lies in one day."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = datetime(2, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9998, 12, 31, tzinfo=UTC)
_FIRST_MS: Final = (_FIRST - _EPOCH) // timedelta(milliseconds=1)
_LAST_MS: Final = (_LAST - _EPOCH) // timedelta(milliseconds=1)


class Days:
    """The days of a time zone, as numbers (`date.toordinal`)."""

    def __init__(self, tz: str) -> None:
        self._zone = ZoneInfo(tz)
        self._known: dict[int, int] = {}

    def of(self, ms: int) -> int:
        """Return the day of a moment in milliseconds since 1970."""
        if ms < _PLAIN_SINCE:
            return self._day(ms)
        quarter = ms // QUARTER_MS
        day = self._known.get(quarter)
        if day is None:
            if len(self._known) > 200_000:  # noqa: PLR2004 - five years
                self._known.clear()
            day = self._known[quarter] = self._day(ms)
        return day

    def _day(self, ms: int) -> int:
        return moment(ms).astimezone(self._zone).toordinal()


class Rules:
    """What a version of a journey says about counting, with the working hours of its pools and desks."""

    def __init__(
        self, name: str, days: Days, pools: Mapping[str, Hours] | None = None, desks: Mapping[str, Hours] | None = None
    ) -> None:
        self.name = name
        self.day = days.of
        self._pools = pools or {}
        self._desks = desks or {}

    def worked_s(self, start: int, end: int, *, pool: str = "", desk: str = "") -> float | None:
        """Return the seconds of working time between two moments; None where nobody says what that is."""
        worked = self._desks.get(desk) if desk else self._pools.get(pool)
        return None if worked is None else worked.worked(moment(start), moment(end)).total_seconds()


class Rulebook(dict[str, Rules]):
    """
    The rules of journey versions; each is read once, when it is asked for, by the `connection` at work.

    One that the database does not have is counted under its own name, by days of UTC.

    Asking raises `Unreadable` for one that this code cannot read; another worker may.
    """

    def __init__(self, book: JourneyBook) -> None:
        super().__init__()
        self.connection: Connection | None = None
        self._book = book
        self._days: dict[str, Days] = {}

    def __missing__(self, version: str) -> Rules:
        if self.connection is None:
            raise KeyError(version)
        try:
            journey = self._book.version(self.connection, version)
        except Unreadable as error:
            if error.facts["reason"] != "unknown":
                raise
            self[version] = Rules(version, self._of("UTC"))
        else:
            self[version] = self._read(journey)
        return self[version]

    def _of(self, tz: str) -> Days:
        if tz not in self._days:
            self._days[tz] = Days(tz)
        return self._days[tz]

    def _read(self, journey: Journey) -> Rules:
        desks = journey.service.desks if journey.service else {}
        days = self._of(journey.kpis.tz)
        return Rules(journey.name, days, _hours(journey, journey.route.pools), _hours(journey, desks))


def _hours(journey: Journey, places: Mapping[str, object]) -> dict[str, Hours]:
    found: dict[str, Hours] = {}
    for name, place in places.items():
        named: str | None = getattr(place, "calendar", None)
        calendar: Calendar | None = journey.calendars[named] if named else getattr(place, "hours", None)
        if calendar is not None:
            found[name] = hours(calendar)
    return found


def moment(ms: int) -> datetime:
    """Return a moment in milliseconds since 1970 as a time in UTC, within what calendars can say."""
    return _EPOCH + timedelta(milliseconds=min(max(ms, _FIRST_MS), _LAST_MS))


def milliseconds(at: datetime) -> int:
    """Return a moment in milliseconds since 1970; without a zone it is read as UTC."""
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)
