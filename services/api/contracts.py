"""
Contracts over HTTP: what renews when, and to add, renew and cancel them.

What changes a contract is handed in: it is what workers do.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, cast

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema import contract
from schema.errors import Permanent, ThroughlineError, Transient
from schema.store import clock, contracts
from services.api.context import Cursor, answer, context, found, listed, may, read
from services.api.keys import Key
from services.api.problems import Problem
from services.api.shapes import ProblemDocument, Shape
from services.api.sold import Amount, Asked, Code, Currency, Line, Period, Product

router = APIRouter(tags=["contracts"])

Id = Annotated[str, Path(max_length=100)]
_UUID: Final = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
OfId = Annotated[str | None, Query(pattern=_UUID)]
PageSize = Annotated[int, Query(ge=1, le=contracts.LARGEST_PAGE)]


class Terms(Asked):
    """The days of a term, and what is agreed on. `ends_on` is the last day; in its place a `period` may be given."""

    starts_on: date | None = Field(None, description="Default: today, or the day after the term before.")
    ends_on: date | None = None
    period: Period | None = None
    renews_itself: bool | None = None
    amount: Amount | None = Field(None, description="For the whole term.")
    currency: Currency | None = None
    products: list[Product] = Field([], max_length=50)


class Adding(Terms):
    """A contract to be added; `source` and `external_id` are what another system calls it."""

    source: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")] | None = None
    external_id: Line | None = None


class Cancelling(Asked):
    """Until when it runs, if not until the end of its term; and why: a code."""

    ends_on: date | None = None
    reason: Code | None = None


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


_CONFLICT: Final[dict[int | str, dict[str, Any]]] = {
    409: {
        "model": ProblemDocument,
        "description": "`contract_renewed` (`renewed_as` is the term that follows), `contract_over`, "
        "`contract_exists`, `contracts_off`, `lead_merged`.",
    },
}
_STATUS: Final = {"lead_unknown": 404, "contract_unknown": 404, "term_unclear": 422, "reason_not_a_code": 422}
_CODES: Final = {"lead_unknown": "lead_not_found", "contract_unknown": "contract_not_found"}


@router.get("/v1/contracts", response_model=Contracts, dependencies=[may("contracts:read")])
async def list_contracts(
    request: Request,
    *,
    person: OfId = None,
    lead: OfId = None,
    ends_by: Annotated[date | None, Query(description="Only those whose last day is not after this.")] = None,
    status: Annotated[
        contracts.Status | None, Query(description="Only these; `renewed` and `ended` ones of one person or lead.")
    ] = None,
    cursor: Cursor = None,
    limit: PageSize = 50,
) -> Response:
    """
    List contracts that run, those that end first at first; of one person or lead those that are over too.

    Scope `contracts:read`.
    """
    asked: dict[str, Any] = {"person": person, "lead": lead, "until": ends_by, "status": status, "cursor": cursor}
    try:
        items, following = await read(request, contracts.contracts, clock.now(), **asked, limit=limit)
    except Permanent as error:
        pointer = "/query/cursor" if error.code == "cursor_invalid" else "/query/status"
        raise Problem(422, error.code, str(error), pointer=pointer) from error
    return listed(items, following)


@router.get(
    "/v1/contracts/{contract_id}",
    response_model=ContractShown,
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
)
async def cancel(request: Request, contract_id: Id, wanted: Cancelling, key: Key = may("contracts:write")) -> Response:  # noqa: B008
    """
    Have a contract not be renewed: it runs until the end of its term, or `ends_on`. Scope `contracts:write`.

    One that is over by then has ended at once.
    """
    act = context(request).retention.cancel
    asked = {"ends_on": wanted.ends_on, "reason": wanted.reason}
    return answer(await _done(act, contract_id, **asked, actor=f"key:{key.id}"))


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
        products=[each.told() for each in wanted.products],
    )


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
