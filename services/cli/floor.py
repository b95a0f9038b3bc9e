"""
The floor: how fast the same rows can be written here with nothing around them.

What a run wrote for each lead is read back, given fresh ids, and written again by a bare loop: one connection, the
project's own set-based statements, the two durable transactions a batch takes (arrival, then all that follows). No
HTTP, no queue, no rules. Making the JSON parameters is part of it.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Engine, Table, text

from schema import tables
from schema.store import rows
from schema.store.engine import make_engine
from schema.store.ids import new_id, uuid_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    Row = dict[str, Any]

BATCH: Final = 400
_ROWS: Final = {
    tables.receipt: "t.id = r.id",
    tables.submission: "t.receipt_ids = ARRAY[r.id]",
    tables.person_key: "t.person_id = r.person_id",
    tables.company: "t.id = (SELECT company_id FROM person WHERE id = r.person_id)",
    tables.person: "t.id = r.person_id",
    tables.transition: "t.lead_id = r.lead_id",
    tables.lead: "t.id = r.lead_id",
    tables.touchpoint: "t.id = r.id",
    tables.decision: "t.lead_id = r.lead_id",
    tables.event: "t.lead_id = r.lead_id",
}
"""Where the rows are that belong to a receipt `r`, table by table, in the order they are written."""
_ARRIVING: Final = (tables.submission, tables.receipt)
_MADE_BY_DATABASE: Final = ("tx", "position", "event_tx")
_IDS: Final = ("id", "lead_id", "person_id", "company_id")
_ENDS: Final = ("id", "status", "reason", "lead_id", "person_id", "due_since")
_PENDING: Final = {"status": "pending", "reason": None, "lead_id": None, "person_id": None}


@dataclass(frozen=True, slots=True)
class Floor:
    """What the bare loop did."""

    per_s: float
    client_cpu_s: float


@dataclass(slots=True)
class Batch:
    """The rows of so many leads by table, and how their receipts end."""

    rows: dict[Table, list[Row]] = field(default_factory=lambda: defaultdict(list))
    ends: list[Row] = field(default_factory=list)

    def write(self, engine: Engine) -> None:
        """Write them as the service does: first what arrives, then all that follows from it."""
        with engine.begin() as connection:
            for table in _ARRIVING:
                rows.insert(connection, table, self.rows[table])
        with engine.begin() as connection:
            for table in _ROWS:
                if table not in _ARRIVING:
                    rows.insert(connection, table, self.rows[table])
            rows.update(connection, tables.receipt, "id", self.ends)


def copies(connection: Connection, receipts: Sequence[str]) -> list[Batch]:
    """Return fresh copies of everything that was written for `receipts`, in batches of 400 leads."""
    place = {receipt: number // BATCH for number, receipt in enumerate(sorted(receipts))}
    batches = [Batch() for _ in range(-(-len(receipts) // BATCH))]
    fresh: dict[str, str] = defaultdict(new_id)
    firms: set[str] = set()
    for table, found in _ROWS.items():
        query = text(
            f'SELECT r.id AS receipt, to_jsonb(t) AS row FROM receipt AS r JOIN "{table.name}" AS t ON {found} '  # noqa: S608 - our own texts
            "WHERE r.id = ANY(CAST(:ids AS uuid[])) ORDER BY r.id"
        )
        for receipt, row in connection.execute(query, {"ids": uuid_array(receipts)}):
            if table is not tables.company or row["id"] not in firms:
                batches[place[receipt]].rows[table].append(_refreshed(table, row, fresh))
            if table is tables.company:
                firms.add(row["id"])
    for batch in batches:
        _begin_again(batch)
    return batches


def run(url: str, batches: Sequence[Batch]) -> Floor:
    """Write the batches one after the other, over one connection that is open when the clock starts."""
    engine = make_engine(url, name="bench floor", hot=True, pool_size=1)
    engine.connect().close()
    cpu, start = time.process_time(), time.perf_counter()
    for batch in batches:
        batch.write(engine)
    seconds = time.perf_counter() - start
    cpu = time.process_time() - cpu
    engine.dispose()
    return Floor(sum(len(batch.ends) for batch in batches) / seconds, cpu)


def _refreshed(table: Table, row: Row, fresh: dict[str, str]) -> Row:
    """Give a row other ids and other unique values of the same length."""
    row = {name: value for name, value in row.items() if name not in _MADE_BY_DATABASE}
    row |= {name: fresh[row[name]] for name in _IDS if row.get(name)}
    if table is tables.submission:
        row["receipt_ids"] = [fresh[receipt] for receipt in row["receipt_ids"]]
        row["key"] = rows.as_bytea(hashlib.sha256(row["key"].encode()).digest())
    elif table is tables.person_key:
        row["value"] = row["value"][::-1]
    elif table is tables.company:
        row["domain"] = row["domain"][::-1]
    return row


def _begin_again(batch: Batch) -> None:
    """Put receipts back to how they arrive; how they end is written later."""
    arrived = batch.rows[tables.receipt]
    batch.ends = [{name: row[name] for name in _ENDS} for row in arrived]
    batch.rows[tables.receipt] = [row | _PENDING | {"due_since": row["received_at"]} for row in arrived]
