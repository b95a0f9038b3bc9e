"""
API keys: `tl_<id>_<secret>` in `Authorization: Bearer …`, known to us only as a keyed hash.

The id is public and names the key in logs and audit; the secret has 256 random bits. A key that was found is
remembered for a few seconds, so that intake does not ask the database for each request and a revoked key still stops
working at once for any practical purpose.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from schema import tables
from schema.store import rows
from services.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

SCOPES: Final = {
    "leads:write": "post leads",
    "leads:read": "read leads, receipts and their history",
    "leads:move": "move a lead by a named transition; accept, decline and hand over leads",
    "owners:read": "see who has how many leads, and who is away",
    "owners:write": "keep and take back absences",
    "events:read": "read the event feed",
    "events:write": "send events in",
    "opportunities:read": "see opportunities, pipelines and forecasts",
    "opportunities:write": "open opportunities, change, win, lose and reopen them",
    "journeys:read": "read journey versions",
    "journeys:write": "keep journey versions, switch them on and back, have leads follow another one",
    "campaigns:read": "see campaigns, who is in them, their messages and what came of them",
    "campaigns:write": "pause and resume campaigns, approve their audience, enrol and move people, resolve messages",
    "follow_ups:read": "see follow-ups, with whom they are about",
    "follow_ups:write": "make follow-ups, do them, put them off, hand them on and cancel them; addresses of calendars",
    "contracts:read": "see contracts",
    "contracts:write": "add, renew and cancel contracts",
    "tickets:read": "see tickets, with what customers wrote",
    "tickets:write": "open tickets, answer, note, assign, resolve and change them",
    "surveys:read": "see surveys, with what customers wrote, and results",
    "surveys:write": "take answers to surveys",
    "kpis:read": "see figures and targets, where leads wait, what changed, and the process that the log shows",
    "ops:read": "see queues, dead letters and metrics",
    "ops:write": "retry and discard dead letters",
}
_KEY: Final = re.compile(r"tl_([0-9a-f]{12})_([A-Za-z0-9_-]{43})\Z")
_REMEMBER_S: Final = 5.0
_MOST_REMEMBERED: Final = 10_000
_FIND: Final = text("""
SELECT id, scopes FROM api_key
WHERE hash = :hash AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
""")


@dataclass(frozen=True, slots=True)
class Key:
    """Who is asking, and what they may."""

    id: str
    scopes: frozenset[str]


def create(
    connection: Connection,
    pepper: bytes,
    scopes: Collection[str],
    now: datetime,
    *,
    label: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[str, str]:
    """Make a key; return its id and, this once, the key itself."""
    key_id = secrets.token_hex(6)
    key = f"tl_{key_id}_{secrets.token_urlsafe(32)}"
    row = {
        "id": key_id,
        "hash": rows.as_bytea(_hash(pepper, key)),
        "scopes": sorted(scopes),
        "label": label,
        "created_at": now,
        "expires_at": expires_at,
    }
    rows.insert(connection, tables.api_key, [row])
    return key_id, key


def own(connection: Connection, pepper: bytes, purpose: str, scopes: Collection[str], now: datetime) -> str:
    """
    Return a key that the installation has for a purpose of its own, made from its secret: the same each time.

    It is listed under that purpose, and revoking it holds.
    """
    made = [hmac.digest(pepper, f"{part} of {purpose}".encode(), hashlib.sha256) for part in ("id", "secret")]
    key_id = made[0].hex()[:12]
    key = f"tl_{key_id}_{base64.urlsafe_b64encode(made[1]).decode().rstrip('=')}"
    row = {
        "id": key_id,
        "hash": rows.as_bytea(_hash(pepper, key)),
        "scopes": sorted(scopes),
        "label": purpose,
        "created_at": now,
    }
    rows.insert(connection, tables.api_key, [row], "ON CONFLICT DO NOTHING")
    return key


class Keyring:
    """Checks keys for one process."""

    def __init__(self, engine: AsyncEngine, pepper: bytes) -> None:
        self._engine = engine
        self._pepper = pepper
        self._known: dict[bytes, tuple[float, Key]] = {}

    async def check(self, authorization: str | None, scope: str) -> Key:
        """
        Return the key behind an Authorization header that has `scope`.

        :raises Problem: 401 without a valid key, 403 without the scope
        """
        key = await self._find(authorization or "")
        if key is None:
            raise Problem(
                401,
                "key_invalid",
                "Send a valid API key: Authorization: Bearer tl_…",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if scope not in key.scopes:
            raise Problem(403, "scope_missing", f"The key does not have the scope {scope}.", scope=scope)
        return key

    async def _find(self, authorization: str) -> Key | None:
        kind, _, value = authorization.partition(" ")
        if kind.lower() != "bearer" or not _KEY.match(value.strip()):
            return None
        digest = _hash(self._pepper, value.strip())
        found = self._known.get(digest)
        if found and time.monotonic() - found[0] < _REMEMBER_S:
            return found[1]
        async with self._engine.connect() as connection:
            row = (await connection.execute(_FIND, {"hash": digest})).one_or_none()
        self._known.pop(digest, None)
        if row is None:
            return None
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        key = Key(row.id, frozenset(row.scopes))
        self._known[digest] = (time.monotonic(), key)
        return key


def _hash(pepper: bytes, key: str) -> bytes:
    return hmac.digest(pepper, key.encode(), hashlib.sha256)
