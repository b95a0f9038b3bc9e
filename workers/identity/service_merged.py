"""
Sales and service of people who turn out to be one: opportunities, tickets, contracts, follow-ups, surveys; and back.

All of it belongs to a lead, and is whose the lead is. Where a lead is parked it goes on with the other lead. What both
leads were to be asked or reminded of on the same occasion is done once: the parked lead's falls away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.store import handovers, rows
from schema.store.ids import uuid_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

_TABLES: Final = ("opportunity", "ticket", "contract", "follow_up", "survey")
_WAITS: Final = "timer"
_ABOUT: Final = ("follow_up", "survey")
"""Those that are about something, which may be the lead itself."""
_ABOUT_LEAD: Final = ", about_id = CASE WHEN x.about_kind = 'lead' THEN {lead} ELSE x.about_id END"
_PAIRS: Final = 'jsonb_to_recordset(CAST(:pairs AS jsonb)) AS r(id uuid, "into" uuid)'
_ASKED_TWICE: Final = {
    "follow_up": "x.rule IS NOT DISTINCT FROM o.rule AND x.occasion = o.occasion",
    "survey": "x.survey = o.survey AND x.occasion = o.occasion",
}
_FALLS_AWAY: Final = {
    "follow_up": text(f"""
        UPDATE follow_up AS x SET outcome = 'cancelled', reason = 'merged', done_at = :now
        FROM {_PAIRS} WHERE x.lead_id = r.id AND x.outcome IS NULL
        RETURNING x.id
    """),  # noqa: S608 - our own texts
    "survey": text(f"""
        UPDATE survey AS x SET state = 'cancelled', reason = 'merged'
        FROM {_PAIRS} WHERE x.lead_id = r.id AND x.state = 'planned'
        RETURNING x.id
    """),  # noqa: S608 - our own texts
}


def _onward(table: str) -> str:
    """What goes on with the other lead; what is asked there already stays."""
    about = _ABOUT_LEAD.format(lead='r."into"') if table in _ABOUT else ""
    twice = _ASKED_TWICE.get(table)
    unless = f'AND NOT EXISTS (SELECT FROM {table} AS o WHERE o.lead_id = r."into" AND {twice})' if twice else ""
    return f"""
        UPDATE {table} AS x SET lead_id = r."into"{about} FROM {_PAIRS}
        WHERE x.lead_id = r.id {unless} RETURNING x.id, r.id AS parked
    """  # noqa: S608 - our own names


_ONWARD: Final = {table: text(_onward(table)) for table in _TABLES}
_BACK: Final = {
    table: text(f"""
        UPDATE {table} AS x SET lead_id = r.lead_id{_ABOUT_LEAD.format(lead="r.lead_id") if table in _ABOUT else ""}
        FROM jsonb_to_recordset(CAST(:back AS jsonb)) AS r(id uuid, lead_id uuid) WHERE x.id = r.id
    """)  # noqa: S608 - our own names
    for table in _TABLES
}
# Opened since by an arrival that is the other's.
_OPENED_SINCE: Final = text("""
UPDATE ticket AS t SET lead_id = p.lead_id
FROM ticket_entry AS e JOIN touchpoint AS p ON p.id = e.touchpoint_id
WHERE t.lead_id = ANY(CAST(:leads AS uuid[])) AND e.ticket_id = t.id AND e.number <= 2 AND p.lead_id <> t.lead_id
  AND p.lead_id = ANY(CAST(:leads AS uuid[]))
""")
_WITH_TICKET: Final = {
    table: text(f"""
        UPDATE {table} AS x SET lead_id = t.lead_id FROM ticket AS t
        WHERE t.lead_id = ANY(CAST(:leads AS uuid[])) AND x.about_kind = 'ticket' AND x.about_id = t.id
          AND x.lead_id <> t.lead_id AND x.lead_id = ANY(CAST(:leads AS uuid[]))
    """)  # noqa: S608 - our own names
    for table in _ABOUT
}
_OF_LEADS: Final = {
    table: text(f"""
        UPDATE {table} AS x SET person_id = l.person_id FROM lead AS l
        WHERE l.id = ANY(CAST(:leads AS uuid[])) AND x.lead_id = l.id AND x.person_id <> l.person_id
    """)  # noqa: S608 - our own names
    for table in _TABLES
}
_TIMERS: Final = {
    table: text(f"""
        UPDATE timer AS t SET lead_id = x.lead_id FROM {table} AS x
        WHERE x.lead_id = ANY(CAST(:leads AS uuid[])) AND t.id = x.id AND t.lead_id <> x.lead_id
    """)  # noqa: S608 - our own names
    for table in _TABLES
}
# A lead's own timer, for whether its customer still buys, goes over too; what is so is asked when it goes off.
_WAIT_ONWARD: Final = text(f"""
WITH gone AS (DELETE FROM timer AS t USING {_PAIRS} WHERE t.id = r.id RETURNING t.id, t.kind, t.due_at, r."into")
INSERT INTO timer AS own (id, kind, lead_id, due_at)
SELECT "into", min(kind), "into", min(due_at) FROM gone GROUP BY "into" ORDER BY "into"
ON CONFLICT (id) DO UPDATE SET due_at = LEAST(own.due_at, EXCLUDED.due_at), attempts = 0
RETURNING (SELECT jsonb_object_agg(gone.id, gone."into") FROM gone) AS over
""")  # noqa: S608 - our own texts
_WAIT_BACK: Final = text("""
INSERT INTO timer (id, kind, lead_id, due_at)
SELECT r.id, 'contract', r.id, COALESCE(t.due_at, :now)
FROM jsonb_to_recordset(CAST(:back AS jsonb)) AS r(id uuid, "from" uuid) LEFT JOIN timer AS t ON t.id = r."from"
ORDER BY r.id ON CONFLICT (id) DO NOTHING
""")
_HANDED_OVER: Final = {
    table: text(f"""
        UPDATE handover AS h SET lead_id = x.lead_id FROM {table} AS x
        WHERE x.lead_id = ANY(CAST(:leads AS uuid[])) AND h.about_id = x.id AND h.lead_id <> x.lead_id
    """)  # noqa: S608 - our own names
    for table in ("opportunity", "ticket", "follow_up")
}
_NO_TIMERS: Final = text("DELETE FROM timer WHERE id = ANY(CAST(:ids AS uuid[]))")


def merged(
    connection: Connection, whose: Mapping[str, str], parked: Mapping[str, str], now: datetime
) -> dict[str, dict[str, str]]:
    """
    Have what belongs to `leads` that went over be their person's, and what belongs to those `parked` go on in others.

    Their leads are locked, and the survivor's already. Returns, by table, what went over with the lead that it was of;
    as `timer`, the leads whose own one went over, with the lead that has it now.
    """
    for statement in _OF_LEADS.values():
        connection.execute(statement, {"leads": whose["leads"]})
    if not parked:
        return {}
    pairs = {"pairs": rows.as_json([{"id": lead, "into": into} for lead, into in sorted(parked.items())])}
    moved: dict[str, dict[str, str]] = {}
    for table, statement in _ONWARD.items():
        if over := {row.id: row.parked for row in connection.execute(statement, pairs)}:
            moved[table] = over
    gone: list[str] = []
    for statement in _FALLS_AWAY.values():
        gone += connection.execute(statement, pairs | {"now": now}).scalars()
    if gone:
        connection.execute(_NO_TIMERS, {"ids": uuid_array(gone)})
    handovers.end(connection, [*parked, *gone], now)
    if waits := connection.execute(_WAIT_ONWARD, pairs).scalars().first():
        moved[_WAITS] = waits
    _follow(connection, parked.values())
    return moved


def parted(
    connection: Connection,
    moved: Mapping[str, Any],
    goes_on: Mapping[str, str],
    leads: Iterable[str],
    now: datetime,
) -> None:
    """
    Give back what went over, and what was opened since to whose arrival opened it.

    `goes_on` are the parked leads that stay closed, each with the lead in which it goes on instead. All `leads` and
    their touchpoints are whose they are to be again. What fell away stays away.
    """
    of_leads = {"leads": uuid_array(leads)}
    for table, over in moved.items():
        if table == _WAITS:
            waits = [{"id": goes_on.get(lead, lead), "from": into} for lead, into in sorted(over.items())]
            connection.execute(_WAIT_BACK, {"back": rows.as_json(waits), "now": now})
            continue
        back = [{"id": each, "lead_id": goes_on.get(lead, lead)} for each, lead in sorted(over.items())]
        connection.execute(_BACK[table], {"back": rows.as_json(back)})
    connection.execute(_OPENED_SINCE, of_leads)
    for statement in (*_WITH_TICKET.values(), *_OF_LEADS.values()):
        connection.execute(statement, of_leads)
    _follow(connection, leads)


def _follow(connection: Connection, leads: Iterable[str]) -> None:
    """Have timers and hand-overs be those of the leads that their things belong to."""
    for statement in (*_TIMERS.values(), *_HANDED_OVER.values()):
        connection.execute(statement, {"leads": uuid_array(leads)})
