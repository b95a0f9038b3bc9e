"""
When work passes from one department to another, and whose it is.

Whose work something is, is said by the journey: of a lead by its state; of a ticket by its desk, else by `service`; of
an opportunity by its pipeline; of a follow-up by what it is about. Where its owner is somebody whose own department is
said, it is that one's. Where nothing is said, it stays with whoever had it.

A hand-over is a change of that, and the beginning of something of a lead's that is another department's than the lead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schema.journey import Journey

_What = TypeVar("_What")


class Place(NamedTuple):
    """Whose work something is, and the system it is done in; None: nothing says so."""

    department: str | None = None
    system: str | None = None


NOWHERE = Place()


def passes(
    holder: str | None, stops: Iterable[tuple[str | None, _What]]
) -> tuple[list[tuple[str, str, _What]], str | None]:
    """
    Return how something passes from department to department: from which, to which, and by what; and who has it then.

    `holder` has it before (None: nobody yet), `stops` are where it comes to in order, each with what brought it there.
    A stop without a department leaves it with whoever has it. What one hand-over gives to a department, the next one
    takes from there.
    """
    found = []
    for department, what in stops:
        if department in {None, holder}:
            continue
        if holder is not None and department is not None:
            found.append((holder, department, what))
        holder = department
    return found, holder


def works_for(journey: Journey, person: str | None) -> str | None:
    """The department in which one of the people works, if the journey says so."""
    known = journey.people.get(person) if person else None
    return known.department if known else None


def of_state(journey: Journey, state: str) -> Place:
    """Whose work a lead is that is in a state."""
    there = journey.lifecycle.get(state)
    return Place(there.department, there.system) if there else NOWHERE


def of_ticket(journey: Journey, desk: str | None, owner: str | None) -> Place:
    """Whose work a ticket is, by the version whose desks share it."""
    service = journey.service
    if service is None:
        return NOWHERE
    there = service.desks.get(desk) if desk else None
    own = works_for(journey, owner) or (there.department if there else None)
    return Place(own or service.department, service.system)


def of_opportunity(journey: Journey, pipeline: str, stage: str, owner: str | None) -> Place:
    """Whose work an opportunity is; `owner` is its own, not that of the lead."""
    rules = journey.pipelines.get(pipeline)
    there = rules.stages.get(stage) if rules else None
    system = there.system if there else None
    return Place(works_for(journey, owner) or (rules.department if rules else None), system)


def of_subject(journey: Journey, about_kind: str, lead: Place) -> Place:
    """
    Whose work something about a ticket, an opportunity, a contract, a survey or a lead is, before anybody has it.

    `lead` is whose its lead is. Of several pipelines that are different departments' nothing says whose it is.
    """
    if about_kind == "ticket" and journey.service:
        return Place(journey.service.department, journey.service.system)
    if about_kind == "opportunity":
        departments = {rules.department for rules in journey.pipelines.values()}
        return Place(departments.pop()) if len(departments) == 1 else NOWHERE
    if about_kind == "contract" and journey.contracts:
        return Place(journey.contracts.department)
    return lead
