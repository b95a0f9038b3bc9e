"""What leads a ticket from one status to another, which one an arrival belongs to, and whose it is in fair turns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.facts import Facts
from schema.journey import Journey, load
from schema.tables.ticket import STATUSES
from schema.ticketing import LEADS_TO, UNSOLVED, StatusNotPossible, after_agent, after_customer, checked, topic
from tests.desking import JOURNEY
from workers.decide import desk
from workers.decide.desk import Heard
from workers.decide.staff import Absence, Staff
from workers.decide.turns import Ledger, owed

NOON: Final = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
FACTS: Final = Facts("lead", "website", "form", "lead")


def ticket(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - columns
    known: dict[str, Any] = dict.fromkeys(("desk", "external_id", "closes_at", "subject", "waiting_since", "refers_to"))
    return known | {"id": "t1", "source": "help", "status": "open", "kind": "question", "priority": "normal"} | more


def heard(**more: Any) -> Heard:  # noqa: ANN401 - its fields
    usual: dict[str, Any] = {"kind": "email", "source": "help", "channel": "email", "at": NOON}
    return Heard(**usual | more)


# -- statuses ----------------------------------------------------------------------------------------------------------


def test_every_status_leads_somewhere_but_the_last_and_none_leads_to_itself() -> None:
    assert LEADS_TO.keys() == set(STATUSES)
    for status, possible in LEADS_TO.items():
        assert set(possible) <= set(STATUSES) - {status, "new"}
        assert bool(possible) == (status != "closed")
        assert ("resolved" in possible) == (status in UNSOLVED)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("wanted", STATUSES)
def test_what_is_not_possible_is_refused_with_what_is(status: str, wanted: str) -> None:
    if wanted in LEADS_TO[status]:
        assert checked(status, wanted) == wanted
        return
    with pytest.raises(StatusNotPossible) as refused:
        checked(status, wanted)
    assert refused.value.facts["possible"] == list(LEADS_TO[status])


def test_a_customer_s_word_sets_going_what_waits_and_our_answer_opens_what_is_new() -> None:
    assert {status: after_customer(status) for status in STATUSES[:-1]} == {
        "new": "new", "open": "open", "waiting": "open", "on_hold": "open", "resolved": "open",
    }  # fmt: skip
    assert [after_agent(status) for status in STATUSES] == ["open", *STATUSES[1:]]


def test_a_subject_is_the_same_however_often_it_was_answered() -> None:
    same = ["Late  order", "Re: late order", "AW: RE: Late order", "Fwd: [x] y", "WG: Re[2]: LATE ORDER"]
    assert [topic(subject) for subject in same] == ["late order", "late order", "late order", "[x] y", "late order"]
    assert topic(None) == topic("Re:") == ""


# -- which ticket ------------------------------------------------------------------------------------------------------


def test_a_conversation_says_more_than_an_external_id_and_that_more_than_a_guess() -> None:
    first, second = ticket(external_id="A"), ticket(id="t2", external_id="B")
    assert desk.belongs(heard(threads=("t2",), external_id="A"), [first, second], None) is second
    assert desk.belongs(heard(external_id="A"), [first, second], None) is first
    assert desk.belongs(heard(external_id="A", source="other"), [first, second], None) is None
    assert desk.belongs(heard(answers=True), [first, second], None) is None
    assert desk.belongs(heard(answers=True), [first], None) is first
    assert desk.belongs(heard(channel="chat"), [first], "complaint") is first


def test_something_else_opens_another_ticket() -> None:
    open_one = ticket(subject="Late order")
    assert desk.belongs(heard(subject="Re: LATE order"), [open_one], "question") is open_one
    assert desk.belongs(heard(subject="Broken cup"), [open_one], "question") is None
    assert desk.belongs(heard(subject="Late order"), [open_one], "complaint") is None
    over = ticket(status="resolved", closes_at=NOON)
    assert desk.belongs(heard(answers=True), [over], None) is None
    assert desk.belongs(heard(answers=True, at=NOON - timedelta(seconds=1)), [over], None) is over


# -- whose it is -------------------------------------------------------------------------------------------------------


def staffed(members: dict[str, int], *, capacity: int = 0) -> Journey:
    people = "".join(
        f"  {name}: {{email: {name}@example.com{f', capacity: {{tickets: {capacity}}}' if capacity else ''}}}\n"
        for name in members
    )
    listed = ", ".join(f"{name}: {weight}" for name, weight in members.items())
    head = JOURNEY[: JOURNEY.index("people:")] + "people:\n" + people
    middle = JOURNEY[JOURNEY.index("sources:") : JOURNEY.index("  desks:")]
    first = next(iter(members))
    text = head + middle.replace("{cem: 1}", f"{{{first}: 1}}") + f"  desks:\n    support: {{members: {{{listed}}}}}\n"
    return load(text)


WEIGHTS: Final = st.lists(st.integers(1, 7), min_size=2, max_size=5)


@settings(max_examples=60, deadline=None)
@given(WEIGHTS, st.integers(20, 120))
def test_nobody_at_a_desk_is_ever_a_whole_turn_away_from_their_share(weights: list[int], number: int) -> None:
    members = {f"p{at}": weight for at, weight in enumerate(weights)}
    journey = staffed(members)
    ledgers: dict[str, Ledger] = {}
    got = dict.fromkeys(members, 0)
    for turn in range(1, number + 1):
        dealt = desk.deal(ticket(), FACTS, journey, ledgers, NOON, Staff())
        desk.keep(dealt, journey, ledgers, Staff(), NOON)
        assert dealt.owner
        assert dealt.turn == turn
        got[dealt.owner] += 1
        for name, weight in members.items():
            assert abs(got[name] * sum(weights) - turn * weight) < sum(weights)


@settings(max_examples=40, deadline=None)
@given(WEIGHTS, st.lists(st.sets(st.integers(0, 4), max_size=3), min_size=20, max_size=60))
def test_whoever_is_away_for_a_while_loses_nothing_of_what_they_were_owed(
    weights: list[int], away: list[set[int]]
) -> None:
    members = {f"p{at}": weight for at, weight in enumerate(weights)}
    journey = staffed(members)
    ledgers: dict[str, Ledger] = {}
    for gone in away:
        spells = {f"p{at}": [Absence(NOON, None)] for at in gone if at < len(weights)}
        dealt = desk.deal(ticket(), FACTS, journey, ledgers, NOON, Staff(away=spells))
        desk.keep(dealt, journey, ledgers, Staff(), NOON)
        assert dealt.owner not in spells
        assert (dealt.owner is None) == (len(spells) == len(weights))
        credit = owed(ledgers["desk/support"]) if ledgers else {}
        assert all(abs(millionths) < (len(weights) - 1) * 1_000_000 + 1 for millionths in credit.values())


def test_a_full_desk_lets_the_ticket_wait_and_the_oldest_goes_before() -> None:
    journey = staffed({"ana": 1, "ben": 1}, capacity=2)
    known = Staff(open={"ana": 2, "ben": 2})
    full = desk.deal(ticket(), FACTS, journey, {}, NOON, known)
    assert (full.owner, full.reason, full.look_again) == (None, "at_capacity", None)
    assert [member.why for member in full.members] == ["at capacity: 2 of 2 open tickets"] * 2

    known = Staff(ahead={(journey.version, "desk/support"): dict.fromkeys(("ana", "ben"), NOON - timedelta(hours=1))})
    behind = desk.deal(ticket(), FACTS, journey, {}, NOON, known)
    assert (behind.owner, behind.reason) == (None, "others_first")
    oldest = desk.deal(ticket(waiting_since=NOON - timedelta(hours=2)), FACTS, journey, {}, NOON, known)
    assert oldest.owner == "ana"
    passed = desk.deal(ticket(), FACTS, journey, {}, NOON, Staff(), passed=("ana",))
    assert passed.owner == "ben"


def test_the_first_desk_whose_condition_holds_takes_it_and_says_which_did_not() -> None:
    journey = load(JOURNEY)
    found = desk.deal(ticket(kind="complaint"), FACTS, journey, {}, NOON, Staff())
    assert (found.desk, [(each.pool, each.why) for each in found.candidates]) == (
        "complaints",
        [("complaints", "holds")],
    )
    found = desk.deal(ticket(), FACTS, journey, {}, NOON, Staff())
    told = [(each["desk"], each["why"]) for each in found.explain()["candidates"]]
    assert told == [("complaints", "does not hold"), ("support", "catch-all")]
    kept = desk.deal(ticket(kind="complaint", desk="support"), FACTS, journey, {}, NOON, Staff())
    assert (kept.desk, kept.candidates) == ("support", ())


def test_rules_open_in_order_and_never_for_machines() -> None:
    journey = load(JOURNEY)

    def opens(**more: Any) -> str | None:  # noqa: ANN401
        found = desk.opening(heard(**more), FACTS, journey)
        return found[1].kind if found else None

    assert opens(subject="A complaint") == "complaint"
    assert opens(subject="A question") == "question"
    assert opens(subject="A complaint", machine=True) is None
    assert opens(kind="purchase", source="product") is None
