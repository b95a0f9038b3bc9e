"""
Campaigns over HTTP: what runs and what came of it, to have one stand still or go on, and to enrol people by hand.

Enrolling is handed in: it is what workers do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.errors import Permanent, ThroughlineError
from schema.store import campaign_results, campaigns, clock
from schema.store.ids import is_id
from services.api import campaign_shapes as shapes
from services.api.context import PLAIN, Cursor, answer, checked_cursor, context, found, listed, may, read, write
from services.api.keys import Key
from services.api.problems import Problem
from services.api.shapes import ProblemDocument

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from schema.store.campaigns import Place

router = APIRouter(tags=["campaigns"])

Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="What the journey calls the campaign.")]
OfJourney = Annotated[
    str | None, Query(max_length=63, pattern=PLAIN, description="The journey, where several have such a campaign.")
]
Status = Literal["running", "finished", "goal", "exited", "aborted", "cancelled"]
_ID: Final = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_PROBLEMS: Final[dict[str, tuple[int, str]]] = {
    "campaign_unknown": (404, "There is no such campaign."),
    "journey_not_named": (422, "Several journeys have a campaign of this name: say which with `journey`."),
    "campaign_over": (409, "No active version has the campaign any more: nobody new enters it."),
    "audience_unlimited": (409, "The campaign has no `audience`: there is nothing to approve."),
    "journey_unknown": (404, "There is no such version."),
    "other_journey": (422, "The version belongs to another journey than the campaign."),
    "step_unknown": (422, "`map` leads to a step that the version does not have."),
    "people_stuck": (409, "People are at steps that the version does not have: name others with `map`, or `leave`."),
    "journey_invalid": (409, "This version of the program cannot read the version."),
    "too_few": (409, "More people have entered already: approve at least as many."),
}
_CONFLICT: Final[dict[int | str, dict[str, Any]]] = {
    409: {"model": ProblemDocument, "description": "`campaign_over`, `audience_unlimited` or `too_few`."},
}
_STUCK: Final[dict[int | str, dict[str, Any]]] = {
    409: {"model": ProblemDocument, "description": "`campaign_over`, or `people_stuck` with who is."},
}


MOST_MOVED: Final = 5_000
"""People that one call moves, in a few seconds."""
_Version = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]
_Step = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Following(BaseModel):
    """By which version people go on (`to`; without it the active one), and from which: without `from` any other."""

    model_config = ConfigDict(extra="forbid")

    to: _Version | None = None
    from_: Annotated[list[_Version], Field(alias="from", max_length=100)] = []
    map: Annotated[
        dict[_Step, _Step], Field(max_length=500, description="What a step is called in the version, if not the same.")
    ] = {}
    leave: Annotated[
        bool, Field(description="Who is at a step that the version does not have leaves the campaign.")
    ] = False
    dry_run: bool = False


class Approval(BaseModel):
    """How many may enter within the audience's time from now on; without `most`, those who have entered by now."""

    model_config = ConfigDict(extra="forbid")

    most: Annotated[int | None, Field(ge=1, le=2_000_000_000)] = None


class Enrolling(BaseModel):
    """Who is to enter; with `again` also who was in it before, whatever the campaign says about that."""

    model_config = ConfigDict(extra="forbid")

    leads: Annotated[list[Annotated[str, Field(pattern=_ID)]], Field(min_length=1, max_length=1000)]
    again: bool = False
    dry_run: bool = False


@router.get("/v1/campaigns", response_model=shapes.Campaigns, dependencies=[may("campaigns:read")])
async def list_campaigns(request: Request) -> Response:
    """List every campaign of the active journeys, and every other that somebody was in. Scope `campaigns:read`."""
    return listed(await read(request, campaigns.overview, clock.now()))


@router.get("/v1/campaigns/{name}", response_model=shapes.CampaignShown, dependencies=[may("campaigns:read")])
async def show(request: Request, name: Name, journey: OfJourney = None) -> Response:
    """Show one campaign, with who waits at which step. Scope `campaigns:read`."""
    return answer(await _about(request, name, journey, lambda c, place: campaigns.shown(c, place, clock.now())))


@router.get("/v1/campaigns/{name}/results", response_model=shapes.Results, dependencies=[may("campaigns:read")])
async def results(request: Request, name: Name, journey: OfJourney = None) -> Response:
    """
    Show what came of a campaign and of each step, its lift, what it cost and brought in. Scope `campaigns:read`.

    Revenue is what people bought after they entered, within the time of the goal; `incremental` is that beyond what as
    many of those held out bought.
    """
    return answer(await _about(request, name, journey, campaign_results.results))


@router.get("/v1/campaigns/{name}/enrolments", response_model=shapes.Enrolments, dependencies=[may("campaigns:read")])
async def enrolments(
    request: Request,
    *,
    name: Name,
    journey: OfJourney = None,
    status: Annotated[Status | None, Query(description="Only those who are in it, or for whom it ended so.")] = None,
    step: Annotated[str | None, Query(max_length=63, pattern=PLAIN, description="Only who is at this step.")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=campaigns.LARGEST_PAGE)] = 50,
) -> Response:
    """List who is or was in a campaign, the latest first. Scope `campaigns:read`."""
    after = checked_cursor(cursor)

    def ask(connection: Connection, place: Place) -> tuple[list[dict[str, Any]], str | None]:
        return campaigns.enrolments(
            connection,
            place,
            running=None if status is None else status == "running",
            outcome=status if status != "running" else None,
            step=step,
            cursor=after,
            limit=limit,
        )

    items, following = await _about(request, name, journey, ask)
    return listed(items, following)


@router.get(
    "/v1/campaigns/{name}/enrolments/{enrolment_id}",
    response_model=shapes.EnrolmentShown,
    dependencies=[may("campaigns:read")],
)
async def enrolment(request: Request, name: Name, enrolment_id: str, journey: OfJourney = None) -> Response:
    """Show somebody's way through a campaign: every step with its reason, every message. Scope `campaigns:read`."""

    def ask(connection: Connection, place: Place) -> dict[str, Any] | None:
        return campaigns.enrolment(connection, place, enrolment_id) if is_id(enrolment_id) else None

    one = await _about(request, name, journey, ask)
    return answer(found(one, "enrolment_not_found", "There is no such enrolment."))


@router.post("/v1/campaigns/{name}/pause", response_model=shapes.CampaignChanged)
async def pause(
    request: Request,
    name: Name,
    journey: OfJourney = None,
    key: Key = may("campaigns:write"),  # noqa: B008
) -> Response:
    """
    Have a campaign stand still: nobody takes a step and no message goes out. Scope `campaigns:write`.

    People still enter, and nothing is lost: all of it goes on when the campaign is resumed.
    """

    def act(connection: Connection, place: Place) -> dict[str, Any]:
        changed = campaigns.pause(connection, place, f"key:{key.id}", clock.now())
        return campaigns.shown(connection, place, clock.now()) | {"changed": changed}

    return answer(await _about(request, name, journey, act, change=True))


@router.post("/v1/campaigns/{name}/resume", response_model=shapes.CampaignChanged)
async def resume(
    request: Request,
    name: Name,
    journey: OfJourney = None,
    _: Key = may("campaigns:write"),  # noqa: B008
) -> Response:
    """Have a paused campaign go on, from where everybody is. Scope `campaigns:write`."""

    def act(connection: Connection, place: Place) -> dict[str, Any]:
        changed = campaigns.resume(connection, place)
        return campaigns.shown(connection, place, clock.now()) | {"changed": changed}

    shown = await _about(request, name, journey, act, change=True)
    _go_on(request)
    return answer(shown)


@router.post("/v1/campaigns/{name}/approve", response_model=shapes.Approved, responses=_CONFLICT)
async def approve(
    request: Request,
    name: Name,
    wanted: Approval | None = None,
    journey: OfJourney = None,
    key: Key = may("campaigns:write"),  # noqa: B008
) -> Response:
    """Let more people in than the campaign's audience allows; if it was held, it goes on. Scope `campaigns:write`."""
    most = wanted.most if wanted else None

    def act(connection: Connection, place: Place) -> dict[str, Any]:
        approved = campaigns.approve(connection, place, most, f"key:{key.id}", clock.now())
        return campaigns.shown(connection, place, clock.now()) | {"approved": approved}

    shown = await _about(request, name, journey, act, change=True)
    _go_on(request)
    return answer(shown)


@router.post("/v1/campaigns/{name}/enrol", response_model=shapes.Entered, responses=_CONFLICT)
async def enrol(
    request: Request,
    name: Name,
    wanted: Enrolling,
    journey: OfJourney = None,
    key: Key = may("campaigns:write"),  # noqa: B008
) -> Response:
    """
    Enrol leads by hand, at most 1000, whatever the campaign's ways in say. Scope `campaigns:write`.

    Who is in it stays where they are; who was in it before enters only if the campaign lets people in more than once,
    or with `again`. Consent, hours and caps hold for them as for everybody.
    """
    place = await _about(request, name, journey, lambda _, place: place)
    enroller = context(request).enrol
    try:
        report = await run_in_threadpool(
            enroller, place, wanted.leads, actor=f"key:{key.id}", again=wanted.again, dry_run=wanted.dry_run
        )
    except ThroughlineError as error:
        raise _problem(error) from error
    return answer(report)


@router.post("/v1/campaigns/{name}/migrations", response_model=shapes.Followed, responses=_STUCK)
async def migrate(
    request: Request,
    name: Name,
    wanted: Following,
    journey: OfJourney = None,
    _: Key = may("campaigns:write"),  # noqa: B008
) -> Response:
    """
    Have who is under way go on by another version of the campaign, at most 5000 of them. Scope `campaigns:write`.

    Ask with `dry_run` first: it tells where each step leads. Ask again until nobody `remain`s. Everybody stays at
    their step, which is found by its name. Where somebody is `stuck`, nothing is done, unless they `leave`.
    """

    def target(_: Connection, place: Place) -> tuple[Place, str]:
        if wanted.to is None and place.journey is None:
            raise Permanent("campaign_over")
        return place, wanted.to or (place.journey.version if place.journey else "")

    place, version = await _about(request, name, journey, target)
    follower = context(request).follow
    try:
        report = await run_in_threadpool(
            follower,
            place,
            version,
            wanted.map,
            versions=wanted.from_,
            leave=wanted.leave,
            dry_run=wanted.dry_run,
            most=MOST_MOVED,
        )
    except ThroughlineError as error:
        raise _problem(error) from error
    return answer(report)


async def _about(
    request: Request,
    name: str,
    journey: str | None,
    act: Callable[[Connection, Place], Any],
    *,
    change: bool = False,
) -> Any:  # noqa: ANN401 - what `act` gives
    """Find the campaign and ask or change something about it, in one transaction."""

    def ask(connection: Connection) -> Any:  # noqa: ANN401
        return act(connection, campaigns.find(connection, name, journey))

    try:
        return await (write if change else read)(request, ask)
    except ThroughlineError as error:
        raise _problem(error) from error


def _go_on(request: Request) -> None:
    hint = context(request).hint
    if hint:
        hint("nurture", ())
        hint("deliver", ())


def _problem(error: ThroughlineError) -> Problem:
    status, detail = _PROBLEMS.get(error.code, (409, "This cannot be done as it is now."))
    members: dict[str, Any] = error.facts if isinstance(error, Permanent) else {}
    return Problem(status, error.code, detail, **members)
