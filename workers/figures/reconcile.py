"""
Reconcile: the figures against the tables of what they are about: moves, tickets, purchases and so on.

A recount proves that the figures follow from the events; this, that the events tell all there is. Both are read in one
snapshot: events that it shows and that are not counted yet are folded and added, so that they have to agree at every
moment. What is a test is left out, as in the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.kpi.measures import ALL
from schema.store.feed import Cursor
from schema.store.ids import uuid_array
from workers.figures.count import place
from workers.figures.rules import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection

    from workers.figures.count import Counting, Gathered

MOST_UNCOUNTED: Final = 50_000
"""With more events than this not counted yet, nothing is compared: they would all have to be held at once."""

_SNAPSHOT: Final = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
_END: Final = Cursor(str(2**64 - 1), 2**63 - 1)
_SUMS: Final = text("""
SELECT measure, item, sum(n) AS n, sum(total) AS total FROM kpi_bucket
WHERE dim = '' AND measure = ANY(CAST(:measures AS text[])) GROUP BY measure, item
""")
_REAL: Final = """
({of} <> ALL(CAST(:tests AS uuid[])) AND NOT EXISTS (
    SELECT FROM kpi_lead AS k WHERE k.lead_id = {of} AND k.state ? 'x'
))
"""
"""Whether a lead is none that is a test; `:tests` are those that are not counted yet."""


def _same(item: str) -> str | None:
    return item


@dataclass(frozen=True, slots=True)
class _Check:
    """
    A measure, and a query for `item, n, total` that has to come to the same.

    `item` says what of a bucket's item the table knows; None: it does not count here. `told_by`: only what is in the
    table since that type of event is told of.
    """

    what: str
    measures: tuple[str, ...]
    query: str
    item: Callable[[str], str | None] = _same
    told_by: str = ""


def _nothing(_: str) -> str:
    return ""


CHECKS: Final = (
    _Check(
        "leads",
        ("created",),
        f"SELECT '' AS item, count(*) AS n, 0 AS total FROM lead AS l WHERE {_REAL.format(of='l.id')}",  # noqa: S608 - our own texts
    ),
    _Check(
        "moves",
        ("moved",),
        f"""
        SELECT from_state || '>' || name || '>' || to_state AS item, count(*) AS n, 0 AS total FROM transition AS t
        WHERE name <> 'migrate' AND {_REAL.format(of="t.lead_id")} GROUP BY from_state, name, to_state
        """,  # noqa: S608
    ),
    _Check(
        "moves to other versions",
        ("migrated",),
        f"SELECT '' AS item, count(*) AS n, 0 AS total FROM transition AS t "  # noqa: S608
        f"WHERE name = 'migrate' AND {_REAL.format(of='t.lead_id')}",
        _nothing,
    ),
    _Check(
        "touchpoints",
        ("touched",),
        f"SELECT '' AS item, count(*) AS n, 0 AS total FROM touchpoint AS t WHERE {_REAL.format(of='t.lead_id')}",  # noqa: S608
        _nothing,
    ),
    _Check(
        "opportunities",
        ("opportunity.opened",),
        f"SELECT pipeline AS item, count(*) AS n, 0 AS total FROM opportunity AS o "  # noqa: S608
        f"WHERE {_REAL.format(of='o.lead_id')} GROUP BY pipeline",
    ),
    _Check(
        "tickets",
        ("ticket.opened",),
        f"SELECT '' AS item, count(*) AS n, 0 AS total FROM ticket AS t WHERE {_REAL.format(of='t.lead_id')}",  # noqa: S608
        _nothing,
    ),
    _Check(
        "promises kept and broken",
        ("sla.hit", "sla.missed"),
        f"""
        SELECT metric AS item, count(*) AS n, 0 AS total FROM ticket_clock AS c JOIN ticket AS t ON t.id = c.ticket_id
        WHERE c.state IN ('hit', 'missed') AND c.stopped_at >= :since AND {_REAL.format(of="t.lead_id")} GROUP BY metric
        """,  # noqa: S608
        told_by="ticket.clock_ended",
    ),
    _Check(
        "purchases",
        ("purchased",),
        f"""
        SELECT kind || '>' || COALESCE(currency, '') AS item, count(*) AS n, COALESCE(sum(amount), 0) AS total
        FROM purchase AS p WHERE recorded_at >= :since AND {_REAL.format(of="p.lead_id")} GROUP BY kind, currency
        """,  # noqa: S608
        told_by="purchase.recorded",
    ),
    _Check(
        "answered surveys",
        ("survey.answered",),
        f"""
        SELECT survey AS item, count(*) AS n, COALESCE(sum(score), 0) AS total FROM survey AS s
        WHERE answered_at IS NOT NULL AND {_REAL.format(of="s.lead_id")} GROUP BY survey
        """,  # noqa: S608
    ),
)


@dataclass(frozen=True, slots=True)
class Compared:
    """A figure and what its table says; `n` how many, `total` what they come to."""

    what: str
    item: str
    n: int
    table_n: int
    total: str
    table_total: str

    @property
    def equal(self) -> bool:
        """Whether they agree."""
        return self.n == self.table_n and Decimal(self.total) == Decimal(self.table_total)


def reconcile(connection: Connection, counting: Counting, since: Mapping[str, int]) -> list[Compared]:
    """
    Compare figures with tables, in a transaction of its own that only reads.

    `since` says of each type of event when it was told first, in milliseconds since 1970: what was in a table before
    code that tells of it was there is not compared. Empty where too much is not counted yet.
    """
    connection.execute(_SNAPSHOT)
    try:
        uncounted = counting.gather(connection, place(connection) or Cursor(), limit=MOST_UNCOUNTED, until=_END)
        if uncounted.portion.events >= MOST_UNCOUNTED:
            return []
        figures = _figures(connection, uncounted)
        tests = uuid_array(lead_id for lead_id, lead in uncounted.leads.items() if lead.test)
        return [each for check in CHECKS for each in _compared(connection, check, figures, since, tests)]
    finally:
        connection.rollback()


def _figures(connection: Connection, uncounted: Gathered) -> dict[tuple[str, str], tuple[int, Decimal]]:
    """What each measure and item comes to, with the events that are not counted yet."""
    wanted = sorted({measure for check in CHECKS for measure in check.measures})
    found = {
        (row.measure, row.item): (int(row.n), Decimal(row.total))
        for row in connection.execute(_SUMS, {"measures": wanted})
    }
    for (_, measure, dim, _, item, _), (n, total, _) in uncounted.tally.buckets().items():
        if dim == ALL:
            was = found.get((measure, item), (0, Decimal(0)))
            found[measure, item] = was[0] + n, was[1] + total
    return found


def _compared(
    connection: Connection,
    check: _Check,
    figures: Mapping[tuple[str, str], tuple[int, Decimal]],
    since: Mapping[str, int],
    tests: str,
) -> list[Compared]:
    if check.told_by and check.told_by not in since:
        return []
    parameters: dict[str, Any] = {"tests": tests}
    if check.told_by:
        parameters["since"] = moment(since[check.told_by])
    table = {row.item: (row.n, row.total) for row in connection.execute(text(check.query), parameters)}
    mine: dict[str, tuple[int, Decimal]] = {}
    for (measure, full), (n, total) in figures.items():
        item = check.item(full)
        if measure in check.measures and item is not None:
            was = mine.get(item, (0, Decimal(0)))
            mine[item] = was[0] + n, was[1] + total
    return [
        Compared(check.what, item, n, table_n, format(total, "f"), format(Decimal(table_total), "f"))
        for item in sorted({*mine, *table})
        for n, total in [mine.get(item, (0, Decimal(0)))]
        for table_n, table_total in [table.get(item, (0, 0))]
    ]
