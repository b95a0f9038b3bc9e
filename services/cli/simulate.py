"""`throughline journey simulate`: what a draft would have done to the leads that came, before it is switched on."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from schema.errors import Permanent
from services.cli.journey import WHICH, journey_texts, read_journey
from services.cli.place import DataDir, database, read_settings
from services.cli.terminal import AsJson, print_json, read_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from schema.journey import Journey
    from workers.simulate.history import Window

ACTIVE: Final = "active"
_USUAL: Final = timedelta(days=30)


def simulate(  # noqa: PLR0913, PLR0917 - an option each
    draft: Annotated[str, typer.Argument(help=f"{WHICH}.")],
    last: Annotated[
        str | None, typer.Option(help="The window: so much time up to now, as in 30d. Default: 30d.")
    ] = None,
    since: Annotated[str | None, typer.Option("--from", help="Or its beginning, as in 2026-10-01.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="And its end. Default: now.")] = None,
    against: Annotated[str, typer.Option(help="What to compare with, named likewise.")] = ACTIVE,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many leads, the first of the window.")] = None,
    examples: Annotated[int, typer.Option(min=0, max=100, help="Leads told of each kind of difference.")] = 5,
    names: Annotated[bool, typer.Option("--names", help="Tell the names of people in examples.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Also write the report to this file, as a page.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Say what a journey would have done to the leads that came in, compared with the one that is active.

    It plays how leads are qualified, scored, routed and moved; what opportunities, tickets, contracts, follow-ups,
    surveys and campaigns told is taken as it was recorded.

    Nothing is changed: recorded arrivals are decided about again, by both journeys, with the clock of then. The
    leads are those of the journey that is compared with.

    Example: throughline journey simulate draft.yaml --last 30d --html report.html
    """
    from schema.store import clock
    from services.cli.simulation import prose
    from services.cli.simulation.report import report
    from workers.simulate.run import simulate as run

    window = _window(last, since, until, limit, clock.now())
    with database(read_settings(data_dir)) as url:
        after, document = _journey(draft, data_dir)
        before, baseline = _journey(after.name if against == ACTIVE else against, data_dir)
        with _progress() as tell:
            result = run(url, baseline, document, window, examples=examples, tell=tell)
        who = _names(url, result.changes) if names else {}
    found = report(result, before, after, window, against=against, draft=draft, names=who)
    if html:
        from services.cli.simulation.page import page

        try:
            html.write_text(page(found), encoding="utf-8")
        except OSError as error:
            raise Permanent("file_unwritable", f"Cannot write {html}: {error.strerror}.") from error
    if as_json:
        print_json(found)
    else:
        sys.stdout.write(prose.text(found))
        if html:
            print(f"\nAs a page: {html}")


def _journey(which: str, data_dir: Path | None) -> tuple[Journey, str]:
    """The journey that was named, and its text."""
    (text,) = journey_texts([which], data_dir)
    return read_journey(text, which), text


def _window(last: str | None, since: str | None, until: str | None, limit: int | None, now: datetime) -> Window:
    from workers.simulate.history import Window

    if last and since:
        raise Permanent("window_invalid", "Give either --last or --from.")
    end = _moment(until) if until else now
    start = _moment(since) if since else end - (read_duration(last) if last else _USUAL)
    if start >= end:
        raise Permanent("window_invalid", "The window ends before it begins: --from has to be earlier than --to.")
    return Window(start, end, limit)


def _moment(value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise Permanent("moment_invalid", "Write a moment as in 2026-10-01 or 2026-10-01T14:30 (UTC).") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _names(url: str, changes: dict[str, Any]) -> dict[str, str]:
    """The names of the people whose leads are told as examples."""
    from sqlalchemy import text

    from schema.store.engine import make_engine
    from schema.store.ids import uuid_array
    from services.cli.simulation.report import examples

    query = text(
        "SELECT l.id, COALESCE(p.name, p.email, p.phone, '') AS name "
        "FROM lead AS l JOIN person AS p ON p.id = l.person_id WHERE l.id = ANY(CAST(:ids AS uuid[]))"
    )
    engine = make_engine(url, name="cli", pool_size=1)
    try:
        with engine.connect() as connection:
            found = connection.execute(query, {"ids": uuid_array(examples(changes))})
            return {row.id: row.name for row in found}
    finally:
        engine.dispose()


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how far it is; elsewhere there is nobody to see it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    terminal = Console(stderr=True)
    if not terminal.is_terminal:
        yield lambda _, __: None
        return
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=max(total, done))
