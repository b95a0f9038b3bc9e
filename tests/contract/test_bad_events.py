"""
Bad events and deliveries against the running API, case by case: what each is answered, and what its receipt ends as.

The letters are those of the project's list of bad input: C1 to C26 are about events, webhooks and messages. Where each
of them is tested says `bad_input.yaml`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

import pytest

from schema.store import quarantine
from tests.door import FORM, LEADS, Door, api_process, house, journey_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.door import Answer

OLD: Final = "the secret of last week"
SECRET: Final = "the secret of this week"
STRUCTURED: Final = "application/cloudevents+json"
_SOURCES: Final = """
  any: {kind: hook}
  known: {kind: events, kinds: {purchase: purchase}}
  signed: {kind: hook, provider: standard_webhooks, secret: BAD_EVENTS_SECRET}
  paid: {kind: hook, provider: stripe, secret: BAD_EVENTS_SECRET}
"""
_TOLD: Final = {"specversion": "1.0", "id": "{id}", "source": "/shop", "type": "purchase"}
_WHO: Final = {"email": "{id}@lind.example"}


class Case(NamedTuple):
    """
    What is sent, what it is answered (with which code), and what its receipt ends as, for which reason.

    `{id}` is another in every request. `ended` is empty where nothing is stored.
    """

    id: str
    body: Any
    status: int
    code: str = ""
    ended: tuple[str, ...] = ()
    content_type: str = STRUCTURED
    headers: tuple[tuple[str, str], ...] = ()
    path: str = "/v1/events"
    pointer: str = ""


def _event(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON can say
    told = _TOLD | {"data": _WHO} | changes
    return {name: value for name, value in told.items() if value is not ...}


def _binary(**attributes: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"ce-{name}", value) for name, value in (_TOLD | attributes).items() if value)


def _encoded(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


_PROCESSED: Final = ("processed", "")
_NOBODY: Final = ("quarantined", "nothing_recognised")
_ATTRIBUTE: Final = "cloudevents_attribute"
CASES: Final = (
    *(
        Case(f"C1-{name}-{what}", _event(**{name: value}), 400, _ATTRIBUTE, pointer=f"/{name}")
        for name in ("id", "source", "specversion", "type")
        for what, value in (("missing", ...), ("empty", ""), ("null", None), ("number", 7), ("list", ["x"]))
    ),
    *(
        Case(
            f"C1-{name}-header",
            _WHO,
            400,
            _ATTRIBUTE,
            (),
            "application/json",
            _binary(**{name: ""}),
            pointer=f"/{name}",
        )
        for name in ("source", "type")
    ),
    Case("C2-old-version", _event(specversion="0.3"), 400, _ATTRIBUTE, pointer="/specversion"),
    Case("C2-attribute-too-long", _event(type="x" * 1001), 400, _ATTRIBUTE, pointer="/type"),
    Case("C3-both-modes", _event(), 400, "cloudevents_mode", headers=_binary()),
    Case("C3-other-ids", _event(), 400, "cloudevents_mode", headers=_binary(id="another")),
    Case("C3-other-letters", _event(), 400, "cloudevents_mode", (), "Application/CloudEvents+JSON", _binary()),
    Case("C3-without-saying-so", _event(), 202, "", _PROCESSED, "application/json"),
    Case("C3-batch-and-attributes", [_event()], 202, "", _PROCESSED, "application/cloudevents-batch+json", _binary()),
    Case("C4-batch-of-nothing", [], 422, "array_empty", (), "application/cloudevents-batch+json"),
    Case("C4-batch-in-batch", [[_event()]], 400, "object_expected", (), "application/cloudevents-batch+json"),
    Case(
        "C4-one-bad-in-a-batch",
        [_event(), _event(id=7)],
        400,
        _ATTRIBUTE,
        (),
        "application/cloudevents-batch+json",
        pointer="/1/id",
    ),
    Case(
        "C4-half-a-character-in-a-batch",
        [_event(data=_WHO | {"name": "A\ud800na"})],
        202,
        "",
        _PROCESSED,
        "application/cloudevents-batch+json",
    ),
    Case("C4-too-many", [{}] * 1001, 422, "too_many_items", (), "application/cloudevents-batch+json"),
    Case("C7-data-twice", _event(data_base64=_encoded(_WHO)), 400, _ATTRIBUTE, pointer="/data"),
    Case("C7-no-base64", _event(data=..., data_base64="%%%"), 400, _ATTRIBUTE, pointer="/data_base64"),
    Case("C7-number-as-base64", _event(data=..., data_base64=7), 400, _ATTRIBUTE, pointer="/data_base64"),
    Case("C7-base64-of-bytes", _event(data=..., data_base64="AAECAw=="), 202, "", _NOBODY),
    Case("C8-data-is-a-text", _event(data="ana@lind.example"), 202, "", _NOBODY),
    Case("C8-data-is-a-list", [1, 2], 202, "", _NOBODY, "application/json", _binary()),
    Case("C8-data-is-xml", "<a/>", 202, "", _NOBODY, "application/xml", _binary()),
    Case("C8-data-is-broken", b'{"email": ', 400, "json_syntax", (), "application/json", _binary()),
    Case("C9-64-kib", _event(data=_WHO | {"note": "x" * 64_000}), 202, "", _PROCESSED),
    Case("C9-1-mib", _event(data={"note": "x" * 1024 * 1024}), 413, "body_too_large"),
    Case(
        "C10-half-a-character-in-a-list",
        [_WHO | {"name": "A\ud800na"}],
        200,
        "",
        _PROCESSED,
        "application/json",
        path="/hooks/any",
    ),
    Case(
        "C10-list-that-is-a-form",
        b"[--XX\r\n",
        200,
        "",
        ("quarantined", "multipart_boundary"),
        "multipart/form-data; boundary=XX",
        path="/hooks/any",
    ),
    Case(
        "C10-field-without-its-value",
        {"FormID": "1", "UniqueID": "{id}", "Email": {"field_type": "email"}, "Note": "{id}@lind.example"},
        200,
        "",
        _PROCESSED,
        "application/json",
        path="/hooks/any",
    ),
    Case(
        "C11-unknown-type",
        _event(type="shop.cart.opened"),
        202,
        "",
        ("rejected", "ignored_unknown_type"),
        path="/v1/events?source=known",
    ),
    Case("C12-time-that-is-none", _event(time="yesterday"), 202, "", _PROCESSED),
    Case("C12-time-before-there-was-one", _event(time="0001-01-01T00:00:00+23:59"), 202, "", _PROCESSED),
    Case("C12-time-after-the-last", _event(time="9999-12-31T23:59:59-23:59"), 202, "", _PROCESSED),
    Case("C13-our-own-words", _event(person_id="1", lead="2", sequence="-1", state="won"), 202, "", _PROCESSED),
    Case("C13-trace", _event(traceparent="zz"), 202, "", _PROCESSED, headers=(("traceparent", "00-zz-zz-01"),)),
    Case("C21-token-in-the-address", _event(), 401, "key_invalid", path="/v1/events?access_token={key}&key={key}"),
    Case("C21-lead", _WHO, 401, "key_invalid", (), "application/json", path=f"{LEADS}?access_token={{key}}"),
)


@pytest.fixture(scope="module")
def api(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    document = journey_text().replace("\nsources:\n", f"\nsources:{_SOURCES}", 1)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("BAD_EVENTS_SECRET", f"{OLD},{SECRET}")
        folder = tmp_path_factory.mktemp("api")
        with house(postgres_server, document) as url, api_process(url, folder) as door:
            _, door.key = door.make_key("events:write", "leads:write")
            yield door


def written(body: object, id_: str) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).replace("{id}", id_).encode()


def assert_ended(api: Door, answer: Answer, *expected: str) -> None:
    api.settle(*answer.receipts)
    ended = [api.spine.receipt(receipt) for receipt in answer.receipts]
    assert [(row["status"], row["reason"] or "") for row in ended] == [expected] * len(ended)


def assert_held_until_released(api: Door, receipt: str, reason: str) -> None:
    with api.spine.engine.begin() as connection:
        assert quarantine.read_again(connection, [receipt], api.spine.now) == {receipt}
    api.settle(receipt)
    again = api.spine.receipt(receipt)
    with api.spine.engine.begin() as connection:
        assert quarantine.release(connection, [receipt], "key:abc", api.spine.now) == {receipt}
    api.settle(receipt)
    assert (again["status"], again["reason"]) == ("quarantined", reason)
    assert api.spine.receipt(receipt)["status"] in {"processed", "merged"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_bad_event_is_refused_with_its_place_or_ends_as_a_receipt_with_a_reason(api: Door, case: Case) -> None:
    id_ = uuid4().hex
    given = {"Content-Type": case.content_type} | {name: value.replace("{id}", id_) for name, value in case.headers}
    if "{key}" not in case.path:
        given |= api.bearer
    before = api.receipts()

    answer = api.request("POST", case.path.format(key=api.key), written(case.body, id_), given)

    assert answer.status == case.status, answer.body
    if case.ended:
        assert_ended(api, answer, *case.ended)
    else:
        assert answer.code == case.code
        if case.pointer:
            assert [error["pointer"] for error in answer.json["errors"]] == [case.pointer]
        assert api.receipts() == before
    assert api.good().status == 200


def test_an_event_again_is_the_same_and_its_id_for_something_else_waits(api: Door) -> None:  # C5, C6
    id_ = uuid4().hex
    given = api.bearer | {"Content-Type": STRUCTURED}

    first, again, other = (
        api.request("POST", "/v1/events", written(event, id_), given)
        for event in (_event(), _event(), _event(type="contract.ended"))
    )

    assert (again.status, again.json) == (202, {"receipts": first.receipts, "duplicate": True})
    assert other.status == 202
    assert_ended(api, first, "processed", "")
    assert_ended(api, other, "quarantined", "event_id_reused")
    assert_held_until_released(api, other.receipts[0], "event_id_reused")


def test_what_came_to_a_form_that_is_off_waits_until_it_is_released(api: Door) -> None:  # H37
    lead = {"email": f"{uuid4().hex}@lind.example"}
    assert api.post("/f/old", lead).code == "form_disabled"
    kept = api.spine.rows("SELECT id, body FROM receipt WHERE source = 'old'")
    (receipt,) = (row["id"] for row in kept if json.loads(row["body"]) == lead)

    assert_held_until_released(api, receipt, "form_disabled")


def test_the_way_an_event_is_written_does_not_make_it_another(api: Door) -> None:
    id_ = uuid4().hex
    structured = api.request("POST", "/v1/events", written(_event(), id_), api.bearer | {"Content-Type": STRUCTURED})
    batched = api.request(
        "POST",
        "/v1/events",
        b"[" + written(_event(), id_) + b"]",
        api.bearer | {"Content-Type": "application/cloudevents-batch+json"},
    )

    assert batched.json == {"receipts": structured.receipts, "duplicate": True}


def test_json_data_in_base64_is_read(api: Door) -> None:
    id_ = uuid4().hex
    data = _encoded({"email": f"{id_}@lind.example"})
    event = _event(data=..., data_base64=data, datacontenttype="application/json")

    answer = api.request("POST", "/v1/events", written(event, id_), api.bearer | {"Content-Type": STRUCTURED})

    assert_ended(api, answer, "processed", "")
    assert api.spine.rows("SELECT id FROM person WHERE email = :email", email=f"{id_}@lind.example")


def test_a_trace_that_is_none_begins_a_new_one(api: Door) -> None:  # C13
    answer = api.post(FORM, {"email": f"{uuid4().hex}@lind.example"}, traceparent="00-" + "0" * 31 + "g-1-01")

    trace = api.spine.receipt(answer.receipts[0])["trace"]
    assert len(trace) == 32
    assert int(trace, 16)


# -- signed deliveries -------------------------------------------------------------------------------------------------


def delivery(at: object, *, secret: str = SECRET, signature: str = "v1,{}", id_: str = "") -> dict[str, str]:
    """Headers of a delivery of `_BODY`, signed at a time; `signature` says how its signature is written."""
    name = id_ or f"msg_{uuid4().hex}"
    made = base64.b64encode(hmac.digest(secret.encode(), f"{name}.{at}.".encode() + _BODY, hashlib.sha256)).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(at),
        "webhook-signature": signature.format(made),
    }


_BODY: Final = b'{"type": "contact.created", "data": {"email": "signed@lind.example"}}'


def deliver(api: Door, headers: dict[str, str], body: bytes = _BODY, path: str = "/hooks/signed") -> Answer:
    return api.request("POST", path, body, headers)


@pytest.mark.parametrize("late_s", [360, -360, -86_400, 86_400 * 365])  # C15
def test_a_delivery_signed_at_another_time_is_not_processed(api: Door, late_s: int) -> None:
    answer = deliver(api, delivery(int(time.time()) - late_s))

    assert (answer.status, answer.code) == (401, "signature_invalid")


@pytest.mark.parametrize("at", ["soon", "-5", "9" * 20, "1e9", "", "0x10", "NaN", "１２３"])  # C15
def test_a_time_that_is_no_number_signs_nothing(api: Door, at: str) -> None:
    headers = delivery(at)
    headers["webhook-timestamp"] = at.encode().decode("latin-1")

    assert deliver(api, headers).status == 401


@pytest.mark.parametrize(
    ("signature", "status"),
    [
        ("v9,AAAA v1,{}", 200),
        ("v1,AAAA " * 9 + "v1,{}", 200),
        ("v1,AAAA " * 10 + "v1,{}", 401),
        ("v1,AAAA " * 1000 + "v1,{}", 401),
        ("v9,{}", 401),
        ("", 401),
        ("v1,", 401),
        ("{}", 401),
        (" ", 401),
    ],
)  # C17
def test_only_so_many_signatures_are_tried_and_only_of_the_version_we_know(
    api: Door, signature: str, status: int
) -> None:
    assert deliver(api, delivery(int(time.time()), signature=signature)).status == status


@pytest.mark.parametrize(("secret", "status"), [(OLD, 200), (SECRET, 200), ("the one before both", 401)])  # C19
def test_both_secrets_are_good_while_one_replaces_the_other(api: Door, secret: str, status: int) -> None:
    assert deliver(api, delivery(int(time.time()), secret=secret)).status == status


@pytest.mark.parametrize("body", [_BODY + b" ", _BODY.replace(b": ", b":"), b"", b"\xff" + _BODY])  # C16
def test_a_body_that_is_not_the_one_that_was_signed_is_not_processed(api: Door, body: bytes) -> None:
    assert deliver(api, delivery(int(time.time())), body).status == 401


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])  # C18
def test_a_delivery_without_a_part_of_its_signature_is_not_processed(api: Door, missing: str) -> None:
    headers = delivery(int(time.time()))
    del headers[missing]

    assert deliver(api, headers).status == 401


def test_a_secret_in_the_address_shows_nothing(api: Door) -> None:  # C21
    address = f"/hooks/paid?token={SECRET.replace(' ', '+')}&secret={SECRET.replace(' ', '+')}"

    assert deliver(api, {"Content-Type": "application/json"}, path=address).status == 401


def test_the_same_delivery_a_hundred_times_is_one_receipt(api: Door) -> None:  # C20
    headers = delivery(int(time.time()), id_=f"msg_{uuid4().hex}")

    answers = [deliver(api, headers) for _ in range(100)]

    assert {answer.status for answer in answers} == {200}
    assert len({answer.receipts[0] for answer in answers}) == 1


# -- hints -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["0197a2b4-0000-7000-8000-000000000000", "nonsense", "", "{}", "'; --"])  # C25
def test_a_hint_that_names_what_is_not_there_does_nothing_and_hides_nothing(api: Door, named: str) -> None:
    answer = api.post(FORM, {"email": f"{uuid4().hex}@lind.example"})

    api.settle(named, *answer.receipts)

    assert_ended(api, answer, "processed", "")
