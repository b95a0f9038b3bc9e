"""
Whose delivery is it? The ways in which providers prove it, each over the raw bytes, compared in constant time.

A time that is signed must be within `TOLERANCE` of ours, before or after. A secret may have a successor: both stand in
the environment variable, with a comma between, for as long as deliveries made with the old one may come.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from schema import payload
from schema.providers.adapter import LIMITS, Delivery, Proof, as_text, media, members, nested

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

TOLERANCE: Final = timedelta(minutes=5)
_MAIL_TOLERANCE: Final = timedelta(days=1)
"""A route tries again for eight hours and signs once."""
_MOST_SIGNATURES: Final = 10
_DIGITS: Final = re.compile(r"[0-9]{1,13}\Z", re.ASCII)
_MILLISECONDS: Final = 12
"""Digits from which a time is one in milliseconds."""


def secrets_of(value: str) -> list[str]:
    """The secrets in an environment variable: one, or two while one replaces the other."""
    return [part.strip() for part in value.split(",") if part.strip()]


def proven(proof: Proof, delivery: Delivery, secrets: Sequence[str], now: datetime) -> bool:
    """Whether the delivery was made with one of the secrets."""
    return any(proof(delivery, secret, now) for secret in secrets)


def token(delivery: Delivery, secret: str, _: datetime) -> bool:
    """The secret itself: as bearer token, as user or password of Basic authentication, or in a header of its own."""
    scheme, _space, given = delivery.headers.get("authorization", "").partition(" ")
    found = [delivery.headers.get("x-api-key", ""), delivery.headers.get("x-webhook-secret", "")]
    if scheme.lower() == "bearer":
        found.append(given.strip())
    elif scheme.lower() == "basic":
        user, _colon, password = _from_base64(given).decode("utf-8", "replace").partition(":")
        found += [user, password]
    return any(_same(text, secret) for text in found)


def in_body(*names: str) -> Proof:
    """The secret itself in a field of the payload, or as `token`."""

    def proof(delivery: Delivery, secret: str, now: datetime) -> bool:
        values = _values(delivery)
        return any(_same(as_text(values.get(name)), secret) for name in names) or token(delivery, secret, now)

    return proof


def signed(header: str, prefix: str = "", *, form: str = "hex", before: bytes = b"") -> Proof:
    """HMAC-SHA256 over the body, after `before`; `form` is how it is written: `hex` or `base64`."""

    def proof(delivery: Delivery, secret: str, _: datetime) -> bool:
        given = delivery.headers.get(header, "")
        return given.startswith(prefix) and _same(given[len(prefix) :], _hmac(secret, before + delivery.body, form))

    return proof


def signed_either(*proofs: Proof) -> Proof:
    """Any of several ways."""

    def proof(delivery: Delivery, secret: str, now: datetime) -> bool:
        return any(one(delivery, secret, now) for one in proofs)

    return proof


def stamped(header: str) -> Proof:
    """`t=<seconds>,v1=<hex>[,v1=…]` over `time.body`, as Stripe writes it and Calendly after it."""

    def proof(delivery: Delivery, secret: str, now: datetime) -> bool:
        pairs = [part.strip().partition("=") for part in delivery.headers.get(header, "").split(",")]
        time = next((value for name, _, value in pairs if name == "t"), "")
        given = [value for name, _, value in pairs if name == "v1"][:_MOST_SIGNATURES]
        expected = _hmac(secret, time.encode() + b"." + delivery.body, "hex")
        return _recent(time, now) and any(_same(text, expected) for text in given)

    return proof


def hubspot(delivery: Delivery, secret: str, now: datetime) -> bool:
    """Version 3: base64 over method, address, body and time."""
    time = delivery.headers.get("x-hubspot-request-timestamp", "")
    content = b"POST" + delivery.url.encode() + delivery.body + time.encode()
    given = delivery.headers.get("x-hubspot-signature-v3", "")
    return _recent(time, now) and _same(given, _hmac(secret, content, "base64"))


def standard(delivery: Delivery, secret: str, now: datetime) -> bool:
    """Standard Webhooks: `v1,<base64>` over `id.timestamp.body`, several with spaces between."""
    time = delivery.headers.get("webhook-timestamp", "")
    content = f"{delivery.headers.get('webhook-id', '')}.{time}.".encode() + delivery.body
    key = _from_base64(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    expected = "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    given = delivery.headers.get("webhook-signature", "").split(" ")[:_MOST_SIGNATURES]
    return bool(key) and _recent(time, now) and any(_same(text, expected) for text in given)


def twenty(delivery: Delivery, secret: str, now: datetime) -> bool:
    """Hexadecimal over `timestamp:body`."""
    time = delivery.headers.get("x-twenty-webhook-timestamp", "")
    given = delivery.headers.get("x-twenty-webhook-signature", "")
    return _recent(time, now) and _same(given, _hmac(secret, time.encode() + b":" + delivery.body, "hex"))


def mailgun(delivery: Delivery, secret: str, now: datetime) -> bool:
    """Fields of the payload: hexadecimal over timestamp and token."""
    values = _values(delivery)
    time, once = as_text(values.get("timestamp")), as_text(values.get("token"))
    given = as_text(values.get("signature"))
    return _recent(time, now, _MAIL_TOLERANCE) and _same(given, _hmac(secret, (time + once).encode(), "hex"))


def sendgrid(delivery: Delivery, secret: str, now: datetime) -> bool:
    """An elliptic curve over time and body where the secret is a public key; else the secret itself, as `token`."""
    key = _public_key(secret)
    if key is None:
        return token(delivery, secret, now)
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - only this provider pays for it
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    time = delivery.headers.get("x-twilio-email-event-webhook-timestamp", "")
    given = _from_base64(delivery.headers.get("x-twilio-email-event-webhook-signature", ""))
    try:
        key.verify(given, time.encode() + delivery.body, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return _recent(time, now)


def challenge(secret: str, code: str) -> str:
    """What LinkedIn wants to hear: hexadecimal over the code it sent."""
    return _hmac(secret, code.encode(), "hex")


def verify_token(secret: str) -> str:
    """What is typed in at Meta as verify token: made from the secret, since it travels in an address and is logged."""
    return _hmac(secret, b"verify token", "hex")[:32]


@lru_cache(maxsize=16)
def _public_key(text: str) -> EllipticCurvePublicKey | None:
    der = _from_base64(text)
    if not der.startswith(b"\x30"):
        return None
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    try:
        key = load_der_public_key(der)
    except ValueError:
        return None
    return key if isinstance(key, EllipticCurvePublicKey) else None


def _values(delivery: Delivery) -> dict[str, payload.JSON]:
    try:
        found = payload.decode(
            delivery.body, media(delivery.content_type, delivery.body), mode=payload.Mode.LENIENT, limits=LIMITS
        ).values
    except payload.Refused:
        return {}
    return members(nested(found))


def _hmac(secret: str, content: bytes, form: str) -> str:
    digest = hmac.digest(secret.encode(), content, hashlib.sha256)
    return digest.hex() if form == "hex" else base64.b64encode(digest).decode()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _recent(time: str, now: datetime, within: timedelta = TOLERANCE) -> bool:
    if not _DIGITS.match(time):
        return False
    seconds = int(time) / 1000 if len(time) >= _MILLISECONDS else int(time)
    return abs(now.timestamp() - seconds) <= within.total_seconds()


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
