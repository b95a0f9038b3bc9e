"""
Consents: what people last said about being written to, by purpose.

Read from the touchpoints with which they said it. What only waits to be confirmed is no yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.store.ids import uuid_array

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

_STANDING: Final = text("""
SELECT DISTINCT ON (l.person_id) l.person_id, t.id, t.occurred_at AS at, t.channel,
       CASE WHEN t.data -> 'consent' -> :purpose = 'true'::jsonb THEN 'given' ELSE 'withdrawn' END AS state
FROM lead AS l
JOIN touchpoint AS t ON t.lead_id = l.id
WHERE l.person_id = ANY(CAST(:ids AS uuid[])) AND t.data -> 'consent' ? :purpose
ORDER BY l.person_id, t.occurred_at DESC, t.id DESC
""")


def standing(connection: Connection, person_ids: Iterable[str], purpose: str) -> dict[str, dict[str, Any]]:
    """
    Return what stands for a purpose, by person: `state` (given, withdrawn), `at`, `basis` and the answer's `id`.

    Only `given` allows anything; who is missing was never asked, or never answered. Asked at the moment of sending.
    """
    found = connection.execute(_STANDING, {"ids": uuid_array(person_ids), "purpose": purpose})
    return {row.person_id: {"state": row.state, "at": row.at, "basis": row.channel, "id": row.id} for row in found}
