"""
Clocks over HTTP: what was promised about tickets and is due, and to count it by another calendar.

Recalculating is handed in: it is what workers do.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.errors import Permanent, ThroughlineError, Transient
from schema.store import clock, clocks
from services.api.context import Cursor, answer, context, listed, may, read
from services.api.keys import Key
from services.api.problems import Problem
from services.api.shapes import ProblemDocument

router = APIRouter(tags=["tickets"])

MOST_RECALCULATED: Final = 5_000


class Clock(BaseModel):
    """
    One promise about a ticket. Times in seconds are working time of its `hours`: the policy's, the desk's, or always.

    `left_s` is negative once the time is over, and null when the clock is stopped. `due_at` is null while it stands
    still (`paused_since`). `told` are the per cent of the time that were told. `why` is the policy's condition.
    """

    metric: Literal["first_response", "next_response", "resolution"]
    cycle: int
    state: Literal["active", "at_risk", "breached", "hit", "missed", "cancelled"]
    started_at: datetime
    due_at: datetime | None
    stopped_at: datetime | None
    paused_since: datetime | None
    target_s: int
    elapsed_s: int
    left_s: int | None
    told: list[int]
    policy: str
    label: str | None
    why: str | None
    hours: Literal["policy", "desk", "always"]
    journey: str


class ClockTicket(BaseModel):
    """The ticket that a clock belongs to."""

    id: str
    number: int
    lead_id: str
    kind: str
    priority: str
    status: str
    desk: str | None
    owner: str | None


class ClockDue(Clock):
    """A clock that runs, with its ticket."""

    ticket: ClockTicket


class Clocks(BaseModel):
    """One page of clocks."""

    items: list[ClockDue]
    next: str | None


class Recalculating(BaseModel):
    """Which journey's tickets are counted anew; without a name those of the one that is active."""

    model_config = ConfigDict(extra="forbid")

    journey: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")] | None = None
    dry_run: bool = False


class Recalculated(BaseModel):
    """
    What was changed, or would be.

    `clocks` counts those that are due `sooner`, `later` or the `same`, that are `dropped`, `added`, and `breached` by
    it; `most_s` by how many seconds at most. `left` are tickets of kinds that the version does not know. `more`: ask
    again for the rest.
    """

    journey: str
    version: str
    tickets: int
    left: int
    clocks: dict[str, int]
    most_s: dict[str, int]
    more: bool
    dry_run: bool


@router.get("/v1/clocks", response_model=Clocks, dependencies=[may("tickets:read")])
async def due(
    request: Request,
    before: Annotated[
        AwareDatetime | None, Query(description="Only what is due by then; now: what is breached.")
    ] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=clocks.LARGEST_PAGE)] = 50,
) -> Response:
    """
    List the clocks that run, by when they are due: what is breached for the longest time first. Scope `tickets:read`.

    What stands still is not among them.
    """
    try:
        items, following = await read(request, clocks.due, clock.now(), before=before, cursor=cursor, limit=limit)
    except Permanent as error:
        raise Problem(422, error.code, str(error), pointer="/query/cursor") from error
    return listed(items, following)


@router.post(
    "/v1/clocks/recalculations",
    response_model=Recalculated,
    responses={
        409: {
            "model": ProblemDocument,
            "description": "`journey_not_named`, `journey_not_active`; `service_unknown`: it has no `service`.",
        },
    },
)
async def recalculate(
    request: Request,
    wanted: Recalculating,
    key: Key = may("journeys:write"),  # noqa: B008
) -> Response:
    """
    Have tickets be counted by the hours and policies of the active version. Scope `journeys:write`.

    At most 5000 of them: ask again while there are `more`. What is breached or over stays as it is. This happens by
    itself when a version is activated; `dry_run` says what it will change.
    """
    counter = context(request).recalculate
    try:
        done: dict[str, Any] = await run_in_threadpool(
            counter, wanted.journey, actor=f"key:{key.id}", dry_run=wanted.dry_run, most=MOST_RECALCULATED
        )
    except Transient as error:
        raise Problem(503, error.code, "Tickets could not be had at the moment.", retry_after_s=1) from error
    except ThroughlineError as error:
        raise Problem(409, error.code, str(error)) from error
    return answer(done)
