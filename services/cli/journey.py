"""
Commands on journeys: check a file, show one in words, say or draw what changes, print the language's schema.

Where a command takes a journey it takes a file, `-` for what comes in by a pipe, `shipped:default`, a stored version,
or the name of a journey, which stands for its active version. Only the last two need a database.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from schema.errors import Permanent
from services.cli.diagrams import (
    FormOption,
    OutOption,
    OverlayOption,
    SinceOption,
    UntilOption,
    asked,
    form_of,
    kind_of,
    write,
)
from services.cli.place import DataDir, read_settings, transaction
from services.cli.terminal import AsJson, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schema.journey import Journey, Problem

SHIPPED: Final = "shipped:"
WHICH: Final = "A file, - (a pipe), shipped:default, a version, or the name of a journey"
_NARROWEST, _WIDEST = 60, 100


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    from services.cli import diagrams, simulate, versions

    journeys = typer.Typer(no_args_is_help=True, help="The file that says how leads travel.")
    for command in (check, show, diff, schema):
        journeys.command()(command)
    journeys.command()(diagrams.diagram)
    journeys.command()(simulate.simulate)
    versions.add_to(journeys)
    app.add_typer(journeys, name="journey", rich_help_panel="Look and change")


def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Journey files. None: the shipped ones.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Say what is wrong with journey files, by line and column; exit status 1 if there are errors.

    A warning is something that may be meant. Needs no database. Example: throughline journey check my.yaml
    """
    found = [_checked(str(file), _read(file)) for file in files] if files else _checked_shipped()
    if as_json:
        print_json(found)
    else:
        _print_checks(found)
    if any(strict or problem["severity"] == "error" for entry in found for problem in entry["problems"]):
        raise typer.Exit(1)


def show(
    journey: Annotated[str | None, typer.Argument(help=f"{WHICH}. None: the active one.")] = None,
    as_written: Annotated[bool, typer.Option("--yaml", help="Print the file as it was written.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Say in plain sentences how leads travel: the active journey, a stored version, or a file.

    Examples: throughline journey show; throughline journey show my.yaml;
    throughline journey show --yaml shipped:solar > my.yaml
    """
    [text] = journey_texts([journey], data_dir)
    if as_written and not as_json:
        sys.stdout.write(text)
        return
    from schema.journey.document import read
    from schema.journey.show import printed, sections

    found = read_journey(text, journey, to_look_at=True)
    if as_json:
        told = {"name": found.name, "version": found.version, "content": read(text).data, "document": text}
        print_json(told | {"sections": [section.facts() for section in sections(found)]})
    else:
        sys.stdout.write(printed(found, _width()))


def diff(  # noqa: PLR0913 - its options
    before: Annotated[str, typer.Argument(help=f"{WHICH}.")],
    after: Annotated[str, typer.Argument(help="The other one, likewise.")],
    *,
    as_diagram: Annotated[bool, typer.Option("--diagram", help="Draw it instead of saying it.")] = False,
    kind: Annotated[
        str, typer.Option(metavar="state|flow|process|crm", help="With --diagram: which one.", show_default=True)
    ] = "state",
    overlay: OverlayOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    form: FormOption = None,
    output: OutOption = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Say in words what changes from one journey to another, or draw it; comments and spacing do not count.

    A drawing with --overlay live has the figures before and after: those of the leads that followed each version.

    Examples: throughline journey diff default my.yaml; throughline journey diff shipped:default my.yaml;
    throughline journey diff --diagram default my.yaml -o changes.svg
    """
    if not as_diagram and (form or output or overlay):
        raise Permanent("option_unfit", "--format, -o and --overlay are for the drawing: add --diagram.")
    live = asked(overlay, since, until, None)
    from schema.diagram import compared, draw
    from schema.journey.diff import differences, printed

    drawn = (kind_of(kind), form_of(form or ("json" if as_json else None), output)) if as_diagram else None
    texts = journey_texts([before, after], data_dir)
    a, b = (read_journey(text, which, to_look_at=True) for text, which in zip(texts, (before, after), strict=True))
    if drawn:
        both = [draw(each, drawn[0]) for each in (a, b)]
        if live is not None:
            both = live.on(list(zip(both, (a, b), strict=True)), data_dir, by_version=True)
        write(compared(*both), drawn[1], output)
        return
    found = differences(a, b)
    if as_json:
        ends = {"from": {"name": a.name, "version": a.version}, "to": {"name": b.name, "version": b.version}}
        print_json(ends | {"differences": [difference.facts() for difference in found]})
        return
    print(f"{a.name} {a.version} -> {b.name} {b.version}\n")
    sys.stdout.write(printed(found, _width()))


def schema() -> None:
    """
    Print the JSON Schema of the language, with which editors complete and check journey files.

    Example: throughline journey schema > journey.schema.json
    """
    from schema.journey import json_schema

    print_json(json_schema())


def journey_texts(which: Sequence[str | None], data_dir: Path | None) -> list[str]:
    """
    Return the text of each journey that was named, None for the active one; the database is opened once, if at all.

    Raises Permanent for a file that cannot be read and for a journey or version that there is not.
    """
    texts: dict[str | None, str] = {
        name: _outside(name) for name in dict.fromkeys(which) if name is not None and not _stored(name)
    }
    missing = [name for name in which if name not in texts]
    if missing:
        from schema.store import reading

        with _looking_up(missing[0]), transaction(read_settings(data_dir)) as connection:
            known = reading.journeys(connection)
            for name in missing:
                document = reading.journey(connection, _version(name, known))
                texts[name] = document["document"] if document else ""
    return [texts[name] for name in which]


def read_journey(text: str, which: str | None, *, to_look_at: bool = False) -> Journey:
    """
    Return the journey in a text; what is wrong with it is printed and ends the command.

    `to_look_at`: a stored version is shown even if a check that was added since would refuse it.
    """
    from schema.journey import JourneyInvalid, load, load_stored

    try:
        return load_stored(text) if to_look_at and _stored(which) else load(text)
    except JourneyInvalid as error:
        _print_checks(
            [{"file": which or "the active journey", "problems": [_problem(problem) for problem in error.problems]}]
        )
        raise typer.Exit(1) from error


def _stored(name: str | None) -> bool:
    """Whether only the database can know what is meant."""
    if name is None:
        return True
    outside = name == "-" or name.startswith(SHIPPED) or os.sep in name or name.endswith((".yaml", ".yml"))
    return not outside and not Path(name).is_file()


def _outside(name: str) -> str:
    """Return the text of a file, of the pipe or of a shipped journey."""
    if name == "-":
        return sys.stdin.read()
    if not name.startswith(SHIPPED):
        return _read(Path(name))
    from schema.journey import shipped

    texts = shipped()
    if name.removeprefix(SHIPPED) not in texts:
        known = ", ".join(f"{SHIPPED}{each}" for each in texts)
        raise Permanent("journey_unknown", f"There is no {name}; shipped are {known}.")
    return texts[name.removeprefix(SHIPPED)]


@contextmanager
def _looking_up(name: str | None) -> Iterator[None]:
    """Say that the name was looked for as a file first, where there is no database to look it up in."""
    try:
        yield
    except Permanent as error:
        if error.code != "nothing_here" or name is None:
            raise
        raise Permanent("journey_unknown", f"There is no file {name} here. As a version or name: {error}") from error


def _version(name: str | None, known: list[dict[str, Any]]) -> str:
    """Return the stored version that is meant."""
    active = {entry["name"]: entry["version"] for entry in known if entry["active"]}
    if name is None and len(active) == 1:
        return str(next(iter(active.values())))
    if name is None:
        several = f"Several journeys are active: {', '.join(active)}. Say which one."
        raise Permanent("journey_unknown", several if active else "No journey is active.")
    if name in active:
        return str(active[name])
    if any(entry["version"] == name for entry in known):
        return name
    raise Permanent(
        "journey_unknown",
        f"{name} is neither a file, a stored version, nor the name of an active journey "
        f"({', '.join(active) or 'there is none'}).",
    )


def _width() -> int:
    """Return how wide lines may be: as the terminal, within reason; 80 where there is none."""
    columns = shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 80
    return max(_NARROWEST, min(_WIDEST, columns))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise Permanent("file_unreadable", f"Cannot read {file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Permanent("file_not_text", f"{file} is not UTF-8 text.") from error


def _checked_shipped() -> list[dict[str, Any]]:
    from schema.journey import shipped

    return [_checked(f"{SHIPPED}{name}", text) for name, text in shipped().items()]


def _checked(name: str, text: str) -> dict[str, Any]:
    from schema.journey import JourneyInvalid, load, review

    problems = [_problem(problem) for problem in review(text)]
    try:
        journey = load(text)
    except JourneyInvalid:
        return {"file": name, "problems": problems}
    return {"file": name, "journey": journey.name, "version": journey.version, "problems": problems}


def _problem(problem: Problem) -> dict[str, Any]:
    return {**asdict(problem), "text": str(problem)}


def _print_checks(found: list[dict[str, Any]]) -> None:
    for entry in found:
        for problem in entry["problems"]:
            print(f"{entry['file']}:{'' if problem['line'] else ' '}{problem['text']}", file=sys.stderr)
        if "version" in entry:
            warnings = len(entry["problems"])
            besides = f", {warnings} warning{'s' * (warnings > 1)}" if warnings else ""
            print(f"{entry['file']}: in order (journey {entry['journey']}, version {entry['version']}){besides}")
