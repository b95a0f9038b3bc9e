"""
Reading a person: who they are, how that is known, what they allow, what they bought, and their leads.

Every statement finds its rows by an index; lists that can be long are read in pages.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import contact, provenance
from schema.store import clock, consents, contracts
from schema.store.ids import is_id, uuid_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, RowMapping

LARGEST_PAGE: Final = 200
MOST_SHOWN: Final = 50
"""Leads and purchases that stand with a person; there are pages for the others."""
_NO_CURRENCY: Final = "unknown"

_PERSON: Final = text("""
SELECT p.*, c.name AS c_name, c.domain AS c_domain, c.employees AS c_employees
FROM person AS p LEFT JOIN company AS c ON c.id = p.company_id
WHERE p.id = CAST(:id AS uuid)
""")
_KEYS: Final = text("""
SELECT kind, value FROM person_key WHERE person_id = CAST(:id AS uuid) ORDER BY kind, value LIMIT 200
""")
_LEADS: Final = text("""
SELECT id, journey_name, state, open, owner, source, created_at FROM lead
WHERE person_id = CAST(:id AS uuid) ORDER BY id DESC LIMIT :limit
""")
_TOTALS: Final = text("""
SELECT person_id, currency, count(*) FILTER (WHERE kind <> 'refund') AS count,
       max(at) FILTER (WHERE kind <> 'refund') AS last_at,
       sum(CASE kind WHEN 'refund' THEN -amount ELSE amount END) AS total
FROM purchase WHERE person_id = ANY(CAST(:ids AS uuid[])) GROUP BY person_id, currency ORDER BY person_id, currency
""")
_PURCHASES: Final = text("""
SELECT id, kind, at, amount, currency, source, external_id, order_id, products, issues, lead_id, receipt_id
FROM purchase
WHERE person_id = CAST(:id AS uuid)
  AND (CAST(:after AS uuid) IS NULL OR (at, id) < (SELECT at, id FROM purchase WHERE id = CAST(:after AS uuid)))
ORDER BY at DESC, id DESC LIMIT :limit
""")
_BOUGHT: Final = text("""
SELECT person_id, array_agg(DISTINCT named) AS products FROM purchase
CROSS JOIN LATERAL jsonb_array_elements(products) AS item
CROSS JOIN LATERAL (VALUES (item ->> 'name'), (item ->> 'sku')) AS each(named)
WHERE person_id = ANY(CAST(:ids AS uuid[])) AND kind <> 'refund' AND named IS NOT NULL GROUP BY person_id
""")
_LATEST_LEAD: Final = text("""
SELECT id FROM lead WHERE person_id = CAST(:id AS uuid) AND merged_into IS NULL ORDER BY open DESC, id DESC LIMIT 1
""")
_BY_KEY: Final = text("SELECT person_id FROM person_key WHERE kind = :kind AND value = :value")
_SOURCES: Final = text("SELECT id, source, channel FROM receipt WHERE id = ANY(CAST(:ids AS uuid[]))")


def find(
    connection: Connection,
    *,
    email: str | None = None,
    phone: str | None = None,
    external_id: tuple[str, str] | None = None,
) -> str | None:
    """
    Return the id of the person with a match key, however it is written; None if there is none.

    `external_id` is a source and what it calls the person.
    """
    key: tuple[str, str | None] = ("", None)
    if email is not None:
        key = ("email", contact.email(email).match_key)
    elif phone is not None:
        key = ("phone", contact.phone(phone, None).e164)
    elif external_id is not None:
        key = (f"external:{external_id[0]}", external_id[1])
    if key[1] is None:
        return None
    found: str | None = connection.execute(_BY_KEY, {"kind": key[0], "value": key[1]}).scalar_one_or_none()
    return found


def person(connection: Connection, person_id: str) -> dict[str, Any] | None:
    """
    Return one person with all that belongs to them; None if there is none.

    `known` says of each thing that is known which receipt said it, when and from which source, and what others said.
    """
    row = connection.execute(_PERSON, {"id": person_id}).mappings().one_or_none() if is_id(person_id) else None
    if row is None:
        return None
    asked = {"id": row["id"], "limit": MOST_SHOWN}
    bought, more = purchases(connection, row["id"], limit=MOST_SHOWN)
    return {
        "id": row["id"],
        "merged_into": row.get("merged_into"),
        "name": row["name"],
        "email": row["email"],
        "phone": row["phone"],
        "country": row["country"],
        "language": row["language"],
        "company": _company(row),
        "interests": row["interests"],
        "preferences": row["preferences"],
        "custom": row["custom"],
        "known": _known(connection, row),
        "keys": [dict(key) for key in connection.execute(_KEYS, asked).mappings()],
        "consents": consents.of_person(connection, row["id"]),
        "purchases": _totals(connection, row["id"]) | {"items": bought, "next": more},
        "contracts": contracts.contracts(connection, clock.now(), person=row["id"], running=True, limit=MOST_SHOWN)[0],
        "health": contracts.health(connection, [row["id"]]).get(row["id"]),
        "leads": [dict(lead) for lead in connection.execute(_LEADS, asked).mappings()],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def exists(connection: Connection, person_id: str) -> bool:
    """Tell whether there is such a person."""
    found = connection.execute(_PERSON, {"id": person_id}).one_or_none() if is_id(person_id) else None
    return found is not None


def latest_lead(connection: Connection, person_id: str) -> str | None:
    """Return the lead by which somebody is spoken of: an open one, else their latest; None if there is none."""
    found: str | None = None
    if is_id(person_id):
        found = connection.execute(_LATEST_LEAD, {"id": person_id}).scalar_one_or_none()
    return found


def purchases(
    connection: Connection, person_id: str, *, cursor: str | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    """Return one page of what a person bought and was paid back, the newest first, and the cursor of the next."""
    asked = {"id": person_id, "after": cursor, "limit": limit + 1}
    found = [_money(row, "amount") for row in connection.execute(_PURCHASES, asked).mappings()]
    return found[:limit], found[limit - 1]["id"] if len(found) > limit else None


def bought(connection: Connection, person_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """
    Return what each person bought in all, as rules see it.

    `count`, `total` by currency (what they are worth: refunds are taken off), `last_at`, and `products`: names and
    article numbers.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(_TOTALS, {"ids": uuid_array(person_ids)}):
        seen = found.setdefault(row.person_id, {"count": 0, "total": {}})
        seen["count"] += row.count
        if row.total is not None:
            seen["total"][row.currency or _NO_CURRENCY] = float(row.total)
        if row.last_at is not None:
            seen["last_at"] = max(seen.get("last_at", ""), row.last_at.astimezone(UTC).isoformat())
    for row in connection.execute(_BOUGHT, {"ids": uuid_array(found)}) if found else ():
        found[row.person_id]["products"] = sorted(row.products)
    return found


def _totals(connection: Connection, person_id: str) -> dict[str, Any]:
    """What was bought in all: how often, for how much in each currency (refunds taken off), and when last."""
    found = [_money(row, "total") for row in connection.execute(_TOTALS, {"ids": uuid_array([person_id])}).mappings()]
    return {
        "count": sum(row["count"] for row in found),
        "total": {row["currency"] or _NO_CURRENCY: row["total"] for row in found if row["total"] is not None},
        "last_at": max((row["last_at"] for row in found if row["last_at"]), default=None),
    }


def _money(row: RowMapping, name: str) -> dict[str, Any]:
    """The row with its amount as a decimal text, which no reader rounds."""
    amount = row[name]
    return {**row, name: None if amount is None else format(amount, "f")}


def _company(row: RowMapping) -> dict[str, Any]:
    employees = row["c_employees"]
    return {
        "id": row["company_id"],
        "name": row["c_name"] or row["company_name"],
        "domain": row["c_domain"],
        "employees": row["company_employees"] if employees is None else employees,
    }


def _known(connection: Connection, row: RowMapping) -> dict[str, dict[str, Any]]:
    entries = provenance.shown(dict(row))
    told = [each for entry in entries.values() for each in (entry, *entry.get("others", ()))]
    sources = _sources(connection, sorted({each["receipt"] for each in told if each["receipt"]}))
    return {
        name: _from(entry, sources)
        | {"others": [{"value": other["value"], **_from(other, sources)} for other in entry.get("others", ())]}
        for name, entry in entries.items()
    }


def _from(entry: provenance.Entry, sources: dict[str, RowMapping]) -> dict[str, Any]:
    receipt = sources.get(entry["receipt"])
    return {
        "receipt": entry["receipt"] or None,
        "at": entry["at"],
        "source": receipt and receipt["source"],
        "channel": receipt and receipt["channel"],
        "by_themselves": "fills" not in entry,
    }


def _sources(connection: Connection, receipts: Sequence[str]) -> dict[str, RowMapping]:
    found = connection.execute(_SOURCES, {"ids": uuid_array(receipts)}).mappings() if receipts else ()
    return {row["id"]: row for row in found}
