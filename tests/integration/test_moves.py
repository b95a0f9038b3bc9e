"""A move that somebody asks for: made once, or refused with a code and kept; the lead goes on by itself afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import IntegrityError

from schema.errors import Permanent
from schema.journey import default_journey
from schema.lifecycle import GuardNotMet, IllegalTransition, ReasonRequired
from schema.store import reading, why
from schema.store.ids import new_id
from tests.again import AGAIN
from tests.spine import Spine, prepare
from workers.moves import move_lead

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = timedelta(days=1)


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


def test_a_lead_is_not_reopened_beside_another_open_one_of_its_person(spine: Spine) -> None:
    first = disqualified(spine, "one")
    spine.do(
        "INSERT INTO lead (id, person_id, journey, journey_name, state, open, source, channel, created_at, updated_at) "
        "SELECT gen_random_uuid(), person_id, journey, journey_name, 'lead', true, source, channel, created_at, "
        "updated_at FROM lead"
    )

    with pytest.raises(Permanent, match="other_lead_open"):
        move(spine, first, "recycle", "asked_again")

    assert spine.rows("SELECT state FROM lead WHERE id = :id", id=first) == [{"state": "disqualified"}]
    assert refusals(spine) == ["other_lead_open"]


# -- refused -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def again(postgres_url: str) -> Iterator[Spine]:
    """A database with a journey whose moves have conditions, times and reasons."""
    prepare(postgres_url, AGAIN)
    spine = Spine(postgres_url)
    yield spine
    spine.close()


def chance(spine: Spine, employees: int = 80) -> str:
    """Let somebody arrive who is qualified, and return the lead."""
    receipt = spine.arrives({"email": "ana@kiln.example", "interests": "crm", "employees": employees})
    spine.run()
    lead = spine.lead_of(receipt)
    assert lead["state"] == "chance"
    return str(lead["id"])


def now(spine: Spine, lead: str) -> dict[str, Any]:
    return spine.rows("SELECT * FROM lead WHERE id = :id", id=lead)[0]


def refusals(spine: Spine) -> list[str]:
    found = spine.rows("SELECT reason FROM decision WHERE step = 'move' AND outcome = 'refused' ORDER BY number")
    return [row["reason"] for row in found]


def told(spine: Spine, lead: str) -> list[dict[str, Any]]:
    with spine.engine.connect() as connection:
        return [why.told(decision) for decision in reading.decisions(connection, lead)]


def test_every_attempt_is_kept_with_who_asked_and_why_not(again: Spine) -> None:
    lead = chance(again)
    before = now(again, lead)
    for name, reason, error in (
        ("requalify", None, IllegalTransition),
        ("offer", None, GuardNotMet),
        ("Mr Ana Pons, +49 30 1234567", None, IllegalTransition),
    ):
        with pytest.raises(error):
            move(again, lead, name, reason)
    assert refusals(again) == ["illegal_transition", "guard_not_met", "illegal_transition"]
    after = now(again, lead)
    assert (after["state"], after["transitions"], after["events"], after["due_since"]) == (
        *(before["state"], before["transitions"], before["events"]),
        None,
    )
    illegal, guarded, odd = told(again, lead)[-3:]
    assert illegal["text"] == "Not moved, although requalify was asked for: illegal_transition."
    assert illegal["because"] == ["It was asked for by key:1."]
    assert illegal["why_not"] == [
        "From chance this is possible: offer, stale, send_back, lose and turn_away.",
    ]
    assert guarded["why_not"] == ["Its condition does not hold: company.employees >= 100."]
    assert "Pons" not in str(odd)
    with again.engine.connect() as connection:
        story, _ = reading.timeline(connection, lead)
    assert [moment["data"]["outcome"] for moment in story if moment["name"] == "move"] == ["refused"] * 3


def test_a_condition_that_asks_for_what_is_not_known_names_it_and_no_value(again: Spine) -> None:
    receipt = again.arrives({"email": "ana@kiln.example", "interests": "crm"})
    again.run()
    lead = str(again.lead_of(receipt)["id"])
    again.do(
        "INSERT INTO transition (lead_id, number, journey, from_state, name, to_state, at, actor) "
        "SELECT id, 1, journey, 'lead', 'qualify', 'chance', now(), 'test' FROM lead"
    )
    again.do("UPDATE lead SET state = 'chance', transitions = 1")

    with pytest.raises(GuardNotMet) as refused:
        move(again, lead, "offer")

    assert refused.value.facts["missing"] == ["company.employees"]
    assert told(again, lead)[-1]["why_not"] == ["Its condition asks for what is not known: company.employees."]


def test_a_condition_that_holds_lets_the_move_happen(again: Spine) -> None:
    lead = chance(again, employees=150)
    assert move(again, lead, "offer")["to_state"] == "offered"
    assert told(again, lead)[-1]["text"] == "Moved from chance to offered (offer) because somebody asked for it."


def test_of_many_who_ask_at_once_one_moves_the_lead(again: Spine) -> None:
    lead = chance(again)

    def ask(_: int) -> str:
        try:
            return str(move(again, lead, "lose")["to_state"])
        except Permanent as error:
            return error.code

    with ThreadPoolExecutor(8) as people:
        answers = list(people.map(ask, range(16)))

    assert sorted(answers) == ["illegal_transition"] * 15 + ["lost"]
    assert again.rows("SELECT count(*) AS n FROM transition WHERE name = 'lose'") == [{"n": 1}]
    assert len(refusals(again)) == 15


# -- what follows ------------------------------------------------------------------------------------------------------


def test_a_lead_goes_on_by_itself_from_where_it_was_moved_to(again: Spine) -> None:
    lead = chance(again)
    again.passes(DAY)

    answer = move(again, lead, "stale")

    assert answer["next_step"] == "advance"
    again.run(step="advance")
    there = now(again, lead)
    assert (there["state"], there["due_since"]) == ("stale", None)
    assert datetime.fromisoformat(there["waits"]["advance"]) == again.now + 2 * DAY
    assert there["wake_at"] is not None


def test_a_lead_moved_back_to_where_it_is_qualified_is_qualified_again(again: Spine) -> None:
    lead = chance(again)
    assert move(again, lead, "send_back")["next_step"] == "qualify"
    again.run(step="qualify")
    assert now(again, lead)["state"] == "chance"


def test_a_lead_that_is_closed_by_hand_owes_nothing_and_waits_for_nothing(again: Spine) -> None:
    lead = chance(again)
    assert "advance" in now(again, lead)["waits"]

    assert move(again, lead, "lose")["next_step"] is None

    there = now(again, lead)
    assert (there["open"], there["waits"], there["wake_at"], there["next_step"]) == (False, {}, None, None)


def test_a_lead_that_is_opened_by_hand_is_scored_and_routed(again: Spine) -> None:
    lead = chance(again)
    move(again, lead, "lose")
    assert move(again, lead, "revive")["next_step"] == "score"
    again.run(step="score")
    there = now(again, lead)
    assert (there["state"], there["open"], there["owner"], there["due_since"]) == ("chance", True, "ana", None)


def test_a_person_who_overrules_a_no_is_not_overruled_by_the_same_criterion(spine: Spine) -> None:
    lead = disqualified(spine, "one")
    answer = move(spine, lead, "recycle", "new_information")
    assert answer["next_step"] == "qualify"

    spine.run(step="qualify")

    there = now(spine, lead)
    assert (there["state"], there["open"], there["recycled"]) == ("lead", True, 1)
    assert there["qualification"]["outcome"] == "incomplete"
    assert "not_a_competitor" in [ask["criterion"] for ask in there["qualification"]["ask"]]
    assert there["owner"]


def test_work_that_is_due_already_is_not_skipped_by_a_move(again: Spine) -> None:
    lead = chance(again)
    again.do("UPDATE lead SET next_step = 'score', due_since = :now", now=again.now)
    assert move(again, lead, "stale")["next_step"] == "score"


def test_a_reason_in_own_words_stays_in_the_lead_and_is_not_told_downstream(again: Spine) -> None:
    lead = chance(again)
    move(again, lead, "lose", "Ana Pons is on leave")
    [made] = again.rows("SELECT reason FROM transition WHERE name = 'lose'")
    [told_] = again.rows("SELECT data FROM event WHERE type = 'lead.transitioned' ORDER BY sequence DESC LIMIT 1")
    assert made["reason"] == "Ana Pons is on leave"
    assert told_["data"]["reason"] is None
    assert again.rows("SELECT count(*) AS n FROM decision WHERE reason LIKE '%Pons%'") == [{"n": 0}]


def test_whoever_moves_a_lead_has_accepted_it(spine: Spine) -> None:
    receipt = spine.arrives({"email": "ana@kiln.example", "country": "DE", "message": "Please call me back soon."})
    spine.run()
    lead = spine.lead_of(receipt)
    assert not lead["assignment"].get("accepted_at")
    spine.passes(timedelta(minutes=10))

    move(spine, str(lead["id"]), "qualify")

    assert now(spine, str(lead["id"]))["assignment"]["accepted_at"]
    assert [row["type"] for row in spine.rows("SELECT type FROM event ORDER BY sequence DESC LIMIT 3")] == [
        "opportunity.opened",
        "lead.transitioned",
        "lead.accepted",
    ]


# -- the database itself -----------------------------------------------------------------------------------------------


_BY_HAND = """
INSERT INTO transition (lead_id, number, journey, from_state, name, to_state, at, actor)
SELECT id, 2, COALESCE(:version, journey), 'chance', :name, :state, now(), 'hand' FROM lead
"""


def test_nobody_puts_a_lead_where_its_journey_does_not_go_even_by_hand(again: Spine) -> None:
    lead = chance(again)
    for statement, given in (
        ("UPDATE lead SET state = 'offered'", {}),
        ("UPDATE lead SET transitions = transitions + 1", {}),
        (_BY_HAND, {"version": None, "name": "offer", "state": "lost"}),
        (_BY_HAND, {"version": None, "name": "migrate", "state": "offered"}),
        (_BY_HAND, {"version": "another", "name": "offer", "state": "offered"}),
    ):
        with pytest.raises(IntegrityError):
            again.do(statement, **given)
    assert now(again, lead)["state"] == "chance"
