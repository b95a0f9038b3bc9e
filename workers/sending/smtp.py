"""
One conversation with a mail server: connected once, used for many messages, one after the other.

Every stage has its time (RFC 5321, 4.5.3.2, a little shorter but for the last one). What goes wrong before the end of
the data was sent is certain: the message is not theirs, and can be tried again. What goes wrong after it is not.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from schema.failpoints import reached
from schema.mail.words import as_text
from workers.decide.sending import Answer
from workers.sending.transport import Accepted, NotTried, Outcome, Refused, Unsure

if TYPE_CHECKING:
    from schema.mailing.message import Written
    from workers.sending.transport import Server

log = structlog.get_logger()

_OK: Final = 250
_GO_ON: Final = 354
_LEAVING: Final = 421
_REFUSED_NOW: Final = range(400, 500)
_LONGEST_ANSWER: Final = 300
_MOST_MESSAGES: Final = 500
"""On one connection; then a fresh one, so that a server behind a balancer is chosen anew."""
_IDLE_S: Final = 30.0
_BREAK: Final = re.compile(rb"\r\n|\r|\n")
_DOT: Final = re.compile(rb"^\.", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that each stage may take: to connect and be greeted, a command, the data, and the answer to it."""

    connect: float = 20.0
    command: float = 60.0
    data: float = 180.0
    answer: float = 600.0


class Smtp:
    """A way out through one mail server. For one thread."""

    def __init__(self, server: Server, patience: Patience | None = None) -> None:
        self._server = server
        self._patience = patience or Patience()
        self._client: smtplib.SMTP | None = None
        self._sent = 0
        self._used_at = 0.0

    def hand_over(self, send_id: str, written: Written) -> Outcome:  # noqa: ARG002 - what the folder needs
        """Hand a message over, in the conversation that is open or a new one."""
        fresh = self._client is None
        outcome = self._try(written)
        if isinstance(outcome, NotTried) and outcome.reason == "smtp_connection_lost" and not fresh:
            outcome = self._try(written)  # it had been idle for too long
        return outcome

    def has(self, send_id: str) -> bool | None:  # noqa: ARG002
        """Nobody can know."""
        return None

    def close(self) -> None:
        """Say goodbye, without waiting long for an answer."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                if client.sock:
                    client.sock.settimeout(1.0)
                client.quit()
            with contextlib.suppress(OSError):
                client.close()

    def _try(self, written: Written) -> Outcome:
        try:
            client = self._open()
        except _Turned as turned:
            self._drop()
            return NotTried(turned.reason)
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            log.warning("send.server_away", error=type(error).__name__)
            return NotTried("smtp_unreachable")
        try:
            outcome = self._envelope(client, written)
            if outcome is None:
                return self._content(client, written)
        except (OSError, smtplib.SMTPException, ValueError):
            self._drop()
            return NotTried("smtp_connection_lost")
        self._after(client, outcome)
        return outcome

    def _open(self) -> smtplib.SMTP:
        if self._client and (self._sent >= _MOST_MESSAGES or time.monotonic() - self._used_at > _IDLE_S):
            self.close()
        if self._client is None:
            self._client = self._connect()
            self._sent = 0
        self._used_at = time.monotonic()
        return self._client

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        given: dict[str, Any] = {"local_hostname": server.name or None, "timeout": self._patience.connect}
        client: smtplib.SMTP = (
            smtplib.SMTP_SSL(server.host, server.port, context=ssl.create_default_context(), **given)
            if server.encrypted
            else smtplib.SMTP(server.host, server.port, **given)
        )
        self._client = client  # so that it is closed whatever happens
        if client.sock:
            # The end of the data travels by itself: else it waits, with many servers 40 ms, until the data was noted.
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.ehlo_or_helo_if_needed()
        if not server.encrypted and server.tls != "none":
            if client.has_extn("starttls"):
                client.starttls(context=_context(server))
                client.ehlo()
            elif server.tls == "required":
                raise _Turned("smtp_tls_missing")
        if server.password:
            try:
                client.login(server.user, server.password)
            except smtplib.SMTPAuthenticationError:
                raise _Turned("smtp_login_refused") from None
        return client

    def _envelope(self, client: smtplib.SMTP, written: Written) -> Outcome | None:
        """Say from whom and to whom; None: it may have the content."""
        if written.utf8 and not client.has_extn("smtputf8"):
            return Refused(Answer(553, "5.6.7 SMTPUTF8 is not spoken", "sender"), for_now=False)
        _give(client, self._patience.command)
        options = ["SMTPUTF8", "BODY=8BITMIME"] if written.utf8 else []
        if written.utf8:
            client.command_encoding = "utf-8"
        reached("deliver.before_mail_from")
        code, text = client.mail(written.sender, options)
        if code != _OK:
            return _refusal(code, text, "sender")
        code, text = client.rcpt(written.recipient)
        if code not in {_OK, _OK + 1}:
            return _refusal(code, text, "recipient")
        client.putcmd("data")
        code, text = client.getreply()
        return None if code == _GO_ON else _refusal(code, text, "recipient")

    def _content(self, client: smtplib.SMTP, written: Written) -> Outcome:
        """
        Send the content and wait for what is said to it.

        Until its last byte was handed to the system the server cannot have taken it: the end of the data is in it.
        """
        content = _stuffed(written.raw)
        _give(client, self._patience.data)
        try:
            client.send(content)
            reached("deliver.before_end_of_data")
        except (OSError, smtplib.SMTPException):
            self._drop()
            return NotTried("smtp_connection_lost")
        try:
            client.send(b".\r\n")
            reached("deliver.after_end_of_data")
            _give(client, self._patience.answer)
            code, text = client.getreply()
        except (OSError, smtplib.SMTPException, ValueError) as error:
            self._drop()
            late = isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
            return Unsure("answer_late" if late else "answer_lost")
        reached("deliver.after_answer")
        self._sent += 1
        self._used_at = time.monotonic()
        if code == _OK:
            return Accepted(str(code))
        if code == -1:
            self._drop()
            return Unsure("answer_lost")
        outcome = _refusal(code, text, "recipient")
        self._after(client, outcome)
        return outcome

    def _after(self, client: smtplib.SMTP, outcome: Outcome) -> None:
        """Make the conversation ready for the next message, or end it where the server does."""
        if isinstance(outcome, NotTried) or (isinstance(outcome, Refused) and outcome.answer.code == _LEAVING):
            self._drop()
            return
        try:
            _give(client, self._patience.command)
            client.rset()
        except (OSError, smtplib.SMTPException):
            self._drop()

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError):
                client.close()


class _Turned(Exception):
    """The server takes nothing from us; `reason` is a code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _context(server: Server) -> ssl.SSLContext:
    """Where encryption is only used if it is there, the certificate says nothing that a thief could not avoid."""
    context = ssl.create_default_context()
    if server.tls != "required":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _stuffed(raw: bytes) -> bytes:
    """The content as it travels: lines end in CRLF, and one that begins with a dot gets another (RFC 5321, 4.5.2)."""
    lines = _BREAK.sub(b"\r\n", raw)
    return _DOT.sub(b"..", lines if lines.endswith(b"\r\n") else lines + b"\r\n")


def _give(client: smtplib.SMTP, seconds: float) -> None:
    """Give the next stage its time."""
    if client.sock:
        client.sock.settimeout(seconds)


def _refusal(code: int, text: bytes, about: str) -> Outcome:
    """
    What a refusal means.

    One of the sender is about us, not about this message: everything has to wait until somebody has looked.
    """
    if code == -1:
        return NotTried("smtp_connection_lost")
    if about == "sender" and code not in _REFUSED_NOW:
        log.error("send.sender_refused", code=code)
        return NotTried("smtp_sender_refused")
    said = as_text(text)[:_LONGEST_ANSWER]
    return Refused(Answer(code, said, "recipient" if about == "recipient" else "sender"), code in _REFUSED_NOW)
