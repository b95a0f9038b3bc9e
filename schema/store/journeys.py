"""
Journeys in the database: versions that never change, the one switch that says which is active, and its log.

`JourneyBook` keeps the compiled versions of one process. The switch is read again when it is older than a second,
so that every process follows an activation within seconds and without a restart. A version that this code cannot read
(stored by newer code) is no failure of the leads that follow it: they wait, and it is tried again every few seconds.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy import Connection, text

from schema.errors import Permanent, Transient
from schema.journey import Journey, JourneyInvalid, load, load_stored
from schema.journey.document import read
from schema.store import rows
from schema.tables import journey as journey_table
from schema.tables import journey_activation, journey_move

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

log = structlog.get_logger()

COMMAND_LINE: Final = "command line"
_FRESH_S: Final = 1.0
_AGAIN_S: Final = 5.0
_SAY_EVERY_S: Final = 60.0

_DOCUMENT: Final = text("SELECT document FROM journey WHERE version = :version")
# Waits for other activations, not for readers: two at once cannot both take a source.
_LOCK: Final = text("LOCK TABLE journey_active IN SHARE ROW EXCLUSIVE MODE")
_ACTIVE: Final = text("SELECT name, version FROM journey_active ORDER BY name")
# One look into the index for each name, however many people are under way.
_NURTURED: Final = text("""
WITH RECURSIVE name AS (
    (
        SELECT journey_name FROM enrolment WHERE outcome IS NULL
        ORDER BY journey_name, campaign, person_id LIMIT 1
    )
    UNION ALL
    SELECT later.journey_name FROM name AS n CROSS JOIN LATERAL (
        SELECT journey_name FROM enrolment WHERE outcome IS NULL AND journey_name > n.journey_name
        ORDER BY journey_name, campaign, person_id LIMIT 1
    ) AS later
) SELECT journey_name FROM name
""")
_SWITCH: Final = text("""
INSERT INTO journey_active (name, version, activated_at) VALUES (:name, :version, :now)
ON CONFLICT (name) DO UPDATE SET version = excluded.version, activated_at = excluded.activated_at
""")
_PRESENT: Final = text("""
SELECT version, COALESCE(returns_to, number) AS place FROM journey_activation
WHERE name = :name ORDER BY number DESC LIMIT 1
""")
_BEFORE: Final = text("""
SELECT version, COALESCE(returns_to, number) AS place FROM journey_activation
WHERE name = :name AND number < :place ORDER BY number DESC LIMIT 1
""")
_VERSIONS: Final = text("""
SELECT j.version, j.name, j.initial_state, j.created_at, a.version IS NOT NULL AS active, a.activated_at,
       (SELECT count(*) FROM lead AS l WHERE l.journey = j.version AND l.open) AS open_leads
FROM journey AS j LEFT JOIN journey_active AS a ON a.version = j.version AND a.name = j.name
WHERE CAST(:version AS text) IS NULL OR j.version = :version
ORDER BY j.name, j.created_at DESC, j.version
""")
_LOG: Final = text("""
SELECT version, activated_at, actor, returns_to IS NOT NULL AS rollback,
       lead(activated_at) OVER (PARTITION BY name ORDER BY number) AS until
FROM journey_activation ORDER BY name, number
""")


class Unreadable(Transient):
    """
    A version that this code cannot read. `facts["reason"]` is a code.

    `unknown`: the database does not have it. `invalid`: this code does not understand its document.
    `other_version`: this code takes the document for another version, so what it decides could not be recorded.
    """

    def __init__(self, version: str, reason: str) -> None:
        super().__init__(
            "journey_unreadable",
            f"Version {version} cannot be read by this version of the program; a newer one may have stored it.",
            version=version,
            reason=reason,
        )


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


def stored(connection: Connection, version: str) -> Journey:
    """
    Return a stored version, if it is in order for this code.

    :raises Permanent: `journey_unknown`
    :raises JourneyInvalid: with what this code finds wrong with it
    :raises Unreadable: this code takes it for another version
    """
    return _same(load(_document(connection, version)), version)


def activate(
    connection: Connection,
    journey: Journey,
    now: datetime,
    *,
    actor: str = COMMAND_LINE,
    returns_to: int | None = None,
) -> str | None:
    """
    Make a stored version the one that new leads enter: one atomic switch, and logged.

    Returns the version that was active before, None for none. One that is active already changes nothing.
    `returns_to` is the number of the activation that a rollback goes back to.

    :raises Permanent: `source_claimed`, another active journey has one of its sources
    """
    connection.execute(_LOCK)
    active: dict[str, str] = {row.name: row.version for row in connection.execute(_ACTIVE)}
    before = active.pop(journey.name, None)
    if before == journey.version:
        return before
    for name, version in active.items():
        _refuse_shared(journey, name, _sources(connection, version))
    switch = {"name": journey.name, "version": journey.version}
    connection.execute(_SWITCH, switch | {"now": now})
    entry = switch | {"activated_at": now, "actor": actor, "returns_to": returns_to}
    rows.insert(connection, journey_activation, [entry])
    return before


def roll_back(connection: Connection, name: str, now: datetime, *, actor: str = COMMAND_LINE) -> tuple[Journey, str]:
    """
    Activate the version that was active before the present one; again: the one before that.

    Returns it, and the version it takes over from. What was rolled back is not gone back to by another rollback.

    :raises Permanent: `journey_unknown`, nothing of this name was ever active; `nothing_before`; `source_claimed`
    :raises Unreadable: this code cannot read the one before
    """
    connection.execute(_LOCK)
    present = connection.execute(_PRESENT, {"name": name}).one_or_none()
    if present is None:
        raise Permanent("journey_unknown", "No journey of this name was ever active.")
    target = connection.execute(_BEFORE, {"name": name, "place": present.place}).one_or_none()
    if target is None:
        raise Permanent(
            "nothing_before", f"No version was active before {name} {present.version}: nothing to go back to."
        )
    journey = _readable(connection, target.version)
    activate(connection, journey, now, actor=actor, returns_to=target.place)
    return journey, present.version


def active_name(connection: Connection) -> str:
    """Return the name of the one active journey. Raises Permanent (`journey_not_named`) where there is not just one."""
    names = [row.name for row in connection.execute(_ACTIVE)]
    if len(names) != 1:
        words = f"Several journeys are active ({', '.join(names)}): name one." if names else "No journey is active."
        raise Permanent("journey_not_named", words)
    return str(names[0])


def active_version(connection: Connection, name: str) -> str:
    """Return the active version of a journey. Raises Permanent (`journey_not_active`)."""
    found: dict[str, str] = {row.name: row.version for row in connection.execute(_ACTIVE)}
    if name not in found:
        raise Permanent("journey_not_active", f"No version of {name} is active.")
    return found[name]


def versions(connection: Connection, version: str | None = None) -> list[dict[str, Any]]:
    """
    Return every version (or one) without its document, by name, the newest first.

    `open_leads` counts the open leads that follow it; `activations` are the times it was switched on, each with `at`,
    `until` (None: still active), `actor` and whether it was a `rollback`.
    """
    found = [dict(row) for row in connection.execute(_VERSIONS, {"version": version}).mappings()]
    activations: dict[str, list[dict[str, Any]]] = {entry["version"]: [] for entry in found}
    for row in connection.execute(_LOG):
        if row.version in activations:
            activations[row.version].append(
                {"at": row.activated_at, "until": row.until, "actor": row.actor, "rollback": row.rollback},
            )
    return [entry | {"activations": activations[entry["version"]]} for entry in found]


class JourneyBook:
    """The journey versions this process has met, compiled once each, and those it could not read."""

    def __init__(self, *, fresh_s: float = _FRESH_S, again_s: float = _AGAIN_S) -> None:
        self._fresh_s = fresh_s
        self._again_s = again_s
        self._versions: dict[str, Journey] = {}
        self._failed: dict[str, tuple[float, str]] = {}
        self._active: dict[str, str] = {}
        self._nurtured: frozenset[str] = frozenset()
        self._read_at = float("-inf")

    def version(self, connection: Connection, version: str) -> Journey:
        """Return a version. Raises `Unreadable`, for a few seconds without trying again."""
        if version not in self._versions:
            self._versions[version] = self._try(connection, version)
        return self._versions[version]

    def readable(self, connection: Connection, version: str) -> bool:
        """Tell whether this code can read a version."""
        try:
            self.version(connection, version)
        except Unreadable:
            return False
        return True

    def unreadable(self) -> list[str]:
        """Return the versions that could not be read within the last few seconds."""
        since = time.monotonic() - self._again_s
        return [version for version, (tried_at, _) in list(self._failed.items()) if tried_at > since]

    def active_versions(self, connection: Connection) -> Collection[str]:
        """Return the active versions, readable or not."""
        if time.monotonic() - self._read_at >= self._fresh_s:
            self._active = {row.name: row.version for row in connection.execute(_ACTIVE)}
            self._nurtured = frozenset(connection.execute(_NURTURED).scalars())
            self._read_at = time.monotonic()
        return self._active.values()

    def nurtured(self, connection: Connection) -> Collection[str]:
        """Return the names of journeys that have somebody in a campaign, of whatever version."""
        self.active_versions(connection)
        return self._nurtured

    def by_name(self, connection: Connection) -> dict[str, Journey | None]:
        """Return the active version of each journey; None where this code cannot read it."""
        self.active_versions(connection)
        return {
            name: self.version(connection, version) if self.readable(connection, version) else None
            for name, version in self._active.items()
        }

    def active(self, connection: Connection) -> list[Journey]:
        """Return the active versions that this code can read, by journey name."""
        return [journey for journey in self.by_name(connection).values() if journey is not None]

    def sources(self, connection: Connection) -> list[str] | None:
        """
        Return the sources whose arrivals can be read now; None: every source.

        While an active version cannot be read, a source that no other active journey has may be one of its own.
        """
        if all(self.by_name(connection).values()):
            return None
        return [source for journey in self.active(connection) for source in journey.sources]

    def for_source(self, connection: Connection, source: str) -> Journey | None:
        """
        Return the active journey that takes this source's leads, if any does.

        Raises `Unreadable` if it may be one that this code cannot read.
        """
        for journey in self.active(connection):
            if source in journey.sources:
                return journey
        for version in self._active.values():
            self.version(connection, version)
        return None

    def _try(self, connection: Connection, version: str) -> Journey:
        tried_at, reason = self._failed.get(version, (float("-inf"), ""))
        if time.monotonic() - tried_at < self._again_s:
            raise Unreadable(version, reason)
        try:
            journey = _readable(connection, version)
        except Unreadable as error:
            self._failed[version] = time.monotonic(), str(error.facts["reason"])
            _say(error)
            raise
        self._failed.pop(version, None)
        return journey


def _document(connection: Connection, version: str) -> str:
    document = connection.execute(_DOCUMENT, {"version": version}).scalar_one_or_none()
    if document is None:
        raise Permanent("journey_unknown", "There is no such version; `throughline journey versions` lists all.")
    return str(document)


def _readable(connection: Connection, version: str) -> Journey:
    """Return a stored version as leads follow it. Raises `Unreadable`."""
    try:
        document = _document(connection, version)
    except Permanent as error:
        raise Unreadable(version, "unknown") from error
    try:
        journey = load_stored(document)
    except Exception as error:  # whatever a document of newer code does to this one
        raise Unreadable(version, "invalid") from error
    return _same(journey, version)


def _same(journey: Journey, version: str) -> Journey:
    if journey.version != version:
        raise Unreadable(version, "other_version")
    return journey


_said: Final[dict[str, float]] = {}


def _say(error: Unreadable) -> None:
    """Log that a version cannot be read, once a minute in this process."""
    version = str(error.facts["version"])
    if time.monotonic() - _said.get(version, float("-inf")) >= _SAY_EVERY_S:
        _said[version] = time.monotonic()
        log.error("journey.unreadable", **error.facts)


def _sources(connection: Connection, version: str) -> set[str]:
    """Return the names of a version's sources, also of one that this code understands only as far as YAML goes."""
    document = _document(connection, version)
    try:
        return set(load_stored(document).sources)
    except JourneyInvalid:
        data = read(document).data
        named = data.get("sources") if isinstance(data, dict) else None
        return set(named if isinstance(named, dict) else Journey.model_fields["sources"].default)


def _refuse_shared(journey: Journey, other: str, sources: set[str]) -> None:
    shared = sorted(journey.sources.keys() & sources)
    if shared:
        names, have = ", ".join(shared), "is a source" if len(shared) == 1 else "are sources"
        raise Permanent(
            "source_claimed",
            f"{names} {have} of the active journey {other} already, and a source belongs to one journey. "
            f"Give {journey.name} other sources (without `sources` it has website and api), or take them from {other}.",
            sources=shared,
            journeys=[journey.name, other],
        )
