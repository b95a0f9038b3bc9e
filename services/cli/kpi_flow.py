"""Commands on how leads flow: where they wait, what changed, and the process that a log shows."""

from __future__ import annotations

import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, read_settings, transaction
from services.cli.terminal import AsJson, plain, print_json, print_table, read_moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from schema.journey import Journey
    from schema.kpi.discovered import Process
    from schema.store.discovered import Of
    from schema.store.journeys import JourneyBook
    from services.cli.kpi_log import LogFile

JourneyName = Annotated[str | None, typer.Option("--journey", help="Which journey, where several are active.")]
_PATIENCE_S: Final = 600
_DAYS: Final = 90
_SHOWN: Final = 40
"""Pairs and activities that people are shown; --json has them all."""
_REASONS: Final = {
    "small": "too few to say",
    "no_waiting": "nobody waits",
    "rests": "meant to stay",
    "nobody": "nobody was there",
}
_UNITS: Final = {"per_day": " a day", "share": "", "seconds": ""}


def add_to(app: typer.Typer) -> None:
    """Register the commands in the group `kpi`, which others add to as well."""
    found = next((each.typer_instance for each in app.registered_groups if each.name == "kpi"), None)
    group = found or typer.Typer(no_args_is_help=True, help="Figures: what happened, in numbers that add up.")
    for command in (bottlenecks, trends, process):
        group.command()(command)
    if found is None:
        app.add_typer(group, name="kpi", rich_help_panel="Operate")


def bottlenecks(
    *,
    since: Annotated[
        str | None, typer.Option("--from", help="The first day: 2026-11-01. Default: 30 days ago.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="The day behind the last. Default: tomorrow.")] = None,
    journey: JourneyName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Show where leads wait, the worst first, and what it would gain if they did not have to.

    Example: throughline kpi bottlenecks --from 2026-10-01 --to 2026-11-01
    """
    from schema.store import clock, flows
    from schema.store.journeys import JourneyBook

    now = clock.now()
    with transaction(read_settings(data_dir)) as connection:
        found_journey = _journey(connection, JourneyBook(), journey)
        first, last = flows.window(found_journey, _day(since), _day(until), now)
        found = flows.bottlenecks(connection, found_journey, first, last, now)
    if as_json:
        print_json(found)
        return
    last_day = found["to"] - timedelta(days=1)
    print(f"Where leads of {found['journey']} wait, {found['from']} to {last_day} ({found['tz']})\n")
    columns = ["", "where", "in", "out", "there now", "stay", "waiting", "won at the end", "lost here", "days a month",
               "wins a month"]  # fmt: skip
    shown = [place for place in found["places"] if place["reason"] != "nobody"]
    print_table(columns, [_place(place) for place in shown], empty="Nothing is counted in these days.")
    for place in shown[:3]:
        if place["rank"]:
            print(_sentence(place))
    if shown and sys.stdout.isatty():
        print("\ndays a month   days that the leads of a month would not lose without waiting; they rank the places")
        print("wins a month   so many more would be won")
        print("               --json has all figures, and how each is reckoned")
    _say_counted(found["as_of"], now)


def trends(
    *,
    since: Annotated[str | None, typer.Option("--from", help="Noticed from that day on. Default: 90 days ago.")] = None,
    journey: JourneyName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Show which figures changed their level, each change once, and which sources are silent.

    What is usual goes by the day of the week; a weekend is no change.
    Example: throughline kpi trends
    """
    from schema.store import clock
    from schema.store import trends as stored
    from schema.store.journeys import JourneyBook

    now, book = clock.now(), JourneyBook()
    with transaction(read_settings(data_dir)) as connection:
        read = stored.series(connection, _journey(connection, book, journey), book, now)
    found = stored.told(read, _day(since))
    if as_json:
        print_json(found)
        return
    columns = ["what", "of", "since", "noticed", "before", "after", "change"]
    words = "Nothing changed its level." if found["enough"] else "Too few days are counted to know what is usual."
    print_table(columns, [_trend(item) for item in found["items"]], empty=words)
    if sys.stdout.isatty():
        print(f"{found['series']} figures were looked at, whole days from {found['known_since']} on.")
        if found["audited_at"] is None:
            print("Silent sources are not known: no ticker has looked yet.")
    _say_counted(found["as_of"], now)


def process(  # noqa: PLR0913 - its options
    *,
    of: Annotated[
        str | None, typer.Option(help="leads (their moves), touchpoints (of leads) or tickets (what was done).")
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option("--log", metavar="FILE", help="Any event log instead: a table, nothing is kept of it."),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="Of --log: a column and what it is, as in CaseID=case: case, activity, time."),
    ] = None,
    tz: Annotated[str, typer.Option(help="Of --log: the time zone of times that name none.")] = "UTC",
    time_format: Annotated[
        str | None, typer.Option(help="Of --log: how times are written, as in '%d.%m.%Y %H:%M'. Default: ISO 8601.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="Cases that began from then on. Default: 90 days ago; of --log all.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="And before then. Default: now.")] = None,
    rows: Annotated[
        str | None, typer.Option("--rows", metavar="'A>B'", help="List the cases in which B came right after A.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Of --rows: how many.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="Of --rows: `next` of the last answer.")] = None,
    journey: JourneyName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Show the process that really happens: which activity follows which, how often and how long after.

    A case belongs to the days in which it began, and is looked at as a whole. Everything is counted exactly.
    Examples: throughline kpi process --of tickets --from 2026-10-01;
    throughline kpi process --log orders.csv --map 'Order=case, Step=activity, When=time'
    """
    from schema.store import clock

    if (of is None) == (log is None):
        raise Permanent("process_unclear", "Say of what: --of leads, touchpoints or tickets, or --log FILE.")
    begin, end = (read_moment(given) if given else None for given in (since, until))
    if log is not None:
        if rows or cursor:
            raise Permanent("rows_not_kept", "--rows is of what is kept here, not of a file.")
        from services.cli.kpi_log import LogFile

        _of_file(LogFile(log, map_ or [], _zone(tz), time_format), begin, end, as_json=as_json)
        return
    last = end or clock.now()
    first = begin or last - timedelta(days=_DAYS)
    if first >= last:
        raise Permanent("range_invalid", "The window has to begin before it ends: look at --from and --to.")
    from schema.store import discovered
    from schema.store.journeys import JourneyBook

    what, pair = _of(str(of)), _pair(rows) if rows is not None else None
    with transaction(read_settings(data_dir)) as connection:
        name = _journey(connection, JourneyBook(), journey).name
        if pair is not None:
            items, after = discovered.pairs(
                connection, name, what, first, last, first=pair[0], then=pair[1], cursor=cursor, limit=limit,
                within_s=_PATIENCE_S,
            )  # fmt: skip
            _tell_rows(pair, items, after, as_json=as_json)
            return
        found = discovered.process(connection, name, what, first, last, within_s=_PATIENCE_S)
    if as_json:
        print_json({"journey": name, "what": of, "from": first, "to": last} | found.as_json())
        return
    if not found.cases:
        print(f"No {of} of {name} began from {plain(first)} to {plain(last)}. Earlier ones: --from 2010-01-01.")
        return
    _tell(found)


def _of_file(file: LogFile, begin: datetime | None, end: datetime | None, *, as_json: bool) -> None:
    found = _discovered(file, begin, end)
    if as_json:
        print_json({"what": "log", "columns": file.columns, "refused": file.refused} | found.as_json())
        return
    _tell(found)
    for code, number in sorted(file.refused.items()):
        first = file.first_refused[code]
        hint = "; say how times are written with --time-format" if code == "time_invalid" else ""
        print(f"{number:,} rows left out: {code} (the first on line {first}){hint}", file=sys.stderr)


def _discovered(file: LogFile, begin: datetime | None, end: datetime | None) -> Process:
    """The process of a file; with bounds, of the cases that began within them."""
    from schema.kpi.discovered import discover

    if begin is None and end is None:
        return discover(file)
    entries = list(file)
    began: dict[str, datetime] = {}
    for entry in entries:
        if entry.case not in began or entry.at < began[entry.case]:
            began[entry.case] = entry.at
    within = {case for case, at in began.items() if (not begin or at >= begin) and (not end or at < end)}
    return discover(entry for entry in entries if entry.case in within)


def _of(name: str) -> Of:
    """One of the processes there are. Raises Permanent."""
    from schema.store.discovered import LOGS

    for of in LOGS:
        if of == name:
            return of
    raise Permanent("process_unknown", f"There is no process of {plain(name)}: say {', '.join(LOGS)}.")


def _pair(given: str) -> tuple[str, str]:
    before, sign, then = (part.strip() for part in given.partition(">"))
    if not (before and sign and then):
        raise Permanent("pair_invalid", "Write the pair as --rows 'A>B': B came right after A.")
    return before, then


def _tell_rows(pair: tuple[str, str], items: Sequence[Mapping[str, Any]], after: str | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"items": items, "next": after})
        return
    lines = [[item["id"], item["at"], item["then_at"], long(item["took_s"])] for item in items]
    print_table(["case", plain(pair[0]), plain(pair[1]), "took"], lines, empty="There are none.")
    if after and sys.stdout.isatty():
        print(f"more: --cursor {after}")


# -- words -------------------------------------------------------------------------------------------------------------


def long(seconds: float | None) -> str:
    """Say how long something is, in the one unit that fits; nothing for None."""
    if seconds is None:
        return ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.0f} s"


def _place(place: Mapping[str, Any]) -> list[object]:
    waiting, gain = place["waiting"], place["gain"]
    return [
        place["rank"] or _REASONS[place["reason"]],
        place["label"],
        place["arrivals"],
        place["completions"],
        place["in_progress"],
        long(place["stay"]["mean_s"]),
        "" if waiting["share"] is None else f"{waiting['share']:.0%}",
        "" if place["win_chance"] is None else f"{place['win_chance']:.0%}",
        "" if place["dropped"]["share"] is None or place["kind"] != "state" else f"{place['dropped']['share']:.0%}",
        "" if gain["days_per_month"] is None else f"{gain['days_per_month']:,.1f}",
        "" if gain["wins_per_month"] is None else f"{gain['wins_per_month']:,.1f}",
    ]


def _sentence(place: Mapping[str, Any]) -> str:
    gain, waiting, little = place["gain"], place["waiting"], place["little"]
    sooner = f", each {gain['days_sooner']:,.1f} days sooner" if gain["days_sooner"] else ""
    more = f" {gain['wins_per_month']:,.1f} more a month would be won." if gain["wins_per_month"] else ""
    said = f"{place['rank']}. {plain(place['label'])}: without waiting the leads of a month would lose "
    said += f"{gain['days_per_month']:,.1f} days less{sooner}.{more}"
    said += f" Waiting is known by: {plain(waiting['rests_on'])}; {place['completions']:,} were over."
    came, left = place["arrivals"], place["completions"]
    if place["kind"] != "first_act" and abs(came - left) > 2 * (came + left) ** 0.5:
        said += f" {came:,} came in and {left:,} went out: it {'fills up' if came > left else 'empties'}."
    if little["agrees"] is False:
        said += (
            f" Little's law is {abs(little['deviation']):.0%} off ({little['l']:,.1f} there on average, "
            f"{little['lambda_w']:,.1f} by arrivals and stays): take the stay with care."
        )
    return said


def _trend(item: Mapping[str, Any]) -> list[object]:
    of = ", ".join(f"{name} {value or 'not known'}" for name, value in item["of"].items())
    if "transition" in item["of"]:
        of = " > ".join(item["of"].values())
    if item["what"] == "silent":
        return ["SILENT", of, item["since"], "", f"something every {long(item['usual_gap_s'])}", "nothing", ""]
    unit = _UNITS[item["unit"]]
    before, after = (_level(item[name], item["unit"]) + unit for name in ("before", "after"))
    change = "new" if item["change"] is None else f"{item['change']:+.0%}"
    return [item["figure"], of, item["since"], item["noticed"], before, after, change]


def _level(value: float, unit: str) -> str:
    if unit == "seconds":
        return long(value)
    return f"{value:.1%}" if unit == "share" else f"{value:,.1f}"


def _tell(found: Process) -> None:
    print(
        f"{found.cases:,} cases, {found.entries:,} entries, from {plain(found.first_at)} to {plain(found.last_at)} UTC"
    )
    if found.cases:
        print(f"half of the cases took up to {long(found.p50_s)}, nine in ten up to {long(found.p90_s)}")
    print("\nWhat follows what")
    from_ = {each.name: each.n - each.ends for each in found.activities}
    lines = [
        [each.first, each.then, each.n, f"{each.n / from_[each.first]:.0%}" if from_.get(each.first) else "",
         long(each.p50_s), long(each.p90_s), long(each.longest_s)]
        for each in found.follows[:_SHOWN]
    ]  # fmt: skip
    print_table(["after", "comes", "times", "share", "half within", "90 % within", "longest"], lines, empty="Nothing.")
    _more(found.all_follows, len(lines))
    print("\nWhat is done")
    lines = [[each.name, each.n, each.cases, each.starts, each.ends] for each in found.activities[:_SHOWN]]
    print_table(["activity", "times", "cases", "begin with it", "end with it"], lines, empty="Nothing.")
    _more(found.all_activities, len(lines))
    print("\nThe ways that cases take")
    lines = [
        [each.n, f"{each.n / found.cases:.1%}", long(each.p50_s),
         " > ".join(each.activities) + (" > …" if each.length > len(each.activities) else "")]
        for each in found.variants
    ]  # fmt: skip
    print_table(["cases", "share", "half within", "way"], lines, empty="None.")
    _more(found.all_variants, len(lines))


def _more(there: int, shown: int) -> None:
    if there > shown:
        print(f"… and {there - shown:,} others, less often")


def _say_counted(as_of: datetime | None, now: datetime) -> None:
    if as_of is None:
        print("Nothing is counted yet: is a worker for the queue kpi running?", file=sys.stderr)
    elif now - as_of > timedelta(minutes=5):
        print(f"Counted up to {plain(as_of)}: the worker of the queue kpi is behind.", file=sys.stderr)


# -- what is asked -----------------------------------------------------------------------------------------------------


def _journey(connection: Connection, book: JourneyBook, name: str | None) -> Journey:
    from schema.store import journeys

    return book.version(connection, journeys.active_version(connection, name or journeys.active_name(connection)))


def _day(given: str | None) -> date | None:
    """Read a day. Raises Permanent (`day_invalid`)."""
    if given is None:
        return None
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise Permanent("day_invalid", "Write a day as 2026-11-21.") from error


def _zone(name: str) -> Any:  # noqa: ANN401 - a time zone
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Permanent("zone_unknown", "There is no such time zone; write it as in Europe/Berlin.") from error
