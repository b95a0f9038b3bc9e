"""The score: every point has an origin, engagement halves with age, and the order of things does not matter."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from schema.facts import Facts, Touch
from schema.journey import default_journey, load
from workers.decide.score import MOST_TOLD, Score, warmth

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
JOURNEY = load("""\
journey: scoring
people: {ana: {email: ana@example.com}}
score:
  fit: [{when: company.employees >= 50, points: 20, label: Large}, {when: person.country == "DE", points: -5}]
  engagement:
    half_life: 30d
    cap: 60
    on: {form: 20, chat: 7, spam.click: -10, page.pricing: {points: 5, max: 3, per: 7d}, visit: {points: 9, max: 1}}
  grades: {A: 70, B: 45, C: 20}
route: {pools: {everybody: {members: {ana: 1}}}}
lifecycle: {lead: {final: true}}
""")


def touch(kind: str, days_ago: float, name: str = "") -> Touch:
    return Touch(kind, NOW - timedelta(days=days_ago), name or f"{kind}-{days_ago}")


def score(*touches: Touch, employees: int | None = None, country: str | None = None) -> Score:
    facts = Facts("l1", "website", "form", "lead", touchpoints=list(touches))
    facts.company, facts.person = {"employees": employees}, {"country": country}
    return warmth(facts, JOURNEY, NOW)


def test_engagement_halves_every_half_life_and_fit_does_not() -> None:
    assert score(touch("form", 0), employees=50).facts() == {"total": 40, "fit": 20, "engagement": 20, "grade": "C"}
    assert score(touch("form", 30), employees=50).facts() == {"total": 30, "fit": 20, "engagement": 10, "grade": "C"}
    assert score(touch("form", 60)).engagement == 5


def test_engagement_stops_at_its_cap_and_nothing_falls_below_zero() -> None:
    assert score(*(touch("form", 0, str(n)) for n in range(9))).engagement == 60
    assert score(touch("spam.click", 0), country="DE").facts() == {"total": 0, "fit": 0, "engagement": 0, "grade": ""}


def test_a_rule_with_a_limit_counts_so_many_in_any_window() -> None:
    assert score(*(touch("page.pricing", 0, str(n)) for n in range(9))).engagement == 15
    week_apart = [touch("page.pricing", days, f"{days}-{n}") for days in (0, 7) for n in range(5)]
    assert len(score(*week_apart).parts) == 6
    assert len(score(*(touch("visit", days) for days in range(100))).parts) == 1


def test_what_has_not_happened_yet_does_not_count_but_clocks_may_differ() -> None:
    assert score(touch("form", -1)).engagement == 0
    assert score(touch("form", -1 / 24 / 60)).engagement == 20


def test_a_touchpoint_the_journey_gives_nothing_for_gives_nothing() -> None:
    assert score(touch("letter", 0)).parts == ()


def test_a_missing_answer_gives_no_points_and_is_named() -> None:
    found = score(employees=50)
    assert [part.rule for part in found.parts] == ["Large"]
    assert found.unknown == (('person.country == "DE"', ("person.country",)),)


TOUCHES = st.lists(
    st.builds(
        Touch,
        st.sampled_from(["form", "chat", "page.pricing", "visit", "spam.click", "letter"]),
        (st.integers(-600, 90 * 24 * 60) | st.sampled_from([0, 60])).map(
            lambda minutes: NOW - timedelta(minutes=minutes)
        ),
        st.uuids().map(str),
    ),
    max_size=25,
    unique_by=lambda touch: touch.id,
)


@settings(max_examples=150, deadline=None)
@given(TOUCHES, st.randoms(use_true_random=False))
def test_the_order_of_touchpoints_changes_nothing(touches: list[Touch], random: object) -> None:
    shuffled = sorted(touches, key=lambda touch: hash((touch.id, repr(random))))
    assert score(*shuffled) == score(*touches) == score(*reversed(touches))


@settings(max_examples=150, deadline=None)
@given(TOUCHES)
def test_every_point_has_an_origin_and_every_figure_its_bounds(touches: list[Touch]) -> None:
    found = score(*touches, employees=80, country="DE")
    deeds = math.fsum(part.points for part in found.parts if part.touchpoint)
    assert found.fit == sum(part.points for part in found.parts if not part.touchpoint) == 15
    assert found.engagement == max(0, min(60, round(deeds)))
    assert found.total == min(100, found.fit + found.engagement)
    times: dict[str, list[datetime]] = {}
    when = {touch.id: touch.occurred_at for touch in touches}
    for part in found.parts:
        if part.rule == "page.pricing" and part.touchpoint:
            times.setdefault(part.rule, []).append(when[part.touchpoint])
    for counted in times.values():
        assert all(last - first >= timedelta(days=7) for first, last in zip(counted, counted[3:], strict=False))


@settings(max_examples=60, deadline=None)
@given(TOUCHES)
def test_what_counted_goes_on_counting_when_more_comes_in(touches: list[Touch]) -> None:
    before = {part.touchpoint for part in score(*touches).parts}
    assert before <= {part.touchpoint for part in score(*touches, touch("page.pricing", -4 / 24 / 60, "later")).parts}


def test_an_explanation_stays_short_and_adds_up() -> None:
    found = score(*(touch("form", days) for days in range(100)), employees=50)
    told = json.loads(json.dumps(found.explain()))
    assert len(told["parts"]) == 1 + MOST_TOLD + 1
    assert told["parts"][-1]["touchpoints"] == 100 - MOST_TOLD
    assert math.isclose(sum(part["points"] for part in told["parts"]), sum(p.points for p in found.parts), abs_tol=0.2)


def test_the_shipped_journey_makes_a_company_that_asks_for_a_demo_an_opportunity() -> None:
    facts = Facts("l1", "website", "form", "lead", touchpoints=[touch("form", 0), touch("demo.requested", 0)])
    facts.company = {"employees": 120}
    assert warmth(facts, default_journey(), NOW).facts() == {"total": 80, "fit": 20, "engagement": 60, "grade": "A"}
