"""Commands on what was held back: list it, look at one, release it, have it read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, engine, read_settings, transaction
from services.cli.terminal import AsJson, DryRun, plain, print_fields, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from schema.store.quarantine import Which

    LetGo = Callable[[Connection, list[str]], set[str]]

Receipts = Annotated[list[str] | None, typer.Argument(help="Ids of receipts; or say which by --reason and the others.")]
Reason = Annotated[str | None, typer.Option(help="Only what is held for this reason, as in honeypot_filled.")]
Source = Annotated[str | None, typer.Option(help="Only of this source.")]
Spam = Annotated[bool, typer.Option("--spam", help="Only what was taken for spam.")]
Everything = Annotated[bool, typer.Option("--all", help="All that is held.")]
_ACTOR = "cli"
_LONGEST_SHOWN = 4000


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="What was held back as spam or not understood, and why.")
    group.command("list")(list_)
    for command in (counts, show, release, read_again):
        group.command()(command)
    app.add_typer(group, name="quarantine", rich_help_panel="Look and change")


def list_(
    reason: Reason = None,
    source: Source = None,
    spam: Spam = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Read on: `next` of the last answer.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    List held receipts, the newest first.

    Example: throughline quarantine list --reason nothing_recognised
    """
    from schema.store import quarantine

    _check_cursor(cursor)
    with transaction(read_settings(data_dir)) as connection:
        found, after = quarantine.held(connection, _which(reason, source, spam=spam), cursor=cursor, limit=limit)
    if as_json:
        print_json({"items": found, "next": after})
        return
    columns = ["receipt", "held as", "reason", "source", "channel", "bytes", "at"]
    rows = [[f["id"], f["status"], f["reason"], f["source"], f["channel"], f["bytes"], f["received_at"]] for f in found]
    print_table(columns, rows, empty="Nothing is held.")


def counts(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Say how many receipts are held, by reason and source, the most frequent first.

    Example: throughline quarantine counts
    """
    from schema.store import quarantine

    with transaction(read_settings(data_dir)) as connection:
        found = quarantine.counts(connection)
    if as_json:
        print_json({"items": found})
        return
    columns = ["held as", "reason", "source", "receipts", "first", "last"]
    rows = [[f["status"], f["reason"], f["source"], f["receipts"], f["first_at"], f["last_at"]] for f in found]
    print_table(columns, rows, empty="Nothing is held.")


def show(
    receipt: Annotated[str, typer.Argument(help="The receipt's id.")], data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """
    Show one receipt: why it is held, what it says, and how the active journey would read it now.

    Example: throughline quarantine show 0197…
    """
    from schema.store import quarantine

    with transaction(read_settings(data_dir)) as connection:
        found = quarantine.receipt(connection, receipt)
        if found is None:
            raise Permanent("receipt_not_found", "There is no such receipt.")
        now_read = _read_now(connection, found)
    body = found.pop("body")
    said = body[:_LONGEST_SHOWN].decode("utf-8", "replace")
    if as_json:
        print_json(found | {"read_now": now_read, "says": said})
        return
    detail = found.pop("detail") or {}
    headers = found.pop("headers")
    print_fields(found | {f"found: {name}": value for name, value in detail.items()})
    print_fields({f"read now: {name}": value for name, value in now_read.items()})
    print_fields({f"header: {name}": value for name, value in headers.items()} or {"headers": None})
    print()
    for line in said.splitlines():
        print(plain(line))
    if len(body) > _LONGEST_SHOWN:
        print(f"… {len(body) - _LONGEST_SHOWN} more bytes")


def release(
    receipts: Receipts = None,
    reason: Reason = None,
    source: Source = None,
    spam: Spam = False,
    everything: Everything = False,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
) -> None:
    """
    Let held receipts run the normal way: nothing they say holds them again. Workers take them within seconds.

    Example: throughline quarantine release --reason too_fast --dry-run
    """
    from schema.store import clock, quarantine

    now = clock.now()
    which = None if receipts and not everything else _which(reason, source, spam=spam)
    _let_go("release", lambda connection, ids: quarantine.release(connection, ids, _ACTOR, now), receipts, which,
            data_dir, everything=everything, dry_run=dry_run)  # fmt: skip


def read_again(
    receipts: Receipts = None,
    reason: Reason = None,
    source: Source = None,
    spam: Spam = False,
    everything: Everything = False,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
) -> None:
    """
    Have held receipts read by the journey that is active now, as after its mapping was mended.

    What still cannot be understood, or still looks like spam, is held again.

    Example: throughline quarantine read-again --reason nothing_recognised --source website
    """
    from schema.store import clock, quarantine

    now = clock.now()
    which = None if receipts and not everything else _which(reason, source, spam=spam)
    _let_go("read again", lambda connection, ids: quarantine.read_again(connection, ids, now), receipts, which,
            data_dir, everything=everything, dry_run=dry_run)  # fmt: skip


def _let_go(
    verb: str,
    act: LetGo,
    receipts: list[str] | None,
    which: Which | None,
    data_dir: Path | None,
    *,
    everything: bool,
    dry_run: bool,
) -> None:
    done = f"would {verb}" if dry_run else {"release": "released", "read again": "is read again"}[verb]
    settings = read_settings(data_dir)
    if which is None:
        _let_named_go(act, receipts or [], done, settings, dry_run=dry_run)
        return
    if not (which.given or everything):
        raise Permanent(
            "nothing_named", f"Nothing to {verb}: name receipts by id, or say which: --reason, --source, --spam, --all."
        )
    total = sum(_portions(act, which, settings, dry_run=dry_run))
    print(f"{done}\t{total}")


def _let_named_go(act: LetGo, receipts: list[str], done: str, settings: Any, *, dry_run: bool) -> None:  # noqa: ANN401 - Settings, imported late
    from schema.store import quarantine

    with transaction(settings, dry_run=dry_run) as connection:
        before = quarantine.statuses(connection, receipts)
        changed = act(connection, receipts)
    for receipt in receipts:
        if receipt in changed:
            print(f"{receipt}\t{done}")
        elif receipt in before:
            print(f"{receipt}\tis not held: {before[receipt]}")
        else:
            print(f"{receipt}\tthere is no such receipt")
    if set(receipts) - before.keys():
        raise typer.Exit(1)


def _portions(act: LetGo, which: Which, settings: Any, *, dry_run: bool) -> Iterator[int]:  # noqa: ANN401 - as above
    """Let one portion after the other go, each in a transaction of its own; a dry run rolls each back."""
    from schema.store import quarantine

    with engine(settings) as made:
        cursor: str | None = None
        while True:
            with made.connect() as connection:
                ids, cursor = quarantine.portion(connection, which, cursor=cursor)
                yield len(act(connection, ids))
                connection.rollback() if dry_run else connection.commit()
            if cursor is None:
                return


def _which(reason: str | None, source: str | None, *, spam: bool) -> Which:
    from schema.store.quarantine import Which

    return Which(reason, source, "spam" if spam else None)


def _check_cursor(cursor: str | None) -> None:
    from schema.store.ids import is_id

    if cursor is not None and not is_id(cursor):
        raise Permanent("cursor_invalid", "This is not a cursor of the list of held receipts.")


def _read_now(connection: Connection, receipt: dict[str, Any]) -> dict[str, Any]:
    """Say how the active journey would read a receipt: what it would be, or why it would be held."""
    from schema import payload
    from schema.store.journeys import JourneyBook
    from schema.understand import understand
    from schema.understood import Raw

    journey = JourneyBook().for_source(connection, receipt["source"])
    if journey is None:
        return {"reason": "source_unknown"}
    raw = Raw(receipt["channel"], receipt["content_type"], receipt["body"], receipt["headers"], receipt["received_at"])
    try:
        found = understand(raw, journey.sources[receipt["source"]])
    except payload.Refused as refused:
        return {"reason": refused.code, "detail": refused.detail}
    read = found.draft
    fields = {
        "outcome": found.outcome or None,
        "reason": found.reason or None,
        "kind": found.kind,
        "name": read.name,
        "email": read.email.address if read.email else None,
        "phone": read.phone.e164 if read.phone else None,
        "company": read.company.name or read.company.domain,
        "issues": ", ".join(f"{issue.code} at {issue.pointer or '/'}" for issue in read.issues) or None,
    }
    return {name: value for name, value in fields.items() if value is not None}
