"""Reading what somebody has, and what others who have the same bought besides; every statement goes by an index."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import text

from schema.store import rows

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Connection

MOST_OWNED: Final = 40
"""Products by which others are looked for: the latest of somebody who has more."""

# What was paid back in full they do not have.
_OWNED: Final = text("""
WITH own AS MATERIALIZED (
    SELECT kind, source, external_id, order_id, amount, products, at FROM purchase
    WHERE person_id = CAST(:person AS uuid)
), back AS (
    SELECT source, order_id, sum(amount) AS amount FROM own
    WHERE kind = 'refund' AND order_id IS NOT NULL GROUP BY source, order_id
), had AS (
    SELECT p.products, p.at FROM own AS p LEFT JOIN back AS b ON b.source = p.source AND b.order_id = p.external_id
    WHERE p.kind <> 'refund' AND (b.amount IS NULL OR b.amount < COALESCE(p.amount, 'infinity'))
    UNION ALL
    SELECT products, recorded_at FROM contract WHERE person_id = CAST(:person AS uuid) AND ended_at IS NULL
)
SELECT lower(item ->> 'sku') AS sku, lower(item ->> 'name') AS name, max(at) AS at
FROM had CROSS JOIN LATERAL jsonb_array_elements(products) AS item
GROUP BY lower(item ->> 'sku'), lower(item ->> 'name') ORDER BY max(at) DESC
""")
_ASSOCIATED: Final = text("""
SELECT a.given, a.product, a.label, a.labels, a.with_both, a.with_given, a.with_product
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(given text[]) JOIN association AS a ON a.given = r.given
""")
_COUNT: Final = text("SELECT people, counted_at FROM association_count")


class Counted(NamedTuple):
    """How many people's purchases were counted, and when; nobody's and never before it was done."""

    people: int = 0
    at: datetime | None = None


def owned(connection: Connection, person_id: str) -> tuple[set[str], list[str]]:
    """Return the names and article numbers of all that somebody has, and by which of them others are looked for."""
    found = connection.execute(_OWNED, {"person": person_id}).all()
    names = {name for row in found for name in (row.sku, row.name) if name}
    return names, list(dict.fromkeys(row.sku or row.name for row in found if row.sku or row.name))


def associated(connection: Connection, products: Collection[str]) -> list[dict[str, Any]]:
    """Return the associations from any of these products, and from any two of them."""
    known = sorted(list(products)[:MOST_OWNED])
    given = [{"given": list(each)} for size in (1, 2) for each in combinations(known, size)]
    if not given:
        return []
    return [dict(row) for row in connection.execute(_ASSOCIATED, {"rows": rows.as_json(given)}).mappings()]


def counted(connection: Connection) -> Counted:
    """Return what the associations were counted from."""
    row = connection.execute(_COUNT).one_or_none()
    return Counted(row.people, row.counted_at) if row else Counted()
