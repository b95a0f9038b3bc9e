"""Putting events into the outbox where no batch has their leads in hand: set-based, each next in its lead's order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from schema.events import name_of
from schema.store import rows

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection

    from schema.events import Event

# A lead that is gone has nobody to hear of it.
_TELL: Final = text("""
WITH told AS (
    SELECT r.*, row_number() OVER (PARTITION BY lead_id ORDER BY place) AS nth
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(place integer, lead_id uuid, type text, data jsonb)
), counted AS (
    UPDATE lead AS l SET events = l.events + n.many, event_tx = pg_current_xact_id()
    FROM (SELECT lead_id, count(*) AS many FROM told GROUP BY lead_id) AS n
    WHERE l.id = n.lead_id RETURNING l.id, l.events - n.many AS before
)
INSERT INTO event (lead_id, sequence, type, time, data)
SELECT t.lead_id, c.before + t.nth, t.type, :now, t.data
FROM told AS t JOIN counted AS c ON c.id = t.lead_id ORDER BY t.place
""")


def tell(connection: Connection, told: Iterable[tuple[str, Event]], now: datetime) -> None:
    """Tell events of leads, in this order; whoever does has locked them, and no younger transaction told of them."""
    found = [
        {"place": place, "lead_id": lead_id, "type": name_of(event), "data": event}
        for place, (lead_id, event) in enumerate(told)
    ]
    if found:
        connection.execute(_TELL, {"rows": rows.as_json(found), "now": now})
