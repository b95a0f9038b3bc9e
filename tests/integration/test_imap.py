"""Mail that waits in mailboxes: fetched once, marked when it is committed, and no mail or mailbox stops the others."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from schema.errors import Permanent
from schema.settings import Settings
from services.mail import poll
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
def reading(spine: Spine, *urls: str) -> Iterator[None]:
    stop = threading.Event()
    settings = Settings(database_url=spine.url, secret_key="a secret of this test", imap_urls=" ".join(urls))
    thread = threading.Thread(target=run_mail, args=(settings, spine.url, lambda _: None, stop))
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


def test_a_mail_that_is_too_large_stays_and_the_others_are_read(
    spine: Spine, server: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll, "LARGEST", 1000)
    put(server, mail(1), mail(2) + b"x" * 1000, b"\x00\xff" * 100, mail(3))
    with reading(spine, inbox(server)):
        read_to_the_end(spine, last_uid(server))

    assert mailbox(spine)["skipped"] == 1
    assert {mail(1), mail(3)} <= {bytes(row["body"]) for row in receipts(spine)}
    assert flags(server)[:2] == [True, False]


def test_a_wrong_password_raises_an_alarm_and_no_storm_and_the_others_are_read(spine: Spine, server: Mailboxes) -> None:
    put(server, mail(1))
    wrong = inbox(server).replace(server.password, "wrong").replace("INBOX", "Other")
    with reading(spine, wrong, inbox(server)):
        stored(spine, 1)
        until(lambda: spine.rows("SELECT 1 FROM mailbox WHERE alarm"), "the alarm is raised")

    (failing,) = spine.rows("SELECT * FROM mailbox WHERE alarm")
    assert (failing["error"], failing["failures"]) == ("login_refused", 1)
    assert "wrong" not in str(failing)
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
