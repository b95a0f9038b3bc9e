"""Pipelines in plain sentences, and what each of their keys means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from schema.journey import words
from schema.journey.pipeline import Pipeline, Stage

KEYS: Final[dict[str, dict[str, str]]] = {
    "Pipeline": {
        "label": "What people call the pipeline.",
        "state": "A lead that comes into this state has an opportunity opened; without it that is done by hand.",
        "department": "Whose work it is.",
        "currency": "The currency of amounts that are given without one.",
        "stages": "The stages by name, from the first to the last.",
        "won": "The transition that the lead makes when an opportunity is won.",
        "lost": "The transition that the lead makes when its last open opportunity is lost.",
        "reopen": "The transition that a lead makes that is done with when an opportunity of it is taken up again.",
        "reasons": "The codes for which an opportunity can be lost.",
    },
    "Stage": {
        "label": "What people call the stage.",
        "description": "What it means to be here.",
        "probability": "How many per cent of those that come here are won.",
        "quiet": "After this time without anything happening it is told; without it, as own history says.",
        "system": "Where that work is done.",
        "requires": "What an opportunity has to have before it may come here.",
    },
}


def headline(pipeline: Pipeline) -> str:
    """Whose it is, and how opportunities come into it."""
    opened = f"opened for every lead that comes into {pipeline.state}" if pipeline.state else "opened by hand"
    return opened + (f"; by {pipeline.department}" if pipeline.department else "")


def lines(pipeline: Pipeline) -> Iterator[str]:
    """Everything else, one sentence each."""
    for number, (name, stage) in enumerate(pipeline.stages.items(), 1):
        yield f"{number}. {_stage(name, stage)}"
    follows = {
        "one is won": pipeline.won,
        "the last open one is lost": pipeline.lost,
        "one is taken up again": pipeline.reopen,
    }
    yield from (f"When {when}, the lead moves by {name}." for when, name in follows.items() if name)
    yield f"Lost for one of: {', '.join(pipeline.reasons)}. Amounts are in {pipeline.currency} where nothing is said."


def _stage(name: str, stage: Stage) -> str:
    parts = [f"{stage.label} ({name})" if stage.label else name, f"{stage.probability}% are won"]
    parts += [f"needs {words.listing(stage.requires)}"] if stage.requires else []
    parts += [f"told when nothing happens for {words.time(stage.quiet)}"] if stage.quiet else []
    parts += [f"in {stage.system}"] if stage.system else []
    described = f" {stage.description}" if stage.description else ""
    return f"{parts[0]}: {'; '.join(parts[1:])}.{described}"
