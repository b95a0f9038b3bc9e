"""
Followup: what is to be done now that something's time has come?

    hears   timers that are due, and that some are
    reads   the lead of each, and what the timer belongs to
    writes  what that says (`look` of tickets, opportunities, contracts, follow-ups, surveys), and its next timer
    tells   as they do

Each kind decides for itself, from what is so now; one timer that fails is set aside alone.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from workers.followups import follow_ups
from workers.helpdesk import tickets
from workers.retention import contracts
from workers.runtime import step
from workers.sales import opportunities
from workers.satisfaction import surveys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import RowMapping

    from workers.batch import Batch

LOOKS: Final[dict[str, Callable[[Batch, Sequence[RowMapping]], None]]] = {
    "ticket": tickets.look,
    "opportunity": opportunities.look,
    "contract": contracts.look,
    "survey": surveys.look,
    "follow_up": follow_ups.look,
}
"""Who looks at what when its time has come; what one of them tells is heard by those after it, and by the batch."""


@step("followup", subject="timer")
def followup(batch: Batch) -> None:
    """Look at everything whose time has come."""
    due: dict[str, list[RowMapping]] = defaultdict(list)
    for row in batch.went_off:
        due[row["kind"]].append(row)
    for kind, look in LOOKS.items():
        if due[kind]:
            look(batch, due[kind])
