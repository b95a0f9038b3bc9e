"""
Addresses that mail to us goes to: whose mailbox is it, and which lead does a plus-address name?

A reply to `sales+<token>@example.com` belongs to the lead that the token names, whoever sends it. The token is signed,
so that nobody can make one up, and fits into the local part of an address (64 characters), which others may write in
capitals.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import unicodedata
from functools import lru_cache
from typing import Final
from uuid import UUID

import idna

_CONTEXT: Final = b"mail token\0"
_SIGNATURE: Final = 9
"""Bytes: 72 bits, and every guess is a mail."""
_TOKEN: Final = 40
"""Characters of base32 for 16 bytes of id and 9 of signature."""


def make_token(pepper: bytes, lead_id: str) -> str:
    """The token of a lead: 40 characters of lower-case base32. `pepper` is the installation's secret."""
    lead = UUID(lead_id).bytes
    return base64.b32encode(lead + _sign(pepper, lead)).decode().lower()


def lead_of(pepper: bytes, token: str) -> str | None:
    """The lead that a token names; None for anything that was not made by `make_token` with this pepper."""
    if len(token) != _TOKEN or not token.isascii():
        return None
    try:
        raw = base64.b32decode(token.upper())
    except binascii.Error:
        return None
    lead, signature = raw[:16], raw[16:]
    return str(UUID(bytes=lead)) if hmac.compare_digest(signature, _sign(pepper, lead)) else None


def reply_address(address: str, pepper: bytes, lead_id: str) -> str:
    """Where to have a lead's answers sent: the address with its token."""
    local, _, host = address.rpartition("@")
    return f"{local}+{make_token(pepper, lead_id)}@{host}"


def _sign(pepper: bytes, lead: bytes) -> bytes:
    return hmac.digest(pepper, _CONTEXT + lead, "sha256")[:_SIGNATURE]


@lru_cache(maxsize=4096)
def mailbox_of(address: str) -> tuple[str, str]:
    """
    The mailbox that an address belongs to, and what stands after the plus.

    Capitals and the way a domain is written (`bücher.example`, `xn--bcher-kva.example`) make no difference.
    """
    local, _, host = address.strip().rpartition("@")
    name, _, tag = unicodedata.normalize("NFC", local).casefold().partition("+")
    return f"{name}@{_host(host)}", tag


def _host(host: str) -> str:
    host = host.rstrip(".").lower()
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return host
