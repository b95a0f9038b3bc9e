"""
KPI: has what happened counted, held against the targets, and what is bought together.

    hears   the sweep, while there are events that are not counted or a target was not looked at for a minute
    reads   event, behind the cursor (`workers/figures/count`)
    writes  kpi_bucket, kpi_lead, kpi_restated; association, once a day (`workers/learn/baskets`); kpi_target
            (`workers/figures/targets`); kpi_forecast, once a day (`workers/figures/forecasts`)
    tells   kpi.missed, kpi.met

Portions are counted one after the other until nothing is left, or for `TURN_S`: then it hints at itself, so that other
queues of the same threads have their turn. Between two portions it can be told to stop.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy.exc import DBAPIError

from schema.store import clock
from schema.store.engine import is_transient
from schema.store.journeys import JourneyBook, Unreadable
from workers.figures import forecasts, targets
from workers.figures.count import PORTION, Counting, count
from workers.learn import baskets

if TYPE_CHECKING:
    from datetime import date

    from sqlalchemy import Engine

    from schema.store.clock import Clock
    from workers.runtime import Hinter

log = structlog.get_logger()

KPI: Final = "kpi"
TURN_S: Final = 0.3


class Kpi:
    """The actor of the queue `kpi` in one process."""

    def __init__(
        self,
        engine: Engine,
        hints: Hinter,
        *,
        clock: Clock = clock.now,
        portion: int = PORTION,
        turn_s: float = TURN_S,
    ) -> None:
        self._engine = engine
        self._hints = hints
        self._clock = clock
        self._portion = portion
        self._turn_s = turn_s
        self._book = JourneyBook()
        self._counting = Counting(JourneyBook())
        self._forecast_on: date | None = None
        self._once = threading.Lock()
        self._stopped = threading.Event()

    def hear(self) -> None:
        """Count what is not counted. A database that is away is met again with the next hint."""
        if not self._once.acquire(blocking=False):
            return
        try:
            if self.count():
                self._hints.send(KPI, ())
            elif not self._stopped.is_set():
                self._judge()
            if not self._stopped.is_set():
                baskets.count(self._engine, self._clock())
        finally:
            self._once.release()

    def count(self) -> bool:
        """Count portions until nothing is left, it is told to stop or its turn is over; return whether more is left."""
        ends = time.monotonic() + self._turn_s
        while not self._stopped.is_set():
            try:
                done = count(self._engine, self._counting, limit=self._portion)
            except Unreadable as error:
                log.warning("kpi.waits", **error.facts)
                return False
            except DBAPIError as error:
                if not is_transient(error):
                    raise
                log.warning("kpi.postponed", exc_info=error)
                return False
            if done is None or done < self._portion:
                return False
            if time.monotonic() >= ends:
                return True
        return False

    def _judge(self) -> None:
        """Hold the figures against the targets, and keep what is expected of today."""
        now = self._clock()
        try:
            told = targets.look(self._engine, self._book, now)
            if self._forecast_on != now.date():
                forecasts.keep(self._engine, self._book, now)
                self._forecast_on = now.date()
        except DBAPIError as error:
            if not is_transient(error):
                raise
            log.warning("kpi.postponed", exc_info=error)
        else:
            if told:
                log.info("kpi.judged", told=told)

    def stop(self) -> None:
        """Have it end after the portion at work."""
        self._stopped.set()
