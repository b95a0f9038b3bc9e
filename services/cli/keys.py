"""Commands on API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, read_settings, transaction
from services.cli.terminal import AsJson, DryRun, print_json, print_table, read_duration

if TYPE_CHECKING:
    from sqlalchemy import Connection

_LIST: Final = "SELECT id, label, scopes, created_at, expires_at, revoked_at FROM api_key ORDER BY created_at, id"
_REVOKE: Final = "UPDATE api_key SET revoked_at = COALESCE(revoked_at, now()) WHERE id = :id"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="API keys: who may do what.")
    group.command()(create)
    group.command("list")(list_)
    group.command()(revoke)
    app.add_typer(group, name="keys", rich_help_panel="Operate")


def create(
    scopes: Annotated[str, typer.Option(help="What it may, comma-separated, as in leads:write,leads:read.")],
    label: Annotated[str | None, typer.Option(help="Whose it is or what for.")] = None,
    expires: Annotated[str | None, typer.Option(help="How long it works, as in 90d. Default: until revoked.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """
    Make an API key and show it, this once: only a hash of it is kept.

    Example: throughline keys create --scopes leads:write --label shop --expires 90d
    """
    from schema.store import clock
    from services.api.keys import create as make

    settings = read_settings(data_dir)
    wanted = _scopes(scopes)
    expires_at = None if expires is None else clock.now() + read_duration(expires)
    with transaction(settings, dry_run=dry_run) as connection:
        key_id, key = make(connection, settings.pepper(), wanted, clock.now(), label=label, expires_at=expires_at)
    if dry_run:
        print(f"would make a key that may: {', '.join(wanted)}")
    elif as_json:
        print_json({"id": key_id, "key": key})
    else:
        print(f"id   {key_id}\nkey  {key}\nKeep it now: it is not shown again. Send it as Authorization: Bearer <key>")


def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    List API keys, without what is secret about them.

    Example: throughline keys list --json
    """
    with transaction(read_settings(data_dir)) as connection:
        found = _keys(connection)
    if as_json:
        print_json({"items": found})
        return
    columns = ["id", "label", "may", "made", "expires", "revoked"]
    rows = [
        [k["id"], k["label"], ",".join(k["scopes"]), k["created_at"], k["expires_at"], k["revoked_at"]] for k in found
    ]
    print_table(columns, rows, empty="No keys yet: throughline keys create --scopes leads:write")


def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` shows it.")],
    data_dir: DataDir = None,
    dry_run: DryRun = False,
) -> None:
    """
    Have a key stop working, within five seconds and for good.

    Example: throughline keys revoke 5f0c9a3be1d2
    """
    from sqlalchemy import text

    with transaction(read_settings(data_dir), dry_run=dry_run) as connection:
        if not connection.execute(text(_REVOKE), {"id": key_id}).rowcount:
            raise Permanent("key_not_found", "There is no key with this id; `throughline keys list` shows them.")
    print(f"{'would revoke' if dry_run else 'revoked'} {key_id}")


def _scopes(given: str) -> list[str]:
    from services.api.keys import SCOPES

    wanted = sorted({scope.strip() for scope in given.split(",")} - {""})
    if not wanted or set(wanted) - SCOPES.keys():
        known = "\n".join(f"  {scope:<19} {meaning}" for scope, meaning in SCOPES.items())
        raise Permanent("scope_unknown", f"Scopes are any of:\n{known}")
    return wanted


def _keys(connection: Connection) -> list[dict[str, Any]]:
    from sqlalchemy import text

    return [dict(row) for row in connection.execute(text(_LIST)).mappings()]
