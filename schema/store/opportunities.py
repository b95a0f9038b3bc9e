"""
Opportunities as they are read: one, many, the pipeline at a glance, and what happened to those that figures rest on.

Ids in, rows out; every statement finds its rows by an index. Amounts of two currencies are never added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.errors import Permanent
from schema.journey.fields import instead
from schema.store.ids import uuid_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from schema.journey import Journey
    from schema.journey.pipeline import Pipeline
    from schema.store.journeys import JourneyBook

LARGEST_PAGE: Final = 200
WINDOW: Final = 2_000
"""The latest decided opportunities of a pipeline that probabilities and forecasts rest on, at most."""
QUIET_WINDOW: Final = 500
"""The same for how long nothing may happen: touchpoints are read as well."""

# What a person does is something that happens to their open opportunities: who is quiet is looked up where it is asked.
_SHOWN: Final = """
SELECT o.*, COALESCE(o.owner, l.owner) AS worked_by, GREATEST(o.touched_at, heard.at) AS heard_at,
       CASE WHEN o.quiet_since >= COALESCE(heard.at, o.quiet_since) THEN o.quiet_since END AS quiet
FROM opportunity AS o JOIN lead AS l ON l.id = o.lead_id LEFT JOIN LATERAL (
    SELECT t.occurred_at AS at FROM touchpoint AS t
    WHERE o.outcome IS NULL AND t.lead_id = o.lead_id AND t.occurred_at > o.touched_at AND NOT t.data ? 'machine'
    ORDER BY t.occurred_at DESC LIMIT 1
) AS heard ON true
"""
_CONDITIONS: Final = {
    "open": "o.outcome IS NULL",
    "won": "o.outcome = 'won'",
    "lost": "o.outcome = 'lost'",
    "pipeline": "o.pipeline = :pipeline",
    "journey": "o.journey_name = :journey",
    "stage": "o.stage = :stage",
    "lead": "o.lead_id = CAST(:lead AS uuid)",
    "owner": """o.id = ANY(ARRAY(
        SELECT own.id FROM opportunity AS own WHERE own.owner = :owner
        UNION ALL
        SELECT theirs.id FROM lead AS of JOIN opportunity AS theirs ON theirs.lead_id = of.id
        WHERE of.owner = :owner AND theirs.owner IS NULL
    ))""",
    "cursor": "o.id < CAST(:cursor AS uuid)",
}
_BY_ID: Final = text(f"{_SHOWN} WHERE o.id = CAST(:id AS uuid)")
_CHANGES: Final = text("""
SELECT number, at, actor, what, from_stage, to_stage, stayed_s, amount, currency, data
FROM opportunity_change WHERE opportunity_id = CAST(:id AS uuid) ORDER BY number
""")
_OF_LEADS: Final = text("SELECT * FROM opportunity WHERE lead_id = ANY(CAST(:ids AS uuid[])) ORDER BY id")
_OPEN: Final = text("SELECT * FROM opportunity WHERE id = ANY(CAST(:ids AS uuid[])) AND outcome IS NULL ORDER BY id")
_SOME: Final = text("SELECT * FROM opportunity WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id")
_ONE_OF_LEAD: Final = text(
    "SELECT * FROM opportunity WHERE id = CAST(:id AS uuid) AND lead_id = CAST(:lead AS uuid) FOR UPDATE"
)
_LEAD: Final = text("SELECT lead_id FROM opportunity WHERE id = CAST(:id AS uuid)")
_SOLD: Final = text("""
SELECT DISTINCT ON (p.lead_id) p.lead_id, p.amount, p.currency, p.products
FROM jsonb_to_recordset(CAST(:leads AS jsonb)) AS r(lead_id uuid, person_id uuid, since timestamptz)
JOIN purchase AS p ON p.person_id = r.person_id AND p.lead_id = r.lead_id
WHERE p.recorded_at >= r.since AND p.kind <> 'refund' ORDER BY p.lead_id, p.at DESC, p.id DESC
""")
# The latest that were decided, and those that are open; who was won the moment it was opened was never worked on.
_PICKED: Final = """
picked AS MATERIALIZED (
    (
        SELECT id, lead_id, opened_at, closed_at FROM opportunity
        WHERE journey_name = :journey AND pipeline = :pipeline AND outcome IS NOT NULL AND closed_at <= :now
          AND closed_at > opened_at
        ORDER BY closed_at DESC LIMIT :most
    ) UNION ALL (
        SELECT id, lead_id, opened_at, closed_at FROM opportunity
        WHERE journey_name = :journey AND pipeline = :pipeline AND outcome IS NULL AND opened_at <= :now
        ORDER BY id DESC LIMIT :most
    )
)
"""
_HISTORY: Final = text(f"""
WITH {_PICKED}
SELECT c.opportunity_id AS id, c.at, c.what, c.to_stage AS stage
FROM picked JOIN opportunity_change AS c ON c.opportunity_id = picked.id
WHERE c.what <> 'changed' AND c.at <= :now ORDER BY c.opportunity_id, c.number
""")  # noqa: S608 - our own text
_HAPPENED: Final = text(f"""
WITH {_PICKED}
SELECT id, at, what, stage FROM (
    SELECT c.opportunity_id AS id, c.at, c.what, c.to_stage AS stage, c.number
    FROM picked JOIN opportunity_change AS c ON c.opportunity_id = picked.id WHERE c.at <= :now
    UNION ALL
    SELECT picked.id, heard.at, 'heard', NULL, 0 FROM picked CROSS JOIN LATERAL (
        SELECT t.occurred_at AS at FROM touchpoint AS t
        WHERE t.lead_id = picked.lead_id AND t.occurred_at > picked.opened_at
          AND t.occurred_at < COALESCE(picked.closed_at, :now) AND NOT t.data ? 'machine'
        ORDER BY t.occurred_at DESC LIMIT 500
    ) AS heard
) AS happened ORDER BY id, at, number
""")  # noqa: S608 - our own text
_DECIDED: Final = text("""
WITH decided AS MATERIALIZED (
    SELECT id, outcome FROM opportunity
    WHERE journey_name = :journey AND pipeline = :pipeline AND outcome IS NOT NULL AND closed_at <= :now
      AND closed_at > opened_at
    ORDER BY closed_at DESC LIMIT :most
)
SELECT stage, count(*) AS decided, count(*) FILTER (WHERE outcome = 'won') AS won FROM (
    SELECT DISTINCT d.id, d.outcome, c.to_stage AS stage
    FROM decided AS d JOIN opportunity_change AS c ON c.opportunity_id = d.id
) AS visited GROUP BY stage
""")
_FORECAST: Final = text("""
SELECT o.id, o.stage, o.stage_since, o.amount, o.currency, o.probability, o.expected_close,
       COALESCE(o.owner, l.owner) AS owner
FROM opportunity AS o JOIN lead AS l ON l.id = o.lead_id
WHERE o.journey_name = :journey AND o.pipeline = :pipeline AND o.outcome IS NULL AND NOT l.test ORDER BY o.id
""")
_SOLD_SINCE: Final = text("""
SELECT o.currency, o.stage, COALESCE(o.owner, l.owner) AS owner, sum(o.amount) AS amount, count(*) AS count
FROM opportunity AS o JOIN lead AS l ON l.id = o.lead_id
WHERE o.journey_name = :journey AND o.pipeline = :pipeline AND o.outcome = 'won' AND o.closed_at >= :since
  AND o.closed_at <= :now AND o.amount IS NOT NULL AND NOT l.test
GROUP BY o.currency, o.stage, COALESCE(o.owner, l.owner)
""")
_STAGES: Final = text("""
SELECT o.stage, o.currency, count(*) AS count, sum(o.amount) AS amount,
       count(*) FILTER (WHERE o.amount IS NOT NULL) AS with_amount, min(o.stage_since) AS oldest,
       count(*) FILTER (WHERE o.quiet_since IS NOT NULL) AS quiet
FROM opportunity AS o JOIN lead AS l ON l.id = o.lead_id
WHERE o.journey_name = :journey AND o.pipeline = :pipeline AND o.outcome IS NULL
  AND (CAST(:owner AS text) IS NULL OR COALESCE(o.owner, l.owner) = :owner)
GROUP BY o.stage, o.currency ORDER BY o.stage, o.currency
""")


@dataclass(frozen=True, slots=True)
class Place:
    """A pipeline of an active journey."""

    journey: Journey
    name: str

    @property
    def pipeline(self) -> Pipeline:
        """Its stages and what follows."""
        return self.journey.pipelines[self.name]

    @property
    def key(self) -> dict[str, Any]:
        """Parameters of the statements that are about it."""
        return {"journey": self.journey.name, "pipeline": self.name}


def find(connection: Connection, book: JourneyBook, name: str | None = None, journey_name: str | None = None) -> Place:
    """
    Return the pipeline of that name, of the journey named; what is not named has to be the only one there is.

    :raises Permanent: `pipeline_unknown`; `pipeline_not_named`, there are several
    """
    there = [
        Place(journey, each)
        for journey in book.active(connection)
        if journey_name in {None, journey.name}
        for each in journey.pipelines
    ]
    found = [place for place in there if name in {None, place.name}]
    names = sorted({place.name for place in there})
    if not found:
        none = "; the active journeys have none (`pipelines` in the journey file)."
        words = f"There is no such pipeline{instead(name or '', names) if names else none}"
        raise Permanent("pipeline_unknown", words, known=names)
    if len(found) > 1:
        which = ", ".join(f"{place.name} of {place.journey.name}" for place in found)
        raise Permanent("pipeline_not_named", f"There are several ({which}): name the pipeline and the journey.")
    return found[0]


# -- one and many ------------------------------------------------------------------------------------------------------


def listed(connection: Connection, *, limit: int, status: str | None, **wanted: str | None) -> list[Row[Any]]:
    """Return a page, the latest first; `wanted` may be `pipeline`, `journey`, `stage`, `owner`, `lead` and `cursor`."""
    given = {name: value for name, value in wanted.items() if value is not None}
    conditions = [_CONDITIONS[name] for name in ([status] if status else []) + list(given)]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    # Only the rows of the page are looked at closely.
    page = f"(SELECT * FROM opportunity AS o {where} ORDER BY o.id DESC LIMIT :limit)"  # noqa: S608 - our own texts
    statement = text(_SHOWN.replace("FROM opportunity AS o", f"FROM {page} AS o", 1) + " ORDER BY o.id DESC")
    return list(connection.execute(statement, given | {"limit": limit}))


def one(connection: Connection, opportunity_id: str) -> Row[Any] | None:
    """Return one, or None."""
    return connection.execute(_BY_ID, {"id": opportunity_id}).one_or_none()


def changes_of(connection: Connection, opportunity_id: str) -> list[dict[str, Any]]:
    """Return everything that was changed of one, in order."""
    return [dict(row) for row in connection.execute(_CHANGES, {"id": opportunity_id}).mappings()]


def lead_of(connection: Connection, opportunity_id: str) -> str | None:
    """Return whose it is now; None: there is no such opportunity."""
    found: str | None = connection.execute(_LEAD, {"id": opportunity_id}).scalar_one_or_none()
    return found


def in_hand(connection: Connection, opportunity_id: str, lead_id: str) -> dict[str, Any] | None:
    """Return one of a lead that is locked, or None: it is not the lead's."""
    found = connection.execute(_ONE_OF_LEAD, {"id": opportunity_id, "lead": lead_id}).mappings().one_or_none()
    return dict(found) if found else None


def of_leads(connection: Connection, lead_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return all of these leads, the oldest first."""
    wanted = uuid_array(lead_ids)
    return [dict(row) for row in connection.execute(_OF_LEADS, {"ids": wanted}).mappings()] if wanted != "{}" else []


def some(connection: Connection, ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return these."""
    return [dict(row) for row in connection.execute(_SOME, {"ids": uuid_array(ids)}).mappings()]


def still_open(connection: Connection, ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return those of these that are open."""
    return [dict(row) for row in connection.execute(_OPEN, {"ids": uuid_array(ids)}).mappings()]


def sold(connection: Connection, leads: str) -> dict[str, Row[Any]]:
    """Return the latest sale of each lead since a moment; `leads` is JSON of `lead_id`, `person_id` and `since`."""
    return {row.lead_id: row for row in connection.execute(_SOLD, {"leads": leads})}


# -- what figures rest on ----------------------------------------------------------------------------------------------


def history(connection: Connection, journey: str, pipeline: str, now: datetime) -> Sequence[Row[Any]]:
    """Return what happened to the latest decided and the open ones until `now`: `id, at, what, stage`, in order."""
    given = {"journey": journey, "pipeline": pipeline, "now": now, "most": WINDOW}
    return connection.execute(_HISTORY, given).all()


def happened(connection: Connection, journey: str, pipeline: str, now: datetime) -> Sequence[Row[Any]]:
    """Return the same of fewer, with every change and what their people did."""
    given = {"journey": journey, "pipeline": pipeline, "now": now, "most": QUIET_WINDOW}
    return connection.execute(_HAPPENED, given).all()


def decided(connection: Connection, journey: str, pipeline: str, now: datetime) -> dict[str, tuple[int, int]]:
    """Return for each stage how many of the latest decided ones were ever there, and how many of them were won."""
    given = {"journey": journey, "pipeline": pipeline, "now": now, "most": WINDOW}
    return {row.stage: (row.decided, row.won) for row in connection.execute(_DECIDED, given)}


def to_forecast(connection: Connection, place: Place) -> Sequence[Row[Any]]:
    """Return every open one of a pipeline, with what a forecast asks of it."""
    return connection.execute(_FORECAST, place.key).all()


def sold_since(connection: Connection, place: Place, since: datetime, now: datetime) -> Sequence[Row[Any]]:
    """Return what was won since a moment: `currency, stage, owner, amount, count`."""
    return connection.execute(_SOLD_SINCE, place.key | {"since": since, "now": now}).all()


def at_stages(connection: Connection, place: Place, owner: str | None) -> Sequence[Row[Any]]:
    """Return what stands at each stage, by currency: `stage, currency, count, amount, with_amount, oldest, quiet`."""
    return connection.execute(_STAGES, place.key | {"owner": owner}).all()
