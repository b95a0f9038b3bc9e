"""The API put together with what only the workers can do: the one place where both sides meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schema.store.engine import make_engine
from services.api.app import create_app
from services.migrate import newest
from workers.moves import move_lead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.applications import Starlette

    from schema.settings import Settings
    from workers.hints import Hints


def make_app(settings: Settings, url: str, hints: Hints) -> Starlette:
    """Return the HTTP application on the database `url`, which hints at new receipts and moves leads as workers do."""
    engine = make_engine(url, name="moves", hot=True, pool_size=2)

    def move(lead_id: str, name: str, reason: str, actor: str) -> dict[str, Any]:
        return move_lead(engine, lead_id, name, reason=reason or None, actor=actor)

    def received(ids: Sequence[str]) -> None:
        hints.send("identify", ids)

    return create_app(settings, url, on_received=received, move=move, hint=hints.send, revision=newest())
