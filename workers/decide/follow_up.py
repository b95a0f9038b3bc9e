"""
Follow-ups: which work for people does something set off, until when, and what is to be done when its time has come?

Working time is that of the rule, else that of the person, else every hour counts. A reminder comes before the work is
due or not at all; what is late is told once, and once more when it was put off since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

import msgspec

from schema.facts import Facts
from schema.hours import Hours, day_ends, hours
from schema.journey.follow_up import FollowUpRule
from schema.journey.model import Journey
from schema.journey.parts import Worked
from workers.decide.seen import Seen

Role = Literal["owner", "agent", "person"]

ENDS: Final[dict[str, str]] = {
    "ticket.resolved": "ticket_resolved",
    "opportunity.won": "opportunity_won",
    "opportunity.lost": "opportunity_lost",
    "contract.renewed": "contract_renewed",
    "contract.ended": "contract_ended",
}
"""What happens to something that ends all open work about it, with the reason that is kept."""


class News(NamedTuple):
    """
    One thing that happened to a lead: a touchpoint, or one of ours.

    `occasion` is a text that no other has; `kind` and `id` below name what it is about, and `owner` whose work that is.
    `known` is what rules may ask of it, where it is a ticket or an opportunity.
    """

    event: str
    occasion: str
    about_kind: str
    about_id: str
    owner: str | None = None
    known: Mapping[str, Any] | None = None


class Work(msgspec.Struct, frozen=True, gc=False):
    """Work to be made. `owner` is None where nobody has the lead yet; `role` says by what it is theirs."""

    rule: str
    occasion: str
    text: str
    about_kind: str
    about_id: str
    role: Role
    owner: str | None
    due_at: datetime
    remind_at: datetime | None


class Look(NamedTuple):
    """What is to be told of open work now, to whom it is escalated, and when it wants to be looked at again."""

    remind: bool = False
    late: bool = False
    escalate: FollowUpRule | None = None
    at: datetime | None = None


def work(facts: Facts, journey: Journey, now: datetime, news: Sequence[News], entered: str | None = None) -> list[Work]:
    """
    The work that the journey's rules make of what happened to a lead, one of each rule and subject.

    `entered` is the occasion of its coming into the state it is in, None where it did not in this run.
    """
    state = News("", entered or "", "lead", facts.lead_id)
    found: dict[tuple[str, str], Work] = {}
    seen: Seen | None = None
    for name, rule in journey.follow_ups.items():
        occasions = [each for each in news if each.event in rule.event]
        occasions += [state] if entered and rule.state == facts.state else []
        for each in occasions:
            if (name, each.about_id) in found:
                continue
            if rule.when is not None:
                seen = seen or Seen(replace(facts), journey)
                about = None if each.known is None else (each.about_kind, each.known)
                if not seen.holds(rule.when, None, about):
                    continue
            found[name, each.about_id] = _made(facts, journey, now, name, each)
    return list(found.values())


def _made(facts: Facts, journey: Journey, now: datetime, name: str, news: News) -> Work:
    rule = journey.follow_ups[name]
    role: Role = "owner" if rule.to == "owner" else "agent" if rule.to == "agent" else "person"
    owner = {"owner": facts.owner, "agent": news.owner or facts.owner}.get(role, rule.to)
    due_at = due(journey, rule, owner, now, rule.within)
    return Work(
        rule=name,
        occasion=news.occasion,
        text=rule.text,
        about_kind=news.about_kind,
        about_id=news.about_id,
        role=role,
        owner=owner,
        due_at=due_at,
        remind_at=reminder(rule, due_at, now),
    )


def due(
    journey: Journey, worked: Worked | None, owner: str | None, start: datetime, within: timedelta | None
) -> datetime:
    """
    When work is due that somebody gets at `start`: that much working time later, by itself on the same working day.

    Where there are no working hours, or they never come, every hour counts.
    """
    known = _worked(journey, worked, owner)
    if within is not None:
        return (known and known.add(start, within)) or start.astimezone(UTC) + within
    opens = known and known.next_open(start)
    closes = opens and known and known.next_close(opens)
    return closes or day_ends(zone_of(journey, owner), start)


def reminder(rule: FollowUpRule | None, due_at: datetime, now: datetime) -> datetime | None:
    """When somebody is reminded of work; None where the rule says nothing of it, or that time is over already."""
    at = due_at - rule.remind if rule and rule.remind else None
    return at if at and at > now else None


def look(row: Mapping[str, Any], journey: Journey, now: datetime) -> Look:
    """What is to be done about open work at `now`, as it is: the columns of its row say what was told already."""
    rule = journey.follow_ups.get(row["rule"] or "")
    due_at, remind_at = row["due_at"], row["remind_at"]
    reminds = remind_at if remind_at and row["reminded_at"] is None and remind_at < due_at else None
    lates = due_at if row["late_at"] is None else None
    escalates = _escalates(journey, rule, row)
    ahead = [moment for moment in (reminds, lates, escalates) if moment and moment > now]
    return Look(
        remind=reminds is not None and reminds <= now < due_at,
        late=lates is not None and lates <= now,
        escalate=rule if escalates and escalates <= now else None,
        at=min(ahead, default=None),
    )


def _escalates(journey: Journey, rule: FollowUpRule | None, row: Mapping[str, Any]) -> datetime | None:
    """When work is escalated; None where it never is, or was already."""
    if rule is None or rule.escalate is None or row["escalated_at"] is not None:
        return None
    due_at: datetime = row["due_at"]
    return due(journey, rule, row["owner"], due_at, rule.escalate.after) if rule.escalate.after else due_at


def zone_of(journey: Journey, owner: str | None) -> str:
    """The time zone of one of the people; UTC of nobody."""
    return journey.people[owner].tz if owner in journey.people else "UTC"


def working(journey: Journey, owner: str) -> Hours | None:
    """The working hours of one of the people; None of whoever has none."""
    return _hours(journey, journey.people[owner], journey.people[owner].tz) if owner in journey.people else None


def _worked(journey: Journey, worked: Worked | None, owner: str | None) -> Hours | None:
    known = _hours(journey, worked, None) if worked else None
    return known or (working(journey, owner) if owner else None)


def _hours(journey: Journey, worked: Worked, tz: str | None) -> Hours | None:
    calendar = journey.calendars[worked.calendar] if worked.calendar else worked.hours
    return hours(calendar, tz) if calendar else None
