"""
Health: is a customer well, and who may leave?

    hears   everything that happens to the lead of somebody who has bought, once it is settled
    reads   what the journey's rules ask about
    writes  health: one row for each such lead
    tells   customer.at_risk, once for each time that somebody falls below what the journey calls well
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import tables
from schema.events import CustomerAtRisk
from schema.purchase import KINDS as SALES
from schema.store import rows
from schema.store.ids import uuid_array
from workers.decide.health import wellness
from workers.happening import About, happen

if TYPE_CHECKING:
    from datetime import datetime

    from workers.batch import Batch, Case

_ROWS: Final = text("SELECT lead_id, score, at_risk_since FROM health WHERE lead_id = ANY(CAST(:leads AS uuid[]))")
_UPSERT: Final = (
    "ORDER BY lead_id ON CONFLICT (lead_id) DO UPDATE SET score = EXCLUDED.score, at = EXCLUDED.at, "
    "at_risk_since = EXCLUDED.at_risk_since"
)


def hear(batch: Batch) -> None:
    """
    See how well the customers are to whom something happened, and tell who may leave.

    A lead that has a step ahead of it is looked at after that. Costs a comparison where the journey has no `health`.
    """
    asked = [case for case in batch.cases.values() if case.journey.health and not case.lead["next_step"]]
    if not asked:
        return
    leads = uuid_array(case.id for case in asked if not case.new)
    known = {row.lead_id: row for row in batch.connection.execute(_ROWS, {"leads": leads})} if leads != "{}" else {}
    written: list[dict[str, Any]] = []
    for case in asked:
        row = known.get(case.id)
        if row is None and not _became_customer(case):
            continue
        now_row = _see(case, row.score if row else None, row.at_risk_since if row else None)
        if now_row:
            written.append(now_row)
    rows.insert(batch.connection, tables.health, written, _UPSERT)


def _became_customer(case: Case) -> bool:
    """Whether this is somebody who buys: they bought now, came to where sales are won, or have a contract."""
    lifecycle = case.journey.lifecycle
    return (
        lifecycle[case.facts.state].outcome == "won"
        or any(touch.new and SALES.get(touch.kind) for touch in case.facts.touchpoints)
        or any(each.about.kind == "contract" for each in case.happened)
    )


def _see(case: Case, before: int | None, at_risk_since: datetime | None) -> dict[str, Any] | None:
    rules = case.journey.health
    if rules is None:
        return None
    found = wellness(case.facts, case.journey, rules)
    since = at_risk_since if found.low else None
    fell = found.low and since is None and case.lead["open"] and not case.lead["quiet"]
    if case.journey.reads.include("person.health"):
        case.facts.person["health"] = found.score
        case.facts.know(person=case.facts.person)
    if fell:
        since = case.batch.now
        case.decided("at_risk", None, found.facts(), step="health")
        case.tell(CustomerAtRisk(case.lead["person_id"], found.score, found.at_risk))
        about = About("lead", case.id, case.lead["owner"])
        happen(case, "customer.at_risk", about, data={"score": found.score, "at_risk": found.at_risk})
    if before == found.score and since == at_risk_since:
        return None
    return {"lead_id": case.id, "score": found.score, "at": case.batch.now, "at_risk_since": since}
