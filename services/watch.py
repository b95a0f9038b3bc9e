"""
The watch: keeps the account of what arrives, and tries out the ways in.

The ticker runs it beside its ticks; one of several does it at a time. Slices of time that are over and settled are
closed, what is unaccounted for and which sources are silent is noted for the figures, and told in the log when it
begins; canaries are sent when they are due.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from schema.store import account, canaries, clock
from schema.store.journeys import JourneyBook
from services.canary import Canaries

if TYPE_CHECKING:
    from datetime import datetime
    from threading import Event

    from sqlalchemy import Engine

    from schema.settings import Settings

log = structlog.get_logger()

EVERY_S: Final = 10.0
AUDIT_EVERY: Final = timedelta(minutes=1)
_LOCK: Final = 0x7468726F75676803
_ALONE: Final = text("SELECT pg_try_advisory_lock(:lock)")
_DONE: Final = text("SELECT pg_advisory_unlock(:lock)")


def run_watch(engine: Engine, settings: Settings, stop: Event) -> None:
    """Watch until `stop` is set. What goes wrong is tried again with the next round."""
    started = clock.now()
    book = JourneyBook()
    birds = Canaries(engine, settings, book)
    while not stop.is_set():
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as alone:
                if alone.execute(_ALONE, {"lock": _LOCK}).scalar_one():
                    try:
                        birds.fly(clock.now(), started=started)
                        keep_account(engine, clock.now(), book)
                    finally:
                        alone.execute(_DONE, {"lock": _LOCK})
        except DBAPIError as error:
            log.warning("watch.postponed", exc_info=error)
        except Exception:
            log.exception("watch.failed")
        stop.wait(EVERY_S)


def keep_account(engine: Engine, now: datetime, book: JourneyBook | None = None) -> bool:
    """Close what is settled and note what a look finds; False where the latest look is less than a minute ago."""
    with engine.begin() as connection:
        before = account.latest(connection)
    if before and now - before["at"] < AUDIT_EVERY:
        return False
    began = time.monotonic()
    closed = True
    while closed:
        with engine.begin() as connection:
            closed = bool(account.close(connection, now))
    with engine.begin() as connection:
        account.reclose(connection, now)
    with engine.begin() as connection:
        found = account.account(connection, now, book=book)
        account.note(connection, now, timedelta(seconds=time.monotonic() - began), found)
    for told in found["found"]:
        if told["kind"] not in (before["found"] if before else {}):
            log.error("account.unaccounted", kind=told["kind"], count=told["count"], ids=told["ids"][:10])
    for source in found["sources"]:
        if source["silent"] and source["source"] not in (before["silent"] if before else {}):
            log.error("source.silent", source=source["source"], since=source["silent_since"].isoformat())
    for way in found["canaries"]:
        if way["late"] and canaries.WITHIN <= now - way["sent_at"] < canaries.WITHIN + AUDIT_EVERY:
            log.error("canary.late", source=way["source"], path=way["path"], code=way["error"])
    return True
