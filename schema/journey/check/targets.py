"""Targets: of states, transitions and whatever else that are there."""

from __future__ import annotations

from collections.abc import Iterator

from schema.journey.check.finding import Finding, View
from schema.journey.fields import nearest
from schema.journey.model import Journey


def names(view: View) -> Iterator[Finding]:
    """Names that nothing in the journey has."""
    for name, target in view.journey.kpis.targets.items():
        if target.of is None:
            continue
        of = target.of.named
        known = _known(view.journey).get(of.kind)
        if known is not None and of.code not in known:
            there = f"; there are {', '.join(known[:8])}" if known else "; there are none"
            message = f"there is no {of.kind} {of.code}{nearest(of.code, known) or there}"
            yield Finding(("kpis", "targets", name, "of", of.kind), message)


def _known(journey: Journey) -> dict[str, list[str]]:
    return {
        "state": list(journey.lifecycle),
        "transition": sorted({move for _, move, _ in journey.moves}),
        "pipeline": list(journey.pipelines),
        "ticket": list(journey.service.kinds) if journey.service else [],
        "survey": list(journey.surveys),
        "campaign": list(journey.campaigns),
    }
