"""
The wire of SMTP and LMTP: one connection after the other, and where they come in.

A message ends at CR LF . CR LF and nowhere else; whatever else looks like an end is part of it. What is let in, and
what is answered, is the door's (`services/mail/door.py`).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP

from schema.errors import Permanent
from services.mail.door import Door, now

if TYPE_CHECKING:
    from aiosmtpd.smtp import Envelope

    from services.mail.secure import Certificate

_MOST_TURNED_DOWN: Final = 20
"""Recipients in a row that take no mail: whoever names more is guessing addresses."""
_MOST_COMMANDS: Final = {
    "*": 100_000,
    "AUTH": 3,
    "EHLO": 20,
    "HELO": 20,
    "HELP": 20,
    "LHLO": 20,
    "NOOP": 100,
    "STARTTLS": 2,
    "VRFY": 20,
}
"""In one connection, which is ended then; nobody keeps one for nothing."""
_LONGEST_COMMAND: Final = 1000
_MESSAGE_WAITS: Final = 10
"""A message may take so many times what a command may."""
_BACKLOG: Final = 512
_CHUNK_ENDS: Final = b".\r\n"
_END: Final = b"\r\n.\r\n"
log = structlog.get_logger()


class Strict(SMTP):
    """
    A connection that reads messages itself.

    In whole chunks, with an end that cannot be faked, and with lines of any length; aiosmtpd's own reading takes them
    line by line, refuses long ones, and keeps what has no line break in memory without bound.
    """

    event_handler: Door

    def __init__(self, door: Door, **settings: Any) -> None:  # noqa: ANN401 - of several types
        self.command_size_limits = defaultdict(lambda: _LONGEST_COMMAND)  # aiosmtpd shares one among all connections
        super().__init__(door, **settings)
        self._turned_down = 0
        self._peer: object = None
        self._entered = False
        self._refused = False
        self._held = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.transport is None:  # not again when it is secured
            self._peer = transport.get_extra_info("peername")
            self._entered = True
            if not self.event_handler.enter(self._peer) and isinstance(transport, asyncio.WriteTransport):
                self._refused = True
                transport.write(b"421 4.3.2 Too many connections; please try again later\r\n")
                transport.close()
                return
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._entered:
            return  # aiosmtpd tells it twice when TLS fails
        self._entered = False
        self.event_handler.leave(self._peer)
        if not self._refused:
            super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        return False if self._refused else super().eof_received()

    def _timeout_cb(self) -> None:
        """End it at once: closing would wait for a client that does not read, or that never secures the connection."""
        for transport in (self.transport, self._original_transport):
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
        self.connection_lost(None)  # nobody else tells it while TLS is being negotiated

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        try:
            arg.encode()  # what was not UTF-8
            return super()._getaddr(arg)  # type: ignore[no-any-return,no-untyped-call,unused-ignore]
        except Exception:  # noqa: BLE001 - the standard library's reader stumbles over some of what is no address
            return None, None

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        before = len(self.envelope.rcpt_tos) if self.envelope else 0
        await super().smtp_RCPT(arg)
        taken = self.envelope is not None and len(self.envelope.rcpt_tos) > before
        self._turned_down = 0 if taken else self._turned_down + 1
        if self._turned_down >= _MOST_TURNED_DOWN and self.transport is not None:
            await self.push("421 4.7.0 Too many recipients that take no mail")
            self.transport.close()  # type: ignore[attr-defined,unused-ignore]

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        if await self.check_helo_needed("LHLO" if isinstance(self, LMTP) else "HELO"):
            return
        if self.envelope is None or not self.envelope.rcpt_tos or arg:
            await self.push("501 5.5.4 Syntax: DATA" if arg else "503 5.5.1 Error: need RCPT command")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        before = self._held
        try:
            message = await self._message()
            answer = message if isinstance(message, str) else await self._stored(self.envelope, message)
            self._reset_timeout()
            await self.push(answer)
        finally:
            self._let_go(self._held - before)
        self._set_post_data_state()  # type: ignore[no-untyped-call]

    async def _stored(self, envelope: Envelope, message: bytes) -> str:
        """The answer to a whole message; the client is not to blame for how long that takes."""
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        envelope.original_content = message
        return await self.event_handler.handle_DATA(self, self.session, envelope)

    async def _message(self) -> bytes | str:
        """Read a message to its end, or return the answer that refuses it: then it is read and thrown away."""
        held = bytearray(b"\r\n")  # so that its first line begins as all others do
        refusal = ""
        patience_s = self.event_handler.limits.patience_s
        until = now() + patience_s * _MESSAGE_WAITS
        while not held.endswith(_END):
            self._reset_timeout(max(min(patience_s, until - now()), 0.001))
            try:
                chunk = await self._reader.readuntil(_CHUNK_ENDS)
            except asyncio.LimitOverrunError as more:
                chunk = await self._reader.read(more.consumed)
            held += chunk
            if not refusal:
                self._held += len(chunk)
                self.event_handler.held_bytes += len(chunk)
                refusal = self._too_much(len(held) - len(_END))
            if refusal:
                self._let_go(self._held)
                del held[: -len(_END)]
        if refusal:
            return self._of_each(refusal)
        return bytes(held[: 2 - len(_END)].replace(b"\r\n.", b"\r\n")[2:])

    def _of_each(self, answer: str) -> str:
        return answer

    def _too_much(self, size: int) -> str:
        if size > self.event_handler.limits.largest:
            return "552 5.3.4 The message is too large"
        if self.event_handler.held_bytes > self.event_handler.limits.memory:
            return "452 4.3.1 Too much is being received; please try again later"
        return ""

    def _let_go(self, size: int) -> None:
        self._held -= size
        self.event_handler.held_bytes -= size


class StrictLMTP(Strict, LMTP):
    """The same, with an answer for each recipient."""

    def _of_each(self, answer: str) -> str:
        return "\r\n".join([answer] * len(self.envelope.rcpt_tos)) if self.envelope else answer


async def listen(url: str, door: Door, certificate: Certificate | None = None) -> asyncio.Server:
    """
    Open the door at `smtp://host:port` or `lmtp://host:port`.

    Raises Permanent: `mail_listen_invalid`, `mail_logins_need_tls`, `port_taken`.
    """
    kind, host, port = place_of(url)
    if door.logins and not certificate:
        raise Permanent(
            "mail_logins_need_tls",
            "THROUGHLINE_MAIL_LOGINS is set, and passwords must not travel in the clear: set "
            "THROUGHLINE_MAIL_CERTIFICATE and THROUGHLINE_MAIL_CERTIFICATE_KEY too.",
        )
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # it would tell addresses
    loop = asyncio.get_running_loop()
    hostname = socket.gethostname()

    def connection() -> Strict:
        return kind(
            door,
            data_size_limit=door.limits.largest,
            enable_SMTPUTF8=True,
            hostname=hostname,
            ident="Throughline",
            tls_context=certificate.context() if certificate else None,
            timeout=door.limits.patience_s,
            auth_required=bool(door.logins),
            auth_exclude_mechanism=() if door.logins else ("LOGIN", "PLAIN"),
            authenticator=lambda _, session, __, ___, given: door.log_in(session, given),
            command_call_limit=_MOST_COMMANDS,
            loop=loop,
        )

    try:
        server = await loop.create_server(connection, host, port, backlog=_BACKLOG, reuse_address=True)
    except OSError as error:
        raise Permanent("port_taken", f"Cannot listen on {host}:{port} for mail: {error.strerror}.") from error
    log.info("mail.listening", port=server.sockets[0].getsockname()[1])
    return server


def place_of(url: str) -> tuple[type[Strict], str, int]:
    """Return what `THROUGHLINE_MAIL_LISTEN` means: the protocol, the host and the port."""
    mistake = Permanent(
        "mail_listen_invalid",
        "THROUGHLINE_MAIL_LISTEN is no place to listen. Write it as in smtp://127.0.0.1:8025 or lmtp://127.0.0.1:8024.",
    )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise mistake from None
    if parts.scheme not in _PROTOCOLS or not parts.hostname or parts.path not in {"", "/"}:
        raise mistake
    kind, usual = _PROTOCOLS[parts.scheme]
    return kind, parts.hostname, usual if port is None else port


_PROTOCOLS: Final[dict[str, tuple[type[Strict], int]]] = {"smtp": (Strict, 25), "lmtp": (StrictLMTP, 24)}
