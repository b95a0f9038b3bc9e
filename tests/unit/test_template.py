"""Templates: fields filled in within limits, never read as markup, and shown as text and as a page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schema import markup
from schema.facts import Facts
from schema.fill import Unfilled, check, fields, fill
from schema.journey import default_text
from schema.journey.campaign import Template, Wording
from schema.journey.load import load
from schema.template import Frame, first_name, render, values_of

ANA: dict[str, Any] = {"person": {"first_name": "Ana", "interests": ["crm", "mail"]}, "company": {"name": "Acme"}}

VALUES = st.text(max_size=80) | st.text(st.sampled_from("*_[]()<>#`\\-+!|~&;:/.@ \n\t\r1a=\"'{}%"), max_size=30)
"""What people type, and what means something in Markdown, HTML or a header."""


def code_of(source: str, values: dict[str, Any] | None = None) -> tuple[str, dict[str, object]]:
    with pytest.raises(Unfilled) as found:
        fill(source, "markdown", ANA if values is None else values)
    return found.value.code, found.value.facts


def made(text: str, **more: Any) -> str:  # noqa: ANN401
    return render(Template(subject="S", text=text, **more), ANA, Frame()).html


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Hello {{ person.first_name }}", "Hello Ana"),
        ("Hello {{ person.nick | default: 'there' }}", "Hello there"),
        ("{% if person.nick %}yes{% else %}no{% endif %}", "no"),
        ("{% if company.name == 'Acme' %}yes{% endif %}", "yes"),
        ("{% unless lead.message %}none{% endunless %}", "none"),
        ("{% for each in person.interests %}{{ each }} {% endfor %}", "crm mail "),
        ("{{ person.interests | join: ', ' }}", "crm, mail"),
        ("{{ person.first_name | upcase | append: 'b' }}", "ANAb"),
        ("{{ nobody.knows.this | default: 3 | plus: 1 }}", "4"),
    ],
)
def test_fields_are_filled_in_with_defaults_and_conditions(source: str, text: str) -> None:
    assert fill(source, "line", ANA) == text


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ("{{ person.plan }}", "person.plan"),
        ("{{ person.custom.plan }}", "person.custom.plan"),
        ("{{ person.__class__ }}", "person.__class__"),
        ("{{ person.first_name.__class__.__mro__ }}", "person.first_name.__class__.__mro__"),
    ],
)
def test_a_field_that_is_missing_is_told_by_name(source: str, field: str) -> None:
    assert code_of(source) == ("field_missing", {"field": field})


def test_a_missing_field_is_no_better_inside_a_filter() -> None:
    assert code_of("{{ lead.message | upcase }}")[0] == "field_missing"


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in (1..1000) %}{% for j in (1..1000) %}{% for k in (1..1000) %}x{% endfor %}{% endfor %}{% endfor %}",
        "{% assign x = 'aaaaaaaaaa' %}" + "{% assign x = x | append: x %}" * 40 + "{{ x }}",
        "{{ 'a'" + " | replace: 'a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaa'" * 30 + " }}",
        "{{ 9" + " | times: 999999999" * 3000 + " }}",
        "{% for i in (1..200) %}" + "{{ person.first_name }}" * 4000 + "{% endfor %}",
        "{% if company %}" * 500 + "{% endif %}" * 500,
    ],
)
def test_a_template_takes_no_more_than_a_message_may(source: str) -> None:
    assert code_of(source)[0] == "template_too_much"


@pytest.mark.parametrize(
    "source",
    [
        "{% include 'x' %}",
        "{% render 'x' %}",
        "{% if %}",
        "{{ x | nofilter }}",
        "{{",
        "{% for i in (1..2) %}",
        "{{ person }}",
    ],
)
def test_what_is_no_template_is_told(source: str) -> None:
    assert code_of(source)[0] == "template_invalid"


def test_a_mistake_is_found_with_its_place_before_anybody_is_written_to() -> None:
    with pytest.raises(Unfilled) as found:
        check("Hello\n{{ person.name | shout }}")
    assert found.value.facts == {"line": 2, "column": 18}


def test_what_a_template_names_is_known_without_filling_it_in() -> None:
    assert fields(
        "{{ person.first_name | default: company.name }}{% if lead.message %}{{ lead.message }}{% endif %}"
    ) == {
        "person.first_name": 3,
        "company.name": 32,
        "lead.message": 53,
    }


@example("*a* **b** _c_ `d`")
@example("[x](https://evil.example) <https://evil.example> ![x](y)")
@example("# a\n\n- b\n\n1. c\n\n> d\n\n---\n\n    e")
@example("&lt;b&gt; &amp; <b>x</b>")
@given(VALUES)
def test_whatever_a_field_says_is_shown_as_it_is_and_never_read_as_markup(value: str) -> None:
    found = render(Template(subject="x {{ v }}", text="a {{ v }} b"), {"v": value or "-"}, Frame())

    body = found.html[found.html.index('class="sheet"') : found.html.index("</div>\n<!--")]
    assert re.findall(r"<(\w+)", body) == ["p"]
    assert "\n" not in found.subject
    assert "\r" not in found.subject
    shown = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+", " ", value or "-").split())
    assert " ".join(found.text.split()) == " ".join(f"a {shown} b".split())


@given(VALUES)
def test_the_same_holds_for_a_page_that_somebody_wrote(value: str) -> None:
    found = render(Template(subject="x", text="x", html="<p>{{ v }}</p>"), {"v": value or "-"}, Frame())

    assert re.findall(r"<(/?\w+)", found.html) == ["p", "/p"]


def test_a_field_makes_no_header() -> None:
    found = render(Template(subject="Hi {{ v }}", text="x"), {"v": "a\r\nBcc: all@example.com\x00"}, Frame())
    assert found.subject == "Hi a Bcc: all@example.com"


def test_a_link_alone_is_a_button_and_others_are_links() -> None:
    assert 'class="button"' in made("[Book a call](https://example.com)")
    assert 'class="mark"' in made("Please [book a call](https://example.com).")
    assert "javascript" not in made("[x](javascript:alert(1))").partition("href")[2]


def test_html_in_markdown_is_text() -> None:
    assert "&lt;script&gt;" in made("<script>alert(1)</script>")


def test_links_lead_through_us_and_their_targets_are_kept() -> None:
    frame = Frame(link=lambda number: f"https://t.example/l/{number}", picture="https://t.example/o/1.gif")
    text = "[a](https://a.example/?x=1&y=2) [b](https://b.example) [a](https://a.example/?x=1&y=2) [m](mailto:x@y.z)"
    found = render(Template(subject="S", text=text), {}, frame)

    assert found.links == ["https://a.example/?x=1&y=2", "https://b.example"]
    assert re.findall(r'href="([^"]+)"', found.html) == [
        "https://t.example/l/0", "https://t.example/l/1", "https://t.example/l/0", "mailto:x@y.z",
    ]  # fmt: skip
    assert "https://t.example" not in found.text
    assert 'src="https://t.example/o/1.gif"' in found.html


def test_the_link_to_say_no_counts_as_no_click() -> None:
    frame = Frame(link=lambda number: f"L{number}", plain_links=frozenset({"https://t.example/u/1"}))
    text = "[no]({{ unsubscribe_url }}) [yes](https://a.example)"
    found = render(Template(subject="S", text=text), {"unsubscribe_url": "https://t.example/u/1"}, frame)

    assert re.findall(r'href="([^"]+)"', found.html) == ["https://t.example/u/1", "L0"]
    assert found.links == ["https://a.example"]


@pytest.mark.parametrize(
    ("language", "tag", "text"),
    [
        ("de", "de", "Hallo"),
        ("de-AT", "de", "Hallo"),
        ("pt-BR", "pt-BR", "Oi"),
        ("pt-PT", "pt", "Olá"),
        ("fr", None, "Hello"),
        ("", None, "Hello"),
        (None, None, "Hello"),
    ],
)
def test_people_get_the_words_of_their_language_else_the_usual_ones(
    language: str | None, tag: str | None, text: str
) -> None:
    said = {"de": "Hallo", "pt": "Olá", "pt-BR": "Oi"}
    template = Template(
        subject="S", text="Hello", languages={code: Wording(subject="S", text=words) for code, words in said.items()}
    )
    found, wording = template.said_in(language)
    assert (found, wording.text) == (tag, text)


def test_a_page_that_somebody_wrote_has_what_every_message_needs() -> None:
    frame = Frame(foot=(("Unsubscribe: https://u", '<a href="https://u">Unsubscribe</a>'),), link=lambda n: f"L{n}")
    found = render(
        Template(subject="S", text="t", html="<body><a HREF = 'https://a.example?x&amp;y'>a</a></body>"), {}, frame
    )

    assert found.html.index("Unsubscribe") < found.html.index("</body>")
    assert found.links == ["https://a.example?x&y"]
    assert "Unsubscribe: https://u" in found.text


def test_markdown_becomes_text_that_reads_well() -> None:
    source = (
        "# Title\n\nOne *two* [three](https://x.y)\nfour\n\n- a\n- b\n  - c\n\n1. x\n2. y\n\n> q\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    assert markup.as_text(markup.read(source)) == (
        "Title\n\nOne two three (https://x.y) four\n\n- a\n- b\n  - c\n\n1. x\n2. y\n\n> q\n\na  b\n1  2\n"
    )


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("Ana Lopez", "Ana"),
        ("Lopez, Ana", "Ana"),
        ("Dr. Ana Lopez", "Ana"),
        ("Prof. Dr. Ana", "Ana"),
        ("ana", "ana"),
        ("ana@example.com", ""),
        ("4711", ""),
        ("Dr.", ""),
        ("", ""),
    ],
)
def test_a_first_name_is_one_or_nothing(name: str, first: str) -> None:
    assert first_name(name) == first


def test_the_owner_is_named_and_what_is_empty_is_missing() -> None:
    journey = load(default_text())
    owner = next(iter(journey.people))
    facts = Facts("l", "website", "form", "lead", person={"name": "Ana Lopez", "custom": {"plan": " "}}, owner=owner)
    values = values_of(facts, journey)

    assert values["person"] == {"first_name": "Ana", "name": "Ana Lopez"}
    assert values["owner"]["email"] == journey.people[owner].email
