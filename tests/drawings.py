"""Looking at pictures as geometry: what lies on what, what crosses; and journeys to draw, large and hostile ones."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import combinations, pairwise, product
from random import Random
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from schema.diagram.layout import Box
from schema.diagram.model import Measured, Window
from schema.diagram.overlay import Bottleneck, Happened
from schema.journey import Journey
from schema.kpi.bins import bin_of
from schema.kpi.figure import Row, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schema.diagram.layout import Placed, PlacedEdge, Point

EVIL: Final = '</text><script>alert("x")</script>--> ]] "; end %%{init: {}}%% & `|} 界 #quot; \u202e'
_WORDS: Final = (
    "Offer",
    "signed",
    "waiting for an answer",
    "Customer",
    "Kundin",
    "見積もり",
    "unpronounceablylongword",
)


def overlaps(picture: Placed) -> list[str]:
    """Boxes and labels that lie on one another, arrows that run through one of them or end beside their boxes."""
    boxes = {node.node.id: node.box for node in picture.nodes}
    labels = {edge.edge.id: edge.label for edge in picture.edges if edge.label is not None}
    heads = {f"head {group.group.id}": group.head for group in picture.groups}
    texts = [*boxes.items(), *labels.items(), *heads.items()]
    found = [f"{a} on {b}" for (a, one), (b, other) in combinations(texts, 2) if _touch(one, other)]
    for each in picture.edges:
        for (x, y), key in ((each.points[0], each.edge.source), ((each.rest or each.points)[-1], each.edge.target)):
            at = boxes[key]
            if not (at.x - 0.1 <= x <= at.right + 0.1 and at.y - 0.1 <= y <= at.bottom + 0.1):
                found.append(f"{each.edge.id} does not touch {key}")
        own = {each.edge.source, each.edge.target, each.edge.id}
        for piece in (*_pieces(each.points), *_pieces(each.rest)):
            found += [f"{each.edge.id} through {key}" for key, box in texts if key not in own and _touch(piece, box)]
            ends = (boxes[each.edge.source], boxes[each.edge.target])
            found += [f"{each.edge.id} through its own box" for box in ends if _touch(piece, _heart(box))]
    return found


def overlaid(picture: Placed) -> list[str]:
    """Arrows that run on one another, so that nobody could tell them apart."""
    found = []
    for one, other in combinations(picture.edges, 2):
        for (a, b), (c, d) in _pairs(one, other):
            for same, along in ((0, 1), (1, 0)):
                if a[same] == b[same] and c[same] == d[same] and abs(a[same] - c[same]) < 2:
                    ends = (*sorted((a[along], b[along])), *sorted((c[along], d[along])))
                    if min(ends[1], ends[3]) - max(ends[0], ends[2]) > 1:
                        found.append(f"{one.edge.id} on {other.edge.id}")
    return found


def crossings(picture: Placed) -> int:
    """How many times one arrow crosses another."""
    count = 0
    for one, other in combinations(picture.edges, 2):
        for a, b in _pairs(one, other):
            upright, level = (a, b) if a[0][0] == a[1][0] else (b, a)
            (x, y0), (x1, y1) = upright
            (x2, y), (x3, y2) = level
            if x == x1 and y == y2:
                count += min(x2, x3) < x < max(x2, x3) and min(y0, y1) < y < max(y0, y1)
    return count


def outside(picture: Placed) -> list[str]:
    """What is not within the picture."""
    found = [node.node.id for node in picture.nodes if not _within(node.box, picture)]
    found += [edge.edge.id for edge in picture.edges if edge.label is not None and not _within(edge.label, picture)]
    found += [
        edge.edge.id
        for edge in picture.edges
        for x, y in (*edge.points, *edge.rest)
        if not (0 <= x <= picture.width and 0 <= y <= picture.height)
    ]
    return found


def hostile() -> Journey:
    """A small journey whose names and labels try to be markup."""
    return Journey.model_validate(
        {
            "journey": "x",
            "label": EVIL,
            "departments": ["end", "b"],
            "route": {"pools": {"end": {"label": EVIL, "members": {"a": 1}}}},
            "sources": {"w": {"kind": "form", "label": EVIL}},
            "lifecycle": {
                "end": {
                    "label": EVIL, "department": "end", "system": EVIL, "description": EVIL,
                    "to": {"style": "class", "end": "end"},
                },
                "class": {"label": "end", "outcome": "won", "to": {"graph": "end"}},
            },
            "transitions": {"style": {"label": EVIL, "description": EVIL}},
            "templates": {"t": {"subject": EVIL, "text": "x"}},
            "campaigns": {"c": {"label": EVIL, "enter": [{"state": "end"}], "steps": [{"send": "t"}]}},
        }
    )  # fmt: skip


@st.composite
def lives(draw: st.DrawFn, journey: Journey) -> Happened:
    """What may have happened with a journey: rare and common moves, unknown ones, hand-overs, KPIs, bottlenecks."""
    start = date(2026, 10, 1)
    rows: dict[str, list[Row]] = {}
    chosen = Random(draw(st.integers(0, 9_999)))  # noqa: S311 - as hypothesis says, and much faster than asking it

    def add(measure: str, item: str) -> None:
        n = chosen.choice([0, 1, 7, 1_204, 98_765, 3_456_789])
        took = {bin_of(chosen.choice([0.5, 80.0, 5_000.0, 180_000.0, 9_000_000.0])): n} if n else {}
        rows.setdefault(measure, []).append(Row(parts_of(measure, item), start, n, Decimal(0), took))

    states = [*journey.lifecycle, "gone"]
    odd = draw(st.lists(st.tuples(st.sampled_from(states), st.sampled_from(states)), max_size=4))
    for state, way, target in [*journey.moves, *((a, "by_hand", b) for a, b in odd)]:
        add("moved", f"{state}>{way}>{target}")
        add("left", f"{state}>{way}>{target}")
    for state in states:
        add("entered", state)
    for pair in ("marketing>sales", "sales>service", "service>sales"):
        add("handover", pair)
        add("taken", pair)
    add("qualification", "passed")
    add("touched", "purchase")
    kpi = Measured(
        "time until the first answer", "1,234,567 EUR", "≥ 98.5%", draw(st.sampled_from([None, True, False]))
    )
    last = [*journey.lifecycle][-1]
    return Happened(
        Window(start, date(2026, 11, 1), "UTC", datetime(2026, 11, 1, tzinfo=UTC), "source website"),
        rows,
        lambda _: 86_400.0,
        {"web": 12},
        {f"state:{last}": Bottleneck(1, "123 more wins a month, 12.5 days sooner")},
        {f"state:{last}": (kpi, kpi), "transition:way_0": (kpi,)},
    )


@st.composite
def journeys(draw: st.DrawFn) -> Journey:
    """Journeys of up to 30 states and 60 ways, tangled as no business would."""
    number = draw(st.integers(1, 30))
    label = st.lists(st.sampled_from(_WORDS), min_size=1, max_size=4).map(" ".join) | st.none()
    states: list[dict[str, Any]] = [
        {
            "label": draw(label),
            "department": draw(st.sampled_from([None, "marketing", "sales", "service"])),
            "system": draw(st.sampled_from([None, "CRM"])),
            "outcome": draw(st.sampled_from([None, None, None, "won", "lost"])),
            "final": draw(st.sampled_from([False, False, False, True])),
            "kpis": draw(st.sampled_from([(), ("conversion",), ("conversion", "drop_off", "value", "time_in_state")])),
            "to": {},
        }
        for _ in range(number)
    ]
    places = st.integers(0, number - 1)
    ways = draw(st.integers(0, 60))  # lists of any length are mostly short ones
    kind = st.sampled_from([None, None, "purchase", "survey.answered", "a.touchpoint.with.quite.a.long.name"])
    ends = draw(st.lists(st.tuples(places, places | st.just(-1), label, kind), min_size=ways, max_size=ways))
    transitions: dict[str, Any] = {}
    for at, (source, target, called, touchpoint) in enumerate(ends):
        to = min(source + 1, number - 1) if target < 0 else target
        states[source]["to"][f"way_{at}"] = f"state_{to}"
        when = {"when": f'"{touchpoint}" in touchpoint.kinds'} if touchpoint else {}
        transitions[f"way_{at}"] = {"label": called, **when}
    campaign = {"enter": [{"state": f"state_{draw(places)}"}], "steps": [{"wait": "1d"}]}
    return Journey.model_validate(
        {
            "journey": "random",
            "route": {"pools": {"all": {"members": {"ana": 1}}}},
            "lifecycle": {f"state_{at}": state for at, state in enumerate(states)},
            "transitions": transitions,
            "campaigns": draw(st.sampled_from([{}, {"one": campaign}])),
        }
    )


def _touch(one: Box, other: Box) -> bool:
    across = one.x < other.right - 0.5 and other.x < one.right - 0.5
    return across and one.y < other.bottom - 0.5 and other.y < one.bottom - 0.5


def _within(box: Box, picture: Placed) -> bool:
    return box.x >= 0 and box.y >= 0 and box.right <= picture.width and box.bottom <= picture.height


def _pairs(one: PlacedEdge, other: PlacedEdge) -> Iterator[tuple[tuple[Point, Point], tuple[Point, Point]]]:
    """Every straight piece of one arrow with every one of the other."""
    mine, yours = ([*pairwise(each.points), *pairwise(each.rest)] for each in (one, other))
    return product(mine, yours)


def _pieces(points: tuple[Point, ...]) -> Iterator[Box]:
    """The straight pieces of an arrow as thin boxes."""
    for (x0, y0), (x1, y1) in pairwise(points):
        yield Box(min(x0, x1) - 0.6, min(y0, y1) - 0.6, abs(x1 - x0) + 1.2, abs(y1 - y0) + 1.2)


def _heart(box: Box) -> Box:
    """The middle line of a box: an arrow may touch its own box from outside only."""
    return Box(box.x + 1, box.y + box.height / 2 - 1, box.width - 2, 2)
