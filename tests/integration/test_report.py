"""The report: one page that needs nothing else, whose numbers are those of the figures, and the same as CSV."""

from __future__ import annotations

import base64
import csv
import hashlib
import re
from collections import Counter
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from schema.store import journeys
from services.cli.main import app
from services.cli.report import ask as asking
from tests import business

if TYPE_CHECKING:
    from pathlib import Path

    from tests.spine import Spine

FIRST: Final = date(2026, 3, 30)
DAYS: Final = 63
HOSTILE: Final = business.JOURNEY.replace("label: Customer journey", "label: '</title><script>alert(2)</script>'")


class Page(HTMLParser):
    """What stands on a page: tags with their attributes, texts, and the first cells of the rows of tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def count(self) -> Counter[str]:
        return Counter(tag for tag, _ in self.tags)


def sheet(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_report_is_one_page_that_needs_nothing_else_and_its_numbers_are_those_that_happened(
    spine: Spine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 6, 10, tzinfo=UTC)
    with spine.engine.begin() as connection:
        journeys.activate(connection, journeys.store(connection, HOSTILE, now), now)
    life = business.fill(spine.engine, FIRST, DAYS, 9, now)
    monkeypatch.setenv("THROUGHLINE_DATABASE_URL", spine.engine.url.render_as_string(hide_password=False))
    out = tmp_path / "may.html"
    given = ["kpi", "report", "--from", "2026-05-01", "--to", "2026-06-01", "-o", str(out)]
    monkeypatch.setattr(asking, "_PATIENCE_S", 0.05)
    with spine.engine.begin() as other:
        other.execute(text("LOCK TABLE purchase IN ACCESS EXCLUSIVE MODE"))  # whoever reads purchases waits
        result = CliRunner().invoke(app, given)
    assert (result.exit_code, result.exception) == (0, None)
    html, folder = out.read_text(encoding="utf-8"), tmp_path / "may-csv"

    _stands_alone(html)

    # What it says is what happened.
    may = range((date(2026, 5, 1) - FIRST).days, (date(2026, 6, 1) - FIRST).days)

    def happened(measure: str, item: str = "", dim: str = "", days: range = may) -> Counter[str]:
        found: Counter[str] = Counter()
        for (name, of, by, value, day), (n, _, _) in life.found.items():
            if (name, by) == (measure, dim) and day in days and of.startswith(item):
                found[value] += n
        return found

    headline = {row["kpi"]: row for row in sheet(folder, "headline")}
    came = happened("created")[""]
    before = happened("created", days=range(may.start - 31, may.start))[""]
    assert (headline["arrivals"]["value"], headline["arrivals"]["value_before"]) == (str(came), str(before))
    assert f">{came}<" in html
    assert (headline["wins"]["value"], headline["win_rate"]["denominator"]) == (
        str(happened("won")[""]),
        str(happened("moved", "opportunity>")[""]),
    )
    sources = {row["source"]: int(row["arrivals"]) for row in sheet(folder, "sources")}
    assert sources == dict(happened("created", dim="source"))
    days = [row for row in sheet(folder, "over_time") if row["kpi"] == "arrivals"]
    assert (len(days), sum(int(row["value"]) for row in days)) == (31, came)
    cohorts = [row for row in sheet(folder, "cohorts") if row["state"] == "lead"]
    assert sum(int(row["moved"]) for row in cohorts) == happened("left", "lead>")[""]
    funnel = {row["state"]: row for row in sheet(folder, "funnel")}
    assert funnel["opportunity"]["came_in"] == str(happened("entered", "opportunity")[""])
    models = sheet(folder, "attribution_source")
    wins = happened("won")[""]
    assert all(
        sum(float(row[model]) for row in models) == pytest.approx(wins) for model in ("first", "linear", "decay")
    )
    assert {row["target"]: row["missed"] for row in sheet(folder, "targets")}["promises"] == "true"
    assert sheet(folder, "bottlenecks")[0]["name"] == "opportunity"
    assert sheet(folder, "restated") == []  # it was noted in April

    # What strangers wrote is text, on the page and in a sheet.
    names = {row["campaign"] for row in sheet(folder, "attribution_campaign")}
    assert names <= {"", "spring", "brand", f"'{business.CAMPAIGNS[3]}"}
    assert f"'{business.CAMPAIGNS[3]}" in names

    # What is read where it stands and takes too long is left out, and is named.
    assert "Not read in time: Upsell;" in html
    assert "Not read in time: Not ready yet;" in html
    assert "upsell_rate" not in {row["kpi"] for row in sheet(folder, "sales")}
    assert {row["owner"] for row in sheet(folder, "team")} >= {"ana", "ben", "cem"}

    _refuses(tmp_path)


def _stands_alone(html: str) -> None:
    """It runs nothing, fetches nothing, and whoever hears it finds their way."""
    # Nothing runs, nothing is fetched, and the policy that says so lets the page's own style sheet through.
    page = Page(html)
    assert not page.open
    tags = page.count()
    assert {"script", "link", "img", "iframe", "object", "form", "base"}.isdisjoint(tags)
    assert "alert(2)" in "".join(page.texts)
    assert not [each for each in page.tags if any(name.startswith("on") or name == "style" for name in each[1])]
    links = {each[1]["href"] or "" for each in page.tags if "href" in each[1]}
    [style] = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    assert "url(" not in style.replace("url(#", "")
    policy = next(each[1]["content"] or "" for each in page.tags if each[1].get("http-equiv"))
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'")

    # Who hears it finds their way.
    ids = [each[1]["id"] or "" for each in page.tags if "id" in each[1]]
    assert len(ids) == len(set(ids))
    assert links <= {f"#{name}" for name in ids}
    assert tags["table"] == tags["caption"] > 10
    assert tags["figure"] == tags["figcaption"] > 10
    pictures = [each[1] for each in page.tags if each[0] == "svg" and "aria-hidden" not in each[1]]
    assert all(each["role"] == "img" and (each.get("aria-label") or each.get("aria-labelledby")) for each in pictures)
    assert {f"diagram-{kind}" for kind in ("state", "flow", "process", "crm")} <= set(ids)


def _refuses(folder: Path) -> None:
    """What cannot be written or asked is said, and nothing is written."""

    def said(*given: str) -> str:
        result = CliRunner().invoke(app, ["kpi", "report", *given])
        assert result.exit_code == 1
        return str(result.exception)

    assert "There is no folder" in said("-o", str(folder / "none" / "r.html"))
    assert "is a folder: name a file" in said("-o", str(folder))
    assert "Write a day as" in said("--from", "yesterday", "-o", str(folder / "r.html"))
    assert "a first day and a later one" in said(
        "--from", "2026-05-02", "--to", "2026-05-01", "-o", str(folder / "r.html")
    )
    assert not (folder / "r.html").exists()
