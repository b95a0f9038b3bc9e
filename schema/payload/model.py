"""
What a payload is once it is read, how much of one we read, and how a refusal is said.

Nothing in an issue or a refusal repeats a value that was sent: both are a pointer (RFC 6901) and a stable code.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from schema.errors import Permanent

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

ACCEPT_POST: Final = "application/json, application/x-www-form-urlencoded, multipart/form-data"
"""The `Accept-Post` header that goes with every 415."""


class Mode(StrEnum):
    """Lenient: a person cannot send it again, so keep the lead and flag. Strict: a program can, so refuse."""

    LENIENT = "lenient"
    STRICT = "strict"


class Limits(msgspec.Struct, frozen=True):
    """The most that is read of one payload."""

    bytes: int = 256 * 1024
    depth: int = 32
    fields: int = 200
    """Members of all objects together, nested ones included; or form fields."""
    key: int = 200
    """Characters."""
    text: int = 32 * 1024
    """Characters."""
    digits: int = 1000
    """Digits in a row in one number, checked before it becomes one."""
    items: int = 1000
    header: int = 8 * 1024
    """Bytes of the headers of one multipart part."""


LIMITS: Final = Limits()
BATCH_LIMITS: Final = Limits(bytes=8 * 1024 * 1024, depth=33)
"""For an array of leads as a whole (the array itself is one level more); each lead in it is held to `LIMITS`."""


class Issue(msgspec.Struct, frozen=True):
    """Something about a field that was not as it should be, and that did not stop the lead."""

    pointer: str
    code: str


class Fields(msgspec.Struct):
    """A payload that was understood. `values` can be stored as jsonb as it is: no NUL, no lone surrogate."""

    values: dict[str, JSON]
    issues: list[Issue]


class Refused(Permanent):
    """A payload that is not taken. `status` is the HTTP answer; `code` is stable; `detail` is for people."""

    def __init__(self, status: int, code: str, detail: str, pointer: str | None = None) -> None:
        super().__init__(code, detail, status=status)
        self.status = status
        self.detail = detail
        self.pointer = pointer

    @property
    def headers(self) -> dict[str, str]:
        """Headers that the answer must carry."""
        return {"Accept-Post": ACCEPT_POST} if self.code == "unsupported_media_type" else {}


REFUSALS: Final[dict[str, tuple[int, str]]] = {
    "array_empty": (422, "The array holds no lead."),
    "bad_escape": (400, "A percent sign is not followed by two hexadecimal digits."),
    "body_empty": (400, "The body is empty."),
    "body_too_large": (413, "The body is larger than this endpoint takes."),
    "control_character": (422, "A control character is not allowed here."),
    "duplicate_key": (422, "A key stands twice in the same object."),
    "field_name_empty": (422, "A field has no name."),
    "field_name_too_long": (422, "A field name is too long."),
    "json_depth": (400, "The JSON is nested too deeply."),
    "json_syntax": (400, "The body is not valid JSON (RFC 8259)."),
    "lone_surrogate": (422, "An escape names half of a surrogate pair."),
    "multipart_boundary": (400, "The Content-Type names no usable boundary, or the body does not contain it."),
    "multipart_header": (400, "The headers of a part cannot be read, or are too long."),
    "multipart_name": (400, "A part has no name."),
    "multipart_nested": (422, "A part is multipart itself."),
    "multipart_unclosed": (400, "The closing boundary is missing."),
    "number_range": (422, "A number is out of range."),
    "object_expected": (400, "The body must be a JSON object."),
    "repeated_field": (422, "A field stands twice."),
    "string_too_long": (422, "A text is too long."),
    "too_many_fields": (422, "There are too many fields."),
    "too_many_items": (422, "The array holds too many leads."),
    "unsupported_charset": (415, "The charset is not one of those that are read."),
    "unsupported_encoding": (415, "A compressed body is not read; send it without Content-Encoding."),
    "unsupported_media_type": (415, "The Content-Type is not one of those that are read."),
    "utf8_invalid": (400, "The body is not valid UTF-8."),
}
"""Every code a payload can be refused with: HTTP status and detail."""


def refusal(code: str, pointer: str | None = None) -> Refused:
    """The refusal of that code, ready to raise."""
    status, detail = REFUSALS[code]
    return Refused(status, code, detail, pointer)


_MOST_ISSUES: Final = 100
"""Enough to see what is wrong with a payload; a hostile one could have one for every value."""


class Judge:
    """
    Meets what is wrong in one payload: a lenient judge takes a note, a strict one refuses at the first.

    `prefix` goes before pointers in refusals only, where one item of an array has to be named.
    """

    __slots__ = ("issues", "limits", "prefix", "strict")

    def __init__(self, mode: Mode, limits: Limits, prefix: str = "") -> None:
        self.strict = mode is Mode.STRICT
        self.limits = limits
        self.issues: list[Issue] = []
        self.prefix = prefix

    def flag(self, code: str, pointer: str) -> None:
        """Note the code for the pointer, or raise `Refused` when strict."""
        if self.strict:
            raise refusal(code, self.prefix + pointer)
        self.note(code, pointer)

    def note(self, code: str, pointer: str) -> None:
        """Note the code in either mode: something the sender did right and we treat in a special way."""
        issue = Issue(pointer, code)
        if len(self.issues) < _MOST_ISSUES and issue not in self.issues:
            self.issues.append(issue)
