"""What is said about questions without a lead agrees with what leads answer."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schema.journey.expressions import Expression, Reads, View
from schema.journey.holds import World, bands, can_hold, follows

GRADES = {"A": 4, "B": 2}
WORLD = World(
    values={
        "person.country": frozenset({"DE", "AT", "CH"}),
        "score.grade": frozenset(GRADES),
        "qualification.outcome": frozenset({"qualified", "disqualified", "incomplete"}),
    },
    limits={"score.total": (0, 5), "score.fit": (0, 3), "score.engagement": (0, 3), "company.employees": (0, 1e9)},
    grades=bands(GRADES, 5),
)
SCORES = [{"fit": fit, "engagement": deeds, "total": min(5, fit + deeds)} for fit in range(4) for deeds in range(4)]
KNOWN: dict[str, list[Any]] = {
    "person": [{"country": country} for country in (None, "DE", "AT", "CH")],
    "company": [{"employees": number} for number in (None, 0, 0.5, 1, 1.2, 1.5, 1.7, 2, 2.5, 3, 4, 5, 7)],
    "score": [None, *({**score, "grade": next((g for g in GRADES if score["total"] >= GRADES[g]), None)}
                      for score in SCORES)],
    "qualification": [
        None, *({"outcome": outcome, "passed": outcome == "qualified"}
                for outcome in ("qualified", "disqualified", "incomplete")),
    ],
    "lead": [{"interests": [*some, *["c"] * more]} for some in ([], ["a"], ["b"], ["a", "b"]) for more in range(7)],
}  # fmt: skip
"""Everything that can be known of a lead in a small world."""


def answers(*questions: str) -> list[list[bool]]:
    """For each lead that differs in what is asked about, whether each question holds."""
    asked = [Expression(question) for question in questions]
    paths = [path for expression in asked for path in expression.paths]
    roots = sorted({path.partition(".")[0] for path in paths})
    views = [
        View(Reads(paths), dict(zip(roots, known, strict=True))) for known in product(*(KNOWN[root] for root in roots))
    ]
    return [[expression.evaluate(view) is True for expression in asked] for view in views]


SIGNS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
NUMBERS = st.sampled_from(["company.employees", "score.total", "score.fit", "score.engagement", "size(lead.interests)"])
COUNTRY = st.sampled_from(["'DE'", "'AT'", "'FR'"])
SIMPLE = st.one_of(
    st.tuples(NUMBERS, SIGNS, st.sampled_from(["0", "1", "1.5", "2", "3", "5"])).map(" ".join),
    st.tuples(st.just("person.country"), st.sampled_from(["==", "!="]), COUNTRY).map(" ".join),
    st.lists(COUNTRY, min_size=1, max_size=2).map(lambda names: f"person.country in [{', '.join(names)}]"),
    st.sampled_from(["'A'", "'B'"]).map("score.grade == {}".format),
    st.sampled_from(["qualified", "disqualified"]).map("qualification.outcome == '{}'".format),
    st.sampled_from(["a", "b"]).map("'{}' in lead.interests".format),
    st.sampled_from(["person.country", "company.employees", "lead.interests"]).map("has({})".format),
    st.sampled_from(["qualification.passed", "true", "false"]),
)
QUESTIONS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        inner.map("!({})".format),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} && {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} || {two[1]})"),
    ),
    max_leaves=4,
)


def simple(*questions: str) -> bool:
    """Whether they ask for one part of the score and one property of a list at most; of more not all is looked at."""
    text = " ".join(questions)
    scores = {path for question in questions for path in Expression(question).paths if path.startswith("score.")}
    return len(scores) <= 1 and not ("size(" in text and "' in lead.interests" in text)


@settings(max_examples=100, deadline=None)
@given(QUESTIONS)
@example("score.total == 1.5")
@example("score.grade == 'B' && score.total > 3")
@example("!(company.employees > 1 || company.employees <= 1)")
@example("company.employees > 1.5 && company.employees < 2")
def test_a_question_can_hold_just_when_it_holds_for_some_lead(question: str) -> None:
    found = can_hold(WORLD, (Expression(question).tree, "true"))
    holds = any(held for (held,) in answers(question))
    assert found is not None or not holds
    assert found is None or (found.sure and (holds or not simple(question)))


@settings(max_examples=100, deadline=None)
@given(QUESTIONS, QUESTIONS)
@example("score.total > 3", "score.total >= 4")
@example("person.country == 'DE'", "has(person.country)")
@example("!has(person.country)", "!(person.country == 'DE')")
@example("score.total >= 2", "score.grade == 'A' || score.grade == 'B'")
@example("score.total == 0", "score.fit == 0")
def test_one_question_follows_from_another_just_when_no_lead_says_otherwise(this: str, other: str) -> None:
    said = follows(WORLD, Expression(this).tree, Expression(other).tree)
    really = all(second for first, second in answers(this, other) if first)
    assert really or not said
    assert said or not (really and simple(this, other))


@pytest.mark.parametrize(
    ("this", "other"),
    [
        ("score.total >= 4", "score.fit >= 1"),
        ("score.total == 0", "score.fit == 0"),
        ("score.grade == 'A'", "score.total >= 4"),
        ("score.total >= 2", "score.grade in ['A', 'B']"),
        ("score.fit >= 2 && score.engagement >= 2", "score.grade == 'A'"),
    ],
)
def test_the_score_and_its_parts_say_something_about_each_other(this: str, other: str) -> None:
    assert follows(WORLD, Expression(this).tree, Expression(other).tree)
    assert not follows(WORLD, Expression(other).tree, Expression(f"({this}) && score.total > 4").tree)


@pytest.mark.parametrize(
    ("this", "other", "said"),
    [
        ("person.email.endsWith('.de')", "person.email.endsWith('.de') || score.total > 3", True),
        ("person.email.endsWith('.de')", "person.email.endsWith('.at')", False),
        ("score.total + 1 > 3 && has(person.phone)", "score.total + 1 > 3", True),
        ("has(person.custom.x)", "person.custom.x > 3 || person.custom.x <= 3", False),
        ("has(person.phone)", "person.phone == 'x' || person.phone != 'x'", True),
    ],
)
def test_what_is_not_simple_is_taken_as_it_is_written(this: str, other: str, said: bool) -> None:  # noqa: FBT001
    assert follows(WORLD, Expression(this).tree, Expression(other).tree) is said


def test_of_too_many_cases_everything_is_possible() -> None:
    many = " && ".join(f"(person.custom.a{n} == 1 || person.custom.b{n} == 1)" for n in range(12))
    found = can_hold(WORLD, (Expression(f"{many} && person.custom.c > 3 && person.custom.c < 3").tree, "true"))
    assert found is not None
    assert not found.sure


def test_a_cell_says_something_about_the_score() -> None:
    letters, numbers = bands({"A": 2, "B": 0}, 3), bands({"1": 2, "2": 0}, 3)
    cells = {a + n: (letters[a], numbers[n]) for a in letters for n in numbers}
    world = World(values={"score.cell": frozenset(cells)}, limits=WORLD.limits, cells=cells)
    assert follows(world, Expression("score.cell == 'B1'").tree, Expression("score.total < 5").tree)
    assert not follows(world, Expression("score.cell == 'A1'").tree, Expression("score.total < 5").tree)
    assert can_hold(world, (Expression("score.total == 5 && score.cell == 'A2'").tree, "true")) is None
