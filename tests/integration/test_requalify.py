"""A no is not for ever, if the journey says so: who writes again, who is looked at again later, and who never is."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.again import AGAIN
from tests.spine import Spine, prepare
from workers.moves import move_lead
from workers.sweep import wake

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = timedelta(days=1)
SHOES = {"email": "ana@kiln.example", "interests": "shoes", "employees": 80}
CRM = {"email": "ana@kiln.example", "interests": "crm"}
SMALL = {"email": "ana@kiln.example", "interests": "crm", "employees": 5}
RIVAL = {"email": "spy@rival.example", "interests": "crm", "employees": 80}


@pytest.fixture
def spine(postgres_url: str) -> Iterator[Spine]:
    """A database whose journey looks again at who was told no."""
    prepare(postgres_url, AGAIN)
    spine = Spine(postgres_url)
    yield spine
    spine.close()


def arrives(spine: Spine, payload: dict[str, Any]) -> dict[str, Any]:
    """Let somebody write, and return their lead."""
    receipt = spine.arrives(payload)
    spine.run()
    return spine.lead_of(receipt)


def woken(spine: Spine, time: timedelta) -> dict[str, Any]:
    """Let time pass and what waits for it wake, and return the only lead."""
    spine.passes(time)
    for step in wake(spine.engine, spine.now):
        spine.run(step=str(step))
    [lead] = spine.rows("SELECT * FROM lead")
    return lead


def ways(spine: Spine) -> list[tuple[str, str]]:
    return [(row["name"], row["actor"]) for row in spine.rows("SELECT name, actor FROM transition ORDER BY number")]


def test_news_that_take_the_reason_away_open_the_same_lead_and_it_goes_the_whole_way(spine: Spine) -> None:
    first = arrives(spine, SHOES)
    assert (first["state"], first["open"], first["owner"]) == ("out", False, None)
    spine.passes(DAY)
    receipt = spine.arrives(CRM)

    spine.run()

    lead = spine.lead_of(receipt)
    assert lead["id"] == first["id"]
    assert spine.receipt(receipt)["status"] == "merged"
    assert (lead["state"], lead["open"], lead["recycled"], lead["owner"]) == ("chance", True, 1, "ana")
    assert (lead["next_step"], lead["due_since"]) == (None, None)
    assert ways(spine) == [("disqualify", "journey"), ("requalify", "journey"), ("qualify", "journey")]
    steps = [row["step"] for row in spine.rows("SELECT step FROM decision ORDER BY number")]
    assert steps[-6:] == ["identify", "qualify", "advance", "score", "route", "advance"]


def test_news_that_change_nothing_leave_a_lead_closed_and_say_so(spine: Spine) -> None:
    first = arrives(spine, SHOES)
    spine.passes(DAY)

    lead = arrives(spine, SHOES | {"message": "Me again"})

    assert (lead["id"], lead["state"], lead["recycled"]) == (first["id"], "out", 0)
    [told] = spine.rows("SELECT explanation FROM decision WHERE step = 'qualify' ORDER BY number DESC LIMIT 1")
    assert told["explanation"]["look"] == "news"
    assert spine.rows("SELECT count(*) AS n FROM touchpoint") == [{"n": 2}]


def test_a_competitor_who_writes_again_gets_no_new_lead_and_nobody_hears_of_it_twice(spine: Spine) -> None:
    first = arrives(spine, RIVAL)
    spine.passes(DAY)

    lead = arrives(spine, RIVAL | {"message": "Me again"})

    assert (lead["id"], lead["state"], lead["open"]) == (first["id"], "out", False)
    [told] = spine.rows(
        "SELECT outcome, reason, explanation ->> 'look' AS look FROM decision WHERE step = 'qualify' "
        "ORDER BY number DESC LIMIT 1"
    )
    assert told == {"outcome": "disqualified", "reason": "competitor", "look": "never"}
    types = [row["type"] for row in spine.rows("SELECT type FROM event ORDER BY sequence")]
    assert types == ["lead.created", "lead.disqualified", "lead.transitioned", "lead.touched"]
    assert lead["wake_at"] is None


def test_a_lead_is_reopened_only_as_often_as_the_journey_allows(spine: Spine) -> None:
    arrives(spine, SHOES)
    spine.do("UPDATE lead SET recycled = 2")
    spine.passes(DAY)

    lead = arrives(spine, CRM)

    assert (lead["state"], lead["recycled"]) == ("out", 2)


def test_after_a_while_who_was_told_no_is_asked_anew_and_waits_for_the_answer(spine: Spine) -> None:
    first = arrives(spine, SMALL)
    assert first["waits"].keys() == {"qualify"}
    assert first["wake_at"] == spine.now + 90 * DAY

    before = woken(spine, 89 * DAY)
    assert (before["state"], before["decisions"]) == ("out", first["decisions"])
    lead = woken(spine, DAY)

    assert (lead["state"], lead["open"], lead["recycled"], lead["owner"]) == ("lead", True, 1, "ana")
    assert [ask["criterion"] for ask in lead["qualification"]["ask"]] == ["big"]
    assert lead["waits"]["qualify"] == (spine.now + 14 * DAY).isoformat().replace("+00:00", "Z")
    out = woken(spine, 14 * DAY)
    assert (out["state"], out["qualification"]["reason"]) == ("out", "too_small")


def test_a_wait_that_nobody_looked_at_for_years_is_caught_up_with(spine: Spine) -> None:
    arrives(spine, SMALL)

    lead = woken(spine, 1000 * DAY)

    assert (lead["state"], lead["recycled"]) == ("lead", 1)


def test_news_while_a_lead_waits_for_its_second_look_only_attach(spine: Spine) -> None:
    first = arrives(spine, SMALL)
    spine.passes(DAY)

    lead = arrives(spine, SMALL | {"message": "Me again"})

    assert (lead["id"], lead["state"]) == (first["id"], "out")
    assert lead["wake_at"] == first["wake_at"]


def test_an_unanswered_question_ends_in_a_no_at_its_time(spine: Spine) -> None:
    asked = arrives(spine, CRM)
    assert (asked["state"], asked["qualification"]["outcome"]) == ("lead", "incomplete")
    spine.passes(3 * DAY)
    arrives(spine, CRM | {"message": "Any news?"})

    lead = woken(spine, 11 * DAY)

    assert (lead["state"], lead["open"], lead["qualification"]["reason"]) == ("out", False, "too_small")
    assert spine.rows("SELECT reason FROM transition") == [{"reason": "too_small"}]


def test_fifty_arrivals_at_once_of_somebody_told_no_are_one_reopened_lead_with_all_of_them(spine: Spine) -> None:
    first = arrives(spine, SHOES)
    spine.passes(DAY)
    receipts = [spine.arrives(CRM | {"message": str(number)}) for number in range(50)]
    runtimes = [spine.runtime(batch_size=3) for _ in range(4)]

    def work(runtime: Any) -> None:  # noqa: ANN401
        for step in ("identify", "qualify", "advance", "score", "route", "advance") * 5:
            runtime.hear(step, now=spine.now)

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, runtimes))
    spine.run()
    for step in ("qualify", "score", "route", "advance"):
        spine.run(step=step)

    assert Counter(spine.receipt(receipt)["status"] for receipt in receipts) == {"merged": 50}
    [lead] = spine.rows("SELECT * FROM lead")
    assert (lead["id"], lead["state"], lead["recycled"], lead["due_since"]) == (first["id"], "chance", 1, None)
    assert spine.rows("SELECT count(*) AS n FROM touchpoint") == [{"n": 51}]
    assert spine.rows("SELECT count(*) AS n FROM dead_letter") == [{"n": 0}]


def test_steps_on_workers_of_their_own_bring_a_lead_back_all_the_same(spine: Spine) -> None:
    arrives(spine, SHOES)
    spine.passes(DAY)
    receipt = spine.arrives(CRM)

    spine.run(spine.runtime(chain=False))

    assert spine.lead_of(receipt)["state"] == "chance"


def test_an_older_lead_is_not_reopened_beside_a_newer_one(spine: Spine) -> None:
    older = arrives(spine, SMALL)
    spine.do(
        "INSERT INTO lead (id, person_id, journey, journey_name, state, open, source, channel, created_at, updated_at) "
        "SELECT gen_random_uuid(), person_id, journey, journey_name, 'lead', true, source, channel, "
        "created_at + interval '1 day', updated_at FROM lead"
    )
    spine.passes(90 * DAY)
    for step in wake(spine.engine, spine.now):
        spine.run(step=str(step))

    [lead] = spine.rows("SELECT * FROM lead WHERE id = :id", id=older["id"])
    assert (lead["state"], lead["due_since"], lead["wake_at"]) == ("out", None, None)
    [told] = spine.rows("SELECT explanation ->> 'look' AS look FROM decision WHERE step = 'qualify' AND number > 3")
    assert told == {"look": "newer_lead"}
    assert spine.rows("SELECT count(*) AS n FROM dead_letter") == [{"n": 0}]


def test_whoever_was_lost_and_writes_again_gets_a_new_lead(spine: Spine) -> None:
    first = arrives(spine, CRM | {"employees": 80})
    assert first["state"] == "chance"
    move_lead(spine.engine, first["id"], "lose", reason=None, actor="key:1", now=spine.now)
    spine.passes(DAY)

    second = arrives(spine, CRM)

    assert second["id"] != first["id"]
    assert spine.rows("SELECT count(*) AS n FROM lead WHERE open") == [{"n": 1}]


def test_who_was_turned_away_by_hand_is_looked_at_again_as_that_reason_says(spine: Spine) -> None:
    lead = arrives(spine, CRM)
    move_lead(spine.engine, lead["id"], "drop", reason="competitor", actor="key:1", now=spine.now)
    spine.passes(DAY)

    again = arrives(spine, CRM | {"employees": 80})

    assert (again["id"], again["state"], again["qualification"]["reason"]) == (lead["id"], "out", "competitor")


def test_who_was_turned_away_for_a_reason_without_a_rule_of_its_own_comes_back_as_any_other(spine: Spine) -> None:
    lead = arrives(spine, CRM)
    move_lead(spine.engine, lead["id"], "drop", reason="rude", actor="key:1", now=spine.now)
    spine.passes(DAY)

    again = arrives(spine, CRM | {"employees": 80})

    assert (again["id"], again["state"], again["recycled"]) == (lead["id"], "chance", 1)
