"""
Mail that is handed over by SMTP or LMTP: from the wire into receipts.

    takes      mail for the addresses of the sources of kind `email`, plus-addresses included; others are unknown (550)
    answers    250 when the receipt is committed, 451 when it cannot be: the sender keeps it and comes again
    limits     before anything is read: connections, time, size, recipients, memory, mails of one sender in a minute
    keeps      the bytes as they came, and who sent them to whom; a mail to two sources is two receipts

A message ends at CR LF . CR LF and nowhere else; whatever else looks like an end is part of it. The same mail again is
the same receipt. Nothing is relayed and nothing is ever answered by mail.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import socket
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP

from schema import payload
from schema.errors import Permanent
from schema.mail.address import lead_of, mailbox_of
from schema.mail.read import ENVELOPE_FROM, ENVELOPE_TO, LEAD
from services.mail.rate import Buckets
from services.receive import Arrival, Submission

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiosmtpd.smtp import Envelope, Session

    from services.receive import Receiver
    from services.sources import Sources

LARGEST: Final = 20 * 1024 * 1024
CONTENT_TYPE: Final = "message/rfc822"
_MOST_CONNECTIONS: Final = 500
_MOST_RECIPIENTS: Final = 100
_HELD_BYTES: Final = 256 * 1024 * 1024
"""Of all messages that are being handed over at one time."""
_COMMAND_S: Final = 60.0
_MESSAGE_S: Final = 180.0
_BACKLOG: Final = 512
_LONGEST_ADDRESS: Final = 500
_CHUNK_ENDS: Final = b".\r\n"
_END: Final = b"\r\n.\r\n"
_NOBODY: Final = "<>"
_LATER: Final = "451 4.3.0 It cannot be stored at the moment; please try again later"
_BUSY: Final = "451 4.7.1 Too many messages; please try again later"

log = structlog.get_logger()


def submission_of(source: str, body: bytes, headers: dict[str, str]) -> Submission:
    """A mail as a submission: the same bytes for the same source are the same mail, however often they are sent."""
    arrival = Arrival(source, "email", CONTENT_TYPE, body, headers)
    key = f"mail {hashlib.sha256(body).hexdigest()}"
    return Submission([arrival], secrets.token_hex(16), key, joins=True)


class Door:
    """
    Decides what is let in, and has it stored: the hooks that aiosmtpd calls.

    `pepper` checks the plus-addresses of leads; `per_minute` limits each sender.
    """

    def __init__(self, receiver: Receiver, sources: Sources, pepper: bytes, *, per_minute: int, lmtp: bool) -> None:
        self._receiver = receiver
        self._sources = sources
        self._pepper = pepper
        self._senders = Buckets(per_minute)
        self._recipients = Buckets(per_minute * 10)
        self._lmtp = lmtp
        self.connections = 0
        self.held_bytes = 0

    async def handle_MAIL(  # noqa: N802 - the hook's own name
        self, _: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not self._senders.take(_mailbox(address) if address != _NOBODY else f"<> {_peer(session)}", _now()):
            return _BUSY
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, _: SMTP, __: Session | None, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= _MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        if not self._sources.known:
            return _LATER
        name = self._source_of(address)
        if name is None:
            return "550 5.1.1 There is no such mailbox here"
        source = self._sources.find(name)
        if source is None or not source.enabled:
            return "450 4.2.1 This mailbox takes no mail at the moment"
        if not self._recipients.take(name, _now()):
            return _BUSY
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _: SMTP, __: Session | None, envelope: Envelope) -> str:  # noqa: N802
        body = bytes(envelope.original_content or b"")
        sender = "" if envelope.mail_from in {None, _NOBODY} else str(envelope.mail_from)
        recipients: dict[str, list[str]] = defaultdict(list)
        for address in envelope.rcpt_tos:
            recipients[self._source_of(address) or ""].append(address)
        stored = await asyncio.gather(*(self._store(name, body, sender, to) for name, to in recipients.items()))
        fates = dict(zip(recipients, stored, strict=True))
        if self._lmtp:
            return "\r\n".join(_answer(fates[self._source_of(to) or ""]) for to in envelope.rcpt_tos)
        return _answer(all(stored))

    async def handle_exception(self, error: Exception) -> str:
        log.error("mail.failed", exc_info=error)
        return _LATER

    async def _store(self, source: str, body: bytes, sender: str, recipients: Sequence[str]) -> bool:
        headers = {
            ENVELOPE_FROM: payload.without_controls(sender)[:_LONGEST_ADDRESS],
            ENVELOPE_TO: payload.without_controls(", ".join(recipients))[: _LONGEST_ADDRESS * 4],
        }
        if lead := next(filter(None, (lead_of(self._pepper, mailbox_of(to)[1]) for to in recipients)), None):
            headers[LEAD] = lead
        if not source:
            return False  # switched off since it was named
        try:
            await self._receiver.receive(submission_of(source, body, headers))
        except Exception as error:
            log.warning("mail.not_stored", source=source, exc_info=error)
            return False
        return True

    def _source_of(self, address: str) -> str | None:
        wanted = _mailbox(address)
        for name, source in self._sources.of_kind("email"):
            if source.address and mailbox_of(source.address)[0] == wanted:
                return name
        return None


def _answer(stored: bool) -> str:  # noqa: FBT001 - a fate
    return "250 2.0.0 OK" if stored else _LATER


def _mailbox(address: str) -> str:
    return mailbox_of(address.encode("utf-8", "replace").decode())[0]


def _now() -> float:
    return asyncio.get_running_loop().time()


def _peer(session: Session) -> str:
    peer: Any = session.peer
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


class _Strict(SMTP):
    """
    A connection that reads messages itself.

    In whole chunks, with an end that cannot be faked, and with lines of any length; aiosmtpd's own reading takes them
    line by line, refuses long ones, and keeps what has no line break in memory without bound.
    """

    event_handler: Door
    _refused = False
    _held = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.transport is None:
            self.event_handler.connections += 1
            if self.event_handler.connections > _MOST_CONNECTIONS and isinstance(transport, asyncio.WriteTransport):
                self._refused = True
                transport.write(b"421 4.3.2 Too many connections; please try again later\r\n")
                transport.close()
                return
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.event_handler.connections -= 1
        if not self._refused:
            super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        return False if self._refused else super().eof_received()

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        if await self.check_helo_needed("LHLO" if isinstance(self, LMTP) else "HELO"):
            return
        if self.envelope is None or not self.envelope.rcpt_tos or arg:
            await self.push("501 5.5.4 Syntax: DATA" if arg else "503 5.5.1 Error: need RCPT command")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        self._reset_timeout(_MESSAGE_S)
        before = self._held
        try:
            message = await self._message()
            if isinstance(message, str):
                await self.push(message)
            else:
                self.envelope.original_content = message
                await self.push(await self.event_handler.handle_DATA(self, self.session, self.envelope))
        finally:
            self._let_go(self._held - before)
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        self._reset_timeout()

    async def _message(self) -> bytes | str:
        """Read a message to its end, or return the answer that refuses it: then it is read and thrown away."""
        held = bytearray(b"\r\n")  # so that its first line begins as all others do
        refusal = ""
        while not held.endswith(_END):
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
        return refusal or bytes(held[: 2 - len(_END)].replace(b"\r\n.", b"\r\n")[2:])

    def _too_much(self, size: int) -> str:
        if size > LARGEST:
            return "552 5.3.4 The message is too large"
        if self.event_handler.held_bytes > _HELD_BYTES:
            return "452 4.3.1 Too much is being received; please try again later"
        return ""

    def _let_go(self, size: int) -> None:
        self._held -= size
        self.event_handler.held_bytes -= size


class _StrictLMTP(_Strict, LMTP):
    """The same, with an answer for each recipient."""


async def listen(url: str, door: Door) -> asyncio.Server:
    """
    Open the door at `smtp://host:port` or `lmtp://host:port`.

    Raises Permanent: `mail_listen_invalid`, `port_taken`.
    """
    kind, host, port = place_of(url)
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # it would tell addresses
    loop = asyncio.get_running_loop()
    hostname = socket.gethostname()

    def connection() -> _Strict:
        return kind(
            door,
            data_size_limit=LARGEST,
            enable_SMTPUTF8=True,
            hostname=hostname,
            ident="Throughline",
            timeout=_COMMAND_S,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            loop=loop,
        )

    try:
        server = await loop.create_server(connection, host, port, backlog=_BACKLOG, reuse_address=True)
    except OSError as error:
        raise Permanent("port_taken", f"Cannot listen on {host}:{port} for mail: {error.strerror}.") from error
    log.info("mail.listening", port=server.sockets[0].getsockname()[1])
    return server


def place_of(url: str) -> tuple[type[_Strict], str, int]:
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


_PROTOCOLS: Final[dict[str, tuple[type[_Strict], int]]] = {"smtp": (_Strict, 25), "lmtp": (_StrictLMTP, 24)}
