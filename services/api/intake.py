"""
Intake over HTTP: `POST /f/{source}` for public forms, `POST /v1/leads` for programs with a key.

Limits come before parsing, parsing before storing, the commit before the answer. A public form keeps what a person
typed and flags what is odd; a program gets a clear refusal and can send again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse, Response

from schema import payload
from schema.draft import draft, unusable
from services.api.arriving import (
    BODY_WITHIN_S,
    answer,
    body_of,
    idempotency_key,
    kept_headers,
    refused_as,
    store,
    trace_of,
)
from services.api.problems import Problem
from services.receive import Arrival, Submission

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from schema.journey import Source
    from services.api.keys import Keyring
    from services.receive import Receiver
    from services.sources import Sources

_AT_ONCE: Final = 32 * 1024
"""Bytes that are read in a few milliseconds; longer bodies are read beside the event loop, so that nobody waits."""
_MOST_ERRORS: Final = 100


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
            response = await self._take_form(request, name, source)
        except Problem as problem:
            problem.headers |= cors
            raise
        response.headers.update(cors)
        return response

    async def _take_form(self, request: Request, name: str, source: Source) -> Response:
        body = await body_of(request, payload.LIMITS.bytes, self._body_within_s)
        content_type = request.headers.get("content-type", "")
        try:
            payload.refuse_encoding(request.headers.get("content-encoding"))
            fields = payload.decode(body, content_type, mode=payload.Mode.LENIENT)
        except payload.Refused as refused:
            raise refused_as(refused) from refused
        held = "" if source.enabled else "form_disabled"
        arrival = Arrival(name, "form", content_type, body, kept_headers(request), held)
        submission = Submission([arrival], trace_of(request), idempotency_key(request), source.dedupe.window)
        await store(self._receiver, submission)
        if held:
            raise Problem(410, held, "This form does not take submissions any more.")
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(_page(source, name, fields.values), 303)
        return answer(200, {"receipt": submission.receipt_ids[0]})

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
        body = await body_of(request, payload.BATCH_LIMITS.bytes, self._body_within_s)
        content_type = request.headers.get("content-type", "")
        if len(body) > _AT_ONCE:
            items = await asyncio.to_thread(_checked_items, request, body, content_type, source)
        else:
            items = _checked_items(request, body, content_type, source)
        trace = trace_of(request)
        headers = kept_headers(request)
        arrivals = [Arrival(name, "api", content_type, item, headers) for item in items]
        key = idempotency_key(request)
        if key or len(arrivals) == 1:
            submissions = [Submission(arrivals, trace, key, source.dedupe.window)]
        else:
            submissions = [Submission([arrival], trace, "", source.dedupe.window) for arrival in arrivals]
        await asyncio.gather(*(store(self._receiver, submission) for submission in submissions))
        return answer(202, {"receipts": [receipt for s in submissions for receipt in s.receipt_ids]})


def _checked_items(request: Request, body: bytes, content_type: str, source: Source) -> Sequence[bytes]:
    """Return each lead's own bytes, after all of them were found in order: nothing or all."""
    try:
        payload.refuse_encoding(request.headers.get("content-encoding"))
        leads = payload.decode_array(body, content_type, mode=payload.Mode.STRICT)
        items = payload.split(body, content_type)
    except payload.Refused as refused:
        raise refused_as(refused) from refused
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
