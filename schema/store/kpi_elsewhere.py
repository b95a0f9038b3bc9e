"""
Figures that are not counted by day: what is open now, whose turn it was, how forecasts came out, what campaigns cost.

Each is asked of a journey, of one thing or of all, and of the days from `since` up to but not including `until`, which
is not after today, as far as it has days.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import text

from schema.kpi.figure import NOTHING, Figure, count, mean, share
from schema.store import campaign_money
from schema.store.campaigns import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date

    from sqlalchemy import Connection, Row

    from schema.journey import Journey
    from schema.kpi.figure import Of

    Read = Callable[[Connection, Journey, Of | None, date, date], Iterator[Figure]]

_TURN: Final = 1_000_000
_CENT: Final = Decimal("0.01")
_STAGES: Final = text("""
SELECT pipeline, stage, currency, count(*) AS n, sum(amount) AS amount FROM opportunity
WHERE journey_name = :journey AND pipeline = ANY(CAST(:pipelines AS text[])) AND outcome IS NULL AND amount IS NOT NULL
GROUP BY pipeline, stage, currency ORDER BY pipeline, stage, currency
""")
_LOAD: Final = text("""
SELECT owner, count(*) AS n FROM lead WHERE open AND owner = ANY(CAST(:people AS text[])) GROUP BY owner ORDER BY owner
""")
_POOLS: Final = text("""
SELECT name, taken, weights, credit FROM pool WHERE journey_name = :journey AND name = ANY(CAST(:pools AS text[]))
ORDER BY name
""")
_UPSOLD: Final = text("""
SELECT p.currency, count(*) AS n, count(*) FILTER (WHERE b.before) AS again,
       sum(p.amount) FILTER (WHERE b.before) AS amount
FROM purchase AS p JOIN lead AS l ON l.id = p.lead_id AND l.journey_name = :journey AND NOT l.test
CROSS JOIN LATERAL (SELECT EXISTS (
    SELECT FROM purchase AS e WHERE e.person_id = p.person_id AND e.lead_id = p.lead_id AND e.kind = 'purchase'
      AND (e.at, e.id) < (p.at, p.id)
) AS before) AS b
WHERE p.kind = 'purchase' AND p.at >= :since AND p.at < :until GROUP BY p.currency ORDER BY p.currency
""")
# A forecast is of what was open when it was made: what was won until its time was over stands in the buckets.
_FORECASTS: Final = text("""
SELECT f.pipeline, f.currency, f.low, f.expected, f.high, COALESCE((
    SELECT sum(b.total) FROM kpi_bucket AS b
    WHERE b.journey_name = f.journey_name AND b.measure = 'opportunity.amount' AND b.dim = ''
      AND b.day >= f.day AND b.day < f.until AND b.item = f.pipeline || '>won>' || f.currency
), 0) AS won
FROM kpi_forecast AS f
WHERE f.journey_name = :journey AND f.until > :since AND f.until < :until
""")
_PEOPLE: Final = text("""
SELECT (SELECT count(*) FROM (
    SELECT DISTINCT person_id FROM enrolment WHERE journey_name = :journey AND campaign = :campaign AND NOT holdout
) AS entered) AS entered, (
    SELECT COALESCE(sum(n), 0) FROM kpi_bucket WHERE journey_name = :journey AND measure = 'message.sent' AND dim = ''
      AND split_part(item, '>', 1) = :campaign
) AS sent
""")


def _pipeline_value(
    connection: Connection, journey: Journey, of: Of | None, _since: date, _until: date
) -> Iterator[Figure]:
    pipelines = [of.code] if of else list(journey.pipelines)
    for row in connection.execute(_STAGES, {"journey": journey.name, "pipelines": pipelines}):
        part = {"pipeline": row.pipeline, "stage": row.stage, "currency": row.currency}
        yield Figure(part, row.amount, row.n, numerator=row.amount)


def _again(connection: Connection, journey: Journey, since: date, until: date) -> Sequence[Row[Any]]:
    """Purchases of these days by currency, and those of them by leads that had bought before."""
    zone = ZoneInfo(journey.kpis.tz)
    begin, end = (datetime.combine(day, time(), zone) for day in (since, until))
    return connection.execute(_UPSOLD, {"journey": journey.name, "since": begin, "until": end}).all()


def _upsell(connection: Connection, journey: Journey, _of: Of | None, since: date, until: date) -> Iterator[Figure]:
    rows = _again(connection, journey, since, until)
    yield share({}, sum(row.again for row in rows), sum(row.n for row in rows))


def _upsold(connection: Connection, journey: Journey, _of: Of | None, since: date, until: date) -> Iterator[Figure]:
    for row in _again(connection, journey, since, until):
        if row.amount is not None:
            yield Figure({"currency": row.currency}, row.amount, row.again, numerator=row.amount)


def _load(connection: Connection, journey: Journey, _of: Of | None, _since: date, _until: date) -> Iterator[Figure]:
    found = {row.owner: row.n for row in connection.execute(_LOAD, {"people": list(journey.people)})}
    for owner in sorted(journey.people):
        yield count({"owner": owner}, found.get(owner, 0))


def _fairness(connection: Connection, journey: Journey, _of: Of | None, _since: date, _until: date) -> Iterator[Figure]:
    """Of each pool and member: turns taken since these people share it, less their share, less what they were owed."""
    for row in connection.execute(_POOLS, {"journey": journey.name, "pools": list(journey.route.pools)}):
        turns, everything = sum(row.taken.values()), sum(row.weights.values())
        for owner, weight in sorted(row.weights.items()):
            owed = row.credit.get(owner, 0) / _TURN + turns * weight / everything
            taken = row.taken.get(owner, 0)
            ahead = round(taken - owed, 6)
            yield Figure({"pool": row.name, "owner": owner}, ahead, turns, numerator=taken, denominator=round(owed, 6))


def _forecasts(
    connection: Connection, journey: Journey, of: Of | None, since: date, until: date
) -> dict[tuple[str, str], list[tuple[Decimal, Decimal, Decimal, Decimal]]]:
    """Low, expected, high and won of each forecast whose time was over within the days, by pipeline and currency."""
    found: dict[tuple[str, str], list[tuple[Decimal, Decimal, Decimal, Decimal]]] = defaultdict(list)
    given = {"journey": journey.name, "since": since, "until": until}
    for row in connection.execute(_FORECASTS, given):
        if of is None or of.code == row.pipeline:
            found[row.pipeline, row.currency].append((row.low, row.expected, row.high, row.won))
    return dict(sorted(found.items()))


def _held(connection: Connection, journey: Journey, of: Of | None, since: date, until: date) -> Iterator[Figure]:
    for (pipeline, currency), rows in _forecasts(connection, journey, of, since, until).items():
        held = sum(low <= won <= high for low, _, high, won in rows)
        yield share({"pipeline": pipeline, "currency": currency}, held, len(rows))


def _ratio(connection: Connection, journey: Journey, of: Of | None, since: date, until: date) -> Iterator[Figure]:
    for (pipeline, currency), rows in _forecasts(connection, journey, of, since, until).items():
        won, expected = sum((row[3] for row in rows), Decimal(0)), sum((row[1] for row in rows), Decimal(0))
        told = Figure({"pipeline": pipeline, "currency": currency}, None, len(rows), won, expected, reason=NOTHING)
        yield replace(told, value=float(won / expected), reason=None) if expected else told


def _campaigns(journey: Journey, of: Of | None) -> Iterator[str]:
    yield from (
        name for name, campaign in journey.campaigns.items() if campaign.cost and (of is None or of.code == name)
    )


def _spent(connection: Connection, journey: Journey, name: str) -> tuple[Decimal, str, int]:
    """What a campaign has cost, in which currency, and how many people entered it."""
    row = connection.execute(_PEOPLE, {"journey": journey.name, "campaign": name}).one()
    cost = campaign_money.cost(journey.campaigns[name], int(row.sent), 0)
    assert cost is not None  # noqa: S101 - only campaigns with a cost are looked at
    return Decimal(cost["total"]), cost["currency"], row.entered


def _per_lead(connection: Connection, journey: Journey, of: Of | None, _since: date, _until: date) -> Iterator[Figure]:
    for name in _campaigns(journey, of):
        total, currency, entered = _spent(connection, journey, name)
        yield _to_cents(mean({"campaign": name, "currency": currency}, total, entered))


def _per_customer(
    connection: Connection, journey: Journey, of: Of | None, _since: date, _until: date
) -> Iterator[Figure]:
    for name in _campaigns(journey, of):
        total, currency, _ = _spent(connection, journey, name)
        earned = campaign_money.revenue(connection, Place(journey.name, name, journey), journey.campaigns[name])
        part = {"campaign": name, "currency": currency}
        if earned is None:
            yield Figure(part, None, 0, numerator=total, reason="no_window")
        else:
            buyers = sum(each["buyers"] for each in earned["currencies"])
            yield _to_cents(mean(part, total, buyers))


def _return(connection: Connection, journey: Journey, of: Of | None, _since: date, _until: date) -> Iterator[Figure]:
    for name in _campaigns(journey, of):
        campaign = journey.campaigns[name]
        row = connection.execute(_PEOPLE, {"journey": journey.name, "campaign": name}).one()
        spent = campaign_money.cost(campaign, int(row.sent), 0)
        earned = campaign_money.revenue(connection, Place(journey.name, name, journey), campaign)
        found = campaign_money.returned(spent, earned)
        plainly, more = found["plain"], found["incremental"]
        value = plainly if more is None else more
        told = Figure({"campaign": name}, value, row.entered, low=found["low"], high=found["high"])
        yield replace(told, denominator=Decimal(spent["total"]) if spent else None, reason=found["reason"])


def _to_cents(figure: Figure) -> Figure:
    value = figure.value
    return replace(figure, value=value.quantize(_CENT)) if isinstance(value, Decimal) else figure


READ: Final[dict[str, Read]] = {
    "pipeline_value": _pipeline_value,
    "upsell_rate": _upsell,
    "upsell_value": _upsold,
    "forecast_hit_rate": _held,
    "forecast_ratio": _ratio,
    "cost_per_lead": _per_lead,
    "cost_per_customer": _per_customer,
    "return_on_investment": _return,
    "load": _load,
    "fairness": _fairness,
}
"""How each of them is read."""
