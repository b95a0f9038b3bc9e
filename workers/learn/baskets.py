"""
Baskets: what is bought together, counted over all people, so that nothing is counted when somebody asks.

    hears   that the latest count is a day old (`due`)
    reads   purchase, without what was paid back in full
    writes  association: of those who have one product, or two, how many have another; association_count

Exact, and set-based: products that enough people have, pairs of those, and triples of which every pair is frequent
(as Apriori does: Agrawal and Srikant 1994). Kept is what speaks for itself: enough people have all of it, and of those
who have what is given surely more have the product than of all: the lower bound of their share (Wilson, 95 %) lies
above the share of all. Of two given products only if that says more than each of them alone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import text

from schema.lift import Z95
from schema.store import clock

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Engine

log = structlog.get_logger()

EVERY: Final = timedelta(days=1)
LEAST_TOGETHER: Final = 5
"""So many people have to have all products of a rule."""
MOST_PRODUCTS: Final = 2_000
"""The most common products are looked at."""
MOST_EACH: Final = 20
"""Of somebody who has more, the most common ones are; else one wholesaler would cost more than all the others."""
MOST_RULES: Final = 20
"""For the same given products, the likeliest."""
_LOCK: Final = 0x7468726F75676804

_ALONE: Final = text("SELECT pg_try_advisory_xact_lock(:lock)")
_COUNTED_AT: Final = text("SELECT counted_at FROM association_count")
# Worker connections are told to go by indexes alone; this one reads everything, and may take its time.
_READ_ALL: Final = text("""
SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on;
SET LOCAL statement_timeout = '15min'
""")
_OWNED: Final = text("""
CREATE TEMP TABLE owned ON COMMIT DROP AS
WITH back AS (
    SELECT person_id, source, order_id, sum(amount) AS amount FROM purchase
    WHERE kind = 'refund' AND order_id IS NOT NULL GROUP BY person_id, source, order_id
), kept AS (
    SELECT p.person_id, p.products FROM purchase AS p LEFT JOIN back AS b
      ON b.person_id = p.person_id AND b.source = p.source AND b.order_id = p.external_id
    WHERE p.kind <> 'refund' AND p.products <> '[]' AND (b.amount IS NULL OR b.amount < COALESCE(p.amount, 'infinity'))
)
SELECT person_id, lower(COALESCE(item ->> 'sku', item ->> 'name')) AS product,
       COALESCE(min(item ->> 'name'), min(item ->> 'sku')) AS label
FROM kept CROSS JOIN LATERAL jsonb_array_elements(products) AS item
WHERE COALESCE(item ->> 'sku', item ->> 'name') IS NOT NULL
GROUP BY person_id, lower(COALESCE(item ->> 'sku', item ->> 'name'))
""")
_PRODUCTS: Final = text("""
CREATE TEMP TABLE common ON COMMIT DROP AS
SELECT row_number() OVER (ORDER BY count(*) DESC, product) AS n, product, count(*) AS people,
       mode() WITHIN GROUP (ORDER BY label) AS label
FROM owned GROUP BY product HAVING count(*) >= :least ORDER BY count(*) DESC, product LIMIT :most
""")
_BASKETS: Final = text("""
CREATE TEMP TABLE basket ON COMMIT DROP AS
SELECT person_id, n FROM (
    SELECT o.person_id, c.n, row_number() OVER (PARTITION BY o.person_id ORDER BY c.n) AS place
    FROM owned AS o JOIN common AS c USING (product)
) AS each WHERE place <= :each
""")
_PAIRS: Final = text("""
CREATE TEMP TABLE pair ON COMMIT DROP AS
SELECT a.n AS a, b.n AS b, count(*) AS people FROM basket AS a JOIN basket AS b USING (person_id) WHERE a.n < b.n
GROUP BY a.n, b.n HAVING count(*) >= :least
""")
_TRIPLES: Final = text("""
CREATE TEMP TABLE triple ON COMMIT DROP AS
SELECT p.a, p.b, q.b AS c, count(*) AS people
FROM pair AS p JOIN pair AS q ON q.a = p.b JOIN pair AS r ON r.a = p.a AND r.b = q.b
JOIN basket AS x ON x.n = p.a JOIN basket AS y ON y.person_id = x.person_id AND y.n = p.b
JOIN basket AS z ON z.person_id = x.person_id AND z.n = q.b
GROUP BY p.a, p.b, q.b HAVING count(*) >= :least
""")
# Shares compared are of the same people throughout: of those whose baskets were looked at.
_RULES: Final = text("""
WITH single AS (
    SELECT n, count(*) AS people FROM basket GROUP BY n
), both_ways AS (
    SELECT a, b, people FROM pair UNION ALL SELECT b, a, people FROM pair
), simple AS (
    SELECT s.a AS one, NULL::bigint AS other, s.b AS product, s.people AS both_, g.people AS given
    FROM both_ways AS s JOIN single AS g ON g.n = s.a
), three_ways AS (
    SELECT a AS one, b AS other, c AS product, people FROM triple
    UNION ALL SELECT a, c, b, people FROM triple UNION ALL SELECT b, c, a, people FROM triple
), double AS (
    SELECT t.one, t.other, t.product, t.people AS both_, g.people AS given
    FROM three_ways AS t JOIN pair AS g ON g.a = t.one AND g.b = t.other
    JOIN simple AS s ON s.one = t.one AND s.product = t.product
    JOIN simple AS u ON u.one = t.other AND u.product = t.product
    WHERE t.people * s.given > s.both_ * g.people AND t.people * u.given > u.both_ * g.people
), judged AS (
    SELECT r.*, p.people AS all_, both_::float8 / given AS share,
           (both_ + :z * :z / 2 - :z * sqrt(both_ * (1 - both_::float8 / given) + :z * :z / 4))
           / (given + :z * :z) AS low
    FROM (SELECT * FROM simple UNION ALL SELECT * FROM double) AS r JOIN single AS p ON p.n = r.product
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY one, other ORDER BY share DESC, both_ DESC, product) AS place
    FROM judged WHERE low > all_::float8 / :people
)
INSERT INTO association (given, product, label, labels, with_both, with_given, with_product)
SELECT CASE WHEN r.other IS NULL THEN ARRAY[x.product]
            WHEN x.product < y.product THEN ARRAY[x.product, y.product] ELSE ARRAY[y.product, x.product] END,
       p.product, p.label,
       CASE WHEN r.other IS NULL THEN ARRAY[x.label]
            WHEN x.product < y.product THEN ARRAY[x.label, y.label] ELSE ARRAY[y.label, x.label] END,
       r.both_, r.given, r.all_
FROM ranked AS r JOIN common AS x ON x.n = r.one JOIN common AS p ON p.n = r.product
LEFT JOIN common AS y ON y.n = r.other
WHERE r.place <= :rules
""")
_CLEAR: Final = text("DELETE FROM association")
_NOTE: Final = text("""
INSERT INTO association_count (whole, people, counted_at) VALUES (true, :people, :now)
ON CONFLICT (whole) DO UPDATE SET people = EXCLUDED.people, counted_at = EXCLUDED.counted_at
""")
_PEOPLE: Final = text("SELECT count(DISTINCT person_id) FROM owned")


def due(connection: Connection, now: datetime) -> bool:
    """Whether what is bought together was not counted for a day."""
    counted_at = connection.execute(_COUNTED_AT).scalar_one_or_none()
    return counted_at is None or counted_at + EVERY <= now


def count(engine: Engine, now: datetime | None = None, *, anyway: bool = False) -> int | None:
    """
    Count what is bought together, if that is due; return how many rules there are, None if nothing was done.

    One process counts at a time. Until it is done everybody sees what was counted before.
    """
    at = now or clock.now()
    with engine.begin() as connection:
        alone = connection.execute(_ALONE, {"lock": _LOCK}).scalar_one()
        if not alone or not (anyway or due(connection, at)):
            return None
        connection.execute(_READ_ALL)
        connection.execute(_OWNED)
        people = connection.execute(_PEOPLE).scalar_one()
        connection.execute(_PRODUCTS, {"least": LEAST_TOGETHER, "most": MOST_PRODUCTS})
        connection.execute(_BASKETS, {"each": MOST_EACH})
        connection.execute(text("ANALYZE basket"))
        connection.execute(_PAIRS, {"least": LEAST_TOGETHER})
        connection.execute(text("ANALYZE pair"))
        connection.execute(_TRIPLES, {"least": LEAST_TOGETHER})
        connection.execute(_CLEAR)
        wanted = {"z": Z95, "people": max(people, 1), "rules": MOST_RULES}
        rules = connection.execute(_RULES, wanted).rowcount
        connection.execute(_NOTE, {"people": people, "now": at})
    log.info("baskets.counted", people=people, rules=rules)
    return rules
