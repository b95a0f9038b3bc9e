"""
Targets: which figures of a journey are not what they are to be?

    hears   that they were not looked at for a minute (`owes`)
    reads   kpi_bucket; what the active journeys say in `kpis.targets`
    writes  kpi_target
    tells   kpi.missed, kpi.met

Told once for each change. Nothing is judged on a sample that is too small, on days before anything was counted, or
while counting is behind; then it stays as it was.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.events import KpiMet, KpiMissed, name_of
from schema.kpi.figure import STILL_OPEN
from schema.store import kpi_figures, kpis, rows

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Engine, RowMapping

    from schema.journey import Journey
    from schema.journey.target import Target
    from schema.kpi.figure import Figure
    from schema.store.journeys import JourneyBook
    from schema.store.kpi_figures import Question

EVERY: Final = timedelta(minutes=1)
FRESH: Final = timedelta(minutes=5)
"""While what happened longer ago is not counted, figures are lower than they will be."""
_LOCK: Final = 0x7468726F75676806
_NAMES: Final = uuid.UUID("5b0d1c1e-6d0a-5c39-9d0e-2a3a3f0f7d11")

_ALONE: Final = text("SELECT pg_try_advisory_xact_lock(:lock)")
_KNOWN: Final = text("SELECT journey_name, kpi, events, missed, since, looked_at FROM kpi_target")
_BEGAN: Final = text("""
SELECT EXISTS (
    SELECT FROM kpi_bucket WHERE journey_name = :journey AND measure = 'created' AND dim = '' AND day <= :day
)
""")
_KEEP: Final = text("""
INSERT INTO kpi_target (journey_name, kpi, id, events, missed, since, value, sample, looked_at)
SELECT journey_name, kpi, id, events, missed, since, value, sample, looked_at
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
    journey_name text, kpi text, id uuid, events integer, missed boolean, since timestamptz, value double precision,
    sample bigint, looked_at timestamptz)
ON CONFLICT (journey_name, kpi) DO UPDATE SET events = EXCLUDED.events, missed = EXCLUDED.missed,
    since = EXCLUDED.since, value = EXCLUDED.value, sample = EXCLUDED.sample, looked_at = EXCLUDED.looked_at
""")
_TELL: Final = text("""
INSERT INTO event (lead_id, sequence, type, time, data)
SELECT lead_id, sequence, type, :now, data
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(lead_id uuid, sequence integer, type text, data jsonb)
""")


def stream(journey: str, target: str) -> str:
    """Return what the events of a target are about, in place of a lead: always the same for the same names."""
    return str(uuid.uuid5(_NAMES, f"{journey}/{target}"))


def owes(connection: Connection, book: JourneyBook, now: datetime) -> bool:
    """Whether a target was not looked at for a minute."""
    wanted = {(journey.name, name) for journey in book.active(connection) for name in journey.kpis.targets}
    if not wanted:
        return False
    looked = {(row.journey_name, row.kpi): row.looked_at for row in connection.execute(_KNOWN)}
    return any(at not in looked or looked[at] + EVERY <= now for at in wanted)


def look(engine: Engine, book: JourneyBook, now: datetime) -> int:
    """
    Look at all targets, unless that was done within a minute; return how many events were told.

    One process looks at a time. It is alone before it writes, so that a target's events are told in their order.
    """
    with engine.begin() as connection:
        if not connection.execute(_ALONE, {"lock": _LOCK}).scalar_one() or not owes(connection, book, now):
            return 0
        counted_at = kpis.counted_until(connection, now)
        if counted_at is None or counted_at < now - FRESH:
            return 0
        known = {(row["journey_name"], row["kpi"]): row for row in connection.execute(_KNOWN).mappings()}
        kept: list[dict[str, Any]] = []
        told: list[dict[str, Any]] = []
        for journey in book.active(connection):
            for name, target in journey.kpis.targets.items():
                row, event = _look(connection, journey, name, target, known.get((journey.name, name)), now)
                kept.append(row)
                told += [event] if event else []
        connection.execute(_KEEP, {"rows": rows.as_json(kept)})
        if told:
            connection.execute(_TELL, {"rows": rows.as_json(told), "now": now})
    return len(told)


def keeps(target: Target, figure: Figure, value: Any, *, begun: bool) -> bool | None:  # noqa: ANN401 - float, Decimal, None
    """
    Whether a figure is what it is to be; None where that cannot be said.

    `begun`: something was counted on the first day or before. Where so many are not over that the `value` is not known,
    it is longer than the longest that there is, which may say enough.
    """
    bound = target.bound
    if figure.sample < target.sample or (not target.sample and not begun):
        return None
    if value is None:
        longer = figure.reason == STILL_OPEN and figure.longest is not None and figure.longest > bound.value
        return not bound.most if longer else None
    return bound.kept(value)


def _look(
    connection: Connection,
    journey: Journey,
    name: str,
    target: Target,
    before: RowMapping | None,
    now: datetime,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The row of a target as it is now, and the event that is told of it, if anything changed."""
    asked, figure, value = kpi_figures.of_target(connection, journey, target, now)
    begun = bool(connection.execute(_BEGAN, {"journey": journey.name, "day": asked.since}).scalar_one())
    kept = keeps(target, figure, value, begun=begun)
    was = before["missed"] if before else None
    missed = was if kept is None else not kept
    row: dict[str, Any] = {
        "journey_name": journey.name,
        "kpi": name,
        "id": stream(journey.name, name),
        "events": before["events"] if before else 0,
        "missed": missed,
        "since": before["since"] if before and missed == was else now if missed is not None else None,
        "value": None if value is None else float(value),
        "sample": figure.sample,
        "looked_at": now,
    }
    if missed == was or (was is None and not missed):
        return row, None
    row["events"] += 1
    data = _event(journey, name, target, asked, row, missed=bool(missed))
    return row, {"lead_id": row["id"], "sequence": row["events"], "type": name_of(data), "data": data}


def _event(
    journey: Journey, name: str, target: Target, asked: Question, row: dict[str, Any], *, missed: bool
) -> KpiMissed | KpiMet:
    of = target.of.named if target.of else None
    kind = KpiMissed if missed else KpiMet
    return kind(
        target=name,
        kpi=target.kpi,
        of_kind=of.kind if of else None,
        of=of.code if of else None,
        unit=asked.kpi.unit,
        at_least=target.at_least,
        at_most=target.at_most,
        percentile=target.percentile if asked.kpi.unit == "seconds" else None,
        value=row["value"],
        sample=row["sample"],
        since=asked.since.isoformat(),
        until=asked.until.isoformat(),
        tz=journey.kpis.tz,
        journey=journey.version,
    )
