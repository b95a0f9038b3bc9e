"""Leads follow another version of their journey: in their state, with their owner, by the new rules, once each."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text

from schema.errors import Permanent
from schema.store import journeys
from workers.migration import migrate_leads
from workers.moves import move_lead

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.spine import Spine

OLD = """\
journey: default
people: {ana: {email: ana@example.com}, ben: {email: ben@example.com}}
sources: {website: {kind: form}}
score: {fit: [{when: 'person.country == "DE"', points: 10}]}
route: {pools: {local: {when: 'person.country == "DE"', members: {ana: 1}}, everybody: {members: {ben: 1}}}}
lifecycle:
  lead: {to: {talk: opportunity, drop: lost}}
  opportunity: {sla: 7d, to: {win: customer, drop: lost}}
  customer: {final: true}
  lost: {final: true}
"""
NEW = """\
journey: default
people: {ana: {email: ana@example.com}, eve: {email: eve@example.com}}
sources: {website: {kind: form}}
score: {fit: [{when: 'person.country == "DE"', points: 30}]}
route: {pools: {everybody: {members: {ana: 1, eve: 1}}}}
lifecycle:
  lead: {to: {talk: deal, drop: lost}}
  deal: {sla: 7d, to: {win: customer, drop: lost}}
  customer: {final: true}
  lost: {final: true}
"""
MAP = {"opportunity": "deal"}


@pytest.fixture
def old(spine: Spine) -> str:
    return activate(spine, OLD)


@pytest.fixture
def new(spine: Spine, old: str) -> str:  # noqa: ARG001 - it comes after the old one
    """Return a version that is kept and not active yet."""
    with spine.engine.begin() as connection:
        return journeys.store(connection, NEW, spine.now).version


def activate(spine: Spine, document: str) -> str:
    with spine.engine.begin() as connection:
        journey = journeys.store(connection, document, spine.now)
        journeys.activate(connection, journey, spine.now)
    return journey.version


def arrive(spine: Spine, number: int = 1, country: str = "DE") -> str:
    """Let somebody arrive, and return their lead when it has settled."""
    receipt = spine.arrives({"email": f"p{number}@kiln.example", "country": country})
    spine.run(ids=[receipt])
    return str(spine.lead_of(receipt)["id"])


def talked(spine: Spine, number: int = 1) -> str:
    lead = arrive(spine, number)
    move_lead(spine.engine, lead, "talk", reason=None, actor="key:1", now=spine.now)
    spine.run(step="advance")
    return lead


def lead_of(spine: Spine, lead: str) -> dict[str, Any]:
    return spine.rows("SELECT * FROM lead WHERE id = :id", id=lead)[0]


def migrate(
    spine: Spine,
    to: str,
    versions: Sequence[str] = (),
    names: dict[str, str] | None = None,
    **more: Any,  # noqa: ANN401 - of several types
) -> dict[str, Any]:
    names = MAP if names is None else names
    return migrate_leads(spine.engine, to, versions, names, actor="key:7", now=spine.now, **more)


def everything(spine: Spine) -> list[Any]:
    tables = ("lead", "transition", "decision", "event", "journey_move", "journey")
    return [spine.rows(f"SELECT * FROM {table} AS t ORDER BY t::text") for table in tables]  # noqa: S608


# -- before it is done -------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_become_of_the_leads_and_changes_nothing(spine: Spine, old: str, new: str) -> None:
    arrive(spine, 1)
    talked(spine, 2)
    arrive(spine, 3, "FR")
    before = everything(spine)

    report = migrate(spine, new, [old], dry_run=True)

    assert everything(spine) == before
    assert (report["leads"], report["migrated"], report["left"], report["stuck"]) == (3, 0, 3, [])
    assert [(state["from"], state["to"], state["leads"]) for state in report["states"]] == [
        ("lead", "lead", 2),
        ("opportunity", "deal", 1),
    ]
    assert report["owners"] == [{"owner": "ben", "leads": 1}]
    assert report["pools"] == [{"pool": "local", "leads": 2}]


def test_leads_without_a_state_to_go_to_are_not_migrated_and_the_nearest_name_is_offered(
    spine: Spine, old: str, new: str
) -> None:
    talked(spine)
    arrive(spine, 2)
    near = activate(spine, NEW.replace("deal", "opportunities"))
    before = everything(spine)

    with pytest.raises(Permanent, match="--map opportunity=opportunities") as refused:
        migrate(spine, near, [old], {})
    assert refused.value.code == "leads_stuck"
    with pytest.raises(Permanent, match="--map opportunity=STATE"):
        migrate(spine, new, [old], {})
    assert everything(spine) == before
    [stuck] = migrate(spine, near, [old], {}, dry_run=True)["stuck"]
    assert (stuck["state"], stuck["leads"], stuck["nearest"]) == ("opportunity", 1, "opportunities")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"opportunty": "deal"}, "no version to leave has a state opportunty; did you mean opportunity"),
        ({"opportunity": "deals"}, "has no state deals; did you mean deal"),
    ],
)
def test_a_state_that_is_mistyped_in_the_map_is_found(
    spine: Spine, old: str, new: str, names: dict[str, str], words: str
) -> None:
    with pytest.raises(Permanent) as refused:
        migrate(spine, new, [old], names)
    assert refused.value.code == "state_unknown"
    assert words in str(refused.value).replace("No version", "no version")


def test_a_lead_stays_on_its_journey(spine: Spine, old: str) -> None:
    other = activate(spine, NEW.replace("journey: default", "journey: other").replace("website", "portal"))

    with pytest.raises(Permanent) as refused:
        migrate(spine, other, [old])
    assert refused.value.code == "other_journey"
    with pytest.raises(Permanent) as refused:
        migrate(spine, "0" * 12, [old])
    assert refused.value.code == "journey_unknown"


# -- when it is done ---------------------------------------------------------------------------------------------------


def test_a_migrated_lead_keeps_its_state_and_owner_and_is_scored_and_routed_by_the_new_rules(
    spine: Spine, old: str, new: str
) -> None:
    lead = talked(spine)
    before = lead_of(spine, lead)
    activate(spine, NEW)
    spine.passes(timedelta(hours=1))

    report = migrate(spine, new, [old])
    assert (report["migrated"], report["left"]) == (1, 0)
    due = lead_of(spine, lead)
    assert (due["journey"], due["state"], due["next_step"], due["due_since"]) == (new, "deal", "qualify", spine.now)

    spine.run(step="qualify")
    after = lead_of(spine, lead)
    assert (before["score_fit"], after["score_fit"]) == (10, 30)
    assert (before["owner"], after["owner"]) == ("ana", "ana")
    assert (after["entered_at"], after["next_step"]) == (before["entered_at"], None)

    [made] = spine.rows("SELECT * FROM transition WHERE lead_id = :id AND name = 'migrate'", id=lead)
    assert (made["journey"], made["from_state"], made["to_state"]) == (new, "opportunity", "deal")
    assert (made["number"], made["actor"]) == (before["transitions"] + 1, "key:7")
    [decided] = spine.rows("SELECT * FROM decision WHERE lead_id = :id AND step = 'migrate'", id=lead)
    assert (decided["outcome"], decided["journey"]) == ("migrated", new)
    assert decided["explanation"]["from_journey"] == old
    later = "SELECT DISTINCT journey FROM decision WHERE lead_id = :id AND number > :number"
    assert spine.rows(later, id=lead, number=decided["number"]) == [{"journey": new}]


def test_a_migration_is_told_in_the_leads_own_order(spine: Spine, old: str, new: str) -> None:
    lead = talked(spine)
    migrate(spine, new, [old])
    spine.run(step="qualify")

    told = spine.rows("SELECT type, sequence, data FROM event WHERE lead_id = :id ORDER BY tx, position", id=lead)
    assert [row["sequence"] for row in told] == list(range(1, len(told) + 1))
    [migrated] = [row["data"] for row in told if row["type"] == "lead.migrated"]
    assert migrated == {"from_journey": old, "journey": new, "from_state": "opportunity", "state": "deal"}
    types = [row["type"] for row in told]
    assert "lead.scored" in types[types.index("lead.migrated") :]


def test_an_owner_the_new_version_does_not_know_gives_the_lead_to_one_it_knows(
    spine: Spine, old: str, new: str
) -> None:
    lead = arrive(spine, country="FR")
    assert lead_of(spine, lead)["owner"] == "ben"

    kept = arrive(spine, 2)
    spine.do("""UPDATE lead SET assignment = '{"since": "2026-11-20T12:00:00Z"}'""")
    migrate(spine, new, [old])
    assert lead_of(spine, lead)["assignment"] is None
    assert lead_of(spine, kept)["assignment"] == {"since": "2026-11-20T12:00:00Z"}
    spine.run(step="qualify")

    assert lead_of(spine, lead)["owner"] in {"ana", "eve"}
    [decided] = spine.rows("SELECT explanation FROM decision WHERE step = 'migrate' AND lead_id = :id", id=lead)
    assert decided["explanation"]["lost_owner"] == "ben"


def test_the_law_of_state_holds_for_migrations_too(spine: Spine, old: str, new: str) -> None:
    lead = talked(spine)
    other = arrive(spine, 2)
    migrate(spine, new, [old])
    forged = """
        INSERT INTO transition (lead_id, number, journey, from_state, name, to_state, at, actor)
        VALUES (:other, 9, :new, 'lead', 'migrate', 'customer', now(), 'by hand')
    """
    for refused in (
        "UPDATE lead SET journey = :old WHERE id = :lead",
        "UPDATE lead SET state = 'customer' WHERE id = :lead",
        forged,
    ):
        with pytest.raises(Exception, match=r"lead_state_is_lawful|fk_transition_is_a_move|cannot be in"):
            spine.do(refused, old=old, new=new, lead=lead, other=other)


def test_a_migration_that_was_interrupted_goes_on_and_no_lead_is_migrated_twice(
    spine: Spine, old: str, new: str
) -> None:
    spine.do(
        "INSERT INTO person (id, created_at, updated_at) "
        "SELECT gen_random_uuid(), now(), now() FROM generate_series(1, 1200)"
    )
    spine.do(
        "INSERT INTO lead (id, person_id, journey, journey_name, state, open, source, channel, created_at, updated_at) "
        "SELECT gen_random_uuid(), id, :old, 'default', 'lead', true, 'website', 'form', now(), now() FROM person",
        old=old,
    )
    heard: list[tuple[int, int]] = []

    first = migrate(spine, new, [old], most=500, tell=lambda done, of_all: heard.append((done, of_all)))
    second = migrate(spine, new, [old])
    third = migrate(spine, new, [old])

    assert (first["migrated"], first["left"]) == (500, 700)
    assert heard == [(500, 1200)]
    assert (second["migrated"], second["left"], third["migrated"]) == (700, 0, 0)
    assert spine.rows("SELECT count(*) AS n FROM transition WHERE name = 'migrate'") == [{"n": 1200}]


def test_a_lead_that_a_worker_has_in_hand_is_come_back_to(spine: Spine, old: str, new: str) -> None:
    leads = [arrive(spine, number) for number in range(3)]
    with spine.engine.connect() as worker:
        worker.execute(text("SELECT FROM lead WHERE id = :id FOR UPDATE"), {"id": leads[0]})
        seen: list[int] = []

        def tell(done: int, _: int) -> None:
            seen.append(done)
            worker.rollback()

        assert migrate(spine, new, [old], tell=tell)["migrated"] == 3
    assert seen[0] == 2


def test_a_lead_that_stays_in_work_is_left_and_said_so(spine: Spine, old: str, new: str) -> None:
    leads = [arrive(spine, number) for number in range(2)]
    with spine.engine.connect() as worker:
        worker.execute(text("SELECT FROM lead WHERE id = :id FOR UPDATE"), {"id": leads[0]})
        report = migrate(spine, new, [old], patience=timedelta(0))

    assert (report["migrated"], report["left"]) == (1, 1)
    assert lead_of(spine, leads[0])["journey"] == old


def test_a_lead_whose_latest_event_is_younger_is_migrated_by_a_later_transaction(
    spine: Spine, old: str, new: str
) -> None:
    lead = arrive(spine)
    spine.do("UPDATE lead SET event_tx = (pg_current_xact_id()::text::bigint + 4)::text::xid8")

    assert migrate(spine, new, [old])["migrated"] == 1
    told = spine.rows("SELECT sequence FROM event WHERE lead_id = :id ORDER BY tx, position", id=lead)
    assert [row["sequence"] for row in told] == list(range(1, len(told) + 1))


def test_beside_working_workers_every_lead_is_migrated_once_and_none_is_lost(spine: Spine, old: str, new: str) -> None:
    receipts = [spine.arrives({"email": f"p{number}@kiln.example", "country": "DE"}) for number in range(120)]
    runtime = spine.runtime(batch_size=7)
    worker = threading.Thread(target=lambda: run_all(runtime.hear, spine))
    worker.start()
    while worker.is_alive():
        migrate(spine, new, [old])
    worker.join()
    activate(spine, NEW)
    migrate(spine, new, [old])
    spine.run(step="qualify")

    assert {spine.receipt(receipt)["status"] for receipt in receipts} == {"processed"}
    found = spine.rows("SELECT journey, next_step, count(*) AS n FROM lead GROUP BY 1, 2")
    assert found == [{"journey": new, "next_step": None, "n": 120}]
    assert spine.rows("SELECT max(n) AS n FROM (SELECT count(*) AS n FROM transition GROUP BY lead_id) AS t") == [
        {"n": 1}
    ]
    assert spine.rows("SELECT count(*) AS n FROM dead_letter") == [{"n": 0}]
    numbered = """
        SELECT count(*) AS n FROM (
            SELECT sequence, row_number() OVER (PARTITION BY lead_id ORDER BY tx, position) AS at FROM event
        ) AS e WHERE sequence <> at
    """
    assert spine.rows(numbered) == [{"n": 0}]


def run_all(hear: Callable[..., int], spine: Spine) -> None:
    """Work until no arrival is left."""
    while hear("identify", now=spine.now):
        for step in ("qualify", "score", "route", "advance"):
            hear(step, now=spine.now)


# -- closed, set aside, unreadable -------------------------------------------------------------------------------------


def lost(spine: Spine, number: int = 1) -> str:
    lead = arrive(spine, number)
    move_lead(spine.engine, lead, "drop", reason=None, actor="key:1", now=spine.now)
    spine.run(step="advance")
    return lead


def test_closed_leads_stay_with_their_version_unless_they_are_asked_for_and_stay_closed(
    spine: Spine, old: str, new: str
) -> None:
    lead = lost(spine)
    assert migrate(spine, new, [old])["migrated"] == 0
    assert lead_of(spine, lead)["journey"] == old

    report = migrate(spine, new, [old], closed=True)
    after = lead_of(spine, lead)
    assert (report["migrated"], report["left"]) == (1, 0)
    assert (after["journey"], after["state"], after["open"]) == (new, "lost", False)
    assert (after["owner"], after["next_step"], after["due_since"]) == ("ana", None, None)


def test_a_migration_does_not_open_closed_leads(spine: Spine, old: str) -> None:
    lost(spine)
    reopened = activate(spine, NEW.replace("lost: {final: true}", "lost: {to: {again: lead}}"))

    with pytest.raises(Permanent, match="1 closed lead in lost would be opened"):
        migrate(spine, reopened, [old], closed=True)


def test_a_lead_whose_state_is_final_in_the_new_version_is_closed_and_settled(spine: Spine, old: str, new: str) -> None:
    lead = talked(spine)

    report = migrate(spine, new, [old], {"opportunity": "customer"})

    assert [state["closes"] for state in report["states"]] == [True]
    after = lead_of(spine, lead)
    assert (after["open"], after["state"], after["next_step"], after["wake_at"]) == (False, "customer", None, None)


def test_a_lead_that_is_set_aside_stays_set_aside_until_somebody_retries_it(spine: Spine, old: str, new: str) -> None:
    lead = arrive(spine)
    spine.do("UPDATE lead SET next_step = 'route' WHERE id = :id", id=lead)

    migrate(spine, new, [old])

    after = lead_of(spine, lead)
    assert (after["journey"], after["next_step"], after["due_since"]) == (new, "qualify", None)


def test_a_lead_that_was_told_to_be_overdue_may_be_told_again_where_the_new_version_gives_another_time(
    spine: Spine, old: str, new: str
) -> None:
    lead = talked(spine)
    spine.do("UPDATE lead SET overdue = true")
    migrate(spine, new, [old])
    assert lead_of(spine, lead)["overdue"] is True

    longer = activate(spine, NEW.replace("sla: 7d", "sla: 30d"))
    migrate(spine, longer, [new], {})
    assert lead_of(spine, lead)["overdue"] is False


def test_leads_leave_a_version_that_this_code_cannot_read(spine: Spine, old: str, new: str) -> None:
    lead = talked(spine)
    spine.do("UPDATE journey SET document = 'journey: [from, the, future]' WHERE version = :old", old=old)
    activate(spine, NEW)

    assert migrate(spine, new, [old])["migrated"] == 1
    spine.run(step="qualify")
    assert lead_of(spine, lead)["next_step"] is None


@pytest.mark.usefixtures("old")
def test_all_other_versions_are_left_for_one(spine: Spine, new: str) -> None:
    arrive(spine, 1)
    activate(spine, OLD.replace("points: 10", "points: 11"))
    arrive(spine, 2)

    report = migrate(spine, new)

    assert (report["migrated"], len({state["version"] for state in report["states"]})) == (2, 2)
    assert spine.rows("SELECT DISTINCT journey FROM lead") == [{"journey": new}]


# -- plans -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("analysed", [False, True], ids=["fresh", "with statistics"])
def test_no_statement_of_a_migration_reads_all_leads(spine: Spine, old: str, new: str, *, analysed: bool) -> None:
    for number in range(40):
        arrive(spine, number)
    lost(spine, 99)
    if analysed:
        spine.do("ANALYZE")
    statements: dict[str, Any] = {}
    runtime = spine.runtime()
    event.listen(
        runtime.engine,
        "before_cursor_execute",
        lambda _c, _u, statement, parameters, *_: statements.setdefault(statement, parameters),
    )
    report = migrate_leads(runtime.engine, new, [old], MAP, actor="key:7", closed=True, now=spine.now)
    assert (report["migrated"], report["left"]) == (41, 0)

    with runtime.engine.begin() as connection:
        plans = {
            statement: "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())
            for statement, parameters in list(statements.items())
            if not statement.startswith("SET")
        }
    whole = [plan for plan in plans.values() if "Seq Scan on lead" in plan]
    assert not whole, "\n\n".join(whole)
    page = [plan for statement, plan in plans.items() if "SKIP LOCKED" in statement and "journey = " in statement]
    assert any("ix_lead_journey" in plan for plan in page)
