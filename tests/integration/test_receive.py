"""The one way in: committed once or refused, whatever the senders, the neighbours and the database do."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from schema.store.engine import make_async_engine
from services.receive import (
    KEY_MEMORY,
    Arrival,
    KeyInUse,
    KeyReused,
    Overloaded,
    Receiver,
    Submission,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.spine import Spine

TRACE = "a" * 32


@dataclass
class Way:
    """A receiver, and the ids it was heard to speak of, commit by commit."""

    receiver: Receiver
    heard: list[list[str]] = field(default_factory=list)


@asynccontextmanager
async def open_way(url: str, *, max_waiting: int = 4000, patience_s: float = 5.0) -> AsyncIterator[Way]:
    engine = make_async_engine(url, name="intake", hot=True, pool_size=2)
    heard: list[list[str]] = []

    def hear(ids: Sequence[str]) -> None:
        heard.append(list(ids))

    try:
        async with Receiver(engine, max_waiting=max_waiting, on_received=hear, patience_s=patience_s) as receiver:
            yield Way(receiver, heard)
    finally:
        await engine.dispose()


def submission(*bodies: bytes, key: str = "", window_h: int = 24, **arrival: Any) -> Submission:  # noqa: ANN401
    arrivals = [
        Arrival(
            **({"source": "website", "channel": "form", "content_type": "application/json", "body": body} | arrival)
        )
        for body in bodies
    ]
    return Submission(arrivals, TRACE, key, timedelta(hours=window_h))


def stored(spine: Spine) -> list[str]:
    return [row["id"] for row in spine.rows("SELECT id FROM receipt ORDER BY received_at, id")]


class Wire:
    """A cable to the database that loses the reply to the next statement holding `mark`, and then everything."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self.mark: bytes | None = None
        self.lost = 0
        self._cables: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield self._url.set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)
        finally:
            server.close()
            await asyncio.gather(*self._cables)

    def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._cables.append(asyncio.create_task(self._carry(reader, writer)))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        folder = str(self._url.query["host"])
        port = self._url.query.get("port") or self._url.port or 5432
        answers, asks = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
        cut = asyncio.Event()
        back = asyncio.create_task(self._bring_back(answers, writer, cut))
        while data := await reader.read(65536):
            if self.mark is not None and self.mark in data:
                self.mark = None
                cut.set()
            asks.write(data)
        asks.close()
        await back
        for end in (asks, writer):
            await end.wait_closed()

    async def _bring_back(
        self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: asyncio.Event
    ) -> None:
        while data := await answers.read(65536):
            if cut.is_set():  # it is committed, and nobody will hear of it
                self.lost += 1
                break
            writer.write(data)
        writer.close()


def test_arrivals_that_come_together_share_a_commit(database_url: str, spine: Spine) -> None:
    async def scenario() -> None:
        async with open_way(database_url) as way:
            given = [submission(b"%d" % number) for number in range(200)]
            taken = await asyncio.gather(*map(way.receiver.receive, given))

        assert len(way.heard) <= 2
        assert sorted(one.receipt_ids[0] for one in taken) == sorted(stored(spine))
        assert {id_ for ids in way.heard for id_ in ids} == set(stored(spine))

    asyncio.run(scenario())


def test_two_hundred_of_the_same_at_once_are_one_arrival(database_url: str, spine: Spine) -> None:
    async def scenario() -> None:
        async with open_way(database_url) as way:
            taken = await asyncio.gather(*(way.receiver.receive(submission(b"{}")) for _ in range(200)))

        assert {one.receipt_ids[0] for one in taken} == set(stored(spine))
        assert len(stored(spine)) == 1

    asyncio.run(scenario())


def test_the_same_content_is_another_arrival_for_another_source(database_url: str, spine: Spine) -> None:
    async def scenario() -> None:
        async with open_way(database_url) as way:
            for source in ("website", "contact"):
                await way.receiver.receive(submission(b"{}", source=source))

        assert len(stored(spine)) == 2

    asyncio.run(scenario())


def test_content_is_remembered_for_its_window_and_then_new_again(database_url: str, spine: Spine) -> None:
    async def scenario() -> None:
        async with open_way(database_url) as way:
            first = await way.receiver.receive(submission(b"{}"))
            again = await way.receiver.receive(submission(b"{}"))
            spine.do("UPDATE submission SET expires_at = expires_at - interval '24 hours'")
            later = await way.receiver.receive(submission(b"{}"))

        assert (again.receipt_ids, again.replayed) == (first.receipt_ids, True)
        assert (later.replayed, stored(spine)) == (False, [*first.receipt_ids, *later.receipt_ids])

    asyncio.run(scenario())


def test_a_senders_key_is_remembered_longer_than_any_window(database_url: str, spine: Spine) -> None:
    async def scenario() -> None:
        async with open_way(database_url) as way:
            await way.receiver.receive(submission(b"{}", key="k1", window_h=1))

        (row,) = spine.rows("SELECT expires_at - received_at AS kept FROM submission")
        assert row["kept"] == KEY_MEMORY

    asyncio.run(scenario())


def test_a_key_answers_for_all_receipts_of_its_submission_and_for_no_other_content(
    database_url: str,
    spine: Spine,
) -> None:
    async def scenario() -> None:
        async with open_way(database_url) as way:
            first = await way.receiver.receive(submission(b"1", b"2", b"3", key="k1"))
            again = await way.receiver.receive(submission(b"1", b"2", b"3", key="k1"))
            with pytest.raises(KeyReused):
                await way.receiver.receive(submission(b"1", b"2", key="k1"))

        assert (again.receipt_ids, again.replayed) == (first.receipt_ids, True)
        assert len(stored(spine)) == 3

    asyncio.run(scenario())


def test_bodies_that_only_look_alike_when_joined_are_not_the_same(database_url: str, spine: Spine) -> None:
    async def scenario() -> None:
        async with open_way(database_url) as way:
            await way.receiver.receive(submission(b"ab", b"c", key="k1"))
            with pytest.raises(KeyReused):
                await way.receiver.receive(submission(b"a", b"bc", key="k1"))

        assert len(stored(spine)) == 2

    asyncio.run(scenario())


def test_while_a_submission_is_written_its_key_is_in_use_and_its_content_waits(
    database_url: str,
    spine: Spine,
) -> None:
    async def scenario() -> None:
        async with open_way(database_url) as way:
            with spine.engine.connect() as holder:
                holder.exec_driver_sql("LOCK TABLE submission")
                keyed = asyncio.create_task(way.receiver.receive(submission(b"1", key="k1")))
                plain = asyncio.create_task(way.receiver.receive(submission(b"2")))
                twin = asyncio.create_task(way.receiver.receive(submission(b"2")))
                await asyncio.wait([keyed, plain, twin], timeout=0)
                with pytest.raises(KeyInUse):
                    await way.receiver.receive(submission(b"1", key="k1"))
                with pytest.raises(KeyReused):
                    await way.receiver.receive(submission(b"other", key="k1"))
                assert way.receiver.waiting == 2
                holder.rollback()
            await asyncio.gather(keyed, plain, twin)

        assert twin.result().receipt_ids == plain.result().receipt_ids
        assert len(stored(spine)) == 2

    asyncio.run(scenario())


def test_more_than_may_wait_is_refused_and_what_waits_is_stored(database_url: str, spine: Spine) -> None:
    async def scenario() -> None:
        async with open_way(database_url, max_waiting=3) as way:
            with spine.engine.connect() as holder:
                holder.exec_driver_sql("LOCK TABLE submission")
                waiting = [asyncio.create_task(way.receiver.receive(submission(b"%d" % n))) for n in range(3)]
                await asyncio.wait(waiting, timeout=0)
                with pytest.raises(Overloaded):
                    await way.receiver.receive(submission(b"one more"))
                holder.rollback()
            taken = await asyncio.gather(*waiting)
            await way.receiver.receive(submission(b"one more"))

        assert {one.receipt_ids[0] for one in taken} < set(stored(spine))
        assert len(stored(spine)) == 4

    asyncio.run(scenario())


def test_one_arrival_that_the_database_refuses_leaves_its_neighbours_alone(database_url: str, spine: Spine) -> None:
    async def scenario() -> None:
        async with open_way(database_url) as way:
            given = [submission(b"1"), submission(b"2", content_type="a\0b"), submission(b"3")]
            one, refused, three = await asyncio.gather(*map(way.receiver.receive, given), return_exceptions=True)
            await way.receiver.receive(submission(b"4"))

        assert isinstance(refused, DBAPIError)
        assert isinstance(one, Submission)
        assert isinstance(three, Submission)
        assert len(stored(spine)) == 3

    asyncio.run(scenario())


def test_a_sender_who_hangs_up_takes_nothing_with_him(database_url: str, spine: Spine) -> None:
    async def scenario() -> None:
        async with open_way(database_url) as way:
            with spine.engine.connect() as holder:
                holder.exec_driver_sql("LOCK TABLE submission")
                gone = asyncio.create_task(way.receiver.receive(submission(b"1")))
                stays = asyncio.create_task(way.receiver.receive(submission(b"2")))
                await asyncio.wait([gone, stays], timeout=0)
                gone.cancel()
                holder.rollback()
            await stays
            again = await way.receiver.receive(submission(b"1"))

        assert again.replayed
        assert len(stored(spine)) == 2

    asyncio.run(scenario())


def test_a_stopping_process_first_writes_what_it_has_taken(database_url: str, spine: Spine) -> None:
    async def scenario() -> None:
        async with open_way(database_url) as way:
            tasks = [asyncio.create_task(way.receiver.receive(submission(b"%d" % number))) for number in range(20)]
            await asyncio.wait(tasks, timeout=0)
        await asyncio.gather(*tasks)

        assert len(stored(spine)) == 20

    asyncio.run(scenario())


def test_what_is_held_is_kept_but_not_due(database_url: str, spine: Spine) -> None:
    async def scenario() -> None:
        async with open_way(database_url) as way:
            await way.receiver.receive(submission(b"{}", held="form_disabled"))

        (receipt,) = spine.rows("SELECT status, reason, due_since FROM receipt")
        assert tuple(receipt.values()) == ("quarantined", "form_disabled", None)

    asyncio.run(scenario())


@pytest.mark.parametrize("key", ["", "k1"])
def test_what_was_held_does_not_answer_for_the_same_sent_again_later(
    database_url: str,
    spine: Spine,
    key: str,
) -> None:
    async def scenario() -> None:
        async with open_way(database_url) as way:
            await way.receiver.receive(submission(b"{}", key=key, held="form_disabled"))
            again = await way.receiver.receive(submission(b"{}", key=key))

        assert spine.receipt(again.receipt_ids[0])["status"] == "pending"
        assert len(stored(spine)) == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("key", ["", "k1"])
def test_a_commit_whose_reply_was_lost_is_answered_with_the_same_receipt(
    database_url: str,
    spine: Spine,
    key: str,
) -> None:
    async def scenario() -> None:
        wire = Wire(database_url)
        async with wire.laid() as url, open_way(url) as way:
            await way.receiver.receive(submission(b"before"))
            wire.mark = b"receipt_ids"
            taken = await way.receiver.receive(submission(b"1", b"2", key=key))
            replay = await way.receiver.receive(submission(b"1", b"2", key=key))

        assert wire.lost == 1
        assert not taken.replayed
        assert replay.receipt_ids == taken.receipt_ids
        assert set(taken.receipt_ids) < set(stored(spine))
        assert len(stored(spine)) == 3

    asyncio.run(scenario())


def test_a_database_that_does_not_answer_in_time_is_said_to_be_unavailable(database_url: str, spine: Spine) -> None:
    async def scenario() -> None:
        async with open_way(database_url, patience_s=0.1) as way:
            with spine.engine.connect() as holder:
                holder.exec_driver_sql("LOCK TABLE submission")
                with pytest.raises(Unavailable):
                    await way.receiver.receive(submission(b"1"))
                holder.rollback()
            taken = await way.receiver.receive(submission(b"1"))

        assert stored(spine) == taken.receipt_ids

    asyncio.run(scenario())
