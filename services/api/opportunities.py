"""
Opportunities over HTTP: what may be sold, at which stage it is, what is to be expected; open, change, win and lose.

The write path itself is handed in: it is the one that workers use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.errors import Permanent, ThroughlineError, Transient
from schema.lifecycle import GuardNotMet, IllegalTransition, ReasonRequired
from schema.store.ids import is_id
from services.api import moves
from services.api import opportunity_shapes as shapes
from services.api.context import PLAIN, Cursor, answer, checked_cursor, context, listed, may
from services.api.keys import Key
from services.api.problems import Problem
from services.api.reading import Filter, known_lead
from services.api.shapes import ProblemDocument

router = APIRouter(tags=["opportunities"])

Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Text = Annotated[StrictStr, Field(max_length=500, pattern=PLAIN)]
Named = Annotated[str | None, Query(max_length=63, pattern=PLAIN)]
_NOT_GIVEN: Final = {"pipeline", "reason", "expect"}


class Product(BaseModel):
    """What may be sold; a number as text, exactly."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=PLAIN)]
    sku: Annotated[StrictStr, Field(max_length=200, pattern=PLAIN)] | None = None
    quantity: Annotated[StrictStr, Field(max_length=20, pattern=r"^\d{1,12}(\.\d{1,6})?$")] | None = None
    price: Annotated[StrictStr, Field(max_length=20, pattern=r"^\d{1,15}(\.\d{1,4})?$")] | None = None


class Said(BaseModel):
    """What is said of an opportunity; null takes it back."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[StrictStr, Field(max_length=200, pattern=PLAIN)] | None = None
    owner: Annotated[StrictStr, Field(max_length=63, description="One of the people; null: the lead's.")] | None = None
    amount: Annotated[StrictStr, Field(max_length=20, description="An exact decimal, as 1234.50.")] | None = None
    currency: Annotated[StrictStr, Field(max_length=3, description="ISO 4217; else the pipeline's.")] | None = None
    probability: Annotated[StrictFloat | StrictInt, Field(ge=0, le=1)] | None = None
    expected_close: Annotated[StrictStr, Field(max_length=10, description="A day, as 2027-01-31.")] | None = None
    products: Annotated[list[Product], Field(max_length=50)] | None = None
    competitors: Annotated[list[Text], Field(max_length=20)] | None = None
    next_action: Text | None = None

    def given(self) -> dict[str, Any]:
        """What stands in the request."""
        told = self.model_dump(exclude_unset=True, exclude=_NOT_GIVEN)
        if told.get("products"):
            told["products"] = [{name: part for name, part in each.items() if part} for each in told["products"]]
        return told


class Opening(Said):
    """A possible sale to be opened; without `pipeline` that of the lead's state, without `stage` its first."""

    pipeline: Code | None = None
    stage: Code | None = None
    reason: Annotated[str, Field(max_length=500, pattern=PLAIN)] | None = Field(
        None, description="Where the lead is done with and has to be taken up again: the reason of that transition."
    )

    def given(self) -> dict[str, Any]:
        """What stands in the request; no stage is the first one."""
        return {name: value for name, value in super().given().items() if name != "stage" or value is not None}


class Changing(Said):
    """What is to be changed; with `expect` only if it has so many `changes` now, so that nobody's is overwritten."""

    stage: Code = ""
    expect: Annotated[StrictInt, Field(ge=1)] | None = None


class Winning(BaseModel):
    """What it was won for; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[StrictStr, Field(max_length=20)] | None = None
    currency: Annotated[StrictStr, Field(max_length=3)] | None = None


class Losing(BaseModel):
    """Why it was lost: one of the pipeline's reasons."""

    model_config = ConfigDict(extra="forbid")

    reason: Code


class Reopening(BaseModel):
    """At which stage it goes on (left out: where it was), and why, where the lead has to be taken up again."""

    model_config = ConfigDict(extra="forbid")

    stage: Code | None = None
    reason: Annotated[str, Field(max_length=500, pattern=PLAIN)] | None = None


_CONFLICTS: Final[dict[int | str, dict[str, Any]]] = {
    409: {
        "model": ProblemDocument,
        "description": "`opportunity_closed`: `outcome` says how; `opportunity_open`; `opportunity_changed`: `changes` "
        "is how often by now; `lead_closed`, `illegal_transition`: the lead is done with, and `possible` names its "
        "ways; `guard_not_met`; `lead_merged`; `other_lead_open`; `pipeline_unknown`: the lead's journey does not have "
        "it.",
    },
}
_SHOWN: Final[dict[str, Any]] = {"response_model": shapes.OpportunityChanged, "responses": _CONFLICTS}


# -- looking -----------------------------------------------------------------------------------------------------------


@router.get("/v1/opportunities", response_model=shapes.Opportunities, dependencies=[may("opportunities:read")])
async def list_opportunities(  # noqa: PLR0913 - its filters
    request: Request,
    *,
    status: Annotated[shapes.Status | None, Query(description="Only those that are open, or were won or lost.")] = None,
    pipeline: Named = None,
    journey: Named = None,
    stage: Named = None,
    owner: Filter = None,
    lead: Annotated[str | None, Query(max_length=36, pattern=PLAIN, description="Only those of this lead.")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """List opportunities, the latest first. Scope `opportunities:read`."""
    place = checked_cursor(cursor)
    if lead is not None and not is_id(lead):
        return listed([])
    wanted = {"pipeline": pipeline, "journey": journey, "stage": stage, "owner": owner, "lead": lead, "cursor": place}
    items, following = await run_in_threadpool(context(request).sales.listed, limit=limit, status=status, **wanted)
    return listed(items, following)


@router.get("/v1/opportunities/pipeline", response_model=shapes.Pipeline, dependencies=[may("opportunities:read")])
async def pipeline(
    request: Request, *, pipeline: Named = None, journey: Named = None, owner: Filter = None
) -> Response:
    """
    Show what stands at each stage of a pipeline: how many, the sums by currency. Scope `opportunities:read`.

    `pipeline` and `journey` may be left out where there is only one.
    """
    return answer(await _done(context(request).sales.pipeline, pipeline, journey, owner))


@router.get("/v1/opportunities/forecast", response_model=shapes.Forecast, dependencies=[may("opportunities:read")])
async def forecast(
    request: Request,
    *,
    pipeline: Named = None,
    journey: Named = None,
    by: Annotated[Literal["owner", "stage"] | None, Query(description="Told for each of them apart.")] = None,
    months: Annotated[int, Query(ge=1, le=24, description="This month and those after it, so many in all.")] = 6,
) -> Response:
    """
    Say what the open opportunities will bring, by month and currency. Scope `opportunities:read`.

    `low` and `high` are the bounds of an 80 % interval. Ways and times to the end are drawn from own history where
    there is enough of it; `rests_on` says on how many it rests. Beside it the plain figure: amount times probability,
    in the month that was said.
    """
    return answer(await _done(context(request).sales.forecast, pipeline, journey, months=months, by=by))


@router.get(
    "/v1/opportunities/{opportunity_id}",
    response_model=shapes.OpportunityShown,
    dependencies=[may("opportunities:read")],
)
async def show(request: Request, opportunity_id: str) -> Response:
    """Show one opportunity with everything that was changed of it. Scope `opportunities:read`."""
    return answer(await _done(context(request).sales.one, opportunity_id))


# -- changing ----------------------------------------------------------------------------------------------------------


@router.post("/v1/leads/{lead_id}/opportunities", status_code=201, **_SHOWN)
async def open_(
    request: Request,
    lead_id: str,
    wanted: Opening | None = None,
    key: Key = may("opportunities:write"),  # noqa: B008
) -> Response:
    """
    Open an opportunity for a lead, beside any that are open. Scope `opportunities:write`.

    A lead that is done with is taken up again by the transition that the pipeline names as `reopen`.
    """
    await known_lead(request, lead_id)
    opening = wanted or Opening()
    done = await _done(
        context(request).sales.open,
        lead_id,
        opening.pipeline,
        opening.given(),
        actor=f"key:{key.id}",
        reason=opening.reason,
    )
    return answer(done, 201)


@router.patch("/v1/opportunities/{opportunity_id}", **_SHOWN)
async def change(
    request: Request,
    opportunity_id: str,
    wanted: Changing,
    key: Key = may("opportunities:write"),  # noqa: B008
) -> Response:
    """
    Change what is known of an open opportunity, or its stage. Scope `opportunities:write`.

    A stage may ask for fields that have to be there first: 422 `stage_requires`, with what is `missing`.
    """
    changing = context(request).sales.change
    actor = f"key:{key.id}"
    return answer(await _done(changing, opportunity_id, wanted.given(), actor=actor, expect=wanted.expect))


@router.post("/v1/opportunities/{opportunity_id}/win", **_SHOWN)
async def win(
    request: Request,
    opportunity_id: str,
    wanted: Winning | None = None,
    key: Key = may("opportunities:write"),  # noqa: B008
) -> Response:
    """
    Say that an opportunity was won. Scope `opportunities:write`.

    Its lead makes the pipeline's transition `won`. A lead that has no such way from where it is stays there, and the
    sale is told as a touchpoint `opportunity.won`.
    """
    given = wanted.model_dump(exclude_none=True) if wanted else {}
    return answer(await _done(context(request).sales.win, opportunity_id, given, actor=f"key:{key.id}"))


@router.post("/v1/opportunities/{opportunity_id}/lose", **_SHOWN)
async def lose(
    request: Request,
    opportunity_id: str,
    wanted: Losing,
    key: Key = may("opportunities:write"),  # noqa: B008
) -> Response:
    """
    Say that an opportunity was lost, and why. Scope `opportunities:write`.

    If it was the lead's last open one and none was won, the lead makes the pipeline's transition `lost`. Another reason
    than those of the pipeline is 422 `reason_unknown`, with the `known` ones.
    """
    return answer(await _done(context(request).sales.lose, opportunity_id, wanted.reason, actor=f"key:{key.id}"))


@router.post("/v1/opportunities/{opportunity_id}/reopen", **_SHOWN)
async def reopen(
    request: Request,
    opportunity_id: str,
    wanted: Reopening | None = None,
    key: Key = may("opportunities:write"),  # noqa: B008
) -> Response:
    """
    Take an opportunity up again that was won or lost. Scope `opportunities:write`.

    A lead that is done with makes the transition that the pipeline names as `reopen`.
    """
    asked = wanted or Reopening()
    reopening = context(request).sales.reopen
    actor = f"key:{key.id}"
    return answer(await _done(reopening, opportunity_id, actor=actor, stage=asked.stage, reason=asked.reason))


# -- refusing ----------------------------------------------------------------------------------------------------------


async def _done(act: Callable[..., dict[str, Any]], *args: object, **kwargs: object) -> dict[str, Any]:
    try:
        return await run_in_threadpool(act, *args, **kwargs)
    except ThroughlineError as error:
        raise _problem(error) from error


_OF_MOVES: Final = {"lead_unknown", "lead_merged", "other_lead_open"}
_MEMBERS: Final = ("known", "missing", "outcome", "changes", "stage", "state", "possible", "into")


def _problem(error: ThroughlineError) -> Problem:
    moved = isinstance(error, IllegalTransition | GuardNotMet | ReasonRequired | Transient)
    if moved or error.code in _OF_MOVES or not isinstance(error, Permanent):
        return moves.problem(error)
    members: dict[str, Any] = {name: error.facts[name] for name in _MEMBERS if name in error.facts}
    if error.code == "opportunity_unknown":
        return Problem(404, "opportunity_not_found", str(error))
    if "field" in error.facts:
        return Problem(422, error.code, str(error), pointer=f"/body/{error.facts['field']}", **members)
    status = 422 if error.code == "pipeline_not_named" else 409
    return Problem(status, error.code, str(error), **members)
