"""
Double opt-in: consent that was ticked counts when whoever has the mailbox has confirmed it.

The link's token names the receipt and is keyed, so that nothing has to be stored for it and nobody can make one up.
It goes out with the event `person.opt_in_requested`; what is confirmed comes in as an arrival of the channel `opt_in`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from schema import payload
from schema.draft import Draft
from schema.form import NOTED_REMOTE
from schema.understood import Understood

if TYPE_CHECKING:
    from schema.journey import Source
    from schema.understood import Raw

CHANNEL: Final = "opt_in"
NOTED_TOKEN: Final = "opt-in"  # noqa: S105 - the name of a header
"""Under this name the token is kept with the receipt whose consent waits."""
GOOD_FOR: Final = timedelta(days=30)
"""How long after the form was sent its link works."""
_SIGNATURE_BYTES: Final = 16
_ID_LENGTH: Final = 32
_AGENT: Final = 200


class Confirmation(msgspec.Struct, forbid_unknown_fields=True):
    """What is stored when somebody confirms: the receipt with the tick, its lead, and what was ticked."""

    receipt: str
    lead: str
    purposes: list[str]
    evidence: dict[str, Any] = msgspec.field(default_factory=dict)


def make_token(pepper: bytes, receipt_id: str) -> str:
    """Return the token that confirms the consent given with a receipt."""
    plain = receipt_id.replace("-", "")
    digest = hmac.digest(pepper, f"opt-in\0{plain}".encode(), hashlib.sha256)[:_SIGNATURE_BYTES]
    return f"{plain}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def check_token(pepper: bytes, token: str, now: datetime) -> str | None:
    """Return the receipt that a token names; None if it is not one of ours, or too old."""
    plain = token.partition(".")[0]
    if len(plain) != _ID_LENGTH or not token.isascii():
        return None
    try:
        receipt = UUID(hex=plain)
    except ValueError:
        return None
    if not hmac.compare_digest(token, make_token(pepper, str(receipt))):
        return None
    sent_at = datetime.fromtimestamp((receipt.int >> 80) / 1000, UTC)  # the time that a UUIDv7 begins with
    return str(receipt) if now - sent_at <= GOOD_FOR else None


def read_confirmation(raw: Raw, _: Source) -> Understood:
    """
    What a confirmation says: the consent that was waiting is given.

    :raises payload.Refused: it is none of ours
    """
    try:
        said = msgspec.json.decode(raw.body, type=Confirmation)
    except msgspec.DecodeError as error:
        raise payload.refusal("json_syntax") from error
    confirmed = {"remote": raw.headers.get(NOTED_REMOTE), "user_agent": raw.headers.get("user-agent", "")[:_AGENT]}
    evidence = said.evidence | {"confirmed": {name: value for name, value in confirmed.items() if value}}
    return Understood(
        Draft(consent=dict.fromkeys(said.purposes, True)),
        kind="opt_in.confirmed",
        keys=[("lead", said.lead)],
        data={"confirms": said.receipt, "consent_evidence": evidence},
    )
