"""
Tickets over HTTP: what customers want of us, and what agents do about it.

What changes one is handed in: it is the write path that workers use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StrictInt
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.errors import ThroughlineError, Transient
from schema.store import tickets
from schema.store.tickets import Asked
from schema.ticketing import StatusNotPossible
from services.api import ticket_shapes as shapes
from services.api.context import PLAIN, Cursor, answer, checked_cursor, context, found, listed, may, read
from services.api.keys import Key
from services.api.problems import Problem
from services.api.shapes import ProblemDocument
from services.api.ticket_shapes import Priority, Status

router = APIRouter(tags=["tickets"])

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="The short name that the journey uses.")]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Words = Annotated[str, Field(min_length=1, max_length=20_000, pattern=r"^[^\x00]*$")]
Line = Annotated[str, Field(min_length=1, max_length=300, pattern=PLAIN)]
Called = Annotated[str, Field(min_length=1, max_length=200, pattern=PLAIN)]
Id = Annotated[str, Path(max_length=100, description="The ticket's id, or its number.")]
Channel = Literal["phone", "chat", "email", "form", "social", "meeting", "other"]
By = Annotated[Name | None, Field(description="In whose name: one of the journey's people.")]
Seen = Annotated[
    StrictInt | None,
    Field(ge=1, description="How many `entries` it had when you looked: 409 if the customer has written since."),
]
_UUID: Final = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Opening(_Asked):
    """A ticket to be opened, with what the customer said. Without an owner it is shared out as any other."""

    kind: Code
    channel: Channel
    text: Words | None = None
    subject: Line | None = None
    priority: Priority | None = None
    owner: Name | None = None
    source: Name = "by_hand"
    external_id: Called | None = None
    refers_to: Annotated[str | None, Field(pattern=_UUID)] = None


class Message(_Asked):
    """
    What was said: by default our answer, else what the `customer` said, as on the phone.

    `status` is what the ticket is then. With `send` the answer goes out as a mail in the ticket's conversation; without
    it is only kept, because it was given elsewhere.
    """

    text: Words
    channel: Channel = "email"
    said_by: Literal["us", "customer"] = "us"
    by: By = None
    status: Literal["open", "waiting", "on_hold"] | None = None
    send: bool = False
    seen: Seen = None


class Note(_Asked):
    """A remark for colleagues."""

    text: Words
    by: By = None


class Changing(_Asked):
    """The status that a ticket is to have. Who resolves a kind of ticket that has root causes names one."""

    status: Status
    by: By = None
    root_cause: Code | None = None
    resolution: Words | None = None
    seen: Seen = None


class Assigning(_Asked):
    """Whose the ticket is to be; null: its desk's again. With `take` only if nobody has it."""

    owner: Name | None
    take: bool = False


class Saying(_Asked):
    """What a ticket is said to be; what is left out stays. At another desk it is somebody else's."""

    kind: Code | None = None
    priority: Priority | None = None
    subject: Line | None = None
    desk: Name | None = None


_READS: Final[dict[str, Any]] = {"dependencies": [may("tickets:read")]}
_CONFLICTS: Final[dict[int | str, dict[str, Any]]] = {
    409: {
        "model": ProblemDocument,
        "description": "`status_not_possible`: `now` is what it is, `possible` what it can become; `ticket_closed`; "
        "`customer_wrote` since what was `seen`; `ticket_taken`: `owner` has it; `ticket_exists`: `ticket_id`; "
        "`no_address` and `mail_not_configured`: it cannot be sent; `lead_merged`.",
    },
}
_SHOWN: Final[dict[str, Any]] = {"response_model": shapes.TicketShown, "responses": _CONFLICTS}


@router.get("/v1/tickets", response_model=shapes.Tickets, **_READS)
async def list_tickets(  # noqa: PLR0913 - its filters
    request: Request,
    *,
    status: Annotated[Status | None, Query(description="Without it, all that are not closed.")] = None,
    owner: Annotated[str | None, Query(max_length=63, pattern=PLAIN, description="`nobody`: nobody's.")] = None,
    desk: Annotated[str | None, Query(max_length=63, pattern=PLAIN)] = None,
    kind: Annotated[str | None, Query(max_length=63, pattern=PLAIN)] = None,
    lead: Annotated[str | None, Query(pattern=_UUID, description="All of this lead, closed ones too.")] = None,
    q: Annotated[
        str | None,
        Query(max_length=254, pattern=PLAIN, description="A number, what another system calls it, or a customer."),
    ] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=tickets.LARGEST_PAGE)] = 50,
) -> Response:
    """List tickets with their clocks, the newest first. Scope `tickets:read`."""
    asked = Asked(status, owner, desk, kind, lead, q)
    items, following = await read(request, tickets.tickets, asked, cursor=checked_cursor(cursor), limit=limit)
    return listed(items, following)


@router.get("/v1/tickets/{ticket_id}", response_model=shapes.TicketShown, **_READS)
async def show(
    request: Request,
    ticket_id: Id,
    after: Annotated[int, Query(ge=0, le=2_000_000_000, description="Only entries behind this number.")] = 0,
) -> Response:
    """Show a ticket with its thread and its clocks. Scope `tickets:read`."""
    return answer(found(await read(request, tickets.ticket, ticket_id, after=after), *_GONE))


@router.post("/v1/leads/{lead_id}/tickets", status_code=201, **_SHOWN)
async def open_ticket(
    request: Request,
    lead_id: str,
    wanted: Opening,
    key: Key = may("tickets:write"),  # noqa: B008
) -> Response:
    """
    Open a ticket of a lead: what somebody said on the phone, in a chat, or to another system. Scope `tickets:write`.

    Its `source` and `external_id` name it in another system: told again, it is not opened twice.
    """
    asked = wanted.model_dump()
    text, owner = asked.pop("text"), asked.pop("owner")
    return await _done(
        context(request).tickets.open, lead_id, asked, text, actor=f"key:{key.id}", agent=owner, made=201
    )


@router.post("/v1/tickets/{ticket_id}/messages", **_SHOWN)
async def say(
    request: Request,
    ticket_id: Id,
    wanted: Message,
    key: Key = may("tickets:write"),  # noqa: B008
) -> Response:
    """
    Keep an answer of ours, and send it if that is wanted; or what the customer said. Scope `tickets:write`.

    Our first answer ends the wait for the first response. What a customer says opens a resolved ticket again.
    """
    service = context(request).tickets
    ticket = await _id(request, ticket_id)
    if wanted.said_by == "customer":
        if wanted.send or wanted.status or wanted.by or wanted.seen:
            detail = "`send`, `status`, `by` and `seen` are about our answers, not about what the customer said."
            raise Problem(422, "not_an_answer", detail, pointer="/body/said_by")
        return await _done(service.heard, ticket, wanted.text, wanted.channel)
    return await _done(
        service.answer,
        ticket,
        wanted.text,
        wanted.channel,
        actor=f"key:{key.id}",
        agent=wanted.by,
        status=wanted.status,
        send=wanted.send,
        seen=wanted.seen,
    )


@router.post("/v1/tickets/{ticket_id}/notes", **_SHOWN)
async def note(
    request: Request,
    ticket_id: Id,
    wanted: Note,
    key: Key = may("tickets:write"),  # noqa: B008
) -> Response:
    """Keep a remark for colleagues: no customer sees it, and it is no answer. Scope `tickets:write`."""
    ticket = await _id(request, ticket_id)
    return await _done(context(request).tickets.note, ticket, wanted.text, actor=f"key:{key.id}", agent=wanted.by)


@router.post("/v1/tickets/{ticket_id}/status", **_SHOWN)
async def set_status(
    request: Request,
    ticket_id: Id,
    wanted: Changing,
    key: Key = may("tickets:write"),  # noqa: B008
) -> Response:
    """
    Have a ticket wait, go on, be resolved, reopened or closed. Scope `tickets:write`.

    Of two who ask for the same at once, the second gets 409 with what the ticket is now and what is possible.
    """
    return await _done(
        context(request).tickets.status,
        await _id(request, ticket_id),
        wanted.status,
        actor=f"key:{key.id}",
        agent=wanted.by,
        root_cause=wanted.root_cause,
        resolution=wanted.resolution,
        seen=wanted.seen,
    )


@router.post("/v1/tickets/{ticket_id}/assign", **_SHOWN)
async def assign(
    request: Request,
    ticket_id: Id,
    wanted: Assigning,
    key: Key = may("tickets:write"),  # noqa: B008
) -> Response:
    """
    Hand a ticket to somebody, have somebody take it, or give it back to its desk. Scope `tickets:write`.

    Handing it over takes no turn; given back, the next in turn gets it.
    """
    ticket = await _id(request, ticket_id)
    assigning = context(request).tickets.assign
    return await _done(assigning, ticket, wanted.owner, actor=f"key:{key.id}", only_free=wanted.take)


@router.patch("/v1/tickets/{ticket_id}", **_SHOWN)
async def change(
    request: Request,
    ticket_id: Id,
    wanted: Saying,
    key: Key = may("tickets:write"),  # noqa: B008
) -> Response:
    """Change a ticket's kind, priority, subject or desk; its clocks are chosen anew. Scope `tickets:write`."""
    ticket = await _id(request, ticket_id)
    return await _done(context(request).tickets.change, ticket, actor=f"key:{key.id}", **wanted.model_dump())


_GONE: Final = ("ticket_not_found", "There is no such ticket.")
_STATUS: Final = {
    "lead_unknown": 404,
    "ticket_unknown": 404,
    "kind_unknown": 422,
    "priority_unknown": 422,
    "desk_unknown": 422,
    "owner_unknown": 422,
    "status_unknown": 422,
    "refers_to_unknown": 422,
    "root_cause_required": 422,
    "root_cause_unknown": 422,
}
_POINTERS: Final = {"owner_unknown": "owner", "root_cause_required": "root_cause", "root_cause_unknown": "root_cause"}
_TOLD: Final = ("possible", "known", "owner", "ticket_id", "into", "entries")


async def _id(request: Request, called: str) -> str:
    return found(await read(request, tickets.id_of, called), *_GONE)


async def _done(act: Callable[..., dict[str, Any]], *args: object, made: int = 200, **kwargs: object) -> Response:
    try:
        return answer(await run_in_threadpool(act, *args, **kwargs), made)
    except ThroughlineError as error:
        raise _problem(error) from error


def _problem(error: ThroughlineError) -> Problem:
    if isinstance(error, Transient):
        return Problem(503, error.code, "The ticket could not be changed at the moment.", retry_after_s=1)
    if error.code == "lead_unknown":
        return Problem(404, "lead_not_found", "There is no such lead.")
    if error.code == "ticket_unknown":
        return Problem(404, *_GONE)
    facts: dict[str, Any] = {name: error.facts[name] for name in _TOLD if name in error.facts}
    if isinstance(error, StatusNotPossible):
        facts["now"] = error.facts["status"]
    status = _STATUS.get(error.code, 409)
    if status == 422:  # noqa: PLR2004 - HTTP
        facts["pointer"] = f"/body/{_POINTERS.get(error.code, error.code.removesuffix('_unknown'))}"
    return Problem(status, error.code, str(error), **facts)
