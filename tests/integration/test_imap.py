"""Mail that waits in mailboxes: fetched once, marked when it is committed, and no mail or mailbox stops the others."""

from __future__ import annotations

import json
import select
import socket
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from schema.errors import Permanent
from schema.settings import Settings
from services.api import meters
from services.cli.main import app
from services.mail.poll import pause_s, places_of
from services.mail.run import run_mail
from tests.rig import until
from tests.servers import Mailboxes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.spine import Spine

PATIENCE_S = 60
LONG_AGO = '"02-Nov-2026 08:00:00 +0000"'


@pytest.fixture
def server() -> Iterator[Mailboxes]:
    with Mailboxes() as server:
        yield server


@contextmanager
def reading(spine: Spine, *urls: str, **settings: Any) -> Iterator[None]:  # noqa: ANN401 - of several types
    stop = threading.Event()
    given = Settings(database_url=spine.url, secret_key="a secret of this test", imap_urls=" ".join(urls), **settings)
    thread = threading.Thread(target=run_mail, args=(given, spine.url, lambda _: None, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def inbox(server: Mailboxes, **changes: str) -> str:
    asked = "&".join(f"{name}={value}" for name, value in ({"source": "inbox", "every": "0.1"} | changes).items())
    return f"{server.url}?{asked}"


def put(server: Mailboxes, *mails: bytes, at: str = LONG_AGO) -> None:
    client = server.client()
    for mail in mails:
        assert client.append("INBOX", "", at, mail)[0] == "OK"
    client.logout()


def mail(number: object) -> bytes:
    return f"From: p{number}@acme.test\r\nMessage-ID: <{number}@acme.test>\r\n\r\nWe need {number} seats.\r\n".encode()


def flags(server: Mailboxes, folder: str = "INBOX") -> list[bool]:
    """Whether each mail of a folder is marked as seen, oldest first."""
    client = server.client()
    client.select(folder)
    found: list[Any] = client.fetch("1:*", "(FLAGS)")[1]
    client.logout()
    return [b"Seen" in line for line in found if line]


def receipts(spine: Spine) -> list[dict[str, Any]]:
    return spine.rows("SELECT * FROM receipt ORDER BY received_at, id")


def stored(spine: Spine, count: int) -> None:
    until(lambda: len(receipts(spine)) >= count, f"{count} are stored")


def mailbox(spine: Spine) -> dict[str, Any]:
    return next(iter(spine.rows("SELECT * FROM mailbox")), {})


def read_to_the_end(spine: Spine, uid: int) -> None:
    until(lambda: mailbox(spine).get("uid") == uid, f"it is read up to {uid}")


def last_uid(server: Mailboxes) -> int:
    client = server.client()
    found: Sequence[Any] = client.uid("SEARCH", "UID 1:*")[1]
    client.logout()
    return int(found[0].split()[-1])


def test_what_is_in_the_mailbox_and_what_comes_is_stored_and_marked(spine: Spine, server: Mailboxes) -> None:
    put(server, *(mail(number) for number in range(120)))
    with reading(spine, inbox(server)):
        stored(spine, 120)
        put(server, mail(120))
        stored(spine, 121)
        until(lambda: all(flags(server)), "all are marked")

    spine.run()
    assert {row["status"] for row in receipts(spine)} == {"processed"}
    moments = spine.rows("SELECT DISTINCT occurred_at FROM touchpoint")
    assert moments == [{"occurred_at": datetime(2026, 11, 2, 8, 0, tzinfo=UTC)}]


def test_nothing_is_read_twice_after_a_restart(spine: Spine, server: Mailboxes) -> None:
    put(server, mail(1), mail(2))
    with reading(spine, inbox(server)):
        read_to_the_end(spine, last_uid(server))
    spine.do("DELETE FROM submission")  # so that a second reading would be seen
    put(server, mail(3))
    with reading(spine, inbox(server)):
        read_to_the_end(spine, last_uid(server))

    assert len(receipts(spine)) == 3


def test_nothing_is_marked_before_it_is_committed(spine: Spine, server: Mailboxes) -> None:
    put(server, mail(1))
    with spine.engine.connect() as holder:
        holder.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        holder.execute(text("LOCK TABLE submission"))
        with reading(spine, inbox(server)):
            until(lambda: mailbox(spine), "the mailbox is known")
            until(lambda: waiting_for_a_lock(spine), "the mail waits to be stored")
            assert flags(server) == [False]
            holder.rollback()
            until(lambda: flags(server) == [True], "it is marked")

    assert len(receipts(spine)) == 1


def waiting_for_a_lock(spine: Spine) -> bool:
    return bool(spine.rows("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'submission'::regclass"))


def test_what_was_read_is_moved_where_the_business_wants_it(spine: Spine, server: Mailboxes) -> None:
    put(server, mail(1), mail(2))
    client = server.client()
    client.create("Done")
    client.logout()
    with reading(spine, inbox(server, move="Done")):
        until(lambda: len(flags(server, "Done")) == 2, "both are moved")

    assert len(receipts(spine)) == 2
    assert flags(server) == []


def test_a_mailbox_that_was_made_anew_is_read_again_without_doubles(spine: Spine, server: Mailboxes) -> None:
    put(server, mail(1), mail(2))
    with reading(spine, inbox(server)):
        read_to_the_end(spine, last_uid(server))
        before = mailbox(spine)["uid_validity"]
        server.restart()
        put(server, mail(2), mail(1), mail(3), at='"03-Nov-2026 08:00:00 +0000"')
        until(lambda: mailbox(spine)["uid_validity"] != before, "it is another mailbox")
        stored(spine, 3)
        until(lambda: all(flags(server)), "all are marked")

    assert sorted(bytes(row["body"]) for row in receipts(spine)) == [mail(1), mail(2), mail(3)]


def test_a_mail_that_somebody_takes_away_is_no_trouble(spine: Spine, server: Mailboxes) -> None:
    put(server, *(mail(number) for number in range(300)))
    with reading(spine, inbox(server)):
        client = server.client()
        client.store("100:250", "+FLAGS", "\\Deleted")
        client.expunge()
        put(server, mail("last"))
        read_to_the_end(spine, last_uid(server))
        client.logout()

    assert mail("last") in {bytes(row["body"]) for row in receipts(spine)}
    assert mailbox(spine)["error"] is None


def test_a_mail_that_is_too_large_stays_and_the_others_are_read(spine: Spine, server: Mailboxes) -> None:
    put(server, mail(1), mail(2) + b"x" * 1000, mail(3))
    with reading(spine, inbox(server), mail_largest_bytes=1000):
        read_to_the_end(spine, last_uid(server))
        until(lambda: all(flags(server)[::2]), "the others are marked")

    assert mailbox(spine)["skipped"] == 1
    assert [bytes(row["body"]) for row in receipts(spine)] == [mail(1), mail(3)]
    assert flags(server) == [True, False, True]


POISON = (
    b"\x00\xff" * 100,
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 2000,
    b"From: " + b"<" * 50_000 + b"\r\n\r\n" + b"\x00" * 100 + b"\r\n",
)


def test_a_poison_mail_is_kept_as_it_is_and_stops_nobody(spine: Spine, server: Mailboxes) -> None:
    put(server, mail(1), *POISON, mail(2))
    with reading(spine, inbox(server)):
        read_to_the_end(spine, last_uid(server))
        until(lambda: all(flags(server)), "all are marked")

    spine.run()
    kept = {bytes(row["body"]): (row["status"], row["reason"]) for row in receipts(spine)}
    assert [kept[body] for body in POISON] == [("quarantined", "no_sender")] * 3
    assert [kept[mail(number)][0] for number in (1, 2)] == ["processed"] * 2
    assert mailbox(spine)["skipped"] == 0


def test_several_mailboxes_are_read_each_for_its_source(spine: Spine, server: Mailboxes) -> None:
    client = server.client()
    client.create("Support")
    client.append("Support", "", LONG_AGO, mail("support"))
    client.logout()
    put(server, mail("sales"))
    other = inbox(server, source="support").replace("/INBOX", "/Support")
    with reading(spine, inbox(server), other):
        stored(spine, 2)
        until(lambda: all(flags(server) + flags(server, "Support")), "both are marked")

    assert {row["source"]: bytes(row["body"]) for row in receipts(spine)} == {
        "inbox": mail("sales"),
        "support": mail("support"),
    }
    assert len(spine.rows("SELECT 1 FROM mailbox WHERE uid > 0")) == 2


class Cable:
    """The line to an IMAP server; it breaks in the middle of an answer that contains `marker`, so many `times`."""

    def __init__(self, port: int, marker: bytes, times: int) -> None:
        self._server = port
        self._marker = marker
        self.left = times
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server)) as server, suppress(OSError):
            ends = {client: server, server: client}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    said = end.recv(1 << 16)
                    if not said:
                        return
                    place = said.find(self._marker) if end is server and self.left else -1
                    ends[end].sendall(said if place < 0 else said[:place])
                    if place >= 0:
                        self.left -= 1
                        return


@pytest.mark.parametrize(("times", "skipped"), [(1, 0), (3, 1)])
def test_a_connection_that_ends_in_the_middle_of_a_mail_costs_at_most_that_mail(
    spine: Spine, server: Mailboxes, times: int, skipped: int
) -> None:
    put(server, mail(1), mail("cut") + b"in the middle\r\n", mail(3))
    cable = Cable(server.port, b"in the middle", times)
    with reading(spine, inbox(server).replace(f":{server.port}/", f":{cable.port}/")):
        read_to_the_end(spine, last_uid(server))
        until(lambda: all(flags(server)[::2]), "the others are marked")
    cable.close()

    assert cable.left == 0
    assert len(receipts(spine)) == 3 - skipped
    assert mailbox(spine)["skipped"] == skipped
    assert flags(server) == [True, not skipped, True]


def test_a_wrong_password_raises_an_alarm_and_no_storm_and_the_others_are_read(spine: Spine, server: Mailboxes) -> None:
    put(server, mail(1))
    wrong = inbox(server).replace(server.password, "wrong").replace("INBOX", "Other")
    with reading(spine, wrong, inbox(server)):
        stored(spine, 1)
        until(lambda: spine.rows("SELECT 1 FROM mailbox WHERE alarm"), "the alarm is raised")

    (failing,) = spine.rows("SELECT * FROM mailbox WHERE alarm")
    assert (failing["error"], failing["failures"]) == ("login_refused", 1)
    assert "wrong" not in str(failing)
    told = CliRunner().invoke(app, ["ops", "mailboxes", "--json"], env={"THROUGHLINE_DATABASE_URL": spine.url})
    assert [(box["source"], box["error"], box["alarm"]) for box in json.loads(told.output)["mailboxes"]] == [
        ("inbox", "login_refused", True),
        ("inbox", None, False),
    ]
    with spine.engine.connect() as connection:
        page = meters.page(meters.gauges(connection, ["inbox"])).decode()
    assert 'throughline_mailbox_alarms{source="inbox"} 1.0' in page
    assert server.user not in page
    assert [pause_s(failures, refused=True) for failures in (1, 2, 3, 100)] == [60, 120, 240, 3600]


def test_a_server_that_is_away_is_met_again(spine: Spine, server: Mailboxes) -> None:
    with reading(spine, inbox(server)):
        until(lambda: mailbox(spine).get("polled_at"), "it was read")
        server.kill()
        until(lambda: mailbox(spine)["error"] == "unreachable", "the failure is told")
        server.start()
        put(server, mail(1))
        stored(spine, 1)
        until(lambda: mailbox(spine)["error"] is None, "the failure is over")

    assert [pause_s(failures, refused=False) for failures in (1, 2, 7, 100)] == [1, 2, 60, 60]


@pytest.mark.parametrize(
    "url",
    [
        "imaps://user@host/INBOX?source=inbox",
        "imaps://user:secret@host/INBOX",
        "pop3://user:secret@host/INBOX?source=inbox",
        "imaps://user:secret@host/INBOX?source=inbox&evry=3",
        "imaps://user:secret@host:port/INBOX?source=inbox",
        "imaps://user:secret@host/INBOX?source=inbox&every=0",
    ],
)
def test_a_mailbox_that_is_none_is_told_without_its_password(url: str) -> None:
    with pytest.raises(Permanent, match="THROUGHLINE_IMAP_URLS") as told:
        places_of(f"imaps://a:b@c/INBOX?source=inbox {url}")
    assert "Mailbox 2" in str(told.value)
    assert "secret" not in str(told.value)


def test_a_mailbox_is_named_without_its_password() -> None:
    (place,) = places_of("imaps://ana%40acme.test:p%2Fw@mail.acme.test/Sales/New?source=inbox&move=Done")
    assert (place.user, place.password, place.folder, place.move) == ("ana@acme.test", "p/w", "Sales/New", "Done")
    assert place.name == "ana@acme.test@mail.acme.test/Sales/New"
