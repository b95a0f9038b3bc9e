"""
Journeys in the database: versions that never change and the one switch that says which is active.

`JourneyBook` keeps the compiled versions of one process. The switch is read again when it is older than a second,
so that every process follows an activation within seconds and without a restart.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from schema.errors import Permanent
from schema.journey import Journey, load
from schema.store import rows
from schema.tables import journey as journey_table
from schema.tables import journey_move

if TYPE_CHECKING:
    from datetime import datetime

_FRESH_S = 1.0


def store(connection: Connection, document: str, now: datetime) -> Journey:
    """Check `document` and keep it as a version; the same content again is the same version."""
    journey = load(document)
    rows.insert(
        connection,
        journey_table,
        [
            {
                "version": journey.version,
                "name": journey.name,
                "document": document,
                "initial_state": journey.initial,
                "created_at": now,
            },
        ],
        "ON CONFLICT DO NOTHING",
    )
    moves = [
        {"journey": journey.version, "from_state": start, "name": name, "to_state": end}
        for start, name, end in sorted(journey.moves)
    ]
    rows.insert(connection, journey_move, moves, "ON CONFLICT DO NOTHING")
    return journey


def activate(connection: Connection, journey: Journey, now: datetime) -> None:
    """Make a stored version the one that new leads enter: one atomic switch."""
    connection.execute(
        text(
            "INSERT INTO journey_active (name, version, activated_at) VALUES (:name, :version, :now) "
            "ON CONFLICT (name) DO UPDATE SET version = excluded.version, activated_at = excluded.activated_at",
        ),
        {"name": journey.name, "version": journey.version, "now": now},
    )


class JourneyBook:
    """The journey versions this process has met, compiled once each."""

    def __init__(self) -> None:
        self._versions: dict[str, Journey] = {}
        self._active: dict[str, str] = {}
        self._read_at = float("-inf")

    def version(self, connection: Connection, version: str) -> Journey:
        """Return a version; `journey_unknown` if the database has never heard of it."""
        if version not in self._versions:
            document = connection.execute(
                text("SELECT document FROM journey WHERE version = :version"),
                {"version": version},
            ).scalar_one_or_none()
            if document is None:
                raise Permanent("journey_unknown", version=version)
            self._versions[version] = load(document)
        return self._versions[version]

    def active(self, connection: Connection) -> list[Journey]:
        """Return the active versions, by journey name."""
        if time.monotonic() - self._read_at > _FRESH_S:
            found = connection.execute(text("SELECT name, version FROM journey_active ORDER BY name"))
            self._active = {row.name: row.version for row in found}
            self._read_at = time.monotonic()
        return [self.version(connection, version) for version in self._active.values()]

    def for_source(self, connection: Connection, source: str) -> Journey | None:
        """Return the active journey that takes this source's leads, if any does."""
        return next((journey for journey in self.active(connection) if source in journey.sources), None)
