"""Journeys over HTTP: keep a version, switch one on, go back, and have leads follow another one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.errors import Permanent, ThroughlineError
from schema.journey import JourneyInvalid, review
from schema.journey.document import LARGEST
from schema.store import clock, journeys, reading, switch
from services.api import journey_shapes, shapes
from services.api.context import PLAIN, answer, context, found, listed, may, read, write
from services.api.keys import Key
from services.api.problems import Problem
from services.api.shapes import ProblemDocument

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

router = APIRouter(tags=["journeys"])
_Result = TypeVar("_Result")

MOST_MIGRATED: Final = 5_000
"""Leads that one call migrates, in a few seconds."""
_YAML: Final = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
_UNKNOWN: Final = (404, "journey_not_found", "There is no such journey version.")
_PROBLEMS: Final[dict[str, tuple[int, str, str]]] = {
    "journey_unknown": _UNKNOWN,
    "journey_not_named": _UNKNOWN,
    "nothing_before": (409, "nothing_before", "No version of this journey was active before this one."),
    "journey_unreadable": (409, "journey_unreadable", "This version of the program cannot read the version."),
    "source_claimed": (409, "source_claimed", "A source belongs to one journey, and another active one has it."),
    "other_journey": (422, "other_journey", "A lead stays on its journey: both have to be versions of the same."),
    "state_unknown": (422, "state_unknown", "`map` names a state that the versions do not have."),
    "leads_stuck": (422, "leads_stuck", "Leads are in states that lead nowhere: add them to `map`."),
}
_CHANGE_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    409: {"model": ProblemDocument, "description": "`source_claimed`, `nothing_before` or `journey_unreadable`."},
}
_Name = Annotated[str, Field(min_length=1, max_length=63, pattern=PLAIN)]
DryRun = Annotated[bool, Query(description="Only say what it would do.")]


class Migration(BaseModel):
    """Whose leads follow the version: of one other version (`from`), else of all; `map` gives new names of states."""

    model_config = ConfigDict(extra="forbid")

    from_: Annotated[_Name | None, Field(alias="from")] = None
    map: Annotated[dict[_Name, _Name], Field(max_length=500)] = {}
    closed: bool = False
    dry_run: bool = False


@router.get("/v1/journeys", response_model=shapes.Journeys, dependencies=[may("journeys:read")])
async def versions(request: Request) -> Response:
    """List every journey version, when it was active, and how many open leads follow it. Scope `journeys:read`."""
    return listed(await read(request, journeys.versions))


@router.get(
    "/v1/journeys/{version}",
    response_model=shapes.JourneyDocument,
    responses={200: {"content": {"application/yaml": {"schema": {"type": "string"}}}}},
    dependencies=[may("journeys:read")],
)
async def version(request: Request, version: str) -> Response:
    """Show a journey version; with `Accept: application/yaml` the file itself. Scope `journeys:read`."""
    row = found(await read(request, _document, _plain(version)), *_UNKNOWN[1:])
    if "yaml" in request.headers.get("accept", ""):
        return Response(row["document"], media_type="application/yaml", headers={"Vary": "Accept"})
    response = answer(row)
    response.headers["Vary"] = "Accept"
    return response


@router.put(
    "/v1/journeys",
    response_model=journey_shapes.JourneyStored,
    responses={
        201: {"model": journey_shapes.JourneyStored, "description": "A new version."},
        422: {"model": ProblemDocument, "description": "`journey_invalid`; `findings` are all that is wrong."},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": f"The journey file, up to {LARGEST} bytes.",
            "content": {"application/yaml": {"schema": {"type": "string"}}},
        },
    },
)
async def put(request: Request, _: Key = may("journeys:write")) -> Response:  # noqa: B008
    """
    Check a journey file and keep it as a version; it is not switched on. Scope `journeys:write`.

    201 for a new version; 200 if the same content is kept already. `findings` are warnings: it can be switched on.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _YAML:
        raise Problem(415, "media_type_unsupported", "Send the file as it is: Content-Type: application/yaml.")
    try:
        document = (await request.body()).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(400, "body_not_text", "The file is not UTF-8 text.") from error
    stored = await _changed(request, _keep, document)
    response = answer(stored, 201 if stored["new"] else 200)
    response.headers["Location"] = f"/v1/journeys/{stored['version']}"
    return response


@router.post("/v1/journeys/{version}/activate", response_model=journey_shapes.Switched, responses=_CHANGE_PROBLEMS)
async def activate(
    request: Request,
    version: str,
    *,
    dry_run: DryRun = False,
    key: Key = may("journeys:write"),  # noqa: B008
) -> Response:
    """
    Have new leads follow this version; leads under way stay with theirs. Scope `journeys:write`.

    Says what changes, and how many open leads stay with which other version.
    """

    def change(connection: Connection) -> switch.Switched:
        journey = journeys.stored(connection, _plain(version))
        return switch.activate(connection, journey, clock.now(), actor=f"key:{key.id}")

    switched = await _changed(request, change, dry_run=dry_run)
    return answer(switched.report() | {"dry_run": dry_run})


@router.post("/v1/journeys/{name}/rollback", response_model=journey_shapes.Switched, responses=_CHANGE_PROBLEMS)
async def rollback(
    request: Request,
    name: str,
    *,
    dry_run: DryRun = False,
    key: Key = may("journeys:write"),  # noqa: B008
) -> Response:
    """
    Go back to the version that was active before; again: to the one before that. Scope `journeys:write`.

    `name` is the journey's name, as in `default`.
    """

    def change(connection: Connection) -> switch.Switched:
        return switch.roll_back(connection, _plain(name), clock.now(), actor=f"key:{key.id}")

    switched = await _changed(request, change, dry_run=dry_run)
    return answer(switched.report() | {"dry_run": dry_run})


@router.post("/v1/journeys/{version}/migrations", response_model=journey_shapes.Migrated)
async def migrate(
    request: Request,
    version: str,
    wanted: Migration,
    key: Key = may("journeys:write"),  # noqa: B008
) -> Response:
    """
    Have open leads follow this version, at most 5000 of them: ask again until none is `left`. Scope `journeys:write`.

    Leads stay in their state (`map` gives its new name) and with their owner if the version knows them; everything else
    is decided anew. `stuck` are leads that have nowhere to go: then nothing is done. With `closed`, closed leads too;
    they stay closed.
    """
    migrator = context(request).migrate
    leave = [_plain(wanted.from_)] if wanted.from_ is not None else []
    try:
        report = await run_in_threadpool(
            migrator,
            _plain(version),
            leave,
            wanted.map,
            actor=f"key:{key.id}",
            closed=wanted.closed,
            dry_run=wanted.dry_run,
            most=MOST_MIGRATED,
        )
    except ThroughlineError as error:
        raise _problem(error) from error
    return answer(report)


async def _changed(request: Request, change: Callable[..., _Result], *given: object, dry_run: bool = False) -> _Result:
    """Change something in one transaction; for a dry run, roll it back."""
    try:
        return await (read if dry_run else write)(request, change, *given)
    except ThroughlineError as error:
        raise _problem(error) from error


def _keep(connection: Connection, document: str) -> dict[str, Any]:
    known = {entry["version"] for entry in reading.journeys(connection)}
    journey = journeys.store(connection, document, clock.now())
    (kept,) = journeys.versions(connection, journey.version)
    return kept | {"new": journey.version not in known, "findings": [asdict(problem) for problem in review(document)]}


def _document(connection: Connection, version: str) -> dict[str, Any] | None:
    row = reading.journey(connection, version)
    return row | journeys.versions(connection, version)[0] if row else None


def _plain(name: str) -> str:
    """Return a name that can be one; anything else is none that exists."""
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else ""


def _problem(error: ThroughlineError) -> Problem:
    if isinstance(error, JourneyInvalid):
        findings = [asdict(problem) for problem in error.problems]
        return Problem(
            422, error.code, "The journey is not in order; `findings` say what and where.", findings=findings
        )
    status, code, detail = _PROBLEMS.get(error.code, (409, error.code, "This cannot be done as it is now."))
    members: dict[str, Any] = error.facts if isinstance(error, Permanent) else {}
    return Problem(status, code, detail, **members)
