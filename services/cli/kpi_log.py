"""Any event log, read from a file: which case, what was done and when, for the process that it shows."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from schema.errors import Permanent
from schema.kpi.discovered import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from services.importing.sniff import Shape

MOST_ROWS: Final = 5_000_000
"""Rows of one file: they are gathered in memory, since those of a case may stand anywhere."""
_LONGEST: Final = 200
_EXAMPLE: Final = datetime(2026, 11, 21, 13, 14, 15, tzinfo=UTC)
_MEANINGS: Final[Mapping[str, frozenset[str]]] = {
    "case": frozenset({"case", "caseid", "caseconceptname", "ticket", "ticketid", "trace", "traceid", "leadid"}),
    "activity": frozenset({"activity", "activityid", "activityname", "conceptname", "event", "eventname", "action"}),
    "time": frozenset(
        {"time", "timestamp", "timetimestamp", "completetimestamp", "completetime", "endtime", "at", "occurredat"}
    ),
}
"""What columns are usually called, written small and without signs."""


class LogFile:
    """A log in a file; its entries in the file's order. `refused` counts rows left out, by code, while it is read."""

    def __init__(self, path: Path, given: Sequence[str], zone: tzinfo, form: str | None = None) -> None:
        """
        Look at the file's columns; `given` are `COLUMN=meaning`, and what is not given goes by the usual names.

        Times are ISO 8601, or of a `form` as strptime reads it; those that name no zone are of `zone`.

        :raises Permanent: `map_invalid`, `columns_unknown`, `format_invalid`; as `Rows`
        """
        from services.importing.reading import Rows

        self._path = path
        self._rows = Rows(path)
        self._zone = zone
        self._form = _checked(form)
        self.columns: dict[str, str] = _columns(given, self._rows.columns)
        self.refused: dict[str, int] = {}
        self.first_refused: dict[str, int] = {}

    def __iter__(self) -> Iterator[Entry]:
        """
        Yield the entries.

        :raises Permanent: `file_too_large`, `file_unreadable`
        """
        kept: dict[str, str] = {}
        for number, (case, activity, time) in self._cells():
            if number > MOST_ROWS + 1:
                raise Permanent("file_too_large", f"The file has more than {MOST_ROWS:,} rows: cut it by case.")
            if not case or not activity:
                self._refuse("case_missing" if not case else "activity_missing", number)
            elif (at := self._moment(time)) is None:
                self._refuse("time_invalid", number)
            else:
                yield Entry(case[:_LONGEST], kept.setdefault(activity, activity[:_LONGEST]), at)

    def _moment(self, value: str) -> datetime | None:
        """A moment as the file writes it; one that names no zone is of the file's."""
        from schema.draft import moment

        if self._form is None:
            return moment(value.replace("/", "-", 2) if value[4:5] == "/" else value, self._zone)[0]
        try:
            found = datetime.strptime(value, self._form)  # noqa: DTZ007 - the zone follows
        except ValueError:
            return None
        return found if found.tzinfo else found.replace(tzinfo=self._zone)

    def _refuse(self, code: str, number: int) -> None:
        self.refused[code] = self.refused.get(code, 0) + 1
        self.first_refused.setdefault(code, number)

    def _cells(self) -> Iterator[tuple[int, tuple[str, str, str]]]:
        """The three cells of each row, with its number; tables of text the quick way, since logs are long."""
        shape, columns = self._rows.shape, self.columns
        if shape.kind == "csv" and shape.header:
            places = [self._rows.columns.index(columns[name]) for name in ("case", "activity", "time")]
            yield from _table(self._path, shape, places)
            return
        for row in self._rows:
            case, activity, time = (row.values.get(columns[name]) for name in ("case", "activity", "time"))
            yield row.number, (_text(case), _text(activity), _text(time))


def _table(path: Path, shape: Shape, places: Sequence[int]) -> Iterator[tuple[int, tuple[str, str, str]]]:
    case, activity, time = places
    most = max(places)
    with path.open(encoding=shape.encoding, errors="replace", newline="") as file:
        for _ in range(shape.skipped):
            file.readline()
        reader = csv.reader(file, delimiter=shape.delimiter)
        number = shape.skipped
        header = True
        try:
            for cells in reader:
                number += 1
                if not any(cells):
                    continue
                if header:
                    header = False
                    continue
                there = cells if len(cells) > most else [*cells, *[""] * most]
                yield number, (there[case].strip(), there[activity].strip(), there[time].strip())
        except csv.Error as error:
            raise Permanent("file_unreadable", f"Line {number + 1} cannot be read as a row of a table.") from error


def _columns(given: Sequence[str], there: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in (part.strip() for written in given for part in written.split(",")):
        column, sign, meaning = each.rpartition("=")
        if not (sign and column) or meaning not in _MEANINGS or meaning in found:
            words = "Write each --map as COLUMN=meaning, with case, activity and time once: CaseID=case."
            raise Permanent("map_invalid", words)
        found[meaning] = column
    for meaning, usual in _MEANINGS.items():
        fits = [column for column in there if re.sub(r"[^a-z]", "", column.lower()) in usual]
        if meaning not in found and len(fits) == 1:
            found[meaning] = fits[0]
    has = f"the file has {', '.join(there[:20])}" if there else "name them, since every row of this file names its own"
    if missing := [name for name in _MEANINGS if name not in found]:
        words = f"Say which column is the {' and which the '.join(missing)}, as in --map CaseID=case; {has}."
        raise Permanent("map_invalid", words)
    if there and (unknown := [column for column in found.values() if column not in there]):
        raise Permanent("columns_unknown", f"There is no column {' and none called '.join(unknown)}; {has}.")
    return found


def _checked(form: str | None) -> str | None:
    """A form of times that has a day and can be read. Raises Permanent."""
    if form is None:
        return None
    try:
        datetime.strptime(_EXAMPLE.strftime(form), form)  # noqa: DTZ007 - only whether it can be read
    except (ValueError, re.error) as error:
        words = "Write the form of times as in '%d.%m.%Y %H:%M:%S': %Y year, %m month, %d day, %H:%M:%S."
        raise Permanent("format_invalid", words) from error
    return form


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
