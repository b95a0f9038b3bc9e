"""
A business that never was: so many days of leads, tickets and surveys as the counting of them would have left them.

Always the same for the same days and number of leads; with quiet weekends, seasons, a slow seller and a faulty source.
Fill an empty migrated database with a year of it: `python -m tests.business DATABASE_URL 365 40`.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import pi, sin
from random import Random
from typing import TYPE_CHECKING, Any, Final

from schema import tables
from schema.journey import default_text
from schema.kpi.bins import added, bin_of
from schema.kpi.measures import MODELS, MONTHS, SIZED
from schema.store import rows
from schema.store.kpis import CONSUMER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Engine

HOUR: Final = 3_600
DAY: Final = 86_400
SOURCES: Final = {"website": (50, "form", 0.42), "contact": (22, "form", 0.5), "inbox": (18, "email", 0.55),
                  "api": (8, "api", 0.25), "product": (5, "events", 0.7)}  # fmt: skip
"""Of each how many, by which channel, and how many of them qualify."""
CAMPAIGNS: Final = ("spring", "brand", "", "=1+1<script>alert(1)</script>")
"""What links say is what strangers write."""
TARGETS: Final = """
kpis:
  targets:
    fast_start: {kpi: time_in_state, of: {state: lead}, at_most: 4d, percentile: 90, label: Fast start}
    wins: {kpi: win_rate, of: {transition: win}, at_least: 30%, over: 90d}
    overall: {kpi: win_rate, at_least: 25%, over: 90d}
    demand: {kpi: arrivals, at_least: 100, over: 7d}
    answers: {kpi: first_response, at_most: 4h}
    promises: {kpi: sla_hit_rate, at_least: 90%, over: 90d}
    happy: {kpi: nps, at_least: 40, over: 90d}
"""
JOURNEY: Final = default_text() + TARGETS


class Life:
    """What was counted, added up by bucket."""

    def __init__(self, first: date, days: int, per_day: float) -> None:
        self.first, self.days, self.per_day = first, days, per_day
        self.random = Random(7)  # noqa: S311 - the same business each time
        self.found: dict[tuple[str, str, str, str, int], list[Any]] = defaultdict(lambda: [0, Decimal(0), {}])

    def fact(
        self,
        measure: str,
        item: str,
        day: float,
        who: Mapping[str, str],
        *,
        took_s: float | None = None,
        size: int | None = None,
        total: float = 0,
    ) -> None:
        """Count once for all, and once for each dimension; nothing of days that are still to come."""
        if not 0 <= day < self.days:
            return
        number = size if size is not None else None if took_s is None else bin_of(took_s)
        for dim, value in (("", ""), *who.items()):
            cell = self.found[measure, item, dim, value, int(day)]
            cell[0] += 1
            cell[1] += Decimal(str(total))
            if number is not None:
                cell[2][number] = cell[2].get(number, 0) + 1

    def stay(self, state: str, begun: float, took: float, way: str, to: str, who: Mapping[str, str]) -> float:
        """Come into a state and leave it after so many days."""
        self.fact("entered", state, begun, who)
        if begun + took < self.days:
            item = f"{state}>{way}>{to}"
            self.fact("left", item, begun, who, took_s=took * DAY)
            self.fact("moved", item, begun + took, who, took_s=took * DAY)
        return begun + took

    def live(self) -> Life:
        """Every day with its leads and tickets."""
        for day in range(self.days):
            quiet = 0.35 if (self.first + timedelta(days=day)).weekday() >= 5 else 1.15
            season = 1 + 0.25 * sin(2 * pi * day / 365) + (0.5 if day > self.days * 0.8 else 0)
            for _ in range(round(self.per_day * quiet * season * self.random.uniform(0.8, 1.2))):
                self.lead(day + self.random.random())
            for _ in range(round(self.per_day * quiet * 0.3)):
                self.ticket(day + self.random.random())
        return self

    def lead(self, day: float) -> None:
        """One lead from its first sign of interest on."""
        r = self.random
        source = r.choices([*SOURCES], [weight for weight, _, _ in SOURCES.values()])[0]
        _, channel, good = SOURCES[source]
        owner = r.choices(["ana", "ben", "cem", "dee"], [4, 2, 3, 3])[0]
        campaign = r.choices(CAMPAIGNS, [6, 5, 4, 1])[0]
        who = {"source": source, "channel": channel, "campaign": campaign, "owner": "", "segment": r.choice("ABC")}
        self.fact("created", "", day, who)
        self.fact("touched", "form", day, who)
        self.fact("detected", "", day, who, took_s=r.uniform(0.5, 4))
        yes = r.random() < good
        self.fact("qualification", "passed" if yes else r.choice(["no_need", "no_need", "competitor"]), day, who)
        if not yes:
            self.stay("lead", day, r.uniform(0.01, 0.2), "disqualify", "disqualified", who)
            self.fact("entered", "disqualified", day + 0.2, who)
            return
        day = self.stay("lead", day, r.expovariate(1 / 1.5), "qualify", "opportunity", who)
        who |= {"owner": owner}
        self.fact("assigned", "", day, who, took_s=r.uniform(10, 600))
        accepted = r.expovariate(1 / (9 * HOUR if owner == "cem" else 1.5 * HOUR))
        self.fact("accepted", "", day, who, took_s=accepted)
        self.fact("first_response", "lead", day, who, took_s=accepted + r.expovariate(1 / (2 * HOUR)))
        self.fact("opportunity.opened", "sales", day, who)
        took = r.lognormvariate(2.4, 0.7) * (1.8 if owner == "cem" else 1)
        if r.random() < 0.08:
            took = 1e6
        wins = r.random() < (0.18 if owner == "cem" else 0.36)
        over = self.stay("opportunity", day, took, "win" if wins else "lose", "customer" if wins else "lost", who)
        if not wins:
            self.fact("entered", "lost", over, who)
            self.fact("opportunity.lost", f"sales>{r.choice(['price', 'price', 'timing', 'no_answer'])}", over, who)
            return
        self.won(over, took, round(r.lognormvariate(7, 0.6), 2), who)

    def won(self, day: float, took: float, amount: float, who: dict[str, str]) -> None:
        """A lead that buys."""
        r = self.random
        self.fact("won", "", day, who, took_s=(took + 2) * DAY)
        self.fact("purchased", "purchase>EUR", day, who, total=amount)
        self.fact("opportunity.won", "sales", day, who, took_s=took * DAY)
        self.fact("opportunity.amount", "sales>won>EUR", day, who, total=amount)
        for model, first in zip(MODELS, (1_000_000, 0, 500_000, 500_000, 250_000), strict=True):
            for source, share in ((who["source"], first), ("inbox", 1_000_000 - first)):
                touch = {"source": source, "channel": "form", "campaign": who["campaign"]}
                self.fact("credit", model, day, touch, total=share)
        if r.random() < 0.02:
            self.fact("fault", "won_before_contact", day, who)
        served = self.stay("customer", day, r.expovariate(1 / 40), "serve", "serviced", who)
        self.fact("entered", "serviced", served, who)
        self.fact("survey.sent", "would_recommend", day + 30, who)
        if r.random() < 0.35:
            score = r.choices(range(11), [1, 0, 1, 1, 2, 4, 4, 10, 18, 20, 14])[0]
            self.fact("survey.answered", "would_recommend", day + 33, who, size=score, total=score)

    def ticket(self, day: float) -> None:
        """A ticket from opening it to what its customer says."""
        r = self.random
        kind = r.choices(["question", "request", "complaint"], [5, 4, 1])[0]
        who = {"owner": r.choice(["dee", "eva"]), "team": "complaints" if kind == "complaint" else "helpdesk"}
        took = r.lognormvariate(0.4, 0.9)
        self.fact("ticket.opened", kind, day, who)
        self.fact("first_response", kind, day, who, took_s=r.expovariate(1 / (5 * HOUR)))
        self.fact("ticket.resolved", kind, day + took, who, took_s=took * DAY)
        self.fact("sla.hit" if took < 4 else "sla.missed", "resolution", day + took, who)
        if r.random() < 0.06:
            self.fact("ticket.reopened", kind, day + took + 1, who)
        self.fact("survey.sent", "after_help", day + took, who)
        if r.random() < 0.3:
            score = r.choices([1, 2, 3, 4, 5], [4, 5, 10, 40, 41])[0]
            self.fact("survey.answered", "after_help", day + took, who, size=score, total=score)

    def keep(self, connection: Connection, journey: str) -> None:
        """Write the buckets."""
        days: dict[tuple[str, str, str, str, date], tuple[int, Decimal, dict[int, int]]] = {
            (measure, item, dim, value, self.first + timedelta(days=day)): (n, total, sizes)
            for (measure, item, dim, value, day), (n, total, sizes) in self.found.items()
        }
        months: dict[tuple[str, str, str, str, date], tuple[int, Decimal, dict[int, int]]] = {}
        for (measure, item, dim, value, day), (n, total, sizes) in days.items():
            if measure in SIZED:
                key = (measure, item, MONTHS + dim, value, day.replace(day=1))
                held = months.get(key, (0, Decimal(0), {}))
                months[key] = (held[0] + n, held[1] + total, added((held[2], sizes)))
        found = [
            {"journey_name": journey, "measure": measure, "item": item, "dim": dim, "value": value,
             "day": day, "n": n, "total": total,
             "bins": {str(size): count for size, count in sorted(sizes.items())}}
            for (measure, item, dim, value, day), (n, total, sizes) in [*days.items(), *months.items()]
        ]  # fmt: skip
        for at in range(0, len(found), 5000):
            rows.insert(connection, tables.kpi_bucket, found[at : at + 5000])


def fill(engine: Engine, first: date, days: int, per_day: float, now: datetime) -> Life:
    """Fill a database whose active journey is `JOURNEY` with so many days, all counted by `now`; return them."""
    life = Life(first, days, per_day).live()
    with engine.begin() as connection:
        life.keep(connection, "default")
        told = [{"name": CONSUMER, "tx": 0, "position": 0, "updated_at": now}]
        rows.insert(connection, tables.consumer, told)
        late = {"journey_name": "default", "measure": "created", "item": "", "day": first, "n": 2, "total": Decimal(0)}
        noted = datetime(first.year, first.month, first.day, 9, tzinfo=UTC) + timedelta(days=3)
        rows.insert(connection, tables.kpi_restated, [late | {"noted_at": noted}])
    return life


def _main() -> None:
    from schema.store import clock, journeys  # noqa: PLC0415 - only by hand
    from schema.store.engine import make_engine  # noqa: PLC0415 - only by hand

    url, days, per_day = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    engine, now = make_engine(url, name="cli", pool_size=1), clock.now()
    with engine.begin() as connection:
        stored = journeys.store(connection, JOURNEY, now)
        journeys.activate(connection, stored, now)
    fill(engine, now.date() - timedelta(days=days), days + 1, per_day, now)
    engine.dispose()


if __name__ == "__main__":
    _main()
