"""
Reading a mail: who wrote, what, to which conversation it belongs, and whether a person wrote it at all.

    reads   the raw message, and from the receipt's headers what only the way in knew (`ENVELOPE_FROM`, `LEAD`, `DATED`)
    gives   the sender as a draft with the message; kind `email`, or `email.reply` for what answers a mail
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from schema import contact
from schema.draft import draft
from schema.journey import Source
from schema.mail.address import mailbox_of
from schema.mail.kinds import Sort, authentication, relayed, sort
from schema.mail.languages import FORWARDED
from schema.mail.mime import Message, take_apart
from schema.mail.text import LONGEST_TEXT, PRIVATE, passed_on, plain, reply
from schema.mail.words import Mailbox, decoded, mailboxes, message_ids
from schema.payload import Fields, Issue, storable, without_controls
from schema.understood import Raw, Understood

ENVELOPE_FROM: Final = "envelope-from"
"""The header of a receipt that keeps who sent it, as SMTP said; empty for a bounce."""
ENVELOPE_TO: Final = "envelope-to"
LEAD: Final = "lead"
"""The header of a receipt that keeps the lead that a signed plus-address named."""
DATED: Final = "dated"
"""The header of a receipt that keeps when the mail reached its mailbox, in ISO 8601."""
UNSUBSCRIBE: Final = "unsubscribe"
"""The subject that mail programs send to the signed address of a message, to unsubscribe from it (RFC 2369)."""
THREAD: Final = "thread"
"""The kind of the keys that are message ids of a conversation."""
_LONGEST_SUBJECT: Final = 500
_LONGEST_MESSAGE: Final = 20_000
_MOST_ATTACHMENTS: Final = 50
_MANY_RECIPIENTS: Final = 1000

_Outcome = Literal["", "quarantined", "spam", "rejected"]
_ENDS: Final[dict[str, tuple[str, _Outcome, str]]] = {
    "bounce": ("email.bounce", "rejected", "bounce"),
    "complaint": ("email.complaint", "rejected", "complaint"),
    "loop": ("email", "rejected", "loop"),
    "forged": ("email", "quarantined", "sender_forged"),
    "auto_reply": ("email.auto_reply", "quarantined", "auto_reply"),
    "list": ("email", "quarantined", "list_mail"),
}
"""Mail that no person wrote to us: the touchpoint's kind if it belongs to somebody, else how it ends, and why."""


def read_mail(raw: Raw, source: Source) -> Understood:
    """What a mail says. It never raises: whatever the bytes are, they are a mail, if only one that nobody signed."""
    message = take_apart(raw.body)
    own = mailbox_of(source.address)[0] if source.address else ""
    found = sort(message, own, source.authority or "", raw.headers.get(ENVELOPE_FROM))
    answered = list(reversed([*message_ids(message.header("references")), *message_ids(message.header("in-reply-to"))]))
    lead = raw.headers.get(LEAD)
    writer = sender = _writer(message, own, raw.headers.get(ENVELOPE_FROM, ""))
    subject = decoded(message.header("subject"))[:_LONGEST_SUBJECT]
    kind = "email.reply" if answered or lead else "email"
    if lead and subject.strip().lower() == UNSUBSCRIBE:
        kind = "email.unsubscribe"
    said = _said(message)
    text = reply(said)[:_LONGEST_MESSAGE]
    passed = passed_on(said) if FORWARDED.match(subject) else None
    if passed:
        text = said[:_LONGEST_MESSAGE].translate(PRIVATE)
        writer, text = _written_before(writer, own, passed) or (writer, text)
    values: dict[str, Any] = {"email": writer.address, "name": writer.name}
    if not found.kind:
        values["message"] = _message(subject, text, kind)
    issues = [Issue("", code) for code in _issues(message)]
    read = draft(
        Fields({name: storable(value) for name, value in values.items() if value}, issues),
        {name: name for name in values} | {path: field for path, field in source.map.items() if path == "email"},
        region=source.region,
    )
    understood = Understood(
        read, kind, _dated(raw), message_id=next(iter(message_ids(message.header("message-id"))), "")
    )
    understood.keys = [("lead", lead)] if lead else []
    understood.keys += [(THREAD, each) for each in dict.fromkeys(answered)]
    understood.data = _data(message, subject, sender, source.authority or "")
    if found.kind:
        _end(understood, found, text)
    elif "too_deep" in message.issues:
        understood.outcome, understood.reason = "quarantined", "too_deep"
    elif not (writer.address or understood.keys):
        understood.outcome, understood.reason = "quarantined", "no_sender"
    return understood


def _end(understood: Understood, found: Sort, text: str) -> None:
    """Say what becomes of what no person wrote: reports and automatic answers go to whom they are about, if known."""
    kind, understood.outcome, understood.reason = _ENDS[found.kind]
    if found.suspected:
        understood.reason = "auto_reply_suspected"
    if found.kind in {"bounce", "complaint", "auto_reply"}:
        understood.kind = kind
        understood.only_known = True
        understood.data |= {"machine": found.kind} | found.data | ({"suspected": True} if found.suspected else {})
        if text:
            understood.data["text"] = without_controls(text)[:_LONGEST_MESSAGE]
    if found.kind in {"bounce", "complaint"}:
        understood.draft = draft(Fields({}, []), {})
        signed = [key for key in understood.keys if key[0] == "lead"]
        understood.keys = [*signed, *([(THREAD, found.about)] if found.about else [])]
    understood.detail = {name: found.data[name] for name in ("status", "action") if name in found.data}


def _writer(message: Message, own: str, envelope_from: str) -> Mailbox:
    """Who wrote: `From`; `Reply-To` where a form wrote for somebody; the envelope's sender where there is no other."""
    sender = next((each for each in mailboxes(message.header("from"), 5) if _usable(each)), None)
    answers = next((each for each in mailboxes(message.header("reply-to"), 5) if _usable(each)), None)
    if answers and (sender is None or relayed(message, own)):
        named = sender.name if sender and not answers.name and not relayed(message, own) else answers.name
        return Mailbox(named, answers.address)
    if sender is None:
        name = next((each.name for each in mailboxes(message.header("from"), 1)), "")
        return Mailbox(name, envelope_from if _usable(Mailbox("", envelope_from)) else "")
    return sender if sender.name != sender.address else Mailbox("", sender.address)


def _usable(mailbox: Mailbox) -> bool:
    return contact.email(mailbox.address).match_key is not None if mailbox.address else False


def _written_before(passes: Mailbox, own: str, passed: tuple[str, str]) -> tuple[Mailbox, str] | None:
    """Who wrote what a colleague passes on to us, and what; None where somebody else does, for themselves."""
    first = next(iter(mailboxes(passed[0], 1)), None)
    colleague = own and mailbox_of(passes.address)[0].rpartition("@")[2] == own.rpartition("@")[2]
    return (first, passed[1][:_LONGEST_MESSAGE]) if first and colleague and _usable(first) else None


def _said(message: Message) -> str:
    """The text of a mail: of its plain parts where they say something, else of the HTML."""
    inline = [part for part in message.parts if not part.attached]
    written = [part.text[:LONGEST_TEXT].translate(PRIVATE) for part in inline if part.media == "text/plain"]
    joined = "\n\n".join(text.strip("\n") for text in written[:20] if text.strip())
    if not joined:
        joined = "\n\n".join(plain(part.text) for part in inline[:20] if part.media == "text/html")
    return joined


def _message(subject: str, text: str, kind: str) -> str:
    return text if kind == "email.reply" and text else "\n\n".join(filter(None, [subject, text]))


def _data(message: Message, subject: str, writer: Mailbox, authority: str) -> dict[str, Any]:
    """What the touchpoint keeps beside the message."""
    attached = [
        {"number": number, **part.listed()} for number, part in enumerate(message.attached[:_MOST_ATTACHMENTS], 1)
    ]
    data: dict[str, Any] = {
        "subject": subject,
        "from": writer.address,
        "date": decoded(message.header("date"))[:100],
        "attachments": attached,
        "authentication": authentication(message, authority),
    }
    return {name: storable(value) for name, value in data.items() if value}


def _issues(message: Message) -> list[str]:
    many = sum(value.count("@") for name, value in message.headers if name in {"to", "cc"}) > _MANY_RECIPIENTS
    return [*message.issues, *(["many_recipients"] if many else [])]


def _dated(raw: Raw) -> datetime | None:
    """When it reached its mailbox, where that is not now; what its sender says is only kept."""
    try:
        found = datetime.fromisoformat(raw.headers.get(DATED, ""))
    except ValueError:
        return None
    return found if found.tzinfo else None
