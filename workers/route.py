"""
Route: whose lead is it?

    hears   leads whose next step is `route`
    reads   lead, person, company, the ledgers of the pools (locked until the turns are recorded)
    writes  owner and pool, and the turn in the pool's ledger
    tells   lead.routed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.events import LeadRouted
from workers.decide.route import choose
from workers.runtime import step

if TYPE_CHECKING:
    from workers.batch import Batch


@step("route")
def route(batch: Batch) -> None:
    """Give each lead to somebody, in fair turns."""
    for case in batch.at("route"):
        ledgers = batch.ledgers(case.journey)
        found = choose(case.facts, case.journey, ledgers, batch.now)
        if found.pool is not None and found.ledger is not None:
            ledgers[found.pool] = found.ledger
        case.lead |= {"owner": found.owner, "pool": found.pool}
        case.facts.know(owner=found.owner, pool=found.pool)
        case.decided("routed", found.reason, found.explain())
        case.tell(LeadRouted(found.pool, found.owner, found.reason))
        case.go(case.journey.after("route"))
