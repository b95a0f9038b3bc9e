"""
The audit behind the account: what receipts say became of them, held against what other statements wrote elsewhere.

    receipt_forgotten      pending, and neither due nor in an open dead letter: nobody will ever look at it
    touchpoint_missing     processed or merged, without its touchpoint
    lead_missing           processed or merged, without its lead
    receipt_missing        acknowledged to its sender, and not there
    touchpoint_unfounded   a touchpoint whose receipt is not there or says that nothing came of it; or one of our own
                           work, and what it tells of is not there
    lead_adrift            live, and nobody's: no owner, no place in a queue, no timer, nothing due (`account` looks)
    lead_forgotten         in the middle of its steps, and neither due nor in an open dead letter
    lead_without_timer     says what it waits for, and nothing will wake it
    lead_unfounded         a lead that nothing ever came for
    receipts_vanished      receipts that were counted when their hours were closed (only looked for by `verify`)

Ids of receipts, touchpoints and leads tell their time, so a range of time is a range of the primary key. Each statement
sees one moment.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.store.ids import uuid_array
from schema.store.ops import first_id
from schema.tables.account import FATES, SLICE_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

SLICE: Final = timedelta(seconds=SLICE_S)
MOST_NAMED: Final = 100
"""Ids of a kind that are told at most."""
COUNTED: Final = ("received", "in_flight", *FATES, "unaccounted", "canary")
_LOST: Final = ("receipt_forgotten", "touchpoint_missing", "lead_missing")

_RECEIPTS: Final = text(f"""
SELECT slice, source, fate, test, count(*) AS receipts, min(received_at) AS first_at, max(received_at) AS last_at,
       (array_agg(id ORDER BY id) FILTER (WHERE fate IN {_LOST}))[1:{MOST_NAMED}] AS ids
FROM (
    SELECT r.id, r.source, r.test, r.received_at, width_bucket(r.id, CAST(:bounds AS uuid[])) AS slice,
        CASE
            WHEN r.due_since IS NOT NULL THEN 'in_flight'
            WHEN r.status = 'pending' AND d.subject_id IS NOT NULL THEN 'dead'
            WHEN r.status = 'pending' THEN 'receipt_forgotten'
            WHEN r.status NOT IN ('processed', 'merged') THEN r.status
            WHEN l.id IS NULL THEN 'lead_missing'
            WHEN t.id IS NULL THEN 'touchpoint_missing'
            ELSE r.status
        END AS fate
    FROM receipt AS r
    LEFT JOIN touchpoint AS t ON t.id = r.id
    LEFT JOIN lead AS l ON l.id = r.lead_id
    LEFT JOIN dead_letter AS d ON d.subject_id = r.id AND d.resolved_at IS NULL
    WHERE r.id >= CAST(:first AS uuid) AND r.id < CAST(:last AS uuid)
) AS seen
GROUP BY slice, source, fate, test
""")  # noqa: S608 - our own text
# Receipts of one submission have ids of one moment; the first of them finds it.
_ACKNOWLEDGED: Final = text("""
SELECT s.source, width_bucket(s.receipt_ids[1], CAST(:bounds AS uuid[])) AS slice, told.id
FROM submission AS s CROSS JOIN unnest(s.receipt_ids) AS told(id)
WHERE s.receipt_ids[1] >= CAST(:first AS uuid) AND s.receipt_ids[1] < CAST(:last AS uuid)
  AND NOT EXISTS (SELECT FROM receipt AS r WHERE r.id = told.id)
ORDER BY told.id
""")
# What our own work left came by no receipt: there has to be the thing that it tells of.
_FOUNDS: Final = " UNION ALL ".join(
    f"SELECT 1 FROM {thing} WHERE id = CAST(t.data ->> '{thing}' AS uuid)"  # noqa: S608 - our own names
    for thing in ("ticket", "opportunity", "contract", "survey", "follow_up", "lead")
)
_UNFOUNDED: Final = text(f"""
SELECT t.source, width_bucket(t.id, CAST(:bounds AS uuid[])) AS slice, t.id
FROM touchpoint AS t LEFT JOIN receipt AS r ON r.id = t.id AND r.status IN ('processed', 'merged')
WHERE t.id >= CAST(:first AS uuid) AND t.id < CAST(:last AS uuid) AND r.id IS NULL
  AND NOT (t.source = 'throughline' AND EXISTS ({_FOUNDS}))
ORDER BY t.id
""")  # noqa: S608 - our own text
_LEADS: Final = text("""
SELECT kind, id FROM (
    SELECT l.id, CASE
        WHEN l.next_step IS NOT NULL AND l.due_since IS NULL AND d.subject_id IS NULL THEN 'lead_forgotten'
        WHEN l.waits <> '{}' AND l.wake_at IS NULL AND l.next_step IS NULL THEN 'lead_without_timer'
        WHEN l.merged_into IS NULL AND (SELECT true FROM touchpoint AS t WHERE t.lead_id = l.id LIMIT 1) IS NULL
            THEN 'lead_unfounded'
    END AS kind
    FROM lead AS l LEFT JOIN dead_letter AS d ON d.subject_id = l.id AND d.resolved_at IS NULL
    WHERE l.id IN (
        SELECT r.lead_id FROM receipt AS r WHERE r.id >= CAST(:first AS uuid) AND r.id < CAST(:last AS uuid)
      UNION
        SELECT id FROM lead WHERE id >= CAST(:first AS uuid) AND id < CAST(:last AS uuid)
      UNION
        SELECT unnest(CAST(:again AS uuid[]))
    )
) AS seen WHERE kind IS NOT NULL ORDER BY kind, id
""")


@dataclass(slots=True)
class Look:
    """What a look at some slices found: a row of counts for each slice and source, and what is unaccounted for."""

    counts: dict[tuple[datetime, str], dict[str, Any]] = field(default_factory=dict)
    found: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Ids by kind; of receipts that are lost in numbers only the first are named."""
    numbers: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def row(self, since: datetime, source: str) -> dict[str, Any]:
        """Return the counts of one slice and source."""
        empty = {"since": since, "source": source, **dict.fromkeys(COUNTED, 0), "first_at": None, "last_at": None}
        return self.counts.setdefault((since, source), empty)

    def lost(self, kind: str, ids: Sequence[str], number: int | None = None) -> None:
        """Note what is unaccounted for."""
        ids = [found for found in ids if found not in self.found[kind]]
        self.found[kind] = [*self.found[kind], *ids][:MOST_NAMED]
        self.numbers[kind] += len(ids) if number is None else number


def examine(connection: Connection, look: Look, since: datetime, until: datetime, *, again: Sequence[str] = ()) -> None:
    """Hold the receipts, submissions, touchpoints and leads of some whole slices against each other."""
    starts = [since + number * SLICE for number in range(int((until - since) / SLICE))]
    given = {"first": first_id(since), "last": first_id(until), "bounds": uuid_array(map(first_id, starts))}
    for row in connection.execute(_RECEIPTS, given):
        _count(look, starts[row.slice - 1], row)
    for kind, statement in (("receipt_missing", _ACKNOWLEDGED), ("touchpoint_unfounded", _UNFOUNDED)):
        for row in connection.execute(statement, given):
            counts = look.row(starts[row.slice - 1], row.source)
            counts["received"] += kind == "receipt_missing"
            counts["unaccounted"] += kind == "receipt_missing"
            look.lost(kind, [row.id])
    for row in connection.execute(_LEADS, given | {"again": uuid_array(again)}):
        look.lost(row.kind, [row.id])


def _count(look: Look, since: datetime, row: Any) -> None:  # noqa: ANN401 - a result row
    """Add receipts of one slice, source and fate; what is lost is never only a trial."""
    counts = look.row(since, row.source)
    if row.fate in _LOST:
        look.lost(row.fate, row.ids, row.receipts)
        counts["received"] += row.receipts
        counts["unaccounted"] += row.receipts
    elif row.test:
        counts["canary"] += row.receipts
        return
    else:
        counts["received"] += row.receipts
        counts[row.fate] += row.receipts
    counts["first_at"] = min(filter(None, (counts["first_at"], row.first_at)))
    counts["last_at"] = max(filter(None, (counts["last_at"], row.last_at)))
