"""Health: is the process alive, can it take leads (and if not, why), and the figures for Prometheus."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from schema.store import ops
from services.api import meters, shapes
from services.api.context import answer, context, may, read

if TYPE_CHECKING:
    from sqlalchemy import Connection

router = APIRouter(tags=["health"])

_PATIENCE_S = 3.0


@router.get("/healthz", response_model=shapes.Alive)
async def alive() -> Response:
    """Say that the process runs. Needs nothing else to be up."""
    return answer({"status": "alive"})


@router.get(
    "/readyz",
    response_model=shapes.Readiness,
    responses={503: {"model": shapes.Readiness, "description": "Not ready; the checks say why."}},
)
async def ready(request: Request) -> Response:
    """Say whether this process can take leads, and if not, why."""
    checks = [*await _database(request), _intake(request)]
    is_ready = all(check["ok"] for check in checks)
    return answer({"ready": is_ready, "checks": checks}, 200 if is_ready else 503)


@router.get("/metrics", response_class=Response, dependencies=[may("ops:read")])
async def metrics(request: Request) -> Response:
    """Show figures for Prometheus. Scope `ops:read`."""
    figures = await read(request, meters.gauges, context(request).sources.enabled)
    return Response(meters.page(figures), media_type=CONTENT_TYPE_LATEST)


async def _database(request: Request) -> list[dict[str, object]]:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            revision, active = await read(request, _seen)
    except (SQLAlchemyError, OSError, TimeoutError):
        return [_check("database", "database_unreachable")]
    expected = context(request).revision
    # A database that is ahead is what a rolling upgrade looks like from the old processes.
    behind = "migrations_missing" if expected and (revision or "") < expected else None
    journey = "journey_unreadable" if context(request).sources.unread else None
    journey = journey if active else "no_active_journey"
    return [_check("database", None), _check("migrations", behind), _check("journey", journey)]


def _seen(connection: Connection) -> tuple[str | None, bool]:
    return ops.revision(connection), ops.has_active_journey(connection)


def _intake(request: Request) -> dict[str, object]:
    it = context(request)
    return _check("intake", "overloaded" if it.receiver.waiting >= it.settings.max_waiting else None)


def _check(name: str, reason: str | None) -> dict[str, object]:
    return {"name": name, "ok": reason is None, "reason": reason}
