"""
The OpenAPI document: what FastAPI knows of its routes, and the intake routes beside it, described by hand.

Intake runs in plain routes for speed, so nothing can be read off it; the words here are its contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi.openapi.utils import get_openapi

from schema.incoming import CALLS
from schema.payload import BATCH_LIMITS, LIMITS

if TYPE_CHECKING:
    from fastapi import FastAPI

_PROBLEM: Final = {"$ref": "#/components/schemas/ProblemDocument"}
_SECURED: Final[list[dict[str, list[str]]]] = [{"API key": []}]
_ANYTHING: Final = {"type": "object", "additionalProperties": True}
_KEY_HEADER: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same body is answered with the first receipts; kept for 30 days.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_TRACE_HEADER: Final = {
    "name": "traceparent",
    "in": "header",
    "required": False,
    "description": "W3C Trace Context; the trace goes with the lead into its events.",
    "schema": {"type": "string"},
}
_SOURCE: Final = {"name": "source", "in": "path", "required": True, "schema": {"type": "string"}}


def _problem(words: str) -> dict[str, Any]:
    return {"description": words, "content": {"application/problem+json": {"schema": _PROBLEM}}}


def _json(words: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


_UUID: Final = {"type": "string", "format": "uuid"}
_FORM: Final = {
    "tags": ["intake"],
    "operationId": "form",
    "summary": "Take a public form",
    "description": "Answered after the submission is committed. The same submission again has the same receipt. "
    "What cannot be used is kept and flagged on the receipt, never refused.",
    "parameters": [_SOURCE, _KEY_HEADER, _TRACE_HEADER],
    "requestBody": {
        "required": True,
        "description": f"Up to {LIMITS.bytes} bytes. `_redirect` may name one of the pages the form allows.",
        "content": {
            kind: {"schema": _ANYTHING}
            for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
        },
    },
    "responses": {
        "200": _json("Committed.", _object(receipt=_UUID)),
        "303": {"description": "Committed; a browser that asks for HTML is sent on to a page."},
        "400": _problem("The body cannot be read."),
        "403": _problem("The form may not be posted from this site."),
        "404": _problem("There is no form of this name."),
        "409": _problem("A request with the same Idempotency-Key is being written."),
        "410": _problem("The form takes nothing any more."),
        "413": _problem("The body is too large."),
        "415": _problem("The media type is not one of those above."),
        "422": _problem("There are too many fields, or a number that nobody can hold; or the key was used before."),
        "503": _problem("Too much is waiting, or the database is away: nothing is lost by sending it again."),
    },
}
_THANKS: Final = {
    "tags": ["intake"],
    "operationId": "thanks",
    "summary": "The page after a form, where the form names no other",
    "parameters": [_SOURCE],
    "responses": {"200": {"description": "A page.", "content": {"text/html": {"schema": {"type": "string"}}}}},
}
_LEADS: Final = {
    "tags": ["intake"],
    "operationId": "post_leads",
    "summary": "Take one lead, or an array of up to 1000",
    "description": "Answered after the commit, nothing or all, one receipt each in the same order. "
    "Scope `leads:write`.",
    "security": _SECURED,
    "parameters": [
        {"name": "source", "in": "query", "required": False, "schema": {"type": "string", "default": "api"}},
        _KEY_HEADER,
        _TRACE_HEADER,
    ],
    "requestBody": {
        "required": True,
        "description": f"Up to {BATCH_LIMITS.bytes} bytes.",
        "content": {
            "application/json": {"schema": {"oneOf": [_ANYTHING, {"type": "array", "items": _ANYTHING}]}},
        },
    },
    "responses": {
        "202": _json("Committed.", _object(receipts={"type": "array", "items": _UUID})),
        "400": _problem("The body cannot be read."),
        "401": _problem("There is no valid key."),
        "403": _problem("The key does not have the scope."),
        "404": _problem("There is no such source."),
        "409": _problem("A request with the same Idempotency-Key is being written."),
        "410": _problem("The source takes nothing any more."),
        "413": _problem("The body is too large."),
        "415": _problem("The media type is not JSON."),
        "422": _problem("A field is not valid, named by its pointer; or the key was used for something else."),
        "503": _problem("Too much is waiting, or the database is away: send it again."),
    },
}
_NAMED: Final = {"type": "string", "minLength": 1}
_EVENT: Final = _object(id=_NAMED, source=_NAMED, specversion=_NAMED, type=_NAMED) | {
    "description": "A CloudEvent 1.0.",
    "additionalProperties": True,
}
_CALL: Final = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("userId", "anonymousId", "event", "name", "messageId")},
    "additionalProperties": True,
}
_TAKEN: Final = _object(receipts={"type": "array", "items": _UUID}) | {
    "description": "With `duplicate` every one of them was here before."
}


def _events(name: str, summary: str, description: str, content: dict[str, Any]) -> dict[str, Any]:
    """Describe an operation that takes events."""
    return {
        "tags": ["intake"],
        "operationId": name,
        "summary": summary,
        "description": f"{description} Scope `events:write`.",
        "security": _SECURED,
        "parameters": [{"name": "source", "in": "query", "schema": {"type": "string"}}, _TRACE_HEADER],
        "requestBody": {"required": True, "content": {kind: {"schema": schema} for kind, schema in content.items()}},
        "responses": {
            "202": _json("Committed.", _TAKEN),
            "400": _problem("It cannot be read; `errors` point to what is missing."),
            "401": _problem("There is no valid key."),
            "403": _problem("The key does not have the scope."),
            "404": _problem("There is no source of kind `events` of this name."),
            "410": _problem("The source takes nothing any more."),
            "413": _problem("The body is too large."),
            "415": _problem("The media type is not one of those above, or the body is compressed."),
            "422": _problem("There is too much or nothing in it, or a number that nobody can hold."),
            "503": _problem("Too much is waiting, or the database is away: send it again."),
        },
    }


_POST_EVENTS: Final = _events(
    "post_events",
    "Take a CloudEvent, or a batch of them",
    "Structured, batched, or binary (attributes in `ce-` headers). The same `source` and `id` again is answered with "
    "the first receipt; with another content it waits in quarantine.",
    {
        "application/cloudevents+json": _EVENT,
        "application/cloudevents-batch+json": {"type": "array", "items": _EVENT},
        "application/json": _ANYTHING,
    },
)
_SEGMENT: Final = {
    f"/v1/{call}": {
        "post": _events(
            f"segment_{call}",
            f"Take a call `{call}` in the Segment dialect",
            "The key may also be the user name of Basic authentication. The same `messageId` again is the same call.",
            {"application/json": _CALL},
        )
    }
    for call in CALLS
}
_SEGMENT_BATCH: Final = _events(
    "segment_batch",
    "Take calls in the Segment dialect, each of which names its `type`",
    "All of them or none.",
    {"application/json": _object(batch={"type": "array", "items": _CALL | {"required": ["type"]}})},
)
_HOOK: Final = {
    "tags": ["intake"],
    "operationId": "hook",
    "summary": "Take a provider's webhook",
    "description": "Answered after the delivery is committed, as its provider expects: nearly always 200 exactly. What "
    "nobody understands waits in quarantine with a mapping to suggest; it is not refused. The same delivery again has "
    "the same receipt.",
    "parameters": [_SOURCE, _TRACE_HEADER],
    "requestBody": {"required": True, "description": "As the provider writes it.", "content": {"*/*": {"schema": {}}}},
    "responses": {
        "200": _json("Committed.", _ANYTHING),
        "302": {"description": "Committed; a form that was made for Web-to-Lead is sent on to an allowed page."},
        "401": _problem("The signature is missing, old or wrong: kept in quarantine and not processed."),
        "403": _problem("The source takes nothing any more (Postmark)."),
        "404": _problem("There is no source of kind `hook` of this name."),
        "406": _problem("The source takes nothing any more (Mailgun)."),
        "410": _problem("The source takes nothing any more."),
        "413": _problem("The body is too large."),
        "503": _problem("Too much is waiting, or the database is away: nothing is lost by sending it again."),
    },
}
_HANDSHAKE: Final = {
    "tags": ["intake"],
    "operationId": "hook_handshake",
    "summary": "Answer a provider that asks whether this address is ours",
    "description": "`hub.challenge` with the verify token of `throughline sources list` (Meta), `challengeCode` "
    "(LinkedIn); without either, whether there is such a source.",
    "parameters": [
        _SOURCE,
        *(
            {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
            for name in ("hub.mode", "hub.challenge", "hub.verify_token", "challengeCode")
        ),
    ],
    "responses": {
        "200": {"description": "What the provider wants to hear."},
        "400": _problem("The challenge is none."),
        "403": _problem("The verify token is another."),
        "404": _problem("There is no source of kind `hook` of this name."),
        "503": _problem("The secret of the source is not set."),
    },
}
_INTAKE: Final = {
    "/f/{source}": {"post": _FORM},
    "/f/{source}/thanks": {"get": _THANKS},
    "/hooks/{source}": {"get": _HANDSHAKE, "post": _HOOK},
    "/v1/batch": {"post": _SEGMENT_BATCH},
    "/v1/events": {"post": _POST_EVENTS},
    "/v1/leads": {"post": _LEADS},
    **_SEGMENT,
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the whole document; made once."""
    if not app.openapi_schema:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        _add_problems(document)
        for path, operations in _INTAKE.items():
            document["paths"].setdefault(path, {}).update(operations)
        app.openapi_schema = document
    return app.openapi_schema


def _add_problems(document: dict[str, Any]) -> None:
    """Say of every described route what its errors look like: problem details, whatever FastAPI would answer."""
    for path, item in document["paths"].items():
        for operation in item.values():
            responses = operation["responses"]
            if "422" in responses:
                responses["422"] = _problem("The request is not valid; `errors` point to what is not.")
            if operation.get("security"):
                responses["401"] = _problem("There is no valid key.")
                responses["403"] = _problem("The key does not have the scope.")
            if operation.get("parameters") and any(part["in"] == "path" for part in operation["parameters"]):
                responses.setdefault("404", _problem("There is nothing of this id."))
            for status in [status for status in responses if status[0] in "45" and path != "/readyz"]:
                responses[status] = _problem(responses[status]["description"])
            responses["default"] = _problem("Anything else.")
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
