"""
A picture as SVG: one file that needs nothing else, readable by people, by screen readers and on paper.

No script, no font, no link. Whatever a journey says stands in it as text and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from schema.diagram.figures import figures
from schema.diagram.layout import Box, Placed, PlacedEdge, PlacedGroup, PlacedNode, Point, placed
from schema.diagram.legend import Entry, legend
from schema.diagram.model import Drawing, Edge, Node
from schema.diagram.sizes import HEIGHT, SIGN, SIZE, Written, notes
from schema.diagram.style import DEPARTMENTS, HEATS, STYLE, WIDEST, on_paper
from schema.diagram.text import plain, width, wrapped

_SIDE: Final = 24.0
_HEAD: Final = 66.0
_LEAST_WIDTH: Final = 420.0
_ROW: Final = 24.0
_LINE: Final = 16.0
_RADIUS: Final = 8.0
_ARROW: Final = 8.0
_STEP_ASIDE: Final = 10.0
_CURVE: Final = 16.0
_SIGNS: Final = {"added": "+", "removed": "−", "changed": "*"}  # noqa: RUF001 - a minus as wide as the plus
_HEAT: Final = 5.0


def svg(drawing: Drawing, *, inside: str = "") -> str:
    """
    The drawing as an SVG document.

    `inside` a page of HTML its ids begin with that name, and how it is printed is for the page to say.
    """
    picture = placed(drawing)
    wide = max(picture.width, _LEAST_WIDTH)
    title = wrapped(drawing.title, 20, wide, most=2, bold=True)
    subtitle = wrapped(drawing.subtitle, 12, wide, most=2)
    head = _HEAD + 24 * (len(title) - 1) + 16 * (len(subtitle) - 1)
    rows, high = _legend_rows(legend(drawing, wide), wide)
    full_width = wide + 2 * _SIDE
    full_height = head + picture.height + high + _SIDE
    left = _SIDE + (wide - picture.width) / 2
    below = head + picture.height + 14
    body = [
        f'<rect class="paper" width="{_n(full_width)}" height="{_n(full_height)}"/>',
        *_title(title, subtitle),
        f'<g class="{drawing.grouping or "free"}" transform="translate({_n(left)} {_n(head)})">',
        *(part for at, group in enumerate(picture.groups) for part in _group(picture, group, at)),
        *(part for edge in picture.edges for part in _edge(edge)),
        *(part for edge in picture.edges for part in _edge_label(edge)),
        *(part for node in picture.nodes for part in _node(node, drawing)),
        "</g>",
        f'<g class="legend" role="group" aria-label="Legend" transform="translate({_n(_SIDE)} {_n(below)})">',
        *(part for row, x, y in rows for part in _entry(row, x, y)),
        "</g>",
    ]
    key = inside or "tl"
    named = f'aria-labelledby="{key}-title {key}-desc"'
    size = f'width="{_n(full_width)}" height="{_n(full_height)}" viewBox="0 0 {_n(full_width)} {_n(full_height)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tl" role="img" {named} {size}>',
        f'<title id="{key}-title">{_t(drawing.title)}: {_t(drawing.subtitle)}</title>',
        f'<desc id="{key}-desc">{_t(drawing.description)} {_t(spoken(drawing))}</desc>',
        f"<style>{STYLE}</style>",
        "" if inside else f"<style>{on_paper(full_width, full_height)}</style>",
        _DEFINITIONS,
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def spoken(drawing: Drawing) -> str:
    """The drawing in sentences, for those who hear it."""
    names = {node.id: node.label or "Start" for node in drawing.nodes}
    ways = [
        f"{names[edge.source]} to {names[edge.target]}"
        + (f": {', '.join(told)}" if (told := _edge_heard(edge)) else "")
        for edge in drawing.edges
    ]
    return f"Arrows: {'; '.join(ways)}." if ways else ""


def _edge_heard(edge: Edge) -> list[str]:
    return [text for text in (edge.label, *figures(edge.marks, arrow=True)) if text]


_DEFINITIONS: Final = (
    "<defs>"
    '<pattern id="tl-removed" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="hatch-ground" width="7" height="7"/><path class="hatch" d="M0 0V7"/></pattern>'
    '<pattern id="tl-changed" width="7" height="7" patternUnits="userSpaceOnUse">'
    '<rect class="dots-ground" width="7" height="7"/><circle class="dots" cx="2" cy="2" r="1.1"/></pattern>'
    "</defs>"
)


def _title(title: Sequence[str], subtitle: Sequence[str]) -> Iterator[str]:
    y = _SIDE + 14
    for line in title:
        yield f'<text class="title" x="{_n(_SIDE)}" y="{_n(y)}">{_t(line)}</text>'
        y += 24
    for line in subtitle:
        yield f'<text class="subtitle" x="{_n(_SIDE)}" y="{_n(y - 4)}">{_t(line)}</text>'
        y += 16


# -- lanes and bands ---------------------------------------------------------------------------------------------------


def _group(picture: Placed, placed_group: PlacedGroup, at: int) -> Iterator[str]:
    box, head = placed_group.box, placed_group.head
    odd = " odd" if at % 2 else ""
    yield _rect(f"lane{odd}", box.x, box.y, box.width, box.height, 6)
    colour = _department(placed_group.group.department, picture.drawing.departments)
    most = max(len(each.notes) for each in picture.groups)
    if picture.drawing.grouping == "lanes":
        yield _rect(f"headbar {colour}", head.x + 10, head.bottom - 2, head.width - 20, 3, 1.5)
        x, y, anchor = head.middle[0], head.middle[1] + 4 - 8 * (len(placed_group.lines) - 1) - 7 * most, "middle"
    else:
        x, y, anchor = head.x + 16, head.y + 26, "start"
    for line in placed_group.lines:
        yield f'<text class="head" x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{_t(line)}</text>'
        y += 16
    for line in placed_group.notes:
        yield f'<text class="aside" x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{_t(line)}</text>'
        y += 14


# -- arrows ------------------------------------------------------------------------------------------------------------


def _edge(placed_edge: PlacedEdge) -> Iterator[str]:
    edge = placed_edge.edge
    told = ". ".join(part for part in (edge.label, edge.note, edge.about, *figures(edge.marks, arrow=True)) if part)
    yield f'<g class="{_edge_classes(edge)}">'
    if told:
        yield f"<title>{_t(told)}</title>"
    volume = edge.marks.width if edge.marks is not None else None
    d, arrow = _path(placed_edge.points, placed_edge.label, 0 if volume is None else by_volume(volume))
    yield f'<path class="wire" d="{d}"/><path class="head-arrow" d="{arrow}"/>'
    if placed_edge.rest:
        d, arrow = _path(placed_edge.rest)
        yield f'<path class="wire" d="{d}"/><path class="head-arrow" d="{arrow}"/>'
    yield "</g>"


def _edge_classes(edge: Edge) -> str:
    names = ["edge", edge.line]
    names += ["over"] if edge.hands_over and edge.change is None else []
    names += [edge.change] if edge.change else []
    if edge.marks is not None:
        names += [] if edge.marks.width is None else [f"w{by_volume(edge.marks.width)}"]
        names += ["unknown"] if edge.marks.unknown else []
        names += ["never"] if edge.marks.never else []
    return " ".join(names)


def by_volume(share: float) -> int:
    """How wide a line is, in pixels: in proportion, but at least 1."""
    return max(1, round(WIDEST * min(max(share, 0.0), 1.0)))


def _path(points: Sequence[Point], label: Box | None = None, wide: int = 0) -> tuple[str, str]:
    """The line with round corners, ending where the head begins and open where its label is; and the head."""
    (x0, y0), (x1, y1) = points[-2], points[-1]
    length = max(abs(x1 - x0), abs(y1 - y0), 1e-6)
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    end = (x1 - ux * (_ARROW - 1), y1 - uy * (_ARROW - 1))
    drawn = "".join(_bent(part) for part in _opened([*points[:-1], end], label))
    base_x, base_y = x1 - ux * _ARROW, y1 - uy * _ARROW
    half = max(4.0, wide / 2 + 2)
    left, right = (base_x - uy * half, base_y + ux * half), (base_x + uy * half, base_y - ux * half)
    head = f"M{_n(x1)} {_n(y1)}L{_n(left[0])} {_n(left[1])}L{_n(right[0])} {_n(right[1])}Z"
    return drawn, head


def _opened(line: Sequence[Point], label: Box | None) -> list[Sequence[Point]]:
    """The line in two parts, before and after its label, which stands on an upright piece of it."""
    if label is not None:
        middle_x, middle_y = label.middle
        for at, ((x0, y0), (x1, y1)) in enumerate(pairwise(line), 1):
            if x0 == x1 and abs(x0 - middle_x) < label.width / 2 and min(y0, y1) < middle_y < max(y0, y1):
                near, far = (label.y, label.bottom) if y0 < y1 else (label.bottom, label.y)
                return [[*line[:at], (x0, near)], [(x0, far), *line[at:]]]
    return [line]


def _bent(line: Sequence[Point]) -> str:
    """A line through the points, with round corners; a small step aside is a gentle curve."""
    parts = [f"M{_n(line[0][0])} {_n(line[0][1])}"]
    at = 1
    while at < len(line) - 1:
        before, corner, after = line[at - 1], line[at], line[at + 1]
        if at + 2 < len(line) and before[0] == corner[0] and abs(corner[0] - after[0]) <= _STEP_ASIDE:
            up, down = abs(corner[1] - before[1]), abs(line[at + 2][1] - after[1])
            reach = min(_CURVE, up / 2, down / 2) * (1 if corner[1] > before[1] else -1)
            (x0, y), (x1, _) = corner, after
            parts.append(f"L{_n(x0)} {_n(y - reach)}C{_n(x0)} {_n(y)} {_n(x1)} {_n(y)} {_n(x1)} {_n(y + reach)}")
            at += 2
            continue
        one, other = _reach(corner, before), _reach(corner, after)
        radius = min(_RADIUS, one[2] / 2, other[2] / 2)
        start = (corner[0] + one[0] * radius, corner[1] + one[1] * radius)
        end = (corner[0] + other[0] * radius, corner[1] + other[1] * radius)
        parts.append(f"L{_n(start[0])} {_n(start[1])}Q{_n(corner[0])} {_n(corner[1])} {_n(end[0])} {_n(end[1])}")
        at += 1
    parts.append(f"L{_n(line[-1][0])} {_n(line[-1][1])}")
    return "".join(parts)


def _reach(start: Point, end: Point) -> tuple[float, float, float]:
    """The direction from one point to the other, and how far that is."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max((dx * dx + dy * dy) ** 0.5, 1e-6)
    return dx / length, dy / length, length


def _edge_label(placed_edge: PlacedEdge) -> Iterator[str]:
    box, edge = placed_edge.label, placed_edge.edge
    if box is None:
        return
    yield f'<g class="{_edge_classes(edge)}">'
    yield from _lines(placed_edge.lines, box.middle[0], box.y + 2)
    if edge.change:
        yield from _sign(edge.change, box.x + SIGN / 2, box.middle[1])
    yield "</g>"


# -- boxes -------------------------------------------------------------------------------------------------------------


def _node(placed_node: PlacedNode, drawing: Drawing) -> Iterator[str]:
    node, box = placed_node.node, placed_node.box
    if node.shape == "start":
        x, y = box.middle
        yield f'<circle class="start" cx="{_n(x)}" cy="{_n(y)}" r="{_n(box.width / 2)}">'
        yield f"<title>{_t(node.about)}</title></circle>"
        return
    yield f'<g class="{_node_classes(node, drawing)}" role="group" aria-label={quoteattr(plain(_heard(node)))}>'
    yield f"<title>{_t('. '.join(part for part in (node.label, node.about) if part))}</title>"
    if node.shape == "decision":
        yield f'<path class="box" d="{_diamond(box)}"/>'
    else:
        radius = box.height / 2 if node.shape == "touchpoint" and box.height < 48 else 9  # noqa: PLR2004 - of one line
        yield _rect("box", box.x, box.y, box.width, box.height, radius)
        if node.department and node.shape != "touchpoint":
            yield _rect("bar", box.x + 6, box.y + 9, 3.5, box.height - 18, 1.7)
    if node.final:
        yield _rect("ring", box.x + 3, box.y + 3, box.width - 6, box.height - 6, 6.5)
    text = sum(HEIGHT[line.style] for line in placed_node.lines)
    yield from _lines(placed_node.lines, box.middle[0] + (1.5 if node.department else 0), box.middle[1] - text / 2)
    if node.marks is not None and node.marks.heat is not None:
        yield from _gauge(box, heated(node.marks.heat))
    if node.change:
        yield from _sign(node.change, box.x, box.y)
    yield "</g>"


def _gauge(box: Box, step: int) -> Iterator[str]:
    """How hot a box is, also without colours: a bar on its lower edge, the longer the hotter."""
    wide = box.width - 20
    yield _rect("gauge", box.x + 10, box.bottom - _HEAT, wide, _HEAT, 2)
    yield _rect("heat", box.x + 10, box.bottom - _HEAT, wide * (step + 1) / HEATS, _HEAT, 2)


def _heard(node: Node) -> str:
    """A box in words."""
    parts = [node.label, *notes(node), *node.links, f"measured by {', '.join(node.kpis)}" if node.kpis else ""]
    parts += [node.outcome, "final" if node.final else "", node.change or "", *figures(node.marks)]
    return ", ".join(part for part in parts if part)


def _node_classes(node: Node, drawing: Drawing) -> str:
    names = [
        "node",
        "figures-box" if node.shape == "figures" else node.shape,
        _department(node.department, drawing.departments),
    ]
    names += [node.change or ""] if drawing.compared else [node.outcome]
    if node.marks is not None:
        names += ["unknown"] if node.marks.unknown else []
        names += ["never"] if node.marks.never else []
        names += ["bottleneck"] if node.marks.bottleneck is not None else []
        names += [] if node.marks.heat is None else [f"h{heated(node.marks.heat)}"]
    return " ".join(name for name in names if name)


def heated(heat: float) -> int:
    """The step of delay, from 0."""
    return round((HEATS - 1) * min(max(heat, 0.0), 1.0))


def _department(name: str, departments: Sequence[str]) -> str:
    return f"d{departments.index(name) % DEPARTMENTS}" if name in departments else ""


def _lines(lines: Sequence[Written], x: float, top: float) -> Iterator[str]:
    y = top
    for line in lines:
        baseline = y + HEIGHT[line.style] / 2 + SIZE[line.style] * 0.35
        yield f'<text class="{line.style}" x="{_n(x)}" y="{_n(baseline)}" text-anchor="middle">{_t(line.text)}</text>'
        y += HEIGHT[line.style]


def _sign(change: str, x: float, y: float) -> Iterator[str]:
    yield f'<circle class="sign" cx="{_n(x)}" cy="{_n(y)}" r="8"/>'
    yield f'<text class="sign-text" x="{_n(x)}" y="{_n(y + 4.2)}" text-anchor="middle">{_SIGNS[change]}</text>'


# -- legend ------------------------------------------------------------------------------------------------------------


def _legend_rows(entries: Sequence[Entry], wide: float) -> tuple[list[tuple[Entry, float, float]], float]:
    """Where each entry stands, and how high the legend is."""
    rows: list[tuple[Entry, float, float]] = []
    x = y = 0.0
    after_words = False
    for entry in entries:
        takes = (0 if entry.sort == "words" else 40) + width(entry.text, 11.5) + 20
        if x and (x + takes > wide or after_words):
            x, y = 0.0, y + (_LINE if after_words and entry.sort == "words" else _ROW)
        after_words = entry.sort == "words"
        rows.append((entry, x, y))
        x += takes
    return rows, y + _ROW + 14 if rows else 0.0


def _entry(entry: Entry, x: float, y: float) -> Iterator[str]:
    if entry.sort == "words":
        yield f'<text x="{_n(x)}" y="{_n(y + 11)}">{_t(entry.text)}</text>'
        return
    yield f'<g class="{entry.classes}">'
    if entry.sort == "arrow":
        d, arrow = _path(((x, y + 7), (x + 30, y + 7)))
        yield f'<path class="wire" d="{d}"/><path class="head-arrow" d="{arrow}"/>'
    elif entry.sort == "bar":
        yield _rect(f"bar {entry.classes}", x + 8, y, 14, 14, 4)
    elif entry.sort == "dot":
        yield f'<circle class="start" cx="{_n(x + 15)}" cy="{_n(y + 7)}" r="6"/>'
    elif entry.sort == "diamond":
        yield f'<path class="box" d="M{_n(x + 15)} {_n(y - 1)}l12 8l-12 8l-12 -8Z"/>'
    else:
        yield _rect("box", x + 2, y, 26, 14, 4)
        if entry.sort == "ring":
            yield _rect("ring", x + 4.5, y + 2.5, 21, 9, 2.5)
        if entry.sort in _SIGNS:
            yield from _sign(entry.sort, x + 2, y + 7)
        if entry.sort == "gauge":
            yield from _gauge(Box(x - 6, y, 42, 14), int(entry.classes.removeprefix("h")))
    yield f'<text x="{_n(x + 38)}" y="{_n(y + 11)}">{_t(entry.text)}</text></g>'


def _rect(classes: str, x: float, y: float, wide: float, high: float, radius: float) -> str:
    place = f'x="{_n(x)}" y="{_n(y)}" width="{_n(wide)}" height="{_n(high)}"'
    return f'<rect class="{classes.strip()}" {place} rx="{_n(radius)}"/>'


def _diamond(box: Box) -> str:
    x, y = box.middle
    return f"M{_n(x)} {_n(box.y)}L{_n(box.right)} {_n(y)}L{_n(x)} {_n(box.bottom)}L{_n(box.x)} {_n(y)}Z"


def _t(text: str) -> str:
    return escape(plain(text))


def _n(number: float) -> str:
    """A number, shortly."""
    return f"{number:.1f}".removesuffix(".0")
