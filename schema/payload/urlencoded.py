"""
application/x-www-form-urlencoded bodies, as browsers send them: `&` separates, nothing else does.

Decoded once. A form may name its charset in the hidden field `_charset_` (HTML), which is then not a field.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from schema.payload.charset import UNKNOWN, as_text, codec
from schema.payload.clean import add, field_pointer
from schema.payload.model import refusal

if TYPE_CHECKING:
    from collections.abc import Collection

    from schema.payload.model import JSON, Judge

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CHARSET: Final = re.compile(rb"(?:^|&)_charset_=([A-Za-z0-9_-]{1,40})(?=&|$)")


def read_urlencoded(body: bytes, charset: str, judge: Judge, multiple: Collection[str]) -> dict[str, JSON]:
    """
    Names and texts, in the order sent.

    :raises Refused: `too_many_fields`; strict also `bad_escape`, `utf8_invalid`, `unsupported_charset`
    """
    if body.count(b"&") >= judge.limits.fields:
        raise refusal("too_many_fields")
    if b"_charset_=" in body:
        charset = _declared(body, charset)
    if charset == UNKNOWN:
        judge.flag("unsupported_charset", "")
    if b"%" in body and _BAD_ESCAPE.search(body):
        judge.flag("bad_escape", "")
    values: dict[str, JSON] = {}
    # Latin-1 here only carries bytes, one to one; `_decoded` makes text of them.
    for pair in body.decode("latin-1").replace("+", " ").split("&"):
        if pair:
            name, _, value = pair.partition("=")
            if "%" in name or not name.isascii():
                name = _decoded(name, charset, "", judge)
            if "%" in value or not value.isascii():
                value = _decoded(value, charset, name, judge)
            if name in values:
                add(values, name, value, multiple, "repeated_field")
            else:
                values[name] = value
    values.pop("_charset_", None)
    return values


def _declared(body: bytes, charset: str) -> str:
    found = _CHARSET.search(body)
    return codec(found[1].decode("ascii")) if found else charset


def _decoded(piece: str, charset: str, name: str, judge: Judge) -> str:
    raw = unquote_to_bytes(piece.encode("latin-1"))
    return as_text(raw, charset, field_pointer(name, judge) if name else "", judge)
