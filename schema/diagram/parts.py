"""What the drawings share: states, moves, touchpoints and figures of a journey as boxes and arrows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

from schema.diagram.model import Drawing, Edge, Group, Kind, Node, titled
from schema.journey.model import Journey, Transition
from schema.journey.phrases import said
from schema.journey.question import Among, Compare, Contains, Told, Tree, atoms
from schema.journey.words import time

NO_DEPARTMENT: Final = "no department"
CHANNELS: Final = {
    "form": "Web forms",
    "email": "E-mail",
    "events": "Events of other systems",
    "api": "Other systems (API)",
    "import": "Imported files",
    "hook": "Webhooks",
}
"""Kinds of sources as people call them."""


def drawing(
    journey: Journey,
    kind: Kind,
    description: str,
    nodes: Iterable[Node],
    edges: Iterable[Edge],
    *,
    groups: Sequence[Group] = (),
    grouping: Literal["", "lanes", "bands"] = "",
) -> Drawing:
    """A drawing of a journey with its title; departments are those that something in it belongs to."""
    made = tuple(nodes)
    used = {node.department for node in made} | {group.department for group in groups}
    named = [*journey.departments, *sorted(used - {*journey.departments, ""})]
    titles = {"state": "Lifecycle", "flow": "Flow chart", "process": "Process", "crm": "CRM"}
    return Drawing(
        kind=kind,
        title=journey.label or titled(journey.name),
        subtitle=f"{titles[kind]} · journey {journey.name}, version {journey.version}",
        description=description,
        journey=journey.name,
        version=journey.version,
        nodes=made,
        edges=tuple(edges),
        groups=tuple(groups),
        grouping=grouping,
        departments=tuple(name for name in named if name in used),
    )


def department(journey: Journey, name: str) -> str:
    """The department of a state, empty where it has none."""
    return journey.lifecycle[name].department or ""


def called(journey: Journey, name: str) -> str:
    """What a state is called."""
    return journey.lifecycle[name].label or titled(name)


def way_called(journey: Journey, name: str) -> str:
    """What a transition is called."""
    return journey.transition(name).label or titled(name)


def state(journey: Journey, name: str, *, group: str = "", kpis: bool = False, who: bool = True) -> Node:
    """A state as a box: whose work it is and where it is done."""
    there = journey.lifecycle[name]
    mine = titled(there.department) if there.department and who else ""
    place = " · ".join(part for part in (mine, there.system or "") if part)
    within = f"within {time(there.sla)}" if there.sla else ""
    return Node(
        id=f"state:{name}",
        label=called(journey, name),
        shape="state",
        notes=tuple(note for note in (place, within) if note),
        kpis=tuple(measured(there.kpis)) if kpis else (),
        about=there.description or "",
        group=group,
        department=there.department or "",
        outcome=there.outcome or "",
        final=there.final,
    )


def move(
    journey: Journey, name: str, way: str, target: str, *, besides: str = "", kpis: bool = False, note: bool = True
) -> Edge:
    """A transition as an arrow; `besides` is added to what sets it off."""
    transition = journey.transition(way)
    written = " · ".join(part for part in (trigger(transition) if note else "", besides) if part)
    one, other = department(journey, name), department(journey, target)
    return Edge(
        id=f"move:{name}:{way}",
        source=f"state:{name}",
        target=f"state:{target}",
        line="move",
        label=way_called(journey, way),
        note=written,
        about=_told(transition),
        kpis=tuple(measured(transition.kpis)) if kpis else (),
        hands_over=bool(one and other and one != other),
    )


def trigger(transition: Transition) -> str:
    """What sets a transition off, shortly."""
    if transition.trigger == "manual":
        return "by hand"
    if transition.trigger == "requalify":
        return "after a second look"
    return f"after {time(transition.after)}" if transition.after else "by itself"


def _told(transition: Transition) -> str:
    """All there is to say of a transition, in sentences."""
    parts = [transition.description or ""]
    if transition.when is not None:
        parts.append(f"When {said(transition.when)}.")
    if transition.reason:
        parts.append(f"Reasons: {', '.join(map(titled, transition.reason))}.")
    if transition.system:
        parts.append(f"In: {transition.system}.")
    return " ".join(part for part in parts if part)


def measured(kpis: Iterable[str]) -> Iterator[str]:
    """KPIs by the names people use."""
    return (kpi.replace("_", " ").replace("sla", "SLA") for kpi in kpis)


def touchpoints(journey: Journey, way: str) -> tuple[str, ...]:
    """The kinds of touchpoints that a transition waits for, in the order they are asked about."""
    when = journey.transition(way).when
    if when is None:
        return ()
    return tuple(dict.fromkeys(kind for atom in atoms(when.tree) for kind in _kinds(atom)))


def _kinds(atom: Tree) -> Iterator[str]:
    match atom:
        case Contains("touchpoint.kinds", str(kind)) | Compare("touchpoint.kind", "==", str(kind)):
            yield kind
        case Among("touchpoint.kind", values, _):
            yield from sorted(value for value in values if isinstance(value, str))
        case Contains() | Compare() | Told():
            pass


def ways_in(journey: Journey, group: str) -> Node:
    """All channels that leads come in by, as one box."""
    notes = tuple(f"{CHANNELS[kind]}: {', '.join(labels)}" for kind, labels in channels(journey).items())
    counts = tuple(f"channel:{kind}" for kind in channels(journey))
    return Node("channels", "Ways in", "touchpoint", notes, about="Where leads come from.", group=group, counts=counts)


def channels(journey: Journey) -> dict[str, list[str]]:
    """The sources by their kind, each by its label, in the order of the journey."""
    found: dict[str, list[str]] = {}
    for name, source in journey.sources.items():
        found.setdefault(source.kind, []).append(source.label or titled(name))
    return found
