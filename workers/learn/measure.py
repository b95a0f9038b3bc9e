"""
How good a model is, measured on leads it has not seen that came after those it has.

Each row weighs what its lead's share of rows is, so that every lead counts once.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sklearn.metrics import roc_auc_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

_TENTHS: Final = 10
_TOP: Final = 0.2
_NORMAL_95: Final = 1.959964
_SURE: Final = 1e-9


def measure(probability: Floats, won: Flags, weight: Floats, first: Flags, base_rate: float) -> dict[str, Any]:
    """
    Compare probabilities with what became of the leads.

    `first` are the rows on arrival. `base_rate` is what one would say of every lead without a model: the share that was
    won just before. `auc` is the chance that a won lead is ranked before a lost one, `auc_95` where it lies with 95 %
    certainty (Hanley and McNeil 1982); `calibration_error` is the mean distance of told and true share over tenths.
    """
    auc = area(probability, won, weight)
    leads_won, leads_lost = int((won & first).sum()), int((~won & first).sum())
    low, high = _interval(auc, leads_won, leads_lost)
    tenths = _tenths(probability, won, weight)
    constant = np.full(len(won), base_rate)
    log_loss, log_loss_base = (_log_loss(each, won, weight) for each in (probability, constant))
    share = float(np.average(won, weights=weight))
    top_share, top_holds = _top(probability, won, weight)
    return {
        "leads": leads_won + leads_lost,
        "won": leads_won,
        "won_share": round(share, 4),
        "auc": round(auc, 4),
        "auc_95": [round(low, 4), round(high, 4)],
        "auc_on_arrival": round(area(probability[first], won[first], weight[first]), 4),
        "log_loss": round(log_loss, 5),
        "log_loss_base": round(log_loss_base, 5),
        "brier": round(_brier(probability, won, weight), 5),
        "brier_base": round(_brier(constant, won, weight), 5),
        "calibration_error": round(sum(t["share"] * abs(t["predicted"] - t["observed"]) for t in tenths), 4),
        "calibration": [{name: round(value, 4) for name, value in tenth.items()} for tenth in tenths],
        "top_fifth": {"lift": round(top_share / share, 2), "holds": round(top_holds, 4)},
        "better": log_loss < log_loss_base and low > 0.5,  # noqa: PLR2004 - half is what guessing gives
    }


def area(probability: Floats, won: Flags, weight: Floats) -> float:
    """The area under the ROC curve; a half where there is nothing to tell apart."""
    if won.all() or not won.any():
        return 0.5
    return float(roc_auc_score(won, probability, sample_weight=weight))


def _interval(auc: float, won: int, lost: int) -> tuple[float, float]:
    above, below = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    spread = auc * (1 - auc) + (won - 1) * (above - auc * auc) + (lost - 1) * (below - auc * auc)
    half = _NORMAL_95 * math.sqrt(max(0.0, spread) / (won * lost)) if won and lost else 0.5
    return max(0.0, auc - half), min(1.0, auc + half)


def _log_loss(probability: Floats, won: Flags, weight: Floats) -> float:
    sure = np.clip(np.where(won, probability, 1 - probability), _SURE, 1.0)
    return float(np.average(-np.log(sure), weights=weight))


def _brier(probability: Floats, won: Flags, weight: Floats) -> float:
    return float(np.average((probability - won) ** 2, weights=weight))


def _tenths(probability: Floats, won: Flags, weight: Floats) -> list[dict[str, float]]:
    """Ten groups of equal weight, from the least to the most likely; equal probabilities stay together."""
    order = np.argsort(probability, kind="stable")
    ranked, total = probability[order], float(weight.sum())
    through = np.cumsum(weight[order]) / total
    places = np.searchsorted(through, np.arange(1, _TENTHS) / _TENTHS)
    edges = sorted({int(np.searchsorted(ranked, ranked[place], side="left")) for place in places} | {0, len(ranked)})
    groups = [order[start:end] for start, end in pairwise(edges) if end > start]
    return [
        {
            "predicted": float(np.average(probability[group], weights=weight[group])),
            "observed": float(np.average(won[group], weights=weight[group])),
            "share": float(weight[group].sum()) / total,
        }
        for group in groups
    ]


def _top(probability: Floats, won: Flags, weight: Floats) -> tuple[float, float]:
    """Of the fifth ranked first: the share that was won, and how much of all that was won it holds."""
    order = np.argsort(-probability, kind="stable")
    through = np.cumsum(weight[order]) / weight.sum()
    cut = min(int(np.searchsorted(through, _TOP)), len(order) - 1)
    # Of those told the same as the last one in the fifth, each counts in part: their order says nothing.
    above = probability > probability[order[cut]]
    level = probability == probability[order[cut]]
    part = (_TOP * weight.sum() - weight[above].sum()) / weight[level].sum()
    wins = float((weight * won)[above].sum() + part * (weight * won)[level].sum())
    return wins / (_TOP * float(weight.sum())), wins / float((weight * won).sum())
