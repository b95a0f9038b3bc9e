"""How long a lead is where it is: what time does by itself, what is overdue, and what can be read of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from schema.store import reading
from tests.again import AGAIN
from tests.spine import Spine, prepare
from workers.moves import move_lead
from workers.sweep import wake

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = timedelta(days=1)
DAY_S = 86400.0


@pytest.fixture
def spine(postgres_url: str) -> Iterator[Spine]:
    """A database whose journey lets time move leads."""
    prepare(postgres_url, AGAIN)
    spine = Spine(postgres_url)
    yield spine
    spine.close()


def arrives(spine: Spine, **payload: Any) -> str:  # noqa: ANN401
    receipt = spine.arrives({"email": "ana@kiln.example", "interests": "crm"} | payload)
    spine.run()
    return str(spine.lead_of(receipt)["id"])


def passes(spine: Spine, time: timedelta) -> None:
    """Let time pass, and everybody wake who waited for it."""
    spine.passes(time)
    while steps := wake(spine.engine, spine.now):
        for step in steps:
            spine.run(step=str(step))


def shown(spine: Spine, lead: str) -> dict[str, Any]:
    with spine.engine.connect() as connection:
        found = reading.lead(connection, lead, now=spine.now)
    assert found
    return found


def told_overdue(spine: Spine) -> list[dict[str, Any]]:
    return [row["data"] for row in spine.rows("SELECT data FROM event WHERE type = 'lead.overdue' ORDER BY sequence")]


def test_a_lead_that_stays_too_long_is_told_of_once_and_shown(spine: Spine) -> None:
    lead, began = arrives(spine), spine.now

    passes(spine, 5 * DAY - timedelta(seconds=1))
    assert (told_overdue(spine), shown(spine, lead)["overdue"]) == ([], False)
    passes(spine, timedelta(seconds=1))
    passes(spine, 3 * DAY)
    arrives(spine, message="Any news?")

    [told] = told_overdue(spine)
    assert (told["state"], told["sla_s"]) == ("lead", 5 * 86400)
    assert told["since"] == began.isoformat()
    now = shown(spine, lead)
    assert (now["overdue"], now["in_state_since"]) == (True, began)
    with spine.engine.connect() as connection:
        assert [item["id"] for item in reading.leads(connection, overdue=True)[0]] == [lead]
        assert reading.leads(connection, overdue=False)[0] == []


def test_a_move_ends_being_overdue_and_the_next_stay_is_told_of_anew(spine: Spine) -> None:
    lead = arrives(spine, employees=80)
    for _ in range(2):
        passes(spine, 30 * DAY)
        assert shown(spine, lead)["state"] == "stale"
        passes(spine, 2 * DAY)
        assert shown(spine, lead)["overdue"]
        move_lead(spine.engine, lead, "lose", reason=None, actor="key:1", now=spine.now)
        assert not shown(spine, lead)["overdue"]
        move_lead(spine.engine, lead, "revive", reason=None, actor="key:1", now=spine.now)
        spine.run(step="score")
    assert [told["state"] for told in told_overdue(spine)] == ["stale", "stale"]


def test_a_lead_moves_by_itself_at_its_time_even_when_that_was_missed(spine: Spine) -> None:
    lead = arrives(spine, employees=80)
    passes(spine, 33 * DAY)
    [moved] = spine.rows("SELECT to_state, at, actor FROM transition WHERE name = 'stale'")
    assert moved == {"to_state": "stale", "at": spine.now, "actor": "journey"}
    assert shown(spine, lead)["in_state_since"] == spine.now


def test_the_time_in_each_state_is_what_the_transitions_say(spine: Spine) -> None:
    lead = arrives(spine)
    passes(spine, DAY)
    arrives(spine, employees=80)
    passes(spine, 2 * DAY)
    move_lead(spine.engine, lead, "lose", reason=None, actor="key:1", now=spine.now)
    passes(spine, 4 * DAY)
    move_lead(spine.engine, lead, "revive", reason=None, actor="key:1", now=spine.now)
    passes(spine, DAY / 2)

    assert shown(spine, lead)["time_in_state"] == {
        "lead": {"latest_s": DAY_S, "total_s": DAY_S, "visits": 1},
        "chance": {"latest_s": DAY_S / 2, "total_s": 2.5 * DAY_S, "visits": 2},
        "lost": {"latest_s": 4 * DAY_S, "total_s": 4 * DAY_S, "visits": 1},
    }


def test_a_lead_of_before_this_was_counted_is_in_its_state_since_its_last_transition(spine: Spine) -> None:
    lead = arrives(spine)
    passes(spine, DAY)
    arrives(spine, employees=80)
    spine.do("UPDATE lead SET entered_at = NULL")
    assert shown(spine, lead)["in_state_since"] == spine.now
