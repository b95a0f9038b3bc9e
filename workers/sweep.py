"""
Sweep: wakes leads whose wait is over, and finds work whose hint was lost or whose worker died.

    hears   the ticker
    reads   leads whose waits are over; receipts and leads that have been due for longer than `sweep_after_s`; who
            is due in a campaign
    writes  what such a lead is due for; that those who are there are looked at for campaigns that are new; merges
            people whom arrivals have proven to be one (`workers/merge`); has clocks of tickets be counted by
            a version that was activated (`workers/recalculation`); plans digests (`workers/digests`); removes
            submissions that expired, and what came to a form that is switched off; has events counted that are not,
            and every minute whatever else `workers/kpi` looks at
    tells   the queue of each step that owes work: look again

One hint per step says "whatever is due", so a sweep costs the same whether one lead waits or a million. Under a load
that keeps rows waiting for long it only repeats what the steps do anyway.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from schema import messages
from schema.store import campaigns, clock, sends
from schema.store.journeys import JourneyBook
from schema.store.ops import first_id
from workers import timers
from workers.campaigns import looks
from workers.figures import count as counting
from workers.followups.digests import Digests
from workers.helpdesk.recalculation import Recalculating
from workers.identity.merge import merge_by_rule

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from schema.settings import Settings
    from schema.store.clock import Clock
    from workers.runtime import Hinter

log = structlog.get_logger()

DISABLED_KEPT: Final = timedelta(days=7)
"""How long what came to a form that is switched off can still be released."""
_WOKEN_AT_ONCE: Final = 1_000
_ENOUGH_DUE: Final = 5_000
"""Due leads with which no more are woken than a portion for each sweep: what is there already comes first."""
_LOOKED_AT: Final = 10_000
"""How many of the oldest due leads are looked at for their steps."""
_REMOVED_AT_ONCE: Final = 5_000
_REMOVE_EVERY_S: Final = 60.0

_RECEIPTS_DUE: Final = text("SELECT EXISTS (SELECT FROM receipt WHERE due_since < :before)")
_STEPS_DUE: Final = text("""
SELECT DISTINCT next_step, journey FROM (
    SELECT next_step, journey FROM lead WHERE due_since < :before AND journey <> ALL(CAST(:unread AS text[]))
    ORDER BY due_since LIMIT :most
) AS oldest
""")
# The earliest step whose wait is over; those after it run anyway. Where none is over (a wait was taken back in the
# meantime), the lead goes on waiting for what is left.
_WAKE: Final = text("""
WITH over AS (
    SELECT id, (
        SELECT step FROM jsonb_each_text(waits) AS wait(step, at)
        WHERE CAST(at AS timestamptz) <= :now ORDER BY array_position(CAST(:steps AS text[]), step) LIMIT 1
    ) AS step, (
        SELECT min(CAST(at AS timestamptz)) FROM jsonb_each_text(waits) AS wait(step, at)
        WHERE CAST(at AS timestamptz) > :now
    ) AS later
    FROM lead WHERE wake_at <= :now AND due_since IS NULL
    ORDER BY wake_at LIMIT :most FOR UPDATE SKIP LOCKED
)
UPDATE lead SET
    due_since = CASE WHEN over.step IS NOT NULL THEN CAST(:now AS timestamptz) END,
    next_step = over.step,
    wake_at = CASE WHEN over.step IS NULL THEN over.later END
FROM over WHERE lead.id = over.id
RETURNING over.step
""")
_DUE: Final = text("""
SELECT count(*) FROM (SELECT FROM lead WHERE due_since IS NOT NULL LIMIT :most) AS due
""")
_REMOVE: Final = text("""
DELETE FROM submission WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM submission WHERE expires_at <= :now LIMIT :most FOR UPDATE SKIP LOCKED
))
""")
# What is left says that it came, so that the account still holds.
_REMOVE_HELD: Final = text("""
UPDATE receipt SET status = 'rejected', body = '', headers = '{}', detail = NULL WHERE id = ANY(ARRAY(
    SELECT id FROM receipt
    WHERE status IN ('quarantined', 'spam') AND reason = 'form_disabled' AND id < CAST(:first AS uuid)
    ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED
))
""")


class Sweeper:
    """Sweeps for one process; ticks that come faster than `sweep_every_s`, as after an outage, are one."""

    def __init__(
        self,
        engine: Engine,
        hints: Hinter,
        settings: Settings,
        *,
        portion: int = _WOKEN_AT_ONCE,
        enough: int = _ENOUGH_DUE,
        clock: Clock = clock.now,
    ) -> None:
        self._engine = engine
        self._hints = hints
        self._every_s = settings.sweep_every_s
        self._after = timedelta(seconds=settings.sweep_after_s)
        self._lease = timedelta(seconds=settings.send_lease_s)
        self._book = JourneyBook()
        self._digests = Digests()
        self._recalculating = Recalculating(engine, hints, self._book)
        self._portion = portion
        self._enough = enough
        self._clock = clock
        self._once = threading.Lock()
        self._swept_at = float("-inf")
        self._remove_at = 0.0

    def hear(self) -> None:
        """Sweep, unless that was done just now. A database that is away is met again with the next tick."""
        with self._once:
            started = time.monotonic()
            if started - self._swept_at < self._every_s / 2:
                return
            self._swept_at = started
        try:
            self.sweep(self._clock())
            self._begin_counting(anyway=started >= self._remove_at)
            if started >= self._remove_at:
                removed = [remove(self._engine, self._clock()) for remove in (remove_expired, remove_disabled)]
                more = _REMOVED_AT_ONCE in removed
                self._remove_at = started + (0.0 if more else _REMOVE_EVERY_S)
        except DBAPIError as error:
            log.warning("sweep.postponed", exc_info=error)

    def sweep(self, now: datetime) -> list[str]:
        """
        Wake the leads whose waits are over, and hint at the steps that owe work since before `now - sweep_after_s`.

        Returns the names of the steps that were hinted at.
        """
        woken = self._wake(now)
        merge_by_rule(self._engine, self._hints, now)
        self._recalculating.go_on(now)
        with self._engine.begin() as connection:
            late = owing(connection, now - self._after, self._book)
            if looks.begin(connection, self._book, now) or campaigns.owes(connection, now):
                late.append("nurture")
            self._digests.plan(connection, self._book, now)
            if timers.owes(connection, now):
                late.append("followup")
            if sends.owes(connection, now, self._lease):
                late.append("deliver")
        self._digests.keep()
        steps = [step for step in messages.QUEUES if step in woken or step in late]
        for step in steps:
            self._hints.send(step, ())
        if steps:
            log.info("sweep.found", steps=steps)
        return steps

    def _begin_counting(self, *, anyway: bool) -> None:
        """Have events counted that are not; every minute `anyway`, for what the worker looks at by the clock."""
        if not anyway:
            with self._engine.begin() as connection:
                anyway = counting.owes(connection)
        if anyway:
            self._hints.send("kpi", ())

    def _wake(self, now: datetime) -> set[str]:
        """Wake one portion, and more while few leads are due; a multitude is woken as fast as it is worked off."""
        steps: set[str] = set()
        while True:
            found = wake(self._engine, now, most=self._portion)
            steps |= {step for step in found if step}
            if found.total() < self._portion:
                return steps
            with self._engine.begin() as connection:
                if connection.execute(_DUE, {"most": self._enough}).scalar_one() >= self._enough:
                    return steps


def wake(engine: Engine, now: datetime, *, most: int = _WOKEN_AT_ONCE) -> Counter[str | None]:
    """
    Make at most `most` of the leads due whose waits are over, those first that waited longest.

    Returns for each step how many are due for it now; None stands for those that had nothing to wait for any more. A
    lead in the hands of a worker is left alone: when that one settles it, its waits are looked at anew.
    """
    with engine.begin() as connection:
        steps = connection.execute(_WAKE, {"now": now, "most": most, "steps": list(messages.STEPS)}).scalars()
        return Counter(steps)


def owing(connection: Connection, before: datetime, book: JourneyBook, *, most: int = _LOOKED_AT) -> list[str]:
    """
    Return the steps that rows have been waiting for since before a moment, as far as the `most` oldest show.

    Leads of a version that this code cannot read may be old and many: those behind them are looked at too.
    """
    steps = {"identify"} if connection.execute(_RECEIPTS_DUE, {"before": before}).scalar_one() else set()
    unread: set[str] = set()
    while True:
        wanted = {"before": before, "most": most, "unread": sorted(unread)}
        found = connection.execute(_STEPS_DUE, wanted).all()
        steps |= {row.next_step for row in found}
        new = {version for version in {row.journey for row in found} if not book.readable(connection, version)}
        if not new:
            return sorted(steps)
        unread |= new


def remove_expired(engine: Engine, now: datetime) -> int:
    """Forget a portion of the submissions that expired; return how many."""
    with engine.begin() as connection:
        return connection.execute(_REMOVE, {"now": now, "most": _REMOVED_AT_ONCE}).rowcount


def remove_disabled(engine: Engine, now: datetime) -> int:
    """
    Forget what a portion of the receipts said that came to a form while it was switched off; return how many.

    For `DISABLED_KEPT` they can be released, as when it was switched off by mistake.
    """
    parameters = {"first": first_id(now - DISABLED_KEPT), "most": _REMOVED_AT_ONCE}
    with engine.begin() as connection:
        return connection.execute(_REMOVE_HELD, parameters).rowcount
