"""The API put together with what only the workers can do: the one place where both sides meet."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from schema.store.engine import make_engine
from services.api.app import create_app
from services.migrate import newest
from workers.campaigns.follow import follow
from workers.campaigns.looks import enrol_leads
from workers.followups.by_hand import FollowUps
from workers.helpdesk.by_hand import TicketService
from workers.helpdesk.recalculation import recalculate
from workers.identity.merge import Merger
from workers.migration import migrate_leads
from workers.moves import move_lead
from workers.outlook import outlook as read_outlook
from workers.owners import Owners
from workers.retention.by_hand import Retention
from workers.sales.by_hand import Sales
from workers.satisfaction.answers import Answers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from starlette.applications import Starlette

    from schema.settings import Settings
    from workers.hints import Hints


def make_app(settings: Settings, url: str, hints: Hints) -> Starlette:
    """Return the HTTP application on the database `url`, which hints at new receipts and moves leads as workers do."""
    engine = make_engine(url, name="moves", hot=True, pool_size=2)

    def move(lead_id: str, name: str, reason: str, actor: str) -> dict[str, Any]:
        moved = move_lead(engine, lead_id, name, reason=reason or None, actor=actor)
        if moved["next_step"]:
            hints.send(moved["next_step"], [lead_id])
        else:
            hints.send("route", ())  # a lead that is closed makes room for one that waits
            hints.send("nurture", ())
        return moved

    def outlook(lead_id: str, at: datetime | None, target: str | None) -> dict[str, Any]:
        with engine.connect() as connection:
            return read_outlook(connection, lead_id, at=at, target=target)

    def received(ids: Sequence[str]) -> None:
        hints.send("identify", ids)

    return create_app(
        settings,
        url,
        on_received=received,
        move=move,
        migrate=partial(migrate_leads, engine),
        owners=Owners(engine, hints.send),
        enrol=partial(enrol_leads, engine, hint=hints.send),
        follow=partial(follow, engine, hint=hints.send),
        merger=Merger(engine, hints.send),
        follow_ups=FollowUps(engine, hints.send),
        sales=Sales(engine, hints.send),
        retention=Retention(engine, hints.send),
        tickets=TicketService(engine, hints.send),
        surveys=Answers(engine, hints.send),
        outlook=outlook,
        recalculate=partial(recalculate, engine, hint=hints.send),
        hint=hints.send,
        revision=newest(),
    )
