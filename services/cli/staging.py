"""
What a trial runs on: a PostgreSQL server, a database of its own in it, and the whole service as a child.

Nothing of it outlives the trial, and nothing that is told or mailed by the service leaves it.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import psutil
import psycopg
from psycopg import sql
from sqlalchemy import make_url

from schema.errors import Permanent
from services.embedded import EmbeddedPostgres, die_with_parent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schema.settings import Settings

_START_S: Final = 120.0
_STOP_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Service:
    """The service under trial: its supervisor's process, where it listens, and its database."""

    root: psutil.Process
    address: tuple[str, int]
    url: str


@contextmanager
def server(settings: Settings, folder: Path) -> Iterator[str]:
    """Yield the URL of the configured server, or of one in `folder` while this lasts."""
    if settings.database_url:
        yield settings.database_url
    else:
        with EmbeddedPostgres(folder / "postgres", {"track_commit_timestamp": "on"}) as embedded:
            yield embedded.url()


@contextmanager
def own_database(server_url: str) -> Iterator[str]:
    """Yield the URL of a new, empty database on that server; it is dropped in the end."""
    name = f"throughline_bench_{secrets.token_hex(6)}"
    there = make_url(server_url)
    plain = there.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield there.set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def running_service(settings: Settings, url: str, folder: Path) -> Iterator[Service]:
    """
    Yield `throughline up`, ready, on the database `url`; its events and mail have nowhere to go.

    :raises Permanent: `service_not_ready`, with the last lines it logged
    """
    given = {
        "DATABASE_URL": url,
        "SECRET_KEY": settings.secret_key.get_secret_value() or secrets.token_hex(32),
        "EVENTS_URL": "",
        "SMTP_URL": "",
    }
    log = folder / "service.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "services.cli.main", "up", "--port", "0", "--data-dir", str(folder / "up")],
            env=os.environ | {f"THROUGHLINE_{name}": value for name, value in given.items()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one system call, bound before the fork
        )
    try:
        ready = urlsplit(_ready(process, log))
        yield Service(psutil.Process(process.pid), (ready.hostname or "127.0.0.1", ready.port or 80), url)
    finally:
        _stop(process)


def _ready(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait for the line that says where the service takes leads."""
    output = process.stdout
    if output is not None and select.select([output], [], [], _START_S)[0]:
        line = output.readline().decode()
        if line.startswith("ready "):
            return line.split()[1]
    words = log.read_text(errors="replace").splitlines()[-3:]
    raise Permanent("service_not_ready", "The service did not start. " + " ".join(words))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()  # its children go with it
        process.wait()
    if process.stdout:
        process.stdout.close()
