"""Follow-up rules in plain sentences, and what each of their keys means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from schema.journey import words
from schema.journey.follow_up import Escalate, FollowUpRule
from schema.journey.phrases import said

KEYS: Final[dict[str, dict[str, str]]] = {
    "FollowUpRule": {
        "hours": "Working hours written here: a time zone, and days with their times.",
        "calendar": "Working hours by name: one of `calendars`.",
        "label": "What people call this work.",
        "state": "Coming into this state sets it off.",
        "event": "This kind of touchpoint, or this happening here, sets it off; of several, any of them.",
        "when": "Only if this holds.",
        "text": "What is to be done.",
        "to": "Whose it is: the lead's owner, the agent of what it is about, or one of the people.",
        "within": "By when it is to be done, in working time.",
        "remind": "How long before it is due they are reminded.",
        "escalate": "Who hears of it when it is late.",
        "outcomes": "What can come of it.",
    },
    "Escalate": {
        "after": "How long after the due time, in working time; without it at once.",
        "to": "Who hears of it: the lead's owner, or one of the people.",
        "assign": "true: it is theirs from then on.",
    },
}
_WHOSE: Final = {"owner": "the lead's owner", "agent": "whoever works on what it is about"}


def title(name: str, rule: FollowUpRule) -> str:
    """What it is called, and what sets it off."""
    called = f"{rule.label} ({name})" if rule.label else name
    when = f", if {said(rule.when)}" if rule.when else ""
    return f"{called} - {set_off(rule)}{when}"


def set_off(rule: FollowUpRule) -> str:
    """What makes the work."""
    return f"when a lead comes into {rule.state}" if rule.state else f"on {words.listing(rule.event, 'or')}"


def lines(rule: FollowUpRule, hours: str) -> Iterator[str]:
    """What is to be done, whose it is and until when; `hours` are those of its own, in words."""
    yield f"“{rule.text}”"
    by = f", {hours}" if hours else " of their working time"
    yield f"For {_WHOSE.get(rule.to, rule.to)}, within {words.time(rule.within)}{by}."
    if rule.remind:
        yield f"Reminded {words.time(rule.remind)} before."
    if rule.escalate:
        yield f"Late: {escalation(rule.escalate)}."
    yield f"Comes to one of: {', '.join(rule.outcomes)}."


def summary(rule: FollowUpRule) -> str:
    """The whole of it in one sentence."""
    text, *rest = lines(rule, "")
    when = f", if {said(rule.when)}" if rule.when else ""
    return " ".join([f"{set_off(rule)}{when}: {text}.", *rest]).rstrip(".")


def escalation(asked: Escalate) -> str:
    """`after 2 hours ben is told, and it is theirs`."""
    after = f"after {words.time(asked.after)} " if asked.after else ""
    assigned = ", and it is theirs" if asked.assign else ""
    return f"{after}{_WHOSE.get(asked.to, asked.to)} is told{assigned}"
