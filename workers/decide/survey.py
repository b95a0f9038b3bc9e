"""
Surveys: whom does what happened have us ask, and when the time has come, is it still to be asked?

The sample is drawn by a hash of the person and the occasion, so that the same is drawn whenever it is drawn again. All
else is asked when the time has come, since a ticket may be opened again and a customer leave until then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from schema.ticketing import UNSOLVED, asked

if TYPE_CHECKING:
    from schema.facts import Facts
    from schema.journey import Expression, Journey
    from schema.journey.survey import Survey


class News(NamedTuple):
    """One thing that happened to a lead; `occasion` is a text that no other has, `kind` and `id` what it is about."""

    event: str
    occasion: str
    about_kind: str
    about_id: str


class Plan(NamedTuple):
    """Somebody is to be asked `survey` at a moment."""

    survey: str
    occasion: str
    about_kind: str
    about_id: str
    due_at: datetime


def plans(
    facts: Facts, journey: Journey, now: datetime, news: Sequence[News], entered: str | None = None
) -> list[Plan]:
    """
    What is to be asked because of what happened to a lead, one of each survey and subject.

    `entered` is the occasion of its coming into the state it is in, None where it did not in this run.
    """
    state = News("", entered or "", "lead", facts.lead_id)
    found: dict[tuple[str, str], Plan] = {}
    for name, survey in journey.surveys.items():
        occasions = [each for each in news if each.event in survey.event]
        occasions += [state] if entered and survey.state == facts.state else []
        for each in occasions:
            if sampled(facts.person["id"], f"{name} {each.occasion}", survey.sample):
                at = now + (survey.after or timedelta())
                found[name, each.about_id] = Plan(name, each.occasion, each.about_kind, each.about_id, at)
    return list(found.values())


def sampled(person_id: str, occasion: str, per_cent: int) -> bool:
    """Whether a person is among the `per_cent` who are asked on an occasion; who is with 20 is with 30, too."""
    digest = hashlib.sha256(f"survey {person_id} {occasion}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 10_000 < per_cent * 100


def refused(
    survey: Survey | None,
    facts: Facts,
    journey: Journey,
    now: datetime,
    *,
    last_asked: datetime | None,
    ticket: Mapping[str, Any] | None = None,
) -> str | None:
    """
    Why somebody is not to be asked now, as a code; None: they are.

    `last_asked` is when they were last asked anything, `ticket` what it is about, if that is one.
    """
    if survey is None or journey.mail is None or not facts.person.get("email"):
        return "survey_unknown" if survey is None else "no_address" if journey.mail else "mail_not_configured"
    if reason := _over(survey, facts, journey, ticket):
        return reason
    if survey.when is not None and not _holds(survey.when, facts, journey, ticket):
        return "condition"
    return "cooldown" if last_asked is not None and now - last_asked < survey.cooldown else None


def _over(survey: Survey, facts: Facts, journey: Journey, ticket: Mapping[str, Any] | None) -> str | None:
    """Why there is nothing to ask about any more."""
    if ticket is not None:
        return "reopened" if ticket["status"] in UNSOLVED else None
    state = journey.lifecycle.get(facts.state)
    return "lead_closed" if state is not None and state.final and facts.state != survey.state else None


def _holds(when: Expression, facts: Facts, journey: Journey, ticket: Mapping[str, Any] | None) -> bool:
    view = facts.context(journey)
    view.replace("ticket", asked(ticket) if ticket else None)
    answer = when.evaluate(view)
    view.replace("ticket", None)
    return answer is True
