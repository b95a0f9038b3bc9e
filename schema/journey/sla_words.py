"""Policies in plain words: what each key means, and what a ticket is promised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from schema.journey import words
from schema.journey.model import Journey
from schema.journey.parts import Worked
from schema.journey.phrases import said
from schema.journey.service import OWNER, Escalation, Sla

KEYS: Final[dict[str, dict[str, str]]] = {
    "Sla": {
        "hours": "The working time that counts, written here; without it the desk's, else day and night.",
        "calendar": "The working time that counts, by name: one of `calendars`.",
        "label": "What people call the policy.",
        "when": "Which tickets it is for; the first policy that holds is a ticket's.",
        "first_response": "The working time until our first answer, from the opening.",
        "next_response": "The working time until our next answer, from the customer's first message after the latest.",
        "resolution": "The working time until the ticket is resolved, from the opening.",
        "pauses": "The statuses in which its clocks stand still.",
        "at_risk": "The per cent of the time from which on a clock is at risk.",
        "escalate": "Who is told when so much of the time is over.",
    },
    "Escalation": {
        "at": "The per cent of the time; more than 100 is after it is over.",
        "to": "Who is told: the ticket's owner, or one of the people.",
        "assign": "true: the ticket becomes theirs.",
    },
}
_PROMISES: Final = {
    "first_response": "first answered within",
    "next_response": "answered again within",
    "resolution": "resolved within",
}
_STATUSES: Final = {"waiting": "waits for the customer", "on_hold": "is on hold"}


def policies(journey: Journey) -> Iterator[tuple[int, str]]:
    """Every policy as sentences, each with its depth: 0 stands by itself, 1 belongs to the last one above it."""
    slas = journey.service.slas if journey.service else {}
    for number, (name, sla) in enumerate(slas.items(), 1):
        label = f" ({sla.label})" if sla.label else ""
        yield 0, f"SLA {number}. {name}{label}: {f'if {said(sla.when)}' if sla.when else 'whatever is left'}."
        yield 1, f"A ticket is {words.listing(_promised(sla))}, {_counted(journey, sla)}."
        still = words.listing((f"it {_STATUSES[status]}" for status in sla.pauses), "or")
        yield 1, f"The time stands still while {still}." if still else "The time never stands still."
        told = [f"At risk from {sla.at_risk}% of the time on", *map(escalation, sla.escalate)]
        yield 1, f"{'; '.join(told)}."
    if slas and all(sla.when for sla in slas.values()):
        yield 0, "Nothing is promised about any other ticket."


def escalation(one: Escalation) -> str:
    """`at 150% eva is told and gets the ticket`."""
    who = "the owner" if one.to == OWNER else one.to
    return f"at {one.at}% {who} is told{' and gets the ticket' if one.assign else ''}"


def _promised(sla: Sla) -> Iterator[str]:
    for metric, promise in _PROMISES.items():
        if (time := getattr(sla, metric)) is not None:
            yield f"{promise} {words.time(time)}"


def _counted(journey: Journey, sla: Sla) -> str:
    calendar = journey.calendars.get(sla.calendar) if sla.calendar else sla.hours
    if calendar:
        return f"counted in the hours of {sla.calendar}" if sla.calendar else f"counted on {words.hours(calendar)}"
    desks: list[Worked] = list(journey.service.desks.values()) if journey.service else []
    if any(desk.hours or desk.calendar for desk in desks):
        return "counted in the hours of its desk"
    return "counted day and night"
