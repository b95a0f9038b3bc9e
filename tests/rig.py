"""
A whole Throughline as its users run it: `throughline up` on real servers, leads posted over HTTP.

A rig owns its servers, so that a test may kill them. `Clients` post until they are acknowledged, as a sender would,
and keep what they were told for the history checker.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

import psutil
from sqlalchemy import text

from schema.store.engine import make_engine
from tests.history import Acknowledged, Verdict, check

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

ROOT: Final = Path(__file__).parent.parent
_PATIENCE_S: Final = 60.0


def until(condition: Callable[[], Any], what: str, patience_s: float = _PATIENCE_S) -> Any:  # noqa: ANN401
    """Wait until `condition` gives something true, and return it; fail with `what` if it never does."""
    deadline = time.monotonic() + patience_s
    pause = threading.Event()
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {patience_s:.0f} s: {what}"
        pause.wait(0.02)
    return found


class Rig:
    """`throughline up` on a database (and a broker) of a test."""

    def __init__(self, folder: Path, database_url: str, **settings: str) -> None:
        self.folder = folder
        self.database_url = database_url
        self.failpoints = folder / "failpoints"
        self.failpoints.mkdir()
        self.engine = make_engine(database_url, name="rig", pool_size=2)
        self._environment = os.environ | {
            "THROUGHLINE_DATABASE_URL": database_url,
            "THROUGHLINE_SECRET_KEY": "a secret of this test",
            "THROUGHLINE_FAILPOINTS": str(self.failpoints),
            "THROUGHLINE_LOG_FORMAT": "json",
            **{f"THROUGHLINE_{name.upper()}": value for name, value in settings.items()},
        }
        self._log = (folder / "throughline.log").open("ab")
        self.address = ""
        self.key = ""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [*self._command, "up", "--port", "0", "--data-dir", str(self.folder / "data")],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        assert self.process.stdout
        line = self.process.stdout.readline().decode()
        assert line.startswith("ready http://"), f"{line!r}; {self.log()[-3000:]}"
        self.address = urlsplit(line.split()[1]).netloc
        scopes = "leads:read,leads:write,leads:move,events:read,ops:read,ops:write,journeys:read"
        made = self.run("keys", "create", "--scopes", scopes, "--json")
        self.key = json.loads(made)["key"]
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.children():
            child.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait()
            if self.process.stdout:
                self.process.stdout.close()
            self._log.close()
            self.engine.dispose()

    @property
    def _command(self) -> list[str]:
        return [sys.executable, "-m", "services.cli.main"]

    def run(self, *arguments: str) -> str:
        """Run a command of the command line against the same database and return what it prints."""
        done = subprocess.run(
            [*self._command, *arguments],
            cwd=ROOT,
            env=self._environment | {"THROUGHLINE_DATA_DIR": str(self.folder / "data")},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def log(self) -> str:
        """Return what the processes have logged."""
        return (self.folder / "throughline.log").read_text(errors="replace")

    def children(self, part: str = "") -> list[psutil.Process]:
        """Return the processes of a part (`api`, `worker`, `relay`, `ticker`), or all."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            try:
                command = child.cmdline()
            except psutil.Error:
                continue
            if "services.cli.main" in command and (not part or part in command):
                found.append(child)
        return found

    def kill(self, process: psutil.Process, number: signal.Signals = signal.SIGKILL) -> bool:
        """Send a signal to one process; tell whether it was still there."""
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return False
        return True

    def kill_one(self, part: str, choice: random.Random) -> None:
        """Kill one process of a part; one that ended of itself between the look and the signal does not count."""

        def killed() -> bool:
            found = self.children(part)
            return bool(found) and self.kill(choice.choice(found))

        until(killed, f"a {part} runs, to be killed")

    def arm(self, point: str, action: str) -> Path:
        """Arm a failpoint; the file is gone when somebody has reached it."""
        file = self.failpoints / f"{point}.{action}"
        file.touch()
        return file

    def was_reached(self, armed: Path) -> None:
        """Wait until somebody has reached an armed failpoint."""
        until(lambda: not armed.exists(), f"{armed.name} was reached")

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:  # noqa: ANN401
        """Make one request with the key; return status and decoded JSON."""
        connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"} | headers
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content else None
        finally:
            connection.close()

    def get(self, path: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Read something; it must be there."""
        status, body = self.request("GET", path)
        assert status == http.HTTPStatus.OK, (path, status, body)
        return body

    def feed(self) -> list[dict[str, Any]]:
        """Read the whole feed, page by page."""
        events: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.get(f"/v1/events?limit=1000&after={cursor}")
            if not page["events"]:
                return events
            events += page["events"]
            cursor = page["next"]

    def settled(self) -> bool:
        """Tell whether nothing is due any more."""
        due = "SELECT EXISTS (SELECT FROM receipt WHERE due_since IS NOT NULL)"
        due += " OR EXISTS (SELECT FROM lead WHERE due_since IS NOT NULL)"
        with self.engine.connect() as connection:
            return not connection.execute(text(due)).scalar_one()

    def check(self, acknowledged: Iterable[Acknowledged]) -> Verdict:
        """Wait until everything is settled, then let the history checker look."""
        until(self.settled, "everything is settled")
        return check(self.engine, acknowledged, until(self._quiet_feed, "the feed has all events"))

    def _quiet_feed(self) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            count = connection.execute(text("SELECT count(*) FROM event")).scalar_one()
        feed = self.feed()
        return feed if len(feed) >= count else []


class Clients:
    """Senders that post forms, each again and again until it is acknowledged."""

    def __init__(self, rig: Rig, *, threads: int = 4) -> None:
        self.acknowledged: list[Acknowledged] = []
        self._rig = rig
        self._numbers = itertools.count(1)
        self._pool = ThreadPoolExecutor(threads)
        self._connections: dict[int, http.client.HTTPConnection] = defaultdict(
            lambda: http.client.HTTPConnection(rig.address, timeout=10),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for connection in self._connections.values():
            connection.close()

    def post(self, count: int) -> None:
        """Post `count` different arrivals and return when all are acknowledged."""
        list(self._pool.map(self._post_one, itertools.islice(self._numbers, count)))

    def start(self, count: int) -> Callable[[], bool]:
        """Begin to post; the function returned tells whether all are acknowledged, and raises what went wrong."""
        futures = [self._pool.submit(self._post_one, number) for number in itertools.islice(self._numbers, count)]

        def done() -> bool:
            finished = [future for future in futures if future.done()]
            for future in finished:
                future.result()
            return len(finished) == len(futures)

        return done

    def wait_for(self, count: int) -> None:
        """Wait until so many arrivals are acknowledged."""
        until(lambda: len(self.acknowledged) >= count, f"{count} arrivals are acknowledged")

    def _post_one(self, number: int) -> None:
        marker = f"m-{number}"
        body = json.dumps(
            {"email": f"{marker}@firm{number % 50}.example", "name": "Somebody", "interests": "crm", "country": "DE"},
        )
        receipt = until(lambda: self._try(marker, body), f"{marker} is acknowledged")
        self.acknowledged.append(Acknowledged(marker, receipt))

    def _try(self, marker: str, body: str) -> str | None:
        connection = self._connections[threading.get_ident()]
        try:
            headers = {"Content-Type": "application/json", "Idempotency-Key": marker}
            connection.request("POST", "/f/website", body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return None
        if answer.status != http.HTTPStatus.OK:
            assert answer.status in {409, 500, 503}, (answer.status, content)
            return None
        return str(json.loads(content)["receipt"])
