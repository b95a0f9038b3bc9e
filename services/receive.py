"""
The one way in: whatever arrives becomes a committed receipt before anybody is told that it was taken.

Concurrent callers share commits: one flusher takes what has gathered, writes it in one statement, and answers all of
them. No timer: alone, an arrival is written at once; under load the batches grow with the commit's own duration.
A submission that was already taken, by its sender's key or by its content, is answered with its first receipts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Self

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from schema.errors import Permanent, Transient
from schema.failpoints import reached
from schema.store import clock, rows
from schema.store.engine import is_transient
from schema.store.ids import new_id
from schema.understood import HELD

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncEngine

log = structlog.get_logger()

KEY_MEMORY: Final = timedelta(days=30)
"""How long a sender's own key is remembered."""
_BATCH_ROWS: Final = 1000
_BATCH_BYTES: Final = 8 * 1024 * 1024
_WAITING_BYTES: Final = 64 * 1024 * 1024
PATIENCE_S: Final = 5.0
"""How long an arrival waits for the database before its sender is told to come back."""
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 0.5


class KeyReused(Permanent):
    """The sender's key was used before, for something else."""


class KeyInUse(Transient):
    """A request with the same key is being written right now."""


class Overloaded(Transient):
    """More arrivals wait to be written than may: try again shortly."""


class Unavailable(Transient):
    """The database did not take it in time; it may or may not be stored, and the same again is harmless."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One thing that came: its raw bytes and where they came from. `held` is why it is not to be processed, if so."""

    source: str
    channel: str
    content_type: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    held: str = ""


@dataclass(slots=True)
class Submission:
    """
    What one sender handed over in one go, under one key.

    `key` is the sender's own (`explicit`) or empty: then the content is the key, for `window`. One that `joins` has a
    key that names what happened, not the request: two at once are one. `memory` is how long that key is remembered.
    """

    arrivals: Sequence[Arrival]
    trace: str
    key: str = ""
    window: timedelta = timedelta(hours=24)
    joins: bool = False
    memory: timedelta = KEY_MEMORY
    digest: bytes = b""
    fingerprint: bytes = b""
    receipt_ids: list[str] = field(default_factory=list)
    replayed: bool = False

    def __post_init__(self) -> None:
        """Hash what identifies it."""
        content = hashlib.sha256()
        for arrival in self.arrivals:
            content.update(len(arrival.body).to_bytes(8, "big"))
            content.update(arrival.body)
        self.fingerprint = content.digest()
        held = self.arrivals[0].held  # what was only held does not answer for what would be processed
        if self.key:
            self.digest = key_digest(self.key, held)
        else:
            self.digest = hashlib.sha256(held.encode() + b"content\0" + self.fingerprint).digest()
        self.receipt_ids = [new_id() for _ in self.arrivals]

    @property
    def explicit(self) -> bool:
        """Whether the sender named the key."""
        return bool(self.key)

    @property
    def place(self) -> tuple[str, bytes]:
        """What makes it the same submission."""
        return self.arrivals[0].source, self.digest

    @property
    def size(self) -> int:
        """Bytes it holds in memory while it waits."""
        return sum(len(arrival.body) for arrival in self.arrivals)


def key_digest(key: str, held: str = "") -> bytes:
    """What a sender's key is remembered as."""
    return hashlib.sha256(held.encode() + b"key\0" + key.encode()).digest()


_STORE: Final = text("""
WITH kept AS (
    INSERT INTO submission AS s (source, key, fingerprint, receipt_ids, received_at, expires_at)
    SELECT source, key, fingerprint, receipt_ids, received_at, expires_at
    FROM jsonb_to_recordset(CAST(:submissions AS jsonb)) AS r(
        source text, key bytea, fingerprint bytea, receipt_ids uuid[], received_at timestamptz, expires_at timestamptz)
    ORDER BY source, key
    ON CONFLICT (source, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, receipt_ids = excluded.receipt_ids,
        received_at = excluded.received_at, expires_at = excluded.expires_at
    WHERE s.expires_at <= excluded.received_at
    RETURNING s.receipt_ids
), ids AS (
    SELECT unnest(receipt_ids) AS id FROM kept
), stored AS (
    INSERT INTO receipt (
        id, source, channel, content_type, body, headers, trace, received_at, due_since, status, reason)
    SELECT id, source, channel, content_type, body, headers, trace, received_at,
        CASE WHEN held IS NULL THEN received_at END, CASE WHEN held IS NULL THEN 'pending' ELSE 'quarantined' END, held
    FROM jsonb_to_recordset(CAST(:receipts AS jsonb)) AS r(
        id uuid, source text, channel text, content_type text, body bytea, headers jsonb, trace text,
        received_at timestamptz, held text)
    JOIN ids USING (id)
)
SELECT receipt_ids[1] AS first FROM kept
""")
_REMEMBERED: Final = text("""
SELECT s.source, s.key, s.fingerprint, s.receipt_ids
FROM jsonb_to_recordset(CAST(:places AS jsonb)) AS r(source text, key bytea)
JOIN submission AS s USING (source, key)
""")


class Receiver:
    """
    Takes submissions and answers when they are committed. One per process and event loop.

    `on_received` is told the ids of new receipts after each commit; it must neither block nor fail.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        max_waiting: int,
        on_received: Callable[[Sequence[str]], None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._patience_s = patience_s
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._max_waiting = max_waiting
        self._on_received = on_received
        self._waiting: deque[tuple[Submission, asyncio.Future[None]]] = deque()
        self._waiting_rows = 0
        self._waiting_bytes = 0
        self._in_flight: dict[tuple[str, bytes], tuple[Submission, asyncio.Future[None]]] = {}
        self._gathered = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the flusher."""
        self._flusher = asyncio.create_task(self._flush_forever())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what still waits, then stop."""
        while self._in_flight:
            await asyncio.wait([future for _, future in self._in_flight.values()])
        if self._flusher:
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)

    @property
    def waiting(self) -> int:
        """Receipts that are not committed yet."""
        return self._waiting_rows

    async def receive(self, submission: Submission) -> Submission:
        """
        Commit a submission and return it with the receipts it is answered with.

        :raises KeyReused: the sender's key was used for other content
        :raises KeyInUse: the same key is being written at this moment
        :raises Overloaded: too much waits already; nothing was taken
        :raises Unavailable: the database did not answer in time
        """
        twin = self._in_flight.get(submission.place)
        if twin:
            return await self._join(submission, *twin)
        size = submission.size
        if (
            self._waiting_rows + len(submission.arrivals) > self._max_waiting
            or self._waiting_bytes + size > _WAITING_BYTES
        ):
            raise Overloaded("overloaded", "Too many arrivals are waiting to be stored.")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((submission, future))
        self._waiting_rows += len(submission.arrivals)
        self._waiting_bytes += size
        self._in_flight[submission.place] = (submission, future)
        self._gathered.set()
        await asyncio.shield(future)
        return submission

    async def _join(self, submission: Submission, twin: Submission, future: asyncio.Future[None]) -> Submission:
        """Two of the same at once: a sender's key is answered "in use", the same content waits and is one."""
        if submission.fingerprint != twin.fingerprint:
            raise KeyReused("idempotency_key_reused", "This Idempotency-Key was used with another body.")
        if submission.explicit and not submission.joins:
            raise KeyInUse("idempotency_key_in_use", "A request with this Idempotency-Key is being processed.")
        await asyncio.shield(future)
        submission.receipt_ids, submission.replayed = twin.receipt_ids, True
        return submission

    async def _flush_forever(self) -> None:
        while True:
            await self._gathered.wait()
            batch = self._take()
            try:
                await self._flush([submission for submission, _ in batch])
            except Exception as error:  # noqa: BLE001 - every caller must be answered, whatever it was
                await self._answer_failed(batch, error)
            else:
                _resolve(batch)
            for submission, _ in batch:
                del self._in_flight[submission.place]
                self._waiting_rows -= len(submission.arrivals)
                self._waiting_bytes -= submission.size

    def _take(self) -> list[tuple[Submission, asyncio.Future[None]]]:
        batch: list[tuple[Submission, asyncio.Future[None]]] = []
        count = size = 0
        while self._waiting and (not batch or (count < _BATCH_ROWS and size < _BATCH_BYTES)):
            submission, future = self._waiting.popleft()
            batch.append((submission, future))
            count += len(submission.arrivals)
            size += submission.size
        if not self._waiting:
            self._gathered.clear()
        return batch

    async def _flush(self, batch: Sequence[Submission]) -> None:
        """Write a batch; a lost connection is tried again with the same ids, which is harmless."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_s
        pause = _FIRST_PAUSE_S
        while True:
            try:
                await asyncio.wait_for(self._write(batch), max(deadline - loop.time(), 1.0))
            except (DBAPIError, TimeoutError) as error:
                if not (isinstance(error, TimeoutError) or is_transient(error)):
                    raise
                if loop.time() + pause > deadline:
                    raise Unavailable("database_unavailable", "The database does not answer.") from error
                log.warning("receive.retry", rows=len(batch))
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
            else:
                return

    async def _write(self, batch: Sequence[Submission]) -> None:
        now = clock.now()
        parameters = {
            "submissions": rows.as_json([_submission_row(submission, now) for submission in batch]),
            "receipts": rows.as_json([row for submission in batch for row in _receipt_rows(submission, now)]),
        }
        async with self._engine.connect() as connection:
            reached("api.before_commit")
            kept = {row.first for row in await connection.execute(_STORE, parameters)}
            reached("api.after_commit")
            known = [submission for submission in batch if submission.receipt_ids[0] not in kept]
            if known:
                places = [{"source": s.place[0], "key": rows.as_bytea(s.digest)} for s in known]
                found = await connection.execute(_REMEMBERED, {"places": rows.as_json(places)})
                remembered = {(row.source, bytes(row.key)): row for row in found}
        new = [receipt for s in batch if s.receipt_ids[0] in kept for receipt in s.receipt_ids]
        if new:
            self._on_received(new)
        for submission in known:
            _recall(submission, remembered[submission.place])

    async def _answer_failed(self, batch: list[tuple[Submission, asyncio.Future[None]]], error: Exception) -> None:
        """Answer a batch that could not be written; if the database refused a value, find out whose."""
        if isinstance(error, Unavailable) or len(batch) == 1:
            for _, future in batch:
                future.set_exception(error)
                future.exception()  # its caller may have gone
            return
        for submission, future in batch:
            try:
                await self._flush([submission])
            except Exception as failure:  # noqa: BLE001 - as above, for one
                future.set_exception(failure)
                future.exception()
            else:
                _resolve([(submission, future)])


def _resolve(batch: Sequence[tuple[Submission, asyncio.Future[None]]]) -> None:
    for submission, future in batch:
        if submission.explicit and submission.replayed and not submission.receipt_ids:
            future.set_exception(
                KeyReused("idempotency_key_reused", "This Idempotency-Key was used with another body."),
            )
            future.exception()
        else:
            future.set_result(None)


def _recall(submission: Submission, row: Any) -> None:  # noqa: ANN401 - a result row
    """Answer with the first receipts; none where the key was used for something else."""
    if submission.receipt_ids == row.receipt_ids:
        return  # our own, committed although the connection was lost before we heard so
    submission.replayed = True
    submission.receipt_ids = list(row.receipt_ids) if bytes(row.fingerprint) == submission.fingerprint else []


def _submission_row(submission: Submission, now: datetime) -> dict[str, Any]:
    return {
        "source": submission.place[0],
        "key": rows.as_bytea(submission.digest),
        "fingerprint": rows.as_bytea(submission.fingerprint),
        "receipt_ids": submission.receipt_ids,
        "received_at": now,
        "expires_at": now + (submission.memory if submission.explicit else submission.window),
    }


def _receipt_rows(submission: Submission, now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "id": receipt_id,
            "source": arrival.source,
            "channel": arrival.channel,
            "content_type": arrival.content_type,
            "body": rows.as_bytea(arrival.body),
            "headers": arrival.headers | {HELD: arrival.held} if arrival.held else arrival.headers,
            "trace": submission.trace,
            "received_at": now,
            "held": arrival.held or None,
        }
        for receipt_id, arrival in zip(submission.receipt_ids, submission.arrivals, strict=True)
    ]
