"""The plain part of CEL answers exactly as CEL does, or leaves the answer to it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.journey.expressions import Expression, ExpressionInvalid, Reads, View
from schema.journey.plain import NotPlain, plain

FIELDS = ["person.email", "person.country", "company.domain", "company.employees", "score.total", "lead.interests",
          "qualification.passed", "touchpoint.kinds", "lead.message"]  # fmt: skip
LISTS = {"some": ["a", "DE", "rival.example"], "none": []}

literals = st.sampled_from(['"a"', "'DE'", '""', "50", "0", "-1", "4.5", "true", "false", '"ü"'])
paths = st.sampled_from(FIELDS)
values = st.one_of(paths, literals, st.builds("size({})".format, paths))
comparisons = st.one_of(
    st.builds("{} {} {}".format, values, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), values),
    st.builds("has({})".format, paths),
    st.builds("{} in lists.{}".format, values, st.sampled_from(list(LISTS))),
    st.builds("{} in {}".format, values, paths),
    paths,
)
questions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("({} || {})".format, inner, inner),
        st.builds("({} && {})".format, inner, inner),
        st.builds("!({})".format, inner),
    ),
    max_leaves=6,
)
met = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 60), st.just(2**70), st.floats(-3, 60),
    st.sampled_from(["", "a", "DE", "ü"]),
    st.lists(st.one_of(st.sampled_from(["a", "DE", "purchase"]), st.integers(0, 2)), max_size=3),
    st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 2), max_size=2),
)  # fmt: skip
leads = st.dictionaries(st.sampled_from(FIELDS), met)


def view_of(question: Expression, known: dict[str, Any]) -> View:
    facts: dict[str, dict[str, Any]] = {}
    for path, value in known.items():
        root, _, name = path.partition(".")
        facts.setdefault(root, {})[name] = value
    return View(Reads(question.paths), facts)


@settings(max_examples=2_000)
@given(source=questions, known=leads)
def test_a_plain_question_is_answered_as_cel_answers_it(source: str, known: dict[str, Any]) -> None:
    with suppress(ExpressionInvalid):
        question = Expression(source, LISTS)
        answer = question.evaluate(view_of(question, known))
        cel = question.in_cel(view_of(question, known))
        assert (answer if isinstance(answer, bool) else None) == (cel if isinstance(cel, bool) else None)


@pytest.mark.parametrize(
    "source",
    [
        "has(person.email) && !(company.employees < 50)",
        '"purchase" in touchpoint.kinds || score.total >= 45',
        'person.country in ["DE", "AT"]',
        "qualification.passed",
    ],
)
def test_the_usual_questions_are_plain(source: str) -> None:
    assert plain(source) is not None


@pytest.mark.parametrize(
    "source",
    [
        'person.email.endsWith("x")',
        "company.employees + 1 > 50",
        "score.total > 4 ? true : false",
        'lead.interests.exists(i, i == "crm")',
        "lead.interests[0] == 'crm'",
        r'person.email == "a\"b"',
        "score.total >= 99999999999999999999",
    ],
)
def test_what_is_not_plain_is_left_to_cel(source: str) -> None:
    assert plain(source) is None


def test_values_that_cel_compares_in_its_own_way_are_left_to_it() -> None:
    asked = plain("company.employees >= 50")
    assert asked is not None
    with pytest.raises(NotPlain):
        asked({"company": {"employees": 50.5}})
