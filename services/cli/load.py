"""
The load: form posts of people who do not exist, sent over keep-alive connections by one thread.

Lean, so that it is not what is measured: requests are bytes before the clock starts, and each costs one `send`, one
`recv` and a few slices. Latency counts from the moment a request was due, not from when a connection was free for it:
a service that stalls is charged for everybody who would have come meanwhile.

Moments are seconds of the wall clock, because the database's commit times are compared with them.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from schema.errors import Transient

if TYPE_CHECKING:
    from collections.abc import Sequence

PATH: Final = "/f/website"
_SILENCE_S: Final = 30.0
_LARGEST_ANSWER: Final = 65536
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "
_RECEIPT: Final = b'"receipt":"'
_ID_LENGTH: Final = 36
_OK: Final = 200
_UNANSWERED: Final = 0

_FIRST, _LAST, _FIRMS = map(
    str.split,
    (
        "Ada Bilal Carla Deniz Elif Femi Greta Hugo Ines Jonas Kofi Lena Marek Nadia Oskar Priya",
        "Albrecht Brandt Costa Demir Eriksen Fischer Garcia Horvat Ivanova Jansen Keller Lindt Moreau",
        "Nordwerk Bluefield Kontor Lumina Hafenbau Silvaner Quellen Tectonia Ostwind Meridian Alpenrad",
    ),
)
_ENDINGS: Final = ("de", "com", "eu")
_COUNTRIES: Final = ("DE", "AT", "CH", "FR", "NL", "GB", "US", "ES")
_INTERESTS: Final = ("crm,automation", "reporting", "automation", "support,reporting", "onboarding,crm")
_CAMPAIGNS: Final = ("spring-launch", "webinar-automation", "brand", "retargeting-pricing")
_MESSAGE: Final = (
    "We are {size} people and look for a way to answer enquiries faster than we do today. "
    "Could somebody show us how {interest} works for a team like ours? Mornings suit us best."
)


def form(number: int) -> bytes:
    """Return the JSON body of person `number`: about 500 bytes; another number is another person."""
    firm = f"{_FIRMS[number // 4 % 11]} {number // 4}"
    first, last = _FIRST[number % 16], _LAST[number % 13]
    domain = f"{firm.replace(' ', '-')}.{_ENDINGS[number // 4 % 3]}"
    interest = _INTERESTS[number % 5]
    size = 5 + number * 37 % 900
    fields = {
        "name": f"{first} {last}",
        "email": f"{first}.{last}{number}@{domain}".lower(),
        "company": f"{firm} GmbH",
        "employees": str(size),
        "country": _COUNTRIES[number % 8],
        "interests": interest,
        "message": _MESSAGE.format(size=size, interest=interest),
        "utm_source": ("newsletter", "search", "social")[number % 3],
        "utm_medium": ("email", "cpc", "post")[number % 3],
        "utm_campaign": _CAMPAIGNS[number % 4],
    }
    if number % 2:
        fields["phone"] = f"+49 30 2{number % 10_000_000:07d}"
    return msgspec.json.encode(fields)


def posts(first: int, count: int, host: str) -> list[bytes]:
    """Return the whole HTTP requests of people `first` and the `count` - 1 after them."""
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
        "Accept: application/json\r\nAccept-Language: en,de;q=0.7\r\nContent-Length: "
    ).encode()
    bodies = map(form, range(first, first + count))
    return [b"%s%d%s%s" % (head, len(body), _HEAD_END, body) for body in bodies]


def schedule(start: float, count: int, rate: float) -> list[float]:
    """Return when each of `count` requests is due: evenly, `rate` a second, the first at `start`."""
    return [start + index / rate for index in range(count)]


@dataclass(slots=True)
class Outcome:
    """What became of each request, by its place in the list."""

    due: list[float]
    """When it was due; at full speed, when it was sent."""
    answered: list[float]
    """When its answer was read; 0 if it was not."""
    receipts: list[str]
    """The receipt it was acknowledged with; empty if it was not."""
    began: float = 0.0
    ended: float = 0.0
    cpu_s: float = 0.0
    """The generator's own."""
    refused: Counter[int] = field(default_factory=Counter)
    """How many were answered with something else than 200, by status; 0: not answered."""

    @property
    def acknowledged(self) -> list[str]:
        """The receipts that somebody was promised."""
        return [receipt for receipt in self.receipts if receipt]

    @property
    def accepted_per_s(self) -> float:
        """Acknowledged requests per second, from the first one's start to the last answer."""
        return len(self.acknowledged) / (self.ended - self.began)

    def accept_ms(self) -> list[float]:
        """Return milliseconds from due to acknowledged."""
        times = zip(self.due, self.answered, self.receipts, strict=True)
        return [(answered - due) * 1000 for due, answered, receipt in times if receipt]

    def due_by_receipt(self) -> dict[str, float]:
        """Return when each acknowledged request was due."""
        return {receipt: due for receipt, due in zip(self.receipts, self.due, strict=True) if receipt}


class Answer(NamedTuple):
    """A whole HTTP answer; `receipt` is empty unless it was acknowledged."""

    status: int
    receipt: str


def read_answer(data: bytes) -> Answer | None:
    """Read an HTTP answer with a Content-Length; None while some of it is still to come."""
    end = data.find(_HEAD_END)
    if end < 0:
        return None
    head = data[:end].lower() + b"\r"
    at = head.index(_LENGTH) + len(_LENGTH)
    if len(data) - end - len(_HEAD_END) < int(head[at : head.index(b"\r", at)]):
        return None
    status = int(data[9:12])
    if status != _OK:
        return Answer(status, "")
    place = data.index(_RECEIPT, end) + len(_RECEIPT)
    return Answer(status, data[place : place + _ID_LENGTH].decode())


@dataclass(slots=True)
class _Line:
    """One keep-alive connection and the request it carries."""

    socket: socket.socket
    index: int = -1
    partial: bytes = b""


class Load:
    """
    One run of `requests` against `address` (host, port), over so many connections.

    Without `rate` each connection sends its next request when the last was answered; with it requests are due at
    that rate whatever the service does. `outcome` fills while `run` is under way, so another thread may follow it.
    """

    def __init__(
        self,
        address: tuple[str, int],
        requests: Sequence[bytes],
        *,
        connections: int,
        rate: float | None = None,
    ) -> None:
        count = len(requests)
        self.outcome = Outcome([0.0] * count, [0.0] * count, [""] * count)
        self._address = address
        self._requests = requests
        self._connections = min(connections, count)
        self._rate = rate
        self._lines: dict[int, _Line] = {}
        self._free: list[_Line] = []
        self._next = 0
        self._epoll = select.epoll()

    def run(self) -> Outcome:
        """
        Send everything and read every answer.

        :raises Transient: `service_silent`, no answer for 30 seconds
        """
        with ExitStack() as stack:
            stack.callback(self._close)
            self._free = [self._connect() for _ in range(self._connections)]
            cpu = time.process_time()
            self.outcome.began = time.time()
            if self._rate:
                self.outcome.due[:] = schedule(self.outcome.began, len(self._requests), self._rate)
            self._exchange()
            self.outcome.ended = time.time()
            self.outcome.cpu_s = time.process_time() - cpu
        return self.outcome

    def _exchange(self) -> None:
        while self._next < len(self._requests) or len(self._free) < self._connections:
            self._send_due()
            self._hear()

    def _send_due(self) -> None:
        due, now = self.outcome.due, time.time()
        while self._free and self._next < len(self._requests) and due[self._next] <= now:
            line = self._free.pop()
            line.index = self._next
            self._next += 1
            if not self._rate:
                due[line.index] = now
            line.socket.sendall(self._requests[line.index])

    def _hear(self) -> None:
        patience = _SILENCE_S
        if self._free and self._next < len(self._requests):
            patience = max(self.outcome.due[self._next] - time.time(), 0)
        ready = self._epoll.poll(patience)
        if not ready and patience == _SILENCE_S:
            raise Transient("service_silent", f"The service did not answer for {_SILENCE_S:.0f} seconds.")
        for descriptor, _ in ready:
            self._read(self._lines[descriptor])

    def _read(self, line: _Line) -> None:
        try:
            data = line.socket.recv(_LARGEST_ANSWER)
        except ConnectionError:
            data = b""
        if not data:
            self._reconnect(line)
            return
        answer = read_answer(line.partial + data)
        if answer is None:
            line.partial += data
            return
        line.partial = b""
        self.outcome.answered[line.index] = time.time()
        self.outcome.receipts[line.index] = answer.receipt
        if not answer.receipt:
            self.outcome.refused[answer.status] += 1
        line.index = -1
        self._free.append(line)

    def _reconnect(self, line: _Line) -> None:
        """The service hung up: what the connection carried stays without an answer."""
        del self._lines[line.socket.fileno()]
        line.socket.close()
        if line.index >= 0:
            self.outcome.refused[_UNANSWERED] += 1
        else:
            self._free.remove(line)
        self._free.append(self._connect())

    def _connect(self) -> _Line:
        connection = socket.create_connection(self._address, timeout=_SILENCE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(True)  # with one request under way nothing blocks; a timeout would cost a poll per call
        line = _Line(connection)
        self._lines[connection.fileno()] = line
        self._epoll.register(connection, select.EPOLLIN)
        return line

    def _close(self) -> None:
        for line in self._lines.values():
            line.socket.close()
        self._epoll.close()
