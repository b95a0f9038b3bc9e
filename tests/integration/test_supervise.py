"""`throughline up` as people run it: real processes that are started, killed and stopped."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import psutil
import pytest

from services.embedded import die_with_parent
from tests.servers import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.xdist_group("supervise")

PATIENCE_S: Final = 90.0
PROGRAM: Final = [sys.executable, "-m", "services.cli.main"]


def eventually(condition: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the condition found
    """What `condition` answers, once it is something."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        threading.Event().wait(0.05)
    return found


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("THROUGHLINE_")}
    return kept | {"PYTHONPATH": str(ROOT)}


class Up:
    """One `throughline up` on a folder of its own; `start` again after `kill`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="throughline-up-"))
        self.data = self.folder / "data"
        self.output = self.folder / "output"
        self.port = 0

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log, self.output.open("wb") as output:
            self.process = psutil.Popen(
                [*PROGRAM, "up", "--port", str(self.port), "--data-dir", str(self.data), "--workers", "1"],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        line = eventually(lambda: self.process.poll() is None and self.output.read_text())
        self.port = int(line.rpartition(":")[2])

    def family(self) -> list[psutil.Process]:
        """Everything that runs because of it, the database included."""
        return list(self.process.children(recursive=True))

    def part(self, name: str) -> psutil.Process | None:
        """The process of `api`, `worker-1`, … or `postgres`."""
        for process in self.process.children():
            with suppress(psutil.NoSuchProcess):
                line = process.cmdline()
                if line[-1:] == [name] or (name == "postgres" and "postgres" in "".join(line[:1])):
                    return process
        return None

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        connection.request(method, path, body, kind)
        answer = connection.getresponse()
        found = answer.status, json.loads(answer.read())
        connection.close()
        return found

    def post(self, name: str) -> str:
        """Post a lead; its receipt."""
        form = {"email": f"{name}@{name}.example", "message": "Please send us an offer for our team."}
        status, answer = self.ask("POST", "/f/website", urlencode(form))
        assert status == 200, answer
        return str(answer["receipt"])

    def ready(self) -> bool:
        return self.ask("GET", "/readyz")[0] == 200

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run(*arguments, "--data-dir", str(self.data))

    def processed(self) -> int:
        account = json.loads(self.cli("ops", "account", "--json").stdout)
        return sum(int(source["processed"]) for source in account["sources"])

    def stop(self) -> None:
        if self.process.is_running():
            self.process.terminate()
            self.process.wait(PATIENCE_S)
        shutil.rmtree(self.folder)


def send_without_end(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"a" * 65536)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], env=environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@pytest.fixture(scope="module")
def shared() -> Iterator[Up]:
    up = Up()
    up.start()
    yield up
    up.stop()


@pytest.fixture
def own() -> Iterator[Up]:
    up = Up()
    up.start()
    yield up
    up.stop()


def test_it_says_in_one_line_that_it_is_ready_and_a_lead_goes_its_way(shared: Up) -> None:
    assert shared.output.read_text() == f"ready http://127.0.0.1:{shared.port}\n"
    before = shared.processed()
    shared.post("lena")
    eventually(lambda: shared.processed() == before + 1)
    (lead,) = json.loads(shared.cli("leads", "list", "--q", "lena@lena.example", "--json").stdout)["items"]
    assert (lead["state"], lead["next_step"], lead["score"]["total"]) == ("lead", None, 30)


def test_an_api_that_is_killed_is_replaced_and_nobody_is_refused_meanwhile(shared: Up) -> None:
    api = eventually(lambda: shared.part("api"))
    api.kill()
    api.wait(PATIENCE_S)
    assert shared.post("posted while there is no api")
    assert eventually(lambda: shared.part("api")).pid != api.pid


def test_work_of_a_worker_that_is_killed_is_done_by_its_successor(shared: Up) -> None:
    before = shared.processed()
    worker = eventually(lambda: shared.part("worker-1"))
    worker.suspend()
    shared.post("sam")
    worker.kill()
    eventually(lambda: shared.processed() == before + 1)


def test_a_database_that_is_killed_is_started_again_and_remembers(shared: Up) -> None:
    before = shared.processed()
    receipt = shared.post("dee")
    eventually(lambda: shared.processed() == before + 1)
    eventually(lambda: shared.part("postgres")).kill()
    eventually(shared.ready)
    assert shared.post("dee") == receipt


def test_a_request_whose_head_never_ends_is_cut_off(shared: Up) -> None:
    with socket.create_connection(("127.0.0.1", shared.port), PATIENCE_S) as endless:
        endless.sendall(b"GET /healthz HTTP/1.1\r\nX-Endless: ")
        with pytest.raises(ConnectionError):
            send_without_end(endless)
    assert shared.ready()


def test_a_second_one_on_the_same_folder_says_so_and_ends(shared: Up) -> None:
    second = run("up", "--port", "0", "--data-dir", str(shared.data))
    assert second.returncode == 1
    assert second.stdout == ""
    assert "already running" in second.stderr
    assert str(shared.process.pid) in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_that_is_taken_is_a_clear_refusal(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = run("up", "--port", str(port), "--data-dir", str(tmp_path / "data"))
    assert refused.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_told_to_stop_it_ends_everything_in_order_with_status_zero(own: Up) -> None:
    family = own.family()
    own.process.terminate()
    assert own.process.wait(PATIENCE_S) == 0
    assert not any(process.is_running() for process in family)
    assert not (own.data / "postgres" / "postmaster.pid").exists()


def test_killed_outright_it_leaves_nobody_behind_and_the_next_start_knows_everything(own: Up) -> None:
    receipt = own.post("kim")
    family = own.family()
    own.process.kill()
    own.process.wait(PATIENCE_S)
    assert psutil.wait_procs(family, timeout=PATIENCE_S)[1] == []
    own.start()
    assert own.post("kim") == receipt
    eventually(lambda: own.processed() == 1)
