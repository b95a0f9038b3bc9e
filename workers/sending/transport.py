"""
Where messages are handed over, by THROUGHLINE_SMTP_URL.

    empty                               the folder `outbox` in the data folder, one .eml for each message
    smtp://user:password@host:587       a mail server; with a password only over TLS (STARTTLS)
    smtps://user:password@host:465      the same, encrypted from the first byte
    smtp://host:25?tls=required         `required`, `offered` (used where the server can) or `none`; `&name=` is how
                                        we call ourselves

What `hand_over` answers is certain, but for `Unsure`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from schema.errors import Permanent
from workers.decide.sending import Answer

if TYPE_CHECKING:
    from schema.mailing.message import Written
    from schema.settings import Settings

_TLS: Final = frozenset({"required", "offered", "none"})


class Accepted(NamedTuple):
    """It is the other side's now."""

    reply: str


class Refused(NamedTuple):
    """It was refused: for good, or for `now`."""

    answer: Answer
    for_now: bool


class NotTried(NamedTuple):
    """It did not come to that: the server is away, or takes nothing from us. `reason` is a code."""

    reason: str


class Unsure(NamedTuple):
    """It was handed over and nobody heard the answer: it may have gone out. `reason` is a code."""

    reason: str


Outcome = Accepted | Refused | NotTried | Unsure


class Transport(Protocol):
    """One way out, used by one thread."""

    def hand_over(self, send_id: str, written: Written) -> Outcome:
        """Hand a message over, once."""

    def has(self, send_id: str) -> bool | None:
        """Tell whether a message went out; None where nobody can know."""

    def close(self) -> None:
        """End what is open."""


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server, as its URL says."""

    host: str
    port: int
    encrypted: bool
    tls: str
    user: str = ""
    password: str = ""
    name: str = ""


def server_of(url: str) -> Server:
    """Read the URL of a mail server. Raises Permanent (`smtp_url_invalid`), never with what the URL says."""
    wrong = Permanent(
        "smtp_url_invalid",
        "THROUGHLINE_SMTP_URL has to be smtp://user:password@host:587 or smtps://user:password@host:465, with "
        "?tls=required, offered or none; empty writes mail to the folder `outbox`.",
    )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong from None
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    known = parts.scheme in {"smtp", "smtps"} and not parts.path.strip("/") and asked.keys() <= {"tls", "name"}
    if not known or not parts.hostname:
        raise wrong
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    tls = asked.get("tls", "required" if password else "offered")
    if tls not in _TLS:
        raise wrong
    encrypted = parts.scheme == "smtps"
    return Server(
        parts.hostname, port or (465 if encrypted else 587 if password else 25), encrypted, tls, user, password,
        asked.get("name", ""),
    )  # fmt: skip


class Outbox:
    """The folder: a message is there whole, or not at all, and the same one again is the same file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hand_over(self, send_id: str, written: Written) -> Outcome:
        """Write it so that it outlives a power cut."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            draft = self._folder / f".{send_id}.{os.getpid()}"
            with draft.open("wb") as file:
                file.write(written.raw)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(self._file(send_id))
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError:
            return NotTried("outbox_not_writable")
        return Accepted("250")

    def has(self, send_id: str) -> bool | None:
        """Look for its file."""
        return self._file(send_id).exists()

    def close(self) -> None:
        """Nothing is open."""

    def _file(self, send_id: str) -> Path:
        return self._folder / f"{send_id}.eml"


def make_transport(settings: Settings) -> Transport:
    """Return the way out that is configured; connects to nothing yet. Raises Permanent (`smtp_url_invalid`)."""
    url = settings.smtp_url.get_secret_value()
    if not url:
        return Outbox(settings.data_dir / "outbox")
    from workers.sending.smtp import Smtp  # noqa: PLC0415 - most installations try it out without one

    return Smtp(server_of(url))
