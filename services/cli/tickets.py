"""Commands on tickets: what customers want, what was said and done about it, and what agents do."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.helpdesk.by_hand import TicketService

_ACTOR = "command line"
Id = Annotated[str, typer.Argument(help="The ticket's number or id.")]
Words = Annotated[str, typer.Argument(help="What is said; - reads it from standard input.")]
By = Annotated[str | None, typer.Option(help="In whose name: the short name that the journey uses.")]
Seen = Annotated[
    int | None, typer.Option(min=1, help="How many entries it had when you looked: not if the customer wrote since.")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="What customers want of us: tickets, their threads and clocks.")
    group.command("list")(list_)
    group.command("open")(open_)
    group.command("import")(import_)
    for command in (show, reply, note, status, assign, take, release, change):
        group.command()(command)
    app.add_typer(group, name="tickets", rich_help_panel="Look and change")


# -- looking -----------------------------------------------------------------------------------------------------------


def list_(  # noqa: PLR0913 - its options
    *,
    status: Annotated[str | None, typer.Option(help="Only this status. Default: all that are not closed.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only this person's; nobody: those that nobody has.")] = None,
    desk: Annotated[str | None, typer.Option(help="Only of this desk.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    lead: Annotated[str | None, typer.Option(help="All of this lead, closed ones too.")] = None,
    q: Annotated[str | None, typer.Option(help="A number, another system's id, or the customer.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    List tickets, the newest first, with the clock that is due first.

    Example: throughline tickets list --owner ana
    """
    from schema.store import tickets
    from schema.tables.ticket import STATUSES

    if status not in {None, *STATUSES}:
        raise Permanent("status_unknown", f"There is no such status; there are {', '.join(STATUSES)}.")
    check_ids(lead=lead, cursor=cursor)
    with transaction(read_settings(data_dir)) as connection:
        asked = tickets.Asked(status, owner, desk, kind, lead, q)
        found, after = tickets.tickets(connection, asked, cursor=cursor, limit=limit)
    if as_json:
        print_json({"items": found, "next": after})
        return
    columns = ["number", "status", "priority", "kind", "owner", "customer", "subject", "opened", "due"]
    print_table(columns, map(_row, found), empty="No tickets.")
    more(after)


def show(ticket: Id, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Show a ticket: its clocks, and everything that was said and done, oldest first.

    Example: throughline tickets show 17
    """
    from schema.store import tickets

    with transaction(read_settings(data_dir)) as connection:
        found = tickets.ticket(connection, ticket)
    if found is None:
        raise Permanent("ticket_unknown", "There is no such ticket: `throughline tickets list` shows them.")
    if as_json:
        print_json(found)
        return
    person = found["person"]
    print_fields(
        {
            "ticket": f"#{found['number']}  {found['id']}",
            "subject": found["subject"],
            "status": f"{found['status']} since {plain(found['status_since'])}",
            "kind": f"{found['kind']}, {found['priority']}",
            "customer": ", ".join(filter(None, (person["name"], person["email"], person["phone"]))),
            "lead": found["lead_id"],
            "owner": _owner(found),
            "reopened": found["reopened"] or None,
            "put down to": found["root_cause"],
            "goes on with": found["refers_to"],
            "clocks": "; ".join(map(_clock, found["clocks"])) or "none",
        }
    )
    print()
    rows = [[e["number"], e["at"], e["kind"], e["actor"], e["channel"], _entry(e)] for e in found["thread"]]
    print_table(["", "at", "what", "by", "channel", ""], rows, empty="")


# -- what agents do ----------------------------------------------------------------------------------------------------


def open_(  # noqa: PLR0913 - its options
    lead: Annotated[str, typer.Argument(help="The lead's id.")],
    kind: Annotated[str, typer.Argument(help="A kind of ticket, as the journey calls it.")],
    words: Words,
    *,
    channel: Annotated[str, typer.Option(help="How it was said: phone, chat, email, …")] = "phone",
    subject: Annotated[str | None, typer.Option(help="What it is about, in a line.")] = None,
    priority: Annotated[str | None, typer.Option(help="low, normal, high or urgent. Default: its kind's.")] = None,
    owner: Annotated[str | None, typer.Option(help="Whose it is. Default: the desk gives it to somebody.")] = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Open a ticket of a lead, with what the customer said.

    Example: throughline tickets open 0197b2c4-… question 'Where is my order?' --channel phone
    """
    from workers.helpdesk.by_hand import BY_HAND

    asked = {"kind": kind, "source": BY_HAND, "channel": channel, "priority": priority, "subject": subject}
    with _service(data_dir, dry_run=dry_run) as service:
        done = service.open(lead, asked, _read(words), actor=_ACTOR, agent=owner)
    _say(done, f" is opened; {_whose(done)}", dry_run=dry_run, as_json=as_json)


def reply(  # noqa: PLR0913 - its options
    ticket: Id,
    words: Words,
    *,
    by: By = None,
    channel: Annotated[str, typer.Option(help="How it was said: email, phone, chat, …")] = "email",
    status: Annotated[str | None, typer.Option(help="What the ticket is then: open, waiting or on_hold.")] = None,
    send: Annotated[bool, typer.Option("--send", help="Send it to the customer by mail.")] = False,
    customer: Annotated[bool, typer.Option("--customer", help="The customer said it, as on the phone.")] = False,
    seen: Seen = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Keep an answer to the customer, and send it with --send; or what the customer said, with --customer.

    Example: throughline tickets reply 17 'It is on its way.' --by ana --status waiting --send
    """
    if customer and (send or status or by or seen):
        told = "--send, --status, --by and --seen are about our answers, not about the customer's."
        raise Permanent("not_an_answer", told)
    with _service(data_dir, dry_run=dry_run) as service:
        called = _id(service, ticket)
        if customer:
            done = service.heard(called, _read(words), channel)
        else:
            answer = partial(service.answer, called, _read(words), channel, actor=_ACTOR, agent=by)
            done = answer(status=status, send=send, seen=seen)
    _say(done, f" is {done['status']}; {_whose(done)}", dry_run=dry_run, as_json=as_json)


def note(
    ticket: Id, words: Words, by: By = None, data_dir: DataDir = None, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """
    Keep a remark for colleagues, which the customer never sees.

    Example: throughline tickets note 17 'The warehouse looks for it.' --by ana
    """
    with _service(data_dir, dry_run=dry_run) as service:
        done = service.note(_id(service, ticket), _read(words), actor=_ACTOR, agent=by)
    _say(done, " has a note more", dry_run=dry_run, as_json=as_json)


def status(  # noqa: PLR0913 - its options
    ticket: Id,
    to: Annotated[str, typer.Argument(metavar="STATUS", help="open, waiting, on_hold, resolved or closed.")],
    *,
    by: By = None,
    root_cause: Annotated[str | None, typer.Option(help="What a resolved one is put down to: a code.")] = None,
    resolution: Annotated[str | None, typer.Option(help="How it was resolved.")] = None,
    seen: Seen = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Have a ticket wait, go on, be resolved, reopened or closed.

    Example: throughline tickets status 17 resolved --by ana --root-cause delivery
    """
    with _service(data_dir, dry_run=dry_run) as service:
        called = _id(service, ticket)
        become = partial(service.status, called, to, actor=_ACTOR, agent=by, seen=seen)
        done = become(root_cause=root_cause, resolution=resolution)
    until = f"; closed on {plain(done['closes_at'])} if nobody objects" if done["closes_at"] else ""
    _say(done, f" is {done['status']}{until}", dry_run=dry_run, as_json=as_json)


def assign(
    ticket: Id,
    owner: Annotated[str, typer.Argument(help="The short name that the journey uses.")],
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Hand a ticket to somebody, whatever the desks say.

    Example: throughline tickets assign 17 ben
    """
    with _service(data_dir, dry_run=dry_run) as service:
        done = service.assign(_id(service, ticket), owner, actor=_ACTOR)
    _say(done, f": {_whose(done)}", dry_run=dry_run, as_json=as_json)


def take(
    ticket: Id,
    owner: Annotated[str, typer.Argument(help="Who takes it.")],
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Have somebody take a ticket that nobody has.

    Example: throughline tickets take 17 ana
    """
    with _service(data_dir, dry_run=dry_run) as service:
        done = service.assign(_id(service, ticket), owner, actor=_ACTOR, only_free=True)
    _say(done, f": {_whose(done)}", dry_run=dry_run, as_json=as_json)


def release(ticket: Id, data_dir: DataDir = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """
    Give a ticket back to its desk: the next in turn gets it.

    Example: throughline tickets release 17
    """
    with _service(data_dir, dry_run=dry_run) as service:
        done = service.assign(_id(service, ticket), None, actor=_ACTOR)
    _say(done, f": {_whose(done)}", dry_run=dry_run, as_json=as_json)


def change(  # noqa: PLR0913 - its options
    ticket: Id,
    *,
    kind: Annotated[str | None, typer.Option(help="Another kind.")] = None,
    priority: Annotated[str | None, typer.Option(help="low, normal, high or urgent.")] = None,
    subject: Annotated[str | None, typer.Option(help="Another subject.")] = None,
    desk: Annotated[str | None, typer.Option(help="Another desk, whose people share it.")] = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Change what a ticket is said to be.

    Example: throughline tickets change 17 --priority urgent
    """
    with _service(data_dir, dry_run=dry_run) as service:
        called = _id(service, ticket)
        done = service.change(called, actor=_ACTOR, kind=kind, priority=priority, subject=subject, desk=desk)
    _say(done, f" is a {done['kind']}, {done['priority']}; {_whose(done)}", dry_run=dry_run, as_json=as_json)


# -- another help desk -------------------------------------------------------------------------------------------------


def import_(  # noqa: PLR0913 - its options
    file: Annotated[Path, typer.Argument(help="A CSV file with a row for each thing that was done.")],
    source: Annotated[str, typer.Option(help="A source of kind import: what the other system is called.")],
    *,
    map_: Annotated[
        list[str],
        typer.Option("--map", help="A column and what it is, as in CaseID=case: case, activity, time; agent, text."),
    ],
    kind: Annotated[str, typer.Option(help="The kind of ticket that all of them are.")],
    tz: Annotated[str, typer.Option(help="The time zone of times that name none.")] = "UTC",
    resolved_by: Annotated[
        list[str] | None,
        typer.Option(help="An activity that resolves its case; any other one after it opens it again."),
    ] = None,
    journey: Annotated[str | None, typer.Option(help="The journey, where several are active.")] = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Replay another help desk's log into tickets: a ticket for each case, an entry for each thing that was done.

    Everything is kept with its own name and time; no clock runs for it, nothing is sent or set off, and the tickets are
    closed: resolved by what was done last, or by what --resolved-by names. Run again, it only adds what is new.
    Example: throughline tickets import log.csv --source files --kind question
    --map 'CaseID=case, ActivityID=activity, CompleteTimestamp=time' --resolved-by 6
    """
    from services.cli.ticket_import import replay

    report = replay(
        read_settings(data_dir),
        file,
        source=source,
        columns=map_,
        kind=kind,
        zone=tz,
        journey=journey,
        dry_run=dry_run,
        resolving=resolved_by or (),
    )
    if as_json:
        print_json(report)
        return
    would = "Nothing is kept; otherwise: " if dry_run else ""
    print(
        f"{would}{report['rows']:,} rows: {report['tickets']:,} new tickets, {report['known']:,} that were known, "
        f"{report['entries']:,} new entries, from {plain(report['first_at'])} to {plain(report['last_at'])}."
    )
    for code, number in sorted(report["refused"].items()):
        print(f"  {number:,} rows left out: {code} (the first on line {report['first_refused'][code]})")


# -- what they share ---------------------------------------------------------------------------------------------------


@contextmanager
def _service(data_dir: Path | None, *, dry_run: bool) -> Iterator[TicketService]:
    """Tickets on the database; workers hear of what became due, unless nothing is kept."""
    from schema.store.engine import make_engine
    from services.cli.sending import sending
    from workers.helpdesk.by_hand import TicketService

    settings = read_settings(data_dir)
    with database(settings) as url:
        engine = make_engine(url, name="cli", pool_size=2)
        try:
            if dry_run:
                yield TicketService(engine, lambda *_: None, dry_run=True)
            else:
                with sending(settings, url) as hints:
                    yield TicketService(engine, hints.send)
        finally:
            engine.dispose()


def _id(service: TicketService, called: str) -> str:
    found = service.id_of(called)
    if found is None:
        raise Permanent("ticket_unknown", "There is no such ticket: `throughline tickets list` shows them.")
    return found


def _read(words: str) -> str:
    text = sys.stdin.read() if words == "-" else words
    if not text.strip() or "\x00" in text:
        raise Permanent("words_missing", "Say something: the text is empty, or no text.")
    return text


def _say(done: dict[str, Any], sentence: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(done | {"dry_run": dry_run})
        return
    called = f"#{done['number']}" if done["number"] else "The ticket"
    print(f"{'Nothing is kept; otherwise: ' if dry_run else ''}{called}{plain(sentence)}.")


def _whose(ticket: dict[str, Any]) -> str:
    return f"it is {ticket['owner']}'s" if ticket["owner"] else f"it waits at the desk {ticket['desk']}"


def _owner(ticket: dict[str, Any]) -> str:
    at = f" at the desk {ticket['desk']}" if ticket["desk"] else ""
    if ticket["owner"]:
        return f"{ticket['owner']}{at}"
    return f"nobody: waits{at} since {plain(ticket['waiting_since'])}" if ticket["waiting_since"] else "nobody"


def _row(ticket: dict[str, Any]) -> list[object]:
    person = ticket["person"]
    due = min((clock["due_at"] for clock in ticket["clocks"] if clock["due_at"]), default=None)
    customer = person["name"] or person["email"] or person["phone"]
    named = [ticket[name] for name in ("number", "status", "priority", "kind", "owner")]
    return [*named, customer, ticket["subject"], ticket["opened_at"], due]


def _clock(clock: dict[str, Any]) -> str:
    left = f", due {plain(clock['due_at'])}" if clock["due_at"] else ""
    return f"{clock['metric']} {clock['state']}{left}"


def _entry(entry: dict[str, Any]) -> str:
    if entry["body"]:
        became = filter(None, ("mail" if entry["sent"] else None, entry["sent"], entry["sent_reason"]))
        more = ": ".join(became) or ("automatic" if entry["machine"] else "")
        return str(entry["body"]) + (f"  [{more}]" if more else "")
    data = entry["data"]
    if "to" in data and "from" in data:
        return f"{data['from']} -> {data['to']}"
    named = {"opened": ("kind", "priority"), "assigned": ("owner", "desk", "reason", "metric", "percent")}.get(
        entry["kind"], tuple(data)
    )
    return ", ".join(f"{name} {_told(data[name])}" for name in named if data.get(name) not in (None, []))


def _told(value: Any) -> object:  # noqa: ANN401 - of an entry
    """A value, or what a field was and is."""
    if isinstance(value, dict) and value.keys() == {"from", "to"}:
        return f"{value['from'] or 'nothing'} -> {value['to'] or 'nothing'}"
    return value
