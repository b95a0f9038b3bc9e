"""Work whose hint was lost, or whose worker died, is found again; the ticker says when to look."""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
import structlog
from dramatiq import Message, Worker
from sqlalchemy import Engine, text

from schema import messages, tables
from schema.journey import default_journey
from schema.settings import Settings
from schema.store import rows
from schema.store.engine import make_engine
from schema.store.ids import new_id
from services.supervise import prepare
from services.ticker import run_ticker
from tests.servers import create_database, drop_database
from workers import sweep
from workers.app import DELIVER, FOLLOWUP, NURTURE, SWEEP, build, register_steps
from workers.kpi import KPI
from workers.runtime import Runtime

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
        connection.execute(text("TRUNCATE receipt, submission, hint, lead, person, person_key, touchpoint CASCADE"))
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
    assert heard.hints == [("identify", []), ("kpi", [])]


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


# -- leads that wait ---------------------------------------------------------------------------------------------------

DAY: Final = timedelta(days=1)


def put_waiting(engine: Engine, **waits: datetime) -> str:
    """A settled lead that waits; `wake_at` is the earliest, as the steps leave it."""
    row = {
        "id": new_id(), "person_id": new_id(), "journey": default_journey().version, "journey_name": "default",
        "state": "lead", "open": True, "source": "website", "channel": "form", "created_at": NOW, "updated_at": NOW,
        "waits": waits, "wake_at": min(waits.values()),
    }  # fmt: skip
    with engine.begin() as connection:
        rows.insert(connection, tables.person, [{"id": row["person_id"], "created_at": NOW, "updated_at": NOW}])
        rows.insert(connection, tables.lead, [row])
    return str(row["id"])


def found(engine: Engine, lead: str) -> dict[str, Any]:
    with engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM lead WHERE id = :id"), {"id": lead}).mappings().one()
        return dict(row)


def test_a_lead_wakes_when_its_wait_is_over_and_not_before(engine: Engine) -> None:
    lead = put_waiting(engine, advance=NOW)
    assert sweep.wake(engine, NOW - timedelta(microseconds=1)) == {}
    assert sweep.wake(engine, NOW) == {"advance": 1}
    woken = found(engine, lead)
    assert (woken["next_step"], woken["due_since"], woken["wake_at"]) == ("advance", NOW, None)
    assert sweep.wake(engine, NOW) == {}


def test_a_lead_whose_waits_are_all_over_begins_with_the_earliest_step(engine: Engine) -> None:
    lead = put_waiting(engine, advance=NOW - 3 * DAY, score=NOW - DAY, qualify=NOW + DAY)
    assert sweep.wake(engine, NOW) == {"score": 1}
    assert found(engine, lead)["next_step"] == "score"


def test_a_wait_that_was_missed_for_days_is_over_all_the_same(engine: Engine) -> None:
    lead = put_waiting(engine, advance=NOW - 3 * DAY)
    heard = Heard()
    assert sweep.Sweeper(engine, heard, Settings()).sweep(NOW) == ["advance"]
    assert heard.hints == [("advance", [])]
    assert found(engine, lead)["due_since"] == NOW


def test_a_lead_that_was_woken_and_never_hinted_at_is_found_by_the_next_sweep(engine: Engine) -> None:
    put_waiting(engine, advance=NOW)
    sweep.wake(engine, NOW)
    heard = Heard()
    assert sweep.Sweeper(engine, heard, Settings()).sweep(NOW + timedelta(seconds=4)) == ["advance"]
    assert heard.hints == [("advance", [])]


def test_a_wait_that_was_taken_back_wakes_nobody_and_the_next_one_is_kept(engine: Engine) -> None:
    none_left = put_waiting(engine, advance=NOW)
    one_left = put_waiting(engine, advance=NOW, score=NOW + DAY)
    with engine.begin() as connection:
        connection.execute(text("UPDATE lead SET waits = waits - 'advance'"))
    assert sweep.wake(engine, NOW) == {None: 2}
    assert [found(engine, lead)["due_since"] for lead in (none_left, one_left)] == [None, None]
    assert [found(engine, lead)["wake_at"] for lead in (none_left, one_left)] == [None, NOW + DAY]
    assert sweep.Sweeper(engine, Heard(), Settings()).sweep(NOW) == []


def test_a_lead_in_the_hands_of_a_worker_is_left_to_it(engine: Engine) -> None:
    lead = put_waiting(engine, advance=NOW)
    other = put_waiting(engine, advance=NOW)
    with engine.begin() as worker:
        worker.execute(text("SELECT FROM lead WHERE id = :id FOR UPDATE"), {"id": lead})
        assert sweep.wake(engine, NOW) == {"advance": 1}
        assert (found(engine, lead)["due_since"], found(engine, other)["due_since"]) == (None, NOW)
        worker.execute(text("UPDATE lead SET waits = '{}', wake_at = NULL WHERE id = :id"), {"id": lead})
    assert sweep.wake(engine, NOW) == {}


def test_two_sweepers_wake_each_lead_once_and_those_first_that_waited_longest(engine: Engine) -> None:
    leads = [put_waiting(engine, advance=NOW - timedelta(seconds=number)) for number in range(1_050)]
    with ThreadPoolExecutor(2) as sweepers:
        portions = [portion.total() for portion in sweepers.map(lambda _: sweep.wake(engine, NOW), range(2))]
    assert sum(portions) <= len(leads)
    assert max(portions) <= 1_000
    if min(portions) == 0:  # one was done before the other began, or locked all that the other looked at
        asleep = [number for number, lead in enumerate(leads) if found(engine, lead)["due_since"] is None]
        assert asleep == list(range(len(leads) - sum(portions)))
    while sweep.wake(engine, NOW):
        pass
    with engine.connect() as connection:
        due = connection.execute(text("SELECT count(*) FROM lead WHERE due_since = :now"), {"now": NOW}).scalar_one()
    assert due == len(leads)


def test_a_multitude_is_woken_only_as_fast_as_it_is_worked_off(engine: Engine) -> None:
    leads = [put_waiting(engine, advance=NOW - timedelta(seconds=number)) for number in range(1, 13)]
    sweeper = sweep.Sweeper(engine, Heard(), Settings(), portion=2, enough=5)

    def due() -> list[int]:
        return [number for number, lead in enumerate(leads) if found(engine, lead)["due_since"]]

    sweeper.sweep(NOW)
    assert due() == list(range(6, 12))
    sweeper.sweep(NOW)
    assert due() == list(range(4, 12)), "one portion, however much is due: nobody is kept waiting for ever"
    with engine.begin() as connection:
        connection.execute(text("UPDATE lead SET due_since = NULL, next_step = NULL WHERE due_since IS NOT NULL"))
    sweeper.sweep(NOW)
    assert due() == [0, 1, 2, 3]


def test_a_clock_that_jumps_ahead_and_back_does_no_harm(engine: Engine) -> None:
    lead = put_waiting(engine, advance=NOW + DAY)
    sweep.wake(engine, NOW + 2 * DAY)
    Runtime(engine, Heard(), serves={"advance"}).hear("advance", now=NOW)
    after = found(engine, lead)
    assert (after["state"], after["due_since"], after["next_step"]) == ("lead", None, None)
    assert after["wake_at"] == NOW + 30 * DAY, "its state's own time, decided anew"


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
    assert broker.get_declared_actors() == {*messages.STEPS, NURTURE, FOLLOWUP, KPI, DELIVER, SWEEP}
    assert broker.get_declared_queues() == {*messages.STEPS, NURTURE, FOLLOWUP, KPI, DELIVER, SWEEP}
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
