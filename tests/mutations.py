"""
Journeys that differ from a shipped one in a single place: what tests of `show` and `diff` are told with.

A mutation changes one value of the file, leaves out one key, or drops one item of a list. Some break the journey, and
some only say what is usual anyway; both are left out.
"""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hypothesis import strategies as st

from schema.journey import JourneyInvalid, load, shipped
from schema.journey.document import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schema.journey import Journey

Place = tuple[str | int, ...]
_TEXTS: Final = shipped()
_DURATION: Final = re.compile(r"[1-9]\d*[smhdw]")
_QUESTIONS: Final = {"when", "require", "reject", "fits", "wait_until"}


class Mutant(NamedTuple):
    """Two journeys that do not mean the same, and the one place (`("qualify", 0, "reason")`) where they differ."""

    before: Journey
    after: Journey
    place: Place


@st.composite
def mutants(draw: st.DrawFn) -> Mutant | None:
    """A shipped journey with one mutation; None for one that cannot be used or means the same."""
    text = _TEXTS[draw(st.sampled_from(sorted(_TEXTS)))]
    data = _data(text)
    place = draw(st.sampled_from(list(_places(data))))
    try:
        after = load(_mutated(draw, data, place))
    except JourneyInvalid:
        return None
    before = load(text)
    return None if meaning(before) == meaning(after) else Mutant(before, after, place)


def meaning(journey: Journey) -> dict[str, Any]:
    """All values of a journey, those that the file leaves out included."""
    return journey.model_dump()


@cache
def _data(text: str) -> Any:  # noqa: ANN401 - any value of YAML
    return read(text).data


def _places(value: Any, place: Place = ()) -> Iterator[Place]:  # noqa: ANN401 - any value of YAML
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*place, key)
        yield from _places(item, (*place, key))


def _mutated(draw: st.DrawFn, data: Any, place: Place) -> str:  # noqa: ANN401 - any value of YAML
    data = copy.deepcopy(data)
    parent = data
    for key in place[:-1]:
        parent = parent[key]
    value = parent[place[-1]]
    if isinstance(value, dict | list) or draw(st.integers(0, 3)) == 0:
        del parent[place[-1]]
    else:
        parent[place[-1]] = draw(_others(value, str(place[-1])))
    return json.dumps(data, ensure_ascii=False)


def _others(value: Any, key: str) -> st.SearchStrategy[Any]:  # noqa: ANN401 - any value of YAML
    if isinstance(value, bool):
        return st.just(not value)
    if isinstance(value, int):
        return st.integers(value - 9, value + 9).filter(lambda other: other != value)
    if isinstance(value, float):
        return st.just(2 * value + 1)
    if key in _QUESTIONS:
        return st.sampled_from(["company.employees >= 77", "has(person.city)", '!("roof" in person.interests)'])
    if _DURATION.fullmatch(value):
        return st.sampled_from(["90s", "11m", "5h", "33d", "3w"]).filter(lambda other: other != value)
    return st.sampled_from([f"{value}x", f"{value} two", "service", "ask", "pass", "fail", "en", "NL"])
