"""Work whose hint was lost, or whose worker died, is found again; the ticker says when to look."""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
import structlog
from dramatiq import Message, Worker
from sqlalchemy import Engine, text

from schema import messages, tables
from schema.settings import Settings
from schema.store import rows
from schema.store.engine import make_engine
from schema.store.ids import new_id
from services.supervise import prepare
from services.ticker import run_ticker
from tests.servers import create_database, drop_database
from workers import sweep
from workers.app import SWEEP, build, register_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NOW: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PATIENCE_S: Final = 60.0


class Heard:
    """Where hints go: keeps them, and lets somebody wait for more."""

    def __init__(self) -> None:
        self.hints: list[tuple[str, list[str]]] = []
        self._came = threading.Condition()

    def send(self, step: str, ids: Sequence[str]) -> None:
        with self._came:
            self.hints.append((step, list(ids)))
            self._came.notify_all()

    def more(self, count: int = 10) -> bool:
        """Whether so many more come, in a patient while."""
        with self._came:
            wanted = len(self.hints) + count
            return self._came.wait_for(lambda: len(self.hints) >= wanted, PATIENCE_S)


@pytest.fixture(scope="module")
def database(postgres_server: str) -> Iterator[str]:
    name = f"sweep_{secrets.token_hex(4)}"
    url = create_database(postgres_server, name)
    prepare(url)
    yield url
    drop_database(postgres_server, name)


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = make_engine(database, name="sweep test", hot=True)
    register_steps()
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE receipt, submission, hint, lead, person, person_key, touchpoint"))
    yield engine
    engine.dispose()


def put_receipt(engine: Engine, due_since: datetime, body: bytes = b'{"email": "lee@lee.example"}') -> str:
    receipt = {
        "id": new_id(), "source": "website", "channel": "form", "content_type": "application/json",
        "body": rows.as_bytea(body), "trace": "0", "received_at": due_since, "due_since": due_since,
    }  # fmt: skip
    with engine.begin() as connection:
        rows.insert(connection, tables.receipt, [receipt])
    return str(receipt["id"])


def put_submission(engine: Engine, expires_at: datetime) -> None:
    row = {
        "source": "website", "key": rows.as_bytea(secrets.token_bytes(32)), "fingerprint": "", "received_at": NOW,
        "receipt_ids": [new_id()], "expires_at": expires_at,
    }  # fmt: skip
    with engine.begin() as connection:
        rows.insert(connection, tables.submission, [row])


def test_a_receipt_that_nobody_took_is_hinted_at_again_without_naming_it(engine: Engine) -> None:
    put_receipt(engine, NOW - timedelta(seconds=4))
    heard = Heard()
    assert sweep.Sweeper(engine, heard, Settings()).sweep(NOW) == ["identify"]
    assert heard.hints == [("identify", [])]


def test_what_has_just_become_due_is_left_to_its_own_hint(engine: Engine) -> None:
    put_receipt(engine, NOW - timedelta(seconds=2))
    heard = Heard()
    assert sweep.Sweeper(engine, heard, Settings()).sweep(NOW) == []
    assert heard.hints == []


def test_ticks_that_come_all_at_once_are_one_sweep(engine: Engine) -> None:
    put_receipt(engine, NOW)
    heard = Heard()
    sweeper = sweep.Sweeper(engine, heard, Settings(sweep_every_s=3600.0))
    for _ in range(5):
        sweeper.hear()
    assert heard.hints == [("identify", [])]


def test_submissions_are_forgotten_when_they_expire_and_not_before(engine: Engine) -> None:
    put_submission(engine, NOW - timedelta(seconds=1))
    put_submission(engine, NOW + timedelta(seconds=1))
    assert sweep.remove_expired(engine, NOW) == 1
    assert sweep.remove_expired(engine, NOW) == 0
    assert sweep.remove_expired(engine, NOW + timedelta(seconds=1)) == 1


def test_looking_for_what_is_due_reads_no_table_as_a_whole(engine: Engine) -> None:
    with engine.connect() as connection:
        for table, query in (("receipt", "SELECT 1 FROM receipt"), ("lead", "SELECT next_step FROM lead")):
            plan = connection.execute(text(f"EXPLAIN {query} WHERE due_since < now() ORDER BY due_since LIMIT 10"))
            assert f"ix_{table}_due" in "\n".join(plan.scalars())


def test_a_sweep_while_the_database_is_away_is_given_up_quietly() -> None:
    engine = make_engine("postgresql://nobody@127.0.0.1:1/none", name="sweep test")
    with structlog.testing.capture_logs() as logs:
        sweep.Sweeper(engine, Heard(), Settings()).hear()
    assert [line["event"] for line in logs] == ["sweep.postponed"]


# -- the ticker --------------------------------------------------------------------------------------------------------


def ticking(database: str, heard: Heard, stop: threading.Event) -> threading.Thread:
    def run() -> None:
        engine = make_engine(database, name="ticker test", pool_size=1)
        run_ticker(engine, Settings(sweep_every_s=0.01), heard.send, stop=stop)
        engine.dispose()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_of_two_tickers_one_ticks_and_the_other_takes_over(database: str) -> None:
    first, second = Heard(), Heard()
    stop_first, stop_second = threading.Event(), threading.Event()
    one = ticking(database, first, stop_first)
    assert first.more()
    two = ticking(database, second, stop_second)
    assert first.more(20)
    assert second.hints == []
    stop_first.set()
    one.join(PATIENCE_S)
    assert second.more()
    stop_second.set()
    two.join(PATIENCE_S)
    assert first.hints[0] == second.hints[0] == (SWEEP, [])


def test_a_ticker_outlives_the_end_of_its_database_session(database: str, engine: Engine) -> None:
    heard, stop = Heard(), threading.Event()
    thread = ticking(database, heard, stop)
    assert heard.more()
    end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE '%ticker test'"
    with engine.begin() as connection:
        assert connection.execute(text(end)).scalar_one() >= 1
    assert heard.more()
    stop.set()
    thread.join(PATIENCE_S)


# -- the actors --------------------------------------------------------------------------------------------------------


def test_there_is_an_actor_for_every_step_and_one_that_sweeps(database: str) -> None:
    broker, _, hints = build(Settings(), database)
    assert broker.get_declared_actors() == {*messages.STEPS, SWEEP}
    assert broker.get_declared_queues() == {*messages.STEPS, SWEEP}
    hints.close()
    broker.close()


@pytest.mark.parametrize(
    "garbage", [(), ("what",), ({"v": 99, "ids": []},), ({"v": 1, "ids": ["not an id"]},), ({"v": 1, "ids": [7]}, 2)]
)
def test_a_hint_nobody_can_read_is_dropped_and_the_next_one_is_heard(
    database: str, engine: Engine, garbage: tuple[Any, ...]
) -> None:
    receipt = put_receipt(engine, datetime.now(UTC))
    broker, _, hints = build(Settings(), database, queues={"identify"})
    worker = Worker(broker, worker_threads=1)
    worker.start()
    broker.enqueue(Message("identify", "identify", garbage, {}, {}))
    hints.send("identify", [receipt])
    broker.join("identify", timeout=int(PATIENCE_S * 1000))
    worker.join()
    worker.stop()
    hints.close()
    broker.close()
    with engine.connect() as connection:
        found = connection.execute(text("SELECT status FROM receipt WHERE id = :id"), {"id": receipt}).scalar_one()
    assert found == "processed"
