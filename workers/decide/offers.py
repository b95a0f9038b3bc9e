"""
Offers: what else may a customer need?

Two ways lead to an offer: a rule of the journey that holds, and what others bought who have what they have. Nobody is
offered what they have, and nothing while they complain. Each offer has its evidence, each that is not made its reason.
Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schema.journey.expressions import Unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from schema.facts import Facts
    from schema.journey import Journey

COMPLAINT: Final = "complaint_open"
HISTORY: Final = "history"
RULE: Final = "rule"


class Association(NamedTuple):
    """Of `with_given` people who have all that is `given`, `with_both` have the product, as `with_product` of all."""

    given: tuple[str, ...]
    product: str
    label: str
    labels: tuple[str, ...]
    with_both: int
    with_given: int
    with_product: int

    def evidence(self, people: int) -> dict[str, Any]:
        """Say it in figures: `support` of all, `confidence` of those with what is given, `lift` over all."""
        confidence = self.with_both / self.with_given
        base = self.with_product / people
        return {
            "given": list(self.labels),
            "with_both": self.with_both,
            "with_given": self.with_given,
            "with_product": self.with_product,
            "people": people,
            "support": round(self.with_both / people, 4),
            "confidence": round(confidence, 4),
            "lift": round(confidence / base, 2),
        }


class Offer(NamedTuple):
    """Something to be offered: `by` a rule or from history, `why` in words, with figures where there are any."""

    product: str
    label: str
    kind: str
    by: str
    name: str | None
    why: str
    evidence: dict[str, Any] | None = None


class NotOffered(NamedTuple):
    """A rule that leads to no offer: `has_it`, `does_not_hold`, or `unknown`, where something is not known of them."""

    name: str
    product: str
    reason: str
    missing: tuple[str, ...] = ()


class Offers(NamedTuple):
    """What to offer, best first; `held_back` says why nothing is to be offered now, whatever there would be."""

    offers: tuple[Offer, ...]
    not_offered: tuple[NotOffered, ...]
    held_back: str | None = None

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        refused = [each._asdict() | {"missing": list(each.missing)} for each in self.not_offered]
        made = [each._asdict() for each in self.offers]
        return {"items": made, "not_offered": refused, "held_back": self.held_back}


def same(product: str) -> str:
    """A product's name or article number as it is compared."""
    return product.strip().lower()


def offers(
    facts: Facts,
    journey: Journey,
    owned: Collection[str],
    associations: Iterable[Association],
    people: int,
    complaints: int,
) -> Offers:
    """
    What to offer somebody who has what is `owned` (as `same` writes it), by the journey's rules first.

    Of several associations that lead to the same product the one of which most bought it is shown.
    """
    made: dict[str, Offer] = {}
    refused = []
    for name, rule in journey.offers.items():
        answer = rule.when.evaluate(facts.context(journey))
        if same(rule.product) in owned:
            refused.append(NotOffered(name, rule.product, "has_it"))
        elif isinstance(answer, Unknown):
            refused.append(NotOffered(name, rule.product, "unknown", answer.missing))
        elif not answer:
            refused.append(NotOffered(name, rule.product, "does_not_hold"))
        else:
            why = f"{name}: {rule.when.source}"
            offer = Offer(rule.product, rule.label or rule.product, rule.kind, RULE, name, why)
            made.setdefault(same(rule.product), offer)
    ranked = sorted(associations, key=lambda each: (-each.with_both / each.with_given, -each.with_both, each.product))
    for each in ranked:
        if {each.product, same(each.label)} & set(owned) or {each.product, same(each.label)} & made.keys():
            continue
        offer = Offer(each.product, each.label, "cross_sell", HISTORY, None, said(each, people), each.evidence(people))
        made[each.product] = offer
    held_back = COMPLAINT if complaints else None
    return Offers(() if held_back else tuple(made.values()), tuple(refused), held_back)


def said(found: Association, people: int) -> str:
    """`27 of 60 who have A have B too (45 %); of all 400 people 10 % have it`."""
    share = _percent(found.with_both, found.with_given)
    base = _percent(found.with_product, people)
    given = " and ".join(found.labels)
    counted = f"{found.with_both} of {found.with_given} who have {given} have {found.label} too"
    return f"{counted} ({share}); of all {people} people {base} have it"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if 100 * part >= whole else f"{100 * part / whole:.1f} %"
