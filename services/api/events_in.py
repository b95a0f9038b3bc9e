"""
Events over HTTP: `POST /v1/events` for CloudEvents, `/v1/track`, `/v1/identify` … `/v1/batch` for the Segment dialect.

Each event is a receipt of its own, kept as it came. The same event again (its source and id, or its messageId) is
answered with its first receipt; the same id for something else is kept in quarantine, since an event is not lost for
its sender's mistake. Here only the envelope is looked at; what it says is understood later.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from starlette.responses import Response

from schema import payload
from schema.incoming import CALL, CALLS, CLOUD_EVENT, CloudEvent, cloud_event
from schema.payload.jsonbody import BOM, raw_items
from services.api.arriving import BODY_WITHIN_S, answer, body_of, kept_headers, refused_as, store, trace_of
from services.api.problems import Problem
from services.receive import Arrival, KeyReused, Submission

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import timedelta

    from starlette.requests import Request

    from schema.journey import Source
    from services.api.keys import Keyring
    from services.receive import Receiver
    from services.sources import Sources

_Read = TypeVar("_Read")

SCOPE: Final = "events:write"
_LIMITS: Final = payload.Limits(bytes=1024 * 1024, fields=2000)
"""Of one event; a batch as a whole is held to the limits of an array of leads."""
_BATCH: Final = "application/cloudevents-batch"
_MOST_ATTRIBUTES: Final = 50
_AT_ONCE: Final = 32 * 1024
"""Bytes that are read in a few milliseconds."""
_REUSED: Final = "event_id_reused"


class EventsIn:
    """The endpoints for events, over one receiver."""

    def __init__(
        self, receiver: Receiver, sources: Sources, keyring: Keyring, *, body_within_s: float = BODY_WITHIN_S
    ) -> None:
        self._receiver = receiver
        self._sources = sources
        self._keyring = keyring
        self._body_within_s = body_within_s

    @property
    def ways(self) -> dict[str, Callable[[Request], Awaitable[Response]]]:
        """What takes a POST, by path."""
        calls = {f"/v1/{call}": self._calls(call) for call in (*CALLS, "batch")}
        return {"/v1/events": self.cloud_events, **calls}

    async def handshake(self, request: Request) -> Response:
        """Tell a sender of CloudEvents that it may send here (abuse protection of its webhook specification)."""
        origin = request.headers.get("webhook-request-origin")
        if not origin:
            raise Problem(400, "webhook_request_origin_missing", "WebHook-Request-Origin says who wants to send.")
        headers = {"Allow": "POST", "WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"}
        return Response(status_code=200, headers=headers)

    async def cloud_events(self, request: Request) -> Response:
        """Take one CloudEvent (binary or structured) or a batch: 202 with a receipt each after commit."""
        await self._keyring.check(request.headers.get("authorization"), SCOPE)
        name, source = self._source(request)
        content_type = request.headers.get("content-type", "")
        attributes = [key for key in request.headers if key.startswith("ce-")][:_MOST_ATTRIBUTES]
        headers = kept_headers(request, attributes)
        batch = content_type.lower().startswith(_BATCH)
        body = await body_of(request, (payload.BATCH_LIMITS if batch else _LIMITS).bytes, self._body_within_s)
        try:
            payload.refuse_encoding(request.headers.get("content-encoding"))
            if batch:
                content_type = CLOUD_EVENT
                headers = {key: value for key, value in headers.items() if not key.startswith("ce-")}
                bodies, keys = await _beside(body, lambda: _batched(body))
            else:
                event = await _beside(body, lambda: cloud_event(body, content_type, headers))
                bodies, keys = [body], [_key(event)]
        except payload.Refused as refused:
            raise refused_as(refused) from refused
        arrivals = [Arrival(name, "event", content_type, item, headers) for item in bodies]
        return await self._take(request, arrivals, keys, source.dedupe.window)

    def _calls(self, call: str) -> Callable[[Request], Awaitable[Response]]:
        async def take(request: Request) -> Response:
            return await self._take_calls(request, call)

        return take

    async def _take_calls(self, request: Request, call: str) -> Response:
        await self._keyring.check(_write_key(request), SCOPE)
        name, source = self._source(request)
        limits = payload.BATCH_LIMITS if call == "batch" else _LIMITS
        body = await body_of(request, limits.bytes, self._body_within_s)
        try:
            payload.refuse_encoding(request.headers.get("content-encoding"))
            calls = await _beside(body, lambda: _batch(body) if call == "batch" else [(call, body, _envelope(body))])
        except payload.Refused as refused:
            raise refused_as(refused) from refused
        kept = kept_headers(request)
        arrivals = [Arrival(name, "event", "application/json", item, kept | {CALL: which}) for which, item, _ in calls]
        return await self._take(request, arrivals, [_message_id(found) for _, _, found in calls], source.dedupe.window)

    def _source(self, request: Request) -> tuple[str, Source]:
        """Return the source of kind `events` that is named, or the first there is."""
        wanted = request.query_params.get("source")
        for name, source in self._sources.of_kind("events"):
            if wanted in (None, name):
                if not source.enabled:
                    raise Problem(410, "source_disabled", "This source does not take events any more.")
                return name, source
        raise Problem(404, "source_not_found", "There is no source of kind `events` with this name.")

    async def _take(
        self, request: Request, arrivals: Sequence[Arrival], keys: Sequence[str], window: timedelta
    ) -> Response:
        trace = trace_of(request)
        submissions = [
            Submission([arrival], trace, key, window, joins=True) for arrival, key in zip(arrivals, keys, strict=True)
        ]
        stored = await asyncio.gather(*(self._store(submission) for submission in submissions))
        told: dict[str, Any] = {"receipts": [submission.receipt_ids[0] for submission in stored]}
        if all(submission.replayed for submission in stored):
            told["duplicate"] = True
        return answer(202, told)

    async def _store(self, submission: Submission) -> Submission:
        """Store an event; one whose id was used for something else waits in quarantine."""
        try:
            await store(self._receiver, submission)
        except Problem as problem:
            if not isinstance(problem.__cause__, KeyReused):
                raise
            first = submission.arrivals[0]
            held = Arrival(first.source, first.channel, first.content_type, first.body, first.headers, _REUSED)
            submission = Submission([held], submission.trace, "", submission.window, joins=True)
            await store(self._receiver, submission)
        return submission


async def _beside(body: bytes, read: Callable[[], _Read]) -> _Read:
    """Read a long body beside the event loop, so that nobody waits for it."""
    return await asyncio.to_thread(read) if len(body) > _AT_ONCE else read()


def _key(event: CloudEvent) -> str:
    return f"{event.source} {event.id}"


def _batched(body: bytes) -> tuple[list[bytes], list[str]]:
    """Return each event of a batch, its bytes and its key; a refusal points at the event."""
    payload.decode_array(body, "application/json", mode=payload.Mode.LENIENT, each=_LIMITS)
    items = payload.split(body, "application/json", each=_LIMITS)
    if items is None:
        raise payload.Refused(400, "array_expected", "A batch is a JSON array of events.")
    keys = []
    for at, item in enumerate(items):
        try:
            keys.append(_key(cloud_event(item, CLOUD_EVENT, {})))
        except payload.Refused as refused:
            pointer = f"/{at}{refused.pointer or ''}"
            raise payload.Refused(refused.status, refused.code, refused.detail, pointer) from None
    return items, keys


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]


def _batch(body: bytes) -> list[tuple[str, bytes, dict[str, Any]]]:
    """Return each call of a batch: which one, its bytes, its fields."""
    _envelope(body)
    try:
        items = raw_items(body.removeprefix(BOM), lambda text: msgspec.json.decode(text, type=_Batch).batch)
    except msgspec.DecodeError:
        raise payload.Refused(400, "array_expected", "A batch holds its calls in `batch`.", "/batch") from None
    if len(items) > _LIMITS.items:
        raise payload.refusal("too_many_items", "/batch")
    calls = []
    for at, item in enumerate(items):
        found = _envelope(item)
        if found.get("type") not in CALLS:
            raise payload.Refused(400, "call_unknown", "`type` says which call it is.", f"/batch/{at}/type")
        calls.append((str(found["type"]), item, found))
    if not calls:
        raise payload.refusal("array_empty", "/batch")
    return calls


def _envelope(body: bytes) -> dict[str, Any]:
    limits = payload.BATCH_LIMITS
    return payload.decode(
        body, "application/json", mode=payload.Mode.LENIENT, limits=msgspec.structs.replace(limits, fields=1_000_000)
    ).values


def _message_id(found: dict[str, Any]) -> str:
    """Return what names the call; without it its content does."""
    message_id = found.get("messageId")
    return message_id[:255] if isinstance(message_id, str) else ""


def _write_key(request: Request) -> str | None:
    """Return the key as `Bearer`: libraries of this dialect send it as the user name of Basic authentication."""
    given = request.headers.get("authorization", "")
    scheme, _, encoded = given.partition(" ")
    if scheme.lower() != "basic":
        return given or None
    try:
        key = base64.b64decode(encoded, validate=True).decode("ascii").partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return None
    return f"Bearer {key}"
