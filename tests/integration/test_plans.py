"""The hot path's statements find rows by key, on a table the server knows nothing about as on a large one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text

from schema.journey import default_journey
from schema.store import campaigns, reading
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
