"""
The words of a mail's headers: encoded words, addresses, message ids, parameters; and bytes to text.

Pure and total: any bytes give a value, in time linear in their number. What the standards forbid is read as it was
probably meant (RFC 5322, RFC 2047, RFC 2231), and cut where nobody could mean it any more.
"""

from __future__ import annotations

import binascii
import codecs
import re
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from schema.payload import without_controls
from schema.payload.charset import UTF8, codec

LONGEST_HEADER: Final = 64 * 1024
"""Characters of one header that are looked at."""
_LONGEST_LINE: Final = 1000
_LONGEST_ID: Final = 250
_MOST_IDS: Final = 50
_MOST_ADDRESSES: Final = 100
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/=\s]")
_ENCODED: Final = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]{0,5000})\?=")
_GAP: Final = re.compile(r"(\?=)[ \t\r\n]+(?==\?)")
_FOLD: Final = re.compile(r"\r?\n[ \t]*|\r")
_ID: Final = re.compile(r"<([^<>\s]{3,998})>")
_PARAMETER: Final = re.compile(
    r';\s*([!#$%&\'+\-.^_`|~0-9A-Za-z*]{1,60})\s*=\s*("(?:[^"\\]|\\.){0,2000}"|[^;\s]{0,2000})'
)
_SPECIALS: Final = re.compile(r'[",<>()\\:;]|(?==\?)')
_INVISIBLE: Final = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_NO_TEXT: Final = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "utf-7"})
"""Codecs that Python calls text and nobody writes mail in; some of them take quadratic time."""


class Mailbox(NamedTuple):
    """An address as it stands in a header, with the name before or after it; either may be empty."""

    name: str
    address: str


def as_text(raw: bytes, charset: str = "") -> str:
    """Bytes as text, by the charset they claim; where they claim none or a wrong one UTF-8, else windows-1252."""
    for name in (_codec(charset), UTF8):
        try:
            return raw.decode(name)
        except (UnicodeError, ValueError):
            continue
    return raw.decode("cp1252", "replace")


@lru_cache(maxsize=256)
def _codec(charset: str) -> str:
    """Python's codec for a charset, of the list that forms are read by or of the others; UTF-8 for none."""
    name = charset.strip().strip("\"'").lower()[:60]
    if known := codec(name):
        return known
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        return UTF8
    return found.name if found._is_text_encoding and found.name not in _NO_TEXT else UTF8  # noqa: SLF001 - bytes to bytes codecs say so there only


def decoded(value: str) -> str:
    """
    A header's value as people read it: unfolded, encoded words decoded, one line, nothing invisible.

    Neighbouring words of one charset are joined before they are decoded, since many senders cut characters in two.
    """
    text = _FOLD.sub(" ", value[:LONGEST_HEADER])
    if "=?" in text:
        text = _words(_GAP.sub(r"\1", text))
    return " ".join(_INVISIBLE.sub("", without_controls(text)).split())


def _words(text: str) -> str:
    parts: list[str] = []
    held, charset, end = b"", "", 0
    for found in _ENCODED.finditer(text):
        between = text[end : found.start()]
        name = found[1].partition("*")[0].lower()
        if between or name != charset:
            parts += [as_text(held, charset), between]
            held, charset = b"", name
        held += _word(found[2], found[3])
        end = found.end()
    return "".join([*parts, as_text(held, charset), text[end:]])


def _word(encoding: str, content: str) -> bytes:
    raw = content.encode("utf-8", "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(raw, header=True)
    return base64_bytes(raw)[0]


def base64_bytes(raw: bytes) -> tuple[bytes, bool]:
    """Decode base64 that may lack its end or hold what does not belong there; also whether something was lost."""
    try:
        return binascii.a2b_base64(raw), _NOT_BASE64.search(raw) is not None
    except binascii.Error:
        pass
    clean = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
    whole = clean[: len(clean) - len(clean) % 4]
    rest = clean[len(whole) :]
    padded = rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""
    return binascii.a2b_base64(whole + padded), True


def mailboxes(value: str, most: int = _MOST_ADDRESSES) -> list[Mailbox]:
    """
    The mailboxes of `From`, `Reply-To` and their like, at most `most` of them.

    Understands `Ana <ana@example.com>`, `"Lopez, Ana" <ana@example.com>`, `ana@example.com (Ana)`, groups, and a name
    in encoded words; an address it cannot make out is what stands there.
    """
    found: list[Mailbox] = []
    reading = _Mailbox()
    text = _FOLD.sub(" ", value[:LONGEST_HEADER])
    place = 0
    while place < len(text) and len(found) < most:
        if word := _ENCODED.match(text, place):  # some senders do not encode the commas in it
            reading.add(word[0])
            place = word.end()
            continue
        special = _SPECIALS.search(text, place)
        if special is None:
            reading.add(text[place:])
            break
        reading.add(text[place : special.start()])
        if not special[0]:
            place = special.end()
            if not _ENCODED.match(text, place):
                reading.add("=")
                place += 1
            continue
        place = special.end()
        place = reading.meet(special[0], text, place, found)
    if len(found) < most:
        reading.finish(found)
    return found


class _Mailbox:
    """One mailbox while it is read: its words, the address in brackets, the comment."""

    __slots__ = ("angle", "comment", "words")

    def __init__(self) -> None:
        self.words: list[str] = []
        self.angle = ""
        self.comment = ""

    def add(self, text: str) -> None:
        self.words.append(text)

    def meet(self, mark: str, text: str, place: int, found: list[Mailbox]) -> int:
        """Read on from a special character; answers the place after what it began."""
        if mark == '"':
            quoted, place = _quoted(text, place)
            self.words.append(quoted if "@" not in text[place : place + 1] else f'"{quoted}"')
        elif mark == "<":
            end = text.find(">", place)
            end = len(text) if end < 0 else end
            self.angle = self.angle or text[place:end].strip()
            place = end + 1
        elif mark == "(":
            end = text.find(")", place)
            end = len(text) if end < 0 else end
            self.comment = self.comment or text[place:end]
            place = end + 1
        elif mark in ",;":
            self.finish(found)
        elif mark == ":" and "@" not in "".join(self.words):
            self.words = []  # the name of a group
        elif mark == "\\":
            self.words.append(text[place : place + 1])
            place += 1
        return place

    def finish(self, found: list[Mailbox]) -> None:
        words = "".join(self.words).strip()
        name, address = (words, self.angle) if self.angle else (self.comment, words)
        if address or name:
            found.append(Mailbox(decoded(name)[:_LONGEST_LINE], decoded(address)[:_LONGEST_LINE]))
        self.words, self.angle, self.comment = [], "", ""


def _quoted(text: str, place: int) -> tuple[str, int]:
    """The text inside quotes that opened before `place`, and the place after them; without an end it ends at once."""
    end = place
    while (end := text.find('"', end)) >= 0:
        if text[end - 1] != "\\" or text[end - 2] == "\\":
            return re.sub(r"\\(.)", r"\1", text[place:end]), end + 1
        end += 1
    return "", place


def message_ids(value: str) -> list[str]:
    """The message ids in `References` and their like, without their brackets, in order; the last fifty."""
    found = _ID.findall(_FOLD.sub("", value[-LONGEST_HEADER:]))
    return [without_controls(each)[:_LONGEST_ID] for each in found[-_MOST_IDS:]]


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """A structured header such as `Content-Type`: what stands first, in lower case, and its parameters."""
    text = _FOLD.sub(" ", value[: LONGEST_HEADER // 8])
    main, _, _ = text.partition(";")
    pieces: dict[str, dict[int, tuple[str, bool]]] = {}
    for found in _PARAMETER.finditer(text):
        name, *rest = found[1].lower().split("*")
        number = int(rest[0]) if rest and rest[0].isdigit() and len(rest[0]) < len("100") else 0
        plain = found[2]
        if plain.startswith('"'):
            plain = re.sub(r"\\(.)", r"\1", plain[1:-1])
        pieces.setdefault(name, {}).setdefault(number, (plain, found[1].endswith("*")))
    return main.strip().lower(), {name: _joined(parts) for name, parts in pieces.items()}


def _joined(parts: dict[int, tuple[str, bool]]) -> str:
    """A parameter that came in one piece, or in several (RFC 2231)."""
    ordered = [parts[number] for number in sorted(parts)]
    if not any(extended for _, extended in ordered):
        return "".join(text for text, _ in ordered)
    charset, _, rest = ordered[0][0].partition("'")
    _, _, first = rest.rpartition("'") if ordered[0][1] else ("", "", ordered[0][0])
    raw = [unquote_to_bytes(first) if ordered[0][1] else first.encode()]
    raw += [unquote_to_bytes(text) if extended else text.encode() for text, extended in ordered[1:]]
    return as_text(b"".join(raw), charset if ordered[0][1] else "")
