"""
Figures as they are asked: one KPI over a window, whole or by a dimension, in one piece or by day, week or month.

Everything comes from the buckets by day but for the few that stand elsewhere (`schema/store/kpi_elsewhere.py`), so an
answer costs the same after five million moves as after five thousand. `schema/kpi/catalog.py` says what there is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import text

from schema.kpi.catalog import CATALOG, GROUPS, Kpi
from schema.kpi.figure import Figure, Row, Seen, Shape, parts_of
from schema.kpi.measures import ALL, DIMS
from schema.store import kpi_elsewhere, kpis
from schema.store.kpi_questions import (
    USUAL,
    Every,
    Question,
    journey_of,
    known,
    periods,
    question,
    start_of,
    today,
    window,
)
from schema.store.kpis import restated

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection
    from sqlalchemy import Row as Selected

    from schema.journey import Journey
    from schema.journey.target import Target

__all__ = ["USUAL", "Every", "Question", "journey_of", "known", "question", "restated", "today", "window"]

MOST_GROUPS: Final = 200
"""So many values of a dimension are told, those with the largest samples."""
_FIRST: Final = date(1, 1, 1)
_SMALL: Final = ("detected", "assigned", "accepted", "first_response", "first_response_hours", "won", "ticket.resolved",
                 "opportunity.won", "survey.answered")  # fmt: skip
"""Of these the sizes are read for the overview: few items, and what is told of each as a whole."""
_PERIOD: Final[dict[str | None, str]] = {
    None: "CAST(:first AS date)",
    "day": "day",
    "week": "CAST(date_trunc('week', day) AS date)",
    "month": "CAST(date_trunc('month', day) AS date)",
}
_SUMS: Final = {
    every: text(f"""
SELECT measure, item, value, {period} AS day, CAST(sum(n) AS bigint) AS n, sum(total) AS total,
       NULL AS bins FROM kpi_bucket
WHERE journey_name = :journey AND measure = ANY(CAST(:measures AS text[])) AND dim = :dim
  AND day >= :since AND day < :until
  AND (CAST(:firsts AS text[]) IS NULL OR split_part(item, '>', 1) = ANY(CAST(:firsts AS text[])))
GROUP BY 1, 2, 3, 4
""")  # noqa: S608 - our own text
    for every, period in _PERIOD.items()
}
_TARGETS: Final = text("""
SELECT kpi, missed, since, value, sample, looked_at FROM kpi_target WHERE journey_name = :journey
""")


@dataclass(frozen=True, slots=True)
class Told:
    """A figure with what it is of: the days, and the value of the dimension that was asked by (None: not known)."""

    since: date
    until: date
    group: str | None
    figure: Figure


# -- answering ---------------------------------------------------------------------------------------------------------


class Gathered(NamedTuple):
    """All that a question is answered from, as it was read; telling it may take longer than reading it."""

    journey: Journey
    asked: Question
    now: datetime
    counted_at: datetime | None
    inside: Sequence[Selected[Any]]
    ever: Sequence[Selected[Any]]
    elsewhere: Sequence[Figure]


def gather(connection: Connection, journey: Journey, asked: Question, now: datetime) -> Gathered:
    """Read what a question is answered from."""
    return _gathered(connection, journey, asked, now, kpis.counted_until(connection, now))


def answered(found: Gathered) -> dict[str, Any]:
    """Return the figures that answer a question, with what they mean and up to when all is counted. Pure."""
    journey, asked = found.journey, found.asked
    told, left_out = _told(found)
    return {
        **described(asked.kpi),
        "journey": journey.name,
        "of": asked.of._asdict() if asked.of else None,
        "by": asked.by,
        "every": asked.every,
        "window": {"from": asked.since, "to": asked.until, "tz": journey.kpis.tz},
        "as_of": found.counted_at if asked.kpi.reckon else found.now,
        "items": [shown(asked.kpi, each) for each in told],
        "left_out": left_out,
    }


def answer(connection: Connection, journey: Journey, asked: Question, now: datetime) -> dict[str, Any]:
    """Read and tell the answer to a question at once."""
    return answered(gather(connection, journey, asked, now))


def figures(connection: Connection, journey: Journey, asked: Question, as_of: datetime) -> tuple[list[Told], int]:
    """Return the figures, those of one value of a dimension together; and how many values were left out."""
    return _told(_gathered(connection, journey, asked, as_of, as_of))


def _gathered(
    connection: Connection, journey: Journey, asked: Question, now: datetime, counted_at: datetime | None
) -> Gathered:
    kpi = asked.kpi
    if kpi.reckon is None:
        until = min(asked.until, today(journey, now) + timedelta(days=1))
        found = tuple(kpi_elsewhere.READ[kpi.name](connection, journey, asked.of, asked.since, until))
        return Gathered(journey, asked, now, counted_at, (), (), found)
    inside, ever = _read(connection, journey, asked), _read_ever(connection, journey, asked)
    return Gathered(journey, asked, now, counted_at, inside, ever, ())


def _told(found: Gathered) -> tuple[list[Told], int]:
    asked, kpi = found.asked, found.asked.kpi
    if kpi.reckon is None:
        return [Told(asked.since, asked.until, None, figure) for figure in found.elsewhere], 0
    shape, age_s = shape_of(found.journey), _ages(found.journey, found.counted_at or found.now)
    inside, ever = (_grouped(_rows(there), asked, shape) for there in (found.inside, found.ever))
    groups, left_out = _largest({*inside, *ever}, inside)
    told: list[Told] = []
    for group in groups if asked.by else [ALL]:
        pieces = _pieces(inside[group], asked)
        for since, until in periods(asked):
            start = start_of(since, asked.every)
            before = {name: [row for row in there if row.day < until] for name, there in ever[group].items()}
            past = {name: [row for row in there if row.day < start] for name, there in ever[group].items()}
            seen = Seen(pieces.get(start, {}), shape, age_s, before, past, asked.of)
            told += [Told(since, until, (group or None) if asked.by else None, each) for each in kpi.reckon(seen)]
    return told, left_out


def shape_of(journey: Journey) -> Shape:
    """Return what of a journey figures have to know."""
    states = journey.lifecycle.items()
    ways: dict[str, set[str]] = defaultdict(set)
    for state, move, _ in journey.moves:
        ways[move].add(state)
    return Shape(
        won=frozenset(name for name, state in states if state.outcome == "won"),
        lost=frozenset(name for name, state in states if state.outcome == "lost"),
        away=frozenset(n for n, state in states if state.outcome == "lost" or (state.final and not state.outcome)),
        ways={move: frozenset(there) for move, there in ways.items()},
        departments={name: state.department for name, state in states if state.department},
        surveys={name: survey.kind for name, survey in journey.surveys.items()},
    )


def _read(connection: Connection, journey: Journey, asked: Question) -> Sequence[Selected[Any]]:
    """What was counted within the days."""
    kpi, dim = asked.kpi, asked.by if asked.by in DIMS else ALL
    firsts = _firsts(asked, shape_of(journey))
    reads = kpi.reads_of if asked.of and kpi.reads_of else kpi.reads
    if kpi.sizes:
        read = kpis.stored if asked.every in {"day", "week"} else kpis.stored_by_month
        return read(connection, journey.name, reads, asked.since, asked.until, dim=dim or ALL, firsts=firsts)
    return _sums(connection, journey, reads, asked, dim or ALL, firsts)


def _read_ever(connection: Connection, journey: Journey, asked: Question) -> Sequence[Selected[Any]]:
    """What was counted on any day before the end, as far as the KPI is made of that: by the periods asked for."""
    if not asked.kpi.ever:
        return ()
    dim = asked.by if asked.by in DIMS else ALL
    first = Question(asked.kpi, _FIRST, asked.since)
    before = _sums(connection, journey, asked.kpi.ever, first, dim or ALL)
    return [*before, *_sums(connection, journey, asked.kpi.ever, asked, dim or ALL)]


def _sums(
    connection: Connection,
    journey: Journey,
    measures: Collection[str],
    asked: Question,
    dim: str = ALL,
    firsts: Sequence[str] | None = None,
) -> Sequence[Selected[Any]]:
    given = {
        "journey": journey.name,
        "measures": list(measures),
        "dim": dim,
        "since": asked.since,
        "until": asked.until,
        "firsts": None if firsts is None else list(firsts),
    }
    if asked.every is None:
        given["first"] = asked.since
    return connection.execute(_SUMS[asked.every], given).all()


def _rows(stored: Iterable[Selected[Any]]) -> Iterator[tuple[str, str, Row]]:
    """Measure, value of the dimension, and what was counted."""
    for row in stored:
        sizes = kpis.sizes(row.bins) if row.bins is not None else {}
        yield row.measure, row.value, Row(parts_of(row.measure, row.item), row.day, row.n, row.total, sizes)


def _firsts(asked: Question, shape: Shape) -> Sequence[str] | None:
    """What items begin with where one thing is asked of, so that no others are read; None: whatever."""
    if asked.of is None or asked.of.kind == "touchpoint":
        return None
    if asked.of.kind != "transition":
        # An arrival is counted of no state, and an answer to tickets under their kind.
        return [asked.of.code, ""]
    # Moves that the journey does not have any more are found by their states only where it has the transition.
    return sorted(shape.ways.get(asked.of.code, ())) or None


def _grouped(found: Iterable[tuple[str, str, Row]], asked: Question, shape: Shape) -> dict[str, dict[str, list[Row]]]:
    groups: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for measure, value, row in found:
        group = value if asked.by in DIMS else ALL
        if asked.by == "state":
            group = row.parts.get("state", "")
        elif asked.by == "department":
            group = shape.departments.get(row.parts.get("state", ""), "")
        groups[group][measure].append(row)
    return groups


def _pieces(rows: Mapping[str, list[Row]], asked: Question) -> dict[date, dict[str, list[Row]]]:
    """What was counted in each period, by the day that `_start` gives it."""
    if asked.every is None:
        return {asked.since: dict(rows)}
    found: dict[date, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for measure, there in rows.items():
        for row in there:
            found[start_of(row.day, asked.every)][measure].append(row)
    return found


def _largest(names: Iterable[str], inside: Mapping[str, Mapping[str, list[Row]]]) -> tuple[list[str], int]:
    """The values of a dimension that are told, in order, and how many are not."""
    size = {name: sum(row.n for rows in inside.get(name, {}).values() for row in rows) for name in names}
    kept = sorted(size, key=lambda name: (-size[name], name))[:MOST_GROUPS]
    return sorted(kept), len(size) - len(kept)


def _ages(journey: Journey, as_of: datetime) -> Any:  # noqa: ANN401 - a function of a day
    zone = ZoneInfo(journey.kpis.tz)
    return lambda day: (as_of - datetime.combine(day, time(12), zone).astimezone(UTC)).total_seconds()


# -- showing -----------------------------------------------------------------------------------------------------------


def described(kpi: Kpi) -> dict[str, Any]:
    """Return what a KPI means and how it can be asked, JSON-ready."""
    return {
        "name": kpi.name,
        "title": kpi.title,
        "about": GROUPS[kpi.group],
        "definition": kpi.definition,
        "unit": kpi.unit,
        "kind": kpi.kind,
        "numerator_is": kpi.numerator,
        "denominator_is": kpi.denominator or None,
        "needed": kpi.needed,
        "dimensions": list(kpi.by),
        "asked_of": list(kpi.of),
        "parts": list(kpi.parts),
    }


def shown(kpi: Kpi, told: Told) -> dict[str, Any]:
    """Return a figure, JSON-ready: money and sums of money exact, as text."""
    figure = told.figure
    numbers = {
        name: _plain(value) for name, value in asdict(figure).items() if name not in {"part", "reason", "sample"}
    }
    return {
        "from": told.since,
        "to": told.until,
        "group": told.group,
        "part": dict(figure.part),
        **numbers,
        "sample": figure.sample,
        "enough": figure.value is not None and figure.sample >= kpi.needed,
        "reason": figure.reason,
    }


def _plain(value: float | Decimal | None) -> float | str | None:
    if isinstance(value, Decimal):
        return format(value, "f")
    return round(value, 6) if isinstance(value, float) else value


# -- overview and targets ----------------------------------------------------------------------------------------------


class GatheredAll(NamedTuple):
    """All that the overview is told from, as it was read."""

    journey: Journey
    since: date
    until: date
    now: datetime
    counted_at: datetime | None
    inside: Sequence[Selected[Any]]
    ever: Sequence[Selected[Any]]
    past: Sequence[Selected[Any]]
    targets: list[dict[str, Any]]


def gather_all(connection: Connection, journey: Journey, now: datetime) -> GatheredAll:
    """Read what the overview is told from."""
    until = today(journey, now) + timedelta(days=1)
    since = until - USUAL
    whole = [kpi for kpi in CATALOG.values() if kpi.whole]
    plain = sorted({name for kpi in whole for name in kpi.reads} - {*_SMALL})
    ever = sorted({name for kpi in whole for name in kpi.ever})
    inside = [
        *_sums(connection, journey, plain, Question(whole[0], since, until)),
        *kpis.stored(connection, journey.name, _SMALL, since, until),
    ]
    before, past = (_sums(connection, journey, ever, Question(whole[0], _FIRST, end)) for end in (until, since))
    counted_at = kpis.counted_until(connection, now)
    return GatheredAll(journey, since, until, now, counted_at, inside, before, past, standing(connection, journey))


def told_of_all(found: GatheredAll) -> dict[str, Any]:
    """Return every KPI with its values of the latest 30 days, and how the journey's targets stand. Pure."""
    journey, since, until = found.journey, found.since, found.until
    rows: list[dict[str, list[Row]]] = []
    for stored in (found.inside, found.ever, found.past):
        rows.append(defaultdict(list))
        for measure, _, row in _rows(stored):
            rows[-1][measure].append(row)
    seen = Seen(rows[0], shape_of(journey), _ages(journey, found.counted_at or found.now), rows[1], rows[2])
    items = []
    for kpi in CATALOG.values():
        each_of = kpi.reckon(seen) if kpi.reckon and kpi.whole else ()
        told = [Told(since, until, None, each) for each in each_of if not {*each.part} - {"currency"}]
        mine = [target for target in found.targets if target["kpi"] == kpi.name]
        items.append(described(kpi) | {"figures": [shown(kpi, each) for each in told], "targets": mine})
    return {
        "journey": journey.name,
        "window": {"from": since, "to": until, "tz": journey.kpis.tz},
        "as_of": found.counted_at,
        "items": items,
    }


def overview(connection: Connection, journey: Journey, now: datetime) -> dict[str, Any]:
    """Read and tell every KPI at once."""
    return told_of_all(gather_all(connection, journey, now))


def standing(connection: Connection, journey: Journey) -> list[dict[str, Any]]:
    """Return the journey's targets and whether each is missed, as they were last looked at."""
    found = {row.kpi: row for row in connection.execute(_TARGETS, {"journey": journey.name})}
    items: list[dict[str, Any]] = []
    for name, target in journey.kpis.targets.items():
        row = found.get(name)
        items.append(
            {
                "target": name,
                "label": target.label,
                "kpi": target.kpi,
                "of": target.of.named._asdict() if target.of else None,
                "at_least": target.at_least,
                "at_most": target.at_most,
                "percentile": target.percentile if CATALOG[target.kpi].unit == "seconds" else None,
                "over_days": target.over.days,
                "needed": target.sample,
                "missed": row.missed if row else None,
                "since": row.since if row else None,
                "value": row.value if row else None,
                "sample": row.sample if row else 0,
                "looked_at": row.looked_at if row else None,
            }
        )
    return items


def of_target(
    connection: Connection, journey: Journey, target: Target, now: datetime
) -> tuple[Question, Figure, float | Decimal | None]:
    """Return what a target asks, the figure that answers it, and the value to be held against the bound."""
    until = today(journey, now) + timedelta(days=1)
    of = target.of.named if target.of else None
    asked = Question(CATALOG[target.kpi], until - target.over, until, of)
    told, _ = figures(connection, journey, asked, kpis.counted_until(connection, now) or now)
    wanted = {"currency": target.bound.currency} if target.bound.currency else {}
    shown_apart = {*asked.kpi.parts} - {"currency", of.kind if of else ""}
    mine = [
        each.figure
        for each in told
        if all(each.figure.part.get(name, value) == value for name, value in wanted.items())
        and not {name for name in each.figure.part if name in shown_apart}
    ]
    figure = mine[0] if mine else Figure({}, None, 0, reason="nothing_counted")
    return asked, figure, figure.p90 if target.percentile == 90 else figure.value  # noqa: PLR2004 - else the median
