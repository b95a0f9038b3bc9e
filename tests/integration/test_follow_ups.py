"""Follow-ups: work for people is made once, goes with the lead, is told when it is late, and is over once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from schema.errors import Permanent
from schema.store import journeys
from schema.store.ids import new_id
from tests.campaigning import JOURNEY, told
from workers.followups.by_hand import FollowUps
from workers.happening import About, happen
from workers.moves import move_lead, with_lead
from workers.owners import Owners

if TYPE_CHECKING:
    from tests.spine import Spine
    from workers.batch import Case

HOUR = timedelta(hours=1)
RULES = """
follow_ups:
  call: {state: opportunity, text: Call them, within: 2h, remind: 30m, outcomes: [reached, not_reached],
         escalate: {after: 1h, to: ben, assign: true}}
  answer: {event: email.reply, text: Answer them, within: 4h}
  rescue: {event: ticket.breached, text: Help out, to: agent, within: 1h, when: 'state == "opportunity"'}
  after_all: {state: lost, text: Ask why, within: 1d}
  look_into: {event: follow_up.late, text: Ask what is in the way, to: ben, within: 1d, escalate: {to: owner}}
"""


def activate(spine: Spine, rules: str = RULES) -> None:
    text = JOURNEY.replace("campaigns:\n", rules).replace(
        "people: {ana: {email: ana@example.com}}",
        "people: {ana: {email: ana@example.com}, ben: {email: ben@example.com}, cem: {email: cem@example.com}}",
    )
    with spine.engine.begin() as connection:
        journeys.activate(connection, journeys.store(connection, text, spine.now), spine.now)


def arrive(spine: Spine, **more: Any) -> str:  # noqa: ANN401 - fields of a form
    receipt = spine.arrives({"email": "jo@kiln.example", "country": "DE"} | more)
    spine.run(ids=[receipt])
    return str(spine.lead_of(receipt)["id"])


def move(spine: Spine, lead: str, name: str) -> None:
    move_lead(spine.engine, lead, name, reason=None, actor="key:1", now=spine.now)
    spine.run(step="advance")


def follow_ups(spine: Spine) -> list[dict[str, Any]]:
    return spine.rows("SELECT * FROM follow_up ORDER BY id")


def short(spine: Spine) -> list[tuple[Any, ...]]:
    return [(row["rule"], row["owner"], row["outcome"] or row["due_at"] - spine.now) for row in follow_ups(spine)]


def acts(spine: Spine) -> FollowUps:
    return FollowUps(spine.engine, spine.hints.send)


def happens(spine: Spine, lead: str, kind: str, about: About, key: str = "") -> None:
    def act(case: Case) -> dict[str, Any]:
        happen(case, kind, about, key=key)
        return {}

    with_lead(spine.engine, lead, spine.now, act)


def test_coming_into_a_state_makes_one_follow_up_however_often_it_is_looked_at(spine: Spine) -> None:
    activate(spine)
    lead = arrive(spine)
    assert short(spine) == []

    move(spine, lead, "talk")
    spine.do("UPDATE lead SET next_step = 'advance', due_since = :now", now=spine.now)
    spine.run(step="advance")

    assert short(spine) == [("call", "ana", 2 * HOUR)]
    [row] = follow_ups(spine)
    assert (row["about_kind"], row["about_id"], row["remind_at"]) == ("lead", lead, spine.now + 1.5 * HOUR)
    [event] = told(spine, "follow_up.created")
    assert (event["follow_up_id"], event["rule"], event["owner"]) == (row["id"], "call", "ana")


def test_what_arrives_and_what_happens_set_off_work_and_the_same_again_does_not(spine: Spine) -> None:
    activate(spine)
    lead = arrive(spine)
    ticket = About("ticket", new_id(), "cem")
    happens(spine, lead, "ticket.breached", ticket, "first_response 1")
    assert short(spine) == []  # not where the rule asks for it
    move(spine, lead, "talk")
    reply = {"email": "jo@kiln.example", "event": "email.reply"}
    spine.run(ids=[spine.arrives(reply, source="website", channel="form")])
    spine.do("UPDATE touchpoint SET kind = 'email.reply' WHERE id = (SELECT max(id::text)::uuid FROM touchpoint)")
    spine.do("UPDATE lead SET next_step = 'advance', due_since = :now", now=spine.now)
    spine.run(step="advance")
    for _ in range(2):
        happens(spine, lead, "ticket.breached", ticket, "first_response 2")
    happens(spine, lead, "ticket.breached", ticket, "resolution 1")  # the other one is open

    assert short(spine) == [("call", "ana", 2 * HOUR), ("answer", "ana", 4 * HOUR), ("rescue", "cem", HOUR)]
    happens(spine, lead, "ticket.assigned", ticket._replace(owner="ben"))
    assert short(spine)[-1] == ("rescue", "ben", HOUR)
    happens(spine, lead, "ticket.resolved", ticket)
    happens(spine, lead, "ticket.breached", ticket, "first_response 2")
    assert short(spine)[-1] == ("rescue", "ben", "cancelled")
    happens(spine, lead, "ticket.breached", ticket, "first_response 3")
    assert short(spine)[-1] == ("rescue", "cem", HOUR)


def test_it_goes_with_the_lead_and_ends_with_it_but_for_what_the_end_sets_off(spine: Spine) -> None:
    activate(spine)
    lead = arrive(spine)
    move(spine, lead, "talk")
    mine = acts(spine).add(lead, "Send the offer", owner="cem", within=HOUR, actor="key:1", now=spine.now)
    Owners(spine.engine, spine.hints.send).assign(lead, "ben", None, actor="key:1", now=spine.now)
    assert short(spine) == [("call", "ben", 2 * HOUR), (None, "cem", HOUR)]
    ticket = new_id()
    happens(spine, lead, "ticket.breached", About("ticket", ticket))

    move(spine, lead, "drop")

    assert short(spine) == [
        ("call", "ben", "cancelled"), (None, "cem", "cancelled"), ("rescue", "ben", HOUR),
        ("after_all", "ben", 24 * HOUR),
    ]  # fmt: skip
    assert {row["reason"] for row in follow_ups(spine)} == {"lead_closed", None}
    assert [event["reason"] for event in told(spine, "follow_up.cancelled")] == ["lead_closed"] * 2
    timers = {row["id"] for row in spine.rows("SELECT id FROM timer WHERE kind = 'follow_up'")}
    assert timers == {row["id"] for row in follow_ups(spine) if row["outcome"] is None}
    assert mine["id"] not in timers


def test_who_does_not_do_it_is_reminded_then_it_is_late_then_somebody_elses_each_once(spine: Spine) -> None:
    activate(spine)
    lead = arrive(spine)
    move(spine, lead, "talk")
    heard: list[tuple[int, ...]] = []
    for _ in range(9):
        spine.passes(0.5 * HOUR)
        for _ in range(2):
            spine.run(step="followup")
        heard.append(
            tuple(
                len([event for event in told(spine, f"follow_up.{kind}") if event["follow_up_id"] == _first(spine)])
                for kind in ("reminded", "late", "escalated")
            )
        )

    assert heard == [(0, 0, 0), (0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 0), *[(1, 1, 1)] * 4]
    assert [(row["rule"], row["owner"], row["escalated_to"]) for row in follow_ups(spine)] == [
        ("call", "ben", "ben"), ("look_into", "ben", None),
    ]  # fmt: skip
    Owners(spine.engine, spine.hints.send).assign(lead, "cem", None, actor="key:1", now=spine.now)
    assert [row["owner"] for row in follow_ups(spine)] == ["ben", "ben"]


def _first(spine: Spine) -> str:
    return str(follow_ups(spine)[0]["id"])


def test_after_an_outage_it_is_late_and_escalated_without_a_reminder(spine: Spine) -> None:
    activate(spine)
    move(spine, arrive(spine), "talk")
    spine.passes(timedelta(days=3))

    spine.run(step="followup")

    assert [len(told(spine, f"follow_up.{kind}")) for kind in ("reminded", "late", "escalated")] == [0, 1, 1]
    assert short(spine) == [("call", "ben", timedelta(days=-3) + 2 * HOUR), ("look_into", "ben", 24 * HOUR)]
    assert [row["id"] for row in spine.rows("SELECT id FROM timer")] == [follow_ups(spine)[1]["id"]]


def test_it_is_put_off_and_late_again_only_then(spine: Spine) -> None:
    activate(spine)
    move(spine, arrive(spine), "talk")
    spine.passes(3 * HOUR)
    spine.run(step="followup")
    until = spine.now + 24 * HOUR

    row = acts(spine).snooze(_first(spine), until, actor="key:1", now=spine.now)

    assert (row["due_at"], row["remind_at"], row["snoozes"]) == (until, until - 0.5 * HOUR, 1)
    assert row["first_due_at"] == spine.now - HOUR
    acts(spine).snooze(_first(spine), spine.now + HOUR, actor="key:1", now=spine.now)
    [row, _] = follow_ups(spine)
    assert (row["due_at"], row["remind_at"]) == (until, spine.now + HOUR)
    with pytest.raises(Permanent, match="to come"):
        acts(spine).snooze(_first(spine), spine.now, actor="key:1", now=spine.now)
    spine.passes(25 * HOUR)
    spine.run(step="followup")
    assert len([event for event in told(spine, "follow_up.late") if event["follow_up_id"] == _first(spine)]) == 2


def test_what_was_done_is_a_touchpoint_that_moves_the_lead_on_and_is_done_once(spine: Spine) -> None:
    activate(spine, RULES + "transitions: {win: {when: '\"follow_up.done\" in touchpoint.kinds'}}\n")
    lead = arrive(spine)
    move(spine, lead, "talk")
    with pytest.raises(Permanent, match="reached, not_reached") as wrong:
        acts(spine).done(_first(spine), "done", actor="key:1", now=spine.now)
    assert wrong.value.code == "outcome_unknown"

    def do(who: str) -> str:
        try:
            acts(spine).done(_first(spine), "reached", note="Asked for May", channel="phone", actor=who, now=spine.now)
        except Permanent as error:
            return error.code
        return who

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(do, ["key:1", "key:2"]))
    spine.run(step="advance")

    assert min(answers) == "follow_up_over"
    [row] = follow_ups(spine)
    assert (row["outcome"], row["note"], row["done_by"]) == ("reached", "Asked for May", max(answers))
    [touch] = spine.rows("SELECT kind, channel, source, data FROM touchpoint WHERE kind LIKE 'follow_up%'")
    assert touch["channel"] == "phone"
    assert touch["data"] == {"follow_up": row["id"], "rule": "call", "outcome": "reached", "lead": lead}
    assert spine.rows("SELECT state FROM lead") == [{"state": "customer"}]
    assert spine.rows("SELECT 1 FROM timer") == []
    assert "May" not in str(spine.rows("SELECT data FROM event"))


def test_by_hand_the_same_key_makes_one_and_what_cannot_be_is_refused(spine: Spine) -> None:
    activate(spine)
    lead = arrive(spine)
    first, again = (acts(spine).add(lead, "Send a sample", key="k1", actor="key:1", now=spine.now) for _ in range(2))
    assert again["id"] == first["id"]
    assert first["due_at"] == spine.now + 12 * HOUR  # the end of the day
    wrong: dict[str, dict[str, Any]] = {
        "owner_unknown": {"owner": "dee"},
        "due_in_the_past": {"due_at": spine.now},
        "reminder_not_before_due": {"within": HOUR, "remind_at": spine.now + HOUR},
        "subject_unknown": {"subject": ("ticket", new_id())},
    }
    for code, asked in wrong.items():
        with pytest.raises(Permanent) as refused:
            acts(spine).add(lead, "x", actor="key:1", now=spine.now, **asked)
        assert refused.value.code == code
    for unknown in (new_id(), "nobody"):
        with pytest.raises(Permanent) as refused:
            acts(spine).done(unknown, "done", actor="key:1", now=spine.now)
        assert refused.value.code == "follow_up_unknown"

    FollowUps(spine.engine, spine.hints.send, dry_run=True).cancel(first["id"], "no_time", actor="x", now=spine.now)
    assert short(spine) == [(None, "ana", 12 * HOUR)]
    acts(spine).assign(first["id"], "cem", actor="key:1", now=spine.now)
    cancelled = acts(spine).cancel(first["id"], "no_time", actor="key:1", now=spine.now)
    assert (cancelled["owner"], cancelled["outcome"], cancelled["reason"]) == ("cem", "cancelled", "no_time")


def test_a_step_of_a_campaign_asks_for_work_once(spine: Spine) -> None:
    campaign = "{warm: {enter: [{state: lead}], steps: [{name: call, follow_up: {text: Call, within: 3h}}, "
    campaign += "{name: tell, follow_up: {text: Tell her, to: cem}}]}}"
    activate(spine, f"campaigns: {campaign}\n")
    lead = arrive(spine)
    spine.run(step="nurture")

    assert short(spine) == [("warm/call", "ana", 3 * HOUR), ("warm/tell", "cem", 12 * HOUR)]
    Owners(spine.engine, spine.hints.send).assign(lead, "ben", None, actor="key:1", now=spine.now)
    assert [row["owner"] for row in follow_ups(spine)] == ["ben", "cem"]
    asked, _ = told(spine, "follow_up.requested")
    assert asked["due_at"] == (spine.now + 3 * HOUR).isoformat()
    row = acts(spine).done(_first(spine), "not_reached", actor="key:1", now=spine.now)
    assert (row["lead_id"], row["outcome"]) == (lead, "not_reached")
