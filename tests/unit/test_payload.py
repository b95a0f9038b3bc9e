"""What becomes of hostile bytes: the catalogue of bad inputs, and what holds for any bytes at all."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.draft import draft
from schema.payload import (
    BATCH_LIMITS,
    JSON,
    LIMITS,
    REFUSALS,
    Fields,
    Limits,
    Mode,
    Refused,
    decode,
    decode_array,
    refuse_encoding,
    storable,
)

CASES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[1] / "contract" / "bad_inputs.yaml").read_text("utf-8"),
)["cases"]
DECIDED_HERE = [
    pytest.param(case, endpoint, id=f"{case['id']}-{endpoint}")
    for case in CASES
    if case["decided_by"] in {"payload", "draft"}
    for endpoint in case["expect"]
]
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=XX"
JSON_TYPE = "application/json"


def materialise(body: str | dict[str, Any]) -> bytes:
    """The bytes that a body of the catalogue stands for."""
    if isinstance(body, str):
        return body.encode()
    ((kind, value),) = body.items()
    if kind == "base64":
        return base64.b64decode(value)
    if kind == "repeat":
        text, times = value
        return str(text).encode() * int(times)
    if kind == "concat":
        return b"".join(materialise(part) for part in value)
    return json.dumps({f"f{number}": "x" for number in range(value)}).encode()


def read(case: dict[str, Any], endpoint: str) -> Fields:
    body, content_type = materialise(case["body"]), case.get("content_type", JSON_TYPE)
    if endpoint == "form":
        return decode(body, content_type, mode=Mode.LENIENT)
    return decode_array(body, content_type, mode=Mode.STRICT)[0]


def part(head: str, content: str) -> bytes:
    return f"--XX\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n".encode()


def lenient(body: bytes, content_type: str = JSON_TYPE, limits: Limits = LIMITS) -> Fields:
    return decode(body, content_type, mode=Mode.LENIENT, limits=limits)


def code_of(body: bytes, content_type: str | None = JSON_TYPE, mode: Mode = Mode.STRICT) -> str:
    with pytest.raises(Refused) as caught:
        decode(body, content_type, mode=mode)
    return caught.value.code


@pytest.mark.parametrize(("case", "endpoint"), DECIDED_HERE)
def test_each_bad_input_of_the_catalogue_is_kept_or_refused_as_it_says(case: dict[str, Any], endpoint: str) -> None:
    expected = case["expect"][endpoint]
    if "code" in expected:
        with pytest.raises(Refused) as caught:
            read(case, endpoint)
        assert (caught.value.status, caught.value.code) == (expected["status"], expected["code"])
        assert expected.get("headers", {}).items() <= caught.value.headers.items()
        return
    fields = read(case, endpoint)
    if "issues" in expected:
        assert {issue.code for issue in fields.issues} == set(expected["issues"])
    if case["decided_by"] == "draft":
        found = draft(fields)
        added = {issue.code for issue in found.issues[len(fields.issues) :]}
        assert added == set(expected["draft_issues"])
        assert set(expected.get("custom", [])) <= set(found.custom)


def test_the_catalogue_has_every_case_from_h1_to_h62() -> None:
    numbers = {int("".join(filter(str.isdigit, case["id"]))) for case in CASES}
    assert numbers == set(range(1, 63))
    assert len({case["id"] for case in CASES}) == len(CASES)


def test_every_code_that_the_catalogue_expects_of_a_payload_exists() -> None:
    codes = {e["code"] for c in CASES if c["decided_by"] != "api" for e in c["expect"].values() if "code" in e}
    assert codes <= set(REFUSALS)


@settings(deadline=None)
@given(body=st.binary(max_size=400), kind=st.sampled_from([JSON_TYPE, FORM, MULTIPART]), mode=st.sampled_from(Mode))
def test_any_bytes_give_fields_that_can_be_stored_or_a_refusal(body: bytes, kind: str, mode: Mode) -> None:
    try:
        fields = decode(body, kind, mode=mode)
    except Refused:
        return
    assert_storable(fields)


HOSTILE = st.sampled_from('\0\x1b\x7f\x85"\\:{}[],\u200b\u202e')
TEXTS = st.text(st.characters(codec="utf-8") | HOSTILE, max_size=12)
BROKEN = st.text(st.characters() | HOSTILE, max_size=12)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)


def values_of(texts: st.SearchStrategy[str], scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Any JSON value made of those texts and scalars."""
    return st.recursive(
        texts | scalars | st.none() | st.booleans(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    )


VALUES = values_of(TEXTS, NUMBERS)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=6)
BROKEN_OBJECTS = st.dictionaries(BROKEN, values_of(BROKEN, NUMBERS), max_size=6)


@settings(deadline=None)
@given(value=BROKEN_OBJECTS)
def test_any_json_object_is_kept_in_a_form_that_can_be_stored(value: dict[str, Any]) -> None:
    assert_storable(lenient(json.dumps(value).encode()))


@settings(deadline=None)
@given(value=OBJECTS, spaced=st.booleans(), escaped=st.booleans())
def test_a_strict_object_comes_back_as_it_was_sent_or_is_refused(
    value: dict[str, Any], *, spaced: bool, escaped: bool
) -> None:
    text = json.dumps(value, indent=1 if spaced else None, ensure_ascii=escaped)
    try:
        fields = decode(text.encode(), JSON_TYPE, mode=Mode.STRICT)
    except Refused as refused:
        code = refused.code
    else:
        assert (fields.values, fields.issues) == (value, [])
        return
    assert code in {"control_character", "field_name_empty", "number_range"}


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(st.sampled_from(["a", "b", "a:", 'a"', "a\\", "ü"]), VALUES), min_size=1, max_size=6))
def test_a_repeated_key_is_seen_whatever_the_texts_around_it_are(pairs: list[tuple[str, Any]]) -> None:
    body = "{" + ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in pairs) + "}"
    repeated = len({key for key, _ in pairs}) < len(pairs)
    codes = {issue.code for issue in lenient(body.encode()).issues}
    assert ("duplicate_key" in codes) >= repeated


@settings(deadline=None)
@given(values=st.dictionaries(st.text("abc &=%+ü€", min_size=1, max_size=8), st.text("xyz &=%+;ü€", max_size=12)))
def test_a_urlencoded_form_comes_back_as_the_browser_had_it(values: dict[str, str]) -> None:
    from urllib.parse import urlencode  # noqa: PLC0415 - the other side of the wire

    body = urlencode(values).encode()
    if body:
        assert decode(body, FORM, mode=Mode.STRICT).values == values


@settings(deadline=None)
@given(value=values_of(BROKEN, st.integers() | st.floats()))
def test_anything_can_be_made_storable_and_then_stays_as_it_is(value: JSON) -> None:
    once = storable(value)
    assert storable(once) == once
    assert_storable(Fields({"value": once}, []))


def assert_storable(fields: Fields) -> None:
    encoded = msgspec.json.encode(fields.values)
    assert msgspec.json.decode(encoded) == fields.values
    assert json.loads(encoded.decode("utf-8")) == fields.values
    assert b"\\u0000" not in encoded.replace(b"\\\\", b"")
    assert len(fields.issues) <= 100
    msgspec.json.encode(fields.issues).decode("utf-8")


def test_broken_utf8_of_a_form_is_read_as_windows_1252() -> None:
    assert lenient(b'{"name": "J\xfcrgen"}').values == {"name": "Jürgen"}
    assert lenient(b"name=J%FCrgen", FORM).values == {"name": "Jürgen"}


def test_a_form_is_read_in_the_charset_that_it_names() -> None:
    assert lenient(b"_charset_=windows-1251&name=%CE%EB%FC%E3%E0", FORM).values == {"name": "Ольга"}
    named = part('name="_charset_"', "shift_jis") + b'--XX\r\nContent-Disposition: form-data; name="name"\r\n\r\n'
    assert lenient(named + "花子".encode("cp932") + b"\r\n--XX--\r\n", MULTIPART).values == {"name": "花子"}


def test_a_value_sent_twice_is_kept_twice_and_a_declared_one_without_an_issue() -> None:
    both = lenient(b"a=1&a=2&a=3", FORM)
    assert (both.values, [issue.pointer for issue in both.issues]) == ({"a": ["1", "2", "3"]}, ["/a"])
    declared = decode(b"a=1&a=2", FORM, mode=Mode.STRICT, multiple={"a"})
    assert (declared.values, declared.issues) == ({"a": ["1", "2"]}, [])


def test_a_key_sent_twice_in_json_is_kept_twice() -> None:
    fields = lenient(b'{"x": {"a": 1, "a": [2]}}')
    assert fields.values == {"x": {"a": [1, [2]]}}
    assert [(issue.pointer, issue.code) for issue in fields.issues] == [("/x/a", "duplicate_key")]


def test_what_lenient_changes_is_named_by_pointer_and_never_by_value() -> None:
    fields = lenient(b'{"a/b": {"c~d": ["ok", "bad\\u0000"]}}')
    assert fields.values == {"a/b": {"c~d": ["ok", "bad"]}}
    assert [(issue.pointer, issue.code) for issue in fields.issues] == [("/a~1b/c~0d/1", "control_character")]


def test_names_that_become_one_when_cleaned_keep_both_values() -> None:
    fields = lenient(b'{"a": 1, "a\\u0000": 2}')
    assert fields.values == {"a": [1, 2]}


def test_an_array_is_taken_whole_or_not_and_the_refusal_names_the_item() -> None:
    items = decode_array(b'[{"a": 1}, {"b": 2}]', JSON_TYPE, mode=Mode.STRICT)
    assert [item.values for item in items] == [{"a": 1}, {"b": 2}]
    with pytest.raises(Refused) as caught:
        decode_array(b'[{"a": 1}, {"b": "\\u0007"}]', JSON_TYPE, mode=Mode.STRICT)
    assert caught.value.pointer == "/1/b"


def test_fields_are_counted_for_each_lead_of_an_array() -> None:
    lead = json.dumps({f"f{number}": "x" for number in range(LIMITS.fields)})
    body = f"[{','.join([lead] * 20)}]".encode()
    assert len(decode_array(body, JSON_TYPE, mode=Mode.STRICT)) == 20
    assert code_of(json.dumps({f"f{number}": 1 for number in range(201)}).encode()) == "too_many_fields"


def test_nesting_is_allowed_up_to_the_limit_and_counts_no_brackets_in_texts() -> None:
    deepest = b'{"a":' * 31 + b'["[[[[[\\"[["]' + b"}" * 31
    assert lenient(deepest).issues == []
    assert code_of(b'{"a":' * 32 + b"[1]" + b"}" * 32) == "json_depth"
    inside_array = b"[" + b'{"a":' * BATCH_LIMITS.depth + b"1" + b"}" * BATCH_LIMITS.depth + b"]"
    with pytest.raises(Refused, match="nested"):
        decode_array(inside_array, JSON_TYPE, mode=Mode.STRICT)


@pytest.mark.parametrize("kind", ["application/ld+json", "APPLICATION/JSON ; charset=utf8", JSON_TYPE])
def test_json_is_recognised_by_its_media_type(kind: str) -> None:
    assert lenient(b'{"a": 1}', kind).values == {"a": 1}


@pytest.mark.parametrize("kind", [None, "", "text/plain", "json", "application/jsonx", "application/json" + " " * 2000])
def test_an_unknown_media_type_is_refused_and_told_what_is_read(kind: str | None) -> None:
    with pytest.raises(Refused) as caught:
        decode(b"{}", kind, mode=Mode.LENIENT)
    assert caught.value.code == "unsupported_media_type"
    assert "multipart/form-data" in caught.value.headers["Accept-Post"]


def test_a_compressed_body_is_refused_by_its_header() -> None:
    refuse_encoding(None)
    refuse_encoding("identity")
    with pytest.raises(Refused) as caught:
        refuse_encoding("gzip")
    assert (caught.value.status, caught.value.code) == (415, "unsupported_encoding")


def test_a_file_is_described_and_not_opened() -> None:
    body = part('name="cv"; filename="../../cv.pdf"', "%PDF") + part('name="email"', "ana@example.com") + b"--XX--"
    fields = lenient(body, MULTIPART)
    assert fields.values == {
        "cv": {"filename": "../../cv.pdf", "content_type": "", "size": 4},
        "email": "ana@example.com",
    }
    assert [(issue.pointer, issue.code) for issue in fields.issues] == [("/cv", "file_kept_raw")]


@pytest.mark.parametrize(
    ("head", "filename"),
    [
        ('filename="C:\\\\x\\\\y.doc"', "C:\\\\x\\\\y.doc"),
        ('filename="a%22b.txt"', 'a"b.txt'),
        ("filename*=UTF-8''J%C3%BCrgen.pdf", "Jürgen.pdf"),
        ("filename*=klingon''%ff", "\ufffd"),
        ("filename=\"plain.txt\"; filename*=UTF-8''other.txt", "plain.txt"),
        (f'filename="{"x" * 4000}"', "x" * 255),
    ],
)
def test_a_file_name_is_data_however_it_is_written(head: str, filename: str) -> None:
    fields = lenient(part(f'name="cv"; {head}', "x") + b"--XX--", MULTIPART)
    assert fields.values["cv"] == {"filename": filename, "content_type": "", "size": 1}


def test_content_that_begins_like_the_boundary_stays_content() -> None:
    fields = lenient(part('name="message"', "a\r\n--XXL is a size\r\n--X") + b"--XX--", MULTIPART)
    assert fields.values == {"message": "a\r\n--XXL is a size\r\n--X"}


def test_a_boundary_may_be_padded_and_have_text_around_the_parts() -> None:
    body = b'hello\r\n--XX \t\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--XX--\r\nbye\r\n--XX\r\n'
    assert lenient(body, 'multipart/form-data; charset=utf-8; boundary="XX"').values == {"a": "1"}


@settings(deadline=None)
@given(values=st.dictionaries(st.text("ab c", min_size=1, max_size=5), st.text("x\r\n-X ü", max_size=30), max_size=5))
def test_a_multipart_form_comes_back_as_the_browser_had_it(values: dict[str, str]) -> None:
    boundary = "----form9f3c"
    body = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in values.items()
    )
    fields = lenient(f"{body}--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}")
    assert (fields.values, fields.issues) == (values, [])


def test_a_name_or_an_address_of_several_lines_is_refused_where_it_can_be_sent_again() -> None:
    assert code_of(b'{"Your-Email": "a@b.de\\nBcc: c@d.de"}') == "control_character"
    assert decode(b'{"message": "a\\nb", "filename": "a\\nb"}', JSON_TYPE, mode=Mode.STRICT).issues == []


def test_issues_are_bounded_however_much_is_wrong() -> None:
    body = json.dumps({"a": ["\u0001"] * 20000}).encode()
    assert len(lenient(body).issues) == 100


def test_a_refusal_never_repeats_what_was_sent() -> None:
    with pytest.raises(Refused) as caught:
        decode(b'{"name": "secret\\u0000"}', JSON_TYPE, mode=Mode.STRICT)
    assert "secret" not in f"{caught.value} {caught.value.detail} {caught.value.pointer} {caught.value.facts}"
