"""One delivery of each provider, from `tests/contract/providers.yaml`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import yaml

_BOUNDARY: Final = "----boundary7MA4YWxkTrZu0gW"
_FILE: Final = Path(__file__).parent / "contract" / "providers.yaml"
GIVEN: Final[dict[str, dict[str, Any]]] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
SHAPES: Final = tuple(GIVEN)


class Sent(NamedTuple):
    """What goes over the wire."""

    provider: str
    body: bytes
    content_type: str
    headers: dict[str, str]


def provider_of(shape: str) -> str:
    """The provider of a shape, of which it may have several."""
    return shape.partition(" ")[0]


def delivery(shape: str, **changes: Any) -> Sent:  # noqa: ANN401 - whatever JSON can say
    """A delivery as its provider writes it; `changes` replace members of the payload."""
    given = GIVEN[shape]
    body, content_type = _written(given, changes)
    return Sent(provider_of(shape), body, given.get("content_type", content_type), dict(given.get("headers", {})))


def _written(given: dict[str, Any], changes: dict[str, Any]) -> tuple[bytes, str]:
    if "text" in given:
        return given["text"].encode(), "message/rfc822"
    if "form" in given:
        return urlencode({**given["form"], **changes}).encode(), "application/x-www-form-urlencoded"
    if "parts" in given:
        return multipart({**given["parts"], **changes}), f"multipart/form-data; boundary={_BOUNDARY}"
    body = given["body"]
    told = [{**item, **changes} for item in body] if isinstance(body, list) else {**body, **changes}
    return json.dumps(told, ensure_ascii=False).encode(), "application/json"


def multipart(values: dict[str, Any]) -> bytes:
    """A form of these values; one that is no text stands as JSON."""
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        f"{value if isinstance(value, str) else json.dumps(value)}\r\n"
        for name, value in values.items()
    ]
    return ("".join(parts) + f"--{_BOUNDARY}--\r\n").encode()
