"""Commands on hand-overs: what passed from one department to another, and how long it waits there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, read_settings, transaction
from services.cli.terminal import (
    AsJson,
    Cursor,
    Limit,
    check_ids,
    long,
    more,
    print_fields,
    print_json,
    print_table,
    read_moment,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

From = Annotated[str | None, typer.Option("--from", help="Handed over from then on, as 2026-11-01.")]
To = Annotated[str | None, typer.Option(help="Handed over before then.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="What departments hand over to each other, and how long it waits.")
    group.command("list")(list_)
    group.command()(show)
    group.command()(summary)
    app.add_typer(group, name="handovers", rich_help_panel="Look and change")


def list_(  # noqa: PLR0913 - its options
    *,
    department: Annotated[str | None, typer.Option(help="Only what was handed over to this one.")] = None,
    lead: Annotated[str | None, typer.Option(help="Only of this lead.")] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only what nobody there has taken yet.")] = False,
    from_: From = None,
    to: To = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    List what passed from one department to another, the latest first.

    Example: throughline handovers list --department service --open
    """
    from schema.store import clock, handovers

    check_ids(lead=lead)
    since, until = (read_moment(moment) if moment else None for moment in (from_, to))
    wanted = handovers.Wanted(department, lead, since, until, only_open)
    with transaction(read_settings(data_dir)) as connection:
        items, following = handovers.listed(connection, wanted, clock.now(), cursor=cursor, limit=limit)
    if as_json:
        print_json({"items": items, "next": following})
        return
    columns = ["id", "from", "to", "about", "what", "by", "system", "at", "status", "waited"]
    print_table(columns, map(_row, items), empty="Nothing waits." if only_open else "Nothing was handed over.")
    more(following)


def show(
    handover: Annotated[str, typer.Argument(help="Its id, as in a list.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Show one hand-over: from whom to whom, in which systems, and who took it.

    Example: throughline handovers show 0197….3
    """
    from schema.store import clock, handovers

    with transaction(read_settings(data_dir)) as connection:
        found = handovers.one(connection, handover, clock.now())
    if found is None:
        raise Permanent("handover_not_found", "There is no such hand-over: `throughline handovers list` has their ids.")
    if as_json:
        print_json(found)
        return
    told = {
        "hand-over": found["id"],
        "from": _whose(found["from_department"], found["from_owner"]),
        "to": _whose(found["to_department"], found["to_owner"]),
        "about": f"{found['about']['kind']} {found['about']['id']}",
        "lead": found["lead_id"],
        "what": found["what"],
        "by": found["actor"],
        "at": found["at"],
        "in": found["system"],
        "worked on in": found["to_system"],
        "status": found["status"],
        "taken": found["taken_at"],
        "taken by": found["taken_by"],
        "ended": found["ended_at"],
        "waited": _waited(found["waited_s"]),
        "journey": found["journey"],
    }
    print_fields({name: value for name, value in told.items() if value is not None})


def summary(from_: From = None, to: To = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Say how much passes between each two departments and how long it waits; without --from, of the last 30 days.

    What is open waits until now: half waited no longer than `p50`, nine in ten no longer than `p90`.
    Example: throughline handovers summary --from 2026-11-01
    """
    from datetime import timedelta

    from schema.store import clock, handovers

    now = clock.now()
    until = read_moment(to) if to else now
    since = read_moment(from_) if from_ else until - timedelta(days=30)
    if since >= until:
        raise Permanent("window_empty", "--from has to be before --to.")
    with transaction(read_settings(data_dir)) as connection:
        items = handovers.summary(connection, since, until, now)
    if as_json:
        print_json({"from": since, "to": until, "as_of": now, "items": items})
        return
    columns = ["from", "to", "hand-overs", "open", "taken", "ended", "p50", "p90", "longest open", "systems"]
    print_table(columns, map(_pair, items), empty="Nothing was handed over.")


def _row(item: Mapping[str, Any]) -> list[object]:
    named = (item[name] for name in ("what", "actor", "system", "at", "status"))
    from_to = (item["from_department"], item["to_department"])
    return [item["id"], *from_to, item["about"]["kind"], *named, _waited(item["waited_s"])]


def _pair(item: Mapping[str, Any]) -> list[object]:
    waiting = (_waited(item["waiting"][name]) for name in ("p50_s", "p90_s", "longest_open_s"))
    counts = (item[name] for name in ("handovers", "open", "taken", "ended"))
    systems = ", ".join(f"{name} {number}" for name, number in sorted(item["systems"].items()))
    return [item["from_department"], item["to_department"], *counts, *waiting, systems]


def _whose(department: str, owner: str | None) -> str:
    return f"{department} ({owner})" if owner else department


def _waited(seconds: int | None) -> str | None:
    return None if seconds is None else long(seconds)
