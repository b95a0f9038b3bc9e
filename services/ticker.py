"""
The ticker: the clock that makes lost work be looked for.

Every `sweep_every_s` seconds it sends a hint to the queue `sweep`. Any number of tickers may run; the one that holds
a lock in the database ticks, and when it dies another one does. It outlives failures of the database and the broker:
a tick that cannot be sent is simply the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Event

    from sqlalchemy import Connection, Engine

    from schema.settings import Settings

log = structlog.get_logger()

QUEUE: Final = "sweep"
_LOCK: Final = 0x7468726F75676802
# Asked again before every tick, so that a lock lost with its session is noticed; releasing the older hold keeps one.
_LEAD: Final = text("SELECT pg_try_advisory_lock(:lock)")
_KEEP: Final = text("SELECT pg_advisory_unlock(:lock)")


def run_ticker(engine: Engine, settings: Settings, hint: Callable[[str, Sequence[str]], None], *, stop: Event) -> None:
    """
    Tick until `stop` is set. `hint` sends a hint to a queue; it must neither block nor fail.

    Wakes at once when `stop` is set.
    """
    quiet = False
    while not stop.is_set():
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                quiet = False
                _tick_while_leading(connection, settings.sweep_every_s, hint, stop)
        except DBAPIError as error:
            if not quiet:
                log.warning("ticker.database_away", exc_info=error)
            quiet = True
            stop.wait(settings.sweep_every_s)


def _tick_while_leading(
    connection: Connection, every_s: float, hint: Callable[[str, Sequence[str]], None], stop: Event
) -> None:
    leads = False
    while not stop.is_set():
        held = leads
        leads = bool(connection.execute(_LEAD, {"lock": _LOCK}).scalar_one())
        if held:
            connection.execute(_KEEP, {"lock": _LOCK})
        if leads:
            if not held:
                log.info("ticker.leads")
            hint(QUEUE, ())
        stop.wait(every_s)
