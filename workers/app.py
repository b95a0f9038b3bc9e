"""
The workers put together: broker, runtime and one Dramatiq actor for each queue.

    broker, runtime, hints = build(settings, url, queues={"identify", "score"})
    run_worker(broker, queues, settings.worker_threads, stop=stop)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

import dramatiq
import structlog

from schema import messages
from schema.errors import Permanent
from schema.garbage import between_batches
from schema.messages import HintError, decode
from schema.store import clock
from schema.store.engine import make_engine
from workers.broker import make_broker
from workers.campaigns.looks import Looker
from workers.deliver import Deliverer
from workers.hints import Hints
from workers.kpi import KPI, Kpi
from workers.runtime import STEPS, Runtime
from workers.sweep import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sqlalchemy import Engine

    from schema.settings import Settings
    from schema.store.clock import Clock

    Hear = Callable[[Sequence[str]], object]

log = structlog.get_logger()

SWEEP: Final = "sweep"
NURTURE: Final = "nurture"
FOLLOWUP: Final = "followup"
DELIVER: Final = "deliver"


def build(
    settings: Settings, url: str, *, queues: Collection[str] = (), clock: Clock = clock.now
) -> tuple[dramatiq.Broker, Runtime, Hints]:
    """
    Put a worker process together that serves `queues` (none: all) on the database `url`.

    All of it goes by `clock`. Connects to nothing yet. Raises Permanent (`queue_unknown`).
    """
    register_steps()
    others = (KPI, DELIVER, SWEEP)
    known = {*STEPS, *others}
    serves = set(queues) or known
    if serves - known:
        unknown = ", ".join(sorted(serves - known))
        raise Permanent("queue_unknown", f"There is no queue {unknown}; there are {', '.join((*STEPS, *others))}.")
    broker = make_broker(settings.model_copy(update={"database_url": url}))
    hints = Hints(broker)
    engine = make_engine(url, name="worker", hot=True, pool_size=settings.worker_threads + 1)
    broker.add_middleware(DatabaseClosed(engine))
    runtime = Runtime(
        engine,
        hints,
        serves=serves & STEPS.keys(),
        chain=settings.chain,
        batch_size=settings.batch_size,
        pepper=settings.pepper,
        clock=clock,
    )
    for name in sorted(serves & STEPS.keys() - {NURTURE}):
        _declare(broker, name, lambda ids, name=name: runtime.hear(name, ids))  # type: ignore[misc]
    if NURTURE in serves:
        looker = Looker(engine, hints)
        _declare(broker, NURTURE, lambda ids: (runtime.hear(NURTURE, ids), looker.hear(clock())))
    if DELIVER in serves:
        own = make_engine(url, name="deliver", hot=True, pool_size=settings.smtp_connections + 2)
        deliverer = Deliverer(own, hints, settings, clock=clock)
        broker.add_middleware(DeliveryEnded(deliverer))
        _declare(broker, DELIVER, lambda _: deliverer.wake())
    if KPI in serves:
        kpi = Kpi(engine, hints, clock=clock)
        broker.add_middleware(CountingEnded(kpi))
        _declare(broker, KPI, lambda _: kpi.hear())
    if SWEEP in serves:
        sweeper = Sweeper(engine, hints, settings, clock=clock)
        _declare(broker, SWEEP, lambda _: sweeper.hear())
    return broker, runtime, hints


class DatabaseClosed(dramatiq.Middleware):
    """Closes the connections to the database when the worker has stopped."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def after_worker_shutdown(self, *_: object) -> None:
        self._engine.dispose()


class DeliveryEnded(dramatiq.Middleware):
    """Ends what goes out when the worker is to stop."""

    def __init__(self, deliverer: Deliverer) -> None:
        self._deliverer = deliverer

    def before_worker_shutdown(self, *_: object) -> None:
        self._deliverer.stop()


class CountingEnded(dramatiq.Middleware):
    """Ends the counting after the portion at work when the worker is to stop."""

    def __init__(self, kpi: Kpi) -> None:
        self._kpi = kpi

    def before_worker_shutdown(self, *_: object) -> None:
        self._kpi.stop()


def register_steps() -> None:
    """Import the modules of the steps, which puts them into `STEPS` in the order of the way."""
    for name in (*messages.STEPS, NURTURE, FOLLOWUP):
        import_module(f"workers.{name}")


def _declare(broker: dramatiq.Broker, name: str, hear: Hear) -> None:
    """Declare the actor `name`: it never raises, since what it could not do is still due."""

    def actor(wire: object = None, *_: object, **__: object) -> None:
        try:
            hear(decode(wire).ids)
        except HintError as error:
            log.warning("hint.dropped", queue=name, code=error.code)
        except Exception:
            log.exception("hint.failed", queue=name)
        finally:
            between_batches()

    dramatiq.actor(actor_name=name, queue_name=name, broker=broker)(actor)
