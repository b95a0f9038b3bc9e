"""
The relay: carries committed events from the feed to the exchange, each at least once, in feed order.

One relay is active, by an advisory lock on the connection it reads with; others stand by and take over when that
connection ends. The place up to which every event was confirmed is a row; it is written after the confirms, so a crash
anywhere publishes some events again, with the same ids, and never leaves one out. Whatever fails (broker, database,
network), both connections are made anew with back-off; nothing needs a restart.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from schema.errors import Transient
from schema.failpoints import FailpointError, reached
from schema.store import feed
from schema.store.engine import make_engine
from services.bus.exchange import Exchange, Outgoing

if TYPE_CHECKING:
    import threading
    from collections import Counter
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

    from schema.settings import Settings

CONSUMER: Final = "amqp"
"""The relay's row in the table `consumer`."""
_BATCH: Final = 500
_IDLE_WAKE_S: Final = 0.05
_STAND_BY_S: Final = 0.5
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
# Longer than a batch can take, so that only a relay that is frozen or cut off loses its session, and the lock with it.
_SILENT_S: Final = 20
_LOCK: Final = 0x7468726F_72656C79
_encoder: Final = msgspec.json.Encoder()

log = structlog.get_logger(__name__)


def run_relay(settings: Settings, url: str, stop: threading.Event) -> None:
    """
    Relay events of the database `url` to `settings.events_url` until `stop` is set, whatever happens to both.

    Without an `events_url` there is nothing to do: readers pull the feed. It then only waits for `stop`.
    """
    if not settings.events_url:
        stop.wait()
        return
    engine = make_engine(url, name="relay", pool_size=1)
    pause = _Pause()
    while not stop.is_set():
        try:
            with _lead(engine, stop) as connection, Exchange(settings.events_url, stop) as exchange:
                _Relay(connection, exchange, pause).carry(stop)
        except (SQLAlchemyError, Transient, OSError, FailpointError) as error:
            log.warning("relay.interrupted", error=type(error).__name__, code=getattr(error, "code", None))
            stop.wait(pause.longer())
    engine.dispose()


class _Pause:
    """Back-off: twice as long each time, short again once something got through."""

    def __init__(self) -> None:
        self._next = _FIRST_PAUSE_S

    def longer(self) -> float:
        now, self._next = self._next, min(self._next * 2, _LONGEST_PAUSE_S)
        return now

    def reset(self) -> None:
        self._next = _FIRST_PAUSE_S


class _Relay:
    """The active relay, for as long as both connections last."""

    def __init__(self, connection: Connection, exchange: Exchange, pause: _Pause) -> None:
        self._connection = connection
        self._exchange = exchange
        self._pause = pause
        self._unrouted: set[str] = set()

    def carry(self, stop: threading.Event) -> None:
        """Publish what there is, at once while there is more; raises when a connection fails."""
        cursor = feed.remembered(self._connection, CONSUMER)
        log.info("relay.active")
        while not stop.is_set():
            self._exchange.check()
            page = feed.read(self._connection, cursor, limit=_BATCH)
            if page.events:
                self._publish(page.events)
                feed.remember(self._connection, CONSUMER, page.next)
                reached("relay.after_commit")
                cursor = page.next
            self._pause.reset()
            if len(page.events) < _BATCH:
                stop.wait(_IDLE_WAKE_S)

    def _publish(self, events: list[dict[str, Any]]) -> None:
        outgoing = [Outgoing(event["id"], event["type"], _encoder.encode(event)) for event in events]
        reached("relay.before_publish")
        returned = self._exchange.publish(outgoing)
        reached("relay.after_confirm")
        self._note_unrouted({event.type for event in outgoing}, returned)

    def _note_unrouted(self, published: set[str], returned: Counter[str]) -> None:
        """Say once, per type, that nobody has bound a queue for it, and once that somebody has."""
        unrouted = (self._unrouted - published) | returned.keys()
        if unrouted != self._unrouted:
            log.info("relay.unrouted_types", types=sorted(unrouted), returned=returned.total())
            self._unrouted = unrouted


@contextmanager
def _lead(engine: Engine, stop: threading.Event) -> Iterator[Connection]:
    """Wait to be the one active relay (or for `stop`), then be it on one autocommitting connection."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"SET idle_session_timeout = '{_SILENT_S}s'"))
        try:
            while not stop.is_set() and not connection.execute(_TRY_LOCK, {"lock": _LOCK}).scalar_one():
                stop.wait(_STAND_BY_S)
            yield connection
        finally:
            # Closed, not given back: the session ends here, and the lock with it.
            connection.invalidate()


_TRY_LOCK: Final = text("SELECT pg_try_advisory_lock(:lock)")
