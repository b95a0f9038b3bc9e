"""
A database with the default journey and everything a lead needs, driven by hand: no broker, no processes.

`Spine` is what most tests of the way of a lead are told with: what is given arrives as receipts, `run` lets the
steps do what is due, and the rest reads the shared database.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, event, text

from schema import tables
from schema.journey import default_text
from schema.store import journeys, rows
from schema.store.engine import make_engine
from schema.store.ids import new_id
from workers import advance, followup, identify, nurture, qualify, route, score  # noqa: F401 - they register the steps
from workers.runtime import STEPS, Runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

PEPPER = hashlib.sha256(b"the secret of these tests").digest()
"""Of tests/door.py and tests/mailroom.py, too."""
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def prepare(url: str, document: str = "") -> None:
    """Create all tables in an empty database and activate a journey."""
    engine = make_engine(url, name="prepare")
    tables.metadata.create_all(engine)
    with engine.begin() as connection:
        journey = journeys.store(connection, document or default_text(), NOON)
        journeys.activate(connection, journey, NOON)
    engine.dispose()


@dataclass
class Heard:
    """Hints go here instead of to a broker."""

    hints: deque[tuple[str, tuple[str, ...]]] = field(default_factory=deque)

    def send(self, step: str, ids: Sequence[str]) -> None:
        """Keep a hint."""
        self.hints.append((step, tuple(ids)))


def _never_cut_off(connection: Any, _: object) -> None:  # noqa: ANN401 - psycopg's, from a pool
    """A machine that stands still for a while is no frozen worker here."""
    connection.execute("SET idle_in_transaction_session_timeout = 0")
    connection.commit()


class Spine:
    """The way of a lead on one database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = make_engine(url, name="test")
        self.hints = Heard()
        self.now = NOON
        self._engines = [self.engine]

    def runtime(self, **settings: Any) -> Runtime:  # noqa: ANN401 - of several types
        """Return a worker's runtime on this database."""
        serves = settings.pop("serves", set(STEPS))
        settings.setdefault("pepper", lambda: PEPPER)
        engine = make_engine(self.url, name="worker", hot=True)
        event.listen(engine, "connect", _never_cut_off)
        self._engines.append(engine)
        return Runtime(engine, self.hints, serves=serves, **settings)

    def close(self) -> None:
        """Close every connection."""
        for engine in self._engines:
            engine.dispose()

    def arrives(self, payload: dict[str, Any] | bytes, *, source: str = "website", channel: str = "form") -> str:
        """Store an arrival as the intake would, and return its receipt."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        receipt = new_id()
        row = {
            "id": receipt,
            "source": source,
            "channel": channel,
            "content_type": "application/json",
            "body": rows.as_bytea(body),
            "trace": "a" * 32,
            "received_at": self.now,
            "due_since": self.now,
        }
        with self.engine.begin() as connection:
            rows.insert(connection, tables.receipt, [row])
        return receipt

    def run(self, runtime: Runtime | None = None, step: str = "identify", ids: Sequence[str] = ()) -> None:
        """Let a step do what is due, and every step that a hint asks for after it."""
        runner = runtime or self.runtime()
        self.hints.send(step, ids)
        while self.hints.hints:
            name, named = self.hints.hints.popleft()
            if name in STEPS:
                runner.hear(name, named, now=self.now)
        if runtime is None:
            runner.engine.dispose()

    def passes(self, time: timedelta) -> None:
        """Move the clock on."""
        self.now += time

    def rows(self, query: str, **parameters: object) -> list[dict[str, Any]]:
        """Read something."""
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(query), parameters).mappings()]

    def receipt(self, receipt_id: str) -> dict[str, Any]:
        """Read a receipt."""
        return self.rows("SELECT * FROM receipt WHERE id = :id", id=receipt_id)[0]

    def lead_of(self, receipt_id: str) -> dict[str, Any]:
        """Read the lead that a receipt belongs to."""
        return self.rows(
            "SELECT l.* FROM lead AS l JOIN receipt AS r ON r.lead_id = l.id WHERE r.id = :id", id=receipt_id
        )[0]

    def do(self, statement: str, **parameters: object) -> None:
        """Change something by hand."""
        with self.engine.begin() as connection:
            connection.execute(text(statement), parameters)
