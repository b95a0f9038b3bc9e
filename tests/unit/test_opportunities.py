"""What is said of an opportunity, what history says of it, and what is to be expected: each by pure functions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.errors import Permanent
from schema.journey import JourneyInvalid, default_journey, default_text, load, review
from schema.journey.diff import differences
from schema.journey.pipeline import Stage
from workers.decide import opportunity as decide
from workers.decide.forecast import ENOUGH_DECIDED, Forecast, Open, forecast
from workers.decide.stays import ENOUGH, Change, Stay, chance, patience, stays, survival_point

NOW: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY: Final = timedelta(days=1)
DAY_S: Final = 86_400.0
JOURNEY: Final = default_journey()
PIPELINE: Final = JOURNEY.pipelines["sales"]
STAGES: Final = tuple(PIPELINE.stages)


# -- the language ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "    state: opportunity\n    department",
            "    state: oportunity\n    department",
            "did you mean opportunity?",
        ),
        ("    state: opportunity\n    department", "    state: lost\n    department", "lost is final"),
        ("    won: win\n", "    won: wins\n", "did you mean win?"),
        ("    lost: lose\n", "    lost: win\n", "win is what follows when one is won, too"),
        ("requires: [next_action]", "requires: [next_step]", "did you mean next_action?"),
        ("probability: 15,", "probability: 15, requires: [amount],", "ask for it at a later stage"),
        ("probability: 35,", "probability: 5,", "fewer are won from here than from first_talk"),
        ("    currency: EUR\n    stages", "    currency: EUX\n    stages", "EUX is no currency"),
        ("no_answer, other]\n\n#", "no_answer, weather]\n\n#", "lose is not made for weather"),
        ("    reopen: win_back", "    reopen: recycle", "recycle leads to lead, not to opportunity"),
    ],
)
def test_a_pipeline_that_cannot_work_is_found_with_what_to_do(old: str, new: str, said: str) -> None:
    text = default_text()
    assert old in text
    found = " ".join(problem.message for problem in review(text.replace(old, new, 1)))
    assert said in found


def test_another_order_and_other_stages_are_told_in_words() -> None:
    text = default_text()
    first, second = (
        line for line in text.splitlines(keepends=True) if line.startswith(("      offer:", "      decision:"))
    )
    swapped = load(text.replace(first, "").replace(second, second + first))
    other = load(text.replace("probability: 80", "probability: 85").replace("quiet: 14d", "quiet: 21d"))

    assert "Pipeline sales: stages stand in another order" in differences(JOURNEY, swapped)[0].text
    assert [difference.text for difference in differences(JOURNEY, other)] == [
        "Pipeline sales, stage offer: told when nothing happens for 14 days -> 21 days",
        "Pipeline sales, stage decision: per cent that are won 80 -> 85",
    ]
    with pytest.raises(JourneyInvalid):
        load(text.replace("probability: 80", "probability: 180"))


# -- what is said ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("amount", 12.5, "amount_invalid"),
        ("amount", "-1", "amount_invalid"),
        ("amount", "1e9", "amount_invalid"),
        ("amount", "1,000", "amount_invalid"),
        ("amount", "1" * 16, "amount_invalid"),
        ("amount", "1.00001", "amount_invalid"),
        ("amount", "١٢", "amount_invalid"),
        ("amount", "12\n", "amount_invalid"),
        ("currency", "eur", "currency_unknown"),
        ("currency", 1, "currency_unknown"),
        ("probability", 1.01, "probability_invalid"),
        ("probability", True, "probability_invalid"),
        ("probability", float("nan"), "probability_invalid"),
        ("expected_close", "2026-02-30", "day_invalid"),
        ("expected_close", "9999-12-31", "day_invalid"),
        ("owner", "zoe", "owner_unknown"),
        ("stage", "ofer", "stage_unknown"),
        ("stage", None, "stage_unknown"),
        ("products", [{"quantity": "2"}] * 51, "products_invalid"),
        ("products", [{}], "products_invalid"),
        ("competitors", ["x" * 201], "competitors_invalid"),
        ("competitors", "rival", "competitors_invalid"),
        ("next_action", "x" * 501, "text_invalid"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_the_field_it_is_about(field: str, value: Any, code: str) -> None:  # noqa: ANN401
    with pytest.raises(Permanent) as refused:
        decide.read({field: value}, JOURNEY, PIPELINE)
    assert (refused.value.code, refused.value.facts["field"]) == (code, field)
    assert str(value) not in str(refused.value) or field in {"currency", "probability", "stage"}


def test_what_is_said_is_read_exactly_and_what_is_none_is_taken_back() -> None:
    said = {"amount": "0.10", "probability": 1, "expected_close": "2027-02-28", "products": ["Kiln", {"sku": "7"}],
            "competitors": ["Rival", "Rival", " "], "next_action": " call\tback ", "owner": None}  # fmt: skip
    assert decide.read(said, JOURNEY, PIPELINE) == {
        "amount": Decimal("0.10"), "probability": 1.0, "expected_close": date(2027, 2, 28),
        "products": [{"name": "Kiln"}, {"sku": "7"}], "competitors": ["Rival"], "next_action": "call back",
        "owner": None,
    }  # fmt: skip
    assert decide.completed({"amount": Decimal(1)}, {}, PIPELINE)["currency"] == "EUR"
    assert decide.completed({"amount": None}, {"currency": "EUR", "amount": Decimal(1)}, PIPELINE)["currency"] is None


# -- what history says -------------------------------------------------------------------------------------------------


def test_visits_are_read_off_changes_with_their_longest_silence() -> None:
    def at(day: float) -> datetime:
        return NOW - (20 - day) * DAY

    changes = [
        Change("a", at(0), "opened", "one"), Change("a", at(1), "heard"), Change("a", at(5), "changed", "one"),
        Change("a", at(6), "stage", "two"), Change("a", at(8), "lost", "two"), Change("a", at(9), "heard"),
        Change("a", at(12), "reopened", "two"), Change("a", at(15), "won", "two"),
        Change("b", at(10), "opened", "one"), Change("b", at(18), "heard"),
    ]  # fmt: skip
    assert stays(changes, NOW) == [
        Stay("a", "one", "two", 6 * DAY_S, 4 * DAY_S),
        Stay("a", "two", "lost", 2 * DAY_S, 2 * DAY_S),
        Stay("a", "two", "won", 3 * DAY_S, 3 * DAY_S),
        Stay("b", "one", None, 10 * DAY_S, 8 * DAY_S),
    ]


spans = st.lists(st.tuples(st.integers(1, 40).map(float), st.booleans()), min_size=1, max_size=60)


@given(spans)
def test_the_point_of_survival_is_the_product_limit_of_kaplan_and_meier(found: list[tuple[float, bool]]) -> None:
    survive, expected = 1.0, None
    for length in sorted({length for length, _ in found}):
        at_risk = sum(other >= length for other, _ in found)
        survive *= 1 - sum(ended for other, ended in found if other == length) / at_risk
        if expected is None and survive <= 0.1 + 1e-9:
            expected = length
    assert survival_point(found, 0.9) == expected


def test_without_anybody_who_is_still_there_it_is_the_plain_quantile() -> None:
    for count in (10, 20, 50, 100):
        assert survival_point([(float(day), True) for day in range(1, count + 1)], 0.9) == 0.9 * count
    assert survival_point([(1.0, True)] * 50 + [(9.0, False)] * 50, 0.9) is None, "too many are still there to tell"


def test_silence_is_told_from_history_only_with_enough_that_went_on() -> None:
    stage = Stage(probability=20)
    few = [Stay(str(n), "one", "two", DAY_S, DAY_S) for n in range(ENOUGH - 1)]
    lost = [Stay(str(n), "one", "lost", 99 * DAY_S, 99 * DAY_S) for n in range(ENOUGH)]
    assert patience(stage, few + lost) is None
    assert patience(stage, [*few, few[0], *lost]) == (DAY, ENOUGH)
    assert patience(Stage(probability=20, quiet="7d"), few) == (7 * DAY, None)


@settings(deadline=None)
@given(st.integers(0, 100), st.integers(0, 300), st.data())
def test_a_probability_lies_between_what_the_journey_says_and_what_was_seen(
    said: int, decided: int, data: st.DataObject
) -> None:
    won = data.draw(st.integers(0, decided))
    found = chance(Stage(probability=said), None, (decided, won))
    assert found
    if decided < ENOUGH:
        assert (found.value, found.basis, found.low) == (said / 100, "stage", None)
        return
    assert found.low is not None
    assert found.high is not None
    assert found.basis == "history"
    low, high = sorted((min(max(said / 100, 0.01), 0.99), won / decided))
    assert low - 1e-4 <= found.value <= high + 1e-4
    assert 0 <= found.low <= found.high <= 1


def test_what_somebody_said_goes_first() -> None:
    found = chance(Stage(probability=20), 0.7, (100, 1))
    assert found == (0.7, "given", None, None, 0, 0)
    assert chance(None, None) is None


# -- what is to be expected --------------------------------------------------------------------------------------------


def one(stage: str = "offer", age: float = 0, amount: str = "100", **more: Any) -> Open:  # noqa: ANN401
    given = {"probability": 0.55, "given": False, "closes": None} | more
    return Open(stage, NOW - timedelta(days=age), Decimal(amount), "EUR", **given)


def seen(stage: str, to: str | None, days: float, count: int) -> list[Stay]:
    return [Stay(f"{stage}{to}{days}{n}", stage, to, days * DAY_S, 0.0) for n in range(count)]


def total(found: Forecast, month: str | None = None) -> float:
    return sum(float(each.expected) for each in found.months if month in {None, each.month})


def test_too_little_history_and_it_is_what_was_said_with_an_interval() -> None:
    opened = [one(closes=date(2026, 12, 24))] * 50 + [one(closes=date(2026, 1, 1)), one()]
    found = forecast(opened, seen("offer", "won", 5, ENOUGH_DECIDED - 1), STAGES, NOW, 3)

    months = {each.month: each for each in found.months}
    assert (found.by_history, found.by_stage, found.past_due) == (0, 52, 1)
    assert months["2026-12"].naive == Decimal("2750.00")
    assert abs(float(months["2026-12"].expected) - 2750) < 40
    assert (
        Decimal(2200) < months["2026-12"].low < Decimal(2600) < Decimal(2900) < months["2026-12"].high < Decimal(3300)
    )
    assert months["2026-11"].naive == Decimal("55.00"), "what is past is due now"
    assert months[None].naive == Decimal("55.00"), "no day was said"


def test_ways_and_times_are_those_that_others_went() -> None:
    history = seen("offer", "decision", 5, 30) + seen("offer", "lost", 2, 10)
    history += seen("decision", "won", 10, 15) + seen("decision", "lost", 40, 15)
    found = forecast([one()] * 100, history, STAGES, NOW, 3)

    assert (found.by_history, found.decided, found.older_than_any) == (100, 40, 0)
    assert abs(total(found, "2026-12") - 100 * 100 * 0.75 * 0.5) < 100, "after fifteen days, which is the fifth"
    assert total(found, "2026-11") == total(found, "2027-01") == 0


def test_how_long_one_has_been_there_tells_who_is_left() -> None:
    history = seen("offer", "won", 2, 30) + seen("offer", "lost", 9, 30)
    fresh, old, oldest = (forecast([one(age=age)] * 50, history, STAGES, NOW, 2) for age in (0, 5, 30))

    assert abs(total(fresh) - 2500) < 60
    assert total(old) == 0, "who was going to buy has, by the fifth day"
    assert (total(oldest), oldest.older_than_any) == (0, 50)


def test_those_that_are_still_there_are_no_proof_that_it_goes_fast() -> None:
    quick = seen("offer", "won", 2, 40)
    ever = forecast([one()] * 50, quick, STAGES, NOW, 2)
    with_others = forecast([one()] * 50, quick + seen("offer", None, 100, 40), STAGES, NOW, 2)

    assert total(ever) == 5000
    assert abs(total(with_others) - 2500) < 80


opens = st.lists(
    st.builds(
        one,
        stage=st.sampled_from([*STAGES, "gone"]),
        age=st.integers(0, 100),
        amount=st.integers(0, 10**6).map(str),
        probability=st.integers(0, 100).map(lambda percent: percent / 100),
        given=st.booleans(),
        closes=st.none() | st.dates(date(2026, 1, 1), date(2028, 1, 1)),
        group=st.sampled_from([None, "ana", "ben"]),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(opens, st.integers(1, 24), st.integers(0, 60))
def test_a_forecast_is_the_same_twice_never_more_than_there_is_and_within_its_bounds(
    opened: list[Open], months: int, days: int
) -> None:
    history = seen("offer", "decision", days, 30) + seen("decision", "won", days, 20) + seen("decision", "lost", 1, 20)
    history += seen("offer", "first_talk", 3, 5) + seen("first_talk", "offer", 2, 12)
    found = forecast(opened, history, STAGES, NOW, months)

    assert found == forecast(opened, history, STAGES, NOW, months)
    assert total(found) <= sum(float(each.amount) for each in opened) + 1
    assert all(0 <= each.low <= each.high for each in found.months)
    assert found.by_history + found.by_stage == len(opened)
    said = [each.amount * Decimal(repr(each.probability)) for each in opened if each.closes is None]
    without_day = [each.naive for each in found.months if each.month is None]
    assert abs(sum(without_day, Decimal(0)) - sum(said, Decimal(0))) < 1
