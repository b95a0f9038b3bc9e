"""
A message as it is handed over: a template filled in for one person, headers, and what has to stand in every mail.

The message id is made of the send's id, so that answers, bounces and complaints find it. DKIM is the relay's business.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field, replace
from email.header import Header
from email.headerregistry import Address
from email.utils import format_datetime, formataddr
from html import escape
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import idna

from schema.errors import Permanent
from schema.journey.campaign import Wording
from schema.mail.address import mailbox_of, reply_address
from schema.mail.kinds import LOOP_HEADER
from schema.mail.words import mailboxes
from schema.mailing import survey_words
from schema.mailing.tokens import make_token
from schema.mailing.words import language_of, words_of
from schema.template import Frame, Rendered, render, render_typed, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from schema.facts import Facts
    from schema.journey import Journey
    from schema.journey.campaign import Mail

OPT_IN: Final = "opt_in"
"""The campaign, step and template of the mail that asks to confirm a consent."""
ANSWER: Final = "ticket_answer"
"""The campaign, step and template of an agent's answer to a ticket."""
SURVEY: Final = "survey_mail"
"""The campaign of mails that ask how satisfied somebody is; the step is the survey, and its id that of the send."""
NOWHERE: Final = "http://localhost:8080"
"""Where links lead while nobody has said under which address we are reached, and mail only goes into a folder."""
_LONGEST_LINE: Final = 900
"""Of a header, with its name well within the 998 that RFC 5322 allows."""
_LONGEST_WORD: Final = 75
_NO_HEADER: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BREAK: Final = re.compile(r"\r\n|\r|\n")
_BY_MACHINE: Final = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}
"""What tells other machines not to answer."""
_MESSAGE_ID: Final = re.compile(r"[!-;=?-~]{3,400}")
_CODE: Final = re.compile(r"[^a-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where we are: `base_url` is our address on the web, without a slash at its end; `pepper` the secret."""

    base_url: str
    pepper: bytes = field(repr=False)

    def unsubscribe(self, send_id: str) -> str:
        return f"{self.base_url}/u/{make_token(self.pepper, 'unsubscribe', send_id)}"

    def link(self, send_id: str, number: int) -> str:
        return f"{self.base_url}/l/{make_token(self.pepper, 'link', send_id, number)}"

    def picture(self, send_id: str) -> str:
        return f"{self.base_url}/o/{make_token(self.pepper, 'picture', send_id)}.gif"

    def survey(self, survey_id: str, number: int = 0) -> str:
        return f"{self.base_url}/s/{make_token(self.pepper, 'survey', survey_id, number)}"


@dataclass(frozen=True, slots=True)
class Written:
    """A message ready to go: for the envelope, and the bytes. `utf8`: only for servers that speak SMTPUTF8."""

    message_id: str
    sender: str
    recipient: str = field(repr=False)
    raw: bytes = field(repr=False)
    links: list[str] = field(repr=False)
    utf8: bool
    rendered: Rendered = field(repr=False)


def wording_of(journey: Journey, template: str, language: str | None) -> tuple[str, Wording] | None:
    """
    What a template says to somebody of a language, and the language that page is in; None: there is no such template.

    Our own words for the mail of a double opt-in where the journey has none called `opt_in`.
    """
    found = journey.templates.get(template)
    if found is not None:
        tag, wording = found.said_in(language)
        return tag or language_of(language), wording
    if template == OPT_IN:
        words = words_of(language)
        return language_of(language), Wording(subject=words.confirm_subject, text=words.confirm_text)
    return None


def message_id_of(send_id: str, mail: Mail) -> str:
    """The message id of a send, without its brackets."""
    return f"{send_id}@{_host(mail.sender)}"


def send_of(message_id: str) -> str | None:
    """The send that a message id may be of."""
    try:
        return str(UUID(message_id.partition("@")[0]))
    except ValueError:
        return None


def write(
    send: Mapping[str, Any],
    facts: Facts,
    journey: Journey,
    address: str,
    place: Place,
    now: datetime,
    *,
    tracked: bool = True,
) -> Written:
    """
    Write the message of a send to `address`.

    `send` has the columns of the table; an agent's `answer` to a ticket beside them goes as it was typed. Only
    marketing is told how to unsubscribe, and only with `tracked` links and pictures lead through us, as the journey's
    `mail` says.

    :raises Permanent: `mail_not_configured`, `template_unknown`, `address_unusable`
    :raises schema.fill.Unfilled: the template cannot be filled in for this person
    """
    mail = journey.mail
    if mail is None:
        raise Permanent("mail_not_configured", f"The journey {journey.name} has no `mail`: nobody to send from.")
    language = facts.person.get("language")
    marketing = send["lane"] > 0
    answer: Mapping[str, Any] | None = send.get("answer")
    shown_in, wording = language_of(language), None
    if answer is None:
        found = wording_of(journey, send["template"], language)
        if found is None:
            raise Permanent("template_unknown", f"There is no template {send['template']} in this version.")
        shown_in, wording = found
    frame = _frame(send["id"], mail, place, shown_in, marketing=marketing, tracked=tracked and marketing)
    stop = place.survey(send["id"], survey_words.STOP) if send["campaign"] == SURVEY else None
    if stop:
        line = survey_words.words_of(language).stop
        frame = replace(frame, foot=(*frame.foot, _foot_link(line, stop)))
    if answer is not None:
        rendered = render_typed(_subject(answer), answer["text"], frame)
    elif wording is not None:
        rendered = render(wording, _values(send, facts, journey, place), frame)
    recipient, utf8 = _envelope(address)
    desk = answer["address"] if answer is not None else None
    reply, bounce = _answers(journey, mail, place.pepper, send["lead_id"], desk)
    headers = _headers(send, mail, rendered, recipient, reply, now)
    headers |= _thread(answer["thread"]) if answer is not None else _BY_MACHINE
    headers[LOOP_HEADER] = _CODE.sub("", journey.name)
    if marketing:
        headers |= _unsubscription(send, mail, journey, place, reply)
    if stop:
        headers |= {"List-Unsubscribe": f"<{stop}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    raw = _raw(headers, rendered, send["id"], utf8=utf8)
    return Written(message_id_of(send["id"], mail), bounce, recipient, raw, rendered.links, utf8, rendered)


def write_notice(send_id: str, journey: Journey, address: str, subject: str, text: str, now: datetime) -> Written:
    """
    Write a message of ours to one of the journey's people: no template, nothing to unsubscribe from.

    :raises Permanent: `mail_not_configured`, `address_unusable`
    """
    mail = journey.mail
    if mail is None:
        raise Permanent("mail_not_configured", f"The journey {journey.name} has no `mail`: nobody to send from.")
    rendered = render_typed(subject, text, Frame())
    recipient, utf8 = _envelope(address)
    headers = _headers({"id": send_id}, mail, rendered, recipient, None, now) | _BY_MACHINE
    headers[LOOP_HEADER] = _CODE.sub("", journey.name)
    raw = _raw(headers, rendered, send_id, utf8=utf8)
    bounce = mailboxes(mail.sender)[0].address
    return Written(message_id_of(send_id, mail), bounce, recipient, raw, rendered.links, utf8, rendered)


def _values(send: Mapping[str, Any], facts: Facts, journey: Journey, place: Place) -> dict[str, Any]:
    """What the template of a send may name."""
    values = values_of(facts, journey) | {
        "unsubscribe_url": place.unsubscribe(send["id"]),
        "preferences_url": place.unsubscribe(send["id"]),
    }
    if send["campaign"] == SURVEY:
        values["survey"] = _survey(send, facts, journey, place)
    if "path" in send["data"]:
        values["link"] = place.base_url + send["data"]["path"]
    return values


def _survey(send: Mapping[str, Any], facts: Facts, journey: Journey, place: Place) -> dict[str, Any]:
    """What the template of a survey may name: its question, and a link for each answer."""
    survey = journey.surveys[send["step"]]
    least, most = survey.scale
    labels = survey_words.labels(survey.kind, facts.person.get("language"))
    answers = [
        {"value": score, "label": labels[score - least], "url": place.survey(send["id"], survey_words.number_of(score))}
        for score in range(least, most + 1)
    ]
    return {"question": survey.question, "answers": answers, "url": place.survey(send["id"])}


def _subject(answer: Mapping[str, Any]) -> str:
    """The subject of an answer, by which people find the conversation; the ticket's number where it has none."""
    subject, number = answer["subject"], f"#{answer['number']}"
    if not subject:
        return number
    return subject if subject.lower().startswith("re:") else f"Re: {subject}"


def _thread(message_ids: Sequence[str]) -> dict[str, str]:
    """What puts an answer into its conversation (RFC 5322, 3.6.4); `message_ids` are its mails, the oldest first."""
    known = [f"<{name}>" for name in message_ids if _MESSAGE_ID.fullmatch(name)]
    if not known:
        return {}
    while len(" ".join(known)) > _LONGEST_LINE and len(known) > 1:
        known.pop(min(1, len(known) - 2))  # the first and the latest say the most
    return {"In-Reply-To": known[-1], "References": " ".join(known)}


def _frame(send_id: str, mail: Mail, place: Place, language: str, *, marketing: bool, tracked: bool) -> Frame:
    words = words_of(language)
    foot: list[tuple[str, str]] = []
    if mail.postal and marketing:
        foot.append((mail.postal, escape(mail.postal)))
    if marketing:
        foot.append(_foot_link(words.unsubscribe, place.unsubscribe(send_id)))
    return Frame(
        language,
        tuple(foot),
        (lambda number: place.link(send_id, number)) if tracked and mail.clicks else None,
        place.picture(send_id) if tracked and mail.opens else None,
        frozenset({place.unsubscribe(send_id)}),
    )


def _foot_link(label: str, url: str) -> tuple[str, str]:
    """A line under a message that leads somewhere, as text and as HTML."""
    style = 'style="color:#5a5a66;text-decoration:underline" class="foot"'
    return f"{label}: {url}", f'<a href="{escape(url)}" {style}>{escape(label)}</a>'


def _headers(
    send: Mapping[str, Any],
    mail: Mail,
    rendered: Rendered,
    recipient: str,
    reply: str | None,
    now: datetime,
) -> dict[str, str]:
    headers = {
        "From": _mailbox(mail.sender),
        "To": recipient,
        "Subject": _words(rendered.subject),
        "Date": format_datetime(now),
        "Message-ID": f"<{message_id_of(send['id'], mail)}>",
    }
    if reply:
        headers["Reply-To"] = _mailbox(reply)
    return headers


def _unsubscription(
    send: Mapping[str, Any], mail: Mail, journey: Journey, place: Place, reply: str | None
) -> dict[str, str]:
    """What lets mail programs unsubscribe by themselves (RFC 2369, RFC 8058), and tells lists apart (RFC 2919)."""
    ways = [f"<{place.unsubscribe(send['id'])}>"]
    if reply and "+" in reply:
        ways.append(f"<mailto:{mailboxes(reply)[0].address}?subject=unsubscribe>")
    host = _host(mail.sender)
    name = _CODE.sub("", send["campaign"].lower()) or "mail"
    return {
        "List-Unsubscribe": ", ".join(ways),
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Id": f"<{name}.{journey.name}.{host}>",
        "Feedback-ID": f"{name}:{journey.name}:{send['step']}:{host}",
    }


def _raw(headers: Mapping[str, str], rendered: Rendered, send_id: str, *, utf8: bool) -> bytes:
    """
    The bytes of a message: its headers, each on one line since an address that is cut in two is none, and two parts.

    Written here because the standard library takes ten times as long, reading every header again.
    """
    boundary = f"=_{send_id}"
    lines = [f"{name}: {_checked(value, utf8=utf8)}" for name, value in headers.items()]
    lines += ["MIME-Version: 1.0", f'Content-Type: multipart/alternative; boundary="{boundary}"', ""]
    parts = []
    for subtype, content in (("plain", rendered.text), ("html", rendered.html)):
        kind = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable"
        parts.append(f"--{boundary}\r\n{kind}\r\n\r\n".encode() + _printable(content))
    return "\r\n".join([*lines, ""]).encode() + b"\r\n".join(parts) + f"\r\n--{boundary}--\r\n".encode()


def _checked(value: str, *, utf8: bool) -> str:
    """A header that is one. Raises Permanent (`header_unusable`) for what would begin another."""
    if _NO_HEADER.search(value) or len(value) > _LONGEST_LINE or not (utf8 or value.isascii()):
        raise Permanent("header_unusable", "A header of this message cannot be written.")
    return value


def _words(text: str) -> str:
    """A text as it stands in a header: as it is, or in encoded words (RFC 2047)."""
    plain = text.isascii() and "=?" not in text
    return text if plain else Header(text, "utf-8", maxlinelen=_LONGEST_WORD).encode(linesep="").replace("\n", "")


def _printable(content: str) -> bytes:
    return binascii.b2a_qp(_BREAK.sub("\r\n", content).encode(), istext=True)


def _answers(
    journey: Journey, mail: Mail, pepper: bytes, lead_id: str, address: str | None = None
) -> tuple[str | None, str]:
    """
    Where answers are to go, and where bounces; `address` is that of the conversation, if it has one of its own.

    With the lead's signed address where mail to it is taken in by a source of the journey, so that both find it.
    """
    wanted = address or mailboxes(mail.reply_to or mail.sender)[0].address
    taken = {mailbox_of(source.address)[0] for source in journey.sources.values() if source.address}
    if mailbox_of(wanted)[0] in taken:
        signed = reply_address(wanted, pepper, lead_id)
        name = mailboxes(mail.reply_to or mail.sender)[0].name
        return (f'"{name}" <{signed}>' if name and '"' not in name else signed), signed
    return mail.reply_to, mailboxes(mail.sender)[0].address


def _mailbox(text: str) -> str:
    """A mailbox as it stands in a header."""
    found = mailboxes(text)[0]
    local, _, host = found.address.rpartition("@")
    return formataddr((found.name, f"{local}@{host if host.isascii() else idna.encode(host, uts46=True).decode()}"))


def _host(mailbox: str) -> str:
    host = mailboxes(mailbox)[0].address.rpartition("@")[2].lower()
    return host if host.isascii() else idna.encode(host, uts46=True).decode()


def _envelope(address: str) -> tuple[str, bool]:
    """An address as SMTP takes it, and whether it needs SMTPUTF8. Raises Permanent (`address_unusable`)."""
    local, _, host = address.rpartition("@")
    try:
        host = host if host.isascii() else idna.encode(host, uts46=True).decode()
        Address(username=local, domain=host)
    except (idna.IDNAError, ValueError, IndexError):
        raise Permanent("address_unusable", "Nobody can write to this address.") from None
    if not local or not host or re.search(r"[\s<>\x00-\x1f]", address):
        raise Permanent("address_unusable", "Nobody can write to this address.")
    return f"{local}@{host}", not local.isascii()
