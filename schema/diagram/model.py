"""
A drawing before it has places: boxes, arrows between them, and the lanes or bands they stand in.

The drawings of a journey (`state`, `flow`, `process`, `crm`) are values of this shape; `layout` gives them places, and
`svg`, `mermaid` and `facts` write them. Ids name what is drawn (`state:lead`, `move:lead:qualify`, `step:score`), so
that figures can be put on it later: `Drawing.marked`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

Kind = Literal["state", "flow", "process", "crm"]
Change = Literal["added", "removed", "changed"]
Shape = Literal["start", "state", "activity", "decision", "touchpoint", "campaign", "figures"]
Line = Literal["move", "flow", "message"]

KINDS: Final[dict[Kind, str]] = {
    "state": "Lifecycle: the states of a lead and the ways between them",
    "flow": "Flow chart: lead generation, marketing, sales, customer service, analytics",
    "process": "Process: what each department does, and what it hands over",
    "crm": "CRM: touchpoints and KPIs from generation to retention",
}
"""The four drawings, each with what it shows."""


@dataclass(frozen=True, slots=True)
class Marks:
    """
    What really happened at a box or on an arrow. None where there is no figure.

    `count` leads; `share` 0 to 1 of those that could; `p50_s` and `p90_s` seconds of waiting; `heat` 0 (no delay to
    speak of) to 1 (the worst); `width` 0 to 1 by volume; `unknown`: it happened and is not in the journey; `never`: it
    is in the journey and does not happen.
    """

    count: int | None = None
    share: float | None = None
    p50_s: float | None = None
    p90_s: float | None = None
    heat: float | None = None
    width: float | None = None
    unknown: bool = False
    never: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """
    A box. `label` and `notes` are written in it, `kpis` are what is measured there, `about` is told on request.

    `group` is the id of the lane or band it stands in.
    """

    id: str
    label: str
    shape: Shape
    notes: tuple[str, ...] = ()
    kpis: tuple[str, ...] = ()
    about: str = ""
    group: str = ""
    department: str = ""
    outcome: Literal["won", "lost", ""] = ""
    final: bool = False
    marks: Marks | None = None
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """
    An arrow. `move` is a transition between states, `flow` what comes next, `message` what goes to or from a customer.

    `hands_over`: another department goes on from there.
    """

    id: str
    source: str
    target: str
    line: Line
    label: str = ""
    note: str = ""
    about: str = ""
    kpis: tuple[str, ...] = ()
    hands_over: bool = False
    marks: Marks | None = None
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A lane or a band, in the order they are drawn."""

    id: str
    label: str
    department: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """
    All of a drawing. `grouping`: `lanes` stand side by side, `bands` one below the other in the way of the arrows.

    The order of `nodes` and `edges` is the order of the journey; the layout follows it where it is free to choose.
    `compared`: colours and marks mean what changed, from the version before to this one.
    """

    kind: Kind
    title: str
    subtitle: str
    description: str
    journey: str
    version: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    groups: tuple[Group, ...] = ()
    grouping: Literal["", "lanes", "bands"] = ""
    departments: tuple[str, ...] = ()
    compared: bool = False

    @property
    def parts(self) -> list[Node | Edge]:
        """All boxes and arrows."""
        return [*self.nodes, *self.edges]

    def marked(self, marks: Mapping[str, Marks], unknown: Iterable[Edge] = ()) -> Drawing:
        """The same with figures on what is named by id, and with moves that happened and are not in the journey."""
        known = {node.id for node in self.nodes}
        more = tuple(edge for edge in unknown if edge.source in known and edge.target in known)
        return replace(
            self,
            nodes=tuple(replace(node, marks=marks.get(node.id, node.marks)) for node in self.nodes),
            edges=tuple(replace(edge, marks=marks.get(edge.id, edge.marks)) for edge in (*self.edges, *more)),
        )


def titled(code: str) -> str:
    """A name of the file as a label: `service.delivered` is `Service delivered`."""
    words = code.replace("_", " ").replace(".", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:]
