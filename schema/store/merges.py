"""
Reading merges of people: what was answered, what the journey's rule owes, and who may be somebody else as well.

Every statement finds its rows by an index, and every list is bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.store.ids import is_id

if TYPE_CHECKING:
    from sqlalchemy import Connection

MOST_SUGGESTED: Final = 20
"""Suggestions of each kind that are shown."""
_FURTHEST: Final = 32
"""Merges one after another that are followed."""

_ROOT: Final = text("""
WITH RECURSIVE way(id, merged_into, steps) AS (
    SELECT id, merged_into, 0 FROM person WHERE id = CAST(:id AS uuid)
  UNION ALL
    SELECT p.id, p.merged_into, way.steps + 1 FROM way JOIN person AS p ON p.id = way.merged_into
    WHERE way.steps < :furthest
)
SELECT id FROM way WHERE merged_into IS NULL
""")
_TOLD: Final = text("SELECT told FROM person_merge WHERE merged_id = :merged AND undone_at IS NULL")
_DUE: Final = text("""
SELECT person_id AS person, other_id AS other, reason, kinds FROM person_suggestion
WHERE due_since IS NOT NULL ORDER BY due_since LIMIT :most
""")
_UNDONE: Final = text("""
SELECT EXISTS (
    SELECT FROM person_merge WHERE undone_at IS NOT NULL
      AND ((survivor_id, merged_id) = (CAST(:one AS uuid), CAST(:two AS uuid))
        OR (survivor_id, merged_id) = (CAST(:two AS uuid), CAST(:one AS uuid)))
)
""")
_MERGED_IN: Final = text("""
WITH RECURSIVE family(id) AS (
    SELECT CAST(:id AS uuid)
  UNION
    SELECT m.merged_id FROM family JOIN person_merge AS m ON m.survivor_id = family.id AND m.undone_at IS NULL
)
SELECT id FROM family LIMIT 1000
""")
_SUGGESTED: Final = text("""
SELECT s.other_id AS id, s.reason, s.kinds, s.receipt_id, s.at, s.refused FROM (
    (SELECT person_id, other_id, reason, kinds, receipt_id, at, refused FROM person_suggestion
     WHERE person_id = ANY(CAST(:family AS uuid[])) LIMIT :most)
  UNION ALL
    (SELECT other_id, person_id, reason, kinds, receipt_id, at, refused FROM person_suggestion
     WHERE other_id = ANY(CAST(:family AS uuid[])) LIMIT :most)
) AS s ORDER BY s.at DESC, s.other_id
""")
_NAMESAKES: Final = text("""
SELECT other.id, other.created_at AS at FROM person AS me
JOIN person AS other ON lower(other.name) = lower(me.name) AND other.company_id = me.company_id
WHERE me.id = CAST(:id AS uuid) AND other.id <> me.id AND other.merged_into IS NULL LIMIT :most
""")
_SHOWN: Final = text("""
SELECT id, name, email, phone, created_at FROM person WHERE id = ANY(CAST(:ids AS uuid[]))
""")


def survivor(connection: Connection, person_id: str) -> str | None:
    """Return who goes on for a person: themselves, or whom they were merged into, at last; None: there is no such."""
    if not is_id(person_id):
        return None
    found: str | None = connection.execute(_ROOT, {"id": person_id, "furthest": _FURTHEST}).scalar_one_or_none()
    return found


def family(connection: Connection, person_id: str) -> list[str]:
    """Return a person and everybody who was merged into them, also by way of others."""
    return list(connection.execute(_MERGED_IN, {"id": person_id}).scalars())


def told(connection: Connection, merged: str) -> dict[str, Any]:
    """Return what was answered to the merge that a person is in."""
    found: dict[str, Any] = connection.execute(_TOLD, {"merged": merged}).scalar_one()
    return found


def due(connection: Connection, most: int) -> list[dict[str, Any]]:
    """
    Return people whose merge the journey's rule owes, the oldest first.

    `survivor` and `merged` are who goes on for them now (the same: nothing is left to do); `refused` says why not.
    """
    found = [dict(row) for row in connection.execute(_DUE, {"most": most}).mappings()]
    for pair in found:
        pair["survivor"], pair["merged"] = survivor(connection, pair["person"]), survivor(connection, pair["other"])
        ways = {(pair["person"], pair["other"]), (pair["survivor"], pair["merged"])}
        undone = any(connection.execute(_UNDONE, {"one": one, "two": two}).scalar_one() for one, two in ways)
        pair["refused"] = "undone_by_hand" if undone else None
    return found


def suggestions(connection: Connection, person_id: str) -> list[dict[str, Any]]:
    """
    Return people who may be the same as one, each with the reasons; nobody is merged for them.

    `keys`: an arrival carried match keys of both; `phone`: they have a telephone in common; `name`: they have a name
    and a company in common.
    """
    me = survivor(connection, person_id)
    if me is None:
        return []
    wanted = {"family": "{" + ",".join(family(connection, me)) + "}", "most": MOST_SUGGESTED}
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(_SUGGESTED, wanted).mappings():
        other = survivor(connection, row["id"])
        if other and other != me:
            said = {name: row[name] for name in ("reason", "kinds", "receipt_id", "at", "refused")}
            found.setdefault(other, {"reasons": []})["reasons"].append(said)
    for row in connection.execute(_NAMESAKES, {"id": me, "most": MOST_SUGGESTED}).mappings():
        said = {"reason": "name", "kinds": [], "receipt_id": None, "at": row["at"], "refused": None}
        found.setdefault(row["id"], {"reasons": []})["reasons"].append(said)
    shown = connection.execute(_SHOWN, {"ids": "{" + ",".join(found) + "}"}).mappings() if found else ()
    return [{**row, **found[row["id"]]} for row in shown]
