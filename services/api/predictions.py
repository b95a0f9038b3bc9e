"""Reading over HTTP: the prediction models that were kept, what they were worth, and which is used."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from schema.store import predictions
from services.api import shapes
from services.api.context import answer, found, listed, may, read

router = APIRouter(tags=["journeys"])


@router.get("/v1/predictions", response_model=shapes.Predictions, dependencies=[may("journeys:read")])
async def models(request: Request) -> Response:
    """
    List the prediction models, the newest first, each with what its test measured. Scope `journeys:read`.

    `throughline score train` learns one from the leads that were won and lost.
    """
    return listed(await read(request, predictions.models))


@router.get("/v1/predictions/{version}", response_model=shapes.PredictionModel, dependencies=[may("journeys:read")])
async def model(request: Request, version: str) -> Response:
    """Show one model whole: its features with what each value adds to the log-odds. Scope `journeys:read`."""
    row = await read(request, predictions.model, version) if version.isalnum() else None
    return answer(found(row, "prediction_not_found", "There is no such prediction model."))
