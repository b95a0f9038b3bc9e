"""Commands that count what happened: now, once more to compare, and once more to replace."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from services.cli.place import DataDir, engine, read_settings
from services.cli.terminal import AsJson, DryRun, plain, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workers.figures.recount import Difference, Verdict

_SHOWN: Final = 50

Most = Annotated[int, typer.Option("--most", min=0, help="So many differences are written out; --json has more.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands in the group `kpi`, which others add to as well."""
    found = next((each.typer_instance for each in app.registered_groups if each.name == "kpi"), None)
    group = found or typer.Typer(no_args_is_help=True, help="Figures: what happened, in numbers that add up.")
    for command in (count, verify, rebuild):
        group.command()(command)
    if found is None:
        app.add_typer(group, name="kpi", rich_help_panel="Operate")


def count(data_dir: DataDir = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """
    Count what happened and is not in the figures yet; workers do this by themselves, every second.

    Example: throughline kpi count
    """
    from schema.garbage import settle_in
    from schema.store import ops
    from schema.store.journeys import JourneyBook
    from workers.figures.count import Counting
    from workers.figures.count import count as count_portion

    settle_in()
    counted, busy = 0, False
    with engine(read_settings(data_dir)) as made, _progress("counted") as tell:
        counting = Counting(JourneyBook())
        while not dry_run:
            done = count_portion(made, counting)
            busy = done is None
            if not done:
                break
            counted += done
            tell(counted)
        with made.connect() as connection:
            left = ops.uncounted(connection).events
    if as_json:
        print_json({"counted": counted, "left": left})
        return
    told = f"{counted} events counted" if not dry_run else "nothing was done"
    print(f"{told}; {_events(left)} left{': a worker is counting just now' if busy else ''}.")


def verify(data_dir: DataDir = None, most: Most = _SHOWN, as_json: AsJson = False) -> None:
    """
    Recount every figure from all events, and compare; exit status 1 if any number differs.

    The events themselves are compared with the leads, moves, touchpoints, tickets and purchases that there are. Figures
    go on being counted and asked for meanwhile. `throughline kpi rebuild` mends what differs.

    Example: throughline kpi verify --json
    """
    from schema.garbage import settle_in
    from workers.figures import recount

    settle_in()
    with engine(read_settings(data_dir)) as made, _progress("recounted") as tell:
        found = recount.verify(made, tell)
    if as_json:
        print_json(_json(found))
    else:
        _say(found, most)
    if not found.equal:
        raise typer.Exit(1)


def rebuild(data_dir: DataDir = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """
    Recount every figure from all events and put what differs right, all at once; the change is noted as a restatement.

    Example: throughline kpi rebuild --dry-run
    """
    from schema.garbage import settle_in
    from schema.store import clock
    from workers.figures import recount

    settle_in()
    with engine(read_settings(data_dir)) as made, _progress("recounted") as tell:
        found = recount.rebuild(made, clock.now(), tell, dry_run=dry_run)
    if as_json:
        print_json(_json(found))
        return
    would = "would be" if dry_run else "were"
    print(f"{_events(found.events)} recounted into {found.buckets} numbers by day.")
    print(f"{found.buckets_differ} of them {would} put right, and what is remembered of {found.leads_differ} leads.")


def _say(found: Verdict, most: int) -> None:
    print(f"{_events(found.events)} recounted into {found.buckets} numbers by day.")
    for each in found.named[:most]:
        print(f"DIFFERS  {_difference(each)}")
    more = found.buckets_differ - len(found.named[:most])
    if more:
        print(f"DIFFERS  {more} more")
    if found.leads_differ:
        print(f"DIFFERS  what is remembered of {found.leads_differ} leads")
    for table in found.tables:
        if not table.equal:
            named = f"{table.what} {plain(table.item)}".strip()
            print(f"DIFFERS  {named}: the figures say {table.n} ({table.total}), "
                  f"there are {table.table_n} ({table.table_total})")  # fmt: skip
    if not found.tables:
        print("Too much is not counted yet to compare the figures with what there is: `throughline kpi count` first.")
    print(f"{'Every number is equal' if found.equal else 'Not equal'}; {len(found.tables)} sums compared with tables.")


def _difference(each: Difference) -> str:
    where = f"{each.measure} {each.item}".strip()
    by = f" by {each.dim} {each.value or '(not known)'}" if each.dim else ""
    sizes = ", how long they took" if each.bins else ""
    return plain(
        f"{each.journey} {each.day} {where}{by}: {each.n} ({each.total}), "
        f"recounted {each.recounted_n} ({each.recounted_total}){sizes}"
    )


def _json(found: Verdict) -> dict[str, object]:
    return {
        "equal": found.equal,
        "events": found.events,
        "buckets": found.buckets,
        "buckets_differ": found.buckets_differ,
        "leads_differ": found.leads_differ,
        "differences": found.named,
        "tables": found.tables,
    }


def _events(number: int) -> str:
    return f"{number} event{'' if number == 1 else 's'}"


@contextmanager
def _progress(done: str) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many events were counted; elsewhere there is nobody to see it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda number: status.update(f"{number} events {done}")
