"""
Canaries: arrivals of our own that try out each way in, and are nobody's lead.

A canary comes as any other arrival does, in the shape that its source's `map` reads, and is known by a nonce that was
kept before it was sent: nobody else can have one. The step `identify` reads it with the source's own reader, finds its
address or does not, and that is its end: a rejected receipt marked as a test, no person, no lead, no event. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schema import payload
from schema.draft import match_keys
from schema.mail.read import ENVELOPE_FROM
from schema.understand import understand

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schema.journey import Source
    from schema.understood import Raw

HEADER: Final = "throughline-canary"
"""The HTTP header that holds the nonce; it is kept with the receipt."""
ATTRIBUTE: Final = "ce-throughlinecanary"
"""The same as an attribute of an event that comes over the bus."""
CAME: Final = "canary"
UNREAD: Final = "canary_unread"
"""It came, and the source's reader did not find in it who it is about."""
_BEFORE: Final = "canary-"
_AFTER: Final = "@example.com"


def address_of(nonce: str) -> str:
    """Return the e-mail address that a canary says is its own; the domain is nobody's, by standard."""
    return f"{_BEFORE}{nonce}{_AFTER}"


def nonce_of(headers: Mapping[str, str]) -> str:
    """Return the nonce of what may be a canary; empty: it is none."""
    sender = headers.get(ENVELOPE_FROM, "")
    if sender.startswith(_BEFORE) and sender.endswith(_AFTER):
        return sender[len(_BEFORE) : -len(_AFTER)]
    return headers.get(HEADER) or headers.get(ATTRIBUTE) or ""


def fields_of(source: Source, nonce: str) -> dict[str, Any]:
    """Return what a form or a program sends, with the address where the source's `map` looks for it."""
    return _placed({}, _path_of(source) or "email", address_of(nonce))


def event_of(name: str, source: Source, nonce: str) -> dict[str, Any]:
    """Return a CloudEvent of a type that the source takes."""
    kind = next(iter(source.kinds), "throughline.canary")
    event = {"specversion": "1.0", "id": nonce, "source": f"throughline/canary/{name}", "type": kind, "data": {}}
    return _placed(event, _path_of(source) or "data.email", address_of(nonce))


def mail_of(source: Source, nonce: str) -> bytes:
    """Return a mail to the source's address."""
    lines = [
        f"From: Canary <{address_of(nonce)}>",
        f"To: <{source.address}>",
        "Subject: Canary",
        f"Message-ID: <{nonce}{_AFTER}>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "",
        "Does mail come through?",
        "",
    ]
    return "\r\n".join(lines).encode()


def came_through(raw: Raw, source: Source, nonce: str) -> bool:
    """Tell whether the source's reader finds in an arrival whose it is."""
    try:
        understood = understand(raw, source)
    except payload.Refused:
        return False
    return ("email", address_of(nonce)) in match_keys(understood.draft)


def _path_of(source: Source) -> str | None:
    return next((path for path, target in source.map.items() if target == "email"), None)


def _placed(fields: dict[str, Any], path: str, value: str) -> dict[str, Any]:
    """Put a value where a dotted path points."""
    *outer, last = path.split(".")
    inside = fields
    for name in outer:
        inside = inside.setdefault(name, {})
    inside[last] = value
    return fields
