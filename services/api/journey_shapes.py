"""What changing journeys answers, as OpenAPI describes it; `shapes` has the rest."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from services.api.shapes import JourneyVersion, Shape


class Finding(Shape):
    """Something about a journey file: where (`line` and `column` from 1, 0: not known), and what to do about it."""

    path: str
    line: int
    column: int
    message: str
    severity: Literal["error", "warning"]


class JourneyStored(JourneyVersion):
    """A version that is kept; `new` is false when the same content was kept already. `findings` are warnings."""

    new: bool
    findings: list[Finding]


class Difference(Shape):
    """One thing that is not the same in two versions; `text` says it in a sentence."""

    part: str
    path: list[str]
    kind: Literal["added", "removed", "changed", "moved"]
    before: Any
    after: Any
    text: str


class Staying(Shape):
    """Open leads that follow another version than the active one."""

    version: str
    open_leads: int


class Switched(Shape):
    """
    An activation: the version that new leads enter now, and the one `before` (null: none).

    `changed` is false when it was active already. `differences` is null where the version before cannot be read.
    """

    journey: str
    version: str
    before: str | None
    changed: bool
    differences: list[Difference] | None
    staying: list[Staying]
    dry_run: bool


class MigratedState(Shape):
    """Leads of a version in one state: where that leads (null: nowhere yet), and whether it closes them."""

    version: str
    from_: Annotated[str, Field(alias="from")]
    to: str | None
    open: bool
    closes: bool
    leads: int


class StuckState(Shape):
    """
    Leads that have nowhere to go: `add` is what to add to `map`, as in `old=new`.

    `states` are those they could go to, `nearest` the one with the most similar name.
    """

    state: str
    reason: Literal["state_missing", "would_be_opened"]
    leads: int
    nearest: str | None
    states: list[str]
    add: str


class LostOwner(Shape):
    """Leads of somebody the version does not know: they are given to somebody else."""

    owner: str
    leads: int


class LostPool(Shape):
    """Leads of a pool the version does not have."""

    pool: str
    leads: int


class Migrated(Shape):
    """A migration: what there was to do, how many leads were `migrated` by this call, and how many are `left`."""

    journey: str
    to: str
    dry_run: bool
    leads: int
    migrated: int
    left: int
    states: list[MigratedState]
    stuck: list[StuckState]
    owners: list[LostOwner]
    pools: list[LostPool]
