"""Clocks of tickets in the database: due on time, told once, standing still, and counted anew for another calendar."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event

from schema.settings import Settings
from schema.store import clocks as store
from tests.desking import JOURNEY, activate, entries, passes, service, tickets, told, writes
from workers.helpdesk.recalculation import recalculate
from workers.sweep import Sweeper

if TYPE_CHECKING:
    from tests.spine import Spine

MINUTE: Final = timedelta(minutes=1)
SLAS: Final = """\
  slas:
    urgent:
      when: ticket.priority == "urgent"
      first_response: 30m
      resolution: 4h
      escalate: [{at: 50}, {at: 150, to: cem, assign: true}]
    usual: {first_response: 4h, next_response: 2h, resolution: 10h}
follow_ups:
  hurry: {event: ticket.at_risk, text: Answer them., to: agent, within: 10m}
"""
OFFICE: Final = SLAS.replace(
    "    usual: {", "    usual: {hours: {tz: Europe/Berlin, mon-fri: '09:00-17:00'}, "
)  # it is Friday, 13:00 in Berlin
URGENT: Final = "It is broken!"


def clocks(spine: Spine) -> dict[str, tuple[str, int | None]]:
    """Of every clock its state, and the minutes from the first opening until it is due."""
    found = spine.rows("""
        SELECT metric || cycle AS name, state, due_at - min(started_at) OVER () AS due FROM ticket_clock
        ORDER BY ticket_id, started_at, metric, cycle
    """)
    return {row["name"]: (row["state"], None if row["due"] is None else row["due"] // MINUTE) for row in found}


def timer(spine: Spine) -> int | None:
    """Minutes until the one ticket is looked at again."""
    found = spine.rows("SELECT due_at FROM timer WHERE kind = 'ticket'")
    return (found[0]["due_at"] - spine.now) // MINUTE if found else None


def test_a_clock_that_nobody_touches_is_breached_on_time_and_each_threshold_is_told_once(spine: Spine) -> None:
    activate(spine, SLAS)
    writes(spine, message=URGENT)
    [ticket] = tickets(spine)
    assert (ticket["sla"], ticket["owner"]) == ("urgent", "ana")
    assert clocks(spine) == {"first_response1": ("active", 30), "resolution1": ("active", 240)}
    assert timer(spine) == 15

    for minutes in (15, 9, 6, 15, 75):
        passes(spine, minutes * MINUTE)
        passes(spine, timedelta())

    assert clocks(spine) == {"first_response1": ("breached", 30), "resolution1": ("active", 240)}
    assert [(each["metric"], each["owner"]) for each in told(spine, "ticket.at_risk")] == [("first_response", "ana")]
    [breached] = told(spine, "ticket.breached")
    assert (breached["policy"], breached["target_s"], breached["at"]) == (
        "urgent", 1800, (ticket["opened_at"] + 30 * MINUTE).isoformat(),
    )  # fmt: skip
    escalated = [(each["metric"], each["percent"], each["to"], each["assigned"])
                 for each in told(spine, "ticket.escalated")]  # fmt: skip
    assert escalated == [
        ("first_response", 50, "ana", False), ("first_response", 150, "cem", True), ("resolution", 50, "cem", False),
    ]  # fmt: skip
    assert tickets(spine)[0]["owner"] == "cem"
    assert entries(spine, ticket["id"])[-1] == ("assigned", "journey")
    assert [row["owner"] for row in spine.rows("SELECT owner FROM follow_up WHERE rule = 'hurry'")] == ["cem"]


def test_after_a_day_of_silence_all_that_was_passed_is_told_in_its_order_and_an_answer_too_late_is_missed(
    spine: Spine,
) -> None:
    activate(spine, SLAS)
    writes(spine, message=URGENT)
    spine.passes(timedelta(days=1))
    [ticket] = tickets(spine)
    service(spine).answer(ticket["id"], "Sorry.", "email", actor="key:1", agent="ana", now=spine.now)
    passes(spine, timedelta())

    of_ticket = [row["type"].partition(".")[2] for row in spine.rows(
        "SELECT type FROM event WHERE type ~ '^ticket.(at_risk|breached|escalated)' ORDER BY sequence"
    )]  # fmt: skip
    assert of_ticket == ["escalated", "at_risk", "breached", "escalated"] * 2
    assert clocks(spine) == {"first_response1": ("missed", 30), "resolution1": ("breached", 240)}
    assert timer(spine) is None


def test_time_stands_still_while_we_wait_for_the_customer_and_goes_on_where_it_was(spine: Spine) -> None:
    activate(spine, SLAS)
    writes(spine)
    [ticket] = tickets(spine)
    desk = service(spine)
    passes(spine, 60 * MINUTE)
    desk.note(ticket["id"], "They are angry.", actor="key:1", now=spine.now)
    assert clocks(spine)["first_response1"] == ("active", 240)
    desk.answer(ticket["id"], "Which?", "email", actor="key:1", agent="ana", status="waiting", now=spine.now)
    assert clocks(spine) == {"first_response1": ("hit", 240), "resolution1": ("active", None)}
    assert timer(spine) is None

    passes(spine, timedelta(days=3))
    with spine.engine.connect() as connection:
        shown = store.shown(connection, [ticket["id"]], spine.now)[ticket["id"]][1]
    assert (shown["state"], shown["elapsed_s"], shown["left_s"], shown["due_at"]) == ("active", 3600, 9 * 3600, None)
    assert (shown["policy"], shown["why"], shown["hours"]) == ("usual", None, "always")
    assert shown["paused_since"] == shown["started_at"] + 60 * MINUTE

    writes(spine, message="This one.")
    days = 3 * 1440
    assert clocks(spine) == {
        "first_response1": ("hit", 240), "resolution1": ("active", days + 600),
        "next_response1": ("active", days + 60 + 120),
    }  # fmt: skip
    passes(spine, 20 * MINUTE)
    desk.answer(ticket["id"], "Done.", "email", actor="key:1", agent="ana", now=spine.now)
    desk.status(ticket["id"], "resolved", actor="key:1", agent="ana", now=spine.now)
    spine.passes(timedelta(days=2))
    writes(spine, message="No.")

    assert clocks(spine)["resolution1"][0] == "hit"
    assert clocks(spine)["resolution2"] == ("active", days + 2 * 1440 + 600)
    kept = spine.rows("SELECT status, (extract(epoch FROM to_at - from_at) / 86400)::int AS days FROM ticket_pause"
                      " ORDER BY from_at")  # fmt: skip
    assert kept == [{"status": "waiting", "days": 3}, {"status": "resolved", "days": 2}]


def test_another_priority_is_another_promise(spine: Spine) -> None:
    activate(spine, SLAS)
    writes(spine)
    [ticket] = tickets(spine)
    passes(spine, 20 * MINUTE)
    service(spine).change(ticket["id"], actor="key:1", priority="urgent", now=spine.now)
    assert tickets(spine)[0]["sla"] == "urgent"
    assert clocks(spine) == {"first_response1": ("active", 30), "resolution1": ("active", 240)}
    assert [each["percent"] for each in told(spine, "ticket.escalated")] == [50]
    assert timer(spine) == 4


def test_running_clocks_are_counted_by_another_calendar_and_finished_ones_are_not(spine: Spine) -> None:
    activate(spine, SLAS)
    for number in range(3):
        writes(spine, number)
    answered, breached, running = tickets(spine)
    desk = service(spine)
    desk.answer(answered["id"], "Yes.", "email", actor="key:1", agent="ana", now=spine.now)
    spine.do("UPDATE ticket_clock SET state = 'breached', told = '[80, 100]' WHERE ticket_id = :id", id=breached["id"])
    before = spine.rows("SELECT * FROM ticket_clock ORDER BY ticket_id, metric")
    activate(spine, OFFICE)

    def counted(*, dry_run: bool = False) -> dict[str, Any]:
        return recalculate(spine.engine, None, actor="key:1", hint=spine.hints.send, dry_run=dry_run, now=spine.now)

    changes = counted(dry_run=True)
    assert spine.rows("SELECT * FROM ticket_clock ORDER BY ticket_id, metric") == before
    assert (changes["tickets"], changes["left"], changes["most_s"]) == (2, 0, {"later": 64 * 3600 * 60 // 60})
    assert changes["clocks"] == {"sooner": 0, "later": 2, "same": 1, "dropped": 0, "added": 0, "breached": 0}
    assert counted() == changes | {"dry_run": False}
    assert counted()["tickets"] == 0

    after = spine.rows("SELECT * FROM ticket_clock ORDER BY ticket_id, metric")
    changed = {(row["ticket_id"], row["metric"]) for row, was in zip(after, before, strict=True) if row != was}
    assert changed == {
        (answered["id"], "resolution"), (running["id"], "resolution"), (running["id"], "first_response"),
    }  # fmt: skip
    assert entries(spine, running["id"])[-1] == ("changed", "key:1")


def test_the_sweep_recalculates_when_another_version_is_active(spine: Spine) -> None:
    activate(spine, SLAS)
    writes(spine)
    sweeper = Sweeper(spine.engine, spine.hints, Settings())
    sweeper.sweep(spine.now)
    assert clocks(spine)["resolution1"] == ("active", 600)
    activate(spine, OFFICE)
    again = Sweeper(spine.engine, spine.hints, Settings())
    again.sweep(spine.now)
    assert clocks(spine)["resolution1"] == ("active", 600 + 64 * 60)
    assert timer(spine) == 192
    again.sweep(spine.now)
    assert len(spine.rows("SELECT FROM ticket_entry WHERE kind = 'changed'")) == 1


def test_many_due_clocks_cost_no_more_statements_than_a_few(spine: Spine) -> None:
    activate(spine, SLAS.partition("follow_ups:")[0], text=JOURNEY.replace("capacity: {tickets: 2}", ""))

    def statements(due: int, first: int) -> int:
        for number in range(first, first + due):
            spine.arrives({"email": f"c{number}@kiln.example", "message": URGENT})
        spine.do("DELETE FROM timer")
        spine.run()
        spine.passes(30 * MINUTE)
        seen: list[str] = []
        runtime = spine.runtime()
        event.listen(runtime.engine, "before_cursor_execute", lambda *call: seen.append(call[2]))
        assert runtime.hear("followup", now=spine.now) == due
        return len(seen)

    assert statements(2, 0) == statements(25, 100)
