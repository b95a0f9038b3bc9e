"""Who hands mail over: `throughline mail` on a port of its own, and clients that talk to it."""

from __future__ import annotations

import smtplib
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from schema.settings import Settings
from services.mail.run import run_mail
from tests.rig import until
from tests.servers import _free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S: Final = 60
US: Final = "sales@example.com"


@contextmanager
def taking(url: str, kind: str = "smtp", **settings: Any) -> Iterator[int]:  # noqa: ANN401
    port = _free_ports(1)[0]
    stop = threading.Event()
    given = Settings(
        database_url=url, secret_key="a secret of this test", mail_listen=f"{kind}://127.0.0.1:{port}", **settings
    )
    thread = threading.Thread(target=run_mail, args=(given, url, lambda _: None, stop))
    thread.start()
    try:
        until(lambda: answers(port), "it listens")
        yield port
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        return connection.recv(3) == b"220"
    return False


@contextmanager
def talk(port: int, kind: str = "smtp") -> Iterator[smtplib.SMTP]:
    client = smtplib.LMTP if kind == "lmtp" else smtplib.SMTP
    with client("127.0.0.1", port, timeout=PATIENCE_S) as connection:
        connection.ehlo("client.test")
        yield connection


def handed(client: smtplib.SMTP, raw: bytes, sender: str = "ana@acme.test", to: str = US) -> list[int]:
    """What is answered to exactly these bytes, after DATA."""
    client.mail(sender)
    client.rcpt(to)
    client.docmd("DATA")
    client.send(raw)
    return [client.getreply()[0]]


def stuffed(raw: bytes) -> bytes:
    """A message as it goes over the wire: what begins with a dot has another before it."""
    return (b"\r\n" + raw).replace(b"\r\n.", b"\r\n..")[2:]
