"""Tickets from the first word to the end: what opens them, what goes on with them, and what agents do about them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from schema.errors import Permanent
from schema.ticketing import StatusNotPossible
from tests.desking import JOURNEY, MAIL, activate, entries, mail, mails, passes, service, tickets, told, writes
from tests.mailroom import Mailroom, page, plain
from workers.helpdesk.by_hand import TicketService
from workers.identity.merge import Merger
from workers.owners import Owners

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.spine import Spine

BY_ANA: Final[dict[str, Any]] = {"actor": "key:1", "agent": "ana"}


def test_a_customer_writes_is_answered_and_served(spine: Spine) -> None:
    version = activate(spine)
    receipt = writes(spine)
    [ticket] = tickets(spine)
    lead = spine.lead_of(receipt)

    assert (ticket["kind"], ticket["priority"], ticket["status"]) == ("question", "normal", "new")
    assert (ticket["lead_id"], ticket["source"], ticket["journey"]) == (lead["id"], "website", version)
    assert (ticket["desk"], ticket["owner"]) == ("support", "ana")
    assert entries(spine, ticket["id"]) == [("opened", "customer"), ("message_in", "customer"), ("assigned", "journey")]
    spine.do("UPDATE lead SET next_step = 'advance', due_since = :now", now=spine.now)
    spine.passes(timedelta(minutes=10))
    desk = service(spine)
    desk.answer(ticket["id"], "Like this.", "email", status="waiting", now=spine.now, **BY_ANA)
    spine.passes(timedelta(minutes=10))
    done = desk.status(ticket["id"], "resolved", resolution="Explained.", now=spine.now, **BY_ANA)
    spine.run(step="advance")

    assert (done["status"], done["resolution"], done["possible"]) == ("resolved", "Explained.", ["open", "closed"])
    assert done["first_response_at"] - done["opened_at"] == timedelta(minutes=10)
    kinds = spine.rows("SELECT kind, channel FROM touchpoint WHERE source = 'throughline' ORDER BY id")
    assert [(row["kind"], row["channel"]) for row in kinds] == [
        ("ticket.opened", "service"),
        ("ticket.replied", "email"),
        ("ticket.resolved", "service"),
        ("service.delivered", "service"),
    ]
    passes(spine, timedelta(days=4))
    assert tickets(spine)[0]["status"] == "resolved"
    spine.passes(timedelta(days=40))
    spine.run(step="followup")
    [closed] = tickets(spine)
    assert (closed["status"], closed["closed_at"]) == ("closed", done["closes_at"])
    assert [len(told(spine, f"ticket.{name}")) for name in ("opened", "replied", "waiting", "resolved", "closed")] == [
        1
    ] * 5


def test_an_answer_goes_out_once_in_the_ticket_s_conversation_and_its_answer_finds_it(
    spine: Spine, tmp_path: Path
) -> None:
    room = Mailroom(spine, tmp_path)
    room.activate(JOURNEY + MAIL)
    mails(spine, mail("Does it float?", Message_ID="<1@kiln.example>"))
    [ticket] = tickets(spine)
    text = "Yes, {{ it }} *does*:\nhttps://example.com/float?a=1.\n\n1. Try it"
    desk = service(spine)
    desk.answer(ticket["id"], text, "email", status="waiting", send=True, now=spine.now, **BY_ANA)
    assert (room.deliver(), room.deliver()) == (1, 0)

    [sent] = room.mails
    assert plain(sent).replace("\r", "") == "Yes, {{ it }} *does*:\nhttps://example.com/float?a=1.\n\n1. Try it\n"
    assert 'href="https://example.com/float?a=1"' in page(sent)
    assert (sent["Subject"], sent["To"]) == ("Re: Does it float?", "bea@kiln.example")
    assert (sent["In-Reply-To"], sent["References"]) == ("<1@kiln.example>", "<1@kiln.example>")
    assert "<help+" in sent["Reply-To"]
    assert sent["Auto-Submitted"] is None
    shown = desk.status(ticket["id"], "resolved", now=spine.now, **BY_ANA)
    assert [entry["sent"] for entry in shown["thread"] if entry["kind"] == "message_out"] == ["sent"]
    spine.do("UPDATE send SET bounced_at = :now", now=spine.now)
    noted = desk.note(ticket["id"], "It came back.", now=spine.now, **BY_ANA)
    [came_back] = [entry for entry in noted["thread"] if entry["sent"]]
    assert (came_back["sent"], came_back["sent_reason"]) == ("bounced", None)

    spine.passes(timedelta(days=1))
    body = mail(
        "Re: Does it float?", "It sank.", sender="Bea at home <bea@home.example>", In_Reply_To=sent["Message-ID"]
    )
    mails(spine, body)
    [ticket] = tickets(spine)
    assert (ticket["status"], ticket["reopened"]) == ("open", 1)


# -- conversations -----------------------------------------------------------------------------------------------------


def test_an_answer_goes_on_with_its_ticket_and_machines_change_nothing(spine: Spine) -> None:
    activate(spine)
    mails(spine, mail("Late order", Message_ID="<1@kiln.example>"))
    mails(spine, mail("A complaint", Message_ID="<2@kiln.example>"))
    late, complaint = tickets(spine)
    assert (late["kind"], complaint["kind"], complaint["priority"]) == ("question", "complaint", "high")
    desk = service(spine)
    desk.answer(late["id"], "On its way.", "email", status="waiting", now=spine.now, **BY_ANA)

    mails(
        spine,
        mail(
            "Out of office",
            In_Reply_To="<1@kiln.example>",
            Auto_Submitted="auto-replied",
            Message_ID="<3@kiln.example>",
        ),
    )
    assert tickets(spine)[0]["status"] == "waiting"
    mails(spine, mail("Re: Late order", "It is here.", In_Reply_To="<1@kiln.example>", Message_ID="<4@kiln.example>"))
    mails(spine, mail("Re: Late order", "Thanks!", In_Reply_To="<4@kiln.example>"))

    late, complaint = tickets(spine)
    assert (late["status"], complaint["status"]) == ("open", "new")
    query = "SELECT body, machine FROM ticket_entry WHERE kind = 'message_in' AND ticket_id = :id ORDER BY number"
    said = spine.rows(query, id=late["id"])
    assert [(row["body"], row["machine"]) for row in said] == [
        ("It does not work.", False), ("It does not work.", True), ("It is here.", False), ("Thanks!", False),
    ]  # fmt: skip


def test_what_comes_in_time_reopens_and_what_comes_later_opens_another_once(spine: Spine) -> None:
    activate(spine)
    mails(spine, mail("Late order", Message_ID="<1@kiln.example>"))
    [ticket] = tickets(spine)
    desk = service(spine)
    desk.status(ticket["id"], "resolved", now=spine.now, **BY_ANA)
    spine.passes(timedelta(days=4, hours=23))
    mails(spine, mail("Re: Late order", In_Reply_To="<1@kiln.example>"))
    [ticket] = tickets(spine)
    assert (ticket["status"], ticket["reopened"], ticket["closes_at"]) == ("open", 1, None)
    desk.status(ticket["id"], "resolved", now=spine.now, **BY_ANA)

    spine.passes(timedelta(days=5))  # its timer has not gone off yet
    mails(spine, mail("Re: Late order", "Again!", In_Reply_To="<1@kiln.example>"))
    mails(spine, mail("Re: Late order", "And again!", In_Reply_To="<1@kiln.example>"))
    first, second = tickets(spine)
    assert (first["status"], second["status"], second["refers_to"]) == ("closed", "new", first["id"])
    assert [kind for kind, _ in entries(spine, second["id"])].count("message_in") == 2
    assert len(told(spine, "service.delivered")) == 0
    delivered = spine.rows("SELECT id FROM touchpoint WHERE kind = 'service.delivered'")
    assert len(delivered) == 1, "the same service is not rendered twice"


def test_tests_of_a_sender_and_rows_of_files_open_nothing_and_an_external_id_finds_its_ticket(spine: Spine) -> None:
    activate(spine)
    receipt = spine.arrives({"email": "c1@kiln.example", "message": "Hello?"})
    spine.do("UPDATE receipt SET test = true WHERE id = :id", id=receipt)
    spine.run()
    assert tickets(spine) == []
    writes(spine, 2, ticket_id="T-1", subject="First")
    writes(spine, 2, ticket_id="T-2", subject="Second")
    writes(spine, 3, "It came.", ticket_id="T-1")
    first, second = tickets(spine)
    assert [first["external_id"], second["external_id"]] == ["T-1", "T-2"]
    assert [kind for kind, _ in entries(spine, first["id"])].count("message_in") == 2


# -- what agents do ----------------------------------------------------------------------------------------------------


def test_a_complaint_is_resolved_with_a_root_cause_and_rules_know_it_is_open(spine: Spine) -> None:
    offers = "campaigns:\n  offers:\n    enter: [{event: form, when: 'person.tickets.complaints == 0'}]\n"
    activate(spine, offers + "    steps: [{exit: done}]\n")
    unhappy, happy = (
        spine.lead_of(writes(spine, number, words)) for number, words in ((1, "It is broken."), (2, "Nice."))
    )
    complaint, _ = tickets(spine)
    spine.do("DELETE FROM enrolment")
    for number in (1, 2):
        writes(spine, number, "What else do you have?")
    entered = {row["lead_id"] for row in spine.rows("SELECT lead_id FROM enrolment")}
    assert (happy["id"] in entered, unhappy["id"] in entered) == (True, False)

    desk = service(spine)
    with pytest.raises(Permanent, match="put down to: product, delivery") as refused:
        desk.status(complaint["id"], "resolved", now=spine.now, **BY_ANA)
    assert refused.value.code == "root_cause_required"
    with pytest.raises(Permanent, match="did you mean delivery"):
        desk.status(complaint["id"], "resolved", root_cause="delivry", now=spine.now, **BY_ANA)
    done = desk.status(complaint["id"], "resolved", root_cause="delivery", now=spine.now, **BY_ANA)
    assert (done["root_cause"], done["reopened"]) == ("delivery", 0)
    with pytest.raises(StatusNotPossible, match="resolved already"):
        desk.status(complaint["id"], "resolved", root_cause="delivery", now=spine.now, **BY_ANA)


def test_tickets_are_opened_noted_changed_and_handed_about(spine: Spine) -> None:
    activate(spine)
    lead = spine.lead_of(writes(spine, 9, source_of="x"))["id"]
    desk = service(spine)
    asked = {"kind": "question", "source": "by_hand", "channel": "phone", "external_id": "call-7", "subject": "A call"}
    opened = desk.open(lead, asked, "Where is it?", actor="key:1", now=spine.now)
    assert (opened["owner"], opened["desk"]) == ("ben", "support")
    with pytest.raises(Permanent) as refused:
        desk.open(lead, asked, "Where is it?", actor="key:1", now=spine.now)
    assert (refused.value.code, refused.value.facts["ticket_id"]) == ("ticket_exists", opened["id"])
    with pytest.raises(Permanent, match="did you mean question"):
        desk.open(lead, asked | {"kind": "questions", "external_id": None}, None, actor="key:1", now=spine.now)

    noted = desk.note(opened["id"], "Careful.", now=spine.now, **BY_ANA)
    [note] = [entry for entry in noted["thread"] if entry["kind"] == "note"]
    assert (note["public"], noted["first_response_at"], noted["status"]) == (False, None, "new")
    with pytest.raises(Permanent) as refused:
        desk.assign(opened["id"], "ana", actor="key:1", only_free=True, now=spine.now)
    assert (refused.value.code, refused.value.facts["owner"]) == ("ticket_taken", "ben")
    assert desk.assign(opened["id"], "cem", actor="key:1", now=spine.now)["owner"] == "cem"
    assert desk.assign(opened["id"], None, actor="key:1", now=spine.now)["owner"] in {"ana", "ben"}
    changed = desk.change(opened["id"], actor="key:1", kind="complaint", desk="complaints", now=spine.now)
    assert (changed["kind"], changed["desk"], changed["owner"]) == ("complaint", "complaints", "ana")
    tried = TicketService(spine.engine, spine.hints.send, dry_run=True)
    assert tried.status(opened["id"], "on_hold", actor="key:1", now=spine.now)["status"] == "on_hold"
    assert tickets(spine)[1]["status"] == "new"


def test_of_two_agents_who_resolve_at_once_the_second_is_told_so(spine: Spine) -> None:
    activate(spine)
    writes(spine)
    [ticket] = tickets(spine)
    answers = at_once(
        lambda: service(spine).status(ticket["id"], "resolved", actor="key:1", now=spine.now)["status"],
        lambda: service(spine).status(ticket["id"], "resolved", actor="key:2", now=spine.now)["status"],
    )
    assert sorted(answers) == ["resolved", "status_not_possible"]
    assert len(told(spine, "ticket.resolved")) == 1


def test_a_customer_who_writes_while_an_agent_closes_is_heard(spine: Spine) -> None:
    activate(spine)
    mails(spine, mail("Late order", Message_ID="<1@kiln.example>"))
    [ticket] = tickets(spine)
    service(spine).status(ticket["id"], "resolved", now=spine.now, **BY_ANA)
    reply = spine.arrives(mail("Re: Late order", "No!", In_Reply_To="<1@kiln.example>"), source="help", channel="email")
    runtime = spine.runtime()
    answers = at_once(
        lambda: service(spine).status(ticket["id"], "closed", actor="key:1", now=spine.now)["status"],
        lambda: str(runtime.hear("identify", [reply], now=spine.now)),
    )
    spine.run(ids=[reply])
    found = tickets(spine)
    said = spine.rows("SELECT ticket_id FROM ticket_entry WHERE body = 'No!'")
    assert len(said) == 1
    if "closed" in answers:
        assert [row["status"] for row in found] == ["closed", "new"]
        assert found[1]["refers_to"] == said[0]["ticket_id"] or found[1]["id"] == said[0]["ticket_id"]
    else:
        assert [row["status"] for row in found] == ["open"]


def at_once(*acts: Callable[[], str]) -> list[str]:
    """What each of these came to, done at the same time; of a refusal its code."""
    start = threading.Barrier(len(acts))

    def one(act: Callable[[], str]) -> str:
        start.wait()
        try:
            return act()
        except Permanent as refusal:
            return refusal.code

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(one, acts))


# -- desks -------------------------------------------------------------------------------------------------------------


def test_what_a_ticket_was_put_down_to_does_not_keep_it_from_being_resolved_as_another_kind(spine: Spine) -> None:
    activate(spine)
    writes(spine, message="It is broken.")
    [ticket] = tickets(spine)
    desk = service(spine)
    desk.status(ticket["id"], "resolved", root_cause="delivery", now=spine.now, **BY_ANA)
    desk.status(ticket["id"], "open", now=spine.now, **BY_ANA)
    desk.change(ticket["id"], kind="question", actor="key:1", now=spine.now)
    with pytest.raises(Permanent, match=r"put down to nothing: leave the root cause out\.$"):
        desk.status(ticket["id"], "resolved", root_cause="delivery", now=spine.now, **BY_ANA)
    done = desk.status(ticket["id"], "resolved", now=spine.now, **BY_ANA)
    assert (done["status"], done["kind"], done["root_cause"]) == ("resolved", "question", None)
    with pytest.raises(Permanent, match=r"no such desk; did you mean support\?$"):
        desk.change(ticket["id"], desk="suport", actor="key:1", now=spine.now)


def test_nobody_free_lets_tickets_wait_and_they_are_drained_oldest_first(spine: Spine) -> None:
    activate(spine)
    for number in range(5):
        writes(spine, number, "It is broken.")
        spine.passes(timedelta(minutes=1))
    found = tickets(spine)
    assert [row["owner"] for row in found] == ["ana", "ana", None, None, None]
    desk = service(spine)
    desk.status(found[0]["id"], "resolved", root_cause="product", now=spine.now, **BY_ANA)
    spine.run(step="followup")
    assert [row["owner"] for row in tickets(spine)] == ["ana", "ana", "ana", None, None]
    Owners(spine.engine, spine.hints.send).away(
        "ana", kind="leave", start=None, end=spine.now + timedelta(days=1), actor="key:1", now=spine.now
    )
    desk.status(found[1]["id"], "waiting", now=spine.now, **BY_ANA)
    spine.run(step="followup")
    assert [row["owner"] for row in tickets(spine)] == ["ana", "ana", "ana", None, None]
    spine.passes(timedelta(hours=2))
    Owners(spine.engine, spine.hints.send).back("ana", None, now=spine.now)
    spine.run(step="followup")
    assert [row["owner"] for row in tickets(spine)] == ["ana", "ana", "ana", "ana", None]
    [ledger] = spine.rows("SELECT turn, taken FROM pool WHERE name = 'desk/complaints'")
    assert (ledger["turn"], ledger["taken"]) == (4, {"ana": 4})


# -- people who are merged ---------------------------------------------------------------------------------------------


def test_tickets_follow_people_who_are_merged_and_come_back(spine: Spine) -> None:
    activate(spine)
    one, other = (spine.lead_of(writes(spine, number)) for number in (1, 2))
    first, second = tickets(spine)
    due = spine.now + timedelta(hours=1)
    for row in (first, second):
        spine.do(
            "INSERT INTO timer (id, kind, lead_id, due_at) VALUES (:id, 'ticket', :lead, :due) "
            "ON CONFLICT (id) DO UPDATE SET due_at = :due",
            id=row["id"], lead=row["lead_id"], due=due,
        )  # fmt: skip
    merger = Merger(spine.engine, lambda *_: None)
    merger.merge(one["person_id"], other["person_id"], actor="key:1", now=spine.now)
    together = tickets(spine)
    assert {row["person_id"] for row in together} == {one["person_id"]}
    [going] = {row["lead_id"] for row in together}
    assert {row["lead_id"] for row in spine.rows("SELECT lead_id FROM timer WHERE kind = 'ticket'")} == {going}
    desk = service(spine)
    assert desk.note(second["id"], "Goes on.", now=spine.now, **BY_ANA)["lead_id"] == going
    spine.passes(timedelta(minutes=1))
    writes(spine, 2, "Something else.", subject="Else")
    merger.unmerge(other["person_id"], actor="key:1", now=spine.now)
    *back, since = tickets(spine)
    assert [row["lead_id"] for row in back] == [first["lead_id"], second["lead_id"]]
    assert (since["person_id"], since["lead_id"]) == (other["person_id"], other["id"])
    timers = {row["id"]: row["lead_id"] for row in spine.rows("SELECT id, lead_id FROM timer WHERE kind = 'ticket'")}
    assert timers[first["id"]] == first["lead_id"]
