"""What happened in a window, read from the buckets for a diagram: one statement, whatever is drawn."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from sqlalchemy import text

from schema.diagram.figures import counted, lasting, shared
from schema.diagram.model import Measured, Window
from schema.diagram.overlay import MEASURES, Bottleneck, Happened
from schema.diagram.parts import measured as called
from schema.errors import Permanent
from schema.kpi import bins
from schema.kpi.catalog import CATALOG, Kpi
from schema.kpi.figure import Figure, Of, Row, parts_of
from schema.kpi.measures import DIMS
from schema.store import flows, kpi_figures, kpis

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from schema.journey import Journey
    from schema.journey.target import Target

DAYS: Final = 30
"""So many days up to today are looked at where no others are named."""
_MOST_DAYS: Final = 3_700
_SHOWN: Final = 3
"""So many bottlenecks are marked: the worst."""
_READ: Final = text("""
SELECT measure, item, day, n, total, bins FROM kpi_bucket
WHERE journey_name = :journey AND measure = ANY(CAST(:measures AS text[])) AND dim = :dim AND value = :value
  AND day >= :since AND day < :until
""")
_SOURCES: Final = text("""
SELECT value, sum(n)::bigint AS n FROM kpi_bucket
WHERE journey_name = :journey AND measure = 'created' AND item = '' AND dim = 'source'
  AND day >= :since AND day < :until
GROUP BY value
""")


def days(journey: Journey, since: date | None, until: date | None, now: datetime) -> tuple[date, date]:
    """
    Return the window asked for: from `since` up to but not including `until`; None: the last `DAYS` days with today.

    Raises Permanent for one that ends before it begins, or is longer than ten years.
    """
    today = now.astimezone(ZoneInfo(journey.kpis.tz)).date()
    end = until or today + timedelta(days=1)
    begin = since or date.fromordinal(max(end.toordinal() - DAYS, 1))
    if begin >= end:
        message = f"The window from {begin} to {end} has no day in it: `to` is the first day that does not count."
        raise Permanent("window_empty", message)
    if (end - begin).days > _MOST_DAYS:
        raise Permanent("window_too_long", "A window has at most ten years.")
    return begin, end


def part(given: str | None) -> tuple[str, str] | None:
    """Return the dimension and the value of `source=website`; None for none. Raises Permanent."""
    if given is None:
        return None
    dim, equals, value = given.partition("=")
    if dim not in DIMS or not equals:
        known = ", ".join(DIMS)
        raise Permanent("dimension_unknown", f"Say a dimension and its value, as in source=website. There are {known}.")
    return dim, value


def happened(
    connection: Connection,
    journey: Journey,
    since: date,
    until: date,
    now: datetime,
    only: tuple[str, str] | None = None,
    *,
    assigned: bool = False,
) -> Happened:
    """
    Return what was counted of a journey's leads in a window: of all, or `only` of one value of a dimension.

    KPIs with targets and bottlenecks are of all leads only; `assigned`: with the KPIs that the journey assigns to
    states and transitions, too, for a drawing that names them.
    """
    dim, value = only or ("", "")
    wanted = {"journey": journey.name, "since": since, "until": until}
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in connection.execute(_READ, wanted | {"measures": list(MEASURES), "dim": dim, "value": value}):
        part = parts_of(row.measure, row.item)
        rows[row.measure].append(Row(part, row.day, row.n, row.total, bins.read(row.bins)))
    told = "" if only is None else f"{dim} {value}" if value else f"{dim} not known"
    as_of = kpis.counted_until(connection, now)
    return Happened(
        window=Window(since, until, journey.kpis.tz, as_of, told),
        rows=rows,
        age_s=_Ages(ZoneInfo(journey.kpis.tz), as_of or now),
        arrived=_arrived(connection, wanted, rows, only),
        bottlenecks={} if only else _bottlenecks(connection, journey, since, until, now),
        measured={} if only else _Measuring(connection, journey, since, until, as_of or now).all(assigned=assigned),
    )


class _Ages:
    """How long ago the middle of a day was, in seconds."""

    def __init__(self, zone: ZoneInfo, now: datetime) -> None:
        self.zone, self.now = zone, now

    def __call__(self, day: date) -> float:
        return (self.now - datetime.combine(day, time(12), self.zone)).total_seconds()


def _arrived(
    connection: Connection,
    wanted: Mapping[str, object],
    rows: Mapping[str, Sequence[Row]],
    only: tuple[str, str] | None,
) -> dict[str, int] | None:
    """How many leads began by the source they came from; None where another dimension is asked for."""
    if only is None:
        return {row.value: row.n for row in connection.execute(_SOURCES, wanted)}
    return {only[1]: sum(row.n for row in rows.get("created", ()))} if only[0] == "source" else None


def _bottlenecks(
    connection: Connection, journey: Journey, since: date, until: date, now: datetime
) -> dict[str, Bottleneck]:
    """The worst places by what is drawn there: a state, or a hand-over between departments."""
    found = flows.bottlenecks(connection, journey, since, until, now)["places"]
    marked: dict[str, Bottleneck] = {}
    for place in found:
        if place["rank"] is None or place["rank"] > _SHOWN:
            continue
        kinds = {"state": f"state:{place['name']}", "handover": f"handover:{place['name']}"}
        key = kinds.get(place["kind"], f"state:{journey.initial}")
        marked.setdefault(key, Bottleneck(place["rank"], _gain(place["gain"])))
    return marked


def _gain(gain: Mapping[str, float | None]) -> str:
    """What nobody waiting there would bring, in words; nothing below what can be felt."""
    wins, days_sooner = gain["wins_per_month"] or 0.0, gain["days_sooner"] or 0.0
    told = [f"{wins:.0f} more {'win' if round(wins) == 1 else 'wins'} a month"] if wins >= 0.5 else []  # noqa: PLR2004 - rounds to one
    told += [f"{days_sooner:.1f} days sooner"] if days_sooner >= 0.1 else []  # noqa: PLR2004 - the first digit shown
    return ", ".join(told)


# -- KPIs --------------------------------------------------------------------------------------------------------------

_DRAWN: Final = frozenset({"arrivals", "drop_off", "time_in_state"})
"""KPIs that stand in every state anyway."""


class _Measuring:
    """The KPIs of a window that stand at what they are of, each figure asked once."""

    def __init__(self, connection: Connection, journey: Journey, since: date, until: date, as_of: datetime) -> None:
        self.connection, self.journey, self.as_of = connection, journey, as_of
        self.since, self.until = since, until
        self.known: dict[tuple[str, Of | None], list[Figure]] = {}

    def all(self, *, assigned: bool) -> dict[str, tuple[Measured, ...]]:
        found: dict[str, list[Measured]] = defaultdict(list)
        targeted = set()
        for target in self.journey.kpis.targets.values():
            place = self._place(target)
            targeted.add((place, target.kpi))
            found[place].append(self._of_target(target))
        if assigned:
            for place, of, name in self._assigned():
                figure = None if (place, name) in targeted else self._one(CATALOG[name], of)
                if figure is not None and figure.value is not None:
                    (label,) = called([name])
                    found[place].append(Measured(label, _worded(CATALOG[name], figure, figure.value)))
        return {place: tuple(each) for place, each in found.items()}

    def _assigned(self) -> Iterator[tuple[str, Of, str]]:
        """What the journey assigns to states and transitions, and the boxes do not say anyway."""
        for name, state in self.journey.lifecycle.items():
            yield from ((f"state:{name}", Of("state", name), kpi) for kpi in state.kpis if kpi not in _DRAWN)
        for way in dict.fromkeys(way for _, way, _ in self.journey.moves):
            each = self.journey.transition(way).kpis
            yield from ((f"transition:{way}", Of("transition", way), kpi) for kpi in each)

    def _place(self, target: Target) -> str:
        """Where a target is drawn: at its state, transition, touchpoint or campaign, else where all is measured."""
        if target.of is None:
            return "measure"
        kind, name = target.of.named
        if kind == "pipeline":
            return f"state:{self.journey.pipelines[name].state}"
        return f"{'touch' if kind == 'touchpoint' else kind}:{name}"

    def _of_target(self, target: Target) -> Measured:
        kpi, bound = CATALOG[target.kpi], target.bound
        figure = self._one(kpi, target.of.named if target.of else None, bound.currency)
        ninth = target.percentile == 90  # noqa: PLR2004 - else the median
        value = None if figure is None else figure.p90 if ninth else figure.value
        (name,) = called([target.kpi])
        label = target.label or (f"{name}, 90%" if ninth else name)
        wanted = f"≤ {target.at_most}" if bound.most else f"≥ {target.at_least}"
        if figure is None or value is None:
            return Measured(label, "not known", wanted)
        enough = figure.sample >= target.sample
        return Measured(label, _worded(kpi, figure, value), wanted, bound.kept(value) if enough else None)

    def _one(self, kpi: Kpi, of: Of | None, currency: str | None = None) -> Figure | None:
        """The one figure of a KPI, of something where it can be asked so, else of everything; None: there is none."""
        if of is not None and not kpi.single(of.kind):
            of = None
        if not kpi.single(of.kind if of else None):
            return None
        if (kpi.name, of) not in self.known:
            asked = kpi_figures.Question(kpi, self.since, self.until, of)
            told, _ = kpi_figures.figures(self.connection, self.journey, asked, self.as_of)
            self.known[kpi.name, of] = [each.figure for each in told]
        of_it = [
            each
            for each in self.known[kpi.name, of]
            if {*each.part} <= {"currency", of.kind if of else ""}
            and each.part.get("currency", currency) == (currency or each.part.get("currency"))
        ]
        return max(of_it, key=lambda each: each.sample, default=None)


def _worded(kpi: Kpi, figure: Figure, value: float | Decimal) -> str:
    """A figure with its unit, and on how few it rests where those are too few."""
    number = float(value)
    if kpi.unit == "share":
        text = shared(number)
    elif kpi.unit == "seconds":
        text = lasting(number)
    elif kpi.unit in {"money", "money_per_day"}:
        text = f"{number:,.0f} {figure.part.get('currency', '')}".strip()
    else:
        text = counted(round(number)) if number == round(number) else f"{number:.1f}"
    return text if figure.sample >= kpi.needed else f"{text} (of {counted(figure.sample)} only)"
