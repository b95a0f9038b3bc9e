"""Quarantine over HTTP: what is held and why, and to let it go: one receipt, or all of a kind in portions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from schema.store import clock, quarantine
from schema.store.quarantine import Which
from services.api import shapes
from services.api.context import PLAIN, Cursor, answer, checked_cursor, context, found, listed, may, read, write
from services.api.keys import Key
from services.api.problems import Problem

if TYPE_CHECKING:
    from sqlalchemy import Connection

router = APIRouter(tags=["quarantine"])

Filter = Annotated[str | None, Query(max_length=100, pattern=PLAIN)]
Held = Literal["quarantined", "spam"]
Chosen = Annotated[str | None, Field(max_length=100, pattern=PLAIN)]


class Selection(BaseModel):
    """Which of the held receipts are meant: at least one of `reason`, `source` and `status`, and they all hold."""

    model_config = ConfigDict(extra="forbid")

    reason: Chosen = None
    source: Chosen = None
    status: Held | None = None
    cursor: Annotated[str | None, Field(max_length=100, description="`next` of the answer before.")] = None
    limit: Annotated[int, Field(ge=1, le=quarantine.PORTION)] = quarantine.PORTION


@router.get(
    "/v1/quarantine",
    response_model=shapes.Quarantine | shapes.QuarantineCounts,
    dependencies=[may("ops:read")],
)
async def held(
    request: Request,
    *,
    reason: Filter = None,
    source: Filter = None,
    status: Annotated[Held | None, Query()] = None,
    group: Annotated[Literal["reason"] | None, Query(description="Count by status, reason and source.")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=quarantine.LARGEST_PAGE)] = 50,
) -> Response:
    """List what is held as spam or not understood, the newest first, or count it by reason. Scope `ops:read`."""
    if group:
        return listed(await read(request, quarantine.counts, limit))
    which = Which(reason, source, status)
    items, following = await read(request, quarantine.held, which, cursor=checked_cursor(cursor), limit=limit)
    return listed(items, following)


@router.post("/v1/receipts/{receipt_id}/release", response_model=shapes.LetGo)
async def release(request: Request, receipt_id: str, key: Key = may("ops:write")) -> Response:  # noqa: B008
    """Let a receipt run the normal way: nothing it says holds it again; twice is harmless. Scope `ops:write`."""
    return await _one(request, receipt_id, key)


@router.post("/v1/receipts/{receipt_id}/read-again", response_model=shapes.LetGo, dependencies=[may("ops:write")])
async def read_again(request: Request, receipt_id: str) -> Response:
    """Have a held receipt read by the active journey, as after a mapping was mended. Scope `ops:write`."""
    return await _one(request, receipt_id, None)


@router.post("/v1/quarantine/release", response_model=shapes.LetGoMany)
async def release_many(request: Request, wanted: Selection, key: Key = may("ops:write")) -> Response:  # noqa: B008
    """Release held receipts of a kind, the oldest first, at most `limit`; go on with `next`. Scope `ops:write`."""
    return await _many(request, wanted, key)


@router.post("/v1/quarantine/read-again", response_model=shapes.LetGoMany, dependencies=[may("ops:write")])
async def read_many_again(request: Request, wanted: Selection) -> Response:
    """Have held receipts of a kind read by the active journey, at most `limit`; `next` goes on. Scope `ops:write`."""
    return await _many(request, wanted, None)


async def _one(request: Request, receipt_id: str, releasing: Key | None) -> Response:
    changed, status = await write(request, _let_one_go, receipt_id, _actor(releasing))
    found(status, "receipt_not_found", "There is no such receipt.")
    _tell(request, [receipt_id] if changed else [])
    return answer({"id": receipt_id, "status": status, "changed": changed})


async def _many(request: Request, wanted: Selection, releasing: Key | None) -> Response:
    which = Which(wanted.reason, wanted.source, wanted.status)
    if not which.given:
        raise Problem(422, "filter_missing", "Say which: `reason`, `source` or `status`.", pointer="/body")
    if wanted.cursor is not None:
        checked_cursor(wanted.cursor)
    ids, following = await write(
        request, _let_many_go, which, _actor(releasing), cursor=wanted.cursor, limit=wanted.limit
    )
    _tell(request, ids)
    return answer({"changed": len(ids), "next": following})


def _actor(key: Key | None) -> str:
    return f"key:{key.id}" if key else ""


def _let_one_go(connection: Connection, receipt_id: str, actor: str) -> tuple[bool, str | None]:
    """Return whether it was held until now, and its status (None: there is no such receipt)."""
    changed = _let_go(connection, [receipt_id], actor)
    return bool(changed), quarantine.statuses(connection, [receipt_id]).get(receipt_id)


def _let_many_go(
    connection: Connection, which: Which, actor: str, *, cursor: str | None, limit: int
) -> tuple[list[str], str | None]:
    ids, following = quarantine.portion(connection, which, cursor=cursor, limit=limit)
    _let_go(connection, ids, actor)
    return ids, following


def _let_go(connection: Connection, ids: list[str], actor: str) -> set[str]:
    """Release them in the name of `actor`; nobody's: have them read again."""
    now = clock.now()
    return quarantine.release(connection, ids, actor, now) if actor else quarantine.read_again(connection, ids, now)


def _tell(request: Request, ids: list[str]) -> None:
    hint = context(request).hint
    if hint and ids:
        hint("identify", ids)
