"""How a step runs: due rows are taken, done once, split when one is bad, and found again when they were left."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from schema.failpoints import NAMES
from workers.runtime import MAX_ATTEMPTS, MAX_DEATHS, STEPS

if TYPE_CHECKING:
    from tests.spine import Spine

ANA = {"email": "ana@kiln.example", "name": "Ana Pons", "company": "Kiln", "employees": 80, "country": "DE",
       "interests": "crm"}  # fmt: skip


def somebody(number: int) -> dict[str, object]:
    return ANA | {"email": f"somebody{number}@kiln.example"}


def test_a_lead_travels_the_whole_way_in_one_transaction(spine: Spine) -> None:
    receipt = spine.arrives(ANA)

    spine.run(ids=[receipt])

    lead = spine.lead_of(receipt)
    assert lead["state"] == "opportunity"
    assert (lead["next_step"], lead["due_since"]) == (None, None)
    assert len(spine.rows("SELECT DISTINCT tx FROM event")) == 1


def test_steps_apart_decide_and_record_the_same_as_steps_chained(spine: Spine) -> None:
    chained, apart = spine.arrives(somebody(1)), spine.arrives(somebody(2))

    spine.run(spine.runtime(batch_size=1), ids=[chained])
    spine.run(spine.runtime(chain=False), ids=[apart])

    def told(receipt: str) -> list[dict[str, object]]:
        query = "SELECT type, sequence FROM event WHERE lead_id = :id ORDER BY sequence"
        return spine.rows(query, id=spine.lead_of(receipt)["id"])

    def decided(receipt: str) -> list[dict[str, object]]:
        query = "SELECT number, step, outcome, explanation - CAST(:apart AS text[]) AS explanation "
        query += "FROM decision WHERE lead_id = :id ORDER BY number"
        apart = ["receipt", "turn", "owner", "members", "inputs"]  # each lead's own
        return spine.rows(query, id=spine.lead_of(receipt)["id"], apart=apart)

    assert told(chained) == told(apart)
    score = {"step": "score"}
    plain = [[row for row in decided(r) if row["step"] != score["step"]] for r in (chained, apart)]
    assert plain[0] == plain[1]


def test_a_hint_heard_twice_changes_nothing_the_second_time(spine: Spine) -> None:
    receipt = spine.arrives(ANA)
    runtime = spine.runtime()

    assert runtime.hear("identify", [receipt], now=spine.now) == 1
    assert runtime.hear("identify", [receipt], now=spine.now) == 0

    assert spine.rows("SELECT count(*) AS n FROM touchpoint") == [{"n": 1}]


def test_a_batch_takes_more_than_it_was_told_when_more_waits(spine: Spine) -> None:
    receipts = [spine.arrives(somebody(number)) for number in range(5)]

    taken = spine.runtime().hear("identify", receipts[:1], now=spine.now)

    assert taken == len(receipts)


def test_while_batches_are_full_a_worker_goes_on_and_then_asks_to_look_again(spine: Spine) -> None:
    for number in range(7):
        spine.arrives(somebody(number))
    runtime = spine.runtime(batch_size=1)

    assert runtime.hear("identify", now=spine.now) == 5
    assert [hint for hint in spine.hints.hints if hint[0] == "identify"] == [("identify", ())]
    assert runtime.hear("identify", now=spine.now) == 2


def test_rows_that_another_worker_has_are_left_to_it(spine: Spine) -> None:
    receipt = spine.arrives(ANA)
    with spine.engine.begin() as other:
        other.execute(text("SELECT FROM receipt FOR UPDATE"))

        assert spine.runtime().hear("identify", [receipt], now=spine.now) == 0

    assert spine.receipt(receipt)["status"] == "pending"


def refuse(spine: Spine, marker: str) -> None:
    """Let the database refuse one person, as a constraint that somebody adds later would."""
    spine.do(f"ALTER TABLE person ADD CONSTRAINT ck_no_{marker} CHECK (name IS DISTINCT FROM '{marker}')")


def test_a_bad_lead_stands_alone_in_dead_letter_and_its_neighbours_are_done(spine: Spine) -> None:
    refuse(spine, "mallory")
    good = [spine.arrives(somebody(number)) for number in range(20)]
    bad = spine.arrives({"email": "m@kiln.example", "name": "mallory"})

    spine.run(ids=[*good[:10], bad, *good[10:]])

    assert {spine.receipt(receipt)["status"] for receipt in good} == {"processed"}
    [letter] = spine.rows("SELECT * FROM dead_letter")
    assert letter["subject_id"] == bad
    assert (letter["step"], letter["attempts"]) == ("identify", MAX_ATTEMPTS)
    assert "ck_no_mallory" in letter["error"]
    assert "m@kiln.example" not in str(letter)
    assert spine.receipt(bad)["due_since"] is None


def test_failures_of_one_kind_share_a_fingerprint(spine: Spine) -> None:
    refuse(spine, "mallory")
    for number in range(2):
        spine.arrives({"email": f"m{number}@kiln.example", "name": "mallory"})

    spine.run()

    prints = {row["fingerprint"] for row in spine.rows("SELECT fingerprint FROM dead_letter")}
    assert len(prints) == 1


def test_a_row_that_was_left_due_is_counted_before_it_is_tried_again(spine: Spine) -> None:
    receipt = spine.arrives(ANA)
    spine.passes(timedelta(minutes=1))

    spine.run()

    assert spine.receipt(receipt)["status"] == "processed"
    assert spine.receipt(receipt)["attempts"] == 1


def test_a_row_that_keeps_taking_its_worker_down_is_set_aside_and_its_neighbours_are_done(spine: Spine) -> None:
    good, killer = spine.arrives(somebody(1)), spine.arrives(somebody(2))
    spine.do("UPDATE receipt SET attempts = :n WHERE id = :id", n=MAX_DEATHS, id=killer)
    spine.passes(timedelta(minutes=1))

    spine.run()

    assert spine.receipt(good)["status"] == "processed"
    [letter] = spine.rows("SELECT subject_id, error FROM dead_letter")
    assert letter == {"subject_id": killer, "error": "Permanent: worker_died"}


def test_a_row_that_waits_beside_one_that_is_tried_alone_is_not_blamed_for_it(spine: Spine) -> None:
    tried, waiting = spine.arrives(somebody(1)), spine.arrives(somebody(2))
    spine.do("UPDATE receipt SET attempts = 1")
    spine.passes(timedelta(minutes=1))
    spine.do(
        "CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RAISE EXCEPTION USING ERRCODE = ''serialization_failure''; END'",
    )
    spine.do("CREATE TRIGGER give_up BEFORE INSERT ON person EXECUTE FUNCTION give_up()")

    spine.runtime().hear("identify", [tried], now=spine.now)

    assert sorted(spine.receipt(receipt)["attempts"] for receipt in (tried, waiting)) == [1, 2]


def test_a_lead_whose_latest_event_is_younger_than_the_transaction_waits_for_the_next_one(spine: Spine) -> None:
    first = spine.arrives(ANA)
    spine.run(ids=[first])
    spine.do("UPDATE lead SET event_tx = (pg_current_xact_id()::text::bigint + 1000)::text::xid8")
    second = spine.arrives(ANA | {"message": "again"})

    spine.runtime().hear("identify", [second], now=spine.now)

    assert spine.receipt(second)["status"] == "pending"
    assert ("identify", (second,)) in spine.hints.hints


def test_every_step_is_known_by_its_name() -> None:
    assert set(STEPS) == {"identify", "qualify", "score", "route", "advance", "nurture", "followup"}
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE lead SET state = 'customer'",
        "UPDATE lead SET state = 'opportunity', transitions = 7",
        """INSERT INTO transition (lead_id, number, journey, from_state, name, to_state, at, actor)
        SELECT id, 9, journey, 'lead', 'win', 'customer', now(), 'by hand' FROM lead""",
    ],
)
def test_the_database_refuses_an_illegal_move_by_hand(spine: Spine, statement: str) -> None:
    spine.arrives(ANA)
    spine.run()

    with pytest.raises(Exception, match=r"lead_state_is_lawful|fk_transition_is_a_move_of_its_journey|cannot be in"):
        spine.do(statement)
