"""Providers' webhooks: one delivery of each is recognised, and says what it says."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema import payload
from schema.draft import match_keys
from schema.journey import JourneyInvalid, Source, default_text, load
from schema.journey.source import IDS_ONLY
from schema.journey.source import PROVIDERS as NAMES
from schema.providers import FETCH_PENDING, FETCHED, PROVIDERS, read_hook, recognised, values_of
from schema.providers.adapter import by_name, nested
from schema.understood import Raw, Understood
from tests.deliveries import GIVEN, SHAPES, Sent, delivery, provider_of

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def raw(sent: Sent) -> Raw:
    body = sent.body
    if sent.provider == "hubspot_webhooks":
        body = json.dumps(json.loads(body)[0]).encode()
    return Raw("hook", sent.content_type, body, sent.headers, NOW)


def read(shape: str, *, named: bool = False, source: dict[str, Any] | None = None, **changes: Any) -> Understood:  # noqa: ANN401
    wanted = {**GIVEN[shape].get("source", {}), **(source or {})}
    if named:
        wanted["provider"] = provider_of(shape)
    arrived = raw(delivery(shape, **changes))
    if "fetched" in GIVEN[shape] and not changes:
        body = json.dumps(GIVEN[shape]["fetched"]).encode()
        wanted["provider"] = provider_of(shape)
        arrived = Raw("hook", "application/json", body, {FETCHED: "true"}, NOW)
    return read_hook(arrived, Source(kind="hook", **wanted))


def said(understood: Understood) -> dict[str, Any]:
    draft = understood.draft
    return {
        "email": draft.email and draft.email.address,
        "phone": draft.phone and draft.phone.e164,
        "name": draft.name,
        "company": draft.company.name,
        "employees": draft.company.employees,
        "interests": draft.interests,
        "message": draft.message,
        "consent": draft.consent,
        "external_id": draft.external_id,
        "kind": understood.kind,
        "at": understood.occurred_at and understood.occurred_at.isoformat(),
        "test": understood.test,
    }


def test_every_provider_of_the_language_has_an_adapter_and_a_delivery() -> None:
    assert set(NAMES) == set(PROVIDERS) == {provider_of(shape) for shape in SHAPES}
    assert all(name == provider.name for name, provider in PROVIDERS.items())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{kind: hook, provider: strip}", "did you mean stripe?"),
        ("{kind: hook, provider: meta_lead_ads}", "Meta Lead Ads only sends ids"),
        ("{kind: form, provider: stripe}", "only sources of kind hook have a provider"),
        ("{kind: api, token: SOME_TOKEN}", "only sources of kind hook have a token"),
        ("{kind: hook, secret: the secret itself}", "secret"),
    ],
)
def test_a_source_that_could_not_work_is_found_by_the_check(source: str, words: str) -> None:
    document = default_text().replace("\nsources:\n", f"\nsources:\n  wrong: {source}\n", 1)

    with pytest.raises(JourneyInvalid) as found:
        load(document)

    assert [problem for problem in found.value.problems if words in str(problem) and "wrong" in problem.path]


def test_the_language_knows_who_only_sends_ids() -> None:
    assert {name for name, provider in PROVIDERS.items() if provider.fetch} == IDS_ONLY


@pytest.mark.parametrize("shape", SHAPES)
def test_a_delivery_is_recognised_by_its_shape(shape: str) -> None:
    sent = delivery(shape)
    arrived = raw(sent)

    found = recognised(values_of(arrived), arrived.headers, arrived.content_type)

    assert found.name == sent.provider


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_delivery_says_who_it_is_about_and_what_happened(shape: str, *, named: bool) -> None:
    understood = read(shape, named=named)

    expected = GIVEN[shape]["says"]
    assert {name: value for name, value in said(understood).items() if name in expected} == expected
    assert understood.outcome == ""


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_delivery_again_has_the_same_key_whatever_its_counters_say(shape: str) -> None:
    provider = PROVIDERS[provider_of(shape)]
    first = raw(delivery(shape))
    again = raw(delivery(shape, **dict.fromkeys(GIVEN[shape].get("same", ()), "9")))

    def key(arrived: Raw) -> str:
        return provider.key_of(values_of(arrived) or {}, arrived.headers)

    assert key(first) == key(again)
    by_content = {"elementor", "contact_form_7", "salesforce_web_to_lead", "espocrm", "rfc822", "mautic"}
    assert bool(key(first)) == (provider.name not in by_content)


def test_ids_are_the_same_as_numbers_and_as_texts() -> None:
    given = json.loads(delivery("meta_lead_ads").body)
    given["entry"][0]["changes"][0]["value"]["leadgen_id"] = "555"

    assert PROVIDERS["meta_lead_ads"].key_of(given, {}) == "555"
    assert PROVIDERS["meta_lead_ads"].key_of(json.loads(delivery("meta_lead_ads").body), {}) == "555"


def test_a_provider_that_only_sends_ids_has_to_be_asked() -> None:
    with pytest.raises(payload.Refused) as refused:
        read_hook(raw(delivery("meta_lead_ads")), Source(kind="hook"))

    assert refused.value.code == FETCH_PENDING


@pytest.mark.parametrize("old", ["https://api.calendly.com/old", None])
def test_a_meeting_that_is_moved_is_no_loss_in_either_half(old: str | None) -> None:
    about = GIVEN["calendly"]["body"]["payload"]

    booked = read("calendly", payload={**about, "old_invitee": old})
    cancelled = read("calendly", event="invitee.canceled", payload={**about, "rescheduled": bool(old)})

    assert booked.kind == ("meeting.rescheduled" if old else "meeting.booked")
    assert cancelled.kind == ("meeting.moved" if old else "meeting.cancelled")


def test_answers_that_are_deleted_ask_for_erasure_and_open_nothing() -> None:
    understood = read("linkedin_lead_sync", leadAction="DELETED")

    assert (understood.kind, understood.only_known) == ("erasure.requested", True)
    assert (understood.outcome, understood.reason) == ("quarantined", "erasure_requested")
    assert match_keys(understood.draft, "ads") == [("external:ads", "1a2b-3")]


@pytest.mark.parametrize(
    ("type_", "about", "kind"),
    [
        ("invoice.paid", {"billing_reason": "subscription_cycle", "amount_paid": 4900}, "contract.renewed"),
        ("invoice.paid", {"billing_reason": "subscription_create", "amount_paid": 0}, "trial.started"),
        ("customer.subscription.deleted", {}, "contract.ended"),
        ("invoice.payment_failed", {}, "payment.failed"),
    ],
)
def test_a_payment_system_tells_purchases_renewals_and_ends(type_: str, about: dict[str, Any], kind: str) -> None:
    thing = {"id": "in_1", "customer": "cus_9", "customer_email": "ann@lind.example", **about}

    assert read("stripe", type=type_, data={"object": thing}).kind == kind


def test_what_happened_has_the_name_that_the_source_gives_it() -> None:
    assert read("stripe", source={"kinds": {"invoice.paid": "order"}}).kind == "order"


@pytest.mark.parametrize("shape", ["stripe", "calendly", "hubspot_webhooks"])
def test_a_type_that_nobody_asked_for_is_not_taken(shape: str) -> None:
    name = {"stripe": "type", "calendly": "event", "hubspot_webhooks": "subscriptionType"}[shape]
    type_ = {"stripe": "payout.paid", "calendly": "invitee.unheard", "hubspot_webhooks": "contact.merge"}[shape]

    changed: dict[str, Any] = {name: type_}
    understood = read(shape, named=True, **changed)

    assert (understood.outcome, understood.reason) == ("rejected", "ignored_unknown_type")


def test_a_trial_of_the_sender_is_one() -> None:
    assert read("google_lead_form").test
    assert not read("google_lead_form", is_test=False).test
    assert read("stripe", livemode=False).test


@pytest.mark.parametrize(
    ("body", "suggested"),
    [
        (
            {
                "order": 7,
                "buyer": {"contact_mail": "ann@lind.example", "mobile_no": "+49 30 123456", "placed": "2026-01-02"},
            },
            {"buyer.contact_mail": "email", "buyer.mobile_no": "phone"},
        ),
        ({"a": "ann@lind.example", "b": "+4930123456"}, {"a": "email", "b": "phone"}),
        ({"x": {"y": [1, 2]}}, {}),
    ],
)
def test_an_unknown_shape_waits_with_a_mapping_that_would_do(body: dict[str, Any], suggested: dict[str, str]) -> None:
    arrived = Raw("hook", "application/json", json.dumps(body).encode(), {}, NOW)

    held = read_hook(arrived, Source(kind="hook"))

    assert (held.outcome, held.reason) == ("quarantined", "shape_unknown")
    assert held.detail["suggested_map"] == suggested
    assert "lind" not in json.dumps(held.detail)
    if suggested:
        mended = read_hook(arrived, Source(kind="hook", map=suggested))
        assert mended.outcome == ""
        assert said(mended)["email"] == "ann@lind.example"


def test_a_form_without_a_mapping_for_its_address_waits_with_one() -> None:
    held = read("gravity_forms", named=True, source={"map": {}})

    assert (held.outcome, held.reason) == ("quarantined", "nothing_recognised")
    assert held.detail["suggested_map"]["2"] == "email"


def test_an_answer_that_is_an_address_is_one_whatever_its_question_is_called() -> None:
    answers = [
        {"type": "email", "email": "ann@lind.example", "field": {"id": "a", "type": "email", "ref": "where_to"}},
        {"type": "email", "email": "bills@lind.example", "field": {"id": "b", "type": "email", "ref": "invoices"}},
    ]
    body = json.dumps({"form_response": {"token": "t", "answers": answers}}).encode()
    understood = read_hook(Raw("hook", "application/json", body, {}, NOW), Source(kind="hook", provider="typeform"))

    assert match_keys(understood.draft, "survey") == [("email", "ann@lind.example")]
    assert understood.draft.custom == {"where_to": "ann@lind.example", "invoices": "bills@lind.example"}


def test_an_unknown_list_of_named_values_is_read_by_name() -> None:
    body = {"fields": [{"key": "email", "value": "ann@lind.example"}, {"key": "name", "value": "Ann"}]}

    understood = read_hook(Raw("hook", "", json.dumps(body).encode(), {}, NOW), Source(kind="hook"))

    assert said(understood)["email"] == "ann@lind.example"


def test_names_in_brackets_are_objects() -> None:
    assert nested({"a[b][c]": 1, "a[d]": 2, "e": 3, "a[b]": 4}) == {"a": {"b": {"c": 1}, "d": 2}, "e": 3, "a[b]": 4}


def test_a_list_with_something_else_in_it_is_no_list_of_named_values() -> None:
    assert by_name([{"name": "email", "value": "x"}, 7]) is None
    assert by_name([{"name": "email", "values": []}]) == {"email": None}
    assert by_name([{"name": "a", "value": 1}, {"name": "a", "value": 2}]) == {"a": 1, "a 2": 2}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def _damaged(value: Any, path: list[int], replacement: Any) -> Any:  # noqa: ANN401
    """The value with something else at a place that `path` leads to."""
    if not path or not isinstance(value, dict | list) or not value:
        return replacement
    if isinstance(value, list):
        at = path[0] % len(value)
        return [_damaged(item, path[1:], replacement) if index == at else item for index, item in enumerate(value)]
    name = list(value)[path[0] % len(value)]
    return {key: _damaged(item, path[1:], replacement) if key == name else item for key, item in value.items()}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_delivery_is_read_or_refused_and_never_breaks_anything(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([shape for shape in SHAPES if "text" not in GIVEN[shape]]))
    given_ = GIVEN[shape]
    body = given_.get("fetched") or given_.get("body") or given_.get("form") or given_.get("parts")
    told = body[0] if isinstance(body, list) else body
    path = data.draw(st.lists(st.integers(0, 50), min_size=1, max_size=6))
    damaged = _damaged(told, path, data.draw(_JSON))
    named = data.draw(st.sampled_from([None, provider_of(shape)]))
    arrived = Raw("hook", "application/json", json.dumps(damaged).encode(), dict(given_.get("headers", {})), NOW)
    values = values_of(arrived)

    with suppress(payload.Refused):
        understood = read_hook(arrived, Source(kind="hook", provider=named))
        assert understood.kind
        json.dumps(understood.data)
    if values is not None:
        provider = PROVIDERS[named] if named else recognised(values, arrived.headers, arrived.content_type)
        assert isinstance(provider.key_of(values, arrived.headers), str)
        assert provider.split is None or isinstance(provider.split(values), list)
        assert provider.fetch is None or isinstance(provider.fetch(values), str)
        assert provider.recipients is None or isinstance(provider.recipients(values), list)


@pytest.mark.parametrize(
    ("told", "source", "kind", "properties"),
    [
        (
            {"email": "x@kiln.example", "event": "bounce", "type": "bounce", "status": "5.1.1", "smtp-id": "<a@b.c>"},
            {"map": {"event": "kind"}, "kinds": {"bounce": "email.bounce"}},
            "email.bounce",
            {"type": "bounce", "status": "5.1.1", "smtp-id": "<a@b.c>"},
        ),
        (
            {"RecordType": "SpamComplaint", "Type": "SpamComplaint", "Email": "x@kiln.example", "MessageID": "8"},
            {"map": {"RecordType": "kind"}, "kinds": {"SpamComplaint": "email.complaint"}},
            "email.complaint",
            {"Type": "SpamComplaint", "MessageID": "8"},
        ),
        (
            {"event-data": {"event": "failed", "severity": "permanent", "recipient": "x@kiln.example",
                            "message": {"headers": {"message-id": "a@b.c"}}}},
            {"map": {"event-data.event": "kind", "event-data.recipient": "email"}, "kinds": {"failed": "email.bounce"}},
            "email.bounce",
            {"event-data.severity": "permanent", "event-data.message.headers.message-id": "a@b.c"},
        ),
    ],
)  # fmt: skip
def test_what_a_mail_service_reports_goes_to_whom_it_is_about_and_opens_no_lead(
    told: dict[str, Any], source: dict[str, Any], kind: str, properties: dict[str, Any]
) -> None:
    arrived = Raw("hook", "application/json", json.dumps(told).encode(), {}, NOW)
    understood = read_hook(arrived, Source(kind="hook", **source))

    assert (understood.kind, understood.only_known, understood.outcome) == (kind, True, "rejected")
    assert understood.draft.email
    assert understood.data["properties"] == properties
