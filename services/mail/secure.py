"""
Who may hand mail over, and how nobody listens in: the certificate for STARTTLS, and the logins of known senders.

Without a certificate mail comes in the clear; without logins anybody may send, as to any mail server. With logins only
those may who log in (PLAIN or LOGIN, over TLS only), which makes the door one for an own website or device.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import structlog
from aiosmtpd.smtp import AuthResult, LoginPassword

from schema.errors import Permanent

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger()


class Certificate:
    """
    A certificate with its chain, and its key: two files in PEM, which may be renewed while it is in use.

    Raises Permanent: `mail_certificate_invalid`.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._files: Final = (chain, key)
        try:
            self._seen = self._stamp()
            self._context = self._load()
        except (OSError, ssl.SSLError) as error:
            raise Permanent(
                "mail_certificate_invalid",
                "THROUGHLINE_MAIL_CERTIFICATE and THROUGHLINE_MAIL_CERTIFICATE_KEY are not the files of a certificate "
                f"and its key (PEM, the key without a password): {error.strerror or error}.",
            ) from error

    def context(self) -> ssl.SSLContext:
        """What the next connection is secured with. Files that cannot be read (half renewed) leave it as it is."""
        try:
            if (stamp := self._stamp()) != self._seen:
                self._seen = stamp
                self._context = self._load()
                log.info("mail.certificate_renewed")
        except (OSError, ssl.SSLError) as error:
            log.warning("mail.certificate_unreadable", code=type(error).__name__)
        return self._context

    def _stamp(self) -> tuple[int, ...]:
        return tuple(file.stat().st_mtime_ns for file in self._files)

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self._files, password="")  # or it would ask on the terminal
        return context


class Logins:
    """
    Names and passwords, as in `website:secret printer:secret`; special characters percent-encoded.

    Raises Permanent (`mail_logins_invalid`) without telling them.
    """

    def __init__(self, written: str) -> None:
        self._known: dict[bytes, bytes] = {}
        for number, each in enumerate(written.split(), 1):
            name, colon, password = each.partition(":")
            if not (name and colon and password):
                raise Permanent(
                    "mail_logins_invalid",
                    f"Login {number} of THROUGHLINE_MAIL_LOGINS cannot be read. Write each as name:password, special "
                    "characters percent-encoded, and a space between two.",
                )
            self._known[unquote(name).encode()] = _digest(unquote(password).encode())

    def __bool__(self) -> bool:
        return bool(self._known)

    def check(self, given: object) -> AuthResult:
        """The verdict on what somebody logs in with."""
        known = isinstance(given, LoginPassword) and self._known.get(given.login, b"")
        right = isinstance(given, LoginPassword) and hmac.compare_digest(known or b"", _digest(given.password))
        return AuthResult(success=right, handled=False, auth_data=given)


def _digest(password: bytes) -> bytes:
    return hashlib.sha256(password).digest()
