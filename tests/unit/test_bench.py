"""The benchmark's own laws: what it sends, when it sends it, and how it counts."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from schema.journey import default_journey
from services.cli.deciding import decide_us_per_lead, sample
from services.cli.load import Answer, Outcome, form, posts, read_answer, schedule
from services.cli.measure import p50_p99, percentile, used
from workers.decide.qualify import judge
from workers.decide.route import choose
from workers.decide.score import warmth

OK = b'HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{"receipt":"019aa000-0000-7000-8000-000000000001"}'


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (1, 1), (50, 50), (99, 99), (99.1, 100), (100, 100)])
def test_a_percentile_is_a_measured_value_that_so_many_do_not_exceed(percent: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


def test_one_measurement_is_all_percentiles() -> None:
    assert p50_p99([7.0]) == {"p50": 7.0, "p99": 7.0}


def test_no_measurement_is_no_figure() -> None:
    assert math.isnan(percentile([], 99))


def test_use_counts_a_process_that_started_meanwhile_from_nothing() -> None:
    assert used({"api": 1.0}, {"api": 1.5, "worker": 0.25}) == {"api": 0.5, "worker": 0.25}


def test_requests_are_due_evenly_at_the_rate_asked_for() -> None:
    due = schedule(1000.0, 1251, 1250.0)

    assert (due[0], due[-1]) == (1000.0, 1001.0)
    assert {round((later - sooner) * 1e6) for sooner, later in pairwise(due)} == {800}


def test_a_wait_counts_from_when_a_request_was_due_and_a_refused_one_does_not_count() -> None:
    outcome = Outcome(due=[10.0, 10.5, 11.0], answered=[10.25, 11.5, 12.0], receipts=["a", "b", ""])

    assert outcome.accept_ms() == [250.0, 1000.0]
    assert outcome.due_by_receipt() == {"a": 10.0, "b": 10.5}


def test_only_what_was_acknowledged_counts_as_accepted() -> None:
    outcome = Outcome(due=[0.0] * 3, answered=[1.0] * 3, receipts=["a", "", "c"], began=10.0, ended=14.0)

    assert outcome.acknowledged == ["a", "c"]
    assert outcome.accepted_per_s == 0.5


def test_every_number_is_another_person_of_some_company() -> None:
    people = [json.loads(form(number)) for number in range(5000)]

    assert len({person["email"] for person in people}) == 5000
    phones = [person["phone"] for person in people if "phone" in person]
    assert len(set(phones)) == len(phones) == 2500
    assert 1000 < len({person["email"].partition("@")[2] for person in people}) < 5000


def test_a_form_has_the_size_of_a_real_one() -> None:
    assert all(350 <= len(form(number)) <= 650 for number in range(0, 2_000_000, 9973))


def test_a_request_says_how_long_its_body_is() -> None:
    for number, post in enumerate(posts(100, 3, "127.0.0.1:8080"), start=100):
        head, _, body = post.partition(b"\r\n\r\n")
        assert body == form(number)
        assert head.endswith(b"Content-Length: %d" % len(body))


def test_an_answer_is_read_when_all_of_it_is_there() -> None:
    assert [read_answer(OK[:end]) for end in range(len(OK))] == [None] * len(OK)
    assert read_answer(OK) == Answer(200, "019aa000-0000-7000-8000-000000000001")


def test_a_refusal_is_an_answer_without_a_receipt() -> None:
    assert read_answer(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}") == Answer(503, "")


def test_deciding_is_measured_on_leads_as_different_as_real_ones() -> None:
    journey, now = default_journey(), datetime(2026, 1, 15, 12, tzinfo=UTC)
    leads = [sample(number) for number in range(120)]

    assert {len(facts.touchpoints) for facts in leads} == {1, 2, 3, 4, 5}
    assert {judge(facts, journey, now).outcome for facts in leads} == {"qualified", "incomplete"}
    assert {warmth(facts, journey, now).grade for facts in leads} >= {"A", "B", "C"}
    assert {choose(facts, journey, {}, now).pool for facts in leads} == {"dach", "everybody"}
    assert 1 < decide_us_per_lead(20) < 100_000
