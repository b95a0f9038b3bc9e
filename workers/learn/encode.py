"""
Named values as numbers, and weights back as the document of a model.

Every feature is a few columns of a matrix: one for each category that enough leads share, one for all others, one for
"not known"; for a number, ramps between its quantiles, which add up to a line with bends.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import sparse

from workers.decide.predict import as_category, as_number
from workers.learn.leaks import FEWEST, Kept, LeftOut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from workers.decide.predict import Value
    from workers.learn.examples import Column, Examples

    Floats = NDArray[np.float64]
    Cells = tuple[NDArray[np.int64], NDArray[np.int64], Floats]
    """Rows, columns and values of a sparse matrix."""

_MOST_CATEGORIES: Final = 60
_QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_DIGITS: Final = 12
"""Decimals of a weight in the document."""


@dataclass(slots=True)
class Encoder:
    """
    One feature: how its values fill `width` columns, and how weights of these are written down.

    `cells` gives the cells of a column's values; `tell` turns weights, and what the average lead has by them, into the
    feature's part of the document.
    """

    name: str
    width: int
    cells: Callable[[Column, int], Cells]
    tell: Callable[[Floats, float], dict[str, Any]]


def make_encoders(
    examples: Examples,
    kept: Sequence[Kept],
    left: Sequence[LeftOut],
    learned: NDArray[np.bool_],
) -> list[Encoder]:
    """Encoders for the features, as the rows `learned` show them; features that tell nothing apart get none."""
    weights = row_weights(examples)
    encoders = []
    kinds = [(feature.name, feature.kind) for feature in kept] + [(part.name, "given") for part in left if part.given]
    for name, kind in sorted(kinds):
        column = examples.columns[name]
        places = np.asarray(column.rows, dtype=np.int64)
        inside = learned[places] if len(places) else np.zeros(0, dtype=bool)
        values = [value for value, use in zip(column.values, inside, strict=True) if use]
        share = weights[places[inside]]
        everywhere = bool(inside.sum() == learned.sum())
        encoder = _MAKERS[kind](name, values, share, everywhere)
        if encoder is not None:
            encoders.append(encoder)
    return encoders


def make_matrix(examples: Examples, encoders: Sequence[Encoder]) -> sparse.csr_matrix:
    """All rows as numbers."""
    count = len(examples.lead)
    parts: list[Cells] = []
    start = 0
    for encoder in encoders:
        rows, columns, values = encoder.cells(examples.columns[encoder.name], count)
        parts.append((rows, columns + start, values))
        start += encoder.width
    if not parts:
        return sparse.csr_matrix((count, 0))
    rows, columns, values = (np.concatenate(each) for each in zip(*parts, strict=True))
    return sparse.csr_matrix((values, (rows, columns)), shape=(count, start))


def row_weights(examples: Examples) -> Floats:
    """What each row weighs: the rows of one lead together 1."""
    lead = np.asarray(examples.lead, dtype=np.int64)
    return np.asarray(1.0 / np.bincount(lead, minlength=len(examples.won))[lead], dtype=np.float64)


def parts_of(encoders: Sequence[Encoder], weights: Floats, means: Floats) -> tuple[list[dict[str, Any]], float]:
    """
    Write weights down, each feature measured from the average lead; and what that lead has by all of them.

    `means` are those of the matrix' columns.
    """
    parts, start, total = [], 0, 0.0
    for encoder in encoders:
        own = slice(start, start + encoder.width)
        average = float(weights[own] @ means[own])
        parts.append({"name": encoder.name, **encoder.tell(weights[own], average)})
        total += average
        start += encoder.width
    return parts, total


def _category(name: str, values: Sequence[Value], share: Floats, everywhere: bool) -> Encoder | None:  # noqa: FBT001 - one of several makers
    counts: dict[str, float] = defaultdict(float)
    for value, weight in zip(values, share, strict=True):
        if (category := as_category(value)) is not None:
            counts[category] += weight
    ranked = sorted((-weight, category) for category, weight in counts.items() if weight >= FEWEST - 1e-6)
    names = [category for _, category in ranked[:_MOST_CATEGORIES]]
    if not names or (len(counts) == 1 and everywhere):
        return None
    index = {category: place for place, category in enumerate(names)}
    other, missing = len(names), len(names) + 1

    def cells(column: Column, count: int) -> Cells:
        places = [
            missing if (category := as_category(value)) is None else index.get(category, other)
            for value in column.values
        ]
        rows, at = _with_missing(column, np.asarray(places, dtype=np.int64), count, missing)
        return rows, at, np.ones(len(rows))

    def tell(weights: Floats, average: float) -> dict[str, Any]:
        own = [_rounded(weight - average) for weight in weights]
        return {
            "kind": "category",
            "weights": dict(zip(names, own, strict=False)),
            "other": own[other],
            "missing": own[missing],
        }

    return Encoder(name, len(names) + 2, cells, tell)


def _number(name: str, values: Sequence[Value], share: Floats, everywhere: bool) -> Encoder | None:  # noqa: FBT001 - one of several makers
    read = [number for value in values if (number := as_number(value)) is not None]
    counted = name.startswith("touches")
    if counted and not everywhere:
        read.append(0.0)
    if not read:
        return None
    distinct = sorted(set(read))
    knots = distinct
    if len(distinct) > len(_QUANTILES):
        knots = sorted({float(f"{knot:.6g}") for knot in np.quantile(read, _QUANTILES)})
    if len(knots) == 1 and (everywhere or counted or share.sum() < FEWEST - 1e-6):
        return None
    left, right = np.asarray(knots[:-1]), np.asarray(knots[1:])
    missing = len(knots) - 1

    def cells(column: Column, count: int) -> Cells:
        numbers = np.full(count, 0.0 if counted else np.nan)
        numbers[np.asarray(column.rows, dtype=np.int64)] = [
            np.nan if (number := as_number(value)) is None else number for value in column.values
        ]
        there = np.flatnonzero(~np.isnan(numbers))
        ramps = np.clip((numbers[there, None] - left) / (right - left), 0.0, 1.0)
        rows, columns = np.nonzero(ramps)
        gone = np.flatnonzero(np.isnan(numbers))
        return (
            np.concatenate([there[rows], gone]),
            np.concatenate([columns, np.full(len(gone), missing)]),
            np.concatenate([ramps[rows, columns], np.ones(len(gone))]),
        )

    def tell(weights: Floats, average: float) -> dict[str, Any]:
        heights = np.concatenate([[0.0], np.cumsum(weights[:missing])]) - average
        points = [[knot, _rounded(height)] for knot, height in zip(knots, heights, strict=True)]
        unknown = np.interp(0.0, knots, heights) if counted else weights[missing] - average
        return {"kind": "number", "points": points, "missing": _rounded(unknown)}

    return Encoder(name, len(knots), cells, tell)


def _several(name: str, values: Sequence[Value], share: Floats, everywhere: bool) -> Encoder | None:  # noqa: FBT001 - one of several makers
    counts: dict[str, float] = defaultdict(float)
    for value, weight in zip(values, share, strict=True):
        for item in _items(value):
            counts[item] += weight
    ranked = sorted((-weight, item) for item, weight in counts.items() if weight >= FEWEST - 1e-6)
    names = [item for _, item in ranked[:_MOST_CATEGORIES]]
    if not names and everywhere:
        return None
    index = {item: place for place, item in enumerate(names)}
    missing = len(names)

    def cells(column: Column, count: int) -> Cells:
        found = [
            (row, index[item])
            for row, value in zip(column.rows, column.values, strict=True)
            for item in _items(value)
            if item in index
        ]
        there = np.zeros(count, dtype=bool)
        there[np.asarray(column.rows, dtype=np.int64)] = True
        gone = np.flatnonzero(~there)
        pairs = np.asarray(found, dtype=np.int64).reshape(-1, 2)
        rows = np.concatenate([pairs[:, 0], gone])
        return rows, np.concatenate([pairs[:, 1], np.full(len(gone), missing)]), np.ones(len(rows))

    def tell(weights: Floats, average: float) -> dict[str, Any]:
        return {
            "kind": "several",
            "base": _rounded(-average),
            "weights": {item: _rounded(weights[place]) for item, place in index.items()},
            "missing": _rounded(weights[missing] - average),
        }

    return Encoder(name, len(names) + 1, cells, tell)


def _given(name: str, _: Sequence[Value], share: Floats, everywhere: bool) -> Encoder | None:  # noqa: FBT001 - one of several makers
    if everywhere or share.sum() < FEWEST - 1e-6:
        return None

    def cells(column: Column, _count: int) -> Cells:
        rows = np.asarray(column.rows, dtype=np.int64)
        return rows, np.zeros(len(rows), dtype=np.int64), np.ones(len(rows))

    def tell(weights: Floats, average: float) -> dict[str, Any]:
        return {"kind": "given", "given": _rounded(weights[0] - average), "missing": _rounded(-average)}

    return Encoder(name, 1, cells, tell)


_MAKERS: Final = {"category": _category, "number": _number, "several": _several, "given": _given}


def _items(value: Value) -> set[str]:
    listed = value if isinstance(value, list) else [value]
    return {item for item in map(as_category, listed) if item}


def _with_missing(
    column: Column,
    places: NDArray[np.int64],
    count: int,
    missing: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One cell for every row: those without a value have that of `missing`."""
    at = np.full(count, missing, dtype=np.int64)
    at[np.asarray(column.rows, dtype=np.int64)] = places
    return np.arange(count, dtype=np.int64), at


def _rounded(weight: float) -> float:
    return round(float(weight), _DIGITS) + 0.0
