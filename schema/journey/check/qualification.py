"""Qualification: criteria with names of their own, and another look at those who were disqualified."""

from __future__ import annotations

from collections.abc import Iterator

from schema.journey.check.finding import Finding, View, key, warning
from schema.journey.check.world import codes
from schema.journey.fields import nearest
from schema.journey.holds import can_hold
from schema.journey.model import Journey
from schema.journey.question import Compare

OTHERWISE = "otherwise"
"""The policy for every reason that has none of its own."""
_DISQUALIFIED = Compare("qualification.outcome", "==", "disqualified")


def criteria(view: View) -> Iterator[Finding]:
    """Criteria of the same name."""
    seen: set[str] = set()
    for index, criterion in enumerate(view.journey.qualify):
        if criterion.name in seen:
            message = f"{criterion.name} is the name of an earlier criterion; give it its own"
            yield Finding(("qualify", index, "name"), message)
        seen.add(criterion.name)


def reasons(view: View) -> Iterator[Finding]:
    """Policies for reasons that nobody is disqualified with."""
    known = codes(view.journey)
    for reason in view.journey.requalify:
        if reason not in {*known, OTHERWISE}:
            there = f"; there are {', '.join(dict.fromkeys(known))}" if known else ""
            message = f"no criterion has the reason {reason}{nearest(reason, known) or there}"
            yield key(("requalify", reason), message)


def requalification(view: View) -> Iterator[Finding]:
    """Policies and ways that lack each other."""
    journey = view.journey
    ways = list(_ways(journey))
    again = [reason for reason, policy in journey.requalify.items() if policy.news or policy.after]
    if again and not ways:
        message = "no way leads back: add a transition with `trigger: requalify` out of the state of the disqualified"
        yield key(("requalify", again[0]), message)
    for state, name in ways:
        yield from _way(view, state, name, again=bool(again))


def _way(view: View, state: str, name: str, *, again: bool) -> Iterator[Finding]:
    """A way for those who are looked at again: from a state in which somebody disqualified can be."""
    path = ("transitions", name, "trigger")
    if not again:
        yield warning(path, "nobody is ever looked at again: say in `requalify` when, for each reason")
    elif "qualify" not in view.journey.steps or not view.journey.qualify:
        yield Finding(path, "nobody is ever disqualified: there are no criteria")
    elif not any(_disqualified(view, came) for came in _into(view.journey, state)):
        message = f"nobody who is disqualified gets to {state}: no transition into it asks for that, or leaves it open"
        yield warning(path, message)


def _ways(journey: Journey) -> Iterator[tuple[str, str]]:
    for state, moves in journey.automatic.items():
        yield from ((state, way.name) for way in moves if way.transition.trigger == "requalify")


def _into(journey: Journey, state: str) -> set[str]:
    return {name for _, name, target in journey.moves if target == state}


def _disqualified(view: View, transition: str) -> bool:
    """Whether somebody who is disqualified can make this move."""
    guard = view.journey.transition(transition).when
    return guard is None or can_hold(view.world, (guard.tree, "true"), (_DISQUALIFIED, "true")) is not None
