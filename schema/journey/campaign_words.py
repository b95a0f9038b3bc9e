"""Campaigns in plain sentences: who enters, what each step does, when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from schema.journey import words
from schema.journey.campaign import (
    Audience,
    Campaign,
    Cap,
    Cost,
    Enter,
    Exit,
    FollowUp,
    Goal,
    Mail,
    Step,
    Template,
    Wording,
)
from schema.journey.model import Journey
from schema.journey.parts import Calendar
from schema.journey.phrases import said


def mail(journey: Journey) -> Iterator[str]:
    """How mail goes out, one sentence each."""
    told = journey.mail
    if told is None:
        return
    answers = f"; answers go to {told.reply_to}" if told.reply_to else ""
    yield f"From {told.sender}{answers}."
    if told.postal:
        yield f"Postal address: {told.postal}."
    calendar = told.hours or journey.calendars.get(told.calendar or "")
    if calendar:
        yield f"Campaigns write on {hours(calendar, told)}."
    for most in told.caps:
        yield f"Nobody gets more than {cap(most)}."
    off = [f"{what} is not noticed" for what, on in (("opening", told.opens), ("clicking", told.clicks)) if not on]
    if off:
        yield f"{words.listing(off).capitalize()}."


def template(told: Template) -> Iterator[str]:
    """What a message says, line by line, in each of its languages."""
    for place, wording in told.wordings():
        if place:
            yield f"For people of the language {place[-1]}:"
        yield from _said(wording)


def _said(wording: Wording) -> Iterator[str]:
    yield f"Subject: {wording.subject}"
    if wording.preview:
        yield f"Beside it: {wording.preview}"
    yield from (line for line in wording.text.splitlines() if line.strip())
    if wording.html:
        yield "As a page of its own:"
        yield from (line for line in wording.html.splitlines() if line.strip())


def hours(calendar: Calendar, told: Mail) -> str:
    """When campaigns may write, and by whose clock."""
    shown = f"{words.opening(words.week(calendar))}{words.closed(calendar.holidays)}"
    if "tz" in calendar.model_fields_set:
        return f"{shown}, by the clock of {calendar.tz}"
    assumed = f"; where it is not known, of {words.listing(told.assume)}" if told.assume else ""
    return f"{shown}, by the clock of the person's own place{assumed}"


def cap(most: Cap) -> str:
    """`2 messages within 7 days`."""
    return f"{most.most} message{'' if most.most == 1 else 's'} within {words.time(most.per)}"


def headline(campaign: Campaign) -> str:
    """What kind of campaign it is, and whom it goes before."""
    kind = f"marketing, with consent to {campaign.purpose}" if campaign.kind == "marketing" else "service mail"
    return f"{kind}; priority {campaign.priority}" + (f"; by {campaign.department}" if campaign.department else "")


def lines(campaign: Campaign) -> Iterator[str]:
    """Everything but the steps, one sentence each."""
    yield f"Enters who {words.listing((enter(way) for way in campaign.enter), 'or')}; {again(campaign.again)}."
    for leave in campaign.exit:
        yield f"Leaves at once ({leave.reason}) who {exit_(leave)}."
    if campaign.goal:
        yield f"Goal: {goal(campaign.goal)}."
    if campaign.holdout:
        yield f"{campaign.holdout}% of those who enter get nothing, to compare with."
    if campaign.audience:
        yield f"No more than {audience(campaign.audience)} enter before somebody approves it."
    if campaign.cost:
        yield f"Costs {cost(campaign.cost)}."


def enter(way: Enter) -> str:
    """A way in."""
    when = f"if {said(way.when)}" if way.when else ""
    if way.state:
        return f"comes into {way.state} {when}".rstrip()
    if way.event:
        return f"does {way.event} {when}".rstrip()
    if way.date:
        how = (
            f"{words.time(way.before)} before"
            if way.before
            else f"{words.time(way.after)} after"
            if way.after
            else "when it is"
        )
        how += f" {way.date}{', every year' if way.yearly else ''}, at most {words.time(way.late)} late"
        return f"has reached the day: {how} {when}".rstrip()
    return f"is one for whom {said(way.when)}" if way.when else ""


def exit_(way: Exit) -> str:
    """A way out."""
    return f"is one for whom {said(way.when)}" if way.when else f"does {way.event}"


def goal(wanted: Goal) -> str:
    """What it is for."""
    return said(wanted.when) + (f", within {words.time(wanted.within)} of entering" if wanted.within else "")


def audience(limit: Audience) -> str:
    """`2000 people within 1 day (1500 expected)`."""
    expected = f" ({limit.expect} expected)" if limit.expect is not None else ""
    return f"{limit.most} people within {words.time(limit.per)}{expected}"


def cost(spent: Cost) -> str:
    """`200 EUR and 0.01 EUR for each message`."""
    return f"{spent.fixed} {spent.currency} and {spent.per_send} {spent.currency} for each message"


def again(policy: str | timedelta) -> str:
    """How often somebody may enter."""
    if isinstance(policy, timedelta):
        return f"again after {words.time(policy)}"
    return {
        "once": "only once",
        "after_exit": "again when the last time is over",
        "always": "each time, while not in it",
    }[policy]


def task(asked: FollowUp) -> str:
    """`“Call them” for the owner within 1 day`."""
    to = "the owner" if asked.to == "owner" else asked.to
    return f"“{asked.text}” for {to}" + (f" within {words.time(asked.within)}" if asked.within else "")


def step(one: Step) -> str:  # noqa: PLR0911 - one way of saying it for each thing a step can do
    """What a step does, as an order."""
    if one.send is not None:
        return f"send {one.send}" + (f" ({one.capped} it where there was enough)" if one.capped != "defer" else "")
    if one.wait is not None:
        return f"wait {words.time(one.wait)}"
    if one.wait_until is not None and one.timeout is not None:
        otherwise = f", then go to {one.otherwise}" if one.otherwise else ""
        return f"wait until {said(one.wait_until)}, at most {words.time(one.timeout)}{otherwise}"
    if one.branch is not None:
        ways = (f"to {way.go} if {said(way.when)}" if way.when else f"to {way.go}" for way in one.branch)
        return f"go {'; else '.join(ways)}"
    if one.split is not None:
        whole = sum(one.split.values())
        return f"split: {', '.join(f'{words.percent(part, whole)} to {name}' for name, part in one.split.items())}"
    if one.set is not None:
        return f"set {', '.join(f'{name} to {value}' for name, value in one.set.items())}"
    if one.follow_up is not None:
        return f"ask for {task(one.follow_up)}"
    if one.notify is not None:
        return f"tell {one.notify}"
    return f"go to {one.go}" if one.go is not None else f"end ({one.exit})"
