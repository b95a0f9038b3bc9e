"""
The discovered process of leads, touchpoints or tickets: the log is read and counted in the database, set-based.

`schema/kpi/discovered.py` says what is counted, and counts the same of any other log. A case belongs to the window in
which it began, and is looked at as a whole, up to now. Tests are left out.

    leads        a case for each lead that ever moved, in the window of its first move: `created`, and its moves' names
    touchpoints  a case for each lead, in the window of its first touchpoint: the kinds of its touchpoints
    tickets      a case for each ticket, in the window in which it was opened: what was done, as another help desk
                 called it; of our own entries their kind, and of a change of status the new one
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from schema.errors import Permanent
from schema.kpi.discovered import (
    LONGEST_VARIANT,
    MOST_ACTIVITIES,
    MOST_FOLLOWS,
    VARIANTS,
    Activity,
    Follow,
    Process,
    Variant,
)
from schema.store.ids import is_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

Of = Literal["leads", "touchpoints", "tickets"]
LARGEST_PAGE: Final = 1000

_LEADS: Final = """
begun AS MATERIALIZED (
    SELECT l.id, l.created_at FROM transition AS t JOIN lead AS l ON l.id = t.lead_id
    WHERE t.number = 1 AND t.at >= :since AND t.at < :until AND l.journey_name = :journey AND NOT l.test
), log AS (
    SELECT id AS case_id, 'created' AS activity, created_at AS at, 0 AS place FROM begun
    UNION ALL
    SELECT t.lead_id, t.name, t.at, t.number FROM begun AS b JOIN transition AS t ON t.lead_id = b.id
)
"""
_TOUCHPOINTS: Final = """
begun AS MATERIALIZED (
    SELECT l.id FROM (
        SELECT DISTINCT lead_id FROM touchpoint WHERE occurred_at >= :since AND occurred_at < :until
    ) AS there JOIN lead AS l ON l.id = there.lead_id
    WHERE l.journey_name = :journey AND NOT l.test
      AND NOT EXISTS (SELECT FROM touchpoint AS t WHERE t.lead_id = l.id AND t.occurred_at < :since)
), log AS (
    SELECT t.lead_id AS case_id, t.kind AS activity, t.occurred_at AS at, t.id AS place
    FROM begun AS b JOIN touchpoint AS t ON t.lead_id = b.id
)
"""
_TICKETS: Final = """
begun AS MATERIALIZED (
    SELECT k.id FROM ticket AS k WHERE k.opened_at >= :since AND k.opened_at < :until AND k.journey_name = :journey
      AND NOT EXISTS (SELECT FROM lead AS l WHERE l.id = k.lead_id AND l.test)
), log AS (
    SELECT e.ticket_id AS case_id, e.at, e.number AS place, CASE e.kind
        WHEN 'activity' THEN COALESCE(e.data ->> 'activity', 'activity')
        WHEN 'status' THEN COALESCE(e.data ->> 'to', 'status')
        ELSE e.kind
    END AS activity
    FROM begun AS b JOIN ticket_entry AS e ON e.ticket_id = b.id
)
"""
LOGS: Final[dict[Of, str]] = {"leads": _LEADS, "touchpoints": _TOUCHPOINTS, "tickets": _TICKETS}
# Names are compared byte by byte: that is faster, and does not depend on the database's language.
_STEPPED: Final = """
stepped AS MATERIALIZED (
    SELECT case_id, activity COLLATE "C" AS activity, at, row_number() OVER own AS place,
           lead(activity COLLATE "C") OVER own AS next, lead(at) OVER own - at AS took
    FROM log WINDOW own AS (PARTITION BY case_id ORDER BY at, place)
)
"""
_DISCOVER: Final = f"""
, each AS MATERIALIZED (
    SELECT array_agg(activity ORDER BY place) AS way, min(at) AS first_at, max(at) AS last_at, max(at) - min(at) AS span
    FROM stepped GROUP BY case_id
), ways AS MATERIALIZED (
    SELECT way, count(*) AS n, percentile_disc(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY span) AS spans
    FROM each GROUP BY way
), pairs AS MATERIALIZED (
    SELECT activity, next, count(*) AS n, sum(took) AS total, max(took) AS longest,
           percentile_disc(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY took) AS spans
    FROM stepped WHERE next IS NOT NULL GROUP BY activity, next
), named AS MATERIALIZED (
    SELECT done.activity, sum(n * times)::bigint AS n, sum(n)::bigint AS cases,
           COALESCE(sum(n) FILTER (WHERE way[1] = done.activity), 0)::bigint AS starts,
           COALESCE(sum(n) FILTER (WHERE way[cardinality(way)] = done.activity), 0)::bigint AS ends
    FROM ways CROSS JOIN LATERAL (
        SELECT activity, count(*) AS times FROM unnest(way) AS of_way(activity) GROUP BY activity
    ) AS done GROUP BY done.activity
), kept (part, activity, next, way, n, cases, starts, ends, total, longest, spans, first_at, last_at) AS (
    (SELECT 1, NULL::text, NULL::text, NULL::text[], COALESCE(sum(cardinality(way)), 0)::bigint, count(*),
            NULL::bigint, NULL::bigint, NULL::interval, NULL::interval,
            percentile_disc(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY span), min(first_at), max(last_at) FROM each)
    UNION ALL
    (SELECT 2, activity, NULL, NULL, n, cases, starts, ends, NULL, NULL, NULL, NULL, NULL
     FROM named ORDER BY n DESC, activity LIMIT {MOST_ACTIVITIES})
    UNION ALL
    (SELECT 3, activity, next, NULL, n, NULL, NULL, NULL, total, longest, spans, NULL, NULL
     FROM pairs ORDER BY n DESC, activity, next LIMIT {MOST_FOLLOWS})
    UNION ALL
    (SELECT 4, NULL, NULL, way[1:{LONGEST_VARIANT}], n, cardinality(way), NULL, NULL, NULL, NULL, spans, NULL, NULL
     FROM ways ORDER BY n DESC, way LIMIT {VARIANTS})
    UNION ALL
    (SELECT 5, NULL, NULL, NULL, (SELECT count(*) FROM ways), NULL, (SELECT count(*) FROM named),
            (SELECT count(*) FROM pairs), NULL, NULL, NULL, NULL, NULL)
)
SELECT part, way, activity, next, cases, starts, ends, n, extract(epoch FROM total) AS total, longest,
       spans[1] AS p50, spans[2] AS p90, first_at, last_at
FROM kept ORDER BY part, n DESC, activity COLLATE "C", next COLLATE "C", way COLLATE "C"
"""  # noqa: S608 - our own text
_PAIRS: Final = """
SELECT case_id::text AS id, place, at, at + took AS then_at, extract(epoch FROM took)::float8 AS took_s FROM stepped
WHERE activity = :first AND next = :then
  AND (case_id, place) > (CAST(:after AS uuid), CAST(:after_place AS bigint))
ORDER BY case_id, place LIMIT :limit
"""
# Plans are made for the window that is asked for, and sorts get room.
_ROOM: Final = (
    text("SET LOCAL work_mem = '64MB'"),
    text("SET LOCAL plan_cache_mode = force_custom_plan"),
    text("SET LOCAL jit = off"),
)
_CANCELED: Final = "57014"
_FIRST: Final = "00000000-0000-0000-0000-000000000000"
_LONGEST_PLACE: Final = 18


def process(
    connection: Connection, journey: str, of: Of, since: datetime, until: datetime, *, within_s: int = 30
) -> Process:
    """
    Read the process off what the database holds of a journey; cases that began from `since` up to before `until`.

    :raises Permanent: `window_too_long`, it takes more than `within_s` seconds
    """
    given = {"journey": journey, "since": since, "until": until}
    found = _asked(connection, f"WITH {LOGS[of]}, {_STEPPED} {_DISCOVER}", given, within_s)
    parts: dict[int, list[Any]] = {number: [] for number in range(1, 6)}
    for row in found:
        parts[row.part].append(row)
    [log], [all_] = parts[1], parts[5]
    return Process(
        log.cases,
        log.n,
        log.first_at,
        log.last_at,
        _seconds(log.p50) if log.cases else None,
        _seconds(log.p90) if log.cases else None,
        [Activity(row.activity, row.n, row.cases, row.starts, row.ends) for row in parts[2]],
        [
            Follow(
                row.activity, row.next, row.n, row.total, _seconds(row.p50), _seconds(row.p90), _seconds(row.longest)
            )
            for row in parts[3]
        ],
        [Variant(row.way, row.cases, row.n, _seconds(row.p50), _seconds(row.p90)) for row in parts[4]],
        all_.starts,
        all_.ends,
        all_.n,
    )


def pairs(  # noqa: PLR0913 - what may be asked
    connection: Connection,
    journey: str,
    of: Of,
    since: datetime,
    until: datetime,
    *,
    first: str,
    then: str,
    cursor: str | None = None,
    limit: int = 100,
    within_s: int = 30,
) -> tuple[list[dict[str, Any]], str | None]:
    """
    Return the rows behind one pair: the cases in which `then` came right after `first`, when, and how long after.

    In order of case, with the cursor of the next page: `CASE.PLACE`, the case of the last row and where in it.

    :raises Permanent: `cursor_invalid`, `window_too_long`
    """
    after, _, place = (cursor or f"{_FIRST}.0").partition(".")
    if not is_id(after) or not place.isdecimal() or len(place) > _LONGEST_PLACE:
        raise Permanent("cursor_invalid", "This is not a cursor of this list.")
    given = {"journey": journey, "since": since, "until": until, "first": first, "then": then}
    given |= {"after": after, "after_place": int(place), "limit": limit}
    found = _asked(connection, f"WITH {LOGS[of]}, {_STEPPED} {_PAIRS}", given, within_s)
    items = [{"id": row.id, "at": row.at, "then_at": row.then_at, "took_s": row.took_s} for row in found]
    return items, f"{found[-1].id}.{found[-1].place}" if len(found) == limit else None


def _asked(connection: Connection, statement: str, given: dict[str, Any], within_s: int) -> Sequence[Any]:
    for setting in _ROOM:
        connection.execute(setting)
    connection.execute(text("SELECT set_config('statement_timeout', :within, true)"), {"within": f"{within_s}s"})
    try:
        return connection.execute(text(statement), given).all()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _CANCELED:
            raise
        words = f"That takes more than {within_s} seconds: ask for a shorter window."
        raise Permanent("window_too_long", words) from error


def _seconds(span: timedelta) -> float:
    return span.total_seconds()
