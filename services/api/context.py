"""What the routes of the management API share: the database, who is asking, and how answers are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

import msgspec
from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPBearer
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import Response

from schema.contract import Told
from schema.settings import Settings
from schema.store.campaigns import Place
from schema.store.ids import is_id
from schema.store.journeys import JourneyBook
from services.api.keys import Key, Keyring
from services.api.problems import Problem
from services.receive import Receiver
from services.sources import Sources

Mover = Callable[[str, str, str, str], dict[str, Any]]
"""Moves a lead: (lead id, transition, reason, actor) to what became of it."""


class Migrator(Protocol):
    """Has leads follow another version of their journey, as workers do."""

    def __call__(
        self,
        to: str,
        versions: Sequence[str],
        names: Mapping[str, str],
        *,
        actor: str,
        closed: bool,
        dry_run: bool,
        most: int,
    ) -> dict[str, Any]:
        """Return what became of it; raises Permanent."""


class Enroller(Protocol):
    """Enrols leads in a campaign, as workers do."""

    def __call__(self, place: Place, leads: Sequence[str], *, actor: str, again: bool, dry_run: bool) -> dict[str, Any]:
        """Return what became of them; raises Permanent."""


class Follower(Protocol):
    """Has people under way in a campaign go on by another version of it, as workers do."""

    def __call__(
        self,
        place: Place,
        to: str,
        names: Mapping[str, str],
        *,
        versions: Sequence[str],
        leave: bool,
        dry_run: bool,
        most: int,
    ) -> dict[str, Any]:
        """Return what became of it; raises Permanent."""


Outlook = Callable[[str, datetime | None, str | None], dict[str, Any]]
"""Explains a lead's score: (lead id, at a moment, target) to what `GET /v1/leads/{id}/score` answers."""


class Owners(Protocol):
    """What owners do about their leads and when they are there, as workers do it; all of it raises Permanent."""

    def accept(self, lead_id: str, owner: str | None, *, actor: str) -> dict[str, Any]:
        """Have the owner accept a lead."""

    def decline(self, lead_id: str, reason: str, *, actor: str) -> dict[str, Any]:
        """Have the owner decline a lead."""

    def assign(self, lead_id: str, owner: str, reason: str | None, *, actor: str) -> dict[str, Any]:
        """Hand a lead to somebody."""

    def overview(self) -> dict[str, Any]:
        """Show everybody with what they have, and the queues."""

    def away(
        self, owner: str, *, kind: str, start: datetime | None, end: datetime | None, actor: str
    ) -> dict[str, Any]:
        """Keep an absence."""

    def back(self, owner: str, absence: str | None) -> dict[str, Any]:
        """Take back an absence, or what somebody is away for now."""


class Sales(Protocol):
    """Opportunities as workers keep them; all of it raises Permanent where there is something wrong."""

    def open(
        self, lead_id: str, pipeline: str | None, given: Mapping[str, Any], *, actor: str, reason: str | None
    ) -> dict[str, Any]:
        """Open one."""

    def change(
        self, opportunity_id: str, given: Mapping[str, Any], *, actor: str, expect: int | None
    ) -> dict[str, Any]:
        """Change one."""

    def win(self, opportunity_id: str, given: Mapping[str, Any], *, actor: str) -> dict[str, Any]:
        """Have one be won."""

    def lose(self, opportunity_id: str, reason: str, *, actor: str) -> dict[str, Any]:
        """Have one be lost."""

    def reopen(self, opportunity_id: str, *, actor: str, stage: str | None, reason: str | None) -> dict[str, Any]:
        """Take one up again."""

    def listed(self, *, limit: int, state: str | None, **wanted: str | None) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page, and the cursor of the next."""

    def one(self, opportunity_id: str) -> dict[str, Any]:
        """Return one with its history."""

    def pipeline(self, pipeline: str | None, journey: str | None, owner: str | None) -> dict[str, Any]:
        """Return what stands at each stage."""

    def forecast(self, pipeline: str | None, journey: str | None, *, months: int, by: str | None) -> dict[str, Any]:
        """Return what is to be expected."""


class FollowUps(Protocol):
    """What people do about their follow-ups, as workers do it; all of it raises Permanent and returns the row."""

    def add(  # noqa: PLR0913 - what may be said of one
        self,
        lead_id: str,
        words: str,
        *,
        owner: str | None,
        due_at: datetime | None,
        within: timedelta | None,
        remind_at: datetime | None,
        subject: tuple[str, str] | None,
        key: str | None,
        actor: str,
    ) -> dict[str, Any]:
        """Make one by hand."""

    def done(
        self, follow_up_id: str, outcome: str, *, note: str | None, channel: str | None, actor: str
    ) -> dict[str, Any]:
        """Say that one was done."""

    def snooze(self, follow_up_id: str, until: datetime, *, actor: str) -> dict[str, Any]:
        """Put one off."""

    def assign(self, follow_up_id: str, owner: str, *, actor: str) -> dict[str, Any]:
        """Hand one to somebody."""

    def cancel(self, follow_up_id: str, reason: str, *, actor: str) -> dict[str, Any]:
        """Let one fall away."""


class Retention(Protocol):
    """What people do about contracts, and what rules say of customers, as workers do it; raises Permanent."""

    def add(self, lead_id: str, told: Told, *, source: str | None, actor: str) -> dict[str, Any]:
        """Have a contract run."""

    def renew(self, contract_id: str, told: Told, *, actor: str) -> dict[str, Any]:
        """Have another term follow."""

    def cancel(self, contract_id: str, *, ends_on: date | None, reason: str | None, actor: str) -> dict[str, Any]:
        """Have a contract not be renewed."""

    def health(self, person_id: str) -> list[dict[str, Any]]:
        """Show how well a customer is."""

    def offers(self, person_id: str) -> dict[str, Any]:
        """Show what to offer."""


class Tickets(Protocol):
    """What agents do about tickets, as workers do it; all of it returns the ticket as it is shown, or raises."""

    def open(
        self, lead_id: str, wanted: Mapping[str, Any], text: str | None, *, actor: str, agent: str | None
    ) -> dict[str, Any]:
        """Open one."""

    def heard(self, ticket_id: str, text: str, channel: str) -> dict[str, Any]:
        """Keep what the customer said."""

    def answer(  # noqa: PLR0913 - what may be said of an answer
        self,
        ticket_id: str,
        text: str,
        channel: str,
        *,
        actor: str,
        agent: str | None,
        status: str | None,
        send: bool,
        seen: int | None,
    ) -> dict[str, Any]:
        """Keep an answer, and send it."""

    def note(self, ticket_id: str, text: str, *, actor: str, agent: str | None) -> dict[str, Any]:
        """Keep a remark for colleagues."""

    def status(
        self,
        ticket_id: str,
        wanted: str,
        *,
        actor: str,
        agent: str | None,
        root_cause: str | None,
        resolution: str | None,
        seen: int | None,
    ) -> dict[str, Any]:
        """Have one be in another status."""

    def assign(self, ticket_id: str, owner: str | None, *, actor: str, only_free: bool) -> dict[str, Any]:
        """Have one be somebody's."""

    def change(
        self,
        ticket_id: str,
        *,
        actor: str,
        kind: str | None,
        priority: str | None,
        subject: str | None,
        desk: str | None,
    ) -> dict[str, Any]:
        """Change what one is said to be."""


class Surveys(Protocol):
    """Takes answers to surveys, as workers do; returns the survey as it is shown, or raises."""

    def give(self, survey_id: str, *, score: int, comment: str | None, channel: str, actor: str) -> dict[str, Any]:
        """Answer one."""

    def taken(
        self,
        lead_id: str,
        name: str,
        *,
        score: int,
        comment: str | None,
        channel: str,
        actor: str,
        ticket_id: str | None,
    ) -> dict[str, Any]:
        """Keep the answer of somebody who was asked in person."""


class Merger(Protocol):
    """Makes one person of two and takes it back, as workers do; raises Permanent."""

    def merge(self, survivor: str, merged: str, *, reason: str | None, actor: str) -> dict[str, Any]:
        """Have one person go on as another."""

    def unmerge(self, person: str, *, actor: str) -> dict[str, Any]:
        """Take back that somebody goes on as another."""


class Recalculator(Protocol):
    """Has clocks of tickets be counted by the active version, as workers do; raises Permanent."""

    def __call__(self, name: str | None, *, actor: str, dry_run: bool, most: int) -> dict[str, Any]:
        """Return what that changes."""


Hinter = Callable[[str, Sequence[str]], None]
"""Tells the workers of a step that these ids are due."""

_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")
_bearer: Final = HTTPBearer(auto_error=False, scheme_name="API key", description="`Authorization: Bearer tl_…`")

PLAIN: Final = r"^[^\x00-\x1f\x7f]*$"
"""Text without control characters; PostgreSQL refuses NUL anyway."""
Cursor = Annotated[str | None, Query(max_length=100, description="`next` of the page before.")]


@dataclass(frozen=True, slots=True)
class Context:
    """The application's own things, at `app.state.context`."""

    settings: Settings
    engine: AsyncEngine
    keyring: Keyring
    sources: Sources
    receiver: Receiver
    move: Mover
    migrate: Migrator
    owners: Owners
    enrol: Enroller
    follow: Follower
    merger: Merger
    follow_ups: FollowUps
    sales: Sales
    retention: Retention
    tickets: Tickets
    surveys: Surveys
    outlook: Outlook
    recalculate: Recalculator
    hint: Hinter | None
    revision: str | None
    book: JourneyBook = field(default_factory=JourneyBook)


def context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


def may(scope: str) -> Any:  # noqa: ANN401 - what FastAPI's Depends returns
    """Ask for a key with `scope`; the route gets the `Key`."""

    async def check(request: Request, _: Annotated[object, Security(_bearer)]) -> Key:
        return await context(request).keyring.check(request.headers.get("authorization"), scope)

    return Depends(check)


async def read(
    request: Request,
    question: Callable[Concatenate[Connection, _Arguments], _Result],
    *args: _Arguments.args,
    **kwargs: _Arguments.kwargs,
) -> _Result:
    """Ask the database something, in one transaction."""
    async with context(request).engine.connect() as connection:
        return await connection.run_sync(question, *args, **kwargs)


async def write(
    request: Request,
    change: Callable[Concatenate[Connection, _Arguments], _Result],
    *args: _Arguments.args,
    **kwargs: _Arguments.kwargs,
) -> _Result:
    """Change the database, in one transaction that is committed before this returns."""
    async with context(request).engine.begin() as connection:
        return await connection.run_sync(change, *args, **kwargs)


def answer(body: object, status: int = 200) -> Response:
    """Write plain values as JSON."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def listed(items: Sequence[object], following: str | None = None) -> Response:
    """Write one page of a list."""
    return answer({"items": items, "next": following})


def found(thing: _Result | None, code: str, detail: str) -> _Result:
    """Return what was found, else answer 404."""
    if thing is None:
        raise Problem(404, code, detail)
    return thing


def checked_cursor(cursor: str | None) -> str | None:
    """Return the cursor of a list that is read by id, else answer 422."""
    if cursor is not None and not is_id(cursor):
        raise Problem(422, "cursor_invalid", "This is not a cursor of this list.", pointer="/query/cursor")
    return cursor
