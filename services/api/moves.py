"""A state move asked for over HTTP. The write path itself is handed in: it is the one that workers use."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.errors import ThroughlineError, Transient
from schema.lifecycle import IllegalTransition, ReasonRequired
from services.api.context import PLAIN, answer, context, may
from services.api.keys import Key
from services.api.problems import Problem
from services.api.reading import known_lead
from services.api.shapes import ProblemDocument

router = APIRouter()


class Wanted(BaseModel):
    """The transition that is asked for, and the reason to record."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=PLAIN)]
    reason: Annotated[str, Field(max_length=500, pattern=PLAIN)] = ""


@router.post(
    "/v1/leads/{lead_id}/transitions",
    responses={409: {"model": ProblemDocument, "description": "`illegal_transition`; `possible` names what is."}},
    tags=["leads"],
)
async def move(request: Request, lead_id: str, wanted: Wanted, key: Key = may("leads:move")) -> Response:  # noqa: B008
    """Move a lead by a transition that its journey has from here. Scope `leads:move`."""
    await known_lead(request, lead_id)
    mover = context(request).move
    try:
        return answer(await run_in_threadpool(mover, lead_id, wanted.name, wanted.reason, f"key:{key.id}"))
    except ThroughlineError as error:
        raise _problem(error) from error


def _problem(error: ThroughlineError) -> Problem:
    if isinstance(error, IllegalTransition):
        return Problem(
            409,
            error.code,
            "The lead cannot make this transition from where it is.",
            state=error.facts["state"],
            possible=error.facts["possible"],
        )
    if isinstance(error, ReasonRequired):
        detail = "This transition needs one of its reasons."
        return Problem(422, error.code, detail, pointer="/body/reason", reasons=error.facts["reasons"])
    if isinstance(error, Transient):
        return Problem(503, error.code, "The lead could not be moved at the moment.", retry_after_s=1)
    if error.code == "lead_unknown":
        return Problem(404, "lead_not_found", "There is no such lead.")
    if error.code == "other_lead_open":
        return Problem(409, error.code, "The person has another open lead on this journey; move that one.")
    return Problem(409, error.code, "The lead cannot be moved as it is now.")
