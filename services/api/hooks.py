"""
Providers' webhooks: `/hooks/{source}`.

A delivery is committed before it is answered, whatever it is: what nobody understands waits in quarantine, it is never
refused. Where the source names a secret, whose delivery it is is shown first, over the raw bytes: one that does not
show it is answered 401 and kept in quarantine, since a mistyped or rotated secret must not cost a lead; nothing of it
is processed until somebody releases it. The same delivery again has the same receipt, whatever its counters say.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from schema import payload
from schema.mail.address import lead_of, mailbox_of
from schema.mail.read import LEAD
from schema.providers import KEPT_HEADERS, provider_of
from schema.providers.adapter import LIMITS, MAIL_LIMITS, Delivery, Provider, Values, fields_of, media, text_at
from schema.providers.signatures import challenge, proven, secrets_of, verify_token
from schema.store import clock
from schema.understood import Raw
from services.api.arriving import BODY_WITHIN_S, answer, body_of, kept_headers, store, trace_of
from services.api.problems import Problem
from services.receive import Arrival, Submission

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from schema.journey import Source
    from services.receive import Receiver
    from services.sources import Sources

PATH: Final = "/hooks/"
_AT_ONCE: Final = 32 * 1024
"""Bytes that are read in a few milliseconds; longer bodies are read beside the event loop."""
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,200}\Z", re.ASCII)
"""What may be echoed."""
_MOST_HEADERS: Final = 50
_JSON: Final = "application/json"
_UNPROVEN: Final = "signature_invalid"
_MOST_UNPROVEN: Final = 256 * 1024
"""Bytes that are kept of somebody who did not show who they are: any lead, but nobody's heap of attachments."""


class _Part(NamedTuple):
    """One delivery of those that a request holds: its bytes, how to read them, and what makes it the same again."""

    body: bytes
    content_type: str
    key: str


class Hooks:
    """The endpoints for webhooks, over one receiver. `base_url` is how senders write our address, if we know."""

    def __init__(
        self,
        receiver: Receiver,
        sources: Sources,
        pepper: bytes,
        *,
        base_url: str = "",
        body_within_s: float = BODY_WITHIN_S,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._receiver = receiver
        self._sources = sources
        self._pepper = pepper
        self._base_url = base_url.rstrip("/")
        self._body_within_s = body_within_s
        self._environment = environment

    async def take(self, request: Request) -> Response:
        """Take what a provider sends: its expected answer after commit."""
        name, source = self._source(request)
        most = MAIL_LIMITS.bytes if source.provider is None else _limits(source).bytes
        try:
            body = await body_of(request, most, self._body_within_s)
        except Problem as problem:
            raise _as_expected(problem, source.provider or "") from problem
        return await self._taken(request, name, source, body, request.headers.get("content-type", ""))

    async def look(self, request: Request) -> Response:
        """Answer a provider that asks whether this address is ours before it sends anything."""
        name, source = self._source(request)
        asked = request.query_params
        if request.method == "OPTIONS":
            headers = {"Allow": "POST", "WebHook-Allowed-Rate": "*"}
            if origin := request.headers.get("webhook-request-origin"):
                headers["WebHook-Allowed-Origin"] = origin
            return Response(status_code=200, headers=headers)
        if "hub.challenge" in asked:
            return self._subscribed(source, asked["hub.challenge"], asked.get("hub.verify_token", ""))
        if "challengeCode" in asked:
            return self._challenged(source, asked["challengeCode"])
        if source.provider == "contact_form_7" and request.url.query:
            query = request.url.query.encode("utf-8", "replace")
            return await self._taken(request, name, source, query, "application/x-www-form-urlencoded")
        return answer(200, {"source": name, "takes": "POST"})

    def _source(self, request: Request) -> tuple[str, Source]:
        name = request.path_params["source"]
        source = self._sources.find(name)
        if source is None or source.kind != "hook":
            raise Problem(404, "hook_not_found", "There is no source of kind `hook` with this name.")
        return name, source

    async def _taken(self, request: Request, name: str, source: Source, body: bytes, content_type: str) -> Response:
        delivery = Delivery(self._url(request), request.headers, content_type, body)
        also = [*KEPT_HEADERS, *[key for key in request.headers if key.startswith("ce-")][:_MOST_HEADERS]]
        headers = kept_headers(request, also)
        if len(body) > _AT_ONCE:
            opened = await asyncio.to_thread(self._opened, source, delivery, headers)
        else:
            opened = self._opened(source, delivery, headers)
        provider, parts, held, page = opened
        if held == _UNPROVEN and len(body) > _MOST_UNPROVEN:
            raise _unproven()
        trace = trace_of(request)
        submissions = [_submission(name, part, headers, held, trace, source) for part in parts]
        await asyncio.gather(*(store(self._receiver, submission) for submission in submissions))
        if held == _UNPROVEN:
            raise _unproven()
        if held == "source_disabled":
            gone = Problem(410, held, "This source does not take deliveries any more.")
            raise _as_expected(gone, provider.name)
        return _answered(source, provider, submissions, page)

    def _opened(
        self, source: Source, delivery: Delivery, headers: dict[str, str]
    ) -> tuple[Provider, Sequence[_Part], str, str]:
        """Say whose delivery it is, what it holds, why it is not to be processed if so, and the page it asks for."""
        values, items = _read(delivery, headers)
        first = values if values is not None else items[0][1] if items else None
        provider = provider_of(source, first, delivery.headers, delivery.content_type)
        held = self._held(source, provider, delivery)
        if provider.recipients and values is not None and (lead := self._answered_lead(provider.recipients(values))):
            headers[LEAD] = lead
        parts: Sequence[_Part]
        if items:
            parts = [_Part(body, _JSON, _key(provider, item, headers)) for body, item in items]
        else:
            parts = _parts(provider, delivery, values, headers)
        if provider.hidden:
            parts = [part._replace(body=_without(part.body, provider.hidden)) for part in parts]
        return provider, parts, held, text_at(values, "retURL")

    def _answered_lead(self, recipients: Sequence[str]) -> str | None:
        """Return the lead that a signed plus-address names, as with any other mail."""
        tokens = [mailbox_of(address)[1] for address in recipients]
        return next(filter(None, (lead_of(self._pepper, token) for token in tokens)), None)

    def _held(self, source: Source, provider: Provider, delivery: Delivery) -> str:
        if not source.enabled:
            return "source_disabled"
        if source.secret is None:
            return ""
        secrets = self._secrets(source)
        if not secrets:
            return "secret_not_set"
        return "" if proven(provider.proof, delivery, secrets, clock.now()) else _UNPROVEN

    def _secrets(self, source: Source) -> list[str]:
        return secrets_of(self._environment.get(source.secret or "", ""))

    def _subscribed(self, source: Source, code: str, given: str) -> Response:
        expected = [verify_token(secret) for secret in self._secrets(source)]
        if not any(hmac.compare_digest(given.encode(), token.encode()) for token in expected):
            raise Problem(403, "verify_token_wrong", "`throughline sources list` shows the verify token.")
        if not _CODE.match(code):
            raise Problem(400, "challenge_invalid", "This is no challenge.")
        return PlainTextResponse(code)

    def _challenged(self, source: Source, code: str) -> Response:
        secrets = self._secrets(source)
        if not secrets:
            detail = "The secret of this source is not set, so the challenge cannot be answered."
            raise Problem(503, "secret_not_set", detail, retry_after_s=60)
        if not _CODE.match(code):
            raise Problem(400, "challenge_invalid", "This is no challenge.")
        return answer(200, {"challengeCode": code, "challengeResponse": challenge(secrets[0], code)})

    def _url(self, request: Request) -> str:
        """Return the address as the sender wrote it, which some sign."""
        query = f"?{request.url.query}" if request.url.query else ""
        if self._base_url:
            return f"{self._base_url}{request.url.path}{query}"
        scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
        return f"{scheme}://{request.headers.get('host', '')}{request.url.path}{query}"


def _unproven() -> Problem:
    return Problem(401, _UNPROVEN, "The signature is missing, old, or not made with this source's secret.")


def _limits(source: Source) -> payload.Limits:
    return provider_of(source, None, {}, "").limits


def _read(delivery: Delivery, headers: Mapping[str, str]) -> tuple[Values | None, list[tuple[bytes, Values]]]:
    """Read a payload, or the items of an array; neither of them where it cannot be read, which is found out later."""
    kind = media(delivery.content_type, delivery.body)
    raw = Raw("hook", delivery.content_type, delivery.body, dict(headers), clock.now())
    try:
        if delivery.body.lstrip()[:1] == b"[":
            payload.refuse_encoding(headers.get("content-encoding"))
            read = payload.decode_array(delivery.body, kind, mode=payload.Mode.LENIENT, each=LIMITS)
            if bodies := payload.split(delivery.body, kind, each=LIMITS):
                return None, [(body, fields.values) for body, fields in zip(bodies, read, strict=True)]
        return fields_of(raw, MAIL_LIMITS).values, []
    except payload.Refused:
        return None, []


def _parts(
    provider: Provider, delivery: Delivery, values: Values | None, headers: Mapping[str, str]
) -> Sequence[_Part]:
    if values is not None and provider.split:
        told = provider.split(values)
        if told and told != [values]:
            return [_Part(msgspec.json.encode(each), _JSON, _key(provider, each, headers)) for each in told]
    content_type = media(delivery.content_type, delivery.body)
    return [_Part(delivery.body, content_type, _key(provider, values or {}, headers))]


def _key(provider: Provider, values: Values, headers: Mapping[str, str]) -> str:
    key = provider.key_of(values, headers)
    return f"{provider.name} {key}" if key else ""


def _without(body: bytes, names: Sequence[str]) -> bytes:
    """Take the value of these fields out of the bytes that are kept: it is the secret itself."""
    for name in names:
        field = re.escape(name.encode())
        body = re.sub(rb'("%b"\s*:\s*")(?:[^"\\]|\\.)*"' % field, rb'\1"', body)
        body = re.sub(rb"((?:^|&)%b=)[^&]*" % field, rb"\1", body)
    return body


def _submission(name: str, part: _Part, headers: dict[str, str], held: str, trace: str, source: Source) -> Submission:
    arrival = Arrival(name, "hook", part.content_type, part.body, headers, held)
    key = "" if held else part.key  # or what somebody made up would stand in the place of what comes with that id
    submission = Submission([arrival], trace, key, source.dedupe.window, joins=True)
    if key:  # a delivery that is tried again counts its attempts: its key alone says that it is the same
        submission.fingerprint = submission.digest
    return submission


def _answered(source: Source, provider: Provider, submissions: Sequence[Submission], wanted: str) -> Response:
    """Answer as the provider expects: 200 exactly for nearly all; `wanted` is the page a form asks for."""
    receipts = [submission.receipt_ids[0] for submission in submissions]
    told: dict[str, object] = {"receipt": receipts[0]} if len(receipts) == 1 else {"receipts": receipts}
    if all(submission.replayed for submission in submissions):
        told["duplicate"] = True
    if provider.name == "hubspot_forms":
        told |= {"redirectUri": source.redirect[0]} if source.redirect else {"inlineMessage": "Thank you."}
    if provider.name == "salesforce_web_to_lead" and source.redirect:
        return RedirectResponse(wanted if wanted in source.redirect else source.redirect[0], 302)
    return answer(200, told)


def _as_expected(problem: Problem, provider: str) -> Problem:
    """Say "never again" in the words of those mail services that would otherwise go on trying."""
    if problem.status in {410, 413}:
        status = {"mailgun": 406, "postmark": 403}.get(provider, problem.status)
        return Problem(status, problem.code, problem.detail, headers=problem.headers)
    return problem
