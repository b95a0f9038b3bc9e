"""Clicks of security scanners: they stay in the record and make no lead warmer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from schema.facts import Facts, Touch
from schema.journey import default_journey, load
from schema.store.why import told
from workers.decide.score import Score, warmth

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SENT = NOW - timedelta(hours=3)
JOURNEY = load("""\
journey: scoring
people: {ana: {email: ana@example.com}}
score:
  engagement: {on: {email.click: 9, email.open: 4, form: 20, visit: {points: 5, max: 2, per: 1d}}}
route: {pools: {everybody: {members: {ana: 1}}}}
lifecycle: {lead: {final: true}}
""")


def after(seconds: float, kind: str = "email.click", *, machine: bool = False) -> Touch:
    return Touch(kind, SENT + timedelta(seconds=seconds), f"{kind}-{seconds}", machine=machine)


def score(*touches: Touch) -> Score:
    return warmth(Facts("l1", "website", "form", "lead", touchpoints=list(touches)), JOURNEY, NOW)


def uncounted(*touches: Touch) -> list[tuple[str, str, int]]:
    return [(found.rule, found.why, found.touchpoints) for found in score(*touches).uncounted]


def test_many_clicks_within_seconds_give_nothing_and_are_named() -> None:
    burst = [after(60 + n / 4) for n in range(12)]
    assert score(*burst).total == 0
    assert uncounted(*burst) == [("email.click", "burst", 12)]
    words = told({"step": "score", "outcome": "scored", "reason": None, "explanation": score(*burst).explain()})
    assert "Not counted: 12 email.click within 2.8 s look like a scanner's." in words["why_not"]


def test_a_click_between_two_bursts_is_a_persons() -> None:
    bursts = [after(start + n / 4) for start in (60, 600) for n in range(4)]
    found = score(*bursts, after(300))
    assert found.engagement == 9
    words = told({"step": "score", "outcome": "scored", "reason": None, "explanation": found.explain()})
    assert "Not counted: 8 email.click in 2 bursts, each within 0.8 s look like a scanner's." in words["why_not"]


def test_two_clicks_of_a_person_count() -> None:
    assert score(after(60), after(64)).engagement == 18
    assert score(after(60), after(75), after(90)).engagement == 27


def test_a_click_sooner_than_anybody_reads_gives_nothing() -> None:
    sent = after(0, "email.sent")
    assert score(sent, after(1.9)).engagement == 0
    assert uncounted(sent, after(1.9)) == [("email.click", "after_send", 1)]
    assert score(sent, after(2)).engagement == 9
    assert score(after(1.9)).engagement == 9


def test_a_click_that_its_sender_calls_a_machines_gives_nothing() -> None:
    assert uncounted(after(60, machine=True)) == [("email.click", "flagged", 1)]
    assert score(after(60, machine=True), after(61, machine=True), after(62)).engagement == 9


def test_what_is_no_click_is_never_a_machines() -> None:
    forms = [after(60 + n, "form", machine=True) for n in range(3)]
    assert score(*forms).engagement == 60


def test_more_than_a_rule_counts_is_named_too() -> None:
    assert uncounted(*(after(60 * n, "visit") for n in range(5))) == [("visit", "limit", 3)]


PEOPLE = st.lists(
    st.builds(
        after, st.integers(0, 9_000).map(lambda n: n * 1.0), st.sampled_from(["email.click", "email.open", "form"])
    ),
    max_size=6,
    unique_by=lambda touch: touch.id,
)


@settings(max_examples=150, deadline=None)
@given(PEOPLE, st.lists(st.floats(0, 9_000, allow_nan=False), max_size=6, unique=True))
def test_what_is_called_a_machines_changes_no_score(people: list[Touch], clicks: list[float]) -> None:
    flagged = [after(seconds + 0.0001, machine=True) for seconds in clicks]
    assert score(*people, *flagged).parts == score(*people).parts


@settings(max_examples=150, deadline=None)
@given(PEOPLE, st.integers(3, 12), st.floats(0.0, 0.5))
def test_a_burst_of_its_own_changes_no_score(people: list[Touch], size: int, apart: float) -> None:
    burst = [after(9_100 + n * apart + n * 0.001, ("email.click", "email.open")[n % 2]) for n in range(size)]
    assert score(*people, *burst).parts == score(*people).parts


@settings(max_examples=150, deadline=None)
@given(PEOPLE, st.integers(3, 12), st.integers(0, 9_000))
def test_a_burst_amid_other_clicks_never_makes_a_lead_warmer(people: list[Touch], size: int, start: int) -> None:
    burst = [after(start + 0.01 + n * 0.1) for n in range(size)]
    assert score(*people, *burst).total <= score(*people).total


def test_a_burst_of_a_scanner_moves_no_lead_of_the_shipped_journey() -> None:
    form = Touch("form", NOW - timedelta(days=1), "form")
    burst = [after(1 + n / 4) for n in range(40)]
    facts = Facts("l1", "website", "form", "lead", touchpoints=[form, after(0, "email.sent"), *burst])
    alone = Facts("l1", "website", "form", "lead", touchpoints=[form])
    found = warmth(facts, default_journey(), NOW)
    assert found.facts() == warmth(alone, default_journey(), NOW).facts()
    assert found.total < 45
