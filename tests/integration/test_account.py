"""The account: all that arrived is accounted for, every kind of loss is found and named, and looking stays cheap."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text
from typer.testing import CliRunner, Result

from schema import tables
from schema.errors import Permanent
from schema.journey import default_text
from schema.store import account as stored
from schema.store import clock, ops, quarantine, rows
from schema.store.engine import make_engine
from schema.store.ids import new_id
from services.cli.main import app
from services.watch import keep_account
from tests.rig import until
from tests.spine import Spine, prepare
from workers.helpdesk.by_hand import TicketService

if TYPE_CHECKING:
    from collections.abc import Iterator

FATES = ("processed", "merged", "quarantined", "spam", "rejected", "in_flight", "dead")
SPAM = {"email": "ana@kiln.example", "_website": "http://x.example", "message": "cheap"}


def look(spine: Spine, now: datetime | None = None, **given: Any) -> dict[str, Any]:  # noqa: ANN401 - its arguments
    with spine.engine.begin() as connection:
        return stored.account(connection, now or clock.now(), **given)


def close(spine: Spine, now: datetime | None = None) -> int:
    """Close all that is over an hour from now."""
    done = 0
    while True:
        with spine.engine.begin() as connection:
            closed = stored.close(connection, now or clock.now() + timedelta(hours=1))
        done += closed
        if not closed:
            return done


def figures(account: dict[str, Any]) -> dict[str, dict[str, int]]:
    """The figures that are not nothing, by source."""
    names = ("received", *FATES, "unaccounted", "canary")
    return {source["source"]: {n: source[n] for n in names if source[n]} for source in account["sources"]}


def kinds(account: dict[str, Any]) -> dict[str, list[str]]:
    return {found["kind"]: found["ids"] for found in account["found"]}


def arrived(spine: Spine) -> str:
    """A lead that travelled its way; its receipt."""
    receipt = spine.arrives({"email": "ana@kiln.example", "country": "DE", "interests": "crm"})
    spine.run()
    return receipt


def acknowledged(spine: Spine, receipt: str) -> None:
    """The memory of what a sender was told."""
    row = {
        "source": "website",
        "key": rows.as_bytea(b"k" * 32),
        "fingerprint": rows.as_bytea(b"f" * 32),
        "receipt_ids": [receipt],
        "received_at": clock.now(),
        "expires_at": clock.now() + timedelta(days=1),
    }
    with spine.engine.begin() as connection:
        rows.insert(connection, tables.submission, [row])


def test_all_that_arrives_is_counted_by_what_became_of_it(spine: Spine) -> None:
    arrived(spine)
    spine.arrives({"email": "ana@kiln.example", "message": "me again"})
    spine.arrives(b"{")
    spine.arrives({"email": "bo@kiln.example"}, source="contact")
    spine.run()
    set_aside = spine.arrives({"email": "cy@kiln.example"}, source="contact")
    spine.do("UPDATE receipt SET due_since = NULL WHERE id = :id", id=set_aside)
    _letter(spine, set_aside)
    spine.arrives({"email": "di@kiln.example"}, source="contact")

    account = look(spine)

    assert figures(account) == {
        "website": {"received": 3, "processed": 1, "merged": 1, "quarantined": 1},
        "contact": {"received": 3, "processed": 1, "dead": 1, "in_flight": 1},
    }
    assert (account["unaccounted"], account["found"]) == (0, [])
    for source in account["sources"]:
        assert source["received"] == sum(source[fate] for fate in FATES)
        assert {name: sum(hour[name] for hour in source["hours"]) for name in FATES} == {n: source[n] for n in FATES}


DAMAGES = {
    "receipt_forgotten": "UPDATE receipt SET due_since = NULL WHERE id = :pending",
    "touchpoint_missing": "DELETE FROM touchpoint WHERE id = :receipt",
    "lead_missing": "DELETE FROM lead WHERE id = :lead",
    "receipt_missing": "DELETE FROM receipt WHERE id = :receipt",
    "touchpoint_unfounded": "DELETE FROM receipt WHERE id = :receipt",
    "lead_adrift": "UPDATE lead SET owner = NULL, waits = '{}', wake_at = NULL WHERE id = :lead",
    "lead_forgotten": "UPDATE lead SET next_step = 'score' WHERE id = :lead",
    "lead_without_timer": 'UPDATE lead SET wake_at = NULL, waits = \'{"score": "2030-01-01"}\' WHERE id = :lead',
    "lead_unfounded": "DELETE FROM touchpoint WHERE id = :receipt",
}
NAMES = {"receipt_forgotten": "pending", "lead_missing": "receipt"}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_loss_is_found_and_named_whatever_was_lost(spine: Spine, kind: str) -> None:
    receipt = arrived(spine)
    acknowledged(spine, receipt)
    lead = spine.lead_of(receipt)["id"]
    pending = spine.arrives({"email": "bo@kiln.example"})
    ids = {"receipt": receipt, "lead": lead, "pending": pending}
    assert look(spine)["unaccounted"] == 0

    with spine.engine.begin() as connection:
        connection.execute(text(DAMAGES[kind].replace(":", "\\:").replace("= \\:", "= :")), ids)
    account = look(spine)

    assert account["unaccounted"] > 0
    assert kinds(account)[kind] == [ids[NAMES.get(kind, "lead" if kind.startswith("lead") else "receipt")]]


def test_what_our_own_work_left_came_by_no_receipt_and_has_to_tell_of_something(spine: Spine) -> None:
    lead = spine.lead_of(arrived(spine))
    call = {"kind": "question", "source": "by_hand", "channel": "phone"}
    TicketService(spine.engine, spine.hints.send).open(lead["id"], call, "Hello?", actor="key:1", now=spine.now)
    spine.run(step="score")
    assert look(spine)["unaccounted"] == 0

    spine.do("DELETE FROM ticket")
    [touchpoint] = spine.rows("SELECT id FROM touchpoint WHERE kind = 'ticket.opened'")

    assert kinds(look(spine)) == {"touchpoint_unfounded": [touchpoint["id"]]}


def test_what_was_lost_after_its_hour_was_closed_is_found_when_it_is_counted_again(spine: Spine) -> None:
    receipt = arrived(spine)
    close(spine)
    spine.do("DELETE FROM touchpoint")
    spine.do("DELETE FROM lead")
    spine.do("DELETE FROM receipt WHERE id = :id", id=receipt)

    account = look(spine, verify=True)

    assert account["found"] == [{"kind": "receipts_vanished", "count": 1, "ids": []}]


def test_a_closed_hour_says_the_same_and_is_not_counted_again(spine: Spine) -> None:
    arrived(spine)
    spine.arrives({"email": "ana@kiln.example"})
    spine.arrives(b"{", source="contact")
    spine.run()
    before = look(spine)

    assert close(spine) > 0
    seen = _statements(spine)
    after = look(spine)

    read = [found for statement, found in seen if "AS fate" in statement]
    assert (len(read) > 0, sum(read)) == (True, 0)
    assert after["sources"] == before["sources"]
    assert look(spine, verify=True)["sources"] == before["sources"]
    assert close(spine) == 0


def test_an_hour_with_something_in_flight_is_not_closed(spine: Spine) -> None:
    spine.arrives({"email": "ana@kiln.example"})
    close(spine)
    assert spine.rows("SELECT FROM account WHERE received > 0") == []
    spine.run()
    close(spine)
    (row,) = spine.rows("SELECT * FROM account WHERE received > 0")
    assert (row["received"], row["processed"], row["unaccounted"]) == (1, 1, 0)


def test_what_is_released_after_its_hour_was_closed_is_counted_as_what_it_became(spine: Spine) -> None:
    held = spine.arrives(b"{")
    spine.run()
    close(spine)
    assert figures(look(spine)) == {"website": {"received": 1, "quarantined": 1}}
    with spine.engine.begin() as connection:
        quarantine.release(connection, [held], "ana", clock.now())
    assert figures(look(spine)) == {"website": {"received": 1, "in_flight": 1}}
    spine.do("UPDATE receipt SET body = :body WHERE id = :id", id=held, body=b'{"email": "ana@kiln.example"}')
    spine.run(ids=[held])
    close(spine)
    assert figures(look(spine)) == {"website": {"received": 1, "processed": 1}}


def test_what_is_released_while_its_hour_is_being_closed_is_not_counted_as_held_for_ever(spine: Spine) -> None:
    held = spine.arrives(b"{")
    spine.run()
    closing = threading.Thread(target=close, args=(spine,))
    with spine.engine.begin() as connection:
        quarantine.release(connection, [held], "ana", clock.now())
        closing.start()
        until(lambda: _waits_for_account(spine) or not closing.is_alive(), "it waits, or is done")
    closing.join()
    assert figures(look(spine)) == {"website": {"received": 1, "in_flight": 1}}


def test_a_dead_letter_that_is_given_up_after_its_hour_was_closed_is_counted_as_rejected(spine: Spine) -> None:
    receipt = spine.arrives({"email": "ana@kiln.example"})
    spine.do("UPDATE receipt SET due_since = NULL WHERE id = :id", id=receipt)
    letter = _letter(spine, receipt)
    close(spine)
    assert figures(look(spine)) == {"website": {"received": 1, "dead": 1}}
    with spine.engine.begin() as connection:
        ops.discard(connection, letter, "test_data", "ana", clock.now())
    assert figures(look(spine)) == {"website": {"received": 1, "rejected": 1}}


def test_a_loss_does_not_grow_old_it_is_told_until_it_is_mended(spine: Spine) -> None:
    receipt = arrived(spine)
    stuck = spine.lead_of(arrived(spine))["id"]
    spine.do("CREATE TABLE kept AS SELECT * FROM touchpoint WHERE id = :id", id=receipt)
    spine.do("DELETE FROM touchpoint WHERE id = :id", id=receipt)
    spine.do("UPDATE lead SET next_step = 'score' WHERE id = :id", id=stuck)
    close(spine)
    week = clock.now() + timedelta(days=7)
    keep_account(spine.engine, clock.now() + timedelta(hours=2))
    keep_account(spine.engine, week)

    account = look(spine, week)

    assert account["sources"] == []
    assert kinds(account) == {"touchpoint_missing": [receipt], "lead_forgotten": [stuck]}
    spine.do("INSERT INTO touchpoint SELECT * FROM kept")
    spine.do("UPDATE lead SET next_step = NULL WHERE id = :id", id=stuck)
    keep_account(spine.engine, week + timedelta(hours=1))
    assert spine.rows("SELECT unaccounted FROM audit ORDER BY at DESC LIMIT 1") == [{"unaccounted": 0}]
    assert spine.rows("SELECT FROM account WHERE unaccounted > 0") == []


def test_leads_of_a_journey_without_owners_are_nobodys_and_not_lost(postgres_url: str) -> None:
    document = default_text().replace("journey: default\n", "journey: default\nsteps: [qualify, score, advance]\n", 1)
    prepare(postgres_url, document)
    spine = Spine(postgres_url)
    arrived(spine)
    assert spine.rows("SELECT owner FROM lead") == [{"owner": None}]
    assert look(spine)["unaccounted"] == 0
    spine.close()


def test_the_account_can_be_asked_for_a_range_of_the_past(spine: Spine) -> None:
    now = clock.now()
    for hours in (100, 30, 3):
        _rejected(spine, ops.first_id(now - timedelta(hours=hours)))
    assert sum(source["received"] for source in look(spine)["sources"]) == 2
    past = look(spine, since=now - timedelta(hours=101), until=now - timedelta(hours=29))
    (source,) = past["sources"]
    assert (source["received"], [hour["rejected"] for hour in source["hours"]]) == (2, [1, 1])


def test_a_source_that_is_silent_for_too_long_is_told_also_when_nothing_came_lately(spine: Spine) -> None:
    now = clock.now()
    _history(spine, "website", [now - timedelta(days=5, hours=hour) for hour in range(24)])
    _history(spine, "gone", [now - timedelta(days=5, hours=hour) for hour in range(24)])
    _history(spine, "contact", [now - timedelta(hours=hour) for hour in range(1, 40)])

    told = {source["source"]: source for source in look(spine)["sources"]}

    assert told["website"]["silent"] is True
    assert told["website"]["silent_since"] == now - timedelta(days=5)
    assert told["website"]["usual_gap_s"] == 3600
    assert told["contact"]["silent"] is False
    assert "gone" not in told  # no journey has it any more
    assert "api" not in told  # it never was active


def test_what_the_watch_finds_is_kept_and_looked_for_once_a_minute(spine: Spine) -> None:
    arrived(spine)
    now = clock.now()
    assert keep_account(spine.engine, now) is True
    assert keep_account(spine.engine, now + timedelta(seconds=30)) is False
    spine.do("UPDATE lead SET next_step = 'score'")
    assert keep_account(spine.engine, now + timedelta(seconds=61)) is True
    first, second = spine.rows("SELECT unaccounted, found FROM audit ORDER BY at")
    assert (first["unaccounted"], first["found"]) == (0, {})
    assert second["unaccounted"] == 1
    assert list(second["found"]) == ["lead_forgotten"]
    assert keep_account(spine.engine, now + timedelta(days=3)) is True
    assert len(spine.rows("SELECT FROM audit")) == 1


def test_leads_adrift_and_what_was_acknowledged_are_found_by_indexes_of_their_own(spine: Spine) -> None:
    receipt = arrived(spine)
    spine.do(
        """
        INSERT INTO lead (id, person_id, journey, journey_name, state, open, source, channel, created_at, updated_at,
                          owner)
        SELECT gen_random_uuid(), person_id, journey, 'j' || n, 'lead', true, source, channel, created_at,
               updated_at, 'ana'
        FROM lead, generate_series(1, 10000) AS n
        """
    )
    acknowledged(spine, receipt)
    spine.do("ANALYZE")
    plans = [plan for _, plan in _plans(spine)]
    assert any("ix_lead_adrift" in plan for plan in plans)
    assert not any("Seq Scan on lead" in plan for plan in plans), plans


def _waits_for_account(spine: Spine) -> bool:
    waiting = "SELECT FROM pg_locks WHERE relation = 'account'::regclass AND NOT granted"
    return bool(spine.rows(waiting))


def _letter(spine: Spine, receipt: str) -> str:
    row = {
        "id": new_id(),
        "step": "identify",
        "subject": "receipt",
        "subject_id": receipt,
        "fingerprint": "f" * 16,
        "error": "ValueError: unexpected",
        "attempts": 3,
        "created_at": clock.now(),
    }
    with spine.engine.begin() as connection:
        rows.insert(connection, tables.dead_letter, [row])
    return str(row["id"])


def _rejected(spine: Spine, receipt: str) -> None:
    spine.do(
        """
        INSERT INTO receipt (id, source, channel, content_type, body, trace, received_at, status, reason)
        VALUES (:id, 'website', 'form', 'application/json', '', 'trace', :now, 'rejected', 'test_data')
        """,
        id=receipt,
        now=clock.now(),
    )


def _history(spine: Spine, source: str, moments: list[datetime]) -> None:
    """Arrivals of the past, in the account of their slices."""
    for at in moments:
        spine.do(
            """
            INSERT INTO account (since, source, received, processed, merged, quarantined, spam, rejected, dead,
                                 unaccounted, canary, first_at, last_at, closed_at)
            VALUES (to_timestamp(floor(extract(epoch FROM CAST(:at AS timestamptz)) / 300) * 300), :source,
                    1, 1, 0, 0, 0, 0, 0, 0, 0, :at, :at, :at)
            """,
            at=at,
            source=source,
        )


def _statements(spine: Spine) -> list[tuple[str, int]]:
    """What is asked from now on, and how many rows each question found."""
    seen: list[tuple[str, int]] = []
    event.listen(
        spine.engine,
        "after_cursor_execute",
        lambda _c, cursor, statement, *_: seen.append((statement, cursor.rowcount)),
    )
    return seen


def _plans(spine: Spine) -> Iterator[tuple[str, str]]:
    """The plan of each statement of a look."""
    statements: dict[str, Any] = {}
    with _reader(spine) as engine:
        event.listen(
            engine,
            "before_cursor_execute",
            lambda _c, _u, statement, parameters, *_: statements.setdefault(statement, parameters),
        )
        with engine.begin() as connection:
            stored.account(connection, clock.now())
        questions = [(s, p) for s, p in statements.items() if s.lstrip().startswith(("SELECT", "WITH"))]
        with engine.begin() as connection:
            for statement, parameters in questions:
                plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()
                yield statement, "\n".join(plan)


@contextmanager
def _reader(spine: Spine) -> Iterator[Any]:
    engine = make_engine(spine.url, name="plans")
    yield engine
    engine.dispose()


def test_the_command_says_in_words_what_is_lost_silent_and_late_and_fails_for_a_loss(spine: Spine) -> None:
    receipt = arrived(spine)
    told = _said(spine, "--hours")
    assert (told.exit_code, "unaccounted  0: nothing is lost" in told.stdout) == (0, True)
    assert "never (no ticker)" in told.stdout

    spine.do("DELETE FROM touchpoint")
    now = clock.now()
    _history(spine, "contact", [now - timedelta(days=5, hours=hour) for hour in range(24)])
    spine.do(
        "INSERT INTO canary (id, nonce, source, path, key, sent_at, error) "
        "VALUES (gen_random_uuid(), 'n', 'api', 'api', sha256('k'), now(), 'http_401')"
    )
    told = _said(spine)

    assert told.exit_code == 1
    loss = "LOST  1 arrivals that say they were processed, without their touchpoint (touchpoint_missing): "
    assert loss + receipt in told.stdout
    assert f"SILENT  contact since {now - timedelta(days=5):%Y-%m-%d %H:%M:%S}; usually something comes" in told.stdout
    assert "LATE  the canary sent to api (api) at " in told.stdout
    assert ": http_401\n" in told.stdout
    assert "unaccounted  2\n" in told.stdout
    assert json.loads(_said(spine, "--json").stdout)["unaccounted"] == 2


def test_the_command_refuses_a_range_that_is_none(spine: Spine) -> None:
    told = _said(spine, "--from", "2026-02-02", "--to", "2026-02-01")
    assert isinstance(told.exception, Permanent)
    assert told.exception.code == "range_invalid"


def _said(spine: Spine, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["ops", "account", *arguments], env={"THROUGHLINE_DATABASE_URL": spine.url})
