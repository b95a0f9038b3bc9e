"""
Intake over HTTP: `POST /f/{source}` for public forms, `POST /v1/leads` for programs with a key.

Limits come before parsing, parsing before storing, the commit before the answer. A public form keeps what a person
typed and flags what is odd; a program gets a clear refusal and can send again.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse, Response

from schema import form, opt_in, payload
from schema.draft import draft, unusable
from schema.draft_words import ALIASES, normal_name
from schema.store import clock
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
from services.api.form_words import words_of
from services.api.forms import ShownProblem
from services.api.problems import Problem
from services.receive import Arrival, Submission

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from schema.journey import Source
    from services.api.keys import Keyring
    from services.receive import Receiver
    from services.sources import Sources

_AT_ONCE: Final = 32 * 1024
"""Bytes that are read in a few milliseconds; longer bodies are read beside the event loop, so that nobody waits."""
_MOST_ERRORS: Final = 100
_LONG_TEXT: Final = 25
"""Characters; shorter texts are alike by chance."""


class Intake:
    """The two intake endpoints, over one receiver."""

    def __init__(
        self,
        receiver: Receiver,
        sources: Sources,
        keyring: Keyring,
        *,
        pepper: bytes,
        body_within_s: float = BODY_WITHIN_S,
    ) -> None:
        self._receiver = receiver
        self._sources = sources
        self._keyring = keyring
        self._pepper = pepper
        self._repeats = Repeats()
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
            if "text/html" in request.headers.get("accept", "") and source.fields:
                raise ShownProblem(problem, words_of(source)) from problem
            raise
        response.headers.update(cors)
        return response

    async def _take_form(self, request: Request, name: str, source: Source) -> Response:
        limits = form.limits_of(source)
        body = await body_of(request, limits.bytes, self._body_within_s)
        content_type = request.headers.get("content-type", "")
        try:
            payload.refuse_encoding(request.headers.get("content-encoding"))
            if len(body) > payload.LIMITS.bytes:
                fields = await asyncio.to_thread(_fields, body, content_type, limits)
            else:
                fields = _fields(body, content_type, limits)
        except payload.Refused as refused:
            raise refused_as(refused) from refused
        held = "" if source.enabled else "form_disabled"
        headers = kept_headers(request) | self._noticed(request, name, source, fields.values)
        arrival = Arrival(name, "form", content_type, body, headers, held)
        submission = Submission([arrival], trace_of(request), idempotency_key(request), source.dedupe.window)
        if source.double_opt_in:
            headers[opt_in.NOTED_TOKEN] = opt_in.make_token(self._pepper, submission.receipt_ids[0])
        await store(self._receiver, submission)
        if held:
            raise Problem(410, held, "This form does not take submissions any more.")
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(_page(source, name, fields.values), 303)
        return answer(200, {"receipt": submission.receipt_ids[0]})

    def _noticed(self, request: Request, name: str, source: Source, values: Mapping[str, Any]) -> dict[str, str]:
        """Return what only this moment can tell of a form: when its page was loaded, whether its text came before."""
        noticed = {}
        if request.client:
            noticed[form.NOTED_REMOTE] = form.keyed(self._pepper, request.client.host)
        token = values.get(form.TOKEN)
        if token or source.fields:
            consent = values.get(form.CONSENT)
            shown = consent if isinstance(consent, str) else ""
            noticed[form.NOTED_TOKEN], age = form.check_token(self._pepper, name, shown, token, clock.now())
            if age is not None:
                noticed[form.NOTED_AGE] = str(max(0, round(age.total_seconds() * 1000)))
        if repeats := self._repeats.count(_message(values, source)):
            noticed[form.NOTED_REPEATS] = str(repeats)
        return noticed

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


class Repeats:
    """
    Counts how often the same long text came lately, in this process: a sign of spam, no more.

    Two generations of at most `most` texts, each of `kept_s`: what is not seen again is forgotten. Only hashes are
    kept, salted by the process.
    """

    def __init__(self, *, most: int = 20_000, kept_s: float = 1800.0) -> None:
        self._most = most
        self._kept_s = kept_s
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}
        self._since = time.monotonic()

    def count(self, text: str) -> int:
        """Return how often a text came before; 0 for short ones."""
        if len(text) < _LONG_TEXT:
            return 0
        now = time.monotonic()
        if len(self._young) >= self._most or now - self._since > self._kept_s:
            self._old, self._young, self._since = self._young, {}, now
        name = hash(text)
        before = self._young.get(name) or self._old.get(name, 0)
        self._young[name] = before + 1
        return before


def _message(values: Mapping[str, Any], source: Source) -> str:
    """Return what was written as the message. Other fields may well be the same for everybody."""
    for name, value in values.items():
        if isinstance(value, str) and (source.map.get(name) or ALIASES.get(normal_name(name))) == "message":
            return value
    return ""


def _fields(body: bytes, content_type: str, limits: payload.Limits) -> payload.Fields:
    return payload.decode(body, content_type, mode=payload.Mode.LENIENT, limits=limits)


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
    if origin in source.origins or "*" in source.origins or _is_here(origin, request):
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    if request.method == "OPTIONS":
        return {"Vary": "Origin"}
    raise Problem(403, "origin_not_allowed", "This form may not be posted from this site.", headers={"Vary": "Origin"})


def _is_here(origin: str, request: Request) -> bool:
    """Whether it is the form's own page that posts. What ends TLS before us knows the scheme, we only the host."""
    return origin.partition("://")[2] == request.headers.get("host")


def _page(source: Source, name: str, values: dict[str, Any]) -> str:
    """Return the page a browser goes to: the one the form asks for if it is allowed, else the first, else ours."""
    wanted = values.get(form.REDIRECT)
    if wanted in source.redirect:
        return str(wanted)
    return source.redirect[0] if source.redirect else f"/f/{name}/thanks"
