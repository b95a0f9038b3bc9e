"""
Bottlenecks: where leads wait, what waits there, and what it would gain if nobody had to.

A place is a state, a hand-over between departments, or the first word of ours (`first_act`). Waiting ends when somebody
of ours first acts; where that is not known, what is longer than the fastest quarter needs counts as waiting. Places are
ranked by the days that the leads of a month would no longer lose (`GAIN`). Little's law (L = λ·W; Little 1961) is held
against what was counted. Pure: `schema/store/flows.py` reads the buckets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from schema.kpi import bins
from schema.lift import wilson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["state", "handover", "first_act"]
ENOUGH: Final = 20
"""So many that were over within the window, or wait at its end, before a place is ranked among the others."""
MONTH: Final = 30.4375
DAY_S: Final = 86_400
AGREES: Final = 0.25
"""Little's law agrees where the two sides are no further apart than this share of the larger one."""
_NOT_WAITING: Final = {"share": None, "mean_s": None, "rests_on": None}
_ROUNDS: Final = 1_000
FORMULAS: Final = {
    "waiting": "mean time until somebody of ours first acts / mean stay; where that is not known, "
    "1 - (time that the fastest quarter needs / mean stay); 1 where nobody left",
    "days_per_month": "in_progress x 30.4 x waiting: days that the leads of a month would not lose without waiting; "
    "in_progress is the average of the days, and arrivals per day x mean stay where stays are shorter than a day",
    "days_sooner": "mean stay x waiting: so much sooner would a lead leave",
    "wins_per_month": "lost per month x waiting x chance of those who go on + piled up per month x chance of the "
    "state; lost ones are taken to be lost evenly over their stay, and moves that a rule of the journey decides are "
    "no losses; piled up are arrivals less completions, where that is more than chance",
    "little": "in_progress (L) against arrivals per day x mean stay (lambda x W); deviation is their difference as a "
    "share of the larger; they agree up to 0.25 in a steady state",
}
"""How the figures come about, said with them."""


class Exit(NamedTuple):
    """A way out, taken `n` times, with how long the stays were; a `loss` where no rule of the journey says so."""

    to: str
    n: int
    bins: Mapping[int, int]
    loss: bool = False
    by_rule: bool = False
    """It leads away from winning as well, but the journey itself says so."""


@dataclass(frozen=True, slots=True)
class Place:
    """
    What was counted at one place within a window of `days`.

    `levels` are how many were there at the beginning of each day and at the end of the last; empty where that is not
    known, and `average` then says how many there were on average, if that is. `wait` is how long it took until somebody
    acted, for the `wait_share` of arrivals that have such a wait; `rests_on` says whose measure it is. `rests`: leads
    are meant to stay, so it is no bottleneck. `wins`: whether it lies before winning.
    """

    kind: Kind
    name: str
    days: float
    arrivals: int
    exits: Sequence[Exit]
    levels: Sequence[int] = ()
    now: int = 0
    wait: Mapping[int, int] = field(default_factory=dict)
    wait_share: float = 1.0
    rests_on: str | None = None
    rests: bool = False
    wins: bool = False
    average: float | None = None


def chances(moved: Mapping[str, Mapping[str, int]], won: frozenset[str], ends: frozenset[str]) -> dict[str, float]:
    """
    Return how probable it is to be won from each state, by the moves between states that were counted.

    A Markov chain whose `won` states and other `ends` are not left any more, solved by going round until nothing
    changes. From a state that nobody left it is 0.
    """
    found = {state: float(state in won) for state in {*moved, *won, *ends, *(t for to in moved.values() for t in to)}}
    inner = [state for state in moved if state not in won and state not in ends and sum(moved[state].values()) > 0]
    for _ in range(_ROUNDS):
        largest = 0.0
        for state in inner:
            ways = moved[state]
            new = sum(n * found[to] for to, n in ways.items()) / sum(ways.values())
            largest, found[state] = max(largest, abs(new - found[state])), new
        if largest < 1e-12:  # noqa: PLR2004 - nothing changes any more
            break
    return found


def ranked(places: Sequence[Place], chance: Mapping[str, float]) -> list[dict[str, Any]]:
    """
    Return what is to be said of each place, the worst first: `rank` 1, 2, 3 …; None for those that are not ranked.

    `reason` says why it has no rank: `rests` (leads are meant to stay there), `nobody` (nobody was there), `small`
    (fewer than `ENOUGH` were over or wait), `no_waiting`. Small ones come behind those that have a rank, by the same
    order; then the others.
    """
    told = [_told(place, chance) for place in places]
    order = {None: 0, "small": 1, "no_waiting": 2, "rests": 3, "nobody": 4}
    told.sort(key=lambda one: (order[one["reason"]], -(one["gain"]["days_per_month"] or 0), one["kind"], one["name"]))
    for number, one in enumerate((one for one in told if one["reason"] is None), 1):
        one["rank"] = number
    return told


def _told(place: Place, chance: Mapping[str, float]) -> dict[str, Any]:
    stay = bins.added(way.bins for way in place.exits)
    over, timed = sum(way.n for way in place.exits), sum(stay.values())
    mean = mean_s(stay)
    waiting = _waiting(place, stay, mean) if not place.rests else _waiting(place, {}, None) | _NOT_WAITING
    average = _average(place)
    little = _little(place, mean, average)
    held = _held(place, mean, average)
    share = waiting["share"]
    days = None if held is None or share is None else held * MONTH * share
    reason = _reason(place, over, days)
    gain = {
        "days_per_month": _rounded(days),
        "days_sooner": _rounded(mean * share / DAY_S) if mean is not None and share is not None else None,
        "wins_per_month": _rounded(_wins(place, share, over, chance)),
    }
    return {
        "rank": None,
        "reason": reason,
        "kind": place.kind,
        "name": place.name,
        "arrivals": place.arrivals,
        "arrivals_per_day": _rounded(place.arrivals / place.days),
        "completions": over,
        "completions_per_day": _rounded(over / place.days),
        "in_progress": place.now,
        "in_progress_average": _rounded(average),
        "stay": _spread(stay, timed),
        "waiting": waiting,
        "working": _working(mean, waiting["mean_s"]),
        "little": little,
        "dropped": _dropped(place, over),
        "win_chance": _rounded(chance.get(place.name, 0.0)) if place.wins else None,
        "gain": gain,
    }


def mean_s(of: Mapping[int, int]) -> float | None:
    """Return the mean duration that bins hold, in seconds, within 1 %; None for none."""
    count = sum(of.values())
    return sum(bins.seconds_of(size) * number for size, number in of.items()) / count if count > 0 else None


def _waiting(place: Place, stay: Mapping[int, int], mean: float | None) -> dict[str, Any]:
    wait = mean_s(place.wait)
    told: dict[str, Any] = {
        "share": None,
        "mean_s": None,
        "p50_s": None,
        "p90_s": None,
        "sample": sum(place.wait.values()),
    }
    if wait is not None:
        spent = wait * place.wait_share
        if mean is not None:
            spent = min(spent, mean)
        share = 1.0 if place.kind != "state" else (spent / mean if mean else None)
        told |= {"mean_s": _rounded(spent), "p50_s": _at(place.wait, 0.5), "p90_s": _at(place.wait, 0.9)}
        return told | {"share": _rounded(share), "rests_on": place.rests_on}
    quick = bins.percentile(stay, 0.25)
    if mean is None or quick is None:
        jammed = 1.0 if place.now and not place.exits else None
        return told | {"share": jammed, "rests_on": "nobody left" if jammed else None}
    return told | {"share": _rounded(max(0.0, 1 - quick / mean)), "rests_on": "longer than the fastest quarter"}


def _working(mean: float | None, waiting: float | None) -> dict[str, Any]:
    if mean is None or waiting is None:
        return {"mean_s": None, "share": None}
    rest = max(mean - waiting, 0.0)
    return {"mean_s": _rounded(rest), "share": _rounded(rest / mean if mean else None)}


def _average(place: Place) -> float | None:
    """How many were there on average: between two midnights as many as halfway between their counts."""
    if len(place.levels) <= 1:
        return place.average
    first, last = place.levels[0], place.levels[-1]
    return max((sum(place.levels) - (first + last) / 2) / (len(place.levels) - 1), 0.0)


def _held(place: Place, mean: float | None, average: float | None) -> float | None:
    """How many are there at any moment."""
    flow = None if mean is None else place.arrivals / place.days * mean / DAY_S
    if average is None:
        waiting = float(place.now) if flow is None else None
        return waiting if flow is None else flow
    return flow if flow is not None and mean is not None and mean < DAY_S and average < flow + 1 else average


def _little(place: Place, mean: float | None, average: float | None) -> dict[str, Any]:
    rate = place.arrivals / place.days
    flow = None if mean is None else rate * mean / DAY_S
    told = {"l": _rounded(average), "lambda_per_day": _rounded(rate), "w_s": _rounded(mean), "lambda_w": _rounded(flow)}
    if average is None or flow is None or mean is None:
        return told | {"deviation": None, "agrees": None, "why_not": "not both sides are known"}
    if mean < DAY_S:
        words = "stays are shorter than a day, and are counted by day"
        return told | {"deviation": None, "agrees": None, "why_not": words}
    largest = max(average, flow)
    deviation = (average - flow) / largest if largest else 0.0
    return told | {"deviation": _rounded(deviation), "agrees": abs(deviation) <= AGREES, "why_not": None}


def _dropped(place: Place, over: int) -> dict[str, Any]:
    lost, by_rule = (sum(way.n for way in place.exits if getattr(way, name)) for name in ("loss", "by_rule"))
    told: dict[str, Any] = {"n": lost + by_rule, "by_rule": by_rule, "share": None, "low": None, "high": None}
    if over > 0:
        low, high = wilson(lost + by_rule, over)
        told |= {"share": _rounded((lost + by_rule) / over), "low": _rounded(low), "high": _rounded(high)}
    return told


def _wins(place: Place, share: float | None, over: int, chance: Mapping[str, float]) -> float | None:
    if not place.wins or share is None:
        return None
    month = MONTH / place.days
    onward = [way for way in place.exits if not way.loss and not way.by_rule]
    going = sum(way.n for way in onward)
    go_on = sum(way.n * chance.get(way.to, 0.0) for way in onward) / going if going > 0 else 0.0
    lost = sum(way.n for way in place.exits if way.loss)
    piled = place.arrivals - over
    by_chance = 2 * sqrt(place.arrivals + over)
    piling = piled * chance.get(place.name, 0.0) if piled > by_chance else 0.0
    return (lost * share * go_on + piling) * month


def _reason(place: Place, over: int, days: float | None) -> str | None:
    if not (place.arrivals or over or place.now or any(place.levels)):
        return "nobody"
    if place.rests:
        return "rests"
    if max(over, place.now) < ENOUGH:
        return "small"
    return None if days else "no_waiting"


def _spread(stay: Mapping[int, int], sample: int) -> dict[str, Any]:
    return {"mean_s": _rounded(mean_s(stay)), "p50_s": _at(stay, 0.5), "p90_s": _at(stay, 0.9), "sample": sample}


def _at(of: Mapping[int, int], share: float) -> float | None:
    return _rounded(bins.percentile(of, share))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
