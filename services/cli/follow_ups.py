"""Commands on follow-ups: an owner's day, what they do about their work, and the address of their calendar."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, database, read_settings, transaction
from services.cli.terminal import (
    AsJson,
    Cursor,
    DryRun,
    Limit,
    check_ids,
    more,
    plain,
    print_fields,
    print_json,
    print_table,
    read_duration,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from workers.followups.by_hand import FollowUps

_ACTOR = "command line"
Id = Annotated[str, typer.Argument(help="The follow-up's id.")]
Who = Annotated[str, typer.Argument(help="The short name that the journey uses.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="Work for people: what is due, done, put off; and their calendars.")
    group.command("list")(list_)
    for command in (day, show, add, done, snooze, assign, cancel, calendar):
        group.command()(command)
    app.add_typer(group, name="follow-ups", rich_help_panel="Look and change")


# -- looking -----------------------------------------------------------------------------------------------------------


def list_(  # noqa: PLR0913 - its options
    *,
    owner: Annotated[str | None, typer.Option(help="Only this person's.")] = None,
    until: Annotated[str | None, typer.Option(help="Due before then, in the owner's time zone.")] = None,
    status: Annotated[Literal["open", "done", "cancelled"], typer.Option(help="Which.")] = "open",
    about: Annotated[str | None, typer.Option(help="About this ticket, opportunity, contract or survey.")] = None,
    lead: Annotated[str | None, typer.Option(help="All that belongs to this lead.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    List follow-ups by their due time, what is overdue first; what is over, the latest first.

    Example: throughline follow-ups list --owner ana
    """
    from schema.store import clock, follow_ups

    check_ids(about=about, lead=lead)
    with transaction(read_settings(data_dir)) as connection:
        zone = _zone(connection, owner)
        wanted = follow_ups.Wanted(status, owner, _moment(until, zone), None, about, lead)
        items, following = follow_ups.listed(connection, wanted, clock.now(), cursor=cursor, limit=limit)
    if as_json:
        print_json({"items": items, "next": following})
        return
    _table(items, zone, empty=f"Nothing is {status}.")
    more(following)


def day(owner: Who, limit: Limit = 20, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Show somebody's day: what is overdue, what is due today on their clock, and what comes next.

    Example: throughline follow-ups day ana
    """
    from schema.store import clock, follow_ups
    from schema.store.journeys import JourneyBook

    with transaction(read_settings(data_dir)) as connection:
        found = follow_ups.day(connection, JourneyBook(), owner, clock.now(), limit=limit)
        zone = _zone(connection, owner)
    if as_json:
        print_json(found)
        return
    counts = found["counts"]
    print(f"{owner}: {counts['overdue']} overdue, {counts['today']} more due today, {counts['open']} open in all.")
    for name, title in (("overdue", "Overdue"), ("today", "Today"), ("next", "Next")):
        if found[name]:
            print(f"\n{title}")
            _table(found[name], zone, empty="")


def show(follow_up: Id, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Show one follow-up: whom it is about, whose it is, and what can come of it.

    Example: throughline follow-ups show 0197…
    """
    from schema.journey.words import times

    with transaction(read_settings(data_dir)) as connection:
        found = _one(connection, follow_up)
        zone = _zone(connection, found["owner"])
    if as_json:
        print_json(found)
        return
    person, about = found["person"], found["about"]
    over = f"{found['outcome']} ({found['reason']})" if found["reason"] else found["outcome"]
    told: dict[str, object] = {
        "follow-up": found["id"],
        "what": found["text"],
        "status": "overdue" if found["overdue"] else found["status"],
        "owner": found["owner"] or "nobody has the lead yet",
        "due": _shown(found["due_at"], zone),
        "put off": f"{times(found['snoozes'])}, until {_shown(found['snoozed_until'], zone)}"
        if found["snoozes"]
        else None,
        "escalated to": found["escalated_to"],
        "about": f"{about['kind']} {about['id']}",
        "lead": found["lead_id"],
        "person": ", ".join(plain(person[name]) for name in ("name", "company", "phone", "email") if person[name]),
        "made by": f"{found['rule'] or 'hand'} ({found['created_by']}), {_shown(found['created_at'], zone)}",
        "outcome": over or f"one of {', '.join(found['outcomes'])}",
        "note": found["note"],
        "done": f"{_shown(found['done_at'], zone)} by {found['done_by']}" if found["done_at"] else None,
    }
    print_fields({name: value for name, value in told.items() if value is not None})


# -- doing -------------------------------------------------------------------------------------------------------------


def add(  # noqa: PLR0913, PLR0917 - what may be said of one
    lead: Annotated[str, typer.Argument(help="The lead's id.")],
    text: Annotated[str, typer.Argument(help="What is to be done.")],
    owner: Annotated[str | None, typer.Option(help="Whose it is. Default: whoever has the lead.")] = None,
    due: Annotated[str | None, typer.Option(help="When it is due, in the owner's time zone.")] = None,
    within: Annotated[str | None, typer.Option(help="Or within that working time, as in 4h or 2d.")] = None,
    remind: Annotated[str | None, typer.Option(help="When to remind them of it.")] = None,
    about: Annotated[str | None, typer.Option(help="What it is about, as in ticket:0197…. Default: the lead.")] = None,
    key: Annotated[str | None, typer.Option(help="With the same key it is made once, however often.")] = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Make work for somebody; without a time it is due by the end of their working day.

    Example: throughline follow-ups add 0197… "Send the offer" --within 4h
    """
    if due is not None and within is not None:
        raise Permanent("due_twice", "Give either --due or --within.")
    if not 1 <= len(text) <= _LONGEST or plain(text) != text:
        raise Permanent("text_invalid", f"Say what is to be done in one line of at most {_LONGEST} characters.")
    kind, _, subject = (about or "").partition(":")
    with _changing(data_dir, owner, lead=lead, dry_run=dry_run) as (work, zone):
        row = work.add(
            lead,
            text,
            owner=owner,
            due_at=_moment(due, zone),
            within=read_duration(within) if within else None,
            remind_at=_moment(remind, zone),
            subject=(kind, subject) if about else None,
            key=key,
            actor=_ACTOR,
        )
        _say(row, f"made, due {_shown(row['due_at'], zone)}", dry_run=dry_run, as_json=as_json)


def done(
    follow_up: Id,
    outcome: Annotated[str, typer.Option(help="What came of it: `follow-ups show` says what can.")] = "done",
    note: Annotated[str | None, typer.Option(help="For colleagues.")] = None,
    channel: Annotated[str | None, typer.Option(help="Where, as in phone or email.")] = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Say that one was done, and what came of it; the lead goes on.

    Example: throughline follow-ups done 0197… --outcome not_reached --channel phone
    """
    with _changing(data_dir, dry_run=dry_run) as (work, _):
        row = work.done(follow_up, outcome, note=note, channel=channel, actor=_ACTOR)
        _say(row, outcome, dry_run=dry_run, as_json=as_json)


def snooze(
    follow_up: Id,
    until: Annotated[str, typer.Option(help="Until then, in the owner's time zone.")],
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Put one off: nobody hears of it before, and it is due then if it was due earlier.

    Example: throughline follow-ups snooze 0197… --until 2026-12-01T09:00
    """
    with _changing(data_dir, follow_up=follow_up, dry_run=dry_run) as (work, zone):
        row = work.snooze(follow_up, _needed(until, zone), actor=_ACTOR)
        _say(row, f"due {_shown(row['due_at'], zone)}", dry_run=dry_run, as_json=as_json)


def assign(
    follow_up: Id, owner: Who, data_dir: DataDir = None, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """
    Hand one to somebody, with whom it stays whoever has the lead.

    Example: throughline follow-ups assign 0197… ben
    """
    with _changing(data_dir, dry_run=dry_run) as (work, _):
        row = work.assign(follow_up, owner, actor=_ACTOR)
        _say(row, f"it is {owner}'s now", dry_run=dry_run, as_json=as_json)


def cancel(
    follow_up: Id,
    reason: Annotated[str, typer.Option(help="Why: a code, as in duplicate.")] = "not_needed",
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Let one fall away.

    Example: throughline follow-ups cancel 0197… --reason duplicate
    """
    with _changing(data_dir, dry_run=dry_run) as (work, _):
        row = work.cancel(follow_up, reason, actor=_ACTOR)
        _say(row, f"cancelled, {reason}", dry_run=dry_run, as_json=as_json)


def calendar(
    owner: Who,
    rotate: Annotated[bool, typer.Option("--rotate", help="Take the old address back and give another.")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take the address back and give none.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Print the address of somebody's calendar, for the program that shows theirs; whoever knows it can read it.

    Example: throughline follow-ups calendar ana
    """
    from schema.store import clock, follow_ups
    from schema.store.journeys import JourneyBook
    from services.api.calendars import address

    settings = read_settings(data_dir)
    with transaction(settings) as connection:
        revoked = (rotate or revoke) and follow_ups.revoke_feed(connection, owner, clock.now())
        url = None if revoke else address(connection, JourneyBook(), settings, owner, _ACTOR, clock.now())
    if as_json:
        print_json({"owner": owner, "url": url, "revoked": bool(revoked)})
    elif url:
        print(url)
    else:
        print("The address works no more." if revoked else f"{owner} had no calendar.")


_LONGEST = 1000


@contextmanager
def _changing(
    data_dir: Path | None,
    owner: str | None = None,
    *,
    lead: str | None = None,
    follow_up: str | None = None,
    dry_run: bool,
) -> Iterator[tuple[FollowUps, ZoneInfo]]:
    """Follow-ups on the database, and whose clock is meant; workers hear of leads that go on."""
    from schema.store import follow_ups
    from schema.store.engine import make_engine
    from services.cli.sending import sending
    from workers.followups.by_hand import FollowUps

    settings = read_settings(data_dir)
    with database(settings) as url:
        engine = make_engine(url, name="cli", pool_size=2)
        try:
            with engine.connect() as connection:
                whose = _one(connection, follow_up)["owner"] if follow_up else owner
                zone = _zone(connection, whose or (follow_ups.lead_owner(connection, lead) if lead else None))
            if dry_run:
                yield FollowUps(engine, lambda *_: None, dry_run=True), zone
            else:
                with sending(settings, url) as hints:
                    yield FollowUps(engine, hints.send), zone
        finally:
            engine.dispose()


def _one(connection: Connection, follow_up: str) -> dict[str, Any]:
    from schema.store import clock, follow_ups
    from schema.store.journeys import JourneyBook

    found = follow_ups.one(connection, JourneyBook(), follow_up, clock.now())
    if found is None:
        raise Permanent("follow_up_unknown", "There is no such follow-up: `throughline follow-ups list` shows what is.")
    return found


def _zone(connection: Connection, owner: str | None) -> ZoneInfo:
    """The time zone of somebody, of whom there need be none."""
    from schema.store import follow_ups
    from schema.store.journeys import JourneyBook

    return ZoneInfo((follow_ups.zone_of(connection, JourneyBook(), owner) if owner else None) or "UTC")


def _needed(value: str, zone: ZoneInfo) -> datetime:
    """A moment on somebody's clock, where it names no zone of its own."""
    from services.cli.terminal import read_moment

    moment = read_moment(value)
    given = datetime.fromisoformat(value)
    return moment if given.tzinfo else given.replace(tzinfo=zone)


def _moment(value: str | None, zone: ZoneInfo) -> datetime | None:
    return None if value is None else _needed(value, zone)


def _shown(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M %Z}"


def _table(items: list[dict[str, Any]], zone: ZoneInfo, *, empty: str) -> None:
    rows = [
        [
            item["id"],
            _shown(item["due_at"], zone),
            "overdue" if item["overdue"] else item["outcome"] or item["status"],
            item["owner"],
            item["text"],
            item["person"]["name"] or item["person"]["email"],
        ]
        for item in items
    ]
    print_table(["follow-up", "due", "status", "owner", "what", "person"], rows, empty=empty)


def _say(row: dict[str, Any], sentence: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(row | {"dry_run": dry_run})
    else:
        print(f"{'Nothing is kept; otherwise: ' if dry_run else ''}{row['id']}: {plain(sentence)}.")
