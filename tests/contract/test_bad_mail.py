"""
Bad mail, case by case, over SMTP and LMTP: what is answered, as what its receipt ends, and what was noticed.

The letters are those of the project's list of bad input: M1 to M43 are about mail. What is not one message that is
handed over (floods, mailboxes, a database that is away) has tests of its own, named in `ELSEWHERE`.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from schema.journey import default_text
from tests.door import house
from tests.postman import US, handed, stuffed, taking, talk
from tests.spine import Spine
from tests.uglymail import SEEDS, uglified

if TYPE_CHECKING:
    from collections.abc import Iterator

_INBOX: Final = "address: sales@example.com"
_ELSEWHERE_IN: Final = Path(__file__).parent.parent


class Case(NamedTuple):
    """A message, and what is to come of it. `says` has to stand in the lead's message, `unsaid` nowhere in it."""

    id: str
    raw: bytes
    status: str = "processed"
    reason: str | None = None
    sender: str = "ana@acme.test"
    to: str = US
    answer: int = 250
    issues: frozenset[str] = frozenset()
    says: str = ""
    unsaid: str = ""


def mail(text: bytes = b"We need 40 seats.", sender: bytes = b"Ana <{case}@acme.test>", **headers: str) -> bytes:
    lines = [b"From: " + sender] if sender else []
    lines += [f"{name.replace('_', '-')}: {value}".encode() for name, value in headers.items()]
    return b"\r\n".join([*lines, b"", text, b""])


def part(text: bytes, **headers: str) -> bytes:
    return mail(text, b"", **headers)


def multipart(*parts: bytes, kind: str = "mixed", **headers: str) -> bytes:
    body = b"".join(b"--b\r\n" + each for each in parts) + b"--b--"
    return mail(body, b"Ana <{case}@acme.test>", Content_Type=f"multipart/{kind}; boundary=b", **headers)


def _nested(depth: int) -> bytes:
    heads = (b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth))
    return b"From: {case}@acme.test\r\n" + b"".join(heads) + b"\r\nhello\r\n"


def _enclosed(depth: int) -> bytes:
    return mail(b"\r\nsee it\r\n" + part(b"secret", Content_Type="message/rfc822") * depth)


_REPORT: Final = multipart(
    part(
        b"Final-Recipient: rfc822; lee@acme.test\r\nAction: failed\r\nStatus: 5.1.1",
        Content_Type="message/delivery-status",
    ),
    kind="report; report-type=delivery-status",
)
_AWAY: Final = {
    "en": "Out of office: Quote",
    "de": "Abwesenheitsnotiz: Angebot",
    "fr": "Réponse automatique : Devis",
    "es": "Respuesta automática: oferta",
    "it": "Risposta automatica: offerta",
    "pt": "Resposta automática: oferta",
    "nl": "Automatisch antwoord: offerte",
    "pl": "Automatyczna odpowiedź: oferta",
    "sv": "Autosvar: Offert",
    "fi": "Automaattinen vastaus: tarjous",
    "ru": "Автоматический ответ: предложение",
    "ja": "自動応答: 見積",
}
_SMUGGLED: Final = (
    b"MAIL FROM:<boss@example.com>\r\nRCPT TO:<sales@example.com>\r\nDATA\r\nFrom: boss@example.com\r\n\r\nx"
)

_HTML: Final = (
    b"<base href=http://x.test><script>bad()</script><style>p{}</style><p>We need 40<img src=http://x.test/i>"
    b"<form action=http://x.test><input value=bad></form>"
)

CASES: Final = (
    Case("M1-unknown-recipient", mail(), answer=550, to="nobody@example.com"),
    Case("M1-another-domain", mail(), answer=550, to="sales@elsewhere.example"),
    *(
        Case(f"M5-smuggled-{number}", mail(b"x" + end + _SMUGGLED), says="boss@example.com")
        for number, end in enumerate((b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\r\n.\r\r\n", b"\n.\n", b"\r.\r"))
    ),
    Case("M7-bounce", _REPORT, "rejected", "bounce", sender=""),
    Case("M7-empty-sender", mail(), "quarantined", "auto_reply", sender=""),
    Case("M9-own-address", mail(sender=b"Sales <sales+{case}@example.com>"), "rejected", "loop"),
    Case("M9-own-mark", mail(X_Throughline_Loop="1"), "rejected", "loop"),
    Case("M11-empty", b"", "quarantined", "no_sender", sender="nobody"),
    Case("M11-only-headers", b"From: {case}@acme.test\r\nSubject: Quote\r\n", says="Quote"),
    Case("M11-only-a-body", b"\r\nWe need 40 seats.\r\n", says="40 seats"),
    Case("M11-nobody-wrote-it", b"Subject: {case}\r\n\r\nx\r\n", "quarantined", "auto_reply", sender=""),
    Case("M13-broken-name", mail(sender=b"=?utf-8?b?a?= <{case}@acme.test>"), says="40 seats"),
    Case("M13-only-a-broken-name", mail(sender=b"=?utf-8?b?a?="), says="40 seats"),
    Case("M15-broken-base64", mail(b"@@@@", Content_Transfer_Encoding="base64"), issues=frozenset({"body_decode"})),
    Case("M15-unknown-encoding", mail(Content_Transfer_Encoding="x-own"), issues=frozenset({"body_decode"}), says="40"),
    Case("M17-nested-5000-deep", _nested(5000), "quarantined", "too_deep"),
    Case("M17-nested-19-deep", _nested(19), says="hello"),
    Case("M19-many-recipients", mail(To="a@b.test, " * 5000), issues=frozenset({"many_recipients"})),
    Case(
        "M21-zip",
        multipart(part(b"see file"), part(b"PK\x03\x04" * 10, Content_Type="application/zip")),
        says="see file",
    ),
    Case(
        "M21-mail-in-mail",
        multipart(part(b"see it"), part(_enclosed(100), Content_Type="message/rfc822")),
        says="see it",
        unsaid="secret",
    ),
    Case(
        "M21-winmail",
        multipart(part(b"see file"), part(b"x\x9f\x3e\x22", Content_Type="application/ms-tnef; name=winmail.dat")),
        says="see file",
    ),
    Case("M23-html", mail(_HTML, Content_Type="text/html"), says="We need 40", unsaid="bad"),
    Case("M25-folded", mail(Subject="Quote\r\n\tBcc: boss@example.com\r\n x"), says="Quote Bcc: boss@example.com x"),
    Case("M25-invisible", mail(Subject="Qu\x00o\u202ete"), says="Quote"),
    Case("M25-long", mail(Subject="Q" * 10_000), says="Q" * 500, unsaid="Q" * 501),
    Case("M25-template", mail(Subject="{{config}} ${7*7} {% x %}"), says="{{config}} ${7*7} {% x %}"),
    Case("M27-forged-result", mail(Authentication_Results="mx.evil.test; dmarc=fail"), says="40 seats"),
    Case("M27-our-result", mail(Authentication_Results="mx.example.com; dmarc=fail"), "quarantined", "sender_forged"),
    Case("M29-command", mail(b"delete"), to="sales+delete@example.com", says="delete"),
    Case("M31-first", mail(b"one", Message_ID="<same@acme.test>"), says="one"),
    Case(
        "M31-second", mail(b"two", Message_ID="<same@acme.test>"), issues=frozenset({"message_id_reused"}), says="two"
    ),
    Case("M33-no-id", mail(b"no id"), says="no id"),
    Case("M35-any-script", mail(sender="Anä <{case}@bücher.example>".encode()), sender="anä@bücher.example", says="40"),
    Case("M35-punycode", mail(sender=b"{case}@xn--bcher-kva.example"), says="40"),
    *(
        Case(f"M37-away-{language}", mail(Subject=subject), "quarantined", "auto_reply_suspected")
        for language, subject in _AWAY.items()
    ),
)

ELSEWHERE: Final = {
    "M3": "integration/test_smtp.py::test_what_cannot_be_stored_is_left_with_its_sender",
    "M31": "integration/test_smtp.py::test_the_same_mail_again_is_the_same_receipt_and_another_with_its_id_is_not",
    "M39": "integration/test_imap.py::test_a_mail_that_somebody_takes_away_is_no_trouble",
    "M41": "integration/test_imap.py::test_a_wrong_password_raises_an_alarm_and_no_storm_and_the_others_are_read",
    "M43": "integration/test_smtp.py::test_a_flood_is_told_to_come_back_and_what_was_taken_is_kept",
}


class Inbox(NamedTuple):
    """A way in, and the database behind it."""

    kind: str
    port: int
    spine: Spine

    def hand_over(self, raw: bytes, sender: str, to: str = US) -> tuple[int, dict[str, Any]]:
        """The answer to a message, and the receipt that it ended as, if it was taken."""
        before = {row["id"] for row in self.spine.rows("SELECT id FROM receipt")}
        with talk(self.port, self.kind) as client:
            client.mail(sender, [] if sender.isascii() else ["SMTPUTF8"])
            refused = client.rcpt(to)[0]
            if refused != 250:
                return refused, {}
            client.docmd("DATA")
            client.send(stuffed(raw) + b".\r\n")
            answer = client.getreply()[0]
            assert client.noop()[0] == 250
        self.spine.run()
        (receipt,) = (row for row in self.spine.rows("SELECT * FROM receipt") if row["id"] not in before)
        assert bytes(receipt["body"]) == raw
        return answer, receipt


@pytest.fixture(scope="module", params=["smtp", "lmtp"])
def inbox(request: pytest.FixtureRequest, postgres_server: str) -> Iterator[Inbox]:
    document = default_text().replace(_INBOX, f"{_INBOX}, authority: mx.example.com")
    assert document != default_text()
    with house(postgres_server, document) as url, taking(url, request.param) as port:
        spine = Spine(url)
        yield Inbox(request.param, port, spine)
        spine.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_each_bad_mail_is_answered_and_kept_as_the_list_says(inbox: Inbox, case: Case) -> None:
    raw = case.raw.replace(b"{case}", case.id.lower().encode())
    answer, receipt = inbox.hand_over(raw, case.sender, case.to)

    assert answer == case.answer
    if not receipt:
        assert answer == 550
        return
    assert (receipt["status"], receipt["reason"]) in {
        (case.status, case.reason),
        ("merged" if case.status == "processed" else case.status, case.reason),
    }
    if receipt["lead_id"]:
        (touch,) = inbox.spine.rows("SELECT * FROM touchpoint WHERE id = :id", id=receipt["id"])
        said = touch["data"].get("message", "")
        assert {issue["code"] for issue in touch["data"].get("issues", ())} == case.issues
        assert case.says in said
        assert not case.unsaid or case.unsaid not in said


@pytest.mark.parametrize("number", ELSEWHERE)
def test_what_is_no_single_message_has_a_test_of_its_own(number: str) -> None:
    file, _, name = ELSEWHERE[number].partition("::")
    assert re.search(rf"^def {name}\(", (_ELSEWHERE_IN / file).read_text(), re.MULTILINE)


def test_every_number_of_the_list_is_tested() -> None:
    tested = {case.id.partition("-")[0] for case in CASES} | ELSEWHERE.keys()
    assert tested == {f"M{number}" for number in range(1, 44, 2)}


def test_two_hundred_ugly_mails_end_as_receipts_with_an_outcome(inbox: Inbox) -> None:
    seeds = sorted(SEEDS)
    ugly = {uglified(seeds[number % len(seeds)], random.Random(number)) for number in range(210)}  # noqa: S311 - the same each time
    before = {row["id"] for row in inbox.spine.rows("SELECT id FROM receipt")}
    with talk(inbox.port, inbox.kind) as client:
        answers = [handed(client, stuffed(raw) + b"\r\n.\r\n") for raw in sorted(ugly)]
    inbox.spine.run()

    kept = [row for row in inbox.spine.rows("SELECT * FROM receipt") if row["id"] not in before]
    assert answers == [[250]] * len(ugly)
    assert len(ugly) >= 200
    assert {bytes(row["body"]) for row in kept} == {raw + b"\r\n" for raw in ugly}
    assert {row["status"] for row in kept} <= {"processed", "merged", "quarantined", "rejected"}
    assert not inbox.spine.rows("SELECT 1 FROM dead_letter")
