"""Commands on journey versions: switch one on, go back, list them, and have leads follow another one."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schema.errors import Permanent
from services.cli.journey import WHICH, journey_texts, read_journey
from services.cli.place import DataDir, engine, read_settings, transaction
from services.cli.terminal import AsJson, DryRun, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from schema.store.switch import Switched


def add_to(journeys: typer.Typer) -> None:
    """Register the commands."""
    for command in (activate, rollback, versions, migrate):
        journeys.command()(command)


def activate(
    journey: Annotated[str, typer.Argument(help=f"{WHICH}.")],
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Have new leads follow a journey file, which is kept as a version; leads under way stay with theirs.

    Says what changes, and how many leads stay with which version. Example: throughline journey activate my.yaml
    """
    from schema.store import clock, journeys, switch

    [text] = journey_texts([journey], data_dir)
    read_journey(text, journey)  # says what is wrong with it
    with transaction(read_settings(data_dir), dry_run=dry_run) as connection:
        switched = switch.activate(connection, journeys.store(connection, text, clock.now()), clock.now())
    _print_switched(switched, dry_run=dry_run, as_json=as_json)


def rollback(
    name: Annotated[str | None, typer.Argument(help="The journey's name. None: the one that is active.")] = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Have new leads follow the version that was active before this one; again: the one before that.

    Example: throughline journey rollback
    """
    from schema.store import clock, journeys, switch

    with transaction(read_settings(data_dir), dry_run=dry_run) as connection:
        wanted = name or journeys.active_name(connection)
        switched = switch.roll_back(connection, wanted, clock.now())
    _print_switched(switched, dry_run=dry_run, as_json=as_json)


def versions(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    List the versions of all journeys: when they were active, and how many open leads follow each.

    Example: throughline journey versions --json
    """
    from schema.store import journeys

    with transaction(read_settings(data_dir)) as connection:
        found = journeys.versions(connection)
    if as_json:
        print_json({"items": found})
        return
    columns = ["version", "journey", "", "open leads", "stored", "active"]
    rows = [
        [entry["version"], entry["name"], "active" if entry["active"] else "", entry["open_leads"],
         entry["created_at"], _when(entry["activations"])]
        for entry in found
    ]  # fmt: skip
    print_table(columns, rows, empty="No journey is stored yet.")


def migrate(  # noqa: PLR0913 - its options
    *,
    from_: Annotated[list[str] | None, typer.Option("--from", metavar="VERSION", help="Leads of this version.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Leads of every other version of the journey.")] = False,
    to: Annotated[str, typer.Option(metavar="VERSION", help="The version to follow, or `active`.")] = "active",
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OLD=NEW", help="What a state is called in the new version, if not the same."),
    ] = None,
    closed: Annotated[bool, typer.Option("--closed", help="Closed leads too; they stay closed.")] = False,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Have the open leads of a version follow another one; they are scored and routed anew, by its rules.

    What it would do says `--dry-run`. Interrupted, it goes on when it is run again. Leads stay in their state, and with
    their owner if the new version knows them. Example: throughline journey migrate --all --dry-run
    """
    from schema.store import journeys
    from workers.migration import migrate_leads

    if bool(from_) == all_:
        raise Permanent("versions_not_named", "Say whose leads: --from VERSION, or --all for every other version.")
    names = dict(map(_pair, map_ or ()))
    with engine(read_settings(data_dir)) as made, _progress(shown=not dry_run) as tell:
        with made.begin() as connection:
            target = to if to != "active" else _active(connection, from_)
        report = migrate_leads(
            made, target, from_ or (), names, actor=journeys.COMMAND_LINE, closed=closed, dry_run=dry_run, tell=tell
        )
    if as_json:
        print_json(report)
    else:
        _print_migration(report)
    if report["stuck"] or (report["left"] and not dry_run):
        raise typer.Exit(1)


# -- switching ---------------------------------------------------------------------------------------------------------


def _print_switched(switched: Switched, *, dry_run: bool, as_json: bool) -> None:
    from schema.journey.diff import printed

    if as_json:
        print_json(switched.report() | {"dry_run": dry_run})
        return
    which = f"{switched.journey.name} {switched.journey.version}"
    if not switched.changed:
        print(f"{which} is active already")
        return
    instead = f", instead of {switched.before}" if switched.before else ""
    print(f"{'would activate' if dry_run else 'activated'} {which}{instead}")
    if switched.before:
        found = switched.differences
        print()
        print(f"{switched.before} cannot be read: what changes is not known.\n" if found is None else printed(found))
    for version, leads in switched.staying.items():
        print(f"{_leads(leads)} with {version}. To have them follow this one, see what that does:")
        print(f"  throughline journey migrate --from {version} --to {switched.journey.version} --dry-run")


def _when(activations: list[dict[str, Any]]) -> str:
    spans = [
        f"{entry['at']:%Y-%m-%d %H:%M} - " + (f"{entry['until']:%Y-%m-%d %H:%M}" if entry["until"] else "now")
        for entry in activations
    ]
    return ", ".join(spans) or "never"


# -- migrating ---------------------------------------------------------------------------------------------------------


def _active(connection: Connection, leave: list[str] | None) -> str:
    """Return the active version of the journey that the leads are on; of the only active one if that is not said."""
    from schema.store import journeys, reading

    if not leave:
        return journeys.active_version(connection, journeys.active_name(connection))
    known = reading.journey(connection, leave[0])
    if known is None:
        raise Permanent("journey_unknown", f"There is no version {leave[0]}; `throughline journey versions` lists all.")
    return journeys.active_version(connection, known["name"])


def _pair(given: str) -> tuple[str, str]:
    old, equals, new = given.partition("=")
    if not (old and equals and new):
        raise Permanent("map_invalid", f"Write --map as OLD=NEW, the state's old and new name; not {given}.")
    return old, new


@contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how far a migration is."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield lambda _done, _all: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("migrating leads", total=None)
        yield lambda done, of_all: bar.update(task, completed=done, total=of_all)


def _print_migration(report: dict[str, Any]) -> None:
    from workers.migration import stuck_in_words

    which = f"{report['journey']} {report['to']}"
    if report["dry_run"]:
        would = "could not yet" if report["stuck"] else "would"
        print(f"{would} have {_count(report['leads'], 'lead')} follow {which}")
    else:
        print(f"{_count(report['migrated'], 'lead')} now follow{'s' * (report['migrated'] == 1)} {which}")
    rows = [
        [each["version"], each["from"], each["to"] or "?", each["leads"], _remark(each)] for each in report["states"]
    ]
    if rows:
        print()
        print_table(["of version", "from", "to", "leads", ""], rows, empty="")
    for lost in report["owners"]:
        print(
            f"{_count(lost['leads'], 'lead')} of {lost['owner']}, whom it does not know: given to somebody by its rules"
        )
    for lost in report["pools"]:
        print(f"{_count(lost['leads'], 'lead')} of pool {lost['pool']}, which it does not have: routed by its rules")
    for stuck in report["stuck"]:
        print(f"throughline: {stuck_in_words(stuck)}", file=sys.stderr)
    if report["left"] and not report["dry_run"]:
        words = "left: workers had them in hand, or they came meanwhile. Run it again"
        print(f"throughline: {_count(report['left'], 'lead')} {words}.", file=sys.stderr)


def _remark(each: dict[str, Any]) -> str:
    return "closes them" if each["closes"] else "" if each["open"] else "closed"


def _leads(number: int) -> str:
    return f"{number} open lead{'s stay' if number != 1 else ' stays'}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
