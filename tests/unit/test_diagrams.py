"""Diagrams: everything in the journey is drawn, nothing lies on anything else, and no text gets out of its place."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.diagram import FORMS, KINDS, POLICY, Edge, Marks, compared, draw, with_figures, written
from schema.diagram.figures import shared
from schema.diagram.layout import Box, placed
from schema.diagram.layout.links import linked
from schema.diagram.layout.ports import spread
from schema.diagram.layout.tracks import Run, tracks
from schema.diagram.model import Measured, Window
from schema.diagram.overlay import Bottleneck, Happened
from schema.diagram.stages import stages
from schema.diagram.style import HEATS, PAPER, STYLE, on_paper
from schema.diagram.svg import by_volume, svg
from schema.diagram.text import width, wrapped
from schema.errors import Permanent
from schema.journey import Journey, default_text, load, shipped
from schema.kpi.bins import bin_of
from schema.kpi.figure import Row, parts_of
from services.cli.diagrams import Live, asked
from tests.drawings import EVIL, crossings, hostile, journeys, lives, outside, overlaid, overlaps

if TYPE_CHECKING:
    from schema.diagram import Drawing, Kind

JOURNEYS: Final = {name: load(text) for name, text in shipped().items()}
DEFAULT: Final = JOURNEYS["default"]
SVG: Final = "{http://www.w3.org/2000/svg}"
AVOIDABLE: Final = {
    ("default", "state"): 2, ("default", "flow"): 2, ("default", "process"): 4, ("default", "crm"): 4,
    ("solar", "state"): 0, ("solar", "flow"): 0, ("solar", "process"): 0, ("solar", "crm"): 3,
}  # fmt: skip
"""How many crossings each shipped picture has: fewer is better, more is a step back."""


START: Final = date(2026, 10, 1)


def happened(*counted: tuple[str, str, int, float | None], **more: Any) -> Happened:  # noqa: ANN401 - its fields
    """What was counted on one day, 30 days ago: (measure, item, how many, how long each took)."""
    rows: dict[str, list[Row]] = {}
    for measure, item, n, seconds in counted:
        took = {} if seconds is None else {bin_of(seconds): n}
        rows.setdefault(measure, []).append(Row(parts_of(measure, item), START, n, Decimal(0), took))
    window = Window(START, date(2026, 10, 31), "UTC", datetime(2026, 10, 31, 9, 30, tzinfo=UTC))
    return Happened(window, rows, lambda _: 30 * 86_400.0, **more)


def ids(drawing: Drawing) -> set[str]:
    return {part.id for part in drawing.parts}


def without(journey: Journey, *parts: str) -> Journey:
    """The journey without some of its parts."""
    return journey.model_copy(update={part: {} if isinstance(getattr(journey, part), dict) else () for part in parts})


# -- what is drawn -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(JOURNEYS))
@pytest.mark.parametrize("kind", KINDS)
def test_every_state_and_every_move_of_the_journey_is_in_every_diagram(name: str, kind: Kind) -> None:
    journey, drawn = JOURNEYS[name], ids(draw(JOURNEYS[name], kind))
    moves = {f"move:{state}:{way}" for state, way, _ in journey.moves}
    states = {f"state:{state}" for state in journey.lifecycle}
    assert drawn >= moves
    # In the flow chart the steps before sales stand for the state of a new lead.
    assert drawn >= states - ({f"state:{journey.initial}"} if kind == "flow" else set())


@given(journeys(), st.sampled_from(sorted(KINDS)))
@settings(max_examples=12, deadline=None, derandomize=True)
def test_every_state_and_every_move_of_any_journey_is_drawn(journey: Journey, kind: Kind) -> None:
    drawn = ids(draw(journey, kind))
    assert drawn >= {f"move:{state}:{way}" for state, way, _ in journey.moves}
    assert drawn >= {f"state:{state}" for state in list(journey.lifecycle)[1:]}


def test_what_the_journey_does_not_have_is_not_drawn() -> None:
    plain = without(DEFAULT, "campaigns", "qualify")
    for kind in KINDS:
        assert any(key.startswith("campaign:") for key in ids(draw(DEFAULT, kind))) is (kind != "state")
        assert not any(key.startswith(("campaign:", "mail:")) for key in ids(draw(plain, kind)))
    assert {"step:qualify", "ask"} <= ids(draw(DEFAULT, "flow"))
    assert not {"step:qualify", "ask"} & ids(draw(plain, "flow"))
    assert "nurturing" not in {group.id for group in draw(plain, "crm").groups}


def test_stages_follow_the_shape_of_the_journey_not_its_names() -> None:
    assert stages(DEFAULT) == {
        "lead": "qualification", "disqualified": "qualification", "opportunity": "conversion", "lost": "conversion",
    } | dict.fromkeys(
        ("customer", "serviced", "additional_service", "feedback_provided", "renewed", "inactive"), "retention"
    )  # fmt: skip
    solar = stages(JOURNEYS["solar"])
    assert solar["dormant"] == "nurturing"
    assert [state for state, stage in solar.items() if stage == "conversion"] == ["visit", "offered", "lost"]


def test_the_process_has_a_lane_for_each_department_and_the_customer_and_shows_hand_overs_and_touchpoints() -> None:
    drawing = draw(DEFAULT, "process")
    assert [group.label for group in drawing.groups] == ["Customer", "Marketing", "Sales", "Service"]
    edges = {edge.id: edge for edge in drawing.edges}
    assert edges["move:lead:qualify"].hands_over
    assert not edges["move:lead:disqualify"].hands_over
    assert edges["message:touch:purchase:state:customer"].line == "message"
    customers = {node.label: node for node in drawing.nodes if node.group == "customer"}
    assert {"Ways in", "Mail", "Purchase", "Survey answered", "Touchpoints"} <= {*customers}
    # What leads to the same state stands together, in the row of that state, and both name each other.
    assert customers["Touchpoints"].notes == ("Contract ended", "Customer inactive")
    boxes = {each.node.id: each.box for each in placed(drawing).nodes}
    assert boxes["touch:purchase"].middle[1] == boxes["state:customer"].middle[1]
    assert customers["Purchase"].links == ("→ Customer",)
    assert next(node.links for node in drawing.nodes if node.id == "state:customer") == ("← Purchase",)
    assert "CRM" in next(node for node in drawing.nodes if node.id == "state:opportunity").notes


def test_the_crm_diagram_names_kpis_of_states_and_moves() -> None:
    drawing = draw(DEFAULT, "crm")
    kpis = {part.id: part.kpis for part in drawing.parts if part.kpis}
    assert kpis["state:lead"] == ("arrivals", "conversion", "drop off", "time in state")
    assert kpis["move:opportunity:win"] == ("value",)


# -- where it stands ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(JOURNEYS))
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_lies_on_anything_else_and_arrows_hardly_cross_in_shipped_diagrams(name: str, kind: Kind) -> None:
    picture = placed(draw(JOURNEYS[name], kind))
    assert overlaps(picture) == []
    assert overlaid(picture) == []
    assert outside(picture) == []
    assert crossings(picture) <= AVOIDABLE[name, kind]


@given(st.data(), st.sampled_from(sorted(KINDS)))
@settings(max_examples=8, deadline=None, derandomize=True)
def test_nothing_lies_on_anything_else_in_any_diagram_of_up_to_thirty_states(data: st.DataObject, kind: Kind) -> None:
    journey = data.draw(journeys())
    plain = draw(journey, kind)
    for drawing in (plain, with_figures(plain, journey, data.draw(lives(journey)))):
        picture = placed(drawing)
        assert overlaps(picture) == []
        assert overlaid(picture) == []
        assert outside(picture) == []


def test_the_same_journey_is_always_the_same_picture() -> None:
    again = load(default_text() + "\n# a comment\n")
    for form in FORMS:
        assert written(draw(again, "process"), form) == written(draw(DEFAULT, "process"), form)


def test_what_leads_to_two_states_goes_level_where_nothing_is_in_the_way_and_is_interrupted_else() -> None:
    boxes = {"one": Box(0, 0, 60, 38), "level": Box(200, 0, 60, 51), "below": Box(200, 90, 60, 40)}
    edges = [Edge(key, "one", key, "message", linked=True) for key in ("level", "below")]
    level, below = linked(edges, boxes, [], [])
    assert [*level.points] == [(60, 12.7), (200, 12.7)], "not at 25.5, where the other one leaves"
    assert [*below.points, *below.rest] == [(60, 25.3), (74, 25.3), (186, 110), (200, 110)]
    for thing in (Box(100, 5, 10, 15), Box(100, 15, 10, 4)):
        assert all(each.rest for each in linked(edges, boxes, [thing], []))


@given(st.lists(st.floats(-500, 500), min_size=1, max_size=12))
def test_arrows_on_one_side_keep_their_order_their_distance_and_the_side(wanted: list[float]) -> None:
    found = spread(sorted(wanted), 10, -60, 60)
    assert all(b - a >= 9.999 for a, b in pairwise(found))
    assert found[0] >= -60.001


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=14))
def test_level_parts_of_arrows_that_would_touch_are_on_tracks_of_their_own(ends: list[tuple[int, int]]) -> None:
    runs = [Run(10.0 * start, 10.0 * end) for start, end in ends]
    found = tracks(runs)
    for at, run in enumerate(runs):
        assert all(not run.overlaps(runs[other]) for other in range(at) if found[other] == found[at])


@given(st.text(max_size=80), st.floats(40, 200))
def test_wrapped_text_fits_its_room(text: str, room: float) -> None:
    lines = wrapped(text, 12, room, most=3)
    assert len(lines) <= 3
    assert all(width(line, 12) <= room or len(line) == 1 for line in lines)


# -- how it is written -------------------------------------------------------------------------------------------------


@given(journeys())
@settings(max_examples=5, deadline=None, derandomize=True)
def test_no_line_is_drawn_through_a_label(journey: Journey) -> None:
    drawing = draw(journey, "state")
    text = written(drawing, "svg").partition('<g class="legend"')[0]
    lines = [path.count("M") for path in re.findall(r'<path class="wire" d="([^"]*)"', text)]
    open_ones = [edge for edge in drawing.edges if edge.label and edge.source != edge.target]
    assert lines.count(2) == len(open_ones)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_needs_nothing_else_and_says_what_it_is(kind: Kind) -> None:
    text = written(draw(DEFAULT, kind), "svg")
    root = ET.fromstring(text)  # noqa: S314 - our own
    assert root.get("role") == "img"
    assert [child.tag for child in root][:2] == [f"{SVG}title", f"{SVG}desc"]
    assert "Opportunity to Customer: Won" in (root.findtext(f"{SVG}desc") or "")
    assert {each.text for each in root.iter(f"{SVG}text")} >= {"Customer journey", "Opportunity", "Won"}
    assert all(reference.startswith("url(#tl-") for reference in re.findall(r"url\([^)]*", text))
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<script|<image|href=|@import|style=", text)
    assert "prefers-color-scheme:dark" in text
    assert "@media print" in text


def test_the_policy_of_a_picture_allows_its_own_style_sheet_and_nothing_else() -> None:
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in POLICY
    assert "default-src 'none'" in POLICY
    for kind in KINDS:
        root = ET.fromstring(written(draw(DEFAULT, kind), "svg"))  # noqa: S314 - our own
        common, paper = (style.text or "" for style in root.iter(f"{SVG}style"))
        assert common == STYLE
        assert base64.b64encode(hashlib.sha256(paper.encode()).digest()).decode() in POLICY


def test_in_a_page_a_picture_has_ids_of_its_own_and_leaves_the_paper_to_the_page() -> None:
    alone, inside = svg(draw(DEFAULT, "state")), svg(draw(DEFAULT, "state"), inside="before")
    assert 'aria-labelledby="before-title before-desc"' in inside
    assert 'id="tl-title"' not in inside
    assert "@page" in alone
    assert "@page" not in inside


def test_on_paper_a_picture_has_as_many_pages_as_it_takes_to_be_read() -> None:
    assert on_paper(700, 1000) == PAPER[False, False]
    assert on_paper(2000, 1300) == PAPER[True, False]
    assert on_paper(1100, 5600) == PAPER[False, True]
    assert on_paper(2200, 3300) == PAPER[True, True]


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("block", [0, 1])
def test_all_text_has_the_contrast_that_is_asked_for_in_light_and_dark(block: int) -> None:
    colours = dict(re.findall(r"--([a-z0-9-]+):(#[0-9a-f]{6})", STYLE.split("@media")[block]))
    grounds = [colours[name] for name in colours if name in {"paper", "box"} or "ground" in name]
    for ground in grounds:
        assert all(_contrast(colours[text], ground) >= 4.5 for text in ("ink", "soft", "kpi", "touch", "missed"))
    for change in ("added", "removed", "changed", "won", "lost"):
        assert _contrast(colours[change], colours[f"{change}-ground"]) >= 4.5
        assert _contrast(colours[change], colours["paper"]) >= 4.5
    for ground in ("paper", "ground", "ground2", "box", *(f"h{step}-ground" for step in range(HEATS))):
        assert all(_contrast(colours[text], colours[ground]) >= 4.5 for text in ("won", "unknown"))
    # Without colours hotter is darker on paper, or brighter in the dark.
    hot = [_luminance(colours[f"heat{step}"]) for step in range(HEATS)]
    assert hot == sorted(hot, reverse=block == 0)
    assert all(_contrast(colours[f"d{number}"], colours["box"]) >= 3 for number in range(8))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("live", [False, True])
def test_what_a_journey_says_and_what_was_counted_stay_text(kind: Kind, live: bool) -> None:  # noqa: FBT001 - a case
    drawing = draw(hostile(), kind)
    if live:
        odd = [("moved", f"end>{EVIL.replace('>', '')}>class", 3, 60.0), ("moved", f"end>x>{EVIL}", 3, 60.0)]
        life = happened(*odd, measured={"state:end": (Measured(EVIL, EVIL, EVIL),)})
        life = replace(life, window=replace(life.window, only=EVIL), bottlenecks={"state:end": Bottleneck(1, EVIL)})
        drawing = with_figures(drawing, hostile(), life)
        assert sum(part.marks is not None and part.marks.unknown for part in drawing.parts) >= 3
    root = ET.fromstring(written(drawing, "svg"))  # noqa: S314 - that it can be read is the test
    allowed = {"svg", "title", "desc", "style", "defs", "pattern", "rect", "path", "circle", "g", "text"}
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= allowed
    assert EVIL.replace("\u202e", "").strip()[:40] in (root.findtext(f"{SVG}title") or "")
    for line in written(drawing, "mmd").splitlines()[1:]:
        assert "<" not in line
        assert "script#62;" not in line or "#60;script" in line
        for quoted in re.findall(r'"([^"]*)"', line):
            assert re.fullmatch(r"(?:[\w .,+!?'/·]|#\d+;)*", quoted), quoted
    json.loads(written(drawing, "json"))


def test_mermaid_knows_states_moves_and_final_ones() -> None:
    text = written(draw(DEFAULT, "state"), "mmd")
    assert text.splitlines()[1] == "stateDiagram-v2"
    assert '  state "Lead · Marketing · Website · within 30 days" as s1' in text
    assert "  [*] --> s1" in text
    assert "  s2 --> s5 : Won, by itself" in text
    assert text.count("--> [*]") == 3
    chart = written(draw(DEFAULT, "process"), "mmd")
    assert chart.splitlines()[1] == "flowchart TB"
    assert '  subgraph g0["Customer"]' in chart


def test_json_says_what_is_drawn_and_where() -> None:
    told = json.loads(written(draw(DEFAULT, "crm"), "json"))
    assert (told["diagram"], told["journey"], told["version"]) == ("crm", "default", DEFAULT.version)
    lead = next(node for node in told["nodes"] if node["id"] == "state:lead")
    assert lead["group"] == "qualification"
    assert lead["marks"] is None
    assert 0 < lead["box"]["x"] < told["width"]
    win = next(edge for edge in told["edges"] if edge["id"] == "move:opportunity:win")
    assert len(win["points"]) >= 2
    assert {group["id"] for group in told["groups"]} >= {"generation", "retention"}


def test_the_documentation_shows_the_shipped_lifecycle_and_names_every_key_of_the_json() -> None:
    text = (Path(__file__).parents[2] / "docs" / "diagrams.md").read_text(encoding="utf-8")
    drawn = written(draw(DEFAULT, "state"), "mmd").replace(DEFAULT.version, "VERSION")
    assert f"```mermaid\n{drawn}```\n" in text
    told = json.loads(written(draw(DEFAULT, "crm"), "json"))
    for each in (told, told["nodes"][0], told["edges"][0], told["groups"][0]):
        assert each.keys() <= {*re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]*)`", text)))}


# -- what really happened, and what changes ----------------------------------------------------------------------------


def test_figures_can_be_put_on_boxes_and_arrows_and_find_room() -> None:
    marks = {
        "state:opportunity": Marks(count=1204, p50_s=190_000, p90_s=800_000, heat=0.8),
        "move:opportunity:win": Marks(count=412, share=0.34, width=1.0),
        "move:lost:win_back": Marks(never=True),
    }
    shortcut = Edge("unknown:lead:customer", "state:lead", "state:customer", "move", marks=Marks(count=3, unknown=True))
    drawing = draw(DEFAULT, "state").marked(marks, [shortcut])
    picture = placed(drawing)
    assert overlaps(picture) == []
    texts = [each.text for each in ET.fromstring(written(drawing, "svg")).iter(f"{SVG}text")]  # noqa: S314 - our own
    assert "412 · 34%" in texts
    assert {"1,204", "half in 2.2 d · 90% in 9.3 d"} <= set(texts)
    assert {"happened, not in the journey", "did not happen"} <= set(texts)
    told = json.loads(written(drawing, "json"))
    assert next(edge for edge in told["edges"] if edge["id"] == shortcut.id)["marks"]["unknown"] is True


LIFE: Final = (
    ("created", "", 100, None),
    ("entered", "lead", 100, None),
    ("left", "lead>qualify>opportunity", 60, 3_600.0),
    ("left", "lead>disqualify>disqualified", 30, 7_200.0),
    ("moved", "lead>qualify>opportunity", 70, 3_600.0),
    ("moved", "lead>disqualify>disqualified", 30, 7_200.0),
    ("entered", "opportunity", 70, None),
    ("left", "opportunity>win>customer", 20, 86_400.0 * 3),
    ("moved", "opportunity>win>customer", 20, 86_400.0 * 3),
    ("moved", "lead>by_hand>customer", 3, 60.0),
    ("moved", "lead>by_hand>club_member", 2, 60.0),
    ("entered", "customer", 23, None),
    ("entered", "club_member", 2, None),
    ("handover", "marketing>sales", 70, None),
    ("taken", "marketing>sales", 60, 900.0),
    ("touched", "purchase", 20, None),
)


def test_what_happened_stands_where_it_happened_and_what_the_journey_does_not_know_is_added() -> None:
    drawing = with_figures(draw(DEFAULT, "state"), DEFAULT, happened(*LIFE))
    marks = {part.id: part.marks for part in drawing.parts if part.marks is not None}
    lead, qualify = marks["state:lead"], marks["move:lead:qualify"]
    assert (lead.count, lead.open, lead.lost) == (100, 10, 30)
    assert lead.p50_s == pytest.approx(3_600, rel=0.02)
    assert lead.p90_s == pytest.approx(7_200, rel=0.02)
    assert (qualify.count, qualify.share, qualify.width) == (70, 70 / 105, 1.0)
    # Fifty of seventy have not left after 30 days: there is no median, and it is as hot as can be.
    assert (marks["state:opportunity"].p50_s, marks["state:opportunity"].open) == (None, 50)
    assert [marks[f"state:{name}"].heat for name in ("lead", "opportunity", "customer")] == [0.25, 1.0, None]
    assert marks["move:lost:win_back"].never
    assert marks["state:renewed"].never
    assert not marks["state:customer"].never
    unknown = [part.id for part in drawing.parts if part.marks is not None and part.marks.unknown]
    assert unknown == ["state:club_member", "unknown:lead:by_hand:club_member", "unknown:lead:by_hand:customer"]
    assert "2026-10-01 to 2026-10-30, counted until 2026-10-31 09:30 UTC" in drawing.subtitle
    assert "20 · 100%" in written(drawing, "svg")
    assert "70 · 67#37;" in written(drawing, "mmd")
    told = json.loads(written(drawing, "json"))
    assert told["window"] == {
        "since": "2026-10-01", "until": "2026-10-31", "tz": "UTC", "as_of": "2026-10-31T09:30:00+00:00", "only": "",
        "widest": 70,
    }  # fmt: skip
    assert set(told["definitions"]) == set(told["nodes"][1]["marks"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_diagram_shows_all_moves_that_happened_and_says_how_to_read_it(kind: Kind) -> None:
    drawing = with_figures(draw(DEFAULT, kind), DEFAULT, happened(*LIFE))
    shown = {edge.id: edge.marks.count for edge in drawing.edges if edge.marks is not None}
    moves = {f"move:{state}:{way}": 0 for state, way, _ in DEFAULT.moves}
    moves |= {"move:lead:qualify": 70, "move:lead:disqualify": 30, "move:opportunity:win": 20}
    assert (
        shown.items() >= (moves | {"unknown:lead:by_hand:customer": 3, "unknown:lead:by_hand:club_member": 2}).items()
    )
    words = " ".join(each.text or "" for each in ET.fromstring(written(drawing, "svg")).iter(f"{SVG}text"))  # noqa: S314
    assert "In a box: how often leads came into the state in this time" in words
    assert "70 leads" in words


def test_hand_overs_bottlenecks_touchpoints_and_targets_stand_at_their_place() -> None:
    life = happened(
        *LIFE,
        arrived={"website": 60, "contact": 30, "inbox": 10},
        bottlenecks={
            "state:opportunity": Bottleneck(1, "9 more wins a month"),
            "handover:marketing>sales": Bottleneck(2),
        },
        measured={
            "state:opportunity": (Measured("win rate", "20%", "≥ 25%", met=False),),
            "transition:renew": (Measured("renewal rate", "80%", "≥ 70%", met=True),),
            "touch:purchase": (Measured("purchases", "20", "≥ 900"),),
        },
    )
    process = with_figures(draw(DEFAULT, "process"), DEFAULT, life)
    assert next(group.notes for group in process.groups if group.label == "Sales") == (
        "▲ Bottleneck 2: from Marketing 70, half taken up in 15 min",
    )
    text = written(process, "svg")
    for line in (
        "▲ Bottleneck 1",
        "9 more wins a month",
        "✕ win rate 20%",
        "(target ≥ 25%)",
        "E-mail: E-mail to sales · 10",
    ):
        assert f">{line}<" in text
    crm = with_figures(draw(DEFAULT, "crm"), DEFAULT, life)
    marks = {part.id: part.marks for part in crm.parts if part.marks is not None}
    assert marks["touchpoints:conversion"].parts == (20,)
    assert marks["touchpoints:conversion"].measured == life.measured["touch:purchase"]
    assert sum(edge.marks.measured != () for edge in crm.edges if edge.marks is not None) == 1


def test_two_versions_are_compared_with_the_figures_of_before_and_after() -> None:
    after = load(default_text().replace("sla: 14d", "sla: 10d", 1))
    fewer = [(measure, item, n // 2, took) for measure, item, n, took in LIFE]
    was = with_figures(draw(DEFAULT, "state"), DEFAULT, happened(*LIFE))
    now = with_figures(draw(after, "state"), after, happened(*fewer))
    both = compared(was, now)
    assert {part.id for part in both.parts if part.change} == {"state:opportunity"}
    texts = [each.text for each in ET.fromstring(written(both, "svg")).iter(f"{SVG}text")]  # noqa: S314 - our own
    assert {"100 → 50", "70 → 35", "67% → 67%"} <= set(texts)
    assert not any(part.marks is not None and part.marks.unknown for part in both.parts)
    alone = compared(was, draw(after, "state"))
    assert f"{after.version} had no leads then" in alone.subtitle


def test_a_wide_line_is_wide_in_proportion_and_a_rare_one_still_seen() -> None:
    assert [by_volume(share) for share in (0.0, 0.0001, 0.2, 0.5, 1.0, 7.0)] == [1, 1, 1, 4, 7, 7]


def test_a_share_is_never_told_as_none_or_all_where_it_is_not_quite() -> None:
    assert [shared(share) for share in (0.0, 0.0004, 0.004, 0.34, 0.9951, 1.0)] == [
        "0%",
        "<0.1%",
        "0.4%",
        "34%",
        "99.9%",
        "100%",
    ]


def test_two_versions_are_drawn_as_one_with_signs_for_what_changes() -> None:
    text = default_text()
    for old, new in (
        ("to: {win: customer, lose: lost}", "to: {win: customer, lose: lost, park: parked}"),
        ("  disqualified:\n    label", "  parked: {to: {win_back: opportunity}}\n  disqualified:\n    label"),
        ("sla: 14d", "sla: 21d"),
        ("to: {requalify: lead, recycle: lead}", "to: {requalify: lead}"),
        ("to: {serve: serviced, lapse: inactive}", "to: {serve: customer, lapse: inactive}"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    before, after = draw(DEFAULT, "state"), draw(load(text), "state")
    drawing = compared(before, after)
    changes = {part.id: part.change for part in drawing.parts if part.change}
    assert changes == {
        "state:parked": "added",
        "move:opportunity:park": "added",
        "move:parked:win_back": "added",
        "state:opportunity": "changed",
        "move:disqualified:recycle": "removed",
        "move:renewed:serve": "added",
        "move:renewed:serve:before": "removed",
    }
    assert "Before: within 14 days." in next(node.about for node in drawing.nodes if node.id == "state:opportunity")
    assert overlaps(placed(drawing)) == []
    svg = written(drawing, "svg")
    signs = [each.text for each in ET.fromstring(svg).iter(f"{SVG}text") if each.get("class") == "sign-text"]  # noqa: S314
    assert {*signs} == {"+", "−", "*"}
    assert "url(#tl-removed)" in svg


@pytest.mark.parametrize("kind", KINDS)
def test_a_journey_compared_with_itself_has_nothing_changed_and_the_way_back_is_the_mirror(kind: Kind) -> None:
    drawing = draw(DEFAULT, kind)
    same = compared(drawing, drawing)
    assert {part.change for part in same.parts} == {None}
    less = replace(drawing, nodes=drawing.nodes[:-1], edges=tuple(
        edge for edge in drawing.edges if drawing.nodes[-1].id not in {edge.source, edge.target}
    ))  # fmt: skip
    forth, back = compared(drawing, less), compared(less, drawing)
    picture = placed(compared(drawing, draw(JOURNEYS["solar"], kind)))
    assert overlaps(picture) + overlaid(picture) + outside(picture) == []
    gone = {part.id for part in forth.parts if part.change == "removed"}
    assert gone == {part.id for part in back.parts if part.change == "added"}
    assert drawing.nodes[-1].id in gone


def test_where_nothing_is_set_up_the_shipped_journey_is_drawn(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "services.cli.main", "journey", "diagram", "state", "--format", "mmd"]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("THROUGHLINE_")}

    drawn = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=True)

    assert "stateDiagram-v2" in drawn.stdout
    assert "the shipped journey" in drawn.stderr


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (("dead", None, None, None), "overlay_unknown"),
        ((None, "2026-10-01", None, None), "option_unfit"),
        ((None, None, None, "source=website"), "option_unfit"),
        (("live", "October", None, None), "day_unreadable"),
        (("live", None, None, "website"), "dimension_unknown"),
        (("live", None, None, "colour=red"), "dimension_unknown"),
    ],
)
def test_figures_that_cannot_be_asked_for_like_this_are_refused_in_words(
    given: tuple[str | None, str | None, str | None, str | None], code: str
) -> None:
    with pytest.raises(Permanent) as refused:
        asked(*given)
    assert refused.value.code == code


def test_figures_are_asked_for_by_days_and_by_a_part_of_all_leads() -> None:
    assert asked(None, None, None, None) is None
    assert asked("live", "2026-10-01", None, "owner=ana=b") == Live(START, None, ("owner", "ana=b"))
