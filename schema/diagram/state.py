"""The lifecycle as a drawing: every state, every way between two of them, and what sets it off."""

from __future__ import annotations

from collections.abc import Iterator

from schema.diagram.model import Drawing, Edge, Node, titled
from schema.diagram.parts import department, drawing, move, state
from schema.journey.model import Journey

START = "start"


def state_diagram(journey: Journey) -> Drawing:
    """States with their department and system; transitions with what sets them off; won, lost and final ones marked."""
    nodes = (
        Node(START, "", "start", about="A new lead starts here."),
        *(state(journey, name) for name in journey.lifecycle),
    )
    beginning = Edge("start:first", START, f"state:{journey.initial}", "flow", about="A new lead starts here.")
    count = f"{len(journey.lifecycle)} states, {len(journey.moves)} ways between them"
    return drawing(journey, "state", f"Lifecycle. {count}.", nodes, (beginning, *_moves(journey)))


def _moves(journey: Journey) -> Iterator[Edge]:
    for name, there in journey.lifecycle.items():
        for way, target in there.to.items():
            transition = journey.transition(way)
            mine = transition.department or there.department
            other = titled(mine) if mine and mine != department(journey, name) else ""
            yield move(journey, name, way, target, besides=other)
