"""Reading over HTTP: receipts, and leads with their story and its reasons."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from schema.store import reading, why
from services.api import shapes
from services.api.context import PLAIN, Cursor, answer, checked_cursor, found, listed, may, read
from services.api.problems import Problem

router = APIRouter()

_LONGEST_STORY = 1_000_000
Filter = Annotated[str | None, Query(max_length=200, pattern=PLAIN)]
Search = Annotated[
    str | None,
    Query(
        max_length=320,
        pattern=PLAIN,
        description="An e-mail address, a phone number with country code, or the beginning of a name.",
    ),
]
PageSize = Annotated[int, Query(ge=1, le=reading.LARGEST_PAGE)]


@router.get(
    "/v1/receipts/{receipt_id}",
    response_model=shapes.Receipt,
    tags=["leads"],
    dependencies=[may("leads:read")],
)
async def receipt(request: Request, receipt_id: str) -> Response:
    """Tell what became of one arrival. Scope `leads:read`."""
    row = found(await read(request, reading.receipt, receipt_id), "receipt_not_found", "There is no such receipt.")
    links = {"self": f"/v1/receipts/{row['id']}"}
    if row["lead_id"]:
        links["lead"] = f"/v1/leads/{row['lead_id']}"
    return answer(row | {"links": links})


@router.get("/v1/leads", response_model=shapes.Leads, tags=["leads"], dependencies=[may("leads:read")])
async def leads(
    request: Request,
    *,
    state: Filter = None,
    owner: Filter = None,
    q: Search = None,
    overdue: Annotated[bool | None, Query(description="In their state for longer than the journey allows.")] = None,
    cursor: Cursor = None,
    limit: PageSize = 50,
) -> Response:
    """
    List leads, the newest first. Scope `leads:read`.

    `q` finds by exact e-mail address or phone number, else by the beginning of a name (the first 500 people).
    """
    place = checked_cursor(cursor)
    filters: dict[str, Any] = {"state": state, "owner": owner, "q": q, "overdue": overdue, "cursor": place}
    items, following = await read(request, reading.leads, limit=limit, **filters)
    return listed(items, following)


@router.get("/v1/leads/{lead_id}", response_model=shapes.Lead, tags=["leads"], dependencies=[may("leads:read")])
async def lead(request: Request, lead_id: str) -> Response:
    """Show one lead as it is now. Scope `leads:read`."""
    return answer(await known_lead(request, lead_id))


@router.get(
    "/v1/leads/{lead_id}/timeline",
    response_model=shapes.Timeline,
    tags=["leads"],
    dependencies=[may("leads:read")],
)
async def timeline(
    request: Request,
    lead_id: str,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> Response:
    """Tell a lead's story: receipts, touchpoints, decisions, transitions, hand-overs, events. Scope `leads:read`."""
    await known_lead(request, lead_id)
    items, following = await read(request, reading.timeline, lead_id, offset=_offset(cursor), limit=limit)
    return listed(items, str(following) if following else None)


@router.get("/v1/leads/{lead_id}/why", response_model=shapes.Why, tags=["leads"], dependencies=[may("leads:read")])
async def reasons(request: Request, lead_id: str, owner: Filter = None) -> Response:
    """
    Say why the lead is where it is, and why not elsewhere, from the decisions as they were made. Scope `leads:read`.

    Each decision has its stored explanation and the same in words. With `owner` only those by which somebody got the
    lead or did not, and `about` says why.
    """
    shown = await known_lead(request, lead_id)
    decisions = await read(request, reading.decisions, lead_id)
    if owner is not None:
        about = why.about(decisions, owner)
        return answer({"lead_id": lead_id, "state": shown["state"], "owner": owner, "decisions": about})
    told = [why.told(decision) for decision in decisions]
    return answer({"lead_id": lead_id, "state": shown["state"], "decisions": told})


async def known_lead(request: Request, lead_id: str) -> dict[str, Any]:
    """Return the lead, else answer 404."""
    return found(await read(request, reading.lead, lead_id), "lead_not_found", "There is no such lead.")


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit()) or int(cursor) > _LONGEST_STORY:
        raise Problem(422, "cursor_invalid", "This is not a cursor of this list.", pointer="/query/cursor")
    return int(cursor)
