"""Databases of one test each, copied from a template that has the tables and the default journey."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.servers import create_database, drop_database
from tests.spine import Spine, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def template(postgres_server: str) -> Iterator[str]:
    """Name of a database with the tables and the default journey."""
    name = f"template_{uuid4().hex[:12]}"
    prepare(create_database(postgres_server, name))
    yield name
    drop_database(postgres_server, name)


@pytest.fixture
def database_url(postgres_server: str, template: str) -> Iterator[str]:
    """URL of this test's own database."""
    name = f"test_{uuid4().hex[:12]}"
    yield create_database(postgres_server, name, template)
    drop_database(postgres_server, name)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of an empty database of this test's own."""
    name = f"test_{uuid4().hex[:12]}"
    yield create_database(postgres_server, name)
    drop_database(postgres_server, name)


@pytest.fixture
def rabbitmq_url(rabbitmq_server: str) -> str:
    """URL of this worker's own virtual host."""
    return rabbitmq_server


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """URL of this worker's own Redis database."""
    return redis_server


@pytest.fixture
def spine(database_url: str) -> Iterator[Spine]:
    """The way of a lead on a database of its own."""
    spine = Spine(database_url)
    yield spine
    spine.close()
