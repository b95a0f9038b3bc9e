"""Mail on its way to a person: whose it is, to which conversation it belongs, and what becomes of machines' mail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from schema.mail.read import LEAD
from tests.door import api_thread

if TYPE_CHECKING:
    from tests.spine import Spine


def mail(sender: str = "Ana <ana@acme.test>", text: str = "We need 40 seats for our team.", **headers: str) -> bytes:
    given = {"From": sender, "Subject": "Quote"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return "".join(f"{name}: {value}\r\n" for name, value in given.items()).encode() + b"\r\n" + text.encode()


def arrives(spine: Spine, body: bytes, **headers: str) -> str:
    receipt = spine.arrives(body, source="inbox", channel="email")
    spine.do("UPDATE receipt SET headers = CAST(:kept AS jsonb) WHERE id = :id", kept=json.dumps(headers), id=receipt)
    return receipt


def fate(spine: Spine, receipt: str) -> tuple[str, str | None]:
    row = spine.receipt(receipt)
    return row["status"], row["reason"]


def touches(spine: Spine) -> list[dict[str, Any]]:
    return spine.rows("SELECT t.*, p.email FROM touchpoint AS t JOIN person AS p ON p.id = t.person_id ORDER BY t.id")


def counted(spine: Spine) -> tuple[int, int]:
    return spine.rows("SELECT count(*) AS n FROM person")[0]["n"], spine.rows("SELECT count(*) AS n FROM lead")[0]["n"]


def test_a_new_sender_becomes_a_lead(spine: Spine) -> None:
    receipt = arrives(spine, mail(Message_ID="<1@acme.test>"))
    spine.run()

    lead = spine.lead_of(receipt)
    assert fate(spine, receipt) == ("processed", None)
    assert (lead["channel"], lead["source"], lead["message"]) == (
        "email",
        "inbox",
        "Quote\n\nWe need 40 seats for our team.",
    )
    assert [(touch["kind"], touch["email"]) for touch in touches(spine)] == [("email", "ana@acme.test")]
    assert spine.rows("SELECT message_id, lead_id, direction FROM message") == [
        {"message_id": "1@acme.test", "lead_id": lead["id"], "direction": "in"}
    ]


def test_an_answer_from_another_address_belongs_to_the_conversation(spine: Spine) -> None:
    first = arrives(spine, mail(Message_ID="<1@acme.test>"))
    spine.run()
    answer = arrives(
        spine, mail("Ana at home <ana@home.test>", In_Reply_To="<1@acme.test>", Message_ID="<2@home.test>")
    )
    spine.run()

    assert spine.lead_of(answer)["id"] == spine.lead_of(first)["id"]
    assert [(touch["kind"], touch["email"]) for touch in touches(spine)] == [
        ("email", "ana@acme.test"),
        ("email.reply", "ana@acme.test"),
    ]
    assert touches(spine)[1]["data"]["from"] == "ana@home.test"
    assert spine.rows("SELECT value FROM person_key") == [{"value": "ana@acme.test"}]


def test_an_answer_of_somebody_we_know_is_theirs_whatever_they_answer(spine: Spine) -> None:
    arrives(spine, mail(Message_ID="<1@acme.test>"))
    ben = arrives(spine, mail("Ben <ben@acme.test>", Message_ID="<2@acme.test>"))
    spine.run()
    answer = arrives(spine, mail("Ben <ben@acme.test>", In_Reply_To="<1@acme.test>"))
    spine.run()

    assert spine.lead_of(answer)["id"] == spine.lead_of(ben)["id"]


def test_two_people_who_answer_the_same_unknown_mail_stay_two(spine: Spine) -> None:
    for name in ("ana", "ben"):
        arrives(spine, mail(f"{name}@acme.test", In_Reply_To="<newsletter@example.com>"))
    spine.run()
    arrives(spine, mail("cem@acme.test", In_Reply_To="<newsletter@example.com>"))
    spine.run()

    assert counted(spine) == (3, 3)


def test_a_signed_address_finds_its_lead(spine: Spine) -> None:
    first = arrives(spine, mail())
    spine.run()
    lead = spine.lead_of(first)["id"]
    answer = arrives(spine, mail("somebody@else.test"), **{LEAD: lead})
    spine.run()

    assert spine.lead_of(answer)["id"] == lead
    assert counted(spine) == (1, 1)


def test_an_automatic_answer_of_somebody_known_goes_to_them_and_counts_for_nothing(spine: Spine) -> None:
    arrives(spine, mail())
    spine.run()
    before = spine.rows("SELECT score_total, state FROM lead")
    away = arrives(spine, mail(text="I am away until Monday.", Auto_Submitted="auto-replied"))
    spine.run()

    assert fate(spine, away) == ("merged", None)
    touch = touches(spine)[1]
    assert (touch["kind"], touch["data"]["text"]) == ("email.auto_reply", "I am away until Monday.")
    assert spine.rows("SELECT score_total, state FROM lead") == before
    assert spine.rows("SELECT message FROM lead")[0]["message"].startswith("Quote")


def test_no_machine_opens_a_lead(spine: Spine) -> None:
    report = (
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; x@y.test\r\n"
        "Action: failed\r\nStatus: 5.1.1\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <9@x>\r\n--b--"
    )
    kind = "multipart/report; report-type=delivery-status; boundary=b"
    away = arrives(spine, mail(Auto_Submitted="auto-replied"))
    guess = arrives(spine, mail(Subject="Automatische Antwort: Angebot"))
    bounce = arrives(spine, mail("MAILER-DAEMON@mx.test", report, Content_Type=kind))
    listed = arrives(spine, mail(List_Id="<news.shop.test>"))
    loop = arrives(spine, mail("sales@example.com"))
    empty = arrives(spine, b"")
    spine.run()

    assert [fate(spine, each) for each in (away, guess, bounce, listed, loop, empty)] == [
        ("quarantined", "auto_reply"),
        ("quarantined", "auto_reply_suspected"),
        ("rejected", "bounce"),
        ("quarantined", "list_mail"),
        ("rejected", "loop"),
        ("quarantined", "no_sender"),
    ]
    assert spine.receipt(bounce)["detail"] == {"status": "5.1.1", "action": "failed"}
    assert counted(spine) == (0, 0)


def test_a_bounce_of_a_mail_to_somebody_is_told_where_they_are(spine: Spine) -> None:
    first = arrives(spine, mail())
    spine.run()
    lead = spine.lead_of(first)["id"]
    spine.do("INSERT INTO message VALUES ('ours@example.com', :lead, 'out', now())", lead=lead)
    report = (
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; ana@acme.test\r\n"
        "Action: failed\r\nStatus: 5.2.2\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
        "Message-ID: <ours@example.com>\r\n--b--"
    )
    kind = "multipart/report; report-type=delivery-status; boundary=b"
    bounce = arrives(spine, mail("MAILER-DAEMON@mx.test", report, Content_Type=kind))
    spine.run()

    assert fate(spine, bounce) == ("merged", None)
    assert touches(spine)[1]["kind"] == "email.bounce"
    assert touches(spine)[1]["data"]["status"] == "5.2.2"
    assert counted(spine) == (1, 1)


def test_our_own_mail_that_comes_back_is_a_loop(spine: Spine) -> None:
    first = arrives(spine, mail())
    spine.run()
    lead = spine.lead_of(first)["id"]
    spine.do("INSERT INTO message VALUES ('ours@example.com', :lead, 'out', now())", lead=lead)
    back = arrives(spine, mail("Forwarder <f@other.test>", Message_ID="<ours@example.com>"))
    spine.run()

    assert fate(spine, back) == ("rejected", "loop")


def test_what_is_released_by_hand_becomes_a_lead(spine: Spine) -> None:
    guess = arrives(spine, mail(Subject="Automatische Antwort: Angebot"))
    spine.run()
    spine.do(
        "UPDATE receipt SET status = 'pending', reason = NULL, due_since = received_at, released_at = received_at "
        "WHERE id = :id",
        id=guess,
    )
    spine.run()

    assert fate(spine, guess) == ("processed", None)


def test_a_mail_and_two_hundred_others_with_it_are_each_read(spine: Spine) -> None:
    poison = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" * 5000
    receipts = [arrives(spine, poison if number % 50 == 0 else mail(f"p{number}@acme.test")) for number in range(200)]
    spine.run()

    assert {fate(spine, each)[0] for number, each in enumerate(receipts) if number % 50} == {"processed"}
    assert {fate(spine, each) for number, each in enumerate(receipts) if number % 50 == 0} == {
        ("quarantined", "too_deep")
    }


# -- what is attached, what comes late ---------------------------------------------------------------------------------


def test_what_is_attached_is_listed_by_number_and_handed_out(spine: Spine) -> None:
    parts = (
        "Content-Type: text/plain\r\n\r\nSee both.",
        "Content-Type: application/pdf; name=plan.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjc=",
        "Content-Type: application/ms-tnef; name=winmail.dat\r\n\r\nx",
    )
    text = "".join(f"--b\r\n{part}\r\n" for part in parts) + "--b--"
    receipt = arrives(spine, mail(text=text, Content_Type="multipart/mixed; boundary=b"))
    spine.run()

    listed = touches(spine)[0]["data"]["attachments"]
    assert [(each["number"], each["name"]) for each in listed] == [(1, "plan.pdf"), (2, "winmail.dat")]
    with api_thread(spine.url) as api:
        answers = [
            api.request("GET", f"/v1/receipts/{receipt}/files/{number}", None, api.bearer) for number in (1, 2, 3)
        ]
    assert [answer.body for answer in answers[:2]] == [b"%PDF-1.7", b"x"]
    assert answers[0].headers["Content-Disposition"] == "attachment; filename*=UTF-8''plan.pdf"
    assert answers[2].code == "file_not_found"


def test_a_message_id_that_was_there_before_is_flagged_and_both_mails_are_kept(spine: Spine) -> None:
    for round_ in range(2):
        for number in range(2):
            arrives(spine, mail(text=f"{round_}{number}", Message_ID="<same@acme.test>"))
        spine.run()

    issues = [[issue["code"] for issue in touch["data"].get("issues", ())] for touch in touches(spine)]
    assert issues == [[], *[["message_id_reused"]] * 3]
    assert len(spine.rows("SELECT 1 FROM message")) == 1


def test_an_answer_to_a_lead_that_is_closed_finds_its_person(spine: Spine) -> None:
    first = arrives(spine, mail(Message_ID="<1@acme.test>"))
    spine.run()
    lead = spine.lead_of(first)
    spine.do("UPDATE lead SET open = false WHERE id = :id", id=lead["id"])
    answer = arrives(spine, mail("Ana at home <ana@home.test>", In_Reply_To="<1@acme.test>"))
    spine.run()

    assert spine.receipt(answer)["person_id"] == lead["person_id"]
    assert spine.rows("SELECT count(*) AS n FROM person") == [{"n": 1}]
