"""
The preload: a database that has been in use for long, made from the few real leads that are in it.

Every lead that is there is copied many times with fresh ids, and with it each row it has in any table, so that sizes,
explanations and indexes are those of real work and every constraint and trigger holds. Set-based, by two sessions,
each chunk a transaction; afterwards vacuumed and written out, so that none of that falls into what is measured.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, Table, text
from sqlalchemy.exc import ProgrammingError

from schema import tables
from schema.store.engine import make_engine
from schema.store.kpis import CONSUMER
from workers.figures.count import LOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SESSIONS: Final = 2
_CHUNK: Final = 10_000  # leads; a transaction of a second or two
_FIRST_MS: Final = 1_600_000_000_000  # copies are older than anything that arrives now
_MADE_BY_DATABASE: Final = {("event", "tx"), ("event", "position"), ("lead", "event_tx")}


@dataclass(frozen=True, slots=True)
class _Copied:
    """How a table's rows are found by lead, and which columns a copy has of its own."""

    table: Table
    found: str
    own: dict[str, str]
    join: str = ""


_COPIED: Final = (
    _Copied(tables.receipt, "t.id = c.old_receipt", {"id": "c.receipt", "lead_id": "c.lead", "person_id": "c.person"}),
    _Copied(
        tables.submission,
        "t.receipt_ids[1] = c.old_receipt",
        {"key": "sha256(convert_to(c.receipt::text, 'UTF8'))", "receipt_ids": "ARRAY[c.receipt]"},
    ),
    _Copied(
        tables.person,
        "t.id = c.old_person",
        {
            "id": "c.person",
            "email": "'p' || c.copy || '.' || t.email",
            "phone": "t.phone || '-' || c.copy",
            "company_id": "f.id",
        },
        "LEFT JOIN firm AS f ON f.old = t.company_id AND f.copy = c.copy",
    ),
    _Copied(
        tables.person_key,
        "t.person_id = c.old_person",
        {"value": "'p' || c.copy || '.' || t.value", "person_id": "c.person"},
    ),
    _Copied(tables.transition, "t.lead_id = c.old_lead", {"lead_id": "c.lead"}),
    _Copied(tables.lead, "t.id = c.old_lead", {"id": "c.lead", "person_id": "c.person"}),
    _Copied(
        tables.touchpoint,
        "t.id = c.old_receipt",
        {"id": "c.receipt", "person_id": "c.person", "lead_id": "c.lead"},
    ),
    _Copied(tables.decision, "t.lead_id = c.old_lead", {"lead_id": "c.lead"}),
    _Copied(tables.event, "t.lead_id = c.old_lead", {"lead_id": "c.lead"}),
)

_TABLES: Final = ("company", *(copied.table.name for copied in _COPIED))
_FRESH_ID: Final = (
    f"(lpad(to_hex({_FIRST_MS} + {{at}}), 12, '0') || '7' "
    "|| substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid"
)
_WHO: Final = """
CREATE TEMP TABLE original AS
SELECT r.id AS receipt, r.lead_id AS lead, r.person_id AS person, row_number() OVER (ORDER BY r.id) AS number
FROM receipt AS r WHERE r.status = 'processed'
"""
_COPIES: Final = f"""
CREATE TEMP TABLE copied ON COMMIT DROP AS
SELECT o.receipt AS old_receipt, o.lead AS old_lead, o.person AS old_person, n AS copy,
       {_FRESH_ID.format(at="n * 1000 + o.number")} AS receipt, {_FRESH_ID.format(at="n * 1000 + o.number")} AS lead,
       {_FRESH_ID.format(at="n * 1000 + o.number")} AS person
FROM generate_series({{first}}, {{last}}) AS n CROSS JOIN original AS o ORDER BY n, o.number
"""  # noqa: S608 - numbers and texts of ours
_FIRMS: Final = f"""
CREATE TEMP TABLE firm ON COMMIT DROP AS
SELECT t.id AS old, n AS copy, {_FRESH_ID.format(at="n * 1000")} AS id
FROM generate_series({{first}}, {{last}}) AS n CROSS JOIN "original company" AS t
"""  # noqa: S608
_COMPANIES: Final = """
INSERT INTO company (id, domain, name, employees, created_at)
SELECT f.id, 'p' || f.copy || '-' || t.domain, t.name, t.employees, t.created_at
FROM firm AS f JOIN "original company" AS t ON t.id = f.old
"""

_COUNTED: Final = text("""
INSERT INTO consumer (name, tx, position, updated_at)
SELECT :name, tx, position, now() FROM event ORDER BY tx DESC, position DESC LIMIT 1
ON CONFLICT (name) DO UPDATE SET tx = EXCLUDED.tx, position = EXCLUDED.position, updated_at = EXCLUDED.updated_at
""")


def preload(url: str, count: int, tell: Callable[[int], None]) -> int:
    """
    Copy the settled leads of a database until about `count` more are there; return how many were added.

    `tell` hears, from several threads, of each chunk's size when it is committed. Nothing else may be due meanwhile.
    """
    engine = make_engine(url, name="bench preload", pool_size=_SESSIONS + 1)
    try:
        with engine.connect() as connection:
            originals = connection.execute(text("SELECT count(*) FROM receipt WHERE status = 'processed'")).scalar_one()
        if not originals:
            return 0
        copies = -(-count // originals)
        _let_vacuum(engine, on=False)
        with _counting_rests(engine):
            _copy_all(engine, copies, originals, tell)
        _tidy(engine)
    finally:
        engine.dispose()
    return int(copies * originals)


@contextmanager
def _counting_rests(engine: Engine) -> Iterator[None]:
    """Take what is copied as counted: nobody asks for figures of copies, and counting them is not to be measured."""
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        connection.commit()
        yield
        connection.execute(_COUNTED, {"name": CONSUMER})
        connection.commit()
        connection.invalidate()  # lets go of the lock


def _copy_all(engine: Engine, copies: int, originals: int, tell: Callable[[int], None]) -> None:
    """Share the copies out among the sessions; whoever interrupts us waits for one chunk, not for all."""
    stop = Event()
    with ExitStack() as stack:
        sessions = [stack.enter_context(engine.connect()) for _ in range(_SESSIONS)]
        for session in sessions:
            _prepare(session)  # before any of them copies, or copies would be taken for originals
        pool = stack.enter_context(ThreadPoolExecutor(_SESSIONS))
        stack.callback(stop.set)
        shares = [range(first, copies + 1, _SESSIONS) for first in range(1, _SESSIONS + 1)]
        chunks = [_chunks(share, max(_CHUNK // originals, 1)) for share in shares]
        for done in [pool.submit(_copy, *work, originals, tell, stop) for work in zip(sessions, chunks, strict=True)]:
            done.result()


def _chunks(numbers: range, size: int) -> list[range]:
    return [numbers[at : at + size] for at in range(0, len(numbers), size)]


def _copy(
    session: Connection,
    chunks: list[range],
    originals: int,
    tell: Callable[[int], None],
    stop: Event,
) -> None:
    """Make the copies of these numbers, a transaction for each chunk."""
    for chunk in chunks:
        if stop.is_set():
            return
        _copy_chunk(session, chunk)
        session.commit()
        tell(len(chunk) * originals)


def _prepare(connection: Connection) -> None:
    """Set the session up for bulk work, and put the originals aside."""
    for setting in ("statement_timeout = 0", "synchronous_commit = off", "work_mem = '64MB'"):
        connection.execute(text(f"SET {setting}"))
    connection.execute(text(_WHO))
    for name in _TABLES:
        connection.execute(text(f'CREATE TEMP TABLE "original {name}" AS SELECT * FROM "{name}"'))  # noqa: S608
        connection.execute(text(f'ANALYZE "original {name}"'))
    connection.commit()


def _copy_chunk(connection: Connection, numbers: range) -> None:
    span = {"first": f"{numbers[0]}", "last": f"{numbers[-1]}, {numbers.step}"}
    connection.execute(text(_COPIES.format(**span)))
    connection.execute(text(_FIRMS.format(**span)))
    connection.execute(text("ANALYZE copied, firm"))
    connection.execute(text(_COMPANIES))
    for copied in _COPIED:
        connection.execute(text(_statement(copied)))


def _statement(copied: _Copied) -> str:
    names = [column.name for column in copied.table.c if (copied.table.name, column.name) not in _MADE_BY_DATABASE]
    values = ", ".join(copied.own.get(name, f't."{name}"') for name in names)
    columns = ", ".join(f'"{name}"' for name in names)
    return (
        f'INSERT INTO "{copied.table.name}" ({columns}) SELECT {values} FROM copied AS c '  # noqa: S608
        f'JOIN "original {copied.table.name}" AS t ON {copied.found} {copied.join}'
    )


def _let_vacuum(engine: Engine, *, on: bool) -> None:
    """Keep autovacuum off the tables while they grow: one pass at the end does it all."""
    with engine.begin() as connection:
        for name in _TABLES:
            setting = "RESET (autovacuum_enabled)" if on else "SET (autovacuum_enabled = off)"
            connection.execute(text(f'ALTER TABLE "{name}" {setting}'))


def _tidy(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM (ANALYZE)"))
        with suppress(ProgrammingError):  # only a role with that right may; then the server does it when it likes
            connection.execute(text("CHECKPOINT"))
    _let_vacuum(engine, on=True)
