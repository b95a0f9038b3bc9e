"""What changes between two journeys is said completely, in words, and the way back is its mirror."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from schema.journey import default_text, load, shipped
from schema.journey import model as language
from schema.journey.diff import Difference, differences, printed
from schema.journey.diff_words import FIELDS
from tests.mutations import Mutant, Place, mutants

if TYPE_CHECKING:
    from schema.journey import Journey

DEFAULT: Final = load(default_text())
BACK: Final = {"added": "removed", "removed": "added", "changed": "changed", "moved": "moved"}


def changed(*replacements: tuple[str, str]) -> Journey:
    """The default journey with other words in some places."""
    text = default_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    return load(text)


def texts(*replacements: tuple[str, str]) -> list[str]:
    return [difference.text for difference in differences(DEFAULT, changed(*replacements))]


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_journey_does_not_differ_from_itself(name: str) -> None:
    journey = load(shipped()[name])
    assert differences(journey, journey) == []
    assert printed([]) == "Nothing changes.\n"


def test_comments_spacing_quotes_and_what_is_usual_anyway_change_nothing() -> None:
    same = changed(
        ("departments: [marketing, sales, service]", "departments:  [sales, marketing, service]   # as drawn"),
        ("when: qualification.passed && score.total >= 45", "when: 'qualification.passed  &&  score.total>=45'"),
        ("touchpoint.kinds'\n    system: Shop", "touchpoint.kinds'\n    trigger: automatic\n    system: Shop"),
        ("'\"contract.renewed\" in touchpoint.kinds'", "\"'contract.renewed' in touchpoint.kinds\""),
        ("dedupe: {window: 24h}", "dedupe: {window: 1d}"),
        ("caps: [{most: 2, per: 7d}]", "caps: [{per: 168h, most: 2}]"),
        (
            '    goal: {when: state == "opportunity", within: 60d}',
            "    kind: marketing\n    goal: {within: 60d, when: state == 'opportunity'}",
        ),
    )
    assert same.version != DEFAULT.version
    assert differences(DEFAULT, same) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sla: 14d", "sla: 7d", "State opportunity: SLA 14 days -> 7 days"),
        ("    sla: 14d\n", "", "State opportunity: SLA no longer said (was 14 days)"),
        ("    final: true\n    to: {win_back: opportunity}", "    to: {win_back: opportunity}",
         "State inactive: final yes -> no"),
        ("lapse: inactive}", "lapse: lost}", "State customer: lapse leads to inactive -> lost"),
        ("{win_back: opportunity}\n\n", "{win_back: opportunity, return: lead}\n\n",
         "State inactive: a new way to lead, by return"),
        ("'\"purchase\" in touchpoint.kinds'", "'\"order\" in touchpoint.kinds'",
         'Transition win: when "purchase" has come in -> "order" has come in'),
        ("speaks: [en, sv]", "speaks: [en]", "Person eva: speaks sv removed"),
        ("dach: [DE, AT, CH]", "dach: [DE, AT, LI]", "List dach: LI added, CH removed"),
        ("grades: {A: 70", "grades: {A: 75", "Grade A from 70 -> 75"),
        ("topic: interests", "subject: interests", "Source contact: reads subject as interests"),
        ("no_need: {news: true, after: 180d, most: 3}", "no_need: never",
         "After a no for no_need: when they are heard of again or after 180 days, at most 3 times -> never"),
        ("points: 10, label: Home market", "points: 15, label: Home market", "Fit rule “Home market”: points 10 -> 15"),
        ("label: Home market", "label: Home", "Fit rule “person.country in lists.dach”: label “Home market” -> Home"),
        ("burst: 3", "burst: 5", "Scanners: how many at once are a scanner's 3 -> 5"),
        ("hand_on: 1", "hand_on: 3", "Routing: times it is handed on 1 -> 3"),
    ],
)  # fmt: skip
def test_a_change_is_told_in_the_words_of_the_field(old: str, new: str, said: str) -> None:
    assert said in texts((old, new))


def test_another_weight_tells_what_it_does_to_everybodys_share() -> None:
    assert texts(("{ana: 2, ben: 1}", "{ana: 3, ben: 1}")) == [
        "Pool dach: weight of ana 2 -> 3, 67% -> 75% of the turns",
        "Pool dach: of the turns then ben 33% -> 25%",
    ]
    assert texts(("{ana: 2, ben: 1}", "{ana: 4, ben: 2}")) == [
        "Pool dach: weight of ana 2 -> 4, 67% -> 67% of the turns",
        "Pool dach: weight of ben 1 -> 2, 33% -> 33% of the turns",
    ]
    joined = texts(("{cem: 1, dee: 1}", "{cem: 1, eva: 1}"))
    assert "Pool everybody: eva joins with weight 1, 50% of the turns" in joined
    assert "Pool everybody: dee leaves, who had weight 1, 50% of the turns" in joined


def test_another_order_is_told_only_where_it_means_something() -> None:
    ways = "{disqualify: disqualified, qualify: opportunity}", "{qualify: opportunity, disqualify: disqualified}"
    [told] = texts(ways)
    assert told.endswith("are tried in another order: disqualify, qualify -> qualify, disqualify")
    assert texts(("{recycle: lead, win_back: opportunity}", "{win_back: opportunity, recycle: lead}")) == []
    text = default_text()
    lead = text[text.index("  lead:\n") : text.index("  opportunity:\n")]
    later = load(text.replace(lead, "").replace("\n# The named moves", f"{lead}\n# The named moves", 1))
    assert [difference.text for difference in differences(DEFAULT, later)] == [
        "New leads start in another state: lead -> opportunity"
    ]


def test_criteria_and_pools_in_another_order_are_told() -> None:
    first, second, third = default_text().partition("qualify:\n")[2].partition("\n# A no")[0].split("  - ")[1:]
    ordered = changed((f"  - {first}  - {second}", f"  - {second}  - {first}"))
    assert third
    [moved] = differences(DEFAULT, ordered)
    assert (moved.path, moved.kind) == (("qualify",), "moved")
    assert moved.before == ["reachable", "not_a_competitor", "has_need"]
    two = changed(
        ("    everybody:\n", "    home:\n      when: has(person.phone)\n      members: {eva: 1}\n    everybody:\n")
    )
    dach = default_text().partition("  pools:\n")[2].partition("    everybody:\n")[0]
    home = "    home:\n      when: has(person.phone)\n      members: {eva: 1}\n"
    swapped = changed((dach, home + dach))
    [pools] = differences(two, swapped)
    assert (pools.path, pools.before, pools.after) == (
        ("route", "pools"),
        ["dach", "home", "everybody"],
        ["home", "dach", "everybody"],
    )


def test_quite_another_business_is_told_part_by_part_and_within_the_line() -> None:
    found = differences(DEFAULT, load(shipped()["solar"]))
    text = printed(found)
    assert {"sources", "qualify", "score", "route", "people", "lifecycle", "transitions"} <= {d.part for d in found}
    assert "WHERE LEADS COME FROM" in text
    assert max(map(len, text.splitlines())) <= 80
    assert json.loads(json.dumps([difference.facts() for difference in found]))


def named(journey: Journey, place: Place) -> tuple[str, ...]:
    """The place of a mutation as differences name it, as far as they do."""
    if place[0] == "qualify" and len(place) > 1:
        return ("qualify", journey.qualify[int(place[1])].name, *map(str, place[2:]))
    if place[:2] == ("score", "fit"):
        return ("score", "fit")
    until = next((at for at, key in enumerate(place) if isinstance(key, int)), len(place))
    names = [str(key) for key in place[:until]]
    return tuple("days" if name[:3] in {"mon", "tue", "wed", "thu", "fri", "sat", "sun"} else name for name in names)


def about(difference: Difference, path: tuple[str, ...]) -> bool:
    """Whether a difference is at this place, inside it, or about the thing that it is a value of."""
    return difference.path[: len(path)] == path or path[: len(difference.path)] == difference.path


@settings(max_examples=100, deadline=None)
@given(mutants())
def test_whatever_changes_in_a_journey_is_told_where_it_changed(mutant: Mutant | None) -> None:
    assume(mutant)
    assert mutant
    found = differences(mutant.before, mutant.after)
    assert any(about(difference, named(mutant.before, mutant.place)) for difference in found)
    assert all(difference.text for difference in found)


def mirrored(found: list[Difference]) -> list[str]:
    return sorted(repr((d.part, d.path, BACK[d.kind], d.after, d.before)) for d in found)


@settings(max_examples=50, deadline=None)
@given(mutants(), st.sampled_from(sorted(shipped())))
def test_the_way_back_is_the_mirror_of_the_way_there(mutant: Mutant | None, other: str) -> None:
    assume(mutant)
    assert mutant
    for a, b in ((mutant.before, mutant.after), (mutant.after, load(shipped()[other]))):
        back = [repr((d.part, d.path, d.kind, d.before, d.after)) for d in differences(b, a)]
        assert mirrored(differences(a, b)) == sorted(back)


def test_every_key_of_the_language_has_words() -> None:
    models = [
        model
        for model in vars(language).values()
        if isinstance(model, type) and issubclass(model, BaseModel) and model is not BaseModel
    ]
    assert {name for model in models for name in model.model_fields} - FIELDS.keys() == set()
