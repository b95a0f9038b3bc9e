"""The hot path's statements find rows by key, on a table the server knows nothing about as on a large one."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text

from schema.journey import default_journey
from schema.store import campaigns, reading, sends
from schema.store.engine import make_engine
from tests.campaigning import activate
from workers.claim import claim
from workers.sweep import wake

if TYPE_CHECKING:
    from tests.spine import Spine

SMALL = {"journey_active", "journey", "journey_move", "pool", "prediction_active"}
"""Tables with a handful of rows, for ever."""


@pytest.mark.parametrize("analysed", [False, True], ids=["fresh", "with statistics"])
def test_no_statement_of_a_step_reads_a_whole_table(spine: Spine, *, analysed: bool) -> None:
    for number in range(200):
        spine.arrives({"email": f"p{number}@firm{number}.example", "country": "DE", "interests": "crm"})
    rival = {"email": f"spy@{default_journey().lists['competitors'][0]}"}
    spine.arrives(rival)
    spine.run()
    if analysed:
        spine.do("ANALYZE")
    statements: dict[str, Any] = {}
    runtime = spine.runtime()
    event.listen(
        runtime.engine,
        "before_cursor_execute",
        lambda _c, _u, statement, parameters, *_: statements.setdefault(statement, parameters),
    )
    again = spine.arrives({"email": "p7@firm7.example", "message": "one more"})
    new = spine.arrives({"email": "new@firm.example", "country": "DE", "interests": "crm"})
    told_no = spine.arrives(rival | {"message": "me again"})
    spine.run(runtime, ids=[again, new, told_no])

    with runtime.engine.begin() as connection:
        plans = {
            statement: "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())
            for statement, parameters in list(statements.items())
        }

    assert len(plans) > 10
    whole = {
        table: plan for plan in plans.values() for table in re.findall(r"Seq Scan on (\w+)", plan) if table not in SMALL
    }
    assert not whole, "\n\n".join(whole.values())


@pytest.fixture
def crowd(spine: Spine) -> Spine:
    """Ten thousand settled leads, most of which wait, and a few of which are overdue."""
    receipt = spine.arrives({"email": "ana@kiln.example"})
    spine.run()
    spine.do(
        """
        INSERT INTO lead (id, person_id, journey, journey_name, state, open, source, channel, created_at, updated_at,
                          waits, wake_at, overdue)
        SELECT gen_random_uuid(), person_id, journey, journey_name, 'lead', false, source, channel, created_at,
               updated_at, '{"advance": "2027-01-01T00:00:00Z"}', created_at + n * interval '1 minute', n % 1000 = 0
        FROM lead, generate_series(1, 10000) AS n WHERE id = :id
        """,
        id=spine.lead_of(receipt)["id"],
    )
    return spine


@pytest.mark.parametrize("analysed", [False, True], ids=["fresh", "with statistics"])
@pytest.mark.parametrize("hot", [False, True])
def test_leads_that_wait_are_found_by_the_moment_they_wait_for(crowd: Spine, *, hot: bool, analysed: bool) -> None:
    if analysed:
        crowd.do("ANALYZE")
    engine = make_engine(crowd.url, name="plans", hot=hot)
    seen: dict[str, Any] = {}
    event.listen(
        engine,
        "before_cursor_execute",
        lambda _c, _u, statement, parameters, *_: seen.setdefault(statement, parameters),
    )
    wake(engine, crowd.now)
    statement, parameters = next((told, given) for told, given in seen.items() if "wake_at <=" in told)
    with engine.begin() as connection:
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())
    engine.dispose()
    assert "ix_lead_wake" in plan, plan
    assert "Seq Scan on lead" not in plan, plan


def test_overdue_leads_are_listed_by_an_index_of_their_own(crowd: Spine) -> None:
    crowd.do("ANALYZE")
    with crowd.engine.connect() as connection:
        listed = text(f"EXPLAIN {reading.page_statement({'overdue': True}).text}")
        plan = "\n".join(connection.execute(listed, {"limit": 51}).scalars())
        items, following = reading.leads(connection, overdue=True, limit=4)
        in_time, _ = reading.leads(connection, overdue=False, limit=4)
    assert "ix_lead_overdue" in plan, plan
    assert [item["overdue"] for item in items + in_time] == [True] * 4 + [False] * 4
    assert following == items[-1]["id"]


@pytest.mark.parametrize("analysed", [False, True], ids=["fresh", "with statistics"])
def test_who_is_due_in_a_campaign_is_found_among_many_who_are_not(crowd: Spine, *, analysed: bool) -> None:
    activate(crowd)
    crowd.do(
        """
        INSERT INTO enrolment (id, journey_name, journey, campaign, person_id, lead_id, entry_key, entered_at,
                               entered_by, step, since, listens_since, due_at)
        SELECT gen_random_uuid(), 'default', (SELECT version FROM journey_active), 'warm_up', gen_random_uuid(), id,
               'once', :now, 'state lead', 'some_days', :now, :now,
               CAST(:now AS timestamptz) + row_number() OVER (ORDER BY id) * interval '1 minute' - interval '1 hour'
        FROM lead
        """,
        now=crowd.now,
    )
    if analysed:
        crowd.do("ANALYZE")
    engine = make_engine(crowd.url, name="plans", hot=True)
    wanted = {"now": crowd.now, "overdue": crowd.now, "careful": True, "unread": []}
    seen: dict[str, Any] = {}
    event.listen(
        engine,
        "before_cursor_execute",
        lambda _c, _u, statement, parameters, *_: seen.setdefault(statement, parameters),
    )
    with engine.begin() as connection:
        claimed = claim(connection, "enrolment", [], [], 400, wanted, more=True)
        assert campaigns.owes(connection, crowd.now)
        plans = [
            "\n".join(connection.exec_driver_sql(f"EXPLAIN (ANALYZE) {statement}", parameters).scalars())
            for statement, parameters in list(seen.items())
        ]
    engine.dispose()

    assert len(claimed) == 60
    assert len(plans) == 2
    for plan in plans:
        assert "ix_enrolment_due" in plan, plan
        assert not re.search(r"Seq Scan on (enrolment|lead)", plan), plan
        assert max(map(int, re.findall(r"ix_enrolment_due.*actual time=\S+ rows=(\d+)", plan))) <= 60, plan


@pytest.mark.parametrize("analysed", [False, True], ids=["fresh", "with statistics"])
def test_a_claim_of_messages_looks_at_those_it_takes_however_many_are_due(crowd: Spine, *, analysed: bool) -> None:
    crowd.do(
        """
        INSERT INTO send (id, journey_name, journey, campaign, step, template, person_id, lead_id, entry_key, lane,
                          purpose, state, planned_at, due_at, claimed_at)
        SELECT gen_random_uuid(), 'default', (SELECT version FROM journey_active), 'welcome', step, 'hello',
               md5(n::text)::uuid, md5(n::text)::uuid, 'once', CAST(n % 100 <> 0 AS int), 'marketing', state, :now,
               CASE state WHEN 'planned' THEN CAST(:now AS timestamptz) END, CAST(:now AS timestamptz) - n * minute
        FROM generate_series(1, 3000) AS n, (VALUES ('first', 'sent'), ('second', 'planned')) AS s(step, state),
             (VALUES (interval '1 minute')) AS m(minute)
        """,
        now=crowd.now,
    )
    crowd.do(
        """
        INSERT INTO send (id, journey_name, journey, campaign, step, template, person_id, lead_id, entry_key, lane,
                          state, reason, planned_at, due_at)
        SELECT gen_random_uuid(), 'default', 'any', 'paused', 'first', 'hello', gen_random_uuid(), gen_random_uuid(),
               'once', 1, 'planned', 'campaign_paused', :now, :until
        FROM generate_series(1, 3000)
        """,
        now=crowd.now,
        until=sends.PARKED_UNTIL,
    )
    crowd.do("INSERT INTO campaign_state (journey_name, campaign, paused_at) VALUES ('default', 'paused', now())")
    if analysed:
        crowd.do("ANALYZE")
    engine = make_engine(crowd.url, name="plans", hot=True)
    seen: dict[str, Any] = {}
    with engine.begin() as connection:
        event.listen(
            connection,
            "before_cursor_execute",
            lambda _c, _u, statement, parameters, *_: seen.setdefault(statement, parameters),
        )
        found = [
            row for lane in (sends.SERVICE, sends.MARKETING) for row in sends.due(connection, lane, crowd.now, (), 8)
        ]
        people = sends.lock_people(connection, {row["person_id"] for row in found})
        sends.siblings(connection, people, [row["id"] for row in found], crowd.now, ())
        sends.recent(connection, people, crowd.now - timedelta(days=7))
        sends.owes(connection, crowd.now, timedelta(minutes=20))
        assert sends.unpark(connection, crowd.now) == 0
        ended = [sends.Settled(row["id"], row["claimed_at"], None, "sent", 1) for row in found]
        sends.settle(connection, ended, crowd.now)
        plans = [
            "\n".join(connection.exec_driver_sql(f"EXPLAIN (ANALYZE, TIMING off) {statement}", parameters).scalars())
            for statement, parameters in list(seen.items())
        ]
    engine.dispose()

    assert len(people) == 16
    assert len(plans) > 5
    for plan in plans:
        assert not re.search(r"Seq Scan on (send|lead)", plan), plan
        assert max(map(int, re.findall(r"actual rows=(\d+)", plan))) <= 60, plan
        assert not re.search(r"Rows Removed by Filter: \d\d\d", plan), plan
