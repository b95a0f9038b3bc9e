"""What became of leads: funnel, cohorts, times in states, where they wait, and what changed. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from schema.kpi import spoken
from schema.kpi.catalog import CATALOG
from schema.store import trends as stored
from services.cli.report import plot
from services.cli.report.parts import Cell, Column, Picture, Section, Table, Words
from services.cli.report.words import NOT_KNOWN, called, days, few, interval, rests_on, titled, value, why

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from schema.kpi.figure import Figure
    from services.cli.report.ask import Asked

_MOST_COHORTS: Final = 6
"""So many states have a table of cohorts: those on the way to winning that most came into."""
_MOST_STATES: Final = 40
_REASONS: Final = {
    "small": "too few to say",
    "no_waiting": "nobody waits",
    "rests": "leads are meant to stay",
    "nobody": "nobody was there",
}


# -- funnel ------------------------------------------------------------------------------------------------------------


def funnel(asked: Asked) -> Section:
    """The states on the way to winning, seen both ways: what became of who came, and what happened."""
    journey = asked.journey
    stays = {each.part["state"]: each for each in asked.answer("drop_off").figures}
    on_the_way = [state for _, state in asked.by_state if _ == "conversion"]
    won = [name for name, state in journey.lifecycle.items() if state.outcome == "won"]
    rows: list[list[Cell]] = []
    cohort: list[plot.Bar] = []
    snapshot: list[plot.Bar] = []
    for state in [*on_the_way, *won]:
        there = stays.get(state)
        came = there.sample if there else 0
        lost = int(there.numerator or 0) if there else 0
        still = there.open or 0 if there else 0
        on, moved = asked.by_state.get(("conversion", state)), asked.by_state.get(("conversion_snapshot", state))
        label = called(journey, "state", state)
        if state in won:
            cohort.append(plot.Bar(label, [("won", came)], f"{came:,} came in: won"))
        else:
            gone = int(on.numerator or 0) if on else 0
            cohort.append(plot.Bar(label, [("on", gone), ("lost", lost), ("still", max(came - gone - lost, 0))],
                                   f"{came:,} came in: {_of(gone, came)} went on, {_of(lost, came)} lost, "
                                   f"{_of(still, came)} still there"))  # fmt: skip
            if moved and moved.denominator:
                went, out = int(moved.numerator or 0), int(moved.denominator)
                snapshot.append(
                    plot.Bar(
                        label,
                        [("on", went), ("lost", out - went)],
                        f"{out:,} moved out: {_of(went, out)} on, {_of(out - went, out)} away",
                    )
                )
        rows.append(
            [
                Cell(state, label),
                Cell(came, f"{came:,}"),
                *_rate("conversion", on),
                *_rate("drop_off", there if state not in won else None),
                Cell(still if state not in won else None, f"{still:,}" if state not in won else ""),
                *_rate("conversion_snapshot", moved),
            ]
        )
    columns = [
        Column("state", "State"), Column("came_in", "Came in", number=True),
        *_rate_columns("went_on_so_far", "Went on so far"), *_rate_columns("lost_so_far", "Lost so far"),
        Column("still_there", "Still there", number=True), *_rate_columns("moves_on", "Of the moves out, on"),
    ]  # fmt: skip
    said = ("conversion", "drop_off", "conversion_snapshot")
    note = " ".join(f"{CATALOG[name].title}: {CATALOG[name].definition}" for name in said)
    table = Table("funnel", "The way to winning, by state", columns, rows, note)
    pictures = [
        Picture("funnel-cohort", "Cohort: what became so far of those who came in", plot.bars(
            cohort, "Funnel as a cohort. " + ". ".join(f"{bar.label}: {bar.told}" for bar in cohort)),
            "Of the leads that came into each state in these days: solid went on, hatched were lost, empty are still "
            "there, and may do either yet.", "wide"),
        Picture("funnel-snapshot", "Snapshot: what happened, whenever they had come", plot.bars(
            snapshot, "Funnel as a snapshot. " + ". ".join(f"{bar.label}: {bar.told}" for bar in snapshot)),
            "Of the moves out of each state in these days: solid led on, hatched led away.", "wide"),
    ]  # fmt: skip
    intro = "Two questions with two right answers: what became of those who came, and what happened in these days."
    came_any = any(bar.pieces and sum(size for _, size in bar.pieces) for bar in cohort)
    return Section("funnel", "Funnel", intro, [*(pictures if came_any else []), table])


def _of(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole > 0 else "-"


def _rate_columns(key: str, title: str) -> list[Column]:
    return [Column(key, title, number=True), Column(f"{key}_low"), Column(f"{key}_high"), Column(f"{key}_n"),
            Column(f"{key}_of"), Column(f"{key}_interval", "95 %", number=True, sheet=False)]  # fmt: skip


def _rate(name: str, figure: Figure | None) -> list[Cell]:
    kpi = CATALOG[name]
    if figure is None:
        return [Cell(None, "")] * 6
    said = value(kpi, figure) if figure.value is not None else "-"
    small = few(kpi, figure)
    bounds = interval(kpi, figure)
    if small and figure.sample:
        bounds += f" (few: {figure.sample:,})"
    return [Cell(figure.value, said, mark="few" if small else None), Cell(figure.low), Cell(figure.high),
            Cell(figure.numerator), Cell(figure.denominator), Cell(bounds, bounds)]  # fmt: skip


# -- cohorts -----------------------------------------------------------------------------------------------------------


def cohorts(asked: Asked) -> Section:
    """By when leads came into a state: how many took each way out so far, how many are still there."""
    moves: dict[str, dict[tuple[str, str], dict[date, Figure]]] = defaultdict(lambda: defaultdict(dict))
    for told in asked.answer("conversion", asked.cohorts).told:
        part = told.figure.part
        moves[part["state"]][part["transition"], part["to"]][told.since] = told.figure
    came: dict[str, dict[date, Figure]] = defaultdict(dict)
    ends: dict[date, date] = {}
    for told in asked.answer("drop_off", asked.cohorts).told:
        came[told.figure.part["state"]][told.since] = told.figure
        ends[told.since] = told.until
    largest = sorted(came, key=lambda state: -sum(each.sample for each in came[state].values()))
    on_the_way = [state for name, state in asked.by_state if name == "conversion" and state in came]
    chosen = [state for state in largest if state in on_the_way][:_MOST_COHORTS]
    tables = [_cohorts(asked, state, moves[state], came[state], ends) for state in on_the_way if state in chosen]
    flat = [
        [Cell(state), Cell(since), Cell(ends[since]), Cell(entered.sample), Cell(way), Cell(to),
         Cell(ways[since].numerator if since in ways else 0), Cell(entered.open)]
        for state, by_day in came.items() for since, entered in by_day.items()
        for (way, to), ways in (moves[state] or {("", ""): {}}).items()
    ]  # fmt: skip
    columns = [
        Column(key) for key in ("state", "from", "to", "came_in", "transition", "to_state", "moved", "still_there")
    ]
    everything = Table("cohorts", "Cohorts of every state", columns, flat, shown=False)
    intro = (
        f"By the {asked.cohorts} in which leads came into a state: which way they have gone so far, as a share of "
        "those who came. The darker, the more. Recent cohorts have had less time: hold the first rows against each "
        "other."
    )
    none = [] if tables else [Words("Nobody came into a state on the way to winning in these days.")]
    return Section("cohorts", "Cohorts", intro, [*tables, *none, everything])


def _cohorts(
    asked: Asked,
    state: str,
    moves: Mapping[tuple[str, str], Mapping[date, Figure]],
    came: Mapping[date, Figure],
    ends: Mapping[date, date],
) -> Table:
    order = [*asked.journey.lifecycle[state].to.items()]
    ways = [way for way in order if way in moves] + [way for way in moves if way not in order]
    rows = []
    for since, entered in sorted(came.items()):
        if not entered.sample:
            continue
        line = [Cell(since, days(since, ends[since])), Cell(entered.sample, f"{entered.sample:,}")]
        counts = [moves[way].get(since) for way in ways]
        for count in [*(int(each.numerator or 0) if each else 0 for each in counts), entered.open or 0]:
            share = count / entered.sample
            line.append(Cell(count, f"{100 * share:.0f} %" if count else "0", shade=min(max(share, 0.0), 1.0)))
        if entered.sample < CATALOG["drop_off"].needed:
            line[1] = Cell(entered.sample, f"{entered.sample:,} (few)", mark="few")
        rows.append(line)
    columns = [Column("since", "Came in", tight=True), Column("n", "Leads", number=True)]
    for way, to in ways:
        columns.append(Column(way, f"{called(asked.journey, 'transition', way)} → {called(asked.journey, 'state', to)}",
                              number=True))  # fmt: skip
    columns.append(Column("open", "Still there", number=True))
    name = called(asked.journey, "state", state)
    return Table(f"cohorts-{state}", f"Leads that came into {name}", columns, rows)


# -- times -------------------------------------------------------------------------------------------------------------


def times(asked: Asked) -> Section:
    """How long leads stay in each state, those still there counted for as long as they last."""
    kpi = CATALOG["time_in_state"]
    order = {name: at for at, name in enumerate(asked.journey.lifecycle)}
    figures = sorted(asked.answer("time_in_state").figures, key=lambda each: order.get(each.part["state"], 999))
    final = {name for name, state in asked.journey.lifecycle.items() if state.final}
    figures = [each for each in figures if each.sample and each.part["state"] not in final]
    bars = [plot.Stay(called(asked.journey, "state", each.part["state"]), _s(each.value), each.p90, each.longest,
                      _stay(each), few(kpi, each)) for each in figures[:_MOST_STATES]]  # fmt: skip
    said = "How long leads stay in each state. " + ". ".join(f"{bar.label}: {bar.told}" for bar in bars)
    picture = Picture("stays", "Half, nine in ten, and the longest", plot.stays(bars, said),
                      f"The dot is the median, the thick line reaches to nine in ten, the thin one to the longest so "
                      f"far; the axis grows by multiples. {kpi.definition}", "wide")  # fmt: skip
    rows = [
        [Cell(each.part["state"], called(asked.journey, "state", each.part["state"])),
         Cell(each.value, spoken.value("seconds", each.value) if each.value is not None else why(each),
              mark="few" if few(kpi, each) else None),
         Cell(each.p90, spoken.value("seconds", each.p90) if each.p90 is not None else "not yet known"),
         Cell(each.longest, spoken.value("seconds", each.longest)), Cell(each.numerator, f"{each.numerator:,}"),
         Cell(each.open, f"{each.open or 0:,}"), Cell(each.sample, rests_on(kpi, each))]
        for each in figures
    ]  # fmt: skip
    columns = [
        Column("state", "State"), Column("median_s", "Half within", number=True),
        Column("p90_s", "Nine in ten within", number=True), Column("longest_s", "Longest so far", number=True),
        Column("over", "Over", number=True), Column("still_there", "Still there", number=True),
        Column("sample", "Rests on", number=True),
    ]  # fmt: skip
    table = Table("time_in_state", "Time in state of those who came in these days", columns, rows)
    return Section("times", "Time in state", "", [picture, table] if bars else [table])


def _s(number: object) -> float | None:
    return float(number) if isinstance(number, int | float) else None


def _stay(figure: Figure) -> str:
    half = spoken.value("seconds", figure.value) if figure.value is not None else why(figure)
    most = f", 90 % {spoken.value('seconds', figure.p90)}" if figure.p90 is not None else ""
    return f"{half}{most} (n = {figure.sample:,})"


# -- bottlenecks and trends --------------------------------------------------------------------------------------------


def bottlenecks(asked: Asked) -> Section:
    """Where leads wait, the worst first, with the evidence."""
    found = asked.bottlenecks
    rows = [_place(place) for place in found["places"] if place["reason"] != "nobody"]
    columns = [
        Column("rank", "Rank"), Column("kind"), Column("name"), Column("label", "Where"),
        Column("days_per_month", "Days a month lost by waiting", number=True),
        Column("wins_per_month", "Wins a month lost", number=True),
        Column("days_sooner", "Each days sooner", number=True),
        Column("arrivals", "In", number=True), Column("completions", "Out", number=True),
        Column("in_progress", "There now", number=True), Column("stay_mean_s", "Mean stay", number=True),
        Column("waiting_share", "Of it waiting", number=True), Column("waiting_rests_on", "Known by"),
        Column("dropped_share", "Lost here", number=True), Column("little_l"), Column("little_lambda_w"),
        Column("little_deviation", "Little's law off by", number=True),
    ]  # fmt: skip
    note = " ".join(f"{titled(name)}: {formula}." for name, formula in found["formulas"].items())
    table = Table("bottlenecks", "Places where leads wait, the worst first", columns, rows, note)
    first = next((place for place in found["places"] if place["rank"] == 1), None)
    intro = "Ranked by the days that the leads of a month would not lose if nobody had to wait there."
    if first:
        gain = first["gain"]
        more = f", and {gain['wins_per_month']:,.1f} more would be won" if gain["wins_per_month"] else ""
        intro = (f"{first['label']} costs most: without waiting there the leads of a month would lose "
                 f"{gain['days_per_month']:,.0f} days less{more}. ") + intro  # fmt: skip
    return Section("bottlenecks", "Bottlenecks", intro, [table])


def _place(place: Mapping[str, Any]) -> list[Cell]:
    gain, waiting, little, dropped = (place[name] for name in ("gain", "waiting", "little", "dropped"))
    rank = str(place["rank"]) if place["rank"] else _REASONS[place["reason"]]
    lost = dropped["share"] if place["kind"] == "state" else None
    return [
        Cell(place["rank"], rank, mark="few" if place["reason"] == "small" else None),
        Cell(place["kind"]),
        Cell(place["name"]),
        Cell(place["label"], place["label"]),
        *(Cell(gain[name], _decimal(gain[name])) for name in ("days_per_month", "wins_per_month", "days_sooner")),
        *(Cell(place[name], f"{place[name]:,}") for name in ("arrivals", "completions", "in_progress")),
        Cell(place["stay"]["mean_s"], _long(place["stay"]["mean_s"])),
        Cell(waiting["share"], _percent(waiting["share"])),
        Cell(waiting["rests_on"], titled(waiting["rests_on"] or "")),
        Cell(lost, _percent(lost)),
        Cell(little["l"]),
        Cell(little["lambda_w"]),
        Cell(little["deviation"], _percent(little["deviation"])
             + ("" if little["agrees"] in {None, True} else ": fills or empties")),
    ]  # fmt: skip


def _decimal(number: float | None) -> str:
    return "" if number is None else f"{number:,.1f}"


def _percent(number: float | None) -> str:
    return "" if number is None else f"{100 * number:.0f} %"


def _long(seconds: float | None) -> str:
    return "" if seconds is None else spoken.time(seconds)


def trends(asked: Asked) -> Section:
    """Levels that changed within the window, each once; and sources that are silent."""
    assert asked.series is not None  # noqa: S101 - `ask` has read them
    told = stored.told(asked.series, asked.since)
    items = [item for item in told["items"] if item["what"] == "silent" or item["noticed"] < asked.until]
    columns = [
        Column("what"), Column("figure", "Figure"), Column("of", "Of"), Column("since", "Since", tight=True),
        Column("noticed", "Noticed", tight=True), Column("before", "Before", number=True),
        Column("after", "After", number=True),
        Column("unit"), Column("change", "Change", number=True), Column("z"), Column("days", "Days since", number=True),
    ]  # fmt: skip
    words = "Nothing changed its level." if told["enough"] else "Too few days are counted to know what is usual."
    table = Table(
        "trends", "Levels that changed, and silent sources", columns, [_trend(asked, i) for i in items], empty=words
    )
    intro = (
        f"Against what is usual on the same days of the week; {told['series']:,} figures were looked at, whole days "
        f"from {told['known_since']} to {asked.series.until}."
    )
    if not told["series"]:
        intro = ""
    elif told["known_since"] > asked.since:
        intro += " Before that, changes are not looked for."
    return Section("trends", "Trends noticed", intro, [table])


def _trend(asked: Asked, item: Mapping[str, Any]) -> list[Cell]:
    of = ", ".join(called(asked.journey, key, part) if part else NOT_KNOWN for key, part in item["of"].items())
    of_code = "; ".join(f"{key}: {part}" for key, part in item["of"].items())
    if item["what"] == "silent":
        usual = f"something every {_long(item['usual_gap_s'])}" if item["usual_gap_s"] else ""
        since = item["since"]
        return [Cell("silent"), Cell(item["figure"], "✗ Silent source", mark="missed"), Cell(of_code, of),
                Cell(since, f"{since:%Y-%m-%d %H:%M}"), Cell(None, ""), Cell(item["usual_gap_s"], usual),
                Cell(None, "nothing"), Cell("seconds"), Cell(None, ""), Cell(None), Cell(None, "")]  # fmt: skip
    unit = item["unit"]
    before, after = (_level(item[name], unit) for name in ("before", "after"))
    arrow = "↑" if item["direction"] == "up" else "↓"
    change = "new" if item["change"] is None else f"{arrow} {100 * item['change']:+.0f} %"
    return [Cell("level"), Cell(item["figure"], titled(item["figure"])), Cell(of_code, of or "all"),
            Cell(item["since"], str(item["since"])), Cell(item["noticed"], str(item["noticed"])),
            Cell(item["before"], before), Cell(item["after"], after), Cell(unit), Cell(item["change"], change),
            Cell(item["z"]), Cell(item["days"], str(item["days"]))]  # fmt: skip


def _level(number: float, unit: str) -> str:
    if unit == "seconds":
        return spoken.time(number)
    return f"{100 * number:.1f} %" if unit == "share" else f"{number:,.1f} a day"
