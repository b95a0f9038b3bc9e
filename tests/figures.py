"""
How fast figures are counted and asked for, on a year of made-up leads: `python -m tests.bench --figures 1000000`.

Events are put into the feed set-based, counted as the worker does, in eighths, so that it shows whether the cost of an
event stays the same; then every KPI that is made of buckets is asked for a quarter of a year by week and by source.
"""

from __future__ import annotations

import gc
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.errors import Permanent
from schema.journey import default_journey
from schema.kpi.catalog import CATALOG
from schema.store import kpi_figures
from schema.store.engine import make_engine
from schema.store.journeys import JourneyBook
from tests.servers import Postgres
from tests.spine import prepare
from workers.figures.count import PORTION, Counting, count

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from schema.journey import Journey

EACH: Final = 8
"""Events of one lead: two of them are moves."""
END: Final = datetime(2026, 11, 1, tzinfo=UTC)
_EVENTS: Final = text("""
INSERT INTO event (lead_id, sequence, type, time, data)
SELECT id, sequence, type, began + later, data FROM (
    SELECT CAST('01900000-0000-7000-8000-' || lpad(to_hex(i), 12, '0') AS uuid) AS id, i,
           CAST(:end AS timestamptz) - (:leads - i) * interval '365 days' / :leads AS began,
           (ARRAY['website', 'contact', 'api', 'inbox', 'product'])[1 + i % 5] AS source,
           (ARRAY['form', 'email', 'event', 'api'])[1 + i % 4] AS channel,
           (ARRAY['ana', 'ben', 'cem', 'dee'])[1 + i % 4] AS owner,
           (i % 3 = 0) AS wins
    FROM generate_series(1, CAST(:leads AS integer)) AS i
) AS lead CROSS JOIN LATERAL (VALUES
    (1, 'lead.created', interval '0', jsonb_build_object(
        'person_id', id, 'receipt_id', id, 'source', source, 'channel', channel, 'kind', 'form', 'state', 'lead',
        'journey', CAST(:version AS text), 'campaign', 'c' || (i % 20), 'segment', 's' || (i % 5))),
    (2, 'lead.qualified', interval '0', jsonb_build_object('criteria', '{}'::jsonb)),
    (3, 'lead.scored', interval '0', jsonb_build_object('total', 50, 'fit', 20, 'engagement', 30, 'grade', 'B')),
    (4, 'lead.transitioned', interval '0', jsonb_build_object(
        'name', 'qualify', 'from_state', 'lead', 'to_state', 'opportunity', 'actor', 'journey',
        'journey', CAST(:version AS text))),
    (5, 'lead.routed', interval '0', jsonb_build_object('pool', 'everybody', 'owner', owner, 'reason', 'turn')),
    (6, 'lead.accepted', interval '1 hour' * (i % 7), jsonb_build_object('owner', owner, 'after_s', 3600 * (i % 7))),
    (7, 'lead.touched', interval '1 day' * (i % 9), jsonb_build_object(
        'person_id', id, 'touchpoint_id', id, 'kind', 'email.reply', 'source', 'inbox', 'channel', 'email')),
    (8, 'lead.transitioned', interval '1 day' * (i % 37), jsonb_build_object(
        'name', CASE WHEN wins THEN 'win' ELSE 'lose' END, 'from_state', 'opportunity',
        'to_state', CASE WHEN wins THEN 'customer' ELSE 'lost' END, 'actor', 'journey',
        'journey', CAST(:version AS text)))
) AS told (sequence, type, later, data) ORDER BY began + later, id, sequence
""")


def run(events: int) -> int:
    """Measure on a server of its own, print a table, and return an exit status."""
    gc.disable()  # as workers do
    with Postgres({}) as postgres:
        prepare(postgres.url())
        engine = make_engine(postgres.url(), name="bench")
        leads = max(1, events // EACH)
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL statement_timeout = '1h'"))
            connection.execute(_EVENTS, {"leads": leads, "end": END, "version": default_journey().version})
        _count(make_engine(postgres.url(), name="worker", hot=True, pool_size=1), leads * EACH)
        with engine.begin() as connection:
            connection.execute(text("ANALYZE"))
            buckets = connection.execute(text("SELECT count(*) FROM kpi_bucket")).scalar_one()
        _say(f"\n{leads * EACH // 4:,} moves in {buckets:,} buckets; asked for a quarter of a year:")
        _ask(engine)
    return 0


def _count(engine: Engine, events: int) -> None:
    counting = Counting(JourneyBook())
    with engine.connect() as connection:
        server = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    _say(f"{'events':>10}  {'µs each':>8}  {'CPU here':>8}  {'CPU there':>9}")
    done = marked = 0
    began = (time.perf_counter(), time.process_time(), _cpu(server))
    while found := count(engine, counting, limit=PORTION):
        done += found
        if done - marked >= events // 8 or done == events:
            now = (time.perf_counter(), time.process_time(), _cpu(server))
            each = [1e6 * (after - before) / (done - marked) for before, after in zip(began, now, strict=True)]
            wall, here, there = each
            _say(f"{done:>10,}  {wall:>8.1f}  {here:>8.1f}  {there:>9.1f}")
            began, marked = now, done
            gc.collect(0)


def _ask(engine: Engine) -> None:
    journey = default_journey()
    asks: dict[str, dict[str, Any]] = {"plain": {}, "by week": {"every": "week"}, "by source": {"by": "source"}}
    _say(f"{'KPI':<28}" + "".join(f"{name + ', ms':>16}" for name in asks))
    for name, kpi in CATALOG.items():
        if kpi.reckon is None:
            continue
        took = [_asked(engine, journey, name, given) for given in asks.values()]
        _say(f"{name:<28}" + "".join(f"{'-' if each is None else format(each, '.1f'):>16}" for each in took))
    with engine.connect() as connection:
        start = time.perf_counter()
        kpi_figures.overview(connection, journey, END)
        _say(f"{'all of them (kpi list)':<28}{1000 * (time.perf_counter() - start):>16.1f}")


def _asked(engine: Engine, journey: Journey, name: str, given: dict[str, Any]) -> float | None:
    """The middle of five times that a question took, in milliseconds; None where it cannot be asked so."""
    took = []
    day = END.date()
    with engine.connect() as connection:
        for _ in range(5):
            start = time.perf_counter()
            try:
                asked = kpi_figures.question(journey, name, END, since=day - timedelta(days=90), until=day, **given)
            except Permanent:
                return None
            kpi_figures.answer(connection, journey, asked, END)
            took.append(1000 * (time.perf_counter() - start))
    return sorted(took)[2]


def _cpu(process: int) -> float:
    """The seconds that a process has computed, where the system says so."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / 100


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
