"""From a drawing to a drawing with places: the parts of the layout, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from schema.diagram import sizes
from schema.diagram.layout.box import Box, Placed, PlacedEdge, PlacedGroup, PlacedNode, Point, rounded, tidy
from schema.diagram.layout.columns import columns
from schema.diagram.layout.layers import Layers, layered
from schema.diagram.layout.links import linked
from schema.diagram.layout.order import arrange
from schema.diagram.layout.ports import Ports, straighten
from schema.diagram.layout.ranks import against_the_way, rows
from schema.diagram.layout.tracks import STEP, Run, tracks
from schema.diagram.model import Drawing
from schema.diagram.sizes import Sized
from schema.diagram.text import wrapped

_GAP: Final = 15.0
_ARROW_GAP: Final = 18.0
_NOTHING_THERE: Final = 8.0
_LOOP: Final = 22.0
_LOOP_HEIGHT: Final = 24.0
_LINK: Final = 11.0
_NOTE: Final = 14.0
_MARGIN: Final = 16.0
_LANE_PAD: Final = 20.0
_LANE_HEAD: Final = 40.0
_LANE_WIDTH: Final = 150.0
_BAND_HEAD: Final = 116.0
_BAND_PAD: Final = 16.0
_BETWEEN_BANDS: Final = 26.0
_STRAIGHT: Final = 0.5


def placed(drawing: Drawing) -> Placed:
    """Find a place for everything. Raises ValueError for an arrow to or from a box that is not there."""
    return _Layout(drawing).result()


class _Layout:
    """One run of the layout; each method is a step and keeps what later ones need."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing
        number = {node.id: at for at, node in enumerate(drawing.nodes)}
        missing = [edge.id for edge in drawing.edges if not {edge.source, edge.target} <= number.keys()]
        if missing:
            raise ValueError(f"arrows without a box: {', '.join(missing)}")
        self.number = number
        self.edges = [edge for edge in drawing.edges if not edge.linked]
        self.ends = [(number[edge.source], number[edge.target]) for edge in self.edges]
        groups = {group.id: at for at, group in enumerate(drawing.groups)}
        at = [groups.get(node.group, 0) for node in drawing.nodes]
        self.lanes = at if drawing.grouping == "lanes" else [0] * len(at)
        self.bands = at if drawing.grouping == "bands" else [0] * len(at)
        self.labels = [sizes.of_edge(edge) for edge in self.edges]
        self.upwards = against_the_way(len(at), self.ends, self.bands)
        self.boxes = [sizes.of_node(node, self._arrows(number[node.id])) for node in drawing.nodes]
        self.loops = {
            box: [edge for edge, ends in enumerate(self.ends) if ends == (box, box)] for box in range(len(at))
        }
        self.boxes = [self._tall_enough(box) for box in range(len(at))]

    def result(self) -> Placed:
        downwards = [ends[::-1] if at in self.upwards else ends for at, ends in enumerate(self.ends)]
        straight = [ends for ends in downwards if ends[0] != ends[1]]
        self.rows = rows(len(self.boxes), straight, self.bands)
        for at, node in enumerate(self.drawing.nodes):
            if node.beside in self.number:
                self.rows[at] = self.rows[self.number[node.beside]]
        labels = [(label.width, label.height) for label in self.labels]
        outer = [self._outer(box) for box in range(len(self.boxes))]
        self.made: Layers = layered(outer, labels, self.ends, self.upwards, self.rows, lanes=self.lanes)
        arrange(self.made)
        x = self._columns()
        touching = straighten(self.made, x, [box.width for box in self.boxes])
        turns, y = self._heights(x, touching)
        return self._assembled(x, y, touching, turns)

    def _arrows(self, box: int) -> int:
        """How many arrows there are at most on one side of a box."""
        above = below = 0
        for at, (source, target) in enumerate(self.ends):
            if source != target:
                below += box == (target if at in self.upwards else source)
                above += box == (source if at in self.upwards else target)
        return max(above, below)

    def _outer(self, box: int) -> tuple[float, float]:
        """The room of a box with its loops, which are on its right; the left is as wide, so it stays in the middle."""
        loops = [self.labels[edge] for edge in self.loops[box]]
        if not loops:
            return self.boxes[box].width, self.boxes[box].height
        beside = _LOOP + 8 + max(loop.width for loop in loops)
        return self.boxes[box].width + 2 * beside, self.boxes[box].height

    def _tall_enough(self, box: int) -> Sized:
        """The size of a box, as high as its loops together."""
        size = self.boxes[box]
        height = sum(max(self.labels[edge].height, _LOOP_HEIGHT) + 6 for edge in self.loops[box])
        mine = self.drawing.nodes[box].id
        links = sum(edge.linked and mine in {edge.source, edge.target} for edge in self.drawing.edges)
        height = max(height, (links + 1) * _LINK)
        return replace(size, height=max(size.height, height))

    def _columns(self) -> dict[int, float]:
        """The middle of each cell, lane beside lane; keeps where the lanes are."""
        x: dict[int, float] = {}
        cells = self.made.cells
        left = _MARGIN + (_BAND_HEAD + _BAND_PAD if self.drawing.grouping == "bands" else 0.0)
        self.lane_places: list[tuple[float, float]] = []
        for lane in range(max(len(self.drawing.groups), 1) if self.drawing.grouping == "lanes" else 1):
            found = columns(cells, self.made.lane(lane))
            low = min((at - cells[cell].width / 2 for cell, at in found.items()), default=0.0)
            high = max((at + cells[cell].width / 2 for cell, at in found.items()), default=0.0)
            pad, least = (_LANE_PAD, _LANE_WIDTH) if self.drawing.grouping == "lanes" else (0.0, 0.0)
            width = max(high - low + 2 * pad, least)
            shift = left + (width - (high - low)) / 2 - low
            x |= {cell: at + shift for cell, at in found.items()}
            self.lane_places.append((left, width))
            left += width
        self.right = left
        self.notes = [
            tuple(line for note in group.notes for line in wrapped(note, sizes.SIZE["aside"], width - 24))
            for group, (_, width) in zip(self.drawing.groups, self.lane_places, strict=False)
        ]
        self.head = _LANE_HEAD + _NOTE * max(map(len, self.notes), default=0)
        return x

    def _heights(
        self, x: Mapping[int, float], touching: Ports
    ) -> tuple[dict[tuple[int, int], tuple[int, int]], list[tuple[float, float]]]:
        """Between which layers which link turns (on which track of how many), and each layer's top and height."""
        turns: dict[tuple[int, int], tuple[int, int]] = {}
        layers = self.made.layers
        top = _MARGIN + (self.head if self.drawing.grouping == "lanes" else 0.0)
        y: list[tuple[float, float]] = []
        band = -1
        for at, layer in enumerate(layers):
            bands = {self.bands[self.made.cells[cell].box] for cell in layer if self.made.cells[cell].is_box}
            if bands and max(bands) != band:
                top += _BETWEEN_BANDS if band >= 0 and self.drawing.groups else 0.0
                band = max(bands)
            height = self._high(at)
            y.append((top, height))
            links = [(cell, below) for cell in layer for below in self.made.cells[cell].below]
            runs = {
                link: run for link in links if abs((run := self._run(link, x, touching)).start - run.end) > _STRAIGHT
            }
            found = tracks(list(runs.values()))
            count = max(found, default=-1) + 1
            turns |= {link: (track, count) for link, track in zip(runs, found, strict=True)}
            ends_here = any(cell.is_box for cell in (self.made.cells[link[end]] for link in links for end in (0, 1)))
            gap = _ARROW_GAP if ends_here else _GAP
            if not count and min(height, self._high(at + 1)) == 0:
                gap = _NOTHING_THERE
            top += height + 2 * gap + max(count - 1, 0) * STEP if at + 1 < len(layers) else height
        self.bottom = top
        return turns, y

    def _high(self, layer: int) -> float:
        cells = self.made.layers[layer] if layer < len(self.made.layers) else ()
        return max((self.made.cells[cell].height for cell in cells), default=0.0)

    def _run(self, link: tuple[int, int], x: Mapping[int, float], touching: Ports) -> Run:
        upper, lower = link
        start = touching.get((upper, lower, "below"), x[upper])
        return Run(start, touching.get((lower, upper, "above"), x[lower]))

    def _assembled(
        self,
        x: Mapping[int, float],
        y: Sequence[tuple[float, float]],
        touching: Ports,
        turns: Mapping[tuple[int, int], tuple[int, int]],
    ) -> Placed:
        boxes: dict[int, Box] = {}
        for number, cell in enumerate(self.made.cells):
            if cell.is_box:
                size = self.boxes[cell.box]
                top, height = y[cell.layer]
                boxes[cell.box] = rounded(x[number] - size.width / 2, top + (height - size.height) / 2, size)
        nodes = tuple(PlacedNode(node, boxes[at], self.boxes[at].lines) for at, node in enumerate(self.drawing.nodes))
        edges = []
        for at, edge in enumerate(self.edges):
            label = self.labels[at]
            if at not in self.made.chains:
                edges.append(self._loop(at, boxes[self.ends[at][0]]))
                continue
            chain = self.made.chains[at]
            points = self._points(chain, y, touching, turns, x)
            points[0] = (points[0][0], self._side(chain[0], points[0][0], boxes, below=True))
            points[-1] = (points[-1][0], self._side(chain[-1], points[-1][0], boxes, below=False))
            spot = next((piece for piece in chain if self.made.cells[piece].label), None)
            room = None
            if spot is not None:
                top, height = y[self.made.cells[spot].layer]
                room = rounded(x[spot] - label.width / 2, top + (height - label.height) / 2, label)
            along = points[::-1] if at in self.upwards else points
            edges.append(PlacedEdge(edge, tuple(tidy(along)), room, label.lines))
        apart = [edge for edge in self.drawing.edges if edge.linked]
        places = {each.node.id: each.box for each in nodes}
        edges += linked(apart, places, [each.label for each in edges if each.label is not None], edges)
        return Placed(
            self.drawing,
            round(self.right + _MARGIN, 1),
            round(self.bottom + _MARGIN, 1),
            nodes,
            tuple(edges),
            self._groups(y),
        )

    def _points(
        self,
        chain: Sequence[int],
        y: Sequence[tuple[float, float]],
        touching: Ports,
        turns: Mapping[tuple[int, int], tuple[int, int]],
        x: Mapping[int, float],
    ) -> list[Point]:
        """From the upper box to the lower one, with two points for each turn."""
        points: list[Point] = []
        for upper, lower in pairwise(chain):
            run = self._run((upper, lower), x, touching)
            top, height = y[self.made.cells[upper].layer]
            if not points:
                points.append((run.start, top + height))
            if (upper, lower) in turns:
                track, count = turns[upper, lower]
                end = y[self.made.cells[lower].layer][0]
                level = (top + height + end - (count - 1) * STEP) / 2 + track * STEP
                points += [(points[-1][0], level), (run.end, level)]
        last = self.made.cells[chain[-1]].layer
        points.append((points[-1][0], y[last][0]))
        return points

    def _side(self, cell: int, x: float, boxes: Mapping[int, Box], *, below: bool) -> float:
        """How far down the outline of a box is at `x`."""
        number = self.made.cells[cell].box
        box, (middle_x, middle_y) = boxes[number], boxes[number].middle
        half = box.height / 2
        if self.drawing.nodes[number].shape == "decision":
            half *= max(1 - abs(x - middle_x) / (box.width / 2), 0.0)
        return middle_y + half if below else middle_y - half

    def _loop(self, at: int, box: Box) -> PlacedEdge:
        """An arrow from a box to itself, on its right, one below the other."""
        mine = self.ends[at][0]
        heights = [max(self.labels[edge].height, _LOOP_HEIGHT) + 6 for edge in self.loops[mine]]
        before = self.loops[mine].index(at)
        middle = box.middle[1] - sum(heights) / 2 + sum(heights[:before]) + heights[before] / 2
        label = self.labels[at]
        out = box.right + _LOOP
        points = ((box.right, middle - 7), (out, middle - 7), (out, middle + 7), (box.right, middle + 7))
        room = rounded(out + 4, middle - label.height / 2, label) if label.lines else None
        return PlacedEdge(self.edges[at], tidy(points), room, label.lines)

    def _groups(self, y: Sequence[tuple[float, float]]) -> tuple[PlacedGroup, ...]:
        groups = []
        for at, group in enumerate(self.drawing.groups):
            if self.drawing.grouping == "lanes":
                left, width = self.lane_places[at]
                box = Box(round(left, 1), 0.0, round(width, 1), round(self.bottom + _MARGIN, 1))
                head = Box(box.x, 0.0, box.width, self.head - 8)
            else:
                layers = [y[2 * self.rows[number]] for number, band in enumerate(self.bands) if band == at]
                top = min((top for top, _ in layers), default=0.0) - _BAND_PAD
                bottom = max((top + height for top, height in layers), default=0.0) + _BAND_PAD
                box = Box(0.0, round(top, 1), round(self.right + _MARGIN, 1), round(bottom - top, 1))
                head = Box(0.0, box.y, _BAND_HEAD, box.height)
            notes = self.notes[at] if self.drawing.grouping == "lanes" else ()
            groups.append(PlacedGroup(group, box, head, wrapped(group.label, 13, head.width - 24, bold=True), notes))
        return tuple(groups)
