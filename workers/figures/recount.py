"""
Recount: the figures once more, from the beginning of the feed.

    reads   event, kpi_bucket, kpi_lead
    writes  tables of this session only; and, to mend, what differs in kpi_bucket and kpi_lead, noted in kpi_restated

The same fold counts the same events into tables of its own, in portions, so that it needs little memory and holds
nothing back; the worker counts on meanwhile. In the end it is kept from counting for a moment, what it counted since is
recounted, and both are compared: they have to be equal in every number.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.store.feed import Cursor
from schema.store.journeys import JourneyBook
from workers.figures.count import LOCK, Books, Counting, place
from workers.figures.reconcile import Compared, reconcile
from workers.figures.tally import MATURES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from sqlalchemy import Connection, Engine

PORTION: Final = 20_000
MOST_NAMED: Final = 10_000
AGAIN: Final = Books("kpi_bucket_again", "kpi_lead_again", None)

_TAKES_LONG: Final = text("SET statement_timeout = '2h'; SET lock_timeout = '1min'")
_LOCK: Final = text("SELECT pg_advisory_lock(:lock)")
_UNLOCK: Final = text("SELECT pg_advisory_unlock(:lock)")
_BESIDE: Final = (
    text(f"CREATE TEMP TABLE {AGAIN.bucket} (LIKE kpi_bucket INCLUDING DEFAULTS INCLUDING INDEXES)"),
    text(f"CREATE TEMP TABLE {AGAIN.lead} (LIKE kpi_lead INCLUDING DEFAULTS INCLUDING INDEXES)"),
)
_KNOWN: Final = (text(f"ANALYZE {AGAIN.bucket}"), text(f"ANALYZE {AGAIN.lead}"))
_DROP: Final = text(f"DROP TABLE IF EXISTS {AGAIN.bucket}, {AGAIN.lead}")
_KEY: Final = "journey_name, measure, dim, day, item, value"
_BUCKETS_DIFFER: Final = f"""
kpi_bucket AS k FULL JOIN {AGAIN.bucket} AS a USING ({_KEY})
WHERE COALESCE(k.n, 0) <> COALESCE(a.n, 0) OR COALESCE(k.total, 0) <> COALESCE(a.total, 0)
   OR COALESCE(k.bins, '{{}}') <> COALESCE(a.bins, '{{}}')
"""
_DIFFERENCES: Final = text(f"""
SELECT {_KEY}, COALESCE(k.n, 0) AS n, COALESCE(a.n, 0) AS again_n, COALESCE(k.total, 0) AS total,
       COALESCE(a.total, 0) AS again_total, COALESCE(k.bins, '{{}}') <> COALESCE(a.bins, '{{}}') AS bins,
       count(*) OVER () AS all_of_them
FROM {_BUCKETS_DIFFER} ORDER BY {_KEY} LIMIT :most
""")  # noqa: S608 - our own text
_LEADS_DIFFER: Final = text(f"""
SELECT count(*) FROM kpi_lead AS k FULL JOIN {AGAIN.lead} AS a USING (lead_id)
WHERE (k.sequence, k.state) IS DISTINCT FROM (a.sequence, a.state)
""")  # noqa: S608 - our own text
_BUCKETS: Final = text(f"SELECT count(*) FROM {AGAIN.bucket}")  # noqa: S608 - our own text
_NOTE: Final = text(f"""
INSERT INTO kpi_restated (noted_at, journey_name, measure, item, day, n, total)
SELECT :now, journey_name, measure, item, day, COALESCE(a.n, 0) - COALESCE(k.n, 0),
       COALESCE(a.total, 0) - COALESCE(k.total, 0)
FROM kpi_bucket AS k FULL JOIN {AGAIN.bucket} AS a USING ({_KEY})
WHERE dim = '' AND day < CAST(:now AS date) AND measure <> ALL(CAST(:matures AS text[]))
  AND (COALESCE(k.n, 0) <> COALESCE(a.n, 0) OR COALESCE(k.total, 0) <> COALESCE(a.total, 0))
""")  # noqa: S608 - our own text
_MEND: Final = (
    text(f"""
        DELETE FROM kpi_bucket AS k WHERE NOT EXISTS (
            SELECT FROM {AGAIN.bucket} AS a WHERE (a.journey_name, a.measure, a.dim, a.day, a.item, a.value)
                                                = (k.journey_name, k.measure, k.dim, k.day, k.item, k.value)
        )
    """),  # noqa: S608 - our own text
    text(f"""
        INSERT INTO kpi_bucket AS k (journey_name, measure, item, dim, value, day, n, total, bins)
        SELECT journey_name, measure, item, dim, value, day, n, total, bins FROM {AGAIN.bucket}
        ON CONFLICT ({_KEY}) DO UPDATE SET n = EXCLUDED.n, total = EXCLUDED.total, bins = EXCLUDED.bins
        WHERE (k.n, k.total, k.bins) IS DISTINCT FROM (EXCLUDED.n, EXCLUDED.total, EXCLUDED.bins)
    """),  # noqa: S608 - our own text
    text(f"""
        DELETE FROM kpi_lead AS k WHERE NOT EXISTS (SELECT FROM {AGAIN.lead} AS a WHERE a.lead_id = k.lead_id)
    """),  # noqa: S608 - our own text
    text(f"""
        INSERT INTO kpi_lead AS k (lead_id, sequence, state) SELECT lead_id, sequence, state FROM {AGAIN.lead}
        ON CONFLICT (lead_id) DO UPDATE SET sequence = EXCLUDED.sequence, state = EXCLUDED.state
        WHERE (k.sequence, k.state) IS DISTINCT FROM (EXCLUDED.sequence, EXCLUDED.state)
    """),  # noqa: S608 - our own text
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A bucket that is not what a recount gives; `bins`: their sizes differ."""

    journey: str
    measure: str
    item: str
    dim: str
    value: str
    day: str
    n: int
    recounted_n: int
    total: str
    recounted_total: str
    bins: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a recount found; `named` are the first of the `buckets_differ`."""

    events: int
    buckets: int
    buckets_differ: int
    leads_differ: int
    named: list[Difference]
    tables: list[Compared] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether everything is as it has to be."""
        return not (self.buckets_differ or self.leads_differ or any(not each.equal for each in self.tables))


def verify(engine: Engine, tell: Callable[[int], None] = lambda _: None, *, portion: int = PORTION) -> Verdict:
    """Recount all that is counted, and compare it with the figures, and those with the tables they are about."""
    with _recounted(engine, tell, portion) as (connection, events, since):
        found = _compare(connection, events)
        connection.commit()
        found.tables.extend(reconcile(connection, Counting(JourneyBook()), since))
    return found


def rebuild(
    engine: Engine, now: datetime, tell: Callable[[int], None] = lambda _: None, *, portion: int = PORTION,
    dry_run: bool = False,
) -> Verdict:  # fmt: skip
    """
    Recount all that is counted, and have the figures be what that gives; return what was different.

    All of it in one transaction: nobody sees half of it. What changes of days that are over is noted.
    """
    with _recounted(engine, tell, portion) as (connection, events, _):
        found = _compare(connection, events)
        if not dry_run and (found.buckets_differ or found.leads_differ):
            connection.execute(_NOTE, {"now": now, "matures": sorted(MATURES)})
            for statement in _MEND:
                connection.execute(statement)
        connection.commit()
    return found


@contextmanager
def _recounted(
    engine: Engine, tell: Callable[[int], None], portion: int
) -> Iterator[tuple[Connection, int, dict[str, int]]]:
    """Recount beside, and keep the worker from counting while the caller looks at both."""
    counting = Counting(JourneyBook(), AGAIN)
    with engine.connect() as connection:
        connection.execute(_TAKES_LONG)
        for statement in (_DROP, *_BESIDE):
            connection.execute(statement)
        connection.commit()
        recount = _Recount(connection, counting, portion, tell)
        try:
            recount.go_on()
            for statement in _KNOWN:
                connection.execute(statement)
            connection.commit()
            connection.execute(_LOCK, {"lock": LOCK})
            connection.commit()
            recount.go_on()
            yield connection, recount.events, recount.since
        finally:
            connection.rollback()
            connection.execute(_UNLOCK, {"lock": LOCK})
            connection.execute(_DROP)
            connection.commit()
            connection.invalidate()  # its settings are its own


class _Recount:
    """How far a recount has come."""

    def __init__(self, connection: Connection, counting: Counting, portion: int, tell: Callable[[int], None]) -> None:
        self.events = 0
        self.since: dict[str, int] = {}
        self._connection = connection
        self._counting = counting
        self._portion = portion
        self._tell = tell
        self._cursor = Cursor()

    def go_on(self) -> None:
        """Recount up to where the figures are."""
        until = place(self._connection) or Cursor()
        while True:
            done = self._counting.portion(self._connection, self._cursor, limit=self._portion, until=until)
            self._connection.commit()
            self.events += done.events
            self.since = {**done.since, **self.since}
            self._cursor = done.cursor
            self._tell(self.events)
            if done.events < self._portion:
                return


def _compare(connection: Connection, events: int) -> Verdict:
    found = connection.execute(_DIFFERENCES, {"most": MOST_NAMED}).all()
    return Verdict(
        events,
        connection.execute(_BUCKETS).scalar_one(),
        found[0].all_of_them if found else 0,
        connection.execute(_LEADS_DIFFER).scalar_one(),
        [_difference(each) for each in found],
    )


def _difference(row: Any) -> Difference:  # noqa: ANN401 - a result row
    return Difference(
        row.journey_name,
        row.measure,
        row.item,
        row.dim,
        row.value,
        row.day.isoformat(),
        row.n,
        row.again_n,
        format(row.total, "f"),
        format(row.again_total, "f"),
        row.bins,
    )
