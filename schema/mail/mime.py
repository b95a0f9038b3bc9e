"""
A mail as it is built: headers, and the parts that its body is made of.

    reads   the raw bytes of a message (RFC 5322, MIME)
    gives   its headers in order, and its leaves: texts, and what is attached; nothing attached is ever unpacked

Pure and total, in time linear in the bytes: nesting ends at `DEEPEST`, the number of parts at `MOST_PARTS`, and what is
beyond them is noted as an issue. A message inside the message is a leaf.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from typing import Final

import msgspec

from schema.mail.words import LONGEST_HEADER, as_text, base64_bytes, decoded, parameters

DEEPEST: Final = 20
MOST_PARTS: Final = 500
_MOST_HEADERS: Final = 2000
_LARGEST_HEAD: Final = 1024 * 1024
_LONGEST_NAME: Final = 255
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n|\A\r?\n")
_HEADER: Final = re.compile(rb"([!-9;-~]{1,100})[ \t]*:")


class Part(msgspec.Struct):
    """A leaf: its media type, its parameters, and its bytes as they are after the transfer encoding is undone."""

    headers: dict[str, str]
    media: str
    parameters: dict[str, str]
    body: bytes
    issue: str = ""
    """`body_decode` when the transfer encoding was broken, and more or less was lost."""

    @property
    def attached(self) -> bool:
        """Whether it is something beside the text."""
        disposition, named = parameters(self.headers.get("content-disposition", ""))
        if disposition == "attachment" or self.media not in {"text/plain", "text/html"}:
            return True
        return bool(named.get("filename"))

    @property
    def name(self) -> str:
        """What its sender calls the file: to show, never a path."""
        _, named = parameters(self.headers.get("content-disposition", ""))
        return decoded(named.get("filename") or self.parameters.get("name") or "")[:_LONGEST_NAME]

    @property
    def text(self) -> str:
        """Its bytes as text, with line feeds only."""
        return as_text(self.body, self.parameters.get("charset", "")).replace("\r\n", "\n").replace("\r", "\n")

    def listed(self) -> dict[str, str | int]:
        """What is told of an attachment."""
        return {
            "name": self.name,
            "type": self.media,
            "size": len(self.body),
            "sha256": hashlib.sha256(self.body).hexdigest(),
        }


class Message(msgspec.Struct):
    """A mail taken apart. `headers` are in their order, names in lower case, values raw and unfolded later."""

    headers: list[tuple[str, str]]
    media: str
    parameters: dict[str, str]
    parts: list[Part]
    issues: list[str]

    @property
    def attached(self) -> list[Part]:
        """What came beside the text, in order: they are numbered from 1."""
        return [part for part in self.parts if part.attached]

    def header(self, name: str) -> str:
        """The first header of a name (lower case); empty if there is none."""
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self.headers)


def take_apart(raw: bytes) -> Message:
    """Return a message's headers and leaves, whatever the bytes are."""
    head, body = split_head(raw)
    headers = read_headers(head)
    first = _first(headers)
    media, named = parameters(first.get("content-type", "text/plain"))
    message = Message(headers, media, named, [], [])
    _walk(first, body, 0, message)
    return message


def split_head(raw: bytes) -> tuple[bytes, bytes]:
    """Part a message at its first empty line. What has no header at all is all body."""
    end = _END_OF_HEAD.search(raw, 0, _LARGEST_HEAD)
    head = raw[: end.start()] if end else raw[:_LARGEST_HEAD]
    if not _HEADER.match(head.lstrip(b"\r\n")) and not head.startswith(b"From "):
        return b"", raw
    return head, raw[end.end() :] if end else b""


def read_headers(head: bytes) -> list[tuple[str, str]]:
    """The headers of a head; a line that is none continues the one before, as a folded one does."""
    found: list[tuple[str, list[bytes]]] = []
    for line in head.replace(b"\r\n", b"\n").split(b"\n"):
        name = None if line[:1] in {b" ", b"\t"} else _HEADER.match(line)
        if name:
            if len(found) == _MOST_HEADERS:
                break
            found.append((name[1].decode("ascii").lower(), [line[name.end() :]]))
        elif found and line.strip():
            found[-1][1].append(b" " + line)
    return [(name, as_text(b"".join(lines)[:LONGEST_HEADER]).strip()) for name, lines in found]


def _first(headers: list[tuple[str, str]]) -> dict[str, str]:
    return dict(reversed(headers))


def _walk(headers: dict[str, str], body: bytes, depth: int, message: Message) -> None:
    media, named = parameters(headers.get("content-type", "text/plain"))
    boundary = named.get("boundary", "")
    if len(message.parts) >= MOST_PARTS:
        _note(message, "too_many_parts")
    elif media.startswith("multipart/") and boundary and depth < DEEPEST:
        digest = media == "multipart/digest"
        for piece in _pieces(body, boundary.encode("utf-8", "replace"), message):
            head, rest = _split_part(piece)
            inner = _first(read_headers(head))
            if digest:
                inner.setdefault("content-type", "message/rfc822")
            _walk(inner, rest, depth + 1, message)
    else:
        if media.startswith("multipart/"):
            _note(message, "too_deep" if boundary else "boundary_missing")
            media = "text/plain" if not boundary else "application/octet-stream"
        decoded_body, issue = _decoded(headers.get("content-transfer-encoding", ""), body)
        if issue:
            _note(message, issue)
        message.parts.append(Part(headers, media if "/" in media else "text/plain", named, decoded_body, issue))


def _note(message: Message, issue: str) -> None:
    if issue not in message.issues:
        message.issues.append(issue)


def _pieces(body: bytes, boundary: bytes, message: Message) -> list[bytes]:
    """What stands between a multipart's boundary lines, without what stands before the first and after the last."""
    line = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    pieces = []
    start = -1
    for found in line.finditer(body):
        if start >= 0:
            pieces.append(body[start : found.start()])
            if len(pieces) > MOST_PARTS:
                _note(message, "too_many_parts")
                return pieces
        start = found.end()
        if found[1]:
            return pieces
    if start < 0:
        _note(message, "boundary_missing")
        return [b"\r\n" + body]
    return [*pieces, body[start:]]


def _split_part(piece: bytes) -> tuple[bytes, bytes]:
    """Part a piece at its first empty line; it begins with the line break that ended its boundary line."""
    piece = piece.removeprefix(b"\r").removeprefix(b"\n")
    end = _END_OF_HEAD.search(piece, 0, _LARGEST_HEAD)
    if end is None:
        return (piece, b"") if _HEADER.match(piece) else (b"", piece)
    return piece[: end.start()], piece[end.end() :]


def _decoded(encoding: str, body: bytes) -> tuple[bytes, str]:
    """Undo the transfer encoding; a broken one gives what can be had of it, or the bytes as they stand."""
    match encoding.strip().lower():
        case "base64":
            found, broken = base64_bytes(body)
            if body.strip() and not found:
                return body, "body_decode"
            return found, "body_decode" if broken else ""
        case "quoted-printable":
            return binascii.a2b_qp(body), ""
        case "" | "7bit" | "8bit" | "binary":
            return body, ""
        case _:
            return body, "body_decode"
