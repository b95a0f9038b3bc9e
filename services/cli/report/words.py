"""Figures in words and cells: with unit, interval and sample, what is too small said with them. Pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from math import hypot, sqrt
from typing import TYPE_CHECKING, Final

from schema.kpi import spoken
from schema.kpi.figure import Figure
from schema.lift import Z95, lift
from services.cli.report.parts import Cell, Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from schema.journey import Journey
    from schema.kpi.catalog import Kpi
    from services.cli.report.ask import Answer

NOT_KNOWN: Final = "(not known)"
_DASH: Final = "–"  # noqa: RUF001 - between two numbers


def value(kpi: Kpi, figure: Figure | None, number: float | Decimal | None = None) -> str:
    """Return a figure as people say it; in place of `value` another of its numbers."""
    if figure is None:
        return "-"
    said: float | Decimal | None = figure.value if number is None else number
    currency = figure.part.get("currency")
    if said is None:
        return "-"
    if kpi.unit == "points":
        return f"{said:+.0f}"
    if kpi.unit in {"money", "money_per_day"} and abs(float(said)) >= 10_000:  # noqa: PLR2004 - cents say nothing there
        per = " a day" if kpi.unit == "money_per_day" else ""
        return f"{said:,.0f} {currency or ''}".rstrip() + per
    if kpi.unit == "count" and isinstance(said, float):
        return f"{said:,.1f}"
    return spoken.value(kpi.unit, said, currency)


def interval(kpi: Kpi, figure: Figure) -> str:
    """Return the bounds of a figure's interval, or nothing."""
    if figure.low is None or figure.high is None:
        return ""
    if kpi.unit == "share":
        return f"{100 * figure.low:.1f}{_DASH}{100 * figure.high:.1f} %"
    if kpi.unit == "points":
        return f"{figure.low:+.0f} to {figure.high:+.0f}"
    return f"{value(kpi, figure, figure.low)} to {value(kpi, figure, figure.high)}"


def few(kpi: Kpi, figure: Figure) -> bool:
    """Whether a figure rests on fewer than it needs."""
    return figure.sample < kpi.needed


def why(figure: Figure) -> str:
    """Return why there is no value."""
    return spoken.REASONS.get(figure.reason or "", figure.reason or "")


def rests_on(kpi: Kpi, figure: Figure) -> str:
    """Return on how many a figure rests, and whether those are enough."""
    if kpi.denominator and kpi.unit in {"share", "points"} and figure.denominator:
        told = f"{_count(figure.numerator)} of {_count(figure.denominator)}" if kpi.unit == "share" else ""
        told = told or f"{_count(figure.denominator)} answers"
    else:
        told = f"n = {figure.sample:,}"
    if figure.sample and few(kpi, figure):
        told += f", too few to say much (needs {kpi.needed})"
    return told


def _count(number: object) -> str:
    return f"{number:,}" if isinstance(number, int) else str(number)


def change(kpi: Kpi, now: Figure, before: Figure | None) -> str:
    """Return how a figure changed against the one before, and whether that is more than chance where that is known."""
    old, new = before.value if before else None, now.value
    if before is None or old is None or new is None:
        return "nothing to compare with"
    if few(kpi, before) or few(kpi, now):
        return f"before: {value(kpi, before)}; too few to compare"
    sure: bool | None = None
    if kpi.unit == "share":
        difference = 100 * (float(new) - float(old))
        said = f"{_signed(difference)} points"
        if all(isinstance(n, int) for n in (now.numerator, now.denominator, before.numerator, before.denominator)):
            found = None
            if 0 <= now.numerator <= now.denominator and 0 <= before.numerator <= before.denominator:  # type: ignore[operator]
                found = lift(now.numerator, now.denominator, before.numerator, before.denominator)  # type: ignore[arg-type]
            sure = found.sure if found else None
    elif kpi.unit == "points":
        said = f"{_signed(float(new) - float(old))} points"
        widths = [
            (each.high - each.low) / 2 for each in (now, before) if each.low is not None and each.high is not None
        ]
        if len(widths) == 2:  # noqa: PLR2004 - of both
            sure = abs(float(new) - float(old)) > hypot(*widths)
    elif not old:
        return f"before: {value(kpi, before)}"
    else:
        said = f"{_signed(100 * (float(new) / float(old) - 1))} %"
        if kpi.unit == "count":
            sure = abs(float(new) - float(old)) > Z95 * sqrt(float(new) + float(old))
    chance = ", may be chance" if sure is False and new != old else ""
    return f"{said} (before: {value(kpi, before)}{chance})"


def _signed(number: float) -> str:
    sign = "+" if number > 0 else "−" if number < 0 else "±"  # noqa: RUF001 - as wide as the plus
    return f"{sign}{abs(number):,.1f}" if abs(number) < 100 else f"{sign}{abs(number):,.0f}"  # noqa: PLR2004


# -- cells and tables --------------------------------------------------------------------------------------------------

NUMBERS: Final = (
    Column("value", "Value", number=True),
    Column("unit"),
    Column("currency"),
    Column("low"),
    Column("high"),
    Column("interval_95", "95 % interval", number=True, sheet=False),
    Column("p90", "Nine in ten", number=True),
    Column("mean"),
    Column("numerator"),
    Column("denominator"),
    Column("open", "Not over yet", number=True),
    Column("sample", "Rests on", number=True),
    Column("enough"),
    Column("reason"),
)
"""What a table has of each figure."""


def numbers(kpi: Kpi, figure: Figure) -> list[Cell]:
    """Return a figure as `NUMBERS`."""
    small = few(kpi, figure)
    said = value(kpi, figure) if figure.value is not None else why(figure)
    return [
        Cell(figure.value, said, mark="few" if small or figure.value is None else None),
        Cell(kpi.unit),
        Cell(figure.part.get("currency")),
        Cell(figure.low),
        Cell(figure.high),
        Cell(interval(kpi, figure), interval(kpi, figure)),
        Cell(figure.p90, spoken.value("seconds", figure.p90) if figure.p90 is not None else ""),
        Cell(figure.mean),
        Cell(figure.numerator),
        Cell(figure.denominator),
        Cell(figure.open, "" if figure.open is None else f"{figure.open:,}"),
        Cell(figure.sample, rests_on(kpi, figure)),
        Cell(figure.value is not None and not small),
        Cell(figure.reason),
    ]


def listed(name: str, caption: str, answers: Sequence[Answer], journey: Journey, *, definition: bool = True) -> Table:
    """Return a table of figures: one line for each of their parts, nothing for those of which nothing was counted."""
    rows: list[list[Cell]] = []
    for answer in answers:
        figures = [figure for figure in answer.figures if figure.sample or figure.value]
        if answer.kpi.together and len(figures) == 2:  # noqa: PLR2004 - all together, and the one that they all are of
            figures = figures[1:]
        for at, figure in enumerate(figures):
            of = {key: part for key, part in figure.part.items() if key != "currency"}
            about = Cell(
                "; ".join(f"{key}: {part}" for key, part in of.items()),
                ", ".join(called(journey, key, part) for key, part in of.items()) or "all",
            )
            head = [Cell(answer.kpi.name), Cell(answer.kpi.title, mark="few" if at else None), about]
            head += [Cell(answer.kpi.definition, "" if at else answer.kpi.definition)] if definition else []
            rows.append([*head, *numbers(answer.kpi, figure)])
    columns = [Column("kpi"), Column("title", "Figure"), Column("of", "Of")]
    columns += [Column("definition", "What it is")] if definition else []
    return Table(name, caption, shown_columns([*columns, *NUMBERS], rows), rows, warning=late(answers))


def late(answers: Sequence[Answer]) -> str:
    """Return what was not read in time, and how to read it; nothing where all was."""
    missing = [answer.kpi for answer in answers if answer.late]
    names, commands = (", ".join(part) for part in (
        [kpi.title for kpi in missing], [f"`throughline kpi show {kpi.name}`" for kpi in missing]
    ))  # fmt: skip
    return f"Not read in time: {names}; {commands} has it." if missing else ""


def shown_columns(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[Column]:
    """Leave columns out of the page in which nothing stands; CSV has them all the same."""
    return [
        column
        if not rows or any(row[at].text or (row[at].text is None and row[at].value) for row in rows)
        else replace(column, title=None)
        for at, column in enumerate(columns)
    ]


def called(journey: Journey, kind: str, code: str) -> str:
    """Return what a state, move, reason … of the journey is called."""
    if kind in {"state", "to", "from"} and code in journey.lifecycle:
        return journey.lifecycle[code].label or titled(code)
    named: Mapping[str, object] = {
        "transition": journey.transitions,
        "pipeline": journey.pipelines,
        "source": journey.sources,
        "campaign": journey.campaigns,
        "survey": journey.surveys,
        "pool": journey.route.pools,
    }.get(kind, {})  # type: ignore[assignment]
    label = getattr(named.get(code), "label", None)
    if kind == "owner" and code in journey.people:
        label = journey.people[code].name
    return label or (code if kind in {"campaign", "source", "owner"} else titled(code)) or NOT_KNOWN


def titled(code: str) -> str:
    """Return a code as words: `no_answer` as `No answer`."""
    words = code.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def days(since: date, until: date) -> str:
    """Return days in words: from the first to the last that counts."""
    last = type(until).fromordinal(until.toordinal() - 1)
    return str(since) if since == last else f"{since} to {last}"
