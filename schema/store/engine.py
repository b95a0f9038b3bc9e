"""
Connections to the shared database.

Two kinds: `hot` for the steps and the intake, whose statements touch rows by key and must never tip over to a
sequential scan on a table without statistics; and the ordinary one for reading.
"""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg.types.json import set_json_loads
from psycopg.types.string import TextLoader
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from schema.errors import Permanent

PATIENCE_S = 5
"""How long a transaction may sit idle (its process frozen) before the database ends it and frees its rows."""

_SESSION = {
    "timezone": "UTC",
    "synchronous_commit": "on",
    "idle_in_transaction_session_timeout": f"{PATIENCE_S}s",
    "lock_timeout": "8s",
    "statement_timeout": "30s",
}
_HOT = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}
_RETRYABLE = ("40001", "40P01", "55P03", "57014", "57P01", "57P02", "57P03", "25P03", "53300")
"""Serialization, deadlock, lock and statement timeouts, shutdowns, idle timeout, too many connections."""


def make_engine(url: str, *, name: str, hot: bool = False, pool_size: int = 5) -> Engine:
    """Return an engine whose sessions are named `name` in `pg_stat_activity`."""
    engine = create_engine(
        _psycopg(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=not hot,
        connect_args=_connect_args(name, hot=hot),
    )
    event.listen(engine, "connect", _read_plainly)
    return engine


def make_async_engine(url: str, *, name: str, hot: bool = False, pool_size: int = 5) -> AsyncEngine:
    """Return the same as `make_engine`, for an event loop."""
    engine = create_async_engine(
        _psycopg(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=not hot,
        connect_args=_connect_args(name, hot=hot),
    )
    event.listen(engine.sync_engine, "connect", _read_plainly)
    return engine


def is_transient(error: BaseException) -> bool:
    """Tell whether a database error is the world's fault: worth the same again later."""
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error, OperationalError) or error.connection_invalidated
    return state in _RETRYABLE or state.startswith("08")


def check_durable(connection: Connection) -> None:
    """Refuse to run on a database that could forget what was acknowledged."""
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        value = connection.execute(text("SELECT current_setting(:name)"), {"name": name}).scalar_one()
        if value in {"off", "local"}:
            raise Permanent("database_not_durable", f"PostgreSQL runs with {name}={value}: set it to on", setting=name)


def _read_plainly(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's own connection, sync or async
    """Read ids as text and JSON by the fast decoder."""
    driver = getattr(connection, "driver_connection", connection)
    driver.adapters.register_loader("uuid", TextLoader)
    set_json_loads(msgspec.json.decode, driver)


def _psycopg(url: str) -> URL:
    return make_url(url).set(drivername="postgresql+psycopg")


def _connect_args(name: str, *, hot: bool) -> dict[str, Any]:
    settings = _SESSION | (_HOT if hot else {})
    return {
        "application_name": f"throughline {name}",
        "connect_timeout": 5,
        "keepalives_idle": 5,
        "tcp_user_timeout": 10_000,
        "options": " ".join(f"-c {key}={value}" for key, value in settings.items()),
    }
