"""
Opportunities: possible sales on their way through a pipeline.

    hears   the leads of a batch: what they came into, and how they moved; timers of open ones
    reads   their opportunities; where something was sold, the purchase; how quiet others were
    writes  opportunity, opportunity_change
    tells   opportunity.opened, .won, .lost and .quiet

What somebody does about one is in `workers/sales/by_hand.py`. A lead that an opportunity moved has moved for it
already; it is only from other moves that something follows here, so that nothing goes round in a circle.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from schema import lifecycle
from schema.events import OpportunityQuiet
from schema.store import opportunities as store
from schema.store import rows as statements
from workers import timers
from workers.decide.opportunity import chosen
from workers.decide.stays import Change, Patience, Stay, by_stage, patience, stays
from workers.happening import About, happen
from workers.sales.ledger import FIRST_LOOK, Ledger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Row, RowMapping

    from schema.journey.pipeline import Pipeline
    from workers.batch import Batch, Case
    from workers.decide.advance import Move

LOOK_AGAIN: Final = 7 * FIRST_LOOK
"""When it is asked again where there is no telling yet what is too long."""
_JOURNEY: Final = "journey"


# -- what moves of leads mean for their opportunities ------------------------------------------------------------------


def hear(batch: Batch) -> None:
    """
    Open one for leads that came into a pipeline's state, and decide those of leads that moved as if it were decided.

    A lead that makes the transition `won` of a pipeline wins one of those that are open; one that makes `lost`, or
    comes into a final state, loses them all. Costs a comparison where no journey has pipelines.
    """
    concerned = [case for case in batch.cases.values() if case.journey.pipelines and _concerned(case)]
    if not concerned:
        return
    known: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in store.of_leads(batch.connection, [case.id for case in concerned if not case.new]):
        known[row["lead_id"]].append(row)
    sold = _sold(batch, concerned)
    ledger = Ledger(batch)
    for case in concerned:
        _follow(ledger, case, known[case.id], sold.get(case.id))
    ledger.write()


def _concerned(case: Case) -> bool:
    """Whether a lead came into the state of a pipeline, or moved as it does when an opportunity is decided."""
    if not case.came_into or case.lead["test"]:
        return False
    pipelines = case.journey.pipelines.values()
    return any(pipeline.state in case.came_into for pipeline in pipelines) or any(
        _decides(case, pipeline, move) for move in case.moves for pipeline in pipelines
    )


def _decides(case: Case, pipeline: Pipeline, move: Move) -> str | None:
    """What a move means for the open opportunities of a pipeline, if it was not one of them that moved the lead."""
    if move.trigger == "opportunity":
        return None
    if move.name == pipeline.won:
        return "won"
    return "lost" if move.name == pipeline.lost or case.journey.lifecycle[move.to_state].final else None


def _follow(ledger: Ledger, case: Case, known: list[dict[str, Any]], sale: Row[Any] | None) -> None:
    """Go through what happened to a lead in its order, pipeline by pipeline."""
    for name, pipeline in case.journey.pipelines.items():
        own = [row for row in known if row["pipeline"] == name]
        if pipeline.state in case.came_into and all(move.to_state != pipeline.state for move in case.moves):
            since = case.had["entered_at"] if case.had else None  # it came there before this run
            if not any(row["outcome"] is None or (since and row["opened_at"] >= since) for row in own):
                ledger.now = case.began
                own.append(ledger.open(case, name, {}, _JOURNEY))
        for move, at in zip(case.moves, case.moved_at, strict=True):
            there = [row for row in own if row["outcome"] is None]
            ledger.now = max([at, *(row["touched_at"] for row in there)])
            outcome = _decides(case, pipeline, move)
            if outcome == "won":
                _win(ledger, case, pipeline, there, sale)
            elif outcome == "lost":
                for row in there:
                    ledger.decide(case, row, "lost", _JOURNEY, reason=_reason(move))
            elif move.to_state == pipeline.state and not there:
                own.append(ledger.open(case, name, {}, _JOURNEY))
        ledger.now = case.batch.now


def _win(
    ledger: Ledger, case: Case, pipeline: Pipeline, there: Sequence[dict[str, Any]], sale: Row[Any] | None
) -> None:
    row = chosen(there, pipeline, sale.amount if sale else None)
    if row is None:
        return
    values: dict[str, Any] = {}
    if sale and sale.amount is not None and sale.currency and row["amount"] is None:
        values = {"amount": sale.amount, "currency": sale.currency}
    if sale and sale.products and not row["products"]:
        values["products"] = sale.products
    ledger.decide(case, row, "won", _JOURNEY, values=values)


def _reason(move: Move) -> str:
    """Why a lead's opportunities are lost with it: the reason of its move, else the move itself."""
    return move.reason if move.reason and lifecycle.is_code(move.reason) else move.name


def _sold(batch: Batch, concerned: Sequence[Case]) -> dict[str, Row[Any]]:
    """What was bought by leads that a sale moved, since they became due."""
    moved = [
        case
        for case in concerned
        if any(_decides(case, p, move) == "won" for move in case.moves for p in case.journey.pipelines.values())
    ]
    if not moved:
        return {}
    leads = [
        {
            "lead_id": case.id,
            "person_id": case.lead["person_id"],
            "since": (case.had["due_since"] if case.had else None) or batch.now,
        }
        for case in moved
    ]
    return store.sold(batch.connection, statements.as_json(leads))


# -- quiet -------------------------------------------------------------------------------------------------------------


def look(batch: Batch, rows: Sequence[RowMapping]) -> None:
    """
    Tell of open ones to which nothing has happened for too long, once for each spell; their leads are in hand.

    What their people do counts: an answer ends a spell. It is noticed when it is looked at next, which costs arrivals
    nothing.
    """
    ledger = Ledger(batch)
    usual = _Usual(batch)
    for row in store.still_open(batch.connection, [row["id"] for row in rows]):
        case = batch.cases.get(row["lead_id"])
        if case is not None:
            _look(ledger, case, row, usual)
    ledger.write()


def _look(ledger: Ledger, case: Case, row: dict[str, Any], usual: _Usual) -> None:
    batch = case.batch
    found = usual.patience(case, row)
    since = max([row["touched_at"], *_deeds(case, batch.now)])
    if row["quiet_since"] and since > row["quiet_since"]:
        ledger.is_quiet(row, None)
    if found is None or case.facts.quiet:
        due = batch.now + LOOK_AGAIN
    elif since + found.limit > batch.now:
        due = since + found.limit
    else:
        due = batch.now + max(found.limit, FIRST_LOOK)
        if row["quiet_since"] is None:
            _tell(ledger, case, row, batch.now - since, found)
    timers.at(batch, "opportunity", row["id"], case.id, due)


def _tell(ledger: Ledger, case: Case, row: dict[str, Any], silent: timedelta, found: Patience) -> None:
    ledger.is_quiet(row, case.batch.now)
    owner = row["owner"] or case.lead["owner"]
    silent_s, limit_s = int(silent.total_seconds()), int(found.limit.total_seconds())
    case.tell(OpportunityQuiet(row["id"], row["pipeline"], row["stage"], owner, silent_s, limit_s, found.rests_on))
    data = {"pipeline": row["pipeline"], "stage": row["stage"], "silent_s": silent_s, "limit_s": limit_s}
    key = (case.batch.now - silent).isoformat()
    happen(case, "opportunity.quiet", About("opportunity", row["id"], owner), key=key, data=data)


def _deeds(case: Case, now: datetime) -> list[datetime]:
    """When the lead's people did something; what machines did does not count."""
    return [touch.occurred_at for touch in case.facts.touchpoints if not touch.machine and touch.occurred_at <= now]


class _Usual:
    """How quiet opportunities usually are, asked for once in a batch and only where no journey says it."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._seen: dict[tuple[str, str], Mapping[str, list[Stay]]] = {}

    def patience(self, case: Case, row: Mapping[str, Any]) -> Patience | None:
        """How long nothing may happen to one; None while there is no telling."""
        pipeline = case.journey.pipelines.get(row["pipeline"])
        stage = pipeline.stages.get(row["stage"]) if pipeline else None
        if stage is None or stage.quiet is not None:
            return patience(stage, ()) if stage else None
        key = (row["journey_name"], row["pipeline"])
        if key not in self._seen:
            found = store.happened(self._batch.connection, *key, self._batch.now)
            self._seen[key] = by_stage(
                stays((Change(each.id, each.at, each.what, each.stage) for each in found), self._batch.now)
            )
        return patience(stage, self._seen[key].get(row["stage"], ()))
