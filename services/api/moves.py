"""A state move asked for over HTTP. The write path itself is handed in: it is the one that workers use."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.errors import ThroughlineError, Transient
from schema.lifecycle import GuardNotMet, IllegalTransition, ReasonRequired
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
    responses={
        409: {
            "model": ProblemDocument,
            "description": "`illegal_transition`: `possible` names what is; `guard_not_met`: `guard` is the journey's "
            "condition, `missing` what is not known of the lead; `other_lead_open`; `lead_merged`.",
        },
    },
    tags=["leads"],
)
async def move(request: Request, lead_id: str, wanted: Wanted, key: Key = may("leads:move")) -> Response:  # noqa: B008
    """
    Move a lead by a transition that its journey has from here. Scope `leads:move`.

    `reason` is one of the transition's own, where it has some; it is told downstream only if it is a code. Whether it
    is made or refused, that it was asked for stands in the lead's story. The lead then goes on by itself, from
    `next_step`: qualified again where that matters, else looked at for what happens by itself in its new state.
    """
    await known_lead(request, lead_id)
    mover = context(request).move
    try:
        return answer(await run_in_threadpool(mover, lead_id, wanted.name, wanted.reason, f"key:{key.id}"))
    except ThroughlineError as error:
        raise problem(error) from error


_PLAIN_PROBLEMS: Final = {
    "lead_unknown": (404, "lead_not_found", "There is no such lead."),
    "lead_merged": (409, "lead_merged", "The lead goes on in another since two people were merged: its `merged_into`."),
    "other_lead_open": (409, "other_lead_open", "The person has another open lead on this journey; move that one."),
}


def problem(error: ThroughlineError) -> Problem:
    """Say why a lead was not moved."""
    facts = error.facts
    if isinstance(error, IllegalTransition):
        detail = "The lead cannot make this transition from where it is."
        return Problem(409, error.code, detail, state=facts["state"], possible=facts["possible"])
    if isinstance(error, GuardNotMet):
        detail = "The condition of this transition does not hold of the lead."
        if facts["missing"]:
            detail = "The condition of this transition asks for what is not known of the lead."
        return Problem(409, error.code, detail, state=facts["state"], guard=facts["guard"], missing=facts["missing"])
    if isinstance(error, ReasonRequired):
        detail = "This transition needs one of its reasons."
        return Problem(422, error.code, detail, pointer="/body/reason", reasons=facts["reasons"])
    if isinstance(error, Transient):
        return Problem(503, error.code, "The lead could not be moved at the moment.", retry_after_s=1)
    return Problem(*_PLAIN_PROBLEMS.get(error.code, (409, error.code, "The lead cannot be moved as it is now.")))
