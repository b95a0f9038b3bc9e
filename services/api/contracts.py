"""
Contracts, purchases by hand, health and offers over HTTP.

What changes a contract, and what asks rules about a customer, is handed in: it is what workers do. A purchase is an
arrival like any other, so it is answered with its receipt.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema import contract, purchase
from schema.errors import ThroughlineError, Transient
from schema.store import clock, contracts, people
from schema.store.ids import is_id
from schema.understand import ABOUT, KIND
from services.api.arriving import idempotency_key, kept_headers, store, trace_of
from services.api.context import Cursor, answer, context, found, listed, may, read
from services.api.keys import Key
from services.api.problems import Problem
from services.api.shapes import ProblemDocument, Shape
from services.receive import Arrival, Submission

router = APIRouter()

Id = Annotated[str, Path(max_length=100)]
_UUID: Final = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
OfId = Annotated[str | None, Query(pattern=_UUID)]
PageSize = Annotated[int, Query(ge=1, le=contracts.LARGEST_PAGE)]
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
SourceName = Annotated[str, Query(max_length=63, pattern=r"^[a-z][a-z0-9_-]*$")]
_NO_PERSON: Final = ("person_not_found", "There is no such person.")


def _currency(value: str) -> str:
    if value not in purchase.CURRENCIES:
        raise ValueError("a currency is written as in EUR")
    return value


def _period(value: str) -> str:
    if (known := contract.period(value)) is None:
        raise ValueError("a period is written as in P12M, P30D, monthly or yearly")
    return known


def _amount(value: Decimal) -> Decimal:
    if not value.is_finite() or value < 0:
        raise ValueError("an amount is a number of 0 or more")
    return value


Amount = Annotated[Decimal, Field(max_digits=27, decimal_places=12), AfterValidator(_amount)]
Currency = Annotated[str, AfterValidator(_currency), Field(description="ISO 4217, as in EUR.")]
Period = Annotated[str, AfterValidator(_period), Field(max_length=40, description="`P12M`, `P30D`, `monthly`, …")]


class Product(Shape):
    """What is bought, as far as it is told."""

    name: Line | None = None
    sku: Line | None = None
    quantity: Line | None = None
    price: Line | None = None


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Terms(_Asked):
    """The days of a term, and what is agreed on. `ends_on` is the last day; in its place a `period` may be given."""

    starts_on: date | None = Field(None, description="Default: today, or the day after the term before.")
    ends_on: date | None = None
    period: Period | None = None
    renews_itself: bool | None = None
    amount: Amount | None = Field(None, description="For the whole term.")
    currency: Currency | None = None
    products: Annotated[list[Product], Field(max_length=50)] = []


class Adding(Terms):
    """A contract to be added; `source` and `external_id` are what another system calls it."""

    source: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")] | None = None
    external_id: Line | None = None


class Cancelling(_Asked):
    """Until when it runs, if not until the end of its term; and why: a code."""

    ends_on: date | None = None
    reason: Code | None = None


class OfContract(_Asked):
    """The contract that a purchase begins or renews."""

    id: Line | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    period: Period | None = None
    renews_itself: bool | None = None


class Buying(_Asked):
    """A sale. The same `order_id` told again is the same sale; a refund names the order that is paid back."""

    kind: Literal["purchase", "renewal", "refund"] = "purchase"
    amount: Amount
    currency: Currency
    order_id: Line | None = None
    refund_id: Line | None = None
    products: Annotated[list[Product], Field(max_length=50)] = []
    at: datetime | None = Field(None, description="When it was; default: now. UTC where nothing else is said.")
    contract: OfContract | None = None


class Contract(Shape):
    """One term of a contract; days are days of its time zone."""

    id: str
    lead_id: str
    person_id: str
    journey_name: str
    source: str
    external_id: str | None
    follows: str | None = Field(description="The term before.")
    products: list[dict[str, str]]
    amount: str | None = Field(description="For the whole term.")
    currency: str | None
    starts_on: date
    ends_on: date = Field(description="Its last day.")
    period: str | None
    tz: str
    renews_itself: bool
    status: Literal["active", "renewed", "ended", "cancelled"]
    running: bool
    days_left: int | None = Field(description="Today's included; null where it does not run.")
    reason: str | None = Field(description="Why it was cancelled.")
    told: list[int] = Field(description="The days before the end whose moment was told.")
    recorded_at: datetime
    cancelled_at: datetime | None
    ended_at: datetime | None


class TermOf(Shape):
    """One of the terms of a contract."""

    id: str
    number: int
    starts_on: date
    ends_on: date
    status: str
    ended_at: datetime | None


class ContractShown(Contract):
    """One term, and all terms of its contract in order."""

    terms: list[TermOf]


class Contracts(Shape):
    """One page of contracts."""

    items: list[Contract]
    next: str | None


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


_CONFLICT: Final[dict[int | str, dict[str, Any]]] = {
    409: {
        "model": ProblemDocument,
        "description": "`contract_renewed` (`renewed_as` is the term that follows), `contract_over`, "
        "`contract_exists`, `contracts_off`, `lead_merged`.",
    },
}
_STATUS: Final = {"lead_unknown": 404, "contract_unknown": 404, "term_unclear": 422, "reason_not_a_code": 422}
_CODES: Final = {"lead_unknown": "lead_not_found", "contract_unknown": "contract_not_found"}


@router.get("/v1/contracts", response_model=Contracts, tags=["contracts"], dependencies=[may("contracts:read")])
async def list_contracts(
    request: Request,
    *,
    person: OfId = None,
    lead: OfId = None,
    ends_by: Annotated[date | None, Query(description="Only those whose last day is not after this.")] = None,
    over: Annotated[bool, Query(description="With those that are over; of one person or lead.")] = False,
    cursor: Cursor = None,
    limit: PageSize = 50,
) -> Response:
    """List contracts that run, those that end first at first. Scope `contracts:read`."""
    if over and not (person or lead):
        detail = "Contracts that are over are listed of one `person` or `lead`."
        raise Problem(422, "filter_missing", detail, pointer="/query/over")
    if cursor is not None and not contracts.is_cursor(cursor):
        raise Problem(422, "cursor_invalid", "This is not a cursor of this list.", pointer="/query/cursor")
    asked: dict[str, Any] = {"person": person, "lead": lead, "until": ends_by, "running": not over}
    items, following = await read(request, contracts.contracts, clock.now(), **asked, cursor=cursor, limit=limit)
    return listed(items, following)


@router.get(
    "/v1/contracts/{contract_id}",
    response_model=ContractShown,
    tags=["contracts"],
    dependencies=[may("contracts:read")],
)
async def show(request: Request, contract_id: Id) -> Response:
    """Show one term of a contract, with all its terms. Scope `contracts:read`."""
    shown = await read(request, contracts.contract, contract_id, clock.now())
    return answer(found(shown, "contract_not_found", "There is no such contract."))


@router.post(
    "/v1/leads/{lead_id}/contracts",
    response_model=Contract,
    status_code=201,
    responses=_CONFLICT,
    tags=["contracts"],
)
async def add(request: Request, lead_id: Id, wanted: Adding, key: Key = may("contracts:write")) -> Response:  # noqa: B008
    """
    Add a contract that runs with a lead. Scope `contracts:write`.

    From `starts_on` to `ends_on`, or as long as `period` says. It is talked about before it ends as the journey has it.
    """
    act = context(request).retention.add
    told = _told("started", wanted, wanted.external_id)
    return answer(await _done(act, lead_id, told, source=wanted.source, actor=f"key:{key.id}"), 201)


@router.post(
    "/v1/contracts/{contract_id}/renew",
    response_model=Contract,
    status_code=201,
    responses=_CONFLICT,
    tags=["contracts"],
)
async def renew(request: Request, contract_id: Id, wanted: Terms, key: Key = may("contracts:write")) -> Response:  # noqa: B008
    """
    Have another term follow one that runs, and show the new one. Scope `contracts:write`.

    It begins the day after and is as long as the one before, unless something else is said. Renewing twice is refused.
    """
    act = context(request).retention.renew
    return answer(await _done(act, contract_id, _told("renewed", wanted, None), actor=f"key:{key.id}"), 201)


@router.post(
    "/v1/contracts/{contract_id}/cancel",
    response_model=Contract,
    responses=_CONFLICT,
    tags=["contracts"],
)
async def cancel(request: Request, contract_id: Id, wanted: Cancelling, key: Key = may("contracts:write")) -> Response:  # noqa: B008
    """
    Have a contract not be renewed: it runs until the end of its term, or `ends_on`. Scope `contracts:write`.

    One that is over by then has ended at once.
    """
    act = context(request).retention.cancel
    asked = {"ends_on": wanted.ends_on, "reason": wanted.reason}
    return answer(await _done(act, contract_id, **asked, actor=f"key:{key.id}"))


@router.post("/v1/people/{person_id}/purchases", response_model=Receipts, status_code=202, tags=["people"])
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


@router.get("/v1/people/{person_id}/health", response_model=Healths, tags=["people"], dependencies=[may("leads:read")])
async def health(request: Request, person_id: Id) -> Response:
    """Show how well a customer is now, by the journey's rules, and which of them say so. Scope `leads:read`."""
    await _known(request, person_id)
    return listed(await run_in_threadpool(context(request).retention.health, person_id))


@router.get("/v1/people/{person_id}/offers", response_model=Offers, tags=["people"], dependencies=[may("leads:read")])
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


def _told(what: contract.What, wanted: Terms, external_id: str | None) -> contract.Told:
    if wanted.amount is not None and wanted.currency is None:
        raise Problem(422, "currency_missing", "An amount needs its currency.", pointer="/body/currency")
    return contract.Told(
        what,
        external_id=external_id,
        starts=wanted.starts_on,
        last_day=wanted.ends_on,
        period=wanted.period,
        renews_itself=wanted.renews_itself,
        amount=wanted.amount,
        currency=wanted.currency,
        products=[_product(each) for each in wanted.products],
    )


def _product(product: Product) -> dict[str, str]:
    return {name: value for name, value in product.model_dump().items() if value is not None}


def _body(person_id: str, wanted: Buying) -> bytes:
    """The sale as it is kept: by the names that are read, with whose it is, so that no two people's are one."""
    said = {
        "about_person": person_id,
        "total": format(wanted.amount, "f"),
        "currency": wanted.currency,
        "order_id": wanted.order_id,
        "refund_id": wanted.refund_id,
        "products": [_product(each) for each in wanted.products] or None,
        "occurred_at": wanted.at and wanted.at.isoformat(),
        "contract": wanted.contract and wanted.contract.model_dump(mode="json", exclude_none=True),
    }
    return msgspec.json.encode({name: value for name, value in said.items() if value is not None})


async def _done(act: Callable[..., dict[str, Any]], subject: str, *told: Any, **asked: Any) -> dict[str, Any]:  # noqa: ANN401 - as `act` has it
    try:
        return await run_in_threadpool(act, subject, *told, **asked)
    except Transient as error:
        raise Problem(503, error.code, "The contract cannot be changed now.", retry_after_s=1) from error
    except ThroughlineError as error:
        status, code = _STATUS.get(error.code, 409), _CODES.get(error.code, error.code)
        raise Problem(status, code, _words(error), **cast("dict[str, Any]", error.facts)) from error


def _words(error: ThroughlineError) -> str:
    said = str(error)
    return said if said != error.code else "This cannot be done with the contract."
