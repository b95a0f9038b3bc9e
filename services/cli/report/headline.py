"""What comes first: the headline figures, the targets, and how the main figures went over time. Pure."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from schema.kpi import spoken
from services.cli.report import plot
from services.cli.report.ask import HEADLINE, PLOTTED, Aimed, Answer, Asked
from services.cli.report.parts import Card, Cell, Column, Picture, Section, Table, Words
from services.cli.report.words import (
    NUMBERS,
    called,
    change,
    days,
    few,
    interval,
    numbers,
    rests_on,
    shown_columns,
    titled,
    value,
    why,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schema.kpi.figure import Figure
    from schema.store.kpi_figures import Told

_EACH: Final = {"day": "a day", "week": "a week", "month": "a month"}
_WHOLE: Final = {"day": timedelta(days=1), "week": timedelta(days=7)}


def headline(asked: Asked) -> Section:
    """The headline figures, each against the window before."""
    cards: list[Card] = []
    rows: list[list[Cell]] = []
    silent: list[str] = []
    for name in HEADLINE:
        answer, before = asked.answer(name), asked.before[name]
        told = [figure for figure in answer.whole if figure.sample or figure.value]
        if not told:
            silent.append(answer.kpi.title)
        for figure in told:
            earlier = next((each for each in before.whole if each.part == figure.part), None)
            cards.append(_card(asked, answer, figure, earlier))
            rows.append(
                [
                    Cell(name),
                    Cell(answer.kpi.title),
                    *numbers(answer.kpi, figure),
                    Cell(earlier.value if earlier and asked.comparable else None),
                    Cell(earlier.sample if earlier and asked.comparable else None),
                    Cell(answer.kpi.definition),
                ]
            )
    columns = [Column("kpi"), Column("title"), *NUMBERS, Column("value_before"), Column("sample_before"),
               Column("definition")]  # fmt: skip
    blocks: list[Table | Picture | Words | list[Card]] = [cards]
    if silent:
        blocks.append(Words(f"Nothing was counted of: {', '.join(silent)}."))
    blocks.append(Table("headline", "Headline figures", columns, rows, shown=False))
    return Section("headline", "At a glance", _compared(asked), blocks)


def _compared(asked: Asked) -> str:
    before = days(asked.begins_before, asked.since)
    if not asked.comparable:
        since = f"counting begins on {asked.first_day}" if asked.first_day else "nothing is counted"
        return f"The window before, {before}, cannot be compared with: {since}."
    unfinished = "" if asked.over else " The window is not over yet, so what is counted in it still grows."
    return f"Each figure beside that of the window before, {before}, which is as long.{unfinished}"


def _card(asked: Asked, answer: Answer, figure: Figure, before: Figure | None) -> Card:
    kpi = answer.kpi
    bounds = interval(kpi, figure)
    sample = rests_on(kpi, figure) if kpi.unit != "count" else ""
    if bounds:
        sample = f"{sample}; 95 % interval {bounds}"
    if figure.p90 is not None:
        sample = f"nine in ten within {spoken.value('seconds', figure.p90)}; {sample}"
    aimed = next((each for each in asked.targets if each.target.kpi == kpi.name and each.target.of is None), None)
    if aimed and aimed.target.bound.currency not in {None, figure.part.get("currency")}:
        aimed = None
    return Card(
        title=kpi.title + (" (median)" if kpi.unit == "seconds" else ""),
        value=value(kpi, figure) if figure.value is not None else why(figure),
        change=change(kpi, figure, before) if asked.comparable else "",
        sample=sample,
        definition=kpi.definition,
        target=_against(aimed) if aimed else "",
        missed=aimed.missed if aimed else None,
        few=few(kpi, figure),
    )


def _against(aimed: Aimed) -> str:
    state = {None: "too few to say", True: "missed", False: "met"}[aimed.missed]
    last = f"the last {aimed.target.over.days} days"
    return f"target {_bound(aimed)}: {state} ({value(aimed.asked.kpi, aimed.figure, aimed.value)} in {last})"


def _bound(aimed: Aimed) -> str:
    bound = f"≤ {aimed.target.at_most}" if aimed.target.bound.most else f"≥ {aimed.target.at_least}"
    return f"{bound} (nine in ten)" if aimed.target.percentile == 90 else bound  # noqa: PLR2004 - else the median


# -- targets -----------------------------------------------------------------------------------------------------------


def targets(asked: Asked) -> Section:
    """Every target of the journey, over its own time at the end of the window."""
    rows = []
    for aimed in asked.targets:
        kpi, target, of = aimed.asked.kpi, aimed.target, aimed.asked.of
        state = {None: "too few to say", True: "✗ missed", False: "✓ met"}[aimed.missed]
        mark = {None: "few", True: "missed", False: "met"}[aimed.missed]
        about = called(asked.journey, of.kind, of.code) if of else "all"
        rows.append(
            [
                Cell(aimed.name),
                Cell(target.label, target.label or titled(aimed.name)),
                Cell(kpi.name, kpi.title),
                Cell(f"{of.kind}:{of.code}" if of else None, about),
                Cell(target.at_most if target.bound.most else target.at_least, _bound(aimed)),
                Cell("at_most" if target.bound.most else "at_least"),
                Cell(target.percentile if kpi.unit == "seconds" else None),
                Cell(aimed.asked.since),
                Cell(aimed.asked.until, days(aimed.asked.since, aimed.asked.until)),
                Cell(aimed.value, why(aimed.figure) if aimed.value is None else value(kpi, aimed.figure, aimed.value)),
                Cell(aimed.figure.sample, f"{aimed.figure.sample:,} (needs {target.sample:,})"),
                Cell(aimed.missed, state, mark=mark),
                Cell(kpi.definition, kpi.definition),
            ]
        )  # fmt: skip
    columns = [
        Column("target"), Column("label", "Target"), Column("kpi", "Figure"), Column("of", "Of"),
        Column("bound", "Is to be"), Column("direction"), Column("percentile"), Column("from"),
        Column("to", "Days", tight=True),
        Column("value", "Is", number=True), Column("sample", "Rests on", number=True),
        Column("missed", "State", tight=True),
        Column("definition", "What it is"),
    ]  # fmt: skip
    empty = "The journey file sets no targets (`kpis: targets:`)."
    intro = "What the journey file wants figures to come to, each over its own time up to the end of the window."
    table = Table("targets", "Targets of the journey and how they stand", columns, rows, empty=empty)
    return Section("targets", "Targets", intro, [table])


# -- over time ---------------------------------------------------------------------------------------------------------


def over_time(asked: Asked) -> Section:
    """How the main figures went, one small plot each; the numbers of all of them as one table in CSV."""
    plots: list[Table | Picture | Words | list[Card]] = []
    rows: list[list[Cell]] = []
    for name in PLOTTED:
        answer = asked.over_time[name]
        for currency, told in _series(answer):
            if any(each.figure.sample for each in told):
                plots.append(_plotted(asked, answer, told, currency))
                for each in told:
                    when = [Cell(each.since), Cell(each.until), Cell(_cut(asked, each))]
                    rows.append([Cell(name), *when, *numbers(answer.kpi, each.figure)])
    columns = [Column("kpi"), Column("from"), Column("to"), Column("cut"), *NUMBERS]
    numbers_of_all = Table("over_time", "The main figures over time", shown_columns(columns, []), rows, shown=False)
    intro = (
        f"One point for each {asked.every}. A band is the 95 % interval; a dashed line is within what time nine in ten "
        "are over; a dotted line is a target. Hollow points rest on few, or on a period that is not whole; where "
        "nothing is known there is a gap."
    )
    empty = [] if plots else [Words("Nothing was counted in these days.")]
    return Section("over-time", "Over time", intro, [*plots, *empty, numbers_of_all])


def _series(answer: Answer) -> Iterator[tuple[str | None, list[Told]]]:
    """The figures of all together by currency, in the order of time."""
    whole = [each for each in answer.told if not {*each.figure.part} - {"currency"}]
    currencies = list(dict.fromkeys(each.figure.part.get("currency") for each in whole))
    for currency in currencies:
        yield currency, [each for each in whole if each.figure.part.get("currency") == currency]


def _cut(asked: Asked, told: Told) -> bool:
    """Whether a period is not whole, or not over."""
    whole = _WHOLE.get(asked.every)
    following = told.since + whole if whole else (told.since.replace(day=1) + timedelta(days=31)).replace(day=1)
    begun = asked.every == "month" and told.since.day > 1
    return begun or told.until < following or (asked.counted_day is not None and asked.counted_day < told.until)


def _plotted(asked: Asked, answer: Answer, told: list[Told], currency: str | None) -> Picture:
    kpi, there = answer.kpi, {each.since: each for each in told}
    periods = sorted({(each.since, each.until) for series in asked.over_time.values() for each in series.told})
    points = [_point(asked, answer, since, until, there.get(since)) for since, until in periods]
    known = [point for point in points if point.value is not None]
    each = _EACH[asked.every]
    unit = {"count": f"{kpi.title.lower()} {each}", "money": f"{currency or ''} {each}", "points": "points"}
    aimed = next((one for one in asked.targets if one.target.kpi == kpi.name and one.target.of is None), None)
    bound = None
    if aimed and kpi.unit in {"share", "seconds", "points"}:
        bound = float(aimed.target.bound.value)
    spoken_plot = f"{kpi.title} by {asked.every}. "
    if known:
        lowest, highest = (pick(known, key=lambda p: p.value or 0) for pick in (min, max))
        spoken_plot += f"Lowest: {lowest.told}. Highest: {highest.told}. Last: {known[-1].told}."
    total = sum(one.figure.sample for one in told)
    title = kpi.title + (" (median)" if kpi.unit == "seconds" else f", {currency}" if currency else "")
    caption = f"{kpi.definition} n = {total:,}."
    if kpi.needed and any(point.few for point in known):
        caption += f" Below {kpi.needed} a point is hollow."
    drawn = plot.over_time(points, kpi.unit, unit.get(kpi.unit, ""), spoken_plot, target=bound)
    return Picture(f"plot-{kpi.name}", title, drawn, caption)


def _point(asked: Asked, answer: Answer, since: date, until: date, told: Told | None) -> plot.Point:
    kpi = answer.kpi
    figure = told.figure if told else None
    known = asked.first_day is not None and until > asked.first_day
    known = known and asked.counted_day is not None and since <= asked.counted_day
    number = figure.value if figure else None
    if number is None and kpi.unit in {"count", "money"} and figure is None:
        number = 0  # a sum of nothing
    if not known or number is None:
        return plot.Point(since, until, None)
    cut = bool(told) and _cut(asked, told)  # type: ignore[arg-type]
    small = figure is not None and few(kpi, figure)
    said = f"{days(since, until)}: {value(kpi, figure) if figure else '0'}"
    if figure and kpi.unit != "count":
        said += f" ({rests_on(kpi, figure)}{', ' + interval(kpi, figure) if figure.low is not None else ''})"
    bounds = (figure.low, figure.high) if figure and kpi.unit in {"share", "points"} else (None, None)
    return plot.Point(
        since,
        until,
        float(number) if isinstance(number, int | float | Decimal) else None,
        *bounds,
        upper=figure.p90 if figure and not small else None,
        cut=cut and kpi.unit in {"count", "money"},
        few=small,
        told=said,
    )
