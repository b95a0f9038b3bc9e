"""The steps of a journey: known, each once, and the last one moves the lead."""

from __future__ import annotations

from collections.abc import Iterator

from schema.journey.check.finding import Finding, View
from schema.journey.fields import nearest
from schema.messages import STEPS


def order(view: View) -> Iterator[Finding]:
    """Steps that nobody knows or that stand twice, and a journey that ends before the lead is moved."""
    known, taken = STEPS[1:], view.journey.steps
    for at, name in enumerate(taken):
        if name not in known:
            message = f"there is no step {name}{nearest(name, list(known))}; there are {', '.join(known)}"
            yield Finding(("steps", at), message)
        if name in taken[:at]:
            yield Finding(("steps", at), f"{name} stands twice; a lead takes each step once")
    if taken[-1] != known[-1]:
        yield Finding(("steps",), f"the last step has to be {known[-1]}, which moves the lead")
