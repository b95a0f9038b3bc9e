"""Contracts: what renews and what ends is decided once, whoever is first; and customers are told of before they go."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from schema.contract import Told
from schema.errors import Permanent
from schema.store import journeys
from schema.store.why import told
from workers.identity.merge import Merger
from workers.retention.by_hand import Retention

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.spine import Spine

JOURNEY: Final = """\
journey: default
people: {ana: {email: ana@example.com}}
sources:
  website: {kind: form}
  shop: {kind: events}
  list: {kind: import}
  api: {kind: api}
score: {engagement: {half_life: 30d, on: {form: 10, purchase: 40}}}
route: {pools: {everybody: {members: {ana: 1}}}}
lifecycle:
  lead: {to: {win: customer}}
  customer: {outcome: won, to: {renew: renewed, lapse: inactive}}
  renewed: {to: {lapse: inactive}}
  inactive: {final: true}
transitions:
  win: {when: '"purchase" in touchpoint.kinds'}
  renew: {when: '"contract.renewed" in touchpoint.kinds'}
  lapse:
    when: >-
      "contract.ended" in touchpoint.kinds && person.contracts.running == 0 || "customer.inactive" in touchpoint.kinds
contracts: {tz: Europe/Berlin, grace: 14d, inactive_after: 200d}
health:
  start: 50
  rules:
    - {when: score.engagement >= 20, points: 30, label: They use it}
    - {when: person.contracts.running > 0, points: 10}
    - {when: person.tickets.complaints > 0, points: -30}
offers:
  onboarding: {product: Onboarding, when: state == "customer"}
  premium: {product: Premium, label: Premium care, kind: upsell, when: person.custom.seats > 100}
follow_ups:
  talk: {event: contract.renewal_due, text: Talk about the renewal, within: 2d}
  rescue: {event: customer.at_risk, text: Ask how they are, within: 1d}
"""
NAME: Final = "jo@kiln.example"
COMPLAINT: Final = """
INSERT INTO ticket (id, lead_id, person_id, journey_name, journey, kind, priority, status, source, channel,
                    opened_at, opened_by, status_since, updated_at)
VALUES (gen_random_uuid(), :lead, :person, 'default', 'v', 'complaint', 'high', :status, 'shop', 'event',
        now(), 'customer', now(), now())
"""


@pytest.fixture(autouse=True)
def _journey(spine: Spine) -> None:
    with spine.engine.begin() as connection:
        journeys.activate(connection, journeys.store(connection, JOURNEY, spine.now), spine.now)


@pytest.fixture
def lead(spine: Spine) -> str:
    """Somebody who came in by a form."""
    receipt = spine.arrives({"email": NAME, "name": "Jo Kiln"})
    spine.run()
    return str(spine.lead_of(receipt)["id"])


@pytest.fixture
def retention(spine: Spine) -> Retention:
    return Retention(spine.engine, spine.hints.send)


def tells(spine: Spine, kind: str, /, **data: Any) -> str:  # noqa: ANN401 - fields of an event
    """Another system tells of something."""
    event = {
        "specversion": "1.0",
        "id": f"{kind}{data}",
        "source": "/shop",
        "type": kind,
        "data": {"email": NAME} | data,
    }
    receipt = spine.arrives(json.dumps(event, default=str).encode(), source="shop", channel="event")
    spine.run()
    return receipt


def wait(spine: Spine, until: datetime) -> None:
    """Let time pass, and do what is due by then."""
    spine.now = until
    spine.run(step="followup")


def contracts(spine: Spine) -> list[tuple[str, str, str]]:
    rows = spine.rows("SELECT starts_on, ends_on, status FROM contract ORDER BY starts_on, id")
    return [(row["starts_on"].isoformat(), row["ends_on"].isoformat(), row["status"]) for row in rows]


def events(spine: Spine, kind: str) -> list[dict[str, Any]]:
    return [row["data"] for row in spine.rows("SELECT data FROM event WHERE type = :kind ORDER BY position", kind=kind)]


def moves(spine: Spine) -> list[str]:
    return [row["name"] for row in spine.rows("SELECT name FROM transition ORDER BY at, number")]


def touches(spine: Spine) -> list[str]:
    return [row["kind"] for row in spine.rows("SELECT kind FROM touchpoint ORDER BY recorded_at, occurred_at, id")]


def add(spine: Spine, retention: Retention, lead: str, **told: Any) -> str:  # noqa: ANN401 - what is said of it
    done = retention.add(lead, Told("started", **told), actor="key:1", now=spine.now)
    spine.run(step="score")
    return str(done["id"])


# -- the way of a contract ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("lead")
def test_a_purchase_begins_a_contract_that_is_talked_about_and_ends_after_its_grace(spine: Spine) -> None:
    tells(spine, "purchase", total="1200", currency="EUR", order_id="O-1", contract={"id": "C-1", "period": "yearly"})
    assert contracts(spine) == [("2026-11-20", "2027-11-19", "active")]
    assert moves(spine) == ["win"]

    wait(spine, datetime(2027, 8, 21, 21, 59, tzinfo=UTC))  # a minute before midnight in Berlin
    assert events(spine, "contract.renewal_due") == []
    wait(spine, datetime(2027, 8, 21, 22, 0, tzinfo=UTC))
    wait(spine, datetime(2027, 11, 15, tzinfo=UTC))  # two moments were missed
    wait(spine, datetime(2027, 11, 16, tzinfo=UTC))
    told = [(each["before_s"] // 86400, each["missed"]) for each in events(spine, "contract.renewal_due")]
    assert told == [(90, 0), (7, 2)]
    work = spine.rows("SELECT rule, about_kind, about_id, owner FROM follow_up")
    assert {(row["rule"], row["about_kind"], row["owner"]) for row in work} == {("talk", "contract", "ana")}

    wait(spine, datetime(2027, 12, 3, 22, 59, tzinfo=UTC))
    assert moves(spine) == ["win"]
    wait(spine, datetime(2027, 12, 3, 23, 0, tzinfo=UTC))
    assert (contracts(spine), moves(spine)) == ([("2026-11-20", "2027-11-19", "ended")], ["win", "lapse"])
    assert [(each["running"], each["cancelled"]) for each in events(spine, "contract.ended")] == [(0, False)]


@pytest.mark.parametrize(
    "again",
    [
        {"contract": {"id": "C-1"}},  # the payment for it, without days
        {"contract": {"id": "C-1", "start": "2027-11-20", "period": "P12M"}},
        {},  # it does not even say which: there is one
    ],
)
@pytest.mark.usefixtures("lead")
def test_renewed_by_itself_and_by_its_payment_there_is_one_next_term(spine: Spine, again: dict[str, Any]) -> None:
    tells(spine, "contract.started", contract={"id": "C-1", "period": "P12M", "auto_renew": True}, total=1)
    end = datetime(2027, 11, 19, 23, 0, tzinfo=UTC)
    wait(spine, end - timedelta(seconds=1))
    assert len(contracts(spine)) == 1
    wait(spine, end)
    spine.passes(timedelta(hours=2))
    tells(spine, "renewal", **again)
    tells(spine, "renewal", **again, note="told again")
    assert contracts(spine) == [("2026-11-20", "2027-11-19", "renewed"), ("2027-11-20", "2028-11-19", "active")]
    assert [each["by"] for each in events(spine, "contract.renewed")] == ["itself"]
    assert events(spine, "contract.renewal_due") == []


@pytest.mark.usefixtures("lead")
def test_a_payment_that_comes_before_its_end_renews_it_and_the_timer_finds_it_done(spine: Spine) -> None:
    tells(spine, "purchase", total=1, currency="EUR")
    tells(spine, "contract.started", contract={"id": "C-1", "period": "P12M", "auto_renew": True})
    end = datetime(2027, 11, 19, 23, 0, tzinfo=UTC)
    wait(spine, end - timedelta(hours=2))
    tells(spine, "contract.renewed", contract={"id": "C-1"}, total="1200", currency="EUR", order_id="O-2")
    wait(spine, end + timedelta(hours=1))
    assert contracts(spine) == [("2026-11-20", "2027-11-19", "renewed"), ("2027-11-20", "2028-11-19", "active")]
    assert [each["by"] for each in events(spine, "contract.renewed")] == ["arrival"]
    assert (moves(spine), touches(spine).count("contract.renewed")) == (["win", "renew"], 1)


@pytest.mark.usefixtures("lead")
def test_what_was_down_for_months_catches_up_with_every_term_and_tells_of_the_last(spine: Spine) -> None:
    start = datetime(2027, 1, 31, 12, tzinfo=UTC)
    spine.now = start
    tells(spine, "contract.started", contract={"id": "C-1", "period": "monthly", "auto_renew": True})
    wait(spine, datetime(2027, 5, 10, tzinfo=UTC))
    assert [term[0] for term in contracts(spine)] == ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30"]
    assert [term[2] for term in contracts(spine)] == ["renewed", "renewed", "renewed", "active"]
    assert (len(events(spine, "contract.renewed")), touches(spine).count("contract.renewed")) == (3, 1)


def test_only_the_end_of_the_last_contract_lets_a_customer_lapse(spine: Spine, lead: str, retention: Retention) -> None:
    tells(spine, "purchase", total=1, currency="EUR")
    first = add(spine, retention, lead, period="P1M")
    add(spine, retention, lead, period="P12M")
    retention.cancel(first, reason="not_used", actor="key:1", now=spine.now)
    wait(spine, datetime(2026, 12, 20, tzinfo=UTC))  # cancelled: no grace, nothing to talk about
    assert [status for _, _, status in contracts(spine)] == ["cancelled", "active"]
    assert [(each["running"], each["reason"]) for each in events(spine, "contract.ended")] == [(1, "not_used")]
    assert moves(spine) == ["win"]
    tells(spine, "contract.ended")  # of which is not said, but one runs
    assert [status for _, _, status in contracts(spine)] == ["cancelled", "ended"]
    assert moves(spine) == ["win", "lapse"]


def test_what_another_system_calls_by_a_name_is_that_contract_and_nobody_elses(spine: Spine, lead: str) -> None:
    begins = {"contract": {"id": "C-1", "start": "2026-11-01", "end": "2027-10-31"}}
    tells(spine, "contract.started", **begins)
    tells(spine, "contract.started", **begins, note="again")
    tells(spine, "contract.started", contract={"id": "C-1", "start": "2027-11-01", "end": "2028-10-31"})
    tells(spine, "contract.cancelled", contract={"id": "C-1", "reason": "too_expensive"})
    tells(spine, "contract.cancelled", contract={"id": "C-9"})
    tells(spine, "contract.cancelled", email="other@kiln.example", contract={"id": "C-1", "end": "2027-12-01"})
    assert contracts(spine) == [("2026-11-01", "2027-10-31", "renewed"), ("2027-11-01", "2028-10-31", "cancelled")]
    assert [each["ends_on"] for each in events(spine, "contract.cancelled")] == ["2028-10-31"]
    assert spine.rows("SELECT DISTINCT lead_id FROM contract") == [{"lead_id": lead}]


def test_contracts_of_a_file_run_from_today_and_what_lies_behind_is_not_made_up_for(spine: Spine) -> None:
    rows_ = [
        {"email": NAME, "contract_id": "A", "starts on": "2019-01-31", "period": "monthly", "auto renew": "yes"},
        {"email": NAME, "contract_id": "B", "starts on": "2020-01-01", "ends on": "2020-12-31"},
        {"email": NAME, "contract_id": "C", "starts on": "2025-12-10", "ends on": "2026-12-09"},
        {"email": NAME, "amount": "99.50", "currency": "EUR", "order id": "O-9", "occurred_at": "2026-01-02"},
    ]
    for number, row in enumerate(rows_):
        kind = "contract.started" if "contract_id" in row else "purchase"
        headers = {"import-map": json.dumps({"kind": kind}), "import-quiet": "true", "import-row": str(number)}
        receipt = spine.arrives(row, source="list", channel="import")
        spine.do(
            "UPDATE receipt SET headers = CAST(:headers AS jsonb) WHERE id = :id",
            headers=json.dumps(headers),
            id=receipt,
        )
    spine.run()
    assert contracts(spine) == [
        ("2020-01-01", "2020-12-31", "ended"),
        ("2025-12-10", "2026-12-09", "active"),
        ("2026-10-31", "2026-11-29", "active"),
    ]
    [sold] = spine.rows("SELECT amount, currency, external_id, at FROM purchase")
    assert (str(sold["amount"]), sold["currency"], sold["external_id"], sold["at"].date()) == (
        "99.50", "EUR", "O-9", date(2026, 1, 2),
    )  # fmt: skip
    wait(spine, spine.now + timedelta(hours=1))
    assert (events(spine, "contract.renewal_due"), spine.rows("SELECT id FROM follow_up")) == ([], [])
    wait(spine, datetime(2026, 12, 3, tzinfo=UTC))
    assert [each["before_s"] // 86400 for each in events(spine, "contract.renewal_due")] == [7]


# -- by hand -----------------------------------------------------------------------------------------------------------


def test_by_hand_a_contract_is_added_renewed_and_cancelled_and_who_comes_second_is_told(
    spine: Spine, lead: str, retention: Retention
) -> None:
    tells(spine, "purchase", total=1, currency="EUR")
    told: dict[str, Any] = {"starts": date(2026, 1, 1), "last_day": date(2026, 12, 31), "external_id": "C-1"}
    first = add(spine, retention, lead, **told)
    renewed = retention.renew(first, Told("renewed"), actor="key:1", now=spine.now)
    spine.run(step="score")
    assert (renewed["starts_on"], renewed["ends_on"]) == (date(2027, 1, 1), date(2027, 12, 31))
    assert moves(spine) == ["win", "renew"]
    refusals: dict[str, Callable[[], object]] = {
        "contract_renewed": lambda: retention.renew(first, Told("renewed"), actor="key:1"),
        "contract_exists": lambda: retention.add(lead, Told("started", **told), actor="key:1"),
        "term_unclear": lambda: retention.add(lead, Told("started"), actor="key:1"),
        "contract_unknown": lambda: retention.cancel(lead, actor="key:1"),
        "lead_unknown": lambda: retention.add(first, Told("started", period="P1M"), actor="key:1"),
        "reason_not_a_code": lambda: retention.cancel(renewed["id"], reason="No more!", actor="key:1"),
    }
    for code, ask in refusals.items():
        with pytest.raises(Permanent) as refused:
            ask()
        assert refused.value.code == code
    future = retention.cancel(renewed["id"], ends_on=date(2026, 12, 31), actor="key:1", now=spine.now)
    assert (future["status"], future["running"], future["ends_on"]) == ("cancelled", False, date(2027, 1, 1))
    with pytest.raises(Permanent, match="over"):
        retention.cancel(renewed["id"], actor="key:1")
    dry = Retention(spine.engine, spine.hints.send, dry_run=True)
    before = contracts(spine)
    assert dry.add(lead, Told("started", period="P1M"), actor="key:1", now=spine.now)["ends_on"] == date(2026, 12, 19)
    assert contracts(spine) == before


def test_renewed_while_its_timer_fires_there_is_one_outcome(spine: Spine, lead: str, retention: Retention) -> None:
    ids = [add(spine, retention, lead, period=f"P{20 + number}D") for number in range(6)]
    spine.now = datetime(2027, 2, 1, tzinfo=UTC)
    runtime = spine.runtime()

    def renew(contract: str) -> str:
        try:
            retention.renew(contract, Told("renewed", period="P12M"), actor="key:1", now=spine.now)
        except Permanent as refused:
            return refused.code
        return "renewed"

    with ThreadPoolExecutor(8) as pool:
        fires = [pool.submit(runtime.hear, "followup", (), now=spine.now) for _ in range(2)]
        answers = [pool.submit(renew, contract) for contract in ids]
        said = [each.result() for each in answers]
        for each in fires:
            each.result()
    spine.run(step="followup")
    rows_ = {row["id"]: row["status"] for row in spine.rows("SELECT id, status FROM contract WHERE follows IS NULL")}
    for contract, answer in zip(ids, said, strict=True):
        assert (rows_[contract], answer) in {("renewed", "renewed"), ("ended", "contract_over")}
    follows = spine.rows("SELECT follows FROM contract WHERE follows IS NOT NULL")
    assert len(follows) == said.count("renewed")
    assert len(events(spine, "contract.ended")) == said.count("contract_over")
    assert spine.rows("SELECT id FROM dead_letter") == []


# -- customers ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("lead")
def test_who_buys_nothing_for_long_and_has_no_contract_is_inactive_once(spine: Spine) -> None:
    tells(spine, "purchase", total=1, currency="EUR", order_id="1")
    spine.passes(timedelta(days=150))
    tells(spine, "purchase", total=1, currency="EUR", order_id="2")
    wait(spine, spine.now + timedelta(days=199))
    assert moves(spine) == ["win"]
    wait(spine, spine.now + timedelta(days=1))
    wait(spine, spine.now + timedelta(days=900))
    assert (moves(spine), touches(spine).count("customer.inactive")) == (["win", "lapse"], 1)
    assert spine.lead_of(spine.rows("SELECT id FROM receipt LIMIT 1")[0]["id"])["state"] == "inactive"


def test_who_stops_buying_is_noticed_after_a_merge_and_after_it_is_taken_back(spine: Spine) -> None:
    # A customer from a file: no time runs for them, and they go on as the older of the two.
    row = {"email": "sam@kiln.example", "amount": "9", "currency": "EUR", "order id": "1", "occurred_at": "2026-01-02"}
    receipt = spine.arrives(row, source="list", channel="import")
    headers = json.dumps({"import-map": json.dumps({"kind": "purchase"}), "import-quiet": "true", "import-row": "1"})
    spine.do("UPDATE receipt SET headers = CAST(:headers AS jsonb) WHERE id = :id", headers=headers, id=receipt)
    spine.run()
    sam = spine.lead_of(receipt)
    spine.passes(timedelta(hours=1))
    jo = spine.lead_of(tells(spine, "purchase", total=1, currency="EUR"))
    due = spine.now + timedelta(days=200)
    merger = Merger(spine.engine, spine.hints.send)
    merger.merge(sam["person_id"], jo["person_id"], actor="key:1", now=spine.now)
    timers = "SELECT id, lead_id, due_at FROM timer WHERE kind = 'contract'"
    assert spine.rows(timers) == [{"id": sam["id"], "lead_id": sam["id"], "due_at": due}]
    merger.unmerge(jo["person_id"], actor="key:1", now=spine.now)
    wait(spine, due)
    assert spine.rows("SELECT lead_id FROM touchpoint WHERE kind = 'customer.inactive'") == [{"lead_id": jo["id"]}]
    assert spine.rows(timers) == []


def test_a_customer_who_gets_worse_is_told_of_once_and_again_only_after_being_well(
    spine: Spine, lead: str, retention: Retention
) -> None:
    assert spine.rows("SELECT lead_id FROM health") == []
    tells(spine, "purchase", total=1, currency="EUR")
    add(spine, retention, lead, period="P12M")
    person = spine.rows("SELECT person_id FROM lead")[0]["person_id"]
    [well] = retention.health(person, spine.now)
    assert (well["score"], well["at_risk"]) == (90, False)
    assert well["rules"][0] == {"rule": "They use it", "points": 30}

    def complaint(status: str) -> None:
        spine.do("DELETE FROM ticket")
        if status:
            spine.do(COMPLAINT, lead=lead, person=person, status=status)
        tells(spine, "page.viewed", name=status, at=str(spine.now))

    spine.passes(timedelta(days=80))
    for status in ("", "open", "open", ""):
        spine.passes(timedelta(hours=1))
        complaint(status)
    assert [row["score"] for row in spine.rows("SELECT score FROM health")] == [60]
    assert [each["score"] for each in events(spine, "customer.at_risk")] == [30]
    [decided] = spine.rows("SELECT * FROM decision WHERE step = 'health'")
    assert told(decided)["text"] == "May leave: health 30, below 40."
    assert told(decided)["because"] == [
        "Everybody starts from 50.", "+10 for person.contracts.running > 0.", "-30 for person.tickets.complaints > 0.",
    ]  # fmt: skip
    assert [row["rule"] for row in spine.rows("SELECT rule FROM follow_up WHERE rule = 'rescue'")] == ["rescue"]
    spine.passes(timedelta(hours=1))
    complaint("open")
    assert [each["score"] for each in events(spine, "customer.at_risk")] == [30, 30]
