"""Offers and health: rules first, then history with figures; never what somebody has, nothing while they complain."""

from __future__ import annotations

from typing import Any, Final

from schema.facts import Facts
from schema.journey import Journey, load
from workers.decide.health import wellness
from workers.decide.offers import Association, offers

JOURNEY: Final = load("""\
journey: default
people: {ana: {email: ana@example.com}}
score: {engagement: {on: {form: 10}}}
route: {pools: {everybody: {members: {ana: 1}}}}
lifecycle: {customer: {final: true}}
health:
  start: 50
  rules:
    - {when: person.purchases.count >= 2, points: 30, label: Buys again}
    - {when: person.custom.seats > 100, points: 40}
    - {when: person.tickets.complaints > 0, points: -80}
offers:
  care: {product: Care plan, label: A year of care, when: person.purchases.count >= 1}
  more: {product: Seats, kind: upsell, when: person.custom.seats > 100}
  first: {product: Onboarding, when: person.purchases.count == 0}
""")
SCALE: Final = Association(("scale",), "oven-2", "Oven", ("Scale",), 27, 60, 40)
PAIR: Final = Association(("mixer", "scale"), "oven-2", "Oven", ("Mixer", "Scale"), 20, 30, 40)
CARE: Final = Association(("scale",), "care plan", "Care Plan", ("Scale",), 30, 60, 50)


def somebody(*, purchases: int = 1, complaints: int = 0, **custom: Any) -> Facts:  # noqa: ANN401 - answers of any kind
    person = {"purchases": {"count": purchases}, "tickets": {"complaints": complaints}, "custom": custom}
    return Facts(lead_id="l", source="shop", channel="event", state="customer", person=person)


def made(journey: Journey, facts: Facts, owned: set[str], *found: Association, complaints: int = 0) -> dict[str, Any]:
    return offers(facts, journey, owned, found, 400, complaints).facts()


def test_rules_come_first_and_history_shows_its_figures_by_the_surest_way_to_each_product() -> None:
    shown = made(JOURNEY, somebody(), {"scale", "mixer"}, SCALE, PAIR, CARE)
    assert [(each["label"], each["by"]) for each in shown["items"]] == [("A year of care", "rule"), ("Oven", "history")]
    assert (
        shown["items"][1]["why"]
        == "20 of 30 who have Mixer and Scale have Oven too (67 %); of all 400 people 10 % have it"
    )
    assert shown["items"][1]["evidence"] == {
        "given": ["Mixer", "Scale"], "with_both": 20, "with_given": 30, "with_product": 40, "people": 400,
        "support": 0.05, "confidence": 0.6667, "lift": 6.67,
    }  # fmt: skip
    assert [(each["name"], each["reason"], each["missing"]) for each in shown["not_offered"]] == [
        ("more", "unknown", ["person.custom.seats"]), ("first", "does_not_hold", []),
    ]  # fmt: skip


def test_nobody_is_offered_what_they_have_by_whatever_name() -> None:
    by_number = made(JOURNEY, somebody(seats=200), {"scale", "oven-2", "care plan"}, SCALE, CARE)
    assert [each["name"] for each in by_number["items"]] == ["more"]
    assert by_number["not_offered"][0] == {"name": "care", "product": "Care plan", "reason": "has_it", "missing": []}
    assert made(JOURNEY, somebody(purchases=0), {"oven"}, SCALE)["items"][0]["name"] == "first"
    assert len(made(JOURNEY, somebody(purchases=0), {"oven"}, SCALE)["items"]) == 1


def test_nothing_is_offered_while_a_complaint_is_open() -> None:
    shown = made(JOURNEY, somebody(), {"scale"}, SCALE, complaints=1)
    assert (shown["items"], shown["held_back"]) == ([], "complaint_open")


def test_health_counts_the_rules_that_hold_within_its_bounds_and_names_what_it_cannot_tell() -> None:
    rules = JOURNEY.health
    assert rules is not None
    well = wellness(somebody(purchases=2, seats=200), JOURNEY, rules)
    assert (well.score, well.low, [each.points for each in well.counted]) == (100, False, [30, 40])
    ill = wellness(somebody(complaints=1), JOURNEY, rules)
    assert (ill.score, ill.low, ill.unknown) == (0, True, ("person.custom.seats > 100",))
    assert wellness(somebody(), JOURNEY, rules).facts()["score"] == 50
