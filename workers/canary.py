"""Canaries among the arrivals: read as the others are, noted, and at their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from schema.canary import CAME, UNREAD, came_through, nonce_of
from schema.store import rows
from schema.understood import Raw

if TYPE_CHECKING:
    from workers.batch import Batch

_KNOWN: Final = text("""
SELECT nonce, source FROM canary
WHERE nonce = ANY(CAST(:nonces AS text[])) AND (receipt_id IS NULL OR receipt_id = ANY(CAST(:ids AS uuid[])))
""")
_NOTE: Final = text("""
UPDATE canary AS c SET receipt_id = r.receipt_id, error = r.error,
    came_at = CASE WHEN r.error IS NULL THEN CAST(:now AS timestamptz) END
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(nonce text, receipt_id uuid, error text)
WHERE c.nonce = r.nonce
""")


def noted(batch: Batch) -> dict[str, str]:
    """Return how each canary among a batch's receipts ends, by receipt, having noted it with the canaries."""
    named = {nonce: receipt for receipt in batch.receipts if (nonce := nonce_of(receipt["headers"]))}
    if not named:
        return {}
    wanted = {"nonces": list(named), "ids": [receipt["id"] for receipt in named.values()]}
    ended, told = {}, []
    for nonce, source in batch.connection.execute(_KNOWN, wanted):
        receipt = named[nonce]
        journey = batch.book.for_source(batch.connection, source)
        if receipt["source"] != source or journey is None:
            continue
        raw = Raw(
            receipt["channel"], receipt["content_type"], receipt["body"], receipt["headers"], receipt["received_at"]
        )
        came = came_through(raw, journey.sources[source], nonce)
        ended[receipt["id"]] = CAME if came else UNREAD
        told.append({"nonce": nonce, "receipt_id": receipt["id"], "error": None if came else UNREAD})
    if told:
        batch.connection.execute(_NOTE, {"rows": rows.as_json(told), "now": batch.now})
    return ended
