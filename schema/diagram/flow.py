"""
The flow chart: what is done for a lead from its first sign to its figures, stage by stage.

Only what the journey has is drawn: no campaign, no nurturing; no criterion, no question whether we can help.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from schema.diagram.campaigns import around, campaign, entered_from
from schema.diagram.model import Drawing, Edge, Group, Node, Shape, titled
from schema.diagram.parts import CHANNELS, called, channels, drawing, measured, move, state, way_called
from schema.diagram.stages import Stage, stages
from schema.journey.campaign import Campaign
from schema.journey.model import KPIS, Journey
from schema.journey.words import listing, time

BANDS: Final = {
    "generation": "Lead generation",
    "marketing": "Marketing",
    "sales": "Sales",
    "service": "Customer service",
    "analytics": "Analytics",
}
_BAND_OF: Final[dict[Stage, str]] = {
    "generation": "generation",
    "qualification": "marketing",
    "nurturing": "marketing",
    "conversion": "sales",
    "retention": "service",
}
_SOLD: Final = frozenset({"conversion", "retention"})


def flow_chart(journey: Journey) -> Drawing:
    """Lead generation, marketing, sales, customer service and analytics with their activities and decisions."""
    return _Flow(journey).drawing()


class _Flow:
    """One flow chart in the making; each method adds a part."""

    def __init__(self, journey: Journey) -> None:
        self.journey = journey
        self.stages = stages(journey)
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []

    def drawing(self) -> Drawing:
        last = self._generation()
        last = self._marketing(last)
        last = self._sales(last)
        self._states("service")
        self._campaigns()
        self._moves(last)
        self._analytics()
        used = {node.group for node in self.nodes}
        groups = [Group(band, label) for band, label in BANDS.items() if band in used]
        text = f"Flow chart of {listing(group.label.lower() for group in groups)}, from the top down."
        return drawing(self.journey, "flow", text, self.nodes, self.edges, groups=groups, grouping="bands")

    def _box(self, key: str, label: str, band: str, *notes: str, shape: Shape = "activity", about: str = "") -> str:
        self.nodes.append(Node(key, label, shape, tuple(note for note in notes if note), about=about, group=band))
        return key

    def _go(self, source: str, target: str, label: str = "", note: str = "") -> None:
        self.edges.append(Edge(f"flow:{source}:{target}", source, target, "flow", label, note))

    def _generation(self) -> str:
        identify = "step:identify"
        for kind, labels in channels(self.journey).items():
            key = self._box(f"channel:{kind}", CHANNELS[kind], "generation", ", ".join(labels), shape="touchpoint")
            self._go(key, "receive")
        about = "Every arrival is kept exactly as it came before it is acknowledged."
        self._box("receive", "Keep what arrives", "generation", "a receipt for each", about=about)
        self._box(
            identify,
            "Identify",
            "generation",
            f"person and company; opens: {called(self.journey, self.journey.initial)}",
        )
        self._go("receive", identify)
        return identify

    def _marketing(self, last: str) -> str:
        for step in self.journey.steps:
            if step == "qualify" and self.journey.qualify:
                self._go(last, "step:qualify")
                last = self._qualify()
            elif step == "score" and (self.journey.score.fit or self.journey.score.engagement.on):
                grades = ", ".join(self.journey.score.grades)
                self._box("step:score", "Score", "marketing", "fit and engagement", grades and f"grades {grades}")
                self._go(last, "step:score", "yes" if last == "step:qualify" else "")
                last = "step:score"
        return self._ready(last)

    def _qualify(self) -> str:
        criteria = ", ".join(criterion.name.replace("_", " ") for criterion in self.journey.qualify)
        self._box("step:qualify", "Can we help?", "marketing", criteria, shape="decision")
        if any(criterion.unknown == "ask" for criterion in self.journey.qualify):
            asked = [criterion.name.replace("_", " ") for criterion in self.journey.qualify if criterion.question]
            self._box("ask", "Ask for what is missing", "marketing", ", ".join(asked))
            self._go("step:qualify", "ask", "not known yet")
            self._go("ask", "step:qualify", "answered")
        return "step:qualify"

    def _ready(self, last: str) -> str:
        """Is it time for sales? Those who are not ready are nurtured, where there is a campaign."""
        onward = [
            way_called(self.journey, way)
            for way, target in self.journey.lifecycle[self.journey.initial].to.items()
            if self.stages[target] in _SOLD
        ]
        ready = self._box("ready", "Ready for sales?", "marketing", ", ".join(onward), shape="decision")
        self._go(last, ready, "yes" if last == "step:qualify" else "")
        for name, made in self.journey.campaigns.items():
            if self._band(made) == "marketing":
                self.nodes.append(campaign(name, made, group="marketing"))
                self._go(ready, f"campaign:{name}", "not yet")
                self._go(f"campaign:{name}", last if last == "step:score" else ready, "warmer")
        self._states("marketing")
        return ready

    def _sales(self, last: str) -> str:
        if "route" in self.journey.steps:
            route = self.journey.route
            pools = ", ".join(pool.label or titled(name) for name, pool in route.pools.items())
            self._box("step:route", "Route", "sales", f"fair turns: {pools}")
            self._go(last, "step:route", "yes")
            last = "step:route"
            if route.accept_within:
                self._box("accept", "Accepted?", "sales", f"within {time(route.accept_within)}", shape="decision")
                self._go(last, "accept")
                self._go("accept", last, "no: the next in turn")
                last = "accept"
        self._states("sales")
        return last

    def _campaigns(self) -> None:
        for name, made in self.journey.campaigns.items():
            if self._band(made) != "marketing":
                self.nodes.append(campaign(name, made, group=self._band(made)))
                drawn = {node.id for node in self.nodes}
                self.edges += [each for each in around(self.journey, name, made) if {each.source, each.target} <= drawn]

    def _moves(self, last: str) -> None:
        """Every move of the journey; those of new leads from where they are decided, to new leads to the beginning."""
        first = self.journey.initial
        boxes = {node.id for node in self.nodes}
        again = next(key for key in ("step:qualify", "step:score", "ready") if key in boxes)
        for name, there in self.journey.lifecycle.items():
            for way, target in there.to.items():
                made = move(self.journey, name, way, target, note=False)
                if name == first:
                    made = self._decided(made, way, target, last)
                if target == first:
                    made = replace(made, target=again)
                self.edges.append(made)

    def _decided(self, made: Edge, way: str, target: str, last: str) -> Edge:
        """A move of a new lead, from the decision it follows from."""
        when = self.journey.transition(way).when
        turned_down = when is not None and "qualification.outcome" in when.paths
        if turned_down and any(node.id == "step:qualify" for node in self.nodes):
            return replace(made, source="step:qualify", label="no", note=made.label)
        return replace(made, source=last if self.stages[target] in _SOLD else "ready")

    def _band(self, made: Campaign) -> str:
        """Where a campaign stands: with those who enter it."""
        entered = entered_from(self.journey, made)
        if not entered:
            return "marketing" if made.kind == "marketing" else "service"
        return "marketing" if self.journey.initial in entered else _BAND_OF[self.stages[entered[0]]]

    def _analytics(self) -> None:
        figures: dict[str, list[str]] = {}
        for name, there in self.journey.lifecycle.items():
            band = BANDS[_BAND_OF[self.stages[name]]]
            ways = [kpi for way in there.to for kpi in self.journey.transition(way).kpis]
            figures.setdefault(band, []).extend([*there.kpis, *ways])
        told = {band: tuple(dict.fromkeys(kpis)) for band, kpis in figures.items() if kpis}
        if not told:
            return
        self._box("measure", "Measure every step and move", "analytics", "from the log, as of any moment")
        for end in self._ends():
            self._go(end, "measure")
        for band, kpis in told.items():
            about = " ".join(f"{titled(kpi)}: {KPIS[kpi]}." for kpi in kpis)
            label = f"Figures of {band.lower()}"
            key = self._box(
                f"figures:{band}", label, "analytics", ", ".join(measured(kpis)), shape="figures", about=about
            )
            self._go("measure", key)

    def _ends(self) -> list[str]:
        """Where the way ends: in the final states of the last stage there is, else in its last state."""
        for band in ("service", "sales", "marketing", "generation"):
            here = [node for node in self.nodes if node.group == band and node.shape in {"state", "activity"}]
            if here:
                return [node.id for node in here if node.final] or [here[-1].id]
        return []

    def _states(self, band: str) -> None:
        """The states of a band; the first one is no box: it is what the steps before sales are about."""
        for name, stage in self.stages.items():
            if _BAND_OF[stage] == band and name != self.journey.initial:
                self.nodes.append(state(self.journey, name, group=band))
