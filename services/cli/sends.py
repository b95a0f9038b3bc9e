"""Commands on messages: what became of each, those of which nobody knows, and addresses that are not written to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, database, read_settings, transaction
from services.cli.terminal import AsJson, DryRun, print_fields, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def list_(  # noqa: PLR0913 - its options
    *,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Only those of which nobody knows if they went out.")
    ] = False,
    campaign: Annotated[
        str | None, typer.Option(help="Only those of this campaign; opt_in: mails that ask to confirm.")
    ] = None,
    person: Annotated[str | None, typer.Option(metavar="ID", help="Only those to this person.")] = None,
    journey: Annotated[str | None, typer.Option(help="Only those of this journey.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Read on: `next` of the last answer.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    List messages, the newest first, each with its state and why.

    Example: throughline sends list --unknown
    """
    from schema.store import sends_shown
    from schema.store.ids import is_id

    if cursor is not None and not is_id(cursor):
        raise Permanent("cursor_invalid", "This is not a cursor of this list.")
    if person is not None and not is_id(person):
        raise Permanent("person_not_found", "This is not the id of a person: `throughline people show` tells it.")
    if unknown and state not in {None, "unknown"}:
        raise Permanent("options_differ", "Say either --unknown or --state.")
    with transaction(read_settings(data_dir)) as connection:
        found, after = sends_shown.listed(
            connection,
            state="unknown" if unknown else state,
            campaign=campaign,
            journey=journey,
            person=person,
            cursor=cursor,
            limit=limit,
        )
    if as_json:
        print_json({"items": found, "next": after})
        return
    columns = ["message", "state", "reason", "campaign", "step", "lead", "due", "settled"]
    rows = [
        [s["id"], s["state"], s["reason"], s["campaign"], s["step"], s["lead_id"], _due(s), s["settled_at"]]
        for s in found
    ]
    print_table(columns, rows, empty="There are no such messages.")
    if after and sys.stdout.isatty():
        print(f"more: --cursor {after}")


def show(send: Send, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Show one message: its state and why, what was answered, and its history.

    Example: throughline sends show 0197…
    """
    from schema.store import sends_shown

    with transaction(read_settings(data_dir)) as connection:
        found = sends_shown.shown(connection, send)
    if found is None:
        raise _unknown()
    if as_json:
        print_json(found)
        return
    named = [name for name in found if not name.endswith("_at") and name not in {"links", "history"}]
    print_fields({name: found[name] for name in named if found[name] is not None})
    print()
    rows = [[each["at"], each["what"], each["reason"]] for each in found["history"]]
    if found["state"] == "planned":
        rows.append([_due(found), "to be sent", found["reason"]])
    print_table(["when", "what", "why"], rows, empty="")


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


def _due(found: Mapping[str, Any]) -> object:
    return "when its campaign goes on" if found["state"] == "planned" and not found["due_at"] else found["due_at"]


def _unknown() -> Permanent:
    return Permanent("send_not_found", "There is no such message; `throughline sends list` shows those there are.")
