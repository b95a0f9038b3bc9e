"""
Forecasts: what was expected, kept day by day, so that it can be held against what came.

    hears   a new day
    reads   what a forecast is made from (`workers/sales/figures`)
    writes  kpi_forecast: for each pipeline and currency what is still to be won until the end of the month
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.store import kpi_figures, rows
from schema.store.opportunities import Place
from workers.sales import figures

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Engine

    from schema.store.journeys import JourneyBook

_KEPT: Final = text("""
SELECT DISTINCT pipeline FROM kpi_forecast WHERE journey_name = :journey AND day = :day
""")
_KEEP: Final = text("""
INSERT INTO kpi_forecast (journey_name, pipeline, currency, day, until, low, expected, high)
SELECT journey_name, pipeline, currency, day, until, low, expected, high
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
    journey_name text, pipeline text, currency text, day date, until date, low numeric, expected numeric, high numeric)
ON CONFLICT DO NOTHING
""")


def keep(engine: Engine, book: JourneyBook, now: datetime) -> int:
    """Forecast the rest of the month for each pipeline that has none of today; return how many figures were kept."""
    with engine.begin() as connection:
        wanted = []
        for journey in book.active(connection):
            day = kpi_figures.today(journey, now)
            kept = set(connection.execute(_KEPT, {"journey": journey.name, "day": day}).scalars())
            places = [Place(journey, name) for name in journey.pipelines if name not in kept]
            wanted += [(day, figures.gather(connection, place, now)) for place in places]
    found: list[dict[str, Any]] = []
    for day, gathered in wanted:
        if not gathered.opened:
            continue
        month = f"{gathered.at:%Y-%m}"
        items = figures.forecast(gathered, months=1)["items"]
        found += [
            {
                "journey_name": gathered.place.journey.name,
                "pipeline": gathered.place.name,
                "day": day,
                "until": _following(gathered.at.date()),
                **{name: item[name] for name in ("currency", "low", "expected", "high")},
            }
            for item in items
            if item["month"] == month and item["currency"]
        ]
    if found:
        with engine.begin() as connection:
            connection.execute(_KEEP, {"rows": rows.as_json(found)})
    return len(found)


def _following(day: date) -> date:
    """The first day of the month after this one."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
