"""
What happens to a lead: its arrivals, and whatever its tickets, opportunities, contracts and surveys tell.

`happen` says it within a batch that has the lead in hand. Follow-up rules and surveys hear of it when the batch is
recorded. What is an interaction with the person is also a touchpoint of theirs, so that scores, transitions
and campaigns take it as they take any other: this is how what happens in sales and service moves the lead on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import UNSET

from schema import tables
from schema.events import LeadTouched
from schema.facts import Touch
from schema.lifecycle import turns_down
from schema.store.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from workers.batch import Case

OURS: Final = "throughline"
"""The source of touchpoints that come from our own work, not by a receipt."""


class About(NamedTuple):
    """What something happened to: `ticket`, `opportunity`, `contract`, `survey` or `lead`, and whose work that is."""

    kind: str
    id: str
    owner: str | None = None


class Happening(NamedTuple):
    """One thing that happened, of the `kind` of a touchpoint or of ours; told again, its `key` is the same."""

    kind: str
    at: datetime
    about: About
    key: str
    data: Mapping[str, Any]


def happen(
    case: Case,
    kind: str,
    about: About,
    *,
    key: str = "",
    at: datetime | None = None,
    data: Mapping[str, Any] | None = None,
    channel: str = "",
) -> None:
    """
    Say that something happened to what belongs to a lead in hand, now or at an earlier moment.

    `key` names the occasion among all of this kind about the same; without it, each is one of its own. An
    interaction names its `channel`: it becomes a touchpoint, and an open lead goes on. `data` are ids, codes, figures.
    """
    batch = case.batch
    moment = at or batch.now
    happening = Happening(kind, moment, about, key or new_id(), data or {})
    case.happened.append(happening)
    if not channel:
        return
    touchpoint_id = new_id()
    batch.write(
        tables.touchpoint,
        {
            "id": touchpoint_id,
            "person_id": case.lead["person_id"],
            "lead_id": case.id,
            "kind": kind,
            "channel": channel,
            "source": OURS,
            "occurred_at": moment,
            "recorded_at": batch.now,
            "data": {**happening.data, about.kind: about.id},
        },
    )
    case.facts.touchpoints.append(Touch(kind=kind, occurred_at=moment, id=touchpoint_id, ours=True))
    earlier = moment if moment < batch.now else UNSET
    case.tell(LeadTouched(case.lead["person_id"], touchpoint_id, kind, OURS, channel, at=earlier))
    case.heard = True
    known = not case.new and case.lead["next_step"] != case.journey.steps[0]
    if known and (case.lead["open"] or turns_down(case.journey, case.facts.state)):
        case.go(case.begins_at())
