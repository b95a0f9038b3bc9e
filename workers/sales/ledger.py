"""
The ledger of opportunities: how one is opened, changed, decided and taken up again, with a row for every change.

All of it happens within a batch that has the lead in hand. `Ledger` gathers what is to be written, so that many leads
cost two statements; `write` puts it there, has it told, and sets when each is looked at again.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from schema import tables
from schema.events import (
    Event,
    OpportunityChanged,
    OpportunityLost,
    OpportunityOpened,
    OpportunityReopened,
    OpportunityWon,
)
from schema.store import rows
from schema.store.ids import new_id
from workers import timers
from workers.decide.opportunity import changes
from workers.happening import About, happen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from msgspec import UnsetType

    from schema.journey.pipeline import Stage
    from workers.batch import Batch, Case

CHANNEL: Final = "sales"
FIRST_LOOK: Final = timedelta(days=1)
"""After so long without anything happening it is asked whether that is too long, where the journey does not say."""
_FIXED: Final = {"lead_id", "person_id", "journey_name", "pipeline", "opened_at", "opened_by"}
_CHANGING: Final = tuple(column.name for column in tables.opportunity.c if column.name not in _FIXED)


class Ledger:
    """What a batch does to opportunities; rows are dicts of their columns, changed in place as they will be."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.now = batch.now
        """When what is done happens; earlier where files tell of it."""
        self._opened: dict[str, dict[str, Any]] = {}
        self._changed: dict[str, dict[str, Any]] = {}
        self._changes: list[dict[str, Any]] = []

    def open(self, case: Case, pipeline: str, values: Mapping[str, Any], actor: str) -> dict[str, Any]:
        """Open one for a lead, at the stage that `values` names, else the first of its pipeline."""
        now = self.now
        row: dict[str, Any] = dict.fromkeys(column.name for column in tables.opportunity.c)
        row |= {
            "id": new_id(),
            "lead_id": case.id,
            "person_id": case.lead["person_id"],
            "journey_name": case.lead["journey_name"],
            "pipeline": pipeline,
            "stage": case.journey.pipelines[pipeline].first,
            "stage_since": now,
            "products": [],
            "competitors": [],
            "opened_at": now,
            "opened_by": actor,
            "touched_at": now,
            "changes": 0,
            "reopened": 0,
            **values,
        }
        self._opened[row["id"]] = row
        said = {field: {"from": None, "to": value} for field, value in values.items() if value not in (None, [])}
        self._note(row, "opened", actor, None, said)
        self._tell(case, row, "opened", OpportunityOpened(
            row["id"], row["person_id"], pipeline, row["stage"], _owner(case, row), *_money(row), actor,
            at=self._at(),
        ))  # fmt: skip
        return row

    def change(self, case: Case, row: dict[str, Any], values: Mapping[str, Any], actor: str) -> dict[str, Any]:
        """Change one; return what changed, by field. Where nothing did, nothing is written."""
        found = changes(row, values)
        if not found:
            return found
        stage = row["stage"]
        moved = "stage" in found
        row |= {field: change["to"] for field, change in found.items()}
        self._note(row, "stage" if moved else "changed", actor, stage, found)
        event = OpportunityChanged(
            row["id"], row["pipeline"], stage, row["stage"], sorted(found), _owner(case, row), *_money(row), actor
        )
        self._tell(case, row, "stage" if moved else "", event)
        return found

    def decide(
        self,
        case: Case,
        row: dict[str, Any],
        outcome: str,
        actor: str,
        *,
        reason: str | None = None,
        values: Mapping[str, Any] | None = None,
        channel: str = "",
    ) -> None:
        """Have one be won, or lost for a reason; on a `channel` that is an interaction with the person."""
        found = changes(row, values or {})
        row |= {field: change["to"] for field, change in found.items()}
        row |= {"outcome": outcome, "reason": reason, "closed_at": self.now}
        if reason:
            found["reason"] = {"from": None, "to": reason}
        self._note(row, outcome, actor, row["stage"], found)
        after_s = int((self.now - row["opened_at"]).total_seconds())
        about = (row["id"], row["person_id"], row["pipeline"], row["stage"], _owner(case, row), *_money(row))
        event: Event = (
            OpportunityWon(*about, after_s, actor, at=self._at())
            if outcome == "won"
            else OpportunityLost(*about, reason or "", after_s, actor, at=self._at())
        )
        self._tell(case, row, outcome, event, channel=channel)

    def reopen(self, case: Case, row: dict[str, Any], values: Mapping[str, Any], actor: str) -> None:
        """Take one up again that was decided, at the stage that `values` names, else where it was."""
        was = row["outcome"]
        found = changes(row, values)
        found["outcome"] = {"from": was, "to": None}
        if row["reason"]:
            found["reason"] = {"from": row["reason"], "to": None}
        stage = row["stage"]
        row |= {field: change["to"] for field, change in found.items()}
        row |= {"closed_at": None, "stage_since": self._batch.now, "reopened": row["reopened"] + 1}
        self._note(row, "reopened", actor, stage, found)
        event = OpportunityReopened(row["id"], row["pipeline"], row["stage"], _owner(case, row), was, actor)
        self._tell(case, row, "reopened", event)

    def is_quiet(self, row: dict[str, Any], since: datetime | None) -> None:
        """Keep since when it was told that nothing happens, or that something does again."""
        row["quiet_since"] = since
        self._changed[row["id"]] = row

    def write(self) -> None:
        """Write everything at once; the lead's own rows go with the batch."""
        known = [
            {name: row[name] for name in _CHANGING} for row in self._changed.values() if row["id"] not in self._opened
        ]
        rows.together(
            self._batch.connection,
            rows.Write(tables.opportunity, list(self._opened.values())),
            rows.Write(tables.opportunity_change, self._changes),
            rows.Write(tables.opportunity, known, key="id"),
        )
        self._opened, self._changed, self._changes = {}, {}, []

    def _note(
        self, row: dict[str, Any], what: str, actor: str, stage: str | None, found: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Add the change's row, and bring the opportunity's own up to it."""
        now = self.now
        leaves = what in {"stage", "won", "lost"}
        stayed = int((now - row["stage_since"]).total_seconds()) if leaves else None
        if what == "stage":
            row["stage_since"] = now
        row |= {"changes": row["changes"] + 1, "touched_at": now, "quiet_since": None}
        self._changed[row["id"]] = row
        before = found["owner"]["from"] if "owner" in found else row["owner"]
        self._batch.handovers.opportunity(row, what, actor, before)
        self._changes.append(
            {
                "opportunity_id": row["id"],
                "number": row["changes"],
                "at": now,
                "actor": actor,
                "what": what,
                "from_stage": stage,
                "to_stage": row["stage"],
                "stayed_s": stayed,
                "amount": row["amount"],
                "currency": row["currency"],
                "data": found,
            }
        )

    def _at(self) -> datetime | UnsetType:
        return self.now if self.now < self._batch.now else UNSET

    def _tell(self, case: Case, row: dict[str, Any], kind: str, event: Event, *, channel: str = "") -> None:
        case.tell(event)
        if kind:
            about = About("opportunity", row["id"], _owner(case, row))
            data = {
                "pipeline": row["pipeline"],
                "stage": row["stage"],
                **dict(zip(("amount", "currency"), _money(row), strict=True)),
            }
            if row["reason"]:
                data["reason"] = row["reason"]
            happen(case, f"opportunity.{kind}", about, key=str(row["changes"]), data=data, channel=channel)
        pipeline = case.journey.pipelines.get(row["pipeline"])
        stage = pipeline.stages.get(row["stage"]) if pipeline else None
        look = None if row["outcome"] else self._batch.now + first_look(stage)
        timers.at(self._batch, "opportunity", row["id"], case.id, look)


def first_look(stage: Stage | None) -> timedelta:
    """After how long it is asked for the first time whether nothing has happened for too long."""
    return (stage.quiet if stage else None) or FIRST_LOOK


def _owner(case: Case, row: Mapping[str, Any]) -> str | None:
    """Whose work it is: somebody's own, else that of whoever has the lead."""
    owner: str | None = row["owner"] or case.lead["owner"]
    return owner


def _money(row: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The amount as exact text, and its currency."""
    amount: Decimal | None = row["amount"]
    return (None if amount is None else format(amount, "f")), row["currency"]
