"""
`throughline leads import`: a file of leads becomes receipts, and each row goes the way of any lead.

The command works on its rows itself, beside whatever workers there are: it ends when they are settled, needs no
running service, and says of each row what became of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, database, read_settings
from services.cli.terminal import AsJson, DryRun, plain, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from schema.journey import Source
    from schema.settings import Settings
    from schema.understood import Understood
    from services.importing.outcome import Outcomes
    from services.importing.reading import Row, Rows
    from services.importing.run import Forecast, Order, Outcome, Stored
    from workers.runtime import Runtime

_LOOKS: Final = 20
_PAUSE_S: Final = 0.25
"""How often, and how long apart, rows are looked at again that another worker took: five seconds in all."""
_WORDS: Final = {
    "processed": "new leads",
    "merged": "more about known leads",
    "quarantined": "unusable: wait in quarantine",
    "spam": "spam: wait in quarantine",
    "rejected": "rejected",
    "repeated": "there already: not taken again",
    "failed": "failed: see `throughline ops dead-letters`",
    "waiting": "not worked on yet",
}


def import_(  # noqa: PLR0913, PLR0917 - the options of a command line
    file: Annotated[Path, typer.Argument(help="A table (.csv, .xlsx) or one JSON object per line (.jsonl).")],
    source: Annotated[
        str | None,
        typer.Option(help="Whose leads they are: a source of the journey. Default: the only one of kind `import`."),
    ] = None,
    map_: Annotated[
        str | None,
        typer.Option("--map", help="How to read it: a YAML file, or `column=field,…`. Usual names need none."),
    ] = None,
    id_: Annotated[
        str | None,
        typer.Option("--id", help="Column that names a row: the same value again is the same row. Default: all of it."),
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook. Default: the first.")] = None,
    tz: Annotated[
        str | None, typer.Option(help="Time zone of dates and times that name none, as in Europe/Berlin. Default: UTC.")
    ] = None,
    fire: Annotated[
        bool, typer.Option("--fire", help="Let reminders, timers and campaigns start as for leads that come in now.")
    ] = False,
    outcome: Annotated[
        Path | None, typer.Option(help="Write what became of each row to this file, safe to open in a spreadsheet.")
    ] = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Load a file of leads: each row goes the way of any lead, quietly.

    A row that cannot be used waits in quarantine with its reason and never stops the others. Interrupted, run it
    again: it goes on where it was; the same file again adds nothing. Rows keep the moment they happened: map its
    column to `occurred_at`.

    Example: throughline leads import fair.csv --map "Mail=email,Met on=occurred_at" --dry-run
    """
    from services.importing import mapping
    from services.importing.reading import Rows
    from services.importing.run import Order

    settings = read_settings(data_dir)
    found = Rows(file, sheet=sheet)
    if outcome and outcome.exists() and outcome.samefile(file):
        raise Permanent("outcome_unwritable", "The outcome would be written over the file itself: name another.")
    plan = mapping.read(map_, found.columns, tz)
    if id_ is not None and found.columns:
        id_ = mapping.column(id_, found.columns)
    with ExitStack() as stack:
        from schema.store.engine import make_engine

        url = stack.enter_context(database(settings))
        engine = make_engine(url, name="import", pool_size=2)
        stack.callback(engine.dispose)
        name, read_as = _source(engine, source)
        order = Order(name, plan, quiet=not fire, id_column=id_)
        with _progress("Looking") as tell:
            total = _counted(found, tell)
        if dry_run:
            _say_forecast(forecast(engine, read_as, order, found, total), as_json=as_json)
            return
        be_quiet(settings)
        _say(load(settings, url, order, file, found, outcome=outcome, total=total), as_json=as_json)


def _source(engine: Engine, wanted: str | None) -> tuple[str, Source]:
    """Find the source whose leads they are."""
    from schema.journey.fields import nearest
    from schema.store.journeys import JourneyBook

    with engine.connect() as connection:
        journeys = JourneyBook().active(connection)
    sources = {name: source for journey in reversed(journeys) for name, source in journey.sources.items()}
    if wanted is None:
        of_kind = [name for name, source in sources.items() if source.kind == "import" and source.enabled]
        if len(of_kind) != 1:
            which = f"there are {', '.join(of_kind)}: say which with --source" if of_kind else "there is none"
            raise Permanent(
                "source_missing",
                f"Of sources of kind `import`, {which}. In the journey file: sources: {{files: {{kind: import}}}}.",
            )
        wanted = of_kind[0]
    if wanted not in sources:
        raise Permanent(
            "source_unknown",
            f"No active journey has a source `{wanted}`{nearest(wanted, list(sources)) or '.'} "
            f"In the journey file: sources: {{{wanted}: {{kind: import}}}}.",
        )
    if not sources[wanted].enabled:
        raise Permanent("source_disabled", f"The source `{wanted}` is switched off (`enabled: false`).")
    return wanted, sources[wanted]


def be_quiet(settings: Settings) -> None:
    """Log only what goes wrong, unless asked for more: what became of the rows is said at the end."""
    from schema.garbage import settle_in
    from schema.log import configure

    level = {} if "log_level" in settings.model_fields_set else {"log_level": "WARNING"}
    configure(settings.model_copy(update=level), process="import")
    settle_in()


def _counted(found: Rows, tell: Callable[[int, int | None], None]) -> int | None:
    tell(0, None)
    return found.count()


# -- what would happen -------------------------------------------------------------------------------------------------


def forecast(engine: Engine, source: Source, order: Order, found: Rows, total: int | None = None) -> Forecast:
    """Say what an import would do; nothing is written."""
    from services.importing.run import Forecast, chunks

    expected = Forecast()
    done = 0
    with _progress("Reading") as tell, engine.connect() as connection:
        for chunk in chunks(found):
            expected.add(connection, source, order, chunk)
            done += len(chunk)
            tell(done, total)
            connection.rollback()
    expected.counts["rows"] = done
    return expected


def _say_forecast(expected: Forecast, *, as_json: bool) -> None:
    names = ("rows", "arrivals", "new_people", "known_people", "repeated", "unusable")
    counts = {name: expected.counts[name] for name in names}
    examples = [{"row": row.number} | _shown(read) for row, read in expected.examples]
    if as_json:
        print_json({"dry_run": True} | counts | {"reasons": expected.reasons, "examples": examples})
        return
    words = ("rows", "arrivals", "new people", "known people", "there already: not taken again", "unusable")
    print_table(["would be", "count"], zip(words, counts.values(), strict=True), empty="")
    _say_reasons(expected.reasons)
    for example in examples:
        print(f"\nRow {example.pop('row')} would be read as:")
        for field, value in example.items():
            print(f"  {field}: {plain(value)}")
    print("\nNothing was written.")


def _shown(read: Understood) -> dict[str, Any]:
    """What a person sees of a row as it was understood: only what is there."""
    draft = read.draft
    told = {
        "touchpoint": read.kind,
        "occurred_at": read.occurred_at,
        "name": draft.name,
        "email": draft.email and draft.email.address,
        "phone": draft.phone and draft.phone.e164,
        "company": draft.company.name or draft.company.domain,
        "country": draft.country,
        "language": draft.language,
        "external_id": draft.external_id,
        "interests": ", ".join(draft.interests),
        "message": draft.message,
    }
    for group in ("attribution", "consent", "preferences", "custom"):
        told |= {f"{group}.{name}": value for name, value in getattr(draft, group).items()}
    told["doubtful"] = ", ".join(f"{issue.pointer[1:]} ({issue.code})" for issue in draft.issues)
    return {name: value for name, value in told.items() if value not in (None, "")}


# -- for real ----------------------------------------------------------------------------------------------------------


class Table(Protocol):
    """The rows of a file, or others like them."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What its columns are called."""

    def __iter__(self) -> Iterator[Row]:
        """Yield its rows."""


def load(
    settings: Settings,
    url: str,
    order: Order,
    file: Path,
    found: Table,
    *,
    outcome: Path | None = None,
    total: int | None = None,
) -> dict[str, Any]:
    """
    Take the rows the whole way, chunk by chunk; return how many became what, and why.

    Beside the keys of `_WORDS`: `rows`, `arrivals` (a row's touchpoints are arrivals too), `reasons`, `run`, `source`,
    `quiet`, and `imported_before`, when the same file was. Raises as `Rows` and `run.store` do.
    """
    from schema.store.engine import make_engine
    from services.cli.sending import sending
    from services.importing import run
    from services.importing.outcome import Outcomes
    from workers.app import register_steps
    from workers.runtime import STEPS, Runtime

    register_steps()
    with ExitStack() as stack:
        hints = stack.enter_context(sending(settings, url))
        engine, hot = make_engine(url, name="import", pool_size=2), make_engine(url, name="import", hot=True)
        stack.callback(engine.dispose)
        stack.callback(hot.dispose)
        runtime = Runtime(hot, hints, serves=set(STEPS), chain=settings.chain, batch_size=settings.batch_size)
        writer = stack.enter_context(Outcomes(outcome, found.columns)) if outcome else None
        tell = stack.enter_context(_progress("Importing"))
        before = run.begin(engine, order, file.name, _digest(file))
        journey = _Journey(engine, order, runtime, settings.batch_size, writer)
        try:
            asyncio.run(journey.travel(url, found, lambda done: tell(done, total)))
        except KeyboardInterrupt:
            print("Interrupted. The same command goes on from here.", file=sys.stderr)
            raise
    told: dict[str, Any] = {"run": order.run, "source": order.source, "quiet": order.quiet} | dict(journey.counts)
    return told | {"reasons": dict(journey.reasons), "imported_before": before}


class _Journey:
    """The rows of one run on their way: while one chunk is worked on, the next is stored."""

    def __init__(
        self, engine: Engine, order: Order, runtime: Runtime, batch_size: int, writer: Outcomes | None
    ) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(("rows", "arrivals", *_WORDS), 0))
        self.reasons: Counter[str] = Counter()
        self._engine = engine
        self._order = order
        self._runtime = runtime
        self._batch_size = batch_size
        self._writer = writer

    async def travel(self, url: str, found: Table, tell: Callable[[int], None]) -> None:
        from schema.store.engine import make_async_engine
        from services.importing import run
        from services.receive import Receiver

        engine = make_async_engine(url, name="import", hot=True, pool_size=1)
        try:
            async with Receiver(engine, max_waiting=run.CHUNK * 30, on_received=lambda _: None) as receiver:
                work: asyncio.Task[None] | None = None
                for chunk in run.chunks(found):
                    told = [each for row in chunk for each in run.arrivals(row, self._order)]
                    stored = await run.store(receiver, self._engine, told)
                    if work:
                        await work
                    tell(self.counts["rows"])
                    work = asyncio.create_task(asyncio.to_thread(self._work, stored, len(chunk)))
                if work:
                    await work
        finally:
            await engine.dispose()
        run.note(self._engine, self._order, self.counts, finished=True)

    def _work(self, stored: Stored, count: int) -> None:
        from services.importing import run

        self._hear(stored.due)
        told = self._outcomes(stored)
        for _ in range(_LOOKS):
            waiting = [each.receipt for each in told if each.outcome == "waiting"]
            if not waiting:
                break
            time.sleep(_PAUSE_S)  # another worker has them in hand
            self._hear(waiting)
            told = self._outcomes(stored)
        self.counts["rows"] += count
        for each in told:
            self.counts["arrivals"] += 1
            self.counts[each.outcome] += 1
            if each.reason:
                self.reasons[each.reason] += 1
            if self._writer:
                line = (each.row.number, each.touchpoint, each.outcome, each.reason, each.receipt, each.lead)
                self._writer.write(line, each.row.values)
        run.note(self._engine, self._order, self.counts, finished=False)

    def _hear(self, due: list[str]) -> None:
        for at in range(0, len(due), self._batch_size):
            self._runtime.hear("identify", due[at : at + self._batch_size])

    def _outcomes(self, stored: Stored) -> list[Outcome]:
        from services.importing import run

        with self._engine.connect() as connection:
            return run.outcomes(connection, stored)


def _digest(file: Path) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


def _say(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    before = told["imported_before"]
    if before:
        print(f"This file was imported before, at {plain(before)}.")
    lines = [("rows", told["rows"])]
    if told["arrivals"] != told["rows"]:
        lines.append(("rows and their touchpoints", told["arrivals"]))
    lines += [(words, told[name]) for name, words in _WORDS.items() if told[name]]
    print_table([f"import into {told['source']}", "count"], lines, empty="")
    _say_reasons(told["reasons"])
    if told["waiting"]:
        print("Other workers have the rest in hand; without any, `throughline up` goes on with it.")


def _say_reasons(reasons: dict[str, int] | Counter[str]) -> None:
    from services.importing.run import REASONS

    for code, count in sorted(reasons.items(), key=lambda item: -item[1]):
        meaning = f": {REASONS[code]}" if code in REASONS else ""
        print(f"  {count} {code}{meaning}")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show on a terminal how far it is; elsewhere there is nobody to see it."""
    from rich.console import Console

    terminal = Console(stderr=True)
    if not terminal.is_terminal:
        yield lambda _done, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
