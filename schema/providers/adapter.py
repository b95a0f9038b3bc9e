"""
What an adapter is: one provider's webhook as data, with a few functions where data cannot say it.

    proof      how a delivery shows that it comes from there (`signatures`)
    split      the deliveries that one request holds, where it may hold several
    key        what makes it the same delivery when it is sent again
    answers    where in the payload the person is: values by name, which the mapping reads
    type, at   the paths of what happened and of when; `kinds` and `kind` are our words for it
    judge      a last look at what was understood (a test of the sender, one half of a change)

A path is dotted, as in a source's `map`. Everything is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from schema import payload
from schema.journey import Source
from schema.payload import JSON, Fields
from schema.understood import Raw, Understood

Values = dict[str, Any]
Headers = Mapping[str, str]


class Delivery(msgspec.Struct, frozen=True):
    """One request as it came: `url` as the sender wrote it, names of headers in lower case."""

    url: str
    headers: Headers
    content_type: str
    body: bytes


Proof = Callable[[Delivery, str, datetime], bool]
"""Whether a delivery was made with this secret, by this provider's rules, at about this time."""

LIMITS: Final = payload.Limits(bytes=8 * 1024 * 1024, fields=5000, text=256 * 1024)
MAIL_LIMITS: Final = payload.Limits(bytes=25 * 1024 * 1024, fields=5000, text=1024 * 1024)
"""For what carries a message with its attachments."""


def _never(_: Values, __: Headers) -> bool:
    return False


def _as_it_is(values: Values) -> Values:
    return values


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's webhook; see the module. `told` are the paths that the touchpoint keeps as its properties."""

    name: str
    proof: Proof
    looks_like: Callable[[Values, Headers], bool] = _never
    split: Callable[[Values], list[Values]] | None = None
    key: Callable[[Values, Headers], str] | tuple[str, ...] = ()
    answers: Callable[[Values], Values] = _as_it_is
    map: Mapping[str, str] = {}
    type: str = ""
    at: str = ""
    kind: str = "form"
    kinds: Mapping[str, str] = {}
    told: tuple[str, ...] = ()
    judge: Callable[[Values, Understood], None] | None = None
    read: Callable[[Raw, Source], Understood] | None = None
    """Where another reader knows this shape: it takes the whole arrival."""
    recipients: Callable[[Values], list[str]] | None = None
    """Of a mail: the addresses it was delivered to, one of which may name the lead it answers."""
    hidden: tuple[str, ...] = ()
    """Fields of the payload that hold the secret itself: they are not kept."""
    fetch: Callable[[Values], str] | None = None
    """For a provider that only sends ids: that of what is to be fetched; empty where there is nothing to fetch."""
    limits: payload.Limits = LIMITS

    def key_of(self, values: Values, headers: Headers) -> str:
        """What names this delivery for ever; empty where only its content does."""
        if callable(self.key):
            return self.key(values, headers)
        parts = [as_text(at(values, path)) for path in self.key]
        return " ".join(part or "-" for part in parts) if any(parts) else ""


def at(values: JSON, path: str) -> Any:  # noqa: ANN401 - whatever stands there
    """The value at a dotted path, None where there is none. A key that is written like the rest of it comes first."""
    if not path:
        return values
    if not isinstance(values, dict):
        return None
    if path in values:
        return values[path]
    head, dot, rest = path.partition(".")
    return at(values.get(head), rest) if dot else None


def as_text(value: JSON) -> str:
    """An id as text: some send it as a number one day and as a string the next."""
    if isinstance(value, bool) or value is None or isinstance(value, dict | list):
        return ""
    return str(value)


def text_at(values: JSON, path: str) -> str:
    """The text or number at a path, as text; empty where there is none."""
    return as_text(at(values, path))


def members(value: JSON) -> Values:
    """An object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def objects(value: JSON) -> list[Values]:
    """The objects of a list; none for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


_NAMES: Final = ("name", "Name", "key", "column_id", "column_name", "id", "ref", "label", "title", "question")
_VALUES: Final = ("value", "Value", "values", "string_value", "answer")


def by_name(items: JSON) -> Values | None:
    """
    A list of named values (`[{"name": "email", "value": …}, …]`) as an object; None for any other list.

    A list of values of which there is one is that one, an empty one is nothing.
    """
    found: Values = {}
    for item in objects(items):
        name = next((text for key in _NAMES if (text := as_text(item.get(key)))), "")
        held = next((key for key in _VALUES if key in item), None)
        if not name or held is None:
            return None
        put(found, name, single(item[held]))
    return found if found and isinstance(items, list) and len(objects(items)) == len(items) else None


def put(values: Values, name: str, value: JSON) -> None:
    """Keep a value under its name; a name that is taken gets a number."""
    number = 2
    free = name
    while free in values:
        free, number = f"{name} {number}", number + 1
    values[free] = value


def single(value: JSON) -> JSON:
    """The only value of a list, None for an empty one; anything else as it is."""
    if isinstance(value, list) and len(value) <= 1:
        return value[0] if value else None
    return value


def readable(values: Values) -> Values:
    """The same values with every list of named values as an object, so that a mapping can name what is in it."""
    return {name: _readable(value) for name, value in values.items()}


def _readable(value: JSON) -> JSON:
    if isinstance(value, dict):
        return readable(value)
    if isinstance(value, list) and (named := by_name(value)) is not None:
        return readable(named)
    return value


def nested(values: Values) -> Values:
    """Names in brackets (`fields[email][value]`) as objects; a name that does not fit among the others stays."""
    tree: Values = {}
    for name, value in values.items():
        head, *rest = name.replace("]", "").split("[") if name.endswith("]") else [name]
        place = tree
        for part, following in zip([head, *rest][:-1], rest, strict=True):
            inner = place.setdefault(part, {})
            if not following or not isinstance(inner, dict):
                break
            place = inner
        else:
            last = [head, *rest][-1]
            if last not in place:
                place[last] = value
                continue
        tree[name] = value
    return tree


def decoded(values: Values, *names: str) -> Values:
    """The same values, with the JSON that stands as text under these names read; what is none stays text."""
    return {name: _json(value) if name in names else value for name, value in values.items()}


def _json(value: JSON) -> JSON:
    if not isinstance(value, str):
        return value
    try:
        return payload.decode(
            b'{"":' + value.encode("utf-8", "replace") + b"}",
            "application/json",
            mode=payload.Mode.LENIENT,
            limits=LIMITS,
        ).values.get("", value)
    except payload.Refused:
        return value


def fields_of(raw: Raw, limits: payload.Limits = LIMITS) -> Fields:
    """
    The payload of a delivery.

    :raises payload.Refused: as `payload.decode`
    """
    payload.refuse_encoding(raw.headers.get("content-encoding"))
    return payload.decode(raw.body, media(raw.content_type, raw.body), mode=payload.Mode.LENIENT, limits=limits)


def media(content_type: str, body: bytes) -> str:
    """The type of a body; of one that is not named or misnamed, what it looks like."""
    named = content_type.partition(";")[0].strip().lower()
    if named not in {"", "text/plain", "application/octet-stream", "text/json", "application/javascript"}:
        return content_type
    start = body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start in {b"{", b"["}:
        return "application/json"
    return "application/x-www-form-urlencoded" if b"=" in body[:2000] else content_type
