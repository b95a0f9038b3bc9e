"""The event feed: in order, nothing skipped, nothing twice, whatever commits when."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Connection, text

from schema import journey
from schema.events import json_schema
from schema.store import feed
from schema.store.ids import new_id
from tests.management import Site, add_event, open_site, settle

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


@pytest.fixture
def reader(site: Site) -> Iterator[Connection]:
    with site.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


def _ids(page: feed.Page) -> list[str]:
    return [event["id"] for event in page.events]


def test_an_event_that_commits_late_is_not_skipped_and_the_order_stays(site: Site, reader: Connection) -> None:
    slow, fast, later = new_id(), new_id(), new_id()
    with site.engine.connect() as a, site.engine.connect() as b:
        add_event(a, slow, 1)
        add_event(b, fast, 1)
        b.commit()
        early = feed.read(reader, feed.Cursor())
        assert _ids(early) == []
        a.commit()
    site.seed.event(later, 1)
    late = feed.read(reader, early.next)
    assert _ids(late) == [f"{slow}.1", f"{fast}.1", f"{later}.1"]
    assert _ids(feed.read(reader, feed.Cursor())) == _ids(late)


def test_what_a_reader_saw_before_a_late_commit_is_read_on_from_without_a_hole(site: Site, reader: Connection) -> None:
    first, slow, fast = new_id(), new_id(), new_id()
    site.seed.event(first, 1)
    with site.engine.connect() as a, site.engine.connect() as b:
        add_event(a, slow, 1)
        add_event(b, fast, 1)
        b.commit()
        before = feed.read(reader, feed.Cursor())
        a.commit()
    settle(site.engine)
    after = feed.read(reader, before.next)
    assert _ids(before) + _ids(after) == [f"{first}.1", f"{slow}.1", f"{fast}.1"]


def test_a_rolled_back_transaction_leaves_no_hole(site: Site, reader: Connection) -> None:
    gone, kept = new_id(), new_id()
    with site.engine.connect() as a, site.engine.connect() as b:
        add_event(a, gone, 1)
        add_event(b, kept, 1)
        b.commit()
        assert _ids(feed.read(reader, feed.Cursor())) == []
        a.rollback()
    settle(site.engine)
    assert _ids(feed.read(reader, feed.Cursor())) == [f"{kept}.1"]


def test_events_of_one_transaction_keep_their_order_over_pages(site: Site, reader: Connection) -> None:
    lead = new_id()
    with site.engine.begin() as connection:
        for sequence in range(1, 8):
            add_event(connection, lead, sequence)
    settle(site.engine)
    told, cursor = [], feed.Cursor()
    while page := feed.read(reader, cursor, limit=3):
        told += _ids(page)
        if not page.events:
            break
        cursor = page.next
    assert told == [f"{lead}.{sequence}" for sequence in range(1, 8)]


def test_a_reader_of_one_type_hears_only_that_and_moves_on_past_the_others(site: Site, reader: Connection) -> None:
    lead = new_id()
    for sequence, name in enumerate(("lead.created", "lead.scored", "lead.routed", "lead.scored"), 1):
        site.seed.event(lead, sequence, name)
    first = feed.read(reader, feed.Cursor(), types=["lead.scored"], limit=1)
    second = feed.read(reader, first.next, types=["lead.scored"], limit=1)
    nothing = feed.read(reader, second.next, types=["lead.scored"], limit=1)
    assert (_ids(first), _ids(second), _ids(nothing)) == ([f"{lead}.2"], [f"{lead}.4"], [])
    assert nothing.next == second.next
    nobody = feed.read(reader, feed.Cursor(), types=["lead.queued"])
    assert (_ids(nobody), nobody.next) == ([], second.next)


def test_the_feed_is_read_by_its_index_however_long_it_is(site: Site, reader: Connection) -> None:
    with site.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO event (lead_id, sequence, type, time, data) "
                "SELECT gen_random_uuid(), 1, 'lead.scored', now(), '{}' FROM generate_series(1, 20000)"
            )
        )
    reader.execute(text("ANALYZE event"))
    place = {"tx": "0", "position": 19_000, "limit": 100}
    plan = "\n".join(reader.execute(text(f"EXPLAIN {feed.ALL.text}"), place).scalars())
    assert "Index Scan using ix_event_feed" in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan


def test_a_consumer_is_remembered_and_knows_how_far_behind_it_is(site: Site, reader: Connection) -> None:
    assert feed.backlog(reader, "amqp", 10) is None
    assert feed.remembered(reader, "amqp") == feed.Cursor()
    for sequence in range(1, 4):
        site.seed.event(new_id(), sequence)
    page = feed.read(reader, feed.Cursor(), limit=1)
    feed.remember(reader, "amqp", page.next)
    assert feed.remembered(reader, "amqp") == page.next
    behind = feed.backlog(reader, "amqp", 10)
    assert behind is not None
    assert behind.events == 2


def test_over_http_the_cursor_always_comes_back_and_leads_on(site: Site) -> None:
    assert site.get("/v1/events")["events"] == []
    empty = site.get("/v1/events")["next"]
    lead = new_id()
    site.seed.event(lead, 1, "lead.created", {"state": "lead"})
    first = site.get(f"/v1/events?after={empty}&types=throughline.lead.created.v1,lead.scored")
    (event,) = first["events"]
    assert (event["specversion"], event["type"]) == ("1.0", "throughline.lead.created.v1")
    assert (event["subject"], event["sequence"], event["id"]) == (lead, 1, f"{lead}.1")
    assert site.get(f"/v1/events?after={first['next']}") == {"events": [], "next": first["next"]}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("after=nonsense", "cursor_invalid"),
        ("after=%00", "cursor_invalid"),
        ("after=OTk5OTk5OTk5OTk5OTk5OTk5OTkuMQ", "cursor_invalid"),
        ("types=lead.eaten", "type_unknown"),
        ("limit=0", "validation_failed"),
        ("limit=1001", "validation_failed"),
        ("limit=many", "validation_failed"),
    ],
)
def test_a_question_that_cannot_be_read_is_refused_without_repeating_it(site: Site, query: str, code: str) -> None:
    problem = site.get(f"/v1/events?{query}", 422)
    assert problem["code"] == code
    assert problem["errors"][0]["pointer"].startswith("/query/")
    assert not {"nonsense", "eaten", "many", "1001"} & set(str(problem).replace("'", " ").split())


def test_reading_events_needs_its_own_scope(site: Site) -> None:
    assert site.client.get("/v1/events", headers=site.key("leads:read")).status_code == 403
    assert site.client.get("/v1/events", headers={"Authorization": "Bearer no"}).status_code == 401
    assert site.client.get("/v1/events", headers=site.key("events:read")).status_code == 200


def test_every_type_has_a_schema_under_both_its_names(site: Site) -> None:
    kinds = [item["type"] for item in site.get("/v1/schemas")["items"]]
    assert "throughline.lead.transitioned.v1" in kinds
    for kind in kinds:
        shown = site.get(f"/v1/schemas/{kind}")
        assert shown["$id"] == f"/v1/schemas/{kind}"
    assert site.get("/v1/schemas/lead.created") == json_schema("lead.created")
    assert site.get(f"/v1/schemas/{uuid.uuid4()}", 404)["code"] == "type_unknown"


def test_the_schema_of_the_journey_file_is_there_for_every_editor(site: Site) -> None:
    answer = site.client.get("/v1/schemas/journey", headers={"Authorization": ""})
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.json() == journey.json_schema()
