"""
Keeps Throughline running on one machine: the database, the API, the workers, the relay and the ticker.

    start   embedded PostgreSQL where no database is configured, migrations, the shipped journey if none is active,
            then one child process per part, each the same interpreter and command (`throughline api` …)
    watch   a child that ends is started again, after 0.2 s and then twice as long each time, up to 5 s;
            the database too
    stop    SIGTERM or SIGINT: the API takes nothing new and answers what it has, workers finish their batch, the
            database goes last; after 9 s whoever is left is killed
    dies    kill -9 takes the children along (the kernel sees to it); the next start recovers

The listening socket belongs to the supervisor and is handed down, so that while the API is replaced connections wait
instead of being refused. One supervisor per data folder, kept by a file lock.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import text

import services
from schema.errors import Permanent, ThroughlineError
from schema.journey import default_text
from schema.store import clock, journeys
from schema.store.engine import check_durable, make_engine
from services.embedded import EmbeddedPostgres, die_with_parent
from services.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import NoReturn

    from schema.settings import Settings

BACKLOG: Final = 2048
_WATCHED: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_PROVEN_S: Final = 5.0
_LOOK_EVERY_S: Final = 1.0
_READY_CHECK_S: Final = 0.05
_API_FIRST_S: Final = 2.0
_STOP_S: Final = 9.0

log = structlog.get_logger()


@dataclass
class Child:
    """One part of the service: its command, its process, and when it may be started (again)."""

    name: str
    arguments: Sequence[str]
    keep: Sequence[int] = ()
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    pause_s: float = _FIRST_PAUSE_S

    def start(self, environment: dict[str, str]) -> None:
        """Start it in a process group of its own (Ctrl-C is for us), ended by the kernel when we are."""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "services.cli.main", *self.arguments, "--name", self.name],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sys.__stderr__,  # stdout is for the line that says ready
            pass_fds=self.keep,
            process_group=0,
            preexec_fn=_in_child(),  # noqa: PLW1509 - two system calls, bound before the fork
        )
        log.info("child.started", child=self.name, pid=self.process.pid)

    def ended(self) -> bool:
        """Tell whether it ran and does not any more, and set when it may be started again."""
        if self.process is None or self.process.poll() is None:
            return False
        now = time.monotonic()
        if now - self.started > _PROVEN_S:
            self.pause_s = _FIRST_PAUSE_S
        log.warning("child.ended", child=self.name, status=self.process.returncode, again_in_s=self.pause_s)
        self.process, self.due = None, now + self.pause_s
        self.pause_s = min(self.pause_s * 2, _LONGEST_PAUSE_S)
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and whatever it started."""
        if self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


class Supervisor:
    """
    Runs everything until it is told to stop. Use it from the main thread.

    `say` gets the one line `ready http://…` once leads can be taken.
    """

    def __init__(self, settings: Settings, *, host: str, port: int, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._host, self._port = host, port
        self._say = say
        self._database: EmbeddedPostgres | None = None
        self._children: list[Child] = []
        self._looked = 0.0

    def run(self) -> None:
        """
        Start, watch, stop. Returns after an orderly stop.

        Raises Permanent where it cannot start: `already_running`, `port_taken`, and what the database says.
        """
        with _interruptible(), _alone(self._settings.data_dir), _listening(self._host, self._port) as listener:
            self._address = _address(listener)
            try:
                url = self._start_database()
                prepare(url)
                self._start_children(url, listener)
                self._watch()
            except KeyboardInterrupt:
                log.info("supervisor.interrupted")
            finally:
                listener.close()
                self._stop()

    # -- start -------------------------------------------------------------------------------------------------------

    def _start_database(self) -> str:
        self._settings.pepper()  # now, so that a missing secret is told by us and not by every child
        if self._settings.database_url:
            return self._settings.database_url
        self._database = EmbeddedPostgres(self._settings.data_dir / "postgres")
        return self._database.start()

    def _start_children(self, url: str, listener: socket.socket) -> None:
        self._environment = _environment(self._settings, url, self._address)
        numbers = range(1, self._settings.worker_processes + 1)
        self._children = [
            Child("api", ["api", "--fd", str(listener.fileno())], [listener.fileno()]),
            *(Child(f"worker-{number}", ["worker"]) for number in numbers),
            Child("ticker", ["ticker"]),
        ]
        if self._settings.events_url:
            self._children.append(Child("relay", ["relay"]))
        if self._settings.consume_url:
            self._children.append(Child("consume", ["consume"]))
        if self._settings.mail_listen or self._settings.imap_urls.get_secret_value():
            self._children.append(Child("mail", ["mail"]))
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)  # from here on they are waited for
        for child in self._children:
            child.start(self._environment)

    # -- watch -------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        ready = False
        while not _told_to_stop(self._pause_s(ready=ready)):
            self._look_after_children()
            self._look_after_database()
            if not ready and (ready := _answers(self._address)):
                self._say(f"ready http://{self._address}")

    def _pause_s(self, *, ready: bool) -> float:
        due = [child.due - time.monotonic() for child in self._children if child.process is None]
        return max(0.0, min([_LOOK_EVERY_S if ready else _READY_CHECK_S, *due]))

    def _look_after_children(self) -> None:
        for child in self._children:
            child.ended()
            if child.process is None and time.monotonic() >= child.due:
                child.start(self._environment)

    def _look_after_database(self) -> None:
        """Start ours again when it died; take over when the one we were attached to went away."""
        if self._database is None or time.monotonic() - self._looked < _LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        pid = self._database.pid
        try:
            if pid is None:
                self._database.start(patience_s=_STOP_S)
            elif os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                log.error("database.died", pid=pid)
                self._database.stop()
                self._database.start(patience_s=_STOP_S)
        except ThroughlineError:
            log.exception("database.not_started")

    # -- stop --------------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        deadline = time.monotonic() + _STOP_S
        api = [child for child in self._children if child.name == "api"]
        _signal_all(api, signal.SIGTERM)
        _wait_for(api, min(deadline, time.monotonic() + _API_FIRST_S))
        _signal_all(self._children, signal.SIGTERM)
        _wait_for(self._children, deadline)
        _signal_all(self._children, signal.SIGKILL)
        _wait_for(self._children, float("inf"))
        if self._database:
            self._database.stop()


def prepare(url: str) -> None:
    """Migrate the database, make sure it is durable, and switch the shipped journey on if none is active."""
    for step in migrate(url):
        log.info("database.migrated", revision=step)
    engine = make_engine(url, name="prepare", pool_size=1)
    try:
        with engine.begin() as connection:
            check_durable(connection)
            if not connection.execute(text("SELECT EXISTS (SELECT FROM journey_active)")).scalar_one():
                journey = journeys.store(connection, default_text(), clock.now())
                journeys.activate(connection, journey, clock.now())
                log.info("journey.activated", journey=journey.name, version=journey.version)
    finally:
        engine.dispose()


def _environment(settings: Settings, url: str, address: str) -> dict[str, str]:
    """What children inherit: the settings as they came out here, and where our packages are."""
    packages = str(Path(services.__path__[0]).parent)
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [packages, os.environ.get("PYTHONPATH")])),
        "THROUGHLINE_DATABASE_URL": url,
        "THROUGHLINE_DATA_DIR": str(settings.data_dir.absolute()),
        "THROUGHLINE_CANARY_URL": settings.canary_url or f"http://{address}",
    }


def _in_child() -> Callable[[], None]:
    die = die_with_parent(signal.SIGKILL)

    def run() -> None:
        die()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    return run


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end the start as Ctrl-C does; put everything back afterwards."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        while signal.sigtimedwait(_WATCHED & signal.sigpending(), 0):
            continue  # a second Ctrl-C while we stopped
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Hold the folder's lock. The kernel gives it back however we end; children do not inherit it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Permanent(
                "already_running",
                f"Throughline is already running on {data_dir} (process {lock.read().strip() or 'unknown'}). "
                "Stop it first, or choose another folder with --data-dir.",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
        lock.truncate(0)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            reason = f"Cannot listen on {host}:{port}: {error.strerror}. Choose another with --port (0: a free one)."
            raise Permanent("port_taken", reason) from error
        listener.listen(BACKLOG)
        yield listener


def _address(listener: socket.socket) -> str:
    """Return `host:port` as somebody on this machine reaches it."""
    host, port, *_ = listener.getsockname()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - said, not bound
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _answers(address: str) -> bool:
    """Tell whether the API can take leads now."""
    connection = http.client.HTTPConnection(address, timeout=0.5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _told_to_stop(wait_s: float) -> bool:
    """Wait for a signal; tell whether it asks us to stop (the other one says that a child ended)."""
    happened = signal.sigtimedwait(_WATCHED, wait_s)
    return happened is not None and happened.si_signo != signal.SIGCHLD


def _signal_all(children: Sequence[Child], number: signal.Signals) -> None:
    for child in children:
        child.signal(number)


def _wait_for(children: Sequence[Child], deadline: float) -> None:
    while any(child.process and child.process.poll() is None for child in children):
        left = min(deadline - time.monotonic(), _LOOK_EVERY_S)
        if left <= 0:
            return
        signal.sigtimedwait({signal.SIGCHLD}, left)
