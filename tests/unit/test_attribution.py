"""How a win is shared out among the touchpoints before it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schema.kpi.measures import MODELS
from workers.figures.attribution import HALF_LIFE_MS, WHOLE, all_shares, shares

WEEK = HALF_LIFE_MS


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=100).map(sorted))
def test_shares_of_a_win_always_come_to_the_whole(times: list[int]) -> None:
    found = all_shares(times)
    assert tuple(found) == MODELS
    for model, each in found.items():
        assert sum(each) == WHOLE, model
        assert len(each) == len(times)
        assert min(each) >= 0


def test_each_model_shares_out_as_it_is_named() -> None:
    times = [0, WEEK, 2 * WEEK]
    assert all_shares(times) == {
        "first": [1_000_000, 0, 0],
        "last": [0, 0, 1_000_000],
        "linear": [333_334, 333_333, 333_333],
        "position": [400_000, 200_000, 400_000],
        "decay": [142_857, 285_714, 571_429],
    }


def test_few_touchpoints_share_evenly_by_position() -> None:
    assert shares("position", [5]) == [1_000_000]
    assert shares("position", [5, 9]) == [500_000, 500_000]


def test_what_is_very_long_ago_counts_for_nothing_by_decay() -> None:
    assert shares("decay", [0, 100 * 365 * 86_400_000]) == [0, 1_000_000]
