"""
What sort of mail it is: written by a person, or by a machine?

    bounce        a mail of ours did not arrive (RFC 3464), or is late
    complaint     somebody called a mail of ours spam (RFC 5965)
    loop          our own mail has come back
    forged        our own mail server found that the sender is not who it says (DMARC, RFC 8601)
    auto_reply    out of office, received, read; `suspected` where only its subject says so
    list          a newsletter, or a list that is not ours

No answer is ever sent to any of them, and none of them opens a lead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from schema.mail.address import mailbox_of
from schema.mail.languages import AUTOMATIC, BOUNCED
from schema.mail.mime import read_headers, split_head
from schema.mail.words import as_text, decoded, mailboxes, message_ids, parameters

if TYPE_CHECKING:
    from schema.mail.mime import Message

LOOP_HEADER: Final = "X-Throughline-Loop"
"""Stands in every mail that we send."""
_AUTOMATIC_HEADERS: Final = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply", "x-mail-autoreply")
_POSTMASTER: Final = re.compile(r"(mailer-daemon|postmaster|mail-daemon|mdaemon)@", re.IGNORECASE)
_SUPPRESSING: Final = re.compile(r"\b(all|oof|autoreply)\b", re.IGNORECASE)
_STATUS: Final = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_RECIPIENT: Final = re.compile(r"<([^<>\s]{1,100}@[^<>\s]{1,150})>")
_MESSAGE_ID: Final = re.compile(r"^message-id:[ \t]{0,9}(<[^<>\s]{1,998}>)", re.IGNORECASE | re.MULTILINE)
_RESULT: Final = re.compile(r"\b(dmarc|spf|dkim)\s*=\s*([a-z]{1,20})", re.IGNORECASE)
_COMMENT: Final = re.compile(r"\([^()]{0,2000}\)")

Kind = Literal["", "bounce", "complaint", "loop", "forged", "auto_reply", "list"]


class Sort(msgspec.Struct):
    """What was recognised. `data` says more (a bounce's recipient, status and mail); `suspected` that it is a guess."""

    kind: Kind = ""
    suspected: bool = False
    data: dict[str, str] = msgspec.field(default_factory=dict)
    about: str = ""
    """The message id of the mail that a bounce or complaint is about."""


def sort(message: Message, own: str, authority: str, envelope_from: str | None) -> Sort:
    """
    Say what sort of mail it is.

    `own` is the mailbox it came to, `authority` the name under which our own mail server writes
    `Authentication-Results` (empty: none is believed). `envelope_from` is empty for a bounce, None where nobody knows.
    """
    if report := _report(message):
        return report
    if _is_loop(message, own):
        return Sort("loop")
    if authentication(message, authority).get("dmarc") == "fail":
        return Sort("forged")
    return _automatic(message, envelope_from) or (Sort("list") if _is_list(message, own) else _suspected(message))


def authentication(message: Message, authority: str) -> dict[str, str]:
    """
    What our own mail server found out about the sender: `{"dmarc": "pass", "spf": …, "dkim": …}`.

    Only the topmost `Authentication-Results` counts, and only if it is ours: anybody can write others below it.
    """
    found = message.header("authentication-results")
    name, _, results = found.partition(";")
    if not authority or not name.split() or name.split()[0].lower() != authority.lower():
        return {}
    results = _COMMENT.sub("", results[:10_000])
    best: dict[str, str] = {}
    for method, result in _RESULT.findall(results):
        if best.get(method.lower()) != "pass":
            best[method.lower()] = result.lower()
    return best


def relayed(message: Message, own: str) -> bool:
    """Whether a form wrote it for somebody: `Reply-To` names another than `From`, and `From` is nobody to write to."""
    sender = next(iter(mailboxes(message.header("from"), 1)), None)
    answers = next(iter(mailboxes(message.header("reply-to"), 1)), None)
    if not sender or not answers or "@" not in answers.address:
        return False
    writer, other = mailbox_of(sender.address)[0], mailbox_of(answers.address)[0]
    if other in {writer, own}:
        return False
    local, _, host = writer.partition("@")
    return host == own.partition("@")[2] or bool(re.match(r"(no|do[-_.]?not|donot)[-_.]?reply|wordpress|notif", local))


def _report(message: Message) -> Sort | None:
    """Read a delivery report, a complaint or a read receipt; None if it is no report."""
    kind = message.parameters.get("report-type", "").lower() if message.media == "multipart/report" else ""
    parts = {part.media: part for part in reversed(message.parts)}
    if kind == "feedback-report" or "message/feedback-report" in parts:
        return Sort("complaint", about=_original(message))
    if kind == "disposition-notification" or "message/disposition-notification" in parts:
        return Sort("auto_reply", about=_original(message))
    status = parts.get("message/delivery-status") or parts.get("message/global-delivery-status")
    if status is None:
        return Sort("bounce", about=_original(message)) if kind == "delivery-status" else None
    said = dict(reversed(read_headers(status.body.replace(b"\r\n", b"\n").replace(b"\n\n", b"\n")[:20_000])))
    recipient = (said.get("final-recipient") or said.get("original-recipient") or "").rpartition(";")[2].strip()
    code = _STATUS.search(said.get("status", "") or said.get("diagnostic-code", ""))
    data = {
        "recipient": decoded(recipient)[:254],
        "status": code[1] if code else "",
        "action": decoded(said.get("action", "")).lower()[:30],
    }
    return Sort("bounce", data={name: value for name, value in data.items() if value}, about=_original(message))


def _original(message: Message) -> str:
    """The message id of the mail that came back with a report, whole or only its headers."""
    for part in message.parts:
        if part.media in {"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"}:
            head = split_head(part.body.lstrip())[0] or part.body[:20_000]
            for name, value in read_headers(head):
                if name == "message-id":
                    return next(iter(message_ids(value)), "")
    return next(iter(message_ids(message.header("in-reply-to"))), "")


def _is_loop(message: Message, own: str) -> bool:
    if message.has(LOOP_HEADER.lower()):
        return True
    sender = next(iter(mailboxes(message.header("from"), 1)), None)
    return bool(own and sender and mailbox_of(sender.address)[0] == own and not relayed(message, own))


def _looks_bounced(message: Message) -> bool:
    subject = decoded(message.header("subject"))[:500]
    return bool(BOUNCED.search(subject)) or message.has("x-failed-recipients")


def _automatic(message: Message, envelope_from: str | None) -> Sort | None:
    nobody = envelope_from == "" or message.header("return-path").strip() == "<>"
    if _looks_bounced(message) and (nobody or _POSTMASTER.search(message.header("from"))):
        return _told_in_words(message)
    return Sort("auto_reply") if nobody or _is_automatic(message) else None


def _told_in_words(message: Message) -> Sort:
    """A bounce of a server that writes no report: what its text says of the recipient, the status and our mail."""
    said = next((part.text for part in message.parts if part.media == "text/plain"), "")[:20_000]
    named = message.header("x-failed-recipients").partition(",")[0].strip()
    recipient = named or (found[1] if (found := _RECIPIENT.search(said)) else "")
    code = _STATUS.search(said)
    data = {"recipient": decoded(recipient)[:254], "status": code[1] if code else ""}
    ours = _MESSAGE_ID.search(said)
    about = next(iter(message_ids(ours[1] if ours else message.header("in-reply-to"))), "")
    return Sort("bounce", data={name: value for name, value in data.items() if value}, about=about)


def _suspected(message: Message) -> Sort:
    """Guess by the subject: some programs say nowhere else that they answer by themselves."""
    found = AUTOMATIC.match(decoded(message.header("subject"))[:200])
    return Sort("auto_reply", suspected=True) if found else Sort()


def _is_automatic(message: Message) -> bool:
    """Whether it says of itself that no person wrote it; a form that writes for somebody may say so too."""
    submitted = parameters(message.header("auto-submitted"))[0]
    if submitted.startswith("auto-replied") or any(message.has(name) for name in _AUTOMATIC_HEADERS):
        return True
    precedence = message.header("precedence").strip().lower()
    if precedence in {"auto_reply", "auto-reply"}:
        return True
    bulk = precedence in {"bulk", "junk"} and not (message.has("list-id") or message.has("list-unsubscribe"))
    suppressed = _SUPPRESSING.search(message.header("x-auto-response-suppress")[:200])
    generated = submitted not in {"", "no"}
    return bool(bulk or suppressed or generated) and not relayed(message, "")


def _is_list(message: Message, own: str) -> bool:
    """Whether it came by a list; one that is our own mailbox (a group address) distributes ordinary mail."""
    listed = [*message.all("list-id"), *message.all("list-post")]
    if not (listed or message.has("list-unsubscribe") or message.header("precedence").strip().lower() == "list"):
        return False
    local, _, host = own.partition("@")
    names = as_text(" ".join(listed)[:5000].lower().encode())
    return not (own and (own in names or f"{local}.{host}" in names))
