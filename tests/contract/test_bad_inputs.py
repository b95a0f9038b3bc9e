"""
Bad input against the running API: every case of the catalogue, on both ways in, as it goes over the wire.

Whatever is sent, the answer says what the catalogue says and repeats nothing of it, the next request is served, and
what was stored becomes a lead with its issues, or is held with its reason.
"""

from __future__ import annotations

import base64
import json
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import psutil
import pytest
import yaml

from tests.door import FORM, LEADS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.door import Answer, Door

pytestmark = pytest.mark.xdist_group("bad_inputs")

CATALOGUE: Final[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("bad_inputs.yaml").read_text("utf-8"))
CASES: Final[list[dict[str, Any]]] = CATALOGUE["cases"]
PATHS: Final = {"form": FORM, "leads": LEADS}
GOOD: Final = b'{"email": "ana@example.com"}'
HEAD: Final = b"Host: test\r\nContent-Type: application/json\r\n"
_SPACES: Final = "{repeat-64KiB-of-spaces}"


def material(body: str | dict[str, Any]) -> bytes:
    """The bytes that a body of the catalogue stands for."""
    if isinstance(body, str):
        return body.replace(_SPACES, " " * 65536).encode()
    ((kind, value),) = body.items()
    if kind == "base64":
        return base64.b64decode(value)
    if kind == "repeat":
        return material(value[0]) * int(value[1])
    if kind == "concat":
        return b"".join(material(part) for part in value)
    return json.dumps({f"f{number}": "x" for number in range(value)}).encode()


def drive(api: Door, case: dict[str, Any], way: str) -> Answer | None:
    """Send a case."""
    path = case.get("path", {}).get(way, PATHS[way]).format(disabled_source="old")
    if "raw" in case:
        bearer = f"Authorization: {api.bearer['Authorization']}\r\n" if way == "leads" else ""
        marks = ((b"{path}", path), (b"{auth}", bearer))
        pieces = [material(piece) for piece in case["raw"]]
        for mark, meaning in marks:
            pieces = [piece.replace(mark, meaning.encode()) for piece in pieces]
        return api.bare(pieces, half_close=case["expect"][way]["status"] is None)
    headers = {"Idempotency-Key": f"{case['id']}-{way}"} | (api.bearer if way == "leads" else {})
    if (content_type := case.get("content_type", "application/json")) is not None:
        headers["Content-Type"] = content_type
    return api.request(case.get("method", "POST"), path, material(case["body"]), headers | case.get("headers", {}))


def values_of(case: dict[str, Any]) -> Iterator[bytes]:
    """Words that occur only in what was sent, so that finding one in an answer is an echo."""
    body = material(case["body"]) if "body" in case else b"".join(map(material, case["raw"][1:]))
    yield from set(re.findall(rb"[\w.@\-/'<>]{6,}", body[:2000])) - _names(body)


def _names(body: bytes) -> set[bytes]:
    """Names of fields may be told: pointers are made of them."""
    return set(re.findall(rb'"([^"]+)":', body)) | set(re.findall(rb'name="([^"]+)', body))


def _listed(value: str | None) -> list[str] | None:
    return None if value is None else sorted(value.split(", "))


def assert_refused(answer: Answer, expected: dict[str, Any], method: str) -> None:
    if method == "HEAD":
        assert answer.body == b""
    elif expected.get("status") == 400 and "code" not in expected:
        assert answer.headers["Connection"] == "close"  # not HTTP: nothing of ours has seen it
    else:
        assert answer.code == (expected["refused"][0] if "refused" in expected else expected.get("code", answer.code))
        if "refused" in expected:
            assert {error["code"] for error in answer.json["errors"]} == set(expected["refused"])
            assert all(error["pointer"].startswith("/") for error in answer.json["errors"])


def assert_kept(api: Door, receipt_id: str, expected: dict[str, Any]) -> None:
    api.settle(receipt_id)
    receipt = api.spine.receipt(receipt_id)
    if "held" in expected:
        assert (receipt["status"], receipt["reason"]) == ("quarantined", expected["held"])
        return
    assert receipt["status"] in {"processed", "merged"}, receipt["reason"]
    issues = set(expected.get("issues", ())) | set(expected.get("draft_issues", ()))
    found = api.issues(receipt_id)
    assert found == issues if {"issues", "draft_issues"} <= expected.keys() else found >= issues


@pytest.mark.parametrize(
    ("case", "way"),
    [pytest.param(case, way, id=f"{case['id']}-{way}") for case in CASES for way in case["expect"]],
)
def test_each_bad_input_is_answered_and_kept_as_the_catalogue_says(api: Door, case: dict[str, Any], way: str) -> None:
    expected = case["expect"][way]
    before = api.receipts()

    answer = drive(api, case, way)

    stored = api.receipts() - before
    assert stored == int(expected["stored"])
    if answer is None:
        assert expected.get("status") is None or expected.get("closed")
    else:
        assert answer.status < 500
        if expected.get("status") is not None:
            assert answer.status == expected["status"], answer.body
        if answer.status >= 400:
            assert_refused(answer, expected, case.get("method", "POST"))
        for name, value in expected.get("headers", {}).items():
            assert _listed(answer.headers[name]) == _listed(value and value.replace("{source}", "website"))
        assert answer.closed or not expected.get("closed")
        assert [value for value in values_of(case) if value in answer.body] == []
    if stored:
        (receipt,) = api.spine.rows("SELECT id FROM receipt ORDER BY received_at DESC, id DESC LIMIT 1")
        assert_kept(api, receipt["id"], expected)
    assert api.good().status == 200


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        pytest.param(
            re.sub(r"\{x(\d+)\}", lambda found: "x" * int(found[1]), e["address"]), e["verdict"], id=str(number)
        )
        for number, e in enumerate(CATALOGUE["emails"])
    ],
)
def test_an_address_gets_the_same_verdict_on_both_ways_in(api: Door, address: str, verdict: str) -> None:
    strict = api.post(LEADS, {"email": address, "name": "Ana"})
    form = api.post(FORM, {"email": address, "name": "Ana"})

    assert form.status == 200
    api.settle(*form.receipts)
    assert api.spine.receipt(form.receipts[0])["status"] in {"processed", "merged"}
    assert api.issues(form.receipts[0]) == ({verdict} if verdict else set())
    if verdict:
        assert (strict.status, strict.code) == (422, verdict)
        assert strict.json["errors"] == [{"pointer": "/email", "code": verdict}]
    else:
        assert strict.status == 202


def test_one_address_in_two_normal_forms_is_one_person(api: Door) -> None:
    (case,) = (case for case in CASES if "same_person_as" in case)
    answers = [api.post(FORM, json.loads(body)) for body in (case["body"], case["same_person_as"])]

    api.settle()
    assert len({api.spine.receipt(answer.receipts[0])["person_id"] for answer in answers}) == 1


def test_what_a_proxy_could_have_said_is_not_believed(api: Door) -> None:
    forged = {"X-Forwarded-For": "1.2.3.4, \"'", "Forwarded": "for=1.2.3.4", "X-Real-IP": "1.2.3.4"}
    answer = api.post(FORM, {"email": "ana@example.com", "n": "forged"}, **forged)

    receipt = api.spine.receipt(answer.receipts[0])
    assert not [value for value in receipt["headers"].values() if "1.2.3.4" in value]


# -- the wire ----------------------------------------------------------------------------------------------------------


def test_a_body_without_end_costs_no_memory(api: Door) -> None:
    assert api.process is not None
    process = psutil.Process(api.process.pid)
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    head = b"POST /f/website HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    before = process.memory_info().rss

    for _ in range(5):
        answer = api.bare([head, *[chunk] * 800])  # 50 MiB each, if all of it were read
        assert answer is not None
        assert (answer.status, answer.code, answer.closed) == (413, "body_too_large", True)

    assert process.memory_info().rss - before < 16 * 1024 * 1024
    assert api.good().status == 200


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(
            b"POST /f/website HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 200_000 + b"\r\n\r\n", id="long header"
        ),
        pytest.param(
            b"POST /f/website HTTP/1.1\r\nHost: x\r\n" + b"X-Many: 1\r\n" * 20_000 + b"\r\n", id="many headers"
        ),
        pytest.param(b"POST /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", id="long path"),
    ],
)
def test_a_head_without_measure_ends_the_connection(api: Door, head: bytes) -> None:
    before = api.receipts()

    answer = api.bare([head[at : at + 8192] for at in range(0, len(head), 8192)])

    assert answer is None or answer.status < 500
    assert api.receipts() == before
    assert api.good().status == 200


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"BREW /f/website HTTP/1.1\r\n" + HEAD + b"\r\n", id="a method that is none"),
        pytest.param(b"post /f/website HTTP/1.1\r\n" + HEAD + b"\r\n", id="a method in small letters"),
        pytest.param(b"POST /f/website\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"POST /f/website HTTP/9.9\r\n" + HEAD + b"\r\n", id="a version to come"),
        pytest.param(b"POST /f/website HTTP/1.1\r\n" + HEAD + b"X: a\0b\r\n\r\n", id="NUL in a header"),
        pytest.param(b"POST /f/website HTTP/1.1\r\nHost : x\r\n\r\n", id="a space before the colon"),
        pytest.param(
            b"POST /f/website HTTP/1.1\r\n" + HEAD + b"Content-Length: 28\r\nContent-Length: 2\r\n\r\n" + GOOD,
            id="two lengths",
        ),
        pytest.param(
            b"POST /f/website HTTP/1.1\r\n" + HEAD + b"Content-Length: 99999999999999999999\r\n\r\n" + GOOD,
            id="a length beyond 64 bits",
        ),
        pytest.param(
            b"POST /f/website HTTP/1.1\r\n" + HEAD + b"Content-Length: 0x1c\r\n\r\n" + GOOD, id="a length in hex"
        ),
        pytest.param(
            b"POST /f/website HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", id="a bad chunk"
        ),
        pytest.param(
            b"POST /f/website HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
            id="an encoding behind a control character",
        ),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(b"\0" * 100, id="zeros"),
    ],
)
def test_what_is_not_http_ends_the_connection_and_nothing_else(api: Door, request_: bytes) -> None:
    before = api.receipts()

    answer = api.bare([request_], half_close=True)

    if answer is not None:
        assert answer.status == 400
        assert answer.closed
    assert api.receipts() == before
    assert api.good().status == 200


def test_a_second_request_hidden_in_a_body_is_not_one(api: Door) -> None:
    before = api.receipts()
    hidden = b"POST /f/website HTTP/1.1\r\n" + HEAD + b"Content-Length: 28\r\n\r\n" + GOOD
    head = b"POST /f/website HTTP/1.1\r\n" + HEAD
    both = b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"

    answer = api.bare([head + both % (5 + len(hidden)) + hidden])

    assert answer is not None
    assert (answer.status, answer.closed) == (400, True)
    assert api.receipts() == before


def test_requests_in_one_breath_are_answered_in_their_order(api: Door) -> None:
    heads = [b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /f/website/thanks HTTP/1.1\r\nHost: x\r\n\r\n"]
    body = b'{"email": "%s"}' % uuid4().hex.encode()
    post = (
        b"POST /f/website HTTP/1.1\r\n" + HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )

    with socket.create_connection(api.address, timeout=20) as connection:
        connection.sendall(b"".join([*heads, post]))
        answers = b"".join(iter(lambda: connection.recv(65536), b""))

    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"200", b"200"]
    assert answers.index(b"alive") < answers.index(b"Thank you") < answers.index(b'"receipt"')


def test_an_old_client_is_served_and_the_connection_closed(api: Door) -> None:
    body = b'{"email": "%s@example.com"}' % uuid4().hex.encode()
    head = b"POST /f/website HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)

    answer = api.bare([head, body])

    assert answer is not None
    assert (answer.status, answer.closed) == (200, True)


@pytest.mark.parametrize(
    "path", ["/f/%00", "/f/%ff%fe", "/f/..%2f..%2fetc", "/f/website%0d%0aX:1", "/f/" + "a" * 5000, "/f/"]
)
def test_a_strange_path_is_a_form_that_does_not_exist(api: Door, path: str) -> None:
    answer = api.send("POST", path, GOOD, content_type="application/json")
    assert answer.status == 404
    assert answer.code in {"form_not_found", "not_found"}


@pytest.mark.parametrize(
    "target", [b"/f/\xff\xfe", b"*", b"http://other.example/f/website", b"//f/website", b"f/website", b"/f/a b"]
)
def test_a_strange_target_is_answered_or_ends_the_connection(api: Door, target: bytes) -> None:
    answer = api.bare(
        [b"POST " + target + b" HTTP/1.1\r\n" + HEAD + b"Content-Length: 28\r\n\r\n" + GOOD], half_close=True
    )

    assert answer is None or answer.status < 500
    assert api.good().status == 200


@pytest.mark.parametrize("value", [b"\xff\xfe", b"\xc3\xa9", b"a" * 9000])
@pytest.mark.parametrize(
    "name", [b"User-Agent", b"Origin", b"Referer", b"Accept", b"traceparent", b"Content-Type", b"Authorization"]
)
def test_no_header_is_too_strange(api: Door, name: bytes, value: bytes) -> None:
    length = b"Content-Length: 28\r\n\r\n"
    for path in (FORM, LEADS):
        answer = api.bare(
            [b"POST " + path.encode() + b" HTTP/1.1\r\nHost: x\r\n" + name + b": " + value + b"\r\n" + length + GOOD]
        )
        assert answer is not None
        assert answer.status < 500
        if answer.status >= 400:
            assert answer.code
