"""
What a file is, by its content; its name is not believed.

    workbook    a zip archive with a workbook in it (.xlsx)
    jsonl       one JSON object per line
    csv         anything else that is text: which encoding, which delimiter, with or without a header

A text is UTF-8 if its bytes allow it, UTF-16 if they look like it, else windows-1252. In a text that is UTF-8 in some
places and broken in others, only the broken rows are.
"""

from __future__ import annotations

import csv
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from schema.errors import Permanent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_HEAD: Final = 64 * 1024
_BOMS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_DELIMITERS: Final = (",", ";", "\t", "|")
_LOOKED_AT: Final = 50
"""Rows that tell the delimiter."""
_UNPACKED: Final = 2 * 1024**3
"""Bytes that a workbook may unpack to."""
_MOST_NULS: Final = 20
"""One byte of so many may be zero in a text of eight bits, by accident; in one of sixteen far more are."""
_TEXT: Final = 0.95
"""The share of a text that can be printed; what is less is not one."""
_NOT_OURS: Final = (
    (b"\xd0\xcf\x11\xe0", "This is an old Excel file (.xls): save it as .xlsx or .csv."),
    (b"\x1f\x8b", "This file is compressed: unpack it first."),
    (b"%PDF", "This is a PDF: export the table it shows as .xlsx or .csv."),
)
_VALUE: Final = re.compile(r"@|^[+-]?[\d.,:/\s-]+$")
"""What no column is called: an address, a number, a date."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a file is to be read. `encoding` and `delimiter` are for texts, `header` for tables."""

    kind: Literal["csv", "jsonl", "workbook"]
    encoding: str = "utf-8"
    delimiter: str = ","
    header: bool = True
    skipped: int = 0
    """Lines before the table that say how it is written (`sep=;`)."""

    @property
    def errors(self) -> str:
        """How bytes that are not in the encoding come through, to be found in their row."""
        return "surrogatepass" if self.encoding.startswith("utf-16") else "surrogateescape"


def shape_of(path: Path) -> Shape:
    """
    Say what a file is.

    :raises Permanent: `file_not_found`, `file_unreadable` with what to do, `no_rows` for an empty one
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except IsADirectoryError as error:
        raise Permanent("file_unreadable", "This is a folder, not a file.") from error
    except FileNotFoundError as error:
        raise Permanent("file_not_found", f"There is no file {path}.") from error
    except OSError as error:
        raise Permanent("file_unreadable", f"The file cannot be opened: {error.strerror}.") from error
    if not head.strip():
        raise no_rows()
    if head.startswith(b"PK\x03\x04"):
        _check_workbook(path)
        return Shape("workbook")
    for start, sentence in _NOT_OURS:
        if head.startswith(start):
            raise Permanent("file_unreadable", sentence)
    encoding = _encoding(path, head)
    errors = Shape("csv", encoding).errors
    text = head.decode(encoding, "replace" if errors == "surrogatepass" else errors)
    return _text_shape(text, encoding, whole=len(head) < _HEAD)


def no_rows() -> Permanent:
    """The error of a file without a row."""
    return Permanent("no_rows", "There is no row in this file.")


def _check_workbook(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            unpacked = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise Permanent("file_unreadable", "This is a zip archive, or a workbook, that is damaged.") from error
    if "xl/workbook.xml" not in names:
        raise Permanent("file_unreadable", "This is a zip archive and not a workbook: unpack it first.")
    if unpacked > _UNPACKED:
        raise Permanent("file_unreadable", "This workbook unpacks to more than 2 GiB: save the sheet as .csv.")


def _encoding(path: Path, head: bytes) -> str:
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    if head.count(0) > len(head) // _MOST_NULS:
        encoding = "utf-16-be" if head[0::2].count(0) > head[1::2].count(0) else "utf-16-le"
        text = head.decode(encoding, "replace")
        if sum(character.isprintable() or character.isspace() for character in text) > len(text) * _TEXT:
            return encoding
        raise Permanent("file_unreadable", "This file is not a text, and not a workbook either.")
    return _eight_bits(path)


def _eight_bits(path: Path) -> str:
    """UTF-8, unless something is no UTF-8 and no line beside it proves that it was meant to be."""
    broken = False
    with path.open("rb") as file:
        for line in file:
            if line.isascii():
                continue
            try:
                line.decode()
            except UnicodeDecodeError:
                broken = True
            else:
                return "utf-8"
    return "cp1252" if broken else "utf-8"


def _text_shape(text: str, encoding: str, *, whole: bool) -> Shape:
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("{"):
        return Shape("jsonl", encoding)
    if start.startswith("["):
        raise Permanent("file_unreadable", "This is a JSON array: write one object per line (.jsonl).")
    if start[:200].lstrip().lower().startswith(("<!doctype", "<html", "<?xml", "<table")):
        raise Permanent("file_unreadable", "This is a web page or XML: save the table as .xlsx or .csv.")
    lines = text.splitlines(keepends=True)
    lines = lines if whole or len(lines) == 1 else lines[:-1]
    said = re.fullmatch(r"\ufeff?sep=(.)\s*", lines[0]) if lines else None
    if said:
        lines = lines[1:]
    delimiter = said[1] if said else _delimiter(lines)
    return Shape("csv", encoding, delimiter, _is_header(_parsed(lines, delimiter)), skipped=1 if said else 0)


def _delimiter(lines: Sequence[str]) -> str:
    """The one that cuts the rows into the most columns of which each row has as many."""

    def agreement(delimiter: str) -> tuple[float, int]:
        found = _parsed(lines, delimiter)
        if not found or len(found[0]) == 1:
            return 0.0, 0
        return sum(len(row) == len(found[0]) for row in found) / len(found), len(found[0])

    best = max(_DELIMITERS, key=agreement)
    return best if agreement(best)[1] else ","


def _parsed(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    found: list[list[str]] = []
    try:
        for row in csv.reader(lines, delimiter=delimiter):
            if any(row):
                found.append(row)
            if len(found) == _LOOKED_AT:
                break
    except csv.Error:
        pass
    return found


def _is_header(found: Sequence[Sequence[str]]) -> bool:
    """Names are neither addresses nor numbers, and most cells have one."""
    cells = [cell.strip() for cell in found[0]] if found else []
    return not any(_VALUE.search(cell) for cell in cells if cell)
