"""Commands on the event feed."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from services.cli.place import DataDir, engine, read_settings
from services.cli.terminal import plain

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from schema.store.feed import Cursor

_PAGE: Final = 500
_LOOK_EVERY_S: Final = 0.5


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="What was told to the outside.")
    group.callback()(_nothing)
    group.command()(tail)
    app.add_typer(group, name="events", rich_help_panel="Look and change")


def _nothing() -> None:
    """What was told to the outside."""


def tail(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new events; Ctrl-C ends it.")] = False,
    after: Annotated[str, typer.Option(help="Begin behind this cursor. Default: at the first event.")] = "",
    types: Annotated[str, typer.Option(help="Only these, as in lead.scored,lead.routed.")] = "",
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one CloudEvent as JSON per line.")] = False,
) -> None:
    """
    Print events in feed order; the cursor to read on from goes to stderr at the end.

    Example: throughline events tail --follow --types lead.transitioned
    """
    from schema.store.feed import Cursor, type_names

    cursor, wanted = Cursor.decode(after), type_names(types)
    with engine(read_settings(data_dir)) as made:
        try:
            cursor = _print_rest(made, cursor, wanted, as_json=as_json)
            while follow:
                time.sleep(_LOOK_EVERY_S)
                cursor = _print_rest(made, cursor, wanted, as_json=as_json)
        except KeyboardInterrupt:
            pass
    print(f"next: {cursor.encode()}", file=sys.stderr)


def _print_rest(made: Engine, cursor: Cursor, types: list[str], *, as_json: bool) -> Cursor:
    """Print what there is behind a cursor; return where it ends."""
    from schema.store import feed

    while True:
        with made.connect() as connection:
            page = feed.read(connection, cursor, types=types, limit=_PAGE)
        for event in page.events:
            print(_line(event, as_json=as_json))
        sys.stdout.flush()
        if page.next == cursor:
            return cursor
        cursor = page.next


def _line(event: dict[str, Any], *, as_json: bool) -> str:
    import msgspec

    if as_json:
        return msgspec.json.encode(event).decode()
    data = " ".join(f"{name}={plain(value)}" for name, value in event["data"].items() if value not in (None, {}, []))
    kind = event["type"].removeprefix("throughline.").removesuffix(".v1")
    return f"{event['time'][:19]}Z  {event['subject']}.{event['sequence']}  {kind:<18}  {data}"
