"""Opportunities: opened with their lead, worked on, won and lost by one path with it, and never told of twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from schema.errors import Permanent
from schema.journey import default_text
from schema.store import journeys
from schema.store.ids import new_id
from tests.spine import Spine, prepare
from workers.helpdesk.by_hand import TicketService
from workers.moves import move_lead
from workers.sales.by_hand import Sales

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = timedelta(days=1)
TWO = default_text().replace("caps: [{most: 2, per: 7d}]", "caps: [{most: 3, per: 7d}]").replace(
    "      need: {label: Need understood, probability: 35, requires: [next_action]}\n",
    "      need: {label: Need understood, probability: 35}\n",
)  # fmt: skip


@pytest.fixture
def usual(postgres_url: str) -> Iterator[Spine]:
    """The default journey, with a stage that says nothing of how quiet one may be, nor asks for anything."""
    prepare(postgres_url, TWO)
    spine = Spine(postgres_url)
    yield spine
    spine.close()


def arrive(spine: Spine, name: str = "ana", **more: object) -> str:
    """Let somebody arrive whom a seller gets at once, and return the lead."""
    receipt = spine.arrives(
        {"email": f"{name}@kiln.example", "interests": "crm", "employees": 600, "country": "DE", **more}
    )
    spine.run()
    lead = spine.lead_of(receipt)
    assert lead["state"] == "opportunity"
    return str(lead["id"])


def sales(spine: Spine) -> Sales:
    return Sales(spine.engine, spine.hints.send)


def test_rules_ask_about_the_opportunity_or_the_ticket_that_sets_them_off(spine: Spine) -> None:
    rules = """
follow_ups:
  big: {event: [opportunity.lost, ticket.opened], when: opportunity.amount >= 1000.5, text: Call., within: 1h}
  dear:
    event: opportunity.lost
    when: opportunity.reason == "price" && "Oven" in opportunity.products
    text: Offer less.
    within: 1h
  early: {event: opportunity.stage, when: opportunity.probability == 0.55, text: Go., within: 1h}
  angry: {event: ticket.opened, when: ticket.kind == "complaint", text: Say sorry., within: 1h}
"""
    head, tail = default_text().split("\nfollow_ups:\n")
    with spine.engine.begin() as connection:
        journey = journeys.store(
            connection, head + rules + tail[tail.index("\n# How customers are helped") :], spine.now
        )
        journeys.activate(connection, journey, spine.now)
    lead = arrive(spine)
    [row] = of(spine, lead)
    dear = sales(spine).open(lead, None, {"amount": "1000.50", "products": [{"name": "Oven"}]}, actor="key:1")
    for each in (row["id"], dear["id"]):
        amount = "1000.49" if each == row["id"] else "1000.50"
        given = {"stage": "offer", "amount": amount, "expected_close": "2027-01-31"}
        sales(spine).change(each, given, actor="key:1", now=spine.now)
        sales(spine).lose(each, "price" if each == dear["id"] else "timing", actor="key:1", now=spine.now)
    desk = TicketService(spine.engine, spine.hints.send)
    for kind in ("question", "complaint"):
        desk.open(lead, {"kind": kind, "source": "by_hand", "channel": "phone"}, "Hm.", actor="key:1", now=spine.now)
    made = spine.rows("SELECT rule, about_kind, about_id FROM follow_up ORDER BY rule, id")
    assert [(each["rule"], each["about_kind"]) for each in made] == [
        ("angry", "ticket"), ("big", "opportunity"), ("dear", "opportunity"), ("early", "opportunity"),
        ("early", "opportunity"),
    ]  # fmt: skip
    assert {each["about_id"] for each in made[1:3]} == {dear["id"]}


def of(spine: Spine, lead: str) -> list[dict[str, Any]]:
    return spine.rows("SELECT * FROM opportunity WHERE lead_id = :lead ORDER BY id", lead=lead)


def state(spine: Spine, lead: str) -> str:
    return str(spine.rows("SELECT state FROM lead WHERE id = :id", id=lead)[0]["state"])


def moves(spine: Spine, lead: str) -> list[str]:
    return [
        row["name"] for row in spine.rows("SELECT name FROM transition WHERE lead_id = :id ORDER BY number", id=lead)
    ]


def told(spine: Spine, lead: str) -> list[str]:
    found = spine.rows("SELECT type FROM event WHERE lead_id = :id ORDER BY sequence", id=lead)
    return [row["type"] for row in found if row["type"].startswith("opportunity.")]


def changes(spine: Spine, opportunity: str) -> list[tuple[str, str]]:
    found = spine.rows(
        "SELECT what, actor FROM opportunity_change WHERE opportunity_id = :o ORDER BY number", o=opportunity
    )
    return [(row["what"], row["actor"]) for row in found]


def test_a_lead_has_one_opened_when_it_comes_into_the_state_and_no_second_however_often_it_is_looked_at(
    spine: Spine,
) -> None:
    lead = arrive(spine)
    spine.arrives({"email": "ana@kiln.example", "message": "and another thing"})
    spine.run()

    [opened] = of(spine, lead)

    assert (opened["stage"], opened["opened_by"], opened["outcome"]) == ("first_talk", "journey", None)
    assert told(spine, lead) == ["opportunity.opened"]
    assert changes(spine, opened["id"]) == [("opened", "journey")]
    assert spine.rows("SELECT due_at FROM timer WHERE id = :id", id=opened["id"]) == [{"due_at": spine.now + 7 * DAY}]


def test_a_stage_asks_for_what_it_requires_and_every_change_is_a_row(spine: Spine) -> None:
    lead = arrive(spine)
    opportunity = of(spine, lead)[0]["id"]
    work = sales(spine)

    with pytest.raises(Permanent) as refused:
        work.change(opportunity, {"stage": "offer"}, actor="key:1", now=spine.now)
    assert (refused.value.code, refused.value.facts["missing"]) == ("stage_requires", ["amount", "expected_close"])
    spine.passes(DAY)
    given = {"stage": "offer", "amount": "12000.10", "expected_close": "2026-12-24", "products": [{"name": "Kiln"}]}
    done = work.change(opportunity, given, actor="key:1", now=spine.now)
    again = work.change(opportunity, given, actor="key:1", now=spine.now)

    assert (done["amount"], done["currency"], done["probability"]["value"]) == ("12000.10", "EUR", 0.55)
    assert again["changes"] == done["changes"] == 2
    first, second = done["history"]
    assert (first["what"], second["what"], second["stayed_s"]) == ("opened", "stage", 86_400)
    assert second["data"]["amount"] == {"from": None, "to": "12000.10"}
    with pytest.raises(Permanent, match="changed meanwhile"):
        work.change(opportunity, {"next_action": "call"}, actor="key:1", expect=1)
    assert told(spine, lead) == ["opportunity.opened", "opportunity.changed"]


def test_who_wins_one_moves_the_lead_once_and_nothing_goes_round(spine: Spine) -> None:
    lead = arrive(spine)
    other = sales(spine).open(lead, None, {"name": "Second kiln"}, actor="key:1", now=spine.now)
    first = of(spine, lead)[0]["id"]

    done = sales(spine).win(first, {"amount": "900"}, actor="key:1", now=spine.now)
    spine.run()

    assert done["moved"] == {"name": "win", "from_state": "opportunity", "to_state": "customer"}
    assert (done["status"], done["amount"], done["closed_at"]) == ("won", "900", spine.now)
    assert moves(spine, lead) == ["qualify", "win"]
    assert [row["outcome"] for row in of(spine, lead)] == ["won", None], "the other one is still worked on"
    assert "opportunity.won" in [
        row["kind"] for row in spine.rows("SELECT kind FROM touchpoint WHERE channel = 'sales'")
    ]
    with pytest.raises(Permanent) as twice:
        sales(spine).lose(first, "price", actor="key:2", now=spine.now)
    assert (twice.value.code, twice.value.facts["outcome"]) == ("opportunity_closed", "won")
    lost = sales(spine).lose(other["id"], "price", actor="key:1", now=spine.now)
    assert (lost["moved"], state(spine, lead)) == (None, "customer"), "from there no way is called lose"


def test_the_last_one_that_is_lost_takes_the_lead_along_and_taking_it_up_again_brings_it_back(spine: Spine) -> None:
    lead = arrive(spine)
    first = of(spine, lead)[0]["id"]
    second = sales(spine).open(lead, "sales", {}, actor="key:1", now=spine.now)["id"]

    with pytest.raises(Permanent) as wrong:
        sales(spine).lose(first, "weather", actor="key:1", now=spine.now)
    assert sales(spine).lose(first, "price", actor="key:1", now=spine.now)["moved"] is None
    assert sales(spine).lose(second, "timing", actor="key:1", now=spine.now)["moved"]["name"] == "lose"
    spine.run()
    reasons = spine.rows("SELECT reason FROM transition WHERE name = 'lose'")
    spine.passes(30 * DAY)
    back = sales(spine).reopen(second, actor="key:1", now=spine.now)
    spine.run()

    assert "price" in wrong.value.facts["known"]  # type: ignore[operator]
    assert reasons == [{"reason": "timing"}]
    assert (back["status"], back["reason"], back["reopened"]) == ("open", None, 1)
    assert back["moved"] == {"name": "win_back", "from_state": "lost", "to_state": "opportunity"}
    assert moves(spine, lead) == ["qualify", "lose", "win_back"]
    assert [row["outcome"] for row in of(spine, lead)] == ["lost", None], "none is opened beside it"
    with pytest.raises(Permanent, match="It is open"):
        sales(spine).reopen(second, actor="key:1", now=spine.now)


def test_a_lead_that_is_moved_by_hand_takes_its_opportunities_along(spine: Spine) -> None:
    lead = arrive(spine)
    sales(spine).open(lead, "sales", {}, actor="key:1", now=spine.now)

    move_lead(spine.engine, lead, "lose", reason="competitor", actor="key:1", now=spine.now)

    assert [(row["outcome"], row["reason"]) for row in of(spine, lead)] == [("lost", "competitor")] * 2
    assert moves(spine, lead) == ["qualify", "lose"]
    assert spine.rows("SELECT * FROM timer WHERE kind = 'opportunity'") == []

    spine.passes(DAY)
    move_lead(spine.engine, lead, "win_back", reason=None, actor="key:1", now=spine.now)
    spine.run()
    assert [row["outcome"] for row in of(spine, lead)] == ["lost", "lost", None], "won back is a new chance"


def test_a_purchase_wins_the_one_that_is_open_and_says_its_amount(spine: Spine) -> None:
    lead, also = arrive(spine), arrive(spine, "ben")
    small = sales(spine).open(also, "sales", {"amount": "20", "name": "small"}, actor="key:1", now=spine.now)["id"]
    sales(spine).change(
        of(spine, also)[0]["id"],
        {"amount": "500", "next_action": "call", "stage": "need"},
        actor="key:1",
        now=spine.now,
    )
    for name, total in (("ana", "99.90"), ("ben", "20.00")):
        order = {
            "specversion": "1.0", "id": new_id(), "source": "shop", "type": "purchase",
            "data": {"email": f"{name}@kiln.example", "total": total, "currency": "CHF", "order_id": name},
        }  # fmt: skip
        spine.arrives(order, source="product", channel="event")
    spine.run()

    [won] = of(spine, lead)
    assert (won["outcome"], won["amount"], won["currency"]) == ("won", Decimal("99.90"), "CHF")
    assert (state(spine, lead), moves(spine, lead)) == ("customer", ["qualify", "win"])
    assert {row["id"]: row["outcome"] for row in of(spine, also)}[small] == "won", "the one of that amount"
    assert sum(row["outcome"] is None for row in of(spine, also)) == 1


def test_of_two_who_decide_at_once_one_does_and_the_other_hears_how(spine: Spine) -> None:
    lead = arrive(spine)
    opportunity = of(spine, lead)[0]["id"]
    ready = threading.Barrier(2)

    def decide(way: str) -> str:
        ready.wait()
        try:
            if way == "win":
                sales(spine).win(opportunity, {}, actor="key:1")
            else:
                sales(spine).lose(opportunity, "price", actor="key:2")
        except Permanent as refused:
            return refused.code
        return way

    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(decide, ("win", "lose")))

    assert len(found) == 2
    assert "opportunity_closed" in found
    assert len(moves(spine, lead)) == 2


# -- quiet -------------------------------------------------------------------------------------------------------------


def test_one_that_is_quiet_for_too_long_is_told_once_for_each_spell(spine: Spine) -> None:
    lead = arrive(spine)
    worker = spine.runtime()

    def pass_and_look(time: timedelta) -> int:
        spine.passes(time)
        spine.run(worker, "followup")
        return told(spine, lead).count("opportunity.quiet")

    assert pass_and_look(6 * DAY) == 0
    assert pass_and_look(3 * DAY) == 1, "a look that comes late finds it all the same"
    assert pass_and_look(20 * DAY) == 1
    spine.arrives({"email": "ana@kiln.example", "message": "still interested"})
    spine.run(worker)
    assert sales(spine).one(of(spine, lead)[0]["id"])["quiet_since"] is None, "an answer ends the spell"
    assert pass_and_look(6 * DAY) == 1
    assert pass_and_look(8 * DAY) == 2
    sales(spine).change(of(spine, lead)[0]["id"], {"next_action": "call"}, actor="key:1", now=spine.now)
    assert of(spine, lead)[0]["quiet_since"] is None
    [event] = spine.rows("SELECT data FROM event WHERE type = 'opportunity.quiet' ORDER BY sequence LIMIT 1")
    assert event["data"]["silent_s"] == 9 * 86_400
    assert (event["data"]["limit_s"], event["data"]["rests_on"]) == (7 * 86_400, None)


def past(spine: Spine, count: int, stage: str, days: float, outcome: str = "won") -> None:
    """Write opportunities that went on from a stage after some days, and were decided then."""
    spine.do(
        """
        WITH made AS (
            INSERT INTO opportunity (id, lead_id, person_id, journey_name, pipeline, stage, stage_since, opened_at,
                                     opened_by, closed_at, touched_at, outcome, reason, changes)
            SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'default', 'sales', :stage, :began,
                   :began, 'journey', :ended, :ended, :outcome, CASE :outcome WHEN 'lost' THEN 'price' END, 2
            FROM generate_series(1, :count) RETURNING id
        ) INSERT INTO opportunity_change (opportunity_id, number, at, actor, what, to_stage)
        SELECT id, n, CASE n WHEN 1 THEN CAST(:began AS timestamptz) ELSE :ended END, 'journey',
               CASE n WHEN 1 THEN 'opened' ELSE :outcome END, :stage
        FROM made, generate_series(1, 2) AS n
        """,
        count=count, stage=stage, outcome=outcome,
        began=spine.now - (200 + days) * DAY, ended=spine.now - 200 * DAY,
    )  # fmt: skip


def test_where_the_journey_does_not_say_it_own_history_says_what_is_too_quiet(usual: Spine) -> None:
    lead = arrive(usual)
    opportunity = of(usual, lead)[0]["id"]
    worker = usual.runtime()
    sales(usual).change(opportunity, {"stage": "need"}, actor="key:1", now=usual.now)
    usual.passes(30 * DAY)
    usual.run(worker, "followup")
    assert "opportunity.quiet" not in told(usual, lead), "nothing is known of how quiet others were"

    past(usual, 29, "need", 3)
    past(usual, 2, "need", 40)
    past(usual, 30, "need", 300, outcome="lost")
    usual.passes(8 * DAY)
    usual.run(worker, "followup")

    [event] = usual.rows("SELECT data FROM event WHERE type = 'opportunity.quiet'")
    assert (event["data"]["limit_s"], event["data"]["rests_on"]) == (3 * 86_400, 31)


# -- figures -----------------------------------------------------------------------------------------------------------


def test_own_history_takes_over_from_what_the_journey_says_and_is_forecast_from(spine: Spine) -> None:
    lead = arrive(spine)
    opportunity = of(spine, lead)[0]["id"]
    sales(spine).change(opportunity, {"amount": "1000", "expected_close": "2027-01-15"}, actor="key:1", now=spine.now)
    plain = sales(spine).forecast(months=3, now=spine.now)
    past(spine, 30, "first_talk", 10)
    past(spine, 10, "first_talk", 10, outcome="lost")

    found = sales(spine).forecast(months=3, now=spine.now)

    assert plain["rests_on"]["by_stage"] == 1
    assert [(item["month"], item["naive"]) for item in plain["items"]] == [
        ("2026-11", "0.00"), ("2026-12", "0.00"), ("2027-01", "150.00"),
    ]  # fmt: skip
    assert (found["rests_on"]["by_history"], found["rests_on"]["decided"]) == (1, 40)
    assert 700 < float(found["items"][0]["expected"]) < 800, "three of four were won, all of them after ten days"
    assert found == sales(spine).forecast(months=3, now=spine.now)
    probable = sales(spine).one(opportunity)["probability"]
    assert (probable["basis"], probable["decided"], probable["won"]) == ("history", 40, 30)
    assert probable["value"] == pytest.approx((0.15 * 10 + 30) / 50)
    assert probable["low"] < probable["value"] < probable["high"]
    shown = sales(spine).pipeline()
    assert shown["stages"][0] | {"oldest": None} == {
        "stage": "first_talk", "label": "First talk", "probability": 0.15, "count": 1, "without_amount": 0, "quiet": 0,
        "oldest": None, "sums": {"EUR": "1000"},
    }  # fmt: skip


def test_no_list_looks_at_all_opportunities(spine: Spine) -> None:
    arrive(spine)
    past(spine, 3000, "offer", 10)
    spine.do("ANALYZE opportunity")
    from schema.store import opportunities as store  # noqa: PLC0415 - what is looked into

    for wanted in (
        {"state": "open"},
        {"state": "open", "owner": "ana"},
        {"state": "open", "pipeline": "sales", "stage": "offer"},
    ):
        given = {name: value for name, value in wanted.items() if name != "state"}
        where = " AND ".join(store._CONDITIONS[name] for name in ("open", *given))  # noqa: SLF001
        with spine.engine.connect() as connection:
            plan = connection.execute(
                text(f"EXPLAIN SELECT * FROM opportunity AS o WHERE {where} ORDER BY o.id DESC LIMIT 50"),  # noqa: S608
                given,
            ).scalars()
            assert "Seq Scan on opportunity" not in "\n".join(plan), wanted
