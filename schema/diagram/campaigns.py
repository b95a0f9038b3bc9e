"""Campaigns and what they send, as boxes."""

from __future__ import annotations

from collections.abc import Iterator

from schema.diagram.model import Edge, Node, titled
from schema.diagram.parts import touchpoints
from schema.journey.campaign import Campaign
from schema.journey.expressions import Expression
from schema.journey.model import Journey
from schema.journey.question import Among, Compare, atoms
from schema.journey.words import time


def campaign(name: str, made: Campaign, *, group: str = "") -> Node:
    """A campaign as a box: what it does, and what it is for."""
    messages = sum(step.send is not None for step in made.steps)
    calls = sum(step.follow_up is not None for step in made.steps)
    does = [_count(messages, "message"), _count(calls, "follow-up")]
    within = f"goal within {time(made.goal.within)}" if made.goal and made.goal.within else ""
    return Node(
        id=f"campaign:{name}",
        label=made.label or titled(name),
        shape="campaign",
        notes=tuple(note for note in (" · ".join(part for part in does if part), within) if note),
        about=made.description or "",
        group=group,
        department=made.department or "",
    )


def messages(journey: Journey, made: Campaign) -> Iterator[str]:
    """What a campaign sends, each message once, by its label or subject."""
    for name in dict.fromkeys(step.send for step in made.steps if step.send is not None):
        template = journey.templates[name]
        yield template.label or template.subject


def sent_counts(name: str, made: Campaign) -> tuple[str, ...]:
    """What counts each of the `messages`: the steps that send it."""
    steps: dict[str, list[str]] = {}
    for step, called in zip(made.steps, made.names, strict=True):
        if step.send is not None:
            steps.setdefault(step.send, []).append(f"{name}>{called}")
    return tuple(f"sent:{','.join(each)}" for each in steps.values())


def entered_from(journey: Journey, made: Campaign) -> list[str]:
    """
    The states from which people enter: those that are named, and those that the same event leads to.

    Where neither is said it is the first state, unless a date lets them in.
    """
    named: list[str] = []
    for way in made.enter:
        named += [way.state] if way.state else _states(way.when)
        named += [
            target
            for there in journey.lifecycle.values()
            for move, target in there.to.items()
            if way.event is not None and way.event in touchpoints(journey, move)
        ]
    found = [state for state in dict.fromkeys(named) if state in journey.lifecycle]
    return found or ([] if any(way.event or way.date for way in made.enter) else [journey.initial])


def aims_at(journey: Journey, made: Campaign) -> list[str]:
    """The states that the campaign's goal names."""
    asked = _states(made.goal.when) if made.goal is not None else []
    return [state for state in dict.fromkeys(asked) if state in journey.lifecycle]


def _states(question: Expression | None) -> list[str]:
    if question is None:
        return []
    named: list[str] = []
    for atom in atoms(question.tree):
        match atom:
            case Compare("state", "==", str(state)):
                named.append(state)
            case Among("state", values, _):
                named += sorted(value for value in values if isinstance(value, str))
            case _:
                pass
    return named


def around(journey: Journey, name: str, made: Campaign) -> Iterator[Edge]:
    """Who enters a campaign, and where it is to lead them."""
    for state in entered_from(journey, made):
        yield Edge(f"enter:{state}:{name}", f"state:{state}", f"campaign:{name}", "flow", "enters")
    for state in aims_at(journey, made):
        yield Edge(f"goal:{name}:{state}", f"campaign:{name}", f"state:{state}", "flow", "goal")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}" if number else ""
