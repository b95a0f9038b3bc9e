"""Follow-ups: until when work is due, what is told of it and when; and whose digest is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.facts import Facts
from schema.hours import hours
from schema.journey import Journey, JourneyInvalid, load
from schema.journey.follow_up import FollowUpRule
from workers.decide.follow_up import News, due, look, work
from workers.followups.digests import readers

HOUR = timedelta(hours=1)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
LEAD, TICKET = "the lead", "the ticket"
JOURNEY = """
journey: team
people:
  ana: {email: a@example.com, tz: Europe/Berlin, hours: {mon-fri: '09:00-17:00'}}
  ben: {email: b@example.com}
calendars: {desk: {tz: Europe/Berlin, mon-sun: '08:00-20:00'}}
route: {pools: {all: {members: {ana: 1, ben: 1}}}}
lifecycle: {lead: {to: {win: won}}, won: {final: true}}
score: {fit: [{when: has(person.email), points: 60}]}
follow_ups:
  call: {state: won, text: Call them, within: 4h, remind: 1h, escalate: {to: ben, after: 2h}}
  help: {event: [ticket.breached, ticket.at_risk], text: Help, to: agent, within: 2h, calendar: desk}
  warm: {event: form, text: Call now, to: ben, within: 1h, when: score.total >= 50}
"""


def journey(text: str = JOURNEY) -> Journey:
    return load(text)


def facts(**more: Any) -> Facts:  # noqa: ANN401 - any of them
    return Facts(**({"lead_id": LEAD, "source": "w", "channel": "form", "state": "won", "owner": "ana"} | more))


def row(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - columns
    told = dict.fromkeys(("remind_at", "reminded_at", "late_at", "escalated_at"))
    return {"rule": "call", "owner": "ana", "due_at": NOW} | told | more


def test_work_is_made_of_what_happened_by_the_clock_of_whoever_gets_it() -> None:
    breached = News("ticket.breached", "b1", "ticket", TICKET, "ben")
    news = [breached, breached._replace(event="ticket.at_risk", occasion="r1"), News("form", "t1", "lead", LEAD)]

    made = work(facts(), journey(), NOW, news, "state 1")

    assert [(each.rule, each.occasion, each.role, each.owner, each.due_at) for each in made] == [
        ("call", "state 1", "owner", "ana", NOW + 4 * HOUR),  # five in Berlin, when her day ends
        ("help", "b1", "agent", "ben", NOW + 2 * HOUR),
    ]
    assert made[0].remind_at == NOW + 3 * HOUR
    late = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
    assert [each.due_at for each in work(facts(), journey(), late, news, "state 1")] == [
        datetime(2026, 11, 23, 12, tzinfo=UTC),  # Monday
        datetime(2026, 11, 21, 8, 30, tzinfo=UTC),  # half an hour of the desk is left today
    ]
    known = work(facts(score={"total": 60}, state="lead"), journey(), NOW, news[2:], "state 1")
    assert [(each.rule, each.role, each.owner) for each in known] == [("warm", "person", "ben")]
    [nobodys] = work(facts(owner=None), journey(), NOW, [], "state 1")
    assert (nobodys.owner, nobodys.due_at) == (None, NOW + 4 * HOUR)


@given(
    st.integers(0, 525_600).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)),
    st.integers(1, 600).map(lambda minutes: timedelta(minutes=minutes)),
    st.sampled_from(["ana", "ben", None]),
)
def test_work_is_due_after_exactly_so_much_of_its_persons_time(
    start: datetime, within: timedelta, owner: str | None
) -> None:
    told = journey()

    due_at = due(told, None, owner, start, within)

    calendar = told.people["ana"].hours
    assert calendar
    worked = hours(calendar, "Europe/Berlin").worked(start, due_at) if owner == "ana" else due_at - start
    assert worked == within
    same_day = due(told, None, owner, start, None)
    assert start < same_day <= start + timedelta(days=4)


@given(st.lists(st.integers(-240, 900), min_size=1, max_size=12), st.booleans())
def test_however_often_and_late_it_is_looked_at_each_thing_is_told_once_and_in_time(
    looks: list[int],
    reminds: bool,  # noqa: FBT001 - drawn
) -> None:
    known = row(remind_at=NOW - HOUR if reminds else None)
    told: list[tuple[str, datetime]] = []
    at: datetime | None = min(known["remind_at"] or NOW, NOW)
    for minutes in sorted(looks):
        now = NOW + timedelta(minutes=minutes)
        found = look(known, journey(), now)
        fresh = [(name, now) for name in ("remind", "late", "escalate") if getattr(found, name)]
        assert not fresh or (at is not None and now >= at)  # nothing is missed by sleeping until then
        told += fresh
        known |= {
            "reminded_at": now if found.remind else known["reminded_at"],
            "late_at": now if found.late else known["late_at"],
            "escalated_at": now if found.escalate else known["escalated_at"],
        }
        at = found.at
        assert at is None or at > now
    names = [name for name, _ in told]
    assert len(set(names)) == len(names)
    assert all((now < NOW) == (name == "remind") for name, now in told)
    last = NOW + timedelta(minutes=max(looks))
    assert ("late" in names) == (last >= NOW)
    # The office is closed for the two hours after: it is escalated on Monday, beyond all of these looks.
    assert ("escalate" in names) == (last >= due(journey(), None, "ana", NOW, 2 * HOUR))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{text: x, within: 1h}", "what sets it off"),
        ("{state: won, event: form, text: x, within: 1h}", "what sets it off"),
        ("{state: won, text: x, within: 1h, outcomes: [cancelled]}", "use another word"),
        ("{state: wonn, text: x, within: 1h}", "there is no state wonn; did you mean won"),
        ("{state: won, text: x, within: 1h, to: anna}", "did you mean ana"),
        ("{state: won, text: x, within: 1h, remind: 1h}", "less than 1 hour"),
        ("{state: won, text: x, within: 1h, escalate: {to: agent}}", "there are owner, ana, ben"),
        ("{state: won, text: x, within: 1h, calendar: dsk}", "did you mean desk"),
        ("{state: won, text: x, within: 1h, when: score.total > 100}", "never makes any work"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_found_where_it_stands(rule: str, message: str) -> None:
    text = f"{JOURNEY}  wrong: {rule}\n"

    with pytest.raises(JourneyInvalid) as found:
        load(text)

    assert [(str(problem.line), message in problem.message) for problem in found.value.problems] == [
        (str(text.count("\n")), True)
    ]


def test_what_a_rule_says_nothing_about_is_as_usual() -> None:
    rule = FollowUpRule.model_validate({"state": "won", "text": "x", "within": "1h"})
    assert (rule.to, rule.outcomes) == ("owner", ("done", "not_reached", "not_needed"))


@pytest.mark.parametrize(
    ("at", "who"),
    [
        ("2026-11-20T06:59+00:00", []),
        ("2026-11-20T07:00+00:00", ["ana"]),  # eight in Berlin
        ("2026-11-20T13:30+00:00", ["dee"]),  # half past eight in New York
        ("2026-11-21T07:30+00:00", []),  # the pool of both is closed on Saturday
        ("2026-07-01T06:00+00:00", ["ana"]),  # summer time
    ],
)
def test_a_digest_is_due_by_the_clock_of_whoever_reads_it(at: str, who: list[str]) -> None:
    journey = load("""
journey: team
people:
  ana: {email: a@example.com, tz: Europe/Berlin, digest: '08:00'}
  ben: {email: b@example.com, tz: Europe/Berlin}
  dee: {email: d@example.com, tz: America/New_York, digest: '08:00'}
mail: {sender: us@example.com, postal: Street 1}
route: {pools: {all: {members: {ana: 1, ben: 1, dee: 1}, hours: {tz: UTC, mon-fri: '08:00-20:00'}}}}
lifecycle: {lead: {to: {win: won}}, won: {final: true}}
""")
    assert [each.person for each in readers([journey, journey], datetime.fromisoformat(at))] == who
