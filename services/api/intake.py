"""
Intake over HTTP: `POST /f/{source}` for public forms, `POST /v1/leads` for programs with a key.

Limits come before parsing, parsing before storing, the commit before the answer. A public form keeps what a person
typed and flags what is odd; a program gets a clear refusal and can send again.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse, Response

from schema import payload
from schema.draft import draft, unusable
from schema.failpoints import ACTIVE as FAILPOINTS
from schema.failpoints import reached as failpoint_reached
from services.api.problems import Problem
from services.receive import Arrival, KeyInUse, KeyReused, Overloaded, Submission, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from schema.journey import Source
    from services.api.keys import Keyring
    from services.api.sources import Sources
    from services.receive import Receiver

BODY_WITHIN_S: Final = 10.0
"""How long a body may take to arrive."""
_CLOSING: Final = {"Connection": "close"}
"""Goes with an answer that was given before the whole body came, so that nobody has to read the rest."""
_AT_ONCE: Final = 32 * 1024
"""Bytes that are read in a few milliseconds; longer bodies are read beside the event loop, so that nobody waits."""
_DISCARDED: Final = 1024 * 1024
"""Bytes over the limit that are still read before the connection is closed."""
_MOST_ERRORS: Final = 100
_LONGEST_KEY: Final = 255
_KEPT_HEADERS: Final = ("user-agent", "origin", "referer", "accept-language")
_LONGEST_HEADER: Final = 500
_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}\Z")
_AFTER_REPLY: Final = BackgroundTask(failpoint_reached, "api.after_reply") if FAILPOINTS else None
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+\Z")


class Intake:
    """The two intake endpoints, over one receiver."""

    def __init__(
        self,
        receiver: Receiver,
        sources: Sources,
        keyring: Keyring,
        *,
        body_within_s: float = BODY_WITHIN_S,
    ) -> None:
        self._receiver = receiver
        self._sources = sources
        self._keyring = keyring
        self._body_within_s = body_within_s

    async def form(self, request: Request) -> Response:
        """Take a public form: 200 with its receipt after commit; a browser is sent on to a page."""
        name = request.path_params["source"]
        source = self._sources.find(name)
        if source is None or source.kind != "form":
            raise Problem(404, "form_not_found", "There is no form of this name.")
        cors = _cors(request, source)
        try:
            answer = await self._take_form(request, name, source)
        except Problem as problem:
            problem.headers |= cors
            raise
        answer.headers.update(cors)
        return answer

    async def _take_form(self, request: Request, name: str, source: Source) -> Response:
        body = await _body(request, payload.LIMITS.bytes, self._body_within_s)
        content_type = request.headers.get("content-type", "")
        try:
            payload.refuse_encoding(request.headers.get("content-encoding"))
            fields = payload.decode(body, content_type, mode=payload.Mode.LENIENT)
        except payload.Refused as refused:
            raise _refusal(refused) from refused
        held = "" if source.enabled else "form_disabled"
        arrival = Arrival(name, "form", content_type, body, _kept_headers(request), held)
        submission = Submission([arrival], _trace(request), _idempotency_key(request), source.dedupe.window)
        await self._receive(submission)
        if held:
            raise Problem(410, held, "This form does not take submissions any more.")
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(_page(source, name, fields.values), 303)
        return _json(200, {"receipt": submission.receipt_ids[0]})

    async def preflight(self, request: Request) -> Response:
        """Answer a browser that asks whether a site may post this form from a script."""
        source = self._sources.find(request.path_params["source"])
        if source is None or source.kind != "form":
            raise Problem(404, "form_not_found", "There is no form of this name.")
        headers = _cors(request, source)
        if "Access-Control-Allow-Origin" in headers:
            headers |= {
                "Access-Control-Allow-Methods": "POST",
                "Access-Control-Allow-Headers": "Content-Type, Idempotency-Key",
                "Access-Control-Max-Age": "600",
            }
        return Response(status_code=204, headers=headers)

    async def leads(self, request: Request) -> Response:
        """Take one lead or an array of them from a program: 202 with a receipt each after commit."""
        await self._keyring.check(request.headers.get("authorization"), "leads:write")
        name = request.query_params.get("source", "api")
        source = self._sources.find(name)
        if source is None or source.kind != "api":
            raise Problem(404, "source_not_found", "There is no source of kind `api` with this name.")
        if not source.enabled:
            raise Problem(410, "source_disabled", "This source does not take leads any more.")
        body = await _body(request, payload.BATCH_LIMITS.bytes, self._body_within_s)
        content_type = request.headers.get("content-type", "")
        if len(body) > _AT_ONCE:
            items = await asyncio.to_thread(_checked_items, request, body, content_type, source)
        else:
            items = _checked_items(request, body, content_type, source)
        trace = _trace(request)
        headers = _kept_headers(request)
        arrivals = [Arrival(name, "api", content_type, item, headers) for item in items]
        key = _idempotency_key(request)
        if key or len(arrivals) == 1:
            submissions = [Submission(arrivals, trace, key, source.dedupe.window)]
        else:
            submissions = [Submission([arrival], trace, "", source.dedupe.window) for arrival in arrivals]
        await asyncio.gather(*(self._receive(submission) for submission in submissions))
        return _json(202, {"receipts": [receipt for s in submissions for receipt in s.receipt_ids]})

    async def _receive(self, submission: Submission) -> None:
        try:
            await self._receiver.receive(submission)
        except KeyReused as error:
            raise Problem(422, error.code, str(error)) from error
        except KeyInUse as error:
            raise Problem(409, error.code, str(error), retry_after_s=1) from error
        except Overloaded as error:
            raise Problem(503, error.code, str(error), retry_after_s=1) from error
        except Unavailable as error:
            raise Problem(503, error.code, str(error), retry_after_s=2) from error


def _checked_items(request: Request, body: bytes, content_type: str, source: Source) -> Sequence[bytes]:
    """Return each lead's own bytes, after all of them were found in order: nothing or all."""
    try:
        payload.refuse_encoding(request.headers.get("content-encoding"))
        leads = payload.decode_array(body, content_type, mode=payload.Mode.STRICT)
        items = payload.split(body, content_type)
    except payload.Refused as refused:
        raise _refusal(refused) from refused
    is_array = items is not None
    errors = [
        {"pointer": f"/{index}{issue.pointer}" if is_array else issue.pointer, "code": issue.code}
        for index, fields in enumerate(leads)
        for issue in unusable(draft(fields, source.map, region=source.region))
    ]
    if errors:
        detail = f"{len(errors)} field{'s are' if len(errors) > 1 else ' is'} not valid."
        raise Problem(422, errors[0]["code"], detail, errors=errors[:_MOST_ERRORS])
    return [body] if items is None else items


async def _body(request: Request, limit: int, within_s: float) -> bytes:
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


def _refusal(refused: payload.Refused) -> Problem:
    return Problem(refused.status, refused.code, refused.detail, pointer=refused.pointer, headers=refused.headers)


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if key and (len(key) > _LONGEST_KEY or not _VISIBLE.match(key)):
        raise Problem(400, "idempotency_key_invalid", "Idempotency-Key takes 1 to 255 visible ASCII characters.")
    return key


def _trace(request: Request) -> str:
    """Continue the caller's trace if it sent one (W3C traceparent), else begin one."""
    found = _TRACEPARENT.match(request.headers.get("traceparent", ""))
    return found[1] if found else secrets.token_hex(16)


def _kept_headers(request: Request) -> dict[str, str]:
    """Keep the few headers that say how it came, safe to store."""
    found = ((name, request.headers.get(name)) for name in _KEPT_HEADERS)
    return {name: payload.without_controls(value)[:_LONGEST_HEADER] for name, value in found if value}


def _cors(request: Request, source: Source) -> dict[str, str]:
    """Return the headers that let a site's own scripts read the answer; refuse a site that is not on the list."""
    origin = request.headers.get("origin")
    if origin is None:
        return {}
    if not source.origins:
        return {"Vary": "Origin"}
    if origin in source.origins or "*" in source.origins:
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    if request.method == "OPTIONS":
        return {"Vary": "Origin"}
    raise Problem(403, "origin_not_allowed", "This form may not be posted from this site.", headers={"Vary": "Origin"})


def _page(source: Source, name: str, values: dict[str, Any]) -> str:
    """Return the page a browser goes to: the one the form asks for if it is allowed, else the first, else ours."""
    wanted = values.get("_redirect")
    if wanted in source.redirect:
        return str(wanted)
    return source.redirect[0] if source.redirect else f"/f/{name}/thanks"


def _json(status: int, body: object) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json", background=_AFTER_REPLY)
