"""
How much room text takes, and where it breaks: without a font, from the widths of a common one.

The widths are those of Helvetica, which Arial shares, in thousandths of the size, and a sixth more, so that text in
wider fonts (Verdana, DejaVu Sans) still fits.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

ELLIPSIS: Final = "…"
_ROOM: Final = 1.16
_BOLD: Final = 1.1
_USUAL: Final = 600
_WIDE: Final = 1000
_BY_WIDTH: Final = {
    191: "'",
    222: "ijl",
    260: "|",
    278: " !,./:;I[\\]ft",
    333: "()-`r{}",
    355: '"',
    389: "*",
    469: "^",
    500: "Jcksvxyz",
    556: "#$0123456789?L_abdeghnopqu",
    584: "+<=>~",
    611: "FTZ",
    667: "&ABEKPSVXY",
    722: "CDHNRUw",
    778: "GOQ",
    833: "Mm",
    889: "%",
    944: "W",
    1015: "@",
}
_WIDTHS: Final = {character: width for width, characters in _BY_WIDTH.items() for character in characters}


def width(text: str, size: float, *, bold: bool = False) -> float:
    """How wide one line of text is at most, in the unit of `size`."""
    return sum(map(_width, text)) * size * _ROOM * (_BOLD if bold else 1) / 1000


def wrapped(text: str, size: float, room: float, *, most: int = 3, bold: bool = False) -> tuple[str, ...]:
    """
    The text in lines no wider than `room`, broken between words, evenly; at most `most` lines, the last one cut short.

    A word that is wider than the room is broken within.
    """
    words = " ".join(plain(text).split()).split(" ")
    lines = _filled(words, size, room, bold=bold)
    if len(lines) > most:
        lines = [*lines[: most - 1], _cut(" ".join(lines[most - 1 :]), size, room, bold=bold)]
    elif len(lines) > 1:
        lines = _even(words, size, room, len(lines), bold=bold)
    return tuple(line for line in lines if line)


def widest(lines: Sequence[str], size: float, *, bold: bool = False) -> float:
    return max((width(line, size, bold=bold) for line in lines), default=0.0)


def plain(text: str) -> str:
    """The text without characters that cannot stand in a drawing: controls and lone surrogates are blanks."""
    return "".join(" " if unicodedata.category(each) in {"Cc", "Cs", "Cn", "Zl", "Zp"} else each for each in text)


@lru_cache(maxsize=4096)
def _width(character: str) -> int:
    if character in _WIDTHS:
        return _WIDTHS[character]
    if unicodedata.combining(character):
        return 0
    if unicodedata.east_asian_width(character) in {"W", "F"}:
        return _WIDE
    base = unicodedata.normalize("NFD", character)[0]
    return _WIDTHS.get(base, _USUAL if character.islower() else _WIDE * 4 // 5)


def _filled(words: Sequence[str], size: float, room: float, *, bold: bool) -> list[str]:
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if width(longer, size, bold=bold) <= room:
            lines[-1] = longer
            continue
        *whole, rest = _broken(word, size, room, bold=bold)
        lines += [*whole, rest]
    return lines if lines[0] else lines[1:]


def _broken(word: str, size: float, room: float, *, bold: bool) -> list[str]:
    parts = [""]
    for character in word:
        if parts[-1] and width(parts[-1] + character, size, bold=bold) > room:
            parts.append("")
        parts[-1] += character
    return parts


def _cut(line: str, size: float, room: float, *, bold: bool) -> str:
    while line and width(line + ELLIPSIS, size, bold=bold) > room:
        line = line[:-1]
    return line.rstrip() + ELLIPSIS


def _even(words: Sequence[str], size: float, room: float, count: int, *, bold: bool) -> list[str]:
    """As many lines, about equally long: the narrowest room that still gives no more of them."""
    narrow, wide = 0.0, room
    while wide - narrow > size / 2:
        middle = (narrow + wide) / 2
        if len(_filled(words, size, middle, bold=bold)) <= count and all(
            width(word, size, bold=bold) <= middle or width(word, size, bold=bold) > room for word in words
        ):
            wide = middle
        else:
            narrow = middle
    return _filled(words, size, wide, bold=bold)
