"""
Merging people over HTTP: who may be the same, making one person of two, and taking it back.

The write path itself is handed in: it is the one that workers use.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.errors import ThroughlineError, Transient
from schema.store import merges
from services.api.context import answer, context, found, listed, may, read
from services.api.keys import Key
from services.api.problems import Problem
from services.api.shapes import ProblemDocument, Shape

router = APIRouter(tags=["people"])

_UNKNOWN: Final = ("person_not_found", "There is no such person.")


class Merging(BaseModel):
    """Who goes on as the person of the path, and why."""

    model_config = ConfigDict(extra="forbid")

    merged: Annotated[str, Field(max_length=36, description="The id of the person who goes on as this one.")]
    reason: Annotated[
        str | None, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="A code, such as `same_phone`.")
    ] = None


class Merged(Shape):
    """What a merge did."""

    merge_id: str
    survivor: str
    merged: str
    at: datetime
    leads: list[str] = Field(description="Leads that went over.")
    parked: dict[str, str] = Field(description="Leads that rest, each with the one it goes on in.")
    fields: dict[str, str | None] = Field(description="What the survivor got, each with the receipt that said it.")


class Arrivals(Shape):
    """How many arrivals since the merge are whose."""

    survivor: int
    merged: int


class Unmerged(Shape):
    """What taking a merge back did."""

    merge_id: str
    survivor: str
    merged: str
    at: datetime
    leads: list[str] = Field(description="Leads that are the merged person's again, or that their keys began since.")
    reopened: list[str] = Field(description="Leads that had rested and are open as they were.")
    parked: dict[str, str] = Field(description="Leads that go on resting, since their person began another.")
    arrivals_since: Arrivals


class Reason(Shape):
    """Why two people may be one."""

    reason: str = Field(description="`keys`: one arrival named both; `phone`; `name`: with the same company.")
    kinds: list[str] = Field(description="The kinds of match keys that one arrival carried of both.")
    receipt_id: str | None = Field(description="That arrival.")
    at: datetime
    refused: str | None = Field(description="Why the journey's rule did not merge them.")


class Suggestion(Shape):
    """Somebody who may be the same person."""

    id: str
    name: str | None
    email: str | None
    phone: str | None
    created_at: datetime
    reasons: list[Reason]


class Suggestions(Shape):
    """Everybody who may be the same person; there is one page."""

    items: list[Suggestion]
    next: str | None


_CONFLICTS: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": ProblemDocument, "description": "`person_not_found`"},
    409: {
        "model": ProblemDocument,
        "description": "`person_merged`: `person` goes on as `into` already; `person_not_merged`; `merge_inner`: the "
        "merge of `person` has to be taken back first; `journey_unreadable`.",
    },
}


@router.post("/v1/people/{person_id}/merge", response_model=Merged, responses=_CONFLICTS)
async def merge(
    request: Request,
    person_id: str,
    wanted: Merging,
    key: Key = may("leads:move"),  # noqa: B008
) -> Response:
    """
    Have another person go on as this one. Scope `leads:move`.

    This one keeps what is known of them and gets what they lack; addresses, numbers, ids, leads, touchpoints, consents
    and purchases go over. Where both have an open lead on one journey, the one that has come further goes on and the
    other rests. The same merge again gives the same answer. `unmerge` takes it back.
    """
    merger = context(request).merger
    return await _done(merger.merge, person_id, wanted.merged, reason=wanted.reason, actor=f"key:{key.id}")


@router.post("/v1/people/{person_id}/unmerge", response_model=Unmerged, responses=_CONFLICTS)
async def unmerge(request: Request, person_id: str, key: Key = may("leads:move")) -> Response:  # noqa: B008
    """
    Take back that this person goes on as another. Scope `leads:move`.

    Both have again what was theirs. What arrived since goes to whose key brought it, moves that were made since stay.
    Of several merges the last is taken back first.
    """
    return await _done(context(request).merger.unmerge, person_id, actor=f"key:{key.id}")


@router.get(
    "/v1/people/{person_id}/suggestions",
    response_model=Suggestions,
    responses={404: {"model": ProblemDocument, "description": "`person_not_found`"}},
    dependencies=[may("leads:read")],
)
async def suggestions(request: Request, person_id: str) -> Response:
    """List people who may be the same as this one, at most forty, and why; nobody is merged. Scope `leads:read`."""
    found(await read(request, merges.survivor, person_id), *_UNKNOWN)
    return listed(await read(request, merges.suggestions, person_id))


async def _done(act: Callable[..., dict[str, Any]], *args: object, **kwargs: object) -> Response:
    try:
        return answer(await run_in_threadpool(act, *args, **kwargs))
    except Transient as error:
        raise Problem(503, error.code, "They could not be changed at the moment.", retry_after_s=1) from error
    except ThroughlineError as error:
        if error.code == "person_unknown":
            raise Problem(404, *_UNKNOWN) from error
        facts = {name: error.facts[name] for name in ("person", "into") if name in error.facts}
        status, pointer = (422, "/body/merged") if error.code == "same_person" else (409, None)
        raise Problem(status, error.code, str(error), pointer=pointer, **facts) from error  # type: ignore[arg-type]  # no argument of its own is among them
