"""
How a step runs: decode the hint, lock what is due, decide, record, commit, hint on.

    @step("score")
    def score(batch: Batch) -> None: ...

registers a step; `Runtime.hear` is what its Dramatiq actor does. In one transaction it locks the rows that are still
due (those the hint names, and more when more wait), lets the step decide, and records all of it set-based. Steps
that wait for nothing are chained in the same transaction where this process serves them; for the others a hint goes
out after the commit.

Nothing here raises to the broker: a hint may be lost or doubled at any time, the due rows are what counts, and the
sweeper hints again whatever is left. A batch that fails is split until the bad one stands alone in `dead_letter`. A row
that was still due after `patience` may be one that kills its worker: that it is tried is committed first, from
the second time on it is tried alone, and when its workers keep ending with it, it is set aside too.

What follows a journey version that this code cannot read waits: it stays due for workers that know better, no attempt
is counted, and the others in its batch go on.
"""

from __future__ import annotations

import hashlib
import time
import traceback
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from schema import tables
from schema.errors import Permanent, ThroughlineError, Transient
from schema.failpoints import reached
from schema.store import clock, rows
from schema.store.engine import is_transient
from schema.store.ids import new_id, uuid_array
from schema.store.journeys import JourneyBook
from workers.batch import Batch
from workers.claim import TIMED, claim, count_attempt, release
from workers.models import ModelBook

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sqlalchemy import Connection, Engine, RowMapping

    from schema.store.clock import Clock

    Work = Callable[[Batch], None]

log = structlog.get_logger()

MAX_ATTEMPTS: Final = 3
"""How often a row that stands alone may fail before it is set aside."""
_ROUNDS: Final = 5
"""Full batches that one hint leads to, one after the other; then another hint, so that a worker can be stopped."""
_LATER_S: Final = 5.0
"""How long an arrival is left alone whose lead follows a version that this code cannot read."""
MAX_DEATHS: Final = 4
"""How often a worker may end with a row in hand, each time but the first with nothing else, before it is set aside."""
_CAREFUL_S: Final = 30.0
"""How long a process that was started is careful with people in campaigns: one of them may have ended another."""
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class Hinter(Protocol):
    """Where hints go out; never blocks and never fails."""

    def send(self, step: str, ids: Sequence[str]) -> None:
        """Tell the workers of `step` to look at these ids; none: look whether anything is due."""


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of processing: its name (also of its actor and queue), whose rows are due, and what it does."""

    name: str
    subject: str  # receipt, lead, enrolment or timer
    work: Work


STEPS: Final[dict[str, Step]] = {}
"""Every step there is, by name; the modules of the steps fill it when they are imported."""


def step(name: str, *, subject: str = "lead") -> Callable[[Work], Work]:
    """Register the function below as the step `name`."""

    def register(work: Work) -> Work:
        STEPS[name] = Step(name, subject, work)
        return work

    return register


class Runtime:
    """Runs the steps that this process serves."""

    def __init__(  # noqa: PLR0913 - what a worker is put together from
        self,
        engine: Engine,
        hints: Hinter,
        *,
        serves: Collection[str],
        chain: bool = True,
        batch_size: int = 400,
        patience: timedelta = timedelta(seconds=6),
        book: JourneyBook | None = None,
        pepper: Callable[[], bytes] | None = None,
        clock: Clock = clock.now,
    ) -> None:
        self.engine = engine
        self._hints = hints
        self._serves = frozenset(serves)
        self._chain = chain
        self._batch_size = batch_size
        self._patience = patience
        self._book = book or JourneyBook()
        self._models = ModelBook()
        self._pepper = pepper
        self._clock = clock
        self._later: dict[str, float] = {}
        self._careful_until = time.monotonic() + _CAREFUL_S

    def hear(self, name: str, ids: Sequence[str] = (), *, now: datetime | None = None) -> int:
        """Do what is due for the step `name`; return how many rows were taken. Never raises for a row's sake."""
        step = STEPS[name]
        total = 0
        try:
            for _ in range(_ROUNDS):
                taken = self._hear(step, ids if not total else (), now)
                total += taken
                if taken < self._batch_size:
                    return total
            self._hints.send(name, ())
        except Transient as error:
            log.warning("step.postponed", step=name, code=error.code, **error.facts)
        except DBAPIError as error:
            log.warning("step.postponed", step=name, code=_code(error))
        return total

    def _hear(self, step: Step, ids: Sequence[str], now: datetime | None) -> int:
        due = self._attempt(step, ids, now, more=True)
        suspects = [row for row in due if row["suspect"]]
        if suspects:
            together = [row["id"] for row in due if not row["suspect"] or row["attempts"] == 0]
            self._attempt(step, together, now)
            for row in suspects:
                if row["attempts"]:
                    self._alone(step, row, now)
        return len(due)

    def _attempt(self, step: Step, ids: Sequence[str], now: datetime | None, *, more: bool = False) -> list[RowMapping]:
        """Run what is due; if that fails, find out whose fault it is and do the others."""
        if not ids and not more:
            return []
        try:
            return self._run(step, ids, now, more=more)
        except Exception as error:
            if _is_transient(error):
                raise
            due = self._peek(step, ids, now) if more else list(ids)
            self._split(step, due, now, error)
            return []

    def _run(self, step: Step, ids: Sequence[str], now: datetime | None, *, more: bool = False) -> list[RowMapping]:
        """
        Take what is due through the step and those chained to it, in one transaction.

        Only the rows named, or with `more` also others that wait. If some of those were due for long already, their
        attempt is counted instead and nothing is run: the caller then takes them with care.
        """
        at, started = now or self._clock(), time.monotonic()
        with self.engine.begin() as connection:
            due = self._take(connection, step, ids, at, overdue=at - self._patience, more=more)
            reached("worker.after_lock")
            suspects = [row for row in due if row["suspect"]] if more else []
            if suspects:
                count_attempt(connection, step.subject, [row["id"] for row in suspects if not row["attempts"]], at)
                return due
            batch = Batch(connection, self._book, at, step.name, models=self._models, pepper=self._pepper)
            if due:
                self._work(batch, step, due)
                batch.record()
                self._leave(connection, batch.waiting)
                reached("worker.before_commit")
        if due:
            reached("worker.after_commit")
            self._hint_on(step, batch)
            ms = round((time.monotonic() - started) * 1000, 1)
            log.info("step.done", step=step.name, taken=len(due), leads=len(batch.cases), ms=ms)
        return due

    def _take(
        self,
        connection: Connection,
        step: Step,
        ids: Sequence[str],
        now: datetime,
        *,
        overdue: datetime = _LONG_AGO,
        more: bool,
    ) -> list[RowMapping]:
        """Lock what is due for `step`, but what waits for a version that this code cannot read."""
        if step.subject == "receipt":
            wanted: dict[str, Any] = {"overdue": overdue, "sources": self._book.sources(connection)}
            later = self._waiting()
            ids = [row_id for row_id in ids if row_id not in later] if later else ids
            return claim(connection, step.subject, ids, later, self._batch_size, wanted, more=more)
        unread = set(self._book.unreadable())
        while True:
            wanted = {"overdue": overdue, "unread": sorted(unread)}
            if step.subject in TIMED:
                wanted |= {"now": now, "careful": time.monotonic() < self._careful_until}
            else:
                wanted |= {"step": step.name}
            due = claim(connection, step.subject, ids, (), self._batch_size, wanted, more=more)
            met = {row[version] for row in due for version in ("journey", "lead_journey") if version in row}
            new = {version for version in met if not self._book.readable(connection, version)}
            if not new:
                return due
            unread |= new

    def _waiting(self) -> list[str]:
        """Return the receipts to be left alone a little longer."""
        if self._later:
            now = time.monotonic()
            self._later = {row_id: until for row_id, until in list(self._later.items()) if until > now}
        return list(self._later)

    def _leave(self, connection: Connection, receipts: Sequence[str]) -> None:
        """Leave receipts due and alone for a while; that they were tried is nobody's fault."""
        if receipts:
            connection.execute(_NOT_TRIED, {"ids": uuid_array(receipts)})
            until = time.monotonic() + _LATER_S
            self._later |= dict.fromkeys(receipts, until)

    def _work(self, batch: Batch, step: Step, due: Sequence[RowMapping]) -> None:
        if step.subject == "receipt":
            batch.receipts = sorted(due, key=itemgetter("received_at", "id"))
        elif step.subject in TIMED:
            younger = set(batch.load({row["lead_id"] for row in due}))
            free = [row for row in due if row["lead_id"] not in younger]
            batch.enrolments, batch.went_off = (free, ()) if step.subject == "enrolment" else ((), free)
            batch.postponed += [row["id"] for row in due if row["lead_id"] in younger]
        else:
            batch.postponed += batch.load([row["id"] for row in due])
        step.work(batch)
        done = {step.name}
        while self._chain and (name := self._next_step(batch, done)):
            done.add(name)
            STEPS[name].work(batch)

    def _next_step(self, batch: Batch, done: set[str]) -> str | None:
        waiting = {case.lead["next_step"] for case in batch.cases.values()}
        return next((name for name in STEPS if name in waiting and name in self._serves and name not in done), None)

    def _hint_on(self, step: Step, batch: Batch) -> None:
        onward: dict[str, list[str]] = defaultdict(list)
        for case in batch.cases.values():
            if case.lead["next_step"]:
                onward[case.lead["next_step"]].append(case.id)
        if batch.postponed:
            onward[step.name] += batch.postponed
        if batch.pools.woken:
            onward["route"] += batch.pools.woken
        for name, ids in batch.hints.items():
            onward[name] += ids
        for name, ids in onward.items():
            self._hints.send(name, ids)

    def _peek(self, step: Step, ids: Sequence[str], now: datetime | None) -> list[str]:
        """Return what a run that failed had taken, or what it would take now."""
        with self.engine.begin() as connection:
            return [row["id"] for row in self._take(connection, step, ids, now or self._clock(), more=True)]

    def _split(self, step: Step, ids: Sequence[str], now: datetime | None, error: Exception) -> None:
        """Run the halves of a batch that failed, down to the one that stands alone."""
        if len(ids) <= 1:
            for row_id in ids:
                self._retry(step, row_id, now, error)
            return
        middle = len(ids) // 2
        for half in (ids[:middle], ids[middle:]):
            self._attempt(step, half, now)

    def _alone(self, step: Step, row: RowMapping, now: datetime | None) -> None:
        """Run a row that may have killed its worker; that it is tried is committed first, and only of this one."""
        if row["attempts"] >= MAX_DEATHS:
            self._set_aside(step, row["id"], Permanent("worker_died"), row["attempts"], now)
            return
        with self.engine.begin() as connection:
            count_attempt(connection, step.subject, [row["id"]], now or self._clock())
        self._attempt(step, [row["id"]], now)

    def _retry(self, step: Step, row_id: str, now: datetime | None, error: Exception) -> None:
        """Try a row that failed alone again, then set it aside."""
        attempts = 1
        while attempts < MAX_ATTEMPTS and not isinstance(error, Permanent):
            attempts += 1
            try:
                self._run(step, [row_id], now)
            except Exception as failure:
                if _is_transient(failure):
                    raise
                error = failure
            else:
                return
        self._set_aside(step, row_id, error, attempts, now)

    def _set_aside(self, step: Step, row_id: str, error: Exception, attempts: int, now: datetime | None) -> None:
        at = now or self._clock()
        letter = {
            "id": new_id(),
            "step": step.name,
            "subject": step.subject,
            "subject_id": row_id,
            "fingerprint": fingerprint(step.name, error),
            "error": f"{type(error).__name__}: {_code(error)}",
            "facts": error.facts if isinstance(error, ThroughlineError) else {},
            "attempts": attempts,
            "created_at": at,
        }
        with self.engine.begin() as connection:
            if release(connection, step.subject, row_id, at):
                rows.insert(connection, tables.dead_letter, [letter], "ON CONFLICT DO NOTHING")
        log.error("step.dead_letter", step=step.name, subject=step.subject, id=row_id, error=letter["error"])


_NOT_TRIED: Final = text("UPDATE receipt SET attempts = 0 WHERE id = ANY(CAST(:ids AS uuid[])) AND attempts > 0")


def _is_transient(error: Exception) -> bool:
    return isinstance(error, Transient) or is_transient(error)


def fingerprint(step: str, error: Exception) -> str:
    """Return 16 hex digits that are the same for failures of the same kind at the same place in our code."""
    frames = [
        f"{frame.filename.rsplit('/', 1)[-1]}:{frame.name}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    text_ = "|".join([step, type(error).__name__, _code(error), *frames[-1:]])
    return hashlib.sha256(text_.encode()).hexdigest()[:16]


def _code(error: Exception) -> str:
    """Return what may be shown of an error: a code and names of ours, never a value."""
    if isinstance(error, ThroughlineError):
        return error.code
    if isinstance(error, DBAPIError):
        diagnosis = getattr(error.orig, "diag", None)
        constraint = getattr(diagnosis, "constraint_name", None) or ""
        return " ".join(filter(None, (getattr(error.orig, "sqlstate", None) or "connection", constraint)))
    return "unexpected"
