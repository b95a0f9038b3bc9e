"""
A proxy before PostgreSQL that cuts a connection at the worst moment: after a commit, before its answer.

`cut(after)` arms it once: the next time a client sends something that contains `after`, the server gets it and does it,
but its answer is thrown away and both ends are closed. The client cannot know whether it was committed.
"""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from sqlalchemy.engine import make_url

from tests.rig import until

if TYPE_CHECKING:
    from pathlib import Path

_SOCKET = ".s.PGSQL.5432"
_CHUNK = 1 << 16


class Proxy:
    """Listens on a socket in `folder` and forwards to the server that `url` names by its socket folder."""

    def __init__(self, folder: Path, url: str) -> None:
        parsed = make_url(url)
        host = parsed.query["host"]
        assert isinstance(host, str)
        self._server = f"{host}/{_SOCKET}"
        self.url = parsed.set(query={**parsed.query, "host": str(folder)}).render_as_string(hide_password=False)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / _SOCKET))
        self._listener.listen(64)
        self._armed = b""
        self._lock = threading.Lock()
        self.cuts = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cut(self, after: bytes) -> None:
        """Arm it."""
        with self._lock:
            self._armed = after

    def was_cut(self, times: int, who: str) -> None:
        """Wait until it has cut so many connections."""
        until(lambda: self.cuts >= times, f"{who} was cut off {times} times")

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, selectors.DefaultSelector() as ready, suppress(OSError):
            server.connect(self._server)
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in ready.select():
                    chunk = key.fileobj.recv(_CHUNK)  # type: ignore[union-attr]
                    if not chunk:
                        return
                    key.data.sendall(chunk)
                    if key.fileobj is client and self._taken(chunk):
                        server.recv(_CHUNK)  # it is done; nobody will hear of it
                        return

    def _taken(self, chunk: bytes) -> bool:
        with self._lock:
            if not self._armed or self._armed not in chunk:
                return False
            self._armed = b""
            self.cuts += 1
            return True
