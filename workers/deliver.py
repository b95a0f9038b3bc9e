"""
Deliver: messages out, each once.

    hears   the ticker, and whoever planned a message
    reads   sends that are due, with all that may hold them back
    writes  send, message, suppression; that an enrolment goes on; and the message itself into the world
    tells   message.sent, message.failed, message.unknown; `nurture`, that an enrolment goes on

A few sends are claimed in one transaction, handed over one by one with no transaction open, and what became of them is
written in the next. Whoever ends in between leaves them `sending`: after `send_lease_s` they are `unknown`, unless the
folder says what became of them. Nobody sends those again by itself.

Mail goes out on threads of its own: a mail server that takes its time holds up no lead. One of them is for service mail
alone, which so never waits for the bulk; the others take service mail first.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy.exc import DBAPIError

from schema.errors import ThroughlineError, Transient
from schema.failpoints import reached
from schema.mailing.message import NOWHERE, Place
from schema.store import clock, sends, suppression
from schema.store.engine import is_transient
from schema.store.journeys import JourneyBook
from workers.decide.sending import again, judged
from workers.sending.claim import Claimer
from workers.sending.pace import Pace
from workers.sending.transport import Accepted, NotTried, Outcome, Refused, Unsure, make_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sqlalchemy import Connection, Engine, RowMapping

    from schema.settings import Settings
    from schema.store.clock import Clock
    from schema.store.sends import Settled
    from workers.runtime import Hinter
    from workers.sending.claim import Claim, Ready
    from workers.sending.transport import Transport

log = structlog.get_logger()

_MOST_AT_ONCE: Final = 8
"""Messages of one claim: as many of each thread may be unknown when their process is killed."""
_SETTLE_EVERY_S: Final = 1.0
_AWAY: Final = timedelta(seconds=30)
"""When a message is tried again that could not be handed over because the server was away."""
_NOT_REACHED: Final = frozenset({"smtp_unreachable", "smtp_connection_lost"})
_PAUSE_S: Final = 15.0
_TIDY_EVERY_S: Final = 5.0
_SETTLE_FOR_S: Final = 60.0
_AT_ONCE_S: Final = 0.01
_STOP_S: Final = 3.0
_SERVICE_ONLY: Final = (sends.SERVICE,)
_ALL: Final = (sends.SERVICE, sends.MARKETING)


class Deliverer:
    """Sends what is due, for one process. Nothing runs before `wake`."""

    def __init__(
        self,
        engine: Engine,
        hints: Hinter,
        settings: Settings,
        *,
        transport: Callable[[], Transport] | None = None,
        most: int = _MOST_AT_ONCE,
        clock: Clock = clock.now,
    ) -> None:
        self._engine = engine
        self._hints = hints
        self._settings = settings
        self._make = transport or (lambda: make_transport(settings))
        self._lease = timedelta(seconds=settings.send_lease_s)
        self._most = most
        self._clock = clock
        self._pace = Pace(settings.smtp_rate if settings.smtp_url.get_secret_value() else 0)
        self._threads: list[threading.Thread] = []
        self._woken = threading.Condition()
        self._wakes = 0
        self._stop = threading.Event()
        self._closed_until: dict[Collection[int], float] = {}
        """By the lanes of a thread: a server that takes no more conversations may still have one for service mail."""
        self._tidied_at = float("-inf")

    @cached_property
    def _claimer(self) -> Claimer:
        base = self._settings.base_url.rstrip("/")
        place = Place(base or NOWHERE, self._settings.pepper())
        reachable = bool(base) or not self._settings.smtp_url.get_secret_value()
        return Claimer(JourneyBook(), place, self._pace, reachable, self._most)

    # -- threads -----------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Have the threads look for what is due; the first time, start them."""
        with self._woken:
            if not self._threads and not self._stop.is_set():
                lanes = [_SERVICE_ONLY, *[_ALL] * self._settings.smtp_connections]
                self._threads = [
                    threading.Thread(target=self._run, args=(each,), name=f"deliver-{number}", daemon=True)
                    for number, each in enumerate(lanes)
                ]
                for thread in self._threads:
                    thread.start()
            self._wakes += 1
            self._woken.notify_all()

    def stop(self) -> None:
        """Finish the messages in hand and end; what was claimed and not handed over is due again."""
        self._stop.set()
        with self._woken:
            self._woken.notify_all()
        deadline = time.monotonic() + _STOP_S
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        self._engine.dispose()

    def _run(self, lanes: Collection[int]) -> None:
        seen = 0
        transport: Transport | None = None
        while not self._stop.is_set():
            with self._woken:
                self._woken.wait_for(lambda: self._wakes != seen or self._stop.is_set())  # noqa: B023 - asked at once
                seen = self._wakes
            try:
                transport = transport or self._make()
                self._tidy(transport, self._clock())
                while not self._stop.is_set() and self._once(lanes, transport, None):
                    pass
            except ThroughlineError as error:
                log.warning("send.postponed", code=error.code, **error.facts)
            except DBAPIError as error:
                log.warning("send.postponed", exc_info=error)
            except Exception:
                log.exception("send.failed")
        if transport:
            transport.close()

    # -- the work ----------------------------------------------------------------------------------------------------

    def drain(self, now: datetime | None = None) -> int:
        """Send everything that is due, in this thread; return how many messages were handed over."""
        transport = self._make()
        try:
            self._tidied_at = float("-inf")
            self._tidy(transport, now or self._clock())
            total = 0
            while (found := self._once(_ALL, transport, now)) is not None:
                total += found
            return total
        finally:
            transport.close()

    def _once(self, lanes: Collection[int], transport: Transport, now: datetime | None) -> int | None:
        """Take one claim the whole way; return how many messages were handed over, None where nothing is left to do."""
        if self._closed(lanes):
            return None
        with self._engine.begin() as connection:
            claim = self._claimer.claim(connection, lanes, now or self._clock())
        reached("deliver.after_claim")
        if claim.refused:
            self._write_down(lambda connection, at: sends.skip(connection, claim.refused, claim.enrolled, at), now)
        if not claim.looked_at:
            return None
        handed = self._hand_over(claim, lanes, transport, now)
        log.info("send.done", handed=handed, refused=len(claim.refused), put_off=claim.put_off)
        return handed

    def _closed(self, lanes: Collection[int]) -> bool:
        return time.monotonic() < self._closed_until.get(lanes, 0.0)

    def _hand_over(self, claim: Claim, lanes: Collection[int], transport: Transport, now: datetime | None) -> int:
        begun = settled_at = time.monotonic()
        done: list[tuple[Ready, Outcome]] = []
        handed = 0
        for ready in claim.ready:
            late = time.monotonic() - begun > self._lease.total_seconds() / 4
            if self._stop.is_set() or late or self._closed(lanes):
                outcome: Outcome = NotTried("put_back")
            else:
                outcome = self._try(transport, ready, now)
                if isinstance(outcome, NotTried):
                    self._closed_until[lanes] = time.monotonic() + _PAUSE_S
            handed += not isinstance(outcome, NotTried)
            done.append((ready, outcome))
            if time.monotonic() - settled_at > _SETTLE_EVERY_S:
                self._settle(done, now)
                done, settled_at = [], time.monotonic()
        self._settle(done, now)
        return handed

    def _try(self, transport: Transport, ready: Ready, now: datetime | None) -> Outcome:
        try:
            outcome = transport.hand_over(ready.id, ready.written)
        except Exception as error:
            # Wherever that was, the message may have gone out.
            log.exception("send.unexpected", send=ready.id, error=type(error).__name__)
            return Unsure("unexpected")
        if isinstance(outcome, NotTried):
            log.warning("send.not_taken", reason=outcome.reason)
        elif isinstance(outcome, Accepted):
            self._pace.took(ready.domain, ready.lane)
        elif isinstance(outcome, Refused) and outcome.for_now:
            self._pace.pause(ready.domain, now or self._clock(), ready.lane)
        return outcome

    def _settle(self, done: Sequence[tuple[Ready, Outcome]], now: datetime | None) -> None:
        if not done:
            return
        reached("deliver.before_settle")

        def write(connection: Connection, at: datetime) -> list[str]:
            woken = sends.settle(connection, [_settled(ready, outcome, at) for ready, outcome in done], at)
            for ready, outcome in done:
                self._hold_back(connection, ready, outcome, at)
            return woken

        self._write_down(write, now)
        reached("deliver.after_settle")

    def _hold_back(self, connection: Connection, ready: Ready, outcome: Outcome, now: datetime) -> None:
        """Learn from a refusal for good whether the address can be written to."""
        bounce = judged(outcome.answer) if isinstance(outcome, Refused) and not outcome.for_now else ""
        key = suppression.address_key(ready.written.recipient) if bounce else None
        if key is None:
            return
        pepper = self._claimer.place.pepper
        if bounce == "hard":
            suppression.suppress(connection, pepper, key, "hard_bounce", now, send_id=ready.id)
        else:
            suppression.soft_bounce(connection, pepper, key, now, ready.id)

    def _write_down(self, write: Callable[[Connection, datetime], list[str]], now: datetime | None) -> None:
        """Write, and again while the database is away: what was handed over is known only here."""
        deadline = time.monotonic() + _SETTLE_FOR_S
        pause = 0.1
        while True:
            try:
                with self._engine.begin() as connection:
                    woken = write(connection, now or self._clock())
            except Transient:  # a lead was told of meanwhile: the next transaction can
                if time.monotonic() > deadline:
                    raise
                time.sleep(_AT_ONCE_S)
            except DBAPIError as error:
                if not is_transient(error) or time.monotonic() > deadline or self._stop.wait(pause):
                    raise
                pause = min(pause * 2, 2.0)
            else:
                break
        if woken:
            self._hints.send("nurture", woken)

    def _tidy(self, transport: Transport, now: datetime) -> None:
        """Give up what nobody has in hand any more, and take up what was set aside while its campaign stood still."""
        with self._woken:
            if time.monotonic() - self._tidied_at < _TIDY_EVERY_S:
                return
            self._tidied_at = time.monotonic()
        with self._engine.begin() as connection:
            sends.unpark(connection, now)
            lost = sends.lost(connection, now - self._lease)
        if lost:
            found = [_given_up(row, transport.has(row["id"]), now) for row in lost]
            log.warning("send.unknown", sends=[row.id for row in found if row.state == "unknown"])
            self._write_down(lambda connection, at: sends.settle(connection, found, at), now)


def _settled(ready: Ready, outcome: Outcome, now: datetime) -> Settled:
    """What is written down about a hand-over."""
    known = sends.Settled(ready.id, ready.claimed_at, ready.enrolment_id, "sent", ready.attempts)
    match outcome:
        case Accepted(reply):
            return known._replace(reply=reply)
        case Unsure(reason):
            return known._replace(state="unknown", reason=reason)
        case NotTried(reason):
            # Another conversation may be open to it, and service mail takes that at once.
            at_once = reason == "put_back" or (ready.lane == sends.SERVICE and reason in _NOT_REACHED)
            due_at = now if at_once else now + _AWAY
            return known._replace(state="planned", reason=reason, due_at=due_at, attempts=ready.attempts - 1)
        case Refused(answer, for_now):
            reply = str(answer.code)
            later = again(ready.id, ready.attempts, now) if for_now else None
            if later:
                return known._replace(state="planned", reason="deferred", reply=reply, due_at=later)
            bounced_at = now if not for_now and judged(answer) else None
            reason = "gave_up" if for_now else "refused"
            return known._replace(state="failed", reason=reason, reply=reply, bounced_at=bounced_at)


def _given_up(row: RowMapping, went: bool | None, now: datetime) -> Settled:  # noqa: FBT001 - three answers
    """What is written down about a claim whose worker ended: what is known, else that nobody knows."""
    known = sends.Settled(row["id"], row["claimed_at"], row["enrolment_id"], "unknown", row["attempts"], "worker_ended")
    if went is None:
        return known
    if went:
        return known._replace(state="sent", reason=None)
    return known._replace(state="planned", reason="put_back", due_at=now)
