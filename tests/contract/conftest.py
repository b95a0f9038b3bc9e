"""One running API for all bad input: `throughline api` as a process over the run's PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.door import Door, api_process, house

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def api(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A client of the API, and the database behind it."""
    with house(postgres_server) as url, api_process(url, tmp_path_factory.mktemp("api")) as door:
        yield door
