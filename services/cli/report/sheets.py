"""
Tables as CSV that a spreadsheet opens without harm: no cell is taken for a formula, numbers are plain.

With a byte order mark, without which Excel reads UTF-8 as something else.
"""

from __future__ import annotations

import csv
import io
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from services.cli.report.parts import Table

ENCODING: Final = "utf-8-sig"
_RISKY: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet takes a cell that begins so for a formula; some take off blanks first."""


def written(table: Table) -> str:
    """The table as CSV, with all its columns but those of the page alone."""
    kept = [at for at, column in enumerate(table.columns) if column.sheet]
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow([table.columns[at].key for at in kept])
    for row in table.rows:
        writer.writerow([_plain(row[at].value) for at in kept])
    return target.getvalue()


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    if isinstance(value, str):
        return f"'{value}" if value.lstrip(" ").startswith(_RISKY) else value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return round(value, 6)
    return value.isoformat() if isinstance(value, date | datetime) else value
