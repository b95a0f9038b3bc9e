"""Expressions answer yes, no or unknown, and never fail while a lead waits."""

from __future__ import annotations

import subprocess
import sys
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.journey.expressions import LONGEST, Answer, Expression, ExpressionInvalid, Reads, Unknown, View

LISTS = {"competitors": ["rival.example", 'quo"te\\.example']}
LEAD = {
    "source": "website",
    "person": {"email": "ana@example.com", "country": "DE", "phone": "", "custom": {"budget": 900}},
    "company": {"domain": "rival.example", "employees": 50},
    "lead": {"interests": ["demo", "price"]},
}


def ask(source: str, lead: dict[str, object] | None = None) -> Answer:
    expression = Expression(source, LISTS)
    return expression.evaluate(View(Reads(expression.paths), LEAD if lead is None else lead))


@pytest.mark.parametrize(
    "source",
    [
        "company.employees >= 50",
        "company.employees > 49.5",
        'person.country in ["DE", "AT"]',
        "company.domain in lists.competitors",
        "!('other.example' in lists.competitors)",
        "size(lead.interests) == 2",
        'lead.interests.exists(topic, topic == "demo")',
        'person.email.endsWith("@example.com") && source == "website"',
        r'person.email.matches("^[a-z]+@")',
        "has(person.email) && !has(person.phone)",
        "person.custom.budget > 800",
        "!has(person.custom.colour)",
        'lead.interests[0] == "demo"',
    ],
)
def test_a_question_that_holds_is_answered_with_true(source: str) -> None:
    assert ask(source) is True


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("company.country == 'DE'", ("company.country",)),
        ("person.phone.startsWith('+49')", ("person.phone",)),
        ("company.country == 'DE' && person.country == 'DE'", ("company.country",)),
        ("score.total > 3 || touchpoint.count > 3", ("score.total", "touchpoint.count")),
        ("owner == 'ana'", ("owner",)),
        ("has(person.phone) || company.industry == 'x'", ("company.industry",)),
    ],
)
def test_a_missing_or_empty_field_makes_the_answer_unknown_and_is_named(source: str, missing: tuple[str, ...]) -> None:
    assert ask(source) == Unknown(missing)


@pytest.mark.parametrize(("source", "answer"), [("x || {}", True), ("{} || x", True), ("x && !{}", False)])
def test_one_decisive_side_decides_whatever_the_other_is(source: str, answer: bool) -> None:  # noqa: FBT001
    asked = source.replace("{}", "(person.country == 'DE')").replace("x", "company.industry == 'steel'")
    assert ask(asked) is answer


@pytest.mark.parametrize(
    "source",
    [
        "company.employees / (company.employees - 50) > 1",
        "person.custom.budget.startsWith('9')",
        "person.custom.budget",
        "int(person.email) > 3",
        "timestamp(person.email) > timestamp('2026-01-01T00:00:00Z')",
        "company.employees * 9223372036854775807 > 1",
    ],
)
def test_an_error_is_unknown_and_never_an_exception(source: str) -> None:
    assert ask(source) == Unknown()


def test_a_value_that_no_expression_can_hold_is_left_out_and_its_neighbours_stay() -> None:
    company = {"employees": uuid.uuid4(), "name": {uuid.uuid4()}}
    lead = {"company": company, "person": {"country": "DE"}}
    assert ask("company.employees > 3 || company.name == 'x'", lead) == Unknown(("company.employees", "company.name"))
    assert ask("company.employees > 3 || person.country == 'DE'", lead) is True


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )
)
def test_whatever_a_field_holds_the_answer_is_yes_no_or_unknown(value: object) -> None:
    lead: dict[str, object] = {"person": {"country": value, "custom": value}, "lead": value, "source": value}
    for source in ("person.country == 'DE'", "person.custom.x > 3", "size(lead.interests) > 0", "source < 'm'"):
        assert isinstance(ask(source, lead), bool | Unknown)


def test_a_view_holds_only_what_the_expressions_name() -> None:
    view = View(Reads(["company.employees", "person.custom", "person.custom.budget"]), LEAD)
    assert view.values == {"company": {"employees": 50}, "person": {"custom": {"budget": 900}}}


def test_a_view_takes_over_what_is_found_out_later() -> None:
    expression = Expression("score.total >= 45 && owner == 'ana'")
    view = View(Reads(expression.paths), {})
    view.replace("score", {"total": 45})
    view.replace("owner", "ana")
    view.replace("pool", "not asked about")
    assert expression.evaluate(view) is True
    view.replace("owner", None)
    assert expression.evaluate(view) == Unknown(("owner",))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("company.employes > 3", "did you mean company.employees"),
        ("nobody.knows == 3", "is not a field"),
        ("person.email == 'x' &&", "the end"),
        ("person.email = 'x'", "'='"),
        ("person.email == 'x", '"\'"'),
        ("company.domain in lists.rivals", "there is no list lists.rivals"),
        ("lists == 3", "there is no list lists"),
        ("open('x') == 3", "no function open()"),
        ("person.email.lower() == 'x'", "no function lower()"),
        ("has(person)", "has() asks for a field"),
        ("has()", "has() asks for a field"),
        ("company.name", "not a yes/no question"),
        ("size(lead.interests)", "not a yes/no question"),
        ("company.employees == '50'", "is a number; write it without quotes"),
        ("3 < person.country", "is text; write it in quotes"),
        ("person['email'] == 'x'", "is not a field"),
        ("person.custom['x'] == 'x'", "write a name with a dot"),
        ("person.email.matches('[')", "not a regular expression"),
        ("person.email.matches(person.name)", "takes a pattern in quotes"),
        ("lead.interests.all(a, lead.interests.exists(b, a == b))", "one level"),
        ("lead.interests.all(person, person == 'x')", "another name"),
        ("true" + "||true" * 300, "more than 500"),
        ("true || " + "x" * LONGEST, "longer than"),
        ("(" * 17 + "true" + ")" * 17, "more than 16 brackets"),
        ("[" * 17 + "1" + "]" * 17 + " == 1", "more than 16 brackets"),
        ("true" + " ? true : true" * 17, "more than 16 brackets"),
        ("!!true", "one ! or - is enough"),
        ("(true", "cannot be read"),
    ],
)
def test_a_mistake_is_found_when_it_is_written(source: str, message: str) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        Expression(source, LISTS)
    assert message in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab.()[]'\"!&|<>= 09\\+-,?:{}\x00é", max_size=40))
def test_any_text_is_an_expression_or_a_mistake_in_words(source: str) -> None:
    try:
        said: object = ask(source)
    except ExpressionInvalid as mistake:
        said = mistake
    assert isinstance(said, bool | Unknown) or str(said)


def test_the_library_comes_without_its_command_line() -> None:
    loaded = "import sys, schema.journey.expressions; sys.exit('prompt_toolkit' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0
