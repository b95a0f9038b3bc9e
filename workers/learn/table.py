"""
A table of somebody's own as examples: a CSV file with one lead in each row and a column that says which were won.

It is what `throughline score train --table` tries a history on before any of it is loaded.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from schema.draft import moment
from schema.draft_words import NO, YES
from schema.errors import Permanent
from schema.journey.fields import nearest
from workers.decide.predict import tidy
from workers.learn.examples import Examples

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_WON: Final = YES | {"won", "closed won", "converted"}
_LOST: Final = NO | {"lost", "closed lost", "not converted"}
_NOTHING: Final = frozenset({"", "na", "n/a", "nan", "none", "null", "-"})
"""What stands in tables where nothing is known, in lower case."""
_MOST_UNREADABLE: Final = 0.05


def read_table(file: Path, won: str, when: str | None = None) -> Examples:
    """
    Read a table. `won` says yes or no for each row, or is a date where there is one for those won and none else.

    `when` is when each lead arrived; without it the rows are taken to be in order of time. Rows without a readable
    outcome or moment are left out and counted.

    :raises Permanent: `file_unreadable`, `file_not_text`, `table_empty`, `column_unknown`, `won_unclear`,
        `when_unclear`
    """
    rows = _rows(file)
    names = list(rows[0])
    for name in filter(None, (won, when)):
        if name not in names:
            there = ", ".join(names)
            close = nearest(name, names) or "."
            raise Permanent("column_unknown", f"{file} has no column {name}{close} It has: {there}.")
    labels = _labels([row[won] for row in rows], won)
    moments = _moments([row[when] for row in rows], when) if when else _counted(len(rows))
    examples = Examples()
    without_moment = 0
    for row, label, at in zip(rows, labels, moments, strict=True):
        if label is None:
            examples.undecided += 1
        elif at is None:
            without_moment += 1
        else:
            examples.add_lead(won=label, arrived=at)
            seen = {name: tidy(value) for name, value in row.items() if name not in {won, when}}
            examples.add_row({name: value for name, value in seen.items() if value not in _NOTHING})
    if without_moment:
        examples.notes.append(f"{without_moment} rows were left out: no moment could be read from {when}")
    if not when:
        examples.notes.append("the rows were taken to be in order of time, the oldest first: --when names a column")
    return examples


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            sample = opened.readline()
            delimiter = max(",;\t", key=sample.count)
            opened.seek(0)
            found = list(csv.DictReader(opened, delimiter=delimiter, restkey="", restval=""))
    except OSError as error:
        raise Permanent("file_unreadable", f"Cannot read {file}: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise Permanent("file_not_text", f"{file} is not a CSV file in UTF-8.") from error
    if not found:
        raise Permanent("table_empty", f"{file} has no rows below its header.")
    return [{name: value for name, value in row.items() if name} for row in found]


def _labels(values: Sequence[str], column: str) -> list[bool | None]:
    texts = [tidy(value) for value in values]
    said = {text for text in texts if text not in _NOTHING - _LOST}
    if said <= _WON | _LOST and said & _WON and said & _LOST:
        return [True if text in _WON else False if text in _LOST else None for text in texts]
    if said <= _WON or (said and all(moment(value)[0] for value in set(values) if tidy(value) not in _NOTHING)):
        return [text not in _NOTHING for text in texts]
    raise Permanent(
        "won_unclear",
        f"The column {column} does not say who was won: write yes or no, 1 or 0, true or false, won or lost; or a date "
        "for those won and nothing for the others.",
    )


def _moments(values: Sequence[str], column: str) -> list[datetime | None]:
    found = [moment(value)[0] for value in values]
    if found.count(None) > _MOST_UNREADABLE * len(found):
        raise Permanent(
            "when_unclear", f"The column {column} does not say when: write dates as 2026-01-31 or 2026-01-31T12:00:00Z."
        )
    return found


def _counted(number: int) -> list[datetime | None]:
    """Moments that only keep the order."""
    start = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
    return [datetime.fromtimestamp(start + index, UTC) for index in range(number)]
