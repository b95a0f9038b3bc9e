"""
Canaries: every way in is tried out on a schedule, as a sender would.

    form, api, event, hook   over HTTP, to `canary_url` (`throughline up` says it; else the `base_url`), with a key of
                             ours, or the hook's own secret
    bus                      a message to the source's queue, where events are taken from a broker
    mail                     by SMTP or LMTP to our own listener

One is planned (a row) before it is sent, so that none can be mistaken for a lead. Whether it comes through is noted by
the worker that reads it. Hooks that belong to one provider, mailboxes and files are not tried: only their owners can
send there.
"""

from __future__ import annotations

import json
import os
import secrets
import smtplib
import ssl
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx
import pika
import structlog
from pika.exceptions import AMQPError

from schema import canary
from schema.incoming import CLOUD_EVENT
from schema.providers.signatures import secrets_of
from schema.store import canaries, rows
from schema.store.ids import new_id
from services.api import keys
from services.bus.consume import queue_of
from services.mail.door import submission_of
from services.receive import Arrival, Submission, key_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from schema.journey import Source
    from schema.settings import Settings
    from schema.store.journeys import JourneyBook

log = structlog.get_logger()

SCOPES: Final = ("events:write", "leads:write")
_PATIENCE_S: Final = 10.0
_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to reach what listens everywhere


@dataclass(frozen=True, slots=True)
class Canary:
    """One that is to be sent: where, and by what it is known."""

    name: str
    source: Source
    path: str
    nonce: str


class NotSent(Exception):
    """It could not be handed over; the reason is a code."""


class Canaries:
    """Plans and sends them for one installation."""

    def __init__(self, engine: Engine, settings: Settings, book: JourneyBook) -> None:
        self._engine = engine
        self._settings = settings
        self._book = book
        self._every = timedelta(seconds=settings.canary_every_s)

    def fly(self, now: datetime, *, started: datetime) -> list[Canary]:
        """
        Send those that are due, and remove the old ones; return those that were sent.

        A way that was never tried waits for one interval since `started`. Without an interval all are removed.
        """
        with self._engine.begin() as connection:
            canaries.remove(connection, now, kept=canaries.KEPT if self._every else timedelta())
        if not self._every:
            return []
        with self._engine.begin() as connection:
            key = keys.own(connection, self._settings.pepper(), "canary", SCOPES, now)
            planned = self._planned(connection, now, started)
        for each in planned:
            try:
                _SEND[each.path](each, self._settings, key)
            except NotSent as error:
                log.warning("canary.not_sent", source=each.name, path=each.path, code=str(error))
                with self._engine.begin() as connection:
                    canaries.failed(connection, each.nonce, str(error))
        return planned

    def _planned(self, connection: Connection, now: datetime, started: datetime) -> list[Canary]:
        sent = canaries.last_sent(connection)
        planned = [
            Canary(name, source, path, secrets.token_hex(16))
            for journey in self._book.active(connection)
            for name, source in journey.sources.items()
            for path in ways(source, self._settings)
            if now - sent.get((name, path), started) >= self._every
        ]
        told = [
            {
                "id": new_id(),
                "nonce": each.nonce,
                "source": each.name,
                "path": each.path,
                "key": rows.as_bytea(_digest(each)),
                "sent_at": now,
            }
            for each in planned
        ]
        canaries.keep(connection, told)
        return planned


def ways(source: Source, settings: Settings) -> list[str]:
    """Return the ways into a source that can be tried, with these settings."""
    if not source.enabled:
        return []
    over_http = bool(_address(settings))
    if source.kind in {"form", "api"}:
        return [source.kind] if over_http else []
    if source.kind == "hook":
        return ["hook"] * (over_http and source.provider is None)
    if source.kind == "events":
        return ["event"] * over_http + ["bus"] * bool(settings.consume_url)
    if source.kind == "email":
        return ["mail"] * bool(settings.mail_listen and source.address)
    return []


def _form(each: Canary, settings: Settings, _: str) -> None:
    _post(settings, f"/f/{each.name}", canary.fields_of(each.source, each.nonce), {"Idempotency-Key": each.nonce}, each)


def _api(each: Canary, settings: Settings, key: str) -> None:
    headers = {"Idempotency-Key": each.nonce, "Authorization": f"Bearer {key}"}
    _post(settings, f"/v1/leads?source={each.name}", canary.fields_of(each.source, each.nonce), headers, each)


def _event(each: Canary, settings: Settings, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": CLOUD_EVENT}
    event = canary.event_of(each.name, each.source, each.nonce)
    _post(settings, f"/v1/events?source={each.name}", event, headers, each)


def _hook(each: Canary, settings: Settings, _: str) -> None:
    secrets = secrets_of(os.environ.get(each.source.secret or "", ""))
    headers = {"Authorization": f"Bearer {secrets[0]}"} if secrets else {}
    _post(settings, f"/hooks/{each.name}", canary.fields_of(each.source, each.nonce), headers, each)


def _bus(each: Canary, settings: Settings, _: str) -> None:
    parameters = pika.URLParameters(settings.consume_url)
    parameters.socket_timeout = parameters.blocked_connection_timeout = _PATIENCE_S
    attribute = canary.ATTRIBUTE.replace("ce-", "cloudEvents:", 1)
    properties = pika.BasicProperties(content_type=CLOUD_EVENT, headers={attribute: each.nonce}, delivery_mode=2)
    body = json.dumps(canary.event_of(each.name, each.source, each.nonce)).encode()
    try:
        connection = pika.BlockingConnection(parameters)
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish("", queue_of(each.name, each.source), body, properties, mandatory=True)
        finally:
            connection.close()
    except (AMQPError, OSError) as error:
        raise NotSent("bus_unreachable") from error


def _mail(each: Canary, settings: Settings, _: str) -> None:
    place = urlsplit(settings.mail_listen)
    client = smtplib.LMTP if place.scheme == "lmtp" else smtplib.SMTP
    host = place.hostname or ""
    port = place.port or (24 if place.scheme == "lmtp" else 25)
    try:
        with client(_HERE.get(host, host), port, timeout=_PATIENCE_S) as server:
            server.ehlo_or_helo_if_needed()
            if server.has_extn("starttls"):
                # Our own listener, whose certificate is made out to the name that others know it by.
                server.starttls(context=ssl._create_unverified_context())  # noqa: S323, SLF001
            if login := settings.mail_logins.get_secret_value().split():
                server.login(*login[0].split(":", 1))
            server.sendmail(canary.address_of(each.nonce), [each.source.address or ""], _written(each))
    except (smtplib.SMTPException, OSError) as error:
        raise NotSent("mail_refused" if isinstance(error, smtplib.SMTPException) else "mail_unreachable") from error


_SEND: Final[Mapping[str, Callable[[Canary, Settings, str], None]]] = {
    "form": _form,
    "api": _api,
    "event": _event,
    "hook": _hook,
    "bus": _bus,
    "mail": _mail,
}


def _post(settings: Settings, path: str, body: object, headers: Mapping[str, str], each: Canary) -> None:
    given = {"Content-Type": "application/json", canary.HEADER: each.nonce, **headers}
    try:
        answer = httpx.post(_address(settings) + path, content=json.dumps(body), headers=given, timeout=_PATIENCE_S)
    except httpx.HTTPError as error:
        raise NotSent("http_unreachable") from error
    if not answer.is_success:
        raise NotSent(f"http_{answer.status_code}")


def _address(settings: Settings) -> str:
    return (settings.canary_url or settings.base_url).rstrip("/")


def _written(each: Canary) -> bytes:
    return canary.mail_of(each.source, each.nonce)


def _digest(each: Canary) -> bytes:
    """What its submission will be remembered by."""
    if each.path == "mail":
        return submission_of(each.name, _written(each), {}).digest
    if each.path in {"event", "bus"}:
        event = canary.event_of(each.name, each.source, each.nonce)
        return key_digest(f"{event['source']} {event['id']}")
    if each.path == "hook":  # without a name of its own a delivery is known by its content
        body = json.dumps(canary.fields_of(each.source, each.nonce)).encode()
        return Submission([Arrival(each.name, "hook", "application/json", body)], "").digest
    return key_digest(each.nonce)
