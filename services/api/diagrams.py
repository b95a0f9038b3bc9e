"""The four diagrams of a journey over HTTP, as they are drawn on the command line."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Annotated, Final, Literal, NamedTuple

from fastapi import APIRouter, Header, Path, Query, Request
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.diagram import (
    FORMS,
    KINDS,
    POLICY,
    Drawing,
    Form,
    Happened,
    Kind,
    compared,
    draw,
    with_figures,
    written,
)
from schema.errors import Permanent
from schema.journey import Journey, JourneyInvalid, load_stored
from schema.store import journeys, reading
from schema.store import overlay as store
from services.api.context import PLAIN, found, may, read
from services.api.problems import Problem
from services.api.shapes import ProblemDocument

router = APIRouter(tags=["journeys"])

_KEPT: Final = 64
"""Drawings that are kept: some versions, all kinds and forms."""
_UNKNOWN: Final = ("journey_not_found", "There is no such journey version.")
_Name = Annotated[str | None, Query(max_length=63, pattern=PLAIN)]


@router.get(
    "/v1/diagrams/{kind}.{form}",
    response_class=Response,
    responses={
        200: {"description": "The diagram.", "content": {media.partition(";")[0]: {} for media in FORMS.values()}},
        304: {"description": "It is the one that you have."},
        404: {"model": ProblemDocument, "description": "`diagram_unknown` or `journey_not_found`."},
        409: {"model": ProblemDocument, "description": "`journey_not_named` or `journey_unreadable`."},
    },
    dependencies=[may("journeys:read")],
)
async def diagram(  # noqa: PLR0913 - its query
    request: Request,
    kind: Annotated[str, Path(max_length=20, json_schema_extra={"enum": list(KINDS)})],
    form: Annotated[str, Path(max_length=20, json_schema_extra={"enum": list(FORMS)})],
    *,
    journey: Annotated[_Name, Query(description="A journey's name: its active version.")] = None,
    version: Annotated[_Name, Query(description="A stored version. Neither: the one journey that is active.")] = None,
    before: Annotated[_Name, Query(description="A stored version: draw what changed since.")] = None,
    overlay: Annotated[Literal["live"] | None, Query(description="Show what really happened.")] = None,
    since: Annotated[date | None, Query(alias="from", description="Of figures the first day; 30 days before.")] = None,
    until: Annotated[date | None, Query(alias="to", description="The first day that does not count; tomorrow.")] = None,
    only: Annotated[
        str | None, Query(max_length=200, pattern=r"^[a-z]+=[^\x00]*$", description="As in `source=website`.")
    ] = None,
    if_none_match: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:
    """
    Draw a journey: lifecycle, flow chart, process or CRM diagram. Scope `journeys:read`.

    As SVG, Mermaid (`mmd`) or JSON. The answer has an `ETag`; with `If-None-Match` an unchanged one is 304.

    With `overlay=live` it shows what happened from one day up to another: how many leads went where, how long that
    took, where they wait. With `before` it shows what changed between two versions; with both, the figures of the leads
    that followed each.
    """
    wanted, written_as = _wanted(kind, form)
    text = await read(request, _document, journey, version)
    earlier = None if before is None else await read(request, _document, None, before)
    try:
        if overlay is None:
            _plain_only(since, until, only)
            body, tag = await run_in_threadpool(_drawn, text, wanted, written_as, earlier)
        else:
            asked = _Asked(since, until, _part(only), wanted == "crm")
            texts = [each for each in (earlier, text) if each is not None]
            found = await read(request, _figures, [load_stored(each) for each in texts], asked)
            body, tag = await run_in_threadpool(_lived, found, wanted, written_as)
    except JourneyInvalid as error:
        detail = "This version of the program cannot read the version."
        raise Problem(409, "journey_unreadable", detail) from error
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Content-Security-Policy": POLICY}
    if if_none_match is not None and tag in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=FORMS[written_as], headers=headers)


def _wanted(kind: str, form: str) -> tuple[Kind, Form]:
    for a_kind in KINDS:
        for a_form in FORMS:
            if (a_kind, a_form) == (kind, form):
                return a_kind, a_form
    detail = f"There are the diagrams {', '.join(KINDS)}, each as .{', .'.join(FORMS)}, as in state.svg."
    raise Problem(404, "diagram_unknown", detail)


def _document(connection: Connection, name: str | None, version: str | None) -> str:
    """The text of the version that is meant, else a problem."""
    if version is None:
        try:
            version = journeys.active_version(connection, name or journeys.active_name(connection))
        except Permanent as error:
            if error.code == "journey_not_named":
                detail = "Say which journey: none or more than one is active. `GET /v1/journeys` lists them."
                raise Problem(409, error.code, detail, pointer="/query/journey") from error
            detail = "No version of a journey of this name is active."
            raise Problem(404, _UNKNOWN[0], detail, pointer="/query/journey") from error
    row = found(reading.journey(connection, version), *_UNKNOWN)
    if name is not None and row["name"] != name:
        raise Problem(404, _UNKNOWN[0], "The version is one of another journey.", pointer="/query/version")
    return str(row["document"])


@lru_cache(maxsize=_KEPT)
def _drawn(text: str, kind: Kind, form: Form, before: str | None) -> tuple[bytes, str]:
    """The diagram and its tag."""
    drawing = draw(load_stored(text), kind)
    return _tagged(drawing if before is None else compared(draw(load_stored(before), kind), drawing), form)


def _lived(found: Sequence[tuple[Journey, Happened | None]], kind: Kind, form: Form) -> tuple[bytes, str]:
    """The diagram with figures, of one version or of two; and its tag."""
    drawings = [
        draw(journey, kind) if happened is None else with_figures(draw(journey, kind), journey, happened)
        for journey, happened in found
    ]
    return _tagged(compared(*drawings) if len(drawings) > 1 else drawings[0], form)


def _tagged(drawing: Drawing, form: Form) -> tuple[bytes, str]:
    """The text and its tag: the version, and what this program makes of it."""
    body = written(drawing, form).encode()
    return body, f'"{drawing.version}-{hashlib.sha256(body).hexdigest()[:12]}"'


class _Asked(NamedTuple):
    """Of what days figures are asked for, of which leads, and whether KPIs are named."""

    since: date | None
    until: date | None
    only: tuple[str, str] | None
    assigned: bool


def _figures(connection: Connection, made: Sequence[Journey], asked: _Asked) -> list[tuple[Journey, Happened | None]]:
    """What happened with a journey; of two versions, with the leads that followed each, None where none did."""
    now = datetime.now(UTC)
    found: list[tuple[Journey, Happened | None]] = []
    for journey in made:
        only = asked.only if len(made) == 1 else ("version", journey.version)
        try:
            since, until = store.days(journey, asked.since, asked.until, now)
        except Permanent as error:
            raise Problem(422, error.code, str(error), pointer="/query/to") from error
        happened = store.happened(connection, journey, since, until, now, only, assigned=asked.assigned)
        found.append((journey, happened if len(made) == 1 or any(happened.rows.values()) else None))
    return found


def _part(only: str | None) -> tuple[str, str] | None:
    try:
        return store.part(only)
    except Permanent as error:
        raise Problem(422, error.code, str(error), pointer="/query/only") from error


def _plain_only(*given: object) -> None:
    """Without an overlay there are no figures to be asked about."""
    if any(each is not None for each in given):
        detail = "`from`, `to` and `only` are for figures: add `overlay=live`."
        raise Problem(422, "overlay_missing", detail, pointer="/query/overlay")
