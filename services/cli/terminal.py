"""
What commands print: tables and colours for people on a terminal, tab-separated lines for programs, JSON when asked.

Names and messages come from strangers: no control character of theirs reaches the terminal, and no markup.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from schema.errors import Permanent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from rich.console import Console

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Limit = Annotated[int, typer.Option(min=1, max=200, help="How many.")]
Cursor = Annotated[str | None, typer.Option(help="Read on: `next` of the last answer.")]

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def plain(value: object) -> str:
    """Return a value as one line of harmless text; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return _CONTROL.sub(" ", str(value))


def more(following: str | None) -> None:
    """Say to a person how to read on, where there is more."""
    if following and sys.stdout.isatty():
        print(f"more: --cursor {following}")


def check_ids(**given: str | None) -> None:
    """Raise Permanent (`lead_invalid`, …) for what is given and cannot be an id of ours, by the name of its option."""
    from schema.store.ids import is_id

    for what, value in given.items():
        if value is not None and not is_id(value):
            raise Permanent(f"{what}_invalid", f"{plain(value)} is no {what} of ours; one looks like 0197b2c4-….")


def long(seconds: float) -> str:
    """`2d 4h`, `35m`: a length in its two largest units."""
    left, parts = int(seconds), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2]) or "0s"


def read_duration(value: str) -> timedelta:
    """Read `90d`, `24h`, `15m` or `2w`, as in the journey file. Raises Permanent (`duration_invalid`)."""
    from schema.journey.parts import duration

    try:
        return duration(value)
    except ValueError as error:
        raise Permanent("duration_invalid", "Write a duration as a number and a unit: 15m, 24h, 90d, 2w.") from error


def read_moment(value: str) -> datetime:
    """Read `2026-11-21` or `2026-11-21T09:30Z`, UTC where nothing else is said. Raises Permanent (`moment_invalid`)."""
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise Permanent("moment_invalid", "Write a moment as 2026-11-21 or 2026-11-21T09:30Z.") from error


def console() -> Console:
    """Return the console of stdout."""
    from rich.console import Console

    return Console(highlight=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows under their columns; on a terminal `empty` says that there are none."""
    texts = [[plain(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in (columns, *texts):
            print("\t".join(line))
        return
    if not texts:
        print(empty)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for line in texts:
        table.add_row(*map(Text, line))
    console().print(table)


def print_fields(fields: dict[str, object]) -> None:
    """Print named values, one per line."""
    width = max(map(len, fields))
    for name, value in fields.items():
        print(f"{name:<{width}}  {plain(value)}" if sys.stdout.isatty() else f"{name}\t{plain(value)}")


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    """Print a value as JSON, indented on a terminal."""
    import msgspec

    written = msgspec.json.encode(value)
    print((msgspec.json.format(written, indent=2) if sys.stdout.isatty() else written).decode())
