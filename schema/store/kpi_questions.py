"""
What can be asked of figures: a KPI over days, of something and by something; and whether that is possible.

Whatever cannot be asked is an error that names what can.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo

from schema.errors import Permanent
from schema.journey.fields import nearest
from schema.kpi.catalog import CATALOG, Kpi
from schema.kpi.figure import Of

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection

    from schema.journey import Journey
    from schema.store.journeys import JourneyBook

Every = Literal["day", "week", "month"]
USUAL: Final = timedelta(days=30)
"""What is told when nobody says of when."""
LONGEST: Final = timedelta(days=3660)
MOST_PERIODS: Final = 400
_FIRST: Final = date(1970, 1, 1)
_LAST: Final = date(9000, 1, 1)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a KPI, from the day `since` up to but not including `until`, of something and by something."""

    kpi: Kpi
    since: date
    until: date
    of: Of | None = None
    by: str | None = None
    every: Every | None = None


def today(journey: Journey, now: datetime) -> date:
    """Return the day that it is where the journey's days are counted."""
    return now.astimezone(ZoneInfo(journey.kpis.tz)).date()


def question(  # noqa: PLR0913 - all that can be asked
    journey: Journey,
    name: str,
    now: datetime,
    *,
    since: date | None = None,
    until: date | None = None,
    of: str | None = None,
    by: str | None = None,
    every: Every | None = None,
) -> Question:
    """
    Check what is asked; without days the latest 30, today included.

    `of` is a name (`lead`) or, where several things have it, with its kind (`state:lead`). Raises `Permanent`
    (`kpi_unknown`, `of_unknown`, `by_unknown`, `window_invalid`), which say what is possible.
    """
    kpi = known(name)
    begin, end = window(journey, now, since, until)
    asked = Question(kpi, begin, end, _of(journey, kpi, of), _by(kpi, by), every)
    if len(periods(asked)) > MOST_PERIODS:
        raise Permanent(
            "window_invalid", f"That is more than {MOST_PERIODS} at once: ask for a shorter time, or by month."
        )
    return asked


def window(journey: Journey, now: datetime, since: date | None, until: date | None) -> tuple[date, date]:
    """Return the days that are asked of; without any the latest 30. Raises `Permanent` (`window_invalid`)."""
    end = until or today(journey, now) + timedelta(days=1)
    if not _FIRST < end <= _LAST:
        raise Permanent("window_invalid", f"Give days between {_FIRST} and {_LAST}.")
    begin = since or end - USUAL
    if not (begin >= _FIRST and end - LONGEST <= begin < end):
        raise Permanent("window_invalid", "Give a first day and a later one up to which to count, ten years at most.")
    return begin, end


def known(name: str) -> Kpi:
    """Return the KPI of a name. Raises `Permanent` (`kpi_unknown`)."""
    kpi = CATALOG.get(name)
    if kpi is None:
        close = nearest(name, list(CATALOG)) or f"; there are {', '.join(CATALOG)}."
        raise Permanent("kpi_unknown", f"There is no such KPI{close}")
    return kpi


def _of(journey: Journey, kpi: Kpi, wanted: str | None) -> Of | None:
    if wanted is None:
        return None
    kind, colon, code = wanted.partition(":")
    kinds = [kind] if colon else list(kpi.of)
    if not kpi.of:
        raise Permanent("of_unknown", f"{kpi.name} is of everything together: leave `of` out.")
    there = {name: _codes(journey, name) for name in kpi.of}
    found = [name for name in kinds if name in kpi.of and _has(there[name], code if colon else wanted)]
    if len(found) == 1:
        return Of(found[0], code if colon else wanted)
    if len(found) > 1:
        ways = " or ".join(f"{name}:{wanted}" for name in found)
        raise Permanent("of_unknown", f"Several things have this name: say which, as in {ways}.")
    possible = "; ".join(f"{name}: {', '.join(codes or ()) or 'none'}" for name, codes in there.items())
    raise Permanent("of_unknown", f"{kpi.name} cannot be asked of this. It can be asked of {possible}.")


def _has(codes: Collection[str] | None, code: str) -> bool:
    return codes is None or code in codes


def _codes(journey: Journey, kind: str) -> Collection[str] | None:
    """What of a kind there is in the journey; None where that cannot be told."""
    return {
        "state": [*journey.lifecycle],
        "transition": sorted({name for _, name, _ in journey.moves}),
        "pipeline": [*journey.pipelines],
        "ticket": [*journey.service.kinds] if journey.service else [],
        "sla": ["first_response", "next_response", "resolution"],
        "survey": [*journey.surveys],
        "campaign": [*journey.campaigns],
    }.get(kind)


def _by(kpi: Kpi, wanted: str | None) -> str | None:
    if wanted is not None and wanted not in kpi.by:
        possible = f"by {', '.join(kpi.by)}" if kpi.by else "by nothing"
        raise Permanent("by_unknown", f"{kpi.name} can be told {possible}.")
    return wanted


def start_of(since: date, every: Every | None) -> date:
    """The day that a period's sums stand under: its week's or month's first, which may lie before what is asked."""
    if every == "week":
        return since - timedelta(days=since.weekday())
    return since.replace(day=1) if every == "month" else since


def periods(asked: Question) -> list[tuple[date, date]]:
    """The days, weeks or months of a question, the first and the last cut off where it begins and ends."""
    if asked.every is None:
        return [(asked.since, asked.until)]
    found: list[tuple[date, date]] = []
    begin = asked.since
    while begin < asked.until:
        first = start_of(begin, asked.every)
        if asked.every == "month":
            following = (first + timedelta(days=31)).replace(day=1)
        else:
            following = first + timedelta(days=7 if asked.every == "week" else 1)
        found.append((begin, min(following, asked.until)))
        begin = following
    return found


def journey_of(connection: Connection, book: JourneyBook, name: str | None) -> Journey:
    """
    Return the journey whose figures are asked: the one of that name, else the only one there is.

    Raises `Permanent` (`journey_not_active`, `journey_not_named`).
    """
    known_names = book.by_name(connection)
    if name is None and len(known_names) > 1:
        raise Permanent("journey_not_named", f"Say of which journey: {', '.join(sorted(known_names))}.")
    if not known_names:
        raise Permanent("journey_not_active", "None is: `throughline journey activate` switches a journey on.")
    found = known_names.get(next(iter(known_names)) if name is None else name)
    if found is None:
        raise Permanent(
            "journey_not_active", f"There is no such journey. Active are: {', '.join(sorted(known_names))}."
        )
    return found
