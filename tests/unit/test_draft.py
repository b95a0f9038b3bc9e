"""What a payload says about a person, whatever the form that sent it calls its fields."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.draft import Draft, country_code, draft, head_count, language_tag, match_keys, moment
from schema.payload import Fields, Issue, Mode, decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from schema.payload import JSON


def of(values: dict[str, Any], mapping: dict[str, str] | None = None, region: str | None = None) -> Draft:
    return draft(Fields(values, []), mapping, region=region)


def codes(found: Draft) -> list[tuple[str, str]]:
    return [(issue.pointer, issue.code) for issue in found.issues]


@pytest.mark.parametrize("name", ["email", "E-Mail", "your-email", "your_email", "EMAIL ADDRESS", "Mail", "user.email"])
def test_an_address_is_found_whatever_the_form_calls_it(name: str) -> None:
    found = of({name: "ana@example.com"})
    assert match_keys(found) == [("email", "ana@example.com")]
    assert (found.custom, found.issues) == ({}, [])


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"Full Name": "Ana Lopez"}, "Ana Lopez"),
        ({"first_name": "Ana", "last-name": "Lopez"}, "Ana Lopez"),
        ({"Vorname": "Ana", "Nachname": "Lopez"}, "Ana Lopez"),
        ({"prénom": "Ana", "nom": "Lopez"}, "Ana Lopez"),
        ({"name": "Dr. Ana", "first_name": "Ana"}, "Dr. Ana"),
        ({"name": "   "}, None),
    ],
)
def test_a_name_is_found_whole_or_in_parts(values: dict[str, Any], name: str | None) -> None:
    assert of(values).name == name


def test_a_whole_form_becomes_a_whole_draft() -> None:
    found = of(
        {
            "email": "Ana@Example.com",
            "name": "Ana Lopez",
            "tel": "030 901820",
            "firma": "Example GmbH",
            "team_size": "51-200",
            "land": "Deutschland",
            "lang": "de_at",
            "interests": "crm, routing; crm",
            "message": "Hello,\nplease call.",
            "utm_source": "news",
            "GCLID": "x1",
            "newsletter": "on",
            "pref_channel": "phone",
            "created_at": "2026-01-31T10:00:00+01:00",
            "shoe size": 42,
        },
    )
    assert (found.name, found.country, found.language) == ("Ana Lopez", "DE", "de-AT")
    assert found.phone is not None
    assert found.phone.e164 == "+4930901820"
    assert (found.company.name, found.company.domain, found.company.employees) == ("Example GmbH", "example.com", 51)
    assert (found.interests, found.message) == (["crm", "routing"], "Hello,\nplease call.")
    assert (found.attribution, found.consent) == ({"utm_source": "news", "gclid": "x1"}, {"marketing": True})
    assert (found.preferences, found.custom) == ({"channel": "phone"}, {"shoe size": 42})
    assert found.occurred_at == datetime(2026, 1, 31, 9, tzinfo=UTC)
    assert found.issues == []


def test_a_mapping_reads_nested_paths_and_comes_before_what_names_suggest() -> None:
    found = of(
        {"data": {"account": {"email": "ana@example.com", "plan": "pro"}}, "email": "system@example.org"},
        {"data.account.email": "email"},
    )
    assert match_keys(found) == [("email", "ana@example.com")]
    assert found.custom == {"data.account": {"plan": "pro"}, "email": "system@example.org"}
    assert codes(found) == [("/email", "field_repeated")]


@pytest.mark.parametrize(
    ("target", "read"),
    [
        ("full_name", lambda d: d.name),
        ("person.name", lambda d: d.name),
        ("company.name", lambda d: d.company.name),
        ("custom.colour", lambda d: d.custom["colour"]),
        ("preferences.colour", lambda d: d.preferences["colour"]),
        ("attribution.utm_term", lambda d: d.attribution["utm_term"]),
        ("colour", lambda d: d.custom["colour"]),
        ("external_id", lambda d: d.external_id),
    ],
)
def test_a_mapping_may_name_any_field_of_ours_or_a_new_one(target: str, read: Callable[[Draft], object]) -> None:
    assert read(of({"field.1": "blue"}, {"field.1": target})) == "blue"
    assert read(of({"Field 1": "blue"}, {"field_1": target})) == "blue"


def test_a_mapping_to_what_is_not_there_changes_nothing() -> None:
    found = of({"email": "ana@example.com", "a": 1}, {"x.y": "email", "a.b": "name", "": "name"})
    assert match_keys(found) == [("email", "ana@example.com")]


def test_fields_inside_a_wrapper_are_found() -> None:
    found = of({"lead": {"contact": {"E-Mail": "ana@example.com", "colour": "blue"}}})
    assert match_keys(found) == [("email", "ana@example.com")]
    assert found.custom == {"lead.contact.colour": "blue"}


def test_what_cannot_be_used_is_kept_and_flagged() -> None:
    found = of({"email": "a@b", "phone": "12", "country": "Atlantis", "lang": "??", "employees": "many"}, region="DE")
    assert (found.email, found.phone, found.country, found.language) == (None, None, None, None)
    assert found.custom == {"email": "a@b", "phone": "12", "country": "Atlantis", "lang": "??", "employees": "many"}
    assert sorted(codes(found)) == [
        ("/country", "country_unknown"),
        ("/email", "email_syntax"),
        ("/employees", "number_expected"),
        ("/lang", "language_unknown"),
        ("/phone", "phone_invalid"),
    ]


def test_a_line_break_in_an_address_or_a_name_never_reaches_a_mail() -> None:
    found = of({"email": "x@y.zz\r\nBcc: v@w.zz", "name": "Ana\r\nBcc: v@w.zz"})
    assert found.email is None
    assert found.name == "Ana Bcc: v@w.zz"
    assert codes(found) == [("/email", "email_control_character"), ("/name", "control_character")]


def test_marks_that_turn_a_name_around_are_taken_out_and_joiners_stay() -> None:
    assert of({"name": "Ana\u202e\u200b L"}).name == "Ana L"
    assert of({"name": "👩\u200d💻"}).name == "👩\u200d💻"


def test_an_endless_name_is_cut_and_kept_whole_beside() -> None:
    found = of({"name": "x" * 5000})
    assert (found.name, found.custom) == ("x" * 500, {"name": "x" * 5000})


def test_the_first_of_several_values_is_used_and_all_are_kept() -> None:
    found = of({"email": ["ana@example.com", "ben@example.com"], "e-mail": "cem@example.com"})
    assert match_keys(found) == [("email", "ana@example.com")]
    assert found.custom == {"email": ["ana@example.com", "ben@example.com"], "e-mail": "cem@example.com"}


def test_the_same_value_under_two_names_is_no_issue() -> None:
    assert of({"email": "ana@example.com", "mail": "ana@example.com"}).issues == []


def test_dangerous_names_are_not_passed_on_at_any_level() -> None:
    found = of({"__proto__": 1, "a": {"constructor": {"b": 1}, "c": [{"prototype": 2}]}, "pref___proto__": 3})
    assert found.custom == {"a": {"c": [{}]}}
    assert found.preferences == {}
    assert {code for _, code in codes(found)} == {"key_dropped"}


@pytest.mark.parametrize(
    ("value", "given_"),
    [
        (True, True),
        ("on", True),
        ("Ja", True),
        (1, True),
        (["yes"], True),
        (False, False),
        ("0", False),
        ("nein", False),
    ],
)
def test_consent_is_what_a_checkbox_says(value: JSON, given_: bool) -> None:  # noqa: FBT001
    assert of({"gdpr": value}).consent == {"privacy": given_}


@pytest.mark.parametrize("value", ["maybe", 2, ["yes", "no"], {"a": 1}, "null"])
def test_consent_that_is_no_answer_is_not_consent(value: JSON) -> None:
    found = of({"newsletter": value})
    assert (found.consent, found.custom) == ({}, {"newsletter": value})
    assert codes(found) == [("/newsletter", "consent_unclear")]


def test_a_contradiction_is_a_no() -> None:
    assert of({"newsletter": True, "opt_in": "no"}).consent == {"marketing": False}


def test_when_and_where_consent_was_given_is_not_the_senders_to_say() -> None:
    found = of({"consent": {"marketing": True, "ip": "192.0.2.1", "timestamp": "2999-01-01"}})
    assert found.consent == {"marketing": True}
    assert codes(found) == [("/consent/ip", "consent_claim"), ("/consent/timestamp", "consent_claim")]


def test_free_mail_gives_no_company_and_a_website_comes_before_the_address() -> None:
    assert of({"email": "ana@gmail.com"}).company.domain is None
    assert of({"email": "ana@eu.example.com"}).company.domain == "example.com"
    found = of({"email": "ana@example.com", "website": "https://www.example.org/about"})
    assert (found.company.domain, found.custom) == ("example.org", {"website": "https://www.example.org/about"})


def test_a_national_number_is_read_in_the_country_that_the_payload_names() -> None:
    found = of({"phone": "020 7946 0958", "country": "UK"}, region="DE")
    assert found.phone is not None
    assert found.phone.e164 == "+442079460958"


def test_an_address_decides_alone_so_that_a_shared_number_merges_nobody() -> None:
    number = "+49 30 901820"
    both = [("email", "ana@example.com"), ("phone", "+4930901820")]
    assert match_keys(of({"email": "ana@example.com", "phone": number})) == both
    assert match_keys(of({"email": "not an address", "phone": number})) == [("phone", "+4930901820")]
    assert match_keys(of({"name": "Ana"})) == []


def test_an_external_id_counts_only_by_a_mapping_and_within_its_source() -> None:
    assert match_keys(of({"external_id": "7"}), "website") == []
    mapped = of({"id": 7, "email": "ana@example.com"}, {"id": "external_id"})
    assert match_keys(mapped, "shop") == [("external:shop", "7"), ("email", "ana@example.com")]
    assert match_keys(mapped) == [("email", "ana@example.com")]


@pytest.mark.parametrize(
    ("written", "code"),
    [("de", "DE"), (" DEU ", "DE"), ("Deutschland", "DE"), ("United Kingdom", "GB"), ("uk", "GB"), ("Österreich", "AT"),
     ("U.S.A.", "US"), ("The Netherlands", "NL"), ("XX", None), ("", None), ("x" * 9999, None)],
)  # fmt: skip
def test_a_country_is_read_as_people_write_it(written: str, code: str | None) -> None:
    assert country_code(written) == code


@pytest.mark.parametrize(
    ("written", "tag"),
    [("de", "de"), ("de_at", "de-AT"), ("zh-Hant-tw", "zh-Hant-TW"), ("Deutsch", "de"), ("d", None), ("de-", None)],
)
def test_a_language_is_read_as_people_write_it(written: str, tag: str | None) -> None:
    assert language_tag(written) == tag


@pytest.mark.parametrize(
    ("written", "count"),
    [("120", 120), ("1,200", 1200), ("1.200", 1200), ("11-50", 11), ("11 \u2013 50", 11), ("50+", 50), (">500", 500),
     ("1 to 10", 1), ("-5", None), ("many", None), ("99999999", None), ("1" * 500, None)],
)  # fmt: skip
def test_a_head_count_is_the_lower_end_of_what_is_said(written: str, count: int | None) -> None:
    assert head_count(written) == count


@pytest.mark.parametrize(
    ("value", "code", "year"),
    [
        ("2026-01-31", "", 2026),
        ("20260131", "", 2026),
        ("2026-01-31T10:00:00Z", "", 2026),
        (1767225600, "date_epoch", 2026),
        (1767225600000, "date_epoch", 2026),
        ("1767225600", "date_epoch", 2026),
        ("2026-02-30", "date_invalid", None),
        ("0000-01-01", "date_invalid", None),
        ("0001-01-01T00:00:00+14:00", "date_invalid", None),
        ("9999-12-31T23:59:59-14:00", "date_invalid", None),
        ("10000-01-01", "date_invalid", None),
        ("infinity", "date_invalid", None),
        (float("inf"), "date_invalid", None),
        (float("nan"), "date_invalid", None),
        (10**400, "date_invalid", None),
        (True, "date_invalid", None),
        ({}, "date_invalid", None),
    ],
)
def test_a_time_is_read_or_says_that_it_is_none(value: JSON, code: str, year: int | None) -> None:
    found, issue = moment(value)
    assert (found.year if found else None, issue) == (year, code)


NAMES = st.sampled_from(
    ["email", "name", "first_name", "phone", "company", "website", "employees", "country", "language", "interests",
     "message", "preferences", "pref_x", "timestamp", "attribution", "utm_source", "consent", "consent_ip",
     "newsletter", "gdpr", "data", "contact", "__proto__", "constructor", "", "."],
) | st.text(max_size=8)  # fmt: skip
TEXTS = st.text(max_size=20) | st.sampled_from(["ana@example.com", "+49 30 901820", "on", "DE", "2026-01-01", "a,b"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
TARGETS = st.sampled_from(["email", "name", "custom.x", "consent", "consent.ip", "preferences", "external_id", "nope"])


def assert_storable(found: Draft) -> None:
    encoded = msgspec.json.encode(found)
    assert msgspec.json.encode(msgspec.json.decode(encoded, type=Draft)) == encoded
    assert "\\u0000" not in encoded.decode("utf-8").replace("\\\\", "")


@settings(deadline=None, max_examples=100)
@given(
    values=st.dictionaries(NAMES, VALUES, max_size=8),
    mapping=st.none() | st.dictionaries(NAMES | st.just("data.email"), TARGETS, max_size=3),
    region=st.sampled_from([None, "DE"]),
)
def test_any_fields_at_all_give_a_draft_that_can_be_stored(
    values: dict[str, Any], mapping: dict[str, str] | None, region: str | None
) -> None:
    assert_storable(of(values, mapping, region))


@settings(deadline=None)
@given(values=st.dictionaries(NAMES, VALUES, max_size=8))
def test_any_json_object_gives_a_draft(values: dict[str, Any]) -> None:
    finite = json.loads(json.dumps(values), parse_constant=lambda _: None)
    fields = decode(json.dumps(finite).encode(), "application/json", mode=Mode.LENIENT)
    assert_storable(draft(fields))


@settings(deadline=None)
@given(values=st.dictionaries(NAMES, st.text("abc@.+0 ", min_size=1, max_size=8), max_size=8))
def test_nothing_is_both_gone_and_unmentioned(values: dict[str, str]) -> None:
    found = of(values)
    told = msgspec.json.encode(found).decode()
    for key, value in values.items():
        parts = value.replace(",", " ").split()
        mentioned = any(issue.pointer.startswith("/" + key.replace("~", "~0")) for issue in found.issues if key)
        read_as_something = key in {"employees", "timestamp", "country", "language", "consent", "newsletter", "gdpr"}
        assert all(part in told for part in parts) or mentioned or read_as_something


def test_issues_of_the_payload_come_first() -> None:
    found = draft(Fields({"email": "a@b"}, [Issue("/x", "bad_escape")]))
    assert codes(found) == [("/x", "bad_escape"), ("/email", "email_syntax")]
