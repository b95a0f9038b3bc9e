"""
The rows of a file, one after the other, however large it is.

A row that cannot be used is a row all the same: it carries the code of what is wrong with it, and the next one follows.
Only what makes every further row doubtful ends the file: a quote that is never closed, or an archive that is damaged.
"""

from __future__ import annotations

import csv
import re
import warnings
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schema.errors import Permanent
from schema.payload import LIMITS
from services.importing.sniff import Shape, no_rows, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from schema.payload import JSON

LONGEST_CELL: Final = 131_072
"""Characters; what is longer is no cell of a table of leads."""
_MOST_LINES: Final = 1000
"""Lines in one row: with more, a quote was opened that nobody closed."""
_LAST_ROW: Final = 1_048_576
"""Rows of a sheet, in every program that writes workbooks."""
_LARGEST_ROW: Final = 16 * 1024 * 1024
_UNDECODABLE: Final = re.compile("[\ud800-\udfff]")
_ERRORS: Final = frozenset({"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#GETTING_DATA"})
JSON_TYPE: Final = "application/json"
ROW_ERRORS: Final = {
    "cell_error": "a cell holds an error of the spreadsheet, such as #REF!",
    "csv_syntax": "a quote stands where none may",
    "row_too_large": "the row is larger than any lead",
    "too_long": "a cell is longer than 131,072 characters",
    "too_many_cells": "the row has more cells than there are columns",
    "undecodable": "the row is not in the file's encoding",
}
"""What makes a row unusable before anybody reads it, each with its meaning."""

csv.field_size_limit(_LARGEST_ROW)  # ours, below, names the row and goes on


@dataclass(slots=True)
class Row:
    """
    One row: its number as a spreadsheet counts (the header is 1), and its cells by column, empty ones left out.

    `body` is what is kept of it, as `content_type`. With an `error`, one of `ROW_ERRORS`, it goes no further.
    """

    number: int
    values: dict[str, JSON] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = JSON_TYPE
    error: str = ""


class Rows:
    """
    A file's rows; iterate as often as needed.

    :raises Permanent: as `shape_of`; while iterating `file_unreadable`, `quote_unterminated`, `no_rows`
    """

    def __init__(self, path: Path, *, sheet: str | None = None) -> None:
        self._path = path
        self._sheet = sheet
        self.shape: Shape = shape_of(path)
        if sheet is not None and self.shape.kind != "workbook":
            raise Permanent("sheet_unknown", "Only a workbook has sheets.")
        self.columns: tuple[str, ...] = self._columns()
        """In their order; none for `jsonl`, where each row names its own."""

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows."""
        found = False
        for row in self._each():
            found = True
            yield row
        if not found:
            raise no_rows()

    def count(self) -> int | None:
        """
        Count a text's rows, so that what ends the file is known before anything is stored.

        None for a workbook, which is slow to read: that it has a row is known all the same, not what is damaged below.
        """
        if self.shape.kind != "workbook":
            return sum(1 for _ in self)
        next(iter(self))
        return None

    def _each(self) -> Iterator[Row]:
        if self.shape.kind == "workbook":
            return self._of_workbook()
        return self._of_lines() if self.shape.kind == "jsonl" else self._of_table()

    def _columns(self) -> tuple[str, ...]:
        if self.shape.kind == "jsonl":
            return ()
        first = next((cells for _, cells in self._cells() if isinstance(cells, list) and any(cells)), None)
        if first is None:
            raise no_rows()
        return _names(first if self._has_header(first) else [None] * len(first))

    def _has_header(self, first: Sequence[Any]) -> bool:
        return self.shape.header and all(isinstance(cell, str | None) for cell in first)

    def _cells(self) -> Iterator[tuple[int, list[Any] | str]]:
        return self._workbook_cells() if self.shape.kind == "workbook" else self._table_cells()

    def _of_table(self) -> Iterator[Row]:
        header = self.shape.header
        for number, cells in self._table_cells():
            if isinstance(cells, str):
                code, _, raw = cells.partition("\0")
                yield Row(number, body=self._bytes(raw), content_type="text/csv", error=code)
            elif not any(cells):
                continue
            elif header:
                header = False
            else:
                yield self._row(number, cells)

    def _of_workbook(self) -> Iterator[Row]:
        first = True
        for number, cells in self._workbook_cells():
            if all(cell is None or cell == "" for cell in cells):
                continue
            if first and self._has_header(cells):
                first = False
                continue
            first = False
            row = self._row(number, [_plain(cell) for cell in cells])
            if not row.error and any(isinstance(cell, str) and cell in _ERRORS for cell in cells):
                row.error = "cell_error"
            yield row

    def _of_lines(self) -> Iterator[Row]:
        for number, line in enumerate(self._lines(), 1):
            text = line.strip()
            if not text:
                continue
            if _UNDECODABLE.search(text):
                yield Row(number, body=self._bytes(text), content_type="text/plain", error="undecodable")
                continue
            body = text.encode()
            if len(body) > LIMITS.bytes:
                yield Row(number, body=body, error="row_too_large")
                continue
            try:
                values = msgspec.json.decode(body)
            except (msgspec.MsgspecError, RecursionError):
                values = {}  # whoever reads the receipt says what is wrong with it
            yield Row(number, values if isinstance(values, dict) else {}, body)

    def _row(self, number: int, cells: Sequence[JSON]) -> Row:
        columns = self.columns
        extra = cells[len(columns) :]
        named: list[tuple[str, JSON]] = [*zip(columns, cells, strict=False)]
        named += [(f"column {at}", cell) for at, cell in enumerate(extra, len(columns) + 1)]
        values: dict[str, JSON] = {name: cell for name, cell in named if cell is not None and cell != ""}
        texts = [cell for cell in values.values() if isinstance(cell, str)]
        if any(_UNDECODABLE.search(text) for text in texts if not text.isascii()):
            raw = self.shape.delimiter.join(str(cell or "") for cell in cells)
            return Row(number, body=self._bytes(raw), content_type="text/csv", error="undecodable")
        body = msgspec.json.encode(values)
        row = Row(number, values, body)
        if any(extra):
            row.error = "too_many_cells"
        elif any(len(text) > LONGEST_CELL for text in texts):
            row.error = "too_long"
        elif len(body) > LIMITS.bytes:
            row.error = "row_too_large"
        return row

    def _bytes(self, text: str) -> bytes:
        """The bytes that a text was read from."""
        encoding = "utf-16-le" if self.shape.encoding == "utf-16" else self.shape.encoding
        return text.encode(encoding, self.shape.errors)

    def _lines(self) -> Iterator[str]:
        shape = self.shape
        with self._path.open(encoding=shape.encoding, errors=shape.errors, newline="") as file:
            for _ in range(shape.skipped):
                file.readline()
            try:
                while line := file.readline(_LARGEST_ROW):
                    if len(line) == _LARGEST_ROW:
                        raise Permanent("file_unreadable", "A line is longer than 16 MiB: this is no table of leads.")
                    yield line
            except UnicodeDecodeError as error:
                raise Permanent("file_unreadable", "The file ends in the middle of a character.") from error

    def _table_cells(self) -> Iterator[tuple[int, list[Any] | str]]:
        """Give each row's number and cells, or for one that cannot be cut into cells its code and text, NUL between."""
        taken: list[str] = []
        lines = _Guarded(self._lines(), taken, self.shape.skipped)
        reader = csv.reader(lines, delimiter=self.shape.delimiter, strict=True)
        number = self.shape.skipped
        while True:
            taken.clear()
            number += 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if lines.ended:
                    raise _unterminated(lines.number - len(taken) + 1) from error
                yield number, "csv_syntax\0" + "".join(taken)
            else:
                if number == 1 and cells:
                    cells[0] = cells[0].removeprefix("\ufeff")
                yield number, cells

    def _workbook_cells(self) -> Iterator[tuple[int, list[Any]]]:
        import openpyxl  # noqa: PLC0415 - only workbooks pay for it

        # By its name a file would be believed.
        with warnings.catch_warnings(), self._path.open("rb") as file, _damage_told():
            warnings.simplefilter("ignore")  # about styles and validations, which nobody reads here
            book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
            with closing(book):
                sheet = _sheet(book, self._sheet)
                sheet.reset_dimensions()  # what a file says of its own size is often wrong
                for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
                    if number > _LAST_ROW:  # the rows up to a number that somebody made up are counted one by one
                        raise _damaged()
                    yield number, _trimmed(cells)


class _Guarded:
    """Lines for the parser, kept while their row is not complete; too many are a quote that nobody closed."""

    def __init__(self, lines: Iterator[str], taken: list[str], skipped: int) -> None:
        self._lines = lines
        self._taken = taken
        self.number = skipped
        self.ended = False

    def __iter__(self) -> _Guarded:
        return self

    def __next__(self) -> str:
        taken = self._taken
        if len(taken) > _MOST_LINES or (len(taken) > 1 and sum(map(len, taken)) > _LARGEST_ROW):
            raise _unterminated(self.number - len(taken) + 1)
        try:
            line = next(self._lines)
        except StopIteration:
            self.ended = True
            raise
        self.number += 1
        taken.append(line)
        return line


@contextmanager
def _damage_told() -> Iterator[None]:
    """Whatever the library makes of a damaged workbook: it trusts what it reads, and fails in many ways."""
    try:
        yield
    except (Permanent, MemoryError):
        raise
    except Exception as error:
        raise _damaged() from error


def _damaged() -> Permanent:
    return Permanent("file_unreadable", "The workbook is damaged: open it and save it again.")


def _unterminated(line: int) -> Permanent:
    return Permanent(
        "quote_unterminated",
        f"Line {line}: a quote is opened in the row that begins here and never closed; nothing was imported.",
        line=line,
    )


def _sheet(book: Any, name: str | None) -> Any:  # noqa: ANN401 - openpyxl's own
    if name is None:
        return book.worksheets[0]
    if name not in book.sheetnames:
        raise Permanent("sheet_unknown", f"There is no sheet of that name; there are: {', '.join(book.sheetnames)}.")
    return book[name]


def _trimmed(cells: Sequence[Any]) -> list[Any]:
    """The cells up to the last one that holds something."""
    end = len(cells)
    while end and cells[end - 1] in (None, ""):
        end -= 1
    return list(cells[:end])


def _plain(value: object) -> JSON:
    """A cell of a workbook as JSON: moments as ISO 8601, whole numbers without a point."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta | Decimal):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _names(cells: Sequence[str | None]) -> tuple[str, ...]:
    """Names for the columns: one without has its number, one that is there twice has it too."""
    names: list[str] = []
    for at, cell in enumerate(cells, 1):
        name = " ".join((cell or "").split())[: LIMITS.key - 10] or f"column {at}"
        names.append(name if name not in names else f"{name} {at}")
    return tuple(names)
