"""The process as lanes: what each department does, where, what it hands over, and how the customer is touched."""

from __future__ import annotations

from typing import Final

from schema.diagram.campaigns import around, campaign, messages
from schema.diagram.model import Drawing, Edge, Group, Node, titled
from schema.diagram.parts import NO_DEPARTMENT, drawing, move, state, touchpoints, ways_in
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
                for kind in touchpoints(self.journey, way):
                    self._touch(f"touch:{kind}", titled(kind))
                    self._message(f"touch:{kind}", f"state:{target}")
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
            sent = list(messages(self.journey, made))
            if sent:
                self._touch(f"mail:{name}", "Mail", *sent)
                self._message(box.id, f"mail:{name}")

    def _touch(self, key: str, label: str, *notes: str) -> None:
        self.nodes.setdefault(key, Node(key, label, "touchpoint", notes, group=CUSTOMER))

    def _message(self, source: str, target: str) -> None:
        key = f"message:{source}:{target}"
        if all(edge.id != key for edge in self.edges):
            self.edges.append(Edge(key, source, target, "message"))
