"""The sources of the active journeys: read again every second, kept while the database is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from schema.errors import ThroughlineError
from schema.store.journeys import JourneyBook

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from schema.journey import Source

_EVERY_S = 1.0
log = structlog.get_logger()


class Sources:
    """Looks up a source by name; follows an activation within seconds."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._book = JourneyBook()
        self._sources: dict[str, Source] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Read the sources once, then keep following."""
        await self._refresh()
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop following."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def known(self) -> bool:
        """Whether any journey is active and could be read."""
        return bool(self._sources)

    def find(self, name: str) -> Source | None:
        """Return a source of an active journey, if there is one of this name."""
        return self._sources.get(name)

    def of_kind(self, kind: str) -> list[tuple[str, Source]]:
        """Return the sources of one kind, in the order of the journeys."""
        return [(name, source) for name, source in self._sources.items() if source.kind == kind]

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            await self._refresh()

    async def _refresh(self) -> None:
        try:
            async with self._engine.connect() as connection:
                journeys = await connection.run_sync(self._book.active)
        except (SQLAlchemyError, OSError, ThroughlineError) as error:
            log.warning("sources.not_read", error=type(error).__name__)
            return
        self._sources = {name: source for journey in reversed(journeys) for name, source in journey.sources.items()}
