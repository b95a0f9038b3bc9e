"""The same promises on each of the three brokers, and what only the PostgreSQL one promises."""

from __future__ import annotations

import queue
import select
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import dramatiq
import psycopg
import pytest
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict

from schema.errors import Permanent
from schema.messages import Hint, decode, encode
from schema.settings import Settings
from schema.tables.hint import hint as hint_table
from tests.servers import Postgres, RabbitMQ, Redis
from workers.broker import RabbitmqHints, RedisHints, make_broker
from workers.hints import Hints
from workers.postgres_broker import PostgresBroker
from workers.process import run_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 30
KINDS = ("postgres", "rabbitmq", "redis")


class Line:
    """A TCP line to a server that can be cut and mended; `url` leads through it."""

    def __init__(self, url: str) -> None:
        self._far = _address(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._calls: set[socket.socket] = set()
        self._up = True
        self._frozen: set[socket.socket] = set()
        self._closed = threading.Event()
        threading.Thread(target=self._answer, daemon=True).start()
        parts = urlsplit(url)
        login = parts.netloc.rpartition("@")[0]
        port = self._listener.getsockname()[1]
        self.url = urlunsplit(parts._replace(netloc=f"{login}{'@' if login else ''}127.0.0.1:{port}", query=""))

    def cut(self) -> None:
        self._up = False
        for call in tuple(self._calls):
            with suppress(OSError):
                call.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._up = True

    def freeze(self) -> None:
        """From now on nothing passes on the calls there are, and nobody is told; a new call goes through."""
        self._frozen = set(self._calls)

    def close(self) -> None:
        self._closed.set()
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _answer(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, suppress(OSError), _dial(self._far) as far:
            self._calls |= {near, far}
            if self._up:
                self._pump(near, far)
            self._calls -= {near, far}

    def _pump(self, near: socket.socket, far: socket.socket) -> None:
        while True:
            for ready in select.select([near, far], [], [])[0]:
                data = ready.recv(65536)
                if ready in self._frozen:
                    self._closed.wait()
                if not data:
                    return
                (far if ready is near else near).sendall(data)


def _address(url: str) -> tuple[str, int]:
    if url.startswith("postgres"):
        info = conninfo_to_dict(_plain(url))
        return str(info["host"]), int(info.get("port") or 5432)
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 0)


def _dial(address: tuple[str, int]) -> socket.socket:
    host, port = address
    if not host.startswith("/"):
        return socket.create_connection(address)
    line = socket.socket(socket.AF_UNIX)
    line.connect(f"{host}/.s.PGSQL.{port}")
    return line


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def _settings(kind: str, url: str) -> Settings:
    return Settings(database_url=url) if kind == "postgres" else Settings(database_url="", broker_url=url)


def _create_table(url: str) -> None:
    engine = sa.create_engine(_plain(url).replace("postgresql://", "postgresql+psycopg://", 1))
    hint_table.create(engine, checkfirst=True)
    engine.dispose()


def _message(*ids: str) -> dramatiq.Message[None]:
    wire = encode(Hint(ids=list(ids)))
    return dramatiq.Message(queue_name="score", actor_name="score", args=(wire,), kwargs={}, options={})


class Worker:
    """A worker as `run_worker` runs it, in a thread, whose `score` actor is `act`."""

    def __init__(self, broker: dramatiq.Broker, act: Callable[[Hint], None]) -> None:
        self.exit_code: int | None = None
        self.stop = threading.Event()
        self._broker = broker
        dramatiq.actor(actor_name="score", queue_name="score", broker=broker)(lambda wire: act(decode(wire)))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.exit_code = run_worker(self._broker, {"score"}, 1, stop=self.stop)

    def finish(self) -> int | None:
        self.stop.set()
        self._thread.join(PATIENCE_S)
        return self.exit_code


class Bench:
    """One broker under test: `open` another client of it, `start` a worker, read what was `heard`."""

    def __init__(self, kind: str, url: str, stack: ExitStack) -> None:
        self.kind = kind
        self.url = url
        self.heard: queue.Queue[list[str]] = queue.Queue()
        self._stack = stack

    def open(self, url: str = "") -> dramatiq.Broker:
        broker = make_broker(_settings(self.kind, url or self.url))
        self._stack.callback(broker.close)
        broker.declare_queue("score")
        return broker

    def line(self) -> Line:
        line = Line(self.url)
        self._stack.callback(line.close)
        return line

    def start(self, broker: dramatiq.Broker, act: Callable[[Hint], None] | None = None) -> Worker:
        worker = Worker(broker, act or (lambda hint: self.heard.put(hint.ids)))
        self._stack.callback(worker.finish)
        return worker

    def hints(self, broker: dramatiq.Broker, *, patience_s: float = 10.0) -> Hints:
        hints = Hints(broker, patience_s=patience_s)
        self._stack.callback(hints.close)
        return hints

    def next_heard(self) -> list[str]:
        return self.heard.get(timeout=PATIENCE_S)

    def hears(self, ids: list[str]) -> bool:
        """Whether these ids are heard, perhaps after others that come again because their acknowledgement was lost."""
        return ids in iter(self.next_heard, None)

    def hears_while_others_send(self, id_: str, hints: Hints) -> bool:
        """Whether this id is heard while hints go on; a sender that is stuck is found by the next who sends."""
        for _ in range(PATIENCE_S * 10):
            hints.send("score", ["other"])
            with suppress(queue.Empty):
                if id_ in self.heard.get(timeout=0.1):
                    return True
        return False


@contextmanager
def _bench(kind: str, url: str) -> Iterator[Bench]:
    if kind == "postgres":
        _create_table(url)
    with ExitStack() as stack:
        bench = Bench(kind, url, stack)
        bench.open().flush("score")
        yield bench


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with _bench(request.param, request.getfixturevalue(f"{request.param}_url")) as made:
        yield made


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Bench]:
    with _bench("postgres", postgres_url) as made:
        yield made


def test_a_hint_sent_is_heard(bench: Bench) -> None:
    bench.start(bench.open())
    bench.hints(bench.open()).send("score", ["a", "b"])
    assert bench.next_heard() == ["a", "b"]


def test_a_hint_sent_before_any_worker_runs_is_heard(bench: Bench) -> None:
    bench.open().enqueue(_message("a"))
    bench.start(bench.open())
    assert bench.next_heard() == ["a"]


def test_a_hint_heard_twice_is_acknowledged_twice_and_leaves_nothing_behind(bench: Bench) -> None:
    bench.start(bench.open())
    sender = bench.open()
    message = _message("a")
    sender.enqueue(message)
    sender.enqueue(message)
    assert [bench.next_heard(), bench.next_heard()] == [["a"], ["a"]]
    sender.join("score", timeout=PATIENCE_S * 1000)


def test_an_actor_that_fails_does_not_keep_the_next_hint_from_being_heard(bench: Bench) -> None:
    def act(hint: Hint) -> None:
        bench.heard.put(hint.ids)
        if hint.ids == ["bad"]:
            raise RuntimeError

    bench.start(bench.open(), act)
    sender = bench.open()
    for id_ in ("bad", "good"):
        sender.enqueue(_message(id_))
    assert {bench.next_heard()[0], bench.next_heard()[0]} == {"bad", "good"}
    sender.join("score", timeout=PATIENCE_S * 1000)


def test_a_hint_sent_while_the_broker_is_away_is_heard_when_it_is_back(bench: Bench) -> None:
    line = bench.line()
    bench.start(bench.open(line.url))
    hints = bench.hints(bench.open(line.url))
    hints.send("score", ["before"])
    assert bench.next_heard() == ["before"]
    line.cut()
    hints.send("score", ["meanwhile"])
    line.mend()
    assert bench.hears(["meanwhile"])


@pytest.mark.parametrize("server", [Postgres, RabbitMQ, Redis])
def test_a_worker_hears_the_next_hint_after_its_broker_was_killed_and_started_again(
    server: type[Postgres | RabbitMQ | Redis],
) -> None:
    with ExitStack() as started:
        own = server()
        started.callback(own.stop)
        url = own.start()
        bench = started.enter_context(_bench(server.__name__.lower(), url))
        bench.start(bench.open())
        hints = bench.hints(bench.open(), patience_s=2.0)
        hints.send("score", ["before"])
        assert bench.hears(["before"])
        own.crash() if isinstance(own, Postgres) else own.kill()
        hints.send("score", ["meanwhile"])
        own.start()
        assert bench.hears_while_others_send("meanwhile", hints)


def test_a_hint_sent_after_the_queue_was_lost_is_heard_without_restarting_the_worker(bench: Bench) -> None:
    bench.start(bench.open())
    sender = bench.open()
    sender.enqueue(_message("before"))
    assert bench.next_heard() == ["before"]
    _lose_queue(sender)
    bench.hints(bench.open()).send("score", ["after"])
    assert bench.hears(["after"])


def _lose_queue(broker: dramatiq.Broker) -> None:
    if isinstance(broker, RabbitmqHints):
        broker.channel.queue_delete("score")
    elif isinstance(broker, RedisHints):
        broker.client.flushdb()
        broker.client.script_flush()
    else:
        broker.flush_all()


def test_a_worker_that_stops_finishes_its_batch_and_leaves_the_rest_to_others(bench: Bench) -> None:
    begun, release = threading.Event(), threading.Event()

    def act(hint: Hint) -> None:
        begun.set()
        release.wait(PATIENCE_S)
        bench.heard.put(hint.ids)

    sender = bench.open()
    first = bench.start(bench.open(), act)
    for number in range(6):
        sender.enqueue(_message(str(number)))
    assert begun.wait(PATIENCE_S)
    first.stop.set()
    release.set()
    assert first.finish() == 0
    bench.start(bench.open())
    assert {bench.next_heard()[0] for _ in range(6)} == set("012345")


def test_a_worker_process_ends_in_order_when_it_is_told_to(postgres: Bench) -> None:
    program = f"""
import threading, dramatiq
from schema.settings import Settings
from workers.broker import make_broker
from workers.process import run_worker
broker = make_broker(Settings(database_url={postgres.url!r}, broker_url=""))
dramatiq.actor(actor_name="score", queue_name="score", broker=broker)(lambda wire: print("heard", flush=True))
code = run_worker(broker, {{"score"}}, 1, stop=threading.Event())
broker.close()
print("ended", flush=True)
raise SystemExit(code)
"""
    postgres.open().enqueue(_message("a"))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("heard" in line for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert (process.returncode, "ended" in rest) == (0, True)


@pytest.mark.parametrize("bench", ["rabbitmq"], indirect=True)
def test_a_hint_the_broker_never_answered_is_sent_again_on_another_connection(bench: Bench) -> None:
    line = bench.line()
    bench.start(bench.open())
    hints = bench.hints(bench.open(line.url), patience_s=0.2)
    hints.send("score", ["before"])
    assert bench.hears(["before"])
    line.freeze()
    hints.send("score", ["unanswered"])
    assert bench.hears_while_others_send("unanswered", hints)


@pytest.mark.parametrize("bench", ["rabbitmq", "redis"], indirect=True)
def test_a_delay_is_refused_where_nobody_would_hear_it(bench: Bench) -> None:
    with pytest.raises(Permanent) as refused:
        bench.open().enqueue(_message("a"), delay=1)
    assert refused.value.code == "hint_delay_refused"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (Settings(database_url="", broker_url="kafka://localhost"), "broker_url_unknown"),
        (Settings(database_url="", broker_url=""), "database_url_missing"),
    ],
)
def test_a_broker_that_cannot_be_had_is_named_at_the_start(settings: Settings, code: str) -> None:
    with pytest.raises(Permanent) as refused:
        make_broker(settings)
    assert refused.value.code == code


def test_a_delayed_hint_stays_in_the_database_until_it_is_due(postgres: Bench) -> None:
    broker = _postgres_broker(postgres)
    broker.enqueue(_message("later"), delay=3_600_000)
    broker.enqueue(_message("now"))
    assert [_ids(taken) for taken in broker.take("score", 10)] == [["now"]]
    assert _rows(postgres.url) == 1


def test_a_delayed_hint_is_heard_when_it_is_due(postgres: Bench) -> None:
    postgres.start(postgres.open())
    postgres.open().enqueue(_message("a"), delay=50)
    assert postgres.next_heard() == ["a"]


def test_a_hint_whose_wake_up_was_lost_is_heard(postgres: Bench) -> None:
    postgres.start(postgres.open())
    _execute(postgres.url, "INSERT INTO hint (queue, message) VALUES ('score', %s)", _message("a").encode())
    assert postgres.next_heard() == ["a"]


def test_a_message_nobody_can_read_is_dropped_and_the_next_is_heard(postgres: Bench) -> None:
    _execute(postgres.url, "INSERT INTO hint (queue, message) VALUES ('score', %s)", b"\xff")
    postgres.start(postgres.open())
    postgres.open().enqueue(_message("a"))
    assert postgres.next_heard() == ["a"]


def test_a_worker_whose_connections_were_ended_hears_the_next_hint(postgres: Bench) -> None:
    postgres.start(postgres.open())
    sender = postgres.open()
    sender.enqueue(_message("before"))
    assert postgres.next_heard() == ["before"]
    _execute(
        postgres.url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    sender.enqueue(_message("after"))
    assert postgres.hears(["after"])


def test_two_who_take_at_once_never_take_the_same_hint(postgres: Bench) -> None:
    sender = _postgres_broker(postgres)
    sender.put("score", [_message(str(number)).encode() for number in range(200)])

    def take_all(broker: PostgresBroker) -> list[str]:
        return [_ids(taken)[0] for batch in iter(lambda: broker.take("score", 3), []) for taken in batch]

    brokers = [_postgres_broker(postgres) for _ in range(4)]
    with ThreadPoolExecutor(len(brokers)) as pool:
        taken = [id_ for ids in pool.map(take_all, brokers) for id_ in ids]
    assert sorted(map(int, taken)) == list(range(200))


def test_what_was_heard_is_no_longer_in_the_table(postgres: Bench) -> None:
    worker_broker = postgres.open()
    postgres.start(worker_broker)
    for number in range(20):
        worker_broker.enqueue(_message(str(number)))
    worker_broker.join("score", timeout=PATIENCE_S * 1000)
    assert _rows(postgres.url) == 0
    assert postgres.heard.qsize() == 20


def _postgres_broker(bench: Bench) -> PostgresBroker:
    broker = bench.open()
    assert isinstance(broker, PostgresBroker)
    return broker


def _ids(encoded: bytes) -> list[str]:
    return decode(dramatiq.Message.decode(encoded).args[0]).ids


def _rows(url: str) -> int:
    with psycopg.connect(_plain(url)) as connection:
        row = connection.execute("SELECT count(*) FROM hint").fetchone()
    return int(row[0]) if row else 0


def _execute(url: str, statement: str, *parameters: object) -> None:
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        connection.execute(statement, parameters or None)
