"""The four diagrams of a journey over HTTP, as they are drawn on the command line."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Annotated, Final

from fastapi import APIRouter, Header, Path, Query, Request
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema.diagram import FORMS, KINDS, POLICY, Form, Kind, draw, written
from schema.errors import Permanent
from schema.journey import Journey, JourneyInvalid, load_stored
from schema.store import journeys, reading
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
async def diagram(
    request: Request,
    kind: Annotated[str, Path(max_length=20, json_schema_extra={"enum": list(KINDS)})],
    form: Annotated[str, Path(max_length=20, json_schema_extra={"enum": list(FORMS)})],
    journey: Annotated[_Name, Query(description="A journey's name: its active version.")] = None,
    version: Annotated[_Name, Query(description="A stored version. Neither: the one journey that is active.")] = None,
    if_none_match: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:
    """
    Draw a journey: lifecycle, flow chart, process or CRM diagram. Scope `journeys:read`.

    As SVG, Mermaid (`mmd`) or JSON. The answer has an `ETag`; with `If-None-Match` an unchanged one is 304.
    """
    wanted, written_as = _wanted(kind, form)
    text = await read(request, _document, journey, version)
    try:
        body, tag = await run_in_threadpool(_drawn, text, wanted, written_as)
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
def _drawn(text: str, kind: Kind, form: Form) -> tuple[bytes, str]:
    """The diagram and its tag: the version, and what this program makes of it."""
    made: Journey = load_stored(text)
    body = written(draw(made, kind), form).encode()
    return body, f'"{made.version}-{hashlib.sha256(body).hexdigest()[:12]}"'
