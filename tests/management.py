"""The management API on a database of its own, and rows to look at: what its tests share."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from types import MappingProxyType
from typing import Any, Final

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Connection, Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine

from schema import journey, tables
from schema.settings import Settings
from schema.store import journeys, rows
from schema.store.engine import make_async_engine, make_engine
from schema.store.ids import new_id
from services.api import keys
from services.api.keys import Keyring
from services.api.manage import create_management
from services.receive import Receiver
from services.sources import Sources
from tests.servers import create_database, drop_database
from workers.campaigns.follow import follow
from workers.campaigns.looks import enrol_leads
from workers.followups.by_hand import FollowUps
from workers.helpdesk.by_hand import TicketService
from workers.helpdesk.recalculation import recalculate
from workers.identity.merge import Merger
from workers.migration import migrate_leads
from workers.outlook import outlook
from workers.owners import Owners
from workers.retention.by_hand import Retention
from workers.sales.by_hand import Sales
from workers.satisfaction.answers import Answers

NOW: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PEPPER: Final = b"p" * 32
REVISION: Final = "0001"
_PATIENCE_S: Final = 60


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """A database with all tables and the default journey active."""
    name = f"manage_{uuid.uuid4().hex[:12]}"
    try:
        yield create_database(server_url, name, _template(server_url))
    finally:
        drop_database(server_url, name)


@cache
def _template(server_url: str) -> str:
    """The database that the others are copies of; it goes with its server."""
    name = f"manage_template_{uuid.uuid4().hex[:12]}"
    engine = make_engine(create_database(server_url, name), name="test")
    tables.metadata.create_all(engine)
    with engine.begin() as connection:
        journeys.activate(connection, journeys.store(connection, journey.default_text(), NOW), NOW)
    engine.dispose()
    return name


def settle(engine: Engine) -> None:
    """
    Return once every transaction that is running now has ended, those of other tests on the same server too.

    Until then the feed holds back what was committed after they began.
    """
    deadline = time.monotonic() + _PATIENCE_S
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        youngest = connection.execute(text("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")).scalar_one()
        while not connection.execute(_SETTLED, {"youngest": youngest}).scalar_one():
            assert time.monotonic() < deadline, "a transaction on the server does not end"
            time.sleep(0.01)


_SETTLED: Final = text("SELECT pg_snapshot_xmin(pg_current_snapshot()) >= CAST(:youngest AS xid8)")


@dataclass
class Seed:
    """Writes rows as the workers would have left them."""

    engine: Engine
    version: str = field(default_factory=lambda: journey.default_journey().version)

    def insert(self, table: Any, **row: Any) -> str:  # noqa: ANN401
        with self.engine.begin() as connection:
            rows.insert(connection, table, [row])
        return str(row.get("id"))

    def person(self, name: str = "Ana Lopez", email: str | None = None, phone: str | None = None) -> str:
        person_id = self.insert(
            tables.person, id=new_id(), name=name, email=email, phone=phone, created_at=NOW, updated_at=NOW
        )
        for kind, value in (("email", email), ("phone", phone)):
            if value:
                self.insert(tables.person_key, kind=kind, value=value, person_id=person_id)
        return person_id

    def lead(self, person_id: str | None = None, **columns: Any) -> str:  # noqa: ANN401
        row = {
            "id": new_id(),
            "person_id": person_id or self.person(),
            "journey": self.version,
            "journey_name": "default",
            "state": "lead",
            "open": True,
            "next_step": None,
            "source": "website",
            "channel": "form",
            "created_at": NOW,
            "updated_at": NOW,
        }
        return self.insert(tables.lead, **(row | columns))

    def opportunity(self, person_id: str | None = None, **columns: Any) -> str:  # noqa: ANN401
        """A lead that has made the move `qualify`."""
        lead_id = new_id()
        self.insert(
            tables.transition,
            lead_id=lead_id,
            number=1,
            journey=self.version,
            from_state="lead",
            name="qualify",
            to_state="opportunity",
            at=NOW,
            actor="journey",
        )
        return self.lead(person_id, id=lead_id, state="opportunity", transitions=1, **columns)

    def receipt(self, **columns: Any) -> str:  # noqa: ANN401
        row = {
            "id": new_id(),
            "source": "website",
            "channel": "form",
            "content_type": "application/json",
            "body": rows.as_bytea(b"{}"),
            "trace": "0" * 32,
            "received_at": NOW,
            "status": "pending",
        }
        return self.insert(tables.receipt, **(row | columns))

    def touchpoint(self, lead_id: str, person_id: str, *, touch_id: str | None = None, **columns: Any) -> str:  # noqa: ANN401
        row = {
            "id": touch_id or new_id(),
            "person_id": person_id,
            "lead_id": lead_id,
            "kind": "form",
            "channel": "form",
            "source": "website",
            "occurred_at": NOW,
            "recorded_at": NOW,
            "data": {},
        }
        return self.insert(tables.touchpoint, **(row | columns))

    def decision(
        self,
        lead_id: str,
        number: int,
        step: str,
        outcome: str,
        explanation: Mapping[str, Any],
    ) -> None:
        self.insert(
            tables.decision,
            lead_id=lead_id,
            number=number,
            step=step,
            at=NOW + timedelta(seconds=number),
            journey=self.version,
            outcome=outcome,
            reason=explanation.get("reason") or None,
            explanation=explanation,
        )

    def event(
        self,
        lead_id: str,
        sequence: int,
        name: str = "lead.scored",
        data: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """An event that readers of the feed can see."""
        with self.engine.begin() as connection:
            add_event(connection, lead_id, sequence, name, data)
        settle(self.engine)

    def dead_letter(self, subject: str, subject_id: str, step: str, fingerprint: str = "f" * 16) -> str:
        return self.insert(
            tables.dead_letter,
            id=new_id(),
            step=step,
            subject=subject,
            subject_id=subject_id,
            fingerprint=fingerprint,
            error="ValueError: unexpected",
            attempts=3,
            created_at=NOW,
        )


def add_event(
    connection: Connection,
    lead_id: str,
    sequence: int,
    name: str = "lead.scored",
    data: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    row = {"lead_id": lead_id, "sequence": sequence, "type": name, "time": NOW, "trace": None, "data": dict(data)}
    rows.insert(connection, tables.event, [row])


@dataclass
class Site:
    """The API, served on a port by a thread, and a client with a key that may do everything."""

    url: str
    engine: Engine
    seed: Seed
    client: httpx.Client
    app: FastAPI
    hinted: list[tuple[str, list[str]]]
    moved: list[tuple[str, str, str, str]]
    refuse_move: list[Exception]

    def get(self, path: str, status: int = 200) -> Any:  # noqa: ANN401
        response = self.client.get(path)
        assert response.status_code == status, response.text
        return response.json()

    def post(self, path: str, body: object = None, status: int = 200) -> Any:  # noqa: ANN401
        response = self.client.post(path, json=body)
        assert response.status_code == status, response.text
        return response.json()

    def key(self, *scopes: str) -> dict[str, str]:
        with self.engine.begin() as connection:
            _, key = keys.create(connection, PEPPER, scopes, NOW)
        return {"Authorization": f"Bearer {key}"}


@contextmanager
def open_site(server_url: str, *, max_waiting: int = 100) -> Iterator[Site]:
    with fresh_database(server_url) as url:
        engine = make_engine(url, name="test")
        asynchronous = make_async_engine(url, name="api")
        settings = Settings(database_url=url, max_waiting=max_waiting, secret_key="the secret of these tests")
        site = _site(url, engine, asynchronous, settings)
        with serve(site.app, asynchronous) as base, httpx.Client(base_url=base, timeout=30) as client:
            site.client = client
            client.headers.update(site.key(*keys.SCOPES))
            yield site
        engine.dispose()


@contextmanager
def serve(app: FastAPI, engine: AsyncEngine) -> Iterator[str]:
    """Serve an application over HTTP on a free port, until the end of `with`."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", server_header=False))

    async def live() -> None:
        await server.serve([listener])
        await engine.dispose()

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _site(url: str, engine: Engine, asynchronous: AsyncEngine, settings: Settings) -> Site:
    hinted: list[tuple[str, list[str]]] = []
    moved: list[tuple[str, str, str, str]] = []
    refuse_move: list[Exception] = []

    def move(lead_id: str, name: str, reason: str, actor: str) -> dict[str, Any]:
        if refuse_move:
            raise refuse_move.pop()
        moved.append((lead_id, name, reason, actor))
        return {"id": lead_id, "state": "opportunity"}

    def ask(lead_id: str, at: datetime | None, target: str | None) -> dict[str, Any]:
        with engine.connect() as connection:
            return outlook(connection, lead_id, at=at, target=target)

    app = create_management(
        settings,
        asynchronous,
        Keyring(asynchronous, PEPPER),
        Sources(asynchronous),
        Receiver(asynchronous, max_waiting=settings.max_waiting, on_received=lambda _: None),
        move=move,
        migrate=partial(migrate_leads, engine),
        owners=Owners(engine, lambda step, ids: hinted.append((step, list(ids)))),
        enrol=partial(enrol_leads, engine, hint=lambda step, ids: hinted.append((step, list(ids)))),
        follow=partial(follow, engine, hint=lambda step, ids: hinted.append((step, list(ids)))),
        merger=Merger(engine, lambda step, ids: hinted.append((step, list(ids)))),
        follow_ups=FollowUps(engine, lambda step, ids: hinted.append((step, list(ids)))),
        sales=Sales(engine, lambda step, ids: hinted.append((step, list(ids)))),
        retention=Retention(engine, lambda step, ids: hinted.append((step, list(ids)))),
        tickets=TicketService(engine, lambda step, ids: hinted.append((step, list(ids)))),
        surveys=Answers(engine, lambda step, ids: hinted.append((step, list(ids)))),
        outlook=ask,
        recalculate=partial(recalculate, engine, hint=lambda step, ids: hinted.append((step, list(ids)))),
        hint=lambda step, ids: hinted.append((step, list(ids))),
        revision=REVISION,
    )
    return Site(url, engine, Seed(engine), httpx.Client(), app, hinted, moved, refuse_move)
