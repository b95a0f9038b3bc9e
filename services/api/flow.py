"""How leads flow, over HTTP: where they wait, what changed, and the process that the log shows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.errors import Permanent
from schema.store import clock, discovered, flows, journeys, trends
from services.api import flow_shapes as shapes
from services.api.context import PLAIN, answer, context, listed, may, read
from services.api.ops import in_utc
from services.api.problems import Problem
from services.api.shapes import ProblemDocument

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from schema.journey import Journey
    from schema.store.journeys import JourneyBook

router = APIRouter(tags=["kpis"])

PROCESS_DAYS: Final = 90
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_Name = Annotated[
    str | None, Query(alias="journey", max_length=63, pattern=PLAIN, description="Which, where several are active.")
]
_From = Annotated[date | None, Query(alias="from", description="The first day; 30 days ago.")]
_To = Annotated[date | None, Query(alias="to", description="The day behind the last; tomorrow.")]
_FromMoment = Annotated[datetime | None, Query(alias="from", description="Cases that began from then on; 90 days ago.")]
_ToMoment = Annotated[datetime | None, Query(alias="to", description="And before then; now.")]
_Activity = Annotated[str, Query(min_length=1, max_length=200, pattern=PLAIN)]
_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": ProblemDocument, "description": "`journey_not_active`."},
    409: {"model": ProblemDocument, "description": "`journey_not_named`: several are active, or none."},
    422: {"model": ProblemDocument, "description": "`range_invalid`, `window_too_long` or `cursor_invalid`."},
}
_STATUS: Final = {"journey_not_named": 409, "journey_not_active": 404}


@router.get(
    "/v1/kpis/bottlenecks",
    response_model=shapes.Bottlenecks,
    responses=_ERRORS,
    dependencies=[may("kpis:read")],
)
async def bottlenecks(request: Request, since: _From = None, until: _To = None, name: _Name = None) -> Response:
    """
    Show where leads wait, the worst first, and what it would gain if they did not. Scope `kpis:read`.

    Days are days of the journey's figures; a window that is not over yet counts up to now.
    """
    now = clock.now()
    return answer(await _asked(request, _bottlenecks, context(request).book, name, since, until, now))


@router.get("/v1/kpis/trends", response_model=shapes.Trends, responses=_ERRORS, dependencies=[may("kpis:read")])
async def what_changed(
    request: Request,
    since: Annotated[date | None, Query(alias="from", description="Noticed from then on; 90 days ago.")] = None,
    name: _Name = None,
) -> Response:
    """Show which figures changed their level, each change once, and which sources are silent. Scope `kpis:read`."""
    found = await _asked(request, _series, context(request).book, name, clock.now())
    return answer(await run_in_threadpool(trends.told, found, since))


@router.get("/v1/kpis/process", response_model=shapes.Process, responses=_ERRORS, dependencies=[may("kpis:read")])
async def process(
    request: Request, of: discovered.Of, since: _FromMoment = None, until: _ToMoment = None, name: _Name = None
) -> Response:
    """
    Show which activity follows which, how often and how long after, and the ways that cases take. Scope `kpis:read`.

    Cases are leads (their moves), leads (their touchpoints) or tickets (their entries) that began in the window; each
    is looked at as a whole. Everything is counted exactly.
    """
    first, last = _moments(since, until)
    return answer(await _asked(request, _process, context(request).book, name, of, first, last))


@router.get("/v1/kpis/process/rows", response_model=shapes.Pairs, responses=_ERRORS, dependencies=[may("kpis:read")])
async def rows(  # noqa: PLR0913 - its parameters
    request: Request,
    *,
    of: discovered.Of,
    first: _Activity,
    then: _Activity,
    since: _FromMoment = None,
    until: _ToMoment = None,
    name: _Name = None,
    cursor: Annotated[str | None, Query(max_length=100, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=discovered.LARGEST_PAGE)] = 100,
) -> Response:
    """List the cases in which the activity `then` came right after `first`, and when. Scope `kpis:read`."""
    begin, end = _moments(since, until)

    def ask(connection: Connection, book: JourneyBook) -> tuple[list[dict[str, Any]], str | None]:
        journey = _journey(connection, book, name).name
        return discovered.pairs(connection, journey, of, begin, end, first=first, then=then, cursor=cursor, limit=limit)

    return listed(*await _asked(request, ask, context(request).book))


async def _asked(request: Request, question: Any, *args: Any) -> Any:  # noqa: ANN401 - any question of this module
    """Ask the database; what is wrong with the question is a problem of its own status."""
    try:
        return await read(request, question, *args)
    except Permanent as error:
        raise Problem(_STATUS.get(error.code, 422), error.code, str(error)) from error


def _journey(connection: Connection, book: JourneyBook, name: str | None) -> Journey:
    return book.version(connection, journeys.active_version(connection, name or journeys.active_name(connection)))


def _bottlenecks(
    connection: Connection, book: JourneyBook, name: str | None, since: date | None, until: date | None, now: datetime
) -> dict[str, Any]:
    journey = _journey(connection, book, name)
    first, last = flows.window(journey, since, until, now)
    return flows.bottlenecks(connection, journey, first, last, now)


def _series(connection: Connection, book: JourneyBook, name: str | None, now: datetime) -> trends.Read:
    return trends.series(connection, _journey(connection, book, name), book, now)


def _process(
    connection: Connection, book: JourneyBook, name: str | None, of: discovered.Of, since: datetime, until: datetime
) -> dict[str, Any]:
    journey = _journey(connection, book, name).name
    found = discovered.process(connection, journey, of, since, until)
    return {"journey": journey, "what": of, "from": since, "to": until} | found.as_json()


def _moments(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    last = in_utc(until) or clock.now()
    first = in_utc(since) or max(last, _EARLIEST + timedelta(days=PROCESS_DAYS)) - timedelta(days=PROCESS_DAYS)
    if not _EARLIEST <= first < last:
        raise Problem(422, "range_invalid", "The window has to begin before it ends.", pointer="/query/from")
    return first, last
