"""
Contract: which days does a term have, when is its renewal talked about, and what becomes of it at its end?

A term is whole days where the contract is: its first day, its last day, and a time zone that says when they begin.
Months are those of the calendar, counted from the first day of the first term: what began on 31 January goes on, month
by month, on the last day of February and on 31 March again; a year from 29 February ends before 28 February, and the
fourth one begins on the 29th again. Pure.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schema.contract import Told

DAY: Final = timedelta(days=1)
_PERIOD: Final = re.compile(r"P(\d+)([MD])\Z")
_LAST_YEAR: Final = 2300


class Term(NamedTuple):
    """One term of a contract. `anchor_on` is the first day of its first term, from which months are counted."""

    starts_on: date
    ends_on: date
    tz: str
    anchor_on: date
    period: str | None = None
    renews_itself: bool = False

    @property
    def begins_at(self) -> datetime:
        """When its first day begins, in UTC."""
        return day_begins(self.starts_on, self.tz)

    @property
    def over_at(self) -> datetime:
        """When its last day is over, in UTC."""
        return day_begins(self.ends_on + DAY, self.tz)


class Reminder(NamedTuple):
    """A renewal that is to be talked about: so long before the end, or already less if moments were missed."""

    before: timedelta
    due_at: datetime
    missed: tuple[timedelta, ...] = ()


class Course(NamedTuple):
    """
    What is to be done about a term now, and when it wants to be looked at again.

    `told` are the moments that count as told from now on.
    """

    reminder: Reminder | None = None
    outcome: Literal["renewed", "ended"] | None = None
    told: tuple[timedelta, ...] = ()
    again_at: datetime | None = None


def day_begins(day: date, tz: str) -> datetime:
    """
    The first moment of a day in a time zone, in UTC.

    Where the clocks skip midnight, that is when they are put forward; where they have it twice, the first one.
    """
    return datetime.combine(day, time(), ZoneInfo(tz)).astimezone(UTC)


def day_of(value: date | datetime, tz: str) -> date:
    """The day that a day or moment is on, in a time zone."""
    return value.astimezone(ZoneInfo(tz)).date() if isinstance(value, datetime) else value


def last_day_before(value: date | datetime, tz: str) -> date:
    """The last day of what is over by then: the day before one that begins at that moment."""
    if isinstance(value, datetime):
        return (value - timedelta(microseconds=1)).astimezone(ZoneInfo(tz)).date()
    return value - DAY


def after(anchor: date, start: date, period: str) -> date:
    """
    The day on which the term after the one that began on `start` begins.

    Months are counted from `anchor`, whose day is kept where the month has it, else the month's last day is taken.
    :raises ValueError: that is beyond what a calendar should have to know, or the period is none
    """
    found = _PERIOD.match(period)
    if found is None:
        raise ValueError(period)
    number = int(found[1])
    try:
        if found[2] == "D":
            following = start + timedelta(days=number)
        else:
            months = (start.year - anchor.year) * 12 + start.month - anchor.month + number
            year, month = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
            following = date(year, month + 1, min(anchor.day, monthrange(year, month + 1)[1]))
    except OverflowError as error:
        raise ValueError(period) from error
    if following.year > _LAST_YEAR or following <= start:
        raise ValueError(period)
    return following


def period_of(starts_on: date, ends_on: date) -> str:
    """The period of a term that is only known by its days: whole months where it has them, else days."""
    over = ends_on + DAY
    months = (over.year - starts_on.year) * 12 + over.month - starts_on.month
    if months and after(starts_on, starts_on, f"P{months}M") == over:
        return f"P{months}M"
    return f"P{(over - starts_on).days}D"


def first_term(told: Told, tz: str, today: date) -> Term | None:
    """The term that an arrival or a person tells of, as far as it can be made out; None where its end cannot."""
    starts_on = day_of(told.starts, tz) if told.starts else None
    ends_on = last_day(told, tz)
    if starts_on is None:
        starts_on = min(today, ends_on) if ends_on else today
    if ends_on is None:
        if told.period is None:
            return None
        try:
            ends_on = after(starts_on, starts_on, told.period) - DAY
        except ValueError:
            return None
    if ends_on < starts_on:
        return None
    length = told.period or period_of(starts_on, ends_on)
    return Term(starts_on, ends_on, tz, starts_on, length, bool(told.renews_itself))


def last_day(told: Told, tz: str) -> date | None:
    """The last day that is told of, directly or by the first one that does not belong to it; None for neither."""
    if told.last_day:
        # A moment that is called the end is one that the contract does not have any more.
        return last_day_before(told.last_day, tz) if isinstance(told.last_day, datetime) else told.last_day
    return last_day_before(told.next_start, tz) if told.next_start else None


def next_term(term: Term, told: Told | None = None) -> Term | None:
    """
    The term that follows one: as `told` where its days are, else as long, from the day after on.

    None where its end cannot be made out. `renews_itself` goes on unless something else is said.
    """
    starts_on, anchor, length = term.ends_on + DAY, term.anchor_on, (told and told.period) or term.period
    itself = term.renews_itself
    ends_on = None
    if told:
        itself = term.renews_itself if told.renews_itself is None else told.renews_itself
        ends_on = last_day(told, term.tz)
        if told.starts:
            starts_on = day_of(told.starts, term.tz)
    if not length:
        length = period_of(term.starts_on, term.ends_on)
    # Where terms do not follow each other by the period, months are counted from this one's first day.
    try:
        follows = term.period == length and after(anchor, term.starts_on, length) == starts_on
        anchor = anchor if follows else starts_on
        if ends_on is None:
            ends_on = after(anchor, starts_on, length) - DAY
    except ValueError:
        return None
    return Term(starts_on, ends_on, term.tz, anchor, length, itself) if ends_on >= starts_on else None


def moments(term: Term, before: Sequence[timedelta]) -> list[tuple[datetime, timedelta]]:
    """
    When the renewal of a term is talked about, the earliest first, each with how long that is before its end.

    Whole days are days of the calendar, whatever the clocks do. What would be in the first half of the term is left
    out: nobody talks about a month's renewal 60 days before.
    """
    half = term.begins_at + (term.over_at - term.begins_at) / 2
    found = [(_before(term, each), each) for each in set(before)]
    return sorted(pair for pair in found if pair[0] >= half)


def _before(term: Term, before: timedelta) -> datetime:
    days = timedelta(days=before.days)  # of what is negative too: the rest is taken off within the day
    return day_begins(term.ends_on + DAY - days, term.tz) - (before - days)


def course(
    term: Term,
    before: Sequence[timedelta],
    grace: timedelta | None,
    told: Sequence[timedelta],
    now: datetime,
    *,
    cancelled: bool = False,
    quiet: bool = False,
) -> Course:
    """
    What is to be done about a running term at `now`, however late that is.

    Of several moments that have come since the last look only the latest is told, with those that were missed. A term
    that renews itself, or was cancelled, has nothing to be talked about: it is renewed or over when its last day is;
    any other one `grace` later. `quiet`: nothing that has come already is told, it counts as told.
    """
    over_at = term.over_at
    if term.renews_itself and not cancelled:
        return Course(outcome="renewed") if now >= over_at else Course(again_at=over_at)
    if cancelled:
        return Course(outcome="ended") if now >= over_at else Course(again_at=over_at)
    last = _before(term, -grace) if grace else over_at
    if now >= last:
        return Course(outcome="ended")
    wanted = moments(term, before)
    come = [(at, each) for at, each in wanted if at <= now and each not in told]
    ahead = [at for at, _ in wanted if at > now]
    reminder = None
    if come and not quiet and now < over_at:
        at, each = come[-1]
        reminder = Reminder(each, at, tuple(missed for _, missed in come[:-1]))
    return Course(reminder, None, tuple(each for _, each in come), min([*ahead, last]))
