"""
Sending: may this message go to this person now, must it wait, or is it not to be?

Asked at the moment it is claimed, whatever was true when it was planned. A no has a code, which is kept with the send;
so has a wait. What a mail server answered is judged here too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from schema import quiet
from schema.mailing.message import ANSWER, OPT_IN, SURVEY
from schema.mailing.wanted import LIFTED_BY_CONSENT, Consent, consents, refusal

if TYPE_CHECKING:
    from schema.facts import Facts
    from schema.journey import Journey
    from schema.journey.campaign import Mail
    from schema.store.suppression import Suppressed

SURVEYS: Final = "surveys"
"""The purpose of surveys: they need no consent, and who refused them gets none."""
_WAITS_M: Final = (5, 15, 30, 60, 120, 240, 480, 720, 1440, 1440)
"""Minutes until a message is tried again that was refused for now; after the last of them it has failed."""
_STATUS: Final = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_NOBODY_THERE: Final = frozenset({(1, 1), (1, 2), (1, 3), (1, 6), (1, 10), (2, 1)})
"""Enhanced codes (RFC 3463) of an address that does not exist or is closed."""
_FULL: Final = frozenset({(2, 2), (2, 3), (3, 1), (4, 1), (4, 2), (4, 7)})
_HARD_CODES: Final = frozenset({550, 551, 553})


class Go(NamedTuple):
    """It may go; `consent_id` is the answer that allows it."""

    consent_id: str | None


class Later(NamedTuple):
    """It has to wait until then, for a reason."""

    at: datetime
    reason: str


class No(NamedTuple):
    """It is not to be sent at all, for a reason; `missing` is the field that its template needs and does not get."""

    reason: str
    missing: str | None = None


Verdict = Go | Later | No


@dataclass(frozen=True, slots=True)
class Asked:
    """
    A send, and what is known that may hold it back.

    `key` is that of the person's address, `consent` their answers by purpose, `recent` when other marketing went to
    them. `over` is why the enrolment that planned it does not want it any more.
    """

    send: Mapping[str, Any]
    facts: Facts
    journey: Journey
    key: str | None
    test: bool = False
    over: str | None = None
    suppressed: Sequence[Suppressed] = ()
    consent: Mapping[str, Consent] = field(default_factory=dict)
    recent: Sequence[datetime] = ()


def verdict(asked: Asked, now: datetime) -> Verdict:
    """Whether a message may go at `now`."""
    refused = _impossible(asked) or asked.over or _unwanted(asked)
    if refused:
        return No(refused)
    if asked.send["purpose"] is None:
        return Go(None)
    mail = asked.journey.mail
    return _timed(asked, mail, now) if mail else No("mail_not_configured")


def _timed(asked: Asked, mail: Mail, now: datetime) -> Verdict:
    """Whether this is the moment for marketing that is wanted."""
    capped = _capped(mail, asked.recent, now)
    if capped and asked.send["capped"] != "defer":
        return No("capped")
    allowed = quiet.window(mail, quiet.whereabouts(asked.facts.person), asked.journey.calendars)(capped or now)
    if allowed is None:
        return No("no_hours")
    if allowed > now:
        return Later(allowed, "capped" if capped else "quiet_hours")
    given = consents(asked.send["purpose"], asked.consent)
    return Go(given.id if given else None)


def _impossible(asked: Asked) -> str | None:
    """Why there is nobody to send it to."""
    if asked.test or (asked.facts.quiet and asked.send["campaign"] != ANSWER):  # that one was written for them
        return "test_lead" if asked.test else "quiet_import"
    if not asked.facts.person.get("email"):
        return "no_address"
    return "address_unusable" if asked.key is None else None


def _unwanted(asked: Asked) -> str | None:
    """Why they are not to be written to: what holds their address back, and for marketing what they said to it."""
    purpose = asked.send["purpose"]
    if asked.send["campaign"] == SURVEY:
        return _no_surveys(asked)
    if purpose is None:
        return next((held.reason for held in asked.suppressed if not _asked_anew(asked, held)), None)
    return refusal(purpose, asked.consent, asked.suppressed)


def _no_surveys(asked: Asked) -> str | None:
    """Why they are not to be asked: their address is held back, or they said no to surveys or to all there is."""
    answer = asked.consent.get(SURVEYS)
    for held in asked.suppressed:
        if not (answer and answer.given and held.reason in LIFTED_BY_CONSENT and answer.at > held.at):
            return held.reason
    return "withdrawn" if answer and not answer.given else None


def _asked_anew(asked: Asked, held: Suppressed) -> bool:
    """Whether that is the mail of a double opt-in that was asked for after the address was given up."""
    send = asked.send
    return send["campaign"] == OPT_IN and held.reason in LIFTED_BY_CONSENT and send["planned_at"] > held.at


def _capped(mail: Mail, recent: Sequence[datetime], now: datetime) -> datetime | None:
    """When there is room for another one, if there is none now."""
    waits = [
        times[-cap.most] + cap.per
        for cap in mail.caps
        if len(times := sorted(at for at in recent if at > now - cap.per)) >= cap.most
    ]
    return max(waits, default=None)


class Answer(NamedTuple):
    """What a mail server answered: its code and words, and whether it was about the recipient or about all of us."""

    code: int
    text: str = ""
    about: Literal["recipient", "sender"] = "recipient"


Bounce = Literal["", "hard", "soft"]


def judged(answer: Answer) -> Bounce:
    """What a refusal for good says about an address: it is gone, it is full, or nothing (a policy, our reputation)."""
    return bounce_of(answer.text, answer.code) if answer.about == "recipient" else ""


def bounce_of(status: str, code: int = 0) -> Bounce:
    """
    What a status (`5.1.1`, RFC 3463), or else the code of SMTP, says about an address.

    Nothing where the mail was refused for what it is or who sent it. What says nothing at all is taken as soft.
    """
    found = _STATUS.search(status)
    if found is None:
        return "hard" if code in _HARD_CODES else "" if code else "soft"
    kind, subject, detail = found[1], int(found[2]), int(found[3])
    if (subject, detail) in _NOBODY_THERE and kind == "5":
        return "hard"
    if subject == 7:  # noqa: PLR2004 - RFC 3463: security or policy
        return ""
    return "soft" if kind == "4" or (subject, detail) in _FULL or subject in {1, 2, 4} else ""


def again(send_id: str, attempts: int, now: datetime) -> datetime | None:
    """When to try again what was refused for now, for the so manieth time (1: the first); None: not any more."""
    if attempts > len(_WAITS_M):
        return None
    spread = hashlib.sha256(f"{send_id} {attempts}".encode()).digest()[0] / 255
    return now + timedelta(minutes=_WAITS_M[attempts - 1] * (1 + spread / 5))
