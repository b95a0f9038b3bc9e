"""Which sources are silent: their history, as the account has kept it, judged by `schema.silence`."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.silence import LOOKED_BACK, Heard, rhythm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from schema.store.journeys import JourneyBook

UNHEARD: Final[Mapping[str, Any]] = {"last_at": None, "usual_gap_s": None, "silent": False, "silent_since": None}
"""What is said of a source that nothing is known of."""

_HISTORY: Final = text("""
SELECT source, date_trunc('hour', since) AS hour, sum(received)::bigint AS number,
       min(first_at) AS first_at, max(last_at) AS last_at
FROM account WHERE source = ANY(CAST(:sources AS text[])) AND since >= :since AND received > 0 AND last_at IS NOT NULL
GROUP BY source, hour
""")


def rhythms(
    connection: Connection, fresh: Iterable[Mapping[str, Any]], book: JourneyBook, now: datetime
) -> dict[str, dict[str, Any]]:
    """
    Say of each source that was ever heard of in the last weeks when that was, and whether it is too long ago.

    `fresh` are counts of slices that are not closed yet. Only enabled sources can be silent.
    """
    watched = enabled(connection, book)
    history: dict[str, dict[datetime, list[Heard]]] = defaultdict(lambda: defaultdict(list))
    for counts in fresh:
        if counts["last_at"]:
            hour = counts["since"].replace(minute=0)
            heard = Heard(counts["received"], counts["first_at"], counts["last_at"])
            history[counts["source"]][hour].append(heard)
    parameters = {"since": now - LOOKED_BACK, "sources": sorted(watched | history.keys())}
    for row in connection.execute(_HISTORY, parameters):
        history[row.source][row.hour].append(Heard(row.number, row.first_at, row.last_at))
    return {name: _judged(hours, now, watched=name in watched) for name, hours in history.items()}


def enabled(connection: Connection, book: JourneyBook) -> set[str]:
    """Return the sources that something may come from at any time: files come when they come."""
    return {
        name
        for journey in book.active(connection)
        for name, source in journey.sources.items()
        if source.enabled and source.kind != "import"
    }


def _judged(hours: Mapping[datetime, Sequence[Heard]], now: datetime, *, watched: bool) -> dict[str, Any]:
    heard = [_together(hours[hour]) for hour in sorted(hours)]
    last_at = heard[-1].last_at
    found = rhythm(heard, now) if watched else None
    return {
        "last_at": last_at,
        "usual_gap_s": round(found.usual_gap.total_seconds()) if found else None,
        "silent": bool(found and found.silent),
        "silent_since": last_at if found and found.silent else None,
    }


def _together(heard: Sequence[Heard]) -> Heard:
    return Heard(
        sum(each.number for each in heard), min(each.first_at for each in heard), max(each.last_at for each in heard)
    )
