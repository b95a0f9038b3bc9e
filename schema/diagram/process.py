"""The process as lanes: what each department does, where, what it hands over, and how the customer is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from schema.diagram.campaigns import around, campaign, messages, sent_counts
from schema.diagram.model import Drawing, Edge, Group, Node, titled
from schema.diagram.parts import NO_DEPARTMENT, called, drawing, move, state, touchpoints, ways_in
from schema.journey.model import Journey

CUSTOMER: Final = "customer"
_ENGINE: Final = "Throughline"
_STEPS: Final = {
    "identify": ("Identify", "person, company, lead"),
    "qualify": ("Qualify", "can we help?"),
    "score": ("Score", "how warm?"),
    "route": ("Route", "whose is it?"),
}


def process_view(journey: Journey) -> Drawing:
    """Departments as lanes with steps and states; hand-overs, systems, and the customer in a lane of their own."""
    return _Process(journey).drawing()


class _Process:
    """One process view in the making."""

    def __init__(self, journey: Journey) -> None:
        self.journey = journey
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.first = self._lane(journey.lifecycle[journey.initial].department)

    def drawing(self) -> Drawing:
        self.nodes["channels"] = ways_in(self.journey, CUSTOMER)
        self._message("channels", "step:identify")
        self._steps()
        for name in self.journey.lifecycle:
            lane = self._lane(self.journey.lifecycle[name].department)
            self.nodes[f"state:{name}"] = state(self.journey, name, group=lane, who=False)
        self._campaigns()
        for name, there in self.journey.lifecycle.items():
            for way, target in there.to.items():
                system = self.journey.transition(way).system or ""
                other = system if system not in {there.system, self.journey.lifecycle[target].system} else ""
                self.edges.append(move(self.journey, name, way, target, besides=other, note=False))
        self._touchpoints()
        used = {node.group for node in self.nodes.values()}
        departments = [Group(f"lane:{name}", titled(name), name) for name in self._departments()]
        groups = [Group(CUSTOMER, "Customer"), *departments, Group(f"lane:{NO_DEPARTMENT}", "No department")]
        lanes = [group for group in groups if group.id in used]
        text = f"Process in {len(lanes)} lanes: {', '.join(group.label for group in lanes)}."
        nodes = self.nodes.values()
        return drawing(self.journey, "process", text, nodes, self.edges, groups=lanes, grouping="lanes")

    def _departments(self) -> list[str]:
        named = (there.department for there in self.journey.lifecycle.values())
        more = (made.department for made in self.journey.campaigns.values())
        return [name for name in dict.fromkeys([*self.journey.departments, *named, *more]) if name]

    def _lane(self, department: str | None) -> str:
        return f"lane:{department or NO_DEPARTMENT}"

    def _steps(self) -> None:
        last = ""
        department = self.journey.lifecycle[self.journey.initial].department or ""
        for step in ("identify", *self.journey.steps):
            if step in _STEPS:
                label, asked = _STEPS[step]
                key = f"step:{step}"
                self.nodes[key] = Node(
                    key, label, "activity", (asked, _ENGINE), group=self.first, department=department
                )
                if last:
                    self.edges.append(Edge(f"flow:{last}:{key}", last, key, "flow"))
                last = key
        first = f"state:{self.journey.initial}"
        self.edges.append(Edge(f"flow:{last}:{first}", last, first, "flow"))

    def _campaigns(self) -> None:
        for name, made in self.journey.campaigns.items():
            lane = self._lane(made.department) if made.department else self.first
            box = campaign(name, made, group=lane)
            self.nodes[box.id] = box
            self.edges += around(self.journey, name, made)
            sent = tuple(messages(self.journey, made))
            if sent:
                key = f"mail:{name}"
                self.nodes[key] = Node(
                    id=key,
                    label="Mail",
                    shape="touchpoint",
                    notes=sent,
                    group=CUSTOMER,
                    links=(f"← {box.label}",),
                    beside=box.id,
                    counts=sent_counts(name, made),
                )
                self.nodes[box.id] = replace(box, links=("→ Mail",))
                self._message(box.id, key, linked=True)

    def _touchpoints(self) -> None:
        """What customers do that moves wait for: in the row of where it leads them, together if it leads there too."""
        leads_to: dict[str, list[str]] = {}
        for there in self.journey.lifecycle.values():
            for way, target in there.to.items():
                for kind in touchpoints(self.journey, way):
                    if target not in leads_to.setdefault(kind, []):
                        leads_to[kind].append(target)
        together: dict[tuple[str, ...], list[str]] = {}
        for kind, targets in leads_to.items():
            together.setdefault(tuple(targets), []).append(kind)
        for states, kinds in together.items():
            self._touch(kinds, states)

    def _touch(self, kinds: list[str], states: tuple[str, ...]) -> None:
        key = f"touch:{'+'.join(kinds)}"
        names = tuple(map(titled, kinds))
        one = len(names) == 1
        self.nodes[key] = Node(
            key,
            names[0] if one else "Touchpoints",
            "touchpoint",
            () if one else names,
            group=CUSTOMER,
            links=tuple(f"→ {called(self.journey, name)}" for name in states),
            beside=f"state:{states[0]}",
            counts=tuple(f"touched:{kind}" for kind in kinds),
        )
        for name in states:
            box = self.nodes[f"state:{name}"]
            self.nodes[box.id] = replace(box, links=(*box.links, f"← {', '.join(names)}"))
            self._message(key, box.id, linked=True)

    def _message(self, source: str, target: str, *, linked: bool = False) -> None:
        self.edges.append(Edge(f"message:{source}:{target}", source, target, "message", linked=linked))
