"""Contracts, health and offers: moments told once, customers who can be at risk, rules that do not go in circles."""

from __future__ import annotations

from collections.abc import Iterator

from schema.journey.check.finding import Finding, View, warning
from schema.journey.fields import nearest
from schema.journey.words import time


def names(view: View) -> Iterator[Finding]:
    """A department that is not there."""
    rules, known = view.journey.contracts, view.journey.departments
    if rules and known and rules.department not in {None, *known}:
        message = f"{rules.department} is not among the departments{nearest(str(rules.department), list(known))}"
        yield Finding(("contracts", "department"), message)


def moments(view: View) -> Iterator[Finding]:
    """Moments that stand twice."""
    before = view.journey.contracts.before if view.journey.contracts else ()
    for at, moment in enumerate(before):
        if moment in before[:at]:
            yield warning(("contracts", "before", at), f"{time(moment)} stands twice; it is told once")


def health(view: View) -> Iterator[Finding]:
    """Rules that ask for what they make, and customers of whom nobody, or everybody, is at risk."""
    rules = view.journey.health
    if rules is None:
        return
    for at, rule in enumerate(rules.rules):
        if "person.health" in rule.when.paths:
            message = "person.health is what these rules make: ask for something else"
            yield Finding(("health", "rules", at, "when"), message, at=rule.when.places["person.health"])
    lowest = rules.start + sum(min(rule.points, 0) for rule in rules.rules)
    highest = rules.start + sum(max(rule.points, 0) for rule in rules.rules)
    if max(lowest, 0) >= rules.at_risk:
        message = f"nobody falls below {rules.at_risk}: the least that these rules come to is {max(lowest, 0)}"
        yield warning(("health", "at_risk"), message)
    elif min(highest, 100) < rules.at_risk:
        message = f"everybody is below {rules.at_risk}: the most that these rules come to is {min(highest, 100)}"
        yield warning(("health", "at_risk"), message)


def offers(view: View) -> Iterator[Finding]:
    """Offers of which only the first is ever made: of the same product, when the same holds."""
    seen: dict[tuple[str, str], str] = {}
    for name, offer in view.journey.offers.items():
        place = (offer.product.strip().lower(), offer.when.source)
        if place in seen:
            message = f"this is {seen[place]} again: the same product, when the same holds"
            yield warning(("offers", name), message, of_key=True)
        seen.setdefault(place, name)
