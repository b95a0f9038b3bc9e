"""Hand-overs over HTTP: what passed from one department to another, whether it was taken up, and how long it waited."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from schema.errors import Permanent
from schema.store import clock, handovers
from schema.store.handovers import Wanted
from schema.store.ids import is_id
from services.api.context import Cursor, answer, found, listed, may, read
from services.api.problems import Problem
from services.api.shapes import Shape

router = APIRouter(tags=["handovers"])

Department = Annotated[
    str, Query(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="Only what was handed over to this one.")
]
USUAL: Final = timedelta(days=30)
"""What a summary is of when nobody says from when."""
_READS: Final[dict[str, Any]] = {"dependencies": [may("leads:read")]}


class HandedOver(Shape):
    """What was handed over."""

    kind: Literal["lead", "ticket", "opportunity", "follow_up"]
    id: str


class Handover(Shape):
    """Work that passed from one department to another."""

    id: str
    about: HandedOver
    lead_id: str
    journey: str = Field(description="The version that says whose work it is.")
    at: datetime
    what: str = Field(description="The transition, or: opened, desk, assigned, made, escalated.")
    from_department: str
    to_department: str
    actor: str = Field(description="customer, a person of the journey, a key; journey or campaign: by itself.")
    from_owner: str | None
    to_owner: str | None
    system: str | None = Field(description="In which it was handed over.")
    to_system: str | None = Field(description="In which it is worked on from then on.")
    taken_at: datetime | None = Field(description="When somebody there did the first thing about it.")
    taken_by: str | None
    ended_at: datetime | None = Field(description="It went on, or was over, and nobody had taken it.")
    status: Literal["open", "taken", "ended"]
    waited_s: int | None = Field(description="Until it was taken; while it is open, until now.")


class Page(Shape):
    """One page of hand-overs."""

    items: list[Handover]
    next: str | None


class Waiting(Shape):
    """How long it took until somebody took them; those that are open count until `as_of`."""

    p50_s: int | None
    p90_s: int | None
    longest_open_s: int | None


class Pair(Shape):
    """What passed from one department to another."""

    from_department: str
    to_department: str
    handovers: int
    open: int
    taken: int
    ended: int
    waiting: Waiting
    about: dict[str, int] = Field(description="How many leads, tickets, opportunities and follow-ups.")
    systems: dict[str, int] = Field(description="How many were handed over in which system.")


class Summary(Shape):
    """What passed between departments within a window of time."""

    from_: datetime = Field(alias="from")
    to: datetime
    as_of: datetime
    items: list[Pair]


@router.get("/v1/handovers", response_model=Page, **_READS)
async def listing(  # noqa: PLR0913 - its filters
    request: Request,
    *,
    department: Department | None = None,
    lead: Annotated[str | None, Query(max_length=100, description="Only of this lead.")] = None,
    since: Annotated[AwareDatetime | None, Query(alias="from", description="Handed over then or later.")] = None,
    to: Annotated[AwareDatetime | None, Query(description="Handed over before then.")] = None,
    waits: Annotated[bool, Query(alias="open", description="Only what nobody there has taken yet.")] = False,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=handovers.LARGEST_PAGE)] = 50,
) -> Response:
    """List what passed from one department to another, the latest first. Scope `leads:read`."""
    if lead is not None and not is_id(lead):
        raise Problem(422, "lead_invalid", "This is no id of a lead.", pointer="/query/lead")
    wanted = Wanted(department, lead, since, to, waits)
    try:
        items, following = await read(request, handovers.listed, wanted, clock.now(), cursor=cursor, limit=limit)
    except Permanent as error:
        raise Problem(422, error.code, str(error), pointer="/query/cursor") from error
    return listed(items, following)


@router.get("/v1/handovers/summary", response_model=Summary, **_READS)
async def summary(
    request: Request,
    *,
    since: Annotated[AwareDatetime | None, Query(alias="from", description="Without it, 30 days before `to`.")] = None,
    to: Annotated[AwareDatetime | None, Query(description="Without it, now.")] = None,
) -> Response:
    """
    Say how much passes between each two departments, and how long it waits there. Scope `leads:read`.

    Counted is what was handed over from `from` until before `to`.
    """
    now = clock.now()
    until = (to or now).astimezone(UTC)
    begin = since.astimezone(UTC) if since else until - USUAL
    if begin >= until:
        raise Problem(422, "window_empty", "`from` has to be before `to`.", pointer="/query/from")
    items = await read(request, handovers.summary, begin, until, now)
    return answer({"from": begin, "to": until, "as_of": now, "items": items})


@router.get("/v1/handovers/{handover_id}", response_model=Handover, **_READS)
async def show(request: Request, handover_id: Annotated[str, Path(max_length=100)]) -> Response:
    """Show one hand-over, by its id as in a list. Scope `leads:read`."""
    row = await read(request, handovers.one, handover_id, clock.now())
    return answer(found(row, "handover_not_found", "There is no such hand-over."))
