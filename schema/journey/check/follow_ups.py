"""Follow-ups: people and states that are there, things that happen, and reminders that come in time."""

from __future__ import annotations

from collections.abc import Iterator

from schema.journey.check.finding import Finding, View, warning
from schema.journey.document import Path
from schema.journey.fields import nearest
from schema.journey.follow_up import HAPPENS, FollowUpRule
from schema.journey.words import time

_OURS = {kind.partition(".")[0] for kind in HAPPENS}


def names(view: View) -> Iterator[Finding]:
    """States and people that are not there, and events of ours that never happen."""
    journey = view.journey
    people = list(journey.people)
    for path, rule in _rules(view):
        if rule.state and rule.state not in journey.lifecycle:
            yield _missing((*path, "state"), f"there is no state {rule.state}", rule.state, list(journey.lifecycle))
        if rule.to not in {"owner", "agent", *people}:
            yield _missing((*path, "to"), f"there is no person {rule.to}", rule.to, ["owner", "agent", *people])
        if rule.escalate and rule.escalate.to not in {"owner", *people}:
            to = rule.escalate.to
            yield _missing((*path, "escalate", "to"), f"there is no person {to}", to, ["owner", *people])
        for at, event in enumerate(rule.event):
            if event.partition(".")[0] in _OURS and event not in HAPPENS:
                where = (*path, "event", at) if len(rule.event) > 1 else (*path, "event")
                near = nearest(event, list(HAPPENS)) or f"; there are {', '.join(HAPPENS)}"
                yield warning(where, f"nothing here is called {event}{near}")


def times(view: View) -> Iterator[Finding]:
    """Reminders that come when the work is made or never, and digests that nobody sends."""
    for path, rule in _rules(view):
        if rule.remind and rule.remind >= rule.within:
            message = f"a reminder comes before the work is due: write less than {time(rule.within)}"
            yield Finding((*path, "remind"), message)
        if rule.to == "agent" and rule.state:
            yield warning((*path, "to"), "nobody but its owner works on a lead: write owner")
    for name, person in view.journey.people.items():
        if person.digest and view.journey.mail is None:
            yield Finding(("people", name, "digest"), "nobody is there to send it: add `mail` with a `sender`")


def _rules(view: View) -> Iterator[tuple[Path, FollowUpRule]]:
    for name, rule in view.journey.follow_ups.items():
        yield ("follow_ups", name), rule


def _missing(path: Path, message: str, wrong: str, known: list[str]) -> Finding:
    return Finding(path, message + (nearest(wrong, known) or f"; there are {', '.join(known[:8])}"))
