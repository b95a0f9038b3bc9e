"""
From examples to a model: parts in order of time, fit, calibration, what it is worth, and the document.

    oldest 60 %   fit: a logistic regression with a penalty on large weights
    next   20 %   calibrate: the log-odds are stretched and shifted until they are right; the penalty is chosen
    newest 20 %   test: only measured

What is kept is made by the same procedure one step later: fitted on the oldest 75 %, calibrated on the newest 25 %.
Nothing is drawn by lot, so the same history gives the same version.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sklearn.linear_model import LogisticRegression

from schema.errors import Permanent
from workers.decide.predict import FORMAT
from workers.learn.encode import Encoder, make_encoders, make_matrix, parts_of, row_weights
from workers.learn.leaks import TOO_GOOD, judge_columns
from workers.learn.measure import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from scipy import sparse

    from workers.learn.examples import Examples

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

LEAST_EACH: Final = 50
"""Won leads, and lost ones, below which nothing is learned."""
LEAST: Final = 200
"""Decided leads below which nothing is learned."""
LEAST_IN_PART: Final = 10
"""Won leads, and lost ones, that the parts for calibration and test need."""
_VALIDATE: Final = (0.0, 0.6, 0.8, 1.0)
_FINAL: Final = (0.0, 0.75, 1.0)
_PENALTIES: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Inverse strengths: the first is the strongest."""
_TRUST: Final = 4.0
"""How much the calibration holds to a stretch of 1: as much as a few leads speak for another."""
_MOST_STEPS: Final = 200
_WIDEST_FOR_NEWTON: Final = 1000
_STILL: Final = 1e-12
_MOST_VALUES_TOLD: Final = 3
_MOST_UNDECIDED: Final = 0.2
_SURE_OF_DRIFT: Final = 3.0
"""Standard errors."""


class TooLittleHistory(Permanent):
    """There is not enough to learn from yet; the sentence says how much more is needed."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Weights on the columns of encoders, with the calibration in them."""

    encoders: Sequence[Encoder]
    weights: Floats
    intercept: float
    stretch: float
    shift: float

    def probabilities(self, matrix: sparse.csr_matrix) -> Floats:
        """What it says of each row."""
        log_odds = np.asarray(matrix @ self.weights, dtype=np.float64) + self.intercept
        return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -700, 700))), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Trained:
    """A model as it is kept. `fitted` is the procedure's own result, which the document repeats."""

    version: str
    document: dict[str, Any]
    fitted: Fitted

    @property
    def better(self) -> bool:
        """Whether it knows more, on leads it has not seen, than the share that is won anyway."""
        return bool(self.document["report"]["test"]["better"])


def learn(
    examples: Examples,
    *,
    journey: str | None = None,
    leave_out: Sequence[str] = (),
    keep: Sequence[str] = (),
    tell: Callable[[str], object] = lambda _: None,
) -> Trained:
    """
    Learn a model from examples; `tell` hears what is being done.

    :raises TooLittleHistory: `history_too_short`
    :raises Permanent: `feature_unknown`, a name to leave out or to keep that no lead has; `nothing_to_learn_from`
    """
    _check_names(examples, (*leave_out, *keep))
    _check_enough(examples)
    tell("looking for what was written down after the outcome")
    kept, left = judge_columns(examples, leave_out, keep)
    ranks = _ranks(examples)
    won, weight = np.asarray(examples.won)[_leads(examples)], row_weights(examples)
    first = np.diff(_leads(examples), prepend=-1) != 0

    fit, calibrate, test = _parts(examples, ranks, _VALIDATE)
    named = (
        (fit, "those of the older three fifths"),
        (calibrate, "those of the fifth before the newest"),
        (test, "those of the newest fifth"),
    )
    for part, name in named:
        _check_part(won[part & first], name)
    tell("fitting on older leads, testing on newer ones")
    encoders = make_encoders(examples, kept, left, fit)
    if not encoders:
        raise Permanent("nothing_to_learn_from", "Nothing is known about these leads that differs between them.")
    matrix = make_matrix(examples, encoders)
    penalty, tested = _choose(encoders, matrix, won, weight, fit, calibrate)
    base_rate = float(np.average(won[calibrate], weights=weight[calibrate]))
    measured = measure(tested.probabilities(matrix[test]), won[test], weight[test], first[test], base_rate)

    tell("fitting the model that is kept")
    older, newer = _parts(examples, ranks, _FINAL)
    encoders = make_encoders(examples, kept, left, older)
    matrix = make_matrix(examples, encoders)
    fitted = _calibrated(encoders, _fit(matrix, won, weight, older, penalty), matrix, won, weight, newer)
    means = np.asarray(matrix.multiply(weight[:, None]).sum(axis=0)).ravel() / weight.sum()
    features, average = parts_of(encoders, fitted.weights, means)
    notes = [*examples.notes, *_notes(examples), *_drift(base_rate, measured), *_too_good(measured, keep)]
    document = {
        "format": FORMAT,
        "journey": journey,
        "base": round(fitted.intercept + average, 12),
        "features": features,
        "learned": _learned(examples) | {"penalty": penalty, "stretch": round(fitted.stretch, 6)},
        "report": {
            "test": measured | _period(examples, ranks, _VALIDATE[2]),
            "factors": _factors(features, encoders, fitted.weights, matrix, weight),
            "left_out": [part._asdict() for part in left],
            "notes": notes,
        },
    }
    return Trained(version_of(document), document, fitted)


def version_of(document: dict[str, Any]) -> str:
    """The first 12 hex digits of the SHA-256 of what the document says."""
    written = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()[:12]


def _check_names(examples: Examples, names: Sequence[str]) -> None:
    for name in names:
        if name not in examples.columns:
            there = ", ".join(sorted(examples.columns))
            raise Permanent("feature_unknown", f"No lead has anything named {name}. There is: {there}.")


def _check_enough(examples: Examples) -> None:
    won = sum(examples.won)
    lost = len(examples.won) - won
    needed = [
        f"{LEAST_EACH - number} more {name}" for number, name in ((won, "won"), (lost, "lost")) if number < LEAST_EACH
    ]
    rest = LEAST - max(won, LEAST_EACH) - max(lost, LEAST_EACH)
    if rest > 0:
        needed.append(f"{rest} {'others' if needed else 'more of either'}")
    if needed:
        raise TooLittleHistory(
            "history_too_short",
            f"There is too little history to learn from: {won} won and {lost} lost leads"
            f"{f', {examples.undecided} undecided' if examples.undecided else ''}. "
            f"Needed are {LEAST_EACH} of each and {LEAST} together: {_and(needed)}.",
            won=won,
            lost=lost,
        )


def _and(parts: Sequence[str]) -> str:
    return ", ".join([*parts[:-2], " and ".join(parts[-2:])])


def _check_part(won: Flags, name: str) -> None:
    wins, losses = int(won.sum()), int((~won).sum())
    if min(wins, losses) < LEAST_IN_PART:
        missing = [
            f"{LEAST_IN_PART - number} more {side}"
            for number, side in ((wins, "won"), (losses, "lost"))
            if number < LEAST_IN_PART
        ]
        raise TooLittleHistory(
            "history_too_short",
            f"Won and lost leads lie too far apart in time to test on: of all leads in order of time, {name} hold "
            f"{wins} won and {losses} lost. Needed are {LEAST_IN_PART} of each: {' and '.join(missing)}.",
            won=wins,
            lost=losses,
        )


def _leads(examples: Examples) -> NDArray[np.int64]:
    return np.asarray(examples.lead, dtype=np.int64)


def _ranks(examples: Examples) -> NDArray[np.int64]:
    """The place of each lead in order of time."""
    order = sorted(range(len(examples.won)), key=lambda lead: (examples.arrived[lead], lead))
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


def _parts(examples: Examples, ranks: NDArray[np.int64], bounds: Sequence[float]) -> list[Flags]:
    """Rows by the place of their lead in order of time, between one bound and the next."""
    place = ranks[_leads(examples)]
    edges = [round(bound * len(ranks)) for bound in bounds]
    return [(place >= start) & (place < end) for start, end in pairwise(edges)]


def _period(examples: Examples, ranks: NDArray[np.int64], bound: float) -> dict[str, str]:
    """When the leads beyond the bound arrived."""
    edge = round(bound * len(ranks))
    times = [at for at, rank in zip(examples.arrived, ranks, strict=True) if rank >= edge]
    return {"from": min(times).isoformat(), "until": max(times).isoformat()}


def _choose(
    encoders: Sequence[Encoder],
    matrix: sparse.csr_matrix,
    won: Flags,
    weight: Floats,
    fit: Flags,
    calibrate: Flags,
) -> tuple[float, Fitted]:
    """The penalty whose model is most right about the part that it is calibrated on, and that model."""
    best: tuple[float, float, Fitted] | None = None
    for penalty in _PENALTIES:
        raw = _fit(matrix, won, weight, fit, penalty)
        fitted = _calibrated(encoders, raw, matrix, won, weight, calibrate)
        told = fitted.probabilities(matrix[calibrate])
        loss = float(np.average(-np.log(np.where(won[calibrate], told, 1 - told) + _STILL), weights=weight[calibrate]))
        if best is None or loss < best[0] - 1e-9:
            best = (loss, penalty, fitted)
    assert best is not None  # noqa: S101 - there are penalties
    return best[1], best[2]


def _fit(matrix: sparse.csr_matrix, won: Flags, weight: Floats, part: Flags, penalty: float) -> tuple[Floats, float]:
    # Newton's method takes five steps where features go together and others take hundreds; it needs width squared.
    solver = "newton-cholesky" if matrix.shape[1] <= _WIDEST_FOR_NEWTON else "lbfgs"
    model = LogisticRegression(C=penalty, tol=1e-6, max_iter=5000, solver=solver)
    model.fit(matrix[part], won[part], sample_weight=weight[part])
    return np.asarray(model.coef_[0], dtype=np.float64), float(model.intercept_[0])


def _calibrated(
    encoders: Sequence[Encoder],
    raw: tuple[Floats, float],
    matrix: sparse.csr_matrix,
    won: Flags,
    weight: Floats,
    part: Flags,
) -> Fitted:
    """Stretch and shift log-odds so that they are right about a later part (Platt 1999), and fold that in."""
    weights, intercept = raw
    log_odds = np.asarray(matrix[part] @ weights, dtype=np.float64) + intercept
    stretch, shift = _platt(log_odds, won[part], weight[part])
    return Fitted(encoders, weights * stretch, intercept * stretch + shift, stretch, shift)


def _platt(log_odds: Floats, won: Flags, weight: Floats) -> tuple[float, float]:
    """Newton's method on two numbers; a model that is wrong way round is stretched to nothing."""
    stretch, shift = 1.0, 0.0
    for _ in range(_MOST_STEPS):
        told = 1 / (1 + np.exp(-np.clip(stretch * log_odds + shift, -700, 700)))
        wrong, slack = weight * (told - won), weight * told * (1 - told)
        down = np.array([wrong @ log_odds + _TRUST * (stretch - 1), wrong.sum()])
        bend = np.array(
            [
                [slack @ (log_odds * log_odds) + _TRUST, slack @ log_odds],
                [slack @ log_odds, slack.sum() + _STILL],
            ]
        )
        step = np.linalg.solve(bend, down)
        # No step is longer than 1: far from the answer, the bend says little.
        step = np.clip(step, -1.0, 1.0)
        stretch, shift = stretch - float(step[0]), shift - float(step[1])
        if float(np.abs(step).max()) < _STILL:
            break
    if stretch <= 0:
        share = float(np.average(won, weights=weight))
        return 0.0, math.log(share / (1 - share))
    return stretch, shift


def _learned(examples: Examples) -> dict[str, Any]:
    won = sum(examples.won)
    return {
        "leads": len(examples.won),
        "won": won,
        "lost": len(examples.won) - won,
        "undecided": examples.undecided,
        "at_once": examples.at_once,
        "from": min(examples.arrived).isoformat(),
        "until": max(examples.arrived).isoformat(),
        "journeys": sorted(examples.journeys),
    }


def _notes(examples: Examples) -> list[str]:
    total = len(examples.won) + examples.undecided
    notes = []
    if examples.undecided > _MOST_UNDECIDED * total:
        notes.append(
            f"{examples.undecided} of {total} leads are undecided and were not learned from: if losses are not "
            "recorded, or only after long, --lost-after counts leads as lost that nothing was heard of for so long"
        )
    if examples.at_once:
        notes.append(f"{examples.at_once} leads were decided the moment they came: there was nothing to predict")
    return notes


def _drift(base_rate: float, measured: dict[str, Any]) -> list[str]:
    """Say so if as many leads are won no more, or not yet, as were: then what is told is off by as much."""
    share, leads = measured["won_share"], measured["leads"]
    if abs(share - base_rate) <= _SURE_OF_DRIFT * math.sqrt(base_rate * (1 - base_rate) / leads):
        return []
    said = (
        f"{share:.1%} of the newest fifth were won, {base_rate:.1%} of those just before: no model can foresee such a "
        "change, and the shares told are off by about as much; learn again when more is known"
    )
    return [said]


def _too_good(measured: dict[str, Any], keep: Sequence[str]) -> list[str]:
    """Say so if it is more than can be foreseen, as a rule."""
    if measured["auc"] <= TOO_GOOD:
        return []
    suspects = f" ({', '.join(keep)} was kept by your wish)" if keep else ""
    said = "an AUC this high is hardly ever foresight: make sure that the top factors are known before the outcome"
    return [f"{said}{suspects}"]


def _factors(
    features: Sequence[dict[str, Any]],
    encoders: Sequence[Encoder],
    weights: Floats,
    matrix: sparse.csr_matrix,
    weight: Floats,
) -> list[dict[str, Any]]:
    """
    The features by how much they move predictions: the spread of the log-odds they add.

    `up` and `down` are their values that make a win more or less likely, by which factor on the odds.
    """
    told, start = [], 0
    for part, encoder in zip(features, encoders, strict=True):
        added = np.asarray(matrix[:, start : start + encoder.width] @ weights[start : start + encoder.width])
        start += encoder.width
        middle = float(np.average(added, weights=weight))
        spread = math.sqrt(float(np.average((added - middle) ** 2, weights=weight)))
        ranked = sorted(_values(part), key=lambda value: -value[1])
        up = [{"value": name, "odds": round(math.exp(odds), 3)} for name, odds in ranked if odds > 0]
        down = [{"value": name, "odds": round(math.exp(odds), 3)} for name, odds in reversed(ranked) if odds < 0]
        told.append(
            {
                "feature": encoder.name,
                "spread": round(spread, 4),
                "up": up[:_MOST_VALUES_TOLD],
                "down": down[:_MOST_VALUES_TOLD],
            }
        )
    return sorted(told, key=lambda factor: (-factor["spread"], factor["feature"]))


def _values(part: dict[str, Any]) -> list[tuple[str | float, float]]:
    """The values of a feature with what each adds."""
    if part["kind"] == "number":
        return [(at, odds) for at, odds in part["points"]]
    if part["kind"] == "given":
        return [("given", part["given"]), ("missing", part["missing"])]
    base = part.get("base", 0.0)
    return [(name, base + odds) for name, odds in part["weights"].items()] + [("missing", part["missing"])]
