"""
The questions of a journey in words: `company.employees >= 50` is "the company's number of employees is 50 or more".

What is simple is put into words that say exactly the same; anything else is shown as it was written, because a
sentence that is nearly right is worse than an expression.
"""

from __future__ import annotations

import json
import re
from typing import Final

from schema.journey.expressions import Expression
from schema.journey.fields import kind
from schema.journey.question import Always, Among, Compare, Contains, Every, Not, Other, Some, Told, Tree
from schema.journey.words import listing

NOUNS: Final[dict[str, str]] = {
    "source": "the source",
    "channel": "the channel",
    "owner": "the owner",
    "pool": "the pool",
    "person.id": "the person's id",
    "person.name": "the person's name",
    "person.first_name": "the person's first name",
    "person.last_name": "the person's last name",
    "person.email": "the person's e-mail address",
    "person.phone": "the person's telephone number",
    "person.country": "the person's country",
    "person.city": "the person's city",
    "person.language": "the person's language",
    "person.job_title": "the person's job title",
    "person.interests": "the person's interests",
    "person.preferences": "the person's preferences",
    "person.consent": "the person's consent",
    "person.purchases": "what the person bought",
    "person.contracts": "the person's contracts",
    "person.health": "how well the customer is",
    "person.satisfaction": "what the customer answered",
    "person.custom": "the person's own fields",
    "company.id": "the company's id",
    "company.name": "the company's name",
    "company.domain": "the company's domain",
    "company.employees": "the company's number of employees",
    "company.country": "the company's country",
    "company.industry": "the company's industry",
    "company.custom": "the company's own fields",
    "lead.id": "the lead's id",
    "lead.interests": "the lead's interests",
    "lead.message": "the message",
    "lead.attribution": "the attribution",
    "lead.custom": "the lead's own fields",
    "lead.created_at": "the moment the lead was created",
    "touchpoint.kind": "the latest touchpoint",
    "touchpoint.kinds": "what has come in",
    "touchpoint.count": "the number of touchpoints",
    "qualification.outcome": "the outcome of the qualification",
    "qualification.passed": "the qualification",
    "qualification.reason": "the reason of the qualification",
    "score.total": "the score",
    "score.fit": "the fit",
    "score.engagement": "the engagement",
    "score.grade": "the grade",
    "score.cell": "the cell of the grid",
    "score.predicted": "the predicted conversion",
    "state": "the state",
    "person.tickets": "the person's tickets",
    "ticket.kind": "the ticket's kind",
    "ticket.priority": "the ticket's priority",
    "ticket.status": "the ticket's status",
    "ticket.desk": "the ticket's desk",
    "ticket.channel": "the ticket's channel",
    "ticket.source": "the ticket's source",
    "ticket.subject": "the ticket's subject",
    "ticket.text": "the ticket's text",
    "ticket.reopened": "how often the ticket was reopened",
    "opportunity.pipeline": "the opportunity's pipeline",
    "opportunity.stage": "the opportunity's stage",
    "opportunity.status": "the opportunity's status",
    "opportunity.reason": "the reason of the lost opportunity",
    "opportunity.amount": "the opportunity's amount",
    "opportunity.currency": "the opportunity's currency",
    "opportunity.probability": "the opportunity's probability",
    "opportunity.products": "the opportunity's products",
    "opportunity.competitors": "the opportunity's competitors",
    "opportunity.quiet": "the opportunity is quiet",
    "opportunity.reopened": "how often the opportunity was reopened",
    "member.name": "the member's name",
    "member.speaks": "the languages the member speaks",
    "member.skills": "the skills of the member",
}
"""How a field is called in a sentence; below a map its own name follows."""

_SIGNS: Final = {
    "==": "is {}",
    "!=": "is not {}",
    ">=": "is {} or more",
    ">": "is more than {}",
    "<=": "is {} or less",
    "<": "is less than {}",
}
_OPPOSITE: Final = {"==": "!=", "!=": "==", ">=": "<", ">": "<=", "<=": ">", "<": ">="}
_PLURAL: Final = ("interests", "preferences", "own fields", "skills of the member", "the member speaks")
_FIELD_IN_FIELD: Final = re.compile(r"([a-z_. ]+?) in ([a-z_. ]+)")
_AS_NUMBER: Final = re.compile(r"(?:int|double) \( ([\w. ]+?) \) (==|!=|<=|>=|<|>) (-? ?\d+(?:\.\d+)?)")


class _Unsaid(Exception):
    """There are no exact words for it."""


def said(question: Expression) -> str:
    """The question as part of a sentence, or as it was written where that says it better."""
    try:
        return _said(question.tree, "")
    except _Unsaid:
        return " ".join(question.source.split())


def noun(term: str) -> str:
    """How a field, or `size(field)`, is called; a name of the business's own below a map is quoted."""
    if term.startswith("size("):
        inner = term[5:-1]
        return f"the {'length' if kind(inner) == 'text' else 'number'} of {noun(inner).removeprefix('the number of ')}"
    if term in NOUNS:
        return NOUNS[term]
    parent, _, own = term.rpartition(".")
    while parent not in NOUNS:
        parent, _, above = parent.rpartition(".")
        own = f"{above}.{own}"
    if parent == "person.consent":
        return f"the consent to {own}"
    return f"the {parent.partition('.')[0]}'s {own}"


def _said(tree: Tree, within: str) -> str:
    """One part; `within` is how it is joined with its neighbours: nothing, `and` or `or`."""
    match tree:
        case Every(parts):
            return _joined([_said(part, "and") for part in parts], "and", within)
        case Some(parts):
            return _joined([_said(part, "or") for part in parts], "or", within)
        case Not(Compare(term, sign, value)):
            return _compared(term, _OPPOSITE[sign], value)
        case Not(part):
            return _atom(part, negated=True)
        case Compare(term, sign, value):
            return _compared(term, sign, value)
        case _:
            return _atom(tree, negated=False)


def _joined(parts: list[str], word: str, within: str) -> str:
    """`a and b`; inside the other kind `both a and b`. Deeper nesting has no clear words."""
    if any(part.startswith(("either ", "both ")) for part in parts) and within:
        raise _Unsaid
    joined = listing(parts, word)
    if not within:
        return joined
    if len(parts) > 2:  # noqa: PLR2004 - "both" and "either" are about two
        raise _Unsaid
    return f"{'both' if word == 'and' else 'either'} {joined}"


def _compared(term: str, sign: str, value: object) -> str:
    if term == "qualification.passed" and sign in {"==", "!="} and isinstance(value, bool):
        return "the lead is qualified" if (sign == "==") is value else "the lead is not qualified"
    words = _SIGNS[sign].format(_quoted(value))
    return f"{noun(term)} {words}"


def _atom(tree: Tree, *, negated: bool) -> str:
    no = " not" if negated else ""
    match tree:
        case Among(term, values, named):
            several = listing(map(_quoted, sorted(values, key=str)), "or")
            which = f"in the list {named.removeprefix('lists.')}" if named else several
            return f"{noun(term)} {_is(term)}{no} {which}"
        case Contains("touchpoint.kinds", value):
            return f"{_quoted(value)} has{no} come in"
        case Contains(term, value):
            return f"{_quoted(value)} is{no} among {noun(term)}"
        case Told(term):
            return f"{noun(term)} {_is(term)}{no} known"
        case Always(answer):
            return "always" if answer is not negated else "never"
        case Other(source):
            return _other(source, no)
    raise _Unsaid


def _other(source: str, no: str) -> str:
    """What the tree keeps whole and still has clear words: a field in another one, a text read as a number."""
    if found := _FIELD_IN_FIELD.fullmatch(source):
        one, other = (part.replace(" ", "") for part in found.groups())
        if kind(one) and kind(other):
            return f"{noun(one)} {_is(one)}{no} among {noun(other)}"
    if not no and (found := _AS_NUMBER.fullmatch(source)):
        path, sign, number = found[1].replace(" ", ""), found[2], found[3].replace(" ", "")
        if kind(path):
            return f"{noun(path)}, read as a number, {_SIGNS[sign].format(number)}"
    raise _Unsaid


def _is(term: str) -> str:
    return "are" if noun(term).endswith(_PLURAL) else "is"


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
