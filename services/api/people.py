"""People over HTTP: one with all that belongs to them, to find one by a match key, and consent taken by hand."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from schema.draft import moment
from schema.store import clock, consents, people
from services.api.context import PLAIN, Cursor, answer, checked_cursor, found, listed, may, read, write
from services.api.contracts import Contract
from services.api.keys import Key
from services.api.problems import Problem
from services.api.shapes import Shape

router = APIRouter(tags=["people"])

_UNKNOWN: Final = ("person_not_found", "There is no such person.")
Wanted = Annotated[str | None, Query(max_length=320, pattern=PLAIN)]
Line = Annotated[str, Field(max_length=100, pattern=r"^[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")]
Words = Annotated[str | None, Field(max_length=5000, pattern=r"^[^\x00]*$")]
PageSize = Annotated[int, Query(ge=1, le=people.LARGEST_PAGE)]


class Employer(Shape):
    """Whom a person works for, as far as it is known."""

    id: str | None
    name: str | None
    domain: str | None
    employees: int | None


class Origin(Shape):
    """Which arrival said something, and when."""

    receipt: str | None = Field(description="Null: it was known before this was kept.")
    at: datetime | None
    source: str | None
    channel: str | None
    by_themselves: bool = Field(description="They said it in a form; else a program, a list or a mail did.")


class Other(Origin):
    """A value that somebody else said, or that was said before."""

    value: Any


class Known(Origin):
    """Where a value came from, with those that were said and do not stand."""

    others: list[Other]


class MatchKey(Shape):
    """What a person is found by."""

    kind: str = Field(description="`email`, `phone`, or `external:` and the source whose id it is.")
    value: str


class Consent(Shape):
    """One answer: what somebody allowed or refused, and what shows it."""

    id: str
    purpose: str
    state: Literal["pending", "given", "withdrawn"]
    at: datetime = Field(description="When it was given.")
    basis: str = Field(description="What it rests on: `opt_in`, `double_opt_in`, `reported`, `complaint`, …")
    text: str | None = Field(description="The words that were shown.")
    text_version: str | None
    source: str | None
    channel: str
    receipt_id: str | None
    actor: str | None = Field(description="Who recorded it by hand.")
    evidence: dict[str, Any]
    recorded_at: datetime


class Consents(Shape):
    """One page of everything that somebody answered."""

    items: list[Consent]
    next: str | None


class Purchase(Shape):
    """One sale; amounts are decimals as text, and never negative."""

    id: str
    kind: Literal["purchase", "renewal", "refund"]
    at: datetime
    amount: str | None
    currency: str | None = Field(description="ISO 4217; as it was told where `issues` says so.")
    source: str
    external_id: str | None
    order_id: str | None = Field(description="Of a refund: what was paid back.")
    products: list[dict[str, str]]
    issues: list[str]
    lead_id: str
    receipt_id: str


class Purchases(Shape):
    """One page of purchases."""

    items: list[Purchase]
    next: str | None


class Bought(Purchases):
    """What somebody bought: all of it in figures, the latest in full."""

    count: int = Field(description="Without refunds.")
    total: dict[str, str] = Field(description="Lifetime value by currency; refunds are taken off.")
    last_at: datetime | None


class LeadOf(Shape):
    """One of a person's leads."""

    id: str
    journey_name: str
    state: str
    open: bool
    owner: str | None
    source: str
    created_at: datetime


class WholePerson(Shape):
    """One person, and all that belongs to them."""

    id: str
    merged_into: str | None = Field(description="Who they turned out to be; everything is there.")
    name: str | None
    email: str | None
    phone: str | None
    country: str | None
    language: str | None
    company: Employer
    interests: list[str]
    preferences: dict[str, Any]
    custom: dict[str, Any]
    known: dict[str, Known] = Field(description="By field (`name`, `custom.budget`, `interests.crm`): who said it.")
    keys: list[MatchKey]
    consents: list[Consent] = Field(description="What stands now, for each purpose.")
    purchases: Bought
    contracts: list[Contract] = Field(description="Those that run; the 50 that end first.")
    health: int | None = Field(description="As of when something last happened; null: they have not bought.")
    leads: list[LeadOf] = Field(description="The newest 50.")
    created_at: datetime
    updated_at: datetime


class People(Shape):
    """The people who were found."""

    items: list[WholePerson]
    next: str | None


class Answer(BaseModel):
    """An answer that somebody gave to a person of the business."""

    model_config = ConfigDict(extra="forbid")

    purpose: Line
    state: Literal["given", "withdrawn"]
    at: Annotated[datetime | None, Field(description="When it was given, UTC where nothing else is said.")] = None
    basis: Annotated[str, Field(max_length=63, pattern=r"^[a-z][a-z0-9_]*$")] = "by_hand"
    text: Annotated[Words, Field(description="The words they agreed to.")] = None
    text_version: Line | None = None
    note: Annotated[Words, Field(description="What shows it, as in where it was signed.")] = None


@router.get("/v1/people/{person_id}", response_model=WholePerson, dependencies=[may("leads:read")])
async def person(
    request: Request, person_id: str, if_none_match: Annotated[str | None, Header(max_length=200)] = None
) -> Response:
    """
    Show one person: who they are and who said so, what they allow and bought, their leads. Scope `leads:read`.

    The answer has an `ETag`; with `If-None-Match` an unchanged person is 304.
    """
    shown = found(await read(request, people.person, person_id), *_UNKNOWN)
    response = answer(shown)
    tag = f'"{hashlib.sha256(response.body).hexdigest()[:32]}"'
    if if_none_match is not None and tag in if_none_match:
        return Response(status_code=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return response


@router.get("/v1/people", response_model=People, dependencies=[may("leads:read")])
async def search(
    request: Request,
    *,
    email: Wanted = None,
    phone: Annotated[str | None, Query(max_length=64, pattern=PLAIN, description="With its country code.")] = None,
    external_id: Annotated[
        str | None, Query(max_length=500, pattern=PLAIN, description="What `source` calls them.")
    ] = None,
    source: Annotated[str | None, Query(max_length=100, pattern=PLAIN)] = None,
) -> Response:
    """Find a person by exactly one match key, however it is written; nobody is an empty list. Scope `leads:read`."""
    if sum(each is not None for each in (email, phone, external_id)) != 1:
        raise Problem(422, "filter_missing", "Give one of `email`, `phone` and `external_id`.", pointer="/query")
    if (external_id is None) is not (source is None):
        detail = "`external_id` and `source` go together: each source has ids of its own."
        raise Problem(422, "filter_missing", detail, pointer="/query/source")
    their_id = (source, external_id) if source is not None and external_id is not None else None
    person_id = await read(request, people.find, email=email, phone=phone, external_id=their_id)
    shown = await read(request, people.person, person_id) if person_id else None
    return listed([shown] if shown else [])


@router.get("/v1/people/{person_id}/consents", response_model=Consents, dependencies=[may("leads:read")])
async def ledger(request: Request, person_id: str, cursor: Cursor = None, limit: PageSize = 50) -> Response:
    """List everything that a person answered, the last recorded first. Scope `leads:read`."""
    await _known_person(request, person_id)
    items, following = await read(request, consents.ledger, person_id, cursor=checked_cursor(cursor), limit=limit)
    return listed(items, following)


@router.get("/v1/people/{person_id}/purchases", response_model=Purchases, dependencies=[may("leads:read")])
async def purchases(request: Request, person_id: str, cursor: Cursor = None, limit: PageSize = 50) -> Response:
    """List what a person bought and was paid back, the newest first. Scope `leads:read`."""
    await _known_person(request, person_id)
    items, following = await read(request, people.purchases, person_id, cursor=checked_cursor(cursor), limit=limit)
    return listed(items, following)


@router.post("/v1/people/{person_id}/consents", response_model=Consent, status_code=201)
async def record(
    request: Request,
    person_id: str,
    wanted: Answer,
    key: Key = may("leads:write"),  # noqa: B008
) -> Response:
    """
    Keep an answer about consent that somebody took by hand, as on the telephone or on paper. Scope `leads:write`.

    Nothing is overwritten: what stands is the latest answer by when it was given. A moment to come counts as now.
    """
    at = moment(wanted.at.isoformat())[0] if wanted.at else None
    if wanted.at and at is None:
        raise Problem(422, "date_invalid", "No moment of that year is kept.", pointer="/body/at")
    kept = await write(
        request,
        consents.record,
        person_id,
        wanted.purpose.rstrip(),
        wanted.state,
        actor=f"key:{key.id}",
        now=clock.now(),
        at=at,
        basis=wanted.basis,
        words=wanted.text,
        version=wanted.text_version,
        note=wanted.note,
    )
    row = found(kept, *_UNKNOWN)
    return answer({name: value for name, value in row.items() if name != "person_id"}, 201)


async def _known_person(request: Request, person_id: str) -> None:
    """Answer 404 where there is no such person."""
    if not await read(request, people.exists, person_id):
        raise Problem(404, *_UNKNOWN)
