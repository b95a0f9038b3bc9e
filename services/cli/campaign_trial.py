"""
The trial of campaigns: many people enter one at once and are carried through it by workers, on a clock that is moved.

    where     the configured server, in a database made for it and dropped afterwards
    people    settled leads, made by the database
    enter     a version with a campaign is activated, and everybody who was there before is let in
    waits     everybody begins, and waits
    messages  a day later everybody is sent one way or the other, and a message is planned for each
    onward    every message is settled, and everybody goes on to the end

Nothing is sent. Workers are processes that do nothing else, one for each processor.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import structlog
from sqlalchemy import text

from schema.store import journeys
from schema.store.engine import make_engine
from schema.store.journeys import JourneyBook
from services.cli.measure import Meter, postmaster, used
from services.cli.staging import own_database, server
from services.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.queues import Queue

    from sqlalchemy import Engine

    from schema.settings import Settings

    Tell = Callable[[str], None]

JOURNEY: Final = """\
journey: bench
people: {ana: {email: ana@example.com}}
sources: {website: {kind: form}}
route: {pools: {everybody: {members: {ana: 1}}}}
lifecycle:
  lead: {to: {talk: opportunity}}
  opportunity: {to: {win: customer}}
  customer: {final: true}
mail: {sender: Us <us@example.com>, postal: Street 1}
templates: {hello: {subject: Hello, text: Hello}}
campaigns:
  warm_up:
    enter: [{when: 'state == "lead" && person.country in ["DE", "AT", "CH"]'}]
    exit: [{when: 'state == "opportunity"', reason: talks}, {event: reply, reason: replied}]
    goal: {when: 'state == "customer"', within: 90d}
    steps:
      - {name: first, wait: 1d}
      - {name: which, split: {one: 1, other: 1}}
      - {name: other, branch: [{when: 'person.country == "DE"', go: hello}]}
      - {name: one, branch: [{when: 'person.country == "AT"', go: hello}]}
      - {name: hello, send: hello}
      - {name: second, wait: 3d}
      - {name: done, exit: done}
"""
_START: Final = datetime(2026, 11, 1, 9, tzinfo=UTC)
_CHUNK: Final = 50_000
_EMPTY_HANDED: Final = 5
"""How often a worker finds nothing, since others have it all in hand, before it takes the stage to be over."""
_PEOPLE: Final = text("""
WITH made AS (
    INSERT INTO person (id, name, email, country, created_at, updated_at)
    SELECT gen_random_uuid(), 'Somebody ' || n, 'somebody' || n || '@firm' || n % 5000 || '.example',
           (ARRAY['DE', 'AT', 'CH'])[1 + n % 3], :now, :now
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n RETURNING id
)
INSERT INTO lead (id, person_id, journey, journey_name, state, open, source, channel, created_at, updated_at,
                  entered_at)
SELECT gen_random_uuid(), id, :version, 'bench', 'lead', true, 'website', 'form', :now, :now, :now FROM made
""")
_SETTLE: Final = text("""
WITH settled AS (
    UPDATE send SET state = 'sent', due_at = NULL, claimed_at = :now, settled_at = :now
    WHERE id = ANY(ARRAY(SELECT id FROM send WHERE state = 'planned' LIMIT :most)) RETURNING enrolment_id
)
UPDATE enrolment SET due_at = :now WHERE id IN (SELECT enrolment_id FROM settled)
""")

_COUNTED: Final = text("""
SELECT count(*) AS messages, count(DISTINCT person_id) AS people,
       (SELECT count(*) FROM enrolment WHERE outcome = 'exited' AND reason = 'done') AS ended
FROM send
""")


class _Nobody:
    """Nobody is hinted at: workers look by themselves."""

    def send(self, step: str, ids: Sequence[str]) -> None:
        """Do nothing."""


def run(settings: Settings, people: int, tell: Tell) -> dict[str, Any]:
    """Carry so many people through a campaign; return how fast that was. `tell` hears what is going on."""
    with tempfile.TemporaryDirectory(prefix="throughline-bench-") as folder, ExitStack() as stack:
        tell("preparing")
        _quiet()
        url = stack.enter_context(own_database(stack.enter_context(server(settings, Path(folder)))))
        migrate(url)
        engine = make_engine(url, name="bench")
        stack.callback(engine.dispose)
        load = os.getloadavg()[0]
        _make_people(engine, people, tell)
        meter = _meter(engine)
        before = meter.cpu_s()
        entered_s = _enter(url, people, tell)
        entered_cpu_s = sum(used(before, meter.cpu_s()).values())
        stages = [
            _stage(engine, url, name, _START + after, meter, tell, settle=settle)
            for name, after, settle in (
                ("waits", timedelta(minutes=1), False),
                ("messages", timedelta(days=1, minutes=1), False),
                ("onward", timedelta(days=1, minutes=2), True),
                ("end", timedelta(days=5), False),
            )
        ]
        return {
            "enrolments": people,
            "entered_per_s": round(people / entered_s, 1),
            "entered_cpu_ms": round(entered_cpu_s / people * 1000, 3),
            "stages": stages,
            **_counted(engine, people),
            "settings": {
                "workers": os.cpu_count(),
                "load_average": {"before": round(load, 2), "after": round(os.getloadavg()[0], 2)},
            },
        }


def _meter(engine: Engine) -> Meter:
    parts = {"workers": psutil.Process()}
    with engine.connect() as connection:
        if (server_process := postmaster(connection)) is not None:
            parts["database"] = server_process
    return Meter(parts)


def _make_people(engine: Engine, people: int, tell: Tell) -> None:
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        journey = journeys.store(connection, JOURNEY, _START)
    for first in range(1, people + 1, _CHUNK):
        tell(f"{first - 1:,} people")
        wanted = {"first": first, "last": min(first + _CHUNK - 1, people), "now": _START, "version": journey.version}
        with engine.begin() as connection:
            connection.execute(_PEOPLE, wanted)
    with engine.begin() as connection:
        journeys.activate(connection, journey, _START - timedelta(hours=1))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM (ANALYZE)"))


def _enter(url: str, people: int, tell: Tell) -> float:
    """Let everybody in who was there before; return how long it took, in seconds."""
    from workers.campaigns import looks

    engine, book = make_engine(url, name="bench look", hot=True), JourneyBook()
    with engine.begin() as connection:
        looks.begin(connection, book, _START)
    start, entered = time.monotonic(), 0
    looker = looks.Looker(engine, _Nobody(), book)
    while found := looker.hear(_START):
        entered += found
        tell(f"{entered:,} of {people:,} entered")
    engine.dispose()
    return time.monotonic() - start


def _stage(
    engine: Engine, url: str, name: str, now: datetime, meter: Meter, tell: Tell, *, settle: bool
) -> dict[str, Any]:
    """Have workers do all that is due at a moment; return how much that was and how fast, at first and at last."""
    if settle:
        tell("settling messages")
        _settle(engine, now)
    before, cpu_before = _taken(engine), meter.cpu_s()
    spawn = get_context("spawn")
    queue = spawn.Queue()
    workers = [spawn.Process(target=_work, args=(url, now, queue), daemon=True) for _ in range(os.cpu_count() or 1)]
    for worker in workers:
        worker.start()
    times = _listen(queue, len(workers), lambda done: tell(f"{name}: {done:,} looked at"))
    for worker in workers:
        worker.join()
    looked_at = sum(count for _, count in times)
    cpu_s = sum(used(cpu_before, meter.cpu_s()).values())
    seconds = times[-1][0] - times[0][0] if len(times) > 1 else 1.0
    return {
        "stage": name,
        "looked_at": looked_at,
        "steps": _taken(engine) - before,
        "per_s": round(looked_at / seconds, 1),
        "cpu_ms": round(cpu_s / max(looked_at, 1) * 1000, 3),
        "first_per_s": _rate(times[: len(times) // 5]),
        "last_per_s": _rate(times[-len(times) // 5 :]),
    }


def _work(url: str, now: datetime, queue: Queue[tuple[float, int] | None]) -> None:
    """Do what is due until nothing is."""
    _quiet()
    from workers.app import NURTURE, register_steps
    from workers.runtime import Runtime

    register_steps()
    engine = make_engine(url, name="bench worker", hot=True)
    runtime = Runtime(engine, _Nobody(), serves={NURTURE})
    empty_handed = 0
    queue.put((time.monotonic(), 0))
    while empty_handed < _EMPTY_HANDED:
        taken = runtime.hear(NURTURE, now=now)
        queue.put((time.monotonic(), taken))
        empty_handed = 0 if taken else empty_handed + 1
    engine.dispose()
    queue.put(None)


def _quiet() -> None:
    """Log only what went wrong."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def _listen(
    queue: Queue[tuple[float, int] | None], workers: int, tell: Callable[[int], None]
) -> list[tuple[float, int]]:
    """Return when how many rows were done, in order of time; begins when the first worker does."""
    times: list[tuple[float, int]] = []
    done = 0
    while workers:
        told = queue.get()
        if told is None:
            workers -= 1
        elif told[1] or not times:
            times.append(told)
            done += told[1]
            tell(done)
    return sorted(times)


def _rate(times: Sequence[tuple[float, int]]) -> float | None:
    if len(times) < 2:  # noqa: PLR2004 - a rate needs a time between two moments
        return None
    return round(sum(count for _, count in times[1:]) / (times[-1][0] - times[0][0]), 1)


def _settle(engine: Engine, now: datetime) -> None:
    changed = 1
    while changed:
        with engine.begin() as connection:
            changed = connection.execute(_SETTLE, {"now": now, "most": _CHUNK}).rowcount


def _taken(engine: Engine) -> int:
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        return int(connection.execute(text("SELECT count(*) FROM enrolment_step")).scalar_one())


def _counted(engine: Engine, people: int) -> dict[str, int]:
    """Return how many people were never sent the message, or did not come to the end, and how many got it twice."""
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        found = connection.execute(_COUNTED).one()
    return {"lost": people - min(found.people, found.ended), "doubled": found.messages - found.people}
