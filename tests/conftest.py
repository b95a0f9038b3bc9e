"""
The run's servers as fixtures: one PostgreSQL, one Redis, one RabbitMQ, each started when a test first asks for it.

Every xdist worker has a corner of its own in them: databases by name (`tests.servers.create_database`), a Redis
database, a RabbitMQ virtual host. Fault tests start servers that nobody shares, from the same classes.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import structlog

from tests.servers import WORKERS, Shared, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a file system in memory, where there is one
_ROOM: Final = 4 << 30
_SHARED: Final = pytest.StashKey[Shared]()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        _work_in_memory()
        config.stash[_SHARED] = Shared()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors, four at most: much of the time a test waits for a server."""
    return min(4, (os.cpu_count() or 1) + 1)


def _work_in_memory() -> None:
    """
    Have everything temporary, the servers' data included, in memory where there is room.

    A database for each test is a thousand files made and removed, which costs fifteen times as much on a disk. No test
    cuts the power: a process that is killed finds there what it would find on a disk.
    """
    if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM:
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None  # found anew when it is next asked for


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401  # pytest-xdist has no public type for it
    node.workerinput["shared"] = str(node.config.stash[_SHARED].path)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _SHARED in config.stash:
        config.stash[_SHARED].stop()


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Leave logging as it was found: a command that is run in this process sets it up for all of it."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = root.handlers[:], root.level
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
        root.handlers[:], root.level = handlers, level
        sys.excepthook, threading.excepthook = hooks


@pytest.fixture(scope="session")
def shared_servers(request: pytest.FixtureRequest) -> str:
    """Where `tests.servers.ask` finds the run's servers."""
    handed_down: dict[str, str] = getattr(request.config, "workerinput", {})
    return handed_down.get("shared") or str(request.config.stash[_SHARED].path)


@pytest.fixture(scope="session")
def corner(request: pytest.FixtureRequest) -> int:
    """This worker's number, 0 to 15: which part of the shared servers is its own."""
    worker: str = getattr(request.config, "workerinput", {}).get("workerid", "gw0")
    return int(worker.removeprefix("gw")) % WORKERS


@pytest.fixture(scope="session")
def postgres_server(shared_servers: str) -> str:
    """SQLAlchemy URL of the run's PostgreSQL, to create databases beside."""
    return ask(shared_servers, "postgres")


@pytest.fixture(scope="session")
def redis_server(shared_servers: str, corner: int) -> str:
    """URL of this worker's own Redis database."""
    return ask(shared_servers, "redis").removesuffix("/0") + f"/{corner}"


@pytest.fixture(scope="session")
def rabbitmq_server(shared_servers: str, corner: int) -> str:
    """URL of this worker's own virtual host on the run's RabbitMQ."""
    return ask(shared_servers, "rabbitmq").removesuffix("/%2F") + f"/gw{corner}"
