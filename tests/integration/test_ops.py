"""Operations: what waits, what failed, what to do about it, and whether anything was lost."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from schema.messages import QUEUES
from schema.store import clock, ops
from schema.store.ids import new_id
from services.watch import keep_account
from tests.management import NOW, Site, open_site

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG_AGO = timedelta(hours=1)


@pytest.fixture
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


def _queue(site: Site, name: str) -> dict[str, Any]:
    (queue,) = [queue for queue in site.get("/v1/ops/queues")["queues"] if queue["name"] == name]
    return dict(queue)


def _row(site: Site, table: str, row_id: str) -> dict[str, Any]:
    with site.engine.connect() as connection:
        return dict(connection.execute(text(f"SELECT * FROM {table} WHERE id = :id"), {"id": row_id}).mappings().one())  # noqa: S608


def _stuck_lead(site: Site) -> tuple[str, str]:
    """A lead set aside at `score`, and its dead letter."""
    lead = site.seed.lead(next_step="score", attempts=3)
    return lead, site.seed.dead_letter("lead", lead, "score")


def _stuck_receipt(site: Site) -> tuple[str, str]:
    receipt = site.seed.receipt(attempts=3)
    return receipt, site.seed.dead_letter("receipt", receipt, "identify")


def test_every_queue_is_shown_also_when_nothing_waits(site: Site) -> None:
    queues = site.get("/v1/ops/queues")["queues"]
    assert [queue["name"] for queue in queues] == list(QUEUES)
    assert all(queue == {"name": queue["name"]} | IDLE for queue in queues)


IDLE = {"waiting": 0, "in_work": 0, "oldest_s": 0.0, "dead": 0, "unreadable": []}


def test_due_rows_wait_in_the_queue_of_their_step(site: Site) -> None:
    site.seed.receipt(due_since=clock.now() - LONG_AGO)
    site.seed.receipt(status="rejected", reason="nothing_recognised")
    for step in ("score", "score", "route"):
        site.seed.lead(next_step=step, due_since=clock.now())
    site.seed.lead()
    assert _queue(site, "identify")["waiting"] == 1
    assert _queue(site, "identify")["oldest_s"] >= LONG_AGO.total_seconds()
    assert (_queue(site, "score")["waiting"], _queue(site, "route")["waiting"]) == (2, 1)
    assert _queue(site, "advance")["waiting"] == 0


def test_a_row_that_a_worker_has_taken_is_in_work_and_looking_does_not_take_it(site: Site) -> None:
    taken = site.seed.lead(next_step="score", due_since=NOW)
    site.seed.lead(next_step="score", due_since=NOW)
    lock = text("SELECT id FROM lead WHERE id = :id FOR UPDATE SKIP LOCKED")
    with site.engine.connect() as worker:
        worker.execute(lock, {"id": taken}).one()
        queue = _queue(site, "score")
        assert (queue["waiting"], queue["in_work"]) == (1, 1)
        worker.execute(text("UPDATE lead SET attempts = 1 WHERE id = :id"), {"id": taken})
        assert _queue(site, "score")["in_work"] == 1
        worker.rollback()
    queue = _queue(site, "score")
    assert (queue["waiting"], queue["in_work"]) == (2, 0)


def test_queues_cost_what_is_due_and_not_what_is_settled(site: Site) -> None:
    person = site.seed.person()
    with site.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO lead (id, person_id, journey, journey_name, state, open, source, channel, created_at,"
                " updated_at) SELECT gen_random_uuid(), :person, :version, 'default', 'lead', false, 'website', 'form',"
                " now(), now() FROM generate_series(1, 5000)"
            ),
            {"person": person, "version": site.seed.version},
        )
        connection.execute(text("ANALYZE lead"))
        plan = "\n".join(connection.execute(text(f"EXPLAIN {ops._DUE.text}")).scalars())  # noqa: SLF001
    assert "ix_lead_due" in plan
    assert "Seq Scan on lead" not in plan


def test_a_lead_that_is_retried_is_due_again_and_its_workers_hear_of_it(site: Site) -> None:
    lead, letter = _stuck_lead(site)
    assert _queue(site, "score")["dead"] == 1
    answer = site.post(f"/v1/ops/dead-letters/{letter}/retry")
    assert (answer["resolution"], answer["changed"]) == ("retried", True)
    row = _row(site, "lead", lead)
    assert row["due_since"] is not None
    assert row["attempts"] == 0
    assert site.hinted == [("score", [lead])]
    assert _queue(site, "score")["dead"] == 0


def test_retrying_twice_does_it_once(site: Site) -> None:
    receipt, letter = _stuck_receipt(site)
    site.post(f"/v1/ops/dead-letters/{letter}/retry")
    due = _row(site, "receipt", receipt)["due_since"]
    again = site.post(f"/v1/ops/dead-letters/{letter}/retry")
    assert (again["changed"], again["resolution"]) == (False, "retried")
    assert _row(site, "receipt", receipt)["due_since"] == due
    assert site.hinted == [("identify", [receipt])]


def test_a_lead_that_was_settled_meanwhile_is_left_alone(site: Site) -> None:
    lead = site.seed.lead()
    letter = site.seed.dead_letter("lead", lead, "score")
    assert site.post(f"/v1/ops/dead-letters/{letter}/retry")["changed"]
    assert _row(site, "lead", lead)["due_since"] is None
    assert site.hinted == []


def test_a_discarded_receipt_is_rejected_with_the_reason(site: Site) -> None:
    receipt, letter = _stuck_receipt(site)
    answer = site.post(f"/v1/ops/dead-letters/{letter}/discard", {"reason": "test data"})
    assert (answer["resolution"], answer["changed"]) == ("discarded", True)
    row = _row(site, "receipt", receipt)
    assert (row["status"], row["reason"], row["due_since"]) == ("rejected", "test data", None)


def test_a_discarded_lead_is_settled_and_its_story_says_who_did_it(site: Site) -> None:
    lead, letter = _stuck_lead(site)
    site.post(f"/v1/ops/dead-letters/{letter}/discard", {"reason": "left the company"})
    assert _row(site, "lead", lead)["next_step"] is None
    (decision,) = site.get(f"/v1/leads/{lead}/why")["decisions"]
    assert (decision["step"], decision["outcome"], decision["reason"]) == ("score", "discarded", "left the company")
    assert decision["text"] == "Score: discarded: left the company."
    assert decision["explanation"]["actor"].startswith("key:")
    again = site.post(f"/v1/ops/dead-letters/{letter}/discard", {"reason": "again"})
    assert not again["changed"]


def test_discarding_asks_for_a_reason(site: Site) -> None:
    _, letter = _stuck_lead(site)
    for body in ({}, {"reason": ""}, {"reason": "x" * 201}, {"reason": "a\u0000b"}, {"reason": "a", "more": 1}):
        assert site.post(f"/v1/ops/dead-letters/{letter}/discard", body, 422)["code"] == "validation_failed"
    assert site.get("/v1/ops/dead-letters")["items"][0]["id"] == letter


def test_dead_letters_are_listed_newest_first_in_pages_and_by_step(site: Site) -> None:
    letters = [_stuck_lead(site)[1] for _ in range(3)]
    _, other = _stuck_receipt(site)
    first = site.get("/v1/ops/dead-letters?step=score&limit=2")
    second = site.get(f"/v1/ops/dead-letters?step=score&limit=2&cursor={first['next']}")
    assert [item["id"] for item in first["items"] + second["items"]] == letters[::-1]
    assert second["next"] is None
    assert [item["id"] for item in site.get("/v1/ops/dead-letters")["items"]] == [other, *letters[::-1]]
    assert site.get("/v1/ops/dead-letters?cursor=x", 422)["code"] == "cursor_invalid"


def test_dead_letters_of_one_kind_are_counted_together(site: Site) -> None:
    for _ in range(2):
        _stuck_lead(site)
    lead = site.seed.lead(next_step="route")
    site.seed.dead_letter("lead", lead, "route", "e" * 16)
    groups = site.get("/v1/ops/dead-letters?group=fingerprint")["items"]
    assert [(group["fingerprint"], group["letters"]) for group in groups] == [("f" * 16, 2), ("e" * 16, 1)]


def test_a_letter_that_does_not_exist_is_not_found(site: Site) -> None:
    for letter in (new_id(), "nonsense"):
        assert site.post(f"/v1/ops/dead-letters/{letter}/retry", status=404)["code"] == "dead_letter_not_found"


def test_the_account_counts_receipts_by_what_became_of_them(site: Site) -> None:
    person = site.seed.person()
    lead = site.seed.lead(person, owner="ana")
    receipt = site.seed.receipt(status="processed", lead_id=lead, person_id=person)
    site.seed.touchpoint(lead, person, touch_id=receipt)
    site.seed.receipt(status="spam", reason="honeypot")
    site.seed.receipt(source="contact", due_since=NOW)
    account = site.get("/v1/ops/account")
    assert account["unaccounted"] == 0
    contact, website = account["sources"]
    assert (contact["source"], contact["received"], contact["pending"]) == ("contact", 1, 1)
    assert (website["received"], website["processed"], website["spam"]) == (2, 1, 1)


def test_what_nobody_would_ever_look_at_again_is_unaccounted_for(site: Site) -> None:
    receipt = site.seed.receipt()
    account = site.get("/v1/ops/account")
    assert account["unaccounted"] == 1
    assert account["found"] == [{"kind": "receipt_forgotten", "count": 1, "ids": [receipt]}]


def test_the_account_looks_back_only_as_far_as_it_is_asked(site: Site) -> None:
    now = clock.now()
    site.seed.receipt(id=ops.first_id(now - timedelta(hours=50)), due_since=NOW)
    assert site.get("/v1/ops/account")["sources"] == []
    for asked in ("hours=72", f"from={(now - timedelta(hours=51)).strftime('%Y-%m-%dT%H:%MZ')}"):
        assert [source["in_flight"] for source in site.get(f"/v1/ops/account?{asked}")["sources"]] == [1]
    assert site.get("/v1/ops/account?hours=0", 422)["code"] == "validation_failed"
    for wrong in ("from=2030-01-01", "from=2001-01-01", "from=2026-02-02&to=2026-02-01"):
        assert site.get(f"/v1/ops/account?{wrong}", 422)["code"] == "range_invalid"


def test_figures_say_what_the_latest_look_at_the_account_found(site: Site) -> None:
    assert "throughline_unaccounted" not in site.client.get("/metrics").text
    site.seed.receipt()
    keep_account(site.engine, clock.now())
    page = site.client.get("/metrics").text
    assert "throughline_unaccounted 1.0" in page
    assert 'throughline_unaccounted_by_kind{kind="receipt_forgotten"} 1.0' in page
    assert "throughline_account_age_seconds" in page


def test_operations_need_their_scopes(site: Site) -> None:
    _, letter = _stuck_lead(site)
    reader = site.key("ops:read")
    for path in ("/v1/ops/queues", "/v1/ops/dead-letters", "/v1/ops/account", "/metrics"):
        assert site.client.get(path, headers=reader).status_code == 200
        assert site.client.get(path, headers=site.key("leads:read")).json()["code"] == "scope_missing"
    assert site.client.post(f"/v1/ops/dead-letters/{letter}/retry", headers=reader).status_code == 403


def test_health_says_alive_and_why_it_is_not_ready(site: Site) -> None:
    assert site.client.get("/healthz", headers={"Authorization": ""}).json() == {"status": "alive"}
    answer = site.get("/readyz", 503)
    assert [(check["name"], check["reason"]) for check in answer["checks"]] == [
        ("database", None),
        ("migrations", "migrations_missing"),
        ("journey", None),
        ("intake", None),
    ]
    with site.engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version AS SELECT '0001' AS version_num"))
    assert site.get("/readyz")["ready"] is True
    with site.engine.begin() as connection:
        connection.execute(text("DELETE FROM journey_active"))
    assert site.get("/readyz", 503)["checks"][2]["reason"] == "no_active_journey"


def test_metrics_say_what_the_database_knows(site: Site) -> None:
    site.seed.lead(next_step="score", due_since=NOW)
    _stuck_receipt(site)
    page = site.client.get("/metrics").text
    assert 'throughline_due{queue="score"} 1.0' in page
    assert 'throughline_dead_letters{queue="identify"} 1.0' in page
    assert "throughline_outbox_unsent" not in page
    with site.engine.begin() as connection:
        connection.execute(text("INSERT INTO consumer (name, updated_at) VALUES ('amqp', now())"))
    site.seed.event(new_id(), 1)
    page = site.client.get("/metrics").text
    assert "throughline_outbox_unsent 1.0" in page
    assert "throughline_intake_accepted_total" in page
