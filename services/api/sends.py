"""
Messages over HTTP: what became of each, and of those of which nobody knows, what somebody has found out.

Also addresses that are not written to; these stand in bodies only, never in a URL, and are kept as keyed hashes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from starlette.responses import Response

from schema.errors import Transient
from schema.store import clock, sends, sends_shown, suppression
from schema.store.ids import is_id
from services.api.context import PLAIN, Cursor, answer, checked_cursor, context, found, listed, may, read, write
from services.api.keys import Key
from services.api.problems import Problem
from services.api.shapes import ProblemDocument, Shape

router = APIRouter(tags=["campaigns"])

State = Literal["planned", "sending", "sent", "failed", "unknown", "skipped"]
Code = Annotated[str | None, Query(max_length=63, pattern=PLAIN)]
LARGEST_PAGE: Final = 200
_UNKNOWN: Final = ("send_not_found", "There is no such message.")
_KNOWN: Final[dict[int | str, dict[str, Any]]] = {
    409: {"model": ProblemDocument, "description": "`send_not_unknown`: what became of it is known."},
}


class Resolving(BaseModel):
    """What somebody found out of an unknown message: that it was `sent`; or it is to be sent `again`."""

    model_config = ConfigDict(extra="forbid")

    how: Literal["sent", "again"]
    dry_run: bool = False


class Addressed(BaseModel):
    """An address that is not to be written to, or is again."""

    model_config = ConfigDict(extra="forbid")

    address: Annotated[str, Field(min_length=3, max_length=320, pattern=PLAIN)]
    dry_run: bool = False


class Hold(Shape):
    """Why an address is held back, since when, and from what."""

    reason: str = Field(description="hard_bounce, soft_bounces, complaint, unsubscribed or by_hand.")
    since: datetime
    holds_back: Literal["all", "marketing"]


class Held(Shape):
    """What holds an address back now."""

    held: list[Hold]


class Lifted(Shape):
    """What held an address back until now."""

    lifted: list[Hold]


class Send(Shape):
    """One message."""

    id: str
    state: State
    reason: str | None = Field(description="A code: why it was skipped, put off or failed.")
    reply: str | None = Field(description="The code that its mail server answered.")
    journey_name: str
    campaign: str = Field(description="Or `opt_in`: it asks to confirm a consent.")
    step: str
    person_id: str
    lead_id: str
    planned_at: datetime
    due_at: datetime | None = Field(description="Null, too, while it is planned and waits for its campaign to go on.")
    claimed_at: datetime | None
    settled_at: datetime | None
    attempts: int


class Sends(Shape):
    """One page of messages."""

    items: list[Send]
    next: str | None


class Happened(Shape):
    """Something that became of a message: `planned`, `claimed`, as what it was settled, `opened`, `clicked` …."""

    at: datetime
    what: str
    reason: str | None


class SendShown(Send):
    """One message with all that became of it."""

    journey: str = Field(description="The version whose template it is.")
    template: str
    enrolment_id: str | None
    kind: Literal["service", "marketing"]
    purpose: str | None = Field(description="What it needs consent to.")
    consent_id: str | None = Field(description="The answer that allowed it.")
    message_id: str | None = Field(description="As its header says; null before it was claimed.")
    missing: str | None = Field(description="The field without which it could not be written.")
    links: list[str] | None = Field(description="Where its links lead.")
    opened_at: datetime | None
    clicked_at: datetime | None
    replied_at: datetime | None
    bounced_at: datetime | None
    complained_at: datetime | None
    unsubscribed_at: datetime | None
    history: list[Happened]


@router.get("/v1/sends", response_model=Sends, dependencies=[may("campaigns:read")])
async def list_sends(
    request: Request,
    *,
    state: State | None = None,
    campaign: Code = None,
    journey: Code = None,
    person: Annotated[str | None, Query(max_length=36, description="The id of a person.")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
) -> Response:
    """List messages, the newest first. Scope `campaigns:read`."""
    if person is not None and not is_id(person):
        return listed([])
    items, following = await read(
        request,
        sends_shown.listed,
        state=state,
        campaign=campaign,
        journey=journey,
        person=person,
        cursor=checked_cursor(cursor),
        limit=limit,
    )
    return listed(items, following)


@router.get("/v1/sends/{send_id}", response_model=SendShown, dependencies=[may("campaigns:read")])
async def show(request: Request, send_id: str) -> Response:
    """Show one message: its state and why, what was answered, and its history. Scope `campaigns:read`."""
    return answer(found(await read(request, sends_shown.shown, send_id), *_UNKNOWN))


@router.post(
    "/v1/sends/{send_id}/resolve",
    response_model=SendShown,
    responses=_KNOWN,
    dependencies=[may("campaigns:write")],
)
async def resolve(request: Request, send_id: str, wanted: Resolving) -> Response:
    """
    Say what became of a message of which nobody knows whether it went out. Scope `campaigns:write`.

    Look into the mail server's log for its `message_id` first: `again` sends it, whether it had arrived or not.
    """

    def change(connection: Connection) -> dict[str, Any] | None:
        if sends.one(connection, send_id) is None:
            return None
        sends.resolve(connection, send_id, sent=wanted.how == "sent", now=clock.now())
        return sends_shown.shown(connection, send_id)

    try:
        shown = found(await (read if wanted.dry_run else write)(request, change), *_UNKNOWN)
    except LookupError as error:
        raise Problem(409, "send_not_unknown", "What became of this message is known: see its `state`.") from error
    except Transient as error:
        raise Problem(503, error.code, "Its lead is in work at the moment.", retry_after_s=1) from error
    hint = context(request).hint
    if hint and not wanted.dry_run:
        hint("deliver" if wanted.how == "again" else "nurture", ())
    return answer(shown)


@router.post("/v1/suppressions", response_model=Held)
async def suppress(request: Request, wanted: Addressed, key: Key = may("campaigns:write")) -> Response:  # noqa: B008
    """Never write to an address again, whatever for, until it is lifted. Scope `campaigns:write`."""

    def change(connection: Connection, pepper: bytes, address: str) -> list[dict[str, Any]]:
        now = clock.now()
        suppression.suppress(connection, pepper, address, "by_hand", now, actor=f"key:{key.id}")
        return suppression.known(connection, pepper, address, now)

    return answer({"held": await _about(request, wanted, change)})


@router.post("/v1/suppressions/lift", response_model=Lifted)
async def lift(request: Request, wanted: Addressed, key: Key = may("campaigns:write")) -> Response:  # noqa: B008
    """
    Write to an address again, whatever held it back. Scope `campaigns:write`.

    Marketing still needs the person's consent.
    """

    def change(connection: Connection, pepper: bytes, address: str) -> list[dict[str, Any]]:
        now = clock.now()
        held = suppression.known(connection, pepper, address, now)
        suppression.lift(connection, pepper, address, now, actor=f"key:{key.id}")
        return held

    return answer({"lifted": await _about(request, wanted, change)})


async def _about(
    request: Request, wanted: Addressed, change: Callable[[Connection, bytes, str], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Change what holds an address back; for a dry run, roll it back."""
    key = suppression.address_key(wanted.address)
    if key is None:
        detail = "This is not an address that anybody can write to."
        raise Problem(422, "address_unusable", detail, pointer="/body/address")
    pepper = context(request).settings.pepper()
    return await (read if wanted.dry_run else write)(request, change, pepper, key)
