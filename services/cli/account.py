"""The command that accounts for everything that arrived, in words for whoever reads it for the first time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from services.cli.place import DataDir, read_settings, transaction
from services.cli.terminal import AsJson, plain, print_json, print_table, read_duration, read_moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_FATES: Final = ("processed", "merged", "quarantined", "spam", "rejected", "in_flight", "dead")
_FIGURES: Final = ("received", *_FATES, "unaccounted", "canary")
_NAMED: Final = 5
_MEANS: Final[Mapping[str, str]] = {
    "receipt_forgotten": "arrivals that nothing will ever look at again",
    "receipt_missing": "arrivals that were acknowledged to their sender and are not there",
    "receipts_vanished": "arrivals that were counted once and are not there any more",
    "touchpoint_missing": "arrivals that say they were processed, without their touchpoint",
    "touchpoint_unfounded": "touchpoints whose arrival is not there, or says that nothing came of it",
    "lead_missing": "arrivals whose lead is not there",
    "lead_adrift": "live leads that nobody owns and nothing will wake",
    "lead_forgotten": "leads in the middle of their way that nothing will take further",
    "lead_without_timer": "leads that wait for something, without a timer that ends it",
    "lead_unfounded": "leads that nothing ever came for",
    "enrolment_stray": "people in a campaign whose lead or campaign is not there, or who are due and nobody touches",
    "enrolment_forgotten": "people in a campaign that nothing will take further",
    "message_unfounded": "messages of ours to somebody that no send stands behind",
}
From = Annotated[str | None, typer.Option("--from", help="From then on, as in 2026-11-21 or 2026-11-21T09:30Z.")]
To = Annotated[str | None, typer.Option("--to", help="Up to then. Default: now.")]


def account(
    window: Annotated[str, typer.Option(help="How far back, as in 24h or 30d; --from goes before it.")] = "48h",
    start: From = None,
    end: To = None,
    hours: Annotated[bool, typer.Option("--hours", help="Also hour by hour.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Count hours again that were closed before.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Account for everything that arrived and for every live lead; exit status 1 if anything is unaccounted for.

    received = processed + merged + quarantined + spam + rejected + in flight + dead. What a receipt says became of it
    only counts if the evidence is there: its touchpoint, its lead, the work or the dead letter it waits in.

    Example: throughline ops account --from 2026-11-01 --to 2026-11-08 --verify
    """
    from schema.store import account as stored
    from schema.store import clock

    now = clock.now()
    until = read_moment(end) if end else None
    since = read_moment(start) if start else (until or now) - read_duration(window)
    first, last = stored.limits(now, since, until)
    with transaction(read_settings(data_dir)) as connection:
        found = stored.account(connection, now, since=first, until=last, verify=verify)
    if as_json:
        print_json(found)
    else:
        _tell(found, now, hours=hours)
    if found["unaccounted"]:
        raise typer.Exit(1)


def _tell(found: Mapping[str, Any], now: datetime, *, hours: bool) -> None:
    sources = found["sources"]
    print(f"What arrived from {plain(found['since'])} to {plain(found['until'])} (UTC), and what became of it\n")
    columns = [name.replace("_", " ") for name in _FIGURES]
    if hours:
        lines: list[list[Any]] = [[hour["hour"], s["source"], *_figures(hour)] for s in sources for hour in s["hours"]]
        print_table(
            ["hour", "source", *columns],
            sorted(lines, key=lambda line: (line[0], str(line[1]))),
            empty="Nothing arrived.",
        )
    total = [sum(source[name] for source in sources) for name in _FIGURES]
    lines = [[source["source"], *_figures(source)] for source in sources]
    print_table(["source", *columns], [*lines, ["all", *total]] if len(lines) > 1 else lines, empty="Nothing arrived.")
    print()
    for told in found["found"]:
        named = ", ".join(told["ids"][:_NAMED]) + (" …" if told["count"] > _NAMED else "")
        print(f"LOST  {told['count']} {_MEANS[told['kind']]} ({told['kind']}): {named or 'no ids are left'}")
    for source in sources:
        if source["silent"]:
            usual, since = _long(source["usual_gap_s"]), plain(source["silent_since"])
            print(f"SILENT  {source['source']} since {since}; usually something comes every {usual}")
    for way in found["canaries"]:
        if way["late"]:
            why = f": {way['error']}" if way["error"] else ""
            print(f"LATE  the canary sent to {way['source']} ({way['path']}) at {plain(way['sent_at'])}{why}")
    if found["late_timers"]:
        print(f"LATE  {found['late_timers']} leads should have been woken by now: is a ticker running?")
    if found["canaries"] and not any(way["late"] for way in found["canaries"]):
        oldest = _long(max(way["age_s"] for way in found["canaries"]))
        print(f"canaries     all {len(found['canaries'])} ways that are tried are open, the last time {oldest} ago")
    audited = (
        f"{_long((now - found['audited_at']).total_seconds())} ago" if found["audited_at"] else "never (no ticker)"
    )
    print(f"last audit   {audited}")
    print(f"unaccounted  {found['unaccounted']}{'' if found['unaccounted'] else ': nothing is lost'}")


def _figures(counts: Mapping[str, Any]) -> list[object]:
    return [counts[name] for name in _FIGURES]


def _long(seconds: float) -> str:
    """Say how long something is, in the two largest units."""
    rest = timedelta(seconds=round(seconds))
    hours, minutes = divmod(rest.seconds // 60, 60)
    parts = {"d": rest.days, "h": hours, "min": minutes, "s": rest.seconds % 60}
    said = [f"{number} {unit}" for unit, number in parts.items() if number]
    return " ".join(said[:2]) or "0 s"
