"""
Machines: which clicks and openings are a security scanner's, not a person's?

Scanners open a message and follow its links before its reader does: several at once, or sooner after it went out than
anybody can read. Such touchpoints stay in the record and give no points.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal

import msgspec

from schema.facts import Touch
from schema.journey.model import Machines

_SENT = ".sent"
"""How the kind of a touchpoint ends that is a message of ours going out, as in `email.sent`."""


class Uncounted(msgspec.Struct, frozen=True, gc=False):
    """
    Touchpoints that give no points, and why.

    `burst`, `after_send` and `flagged` are a machine's; `limit` is more than the rule counts within its time. Of
    bursts, `times` is how many there were, and `within_s` how long the longest took, in seconds.
    """

    rule: str
    why: Literal["burst", "after_send", "flagged", "limit"]
    touchpoints: int
    times: int = 1
    within_s: float = 0.0

    def explain(self) -> dict[str, Any]:
        """JSON-ready."""
        told = {"rule": self.rule, "why": self.why, "touchpoints": self.touchpoints}
        return {**told, "times": self.times, "within_s": self.within_s} if self.why == "burst" else told


def by_machines(touches: Sequence[Touch], rules: Machines) -> tuple[set[str], list[Uncounted]]:
    """
    The ids of the touchpoints that a machine made, and the same in words, by kind.

    What its sender calls a machine's says nothing about its neighbours: it does not make a burst of them.
    """
    suspects = [touch for touch in touches if touch.kind in rules.kinds]
    sent = sorted(touch.occurred_at for touch in touches if touch.kind.endswith(_SENT)) if suspects else []
    if not sent and len(suspects) < rules.burst and not any(touch.machine for touch in suspects):
        return set(), []
    suspects.sort(key=attrgetter("occurred_at", "id"))
    flagged = [touch for touch in suspects if touch.machine]
    others = [touch for touch in suspects if not touch.machine]
    bursts = list(_bursts(others, rules))
    told = {touch.id for burst in bursts for touch in burst}
    soon = [touch for touch in others if touch.id not in told and _too_soon(touch, sent, rules)]
    uncounted = [_burst(kinds, found) for kinds, found in _by_kinds(bursts).items()]
    uncounted += [Uncounted(kind, "after_send", count) for kind, count in _counted(soon)]
    uncounted += [Uncounted(kind, "flagged", count) for kind, count in _counted(flagged)]
    return told | {touch.id for touch in (*soon, *flagged)}, uncounted


def _bursts(touches: Sequence[Touch], rules: Machines) -> Iterable[Sequence[Touch]]:
    """Runs of touchpoints (given in order of time) in which `burst` or more come within `within`."""
    first, runs = 0, list[list[int]]()
    for last, touch in enumerate(touches):
        while touch.occurred_at - touches[first].occurred_at > rules.within:
            first += 1
        if last - first + 1 >= rules.burst:
            if runs and first <= runs[-1][1]:
                runs[-1][1] = last
            else:
                runs.append([first, last])
    return [touches[start : end + 1] for start, end in runs]


def _too_soon(touch: Touch, sent: Sequence[datetime], rules: Machines) -> bool:
    before = bisect_right(sent, touch.occurred_at)
    return before > 0 and touch.occurred_at - sent[before - 1] < rules.after_send


def _counted(touches: Iterable[Touch]) -> list[tuple[str, int]]:
    return sorted(Counter(touch.kind for touch in touches).items())


def _by_kinds(bursts: Iterable[Sequence[Touch]]) -> dict[str, list[Sequence[Touch]]]:
    found: dict[str, list[Sequence[Touch]]] = {}
    for burst in bursts:
        found.setdefault(" and ".join(sorted({touch.kind for touch in burst})), []).append(burst)
    return dict(sorted(found.items()))


def _burst(kinds: str, bursts: Sequence[Sequence[Touch]]) -> Uncounted:
    longest = max((burst[-1].occurred_at - burst[0].occurred_at).total_seconds() for burst in bursts)
    return Uncounted(kinds, "burst", sum(map(len, bursts)), len(bursts), round(longest, 1))
