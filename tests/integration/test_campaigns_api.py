"""Campaigns over HTTP and on the command line: seen, paused, approved, enrolled in by hand, and their results."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from schema.store import campaign_results, campaigns
from schema.store.ids import new_id
from services.api import campaign_shapes as shapes
from services.cli.main import app
from tests.campaigning import WARM_UP, activate, arrive, enrolled, move, settle, told
from tests.management import Site, open_site
from tests.spine import Spine

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = timedelta(days=1)
HELD_OUT = WARM_UP.replace("enter:", "holdout: 30\n    cost: {fixed: 100, per_send: 0.5}\n    enter:")


@pytest.fixture
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


@pytest.fixture
def given(site: Site) -> Iterator[Spine]:
    """The same database, for a spine whose journey has one campaign with three people in it."""
    spine = Spine(site.url)
    activate(spine)
    for number in range(3):
        arrive(spine, number)
    yield spine
    spine.close()


def post(site: Site, path: str, body: Any = None, status: int = 200) -> Any:  # noqa: ANN401 - decoded JSON
    answer = site.client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


# -- seen --------------------------------------------------------------------------------------------------------------


def test_a_campaign_is_listed_and_shown_with_who_waits_where(site: Site, given: Spine) -> None:
    [listed] = site.get("/v1/campaigns")["items"]
    shown = site.get("/v1/campaigns/warm_up")

    shapes.CampaignShown.model_validate(shown)
    assert (listed["name"], listed["status"], listed["entered"], listed["running"]) == ("warm_up", "running", 3, 3)
    assert {step["step"]: step["waiting"] for step in shown["steps"]}["hello"] == 3
    assert shown["versions"][0]["running"] == 3
    assert given.rows("SELECT count(*) AS n FROM enrolment") == [{"n": 3}]


def test_who_is_in_a_campaign_is_listed_page_by_page_and_one_with_every_step_and_message(
    site: Site, given: Spine
) -> None:
    settle(given)
    move(given, enrolled(given)[0]["lead_id"], "drop")

    first = site.get("/v1/campaigns/warm_up/enrolments?limit=2")
    second = site.get(f"/v1/campaigns/warm_up/enrolments?limit=2&cursor={first['next']}")
    out = site.get("/v1/campaigns/warm_up/enrolments?status=exited")
    one = site.get(f"/v1/campaigns/warm_up/enrolments/{out['items'][0]['id']}")

    shapes.Enrolments.model_validate(first)
    shapes.EnrolmentShown.model_validate(one)
    assert [len(page["items"]) for page in (first, second)] == [2, 1]
    assert second["next"] is None
    assert {row["id"] for page in (first, second) for row in page["items"]} == {row["id"] for row in enrolled(given)}
    assert [(step["step"], step["outcome"]) for step in one["taken"]] == [("hello", "sent")]
    assert [message["state"] for message in one["messages"]] == ["sent"]
    assert site.client.get(f"/v1/campaigns/warm_up/enrolments/{new_id()}").status_code == 404


def test_a_campaign_that_is_not_there_is_answered_with_404_and_no_guess_of_what_was_meant(site: Site) -> None:
    answer = site.client.get("/v1/campaigns/cold_down")
    assert (answer.status_code, answer.json()["code"]) == (404, "campaign_unknown")
    assert "cold_down" not in answer.text


def test_a_campaign_that_the_active_version_does_not_have_any_more_is_shown_as_ended(site: Site, given: Spine) -> None:
    activate(given, "  other: {enter: [{event: form}], steps: [{wait: 1d}]}\n")

    listed = {each["name"]: each["status"] for each in site.get("/v1/campaigns")["items"]}

    assert listed == {"other": "running", "warm_up": "ended"}
    lead = enrolled(given)[0]["lead_id"]
    assert post(site, "/v1/campaigns/warm_up/enrol", {"leads": [lead]}, 409)["code"] == "campaign_over"


# -- standing still ----------------------------------------------------------------------------------------------------


def test_a_campaign_is_paused_and_resumed_and_asking_twice_is_harmless(site: Site, given: Spine) -> None:
    assert post(site, "/v1/campaigns/warm_up/pause")["status"] == "paused"
    assert post(site, "/v1/campaigns/warm_up/pause")["changed"] is False
    arrive(given, 9)
    assert len(given.rows("SELECT * FROM send")) == 3

    resumed = post(site, "/v1/campaigns/warm_up/resume")

    shapes.CampaignChanged.model_validate(resumed)
    assert (resumed["status"], resumed["changed"]) == ("running", True)
    assert ("nurture", []) in site.hinted
    given.run(step="nurture")
    assert len(given.rows("SELECT * FROM send")) == 4


def test_an_audience_is_approved_for_as_many_as_have_entered_or_more_but_not_fewer(site: Site, given: Spine) -> None:
    assert post(site, "/v1/campaigns/warm_up/approve", None, 409)["code"] == "audience_unlimited"
    activate(given, WARM_UP.replace("enter:", "audience: {most: 3, per: 3650d, expect: 2}\n    enter:"))
    for number in range(3, 6):
        arrive(given, number)
    assert site.get("/v1/campaigns/warm_up")["status"] == "held"

    assert post(site, "/v1/campaigns/warm_up/approve", {"most": 4}, 409)["code"] == "too_few"
    approved = post(site, "/v1/campaigns/warm_up/approve", {"most": 10})

    shapes.Approved.model_validate(approved)
    assert (approved["approved"], approved["status"]) == (10, "running")
    assert approved["audience"]["entered"] == 6
    given.run(step="nurture")
    assert len(given.rows("SELECT * FROM send")) == 6


def test_without_the_scope_nothing_is_seen_or_changed(site: Site, given: Spine) -> None:
    key = site.key("leads:read")
    for method, path in (("GET", "/v1/campaigns"), ("POST", "/v1/campaigns/warm_up/pause")):
        answer = site.client.request(method, path, headers=key)
        assert answer.status_code == 403, path
    assert given.rows("SELECT * FROM campaign_state") == []


# -- by hand -----------------------------------------------------------------------------------------------------------


def test_leads_are_enrolled_by_hand_once_also_those_that_only_files_told_us_of(site: Site, given: Spine) -> None:
    activate(given, WARM_UP + "  letter: {enter: [{event: never}], steps: [{name: hello, send: news}, {wait: 1d}]}\n")
    leads = [row["lead_id"] for row in enrolled(given)]
    given.do("UPDATE lead SET quiet = true WHERE id = :id", id=leads[0])
    asked = {"leads": [*leads[:2], new_id()]}

    planned = post(site, "/v1/campaigns/letter/enrol", asked | {"dry_run": True})
    assert (planned["entered"], enrolled(given, "letter")) == (2, [])
    report = post(site, "/v1/campaigns/letter/enrol", asked)

    shapes.Entered.model_validate(report)
    assert report == {"looked_at": 2, "entered": 2, "not_entered": {"lead_unknown": 1}, "dry_run": False}
    again = post(site, "/v1/campaigns/letter/enrol", asked)
    assert again["not_entered"] == {"is_in_it": 2, "lead_unknown": 1}
    assert all(row["entered_by"].startswith("key:") for row in enrolled(given, "letter"))
    assert sorted(event["campaign"] for event in told(given, "campaign.entered")) == ["letter"] * 2 + ["warm_up"] * 3


def test_who_was_in_it_enters_again_only_if_that_is_asked_for(site: Site, given: Spine) -> None:
    lead = enrolled(given)[0]["lead_id"]
    given.do("UPDATE enrolment SET outcome = 'finished', ended_at = now(), step = NULL, due_at = NULL")

    assert post(site, "/v1/campaigns/warm_up/enrol", {"leads": [lead]})["not_entered"] == {"was_in_it": 1}
    assert post(site, "/v1/campaigns/warm_up/enrol", {"leads": [lead], "again": True})["entered"] == 1

    assert [row["entry_key"] for row in enrolled(given)].count("by_hand:2") == 1


# -- what came of it ---------------------------------------------------------------------------------------------------


def test_results_count_people_messages_costs_and_the_lift_from_the_rows_that_say_it(site: Site) -> None:
    spine = Spine(site.url)
    activate(spine, HELD_OUT)
    for number in range(20):
        arrive(spine, number)
    out = {row["lead_id"] for row in enrolled(spine) if row["holdout"]}
    treated = [row["lead_id"] for row in enrolled(spine) if not row["holdout"]]
    assert settle(spine) == len(treated)
    for lead in treated[:3]:
        move(spine, lead, "talk")
        move(spine, lead, "win")
    move(spine, treated[3], "drop")
    spine.do("UPDATE send SET opened_at = now(), clicked_at = now() WHERE lead_id = :lead", lead=treated[4])
    spine.do("UPDATE send SET bounced_at = now() WHERE lead_id = :lead", lead=treated[5])

    found = site.get("/v1/campaigns/warm_up/results")

    shapes.Results.model_validate(found)
    assert (found["people"]["entered"], found["people"]["goal"], found["people"]["exited"]) == (len(treated), 3, 1)
    assert found["people"]["reasons"] == {"lost": 1}
    assert found["holdout"]["entered"] == len(out)
    assert found["lift"]["difference"] == pytest.approx(3 / len(treated))
    assert found["lift"]["low"] < found["lift"]["difference"] < found["lift"]["high"]
    messages = found["messages"]
    assert (messages["sent"], messages["delivered"]) == (len(treated), len(treated) - 1)
    assert (messages["opened"], messages["clicked"], messages["bounced"]) == (1, 1, 1)
    assert Decimal(found["cost"]["total"]) == 100 + Decimal("0.5") * len(treated)
    assert float(found["cost"]["per_goal"]) == pytest.approx((100 + 0.5 * len(treated)) / 3, abs=1e-4)
    hello, days, *_ = found["steps"]
    assert (hello["step"], hello["taken"], hello["outcomes"]) == ("hello", len(treated), {"sent": len(treated)})
    assert (days["step"], days["waiting"]) == ("some_days", len(treated) - 4)
    spine.close()


def buys(spine: Spine, lead: str, amount: str | None, **more: Any) -> None:  # noqa: ANN401 - columns
    """Have the person of a lead buy something; `order` is what it is called."""
    sale = {"kind": "purchase", "order": new_id(), "pays": None, "currency": "EUR", "at": spine.now} | more
    spine.do(
        """
        INSERT INTO purchase (id, person_id, lead_id, source, external_id, order_id, kind, amount, currency, receipt_id,
                              at, told_at, recorded_at)
        SELECT gen_random_uuid(), person_id, id, 'shop', :order, :pays, :kind, CAST(:amount AS numeric), :currency,
               gen_random_uuid(), :at, :at, :at FROM lead WHERE id = :lead
        """,
        lead=lead,
        amount=amount,
        **sale,
    )


@pytest.fixture
def sold(site: Site) -> Iterator[Spine]:
    """Forty people entered, some held out; an hour has passed."""
    spine = Spine(site.url)
    activate(spine, HELD_OUT)
    for number in range(40):
        arrive(spine, number)
    settle(spine)
    spine.passes(timedelta(hours=1))
    yield spine
    spine.close()


def test_what_people_buy_within_the_time_of_the_goal_is_revenue_less_what_is_paid_back(site: Site, sold: Spine) -> None:
    out = [row["lead_id"] for row in enrolled(sold) if row["holdout"]]
    treated = [row["lead_id"] for row in enrolled(sold) if not row["holdout"]]
    entered = enrolled(sold)[0]["entered_at"]
    for lead in treated[:4]:
        buys(sold, lead, "100.10")
    buys(sold, treated[0], "0.20", order="big")
    buys(sold, treated[0], "0.05", kind="refund", pays="big", at=entered + 100 * DAY)  # of what counts: counts
    buys(sold, treated[1], "7", kind="refund", pays="before", at=sold.now)
    buys(sold, treated[1], "7", order="before", at=entered - DAY)  # before: neither it nor what was paid back of it
    buys(sold, treated[2], "55", at=entered)  # what let them enter
    buys(sold, treated[2], "66", at=entered + 90 * DAY + timedelta(seconds=1))
    buys(sold, treated[3], None)
    buys(sold, out[0], "10")

    found = site.get("/v1/campaigns/warm_up/results")

    shapes.Results.model_validate(found)
    assert (found["revenue"]["people"], found["revenue"]["held_out"]) == (len(treated), len(out))
    assert found["revenue"]["uncounted"] == 1
    [euro] = found["revenue"]["currencies"]
    assert (euro["sold"], euro["refunded"], euro["net"]) == ("400.60", "0.05", "400.55")
    assert (euro["buyers"], euro["purchases"], euro["holdout"]["net"]) == (4, 5, "10")
    more = euro["incremental"]
    expected = (Decimal("400.55") / len(treated) - Decimal(10) / len(out)) * len(treated)
    assert Decimal(more["total"]) == pytest.approx(expected, abs=Decimal("0.01"))
    assert Decimal(more["low"]) < Decimal(more["total"]) < Decimal(more["high"])
    cost = Decimal(found["cost"]["total"])
    assert found["return"]["plain"] == pytest.approx(float((Decimal("400.55") - cost) / cost))
    assert found["return"]["low"] < found["return"]["incremental"] < found["return"]["high"]
    assert "400.55 (400.60 less 0.05 paid back) by 4 people" in run(sold, "results", "warm_up")


def test_who_entered_twice_bought_once_and_currencies_are_never_added_up(site: Site, sold: Spine) -> None:
    treated = [row["lead_id"] for row in enrolled(sold) if not row["holdout"]]
    assert "nobody bought anything" in run(sold, "results", "warm_up")
    assert site.get("/v1/campaigns/warm_up/results")["return"]["plain"] == -1
    sold.do("""
        UPDATE enrolment SET outcome = 'finished', step = NULL, due_at = NULL, ended_at = entered_at
        WHERE lead_id = :lead
    """, lead=treated[0])  # fmt: skip
    post(site, "/v1/campaigns/warm_up/enrol", {"leads": [treated[0]], "again": True})
    sold.do(
        "UPDATE enrolment SET entered_at = :now - interval '1 minute' WHERE entry_key LIKE 'by_hand%'", now=sold.now
    )
    buys(sold, treated[0], "20")
    buys(sold, treated[1], "30", currency="CHF")

    found = site.get("/v1/campaigns/warm_up/results")

    assert len(enrolled(sold)) == 41
    assert {each["currency"]: each["net"] for each in found["revenue"]["currencies"]} == {"EUR": "20", "CHF": "30"}
    assert found["revenue"]["people"] == len(treated)
    assert found["return"]["reason"] == "currencies_differ"
    assert "different currencies" in run(sold, "results", "warm_up")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("    cost: {fixed: 100, per_send: 0.5}\n", ""), "no_cost"),
        (("fixed: 100, per_send: 0.5", "fixed: '0.00'"), "cost_zero"),
        ((", within: 90d", ""), "no_window"),
    ],
)
def test_where_there_is_no_return_on_investment_it_is_said_why(
    site: Site, given: Spine, change: tuple[str, str], reason: str
) -> None:
    activate(given, HELD_OUT.replace(*change))
    found = site.get("/v1/campaigns/warm_up/results")
    assert (found["return"]["plain"], found["return"]["reason"]) == (None, reason)
    assert "return on investment\t" in run(given, "results", "warm_up")


def test_what_an_ended_campaign_cost_is_known_from_the_latest_version_somebody_entered(
    site: Site, given: Spine
) -> None:
    activate(given, HELD_OUT)
    arrive(given, 7)
    activate(given, "  other: {enter: [{event: form}], steps: [{wait: 1d}]}\n")
    assert site.get("/v1/campaigns/warm_up/results")["cost"]["fixed"] == "100"


# -- on the command line -----------------------------------------------------------------------------------------------


def run(spine: Spine, *arguments: str, status: int = 0) -> str:
    environment = {"THROUGHLINE_DATABASE_URL": spine.url, "THROUGHLINE_SECRET_KEY": "a secret of this test"}
    done = CliRunner().invoke(app, ["campaigns", *arguments], env=environment)
    assert done.exit_code == status, (done.output, done.exception)
    return done.output


def test_the_command_line_tells_and_does_the_same(given: Spine) -> None:
    assert [each["name"] for each in json.loads(run(given, "list", "--json"))["items"]] == ["warm_up"]
    assert "hello\t3" in run(given, "show", "warm_up")
    assert "would be paused: 3 people wait" in run(given, "pause", "warm_up", "--dry-run")
    assert given.rows("SELECT * FROM campaign_state") == []
    assert "is paused: 3 people wait" in run(given, "pause", "warm_up")
    assert "paused since" in run(given, "show", "warm_up")
    assert "goes on" in run(given, "resume", "warm_up")
    assert "nobody is held out" in run(given, "results", "warm_up")
    assert len(json.loads(run(given, "enrolments", "warm_up", "--json"))["items"]) == 3


def test_people_are_enrolled_from_the_command_line_by_a_condition(given: Spine) -> None:
    activate(given, WARM_UP + "  letter: {enter: [{event: never}], steps: [{wait: 1d}]}\n")
    arrive(given, 7, country="FR")

    dry = run(given, "enrol", "letter", "--when", 'person.country == "FR"', "--dry-run")
    real = run(given, "enrol", "letter", "--when", 'person.country == "FR"')

    assert "1 of 4 leads would enter letter" in dry
    assert "1 of 4 leads entered letter" in real
    assert "3 did not: the condition does not hold for them" in real
    assert len(enrolled(given, "letter")) == 1


def test_people_are_moved_to_the_active_version_from_the_command_line(given: Spine) -> None:
    settle(given)
    new = activate(given, WARM_UP.replace("some_days", "a_while"))

    assert "nowhere: give it with --map" in run(given, "migrate", "warm_up", "--dry-run", status=1)
    moved = run(given, "migrate", "warm_up", "--map", "some_days=a_while")

    assert "3 moved, 0 left." in moved
    assert {(row["journey"], row["step"]) for row in enrolled(given)} == {(new, "a_while")}


def test_people_are_moved_over_http_after_a_dry_run_and_nobody_while_somebody_is_stuck(
    site: Site, given: Spine
) -> None:
    settle(given)
    new = activate(given, WARM_UP.replace("some_days", "a_while"))
    path = "/v1/campaigns/warm_up/migrations"

    dry = post(site, path, {"dry_run": True})
    shapes.Followed.model_validate(dry)
    assert (dry["people"], dry["moved"], dry["remain"], [step["step"] for step in dry["stuck"]]) == (
        3, 0, 3, ["some_days"]
    )  # fmt: skip
    stuck = post(site, path, {}, 409)
    assert (stuck["code"], [step["people"] for step in stuck["stuck"]]) == ("people_stuck", [3])
    assert post(site, path, {"map": {"some_days": "nowhere"}}, 422)["code"] == "step_unknown"
    assert post(site, path, {"to": "nothing"}, 404)["code"] == "journey_unknown"
    moved = post(site, path, {"map": {"some_days": "a_while"}})

    shapes.Followed.model_validate(moved)
    assert (moved["to"], moved["moved"], moved["left"], moved["remain"]) == (new, 3, 0, 0)
    assert {(row["journey"], row["step"]) for row in enrolled(given)} == {(new, "a_while")}
    assert any(step == "nurture" and len(ids) == 3 for step, ids in site.hinted)


def test_a_campaign_of_the_same_name_in_two_journeys_has_to_be_told_apart(given: Spine) -> None:
    given.do("UPDATE enrolment SET journey_name = 'older' WHERE id = :id", id=enrolled(given)[0]["id"])
    given.do("INSERT INTO journey_active (name, version, activated_at) SELECT 'older', version, now() FROM"
             " journey_active WHERE name = 'default'")  # fmt: skip

    with given.engine.connect() as connection, pytest.raises(Exception, match="default, older"):
        campaigns.find(connection, "warm_up")
    with given.engine.connect() as connection:
        place = campaigns.find(connection, "warm_up", "older")
        assert campaign_results.results(connection, place)["people"]["entered"] == 1
