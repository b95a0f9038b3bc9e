"""Pipelines: stages and transitions that are there and fit each other, so that what becomes of a sale can be done."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from schema.journey.check.finding import Finding, View, warning
from schema.journey.document import Path
from schema.journey.fields import nearest
from schema.journey.pipeline import ASKED_FOR, Pipeline
from schema.purchase import CURRENCIES


def names(view: View) -> Iterator[Finding]:
    """States, transitions, departments, currencies and fields that are not there."""
    journey = view.journey
    used = sorted({name for _, name, _ in journey.moves})
    for path, pipeline in _pipelines(view):
        if pipeline.state and pipeline.state not in journey.lifecycle:
            near = nearest(pipeline.state, list(journey.lifecycle))
            yield Finding((*path, "state"), f"there is no state {pipeline.state}{near}")
        for key in ("won", "lost", "reopen"):
            name = getattr(pipeline, key)
            if name and name not in used:
                yield Finding((*path, key), f"no state has a way {name}{nearest(name, used)}")
        if journey.departments and pipeline.department not in {None, *journey.departments}:
            near = nearest(str(pipeline.department), list(journey.departments))
            yield Finding((*path, "department"), f"{pipeline.department} is not among the departments{near}")
        if pipeline.currency not in CURRENCIES:
            near = nearest(pipeline.currency, sorted(CURRENCIES))
            yield Finding((*path, "currency"), f"{pipeline.currency} is no currency that is paid with{near}")
        for stage, told in pipeline.stages.items():
            for at, field in enumerate(told.requires):
                if field not in ASKED_FOR:
                    near = nearest(field, list(ASKED_FOR)) or f"; there are {', '.join(ASKED_FOR)}"
                    yield Finding((*path, "stages", stage, "requires", at), f"an opportunity has no {field}{near}")


def stages(view: View) -> Iterator[Finding]:
    """Stages that nothing can be opened at, and probabilities that fall on the way to the sale."""
    for path, pipeline in _pipelines(view):
        first = pipeline.stages[pipeline.first]
        if pipeline.state and first.requires:
            message = "opportunities are opened here by themselves, with nothing known: ask for it at a later stage"
            yield Finding((*path, "stages", pipeline.first, "requires"), message)
        for (before, earlier), (name, later) in pairwise(pipeline.stages.items()):
            if later.probability < earlier.probability:
                message = f"fewer are won from here than from {before}, which stands before it"
                yield warning((*path, "stages", name, "probability"), message)


def ways(view: View) -> Iterator[Finding]:
    """Moves that cannot follow: from the pipeline's state, for its reasons, or back into it."""
    journey = view.journey
    for path, pipeline in _pipelines(view):
        if pipeline.won and pipeline.won == pipeline.lost:
            yield Finding((*path, "lost"), f"{pipeline.lost} is what follows when one is won, too")
        state = journey.lifecycle.get(pipeline.state or "")
        if pipeline.state and state:
            if state.final:
                message = f"{pipeline.state} is final: nothing more is owed there, so there is no sale to work on"
                yield Finding((*path, "state"), message)
            for key in ("won", "lost"):
                name = getattr(pipeline, key)
                if name and name not in state.to:
                    message = f"{pipeline.state} has no way {name}: who is {key} there is told, and the lead stays"
                    yield warning((*path, key), message)
        yield from _reasons(view, path, pipeline)
        targets = {target for _, name, target in journey.moves if name == pipeline.reopen}
        if pipeline.reopen and targets and state and pipeline.state not in targets:
            message = f"{pipeline.reopen} leads to {', '.join(sorted(targets))}, not to {pipeline.state}"
            yield warning((*path, "reopen"), message)


def _reasons(view: View, path: Path, pipeline: Pipeline) -> Iterator[Finding]:
    known = view.journey.transition(pipeline.lost).reason if pipeline.lost else ()
    if len(known) < 2:  # noqa: PLR2004 - a single reason is recorded by itself
        return
    for reason in pipeline.reasons:
        if reason not in known:
            said = "reasons" if "reasons" in pipeline.model_fields_set else "lost"
            near = nearest(reason, list(known)) or f"; it has {', '.join(known)}"
            yield Finding((*path, said), f"{pipeline.lost} is not made for {reason}{near}")


def _pipelines(view: View) -> Iterator[tuple[Path, Pipeline]]:
    for name, pipeline in view.journey.pipelines.items():
        yield ("pipelines", name), pipeline
