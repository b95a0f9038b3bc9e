"""
Events that come over AMQP: from the queue of each source into receipts.

    declares    for each source of kind `events` a durable queue (its `address`, or `throughline.in.<source>`), and
                `throughline.in.refused` for what cannot be kept; whether they are quorum queues is the virtual host's
                own default
    takes       many messages at a time, unacknowledged until their receipts are committed
    keeps       every message as it came; one that cannot be read is a quarantined receipt

A message that comes again is the same event (its CloudEvents source and id, else its message id, else its content) and
harmless. While the database is away messages are held, not sent back: brokers drop what was sent back too often. A
connection that is lost is made anew, and everything declared again; so is a queue that somebody deleted.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import threading
from typing import TYPE_CHECKING, Any, Final

import pika
import structlog
from pika.adapters.asyncio_connection import AsyncioConnection

from schema import payload
from schema.incoming import CloudEvent, event_or_fields
from schema.store.engine import make_async_engine
from services.receive import Arrival, KeyReused, Overloaded, Receiver, Submission, Unavailable
from services.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pika.spec import Basic, BasicProperties

    from schema.journey import Source
    from schema.settings import Settings

    Channel = Any

REFUSED: Final = "throughline.in.refused"
"""Holds what is too large for a receipt."""
LARGEST: Final = 8 * 1024 * 1024
_PREFETCH: Final = 1000
_CONNECT_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 10.0
_FOLLOW_EVERY_S: Final = 1.0
_HEARTBEAT_S: Final = 15
_HOLD_S: Final = 0.5
_DRAIN_S: Final = 5.0
_CLOSE_S: Final = 3.0
_PREFIXES: Final = ("cloudEvents:", "cloudEvents_", "ce-", "ce_")
_LONGEST_HEADER: Final = 1000

log = structlog.get_logger()


def queue_of(name: str, source: Source) -> str:
    """Return the queue that a source's events come by."""
    return source.address or f"throughline.in.{name}"


def arrival_of(name: str, properties: BasicProperties, body: bytes) -> tuple[Arrival, str]:
    """
    Return a message as an arrival, and the key it is the same event by; empty: its content is.

    What cannot be read is held, with the reason.
    """
    headers = _attributes(properties.headers or {})
    content_type = properties.content_type or "application/json"
    try:
        found = event_or_fields(body, content_type, headers)
    except payload.Refused as refused:
        return Arrival(name, "event", content_type[:_LONGEST_HEADER], body, headers, refused.code), ""
    key = f"{found.source} {found.id}" if isinstance(found, CloudEvent) else properties.message_id or ""
    return Arrival(name, "event", content_type, body, headers), key


def _attributes(headers: Mapping[str, Any]) -> dict[str, str]:
    """Return the CloudEvents attributes among a message's headers, named as over HTTP."""
    return {
        f"ce-{name[len(prefix) :].lower()}": payload.without_controls(str(value))[:_LONGEST_HEADER]
        for name, value in headers.items()
        for prefix in _PREFIXES
        if name.startswith(prefix)
    }


async def consume(url: str, sources: Sources, receiver: Receiver, stop: asyncio.Event) -> None:
    """Take messages until `stop` is set; then finish those at hand."""
    pause = 0.0
    while not stop.is_set():
        connection = _Connection(url, sources, receiver)
        try:
            await connection.run(stop)
            pause = 0.0
        except ConnectionLost as lost:
            pause = min(max(pause * 2, 0.2), _LONGEST_PAUSE_S) if not connection.worked else 0.2
            log.warning("consume.connection_lost", code=str(lost), again_in_s=round(pause, 1))
            await _until(stop, pause * random.uniform(0.8, 1.2))  # noqa: S311 - several consumers should not come back at once


class ConnectionLost(Exception):
    """The broker is gone, or closed the channel; the reason is a code."""


class _Connection:
    """One connection with one channel, from the first to the failure or the stop."""

    def __init__(self, url: str, sources: Sources, receiver: Receiver) -> None:
        self._url = url
        self._sources = sources
        self._receiver = receiver
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._closed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._consuming: dict[str, tuple[str, str]] = {}
        self._at_hand: set[asyncio.Task[None]] = set()
        self._connection: Any = None
        self._channel: Channel = None
        self.worked = False

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`. Raises `ConnectionLost`."""
        self._connection = connection = await self._connect()
        try:
            await self._declare(REFUSED)
            self._channel = await self._open(connection)
            while not stop.is_set():
                await self._follow()
                await self._until(stop, _FOLLOW_EVERY_S)
            for tag, _ in self._consuming.values():
                self._channel.basic_cancel(tag)
            if self._at_hand:
                await asyncio.wait(self._at_hand, timeout=_DRAIN_S)
        finally:
            for task in self._at_hand:
                task.cancel()
            if connection.is_open:
                connection.close()
            await asyncio.wait({self._closed}, timeout=_CLOSE_S)

    async def _connect(self) -> AsyncioConnection:
        parameters = pika.URLParameters(self._url)
        parameters.client_properties = {"connection_name": "throughline consume"}
        if "heartbeat=" not in self._url:
            parameters.heartbeat = _HEARTBEAT_S
        opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        connection = AsyncioConnection(
            parameters,
            on_open_callback=lambda found: _answer(opened, found),
            on_open_error_callback=lambda _, error: self._lose("consume_unreachable", error),
            on_close_callback=self._close,
        )
        await self._answered(opened)
        return connection

    async def _open(self, connection: AsyncioConnection) -> Channel:
        opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        connection.channel(on_open_callback=lambda found: _answer(opened, found))
        channel = await self._answered(opened)
        channel.add_on_close_callback(lambda _, error: self._lose("consume_channel_closed", error))
        channel.add_on_cancel_callback(lambda _: self._lose("consume_queue_deleted", None))
        channel.basic_qos(prefetch_count=_PREFETCH)
        return channel

    async def _declare(self, queue: str) -> None:
        """Declare a queue, unless there is one of this name already, of whatever kind its owner made it."""
        if await self._declared(queue, passive=True):
            return
        set_aside = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": REFUSED}
        arguments = set_aside if queue != REFUSED else None
        if not await self._declared(queue, durable=True, arguments=arguments):
            raise ConnectionLost("consume_queue_refused")

    async def _declared(self, queue: str, **how: Any) -> bool:  # noqa: ANN401 - pika's own arguments
        """Ask on a channel of its own: the broker closes a channel that asks for what it cannot have."""
        opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._connection.channel(on_open_callback=lambda found: _answer(opened, found))
        channel = await self._answered(opened)
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        channel.add_on_close_callback(lambda *_: _answer(done, None))
        channel.queue_declare(queue, callback=lambda found: _answer(done, found), **how)
        if await self._answered(done) is None:
            return False
        channel.close()
        return True

    async def _follow(self) -> None:
        """Listen to the queues of the sources there are now; a source that is switched off keeps its messages there."""
        wanted = {name: queue_of(name, s) for name, s in self._sources.of_kind("events") if s.enabled}
        for name, (tag, queue) in list(self._consuming.items()):
            if wanted.get(name) != queue:
                self._channel.basic_cancel(tag)
                del self._consuming[name]
        for name, queue in wanted.items():
            if name not in self._consuming:
                await self._declare(queue)
                tag = f"throughline.{name}.{secrets.token_hex(4)}"
                self._channel.basic_consume(queue, self._taker(name), consumer_tag=tag)
                self._consuming[name] = (tag, queue)
                self.worked = True
                log.info("consume.listening", source=name, queue=queue)

    def _taker(self, name: str) -> Any:  # noqa: ANN401 - pika's callback type
        def take(_: Channel, method: Basic.Deliver, properties: BasicProperties, body: bytes) -> None:
            task = asyncio.get_running_loop().create_task(self._take(name, method.delivery_tag, properties, body))
            self._at_hand.add(task)
            task.add_done_callback(self._at_hand.discard)

        return take

    async def _take(self, name: str, tag: int, properties: BasicProperties, body: bytes) -> None:
        """Have one message committed, then acknowledge it; hold it while that is not possible."""
        if len(body) > LARGEST:
            self._refuse(name, tag, "body_too_large")
            return
        source = self._sources.find(name)
        arrival, key = arrival_of(name, properties, body)
        submission = _submission(arrival, key, source)
        while True:
            try:
                await self._receiver.receive(submission)
            except KeyReused:
                held = Arrival(name, "event", arrival.content_type, body, arrival.headers, "event_id_reused")
                submission = _submission(held, "", source)
            except (Overloaded, Unavailable) as error:
                log.warning("consume.holding", source=name, code=error.code)
                await asyncio.sleep(_HOLD_S)
            except Exception:
                log.exception("consume.not_stored", source=name)
                self._refuse(name, tag, "not_storable")
                return
            else:
                if self._channel.is_open:
                    self._channel.basic_ack(tag)
                return

    def _refuse(self, name: str, tag: int, code: str) -> None:
        """Put a message where somebody can look at it: it goes to the queue of what was refused."""
        log.error("consume.refused", source=name, code=code, queue=REFUSED)
        if self._channel.is_open:
            self._channel.basic_nack(tag, requeue=False)

    def _close(self, _: object, error: object) -> None:
        _answer(self._closed, None)
        self._lose("consume_connection_lost", error)

    def _lose(self, code: str, error: object) -> None:
        if not self._lost.done():
            log.debug("consume.lost", code=code, error=type(error).__name__)
            self._lost.set_result(code)

    async def _answered(self, future: asyncio.Future[Any]) -> Any:  # noqa: ANN401 - pika ships no types
        done, _ = await asyncio.wait({future, self._lost}, timeout=_CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
        if future in done:
            return future.result()
        raise ConnectionLost(self._lost.result() if self._lost.done() else "consume_silent")

    async def _until(self, stop: asyncio.Event, seconds: float) -> None:
        """Wait, but not longer than the connection lives."""
        waiting: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        lost: asyncio.Future[Any] = self._lost
        try:
            await asyncio.wait({waiting, lost}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._lost.done():
            raise ConnectionLost(self._lost.result())


def _submission(arrival: Arrival, key: str, source: Source | None) -> Submission:
    trace = secrets.token_hex(16)
    if source is None:
        return Submission([arrival], trace, key, joins=True)
    return Submission([arrival], trace, key, source.dedupe.window, joins=True)


def _answer(future: asyncio.Future[Any], found: object) -> None:
    if not future.done():
        future.set_result(found)


async def _until(stop: asyncio.Event, seconds: float) -> None:
    waiting = asyncio.ensure_future(stop.wait())
    await asyncio.wait({waiting}, timeout=seconds)
    waiting.cancel()


def run_consumer(
    settings: Settings, url: str, on_received: Callable[[Sequence[str]], None], stop: threading.Event
) -> None:
    """Consume until `stop` is set, with receipts in the database `url`; `on_received` hears the ids of new ones."""

    async def run() -> None:
        intake = make_async_engine(url, name="intake", hot=True, pool_size=2)
        engine = make_async_engine(url, name="consume", pool_size=1)
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        threading.Thread(
            target=lambda: (stop.wait(), loop.call_soon_threadsafe(stopping.set)), name="stop", daemon=True
        ).start()
        receiver = Receiver(intake, max_waiting=settings.max_waiting, on_received=on_received)
        async with Sources(engine) as sources, receiver:
            await consume(settings.consume_url, sources, receiver, stopping)
        await intake.dispose()
        await engine.dispose()

    asyncio.run(run())
