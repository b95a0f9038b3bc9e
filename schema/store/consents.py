"""
The ledger of consent: what stands for a purpose now, everything that was ever answered, and answers taken by hand.

What stands is the latest answer by when it was given, so that one that arrives late overturns nothing newer. What
waits to be confirmed takes nothing away: it stands only where there is no answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import tables
from schema.store import rows
from schema.store.ids import is_id, new_id, uuid_array

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection

LARGEST_PAGE: Final = 200
_STANDING: Final = text("""
SELECT DISTINCT ON (person_id) person_id, state, at, basis, id FROM consent
WHERE person_id = ANY(CAST(:ids AS uuid[])) AND purpose = :purpose
ORDER BY person_id, state = 'pending', at DESC, id DESC
""")
_KNOWN: Final = text("""
SELECT DISTINCT ON (person_id, purpose) person_id, purpose, state FROM consent
WHERE person_id = ANY(CAST(:ids AS uuid[])) AND state <> 'pending'
ORDER BY person_id, purpose, at DESC, id DESC
""")
_COLUMNS: Final = (
    "id, purpose, state, at, basis, text, text_version, source, channel, receipt_id, actor, evidence, recorded_at"
)
_STANDING_OF_ONE: Final = text(f"""
SELECT DISTINCT ON (purpose) {_COLUMNS} FROM consent
WHERE person_id = CAST(:id AS uuid)
ORDER BY purpose, state = 'pending', at DESC, id DESC
""")  # noqa: S608 - our own text
# The person's own answers come first: by the order of ids alone, those of everybody would be read.
_LEDGER: Final = text(f"""
WITH own AS MATERIALIZED (SELECT {_COLUMNS} FROM consent WHERE person_id = CAST(:id AS uuid))
SELECT * FROM own WHERE CAST(:cursor AS uuid) IS NULL OR id < CAST(:cursor AS uuid) ORDER BY id DESC LIMIT :limit
""")  # noqa: S608 - our own text


def standing(connection: Connection, person_ids: Iterable[str], purpose: str) -> dict[str, dict[str, Any]]:
    """
    Return what stands for a purpose, by person: `state`, `at`, `basis` and the answer's `id`.

    Only `given` allows anything; who is missing was never asked, or never answered. Asked at the moment of sending.
    """
    found = connection.execute(_STANDING, {"ids": uuid_array(person_ids), "purpose": purpose})
    return {row.person_id: {"state": row.state, "at": row.at, "basis": row.basis, "id": row.id} for row in found}


def known(connection: Connection, person_ids: Iterable[str]) -> dict[str, dict[str, bool]]:
    """Return what each person allows and refuses by purpose, as rules see it; what waits is neither."""
    answers: dict[str, dict[str, bool]] = {}
    for row in connection.execute(_KNOWN, {"ids": uuid_array(person_ids)}):
        answers.setdefault(row.person_id, {})[row.purpose] = row.state == "given"
    return answers


def of_person(connection: Connection, person_id: str) -> list[dict[str, Any]]:
    """Return the answer that stands for each purpose, in the order of their names."""
    return [dict(row) for row in connection.execute(_STANDING_OF_ONE, {"id": person_id}).mappings()]


def ledger(
    connection: Connection, person_id: str, *, cursor: str | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    """Return one page of everything that was answered, the last recorded first, and the cursor of the next."""
    asked = {"id": person_id, "cursor": cursor, "limit": limit + 1}
    found = [dict(row) for row in connection.execute(_LEDGER, asked).mappings()]
    return found[:limit], found[limit - 1]["id"] if len(found) > limit else None


def record(  # noqa: PLR0913 - an answer is all of it
    connection: Connection,
    person_id: str,
    purpose: str,
    state: str,
    *,
    actor: str,
    now: datetime,
    at: datetime | None = None,
    basis: str = "by_hand",
    words: str | None = None,
    version: str | None = None,
    note: str | None = None,
) -> dict[str, Any] | None:
    """
    Keep an answer that somebody took by hand, as on the telephone, and return it; None if there is no such person.

    Who was merged into somebody else answers for them. `at` is when it was given (default: now; never later).
    """
    if not is_id(person_id):
        return None
    locked = connection.execute(_PERSON, {"id": person_id}).mappings().one_or_none()
    while locked is not None and locked.get("merged_into"):
        locked = connection.execute(_PERSON, {"id": locked["merged_into"]}).mappings().one_or_none()
    if locked is None:
        return None
    row = {
        "id": new_id(),
        "person_id": locked["id"],
        "purpose": purpose,
        "state": state,
        "basis": basis,
        "text": words,
        "text_version": version,
        "source": None,
        "channel": "by_hand",
        "receipt_id": None,
        "actor": actor,
        "evidence": {"note": note} if note else {},
        "at": min(at or now, now),
        "recorded_at": now,
    }
    rows.insert(connection, tables.consent, [row])
    return row


_PERSON: Final = text("SELECT p.* FROM person AS p WHERE p.id = CAST(:id AS uuid) FOR SHARE")
