"""Commands on messages: what became of each, those of which nobody knows, and addresses that are not written to."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, database, read_settings, transaction
from services.cli.terminal import AsJson, DryRun, print_fields, print_json, print_table

State = Literal["planned", "sending", "sent", "failed", "unknown", "skipped"]
Send = Annotated[str, typer.Argument(help="The message's id, as `throughline sends list` shows it.")]
Address = Annotated[str, typer.Argument(help="An e-mail address.")]
_ACTOR = "cli"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="Messages to people: what was sent, what was not, and why.")
    group.command("list")(list_)
    for command in (show, resolve, suppress, lift):
        group.command()(command)
    app.add_typer(group, name="sends", rich_help_panel="Look and change")


def list_(
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Only those of which nobody knows if they went out.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Read on: `next` of the last answer.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    List messages, the newest first, each with its state and why.

    Example: throughline sends list --unknown
    """
    from schema.store import sends
    from schema.store.ids import is_id

    if cursor is not None and not is_id(cursor):
        raise Permanent("cursor_invalid", "This is not a cursor of this list.")
    wanted = "unknown" if unknown else state
    with transaction(read_settings(data_dir)) as connection:
        found, after = sends.listed(connection, state=wanted, cursor=cursor, limit=limit)
    if as_json:
        print_json({"items": found, "next": after})
        return
    columns = ["message", "state", "reason", "campaign", "step", "lead", "due", "settled"]
    rows = [
        [s["id"], s["state"], s["reason"], s["campaign"], s["step"], s["lead_id"], _due(s["due_at"]), s["settled_at"]]
        for s in found
    ]
    print_table(columns, rows, empty="There are no such messages.")


def show(send: Send, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Show one message: its state and why, what was answered, what came back.

    Example: throughline sends show 0197…
    """
    from schema.store import sends

    with transaction(read_settings(data_dir)) as connection:
        found = sends.one(connection, send)
    if found is None:
        raise _unknown()
    if as_json:
        print_json(dict(found))
        return
    print_fields({name: value for name, value in found.items() if value is not None and name != "links"})


def resolve(
    send: Send,
    how: Annotated[Literal["sent", "again"], typer.Argument(help="`sent`: it went out; `again`: send it once more.")],
    data_dir: DataDir = None,
    dry_run: DryRun = False,
) -> None:
    """
    Say what became of a message of which nobody knows whether it went out.

    Look into the mail server's log for its message id first: `again` sends it, whether it had arrived or not.

    Example: throughline sends resolve 0197… sent
    """
    from schema.store import clock, sends

    with transaction(read_settings(data_dir), dry_run=dry_run) as connection:
        if sends.one(connection, send) is None:
            raise _unknown()
        try:
            sends.resolve(connection, send, sent=how == "sent", now=clock.now())
        except LookupError:
            raise Permanent(
                "send_not_unknown", "What became of this message is known: `throughline sends show`."
            ) from None
    would = "would be " if dry_run else ""
    print(f"{would}counted as sent" if how == "sent" else f"{would}sent again, as soon as it may")


def suppress(address: Address, data_dir: DataDir = None, dry_run: DryRun = False) -> None:
    """
    Never write to an address again, whatever for, until it is lifted.

    Example: throughline sends suppress ana@example.com
    """
    from schema.store import clock, suppression

    settings = read_settings(data_dir)
    key = _key(address)
    with database(settings), transaction(settings, dry_run=dry_run) as connection:
        now = clock.now()
        suppression.suppress(connection, settings.pepper(), key, "by_hand", now, actor=_ACTOR)
    print("would be suppressed" if dry_run else "suppressed")


def lift(address: Address, data_dir: DataDir = None, dry_run: DryRun = False) -> None:
    """
    Write to an address again that was suppressed, for whatever reason; marketing still needs the person's consent.

    Example: throughline sends lift ana@example.com
    """
    from schema.store import clock, suppression

    settings = read_settings(data_dir)
    key = _key(address)
    with database(settings), transaction(settings, dry_run=dry_run) as connection:
        held = suppression.known(connection, settings.pepper(), key, clock.now())
        suppression.lift(connection, settings.pepper(), key, clock.now(), actor=_ACTOR)
    if not held:
        print("nothing held it back")
        return
    for each in held:
        print(f"{'would lift' if dry_run else 'lifted'} {each['reason']}, since {each['since']:%Y-%m-%d}")


def _key(address: str) -> str:
    from schema.store import suppression

    key = suppression.address_key(address)
    if key is None:
        raise Permanent("address_unusable", "This is not an address that anybody can write to.")
    return key


def _due(at: object) -> object:
    from schema.store import sends

    return "when its campaign goes on" if at == sends.PARKED_UNTIL else at


def _unknown() -> Permanent:
    return Permanent("send_not_found", "There is no such message; `throughline sends list` shows those there are.")
