"""
The audit of a run: was everything that was acknowledged kept, and done once?

It starts from the receipts that clients were given, not from what the database thinks it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import Connection, text

from schema.store.ids import uuid_array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ACKNOWLEDGED: Final = (
    "CREATE TEMP TABLE acknowledged ON COMMIT DROP AS SELECT unnest(CAST(:ids AS uuid[])) AS id",
    "CREATE TEMP TABLE way ON COMMIT DROP AS SELECT DISTINCT id, lead_id FROM acknowledged NATURAL LEFT JOIN receipt",
    "ANALYZE acknowledged, way",
)
_LOST: Final = {
    "receipts missing or not processed": "r.status IS DISTINCT FROM 'processed' OR r.due_since IS NOT NULL",
    "leads missing or not settled": "l.id IS NULL OR l.due_since IS NOT NULL OR l.next_step IS NOT NULL",
    "touchpoints missing": "t.lead_id IS NULL OR t.lead_id IS DISTINCT FROM way.lead_id",
    "gaps in events": "COALESCE(l.events = 0 OR e.count <> l.events OR e.last <> l.events, true)",
    "gaps in decisions": "COALESCE(l.decisions = 0 OR d.count <> l.decisions OR d.last <> l.decisions, true)",
}
"""What must not hold of any way: a receipt `r`, its lead `l`, touchpoint `t`, events `e` and decisions `d`."""
_WAYS: Final = """
FROM way LEFT JOIN receipt AS r USING (id) LEFT JOIN touchpoint AS t USING (id)
LEFT JOIN lead AS l ON l.id = way.lead_id
LEFT JOIN LATERAL (SELECT count(*), max(sequence) AS last FROM event WHERE lead_id = l.id) AS e ON true
LEFT JOIN LATERAL (SELECT count(*), max(number) AS last FROM decision WHERE lead_id = l.id) AS d ON true
"""
_DOUBLED: Final = {
    "receipts given to two": "SELECT count(*) - count(DISTINCT id) FROM acknowledged",
    "people with one e-mail": "SELECT count(*) - count(DISTINCT lower(email)) FROM person WHERE email IS NOT NULL",
    "leads of one person": "SELECT count(*) - count(DISTINCT (person_id, journey_name)) FROM lead",
    "arrivals of one lead": "SELECT count(*) - count(DISTINCT lead_id) FROM way WHERE lead_id IS NOT NULL",
    "steps decided again": """
        SELECT count(*) - count(DISTINCT (d.lead_id, d.step)) FROM way JOIN decision AS d USING (lead_id)""",
    "leads created again": """
        SELECT count(*) - count(DISTINCT e.lead_id) FROM way JOIN event AS e USING (lead_id)
        WHERE e.type = 'lead.created'""",
}
_DUE: Final = text("""
SELECT EXISTS (SELECT FROM receipt WHERE due_since IS NOT NULL) OR EXISTS (SELECT FROM lead WHERE due_since IS NOT NULL)
""")
_SETTLED: Final = text("""
SELECT r.id FROM receipt AS r JOIN lead AS l ON l.id = r.lead_id
WHERE r.id = ANY(CAST(:ids AS uuid[])) AND r.due_since IS NULL AND l.due_since IS NULL
""")
# The last transaction that wrote the lead is the one that settled it, however many steps it had taken along.
_SETTLED_AT: Final = text("""
SELECT r.id, EXTRACT(epoch FROM pg_xact_commit_timestamp(l.xmin))::float8 AS at
FROM receipt AS r JOIN lead AS l ON l.id = r.lead_id
WHERE r.id = ANY(CAST(:ids AS uuid[])) AND r.due_since IS NULL AND l.due_since IS NULL
""")


class Account(NamedTuple):
    """What is not as it was promised; all zero and empty when all is well."""

    lost: int
    """Acknowledged arrivals that are not there, or not with all that follows from them."""
    lost_by: dict[str, int]
    """What they lack; one may lack several things."""
    doubled_by: dict[str, int]


def account(connection: Connection, acknowledged: Sequence[str]) -> Account:
    """Hold what was acknowledged against what is there; nobody else may be in the database."""
    for statement in _ACKNOWLEDGED:
        connection.execute(text(statement), {"ids": uuid_array(acknowledged)} if ":ids" in statement else {})
    doubled = {what: connection.execute(text(query)).scalar_one() for what, query in _DOUBLED.items()}
    lost, *lacking = connection.execute(text(_lost_query())).one()
    return Account(lost, _present(dict(zip(_LOST, lacking, strict=True))), _present(doubled))


def is_due(connection: Connection) -> bool:
    """Tell whether any receipt or lead is still to be worked on."""
    return bool(connection.execute(_DUE).scalar_one())


def settled(connection: Connection, receipts: Sequence[str]) -> set[str]:
    """Return which of `receipts` have gone the whole way."""
    return set(connection.execute(_SETTLED, {"ids": uuid_array(receipts)}).scalars())


def settled_at(connection: Connection, receipts: Sequence[str]) -> dict[str, float]:
    """
    Return when each of `receipts` was settled, in seconds of the server's clock.

    It is the time in the commit record, written before that is flushed: add one flush to be exact. The server must
    run with `track_commit_timestamp=on`.
    """
    found = connection.execute(_SETTLED_AT, {"ids": uuid_array(receipts)})
    return {row.id: row.at for row in found}


def _lost_query() -> str:
    conditions = [f"({condition})" for condition in _LOST.values()]
    counts = [f"count(*) FILTER (WHERE {condition})" for condition in (" OR ".join(conditions), *conditions)]
    return f"SELECT {', '.join(counts)} {_WAYS}"


def _present(counts: Mapping[str, int]) -> dict[str, int]:
    return {what: count for what, count in counts.items() if count}
