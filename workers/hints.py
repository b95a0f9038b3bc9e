"""
Hints out: nobody who has a hint to send waits for a broker or fails with one.

`send` appends to a bounded buffer and returns. One thread publishes: at once when idle; under load it gathers, so
that a step's ids collected while the last message was on its way leave together, with a short pause between two
messages of a step. While the broker is down the ids wait, the oldest are kept, and what does not fit is counted
and dropped: the rows are due, and the sweeper finds them.

A broker can also take a message and never answer (RabbitMQ may owe a confirm for ever after a crash, and its client
waits as long). Then the thread is left behind and another one, with a connection of its own, sends the same again.
"""

from __future__ import annotations

import os
import threading
import time
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog
from dramatiq import Message

from schema.messages import Hint, encode
from workers.broker import PerThread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dramatiq import Broker

_log = structlog.get_logger(__name__)

_KEEP_ALIVE_S: Final = 4.0
_BACK_OFF_S: Final = (0.1, 2.0)
_NEVER: Final = float("inf")


class _Outgoing(NamedTuple):
    step: str
    ids: list[str]


class Hints:
    """
    The one sender of a process, shared by its threads.

    `limit` is how many ids wait per step at most, `per_message` how many leave together, `pause_s` the least time
    between two messages of a step, `patience_s` how long the broker has to answer. `sent` counts messages, `failed`
    attempts that came to nothing, `dropped` ids (and hints without ids) given up. The thread starts with the first
    hint; a forked child starts its own, empty.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        limit: int = 50_000,
        per_message: int = 500,
        pause_s: float = 0.04,
        patience_s: float = 10.0,
    ) -> None:
        self._broker = broker
        self._limit = limit
        self._per_message = per_message
        self._pause_s = pause_s
        self._patience_s = patience_s
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._ids: dict[str, dict[str, None]] = {}
        self._again: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._thread: threading.Thread | None = None
        self._closing = False
        self._deadline = 0.0
        self._back_off_s = 0.0
        self._in_flight = _Outgoing("", [])
        self._give_up_at = _NEVER
        self.sent = self.failed = self.dropped = 0

    def send(self, step: str, ids: Sequence[str]) -> None:
        """
        Have the workers of `step` look at these ids; no ids: at whatever is due.

        Returns at once and never raises for the broker's sake. Ids already waiting are not added twice.
        """
        if self._pid != os.getpid():
            self._begin()
        with self._changed:
            if self._closing:
                self.dropped += len(ids) or 1
                return
            self._add(step, ids)
            self._see_to_thread()
            self._changed.notify()

    def waiting(self) -> int:
        """Return how many ids (and hints without ids) wait to be sent."""
        with self._changed:
            return sum(map(len, self._ids.values())) + len(self._again)

    def close(self, timeout: float = 2.0) -> None:
        """Send what can be sent within `timeout` seconds, then stop; the rest is left to the sweeper."""
        with self._changed:
            self._closing = True
            self._deadline = time.monotonic() + timeout
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        with self._changed:
            self.dropped += sum(map(len, self._ids.values())) + len(self._again)
            self._ids, self._again = {}, set()

    def _add(self, step: str, ids: Sequence[str]) -> None:
        if not ids:
            self._again.add(step)
            return
        waiting = self._ids.setdefault(step, {})
        room = self._limit - len(waiting)
        fresh = [id_ for id_ in ids if id_ not in waiting]
        waiting.update(dict.fromkeys(fresh[:room]))
        self.dropped += len(fresh[room:])

    def _see_to_thread(self) -> None:
        if self._thread is not None:
            if time.monotonic() < self._give_up_at:
                return
            _log.warning("hints_unanswered", step=self._in_flight.step)
            self._give_up_at = _NEVER
            self.failed += 1
            self._put_back(self._in_flight)
        self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._done():
            if (outgoing := self._next()) is None:
                self._keep_alive()
            else:
                self._settle(outgoing, self._attempt(outgoing))
        if isinstance(self._broker, PerThread):
            self._broker.close()

    def _done(self) -> bool:
        with self._changed:
            out_of_time = bool(self._back_off_s) or time.monotonic() >= self._deadline
            over = self._closing and (out_of_time or not (self._ids or self._again))
            return over or self._left_behind()

    def _left_behind(self) -> bool:
        return self._thread is not threading.current_thread()

    def _next(self) -> _Outgoing | None:
        """Return what is to leave now, as soon as something is; none after a while with nothing at all to send."""
        with self._changed:
            idle_until = time.monotonic() + _KEEP_ALIVE_S
            while True:
                step, at = min(self._departures(), key=itemgetter(1), default=(None, idle_until))
                wait = at - time.monotonic()
                if wait <= 0 or self._closing:
                    return None if step is None else self._pick(step)
                self._changed.wait(wait)

    def _departures(self) -> list[tuple[str | None, float]]:
        return [(step, self._not_before.get(step, 0.0)) for step in self._ids.keys() | self._again]

    def _pick(self, step: str) -> _Outgoing:
        if (waiting := self._ids.get(step)) is None:
            self._again.discard(step)
            return _Outgoing(step, [])
        ids = list(islice(waiting, self._per_message))
        for id_ in ids:
            del waiting[id_]
        if not waiting:
            del self._ids[step]
        return _Outgoing(step, ids)

    def _attempt(self, outgoing: _Outgoing) -> Exception | None:
        with self._changed:
            self._in_flight = outgoing
            self._give_up_at = time.monotonic() + self._patience_s
        try:
            self._broker.enqueue(_message(outgoing))
        except Exception as error:  # noqa: BLE001 - whatever a broker raises, the hint waits and nobody fails
            return error
        return None

    def _settle(self, outgoing: _Outgoing, error: Exception | None) -> None:
        with self._changed:
            if self._left_behind():
                return
            self._give_up_at = _NEVER
            if error is None:
                self.sent += 1
                self._not_before[outgoing.step] = time.monotonic() + self._pause_s
            else:
                self.failed += 1
                self._put_back(outgoing)
        if error is None:
            self._flow()
        else:
            self._stall(outgoing, error)

    def _put_back(self, outgoing: _Outgoing) -> None:
        """Keep what was refused before what came later; the buffer exceeds its limit by one message at most."""
        if outgoing.ids:
            self._ids[outgoing.step] = dict.fromkeys(outgoing.ids) | self._ids.get(outgoing.step, {})
        else:
            self._again.add(outgoing.step)

    def _flow(self) -> None:
        if self._back_off_s:
            self._back_off_s = 0.0
            _log.info("hints_flowing", failed=self.failed, dropped=self.dropped)

    def _stall(self, outgoing: _Outgoing, error: Exception) -> None:
        if not self._back_off_s:
            _log.warning("hints_stalled", step=outgoing.step, error=type(error).__name__)
        least, most = _BACK_OFF_S
        with self._changed:
            self._back_off_s = min(max(self._back_off_s * 2, least), most)
            self._changed.wait_for(lambda: self._closing, self._back_off_s)

    def _keep_alive(self) -> None:
        if isinstance(self._broker, PerThread):
            self._broker.keep_alive()


def _message(outgoing: _Outgoing) -> Message[None]:
    hint = encode(Hint(ids=outgoing.ids))
    return Message(queue_name=outgoing.step, actor_name=outgoing.step, args=(hint,), kwargs={}, options={})
