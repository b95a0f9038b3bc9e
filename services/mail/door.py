"""
What is let in of the mail that is handed over by SMTP or LMTP, and what becomes of it: receipts.

    takes      mail for the addresses of the sources of kind `email`, plus-addresses included; others are unknown (550)
    answers    250 when the receipt is committed, 451 when it cannot be: the sender keeps it and comes again
    limits     before anything is read: connections, time, size, recipients, memory, mails of a sender, an address and
               a client in a minute (`Limits`)
    keeps      the bytes as they came, and who sent them to whom; a mail to two sources is two receipts

The same mail again is the same receipt. Nothing is relayed and nothing is ever answered by mail.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import secrets
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog
from aiosmtpd.smtp import AuthResult

from schema import payload
from schema.mail.address import lead_of, mailbox_of
from schema.mail.read import ENVELOPE_FROM, ENVELOPE_TO, LEAD
from services.mail.rate import Buckets
from services.receive import Arrival, Overloaded, Submission

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiosmtpd.smtp import SMTP, Envelope, Session

    from schema.settings import Settings
    from services.mail.secure import Logins
    from services.receive import Receiver
    from services.sources import Sources

CONTENT_TYPE: Final = "message/rfc822"
_MOST_RECIPIENTS: Final = 100
_WAITS_S: Final = 20.0
_PAUSE_S: Final = 0.1
"""For room among the arrivals that wait to be stored."""
_LOGINS_PER_MINUTE: Final = 20
_LONGEST_ADDRESS: Final = 500
_NOBODY: Final = "<>"
_IPV4: Final = 4
_LATER: Final = "451 4.3.0 It cannot be stored at the moment; please try again later"
_BUSY: Final = "451 4.7.1 Too many messages; please try again later"

log = structlog.get_logger()


def submission_of(source: str, body: bytes, headers: dict[str, str]) -> Submission:
    """A mail as a submission: the same bytes for the same source are the same mail, however often they are sent."""
    arrival = Arrival(source, "email", CONTENT_TYPE, body, headers)
    key = f"mail {hashlib.sha256(body).hexdigest()}"
    return Submission([arrival], secrets.token_hex(16), key, joins=True)


class Limits(NamedTuple):
    """
    How much is let in.

    Bytes of one mail, and of all that are being handed over at one time; connections, and those of one client; seconds
    without a word; mails of one sender in a minute (a recipient and a client: ten times as many).
    """

    largest: int
    memory: int
    connections: int
    per_client: int
    patience_s: float
    per_minute: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """What an installation has set."""
        return cls(
            settings.mail_largest_bytes,
            settings.mail_memory_bytes,
            settings.mail_connections,
            settings.mail_connections_per_client,
            settings.mail_patience_s,
            settings.mail_per_minute,
        )


class Door:
    """
    Decides what is let in, and has it stored: the hooks that aiosmtpd calls.

    `pepper` checks the plus-addresses of leads. Over LMTP a mail server of ours hands over what many send: then a
    client has no limits of its own.
    """

    def __init__(
        self, receiver: Receiver, sources: Sources, pepper: bytes, limits: Limits, logins: Logins, *, lmtp: bool
    ) -> None:
        self._receiver = receiver
        self._sources = sources
        self._pepper = pepper
        self.limits = limits
        self.logins = logins
        self._senders = Buckets(limits.per_minute)
        self._recipients = Buckets(limits.per_minute * 10)
        self._clients = Buckets(limits.per_minute * 10)
        self._tries = Buckets(_LOGINS_PER_MINUTE)
        self._lmtp = lmtp
        self.connections = 0
        self._of_client: Counter[str] = Counter()
        self.held_bytes = 0

    def enter(self, peer: object) -> bool:
        """Count a connection in; False where there is no room for it. Each is counted out again by `leave`."""
        client = _client(peer)
        self.connections += 1
        self._of_client[client] += 1
        mine = self.limits.connections if self._lmtp else self.limits.per_client
        return self.connections <= self.limits.connections and self._of_client[client] <= mine

    def leave(self, peer: object) -> None:
        client = _client(peer)
        self.connections -= 1
        self._of_client[client] -= 1
        if not self._of_client[client]:
            del self._of_client[client]

    def log_in(self, session: Session, given: object) -> AuthResult:
        """The verdict on a login; who tries too often is not looked at."""
        if not self._tries.take(_client(session.peer), now()):
            return AuthResult(success=False, handled=False, message="454 4.7.0 Too many attempts; please try later")
        return self.logins.check(given)

    async def handle_EHLO(  # noqa: N802 - the hook's own name
        self, _: SMTP, session: Session, __: Envelope, hostname: str, answers: list[str]
    ) -> list[str]:
        """What we can do, as aiosmtpd says it, and that commands may come without waiting for each answer."""
        session.host_name = hostname
        told = [answer for answer in answers if self.logins or not answer.startswith("250-AUTH")]
        return [*told[:-1], "250-PIPELINING", told[-1]]

    async def handle_MAIL(  # noqa: N802
        self, _: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        client, moment = _client(session.peer), now()
        sender = _mailbox(address) if address != _NOBODY else f"<> {client}"
        if not (self._senders.take(sender, moment) and (self._lmtp or self._clients.take(client, moment))):
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
        if not self._recipients.take(name, now()):
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
        submission = submission_of(source, body, headers)
        until = now() + _WAITS_S
        while True:
            try:
                await self._receiver.receive(submission)
            except Overloaded as error:
                if now() < until:  # it is in memory already, and its sender would only come again minutes later
                    await asyncio.sleep(_PAUSE_S)
                    continue
                log.warning("mail.not_stored", source=source, code=error.code)
                return False
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


def now() -> float:
    return asyncio.get_running_loop().time()


def _client(peer: object) -> str:
    """Who a connection comes from: its address, of IPv6 the network, since one client has as many as it likes."""
    try:
        address = ipaddress.ip_address(peer[0] if isinstance(peer, tuple) and peer else "")
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None) or address
    return str(mapped) if mapped.version == _IPV4 else str(ipaddress.ip_network((int(mapped), 64), strict=False))
