"""
Calendars: an owner's follow-ups for the program in which they look at their day.

    /calendar/{token}.ics     iCalendar (RFC 5545), to subscribe to; without a login, under a signed name that can be
                              taken back

Follow-ups are events, not tasks (VTODO): the calendars that people have at work and on their telephones show nothing of
the tasks in a calendar they subscribe to. One ends when the work is due and keeps nobody from being invited. The
address says whose it is to nobody, and what it leads to are words of the journey, names of people and companies.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import icalendar
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.responses import Response

from schema.mailing.message import NOWHERE
from schema.mailing.tokens import make_token, read_token
from schema.store import clock, follow_ups
from services.api.edge import problem_of
from services.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine
    from starlette.requests import Request

    from schema.settings import Settings
    from schema.store.journeys import JourneyBook

MOST: Final = 1_000
"""Events of what is open, and of what is over: programs that show calendars stop at more."""
KEPT: Final = timedelta(days=30)
"""How long what is over stays, so that it is seen to be."""
_LASTS: Final = timedelta(minutes=30)
_AGAIN: Final = timedelta(minutes=15)
"""How soon programs may ask again."""
_NOT_TEXT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_HEADERS: Final = {"Cache-Control": "private, max-age=60"}


class Calendars:
    """The calendars behind signed names."""

    def __init__(self, engine: AsyncEngine, settings: Settings) -> None:
        self._engine = engine
        self._pepper = settings.pepper()
        self._base_url = _base(settings)

    async def feed(self, request: Request) -> Response:
        """Give the calendar that a token names, or say that it has not changed."""
        named = read_token(self._pepper, "calendar", request.path_params["token"])
        content = await self._content(named.send_id) if named else None
        if content is None:
            detail = "There is no such calendar, or its address was taken back. Ask for a new one."
            raise Problem(404, "calendar_not_found", detail)
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = _HEADERS | {"ETag": etag}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, 200, headers, "text/calendar; charset=utf-8")

    async def _content(self, feed_id: str) -> bytes | None:
        try:
            async with self._engine.connect() as connection:
                return await connection.run_sync(content, feed_id, self._base_url, clock.now())
        except (DBAPIError, NoConnectionFree) as error:
            raise problem_of(error) from error


def address(
    connection: Connection, book: JourneyBook, settings: Settings, owner: str, actor: str, now: datetime
) -> str:
    """
    Return where an owner's calendar is; it has one from now on.

    :raises Permanent: `owner_unknown`
    """
    follow_ups.known(connection, book, owner)
    token = make_token(settings.pepper(), "calendar", follow_ups.feed_of(connection, owner, actor, now))
    return f"{_base(settings)}/calendar/{token}.ics"


def content(connection: Connection, feed_id: str, base_url: str, now: datetime) -> bytes | None:
    """Return the calendar of this id as it is written; None where there is none."""
    owner = follow_ups.owner_of(connection, feed_id)
    if owner is None:
        return None
    found = follow_ups.calendar(connection, owner, now - KEPT, most=MOST)
    return written((follow_ups.shown(row, now) | {"at": row["updated_at"], "changes": row["changes"]} for row in found),
                   owner, base_url)  # fmt: skip


def written(items: Iterable[Mapping[str, Any]], owner: str, base_url: str) -> bytes:
    """Write follow-ups (as `shown`, with `at` and `changes` of their latest change) as a calendar."""
    made = icalendar.Calendar()
    made.add("prodid", "-//Throughline//Follow-ups//EN")
    made.add("version", "2.0")
    made.add("method", "PUBLISH")
    made.add("x-wr-calname", f"Follow-ups of {owner}")
    made.add("refresh-interval", _AGAIN, parameters={"value": "DURATION"})
    made.add("x-published-ttl", "PT15M")
    for item in items:
        made.add_component(_event(item, base_url))
    return bytes(made.to_ical())


def _event(item: Mapping[str, Any], base_url: str) -> icalendar.Event:
    url = f"{base_url}/v1/follow-ups/{item['id']}"
    event = icalendar.Event()
    event.add("uid", f"{item['id']}@throughline")
    event.add("dtstamp", _whole(item["at"]))
    event.add("created", _whole(item["created_at"]))
    event.add("last-modified", _whole(item["at"]))
    event.add("sequence", item["changes"])
    event.add("dtstart", _whole(item["due_at"]) - _LASTS)
    event.add("dtend", _whole(item["due_at"]))
    event.add("summary", _summary(item))
    event.add("description", f"{_plain(item['text'])}\nAbout the {item['about']['kind']} {item['about']['id']}\n{url}")
    event.add("url", url)
    event.add("status", "CANCELLED" if item["status"] == "cancelled" else "CONFIRMED")
    event.add("transp", "TRANSPARENT")
    if item["status"] == "open" and item["remind_at"]:
        alarm = icalendar.Alarm()
        alarm.add("action", "DISPLAY")
        alarm.add("description", _summary(item))
        alarm.add("trigger", _whole(item["remind_at"]))
        event.add_component(alarm)
    return event


def _summary(item: Mapping[str, Any]) -> str:
    who = ", ".join(_plain(name) for name in (item["person"]["name"], item["person"]["company"]) if name)
    what = f"{_plain(item['text'])} ({who})" if who else _plain(item["text"])
    return f"Done: {what}" if item["status"] == "done" else what


def _plain(text: str) -> str:
    return _NOT_TEXT.sub(" ", text).strip()


def _whole(moment: datetime) -> datetime:
    """A moment as calendars have them: in whole seconds."""
    return moment.astimezone(UTC).replace(microsecond=0)


def _base(settings: Settings) -> str:
    return settings.base_url.rstrip("/") or NOWHERE
