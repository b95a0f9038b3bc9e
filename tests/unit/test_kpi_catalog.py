"""Figures: what is told of what was counted, and that nothing is told that is not known."""

from __future__ import annotations

import doctest
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.journey import default_journey, load
from schema.journey.load import JourneyInvalid, review
from schema.journey.model import KPIS
from schema.journey.target import TARGETED, Target
from schema.kpi import figure, measures, spoken, survival
from schema.kpi.bins import bin_of, percentile, seconds_of
from schema.kpi.catalog import CATALOG, GROUPS
from schema.kpi.figure import PARTS, STILL_OPEN, Figure, Of, Row, Seen, Shape, parts_of
from schema.kpi.measures import DIMS
from schema.lift import wilson
from schema.store import kpi_elsewhere, kpi_rows
from schema.store.kpi_figures import shape_of
from services.cli.kpi import _cell
from workers.decide.stays import survival_point
from workers.figures.targets import keeps, stream

if TYPE_CHECKING:
    from collections.abc import Mapping

HOUR, DAY = 3_600, 86_400
FIRST = date(2026, 11, 1)
SHAPE = Shape(
    won=frozenset({"customer"}),
    lost=frozenset({"lost"}),
    away=frozenset({"lost", "gone"}),
    ways={"win": frozenset({"talk"}), "lose": frozenset({"talk"}), "start": frozenset({"lead"})},
    surveys={"helped": "csat", "recommends": "nps"},
)


def seen(of: Of | None = None, **measured: list[tuple[str, int, Any]]) -> Seen:
    """What was counted on one day, each as (item, how many, durations or an amount); `__` in a name is a dot."""
    rows: dict[str, list[Row]] = {}
    for name, counted in measured.items():
        measure = name.replace("__", ".")
        for item, n, what in counted:
            sizes: dict[int, int] = {}
            for seconds in what if isinstance(what, list) else []:
                sizes[bin_of(seconds)] = sizes.get(bin_of(seconds), 0) + 1
            total = what if isinstance(what, Decimal) else Decimal(0)
            sizes = what if isinstance(what, dict) else sizes
            rows.setdefault(measure, []).append(Row(parts_of(measure, item), FIRST, n, total, sizes))
    return Seen(rows, SHAPE, lambda day: (FIRST - day).days * DAY + 10 * DAY, rows, rows, of)


def told(name: str, counted: Seen) -> dict[tuple[str, ...], Figure]:
    reckon = CATALOG[name].reckon
    assert reckon
    return {tuple(each.part.values()): each for each in reckon(counted)}


def one(name: str, counted: Seen) -> Figure:
    return told(name, counted)[()]


# -- stays that are not over -------------------------------------------------------------------------------------------

_lengths = st.dictionaries(st.integers(0, 60), st.integers(1, 5), max_size=8)


@given(_lengths, _lengths, st.sampled_from([0.1, 0.5, 0.9]))
def test_percentiles_with_open_stays_are_those_of_the_estimate_over_single_stays(
    ended: dict[int, int], still: dict[int, int], share: float
) -> None:
    spans = [(seconds_of(size), True) for size, number in ended.items() for _ in range(number)]
    spans += [(seconds_of(size), False) for size, number in still.items() for _ in range(number)]
    assert survival.percentiles(ended, still, (share,)) == ((survival_point(spans, share) if spans else None),)


@given(_lengths, _lengths)
def test_open_stays_never_make_it_shorter_and_without_any_it_is_the_plain_percentile(
    ended: dict[int, int], still: dict[int, int]
) -> None:
    (plain,), (median,) = (survival.percentiles(ended, rest, (0.5,)) for rest in ({}, still))
    assert plain == percentile(ended, 0.5)
    assert median is None or (plain is not None and median >= plain)


def test_a_state_where_most_still_wait_has_no_median_but_says_how_long_the_longest_waits() -> None:
    waiting = one(
        "time_in_state", seen(Of("state", "talk"), entered=[("talk", 5, 0)], left=[("talk>win>customer", 1, [HOUR])])
    )
    assert (waiting.value, waiting.reason, waiting.open, waiting.sample) == (None, STILL_OPEN, 4, 5)
    assert waiting.longest == pytest.approx(10 * DAY, rel=0.01)


# -- shares ------------------------------------------------------------------------------------------------------------


def test_conversion_and_drop_off_are_of_all_that_came_in_the_open_ones_included() -> None:
    counted: Mapping[str, Any] = {
        "entered": [("lead", 10, 0), ("talk", 8, 0)],
        "left": [(f"talk>{way}", n, []) for way, n in (("win>customer", 2), ("lose>lost", 3), ("leave>gone", 1))],
        "moved": [(f"talk>{way}", n, []) for way, n in (("win>customer", 4), ("lose>lost", 4), ("leave>gone", 2))],
    }
    counted["left"].append(("lead>start>talk", 8, []))
    counted["moved"].append(("lead>start>talk", 9, []))
    of = {name: seen(Of(*name), **counted) for name in [("state", "talk"), ("state", "lead"), ("transition", "win")]}
    went_on = one("conversion", of["state", "talk"])
    assert (went_on.numerator, went_on.denominator, went_on.open) == (2, 8, 2)
    assert (went_on.low, went_on.high) == wilson(2, 8)
    assert one("conversion", of["transition", "win"]).value == 2 / 8
    assert one("conversion", of["state", "lead"]).value == 8 / 10
    assert {key: each.value for key, each in told("conversion", seen(**counted)).items()} == {
        ("lead", "start", "talk"): 0.8,
        ("talk", "leave", "gone"): 1 / 8,
        ("talk", "lose", "lost"): 3 / 8,
        ("talk", "win", "customer"): 2 / 8,
    }
    assert one("drop_off", of["state", "talk"]).value == 4 / 8
    assert one("drop_off_snapshot", of["state", "talk"]).value == 6 / 10
    assert one("conversion_snapshot", of["state", "talk"]).value == 4 / 10
    assert one("conversion_snapshot", of["transition", "win"]).value == 4 / 10
    assert [
        one("win_rate", each).value for each in (seen(**counted), of["state", "talk"], of["transition", "win"])
    ] == [
        4 / 8,
        4 / 8,
        4 / 8,
    ]
    assert one("win_rate", of["state", "lead"]).reason == figure.NOTHING


def test_money_is_exact_and_of_two_currencies_never_added() -> None:
    counted = seen(
        purchased=[
            ("purchase>EUR", 3, Decimal("100.10")), ("renewal>EUR", 1, Decimal(50)), ("refund>EUR", 1, Decimal("0.10")),
            ("purchase>CHF", 1, Decimal(70)),
        ],
        won=[("", 3, [])],
    )  # fmt: skip
    assert {key: each.value for key, each in told("value", counted).items()} == {
        ("CHF",): Decimal(70),
        ("EUR",): Decimal("150.00"),
    }
    assert told("value", counted)["EUR",].sample == 4
    assert told("lifetime_value", counted)["EUR",].value == Decimal("50.00")
    assert told("average_sale", counted)["EUR",].value == Decimal("33.37")


def test_velocity_is_what_a_pipeline_brings_in_a_day() -> None:
    counted = seen(
        opportunity__opened=[("sales", 15, 0)],
        opportunity__reopened=[("sales", 1, 0)],
        opportunity__won=[("sales", 2, [10 * DAY, 10 * DAY])],
        opportunity__lost=[("sales>price", 6, 0), ("sales>other", 2, 0)],
        opportunity__amount=[("sales>won>EUR", 2, Decimal(2_000)), ("sales>lost>EUR", 8, Decimal(9_000))],
    )
    assert told("open_opportunities", counted)["sales",].value == 6
    assert told("velocity", counted)["sales", "EUR"].value == pytest.approx(Decimal(120), rel=Decimal("0.01"))
    assert {key: each.value for key, each in told("lost_reasons", counted).items()} == {
        ("sales", "price"): 6 / 8,
        ("sales", "other"): 2 / 8,
    }
    assert one("opportunity_win_rate", counted).value == 2 / 10


def test_retention_service_and_satisfaction_by_hand() -> None:
    counted = seen(
        contract__started=[("", 10, 0)],
        contract__renewed=[("", 3, 0)],
        contract__ended=[("", 1, 0), ("cancelled", 1, 0)],
        sla__hit=[("resolution", 9, 0)],
        sla__missed=[("resolution", 1, 0), ("first_response", 1, 0)],
        survey__sent=[("helped", 8, 0)],
        survey__answered=[("helped", 4, {5: 2, 4: 1, 1: 1}), ("recommends", 2, {10: 1, 3: 1})],
        first_response=[("lead", 1, [HOUR]), ("issue", 2, [2 * HOUR, 2 * HOUR])],
    )
    assert one("renewal_rate", counted).value == 3 / 4
    assert (one("churn_rate", counted).numerator, one("churn_rate", counted).denominator) == (1, 9)
    assert {key: each.value for key, each in told("sla_hit_rate", counted).items()} == {
        (): 9 / 11,
        ("first_response",): 0.0,
        ("resolution",): 0.9,
    }
    assert (one("csat", counted).value, one("nps", counted).value) == (3 / 4, 0.0)
    assert (one("csat", counted).numerator, one("nps", counted).numerator) == (3, 0)
    assert told("response_rate", counted)["helped",].value == 4 / 8
    assert one("first_response", counted).value == pytest.approx(HOUR, rel=0.01)
    assert told("ticket_first_response", counted).keys() == {(), ("issue",)}
    assert one("ticket_first_response", counted).sample == 2


def test_attribution_shares_wins_out_in_millionths() -> None:
    counted = seen(credit=[("first", 2, Decimal(2_000_000)), ("linear", 3, Decimal(500_000))])
    assert {key: each.value for key, each in told("attributed_wins", counted).items()} == {
        ("first",): 2,
        ("linear",): 0.5,
    }


# -- the catalogue -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CATALOG)
def test_every_kpi_says_what_it_is_and_of_nothing_divides_by_nothing(name: str) -> None:
    kpi = CATALOG[name]
    assert kpi.group in GROUPS
    assert kpi.definition.endswith(".")
    assert {*kpi.dims} <= {*DIMS}
    listed = measures.__doc__ or ""
    assert all(measure in listed for measure in (*kpi.reads, *kpi.reads_of, *kpi.ever))
    if kpi.reckon is None:
        assert name in kpi_elsewhere.READ
        return
    for of in (None, *(Of(kind, "x") for kind in kpi.of)):
        for each in kpi.reckon(seen(of)):
            assert (each.value is None) == (each.reason is not None)
            assert each.value in {None, 0}
        if kpi.single(of.kind if of else None) and of and kpi.unit in {"share", "seconds"} and kpi.parts != ("survey",):
            assert {tuple(each.part) for each in kpi.reckon(seen(of))} <= {()}


def test_what_journeys_can_name_is_in_the_catalogue_and_rows_are_of_what_is_there() -> None:
    assert {*KPIS} <= {*CATALOG}
    assert {*kpi_rows.SOURCES} <= {*CATALOG}
    assert all(measure in (measures.__doc__ or "") for measure in PARTS)


def test_the_shape_of_the_shipped_journey() -> None:
    shape = shape_of(default_journey())
    assert [set(shape.won), set(shape.lost)] == [{"customer"}, {"lost"}]
    assert shape.away == {"lost", "disqualified", "inactive"}
    assert shape.ways["renew"] == {"customer", "serviced", "additional_service", "feedback_provided"}


def test_the_examples_in_the_texts_are_true() -> None:
    for module in (survival, spoken, figure):
        assert doctest.testmod(module).failed == 0


# -- targets -----------------------------------------------------------------------------------------------------------

JOURNEY = """\
journey: t
people: {ana: {email: a@example.com}}
route: {pools: {all: {members: {ana: 1}}}}
lifecycle:
  lead: {to: {win: customer, lose: lost}}
  customer: {final: true, outcome: won}
  lost: {final: true, outcome: lost}
kpis:
  targets:
    it: {%s}
"""


@pytest.mark.parametrize(
    ("target", "value", "kept"),
    [
        ("kpi: win_rate, of: {transition: win}, at_least: 25%", 0.25, True),
        ("kpi: win_rate, of: {state: lead}, at_least: 25%", 0.2499, False),
        ("kpi: time_in_state, of: {state: lead}, at_most: 2d, percentile: 90", 172_800.5, False),
        ("kpi: value, at_least: 10000 EUR", Decimal("10000.00"), True),
        ("kpi: nps, at_least: -10.5", -10.5, True),
        ("kpi: arrivals, at_most: 100, over: 7d", 101, False),
    ],
)
def test_a_target_is_kept_or_missed_to_the_last_digit(target: str, value: float | Decimal, *, kept: bool) -> None:
    assert load(JOURNEY % target).kpis.targets["it"].bound.kept(value) is kept


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("kpi: win_rat, at_least: 25%", "there is no such KPI; did you mean win_rate?"),
        ("kpi: lost_reasons, at_least: 25%", "has several answers at once"),
        ("kpi: time_in_state, at_most: 2d", "can be asked with of: {state: …}"),
        ("kpi: win_rate, at_least: 2d", "win_rate is written as in 25%"),
        ("kpi: win_rate, at_least: many", "write 25%, 2d, 10000 EUR or a plain number"),
        ("kpi: win_rate", "give either `at_least` or `at_most`"),
        ("kpi: win_rate, at_least: 25%, percentile: 90", "only durations have a `percentile`"),
        ("kpi: win_rate, at_least: 25%, over: 12h", "whole days"),
        ("kpi: win_rate, at_least: 25%, over: 9999w", "ten years at most"),
        ("kpi: win_rate, at_least: 25%, of: {state: lead, transition: win}", "name one thing"),
        ("kpi: win_rate, at_least: 25%, of: {transition: wine}", "there is no transition wine; did you mean win?"),
        ("kpi: csat, at_least: 80%, of: {survey: helped}", "there is no survey helped; there are none"),
    ],
)
def test_a_target_that_cannot_be_meant_is_told_with_its_line(target: str, message: str) -> None:
    with pytest.raises(JourneyInvalid):
        load(JOURNEY % target)
    problems = [each for each in review(JOURNEY % target) if message in each.message]
    assert [each.line for each in problems] == [10]


def test_a_target_is_not_judged_on_too_little_and_never_before_anything_was_counted() -> None:
    rate = Target(kpi="win_rate", at_least="25%")
    many = Target(kpi="arrivals", at_least=100)
    fast = Target(kpi="time_in_state", of={"state": "lead"}, at_most="2d")
    open_ones = Figure({}, None, 40, longest=3.0 * DAY, reason=STILL_OPEN)
    assert rate.sample == 30
    assert keeps(rate, Figure({}, 0.1, 29), 0.1, begun=True) is None
    assert keeps(rate, Figure({}, 0.1, 30), 0.1, begun=True) is False
    assert keeps(many, Figure({}, 3, 3), 3, begun=False) is None
    assert keeps(many, Figure({}, 3, 3), 3, begun=True) is False
    assert keeps(fast, open_ones, None, begun=True) is False
    assert keeps(fast, Figure({}, None, 40, longest=1.0 * DAY, reason=STILL_OPEN), None, begun=True) is None
    assert len({stream(journey, name) for journey in ("a", "b") for name in ("x", "y")}) == 4


def test_every_kpi_that_can_have_a_target_has_one_answer() -> None:
    assert all(any(CATALOG[name].single(of) for of in (None, *CATALOG[name].of)) for name in TARGETED)
    assert timedelta(days=30) == Target(kpi="wins", at_least=1).over


# -- telling -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "-", "-1.2.3"])
def test_no_cell_of_a_csv_is_a_formula(text: str) -> None:
    assert _cell(text) == f"'{text}"


def test_numbers_stay_numbers_in_a_csv() -> None:
    assert [_cell(value) for value in (-1.5, "-12.50", "12", None, "state>a", 0)] == [
        -1.5,
        "-12.50",
        "12",
        None,
        "state>a",
        0,
    ]
