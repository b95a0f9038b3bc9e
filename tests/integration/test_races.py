"""Two do something to the same thing at once, in either order: one outcome, nothing lost, and who is late is told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import text

from schema.contract import Told
from schema.errors import Permanent
from tests.desking import activate, entries, mail, mails, passes, service, tickets, told, writes
from tests.integration import test_clocks, test_contracts, test_surveys
from tests.rig import until
from workers.helpdesk.recalculation import recalculate
from workers.retention.by_hand import Retention
from workers.sales.by_hand import Sales
from workers.satisfaction.answers import Answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.spine import Spine

    Act = Callable[[], object]

ORDERS: Final = pytest.mark.parametrize("second_first", [False, True], ids=["in_turn", "the_other_way_round"])
AGENT: Final[dict[str, Any]] = {"actor": "key:1", "agent": "ana"}
_WAIT: Final = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def race(spine: Spine, table: str, one: Act, other: Act, *, second_first: bool) -> list[str]:
    """
    Have two acts meet, the one always before the other; return what each came to, of a refusal its code.

    The rows of `table` are held until the first one waits for them, with its lead in hand, and the second one waits for
    the first (or has passed over what the first one has, as a worker does). Then both go on.
    """
    acts = [one, other][:: -1 if second_first else 1]
    with spine.engine.connect() as holder, ThreadPoolExecutor(2) as threads:
        try:
            holder.execute(text(f"SELECT FROM {table} FOR UPDATE"))
            first = threads.submit(_answer, acts[0])
            until(lambda: len(spine.rows(_WAIT)) == 1 or first.done(), "the first one has its lead")
            assert not first.done(), first.result()
            second = threads.submit(_answer, acts[1])
            until(lambda: len(spine.rows(_WAIT)) > 1 or second.done(), "the second one has come")
        finally:
            holder.rollback()
        return [each.result() for each in (first, second)][:: -1 if second_first else 1]


def _answer(act: Act) -> str:
    try:
        return str(act())
    except Permanent as refusal:
        return refusal.code


# -- tickets -----------------------------------------------------------------------------------------------------------


@ORDERS
def test_a_reply_that_comes_while_its_ticket_closes_by_itself_opens_another(
    spine: Spine, *, second_first: bool
) -> None:
    activate(spine)
    mails(spine, mail("Late order", Message_ID="<1@kiln.example>"))
    [ticket] = tickets(spine)
    service(spine).status(ticket["id"], "resolved", now=spine.now, **AGENT)
    spine.run(step="score")
    spine.passes(timedelta(days=5))
    reply = spine.arrives(mail("Re: Late order", "No!", In_Reply_To="<1@kiln.example>"), source="help", channel="email")
    worker = spine.runtime()

    race(
        spine,
        "ticket",
        lambda: worker.hear("followup", now=spine.now),
        lambda: worker.hear("identify", [reply], now=spine.now),
        second_first=second_first,
    )
    for step in ("identify", "followup"):
        spine.run(worker, step)

    closed, opened = tickets(spine)
    assert (closed["status"], opened["status"], opened["refers_to"]) == ("closed", "new", closed["id"])
    assert entries(spine, opened["id"]).count(("message_in", "customer")) == 1
    assert (len(told(spine, "ticket.closed")), len(told(spine, "ticket.reopened"))) == (1, 0)


@ORDERS
def test_a_reply_that_comes_while_an_agent_resolves_is_not_lost(spine: Spine, *, second_first: bool) -> None:
    activate(spine)
    mails(spine, mail("Late order", Message_ID="<1@kiln.example>"))
    [ticket] = tickets(spine)
    reply = spine.arrives(mail("Re: Late order", "No!", In_Reply_To="<1@kiln.example>"), source="help", channel="email")
    worker, resolve = spine.runtime(), partial(service(spine).status, ticket["id"], "resolved", seen=ticket["entries"])

    resolved, _ = race(
        spine,
        "ticket",
        lambda: resolve(now=spine.now, **AGENT)["status"],
        lambda: worker.hear("identify", [reply], now=spine.now),
        second_first=second_first,
    )
    spine.run(worker)

    [after] = tickets(spine)
    assert entries(spine, ticket["id"]).count(("message_in", "customer")) == 2
    assert (resolved, after["reopened"]) == (("customer_wrote", 0) if second_first else ("resolved", 1))
    assert after["status"] == ("new" if second_first else "open")
    with pytest.raises(Permanent, match="read it, and decide anew") as refused:
        service(spine).answer(ticket["id"], "Done.", "email", seen=ticket["entries"], now=spine.now, **AGENT)
    assert refused.value.facts["entries"] == after["entries"]
    done = service(spine).status(ticket["id"], "resolved", seen=after["entries"], now=spine.now, **AGENT)
    assert done["status"] == "resolved"


@ORDERS
def test_an_answer_that_is_given_when_its_time_is_over_is_late_and_told_once(
    spine: Spine, *, second_first: bool
) -> None:
    activate(spine, test_clocks.SLAS)
    writes(spine, message=test_clocks.URGENT)
    [ticket] = tickets(spine)
    passes(spine, timedelta(minutes=24))
    spine.passes(timedelta(minutes=6))
    worker = spine.runtime()

    race(
        spine,
        "ticket_clock",
        lambda: worker.hear("followup", now=spine.now),
        lambda: service(spine).answer(ticket["id"], "Now.", "phone", now=spine.now, **AGENT)["status"],
        second_first=second_first,
    )
    spine.run(worker, "followup")

    assert test_clocks.clocks(spine)["first_response1"] == ("missed", 30)
    assert [each["metric"] for each in told(spine, "ticket.breached")] == ["first_response"]
    assert len(told(spine, "ticket.replied")) == 1


@ORDERS
def test_a_clock_that_is_counted_anew_while_it_goes_off_is_told_once(spine: Spine, *, second_first: bool) -> None:
    activate(spine, test_clocks.SLAS)
    writes(spine, message=test_clocks.URGENT)
    activate(spine, test_clocks.SLAS.replace("first_response: 30m", "first_response: 1h"))
    spine.passes(timedelta(minutes=15))
    worker = spine.runtime()

    race(
        spine,
        "ticket_clock",
        lambda: worker.hear("followup", now=spine.now),
        lambda: recalculate(spine.engine, None, actor="key:1", hint=spine.hints.send, now=spine.now)["tickets"],
        second_first=second_first,
    )
    spine.run(worker, "followup")
    assert test_clocks.clocks(spine)["first_response1"] == ("active", 60)
    for _ in range(6):
        spine.passes(timedelta(minutes=15))
        spine.run(worker, "followup")

    escalated = [(each["metric"], each["percent"]) for each in told(spine, "ticket.escalated")]
    assert escalated == [("first_response", 50), ("first_response", 150)]
    assert [each["metric"] for each in told(spine, "ticket.breached")] == ["first_response"]


# -- sales -------------------------------------------------------------------------------------------------------------


@ORDERS
def test_one_that_is_won_by_hand_while_its_purchase_comes_is_won_once(spine: Spine, *, second_first: bool) -> None:
    receipt = spine.arrives({"email": "ana@kiln.example", "country": "DE", "employees": 80, "interests": ["crm"]})
    spine.run()
    [opportunity] = spine.rows("SELECT id FROM opportunity")
    order = {"email": "ana@kiln.example", "total": "99.50", "currency": "EUR", "order_id": "O-1"}
    bought = spine.arrives({"type": "purchase", "data": order}, source="product", channel="event")
    worker, sales = spine.runtime(), Sales(spine.engine, spine.hints.send)

    won, _ = race(
        spine,
        "opportunity",
        lambda: sales.win(opportunity["id"], {}, actor="key:1", now=spine.now) and "won",
        lambda: worker.hear("identify", [bought], now=spine.now),
        second_first=second_first,
    )
    spine.run(worker)

    assert won == ("opportunity_closed" if second_first else "won")
    assert [row["outcome"] for row in spine.rows("SELECT outcome FROM opportunity")] == ["won"]
    assert (len(told(spine, "opportunity.won")), spine.lead_of(receipt)["state"]) == (1, "customer")
    assert [row["name"] for row in spine.rows("SELECT name FROM transition ORDER BY number")] == ["qualify", "win"]
    assert len(spine.rows("SELECT FROM purchase")) == 1


@ORDERS
def test_a_contract_is_renewed_or_over_but_not_both(spine: Spine, *, second_first: bool) -> None:
    activate(spine, text=test_contracts.JOURNEY)
    receipt = spine.arrives({"email": test_contracts.NAME})
    spine.run()
    retention = Retention(spine.engine, spine.hints.send)
    contract = test_contracts.add(spine, retention, spine.lead_of(receipt)["id"], period="P30D")
    spine.now = datetime(2027, 2, 1, tzinfo=UTC)
    worker = spine.runtime()

    renewed, _ = race(
        spine,
        "contract",
        lambda: retention.renew(contract, Told("renewed", period="P12M"), actor="key:1", now=spine.now)["status"],
        lambda: worker.hear("followup", now=spine.now),
        second_first=second_first,
    )
    spine.run(worker, "followup")

    ended = len(told(spine, "contract.ended"))
    terms = [row["status"] for row in spine.rows("SELECT status FROM contract ORDER BY starts_on")]
    if second_first:
        assert (renewed, ended, terms) == ("contract_over", 1, ["ended"])
    else:
        assert (renewed, ended, terms) == ("active", 0, ["renewed", "active"])


# -- surveys -----------------------------------------------------------------------------------------------------------


@ORDERS
def test_a_survey_is_answered_or_over_but_not_both(spine: Spine, *, second_first: bool) -> None:
    activate(spine, test_surveys.ASKING)
    test_surveys.helped(spine)
    passes(spine, timedelta(hours=2))
    [survey] = spine.rows("SELECT id, expires_at FROM survey WHERE survey = 'helped'")
    spine.now = survey["expires_at"]
    worker, answers = spine.runtime(), Answers(spine.engine, spine.hints.send)
    give = partial(answers.give, survey["id"], score=1, comment=None, channel="survey", actor="customer")

    said, _ = race(
        spine,
        "survey",
        lambda: give(now=spine.now)["state"],
        lambda: worker.hear("followup", now=spine.now),
        second_first=second_first,
    )
    spine.run(worker, "followup")

    assert said == "survey_over"
    assert [row["state"] for row in spine.rows("SELECT state FROM survey WHERE survey = 'helped'")] == ["expired"]
    assert spine.rows("SELECT FROM survey_answer") == []
    assert len(tickets(spine)) == 1
