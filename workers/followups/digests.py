"""
Digests: each morning, what is overdue and due today, by mail to those of the journey's people who want it.

`Digests.plan` goes with the sweep: at their time of each of their working days it plans one mail for whoever has
anything to do, once by `uq_send_staff`; who is away gets none. What it says is read when it is sent, so that it is true
then. Later than `LATE` after its time, as after an outage, nobody wants it any more.

A working day is one on which their own hours are open, or those of a pool of theirs; without any, each is one.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import text

from schema import tables
from schema.hours import Hours, day_ends, hours
from schema.mailing.words import language_of
from schema.store import follow_ups, rows, sends, staff
from schema.store.ids import new_id
from workers.decide.follow_up import working

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

    from schema.journey import Journey
    from schema.store.journeys import JourneyBook

DIGEST: Final = "digest"
"""The campaign, step and template of these mails."""
LATE: Final = timedelta(hours=4)
_MOST: Final = 50
"""Of what is overdue, and of what is due today; the rest is counted."""
_REMEMBERED: Final = timedelta(days=3)
_OWED: Final = text("""
SELECT EXISTS (SELECT FROM follow_up WHERE owner = :owner AND outcome IS NULL AND due_at < :ends)
""")
_INSERT: Final = "ON CONFLICT DO NOTHING"


class Words(NamedTuple):
    """What a digest says in one language."""

    subject: str
    overdue: str
    today: str
    more: str


_WORDS: Final = {
    "en": Words("{overdue} overdue, {today} due today", "Overdue", "Due today", "and {count} more"),
    "de": Words("{overdue} überfällig, {today} heute fällig", "Überfällig", "Heute fällig", "und {count} weitere"),
    "fr": Words("{overdue} en retard, {today} pour aujourd'hui", "En retard", "Pour aujourd'hui", "et {count} de plus"),
    "es": Words("{overdue} atrasadas, {today} para hoy", "Atrasadas", "Para hoy", "y {count} más"),
}


class Reader(NamedTuple):
    """Somebody whose digest is due, of which day on their clock."""

    journey: Journey
    person: str
    day: date
    at: datetime


class Digests:
    """Plans digests for one process, which remembers whose day it has looked at, once that is committed (`keep`)."""

    def __init__(self) -> None:
        self._looked_at: set[tuple[str, date]] = set()
        self._looking_at: list[Reader] = []

    def plan(self, connection: Connection, book: JourneyBook, now: datetime) -> list[str]:
        """Plan the digests that are due; return the ids of their mails."""
        due = [one for one in readers(book.active(connection), now) if (one.person, one.day) not in self._looked_at]
        self._looking_at = due
        if not due:
            return []
        away = {
            spell["person"]
            for spell in staff.absences(connection, now)
            if spell["from_at"] <= now and (spell["until_at"] is None or spell["until_at"] > now)
        }
        planned = [_row(one, now) for one in due if one.person not in away and _owed(connection, one, now)]
        rows.insert(connection, tables.send, planned, _INSERT)
        return [row["id"] for row in planned]

    def keep(self) -> None:
        """Remember what was planned last: it is committed."""
        if self._looking_at:
            latest = max(one.day for one in self._looking_at)
            self._looked_at = {each for each in self._looked_at if latest - each[1] < _REMEMBERED}
            self._looked_at |= {(one.person, one.day) for one in self._looking_at}
            self._looking_at = []


def readers(journeys: Sequence[Journey], now: datetime) -> Iterator[Reader]:
    """Whose digest is due at `now`: its time has come, and not too long ago, on one of their working days."""
    named: set[str] = set()
    for journey in journeys:
        for name, person in journey.people.items():
            if person.digest is None or journey.mail is None or name in named:
                continue
            named.add(name)
            zone = ZoneInfo(person.tz)
            day = now.astimezone(zone).date()
            at = datetime.combine(day, time.fromisoformat(person.digest), zone)
            if at <= now < at + LATE and _works(journey, name, day, zone):
                yield Reader(journey, name, day, at)


def _works(journey: Journey, name: str, day: date, zone: ZoneInfo) -> bool:
    starts = datetime.combine(day, time(), zone)
    calendars = _calendars(journey, name)
    return not calendars or any(each.worked(starts, day_ends(zone.key, starts)) for each in calendars)


def _calendars(journey: Journey, name: str) -> list[Hours]:
    own = working(journey, name)
    if own:
        return [own]
    pools = [pool for pool in journey.route.pools.values() if name in pool.members]
    found = [pool.hours or journey.calendars.get(pool.calendar or "") for pool in pools]
    return [hours(calendar) for calendar in found if calendar]


def _owed(connection: Connection, reader: Reader, now: datetime) -> bool:
    ends = day_ends(reader.journey.people[reader.person].tz, now)
    return bool(connection.execute(_OWED, {"owner": reader.person, "ends": ends}).scalar_one())


def _row(reader: Reader, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id(),
        "journey_name": reader.journey.name,
        "journey": reader.journey.version,
        "campaign": DIGEST,
        "step": DIGEST,
        "template": DIGEST,
        "staff": reader.person,
        "entry_key": reader.day.isoformat(),
        "lane": sends.SERVICE,
        "priority": 0,
        "state": "planned",
        "planned_at": now,
        "due_at": now,
    }


def written(
    connection: Connection, book: JourneyBook, journey: Journey, person: str, now: datetime
) -> tuple[str, str] | None:
    """Return the subject and text of somebody's digest as things are now; None where nothing is due."""
    found = follow_ups.day(connection, book, person, now, limit=_MOST)
    counts = found["counts"]
    if not counts["overdue"] and not counts["today"]:
        return None
    told = journey.people[person]
    words = _WORDS[language_of(told.speaks[0] if told.speaks else "en")]
    zone = ZoneInfo(told.tz)
    blocks = []
    for title, name, form in ((words.overdue, "overdue", "%Y-%m-%d %H:%M"), (words.today, "today", "%H:%M")):
        if found[name]:
            lines = [_line(item, item["due_at"].astimezone(zone).strftime(form)) for item in found[name]]
            left = counts[name] - len(lines)
            more = [words.more.format(count=left)] if left > 0 else []
            blocks.append("\n".join([f"{title}:", *lines, *more]))
    return words.subject.format(**counts), "\n\n".join(blocks)


def _line(item: dict[str, Any], at: str) -> str:
    person = item["person"]
    who = ", ".join(person[name] for name in ("name", "company", "phone", "email") if person[name])
    return f"{at} {item['text']}" + (f" ({who})" if who else "")
