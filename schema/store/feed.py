"""
The event feed: committed events in one order that never changes, for whoever reads on from a cursor.

Order is (`tx`, `position`). Only events of transactions older than every running one are shown, so nothing can come in
behind a cursor later; a transaction that stays open holds the feed back, it never makes a hole in it. The pull feed and
the relay read the same rows with the same statements.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.errors import Permanent
from schema.events import PREFIX, TYPES, VERSION, cloud_event

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Connection

LARGEST_PAGE: Final = 1000
_LOOKED_AT: Final = 10_000
"""Events that one call looks at when it wants only some types: a rare type costs several calls, never a long one."""
_CURSOR: Final = re.compile(r"(0|[1-9][0-9]{0,19})\.(0|[1-9][0-9]{0,18})\Z")
_LARGEST_TX: Final = 2**64 - 1
_LARGEST_POSITION: Final = 2**63 - 1

_SETTLED: Final = """
(tx, position) > (CAST(:tx AS xid8), CAST(:position AS bigint)) AND tx < pg_snapshot_xmin(pg_current_snapshot())
"""
_COLUMNS: Final = "tx::text AS tx, position, lead_id, sequence, type, time, trace, data"
ALL: Final = text(f"SELECT {_COLUMNS} FROM event WHERE {_SETTLED} ORDER BY event.tx, position LIMIT :limit")  # noqa: S608 - our own text
_LAST_LOOKED_AT: Final = text(f"""
SELECT tx::text AS tx, position FROM (
    SELECT tx, position FROM event WHERE {_SETTLED} ORDER BY tx, position LIMIT :looked_at
) AS looked_at ORDER BY looked_at.tx DESC, position DESC LIMIT 1
""")  # noqa: S608 - our own text
_SOME: Final = text(f"""
SELECT {_COLUMNS} FROM event
WHERE (tx, position) > (CAST(:tx AS xid8), CAST(:position AS bigint))
  AND (tx, position) <= (CAST(:last_tx AS xid8), CAST(:last_position AS bigint))
  AND type = ANY(CAST(:types AS text[]))
ORDER BY event.tx, position LIMIT :limit
""")  # noqa: S608 - our own text
_BEGIN: Final = text("INSERT INTO consumer (name, updated_at) VALUES (:name, now()) ON CONFLICT DO NOTHING")
_REMEMBERED: Final = text("SELECT tx::text AS tx, position FROM consumer WHERE name = :name")
_REMEMBER: Final = text("""
UPDATE consumer SET tx = CAST(:tx AS xid8), position = :position, updated_at = now() WHERE name = :name
""")
_UNREAD: Final = text(f"""
SELECT count(*) AS events, min(time) AS since
FROM (SELECT time FROM event WHERE {_SETTLED} ORDER BY tx, position LIMIT :limit) AS unread
""")  # noqa: S608 - our own text


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the feed: behind the event at (`tx`, `position`). The default is before the first one."""

    tx: str = "0"
    position: int = 0

    def encode(self) -> str:
        """Return the cursor as readers keep it: opaque, safe in a URL."""
        return base64.urlsafe_b64encode(f"{self.tx}.{self.position}".encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, value: str) -> Cursor:
        """Read what `encode` wrote; empty is the beginning. Raises `Permanent` (`cursor_invalid`)."""
        if not value:
            return cls()
        found = _CURSOR.match(_from_base64(value))
        if not found or int(found[1]) > _LARGEST_TX or int(found[2]) > _LARGEST_POSITION:
            raise Permanent("cursor_invalid", "This is not a cursor of this feed.")
        return cls(found[1], int(found[2]))


@dataclass(frozen=True, slots=True)
class Page:
    """Some events as CloudEvents, in feed order, and where to read on: behind all that was looked at."""

    events: list[dict[str, Any]]
    next: Cursor


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a reader has not read: how many events (counted up to a limit) and when the first of them happened."""

    events: int
    since: datetime | None


def read(connection: Connection, after: Cursor, *, types: Collection[str] = (), limit: int = 100) -> Page:
    """
    Return the events behind `after`, at most `limit` (1 to 1000); only `types` (`noun.verb`) if there are any.

    A page may be empty and still have moved on, when none of the events looked at was of the wanted types. The two
    statements for `types` need no common snapshot: what is settled stays as it is.
    """
    place = {"tx": after.tx, "position": after.position}
    if not types:
        found = connection.execute(ALL, place | {"limit": limit}).all()
        return _page(found, after)
    last = connection.execute(_LAST_LOOKED_AT, place | {"looked_at": _LOOKED_AT}).one_or_none()
    if last is None:
        return Page([], after)
    bounds = {"last_tx": last.tx, "last_position": last.position, "types": list(types), "limit": limit}
    found = connection.execute(_SOME, place | bounds).all()
    return _page(found, after if len(found) == limit else Cursor(last.tx, last.position), full=len(found) == limit)


def type_names(wanted: str) -> list[str]:
    """
    Return the `noun.verb` of each type in a comma-separated list, which may be written in full.

    Raises `Permanent` (`type_unknown`); the unknown one is not repeated.
    """
    names = [part.strip().removeprefix(PREFIX).removesuffix(VERSION) for part in wanted.split(",") if part.strip()]
    if any(name not in TYPES for name in names):
        raise Permanent("type_unknown", f"The types are: {', '.join(TYPES)}.")
    return names


def remembered(connection: Connection, name: str) -> Cursor:
    """Return where the consumer `name` stands; one that is new stands at the beginning."""
    connection.execute(_BEGIN, {"name": name})
    row = connection.execute(_REMEMBERED, {"name": name}).one()
    return Cursor(row.tx, row.position)


def remember(connection: Connection, name: str, cursor: Cursor) -> None:
    """Keep where the consumer `name` stands now."""
    connection.execute(_REMEMBER, {"name": name, "tx": cursor.tx, "position": cursor.position})


def backlog(connection: Connection, name: str, limit: int) -> Backlog | None:
    """Return what the consumer `name` has not read, counted up to `limit`; None if it never read at all."""
    row = connection.execute(_REMEMBERED, {"name": name}).one_or_none()
    if row is None:
        return None
    found = connection.execute(_UNREAD, {"tx": row.tx, "position": row.position, "limit": limit}).one()
    return Backlog(found.events, found.since)


def _page(found: Any, otherwise: Cursor, *, full: bool = True) -> Page:  # noqa: ANN401 - result rows
    events = [
        cloud_event(
            name=row.type,
            lead_id=row.lead_id,
            sequence=row.sequence,
            time=row.time,
            trace=row.trace,
            data=row.data,
        )
        for row in found
    ]
    return Page(events, Cursor(found[-1].tx, found[-1].position) if found and full else otherwise)


def _from_base64(value: str) -> str:
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
