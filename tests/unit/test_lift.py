"""Lift: the difference that a campaign makes has the interval that the literature gives for it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.lift import Amounts, lift, student, welch, wilson


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


# -- amounts -----------------------------------------------------------------------------------------------------------


def spent(amounts: str) -> Amounts:
    exact = [Decimal(amount) for amount in amounts.split()]
    return Amounts(len(exact), sum(exact, Decimal()), sum((amount * amount for amount in exact), Decimal()))


def test_the_difference_of_two_means_has_welchs_interval() -> None:
    some = spent("27.5 21.0 19.0 23.6 17.0 17.9 16.9 20.1 21.9 22.6 23.1 19.6 19.0 21.7 21.4")
    others = spent("27.1 22.0 20.8 23.4 23.4 23.5 25.8 22.0 24.8 20.2 21.9 22.1 22.9 20.5 24.4")

    found = welch(some, others)

    assert found is not None
    assert found == pytest.approx((-2.1667, -3.9822, -0.3511), abs=2e-3)
    assert found.sure


@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.706205), (2, 4.302653), (5, 2.570582), (30, 2.042272), (120, 1.979930)]
)
def test_students_quantile_is_that_of_the_tables(freedom: float, expected: float) -> None:
    assert student(freedom) == pytest.approx(expected, abs=2e-6)


def test_what_nobody_can_say_of_means_is_not_said() -> None:
    assert welch(spent("1 2"), spent("3")) is None
    assert welch(spent("1 2"), spent("2 2")) is None
    assert welch(spent("0 0 0"), spent("1 2")) is None
    assert welch(spent("0 0"), spent("0 0")) is None


many = st.lists(st.decimals(-1000, 1000, places=2).map(str), min_size=2, max_size=30).map(" ".join)


@given(many, many)
def test_the_interval_of_means_holds_the_difference_and_turns_with_the_sides(some: str, others: str) -> None:
    found, back = welch(spent(some), spent(others)), welch(spent(others), spent(some))

    assert (found is None) == (back is None)
    if found and back:
        assert found.low <= found.difference <= found.high
        assert (found.low, found.high) == pytest.approx((-back.high, -back.low))
