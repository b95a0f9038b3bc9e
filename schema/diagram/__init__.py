"""
The four drawings of a journey, made from the journey itself, so that they are true as long as it runs.

`draw` makes a drawing, `written` a text of it: SVG, Mermaid or JSON. All of it is pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, Literal

from schema.diagram.compare import compared
from schema.diagram.crm import crm_diagram
from schema.diagram.facts import facts
from schema.diagram.flow import flow_chart
from schema.diagram.mermaid import mermaid
from schema.diagram.model import KINDS, Drawing, Edge, Kind, Marks, Node
from schema.diagram.overlay import Happened, with_figures
from schema.diagram.process import process_view
from schema.diagram.state import state_diagram
from schema.diagram.style import POLICY
from schema.diagram.svg import svg
from schema.journey.model import Journey

Form = Literal["svg", "mmd", "json"]

__all__ = [
    "FORMS",
    "KINDS",
    "POLICY",
    "Drawing",
    "Edge",
    "Form",
    "Happened",
    "Kind",
    "Marks",
    "Node",
    "compared",
    "draw",
    "with_figures",
    "written",
]

FORMS: Final[dict[Form, str]] = {
    "svg": "image/svg+xml",
    "mmd": "text/vnd.mermaid; charset=utf-8",
    "json": "application/json",
}
"""The forms a drawing is written in, each with its media type."""
_MAKERS: Final[dict[Kind, Callable[[Journey], Drawing]]] = {
    "state": state_diagram,
    "flow": flow_chart,
    "process": process_view,
    "crm": crm_diagram,
}


def draw(journey: Journey, kind: Kind) -> Drawing:
    """One of the drawings of a journey."""
    return _MAKERS[kind](journey)


def written(drawing: Drawing, form: Form) -> str:
    """A drawing as text in one of the `FORMS`."""
    if form == "svg":
        return svg(drawing)
    if form == "mmd":
        return mermaid(drawing)
    return json.dumps(facts(drawing), ensure_ascii=False, indent=1) + "\n"
