"""
Laws of the lifecycle, on journeys nobody would write: whatever comes in, whoever asks, however late it is looked at.

Every move is one of the journey, each follows where the last one led, automation never goes back within a run, time is
only waited for while it is ahead, and being too long in a state is told once for each stay.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schema import lifecycle
from schema.errors import Permanent
from schema.facts import Facts, Touch
from schema.journey import Journey
from workers.decide.advance import Advance, next_moves
from workers.decide.qualify import judge

START = datetime(2026, 1, 1, tzinfo=UTC)
STATES = ["a", "b", "c", "d"]
NAMES = ["t1", "t2", "t3", "t4", "t5"]
KINDS = ["form", "purchase", "reply"]
GUARDS = [
    'qualification.outcome == "disqualified"',
    "qualification.passed",
    '"purchase" in touchpoint.kinds',
    "touchpoint.count > 2",
    "company.employees >= 50",
    "company.employees < 50",
]
durations = st.sampled_from(["1h", "1d", "3d", "30d"])


@st.composite
def transitions(draw: st.DrawFn) -> dict[str, Any]:
    """Any transition: automatic with a guard or a time or both, a way back from a no, or one that is asked for."""
    trigger = draw(st.sampled_from(["automatic", "automatic", "requalify", "manual"]))
    told: dict[str, Any] = {"trigger": trigger}
    if trigger == "automatic":
        told |= draw(st.sampled_from([{"when": guard} for guard in GUARDS] + [{}]))
        if "when" not in told or draw(st.booleans()):
            told["after"] = draw(durations)
    elif draw(st.booleans()):
        told["when"] = draw(st.sampled_from(GUARDS))
    return told


@st.composite
def journeys(draw: st.DrawFn) -> Journey:
    """A journey that has never been checked: circles, ways out of final states, two ways of one mind."""
    states = {
        name: {
            "final": draw(st.booleans()),
            "to": draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(STATES))),
        }
        | ({"sla": draw(durations)} if draw(st.booleans()) else {})
        for name in STATES
    }
    again = st.one_of(
        st.sampled_from(["never", "news"]),
        durations,
        st.builds(lambda after: {"news": True, "after": after, "most": 2}, durations),
    )
    small = {"name": "big", "require": "company.employees >= 50", "reason": "small"}
    small |= draw(st.sampled_from([{}, {"within": "1d"}, {"within": "3d", "otherwise": "pass"}, {"unknown": "fail"}]))
    return Journey.model_validate(
        {
            "journey": "any",
            "people": {"ana": {"email": "ana@example.com"}},
            "qualify": [small],
            "requalify": draw(st.dictionaries(st.sampled_from(["small", "otherwise"]), again)),
            "route": {"pools": {"all": {"members": {"ana": 1}}}},
            "lifecycle": states,
            "transitions": draw(st.fixed_dictionaries({name: transitions() for name in NAMES})),
        }
    )


@dataclass
class Life:
    """One lead as the steps carry it: what they would record, and when they want to look again."""

    journey: Journey
    facts: Facts
    now: datetime = START
    path: list[tuple[str, str, str]] = field(default_factory=list)
    runs: list[list[str]] = field(default_factory=list)
    told_late: list[tuple[str, datetime | None]] = field(default_factory=list)
    waits: dict[str, datetime] = field(default_factory=dict)

    def run(self) -> None:
        """Judge and advance, and again where the lead comes back from a no."""
        found = judge(self.facts, self.journey, self.now)
        self.facts.know(qualification=found.facts())
        self._wait("qualify", found.look_again)
        while self._advance().comes_back:
            pass
        self.facts.touchpoints = [
            Touch(touch.kind, touch.occurred_at, touch.id, new=False) for touch in self.facts.touchpoints
        ]
        self.facts._view = None  # noqa: SLF001 - as for a lead that is read anew

    def _advance(self) -> Advance:
        found = next_moves(self.facts, self.journey, self.now)
        self.runs.append([self.facts.state, *(move.to_state for move in found.moves)])
        for move in found.moves:
            self.moved(move.name, move.from_state, move.to_state)
            self.facts.recycled += move.trigger == "requalify"
        if found.overdue:
            self.facts.overdue = True
            self.told_late.append((self.facts.state, self.facts.entered_at))
        self._wait("advance", found.look_again)
        return found

    def moved(self, name: str, from_state: str, to_state: str) -> None:
        self.path.append((from_state, name, to_state))
        self.facts.state, self.facts.entered_at, self.facts.overdue = to_state, self.now, False

    def asked(self, name: str) -> None:
        """Somebody asks for a move."""
        try:
            target = lifecycle.move(self.journey, self.facts.state, name)
            lifecycle.guard(self.journey, name, self.facts)
        except Permanent:
            return
        self.moved(name, self.facts.state, target)
        self.run()

    def comes(self, kind: str) -> None:
        """Something comes in."""
        self.facts.touchpoints.append(Touch(kind, self.now, str(len(self.facts.touchpoints))))
        self.facts._view = None  # noqa: SLF001
        self.run()

    def woken(self, late: timedelta) -> None:
        """A wait is over; it is noticed late."""
        if self.waits:
            self.now = min(self.waits.values()) + late
            self.run()

    def _wait(self, step: str, at: datetime | None) -> None:
        self.waits.pop(step, None)
        if at is not None:
            assert at > self.now, "what is over is not waited for"
            self.waits[step] = at


actions = st.lists(
    st.one_of(
        st.tuples(st.just("comes"), st.sampled_from(KINDS)),
        st.tuples(st.just("asked"), st.sampled_from([*NAMES, "nothing"])),
        st.tuples(st.just("woken"), st.sampled_from([timedelta(), timedelta(days=3)])),
        st.tuples(st.just("passes"), st.integers(1, 100).map(lambda hours: timedelta(hours=hours))),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(journeys(), st.sampled_from([{}, {"employees": 5}, {"employees": 80}]), actions)
def test_no_state_is_reached_against_the_journey(
    journey: Journey, company: dict[str, Any], story: list[tuple[str, Any]]
) -> None:
    life = Life(journey, Facts("l", "website", "form", journey.initial, company=company, entered_at=START))
    life.run()
    for action, what in story:
        if action == "passes":
            life.now += what
        else:
            getattr(life, action)(what)

    assert {*life.path} <= journey.moves
    assert all(before[2] == after[0] for before, after in pairwise(life.path))
    assert [journey.initial, *(to for _, _, to in life.path)][-1] == life.facts.state
    for run in life.runs:
        assert len(set(run)) == len(run)
    assert len(set(life.told_late)) == len(life.told_late)


@settings(max_examples=200, deadline=None)
@given(journeys(), st.sampled_from([{}, {"employees": 5}, {"employees": 80}]), st.integers(1, 5))
def test_automation_leaves_final_states_only_for_a_second_look_and_only_so_often(
    journey: Journey, company: dict[str, Any], arrivals: int
) -> None:
    life = Life(journey, Facts("l", "website", "form", journey.initial, company=company, entered_at=START))
    for _ in range(arrivals):
        life.comes("form")
        for _ in range(4):
            life.woken(timedelta())

    for start, name, _ in life.path:
        assert not journey.lifecycle[start].final or journey.transition(name).trigger == "requalify"
    most = max((again.most for again in journey.requalify.values()), default=0)
    assert life.facts.recycled <= most


@settings(max_examples=200, deadline=None)
@given(journeys(), st.sampled_from([{}, {"employees": 5}]), st.sampled_from(KINDS), st.integers(0, 60))
def test_the_same_lead_at_the_same_moment_is_decided_the_same(
    journey: Journey, company: dict[str, Any], kind: str, days: int
) -> None:
    told = []
    for _ in range(2):
        facts = Facts("l", "website", "form", journey.initial, company=dict(company), entered_at=START)
        facts.touchpoints = [Touch(kind, START, "1")]
        now = START + timedelta(days=days)
        found = judge(facts, journey, now)
        facts.know(qualification=found.facts())
        told.append((found.explain(), next_moves(facts, journey, now).explain()))
    assert told[0] == told[1]
