"""Events over AMQP: committed before they are acknowledged, kept whatever they are, and found again after a failure."""

from __future__ import annotations

import json
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pika
import pika.exceptions
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from schema.journey import default_text
from schema.settings import Settings
from services.bus.consume import LARGEST, REFUSED, run_consumer
from tests.anything import VALUES, changed, examples
from tests.rig import until
from tests.servers import RabbitMQ
from tests.spine import Spine, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 60
STRUCTURED = "application/cloudevents+json"


class Sender:
    """A system that publishes events to the queues of sources."""

    def __init__(self, url: str, queue: str = "throughline.in.product") -> None:
        self.url = url
        self.queue = queue

    def send(self, *bodies: bytes, queue: str = "", **properties: Any) -> None:  # noqa: ANN401
        """Publish; what a broker that has just started does not take is sent again, as senders do."""
        left = list(bodies)
        until(
            lambda: self._sent(left, queue or self.queue, pika.BasicProperties(delivery_mode=2, **properties)), "taken"
        )

    def _sent(self, left: list[bytes], queue: str, properties: pika.BasicProperties) -> bool:
        with (
            suppress(pika.exceptions.NackError, pika.exceptions.UnroutableError, pika.exceptions.AMQPConnectionError),
            self._channel() as channel,
        ):
            channel.confirm_delivery()
            while left:
                channel.basic_publish("", queue, left[0], properties, mandatory=True)
                left.pop(0)
        return not left

    def waiting(self, queue: str = "") -> int:
        """How many messages are in a queue, ready to be taken."""
        with self._channel() as channel:
            return int(channel.queue_declare(queue or self.queue, passive=True).method.message_count)

    def exists(self, queue: str = "") -> bool:
        try:
            self.waiting(queue)
        except pika.exceptions.ChannelClosedByBroker:
            return False
        return True

    def forget(self, *queues: str) -> None:
        with self._channel() as channel:
            for queue in queues:
                channel.queue_delete(queue)

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        with closing(pika.BlockingConnection(pika.URLParameters(self.url))) as connection:
            yield connection.channel()


@pytest.fixture
def sender(rabbitmq_url: str) -> Iterator[Sender]:
    sender = Sender(rabbitmq_url)
    yield sender
    sender.forget(sender.queue, REFUSED)


@contextmanager
def consuming(spine: Spine, url: str, received: list[str] | None = None) -> Iterator[None]:
    stop = threading.Event()
    heard = received if received is not None else []
    settings = Settings(database_url=spine.url, consume_url=url)
    thread = threading.Thread(target=run_consumer, args=(settings, spine.url, heard.extend, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def event(**changes: Any) -> bytes:  # noqa: ANN401
    told = {
        "specversion": "1.0",
        "id": uuid4().hex,
        "source": "/shop",
        "type": "purchase",
        "data": {"email": f"{uuid4().hex}@example.com"},
    }
    return json.dumps(told | changes).encode()


def receipts(spine: Spine) -> list[dict[str, Any]]:
    return spine.rows("SELECT * FROM receipt ORDER BY received_at, id")


def listened_to(sender: Sender) -> None:
    until(sender.exists, "the queue is declared")


def test_events_become_receipts_and_then_leads(spine: Spine, sender: Sender) -> None:
    hinted: list[str] = []
    with consuming(spine, sender.url, hinted):
        listened_to(sender)
        sender.send(*(event() for _ in range(20)), content_type=STRUCTURED)
        until(lambda: len(receipts(spine)) == 20, "all of them are stored")
        until(lambda: sender.waiting() == 0, "none is left")

    spine.run()

    assert {row["id"] for row in receipts(spine)} == set(hinted)
    assert {row["status"] for row in receipts(spine)} == {"processed"}
    assert {row["kind"] for row in spine.rows("SELECT kind FROM touchpoint")} == {"purchase"}


def test_attributes_may_stand_in_headers(spine: Spine, sender: Sender) -> None:
    attributes = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "service.delivered"}
    with consuming(spine, sender.url):
        listened_to(sender)
        body = json.dumps({"email": "lee@example.com"}).encode()
        for prefix in ("cloudEvents:", "ce_"):
            headers = {prefix + name: value for name, value in attributes.items()}
            sender.send(body, content_type="application/json", headers=headers)
        until(lambda: receipts(spine) and sender.waiting() == 0, "it is stored")

    spine.run()

    assert [row["status"] for row in receipts(spine)] == ["processed"]
    assert spine.rows("SELECT kind FROM touchpoint") == [{"kind": "service.delivered"}]


def test_the_same_event_a_hundred_times_is_one_receipt(spine: Spine, sender: Sender) -> None:
    told = event()
    with consuming(spine, sender.url):
        listened_to(sender)
        sender.send(*[told] * 100, content_type=STRUCTURED)
        sender.send(event(), content_type=STRUCTURED)
        until(lambda: len(receipts(spine)) == 2, "the last one is stored")

    assert len(receipts(spine)) == 2
    assert sender.waiting() == 0


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"", "application/json", "body_empty"),
        (b"{", "application/json", "json_syntax"),
        (b"[" * 100_000, "application/json", "json_depth"),
        (b"\x00\xff", "text/plain", "unsupported_media_type"),
        (event(id=""), STRUCTURED, "cloudevents_attribute"),
        (b"[1]", None, "object_expected"),
    ],
)
def test_what_cannot_be_read_is_kept_and_holds_nothing_up(
    spine: Spine, sender: Sender, body: bytes, content_type: str | None, reason: str
) -> None:
    with consuming(spine, sender.url):
        listened_to(sender)
        sender.send(body, content_type=content_type)
        sender.send(event(), content_type=STRUCTURED)
        until(lambda: len(receipts(spine)) == 2 and sender.waiting() == 0, "both are stored")

    poison, sound = sorted(receipts(spine), key=lambda row: row["status"] != "quarantined")
    assert (poison["status"], poison["reason"], bytes(poison["body"])) == ("quarantined", reason, body)
    assert sound["status"] == "pending"


_HEADERS = st.dictionaries(
    st.sampled_from(["cloudEvents:id", "cloudEvents:type", "ce-source", "ce_specversion", "ce-time", "other"]),
    st.text(max_size=20) | st.integers(-(2**31), 2**31) | st.booleans() | st.none() | st.lists(st.text(max_size=3)),
    max_size=6,
)
_BODIES = (
    st.binary(max_size=60)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | changed(json.loads(event(id="one of many"))).map(lambda value: json.dumps(value).encode())
)
_TYPES = st.sampled_from([STRUCTURED, "application/json", "text/plain", "application/xml", "\u202e", "", None])


@settings(examples, max_examples=2, suppress_health_check=list(HealthCheck))
@given(messages=st.lists(st.tuples(_BODIES, _TYPES, _HEADERS), min_size=40, max_size=40))
def test_any_messages_are_stored_and_settle(
    spine: Spine, sender: Sender, messages: list[tuple[bytes, str | None, dict[str, Any]]]
) -> None:
    with consuming(spine, sender.url):
        listened_to(sender)
        for body, content_type, headers in messages:
            sender.send(body, content_type=content_type, headers=headers)
        last = event()
        sender.send(last, content_type=STRUCTURED)
        until(lambda: any(bytes(row["body"]) == last for row in receipts(spine)), "the last one is stored")
        until(lambda: sender.waiting() == 0, "none is left")

    spine.run()

    assert {body for body, _, _ in messages} <= {bytes(row["body"]) for row in receipts(spine)}
    assert {row["status"] for row in receipts(spine)} <= {"processed", "merged", "quarantined", "rejected"}
    assert spine.rows("SELECT id FROM dead_letter") == []


def test_what_is_too_large_goes_where_it_can_be_looked_at(spine: Spine, sender: Sender) -> None:
    with consuming(spine, sender.url):
        listened_to(sender)
        sender.send(b"x" * (LARGEST + 1))
        until(lambda: sender.waiting(REFUSED) == 1, "it stands among the refused")

    assert receipts(spine) == []


def test_while_the_database_is_away_messages_wait_and_none_is_lost(spine: Spine, sender: Sender) -> None:
    with consuming(spine, sender.url):
        listened_to(sender)
        with spine.engine.connect() as holder:
            holder.execute(text("LOCK TABLE submission"))
            sender.send(*(event() for _ in range(30)), content_type=STRUCTURED)
            until(lambda: sender.waiting() == 0, "all of them are in hand")
            holder.rollback()
        until(lambda: len(receipts(spine)) == 30, "all of them are stored")


def test_a_queue_that_was_deleted_is_declared_again(spine: Spine, sender: Sender) -> None:
    with consuming(spine, sender.url):
        listened_to(sender)
        sender.forget(sender.queue)
        listened_to(sender)
        sender.send(event(), content_type=STRUCTURED)
        until(lambda: len(receipts(spine)) == 1, "it is stored")


def test_a_source_may_name_a_queue_that_is_there_already(postgres_url: str, rabbitmq_url: str) -> None:
    document = default_text().replace("product: {kind: events", "product: {kind: events, address: shop.orders")
    assert document != default_text()
    prepare(postgres_url, document)
    spine, sender = Spine(postgres_url), Sender(rabbitmq_url, "shop.orders")
    with sender._channel() as channel:  # noqa: SLF001 - the business's own queue, of another kind than ours
        channel.queue_declare("shop.orders", durable=False)
    with consuming(spine, rabbitmq_url):
        sender.send(event(), content_type=STRUCTURED)
        until(lambda: len(receipts(spine)) == 1, "it is stored")
    sender.forget("shop.orders")
    spine.close()


def test_a_broker_that_dies_and_comes_back_is_met_again(spine: Spine) -> None:
    with RabbitMQ() as broker:
        sender = Sender(broker.url)
        with consuming(spine, broker.url):
            listened_to(sender)
            sender.send(*(event() for _ in range(50)), content_type=STRUCTURED)
            broker.kill()
            broker.start()
            until(lambda: len(receipts(spine)) == 50, "all of them are stored")
            sender.send(event(), content_type=STRUCTURED)
            until(lambda: len(receipts(spine)) == 51, "and those that come now")
            until(lambda: sender.waiting() == 0, "none is left")
