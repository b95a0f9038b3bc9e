"""Mail that is handed over: committed before it is acknowledged, and nothing else is let in."""

from __future__ import annotations

import datetime as dt
import smtplib
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from schema.errors import Permanent
from schema.mail.address import reply_address
from schema.settings import Settings
from services.mail.listen import place_of
from services.mail.rate import Buckets
from services.mail.run import run_mail
from tests.postman import PATIENCE_S, US, answers, handed, taking, talk
from tests.rig import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.spine import Spine


def mail(number: object = 1, text_: str = "We need 40 seats.") -> bytes:
    return f"From: Ana <ana@acme.test>\r\nMessage-ID: <{number}@acme.test>\r\n\r\n{text_}\r\n".encode()


def receipts(spine: Spine) -> list[dict[str, Any]]:
    return spine.rows("SELECT * FROM receipt ORDER BY received_at, id")


def test_a_mail_is_a_receipt_before_it_is_acknowledged(spine: Spine) -> None:
    with taking(spine.url) as port, talk(port) as client:
        client.sendmail("ana@acme.test", [US], mail() + b".a line with a dot\r\n")
        (receipt,) = receipts(spine)

    assert bytes(receipt["body"]) == mail() + b".a line with a dot\r\n"
    assert (receipt["source"], receipt["channel"], receipt["content_type"]) == ("inbox", "email", "message/rfc822")
    assert receipt["headers"] == {"envelope-from": "ana@acme.test", "envelope-to": US}
    spine.run()
    assert spine.receipt(receipt["id"])["status"] == "processed"


def test_only_addresses_of_sources_are_let_in(spine: Spine) -> None:
    with taking(spine.url) as port, talk(port) as client:
        client.mail("ana@acme.test")
        assert client.rcpt("nobody@example.com") == (550, b"5.1.1 There is no such mailbox here")
        assert client.rcpt("sales@other.example")[0] == 550
        assert client.rcpt("Sales+anything@EXAMPLE.com")[0] == 250

    assert receipts(spine) == []


def test_a_signed_address_is_kept_with_its_lead(spine: Spine) -> None:
    lead = "0198a6c4-0000-7000-8000-000000000001"
    pepper = Settings(secret_key="a secret of this test").pepper()
    with taking(spine.url) as port, talk(port) as client:
        client.sendmail("ana@acme.test", [reply_address(US, pepper, lead)], mail(1))
        client.sendmail("ana@acme.test", [reply_address(US, b"another", lead)], mail(2))

    assert [row["headers"].get("lead") for row in receipts(spine)] == [lead, None]


def test_the_same_mail_again_is_the_same_receipt_and_another_with_its_id_is_not(spine: Spine) -> None:
    with taking(spine.url) as port, ThreadPoolExecutor(8) as pool:

        def send(body: bytes) -> None:
            with talk(port) as client:
                client.sendmail("ana@acme.test", [US], body)

        list(pool.map(send, [mail(1)] * 20))
        send(mail(1, "Something else."))

    assert len(receipts(spine)) == 2


@pytest.mark.parametrize("end", [b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\r\n.\r\r\n", b"\n.\n", b"\r\n.\r", b"\r.\r"])
def test_a_mail_ends_in_one_way_only_so_that_none_can_be_smuggled_in(spine: Spine, end: bytes) -> None:
    smuggled = b"MAIL FROM:<boss@example.com>\r\nRCPT TO:<sales@example.com>\r\nDATA\r\n" + mail(2)
    with taking(spine.url) as port, talk(port) as client:
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
    with taking(spine.url) as port, talk(port) as client:
        assert handed(client, body + b".\r\n") == [250]
    spine.run()

    (receipt,) = receipts(spine)
    assert bytes(receipt["body"]) == body
    assert receipt["status"] in {"processed", "quarantined"}


def test_what_cannot_be_stored_is_left_with_its_sender(spine: Spine) -> None:
    with taking(spine.url) as port, talk(port) as client:
        with spine.engine.connect() as holder:
            holder.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            holder.execute(text("LOCK TABLE submission"))
            assert handed(client, mail() + b".\r\n") == [451]
            holder.rollback()
        assert handed(client, mail() + b".\r\n") == [250]

    assert len(receipts(spine)) == 1


def test_mails_wait_for_room_instead_of_being_sent_back(spine: Spine) -> None:
    blocked = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'submission'::regclass"
    with taking(spine.url, max_waiting=1) as port, ThreadPoolExecutor(4) as pool:

        def send(number: int) -> list[int]:
            with talk(port) as client:
                return handed(client, mail(number) + b".\r\n")

        with spine.engine.connect() as holder:
            holder.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            holder.execute(text("LOCK TABLE submission"))
            sent = [pool.submit(send, number) for number in range(4)]
            until(lambda: spine.rows(blocked), "one waits to be stored")
            holder.rollback()
        assert [each.result() for each in sent] == [[250]] * 4

    assert len(receipts(spine)) == 4


def test_what_is_too_large_is_refused_before_and_after_it_is_sent(spine: Spine) -> None:
    with taking(spine.url, mail_largest_bytes=100_000) as port, talk(port) as client:
        assert client.esmtp_features["size"] == "100000"
        assert client.docmd("MAIL FROM:<ana@acme.test> SIZE=100001")[0] == 552
        line = b"x" * 998 + b"\r\n"
        assert handed(client, line * 101 + b".\r\n") == [552]
        assert handed(client, line * 100 + b".\r\n") == [250]

    assert [len(row["body"]) for row in receipts(spine)] == [100_000]


def test_over_lmtp_each_recipient_hears_that_a_mail_is_too_large(spine: Spine) -> None:
    with taking(spine.url, "lmtp", mail_largest_bytes=1000) as port, smtplib.LMTP("127.0.0.1", port) as client:
        client.ehlo("mta.test")
        client.mail("ana@acme.test")
        client.rcpt(US)
        client.rcpt("sales+b@example.com")
        client.docmd("DATA")
        client.send(b"x" * 1001 + b"\r\n.\r\n")
        assert [client.getreply()[0], client.getreply()[0]] == [552, 552]
        assert client.noop()[0] == 250


def test_mails_that_are_being_handed_over_take_only_so_much_memory_together(spine: Spine) -> None:
    half = b"x" * 30_000
    with taking(spine.url, mail_memory_bytes=50_000) as port, talk(port) as first, talk(port) as second:
        for client in (first, second):
            client.mail("ana@acme.test")
            client.rcpt(US)
            client.docmd("DATA")
        first.send(half + b"\r\n")
        second.send(half + b"\r\n.\r\n")
        assert second.getreply()[0] == 452
        first.send(b".\r\n")
        assert first.getreply()[0] == 250
        assert handed(second, half + b"\r\n.\r\n") == [250]

    assert len(receipts(spine)) == 1  # the same mail


def test_a_bounce_and_a_sender_in_any_script_are_taken(spine: Spine) -> None:
    with taking(spine.url) as port, talk(port) as client:
        client.sendmail("", [US], mail(1))
        client.sendmail("anä@bücher.example", [US], mail(2), mail_options=["SMTPUTF8"])

    assert [row["headers"]["envelope-from"] for row in receipts(spine)] == ["", "anä@bücher.example"]


def test_over_lmtp_each_recipient_has_an_answer(spine: Spine) -> None:
    with taking(spine.url, "lmtp") as port, smtplib.LMTP("127.0.0.1", port) as client:
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
    with taking(spine.url, mail_per_minute=6) as port, talk(port) as client:
        answers = [client.docmd("MAIL FROM:<ana@acme.test>")[0] for _ in range(5) if client.rset()]
        client.rset()
        assert client.mail("ben@acme.test")[0] == 250

    assert answers == [250, 250, 250, 451, 451]


def test_a_bucket_holds_half_a_minute_and_fills_evenly() -> None:
    buckets = Buckets(60)
    assert [buckets.take("ana", 0.0) for _ in range(31)] == [True] * 30 + [False]
    assert [buckets.take("ana", 1.0), buckets.take("ana", 1.0), buckets.take("ben", 1.0)] == [True, False, True]
    assert sum(buckets.take("ana", 1000.0) for _ in range(100)) == 30


def test_a_flood_is_told_to_come_back_and_what_was_taken_is_kept(spine: Spine) -> None:
    with taking(spine.url, mail_per_minute=4) as port, talk(port) as client:
        answers = [
            client.rcpt(US)[0] if client.rset() and client.mail(f"p{number}@acme.test")[0] == 250 else 451
            for number in range(30)
        ]
        client.rset()
    with taking(spine.url, "lmtp", mail_per_minute=4) as port, smtplib.LMTP("127.0.0.1", port) as client:
        client.ehlo("mta.test")
        fates = []
        for number in range(30):
            client.rset()
            client.mail(f"p{number}@acme.test")
            if client.rcpt(US)[0] == 250:
                client.docmd("DATA")
                client.send(mail(number) + b".\r\n")
                fates.append(client.getreply()[0])

    assert (answers.count(250), answers.count(451)) == (20, 10)
    assert fates == [250] * 20
    assert len(receipts(spine)) == 20


def greetings(port: int, count: int) -> list[bytes]:
    """What so many connections that stay open hear, and that all of them are ended."""
    silent = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) for _ in range(count)]
    try:
        heard = sorted(connection.recv(100)[:3] for connection in silent)
        assert [connection.recv(100) for connection in silent] == [b""] * count
    finally:
        for connection in silent:
            connection.close()
    return heard


@pytest.mark.parametrize("limit", ["mail_connections", "mail_connections_per_client"])
def test_there_are_only_so_many_connections_and_those_that_say_nothing_end(spine: Spine, limit: str) -> None:
    with taking(spine.url, mail_patience_s=0.5, **dict[str, Any]({limit: 2})) as port:
        assert greetings(port, 3) == [b"220", b"220", b"421"]
        until(lambda: answers(port), "there is room again")


def test_over_lmtp_one_client_may_have_all_connections(spine: Spine) -> None:
    with taking(spine.url, "lmtp", mail_patience_s=0.5, mail_connections_per_client=1) as port:
        assert greetings(port, 3) == [b"220", b"220", b"220"]


def test_who_never_reads_the_answers_is_hung_up_on(spine: Spine) -> None:
    with (
        taking(spine.url, mail_patience_s=0.5, mail_connections=1) as port,
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as deaf,
    ):
        with suppress(ConnectionError):
            while deaf.send(b"EXPN x\r\n" * 1000):
                pass
        until(lambda: answers(port), "there is room again")


def test_who_guesses_recipients_or_keeps_a_connection_for_nothing_is_hung_up_on(spine: Spine) -> None:
    with taking(spine.url) as port:
        with talk(port) as client:
            client.mail("ana@acme.test")
            heard = [client.rcpt(f"p{number}@example.com")[0] for number in range(20)]
            assert client.getreply()[0] == 421
        with talk(port) as client:
            idle = [client.noop()[0] for _ in range(101)]

    assert (heard, idle) == ([550] * 20, [250] * 100 + [421])


def test_commands_may_come_without_waiting_for_each_answer(spine: Spine) -> None:
    with taking(spine.url) as port, talk(port) as client:
        assert {"pipelining", "8bitmime", "smtputf8", "size"} <= client.esmtp_features.keys()
        client.send(f"MAIL FROM:<ana@acme.test> BODY=8BITMIME\r\nRCPT TO:<{US}>\r\nDATA\r\n".encode())
        assert [client.getreply()[0] for _ in range(3)] == [250, 250, 354]
        client.send(mail(text_="Grüße") + b".\r\nNOOP\r\n")
        assert [client.getreply()[0] for _ in range(2)] == [250, 250]

    assert "Grüße".encode() in bytes(receipts(spine)[0]["body"])


@pytest.mark.parametrize(
    "command",
    [b"MAIL FROM:<", b"MAIL FROM:<@>", b'MAIL FROM:<"', b"MAIL FROM:<a@b.test> FOO=1", b"MAIL", b"RCPT", b"DATA",
     b"MAIL FROM:\xff\xfe", b"\xff\xff", b"HELO", b"MAIL FROM:<" + b"a" * 900 + b"@b.test>x", b"AUTH PLAIN x",
     b"STARTTLS", b"MAIL FROM:<a@b.test> SIZE=x", b"x" * 5000],
)  # fmt: skip
def test_what_is_no_command_is_refused_and_the_next_is_served(spine: Spine, command: bytes) -> None:
    with taking(spine.url) as port, talk(port) as client:
        client.send(command + b"\r\n")
        assert 400 < client.getreply()[0] < 560
        assert handed(client, mail() + b".\r\n") == [250]


# -- secured -----------------------------------------------------------------------------------------------------------


def certificate(folder: Path, number: int = 1) -> dict[str, Any]:
    """A certificate of our own for 127.0.0.1, as settings."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"mail {number}")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), number)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    paths = folder / "chain.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return {"mail_certificate": str(paths[0]), "mail_certificate_key": str(paths[1])}


def unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def shown(client: smtplib.SMTP) -> int:
    """The serial number of the certificate that the server shows."""
    assert isinstance(client.sock, ssl.SSLSocket)
    der = client.sock.getpeercert(binary_form=True)
    assert der
    return x509.load_der_x509_certificate(der).serial_number


def test_a_mail_can_be_handed_over_unheard_and_a_renewed_certificate_is_used(spine: Spine, tmp_path: Path) -> None:
    with taking(spine.url, **certificate(tmp_path)) as port:
        with talk(port) as client:
            client.starttls(context=unchecked())
            client.ehlo("client.test")
            assert "auth" not in client.esmtp_features
            assert "starttls" not in client.esmtp_features
            assert shown(client) == 1
            client.sendmail("ana@acme.test", [US], mail())
        certificate(tmp_path, 2)
        with talk(port) as client:
            client.starttls(context=unchecked())
            assert shown(client) == 2
        (tmp_path / "key.pem").write_text("half")
        with talk(port) as client:
            client.starttls(context=unchecked())
            assert shown(client) == 2
            client.sendmail("ana@acme.test", [US], mail(2))

    assert len(receipts(spine)) == 2


def test_what_is_said_before_the_connection_is_secured_counts_for_nothing(spine: Spine, tmp_path: Path) -> None:
    with taking(spine.url, **certificate(tmp_path)) as port, talk(port) as client:
        client.send(b"STARTTLS\r\nMAIL FROM:<boss@example.com>\r\nRCPT TO:<sales@example.com>\r\n")
        assert client.getreply()[0] == 220
        assert client.sock
        client.sock = unchecked().wrap_socket(client.sock)
        client.file = None
        client.ehlo("client.test")
        assert client.docmd("DATA")[0] == 503


@pytest.mark.parametrize("said", [b"garbage" * 100, b"\x16\x03\x01", b""])
def test_a_client_that_fails_to_secure_its_connection_does_not_keep_it(
    spine: Spine, tmp_path: Path, said: bytes
) -> None:
    with taking(spine.url, mail_patience_s=0.5, mail_connections=1, **certificate(tmp_path)) as port:
        for leaves in (True, False, True, False):
            until(lambda: answers(port), "there is room")
            with until_greeted(port) as client:
                assert client.docmd("STARTTLS")[0] == 220
                client.send(said)
                assert client.sock
                if leaves:
                    client.sock.close()
                else:
                    with suppress(ConnectionError):
                        while client.sock.recv(1000):
                            pass
        until(lambda: answers(port), "there is room again")


@contextmanager
def until_greeted(port: int) -> Iterator[smtplib.SMTP]:
    """A connection, as soon as there is room for it."""

    def greeted() -> smtplib.SMTP | None:
        with suppress(OSError):
            return smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE_S)
        return None

    client = until(greeted, "there is room")
    client.ehlo("client.test")
    yield client
    client.close()


def test_with_logins_only_who_logs_in_hands_mail_over(spine: Spine, tmp_path: Path) -> None:
    settings = certificate(tmp_path) | {"mail_logins": "website:p%3Aw printer:other"}
    with taking(spine.url, **settings) as port:
        with talk(port) as client:
            assert "auth" not in client.esmtp_features
            assert client.docmd("AUTH PLAIN AHdlYnNpdGUAcDp3")[0] == 538
            assert client.mail("ana@acme.test") == (530, b"5.7.0 Authentication required")
        with talk(port) as client:
            client.starttls(context=unchecked())
            for name, password in (("website", "other"), ("nobody", "other")):
                with pytest.raises(smtplib.SMTPAuthenticationError):
                    client.login(name, password)
        for mechanism in ("LOGIN", "PLAIN"):
            with talk(port) as client:
                client.starttls(context=unchecked())
                client.ehlo("client.test")
                assert client.esmtp_features["auth"].split() == ["LOGIN", "PLAIN"]
                client.esmtp_features["auth"] = mechanism
                client.login("website", "p:w")
                client.sendmail("ana@acme.test", [US], mail(mechanism))

    assert len(receipts(spine)) == 2


def test_who_guesses_passwords_is_not_looked_at_any_more(spine: Spine, tmp_path: Path) -> None:
    with taking(spine.url, **certificate(tmp_path), mail_logins="website:right") as port:
        answers = []
        for _ in range(5):
            with talk(port) as client:
                client.starttls(context=unchecked())
                client.ehlo("client.test")
                answers += [client.docmd("AUTH PLAIN AHdlYnNpdGUAeA==")[0] for _ in range(3)]
                assert client.docmd("AUTH PLAIN AHdlYnNpdGUAcmlnaHQ=")[0] == 421

    assert answers == [535] * 10 + [454] * 5


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"mail_certificate": "a.pem"}, "mail_certificate_incomplete"),
        ({"mail_certificate": "a.pem", "mail_certificate_key": "b.pem"}, "mail_certificate_invalid"),
        ({"mail_logins": "website:secret"}, "mail_logins_need_tls"),
        ({"mail_logins": "secret"}, "mail_logins_invalid"),
    ],
)
def test_a_door_that_cannot_be_secured_as_asked_is_not_opened(
    spine: Spine, settings: dict[str, Any], code: str
) -> None:
    given = Settings(
        database_url=spine.url, secret_key="a secret of this test", mail_listen="smtp://127.0.0.1:0", **settings
    )
    with pytest.raises(Permanent) as told:
        run_mail(given, spine.url, lambda _: None, threading.Event())
    assert told.value.code == code
    assert "secret" not in str(told.value)


def test_a_client_that_leaves_in_the_middle_leaves_nothing(spine: Spine) -> None:
    with taking(spine.url) as port:
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
