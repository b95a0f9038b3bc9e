"""A lead's score, explained, over HTTP. How it is read is handed in: by the rules that the workers decide with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.errors import Permanent, Transient
from services.api import shapes
from services.api.context import PLAIN, answer, context, may
from services.api.problems import Problem

router = APIRouter()

Moment = Annotated[datetime | None, Query(description="At this moment, UTC where nothing else is said; default: now.")]
Target = Annotated[
    str | None,
    Query(max_length=64, pattern=PLAIN, description="A grade, or points up to 100; default: the next better grade."),
]


@router.get(
    "/v1/leads/{lead_id}/score",
    response_model=shapes.Outlook,
    tags=["leads"],
    dependencies=[may("leads:read")],
)
async def score(request: Request, lead_id: str, at: Moment = None, target: Target = None) -> Response:
    """
    Show what a lead's score is made of, how it will fall with nothing new, and what would raise it. Scope `leads:read`.

    Read at this moment, by the rules of the lead's journey; nothing is changed. Person and company are taken as they
    are known today, also for another moment. Of an unknown target the problem names the `grades` there are.
    """
    moment = at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
    try:
        return answer(await run_in_threadpool(context(request).outlook, lead_id, moment, target))
    except Transient as error:
        raise Problem(503, error.code, "The lead cannot be read at the moment.", retry_after_s=1) from error
    except Permanent as error:
        raise _problem(error) from error


def _problem(error: Permanent) -> Problem:
    if error.code == "lead_unknown":
        return Problem(404, "lead_not_found", "There is no such lead.")
    if error.code == "target_unknown":
        detail = "Give a grade of the lead's journey, or points from 1 to 100."
        return Problem(422, error.code, detail, pointer="/query/target", grades=error.facts["grades"])
    if error.code == "moment_unlikely":
        return Problem(422, error.code, "Give a moment within a hundred years of now.", pointer="/query/at")
    return Problem(409, error.code, "The lead's journey cannot be read here.")
