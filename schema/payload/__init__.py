"""
Hostile bytes become fields: `decode` for one payload, `decode_array` for one or many (`split` gives their bytes).

Pure and bounded: no I/O, time and memory linear in the bytes, nothing else raised than `Refused`, the same bytes
always give the same fields. So the API can ask before it stores, and the worker again when it understands.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from schema.payload.charset import codec
from schema.payload.clean import members, refuse_line_breaks, storable, tidy, without_controls
from schema.payload.jsonbody import BOM, raw_items, read_json
from schema.payload.model import (
    ACCEPT_POST,
    BATCH_LIMITS,
    JSON,
    LIMITS,
    REFUSALS,
    Fields,
    Issue,
    Judge,
    Limits,
    Mode,
    Refused,
    refusal,
)
from schema.payload.multipart import boundary_of, read_multipart
from schema.payload.urlencoded import read_urlencoded

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "ACCEPT_POST",
    "BATCH_LIMITS",
    "JSON",
    "LIMITS",
    "REFUSALS",
    "Fields",
    "Issue",
    "Limits",
    "Mode",
    "Refused",
    "decode",
    "decode_array",
    "refusal",
    "refuse_encoding",
    "split",
    "storable",
    "without_controls",
]

_CHARSET: Final = re.compile(r';\s*charset=\s*("[^"]*"|[^\s;]*)', re.IGNORECASE)
_LONGEST_CONTENT_TYPE: Final = 1000
_RAW_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])


class _Format(NamedTuple):
    kind: str
    charset: str
    boundary: bytes


def decode(
    body: bytes,
    content_type: str | None,
    *,
    mode: Mode,
    limits: Limits = LIMITS,
    multiple: Collection[str] = (),
) -> Fields:
    """
    The fields of one payload: a JSON object, a urlencoded form or a multipart form.

    A name that stands several times becomes a list; it is an issue (strict: a refusal) unless the name is in
    `multiple` or ends in `[]`.

    :raises Refused: with one of the codes in `REFUSALS`
    """
    form = _checked(body, content_type, limits)
    judge = Judge(mode, limits)
    if form.kind != "json":
        return _form(body, form, judge, multiple)
    value, count = read_json(body, form.charset, judge)
    return _fields(value, count, judge)


def decode_array(
    body: bytes,
    content_type: str | None,
    *,
    mode: Mode,
    limits: Limits = BATCH_LIMITS,
    each: Limits = LIMITS,
    multiple: Collection[str] = (),
) -> list[Fields]:
    """
    The fields of each payload in a body: a JSON array of 1 to `limits.items` objects, or one payload of any kind.

    Nothing or all: one item that is refused refuses the body, and the pointer names it (`/3/email`). Whatever is
    taken here, `decode` takes too, alone: one payload and each item (see `split`) is held to `each`.

    :raises Refused: as `decode`, and `array_empty`, `too_many_items`
    """
    form = _checked(body, content_type, limits)
    if not _is_array(body, form):
        return [decode(body, content_type, mode=mode, limits=each, multiple=multiple)]
    judge = Judge(mode, limits)
    value, _ = read_json(body, form.charset, judge)
    if not isinstance(value, list) or not value:
        raise refusal("array_empty")
    if len(value) > limits.items:
        raise refusal("too_many_items")
    return [_item(item, Judge(mode, each, prefix=f"/{index}"), judge) for index, item in enumerate(value)]


def split(body: bytes, content_type: str | None, *, each: Limits = LIMITS) -> list[bytes] | None:
    """
    The bytes of each item of a JSON array that `decode_array` has taken; None for one payload of any kind.

    :raises Refused: `body_too_large` for an item that `decode` would not read alone, with its pointer
    """
    if not _is_array(body, _checked(body, content_type, BATCH_LIMITS)):
        return None
    items = raw_items(body.removeprefix(BOM), _RAW_ITEMS.decode)
    for index, item in enumerate(items):
        if len(item) > each.bytes:
            raise refusal("body_too_large", f"/{index}")
    return items


def refuse_encoding(content_encoding: str | None) -> None:
    """
    Refuse a compressed body: what it unpacks to is not bounded by what was received.

    :raises Refused: `unsupported_encoding` for anything but an absent, empty or `identity` Content-Encoding
    """
    if content_encoding and content_encoding.strip().lower() not in {"", "identity"}:
        raise refusal("unsupported_encoding")


def _checked(body: bytes, content_type: str | None, limits: Limits) -> _Format:
    """What kind of body it is, once it is known to be neither too large nor empty."""
    if len(body) > limits.bytes:
        raise refusal("body_too_large")
    if not body or body.isspace():
        raise refusal("body_empty")
    if not content_type or len(content_type) > _LONGEST_CONTENT_TYPE:
        raise refusal("unsupported_media_type")
    return _format(content_type)


@lru_cache(maxsize=256)
def _format(content_type: str) -> _Format:
    media = content_type.partition(";")[0].strip().lower()
    declared = _CHARSET.search(content_type)
    charset = codec(declared[1] if declared else "")
    if media == "application/json" or (media.startswith("application/") and media.endswith("+json")):
        return _Format("json", charset, b"")
    if media == "application/x-www-form-urlencoded":
        return _Format("urlencoded", charset, b"")
    if media == "multipart/form-data":
        return _Format("multipart", charset, boundary_of(content_type))
    raise refusal("unsupported_media_type")


def _form(body: bytes, form: _Format, judge: Judge, multiple: Collection[str]) -> Fields:
    if form.kind == "urlencoded":
        values = read_urlencoded(body, form.charset, judge, multiple)
    else:
        values = read_multipart(body, form.boundary, form.charset, judge, multiple)
    return _settled(values, judge)


def _fields(value: JSON, count: int, judge: Judge) -> Fields:
    if not isinstance(value, dict):
        raise refusal("object_expected", judge.prefix or None)
    if count > judge.limits.fields:
        raise refusal("too_many_fields", judge.prefix or None)
    return _settled(value, judge)


def _settled(values: dict[str, JSON], judge: Judge) -> Fields:
    sound = tidy(values, judge)
    if judge.strict:
        refuse_line_breaks(sound, judge)
    return Fields(sound, judge.issues)


def _is_array(body: bytes, form: _Format) -> bool:
    return form.kind == "json" and body.removeprefix(BOM).lstrip()[:1] == b"["


def _item(value: JSON, judge: Judge, whole: Judge) -> Fields:
    """One item; what was flagged about the body as a whole (its charset, say) holds for each item."""
    judge.issues.extend(whole.issues)
    return _fields(value, members(value), judge)
