"""
In which order cells stand in their layer, so that few arrows cross.

Barycentre sweeps with exchanges of neighbours (Sugiyama, Tagawa, Toda 1981; Gansner et al. 1993), from several
beginnings; the best order that was seen is kept.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from schema.diagram.layout.layers import Cell, Layers

_SWEEPS: Final = 16
_EXCHANGES: Final = 6
_PRIME: Final = 10_007
_STEPS: Final = (17, 4_409, 977, 6_007, 2_503, 8_209, 353, 7_019, 1_549, 5_281, 9_001, 3_697)
_SHUFFLED: Final = len(_STEPS)
_SHUFFLED_CELLS: Final = 2_400


def arrange(made: Layers) -> int:
    """Put the cells of each layer in order, lane by lane; how many crossings are left."""
    best: tuple[int, list[list[int]]] | None = None
    for layers in _beginnings(made):
        for sweep in range(_SWEEPS):
            found = crossings(made.cells, layers)
            if best is None or found < best[0]:
                best = found, [list(layer) for layer in layers]
            if not found:
                made.layers = best[1]
                return 0
            _sweep(made.cells, layers, downwards=sweep % 2 == 0)
            _exchange(made.cells, layers)
    made.layers = best[1] if best else made.layers
    return best[0] if best else 0


def crossings(cells: Sequence[Cell], layers: Sequence[Sequence[int]]) -> int:
    """How many pairs of links between neighbouring layers cross."""
    total = 0
    for upper, lower in pairwise(layers):
        place = {cell: at for at, cell in enumerate(lower)}
        seen: list[int] = []
        for cell in upper:
            ends = sorted(place[below] for below in cells[cell].below)
            total += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _beginnings(made: Layers) -> Iterator[list[list[int]]]:
    """Orders to begin with: two that follow the journey, and shuffled ones as far as the size allows."""
    yield _beginning(made, depth_first=False)
    layers = _beginning(made, depth_first=True)
    yield layers
    for number in range(min(_SHUFFLED, _SHUFFLED_CELLS // (len(made.cells) + 1))):
        # Not random, so that the picture is the same every time.
        yield [
            sorted(layer, key=lambda cell: (made.cells[cell].lane, (cell + 1) * _STEPS[number] % _PRIME))
            for layer in layers
        ]


def _beginning(made: Layers, *, depth_first: bool) -> list[list[int]]:
    """Cells as they are reached from the top, in the order of the journey."""
    reached: dict[int, int] = {}
    for root in range(len(made.cells)):
        waiting = [root]
        while waiting:
            cell = waiting.pop() if depth_first else waiting.pop(0)
            if cell in reached:
                continue
            reached[cell] = len(reached)
            below = made.cells[cell].below
            waiting += reversed(below) if depth_first else below
    return [sorted(layer, key=lambda cell: (made.cells[cell].lane, reached[cell])) for layer in made.layers]


def _sweep(cells: Sequence[Cell], layers: list[list[int]], *, downwards: bool) -> None:
    """Sort each layer by the mean place of its neighbours in the layer before."""
    order = range(1, len(layers)) if downwards else range(len(layers) - 2, -1, -1)
    for at in order:
        before = {cell: place for place, cell in enumerate(layers[at - 1 if downwards else at + 1])}
        now = {cell: place for place, cell in enumerate(layers[at])}
        share = (len(before) + 1) / (len(now) + 1)
        wanted = {}
        for cell in layers[at]:
            near = cells[cell].above if downwards else cells[cell].below
            places = [before[each] for each in near]
            wanted[cell] = sum(places) / len(places) if places else now[cell] * share
        layers[at].sort(key=lambda cell: (cells[cell].lane, wanted[cell], now[cell]))


def _exchange(cells: Sequence[Cell], layers: list[list[int]]) -> None:
    """Exchange neighbours as long as that saves crossings."""
    place = {cell: at for layer in layers for at, cell in enumerate(layer)}
    for _ in range(_EXCHANGES):
        better = False
        for layer in layers:
            for at in range(len(layer) - 1):
                one, other = layer[at], layer[at + 1]
                if cells[one].lane == cells[other].lane and _gain(cells[one], cells[other], place) > 0:
                    layer[at], layer[at + 1] = other, one
                    place[one], place[other] = at + 1, at
                    better = True
        if not better:
            return


def _gain(one: Cell, other: Cell, place: dict[int, int]) -> int:
    """How many crossings fewer there are when `other` stands left of `one`."""
    gain = 0
    for mine, yours in ((one.above, other.above), (one.below, other.below)):
        for a in mine:
            for b in yours:
                gain += (place[a] > place[b]) - (place[a] < place[b])
    return gain
