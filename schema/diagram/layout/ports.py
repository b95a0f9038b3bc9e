"""Where arrows leave and reach the sides of boxes, and small bends that need not be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from schema.diagram.layout.columns import distance
from schema.diagram.layout.layers import Layers
from schema.diagram.sizes import PORT

Side = Literal["above", "below"]
Ports = dict[tuple[int, int, Side], float]
"""For a box and the neighbouring cell of an arrow, on one of its sides: where that arrow touches it."""

_CORNER: Final = 12.0
_EXACT: Final = 0.01
_ROUNDS: Final = 8


def ports(made: Layers, x: Mapping[int, float], widths: Sequence[float]) -> Ports:
    """Where each arrow touches its boxes: as straight above or below its next piece as the side of the box allows."""
    found: Ports = {}
    for number, cell in enumerate(made.cells):
        if not cell.is_box:
            continue
        half = max(widths[cell.box] / 2 - _CORNER, widths[cell.box] / 4)
        sides: tuple[tuple[Side, list[int]], ...] = (("above", cell.above), ("below", cell.below))
        for side, near in sides:
            in_order = sorted(near, key=lambda other: (x[other], other))
            wanted = [x[other] for other in in_order]
            step = min(PORT, 2 * half / max(len(near) - 1, 1))
            for other, at in zip(in_order, spread(wanted, step, x[number] - half, x[number] + half), strict=True):
                found[number, other, side] = at
    return found


def spread(wanted: Sequence[float], step: float, low: float, high: float) -> list[float]:
    """
    The places nearest to those wanted (by least squares), in the same order, `step` apart, from `low` to `high`.

    Pool adjacent violators: neighbours that are too close share their mean.
    """
    pools: list[tuple[float, int]] = []
    for number, place in enumerate(wanted):
        mean, size = place - number * step, 1
        while pools and pools[-1][0] >= mean:
            before, count = pools.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    flat = [mean for mean, size in pools for _ in range(size)]
    last = high - (len(flat) - 1) * step
    return [min(max(place, low), max(last, low)) + number * step for number, place in enumerate(flat)]


def straighten(made: Layers, x: dict[int, float], widths: Sequence[float]) -> Ports:
    """Move pieces of arrows where that saves bends or ways; where they touch their boxes then. Changes `x`."""
    beside = _neighbours(made)
    left = min((at - made.cells[cell].width / 2 for cell, at in x.items()), default=0.0)
    edges = left, max((at + made.cells[cell].width / 2 for cell, at in x.items()), default=0.0)
    for _ in range(_ROUNDS):
        touching = ports(made, x, widths)
        # Each run is tried, also after one that moved.
        if not sum([_shortened(made, x, beside, edges, touching, run) for run in _runs(made, x)]):
            break
    return ports(made, x, widths)


def _runs(made: Layers, x: Mapping[int, float]) -> Iterator[list[int]]:
    """The straight parts of all arrows, each with the cells before and after it."""
    for chain in made.chains.values():
        start = 1
        while start < len(chain) - 1:
            end = start
            while end + 1 < len(chain) - 1 and x[chain[end + 1]] == x[chain[start]]:
                end += 1
            yield list(chain[start - 1 : end + 2])
            start = end + 1


def _shortened(
    made: Layers,
    x: dict[int, float],
    beside: Mapping[int, tuple[int, int]],
    edges: tuple[float, float],
    touching: Ports,
    run: Sequence[int],
) -> bool:
    """Bring a straight part in line with what is before or after it, or at least nearer; whether it moved."""
    first, *pieces, last = run
    now = x[pieces[0]]
    ends = (touching.get((first, pieces[0], "below"), x[first]), touching.get((last, pieces[-1], "above"), x[last]))
    low, high = min(ends), max(ends)
    if now in ends or high - low < _EXACT > abs(now - low):
        return False
    left, right = (_room(made, x, beside, edges, pieces, side) for side in (0, 1))
    if low < now < high:
        wanted = [end for end in sorted(ends, key=lambda end: abs(end - now)) if now - left <= end <= now + right]
        by = wanted[0] - now if wanted else 0.0
    else:
        by = min(low - now, right) if now < low else -min(now - high, left)
    if abs(by) < _EXACT:
        return False
    for piece in pieces:
        x[piece] = now + by
    return True


def _room(
    made: Layers,
    x: Mapping[int, float],
    beside: Mapping[int, tuple[int, int]],
    edges: tuple[float, float],
    pieces: Sequence[int],
    side: int,
) -> float:
    """How far all of the pieces can go to the left (0) or right (1), within the picture as it is."""
    room = float("inf")
    for piece in pieces:
        half = made.cells[piece].width / 2
        room = min(room, x[piece] - half - edges[0] if side == 0 else edges[1] - x[piece] - half)
        other = beside[piece][side]
        if other >= 0:
            room = min(room, abs(x[other] - x[piece]) - distance(made.cells[piece], made.cells[other]))
    return max(room, 0.0)


def _neighbours(made: Layers) -> dict[int, tuple[int, int]]:
    """For each cell those to its left and right in its lane, -1 where there is none."""
    found = {}
    for layer in made.layers:
        for at, cell in enumerate(layer):
            left = layer[at - 1] if at else -1
            right = layer[at + 1] if at + 1 < len(layer) else -1
            found[cell] = (left, right)
    return found
