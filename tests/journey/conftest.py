"""Whole ways through: Throughline as its users run it, on each of the three brokers."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.rig import Rig
from tests.servers import create_database, drop_database

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", params=["the database", "RabbitMQ", "Redis"])
def rig(
    request: pytest.FixtureRequest, postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    """A running Throughline; each broker in turn."""
    fixture = {"the database": None, "RabbitMQ": "rabbitmq_server", "Redis": "redis_server"}[request.param]
    broker = request.getfixturevalue(fixture) if fixture else ""
    name = f"journey_{uuid4().hex[:12]}"
    with ExitStack() as stack:
        url = create_database(postgres_server, name)
        stack.callback(drop_database, postgres_server, name)
        yield stack.enter_context(Rig(tmp_path_factory.mktemp("rig"), url, broker_url=broker))
