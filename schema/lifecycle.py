"""
The lifecycle of a lead as a state machine over a journey's moves. Pure: it says what may happen, others record it.

A move is asked for by its name. Going back is a move like any other and needs a transition of that name (`recycle`,
`win_back`); nothing that happens by itself takes a lead back to a state it has been in during the same run.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta

from schema.errors import Permanent
from schema.facts import Facts
from schema.journey.expressions import Unknown
from schema.journey.model import Journey, Way

_CODE = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")


class IllegalTransition(Permanent):
    """The journey has no such move from here. `facts["possible"]` are the transitions that there are."""

    def __init__(self, state: str, name: str, possible: Collection[str]) -> None:
        ways = ", ".join(possible) or "nothing"
        message = f"{name} is not possible from {state}; possible: {ways}"
        super().__init__("illegal_transition", message, state=state, name=name, possible=list(possible))


class GuardNotMet(Permanent):
    """
    The transition is for leads of which its `when` holds, and it does not hold of this one.

    `facts["guard"]` is the journey's expression, `facts["missing"]` the fields that its answer would need; none
    missing: what is known speaks against it.
    """

    def __init__(self, state: str, name: str, guard: str, missing: Collection[str]) -> None:
        why = f"not known: {', '.join(missing)}" if missing else f"this does not hold: {guard}"
        super().__init__(
            "guard_not_met", f"{name} is not possible yet; {why}",
            state=state, name=name, guard=guard, missing=list(missing),
        )  # fmt: skip


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


def guard(journey: Journey, name: str, facts: Facts) -> None:
    """
    Raise `GuardNotMet` where a transition somebody asks for has a `when` that does not hold.

    Only `trigger: manual` ones are held to it: one that happens by itself may be asked for before its time.
    """
    transition = journey.transition(name)
    if transition.trigger == "manual" and transition.when is not None:
        answer = transition.when.evaluate(facts.context(journey))
        if answer is not True:
            missing = answer.missing if isinstance(answer, Unknown) else ()
            raise GuardNotMet(facts.state, name, transition.when.source, missing)


def reason(journey: Journey, name: str, given: str | None) -> str:
    """
    The reason to record for a transition somebody asks for; empty when it has none and none was given.

    Where the transition has reasons, one of them has to be given, else `ReasonRequired` is raised; a single one is
    recorded by itself. Where it has none, what is given is taken as it is.
    """
    known = journey.transition(name).reason
    if not known:
        return given or ""
    if not given and len(known) == 1:
        return known[0]
    if given not in known:
        raise ReasonRequired(name, known)
    return given


def is_code(text: str) -> bool:
    """Whether a text is a code as journeys write them, and so can be told to everybody."""
    return _CODE.match(text) is not None


def automatic(journey: Journey, state: str, visited: Collection[str]) -> Iterator[Way]:
    """The moves that may happen by themselves now; never back to a visited state, out of a final one only by a look."""
    ways = journey.automatic.get(state, ())
    if ways and journey.lifecycle[state].final:
        ways = tuple(way for way in ways if way.transition.trigger == "requalify")
    return (way for way in ways if way.to not in visited and way.to != state)


def turns_down(journey: Journey, state: str) -> bool:
    """Whether this is a state of people who were told no and may be looked at again: a `requalify` way leads out."""
    for way in journey.automatic.get(state, ()):
        if way.transition.trigger == "requalify":
            return "qualify" in journey.steps
    return False


def qualifies(journey: Journey, state: str) -> bool:
    """Whether qualification matters in a state: something that happens by itself there depends on it."""
    if turns_down(journey, state):
        return True
    guards = [way.transition.when for way in journey.automatic.get(state, ()) if way.transition.when]
    asks = any(path.startswith("qualification.") for guard in guards for path in guard.paths)
    return asks and "qualify" in journey.steps


def time_in_state(
    state: str, began: datetime, moves: Iterable[tuple[str, str, datetime]], now: datetime
) -> dict[str, dict[str, float]]:
    """
    For each state a lead has been in `latest_s`, `total_s` and `visits`, in the order it first came there.

    `moves` are its transitions in order: from state, to state, moment. The stay in `state`, where it is now, counts
    until `now`; a transition into the same state (of another version) does not end a stay.
    """
    told: dict[str, dict[str, float]] = {}
    entered = began
    for left, reached, at in moves:
        if left != reached:
            _stayed(told, left, at - entered)
            entered = at
    _stayed(told, state, now - entered)
    return told


def _stayed(told: dict[str, dict[str, float]], state: str, stay: timedelta) -> None:
    seconds = round(max(stay.total_seconds(), 0.0), 3)
    there = told.setdefault(state, {"latest_s": 0.0, "total_s": 0.0, "visits": 0})
    there["latest_s"] = seconds
    there["total_s"] = round(there["total_s"] + seconds, 3)
    there["visits"] += 1
