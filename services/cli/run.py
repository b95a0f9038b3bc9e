"""Commands that run something: the whole service, one of its processes, or the migrations."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, database, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schema.settings import Settings

_WATCH_STOPS_S: Final = 3.0
Name = Annotated[str, typer.Option("--name", hidden=True)]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (up, api, worker, consume, relay, ticker, migrate):
        app.command(rich_help_panel="Run")(command)


def up(
    port: Port = 8080,
    host: Host = "127.0.0.1",
    data_dir: DataDir = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes. Default: 2.")] = None,
    hints: Annotated[
        bool | None,
        typer.Option("--hints/--no-hints", help="Also say how to post a first lead. Default: on a terminal."),
    ] = None,
) -> None:
    """
    Start everything on this machine and keep it running; Ctrl-C ends it.

    Prints `ready http://…` when leads can be taken. Without THROUGHLINE_DATABASE_URL it brings its own PostgreSQL,
    in the data folder.

    Example: throughline up --port 8080 --data-dir /var/lib/throughline
    """
    settings = logging_settings(data_dir, "up", worker_processes=workers)
    from services.supervise import Supervisor

    def say(line: str) -> None:
        print(line, flush=True)
        if sys.stdout.isatty() if hints is None else hints:
            print(_first_lead(line.removeprefix("ready "), data_dir), flush=True)

    Supervisor(settings, host=host, port=port, say=say).run()


def api(
    port: Port = 8080,
    host: Host = "127.0.0.1",
    data_dir: DataDir = None,
    fd: Annotated[int | None, typer.Option(hidden=True)] = None,
    name: Name = "api",
) -> None:
    """
    Run only the HTTP API: forms, leads, the event feed, operations.

    Example: THROUGHLINE_DATABASE_URL=postgresql://… throughline api --host 0.0.0.0
    """
    settings = logging_settings(data_dir, name)
    from services.cli.sending import sending
    from services.cli.serve import serve
    from services.cli.whole import make_app

    with database(settings) as url, sending(settings, url) as hints:
        serve(make_app(settings, url, hints), host=host, port=port, descriptor=fd)


def worker(
    queues: Annotated[str, typer.Option(help="Only these, comma-separated. Default: all.")] = "",
    data_dir: DataDir = None,
    name: Name = "worker",
) -> None:
    """
    Run one worker process, for all queues or some of them.

    Example: throughline worker --queues identify,qualify
    """
    settings = logging_settings(data_dir, name)
    from workers.app import build
    from workers.process import run_worker

    wanted = {queue.strip() for queue in queues.split(",")} - {""}
    with database(settings) as url:
        broker, _, hints = build(settings, url, queues=wanted)
        serves = set(broker.get_declared_queues())
        status = run_worker(broker, serves, settings.worker_threads, stop=threading.Event())
        hints.close()
        broker.close()
    raise typer.Exit(status)


def consume(data_dir: DataDir = None, name: Name = "consume") -> None:
    """
    Take events from RabbitMQ, from the queue of each source of kind `events`; needs THROUGHLINE_CONSUME_URL.

    Example: THROUGHLINE_CONSUME_URL=amqp://user:password@host/ throughline consume
    """
    settings = logging_settings(data_dir, name)
    if not settings.consume_url:
        raise Permanent("consume_url_missing", "THROUGHLINE_CONSUME_URL is not set: there is no broker to take from.")
    from services.bus.consume import run_consumer
    from services.cli.sending import sending

    with database(settings) as url, sending(settings, url) as hints, stopping() as stop:
        run_consumer(settings, url, lambda ids: hints.send("identify", ids), stop)


def relay(data_dir: DataDir = None, name: Name = "relay") -> None:
    """
    Publish events to the AMQP exchange `throughline.events`; needs THROUGHLINE_EVENTS_URL.

    Example: THROUGHLINE_EVENTS_URL=amqp://user:password@host/ throughline relay
    """
    settings = logging_settings(data_dir, name)
    if not settings.events_url:
        raise Permanent("events_url_missing", "THROUGHLINE_EVENTS_URL is not set: there is no exchange to publish to.")
    from services.bus.relay import run_relay

    with database(settings) as url, stopping() as stop:
        run_relay(settings, url, stop)


def ticker(data_dir: DataDir = None, name: Name = "ticker") -> None:
    """
    Run the ticker, which has work looked for whose worker or message was lost, and keeps the account of what arrives.

    Several may run; one ticks. Example: throughline ticker
    """
    settings = logging_settings(data_dir, name)
    from schema.store.engine import make_engine
    from services.cli.sending import sending
    from services.ticker import run_ticker
    from services.watch import run_watch

    with database(settings) as url, sending(settings, url) as hints, stopping() as stop:
        engine = make_engine(url, name="ticker", pool_size=1)
        watching = make_engine(url, name="watch", pool_size=2)
        watch = threading.Thread(target=run_watch, args=(watching, settings, stop), name="watch", daemon=True)
        watch.start()
        run_ticker(engine, settings, hints.send, stop=stop)
        watch.join(_WATCH_STOPS_S)
        watching.dispose()
        engine.dispose()


def migrate(
    data_dir: DataDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """
    Bring the database to the tables this version needs; safe to run again and by several at once.

    Example: throughline migrate --dry-run
    """
    from services.migrate import migrate as run

    with database(read_settings(data_dir), create=not dry_run) as url:
        steps = run(url, dry_run=dry_run)
    for step in steps:
        print(f"{'would run' if dry_run else 'ran'} {step}")
    if not steps:
        print("nothing to do")


def logging_settings(data_dir: Path | None, process: str, **given: object) -> Settings:
    """Return the settings of a process that runs on, and have it log."""
    from schema.log import configure

    settings = read_settings(data_dir, **given)
    configure(settings, process=process)
    return settings


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM and SIGINT set."""
    stop = threading.Event()

    def ask(*_: object) -> None:
        # Set by a thread: the handler may interrupt the very lock that `set` needs.
        threading.Thread(target=stop.set, daemon=True).start()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _first_lead(address: str, data_dir: Path | None) -> str:
    """Say how to post a lead and see what becomes of it."""
    where = f" --data-dir {data_dir}" if data_dir else ""
    return (
        f"  post a lead:   curl -d 'email=lee@example.com&message=Please send us a quote' {address}/f/website\n"
        f"  see its way:   {sys.argv[0]} leads list{where}"
    )
