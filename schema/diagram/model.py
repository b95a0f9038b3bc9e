"""
A drawing before it has places: boxes, arrows between them, and the lanes or bands they stand in.

The drawings of a journey (`state`, `flow`, `process`, `crm`) are values of this shape; `layout` gives them places, and
`svg`, `mermaid` and `facts` write them. Ids name what is drawn (`state:lead`, `move:lead:qualify`, `step:score`), so
that figures can be put on it later: `Drawing.marked`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
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
class Measured:
    """A KPI as it is written, `value` and `target` in words; `met` is None where there is too little to say."""

    label: str
    value: str
    target: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Marks:
    """
    What really happened at a box or on an arrow. None where there is no figure.

    `count` leads; `share` 0 to 1 of those that could; `p50_s` and `p90_s` seconds of waiting, None where so many have
    not got there yet; `heat` 0 (no delay to speak of) to 1 (the worst); `width` 0 to 1 by volume; `unknown`: it
    happened and is not in the journey; `never`: it is in the journey and did not happen. of `count`, `open`
    are still there and `lost` have gone to an end without a sale. `bottleneck` is its rank, from 1, and `gain` what
    removing it would bring. `parts` are the counts of the box's notes, one by one. `measured` are KPIs. `was` is what
    there was before, where versions are compared.
    """

    count: int | None = None
    share: float | None = None
    p50_s: float | None = None
    p90_s: float | None = None
    heat: float | None = None
    width: float | None = None
    unknown: bool = False
    never: bool = False
    open: int | None = None
    lost: int | None = None
    bottleneck: int | None = None
    gain: str = ""
    parts: tuple[int | None, ...] = ()
    measured: tuple[Measured, ...] = ()
    was: Marks | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """
    A box. `label` and `notes` are written in it, `kpis` are what is measured there, `about` is told on request.

    `group` is the id of the lane or band it stands in, `beside` of the box in whose row it stands. `links` say what is
    at the other end of arrows that may be interrupted. `counts` says of each note what a count of it would be of.
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
    links: tuple[str, ...] = ()
    beside: str = ""
    counts: tuple[str, ...] = ()
    marks: Marks | None = None
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """
    An arrow. `move` is a transition between states, `flow` what comes next, `message` what goes to or from a customer.

    `hands_over`: another department goes on from there. `linked`: it may be interrupted, for its boxes name each other.
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
    linked: bool = False
    marks: Marks | None = None
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A lane or a band, in the order they are drawn; `notes` are written below its name."""

    id: str
    label: str
    department: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """
    Of what days the figures are: from `since` up to but not including `until`, in the time zone `tz`.

    `only` names the part of all leads that they are of, empty for all. Everything is counted that was told until
    `as_of`, None where nothing has been counted yet. `widest` is the number of leads that the widest line stands for.
    """

    since: date
    until: date
    tz: str
    as_of: datetime | None
    only: str = ""
    widest: int = 0


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
    window: Window | None = None

    @property
    def parts(self) -> list[Node | Edge]:
        """All boxes and arrows."""
        return [*self.nodes, *self.edges]

    def marked(self, marks: Mapping[str, Marks], unknown: Iterable[Edge] = (), gone: Iterable[Node] = ()) -> Drawing:
        """The same with figures on what is named by id, and with moves and states that the journey does not have."""
        nodes = (*self.nodes, *gone)
        known = {node.id for node in nodes}
        more = tuple(edge for edge in unknown if edge.source in known and edge.target in known)
        return replace(
            self,
            nodes=tuple(replace(node, marks=marks.get(node.id, node.marks)) for node in nodes),
            edges=tuple(replace(edge, marks=marks.get(edge.id, edge.marks)) for edge in (*self.edges, *more)),
        )


def titled(code: str) -> str:
    """A name of the file as a label: `service.delivered` is `Service delivered`."""
    words = code.replace("_", " ").replace(".", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:]
