"""The command that has people under way in a campaign go on by another version of it."""

from __future__ import annotations

from typing import Annotated

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, engine, read_settings
from services.cli.terminal import AsJson, DryRun, print_json, print_table


def migrate(  # noqa: PLR0913 - its options
    name: Annotated[str, typer.Argument(help="What the journey calls the campaign.")],
    *,
    to: Annotated[str, typer.Option(metavar="VERSION", help="The version to go on by, or `active`.")] = "active",
    from_: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="VERSION", help="Only who is in this version. Default: any other."),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OLD=NEW", help="What a step is called in the new version, if not the same."),
    ] = None,
    leave: Annotated[
        bool, typer.Option("--leave", help="Who is at a step that the new version does not have leaves the campaign.")
    ] = False,
    journey: Annotated[
        str | None, typer.Option("--journey", help="The journey, where several have such a campaign.")
    ] = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Have who is under way in a campaign go on by another version of it; else they stay with the one they entered.

    Everybody stays at their step, which is found by its name. Example: throughline campaigns migrate warm_up --dry-run
    """
    from schema.store import campaigns
    from workers.campaigns.follow import follow

    names = dict(map(_pair, map_ or ()))
    with engine(read_settings(data_dir)) as made:
        with made.begin() as connection:
            place = campaigns.find(connection, name, journey)
        if to == "active" and place.journey is None:
            raise Permanent("campaign_over", f"{name} is in no active version any more: say which with --to.")
        version = place.journey.version if to == "active" and place.journey else to
        report = follow(made, place, version, names, versions=from_ or (), leave=leave, dry_run=dry_run)
    if as_json:
        print_json(report)
    else:
        nowhere = "leave" if leave else "nowhere: give it with --map, or --leave"
        rows = [[s["version"], s["step"], s["to"] or nowhere, s["people"]] for s in report["steps"]]
        print_table(["version", "step", "goes to", "people"], rows, empty="Nobody is under way in another version.")
        print(f"{report['people']} would move." if dry_run else f"{report['moved']} moved, {report['left']} left.")
    if dry_run and report["stuck"] and not leave:
        raise typer.Exit(1)


def _pair(value: str) -> tuple[str, str]:
    old, separator, new = value.partition("=")
    if not (old and separator and new):
        raise Permanent("map_invalid", "Write --map OLD=NEW, as in --map second=other.")
    return old, new
