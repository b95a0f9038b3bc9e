"""SIGKILL and SIGSTOP, at named points and at random: nothing acknowledged is lost, doubled or stuck."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING

import pytest

from schema.failpoints import NAMES
from tests.history import Verdict
from tests.rig import Clients, Rig, until
from tests.servers import RabbitMQ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ARRIVALS = 2_000
KILLS = 45
IN_REACH_S = 40.0


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMQ]:
    with RabbitMQ() as server:
        yield server


def test_random_kills_under_load_lose_double_and_strand_nothing(
    start: Callable[..., Rig],
    rabbitmq: RabbitMQ,
) -> None:
    rig = start(broker_url=rabbitmq.url, events_url=rabbitmq.url)
    choice = random.Random(20261121)  # noqa: S311 - the same kills each time
    kills = {"api": 0, "worker": 0, "relay": 0, "ticker": 0}

    with Clients(rig) as clients:
        acknowledged = clients.start(ARRIVALS)
        for done in range(KILLS):
            clients.wait_for(done * ARRIVALS // KILLS)
            part = choice.choice([*kills, "worker", "worker"])
            rig.kill_one(part, choice)
            kills[part] += 1
        until(acknowledged, "all arrivals are acknowledged", 180)

    assert rig.check(clients.acknowledged) == Verdict()
    assert len(clients.acknowledged) == ARRIVALS
    assert sum(kills.values()) == KILLS
    assert min(kills.values()) > 0


@pytest.mark.parametrize("action", ["kill", "raise"])
def test_a_process_that_ends_at_a_named_point_leaves_nothing_half_done(
    start: Callable[..., Rig],
    rabbitmq: RabbitMQ,
    action: str,
) -> None:
    rig = start(broker_url=rabbitmq.url, events_url=rabbitmq.url)

    with Clients(rig) as clients:
        for point in NAMES:
            armed = rig.arm(point, action)
            clients.post(20)
            rig.was_reached(armed)
            clients.post(5)

            assert rig.check(clients.acknowledged) == Verdict(), point


def test_a_worker_frozen_longer_than_its_patience_changes_nothing_when_it_wakes(start: Callable[..., Rig]) -> None:
    rig = start()

    with Clients(rig) as clients:
        for point in [name for name in NAMES if name.startswith("worker.")]:
            armed = rig.arm(point, "stop")
            clients.post(20)
            rig.was_reached(armed)
            frozen = until(lambda: [w for w in rig.children("worker") if w.status() == "stopped"], "a worker is frozen")
            until(rig.settled, "others have done its work", IN_REACH_S)
            for worker in frozen:
                rig.kill(worker, signal.SIGCONT)
            clients.post(5)

            assert rig.check(clients.acknowledged) == Verdict(), point


def test_the_work_of_a_killed_worker_runs_again_within_ten_seconds(start: Callable[..., Rig]) -> None:
    rig = start()

    with Clients(rig) as clients:
        armed = rig.arm("worker.before_commit", "kill")
        clients.post(1)
        rig.was_reached(armed)
        until(rig.settled, "its work was done by another", patience_s=10)

    assert rig.check(clients.acknowledged) == Verdict()
