"""
What docs/kpis.md lists is the catalogue.

When this fails because a KPI has changed, run `python -m tests.contract.test_kpi_docs`, which writes the tables anew.
"""

from __future__ import annotations

from typing import Final

from schema.kpi.catalog import CATALOG, GROUPS, LEAD, Kpi
from tests.servers import ROOT

PAGE: Final = ROOT / "docs" / "kpis.md"
MARK: Final = "<!-- kpis -->\n"
UNITS: Final = {"money_per_day": "money a day", "score": "mean score"}


def listed() -> str:
    """The tables of all KPIs, by what they are about."""
    parts: list[str] = []
    for group, title in GROUPS.items():
        rows = [_row(kpi) for kpi in CATALOG.values() if kpi.group == group]
        head = [
            "| KPI | what it is | unit, kind | numerator; denominator | asked of; by | needs |",
            "|---|---|---|---|---|---|",
        ]
        parts.append("\n".join([f"### {title}", "", *head, *rows]))
    return "\n\n".join(parts) + "\n"


def _row(kpi: Kpi) -> str:
    of = ", ".join(kpi.of) or "everything"
    dims = "all" if kpi.dims == LEAD else ", ".join(kpi.dims) or "nothing"
    by = dims + (", state, department" if kpi.places else "")
    below = f"{kpi.numerator} / {kpi.denominator}" if kpi.denominator else kpi.numerator
    needed = str(kpi.needed) if kpi.needed else ""
    unit = f"{UNITS.get(kpi.unit, kpi.unit)}, {kpi.kind}"
    return f"| `{kpi.name}` | **{kpi.title}.** {kpi.definition} | {unit} | {below} | {of}; {by} | {needed} |"


def test_every_kpi_stands_on_the_page_as_it_is() -> None:
    assert PAGE.read_text(encoding="utf-8").partition(MARK)[2].strip() == listed().strip()


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text(encoding="utf-8").partition(MARK)[0] + MARK + "\n" + listed(), encoding="utf-8")
