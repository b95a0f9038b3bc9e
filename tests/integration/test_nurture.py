"""Campaigns: who enters, how they go on, and that nobody is lost or taken twice, whatever happens meanwhile."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from schema.errors import Permanent
from schema.store import campaigns, ops
from schema.store.journeys import JourneyBook
from tests.campaigning import WARM_UP, activate, arrive, enrolled, look, move, settle, steps, told
from workers.campaigns.follow import follow
from workers.campaigns.looks import Looker, begin
from workers.claim import claim
from workers.runtime import MAX_ATTEMPTS
from workers.sweep import wake

if TYPE_CHECKING:
    from tests.spine import Spine

DAY = timedelta(days=1)


# -- in, through and out -----------------------------------------------------------------------------------------------


def test_a_lead_enters_with_its_first_arrival_and_a_message_is_planned_at_once(spine: Spine) -> None:
    version = activate(spine)

    lead = arrive(spine)

    [one] = enrolled(spine)
    assert (one["lead_id"], one["journey"], one["step"], one["due_at"]) == (lead, version, "hello", None)
    [send] = spine.rows("SELECT * FROM send")
    assert (send["step"], send["template"], send["state"], send["enrolment_id"]) == (
        "hello", "welcome", "planned", one["id"],
    )  # fmt: skip
    [event] = told(spine, "campaign.entered")
    assert (event["campaign"], event["by"], event["holdout"]) == ("warm_up", "state lead", False)


def test_ninety_days_pass_in_one_test_and_every_step_is_taken_when_it_is_due(spine: Spine) -> None:
    activate(spine)
    arrive(spine)
    days = []

    for day in range(91):
        spine.run(step="nurture")
        if settle(spine):
            days.append(day)
        spine.passes(DAY)

    assert days == [0, 3]
    [one] = enrolled(spine)
    assert steps(spine, one["id"]) == [
        ("hello", "sent"), ("some_days", "done"), ("second", "sent"), ("two_months", "done"), ("call", "done"),
    ]  # fmt: skip
    assert (one["outcome"], one["number"], one["step"], one["due_at"]) == ("finished", 5, None, None)
    [task] = told(spine, "follow_up.requested")
    assert (task["step"], task["text"], task["to"]) == ("call", "Call them", "ana")
    [exited] = told(spine, "campaign.exited")
    assert (exited["outcome"], exited["steps"]) == ("finished", 5)


def test_a_goal_ends_the_way_when_it_is_reached_and_not_at_the_next_step(spine: Spine) -> None:
    activate(spine)
    lead = arrive(spine)
    settle(spine)

    move(spine, lead, "talk")
    move(spine, lead, "win")

    [one] = enrolled(spine)
    assert (one["outcome"], one["goal_at"], one["ended_at"]) == ("goal", spine.now, spine.now)


def test_an_exit_acts_when_it_happens_also_while_a_message_is_on_its_way(spine: Spine) -> None:
    activate(spine)
    lead = arrive(spine)

    move(spine, lead, "drop")

    [one] = enrolled(spine)
    assert (one["outcome"], one["reason"]) == ("exited", "lost")
    assert [event["reason"] for event in told(spine, "campaign.exited")] == ["lost"]


def test_marketing_ends_with_the_lead_but_not_for_those_who_entered_since_it_was_closed(spine: Spine) -> None:
    activate(spine, """\
  talk: {enter: [{state: lead}], steps: [{wait: 30d}, {send: news}]}
  look_after: {kind: service, enter: [{state: lead}], steps: [{wait: 30d}, {send: news}]}
  win_back: {enter: [{state: lost}], steps: [{wait: 30d}, {send: news}]}
""")  # fmt: skip
    lead = arrive(spine)
    spine.passes(DAY)

    move(spine, lead, "drop")

    ends = {row["campaign"]: row["reason"] for row in spine.rows("SELECT * FROM enrolment")}
    assert ends == {"talk": "lead_closed", "look_after": None, "win_back": None}


def test_who_comes_back_with_a_new_lead_goes_on_with_that_one(spine: Spine) -> None:
    activate(spine, WARM_UP + """\
  win_back:
    enter: [{state: lost}]
    exit: [{event: form, reason: back}]
    steps: [{wait: 30d}, {send: news}]
""")  # fmt: skip
    lead = arrive(spine)
    spine.passes(DAY)
    move(spine, lead, "drop")
    spine.passes(DAY)

    again = arrive(spine)

    [one] = enrolled(spine, "win_back")
    assert again != lead
    assert (one["lead_id"], one["outcome"], one["reason"]) == (again, "exited", "back")


def test_a_hint_heard_twice_takes_no_step_twice(spine: Spine) -> None:
    activate(spine)
    arrive(spine)
    [one] = enrolled(spine)

    for _ in range(2):
        spine.runtime().hear("nurture", [one["id"]], now=spine.now)

    assert len(spine.rows("SELECT * FROM send")) == 1
    assert enrolled(spine)[0] == one


def test_an_answer_that_a_step_sets_is_written_and_the_lead_is_looked_at_anew(spine: Spine) -> None:
    activate(spine, """\
  mark:
    enter: [{state: lead}]
    steps: [{set: {warmed: true, plan: basic}}, {wait: 1d}, {branch: [{when: 'person.custom.warmed', go: good}]},
            {exit: cold}, {name: good, notify: warmed_up}]
""")  # fmt: skip
    lead = arrive(spine, custom_field="kept")
    decisions = spine.rows("SELECT * FROM decision WHERE lead_id = :lead AND step = 'advance'", lead=lead)

    spine.passes(DAY)
    spine.run(step="nurture")

    [person] = spine.rows("SELECT custom FROM person")
    assert {"warmed": True, "plan": "basic"}.items() <= person["custom"].items()
    assert len(decisions) == 2
    assert [event["name"] for event in told(spine, "campaign.notified")] == ["warmed_up"]
    assert enrolled(spine, "mark")[0]["outcome"] == "finished"


def test_a_step_that_sets_an_answer_waits_for_nobody_who_has_the_person_in_hand(spine: Spine) -> None:
    activate(spine, """\
  mark: {enter: [{state: lead}], steps: [{wait: 1d}, {set: {warmed: true}}]}
""")  # fmt: skip
    arrive(spine)
    spine.passes(DAY)
    with spine.engine.begin() as other:
        other.execute(text("SELECT FROM person FOR UPDATE"))
        spine.runtime().hear("nurture", now=spine.now)
        assert enrolled(spine, "mark")[0]["outcome"] is None

    spine.run(step="nurture")

    assert enrolled(spine, "mark")[0]["outcome"] == "finished"


def test_those_who_are_held_out_get_nothing_and_count_for_the_goal(spine: Spine) -> None:
    activate(spine, WARM_UP.replace("enter:", "holdout: 50\n    enter:"))
    leads = {number: arrive(spine, number) for number in range(16)}
    out = [row["lead_id"] for row in enrolled(spine) if row["holdout"]]
    assert 0 < len(out) < len(leads)

    assert settle(spine) == len(leads) - len(out)
    move(spine, out[0], "talk")
    move(spine, out[0], "win")

    assert [row["lead_id"] for row in enrolled(spine) if row["outcome"] == "goal"] == [out[0]]


def test_a_lead_that_only_files_told_us_of_and_a_senders_trial_enter_nothing(spine: Spine) -> None:
    activate(spine)
    receipt = spine.arrives({"email": "trial@kiln.example"})
    spine.do("UPDATE receipt SET test = true WHERE id = :id", id=receipt)

    spine.run()

    assert spine.lead_of(receipt)["test"]
    assert enrolled(spine) == []


# -- who enters, and how often -----------------------------------------------------------------------------------------


def test_who_entered_once_does_not_enter_again(spine: Spine) -> None:
    activate(spine)
    lead = arrive(spine)
    move(spine, lead, "drop")

    arrive(spine)

    assert len(enrolled(spine)) == 1


def test_somebody_who_enters_again_at_the_moment_of_leaving_is_enrolled_twice_and_mailed_once_each(
    spine: Spine,
) -> None:
    activate(spine, """\
  again: {enter: [{event: form}], again: after_exit, steps: [{name: hello, send: welcome}, {wait: 1d}]}
""")  # fmt: skip
    for number in range(20):
        arrive(spine, number)
    settle(spine)
    spine.passes(DAY)
    receipts = [spine.arrives({"email": f"p{number}@kiln.example"}) for number in range(20)]
    start = threading.Barrier(2)

    def work(step: str, ids: list[str]) -> None:
        runtime = spine.runtime(batch_size=3)
        start.wait()
        for _ in range(4):
            runtime.hear(step, ids, now=spine.now)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, ["identify", "nurture"], [receipts, []]))
    spine.run()
    spine.run(step="nurture")

    per_person = spine.rows("SELECT person_id, count(*) FILTER (WHERE outcome IS NULL) AS running, count(*) AS times"
                            " FROM enrolment GROUP BY person_id")  # fmt: skip
    assert len(per_person) == 20
    assert all(row["running"] <= 1 for row in per_person)
    mails = spine.rows("SELECT enrolment_id, step FROM send")
    assert len(mails) == len(enrolled(spine, "again"))
    assert spine.rows("SELECT * FROM dead_letter") == []


def test_people_who_were_there_before_the_campaign_enter_within_the_look_that_follows_it(spine: Spine) -> None:
    activate(spine, "  none: {enter: [{event: never}], steps: [{wait: 1d}]}\n")
    leads = [arrive(spine, number) for number in range(3)]
    abroad = arrive(spine, 3, country="FR")
    spine.do("UPDATE lead SET quiet = true WHERE id = :id", id=leads[2])
    activate(spine, """\
  locals: {enter: [{when: 'person.country == "DE"'}], steps: [{name: hello, send: welcome}]}
""")  # fmt: skip
    look(spine)
    assert enrolled(spine, "locals") == []
    spine.passes(timedelta(seconds=10))

    look(spine)

    assert [row["lead_id"] for row in enrolled(spine, "locals")] == leads[:2]
    assert abroad not in leads
    assert len(spine.rows("SELECT * FROM send")) == 2
    [state] = spine.rows("SELECT * FROM campaign_look")
    assert state["done_at"] == spine.now
    look(spine)
    assert len(enrolled(spine, "locals")) == 2


def test_several_who_look_at_once_let_everybody_in_once(spine: Spine) -> None:
    activate(spine, "  none: {enter: [{event: never}], steps: [{wait: 1d}]}\n")
    leads = [arrive(spine, number) for number in range(11)]
    activate(spine, "  all: {enter: [{when: 'state == \"lead\"'}], steps: [{name: hello, send: welcome}]}\n")
    spine.passes(DAY)
    with spine.engine.begin() as connection:
        assert begin(connection, JourneyBook(), spine.now)
    start = threading.Barrier(3)

    def work(_: int) -> None:
        looker = Looker(spine.engine, spine.hints, portion=2)
        start.wait()
        for _ in range(8):
            looker.hear(spine.now)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))

    assert sorted(row["lead_id"] for row in enrolled(spine, "all")) == sorted(leads)
    assert len(told(spine, "campaign.entered")) == len(leads)
    assert spine.rows("SELECT * FROM campaign_look WHERE done_at IS NULL") == []


def test_a_day_that_comes_lets_in_whoever_has_it(spine: Spine) -> None:
    activate(spine, """\
  renewal:
    enter: [{date: person.custom.renewal, before: 30d}]
    steps: [{name: hello, send: welcome}]
""")  # fmt: skip
    lead = arrive(spine)
    spine.do('UPDATE person SET custom = \'{"renewal": "2027-03-01"}\'')
    spine.passes(timedelta(seconds=20))
    look(spine)
    [waiting] = spine.rows("SELECT wake_at FROM lead WHERE id = :id", id=lead)
    assert enrolled(spine, "renewal") == []

    spine.now = waiting["wake_at"]
    wake(spine.engine, spine.now)
    spine.run(step="advance")

    assert spine.now.date().isoformat() == "2027-01-29" or spine.now.date().isoformat() == "2027-01-30"
    assert len(enrolled(spine, "renewal")) == 1


# -- several at once, and what goes wrong ------------------------------------------------------------------------------


def test_many_workers_at_once_take_every_step_once(spine: Spine) -> None:
    activate(spine)
    for number in range(60):
        spine.arrives({"email": f"p{number}@kiln.example"})
    spine.runtime(serves={"identify", "qualify", "score", "route", "advance"}).hear("identify", now=spine.now)
    start = threading.Barrier(4)

    def work(_: int) -> None:
        runtime = spine.runtime(batch_size=7)
        start.wait()
        for _ in range(6):
            runtime.hear("nurture", now=spine.now)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    spine.run(step="nurture")

    assert settle(spine) == 60
    per_step = spine.rows("SELECT step, count(*) AS n FROM enrolment_step GROUP BY step")
    assert per_step == [{"step": "hello", "n": 60}]
    assert {row["number"] for row in enrolled(spine)} == {1}


def test_one_bad_row_is_set_aside_alone_and_goes_on_when_it_is_retried(spine: Spine) -> None:
    activate(spine)
    leads = [arrive(spine, number) for number in range(6)]
    settle(spine)
    bad = enrolled(spine)[2]
    spine.do(f"ALTER TABLE send ADD CONSTRAINT ck_bad CHECK (step <> 'second' OR lead_id <> '{bad['lead_id']}')")
    spine.passes(3 * DAY)

    spine.run(step="nurture")

    [letter] = spine.rows("SELECT * FROM dead_letter")
    assert (letter["subject"], letter["subject_id"], letter["attempts"]) == ("enrolment", bad["id"], MAX_ATTEMPTS)
    assert "ck_bad" in letter["error"]
    assert len(spine.rows("SELECT * FROM send WHERE step = 'second'")) == len(leads) - 1
    spine.do("ALTER TABLE send DROP CONSTRAINT ck_bad")
    with spine.engine.begin() as connection:
        resolved = ops.retry(connection, letter["id"], spine.now)
    assert resolved
    assert resolved.hint == ("nurture", bad["id"])
    spine.run(step="nurture")
    assert len(spine.rows("SELECT * FROM send WHERE step = 'second'")) == len(leads)


def test_a_dead_letter_that_is_discarded_ends_the_way(spine: Spine) -> None:
    activate(spine)
    arrive(spine)
    spine.do("ALTER TABLE enrolment_step ADD CONSTRAINT ck_bad CHECK (step <> 'hello')")
    settle(spine)
    [letter] = spine.rows("SELECT * FROM dead_letter")

    with spine.engine.begin() as connection:
        ops.discard(connection, letter["id"], "hopeless", "key:1", spine.now)

    [one] = enrolled(spine)
    assert (one["outcome"], one["reason"], one["ended_at"]) == ("cancelled", "hopeless", spine.now)


def test_a_lead_in_other_hands_is_left_to_them_and_its_neighbours_go_on(spine: Spine) -> None:
    activate(spine)
    leads = [arrive(spine, number) for number in range(3)]
    settle(spine)
    spine.passes(3 * DAY)
    with spine.engine.begin() as other:
        other.execute(text("SELECT FROM lead WHERE id = :id FOR UPDATE"), {"id": leads[1]})
        spine.runtime().hear("nurture", now=spine.now)

    done = {row["lead_id"]: row["step"] for row in enrolled(spine)}
    assert done == {leads[0]: "second", leads[1]: "some_days", leads[2]: "second"}


def test_a_version_that_this_code_cannot_read_keeps_its_people_waiting(spine: Spine) -> None:
    version = activate(spine)
    arrive(spine)
    settle(spine)
    spine.passes(3 * DAY)
    document = spine.rows("SELECT document FROM journey WHERE version = :v", v=version)[0]["document"]
    spine.do("UPDATE journey SET document = 'words: unknown' WHERE version = :v", v=version)

    assert spine.runtime().hear("nurture", now=spine.now) == 0

    spine.do("UPDATE journey SET document = :document WHERE version = :v", document=document, v=version)
    assert spine.runtime().hear("nurture", now=spine.now) == 1


def test_people_stay_with_the_version_they_entered_when_another_one_is_activated(spine: Spine) -> None:
    old = activate(spine)
    arrive(spine, 1)
    settle(spine)
    new = activate(spine, WARM_UP.replace("{name: second, send: news}", "{name: other, notify: other}"))
    arrive(spine, 2)
    settle(spine)
    spine.passes(3 * DAY)

    spine.run(step="nurture")

    assert [row["journey"] for row in enrolled(spine)] == [old, new]
    assert [row["step"] for row in enrolled(spine)] == ["second", "two_months"]


# -- standing still ----------------------------------------------------------------------------------------------------


def test_a_campaign_that_is_paused_loses_nobody_and_takes_nobody_twice(spine: Spine) -> None:
    activate(spine)
    for number in range(10):
        arrive(spine, number)
    settle(spine)
    spine.passes(3 * DAY)
    spine.runtime(batch_size=1).hear("nurture", now=spine.now)
    spine.hints.hints.clear()
    with spine.engine.begin() as connection:
        place = campaigns.find(connection, "warm_up")
        assert campaigns.pause(connection, place, "key:1", spine.now)
        assert not campaigns.pause(connection, place, "key:1", spine.now)
    spine.run(step="nurture", ids=[row["id"] for row in enrolled(spine)])
    assert spine.rows("SELECT count(*) AS n FROM send WHERE step = 'second'") == [{"n": 5}]
    arrive(spine, 99)
    assert spine.rows("SELECT count(*) AS n FROM send WHERE step = 'hello'") == [{"n": 10}]
    spine.passes(5 * DAY)

    with spine.engine.begin() as connection:
        assert campaigns.resume(connection, place)
    spine.run(step="nurture")

    per_person = spine.rows("SELECT person_id, count(*) AS n FROM send WHERE step = 'second' GROUP BY person_id")
    assert sorted(row["n"] for row in per_person) == [1] * 10
    assert spine.rows("SELECT count(*) AS n FROM send WHERE step = 'hello'") == [{"n": 11}]


def test_operators_see_who_waits_for_the_workers_but_not_who_is_paused(spine: Spine) -> None:
    activate(spine)
    arrive(spine)
    spine.do("UPDATE enrolment SET due_at = :now", now=spine.now)

    def waiting() -> int:
        with spine.engine.connect() as connection:
            return sum(queue["waiting"] for queue in ops.queues(connection) if queue["name"] == "nurture")

    assert waiting() == 1
    with spine.engine.begin() as connection:
        campaigns.pause(connection, campaigns.find(connection, "warm_up"), "key:1", spine.now)
    assert waiting() == 0


def test_more_people_than_expected_hold_the_campaign_until_somebody_approves_it(spine: Spine) -> None:
    activate(spine, WARM_UP.replace("enter:", "audience: {most: 3, per: 30d}\n    enter:"))
    for number in range(3):
        arrive(spine, number)
    assert settle(spine) == 3
    spine.passes(3 * DAY)

    for number in range(3, 8):
        arrive(spine, number)
    spine.run(step="nurture")

    assert planned(spine) == {"hello": 3}
    assert len(enrolled(spine)) == 8
    assert [event["most"] for event in told(spine, "campaign.held")] == [3]
    with spine.engine.begin() as connection:
        place = campaigns.find(connection, "warm_up")
        assert campaigns.overview(connection, spine.now)[0]["status"] == "held"
        assert campaigns.approve(connection, place, None, "key:1", spine.now) == 8
    spine.run(step="nurture")
    assert planned(spine) == {"hello": 8, "second": 3}
    arrive(spine, 8)
    assert planned(spine) == {"hello": 8, "second": 3}
    spine.passes(40 * DAY)
    with spine.engine.begin() as connection:
        campaigns.approve(connection, place, None, "key:1", spine.now)
    arrive(spine, 9)
    assert planned(spine) == {"hello": 10, "second": 3}


def planned(spine: Spine) -> dict[str, int]:
    """How many messages there are, by step."""
    found = spine.rows("SELECT step, count(*) AS messages FROM send GROUP BY step")
    return {row["step"]: row["messages"] for row in found}


def test_people_of_one_campaign_do_not_wait_behind_the_many_of_another(spine: Spine) -> None:
    activate(
        spine, WARM_UP + "  thanks: {kind: service, enter: [{event: form}], again: always, steps: [{send: welcome}]}\n"
    )
    runtime = spine.runtime(serves={"identify", "qualify", "score", "route", "advance"})
    for number in range(30):
        spine.arrives({"email": f"p{number}@kiln.example"})
    runtime.hear("identify", now=spine.now)
    spine.do("UPDATE enrolment SET due_at = due_at - interval '1 hour' WHERE campaign = 'warm_up'")

    wanted = {"now": spine.now, "overdue": spine.now - DAY, "careful": False, "unread": []}
    with spine.engine.begin() as connection:
        claimed = claim(connection, "enrolment", [], [], 10, wanted, more=True)

    assert sorted(row["campaign"] for row in claimed) == ["thanks"] * 5 + ["warm_up"] * 5


# -- another version, if that is asked for -----------------------------------------------------------------------------

RENAMED = WARM_UP.replace("{name: some_days, wait: 3d}", "{name: a_week, wait: 7d}")


def test_who_is_under_way_goes_on_by_another_version_at_the_step_of_the_same_or_the_given_name(spine: Spine) -> None:
    activate(spine)
    for number in range(3):
        arrive(spine, number)
    settle(spine)
    new = activate(spine, RENAMED)
    place = place_of(spine)
    with pytest.raises(Permanent, match="no step some_days"):
        follow(spine.engine, place, new, {}, now=spine.now)
    planned = follow(spine.engine, place, new, {"some_days": "a_week"}, dry_run=True, now=spine.now)
    assert (planned["people"], planned["stuck"], planned["moved"]) == (3, [], 0)

    report = follow(spine.engine, place, new, {"some_days": "a_week"}, now=spine.now)

    assert (report["moved"], report["left"]) == (3, 0)
    assert {(row["journey"], row["step"]) for row in enrolled(spine)} == {(new, "a_week")}
    spine.passes(3 * DAY)
    spine.run(step="nurture")
    assert spine.rows("SELECT * FROM send WHERE step = 'second'") == []
    spine.passes(4 * DAY)
    spine.run(step="nurture")
    assert len(spine.rows("SELECT * FROM send WHERE step = 'second'")) == 3
    assert follow(spine.engine, place, new, {}, now=spine.now)["people"] == 0


def test_a_message_that_is_on_its_way_is_not_planned_again_under_the_new_name_of_its_step(spine: Spine) -> None:
    activate(spine)
    arrive(spine)
    new = activate(spine, WARM_UP.replace("name: hello", "name: greeting"))

    follow(spine.engine, place_of(spine), new, {"hello": "greeting"}, now=spine.now)
    spine.run(step="nurture")
    assert settle(spine) == 1

    assert [row["step"] for row in spine.rows("SELECT step FROM send")] == ["greeting"]
    assert enrolled(spine)[0]["step"] == "some_days"


def test_who_is_at_a_step_that_is_gone_leaves_if_that_is_asked_for(spine: Spine) -> None:
    activate(spine)
    arrive(spine)
    settle(spine)
    new = activate(spine, RENAMED)

    report = follow(spine.engine, place_of(spine), new, {}, leave=True, now=spine.now)

    assert report["left"] == 1
    assert [(row["outcome"], row["reason"]) for row in enrolled(spine)] == [("cancelled", "step_gone")]
    assert [event["reason"] for event in told(spine, "campaign.exited")] == ["step_gone"]


def place_of(spine: Spine) -> campaigns.Place:
    with spine.engine.connect() as connection:
        return campaigns.find(connection, "warm_up")
