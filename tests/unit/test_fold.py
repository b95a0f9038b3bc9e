"""What events mean for the figures, whatever they are and however they are cut into portions."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.kpi.measures import DIMS, MODELS, MONTHS, SIZED
from workers.figures import memory
from workers.figures.fold import ACTS, Fact, Told, fold
from workers.figures.memory import Lead
from workers.figures.rules import Days, Rules, milliseconds
from workers.figures.tally import Bucket, Tally

START = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
RULES = {"v1": Rules("default", Days("Europe/Berlin")), "v2": Rules("default", Days("UTC"))}
A, B = "01900000-0000-7000-8000-00000000000a", "01900000-0000-7000-8000-00000000000b"
THING = "01900000-0000-7000-8000-0000000000{:02x}"


def told(what: str, hours: float = 0, lead: str = A, /, **data: Any) -> Told:  # noqa: ANN401 - of an event
    return Told(lead, what, milliseconds(START + timedelta(hours=hours)), data)


def created(hours: float = 0, lead: str = A, **data: Any) -> Told:  # noqa: ANN401 - of an event
    usual = {"receipt_id": "", "source": "website", "channel": "form", "journey": "v1", "state": "lead",
             "kind": "form"}  # fmt: skip
    return told("lead.created", hours, lead, **(usual | data))


def moved(hours: float, start: str, name: str, end: str, lead: str = A, **data: Any) -> Told:  # noqa: ANN401
    where = {"name": name, "from_state": start, "to_state": end, "journey": "v1"}
    return told("lead.transitioned", hours, lead, **(where | data))


def touched(hours: float, source: str, lead: str = A, **data: Any) -> Told:  # noqa: ANN401 - of an event
    return told("lead.touched", hours, lead, **({"kind": "form", "source": source, "channel": "form"} | data))


def bought(hours: float, amount: str = "100", lead: str = A, **data: Any) -> Told:  # noqa: ANN401 - of an event
    at = (START + timedelta(hours=hours)).isoformat()
    usual = {"purchase_id": THING.format(1), "kind": "purchase", "amount": amount, "currency": "EUR", "at": at}
    return told("purchase.recorded", hours, lead, **(usual | data))


def counted(events: list[Told], cuts: frozenset[int] = frozenset()) -> tuple[dict[Bucket, list[Any]], dict[Any, Any]]:
    """Count events in portions that end at `cuts`; between them the memory is written and read, as in the database."""
    whole: dict[Bucket, list[Any]] = {}
    restated: dict[Any, list[Any]] = defaultdict(lambda: [0, 0])
    leads: dict[str, Lead] = {}
    tally = Tally(RULES)
    facts: list[Fact] = []

    def end() -> None:
        for key, (n, total, bins) in tally.buckets().items():
            into = whole.setdefault(key, [0, 0, {}])
            into[0] += n
            into[1] += total
            for number, count in bins.items():
                into[2][number] = into[2].get(number, 0) + count
        for place, found in tally.restated.items():
            restated[place][0] += found.n
            restated[place][1] += found.total

    for number, event in enumerate(events):
        if number in cuts:
            end()
            tally = Tally(RULES)
            # JSON as PostgreSQL keeps it: keys in another order.
            kept = {each: msgspec.json.encode(lead, order="deterministic") for each, lead in leads.items()}
            leads = {each: memory.read(lead) for each, lead in kept.items()}
        fold(leads, event, RULES, facts)
        tally.add(facts, event.time)
        facts.clear()
    end()
    found = {key: [n, total, {k: v for k, v in bins.items() if v}] for key, (n, total, bins) in whole.items()}
    return {key: each for key, each in found.items() if any(each)}, {k: v for k, v in restated.items() if any(v)}


def months(whole: dict[Bucket, list[Any]], mark: str) -> dict[Any, Any]:
    """Add up what has sizes by month: from its days, or from the months that are kept."""
    found: dict[Any, Any] = defaultdict(lambda: [0, 0, defaultdict(int)])
    for (journey, measure, dim, day, item, value), (n, total, bins) in whole.items():
        if measure in SIZED and dim.startswith(MONTHS) == bool(mark):
            into = found[journey, measure, dim.removeprefix(mark), date.fromordinal(day).replace(day=1), item, value]
            into[0] += n
            into[1] += total
            for number, count in bins.items():
                into[2][number] += count
    kept = {key: [n, total, {k: v for k, v in bins.items() if v}] for key, (n, total, bins) in found.items()}
    return {key: each for key, each in kept.items() if any(each)}


def alone(events: list[Told], measure: str) -> dict[tuple[str, str], tuple[int, Any]]:
    """Return `n` and `total` of a measure by item and day, of all dimensions together."""
    return {
        (item, date.fromordinal(day).isoformat()): (n, total)
        for (_, name, dim, day, item, _), (n, total, _) in counted(events)[0].items()
        if name == measure and not dim
    }


def by(events: list[Told], measure: str, dim: str) -> dict[str, int]:
    """Return how many there are of a measure by the values of a dimension."""
    found: dict[str, int] = defaultdict(int)
    for (_, name, named, _, _, value), (n, _, _) in counted(events)[0].items():
        if name == measure and named == dim:
            found[value] += n
    return dict(found)


# -- laws --------------------------------------------------------------------------------------------------------------

THINGS = st.integers(1, 3).map(THING.format)
LEADS = st.sampled_from([A, B])
NAMES = st.sampled_from(["", "ana", "ben"])
AMOUNTS = st.sampled_from([None, "0", "12.50", "1e3", "nonsense", "NaN"])
STATES = st.sampled_from(["lead", "opportunity", "customer"])


def _data() -> st.SearchStrategy[dict[str, Any]]:
    """Anything that an event may say; each type takes what it knows."""
    fields = {
        "receipt_id": THINGS, "source": st.sampled_from(["website", "fair", "throughline"]), "channel": st.just("form"),
        "journey": st.sampled_from(["v1", "v2"]), "state": STATES, "kind": st.sampled_from(["form", "ticket.replied"]),
        "campaign": NAMES, "segment": NAMES, "quiet": st.booleans(), "test": st.just(False), "name": st.just("go"),
        "from_state": STATES, "to_state": STATES, "owner": NAMES, "pool": NAMES, "from_owner": NAMES, "reason": NAMES,
        "from_journey": st.sampled_from(["v1", "v2"]), "after_s": st.integers(0, 10**6),
        "parked": st.sampled_from([{}, {A: B}, {B: A}]), "reopened": st.lists(LEADS, max_size=2), "outcome": NAMES,
        "purchase_id": THINGS, "amount": AMOUNTS, "currency": st.sampled_from([None, "EUR"]), "opportunity_id": THINGS,
        "pipeline": st.just("sales"), "stage": NAMES, "from_stage": NAMES, "ticket_id": THINGS, "desk": NAMES,
        "first": st.booleans(), "metric": NAMES, "hit": st.booleans(), "survey": st.just("csat"), "survey_id": THINGS,
        "score": st.integers(1, 5), "answer": st.integers(1, 3), "agent": NAMES, "rule": st.sampled_from([None, "a/b"]),
        "about_id": THINGS, "from_department": NAMES, "to_department": NAMES, "taken": st.booleans(),
        "follow_up_id": THINGS, "step": NAMES, "starts_on": st.sampled_from(["2026-03-01", "2027-01-01", "never"]),
        "ends_on": st.just("2026-03-02"), "cancelled": st.booleans(),
    }  # fmt: skip
    back = st.integers(0, 5000).map(lambda hours: (START - timedelta(hours=hours)).isoformat())
    may = {"at": back, "was": st.fixed_dictionaries({"kind": st.just("purchase"), "amount": AMOUNTS,
                                                     "currency": st.just("EUR"), "at": back})}  # fmt: skip
    return st.fixed_dictionaries(fields, optional=may)


EVENTS = st.lists(
    st.tuples(st.sampled_from(["lead.created", *sorted(ACTS), "lead.future"]), LEADS, _data()), min_size=1, max_size=14
)


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.frozensets(st.integers(1, 15)))
def test_figures_do_not_depend_on_portions_and_add_up(
    drawn: list[tuple[str, str, dict[str, Any]]], cuts: frozenset[int]
) -> None:
    events = [created(), created(lead=B)]
    events += [told(kind, number, lead, **data) for number, (kind, lead, data) in enumerate(drawn)]
    whole, restated = counted(events)
    assert counted(events, cuts) == (whole, restated)
    by_dim: dict[Any, list[Any]] = defaultdict(lambda: [0, 0, defaultdict(int)])
    for (journey, measure, dim, day, item, _), (n, total, bins) in whole.items():
        into = by_dim[journey, measure, day, item, dim]
        into[0] += n
        into[1] += total
        for number, count in bins.items():
            into[2][number] += count
    for (journey, measure, day, item, dim), found in by_dim.items():
        whole_of = MONTHS if dim.startswith(MONTHS) else ""
        assert found == by_dim[journey, measure, day, item, whole_of], (measure, dim)
    assert months(whole, "") == months(whole, MONTHS)
    wins = sum(n for key, (n, _, _) in whole.items() if key[1] == "won" and not key[2])
    for model in MODELS:
        credit = sum(each[1] for key, each in whole.items() if key[1] == "credit" and key[4] == model and not key[2])
        assert credit == wins * 1_000_000


# -- single figures ----------------------------------------------------------------------------------------------------


def test_a_stay_begins_and_ends_on_its_own_day_and_with_the_dimensions_it_began_with() -> None:
    events = [
        created(),
        told("lead.routed", 1, owner="ana", pool="everybody"),
        moved(50, "lead", "qualify", "opportunity"),
    ]
    # 22:30 UTC is the day before midnight in Berlin, 50 hours later it is past it.
    assert alone(events, "entered") == {("lead", "2026-03-01"): (1, 0), ("opportunity", "2026-03-04"): (1, 0)}
    assert alone(events, "left") == {("lead>qualify>opportunity", "2026-03-01"): (1, 0)}
    assert alone(events, "moved") == {("lead>qualify>opportunity", "2026-03-04"): (1, 0)}
    assert by(events, "left", "owner") == {"": 1}
    assert by(events, "moved", "owner") == {"ana": 1}


def test_what_is_told_late_counts_for_its_day_and_is_noted_as_a_restatement() -> None:
    at = (START - timedelta(days=20)).isoformat()
    whole, restated = counted([created(at=at)])
    day = (START - timedelta(days=20)).date().toordinal()
    assert {key[3] for key in whole if key[1] == "created"} == {day}
    assert restated["default", "created", day, ""] == [1, 0]
    _, later = counted([created(), moved(50, "lead", "lose", "lost")])
    assert later == {}, "how a stay ended is no restatement of the day on which it began"


def test_a_win_is_counted_once_and_shared_out_among_what_came_before_it() -> None:
    events = [created(), touched(1, "fair"), bought(24), touched(30, "shop"), bought(48, purchase_id=THING.format(2))]
    assert alone(events, "won") == {("", "2026-03-02"): (1, 0)}
    assert alone(events, "purchased") == {
        ("purchase>EUR", "2026-03-02"): (1, Decimal(100)),
        ("purchase>EUR", "2026-03-03"): (1, Decimal(100)),
    }
    credit = counted(events)[0]
    shares = {key[4:]: each[1] for key, each in credit.items() if key[1] == "credit" and key[2] == "source"}
    assert shares["linear", "website"] == shares["linear", "fair"] == 500_000
    assert shares["first", "website"] == shares["last", "fair"] == 1_000_000
    amounts = [each[1] for key, each in credit.items() if key[1] == "credit_amount" and not key[2]]
    assert amounts == [Decimal(100)] * len(MODELS)


def test_a_purchase_that_turns_out_to_be_another_is_counted_as_what_it_is() -> None:
    was = {"kind": "purchase", "amount": "100", "currency": "EUR", "at": START.isoformat()}
    events = [created(), bought(0), told("lead.routed", 1, owner="ana", pool="p"), bought(48, "80.5", was=was)]
    assert alone(events, "purchased") == {("purchase>EUR", "2026-03-03"): (1, Decimal("80.5"))}
    assert by(events, "purchased", "owner") == {"": 1}


def test_a_win_before_the_first_contact_is_a_fault_that_is_shown() -> None:
    events = [created(10), bought(0)]
    assert alone(events, "fault") == {("won_before_contact", "2026-03-01"): (1, 0)}
    assert alone(events, "won") == {("", "2026-03-01"): (1, 0)}


def test_a_parked_lead_rests_and_its_touchpoints_lead_to_the_win_of_the_other() -> None:
    merge = told("person.merged", 5, parked={B: A})
    events = [created(), created(1, B, source="fair"), merge]
    assert alone(events, "parked") == {("lead", "2026-03-02"): (1, 0)}
    assert by([*events, bought(24)], "credit", "source").keys() == {"website", "fair"}
    undone = [*events, told("person.unmerged", 6, reopened=[B])]
    assert alone(undone, "parked") == {}
    assert by([*undone, bought(24)], "credit", "source").keys() == {"website"}


def test_how_fast_we_are_is_counted_from_when_somebody_came_and_not_for_what_files_told() -> None:
    way = [
        told("lead.routed", 1, owner="ana", pool="everybody"),
        told("lead.accepted", 2, owner="ana", after_s=3600),
        touched(3, "throughline", kind="follow_up.done"),
        touched(4, "throughline", kind="ticket.replied"),
    ]
    for measure in ("detected", "assigned", "accepted", "first_response"):
        assert [n for n, _ in alone([created(), *way], measure).values()] == [1], measure
        assert alone([created(quiet=True), *way], measure) == {}, measure


def test_the_latest_answer_to_a_survey_counts_on_the_day_of_the_first() -> None:
    answer = {"survey": "csat", "survey_id": THING.format(1), "agent": "eva"}
    events = [
        created(),
        told("survey.answered", 1, **answer, score=5, answer=1),
        told("survey.answered", 90, **answer, score=2, answer=2),
    ]
    assert alone(events, "survey.answered") == {("csat", "2026-03-02"): (1, 2)}
    whole, restated = counted(events)
    assert {tuple(each[2].items()) for key, each in whole.items() if key[1] == "survey.answered"} == {((2, 1),)}
    assert [found for place, found in restated.items() if place[1] == "survey.answered"] == [[0, -3]]


def test_a_hand_over_that_is_taken_up_counts_for_the_day_on_which_it_was_handed_over() -> None:
    over = moved(1, "lead", "qualify", "opportunity", from_department="marketing", to_department="sales")
    taken = told("handover.taken", 50, about="lead", about_id=A, number=1, department="sales", actor="ana", after_s=9)
    fetched = told("handover.made", 60, about="ticket", about_id=THING.format(1), number=1, from_department="sales",
                   to_department="service", taken=True)  # fmt: skip
    events = [created(), over, taken, taken, fetched]
    days = {("marketing>sales", "2026-03-02"): (1, 0), ("sales>service", "2026-03-04"): (1, 0)}
    assert alone(events, "handover") == days
    assert alone(events, "taken") == days
    assert alone([created(), over], "taken") == {}


def test_a_migration_renames_a_state_without_ending_the_stay() -> None:
    events = [
        created(),
        told("lead.migrated", 30, from_journey="v1", journey="v2", from_state="lead", state="fresh"),
        moved(60, "fresh", "win", "customer", journey="v2"),
    ]
    assert alone(events, "migrated") == {("v1>v2", "2026-03-03"): (1, 0)}
    assert alone(events, "left").keys() == {("lead>migrate>fresh", "2026-03-01"), ("fresh>win>customer", "2026-03-01")}
    assert by(events, "entered", "version") == {"v1": 1, "v2": 2}
    assert by(events, "moved", "version") == {"v2": 1}


def test_a_stay_ends_with_the_segment_and_the_version_that_it_began_with() -> None:
    events = [
        created(segment="small"),
        touched(1, "fair", segment="large"),
        told("lead.migrated", 2, from_journey="v1", journey="v2", from_state="lead", state="lead"),
        moved(3, "lead", "win", "customer", journey="v2"),
    ]
    assert by(events, "left", "segment") == by(events, "created", "segment") == {"small": 1}
    assert by(events, "moved", "segment") == {"large": 1}
    assert by(events, "left", "version") == {"v1": 1}
    assert by(events, "entered", "version") == {"v1": 1, "v2": 1}


def test_what_is_not_known_or_not_to_be_read_is_passed_over() -> None:
    assert counted([told("lead.future", x=1), moved(1, "lead", "win", "customer")])[0].keys() >= {
        ("default", "moved", "", date(2026, 3, 2).toordinal(), "lead>win>customer", "")
    }
    assert counted([touched(0, "website")])[0] == {}, "nothing says what journey it is on"
    assert counted([created(test=True), moved(1, "lead", "win", "customer")])[0] == {}
    assert alone([created(), bought(1, "nonsense")], "fault") == {("event_unreadable", "2026-03-02"): (1, 0)}


def test_what_is_remembered_of_a_settled_lead_is_small() -> None:
    leads: dict[str, Lead] = {}
    facts: list[Fact] = []
    way = [moved(2, "lead", "qualify", "opportunity"), bought(3), moved(4, "opportunity", "win", "customer")]
    for event in (created(), touched(1, "fair"), told("lead.routed", 1, owner="ana", pool="everybody"), *way):
        fold(leads, event, RULES, facts)
    assert len(msgspec.json.encode(leads[A])) < 300
    for number in range(3 * memory.MOST_TOUCHES):
        leads[B] = leads.get(B) or Lead(version="v1")
        leads[B].touched(number, ("website", "form", "", ""))
    assert len(leads[B].touches) == memory.MOST_TOUCHES
    assert leads[B].touches[0] == (0, 0)
    things: dict[str, int] = {}
    for number in [*range(50, 60), *range(50)]:
        memory.remember(things, f"01900000-{number:04x}-7000-8000-00000000000a", number)
    assert sorted(things.values()) == list(range(60 - memory.MOST_THINGS, 60)), "the latest, whatever the order"
    assert tuple(DIMS) == ("source", "channel", "campaign", "segment", "owner", "team", "version")
