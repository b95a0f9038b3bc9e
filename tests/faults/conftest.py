"""Servers of a test's own, to be killed, and a whole Throughline on them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.rig import Rig
from tests.servers import Postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of this test's own."""
    with Postgres() as server:
        yield server


@pytest.fixture
def start(postgres: Postgres, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Start Throughline on the test's PostgreSQL, with settings by name."""
    with ExitStack() as stack:

        def begin(**settings: str) -> Rig:
            url = settings.pop("database_url", None) or postgres.url()
            return stack.enter_context(Rig(tmp_path, url, **settings))

        yield begin
