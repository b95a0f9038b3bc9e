"""Files that came with a form or a mail: handed out as they came, to be saved and never to be shown by a browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schema import payload
from schema.form import WITH_FILES
from schema.mail.mime import take_apart
from schema.payload.multipart import File, files_of
from schema.store import quarantine
from services.api.context import found, may, read

router = APIRouter()


@router.get(
    "/v1/receipts/{receipt_id}/files/{number}",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
    tags=["leads"],
    dependencies=[may("leads:read")],
)
async def file(request: Request, receipt_id: str, number: Annotated[int, Path(ge=1, le=1000)]) -> Response:
    """
    Hand out one file of a form, or attachment of a mail, as its touchpoint numbers them. Scope `leads:read`.

    It comes from a stranger: always as an attachment of no particular type.
    """
    receipt = found(
        await read(request, quarantine.receipt, receipt_id), "receipt_not_found", "There is no such receipt."
    )
    files = await run_in_threadpool(_files, receipt)
    wanted = found(files[number - 1] if number <= len(files) else None, "file_not_found", "There is no such file.")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(_plain(wanted.name), safe='')}"}
    return Response(wanted.content, media_type="application/octet-stream", headers=headers)


def _files(receipt: Mapping[str, Any]) -> list[File]:
    if receipt["channel"] == "email":
        return [File("", part.name, part.media, part.body) for part in take_apart(receipt["body"]).attached]
    try:
        return files_of(receipt["body"], receipt["content_type"], limits=WITH_FILES)
    except payload.Refused:
        return []


def _plain(name: str) -> str:
    """Return the last part of a name, whichever way its sender separates folders."""
    return name.replace("\\", "/").rpartition("/")[2].lstrip(".") or "file"
