"""
Surveys over HTTP: who was asked what and what they answered, results, and answers that somebody takes in person.

What keeps an answer is handed in: it is the write path that workers use. The page for whoever was asked is
`services/api/survey_pages.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.errors import ThroughlineError, Transient
from schema.store import clock, surveys
from schema.store.surveys import Wanted
from services.api.context import Cursor, answer, checked_cursor, context, found, listed, may, read
from services.api.keys import Key
from services.api.problems import Problem
from services.api.shapes import ProblemDocument, Shape

router = APIRouter(tags=["surveys"])

Id = Annotated[str, Path(max_length=100)]
Code = Annotated[str, Query(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="The name that the journey uses.")]
Kind = Literal["csat", "nps"]
Status = Literal["planned", "sent", "answered", "cancelled", "expired"]
Channel = Literal["phone", "chat", "email", "form", "social", "meeting", "other"]
_UUID: Final = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
USUAL: Final = timedelta(days=90)
"""What results are of when nobody says from when."""


class Subject(Shape):
    """What somebody is asked about."""

    kind: str = Field(description="lead, ticket, opportunity or contract.")
    id: str


class Whom(Shape):
    """Who is asked."""

    id: str
    name: str | None
    email: str | None


class Mail(Shape):
    """What became of the mail that asks."""

    state: Literal["planned", "sending", "sent", "failed", "unknown", "skipped"]
    reason: str | None


class Survey(Shape):
    """Somebody who is asked how satisfied they are."""

    id: str
    lead_id: str
    journey_name: str
    journey: str = Field(description="The version whose survey it is.")
    survey: str
    kind: Kind
    about: Subject
    person: Whom
    agent: str | None = Field(description="Whose work it is about, as it was when they were asked.")
    status: Status
    reason: str | None = Field(description="Why they were not asked.")
    asked_by: str = Field(description="email, or the channel on which somebody asked in person.")
    mail: Mail | None
    planned_at: datetime
    due_at: datetime | None = Field(description="When they are to be asked.")
    sent_at: datetime | None
    expires_at: datetime | None
    answered_at: datetime | None
    score: int | None
    comment: str | None
    ticket_id: str | None = Field(description="The complaint that a low answer opened.")


class Given(Shape):
    """One answer; the latest counts."""

    number: int
    at: datetime
    score: int
    comment: str | None
    channel: str
    actor: str = Field(description="person: they did it themselves.")


class SurveyShown(Survey):
    """A survey with all answers that were given to it."""

    answers: list[Given]


class Page(Shape):
    """One page of surveys."""

    items: list[Survey]
    next: str | None


class Measure(Shape):
    """A figure with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


class Tally(Shape):
    """What answers come to."""

    sent: int = Field(description="Mails that went out or are about to.")
    answered: int = Field(description="Of these.")
    response_rate: float | None
    in_person: int = Field(description="Answers that somebody took in person, beside them.")
    scores: dict[str, int] = Field(description="How many gave which answer.")
    mean: float | None
    csat: Measure | None = Field(None, description="The share of 4 and 5, 0 to 1, with Wilson's interval.")
    nps: Measure | None = Field(None, description="9 and 10 less 0 to 6, in per cent: -100 to 100.")


class ByAgent(Tally):
    """What answers about one agent's work come to."""

    agent: str


class Result(Tally):
    """What the answers to one survey come to."""

    journey: str
    survey: str
    kind: Kind
    agents: list[ByAgent]


class Results(Shape):
    """What answers come to, of those who were asked from one moment until before another."""

    since: datetime = Field(alias="from")
    to: datetime
    items: list[Result]


class Answering(BaseModel):
    """What somebody answered, and the channel on which it was taken: 1 to 5 of csat, 0 to 10 of nps."""

    model_config = ConfigDict(extra="forbid")

    score: Annotated[int, Field(ge=0, le=10)]
    comment: Annotated[str, Field(max_length=surveys.LONGEST_COMMENT, pattern=r"^[^\x00]*$")] | None = None
    channel: Channel = "phone"


class Asking(Answering):
    """The answer of somebody who was asked in person, about a ticket of theirs or in general."""

    survey: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    ticket_id: Annotated[str | None, Field(pattern=_UUID)] = None


_READS: Final[dict[str, Any]] = {"dependencies": [may("surveys:read")]}
_OVER: Final[dict[int | str, dict[str, Any]]] = {
    409: {
        "model": ProblemDocument,
        "description": "`survey_over`: its `status` says whether it was cancelled or its time is over; `lead_merged`.",
    },
}


@router.get("/v1/surveys", response_model=Page, **_READS)
async def list_surveys(  # noqa: PLR0913 - its filters
    request: Request,
    *,
    survey: Code | None = None,
    agent: Code | None = None,
    status: Status | None = None,
    lead: Annotated[str | None, Query(pattern=_UUID)] = None,
    about: Annotated[str | None, Query(pattern=_UUID, description="A ticket's id, or whatever it is about.")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=surveys.LARGEST_PAGE)] = 50,
) -> Response:
    """List who is asked what and what they answered, planned last first. Scope `surveys:read`."""
    wanted = Wanted(survey, agent, lead, about, status)
    items, following = await read(request, surveys.listed, wanted, cursor=checked_cursor(cursor), limit=limit)
    return listed(items, following)


@router.get("/v1/surveys/results", response_model=Results, **_READS)
async def results(
    request: Request,
    *,
    survey: Code | None = None,
    agent: Code | None = None,
    since: Annotated[AwareDatetime | None, Query(alias="from", description="Without it, 90 days before `to`.")] = None,
    to: Annotated[AwareDatetime | None, Query(description="Without it, now.")] = None,
) -> Response:
    """
    Say what answers come to: CSAT and NPS with their intervals, how many answer, and by agent. Scope `surveys:read`.

    Counted are those who were asked from `from` until before `to`, whenever they answered.
    """
    until = (to or clock.now()).astimezone(UTC)
    begin = since.astimezone(UTC) if since else until - USUAL
    if begin >= until:
        raise Problem(422, "window_empty", "`from` has to be before `to`.", pointer="/query/from")
    items = await read(request, surveys.results, begin, until, survey=survey, agent=agent)
    return answer({"from": begin, "to": until, "items": items})


@router.get("/v1/surveys/{survey_id}", response_model=SurveyShown, **_READS)
async def show(request: Request, survey_id: Id) -> Response:
    """Show a survey with all answers to it. Scope `surveys:read`."""
    return answer(found(await read(request, surveys.one, survey_id), *_GONE))


@router.post("/v1/surveys/{survey_id}/answer", response_model=SurveyShown, responses=_OVER)
async def take(
    request: Request,
    survey_id: Id,
    wanted: Answering,
    key: Key = may("surveys:write"),  # noqa: B008
) -> Response:
    """
    Answer a survey for whoever was asked, as on the telephone. Scope `surveys:write`.

    The latest answer counts until it closes. One that was only planned is then not sent.
    """
    return await _done(context(request).surveys.give, survey_id, **wanted.model_dump(), actor=f"key:{key.id}")


@router.post("/v1/leads/{lead_id}/surveys", response_model=SurveyShown, status_code=201, responses=_OVER)
async def ask(
    request: Request,
    lead_id: Id,
    wanted: Asking,
    key: Key = may("surveys:write"),  # noqa: B008
) -> Response:
    """Keep the answer of somebody who was asked in person, without any mail. Scope `surveys:write`."""
    given = wanted.model_dump()
    name = given.pop("survey")
    return await _done(context(request).surveys.taken, lead_id, name, **given, actor=f"key:{key.id}", made=201)


_GONE: Final = ("survey_not_found", "There is no such survey.")
_POINTERS: Final = {
    "score_invalid": "score",
    "comment_too_long": "comment",
    "survey_unknown": "survey",
    "ticket_unknown": "ticket_id",
}


async def _done(act: Callable[..., dict[str, Any]], *args: object, made: int = 200, **kwargs: object) -> Response:
    try:
        return answer(await run_in_threadpool(act, *args, **kwargs), made)
    except Transient as error:
        raise Problem(503, error.code, "The answer could not be kept at the moment.", retry_after_s=1) from error
    except ThroughlineError as error:
        raise _problem(error) from error


def _problem(error: ThroughlineError) -> Problem:
    if error.code == "lead_unknown":
        return Problem(404, "lead_not_found", "There is no such lead.")
    if error.code == "survey_unknown" and "known" not in error.facts:
        return Problem(404, *_GONE)
    facts: dict[str, Any] = {name: error.facts[name] for name in ("status", "known", "into") if name in error.facts}
    if error.code in _POINTERS:
        return Problem(422, error.code, str(error), pointer=f"/body/{_POINTERS[error.code]}", **facts)
    return Problem(409, error.code, str(error), **facts)
