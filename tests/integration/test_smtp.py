"""Mail that is handed over: committed before it is acknowledged, and nothing else is let in."""

from __future__ import annotations

import smtplib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from schema.errors import Permanent
from schema.mail.address import reply_address
from schema.settings import Settings
from services.mail import listen
from services.mail.listen import LARGEST, place_of
from services.mail.rate import Buckets
from services.mail.run import run_mail
from tests.rig import until
from tests.servers import _free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.spine import Spine

PATIENCE_S = 60
US = "sales@example.com"


@contextmanager
def taking(spine: Spine, kind: str = "smtp", **settings: Any) -> Iterator[int]:  # noqa: ANN401
    port = _free_ports(1)[0]
    stop = threading.Event()
    given = Settings(
        database_url=spine.url, secret_key="a secret of this test", mail_listen=f"{kind}://127.0.0.1:{port}", **settings
    )
    thread = threading.Thread(target=run_mail, args=(given, spine.url, lambda _: None, stop))
    thread.start()
    try:
        until(lambda: _answers(port), "it listens")
        yield port
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        return connection.recv(3) == b"220"
    return False


def mail(number: object = 1, text_: str = "We need 40 seats.") -> bytes:
    return f"From: Ana <ana@acme.test>\r\nMessage-ID: <{number}@acme.test>\r\n\r\n{text_}\r\n".encode()


def receipts(spine: Spine) -> list[dict[str, Any]]:
    return spine.rows("SELECT * FROM receipt ORDER BY received_at, id")


@contextmanager
def talk(port: int) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE_S) as client:
        client.ehlo("client.test")
        yield client


def handed(client: smtplib.SMTP, raw: bytes) -> list[int]:
    """What is answered to exactly these bytes, after DATA."""
    client.mail("ana@acme.test")
    client.rcpt(US)
    client.docmd("DATA")
    client.send(raw)
    return [client.getreply()[0]]


def test_a_mail_is_a_receipt_before_it_is_acknowledged(spine: Spine) -> None:
    with taking(spine) as port, talk(port) as client:
        client.sendmail("ana@acme.test", [US], mail() + b".a line with a dot\r\n")
        (receipt,) = receipts(spine)

    assert bytes(receipt["body"]) == mail() + b".a line with a dot\r\n"
    assert (receipt["source"], receipt["channel"], receipt["content_type"]) == ("inbox", "email", "message/rfc822")
    assert receipt["headers"] == {"envelope-from": "ana@acme.test", "envelope-to": US}
    spine.run()
    assert spine.receipt(receipt["id"])["status"] == "processed"


def test_only_addresses_of_sources_are_let_in(spine: Spine) -> None:
    with taking(spine) as port, talk(port) as client:
        client.mail("ana@acme.test")
        assert client.rcpt("nobody@example.com") == (550, b"5.1.1 There is no such mailbox here")
        assert client.rcpt("sales@other.example")[0] == 550
        assert client.rcpt("Sales+anything@EXAMPLE.com")[0] == 250

    assert receipts(spine) == []


def test_a_signed_address_is_kept_with_its_lead(spine: Spine) -> None:
    lead = "0198a6c4-0000-7000-8000-000000000001"
    pepper = Settings(secret_key="a secret of this test").pepper()
    with taking(spine) as port, talk(port) as client:
        client.sendmail("ana@acme.test", [reply_address(US, pepper, lead)], mail(1))
        client.sendmail("ana@acme.test", [reply_address(US, b"another", lead)], mail(2))

    assert [row["headers"].get("lead") for row in receipts(spine)] == [lead, None]


def test_the_same_mail_again_is_the_same_receipt_and_another_with_its_id_is_not(spine: Spine) -> None:
    with taking(spine) as port, ThreadPoolExecutor(8) as pool:

        def send(body: bytes) -> None:
            with talk(port) as client:
                client.sendmail("ana@acme.test", [US], body)

        list(pool.map(send, [mail(1)] * 20))
        send(mail(1, "Something else."))

    assert len(receipts(spine)) == 2


@pytest.mark.parametrize("end", [b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\r\n.\r\r\n", b"\n.\n", b"\r\n.\r", b"\r.\r"])
def test_a_mail_ends_in_one_way_only_so_that_none_can_be_smuggled_in(spine: Spine, end: bytes) -> None:
    smuggled = b"MAIL FROM:<boss@example.com>\r\nRCPT TO:<sales@example.com>\r\nDATA\r\n" + mail(2)
    with taking(spine) as port, talk(port) as client:
        assert handed(client, mail(1) + b"x" + end + smuggled + b"\r\n.\r\n") == [250]
        assert client.noop()[0] == 250

    (receipt,) = receipts(spine)
    assert receipt["headers"]["envelope-from"] == "ana@acme.test"
    assert b"boss@example.com" in bytes(receipt["body"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Subject: only a header\r\n",
        b"\r\nonly a body\r\n",
        b"\x00\xff\xfe" * 100 + b"\r\n",
        b"x" * 100_000 + b"\r\n",
        b"From: =?utf-8?b?a?=\r\n\r\nx\r\n",
    ],
)
def test_every_mail_ends_as_a_receipt_with_an_outcome(spine: Spine, body: bytes) -> None:
    with taking(spine) as port, talk(port) as client:
        assert handed(client, body + b".\r\n") == [250]
    spine.run()

    (receipt,) = receipts(spine)
    assert bytes(receipt["body"]) == body
    assert receipt["status"] in {"processed", "quarantined"}


def test_what_cannot_be_stored_is_left_with_its_sender(spine: Spine) -> None:
    with taking(spine) as port, talk(port) as client:
        with spine.engine.connect() as holder:
            holder.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            holder.execute(text("LOCK TABLE submission"))
            assert handed(client, mail() + b".\r\n") == [451]
            holder.rollback()
        assert handed(client, mail() + b".\r\n") == [250]

    assert len(receipts(spine)) == 1


def test_what_is_too_large_is_refused_before_and_after_it_is_sent(spine: Spine) -> None:
    with taking(spine) as port, talk(port) as client:
        assert client.esmtp_features["size"] == str(LARGEST)
        assert client.docmd(f"MAIL FROM:<ana@acme.test> SIZE={LARGEST + 1}")[0] == 552
        line = b"x" * 998 + b"\r\n"
        assert handed(client, line * (LARGEST // 1000 + 10) + b".\r\n") == [552]
        assert handed(client, mail() + b".\r\n") == [250]

    assert len(receipts(spine)) == 1


def test_a_bounce_and_a_sender_in_any_script_are_taken(spine: Spine) -> None:
    with taking(spine) as port, talk(port) as client:
        client.sendmail("", [US], mail(1))
        client.sendmail("anä@bücher.example", [US], mail(2), mail_options=["SMTPUTF8"])

    assert [row["headers"]["envelope-from"] for row in receipts(spine)] == ["", "anä@bücher.example"]


def test_over_lmtp_each_recipient_has_an_answer(spine: Spine) -> None:
    with taking(spine, "lmtp") as port, smtplib.LMTP("127.0.0.1", port) as client:
        client.ehlo("mta.test")
        client.mail("ana@acme.test")
        assert [client.rcpt(to)[0] for to in (US, "nobody@example.com", "sales+b@example.com")] == [250, 550, 250]
        client.docmd("DATA")
        client.send(mail() + b".\r\n")
        assert [client.getreply()[0], client.getreply()[0]] == [250, 250]
        assert client.noop()[0] == 250

    (receipt,) = receipts(spine)
    assert receipt["headers"]["envelope-to"] == f"{US}, sales+b@example.com"


def test_who_sends_too_much_is_asked_to_come_back(spine: Spine) -> None:
    with taking(spine, mail_per_minute=6) as port, talk(port) as client:
        answers = [client.docmd("MAIL FROM:<ana@acme.test>")[0] for _ in range(5) if client.rset()]
        client.rset()
        assert client.mail("ben@acme.test")[0] == 250

    assert answers == [250, 250, 250, 451, 451]


def test_a_bucket_holds_half_a_minute_and_fills_evenly() -> None:
    buckets = Buckets(60)
    assert [buckets.take("ana", 0.0) for _ in range(31)] == [True] * 30 + [False]
    assert [buckets.take("ana", 1.0), buckets.take("ana", 1.0), buckets.take("ben", 1.0)] == [True, False, True]
    assert sum(buckets.take("ana", 1000.0) for _ in range(100)) == 30


def test_there_are_only_so_many_connections_and_those_that_say_nothing_end(
    spine: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "_MOST_CONNECTIONS", 2)
    monkeypatch.setattr(listen, "_COMMAND_S", 0.5)
    with taking(spine) as port:
        silent = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) for _ in range(3)]
        greetings = [connection.recv(100)[:3] for connection in silent]
        assert sorted(greetings) == [b"220", b"220", b"421"]
        assert [connection.recv(100) for connection in silent] == [b"", b"", b""]
        for connection in silent:
            connection.close()
        until(lambda: _answers(port), "there is room again")


def test_a_client_that_leaves_in_the_middle_leaves_nothing(spine: Spine) -> None:
    with taking(spine) as port:
        client = smtplib.SMTP("127.0.0.1", port)
        client.ehlo("x")
        client.mail("ana@acme.test")
        client.rcpt(US)
        client.docmd("DATA")
        client.send(mail())
        client.close()
        with talk(port) as other:
            other.sendmail("ben@acme.test", [US], mail(2))

    assert len(receipts(spine)) == 1


@pytest.mark.parametrize("url", ["", "http://x:1", "smtp://", "smtp://host:port", "smtp://host/path"])
def test_a_place_that_is_none_is_told(url: str) -> None:
    with pytest.raises(Permanent, match="THROUGHLINE_MAIL_LISTEN"):
        place_of(url)
