"""What only files tell of: when it happened, that no clock runs for it, and what figures tell leads apart by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema import events
from schema.facts import Facts, Touch
from schema.journey import JourneyInvalid, default_text, load
from schema.kpi.segments import LONGEST, campaign_of, code, segment_of
from workers.decide import history
from workers.decide.advance import Move, next_moves
from workers.decide.qualify import judge
from workers.helpdesk import replay

NOW: Final = datetime(2026, 11, 21, 12, tzinfo=UTC)
BEGAN: Final = datetime(2024, 3, 1, tzinfo=UTC)
JOURNEY: Final = load(
    """
journey: history
people: {ana: {email: ana@example.com}}
sources: {files: {kind: import}}
qualify: [{name: big, require: company.employees > 5}]
requalify: {big: 30d}
route: {pools: {all: {members: {ana: 1}}}}
lifecycle:
  lead: {sla: 7d, to: {win: customer, tire: tired, turn_down: small}}
  customer: {to: {lapse: tired}}
  small: {final: true, to: {again: lead}}
  tired: {final: true}
transitions:
  win: {when: '"purchase" in touchpoint.kinds'}
  turn_down: {when: '!qualification.passed'}
  tire: {after: 90d}
  lapse: {after: 365d}
  again: {trigger: requalify}
kpis:
  tz: America/Sao_Paulo
  campaign: origin
  segment: person.custom.trade
  segments: {large: company.employees >= 500}
"""
)
WIN: Final = Move("win", "lead", "customer", "", "")


def lead(*touches: tuple[int, str], new: bool = True, quiet: bool = True, **more: Any) -> Facts:  # noqa: ANN401 - fields
    facts = Facts("l1", "files", "import", "lead", entered_at=BEGAN, quiet=quiet, **more)
    facts.touchpoints = [
        Touch(kind, BEGAN + timedelta(days=day), str(at), new) for at, (day, kind) in enumerate(touches)
    ]
    return facts


def day_of(facts: Facts, move: Move = WIN) -> int:
    return (history.moved_at(facts, JOURNEY, move, NOW) - BEGAN).days


def test_a_lead_that_only_files_tell_of_moved_with_the_arrival_that_made_it_move() -> None:
    facts = lead((9, "page"), (40, "purchase"), (60, "purchase"), (0, "form"))

    assert day_of(facts) == 40
    facts.know(qualification={"passed": False})
    assert day_of(facts, Move("turn_down", "lead", "small", "", "")) == 0
    assert history.judged_at(facts, NOW) == BEGAN
    assert history.moved_at(facts, JOURNEY, Move("win", "lead", "customer", "", "", trigger="manual"), NOW) == NOW
    assert history.moved_at(lead((40, "purchase"), new=False), JOURNEY, WIN, NOW) == NOW


def test_a_move_is_never_before_the_one_before_it_nor_after_now() -> None:
    assert day_of(lead((-30, "purchase"))) == 0
    assert history.judged_at(lead((-30, "form")), NOW) == BEGAN
    assert history.moved_at(lead((9000, "purchase")), JOURNEY, WIN, NOW) == NOW


def test_no_clock_runs_for_a_lead_that_only_files_tell_of() -> None:
    found = next_moves(lead((0, "form"), new=False), JOURNEY, NOW)
    assert (found.moves, found.overdue, found.look_again) == ((), None, None)
    assert [move.name for move in next_moves(lead((0, "form"), quiet=False), JOURNEY, NOW).moves] == ["tire"]

    told_no: dict[str, Any] = {"outcome": "disqualified", "reason": "big", "passed": False, "since": BEGAN.isoformat()}
    for quiet, again in ((True, False), (False, True)):
        facts = lead((0, "form"), new=False, quiet=quiet, qualification=told_no)
        facts.state, facts.company = "small", {"employees": 9}
        judged = judge(facts, JOURNEY, NOW)
        assert (bool(judged.again), judged.look_again) == (again, None)


@given(st.lists(st.tuples(st.integers(-400, 900), st.sampled_from(["form", "purchase"])), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_whatever_files_tell_a_move_lies_between_the_last_one_and_now(touches: list[tuple[int, str]]) -> None:
    facts = lead(*touches)
    at = history.moved_at(facts, JOURNEY, WIN, NOW)
    assert BEGAN <= at <= NOW
    assert at in {NOW, BEGAN, *(touch.occurred_at for touch in facts.touchpoints)}


# -- segments and campaigns --------------------------------------------------------------------------------------------


def test_the_segment_is_the_first_that_fits_else_what_its_field_says() -> None:
    known = {"custom": {"trade": "home decor"}}
    assert segment_of(lead(person=known, company={"employees": 800}), JOURNEY) == "large"
    assert segment_of(lead(person=known, company={"employees": 8}), JOURNEY) == "home decor"
    assert segment_of(lead(person={"custom": {"trade.b": 1}}), JOURNEY) is None
    nested = load(default_text() + "\nkpis: {segment: person.custom.a.b}\n")
    assert segment_of(lead(person={"custom": {"a": {"b": True}}}), nested) == "true"
    assert segment_of(lead(person={"custom": {"a.b": 7}}), nested) == "7"
    assert segment_of(lead(), load(default_text() + "\nkpis: {segment: source}\n")) == "files"


@pytest.mark.parametrize(
    "written",
    ["ada@lind.example", "ada%40lind.example", "+49 171 2345678", "x" * (LONGEST + 1), "call me\x00",
     "we are a small firm of bakers", "", " ", None, {"a": 1}, 1.5],
)  # fmt: skip
def test_an_address_a_number_to_call_or_a_sentence_is_no_segment(written: object) -> None:
    assert code(written) is None


def test_a_campaign_is_told_by_its_name_and_never_by_an_address() -> None:
    assert campaign_of({"origin": " paid search ", "utm_campaign": "x"}, JOURNEY) == "paid search"
    assert campaign_of({"utm_campaign": "spring|DE"}, load(default_text())) == "spring|DE"
    assert len(campaign_of({"origin": "y" * 500}, JOURNEY) or "") == 100
    for written in ("ada@lind.example", "a\nb", "", 7, None):
        assert campaign_of({"origin": written}, JOURNEY) is None


def test_a_segment_that_would_name_somebody_is_refused_with_what_it_can_be() -> None:
    with pytest.raises(JourneyInvalid, match=r"kpis\.segment: a segment cannot be this field; it can be source"):
        load(default_text() + "\nkpis: {segment: person.email}\n")


# -- events ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(events.TYPES))
def test_events_told_before_a_field_was_there_are_read_and_old_readers_find_theirs(name: str) -> None:
    """What is new in an event may be left out, and is left out where there is nothing to tell."""
    schema = events.json_schema(name)
    data = schema["properties"]["data"]
    new = {"at", "campaign", "segment", "was", "kind"} - set(data.get("required", ()))
    assert "#/$defs" not in str(schema)
    for optional in new & data["properties"].keys():
        assert "default" not in data["properties"][optional]


def test_what_there_is_nothing_to_tell_of_is_not_in_an_event() -> None:
    old = {"person_id": "p", "receipt_id": "r", "source": "s", "channel": "form", "journey": "v", "state": "lead"}
    read = msgspec.convert(old, events.LeadCreated)
    assert msgspec.to_builtins(read) == old | {"quiet": False, "test": False}
    told = msgspec.structs.replace(read, at=BEGAN, segment="large")
    assert msgspec.to_builtins(told)["at"] == "2024-03-01T00:00:00Z"
    assert msgspec.json.decode(msgspec.json.encode(told), type=events.LeadCreated) == told


# -- another help desk's log -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("done", "resolving", "again", "turns"),
    [
        ("abc", "", False, "3r"),
        ("abc", "c", False, "3r"),
        ("acbc", "c", False, "2r 3o 4r"),
        ("accb", "c", False, "2r 4o 4r"),
        ("c", "c", False, "1r"),
        ("", "c", True, ""),
        ("c", "c", True, ""),
        ("ab", "", True, "1o 2r"),
    ],
)
def test_a_case_is_resolved_by_what_resolves_it_and_opened_again_by_what_comes_after(
    done: str, resolving: str, turns: str, *, again: bool
) -> None:
    steps = [replay.Done(BEGAN + timedelta(days=day), name) for day, name in enumerate(done, 1)]
    found = replay.turned(steps, set(resolving), again=again)
    assert " ".join(f"{(at - BEGAN).days}{'r' if turn == 'resolved' else 'o'}" for turn, at in found) == turns
