"""The servers Throughline stands on die, forget everything, or are cut off: nothing acknowledged is lost or doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schema.messages import QUEUES
from tests.history import Verdict
from tests.proxy import Proxy
from tests.rig import Clients, Rig, until
from tests.servers import Postgres, RabbitMQ, Redis

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ARRIVALS = 300


def test_rabbitmq_killed_with_its_queues_lost_stops_no_lead(start: Callable[..., Rig]) -> None:
    with RabbitMQ() as rabbitmq:
        rig = start(broker_url=rabbitmq.url, events_url=rabbitmq.url)
        with Clients(rig) as clients:
            acknowledged = clients.start(ARRIVALS)
            rabbitmq.kill()
            until(acknowledged, "arrivals are acknowledged while the broker is away")
            rabbitmq.start()
            for name in QUEUES:
                rabbitmq.delete_queue(name)
            clients.post(5)

        assert rig.check(clients.acknowledged) == Verdict()


def test_redis_flushed_under_load_stops_no_lead(start: Callable[..., Rig]) -> None:
    with Redis() as redis:
        rig = start(broker_url=redis.url)
        with Clients(rig) as clients:
            acknowledged = clients.start(ARRIVALS)
            clients.wait_for(ARRIVALS // 3)
            redis.flush()
            until(acknowledged, "all arrivals are acknowledged")
            redis.kill()
            redis.start()
            clients.post(5)

        assert rig.check(clients.acknowledged) == Verdict()


def test_postgresql_crashed_under_load_loses_nothing_it_committed(
    start: Callable[..., Rig], postgres: Postgres
) -> None:
    rig = start()
    with Clients(rig) as clients:
        acknowledged = clients.start(ARRIVALS)
        for part in range(1, 4):
            clients.wait_for(ARRIVALS * part // 5)
            rig.engine.dispose()
            postgres.crash()
            postgres.start()
        until(acknowledged, "all arrivals are acknowledged")

    assert rig.check(clients.acknowledged) == Verdict()


@pytest.mark.parametrize(
    ("who", "after"),
    [("the intake", b'"content_type"'), ("a worker", b"COMMIT")],
    ids=["intake", "worker"],
)
def test_a_connection_cut_while_committing_doubles_nothing(
    start: Callable[..., Rig],
    postgres: Postgres,
    tmp_path: Path,
    who: str,
    after: bytes,
) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    with Proxy(folder, postgres.url()) as proxy:
        rig = start(database_url=proxy.url)
        with Clients(rig) as clients:
            for cuts in range(1, 4):
                proxy.cut(after)
                clients.post(20)
                proxy.was_cut(cuts, who)

            assert rig.check(clients.acknowledged) == Verdict()
