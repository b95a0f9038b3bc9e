"""
The tickets that a batch has in hand: their rows as they will be, and what was said and done about each.

Whoever has a ticket in hand has its lead locked. All of it is written with the batch, each table in one statement; at
once, or after what hears of it has had its say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import tables
from schema.errors import Transient
from schema.store import rows
from schema.store.ids import uuid_array
from schema.ticketing import COMPLAINT, UNSOLVED, WORK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import RowMapping

    from workers.batch import Batch, Case

    Row = dict[str, Any]

_COLUMNS: Final = tuple(column.name for column in tables.ticket.c if column.name != "number")
_FIXED: Final = {"journey_name", "source", "channel", "opened_at", "opened_by"}
_CHANGES: Final = tuple(name for name in _COLUMNS if name not in _FIXED)
_BY_ID: Final = text("SELECT * FROM ticket WHERE id = ANY(CAST(:ids AS uuid[]))")
# In the order of their ids, as everybody locks leads.
_LOCK: Final = text("SELECT id FROM lead WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE")
_THREAD: Final = text("""
UPDATE message AS m SET ticket_id = r.ticket_id
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(message_id text, ticket_id uuid)
WHERE m.message_id = r.message_id AND m.ticket_id IS NULL
""")


class Tickets:
    """The tickets of one batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.rows: dict[str, Row] = {}
        self.had: dict[str, Row] = {}
        """As they were when they were taken in hand; not of new ones."""
        self._entries: list[Row] = []
        self._messages: list[dict[str, str]] = []
        self.passed: dict[str, tuple[str, ...]] = {}
        """Tickets that are not to go to these people when they are given to somebody next."""
        self.news: dict[str, list[Row]] = {}
        """Entries, by ticket, of which its clocks have not heard yet."""

    def load(self, ids: Iterable[str]) -> list[Row]:
        """Take tickets into hand whose leads are locked by this transaction; those there are, in order of their ids."""
        wanted = set(ids)
        if missing := wanted - self.rows.keys():
            self.take(self._batch.connection.execute(_BY_ID, {"ids": uuid_array(missing)}).mappings())
        return [self.rows[ticket_id] for ticket_id in sorted(wanted & self.rows.keys())]

    def take(self, found: Iterable[Mapping[str, Any] | RowMapping]) -> None:
        """Take rows into hand that were read after their leads were locked."""
        for row in found:
            if row["id"] not in self.rows:
                self.rows[row["id"]] = dict(row)
                self.had[row["id"]] = dict(row)

    def lock_leads(self, found: Sequence[Mapping[str, Any]]) -> None:
        """
        Lock the leads of tickets that are not among those in hand, and take them into hand.

        :raises Transient: `lead_busy`, this transaction is too old for one of them
        """
        missing = sorted({row["lead_id"] for row in found} - self._batch.cases.keys())
        if missing:
            self._batch.connection.execute(_LOCK, {"ids": uuid_array(missing)})
            if self._batch.load(missing):
                raise Transient("lead_busy")

    def begin(self, row: Row) -> Row:
        """Take a new ticket into hand."""
        self.rows[row["id"]] = row
        return row

    def note(self, ticket: Row, kind: str, actor: str, **more: Any) -> Row:  # noqa: ANN401 - columns of an entry
        """Keep an entry of a ticket; what is not given is as usual, and it happened now."""
        ticket["entries"] += 1
        ticket["updated_at"] = self._batch.now
        entry = {
            "ticket_id": ticket["id"],
            "number": ticket["entries"],
            "at": self._batch.now,
            "recorded_at": self._batch.now,
            "kind": kind,
            "actor": actor,
            "channel": None,
            "body": None,
            "machine": False,
            "touchpoint_id": None,
            "data": {},
        } | more
        self._entries.append(entry)
        self.news.setdefault(ticket["id"], []).append(entry)
        return entry

    def in_thread(self, ticket_id: str, message_id: str) -> None:
        """Have the answers to a mail find the ticket."""
        self._messages.append({"message_id": message_id, "ticket_id": ticket_id})

    def changed(self) -> list[tuple[Row | None, Row]]:
        """Every ticket in hand, as it was (None: new) and as it will be."""
        return [(self.had.get(ticket_id), row) for ticket_id, row in self.rows.items()]

    def entries(self) -> dict[str, list[Row]]:
        """What was said and done about each ticket in this batch."""
        found: dict[str, list[Row]] = {}
        for entry in self._entries:
            found.setdefault(entry["ticket_id"], []).append(entry)
        return found

    def loads(self) -> dict[str, int]:
        """By how many tickets that want something of them everybody's work grows with this batch."""
        grows: dict[str, int] = {}
        for before, now in self.changed():
            for row, by in ((before, -1), (now, 1)):
                if row is not None and row["owner"] is not None and row["status"] in WORK:
                    grows[row["owner"]] = grows.get(row["owner"], 0) + by
        return grows

    def record(self) -> None:
        """Write what was said and done."""
        connection = self._batch.connection
        new = [row for before, row in self.changed() if before is None]
        changed = [
            {name: row[name] for name in _CHANGES} for before, row in self.changed() if before not in (None, row)
        ]
        rows.together(
            connection,
            rows.Write(tables.ticket, [{name: row[name] for name in _COLUMNS} for row in new]),
            rows.Write(tables.ticket, [{name: row[name] for name in _CHANGES} for row in changed], key="id"),
            rows.Write(tables.ticket_entry, self._entries),
        )
        if self._messages:
            connection.execute(_THREAD, {"rows": rows.as_json(self._messages)})
        self._entries, self._messages = [], []
        self.had |= {row["id"]: dict(row) for row in new}

    def recount(self, case: Case, ticket: Row, before: tuple[str, str] | None) -> None:
        """Have rules see at once that a ticket was opened, solved or is another one now; `before`: status and kind."""
        person = case.facts.person
        if "tickets" not in person:
            return
        counts = dict(person["tickets"])
        for (status, kind), by in ((before or ("", ""), -1), ((ticket["status"], ticket["kind"]), 1)):
            if status in UNSOLVED:
                counts["open"] += by
                counts["complaints"] += by * (kind == COMPLAINT)
        case.facts.know(person={**person, "tickets": counts})


def seconds(start: datetime, end: datetime) -> int:
    """The whole seconds between two moments, never less than 0."""
    return max(0, int((end - start).total_seconds()))
