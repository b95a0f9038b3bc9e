"""Contracts, health and offers in plain sentences, and what each of their keys means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from schema.journey import words
from schema.journey.contract import Contracts, Health, HealthRule, Offer
from schema.journey.phrases import said

KEYS: Final[dict[str, dict[str, str]]] = {
    "Contracts": {
        "before": "So long before the end of a contract its renewal is talked about.",
        "grace": "So long after its end a contract can still be renewed; then it has ended.",
        "inactive_after": "Who has no contract and has bought nothing for so long is told of as customer.inactive.",
        "tz": "The time zone in which the days of contracts begin.",
        "department": "Whose work renewals are.",
    },
    "Health": {
        "start": "The points that every customer starts from, 0 to 100.",
        "rules": "Points for what is so with a customer, negative ones for what speaks against them.",
        "at_risk": "Who falls below is told of as customer.at_risk, once.",
    },
    "HealthRule": {
        "when": "What has to hold.",
        "points": "How many, -100 to 100.",
        "label": "What the rule is called where points are explained.",
    },
    "Offer": {
        "label": "What people call the offer.",
        "product": "What is offered, by the name or article number that purchases have.",
        "kind": "cross_sell, upsell or another code.",
        "when": "To whom it is offered.",
    },
}


def contracts(rules: Contracts) -> Iterator[str]:
    """What happens to contracts, one sentence each."""
    if rules.before:
        moments = words.listing(words.time(before) for before in sorted(rules.before, reverse=True))
        yield f"{moments} before the end of one that does not renew itself, contract.renewal_due is told."
    late = f"within {words.time(rules.grace)} after its end" if rules.grace else "by its end"
    yield f"One that is not renewed {late} has ended."
    if rules.inactive_after:
        after = words.time(rules.inactive_after)
        yield f"Who has none that runs and has bought nothing for {after} is told of as customer.inactive."
    yield f"Days begin in {rules.tz}" + (f"; by {rules.department}." if rules.department else ".")


def health(rules: Health) -> Iterator[tuple[int, str]]:
    """How well customers are, each line with its depth."""
    yield 0, f"From {rules.start} points on, within 0 and 100; below {rules.at_risk} customer.at_risk is told."
    for rule in rules.rules:
        yield 1, health_rule(rule)


def health_rule(rule: HealthRule) -> str:
    """`+20  They use it: …`."""
    return f"{rule.points:+d}  {f'{rule.label}: ' if rule.label else ''}{said(rule.when)}"


def offer(name: str, told: Offer) -> str:
    """To whom something is offered."""
    called = f"{told.label} ({name})" if told.label else name
    return f"{called}: {told.product}, as {told.kind}, if {said(told.when)}."
