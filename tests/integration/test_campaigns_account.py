"""The account of what goes out: people in campaigns and messages of ours are held against what stands behind them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from schema.store import account, clock
from services.watch import keep_account
from tests.campaigning import activate, arrive, enrolled, settle

if TYPE_CHECKING:
    from datetime import datetime

    from tests.spine import Spine

HOUR = timedelta(hours=1)


@pytest.fixture
def given(spine: Spine) -> Spine:
    """Two people in a campaign, as of now: one waits for days, the other for their first message."""
    spine.now = clock.now()
    activate(spine)
    arrive(spine, 1)
    settle(spine)
    arrive(spine, 2)
    spine.do(
        "INSERT INTO message (message_id, lead_id, direction, at) SELECT id || '@example.com', lead_id, 'out', :now"
        " FROM send WHERE state = 'sent'",
        now=spine.now,
    )
    return spine


def found(spine: Spine, now: datetime | None = None, **more: Any) -> dict[str, list[str]]:  # noqa: ANN401
    with spine.engine.begin() as connection:
        told = account.account(connection, now or spine.now, **more)
    kinds = {each["kind"]: each["ids"] for each in told["found"]}
    assert told["unaccounted"] == sum(map(len, kinds.values()))
    return kinds


def test_people_who_wait_and_messages_that_went_are_all_accounted_for(given: Spine) -> None:
    assert [row["due_at"] is None for row in enrolled(given)] == [False, True]
    assert found(given) == {}
    given.do("UPDATE send SET state = 'unknown', claimed_at = :now, due_at = NULL WHERE state = 'planned'",
             now=given.now)  # fmt: skip
    assert found(given) == {}


DAMAGES = {
    "its lead is gone": ("UPDATE enrolment SET lead_id = gen_random_uuid() WHERE id = :waits", "stray", "waits"),
    "its version is gone": ("UPDATE enrolment SET journey = 'nothing' WHERE id = :waits", "stray", "waits"),
    "its campaign is gone": ("UPDATE enrolment SET campaign = 'nothing' WHERE id = :waits", "stray", "waits"),
    "its message is gone": ("DELETE FROM send WHERE enrolment_id = :asks", "forgotten", "asks"),
    "its message went without its knowing": (
        "UPDATE send SET state = 'skipped', due_at = NULL WHERE enrolment_id = :asks", "forgotten", "asks",
    ),
    "nothing wakes it": ("UPDATE enrolment SET due_at = NULL WHERE id = :waits", "forgotten", "waits"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_whoever_is_stray_in_a_campaign_is_told(given: Spine, damage: str) -> None:
    waits, asks = (row["id"] for row in enrolled(given))
    statement, kind, whose = DAMAGES[damage]
    ids = {"waits": waits, "asks": asks}
    given.do(statement, **{whose: ids[whose]})

    assert found(given) == {f"enrolment_{kind}": [ids[whose]]}


def test_who_is_in_a_dead_letter_waits_for_somebody_and_is_not_forgotten(given: Spine) -> None:
    given.do("UPDATE enrolment SET due_at = NULL")
    given.do(
        "INSERT INTO dead_letter (id, step, subject, subject_id, fingerprint, error, attempts, created_at)"
        " SELECT gen_random_uuid(), 'nurture', 'enrolment', id, 'f', 'ValueError', 3, :now FROM enrolment",
        now=given.now,
    )
    assert found(given) == {}


def test_who_is_due_for_an_hour_and_untouched_is_told_however_long_ago_they_entered_unless_it_stands_still(
    given: Spine,
) -> None:
    waits = enrolled(given)[0]
    late = waits["due_at"] + HOUR
    assert found(given, late) == {}
    assert found(given, late + timedelta(seconds=1)) == {"enrolment_stray": [waits["id"]]}
    given.do("INSERT INTO campaign_state (journey_name, campaign, paused_at) VALUES ('default', 'warm_up', :now)",
             now=given.now)  # fmt: skip
    assert found(given, late + HOUR) == {}


def test_a_message_of_ours_is_founded_by_the_send_that_claimed_it(given: Spine) -> None:
    [sent] = given.rows("SELECT id FROM send WHERE state = 'sent'")
    given.do("INSERT INTO message (message_id, lead_id, direction, at) SELECT 'theirs@example.com', lead_id, 'out', at"
             " FROM message")  # fmt: skip
    assert found(given) == {}
    given.do("UPDATE send SET id = gen_random_uuid() WHERE state = 'sent'")
    assert found(given) == {"message_unfounded": [sent["id"]]}


def test_who_was_found_stray_is_told_until_it_is_mended(given: Spine) -> None:
    stray = enrolled(given)[0]
    given.do("UPDATE enrolment SET lead_id = gen_random_uuid() WHERE id = :id", id=stray["id"])
    assert keep_account(given.engine, given.now) is True
    later = stray["due_at"] - HOUR  # long after its slice was looked at, and before it is due
    assert found(given, later) == {"enrolment_stray": [stray["id"]]}
    given.do("UPDATE enrolment SET lead_id = :lead WHERE id = :id", id=stray["id"], lead=stray["lead_id"])
    assert found(given, later) == {}


def test_looking_finds_them_by_indexes(given: Spine) -> None:
    given.do(
        """
        INSERT INTO enrolment (id, journey_name, journey, campaign, person_id, lead_id, entry_key, entered_at,
                               entered_by, step, since, listens_since, due_at)
        SELECT gen_random_uuid(), journey_name, journey, campaign, gen_random_uuid(), lead_id, n::text, entered_at,
               entered_by, step, since, listens_since, due_at + interval '30 days'
        FROM enrolment, generate_series(1, 10000) AS n WHERE due_at IS NOT NULL
        """
    )
    given.do(
        """
        INSERT INTO send (id, journey_name, journey, campaign, step, template, enrolment_id, person_id, lead_id,
                          entry_key, lane, state, planned_at, due_at)
        SELECT gen_random_uuid(), journey_name, journey, campaign, 'second', 'news', id, person_id, lead_id, entry_key,
               1, 'planned', entered_at, entered_at
        FROM enrolment
        """
    )
    given.do("ANALYZE")
    seen: dict[str, Any] = {}
    event.listen(
        given.engine,
        "before_cursor_execute",
        lambda _c, _u, statement, parameters, *_: seen.setdefault(statement, parameters),
    )
    assert found(given) == {}
    asked = {
        statement: given_ for statement, given_ in seen.items() if "enrolment" in statement or "'out'" in statement
    }
    with given.engine.begin() as connection:
        for statement, parameters in asked.items():
            plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())
            assert not re.search(r"Seq Scan on (enrolment|send)", plan), plan
