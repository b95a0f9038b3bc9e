"""
Attribution: how a win is shared out among the touchpoints that led to it.

    first, last   all of it to the earliest, or the latest
    linear        the same to each
    position      40 % to the earliest, 40 % to the latest, the rest evenly to those between
    decay         half as much for each `HALF_LIFE` that a touchpoint lies before the latest

Shares are whole millionths by the method of the largest remainder, so that those of one win always come to `WHOLE`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schema.kpi.measures import MODELS

if TYPE_CHECKING:
    from collections.abc import Sequence

WHOLE: Final = 1_000_000
HALF_LIFE_MS: Final = 7 * 86_400_000
_FINE: Final = 1_000_000_000
_ENDS: Final = (2, 5)
"""Of so many, so many to either end: two fifths."""


def shares(model: str, times: Sequence[int]) -> list[int]:
    """
    Share a win out among touchpoints at `times`, in milliseconds, the earliest first; at least one.

    Returns millionths in the same order; they come to `WHOLE`. Raises KeyError for an unknown model.
    """
    return _whole(_WEIGHTS[model](times))


def all_shares(times: Sequence[int]) -> dict[str, list[int]]:
    """Share a win out by every model."""
    return {model: shares(model, times) for model in MODELS}


def _first(times: Sequence[int]) -> list[int]:
    return [1, *([0] * (len(times) - 1))]


def _last(times: Sequence[int]) -> list[int]:
    return [*([0] * (len(times) - 1)), 1]


def _linear(times: Sequence[int]) -> list[int]:
    return [1] * len(times)


def _position(times: Sequence[int]) -> list[int]:
    between = len(times) - 2
    if between < 1:
        return [1] * len(times)
    part, of = _ENDS
    return [part * between, *([of - 2 * part] * between), part * between]


def _decay(times: Sequence[int]) -> list[int]:
    return [round(_FINE * 2.0 ** ((time - times[-1]) / HALF_LIFE_MS)) for time in times]


_WEIGHTS: Final = {"first": _first, "last": _last, "linear": _linear, "position": _position, "decay": _decay}


def _whole(weights: Sequence[int]) -> list[int]:
    """Share `WHOLE` out by weights; what is left over goes to the largest remainders, of equal ones to the earliest."""
    together = sum(weights)
    found = [weight * WHOLE // together for weight in weights]
    rest = sorted(range(len(weights)), key=lambda at: -(weights[at] * WHOLE % together))
    for at in rest[: WHOLE - sum(found)]:
        found[at] += 1
    return found
