"""The time machine: history decided about anew, under a clock that is moved, and two outcomes side by side."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.facts import Touch
from schema.journey import Journey, default_text, load
from workers.simulate.compare import Comparison
from workers.simulate.history import Arrival, ByHand, Carried, Found, Recorded, Window
from workers.simulate.run import merged
from workers.simulate.tally import Tally
from workers.simulate.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workers.simulate.course import Course

START = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(days=30))
TEXT = """\
journey: small
people: {ana: {email: ana@example.com}, ben: {email: ben@example.com}}
qualify:
  - {name: reachable, require: has(person.email), reason: unreachable, unknown: fail}
score:
  fit: [{when: company.employees >= 50, points: 20, label: Large}]
  engagement: {half_life: 10d, on: {form: 30, chat: 10}}
  grades: {A: 50, B: 30, C: 20}
route: {pools: {big: {when: company.employees >= 500, members: {ana: 1}}, all: {members: {ana: 1, ben: 1}}}}
lifecycle:
  lead: {to: {disqualify: out, qualify: sale, give_up: out}}
  sale: {to: {win: won, lose: out}}
  won: {final: true, outcome: won}
  out: {final: true, outcome: lost}
transitions:
  disqualify: {when: 'qualification.outcome == "disqualified"'}
  qualify: {when: qualification.passed && score.total >= 50}
"""
JOURNEY = load(TEXT)


def lead(
    number: int,
    *days: float,
    employees: int | None = None,
    email: bool = True,
    by_hand: Sequence[ByHand] = (),
    carried: Carried | None = None,
    kind: str = "form",
) -> Recorded:
    moments = [START + timedelta(days=day) for day in days]
    name = f"{number:04}"
    return Recorded(
        id=name,
        person_id=f"p{name}",
        source="website",
        channel="form",
        created_at=moments[0] if carried is None else START - timedelta(days=1),
        person={"email": f"{name}@example.com"} if email else {},
        company={} if employees is None else {"employees": employees},
        lead={},
        touches=(),
        arrivals=tuple(Arrival(at, Touch(kind, at, f"{name}-{place}")) for place, at in enumerate(moments)),
        by_hand=tuple(by_hand),
        carried=carried,
        found=Found("lead", None, None, None, settled=False),
    )


def courses(journey: Journey, recorded: Iterable[Recorded]) -> dict[str, Course]:
    return {course.lead: course for course in all_courses(World(journey, WINDOW), recorded)}


def all_courses(world: World, recorded: Iterable[Recorded]) -> list[Course]:
    world.enter(sorted(recorded, key=lambda one: (one.arrivals[0].at, one.id)))
    return list(world.until(None))


def compared(before: Journey, after: Journey, recorded: Sequence[Recorded]) -> dict[str, Any]:
    comparison = Comparison(before, after, examples=2)
    for course in courses(before, recorded).values():
        comparison.before(course)
    for course in courses(after, recorded).values():
        comparison.after(course)
    return comparison.changes()


def draft(*changes: tuple[str, str]) -> Journey:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load(text)


def test_a_lead_goes_the_whole_way_at_the_moment_it_came() -> None:
    course = courses(JOURNEY, [lead(1, 29.9, employees=50)])["0001"]

    assert (course.outcome, course.total, course.grade, course.owner, course.state) == (
        "qualified", 50, "A", "ana", "sale",
    )  # fmt: skip
    assert course.fit == {"Large": 20}
    assert course.engagement == {"form": 30}
    assert course.moves == (("qualify", "lead", "sale", "journey"),)


def test_a_lead_grows_colder_while_the_clock_is_moved_to_the_end_of_the_window() -> None:
    early, late = courses(JOURNEY, [lead(1, 0), lead(2, 29)]).values()

    assert early.grade == ""
    assert late.grade == "C"
    assert early.lead == "0001"


def test_another_arrival_warms_a_lead_and_moves_it() -> None:
    twice = courses(JOURNEY, [lead(1, 1, 2)])["0001"]

    assert twice.state == "sale"
    assert twice.owner == "ana"


def test_what_somebody_did_by_hand_is_done_again_where_the_journey_has_it() -> None:
    won = ByHand(START + timedelta(days=2), "win", "", "key")
    recorded = lead(1, 1, employees=50, by_hand=[won])

    assert courses(JOURNEY, [recorded])["0001"].state == "won"
    colder = courses(draft(("total >= 50", "total >= 80")), [recorded])["0001"]
    assert colder.state == "lead"
    assert colder.impossible == ("win",)


def test_an_arrival_after_the_end_begins_a_lead_anew() -> None:
    lost = ByHand(START + timedelta(days=2), "lose", "", "key")
    course = courses(JOURNEY, [lead(1, 1, 5, employees=50, by_hand=[lost])])["0001"]

    assert course.anew == 1
    assert course.state == "sale"
    assert course.engagement["form"] <= 30


def test_a_lead_from_before_the_window_goes_on_from_where_it_was() -> None:
    passed = {"outcome": "qualified", "passed": True, "reason": ""}
    carried = Carried("sale", START - timedelta(days=1), passed, "ben", "all")
    world = World(JOURNEY, WINDOW)
    (course,) = all_courses(world, [lead(1, 1, carried=carried)])

    assert (course.state, course.owner, course.moves) == ("sale", "ben", ())
    assert world.load.shares()["ben"].before == 1


def test_a_lead_in_a_state_that_the_draft_does_not_know_is_left_out_and_counted() -> None:
    world = World(JOURNEY, WINDOW)

    assert all_courses(world, [lead(1, 1, carried=Carried("gone", START, None, None, None))]) == []
    assert world.foreign == 1


def test_turns_are_dealt_in_the_order_of_time_and_the_load_is_counted_by_day() -> None:
    world = World(JOURNEY, WINDOW, before={"ben": 3})
    found = {course.lead: course.owner for course in all_courses(world, [lead(n, n % 4) for n in range(40)])}

    shares = world.load.shares()
    assert list(found.values()).count("ana") == list(found.values()).count("ben") == 20
    assert sum(shares["ana"].given[:4]) == 20
    assert all(abs(one - other) <= 1 for one, other in zip(shares["ana"].given, shares["ben"].given, strict=True))
    assert shares["ben"].peak == 23
    assert shares["ben"].open[-1] == 23


def test_the_same_journey_twice_makes_no_difference() -> None:
    recorded = [lead(n, n % 7, n % 7 + 1.5, employees=[None, 5, 60, 700][n % 4], email=n % 5 > 0) for n in range(60)]
    changes = compared(JOURNEY, JOURNEY, recorded)

    assert (changes["leads"], changes["same"]) == (60, 60)
    assert not any(changes["by"].values())


def test_a_difference_is_counted_with_examples_and_says_why_in_words() -> None:
    recorded = [lead(n, 1, employees=60, kind="chat") for n in range(5)]
    changes = compared(JOURNEY, draft(("points: 20, label: Large", "points: 5, label: Large")), recorded)

    (grade,) = changes["by"]["grade"]
    assert (grade["leads"], len(grade["examples"])) == (5, 2)
    assert grade["before"], grade["after"] == ("C", "")
    assert [example["lead"] for example in grade["examples"]] == ["0000", "0001"]
    assert grade["examples"][0]["why"][1] == "Large: +20 before, +5 now"


def test_who_no_longer_moves_is_told_with_the_guard_that_keeps_them() -> None:
    changes = compared(JOURNEY, draft(("total >= 50", "total >= 60")), [lead(1, 1, employees=60)])

    (state,) = changes["by"]["state"]
    assert (state["before"], state["after"]) == ("sale", "lead")
    assert state["examples"][0]["why"] == [
        "qualify is not made any more (qualification.passed && score.total >= 60): its condition does not hold"
    ]


def test_a_criterion_that_now_says_no_is_told_by_name() -> None:
    stricter = draft(("qualify:\n", "qualify:\n  - {name: large, require: company.employees >= 10, reason: small}\n"))
    changes = compared(JOURNEY, stricter, [lead(1, 1, employees=5), lead(2, 1, employees=50)])

    (qualification,) = changes["by"]["qualification"]
    assert qualification["after"] == "disqualified: small"
    assert qualification["examples"][0]["why"] == ["large: not asked before, failed now (company.employees >= 10)"]


def test_figures_say_how_often_each_rule_held_and_mattered() -> None:
    tally = Tally(JOURNEY)
    for course in courses(JOURNEY, [lead(1, 29.9, employees=60), lead(2, 29.9, email=False), lead(3, 29.9)]).values():
        tally.add(course)
    figures = tally.figures()

    assert figures["rules"]["criteria"]["reachable"] == {"pass": 2, "fail": 1, "mattered": 1}
    assert figures["rules"]["fit"]["Large"] == {"leads": 1, "mattered": 1, "points": 20.0, "unknown": 1}
    assert figures["qualification"] == {"qualified": 2, "incomplete": 0, "disqualified": 1}
    assert figures["score"]["grades"] == {"A": 1, "B": 1, "C": 0, "": 0}
    assert figures["rules"]["transitions"]["disqualify"]["made"] == 1
    assert figures["rules"]["transitions"]["win"]["made"] == 0


@pytest.mark.parametrize("examples", [0, 3])
def test_examples_do_not_depend_on_which_world_ends_first(examples: int) -> None:
    recorded = [lead(n, n % 5, employees=60) for n in range(20)]
    other = draft(("total >= 50", "total >= 60"))
    before, after = (list(courses(journey, recorded).values()) for journey in (JOURNEY, other))
    told = []
    for seed in range(3):
        comparison = Comparison(JOURNEY, other, examples=examples)
        calls = [(comparison.before, course) for course in before] + [(comparison.after, course) for course in after]
        random.Random(seed).shuffle(calls)  # noqa: S311 - an order, not a secret
        for call, course in calls:
            call(course)
        told.append(comparison.changes())
    assert told[0] == told[1] == told[2]


LEADS = st.builds(
    lambda number, days, employees, email: lead(number, *sorted(days), employees=employees, email=email),
    st.integers(0, 9999),
    st.lists(st.floats(0, 29, allow_nan=False), min_size=1, max_size=4),
    st.sampled_from([None, 5, 60, 700]),
    st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(LEADS, max_size=12, unique_by=lambda one: one.id), st.randoms(use_true_random=False))
def test_what_becomes_of_leads_is_the_same_in_whatever_portions_they_are_read(
    recorded: list[Recorded], order: random.Random
) -> None:
    journey = load(default_text())
    recorded.sort(key=lambda one: (one.arrivals[0].at, one.id))
    at_once = {course.lead: course for course in all_courses(World(journey, WINDOW), recorded)}

    by_portion: list[Course] = []
    world, left = World(journey, WINDOW), list(recorded)
    while left:
        size = order.randint(1, 4)
        portion, left = left[:size], left[size:]
        world.enter(portion)
        by_portion += world.until(portion[-1].arrivals[0].at)
    by_portion += world.until(None)

    assert {course.lead: course for course in by_portion} == at_once
    assert len(by_portion) == len(recorded)


@pytest.mark.parametrize("ours", [0, 3])
@pytest.mark.parametrize("theirs", [0, 3])
def test_both_worlds_are_heard_whichever_ends_first(ours: int, theirs: int) -> None:
    course = courses(JOURNEY, [lead(1, 1)])["0001"]
    sent: SimpleQueue[bytes] = SimpleQueue()
    for _ in range(theirs):
        sent.put(b"c" + msgspec.msgpack.encode([course]))
    sent.put(b"")

    heard = list(merged(sent, [[course]] * ours))
    assert heard.count((1, [course])) == ours
    assert heard.count((0, [course])) == theirs
