"""
The API's reference as a page.

Nothing on it comes from another host or from the request, and a strict Content-Security-Policy says so.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Route

from services.api.problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

_REFERENCE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Throughline API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START: Final = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  tryItOutEnabled: false,
  validatorUrl: null,
});
"""
# Swagger UI sets styles on elements from its script and draws its icons as data: images.
_REFERENCE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ASSETS: Final = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
_A_DAY: Final = {"Cache-Control": "public, max-age=86400"}


async def _reference(_: Request) -> Response:
    return _html(_REFERENCE, _REFERENCE_POLICY)


async def _start(_: Request) -> Response:
    return Response(_START, media_type="text/javascript", headers=_A_DAY)


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _ASSETS:
        raise Problem(404, "not_found", "There is nothing here.")
    return Response(_file(name), media_type=_ASSETS[name], headers=_A_DAY)


ROUTES: Final = (
    Route("/docs", _reference),
    Route("/docs/start.js", _start),
    Route("/docs/{name}", _asset),
)


@lru_cache(maxsize=len(_ASSETS))
def _file(name: str) -> bytes:
    return files("fastapi_swagger.resources").joinpath(name).read_bytes()


def _html(page: str, policy: str) -> Response:
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": policy})
