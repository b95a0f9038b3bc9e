"""
Opportunities and their figures as people see them: with probabilities, by stage, and what they will bring.

Everything is read from the rows as they are; probabilities and ways on come from own history where there is enough of
it (`workers/decide/stays.py`, `workers/decide/forecast.py`). Amounts are exact and come as text.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from schema.store import clock
from schema.store import opportunities as store
from workers.decide.stays import LEVEL, Chance, Change, chance, stays

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from schema.journey.pipeline import Pipeline, Stage
    from schema.store.journeys import JourneyBook
    from schema.store.opportunities import Place
    from workers.decide.forecast import Forecast


def listed(
    connection: Connection,
    book: JourneyBook,
    *,
    limit: int = 50,
    status: str | None = None,
    **wanted: str | None,
) -> tuple[list[dict[str, Any]], str | None]:
    """
    Return a page, the latest first, and the cursor of the next.

    `status` is open, won or lost; `wanted` may be `pipeline`, `journey`, `stage`, `owner`, `lead` and `cursor`.
    """
    found = store.listed(connection, limit=limit + 1, status=status, **wanted)
    shown = _shown(connection, book, found[:limit], clock.now())
    return shown, shown[-1]["id"] if len(found) > limit else None


def one(
    connection: Connection, book: JourneyBook, opportunity_id: str, *, now: datetime | None = None
) -> dict[str, Any] | None:
    """Return one with its `history`, every change in order; None if there is none."""
    found = store.one(connection, opportunity_id)
    if found is None:
        return None
    changes = store.changes_of(connection, opportunity_id)
    history = [change | {"amount": _money(change["amount"])} for change in changes]
    return _shown(connection, book, [found], now or clock.now())[0] | {"history": history}


def pipeline(connection: Connection, place: Place, owner: str | None) -> dict[str, Any]:
    """Return what stands at each stage: how many, the sums by currency, since when the first."""
    rows: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in store.at_stages(connection, place, owner):
        rows[row.stage].append(row)
    stages = place.pipeline.stages
    return {
        "journey": place.journey.name,
        "pipeline": place.name,
        "label": place.pipeline.label,
        "owner": owner,
        "stages": [_at_stage(name, stages.get(name), rows[name]) for name in dict.fromkeys([*stages, *rows])],
    }


class Gathered(NamedTuple):
    """All that a forecast is made from, as it was read at a moment."""

    place: Place
    at: datetime
    changes: Sequence[Row[Any]]
    decided: Mapping[str, tuple[int, int]]
    opened: Sequence[Row[Any]]
    sold: Sequence[Row[Any]]


def gather(connection: Connection, place: Place, now: datetime | None = None) -> Gathered:
    """Read what a forecast is made from: making it may take longer than a transaction may stay open."""
    at = (now or clock.now()).astimezone(UTC)
    month = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Gathered(
        place,
        at,
        store.history(connection, place.journey.name, place.name, at),
        store.decided(connection, place.journey.name, place.name, at),
        store.to_forecast(connection, place),
        store.sold_since(connection, place, month, at),
    )


def forecast(gathered: Gathered, *, months: int, by: str | None = None) -> dict[str, Any]:
    """
    Return what the open opportunities of a pipeline will bring in this month and those after it.

    `by` is owner or stage: told for each apart. What was gathered gives the same answer whenever it is asked.
    """
    from workers.decide import forecast as decide  # noqa: PLC0415 - what it counts with takes long to load

    place, at = gathered.place, gathered.at
    seen = stays((Change(row.id, row.at, row.what, row.stage) for row in gathered.changes), at)
    opened: list[decide.Open] = []
    stages = place.pipeline.stages.items()
    usual = {name: chance(stage, None, gathered.decided.get(name, (0, 0))) for name, stage in stages}
    for row in gathered.opened:
        given = row.probability is not None
        probable = chance(None, row.probability) if given else usual.get(row.stage)
        if row.amount is not None and probable is not None:
            group = getattr(row, by) if by else None
            one = (row.stage, row.stage_since, row.amount, row.currency, probable.value, given)
            opened.append(decide.Open(*one, row.expected_close, group))
    found = decide.forecast(opened, seen, place.pipeline.stages, at, months)
    return {
        "journey": place.journey.name,
        "pipeline": place.name,
        "at": at,
        "by": by,
        "level": LEVEL,
        "items": _items(found, gathered, by),
        "rests_on": {
            "open": len(gathered.opened),
            "left_out": len(gathered.opened) - len(opened),
            "decided": found.decided,
            "by_history": found.by_history,
            "by_stage": found.by_stage,
            "older_than_any": found.older_than_any,
            "past_due": found.past_due,
            "draws": found.draws,
        },
    }


def _items(found: Forecast, gathered: Gathered, by: str | None) -> list[dict[str, Any]]:
    """What is told of each month; what was won in this one already stands with it."""
    first = f"{gathered.at:%Y-%m}"
    sold: dict[tuple[str | None, str], Decimal] = defaultdict(Decimal)
    for row in gathered.sold:
        sold[getattr(row, by) if by else None, row.currency] += row.amount
    items: list[dict[str, Any]] = []
    for month in found.months:
        money = {name: _money(getattr(month, name)) for name in ("expected", "low", "high", "naive")}
        won = sold.pop((month.group, month.currency), Decimal("0.00")) if month.month == first else None
        items.append(month._asdict() | money | {"won": _money(won)})
    nothing: dict[str, Any] = {"month": first, "expected": "0.00", "low": "0.00", "high": "0.00", "naive": "0.00"}
    rest = sorted(sold.items(), key=str)
    return [nothing | {"group": group, "currency": unit, "won": _money(won)} for (group, unit), won in rest] + items


def _at_stage(name: str, stage: Stage | None, rows: Iterable[Row[Any]]) -> dict[str, Any]:
    counted = list(rows)
    return {
        "stage": name,
        "label": stage.label if stage else None,
        "probability": stage.probability / 100 if stage else None,
        "count": sum(row.count for row in counted),
        "without_amount": sum(row.count - row.with_amount for row in counted),
        "quiet": sum(row.quiet for row in counted),
        "oldest": min((row.oldest for row in counted), default=None),
        "sums": {row.currency: _money(row.amount) for row in counted if row.currency},
    }


def _shown(connection: Connection, book: JourneyBook, rows: Iterable[Row[Any]], now: datetime) -> list[dict[str, Any]]:
    active = book.by_name(connection)
    counts: dict[tuple[str, str], dict[str, tuple[int, int]]] = {}
    found: list[dict[str, Any]] = []
    for row in rows:
        journey = active.get(row.journey_name)
        place = (row.journey_name, row.pipeline)
        rules = journey.pipelines.get(row.pipeline) if journey else None
        if row.outcome is None and rules and row.probability is None and place not in counts:
            counts[place] = store.decided(connection, *place, now)
        found.append(_one(row, rules, counts.get(place, {}).get(row.stage, (0, 0))))
    return found


def _one(row: Row[Any], rules: Pipeline | None, counts: tuple[int, int]) -> dict[str, Any]:
    probable = chance(rules.stages.get(row.stage) if rules else None, row.probability, counts)
    return {
        "id": row.id,
        "lead_id": row.lead_id,
        "person_id": row.person_id,
        "journey_name": row.journey_name,
        "pipeline": row.pipeline,
        "name": row.name,
        "status": row.outcome or "open",
        "stage": row.stage,
        "stage_since": row.stage_since,
        "owner": row.worked_by,
        "amount": _money(row.amount),
        "currency": row.currency,
        "probability": _probable(probable) if row.outcome is None else None,
        "expected_close": row.expected_close,
        "products": row.products,
        "competitors": row.competitors,
        "next_action": row.next_action,
        "reason": row.reason,
        "opened_at": row.opened_at,
        "opened_by": row.opened_by,
        "closed_at": row.closed_at,
        "touched_at": row.heard_at,
        "quiet_since": row.quiet,
        "changes": row.changes,
        "reopened": row.reopened,
    }


def _probable(found: Chance | None) -> dict[str, Any] | None:
    return found._asdict() if found else None


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else format(amount, "f")
