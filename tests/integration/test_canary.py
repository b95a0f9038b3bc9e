"""Canaries: each way in is tried as a sender would, and nobody takes one for a lead."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from schema.canary import address_of
from schema.journey import default_text
from schema.settings import Settings
from schema.store import account, canaries, clock
from schema.store.journeys import JourneyBook
from services.api import meters
from services.bus.consume import REFUSED
from services.canary import Canaries, ways
from tests.door import SECRET, Door, api_thread
from tests.integration.test_consume import Sender, consuming
from tests.postman import taking
from tests.rig import until
from tests.spine import Spine, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY = timedelta(minutes=5)
LONG_AGO = clock.now() - timedelta(days=30)
NOBODY = ("person", "person_key", "company", "lead", "touchpoint", "decision", "transition", "event")


@pytest.fixture
def door(database_url: str) -> Iterator[Door]:
    with api_thread(database_url) as door:
        yield door


@contextmanager
def birds(door: Door, **settings: Any) -> Iterator[Canaries]:  # noqa: ANN401 - of several types
    given = Settings(
        secret_key=SECRET,
        canary_every_s=settings.pop("canary_every_s", EVERY.total_seconds()),
        canary_url=settings.pop("canary_url", f"http://127.0.0.1:{door.address[1]}"),
        **settings,
    )
    yield Canaries(door.spine.engine, given, JourneyBook())


def standing(door: Door) -> dict[tuple[str, str], dict[str, Any]]:
    sources = ["website", "contact", "api", "inbox", "product"]
    with door.spine.engine.connect() as connection:
        return {(way["source"], way["path"]): way for way in canaries.standing(connection, sources, clock.now())}


def test_a_canary_comes_through_every_way_in_and_is_nobodys_lead(door: Door) -> None:
    now = clock.now()
    with taking(door.spine.url) as port, birds(door, mail_listen=f"smtp://127.0.0.1:{port}") as flock:
        sent = flock.fly(now, started=LONG_AGO)
    receipts = door.spine.rows("SELECT id, status FROM receipt")
    assert {receipt["status"] for receipt in receipts} == {"pending"}
    door.settle(*(receipt["id"] for receipt in receipts))

    told = standing(door)

    assert set(told) == {
        ("website", "form"), ("contact", "form"), ("api", "api"), ("product", "event"), ("inbox", "mail")
    }  # fmt: skip
    assert {(way["late"], way["error"]) for way in told.values()} == {(False, None)}
    assert len(sent) == len(receipts) == len(told)
    ends = door.spine.rows("SELECT DISTINCT status, reason, test, lead_id FROM receipt")
    assert ends == [{"status": "rejected", "reason": "canary", "test": True, "lead_id": None}]
    assert {table: door.spine.rows(f"SELECT FROM {table}") for table in NOBODY} == {table: [] for table in NOBODY}


@pytest.mark.parametrize("secret", ["", "s3cret of the shop"])
def test_a_hook_of_no_provider_is_tried_too_with_its_secret(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("SHOP_SECRET", secret)
    hooks = "shop: {kind: hook, map: {who.mail: email}%s}" % (", secret: SHOP_SECRET" if secret else "")
    theirs = "typeform: {kind: hook, provider: typeform}"
    prepare(postgres_url, default_text().replace("\nsources:\n", f"\nsources:\n  {hooks}\n  {theirs}\n", 1))
    with api_thread(postgres_url) as door, birds(door) as flock:
        sent = [each.path for each in flock.fly(clock.now(), started=LONG_AGO) if each.source.kind == "hook"]
        assert sent == ["hook"]
        door.settle()
        with door.spine.engine.connect() as connection:
            (way,) = canaries.standing(connection, ["shop"], clock.now())
        assert (way["path"], way["late"], way["error"]) == ("hook", False, None)
        assert door.spine.rows("SELECT FROM lead") == []


def test_a_canary_comes_over_the_bus_where_events_are_taken_from_one(door: Door, rabbitmq_url: str) -> None:
    sender = Sender(rabbitmq_url)
    with consuming(door.spine, rabbitmq_url), birds(door, canary_url="", consume_url=rabbitmq_url) as flock:
        until(sender.exists, "the queue is declared")
        assert [each.path for each in flock.fly(clock.now(), started=LONG_AGO)] == ["bus"]
        until(lambda: door.receipts() == 1, "it is stored")
    sender.forget(sender.queue, REFUSED)
    door.settle()
    (way,) = standing(door).values()
    assert (way["path"], way["late"], way["error"]) == ("bus", False, None)
    assert door.spine.rows("SELECT FROM lead") == []


def test_canaries_are_in_no_figure_of_the_account_but_their_own(door: Door) -> None:
    with birds(door) as flock:
        flock.fly(clock.now(), started=LONG_AGO)
    door.settle()
    with door.spine.engine.begin() as connection:
        told = account.account(connection, clock.now())
    assert {(source["received"], source["rejected"], source["canary"]) for source in told["sources"]} == {(0, 0, 1)}
    assert (told["unaccounted"], len(told["canaries"])) == (0, len(told["sources"]))


def test_a_canary_is_sent_once_in_each_interval_whoever_asks(door: Door) -> None:
    now = clock.now()
    with birds(door) as flock:
        assert flock.fly(now, started=now) == []
        first = flock.fly(now + EVERY, started=now)
        assert len(first) > 0
        assert flock.fly(now + EVERY * 1.5, started=now) == []
        assert len(flock.fly(now + EVERY * 2, started=now)) == len(first)


def test_a_way_that_is_shut_is_told_with_its_reason_and_grows_old(door: Door) -> None:
    now = clock.now() - timedelta(hours=1)
    with birds(door) as flock:
        flock.fly(now, started=LONG_AGO)
    door.settle()
    door.spine.do("UPDATE api_key SET revoked_at = now() WHERE label = 'canary'")
    with api_thread(door.spine.url) as fresh, birds(fresh, canary_every_s=60) as flock:
        flock.fly(clock.now(), started=LONG_AGO)
    told = standing(door)
    assert (told["api", "api"]["error"], told["api", "api"]["late"]) == ("http_401", True)
    assert told["api", "api"]["age_s"] > 3500
    assert (told["website", "form"]["error"], told["website", "form"]["late"]) == (None, False)


def test_a_canary_that_no_worker_reads_in_time_is_late(door: Door) -> None:
    now = clock.now() - 2 * canaries.WITHIN
    with birds(door) as flock:
        flock.fly(now, started=LONG_AGO)
    assert all(way["late"] and way["age_s"] >= 120 for way in standing(door).values())
    door.settle()
    assert not any(way["late"] for way in standing(door).values())


def test_a_canary_that_cannot_be_handed_over_at_all_is_told(door: Door) -> None:
    with birds(door, canary_url="http://127.0.0.1:9", mail_listen="smtp://127.0.0.1:9") as flock:
        flock.fly(clock.now(), started=LONG_AGO)
    told = standing(door)
    assert {way["error"] for way in told.values()} == {"http_unreachable", "mail_unreachable"}


def test_a_map_that_does_not_find_the_address_is_found_out(postgres_url: str) -> None:
    mapped = "kind: api, label: Other systems, map: {who.mail: email, who: message}"
    prepare(postgres_url, default_text().replace("kind: api, label: Other systems", mapped))
    with api_thread(postgres_url) as door, birds(door) as flock:
        flock.fly(clock.now(), started=LONG_AGO)
        door.settle()
        assert standing(door)["api", "api"]["error"] is None
        door.spine.do("DELETE FROM canary")
        door.spine.do("DELETE FROM receipt")
        flock.fly(clock.now(), started=LONG_AGO)
        door.spine.do("UPDATE receipt SET body = '{\"who\": \"somebody\"}' WHERE source = 'api'")
        door.settle()
        assert (standing(door)["api", "api"]["error"], standing(door)["api", "api"]["late"]) == ("canary_unread", True)


def test_who_only_says_to_be_a_canary_is_a_lead(door: Door) -> None:
    answer = door.post("/f/website", {"email": address_of("0" * 32)}, throughline_canary="0" * 32)
    door.settle(*answer.receipts)
    assert door.spine.receipt(answer.receipts[0])["status"] == "processed"


def test_a_nonce_that_was_used_hides_no_second_arrival(door: Door) -> None:
    with birds(door) as flock:
        sent = flock.fly(clock.now(), started=LONG_AGO)
    door.settle()
    nonce = next(each.nonce for each in sent if each.name == "website")
    answer = door.post("/f/website", {"email": "ana@kiln.example"}, throughline_canary=nonce)
    door.settle(*answer.receipts)
    assert door.spine.receipt(answer.receipts[0])["status"] == "processed"


def test_after_a_day_nothing_is_left_of_a_canary_that_came(door: Door) -> None:
    now = clock.now()
    real = door.good().receipts[0]
    with birds(door) as flock:
        flock.fly(now, started=LONG_AGO)
        door.settle()
        with door.spine.engine.begin() as connection:
            assert canaries.remove(connection, now + timedelta(hours=23)) == 0
            assert canaries.remove(connection, now + timedelta(hours=25)) == 4
    assert [receipt["id"] for receipt in door.spine.rows("SELECT id FROM receipt")] == [real]
    assert len(door.spine.rows("SELECT FROM submission")) == 1
    with door.spine.engine.begin() as connection:
        assert account.account(connection, clock.now())["unaccounted"] == 0


def test_one_that_was_held_up_for_a_day_is_still_no_lead(door: Door) -> None:
    now = clock.now()
    with birds(door) as flock:
        flock.fly(now, started=LONG_AGO)
        with door.spine.engine.begin() as connection:
            canaries.remove(connection, now + timedelta(days=2))
    door.settle()
    assert door.spine.rows("SELECT FROM lead") == []


def test_without_an_interval_none_is_sent_and_what_there_was_goes(door: Door) -> None:
    now = clock.now()
    with birds(door) as flock:
        flock.fly(now, started=LONG_AGO)
    door.settle()
    with birds(door, canary_every_s=0) as flock:
        assert flock.fly(now + EVERY, started=now) == []
    assert door.spine.rows("SELECT FROM canary") == door.spine.rows("SELECT FROM receipt") == []


def test_only_ways_that_are_open_and_configured_are_tried(spine: Spine) -> None:
    with spine.engine.connect() as connection:
        sources = JourneyBook().active(connection)[0].sources
    everything = Settings(canary_url="http://x", mail_listen="smtp://x:25", consume_url="amqp://x")
    assert {name: ways(source, everything) for name, source in sources.items()} == {
        "website": ["form"],
        "contact": ["form"],
        "api": ["api"],
        "inbox": ["mail"],
        "product": ["event", "bus"],
        "files": [],
    }
    assert {path for source in sources.values() for path in ways(source, Settings(database_url="x"))} == set()


def test_figures_say_how_old_the_last_canary_is_that_came(door: Door) -> None:
    with birds(door) as flock:
        flock.fly(clock.now() - timedelta(minutes=10), started=LONG_AGO)
    door.settle()
    with door.spine.engine.begin() as connection:
        page = meters.page(meters.gauges(connection, ["api"])).decode()
    (line,) = [line for line in page.splitlines() if line.startswith("throughline_canary_age_seconds{")]
    assert line.startswith('throughline_canary_age_seconds{path="api",source="api"} ')
    assert float(line.rpartition(" ")[2]) >= 600
    assert 'throughline_canary_late{path="api",source="api"} 0.0' in page
