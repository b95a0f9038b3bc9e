"""
Follow-ups over HTTP: an owner's day, and what they do about their work; and their calendar, for programs that show one.

What changes one is handed in: it is the write path that workers use.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.errors import Permanent, ThroughlineError, Transient
from schema.journey.parts import Duration
from schema.store import clock, follow_ups
from schema.store.follow_ups import Wanted
from schema.store.ids import is_id
from services.api.calendars import address
from services.api.context import PLAIN, Cursor, answer, context, found, listed, may, read, write
from services.api.keys import Key
from services.api.problems import Problem
from services.api.shapes import ProblemDocument, Shape

router = APIRouter(tags=["follow-ups"])

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="The short name that the journey uses.")]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Owner = Annotated[str, Query(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="The short name that the journey uses.")]
Id = Annotated[str, Path(max_length=100)]
About = Literal["lead", "ticket", "opportunity", "contract", "survey"]
_UUID: Final = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


class Subject(Shape):
    """What work is about."""

    kind: About
    id: Annotated[str, Field(pattern=_UUID)]


class Whom(Shape):
    """The person of the lead."""

    id: str
    name: str | None
    email: str | None
    phone: str | None
    company: str | None


class FollowUp(Shape):
    """Work for a person."""

    id: str
    lead_id: str
    journey_name: str
    rule: str | None = Field(description="Of the journey, or `campaign/step`; null: made by hand.")
    text: str
    about: Subject
    person: Whom
    owner: str | None = Field(description="Null: nobody has the lead yet.")
    status: Literal["open", "done", "cancelled"]
    overdue: bool
    due_at: datetime
    first_due_at: datetime = Field(description="Before anybody put it off.")
    remind_at: datetime | None
    snoozed_until: datetime | None
    snoozes: int
    created_at: datetime
    created_by: str
    reminded_at: datetime | None
    late_at: datetime | None
    escalated_at: datetime | None
    escalated_to: str | None
    outcome: str | None
    reason: str | None = Field(description="Why it was cancelled.")
    note: str | None
    done_at: datetime | None
    done_by: str | None


class FollowUpShown(FollowUp):
    """Work for a person, and what can come of it."""

    outcomes: list[str]


class Page(Shape):
    """One page of follow-ups."""

    items: list[FollowUp]
    next: str | None


class Counts(Shape):
    """How much is open, up to ten thousand."""

    overdue: int
    today: int
    open: int


class Day(Shape):
    """An owner's day."""

    owner: str
    day_ends: datetime = Field(description="Midnight on their clock.")
    counts: Counts
    overdue: list[FollowUp]
    today: list[FollowUp]
    next: list[FollowUp]


class Address(Shape):
    """Where an owner's calendar is; whoever knows it can read it."""

    owner: str
    url: str


class Revoked(Shape):
    """Whether there was an address to take back."""

    owner: str
    revoked: bool


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Making(_Asked):
    """
    Work to be made. Without an owner it is the lead's, whoever has it.

    It is due at a moment, `within` that working time (`4h`, `2d`), or by the end of the owner's working day. With a
    `key` the same again makes no other.
    """

    lead_id: Annotated[str, Field(pattern=_UUID)]
    text: Annotated[str, Field(min_length=1, max_length=1000, pattern=PLAIN)]
    owner: Name | None = None
    due_at: AwareDatetime | None = None
    within: Duration | None = None
    remind_at: AwareDatetime | None = None
    about: Subject | None = None
    key: Annotated[str, Field(min_length=1, max_length=200, pattern=PLAIN)] | None = None

    @model_validator(mode="after")
    def _one_due_time(self) -> Making:
        if self.due_at is not None and self.within is not None:
            raise ValueError("give either `due_at` or `within`")
        return self


class Doing(_Asked):
    """What came of it: one of its outcomes, with a note for colleagues, and the channel it was done on."""

    outcome: Code
    note: Annotated[str, Field(max_length=10_000, pattern=r"^[^\x00]*$")] | None = None
    channel: Code | None = None


class Snoozing(_Asked):
    """Until when nobody is to hear of it; it is due then if it was due before."""

    until: AwareDatetime


class Assigning(_Asked):
    """Whose it is to be."""

    owner: Name


class Cancelling(_Asked):
    """Why it falls away."""

    reason: Code = "not_needed"


_MAY_READ: Final = [may("follow_ups:read")]
_OVER: Final[dict[int | str, dict[str, Any]]] = {
    409: {
        "model": ProblemDocument,
        "description": "`follow_up_over`: `outcome`, `done_at` and `done_by` say what became of it.",
    },
}
_MERGED: Final[dict[int | str, dict[str, Any]]] = {
    409: {"model": ProblemDocument, "description": "`lead_merged`: it goes on in the lead `into`."},
}


# -- looking -----------------------------------------------------------------------------------------------------------


@router.get("/v1/follow-ups", response_model=Page, dependencies=_MAY_READ)
async def list_follow_ups(  # noqa: PLR0913 - what may be asked for
    request: Request,
    *,
    owner: Owner | None = None,
    until: Annotated[AwareDatetime | None, Query(description="Due before then.")] = None,
    status: follow_ups.Status = "open",
    about: Annotated[str | None, Query(pattern=_UUID, description="Of this ticket, opportunity, …")] = None,
    lead: Annotated[str | None, Query(pattern=_UUID)] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=follow_ups.LARGEST_PAGE)] = 50,
) -> Response:
    """
    List follow-ups: what is open by its due time, what is overdue first; what is over the latest first.

    Scope `follow_ups:read`.
    """
    wanted = Wanted(status, owner, until, None, about, lead)
    try:
        items, following = await read(request, follow_ups.listed, wanted, clock.now(), cursor=cursor, limit=limit)
    except Permanent as error:
        raise Problem(422, error.code, str(error), pointer="/query/cursor") from error
    return listed(items, following)


@router.get("/v1/follow-ups/day", response_model=Day, dependencies=_MAY_READ)
async def day(
    request: Request, owner: Owner, limit: Annotated[int, Query(ge=1, le=follow_ups.LARGEST_PAGE)] = 50
) -> Response:
    """
    Show somebody's day: what is overdue, what is due today on their clock, and what comes next.

    At most `limit` of each; `counts` are of all. Scope `follow_ups:read`.
    """
    try:
        return answer(await read(request, follow_ups.day, context(request).book, owner, clock.now(), limit=limit))
    except Permanent as error:
        raise _problem(error) from error


@router.get("/v1/follow-ups/{follow_up_id}", response_model=FollowUpShown, dependencies=_MAY_READ)
async def show(request: Request, follow_up_id: Id) -> Response:
    """Show one follow-up, with the outcomes it can have. Scope `follow_ups:read`."""
    return answer(await _shown(request, follow_up_id))


# -- doing -------------------------------------------------------------------------------------------------------------


@router.post("/v1/follow-ups", status_code=201, response_model=FollowUpShown, responses=_MERGED)
async def add(request: Request, wanted: Making, key: Key = may("follow_ups:write")) -> Response:  # noqa: B008
    """Make work for somebody by hand. Scope `follow_ups:write`."""
    row = await _done(
        context(request).follow_ups.add,
        wanted.lead_id,
        wanted.text,
        owner=wanted.owner,
        due_at=wanted.due_at,
        within=wanted.within,
        remind_at=wanted.remind_at,
        subject=(wanted.about.kind, wanted.about.id) if wanted.about else None,
        key=wanted.key,
        actor=f"key:{key.id}",
    )
    return answer(await _shown(request, row["id"]), 201)


@router.post("/v1/follow-ups/{follow_up_id}/done", response_model=FollowUpShown, responses=_OVER)
async def done(
    request: Request,
    follow_up_id: Id,
    wanted: Doing,
    key: Key = may("follow_ups:write"),  # noqa: B008
) -> Response:
    """
    Say that it was done, and what came of it. It becomes a touchpoint `follow_up.done` of the lead, which goes on.

    Scope `follow_ups:write`.
    """
    act = context(request).follow_ups.done
    more = {"note": wanted.note, "channel": wanted.channel, "actor": f"key:{key.id}"}
    await _done(act, follow_up_id, wanted.outcome, **more)
    return answer(await _shown(request, follow_up_id))


@router.post("/v1/follow-ups/{follow_up_id}/snooze", response_model=FollowUpShown, responses=_OVER)
async def snooze(
    request: Request,
    follow_up_id: Id,
    wanted: Snoozing,
    key: Key = may("follow_ups:write"),  # noqa: B008
) -> Response:
    """Put it off. Scope `follow_ups:write`."""
    await _done(context(request).follow_ups.snooze, follow_up_id, wanted.until, actor=f"key:{key.id}")
    return answer(await _shown(request, follow_up_id))


@router.post("/v1/follow-ups/{follow_up_id}/assign", response_model=FollowUpShown, responses=_OVER)
async def assign(
    request: Request,
    follow_up_id: Id,
    wanted: Assigning,
    key: Key = may("follow_ups:write"),  # noqa: B008
) -> Response:
    """Hand it to somebody, with whom it stays whoever has the lead. Scope `follow_ups:write`."""
    await _done(context(request).follow_ups.assign, follow_up_id, wanted.owner, actor=f"key:{key.id}")
    return answer(await _shown(request, follow_up_id))


@router.post("/v1/follow-ups/{follow_up_id}/cancel", response_model=FollowUpShown, responses=_OVER)
async def cancel(
    request: Request,
    follow_up_id: Id,
    wanted: Cancelling | None = None,
    key: Key = may("follow_ups:write"),  # noqa: B008
) -> Response:
    """Let it fall away. Scope `follow_ups:write`."""
    reason = (wanted or Cancelling()).reason
    await _done(context(request).follow_ups.cancel, follow_up_id, reason, actor=f"key:{key.id}")
    return answer(await _shown(request, follow_up_id))


# -- calendars ---------------------------------------------------------------------------------------------------------


@router.post("/v1/owners/{owner}/calendar", response_model=Address)
async def calendar(
    request: Request,
    owner: Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,62}$")],
    key: Key = may("follow_ups:write"),  # noqa: B008
) -> Response:
    """
    Give the address of somebody's calendar, made if they have none: for the program they look at theirs with.

    Whoever knows the address can read it, until it is taken back. Scope `follow_ups:write`.
    """
    settings, book = context(request).settings, context(request).book
    try:
        url = await write(request, address, book, settings, owner, f"key:{key.id}", clock.now())
    except Permanent as error:
        raise _problem(error) from error
    return answer({"owner": owner, "url": url})


@router.delete("/v1/owners/{owner}/calendar", response_model=Revoked, dependencies=[may("follow_ups:write")])
async def revoke(request: Request, owner: Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]) -> Response:
    """Take the address of somebody's calendar back; the next one is another. Scope `follow_ups:write`."""
    return answer({"owner": owner, "revoked": await write(request, follow_ups.revoke_feed, owner, clock.now())})


async def _shown(request: Request, follow_up_id: str) -> dict[str, Any]:
    one = await read(request, follow_ups.one, context(request).book, follow_up_id, clock.now())
    return found(one, "follow_up_not_found", "There is no such follow-up.")


async def _done(act: Callable[..., dict[str, Any]], named: str, *args: object, **kwargs: object) -> dict[str, Any]:
    if not is_id(named):
        raise Problem(404, "follow_up_not_found", "There is no such follow-up.")
    try:
        return await run_in_threadpool(act, named, *args, **kwargs)
    except ThroughlineError as error:
        raise _problem(error) from error


_STATUS: Final = {"follow_up_unknown": 404, "lead_unknown": 404, "follow_up_over": 409, "lead_merged": 409}
_POINTER: Final = {
    "outcome_unknown": "/body/outcome",
    "owner_unknown": "/body/owner",
    "snooze_in_the_past": "/body/until",
    "due_in_the_past": "/body/due_at",
    "reminder_not_before_due": "/body/remind_at",
    "subject_unknown": "/body/about",
}
_FACTS: Final = ("possible", "known", "into", "outcome", "done_at", "done_by")


def _problem(error: ThroughlineError) -> Problem:
    if isinstance(error, Transient):
        return Problem(503, error.code, "The lead could not be changed at the moment.", retry_after_s=1)
    if error.code == "lead_unknown":
        return Problem(404, "lead_not_found", "There is no such lead.")
    if error.code == "follow_up_unknown":
        return Problem(404, "follow_up_not_found", str(error))
    facts = {name: error.facts[name] for name in _FACTS if name in error.facts}
    status = _STATUS.get(error.code, 422)
    return Problem(status, error.code, str(error), pointer=_POINTER.get(error.code), **facts)  # type: ignore[arg-type]  # no argument of its own is among them
