"""The relay: every committed event reaches the exchange, in order, whatever dies on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pika
import pytest
from sqlalchemy import text

from schema.settings import Settings
from schema.store import feed
from schema.store.engine import make_engine
from schema.store.ids import new_id
from services.bus.exchange import NAME
from services.bus.relay import CONSUMER, run_relay
from services.embedded import die_with_parent
from tests.management import fresh_database
from tests.servers import ROOT, Postgres, RabbitMQ

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_S = 60
_RELAY = """
import sys, threading
from schema.settings import Settings
from services.bus.relay import run_relay
run_relay(Settings(events_url=sys.argv[2]), sys.argv[1], threading.Event())
"""


class Listener:
    """A downstream system: a queue of its own that hears every event."""

    def __init__(self, url: str, queue: str = "", key: str = "#") -> None:
        self._url = url
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.exchange_declare(NAME, "topic", durable=True)
        declared = self._channel.queue_declare(queue, durable=bool(queue), exclusive=not queue)
        self._queue = declared.method.queue
        self._channel.queue_bind(self._queue, NAME, key)
        self.heard: list[tuple[Any, Any, dict[str, Any]]] = []

    def hear(self, wanted: list[str]) -> list[str]:
        """The ids heard so far, in order, once all those wanted are among them."""
        missing = set(wanted) - set(self.ids)
        for method, properties, body in self._channel.consume(self._queue, inactivity_timeout=PATIENCE_S):
            assert method is not None, f"{len(missing)} of {len(wanted)} did not come"
            self._channel.basic_ack(method.delivery_tag)
            self.heard.append((method, properties, json.loads(body)))
            missing.discard(self.ids[-1])
            if not missing:
                break
        self._channel.cancel()
        return self.ids

    @property
    def ids(self) -> list[str]:
        return [properties.message_id for _, properties, _ in self.heard]

    def close(self) -> None:
        self._connection.close()


@contextmanager
def listening(url: str, queue: str = "", key: str = "#") -> Iterator[Listener]:
    listener = Listener(url, queue, key)
    try:
        yield listener
    finally:
        listener.close()


@contextmanager
def relaying(url: str, events_url: str) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=run_relay, args=(Settings(events_url=events_url), url, stop))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def relay_process(url: str, events_url: str, failpoints: Path | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _RELAY, url, events_url],
        cwd=ROOT,
        env=os.environ | {"THROUGHLINE_FAILPOINTS": str(failpoints or "")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509  # one system call, bound before the fork
    )


@pytest.fixture
def database(postgres_server: str) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        yield url


def tell(url: str, lead: str, first: int, last: int, name: str = "lead.scored") -> list[str]:
    """Commit events of one lead; their ids."""
    engine = make_engine(url, name="test")
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO event (lead_id, sequence, type, time, data) "
                "SELECT CAST(:lead AS uuid), n, :name, now(), '{\"total\": 55}' "
                "FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n"
            ),
            {"lead": lead, "name": name, "first": first, "last": last},
        )
    engine.dispose()
    return [f"{lead}.{sequence}" for sequence in range(first, last + 1)]


def unsent(url: str) -> int:
    engine = make_engine(url, name="test")
    with engine.connect() as connection:
        backlog = feed.backlog(connection, CONSUMER, 1_000_000)
    engine.dispose()
    assert backlog is not None
    return backlog.events


def test_events_leave_in_order_and_the_place_is_kept(database: str, rabbitmq_server: str) -> None:
    told = tell(database, new_id(), 1, 1200)
    with listening(rabbitmq_server) as listener:
        with relaying(database, rabbitmq_server):
            assert listener.hear(told) == told
        method, properties, event = listener.heard[0]
    assert unsent(database) == 0
    assert method.exchange == NAME
    assert method.routing_key == event["type"] == "throughline.lead.scored.v1"
    assert (properties.content_type, properties.delivery_mode) == ("application/cloudevents+json", 2)
    assert properties.message_id == event["id"]
    assert event["data"] == {"total": 55}


def test_what_was_sent_before_a_restart_is_not_sent_again(database: str, rabbitmq_server: str) -> None:
    lead = new_id()
    with listening(rabbitmq_server) as listener:
        first = tell(database, lead, 1, 3)
        with relaying(database, rabbitmq_server):
            listener.hear(first)
        second = tell(database, lead, 4, 6)
        with relaying(database, rabbitmq_server):
            listener.hear(second)
        assert listener.ids == first + second


def test_an_event_that_nobody_listens_for_holds_nothing_up(database: str, rabbitmq_server: str) -> None:
    lead = new_id()
    with listening(rabbitmq_server, key="throughline.lead.routed.#") as listener, relaying(database, rabbitmq_server):
        tell(database, lead, 1, 5)
        wanted = tell(database, lead, 6, 6, "lead.routed")
        assert listener.hear(wanted) == wanted


def test_a_second_relay_stands_by_and_takes_over(database: str, rabbitmq_server: str) -> None:
    lead = new_id()
    with listening(rabbitmq_server) as listener, relaying(database, rabbitmq_server) as stop_first:
        told = tell(database, lead, 1, 10)
        listener.hear(told)
        with relaying(database, rabbitmq_server):
            told += tell(database, lead, 11, 400)
            assert listener.hear(told) == told
            stop_first.set()
            told += tell(database, lead, 401, 410)
            listener.hear(told)
            assert list(dict.fromkeys(listener.ids)) == told


def test_an_exchange_that_was_deleted_is_made_again(database: str, rabbitmq_server: str) -> None:
    lead = new_id()
    with relaying(database, rabbitmq_server):
        with listening(rabbitmq_server) as listener:
            listener.hear(tell(database, lead, 1, 1))
            listener._channel.exchange_delete(NAME)  # noqa: SLF001
        with listening(rabbitmq_server) as listener:
            second = tell(database, lead, 2, 2)
            assert listener.hear(second) == second


def test_without_an_exchange_it_only_waits_to_be_stopped(database: str) -> None:
    tell(database, new_id(), 1, 1)
    with relaying(database, ""):
        pass
    engine = make_engine(database, name="test")
    with engine.connect() as connection:
        assert feed.backlog(connection, CONSUMER, 1) is None
    engine.dispose()


@pytest.mark.parametrize("point", ["relay.before_publish", "relay.after_confirm", "relay.after_commit"])
def test_a_relay_that_is_killed_leaves_nothing_out(
    database: str, rabbitmq_server: str, tmp_path: Path, point: str
) -> None:
    told = tell(database, new_id(), 1, 700)
    (tmp_path / f"{point}.kill").touch()
    with listening(rabbitmq_server) as listener:
        first = relay_process(database, rabbitmq_server, tmp_path)
        assert first.wait(PATIENCE_S) == -signal.SIGKILL
        second = relay_process(database, rabbitmq_server, tmp_path)
        listener.hear(told)
        second.kill()
        second.wait()
    assert list(dict.fromkeys(listener.ids)) == told
    assert len(listener.ids) == (1200 if point == "relay.after_confirm" else 700)


def test_it_outlives_the_end_of_the_broker_and_of_the_database() -> None:
    postgres = Postgres()
    server = postgres.start()
    try:
        with RabbitMQ() as rabbitmq, fresh_database(server) as url, relaying(url, rabbitmq.url):
            lead = new_id()
            with listening(rabbitmq.url, "all") as listener:
                told = tell(url, lead, 1, 50)
                listener.hear(told)
            rabbitmq.kill()
            told += tell(url, lead, 51, 100)
            rabbitmq.start()
            with listening(rabbitmq.url, "all") as listener:
                listener.hear(told[50:])
                postgres.crash()
                postgres.restart()
                told += tell(url, lead, 101, 150)
                listener.hear(told[100:])
            # What the listener had acknowledged just before the kill may come once more.
            assert [told_id for told_id in dict.fromkeys(listener.ids) if told_id in told[50:]] == told[50:]
    finally:
        postgres.stop()
