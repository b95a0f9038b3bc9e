"""
Owners over HTTP: leads are accepted, declined and handed over, and people go away and come back.

The write path itself is handed in: it is the one that workers use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.errors import ThroughlineError, Transient
from schema.store import reading
from services.api import shapes
from services.api.context import answer, context, may
from services.api.keys import Key
from services.api.problems import Problem
from services.api.reading import known_lead

router = APIRouter()

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="The short name that the journey uses.")]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="A code, such as `no_time`; told to all.")]


class Accepting(BaseModel):
    """Who accepts: with a name, only if the lead is still theirs."""

    model_config = ConfigDict(extra="forbid")

    owner: Name | None = None


class Declining(BaseModel):
    """Why the owner does not want the lead."""

    model_config = ConfigDict(extra="forbid")

    reason: Code


class Assigning(BaseModel):
    """Whose the lead is to be, and why."""

    model_config = ConfigDict(extra="forbid")

    owner: Name
    reason: Code | None = None


class Leaving(BaseModel):
    """When somebody takes no leads: from now on, or `from` a moment, until they are back, or `until` another."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    kind: Literal["pause", "leave"] = "pause"
    start: Annotated[AwareDatetime | None, Field(alias="from")] = None
    until: AwareDatetime | None = None


_CONFLICTS: Final[dict[int | str, dict[str, Any]]] = {
    409: {
        "model": shapes.ProblemDocument,
        "description": "`lead_unowned`; `lead_closed`; `not_the_owner`: `owner` is who has it now; `lead_merged`: "
        "it goes on in the lead `into`.",
    },
}
_LEAD: Final[dict[str, Any]] = {"response_model": shapes.Owned, "tags": ["leads"]}
_PEOPLE: Final[dict[str, Any]] = {"tags": ["owners"]}


@router.post("/v1/leads/{lead_id}/accept", responses=_CONFLICTS, **_LEAD)
async def accept(
    request: Request,
    lead_id: str,
    wanted: Accepting | None = None,
    key: Key = may("leads:move"),  # noqa: B008
) -> Response:
    """
    Accept a lead for its owner; its clock stops. Accepting it again changes nothing. Scope `leads:move`.

    A lead is accepted as well by any transition that somebody asks for.
    """
    await known_lead(request, lead_id)
    owner = wanted.owner if wanted else None
    return await _lead(context(request).owners.accept, lead_id, owner, actor=f"key:{key.id}")


@router.post("/v1/leads/{lead_id}/decline", responses=_CONFLICTS, **_LEAD)
async def decline(
    request: Request,
    lead_id: str,
    wanted: Declining,
    key: Key = may("leads:move"),  # noqa: B008
) -> Response:
    """
    Decline a lead for its owner: it goes to the next in turn. Scope `leads:move`.

    Where nobody else is free it waits for them (`owner` is null), and where nobody else is left it goes to whom the
    journey escalates to, or stays. The turn stays taken.
    """
    await known_lead(request, lead_id)
    return await _lead(context(request).owners.decline, lead_id, wanted.reason, actor=f"key:{key.id}")


@router.put("/v1/leads/{lead_id}/owner", **_LEAD)
async def assign(
    request: Request,
    lead_id: str,
    wanted: Assigning,
    key: Key = may("leads:move"),  # noqa: B008
) -> Response:
    """
    Hand a lead to somebody of its journey, whatever the rules say. Scope `leads:move`.

    It stays with them: they need not accept it, it takes no turn, and their capacity is not asked about. Handing it to
    whoever has it already changes nothing.
    """
    await known_lead(request, lead_id)
    assigning = context(request).owners.assign
    try:
        return await _lead(assigning, lead_id, wanted.owner, wanted.reason, actor=f"key:{key.id}")
    except Problem as problem:
        if problem.code != "owner_unknown":
            raise
        raise Problem(422, problem.code, problem.detail, pointer="/body/owner", **problem.members) from problem  # type: ignore[arg-type]


@router.get("/v1/owners", response_model=shapes.Owners, dependencies=[may("owners:read")], **_PEOPLE)
async def overview(request: Request) -> Response:
    """
    Show everybody who owns leads, whether they are free now, and where leads wait. Scope `owners:read`.

    `free` is for one of their pools at this moment: there, working, below what they take. If not, `why` says so.
    """
    shown = await run_in_threadpool(context(request).owners.overview)
    return answer({"items": shown["owners"], "queues": shown["queues"], "next": None})


@router.post("/v1/owners/{owner}/absences", status_code=201, response_model=shapes.KeptAbsence, **_PEOPLE)
async def leave(
    request: Request,
    owner: str,
    wanted: Leaving,
    key: Key = may("owners:write"),  # noqa: B008
) -> Response:
    """
    Keep that somebody takes no leads for a while. Scope `owners:write`.

    They keep what they have accepted; what they have not is handed on if they are away for longer than they have for
    it.
    """
    away = context(request).owners.away
    kept = await _done(away, owner, kind=wanted.kind, start=wanted.start, end=wanted.until, actor=f"key:{key.id}")
    return answer(kept, 201)


@router.delete(
    "/v1/owners/{owner}/absences/{absence_id}",
    response_model=shapes.Back,
    dependencies=[may("owners:write")],
    **_PEOPLE,
)
async def back(request: Request, owner: str, absence_id: str) -> Response:
    """
    Take back an absence, or with `now` whatever they are away for at this moment. Scope `owners:write`.

    Leads that wait for them are given out at once.
    """
    absence = None if absence_id == "now" else absence_id
    return answer(await _done(context(request).owners.back, owner, absence))


async def _lead(act: Callable[..., dict[str, Any]], *args: object, **kwargs: object) -> Response:
    owned = await _done(act, *args, **kwargs)
    return answer(owned | {"assignment": reading.assignment(owned["assignment"]) if owned["owner"] else None})


async def _done(act: Callable[..., dict[str, Any]], *args: object, **kwargs: object) -> dict[str, Any]:
    try:
        return await run_in_threadpool(act, *args, **kwargs)
    except ThroughlineError as error:
        raise _problem(error) from error


_STATUS: Final = {
    "lead_unknown": 404,
    "owner_unknown": 404,
    "absence_unknown": 404,
    "absence_backwards": 422,
    "absence_over": 422,
    "reason_not_a_code": 422,
}


def _problem(error: ThroughlineError) -> Problem:
    if isinstance(error, Transient):
        return Problem(503, error.code, "The lead could not be changed at the moment.", retry_after_s=1)
    if error.code == "lead_unknown":
        return Problem(404, "lead_not_found", "There is no such lead.")
    facts = {name: error.facts[name] for name in ("owner", "known", "into") if name in error.facts}
    return Problem(_STATUS.get(error.code, 409), error.code, str(error), **facts)  # type: ignore[arg-type]  # no argument of its own is among them
