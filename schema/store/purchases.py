"""Purchases as they are kept: what was told of an order before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.store import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

Order = tuple[str, str]
"""A source, and what its system calls the purchase."""

# Two arrivals at once may tell of the same order by different people: one of them has to see what the other wrote.
_ALONE: Final = text("""
SELECT pg_advisory_xact_lock(hashtextextended('order ' || source || ' ' || external_id, 0)) FROM (
    SELECT source, external_id FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(source text, external_id text)
    ORDER BY source, external_id
) AS sorted
""")
_BEFORE: Final = text("""
SELECT p.source, p.external_id, p.id, p.person_id, p.kind, p.amount, p.currency, p.products, p.at, p.told_at,
       p.receipt_id
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(source text, external_id text)
JOIN purchase AS p USING (source, external_id)
""")


def told_before(connection: Connection, orders: Sequence[Order]) -> dict[Order, dict[str, Any]]:
    """Return what is known of these orders already; until this transaction ends nobody else tells of them."""
    if not orders:
        return {}
    wanted = {"rows": rows.as_json([{"source": source, "external_id": name} for source, name in orders])}
    connection.execute(_ALONE, wanted)
    found = connection.execute(_BEFORE, wanted).mappings()
    return {(row["source"], row["external_id"]): dict(row) for row in found}
