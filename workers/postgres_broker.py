"""
A Dramatiq broker on PostgreSQL: the table `hint` is the queue.

Taking a hint deletes it, in one statement with `SKIP LOCKED`. There is no claim to keep, no lease to expire and
nothing to acknowledge: a hint that dies with its worker is sent again by the sweeper within seconds, sooner than
any lease would let another worker have it. A worker that stops in order puts back what it has not begun.

    connections  one to send and take, opened when first used; one more to listen, in a process that consumes
    wake-up      NOTIFY, once per hint sent; a look at the table every second finds delayed hints and lost wake-ups
    outages      sending raises `ConnectionClosed` after one new connection has failed too; consuming waits quietly
    delays       `delay` (milliseconds) is a time in the row, kept by the database's clock, exact to a second

Wants session-level connections (LISTEN, SET): point it past a transaction-pooling proxy, not through it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import psycopg
import structlog
from dramatiq import Broker, Consumer, Message, MessageProxy
from dramatiq.errors import ConnectionClosed, DecodeError, QueueJoinTimeout
from psycopg.conninfo import conninfo_to_dict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dramatiq.middleware import Middleware

    _Parameters = Mapping[str, object] | Sequence[object]

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 1.0
_STOP_CHECK_S: Final = 0.25
_RECONNECT_S: Final = 0.5
_JOIN_CHECK_S: Final = 0.02

_CONNECT: Final = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "application_name": "throughline-hints",
}
"""Defaults; the URL may say otherwise. A peer that vanished is noticed within 15 seconds."""

# A hint is not worth a wait for the disk. The table swings between nothing and tens of thousands of rows faster
# than statistics follow, so the plan is pinned to the index.
_SESSION: Final = """
SET synchronous_commit = off; SET statement_timeout = '10s'; SET jit = off;
SET enable_seqscan = off; SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan
"""

_PUT: Final = """
WITH added AS (
    INSERT INTO hint (queue, available_at, message)
    SELECT %(queue)s, now() + %(delay)s * interval '1 millisecond', unnest(%(messages)b::bytea[])
)
SELECT pg_notify('throughline_hint', %(queue)s)
"""

_TAKE: Final = """
DELETE FROM hint WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM hint WHERE queue = %(queue)s AND available_at <= now()
    ORDER BY available_at, id LIMIT %(room)s FOR UPDATE SKIP LOCKED
)) RETURNING message
"""

_DUE: Final = """
SELECT q FROM unnest(%(queues)s::text[]) AS q
WHERE EXISTS (SELECT FROM hint WHERE queue = q AND available_at <= now())
"""


class PostgresBroker(Broker):
    """
    Hints in the table `hint` of the database at `url` (`postgresql://…` or `postgresql+psycopg://…`).

    The table has to exist by the time something is sent or taken, not before. Safe to share between threads, and
    usable in a forked child, which opens connections of its own.
    """

    def __init__(self, url: str, *, middleware: list[Middleware] | None = None) -> None:
        super().__init__(middleware=middleware)
        self.queues: set[str] = set()
        self._conninfo = _conninfo(url)
        self._connection = _Connection(self._conninfo)
        self._consumers: set[_PostgresConsumer] = set()
        self._listener: _Listener | None = None
        self._lock = threading.Lock()

    def declare_queue(self, queue_name: str) -> None:
        """Make a queue known to this process; in the database a queue is only a value."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def get_declared_queues(self) -> set[str]:
        """Return the queues known to this process."""
        return self.queues.copy()

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Send in one round trip, available after `delay` milliseconds. Raises `ConnectionClosed`."""
        self.emit_before("enqueue", message, delay)
        self.put(message.queue_name, [message.encode()], delay=delay or 0)
        self.emit_after("enqueue", message, delay)
        return message

    def put(self, queue_name: str, messages: Sequence[bytes], *, delay: int = 0) -> None:
        """Add encoded messages to a queue and wake its listeners once. Raises `ConnectionClosed`."""
        self._run(_PUT, {"queue": queue_name, "delay": delay, "messages": list(messages)})

    def take(self, queue_name: str, room: int) -> list[bytes]:
        """Remove and return up to `room` encoded messages that are available. Raises `ConnectionClosed`."""
        return [bytes(message) for (message,) in self._run(_TAKE, {"queue": queue_name, "room": room})]

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """Return an iterator over a queue that holds `prefetch` messages at most and idles for `timeout` ms."""
        consumer = _PostgresConsumer(self, queue_name, prefetch, timeout / 1000)
        with self._lock:
            self._consumers.add(consumer)
            if self._listener is None:
                self._listener = _Listener(self._conninfo, self.consumed_queues, self.wake)
                self._listener.start()
        return consumer

    def forget(self, consumer: _PostgresConsumer) -> None:
        """Wake this consumer no more."""
        with self._lock:
            self._consumers.discard(consumer)

    def wake(self, queue_name: str) -> None:
        """Tell the consumers of a queue that something may wait for them."""
        for consumer in self._consumers_of(queue_name):
            consumer.wake()

    def consumed_queues(self) -> list[str]:
        """Return the queues somebody in this process consumes."""
        with self._lock:
            return sorted({consumer.queue_name for consumer in self._consumers})

    def flush(self, queue_name: str) -> None:
        """Drop what waits on a queue, delayed or not."""
        self._run("DELETE FROM hint WHERE queue = %s", (queue_name,))

    def flush_all(self) -> None:
        """Drop what waits on the declared queues."""
        self._run("DELETE FROM hint WHERE queue = ANY (%s)", (sorted(self.queues),))

    def join(self, queue_name: str, *, timeout: int | None = None) -> None:
        """
        Wait until a queue is empty and this process has finished what it took from it.

        Raises `QueueJoinTimeout` after `timeout` milliseconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout / 1000
        while self._unfinished(queue_name):
            if deadline is not None and time.monotonic() >= deadline:
                raise QueueJoinTimeout(queue_name)  # type: ignore[no-untyped-call]
            time.sleep(_JOIN_CHECK_S)

    def close(self) -> None:
        """Stop listening and close the connections. Whoever sends afterwards opens a new one."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()
        self._connection.close()

    def _unfinished(self, queue_name: str) -> int:
        ((waiting,),) = self._run("SELECT count(*) FROM hint WHERE queue = %s", (queue_name,))
        return int(waiting) + sum(consumer.held for consumer in self._consumers_of(queue_name))

    def _consumers_of(self, queue_name: str) -> list[_PostgresConsumer]:
        with self._lock:
            return [consumer for consumer in self._consumers if consumer.queue_name == queue_name]

    def _run(self, statement: str, parameters: _Parameters) -> list[tuple[Any, ...]]:
        try:
            return self._connection.run(statement, parameters)
        except psycopg.Error as error:
            raise ConnectionClosed(error) from error  # type: ignore[no-untyped-call]


class _PostgresConsumer(Consumer):
    """One queue, read by one thread; acknowledged and woken by others."""

    def __init__(self, broker: PostgresBroker, queue_name: str, prefetch: int, idle_s: float) -> None:
        self.queue_name = queue_name
        self._broker = broker
        self._prefetch = prefetch
        self._idle_s = idle_s
        self._taken: deque[bytes] = deque()
        self._begun = 0
        self._perhaps_more = True
        self._changed = threading.Condition()

    @property
    def held(self) -> int:
        """How many messages left the table and are not finished."""
        with self._changed:
            return len(self._taken) + self._begun

    def wake(self) -> None:
        with self._changed:
            self._perhaps_more = True
            self._changed.notify()

    def ack(self, message: MessageProxy) -> None:  # noqa: ARG002 - it left the table when it was taken
        with self._changed:
            self._begun -= 1
            self._changed.notify()

    def nack(self, message: MessageProxy) -> None:
        """Drop it: the row it pointed at is still due, or is a dead letter already."""
        _log.warning("hint_refused", queue=self.queue_name, message_id=message.message_id)
        self.ack(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        if encoded := [message.encode() for message in messages]:
            self._broker.put(self.queue_name, encoded)

    def __next__(self) -> MessageProxy | None:
        if not self._taken:
            self._refill()
        return self._begin() if self._taken else None

    def close(self) -> None:
        """Put back what was taken and not handed out."""
        self._broker.forget(self)
        if self._taken:
            self._broker.put(self.queue_name, list(self._taken))
            self._taken.clear()

    def _refill(self) -> None:
        if not (room := self._await_room()):
            return
        try:
            taken = self._broker.take(self.queue_name, room)
        except ConnectionClosed:
            return  # the listener reports the outage, and wakes us when it is over
        with self._changed:
            self._taken.extend(taken)
            self._perhaps_more |= len(taken) == room

    def _await_room(self) -> int:
        with self._changed:
            if not self._changed.wait_for(self._may_take, self._idle_s):
                return 0
            self._perhaps_more = False
            return self._prefetch - self._begun

    def _may_take(self) -> bool:
        return self._perhaps_more and self._begun < self._prefetch

    def _begin(self) -> MessageProxy | None:
        with self._changed:
            encoded = self._taken.popleft()
            self._begun += 1
        try:
            return MessageProxy(Message.decode(encoded))
        except DecodeError:
            _log.warning("hint_undecodable", queue=self.queue_name)
            with self._changed:
                self._begun -= 1
            return None


class _Connection:
    """A connection for short statements, shared by threads, opened when needed and again when found broken."""

    def __init__(self, conninfo: dict[str, Any]) -> None:
        self._conninfo = conninfo
        self._adopt()

    def run(self, statement: str, parameters: _Parameters) -> list[tuple[Any, ...]]:
        """Execute, once more on a new connection if the first was broken. Raises `psycopg.Error`."""
        if self._pid != os.getpid():
            self._adopt()
        with self._lock:
            try:
                return self._execute(statement, parameters)
            except psycopg.OperationalError:
                self._drop()
                return self._execute(statement, parameters)

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _adopt(self) -> None:
        """Begin afresh in this process: a parent's connection and lock are not ours to use."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._open: psycopg.Connection | None = None

    def _execute(self, statement: str, parameters: _Parameters) -> list[tuple[Any, ...]]:
        if self._open is None or self._open.closed:
            self._open = _connect(self._conninfo)
        cursor = self._open.execute(statement, parameters, binary=True)
        return cursor.fetchall() if cursor.description else []

    def _drop(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


class _Listener:
    """Turns NOTIFY into `wake(queue)`, on a connection of its own, through any number of outages."""

    def __init__(self, conninfo: dict[str, Any], queues: Callable[[], list[str]], wake: Callable[[str], None]) -> None:
        self._conninfo = conninfo
        self._queues = queues
        self._wake = wake
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hint-listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        down = False
        while not self._stopping.is_set():
            try:
                with _connect(self._conninfo) as connection:
                    connection.execute("LISTEN throughline_hint")
                    if down:
                        _log.info("hint_listener_up")
                    down = False
                    self._listen(connection)
            except psycopg.Error as error:
                if not down:
                    _log.warning("hint_listener_down", sqlstate=error.sqlstate, error=type(error).__name__)
                down = True
                self._stopping.wait(_RECONNECT_S)

    def _listen(self, connection: psycopg.Connection) -> None:
        look_at = time.monotonic()
        while not self._stopping.is_set():
            if time.monotonic() >= look_at:
                self._look(connection)
                look_at = time.monotonic() + _LOOK_EVERY_S
            for notify in connection.notifies(timeout=_STOP_CHECK_S):
                self._wake(notify.payload)

    def _look(self, connection: psycopg.Connection) -> None:
        for (queue_name,) in connection.execute(_DUE, {"queues": self._queues()}).fetchall():
            self._wake(queue_name)


def _conninfo(url: str) -> dict[str, Any]:
    scheme, separator, rest = url.partition("://")
    return {**_CONNECT, **conninfo_to_dict(f"{scheme.partition('+')[0]}{separator}{rest}")}


def _connect(conninfo: dict[str, Any]) -> psycopg.Connection:
    connection = psycopg.connect(**conninfo, autocommit=True)
    connection.execute(_SESSION)
    return connection
