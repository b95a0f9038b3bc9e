"""`throughline bench`: how fast it is, here and now, on what is configured; see `services.cli.trial` for how."""

from __future__ import annotations

import math
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from services.cli.place import read_settings
from services.cli.terminal import AsJson, console, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_AIMS: Final = {
    "accepted_per_s": 2500.0,
    "completed_per_s": 2500.0,
    "accept_ms.p99": 50.0,
    "way_ms.p99": 500.0,
    "lone_ms.p50": 100.0,
    "cpu_ms_per_lead": 0.7,
    "decide_us_per_lead": 100.0,
    "lost": 0.0,
    "doubled": 0.0,
}
"""What a machine with two cores has to reach: so many a second at least, of everything else at most."""
_ROWS: Final = (
    ("Accepted over HTTP, leads/s", "accepted_per_s", ""),
    ("Through all steps, leads/s", "completed_per_s", "floor_per_s"),
    ("Accepted at a steady rate, p50 ms", "accept_ms.p50", ""),
    ("Accepted at a steady rate, p99 ms", "accept_ms.p99", ""),
    ("Whole way at a steady rate, p50 ms", "way_ms.p50", ""),
    ("Whole way at a steady rate, p99 ms", "way_ms.p99", ""),
    ("Whole way of a lone lead, p50 ms", "lone_ms.p50", ""),
    ("Whole way of a lone lead, p99 ms", "lone_ms.p99", ""),
    ("CPU per lead, all processes, ms", "cpu_ms_per_lead", "floor_cpu_ms_per_lead"),
    ("CPU per lead of the load itself, ms", "generator_cpu_ms_per_lead", ""),
    ("CPU per lead of all decisions, µs", "decide_us_per_lead", ""),
    ("Peak memory, MiB", "peak_rss_mb", ""),
    ("Lost", "lost", ""),
    ("Doubled", "doubled", ""),
)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Run")(bench)


def bench(
    leads: Annotated[int, typer.Option(min=1, help="Leads sent at full speed.")] = 20_000,
    rate: Annotated[
        float | None,
        typer.Option(min=1, help="Leads a second of the steady part. Default: half of what it can, at most 1250."),
    ] = None,
    preload: Annotated[int, typer.Option(min=0, help="Leads that are in the database before.")] = 0,
    connections: Annotated[int, typer.Option(min=1, max=1000, help="Connections that send at once.")] = 64,
    campaigns: Annotated[
        int | None,
        typer.Option(min=1, help="Measure campaigns instead: carry so many people through one, and send nothing."),
    ] = None,
    as_json: AsJson = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the JSON to this file.")] = None,
) -> None:
    """
    Measure the whole way: load over HTTP, everything durable, beside what the bare database can do.

    Runs on the configured server, in a database of its own that it drops afterwards; without a configured server it
    brings one. A broker that a running installation uses too carries the hints of both, to nobody's loss but of
    speed: measure with another virtual host. Exit status 1 if a lead was lost or doubled.

    Example: throughline bench --leads 50000 --preload 1000000
    """
    from services.cli import campaign_trial, trial

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # tidies up as after Ctrl-C
    with _progress() as tell:
        if campaigns is None:
            figures = trial.run(read_settings(), trial.Plan(leads, rate, preload, connections), tell)
        else:
            figures = campaign_trial.run(read_settings(), campaigns, tell)
    if output:
        import msgspec

        output.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
    if as_json:
        print_json(figures)
    elif campaigns is None:
        _print(figures)
    else:
        _print_stages(figures)
    if figures["lost"] or figures["doubled"]:
        raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show on a terminal what is going on; elsewhere there is nobody to see it."""
    from rich.console import Console

    terminal = Console(stderr=True)
    if not terminal.is_terminal:
        yield lambda _: None
        return
    with terminal.status("") as status:
        yield status.update


def _print(figures: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    table = Table("", "measured", "aim", "floor", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for label, name, floor in _ROWS:
        value = _value(figures, name)
        table.add_row(label, _number(value), _aim(name, value), _number(_value(figures, floor)) if floor else "")
    out = console()
    out.print(table)
    for line in _remarks(figures):
        out.print(line, soft_wrap=True)
    sys.stdout.flush()


def _print_stages(figures: dict[str, Any]) -> None:
    entered = ["entered", figures["enrolments"], 0, figures["entered_per_s"], None, None, figures["entered_cpu_ms"]]
    names = ("stage", "looked_at", "steps", "per_s", "first_per_s", "last_per_s", "cpu_ms")
    rows = [entered, *([stage[name] for name in names] for stage in figures["stages"])]
    columns = ["stage", "people", "steps", "people/s", "at first", "at last", "CPU ms each"]
    print_table(columns, rows, empty="")
    load = figures["settings"]["load_average"]
    print(f"{figures['settings']['workers']} workers; load average {load['before']} before, {load['after']} after.")
    print(f"Lost: {figures['lost']}. Doubled: {figures['doubled']}.")


def _value(figures: dict[str, Any], name: str) -> float:
    value: Any = figures
    for part in name.split("."):
        value = value[part]
    return float(value)


def _number(value: float) -> str:
    if math.isnan(value):
        return "none"
    if value == int(value) or abs(value) >= 100:  # noqa: PLR2004 - three digits say enough
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _aim(name: str, value: float) -> str:
    if name not in _AIMS:
        return ""
    aim = _AIMS[name]
    at_least = name.endswith("_per_s")
    reached = value >= aim if at_least else value <= aim
    sign = "≥" if at_least else "≤"
    return f"{sign} {_number(aim)} {'[green]✓[/]' if reached else '[red]✗[/]'}"


def _remarks(figures: dict[str, Any]) -> list[str]:
    settings = figures["settings"]
    load = settings["load_average"]
    server = settings["postgresql"]["server_version"]
    lines = [
        f"PostgreSQL {server} ({settings['database']}), broker: {settings['broker']}, {settings['machine']}.",
        f"Full speed: {settings['leads']:,} leads over {settings['connections']} connections.",
        f"Steady: {figures['rate']:,.0f} a second; whole way by {settings['way_measured_by']}.",
        f"Leads there before: {settings['preloaded']:,}.",
        f"Load average {load['before']} before, {load['after']} after.",
        f"Others kept {figures['others_busy_cores']} CPUs busy at full speed.",
    ]
    if settings["not_counted"]:
        lines.append(f"Not on this machine or not visible, so not counted: {', '.join(settings['not_counted'])}.")
    if figures["refused"]:
        lines.append(f"{figures['refused']} requests were not acknowledged.")
    found = figures["lost_by"] | figures["doubled_by"]
    return lines + [f"[red]{count} {what}[/]" for what, count in found.items()]
