"""
Advance: which moves does a lead make by itself now?

Transitions are tried in the order of the journey; the first whose guard holds is made, and the new state is looked at
in turn. Only forward: never to a state that the lead has been in during this run, so there is always an end.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from schema import lifecycle
from schema.facts import Facts
from schema.journey.expressions import Expression, Unknown, View
from schema.journey.model import Journey


class Move(msgspec.Struct, frozen=True, gc=False):
    """One move, in the order it is to be recorded. `guard` is the expression that held."""

    name: str
    from_state: str
    to_state: str
    reason: str
    guard: str


class Considered(msgspec.Struct, frozen=True, gc=False):
    """One automatic transition that was looked at; `missing` are the fields its guard would have needed."""

    state: str
    transition: str
    verdict: Literal["made", "not yet", "unknown"]
    missing: tuple[str, ...] = ()


class Advance(msgspec.Struct, frozen=True, gc=False):
    """The moves to make, in order (often none), and every transition that was looked at on the way."""

    moves: tuple[Move, ...]
    considered: tuple[Considered, ...]

    @property
    def state(self) -> str | None:
        """The state after the last move; None when the lead stays where it is."""
        return self.moves[-1].to_state if self.moves else None

    def explain(self) -> dict[str, Any]:
        """The record for the table `decision`."""
        moves = [msgspec.structs.asdict(move) for move in self.moves]
        return {"moves": moves, "considered": [_told(looked) for looked in self.considered]}


def next_moves(facts: Facts, journey: Journey, now: datetime) -> Advance:  # noqa: ARG001
    """The moves of one lead at `now`: at most one for each state of the journey."""
    view = facts.context(journey)
    state, visited = facts.state, {*facts.visited, facts.state}
    moves: list[Move] = []
    considered: list[Considered] = []
    while move := _first(facts, journey, view, state, visited, considered):
        moves.append(move)
        state = move.to_state
        visited.add(state)
    return Advance(tuple(moves), tuple(considered))


def _first(
    facts: Facts, journey: Journey, view: View, state: str, visited: set[str], considered: list[Considered]
) -> Move | None:
    """The first move out of `state` whose guard holds; notes everything it looks at."""
    for name, target, transition in lifecycle.automatic(journey, state, visited):
        guard = transition.when
        if guard is None or transition.after is not None or transition.trigger != "automatic":
            continue
        answer = guard.evaluate(view)
        if answer is True:
            considered.append(Considered(state, name, "made"))
            return Move(name, state, target, _reason(facts, journey, name, guard), guard.source)
        missing = answer.missing if isinstance(answer, Unknown) else ()
        considered.append(Considered(state, name, "unknown" if isinstance(answer, Unknown) else "not yet", missing))
    return None


def _reason(facts: Facts, journey: Journey, name: str, guard: Expression) -> str:
    """The transition's own reason, or that of the qualification when the guard asks about it."""
    own = journey.transition(name).reason
    if own:
        return own[0]
    asks = any(path.startswith("qualification.") for path in guard.paths)
    return str((facts.qualification or {}).get("reason") or "") if asks else ""


def _told(looked: Considered) -> dict[str, Any]:
    told = {"state": looked.state, "transition": looked.transition, "verdict": looked.verdict}
    return {**told, "missing": list(looked.missing)} if looked.missing else told
