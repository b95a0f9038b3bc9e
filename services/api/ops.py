"""Operations over HTTP: what waits where, what failed, to try it again or give it up, and the conservation account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from schema.errors import Permanent
from schema.store import account as stored
from schema.store import clock, ops
from services.api import shapes
from services.api.context import PLAIN, Cursor, answer, checked_cursor, context, found, listed, may, read, write
from services.api.keys import Key
from services.api.problems import Problem

router = APIRouter(tags=["operations"])

_LONGEST_WINDOW_H = stored.LONGEST // timedelta(hours=1)


class Discarded(BaseModel):
    """Why a dead letter is given up: kept with the receipt or the lead. No personal data."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=1, max_length=200, pattern=PLAIN)]


@router.get("/v1/ops/queues", response_model=shapes.Queues, dependencies=[may("ops:read")])
async def queues(request: Request) -> Response:
    """Show what waits for each actor, since when, and what is in work at this moment. Scope `ops:read`."""
    return answer({"queues": await read(request, ops.queues)})


@router.get(
    "/v1/ops/dead-letters",
    response_model=shapes.DeadLetters | shapes.DeadLetterGroups,
    dependencies=[may("ops:read")],
)
async def dead_letters(
    request: Request,
    *,
    step: Annotated[str | None, Query(max_length=63, pattern=PLAIN)] = None,
    fingerprint: Annotated[str | None, Query(max_length=64, pattern=PLAIN)] = None,
    group: Annotated[Literal["fingerprint"] | None, Query(description="Count by kind of failure instead.")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=ops.LARGEST_PAGE)] = 50,
) -> Response:
    """List open dead letters, the newest first, or count them by kind of failure. Scope `ops:read`."""
    if group:
        return listed(await read(request, ops.dead_letter_groups, limit))
    items, following = await read(
        request,
        ops.dead_letters,
        step=step,
        fingerprint=fingerprint,
        cursor=checked_cursor(cursor),
        limit=limit,
    )
    return listed(items, following)


@router.post("/v1/ops/dead-letters/{letter_id}/retry", response_model=shapes.Resolved)
async def retry(request: Request, letter_id: str, _: Key = may("ops:write")) -> Response:  # noqa: B008
    """Make a dead letter's work due again; twice is harmless. Scope `ops:write`."""
    resolved = _known(await write(request, ops.retry, letter_id, clock.now()))
    hint = context(request).hint
    if resolved.hint and hint:
        step, subject = resolved.hint
        hint(step, [subject])
    return answer(resolved.letter | {"changed": resolved.changed})


@router.post("/v1/ops/dead-letters/{letter_id}/discard", response_model=shapes.Resolved)
async def discard(request: Request, letter_id: str, why: Discarded, key: Key = may("ops:write")) -> Response:  # noqa: B008
    """Give a dead letter's work up: a receipt is rejected, a lead is settled. Scope `ops:write`."""
    resolved = _known(await write(request, ops.discard, letter_id, why.reason, f"key:{key.id}", clock.now()))
    return answer(resolved.letter | {"changed": resolved.changed})


@router.get("/v1/ops/account", response_model=shapes.Account, dependencies=[may("ops:read")])
async def account(
    request: Request,
    *,
    since: Annotated[datetime | None, Query(alias="from", description="From then on; 48 hours ago.")] = None,
    until: Annotated[datetime | None, Query(alias="to", description="Up to then; now.")] = None,
    hours: Annotated[int | None, Query(ge=1, le=_LONGEST_WINDOW_H, description="Instead of `from`.")] = None,
    verify: Annotated[bool, Query(description="Count closed hours again.")] = False,
) -> Response:
    """Account for what arrived: every receipt has an outcome, every live lead somebody. Scope `ops:read`."""
    now = clock.now()
    first = now - timedelta(hours=hours) if hours else in_utc(since)
    try:
        first, last = stored.limits(now, first, in_utc(until))
    except Permanent as error:
        raise Problem(422, error.code, str(error), pointer="/query/from") from error
    return answer(await read(request, stored.account, now, since=first, until=last, verify=verify))


def in_utc(moment: datetime | None) -> datetime | None:
    """Read a moment without a zone as UTC."""
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _known(resolved: ops.Resolved | None) -> ops.Resolved:
    return found(resolved, "dead_letter_not_found", "There is no such dead letter.")
