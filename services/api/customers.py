"""
What customers buy, how well they are, and what else they may need, over HTTP.

A purchase by hand is an arrival like any other, so it is answered with its receipt. What asks rules about a customer is
handed in: it is what workers do.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.store import people
from schema.store.ids import is_id
from schema.understand import ABOUT, KIND
from services.api.arriving import idempotency_key, kept_headers, store, trace_of
from services.api.context import answer, context, found, listed, may, read
from services.api.keys import Key
from services.api.problems import Problem
from services.api.shapes import Shape
from services.api.sold import Amount, Asked, Currency, Line, Period, Product
from services.receive import Arrival, Submission

router = APIRouter(tags=["people"])

Id = Annotated[str, Path(max_length=100)]
SourceName = Annotated[str, Query(max_length=63, pattern=r"^[a-z][a-z0-9_-]*$")]
_NO_PERSON: Final = ("person_not_found", "There is no such person.")


class OfContract(Asked):
    """The contract that a purchase begins or renews."""

    id: Line | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    period: Period | None = None
    renews_itself: bool | None = None


class Buying(Asked):
    """A sale. The same `order_id` told again is the same sale; a refund names the order that is paid back."""

    kind: Literal["purchase", "renewal", "refund"] = "purchase"
    amount: Amount
    currency: Currency
    order_id: Line | None = None
    refund_id: Line | None = None
    products: list[Product] = Field([], max_length=50)
    at: datetime | None = Field(None, description="When it was; default: now. UTC where nothing else is said.")
    contract: OfContract | None = None


class Receipts(Shape):
    """What became of it: `GET /v1/receipts/{id}`."""

    receipts: list[str]


class HealthRule(Shape):
    """A rule that holds."""

    rule: str
    points: int


class HealthOf(Shape):
    """How well a customer is by the rules of one journey."""

    lead_id: str
    journey: str
    journey_name: str
    score: int = Field(description="0 to 100.")
    start: int
    at_risk_below: int
    at_risk: bool
    rules: list[HealthRule]
    unknown: list[str] = Field(description="Rules that ask for what is not known of them.")


class Healths(Shape):
    """How well a customer is, by each journey that has rules for it."""

    items: list[HealthOf]
    next: None


class Evidence(Shape):
    """What is behind an offer that comes from purchases."""

    given: list[str]
    with_both: int
    with_given: int
    with_product: int
    people: int
    support: float
    confidence: float
    lift: float


class Offer(Shape):
    """Something to be offered."""

    product: str
    label: str
    kind: str
    by: Literal["rule", "history"]
    name: str | None = Field(description="Of the rule.")
    why: str
    evidence: Evidence | None


class NotOffered(Shape):
    """A rule that leads to no offer."""

    name: str
    product: str
    reason: Literal["has_it", "does_not_hold", "unknown"]
    missing: list[str]


class Offers(Shape):
    """What to offer somebody, best first."""

    items: list[Offer]
    not_offered: list[NotOffered]
    held_back: Literal["complaint_open"] | None
    people: int = Field(description="From how many people's purchases it was counted.")
    counted_at: datetime | None
    next: None


@router.post("/v1/people/{person_id}/purchases", response_model=Receipts, status_code=202)
async def buy(
    request: Request,
    person_id: Id,
    wanted: Buying,
    *,
    source: SourceName = "api",
    _key: Annotated[
        str | None, Header(alias="Idempotency-Key", description="The same key again is the same sale.")
    ] = None,
    _: Key = may("leads:write"),  # noqa: B008
) -> Response:
    """
    Tell what somebody bought, renewed or was paid back: an arrival of a source of kind `api`. Scope `leads:write`.

    The same content within the source's window is the same sale: give an `order_id` where somebody may buy alike twice.
    """
    named = context(request).sources.find(source)
    if named is None or named.kind != "api":
        raise Problem(404, "source_not_found", "There is no source of kind `api` with this name.")
    if not named.enabled:
        raise Problem(410, "source_disabled", "This source does not take leads any more.")
    lead_id = found(await read(request, people.latest_lead, person_id), *_NO_PERSON)
    headers = kept_headers(request) | {ABOUT: lead_id, KIND: wanted.kind}
    arrival = Arrival(source, "api", "application/json", _body(person_id, wanted), headers)
    submission = Submission([arrival], trace_of(request), idempotency_key(request), named.dedupe.window)
    await store(context(request).receiver, submission)
    return answer({"receipts": submission.receipt_ids}, 202)


@router.get("/v1/people/{person_id}/health", response_model=Healths, dependencies=[may("leads:read")])
async def health(request: Request, person_id: Id) -> Response:
    """Show how well a customer is now, by the journey's rules, and which of them say so. Scope `leads:read`."""
    await _known(request, person_id)
    return listed(await run_in_threadpool(context(request).retention.health, person_id))


@router.get("/v1/people/{person_id}/offers", response_model=Offers, dependencies=[may("leads:read")])
async def offers(request: Request, person_id: Id) -> Response:
    """
    Show what else somebody may need: by rules, and by what others bought who have what they have. Scope `leads:read`.

    Nothing that they have, and nothing while a complaint of theirs is open.
    """
    await _known(request, person_id)
    return answer(await run_in_threadpool(context(request).retention.offers, person_id) | {"next": None})


async def _known(request: Request, person_id: str) -> None:
    if not (is_id(person_id) and await read(request, people.exists, person_id)):
        raise Problem(404, *_NO_PERSON)


def _body(person_id: str, wanted: Buying) -> bytes:
    """The sale as it is kept: by the names that are read, with whose it is, so that no two people's are one."""
    said = {
        "about_person": person_id,
        "total": format(wanted.amount, "f"),
        "currency": wanted.currency,
        "order_id": wanted.order_id,
        "refund_id": wanted.refund_id,
        "products": [each.told() for each in wanted.products] or None,
        "occurred_at": wanted.at and wanted.at.isoformat(),
        "contract": wanted.contract and wanted.contract.model_dump(mode="json", exclude_none=True),
    }
    return msgspec.json.encode({name: value for name, value in said.items() if value is not None})
