"""
What comes back of our mail: answers, what was opened and followed, bounces, complaints, unsubscriptions.

`note` takes it down while an arrival is tied to its lead, `record` writes it when the batch is recorded, after
everything else: sends are locked last. A bounce and a complaint hold the address back as `schema/store/suppression`
says; only the address of the person whose message it was, whatever a report says.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schema.errors import Permanent
from schema.mail.read import THREAD
from schema.mailing.message import send_of
from schema.store import sends, suppression
from workers.decide.sending import bounce_of

if TYPE_CHECKING:
    from schema.understood import Understood
    from workers.batch import Batch, Case

_WHAT: Final = {
    "email.open": "opened",
    "email.click": "clicked",
    "email.reply": "replied",
    "email.bounce": "bounced",
    "email.complaint": "complained",
    "email.unsubscribe": "unsubscribed",
    "email.unsubscribed": "unsubscribed",
}
_OF_LAST: Final = frozenset({"bounced", "complained", "unsubscribed"})
"""What is about the last message to somebody where it does not say which."""
_LAST: Final = timedelta(days=14)
_DELAYED: Final = "delayed"
_LASTING: Final = frozenset({"hard", "permanent", "hardbounce", "invalid"})
_SEVERITIES: Final = ("bounce", "type", "bounce_type", "bouncetype", "severity")
"""Where providers say how bad a bounce is."""
_MESSAGE_IDS: Final = ("message_id", "smtp_id")
_WORD: Final = re.compile(r"[^a-z]")


class Told(NamedTuple):
    """One thing that happened to a message: to which one, as far as that is known, whose, and when."""

    what: str
    send_id: str | None
    person_id: str
    address: str | None
    at: datetime
    bounce: str = ""


def note(batch: Batch, case: Case, understood: Understood, at: datetime) -> None:
    """Take down what an arrival says about a message of ours, if it says anything."""
    what = _WHAT.get(understood.kind)
    data = understood.data
    own = "machine" in data and what in {"opened", "clicked", "replied"}
    if what is None or own or data.get("action") == _DELAYED:
        return
    send_id = data.get("send") or _answered(understood)
    bounce = _bounce(data) if what == "bounced" else ""
    address = case.facts.person.get("email")
    batch.told.append(Told(what, send_id, case.lead["person_id"], address, at, bounce))


def record(batch: Batch) -> None:
    """Write what was taken down. Raises Permanent where an address has to be held back and there is no secret."""
    first: dict[str, dict[str, datetime]] = defaultdict(dict)
    for each in batch.told:
        send_id = each.send_id
        if send_id is None and each.what in _OF_LAST:
            send_id = sends.latest(batch.connection, each.person_id, batch.now - _LAST)
        if send_id:
            first[each.what].setdefault(send_id, each.at)
        _hold_back(batch, each, send_id)
    for what, found in sorted(first.items()):
        sends.told(batch.connection, what, found)


def _answered(understood: Understood) -> str | None:
    """The send that an arrival names by its message id."""
    found = (send_of(value) for kind, value in understood.keys if kind == THREAD)
    said = _said(understood.data)
    named = next((said[name] for name in _MESSAGE_IDS if name in said), "")
    return next(filter(None, found), send_of(named.strip("<>")))


def _said(data: dict[str, Any]) -> dict[str, str]:
    """What a report says, and what a provider's event says in its properties, by the last part of each name."""
    said = {**data, **(data.get("properties") or {})}
    return {name.rpartition(".")[2].lower().replace("-", "_"): str(value) for name, value in said.items()}


def _bounce(data: dict[str, Any]) -> str:
    """Hard or soft, by the status or by the words of the one who tells."""
    told = _said(data)
    said = {_WORD.sub("", told.get(name, "").lower()) for name in _SEVERITIES}
    return "hard" if said & _LASTING else bounce_of(told.get("status", ""))


def _hold_back(batch: Batch, told: Told, send_id: str | None) -> None:
    key = suppression.address_key(told.address) if told.address else None
    if key is None or not (told.what in _OF_LAST and (send_id or told.what != "bounced")):
        return
    if batch.pepper is None:
        raise Permanent("secret_key_missing", "This process has no secret to keep addresses under.")
    pepper = batch.pepper()
    if told.what == "bounced":
        if told.bounce == "hard":
            suppression.suppress(batch.connection, pepper, key, "hard_bounce", told.at, send_id=send_id)
        elif told.bounce == "soft":
            suppression.soft_bounce(batch.connection, pepper, key, told.at, send_id)
    elif send_id:
        reason: suppression.Reason = "complaint" if told.what == "complained" else "unsubscribed"
        suppression.suppress(batch.connection, pepper, key, reason, told.at, covers="marketing", send_id=send_id)
