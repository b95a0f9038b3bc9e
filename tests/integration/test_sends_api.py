"""Messages over HTTP and as events: found by what they are asked for, resolved by hand, and told when they end."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text

from schema.errors import Transient
from schema.store import clock, sends, sends_shown
from schema.store.ids import new_id
from schema.store.sends import Settled
from services.api import sends as shapes
from tests.campaigning import WARM_UP, activate, arrive, told
from tests.management import Site, open_site
from tests.spine import Spine

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


@pytest.fixture
def given(site: Site) -> Iterator[Spine]:
    """The same database, for a spine with a message planned to each of four people."""
    spine = Spine(site.url)
    activate(spine, WARM_UP)
    for number in range(4):
        arrive(spine, number)
    yield spine
    spine.close()


def claim(spine: Spine) -> list[dict[str, Any]]:
    """Have all that is planned in hand, as deliver does."""
    spine.do(
        "UPDATE send SET state = 'sending', due_at = NULL, attempts = 1, claimed_at = :now WHERE state = 'planned'",
        now=spine.now,
    )
    return spine.rows("SELECT * FROM send ORDER BY id")


def settle(spine: Spine, row: dict[str, Any], state: str, reason: str | None = None) -> None:
    settled = Settled(row["id"], spine.now, row["enrolment_id"], state, 1, reason)
    with spine.engine.begin() as connection:
        sends.settle(connection, [settled], spine.now)


# -- seen --------------------------------------------------------------------------------------------------------------


def test_messages_are_listed_by_state_campaign_and_person_page_by_page(site: Site, given: Spine) -> None:
    first, *others = claim(given)
    settle(given, first, "unknown", "worker_ended")

    def ids(query: str) -> list[str]:
        page = site.get(f"/v1/sends?{query}")
        shapes.Sends.model_validate(page)
        return [item["id"] for item in page["items"]]

    newest_first = sorted((row["id"] for row in [first, *others]), reverse=True)
    assert ids("") == newest_first
    assert ids("campaign=warm_up&journey=default") == newest_first
    assert ids("state=unknown") == ids("state=unknown&campaign=warm_up") == [first["id"]]
    assert ids(f"person={first['person_id']}") == [first["id"]]
    assert ids("campaign=other") == ids("campaign=warm_up&journey=other") == ids(f"person={new_id()}") == []
    assert ids("person=ana@example.com") == []
    for query in ("", "campaign=warm_up&", "state=sending&"):
        pages = [site.get(f"/v1/sends?{query}limit=2")]
        while pages[-1]["next"]:
            pages.append(site.get(f"/v1/sends?{query}limit=2&cursor={pages[-1]['next']}"))
        wanted = [each for each in newest_first if "state" not in query or each != first["id"]]
        assert [item["id"] for page in pages for item in page["items"]] == wanted
    assert site.client.get("/v1/sends?state=lost").status_code == 422


def test_a_message_is_shown_with_its_history_and_not_with_what_confirms_a_consent(site: Site, given: Spine) -> None:
    [row, *_] = claim(given)
    given.do("UPDATE send SET data = :data WHERE id = :id", data=json.dumps({"path": "/o/secret"}), id=row["id"])
    given.do(
        "INSERT INTO message (message_id, lead_id, direction, at) VALUES (:name, :lead, 'out', :now)",
        name=f"{row['id']}@example.com",
        lead=row["lead_id"],
        now=given.now,
    )
    settle(given, row, "sent")
    given.do("UPDATE send SET opened_at = settled_at + interval '1 hour' WHERE id = :id", id=row["id"])

    shown = site.get(f"/v1/sends/{row['id']}")

    shapes.SendShown.model_validate(shown)
    assert [each["what"] for each in shown["history"]] == ["planned", "claimed", "sent", "opened"]
    assert (shown["message_id"], shown["kind"]) == (f"{row['id']}@example.com", "marketing")
    assert "secret" not in json.dumps(shown)
    for unknown in (new_id(), "nothing"):
        assert site.client.get(f"/v1/sends/{unknown}").json()["code"] == "send_not_found"


@pytest.mark.parametrize("analysed", [False, True], ids=["fresh", "with statistics"])
def test_a_list_looks_only_at_what_it_shows_however_many_messages_there_are(given: Spine, *, analysed: bool) -> None:
    given.do(
        """
        INSERT INTO send (id, journey_name, journey, campaign, step, template, person_id, lead_id, entry_key, lane,
                          state, planned_at, claimed_at)
        SELECT gen_random_uuid(), journey_name, journey, campaign, 'second', template, gen_random_uuid(), lead_id,
               n::text, 1, CASE WHEN n % 5000 = 0 THEN 'unknown' ELSE 'sent' END, planned_at, planned_at
        FROM send, generate_series(1, 5000) AS n
        """
    )
    if analysed:
        given.do("ANALYZE")
    person = given.rows("SELECT person_id FROM send WHERE state = 'planned'")[0]["person_id"]
    seen: dict[str, Any] = {}
    event.listen(
        given.engine,
        "before_cursor_execute",
        lambda _c, _u, statement, parameters, *_: seen.setdefault(statement, parameters),
    )
    wanted = {
        "state": {"state": "unknown"},
        "campaign": {"state": "unknown", "campaign": "warm_up"},
        "person": {"person": person},
    }
    for by, asked in wanted.items():
        index = "ix_send_person" if by == "person" else "ix_send_campaign"
        with given.engine.begin() as connection:
            seen.clear()
            found, _ = sends_shown.listed(connection, **asked)
            ((statement, parameters),) = list(seen.items())
            explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE) {statement}", parameters).scalars()
            plan = "\n".join(explained)
        assert len(found) == (1 if "person" in asked else 4)
        assert index in plan, plan
        assert "pk_send" not in plan, plan
        assert not re.search(r"Seq Scan on send", plan), plan


# -- resolved ----------------------------------------------------------------------------------------------------------


def test_of_an_unknown_message_somebody_says_what_became_of_it_once(site: Site, given: Spine) -> None:
    sent, again, known, _ = claim(given)
    for row in (sent, again):
        settle(given, row, "unknown", "worker_ended")

    def resolve(row: dict[str, Any], body: Any, status: int = 200) -> Any:  # noqa: ANN401 - decoded JSON
        done = site.client.post(f"/v1/sends/{row['id']}/resolve", json=body)
        assert done.status_code == status, done.text
        return done.json()

    assert resolve(sent, {"how": "sent", "dry_run": True})["state"] == "sent"
    assert site.get(f"/v1/sends/{sent['id']}")["state"] == "unknown"
    shapes.SendShown.model_validate(resolve(sent, {"how": "sent"}))
    assert resolve(again, {"how": "again"})["state"] == "planned"
    assert ("deliver", []) in site.hinted
    for row in (sent, known):
        assert resolve(row, {"how": "again"}, 409)["code"] == "send_not_unknown"
    assert resolve({"id": new_id()}, {"how": "sent"}, 404)["code"] == "send_not_found"
    assert resolve(sent, {"how": "forget"}, 422)["code"] == "validation_failed"
    assert site.client.post(f"/v1/sends/{again['id']}/resolve", headers=site.key("campaigns:read")).status_code == 403
    assert [each["send_id"] for each in told(given, "message.sent")] == [sent["id"]]
    due = given.rows("SELECT due_at FROM enrolment WHERE id = :id", id=sent["enrolment_id"])
    assert due[0]["due_at"] is not None


def test_an_address_is_held_back_and_lifted_by_whoever_may_and_only_its_hash_is_kept(site: Site) -> None:
    def ask(path: str, body: Any, status: int = 200) -> Any:  # noqa: ANN401 - decoded JSON
        done = site.client.post(f"/v1/suppressions{path}", json=body)
        assert done.status_code == status, done.text
        return done.json()

    asked = {"address": "Bea@Firm.example"}
    assert [each["reason"] for each in ask("", asked | {"dry_run": True})["held"]] == ["by_hand"]
    assert ask("/lift", asked) == {"lifted": []}
    shapes.Held.model_validate(ask("", asked))
    assert [
        each["holds_back"] for each in ask("/lift", {"address": "bea@firm.example", "dry_run": True})["lifted"]
    ] == ["all"]
    shapes.Lifted.model_validate(ask("/lift", asked))
    assert ask("/lift", asked) == {"lifted": []}
    unusable = ask("", {"address": "nobody at all"}, 422)
    assert (unusable["code"], "nobody" in json.dumps(unusable)) == ("address_unusable", False)
    done = site.client.post("/v1/suppressions", json=asked, headers=site.key("campaigns:read"))
    assert done.status_code == 403


# -- told --------------------------------------------------------------------------------------------------------------


def test_what_ends_is_told_as_the_next_event_of_its_lead_with_ids_and_codes_only(given: Spine) -> None:
    sent, failed, unknown, later = claim(given)
    settle(given, sent, "sent")
    settle(given, failed, "failed", "refused")
    settle(given, unknown, "unknown", "worker_ended")
    settle(given, unknown, "sent")  # who comes late may still know
    with given.engine.begin() as connection:
        put_back = Settled(later["id"], given.now, later["enrolment_id"], "planned", 0, "deferred", due_at=given.now)
        sends.settle(connection, [put_back], given.now)

    about = {
        name: {n: row[n] for n in ("campaign", "step", "enrolment_id", "person_id", "journey")} | {"send_id": row["id"]}
        for name, row in (("sent", sent), ("failed", failed), ("unknown", unknown))
    }
    assert told(given, "message.failed") == [about["failed"] | {"reason": "refused"}]
    assert told(given, "message.unknown") == [about["unknown"] | {"reason": "worker_ended"}]
    went = {each["send_id"]: each for each in told(given, "message.sent")}
    assert went == {sent["id"]: about["sent"], unknown["id"]: about["unknown"]}
    numbers = given.rows("SELECT l.events, array_agg(e.sequence ORDER BY e.tx, e.position) AS told"
                         " FROM lead AS l JOIN event AS e ON e.lead_id = l.id GROUP BY l.id")  # fmt: skip
    assert all(row["told"] == list(range(1, row["events"] + 1)) for row in numbers)


def test_a_claim_that_another_took_over_is_neither_settled_nor_told(given: Spine) -> None:
    row, *_ = claim(given)
    given.do("UPDATE send SET claimed_at = claimed_at + interval '1 hour' WHERE id = :id", id=row["id"])
    settle(given, row, "sent")
    assert given.rows("SELECT state FROM send WHERE id = :id", id=row["id"]) == [{"state": "sending"}]
    assert told(given, "message.sent") == []


def test_a_transaction_that_is_older_than_the_leads_latest_event_settles_nothing_and_the_next_one_does(
    given: Spine,
) -> None:
    row, *_ = claim(given)
    settled = Settled(row["id"], given.now, row["enrolment_id"], "sent", 1)
    with given.engine.connect() as old:
        old.execute(text("SELECT pg_current_xact_id()"))
        given.do("UPDATE lead SET event_tx = pg_current_xact_id() WHERE id = :id", id=row["lead_id"])
        with pytest.raises(Transient):
            sends.settle(old, [settled], clock.now())
    assert given.rows("SELECT state FROM send WHERE id = :id", id=row["id"]) == [{"state": "sending"}]
    settle(given, row, "sent")
    assert [each["send_id"] for each in told(given, "message.sent")] == [row["id"]]


def test_of_a_lead_that_is_gone_nothing_is_told_and_the_message_is_settled_all_the_same(given: Spine) -> None:
    row, *_ = claim(given)
    given.do("UPDATE send SET lead_id = gen_random_uuid() WHERE id = :id", id=row["id"])
    settle(given, row, "sent")
    assert given.rows("SELECT state FROM send WHERE id = :id", id=row["id"]) == [{"state": "sent"}]
    assert told(given, "message.sent") == []
