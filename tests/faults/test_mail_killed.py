"""The process that takes mail dies, or the database: no mail that was acknowledged or marked is lost or doubled."""

from __future__ import annotations

import itertools
import random
import smtplib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from tests.history import Acknowledged, Verdict
from tests.postman import US
from tests.rig import until
from tests.servers import Mailboxes, _free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.rig import Rig
    from tests.servers import Postgres

MAILS = 300


def mail(marker: str) -> bytes:
    return f"From: Somebody <{marker}@acme.test>\r\nSubject: We need 40 seats\r\n\r\n{marker} asks\r\n".encode()


class Senders:
    """Mail servers that hand mails over, each again and again until it is acknowledged."""

    def __init__(self, port: int) -> None:
        self.acknowledged: list[str] = []
        self._port = port
        self._numbers = itertools.count(1)

    def send(self, count: int) -> None:
        """Hand so many mails over and return when all are acknowledged."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._send_one, itertools.islice(self._numbers, count)))

    def wait_for(self, count: int) -> None:
        """Wait until so many are acknowledged."""
        until(lambda: len(self.acknowledged) >= count, f"{count} mails are acknowledged")

    def _send_one(self, number: int) -> None:
        marker = f"m-{number}"
        until(lambda: self._try(marker), f"{marker} is acknowledged")
        self.acknowledged.append(marker)

    def _try(self, marker: str) -> bool:
        codes: list[int] = []
        try:
            with smtplib.SMTP("127.0.0.1", self._port, timeout=20) as client:
                client.sendmail(f"{marker}@acme.test", [US], mail(marker))
                return True
        except smtplib.SMTPResponseException as refused:
            codes.append(refused.smtp_code)
        except smtplib.SMTPRecipientsRefused as refused:  # the sources are not known yet
            codes += [code for code, _ in refused.recipients.values()]
        except OSError:
            pass  # nobody is there at the moment
        assert all(400 <= code < 500 for code in codes)
        return False


def verdict(rig: Rig, markers: list[str]) -> Verdict:
    """What became of mails, each known by its words."""
    with rig.engine.connect() as connection:
        found = connection.execute(text("SELECT id, body FROM receipt")).all()
    receipts = {bytes(row.body).rpartition(b"\r\n\r\n")[2].split()[0].decode(): row.id for row in found}
    assert sorted(receipts) == sorted(markers)
    return rig.check(Acknowledged(marker, receipt) for marker, receipt in receipts.items())


@pytest.fixture
def port() -> int:
    return _free_ports(1)[0]


def test_a_mail_process_killed_before_or_after_a_commit_loses_and_doubles_nothing(
    start: Callable[..., Rig], port: int
) -> None:
    rig = start(mail_listen=f"smtp://127.0.0.1:{port}")
    senders = Senders(port)
    for point in ("api.before_commit", "api.after_commit"):
        armed = rig.arm(point, "kill")
        senders.send(20)
        rig.was_reached(armed)

    assert verdict(rig, senders.acknowledged) == Verdict()


def test_a_mail_process_killed_at_random_under_load_loses_and_doubles_nothing(
    start: Callable[..., Rig], port: int
) -> None:
    rig = start(mail_listen=f"smtp://127.0.0.1:{port}")
    senders = Senders(port)
    choice = random.Random(20261122)  # noqa: S311 - there is one of its kind
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(senders.send, MAILS)
        for part in range(1, 6):
            senders.wait_for(MAILS * part // 7)
            rig.kill_one("mail", choice)
        sending.result()

    assert len(senders.acknowledged) == MAILS
    assert verdict(rig, senders.acknowledged) == Verdict()


def test_a_database_that_crashes_leaves_mails_with_their_senders_until_it_is_back(
    start: Callable[..., Rig], postgres: Postgres, port: int
) -> None:
    rig = start(mail_listen=f"smtp://127.0.0.1:{port}")
    senders = Senders(port)
    senders.send(5)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(senders.send, MAILS)
        senders.wait_for(50)
        rig.engine.dispose()
        postgres.crash()
        postgres.start()
        sending.result()

    assert verdict(rig, senders.acknowledged) == Verdict()


@pytest.fixture
def mailboxes() -> Iterator[Mailboxes]:
    with Mailboxes() as server:
        yield server


def test_a_mail_process_killed_before_it_marks_a_mail_reads_it_again_as_the_same(
    start: Callable[..., Rig], mailboxes: Mailboxes
) -> None:
    rig = start(imap_urls=f"{mailboxes.url}?source=inbox&every=0.1")
    markers = []
    for number, point in enumerate(("api.before_commit", "api.after_commit"), 1):
        armed = rig.arm(point, "kill")
        client = mailboxes.client()
        markers.append(f"m-{number}")
        client.append("INBOX", "", "", mail(markers[-1]))
        rig.was_reached(armed)
        until(partial(_marked, mailboxes, number), "it is marked after all")
        client.logout()

    assert verdict(rig, markers) == Verdict()


def _marked(mailboxes: Mailboxes, count: int) -> bool:
    client = mailboxes.client()
    found = client.search(None, "SEEN")[1][0]
    client.logout()
    return len(found.split()) == count
