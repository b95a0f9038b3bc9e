"""
Run: two journeys over the same window of history, from one snapshot, and what is different.

Each world is one pass over history; with many leads each is a process of its own, sharing the snapshot and nothing
else. The transactions only read and take no number, so nobody waits for them, the feed of events neither.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
import threading
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import text

from schema.errors import Permanent
from schema.journey import load
from schema.store.engine import make_engine
from workers.models import ModelBook
from workers.simulate import history
from workers.simulate.compare import Comparison
from workers.simulate.course import Course
from workers.simulate.history import Window
from workers.simulate.load import Share
from workers.simulate.tally import Tally
from workers.simulate.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.connection import Connection as Pipe

    from sqlalchemy import Connection

    Tell = Callable[[int, int], None]

MANY: Final = 4_000
"""From so many leads on, a process of its own for each world is worth its start."""


class Summary(msgspec.Struct):
    """
    A world at its end: its figures and its people's work by name.

    `period_s` is how long a place of `Share.given` is, `foreign` how many older leads were left out because the journey
    does not know their states, `model` the version that predicted conversion, if any.
    """

    figures: dict[str, Any]
    people: dict[str, Share]
    period_s: int
    foreign: int
    model: str


class Result(msgspec.Struct):
    """Both worlds, `before` (the baseline) and `after` (the draft), and `changes` between them, lead by lead."""

    before: Summary
    after: Summary
    changes: dict[str, Any]


_Part = list[Course] | Summary
_encode: Final = msgspec.msgpack.encode
_decode: Final = msgspec.msgpack.Decoder(list[Course]).decode


def simulate(
    url: str,
    before: str,
    after: str,
    window: Window,
    *,
    examples: int = 5,
    tell: Tell = lambda _, __: None,
    many: int = MANY,
) -> Result:
    """
    Run the journey files `before` and `after` over the leads that came in on `before` within `window`.

    `examples` leads are told of each kind of difference. `tell` hears how many leads are through, both worlds
    together, and of how many. From `many` leads on there are two processes.

    :raises Permanent: `simulation_failed`, the other process ended
    """
    name = load(before).name
    comparison = Comparison(load(before), load(after), examples=examples)
    done = 0
    ends: list[Summary | None] = [None, None]
    with snapshot(url) as connection, seldom_collecting():
        number = history.count(connection, window)
        for side, part in _both(url, connection, (before, after), name, window, apart=number >= many):
            if isinstance(part, Summary):
                ends[side] = part
                continue
            for course in part:
                (comparison.after if side else comparison.before)(course)
            done += len(part)
            tell(done, 2 * number)
    was, becomes = ends
    if was is None or becomes is None:
        raise Permanent("simulation_failed", "A part of the simulation ended before its time.")
    return Result(was, becomes, comparison.changes())


def _both(
    url: str, connection: Connection, documents: tuple[str, str], name: str, window: Window, *, apart: bool
) -> Iterator[tuple[int, _Part]]:
    """What both worlds tell, each with its side: one after the other, or `apart` both at once."""
    if not apart:
        for side, document in enumerate(documents):
            yield from ((side, part) for part in _world(connection, document, name, window))
        return
    snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
    with _child(url, snapshot, documents[0], name, window) as parts:
        yield from merged(parts, _world(connection, documents[1], name, window))


def merged(parts: SimpleQueue[bytes], ours: Iterable[_Part]) -> Iterator[tuple[int, _Part]]:
    """What another process sends (side 0; an empty part is its end) and our own parts (side 1), whoever ends first."""
    ended = False
    for part in ours:
        yield 1, part
        while not ended and not parts.empty():
            sent = parts.get()
            ended = not sent
            yield from _received(sent)
    while not ended and (sent := parts.get()):
        yield from _received(sent)


def _received(sent: bytes) -> Iterator[tuple[int, _Part]]:
    """A part from the other process; its end, an empty one, is none."""
    if sent[:1] == b"c":
        yield 0, _decode(sent[1:])
    elif sent:
        yield 0, msgspec.msgpack.decode(sent[1:], type=Summary)


def _world(connection: Connection, document: str, name: str, window: Window) -> Iterator[_Part]:
    """One pass: courses as leads come to their end, and at last the summary."""
    journey = load(document)
    model = ModelBook().active(connection, name)
    people = history.staff(connection, journey, window)
    world = World(journey, window, model=model, staff=people, before=history.open_before(connection, window))
    tally = Tally(journey)

    def counted(courses: Iterator[Course]) -> list[Course]:
        found = list(courses)
        for course in found:
            tally.add(course)
        return found

    for chunk in history.chunks(connection, name, window):
        world.enter(chunk)
        # The next chunk may begin at the very moment at which this one ends.
        if chunk:
            yield counted(world.until(chunk[-1].arrivals[0].at))
    yield counted(world.until(None))
    period = int(world.load.period.total_seconds())
    yield Summary(tally.figures(), world.load.shares(), period, world.foreign, model.version if model else "")


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Look for circles of garbage seldom: hardly any are made here, and looking through all leads takes a sixth."""
    usual = gc.get_threshold()
    gc.set_threshold(1_000_000, 50, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


@contextmanager
def snapshot(url: str, snapshot: str = "") -> Iterator[Connection]:
    """A transaction that only reads, all of it as of one moment, however long it takes."""
    engine = make_engine(url, name="simulate", pool_size=1)
    try:
        with engine.connect() as plain:
            connection = plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            if snapshot:
                connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
                connection.exec_driver_sql(f"SET LOCAL {name} = 0")
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _child(url: str, snapshot: str, document: str, name: str, window: Window) -> Iterator[SimpleQueue[bytes]]:
    """Another process on the same snapshot; what it tells is read as soon as it comes, so that it never waits."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_in_child, args=(theirs, url, snapshot, document, name, window), daemon=True)
    process.start()
    theirs.close()
    parts: SimpleQueue[bytes] = SimpleQueue()
    reader = threading.Thread(target=_read, args=(ours, parts), daemon=True)
    reader.start()
    try:
        yield parts
    finally:
        process.terminate()
        process.join()
        reader.join()


def _read(pipe: Pipe, parts: SimpleQueue[bytes]) -> None:
    try:
        while True:
            parts.put(pipe.recv_bytes())
    except (EOFError, OSError):
        parts.put(b"")


def _in_child(pipe: Pipe, url: str, exported: str, document: str, name: str, window: Window) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us ends us
    with snapshot(url, exported) as connection, seldom_collecting():
        for part in _world(connection, document, name, window):
            pipe.send_bytes((b"s" if isinstance(part, Summary) else b"c") + _encode(part))
    pipe.close()
