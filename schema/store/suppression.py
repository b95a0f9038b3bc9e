"""
Suppression: addresses that are not to be written to, as keyed hashes, so that a no outlives the person's data.

A row with a purpose in its hash holds back mail for that purpose, one without it what its `active` says. The rules for
bounces: a hard one and a complaint count at once, soft ones when there are `SOFT_MOST` within `SOFT_WITHIN`. What a
bounce has found out, and a no to marketing, end when its person later says yes again (`schema/store/consents.py`).
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from sqlalchemy import text

from schema import contact
from schema.store import rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

Reason = Literal["hard_bounce", "soft_bounces", "complaint", "unsubscribed", "by_hand"]
Covers = Literal["all", "marketing"]

SOFT_MOST: Final = 3
SOFT_WITHIN: Final = timedelta(days=14)
SOFT_FOR: Final = timedelta(days=90)
"""How long an address is left alone that kept refusing for a while."""

# A complaint is not made less by a bounce that comes after it, nor a no by hand by anything.
_ADD: Final = text("""
INSERT INTO suppression AS s (address, reason, at, until, active, send_id, actor)
SELECT DISTINCT ON (address) address, reason, at, until, active, send_id, actor
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
    address bytea, reason text, at timestamptz, until timestamptz, active text, send_id uuid, actor text)
ORDER BY address
ON CONFLICT (address) DO UPDATE SET
    reason = excluded.reason, at = excluded.at, until = excluded.until, active = excluded.active,
    send_id = excluded.send_id, actor = excluded.actor
WHERE s.active <> 'all' OR excluded.active = 'all'
""")
_SOFT: Final = text("""
INSERT INTO suppression AS s (address, reason, soft, at, until, active, send_id)
SELECT DISTINCT ON (address) address, 'soft_bounces', 1, CAST(:now AS timestamptz), NULL, 'nothing', send_id
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(address bytea, send_id uuid) ORDER BY address
ON CONFLICT (address) DO UPDATE SET
    soft = CASE WHEN s.at > :since AND s.reason = 'soft_bounces' THEN s.soft + 1 ELSE 1 END,
    at = CASE WHEN s.at > :since AND s.reason = 'soft_bounces' THEN s.at ELSE excluded.at END,
    active = CASE WHEN s.at > :since AND s.reason = 'soft_bounces' AND s.soft + 1 >= :most THEN 'all'
                  ELSE 'nothing' END,
    until = CASE WHEN s.at > :since AND s.reason = 'soft_bounces' AND s.soft + 1 >= :most
                 THEN CAST(:until AS timestamptz) END,
    reason = 'soft_bounces', send_id = excluded.send_id
WHERE s.active = 'nothing'
""")
_FIND: Final = text("""
SELECT address, reason, at, active FROM suppression
WHERE address = ANY(CAST(:addresses AS bytea[])) AND active <> 'nothing' AND (until IS NULL OR until > :now)
""")
_LIFT: Final = text("""
UPDATE suppression SET active = 'nothing', soft = 0, at = :now, until = NULL, actor = :actor
WHERE address = ANY(CAST(:addresses AS bytea[])) AND active <> 'nothing'
  AND (CAST(:only AS text) IS NULL OR reason = :only)
""")


class Suppressed(NamedTuple):
    """Why an address is held back, since when, and from what."""

    reason: str
    at: datetime
    active: str


def address_key(address: str) -> str | None:
    """What makes two ways to write an address the same one; None for one that nobody can write to."""
    return contact.email(address).match_key


def hashed(pepper: bytes, key: str, purpose: str = "") -> bytes:
    """The hash of an address's key under the installation's secret, alone or for one purpose."""
    return hmac.digest(pepper, b"suppression\0" + key.encode() + b"\0" + purpose.encode(), "sha256")


def suppress(  # noqa: PLR0913 - the columns of a row
    connection: Connection,
    pepper: bytes,
    key: str,
    reason: Reason,
    now: datetime,
    *,
    covers: Covers = "all",
    purposes: Iterable[str] = ("",),
    send_id: str | None = None,
    actor: str | None = None,
) -> None:
    """Hold an address back: from all mail or marketing, or only from marketing for some `purposes`."""
    found = [
        {
            "address": rows.as_bytea(hashed(pepper, key, purpose)),
            "reason": reason,
            "at": now,
            "until": None,
            "active": covers,
            "send_id": send_id,
            "actor": actor,
        }
        for purpose in purposes
    ]
    if found:
        connection.execute(_ADD, {"rows": rows.as_json(found)})


def soft_bounce(connection: Connection, pepper: bytes, key: str, now: datetime, send_id: str | None) -> None:
    """Count a mail that did not arrive for a reason that may pass; too many of them hold the address back."""
    row = {"address": rows.as_bytea(hashed(pepper, key)), "send_id": send_id}
    parameters = {"rows": rows.as_json([row]), "now": now, "since": now - SOFT_WITHIN, "most": SOFT_MOST}
    connection.execute(_SOFT, parameters | {"until": now + SOFT_FOR})


def lift(
    connection: Connection,
    pepper: bytes,
    key: str,
    now: datetime,
    *,
    purposes: Iterable[str] = ("",),
    actor: str,
    only: Reason | None = None,
) -> int:
    """Have an address written to again, whatever held it back or `only` one reason; returns how many rows were."""
    wanted = [hashed(pepper, key, purpose) for purpose in purposes]
    parameters = {"addresses": wanted, "now": now, "actor": actor, "only": only}
    return connection.execute(_LIFT, parameters).rowcount


def suppressed(
    connection: Connection, pepper: bytes, wanted: Collection[tuple[str, str]], now: datetime
) -> Mapping[tuple[str, str], Sequence[Suppressed]]:
    """Return what holds back mail to a key for a purpose (empty: service mail), for each of `wanted` that is."""
    places: dict[bytes, list[tuple[str, str]]] = {}
    for key, purpose in wanted:
        for part in {"", purpose}:
            places.setdefault(hashed(pepper, key, part), []).append((key, purpose))
    found: dict[tuple[str, str], list[Suppressed]] = {}
    answer = connection.execute(_FIND, {"addresses": list(places), "now": now}) if places else ()
    for row in answer:
        for place in places[bytes(row.address)]:
            if row.active == "all" or place[1]:
                found.setdefault(place, []).append(Suppressed(row.reason, row.at, row.active))
    return found


def known(connection: Connection, pepper: bytes, key: str, now: datetime) -> list[dict[str, Any]]:
    """Return what holds an address back, to be shown."""
    answer = connection.execute(_FIND, {"addresses": [hashed(pepper, key)], "now": now})
    return [{"reason": row.reason, "since": row.at, "holds_back": row.active} for row in answer]
