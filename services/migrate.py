"""
Brings a database to the tables this code needs, whoever else does the same at that moment.

One runs the steps, the others wait for it on an advisory lock and find nothing left to do. A step that cannot get
its table within five seconds gives up and is rolled back, so that the service never queues up behind it.
"""

from __future__ import annotations

import importlib.util
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, text

from schema.errors import Permanent, Transient
from schema.store.engine import make_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK: Final = 0x7468726F75676801  # any number, as long as it is always the same
_WAIT_FOR_OTHERS_S: Final = 600.0
_ASK_EVERY_S: Final = 0.1
_WAIT_FOR_TABLES: Final = "5s"


def migrate(url: str, *, dry_run: bool = False) -> list[str]:
    """
    Run the steps that are missing; return them (`0001 Everything …`), none when there was nothing to do.

    `dry_run` only says which. Raises Permanent (`database_newer`) where newer code has migrated the database further.
    """
    with _engine(url) as engine, _alone(engine) as connection:
        missing = _missing(connection)
        if missing and not dry_run:
            command.upgrade(_config(connection), "head")
        return missing


def newest() -> str:
    """Return the step that this code needs the database to be at."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def downgrade(url: str) -> None:
    """Take every step back, newest first. Whatever the database remembers is gone."""
    with _engine(url) as engine, _alone(engine) as connection:
        command.downgrade(_config(connection), "base")


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = make_engine(url, name="migrate")
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """Yield a connection that holds the lock of all migrations until it is closed."""
    with engine.connect() as connection:
        _set(connection, "statement_timeout", "0")
        _set(connection, "lock_timeout", _WAIT_FOR_TABLES)
        _wait_for_others(connection)
        try:
            yield connection
        finally:
            connection.invalidate()  # the session ends, and with it the lock


def _wait_for_others(connection: Connection) -> None:
    """Take the lock, asking again and again: waiting inside a statement would hold up indexes built concurrently."""
    until = time.monotonic() + _WAIT_FOR_OTHERS_S
    while not connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}).scalar_one():
        connection.commit()
        if time.monotonic() > until:
            raise Transient("migration_busy")
        time.sleep(_ASK_EVERY_S)
    connection.commit()


def _set(connection: Connection, name: str, value: str) -> None:
    connection.execute(text("SELECT set_config(:name, :value, false)"), {"name": name, "value": value})


def _missing(connection: Connection) -> list[str]:
    script = ScriptDirectory.from_config(_config(connection))
    here = MigrationContext.configure(connection).get_current_revision()
    connection.commit()
    try:
        steps = list(script.iterate_revisions("head", here or "base"))
    except (CommandError, RevisionError) as error:
        raise Permanent(
            "database_newer", f"The database is at step {here}, which this version of Throughline does not know."
        ) from error
    return [f"{step.revision} {step.doc}" for step in reversed(steps)]


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _folder() -> Path:
    spec = importlib.util.find_spec("migrations")
    if spec is None or not spec.submodule_search_locations:
        raise Permanent("migrations_missing", "The package `migrations` is not installed.")
    return Path(spec.submodule_search_locations[0])
