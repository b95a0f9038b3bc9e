"""
Mail that waits in mailboxes: fetched over IMAP, each mailbox by a thread of its own.

    reads     what came after the last uid that was read, oldest first; nothing is marked by reading it
    marks     what is committed as a receipt: seen, or moved where the URL says so (`move=Done`); then goes on
    skips     what is gone by the time it is fetched; and what is too large, cannot be stored, or ends the connection
              again and again: that stays as it is, and is counted
    waits     longer after each failure; after a refused login a minute at least, so that no account is locked

A mailbox that was made anew (its UIDVALIDITY changed) is read again from the day of the last mail; what comes twice is
the same receipt. How far each was read, and since when and why one cannot be, stands in the table `mailbox`.
"""

from __future__ import annotations

import imaplib
import re
import threading
from collections import Counter
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import structlog
from imap_tools import BaseMailBox, MailBox, MailboxLoginError, MailBoxUnencrypted, MailMessageFlags
from imap_tools.errors import ImapToolsError
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from schema.errors import Permanent
from schema.mail.address import lead_of, mailbox_of
from schema.mail.mime import read_headers, split_head
from schema.mail.read import DATED, LEAD
from schema.mail.words import mailboxes
from schema.store import clock
from services.mail.door import submission_of
from services.receive import Overloaded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from services.receive import Submission

_PORT: Final = 143
_TLS_PORT: Final = 993
_TIMEOUT_S: Final = 30.0
_EVERY_S: Final = 10.0
_AT_ONCE: Final = 50
_AT_ONCE_BYTES: Final = 32 * 1024 * 1024
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_FIRST_LOGIN_PAUSE_S: Final = 60.0
_LONGEST_LOGIN_PAUSE_S: Final = 3600.0
_ALARM_AFTER: Final = timedelta(minutes=2)
_READ_AGAIN: Final = timedelta(days=2)
_MOST_BREAKS: Final = 3
"""How often the connection may end while one mail is fetched, before that mail is left alone."""
_HOLD_S: Final = 1.0
_SIZE: Final = re.compile(rb"UID (\d+).*?RFC822\.SIZE (\d+)|RFC822\.SIZE (\d+).*?UID (\d+)")
_DATE: Final = re.compile(rb'INTERNALDATE "([^"]+)"')
_TOKEN_HEADERS: Final = ("delivered-to", "x-original-to", "to", "cc")

log = structlog.get_logger()


class Place(NamedTuple):
    """A mailbox: where it is, whose mail it is, and what is done with what was read."""

    host: str
    port: int | None
    secure: bool
    user: str
    password: str
    folder: str
    source: str
    move: str = ""
    every_s: float = _EVERY_S

    @property
    def name(self) -> str:
        """What it is called in the table `mailbox`."""
        return f"{self.user}@{self.host}/{self.folder}"


def places_of(urls: str) -> list[Place]:
    """Read `THROUGHLINE_IMAP_URLS`. Raises Permanent (`imap_urls_invalid`) without telling the URL and its password."""
    return [_place(url, number) for number, url in enumerate(urls.split(), 1)]


def _place(url: str, number: int) -> Place:
    mistake = Permanent(
        "imap_urls_invalid",
        f"Mailbox {number} of THROUGHLINE_IMAP_URLS cannot be read. Write each as in "
        "imaps://user:password@host/INBOX?source=inbox, special characters of the password percent-encoded.",
    )
    try:
        parts = urlsplit(url)
        asked = {name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
        every_s = float(asked.pop("every", _EVERY_S))
        port = parts.port
    except ValueError:
        raise mistake from None
    if parts.scheme not in {"imap", "imaps"} or not (parts.hostname and parts.username and parts.password):
        raise mistake
    source, move = asked.pop("source", ""), asked.pop("move", "")
    if not source or asked or every_s <= 0:
        raise mistake
    return Place(
        parts.hostname,
        port,
        parts.scheme == "imaps",
        unquote(parts.username),
        unquote(parts.password),
        unquote(parts.path.strip("/")) or "INBOX",
        source,
        move,
        every_s,
    )


@dataclass(slots=True)
class Cursor:
    """How far a mailbox was read."""

    uid_validity: int | None = None
    uid: int = 0
    read_to: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None


class Poller:
    """
    Reads one mailbox until it is told to stop. `hand_over` has submissions committed and answers how each fared.

    `pepper` checks the plus-addresses of leads; a mail of more than `largest` bytes is left where it is.
    """

    def __init__(
        self,
        place: Place,
        engine: Engine,
        pepper: bytes,
        largest: int,
        hand_over: Callable[[Submission], Future[Any]],
        stop: threading.Event,
    ) -> None:
        self._place = place
        self._engine = engine
        self._pepper = pepper
        self._largest = largest
        self._hand_over = hand_over
        self._stop = stop
        self._cursor = Cursor()
        self._fetching = 0
        self._broke: Counter[int] = Counter()

    def run(self) -> None:
        """Connect, read, wait, and again; whatever happens."""
        while not self._stop.is_set():
            try:
                self._cursor = self._recall()
                with self._session() as session:
                    while not self._stop.is_set():
                        self._poll(session)
                        self._stop.wait(self._place.every_s)
            except Exception as error:  # noqa: BLE001 - one mailbox, or one answer of its server, never ends the others
                self._stop.wait(self._failed(error))

    @contextmanager
    def _session(self) -> Iterator[BaseMailBox]:
        place = self._place
        session: BaseMailBox
        if place.secure:
            session = MailBox(place.host, place.port or _TLS_PORT, timeout=_TIMEOUT_S)
        else:
            session = MailBoxUnencrypted(place.host, place.port or _PORT, timeout=_TIMEOUT_S)
        try:
            session.login(place.user, place.password, initial_folder=None)
            session.folder.set(place.folder)
            self._meet(session)
            yield session
            session.logout()
        finally:
            with suppress(OSError):
                session.client.shutdown()

    def _meet(self, session: BaseMailBox) -> None:
        """Begin anew where the mailbox is not the one that the cursor belongs to."""
        said: Any = session.client.untagged_responses.get("UIDVALIDITY") or [b"0"]
        validity = int(said[0])
        if validity != self._cursor.uid_validity:
            if self._cursor.uid_validity is not None:
                log.warning("imap.read_again", source=self._place.source)
                self._broke.clear()
            self._cursor.uid_validity, self._cursor.uid = validity, 0

    def _poll(self, session: BaseMailBox) -> None:
        """Read what is new, portion by portion."""
        cursor = self._cursor
        session.client.noop()
        since = f" SINCE {_day(cursor.read_to - _READ_AGAIN)}" if cursor.read_to and not cursor.uid else ""
        found = sorted(int(uid) for uid in session.uids(f"UID {cursor.uid + 1}:*{since}", charset=None))
        new = [uid for uid in found if uid > cursor.uid]
        while new and not self._stop.is_set():
            portion = self._portion(session, new[:_AT_ONCE])
            self._take(session, portion)
            new = new[len(portion) :]
        if not self._stop.is_set():
            self._remember()

    def _portion(self, session: BaseMailBox, uids: Sequence[int]) -> dict[int, int]:
        """Their sizes, as many as fit into memory together; 0 for what is gone."""
        answer = _fetched(session, ",".join(map(str, uids)), "(UID RFC822.SIZE)")
        sizes = {}
        for line in answer:
            if isinstance(line, bytes) and (said := _SIZE.search(line)):
                uid, size = (said[1], said[2]) if said[1] else (said[4], said[3])
                sizes[int(uid)] = int(size)
        portion: dict[int, int] = {}
        for uid in uids:
            size = sizes.get(uid, 0)
            if portion and sum(each for each in portion.values() if each <= self._largest) + size > _AT_ONCE_BYTES:
                break
            portion[uid] = size
        return portion

    def _take(self, session: BaseMailBox, portion: dict[int, int]) -> None:
        """Have a portion committed, mark what was, and move the cursor past it."""
        handed: dict[int, Submission] = {}
        skipped = sum(size > self._largest for size in portion.values())
        for uid in [uid for uid, size in portion.items() if 0 < size <= self._largest]:
            if self._broke[uid] >= _MOST_BREAKS:
                skipped += 1
                continue
            self._fetching = uid
            try:
                fetched = self._fetch(session, uid)
            except imaplib.IMAP4.abort:
                raise  # the connection is lost; the mail may be the reason
            except imaplib.IMAP4.error:
                skipped += 1
                fetched = None
            self._fetching = 0
            if fetched is not None:
                body, arrived = fetched
                handed[uid] = submission_of(self._place.source, body, self._headers(body, arrived))
                self._cursor.read_to = max(filter(None, (self._cursor.read_to, arrived)), default=None)
        kept = self._commit(handed)
        skipped += len(handed) - len(kept)
        if skipped:
            log.error("imap.skipped", source=self._place.source, mails=skipped)
        if kept:
            self._mark(session, [str(uid) for uid in kept])
        self._cursor.uid = max(portion)
        self._remember(skipped=skipped)

    def _fetch(self, session: BaseMailBox, uid: int) -> tuple[bytes, datetime | None] | None:
        """A mail's bytes and when it arrived; None if somebody took it away."""
        for item in _fetched(session, str(uid), "(UID INTERNALDATE BODY.PEEK[])"):
            if isinstance(item, tuple):
                return item[1], _arrived(item[0])
        return None

    def _commit(self, handed: dict[int, Submission]) -> list[int]:
        """Wait until all are committed, however long the database is away; those it will never take are left out."""
        waiting = dict(handed)
        kept = []
        while waiting:
            answers = {uid: self._hand_over(submission) for uid, submission in waiting.items()}
            for uid, answer in answers.items():
                try:
                    answer.result()
                except (Overloaded, Unavailable) as error:
                    log.warning("imap.holding", source=self._place.source, code=error.code)
                    continue
                except Exception:  # one poison mail never stops a mailbox
                    log.exception("imap.not_stored", source=self._place.source)
                else:
                    kept.append(uid)
                del waiting[uid]
            if waiting and self._stop.wait(_HOLD_S):
                raise ConnectionAbortedError
        return kept

    def _mark(self, session: BaseMailBox, uids: Sequence[str]) -> None:
        if self._place.move:
            session.move(uids, self._place.move)
        else:
            session.flag(uids, MailMessageFlags.SEEN, value=True)

    def _headers(self, body: bytes, arrived: datetime | None) -> dict[str, str]:
        headers = {DATED: arrived.isoformat()} if arrived else {}
        for name, value in read_headers(split_head(body)[0]):
            if name in _TOKEN_HEADERS and "+" in value:
                tokens = (mailbox_of(each.address)[1] for each in mailboxes(value))
                if lead := next(filter(None, (lead_of(self._pepper, token) for token in tokens)), None):
                    headers[LEAD] = lead
                    break
        return headers

    # -- what is remembered ------------------------------------------------------------------------------------------

    def _recall(self) -> Cursor:
        with self._engine.begin() as connection:
            connection.execute(_NAME, {"name": self._place.name, "source": self._place.source})
            row = connection.execute(_RECALL, {"name": self._place.name}).one()
        return Cursor(row.uid_validity, row.uid, row.read_to, row.failures, row.failing_since)

    def _remember(self, *, skipped: int = 0) -> None:
        cursor = self._cursor
        with self._engine.begin() as connection:
            connection.execute(
                _REMEMBER,
                {
                    "name": self._place.name,
                    "uid_validity": cursor.uid_validity,
                    "uid": cursor.uid,
                    "read_to": cursor.read_to,
                    "skipped": skipped,
                    "now": clock.now(),
                },
            )
        cursor.failures, cursor.failing_since = 0, None

    def _failed(self, error: Exception) -> float:
        """Remember a failure; return for how long to leave the mailbox alone."""
        if self._stop.is_set():
            return 0.0
        cursor, now = self._cursor, clock.now()
        self._broke[self._fetching] += 1 if self._fetching else 0
        self._fetching = 0
        refused = isinstance(error, MailboxLoginError)
        cursor.failures += 1
        cursor.failing_since = cursor.failing_since or now
        code = "login_refused" if refused else "mailbox_refused" if isinstance(error, ImapToolsError) else "unreachable"
        alarm = refused or now - cursor.failing_since >= _ALARM_AFTER
        pause = pause_s(cursor.failures, refused=refused)
        tell = log.error if alarm else log.warning
        tell("imap.alarm" if alarm else "imap.failed", source=self._place.source, code=code, again_in_s=pause)
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    _FAILED,
                    {
                        "name": self._place.name,
                        "failures": cursor.failures,
                        "since": cursor.failing_since,
                        "error": "database_unavailable" if isinstance(error, DBAPIError) else code,
                        "alarm": alarm,
                    },
                )
        except DBAPIError:
            log.warning("imap.not_remembered", source=self._place.source)
        return pause


def pause_s(failures: int, *, refused: bool) -> float:
    """
    How long a mailbox is left alone after so many failures in a row: twice as long each time, within limits.

    Providers lock an account after a few wrong passwords: after a refused login it is a minute first, an hour at most.
    """
    first, longest = (_FIRST_LOGIN_PAUSE_S, _LONGEST_LOGIN_PAUSE_S) if refused else (_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
    return float(min(first * 2 ** min(failures - 1, 20), longest))


def _fetched(session: BaseMailBox, uids: str, what: str) -> list[Any]:
    status, answer = session.client.uid("FETCH", uids, what)
    if status != "OK":
        raise imaplib.IMAP4.error(status)
    return answer or []


def _arrived(said: bytes) -> datetime | None:
    """When a mailbox got a mail."""
    found = _DATE.search(said)
    if not found:
        return None
    try:
        return datetime.strptime(found[1].decode("ascii", "replace").strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC)
    except ValueError:
        return None


def _day(moment: datetime) -> str:
    """A day as IMAP writes it, in English whatever the locale."""
    return f"{moment.day:02d}-{_MONTHS[moment.month - 1]}-{moment.year}"


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NAME: Final = text("INSERT INTO mailbox (name, source) VALUES (:name, :source) ON CONFLICT DO NOTHING")
_RECALL: Final = text("SELECT uid_validity, uid, read_to, failures, failing_since FROM mailbox WHERE name = :name")
_REMEMBER: Final = text("""
UPDATE mailbox SET uid_validity = :uid_validity, uid = :uid, read_to = :read_to, skipped = skipped + :skipped,
    polled_at = :now, failures = 0, failing_since = NULL, error = NULL, alarm = false
WHERE name = :name
""")
_FAILED: Final = text("""
UPDATE mailbox SET failures = :failures, failing_since = :since, error = :error, alarm = :alarm WHERE name = :name
""")
