"""
What a report asks: the figures of a window, of the one before it and of its days, weeks or months, all in one snapshot.

Nothing is counted here: figures come as `schema/store/kpi_figures.py` tells them. What is not counted by day but read
where it stands (purchases, campaigns) has a limit of time; what takes longer is left out, and the report says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from schema.kpi.catalog import CATALOG, Kpi
from schema.kpi.figure import Figure
from schema.store import campaign_results, flows, kpi_figures, kpis, overlay, trends
from schema.store.campaigns import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from schema.diagram import Happened
    from schema.journey import Journey
    from schema.journey.target import Target
    from schema.store.journeys import JourneyBook
    from schema.store.kpi_figures import Every, Question, Told

T = TypeVar("T")

HEADLINE: Final = (
    "arrivals", "qualification_rate", "first_response", "win_rate", "wins", "time_to_win", "value", "average_sale",
    "sla_hit_rate", "resolution_time", "csat", "nps", "renewal_rate", "churn_rate",
)  # fmt: skip
"""The figures at the top, each beside that of the window before."""
PLOTTED: Final = (
    "arrivals", "qualification_rate", "first_response", "win_rate", "wins", "time_to_win", "value", "tickets_opened",
    "sla_hit_rate", "resolution_time", "csat", "nps",
)  # fmt: skip
"""The figures that are drawn over time."""
WHOLE: Final = (
    "drop_off", "time_in_state", "disqualified", "lost_reasons", "opportunity_win_rate", "sales_cycle", "won_amount",
    "velocity", "pipeline_value", "forecast_hit_rate", "forecast_ratio", "lifetime_value", "upsell_rate",
    "tickets_opened", "tickets_resolved", "ticket_first_response", "ticket_first_response_hours", "resolution_time",
    "reopen_rate", "sla_hit_rate", "csat", "nps", "satisfaction", "response_rate", "follow_up_late_rate", "load",
    "fairness", "faults", "overdue", "handover_time",
)  # fmt: skip
"""What is asked once, of the whole window."""
BY: Final = (
    ("arrivals", "channel"), ("arrivals", "source"), ("wins", "source"), ("attributed_wins", "source"),
    ("attributed_wins", "campaign"), ("assigned", "owner"), ("first_response", "owner"), ("wins", "owner"),
    ("win_rate", "owner"), ("value", "owner"),
)  # fmt: skip
"""What is asked by a dimension."""
MOST_RESTATED: Final = 1000
_WEEKLY: Final = timedelta(days=62)
_MONTHLY: Final = timedelta(days=400)
_COHORTS_MONTHLY: Final = timedelta(days=120)
_PATIENCE_S: Final = 1.0
"""So long one thing that is not counted by day may take, and"""
_PATIENCE_FOR_ALL_S: Final = 3.0
"""so long all of them together."""
_GAVE_UP: Final = "57014"
_SNAPSHOT: Final = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
_LIMIT: Final = text("SELECT set_config('statement_timeout', :limit, true)")
_NO_LIMIT: Final = text("SET LOCAL statement_timeout TO DEFAULT")


@dataclass(frozen=True, slots=True)
class Answer:
    """A KPI with its figures; `late` where they were not there in time."""

    kpi: Kpi
    told: Sequence[Told] = ()
    late: bool = False

    @property
    def figures(self) -> list[Figure]:
        """The figures alone."""
        return [each.figure for each in self.told]

    @property
    def whole(self) -> list[Figure]:
        """Those of all together: one, or one for each currency."""
        return [figure for figure in self.figures if not {*figure.part} - {"currency"}]


@dataclass(frozen=True, slots=True)
class Aimed:
    """A target, and the figure at the end of the window that it is held against; `value` is None for none."""

    name: str
    target: Target
    asked: Question
    figure: Figure
    value: Any

    @property
    def missed(self) -> bool | None:
        """Whether it is missed; None where too little is known to say."""
        if self.value is None or self.figure.sample < self.target.sample:
            return None
        return not self.target.bound.kept(self.value)


@dataclass(slots=True)
class Asked:
    """All that a report is made of. `first_day` is the first one that was counted, None for none."""

    journey: Journey
    since: date
    until: date
    now: datetime
    as_of: datetime | None
    every: Every
    cohorts: Every
    first_day: date | None
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    before: dict[str, Answer] = field(default_factory=dict)
    over_time: dict[str, Answer] = field(default_factory=dict)
    by_state: dict[tuple[str, str], Figure] = field(default_factory=dict)
    targets: list[Aimed] = field(default_factory=list)
    happened: Happened | None = None
    bottlenecks: Mapping[str, Any] = field(default_factory=dict)
    series: trends.Read | None = None
    campaigns: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    """What came of each campaign; None where that was not there in time."""
    restated: list[dict[str, Any]] = field(default_factory=list)
    more_restated: bool = False

    @property
    def begins_before(self) -> date:
        """The first day of the window before."""
        return self.since - (self.until - self.since)

    @property
    def comparable(self) -> bool:
        """Whether the window before was counted from its first day on."""
        return self.first_day is not None and self.first_day <= self.begins_before

    @property
    def counted_day(self) -> date | None:
        """The day up to which all is counted, that day itself not over yet."""
        return self.as_of.astimezone(ZoneInfo(self.journey.kpis.tz)).date() if self.as_of else None

    @property
    def over(self) -> bool:
        """Whether all days of the window are over and counted."""
        zone = ZoneInfo(self.journey.kpis.tz)
        return self.as_of is not None and self.as_of >= datetime.combine(self.until, time(), zone)

    def answer(self, name: str, by: str = "") -> Answer:
        """What was asked of the whole window."""
        return self.answers[name, by]


def ask(
    connection: Connection, journey: Journey, book: JourneyBook, now: datetime, since: date | None, until: date | None
) -> Asked:
    """
    Read what a report is made of, by default of the latest 30 days. The connection has to be in no transaction yet.

    :raises Permanent: `window_invalid`
    """
    connection.execute(_SNAPSHOT)
    window = kpi_figures.question(journey, "arrivals", now, since=since, until=until)
    begin, end = window.since, window.until
    long = end - begin
    found = Asked(
        journey,
        begin,
        end,
        now,
        kpis.counted_until(connection, now),
        "day" if long <= _WEEKLY else "week" if long <= _MONTHLY else "month",
        "week" if long <= _COHORTS_MONTHLY else "month",
        kpis.first_day(connection, journey.name),
    )
    reader = _Reader(connection, found)
    reader.figures()
    reader.states()
    reader.targets()
    found.happened = overlay.happened(connection, journey, begin, end, now, assigned=True)
    found.bottlenecks = flows.bottlenecks(connection, journey, begin, end, now)
    found.series = trends.series(connection, journey, book, now)
    for name in journey.campaigns:
        place = Place(journey.name, name, journey)
        found.campaigns[name] = reader.in_time(partial(campaign_results.results, connection, place))
    found.restated, more = kpi_figures.restated(connection, journey, begin, end, limit=MOST_RESTATED)
    found.more_restated = more is not None
    return found


class _Reader:
    """Asks one after the other, and looks at the time where that is not bounded by how things are kept."""

    def __init__(self, connection: Connection, found: Asked) -> None:
        self.connection, self.found = connection, found
        self.left_s = _PATIENCE_FOR_ALL_S

    def figures(self) -> None:
        found = self.found
        for name in dict.fromkeys((*HEADLINE, *WHOLE)):
            found.answers[name, ""] = self.one(name)
        for name, by in BY:
            found.answers[name, by] = self.one(name, by=by)
        for name in HEADLINE:
            found.before[name] = self.one(name, since=found.begins_before, until=found.since)
        for name in PLOTTED:
            found.over_time[name] = self.one(name, every=found.every)
        found.answers["conversion", found.cohorts] = self.one("conversion", every=found.cohorts)
        found.answers["drop_off", found.cohorts] = self.one("drop_off", every=found.cohorts)

    def states(self) -> None:
        """How many of those who came into each state on the way to winning went on."""
        for state in flows.towards_winning(self.found.journey):
            for name in ("conversion", "conversion_snapshot"):
                (figure,) = self.one(name, of=f"state:{state}").figures
                self.found.by_state[name, state] = figure

    def targets(self) -> None:
        """What the targets come to over their own time, at the end of the window."""
        found = self.found
        zone = ZoneInfo(found.journey.kpis.tz)
        end = datetime.combine(found.until, time(), zone) - timedelta(seconds=1)
        for name, target in found.journey.kpis.targets.items():
            asked, figure, value = kpi_figures.of_target(self.connection, found.journey, target, min(found.now, end))
            found.targets.append(Aimed(name, target, asked, figure, value))

    def one(
        self,
        name: str,
        *,
        of: str | None = None,
        by: str | None = None,
        every: Every | None = None,
        since: date | None = None,
        until: date | None = None,
    ) -> Answer:
        found = self.found
        asked = kpi_figures.question(
            found.journey, name, found.now, since=since or found.since, until=until or found.until, of=of, by=by,
            every=every,
        )  # fmt: skip
        as_of = found.as_of or found.now

        def read() -> Sequence[Told]:
            return kpi_figures.figures(self.connection, found.journey, asked, as_of)[0]

        if asked.kpi.reckon is not None:
            return Answer(asked.kpi, read())
        told = self.in_time(read)
        return Answer(CATALOG[name], told or (), late=told is None)

    def in_time(self, read: Callable[[], T]) -> T | None:
        """Return what is read; None where that takes too long."""
        began = perf_counter()
        limit = max(min(_PATIENCE_S, self.left_s), 0.05)
        savepoint = self.connection.begin_nested()
        try:
            self.connection.execute(_LIMIT, {"limit": str(int(limit * 1000))})
            told = read()
            self.connection.execute(_NO_LIMIT)
            savepoint.commit()
        except OperationalError as error:
            savepoint.rollback()
            if getattr(error.orig, "sqlstate", None) != _GAVE_UP:
                raise
            return None
        else:
            return told
        finally:
            self.left_s -= perf_counter() - began
