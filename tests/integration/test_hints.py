"""Sending hints: nobody waits, nobody fails, and nothing grows."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import dramatiq
import pytest
import sqlalchemy as sa

from schema.messages import decode
from schema.tables.hint import hint as hint_table
from workers.hints import Hints
from workers.postgres_broker import PostgresBroker

if TYPE_CHECKING:
    from collections.abc import Iterator

FLUSH_S = 30.0


@pytest.fixture
def broker(postgres_url: str) -> Iterator[PostgresBroker]:
    engine = sa.create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://", 1))
    hint_table.create(engine, checkfirst=True)
    engine.dispose()
    made = PostgresBroker(postgres_url)
    yield made
    made.close()


@pytest.fixture
def unreachable() -> Iterator[PostgresBroker]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        made = PostgresBroker(f"postgresql://nobody@127.0.0.1:{taken.getsockname()[1]}/none")
        yield made
        made.close()


def _sent(broker: PostgresBroker, step: str) -> list[dramatiq.Message[None]]:
    return [dramatiq.Message.decode(encoded) for encoded in broker.take(step, 10_000)]


def _ids(broker: PostgresBroker, step: str) -> list[list[str]]:
    return [decode(message.args[0]).ids for message in _sent(broker, step)]


def test_a_hint_is_a_standard_message_for_the_actor_named_as_its_queue(broker: PostgresBroker) -> None:
    hints = Hints(broker)
    hints.send("score", ["a", "b"])
    hints.close(FLUSH_S)
    (message,) = _sent(broker, "score")
    assert (message.queue_name, message.actor_name) == ("score", "score")
    assert (message.args, message.kwargs, message.options) == (({"v": 1, "ids": ["a", "b"]},), {}, {})


def test_ids_sent_in_a_hurry_leave_together_and_each_leaves_once(broker: PostgresBroker) -> None:
    hints = Hints(broker, per_message=100)
    expected = [str(number) for number in range(1000)]
    for id_ in expected:
        hints.send("score", [id_])
    hints.close(FLUSH_S)
    batches = _ids(broker, "score")
    assert sorted(int(id_) for batch in batches for id_ in batch) == list(range(1000))
    assert max(map(len, batches)) <= 100
    assert hints.sent == len(batches) < 1000


def test_each_step_hears_only_its_own_ids(broker: PostgresBroker) -> None:
    hints = Hints(broker)
    hints.send("score", ["a"])
    hints.send("route", ["b"])
    hints.close(FLUSH_S)
    assert (_ids(broker, "score"), _ids(broker, "route")) == ([["a"]], [["b"]])


def test_looking_again_is_a_hint_without_ids(broker: PostgresBroker) -> None:
    hints = Hints(broker)
    hints.send("sweep", [])
    hints.close(FLUSH_S)
    assert _ids(broker, "sweep") == [[]]


def test_looking_again_waits_once_however_often_it_was_asked_for(unreachable: PostgresBroker) -> None:
    hints = Hints(unreachable)
    for _ in range(5):
        hints.send("score", [])
    hints.close(FLUSH_S)
    assert hints.dropped == 1


def test_while_the_broker_is_away_nobody_fails_and_what_does_not_fit_is_counted(unreachable: PostgresBroker) -> None:
    hints = Hints(unreachable, limit=100)
    hints.send("score", [str(number) for number in range(1000)])
    assert hints.dropped == 900
    hints.close(FLUSH_S)
    assert (hints.sent, hints.dropped, hints.waiting()) == (0, 1000, 0)


def test_an_id_that_waits_already_is_not_added_again(unreachable: PostgresBroker) -> None:
    hints = Hints(unreachable)
    for _ in range(5):
        hints.send("score", ["a", "b"])
    hints.close(FLUSH_S)
    assert hints.dropped == 2


def test_a_hint_after_the_end_is_left_to_the_sweeper(broker: PostgresBroker) -> None:
    hints = Hints(broker)
    hints.close(FLUSH_S)
    hints.send("score", ["a"])
    assert (hints.dropped, _ids(broker, "score")) == (1, [])


def test_a_forked_child_sends_its_own_hints_and_not_its_parents(broker: PostgresBroker) -> None:
    hints = Hints(broker, pause_s=0.0)
    hints.send("score", ["parent"])
    if (child := os.fork()) == 0:
        hints.send("score", ["child"])
        hints.close(FLUSH_S)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    hints.close(FLUSH_S)
    assert sorted(_ids(broker, "score")) == [["child"], ["parent"]]
