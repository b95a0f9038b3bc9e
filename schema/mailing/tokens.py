"""
Signed names of what stands in a message: they say which message, and nobody can make one up.

Nothing is stored for them and they do not expire: an unsubscription works for years. What a link leads to is kept with
the send, so that no token leads anywhere else. A calendar is named in the same way; its name is good until it is taken
back.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Final, Literal, NamedTuple
from uuid import UUID

Use = Literal["unsubscribe", "link", "picture", "calendar", "survey"]
_SIGNATURE: Final = 14
_NUMBER: Final = 2
_LENGTH: Final = 16 + _NUMBER + _SIGNATURE


class Named(NamedTuple):
    """The message that a token names, and which of its links."""

    send_id: str
    number: int


def make_token(pepper: bytes, use: Use, send_id: str, number: int = 0) -> str:
    """The token of a message for one use: 43 characters that need no escaping. `number` is that of a link."""
    plain = UUID(send_id).bytes + number.to_bytes(_NUMBER, "big")
    return base64.urlsafe_b64encode(plain + _sign(pepper, use, plain)).decode().rstrip("=")


def read_token(pepper: bytes, use: Use, token: str) -> Named | None:
    """What a token names; None for anything that `make_token` did not make with this pepper for this use."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)) if token.isascii() else b""
    except binascii.Error:
        return None
    plain = raw[: 16 + _NUMBER]
    if len(raw) != _LENGTH or not hmac.compare_digest(raw[len(plain) :], _sign(pepper, use, plain)):
        return None
    return Named(str(UUID(bytes=plain[:16])), int.from_bytes(plain[16:], "big"))


def _sign(pepper: bytes, use: Use, plain: bytes) -> bytes:
    return hmac.digest(pepper, f"mailing {use}\0".encode() + plain, "sha256")[:_SIGNATURE]
