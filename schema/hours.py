"""
Working time: what a `Calendar` of the journey means in moments, and arithmetic with it.

A time is open when the clock on the wall of the calendar's zone says so. Hence a time of day that is skipped when
clocks go forward does not happen, a shift that begins in it begins with the first minute there is, and an hour that
comes twice when they go back counts twice, because it is worked twice. What is counted is time that really passes.

A shift belongs to the day on which it begins: a holiday closes the shifts that begin on it, and the night shift of the
day before runs to its end. Of several keys that name a day the one that names the fewest days counts, of equal ones the
later: `fri: '09:00-15:00'` goes before `mon-fri: '09:00-18:00'`.

Pure and exact. Time is cut into weeks; the open spans of a week are computed once, and where neither a holiday nor a
change of the clocks falls into it they are those of any other week.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from schema.journey.parts import Calendar

HORIZON_WEEKS: Final = 522
"""How far ahead is looked for a moment, ten years: what is not open until then counts as never open."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_WEEK: Final = 7 * _DAY
_FIRST_WEEK: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND // _WEEK + 2
_LAST_WEEK: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND // _WEEK - 2
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MOST_WEEKS: Final = 2_000
_EPOCH_DAY: Final = _EPOCH.toordinal()

Spans = tuple[tuple[int, int], ...]
"""From and to, in microseconds, in order and apart from each other."""


class _Week(NamedTuple):
    """What is open in one week: when it opens and closes, in microseconds since the epoch, and how long together."""

    opens: tuple[int, ...]
    closes: tuple[int, ...]
    total: int


def hours(calendar: Calendar, tz: str | None = None) -> Hours:
    """
    The working time that a calendar means; the same object for the same calendar.

    `tz` is the zone of whose calendar it is, for one that names none itself.
    """
    zone = calendar.tz if tz is None or "tz" in calendar.model_fields_set else tz
    days = tuple((calendar.__pydantic_extra__ or {}).items())
    return _compiled(zone, days, calendar.holidays)


def day_ends(zone: str, at: datetime) -> datetime:
    """When the day ends on the wall clock of a zone: the first moment of the next one, in UTC."""
    tomorrow = at.astimezone(ZoneInfo(zone)).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), ZoneInfo(zone)).astimezone(UTC)


@lru_cache(maxsize=4096)
def _compiled(zone: str, days: tuple[tuple[str, str], ...], holidays: tuple[str, ...]) -> Hours:
    return Hours(zone, _shifts(days), holidays)


def _shifts(days: tuple[tuple[str, str], ...]) -> tuple[Spans, ...]:
    """For each day of the week, from Monday, its shifts in microseconds from midnight; they may end on the next day."""
    named = [(_named(key), text) for key, text in days]
    found: dict[int, Spans] = {}
    for numbers, text in sorted(named, key=lambda entry: -len(entry[0])):
        shifts = tuple(_shift(span.strip()) for span in text.split(","))
        found |= dict.fromkeys(numbers, shifts)
    return tuple(found.get(day, ()) for day in range(7))


def _named(key: str) -> list[int]:
    """`mon-fri` as [0, 1, 2, 3, 4]; `sat-mon` goes over the weekend."""
    first, _, last = key.partition("-")
    start, end = _DAYS.index(first), _DAYS.index(last or first)
    return [day % 7 for day in range(start, end + 1 if end >= start else end + 8)]


def _shift(span: str) -> tuple[int, int]:
    start, end = (int(time[:2]) * 60 + int(time[3:]) for time in span.split("-"))
    minute = 60 * _SECOND
    return start * minute, end * minute if end > start else end * minute + _DAY


class Hours:
    """
    Working time in one zone; made by `hours`. Moments come in with any zone and go out in UTC.

    `shifts` are, for each day of the week from Monday, those that begin on it; `holidays` days as `2026-12-24`, and
    countries or regions as `DE` or `DE-BY`.
    """

    def __init__(self, zone: str, shifts: tuple[Spans, ...], holidays: tuple[str, ...] = ()) -> None:
        self._zone = ZoneInfo(zone)
        self._shifts = shifts
        self._dates = {date.fromisoformat(name) for name in holidays if name[:1].isdigit()}
        self._places = tuple(name for name in holidays if not name[:1].isdigit())
        self._weeks: dict[int, _Week] = {}
        self._usual: dict[int, _Week] = {}

    def is_open(self, at: datetime) -> bool:
        """Whether `at` is working time. The moment of opening is, the moment of closing is not."""
        moment = _number(at)
        week = self._week(moment // _WEEK)
        place = bisect_right(week.opens, moment) - 1
        return place >= 0 and moment < week.closes[place]

    def next_open(self, at: datetime) -> datetime | None:
        """The first moment of working time from `at` on, `at` itself included; None where there is none."""
        moment = _number(at)
        found = next(self._spans(moment), None)
        return None if found is None else _moment(max(moment, found[0]))

    def next_close(self, at: datetime) -> datetime | None:
        """The first moment from `at` on that is not working time; None where it never closes."""
        moment = _number(at)
        last = moment + HORIZON_WEEKS * _WEEK
        for start, end in self._spans(moment):
            if start > moment:
                break
            moment = end
        return None if moment >= last else _moment(moment)

    def add(self, start: datetime, worked: timedelta) -> datetime | None:
        """
        The earliest moment at which so much working time has passed since `start`; None where it never does.

        :raises ValueError: `worked` is negative
        """
        left = worked // _MICROSECOND
        if left < 0:
            raise ValueError("working time only goes forward")
        moment = _number(start)
        if not left:
            return _moment(moment)
        for opens, closes in self._spans(moment):
            begins = max(moment, opens)
            if closes - begins >= left:
                return _moment(begins + left)
            left -= closes - begins
        return None

    def worked(self, start: datetime, end: datetime) -> timedelta:
        """How much working time lies between two moments; none where `end` is not after `start`."""
        first, last = _number(start), _number(end)
        if last <= first:
            return timedelta()
        total = 0
        for number in range(first // _WEEK, last // _WEEK + 1):
            week = self._week(number)
            if first <= number * _WEEK and (number + 1) * _WEEK <= last:
                total += week.total
            else:
                spans = zip(week.opens, week.closes, strict=True)
                total += sum(max(0, min(closes, last) - max(opens, first)) for opens, closes in spans)
        return total * _MICROSECOND

    def _spans(self, moment: int) -> Iterator[tuple[int, int]]:
        """What is open from the moment on, in order, within the horizon; a span may go on where one ends."""
        if not any(self._shifts):
            return
        first = moment // _WEEK
        for number in range(first, first + HORIZON_WEEKS + 1):
            week = self._week(number)
            for opens, closes in zip(week.opens, week.closes, strict=True):
                if closes > moment:
                    yield opens, closes

    def _week(self, number: int) -> _Week:
        found = self._weeks.get(number)
        if found is None:
            if len(self._weeks) >= _MOST_WEEKS:
                self._weeks.clear()
            found = self._weeks[number] = self._compute(number)
        return found

    def _compute(self, number: int) -> _Week:
        if not _FIRST_WEEK <= number <= _LAST_WEEK:
            return _Week((), (), 0)  # before or after all that a calendar knows
        start = number * _WEEK
        offsets = self._offsets(start - 3 * _DAY, start + _WEEK + 3 * _DAY)
        days = [start // _DAY + day for day in range(-3, 9)]
        open_days = [day for day in days if not self._is_holiday(day)]
        if len(offsets) > 1 or len(open_days) < len(days):
            return self._cut(start, open_days, offsets)
        offset = offsets[0][2]
        if offset not in self._usual:
            self._usual[offset] = _moved(self._cut(start, open_days, offsets), -start)
        return _moved(self._usual[offset], start)

    def _cut(self, start: int, days: list[int], offsets: list[tuple[int, int, int]]) -> _Week:
        """The open spans of the week from `start`: each shift wherever its wall-clock times exist, cut to the week."""
        spans = []
        for day in days:
            for opens, closes in self._shifts[(day + 3) % 7]:  # the epoch was a Thursday
                for begins, ends, offset in offsets:
                    first = max(day * _DAY + opens - offset, begins, start)
                    last = min(day * _DAY + closes - offset, ends, start + _WEEK)
                    if first < last:
                        spans.append((first, last))
        return _united(spans)

    def _offsets(self, start: int, end: int) -> list[tuple[int, int, int]]:
        """From, to and the zone's offset, one entry for each stretch in which the clocks are not changed."""
        found = []
        begins, offset = start, self._offset(start)
        for probe in range(start + _DAY // 2, end + _DAY // 2, _DAY // 2):
            if self._offset(probe) != offset:
                change = self._change(probe - _DAY // 2, probe)
                found.append((begins, change, offset))
                begins, offset = change, self._offset(probe)
        return [*found, (begins, end, offset)]

    def _change(self, before: int, after: int) -> int:
        """The moment between the two at which the clocks are changed; they are within half a day of each other."""
        old = self._offset(before)
        while after - before > _SECOND:
            middle = (before + after) // (2 * _SECOND) * _SECOND
            before, after = (middle, after) if self._offset(middle) == old else (before, middle)
        return after

    def _offset(self, moment: int) -> int:
        shown = _moment(moment).astimezone(self._zone)
        return (shown.utcoffset() or timedelta()) // _MICROSECOND

    def _is_holiday(self, day: int) -> bool:
        if not self._dates and not self._places:
            return False
        shown = date.fromordinal(_EPOCH_DAY + day)
        return shown in self._dates or any(shown in _public(place, shown.year) for place in self._places)


@lru_cache(maxsize=512)
def _public(place: str, year: int) -> frozenset[date]:
    """The public holidays of a country or region in one year, with the days on which they are observed instead."""
    import holidays  # noqa: PLC0415 - only a calendar that names a country pays for its table

    country, _, region = place.partition("-")
    return frozenset(holidays.country_holidays(country, subdiv=region or None, years=year))


def _united(spans: list[tuple[int, int]]) -> _Week:
    """Spans in order, those that touch or overlap as one."""
    opens: list[int] = []
    closes: list[int] = []
    for first, last in sorted(spans):
        if closes and first <= closes[-1]:
            closes[-1] = max(closes[-1], last)
        else:
            opens.append(first)
            closes.append(last)
    return _Week(tuple(opens), tuple(closes), sum(closes) - sum(opens))


def _moved(week: _Week, by: int) -> _Week:
    return _Week(tuple(at + by for at in week.opens), tuple(at + by for at in week.closes), week.total)


def _number(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _moment(number: int) -> datetime:
    return _EPOCH + number * _MICROSECOND
