"""
How far to the right each cell stands.

Brandes and Köpf, "Fast and simple horizontal coordinate assignment" (2001): cells are aligned with their middle
neighbours in four ways, which makes long arrows straight, and each gets the mean of the two middle answers. Blocks are
packed by longest paths over the block graph, once from each side, instead of the paper's classes and shifts, which are
known to let blocks overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from schema.diagram.layout.layers import Cell

BETWEEN_BOXES: Final = 34.0
BETWEEN: Final = 14.0
_BESIDE_BOX: Final = 20.0


def distance(one: Cell, other: Cell) -> float:
    """How far the middles of two neighbours have to be apart."""
    both = one.is_box + other.is_box
    gap = (BETWEEN, _BESIDE_BOX, BETWEEN_BOXES)[both]
    return (one.width + other.width) / 2 + gap


def columns(cells: Sequence[Cell], layers: Sequence[Sequence[int]]) -> dict[int, float]:
    """The middle of each cell of `layers`, no two of one layer too close; links to other cells do not count."""
    inside = {cell for layer in layers for cell in layer}
    if not inside:
        return {}
    forbidden = _conflicts(cells, layers, inside)
    found: list[dict[int, float]] = []
    for downwards in (True, False):
        for leftwards in (True, False):
            turned = _turned(layers, downwards=downwards, leftwards=leftwards)
            root = _aligned(cells, turned, inside, forbidden, downwards=downwards)
            places = _packed(cells, turned, root)
            found.append(places if leftwards else {cell: -x for cell, x in places.items()})
    return _middle(cells, found)


def _turned(layers: Sequence[Sequence[int]], *, downwards: bool, leftwards: bool) -> list[list[int]]:
    turned = [list(layer) if leftwards else list(reversed(layer)) for layer in layers]
    return turned if downwards else turned[::-1]


def _conflicts(cells: Sequence[Cell], layers: Sequence[Sequence[int]], inside: set[int]) -> set[tuple[int, int]]:
    """Links that cross one between two pieces of an arrow: these stay straight, the others give way."""
    forbidden = set()
    for upper, lower in pairwise(layers):
        place = {cell: at for layer in (upper, lower) for at, cell in enumerate(layer)}
        links = [(a, b) for a in upper for b in cells[a].below if b in inside]
        straight = [(a, b) for a, b in links if not cells[a].is_box and not cells[b].is_box]
        for a, b in links:
            if cells[a].is_box or cells[b].is_box:
                crossed = any((place[a] - place[c]) * (place[b] - place[d]) < 0 for c, d in straight)
                if crossed:
                    forbidden.add((a, b))
    return forbidden


def _aligned(
    cells: Sequence[Cell],
    layers: Sequence[Sequence[int]],
    inside: set[int],
    forbidden: set[tuple[int, int]],
    *,
    downwards: bool,
) -> dict[int, int]:
    """Each cell's block, by its first cell."""
    root = {cell: cell for cell in inside}
    following = dict(root)
    place = {cell: at for layer in layers for at, cell in enumerate(layer)}
    for layer in layers:
        last = -1
        for cell in layer:
            near = [n for n in (cells[cell].above if downwards else cells[cell].below) if n in inside]
            near.sort(key=place.__getitem__)
            for middle in sorted({(len(near) - 1) // 2, len(near) // 2} if near else ()):
                other = near[middle]
                link = (other, cell) if downwards else (cell, other)
                if following[cell] == cell and last < place[other] and link not in forbidden:
                    following[other] = cell
                    root[cell] = root[other]
                    following[cell] = root[cell]
                    last = place[other]
    return root


def _packed(cells: Sequence[Cell], layers: Sequence[Sequence[int]], root: dict[int, int]) -> dict[int, float]:
    """Where each block stands when all are pushed to the left, and then back to the right as far as that is free."""
    before: dict[int, dict[int, float]] = {block: {} for block in root.values()}
    after: dict[int, dict[int, float]] = {block: {} for block in root.values()}
    for layer in layers:
        for left, right in pairwise(layer):
            one, other = root[left], root[right]
            least = max(before[other].get(one, 0.0), distance(cells[left], cells[right]))
            before[other][one] = after[one][other] = least
    order = _topological(before, after)
    x: dict[int, float] = {}
    for block in order:
        x[block] = max((x[other] + least for other, least in before[block].items()), default=0.0)
    for block in reversed(order):
        free = min((x[other] - least for other, least in after[block].items()), default=x[block])
        x[block] = max(x[block], free)
    return {cell: x[block] for cell, block in root.items()}


def _topological(before: dict[int, dict[int, float]], after: dict[int, dict[int, float]]) -> list[int]:
    missing = {block: len(each) for block, each in before.items()}
    ready = [block for block, count in missing.items() if not count]
    order: list[int] = []
    while ready:
        block = ready.pop()
        order.append(block)
        for other in after[block]:
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
    return order


def _middle(cells: Sequence[Cell], found: list[dict[int, float]]) -> dict[int, float]:
    """The four answers laid over the narrowest of them, and of each cell's places the mean of the two in the middle."""

    def side(places: dict[int, float], sign: int, of: Callable[..., float]) -> float:
        return of(x + sign * cells[cell].width / 2 for cell, x in places.items())

    narrowest = min(found, key=lambda places: side(places, 1, max) - side(places, -1, min))
    moved = []
    for number, places in enumerate(found):
        sign, of = (-1, min) if number % 2 == 0 else (1, max)
        shift = side(narrowest, sign, of) - side(places, sign, of)
        moved.append({cell: x + shift for cell, x in places.items()})
    middle = {}
    for cell in found[0]:
        _, one, other, _ = sorted(places[cell] for places in moved)
        middle[cell] = (one + other) / 2
    return middle
