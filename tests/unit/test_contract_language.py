"""Contracts, health and offers in the journey file: mistakes are found where they stand, and all of it has words."""

from __future__ import annotations

from typing import Final

import pytest

from schema.journey import default_text, load
from schema.journey.diff import differences
from schema.journey.load import review
from schema.journey.show import printed

TEXT: Final = default_text()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("department: sales\n\n# How well", "department: sails\n\n# How well", "did you mean sales?"),
        ("[90d, 60d, 30d, 7d]", "[90d, 90d]", "90 days stands twice; it is told once"),
        ("at_risk: 40\n", "at_risk: 5\n", "nobody falls below 5: the least that these rules come to is 20"),
        ("  start: 60\n", "  start: 0\n", "everybody is below 40: the most that these rules come to is 30"),
        ("when: score.engagement >= 20, points", "when: person.health > 3, points", "person.health is what these"),
        ("[90d, 60d, 30d, 7d]", "[90d, sometime]", "write a number and a unit"),
        ("tz: Europe/Berlin\n  before", "tz: Europe/Berlim\n  before", "did you mean Europe/Berlin?"),
        ("at_risk: 40\n", "at_risk: 140\n", "100"),
    ],
)
def test_a_mistake_is_found_where_it_stands(old: str, new: str, said: str) -> None:
    assert old in TEXT
    place = TEXT.index(old)
    found = [finding for finding in review(TEXT.replace(old, new, 1)) if said in finding.message]
    assert found, said
    assert TEXT.count("\n", 0, place) - 1 <= found[0].line <= TEXT.count("\n", 0, place) + 12


def test_what_renews_is_shown_and_compared_in_words() -> None:
    shown = " ".join(printed(load(TEXT)).split())
    for sentence in (
        "90 days, 60 days, 30 days and 7 days before the end of one that does not renew itself",
        "One that is not renewed within 14 days after its end has ended.",
        "-40 They complain: ",
        "A year of care (care): Care plan, as cross_sell, if ",
    ):
        assert sentence in shown
    other = TEXT.replace("grace: 14d", "grace: 7d").replace("points: -40", "points: -50").replace("Care plan", "Care")
    assert [each.text for each in differences(load(TEXT), load(other))] == [
        "Contracts: can be renewed after its end for 14 days -> 7 days",
        "Health rule “They complain”: points -40 -> -50",
        "Offer care: product “Care plan” -> Care",
    ]
