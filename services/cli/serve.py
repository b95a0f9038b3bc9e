"""The API as a process: uvicorn on a socket of its own or one handed down, with limits on what a client may send."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

    from starlette.applications import Starlette

_HEAD_BYTES: Final = 64 * 1024
_HEAD_S: Final = 15.0
_STOP_S: Final = 5
_BACKLOG: Final = 2048


class GuardedProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose request heads end: after 64 KiB or 15 s (a new connection's silence too) the connection does."""

    _head_bytes = 0
    _reading_head = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give a new connection its time to say something."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that has not ended, and give a head that came in part its time."""
        if self._reading_head and self._head_bytes > _HEAD_BYTES:
            self.transport.close()
            return
        super().data_received(data)
        if self._reading_head:
            self._head_bytes += len(data)
            if self._deadline is None:
                self._deadline = self.loop.call_later(_HEAD_S, self.transport.close)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        if not self._reading_head:
            self._reading_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """Hand the request on: its body has limits of its own."""
        self._head_came()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._reading_head, self._head_bytes = True, 0
        self._deadline = self.loop.call_later(_HEAD_S, self.transport.close)

    def _head_came(self) -> None:
        self._reading_head = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def serve(app: Starlette, *, host: str, port: int, descriptor: int | None = None) -> None:
    """Answer HTTP until SIGTERM or SIGINT, then finish what was begun (5 s at most)."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=GuardedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_STOP_S,
        backlog=_BACKLOG,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _done)  # uvicorn, having stopped, raises what it was stopped by once more
    handed_down = None if descriptor is None else [socket.socket(fileno=descriptor)]
    uvicorn.Server(config).run(sockets=handed_down)


def _done(*_: object) -> None:
    """Stopping was asked for and is done."""
