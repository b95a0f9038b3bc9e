"""
Adapters of mail services: what they send is a mail, which `schema/mail` reads like any other.

Where the service passes the raw message on, that is read; else one is put together from its headers and texts.
Attachments stay in the receipt and are listed.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from schema.journey import Source
from schema.mail.read import ENVELOPE_FROM, read_mail
from schema.payload import without_controls
from schema.providers.adapter import (
    MAIL_LIMITS,
    Headers,
    Provider,
    Values,
    as_text,
    at,
    decoded,
    fields_of,
    objects,
    text_at,
)
from schema.providers.signatures import mailgun, sendgrid, token
from schema.understood import Raw, Understood

Pairs = list[tuple[str, str]]
_OURS: Final = frozenset({"content-type", "content-transfer-encoding", "mime-version", "content-disposition"})
"""Headers that say how the original was written; what is put together here is written otherwise."""
_MOST_ATTACHMENTS: Final = 50


def _read(raw: Raw, source: Source, message: bytes, sender: str, attached: list[dict[str, Any]]) -> Understood:
    envelope = {ENVELOPE_FROM: sender} if sender else {}
    mail = msgspec.structs.replace(raw, content_type="message/rfc822", body=message, headers=raw.headers | envelope)
    understood = read_mail(mail, source)
    if attached:
        understood.data["attachments"] = attached[:_MOST_ATTACHMENTS]
    return understood


def written(headers: Pairs, text: str, html: str = "") -> bytes:
    """A message of these headers and one text, or the HTML where there is no text."""
    kind, body = ("plain", text) if text.strip() or not html else ("html", html)
    lines = [f"{name}: {_line(value)}" for name, value in headers if name and name.lower() not in _OURS]
    lines += ["MIME-Version: 1.0", f"Content-Type: text/{kind}; charset=utf-8", "Content-Transfer-Encoding: 8bit"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("utf-8", "replace")


def _line(value: str) -> str:
    """A header's value on one line, so that none can begin another header."""
    return " ".join(without_controls(value).split())


def _with(headers: Pairs, **usual: str) -> Pairs:
    """The headers, and those of the usual ones that are missing."""
    there = {name.lower() for name, _ in headers}
    given = [(name.replace("_", "-"), value) for name, value in usual.items()]
    return headers + [(name, value) for name, value in given if value and name.lower() not in there]


def _header(headers: Pairs, name: str) -> str:
    return next((value for key, value in headers if key.lower() == name), "")


def _files(values: Values, prefix: str) -> list[dict[str, Any]]:
    """What a multipart body says of its files."""
    return [
        {"name": at(value, "filename"), "type": at(value, "content_type"), "size": at(value, "size")}
        for name, value in values.items()
        if name.startswith(prefix) and isinstance(value, dict) and "filename" in value
    ]


# -- Mailgun -----------------------------------------------------------------------------------------------------------


def _mailgun_headers(values: Values) -> Pairs:
    listed = decoded(values, "message-headers").get("message-headers")
    pairs = [item for item in listed if isinstance(item, list) and len(item) >= 2] if isinstance(listed, list) else []  # noqa: PLR2004 - a pair
    return [(as_text(item[0]), as_text(item[1])) for item in pairs]


def _mailgun(raw: Raw, source: Source) -> Understood:
    values = fields_of(raw, MAIL_LIMITS).values
    if mime := as_text(values.get("body-mime")):
        return _read(raw, source, mime.encode("utf-8", "replace"), as_text(values.get("sender")), [])
    headers = _with(
        _mailgun_headers(values),
        From=as_text(values.get("from")) or as_text(values.get("sender")),
        To=as_text(values.get("recipient")),
        Subject=as_text(values.get("subject")),
        Message_Id=as_text(values.get("Message-Id")),
        In_Reply_To=as_text(values.get("In-Reply-To")),
        References=as_text(values.get("References")),
    )
    message = written(headers, as_text(values.get("body-plain")), as_text(values.get("body-html")))
    return _read(raw, source, message, as_text(values.get("sender")), _files(values, "attachment-"))


def _is_mailgun(values: Values, _: Headers) -> bool:
    return "message-headers" in values or (
        {"recipient", "sender"} <= values.keys()
        and bool({"body-plain", "body-html", "body-mime", "stripped-text"} & values.keys())
    )


MAILGUN: Final = Provider(
    name="mailgun",
    looks_like=_is_mailgun,
    proof=mailgun,
    key=lambda values, _: _header(_mailgun_headers(values), "message-id") or text_at(values, "Message-Id"),
    read=_mailgun,
    recipients=lambda values: [text_at(values, "recipient")],
    kind="email",
    limits=MAIL_LIMITS,
)

# -- SendGrid ----------------------------------------------------------------------------------------------------------


def _sendgrid_headers(values: Values) -> Pairs:
    unfolded = as_text(values.get("headers")).replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ")
    pairs = [line.partition(":") for line in unfolded.split("\n")]
    return [(name.strip(), value.strip()) for name, colon, value in pairs if colon]


def _sendgrid(raw: Raw, source: Source) -> Understood:
    values = fields_of(raw, MAIL_LIMITS).values
    sender = text_at(decoded(values, "envelope"), "envelope.from")
    if mime := as_text(values.get("email")):
        return _read(raw, source, mime.encode("utf-8", "replace"), sender, [])
    headers = _with(
        _sendgrid_headers(values),
        From=as_text(values.get("from")),
        To=as_text(values.get("to")),
        Subject=as_text(values.get("subject")),
    )
    message = written(headers, as_text(values.get("text")), as_text(values.get("html")))
    return _read(raw, source, message, sender, _files(values, "attachment"))


def _sendgrid_recipients(values: Values) -> list[str]:
    told = at(decoded(values, "envelope"), "envelope.to")
    return [as_text(each) for each in told] if isinstance(told, list) else []


SENDGRID: Final = Provider(
    name="sendgrid",
    looks_like=lambda values, _: "envelope" in values and bool({"charsets", "SPF", "sender_ip"} & values.keys()),
    proof=sendgrid,
    key=lambda values, _: _header(_sendgrid_headers(values), "message-id"),
    read=_sendgrid,
    recipients=_sendgrid_recipients,
    kind="email",
    limits=MAIL_LIMITS,
)

# -- Postmark ----------------------------------------------------------------------------------------------------------


def _postmark_headers(values: Values) -> Pairs:
    return [(text_at(item, "Name"), text_at(item, "Value")) for item in objects(values.get("Headers"))]


def _postmark(raw: Raw, source: Source) -> Understood:
    values = fields_of(raw, MAIL_LIMITS).values
    sender = text_at(values, "FromFull.Email") or text_at(values, "From")
    if mime := as_text(values.get("RawEmail")):
        return _read(raw, source, mime.encode("utf-8", "replace"), sender, [])
    name = text_at(values, "FromFull.Name").replace("\\", "").replace('"', "")
    headers = _with(
        _postmark_headers(values),
        From=f'"{name}" <{sender}>' if name else sender,
        To=text_at(values, "OriginalRecipient") or text_at(values, "To"),
        Reply_To=text_at(values, "ReplyTo"),
        Subject=text_at(values, "Subject"),
        Date=text_at(values, "Date"),
        Message_Id=f"<{id_}>" if (id_ := text_at(values, "MessageID")) else "",
    )
    attached = [
        {"name": text_at(item, "Name"), "type": text_at(item, "ContentType"), "size": at(item, "ContentLength")}
        for item in objects(values.get("Attachments"))
    ]
    message = written(headers, text_at(values, "TextBody"), text_at(values, "HtmlBody"))
    return _read(raw, source, message, sender, attached)


POSTMARK: Final = Provider(
    name="postmark",
    looks_like=lambda values, _: "MessageID" in values and bool({"FromFull", "TextBody", "Headers"} & values.keys()),
    proof=token,
    key=("MessageID",),
    read=_postmark,
    recipients=lambda values: [text_at(values, "OriginalRecipient")],
    kind="email",
    limits=MAIL_LIMITS,
)
RFC822: Final = Provider(name="rfc822", proof=token, read=read_mail, kind="email", limits=MAIL_LIMITS)

MAILS: Final = (MAILGUN, SENDGRID, POSTMARK, RFC822)
