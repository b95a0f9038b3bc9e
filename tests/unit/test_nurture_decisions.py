"""Who enters a campaign, how they go through it and when they are out, over months that take no time."""

from __future__ import annotations

import zoneinfo
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.facts import Facts, Touch
from schema.journey import Journey, load
from schema.journey.load import load_stored
from schema.quiet import whereabouts, window
from workers.decide.nurture import (
    Enrolled,
    Entry,
    News,
    Past,
    Sent,
    StepDone,
    Walk,
    assigned,
    enters,
    held_out,
    next_entry,
    span,
    still,
    walk,
)

HEAD = """\
journey: small
people: {ana: {email: ana@example.com}}
route: {pools: {everybody: {members: {ana: 1}}}}
lifecycle:
  lead: {to: {sell: customer, drop: out}}
  customer: {final: true}
  out: {final: true}
mail: {sender: Ana <ana@example.com>, postal: Here 1, hours: {mon-fri: '09:00-18:00'}, assume: Europe/Berlin}
templates:
  one: {subject: One, text: One}
  two: {subject: Two, text: Two}
  three: {subject: Three, text: Three}
campaigns:
"""
START = datetime(2026, 1, 5, 10, tzinfo=UTC)
DAY = timedelta(days=1)
PERSON = str(UUID(int=7))


def journey(campaigns: str) -> Journey:
    return load(HEAD + "".join(f"  {line}\n" for line in campaigns.strip("\n").splitlines()))


def lead(**more: Any) -> Facts:  # noqa: ANN401 - any field of the facts
    return Facts("l1", "website", "form", **{"state": "lead", "person": {"id": PERSON}, **more})


QUARTER = journey("""
long_run:
  enter: [{state: lead}]
  exit: [{event: purchase, reason: bought}, {when: state == "out", reason: dropped}]
  goal: {when: state == "customer", within: 90d}
  steps:
    - wait: 10d
    - send: one
    - wait_until: '"email.click" in touchpoint.kinds'
      timeout: 20d
      otherwise: quiet
    - follow_up: {text: They clicked., within: 2d}
    - go: last
    - {name: quiet, set: {nurture: quiet}}
    - send: two
    - branch: [{when: person.custom.nurture == "loud", go: last}]
    - notify: still_quiet
    - {name: last, wait: 30d}
    - send: three
""")


@dataclass
class World:
    """One person in one campaign: the decisions are played with a clock that jumps from one due moment to the next."""

    journey: Journey
    facts: Facts
    now: datetime = START
    enrolled: Enrolled | None = None
    sent: dict[str, Sent] = field(default_factory=dict)
    steps: list[tuple[datetime, StepDone]] = field(default_factory=list)
    mails: list[tuple[datetime, str]] = field(default_factory=list)
    last: Walk | None = None
    refuse: dict[str, str] = field(default_factory=dict)
    """Reasons for which a template is not sent."""
    looks: int = 0

    def enter(self, campaign: str | None = None, *, holdout: bool = False) -> World:
        name = campaign or next(iter(self.journey.campaigns))
        first = self.journey.campaigns[name].names[0]
        self.enrolled = Enrolled(name, PERSON, self.now, first, self.now, self.now, holdout=holdout)
        self.look()
        return self

    def look(self) -> Walk:
        """What the worker does when the enrolment is due, or something has happened."""
        assert self.enrolled
        self.looks += 1
        found = walk(self.enrolled, self.facts, self.journey, self.now, self.sent)
        self.last = found
        self.steps += [(self.now, step) for step in found.done]
        self.enrolled = msgspec.structs.replace(
            self.enrolled,
            step=found.step,
            since=found.since,
            listens_since=found.listens_since,
            number=self.enrolled.number + len(found.done),
            arms=found.arms,
        )
        if found.sets:
            custom = {**self.facts.person.get("custom", {}), **found.sets}
            self.facts = lead(**{**_fields(self.facts), "person": {**self.facts.person, "custom": custom}})
        for send in found.sends:
            self._send(send.step, send.template)
        return found

    def _send(self, step: str, template: str) -> None:
        """What the sender does: it waits for the hours, asks again, and sends or not."""
        assert self.journey.mail
        assert self.enrolled
        allowed = window(self.journey.mail, whereabouts(self.facts.person))(self.now)
        assert allowed
        self.now = allowed
        reason = still(self.enrolled, self.facts, self.journey, self.now) or self.refuse.get(template)
        self.sent[step] = Sent("skipped", reason) if reason else Sent("sent")
        if not reason:
            self.mails.append((self.now, template))
        self.look()

    def until(self, end: datetime) -> World:
        """Play everything that becomes due until then."""
        while self.last and self.last.due_at and self.last.due_at <= end:
            assert self.last.due_at > self.now
            self.now = self.last.due_at
            self.look()
        self.now = max(self.now, end)
        return self

    def does(self, kind: str, **more: Any) -> World:  # noqa: ANN401 - any field of a touchpoint
        self.facts = lead(**_fields(self.facts))
        touch = Touch(kind, self.now, f"t{len(self.facts.touchpoints)}", **{"new": False, **more})
        self.facts.touchpoints = [*self.facts.touchpoints, touch]
        self.look()
        return self

    def becomes(self, state: str) -> World:
        self.facts = lead(**{**_fields(self.facts), "state": state})
        self.look()
        return self


def _fields(facts: Facts) -> dict[str, Any]:
    return {"state": facts.state, "person": facts.person, "touchpoints": facts.touchpoints}


# -- the long run ------------------------------------------------------------------------------------------------------


def test_ninety_days_of_silence_bring_three_messages_in_hours_and_then_it_is_over() -> None:
    world = World(QUARTER, lead()).enter().until(START + 89 * DAY)
    assert [template for _, template in world.mails] == ["one", "two", "three"]
    assert [at for at, _ in world.mails] == [
        datetime(2026, 1, 15, 10, tzinfo=UTC),
        datetime(2026, 2, 4, 10, tzinfo=UTC),
        datetime(2026, 3, 6, 10, tzinfo=UTC),
    ]
    assert [step.step for _, step in world.steps] == [
        "wait_1",
        "send_2",
        "wait_until_3",
        "quiet",
        "send_7",
        "branch_8",
        "notify_9",
        "last",
        "send_11",
    ]
    assert world.last
    assert world.last.step == "goal"
    world.until(START + 90 * DAY)
    assert world.last.outcome == "finished"


def test_who_clicks_goes_the_other_way_and_somebody_is_asked_to_call() -> None:
    world = World(QUARTER, lead()).enter().until(START + 12 * DAY).does("email.click")
    assert world.last
    assert [(task.text, task.to, task.due_at) for task in world.last.follow_ups] == [
        ("They clicked.", None, world.now + 2 * DAY)
    ]
    assert [template for _, template in world.until(START + 89 * DAY).mails] == ["one", "three"]


def test_a_click_on_an_earlier_message_is_no_answer_to_a_later_one() -> None:
    twice = journey("""
    two_mails:
      enter: [{state: lead}]
      steps:
        - send: one
        - {wait_until: '"email.click" in touchpoint.kinds', timeout: 5d}
        - send: two
        - {wait_until: '"email.click" in touchpoint.kinds', timeout: 5d}
    """)
    world = World(twice, lead()).enter().until(START + DAY).does("email.click")
    assert [template for _, template in world.mails] == ["one", "two"]
    assert world.enrolled
    assert world.enrolled.step == "wait_until_4"


@pytest.mark.parametrize("flagged", [pytest.param(True, id="by its sender"), pytest.param(False, id="by a burst")])
def test_a_scanner_that_follows_every_link_moves_nobody(*, flagged: bool) -> None:
    """Bursts, and touchpoints that say themselves that a machine did them."""
    world = World(QUARTER, lead()).enter().until(START + 12 * DAY)
    before = world.last
    for _ in range(1 if flagged else 4):
        world.facts.touchpoints.append(
            Touch("email.click", world.now, str(len(world.facts.touchpoints)), new=False, machine=flagged)
        )
    world.facts = lead(**_fields(world.facts))
    assert before
    assert world.look() == msgspec.structs.replace(before, done=())


def test_a_scanner_ends_no_campaign() -> None:
    nosy = journey("""
    nosy:
      enter: [{state: lead}]
      exit: [{event: email.click}, {when: '"email.open" in touchpoint.kinds'}]
      steps: [{wait: 5d}, {send: one}]
    """)
    world = World(nosy, lead()).enter()
    for kind in ("email.click", "email.open") * 3:
        world.facts.touchpoints.append(Touch(kind, world.now, str(len(world.facts.touchpoints)), new=False))
    world.facts = lead(**_fields(world.facts))
    assert world.look().step == "wait_1"
    assert world.until(START + DAY).does("email.click").last
    assert world.last
    assert world.last.outcome == "exited"


def test_who_buys_in_the_middle_is_out_at_once_and_gets_nothing_that_was_planned() -> None:
    world = World(QUARTER, lead()).enter().until(START + 11 * DAY).does("purchase")
    assert world.last
    assert (world.last.outcome, world.last.reason) == ("exited", "bought")
    assert world.last.due_at is None


def test_what_was_bought_before_entering_ends_nothing() -> None:
    earlier = Touch("purchase", START - timedelta(minutes=1), "t0", new=False)
    world = World(QUARTER, lead(touchpoints=[earlier])).enter()
    assert world.last
    assert world.last.step == "wait_1"


def test_the_goal_goes_before_an_exit_whatever_comes_first() -> None:
    for order in (("bought", "won"), ("won", "bought")):
        world = World(QUARTER, lead()).enter().until(START + 11 * DAY)
        fields = _fields(world.facts)
        for what in order:
            if what == "won":
                fields["state"] = "customer"
            else:
                fields["touchpoints"] = [Touch("purchase", world.now, "t1", new=False)]
        world.facts = lead(**fields)
        assert world.look().outcome == "goal"


def test_a_goal_that_is_reached_too_late_does_not_count() -> None:
    slow = journey("""
    slow:
      enter: [{state: lead}]
      goal: {when: state == "customer", within: 5d}
      steps: [{wait: 5d}, {wait: 5d}, {send: one}]
    """)
    world = World(slow, lead()).enter().until(START + 6 * DAY).becomes("customer")
    assert world.last
    assert world.last.outcome is None
    at_the_end = World(slow, lead()).enter().until(START + 5 * DAY).becomes("customer").last
    assert at_the_end
    assert at_the_end.outcome is None
    in_time = World(slow, lead()).enter().until(START + 4 * DAY).becomes("customer").last
    assert in_time
    assert in_time.outcome == "goal"


def test_the_goal_is_waited_for_after_the_last_step_by_all_alike() -> None:
    """Else those who got something would be watched for a shorter time than those who are held out."""
    for holdout in (False, True):
        world = World(QUARTER, lead()).enter(holdout=holdout).until(START + 89 * DAY).becomes("customer")
        assert world.last
        assert world.last.outcome == "goal"
        over = World(QUARTER, lead()).enter(holdout=holdout).until(START + 90 * DAY)
        assert over.last
        assert over.last.outcome == "finished"


def test_who_is_held_out_gets_nothing_at_all() -> None:
    world = World(QUARTER, lead()).enter(holdout=True).until(START + 400 * DAY)
    assert world.mails == []
    assert world.steps == []
    assert world.last
    assert (world.last.outcome, world.last.reason) == ("finished", "holdout")
    assert not any((world.last.sends, world.last.sets, world.last.follow_ups, world.last.notifies))


def test_looking_at_somebody_for_nothing_changes_nothing() -> None:
    """A segment that is computed again, a sweep, a hint that comes twice: no timer is ever lost (complaint 3)."""
    world = World(QUARTER, lead()).enter().until(START + 4 * DAY)
    due = world.last.due_at if world.last else None
    for _ in range(50):
        world.now += timedelta(hours=1)
        found = world.look()
        assert found.due_at == due == START + 10 * DAY
        assert not found.done


def test_a_worker_that_was_away_for_a_month_still_keeps_the_waits_between_messages() -> None:
    world = World(QUARTER, lead()).enter()
    world.now = START + 40 * DAY
    world.look()
    assert [template for _, template in world.mails] == ["one"]
    assert world.last
    assert world.last.due_at == world.mails[0][0] + 20 * DAY


# -- messages ----------------------------------------------------------------------------------------------------------

PAIR = """
pair:
  enter: [{state: lead}]
  steps: [{send: one, capped: %s}, {send: two}]
"""


@pytest.mark.parametrize("state", ["planned", "sending"])
def test_nobody_goes_on_while_a_message_is_on_its_way(state: str) -> None:
    enrolled = Enrolled("pair", PERSON, START, "send_1", START, START)
    found = walk(enrolled, lead(), journey(PAIR % "defer"), START + DAY, {"send_1": Sent(state)})
    assert (found.step, found.due_at, found.sends, found.done) == ("send_1", None, (), ())


@pytest.mark.parametrize("state", ["sent", "failed", "unknown"])
def test_a_message_that_is_settled_is_never_planned_again(state: str) -> None:
    enrolled = Enrolled("pair", PERSON, START, "send_1", START, START)
    found = walk(enrolled, lead(), journey(PAIR % "defer"), START + DAY, {"send_1": Sent(state)})
    assert [send.step for send in found.sends] == ["send_2"]
    assert [(step.step, step.outcome) for step in found.done] == [("send_1", state)]


def test_who_had_enough_mail_goes_on_or_is_out_as_the_step_says() -> None:
    for capped, outcome in (("skip", "finished"), ("abort", "aborted")):
        world = World(journey(PAIR % capped), lead(), refuse={"one": "capped"}).enter()
        assert world.last
        assert world.last.outcome == outcome
        assert len(world.mails) == (capped == "skip")


def test_who_unsubscribes_is_out_of_marketing_and_still_gets_what_they_have_to_know() -> None:
    for kind, outcome in (("marketing", "exited"), ("service", "finished")):
        told = journey(PAIR % "defer" + f"  kind: {kind}\n")
        for reason in ("unsubscribed", "hard_bounce", "complaint"):
            world = World(told, lead(), refuse={"one": reason}).enter()
            assert world.last
            assert world.last.outcome == outcome
        waiting = journey((PAIR % "defer").replace("{send: one", "{wait: 3d}, {send: one") + f"  kind: {kind}\n")
        world = World(waiting, lead()).enter().until(START + DAY).does("email.unsubscribe").until(START + 9 * DAY)
        assert world.last
        assert world.last.outcome == outcome


def test_a_message_that_was_planned_before_an_exit_must_not_go() -> None:
    told = QUARTER
    enrolled = Enrolled("long_run", PERSON, START, "send_2", START, START)
    assert still(enrolled, lead(), told, START + DAY) is None
    assert still(enrolled, lead(state="out"), told, START + DAY) == "dropped"
    assert still(enrolled, lead(state="customer"), told, START + DAY) == "goal"
    assert still(msgspec.structs.replace(enrolled, step=None), lead(), told, START + DAY) == "over"
    assert still(msgspec.structs.replace(enrolled, campaign="gone"), lead(), told, START + DAY) == "over"


# -- entering ----------------------------------------------------------------------------------------------------------


def entered(told: Journey, facts: Facts, past: Past | None = None, now: datetime = START, **news: Any) -> list[Entry]:  # noqa: ANN401
    return enters(facts, told, {"c": past} if past else {}, now, News(**news))


def one_campaign(enter: str, more: str = "") -> Journey:
    return journey(f"c:\n  enter: [{enter}]\n{more}  steps: [{{wait: 3d}}, {{send: one}}]\n")


def test_a_state_that_is_come_into_lets_somebody_in_once() -> None:
    told = one_campaign("{state: lead}")
    found = entered(told, lead(), states=("lead",))
    assert found == [Entry("c", "once", "state lead", holdout=False, at=START)]
    assert entered(told, lead(), states=("out",)) == []
    assert entered(told, lead(), Past(running=False, times=1), states=("lead",)) == []


def test_the_same_touchpoint_lets_somebody_in_once_however_often_it_is_seen() -> None:
    told = one_campaign("{event: demo.asked}", "  again: always\n")
    asked = Touch("demo.asked", START, "t9")
    found = [entered(told, lead(touchpoints=[asked]), touches=(asked,))[0].entry_key for _ in range(2)]
    assert found == ["t9", "t9"]
    assert entered(told, lead(touchpoints=[asked]), Past(running=True, times=1), touches=(asked,)) == []


def test_what_a_machine_does_lets_nobody_in() -> None:
    told = one_campaign("{event: email.click}, {when: '\"email.open\" in touchpoint.kinds'}")
    clicks = [Touch(kind, START, f"{kind}{n}") for n in range(3) for kind in ("email.click", "email.open")]
    assert entered(told, lead(touchpoints=clicks), touches=tuple(clicks)) == []
    assert len(entered(told, lead(touchpoints=clicks[:1]), touches=tuple(clicks[:1]))) == 1


def test_who_would_be_out_again_at_once_does_not_enter() -> None:
    told = one_campaign("{when: has(person.country)}", '  exit: [{when: person.country == "US"}]\n')
    assert len(entered(told, lead(person={"id": PERSON, "country": "DE"}))) == 1
    assert entered(told, lead(person={"id": PERSON, "country": "US"})) == []


def test_re_entry_at_the_moment_of_the_exit_makes_one_enrolment_more_and_never_two() -> None:
    """Whoever sees the end makes the same key, so the database takes one of them (complaint 4)."""
    told = one_campaign('{when: state == "lead"}', "  again: after_exit\n")
    past = Past(running=False, times=1, last_entered=START, last_ended=START + DAY)
    keys = {entered(told, lead(), past, START + DAY + timedelta(seconds=n))[0].entry_key for n in range(5)}
    assert keys == {"time:2"}
    assert entered(told, lead(), past._replace(running=True)) == []


def test_a_while_after_they_last_entered_somebody_may_enter_again() -> None:
    told = one_campaign('{when: state == "lead"}', "  again: 30d\n")
    past = Past(running=False, times=1, last_entered=START, last_ended=START + DAY)
    assert entered(told, lead(), past, START + 30 * DAY - timedelta(seconds=1)) == []
    assert len(entered(told, lead(), past, START + 30 * DAY)) == 1


def test_who_is_only_known_from_a_file_enters_nothing_by_itself() -> None:
    assert entered(one_campaign("{state: lead}"), lead(quiet=True), states=("lead",)) == []


# -- days --------------------------------------------------------------------------------------------------------------

IANA = sorted(zoneinfo.available_timezones())


def renewal(value: object, zone: str = "Europe/Berlin") -> Facts:
    return lead(person={"id": PERSON, "custom": {"renewal": value, "tz": zone}})


def test_thirty_days_before_a_renewal_somebody_enters_and_not_again_that_year() -> None:
    told = one_campaign("{date: person.custom.renewal, before: 30d}", "  again: after_exit\n")
    facts = renewal("2026-04-15")
    due = datetime(2026, 3, 15, 23, tzinfo=UTC)  # 16 March begins in Berlin
    assert next_entry(facts, told, START) == due
    assert entered(told, facts, now=due - timedelta(seconds=1)) == []
    assert entered(told, facts, now=due)[0].by == "date person.custom.renewal"
    past = Past(running=False, times=1, last_entered=due, last_ended=due + timedelta(hours=1))
    assert entered(told, facts, past, due + timedelta(hours=2)) == []
    assert next_entry(facts, told, due) is None


def test_a_day_that_nobody_looked_at_in_time_is_not_missed_unless_it_is_too_long_ago() -> None:
    told = one_campaign("{date: person.custom.renewal, late: 3d}")
    facts = renewal("2026-04-15")
    due = datetime(2026, 4, 14, 22, tzinfo=UTC)
    assert len(entered(told, facts, now=due + 3 * DAY - timedelta(seconds=1))) == 1
    assert entered(told, facts, now=due + 3 * DAY) == []


@pytest.mark.parametrize("value", [None, "", "soon", "2026-02-30", 5, True, ["2026-01-01"], "0001-01-01", "x" * 99])
def test_what_is_no_day_lets_nobody_in(value: object) -> None:
    told = one_campaign("{date: person.custom.renewal, before: 900000d}, {date: person.custom.renewal, after: 900000d}")
    assert next_entry(renewal(value), told, START) is None
    assert entered(told, renewal(value)) == []


def test_a_birthday_on_a_leap_day_is_kept_every_year() -> None:
    told = one_campaign("{date: person.custom.renewal, yearly: true}", "  again: always\n")
    facts, now, days = renewal("2000-02-29", "UTC"), datetime(2026, 1, 1, tzinfo=UTC), []
    for _ in range(4):
        due = next_entry(facts, told, now)
        assert due
        days.append(due.date())
        assert entered(told, facts, now=due)[0].entry_key == f"date:{due:%Y-%m-%dT%H:%M:%SZ}"
        now = due
    assert days == [date(2026, 2, 28), date(2027, 2, 28), date(2028, 2, 29), date(2029, 2, 28)]


def test_where_several_clocks_are_possible_a_day_begins_when_it_has_begun_on_all_of_them() -> None:
    told = one_campaign("{date: person.custom.renewal, before: 1d}")
    american = lead(person={"id": PERSON, "country": "US", "custom": {"renewal": "2026-04-15"}})
    assert next_entry(american, told, START) == datetime(2026, 4, 14, 10, tzinfo=UTC)  # midnight in Honolulu


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(IANA), st.dates(date(2024, 1, 1), date(2031, 12, 31)), st.integers(-400, 400))
def test_a_day_begins_when_it_begins_on_the_wall_in_every_zone(zone: str, day: date, shift: int) -> None:
    """Complaint 19: not by the server's clock, not with the offset of another season, not twice."""
    way = f", {'after' if shift > 0 else 'before'}: {abs(shift)}d" if shift else ""
    told = one_campaign(f"{{date: person.custom.renewal{way}}}")
    due = next_entry(renewal(day.isoformat(), zone), told, datetime(2020, 1, 1, tzinfo=UTC))
    assert due
    clock, wanted = zoneinfo.ZoneInfo(zone), day + timedelta(days=shift)
    shown = due.astimezone(clock)
    if shown.date() == wanted:
        assert (due - timedelta(seconds=1)).astimezone(clock).date() < wanted or shown.fold == 1
    else:  # a day that the zone leaves out, as Samoa did
        assert (due - timedelta(seconds=1)).astimezone(clock).date() < wanted < shown.date()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(IANA), st.integers(0, 5 * 366 * 24))
def test_a_wait_takes_as_long_as_it_says_whatever_the_clocks_do(zone: str, hours: int) -> None:
    began = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    local = began.astimezone(zoneinfo.ZoneInfo(zone))
    enrolled = Enrolled("c", PERSON, local, "wait_1", local, local)
    found = walk(enrolled, lead(), one_campaign("{state: lead}"), local, {})
    assert found.due_at
    assert found.due_at.astimezone(UTC) - began == 3 * DAY


# -- laws --------------------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(1, 1000), min_size=2, max_size=5), st.text(max_size=5))
def test_a_split_is_the_same_for_the_same_person_for_ever(weights: dict[str, int], seed: str) -> None:
    found = [assigned(seed, str(UUID(int=n)), weights) for n in range(20)]
    assert found == [assigned(seed, str(UUID(int=n)), dict(weights)) for n in range(20)]
    assert set(found) <= weights.keys()


def test_a_split_is_as_wide_as_its_weights_say() -> None:
    weights = {"a": 1, "b": 2, "c": 7}
    found = Counter(assigned("seed", str(UUID(int=n)), weights) for n in range(20_000))
    for name, weight in weights.items():
        share, expected = found[name] / 20_000, weight / 10
        assert abs(share - expected) < 4 * (expected * (1 - expected) / 20_000) ** 0.5
    other = [assigned("other", str(UUID(int=n)), weights) for n in range(2_000)]
    same = sum(assigned("seed", str(UUID(int=n)), weights) == arm for n, arm in enumerate(other))
    assert abs(same / 2_000 - 0.54) < 0.05  # independent: 0.1² + 0.2² + 0.7²


def test_who_is_held_out_of_a_campaign_stays_so_when_more_are() -> None:
    held = []
    for share in (0, 10, 20, 50):
        told = one_campaign("{state: lead}", f'  holdout: {share}\n  goal: {{when: state == "customer"}}\n')
        held.append({n for n in range(2_000) if held_out(told, "c", str(UUID(int=n)))})
    assert held[0] == set()
    assert held[1] < held[2] < held[3]
    assert abs(len(held[1]) - 200) < 60


DEEDS = ("email.click", "stop", "page")
STEPS = ("wait", "send", "until", "branch", "split", "go", "set", "task", "exit")


@st.composite
def campaigns(draw: st.DrawFn) -> str:
    """A campaign of any steps whose jumps lead forward."""
    count = draw(st.integers(1, 8))
    lines = ["any:", "  enter: [{state: lead}]"]
    if draw(st.booleans()):
        lines.append('  goal: {when: state == "customer", within: 40d}')
    lines.append("  exit: [{event: stop}]")
    lines.append("  steps:")
    for at in range(count):
        ahead = [f"s{n}" for n in range(at + 1, count)]
        usable = [kind for kind in STEPS if kind not in {"branch", "split", "go"} or len(ahead) >= 2]
        kind = draw(st.sampled_from(usable))
        one, other = draw(st.permutations(ahead))[:2] if len(ahead) > 1 else ("", "")
        lines.append(
            f"    - {{name: s{at}, "
            + {
                "wait": "wait: 3d",
                "send": f"send: {draw(st.sampled_from(['one', 'two']))}",
                "until": "wait_until: '\"email.click\" in touchpoint.kinds', timeout: 5d"
                + (f", otherwise: {one}" if one and draw(st.booleans()) else ""),
                "branch": f"branch: [{{when: has(person.phone), go: {one}}}, {{go: {other}}}]",
                "split": f"split: {{{one}: 1, {other}: 3}}",
                "go": f"go: {one}",
                "set": "set: {seen: true}",
                "task": "follow_up: Call",
                "exit": "exit: enough",
            }[kind]
            + "}"
        )
    return "\n".join(lines)


@settings(max_examples=150, deadline=None)
@given(
    campaigns(), st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["email.click", "stop", "page"])), max_size=4)
)
def test_every_enrolment_ends_and_takes_no_step_twice(text: str, deeds: list[tuple[int, str]]) -> None:
    told = _stored(text)
    world = World(told, lead()).enter()
    for after, kind in sorted(deeds):
        world.until(max(world.now, START + after * DAY))
        if world.last and world.last.step:
            world.does(kind)
    longest = max(span(told.campaigns["any"]), 40 * DAY) + 4 * DAY * len(told.campaigns["any"].steps)
    world.until(START + 61 * DAY + longest)
    assert world.last
    assert world.last.outcome
    assert max(Counter(step.step for _, step in world.steps).values(), default=1) == 1
    assert world.looks <= 3 * len(told.campaigns["any"].steps) + len(deeds) + 3
    # What is done at the very moment of entering has led to it, and ends nothing.
    stops = [START + after * DAY for after, kind in deeds if kind == "stop" and after > 0]
    if stops:
        assert all(at <= min(stops) + 4 * DAY for at, _ in world.mails)


def _stored(text: str) -> Journey:
    """As it is read from the database: what a check would say makes no difference."""
    return load_stored(HEAD + "".join(f"  {line}\n" for line in text.splitlines()))


def test_a_stored_campaign_that_leads_back_ends_all_the_same() -> None:
    round_and_round = _stored("any:\n  enter: [{state: lead}]\n  steps: [{name: top, notify: x}, {go: top}]")
    world = World(round_and_round, lead()).enter()
    assert world.last
    assert (world.last.outcome, world.last.reason) == ("aborted", "went_back")


def test_an_enrolment_whose_campaign_or_step_is_gone_ends() -> None:
    for change, reason in (({"campaign": "gone"}, "campaign_gone"), ({"step": "gone"}, "step_gone")):
        enrolled = msgspec.structs.replace(Enrolled("long_run", PERSON, START, "wait_1", START, START), **change)
        found = walk(enrolled, lead(), QUARTER, START, {})
        assert (found.outcome, found.reason) == ("cancelled", reason)
