"""The event feed over HTTP: every event once, in order, from any point; and the schema of each type."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from schema import events, journey
from schema.errors import Permanent
from schema.store import feed
from services.api import shapes
from services.api.context import answer, found, may, read
from services.api.problems import Problem

router = APIRouter()


@router.get("/v1/events", response_model=shapes.Feed, tags=["events"], dependencies=[may("events:read")])
async def event_feed(
    request: Request,
    after: Annotated[str, Query(max_length=100, description="`next` of the answer before; empty: the beginning.")] = "",
    types: Annotated[str, Query(max_length=2000, description="Comma-separated, such as `lead.created`.")] = "",
    limit: Annotated[int, Query(ge=1, le=feed.LARGEST_PAGE)] = 100,
) -> Response:
    """
    Read committed events in an order that never changes. Scope `events:read`.

    `next` is always given: keep it once the events are dealt with, and ask with it again. An answer without events
    may still have moved on.
    """
    try:
        cursor, wanted = feed.Cursor.decode(after), feed.type_names(types)
    except Permanent as error:
        pointer = "/query/after" if error.code == "cursor_invalid" else "/query/types"
        raise Problem(422, error.code, str(error), pointer=pointer) from error
    page = await read(request, feed.read, cursor, types=wanted, limit=limit)
    return answer({"events": page.events, "next": page.next.encode()})


@router.get("/v1/schemas", tags=["events"])
async def schemas() -> Response:
    """List the types of events, each with the place of its schema."""
    kinds = [events.full_type(name) for name in events.TYPES]
    return answer({"items": [{"type": kind, "schema": f"/v1/schemas/{kind}"} for kind in kinds], "next": None})


@router.get(
    "/v1/schemas/{kind}",
    response_class=Response,
    responses={200: {"content": {"application/schema+json": {"schema": {"type": "object"}}}}},
    tags=["events"],
)
async def schema(kind: str) -> Response:
    """Show the JSON Schema of an event type, named in full or as `noun.verb`, or of the journey file as `journey`."""
    name = kind.removeprefix(events.PREFIX).removesuffix(events.VERSION)
    if name == "journey":
        response = answer(journey.json_schema())
    else:
        known = found(name if name in events.TYPES else None, "type_unknown", "There is no such event type.")
        response = answer(events.json_schema(known))
    response.headers["Content-Type"] = "application/schema+json"
    return response
