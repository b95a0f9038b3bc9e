"""Messages as people see them: listed by state, campaign or person, and one with all that became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.store.ids import is_id
from schema.store.sends import PARKED_UNTIL
from schema.tables.send import SEND_STATES

if TYPE_CHECKING:
    from sqlalchemy import Connection

_FIRST, _LAST = "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"
_COLUMNS: Final = """
s.id, s.state, s.reason, s.reply, s.journey_name, s.campaign, s.step, s.person_id, s.lead_id, s.planned_at,
NULLIF(s.due_at, CAST(:parked AS timestamptz)) AS due_at, s.claimed_at, s.settled_at, s.attempts
"""
_PAGE: Final = "ORDER BY s.id DESC LIMIT :most"
_ALL: Final = text(f"SELECT {_COLUMNS} FROM send AS s WHERE s.id < CAST(:before AS uuid) {_PAGE}")  # noqa: S608 - ours
# A few looks into the index for each campaign and state, however many messages there are; the whole order of the index
# is asked for, so that no other one will do. An index by state alone would be read by whoever claims and settles, too.
_BY_PLACE: Final = text(f"""
WITH RECURSIVE place AS (
    (SELECT journey_name, campaign FROM send ORDER BY journey_name, campaign, state, id LIMIT 1)
    UNION ALL
    SELECT later.journey_name, later.campaign FROM place AS p CROSS JOIN LATERAL (
        SELECT journey_name, campaign FROM send
        WHERE (journey_name, campaign) > (p.journey_name, p.campaign)
        ORDER BY journey_name, campaign, state, id LIMIT 1
    ) AS later
)
SELECT {_COLUMNS} FROM place AS p CROSS JOIN unnest(CAST(:states AS text[])) AS wanted(state) CROSS JOIN LATERAL (
    SELECT * FROM send AS o
    WHERE (o.journey_name, o.campaign, o.state, o.id)
        > (p.journey_name, p.campaign, wanted.state, CAST(:first AS uuid))
      AND (o.journey_name, o.campaign, o.state, o.id)
        < (p.journey_name, p.campaign, wanted.state, CAST(:before AS uuid))
    ORDER BY o.journey_name DESC, o.campaign DESC, o.state DESC, o.id DESC LIMIT :most
) AS s
WHERE (CAST(:campaign AS text) IS NULL OR p.campaign = :campaign)
  AND (CAST(:journey AS text) IS NULL OR p.journey_name = :journey)
{_PAGE}
""")  # noqa: S608 - our own text
_BY_PERSON: Final = text(f"""
WITH s AS MATERIALIZED (SELECT * FROM send WHERE person_id = CAST(:person AS uuid))
SELECT {_COLUMNS} FROM s
WHERE s.id < CAST(:before AS uuid) AND s.state = ANY(CAST(:states AS text[]))
  AND (CAST(:campaign AS text) IS NULL OR s.campaign = :campaign)
  AND (CAST(:journey AS text) IS NULL OR s.journey_name = :journey)
{_PAGE}
""")  # noqa: S608 - our own text
_ONE: Final = text(f"""
SELECT {_COLUMNS}, s.journey, s.template, s.enrolment_id, s.purpose, s.lane, s.links, s.consent_id,
    s.data ->> 'missing' AS missing, s.opened_at, s.clicked_at, s.replied_at, s.bounced_at, s.complained_at,
    s.unsubscribed_at,
    (SELECT m.message_id FROM message AS m
     WHERE m.lead_id = s.lead_id AND starts_with(m.message_id, s.id::text || '@') LIMIT 1) AS message_id
FROM send AS s WHERE s.id = CAST(:id AS uuid)
""")  # noqa: S608 - our own text
_HAPPENED: Final = ("opened", "clicked", "replied", "bounced", "complained", "unsubscribed")


def listed(
    connection: Connection,
    *,
    state: str | None = None,
    campaign: str | None = None,
    journey: str | None = None,
    person: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], str | None]:
    """
    Return messages, the newest first, and where the next page begins (None: there is none); no personal data.

    `due_at` is null, too, while a message waits for its campaign.
    """
    wanted = {
        "states": [state] if state else list(SEND_STATES),
        "campaign": campaign,
        "journey": journey,
        "person": person,
        "first": _FIRST,
        "before": cursor or _LAST,
        "parked": PARKED_UNTIL,
        "most": limit + 1,
    }
    by = _BY_PERSON if person else _BY_PLACE if campaign or journey or state else _ALL
    found = [dict(row) for row in connection.execute(by, wanted).mappings()]
    return found[:limit], found[limit - 1]["id"] if len(found) > limit else None


def shown(connection: Connection, send_id: str) -> dict[str, Any] | None:
    """
    Return one message: its columns, its `message_id` once it was claimed, and its `history`; None if there is none.

    `missing` is the field without which it could not be written. What its template got stays out: an invitation to
    confirm is as good as the confirmation.
    """
    if not is_id(send_id):
        return None
    row = connection.execute(_ONE, {"id": send_id, "parked": PARKED_UNTIL}).mappings().one_or_none()
    if row is None:
        return None
    found = dict(row)
    lane = found.pop("lane")
    return found | {"kind": "marketing" if lane else "service", "history": _history(found)}


def _history(found: dict[str, Any]) -> list[dict[str, Any]]:
    """What became of it, in order of time: `planned`, `claimed`, what it was settled as, and what came back."""
    known = [("planned", found["planned_at"], None), ("claimed", found["claimed_at"], None)]
    if found["settled_at"]:
        known.append((found["state"], found["settled_at"], found["reason"]))
    known += [(what, found[f"{what}_at"], None) for what in _HAPPENED]
    told = [{"at": at, "what": what, "reason": reason} for what, at, reason in known if at]
    return sorted(told, key=lambda each: each["at"])
