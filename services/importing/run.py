"""
The way of a file's rows into receipts, and what became of them.

    reads   the rows, the map, and which rows the source has already sent
    writes  submission, receipt, import_run

A row is known by its content (or by the column that names it) for as long as the source exists: an import that was
interrupted goes on when it is run again, and the same file twice adds nothing. What waits in quarantine is read again
when the map has changed since. Rows are stored and understood like any arrival; only that they are `quiet` tells them
from others, unless asked otherwise.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from sqlalchemy import text

from schema import payload, tables
from schema.draft import match_keys, says_something
from schema.importing import MAP, QUIET, ROW, RUN, TOUCHPOINT, ImportMap, cell, touchpoints
from schema.store import clock, rows
from schema.store.ids import new_id, uuid_array
from schema.understand import understand
from schema.understood import Raw, Understood
from services.importing.reading import ROW_ERRORS, Row
from services.receive import Arrival, KeyReused, Receiver, Submission

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from schema.journey import Source

CHUNK: Final = 1000
"""Rows that are stored at once."""
_EXAMPLES: Final = 3
_FOR_EVER: Final = timedelta(days=365 * 100)
REASONS: Final = ROW_ERRORS | {
    "content_changed": "a row of this name was there already, with other cells",
    "date_invalid": "a moment cannot be read: say how they are written with `dates` in the map, as in '%d.%m.%Y'",
    "nothing_recognised": "nobody is named: no address, number or id that is mapped or known by its name",
}
"""Why a row went no further, for people; the codes of payloads say themselves."""
_KNOWN: Final = text("""
SELECT s.key, s.fingerprint FROM jsonb_to_recordset(CAST(:places AS jsonb)) AS r(source text, key bytea)
JOIN submission AS s USING (source, key)
""")
_KEYS: Final = text("""
SELECT k.kind, k.value, k.person_id FROM jsonb_to_recordset(CAST(:keys AS jsonb)) AS r(kind text, value text)
JOIN person_key AS k USING (kind, value)
""")
_READ_AGAIN: Final = text("""
UPDATE receipt AS t
SET headers = r.headers, status = 'pending', reason = NULL, detail = NULL, due_since = :now, attempts = 0
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, headers jsonb)
WHERE t.id = r.id AND t.status = 'quarantined' AND t.channel = 'import'
  AND t.headers ->> CAST(:map AS text) IS DISTINCT FROM r.headers ->> CAST(:map AS text)
RETURNING t.id
""")
_STILL_DUE: Final = text("SELECT id FROM receipt WHERE id = ANY(CAST(:ids AS uuid[])) AND due_since IS NOT NULL")
_OUTCOMES: Final = text("""
SELECT r.id, r.status, r.reason, r.lead_id, r.due_since IS NOT NULL AS due
FROM receipt AS r WHERE r.id = ANY(CAST(:ids AS uuid[]))
""")
_BEFORE: Final = text("""
SELECT finished_at FROM import_run
WHERE source = :source AND digest = :digest AND finished_at IS NOT NULL ORDER BY started_at DESC LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be imported: for which source, read how, and whether it may set things off."""

    source: str
    plan: ImportMap
    quiet: bool = True
    id_column: str | None = None
    run: str = field(default_factory=new_id)


class Told(NamedTuple):
    """One arrival of a row on its way: the row itself, or one of its touchpoints."""

    row: Row
    touchpoint: str
    submission: Submission


class Outcome(NamedTuple):
    """What became of one arrival: a receipt's status, or `repeated`, `failed`, `waiting`."""

    row: Row
    touchpoint: str
    outcome: str
    reason: str
    receipt: str
    lead: str


def arrivals(row: Row, order: Order) -> Iterator[Told]:
    """What a row is stored as: itself, and each of its touchpoints."""
    plan = order.plan
    headers = {RUN: order.run, ROW: str(row.number)}
    if written := plan.written():
        headers[MAP] = written
    if order.quiet:
        headers[QUIET] = "true"
    yield Told(row, plan.kind or "import", _submission(row, order, headers, ""))
    if not row.error:
        for number in touchpoints(plan, row.values):
            told = plan.touchpoints[number]
            named = _submission(row, order, headers | {TOUCHPOINT: str(number)}, f"{told.kind}\0{told.at}")
            yield Told(row, told.kind, named)


def _submission(row: Row, order: Order, headers: dict[str, str], touchpoint: str) -> Submission:
    body, values = row.body, row.values
    if order.plan.ignore and not row.error:
        values = {name: value for name, value in values.items() if name not in order.plan.ignore}
        body = msgspec.json.encode(values)
    arrival = Arrival(order.source, "import", row.content_type, body, headers, held=row.error)
    named = cell(row.values, order.id_column) if order.id_column else None
    # What makes a row the same: its cells by column, in whatever order the columns stand.
    content = msgspec.json.encode(values, order="sorted") if values else body
    by_id = named is not None and named != ""
    key = hashlib.sha256(str(named).encode() if by_id else content).hexdigest()
    return Submission(
        [arrival],
        _trace(order.run),
        key=f"row\0{touchpoint}\0{'id' if by_id else 'content'}\0{key}",
        joins=True,
        memory=_FOR_EVER,
    )


def _trace(run: str) -> str:
    return run.replace("-", "")


def chunks(rows_: Iterable[Row], size: int = CHUNK) -> Iterator[list[Row]]:
    """The rows, so many at a time."""
    chunk: list[Row] = []
    for row in rows_:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


# -- for real ----------------------------------------------------------------------------------------------------------


class Stored(NamedTuple):
    """A chunk that is committed: its arrivals, those that were there already, and the receipts that are due."""

    told: list[Told]
    repeated: set[int]
    """By place in `told`."""
    changed: set[int]
    """Those whose name is known, with other content."""
    due: list[str]


async def store(receiver: Receiver, engine: Engine, told: Sequence[Told]) -> Stored:
    """
    Commit the arrivals of a chunk, and what waits in quarantine and may be read now is due again.

    :raises Unavailable: the database does not answer; the same again goes on from there
    """
    answers = await asyncio.gather(
        *(receiver.receive(each.submission) for each in told),
        return_exceptions=True,
    )
    changed = {at for at, answer in enumerate(answers) if isinstance(answer, KeyReused)}
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, KeyReused):
            raise answer
    repeated = {at for at, each in enumerate(told) if each.submission.replayed} | changed
    fresh = [each for at, each in enumerate(told) if at not in repeated and not each.row.error]
    before = [told[at] for at in sorted(repeated - changed) if not told[at].row.error]
    again, due = _not_done(engine, before)
    repeated -= {at for at in repeated - changed if _receipt(told[at]) in again}
    return Stored(list(told), repeated, changed, [*map(_receipt, fresh), *sorted(again | due)])


def _receipt(told: Told) -> str:
    """The receipt it is answered with; empty where its name is another's."""
    return (told.submission.receipt_ids or [""])[0]


def _not_done(engine: Engine, told: Sequence[Told]) -> tuple[set[str], set[str]]:
    """Of those that were there already: which are read again, and which an interrupted run had left due."""
    if not told:
        return set(), set()
    wanted = [{"id": _receipt(each), "headers": each.submission.arrivals[0].headers} for each in told]
    parameters = {"rows": rows.as_json(wanted), "now": clock.now(), "map": MAP}
    with engine.begin() as connection:
        again = set(connection.execute(_READ_AGAIN, parameters).scalars())
        due = connection.execute(_STILL_DUE, {"ids": uuid_array(map(_receipt, told))}).scalars()
        return again, set(due)


def outcomes(connection: Connection, stored: Stored) -> list[Outcome]:
    """Say what became of a chunk so far."""
    ids = sorted({receipt for each in stored.told if (receipt := _receipt(each))})
    found = {row.id: row for row in connection.execute(_OUTCOMES, {"ids": uuid_array(ids)})}
    told = []
    for at, each in enumerate(stored.told):
        receipt = _receipt(each)
        row = found.get(receipt)
        outcome, reason = (row.status, row.reason or "") if row else ("repeated", "")
        if row and row.status == "pending":
            outcome, reason = ("waiting", "") if row.due else ("failed", "dead_letter")
        if at in stored.repeated:
            outcome, reason = "repeated", "content_changed" if at in stored.changed else reason
        told.append(Outcome(each.row, each.touchpoint, outcome, reason, receipt, (row and row.lead_id) or ""))
    return told


def begin(engine: Engine, order: Order, name: str, digest: bytes) -> datetime | None:
    """Note that a run begins; return when the same file was last imported to its end, if ever."""
    with engine.begin() as connection:
        before = connection.execute(_BEFORE, {"source": order.source, "digest": digest}).one_or_none()
        row = {
            "id": order.run,
            "source": order.source,
            "file": payload.without_controls(name)[:255],
            "digest": rows.as_bytea(digest),
            "map": msgspec.Raw((order.plan.written() or "{}").encode()),
            "quiet": order.quiet,
            "started_at": clock.now(),
        }
        rows.insert(connection, tables.import_run, [row])
    return before.finished_at if before else None


def note(engine: Engine, order: Order, counts: Counter[str], *, finished: bool) -> None:
    """Note how far a run is."""
    row = {"id": order.run, "counts": counts, "finished_at": clock.now() if finished else None}
    with engine.begin() as connection:
        rows.update(connection, tables.import_run, "id", [row])


# -- only to say what would happen -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Forecast:
    """What an import would do: rows by what would become of them, and the first that would be new, as read."""

    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[Row, Understood]] = field(default_factory=list)
    _people: set[tuple[str, str]] = field(default_factory=set)
    _seen: set[bytes] = field(default_factory=set)

    def add(self, connection: Connection, source: Source, order: Order, chunk: Sequence[Row]) -> None:
        """Look at some rows; nothing is written."""
        told = [each for row in chunk for each in arrivals(row, order)]
        known = _known(connection, told)
        read: list[tuple[Told, Understood, list[tuple[str, str]]]] = []
        for each in told:
            self.counts["arrivals"] += 1
            digest = each.submission.digest
            if digest in known or digest in self._seen:
                self.counts["repeated"] += 1
                continue
            self._seen.add(digest)
            found = _understood(each, source)
            if isinstance(found, str):
                self.counts["unusable"] += 1
                self.reasons[found] += 1
            else:
                read.append((each, found, match_keys(found.draft, order.source)))
        people = _people(connection, {key for _, _, keys in read for key in keys})
        for each, found, keys in read:
            if any(key in people or key in self._people for key in keys):
                self.counts["known_people"] += 1
            else:
                self.counts["new_people"] += 1
                if len(self.examples) < _EXAMPLES:
                    self.examples.append((each.row, found))
            self._people.update(keys)


def _known(connection: Connection, told: Sequence[Told]) -> set[bytes]:
    places = [{"source": each.submission.place[0], "key": rows.as_bytea(each.submission.digest)} for each in told]
    return {bytes(row.key) for row in connection.execute(_KNOWN, {"places": rows.as_json(places)})}


def _people(connection: Connection, keys: set[tuple[str, str]]) -> set[tuple[str, str]]:
    wanted = [{"kind": kind, "value": value} for kind, value in keys]
    return {(row.kind, row.value) for row in connection.execute(_KEYS, {"keys": rows.as_json(wanted)})}


def _understood(told: Told, source: Source) -> Understood | str:
    """What the worker will read, or the code it will hold it back for."""
    if told.row.error:
        return told.row.error
    arrival = told.submission.arrivals[0]
    raw = Raw("import", arrival.content_type, arrival.body, arrival.headers, clock.now())
    try:
        understood = understand(raw, source)
    except payload.Refused as refused:
        return refused.code
    if understood.outcome:
        return understood.reason
    if match_keys(understood.draft, told.submission.place[0]) or says_something(understood.draft):
        return understood
    return "nothing_recognised"
