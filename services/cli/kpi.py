"""Commands on figures: what there is and how targets stand, one figure, and the rows behind it."""

from __future__ import annotations

import csv
import sys
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, read_settings, transaction
from services.cli.terminal import AsJson, plain, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

From = Annotated[
    str | None, typer.Option("--from", help="The first day, as 2026-11-01; without it 30 days before the last.")
]
To = Annotated[str | None, typer.Option(help="The day up to which, itself not counted; without it tomorrow.")]
Of = Annotated[str | None, typer.Option(help="Only of this, as `lead`, or `state:lead` where several have the name.")]
Named = Annotated[str | None, typer.Option("--journey", help="Of which journey, where there are several.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV that is safe to open in a spreadsheet.")]
Name = Annotated[str, typer.Argument(help="The KPI, as `throughline kpi list` names it.")]
_RISKY: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula."""
_WITH_INTERVAL: Final = {"share", "points", "ratio"}


def add_to(app: typer.Typer) -> None:
    """Register the commands in the group `kpi`, which others add to as well."""
    found = next((each.typer_instance for each in app.registered_groups if each.name == "kpi"), None)
    group = found or typer.Typer(no_args_is_help=True, help="Figures: what happened, in numbers that add up.")
    group.command("list")(list_)
    for command in (show, rows, restated):
        group.command()(command)
    if found is None:
        app.add_typer(group, name="kpi", rich_help_panel="Look and change")


def list_(journey: Named = None, data_dir: DataDir = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """
    List every KPI with its value of the latest 30 days, and how the targets of the journey stand.

    Example: throughline kpi list
    """
    from schema.store import clock, kpi_figures
    from schema.store.journeys import JourneyBook

    with transaction(read_settings(data_dir)) as connection:
        asked = kpi_figures.journey_of(connection, JourneyBook(), journey)
        found = kpi_figures.overview(connection, asked, clock.now())
    if as_json:
        print_json(found)
        return
    columns = ["kpi", "what it is", "value", "target"]
    lines = [line for item in found["items"] for line in _listed(item)]
    if as_csv:
        _print_csv(columns, lines)
        return
    print_table(columns, lines, empty="There are no figures.")
    _say_as_of(found)


def show(  # noqa: PLR0913, PLR0917 - its options
    name: Name,
    from_: From = None,
    to: To = None,
    of: Of = None,
    by: Annotated[str | None, typer.Option(help="By a dimension, such as source or owner.")] = None,
    every: Annotated[Literal["day", "week", "month"] | None, typer.Option(help="One line for each.")] = None,
    journey: Named = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """
    Show one KPI: what it means, and its figures with numerator, denominator, sample size and interval.

    Example: throughline kpi show conversion --of lead --by source --from 2026-10-01 --every month
    """
    from schema.store import clock, kpi_figures
    from schema.store.journeys import JourneyBook

    with transaction(read_settings(data_dir)) as connection:
        about, now = kpi_figures.journey_of(connection, JourneyBook(), journey), clock.now()
        asked = kpi_figures.question(about, name, now, since=_day(from_), until=_day(to), of=of, by=by, every=every)
        found = kpi_figures.answer(connection, about, asked, now)
    if as_json:
        print_json(found)
    elif as_csv:
        _figures_as_csv(found)
    else:
        _print_figures(found)


def rows(  # noqa: PLR0913, PLR0917 - its options
    name: Name,
    from_: From = None,
    to: To = None,
    of: Of = None,
    source: Annotated[str | None, typer.Option(help="Only leads that came from this source first.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only leads that came by this channel first.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 100,
    journey: Named = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """
    List the rows behind a KPI: which leads it counts, with the moment of each; of a share those of its denominator.

    Example: throughline kpi rows drop_off --of lead --from 2026-11-01
    """
    from schema.store import clock, kpi_figures, kpi_rows
    from schema.store.journeys import JourneyBook

    found: list[dict[str, Any]] = []
    following: str | None = None
    with transaction(read_settings(data_dir)) as connection:
        about = kpi_figures.journey_of(connection, JourneyBook(), journey)
        asked = kpi_figures.question(about, name, clock.now(), since=_day(from_), until=_day(to), of=of)
        while len(found) < limit:
            most = min(limit - len(found), kpi_rows.LARGEST_PAGE)
            page, following = kpi_rows.page(
                connection, about, asked, cursor=following, limit=most, source=source, channel=channel
            )
            found += page
            if following is None:
                break
    if as_json:
        print_json({"items": found, "next": following})
        return
    names = list(dict.fromkeys(key for row in found for key in row["detail"]))
    columns = ["at", "lead_id", "id", *names]
    lines = [[row["at"], row["lead_id"], row["id"], *(row["detail"].get(key) for key in names)] for row in found]
    if as_csv:
        _print_csv(columns, lines)
        return
    print_table(columns, lines, empty="Nothing was counted in these days.")
    if following and sys.stdout.isatty():
        print(f"There are more: --limit {limit * 10}, or a shorter time.")


def restated(
    from_: From = None,
    to: To = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    journey: Named = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """
    List what was added to days that were over, because it was told later than it happened; by when it was noted.

    Example: throughline kpi restated --from 2026-11-01
    """
    from schema.store import clock, kpi_figures, kpis
    from schema.store.journeys import JourneyBook

    with transaction(read_settings(data_dir)) as connection:
        about = kpi_figures.journey_of(connection, JourneyBook(), journey)
        since, until = kpi_figures.window(about, clock.now(), _day(from_), _day(to))
        found, following = kpis.restated(connection, about, since, until, limit=limit)
    if as_json:
        print_json({"items": found, "next": following})
        return
    columns = ["noted_at", "measure", "item", "day", "n", "total"]
    lines = [[row[name] for name in columns] for row in found]
    if as_csv:
        _print_csv(columns, lines)
    else:
        print_table(columns, lines, empty="Nothing was told late in these days.")


# -- printing ----------------------------------------------------------------------------------------------------------


def _listed(item: Mapping[str, Any]) -> Iterable[list[object]]:
    """A KPI with its values, and a line for each of its targets."""
    from schema.kpi import spoken

    told = [_value(item["unit"], figure) for figure in item["figures"]]
    yield [item["name"], item["title"], ", ".join(told) or "(several: show it)", ""]
    for target in item["targets"]:
        bound = f"at least {target['at_least']}" if target["at_most"] is None else f"at most {target['at_most']}"
        now = spoken.value(item["unit"], target["value"]) if target["value"] is not None else ""
        enough = f"only {target['sample']} of {target['needed']} needed" if target["looked_at"] else "not looked at yet"
        word = {True: "MISSED", False: "met", None: enough}[target["missed"]]
        of = target["of"]
        what = [target["label"] or target["target"], f"{of['kind']} {of['code']}" if of else ""]
        yield ["", f"  {', '.join(filter(None, what))}, {target['over_days']} days", now, f"{bound}: {word}"]


def _value(unit: str, figure: Mapping[str, Any]) -> str:
    from schema.kpi import spoken

    if figure["value"] is None:
        return spoken.REASONS.get(figure["reason"], figure["reason"] or "-")
    shown = spoken.value(unit, figure["value"], figure["part"].get("currency"))
    return shown if figure["enough"] else f"{shown} (only {figure['sample']})"


def _print_figures(found: Mapping[str, Any]) -> None:
    from schema.kpi import spoken

    window, unit = found["window"], found["unit"]
    if sys.stdout.isatty():
        of = f" of the {found['of']['kind']} {found['of']['code']}" if found["of"] else ""
        print(f"{found['title']}{of}: {plain(found['definition'])}")
        print(f"From {window['from']} up to {window['to']}, days of {window['tz']}. It needs {found['needed']}.")
    parts = list(dict.fromkeys(name for item in found["items"] for name in item["part"] if name != "currency"))
    columns = [found["every"]] if found["every"] else []
    columns += [found["by"]] if found["by"] else []
    columns += [*parts, "value"]
    if unit == "seconds":
        columns += ["nine in ten", "mean", "open", "sample"]
    elif unit in _WITH_INTERVAL:
        columns += ["low", "high", "count", "of"]
    else:
        columns.append("sample")
    lines: list[list[object]] = []
    for item in found["items"]:
        line: list[object] = [item["from"]] if found["every"] else []
        line += [item["group"] or "(not known)"] if found["by"] else []
        line += [item["part"].get(name, "all" if not item["part"] else "") for name in parts]
        line.append(_value(unit, item))
        if unit == "seconds":
            line += [spoken.value(unit, item["p90"]), spoken.value(unit, item["mean"]), item["open"], item["sample"]]
        elif unit in _WITH_INTERVAL:
            line += [spoken.value(unit, item["low"]), spoken.value(unit, item["high"])]
            line += [item["numerator"], item["denominator"]]
        else:
            line.append(item["sample"])
        lines.append(line)
    print_table(columns, lines, empty="Nothing was counted in these days.")
    if found["left_out"] and sys.stdout.isatty():
        print(f"{found['left_out']} more with smaller samples are left out.")
    _say_as_of(found)


def _figures_as_csv(found: Mapping[str, Any]) -> None:
    parts = list(dict.fromkeys(name for item in found["items"] for name in item["part"]))
    columns = ["from", "to", *([found["by"]] if found["by"] else []), *parts]
    numbers = ["value", "numerator", "denominator", "low", "high", "p90", "mean", "open", "sample", "enough", "reason"]
    lines = [
        [
            item["from"],
            item["to"],
            *([item["group"]] if found["by"] else []),
            *(item["part"].get(name) for name in parts),
            *(item[name] for name in numbers),
        ]
        for item in found["items"]
    ]
    _print_csv([*columns, *numbers], lines)


def _print_csv(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Print rows as CSV in which no cell is a formula: text that begins like one gets an apostrophe before it."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for line in lines:
        writer.writerow([_cell(value) for value in line])


def _cell(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(_RISKY) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    """Whether it is an amount: `-12.50` is no formula."""
    whole, _, rest = text.removeprefix("-").partition(".")
    return whole.isascii() and whole.isdigit() and (not rest or (rest.isascii() and rest.isdigit()))


def _say_as_of(found: Mapping[str, Any]) -> None:
    if sys.stdout.isatty():
        at = found["as_of"]
        print(f"All is counted up to {plain(at)} UTC." if at else "Counting has not begun: the worker `kpi` does it.")


def _day(value: str | None) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise Permanent("day_invalid", "Write a day as 2026-11-21.") from error
