"""A lead that cools down by age alone is looked at when it matters, once, and goes on from there."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from schema import tables
from schema.errors import Permanent
from schema.journey import default_text
from schema.store import rows
from schema.store.ids import new_id
from tests.spine import Spine, prepare
from workers import sweep
from workers.outlook import outlook

if TYPE_CHECKING:
    from collections.abc import Iterator

ANA = {"email": "ana@kiln.example", "name": "Ana Pons", "interests": "crm"}
COOLING = """\
journey: default
people: {ana: {email: ana@example.com}}
sources: {website: {kind: form}}
score:
  engagement: {half_life: 30d, on: {form: 30, email.click: 15}}
  grades: {A: 60, B: 20}
  grid: {fit: {A: 0}, engagement: {1: 25, 2: 10}}
route: {pools: {everybody: {members: {ana: 1}}}}
lifecycle:
  lead: {to: {engage: engaged, close: closed}}
  engaged: {to: {cool: lead}}
  closed: {final: true}
transitions:
  engage: {when: score.total >= 28}
  cool: {when: score.total < 12}
"""


@pytest.fixture
def cooling(postgres_url: str) -> Iterator[Spine]:
    """A journey whose leads come and go by their score."""
    prepare(postgres_url, COOLING)
    spine = Spine(postgres_url)
    yield spine
    spine.close()


def passes(spine: Spine, time: timedelta) -> None:
    """Time passes, and the sweeper wakes whatever has waited for it."""
    spine.passes(time)
    while steps := sweep.wake(spine.engine, spine.now):
        for step in filter(None, steps):
            spine.run(step=step)


def until(spine: Spine, receipt: str) -> timedelta:
    wake_at: datetime = spine.lead_of(receipt)["wake_at"]
    return wake_at - spine.now


def scored(spine: Spine) -> list[dict[str, Any]]:
    query = "SELECT explanation ->> 'total' AS total, outcome FROM decision WHERE step = 'score' ORDER BY number"
    return spine.rows(query)


def test_a_lead_that_falls_below_a_grade_is_told_so_when_it_does(cooling: Spine) -> None:
    receipt = cooling.arrives(ANA)
    cooling.run()
    lead = cooling.lead_of(receipt)
    assert (lead["grade"], lead["score_cell"], lead["state"]) == ("B", "A1", "engaged")

    passes(cooling, until(cooling, receipt) - timedelta(seconds=1))
    assert [row["total"] for row in scored(cooling)] == ["30"]

    passes(cooling, timedelta(seconds=1))
    lead = cooling.lead_of(receipt)
    assert (lead["score_total"], lead["score_cell"], lead["due_since"]) == (27, "A1", None)

    passes(cooling, until(cooling, receipt))
    lead = cooling.lead_of(receipt)
    assert (lead["score_total"], lead["score_cell"]) == (24, "A2")
    [*_, told] = cooling.rows("SELECT data FROM event WHERE type = 'lead.scored' ORDER BY sequence")
    assert told["data"] == {
        "total": 24, "fit": 0, "engagement": 24, "grade": "B", "cell": "A2", "predicted": None
    }  # fmt: skip


def test_a_guard_about_the_score_is_answered_by_age_alone_and_the_way_ends(cooling: Spine) -> None:
    receipt = cooling.arrives(ANA)
    cooling.run()
    looks = 0
    while cooling.lead_of(receipt)["wake_at"]:
        passes(cooling, until(cooling, receipt))
        looks += 1
    moves = cooling.rows("SELECT name, at FROM transition ORDER BY number")
    assert [move["name"] for move in moves] == ["engage", "cool"]
    # 30 points are 11.5 after so many half-lives; looked at once for each of 28, 25, 20, 12 and 10.
    assert abs(moves[1]["at"] - moves[0]["at"] - timedelta(days=41.5)) < timedelta(hours=3)
    assert looks == 5
    assert [row["total"] for row in scored(cooling)] == ["30", "27", "24", "19", "11", "9"]


def test_a_lead_that_was_missed_for_days_is_caught_up_with_in_one_look(cooling: Spine) -> None:
    receipt = cooling.arrives(ANA)
    cooling.run()
    passes(cooling, timedelta(days=400))
    assert cooling.lead_of(receipt)["state"] == "lead"
    assert [row["total"] for row in scored(cooling)] == ["30", "0"]
    assert cooling.lead_of(receipt)["wake_at"] is None


def test_a_lead_that_is_woken_for_nothing_decides_nothing_and_waits_again(cooling: Spine) -> None:
    receipt = cooling.arrives(ANA)
    cooling.run()
    before = cooling.lead_of(receipt)
    early = (cooling.now + timedelta(minutes=1)).isoformat()
    cooling.do("UPDATE lead SET wake_at = CAST(:at AS timestamptz), waits = jsonb_build_object('score', :at)", at=early)

    passes(cooling, timedelta(minutes=1))

    after = cooling.lead_of(receipt)
    assert len(scored(cooling)) == 1
    assert cooling.rows("SELECT count(*) AS n FROM event WHERE type = 'lead.scored'") == [{"n": 1}]
    assert (after["wake_at"], after["due_since"]) == (before["wake_at"], None)


def test_a_closed_lead_is_not_waited_for(spine: Spine) -> None:
    receipt = spine.arrives(ANA | {"email": "sam@rival.example", "company": "Rival", "domain": "rival.example"})
    spine.run()
    assert spine.lead_of(receipt)["open"] is False
    assert "score" not in spine.lead_of(receipt)["waits"]


def test_a_score_is_told_again_when_something_came_in_even_if_it_is_the_same(cooling: Spine) -> None:
    cooling.arrives(ANA)
    cooling.run()
    cooling.arrives(ANA | {"message": "Are you there?"}, channel="api")
    cooling.run()
    assert [row["total"] for row in scored(cooling)] == ["30", "30"]


def click(spine: Spine, receipt: str, count: int, apart: timedelta) -> None:
    lead = spine.lead_of(receipt)
    clicks = [
        {
            "id": new_id(), "person_id": lead["person_id"], "lead_id": lead["id"], "kind": "email.click",
            "channel": "email", "source": "website", "occurred_at": spine.now + number * apart,
            "recorded_at": spine.now + count * apart, "data": {},
        }
        for number in range(count)
    ]  # fmt: skip
    with spine.engine.begin() as connection:
        rows.insert(connection, tables.touchpoint, clicks)
    spine.passes(count * apart)
    spine.do("UPDATE lead SET next_step = 'score', due_since = :now", now=spine.now)
    spine.run(step="score")


def test_a_burst_of_clicks_by_a_scanner_moves_no_lead_and_is_named(cooling: Spine) -> None:
    receipt = cooling.arrives(ANA)
    cooling.run()
    passes(cooling, timedelta(days=60))
    assert cooling.lead_of(receipt)["state"] == "lead"
    click(cooling, receipt, 12, timedelta(seconds=0.25))
    assert cooling.lead_of(receipt)["state"] == "lead"
    [*_, decision] = cooling.rows("SELECT explanation FROM decision WHERE step = 'score' ORDER BY number")
    assert decision["explanation"]["uncounted"] == [
        {"rule": "email.click", "why": "burst", "touchpoints": 12, "times": 1, "within_s": 2.8}
    ]


def test_the_same_clicks_of_a_person_move_it(cooling: Spine) -> None:
    receipt = cooling.arrives(ANA)
    cooling.run()
    passes(cooling, timedelta(days=60))
    click(cooling, receipt, 3, timedelta(minutes=5))
    assert cooling.lead_of(receipt)["state"] == "engaged"


def ask(spine: Spine, receipt: str, **asked: Any) -> dict[str, Any]:  # noqa: ANN401 - what outlook takes
    with spine.engine.connect() as connection:
        return outlook(connection, spine.lead_of(receipt)["id"], **asked)


def test_whoever_asks_hears_what_the_score_is_made_of_and_what_would_raise_it(spine: Spine) -> None:
    receipt = spine.arrives(ANA)
    spine.run()
    found = ask(spine, receipt, at=spine.now)
    assert found["text"] == "Scored 30 of 100, grade C: fit 0, engagement 30."
    assert [point["total"] for point in found["curve"]] == [30, 26, 15, 4]
    assert found["next_change"]["at"] == datetime.fromisoformat(spine.lead_of(receipt)["waits"]["score"])
    assert (found["next_change"]["total"], found["next_change"]["grade"]) == (19, "D")
    target = found["target"]
    assert (target["grade"], target["total"], target["reached"]) == ("B", 45, False)
    assert target["needs"][0]["text"] == (
        "50 with Company of 50 or more (+20; company.employees is not known)."
    )  # fmt: skip
    assert ask(spine, receipt, at=spine.now, target="70")["target"]["limits"] == [
        "Engagement is capped at 60, so it takes fit as well: 10 more than the 0 it has."
    ]
    assert ask(spine, receipt, at=spine.now, target="c")["target"]["reached"] is True


def test_asking_changes_nothing(spine: Spine) -> None:
    receipt = spine.arrives(ANA)
    spine.run()
    before = spine.lead_of(receipt)
    ask(spine, receipt, at=spine.now + timedelta(days=30))
    assert spine.lead_of(receipt) == before


@pytest.mark.parametrize("target", ["Z", "0", "101", "-5", "4.5", "٤", "9" * 5000])
def test_a_target_that_is_none_is_refused(spine: Spine, target: str) -> None:
    receipt = spine.arrives(ANA)
    spine.run()
    with pytest.raises(Permanent, match="target_unknown"):
        ask(spine, receipt, target=target)


def test_a_lead_that_there_is_not_has_no_score(spine: Spine) -> None:
    for lead in (new_id(), "nonsense"):
        with spine.engine.connect() as connection, pytest.raises(Permanent, match="lead_unknown"):
            outlook(connection, lead)


def test_the_shipped_journey_waits_for_the_next_grade_down(spine: Spine) -> None:
    receipt = spine.arrives(ANA)
    spine.run()
    waits = spine.lead_of(receipt)["waits"]
    assert waits["score"].startswith("2026-12-09")
    assert "score.total" in default_text()
