"""A move that somebody asks for: made once, recorded as any other, or refused with a code and nothing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schema.errors import Permanent
from schema.journey import default_journey
from schema.lifecycle import IllegalTransition, ReasonRequired
from schema.store.ids import new_id
from workers.moves import move_lead

if TYPE_CHECKING:
    from tests.spine import Spine


def disqualified(spine: Spine, message: str) -> str:
    """Let a competitor arrive, and return the lead it became."""
    receipt = spine.arrives({"email": f"spy@{default_journey().lists['competitors'][0]}", "message": message})
    spine.run()
    return str(spine.lead_of(receipt)["id"])


def move(spine: Spine, lead: str, name: str, reason: str | None = None) -> dict[str, object]:
    return move_lead(spine.engine, lead, name, reason=reason, actor="key:1", now=spine.now)


def test_a_move_is_recorded_with_who_asked_and_why_and_is_told(spine: Spine) -> None:
    lead = disqualified(spine, "one")

    assert move(spine, lead, "recycle", "asked_again")["to_state"] == "lead"

    [made] = spine.rows("SELECT actor, reason, to_state FROM transition WHERE name = 'recycle'")
    [told] = spine.rows("SELECT type FROM event ORDER BY sequence DESC LIMIT 1")
    [now] = spine.rows("SELECT state, open FROM lead")
    assert made == {"actor": "key:1", "reason": "asked_again", "to_state": "lead"}
    assert told == {"type": "lead.transitioned"}
    assert now == {"state": "lead", "open": True}


def test_a_move_is_refused_where_the_journey_has_none_or_needs_a_reason(spine: Spine) -> None:
    lead = disqualified(spine, "one")

    with pytest.raises(IllegalTransition):
        move(spine, lead, "win")
    with pytest.raises(ReasonRequired):
        move(spine, lead, "recycle")
    with pytest.raises(Permanent, match="lead_unknown"):
        move(spine, new_id(), "win")

    assert spine.rows("SELECT state, transitions FROM lead") == [{"state": "disqualified", "transitions": 1}]


def test_a_second_lead_of_a_person_is_not_reopened_beside_an_open_one(spine: Spine) -> None:
    first, second = disqualified(spine, "one"), disqualified(spine, "two")
    move(spine, second, "recycle", "asked_again")

    with pytest.raises(Permanent, match="other_lead_open"):
        move(spine, first, "recycle", "asked_again")

    assert spine.rows("SELECT state FROM lead WHERE id = :id", id=first) == [{"state": "disqualified"}]
