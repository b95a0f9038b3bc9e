"""
Answers that have to be fetched: Meta and LinkedIn only send ids.

    hears   receipts in quarantine as `fetch_pending`
    reads   the provider's API, with the token from the environment variable that the source's `token` names
    writes  the fetched body beside the receipt, which is due again; until then when to try next

Hosts are those of the settings and ids are of known letters, so that no delivery says where a request goes. Several
processes may fetch: each claims what it tries for a minute. Nobody waits with a row locked while the provider answers.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import httpx
import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from schema import payload
from schema.providers import provider_of, values_of
from schema.providers.adapter import LIMITS
from schema.providers.ads import LINKEDIN_LEAD_SYNC, META_LEAD_ADS, deletion_key, has_answers
from schema.providers.signatures import secrets_of
from schema.store import clock, rows
from schema.understood import Raw
from services.receive import key_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncEngine

    from schema.journey import Source
    from schema.settings import Settings
    from services.sources import Sources

log = structlog.get_logger()

TRIED_FOR: Final = timedelta(days=7)
"""How long a receipt waits for its answers; then a person has to look."""
_EVERY_S: Final = 1.0
_AT_ONCE: Final = 10
_LEASE: Final = timedelta(minutes=1)
_FIRST_PAUSE: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(hours=1)
_TIMEOUT_S: Final = 10.0
_LARGEST: Final = 1024 * 1024
_LINKEDIN_VERSION: Final = "202510"
_META_NO_SUCH: Final = 100
_META_NO_TOKEN: Final = 190

# Whoever reads the row of `retrieval` before another's claim of it is committed, and locks the receipt after that,
# finds here that it is claimed.
_CLAIM: Final = text("""
WITH due AS (
    SELECT r.id FROM receipt AS r LEFT JOIN retrieval AS f ON f.receipt_id = r.id
    WHERE r.reason = 'fetch_pending' AND r.status = 'quarantined' AND (f.due_at IS NULL OR f.due_at <= :now)
    ORDER BY r.received_at LIMIT :most
    FOR UPDATE OF r SKIP LOCKED
), claimed AS (
    INSERT INTO retrieval AS f (receipt_id, due_at, attempts)
    SELECT id, :until, 1 FROM due
    ON CONFLICT (receipt_id) DO UPDATE SET due_at = excluded.due_at, attempts = f.attempts + 1
    WHERE f.due_at IS NULL OR f.due_at <= :now
    RETURNING f.receipt_id, f.attempts
)
SELECT r.id, r.source, r.channel, r.content_type, r.body, r.headers, r.received_at, c.attempts
FROM claimed AS c JOIN receipt AS r ON r.id = c.receipt_id
""")
_KEEP: Final = text("""
WITH kept AS (
    UPDATE retrieval SET body = CAST(:body AS bytea), content_type = :content_type, fetched_at = :now
    WHERE receipt_id = :id
)
UPDATE receipt SET status = 'pending', reason = NULL, due_since = :now,
    detail = nullif(detail - CAST('{fetch,attempts}' AS text[]), '{}')
WHERE id = :id AND status = 'quarantined' AND reason = 'fetch_pending'
""")
_LATER: Final = text("""
WITH later AS (UPDATE retrieval SET due_at = :due_at WHERE receipt_id = :id)
UPDATE receipt SET detail = coalesce(detail, '{}') || CAST(:detail AS jsonb)
WHERE id = :id AND status = 'quarantined' AND reason = 'fetch_pending'
""")
_END: Final = text("""
WITH ended AS (DELETE FROM retrieval WHERE receipt_id = :id)
UPDATE receipt SET status = :status, reason = :reason, detail = coalesce(detail, '{}') || CAST(:detail AS jsonb)
WHERE id = :id AND status = 'quarantined' AND reason = 'fetch_pending'
""")
_DELETED: Final = text("SELECT 1 FROM submission WHERE source = :source AND key = :key")


class Fetched(NamedTuple):
    """What came of one request: a body, or a code that says why not, with how long the provider wants us to wait."""

    code: str
    body: bytes = b""
    content_type: str = ""
    wait: timedelta = timedelta(0)


class Fetcher:
    """Fetches what receipts wait for; `on_fetched` hears the ids of those that can be understood now."""

    def __init__(
        self,
        engine: AsyncEngine,
        sources: Sources,
        settings: Settings,
        on_fetched: Callable[[Sequence[str]], None],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._engine = engine
        self._sources = sources
        self._urls = {META_LEAD_ADS.name: settings.meta_url, LINKEDIN_LEAD_SYNC.name: settings.linkedin_url}
        self._on_fetched = on_fetched
        self._environment = environment
        self._client: httpx.AsyncClient | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Open the client and go on fetching until the end."""
        self._task = asyncio.create_task(self._fetch_forever())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop; what was being fetched is tried again by whoever comes next."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._client:
            await self._client.aclose()

    async def fetch_due(self, now: datetime) -> int:
        """Try everything that is due once, and return how many receipts that were."""
        async with self._engine.begin() as connection:
            parameters = {"now": now, "until": now + _LEASE, "most": _AT_ONCE}
            claimed = list((await connection.execute(_CLAIM, parameters)).mappings())
        if claimed:
            await asyncio.gather(*(self._try(receipt, now) for receipt in claimed))
        return len(claimed)

    async def _fetch_forever(self) -> None:
        while True:
            busy = 0
            if self._sources.of_kind("hook"):
                try:
                    busy = await self.fetch_due(clock.now())
                except (SQLAlchemyError, OSError) as error:
                    log.warning("fetch.database_away", error=type(error).__name__)
            await asyncio.sleep(0 if busy == _AT_ONCE else _EVERY_S)

    async def _try(self, receipt: RowMapping, now: datetime) -> None:
        """Fetch what a receipt waits for; one that fails unexpectedly is tried again later and stops nobody."""
        try:
            await self._fetch(receipt, now)
        except (SQLAlchemyError, OSError):
            raise
        except Exception:
            log.exception("fetch.unexpected", receipt=receipt["id"])

    async def _fetch(self, receipt: RowMapping, now: datetime) -> None:
        source = self._sources.find(receipt["source"])
        raw = Raw(
            receipt["channel"], receipt["content_type"], receipt["body"], receipt["headers"], receipt["received_at"]
        )
        values = values_of(raw)
        provider = provider_of(source, values, receipt["headers"], receipt["content_type"]) if source else None
        id_ = provider.fetch(values) if provider and provider.fetch and values is not None else ""
        if source is None or provider is None or not id_:
            await self._write(_END, receipt, status="quarantined", reason="fetch_unknown", detail="{}")
            return
        if await self._is_deleted(receipt["source"], provider.name, id_):
            await self._write(_END, receipt, status="rejected", reason="answers_deleted", detail="{}")
            return
        answer = await self._ask(provider.name, id_, source)
        if not answer.code:
            kept = {"body": answer.body, "content_type": answer.content_type, "now": now}
            await self._write(_KEEP, receipt, **kept)
            self._on_fetched([receipt["id"]])
            return
        log.info("fetch.failed", receipt=receipt["id"], code=answer.code, attempts=receipt["attempts"])
        detail = rows.as_json({"fetch": answer.code, "attempts": receipt["attempts"]})
        if answer.code == "answers_gone":
            await self._write(_END, receipt, status="rejected", reason="answers_gone", detail=detail)
        elif now - receipt["received_at"] > TRIED_FOR:
            await self._write(_END, receipt, status="quarantined", reason="fetch_failed", detail=detail)
        else:
            pause = max(min(_FIRST_PAUSE * 2 ** min(receipt["attempts"] - 1, 20), _LONGEST_PAUSE), answer.wait)
            await self._write(_LATER, receipt, due_at=now + pause, detail=detail)

    async def _write(self, statement: object, receipt: RowMapping, **values: object) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(statement, {"id": receipt["id"], **values})  # type: ignore[call-overload]

    async def _is_deleted(self, source: str, provider: str, id_: str) -> bool:
        """Whether the provider has told since that these answers are to be forgotten, in whatever order it came."""
        key = deletion_key(provider, id_)
        if not key:
            return False
        async with self._engine.connect() as connection:
            found = await connection.execute(_DELETED, {"source": source, "key": key_digest(f"{provider} {key}")})
            return found.first() is not None

    async def _ask(self, provider: str, id_: str, source: Source) -> Fetched:
        token = self._environment.get(source.token or "", "")
        if not token:
            return Fetched("token_not_set")
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "Accept-Encoding": "identity"}
        parameters: dict[str, str] = {}
        if provider == META_LEAD_ADS.name:
            url = f"{self._urls[provider]}/{id_}"
            if secret := next(iter(secrets_of(self._environment.get(source.secret or "", ""))), ""):
                parameters["appsecret_proof"] = hmac.digest(secret.encode(), token.encode(), "sha256").hex()
        else:
            url = f"{self._urls[provider]}/leadFormResponses/{id_}"
            headers |= {"LinkedIn-Version": _LINKEDIN_VERSION, "X-Restli-Protocol-Version": "2.0.0"}
        self._client = self._client or httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False)
        try:
            async with (
                asyncio.timeout(2 * _TIMEOUT_S),
                self._client.stream("GET", url, params=parameters, headers=headers) as response,
            ):
                body = bytearray()
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > _LARGEST:
                        return Fetched("answers_too_large")
                return _judged(provider, response.status_code, response.headers, bytes(body))
        except (httpx.HTTPError, TimeoutError) as error:
            return Fetched("provider_unreachable" if isinstance(error, httpx.ConnectError) else "provider_no_answer")


def _judged(provider: str, status: int, headers: Mapping[str, str], body: bytes) -> Fetched:
    """What an answer means: answers, nothing there any more, a token that does not do, or that we should come back."""
    try:
        values = payload.decode(body, "application/json", mode=payload.Mode.LENIENT, limits=LIMITS).values
    except payload.Refused:
        values = {}
    error = values.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if status == httpx.codes.OK:
        return Fetched("", body, "application/json") if has_answers(values) else Fetched("answers_unreadable")
    if status == httpx.codes.GONE or (status == httpx.codes.NOT_FOUND and provider == LINKEDIN_LEAD_SYNC.name):
        return Fetched("answers_gone")
    if status in {401, 403} or code == _META_NO_TOKEN:
        return Fetched("token_refused")
    if status == httpx.codes.NOT_FOUND or code == _META_NO_SUCH:
        return Fetched("answers_not_found")  # Meta says so of what the token may not see, too
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return Fetched("rate_limited", wait=_retry_after(headers.get("retry-after", "")))
    return Fetched("provider_failed")


def _retry_after(given: str) -> timedelta:
    """How long the provider wants us to wait: seconds, at most an hour; nothing for what is no number."""
    with suppress(ValueError):
        return min(timedelta(seconds=max(int(given[:9]), 0)), _LONGEST_PAUSE)
    return timedelta(0)
