"""
The layered graph that places are found for: boxes in every second layer, and a chain of cells for each arrow.

Each arrow is a chain from its upper box to its lower one with one cell in every layer between. The label of an arrow
is one of its cells, in a layer between two rows, so it has room of its own like a box has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from schema.diagram.layout.ranks import Pairs


@dataclass(slots=True)
class Cell:
    """A box (`box` is its number) or a piece of an arrow; sizes in pixels, `lane` by number."""

    layer: int
    lane: int
    width: float
    height: float
    box: int = -1
    edge: int = -1
    label: bool = False
    above: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)

    @property
    def is_box(self) -> bool:
        return self.box >= 0


@dataclass(slots=True)
class Layers:
    """The cells, each layer's from left to right, and each arrow's chain from its upper box to its lower one."""

    cells: list[Cell]
    layers: list[list[int]]
    chains: dict[int, list[int]]

    def lane(self, lane: int) -> list[list[int]]:
        """The layers with the cells of one lane only."""
        return [[cell for cell in layer if self.cells[cell].lane == lane] for layer in self.layers]


def layered(
    sizes: Sequence[tuple[float, float]],
    labels: Sequence[tuple[float, float]],
    edges: Pairs,
    upwards: frozenset[int],
    rows: Sequence[int],
    *,
    lanes: Sequence[int],
) -> Layers:
    """
    Cells and chains. `sizes` and `lanes` are of the boxes, `labels` of the edges; a label without height is none.

    A label goes where there is most room: into the layer with the least width of labels so far, near its source.
    """
    made = Layers([], [[] for _ in range(2 * max(rows, default=0) + 1)], {})
    for box, (width, height) in enumerate(sizes):
        _add(made, Cell(2 * rows[box], lanes[box], width, height, box=box))
    taken: dict[tuple[int, int], float] = {}
    for at, (source, target) in enumerate(edges):
        if source == target:
            continue
        upper, lower = (target, source) if at in upwards else (source, target)
        between = range(2 * rows[upper] + 1, 2 * rows[lower])
        place = -1
        if labels[at][1]:
            # The nearest to the source first, so that it wins where there is as much room elsewhere.
            near = sorted(between[::2], key=lambda layer: abs(layer - 2 * rows[source]))
            place = min(near, key=lambda layer: taken.get((layer, lanes[source]), 0.0))
            taken[place, lanes[source]] = taken.get((place, lanes[source]), 0.0) + labels[at][0]
        chain = [upper]
        for layer in between:
            # From the label on, an arrow runs in the lane that it leads to.
            towards = layer < place if at in upwards else layer > place
            lane = lanes[target] if towards else lanes[source]
            width, height = labels[at] if layer == place else (2.0, 0.0)
            chain.append(_add(made, Cell(layer, lane, width, height, edge=at, label=layer == place)))
        chain.append(lower)
        made.chains[at] = chain
        for one, other in pairwise(chain):
            made.cells[one].below.append(other)
            made.cells[other].above.append(one)
    return made


def _add(made: Layers, cell: Cell) -> int:
    made.cells.append(cell)
    made.layers[cell.layer].append(len(made.cells) - 1)
    return len(made.cells) - 1
