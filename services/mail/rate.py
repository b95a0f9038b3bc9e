"""How much one sender may hand over: a bucket of tokens for each, filled evenly."""

from __future__ import annotations

from typing import Final

_MOST: Final = 100_000
"""Buckets that are kept; beyond them the one that was used longest ago is forgotten."""


class Buckets:
    """A bucket per key: it holds half of what a minute allows, and fills at the rate of a minute's allowance."""

    def __init__(self, per_minute: int) -> None:
        self._holds = max(per_minute / 2, 1.0)
        self._per_s = per_minute / 60
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str, now: float) -> bool:
        """Take one token; False where there is none. `now` are seconds of a clock that never goes back."""
        left, since = self._left.pop(key, (self._holds, now))
        left = min(left + (now - since) * self._per_s, self._holds)
        self._left[key] = (max(left - 1, 0.0) if left >= 1 else left, now)
        if len(self._left) > _MOST:
            del self._left[next(iter(self._left))]
        return left >= 1
