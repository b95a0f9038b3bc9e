"""Which way each arrow points in the drawing, and in which row each box stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

Pairs = Sequence[tuple[int, int]]
_ROUNDS: Final = 8


def against_the_way(count: int, edges: Pairs, bands: Sequence[int]) -> frozenset[int]:
    """
    The edges (by their place) to be drawn upwards, so that the others have no circle.

    Boxes are visited in their order, depth first, so the same drawing always gives the same answer, and what the
    journey names first goes first. What leads to an earlier band goes upwards in any case. Loops count as neither.
    """
    ways: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    upwards = set()
    for at, (source, target) in enumerate(edges):
        if bands[target] < bands[source]:
            upwards.add(at)
        elif source != target:
            ways[source].append((at, target))
    fresh, under_way, done = 0, 1, 2
    known = [fresh] * count
    for root in range(count):
        if known[root] != fresh:
            continue
        known[root] = under_way
        stack = [(root, iter(ways[root]))]
        while stack:
            here, left = stack[-1]
            for at, target in left:
                if known[target] == under_way:
                    upwards.add(at)
                elif known[target] == fresh:
                    known[target] = under_way
                    stack.append((target, iter(ways[target])))
                    break
            else:
                known[here] = done
                stack.pop()
    return frozenset(upwards)


def rows(count: int, edges: Pairs, bands: Sequence[int]) -> list[int]:
    """
    The row of each box, from 0: below all that leads to it, and the rows of one band below those of the band before.

    `edges` have no circle. Rows by longest path; then boxes move to where their arrows are shortest.
    """
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    pull = [0] * count
    for source, target in edges:
        pull[source] -= 1
        pull[target] += 1
        if bands[source] == bands[target]:
            after[source].append(target)
            before[target].append(source)
    order = _sorted(count, before, after)
    row = [0] * count
    first = 0
    for band in sorted(set(bands)):
        members = [box for box in order if bands[box] == band]
        for box in members:
            row[box] = max((row[other] + 1 for other in before[box]), default=first)
        last = max((row[box] for box in members), default=first)
        for _ in range(_ROUNDS):
            moved = [_moved(box, row, before, after, pull[box], first, last) for box in reversed(members)]
            if True not in moved:
                break
        first = last + 1
    return row


def _moved(
    box: int, row: list[int], before: list[list[int]], after: list[list[int]], pull: int, first: int, last: int
) -> bool:
    """Move a box towards where more of its arrows go; whether it moved."""
    high = max((row[other] + 1 for other in before[box]), default=first)
    low = min((row[other] - 1 for other in after[box]), default=last)
    wanted = low if pull < 0 else high if pull > 0 else row[box]
    moved = wanted != row[box]
    row[box] = wanted
    return moved


def _sorted(count: int, before: list[list[int]], after: list[list[int]]) -> list[int]:
    """All boxes, each after those that lead to it; otherwise in their own order."""
    missing = [len(each) for each in before]
    ready = [box for box in range(count) if not missing[box]]
    order: list[int] = []
    while ready:
        box = ready.pop(0)
        order.append(box)
        for other in after[box]:
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
    return order
