"""What a mail server's answer means, when a message is tried again, and how fast a domain is written to."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.store.ids import new_id
from schema.store.sends import MARKETING, SERVICE
from workers.decide.sending import Answer, again, bounce_of, judged
from workers.sending.pace import Pace

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("code", "text", "means"),
    [
        (550, "5.1.1 no such user", "hard"),
        (550, "no such user", "hard"),
        (551, "5.1.6 moved", "hard"),
        (553, "not here", "hard"),
        (550, "5.2.1 disabled", "hard"),
        (552, "5.2.2 mailbox full", "soft"),
        (550, "5.7.1 blocked by policy", ""),
        (554, "5.7.26 unauthenticated", ""),
        (554, "transaction failed", ""),
        (450, "4.2.0 greylisted", "soft"),
    ],
)
def test_only_what_is_about_the_address_holds_it_back(code: int, text: str, means: str) -> None:
    assert judged(Answer(code, text)) == means
    assert judged(Answer(code, text, "sender")) == ""


@pytest.mark.parametrize(
    ("status", "means"), [("5.1.1", "hard"), ("5.1.10", "hard"), ("4.4.1", "soft"), ("5.7.1", ""), ("", "soft")]
)
def test_a_report_says_it_by_its_status_and_one_that_says_nothing_is_soft(status: str, means: str) -> None:
    assert bounce_of(status) == means


def test_each_wait_is_longer_than_the_last_and_there_is_an_end() -> None:
    send = new_id()
    waits = [again(send, attempt, NOON) for attempt in range(1, 12)]
    assert waits[-1] is None
    found = [wait - NOON for wait in waits if wait]
    assert found[0] >= 5 * MINUTE
    assert found[:9] == sorted(found[:9])
    assert timedelta(days=3) < sum(found, timedelta()) < timedelta(days=6)


def test_messages_that_were_refused_together_do_not_come_back_together() -> None:
    assert len({again(new_id(), 1, NOON) for _ in range(50)}) > 30


@given(st.sampled_from([1.0, 3.0, 10.0, 50.0]), st.integers(min_value=1, max_value=150))
def test_a_domain_gets_no_more_in_any_second_than_it_may_and_hardly_less(rate: float, count: int) -> None:
    pace, waiting, sent = Pace(rate), [(NOON, number) for number in range(count)], []
    while waiting:
        now, number = heapq.heappop(waiting)
        at = pace.slot("example.com", now)
        if at == now:
            sent.append(now)
        else:
            heapq.heappush(waiting, (at, number))

    second = timedelta(seconds=1)
    assert max(sum(at <= other < at + second for other in sent) for at in sent) <= 2 * rate + 1
    assert sent[-1] - NOON <= timedelta(seconds=2 * count / rate + 2)
    assert pace.slot("other.example", NOON) == NOON


def test_a_domain_that_asks_to_come_back_is_left_alone_twice_as_long_each_time() -> None:
    pace = Pace(0)
    pace.pause("example.com", NOON)
    pace.pause("example.com", NOON)
    assert pace.slot("example.com", NOON) == NOON + MINUTE
    later = NOON + 2 * MINUTE
    assert pace.slot("example.com", later) == later
    pace.pause("example.com", later)
    assert pace.slot("example.com", later) == later + 2 * MINUTE
    pace.took("example.com")
    assert pace.slot("example.com", later + MINUTE) >= later + MINUTE


def test_service_mail_to_a_domain_waits_neither_for_the_bulk_to_it_nor_for_what_the_bulk_was_told() -> None:
    pace = Pace(2)
    bulk = [pace.slot("example.com", NOON) for _ in range(1_000)]
    assert bulk[-1] > NOON + 100 * MINUTE / 20
    pace.pause("example.com", NOON)

    assert pace.slot("example.com", NOON, SERVICE) == NOON
    pace.took("example.com", SERVICE)
    assert pace.slot("example.com", NOON + MINUTE / 2, MARKETING) > NOON + MINUTE / 2  # still told to come back later
    pace.pause("example.com", NOON, SERVICE)
    assert pace.slot("example.com", NOON, SERVICE) > NOON


@given(st.sampled_from([1.0, 3.0, 10.0]), st.lists(st.sampled_from([SERVICE, MARKETING]), min_size=1, max_size=150))
def test_service_mail_takes_its_room_from_the_bulk_and_not_beside_it(rate: float, lanes: list[int]) -> None:
    pace, waiting, sent = Pace(rate), [(NOON, number, lane) for number, lane in enumerate(lanes)], []
    while waiting:
        now, number, lane = heapq.heappop(waiting)
        at = pace.slot("example.com", now, lane)
        if at == now:
            sent.append((now, lane))
        else:
            heapq.heappush(waiting, (at, number, lane))

    service = [at for at, lane in sent if lane == SERVICE]
    assert not service or service[-1] - NOON <= timedelta(seconds=2 * len(service) / rate + 2)
    for first, (at, _) in enumerate(sent):
        for last, (until, _) in enumerate(sent[first:], first):
            assert last - first <= rate * (until - at).total_seconds() + 2 * rate + 2
