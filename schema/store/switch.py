"""
The switch as people see it: which version new leads enter, what that changes, and who stays with which other version.

The API and the command line tell the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schema.journey.diff import Difference, differences
from schema.store import journeys
from schema.store.journeys import COMMAND_LINE, JourneyBook

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from schema.journey import Journey


@dataclass(frozen=True, slots=True)
class Switched:
    """
    An activation: of `journey`, instead of the version `before` (None: the first; the same: nothing changed).

    `differences` are those to the version before, None where this code cannot read that one. `staying` counts the
    open leads that follow other versions of the journey, by version, the newest first.
    """

    journey: Journey
    before: str | None
    differences: list[Difference] | None
    staying: dict[str, int]

    @property
    def changed(self) -> bool:
        """Whether it was not active already."""
        return self.before != self.journey.version

    def report(self) -> dict[str, Any]:
        """Return it as JSON."""
        told = self.differences
        return {
            "journey": self.journey.name,
            "version": self.journey.version,
            "before": self.before,
            "changed": self.changed,
            "differences": None if told is None else [difference.facts() for difference in told],
            "staying": [{"version": version, "open_leads": leads} for version, leads in self.staying.items()],
        }


def activate(connection: Connection, journey: Journey, now: datetime, *, actor: str = COMMAND_LINE) -> Switched:
    """Activate a stored version, and say what that means. Raises as `journeys.activate`."""
    return _told(connection, journey, journeys.activate(connection, journey, now, actor=actor))


def roll_back(connection: Connection, name: str, now: datetime, *, actor: str = COMMAND_LINE) -> Switched:
    """Go back to the version before, and say what that means. Raises as `journeys.roll_back`."""
    return _told(connection, *journeys.roll_back(connection, name, now, actor=actor))


def _told(connection: Connection, journey: Journey, before: str | None) -> Switched:
    found: list[Difference] | None = []
    if before is not None:
        book = JourneyBook()
        is_readable = book.readable(connection, before)
        found = differences(book.version(connection, before), journey) if is_readable else None
    staying = {
        entry["version"]: entry["open_leads"]
        for entry in journeys.versions(connection)
        if entry["name"] == journey.name and entry["version"] != journey.version and entry["open_leads"]
    }
    return Switched(journey, before, found, staying)
