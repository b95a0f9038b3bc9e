"""The flight recorder: a stored decision, made again from what it started from, comes out as it is stored."""

from __future__ import annotations

import copy
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema import tables
from schema.facts import Facts, Touch
from schema.journey import Journey, default_text, load
from workers.batch import Case
from workers.decide.inputs import inputs
from workers.decide.staff import Absence, Staff
from workers.replay import replay
from workers.simulate.history import Arrival, ByHand, Found, Recorded, Window
from workers.simulate.world import Imagined, Life, World

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Table

START = datetime(2026, 11, 2, 8, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(days=120))
BUSY = """\
journey: busy
calendars: {office: {tz: Europe/Berlin, mon-fri: '09:00-17:00'}}
lists: {rivals: [rival.example]}
people:
  ana: {email: ana@example.com, capacity: {open: 2}, calendar: office, speaks: [de]}
  ben: {email: ben@example.com, capacity: {max: 1, per: 5d}, speaks: [en]}
  cem: {email: cem@example.com}
qualify:
  - {name: reachable, require: has(person.email) || has(person.phone), reason: unreachable, unknown: fail}
  - {name: rival, reject: company.domain in lists.rivals, unknown: pass}
  - {name: need, require: size(lead.message) > 10 || size(lead.interests) > 1, within: 10d, otherwise: fail}
requalify: {need: {news: true, after: 20d}}
score:
  fit:
    - {when: company.employees >= 50, points: 20, label: Large}
    - {when: 'person.country in ["DE", "AT"]', points: 10}
    - {when: 'person.custom.tier == "gold"', points: 15}
  engagement: {half_life: 10d, cap: 60, on: {form: 30, chat: {points: 10, max: 2, per: 3d}, email.click: 5}}
  grades: {A: 60, B: 40, C: 20}
route:
  accept_within: 4h
  remind_after: 1h
  hand_on: 2
  sticky: 30d
  escalate_to: cem
  pools:
    dach:
      when: person.country in ["DE", "AT"]
      members: {ana: 2, ben: 1}
      fits: '"de" in member.speaks || source == "api"'
    all: {members: {ana: 1, ben: 3}}
lifecycle:
  lead: {sla: 5d, to: {disqualify: out, qualify: sale, expire: out}}
  sale: {sla: 10d, to: {win: won, lose: out}}
  won: {final: true, outcome: won, to: {again: lead}}
  out: {final: true, outcome: lost, to: {come_back: lead}}
transitions:
  disqualify: {when: 'qualification.outcome == "disqualified"'}
  qualify: {when: qualification.passed && score.total >= 40 && touchpoint.count > 0}
  expire: {after: 40d}
  come_back: {trigger: requalify}
"""
JOURNEYS = {"default": load(default_text()), "busy": load(BUSY)}
KINDS = ("form", "chat", "email.click", "page.pricing", "purchase")


class Remembered(Imagined):
    """A batch of one lead whose decisions are kept as the database would."""

    def __init__(self) -> None:
        super().__init__(None, START)
        self.kept: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def write(self, table: Table, row: Mapping[str, Any]) -> None:
        super().write(table, row)
        if table is tables.decision:
            stored = msgspec.json.decode(msgspec.json.encode(dict(row)))
            self.kept[row["lead_id"]].append(stored | {"at": row["at"]})


class RecordedWorld(World):
    """A world whose steps keep what they start from, as workers do."""

    def __init__(self, journey: Journey, staff: Staff) -> None:
        super().__init__(journey, WINDOW, staff=staff)
        self.remembered = Remembered()
        self.remembered.pools = self._desk
        self._batch = self.remembered

    def _case(self, life: Life, at: datetime) -> Case:
        case = super()._case(life, at)
        case.inputs = None
        return case


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "email": st.just("somebody@example.com"),
        "phone": st.just("+4930123456"),
        "country": st.sampled_from(["DE", "AT", "US"]),
        "custom": st.fixed_dictionaries({}, optional={"tier": st.sampled_from(["gold", "tin"]), "other": st.text()}),
    },
)
COMPANIES = st.fixed_dictionaries(
    {},
    optional={"employees": st.integers(0, 10**20), "domain": st.sampled_from(["rival.example", "fine.example"])},
)
SAYS = st.fixed_dictionaries(
    {},
    optional={"message": st.text(max_size=40), "interests": st.lists(st.text(max_size=5), max_size=3)},
)
MOMENTS = st.integers(0, 90 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))


@st.composite
def leads(draw: st.DrawFn) -> list[Recorded]:
    found = []
    for number in range(draw(st.integers(1, 3))):
        moments = sorted(draw(st.lists(MOMENTS, min_size=1, max_size=3, unique=True)))
        touches = [
            Touch(draw(st.sampled_from(KINDS)), at - timedelta(hours=draw(st.integers(0, 48))), f"{number}-{place}",
                  machine=draw(st.booleans()))
            for place, at in enumerate(moments)
        ]  # fmt: skip
        hands = draw(st.lists(st.tuples(MOMENTS, st.sampled_from(["win", "lose", "again"])), max_size=2))
        found.append(
            Recorded(
                id=f"{number:04}",
                person_id=f"p{number:04}",
                source=draw(st.sampled_from(["website", "api"])),
                channel="form",
                created_at=moments[0],
                person=draw(VALUES),
                company=draw(COMPANIES),
                lead=draw(SAYS) | {"created_at": moments[0]},
                touches=(),
                arrivals=tuple(Arrival(at, touch) for at, touch in zip(moments, touches, strict=True)),
                by_hand=tuple(ByHand(at, name, "price", "key") for at, name in hands if at > moments[0]),
                carried=None,
                found=Found("lead", None, None, None, settled=False),
            )
        )
    return sorted(found, key=lambda one: (one.arrivals[0].at, one.id))


STAFF = st.builds(
    lambda spells: Staff(away={name: [Absence(start, end)] for name, start, end in spells}),
    st.lists(
        st.tuples(st.sampled_from(["ana", "ben", "cem", "dee"]), MOMENTS, st.none() | st.just(WINDOW.until)), max_size=3
    ),
)


def decisions(journey: Journey, recorded: Sequence[Recorded], staff: Staff) -> list[list[dict[str, Any]]]:
    """The decisions of each lead in order; one that a simulation begins anew after its end is a lead of its own."""
    world = RecordedWorld(journey, staff)
    world.enter(recorded)
    for _ in world.until(None):
        pass
    lives: list[list[dict[str, Any]]] = []
    for row in chain.from_iterable(world.remembered.kept.values()):
        if row["number"] == 1:
            lives.append([])
        lives[-1].append(row)
    return lives


@pytest.mark.parametrize("name", list(JOURNEYS))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recorded=leads(), staff=STAFF)
def test_every_stored_decision_made_again_is_the_same(name: str, recorded: list[Recorded], staff: Staff) -> None:
    journey = JOURNEYS[name]
    for rows in decisions(journey, recorded, staff):
        again = replay(rows, lambda _: journey)
        assert [made for made in again if made.same is not True] == []
        decided = [row["number"] for row in rows if row["step"] != "move"]
        assert [made.number for made in again] == decided


def one_lead(**known: Any) -> Recorded:  # noqa: ANN401 - of several kinds
    return Recorded(
        id="0001", person_id="p1", source="website", channel="form", created_at=START,
        person={"email": "somebody@example.com", "country": "US"} | known,
        company={"employees": 80}, lead={"message": "We want to buy a lot of it."}, touches=(),
        arrivals=(
            Arrival(START, Touch("form", START, "t1")),
            Arrival(START + timedelta(days=1), Touch("chat", START, "t2")),
        ),
        by_hand=(), carried=None, found=Found("lead", None, None, None, settled=False),
    )  # fmt: skip


def stored(journey: Journey = JOURNEYS["busy"]) -> list[dict[str, Any]]:
    return decisions(journey, [one_lead()], Staff())[0]


@pytest.mark.parametrize(
    ("step", "change", "differs"),
    [
        ("score", {"total": 99}, "explanation.total"),
        ("qualify", {"reason": "competitor"}, "explanation.reason"),
        ("route", {"owner": "cem"}, "explanation.owner"),
        ("advance", {"considered": []}, "explanation.considered"),
    ],
)
def test_a_decision_that_was_tampered_with_is_found(step: str, change: dict[str, Any], differs: str) -> None:
    rows = copy.deepcopy(stored())
    tampered = next(row for row in rows if row["step"] == step)
    tampered["explanation"] |= change

    (found,) = [made for made in replay(rows, lambda _: JOURNEYS["busy"]) if made.number == tampered["number"]]
    assert found.same is False
    assert differs in found.differs


def test_other_rules_come_to_another_decision() -> None:
    colder = load(BUSY.replace("points: 20, label: Large", "points: 1, label: Large"))
    again = replay(stored(), lambda _: colder)

    assert "explanation.total" in next(made for made in again if made.step == "score").differs


def test_a_decision_from_before_inputs_were_kept_says_so() -> None:
    rows = [row | {"explanation": {k: v for k, v in row["explanation"].items() if k != "inputs"}} for row in stored()]

    assert {made.why_not for made in replay(rows, lambda _: JOURNEYS["busy"])} == {"its inputs were not kept"}


def test_a_run_whose_earlier_touchpoints_are_gone_says_so() -> None:
    rows = stored()
    second = next(row["at"] for row in rows if row["at"] > START and "known" in row["explanation"].get("inputs", {}))

    again = replay([row for row in rows if row["at"] == second], lambda _: JOURNEYS["busy"])
    assert {made.why_not for made in again} == {"earlier touchpoints are missing"}


def test_what_rules_only_ask_the_presence_or_size_of_is_not_kept() -> None:
    kept = str(stored())

    assert "somebody@example.com" not in kept
    assert "We want to buy" not in kept
    first = next(row["explanation"]["inputs"] for row in stored() if "inputs" in row["explanation"])
    assert first["person"] == {"email": True, "country": "US"}
    assert first["lead"] == {"message": 27}


def test_inputs_are_kept_once_for_each_run() -> None:
    runs = [row["at"] for row in stored() if "inputs" in row["explanation"]]

    assert len(runs) == len(set(runs)) >= 2


FACTS = st.builds(
    lambda person, company, says, touches: Facts(
        "l1", "website", "form", "lead", person, company, says, touches, entered_at=START
    ),
    VALUES,
    COMPANIES,
    SAYS,
    st.lists(
        st.builds(Touch, st.sampled_from(KINDS), MOMENTS, st.uuids().map(str)), max_size=6, unique_by=lambda t: t.id
    ),
)


@pytest.mark.parametrize("name", list(JOURNEYS))
@settings(max_examples=25, deadline=None)
@given(facts=FACTS, order=st.randoms(use_true_random=False))
def test_the_order_of_fields_and_touchpoints_decides_nothing(name: str, facts: Facts, order: Any) -> None:  # noqa: ANN401
    journey = JOURNEYS[name]
    shuffled = Facts("l1", "website", "form", "lead", entered_at=START)
    for root in ("person", "company", "lead"):
        items = list(getattr(facts, root).items())
        order.shuffle(items)
        setattr(shuffled, root, dict(items))
    shuffled.touchpoints = list(facts.touchpoints)
    order.shuffle(shuffled.touchpoints)

    assert all_decided(shuffled, journey) == all_decided(facts, journey) == all_decided(facts, journey)


def all_decided(facts: Facts, journey: Journey) -> list[tuple[Any, ...]]:
    """What the steps say about a lead, of a batch made for it alone."""
    now = START + timedelta(days=95)
    fresh = Facts(**{name: getattr(facts, name) for name in ("lead_id", "source", "channel", "state", "person",
                  "company", "lead", "touchpoints", "entered_at")})  # fmt: skip
    world = RecordedWorld(journey, Staff())
    recorded = Recorded(
        id="l1", person_id="p", source=fresh.source, channel=fresh.channel, created_at=START,
        person=fresh.person, company=fresh.company, lead=fresh.lead, touches=tuple(fresh.touchpoints),
        arrivals=(Arrival(now, Touch("form", now, "last")),), by_hand=(), carried=None,
        found=Found("lead", None, None, None, settled=False),
    )  # fmt: skip
    world.enter([recorded])
    for _ in world.until(now + timedelta(seconds=1)):
        pass
    return [
        (row["step"], row["outcome"], row["reason"], {k: v for k, v in row["explanation"].items() if k != "inputs"})
        for row in world.remembered.kept["l1"]
    ]


def test_inputs_of_a_new_lead_are_small() -> None:
    facts = Facts("l1", "website", "form", "lead", entered_at=START, touchpoints=[Touch("form", START, "t" * 36)])
    facts.person = {"id": "p", "name": "Somebody", "email": "somebody@example.com", "country": "DE"}

    assert len(msgspec.json.encode(inputs(facts, JOURNEYS["default"], "qualify", START))) < 250
