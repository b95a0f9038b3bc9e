"""The whole report: its sections in order, as a page, and as files of CSV. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.cli.report import page, sheets
from services.cli.report.business import campaigns, faults, lost, sales, service, team
from services.cli.report.diagrams import diagrams
from services.cli.report.headline import headline, over_time, targets
from services.cli.report.leads import bottlenecks, cohorts, funnel, times, trends
from services.cli.report.parts import Cell, Column, Table
from services.cli.report.words import days

if TYPE_CHECKING:
    from services.cli.report.ask import Asked
    from services.cli.report.parts import Section


def sections(asked: Asked) -> list[Section]:
    """What stands in a report, in order."""
    made = (headline, targets, over_time, diagrams, funnel, cohorts, times, bottlenecks, trends, lost, sales, service,
            campaigns, team, faults)  # fmt: skip
    return [make(asked) for make in made]


def about(asked: Asked) -> Table:
    """What the report is of, and as of when, for whoever has the numbers only."""
    facts = {
        "journey": asked.journey.name,
        "version": asked.journey.version,
        "from": asked.since,
        "to": asked.until,
        "tz": asked.journey.kpis.tz,
        "as_of": asked.as_of,
        "read_at": asked.now,
    }
    row = [Cell(value) for value in facts.values()]
    return Table("about", "What this is of", [Column(key) for key in facts], [row], shown=False)


def html(asked: Asked, parts: list[Section], csv_folder: str) -> str:
    """The report as a page."""
    as_of = f"{asked.as_of:%Y-%m-%d %H:%M} UTC" if asked.as_of else "nothing is counted yet"
    label = asked.journey.label or asked.journey.name
    facts = [
        ("Days", days(asked.since, asked.until)),
        ("A day begins at midnight in", asked.journey.kpis.tz),
        ("Counted up to", as_of),
        ("Journey", f"{asked.journey.name}, version {asked.journey.version[:12]}"),
        ("Made", f"{asked.now:%Y-%m-%d %H:%M} UTC"),
    ]
    foot = (
        f"All figures are as of {as_of}, but for those of now (load, turns, pipeline value, campaigns), which are as "
        f"of {asked.now:%Y-%m-%d %H:%M} UTC. Percentiles of durations are within 1 % of the true ones; intervals hold "
        f"the true value with 95 %. Leads that are tests are in no figure. The numbers are in {csv_folder} beside it."
    )
    return page.written(f"{label}: {days(asked.since, asked.until)}", facts, parts, foot)


def tables(asked: Asked, parts: list[Section]) -> dict[str, str]:
    """The numbers of the report: the text of each CSV file by its name."""
    found = [about(asked), *(block for part in parts for block in part.blocks if isinstance(block, Table))]
    return {f"{table.name}.csv": sheets.written(table) for table in found if not table.name.startswith("cohorts-")}
