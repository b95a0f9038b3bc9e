from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import Permanent
from schema.messages import QUEUES, Hint, HintError, decode, encode

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


def test_a_hint_travels_as_its_version_and_ids_and_nothing_else() -> None:
    assert encode(Hint(ids=["a", "b"])) == {"v": 1, "ids": ["a", "b"]}


@given(ids=st.lists(st.text()), trace=st.none() | st.text())
def test_a_hint_comes_back_from_json_as_it_was(ids: list[str], trace: str | None) -> None:
    hint = Hint(ids=ids, trace=trace)
    assert decode(json.loads(json.dumps(encode(hint)))) == hint


def test_a_hint_without_ids_means_look_again() -> None:
    assert decode({"v": 1}) == Hint(ids=[])


def test_a_field_from_a_later_release_is_ignored() -> None:
    assert decode({"v": 1, "ids": ["a"], "priority": 7}) == Hint(ids=["a"])


def test_a_version_nobody_here_knows_is_refused_whatever_else_it_holds() -> None:
    with pytest.raises(HintError) as refused:
        decode({"v": 2, "ids": {"from": 1, "to": 9}})
    assert (refused.value.code, refused.value.facts) == ("hint_version_unknown", {"v": 2})


@pytest.mark.parametrize(
    "wire", [None, [], "score", {}, {"ids": []}, {"v": "1", "ids": []}, {"v": 1, "ids": [7]}, {"v": 1, "ids": None}]
)
def test_a_malformed_hint_is_refused_without_repeating_it(wire: object) -> None:
    with pytest.raises(HintError) as refused:
        decode(wire)
    assert (refused.value.code, refused.value.facts, str(refused.value)) == ("hint_malformed", {}, "hint_malformed")


@given(json_values)
def test_whatever_arrives_is_a_hint_or_a_permanent_error(wire: object) -> None:
    with suppress(HintError):
        assert isinstance(decode(wire), Hint)
    assert issubclass(HintError, Permanent)


def test_every_queue_has_its_own_name() -> None:
    assert len(set(QUEUES)) == len(QUEUES)
