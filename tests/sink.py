"""A mail server of a test: takes mail by real SMTP, counts it, and misbehaves where it is told to."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from aiosmtpd.smtp import SMTP

from tests.mailroom import read

if TYPE_CHECKING:
    from email.message import EmailMessage


class Sink:
    """
    Listens on a free port until it is left.

    `at` says what to do at a stage (`connect`, `ehlo`, `mail`, `rcpt`, `data`, `taken`): a reply to give instead,
    `stall` to say nothing, `drop` to hang up; once for each entry, in order, then all is well again. `taken` is after
    the mail was taken and before that is said.
    """

    def __init__(self, **at: list[str]) -> None:
        self.at = at
        self.taken: list[tuple[str, bytes]] = []
        self.connections = 0
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}?tls=none"

    @property
    def counted(self) -> Counter[str]:
        """How often each message id was taken."""
        with self._lock:
            return Counter(str(read(raw)["Message-ID"]).strip("<>").partition("@")[0] for _, raw in self.taken)

    @property
    def recipients(self) -> list[str]:
        with self._lock:
            return [to for to, _ in self.taken]

    @property
    def mails(self) -> list[EmailMessage]:
        with self._lock:
            return [read(raw) for _, raw in self.taken]

    def next(self, stage: str) -> str:
        """What is to be done at a stage now."""
        with self._lock:
            return self.at[stage].pop(0) if self.at.get(stage) else ""

    def take(self, to: str, raw: bytes) -> None:
        with self._lock:
            self.taken.append((to, raw))

    async def _open(self) -> None:
        self._server = await self._loop.create_server(lambda: _Session(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server:
            self._server.close()
        for task in asyncio.all_tasks(self._loop) - {asyncio.current_task(self._loop)}:
            task.cancel()
        await asyncio.sleep(0)


class _Handler:
    """What aiosmtpd asks at each stage."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def handle_EHLO(  # noqa: N802
        self,
        server: Any,  # noqa: ANN401
        session: Any,  # noqa: ANN401
        _: Any,  # noqa: ANN401
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        found = await self._do(server, "ehlo", "")
        return [found] if found else responses

    async def handle_MAIL(self, server: Any, _: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: ANN401, N802
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return await self._do(server, "mail", "250 OK")

    async def handle_RCPT(self, server: Any, _: Any, envelope: Any, address: str, __: list[str]) -> str:  # noqa: ANN401, N802
        found = await self._do(server, "rcpt", "250 OK")
        if found.startswith("250"):
            envelope.rcpt_tos.append(address)
        return found

    async def handle_DATA(self, server: Any, _: Any, envelope: Any) -> str:  # noqa: ANN401, N802
        found = await self._do(server, "data", "")
        if found:
            return found
        self._sink.take(envelope.rcpt_tos[0], envelope.original_content)
        return await self._do(server, "taken", "250 taken")

    async def _do(self, server: Any, stage: str, usual: str) -> str:  # noqa: ANN401
        what = self._sink.next(stage)
        if what == "stall":
            await asyncio.Event().wait()
        if what == "drop":
            server.transport.abort()
            await asyncio.Event().wait()
        return what or usual


class _Session(SMTP):
    def __init__(self, sink: Sink) -> None:
        super().__init__(_Handler(sink), hostname="sink.test", enable_SMTPUTF8=True, data_size_limit=None)
        self._sink = sink

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401
        self._sink.connections += 1
        match self._sink.next("connect"):
            case "drop":
                transport.abort()
            case "stall":
                return
            case "":
                super().connection_made(transport)
            case reply:
                transport.write(reply.encode() + b"\r\n")
                transport.close()

    def eof_received(self) -> bool | None:
        return super().eof_received() if self.session is not None else False

    def connection_lost(self, error: Exception | None) -> None:
        if self.session is not None:
            super().connection_lost(error)
