"""
Stays: how opportunities went from stage to stage, and what that says of one that is open.

`stays` reads the changes of many; the rest asks of them: how probable a sale is from a stage (`chance`), and how long a
silence is longer than usual there (`patience`). One that is still open is censored: it has stayed at least so long.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from itertools import groupby, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from schema.journey.pipeline import Stage

ENOUGH: Final = 20
"""So many others, and own history is believed: decided ones for a probability, those that went on for a silence."""
PRIOR: Final = 10
"""What the journey says of a stage counts as much as so many decided ones."""
LEVEL: Final = 0.8
"""Of the intervals that are told: so probable it is that the true value lies within."""
SHARE: Final = 0.9
"""Of those that went on so many were quieter for less long."""
_LEAST: Final = 0.01


class Change(NamedTuple):
    """One thing that happened to an opportunity: `opened`, `stage`, `won`, `lost`, `reopened`, or anything else."""

    opportunity_id: str
    at: datetime
    what: str
    stage: str | None = None


class Stay(NamedTuple):
    """
    One visit of a stage. `to`: the next stage, `won` or `lost`; None: it is still there.

    `quietest_s`: the longest time in it without anything happening, until `now` for one that is still there.
    """

    opportunity_id: str
    stage: str
    to: str | None
    seconds: float
    quietest_s: float

    @property
    def went_on(self) -> bool:
        """Whether it led to anything but a loss."""
        return self.to not in {None, "lost"}


class Chance(NamedTuple):
    """
    How probable a sale is, 0 to 1, and what that rests on.

    `given`: somebody said so. `history`: `won` of the `decided` ones that were ever at this stage, drawn towards what
    the journey says of it; with the bounds of an 80 % interval. `stage`: what the journey says.
    """

    value: float
    basis: Literal["given", "history", "stage"]
    low: float | None = None
    high: float | None = None
    decided: int = 0
    won: int = 0


class Patience(NamedTuple):
    """How long may nothing happen; `rests_on` so many others that went on, or (None) on what the journey says."""

    limit: timedelta
    rests_on: int | None


def stays(changes: Iterable[Change], now: datetime) -> list[Stay]:
    """Read the visits of stages off changes, which come in order, opportunity by opportunity."""
    found: list[Stay] = []
    for opportunity_id, own in groupby(changes, key=attrgetter("opportunity_id")):
        stage: str | None = None
        moments: list[datetime] = []
        for change in own:
            moments.append(change.at)
            if change.what in {"won", "lost"} and stage:
                found.append(_stay(opportunity_id, stage, change.what, moments))
                stage = None
            elif change.what in {"opened", "stage", "reopened"} and change.stage:
                if stage:
                    found.append(_stay(opportunity_id, stage, change.stage, moments))
                stage, moments = change.stage, [change.at]
        if stage:
            found.append(_stay(opportunity_id, stage, None, [*moments, now]))
    return found


def _stay(opportunity_id: str, stage: str, to: str | None, moments: Sequence[datetime]) -> Stay:
    quietest = max(((b - a).total_seconds() for a, b in pairwise(moments)), default=0.0)
    return Stay(opportunity_id, stage, to, (moments[-1] - moments[0]).total_seconds(), max(quietest, 0.0))


def chance(stage: Stage | None, given: float | None, counts: tuple[int, int] = (0, 0)) -> Chance | None:
    """
    How probable a sale is for an opportunity at a stage; None for a stage that the journey does not have any more.

    `counts` are the decided ones that were ever there, and how many of them were won. From `ENOUGH` decided ones on
    they are believed: the mean of the beta distribution that begins as the journey's figure with the weight of `PRIOR`
    decided ones.
    """
    decided, won = counts
    if given is not None:
        return Chance(given, "given")
    if stage is None:
        return None
    said = stage.probability / 100
    if decided < ENOUGH:
        return Chance(said, "stage", decided=decided, won=won)
    from scipy.special import betaincinv  # noqa: PLC0415 - a quarter of a second, only where there is history

    centre = min(max(said, _LEAST), 1 - _LEAST)
    a, b = centre * PRIOR + won, (1 - centre) * PRIOR + decided - won
    low, high = (float(betaincinv(a, b, share)) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Chance(round(a / (a + b), 4), "history", round(low, 4), round(high, 4), decided, won)


def patience(stage: Stage, seen: Iterable[Stay]) -> Patience | None:
    """
    How long nothing may happen at a stage before it is told; None while there is no telling.

    `seen` are visits of this stage. What the journey says goes first; else it is the time below which the longest
    silence of nine in ten stayed that went on from there, with those that are still there counted as quiet for at
    least as long as they are (Kaplan and Meier's estimate).
    """
    if stage.quiet is not None:
        return Patience(stage.quiet, None)
    spans = [(stay.quietest_s, stay.went_on) for stay in seen if stay.to != "lost"]
    went_on = sum(ended for _, ended in spans)
    if went_on < ENOUGH:
        return None
    point = survival_point(spans, SHARE)
    return None if point is None else Patience(timedelta(seconds=point), went_on)


def survival_point(spans: Iterable[tuple[float, bool]], share: float) -> float | None:
    """The length that `share` of all do not exceed; spans that have not ended are censored. None: not to be told."""
    at: dict[float, list[bool]] = defaultdict(list)
    for length, ends in spans:
        at[length].append(ends)
    left, survive = sum(map(len, at.values())), 1.0
    for length, ended in sorted(at.items()):
        survive *= 1 - sum(ended) / left
        left -= len(ended)
        if survive <= 1 - share + 1e-9:
            return length
    return None


def by_stage(seen: Iterable[Stay]) -> Mapping[str, list[Stay]]:
    """Visits by their stage."""
    found: dict[str, list[Stay]] = defaultdict(list)
    for stay in seen:
        found[stay.stage].append(stay)
    return found
