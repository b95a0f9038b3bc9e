"""
The audit of what goes out: who is under way in a campaign, and messages of ours, held against what stands behind them.

    enrolment_stray      under way, and its lead, or its campaign in the version it follows, is not there; or due for an
                         hour, in a campaign that goes on, and nobody touched it
    enrolment_forgotten  under way, and neither due, nor waiting for a message that is still to be settled, nor in an
                         open dead letter: nothing will take it further
    message_unfounded    a message of ours to somebody, without the send that claimed it

Who is due is found whenever they entered; the rest is looked for among those who entered, and messages that were
planned, in the slices of time that are looked at. Whose lead goes later is found when they are due at the latest.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from schema.store.audit import MOST_NAMED
from schema.store.campaigns import STANDS_STILL, UNDER_WAY
from schema.store.ids import uuid_array
from schema.store.ops import first_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from schema.store.audit import Look
    from schema.store.journeys import JourneyBook

UNTOUCHED: Final = timedelta(hours=1)
"""Who has been due for longer than that was passed over."""
_MOST_COUNTED: Final = 10_000

_DUE: Final = text(f"""
WITH RECURSIVE {UNDER_WAY}
SELECT late.id FROM under_way AS c CROSS JOIN LATERAL (
    SELECT e.id, e.due_at FROM enrolment AS e
    WHERE e.journey_name = c.journey_name AND e.campaign = c.campaign AND e.due_at < :before
    ORDER BY e.due_at LIMIT :most
) AS late
WHERE NOT {STANDS_STILL.format(of="c")}
ORDER BY late.due_at LIMIT :most
""")  # noqa: S608 - our own text
_SEEN: Final = """
e.outcome IS NULL AND e.id IN (
    SELECT id FROM enrolment WHERE id >= CAST(:first AS uuid) AND id < CAST(:last AS uuid)
  UNION
    SELECT unnest(CAST(:again AS uuid[]))
)
"""
_FOLLOWED: Final = text(f"SELECT DISTINCT e.journey, e.campaign FROM enrolment AS e WHERE {_SEEN}")  # noqa: S608 - ours
_ENROLMENTS: Final = text(f"""
SELECT kind, id FROM (
    SELECT e.id, CASE
        WHEN l.id IS NULL OR j.version IS NULL OR (e.journey, e.campaign) IN (
            SELECT * FROM unnest(CAST(:versions AS text[]), CAST(:campaigns AS text[]))
        ) THEN 'enrolment_stray'
        WHEN e.due_at IS NULL AND d.subject_id IS NULL AND (
            SELECT true FROM send AS s WHERE s.person_id = e.person_id AND s.enrolment_id = e.id
              AND s.state IN ('planned', 'sending', 'unknown') LIMIT 1
        ) IS NULL THEN 'enrolment_forgotten'
    END AS kind
    FROM enrolment AS e
    LEFT JOIN lead AS l ON l.id = e.lead_id
    LEFT JOIN journey AS j ON j.version = e.journey
    LEFT JOIN dead_letter AS d ON d.subject_id = e.id AND d.resolved_at IS NULL
    WHERE {_SEEN}
) AS seen WHERE kind IS NOT NULL ORDER BY kind, id
""")  # noqa: S608 - our own text
# The name of a message of ours begins with the id of its send, so that a range of time is a range of the key here, too.
_MESSAGES: Final = text("""
SELECT CAST(left(m.message_id, 36) AS uuid) AS id FROM message AS m
WHERE m.message_id >= :first AND m.message_id < :last AND m.direction = 'out'
  AND m.message_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}@'
  AND NOT EXISTS (
      SELECT FROM send AS s
      WHERE s.claimed_at IS NOT NULL AND s.id = CASE
          WHEN m.message_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}@' THEN CAST(left(m.message_id, 36) AS uuid)
      END
  )
ORDER BY m.message_id
""")


def examine(
    connection: Connection,
    look: Look,
    since: datetime,
    until: datetime,
    book: JourneyBook,
    *,
    again: Sequence[str] = (),
) -> None:
    """Look at who entered campaigns from `since` to `until`, and at messages of that time; and at some `again`."""
    given = {"first": first_id(since), "last": first_id(until), "again": uuid_array(again)}
    followed = connection.execute(_FOLLOWED, given).all()
    gone = [row for row in followed if not _there(connection, book, row.journey, row.campaign)]
    places = {"versions": [row.journey for row in gone], "campaigns": [row.campaign for row in gone]}
    for row in connection.execute(_ENROLMENTS, given | places):
        look.lost(row.kind, [row.id])
    for row in connection.execute(_MESSAGES, given):
        look.lost("message_unfounded", [row.id])


def untouched(connection: Connection, look: Look, now: datetime) -> None:
    """Find who has been due for too long; counted up to a limit."""
    wanted = {"before": now - UNTOUCHED, "most": _MOST_COUNTED}
    known = set(look.found["enrolment_stray"])
    late = [each for each in connection.execute(_DUE, wanted).scalars() if each not in known]
    if late:
        look.lost("enrolment_stray", late[:MOST_NAMED], len(late))


def _there(connection: Connection, book: JourneyBook, version: str, campaign: str) -> bool:
    """Whether a version has a campaign; one that this code cannot read may have."""
    return not book.readable(connection, version) or campaign in book.version(connection, version).campaigns
