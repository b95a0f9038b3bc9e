"""
One worker process: a Dramatiq worker run in this process, ended by SIGTERM or SIGINT.

Dramatiq's own command line takes all its processes down when one dies; here each is on its own and whoever started
it starts it again. Stopping finishes the running batch, gives prefetched hints back and takes less than 8 seconds,
whatever hangs: a batch cut off by the end of the process is rolled back by PostgreSQL and still due.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog
from dramatiq import Worker

from schema.garbage import only_between_batches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from dramatiq import Broker

_log = structlog.get_logger(__name__)

_IDLE_WAKE_MS: Final = 100
_CHECK_EVERY_S: Final = 1.0
_STOP_MS: Final = 3_500
"""Granted to worker threads, then again to consumers."""


def run_worker(broker: Broker, queues: set[str], threads: int, *, stop: threading.Event) -> int:
    """
    Hear `queues` with so many threads until `stop` is set or a signal asks for it.

    The actors are declared on `broker` before; no queues means all declared ones. One run per broker, since
    Dramatiq ties a broker to its worker; closing it afterwards is the caller's. Signals are taken over only in the
    main thread. Returns the exit code: 0 stopped as asked, 1 a thread had died or a batch did not finish in time.
    """
    worker = Worker(broker, queues=queues, worker_threads=threads, worker_timeout=_IDLE_WAKE_MS)
    # One to run and one to follow: hints held here are hints another process cannot take.
    worker.queue_prefetch = threads + 1
    with _signals_set(stop):
        broker.emit_after("process_boot")
        worker.start()
        only_between_batches()
        _log.info("worker_started", queues=sorted(queues), threads=threads)
        healthy = _watch(worker, stop)
        worker.stop(timeout=_STOP_MS)
        finished = not any(thread.is_alive() for thread in worker.workers)
    _log.info("worker_stopped", healthy=healthy, finished=finished)
    return 0 if healthy and finished else 1


def _watch(worker: Worker, stop: threading.Event) -> bool:
    """Wait for `stop`; return early, with False, when a thread died, so that the process is replaced."""
    while not stop.wait(_CHECK_EVERY_S):
        if not all(thread.is_alive() for thread in (*worker.workers, *worker.consumers.values())):
            _log.error("worker_thread_died")
            return False
    return True


@contextmanager
def _signals_set(stop: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(_signal: int, _frame: FrameType | None) -> None:
        # Set by a thread: the handler may interrupt the very lock that `set` needs.
        threading.Thread(target=stop.set, daemon=True).start()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
