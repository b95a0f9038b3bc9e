"""What became of each row, as a file that a spreadsheet can open without running anything that is in it."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Final, Self

from schema.errors import Permanent

if TYPE_CHECKING:
    from pathlib import Path

    from schema.payload import JSON

_BEGINS_A_FORMULA: Final = tuple("=+-@\t\r\n＝＋－＠|")  # noqa: RUF001 - the wide forms are formulas too
COLUMNS: Final = ("row", "touchpoint", "outcome", "reason", "receipt", "lead")


def safe(value: object) -> str:
    """
    A cell that no spreadsheet takes for a formula: an apostrophe goes before what could begin one.

    Plain numbers stay as they are.
    """
    text = "" if value is None else str(value)
    if not text.lstrip(" \u00a0").startswith(_BEGINS_A_FORMULA) or isinstance(value, int | float):
        return text
    return f"'{text}"


class Outcomes:
    """
    Writes the file; it is complete once it is closed. The columns of the import follow ours.

    :raises Permanent: `outcome_unwritable`
    """

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self._columns = columns
        try:
            self._file = path.open("w", encoding="utf-8-sig", newline="")
        except OSError as error:
            raise Permanent("outcome_unwritable", f"{path} cannot be written: {error.strerror}.") from error
        self._writer = csv.writer(self._file)
        self._writer.writerow([*COLUMNS, *map(safe, columns)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, told: tuple[object, ...], values: dict[str, JSON]) -> None:
        """Add a row: `COLUMNS`, then its own cells."""
        self._writer.writerow([*map(safe, told), *(safe(values.get(column)) for column in self._columns)])
