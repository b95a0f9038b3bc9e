"""
Ugly mail: sound messages of every sort, and what happens to mail on its way, as mutations to be drawn from.

`uglified(seed, choices)` is pure: the same choices give the same bytes, so that a listener can be sent what the parser
was tried with.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_HEAD: Final = (
    b"Received: from mx.acme.test by mx.example.com; Mon, 5 Jan 2026 10:00:00 +0000\r\n"
    b"From: =?utf-8?q?Ana_L=C3=B3pez?= <ana@acme.test>\r\nTo: Sales <sales@example.com>, ben@example.com\r\n"
    b"Subject: =?utf-8?b?QW5mcmFnZSBmw7xy?= forty seats\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n"
    b"Message-ID: <1@acme.test>\r\nMIME-Version: 1.0\r\n"
)
_TEXT: Final = (
    "Grüße, we need 40 seats.\r\n\r\nOn Mon, 5 Jan 2026, Sales <sales@example.com> wrote:\r\n> Hello\r\n".encode()
)
_HTML: Final = (
    b"<html><head><style>p{}</style></head><body><p>We need <b>40</b> seats&nbsp;&#8364;</p>"
    b'<blockquote type="cite">Hello<br>there</blockquote><!-- x --></body></html>\r\n'
)
_PDF: Final = base64.encodebytes(b"%PDF-1.7" + bytes(range(256)) * 4).replace(b"\n", b"\r\n")


def _multipart(kind: bytes, *parts: bytes, boundary: bytes = b"b-1") -> bytes:
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary, part) for part in parts)
    return b'Content-Type: multipart/%s; boundary="%s"\r\n\r\npreamble\r\n%s--%s--\r\n' % (
        kind,
        boundary,
        body,
        boundary,
    )


_PLAIN_PART: Final = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + _TEXT
_HTML_PART: Final = b"Content-Type: text/html; charset=us-ascii\r\n\r\n" + _HTML
_PDF_PART: Final = (
    b"Content-Type: application/pdf; name*0*=utf-8''Anfrage%20; name*1*=f%C3%BCr; name*2=.pdf\r\n"
    b"Content-Disposition: attachment; filename*=utf-8''Anfrage%20f%C3%BCr.pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n" + _PDF
)
_INVITE_PART: Final = (
    b"Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n"
    b"BEGIN:VEVENT\r\nORGANIZER:mailto:ana@acme.test\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
_REPORT: Final = (
    b"Content-Type: text/plain\r\n\r\nIt could not be delivered.\r\n",
    (
        b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.test\r\n\r\n"
        b"Final-Recipient: rfc822; lee@acme.test\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    ),
    b"Content-Type: message/rfc822\r\n\r\nMessage-ID: <ours@example.com>\r\nSubject: Offer\r\n\r\nHello\r\n",
)

SEEDS: Final[dict[str, bytes]] = {
    "plain": _HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + _TEXT,
    "quoted-printable": _HEAD
    + b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    + b"Gr=FC=DFe, we need =\r\n40 seats\r\n-- \r\nAna\r\n",
    "base64": _HEAD
    + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(_TEXT),
    "html": _HEAD + b"Content-Type: text/html; charset=utf-8\r\n\r\n" + _HTML,
    "alternative": _HEAD + _multipart(b"alternative", _PLAIN_PART, _HTML_PART),
    "attached": _HEAD
    + _multipart(b"mixed", _multipart(b"alternative", _PLAIN_PART, _HTML_PART, boundary=b"b-2"), _PDF_PART),
    "invited": _HEAD + _multipart(b"mixed", _PLAIN_PART, _INVITE_PART),
    "digest": _HEAD + _multipart(b"digest", b"\r\nFrom: x@y.test\r\n\r\nin it\r\n", b"\r\nSubject: z\r\n\r\nmore\r\n"),
    "bounce": b"From: MAILER-DAEMON@mx.test\r\nSubject: Undelivered Mail\r\nAuto-Submitted: auto-replied\r\n"
    + _multipart(b"report; report-type=delivery-status", *_REPORT),
    "answer": _HEAD
    + b"In-Reply-To: <3@example.com>\r\nReferences: <1@example.com>\r\n <2@example.com> <3@example.com>\r\n\r\n"
    + _TEXT,
    "away": _HEAD + b"Auto-Submitted: auto-replied\r\nX-Auto-Response-Suppress: All\r\n\r\nI am away.\r\n",
    "list": _HEAD + b"List-Id: News <news.shop.test>\r\nList-Unsubscribe: <https://shop.test/u>\r\n\r\nBuy!\r\n",
    "empty": b"",
}

_CHARSETS: Final = (b"utf-8", b"utf-7", b"utf-16", b"idna", b"hex", b"gb2312", b"x-nobody", b"cp932", b"\xff", b"")
_JUNK: Final = (
    b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\r", b"\n", b"\r\n\r\n", b"=?utf-8?b?a?=", b"=?x?q?=zz?=",
    b"=?utf-8*en?q?a?=", b"=?", b"<", b'"', b"(", b"--b-1", b"--b-1--", b"; filename*0*=x''%", b"; name*99999999=x",
    b"*0*=utf-8'de'%C3", b"%", b"<a b='", b"<!--", b"&#x110000;", b"&#99999999999;", b"On a wrote:\n", b"> ", b"-- \n",
    b"\xee\x80\x80", b"\xee\x80\x81", b"\xee\x80\x82", b"=", b"=3", b"{{config}}", b"\x1b$B", b"+AGE-",
)  # fmt: skip


def uglified(seed: str, choice: Random) -> bytes:
    """A mail after one to five mishaps."""
    mail = SEEDS[seed]
    for _ in range(choice.randint(1, 5)):
        mail = choice.choice(_MISHAPS)(mail, choice)
    return mail


def _cut(mail: bytes, choice: Random) -> bytes:
    return mail[: choice.randint(0, len(mail))]


def _dropped(mail: bytes, choice: Random) -> bytes:
    start = choice.randint(0, len(mail))
    return mail[:start] + mail[start + choice.randint(0, 200) :]


def _strewn(mail: bytes, choice: Random) -> bytes:
    place = choice.randint(0, len(mail))
    return mail[:place] + choice.choice(_JUNK) * choice.choice((1, 1, 2, 50)) + mail[place:]


def _flipped(mail: bytes, choice: Random) -> bytes:
    changed = bytearray(mail)
    for _ in range(min(len(changed), 10)):
        changed[choice.randrange(len(changed))] = choice.randrange(256)
    return bytes(changed)


def _lied_about(mail: bytes, choice: Random) -> bytes:
    for real in (b"utf-8", b"iso-8859-1", b"us-ascii"):
        mail = mail.replace(real, choice.choice(_CHARSETS))
    return mail


def _recoded(mail: bytes, choice: Random) -> bytes:
    lies = (b"base64", b"quoted-printable", b"8bit", b"x-uuencode", b"7bit, base64")
    return mail.replace(
        b"Content-Transfer-Encoding: ", b"Content-Transfer-Encoding: " + choice.choice(lies) + b"\r\nX: "
    )


def _doubled(mail: bytes, choice: Random) -> bytes:
    head, end, body = mail.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    return b"\r\n".join([*lines, *choice.choices(lines, k=5)]) + end + body


def _headless(mail: bytes, choice: Random) -> bytes:
    head, end, body = mail.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    return b"\r\n".join(choice.sample(lines, k=choice.randint(0, min(len(lines), 1_000)))) + end + body


def _nested(mail: bytes, choice: Random) -> bytes:
    for depth in range(choice.choice((1, 3, 200))):
        mark = b"n%d" % depth
        mail = b"Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n%s\r\n--%s--\r\n" % (mark, mark, mail, mark)
    return b"From: ana@acme.test\r\n" + mail


def _enveloped(mail: bytes, choice: Random) -> bytes:
    for _ in range(choice.choice((1, 2, 100))):
        mail = b"Content-Type: message/rfc822\r\n\r\n" + mail
    return b"From: ana@acme.test\r\n" + mail


def _unix(mail: bytes, choice: Random) -> bytes:
    return mail.replace(b"\r\n", choice.choice((b"\n", b"\r", b"\n\r", b"\r\r\n")))


def _unfolded(mail: bytes, choice: Random) -> bytes:
    name = choice.choice((b"From", b"Subject", b"Content-Type", b"References", b"To", b"Message-ID", b"X"))
    piece = choice.choice((b"a", b"\t", b"a@b.test, ", b"<a@b>", b"=?utf-8?q?a?= ", b";a=b", b"\r\n x", b'"', b"("))
    return name + b": " + piece * (choice.choice((1000, 1_000_000)) // len(piece)) + b"\r\n" + mail


def _grown(mail: bytes, choice: Random) -> bytes:
    return mail + choice.choice((*_JUNK, b"\r\n--b-1\r\n", b"<div>", b"> x\n")) * choice.choice((100, 20_000))


_MISHAPS: Final[tuple[Callable[[bytes, Random], bytes], ...]] = (
    _cut, _dropped, _strewn, _strewn, _flipped, _lied_about, _recoded, _doubled, _headless, _nested, _enveloped, _unix,
    _unfolded, _grown,
)  # fmt: skip
