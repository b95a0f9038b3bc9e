"""What the routes of the management API share: the database, who is asking, and how answers are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

import msgspec
from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPBearer
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import Response

from schema.settings import Settings
from schema.store.campaigns import Place
from schema.store.ids import is_id
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


class Merger(Protocol):
    """Makes one person of two and takes it back, as workers do; raises Permanent."""

    def merge(self, survivor: str, merged: str, *, reason: str | None, actor: str) -> dict[str, Any]:
        """Have one person go on as another."""

    def unmerge(self, person: str, *, actor: str) -> dict[str, Any]:
        """Take back that somebody goes on as another."""


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
    outlook: Outlook
    hint: Hinter | None
    revision: str | None


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
