"""
The lifecycle of a lead as a state machine over a journey's moves. Pure: it says what may happen, others record it.

A move is asked for by its name. Going back is a move like any other and needs a transition of that name (`recycle`,
`win_back`); nothing that happens by itself takes a lead back to a state it has been in during the same run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from schema.errors import Permanent
from schema.journey.model import Journey, Way


class IllegalTransition(Permanent):
    """The journey has no such move from here. `facts["possible"]` are the transitions that there are."""

    def __init__(self, state: str, name: str, possible: Collection[str]) -> None:
        ways = ", ".join(possible) or "nothing"
        message = f"{name} is not possible from {state}; possible: {ways}"
        super().__init__("illegal_transition", message, state=state, name=name, possible=list(possible))


class ReasonRequired(Permanent):
    """The transition needs one of its reasons. `facts["reasons"]` are those it knows."""

    def __init__(self, name: str, reasons: Collection[str]) -> None:
        message = f"{name} needs a reason: one of {', '.join(reasons)}"
        super().__init__("reason_required", message, name=name, reasons=list(reasons))


def possible(journey: Journey, state: str) -> dict[str, str]:
    """The transitions out of a state, each with the state it leads to. Empty for a state the journey does not know."""
    there = journey.lifecycle.get(state)
    return dict(there.to) if there else {}


def move(journey: Journey, state: str, name: str) -> str:
    """The state that the transition `name` leads to from `state`. Raises `IllegalTransition`."""
    ways = possible(journey, state)
    if name not in ways:
        raise IllegalTransition(state, name, list(ways))
    return ways[name]


def reason(journey: Journey, name: str, given: str | None) -> str:
    """
    The reason to record for a transition somebody asks for; empty when it has none and none was given.

    A transition with one reason records it by itself; one with several raises `ReasonRequired` unless one is given.
    """
    known = journey.transition(name).reason
    if len(known) > 1 and given not in known:
        raise ReasonRequired(name, known)
    return given or (known[0] if known else "")


def automatic(journey: Journey, state: str, visited: Collection[str]) -> Iterator[Way]:
    """The moves that may happen by themselves now; never back to a visited state."""
    return (way for way in journey.automatic.get(state, ()) if way.to not in visited and way.to != state)
