"""
The conservation account: received = processed + merged + quarantined + spam + rejected + in flight + dead, always.

What is not borne out by the evidence is `unaccounted` (`schema.store.audit` and `audit_campaigns` say which kinds there
are), and so is a live lead that is nobody's (`lead_adrift`: no owner, no place in a queue, no timer, nothing due).

Ids of receipts, touchpoints and leads tell their time, so a range of time is a range of the primary key. Slices of time
are closed into the table `account` once nothing in them is in flight; closed ones are read from there, so that what
looking costs depends on what came lately. A receipt that is set going again opens its slice again. A slice with
something unaccounted for, and leads that were, are looked at again each time, however old.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import tables
from schema.errors import Permanent
from schema.store import audit_campaigns, canaries, rows
from schema.store.audit import COUNTED, MOST_NAMED, SLICE, Look, examine
from schema.store.journeys import JourneyBook
from schema.store.rhythms import UNHEARD, enabled, rhythms
from schema.tables.account import SLICE_S
from schema.tables.lead import ADRIFT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection

WINDOW: Final = timedelta(hours=48)
"""How far back it looks by default."""
LONGEST: Final = timedelta(days=366)
"""The longest range that one look takes."""
GRACE: Final = timedelta(minutes=5)
"""How long after its end a slice is closed: an id is older than its row by as long as the database was away."""
OVERDUE: Final = timedelta(minutes=10)
"""A timer that should have gone off longer ago than that is late."""
_MOST_LATE: Final = 10_000
_CLOSED_AT_ONCE: Final = 12

_ADRIFT_BY: Final = text(f"SELECT DISTINCT journey FROM lead WHERE {ADRIFT}")  # noqa: S608 - our own text
_ADRIFT: Final = text(f"""
SELECT count(*) AS leads, (array_agg(l.id ORDER BY l.id))[1:{MOST_NAMED}] AS ids
FROM lead AS l LEFT JOIN dead_letter AS d ON d.subject_id = l.id AND d.resolved_at IS NULL
WHERE {ADRIFT} AND d.subject_id IS NULL AND l.next_step IS NULL AND l.journey = ANY(CAST(:routed AS text[]))
""")  # noqa: S608 - our own text
_LATE: Final = text("""
SELECT count(*) FROM (SELECT FROM lead WHERE wake_at < :before AND due_since IS NULL LIMIT :most) AS late
""")
_CLOSED: Final = text("SELECT * FROM account WHERE since >= :since AND since < :until ORDER BY since, source")
_OPEN_ENDED: Final = text("SELECT DISTINCT since FROM account WHERE unaccounted > 0 ORDER BY since LIMIT :most")
_LATEST: Final = text("SELECT at, took_ms, unaccounted, found, silent FROM audit ORDER BY at DESC LIMIT 1")
_REPLACE: Final = text("DELETE FROM account WHERE since >= :since AND since < :until")
# Whoever sets a receipt going again takes rows away here: before what is counted now, or after it is written.
_ALONE: Final = text("LOCK TABLE account IN SHARE ROW EXCLUSIVE MODE")
# A long range takes its time, and plans are made for the range that is asked for.
_ONE_MOMENT: Final = (
    text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
    text("SET LOCAL statement_timeout = '10min'"),
    text("SET LOCAL plan_cache_mode = force_custom_plan"),
)


def account(
    connection: Connection,
    now: datetime,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    verify: bool = False,
    book: JourneyBook | None = None,
) -> dict[str, Any]:
    """
    Return the account of what arrived between `since` (48 hours ago) and `until` (now), and of every live lead.

    Call it first in a transaction of its own: all it counts is of one moment. `sources` has each source's counts, and
    the same by hour, and says whether it is silent; `canaries` has the ways in. `found` names what is unaccounted
    for. With `verify` closed slices are counted again, and compared with what was counted then.
    """
    _at_one_moment(connection)
    book = book or JourneyBook()
    first, last = _floor(since or now - WINDOW), _floor((until or now) + SLICE - timedelta.resolution)
    look, closed = Look(), _closed(connection, first, last)
    before = {} if verify else {at: kept for at, kept in closed.items() if not any(r["unaccounted"] for r in kept)}
    later = [at for at in _still_open(connection) if not first <= at < last]
    latest = connection.execute(_LATEST).mappings().one_or_none()
    named = latest["found"] if latest else {}
    leads = [lead for kind, told in named.items() for lead in _leads_of(kind, told)]
    enrolments = [each for kind, told in named.items() if kind.startswith("enrolment_") for each in told["ids"]]
    ranges = [*_gaps(first, last, before), *((at, at + SLICE) for at in later)]
    for start, end in ranges or [(last, last)]:
        examine(connection, look, start, end, again=leads)
        audit_campaigns.examine(connection, look, start, end, book, again=enrolments)
        leads, enrolments = [], []
    audit_campaigns.untouched(connection, look, now)
    if verify:
        _compare(look, closed)
    within = [row for row in look.counts.values() if first <= row["since"] < last]
    kept = [row | {"in_flight": 0} for held in before.values() for row in held if row["source"]]
    _adrift(connection, look, book)
    sources = _by_source([*kept, *within])
    silences = rhythms(connection, [row for row in within if row["since"] not in closed], book, now)
    for name in silences.keys() - {source["source"] for source in sources}:
        if silences[name]["silent"]:  # it has to be told, although nothing came from it lately
            sources.append({"source": name, **dict.fromkeys(COUNTED, 0), "pending": 0, "hours": []})
    sources = [{**source, **silences.get(source["source"], UNHEARD)} for source in sources]
    late = connection.execute(_LATE, {"before": now - OVERDUE, "most": _MOST_LATE}).scalar_one()
    return {
        "unaccounted": sum(look.numbers.values()),
        "found": [
            {"kind": kind, "count": number, "ids": look.found[kind]} for kind, number in sorted(look.numbers.items())
        ],
        "since": first,
        "until": min(last, max(now, first)),
        "late_timers": late,
        "audited_at": latest["at"] if latest else None,
        "sources": sorted(sources, key=itemgetter("source")),
        "canaries": canaries.standing(connection, enabled(connection, book), now),
    }


def limits(now: datetime, since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """Return the range that is meant. Raises Permanent (`range_invalid`) where none is, or a too long one."""
    last = min(until or now, now)
    first = since or last - WINDOW
    if not timedelta() < last - first <= LONGEST:
        raise Permanent(
            "range_invalid",
            f"The range has to begin before it ends, and before now, and may have {LONGEST.days} days at most.",
        )
    return first, last


def close(connection: Connection, now: datetime, *, window: timedelta = WINDOW) -> int:
    """
    Close the next of the slices that are over and settled, and those again that had something unaccounted for.

    Returns how many were closed; at most an hour's, so that one call is short: call it until it returns 0.
    """
    connection.execute(_ALONE)
    first, last = _floor(now - window), _floor(now - GRACE)
    closed = _closed(connection, first, last)
    gap = next(_gaps(first, last, closed), None)
    done = 0
    while gap and not done:
        start, end = gap[0], min(gap[1], gap[0] + _CLOSED_AT_ONCE * SLICE)
        look = Look()
        examine(connection, look, start, end)
        done = _keep(connection, look, start, end, now)
        gap = (end, gap[1]) if end < gap[1] else next(_gaps(end, last, closed), None)
    return done


def reclose(connection: Connection, now: datetime) -> None:
    """Look again at closed slices with something unaccounted for, and keep what is true now."""
    connection.execute(_ALONE)
    for at in _still_open(connection):
        look = Look()
        examine(connection, look, at, at + SLICE)
        if any(row["in_flight"] for row in look.counts.values()):
            continue
        connection.execute(_REPLACE, {"since": at, "until": at + SLICE})
        _keep(connection, look, at, at + SLICE, now)


def note(connection: Connection, now: datetime, took: timedelta, found: dict[str, Any]) -> None:
    """Keep what a look found, for figures that are read often; what is older than two days goes."""
    row = {
        "at": now,
        "took_ms": int(took.total_seconds() * 1000),
        "unaccounted": found["unaccounted"],
        "found": {told["kind"]: {"count": told["count"], "ids": told["ids"]} for told in found["found"]},
        "silent": {s["source"]: s["silent_since"].isoformat() for s in found["sources"] if s.get("silent_since")},
    }
    rows.insert(connection, tables.audit, [row], "ON CONFLICT DO NOTHING")
    connection.execute(text("DELETE FROM audit WHERE at < :before"), {"before": now - WINDOW})


def latest(connection: Connection) -> dict[str, Any] | None:
    """Return what the latest look found: `at`, `took_ms`, `unaccounted`, `found`, `silent`; None before the first."""
    row = connection.execute(_LATEST).mappings().one_or_none()
    return dict(row) if row else None


def _at_one_moment(connection: Connection) -> None:
    for statement in _ONE_MOMENT:
        connection.execute(statement)


def _keep(connection: Connection, look: Look, since: datetime, until: datetime, now: datetime) -> int:
    """Write the rows of the slices in which nothing is in flight; return how many slices that were."""
    by_slice: dict[datetime, list[dict[str, Any]]] = defaultdict(list)
    for (at, _), row in look.counts.items():
        by_slice[at].append(row)
    starts = [since + number * SLICE for number in range(int((until - since) / SLICE))]
    settled = [at for at in starts if not any(row["in_flight"] for row in by_slice[at])]
    nothing = {**dict.fromkeys(COUNTED, 0), "source": "", "first_at": None, "last_at": None}
    written = [
        {name: value for name, value in row.items() if name != "in_flight"} | {"closed_at": now}
        for at in settled
        for row in by_slice[at] or [nothing | {"since": at}]
    ]
    rows.insert(connection, tables.account, written, "ON CONFLICT DO NOTHING")
    return len(settled)


def _closed(connection: Connection, first: datetime, last: datetime) -> dict[datetime, list[dict[str, Any]]]:
    found: dict[datetime, list[dict[str, Any]]] = defaultdict(list)
    for row in connection.execute(_CLOSED, {"since": first, "until": last}).mappings():
        found[row["since"]].append(dict(row))
    return found


def _still_open(connection: Connection) -> list[datetime]:
    return list(connection.execute(_OPEN_ENDED, {"most": MOST_NAMED}).scalars())


def _gaps(first: datetime, last: datetime, closed: Iterable[datetime]) -> Iterator[tuple[datetime, datetime]]:
    """Yield the ranges from `first` to `last` that are not closed."""
    start = first
    for at in sorted(at for at in closed if first <= at < last):
        if start < at:
            yield start, at
        start = at + SLICE
    if start < last:
        yield start, last


def _compare(look: Look, closed: dict[datetime, list[dict[str, Any]]]) -> None:
    """Find out whether as many receipts are there as were counted when their slice was closed."""
    for at, kept in closed.items():
        for row in kept:
            missing = row["received"] - look.counts.get((at, row["source"]), {"received": 0})["received"]
            if missing > 0:
                look.lost("receipts_vanished", [], missing)


def _adrift(connection: Connection, look: Look, book: JourneyBook) -> None:
    """Find the live leads that are nobody's, of journeys that give leads to somebody."""
    versions = list(connection.execute(_ADRIFT_BY).scalars())
    routed = [v for v in versions if not book.readable(connection, v) or "route" in book.version(connection, v).steps]
    if routed:
        found = connection.execute(_ADRIFT, {"routed": routed}).one()
        if found.leads:
            look.lost("lead_adrift", found.ids, found.leads)


def _leads_of(kind: str, told: dict[str, Any]) -> list[str]:
    """The leads that an earlier look had named; those adrift are always found."""
    return list(told["ids"]) if kind.startswith("lead_") and kind not in {"lead_adrift", "lead_missing"} else []


def _by_source(counted: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add slices up to hours, and hours to sources."""
    hours: dict[str, dict[datetime, dict[str, Any]]] = defaultdict(dict)
    for row in counted:
        source, hour = row["source"], row["since"].replace(minute=0)
        sums = hours[source].setdefault(hour, {"hour": hour, **dict.fromkeys(COUNTED, 0)})
        for name in COUNTED:
            sums[name] += row[name]
    told = []
    for source, by_hour in sorted(hours.items()):
        totals = {name: sum(hour[name] for hour in by_hour.values()) for name in COUNTED}
        told.append(
            {
                "source": source,
                **totals,
                "pending": totals["in_flight"] + totals["dead"],
                "hours": [by_hour[hour] for hour in sorted(by_hour)],
            }
        )
    return told


def _floor(moment: datetime) -> datetime:
    return datetime.fromtimestamp(int(moment.timestamp()) // SLICE_S * SLICE_S, UTC)
