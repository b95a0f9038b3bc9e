"""Commands for operators: what waits where, what failed, and repair."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schema.errors import Permanent
from services.cli import account, mail
from services.cli.place import DataDir, read_settings, transaction
from services.cli.terminal import AsJson, DryRun, print_json, print_table

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from schema.store.ops import Resolved

    Resolve = Callable[[Connection, str], Resolved | None]

Letters = Annotated[list[str] | None, typer.Argument(help="Ids of dead letters.")]
Fingerprint = Annotated[str | None, typer.Option(help="All of this kind of failure (at most 200 at a time).")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="What waits, what failed, and repair.")
    for command in (queues, dead_letters, retry, discard, account.account, mail.mailboxes):
        group.command()(command)
    app.add_typer(group, name="ops", rich_help_panel="Operate")


def queues(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Show every queue: what waits, what is in work, since when, and what is set aside as dead.

    Example: throughline ops queues --json
    """
    from schema.store import ops

    with transaction(read_settings(data_dir)) as connection:
        found = ops.queues(connection)
    if as_json:
        print_json({"queues": found})
        return
    columns = ["queue", "waiting", "in work", "oldest (s)", "dead", "journeys it cannot read"]
    rows = [[q["name"], q["waiting"], q["in_work"], q["oldest_s"], q["dead"], " ".join(q["unreadable"])] for q in found]
    print_table(columns, rows, empty="No queues.")


def dead_letters(
    step: Annotated[str | None, typer.Option(help="Only of this step.")] = None,
    cursor: Annotated[str | None, typer.Option(help="Read on: `next` of the last answer.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    List what kept failing and was set aside, the newest first.

    Example: throughline ops dead-letters --step identify
    """
    from schema.store import ops
    from schema.store.ids import is_id

    if cursor is not None and not is_id(cursor):
        raise Permanent("cursor_invalid", "This is not a cursor of the list of dead letters.")
    with transaction(read_settings(data_dir)) as connection:
        found, after = ops.dead_letters(connection, step=step, cursor=cursor)
    if as_json:
        print_json({"items": found, "next": after})
        return
    columns = ["letter", "step", "of", "error", "tried", "fingerprint", "at"]
    rows = [
        [e["id"], e["step"], f"{e['subject']} {e['subject_id']}", e["error"], e["attempts"], e["fingerprint"],
         e["created_at"]]
        for e in found
    ]  # fmt: skip
    print_table(columns, rows, empty="No dead letters.")


def retry(
    letters: Letters = None, fingerprint: Fingerprint = None, data_dir: DataDir = None, dry_run: DryRun = False
) -> None:
    """
    Make the work of dead letters due again; workers take it within seconds.

    Example: throughline ops retry --fingerprint 3f2a… --dry-run
    """
    from schema.store import clock, ops

    now = clock.now()
    _resolve("retry", lambda connection, letter: ops.retry(connection, letter, now), letters, fingerprint,
             data_dir, dry_run=dry_run)  # fmt: skip


def discard(
    letters: Letters = None,
    fingerprint: Fingerprint = None,
    reason: Annotated[str, typer.Option(help="A code that is kept with it.")] = "discarded",
    data_dir: DataDir = None,
    dry_run: DryRun = False,
) -> None:
    """
    Give up the work of dead letters: a receipt becomes rejected, a lead stays where it is.

    Example: throughline ops discard 0197… --reason test_data
    """
    from schema.store import clock, ops

    now = clock.now()
    _resolve("discard", lambda connection, letter: ops.discard(connection, letter, reason, "cli", now), letters,
             fingerprint, data_dir, dry_run=dry_run)  # fmt: skip


def _resolve(
    verb: str, act: Resolve, letters: list[str] | None, fingerprint: str | None, data_dir: Path | None, *, dry_run: bool
) -> None:
    with transaction(read_settings(data_dir), dry_run=dry_run) as connection:
        wanted = [*(letters or []), *_of_kind(connection, fingerprint)]
        outcomes = [(letter, act(connection, letter)) for letter in wanted]
    if not wanted:
        raise Permanent(
            "nothing_named", f"Nothing to {verb}: name dead letters by id, or a --fingerprint that has any."
        )
    for letter, outcome in outcomes:
        print(f"{letter}\t{_outcome(verb, outcome, dry_run=dry_run)}")
    if any(outcome is None for _, outcome in outcomes):
        raise typer.Exit(1)


def _of_kind(connection: Connection, fingerprint: str | None) -> list[str]:
    from schema.store import ops

    if fingerprint is None:
        return []
    found, _ = ops.dead_letters(connection, fingerprint=fingerprint, limit=ops.LARGEST_PAGE)
    return [letter["id"] for letter in found]


def _outcome(verb: str, outcome: Resolved | None, *, dry_run: bool) -> str:
    if outcome is None:
        return "there is no such dead letter"
    if not outcome.changed:
        return f"was resolved before: {outcome.letter['resolution']}"
    subject: dict[str, Any] = outcome.letter
    done = f"would {verb}" if dry_run else {"retry": "due again", "discard": "discarded"}[verb]
    return f"{done}: {subject['step']} of {subject['subject']} {subject['subject_id']}"
