"""Commands on what was promised about tickets: what is due next, and to count it by another calendar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.place import DataDir, engine, read_settings, transaction
from services.cli.terminal import (
    AsJson,
    Cursor,
    DryRun,
    Limit,
    long,
    more,
    print_json,
    print_table,
    read_duration,
    read_moment,
)

if TYPE_CHECKING:
    from datetime import datetime

_CHANGES = (
    ("later", "due later"),
    ("sooner", "due sooner"),
    ("same", "due as before"),
    ("added", "promised that was not before"),
    ("dropped", "promised no more"),
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="Within what time tickets are answered and solved.")
    group.command()(due)
    group.command()(recalculate)
    app.add_typer(group, name="sla", rich_help_panel="Look and change")


def due(
    before: Annotated[
        str | None, typer.Option(help="Only what is due by then: 2h, or a moment as 2026-11-21T09:30Z.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    List what is promised and not kept yet, what is breached for the longest time first; what stands still is left out.

    Example: throughline sla due --before 2h
    """
    from schema.store import clock, clocks

    now = clock.now()
    with transaction(read_settings(data_dir)) as connection:
        items, following = clocks.due(connection, now, before=_moment(before, now), cursor=cursor, limit=limit)
    if as_json:
        print_json({"items": items, "next": following})
        return
    columns = ["ticket", "priority", "owner", "promise", "state", "left", "due", "by"]
    print_table(columns, map(_row, items), empty="Nothing that is promised is due.")
    more(following)


def recalculate(
    journey: Annotated[str | None, typer.Option(help="The journey, where several are active.")] = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Have tickets be counted by the hours and policies of the active version, also those that an earlier one opened.

    What is breached or over stays as it is. A running service does this by itself when a version is activated; what it
    will change is said by --dry-run. Example: throughline sla recalculate --dry-run
    """
    from workers.helpdesk.recalculation import recalculate as count_anew

    with engine(read_settings(data_dir)) as made:
        done = count_anew(made, journey, actor="command line", hint=_nobody, dry_run=dry_run)
    if as_json:
        print_json(done)
    else:
        print("\n".join(words(done)))


def words(done: dict[str, Any]) -> list[str]:
    """What a recalculation changes, in sentences."""
    would = "would be" if done["dry_run"] else "are now"
    name = f"{done['journey']}, version {done['version']}"
    if not done["tickets"] and not done["left"]:
        return [f"Every clock that runs is counted by {name} already."]
    said = [f"{_many(done['tickets'], 'ticket')} {would} counted by {name}."]
    for what, phrase in _CHANGES:
        if number := done["clocks"][what]:
            by = done["most_s"].get(what)
            said.append(f"  {_many(number, 'clock')} {phrase}{f', by up to {long(by)}' if by else ''}")
    if done["clocks"]["breached"]:
        said.append(f"  {_many(done['clocks']['breached'], 'clock')} breached by that")
    if done["left"]:
        said.append(f"{_many(done['left'], 'ticket')} stay as they are: this version does not know their kind.")
    return said


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _row(item: dict[str, Any]) -> list[object]:
    ticket = item["ticket"]
    left = f"-{long(-item['left_s'])}" if item["left_s"] < 0 else long(item["left_s"])
    promise = item["metric"].replace("_", " ")
    number = f"#{ticket['number']}"
    return [number, ticket["priority"], ticket["owner"], promise, item["state"], left, item["due_at"], item["policy"]]


def _moment(before: str | None, now: datetime) -> datetime | None:
    if before is None:
        return None
    return read_moment(before) if "-" in before else now + read_duration(before)


def _nobody(step: str, ids: object) -> None:
    """Workers find what is due by themselves."""
