"""Lift: the difference that a campaign makes has the interval that the literature gives for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.lift import lift, wilson


@pytest.mark.parametrize(
    ("reached", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_a_share_has_the_interval_that_newcombe_gives_for_wilsons_method(
    reached: int, of: int, low: float, high: float
) -> None:
    assert wilson(reached, of) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((10, 10, 0, 20), 0.6791, 1.0),
    ],
)
def test_a_difference_has_the_interval_that_newcombe_gives_for_his_tenth_method(
    counts: tuple[int, int, int, int], low: float, high: float
) -> None:
    found = lift(*counts)

    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_without_anybody_held_out_there_is_nothing_to_compare_with() -> None:
    assert lift(3, 10, 0, 0) is None
    assert lift(0, 0, 3, 10) is None


people = st.integers(1, 100_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


@given(people, people)
def test_the_interval_holds_the_difference_and_turns_round_with_it(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    found, turned = lift(*one, *other), lift(*other, *one)

    assert found is not None
    assert turned is not None
    assert -1 - 1e-9 <= found.low <= found.difference <= found.high <= 1 + 1e-9
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
    assert found.sure == (not found.low <= 0 <= found.high)
