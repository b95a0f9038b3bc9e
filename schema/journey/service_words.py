"""How customers are helped, in plain words: what each key means, what opens tickets, and who shares them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from schema.journey import words
from schema.journey.model import Journey
from schema.journey.phrases import said
from schema.journey.service import Opens, TicketKind

KEYS: Final[dict[str, dict[str, str]]] = {
    "Service": {
        "department": "Whose work it is.",
        "system": "Where that work is done.",
        "kinds": "The kinds of tickets, by name; `complaint` is the one that others may ask about.",
        "opens": "Which arrivals open tickets; the first that fits decides.",
        "desks": "Who shares tickets, looked at in this order; the last one takes whatever is left.",
        "slas": "Within what working time tickets are answered and resolved; the first whose `when` holds.",
        "close_after": "So long a resolved ticket can be reopened by its customer's answer; then it is closed.",
    },
    "TicketKind": {
        "label": "What people call the kind.",
        "description": "What it is.",
        "priority": "How urgent such a ticket is, if nobody says otherwise.",
        "root_cause": "What it can be put down to; whoever resolves it names one.",
        "served": "true: resolving it is a service rendered, which the lead hears of as service.delivered.",
    },
    "Opens": {
        "on": "Kinds of touchpoints.",
        "sources": "Sources, whatever comes from them.",
        "when": "What has to hold beside that; also about `ticket.subject` and `ticket.text`.",
        "kind": "The kind of ticket that is opened.",
        "priority": "How urgent it is; without it as its kind says.",
    },
    "Desk": {
        "hours": "When tickets are given out, written here; outside of it they wait.",
        "calendar": "When tickets are given out, by name: one of `calendars`.",
        "label": "What people call the desk.",
        "department": "Whose work its tickets are; without it as `service` says.",
        "when": "Which tickets the desk takes; the last desk has none.",
        "members": "People with their weight: 2 gets twice what 1 gets.",
    },
}


def lines(journey: Journey) -> Iterator[tuple[int, str]]:
    """The kinds, what opens tickets and the desks as sentences, each with its depth."""
    service = journey.service
    if service is None:
        return
    about = [f"department {service.department}"] if service.department else []
    about += [f"in {service.system}"] if service.system else []
    if about:
        yield 0, f"{', '.join(about)[:1].upper()}{', '.join(about)[1:]}."
    for name, kind in service.kinds.items():
        yield 0, _kind(name, kind)
        if kind.description:
            yield 1, kind.description
    for number, rule in enumerate(service.opens, 1):
        yield 0, f"{number}. {_opens(rule)}."
    for name, desk in service.desks.items():
        label = f" ({desk.label})" if desk.label else ""
        yield 0, f"Desk {name}{label}: {f'if {said(desk.when)}' if desk.when else 'whatever is left'}."
        shares = words.shares(desk.members)
        by = f"; by {desk.department}" if desk.department else ""
        yield 1, "; ".join(f"{member}: {share}" for member, share in shares.items()) + f"{by}."
        calendar = journey.calendars.get(desk.calendar) if desk.calendar else desk.hours
        if calendar:
            named = f"in the hours of {desk.calendar}" if desk.calendar else f"on {words.hours(calendar)}"
            yield 1, f"Given out {named}; else tickets wait here."
    yield 0, f"A resolved ticket is closed after {words.time(service.close_after)}, if the customer does not object."


def _kind(name: str, kind: TicketKind) -> str:
    parts = [f"priority {kind.priority}"]
    parts += [f"put down to {words.listing(kind.root_cause, 'or')}"] if kind.root_cause else []
    parts += ["resolving it is a service rendered"] if kind.served else []
    title = f"{kind.label} ({name})" if kind.label else name
    return f"{title}: {'; '.join(parts)}."


def _opens(rule: Opens) -> str:
    named = [words.listing(rule.on, "or")] if rule.on else []
    named += [f"anything from {words.listing(rule.sources, 'or')}"] if rule.sources else []
    when = f", if {said(rule.when)}," if rule.when else ""
    priority = f", {rule.priority}" if rule.priority else ""
    return f"{words.listing(named, 'or')}{when} opens a {rule.kind}{priority}"
