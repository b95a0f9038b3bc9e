"""
The trial: the whole service started as it is run, loaded from another process, and measured.

    where       the configured server, in a database made for it and dropped afterwards; events and mail stay inside
    warm-up     500 leads that are not counted; then, if asked, a database that has been in use for long
    full speed  connections that never pause: how many leads a second, and what one costs
    steady      leads at a fixed rate: how long until they are accepted, and until they are through all steps
    lone        one lead after the other on the idle service
    audit       what was acknowledged against what is there
    floor       the same rows written by a bare loop, when the service has stopped
"""

from __future__ import annotations

import os
import platform
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import psutil
from sqlalchemy import Connection, Engine, text

from schema.errors import Permanent
from schema.store.engine import make_engine
from services.cli import audit, floor
from services.cli.deciding import decide_us_per_lead
from services.cli.load import Load, Outcome, posts
from services.cli.measure import Meter, listener, p50_p99, postmaster, used
from services.cli.preload import preload
from services.cli.staging import Service, own_database, running_service, server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from schema.settings import Settings

    Tell = Callable[[str], None]

WARM_UP: Final = 500
LONE: Final = 50
STEADY_S: Final = 10.0
STEADY_LEADS: Final = 5000
STEADY_RATE: Final = 1250.0
FLOOR_LEADS: Final = 8000
_DRAIN_S: Final = 120.0
_LOOK_EVERY_S: Final = 0.02
_LONE_EVERY_S: Final = 0.002
_SAMPLE_EVERY_S: Final = 0.005
_SAMPLE_OF: Final = 10
_BY_COMMIT: Final = "the commit records' time, before their flush"
_BY_SAMPLE: Final = "polling every tenth lead"
_SERVER_SETTINGS: Final = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "max_wal_size",
    "track_commit_timestamp",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for: leads at full speed, the steady rate a second (None: ours), leads that are there before."""

    leads: int
    rate: float | None
    preload: int
    connections: int


def run(settings: Settings, plan: Plan, tell: Tell) -> dict[str, Any]:
    """
    Carry out `plan` and return its figures; `tell` hears what is going on.

    :raises Permanent: `service_not_ready`, the service did not start; `service_refuses`, it takes no leads
    :raises Transient: `service_silent`, it stopped answering
    """
    with tempfile.TemporaryDirectory(prefix="throughline-bench-") as folder, ExitStack() as stack:
        tell("starting the service")
        server_url = stack.enter_context(server(settings, Path(folder)))
        url = stack.enter_context(own_database(server_url))
        with running_service(settings, url, Path(folder)) as service:
            trial = stack.enter_context(_trial(settings, plan, service, tell))
            figures = trial.run()
        tell("decisions")
        return figures | trial.floor() | {"decide_us_per_lead": round(decide_us_per_lead(), 1)}


@contextmanager
def _trial(settings: Settings, plan: Plan, service: Service, tell: Tell) -> Iterator[Trial]:
    engines = [make_engine(service.url, name="bench"), make_engine(service.url, name="bench watch", hot=True)]
    try:
        yield Trial(settings, plan, service, tell, *engines)
    finally:
        for engine in engines:
            engine.dispose()


class Trial:
    """One run of a plan against a service that is ready."""

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        service: Service,
        tell: Tell,
        engine: Engine,
        watch: Engine,
    ) -> None:
        self._settings, self._plan, self._service, self._tell = settings, plan, service, tell
        self._engine, self._watch = engine, watch
        self._people = 0
        self._acknowledged: list[str] = []
        self._refused = 0
        self._parts, self._elsewhere = self._find_parts()
        self._meter = Meter(self._parts)
        with engine.connect() as connection:
            shown = "SELECT name, current_setting(name) AS value FROM unnest(CAST(:names AS text[])) AS name"
            found = connection.execute(text(shown), {"names": list(_SERVER_SETTINGS)})
            self._server = {row.name: row.value for row in found}

    def run(self) -> dict[str, Any]:
        """Go through all phases and return the figures."""
        before = os.getloadavg()[0]
        self._warm_up()
        preloaded = self._preload()
        figures = self._full_speed()
        figures |= self._steady(self._plan.rate or min(STEADY_RATE, figures["completed_per_s"] / 2))
        figures |= self._lone()
        figures |= self._memory()
        figures |= self._audit()
        load = {"before": round(before, 2), "after": round(os.getloadavg()[0], 2)}
        figures["settings"] = self._described() | preloaded | {"load_average": load}
        return figures

    def floor(self) -> dict[str, Any]:
        """Measure the floor; only once the service has stopped, or its workers take the arrivals for theirs."""
        self._tell("floor")
        with self._engine.begin() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            batches = floor.copies(connection, self._acknowledged[-FLOOR_LEADS:])
        before = self._meter.cpu_s()
        found = floor.run(self._service.url, batches)
        count = max(sum(len(batch.ends) for batch in batches), 1)
        database = used(before, self._meter.cpu_s()).get("database", 0.0)
        return {
            "floor_per_s": round(found.per_s, 1),
            "floor_cpu_ms_per_lead": round((found.client_cpu_s + database) / count * 1000, 4),
        }

    # -- phases ------------------------------------------------------------------------------------------------------

    def _warm_up(self) -> None:
        self._tell("warming up")
        outcome = self._load(WARM_UP)
        if not outcome.acknowledged:
            raise Permanent("service_refuses", f"The service takes no leads: {dict(outcome.refused)} by HTTP status.")
        self._drain()

    def _preload(self) -> dict[str, Any]:
        """Fill the database; its files and caches have then to be met once more before anything is counted."""
        if not self._plan.preload:
            return {"preloaded": 0}
        wanted, done, lock, start = self._plan.preload, 0, threading.Lock(), time.monotonic()

        def tell(added: int) -> None:
            nonlocal done
            with lock:
                done += added
                self._tell(f"preload: {done:,} of {wanted:,} leads")

        added = preload(self._service.url, wanted, tell)
        seconds = round(time.monotonic() - start, 1)
        self._warm_up()
        return {"preloaded": added, "preload_s": seconds}

    def _full_speed(self) -> dict[str, Any]:
        self._tell(f"full speed: {self._plan.leads:,} leads")
        machine, parts, commands = _busy_s(), self._meter.cpu_s(), self._meter.cpu_by_command_s("service")
        outcome = self._load(self._plan.leads)
        seconds = self._drain() - outcome.began
        commands = used(commands, self._meter.cpu_by_command_s("service"))
        parts = used(parts, self._meter.cpu_s())
        others = _busy_s() - machine - sum(parts.values()) - outcome.cpu_s
        self._meter.peak_mb()
        return {
            "accepted_per_s": round(outcome.accepted_per_s, 1),
            "completed_per_s": round(len(outcome.acknowledged) / seconds, 1),
            "full_speed_accept_ms": p50_p99(outcome.accept_ms()),
            "others_busy_cores": round(max(others, 0) / seconds, 2),
        } | _cpu_figures(len(outcome.acknowledged), outcome.cpu_s, parts, commands)

    def _steady(self, rate: float) -> dict[str, Any]:
        count = min(self._plan.leads, max(STEADY_LEADS, int(rate * STEADY_S)))
        self._tell(f"steady: {count:,} leads, {rate:,.0f} a second")
        outcome, ends = self._timed(count, rate) if self._has_commit_times else self._sampled(count, rate)
        due = outcome.due_by_receipt()
        way = [(end - due[receipt]) * 1000 for receipt, end in ends.items()]
        return {
            "accept_ms": p50_p99(outcome.accept_ms()),
            "way_ms": p50_p99(way),
            "way_leads": len(way),
            "rate": round(rate, 1),
        }

    def _timed(self, count: int, rate: float) -> tuple[Outcome, dict[str, float]]:
        """Read from the database when each lead was settled."""
        outcome = self._load(count, rate)
        self._drain()
        with self._engine.connect() as connection:
            return outcome, audit.settled_at(connection, outcome.acknowledged)

    def _sampled(self, count: int, rate: float) -> tuple[Outcome, dict[str, float]]:
        """Look at every tenth lead until it is settled: a few milliseconds too long, never too short."""
        load = self._make_load(count, rate)
        ends: dict[str, float] = {}
        over = threading.Event()
        thread = threading.Thread(target=self._look, args=(load.outcome, ends, over))
        thread.start()
        try:
            outcome = self._keep(load.run())
            self._drain()
        finally:
            over.set()
            thread.join()
        return outcome, ends

    def _look(self, outcome: Outcome, ends: dict[str, float], over: threading.Event) -> None:
        waiting: set[str] = set()
        places = list(range(0, len(outcome.due), _SAMPLE_OF))
        with self._watch.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not over.wait(_SAMPLE_EVERY_S) or waiting:
                answered = [place for place in places if outcome.receipts[place]]
                waiting |= {outcome.receipts[place] for place in answered}
                places = [place for place in places if not outcome.receipts[place]]
                found = audit.settled(connection, sorted(waiting)) if waiting else set()
                ends |= dict.fromkeys(found, time.time())
                waiting -= found
                if over.is_set() and not found:
                    return

    def _lone(self) -> dict[str, Any]:
        self._tell(f"lone: {LONE} leads, one after the other")
        with self._watch.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            ways = [self._lone_way_ms(connection) for _ in range(LONE)]
        return {"lone_ms": p50_p99(ways)}

    def _lone_way_ms(self, connection: Connection) -> float:
        """Send one lead and look until it is seen to be through: two milliseconds too long at most."""
        outcome = self._load(1)
        deadline = time.time() + _DRAIN_S
        while len(audit.settled(connection, outcome.acknowledged)) < len(outcome.receipts) and time.time() < deadline:
            time.sleep(_LONE_EVERY_S)
        return (time.time() - outcome.began) * 1000

    def _memory(self) -> dict[str, Any]:
        peaks = self._meter.peak_mb()
        return {"peak_rss_mb": round(sum(peaks.values())), "peak_rss_by_mb": _rounded(peaks, 0)}

    def _audit(self) -> dict[str, Any]:
        self._tell("audit")
        with self._engine.begin() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            found = audit.account(connection, self._acknowledged)
        return {
            "lost": found.lost,
            "doubled": sum(found.doubled_by.values()),
            "lost_by": found.lost_by,
            "doubled_by": found.doubled_by,
            "acknowledged": len(self._acknowledged),
            "refused": self._refused,
        }

    # -- means -------------------------------------------------------------------------------------------------------

    def _make_load(self, count: int, rate: float | None = None) -> Load:
        host, port = self._service.address
        requests = posts(self._people, count, f"{host}:{port}")
        self._people += count
        return Load(self._service.address, requests, connections=self._plan.connections, rate=rate)

    def _load(self, count: int, rate: float | None = None) -> Outcome:
        return self._keep(self._make_load(count, rate).run())

    def _keep(self, outcome: Outcome) -> Outcome:
        self._acknowledged += outcome.acknowledged
        self._refused += outcome.refused.total()
        return outcome

    def _drain(self) -> float:
        """Wait until nothing is due, or two minutes; return when that was seen. What is left is found lost."""
        deadline = time.time() + _DRAIN_S
        with self._watch.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while audit.is_due(connection) and time.time() < deadline:
                time.sleep(_LOOK_EVERY_S)
        return time.time()

    def _find_parts(self) -> tuple[dict[str, psutil.Process], list[str]]:
        """Return the processes whose use is counted, and the parts that run where we cannot see them."""
        parts: dict[str, psutil.Process | None] = {"service": self._service.root}
        with self._engine.connect() as connection:
            parts["database"] = postmaster(connection)
        if self._settings.broker_url:
            parts["broker"] = listener(self._settings.broker_url)
        return (
            {name: root for name, root in parts.items() if root},
            [name for name, root in parts.items() if not root],
        )

    @property
    def _has_commit_times(self) -> bool:
        return bool(self._server["track_commit_timestamp"] == "on")

    def _described(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "leads": self._plan.leads,
            "connections": self._plan.connections,
            "broker": urlsplit(settings.broker_url).scheme or "database",
            "database": "configured" if settings.database_url else "embedded",
            "chain": settings.chain,
            "batch_size": settings.batch_size,
            "worker_processes": settings.worker_processes,
            "worker_threads": settings.worker_threads,
            "postgresql": self._server,
            "way_measured_by": _BY_COMMIT if self._has_commit_times else _BY_SAMPLE,
            "not_counted": self._elsewhere,
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        }


def _cpu_figures(
    leads: int,
    generator_s: float,
    parts: Mapping[str, float],
    commands: Mapping[str, float],
) -> dict[str, Any]:
    """Return CPU seconds as milliseconds per lead: together, by part, by command of ours, and the load's own."""

    def per_lead(seconds: float) -> float:
        return round(seconds / max(leads, 1) * 1000, 4)

    return {
        "cpu_ms_per_lead": per_lead(sum(parts.values())),
        "cpu_ms_per_lead_by": {name: per_lead(seconds) for name, seconds in parts.items()},
        "service_cpu_ms_per_lead_by": {name: per_lead(seconds) for name, seconds in commands.items()},
        "generator_cpu_ms_per_lead": per_lead(generator_s),
    }


def _busy_s() -> float:
    """CPU seconds that the whole machine was busy since it started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def _rounded(values: dict[str, float], digits: int) -> dict[str, float]:
    return {name: round(value, digits) for name, value in values.items()}
