"""
The outermost layer of the HTTP edge: headers every answer has, and no answer that says more than it should.

An error that nobody expected is logged by its class and answered as a problem; its message, which may hold what was
sent, goes nowhere. HEAD is answered as GET without the body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from fastapi import HTTPException
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from schema.journey.document import LARGEST
from schema.store.engine import is_transient
from services.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    RawHeader = tuple[bytes, bytes]

log = structlog.get_logger()

HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_LARGEST_BODY: Final = 64 * 1024
_LARGER: Final = {("PUT", "/v1/journeys"): LARGEST}
"""What takes more: a journey file is as large as the language allows."""
_ON_ALL: Final = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_ON_V1: Final = [*_ON_ALL, (b"cache-control", b"no-store")]


class CommonHeaders:
    """Adds the headers that every answer has, unless the route has set its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _completed(message["headers"], scope["path"])
            await send(message)

        await self._app(scope, receive, send_with_headers)


class Calm:
    """Turns whatever goes wrong below into a problem, and keeps bodies small."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"
        below = {**scope, "method": "GET"} if is_head else scope
        largest = _LARGER.get((scope["method"], scope["path"]), _LARGEST_BODY)
        try:
            await self._app(below, _small(receive, largest), _bodiless(send) if is_head else send)
        except Exception as error:  # noqa: BLE001 - the last place where it can be answered; answers are sent whole
            await problem_of(error).response()(scope, receive, send)


def problem_of(error: Exception) -> Problem:
    """Return what may be said of an error nobody expected, and log its class."""
    if isinstance(error, NoConnectionFree) or is_transient(error):
        state = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
        log.warning("api.database_unavailable", error=type(error).__name__, sqlstate=state)
        detail = "The database does not answer at the moment."
        return Problem(503, "database_unavailable", detail, retry_after_s=2)
    log.error("api.unexpected", error=type(error).__name__, exc_info=error)
    return Problem(500, "internal", "It is logged; try again or tell us the time it happened.")


def complete(response: Response, path: str) -> None:
    """Add the headers that every answer has, unless the response has its own."""
    response.raw_headers = _completed(response.raw_headers, path)


def _completed(headers: Sequence[RawHeader], path: str) -> list[RawHeader]:
    own = {name for name, _ in headers}
    extra = _ON_V1 if path.startswith("/v1/") else _ON_ALL
    return [*headers, *(header for header in extra if header[0] not in own)]


def _bodiless(send: Send) -> Send:
    async def send_without_body(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_without_body


def _small(receive: Receive, largest: int) -> Receive:
    size = 0

    async def receive_counting() -> Any:  # noqa: ANN401 - an ASGI message
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > largest:
            raise HTTPException(413, "The body is larger than this endpoint takes.")
        return message

    return receive_counting
