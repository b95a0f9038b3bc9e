"""A ticket's clocks against a count of minutes by hand: calendars, zones, pauses, late timers, and a whole life."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from schema import sla
from schema.journey.service import Sla
from schema.sla import Clock, Pause, Rule
from tests.unit.test_hours import DAYS, SPANS, calendar, changes, on_the_wall
from workers.decide.clock import Entry, Life, Passed, Ticket

MINUTE: Final = timedelta(minutes=1)
MONDAY: Final = datetime(2026, 11, 16, 9, 0, tzinfo=UTC)
BERLIN: Final = ZoneInfo("Europe/Berlin")
OFFICE: Final = {day: [("09:00", "12:00"), ("13:00", "17:00")] for day in DAYS[:5]}
POLICIES: Final = {
    "urgent": Sla.model_validate(
        {"first_response": "20m", "next_response": "30m", "resolution": "120m", "at_risk": 75,
         "escalate": [{"at": 50}, {"at": 150, "to": "eva", "assign": True}]}
    ),
    "usual": Sla.model_validate(
        {"first_response": "60m", "resolution": "600m", "pauses": ["waiting", "on_hold"],
         "escalate": [{"at": 100, "to": "eva"}, {"at": 200}]}
    ),
}  # fmt: skip
"""`urgent` counts day and night, `usual` the hours of an office in Berlin."""


def rules(_version: str, policy: str, desk: str | None) -> Rule:
    hours = calendar("Europe/Berlin", OFFICE, set()) if policy == "usual" else None
    return Rule("v", policy, desk, POLICIES[policy], hours, "policy")


def works(policy: str, at: datetime) -> bool:
    return policy == "urgent" or on_the_wall(OFFICE, set(), at.astimezone(BERLIN))


class Desk:
    """A ticket driven by hand: what happens to it, with the clock on the wall; kept and read anew each time."""

    def __init__(self, policy: str = "urgent", at: datetime = MONDAY) -> None:
        self.now = self.opened_at = self.since = at
        self.status, self.policy, self.answered = "new", policy, False
        self.kept: tuple[list[Clock], list[Pause]] = [], []
        self.told: list[Passed] = []
        self.happens("opened")

    def happens(
        self, *kinds: str, at: datetime | None = None, machine: bool = False, status: str = "", policy: str = ""
    ) -> None:
        entries = [Entry(kind, at or self.now, machine) for kind in kinds]
        if status:
            self.status, self.since = status, self.now
        self.policy = policy or self.policy
        self.answered = self.answered or ("message_out" in kinds and not machine)
        ticket = Ticket(self.status, self.since, self.opened_at, self.answered)
        life = Life(rules, *self.kept)
        self.told += life.follow(
            ticket,
            entries,
            rules("v", self.policy, None) if self.policy in POLICIES else None,
            self.now,
            chosen=bool(policy),
        )
        self.kept = list(life.clocks.values()), life.pauses
        self.next = life.next_moment()

    def passes(self, minutes: int, *, look: bool = False) -> None:
        self.now += minutes * MINUTE
        if look:
            self.happens()

    def clock(self, metric: str) -> Clock:
        return [clock for clock in self.kept[0] if clock.metric == metric][-1]

    def states(self) -> dict[tuple[str, int], str]:
        return {(clock.metric, clock.cycle): clock.state for clock in self.kept[0]}


# -- arithmetic --------------------------------------------------------------------------------------------------------

WEEKS = st.dictionaries(st.sampled_from(DAYS), SPANS, min_size=4, max_size=7)
ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
STAYS = st.lists(
    st.tuples(st.integers(1, 900), st.integers(0, 900), st.sampled_from(["waiting", "on_hold", "resolved"])), max_size=5
)


@cache
def days(zone: str) -> list[datetime]:
    """The days before a zone's clocks are changed, and another one."""
    return [*(day - timedelta(days=1) for day in changes(zone, 2026)), MONDAY]


class Span(NamedTuple):
    start: datetime
    pauses: list[Pause]
    rule: Rule
    counted: list[datetime]
    """The minutes that count, of four days, by looking at the clock on the wall for each."""


@st.composite
def counted(draw: st.DrawFn) -> Span:
    zone, week = draw(ZONES), draw(WEEKS)
    start = draw(st.sampled_from(days(zone))) + draw(st.integers(0, 3000)) * MINUTE
    holidays = {start.date() + timedelta(days=draw(st.integers(0, 3)))} if draw(st.booleans()) else set[date]()
    pausing = draw(st.sampled_from([(), ("waiting",), ("waiting", "on_hold")]))
    pauses: list[Pause] = []
    at = start
    for after, long, status in draw(STAYS):
        begins = at + after * MINUTE
        at = begins + long * MINUTE
        pauses.append(Pause(begins, at, status))
    if pauses and draw(st.sampled_from([True, False])):
        pauses[-1] = pauses[-1]._replace(to_at=None)
    policy = Sla.model_validate({"resolution": "1h", "pauses": pausing})
    by = Rule("v", "p", None, policy, calendar(zone, week, holidays), "policy")
    tz, stops = ZoneInfo(zone), {*pausing, "resolved"}
    minutes = [
        at
        for at in (start + number * MINUTE for number in range(4 * 1440))
        if not any(p.status in stops and p.from_at <= at and (p.to_at is None or at < p.to_at) for p in pauses)
        and on_the_wall(week, holidays, at.astimezone(tz))
    ]
    return Span(start, pauses, by, minutes)


@settings(max_examples=25, deadline=None)
@given(counted(), st.integers(0, 4 * 1440), st.integers(1, 2000))
def test_the_time_of_a_clock_is_the_count_of_its_minutes(span: Span, until: int, target: int) -> None:
    end = span.start + until * MINUTE
    assert sla.over(span.start, span.pauses, span.rule, end) == sum(at < end for at in span.counted) * MINUTE
    found = sla.moment(span.start, span.pauses, span.rule, target * MINUTE)
    if target <= len(span.counted):
        assert found == span.counted[target - 1] + MINUTE
    else:
        assert found is None or found > span.start + 4 * 1440 * MINUTE


@settings(max_examples=15, deadline=None)
@given(counted(), st.integers(1, 300), st.integers(1, 1000))
def test_a_threshold_is_passed_from_its_moment_on_and_not_before(span: Span, target: int, percent: int) -> None:
    needed = sla.share(target * 60, percent)
    at = sla.moment(span.start, span.pauses, span.rule, needed)
    if at is not None:
        assert sla.over(span.start, span.pauses, span.rule, at) == needed
        assert sla.over(span.start, span.pauses, span.rule, at - timedelta(microseconds=1)) < needed


# -- a life ------------------------------------------------------------------------------------------------------------

THINGS = st.sampled_from(
    [
        {"kinds": ["message_in"]}, {"kinds": ["message_out"]}, {"kinds": ["note"]},
        {"kinds": ["message_out"], "machine": True}, {"kinds": ["message_in"], "machine": True},
        {"status": "waiting"}, {"status": "on_hold"}, {"status": "open"}, {"status": "resolved"},
        {"kinds": ["message_out"], "status": "waiting"}, {"kinds": ["message_in"], "status": "open"},
        {"policy": "urgent"}, {"policy": "usual"},
    ]
)  # fmt: skip
COURSES = st.lists(st.tuples(st.integers(0, 400), THINGS, st.lists(st.integers(1, 400), max_size=3)), max_size=8)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(POLICIES)), COURSES, st.integers(0, 3000))
def test_however_late_timers_are_everything_is_told_once_and_ends_the_same(
    policy: str, course: list[tuple[int, dict[str, Any], list[int]]], rest: int
) -> None:
    late, at_times, punctual = Desk(policy), Desk(policy), Desk(policy)
    for minutes, thing, looks in [*course, (rest, {}, [1, 2])]:
        end = late.now + minutes * MINUTE
        for offset in sorted(look for look in looks if look < minutes):
            at_times.now = end - (minutes - offset) * MINUTE
            at_times.happens()
        while punctual.next is not None and punctual.next <= end:
            punctual.now = punctual.next
            punctual.happens()
        for desk in (late, at_times, punctual):
            desk.now = end
            desk.happens(*thing.get("kinds", ()), **{name: thing[name] for name in thing if name != "kinds"})
    assert late.kept == at_times.kept == punctual.kept
    assert late.next == at_times.next == punctual.next
    told = [[(one.clock.metric, one.clock.cycle, one.percent, one.at) for one in desk.told]
            for desk in (late, at_times, punctual)]  # fmt: skip
    assert sorted(told[0]) == sorted(told[1]) == sorted(told[2])
    assert [one[:3] for one in sorted(told[2])] == sorted({one[:3] for one in told[2]})
    if not any("policy" in thing for _, thing, _ in course):  # another one may have been exceeded long ago
        assert [one.at for one in late.told] == sorted(one.at for one in late.told)


class Naive(NamedTuple):
    """A clock as somebody keeps it who looks at it every minute."""

    metric: str
    cycle: int
    policy: str
    start: int
    state: str = "active"
    told: frozenset[int] = frozenset()
    stopped: int | None = None
    worked: int | None = None


class LifeOfATicket(RuleBasedStateMachine):
    """The same ticket twice: as we keep it, looked at when something happens, and minute by minute."""

    @initialize(policy=st.sampled_from(sorted(POLICIES)), minute=st.integers(0, 10_000))
    def opens(self, policy: str, minute: int) -> None:
        self.start = MONDAY + minute * MINUTE
        self.desk = Desk(policy, self.start)
        self.counted = {policy: [0] for policy in POLICIES}
        self.status, self.policy = "new", policy
        self.clocks: list[Naive] = []
        self.begin("first_response")
        self.begin("resolution")

    # as it is counted by hand

    def count(self, clock: Naive) -> int:
        return self.counted[clock.policy][-1] - self.counted[clock.policy][clock.start]

    @property
    def minute(self) -> int:
        return len(self.counted["usual"]) - 1

    def tick(self) -> None:
        at = self.start + self.minute * MINUTE
        for policy, counted in self.counted.items():
            goes = self.status not in {*POLICIES[policy].pauses, "resolved"} and works(policy, at)
            counted.append(counted[-1] + goes)
        for clock in self.running():
            self.reach(clock)

    def target(self, clock: Naive) -> int:
        time = getattr(POLICIES[clock.policy], clock.metric)
        assert isinstance(time, timedelta)
        return time // MINUTE

    def running(self, *metrics: str) -> list[Naive]:
        return [clock for clock in self.clocks if clock.stopped is None and (not metrics or clock.metric in metrics)]

    def begin(self, metric: str, start: int | None = None, told: frozenset[int] = frozenset()) -> None:
        earlier = [clock for clock in self.clocks if clock.metric == metric]
        if getattr(POLICIES[self.policy], metric) is not None and not self.running(metric):
            at = self.minute if start is None else start
            self.put(Naive(metric, len(earlier) + 1, self.policy, at, told=told))

    def put(self, clock: Naive) -> None:
        self.clocks = [one for one in self.clocks if one[:2] != clock[:2]] + [clock]
        if clock.stopped is None:
            self.reach(clock)

    def reach(self, clock: Naive) -> None:
        over, sla_ = self.count(clock) * 100, POLICIES[clock.policy]
        known = {sla_.at_risk, 100} | {one.at for one in sla_.escalate}
        told = clock.told | {percent for percent in known if over >= percent * self.target(clock)}
        state = clock.state
        if over >= sla_.at_risk * self.target(clock) and state == "active":
            state = "at_risk"
        if over >= 100 * self.target(clock):
            state = "breached"
        if (told, state) != (clock.told, clock.state):
            self.put(clock._replace(told=told, state=state))

    def stop(self, clock: Naive, end: str) -> None:
        worked = self.count(clock)
        state = "missed" if worked >= self.target(clock) else end
        self.put(clock._replace(state=state, stopped=self.minute, worked=worked * 60))

    # what happens

    @rule(minutes=st.integers(1, 250), look=st.booleans())
    def time_passes(self, minutes: int, look: bool) -> None:  # noqa: FBT001 - drawn
        for _ in range(minutes):
            self.tick()
        self.desk.passes(minutes, look=look)

    @rule(machine=st.booleans())
    def the_customer_writes(self, machine: bool) -> None:  # noqa: FBT001 - drawn
        if not machine and not self.running("first_response", "next_response"):
            self.begin("next_response")
        self.desk.happens("message_in", machine=machine)

    @rule(machine=st.booleans())
    def we_answer(self, machine: bool) -> None:  # noqa: FBT001 - drawn
        if not machine:
            for clock in self.running("first_response", "next_response"):
                self.stop(clock, "hit")
        self.desk.happens("message_out", machine=machine)

    @rule()
    def somebody_makes_a_note(self) -> None:
        self.desk.happens("note")

    @rule(status=st.sampled_from(["open", "waiting", "on_hold"]))
    def it_goes_on(self, status: str) -> None:
        reopened, self.status = self.status == "resolved", status
        if reopened:
            told = [clock.told for clock in self.clocks if clock.metric == "resolution"][-1:]
            self.begin("resolution", 0, *told)
        self.desk.happens(status=status)

    @precondition(lambda self: self.status != "resolved")
    @rule()
    def it_is_resolved(self) -> None:
        for clock in self.running():
            self.stop(clock, "hit" if clock.metric == "resolution" else "cancelled")
        self.status = "resolved"
        self.desk.happens(status="resolved")

    @rule(policy=st.sampled_from(sorted(POLICIES)))
    def it_has_another_priority(self, policy: str) -> None:
        self.policy = policy
        for clock in self.running():
            if clock.state == "breached":
                continue
            if getattr(POLICIES[policy], clock.metric) is None:
                self.stop(clock, "cancelled")
            else:
                self.put(clock._replace(policy=policy))
        self.desk.happens("changed", policy=policy)

    # what is so

    @invariant()
    def both_say_the_same(self) -> None:
        self.desk.happens()
        kept = {(clock.metric, clock.cycle): clock for clock in self.desk.kept[0]}
        by_hand = {clock[:2]: clock for clock in self.clocks}
        assert kept.keys() == by_hand.keys()
        for place, clock in by_hand.items():
            ours = kept[place]
            stopped = None if ours.stopped_at is None else (ours.stopped_at - self.start) // MINUTE
            assert (ours.policy, ours.state, frozenset(ours.told), stopped, ours.worked_s) == (
                clock.policy, clock.state, clock.told, clock.stopped, clock.worked,
            )  # fmt: skip
            if clock.stopped is None:
                stands = self.status in {*POLICIES[clock.policy].pauses, "resolved"}
                assert (ours.due_at is None) == (stands and clock.state != "breached")


LifeOfATicket.TestCase.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
TestLifeOfATicket = LifeOfATicket.TestCase


# -- in words ----------------------------------------------------------------------------------------------------------


def test_a_pause_keeps_the_time_that_is_left_and_not_the_time_of_day() -> None:
    desk = Desk("usual", datetime(2026, 11, 20, 15, 30, tzinfo=UTC))  # Friday 16:30 in Berlin, half an hour before six
    assert desk.clock("first_response").due_at == datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
    desk.passes(10)
    desk.happens(status="waiting")
    assert [clock.due_at for clock in desk.kept[0]] == [None, None]
    assert desk.next is None
    desk.now = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)  # Monday noon: lunch until 13:00
    desk.happens(status="open")
    assert desk.clock("first_response").due_at == datetime(2026, 11, 23, 12, 50, tzinfo=UTC)


def test_neither_a_note_nor_an_automatic_answer_is_a_response_and_a_second_message_starts_nothing_anew() -> None:
    desk = Desk()
    desk.happens("note", "message_out", machine=True)
    assert desk.clock("first_response").running
    desk.happens("message_out")
    desk.passes(5)
    desk.happens("message_in")
    due = desk.clock("next_response").due_at
    desk.passes(5)
    desk.happens("message_in")
    assert due == desk.clock("next_response").due_at == MONDAY + 35 * MINUTE
    assert desk.states() == {
        ("first_response", 1): "hit", ("resolution", 1): "active", ("next_response", 1): "active",
    }  # fmt: skip


def test_a_ticket_that_is_reopened_goes_on_with_the_time_that_was_left_and_needs_no_first_answer() -> None:
    desk = Desk()
    desk.passes(100)
    desk.happens("message_out", status="resolved")
    desk.passes(5000)
    desk.happens("message_in", status="open")
    again = desk.clock("resolution")
    assert (again.cycle, again.state, again.due_at) == (2, "at_risk", desk.now + 20 * MINUTE)
    assert desk.states()["first_response", 1] == "missed"
    assert [one.percent for one in desk.told if one.clock.metric == "resolution"] == [50, 75]


def test_an_answer_that_is_told_of_later_counts_from_when_it_was_given() -> None:
    desk = Desk()
    desk.passes(40, look=True)
    assert desk.clock("first_response").state == "breached"
    desk.happens("message_out", at=MONDAY + 15 * MINUTE)
    first = desk.clock("first_response")
    assert (first.state, first.worked_s) == ("hit", 15 * 60)


def test_after_a_day_without_timers_what_was_passed_is_told_in_its_order() -> None:
    desk = Desk()
    desk.passes(1440, look=True)
    assert [(one.percent, one.clock.metric, one.state) for one in desk.told] == [
        (50, "first_response", None), (75, "first_response", "at_risk"), (100, "first_response", "breached"),
        (150, "first_response", None), (50, "resolution", None), (75, "resolution", "at_risk"),
        (100, "resolution", "breached"), (150, "resolution", None),
    ]  # fmt: skip
    assert [one.escalations[0].to for one in desk.told if one.escalations] == ["owner", "eva"] * 2
    desk.passes(1440, look=True)
    assert (len(desk.told), desk.next) == (8, None)


def test_a_promise_that_was_broken_stays_broken_whatever_the_ticket_becomes() -> None:
    desk = Desk()
    desk.passes(30, look=True)
    desk.happens("changed", policy="usual")
    first, resolution = desk.clock("first_response"), desk.clock("resolution")
    assert (first.policy, first.state) == ("urgent", "breached")
    assert (resolution.policy, resolution.target_s) == ("usual", 600 * 60)
    desk.happens("message_out")
    assert desk.clock("first_response").state == "missed"


def test_what_nobody_had_promised_before_counts_from_when_it_is_and_what_was_dropped_from_where_it_began() -> None:
    desk = Desk("none")
    assert not desk.states()
    desk.passes(100)
    desk.happens("changed", policy="urgent")
    assert {clock.due_at for clock in desk.kept[0]} == {desk.now + 20 * MINUTE, desk.now + 120 * MINUTE}
    desk.passes(5)
    desk.happens("changed", policy="none")
    assert set(desk.states().values()) == {"cancelled"}
    desk.passes(5)
    desk.happens("changed", policy="urgent")
    assert desk.clock("first_response").due_at == desk.now + 10 * MINUTE


def test_a_ticket_that_was_resolved_for_a_moment_needs_no_first_answer_either() -> None:
    desk = Desk()
    desk.happens(status="resolved")
    desk.happens(status="waiting")
    desk.happens("changed", policy="urgent")
    assert desk.states() == {
        ("first_response", 1): "cancelled", ("resolution", 1): "hit", ("resolution", 2): "active",
    }  # fmt: skip
