"""Customer relations as columns: generation, qualification, nurturing, conversion, retention; touchpoints and KPIs."""

from __future__ import annotations

from collections.abc import Iterator

from schema.diagram.campaigns import around, campaign, messages, sent_counts
from schema.diagram.model import Drawing, Edge, Group, Node, titled
from schema.diagram.parts import drawing, move, state, touchpoints, ways_in
from schema.diagram.stages import STAGES, Stage, stages
from schema.journey.model import Journey


def crm_diagram(journey: Journey) -> Drawing:
    """The stages as columns: the touchpoints of each, its states and ways with the KPIs that they are measured by."""
    stage_of = stages(journey)
    nodes = [*_touchpoints(journey, stage_of)]
    nodes += [campaign(name, made, group=_stage_of(made.kind)) for name, made in journey.campaigns.items()]
    nodes += [state(journey, name, group=stage, kpis=True, who=False) for name, stage in stage_of.items()]
    edges = [Edge("message:channels", "channels", f"state:{journey.initial}", "message")]
    for name, made in journey.campaigns.items():
        edges += around(journey, name, made)
    edges += [
        move(journey, name, way, target, kpis=True, note=False)
        for name, there in journey.lifecycle.items()
        for way, target in there.to.items()
    ]
    used = {node.group for node in nodes}
    groups = [Group(stage, label) for stage, label in STAGES.items() if stage in used]
    text = f"Stages: {', '.join(group.label.lower() for group in groups)}, with touchpoints and KPIs."
    return drawing(journey, "crm", text, nodes, edges, groups=groups, grouping="lanes")


def _stage_of(kind: str) -> Stage:
    return "nurturing" if kind == "marketing" else "retention"


def _touchpoints(journey: Journey, stage_of: dict[str, Stage]) -> Iterator[Node]:
    """What touches the customer in each stage: all channels in, questions, messages, and what moves wait for."""
    yield ways_in(journey, "generation")
    found: dict[Stage, dict[str, str]] = {stage: {} for stage in STAGES}
    for criterion in journey.qualify:
        if criterion.unknown == "ask":
            found["qualification"][f"Question: {criterion.name.replace('_', ' ')}"] = ""
    for name, made in journey.campaigns.items():
        told = (f"Mail: {subject}" for subject in messages(journey, made))
        found[_stage_of(made.kind)] |= zip(told, sent_counts(name, made), strict=True)
    for name, there in journey.lifecycle.items():
        for way in there.to:
            found[stage_of[name]] |= {titled(kind): f"touched:{kind}" for kind in touchpoints(journey, way)}
    for stage, each in found.items():
        if each:
            counts = tuple(each.values())
            yield Node(f"touchpoints:{stage}", "Touchpoints", "touchpoint", tuple(each), group=stage, counts=counts)
