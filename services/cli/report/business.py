"""What it brought and cost: lost reasons, sales, service, campaigns, attribution, the team, faults in data. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from schema.kpi import spoken
from schema.kpi.catalog import CATALOG
from schema.kpi.measures import MODELS
from services.cli.report import plot
from services.cli.report.parts import Cell, Column, Picture, Section, Table, Words
from services.cli.report.words import NOT_KNOWN, called, few, interval, late, listed, rests_on, titled, value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schema.kpi.figure import Figure
    from services.cli.report.ask import Answer, Asked

_MOST_BARS: Final = 20
_MOST_RESTATED: Final = 25
_MOST_ATTRIBUTED: Final = 25


def lost(asked: Asked) -> Section:
    """Why opportunities were lost and leads refused."""
    blocks: list[Table | Picture | Words] = []
    answer = asked.answer("lost_reasons")
    by_pipeline: dict[str, list[Figure]] = defaultdict(list)
    for figure in answer.figures:
        by_pipeline[figure.part["pipeline"]].append(figure)
    for pipeline, figures in by_pipeline.items():
        figures.sort(key=lambda each: -float(each.value or 0))
        bars = [plot.Bar(titled(each.part["reason"] or "no reason"), [("on", float(each.value or 0))],
                         f"{value(answer.kpi, each)} ({rests_on(answer.kpi, each)}; 95 % {interval(answer.kpi, each)})",
                         (each.low, each.high) if each.low is not None and each.high is not None else None)
                for each in figures[:_MOST_BARS]]  # fmt: skip
        name = called(asked.journey, "pipeline", pipeline)
        blocks.append(_bars(f"lost-{pipeline}", f"Lost opportunities, {name}", bars, answer.kpi.definition))
    refused = asked.answer("disqualified")
    reasons = sorted((each for each in refused.figures if each.part), key=lambda each: -each.sample)
    bars = [plot.Bar(titled(each.part["reason"] or "no reason"), [("on", each.sample)], f"{each.sample:,}")
            for each in reasons[:_MOST_BARS]]  # fmt: skip
    if bars:
        blocks.append(_bars("refused", refused.kpi.title, bars, refused.kpi.definition))
    table = listed("lost", "Why leads were lost or refused", [answer, refused], asked.journey, definition=False)
    silent = [] if blocks else [Words("Nothing was lost or refused in these days.")]
    return Section("lost", "Lost, and why", "", [*blocks, *silent, _csv_only(table)])


def _bars(name: str, title: str, bars: Sequence[plot.Bar], caption: str) -> Picture:
    said = f"{title}. " + ". ".join(f"{bar.label}: {bar.told}" for bar in bars)
    return Picture(name, title, plot.bars(bars, said), caption, "wide")


def _csv_only(table: Table) -> Table:
    return replace(table, shown=False)


def sales(asked: Asked) -> Section:
    """The pipeline, forecasts against outcomes, and what customers are worth."""
    names = ("opportunity_win_rate", "sales_cycle", "velocity", "won_amount", "pipeline_value", "forecast_hit_rate",
             "forecast_ratio", "lifetime_value", "upsell_rate", "handover_time", "overdue")  # fmt: skip
    table = listed("sales", "Sales and value", [asked.answer(name) for name in names], asked.journey)
    sources = _by_source(asked)
    intro = (
        "Pipeline value is as it is now; lifetime value is up to the end of the window; all others are of these days."
    )
    return Section("sales", "Sales and sources", intro, [table, sources])


def _by_source(asked: Asked) -> Table:
    began = {each.group: each.figure for each in asked.answer("arrivals", "source").told}
    won = {each.group: each.figure for each in asked.answer("wins", "source").told}
    total = sum(figure.sample for figure in began.values())
    names = sorted({*began, *won}, key=lambda name: (-(began[name].sample if name in began else 0), name or ""))
    rows = []
    for name in names:
        came, wins = (found[name].sample if name in found else 0 for found in (began, won))
        share = came / total if total else None
        rows.append([Cell(name, called(asked.journey, "source", name) if name else NOT_KNOWN), Cell(came, f"{came:,}"),
                     Cell(share, f"{100 * share:.1f} %" if share is not None else "", shade=share),
                     Cell(wins, f"{wins:,}")])  # fmt: skip
    columns = [Column("source", "Source"), Column("arrivals", "Arrivals", number=True),
               Column("share_of_arrivals", "Share", number=True),
               Column("wins", "Wins in these days", number=True)]  # fmt: skip
    note = f"{CATALOG['arrivals'].definition} {CATALOG['wins'].definition} Wins are counted on the day of winning."
    return Table("sources", "By the source that leads came from first", columns, rows, note)


def service(asked: Asked) -> Section:
    """How customers were helped, and what they said about it."""
    names = ("sla_hit_rate", "ticket_first_response", "ticket_first_response_hours", "resolution_time", "reopen_rate",
             "tickets_opened", "tickets_resolved", "follow_up_late_rate")  # fmt: skip
    helped = listed("service", "Service", [asked.answer(name) for name in names], asked.journey)
    asked_names = ("csat", "nps", "satisfaction", "response_rate")
    said = listed("satisfaction", "Satisfaction", [asked.answer(name) for name in asked_names], asked.journey)
    return Section("service", "Service and satisfaction", "", [helped, said])


# -- campaigns ---------------------------------------------------------------------------------------------------------


def campaigns(asked: Asked) -> Section:
    """What each campaign cost, brought, and changed against those held out; and whose wins are by five models."""
    rows = [_campaign(asked, name, found) for name, found in asked.campaigns.items() if found]
    columns = [
        Column("campaign", "Campaign"), Column("entered", "Entered", number=True),
        Column("held_out", "Held out", number=True),
        Column("goals", "Goals", number=True), Column("goal_rate", "Goal rate", number=True),
        Column("lift", "Lift", number=True), Column("lift_low"), Column("lift_high"),
        Column("lift_interval", "95 %", number=True, sheet=False),
        Column("sent", "Messages", number=True), Column("cost", "Cost", number=True), Column("cost_currency"),
        Column("revenue", "Revenue", number=True), Column("revenue_currency"),
        Column("incremental", "More than without", number=True), Column("incremental_low"), Column("incremental_high"),
        Column("incremental_interval", "95 %", number=True, sheet=False), Column("return", "Return", number=True),
        Column("return_low"), Column("return_high"), Column("return_interval", "95 %", number=True, sheet=False),
    ]  # fmt: skip
    slow = [called(asked.journey, "campaign", name) for name, found in asked.campaigns.items() if found is None]
    note = (
        "Since the beginning of each campaign, up to now. Lift: by how many points more of those who entered reached "
        "the goal than of those held out; more than without: what they bought beyond as many of those; return: what "
        "came in beyond the cost, as a share of it, by what was bought more than without where people are held out."
    )
    missing = f"Not read in time: {', '.join(slow)}; `throughline campaigns results NAME` has them." if slow else ""
    empty = "The journey has no campaigns." if not asked.campaigns else "Nothing is known of its campaigns."
    table = Table("campaigns", "What campaigns cost and brought", columns, rows, note, empty, missing)
    tables = [_attributed(asked, by) for by in ("source", "campaign")]
    return Section("campaigns", "Campaigns and attribution", "", [table, *tables])


def _campaign(asked: Asked, name: str, found: Mapping[str, Any]) -> list[Cell]:
    people, held, gain = found["people"], found["holdout"], found["lift"]
    cost, back = found["cost"], found["return"]
    earned = next(iter((found["revenue"] or {}).get("currencies", ())), None)
    more = earned["incremental"] if earned else None
    money = earned["currency"] if earned else ""
    returned = back["plain"] if back["incremental"] is None else back["incremental"]
    sure = "" if not gain else ", sure" if gain["sure"] else ", may be chance"
    return [
        Cell(name, called(asked.journey, "campaign", name)),
        Cell(people["entered"], f"{people['entered']:,}"),
        Cell(held["entered"] if held else 0, f"{held['entered']:,}" if held else "nobody"),
        Cell(people["goal"], f"{people['goal']:,}"),
        Cell(people["goal_rate"], _share(people["goal_rate"])),
        Cell(gain and gain["difference"], f"{100 * gain['difference']:+.1f} points{sure}" if gain else "not known"),
        Cell(gain and gain["low"]),
        Cell(gain and gain["high"]),
        Cell(None, f"{100 * gain['low']:+.1f} to {100 * gain['high']:+.1f}" if gain else ""),
        Cell(found["messages"]["sent"], f"{found['messages']['sent']:,}"),
        Cell(_amount(cost and cost["total"]), _money(cost["total"], cost["currency"]) if cost else "not said"),
        Cell(cost and cost["currency"]),
        Cell(_amount(earned and earned["net"]), _money(earned["net"], money) if earned else "not known"),
        Cell(money or None),
        Cell(_amount(more and more["total"]), _money(more["total"], money) if more else "not known"),
        Cell(_amount(more and more["low"])),
        Cell(_amount(more and more["high"])),
        Cell(None, f"{_money(more['low'], money)} to {_money(more['high'], money)}" if more else ""),
        Cell(returned, f"{100 * returned:+,.0f} %" if returned is not None else _why(back["reason"])),
        Cell(back["low"]),
        Cell(back["high"]),
        Cell(None, f"{100 * back['low']:+,.0f} to {100 * back['high']:+,.0f} %" if back["low"] is not None else ""),
    ]


def _why(reason: str | None) -> str:
    return spoken.REASONS.get(reason or "", "not known")


def _share(number: float | None) -> str:
    return "" if number is None else f"{100 * number:.1f} %"


def _amount(number: str | None) -> Decimal | None:
    return None if number is None else Decimal(number)


def _money(number: str, currency: str) -> str:
    amount = Decimal(number)
    return f"{amount:,.0f} {currency}" if abs(amount) >= 10_000 else f"{amount:,.2f} {currency}"  # noqa: PLR2004


def _attributed(asked: Asked, by: str) -> Table:
    """Wins shared out by five models, side by side."""
    answer = asked.answer("attributed_wins", by)
    found: dict[str | None, dict[str, Figure]] = defaultdict(dict)
    for told in answer.told:
        found[told.group][told.figure.part["model"]] = told.figure
    most = max((float(each.value or 0) for models in found.values() for each in models.values()), default=0) or 1
    order = sorted(found, key=lambda name: -max(float(each.value or 0) for each in found[name].values()))
    rows = []
    for at, name in enumerate(order):
        models = [found[name].get(model) for model in MODELS]
        wins = [float(each.value or 0) if each else 0.0 for each in models]
        text = called(asked.journey, by if by == "source" else "campaign", name) if name else NOT_KNOWN
        cells = [Cell(number, f"{number:,.1f}", shade=min(max(number / most, 0.0), 1.0)) for number in wins]
        touches = max((each.sample for each in models if each), default=0)
        if at < _MOST_ATTRIBUTED:
            rows.append([Cell(name, text), *cells, Cell(touches, f"{touches:,}")])
    titles = {"first": "First", "last": "Last", "linear": "Linear", "position": "Position", "decay": "Decay"}
    columns = [Column(by, by.capitalize()), *(Column(model, titles[model], number=True) for model in MODELS),
               Column("touchpoints", "Touchpoints", number=True)]  # fmt: skip
    note = answer.kpi.definition
    if len(order) > _MOST_ATTRIBUTED:
        note += f" {len(order) - _MOST_ATTRIBUTED} more with smaller shares are left out."
    what = "source of the touchpoints" if by == "source" else "advertising campaign"
    return Table(f"attribution_{by}", f"Wins by {what}, in five models", columns, rows, note)


# -- team, faults ------------------------------------------------------------------------------------------------------


def team(asked: Asked) -> Section:
    """What each rep was given, has and did."""
    names = ("assigned", "first_response", "wins", "win_rate")
    by = {name: {each.group: each.figure for each in asked.answer(name, "owner").told} for name in names}
    load = {each.part["owner"]: each.sample for each in asked.answer("load").figures}
    turns: dict[str, list[str]] = defaultdict(list)
    for each in asked.answer("fairness").figures:
        pool = called(asked.journey, "pool", each.part["pool"])
        turns[each.part["owner"]].append(f"{float(each.value or 0):+.1f} {pool}")
    owners = sorted({*load, *(name for found in by.values() for name in found)} - {None}, key=str)
    given = {name: figure.sample for name, figure in by["assigned"].items()}
    most = max([*given.values(), 1])
    rows = []
    for name in owners:
        answered, rate = by["first_response"].get(name), by["win_rate"].get(name)
        assigned, wins = given.get(name, 0), by["wins"][name].sample if name in by["wins"] else 0
        rows.append([
            Cell(name, called(asked.journey, "owner", str(name))),
            Cell(assigned, f"{assigned:,}", shade=assigned / most),
            Cell(load.get(str(name)), f"{load.get(str(name), 0):,}"), *_with_sample("first_response", answered),
            Cell(wins, f"{wins:,}"), *_with_sample("win_rate", rate),
            Cell("; ".join(turns[str(name)]), "; ".join(turns[str(name)]) or "-"),
        ])  # fmt: skip
    columns = [
        Column("owner", "Rep"), Column("assigned", "Given", number=True), Column("load", "Open now", number=True),
        Column("first_response_s", "First response", number=True), Column("first_response_n", "n", number=True),
        Column("wins", "Wins", number=True), Column("win_rate", "Win rate", number=True),
        Column("win_rate_of", "of", number=True), Column("turns_ahead", "Turns ahead, by pool"),
    ]  # fmt: skip
    note = " ".join(
        f"{CATALOG[name].title}: {CATALOG[name].definition}" for name in ("assigned", "load", "fairness", "win_rate")
    )
    missing = late([asked.answer(name) for name in ("load", "fairness")])
    table = Table("team", "Load and results by rep", columns, rows, note, warning=missing)
    intro = "What a rep wins depends on what they are given; where few were decided, the rates say little."
    return Section("team", "Load per rep", intro, [table])


def _with_sample(name: str, figure: Figure | None) -> list[Cell]:
    kpi = CATALOG[name]
    if figure is None or figure.value is None:
        return [Cell(None, "-"), Cell(0, "0")]
    small = few(kpi, figure)
    return [Cell(figure.value, value(kpi, figure), mark="few" if small else None),
            Cell(figure.sample, f"{figure.sample:,}" + (" (few)" if small else ""))]  # fmt: skip


def faults(asked: Asked) -> Section:
    """What cannot be true, and what was added to days that were over."""
    answer: Answer = asked.answer("faults")
    rows = [[Cell(each.part["code"], titled(each.part["code"])), Cell(each.sample, f"{each.sample:,}")]
            for each in answer.figures if each.part]  # fmt: skip
    columns = [Column("code", "Fault"), Column("n", "Times", number=True)]
    there = Table("faults", "Faults in data", columns, rows, answer.kpi.definition, "None was noticed.")
    added: dict[str, list[Any]] = {}
    for row in asked.restated:
        each = added.setdefault(row["measure"], [0, 0, row["day"], row["day"], row["noted_at"]])
        each[:] = [each[0] + row["n"], each[1] + 1, min(each[2], row["day"]), max(each[3], row["day"]),
                   max(each[4], row["noted_at"])]  # fmt: skip
    lines = [
        [Cell(measure), Cell(n, f"{n:+,}"), Cell(times, f"{times:,}"), Cell(first, str(first)), Cell(last, str(last)),
         Cell(noted, f"{noted:%Y-%m-%d %H:%M} UTC")]
        for measure, (n, times, first, last, noted) in sorted(added.items(), key=lambda one: -abs(one[1][0]))
    ]  # fmt: skip
    lines = [[Cell(line[0].value, titled(str(line[0].value).replace(".", " "))), *line[1:]] for line in lines]
    columns = [Column("measure", "What"), Column("n", "Added", number=True), Column("entries", "Notes", number=True),
               Column("first_day", "Earliest day"), Column("last_day", "Latest day"),
               Column("noted", "Last noted")]  # fmt: skip
    note = "What was told later than it happened is added to its own day; `throughline kpi restated` lists it."
    if asked.more_restated:
        note += f" Only the first {len(asked.restated):,} notes are here."
    title, none = "Added to days that were over, noted in this window", "Nothing was told late."
    afterwards = Table("restated", title, columns, lines[:_MOST_RESTATED], note, none)
    return Section("faults", "Faults and restatements", "", [there, afterwards])
