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
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.diagram import FORMS, KINDS, POLICY, Edge, Marks, compared, draw, written
from schema.diagram.layout import placed
from schema.diagram.layout.ports import spread
from schema.diagram.layout.tracks import Run, tracks
from schema.diagram.stages import stages
from schema.diagram.style import STYLE
from schema.diagram.text import width, wrapped
from schema.journey import Journey, default_text, load, shipped
from tests.drawings import EVIL, crossings, hostile, journeys, outside, overlaid, overlaps

if TYPE_CHECKING:
    from schema.diagram import Drawing, Kind

JOURNEYS: Final = {name: load(text) for name, text in shipped().items()}
DEFAULT: Final = JOURNEYS["default"]
SVG: Final = "{http://www.w3.org/2000/svg}"
AVOIDABLE: Final = {
    ("default", "state"): 2, ("default", "flow"): 2, ("default", "process"): 25, ("default", "crm"): 4,
    ("solar", "state"): 0, ("solar", "flow"): 0, ("solar", "process"): 19, ("solar", "crm"): 3,
}  # fmt: skip
"""How many crossings each shipped picture has: fewer is better, more is a step back."""


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
    customers = {node.label for node in drawing.nodes if node.group == "customer"}
    assert {"Ways in", "Mail", "Purchase", "Survey answered"} <= customers
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


@given(journeys(), st.sampled_from(sorted(KINDS)))
@settings(max_examples=12, deadline=None, derandomize=True)
def test_nothing_lies_on_anything_else_in_any_diagram_of_up_to_thirty_states(journey: Journey, kind: Kind) -> None:
    picture = placed(draw(journey, kind))
    assert overlaps(picture) == []
    assert overlaid(picture) == []
    assert outside(picture) == []


def test_the_same_journey_is_always_the_same_picture() -> None:
    again = load(default_text() + "\n# a comment\n")
    for form in FORMS:
        assert written(draw(again, "process"), form) == written(draw(DEFAULT, "process"), form)


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
    root = ET.fromstring(written(draw(DEFAULT, "state"), "svg"))  # noqa: S314 - our own
    assert root.findtext(f"{SVG}style") == STYLE


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
        assert all(_contrast(colours[text], ground) >= 4.5 for text in ("ink", "soft", "kpi"))
    for change in ("added", "removed", "changed", "won", "lost"):
        assert _contrast(colours[change], colours[f"{change}-ground"]) >= 4.5
        assert _contrast(colours[change], colours["paper"]) >= 4.5
    assert all(_contrast(colours[f"d{number}"], colours["box"]) >= 3 for number in range(8))


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_journey_says_stays_text(kind: Kind) -> None:
    drawing = draw(hostile(), kind)
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
    assert {"1,204", "2.2 d · 90% in 9.3 d"} <= set(texts)
    assert {"happened, not in the journey", "never happens"} <= set(texts)
    told = json.loads(written(drawing, "json"))
    assert next(edge for edge in told["edges"] if edge["id"] == shortcut.id)["marks"]["unknown"] is True


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
    gone = {part.id for part in forth.parts if part.change == "removed"}
    assert gone == {part.id for part in back.parts if part.change == "added"}
    assert drawing.nodes[-1].id in gone


def test_where_nothing_is_set_up_the_shipped_journey_is_drawn(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "services.cli.main", "journey", "diagram", "state", "--format", "mmd"]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("THROUGHLINE_")}

    drawn = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=True)

    assert "stateDiagram-v2" in drawn.stdout
    assert "the shipped journey" in drawn.stderr
