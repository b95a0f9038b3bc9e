"""
Input that nobody has thought of, against the running API: always an answer, never 5xx, and what is stored settles.

The examples are the same in every run; they are many enough to find a new mistake and few enough to wait for.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.draft_words import ALIASES
from tests.door import FORM, LEADS

if TYPE_CHECKING:
    from tests.door import Answer, Door

pytestmark = pytest.mark.xdist_group("bad_inputs")

examples: Final = settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
UNSETTLED: Final = """
SELECT (SELECT count(*) FROM receipt WHERE status = 'pending' OR due_since IS NOT NULL) AS receipts,
    (SELECT count(*) FROM lead WHERE due_since IS NOT NULL) AS leads, (SELECT count(*) FROM dead_letter) AS dead
"""

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
CHARACTERS = st.characters(codec=None)  # lone surrogates, controls and all
TEXTS = st.text(CHARACTERS, max_size=40) | st.sampled_from(
    [
        "ana@example.com",
        "ana@exa\u0000mple.com",
        "+49 30 901820",
        "00\u0661\u0662",
        "2026-02-30T25:61",
        "11-50",
        "ﬁrst\u202e",
        "%s%n{0}",
        "x" * 40_000,
    ]
)
NAMES = st.sampled_from([*ALIASES, "person.email", "a.b", "__proto__", "utm_source", "pref_x", ""]) | TEXTS
NUMBERS = st.integers() | st.integers(2**63 - 2, 2**64 + 2) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
KNOWN = st.fixed_dictionaries(
    {},
    optional={
        "email": st.integers(1, 30).map("g{}@example.com".format),
        "name": TEXTS,
        "message": TEXTS,
        "country": st.sampled_from(["DE", "Germany", "XX"]),
        "consent": st.dictionaries(NAMES, VALUES, max_size=3),
        "created_at": NUMBERS | TEXTS,
    },
)
OBJECTS = st.builds(lambda known, more: more | known, KNOWN, st.dictionaries(NAMES, VALUES, max_size=6))
RAW = st.binary(max_size=60) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))


def settled(api: Door, answer: Answer) -> None:
    """The answer is one, and whatever was stored has become something."""
    assert answer.status in {200, 202} or 400 <= answer.status < 500, answer
    if answer.status >= 400:
        assert answer.code
        return
    api.settle(*answer.receipts)
    (left,) = api.spine.rows(UNSETTLED)
    assert left == {"receipts": 0, "leads": 0, "dead": 0}


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
