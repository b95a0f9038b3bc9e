"""Figures in plain sentences, and what each of their keys means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from schema.journey import words
from schema.journey.kpi import Kpis
from schema.journey.phrases import said
from schema.journey.target import Target
from schema.kpi.catalog import CATALOG

KEYS: Final[dict[str, dict[str, str]]] = {
    "Kpis": {
        "tz": "The time zone by whose days figures are counted.",
        "segment": "The field that says what segment a lead is of, as in person.custom.industry.",
        "segments": "Segments by name, each with a question; the first that holds is the lead's.",
        "campaign": "What of an arrival's attribution names the advertising campaign.",
        "targets": "What figures are to come to, by name; one that is missed is told as an event.",
    },
    "Target": {
        "label": "What people call the target.",
        "kpi": "The figure, as `throughline kpi list` names it.",
        "of": "What it is asked of, as in {state: lead} or {transition: win}; some figures are of everything.",
        "at_least": "It is missed below this: a share as 25%, a duration as 2d, money as 10000 EUR, else a number.",
        "at_most": "It is missed above this.",
        "percentile": "Of a duration: within what time so many of a hundred are to be done.",
        "over": "The latest days that are counted together.",
        "needed": "From so many on it is judged; without it from as many as the figure needs.",
    },
    "TargetOf": {
        "state": "A state of the lifecycle.",
        "transition": "A transition, from whichever state.",
        "touchpoint": "A kind of touchpoint.",
        "pipeline": "A pipeline.",
        "ticket": "A kind of ticket.",
        "sla": "What is promised for tickets.",
        "survey": "A survey.",
        "campaign": "A campaign.",
    },
}


def lines(kpis: Kpis) -> Iterator[tuple[int, str]]:
    """How figures are counted, each line with its depth; nothing where all is as usual."""
    if "tz" in kpis.model_fields_set:
        yield 0, f"Days are counted in {kpis.tz}."
    if kpis.segments:
        yield 0, "A lead is of the first segment that fits:"
        for name, question in kpis.segments.items():
            yield 1, f"{name}: {said(question)}"
    if kpis.segment:
        yield 0, f"{'Any other one' if kpis.segments else 'A lead'} is of the segment that {kpis.segment} names."
    if "campaign" in kpis.model_fields_set:
        yield 0, f"Advertising campaigns are told apart by the attribution's {kpis.campaign}."
    if kpis.targets:
        yield 0, "What figures are to come to:"
        for name, target in kpis.targets.items():
            yield 1, f"{f'{target.label} ({name})' if target.label else name}: {summary(target)}."


def summary(target: Target) -> str:
    """`time in state of the state lead: at most 2d for 90 of a hundred, over 30 days`."""
    of = f" of the {target.of.named.kind} {target.of.named.code}" if target.of else ""
    bound = f"at least {target.at_least}" if target.at_most is None else f"at most {target.at_most}"
    part = " for 90 of a hundred" if target.percentile == 90 else ""  # noqa: PLR2004 - else the median
    enough = f", from {target.needed} on" if target.needed else ""
    return f"{CATALOG[target.kpi].title}{of}: {bound}{part}, over {words.time(target.over)}{enough}"
