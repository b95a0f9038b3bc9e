"""Commands on owners: who has what and who is away; and what an owner does about a lead."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

import typer

from services.cli.place import DataDir, database, read_settings
from services.cli.terminal import AsJson, DryRun, plain, print_json, print_table, read_moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workers.owners import Owners

_ACTOR = "command line"
Lead = Annotated[str, typer.Argument(help="The lead's id.")]
Who = Annotated[str, typer.Argument(help="The short name that the journey uses.")]
Because = Annotated[str | None, typer.Option(help="Why: a code, as in her_customer.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="Who takes leads, how many they have, and who is away.")
    group.command("list")(list_)
    group.command()(away)
    group.command()(back)
    app.add_typer(group, name="owners", rich_help_panel="Look and change")


def add_to_leads(leads: typer.Typer) -> None:
    """Register what owners do about a lead."""
    for command in (accept, decline, assign):
        leads.command()(command)


def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    List everybody who owns leads: what they have, whether they are free now, and if not, why; and the queues.

    Example: throughline owners list
    """
    with _owners(data_dir, dry_run=True) as owners:
        shown = owners.overview()
    if as_json:
        print_json({"items": shown["owners"], "queues": shown["queues"], "next": None})
        return
    columns = ["owner", "pools", "open", "to accept", "free"]
    print_table(columns, map(_row, shown["owners"]), empty="Nobody owns leads. `throughline journey show` says why.")
    if shown["queues"]:
        rows = [[queue["journey"], queue["pool"], queue["waiting"], queue["oldest_since"]] for queue in shown["queues"]]
        print()
        print_table(["journey", "pool", "waiting", "the oldest since"], rows, empty="")


def away(
    owner: Who,
    until: Annotated[str | None, typer.Option(help="Until then, in their time zone. None: until `back`.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="From then on, in their time zone. Default: now.")] = None,
    kind: Annotated[Literal["pause", "leave"], typer.Option(help="What it is called.")] = "pause",
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Keep that somebody takes no leads for a while; what they have accepted stays theirs.

    Example: throughline owners away ben --from 2026-12-21 --until 2027-01-04 --kind leave
    """
    with _owners(data_dir, dry_run=dry_run) as owners:
        zone = ZoneInfo(owners.zone(owner))
        kept = owners.away(owner, kind=kind, start=_moment(start, zone), end=_moment(until, zone), actor=_ACTOR)
    if as_json:
        print_json(kept | {"dry_run": dry_run})
        return
    end = f"until {_shown(kept['until_at'])}" if kept["until_at"] else "until they are back"
    print(f"{_would(dry_run)}{owner} takes no leads from {_shown(kept['from_at'])} {end}.")
    if not dry_run:
        print(f"Before that: throughline owners back {owner} --absence {kept['id']}")


def back(
    owner: Who,
    absence: Annotated[str | None, typer.Option(help="Only this absence. Default: what they are away for now.")] = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Take back an absence: leads that wait for them are given out at once.

    Example: throughline owners back ben
    """
    with _owners(data_dir, dry_run=dry_run) as owners:
        done = owners.back(owner, absence)
    if as_json:
        print_json(done | {"dry_run": dry_run})
    elif done["ended"]:
        print(f"{_would(dry_run)}{owner} is back.")
    else:
        print(f"{owner} was not away.")


def accept(
    lead: Lead,
    owner: Annotated[str | None, typer.Option(help="Only if the lead is still theirs.")] = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Accept a lead for its owner, so that it is not handed on.

    Example: throughline leads accept 0197… --owner ana
    """
    with _owners(data_dir, dry_run=dry_run) as owners:
        done = owners.accept(lead, owner, actor=_ACTOR)
    _say(done, f"{done['owner']} has accepted it", dry_run=dry_run, as_json=as_json)


def decline(
    lead: Lead,
    reason: Annotated[str, typer.Option(help="Why: a code, as in no_time.")],
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Decline a lead for its owner: it goes to the next in turn, or waits for them.

    Example: throughline leads decline 0197… --reason no_time
    """
    with _owners(data_dir, dry_run=dry_run) as owners:
        done = owners.decline(lead, reason, actor=_ACTOR)
    where = f"it is {done['owner']}'s now" if done["owner"] else f"it waits in the queue of pool {done['pool']}"
    _say(done, where, dry_run=dry_run, as_json=as_json)


def assign(
    lead: Lead,
    owner: Who,
    reason: Because = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Hand a lead to somebody, whatever the rules say; it stays with them.

    Example: throughline leads assign 0197… ben --reason her_customer
    """
    with _owners(data_dir, dry_run=dry_run) as owners:
        done = owners.assign(lead, owner, reason, actor=_ACTOR)
    _say(done, f"it is {done['owner']}'s now", dry_run=dry_run, as_json=as_json)


@contextmanager
def _owners(data_dir: Path | None, *, dry_run: bool) -> Iterator[Owners]:
    """Owners on the database; workers hear of what became due, unless nothing is kept."""
    from schema.store.engine import make_engine
    from services.cli.sending import sending
    from workers.owners import Owners

    settings = read_settings(data_dir)
    with database(settings) as url:
        engine = make_engine(url, name="cli", pool_size=2)
        try:
            if dry_run:
                yield Owners(engine, lambda *_: None, dry_run=True)
            else:
                with sending(settings, url) as hints:
                    yield Owners(engine, hints.send)
        finally:
            engine.dispose()


def _say(done: dict[str, Any], sentence: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(done | {"dry_run": dry_run})
    else:
        print(f"{_would(dry_run)}{done['lead_id']}: {plain(sentence)}.")


def _would(dry_run: bool) -> str:
    return "Nothing is kept; otherwise: " if dry_run else ""


def _row(owner: dict[str, Any]) -> list[object]:
    pools = ", ".join(dict.fromkeys(team["pool"] for team in owner["pools"]))
    return [owner["owner"], pools, owner["open"], owner["to_accept"], "yes" if owner["free"] else owner["why"]]


def _moment(value: str | None, zone: ZoneInfo) -> datetime | None:
    """A moment in somebody's own time zone, where it names none."""
    if value is None:
        return None
    moment = read_moment(value)
    given = datetime.fromisoformat(value)
    return moment if given.tzinfo else given.replace(tzinfo=zone)


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M %Z}"
