"""Hand-overs: what passes to another department is there once, and waits until somebody there does something."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy.exc import IntegrityError

from schema.contract import Told
from schema.journey import default_text
from schema.store import handovers, journeys
from tests.campaigning import told
from workers.followups.by_hand import FollowUps
from workers.helpdesk.by_hand import TicketService
from workers.identity.merge import Merger
from workers.migration import migrate_leads
from workers.moves import move_lead
from workers.owners import Owners
from workers.retention.by_hand import Retention
from workers.sales.by_hand import Sales

if TYPE_CHECKING:
    from tests.spine import Spine

MINUTE: Final = timedelta(minutes=1)
WARM: Final = {"name": "Jo Kiln", "country": "DE", "phone": "+4930901820", "employees": 600,
        "message": "Please call me back about a new kiln."}  # fmt: skip
# Bills are another department's, and so is Eva.
FINANCE: Final = (
    ("departments: [marketing, sales, service]", "departments: [marketing, sales, service, finance]"),
    ("eva: {name: Eva Lind,", "eva: {name: Eva Lind, department: finance,"),
    ("    helpdesk: {", """\
    bills: {department: finance, when: ticket.priority == "low", members: {ben: 1}}
    helpdesk: {"""),
)  # fmt: skip


def activate(spine: Spine, *changes: tuple[str, str]) -> str:
    text = default_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    with spine.engine.begin() as connection:
        journey = journeys.store(connection, text, spine.now)
        journeys.activate(connection, journey, spine.now)
    return journey.version


def arrives(spine: Spine, kind: str = "", **more: Any) -> str:  # noqa: ANN401 - fields of a form
    """Have somebody send the form, or do something of a kind; return their lead, when everything has settled."""
    if kind:
        event = {"specversion": "1.0", "id": f"{kind} {spine.now}", "source": "/shop", "type": kind,
                 "data": {"email": "jo@kiln.example"} | more}  # fmt: skip
        receipt = spine.arrives(event, source="product", channel="event")
    else:
        receipt = spine.arrives(WARM | {"email": "jo@kiln.example"} | more)
    spine.run(ids=[receipt])
    return str(spine.lead_of(receipt)["id"])


def buys(spine: Spine) -> str:
    return arrives(spine, "purchase", amount="1200.00", currency="EUR", order_id="o-1")


def short(spine: Spine) -> list[tuple[Any, ...]]:
    """Every hand-over: about what, by what, from, to, by whom, and what became of it."""
    with spine.engine.connect() as connection:
        items, _ = handovers.listed(connection, handovers.Wanted(), spine.now)
    return [
        (item["about"]["kind"], item["what"], item["from_department"], item["to_department"], item["actor"],
         item["taken_by"] or item["status"])
        for item in reversed(items)
    ]  # fmt: skip


def test_a_lead_goes_from_marketing_to_sales_to_service_and_each_takes_it_up(spine: Spine) -> None:
    lead = arrives(spine)
    assert short(spine) == [("lead", "qualify", "marketing", "sales", "journey", "open")]
    owner = spine.rows("SELECT owner FROM lead")[0]["owner"]
    spine.passes(30 * MINUTE)
    Owners(spine.engine, spine.hints.send).accept(lead, owner, actor="key:1", now=spine.now)
    taken = {"about": "lead", "about_id": lead, "number": 1, "department": "sales", "actor": owner, "after_s": 1800}
    assert told(spine, "handover.taken") == [taken]

    spine.passes(MINUTE)
    buys(spine)
    spine.run(step="advance")
    spine.run()
    assert short(spine) == [
        ("lead", "qualify", "marketing", "sales", "journey", owner),
        ("lead", "win", "sales", "service", "journey", "open"),
    ]
    [first, second] = spine.rows("SELECT * FROM handover ORDER BY number")
    assert (first["system"], first["to_system"], first["from_owner"], first["to_owner"]) == (
        "Throughline", "CRM", None, owner,
    )  # fmt: skip
    assert (second["system"], second["to_system"], second["at"]) == ("Shop", "Shop", spine.now)
    moved = [(each["from_department"], each["to_department"]) for each in told(spine, "lead.transitioned")]
    assert moved == [("marketing", "sales"), ("sales", "service")]

    # What service does about a ticket of theirs is the first thing that it does about the customer.
    spine.passes(5 * MINUTE)
    desk = TicketService(spine.engine, spine.hints.send)
    ticket = desk.open(
        lead, {"kind": "request", "source": "api", "channel": "phone"}, "Help!", actor="key:2", now=spine.now
    )
    assert [row[-1] for row in short(spine)] == [owner, "key:2"]
    assert told(spine, "handover.taken")[-1]["after_s"] == 300
    assert spine.rows("SELECT department FROM ticket WHERE id = :id", id=ticket["id"]) == [{"department": "service"}]
    # The same one twice is not possible, whoever writes.
    with pytest.raises(IntegrityError):
        spine.do("INSERT INTO handover SELECT * FROM handover WHERE number = 1")


def test_what_nobody_took_before_it_went_on_ended_and_who_fetches_work_has_taken_it(spine: Spine) -> None:
    lead = arrives(spine)
    spine.passes(MINUTE)
    buys(spine)
    assert [row[-1] for row in short(spine)] == ["ended", "open"]
    spine.passes(MINUTE)
    # Of who stopped buying nothing is owed: nobody waits in the department where they rest.
    spine.passes(timedelta(days=541))
    spine.run(step="followup")
    assert spine.lead_of(spine.rows("SELECT id FROM receipt LIMIT 1")[0]["id"])["state"] == "inactive"
    assert short(spine)[-2:] == [
        ("lead", "win", "sales", "service", "journey", "ended"),
        ("lead", "lapse", "service", "marketing", "journey", "ended"),
    ]
    move_lead(spine.engine, lead, "win_back", reason=None, actor="key:1", now=spine.now)
    assert short(spine)[-1] == ("lead", "win_back", "marketing", "sales", "key:1", "key:1")


def test_tickets_pass_between_departments_with_their_lead_s_their_desks_and_their_owners(spine: Spine) -> None:
    activate(spine, *FINANCE)
    lead = arrives(spine)
    spine.passes(MINUTE)
    arrives(spine, "support", message="It does not open.")
    opened = ("ticket", "opened", "sales", "service", "customer", "open")
    assert short(spine)[1:] == [opened]
    [made] = told(spine, "handover.made")
    [ticket] = spine.rows("SELECT id, owner FROM ticket")
    assert (made["about_id"], made["owner"], made["system"], made["taken"]) == (
        ticket["id"], ticket["owner"], "Helpdesk", False,
    )  # fmt: skip

    spine.passes(10 * MINUTE)
    desk = TicketService(spine.engine, spine.hints.send)
    desk.change(ticket["id"], desk="bills", actor="key:2", now=spine.now)
    assert short(spine)[1:] == [(*opened[:-1], "key:2"), ("ticket", "desk", "service", "finance", "key:2", "open")]
    spine.passes(MINUTE)
    desk.assign(ticket["id"], "eva", actor="key:2", now=spine.now)  # of finance herself
    desk.assign(ticket["id"], "dee", actor="key:2", now=spine.now)  # as bills: the desk's
    assert [row[-1] for row in short(spine)][1:] == ["key:2", "key:2"]
    desk.change(ticket["id"], desk="helpdesk", actor="key:2", now=spine.now)
    desk.assign(ticket["id"], "dee", actor="key:2", now=spine.now)
    chain = spine.rows(
        "SELECT from_department, to_department FROM handover WHERE about_kind = 'ticket' ORDER BY number"
    )
    assert [tuple(row.values()) for row in chain] == [
        ("sales", "service"),
        ("service", "finance"),
        ("finance", "service"),
    ]
    assert told(spine, "handover.taken")[0]["after_s"] == 600
    assert spine.rows("SELECT count(*) AS n FROM handover WHERE lead_id <> :lead", lead=lead) == [{"n": 0}]
    # Whoever opens one for themselves has taken it.
    spine.passes(MINUTE)
    asked = {"kind": "question", "source": "api", "channel": "phone"}
    desk.open(lead, asked, "Hm?", actor="dee", agent="dee", now=spine.now)
    assert short(spine)[-1] == ("ticket", "opened", "sales", "service", "dee", "dee")


def test_an_escalation_to_another_department_and_a_renewal_talk_are_hand_overs_too(spine: Spine) -> None:
    activate(spine, *FINANCE, ("escalate: {after: 8h, to: eva}", "escalate: {after: 8h, to: eva, assign: true}"))
    arrives(spine)
    spine.passes(MINUTE)
    lead = buys(spine)
    days = Told(what="started", starts=spine.now.date(), period="P60D")
    Retention(spine.engine, spine.hints.send).add(lead, days, actor="key:1", now=spine.now)
    spine.passes(timedelta(days=31))
    spine.run(step="followup")
    talk = ("follow_up", "made", "service", "sales", "journey", "open")
    assert short(spine)[2:] == [talk]
    # Nobody talks to them; it becomes Eva's, and she does.
    spine.passes(timedelta(days=3))
    spine.run(step="followup")
    assert short(spine)[2:] == [
        (*talk[:-1], "ended"),
        ("follow_up", "escalated", "sales", "finance", "journey", "open"),
    ]
    [work] = spine.rows("SELECT id, owner, department FROM follow_up WHERE rule = 'renewal_talk'")
    assert (work["owner"], work["department"]) == ("eva", "finance")
    FollowUps(spine.engine, spine.hints.send).done(work["id"], "thinking", actor="eva", now=spine.now)
    assert short(spine)[-1][-1] == "eva"


def test_a_state_without_a_department_leaves_work_with_whoever_had_it_and_so_does_another_version(spine: Spine) -> None:
    nobody = "label: Opportunity\n    description: A possible sale that a seller works on.\n    department: sales"
    activate(
        spine,
        (nobody, nobody.removesuffix("\n    department: sales")),
        ("    state: opportunity\n    department: sales", "    department: sales"),
    )
    lead = arrives(spine)
    assert short(spine) == []
    sales = Sales(spine.engine, spine.hints.send)
    made = sales.open(lead, None, {}, actor="key:1", now=spine.now)
    sales.change(made["id"], {"stage": "need", "next_action": "Call"}, actor="ana", now=spine.now)
    spine.passes(MINUTE)
    buys(spine)
    assert short(spine)[-1] == ("lead", "win", "marketing", "service", "journey", "open")

    # In the next version customers are the work of sales.
    bought = "They bought.\n    department: "
    version = activate(spine, (f"{bought}service", f"{bought}sales"))
    migrate_leads(spine.engine, version, [], {}, actor="key:1", now=spine.now)
    assert short(spine)[-2:] == [
        ("lead", "win", "marketing", "service", "journey", "ended"),
        ("lead", "migrate", "service", "sales", "key:1", "open"),
    ]
    assert told(spine, "handover.made")[-1]["about"] == "lead"


def test_hand_overs_go_with_their_ticket_when_people_are_merged_and_come_back(spine: Spine) -> None:
    first = arrives(spine)
    spine.passes(MINUTE)
    second = arrives(spine, email="jo.kiln@kiln.example")
    desk = TicketService(spine.engine, spine.hints.send)
    ticket = desk.open(
        second, {"kind": "question", "source": "api", "channel": "chat"}, "Hm?", actor="customer", now=spine.now
    )
    people = {row["id"]: row["person_id"] for row in spine.rows("SELECT id, person_id FROM lead")}
    merger = Merger(spine.engine, spine.hints.send)

    def where() -> tuple[str, str]:
        [row] = spine.rows("SELECT lead_id FROM handover WHERE about_id = :id", id=ticket["id"])
        [own] = spine.rows("SELECT * FROM handover WHERE about_id = :id", id=second)
        return row["lead_id"], "open" if own["ended_at"] is None else "ended"

    assert where() == (second, "open")
    merger.merge(people[first], people[second], actor="ops", now=spine.now)
    assert where() == (first, "ended")
    merger.unmerge(people[second], actor="ops", now=spine.now)
    assert where() == (second, "ended")


def test_tests_of_a_sender_hand_nothing_over_and_of_what_files_tell_nobody_waits(spine: Spine) -> None:
    lead = arrives(spine)
    spine.do("UPDATE lead SET test = true WHERE id = :id", id=lead)
    spine.passes(MINUTE)
    buys(spine)
    assert len(short(spine)) == 1
    spine.do("UPDATE lead SET test = false, quiet = true WHERE id = :id", id=lead)
    move_lead(spine.engine, lead, "renew", reason=None, actor="key:1", now=spine.now)
    assert [row[1:] for row in short(spine)][1:] == [("renew", "service", "sales", "key:1", "ended")]
