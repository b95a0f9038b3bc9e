"""
The pages and places behind the links in our mail.

    /u/{token}       unsubscribe: GET shows a page with a button, so that a scanner which follows every link
                     unsubscribes nobody; POST does it, in one click from a mail program (RFC 8058) or from the page
    /l/{token}       a link of a message: leads to what is kept with the message, and nowhere else
    /o/{token}.gif   the picture that is fetched when a message is opened

A no counts at once, also for mail that is due already, and before it is answered: the suppression is committed first,
then the arrival, which tells the person's ledger and their lead. No cookies, no redirects on the way to a no.
"""

from __future__ import annotations

import base64
from collections import OrderedDict
from contextlib import suppress
from datetime import timedelta
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.responses import RedirectResponse, Response

from schema.consent import MARKETING
from schema.mailing.read import CHANNEL, Deed, What, machine
from schema.mailing.tokens import Use, read_token
from schema.mailing.wanted import Consent, refusal
from schema.mailing.words import language_of, words_of
from schema.store import clock, consents, sends, suppression
from schema.store.ids import is_id
from schema.store.journeys import JourneyBook
from services.api.arriving import BODY_WITHIN_S, body_of, kept_headers, store, trace_of
from services.api.edge import problem_of
from services.api.forms import as_page
from services.api.problems import Problem
from services.receive import Arrival, Submission

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from sqlalchemy import Connection, RowMapping
    from sqlalchemy.ext.asyncio import AsyncEngine
    from starlette.requests import Request

    from schema.journey import Journey
    from schema.mailing.words import Words
    from services.receive import Receiver

_LARGEST_BODY: Final = 16 * 1024
_LATELY: Final = timedelta(seconds=10)
_REMEMBERED: Final = 10_000
_PICTURE: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_NOT_KEPT: Final = {"Cache-Control": "no-store, private"}
_SEND: Final = text("""
SELECT s.id, s.journey_name, s.campaign, s.step, s.purpose, s.lead_id, s.person_id, s.settled_at, s.links,
       l.source, p.email, p.language
FROM send AS s LEFT JOIN lead AS l ON l.id = s.lead_id LEFT JOIN person AS p ON p.id = s.person_id
WHERE s.id = CAST(:id AS uuid)
""")


class Mailing:
    """What the links in our mail lead to, over one receiver."""

    def __init__(
        self, engine: AsyncEngine, receiver: Receiver, pepper: bytes, *, body_within_s: float = BODY_WITHIN_S
    ) -> None:
        self._engine = engine
        self._receiver = receiver
        self._pepper = pepper
        self._within_s = body_within_s
        self._book = JourneyBook()
        self._lately: OrderedDict[str, dict[int, datetime]] = OrderedDict()

    async def unsubscribe(self, request: Request) -> Response:
        """Ask, or take the no, or the choice."""
        send = await self._named(request, "unsubscribe")
        if send is None:
            words = words_of(request.headers.get("accept-language", "")[:2])
            return as_page("en", words.lost, f"<p>{words.lost_detail}</p>", status=404)
        if request.method != "POST":
            return await self._page(send)
        body = await body_of(request, _LARGEST_BODY, self._within_s)
        said = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=200)
        words = words_of(send["language"])
        if "save" in said:
            await self._choose(request, send, said.get("purpose", ()))
            return _said(send, words.saved, words.saved_detail, words)
        await self._refuse(request, send)
        return _said(send, words.done, words.done_detail, words)

    async def link(self, request: Request) -> Response:
        """Lead on to where the link of a message goes."""
        send = await self._named(request, "link")
        links = (send["links"] or []) if send else []
        number = request.state.number if send else 0
        if send is None or number >= len(links):
            raise Problem(404, "not_found", "This link does not work: a part of it was lost on the way.")
        with suppress(Problem):  # whoever reads is led on, whether it can be kept or not
            await self._tell(request, send, "click", number, links[number])
        return RedirectResponse(links[number], 302, _NOT_KEPT)

    async def picture(self, request: Request) -> Response:
        """Give the picture, and keep that the message was opened."""
        send = await self._named(request, "picture")
        if send is None:
            raise Problem(404, "not_found", "There is nothing here.")
        with suppress(Problem):
            await self._tell(request, send, "open", -1, "")
        return Response(_PICTURE, 200, _NOT_KEPT, "image/gif")

    async def _named(self, request: Request, use: Use) -> RowMapping | None:
        """The send that a token names, with its lead's source and its person's address and language."""
        named = read_token(self._pepper, use, request.path_params["token"])
        if named is None or not is_id(named.send_id):
            return None
        request.state.number = named.number
        try:
            async with self._engine.connect() as connection:
                return (await connection.execute(_SEND, {"id": named.send_id})).mappings().one_or_none()
        except (DBAPIError, NoConnectionFree) as error:
            raise problem_of(error) from error

    async def _page(self, send: RowMapping) -> Response:
        words = words_of(send["language"])
        async with self._engine.connect() as connection:
            purposes = await connection.run_sync(_choices, self._book, self._pepper, send)
        about = words.about.format(address=f"<b>{escape(_masked(send['email']))}</b>") if send["email"] else ""
        gets_any = not purposes or any(purposes.values())
        parts = [f"<p>{about}</p>" if about else ""]
        if gets_any:
            button = f'<button name="all" value="1" type="submit">{escape(words.do_it)}</button>'
            parts += [f'<form method="post">{button}</form>']
        if not gets_any or len(purposes) > 1 or (purposes and MARKETING not in purposes):
            parts += [_chooser(purposes, words, words.choose if gets_any else f"{words.preferences}:")]
        title = words.question if gets_any else words.done
        return as_page(language_of(send["language"]), title, "\n".join(parts), posts=True)

    async def _refuse(self, request: Request, send: RowMapping) -> None:
        """Take a no to all marketing."""
        now = clock.now()
        async with self._engine.begin() as connection:
            await connection.run_sync(_hold_back, self._pepper, send, ("",), (), now)
            consent = dict.fromkeys(sorted({MARKETING, send["purpose"] or MARKETING}), False)
            await connection.run_sync(_answered, send, consent, "unsubscribe", now)
        await self._arrives(request, send, _deed(send, "unsubscribe", consent=consent))

    async def _choose(self, request: Request, send: RowMapping, ticked: Collection[str]) -> None:
        """Take what somebody wants from now on; what they were not asked about stays as it is."""
        async with self._engine.begin() as connection:
            asked = await connection.run_sync(_choices, self._book, self._pepper, send)
            wanted = {purpose: purpose in ticked for purpose in asked}
            no = [purpose for purpose, yes in wanted.items() if not yes]
            yes = [purpose for purpose, yes in wanted.items() if yes]
            now = clock.now()
            await connection.run_sync(_hold_back, self._pepper, send, no if yes else ("", *no), yes, now)
            await connection.run_sync(_answered, send, wanted, "preferences", now)
        await self._arrives(request, send, _deed(send, "preferences", consent=wanted))

    async def _tell(self, request: Request, send: RowMapping, what: What, number: int, link: str) -> None:
        """Keep that a message was opened or a link followed; once for a person, and once for programs."""
        now = clock.now()
        since = now - send["settled_at"] if send["settled_at"] else None
        lately = self._count(send["id"], number, now) if what == "click" else 0
        why = machine(request.method, request.headers.get("user-agent", ""), since, lately)
        deed = _deed(send, what, link=link, machine=why)
        await self._arrives(request, send, deed, f"{what} {send['id']} {number} {'machine' if why else ''}")

    def _count(self, send_id: str, number: int, now: datetime) -> int:
        """How many different links of a message were followed within seconds."""
        found = {link: at for link, at in self._lately.pop(send_id, {}).items() if now - at < _LATELY}
        self._lately[send_id] = found | {number: now}
        if len(self._lately) > _REMEMBERED:
            self._lately.popitem(last=False)
        return len(self._lately[send_id])

    async def _arrives(self, request: Request, send: RowMapping, deed: Deed, key: str = "") -> None:
        source = await self._source(send)
        if source is None:
            return  # its person or its journey is gone; what holds mail back is written
        body = msgspec.json.encode(deed)
        arrival = Arrival(source, CHANNEL, "application/json", body, kept_headers(request))
        await store(self._receiver, Submission([arrival], trace_of(request), key, joins=True))

    async def _source(self, send: RowMapping) -> str | None:
        """The source that is told: the lead's own, or another of its journey where that is gone."""
        async with self._engine.connect() as connection:
            journeys = await connection.run_sync(self._book.by_name)
        journey = journeys.get(send["journey_name"])
        if journey is None or send["source"] in journey.sources:
            return str(send["source"]) if send["source"] else None
        return next(iter(journey.sources), None)


def _deed(
    send: RowMapping, what: What, *, consent: dict[str, bool] | None = None, link: str = "", machine: str = ""
) -> Deed:
    return Deed(what, send["id"], send["lead_id"], send["campaign"], send["step"], link, consent or {}, machine)


def _hold_back(
    connection: Connection, pepper: bytes, send: RowMapping, no: Collection[str], yes: Collection[str], now: datetime
) -> None:
    """Have a no hold at once, and lift an earlier one where there is a yes."""
    sends.told(connection, "unsubscribed", {send["id"]: now} if "" in no else {})
    key = suppression.address_key(send["email"]) if send["email"] else None
    if key is None:
        return
    if yes:
        suppression.lift(connection, pepper, key, now, purposes=("", *yes), actor="person", only="unsubscribed")
    said = partial(suppression.suppress, covers="marketing", send_id=send["id"], actor="person")
    said(connection, pepper, key, "unsubscribed", now, purposes=no)


def _answered(connection: Connection, send: RowMapping, wanted: Mapping[str, bool], basis: str, now: datetime) -> None:
    """Have the ledger know it at once, also of somebody who has no open lead any more."""
    for purpose, yes in wanted.items():
        state = "given" if yes else "withdrawn"
        consents.record(connection, send["person_id"], purpose, state, actor="person", basis=basis, now=now)


def _choices(connection: Connection, book: JourneyBook, pepper: bytes, send: RowMapping) -> dict[str, bool]:
    """The purposes of the journey's marketing, and which of them this person gets."""
    journey: Journey | None = book.by_name(connection).get(send["journey_name"])
    campaigns = journey.campaigns.values() if journey else ()
    purposes = sorted({each.purpose for each in campaigns if each.kind == "marketing"} | {send["purpose"]} - {None})
    key = suppression.address_key(send["email"]) if send["email"] else None
    wanted = {(key or "", purpose) for purpose in purposes}
    held = suppression.suppressed(connection, pepper, wanted, clock.now()) if key else {}
    said = {
        purpose: Consent(answer["id"], answer["state"] == "given", answer["at"])
        for purpose in {*purposes, MARKETING}
        if (answer := consents.standing(connection, [send["person_id"]], purpose).get(send["person_id"]))
    }
    return {purpose: refusal(purpose, said, held.get((key or "", purpose), ())) is None for purpose in purposes}


def _chooser(purposes: dict[str, bool], words: Words, asks: str) -> str:
    ticks = "\n".join(
        f'<div class="field tick"><input type="checkbox" id="p-{escape(name)}" name="purpose" value="{escape(name)}"'
        f'{" checked" if ticked else ""}><label for="p-{escape(name)}">{escape(name.replace("_", " ").capitalize())}'
        "</label></div>"
        for name, ticked in purposes.items()
    )
    return (
        f'<form method="post" class="after"><p class="after">{escape(asks)}</p>\n{ticks}\n'
        f'<button name="save" value="1" type="submit">{escape(words.save)}</button></form>'
    )


def _said(send: Any, title: str, detail: str, words: Words) -> Response:  # noqa: ANN401 - a row
    back = f'<p class="soft after"><a href="">{escape(words.back)}</a></p>'
    inner = f"<p>{escape(detail)}</p>\n{back}"
    return as_page(language_of(send["language"]), title, inner)


def _masked(address: str) -> str:
    """An address that says to its owner which one it is, and to others little."""
    local, _, host = address.rpartition("@")
    return f"{local[:1]}…@{host}"
