"""
What every way in over HTTP does alike.

Reads a body within limits, says where it came from, has it committed, and answers.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from schema import payload
from schema.canary import HEADER
from schema.failpoints import ACTIVE as FAILPOINTS
from schema.failpoints import reached as failpoint_reached
from services.api.problems import Problem
from services.receive import KeyInUse, KeyReused, Overloaded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request

    from services.receive import Receiver, Submission

BODY_WITHIN_S: Final = 10.0
"""How long a body may take to arrive."""
_CLOSING: Final = {"Connection": "close"}
"""Goes with an answer that was given before the whole body came, so that nobody has to read the rest."""
_DISCARDED: Final = 1024 * 1024
"""Bytes over the limit that are still read before the connection is closed."""
_LONGEST_KEY: Final = 255
_KEPT_HEADERS: Final = ("user-agent", "origin", "referer", "accept-language", HEADER)
_LONGEST_HEADER: Final = 500
_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}\Z")
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+\Z")
_AFTER_REPLY: Final = BackgroundTask(failpoint_reached, "api.after_reply") if FAILPOINTS else None


async def body_of(request: Request, limit: int, within_s: float) -> bytes:
    """
    Read the body, refusing it as soon as it is known to be too large or too slow.

    What is a little too large is read to its end and thrown away: many senders hear no answer before that.
    """
    declared = request.headers.get("content-length", "")
    most = limit if "expect" in request.headers else limit + _DISCARDED
    if declared.isdigit() and int(declared) > most:
        raise _too_large()
    body = bytearray()
    size = 0
    try:
        async with asyncio.timeout(within_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise _too_large()
                body += chunk[: max(limit + 1 - len(body), 0)]
    except TimeoutError as error:
        raise Problem(408, "body_too_slow", "The body did not arrive in time.", headers=_CLOSING) from error
    except ClientDisconnect as error:
        raise Problem(400, "body_incomplete", "The connection ended before the body did.") from error
    if size > limit:
        raise _too_large()
    return bytes(body)


def _too_large() -> Problem:
    return Problem(413, "body_too_large", "The body is larger than this endpoint takes.", headers=_CLOSING)


def refused_as(refused: payload.Refused) -> Problem:
    """Return the answer to a payload that is not taken."""
    return Problem(refused.status, refused.code, refused.detail, pointer=refused.pointer, headers=refused.headers)


def idempotency_key(request: Request) -> str:
    """Return the sender's own key of this submission; empty when there is none."""
    key = request.headers.get("idempotency-key", "")
    if key and (len(key) > _LONGEST_KEY or not _VISIBLE.match(key)):
        raise Problem(400, "idempotency_key_invalid", "Idempotency-Key takes 1 to 255 visible ASCII characters.")
    return key


def trace_of(request: Request) -> str:
    """Continue the caller's trace if it sent one (W3C traceparent), else begin one."""
    found = _TRACEPARENT.match(request.headers.get("traceparent", ""))
    return found[1] if found else secrets.token_hex(16)


def kept_headers(request: Request, also: Collection[str] = ()) -> dict[str, str]:
    """Keep the few headers that say how it came, and `also` these (lower case), safe to store."""
    found = ((name, request.headers.get(name)) for name in (*_KEPT_HEADERS, *also))
    return {name: payload.without_controls(value)[:_LONGEST_HEADER] for name, value in found if value}


async def store(receiver: Receiver, submission: Submission) -> None:
    """Have a submission committed, or raise the `Problem` that says why not."""
    try:
        await receiver.receive(submission)
    except KeyReused as error:
        raise Problem(422, error.code, str(error)) from error
    except KeyInUse as error:
        raise Problem(409, error.code, str(error), retry_after_s=1) from error
    except Overloaded as error:
        raise Problem(503, error.code, str(error), retry_after_s=1) from error
    except Unavailable as error:
        raise Problem(503, error.code, str(error), retry_after_s=2) from error


def answer(status: int, body: object) -> Response:
    """Return the answer to what was committed."""
    return Response(msgspec.json.encode(body), status, media_type="application/json", background=_AFTER_REPLY)
