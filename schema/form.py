"""
A form of ours: the fields only it has, the proof of when its page was loaded, and how what it posts is read.

    _token       when the page was loaded, and which consent it showed; keyed, so nobody can make one up
    _website     stands where nobody sees it: who fills it in is a machine
    _redirect    the page to go to afterwards, one of those that the source allows
    _consent     the version of the consent that was shown

The names begin with an underscore and never become fields of a person.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schema import payload, spam
from schema.draft import draft
from schema.payload import Limits
from schema.payload.multipart import files_of
from schema.understood import Understood

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schema.draft import Draft
    from schema.journey import Source
    from schema.payload import Fields
    from schema.understood import Raw

TOKEN: Final = "_token"  # noqa: S105 - the name of a field
TRAP: Final = "_website"
REDIRECT: Final = "_redirect"
CONSENT: Final = "_consent"
CONTROLS: Final = (TOKEN, TRAP, REDIRECT, CONSENT)
"""The fields that are about the form, not about the person."""

NOTED_TOKEN: Final = "form-token"  # noqa: S105 - the name of a header
NOTED_AGE: Final = "form-age-ms"
NOTED_REPEATS: Final = "form-repeats"
NOTED_REMOTE: Final = "remote"
"""What the edge noticed, kept beside the headers of the receipt under names that no sender's header is kept under."""

GOOD_FOR: Final = timedelta(days=2)
"""How long a page may stay open before its token counts as old."""
WITH_FILES: Final = Limits(bytes=8 * 1024 * 1024)
"""For a form that asks for files."""
_AHEAD: Final = timedelta(minutes=2)
"""How far clocks of two of our machines may be apart."""
_SIGNATURE_BYTES: Final = 16
_LONGEST_AGENT: Final = 200
_LONGEST_VERSION: Final = 100


def limits_of(source: Source) -> Limits:
    """Return how much a form may post."""
    return WITH_FILES if any(field.kind == "file" for field in source.fields) else payload.LIMITS


def make_token(pepper: bytes, source: str, consent: str, now: datetime) -> str:
    """Return the proof that the page of a form, with this version of the consent, was loaded at `now`."""
    at = str(int(now.timestamp() * 1000))
    return f"{at}.{_signature(pepper, source, consent, at)}"


def check_token(pepper: bytes, source: str, consent: str, token: object, now: datetime) -> tuple[str, timedelta | None]:
    """Return `none`, `forged`, `old` or `ok`, and with the last two how long ago the page was loaded."""
    if not isinstance(token, str) or not token:
        return "none", None
    at, _, signature = token.partition(".")
    if not (at.isascii() and at.isdigit() and len(at) <= len("9999999999999") and signature.isascii()):
        return "forged", None
    if not hmac.compare_digest(signature, _signature(pepper, source, consent, at)):
        return "forged", None
    age = now - datetime.fromtimestamp(int(at) / 1000, UTC)
    if age < -_AHEAD:
        return "forged", None
    return "old" if age > GOOD_FOR else "ok", age


def _signature(pepper: bytes, source: str, consent: str, at: str) -> str:
    said = f"form\0{source}\0{consent}\0{at}".encode()
    digest = hmac.digest(pepper, said, hashlib.sha256)[:_SIGNATURE_BYTES]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def keyed(pepper: bytes, address: str) -> str:
    """Return a network address as a keyed hash: the same one is seen again, and nobody can tell which it was."""
    return hmac.digest(pepper, b"remote\0" + address.encode(), hashlib.sha256)[:_SIGNATURE_BYTES].hex()


def read_form(raw: Raw, source: Source) -> Understood:
    """
    What a form says: a payload by the source's mapping, weighed as spam, with its files and the consent it showed.

    :raises payload.Refused: it cannot be read at all
    """
    fields = payload.decode(raw.body, raw.content_type, mode=payload.Mode.LENIENT, limits=limits_of(source))
    controls: dict[str, Any] = {name: fields.values.pop(name) for name in CONTROLS if name in fields.values}
    read = draft(fields, source.map, region=source.region)
    verdict = spam.judge(read, _noticed(raw.headers, controls), source.spam.points)
    data = _evidence(raw, source, read, controls) | _files(raw, fields) | _pending(source, read)
    if verdict.reasons:
        data["spam"] = {"points": verdict.points, "reasons": msgspec.to_builtins(verdict.reasons)}
    held = verdict.points >= source.spam.hold
    return Understood(
        read,
        kind=read.kind or raw.channel,
        occurred_at=read.occurred_at,
        data=data,
        outcome="spam" if held else "",
        reason=verdict.reasons[0].code if held else "",
        detail={"spam": data["spam"] | {"hold": source.spam.hold}} if held else {},
    )


def _noticed(headers: Mapping[str, str], controls: Mapping[str, Any]) -> spam.Noticed:
    trap = controls.get(TRAP)
    age = headers.get(NOTED_AGE)
    return spam.Noticed(
        trapped=bool(trap.strip() if isinstance(trap, str) else trap),
        token=headers.get(NOTED_TOKEN, ""),
        age_s=int(age) / 1000 if age else None,
        repeats=int(headers.get(NOTED_REPEATS, "0")),
    )


def _evidence(raw: Raw, source: Source, read: Draft, controls: Mapping[str, Any]) -> dict[str, Any]:
    """What shows that consent was given: the words that stood there, which version, and how it came."""
    if not read.consent:
        return {}
    version = controls.get(CONSENT)
    shown = source.consent if source.consent and version == source.consent.version else None
    evidence = {
        "version": shown.version if shown else version[:_LONGEST_VERSION] if isinstance(version, str) else None,
        "text": shown.text if shown else None,
        "shown": raw.headers.get(NOTED_TOKEN) in {"ok", "old"} if version is not None else None,
        "remote": raw.headers.get(NOTED_REMOTE),
        "user_agent": raw.headers.get("user-agent", "")[:_LONGEST_AGENT] or None,
        "page": raw.headers.get("referer", "").partition("?")[0] or None,
    }
    return {"consent_evidence": {name: value for name, value in evidence.items() if value is not None}}


def _pending(source: Source, read: Draft) -> dict[str, Any]:
    """Take out of the draft what does not count before it is confirmed."""
    given = [purpose for purpose, is_given in read.consent.items() if is_given]
    if not (source.double_opt_in and given):
        return {}
    read.consent = {purpose: False for purpose, is_given in read.consent.items() if not is_given}
    return {"consent_pending": given}


def _files(raw: Raw, fields: Fields) -> dict[str, Any]:
    """The files that came, by number; their bytes stay in the receipt."""
    if not any(issue.code == "file_kept_raw" for issue in fields.issues):
        return {}
    found = files_of(raw.body, raw.content_type, limits=WITH_FILES)
    listed = [
        {
            "number": number,
            "field": file.field,
            "name": file.name,
            "type": file.content_type,
            "size": len(file.content),
            "sha256": hashlib.sha256(file.content).hexdigest(),
        }
        for number, file in enumerate(found, 1)
    ]
    return {"files": listed} if listed else {}
