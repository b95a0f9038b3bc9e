"""
Which broker carries the hints: PostgreSQL, RabbitMQ or Redis, by URL.

All three carry the same standard Dramatiq messages and promise the same little: a hint usually arrives, perhaps
twice, perhaps not at all. All three outlive a restart of their server, and RabbitMQ's the deletion of a queue,
without a restart of ours. Actors are neither delayed nor retried here (what waits is a row in PostgreSQL), so
RabbitMQ and Redis get no consumers for delayed messages, which halves their threads and connections, and refuse a
delay instead of keeping one that nobody would hear.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis
import structlog
from dramatiq import MessageProxy
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.common import q_name
from dramatiq.errors import ConnectionClosed, DecodeError
from dramatiq.message import Message
from dramatiq.middleware import Middleware, Retries, ShutdownNotifications, TimeLimit
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from schema.errors import Permanent
from workers.postgres_broker import PostgresBroker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dramatiq import Broker, Consumer

    from schema.settings import Settings

_log = structlog.get_logger(__name__)

_TIME_LIMIT_MS: Final = 300_000
"""Far beyond any batch, far below RabbitMQ's 30 minutes for an acknowledgement."""

_AMQP: Final = {
    "heartbeat": "15",
    "blocked_connection_timeout": "5",
    "connection_attempts": "1",
    "socket_timeout": "5",
    "stack_timeout": "8",
}
"""Defaults, in seconds and counts; the URL's query may say otherwise."""

_REDIS_TIMEOUT_S: Final = 5.0
_REDIS_HEARTBEAT_MS: Final = 15_000
_REDIS_MAINTENANCE: Final = 1_000_000
"""Per million commands: look for dead workers each time; it is one cheap range query."""
_REDIS_AWAY_S: Final = 0.5


@runtime_checkable
class PerThread(Protocol):
    """A broker that has a connection per publishing thread, which that thread has to look after."""

    def keep_alive(self) -> None:
        """Answer heartbeats on this thread's connection; to be called every few seconds while it is idle."""

    def close(self) -> None:
        """Close this thread's connection."""


def make_broker(settings: Settings) -> Broker:
    """
    Return the broker that `settings.broker_url` names: `amqp(s)://`, `redis(s)://`, or empty for the database.

    Connects to nothing yet. Raises `Permanent` (`broker_url_unknown`, `database_url_missing`).
    """
    scheme = urlsplit(settings.broker_url).scheme
    if scheme in {"amqp", "amqps"}:
        return RabbitmqHints(settings.broker_url)
    if scheme in {"redis", "rediss", "unix"}:
        return RedisHints(settings.broker_url)
    url = settings.broker_url or settings.database_url
    if not url:
        raise Permanent("database_url_missing", "Neither THROUGHLINE_BROKER_URL nor THROUGHLINE_DATABASE_URL is set.")
    if urlsplit(url).scheme not in {"postgres", "postgresql", "postgresql+psycopg"}:
        raise Permanent("broker_url_unknown", "THROUGHLINE_BROKER_URL has to be amqp://, redis:// or empty.")
    return PostgresBroker(url, middleware=_middleware())


def _middleware() -> list[Middleware]:
    """
    Only what protects a worker.

    Retries stays, with none allowed: without it Dramatiq takes a failed message for a finished one.
    """
    return [TimeLimit(time_limit=_TIME_LIMIT_MS), ShutdownNotifications(), Retries(max_retries=0)]


class RabbitmqHints(RabbitmqBroker):
    """
    Durable queues and confirmed publishing on RabbitMQ.

    Publish from one thread only: each thread that does has a connection of its own.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url=_with_defaults(url, _AMQP), confirm_delivery=True, middleware=_middleware())

    def emit_after(self, signal: str, *args: object, **kwargs: object) -> None:
        """Tell the middleware, but not about queues for delayed messages: nobody is to consume them."""
        if signal != "declare_delay_queue":
            super().emit_after(signal, *args, **kwargs)

    def get_declared_delay_queues(self) -> set[str]:
        """Return none."""
        return set()

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Publish and wait for the confirm. Raises `ConnectionClosed`; `Permanent` for a delay."""
        _refuse_delay(delay)
        return super().enqueue(message)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """Consume a queue, declared anew because the reason for consuming anew may be that it was deleted."""
        self.queues_pending.add(q_name(queue_name))
        try:
            return super().consume(queue_name, prefetch, timeout)
        finally:
            del self.connection  # the one it was declared on; a consumer has another

    def close(self) -> None:
        """Close this thread's connection; another thread's is not ours to touch."""
        del self.connection

    def keep_alive(self) -> None:
        """Answer heartbeats on this thread's connection, if it has one."""
        if (connection := getattr(self.state, "connection", None)) is None:
            return
        try:
            connection.process_data_events(time_limit=0)
        except Exception:  # noqa: BLE001 - whatever broke it, the next publish opens another
            del self.connection


class RedisHints(RedisBroker):
    """Hints on Redis, under the prefix `throughline`; a dead worker's are given back after 15 seconds."""

    def __init__(self, url: str) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            client=redis.Redis.from_url(
                url,
                socket_timeout=_REDIS_TIMEOUT_S,
                socket_connect_timeout=_REDIS_TIMEOUT_S,
                socket_keepalive=True,
                health_check_interval=15,
                retry=Retry(ExponentialWithJitterBackoff(cap=0.2, base=0.02), 3),
            ),
            namespace="throughline",
            maintenance_chance=_REDIS_MAINTENANCE,
            heartbeat_timeout=_REDIS_HEARTBEAT_MS,
            middleware=_middleware(),
        )

    @property
    def consumer_class(self) -> type[_RedisConsumer]:
        """Return our consumer, which outlives outages."""
        return RedisConsumer

    def emit_after(self, signal: str, *args: object, **kwargs: object) -> None:
        """Tell the middleware, but not about queues for delayed messages: nobody is to consume them."""
        if signal != "declare_delay_queue":
            super().emit_after(signal, *args, **kwargs)

    def get_declared_delay_queues(self) -> set[str]:
        """Return none."""
        return set()

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Send. Raises `redis.RedisError`; `Permanent` for a delay."""
        _refuse_delay(delay)
        return super().enqueue(message)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


class RedisConsumer(_RedisConsumer):
    """
    A consumer that waits quietly while Redis is away.

    Dramatiq's own is rebuilt after an error, leaving what it had prefetched with a worker that still looks alive,
    and keeps a worker thread busy repeating an acknowledgement. Here nothing is rebuilt, and an acknowledgement
    that cannot be delivered is dropped: the worst is that a hint is heard twice.
    """

    _away = False

    def __next__(self) -> MessageProxy | None:
        """Return a message, or none after a while."""
        try:
            message: MessageProxy | None = super().__next__()  # type: ignore[no-untyped-call]
        except (redis.RedisError, ConnectionClosed) as error:
            self._wait_for_return(error)
            return None
        except DecodeError:
            _log.warning("hint_undecodable", queue=self.queue_name)
            return None
        self._returned()
        return message

    def ack(self, message: MessageProxy) -> None:
        """Acknowledge, if Redis can hear it."""
        try:
            super().ack(message)  # type: ignore[no-untyped-call]
        except (redis.RedisError, ConnectionClosed):
            _log.debug("hint_ack_lost", queue=self.queue_name)

    def nack(self, message: MessageProxy) -> None:
        """Reject, if Redis can hear it."""
        try:
            super().nack(message)  # type: ignore[no-untyped-call]
        except (redis.RedisError, ConnectionClosed):
            _log.debug("hint_ack_lost", queue=self.queue_name)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give messages back. Raises `ConnectionClosed`."""
        try:
            super().requeue(messages)  # type: ignore[no-untyped-call]
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Give back what was fetched and not handed out. Raises `ConnectionClosed`."""
        fetched, self.message_cache = self.message_cache, []
        self.requeue(message for data in fetched if (message := _readable(data)))

    def _wait_for_return(self, error: Exception) -> None:
        if not self._away:
            _log.warning("hint_consumer_down", queue=self.queue_name, error=type(error).__name__)
        self._away = True
        time.sleep(_REDIS_AWAY_S)

    def _returned(self) -> None:
        if self._away:
            _log.info("hint_consumer_up", queue=self.queue_name)
        self._away = False


def _readable(data: bytes) -> MessageProxy | None:
    try:
        return MessageProxy(Message.decode(data))
    except DecodeError:
        return None


def _refuse_delay(delay: int | None) -> None:
    if delay is not None:
        raise Permanent("hint_delay_refused", "What waits is a row with a due time, not a delayed message.")


def _with_defaults(url: str, defaults: dict[str, str]) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode({**defaults, **dict(parse_qsl(parts.query))})))
