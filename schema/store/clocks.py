"""
Clocks in the database: what was promised about tickets, the pauses, and how both are shown.

Every statement finds its rows by the ticket's id, or by the version that running clocks are counted by.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import sla, tables
from schema.errors import Permanent
from schema.journey.service import METRICS
from schema.sla import Clock, Pause, Rule
from schema.store import rows
from schema.store.ids import is_id, uuid_array
from schema.store.journeys import JourneyBook

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

_CLOCKS: Final = text("""
SELECT ticket_id, metric, cycle, journey, policy, desk, target_s, started_at, due_at, state, told, stopped_at, worked_s
FROM ticket_clock WHERE ticket_id = ANY(CAST(:ids AS uuid[])) ORDER BY ticket_id, started_at, metric, cycle
""")
_PAUSES: Final = text("""
SELECT ticket_id, from_at, to_at, status FROM ticket_pause
WHERE ticket_id = ANY(CAST(:ids AS uuid[])) ORDER BY ticket_id, from_at
""")
_DUE: Final = text("""
SELECT c.due_at, c.ticket_id, c.metric, c.cycle, t.number, t.lead_id, t.kind, t.priority, t.status, t.desk, t.owner
FROM ticket_clock AS c JOIN ticket AS t ON t.id = c.ticket_id
WHERE c.stopped_at IS NULL AND c.due_at IS NOT NULL
  AND (CAST(:before AS timestamptz) IS NULL OR c.due_at <= CAST(:before AS timestamptz))
  AND (c.due_at, c.ticket_id, c.metric) > (CAST(:due_at AS timestamptz), CAST(:ticket_id AS uuid), :metric)
ORDER BY c.due_at, c.ticket_id, c.metric LIMIT :most
""")
_START: Final = (datetime.min.replace(tzinfo=UTC), "00000000-0000-0000-0000-000000000000", "")
_BOOK: Final = JourneyBook()
"""Versions never change: what this process has read once is good for ever."""
LARGEST_PAGE: Final = 200
_ON_CLOCK: Final = (
    "ON CONFLICT (ticket_id, metric, cycle) DO UPDATE SET journey = EXCLUDED.journey, policy = EXCLUDED.policy, "
    "desk = EXCLUDED.desk, target_s = EXCLUDED.target_s, due_at = EXCLUDED.due_at, state = EXCLUDED.state, "
    "told = EXCLUDED.told, stopped_at = EXCLUDED.stopped_at, worked_s = EXCLUDED.worked_s"
)
_ON_PAUSE: Final = "ON CONFLICT (ticket_id, from_at) DO UPDATE SET to_at = EXCLUDED.to_at, status = EXCLUDED.status"

Kept = tuple[list[Clock], list[Pause]]


def read(connection: Connection, ticket_ids: Iterable[str]) -> dict[str, Kept]:
    """Return the clocks and the pauses of each of these tickets, oldest first; nothing for one that has none."""
    wanted = {"ids": uuid_array(ticket_ids)}
    found: dict[str, Kept] = {}
    for row in connection.execute(_CLOCKS, wanted).mappings():
        values = {name: row[name] for name in Clock.__struct_fields__}
        found.setdefault(row["ticket_id"], ([], []))[0].append(Clock(**values | {"told": tuple(row["told"])}))
    for row in connection.execute(_PAUSES, wanted).mappings():
        pause = Pause(row["from_at"], row["to_at"], row["status"])
        found.setdefault(row["ticket_id"], ([], []))[1].append(pause)
    return found


def write(connection: Connection, clocks: Iterable[tuple[str, Clock]], pauses: Iterable[tuple[str, Pause]]) -> None:
    """Keep these clocks and pauses of tickets as they are now, in one statement."""
    fields = Clock.__struct_fields__
    kept = [{"ticket_id": ticket, **{name: getattr(clock, name) for name in fields}} for ticket, clock in clocks]
    stays = [{"ticket_id": ticket, **pause._asdict()} for ticket, pause in pauses]
    rows.together(
        connection,
        rows.Write(tables.ticket_clock, kept, f"ORDER BY ticket_id, metric, cycle {_ON_CLOCK}"),
        rows.Write(tables.ticket_pause, stays, f"ORDER BY ticket_id, from_at {_ON_PAUSE}"),
    )


def rule(book: JourneyBook, connection: Connection, version: str, policy: str, desk: str | None) -> Rule:
    """Return the rule that a clock is counted by; its version has the policy, for versions never change."""
    found = sla.rule(book.version(connection, version), policy, desk)
    assert found is not None  # noqa: S101 - it began by it
    return found


def shown(connection: Connection, ticket_ids: Sequence[str], now: datetime) -> dict[str, list[dict[str, Any]]]:
    """
    Return the clocks of each of these tickets as people are shown them, oldest first; an empty list for none.

    `elapsed_s` is the working time that is over, `left_s` what is left of `target_s`, negative once it is exceeded; a
    clock that is stopped has none left. `paused_since` says since when it stands still. `state` is as of `now`, also
    where a timer has not gone off yet. `why` is the condition of the policy, the first one that held.
    """
    kept = read(connection, ticket_ids)
    found: dict[str, list[dict[str, Any]]] = {}
    for ticket in ticket_ids:
        clocks, pauses = kept.get(ticket, ([], []))
        found[ticket] = [
            _shown(clock, pauses, rule(_BOOK, connection, clock.journey, clock.policy, clock.desk), now)
            for clock in clocks
        ]
    return found


def due(
    connection: Connection, now: datetime, *, before: datetime | None = None, cursor: str | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    """
    Return one page of the clocks that run, each with its ticket, by when they are due, and where the next one begins.

    Those that are breached come first, the longest ago before all. `before`: only what is due by then; what stands
    still is not due.

    :raises Permanent: `cursor_invalid`
    """
    place = dict(zip(("due_at", "ticket_id", "metric"), _place(cursor) if cursor else _START, strict=True))
    wanted = place | {"before": before, "most": limit + 1}
    found = list(connection.execute(_DUE, wanted).mappings())
    clocks = {
        (ticket, clock["metric"], clock["cycle"]): clock
        for ticket, each in shown(connection, list({row["ticket_id"] for row in found}), now).items()
        for clock in each
    }
    items = [
        {"ticket": {**row, "id": row["ticket_id"]}, **clocks[row["ticket_id"], row["metric"], row["cycle"]]}
        for row in found[:limit]
    ]
    for item in items:
        for name in ("due_at", "ticket_id", "metric", "cycle"):
            del item["ticket"][name]
    if len(found) <= limit:
        return items, None
    last = found[limit - 1]
    return items, f"{last['due_at'].isoformat()}~{last['ticket_id']}~{last['metric']}".replace("+00:00", "Z")


def _place(cursor: str) -> tuple[datetime, str, str]:
    try:
        at, ticket, metric = cursor.split("~")
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise Permanent("cursor_invalid", "This is not a cursor of this list.") from None
    if moment.tzinfo is None or not is_id(ticket) or metric not in METRICS:
        raise Permanent("cursor_invalid", "This is not a cursor of this list.")
    return moment, ticket, metric


def _shown(clock: Clock, pauses: Sequence[Pause], by: Rule, now: datetime) -> dict[str, Any]:
    time = sla.over(clock.started_at, pauses, by, clock.stopped_at or now)
    elapsed_s = clock.worked_s if clock.worked_s is not None else time // timedelta(seconds=1)
    still = clock.running and sla.stands_still(pauses, by)
    return {
        "metric": clock.metric,
        "cycle": clock.cycle,
        "state": clock.state if clock.stopped_at else sla.state(clock, by, time),
        "started_at": clock.started_at,
        "due_at": clock.due_at,
        "stopped_at": clock.stopped_at,
        "paused_since": pauses[-1].from_at if still else None,
        "target_s": clock.target_s,
        "elapsed_s": elapsed_s,
        "left_s": clock.target_s - elapsed_s if clock.running else None,
        "told": list(clock.told),
        "policy": clock.policy,
        "label": by.sla.label,
        "why": by.sla.when.source if by.sla.when else None,
        "hours": by.whose,
        "journey": clock.journey,
    }
