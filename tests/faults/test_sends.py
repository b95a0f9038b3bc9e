"""Processes die and freeze while mail goes out: nobody gets a message twice, and what nobody knows is listed."""

from __future__ import annotations

import random
import signal
from collections import Counter
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from schema.failpoints import SENDING
from tests.mailroom import Mailroom
from tests.rig import Rig, until
from tests.sink import Sink
from tests.spine import Spine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers import Postgres

BASE = "https://mail.example.com"
AT_ONCE = 8 * 3
"""Messages that one process may have in hand: those of a claim, on each of its threads."""


class Out:
    """A whole Throughline that sends to a mail server of the test."""

    def __init__(self, rig: Rig, sink: Sink, room: Mailroom) -> None:
        self.rig = rig
        self.sink = sink
        self.room = room
        self.leads = [room.lead() for _ in range(20)]
        self._round = 0

    def plan(self, count: int) -> list[str]:
        """Plan so many messages of service, which nothing holds back."""
        found: list[str] = []
        while len(found) < count:
            self._round += 1
            found += self.room.plan_all(self.leads, "orders", "receipt", entry_key=str(self._round))
        return found

    def over(self) -> bool:
        """Whether nothing is planned or in hand any more."""
        return not self.room.spine.rows("SELECT 1 FROM send WHERE state IN ('planned', 'sending') LIMIT 1")

    def check(self, planned: list[str]) -> Counter[str]:
        """Wait until all is over; each message was taken once, but for what is unknown: that was at most once."""
        until(self.over, "everything is sent or unknown")
        listed = self.rig.run("sends", "list", "--unknown", "--limit", "200", "--json")
        states = {row["id"]: row["state"] for row in self.room.spine.rows("SELECT id, state FROM send")}
        counted = self.sink.counted
        assert max(counted.values()) == 1
        assert set(counted) <= set(planned)
        assert {states[send] for send in planned} <= {"sent", "unknown"}
        assert {send for send in planned if states[send] == "sent"} <= set(counted)
        assert all(send in listed for send in planned if states[send] == "unknown")
        return Counter(states[send] for send in planned)


@pytest.fixture
def out(start: Callable[..., Rig], postgres: Postgres, tmp_path: Path) -> Iterator[Out]:
    with Sink() as sink:
        rig = start(smtp_url=sink.url, base_url=BASE, send_lease_s="4", smtp_rate="0", smtp_connections="2")
        with closing(Spine(postgres.url())) as spine:
            yield Out(rig, sink, Mailroom(spine, tmp_path, secret_key="a secret of this test"))


def test_a_worker_killed_at_any_point_around_a_message_sends_none_twice(out: Out) -> None:
    planned: list[str] = []
    for point in SENDING:
        armed = out.rig.arm(point, "kill")
        planned += out.plan(40)
        out.rig.was_reached(armed)
        before = out.check(planned)["unknown"]
        assert before <= AT_ONCE * (SENDING.index(point) + 1)

    assert out.check(planned)["sent"] >= len(planned) - AT_ONCE * len(SENDING)


def test_a_worker_frozen_longer_than_it_is_waited_for_sends_nothing_twice_when_it_wakes(out: Out) -> None:
    armed = out.rig.arm("deliver.before_mail_from", "stop")
    planned = out.plan(40)
    out.rig.was_reached(armed)
    frozen = until(lambda: [w for w in out.rig.children("worker") if w.status() == "stopped"], "a worker is frozen")
    until(out.over, "others have sent what they could")
    for worker in frozen:
        out.rig.kill(worker, signal.SIGCONT)

    nobody_knows = "SELECT 1 FROM send WHERE state = 'unknown'"
    until(lambda: not out.room.spine.rows(nobody_knows), "who woke has said what became of its messages")
    assert out.check(planned) == {"sent": len(planned)}


def test_kills_again_and_again_under_load_send_each_message_once_but_for_those_listed(out: Out) -> None:
    planned = out.plan(1500)
    choice = random.Random(20261122)  # noqa: S311 - the same kills each time
    kills = 0
    for done in range(1, 13):
        until(lambda done=done: len(out.sink.taken) >= done * 80 or out.over(), "messages go out")  # type: ignore[misc]
        victims = until(partial(out.rig.children, "worker"), "a worker runs again")
        kills += out.rig.kill(choice.choice(victims))

    found = out.check(planned)
    assert kills >= 10
    assert found["sent"] + found["unknown"] == len(planned)
    assert found["unknown"] <= kills * AT_ONCE
