"""The mail that asks to confirm a consent: planned with the arrival that ticked it, sent before all marketing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema import tables
from schema.mailing.message import OPT_IN
from schema.store import sends
from schema.store.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.batch import Batch, Case


def plan(batch: Batch, case: Case, receipt_id: str, purposes: Sequence[str], path: str) -> None:
    """Plan it, where the journey says from whom mail goes out; what is tried out, or came from a file, gets none."""
    if case.journey.mail is None or case.lead["test"] or case.lead["quiet"]:
        return
    send_id = new_id()
    batch.write(
        tables.send,
        {
            "id": send_id,
            "journey_name": case.lead["journey_name"],
            "journey": case.journey.version,
            "campaign": OPT_IN,
            "step": OPT_IN,
            "template": OPT_IN,
            "person_id": case.lead["person_id"],
            "lead_id": case.id,
            "entry_key": receipt_id,
            "lane": sends.SERVICE,
            "priority": 100,
            "data": {"path": path, "purposes": list(purposes)},
            "state": "planned",
            "planned_at": batch.now,
            "due_at": batch.now,
        },
    )
    batch.hints["deliver"].append(send_id)
