"""Quarantine: what was held back waits, is shown with its reason, and is let go once."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from schema.journey import default_text
from schema.store import clock, journeys, quarantine
from schema.store.quarantine import Which
from services.cli.main import app
from tests.management import Site, open_site
from workers.sweep import DISABLED_KEPT, remove_disabled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.spine import Spine

NOWHERE = "00000000-0000-7000-8000-000000000000"
SPAM = {"email": "ana@example.com", "name": "Ana Lopez", "_website": "https://pills.example"}


@pytest.fixture
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


def held_spam(spine: Spine, **fields: Any) -> str:  # noqa: ANN401
    receipt = spine.arrives(SPAM | fields)
    spine.run(ids=[receipt])
    return receipt


def release(spine: Spine, *receipts: str) -> set[str]:
    with spine.engine.begin() as connection:
        return quarantine.release(connection, receipts, "key:abc", spine.now)


def read_again(spine: Spine, *receipts: str) -> set[str]:
    with spine.engine.begin() as connection:
        return quarantine.read_again(connection, receipts, spine.now)


# -- the way through ---------------------------------------------------------------------------------------------------


def test_a_form_that_a_machine_filled_in_waits_as_spam_and_nobody_is_made_of_it(spine: Spine) -> None:
    receipt = held_spam(spine)

    row = spine.receipt(receipt)
    assert (row["status"], row["reason"], row["lead_id"]) == ("spam", "honeypot_filled", None)
    assert row["detail"]["spam"]["reasons"][0] == {"code": "honeypot_filled", "points": 60}
    assert "ana" not in json.dumps(row["detail"])
    assert spine.rows("SELECT id FROM person") == spine.rows("SELECT id FROM lead") == []


def test_a_lead_that_was_taken_for_spam_goes_the_normal_way_once_it_is_released(spine: Spine) -> None:
    receipt = held_spam(spine)

    assert release(spine, receipt) == {receipt}
    spine.run(ids=[receipt])

    row = spine.receipt(receipt)
    assert (row["status"], row["reason"], row["released_at"]) == ("processed", None, spine.now)
    assert row["detail"] | {"held_for": "honeypot_filled", "released_by": "key:abc"} == row["detail"]
    assert row["detail"]["spam"]["points"] >= 50
    lead = spine.lead_of(receipt)
    assert lead["next_step"] is None
    assert lead["owner"] is not None
    (person,) = spine.rows("SELECT name, email, custom FROM person")
    assert person == {"name": "Ana Lopez", "email": "ana@example.com", "custom": {}}


def test_releasing_twice_makes_one_lead(spine: Spine) -> None:
    receipt = held_spam(spine)

    assert [release(spine, receipt), release(spine, receipt)] == [{receipt}, set()]
    spine.run(ids=[receipt])
    assert release(spine, receipt, NOWHERE, "nonsense") == set()
    spine.run(ids=[receipt])

    assert len(spine.rows("SELECT id FROM lead")) == len(spine.rows("SELECT id FROM touchpoint")) == 1


def test_what_says_nothing_to_us_makes_a_lead_when_somebody_releases_it(spine: Spine) -> None:
    receipt = spine.arrives({"favourite_colour": "blue"})
    spine.run(ids=[receipt])
    assert spine.receipt(receipt)["reason"] == "nothing_recognised"

    release(spine, receipt)
    spine.run(ids=[receipt])

    assert spine.receipt(receipt)["status"] == "processed"


def test_what_cannot_be_read_at_all_is_held_again_and_says_so(spine: Spine) -> None:
    receipt = spine.arrives(b"{not json")
    spine.run(ids=[receipt])
    release(spine, receipt)
    spine.run(ids=[receipt])

    row = spine.receipt(receipt)
    assert (row["status"], row["reason"], row["released_at"]) == ("quarantined", "json_syntax", spine.now)


def test_a_receipt_that_was_not_understood_becomes_a_lead_when_the_mapping_is_mended(spine: Spine) -> None:
    receipt = spine.arrives({"kontaktadresse": "ana@example.com"})
    spine.run(ids=[receipt])
    assert spine.receipt(receipt)["reason"] == "nothing_recognised"
    mended = default_text().replace("website: {kind: form,", "website: {kind: form, map: {kontaktadresse: email},", 1)
    with spine.engine.begin() as connection:
        journeys.activate(connection, journeys.store(connection, mended, spine.now), spine.now)

    assert read_again(spine, receipt) == {receipt}
    spine.run(ids=[receipt])

    row = spine.receipt(receipt)
    assert (row["status"], row["released_at"]) == ("processed", None)
    assert spine.rows("SELECT email FROM person") == [{"email": "ana@example.com"}]


def test_spam_that_is_only_read_again_stays_spam(spine: Spine) -> None:
    receipt = held_spam(spine)
    read_again(spine, receipt)
    spine.run(ids=[receipt])
    assert (spine.receipt(receipt)["status"], spine.receipt(receipt)["reason"]) == ("spam", "honeypot_filled")


def test_portions_take_each_held_receipt_of_the_kind_once_even_if_it_is_held_again(spine: Spine) -> None:
    spam = [held_spam(spine, email=f"p{n}@example.com") for n in range(5)]
    other = spine.arrives({"favourite_colour": "blue"})
    spine.run(ids=[other])

    taken: list[str] = []
    cursor: str | None = None
    for _ in range(4):
        with spine.engine.begin() as connection:
            ids, cursor = quarantine.portion(connection, Which(status="spam"), cursor=cursor, limit=2)
            quarantine.read_again(connection, ids, spine.now)
        spine.run(ids=ids)
        taken += ids
        if cursor is None:
            break

    assert (taken, cursor) == (spam, None)
    assert spine.receipt(other)["reason"] == "nothing_recognised"


# -- what came to a form that is switched off --------------------------------------------------------------------------


def held_by_a_closed_form(spine: Spine, received: timedelta) -> str:
    receipt = spine.arrives({"email": "ana@example.com"})
    born = f"{int((spine.now - received).timestamp() * 1000):012x}"
    aged = f"{born[:8]}-{born[8:]}{receipt[13:]}"
    spine.do(
        "UPDATE receipt SET id = :aged, received_at = :at, status = 'quarantined', reason = 'form_disabled', "
        "due_since = NULL WHERE id = :id",
        aged=aged, at=spine.now - received, id=receipt,
    )  # fmt: skip
    return aged


def test_what_came_to_a_closed_form_is_forgotten_after_a_week_and_still_counted(spine: Spine) -> None:
    old = held_by_a_closed_form(spine, DISABLED_KEPT + timedelta(minutes=1))
    young = held_by_a_closed_form(spine, DISABLED_KEPT - timedelta(minutes=1))

    assert [remove_disabled(spine.engine, spine.now), remove_disabled(spine.engine, spine.now)] == [1, 0]

    gone, kept = spine.receipt(old), spine.receipt(young)
    assert (gone["status"], gone["reason"], bytes(gone["body"]), gone["headers"]) == (
        "rejected", "form_disabled", b"", {},
    )  # fmt: skip
    assert kept["status"] == "quarantined"
    assert bytes(kept["body"]) == b'{"email": "ana@example.com"}'


def test_what_came_to_a_form_closed_by_mistake_is_not_lost(spine: Spine) -> None:
    receipt = held_by_a_closed_form(spine, timedelta(days=6))
    release(spine, receipt)
    spine.run(ids=[receipt])
    spine.passes(timedelta(days=30))
    assert remove_disabled(spine.engine, spine.now) == 0
    assert spine.receipt(receipt)["status"] == "processed"


# -- what even its reader does not take -------------------------------------------------------------------------------


def test_a_receipt_that_its_reader_fails_on_stands_in_dead_letter_and_its_neighbours_are_done(spine: Spine) -> None:
    broken = spine.arrives({"email": "ana@example.com"}, channel="import")
    spine.do(
        "UPDATE receipt SET headers = jsonb_build_object('import-map', '{no map') WHERE id = :id",
        id=broken,
    )
    neighbours = [spine.arrives({"email": f"p{number}@example.com"}) for number in range(5)]

    spine.run()

    assert {spine.receipt(each)["status"] for each in neighbours} == {"processed"}
    (letter,) = spine.rows("SELECT * FROM dead_letter")
    assert (letter["step"], letter["subject_id"], letter["error"]) == (
        "identify",
        broken,
        "ValidationError: unexpected",
    )
    assert spine.receipt(broken)["due_since"] is None


# -- plans -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [Which(), Which(reason="too_fast"), Which("too_fast", "website", "spam")])
def test_held_receipts_are_found_by_their_own_indexes_however_many_others_there_are(spine: Spine, which: Which) -> None:
    spine.do(
        "INSERT INTO receipt (id, source, channel, content_type, body, trace, received_at, status, reason, lead_id, "
        "person_id) SELECT gen_random_uuid(), 'website', 'form', 'application/json', '{}', 't', now(), "
        "CASE WHEN n % 100 = 0 THEN 'spam' ELSE 'processed' END, CASE WHEN n % 300 = 0 THEN 'too_fast' ELSE 'links' "
        "END, gen_random_uuid(), gen_random_uuid() FROM generate_series(1, 20000) AS n"
    )
    with spine.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE receipt"))
        for statement in (
            quarantine.page_statement(which, cursor=NOWHERE),
            quarantine.portion_statement(which, cursor=NOWHERE),
        ):
            explained = text(f"EXPLAIN {statement.text}")
            plan = connection.execute(explained, which.given | {"limit": 50, "cursor": NOWHERE}).scalars().all()
            assert "ix_receipt_held" in "\n".join(plan), plan


# -- over HTTP ---------------------------------------------------------------------------------------------------------


def test_an_operator_lists_what_is_held_counts_it_and_lets_one_go(site: Site) -> None:
    first = site.seed.receipt(status="spam", reason="too_fast")
    second = site.seed.receipt(status="quarantined", reason="nothing_recognised")
    site.seed.receipt(status="rejected", reason="ignored_call")

    listed = site.get("/v1/quarantine")
    assert {item["id"] for item in listed["items"]} == {first, second}
    assert [item["id"] for item in site.get("/v1/quarantine?reason=too_fast")["items"]] == [first]
    assert [item["id"] for item in site.get("/v1/quarantine?status=quarantined")["items"]] == [second]
    counted = site.get("/v1/quarantine?group=reason")["items"]
    assert {(c["status"], c["reason"], c["receipts"]) for c in counted} == {
        ("spam", "too_fast", 1), ("quarantined", "nothing_recognised", 1),
    }  # fmt: skip

    assert site.post(f"/v1/receipts/{first}/release") == {"id": first, "status": "pending", "changed": True}
    assert site.post(f"/v1/receipts/{first}/release") == {"id": first, "status": "pending", "changed": False}
    assert site.post(f"/v1/receipts/{NOWHERE}/release", status=404)["code"] == "receipt_not_found"
    assert site.post("/v1/receipts/nonsense/read-again", status=404)["code"] == "receipt_not_found"


def test_pages_of_what_is_held_join_without_a_gap(site: Site) -> None:
    made = {site.seed.receipt(status="spam", reason="too_fast") for _ in range(5)}
    seen: list[str] = []
    path = "/v1/quarantine?limit=2"
    while path:
        page = site.get(path)
        seen += [item["id"] for item in page["items"]]
        path = page["next"] and f"/v1/quarantine?limit=2&cursor={page['next']}"
    assert seen == sorted(made, reverse=True)
    assert site.get("/v1/quarantine?cursor=nonsense", 422)["code"] == "cursor_invalid"


def test_a_kind_is_released_in_portions_and_only_if_somebody_says_which(site: Site) -> None:
    for _ in range(3):
        site.seed.receipt(status="spam", reason="too_fast")
    other = site.seed.receipt(status="spam", reason="many_links")

    assert site.post("/v1/quarantine/release", {}, status=422)["code"] == "filter_missing"
    first = site.post("/v1/quarantine/release", {"reason": "too_fast", "limit": 2})
    assert first["changed"] == 2
    assert first["next"]
    assert site.post("/v1/quarantine/release", {"reason": "too_fast", "cursor": first["next"]}) == {
        "changed": 1, "next": None,
    }  # fmt: skip
    assert [item["id"] for item in site.get("/v1/quarantine")["items"]] == [other]


# -- at the command line -----------------------------------------------------------------------------------------------


def run(spine: Spine, *words: str, status: int = 0) -> str:
    environment = {"THROUGHLINE_DATABASE_URL": spine.url, "THROUGHLINE_SECRET_KEY": "the secret of these tests"}
    result = CliRunner().invoke(app, ["quarantine", *words], env=environment)
    assert result.exit_code == status, (result.output, result.exception)
    return result.output


def test_the_command_line_lists_shows_and_releases_and_a_dry_run_changes_nothing(spine: Spine) -> None:
    spine.now = clock.now()
    receipt = held_spam(spine)

    assert receipt in run(spine, "list")
    assert json.loads(run(spine, "list", "--spam", "--json"))["items"][0]["reason"] == "honeypot_filled"
    assert "honeypot_filled\twebsite\t1" in run(spine, "counts")
    shown = json.loads(run(spine, "show", receipt, "--json"))
    assert shown["read_now"] | {"outcome": "spam", "name": "Ana Lopez", "email": "ana@example.com"} == shown["read_now"]
    assert "ana@example.com" in run(spine, "show", receipt)
    assert run(spine, "release", "--reason", "honeypot_filled", "--dry-run") == "would release\t1\n"
    assert spine.receipt(receipt)["status"] == "spam"
    assert run(spine, "release", receipt) == f"{receipt}\treleased\n"
    assert run(spine, "release", receipt) == f"{receipt}\tis not held: pending\n"
    assert run(spine, "release", NOWHERE, status=1) == f"{NOWHERE}\tthere is no such receipt\n"
    spine.run(ids=[receipt])
    assert spine.receipt(receipt)["status"] == "processed"


def test_the_command_line_lets_nothing_go_that_nobody_named(spine: Spine) -> None:
    receipt = held_spam(spine)
    run(spine, "release", status=1)
    assert spine.receipt(receipt)["status"] == "spam"
    assert run(spine, "read-again", "--all") == "is read again\t1\n"
