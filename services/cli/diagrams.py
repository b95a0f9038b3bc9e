"""Diagrams on the command line: one of the four of a journey, or what changes between two."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from schema.errors import Permanent
from services.cli.place import DataDir

if TYPE_CHECKING:
    from schema.diagram import Drawing, Form, Kind

FormOption = Annotated[
    str | None,
    typer.Option("--format", metavar="svg|mmd|json", help="SVG, Mermaid or JSON. None: as -o ends, else svg."),
]
OutOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write there instead of to the terminal.")
]
_SHIPPED: Final = "shipped:default"
KINDS_HELP: Final = "state (lifecycle), flow (flow chart), process (departments as lanes) or crm (stages and KPIs)"


def diagram(
    kind: Annotated[str, typer.Argument(metavar="state|flow|process|crm", help=f"Which: {KINDS_HELP}.")],
    journey: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NAME|VERSION|shipped:NAME",
            help="A file, - (a pipe), shipped:default, a version, or the name of a journey. None: the active one.",
        ),
    ] = None,
    form: FormOption = None,
    output: OutOption = None,
    data_dir: DataDir = None,
) -> None:
    """
    Draw a journey as it is: the active one, a stored version, or a file that need not be switched on yet.

    Where nothing is set up yet, the shipped one is drawn.

    Examples: throughline journey diagram state -o state.svg;
    throughline journey diagram process --journey my.yaml -o process.svg
    """
    from schema.diagram import draw
    from services.cli.journey import journey_texts, read_journey

    wanted = kind_of(kind)
    written_as = form_of(form, output)
    try:
        [text] = journey_texts([journey], data_dir)
    except Permanent as error:
        if error.code != "nothing_here" or data_dir is not None:
            raise
        if journey is not None:
            message = f"{error} To draw a file, which needs none of that: --journey my.yaml."
            raise Permanent(error.code, message) from error
        journey = _SHIPPED
        [text] = journey_texts([journey], data_dir)
        print("There is no Throughline here: this is the shipped journey. A file: --journey my.yaml.", file=sys.stderr)
    write(draw(read_journey(text, journey, to_look_at=True), wanted), written_as, output)


def kind_of(name: str) -> Kind:
    """One of the kinds of diagrams. Raises Permanent."""
    from schema.diagram import KINDS

    for kind in KINDS:
        if kind == name:
            return kind
    raise Permanent("diagram_unknown", f"There is no diagram {name}. Say which one: {KINDS_HELP}.")


def form_of(given: str | None, output: Path | None) -> Form:
    """The form that is asked for, else the one that the file's name ends in, else SVG. Raises Permanent."""
    from schema.diagram import FORMS

    ending = output.suffix.removeprefix(".").lower() if output is not None else ""
    name = given or ending or "svg"
    for form in FORMS:
        if form == name:
            return form
    if given is None:
        raise Permanent(
            "format_unknown", f"What to write into a file that ends in .{ending}? Say --format svg, mmd or json."
        )
    raise Permanent("format_unknown", f"There is no format {given}. Say svg (a picture), mmd (Mermaid) or json.")


def write(drawing: Drawing, form: Form, output: Path | None) -> None:
    """Write a drawing to a file or to the terminal. Raises Permanent."""
    from schema.diagram import written

    text = written(drawing, form)
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Permanent("file_unwritable", f"Cannot write {output}: {error.strerror}.") from error
    print(f"{output}: {drawing.subtitle}", file=sys.stderr)
