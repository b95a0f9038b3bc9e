"""Intake over HTTP: who may post what, what is answered, and what holds when everything else does not."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from schema.draft import UNUSABLE
from schema.payload import LIMITS
from schema.store import clock
from tests.door import FORM, HOME, LEADS, Answer, Door, api_process, api_thread, house, journey_text
from tests.rig import until
from tests.servers import Postgres
from tests.spine import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

FOREIGN = "https://elsewhere.example"
BLOCKED = """
SELECT count(*) AS count FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE '%intake' AND wait_event_type = 'Lock'
"""


@pytest.fixture(scope="module")
def database(postgres_server: str) -> Iterator[str]:
    with house(postgres_server) as url:
        yield url


@pytest.fixture(scope="module")
def api(database: str) -> Iterator[Door]:
    with api_thread(database) as door:
        yield door


@pytest.fixture(scope="module")
def senders() -> Iterator[ThreadPoolExecutor]:
    """Threads that post while the test goes on."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


@contextmanager
def nothing_can_be_written(api: Door) -> Iterator[Connection]:
    """What comes is taken and waits for its commit, until the end of `with`."""
    with api.spine.engine.connect() as holder:
        holder.exec_driver_sql("LOCK TABLE submission")
        yield holder
        holder.rollback()


def waits_for_its_commit(api: Door) -> bool:
    return bool(api.spine.rows(BLOCKED)[0]["count"])


def somebody(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"email": f"{uuid4().hex}@example.com", "message": "Please tell me what it costs."} | fields


def assert_stored(api: Door, *answers: Answer) -> None:
    for answer in answers:
        for receipt in answer.receipts:
            assert api.spine.receipt(receipt)["id"] == receipt


# -- once --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "status"), [(FORM, 200), (LEADS, 202)])
def test_the_same_submission_again_is_answered_with_the_same_receipt(api: Door, path: str, status: int) -> None:
    lead = somebody()

    first, again = api.post(path, lead), api.post(path, lead)

    assert (first.status, again.status) == (status, status)
    assert again.receipts == first.receipts
    assert_stored(api, first)


@pytest.mark.parametrize("path", [FORM, LEADS])
def test_an_idempotency_key_is_good_for_one_body_only(api: Door, path: str) -> None:
    key = uuid4().hex
    first = api.post(path, somebody(), Idempotency_Key=key)
    before = api.receipts()

    other = api.post(path, somebody(), Idempotency_Key=key)

    assert first.status < 300
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    assert api.receipts() == before


@pytest.mark.parametrize("key", ["x" * 256, "two words", "smörgås".encode().decode("latin-1")])
def test_an_idempotency_key_that_cannot_be_one_is_refused(api: Door, key: str) -> None:
    answer = api.post(FORM, somebody(), Idempotency_Key=key)
    assert (answer.status, answer.code) == (400, "idempotency_key_invalid")


def test_content_is_new_again_after_the_sources_window(api: Door) -> None:
    lead = somebody()
    first = api.post(FORM, lead)
    api.spine.do(
        "UPDATE submission SET received_at = received_at - interval '24 hours',"
        " expires_at = expires_at - interval '24 hours' WHERE receipt_ids = ARRAY[CAST(:id AS uuid)]",
        id=first.receipts[0],
    )

    later = api.post(FORM, lead)

    assert later.receipts != first.receipts
    assert_stored(api, first, later)


def test_while_it_is_written_its_key_is_in_use_and_the_same_content_joins(
    api: Door,
    senders: ThreadPoolExecutor,
) -> None:
    keyed, plain, key = somebody(), somebody(), uuid4().hex
    with nothing_can_be_written(api):
        first = senders.submit(api.post, FORM, keyed, Idempotency_Key=key)
        until(lambda: waits_for_its_commit(api), "the first waits for its commit")
        in_use = api.post(FORM, keyed, Idempotency_Key=key)
        reused = api.post(FORM, plain, Idempotency_Key=key)
        twins = [senders.submit(api.post, FORM, plain) for _ in range(5)]

    assert (in_use.status, in_use.code, in_use.headers["Retry-After"]) == (409, "idempotency_key_in_use", "1")
    assert (reused.status, reused.code) == (422, "idempotency_key_reused")
    assert first.result().status == 200
    assert len({twin.result().receipts[0] for twin in twins}) == 1
    assert api.post(FORM, keyed, Idempotency_Key=key).receipts == first.result().receipts


# -- arrays ------------------------------------------------------------------------------------------------------------


def test_an_array_of_a_thousand_leads_is_a_thousand_receipts_in_order(api: Door) -> None:
    leads = [somebody(number=number) for number in range(1000)]

    answer = api.post(LEADS, leads)

    assert answer.status == 202
    bodies = api.spine.rows(
        "SELECT r.body FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS given(id, at)"
        " JOIN receipt AS r USING (id) ORDER BY given.at",
        ids=answer.receipts,
    )
    assert [json.loads(row["body"])["number"] for row in bodies] == list(range(1000))


@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "an-array"}])
def test_an_array_again_is_answered_with_the_same_receipts(api: Door, headers: dict[str, str]) -> None:
    leads = [somebody() for _ in range(5)]

    first, again = api.post(LEADS, leads, **headers), api.post(LEADS, leads, **headers)

    assert again.receipts == first.receipts
    assert len(set(first.receipts)) == 5
    assert_stored(api, first)


def test_one_lead_in_an_array_that_cannot_be_used_stores_none_of_them(api: Door) -> None:
    before = api.receipts()

    answer = api.post(LEADS, [somebody(), somebody(email="ana@", employees="a few"), somebody(phone="none")])

    assert (answer.status, answer.code) == (422, "email_syntax")
    assert answer.json["errors"] == [
        {"pointer": "/1/email", "code": "email_syntax"},
        {"pointer": "/1/employees", "code": "number_expected"},
        {"pointer": "/2/phone", "code": "phone_invalid"},
    ]
    assert api.receipts() == before


UNUSABLE_VALUES: dict[str, dict[str, Any]] = {
    "control_character": {"company": "Ana\nLopez"},
    "country_unknown": {"country": "Atlantis"},
    "date_invalid": {"created_at": "2026-02-30"},
    "email_control_character": {"correo": "ana@example.com\r\nBcc: ben@example.com"},
    "email_domain_literal": {"email": "ana@[192.0.2.1]"},
    "email_quoted_local": {"email": '"ana"@example.com'},
    "email_reserved_domain": {"email": "ana@localhost"},
    "email_syntax": {"email": "ana@example"},
    "email_too_long": {"email": f"{'a' * 65}@example.com"},
    "interests_invalid": {"interests": [{"crm": 1}]},
    "language_unknown": {"language": "Klingon of the north"},
    "number_expected": {"employees": "a few"},
    "phone_control_character": {"phone": "+49 30\n901820"},
    "phone_invalid": {"phone": "+49 1"},
    "phone_region_missing": {"phone": "030 901820"},
    "phone_too_long": {"phone": "+49 30 901820" * 10},
    "string_too_long": {"company": "a" * 501},
    "text_expected": {"company": {"is": "ours"}},
    "website_invalid": {"website": "none"},
}


def test_every_value_that_cannot_be_used_is_named(api: Door) -> None:
    answer = api.post(LEADS, list(UNUSABLE_VALUES.values()))

    assert answer.status == 422
    assert answer.json["errors"] == [
        {"pointer": f"/{index}/{next(iter(lead))}", "code": code}
        for index, (code, lead) in enumerate(UNUSABLE_VALUES.items())
    ]
    assert UNUSABLE_VALUES.keys() == UNUSABLE


def test_an_array_after_a_byte_order_mark_is_still_an_array(api: Door) -> None:
    body = b"\xef\xbb\xbf " + json.dumps([somebody(), somebody()]).encode()

    answer = api.request("POST", LEADS, body, api.bearer | {"Content-Type": "application/json"})

    assert len(answer.receipts) == 2
    api.settle()
    assert {api.spine.receipt(receipt)["status"] for receipt in answer.receipts} == {"processed"}


@pytest.mark.parametrize("as_array", [False, True])
def test_a_lead_too_large_or_too_deep_to_be_read_later_is_refused_now(api: Door, as_array: bool) -> None:  # noqa: FBT001
    texts = {f"text{number}": "x" * (LIMITS.text - 100) for number in range(LIMITS.bytes // LIMITS.text + 1)}
    deep: Any = "x"
    for _ in range(LIMITS.depth):
        deep = {"more": deep}

    large, nested = (api.post(LEADS, [lead] if as_array else lead) for lead in (somebody(**texts), somebody(deep=deep)))

    assert (large.status, large.code) == (413, "body_too_large")
    assert (nested.status, nested.code) == (400, "json_depth")
    assert large.json.get("errors") == ([{"pointer": "/0", "code": "body_too_large"}] if as_array else None)


def test_notes_on_what_was_understood_refuse_nothing(api: Door) -> None:
    lead = somebody(
        phone="+49 30 901820 ext. 5",
        name="Ana\u200b Lopez",
        created_at=1767225600,
        consent={"marketing": "maybe", "ip": "192.0.2.1"},
        constructor=1,
    )

    answer = api.post(LEADS, lead)

    assert answer.status == 202
    api.settle()
    assert api.issues(answer.receipts[0]) == {
        "phone_extension_dropped",
        "invisible_character",
        "date_epoch",
        "consent_unclear",
        "consent_claim",
        "key_dropped",
    }


# -- keys and sources --------------------------------------------------------------------------------------------------


def test_a_key_is_asked_for_and_must_be_valid(api: Door) -> None:
    _, expired = api.make_key("leads:write", expires_at=clock.now() - timedelta(seconds=1))
    revoked_id, revoked = api.make_key("leads:write")
    api.spine.do("UPDATE api_key SET revoked_at = now() WHERE id = :id", id=revoked_id)
    wrong = f"tl_{'0' * 12}_{'x' * 43}"
    before = api.receipts()

    for given in [
        "",
        "Bearer",
        "Bearer x",
        f"Basic {api.key}",
        *(f"Bearer {key}" for key in (expired, revoked, wrong)),
    ]:
        answer = api.post(LEADS, somebody(), Authorization=given)
        assert (answer.status, answer.code) == (401, "key_invalid")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert api.key.encode() not in answer.body
    assert api.receipts() == before


def test_a_key_for_something_else_may_not_post_leads(api: Door) -> None:
    _, reader = api.make_key("leads:read")
    answer = api.post(LEADS, somebody(), Authorization=f"Bearer {reader}")
    assert (answer.status, answer.code) == (403, "scope_missing")


@pytest.mark.parametrize(
    ("source", "status", "code"),
    [("nobody", 404, "source_not_found"), ("website", 404, "source_not_found"), ("old_api", 410, "source_disabled")],
)
def test_leads_come_from_a_source_that_takes_them(api: Door, source: str, status: int, code: str) -> None:
    answer = api.post(f"{LEADS}?source={source}", somebody())
    assert (answer.status, answer.code) == (status, code)


def test_a_form_that_is_switched_off_says_so_and_loses_nothing(api: Door) -> None:
    lead = somebody()

    answer = api.post("/f/old", lead)

    assert (answer.status, answer.code) == (410, "form_disabled")
    (receipt,) = api.spine.rows("SELECT body, status, reason FROM receipt WHERE source = 'old'")
    assert (json.loads(receipt["body"]), receipt["status"], receipt["reason"]) == (lead, "quarantined", "form_disabled")


# -- browsers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "wanted", "page"),
    [
        ("/f/shop", "/done", "/done"),
        ("/f/shop", FOREIGN, f"{HOME}/thanks"),
        ("/f/shop", f"{HOME}/thanks?x=1", f"{HOME}/thanks"),
        ("/f/shop", None, f"{HOME}/thanks"),
        (FORM, "/done", "/f/website/thanks"),
        (FORM, ["/done"], "/f/website/thanks"),
    ],
)
def test_a_browser_goes_to_a_page_that_is_allowed(api: Door, form: str, wanted: Any, page: str) -> None:  # noqa: ANN401
    answer = api.post(form, somebody(_redirect=wanted), Accept="text/html,application/xhtml+xml")
    assert (answer.status, answer.headers["Location"]) == (303, page)


def test_the_page_of_thanks_needs_nothing_and_its_policy_allows_its_style(api: Door) -> None:
    answer = api.send("GET", "/f/website/thanks")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    page, policy = answer.body.decode(), answer.headers["Content-Security-Policy"]
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy
    assert '<html lang="en">' in page
    assert not re.findall(r"(src|href|action)=|<script", page)


def test_only_a_sites_own_scripts_may_post_its_form_and_read_the_answer(api: Door) -> None:
    ours = api.post("/f/shop", somebody(), Origin=HOME)
    before = api.receipts()
    foreign = [api.post("/f/shop", somebody(), Origin=origin) for origin in (FOREIGN, "null", f"{HOME}.evil.example")]

    assert (ours.status, ours.headers["Access-Control-Allow-Origin"], ours.headers["Vary"]) == (200, HOME, "Origin")
    for answer in foreign:
        assert (answer.status, answer.code) == (403, "origin_not_allowed")
        assert answer.headers["Access-Control-Allow-Origin"] is None
    assert api.receipts() == before


def test_a_script_of_an_allowed_site_can_read_why_it_was_refused(api: Door) -> None:
    answer = api.send("POST", "/f/shop", b"{", content_type="application/json", origin=HOME)
    assert (answer.code, answer.headers["Access-Control-Allow-Origin"]) == ("json_syntax", HOME)


@pytest.mark.parametrize(("origin", "allowed"), [(HOME, HOME), (FOREIGN, None), ("null", None)])
def test_a_preflight_says_which_sites_may_post(api: Door, origin: str, allowed: str | None) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-Admin"}

    answer = api.request("OPTIONS", "/f/shop", None, asked)

    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, allowed)
    assert answer.headers["Access-Control-Allow-Methods"] == (allowed and "POST")
    assert "X-Admin" not in answer.headers.get("Access-Control-Allow-Headers", "")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_a_form_is_only_posted(api: Door, method: str) -> None:
    answer = api.send(method, FORM)
    assert (answer.status, set(answer.headers["Allow"].split(", "))) == (405, {"POST", "OPTIONS"})
    assert method == "HEAD" or answer.code == "method_not_allowed"


# -- limits ------------------------------------------------------------------------------------------------------------


def test_a_body_that_is_declared_too_large_is_refused_before_it_comes(api: Door) -> None:
    head = f"POST {FORM} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {10**10}\r\n\r\n"

    answer = api.bare([head.encode()])

    assert answer is not None
    assert (answer.status, answer.code, answer.closed) == (413, "body_too_large", True)


def test_who_asks_before_sending_a_body_is_told_at_once_that_it_is_too_large(api: Door) -> None:
    length = LIMITS.bytes + 1
    head = f"POST {FORM} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"

    answer = api.bare([head.encode()])

    assert answer is not None
    assert (answer.status, answer.code) == (413, "body_too_large")


def test_a_body_that_is_a_little_too_large_is_heard_out_and_refused(api: Door) -> None:
    answer = api.send("POST", FORM, b" " * (LIMITS.bytes + 1), content_type="application/json")
    assert (answer.status, answer.code) == (413, "body_too_large")


def test_a_body_that_does_not_come_ends_while_others_are_served(database: str) -> None:
    head = f"POST {FORM} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with api_thread(database, body_within_s=0.5) as api, ThreadPoolExecutor(5) as slow:
        answers = [slow.submit(api.bare, [head.encode(), b"{"]) for _ in range(5)]
        served = api.good()

        assert served.status == 200
        for answer in answers:
            late = answer.result()
            assert late is not None
            assert (late.status, late.code, late.closed) == (408, "body_too_slow", True)


def test_too_much_at_once_is_answered_503_and_what_was_taken_is_stored(
    database: str,
    senders: ThreadPoolExecutor,
) -> None:
    with api_thread(database, max_waiting=2) as api:
        with nothing_can_be_written(api):
            taken = [senders.submit(api.post, FORM, somebody()) for _ in range(2)]
            refused = until(lambda: _refused(api), "it is full")
        acknowledged = [one.result() for one in taken]

        assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, "overloaded", "1")
        assert [answer.status for answer in acknowledged] == [200, 200]
        assert_stored(api, *acknowledged)
        assert api.good().status == 200


def _refused(api: Door) -> Answer | None:
    """The answer to one more, once there is no room for it; asked only when both others are known to wait."""
    ready = api.send("GET", "/readyz")
    full = any(check["reason"] == "overloaded" for check in ready.json["checks"])
    return api.good() if full else None


# -- the rest of the world ---------------------------------------------------------------------------------------------


def test_a_database_that_goes_and_comes_back_loses_nothing_that_was_acknowledged() -> None:
    with Postgres() as server:
        prepare(server.url(), journey_text())
        with api_thread(server.url(), patience_s=0.2) as api:
            acknowledged = [api.good() for _ in range(10)]
            lead = somebody()
            server.crash()
            refused = [api.post(FORM, lead), api.post(LEADS, lead)]
            api.spine.engine.dispose()
            server.start()
            api.spine.engine.dispose()
            taken = until(lambda: _if_taken(api.post(FORM, lead)), "it takes leads again")

            for answer in refused:
                assert (answer.status, answer.code) == (503, "database_unavailable")
                assert int(answer.headers["Retry-After"]) > 0
            assert_stored(api, *acknowledged, taken)


def _if_taken(answer: Answer) -> Answer | None:
    return answer if answer.status == 200 else None


def test_intake_works_without_its_broker(database: str, tmp_path: Path) -> None:
    with api_process(database, tmp_path, broker_url="amqp://guest:guest@127.0.0.1:1/") as api:
        answers = [api.good() for _ in range(20)]

        assert {answer.status for answer in answers} == {200}
        assert_stored(api, *answers)
