"""
From decoded values to values that can be kept: limits on names, texts and numbers, no control characters.

A payload with nothing wrong (nearly all) is only looked at; one with something wrong is built again, with pointers.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from schema.payload.model import JSON, Judge

_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""C0 without tab, LF and CR; DEL and C1 (terminals obey them); lone surrogates (PostgreSQL refuses them)."""
_ONE_LINE: Final = re.compile(r"mail|(?<!file)name", re.IGNORECASE)
"""Fields that end in the header of a mail, where a line break would begin another header."""
_INT_MIN: Final = -(2**63)
_INT_MAX: Final = 2**64 - 1
_DEEPEST: Final = 64


class Repeated(list["JSON"]):
    """All values of a name that stood more than once; `code` says what to call that, empty where it is allowed."""

    __slots__ = ("code",)

    def __init__(self, values: list[JSON], code: str) -> None:
        super().__init__(values)
        self.code = code


def add(values: dict[str, JSON], name: str, value: JSON, multiple: Collection[str], code: str) -> None:
    """Put a value under its name; a second one makes the name `Repeated` (allowed if in `multiple` or `name[]`)."""
    if name not in values:
        values[name] = value
        return
    held = values[name]
    if isinstance(held, Repeated):
        held.append(value)
    else:
        allowed = name in multiple or name.endswith("[]")
        values[name] = Repeated([held, value], "" if allowed else code)


def pointer_to(parent: str, key: str) -> str:
    """The JSON pointer (RFC 6901) of a member."""
    return f"{parent}/{key.replace('~', '~0').replace('/', '~1')}"


def field_pointer(name: str, judge: Judge) -> str:
    """The pointer of a form field, whatever its name is made of."""
    return pointer_to("", without_controls(name)[: judge.limits.key])


def members(value: JSON) -> int:
    """How many members all objects in the value have together."""
    if isinstance(value, dict):
        return len(value) + sum([members(item) for item in value.values() if type(item) is not str])
    if isinstance(value, list):
        return sum([members(item) for item in value if type(item) is not str])
    return 0


def without_controls(text: str) -> str:
    """The text without control characters (tab, LF and CR stay) and lone surrogates."""
    return text if text.isprintable() else _CONTROL.sub("", text)


def tidy(values: dict[str, JSON], judge: Judge) -> dict[str, JSON]:
    """The same values, storable and within the limits; what had to be changed is flagged, or refused when strict."""
    if _sound(values, judge.limits.key, judge.limits.text):
        return values
    return _object(values, "", judge)


def refuse_line_breaks(values: dict[str, JSON], judge: Judge) -> None:
    """Flag an address or a name of several lines; only for strict payloads, which can be corrected and sent again."""
    for key, item in values.items():
        if isinstance(item, str) and ("\n" in item or "\r" in item) and _ONE_LINE.search(key):
            judge.flag("control_character", pointer_to("", key))


def storable(value: JSON, depth: int = 0) -> JSON:
    """
    Any JSON-like value as one that PostgreSQL's jsonb takes and every parser reads back the same.

    Not-a-number becomes null, an integer beyond 64 bits hexadecimal text; beyond 64 levels everything is null.
    """
    if isinstance(value, str):
        return without_controls(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if _INT_MIN <= value <= _INT_MAX else f"{value:#x}"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _storable_nested(value, depth + 1) if depth < _DEEPEST else None


def _storable_nested(value: list[JSON] | dict[str, JSON], depth: int) -> JSON:
    if isinstance(value, dict):
        return {without_controls(key): storable(item, depth) for key, item in value.items()}
    return [storable(item, depth) for item in value]


def _sound(value: dict[str, JSON], longest_key: int, longest_text: int) -> bool:
    """Whether there is nothing to change. Every lead passes here, so the commonest answers come first."""
    names = "".join(value)
    if not names.isprintable() and _CONTROL.search(names):
        return False
    for key, item in value.items():
        if not key or len(key) > longest_key:
            return False
        if type(item) is str:
            if len(item) > longest_text or (not item.isprintable() and _CONTROL.search(item)):
                return False
        elif item is not None and not _sound_value(item, longest_key, longest_text):
            return False
    return True


def _sound_value(value: JSON, longest_key: int, longest_text: int) -> bool:
    if isinstance(value, str):
        return len(value) <= longest_text and not _CONTROL.search(value)
    if isinstance(value, dict):
        return _sound(value, longest_key, longest_text)
    if isinstance(value, list):
        return type(value) is list and all(_sound_value(item, longest_key, longest_text) for item in value)
    return not isinstance(value, int) or _INT_MIN <= value <= _INT_MAX


def _object(value: dict[str, JSON], pointer: str, judge: Judge) -> dict[str, JSON]:
    result: dict[str, JSON] = {}
    for key, item in value.items():
        name = _key(key, pointer, judge)
        here = pointer_to(pointer, name)
        if name in result:
            judge.flag("duplicate_key", here)
        add(result, name, _value(item, here, judge), (), "")
    return {name: list(item) if isinstance(item, Repeated) else item for name, item in result.items()}


def _key(key: str, parent: str, judge: Judge) -> str:
    name = without_controls(key)[: judge.limits.key]
    here = pointer_to(parent, name)
    if not key:
        judge.flag("field_name_empty", here)
    elif len(key) > judge.limits.key:
        judge.flag("field_name_too_long", here)
    elif name != key:
        judge.flag("control_character", here)
    return name


def _value(value: JSON, pointer: str, judge: Judge) -> JSON:
    if isinstance(value, str):
        return _text(value, pointer, judge)
    if isinstance(value, dict):
        return _object(value, pointer, judge)
    if isinstance(value, list):
        if isinstance(value, Repeated) and value.code:
            judge.flag(value.code, pointer)
        return [_value(item, f"{pointer}/{index}", judge) for index, item in enumerate(value)]
    if isinstance(value, int) and not _INT_MIN <= value <= _INT_MAX:
        judge.flag("number_range", pointer)
        return str(value)
    return value


def _text(value: str, pointer: str, judge: Judge) -> str:
    text = without_controls(value)
    if text != value:
        judge.flag("control_character", pointer)
    if len(text) > judge.limits.text:
        judge.flag("string_too_long", pointer)
    return text[: judge.limits.text]
