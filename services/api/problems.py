"""
Errors at the edge: RFC 9457 problem details with a stable `code`.

They never echo what was sent, nor a path, SQL or a stack: only a code, a pointer to the field and words of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "The request cannot be read",
    401: "Authentication is needed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "The request took too long",
    409: "Conflict",
    410: "Gone",
    413: "The body is too large",
    415: "The media type is not supported",
    422: "The request is not valid",
    429: "Too many requests",
    500: "Something went wrong here",
    503: "Not available at the moment",
}


class Problem(Exception):
    """An answer that says what is wrong. `retry_after_s` adds the header; `errors` name fields by JSON pointer."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        pointer: str | None = None,
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, str]] | None = None,
        **members: object,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(retry_after_s)
        self.errors = list(errors or ([{"pointer": pointer, "code": code}] if pointer is not None else []))
        self.members = members

    def document(self) -> dict[str, Any]:
        """Return the problem as it is written."""
        document: dict[str, Any] = {
            "type": f"urn:throughline:problem:{self.code}",
            "title": TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.errors:
            document["errors"] = self.errors
        return document | self.members

    def response(self) -> Response:
        """Return the problem as an HTTP answer."""
        return Response(msgspec.json.encode(self.document()), self.status, self.headers, MEDIA_TYPE)
