"""The score: every point has an origin, engagement halves with age, and the order of things does not matter."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schema.facts import Facts, Touch
from schema.journey import Journey, default_journey, load
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
    for counted in map(sorted, times.values()):
        assert all(last - first >= timedelta(days=7) for first, last in zip(counted, counted[3:], strict=False))


@settings(max_examples=100, deadline=None)
@given(TOUCHES, TOUCHES)
def test_more_that_speaks_for_a_lead_never_makes_it_colder(touches: list[Touch], more: list[Touch]) -> None:
    known = {touch.id for touch in touches}
    added = [touch for touch in more if touch.kind != "spam.click" and touch.id not in known]
    assert score(*touches, *added).engagement >= score(*touches).engagement


@settings(max_examples=100, deadline=None)
@given(TOUCHES, st.timedeltas(timedelta(), timedelta(days=2000)))
def test_age_alone_never_makes_a_lead_warmer(touches: list[Touch], passed: timedelta) -> None:
    happened = [touch for touch in touches if touch.kind != "spam.click" and touch.occurred_at <= NOW]
    facts = Facts("l1", "website", "form", "lead", touchpoints=happened)
    assert warmth(facts, JOURNEY, NOW + passed).total <= warmth(facts, JOURNEY, NOW).total


MINUTES = st.lists(st.integers(0, 40), max_size=9, unique=True)


@settings(max_examples=150, deadline=None)
@given(MINUTES, st.integers(1, 3), st.integers(1, 15))
def test_of_what_is_limited_the_choice_that_gives_most_counts(minutes: list[int], most: int, per: int) -> None:
    journey = journey_of(engagement={"half_life": "10m", "on": {"visit": {"points": 9, "max": most, "per": f"{per}m"}}})
    touches = [Touch("visit", NOW - timedelta(minutes=ago), str(ago)) for ago in minutes]
    found = warmth(Facts("l1", "website", "form", "lead", touchpoints=touches), journey, NOW)

    def allowed(chosen: tuple[int, ...]) -> bool:
        return all(late - early >= per for early, late in zip(chosen, chosen[most:], strict=False))

    choices = (c for size in range(len(minutes) + 1) for c in combinations(sorted(minutes), size) if allowed(c))
    best = max(sum(9 * 0.5 ** (ago / 10) for ago in chosen) for chosen in choices)
    assert math.isclose(sum(part.points for part in found.parts), best, abs_tol=1e-9)
    assert sum(found.touchpoints for found in found.uncounted) == len(minutes) - len(found.parts)


def journey_of(**rules: Any) -> Journey:  # noqa: ANN401 - the keys of the score rules
    return Journey.model_validate(
        {
            "journey": "scoring",
            "people": {"ana": {"email": "ana@example.com"}},
            "score": rules,
            "route": {"pools": {"everybody": {"members": {"ana": 1}}}},
            "lifecycle": {"lead": {"final": True}},
        }
    )


def of(journey: Journey, *touches: Touch, now: datetime = NOW, **person: object) -> Score:
    return warmth(Facts("l1", "website", "form", "lead", person=person, touchpoints=list(touches)), journey, now)


def test_a_group_has_limits_of_its_own_on_both_sides() -> None:
    journey = journey_of(
        fit=[
            {"when": 'person.country == "DE"', "points": 30, "group": "home"},
            {"when": "has(person.phone)", "points": 15, "group": "home"},
            {"when": 'person.language == "de"', "points": 5},
        ],
        engagement={
            "on": {"click": {"points": 8, "group": "web"}, "visit": {"points": 9, "group": "web"}, "form": 20,
                   "spam": {"points": -30, "group": "bad"}, "unsubscribe": {"points": -30, "group": "bad"}},
        },
        groups={"home": {"cap": 40}, "web": {"cap": 12}, "bad": {"floor": -25}},
    )  # fmt: skip
    fit = of(journey, country="DE", phone="+49", language="de")
    assert (fit.fit, fit.explain()["groups"]) == (
        45, [{"group": "home", "axis": "fit", "points": 45.0, "counted": 40.0}]
    )  # fmt: skip
    deeds = of(journey, touch("click", 0), touch("visit", 0), touch("form", 0))
    assert deeds.engagement == 32
    assert {part["rule"]: part.get("group") for part in deeds.explain()["parts"]} == {
        "click": "web", "visit": "web", "form": None
    }  # fmt: skip
    both = [touch(kind, 0) for kind in ("spam", "unsubscribe")]
    assert of(journey, *both, touch("form", 0), touch("form", 0, "2")).engagement == 15


def test_a_kind_can_halve_at_a_pace_of_its_own() -> None:
    journey = journey_of(engagement={"half_life": "30d", "on": {"form": 20, "chat": {"points": 40, "half_life": "5d"}}})
    assert of(journey, touch("chat", 10)).engagement == 10
    assert of(journey, touch("form", 30)).engagement == 10


def test_fit_and_engagement_apart_are_a_cell() -> None:
    journey = journey_of(
        fit=[{"when": 'person.country == "DE"', "points": 30}],
        engagement={"on": {"form": 20, "chat": 50}},
        grid={"fit": {"A": 30, "B": 0}, "engagement": {"1": 40, "2": 10}},
    )
    assert of(journey, touch("chat", 0), country="DE").facts()["cell"] == "A1"
    assert of(journey, touch("form", 0)).cell == "B2"
    assert of(journey).facts() == {"total": 0, "fit": 0, "engagement": 0, "grade": ""}


@dataclass
class Likely:
    probability: float
    version: str = "0123456789ab"

    def explain(self) -> dict[str, Any]:
        return {"version": self.version, "probability": self.probability}


def test_a_prediction_stands_beside_the_points_and_changes_none() -> None:
    facts = Facts("l1", "website", "form", "lead", touchpoints=[touch("form", 0)])
    alone, beside = warmth(facts, JOURNEY, NOW), warmth(facts, JOURNEY, NOW, Likely(0.123456))
    assert beside.facts() == alone.facts() | {"predicted": 0.1235}
    assert beside.explain()["prediction"] == {"version": "0123456789ab", "probability": 0.123456}


CAPS = st.integers(0, 60)


@settings(max_examples=60, deadline=None)
@given(TOUCHES, CAPS, CAPS, CAPS, CAPS)
def test_a_higher_cap_never_makes_a_lead_colder(touches: list[Touch], cap: int, more: int, group: int, up: int) -> None:
    def found(cap: int, group: int) -> int:
        kinds = {"form": {"points": 20, "group": "web"}, "visit": {"points": 9, "group": "web"}, "chat": 7}
        return of(journey_of(engagement={"cap": cap, "on": kinds}, groups={"web": {"cap": group}}), *touches).total

    assert found(cap, group) <= found(min(100, cap + more), min(100, group + up))


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
