"""
multipart/form-data bodies (RFC 7578), read in one bounded pass over the bytes that are already there.

Texts become fields. Files stay in the raw bytes of the receipt, unopened: the field holds their name (data only,
never a path), type and size.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from schema.payload.charset import UTF8, as_text, codec
from schema.payload.clean import add, field_pointer, without_controls
from schema.payload.model import Judge, Mode, refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from schema.payload.model import JSON, Limits

_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))\s*(?:;|$)', re.IGNORECASE)
_DISPOSITION: Final = re.compile(rb"(?:^|\r\n)content-disposition:[ \t]*form-data([^\r\n]*)", re.IGNORECASE)
_TYPE: Final = re.compile(rb"(?:^|\r\n)content-type:[ \t]*([^\r\n]*)", re.IGNORECASE)
_PARAMETER: Final = re.compile(rb';[ \t]*([a-z]+\*?)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*+)"|([^;"\s]*))', re.IGNORECASE)
_PART_CHARSET: Final = re.compile(r";\s*charset=([^\s;]{1,40})", re.IGNORECASE)
_LONGEST_FILENAME: Final = 255


class File(NamedTuple):
    """A file of a form. Name and type are the sender's words, tidied: data to show, never a path or a promise."""

    field: str
    name: str
    content_type: str
    content: bytes


class _Part(NamedTuple):
    name: bytes
    filename: str | None
    content_type: str
    content: bytes


def boundary_of(content_type: str) -> bytes:
    """
    The boundary that a Content-Type declares.

    :raises Refused: `multipart_boundary` if there is none of 1 to 70 ASCII characters
    """
    found = _BOUNDARY.search(content_type)
    if not found or not content_type.isascii():
        raise refusal("multipart_boundary")
    return (found[1] or found[2]).encode("ascii")


def read_multipart(
    body: bytes, boundary: bytes, charset: str, judge: Judge, multiple: Collection[str]
) -> dict[str, JSON]:
    """
    Names with their texts, or with `{filename, content_type, size}` for a file (issue `file_kept_raw`).

    :raises Refused: `multipart_boundary`, `too_many_fields`; strict also the other `multipart_…` codes
    """
    parts = list(_named(_parts(body, boundary, judge), judge))
    declared = next((part.content for part in parts if part.name == b"_charset_"), None)
    if declared is not None:
        charset = codec(declared[:40].decode("ascii", "replace"))
    values: dict[str, JSON] = {}
    for part in parts:
        if part.name != b"_charset_":
            name = as_text(_unquoted(part.name), charset, "", judge)
            value = _value(part, charset, field_pointer(name, judge), judge)
            add(values, name, value, multiple, "repeated_field")
    return values


def files_of(body: bytes, content_type: str, *, limits: Limits) -> list[File]:
    """
    The files of a multipart form that are not empty, in their order; none of any other body.

    :raises Refused: as `decode` does
    """
    if not content_type.lower().startswith("multipart/form-data"):
        return []
    judge = Judge(Mode.LENIENT, limits)
    parts = _named(_parts(body, boundary_of(content_type), judge), judge)
    return [
        File(
            as_text(_unquoted(part.name), UTF8, "", judge),
            without_controls(part.filename),
            without_controls(part.content_type[:_LONGEST_FILENAME]),
            part.content,
        )
        for part in parts
        if part.filename is not None and part.content
    ]


def _parts(body: bytes, boundary: bytes, judge: Judge) -> Iterator[bytes]:
    """Headers and content of each part. A line that only begins like the boundary is content (RFC 2046, 5.1.1)."""
    data = b"\r\n" + body
    delimiter = b"\r\n--" + boundary
    if data.count(delimiter) > judge.limits.fields + 1:
        raise refusal("too_many_fields")
    start = -1
    at = data.find(delimiter)
    while at >= 0:
        after = at + len(delimiter)
        closing = data.startswith(b"--", after)
        line_end = after if closing else _line_end(data, after)
        if line_end >= 0:
            if start >= 0:
                yield data[start:at]
            if closing:
                return
            start = line_end
            # The line end of the delimiter may be the beginning of the next one: an empty part.
            after = line_end - 2
        at = data.find(delimiter, after)
    if start < 0:
        raise refusal("multipart_boundary")
    judge.flag("multipart_unclosed", "")
    yield data[start:]


def _line_end(data: bytes, after: int) -> int:
    """Where the line after a delimiter ends, past padding (RFC 2046); -1 if something else stands there."""
    while data[after : after + 1] in {b" ", b"\t"}:
        after += 1
    return after + 2 if data.startswith(b"\r\n", after) else -1


def _named(parts: Iterator[bytes], judge: Judge) -> Iterator[_Part]:
    """Each part whose headers can be read."""
    for part in parts:
        head, found, content = (b"", b"\r\n", part[2:]) if part.startswith(b"\r\n") else part.partition(b"\r\n\r\n")
        if not found or len(head) > judge.limits.header:
            judge.flag("multipart_header", "")
            continue
        parameters = _parameters(head)
        if b"name" not in parameters:
            judge.flag("multipart_name", "")
        kind = _TYPE.search(head)
        content_type = kind[1].decode("latin-1").strip() if kind else ""
        yield _Part(parameters.get(b"name", b""), _filename(parameters), content_type, content)


def _parameters(head: bytes) -> dict[bytes, bytes]:
    disposition = _DISPOSITION.search(head)
    if not disposition:
        return {}
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(disposition[1])}


def _value(part: _Part, charset: str, pointer: str, judge: Judge) -> JSON:
    nested = part.content_type.lower().startswith("multipart/")
    if nested:
        judge.flag("multipart_nested", pointer)
    if part.filename is None and not nested:
        declared = _PART_CHARSET.search(part.content_type)
        return as_text(part.content, codec(declared[1]) if declared else charset, pointer, judge)
    if part.content:
        judge.note("file_kept_raw", pointer)
    kind = part.content_type[:_LONGEST_FILENAME]
    return {"filename": part.filename or "", "content_type": kind, "size": len(part.content)}


def _filename(parameters: dict[bytes, bytes]) -> str | None:
    """The name a file came with, as data; the extended form (RFC 5987) only where there is no plain one."""
    plain = parameters.get(b"filename")
    if plain is not None:
        return _unquoted(plain)[:_LONGEST_FILENAME].decode(UTF8, "replace")
    extended = parameters.get(b"filename*")
    if extended is None:
        return None
    declared, _, rest = extended.partition(b"'")
    text = unquote_to_bytes(rest.partition(b"'")[2])
    return text.decode(codec(declared.decode("latin-1")) or UTF8, "replace")[:_LONGEST_FILENAME]


def _unquoted(raw: bytes) -> bytes:
    """As browsers write it (HTML, multipart/form-data encoding): three characters are escaped, backslashes are not."""
    if b"%" not in raw and b"\\" not in raw:
        return raw
    return raw.replace(b'\\"', b'"').replace(b"%22", b'"').replace(b"%0D", b"\r").replace(b"%0A", b"\n")
