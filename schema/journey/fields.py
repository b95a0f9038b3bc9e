"""
What an expression of a journey can ask about: the one table of fields and their kinds.

The kinds are `text`, `number`, `flag`, `list`, `map` and `moment`. Below a `map` every name is allowed, because the
business chooses those names itself (`person.custom.budget`). `touchpoint.kinds` are the kinds of the touchpoints that
the lead has not been advanced for yet, `touchpoint.kind` is the latest of them, `touchpoint.count` counts all there
ever were. `member.…` is the person that a pool's `fits` asks about. `score.predicted` is the trained probability of
conversion, 0 to 1, where a model is active. `person.consent.…` is true for a purpose that was agreed to, false for one
that was refused, and unknown while nobody answered; `person.purchases` has `count`, by currency `total` (refunds taken
off), `last_at`, and `products`, the names and article numbers of what was bought; `person.contracts` has how many are
`running`, and `ends_on`, the day on which the first of these ends. `person.health` is how well a customer is, 0 to 100;
`person.satisfaction` has the latest answer to a survey of each kind, `csat` (1 to 5) and `nps` (0 to 10).
`person.tickets` counts tickets that are not resolved: `open`, and of these `complaints`. `ticket.…` is the ticket that
desks and policies of `service` ask about, and follow-up rules and surveys that it sets off; its `text`, and what an
arrival says that may open one, only `opens`. `opportunity.…` is the one that sets off a follow-up rule: `probability`
is 0 to 1, that of its stage if nobody said one; `quiet` says whether it was told that nothing happens there.
`lists.…` is not in the table: a journey names its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

FIELDS: dict[str, str] = {
    "source": "text",
    "channel": "text",
    "owner": "text",
    "pool": "text",
    "person.id": "text",
    "person.name": "text",
    "person.first_name": "text",
    "person.last_name": "text",
    "person.email": "text",
    "person.phone": "text",
    "person.country": "text",
    "person.city": "text",
    "person.language": "text",
    "person.job_title": "text",
    "person.interests": "list",
    "person.preferences": "map",
    "person.consent": "map",
    "person.purchases": "map",
    "person.contracts": "map",
    "person.health": "number",
    "person.satisfaction": "map",
    "person.tickets": "map",
    "person.custom": "map",
    "company.id": "text",
    "company.name": "text",
    "company.domain": "text",
    "company.employees": "number",
    "company.country": "text",
    "company.industry": "text",
    "company.custom": "map",
    "lead.id": "text",
    "lead.interests": "list",
    "lead.message": "text",
    "lead.attribution": "map",
    "lead.custom": "map",
    "lead.created_at": "moment",
    "touchpoint.kind": "text",
    "touchpoint.kinds": "list",
    "touchpoint.count": "number",
    "qualification.outcome": "text",
    "qualification.passed": "flag",
    "qualification.reason": "text",
    "score.total": "number",
    "score.fit": "number",
    "score.engagement": "number",
    "score.grade": "text",
    "score.cell": "text",
    "score.predicted": "number",
    "state": "text",
    "ticket.kind": "text",
    "ticket.priority": "text",
    "ticket.status": "text",
    "ticket.desk": "text",
    "ticket.channel": "text",
    "ticket.source": "text",
    "ticket.subject": "text",
    "ticket.text": "text",
    "ticket.reopened": "number",
    "opportunity.pipeline": "text",
    "opportunity.stage": "text",
    "opportunity.status": "text",
    "opportunity.reason": "text",
    "opportunity.amount": "number",
    "opportunity.currency": "text",
    "opportunity.probability": "number",
    "opportunity.products": "list",
    "opportunity.competitors": "list",
    "opportunity.quiet": "flag",
    "opportunity.reopened": "number",
    "member.name": "text",
    "member.speaks": "list",
    "member.skills": "list",
}


def kind(path: str) -> str | None:
    """Kind of a field, `any` for a name below a `map`, None when there is no such field."""
    if path in FIELDS:
        return FIELDS[path]
    parent = path
    while "." in parent:
        parent = parent.rpartition(".")[0]
        if FIELDS.get(parent) == "map":
            return "any"
    return None


def instead(name: str, known: Iterable[str]) -> str:
    """How a sentence ends that says there is no such name: `; did you mean …?`, else `; there are …, ….`."""
    names = list(known)
    return nearest(name, names) or f"; there {'are ' + ', '.join(names[:20]) if names else 'is none'}."


def nearest(name: str, known: list[str]) -> str:
    """`; did you mean …?` for a mistyped name, or nothing."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
