"""
The way in as its users meet it: the real API over HTTP on a database of its own, and the steps run by hand.

    api_process   `throughline api` as a process, for what a client may do to it
    api_thread    the same application and protocol in a thread, with the patience a test asks for

A `Door` is a client of either: `post` for whole requests, `bare` for bytes on a socket.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

import uvicorn

from schema.journey import default_text
from schema.settings import Settings
from schema.store import clock
from schema.store.engine import make_engine
from services.api import keys
from services.api.app import create_app
from services.cli.serve import GuardedProtocol
from tests.servers import create_database, drop_database
from tests.spine import Spine, prepare
from workers.followups.by_hand import FollowUps
from workers.helpdesk.by_hand import TicketService
from workers.identity.merge import Merger
from workers.owners import Owners
from workers.retention.by_hand import Retention
from workers.sales.by_hand import Sales
from workers.satisfaction.answers import Answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from starlette.applications import Starlette

    from workers.runtime import Runtime

ROOT: Final = Path(__file__).parent.parent
SECRET: Final = "the secret of these tests"
HOME: Final = "https://shop.example"
FORM: Final = "/f/website"
LEADS: Final = "/v1/leads"
_PATIENCE_S: Final = 20.0
_MORE_SOURCES: Final = f"""\
  shop: {{kind: form, origins: ["{HOME}"], redirect: ["{HOME}/thanks", /done]}}
  old: {{kind: form, enabled: false}}
  old_api: {{kind: api, enabled: false}}
"""


def journey_text() -> str:
    """The default journey, with a form of each kind."""
    return default_text().replace("\nsources:\n", f"\nsources:\n{_MORE_SOURCES}", 1)


class Answer(NamedTuple):
    """What came back over HTTP; `closed`: the server ended the connection."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    closed: bool = False

    @property
    def json(self) -> Any:  # noqa: ANN401 - decoded JSON
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem, which must have the shape of one."""
        assert self.headers["Content-Type"] == "application/problem+json", (self.status, self.body[:300])
        problem = self.json
        assert {"type", "title", "status", "detail", "code"} <= problem.keys()
        assert problem["status"] == self.status
        return str(problem["code"])

    @property
    def receipts(self) -> list[str]:
        """The receipts of what was taken."""
        taken = self.json
        return list(taken["receipts"]) if "receipts" in taken else [taken["receipt"]]


@dataclass
class Door:
    """A client of the API, the database behind it, and the steps that go on from there."""

    address: tuple[str, int]
    spine: Spine
    key: str = ""
    process: subprocess.Popen[bytes] | None = None
    _runtime: Runtime | None = field(default=None, repr=False)

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def make_key(self, *scopes: str, expires_at: datetime | None = None) -> tuple[str, str]:
        """Make a key; answer its id and the key."""
        pepper = Settings(secret_key=SECRET).pepper()
        with self.spine.engine.begin() as connection:
            return keys.create(connection, pepper, scopes, clock.now(), expires_at=expires_at)

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Make one request; `content_type` is the header Content-Type, and so on."""
        return self.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection(*self.address, timeout=_PATIENCE_S)
        try:
            connection.request(method, path, body, dict(headers))
            return _read(connection.getresponse())
        finally:
            connection.close()

    def post(self, path: str, payload: object, **headers: str) -> Answer:
        """Post JSON, to `/v1/leads` with the key."""
        given = {"Content-Type": "application/json"} | (self.bearer if path.startswith(LEADS) else {})
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, json.dumps(payload).encode(), given)

    def bare(self, pieces: Sequence[bytes], *, half_close: bool = False) -> Answer | None:
        """Send bytes as they are; answer the first response, None if the server only hung up."""
        with socket.create_connection(self.address, timeout=_PATIENCE_S) as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:  # it was refused before all of it was sent
                pass
            return _first(connection)

    def good(self) -> Answer:
        """Post something that nothing is wrong with."""
        return self.post(FORM, {"email": f"{uuid4().hex}@example.com", "message": "Please call me back about prices."})

    def receipts(self) -> int:
        """How many receipts there are."""
        return int(self.spine.rows("SELECT count(*) AS count FROM receipt")[0]["count"])

    def settle(self, *receipt_ids: str) -> None:
        """Let the steps do everything that is due."""
        self._runtime = self._runtime or self.spine.runtime()
        self.spine.now = datetime.now(UTC)
        self.spine.run(self._runtime, ids=receipt_ids)

    def issues(self, receipt_id: str) -> set[str]:
        """The codes of what the touchpoint of a receipt says was odd about it."""
        (touchpoint,) = self.spine.rows("SELECT data FROM touchpoint WHERE id = :id", id=receipt_id)
        return {issue["code"] for issue in touchpoint["data"].get("issues", ())}


def _read(response: http.client.HTTPResponse) -> Answer:
    return Answer(response.status, response.headers, response.read(), bool(response.will_close))


def _first(connection: socket.socket) -> Answer | None:
    response = http.client.HTTPResponse(connection)
    try:
        response.begin()
        answer = _read(response)
        return answer._replace(closed=answer.closed and _at_end(connection))
    except (http.client.BadStatusLine, ConnectionError):
        return None
    finally:
        response.close()


def _at_end(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


@contextmanager
def house(server_url: str, document: str = "") -> Iterator[str]:
    """A database of its own with a journey: that of these tests, if no other is given."""
    name = f"door_{uuid4().hex[:12]}"
    url = create_database(server_url, name)
    try:
        prepare(url, document or journey_text())
        yield url
    finally:
        drop_database(server_url, name)


@contextmanager
def api_process(url: str, folder: Path, **settings: str) -> Iterator[Door]:
    """`throughline api` on the database; settings by name."""
    environment = os.environ | {
        "THROUGHLINE_DATABASE_URL": url,
        "THROUGHLINE_DATA_DIR": str(folder),
        "THROUGHLINE_SECRET_KEY": SECRET,
        "THROUGHLINE_LOG_FORMAT": "json",
        **{f"THROUGHLINE_{name.upper()}": value for name, value in settings.items()},
    }
    with socket.create_server(("127.0.0.1", 0)) as listener, (folder / "api.log").open("ab") as log:
        number = listener.fileno()
        command = [sys.executable, "-m", "services.cli.main", "api", "--fd", str(number)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=[number], stdout=log, stderr=log)
        try:
            with door(listener.getsockname(), url, process) as client:
                yield client
        finally:
            process.terminate()
            process.wait()


@contextmanager
def api_thread(
    url: str,
    *,
    max_waiting: int = 4000,
    patience_s: float = 5.0,
    body_within_s: float = 10.0,
) -> Iterator[Door]:
    """The application in a thread; it never has the patience for more than the test asks."""
    settings = Settings(database_url=url, secret_key=SECRET, max_waiting=max_waiting)
    app = create_app(
        settings,
        url,
        on_received=lambda _: None,
        move=_nobody_moves,
        migrate=_nobody_migrates,
        owners=Owners(make_engine(url, name="owners"), lambda *_: None),
        enrol=_nobody_enrols,
        follow=_nobody_enrols,
        merger=Merger(make_engine(url, name="merger"), lambda *_: None),
        follow_ups=FollowUps(make_engine(url, name="follow-ups"), lambda *_: None),
        sales=Sales(make_engine(url, name="sales"), lambda *_: None),
        retention=Retention(make_engine(url, name="retention"), lambda *_: None),
        tickets=TicketService(make_engine(url, name="tickets"), lambda *_: None),
        surveys=Answers(make_engine(url, name="surveys"), lambda *_: None),
        outlook=_nobody_asks,
        recalculate=_nobody_migrates,
        patience_s=patience_s,
        body_within_s=body_within_s,
    )
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        _serving(app, listener),
        door(listener.getsockname(), url) as client,
    ):
        yield client


@contextmanager
def _serving(app: Starlette, listener: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(
        app, loop="uvloop", http=GuardedProtocol, ws="none", lifespan="on", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener.dup()]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def door(address: tuple[str, int], url: str, process: subprocess.Popen[bytes] | None = None) -> Iterator[Door]:
    """A client with a key that may post and read."""
    spine = Spine(url)
    try:
        client = Door(address, spine, process=process)
        _, client.key = client.make_key("leads:write", "leads:read")
        yield client
    finally:
        spine.close()


def _nobody_asks(*_: object) -> dict[str, Any]:
    raise AssertionError("these tests ask for no score")


def _nobody_migrates(*_: object, **__: object) -> dict[str, Any]:
    raise AssertionError("these tests migrate no lead")


def _nobody_enrols(*_: object, **__: object) -> dict[str, Any]:
    raise AssertionError("these tests enrol nobody")


def _nobody_moves(*_: str) -> dict[str, Any]:
    raise AssertionError("these tests move no lead")
