"""Diagrams on the command line: one of the four of a journey, or what changes between two."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, read_settings, transaction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from schema.diagram import Drawing, Form, Kind
    from schema.journey import Journey

FormOption = Annotated[
    str | None,
    typer.Option("--format", metavar="svg|mmd|json", help="SVG, Mermaid or JSON. None: as -o ends, else svg."),
]
OutOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write there instead of to the terminal.")
]
OverlayOption = Annotated[
    str | None,
    typer.Option("--overlay", metavar="live", help="Show what really happened; without it the plain drawing."),
]
SinceOption = Annotated[
    str | None,
    typer.Option("--from", metavar="DAY", help="With --overlay: the first day, as 2026-11-01. None: 30 days."),
]
UntilOption = Annotated[
    str | None, typer.Option("--to", metavar="DAY", help="The first day that does not count any more. None: tomorrow.")
]
OnlyOption = Annotated[
    str | None,
    typer.Option("--only", metavar="DIM=VALUE", help="Only these leads, as source=website or owner=ana."),
]
_SHIPPED: Final = "shipped:default"
KINDS_HELP: Final = "state (lifecycle), flow (flow chart), process (departments as lanes) or crm (stages and KPIs)"


def diagram(  # noqa: PLR0913 - its options
    kind: Annotated[str, typer.Argument(metavar="state|flow|process|crm", help=f"Which: {KINDS_HELP}.")],
    journey: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NAME|VERSION|shipped:NAME",
            help="A file, - (a pipe), shipped:default, a version, or the name of a journey. None: the active one.",
        ),
    ] = None,
    *,
    overlay: OverlayOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    only: OnlyOption = None,
    form: FormOption = None,
    output: OutOption = None,
    data_dir: DataDir = None,
) -> None:
    """
    Draw a journey as it is: the active one, a stored version, or a file that need not be switched on yet.

    Where nothing is set up yet, the shipped one is drawn.

    With --overlay live it shows what really happened: how many went where, how long it took, where they wait.

    Examples: throughline journey diagram state -o state.svg;
    throughline journey diagram process --journey my.yaml -o process.svg;
    throughline journey diagram crm --overlay live --from 2026-10-01 --to 2026-11-01 -o crm.svg
    """
    from schema.diagram import draw
    from services.cli.journey import journey_texts, read_journey

    wanted = kind_of(kind)
    written_as = form_of(form, output)
    live = asked(overlay, since, until, only)
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
    found = read_journey(text, journey, to_look_at=True)
    drawing = draw(found, wanted)
    if live is not None:
        [drawing] = live.on([(drawing, found)], data_dir)
    write(drawing, written_as, output)


@dataclass(frozen=True)
class Live:
    """What figures are asked for: the window, and the part of all leads."""

    since: date | None
    until: date | None
    only: tuple[str, str] | None

    def on(
        self, drawn: Sequence[tuple[Drawing, Journey]], data_dir: Path | None, *, by_version: bool = False
    ) -> list[Drawing]:
        """Put figures on drawings; `by_version` of the leads that followed each, if any did. Raises Permanent."""
        from datetime import UTC, datetime

        from schema.diagram import with_figures
        from schema.store import overlay

        now = datetime.now(UTC)
        made = []
        with transaction(read_settings(data_dir)) as connection:
            for drawing, journey in drawn:
                since, until = overlay.days(journey, self.since, self.until, now)
                only = ("version", journey.version) if by_version else self.only
                happened = overlay.happened(
                    connection, journey, since, until, now, only, assigned=drawing.kind == "crm"
                )
                had = any(happened.rows.values()) or not by_version
                made.append(with_figures(drawing, journey, happened) if had else drawing)
        return made


def asked(overlay: str | None, since: str | None, until: str | None, only: str | None) -> Live | None:
    """Return what figures are asked for, None for none. Raises Permanent."""
    from schema.store.overlay import part

    if overlay is None:
        if since or until or only:
            raise Permanent("option_unfit", "--from, --to and --only are for figures: add --overlay live.")
        return None
    if overlay != "live":
        raise Permanent("overlay_unknown", f"There is no overlay {overlay}. Say --overlay live: what really happened.")
    return Live(_day(since, "--from"), _day(until, "--to"), part(only))


def _day(given: str | None, option: str) -> date | None:
    from datetime import date

    try:
        return None if given is None else date.fromisoformat(given)
    except ValueError as error:
        raise Permanent("day_unreadable", f"{option} is a day, as in 2026-11-01.") from error


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
