"""The JSON Schema of the language says what `load` does, as far as a schema can."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.journey import JourneyInvalid, Problem, json_schema, load, review, shipped
from schema.journey.document import read
from schema.journey.keys import KEYS

SMALL = """\
journey: small
people: {ana: {email: ana@example.com}}
route: {pools: {everybody: {members: {ana: 1}}}}
lifecycle: {lead: {to: {win: customer}}, customer: {final: true}}
"""


@cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema())


def fits(text: str) -> bool:
    return bool(validator().is_valid(read(text).data))


def test_the_schema_is_one_and_everything_in_it_has_a_sentence_of_help() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for name, part in [("Journey", schema), *schema["$defs"].items()]:
        assert part["description"]
        assert {key: inner["description"] for key, inner in part["properties"].items()} == KEYS[name]
        assert part["additionalProperties"] is False
    assert json_schema() is not json_schema()


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_journey_is_valid(name: str) -> None:
    assert [error.message for error in validator().iter_errors(read(shipped()[name]).data)] == []


@pytest.mark.parametrize(
    "more",
    [
        "requalify: {a: never, b: news, c: 90d, d: {after: 2w, most: 1}}",
        "score: {engagement: {on: {form: 5, page.view: {points: -3, max: 2, per: 1d}}}}",
        "calendars: {office: {tz: Europe/Berlin, mon-fri: '09:00-12:00, 13:00-24:00', holidays: DE-BY}}",
        "calendars: {office: {sat: '22:00-06:00', holidays: [DE, 2026-12-24]}}",
        "transitions: {win: {reason: price}}",
        "transitions: {win: {reason: [price, other], kpis: [win_rate]}}",
        "transitions: {win: {after: 30d}}",
        "steps: [qualify, advance]",
        "campaigns: {}",
    ],
)
def test_what_may_be_written_shorter_is_valid(more: str) -> None:
    assert fits(f"{SMALL}{more}\n")


@pytest.mark.parametrize(
    "more",
    [
        "qualifi: []",
        "requalify: {a: sometimes}",
        "score: {engagement: {half_life: 30}}",
        "score: {engagement: {half_life: 0d}}",
        "score: {engagement: {on: {Form: 5}}}",
        "score: {engagement: {on: {form: {points: 3, per: 7d}}}}",
        "score: {fit: [{when: has(person.phone), points: '5'}]}",
        "score: {grades: {A: 101}}",
        "calendars: {office: {monday: '09:00-17:00'}}",
        "calendars: {office: {mon: 9-17}}",
        "calendars: {Office: {mon: '09:00-17:00'}}",
        "qualify: [{name: a}]",
        "qualify: [{name: a, require: 'true', reject: 'false'}]",
        "qualify: [{name: a, require: 'true', unknown: pass, within: 2d}]",
        "qualify: [{name: a, require: true}]",
        "transitions: {win: {trigger: automatic}}",
        "transitions: {win: {trigger: manual, after: 3d}}",
        "transitions: {win: {kpis: [luck]}}",
        "transitions: {win: {label: }}",
        "steps: [qualify, fly, advance]",
        "campaigns: {spring: {}}",
        "lists: {a: b}",
    ],
)
def test_what_load_refuses_for_its_shape_is_not_valid(more: str) -> None:
    text = f"{SMALL}{more}\n"
    assert not fits(text)
    with pytest.raises(JourneyInvalid):
        load(text)


def _places(data: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:  # noqa: ANN401 - plain values
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in inside for place in _places(value, (*path, key)))]


DEFAULT: dict[str, Any] = read(shipped()["default"]).data
SOLAR: dict[str, Any] = read(shipped()["solar"]).data
PLACES = {0: _places(DEFAULT)[1:], 1: _places(SOLAR)[1:]}
KEY_NAMES = {key for keys in KEYS.values() for key in keys}
KEY = st.sampled_from(sorted(KEY_NAMES | {"mon-fri", "x", "ana", "win", "A", "<<"}))
WORDS = [
    "30d", "news", "DE", "form", "manual", "automatic", "requalify", "has(person.phone)", "score.total > 3", "ask",
    "09:00-17:00", "ana", "Europe/Berlin", "never", "won", "\x1c", "x" * 70, "company.domain in lists.dach",
]  # fmt: skip
NUMBERS = st.integers(-200, 200) | st.floats(allow_nan=False, allow_infinity=False)
VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=5), st.sampled_from(WORDS)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEY, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def changed(draw: st.DrawFn) -> str:
    """A shipped journey with one to three of its values replaced, left out, moved or added to."""
    which = draw(st.sampled_from([0, 1]))
    data = copy.deepcopy((DEFAULT, SOLAR)[which])
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        *path, last = draw(st.sampled_from(PLACES[which]))
        parent = _inside(data, path)
        if isinstance(parent, dict):
            _change(draw, parent, str(last))
        elif isinstance(parent, list) and parent and isinstance(last, int):
            parent[min(last, len(parent) - 1)] = draw(VALUE)
    return json.dumps(data, ensure_ascii=draw(st.booleans()))


def _inside(data: Any, path: list[str | int]) -> Any:  # noqa: ANN401 - plain values
    """What stands at a path; None where an earlier change has taken it away."""
    for part in path:
        if isinstance(data, dict):
            data = data.get(part)
        else:
            data = data[part] if isinstance(data, list) and isinstance(part, int) and part < len(data) else None
    return data


def _alike(value: object) -> st.SearchStrategy[object]:
    """Something of the same kind, which `load` is more likely to accept."""
    if isinstance(value, bool):
        return st.booleans()
    if isinstance(value, int):
        return st.integers(-1, 101)
    if isinstance(value, list):
        return st.lists(st.sampled_from(value), max_size=2) if value else st.just([])
    return st.text("abcDE 1", min_size=1, max_size=3) if isinstance(value, str) else st.just({})


def _change(draw: st.DrawFn, parent: dict[str, Any], key: str) -> None:
    how = draw(st.sampled_from(["remove", "remove", "alike", "alike", "borrow", "replace", "add"]))
    if how == "remove":
        parent.pop(key, None)
    elif how == "alike":
        parent[key] = draw(_alike(parent.get(key)))
    elif how == "borrow":
        parent[key] = copy.deepcopy(draw(st.sampled_from(list(parent.values()) or [None])))
    else:
        parent[key if how == "replace" else draw(KEY)] = draw(VALUE)


def verdict(text: str) -> list[Problem]:
    """What `review` says; a `load` that accepts the text has to agree with it and with the schema."""
    problems = review(text)
    errors = [problem for problem in problems if problem.severity == "error"]
    if not errors:
        load(text)
        assert fits(text)
    for problem in problems:
        assert problem.message
        assert (problem.line > 0) == (problem.column > 0)
    return problems


@settings(max_examples=150, deadline=None)
@given(changed())
def test_whatever_load_accepts_is_valid_and_everything_else_is_refused_in_words(text: str) -> None:
    verdict(text)


def test_whatever_key_is_left_out_load_and_the_schema_agree_that_it_may_be() -> None:
    once = {tuple(part for part in place if part in KEY_NAMES): place for place in PLACES[1]}
    for *path, last in once.values():
        data = copy.deepcopy(SOLAR)
        parent = _inside(data, path)
        if isinstance(parent, dict):
            del parent[str(last)]
            verdict(json.dumps(data))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_shipped_journey_that_is_damaged_anywhere_is_a_journey_or_refused_in_words(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(list(shipped().values())))
    at = data.draw(st.integers(0, len(text) - 1))
    damage = data.draw(st.text(alphabet="{}[]:,'\"#&*!|>-?\n\tab0é\ud800\x85", max_size=4))
    verdict(text[:at] + damage + text[at + data.draw(st.integers(0, 3)) :])


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="ab:-{}[],'\"|> \n&*!", max_size=60))
def test_any_text_is_refused_in_words(text: str) -> None:
    assert verdict(text)
