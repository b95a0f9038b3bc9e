"""
Campaigns of people who turn out to be one: whose enrolments and messages are whose, and the way back.

An enrolment goes over to the survivor, unless the survivor is or was in the same campaign on the same occasion: then
the one of the person who is merged ends, and nothing is sent to both. What was sent stays counted once for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.store.ids import uuid_array

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

_ENROLMENTS: Final = text("""
UPDATE enrolment AS e SET person_id = :survivor
WHERE e.person_id = :merged AND NOT EXISTS (
    SELECT FROM enrolment AS o
    WHERE o.person_id = :survivor AND o.journey_name = e.journey_name AND o.campaign = e.campaign
      AND (o.entry_key = e.entry_key OR (o.outcome IS NULL AND e.outcome IS NULL))
) RETURNING id
""")
_ENDED: Final = text("""
UPDATE enrolment SET outcome = 'exited', reason = 'merged', ended_at = :now, step = NULL, due_at = NULL
WHERE person_id = :merged AND outcome IS NULL
""")
_SENDS: Final = text("""
UPDATE send AS s SET person_id = :survivor
WHERE s.person_id = :merged AND NOT EXISTS (
    SELECT FROM send AS o
    WHERE o.person_id = :survivor AND o.journey_name = s.journey_name AND o.campaign = s.campaign
      AND o.step = s.step AND o.entry_key = s.entry_key
) AND NOT EXISTS (SELECT FROM enrolment AS e WHERE e.id = s.enrolment_id AND e.person_id = :merged)
RETURNING id
""")
_LEFT: Final = text("""
UPDATE send SET state = 'skipped', reason = 'merged', due_at = NULL, settled_at = :now
WHERE person_id = :merged AND state = 'planned'
""")
_BACK: Final = {
    "enrolments": text("UPDATE enrolment SET person_id = :merged WHERE id = ANY(CAST(:ids AS uuid[]))"),
    "sends": text("UPDATE send SET person_id = :merged WHERE id = ANY(CAST(:ids AS uuid[]))"),
}


def merged(connection: Connection, whose: Mapping[str, str], now: datetime) -> dict[str, list[str]]:
    """Give the `survivor` what is under way for the `merged`, whose leads are locked; return what went over, by id."""
    people = {"survivor": whose["survivor"], "merged": whose["merged"]}
    enrolments = list(connection.execute(_ENROLMENTS, people).scalars())
    ending = {"merged": whose["merged"], "now": now}
    connection.execute(_ENDED, ending)
    sends = list(connection.execute(_SENDS, people).scalars())
    connection.execute(_LEFT, ending)
    return {"enrolments": enrolments, "sends": sends}


def parted(connection: Connection, person: str, moved: Mapping[str, Any]) -> None:
    """Give back what went over. What ended because of the merge stays over: nothing is begun again by itself."""
    for name, statement in _BACK.items():
        if ids := moved.get(name):
            connection.execute(statement, {"merged": person, "ids": uuid_array(ids)})
