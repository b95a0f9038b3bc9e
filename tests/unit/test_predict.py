"""A prediction: what adds to it is told and sums up, whatever a lead says, and never a word of who they are."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.errors import Permanent
from schema.facts import Facts, Touch
from schema.journey import default_journey
from workers.decide.predict import MOST_TOLD, OTHER, Model, Value, observe, predict, probability
from workers.decide.score import warmth

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DOCUMENT: dict[str, Any] = {
    "format": 1,
    "journey": "default",
    "base": -1.0,
    "features": [
        {"name": "source", "kind": "category", "other": -0.2, "missing": 0.1, "weights": {"website": 0.5, "fair": 1.5}},
        {"name": "company.employees", "kind": "number", "points": [[10, -1.0], [110, 1.0]], "missing": -0.5},
        {"name": "lead.interests", "kind": "several", "base": -0.1, "missing": 0, "weights": {"pumps": 1, "fan": -0.5}},
        {"name": "person.custom.budget", "kind": "given", "given": 0.4, "missing": -0.1},
    ],
}  # fmt: skip
MODEL = Model.read(DOCUMENT, "abc")


def a_lead(**known: Any) -> Facts:  # noqa: ANN401 - fields of several types
    facts = Facts("l1", known.pop("source", "website"), "form", "lead")
    facts.person = known.pop("person", {})
    facts.company = known.pop("company", {})
    facts.lead = known.pop("lead", {})
    facts.touchpoints = known.pop("touchpoints", [])
    return facts


def added(facts: Facts) -> dict[str, float]:
    return {part.feature: part.log_odds for part in predict(facts, MODEL, NOW).contributions}


def test_each_thing_known_about_a_lead_adds_what_the_model_says() -> None:
    facts = a_lead(
        source="fair",
        company={"employees": 60},
        lead={"interests": ["Pumps", "pumps", "Fan", "boats"]},
        person={"custom": {"budget": 0}},
    )
    assert added(facts) == {
        "source": 1.5,
        "company.employees": 0.0,
        "lead.interests": pytest.approx(0.4),
        "person.custom.budget": 0.4,
    }
    found = predict(facts, MODEL, NOW)
    assert found.probability == pytest.approx(1 / (1 + math.exp(-1.3)))
    assert found.version == "abc"


def test_a_number_is_read_between_the_points_and_stops_at_the_last() -> None:
    told = [added(a_lead(company={"employees": n}))["company.employees"] for n in (-5, 10, 35, 110, 10**9)]
    assert told == [-1.0, -1.0, -0.5, 1.0, 1.0]
    assert added(a_lead(company={"employees": "35"}))["company.employees"] == -0.5
    assert added(a_lead(company={"employees": "many"}))["company.employees"] == -0.5


def test_what_is_missing_or_was_never_seen_has_a_weight_of_its_own() -> None:
    assert added(a_lead(source="elsewhere")) == {
        "source": -0.2, "company.employees": -0.5, "lead.interests": 0.0, "person.custom.budget": -0.1,
    }  # fmt: skip
    explained = predict(a_lead(source="elsewhere"), MODEL, NOW).explain()
    assert {part["feature"]: part["value"] for part in explained["because"]}["source"] == OTHER


def test_an_explanation_names_the_strongest_and_sums_up_the_rest() -> None:
    features = [{"name": f"f{n}", "kind": "given", "given": n / 10, "missing": -n / 10} for n in range(20)]
    model = Model.read({"format": 1, "base": 0.5, "features": features}, "many")
    told = json.loads(json.dumps(model.weigh({"f3": True}).explain()))
    assert [part["feature"] for part in told["because"]] == [f"f{n}" for n in range(19, 19 - MOST_TOLD, -1)]
    total = told["base"] + sum(part["log_odds"] for part in told["because"]) + told["others"]
    assert probability(total) == pytest.approx(told["probability"], abs=1e-3)


def test_who_somebody_is_and_what_they_wrote_is_not_looked_at() -> None:
    facts = a_lead(
        person={"id": "7", "name": "Lena Vogt", "email": "lena.vogt@nordwind.example", "phone": "+493012345"},
        company={"name": "Nordwind Reederei", "domain": "nordwind.example", "employees": 80},
        lead={"id": "8", "message": "Call me at home, Seestraße 4"},
    )
    seen = observe(facts, NOW)
    said = json.dumps(seen).casefold()
    for word in ("lena", "vogt", "nordwind", "49301", "seestr"):
        assert word not in said
    assert seen["person.mailbox"] == "own"
    assert seen["person.phone"] is True
    assert seen["lead.message_length"] == 28.0


def test_a_mailbox_that_anybody_can_have_is_told_from_a_companys() -> None:
    boxes = [
        observe(a_lead(person={"email": mail}), NOW)["person.mailbox"] for mail in ("a@gmail.com", "a@acme.example")
    ]
    assert boxes == ["free", "own"]
    assert observe(a_lead(), NOW)["person.mailbox"] == "none"


def test_what_came_after_the_moment_and_what_a_program_did_does_not_count() -> None:
    touches = [
        Touch("form", NOW - timedelta(days=3), "1"),
        Touch("email.click", NOW - timedelta(days=1), "2"),
        Touch("email.click", NOW - timedelta(days=1), "3", machine=True),
        Touch("purchase", NOW + timedelta(seconds=1), "4"),
    ]
    seen = observe(a_lead(touchpoints=touches), NOW)
    assert {name: value for name, value in seen.items() if name.startswith("touches")} == {
        "touches": 2.0, "touches.form": 1.0, "touches.email.click": 1.0,
    }  # fmt: skip
    assert (seen["days_known"], seen["days_quiet"], seen["arrival.weekday"]) == (3.0, 1.0, "tue")


def test_what_our_own_rules_decided_is_not_looked_at() -> None:
    facts = a_lead()
    before = observe(facts, NOW)
    facts.know(score={"total": 99}, qualification={"passed": True}, owner="ana", pool="dach", state="opportunity")
    assert observe(facts, NOW) == before


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(custom=ANYTHING, employees=ANYTHING, interests=ANYTHING, attribution=ANYTHING, source=st.text(max_size=10))
def test_whatever_a_lead_says_a_prediction_is_a_probability_whose_parts_sum_up(
    custom: Any,  # noqa: ANN401
    employees: Any,  # noqa: ANN401
    interests: Any,  # noqa: ANN401
    attribution: Any,  # noqa: ANN401
    source: str,
) -> None:
    facts = a_lead(
        source=source,
        person={"custom": {"budget": custom}},
        company={"employees": employees},
        lead={"interests": interests, "attribution": attribution},
    )
    found = predict(facts, MODEL, NOW)
    assert 0 < found.probability < 1
    total = found.base + math.fsum(part.log_odds for part in found.contributions)
    assert math.isclose(math.log(found.probability / (1 - found.probability)), total, abs_tol=1e-9)
    json.dumps(found.explain(), allow_nan=False)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from([f["name"] for f in DOCUMENT["features"]]), ANYTHING),
    st.randoms(use_true_random=False),
)
def test_the_order_in_which_things_are_known_changes_nothing(seen: dict[str, Value], random: Any) -> None:  # noqa: ANN401
    names = list(seen)
    random.shuffle(names)
    assert MODEL.weigh(seen).probability == MODEL.weigh({name: seen[name] for name in names}).probability


@given(st.floats(-1e300, 1e300))
def test_a_probability_never_overflows(log_odds: float) -> None:
    assert 0 <= probability(log_odds) <= 1


@pytest.mark.parametrize(
    "document",
    [{}, {"format": 2}, {**DOCUMENT, "format": 9}, {**DOCUMENT, "features": [{"name": "x", "kind": "tea"}]},
     {**DOCUMENT, "features": [{"name": "x", "kind": "number", "points": [], "missing": 0}]}],
)  # fmt: skip
def test_a_model_that_another_release_made_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(Permanent, match="another release"):
        Model.read(document, "v")


def test_a_score_carries_what_was_predicted_and_why() -> None:
    facts = a_lead(source="fair")
    found = warmth(facts, default_journey(), NOW, predict(facts, MODEL, NOW))
    assert found.facts()["predicted"] == round(predict(facts, MODEL, NOW).probability, 4)
    assert found.explain()["prediction"]["model"] == "abc"
    assert "predicted" not in warmth(facts, default_journey(), NOW).facts()
