"""Events over HTTP: what is taken, what is the same event, and what it moves."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.door import Answer, Door, api_thread, house

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = "/v1/events"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


@pytest.fixture(scope="module")
def database(postgres_server: str) -> Iterator[str]:
    with house(postgres_server) as url:
        yield url


@pytest.fixture(scope="module")
def api(database: str) -> Iterator[Door]:
    with api_thread(database) as door:
        _, door.key = door.make_key("events:write", "leads:read")
        yield door


def event(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    told = {
        "specversion": "1.0",
        "id": uuid4().hex,
        "source": "/shop",
        "type": "purchase",
        "time": "2026-11-01T10:00:00Z",
        "data": {"email": f"{uuid4().hex}@example.com", "name": "Ada Lind"},
    }
    return {name: value for name, value in (told | changes).items() if value is not None}


def send(api: Door, body: object, content_type: str = STRUCTURED, **headers: str) -> Answer:
    given = (
        api.bearer | {"Content-Type": content_type} | {name.replace("_", "-"): text for name, text in headers.items()}
    )
    return api.request("POST", EVENTS, json.dumps(body).encode(), given)


def call(api: Door, path: str, body: object, authorization: str = "") -> Answer:
    given = {"Content-Type": "application/json", "Authorization": authorization or api.bearer["Authorization"]}
    return api.request("POST", path, json.dumps(body).encode(), given)


def outcome(api: Door, answer: Answer) -> dict[str, Any]:
    (receipt,) = answer.receipts
    api.settle(receipt)
    return api.spine.receipt(receipt)


def touchpoint(api: Door, answer: Answer) -> dict[str, Any]:
    assert outcome(api, answer)["status"] in {"processed", "merged"}
    return api.spine.rows("SELECT * FROM touchpoint WHERE id = :id", id=answer.receipts[0])[0]


# -- CloudEvents -------------------------------------------------------------------------------------------------------


def test_a_structured_event_becomes_a_touchpoint_of_its_type_at_its_time(api: Door) -> None:
    answer = send(api, event())

    touched = touchpoint(api, answer)

    assert answer.status == 202
    assert (touched["kind"], touched["channel"], touched["source"]) == ("purchase", "event", "product")
    assert touched["occurred_at"].isoformat() == "2026-11-01T10:00:00+00:00"
    assert touched["data"]["type"] == "purchase"


def test_a_binary_event_is_read_from_its_headers(api: Door) -> None:
    headers = {"ce_specversion": "1.0", "ce_id": uuid4().hex, "ce_source": "/shop", "ce_type": "service.delivered"}

    answer = send(api, {"email": f"{uuid4().hex}@example.com"}, "application/json", **headers)

    assert touchpoint(api, answer)["kind"] == "service.delivered"


def test_each_event_of_a_batch_has_a_receipt_of_its_own(api: Door) -> None:
    answer = send(api, [event(), event(type="survey.answered")], BATCH)

    api.settle(*answer.receipts)

    kinds = [
        api.spine.rows("SELECT kind FROM touchpoint WHERE id = :id", id=each)[0]["kind"] for each in answer.receipts
    ]
    assert kinds == ["purchase", "survey.answered"]


def test_the_same_event_again_is_answered_with_its_first_receipt(api: Door) -> None:
    told = event()

    first, again = send(api, told), send(api, told)

    assert "duplicate" not in first.json
    assert again.json == {"receipts": first.receipts, "duplicate": True}


def test_fifty_copies_at_once_are_one_event(api: Door) -> None:
    told = event()

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: send(api, told), range(50)))

    assert {answer.status for answer in answers} == {202}
    assert len({receipt for answer in answers for receipt in answer.receipts}) == 1


def test_the_same_id_for_something_else_is_kept_in_quarantine(api: Door) -> None:
    told = event()
    first = send(api, told)

    other = send(api, told | {"type": "contract.ended"})

    assert other.status == 202
    assert other.receipts != first.receipts
    kept = api.spine.receipt(other.receipts[0])
    assert (kept["status"], kept["reason"]) == ("quarantined", "event_id_reused")


def test_the_same_id_from_another_source_is_another_event(api: Door) -> None:
    told = event()

    assert send(api, told).receipts != send(api, told | {"source": "/elsewhere"}).receipts


@pytest.mark.parametrize("missing", ["id", "source", "type", "specversion"])
def test_an_event_without_what_it_needs_is_refused_with_the_place(api: Door, missing: str) -> None:
    answer = send(api, event(**{missing: None}))

    assert (
        answer.status,
        answer.code,
        answer.json["errors"][0]["pointer"] if "errors" in answer.json else answer.json["pointer"],
    ) == (
        400,
        "cloudevents_attribute",
        f"/{missing}",
    )


def test_a_batch_with_a_bad_event_is_refused_whole_and_points_at_it(api: Door) -> None:
    before = api.receipts()

    answer = send(api, [event(), event(id=None)], BATCH)

    assert (answer.status, answer.code) == (400, "cloudevents_attribute")
    assert b"/1/id" in answer.body
    assert api.receipts() == before


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (event(data_base64="AAAA"), STRUCTURED, 400, "cloudevents_attribute"),
        (event(specversion="0.3"), STRUCTURED, 400, "cloudevents_attribute"),
        ({}, BATCH, 400, "array_expected"),
        ([], BATCH, 422, "array_empty"),
        (event(), "text/plain", 415, "unsupported_media_type"),
        (event(data="x" * 1_100_000), STRUCTURED, 413, "body_too_large"),
    ],
)
def test_what_is_no_event_is_refused(api: Door, body: Any, content_type: str, status: int, code: str) -> None:  # noqa: ANN401
    answer = send(api, body, content_type)

    assert (answer.status, answer.code) == (status, code)


def test_both_modes_at_once_are_refused(api: Door) -> None:
    assert send(api, event(), ce_id="another", ce_specversion="1.0").code == "cloudevents_mode"


def test_an_event_of_64_kib_is_taken(api: Door) -> None:
    told = event()
    told["data"]["note"] = ["x" * 30_000, "y" * 30_000]

    assert outcome(api, send(api, told))["status"] == "processed"


def test_an_event_that_names_nobody_waits_in_quarantine(api: Door) -> None:
    kept = outcome(api, send(api, event(data={"order": 17})))

    assert (kept["status"], kept["reason"]) == ("quarantined", "nothing_recognised")


def test_without_a_key_nothing_is_taken(api: Door) -> None:
    _, reader = api.make_key("leads:read")

    assert call(api, EVENTS, event(), "Bearer nothing").status == 401
    assert call(api, EVENTS, event(), f"Bearer {reader}").status == 403


def test_a_sender_that_asks_first_is_told_that_it_may_send(api: Door) -> None:
    answer = api.send("OPTIONS", EVENTS, webhook_request_origin="events.example")

    assert answer.status == 200
    assert answer.headers["WebHook-Allowed-Origin"] == "events.example"


def test_a_purchase_told_late_makes_a_customer_once(api: Door) -> None:
    person = f"{uuid4().hex}@example.com"
    lead = {"email": person, "message": "We would like to buy fifty of your largest ones.", "interests": ["large"]}
    form = api.post("/f/website", lead | {"employees": 900, "country": "DE", "phone": "+4930123456"})
    api.settle(*form.receipts)
    assert api.spine.lead_of(form.receipts[0])["state"] == "opportunity"

    late = event(data={"email": person}, time="2020-01-01T00:00:00Z")
    outcome(api, send(api, late))
    outcome(api, send(api, late))
    outcome(api, send(api, event(data={"email": person}, type="page.pricing")))

    moves = api.spine.rows(
        "SELECT name FROM transition WHERE lead_id = :id ORDER BY number", id=api.spine.lead_of(form.receipts[0])["id"]
    )
    assert [move["name"] for move in moves] == ["qualify", "win"]


# -- the Segment dialect -----------------------------------------------------------------------------------------------


def test_identify_says_who_and_track_what_they_did(api: Door) -> None:
    user = uuid4().hex
    traits = {"email": f"{user}@example.com", "name": "Ada Lind", "company": {"name": "Lind AB", "employees": 60}}
    who = touchpoint(api, call(api, "/v1/identify", {"userId": user, "traits": traits}))

    did = touchpoint(
        api, call(api, "/v1/track", {"userId": user, "event": "Demo Requested", "properties": {"seats": 5}})
    )

    assert who["kind"] == "identify"
    assert did["kind"] == "demo_requested"
    assert did["person_id"] == who["person_id"]
    assert did["data"]["properties"] == {"properties.seats": 5}
    (person,) = api.spine.rows("SELECT * FROM person WHERE id = :id", id=who["person_id"])
    assert (person["name"], person["email"]) == ("Ada Lind", traits["email"])


def test_a_look_at_a_page_is_named_for_the_page(api: Door) -> None:
    user = uuid4().hex
    touchpoint(api, call(api, "/v1/identify", {"userId": user, "traits": {"email": f"{user}@example.com"}}))

    seen = touchpoint(
        api, call(api, "/v1/page", {"userId": user, "name": "Pricing", "timestamp": "2026-11-02T08:00:00.5Z"})
    )

    assert seen["kind"] == "page.pricing"
    assert seen["occurred_at"].isoformat() == "2026-11-02T08:00:00.500000+00:00"


def test_a_cookie_is_nobody(api: Door) -> None:
    shared = uuid4().hex
    first = touchpoint(api, call(api, "/v1/identify", {"anonymousId": shared, "userId": uuid4().hex}))
    second = touchpoint(api, call(api, "/v1/identify", {"anonymousId": shared, "userId": uuid4().hex}))
    nobody = outcome(api, call(api, "/v1/track", {"anonymousId": shared, "event": "Looked"}))

    assert first["person_id"] != second["person_id"]
    assert first["data"]["anonymous_id"] == shared
    assert (nobody["status"], nobody["reason"]) == ("quarantined", "nothing_recognised")


def test_a_batch_of_calls_is_taken_one_by_one_and_once(api: Door) -> None:
    user = uuid4().hex
    calls = {
        "batch": [
            {"type": "identify", "messageId": uuid4().hex, "userId": user, "traits": {"email": f"{user}@example.com"}},
            {"type": "track", "messageId": uuid4().hex, "userId": user, "event": "trial started"},
        ]
    }

    first, again = call(api, "/v1/batch", calls), call(api, "/v1/batch", calls)

    assert len(first.receipts) == 2
    assert again.receipts == first.receipts
    assert again.json["duplicate"]


def test_libraries_send_the_key_as_a_user_name(api: Door) -> None:
    basic = base64.b64encode(f"{api.key}:".encode()).decode()

    assert call(api, "/v1/track", {"userId": "7", "event": "x"}, f"Basic {basic}").status == 202
    assert call(api, "/v1/track", {"userId": "7", "event": "x"}, "Basic !").status == 401


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"batch": {}}, "array_expected"),
        ({}, "array_expected"),
        ({"batch": []}, "array_empty"),
        ({"batch": [{"type": "shout"}]}, "call_unknown"),
        ({"batch": [7]}, "object_expected"),
    ],
)
def test_what_is_no_batch_is_refused(api: Door, body: Any, code: str) -> None:  # noqa: ANN401
    assert call(api, "/v1/batch", body).code == code


def test_the_feed_is_read_where_events_come_in(api: Door) -> None:
    _, reader = api.make_key("events:read")

    answer = api.request("GET", EVENTS, None, {"Authorization": f"Bearer {reader}"})

    assert answer.status == 200
    assert answer.json.keys() == {"events", "next"}
