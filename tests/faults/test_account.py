"""The account under fire: whatever is killed when, at no moment is anything unaccounted for."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from schema.store import account, clock
from tests.rig import Clients, Rig, until

if TYPE_CHECKING:
    from collections.abc import Callable

ARRIVALS = 600
KILLS = 8


def test_at_no_moment_is_anything_unaccounted_for_while_processes_are_killed(start: Callable[..., Rig]) -> None:
    rig = start()
    choice = random.Random(20261122)  # noqa: S311 - the same kills each time
    looks = 0

    with Clients(rig) as clients:
        acknowledged = clients.start(ARRIVALS)
        for done in range(KILLS):
            clients.wait_for(done * ARRIVALS // KILLS)
            rig.kill_one(choice.choice(["api", "worker", "ticker"]), choice)
            while len(clients.acknowledged) < (done + 1) * ARRIVALS // KILLS and not acknowledged():
                assert _found(rig) == []
                looks += 1
        until(acknowledged, "all arrivals are acknowledged", 120)
    until(rig.settled, "everything is settled")

    assert looks >= KILLS
    assert _found(rig) == []
    with rig.engine.begin() as connection:
        (source,) = account.account(connection, clock.now())["sources"]
    assert (source["received"], source["in_flight"]) == (ARRIVALS, 0)


def _found(rig: Rig) -> list[object]:
    with rig.engine.begin() as connection:
        return list(account.account(connection, clock.now())["found"])
