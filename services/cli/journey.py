"""Commands on journeys: check a file, show a version, switch one on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, read_settings, transaction
from services.cli.terminal import AsJson, DryRun, print_json, print_table

if TYPE_CHECKING:
    from schema.journey import Journey, Problem

SHIPPED = "default (shipped)"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    journeys = typer.Typer(no_args_is_help=True, help="The file that says how leads travel.")
    for command in (check, show, activate):
        journeys.command()(command)
    app.add_typer(journeys, name="journey", rich_help_panel="Look and change")


def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Journey files. None: the shipped one.")] = None,
    as_json: AsJson = False,
) -> None:
    """
    Say what is wrong with journey files, by line; exit status 1 if anything is.

    Needs no database. Example: throughline journey check my.yaml
    """
    found = [_checked(str(file), _read(file)) for file in files] if files else [_checked_shipped()]
    if as_json:
        print_json(found)
    else:
        _print_checks(found)
    if any(entry["problems"] for entry in found):
        raise typer.Exit(1)


def show(
    version: Annotated[str | None, typer.Argument(help="A version. None: the active one.")] = None,
    versions: Annotated[bool, typer.Option("--versions", help="List all versions instead.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Print a stored journey as it was written, or list the versions.

    Example: throughline journey show --versions
    """
    from schema.store import reading

    with transaction(read_settings(data_dir)) as connection:
        known = reading.journeys(connection)
        wanted = version or next((entry["version"] for entry in known if entry["active"]), "")
        document = None if versions else reading.journey(connection, wanted)
    if versions:
        _print_versions(known, as_json=as_json)
    elif document is None:
        raise Permanent("journey_unknown", "There is no such version; `throughline journey show --versions` lists all.")
    elif as_json:
        print_json(document)
    else:
        sys.stdout.write(document["document"])


def activate(
    file: Annotated[Path, typer.Argument(help="The journey file.")],
    data_dir: DataDir = None,
    dry_run: DryRun = False,
) -> None:
    """
    Keep a journey file as a version and have new leads follow it; leads under way stay with theirs.

    Example: throughline journey activate my.yaml --dry-run
    """
    from schema.journey import JourneyInvalid
    from schema.store import clock, journeys, reading

    document = _read(file)
    with transaction(read_settings(data_dir), dry_run=dry_run) as connection:
        before = {entry["name"]: entry["version"] for entry in reading.journeys(connection) if entry["active"]}
        try:
            journey = journeys.store(connection, document, clock.now())
        except JourneyInvalid as error:
            _print_checks([{"file": str(file), "problems": [_problem(problem) for problem in error.problems]}])
            raise typer.Exit(1) from error
        journeys.activate(connection, journey, clock.now())
    print(_switched(journey, before.get(journey.name), dry_run=dry_run))


def _switched(journey: Journey, before: str | None, *, dry_run: bool) -> str:
    if before == journey.version:
        return f"{journey.name} {journey.version} is active already"
    instead = f", instead of {before}" if before else ""
    return f"{'would activate' if dry_run else 'activated'} {journey.name} {journey.version}{instead}"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise Permanent("file_unreadable", f"Cannot read {file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Permanent("file_not_text", f"{file} is not UTF-8 text.") from error


def _checked_shipped() -> dict[str, Any]:
    from schema.journey import default_text

    return _checked(SHIPPED, default_text())


def _checked(name: str, text: str) -> dict[str, Any]:
    from schema.journey import JourneyInvalid, load

    try:
        journey = load(text)
    except JourneyInvalid as error:
        return {"file": name, "problems": [_problem(problem) for problem in error.problems]}
    return {"file": name, "journey": journey.name, "version": journey.version, "problems": []}


def _problem(problem: Problem) -> dict[str, Any]:
    return {"line": problem.line, "path": problem.path, "message": problem.message, "text": str(problem)}


def _print_checks(found: list[dict[str, Any]]) -> None:
    for entry in found:
        if entry["problems"]:
            for problem in entry["problems"]:
                print(f"{entry['file']}: {problem['text']}", file=sys.stderr)
        else:
            print(f"{entry['file']}: in order (journey {entry['journey']}, version {entry['version']})")


def _print_versions(known: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json({"items": known})
        return
    rows = [[e["version"], e["name"], "active" if e["active"] else "", e["created_at"]] for e in known]
    print_table(["version", "journey", "", "stored"], rows, empty="No journey is stored yet.")
