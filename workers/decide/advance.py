"""
Advance: which moves does a lead make by itself now, and when does it want to be looked at again?

Transitions are tried in the order of the journey; the first that may happen is made, and the new state is looked at in
turn. Only forward: never to a state that the lead has been in during this run, so there is always an end. A lead that
comes back from a no stops where it comes back to: it is scored and routed first.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from schema import lifecycle
from schema.facts import Facts
from schema.journey.expressions import Expression, Unknown
from schema.journey.model import Journey, Way


class Move(msgspec.Struct, frozen=True, gc=False):
    """
    One move, in the order it is to be recorded.

    `guard` is the expression that held, `after` how long the lead had to be in its state; each where there is one.
    `opportunity`: it follows what became of an opportunity.
    """

    name: str
    from_state: str
    to_state: str
    reason: str
    guard: str
    trigger: Literal["automatic", "requalify", "manual", "opportunity"] = "automatic"
    after: timedelta | None = None

    def explain(self) -> dict[str, Any]:
        """JSON-ready."""
        told: dict[str, Any] = {
            "name": self.name,
            "from_state": self.from_state,
            "to_state": self.to_state,
            "reason": self.reason,
            "guard": self.guard,
        }
        if self.trigger != "automatic":
            told["trigger"] = self.trigger
        if self.after:
            told["after_s"] = int(self.after.total_seconds())
        return told


class Considered(msgspec.Struct, frozen=True, gc=False):
    """
    One transition that was looked at; `missing` are the fields its guard would have needed.

    `too early`: the lead is not in its state for long enough, that is `until` then. `no look`: it is for leads that
    were told no and are looked at again, which this one is not.
    """

    state: str
    transition: str
    verdict: Literal["made", "not yet", "unknown", "too early", "no look"]
    missing: tuple[str, ...] = ()
    until: datetime | None = None

    def explain(self) -> dict[str, Any]:
        """JSON-ready."""
        told: dict[str, Any] = {"state": self.state, "transition": self.transition, "verdict": self.verdict}
        if self.missing:
            told["missing"] = list(self.missing)
        if self.until:
            told["until"] = self.until.isoformat()
        return told


class Overdue(msgspec.Struct, frozen=True, gc=False):
    """The lead is in `state` since `since`, which is longer than the `sla` that the journey has for it."""

    state: str
    since: datetime
    sla: timedelta

    def explain(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"state": self.state, "since": self.since.isoformat(), "sla_s": int(self.sla.total_seconds())}


class Advance(msgspec.Struct, frozen=True, gc=False):
    """
    The moves to make, in order (often none), and every transition that was looked at on the way.

    `overdue` is set when it has to be told now. `look_again`: when time alone may change something; None: never.
    """

    moves: tuple[Move, ...]
    considered: tuple[Considered, ...]
    overdue: Overdue | None = None
    look_again: datetime | None = None

    @property
    def state(self) -> str | None:
        """The state after the last move; None when the lead stays where it is."""
        return self.moves[-1].to_state if self.moves else None

    @property
    def comes_back(self) -> bool:
        """Whether the lead comes back from a no: what follows qualification has to be done before anything else."""
        return bool(self.moves) and self.moves[-1].trigger == "requalify"

    def explain(self) -> dict[str, Any]:
        """The record for the table `decision`."""
        told: dict[str, Any] = {
            "moves": [move.explain() for move in self.moves],
            "considered": [looked.explain() for looked in self.considered],
        }
        if self.overdue:
            told["overdue"] = self.overdue.explain()
        return told


def next_moves(facts: Facts, journey: Journey, now: datetime) -> Advance:
    """The moves of one lead at `now`: at most one for each state of the journey."""
    state, since, told = facts.state, facts.entered_at, facts.overdue
    visited = {*facts.visited, state}
    moves: list[Move] = []
    considered: list[Considered] = []
    while move := _first(facts, journey, state, since, visited, considered, now):
        moves.append(move)
        state, since, told = move.to_state, now, False
        visited.add(state)
        if move.trigger == "requalify":
            break
    overdue, moments = None, []
    there = journey.lifecycle.get(state)
    if there is not None and since is not None and not there.final and not facts.quiet:
        if there.sla is not None and not told:
            overdue = Overdue(state, since, there.sla) if since + there.sla <= now else None
            moments.append(since + there.sla)
        ways = journey.automatic[state]
        moments += [since + way.transition.after for way in ways if way.transition.after is not None]
    ahead = [moment for moment in moments if moment > now]
    return Advance(tuple(moves), tuple(considered), overdue, min(ahead) if ahead else None)


def _first(
    facts: Facts,
    journey: Journey,
    state: str,
    since: datetime | None,
    visited: set[str],
    considered: list[Considered],
    now: datetime,
) -> Move | None:
    """The first move out of `state` that may be made; notes everything it looks at."""
    for way in lifecycle.automatic(journey, state, visited):
        looked = _looked(facts, journey, state, since, way, now)
        considered.append(looked)
        if looked.verdict == "made":
            _, target, transition = way
            guard = transition.when.source if transition.when else ""
            reason = _reason(facts, way)
            return Move(way.name, state, target, reason, guard, transition.trigger, transition.after)
    return None


def _looked(facts: Facts, journey: Journey, state: str, since: datetime | None, way: Way, now: datetime) -> Considered:
    """Whether one way out of `state` may be taken by itself, and if not, why."""
    name, _, transition = way
    if transition.trigger == "requalify" and not _comes_back(facts):
        return Considered(state, name, "no look")
    if transition.after is not None:
        until = since + transition.after if since and not facts.quiet else None
        if until is None or until > now:
            return Considered(state, name, "too early", until=until)
    if transition.when is None:
        return Considered(state, name, "made")
    answer = transition.when.evaluate(facts.context(journey))
    if isinstance(answer, Unknown):
        return Considered(state, name, "unknown", answer.missing)
    return Considered(state, name, "made" if answer else "not yet")


def _comes_back(facts: Facts) -> bool:
    """Whether qualification has looked again at a lead that was told no, and found nothing against it any more."""
    return (facts.qualification or {}).get("again") == facts.recycled + 1


def _reason(facts: Facts, way: Way) -> str:
    """The transition's own reason; else that of the qualification, when the guard asks about it."""
    own, qualification = way.transition.reason, facts.qualification or {}
    if way.transition.trigger == "requalify" and len(own) != 1:
        return str(qualification.get("look") or "")
    if own:
        return own[0]
    asks = way.transition.when is not None and _asks_qualification(way.transition.when)
    return str(qualification.get("reason") or "") if asks else ""


def _asks_qualification(guard: Expression) -> bool:
    return any(path.startswith("qualification.") for path in guard.paths)
