"""The table of bad input is whole, and every place that it names is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_TESTS: Final = Path(__file__).parent.parent
TABLE: Final[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("bad_input.yaml").read_text("utf-8"))


def numbered(letter: str, first: int, last: int) -> list[str]:
    return [f"{letter}{number}" for number in range(first, last + 1)]


def places() -> Iterator[tuple[str, str]]:
    """Each case with each place where it is tested."""
    for key, where in TABLE.items():
        if cases := re.fullmatch(r"([HCV])(\d+)(?:-\1(\d+))?", key):
            letter, first, last = cases[1], int(cases[2]), int(cases[3] or cases[2])
            yield from ((case, place) for case in numbered(letter, first, last) for place in where)


def test_every_case_of_bad_input_is_tested_somewhere() -> None:
    wanted = [*numbered("H", 1, 62), *numbered("C", 1, 26), *numbered("V", 1, 22)]
    assert list(dict.fromkeys(case for case, _ in places())) == wanted


@pytest.mark.parametrize(("case", "place"), list(places()))
def test_a_case_is_where_the_table_says(case: str, place: str) -> None:
    file, _, named = place.partition("::")
    content = (_TESTS / file).read_text("utf-8")
    assert named in content if named else re.search(rf"\b{case}(?!\d)", content)


@pytest.mark.parametrize("file", TABLE["generated"])
def test_what_is_generated_is_where_the_table_says(file: str) -> None:
    assert "@given(" in (_TESTS / file).read_text("utf-8")
