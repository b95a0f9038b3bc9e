"""Counted figures as they are kept: buckets by day, read with one statement for whatever is asked together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import text

from schema.kpi.measures import COHORTS, MONTHS, SIZED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import date
    from decimal import Decimal

    from sqlalchemy import Connection, Row

    from schema.journey import Journey

CONSUMER: Final = "kpi"
"""The name under which the worker that counts keeps its place in the event feed."""

_BINS: Final = msgspec.json.Decoder(dict[int, int])
_READ: Final = text("""
SELECT measure, item, value, day, n, total, CAST(bins AS text) AS bins FROM kpi_bucket
WHERE journey_name = :journey AND measure = ANY(CAST(:measures AS text[])) AND dim = :dim
  AND day >= :since AND day < :until
  AND (CAST(:firsts AS text[]) IS NULL OR split_part(item, '>', 1) = ANY(CAST(:firsts AS text[])))
ORDER BY measure, item, value, day
""")
# Whole months are read as such where a measure has sizes; of cohorts how many there are of each day all the same.
_READ_MONTHS: Final = text("""
SELECT measure, item, value, day, n, total,
       CASE WHEN day < :first OR day >= :last THEN CAST(bins AS text) END AS bins FROM kpi_bucket
WHERE journey_name = :journey AND measure = ANY(CAST(:measures AS text[])) AND dim = :dim
  AND day >= :since AND day < :until
  AND (measure <> ALL(CAST(:monthly AS text[])) OR day < :first OR day >= :last)
  AND (CAST(:firsts AS text[]) IS NULL OR split_part(item, '>', 1) = ANY(CAST(:firsts AS text[])))
UNION ALL
SELECT measure, item, value, day, CASE WHEN measure = ANY(CAST(:cohorts AS text[])) THEN 0 ELSE n END,
       CASE WHEN measure = ANY(CAST(:cohorts AS text[])) THEN 0 ELSE total END, CAST(bins AS text) FROM kpi_bucket
WHERE journey_name = :journey AND measure = ANY(CAST(:sized AS text[])) AND dim = :by_month
  AND day >= :first AND day < :last
  AND (CAST(:firsts AS text[]) IS NULL OR split_part(item, '>', 1) = ANY(CAST(:firsts AS text[])))
""")
_RESTATED: Final = text("""
SELECT id, noted_at, measure, item, day, n, total FROM kpi_restated
WHERE id > :cursor AND journey_name = :journey AND noted_at >= :since AND noted_at < :until ORDER BY id LIMIT :most
""")
_COUNTED: Final = text("""
SELECT (
    SELECT time FROM event
    WHERE (tx, position) > (
        (SELECT tx FROM consumer WHERE name = :name), (SELECT position FROM consumer WHERE name = :name)
    )
    ORDER BY tx, position LIMIT 1
) AS next_at, (SELECT updated_at FROM consumer WHERE name = :name) AS counted_at
""")
_FIRST_DAY: Final = text("""
SELECT min(first.day) FROM unnest(CAST('{created,touched,entered,ticket.opened,purchased}' AS text[])) AS one (measure)
CROSS JOIN LATERAL (
    SELECT day FROM kpi_bucket WHERE journey_name = :journey AND kpi_bucket.measure = one.measure AND dim = ''
    ORDER BY day LIMIT 1
) AS first
""")


@dataclass(frozen=True, slots=True)
class Bucket:
    """What happened on one day: `n` times, with what it came to and how long it took; `value` is of the dimension."""

    measure: str
    item: str
    value: str
    day: date
    n: int
    total: Decimal
    bins: dict[int, int]


def buckets(
    connection: Connection,
    journey: str,
    measures: Collection[str],
    since: date,
    until: date,
    *,
    dim: str = "",
    firsts: Collection[str] | None = None,
) -> Iterator[Bucket]:
    """
    Yield the buckets of some measures, from `since` up to but not including `until`, in order.

    Without `dim` those of everything together; with one, a bucket for each of its values. With `firsts` only of items
    that begin so. `schema/kpi/measures.py` says what there is.
    """
    for row in stored(connection, journey, measures, since, until, dim=dim, firsts=firsts):
        yield Bucket(row.measure, row.item, row.value, row.day, row.n, row.total, sizes(row.bins))


def stored(
    connection: Connection,
    journey: str,
    measures: Collection[str],
    since: date,
    until: date,
    *,
    dim: str = "",
    firsts: Collection[str] | None = None,
) -> Sequence[Row[Any]]:
    """Return the buckets that `buckets` yields as rows whose bins are not read yet: reading them takes a while."""
    wanted = {"journey": journey, "measures": list(measures), "since": since, "until": until, "dim": dim}
    wanted["firsts"] = None if firsts is None else list(firsts)
    return connection.execute(_READ, wanted).all()


def stored_by_month(
    connection: Connection,
    journey: str,
    measures: Collection[str],
    since: date,
    until: date,
    *,
    dim: str = "",
    firsts: Collection[str] | None = None,
) -> Sequence[Row[Any]]:
    """
    Return what `stored` returns, put together by whole months as far as that changes no sum of a month or of all.

    What lies in whole months may be several rows: how many there were by day without sizes (null), and their sizes by
    month, on its first day.
    """
    first = since if since.day == 1 else _next_month(since)
    last = until.replace(day=1)
    if first >= last:
        return stored(connection, journey, measures, since, until, dim=dim, firsts=firsts)
    wanted: dict[str, Any] = {"journey": journey, "measures": list(measures), "since": since, "until": until}
    wanted |= {"first": first, "last": last, "dim": dim, "by_month": MONTHS + dim, "cohorts": list(COHORTS)}
    wanted["sized"] = [name for name in measures if name in SIZED]
    wanted["monthly"] = [name for name in wanted["sized"] if name not in COHORTS]
    wanted["firsts"] = None if firsts is None else list(firsts)
    return connection.execute(_READ_MONTHS, wanted).all()


def _next_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def sizes(told: str) -> dict[int, int]:
    """Read the bins of a row."""
    return _BINS.decode(told)


def counted_until(connection: Connection, now: datetime) -> datetime | None:
    """Return up to when all that was told is counted: `now` where nothing waits; None before counting has begun."""
    row = connection.execute(_COUNTED, {"name": CONSUMER}).one()
    if row.counted_at is None:
        return None
    return row.next_at or now


def restated(
    connection: Connection, journey: Journey, since: date, until: date, *, cursor: int = 0, limit: int = 100
) -> tuple[list[dict[str, Any]], str | None]:
    """Return what was added to days that were over, noted from `since` until before `until`, the earliest first."""
    zone = ZoneInfo(journey.kpis.tz)
    begin, end = (datetime.combine(day, time(), zone) for day in (since, until))
    given = {"journey": journey.name, "since": begin, "until": end, "cursor": cursor, "most": limit + 1}
    found = [dict(row) for row in connection.execute(_RESTATED, given).mappings()]
    shown_rows = [row | {"total": format(row["total"], "f")} for row in found[:limit]]
    return shown_rows, str(found[limit - 1]["id"]) if len(found) > limit else None


def first_day(connection: Connection, journey: str) -> date | None:
    """Return the first day of which anything of a journey's leads is counted; None for none."""
    found: date | None = connection.execute(_FIRST_DAY, {"journey": journey}).scalar_one()
    return found
