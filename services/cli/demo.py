"""
`throughline demo`: the whole service for a minute, with invented leads, in a folder that is gone afterwards.

Starts `throughline up` as anybody would, makes a key, sends what `demo.yaml` says over HTTP, waits until every lead is
settled, compares what became of them with what `demo.yaml` expects, and shows their way. Whatever is not as expected
ends it with exit status 1 and says what it was.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import typer

from schema.errors import Permanent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

_START_S: Final = 120.0
_SETTLE_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.1
_NEXT: Final = """\
[bold]Where to look next[/]
  make run                                    the same service, staying up
  http://127.0.0.1:8080/docs                  its HTTP API, while it runs
  throughline leads list                      who is where; leads why ID says why
  throughline kpi list                        every figure and its target
  throughline journey show --yaml > my.yaml   the journey they took: change it
  throughline journey activate my.yaml        and switch it on
"""
_SCOPES: Final = "leads:read,leads:write,events:read,ops:read,kpis:read,journeys:read"
_FIGURES: Final = ("arrivals", "qualification_rate", "conversion", "detection_time", "open_opportunities")
"""What the demo shows of all KPIs: those of which it has something."""
_DIAGRAM: Final = "throughline-demo.svg"


@dataclass
class Arrival:
    """One entry of `demo.yaml`, and what came of it."""

    title: str
    to: str
    answer: int
    later: bool = False
    browser: bool = False
    form: dict[str, str] = field(default_factory=dict)
    json: dict[str, Any] = field(default_factory=dict)
    same_as: int = 0
    becomes: dict[str, str] = field(default_factory=dict)
    receipt_id: str = ""
    receipt: dict[str, Any] = field(default_factory=dict)
    lead: dict[str, Any] = field(default_factory=dict)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Run")(demo)


def demo() -> None:
    """
    Show what Throughline does: sample leads go the whole way, then everything is removed again.

    Needs nothing, and leaves nothing but a diagram in the folder for temporary files; takes about ten seconds.
    Example: throughline demo
    """
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="throughline-demo-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # then too everything is removed
    try:
        with _service(folder) as api:
            up_s = time.monotonic() - started
            arrivals = _arrivals()
            sending = time.monotonic()
            for number, arrival in enumerate(arrivals):
                if arrival.later:
                    _wait_until_settled(api, arrivals[:number])
                _send(api, arrival, arrivals)
            _wait_until_settled(api, arrivals)
            way_s = time.monotonic() - sending
            _compare(api, arrivals)
            _wait_until_counted(api, arrivals)
            _show(api, arrivals, up_s, way_s)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"Stopped and removed. {time.monotonic() - started:.0f} s in all.")


# -- the service -------------------------------------------------------------------------------------------------------


class Api:
    """The running service, as a client sees it."""

    def __init__(self, address: str, key: str) -> None:
        self.address = address
        self._host = urlsplit(address).netloc
        self._key = key

    def get(self, path: str) -> dict[str, Any]:
        """Return what is there. Raises Permanent when the answer is not 200."""
        status, answer = self.ask("GET", path)
        if status != http.HTTPStatus.OK:
            raise Permanent("demo_failed", f"GET {path} was answered with {status}: {answer.get('code')}.")
        return answer

    def picture(self, path: str) -> bytes:
        """Return a picture that is there. Raises Permanent when the answer is none."""
        status, kind, content = self._asked("GET", path)
        if status != http.HTTPStatus.OK or "svg" not in kind:
            raise Permanent("demo_failed", f"GET {path} was answered with {status}, and is no picture.")
        return content

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON of an answer (nothing where it is something else)."""
        status, kind, content = self._asked(method, path, body, headers)
        return status, json.loads(content) if "json" in kind else {}

    def _asked(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection(self._host, timeout=20)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {self._key}"} | (headers or {}))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        return answer.status, answer.headers.get("Content-Type", ""), content


@contextmanager
def _service(folder: Path) -> Iterator[Api]:
    """Run `throughline up` on a fresh folder as a child that never outlives us."""
    from services.embedded import die_with_parent

    print("Starting the service in a fresh folder: database, API, workers …", flush=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            _command("up", "--port", "0", "--data-dir", str(folder / "data")),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            process_group=0,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one system call, bound before the fork
        )
    try:
        address = _address(process)
        yield Api(address, _key(folder))
    except (Permanent, OSError, http.client.HTTPException):
        print(_last_lines(folder / "log"), file=sys.stderr)
        raise
    finally:
        process.terminate()
        process.wait()


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "services.cli.main", *arguments]


def _environment() -> dict[str, str]:
    """The defaults, whatever is configured for the real thing."""
    import services

    kept = {name: value for name, value in os.environ.items() if not name.startswith("THROUGHLINE_")}
    packages = str(Path(services.__path__[0]).parent)
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, [packages, kept.get("PYTHONPATH")]))}


def _address(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    answered, _, _ = select.select([process.stdout], [], [], _START_S)
    line = process.stdout.readline().decode() if answered else ""
    if not line.startswith("ready "):
        raise Permanent("demo_failed", "The service did not start; the end of its log stands above.")
    return line.removeprefix("ready ").strip()


def _key(folder: Path) -> str:
    made = subprocess.run(
        _command(
            "keys", "create", "--scopes", _SCOPES, "--label", "demo", "--json", "--data-dir", str(folder / "data")
        ),
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if made.returncode:
        raise Permanent("demo_failed", f"No key could be made: {made.stderr.decode(errors='replace').strip()}")
    return str(json.loads(made.stdout)["key"])


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


# -- what is sent, and what has to become of it ------------------------------------------------------------------------


def _arrivals() -> list[Arrival]:
    import yaml

    text = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    return [Arrival(**entry) for entry in yaml.safe_load(text)]


def _send(api: Api, arrival: Arrival, arrivals: list[Arrival]) -> None:
    """Post an arrival; note its receipt, also where only the second post of the same is told of it."""
    if arrival.json:
        body, kind = json.dumps(arrival.json).encode(), "application/json"
    else:
        body, kind = urlencode(arrival.form).encode(), "application/x-www-form-urlencoded"
    accept = "text/html,application/xhtml+xml" if arrival.browser else "*/*"
    status, answer = api.ask("POST", arrival.to, body, {"Content-Type": kind, "Accept": accept})
    if status != arrival.answer:
        told = answer.get("code", "no code")
        raise Permanent("demo_failed", f"{arrival.title}: answered with {status} ({told}), not {arrival.answer}.")
    arrival.receipt_id = answer.get("receipt") or next(iter(answer.get("receipts", [])), "")
    if arrival.same_as:
        first = arrivals[arrival.same_as - 1]
        first.receipt_id = first.receipt_id or arrival.receipt_id


def _wait_until_settled(api: Api, arrivals: list[Arrival]) -> None:
    """Read receipts and leads until nothing is owed any more."""
    started = time.monotonic()
    while waiting := [arrival.title for arrival in arrivals if not _settled(api, arrival)]:
        if time.monotonic() - started > _SETTLE_S:
            raise Permanent("demo_failed", f"Not settled after {_SETTLE_S:.0f} s: {'; '.join(waiting)}.")
        time.sleep(_LOOK_EVERY_S)


def _settled(api: Api, arrival: Arrival) -> bool:
    arrival.receipt = api.get(f"/v1/receipts/{arrival.receipt_id}")
    if arrival.receipt["status"] == "pending":
        return False
    if not arrival.receipt["lead_id"]:
        return True
    arrival.lead = api.get(f"/v1/leads/{arrival.receipt['lead_id']}")
    return arrival.lead["next_step"] is None


def _wait_until_counted(api: Api, arrivals: list[Arrival]) -> None:
    """Wait until every lead is in the figures."""
    leads = len({arrival.lead["id"] for arrival in arrivals if arrival.lead})
    started = time.monotonic()
    while (counted := api.get("/v1/kpis/arrivals")["items"][0]["value"]) != leads:
        if time.monotonic() - started > _SETTLE_S:
            raise Permanent("demo_failed", f"After {_SETTLE_S:.0f} s {counted} of {leads} leads are counted.")
        time.sleep(_LOOK_EVERY_S)


def _compare(api: Api, arrivals: list[Arrival]) -> None:
    """Compare with what `demo.yaml` says, and the number of receipts with the number of different arrivals."""
    wrong = [difference for arrival in arrivals for difference in _differences(api, arrival, arrivals)]
    account = api.get("/v1/ops/account")
    received = sum(source["received"] for source in account["sources"])
    different = sum(not arrival.same_as for arrival in arrivals)
    if (received, account["unaccounted"]) != (different, 0):
        wrong.append(f"{received} receipts for {different} arrivals, {account['unaccounted']} unaccounted for")
    if wrong:
        raise Permanent("demo_failed", "Not as it should be:\n  " + "\n  ".join(wrong))


def _differences(api: Api, arrival: Arrival, arrivals: list[Arrival]) -> Iterator[str]:
    if arrival.same_as and arrival.receipt_id != arrivals[arrival.same_as - 1].receipt_id:
        yield f"{arrival.title}: it got a receipt of its own"
    found = _became(api, arrival)
    for name, wanted in arrival.becomes.items():
        if found.get(name) != wanted:
            yield f"{arrival.title}: {name} is {found.get(name)}, not {wanted}"


def _became(api: Api, arrival: Arrival) -> dict[str, Any]:
    found = {"status": arrival.receipt["status"], "reason": arrival.receipt["reason"]}
    if lead := arrival.lead:
        moves = _moves(api, lead["id"])
        found |= {"state": lead["state"], "grade": lead["score"]["grade"], "pool": lead["pool"]}
        found["reason"] = moves[-1]["data"]["reason"] if moves else None
    return found


def _moves(api: Api, lead_id: str) -> list[dict[str, Any]]:
    return [item for item in api.get(f"/v1/leads/{lead_id}/timeline")["items"] if item["kind"] == "transition"]


# -- what is shown -----------------------------------------------------------------------------------------------------


def _show(api: Api, arrivals: list[Arrival], up_s: float, way_s: float) -> None:
    from services.cli.terminal import console

    out = console()
    leads = list({arrival.lead["id"]: arrival.lead for arrival in arrivals if arrival.lead}.values())
    _show_arrivals(out, arrivals)
    _show_leads(out, api, leads)
    _show_reasons(out, api, leads)
    _show_events(out, api, leads)
    _show_figures(out, api)
    different = len({arrival.receipt_id for arrival in arrivals})
    out.print(
        "[bold green]Everything arrived once and is accounted for.[/]\n"
        f"{len(arrivals)} posts, {different} receipts, {len(leads)} leads, 0 unaccounted. "
        f"Start {up_s:.1f} s, all ways {way_s:.1f} s.\n"
    )
    out.print(_NEXT)


def _show_arrivals(out: Console, arrivals: list[Arrival]) -> None:
    table = _table("What arrived", "", "arrival", "posted to", "became")
    for number, arrival in enumerate(arrivals, 1):
        receipt = arrival.receipt
        became = f"the same receipt as {arrival.same_as}" if arrival.same_as else receipt["status"]
        reason = "" if arrival.same_as or not receipt["reason"] else f": {receipt['reason']}"
        table.add_row(str(number), arrival.title, f"{arrival.to}  {arrival.answer}", f"{became}{reason}")
    out.print(table)


def _show_leads(out: Console, api: Api, leads: list[dict[str, Any]]) -> None:
    table = _table("Where the leads are", "lead", "way", "score", "owner")
    for lead in leads:
        score = lead["score"]
        owner = f"{lead['owner']} (pool {lead['pool']})" if lead["owner"] else "nobody"
        points = "none" if score["total"] is None else f"{score['total']} {score['grade'] or ''}"
        table.add_row(_who(lead), _way(api, lead), points, owner)
    out.print(table)


def _way(api: Api, lead: dict[str, Any]) -> str:
    """Return the states a lead went through, each with the move that led there and its reason."""
    moves = [move["data"] | {"name": move["name"]} for move in _moves(api, lead["id"])]
    way = moves[0]["from_state"] if moves else lead["state"]
    for move in moves:
        reason = f": {move['reason']}" if move["reason"] else ""
        way += f" → {move['to_state']} ({move['name']}{reason})"
    return str(way)


def _show_reasons(out: Console, api: Api, leads: list[dict[str, Any]]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    out.print(Text("Why", "bold"))
    for number, lead in enumerate(leads):
        out.print(Padding(Text(_who(lead), "cyan"), (1, 0, 0, 2)))
        for decision in api.get(f"/v1/leads/{lead['id']}/why")["decisions"]:
            out.print(Padding(_hanging(decision["step"], decision["text"]), (0, 0, 0, 4)))
            for sentence in decision["because"] if number == 0 else ():  # in full for one, for the others in short
                out.print(Padding(_hanging("", sentence, "dim"), (0, 0, 0, 4)))
    out.print()


def _hanging(label: str, sentence: str, style: str = "") -> Any:  # noqa: ANN401 - rich is imported when it is needed
    """Return a sentence that wraps under itself, beside its label."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=0)
    grid.add_column(width=9)
    grid.add_row(label, Text(sentence, style))
    return grid


def _show_events(out: Console, api: Api, leads: list[dict[str, Any]]) -> None:
    from rich.text import Text

    events = api.get("/v1/events?limit=1000")["events"]
    table = _table("What others were told (events)", "type", "how often")
    for kind, count in Counter(event["type"] for event in events).most_common():
        table.add_row(kind, str(count))
    out.print(table)
    first = [event for event in events if event["subject"] == leads[0]["id"]]
    told = ", ".join(f"{event['sequence']} {_short(event['type'])}" for event in first)
    out.print(Text(f"Of {_who(leads[0])}, in order: {told}\n"))


def _show_figures(out: Console, api: Api) -> None:
    """Show some KPIs, and write the diagram with what happened on it."""
    from rich.text import Text

    from schema.kpi import spoken

    table = _table("What it comes to (figures)", "figure", "of", "value", "sample")
    for name in _FIGURES:
        told = api.get(f"/v1/kpis/{name}")
        for figure in told["items"]:
            of = " ".join(figure["part"].values())
            table.add_row(told["title"], of, spoken.value(told["unit"], figure["value"]), str(figure["sample"]))
    out.print(table)
    picture = Path(tempfile.gettempdir()) / _DIAGRAM
    picture.write_bytes(api.picture("/v1/diagrams/state.svg?overlay=live"))
    out.print(Text(f"The journey with these figures, as a diagram: {picture}\n"))


def _short(kind: str) -> str:
    return kind.removeprefix("throughline.").removesuffix(".v1")


def _who(lead: dict[str, Any]) -> str:
    from services.cli.terminal import plain

    person = lead["person"]
    return plain(", ".join(filter(None, (person["name"], person["company"]))))


def _table(title: str, *columns: str) -> Any:  # noqa: ANN401 - rich is imported when it is needed
    from rich import box
    from rich.table import Table

    return Table(
        *columns,
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 2, 0, 0),
        pad_edge=False,
    )
