"""
Which stage of the customer's way a state belongs to, as far as the journey's shape says it.

A state that can only be reached through a won one is a customer's. Before that, new leads and those turned down are
being qualified; where leads wait from whom the way goes back to the beginning, they are nurtured; the rest is sales.
"""

from __future__ import annotations

from typing import Final, Literal

from schema.journey.model import Journey

Stage = Literal["generation", "qualification", "nurturing", "conversion", "retention"]

STAGES: Final[dict[Stage, str]] = {
    "generation": "Generation",
    "qualification": "Qualification",
    "nurturing": "Nurturing",
    "conversion": "Conversion",
    "retention": "Retention",
}
"""The stages in their order, with what they are called."""


def stages(journey: Journey) -> dict[str, Stage]:
    """The stage of each state. Without a state that counts as won there is no retention."""
    before = _before(journey)
    found: dict[str, Stage] = {}
    for name, there in journey.lifecycle.items():
        if name not in before:
            found[name] = "retention"
        elif name == journey.initial or (there.final and there.outcome != "lost"):
            found[name] = "qualification"
        elif not there.final and journey.initial in there.to.values():
            found[name] = "nurturing"
        else:
            found[name] = "conversion"
    return found


def _before(journey: Journey) -> set[str]:
    """The states that are reached without having been won; and those that nothing leads to."""
    won = {name for name, there in journey.lifecycle.items() if there.outcome == "won"}
    led_to = {target for there in journey.lifecycle.values() for target in there.to.values()}
    waiting = [name for name in journey.lifecycle if name == journey.initial or name not in led_to]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in reached and name not in won:
            reached.add(name)
            waiting += journey.lifecycle[name].to.values()
    return reached
