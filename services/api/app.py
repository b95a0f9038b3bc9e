"""
The HTTP application: intake in plain routes, the described API beside it.

`create_app` gets the way hints go out as an argument: services do not know the workers.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Match, Mount, Route

from schema.garbage import settle_in
from schema.store.engine import make_async_engine
from services.api import meters
from services.api.arriving import BODY_WITHIN_S
from services.api.calendars import Calendars
from services.api.edge import CommonHeaders, complete, problem_of
from services.api.events_in import EventsIn
from services.api.forms import FormPages, FormPlace, script
from services.api.hooks import PATH as HOOKS
from services.api.hooks import Hooks
from services.api.intake import Intake
from services.api.keys import Keyring
from services.api.mailing import Mailing
from services.api.manage import create_management
from services.api.opt_in import OptIn
from services.api.problems import Problem
from services.api.survey_pages import SurveyPages
from services.fetch import Fetcher
from services.receive import PATIENCE_S, Receiver
from services.sources import Sources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

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

    Take = Callable[[Request], Awaitable[Response]]


def create_app(  # noqa: PLR0913 - the ways in and out of this process
    settings: Settings,
    url: str,
    *,
    on_received: Callable[[Sequence[str]], None],
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
    patience_s: float = PATIENCE_S,
    body_within_s: float = BODY_WITHIN_S,
) -> Starlette:
    """
    Return the application on the database `url`; `on_received` hears the ids of new receipts.

    An arrival waits `patience_s` for the database, and a body has `body_within_s` to arrive. `move`, `migrate`,
    `owners`, `enrol`, `follow`, `outlook`, `hint` and `revision` are what `create_management` says.
    """
    intake_engine = make_async_engine(url, name="intake", hot=True, pool_size=2)
    engine = make_async_engine(url, name="api", pool_size=8)
    receiver = Receiver(intake_engine, max_waiting=settings.max_waiting, on_received=on_received, patience_s=patience_s)
    sources = Sources(engine)
    keyring = Keyring(engine, settings.pepper())
    intake = Intake(receiver, sources, keyring, pepper=settings.pepper(), body_within_s=body_within_s)
    confirming = OptIn(engine, receiver, sources, settings.pepper())
    mailing = Mailing(engine, receiver, settings.pepper(), body_within_s=body_within_s)
    calendars = Calendars(engine, settings)
    asking = SurveyPages(engine, surveys, settings.pepper(), body_within_s=body_within_s)
    pages = FormPages(sources, settings.pepper(), settings.base_url)
    events = EventsIn(receiver, sources, keyring, body_within_s=body_within_s)
    hooks = Hooks(receiver, sources, settings.pepper(), base_url=settings.base_url, body_within_s=body_within_s)
    fetcher = Fetcher(engine, sources, settings, on_received)
    management = create_management(
        settings,
        engine,
        keyring,
        sources,
        receiver,
        move=move,
        migrate=migrate,
        owners=owners,
        enrol=enrol,
        follow=follow,
        merger=merger,
        follow_ups=follow_ups,
        sales=sales,
        retention=retention,
        tickets=tickets,
        surveys=surveys,
        outlook=outlook,
        recalculate=recalculate,
        hint=hint,
        revision=revision,
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with sources, receiver, fetcher:
            settle_in()
            yield
        await intake_engine.dispose()
        await engine.dispose()

    return Application(
        intake,
        events,
        hooks,
        routes=[
            Route("/v1/events", events.handshake, methods=["OPTIONS"]),
            Route("/f/form.js", script),
            Route("/f/{source}", FormPlace(pages, intake)),
            _Own("/f/{source}/snippet", pages.snippet, methods=["GET"]),
            _Own("/f/{source}/token", pages.token, methods=["GET"]),
            _Own("/c/{token}", confirming.page, methods=["GET", "POST"]),
            _Own("/u/{token}", mailing.unsubscribe, methods=["GET", "POST"]),
            _Own("/l/{token}", mailing.link, methods=["GET"]),
            _Own("/o/{token}.gif", mailing.picture, methods=["GET"]),
            _Own("/s/{token}", asking.page, methods=["GET", "POST"]),
            _Own("/calendar/{token}.ics", calendars.feed, methods=["GET"]),
            _Own("/f/{source}/thanks", pages.thanks, methods=["GET"]),
            _Own(HOOKS + "{source}", hooks.look, methods=["GET", "OPTIONS", "POST"]),
            Mount("/", management),
        ],
        middleware=[Middleware(CommonHeaders)],
        exception_handlers={Problem: _problem, HTTPException: _http_problem},
        lifespan=lifespan,
    )


class Application(Starlette):
    """
    Arrivals are taken before anything else: middleware and routing would cost them more than the work itself.

    The answer has the same headers as any other; what is taken and refused is counted, and what nobody expected is
    answered as a problem.
    """

    def __init__(
        self,
        intake: Intake,
        events: EventsIn,
        hooks: Hooks,
        **rest: Any,  # noqa: ANN401 - Starlette's own
    ) -> None:
        super().__init__(**rest)
        self._named: dict[str, Take] = {"/f/": intake.form, HOOKS: hooks.take}
        self._fixed: dict[str, Take] = {"/v1/leads": intake.leads} | events.ways

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take an arrival, or route anything else."""
        take = self._taker(scope) if scope["type"] == "http" and scope["method"] == "POST" else None
        if take is None:
            await super().__call__(scope, receive, send)
            return
        try:
            response = await take(_Arriving(scope, receive))
            meters.ACCEPTED.inc()
        except Exception as error:  # noqa: BLE001 - the last place where it can be answered
            problem = error if isinstance(error, Problem) else problem_of(error)
            meters.REFUSED.labels(problem.code).inc()
            response = problem.response()
        complete(response, scope["path"])
        await response(scope, receive, send)

    def _taker(self, scope: Scope) -> Take | None:
        path = scope["path"]
        if take := self._fixed.get(path):
            return take
        for way, take_named in self._named.items():
            name = path.removeprefix(way)
            if name != path and "/" not in name:
                scope["path_params"] = {"source": name}
                return take_named
        return None


class _Arriving(Request):
    """A request whose headers are asked for often: found by name instead of by looking through all of them."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        self._headers = _ByName(raw=scope["headers"])


class _ByName(Headers):
    """Headers asked for by their lower-case names; of several with one name the first."""

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        super().__init__(raw=raw)
        self._first = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(raw)}

    def __contains__(self, key: object) -> bool:
        return key in self._first

    def __getitem__(self, key: str) -> str:
        return self._first[key]

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - as Mapping has it
        """Return the header, or `default`."""
        return self._first.get(key, default)


class _Own(Route):
    """A path that is ours whatever the method: another one is answered 405 here, not looked for in what is mounted."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return Match.FULL if match is Match.PARTIAL else match, child


async def _problem(_: Request, error: Any) -> Response:  # noqa: ANN401 - Starlette's handler type
    return error.response()  # type: ignore[no-any-return]


async def _http_problem(_: Request, error: Any) -> Response:  # noqa: ANN401
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    return Problem(error.status_code, code, str(error.detail), headers=error.headers).response()
