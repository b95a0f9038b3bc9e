"""
KPIs over HTTP: what there is with its latest values, one figure over a window, the rows behind it, what was restated.

Reading routes only: figures are counted by the worker `kpi`.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.errors import Permanent
from schema.journey import Journey
from schema.store import clock, kpi_figures, kpi_rows, kpis
from schema.store.kpi_figures import Every
from services.api.context import PLAIN, answer, context, listed, may, read
from services.api.problems import Problem
from services.api.shapes import ProblemDocument, Shape

router = APIRouter(tags=["kpis"])

Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="As `GET /v1/kpis` names it.")]
OfJourney = Annotated[str | None, Query(max_length=63, pattern=PLAIN, description="Where there are several journeys.")]
From = Annotated[date | None, Query(alias="from", description="The first day; without it 30 days before `to`.")]
To = Annotated[date | None, Query(description="The day up to which, itself not counted; without it tomorrow.")]
Of = Annotated[
    str | None,
    Query(
        max_length=200,
        pattern=PLAIN,
        description="A name of the journey, as `lead`; with its kind where several have it: `state:lead`.",
    ),
]
By = Annotated[str | None, Query(max_length=63, pattern=PLAIN, description="A dimension, such as `source`.")]
Only = Annotated[str | None, Query(max_length=63, pattern=PLAIN)]
PageCursor = Annotated[str | None, Query(max_length=200, description="`next` of the page before.")]


class Subject(Shape):
    """What a figure is asked of."""

    kind: str
    code: str


class Described(Shape):
    """What a KPI means, and how it can be asked."""

    name: str
    title: str
    about: str = Field(description="The group that it belongs to.")
    definition: str
    unit: str = Field(description="count, share (0 to 1), seconds, money, money_per_day, points, score, turns, ratio.")
    kind: Literal["snapshot", "cohort", "now", "whole"] = Field(
        description="snapshot: what happened in the window; cohort: what became of what began in it; now: at this "
        "moment; whole: since the beginning."
    )
    numerator_is: str
    denominator_is: str | None
    needed: int = Field(description="Below so many it says little.")
    dimensions: list[str] = Field(description="What it can be told by.")
    asked_of: list[str] = Field(description="What it can be asked of.")
    parts: list[str] = Field(description="What it is told apart by where it is not asked of one.")


class Figure(Shape):
    """One figure. Money and sums of money come as text, exactly; durations in seconds."""

    since: date = Field(alias="from")
    to: date
    group: str | None = Field(description="The value of the dimension; null: not known, or not asked by one.")
    part: dict[str, str] = Field(description="What it is of; empty: everything together.")
    value: float | str | None = Field(description="Of durations the median; null for a `reason`.")
    numerator: float | str | None
    denominator: float | str | None
    low: float | None = Field(description="With `high`: the interval that holds it with 95 %.")
    high: float | None
    p90: float | None = Field(description="Of durations: within what time nine in ten are over.")
    mean: float | None
    open: int | None = Field(description="Of cohorts: how many are not over; they count for as long as they last.")
    longest: float | None = Field(description="Of cohorts: how long the longest has lasted.")
    sample: int = Field(description="How many it rests on.")
    enough: bool = Field(description="Whether that is as many as it needs.")
    reason: str | None = Field(description="Why there is no value: nothing_counted, most_still_open, …")


class Window(Shape):
    """From one day up to another one, itself not counted, where days begin in `tz`."""

    since: date = Field(alias="from")
    to: date
    tz: str


class Asked(Described):
    """The figures that answer a question, as all was that is counted up to `as_of`."""

    journey: str
    of: Subject | None
    by: str | None
    every: Every | None
    window: Window
    as_of: datetime | None = Field(description="Up to when all that was told is counted; null: counting has not begun.")
    items: list[Figure]
    left_out: int = Field(description="Values of the dimension that are not told: those with the smallest samples.")


class Standing(Shape):
    """A target of the journey, as it was last looked at."""

    target: str
    label: str | None
    kpi: str
    of: Subject | None
    at_least: str | None
    at_most: str | None
    percentile: int | None
    over_days: int
    needed: int
    missed: bool | None = Field(description="null: there was never enough to say.")
    since: datetime | None
    value: float | None
    sample: int
    looked_at: datetime | None


class Listed(Described):
    """A KPI with its values of the latest 30 days, all together, and the targets that it has."""

    figures: list[Figure]
    targets: list[Standing]


class Overview(Shape):
    """Every KPI there is."""

    journey: str
    window: Window
    as_of: datetime | None
    items: list[Listed]


class Behind(Shape):
    """One row behind a figure: the lead, the moment that counts, and what it is about."""

    at: datetime
    lead_id: str
    id: str | None = Field(description="Of a touchpoint, a ticket, a purchase …; null: the lead itself.")
    detail: dict[str, Any]


class Rows(Shape):
    """One page of rows; it may be shorter than asked for and still have a next one."""

    items: list[Behind]
    next: str | None


class Restatement(Shape):
    """What was added to a day that was over when its event was told."""

    id: int
    noted_at: datetime
    measure: str
    item: str
    day: date
    n: int
    total: str


class Restatements(Shape):
    """One page of restatements, the earliest first."""

    items: list[Restatement]
    next: str | None


_POINTERS: Final = {
    "of_unknown": "/query/of",
    "by_unknown": "/query/by",
    "window_invalid": "/query/from",
    "cursor_invalid": "/query/cursor",
    "rows_unknown": "/path/name",
}
_STATUS: Final = {"kpi_unknown": 404, "journey_not_active": 404, "journey_not_named": 409}
_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": ProblemDocument, "description": "`kpi_unknown`, `journey_not_active`."},
    409: {"model": ProblemDocument, "description": "`journey_not_named`: several are active."},
    422: {
        "model": ProblemDocument,
        "description": "`of_unknown`, `by_unknown`, `window_invalid`, `rows_unknown`, `cursor_invalid`: the detail "
        "names what is possible.",
    },
}
_READS: Final[dict[str, Any]] = {"dependencies": [may("kpis:read")], "responses": _ERRORS}


@router.get("/v1/kpis", response_model=Overview, **_READS)
async def overview(request: Request, journey: OfJourney = None) -> Response:
    """
    List every KPI with its definition, its values of the latest 30 days and how its targets stand. Scope `kpis:read`.

    What has several answers (by state, by model …) has no value here: ask for it by name.
    """

    def ask(connection: Connection) -> kpi_figures.GatheredAll:
        return kpi_figures.gather_all(connection, _journey(request, connection, journey), clock.now())

    return answer(await run_in_threadpool(kpi_figures.told_of_all, await _asked(request, ask)))


@router.get("/v1/kpis/restated", response_model=Restatements, **_READS)
async def restated(
    request: Request,
    *,
    since: From = None,
    to: To = None,
    journey: OfJourney = None,
    cursor: PageCursor = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List what was added to days that were over, by when it was noted. Scope `kpis:read`."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):  # noqa: PLR2004 - bigint
        raise Problem(422, "cursor_invalid", "This is not a cursor of this list.", pointer="/query/cursor")

    def ask(connection: Connection) -> tuple[list[dict[str, Any]], str | None]:
        found = _journey(request, connection, journey)
        begin, until = kpi_figures.window(found, clock.now(), since, to)
        return kpis.restated(connection, found, begin, until, cursor=int(cursor or 0), limit=limit)

    return listed(*await _asked(request, ask))


@router.get("/v1/kpis/{name}", response_model=Asked, **_READS)
async def one(  # noqa: PLR0913 - all that can be asked
    request: Request,
    name: Name,
    *,
    since: From = None,
    to: To = None,
    of: Of = None,
    by: By = None,
    every: Annotated[Every | None, Query(description="In one piece, or by day, week (from Monday) or month.")] = None,
    journey: OfJourney = None,
) -> Response:
    """
    Tell one KPI: with numerator, denominator, sample size and interval, as of when all is counted. Scope `kpis:read`.

    Asked of nothing it is told for each of its parts, such as every state.
    """

    def ask(connection: Connection) -> kpi_figures.Gathered:
        found, now = _journey(request, connection, journey), clock.now()
        asked = kpi_figures.question(found, name, now, since=since, until=to, of=of, by=by, every=every)
        return kpi_figures.gather(connection, found, asked, now)

    return answer(await run_in_threadpool(kpi_figures.answered, await _asked(request, ask)))


@router.get("/v1/kpis/{name}/rows", response_model=Rows, **_READS)
async def rows(  # noqa: PLR0913 - all that can be asked
    request: Request,
    name: Name,
    *,
    since: From = None,
    to: To = None,
    of: Of = None,
    source: Only = None,
    channel: Only = None,
    journey: OfJourney = None,
    cursor: PageCursor = None,
    limit: Annotated[int, Query(ge=1, le=kpi_rows.LARGEST_PAGE)] = 100,
) -> Response:
    """
    List the rows behind a KPI, in the order of time: of a share those of its denominator. Scope `kpis:read`.

    `source` and `channel` narrow it to leads that came from there first.
    """

    def ask(connection: Connection) -> tuple[list[dict[str, Any]], str | None]:
        found = _journey(request, connection, journey)
        asked = kpi_figures.question(found, name, clock.now(), since=since, until=to, of=of)
        return kpi_rows.page(connection, found, asked, cursor=cursor, limit=limit, source=source, channel=channel)

    return listed(*await _asked(request, ask))


def _journey(request: Request, connection: Connection, name: str | None) -> Journey:
    return kpi_figures.journey_of(connection, context(request).book, name)


async def _asked(request: Request, ask: Any) -> Any:  # noqa: ANN401 - a question and its answer
    """Ask the database; what cannot be asked becomes a problem that names what can."""
    try:
        return await read(request, ask)
    except Permanent as error:
        status, pointer = _STATUS.get(error.code, 422), _POINTERS.get(error.code)
        raise Problem(status, error.code, str(error), pointer=pointer) from error
