"""What a mail says: who wrote it, what is new in it, to what it belongs, and whether a person wrote it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.journey import Source
from schema.mail.address import lead_of, mailbox_of, make_token, reply_address
from schema.mail.read import DATED, ENVELOPE_FROM, LEAD
from schema.mail.text import plain, reply
from schema.mail.words import decoded, mailboxes, message_ids, parameters
from schema.store.ids import new_id
from schema.understand import understand
from schema.understood import Raw, Understood
from tests.uglymail import SEEDS, uglified

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
INBOX = Source(kind="email", address="sales@example.com")
PEPPER = b"p" * 32


def read(mail: bytes | str, source: Source = INBOX, **headers: str) -> Understood:
    body = mail.encode() if isinstance(mail, str) else mail
    kept = {name.replace("_", "-"): value for name, value in headers.items()}
    return understand(Raw("email", "message/rfc822", body, kept, NOON), source)


def mail(text: str = "We need 40 seats.", **headers: str) -> str:
    given = {"From": "Ana Lopez <ana@acme.test>", "Subject": "Quote", "Message-ID": "<1@acme.test>"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
    return f"{head}\r\n{text}"


def multipart(*parts: str, subtype: str = "mixed", **headers: str) -> str:
    body = "".join(f"--b1\r\n{part}\r\n" for part in parts) + "--b1--\r\n"
    return mail(body, Content_Type=f'multipart/{subtype}; boundary="b1"', **headers)


# -- who, what ---------------------------------------------------------------------------------------------------------


def test_a_mail_says_who_wrote_and_what() -> None:
    found = read(mail())
    assert found.draft.email
    assert (found.draft.name, found.draft.email.address) == ("Ana Lopez", "ana@acme.test")
    assert found.draft.message == "Quote\n\nWe need 40 seats."
    assert (found.kind, found.message_id, found.outcome) == ("email", "1@acme.test", "")


@pytest.mark.parametrize(
    ("header", "name", "address"),
    [
        ("ana@acme.test", "", "ana@acme.test"),
        ("<ana@acme.test>", "", "ana@acme.test"),
        ('"Lopez, Ana" <ana@acme.test>, ben@acme.test', "Lopez, Ana", "ana@acme.test"),
        ("ana@acme.test (Ana Lopez)", "Ana Lopez", "ana@acme.test"),
        ("=?utf-8?q?Ana_L=C3=B3pez?= <ana@acme.test>", "Ana López", "ana@acme.test"),
        ("=?iso-8859-1?b?TPNwZXo=?=\r\n =?iso-8859-1?q?,_Ana?= <ana@acme.test>", "López, Ana", "ana@acme.test"),
        ("Staff: Ana <ana@acme.test>, Ben <ben@acme.test>;", "Ana", "ana@acme.test"),
        ('"Ana \\"the\\" Lopez" <ana@acme.test>', 'Ana "the" Lopez', "ana@acme.test"),
        ("Ana Lopez ana@acme.test <ana@acme.test", "Ana Lopez ana@acme.test", "ana@acme.test"),
    ],
)
def test_the_sender_is_understood_however_the_address_is_written(header: str, name: str, address: str) -> None:
    assert mailboxes(header)[0] == (name, address)


def test_a_form_that_writes_for_somebody_is_that_somebody() -> None:
    relayed = mail(
        From="Website <no-reply@hosting.test>", Reply_To="Ana Lopez <ana@acme.test>", Auto_Submitted="auto-generated"
    )
    found = read(relayed)
    assert found.draft.email
    assert (found.draft.email.address, found.draft.name, found.outcome) == ("ana@acme.test", "Ana Lopez", "")


PASSED_ON = {
    "gmail": "---------- Forwarded message ---------\nFrom: Cem Ay <cem@firm.test>\nDate: Mon\nSubject: x\n",
    "outlook": "From: Cem Ay <cem@firm.test>\nSent: Monday, 5 January 2026\nTo: Info\nSubject: Seats\n",
    "outlook, german": "Von: Cem Ay <cem@firm.test>\nGesendet: Montag\nAn: Info\nBetreff: Seats\n",
    "thunderbird": "-------- Weitergeleitete Nachricht --------\nBetreff: x\nVon: Cem Ay <cem@firm.test>\n",
    "apple": "Begin forwarded message:\n\n> From: Cem Ay <cem@firm.test>\n> Subject: Seats\n",
}  # fmt: skip


@pytest.mark.parametrize("program", PASSED_ON)
def test_what_a_colleague_passes_on_is_from_whoever_wrote_it(program: str) -> None:
    text = f"Can you take this?\n\n{PASSED_ON[program]}\nWe need 40 seats.\n"
    found = read(mail(text, From="Ben <ben@example.com>", Subject="Fwd: Seats"))
    assert found.draft.email
    assert (found.draft.email.address, found.draft.name) == ("cem@firm.test", "Cem Ay")
    assert found.draft.message == "Fwd: Seats\n\nWe need 40 seats."
    assert found.data["from"] == "ben@example.com"


@pytest.mark.parametrize("program", PASSED_ON)
def test_who_passes_something_on_from_elsewhere_writes_for_themselves(program: str) -> None:
    text = f"Can you do this?\n\n{PASSED_ON[program]}\nWe need 40 seats.\n"
    found = read(mail(text, Subject="WG: Seats"))
    assert found.draft.email
    assert found.draft.email.address == "ana@acme.test"
    assert (found.draft.message or "").startswith("WG: Seats\n\nCan you do this?")
    assert "We need 40 seats." in (found.draft.message or "")


def test_who_has_no_sender_is_taken_from_the_envelope_or_waits() -> None:
    found = read(mail(From=""), envelope_from="ana@acme.test")
    assert found.draft.email
    assert found.draft.email.address == "ana@acme.test"
    assert (read(mail(From="")).outcome, read(mail(From="")).reason) == ("quarantined", "no_sender")


@pytest.mark.parametrize(
    ("charset", "encoding", "raw"),
    [
        ("utf-8", "8bit", "Grüße, 見積もり".encode()),
        ("iso-8859-1", "8bit", "Grüße".encode("latin-1")),
        ("windows-1252", "quoted-printable", b"Gr=FC=DFe =80"),
        ("iso-2022-jp", "7bit", "見積もり".encode("iso-2022-jp")),
        ("koi8-r", "base64", b"8NLJ18XU"),
        ("utf-8", "8bit", "Grüße".encode("latin-1")),
        ("nobody-knows", "8bit", "Grüße".encode()),
    ],
)
def test_the_text_is_read_in_the_charset_it_is_in(charset: str, encoding: str, raw: bytes) -> None:
    head = mail("", Content_Type=f"text/plain; charset={charset}", Content_Transfer_Encoding=encoding, Subject="")
    message = read(head.encode() + raw).draft.message
    assert message in {"Grüße, 見積もり", "Grüße", "Grüße €", "見積もり", "Привет"}


def test_a_text_that_is_only_html_is_read_as_people_see_it() -> None:
    html = (
        "<html><head><title>x</title><style>p {color: red}</style></head><body><script>alert(1)</script>"
        "<p>Hello&nbsp;there,</p><p>we need <b>40</b> seats<br>in spring</p><img src=http://t.test/x.gif>"
        "<div style='display: none'>hidden</div></body></html>"
    )
    found = read(mail(html, Content_Type="text/html", Subject=""))
    assert found.draft.message == "Hello there,\n\nwe need 40 seats\nin spring"


def test_of_a_text_in_two_forms_the_plain_one_is_read() -> None:
    forms = ("Content-Type: text/plain\r\n\r\nplain", "Content-Type: text/html\r\n\r\n<p>rich")
    found = read(multipart(*forms, subtype="alternative"))
    assert found.draft.message == "Quote\n\nplain"


def test_what_is_attached_is_listed_and_not_unpacked() -> None:
    pdf = (
        "Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment; filename*=utf-8''Anfrage%20f%C3%BCr%20uns.pdf\r\n\r\naGVsbG8="
    )
    inner = "Content-Type: message/rfc822\r\n\r\nFrom: x@y.test\r\nSubject: inner\r\n\r\nsecret"
    found = read(multipart("Content-Type: text/plain\r\n\r\nsee file", pdf, inner))
    assert [(each["number"], each["name"], each["type"], each["size"]) for each in found.data["attachments"]] == [
        (1, "Anfrage für uns.pdf", "application/pdf", 5),
        (2, "", "message/rfc822", 40),
    ]
    assert found.draft.message == "Quote\n\nsee file"
    assert len(found.data["attachments"][0]["sha256"]) == 64


# -- what is new -------------------------------------------------------------------------------------------------------

OWN = "Yes, please call me.\n\nIt is urgent."


@pytest.mark.parametrize(
    "rest",
    [
        "On Mon, 5 Jan 2026 at 10:00, Sales <sales@example.com> wrote:\n> Hello\n> there",
        "On Mon, 5 Jan 2026 at 10:00, Sales of Example\n<sales@example.com> wrote:\n\n> Hello",
        "Am 05.01.2026 um 10:00 schrieb Vertrieb:\n> Hallo",
        "Am 05.01.2026 um 10:00 schrieb Vertrieb:\nHallo, ohne Zeichen davor",
        "Le lun. 5 janv. 2026 à 10:00, Ventes <sales@example.com> a écrit :\n> Bonjour",
        "El lun, 5 ene 2026 a las 10:00, Ventas escribió:\n> Hola",
        "Op ma 5 jan 2026 om 10:00 schreef Verkoop:\n> Hallo",
        "W dniu 5.01.2026 o 10:00, Sprzedaż napisał(a):\n> Witam",
        "-----Original Message-----\nFrom: Sales\nSent: Monday\nHello",
        "-----Ursprüngliche Nachricht-----\nVon: Vertrieb\nHallo",
        "______________________________\nFrom: Sales <sales@example.com>\nSent: Monday, 5 January\nTo: Ana\n\nHello",
        "Von: Vertrieb\nGesendet: Montag\nAn: Ana\n\nHallo",
        "> On Monday\n> Hello",
        "-- \nAna Lopez\nAcme, +49 30 123456",
        "Sent from my iPhone",
        "Von meinem iPhone gesendet",
        "--\nAna\n\nOn Mon, 5 Jan 2026, Sales wrote:\n> Hello",
    ],
)
def test_the_mail_that_is_answered_and_the_signature_are_cut_away(rest: str) -> None:
    assert reply(f"{OWN}\n\n{rest}\n") == OWN


@pytest.mark.parametrize(
    "text",
    [
        "> How many?\n40\n> When?\nIn spring",
        "On Monday he said:\nwe need 40 seats",
        "On Mon, 5 Jan 2026, Sales wrote:\n> How many?\n40 seats.\n> When?\nIn spring.",
        "We need:\n- 40 seats\n- a room",
        "From: here to there, with 40 seats",
        "--\nonly a signature",
    ],
)
def test_what_a_person_wrote_is_never_cut_away(text: str) -> None:
    assert reply(text) == text


def test_what_html_marks_as_quoted_is_cut_away() -> None:
    html = '<div>Yes please</div><div class="gmail_quote">On Monday, Sales wrote:<blockquote>Hello</blockquote></div>'
    assert reply(plain(html)) == "Yes please"


# -- to what it belongs ------------------------------------------------------------------------------------------------


def test_an_answer_names_the_mails_it_belongs_to_nearest_first() -> None:
    found = read(mail(In_Reply_To="<3@example.com>", References="<1@example.com>\r\n <2@example.com> <3@example.com>"))
    assert found.kind == "email.reply"
    assert found.keys == [("thread", f"{number}@example.com") for number in (3, 2, 1)]
    assert found.draft.message == "We need 40 seats."


def test_a_signed_address_names_its_lead_and_no_other_can_be_made_up() -> None:
    lead = new_id()
    address = reply_address("sales@example.com", PEPPER, lead)
    box, token = mailbox_of(address.upper())
    assert box == "sales@example.com"
    assert len(address.partition("@")[0]) <= 64
    assert lead_of(PEPPER, token) == lead
    assert lead_of(b"q" * 32, token) is None
    changed = ("b" if token[0] == "a" else "a") + token[1:]
    assert [lead_of(PEPPER, wrong) for wrong in (changed, token[:-1], "", "é" * 40, "1" * 40)] == [None] * 5
    assert read(mail(), lead=lead).keys == [("lead", lead)]
    assert make_token(PEPPER, lead) == token


def test_the_moment_is_that_of_the_mailbox_and_never_what_the_sender_says() -> None:
    found = read(mail(Date="Thu, 1 Jan 1970 00:00:00 +0000"))
    assert (found.occurred_at, found.data["date"]) == (None, "Thu, 1 Jan 1970 00:00:00 +0000")
    arrived = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
    assert read(mail(), dated=arrived.isoformat()).occurred_at == arrived


# -- machines ----------------------------------------------------------------------------------------------------------

BOUNCE = (
    "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.test\r\n\r\n"
    "Final-Recipient: rfc822; lee@acme.test\r\nAction: failed\r\nStatus: 5.1.1\r\n"
)
RETURNED = "Content-Type: message/rfc822\r\n\r\nMessage-ID: <ours@example.com>\r\nSubject: Offer\r\n\r\nHello"


def test_a_bounce_says_who_was_not_reached_and_why_and_is_nobody() -> None:
    found = read(
        multipart(
            "Content-Type: text/plain\r\n\r\nSorry", BOUNCE, RETURNED, subtype="report; report-type=delivery-status"
        ),
        envelope_from="",
    )
    assert (found.kind, found.outcome, found.reason, found.only_known) == ("email.bounce", "rejected", "bounce", True)
    assert found.data | {"recipient": "lee@acme.test", "status": "5.1.1", "action": "failed"} == found.data
    assert found.keys == [("thread", "ours@example.com")]
    assert found.draft.email is None
    assert found.detail == {"status": "5.1.1", "action": "failed"}


@pytest.mark.parametrize(
    ("subject", "text", "headers"),
    [
        (
            "failure notice",
            "<lee@acme.test>:\nuser unknown (#5.1.1)\n\n--- Below is a copy.\n\nMessage-ID: <ours@example.com>",
            {},
        ),
        (
            "Mail delivery failed: returning message to sender",
            "It failed:\n\n  lee@acme.test\n    550 5.1.1 no such user\n\nMessage-Id: <ours@example.com>\n",
            {"X_Failed_Recipients": "lee@acme.test"},
        ),
        ("Undeliverable: Offer", "<lee@acme.test> 5.1.1", {"In_Reply_To": "<ours@example.com>"}),
    ],
)  # fmt: skip
def test_a_bounce_that_only_speaks_in_words_says_the_same(subject: str, text: str, headers: dict[str, str]) -> None:
    found = read(mail(text, Subject=subject, From="MAILER-DAEMON@mx.test", **headers), envelope_from="")
    assert (found.kind, found.outcome) == ("email.bounce", "rejected")
    assert found.data | {"recipient": "lee@acme.test", "status": "5.1.1"} == found.data
    assert found.keys == [("thread", "ours@example.com")]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Auto_Submitted": "auto-replied"}, "auto_reply"),
        ({"Auto_Submitted": "auto-generated"}, "auto_reply"),
        ({"X_Autoreply": "yes"}, "auto_reply"),
        ({"Precedence": "auto_reply"}, "auto_reply"),
        ({"Precedence": "bulk"}, "auto_reply"),
        ({"X_Auto_Response_Suppress": "DR, OOF, AutoReply"}, "auto_reply"),
        ({"Return_Path": "<>"}, "auto_reply"),
        ({"Return_Path": "<>", "Subject": "Undelivered Mail Returned to Sender"}, "bounce"),
        ({"From": "MAILER-DAEMON@mx.test", "Subject": "failure notice"}, "bounce"),
        ({"List_Id": "News <news.shop.test>", "Precedence": "list"}, "list_mail"),
        ({"List_Unsubscribe": "<https://shop.test/u>"}, "list_mail"),
        ({"From": "Sales <Sales+x@example.com>"}, "loop"),
        ({"X_Throughline_Loop": "1"}, "loop"),
    ],
)
def test_mail_of_machines_is_told_from_mail_of_people(headers: dict[str, str], reason: str) -> None:
    found = read(mail(**headers))
    assert found.outcome in {"quarantined", "rejected"}
    assert found.reason == reason


@pytest.mark.parametrize(
    "subject",
    [
        "Out of office: Quote",
        "Automatic reply: Quote",
        "AW: Abwesenheitsnotiz",
        "Automatische Antwort: Angebot",
        "Réponse automatique : Devis",
        "Respuesta automática: oferta",
        "Risposta automatica: offerta",
        "Automatisch antwoord: offerte",
        "Automatyczna odpowiedź: oferta",
        "Autosvar: Tilbud",
        "Automaattinen vastaus: tarjous",
        "Автоматический ответ: предложение",
        "自動応答: 見積",
        "자동 회신: 견적",
        "Otomatik yanıt: teklif",
    ],
)
def test_an_automatic_answer_that_only_its_subject_gives_away_is_suspected(subject: str) -> None:
    assert read(mail(Subject=subject)).reason == "auto_reply_suspected"


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "no"},
        {"Subject": "Re: automatic doors, out of stock?"},
        {"List_Id": "<sales.example.com>", "Precedence": "list"},
        {"List_Post": "<mailto:sales@example.com>"},
        {"X_Auto_Response_Suppress": "None"},
        {"From": "Sales <sales@example.com>", "Reply_To": "Ana <ana@acme.test>"},
    ],
)
def test_mail_of_people_is_taken_whatever_it_looks_like(headers: dict[str, str]) -> None:
    assert read(mail(**headers)).outcome == ""


def test_only_our_own_server_is_believed_about_the_sender() -> None:
    guarded = Source(kind="email", address="sales@example.com", authority="mx.example.com")
    ours = "mx.example.com 1; spf=pass; dkim=fail (bad; dmarc=pass) ; dmarc=fail header.from=acme.test"
    forged = mail(Authentication_Results=ours)
    assert (read(forged, guarded).outcome, read(forged, guarded).reason) == ("quarantined", "sender_forged")
    assert read(forged).outcome == ""
    below = f"Authentication-Results: mx.example.com; dmarc=pass\r\n{mail(Authentication_Results=ours)}"
    assert read(below, guarded).data["authentication"] == {"dmarc": "pass"}
    other = mail(Authentication_Results="mx.evil.test; dmarc=pass")
    assert "authentication" not in read(other, guarded).data


# -- whatever comes ----------------------------------------------------------------------------------------------------

_PIECES = st.sampled_from(
    [
        b"From: ", b"a@b.test", b"<", b">", b'"', b"(", b",", b";", b"\r\n", b"\n", b"\r", b" ", b"\t", b"=?utf-8?q?",
        b"?=", b"=?utf-8?b?a?=", b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: text/html\r\n",
        b"--b", b"--", b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n",
        b"Content-Type: message/rfc822\r\n", b"Content-Type: message/delivery-status\r\n", b"Subject:", b"\x00",
        b"Content-Transfer-Encoding: base64\r\n", b"\xff", b"References: <", b"\r\n\r\n", b"<div>", b"<!--", b"<!",
        b"</", b"&#", b"> ", b"On a wrote:", b"-- ", b"Auto-Submitted: ", b"filename*0*=utf-8''%e4", b"\xed\xa0\x80",
        b"Reply-To:", b"\xe2\x80\xae", b"Return-Path: <>\r\n",
    ]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=400), st.lists(_PIECES, max_size=60).map(b"".join)))
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_a_mail_that_is_read_the_same_again(body: bytes) -> None:
    assert read(body) == read(body)


@given(st.text(max_size=300))
def test_any_text_is_a_header(value: str) -> None:
    assert "\n" not in decoded(value)
    assert all("\n" not in each.name + each.address for each in mailboxes(value))
    assert message_ids(value) == message_ids(value)
    assert isinstance(parameters(value)[0], str)


def _html_of(piece: bytes, size: int) -> bytes:
    return b"From: a@b.test\r\nContent-Type: text/html\r\n\r\n" + piece * (size // len(piece))


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "multiparts in multiparts": lambda size: b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(size // 60)
    ),
    "one boundary for all": lambda size: (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * (size // 5)
    ),
    "recipients": lambda size: b"From: a@b.test\r\nTo: " + b"a@b.test, " * (size // 10) + b"\r\n\r\nx",
    "senders": lambda size: b"From: " + b"a@b.test, " * (size // 10) + b"\r\n\r\nx",
    "only quotes": lambda size: b"From: " + b'"' * size + b"\r\n\r\nx",
    "escaped quotes": lambda size: b"From: " + b'"\\' * (size // 2) + b"\r\n\r\nx",
    "open encoded words": lambda size: b"Subject: " + b"=?a?b?" * (size // 6) + b"\r\n\r\nx",
    "headers without end": lambda size: b"A: b\r\n" * (size // 6),
    "one endless header": lambda size: b"A: b\r\n" + b" x\r\n" * (size // 4),
    "parameters": lambda size: b"Content-Type: text/plain" + b';a="' * (size // 4) + b"\r\n\r\nx",
    "introductions": lambda size: b"From: a@b.test\r\n\r\n" + b"On a wrote:\n> x\ny\n" * (size // 18),
    "one endless introduction": lambda size: b"From: a@b.test\r\n\r\nOn " + b"a " * (size // 2),
    "lawyers": lambda size: b"From: a@b.test\r\n\r\n" + b"This e-mail is for\n\n" * (size // 20),
    "blanks": lambda size: b"From: a@b.test\r\n\r\nx" + b" \n" * (size // 2),
    **{
        f"html of {piece.decode()}": partial(_html_of, piece)
        for piece in (
            b"<!", b"<a ", b"<!--", b"<script>", b"&", b"</", b'<a b="', b"<![CDATA[", b"<div>", b"<?", b"&#",
            b"<blockquote type=cite>", b"<p>Sent: x<p>",
        )
    },
}  # fmt: skip


def calls(mail: bytes) -> int:
    """How many functions are called to read a mail, those written in C included."""
    counted = 0

    def count(*_: object) -> None:
        nonlocal counted
        counted += 1

    sys.setprofile(count)
    try:
        read(mail)
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.parametrize("name", HOSTILE)
def test_the_work_of_reading_a_mail_grows_no_faster_than_the_mail(name: str) -> None:
    once, twice = calls(HOSTILE[name](50_000)), calls(HOSTILE[name](100_000))
    assert twice < 2.2 * once + 1000


@pytest.mark.parametrize("name", HOSTILE)
def test_a_large_hostile_mail_is_read_to_its_end_and_says_little(name: str) -> None:
    found = read(HOSTILE[name](1_000_000))  # a pattern that runs away would take hours here
    assert len(found.draft.message or "") < 25_000
    assert len(str(found.data)) < 25_000


# -- mail as it comes --------------------------------------------------------------------------------------------------


@given(seed=st.sampled_from(sorted(SEEDS)), choice=st.randoms(use_true_random=False))
@settings(max_examples=400, deadline=None)
def test_any_mishap_on_the_way_leaves_a_mail_that_can_be_read_and_kept(seed: str, choice: Random) -> None:
    found = read(uglified(seed, choice))
    kept = msgspec.json.encode(found)
    assert b"\\u0000" not in kept
    assert len(kept) < 100_000
    assert len(found.keys) < 120
    assert len(found.message_id) <= 250
    assert found.outcome in {"", "quarantined", "rejected"}
    assert bool(found.outcome) == bool(found.reason)


def test_an_automatic_answer_full_of_zero_bytes_can_be_kept() -> None:
    found = read(b"Auto-Submitted: auto-replied\r\n\r\nI am away.\r\n\0\0\0")
    assert found.data["text"].strip() == "I am away."


@pytest.mark.parametrize("seed", SEEDS)
def test_every_sound_mail_is_read_without_an_issue(seed: str) -> None:
    found = read(SEEDS[seed])
    assert not found.draft.issues
    if not found.outcome:
        assert found.draft.email
        assert found.draft.email.address == "ana@acme.test"
        assert "40 seats" in (found.draft.message or "") or seed == "digest"


def test_the_names_that_the_ways_in_keep_are_those_that_are_read() -> None:
    kept: dict[str, Any] = {ENVELOPE_FROM: "a@b.test", LEAD: "x", DATED: NOON.isoformat()}
    assert set(kept) == {"envelope-from", "lead", "dated"}
