"""
The page behind the link of a double opt-in: `GET /c/{token}` asks, `POST /c/{token}` confirms.

Looking at the page changes nothing: mail scanners follow every link. What is confirmed is an arrival like any other,
committed before it is said to be so; confirming twice is one arrival.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import text
from starlette.responses import Response

from schema import form, opt_in
from schema.opt_in import Confirmation
from schema.store import clock
from services.api.arriving import kept_headers, store, trace_of
from services.api.form_words import words_of
from services.api.forms import as_page
from services.receive import Arrival, Submission

if TYPE_CHECKING:
    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncEngine
    from starlette.requests import Request

    from services.receive import Receiver
    from services.sources import Sources

_PENDING: Final = text("""
SELECT source, lead_id, data -> 'consent_pending' AS purposes, data -> 'consent_evidence' AS evidence
FROM touchpoint WHERE id = CAST(:id AS uuid) AND data ? 'consent_pending'
""")


class OptIn:
    """The page of confirmation, over one receiver."""

    def __init__(self, engine: AsyncEngine, receiver: Receiver, sources: Sources, pepper: bytes) -> None:
        self._engine = engine
        self._sources = sources
        self._receiver = receiver
        self._pepper = pepper

    async def page(self, request: Request) -> Response:
        """Ask, or take the answer."""
        receipt = opt_in.check_token(self._pepper, request.path_params["token"], clock.now())
        pending = await self._pending(receipt) if receipt else None
        words = words_of(self._sources.find(pending["source"]) if pending else None)
        if receipt is None or pending is None:
            return as_page(words.language, words.dead_link, f"<p>{words.dead_link_why}</p>", status=404)
        if request.method == "POST":
            await self._confirm(request, receipt, pending)
            return as_page(words.language, words.thank_you, f"<p>{words.confirmed}</p>")
        said: dict[str, Any] = pending["evidence"] or {}
        asked = f'<blockquote class="soft">{escape(said["text"])}</blockquote>\n' if "text" in said else ""
        inner = (
            f"<p>{words.asked_for}</p>\n{asked}"
            f'<form method="post"><button type="submit">{words.yes}</button></form>\n'
            f'<p class="soft after">{words.not_you}</p>'
        )
        return as_page(words.language, words.please_confirm, inner, posts=True)

    async def _pending(self, receipt_id: str) -> RowMapping | None:
        async with self._engine.connect() as connection:
            return (await connection.execute(_PENDING, {"id": receipt_id})).mappings().one_or_none()

    async def _confirm(self, request: Request, receipt_id: str, pending: RowMapping) -> None:
        said = Confirmation(receipt_id, pending["lead_id"], pending["purposes"], pending["evidence"] or {})
        headers = kept_headers(request)
        if request.client:
            headers[form.NOTED_REMOTE] = form.keyed(self._pepper, request.client.host)
        arrival = Arrival(pending["source"], opt_in.CHANNEL, "application/json", msgspec.json.encode(said), headers)
        key = f"opt-in {receipt_id}"
        await store(self._receiver, Submission([arrival], trace_of(request), key, joins=True))
