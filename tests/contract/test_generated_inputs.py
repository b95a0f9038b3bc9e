"""
Input that nobody has thought of, against the running API: always an answer, never 5xx, and what is stored settles.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.anything import OBJECTS, RAW, VALUES, examples, settled
from tests.door import FORM, LEADS

if TYPE_CHECKING:
    from tests.door import Door

pytestmark = pytest.mark.xdist_group("bad_inputs")

TYPES = st.sampled_from(
    [
        "application/json",
        "application/problem+json; charset=utf-16",
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=shift_jis",
        "multipart/form-data; boundary=XX",
        'multipart/form-data; boundary="X X"; charset=big5',
        "multipart/form-data",
        "text/plain",
        "",
    ]
)


def send(api: Door, path: str, body: bytes, content_type: str, **headers: str) -> None:
    given_headers = {"Content-Type": content_type} | (api.bearer if path == LEADS else {}) | headers
    settled(api, api.request("POST", path, body, given_headers))


@examples
@given(body=st.binary(max_size=300), kind=TYPES, path=st.sampled_from([FORM, LEADS]))
def test_any_bytes_are_answered(api: Door, body: bytes, kind: str, path: str) -> None:
    send(api, path, body, kind)


@examples
@given(fields=OBJECTS, path=st.sampled_from([FORM, "/f/contact", LEADS]))
def test_any_object_is_answered_and_settles(api: Door, fields: dict[str, Any], path: str) -> None:
    send(api, path, json.dumps(fields).encode(), "application/json")


@examples
@given(fields=OBJECTS)
def test_any_object_from_a_form_is_taken_whatever_its_values_are(api: Door, fields: dict[str, Any]) -> None:
    answer = api.post(FORM, fields)
    assert answer.status == 200
    settled(api, answer)


@examples
@given(leads=st.lists(OBJECTS | VALUES, max_size=5))
def test_any_array_is_taken_whole_or_not_at_all(api: Door, leads: list[Any]) -> None:
    before = api.receipts()
    answer = api.post(LEADS, leads)
    settled(api, answer)
    assert answer.status == 202 or api.receipts() == before


@examples
@given(
    pairs=st.lists(st.tuples(RAW, RAW), max_size=8), kind=st.sampled_from(["", "; charset=gbk", "; charset=klingon"])
)
def test_any_form_that_a_browser_could_post_is_taken(api: Door, pairs: list[tuple[bytes, bytes]], kind: str) -> None:
    body = "&".join(f"{quote_from_bytes(name)}={quote_from_bytes(value)}" for name, value in pairs).encode()
    answer = api.send("POST", FORM, body, content_type=f"application/x-www-form-urlencoded{kind}")
    settled(api, answer)
    assert answer.status == 200 or answer.code in {"body_empty", "body_too_large"}


@examples
@given(
    parts=st.lists(st.tuples(RAW, st.none() | RAW, RAW), max_size=5),
    glue=st.sampled_from([b"\r\n", b"\n", b"\r\n\r\n"]),
    end=st.sampled_from([b"--XX--\r\n", b"--XX", b""]),
)
def test_any_multipart_is_answered_and_settles(
    api: Door,
    parts: list[tuple[bytes, bytes | None, bytes]],
    glue: bytes,
    end: bytes,
) -> None:
    body = b"".join(_part(*part, glue) for part in parts) + end
    for path in (FORM, LEADS):
        send(api, path, body, "multipart/form-data; boundary=XX")


def _part(name: bytes, filename: bytes | None, content: bytes, glue: bytes) -> bytes:
    file = b"" if filename is None else b'; filename="' + filename + b'"'
    return b'--XX\r\nContent-Disposition: form-data; name="' + name + b'"' + file + b"\r\n" + glue + content + b"\r\n"


@examples
@given(
    name=st.sampled_from(["Idempotency-Key", "Authorization", "traceparent", "Origin", "Accept", "Content-Encoding"]),
    value=st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60),
)
def test_any_header_is_answered(api: Door, name: str, value: str) -> None:
    for path in (FORM, LEADS):
        answer = api.post(path, {"email": "ana@example.com"}, **{name: value.strip()})
        assert answer.status < 500
        if answer.status >= 400:
            assert answer.code


PLACES = st.sampled_from(
    ["/f/{}", "/f/{}/snippet", "/f/{}/token", "/f/{}/thanks", "/c/{}", "/hooks/{}", "/v1/receipts/{}"]
)
NAMED = st.sampled_from(["website", "contact", "shop", "old"]) | RAW.map(quote_from_bytes)


@settings(examples, max_examples=120)
@given(
    method=st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE"]),
    place=PLACES,
    name=NAMED,
    query=st.dictionaries(
        st.sampled_from(["consent", "hub.challenge", "hub.verify_token", "challengeCode", "source", "x"]),
        RAW,
        max_size=3,
    ),
    accept=st.sampled_from(["text/html", "*/*", ""]),
)
def test_any_address_is_answered(
    api: Door, method: str, place: str, name: str, query: dict[str, bytes], accept: str
) -> None:
    asked = "&".join(f"{part}={quote_from_bytes(value)}" for part, value in query.items())
    answer = api.request(method, f"{place.format(name)}?{asked}", b"", {"Accept": accept} | api.bearer)
    assert answer.status < 500
    if answer.status >= 400 and method != "HEAD" and not answer.headers["Content-Type"].startswith("text/html"):
        assert answer.code
