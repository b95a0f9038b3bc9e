"""Saying no: one click, at once, for ever; and what else comes back of our mail."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from schema.mail.address import reply_address
from schema.store import clock
from tests.door import Answer, Door, api_thread
from tests.integration.test_mail import arrives as mail_arrives
from tests.integration.test_mail import mail as mail_of
from tests.mailroom import NURTURE, Mailroom, journey_text, plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.mailroom import Lead

ONE_CLICK = b"List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"
HOUR = timedelta(hours=1)


@pytest.fixture
def api(database_url: str) -> Iterator[Door]:
    with api_thread(database_url) as door:
        yield door


@pytest.fixture
def room(api: Door, tmp_path: Path) -> Mailroom:
    api.spine.now = clock.now() - HOUR
    return Mailroom(api.spine, tmp_path)


def link(room: Mailroom) -> str:
    """The path of the last message's unsubscription, as its header says."""
    found = re.search(r"<https://mail\.example\.com(/u/[\w-]+)>", str(room.mails[-1]["List-Unsubscribe"]))
    assert found
    return found[1]


def sent(room: Mailroom, lead: Lead, campaign: str = "welcome") -> str:
    send = room.plan(lead, campaign)
    room.deliver(clock.now())
    assert room.fate(send) == ("sent", None)
    return send


def post(api: Door, path: str, body: bytes = ONE_CLICK) -> Answer:
    return api.send("POST", path, body, content_type=FORM)


def touches(room: Mailroom, kind: str) -> list[dict[str, Any]]:
    return room.spine.rows("SELECT * FROM touchpoint WHERE kind = :kind ORDER BY id", kind=kind)


def test_one_click_stops_mail_that_is_due_already_before_anybody_has_read_the_arrival(
    api: Door, room: Mailroom
) -> None:
    lead = room.lead()
    first = sent(room, lead)
    due = room.plan(lead, entry_key="next")
    answer = post(api, link(room))
    room.deliver(clock.now())

    assert (answer.status, answer.headers["Set-Cookie"], answer.headers["Location"]) == (200, None, None)
    assert room.fate(due) == ("skipped", "unsubscribed")
    assert room.send(first)["unsubscribed_at"]
    api.settle()
    (touch,) = touches(room, "email.unsubscribe")
    assert (touch["lead_id"], touch["data"]["send"], touch["data"]["consent"]) == (
        lead.lead_id,
        first,
        {"marketing": False},
    )


def test_a_scanner_that_follows_every_link_unsubscribes_nobody(api: Door, room: Mailroom) -> None:
    lead = room.lead("bea@firm.example")
    sent(room, lead)
    for method in ("GET", "HEAD"):
        answer = api.send(method, link(room))
        assert answer.status == 200
    page = api.send("GET", link(room)).body.decode()
    assert '<form method="post">' in page
    assert "bea@firm.example" not in page
    assert "b…@firm.example" in page
    again = room.plan(lead, entry_key="next")
    room.deliver(clock.now())

    assert room.fate(again) == ("sent", None)


def test_a_link_works_for_years_and_a_made_up_one_never(api: Door, room: Mailroom) -> None:
    send = sent(room, room.lead())
    path = link(room)
    room.spine.do(
        "UPDATE send SET planned_at = planned_at - interval '9 years', settled_at = now() - interval '9 years'"
    )
    assert post(api, path).status == 200
    assert room.send(send)["unsubscribed_at"]
    for wrong in (path[:-1], path[:-2] + "AA", "/u/x", "/u/" + "A" * 43, path.replace("/u/", "/l/"), "/u/%00%ff"):
        assert post(api, wrong).status in {404, 405}
        assert api.send("GET", wrong).status == 404


def test_somebody_chooses_what_they_want_to_get(api: Door, room: Mailroom) -> None:
    lead = room.lead(consent={"marketing": True, "newsletter": True})
    sent(room, lead)
    page = api.send("GET", link(room)).body.decode()
    assert page.count(" checked>") == 2
    assert post(api, link(room), b"save=1&purpose=newsletter").status == 200
    news, welcome = room.plan(lead, "news"), room.plan(lead, entry_key="next")
    room.deliver(clock.now())

    assert (room.fate(news), room.fate(welcome)) == (("sent", None), ("skipped", "unsubscribed"))
    api.settle()
    (touch,) = touches(room, "email.preferences")
    assert touch["data"]["consent"] == {"marketing": False, "newsletter": True}
    page = api.send("GET", link(room)).body.decode()
    assert page.count(" checked>") == 1


def test_who_unsubscribed_by_mistake_can_come_back_on_the_same_page(api: Door, room: Mailroom) -> None:
    lead = room.lead(consent={"marketing": True, "newsletter": True})
    sent(room, lead)
    path = link(room)
    post(api, path)
    api.settle()
    assert api.send("GET", path).body.decode().count(" checked>") == 0
    post(api, path, b"save=1&purpose=newsletter&purpose=marketing")
    api.settle()
    back = room.plan(lead, entry_key="next")
    room.deliver(clock.now())

    assert room.fate(back) == ("sent", None)


def test_who_could_only_say_no_to_everything_can_come_back_too(api: Door, tmp_path: Path) -> None:
    api.spine.now = clock.now() - HOUR
    room = Mailroom(api.spine, tmp_path, more=NURTURE.replace("purpose: newsletter, ", ""))
    lead = room.lead()
    sent(room, lead)
    path = link(room)
    before = api.send("GET", path).body.decode()
    assert "checkbox" not in before
    post(api, path)
    after = api.send("GET", path).body.decode()
    assert "<h1>You are unsubscribed</h1>" in after
    assert "Unsubscribe from everything" not in after
    assert 'value="marketing">' in after
    post(api, path, b"save=1&purpose=marketing")
    api.settle()
    back = room.plan(lead, entry_key="next")
    room.deliver(clock.now())

    assert room.fate(back) == ("sent", None)
    assert api.send("GET", path).body.decode() == before


def test_the_page_speaks_the_language_of_the_person(api: Door, room: Mailroom) -> None:
    sent(room, room.lead(language="de"))
    assert "Keine E-Mails mehr von uns?" in api.send("GET", link(room)).body.decode()
    assert "Abmelden:" in plain(room.mails[-1])
    assert b"Sie sind abgemeldet" in post(api, link(room)).body


def test_a_mail_to_the_address_in_the_header_unsubscribes(api: Door, room: Mailroom) -> None:
    lead = room.lead()
    first = sent(room, lead)
    receipt = mail_arrives(room.spine, mail_of(lead.email, "", Subject="unsubscribe"), lead=lead.lead_id)
    api.settle(receipt)
    due = room.plan(lead, entry_key="next")
    room.deliver(clock.now())

    assert room.fate(due) == ("skipped", "unsubscribed")
    assert room.send(first)["unsubscribed_at"]


# -- bounces, complaints, answers ------------------------------------------------------------------------------------


def report(about: str, status: str, action: str = "failed") -> bytes:
    return (
        "From: MAILER-DAEMON@mx.example\r\nSubject: Undelivered\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        f"Final-Recipient: rfc822; somebody@else.example\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{about}@example.com>\r\n\r\n--b--\r\n"
    ).encode()


def complaint(about: str) -> bytes:
    return (
        'From: fbl@isp.example\r\nContent-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n\r\n"
        f"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <{about}@example.com>\r\n\r\nx\r\n--b--\r\n"
    ).encode()


def fate_of_next(room: Mailroom, lead: Lead, key: str = "next") -> tuple[str, str | None]:
    send = room.plan(lead, "orders", "receipt", entry_key=key)
    room.deliver(clock.now())
    return room.fate(send)


def test_a_hard_bounce_counts_at_once_and_a_delay_never(api: Door, room: Mailroom) -> None:
    lead, other = room.lead(), room.lead()
    send, late = sent(room, lead), sent(room, other)
    api.settle(mail_arrives(room.spine, report(late, "4.4.1", "delayed")))
    api.settle(mail_arrives(room.spine, report(send, "5.1.1")))

    assert fate_of_next(room, lead) == ("skipped", "hard_bounce")
    assert fate_of_next(room, other) == ("sent", None)
    assert (bool(room.send(send)["bounced_at"]), room.send(late)["bounced_at"]) == (True, None)


def test_soft_bounces_count_when_there_are_three_within_two_weeks(api: Door, room: Mailroom) -> None:
    lead = room.lead()
    for number in range(3):
        assert fate_of_next(room, lead, f"n{number}") == ("sent", None)
        send = room.spine.rows("SELECT id FROM send ORDER BY id DESC LIMIT 1")[0]["id"]
        api.settle(mail_arrives(room.spine, report(send, "4.2.2")))

    assert fate_of_next(room, lead) == ("skipped", "soft_bounces")


def test_a_complaint_ends_marketing_and_not_what_they_bought(api: Door, room: Mailroom) -> None:
    lead = room.lead()
    send = sent(room, lead)
    api.settle(mail_arrives(room.spine, complaint(send)))
    room.says(lead, {"marketing": True})
    marketing = room.plan(lead, entry_key="next")

    assert fate_of_next(room, lead) == ("sent", None)
    assert room.fate(marketing) == ("skipped", "complaint")
    assert room.send(send)["complained_at"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"bounce": "hard"}, "hard_bounce"),
        ({"Type": "HardBounce"}, "hard_bounce"),
        ({"status": "5.1.1"}, "hard_bounce"),
        ({"bounce_type": "soft"}, None),
        ({}, None),
    ],
)
def test_a_bounce_that_a_provider_tells_of_counts_as_one_that_was_mailed(
    api: Door, room: Mailroom, said: dict[str, str], reason: str | None
) -> None:
    lead = room.lead()
    send = sent(room, lead)
    _, key = api.make_key("events:write")
    data = {"email": lead.email, "smtp-id": f"<{send}@example.com>"} | said
    told = {"specversion": "1.0", "id": "1", "source": "/mailer", "type": "email.bounce", "data": data}
    given = {"Authorization": f"Bearer {key}", "Content-Type": "application/cloudevents+json"}
    (receipt,) = api.request("POST", "/v1/events", json.dumps(told).encode(), given).receipts
    api.settle(receipt)

    assert fate_of_next(room, lead) == (("skipped", reason) if reason else ("sent", None))
    assert room.send(send)["bounced_at"]


def test_a_report_about_a_mail_that_is_not_ours_holds_nobody_back(api: Door, room: Mailroom) -> None:
    lead = room.lead()
    api.settle(mail_arrives(room.spine, report("0198a6c4-0000-7000-8000-000000000001", "5.1.1")))

    assert fate_of_next(room, lead) == ("sent", None)
    assert room.spine.rows("SELECT * FROM suppression") == []


def test_an_answer_belongs_to_the_message_and_its_lead(api: Door, room: Mailroom) -> None:
    lead = room.lead()
    send = sent(room, lead)
    signed = room.mails[-1]["Reply-To"].addresses[0].addr_spec
    assert signed == reply_address("sales@example.com", room.settings.pepper(), lead.lead_id)
    answer = mail_arrives(room.spine, mail_of("Bea at home <bea@home.test>", In_Reply_To=f"<{send}@example.com>"))
    api.settle(answer)

    assert room.spine.lead_of(answer)["id"] == lead.lead_id
    assert room.send(send)["replied_at"]


def test_our_own_mail_that_comes_back_is_a_loop(api: Door, room: Mailroom) -> None:
    sent(room, room.lead())
    raw = next((room.folder / "outbox").glob("*.eml")).read_bytes()
    receipt = mail_arrives(room.spine, raw)
    api.settle(receipt)

    assert room.spine.receipt(receipt)["reason"] == "loop"


# -- double opt-in ---------------------------------------------------------------------------------------------------


def test_who_ticked_a_box_is_asked_once_to_confirm_before_all_marketing(spine_room: Mailroom) -> None:
    room = spine_room
    receipt = room.spine.arrives({"email": "bea@firm.example", "consent": "yes"}, source="kontakt")
    room.spine.do(
        """UPDATE receipt SET headers = '{"opt-in": "token"}' WHERE id = :id""",
        id=receipt,
    )
    room.spine.run()
    room.deliver()
    assert room.deliver() == 0

    (mail,) = room.mails
    assert mail["Subject"] == "Please confirm"
    assert "https://mail.example.com/c/token" in plain(mail)
    assert mail["List-Unsubscribe"] is None


def test_nobody_is_pestered_with_mails_to_confirm(spine_room: Mailroom) -> None:
    room = spine_room
    for _ in range(5):
        receipt = room.spine.arrives({"email": "bea@firm.example", "consent": "yes"}, source="kontakt")
        room.spine.do("""UPDATE receipt SET headers = '{"opt-in": "token"}' WHERE id = :id""", id=receipt)
        room.spine.run()
        room.deliver()

    assert len(room.mails) == 3
    assert [row["reason"] for row in room.spine.rows("SELECT reason FROM send WHERE state = 'skipped'")] == [
        "asked_often"
    ] * 2


@pytest.fixture
def spine_room(spine: Any, tmp_path: Path) -> Mailroom:  # noqa: ANN401 - the fixture of this folder
    room = Mailroom(spine, tmp_path)
    source = (
        "\nsources:\n  kontakt: {kind: form, fields: [email], double_opt_in: true, consent: {text: Yes., version: a}}\n"
    )
    room.journey = room.activate(journey_text().replace("\nsources:\n", source, 1))
    return room
