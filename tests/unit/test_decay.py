"""Age alone: a lead is looked at again when its grade, its cell or a guard's answer is about to change, not before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schema.facts import Facts, Touch
from schema.journey import Journey
from workers.decide.decay import HORIZON_S
from workers.decide.score import CLOCKS_DIFFER, Score, warmth

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
KINDS = ("form", "chat", "spam", "visit", "bad")


def journey_of(score: dict[str, Any], guard: str = "") -> Journey:
    score = {"fit": [{"when": "has(person.phone)", "points": 8}], **score}
    moves = {"transitions": {"go": {"when": guard}}} if guard else {}
    return Journey.model_validate(
        {
            "journey": "scoring",
            "people": {"ana": {"email": "ana@example.com"}},
            "score": score,
            "route": {"pools": {"everybody": {"members": {"ana": 1}}}},
            "lifecycle": {"lead": {"to": {"go": "done"} if guard else {}}, "done": {"final": True}},
        }
        | moves
    )


GUARD = "score.total > 30 && score.engagement < 12 || score.total == 7"
SINGLE = {
    "engagement": {"half_life": "30d", "cap": 60, "on": {"form": 30, "chat": 17, "visit": {"points": 9, "max": 2}}},
    "grades": {"A": 50, "B": 25, "C": 10, "D": 0},
    "grid": {"fit": {"A": 0}, "engagement": {"1": 40, "2": 15, "3": 5}},
}
PACES = {
    "engagement": {
        "half_life": "30d",
        "on": {"form": 30, "chat": {"points": 40, "half_life": "2d"}, "visit": {"points": 9, "half_life": "200d"}},
    },
    "grades": {"A": 50, "B": 25, "C": 10},
}
NEGATIVE = {
    "engagement": {
        "half_life": "30d",
        "on": {"form": 30, "chat": 17, "spam": {"points": -25, "half_life": "3d"}, "bad": -20},
    },
    "grades": {"A": 50, "B": 25, "C": 10},
}
GROUPS = {
    "engagement": {
        "half_life": "30d",
        "on": {
            "form": {"points": 30, "group": "web"},
            "visit": {"points": 9, "group": "web"},
            "chat": 20,
            "spam": {"points": -25, "group": "bad"},
            "bad": {"points": -20, "group": "bad"},
        },
    },
    "groups": {"web": {"cap": 33}, "bad": {"floor": -21}},
    "grades": {"A": 50, "B": 25, "C": 10},
}
NOTHING_COUNTS = {
    "engagement": {"on": {"form": {"points": 30, "group": "web"}, "chat": 20}},
    "groups": {"web": {"cap": 0}},
    "grades": {"A": 50, "B": 25, "C": 10},
}
BOTH = {
    "engagement": {
        "half_life": "30d",
        "on": {
            "form": {"points": 30, "group": "web"},
            "visit": {"points": 9, "half_life": "200d", "group": "web"},
            "chat": {"points": 40, "half_life": "2d"},
            "spam": {"points": -25, "half_life": "3d", "group": "bad"},
            "bad": {"points": -20, "group": "bad"},
        },
    },
    "groups": {"web": {"cap": 33}, "bad": {"floor": -21}},
    "grades": {"A": 50, "B": 25, "C": 10},
}
JOURNEYS = [journey_of(score, GUARD) for score in (SINGLE, PACES, NEGATIVE, GROUPS, NOTHING_COUNTS, BOTH)]


def read(journey: Journey, touches: list[Touch], at: datetime, *, phone: bool = False) -> Score:
    person = {"phone": "+49301234567"} if phone else {}
    return warmth(Facts("l1", "website", "form", "lead", person=person, touchpoints=touches), journey, at)


def sides(found: Score) -> tuple[object, ...]:
    """All that follows from a score: its grade, its cell, and the answers of the parts of `GUARD`."""
    return found.grade, found.cell, found.total > 30, found.engagement < 12, found.total == 7


AGES = st.integers(-400, 60 * 24 * 3600) | st.integers(-400, 30)
TOUCHES = st.lists(st.tuples(st.sampled_from(KINDS), AGES, st.integers(0, 999_999)), max_size=9).map(
    lambda drawn: [
        Touch(kind, NOW - timedelta(seconds=age, microseconds=part), str(number))
        for number, (kind, age, part) in enumerate(drawn)
    ]
)


@settings(max_examples=400, deadline=None)
@given(journey=st.sampled_from(JOURNEYS), touches=TOUCHES, phone=st.booleans())
@example(
    journey=JOURNEYS[2],
    touches=[Touch("form", NOW, "1"), Touch("form", NOW, "2"), Touch("spam", NOW, "3")],
    phone=False,
)
def test_nothing_that_follows_from_a_score_changes_before_it_is_looked_at_again(
    journey: Journey, touches: list[Touch], *, phone: bool
) -> None:
    found = read(journey, touches, NOW, phone=phone)
    until = found.look_again
    if until is None:
        ahead = timedelta(seconds=HORIZON_S)
    else:
        assert until > NOW
        assert until.microsecond == 0
        ahead = until - NOW - 2 * SECOND
    for share in (0.0, 1e-6, 1e-4, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999, 1.0):
        if ahead > timedelta():
            assert sides(read(journey, touches, NOW + ahead * share, phone=phone)) == sides(found)


@settings(max_examples=300, deadline=None)
@given(journey=st.sampled_from(JOURNEYS), touches=TOUCHES, phone=st.booleans())
def test_at_that_moment_something_is_different_or_few_looks_later(
    journey: Journey, touches: list[Touch], *, phone: bool
) -> None:
    found = read(journey, touches, NOW, phone=phone)
    at, looks, unchanged = found.look_again, 0, 0
    ahead = [touch for touch in touches if touch.occurred_at > NOW + CLOCKS_DIFFER]
    while at is not None:
        after = read(journey, touches, at, phone=phone)
        unchanged += sides(after) == sides(found)
        looks += 1
        assert after.look_again is None or after.look_again > at
        found, at = after, after.look_again
    wavers = journey.score in (JOURNEYS[2].score, JOURNEYS[5].score)  # points that fall and rise at several paces
    assert unchanged <= len(ahead) + 2 * wavers
    assert looks <= 60


def test_a_lead_whose_age_changes_nothing_any_more_is_left_alone() -> None:
    assert read(JOURNEYS[0], [], NOW).look_again is None
    assert read(JOURNEYS[0], [Touch("form", NOW - timedelta(days=900), "1")], NOW).look_again is None


@pytest.mark.parametrize(("points", "grade", "days"), [(40, 20, 30.0), (80, 20, 60.0), (41, 40, 0.0)])
def test_the_moment_is_where_rounding_goes_down(points: int, grade: int, days: float) -> None:
    journey = journey_of({"engagement": {"half_life": "30d", "on": {"form": points}}, "grades": {"A": grade}})
    at = read(journey, [Touch("form", NOW, "1")], NOW).look_again
    assert at is not None
    assert (at - NOW) / timedelta(days=1) >= days
    before = read(journey, [Touch("form", NOW, "1")], at - SECOND)
    then = read(journey, [Touch("form", NOW, "1")], at)
    assert (before.total, before.grade, then.total, then.grade) == (grade, "A", grade - 1, "")


def test_what_another_clock_calls_the_future_is_looked_at_when_it_has_come() -> None:
    touch = Touch("form", NOW + timedelta(hours=1), "1")
    assert read(JOURNEYS[0], [touch], NOW).engagement == 0
    at = read(JOURNEYS[0], [touch], NOW).look_again
    assert at == NOW + timedelta(minutes=55)
    assert read(JOURNEYS[0], [touch], at).engagement == 30


def test_a_guard_that_calculates_with_points_is_asked_again_at_every_one_of_them() -> None:
    journey = journey_of({"engagement": {"on": {"form": 30}}}, "score.fit + score.engagement > 21")
    at = read(journey, [Touch("form", NOW, "1")], NOW).look_again
    assert at is not None
    assert read(journey, [Touch("form", NOW, "1")], at).engagement == 29
