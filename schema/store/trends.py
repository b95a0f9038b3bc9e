"""
Trends, read from the buckets: the series that are watched, and which of them changed; and which sources are silent.

`series` reads, `told` judges (`schema/kpi/trends.py`), which takes time for a journey with much in it: not while others
wait for the same thread. Silence is the account's (`schema/store/rhythms.py`), as its latest look found it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from schema.kpi import bins
from schema.kpi.trends import HISTORY, Point, changes
from schema.store import account, kpis
from schema.store.rhythms import rhythms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Connection

    from schema.journey import Journey
    from schema.kpi.trends import Kind
    from schema.store.journeys import JourneyBook

LOOKED_BACK: Final = timedelta(days=182)
"""What a level was, and when it changed, is read off so long."""
LATELY: Final = timedelta(days=90)
"""Changes noticed longer ago are not told, where nothing else is said."""
FEWEST: Final = 56
"""A series of fewer in half a year is too thin to say anything of its days."""
MOST: Final = 400
"""Series that are looked at, the thickest first."""
_UNITS: Final[dict[Kind, str]] = {"count": "per_day", "share": "share", "duration": "seconds"}


class Watched(NamedTuple):
    """Where a series comes from: what it is called, how it is read, what the parts of the item are."""

    name: str
    measure: str
    kind: Kind
    parts: tuple[str, ...] = ()
    dim: str = ""


WATCHED: Final = (
    Watched("arrivals", "created", "count"),
    Watched("arrivals", "created", "count", dim="source"),
    Watched("arrivals", "created", "count", dim="channel"),
    Watched("touchpoints", "touched", "count", ("touchpoint",)),
    Watched("moves", "moved", "count", ("state", "transition", "to")),
    Watched("conversion", "moved", "share", ("state", "transition", "to")),
    Watched("time_in_state", "moved", "duration", ("state", "transition", "to")),
    Watched("wins", "won", "count"),
    Watched("first_response", "first_response", "duration", ("about",)),
    Watched("handover_waiting", "taken", "duration", ("from", "to")),
    Watched("tickets_opened", "ticket.opened", "count", ("ticket",)),
    Watched("resolution_time", "ticket.resolved", "duration", ("ticket",)),
)
"""What is watched. `conversion` is the share of those that left a state by each way."""


@dataclass(slots=True)
class Series:
    """One figure by day, from the first whole day that was counted to the last."""

    name: str
    kind: Kind
    of: dict[str, str]
    points: list[Point]
    total: int


@dataclass(slots=True)
class Read:
    """What is to be judged: the series, since when and until when there are whole days, and the silent sources."""

    series: list[Series]
    since: date
    until: date
    as_of: datetime | None
    silent: list[dict[str, Any]]
    audited_at: datetime | None
    journey: str
    tz: str
    left_out: int = 0


@dataclass(slots=True)
class _Day:
    n: int = 0
    bins: dict[int, int] = field(default_factory=dict)


def series(connection: Connection, journey: Journey, book: JourneyBook, now: datetime) -> Read:
    """Read the series of a journey: whole days of the last half year, and what the account says of its sources."""
    until = now.astimezone(ZoneInfo(journey.kpis.tz)).date()
    since = until - LOOKED_BACK
    found: dict[tuple[str, str, str, str], dict[date, _Day]] = defaultdict(lambda: defaultdict(_Day))
    first = until
    for dim in sorted({each.dim for each in WATCHED}):
        measures = sorted({each.measure for each in WATCHED if each.dim == dim})
        for bucket in kpis.buckets(connection, journey.name, measures, since, until, dim=dim):
            first = min(first, bucket.day)
            day = found[bucket.measure, dim, bucket.item, bucket.value][bucket.day]
            day.n += bucket.n
            day.bins = bins.added((day.bins, bucket.bins)) if day.bins else bucket.bins
    made = list(_series(found, first, until))
    made.sort(key=lambda each: -each.total)
    silent, audited_at = _silent(connection, journey, book, now)
    as_of = kpis.counted_until(connection, now)
    left_out = max(len(made) - MOST, 0)
    return Read(made[:MOST], first, until, as_of, silent, audited_at, journey.name, journey.kpis.tz, left_out=left_out)


def told(read: Read, since: date | None = None) -> dict[str, Any]:
    """
    Judge what was read: `items` are silent sources and changes noticed from `since` on (90 days), the latest first.

    `enough` is False where there are too few days yet to know what is usual.
    """
    since = since or read.until - LATELY
    items = [
        _change(each, change)
        for each in read.series
        for change in changes(each.points, each.kind)
        if change.noticed >= since
    ]
    items.sort(key=lambda item: (item["noticed"], abs(item["z"])), reverse=True)
    return {
        "journey": read.journey,
        "from": since,
        "to": read.until,
        "tz": read.tz,
        "as_of": read.as_of,
        "audited_at": read.audited_at,
        "known_since": read.since,
        "enough": (read.until - read.since).days > HISTORY,
        "series": len(read.series),
        "left_out": read.left_out,
        "items": [*read.silent, *items],
    }


def _change(each: Series, change: Any) -> dict[str, Any]:  # noqa: ANN401 - a `Change`
    grown = change.after / change.before - 1 if change.before else None
    return {
        "what": "level",
        "figure": each.name,
        "of": each.of,
        "unit": _UNITS[each.kind],
        "direction": "up" if change.after > change.before else "down",
        "since": change.since,
        "noticed": change.noticed,
        "before": round(change.before, 4),
        "after": round(change.after, 4),
        "change": None if grown is None else round(grown, 4),
        "z": change.z,
        "days": change.days,
    }


def _silent(
    connection: Connection, journey: Journey, book: JourneyBook, now: datetime
) -> tuple[list[dict[str, Any]], datetime | None]:
    """The sources of the journey that the account's latest look found silent, and when that was."""
    latest = account.latest(connection)
    if latest is None:
        return [], None
    names = [name for name in latest["silent"] if name in journey.sources]
    usual = rhythms(connection, (), book, now) if names else {}
    return [
        {
            "what": "silent",
            "figure": "arrivals",
            "of": {"source": name},
            "since": datetime.fromisoformat(latest["silent"][name]),
            "usual_gap_s": usual.get(name, {}).get("usual_gap_s"),
        }
        for name in sorted(names)
    ], latest["at"]


def _series(
    found: Mapping[tuple[str, str, str, str], Mapping[date, _Day]], first: date, until: date
) -> Iterator[Series]:
    days = [first + timedelta(days=number) for number in range((until - first).days)]
    left = _left(found)
    for watched in WATCHED:
        for (measure, dim, item, value), by_day in found.items():
            total = sum(day.n for day in by_day.values())
            if (measure, dim) != (watched.measure, watched.dim) or total < FEWEST:
                continue
            of = dict(zip(watched.parts, item.split(">", max(len(watched.parts) - 1, 0)), strict=False))
            if watched.dim:
                of[watched.dim] = value
            make = _POINTS[watched.kind]
            points = [make(day, by_day.get(day), left.get((item.partition(">")[0], day), 0)) for day in days]
            if watched.kind != "share" or any(0 < point.value < 1 for point in points):
                yield Series(watched.name, watched.kind, of, points, total)


def _left(found: Mapping[tuple[str, str, str, str], Mapping[date, _Day]]) -> dict[tuple[str, date], int]:
    """How many left each state on each day."""
    left: dict[tuple[str, date], int] = defaultdict(int)
    for (measure, dim, item, _), by_day in found.items():
        if measure == "moved" and not dim:
            for day, counted in by_day.items():
                left[item.partition(">")[0], day] += counted.n
    return left


def _count(day: date, counted: _Day | None, _: int) -> Point:
    return Point(day, float(counted.n if counted else 0))


def _share(day: date, counted: _Day | None, of: int) -> Point:
    return Point(day, min((counted.n if counted else 0) / of, 1.0), float(of)) if of > 0 else Point(day, 0.0, 0.0)


def _duration(day: date, counted: _Day | None, _: int) -> Point:
    number = sum(counted.bins.values()) if counted else 0
    middle = bins.percentile(counted.bins, 0.5) if counted else None
    return Point(day, 0.0, 0.0) if middle is None else Point(day, middle, float(number))


_POINTS: Final[dict[Kind, Callable[[date, _Day | None, int], Point]]] = {
    "count": _count,
    "share": _share,
    "duration": _duration,
}
