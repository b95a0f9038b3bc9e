"""The command that writes a report: one page with everything, and the numbers beside it."""

from __future__ import annotations

import os
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, read_settings, transaction

if TYPE_CHECKING:
    from collections.abc import Mapping


def add_to(app: typer.Typer) -> None:
    """Register the command in the group `kpi`, which others add to as well."""
    found = next((each.typer_instance for each in app.registered_groups if each.name == "kpi"), None)
    group = found or typer.Typer(no_args_is_help=True, help="Figures: what happened, in numbers that add up.")
    group.command()(report)
    if found is None:
        app.add_typer(group, name="kpi", rich_help_panel="Look and change")


def report(
    *,
    since: Annotated[
        str | None, typer.Option("--from", help="The first day, as 2026-10-01; without it 30 days before the last.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="The day up to which, itself not counted; without it tomorrow.")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The page. Its numbers go into a folder beside it.")
    ] = Path("report.html"),
    journey: Annotated[str | None, typer.Option("--journey", help="Of which journey, where there are several.")] = None,
    data_dir: DataDir = None,
) -> None:
    """
    Write a report: headline figures, plots, the four diagrams, funnel, cohorts, bottlenecks, campaigns and more.

    It is one page that needs no network, and the same numbers as CSV in report-csv/ beside report.html.
    Example: throughline kpi report --from 2026-10-01 --to 2026-11-01 -o october.html
    """
    from schema.store import clock, kpi_figures
    from schema.store.journeys import JourneyBook
    from services.cli.report.ask import ask
    from services.cli.report.whole import html, sections, tables

    first, last = _day(since), _day(until)
    folder = output.with_name(f"{output.stem}-csv")
    _refuse(output, folder)
    book, now = JourneyBook(), clock.now()
    with transaction(read_settings(data_dir)) as connection:
        about = kpi_figures.journey_of(connection, book, journey)
        connection.rollback()  # all figures are read in one snapshot, which begins with the first of them
        asked = ask(connection, about, book, now, first, last)
    parts = sections(asked)
    _write(output, html(asked, parts, f"{folder.name}/"), folder, tables(asked, parts))
    print(f"{output}: {asked.since} up to {asked.until}, and its numbers in {folder}{os.sep}", file=sys.stderr)
    if asked.as_of is None:
        print("Nothing is counted yet: is a worker for the queue kpi running?", file=sys.stderr)


def _refuse(output: Path, folder: Path) -> None:
    """Say what cannot be written before anything is read. Raises Permanent."""
    if output.is_dir():
        raise Permanent("file_unwritable", f"{output} is a folder: name a file, as in -o {output / 'report.html'}.")
    if not output.parent.is_dir():
        raise Permanent("file_unwritable", f"There is no folder {output.parent}: make it, or write elsewhere with -o.")
    if folder.exists() and not folder.is_dir():
        raise Permanent("file_unwritable", f"{folder} is in the way: the numbers go into a folder of that name.")


def _write(output: Path, page: str, folder: Path, tables: Mapping[str, str]) -> None:
    from services.cli.report.sheets import ENCODING

    try:
        folder.mkdir(exist_ok=True)
        for name, text in tables.items():
            (folder / name).write_text(text, encoding=ENCODING, newline="")
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise Permanent("file_unwritable", f"Cannot write {error.filename or output}: {error.strerror}.") from error


def _day(value: str | None) -> date | None:
    """Read a day. Raises Permanent (`day_invalid`)."""
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise Permanent("day_invalid", "Write a day as 2026-11-21.") from error
