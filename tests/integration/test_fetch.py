"""Answers that a delivery only names: they are fetched, and until then the receipt waits and is not lost."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import pytest
from sqlalchemy import text

from schema.journey import default_text
from schema.settings import Settings
from schema.store import quarantine, rows
from schema.store.engine import make_async_engine
from services.fetch import TRIED_FOR, Fetcher
from services.receive import key_digest
from services.sources import Sources
from tests.deliveries import GIVEN
from tests.servers import create_database, drop_database
from tests.spine import Spine, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN: Final = "what answers are fetched with"
_SOURCES: Final = """\
  meta: {kind: hook, provider: meta_lead_ads, token: META_TOKEN, secret: META_SECRET}
  linkedin: {kind: hook, provider: linkedin_lead_sync, token: META_TOKEN, map: {"12": first_name, "13": email}}
  poor: {kind: hook, provider: meta_lead_ads, token: NOBODY_SET_IT}
"""


@dataclass
class Provider:
    """A provider's API on a port of its own: what it answers to a path, and what it was asked."""

    url: str
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def has(self, path: str, body: object, status: int = 200, **headers: str) -> None:
        written = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[path] = (status, {name.replace("_", "-"): value for name, value in headers.items()}, written)


@contextmanager
def serving() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            headers = {name.lower(): value for name, value in self.headers.items()}
            known.asked.append((path, headers | ({"query": query} if query else {})))
            status, given, body = known.answers.get(path, (404, {}, b"{}"))
            self.send_response(status)
            for name, value in given.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        known = Provider(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield known
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serving() as provider:
        yield provider


@pytest.fixture
def spine(postgres_server: str) -> Iterator[Spine]:
    name = f"fetch_{uuid4().hex[:12]}"
    url = create_database(postgres_server, name)
    prepare(url, default_text().replace("\nsources:\n", f"\nsources:\n{_SOURCES}", 1))
    spine = Spine(url)
    yield spine
    spine.close()
    drop_database(postgres_server, name)


def fetch(spine: Spine, provider: Provider, *, times: int = 1) -> list[str]:
    """Fetch what is due now; the receipts that can be understood then."""
    fetched: list[str] = []

    async def run() -> None:
        engine = make_async_engine(spine.url, name="test", pool_size=4)
        settings = Settings(meta_url=f"{provider.url}/v1", linkedin_url=f"{provider.url}/rest")
        environment = {"META_TOKEN": TOKEN, "META_SECRET": "app secret"}
        sources = Sources(engine)
        async with sources:
            fetchers = [Fetcher(engine, sources, settings, fetched.extend, environment) for _ in range(times)]
            await asyncio.gather(*(each.fetch_due(spine.now) for each in fetchers))
            for each in fetchers:
                await each.__aexit__()
        await engine.dispose()

    asyncio.run(run())
    return fetched


def arrives(spine: Spine, source: str = "meta", **changes: Any) -> str:  # noqa: ANN401
    shape = "linkedin_lead_sync" if source == "linkedin" else "meta_lead_ads"
    receipt = spine.arrives(GIVEN[shape]["body"] | changes, source=source, channel="hook")
    spine.run()
    return receipt


def test_a_lead_that_is_only_named_waits_until_its_answers_are_fetched(spine: Spine, provider: Provider) -> None:
    provider.has("/v1/555", GIVEN["meta_lead_ads"]["fetched"])
    receipt = arrives(spine)
    assert spine.receipt(receipt)["reason"] == "fetch_pending"

    assert fetch(spine, provider) == [receipt]
    spine.run()

    kept = spine.receipt(receipt)
    assert kept["status"] == "processed"
    assert json.loads(bytes(kept["body"])) == GIVEN["meta_lead_ads"]["body"]
    (person,) = spine.rows("SELECT name, email FROM person WHERE id = :id", id=kept["person_id"])
    assert person == {"name": "James Oak", "email": "james@oak.example"}
    (touch,) = spine.rows("SELECT occurred_at FROM touchpoint WHERE id = :id", id=receipt)
    assert touch["occurred_at"].isoformat() == "2015-11-12T15:27:06+00:00"


def test_the_token_is_a_header_and_the_proof_is_made_with_the_secret(spine: Spine, provider: Provider) -> None:
    arrives(spine)

    fetch(spine, provider)

    (path, headers), *_ = provider.asked
    assert path == "/v1/555"
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["query"].startswith("appsecret_proof=")
    assert TOKEN.split()[0] not in headers["query"]


def test_answers_are_read_by_the_ids_of_their_questions(spine: Spine, provider: Provider) -> None:
    provider.has("/rest/leadFormResponses/1a2b-3", GIVEN["linkedin_lead_sync"]["fetched"])
    receipt = arrives(spine, "linkedin")

    fetch(spine, provider)
    spine.run()

    assert spine.receipt(receipt)["status"] == "processed"
    assert "linkedin-version" in provider.asked[0][1]


def test_two_that_fetch_at_once_fetch_a_lead_once(spine: Spine, provider: Provider) -> None:
    provider.has("/v1/555", GIVEN["meta_lead_ads"]["fetched"])
    receipt = arrives(spine)

    assert fetch(spine, provider, times=3) == [receipt]

    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (500, b"<html>", "provider_failed"),
        (200, b"{}", "answers_unreadable"),
        (200, b"not json", "answers_unreadable"),
        (200, b'{"field_data": "\xff"}', "answers_unreadable"),
        (200, b'{"field_data": ' + b"[" * 100_000, "answers_unreadable"),
        (200, b"[]", "answers_unreadable"),
        (302, b"", "provider_failed"),
        (401, b"{}", "token_refused"),
        (400, b'{"error": {"code": 190}}', "token_refused"),
        (400, b'{"error": {"code": 100}}', "answers_not_found"),
        (404, b"{}", "answers_not_found"),
        (200, b" " * 1_100_000, "answers_too_large"),
    ],
)
def test_what_cannot_be_fetched_is_tried_again_and_says_why(
    spine: Spine, provider: Provider, status: int, body: bytes, code: str
) -> None:
    provider.has("/v1/555", body, status, Location=f"{provider.url}/elsewhere")
    receipt = arrives(spine)

    assert fetch(spine, provider) == []
    kept = spine.receipt(receipt)
    assert (kept["status"], kept["reason"]) == ("quarantined", "fetch_pending")
    assert kept["detail"] == {"fetch": code, "attempts": 1}
    fetch(spine, provider)
    assert len(provider.asked) == 1

    provider.has("/v1/555", GIVEN["meta_lead_ads"]["fetched"])
    spine.passes(timedelta(seconds=5))
    assert fetch(spine, provider) == [receipt]


def test_pauses_double_up_to_an_hour(spine: Spine, provider: Provider) -> None:
    provider.has("/v1/555", b"", 500)
    receipt = arrives(spine)
    pauses = []

    for _ in range(13):
        assert fetch(spine, provider) == []
        (row,) = spine.rows("SELECT due_at FROM retrieval WHERE receipt_id = :id", id=receipt)
        pauses.append((row["due_at"] - spine.now).total_seconds())
        spine.now = row["due_at"]

    assert pauses[:4] == [5, 10, 20, 40]
    assert pauses[-1] == 3600


@pytest.mark.parametrize(("given", "seconds"), [("120", 120), ("99999999", 3600), ("-1", 5), ("soon", 5)])
def test_a_provider_that_says_when_to_come_back_is_heard(
    spine: Spine, provider: Provider, given: str, seconds: int
) -> None:
    provider.has("/v1/555", b"{}", 429, Retry_After=given)
    receipt = arrives(spine)

    fetch(spine, provider)

    (row,) = spine.rows("SELECT due_at FROM retrieval WHERE receipt_id = :id", id=receipt)
    assert row["due_at"] - spine.now == timedelta(seconds=seconds)


def test_a_provider_that_is_away_costs_nothing_but_time(spine: Spine, provider: Provider) -> None:
    receipt = arrives(spine)

    fetch(spine, Provider("http://127.0.0.1:1"))

    assert spine.receipt(receipt)["detail"] == {"fetch": "provider_unreachable", "attempts": 1}
    provider.has("/v1/555", GIVEN["meta_lead_ads"]["fetched"])
    spine.passes(timedelta(minutes=1))
    assert fetch(spine, provider) == [receipt]


def test_without_a_token_nobody_is_asked(spine: Spine, provider: Provider) -> None:
    receipt = arrives(spine, "poor")

    fetch(spine, provider)

    assert provider.asked == []
    assert spine.receipt(receipt)["detail"]["fetch"] == "token_not_set"


def test_after_a_week_somebody_has_to_look_and_can_have_it_tried_anew(spine: Spine, provider: Provider) -> None:
    receipt = arrives(spine)
    spine.passes(TRIED_FOR + timedelta(hours=1))
    fetch(spine, provider)
    assert spine.receipt(receipt)["reason"] == "fetch_failed"

    with spine.engine.begin() as connection:
        quarantine.release(connection, [receipt], "somebody", spine.now)
    spine.run()
    provider.has("/v1/555", GIVEN["meta_lead_ads"]["fetched"])

    assert fetch(spine, provider) == [receipt]
    spine.run()
    kept = spine.receipt(receipt)
    assert kept["status"] == "processed"
    assert kept["detail"] == {"held_for": "fetch_failed", "released_by": "somebody"}


def test_answers_that_are_gone_at_the_provider_open_no_lead(spine: Spine, provider: Provider) -> None:
    receipt = arrives(spine, "linkedin")

    fetch(spine, provider)

    kept = spine.receipt(receipt)
    assert (kept["status"], kept["reason"]) == ("rejected", "answers_gone")


@pytest.mark.parametrize("first", ["CREATED", "DELETED"])
def test_answers_that_were_deleted_are_not_fetched_in_whatever_order_it_was_told(
    spine: Spine, provider: Provider, first: str
) -> None:
    provider.has("/rest/leadFormResponses/1a2b-3", GIVEN["linkedin_lead_sync"]["fetched"])
    told = {}
    for action in (first, "DELETED" if first == "CREATED" else "CREATED"):
        told[action] = arrives(spine, "linkedin", leadAction=action)
        _remembers(spine, "linkedin", f"linkedin_lead_sync 1a2b-3 {action}", told[action])

    fetch(spine, provider)

    assert provider.asked == []
    assert spine.receipt(told["CREATED"])["reason"] == "answers_deleted"
    assert spine.receipt(told["DELETED"])["reason"] == "erasure_requested"
    assert spine.rows("SELECT id FROM person") == []


def test_a_wish_to_be_forgotten_reaches_the_lead_it_is_about(spine: Spine, provider: Provider) -> None:
    provider.has("/rest/leadFormResponses/1a2b-3", GIVEN["linkedin_lead_sync"]["fetched"])
    created = arrives(spine, "linkedin")
    fetch(spine, provider)
    spine.run()

    deleted = arrives(spine, "linkedin", leadAction="DELETED")

    assert spine.receipt(deleted)["lead_id"] == spine.receipt(created)["lead_id"]
    (touch,) = spine.rows("SELECT kind FROM touchpoint WHERE id = :id", id=deleted)
    assert touch["kind"] == "erasure.requested"


def test_what_waits_for_answers_is_found_by_an_index(spine: Spine) -> None:
    with spine.engine.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        query = "EXPLAIN SELECT id FROM receipt WHERE reason = 'fetch_pending' ORDER BY received_at LIMIT 10"
        plan = "\n".join(connection.execute(text(query)).scalars())

    assert "ix_receipt_fetch" in plan


def _remembers(spine: Spine, source: str, key: str, receipt: str) -> None:
    """Keep the key of a delivery, as the way in does."""
    spine.do(
        "INSERT INTO submission VALUES (:source, CAST(:key AS bytea), CAST(:key AS bytea), "
        "ARRAY[CAST(:id AS uuid)], :now, :later)",
        source=source,
        key=rows.as_bytea(key_digest(key)),
        id=receipt,
        now=spine.now,
        later=spine.now + timedelta(days=30),
    )
