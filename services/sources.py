"""The sources of the active journeys: read again every second, kept while the database is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from schema.errors import ThroughlineError
from schema.store.journeys import JourneyBook
from services.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine

    from schema.journey import Source

_EVERY_S = 1.0
log = structlog.get_logger()


class Sources:
    """Looks up a source by name; follows an activation within seconds."""

    def __init__(self, engine: AsyncEngine, book: JourneyBook | None = None) -> None:
        self._engine = engine
        self._book = book or JourneyBook()
        self._by_journey: dict[str, Mapping[str, Source]] = {}
        self._sources: dict[str, Source] = {}
        self._unread: list[str] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Read the sources once, then keep following."""
        await self.refresh()
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

    @property
    def unread(self) -> list[str]:
        """Names of the active journeys whose sources are not known: this code cannot read their active version."""
        return self._unread

    @property
    def enabled(self) -> list[str]:
        """Names of the sources that take anything."""
        return [name for name, source in self._sources.items() if source.enabled]

    def find(self, name: str) -> Source | None:
        """
        Return a source of an active journey, if there is one of this name.

        Raises Problem (503) where it may be one that is not known yet, so that the sender tries again.
        """
        source = self._sources.get(name)
        if source is None and self._unread:
            detail = "The journey that says what to take cannot be read at the moment."
            raise Problem(503, "journey_unreadable", detail, retry_after_s=5)
        return source

    def of_kind(self, kind: str) -> list[tuple[str, Source]]:
        """Return the sources of one kind, in the order of the journeys."""
        return [(name, source) for name, source in self._sources.items() if source.kind == kind]

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.refresh()

    async def refresh(self) -> None:
        """Read the sources now; what is known stays while the database is away."""
        try:
            async with self._engine.connect() as connection:
                journeys = await connection.run_sync(self._book.by_name)
        except (SQLAlchemyError, OSError, ThroughlineError) as error:
            log.warning("sources.not_read", error=type(error).__name__)
            return
        # What a journey took before a version that cannot be read is taken on: workers wait for it, senders need not.
        self._by_journey = {
            name: journey.sources if journey else self._by_journey[name]
            for name, journey in journeys.items()
            if journey or name in self._by_journey
        }
        self._unread = sorted(journeys.keys() - self._by_journey.keys())
        self._sources = {name: source for sources in self._by_journey.values() for name, source in sources.items()}
