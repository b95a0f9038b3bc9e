"""
JSON bodies: guarded before they are parsed, parsed once by msgspec, looked at again only when something is odd.

Depth and number length are bounded in linear time on the bytes, so the parser never meets a hostile structure.
A repeated key is found by arithmetic: a text has as many colons outside strings as its objects have members.
"""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import msgspec

from schema.payload.charset import UTF8, as_text
from schema.payload.clean import Repeated, add, members
from schema.payload.model import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schema.payload.model import JSON, Judge

BOM: Final = b"\xef\xbb\xbf"
_DIGITS: Final = bytes(ord("0") if byte in b"0123456789" else byte for byte in range(256))
_ONLY_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_SURROGATES: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
_DECODE: Final = msgspec.json.Decoder().decode


def read_json(body: bytes, charset: str, judge: Judge) -> tuple[JSON, int]:
    """
    The value a JSON body stands for, and how many members it has; `charset` is for lenient bodies that are not UTF-8.

    :raises Refused: `json_syntax`, `json_depth`, `number_range`, `utf8_invalid`, `lone_surrogate`
    """
    text = body.removeprefix(BOM)
    _guard(text, judge)
    value, text = _parse(text, charset, judge)
    count = members(value)
    if _repeats_a_key(text, count):
        return _with_repeats(text), count
    return value, count


def raw_items(text: bytes, find: Callable[[bytes], Sequence[msgspec.Raw]]) -> list[bytes]:
    """
    The bytes of the items that `find` decodes, as they stand in a text that `read_json` has taken.

    The parser takes no half of a surrogate pair, which lenient readers do: then they are found beside each other.

    :raises msgspec.DecodeError: `find` does not find what it looks for
    """
    try:
        return [bytes(item) for item in find(text)]
    except msgspec.DecodeError:
        whole = _whole_surrogates(text)
        if whole == text:
            raise
    found, end = [], 0
    for item in map(bytes, find(whole)):  # a repaired text is as long as the other
        start = whole.index(item, end)
        end = start + len(item)
        found.append(text[start:end])
    return found


def _guard(text: bytes, judge: Judge) -> None:
    if text.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in text[:4]:
        raise refusal("utf8_invalid")  # UTF-16 or UTF-32, which RFC 8259 does not allow
    limits = judge.limits
    if text.count(b"[") + text.count(b"{") > limits.depth and _depth(text) > limits.depth:
        raise refusal("json_depth")
    if len(text) > limits.digits and _has_longer_number(text, limits.digits):
        raise refusal("number_range")


def _has_longer_number(text: bytes, digits: int) -> bool:
    """Long runs of digits in strings are fine, so they are only told apart when there is a run at all."""
    run = b"0" * (digits + 1)
    return run in text.translate(_DIGITS) and run in _skeleton(text).translate(_DIGITS)


def _skeleton(text: bytes) -> bytes:
    """The JSON without its strings, ended or not: without escaped quotes, every second piece is a string."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b'"'.join(text.split(b'"')[::2])


def _depth(text: bytes) -> int:
    brackets = _skeleton(text).translate(None, _ONLY_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


def _parse(text: bytes, charset: str, judge: Judge) -> tuple[JSON, bytes]:
    """The value, and the bytes that it was finally read from."""
    try:
        return _DECODE(text), text
    except UnicodeDecodeError:
        return _parse(_as_utf8(text, charset, judge), UTF8, judge)
    except msgspec.ValidationError as error:
        raise refusal("number_range") from error
    except msgspec.DecodeError as error:
        repaired = _whole_surrogates(text)
        if repaired == text:
            raise refusal("json_syntax") from error
    value = _parse(repaired, charset, judge)
    judge.flag("lone_surrogate", "")
    return value


def _as_utf8(text: bytes, charset: str, judge: Judge) -> bytes:
    """Read again what is not UTF-8, under a charset that somebody declared or as windows-1252."""
    judge.flag("utf8_invalid", "")
    return as_text(text, charset, "", judge).encode()


def _whole_surrogates(text: bytes) -> bytes:
    """Every escape of half a surrogate pair becomes the replacement character."""
    return _SURROGATES.sub(lambda match: rb"\ufffd" if match[1] else match[0], text)


def _repeats_a_key(text: bytes, count: int) -> bool:
    """Colons inside strings only add to the cheap count, so equality settles it; only otherwise look closer."""
    return text.count(b":") != count and _skeleton(text).count(b":") != count


def _with_repeats(text: bytes) -> JSON:
    """The value again, every repeated key holding all its values."""
    value: JSON = json.loads(text, object_pairs_hook=_object_with_repeats)
    return value


def _object_with_repeats(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    values: dict[str, JSON] = {}
    for key, value in pairs:
        add(values, key, value, (), "duplicate_key")
    return {key: _flagged(value) for key, value in values.items()}


def _flagged(value: JSON) -> JSON:
    """A key written `name[]` may stand twice in a form, never in JSON."""
    return Repeated(list(value), "duplicate_key") if isinstance(value, Repeated) else value
