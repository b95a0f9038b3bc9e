"""
The topic exchange that downstream systems bind their queues to, as one publisher sees it.

    declares    the durable topic exchange `throughline.events`
    publishes   persistent and `mandatory`, routing key = event type, many in flight
    answers     when the broker has confirmed every one of them, else raises `Transient`

The connection lives in a thread of its own, which answers heartbeats whatever the caller does. Nothing is tried again
here: a connection that failed is thrown away with all that was not confirmed, and the caller publishes that once more
on a new one.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import pika
import structlog
from pika.exchange_type import ExchangeType

from schema.errors import Transient

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME: Final = "throughline.events"
CONTENT_TYPE: Final = "application/cloudevents+json"
_CONNECT_S: Final = 10.0
_CONFIRM_S: Final = 10.0
"""An alarm on the broker, or a broker that hangs, is noticed after this; what is unconfirmed is published again."""
_STOPPING_S: Final = 2.0
_CLOSE_S: Final = 3.0
_LOOK_S: Final = 0.2
_HEARTBEAT_S: Final = 15

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event, ready to leave."""

    id: str
    type: str
    body: bytes


class Exchange:
    """
    A connection to the exchange, from `with` to the end of it or the first failure.

    Once `stop` is set, nothing is waited for longer than two seconds.
    """

    def __init__(self, url: str, stop: threading.Event) -> None:
        self._url = url
        self._stop_asked = stop
        self._done = threading.Event()
        """Set when what the caller waits for has happened, or never will."""
        self._failure: str | None = None
        self._unconfirmed: set[int] = set()
        self._published = 0
        self._returned: Counter[str] = Counter()
        self._channel: Any = None
        self._connection: Any = None
        self._thread = threading.Thread(target=self._live, name="exchange", daemon=True)

    def __enter__(self) -> Self:
        """Connect and declare. Raises `Transient`."""
        self._thread.start()
        try:
            self._wait(_CONNECT_S)
        except Transient:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Close; give up waiting for a broker that does not answer even that."""
        self._soon(self._close)
        self._thread.join(_CLOSE_S)
        self._soon(self._stop)
        self._thread.join(_CLOSE_S)
        if self._connection and not self._thread.is_alive():
            self._connection.ioloop.close()

    def publish(self, events: Sequence[Outgoing]) -> Counter[str]:
        """
        Publish events in this order and wait until all are confirmed.

        Returns how many of each type went nowhere because no queue is bound for them: normal for a topic exchange.
        Raises `Transient` if the broker refused one, did not confirm in time or went away.
        """
        self._done.clear()
        self.check()
        self._soon(lambda: self._send(events))
        self._wait(_CONFIRM_S)
        returned, self._returned = self._returned, Counter()
        return returned

    def check(self) -> None:
        """Raise `Transient` if the connection has failed."""
        if self._failure:
            raise Transient(self._failure)

    def _wait(self, seconds: float) -> None:
        began = time.monotonic()
        while not self._done.wait(_LOOK_S):
            if time.monotonic() - began > (_STOPPING_S if self._stop_asked.is_set() else seconds):
                raise Transient("exchange_silent", waiting=len(self._unconfirmed))
        self.check()

    def _soon(self, work: Any) -> None:  # noqa: ANN401 - a callback of pika's
        """Have the connection's thread do it; nothing happens if that has ended."""
        if self._connection and self._thread.is_alive():
            self._connection.ioloop.add_callback_threadsafe(work)

    # All below runs in the connection's own thread.

    def _live(self) -> None:
        try:
            self._connection = pika.SelectConnection(
                _parameters(self._url),
                on_open_callback=self._opened,
                on_open_error_callback=lambda _, error: self._fail("exchange_unreachable", error),
                on_close_callback=lambda _, error: self._fail("exchange_connection_lost", error),
            )
            self._connection.ioloop.start()
        except Exception as error:  # noqa: BLE001 - whatever it was, the caller must hear of it and connect anew
            self._fail("exchange_connection_lost", error)

    def _opened(self, connection: Any) -> None:  # noqa: ANN401 - pika ships no types
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Any) -> None:  # noqa: ANN401
        self._channel = channel
        channel.add_on_close_callback(lambda _, error: self._fail("exchange_channel_closed", error))
        channel.add_on_return_callback(lambda _channel, method, _properties, _body: self._return(method))
        channel.exchange_declare(NAME, ExchangeType.topic, durable=True, callback=self._declared)

    def _declared(self, _: object) -> None:
        self._channel.confirm_delivery(self._confirm, callback=lambda _: self._done.set())

    def _send(self, events: Sequence[Outgoing]) -> None:
        if self._failure:
            return
        self._unconfirmed = set(range(self._published + 1, self._published + len(events) + 1))
        self._published += len(events)
        for event in events:
            properties = pika.BasicProperties(
                content_type=CONTENT_TYPE,
                delivery_mode=pika.DeliveryMode.Persistent,
                message_id=event.id,
                type=event.type,
            )
            self._channel.basic_publish(NAME, event.type, event.body, properties, mandatory=True)

    def _confirm(self, frame: Any) -> None:  # noqa: ANN401
        if isinstance(frame.method, pika.spec.Basic.Nack):
            self._fail("exchange_refused", None)
            return
        if frame.method.multiple:
            self._unconfirmed = {tag for tag in self._unconfirmed if tag > frame.method.delivery_tag}
        else:
            self._unconfirmed.discard(frame.method.delivery_tag)
        if not self._unconfirmed:
            self._done.set()

    def _return(self, method: Any) -> None:  # noqa: ANN401
        self._returned[method.routing_key] += 1

    def _fail(self, code: str, error: object) -> None:
        """Tell the caller, the first reason only, and end the thread."""
        self._failure = self._failure or code
        log.debug("exchange.failed", code=code, error=type(error).__name__)
        self._done.set()
        if self._connection:
            self._close()

    def _close(self) -> None:
        if self._connection.is_open:
            self._connection.close()
        elif self._connection.is_closed:
            self._stop()

    def _stop(self) -> None:
        self._connection.ioloop.stop()


def _parameters(url: str) -> pika.URLParameters:
    """Return the URL's parameters; what keeps a dead peer from holding us for ever may be set in its query."""
    parameters = pika.URLParameters(url)
    parameters.connection_attempts = 1
    parameters.socket_timeout = parameters.socket_timeout and min(parameters.socket_timeout, 5.0)
    parameters.stack_timeout = 8.0
    parameters.client_properties = {"connection_name": "throughline relay"}
    if "heartbeat=" not in url:
        parameters.heartbeat = _HEARTBEAT_S
    if "blocked_connection_timeout=" not in url:
        parameters.blocked_connection_timeout = _CONFIRM_S
    return parameters
