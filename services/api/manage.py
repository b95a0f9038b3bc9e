"""
The management API: reading, the event feed, moves, operations and health, described by OpenAPI.

Every error is a problem document of ours, also those that FastAPI itself finds; what was sent is never repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from services.api import (
    campaigns,
    diagrams,
    feed,
    files,
    health,
    journeys,
    moves,
    ops,
    pages,
    predictions,
    quarantine,
    reading,
    scores,
    sends,
)
from services.api.clocks import router as clocks_router
from services.api.context import Context
from services.api.contracts import router as contracts_router
from services.api.customers import router as customers_router
from services.api.described import describe
from services.api.edge import Calm, CommonHeaders
from services.api.flow import router as flow_router
from services.api.follow_ups import router as follow_ups_router
from services.api.handovers import router as handovers_router
from services.api.kpis import router as kpis_router
from services.api.merging import router as merging_router
from services.api.opportunities import router as opportunities_router
from services.api.owners import router as owners_router
from services.api.people import router as people_router
from services.api.problems import Problem
from services.api.surveys import router as surveys_router
from services.api.tickets import router as tickets_router

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncEngine
    from starlette.requests import Request
    from starlette.responses import Response

    from schema.settings import Settings
    from services.api.context import (
        Enroller,
        Follower,
        FollowUps,
        Hinter,
        Merger,
        Migrator,
        Mover,
        Outlook,
        Owners,
        Recalculator,
        Retention,
        Sales,
        Surveys,
        Tickets,
    )
    from services.api.keys import Keyring
    from services.receive import Receiver
    from services.sources import Sources

_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
_WORDS: Final = {
    404: "There is nothing here.",
    405: "This method is not possible here.",
    413: "The body is larger than this endpoint takes.",
}
_SENT_NAMES: Final = {"extra_forbidden", "json_invalid"}
"""Mistakes whose place is told in words of the sender's own."""


def create_management(  # noqa: PLR0913 - the parts of the application, put together in one place
    settings: Settings,
    engine: AsyncEngine,
    keyring: Keyring,
    sources: Sources,
    receiver: Receiver,
    *,
    move: Mover,
    migrate: Migrator,
    owners: Owners,
    enrol: Enroller,
    follow: Follower,
    merger: Merger,
    follow_ups: FollowUps,
    sales: Sales,
    retention: Retention,
    tickets: Tickets,
    surveys: Surveys,
    outlook: Outlook,
    recalculate: Recalculator,
    hint: Hinter | None = None,
    revision: str | None = None,
) -> FastAPI:
    """
    Return the API that stands behind the intake routes.

    `move` is the workers' own write path for a lead's state; it raises `IllegalTransition`, `ReasonRequired`,
    `Permanent` or `Transient`. `migrate`, `owners`, `enrol`, `follow`, `merger` and `follow_ups` are theirs too, and
    `outlook` reads scores by their rules. `hint` hears of work that became due again. `revision` is the migration this
    code needs: a database behind it is not ready; None asks for none.
    """
    app = FastAPI(
        title="Throughline",
        version="1",
        description="Carries every lead a business receives along the customer journey it has written down.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the Host that was sent
        exception_handlers={
            Problem: _problem,
            HTTPException: _http_problem,
            RequestValidationError: _validation_problem,
        },
        routes=list(pages.ROUTES),
    )
    app.state.context = Context(
        settings,
        engine,
        keyring,
        sources,
        receiver,
        move,
        migrate,
        owners,
        enrol,
        follow,
        merger,
        follow_ups,
        sales,
        retention,
        tickets,
        surveys,
        outlook,
        recalculate,
        hint,
        revision,
    )
    for part in (reading, journeys, moves, feed, ops, health, predictions, scores, quarantine, files, campaigns, sends):
        app.include_router(part.router)
    app.include_router(diagrams.router)
    app.include_router(owners_router)
    app.include_router(people_router)
    app.include_router(clocks_router)
    app.include_router(contracts_router)
    app.include_router(customers_router)
    app.include_router(merging_router)
    app.include_router(follow_ups_router)
    app.include_router(flow_router)
    app.include_router(kpis_router)  # after what stands at a name of its own below /v1/kpis
    app.include_router(handovers_router)
    app.include_router(opportunities_router)
    app.include_router(tickets_router)
    app.include_router(surveys_router)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    app.add_middleware(Calm)
    app.add_middleware(CommonHeaders)
    return app


async def _problem(_: Request, error: Any) -> Response:  # noqa: ANN401 - Starlette's handler type
    return error.response()  # type: ignore[no-any-return]


async def _http_problem(_: Request, error: Any) -> Response:  # noqa: ANN401
    status = error.status_code
    detail = _WORDS.get(status, "The request cannot be answered.")
    return Problem(status, _CODES.get(status, "http_error"), detail, headers=error.headers).response()


async def _validation_problem(_: Request, error: Any) -> Response:  # noqa: ANN401
    errors = [{"pointer": _pointer(found), "code": found["type"]} for found in error.errors()[:20]]
    return Problem(422, "validation_failed", "The request is not valid.", errors=errors).response()


def _pointer(found: dict[str, Any]) -> str:
    place: Sequence[object] = found["loc"]
    return "".join(f"/{part}" for part in (place[:1] if found["type"] in _SENT_NAMES else place))
