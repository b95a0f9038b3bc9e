"""Adapters of form makers: what they send is one submission, and its names are those of the form."""

from __future__ import annotations

import re
from typing import Any, Final

from schema.providers.adapter import (
    Headers,
    Provider,
    Values,
    as_text,
    at,
    decoded,
    members,
    nested,
    objects,
    put,
    single,
    text_at,
)
from schema.providers.signatures import in_body, signed, signed_either, token

# -- HubSpot -----------------------------------------------------------------------------------------------------------


def _hubspot(values: Values) -> Values:
    """The fields by name, a company's under `company`; consent as it was ticked, with the words beside the box."""
    found: Values = {}
    for field in objects(values.get("fields")):
        group = found.setdefault("company_", {}) if as_text(field.get("objectTypeId")) == "0-2" else found
        put(group, as_text(field.get("name")), field.get("value"))
    company = {f"company {name}": value for name, value in found.pop("company_", {}).items()}
    context = members(values.get("context"))
    found |= company | {"page_url": context.get("pageUri"), "page_name": context.get("pageName")}
    options = members(values.get("legalConsentOptions"))
    consent = members(options.get("consent"))
    if "consentToProcess" in consent:
        found["consent.processing"] = consent["consentToProcess"]
    for communication in objects(consent.get("communications")):
        name = f"consent.subscription_{as_text(communication.get('subscriptionTypeId'))}"
        found[name] = communication.get("value")
    interest = members(options.get("legitimateInterest"))
    if interest:
        found["legitimate_interest"] = interest.get("legalBasis") or interest.get("value")
    return {name: value for name, value in found.items() if value not in (None, "")}


def _is_hubspot(values: Values, _: Headers) -> bool:
    fields = objects(values.get("fields"))
    typed = any("objectTypeId" in field for field in fields)
    return bool(fields) and (typed or "legalConsentOptions" in values or "hutk" in members(values.get("context")))


HUBSPOT_FORMS: Final = Provider(
    name="hubspot_forms",
    looks_like=_is_hubspot,
    proof=token,
    answers=_hubspot,
    map={"company numberofemployees": "employees"},
    at="submittedAt",
    key=lambda values, _: _hubspot_key(values),
)


def _hubspot_key(values: Values) -> str:
    """Who submitted when; without a time only the content says whether it is the same."""
    email = next((as_text(f.get("value")) for f in objects(values.get("fields")) if f.get("name") == "email"), "")
    when = as_text(values.get("submittedAt"))
    return f"{text_at(values, 'context.pageId')} {when} {email}" if when and email else ""


# -- Typeform, Tally ---------------------------------------------------------------------------------------------------


def _typeform(values: Values) -> Values:
    """Each answer under its question's `ref`, the first address and number as what they are; hidden ones."""
    response = members(values.get("form_response"))
    titles = {
        as_text(field.get("ref")) or as_text(field.get("id")): as_text(field.get("title"))
        for field in objects(at(response, "definition.fields"))
    }
    found: Values = {}
    typed: Values = {}
    for answer in objects(response.get("answers")):
        field = members(answer.get("field"))
        ref = as_text(field.get("ref")) or as_text(field.get("id"))
        kind = as_text(answer.get("type"))
        value = _typeform_value(answer, kind)
        put(found, _typeform_name(kind, ref, titles.get(ref, "")), value)
        if kind in _TYPEFORM_KINDS:
            typed.setdefault(_TYPEFORM_KINDS[kind], value)
    return {**typed, **members(response.get("hidden")), **found}


_TYPEFORM_KINDS: Final = {"email": "email", "phone_number": "phone"}
_MADE_UP: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}\Z|[A-Za-z0-9]{12}\Z")
"""A `ref` that nobody chose."""


def _typeform_name(kind: str, ref: str, title: str) -> str:
    if ref and not _MADE_UP.match(ref):
        return ref
    return _TYPEFORM_KINDS.get(kind) or ref or title or kind


def _typeform_value(answer: Values, kind: str) -> Any:  # noqa: ANN401 - whatever was answered
    value = answer.get(kind)
    if kind == "choice":
        return at(value, "label") or at(value, "other")
    if kind == "choices":
        labels, other = at(value, "labels"), at(value, "other")
        return [*(labels if isinstance(labels, list) else []), *([other] if other else [])]
    return value


TYPEFORM: Final = Provider(
    name="typeform",
    looks_like=lambda values, _: isinstance(values.get("form_response"), dict),
    proof=signed("typeform-signature", "sha256=", form="base64"),
    answers=_typeform,
    key=lambda values, _: text_at(values, "form_response.token") or text_at(values, "event_id"),
    at="form_response.submitted_at",
    told=("form_response.form_id", "form_response.calculated.score"),
)


def _tally(values: Values) -> Values:
    """Each answer under its question; what was chosen by its words instead of its id."""
    found: Values = {}
    for field in objects(at(values, "data.fields")):
        words = {as_text(option.get("id")): option.get("text") for option in objects(field.get("options"))}
        value = field.get("value")
        if words and isinstance(value, list):
            value = [words.get(as_text(item), item) for item in value]
        elif words:
            value = words.get(as_text(value), value)
        name = {"INPUT_EMAIL": "email", "INPUT_PHONE_NUMBER": "phone"}.get(as_text(field.get("type")))
        label = as_text(field.get("label"))
        put(found, name if name and name not in found else label or as_text(field.get("key")), single(value))
    return found


TALLY: Final = Provider(
    name="tally",
    looks_like=lambda values, _: values.get("eventType") == "FORM_RESPONSE" and isinstance(values.get("data"), dict),
    proof=signed("tally-signature", form="base64"),
    answers=_tally,
    key=("eventId",),
    at="data.createdAt",
    told=("data.formId", "data.formName"),
)

# -- Jotform, Formstack, Wufoo -----------------------------------------------------------------------------------------

_NUMBERED: Final = re.compile(r"q(\d+)_(.+)\Z", re.DOTALL)


def _jotform(values: Values) -> Values:
    """The answers of `rawRequest` by the names behind their numbers (`q3_name`); a name in parts as its parts."""
    found: Values = {}
    answers = members(decoded(values, "rawRequest").get("rawRequest"))
    for name, value in answers.items():
        numbered = _NUMBERED.match(name)
        if numbered:
            _spread(found, numbered[2], value)
    return found


_PARTS: Final = {"first": "first_name", "last": "last_name", "full": "phone", "phone": "phone", "country": "country"}


def _spread(found: Values, name: str, value: Any) -> None:  # noqa: ANN401 - whatever was answered
    """Keep a value; of one in parts (a name, an address, a telephone number) each part that we have a field for."""
    if not isinstance(value, dict):
        put(found, name, value)
        return
    rest = {}
    for part, held in value.items():
        ours = _PARTS.get(part)
        if ours and ours not in found and held:
            found[ours] = held
        else:
            rest[part] = held
    area, number = rest.pop("area", None), found.get("phone")
    if area and number and not as_text(number).startswith("+"):
        found["phone"] = f"{area} {number}"
    if rest:
        put(found, name, rest)


JOTFORM: Final = Provider(
    name="jotform",
    looks_like=lambda values, _: "rawRequest" in values and "formID" in values,
    proof=token,
    answers=_jotform,
    key=("submissionID",),
    told=("formID", "formTitle"),
)
_FORMSTACK_OWN: Final = frozenset({"FormID", "UniqueID", "HandshakeKey"})


def _formstack(values: Values) -> Values:
    found: Values = {}
    for name, given in values.items():
        value = given.get("value") if isinstance(given, dict) and "field_type" in given else given
        if isinstance(value, str) and "\n" in value and (parts := _packed(value)):
            value = parts
        if name not in _FORMSTACK_OWN:
            _spread(found, name, value)
    return found


def _packed(text: str) -> Values:
    """`first = John`, a line each; empty where one is not of that form."""
    pairs = [line.partition(" = ") for line in text.splitlines() if line.strip()]
    return {name.strip(): value.strip() for name, _, value in pairs} if all(equals for _, equals, _ in pairs) else {}


FORMSTACK: Final = Provider(
    name="formstack",
    looks_like=lambda values, _: "FormID" in values and "UniqueID" in values,
    proof=signed_either(signed("x-fs-signature", "sha256="), in_body("HandshakeKey")),
    answers=_formstack,
    key=("UniqueID",),
    told=("FormID",),
    hidden=("HandshakeKey",),
)
_WUFOO_FIELD: Final = re.compile(r"Field\d+\Z")


def _wufoo(values: Values) -> Values:
    """The answers (`Field12`) under the titles that the form's own description gives them."""
    titles: dict[str, str] = {}
    for field in objects(at(decoded(values, "FieldStructure"), "FieldStructure.Fields")):
        titles[as_text(field.get("ID"))] = as_text(field.get("Title"))
        for part in objects(field.get("SubFields")):
            titles[as_text(part.get("ID"))] = {"First": "first_name", "Last": "last_name"}.get(
                label := as_text(part.get("Label")), f"{as_text(field.get('Title'))} {label}"
            )
    found: Values = {}
    for name, value in values.items():
        if _WUFOO_FIELD.match(name):
            put(found, titles.get(name) or name, value)
    return found


WUFOO: Final = Provider(
    name="wufoo",
    looks_like=lambda values, _: (
        "EntryId" in values and any(name == "FieldStructure" or _WUFOO_FIELD.match(name) for name in values)
    ),
    proof=in_body("HandshakeKey"),
    answers=_wufoo,
    key=("EntryId",),
    hidden=("HandshakeKey",),
)

# -- WordPress ---------------------------------------------------------------------------------------------------------


def _elementor(values: Values) -> Values:
    """Fields by their ids where the form sends them apart (`fields[email][value]`), else by their labels."""
    whole = nested(values)
    fields = members(whole.get("fields"))
    if fields:
        found: Values = {}
        for id_, field in fields.items():
            name = {"email": "email", "tel": "phone"}.get(text_at(field, "type"), id_)
            put(found, name, at(field, "value") if isinstance(field, dict) else field)
        return found
    return {name: value for name, value in whole.items() if name not in {"form_id", "form_name", "form"}}


def _is_elementor(values: Values, _: Headers) -> bool:
    whole = nested(values)
    return ("form_id" in whole and "form_name" in whole) or (
        isinstance(whole.get("form"), dict) and isinstance(whole.get("fields"), dict)
    )


ELEMENTOR: Final = Provider(name="elementor", looks_like=_is_elementor, proof=token, answers=_elementor)
_MAIL_TAGS: Final = frozenset(
    {"_remote_ip", "_url", "_user_agent", "_post_title", "_post_url", "_post_id", "_date", "_time", "_random"}
)


def _contact_form_7(values: Values) -> Values:
    page = {"page_url": values["_url"]} if "_url" in values else {}
    found: Values = {name: _without_content(value) for name, value in values.items() if name not in _MAIL_TAGS}
    return found | page


def _without_content(value: Any) -> Any:  # noqa: ANN401 - whatever was sent
    """A file as what it is called: its bytes stay in the receipt."""
    if isinstance(value, list):
        return [_without_content(item) for item in value]
    if isinstance(value, dict) and {"filename", "content"} <= value.keys():
        return {"filename": value["filename"]}
    return value


CONTACT_FORM_7: Final = Provider(
    name="contact_form_7",
    looks_like=lambda values, _: (
        bool(values.keys() & _MAIL_TAGS) or any(name.startswith("your-") and name != "your-" for name in values)
    ),
    proof=token,
    answers=_contact_form_7,
    map={"your-subject": "custom.subject"},
)
_ENTRY: Final = frozenset(
    [
        "id",
        "form_id",
        "created_by",
        "date_created",
        "date_updated",
        "is_starred",
        "is_read",
        "ip",
        "source_url",
        "post_id",
        "user_agent",
        "currency",
        "status",
        "payment_status",
        "payment_date",
        "payment_amount",
        "payment_method",
        "transaction_id",
        "transaction_type",
        "is_fulfilled",
        "source_id",
    ]
)
_INPUT: Final = re.compile(r"\d+(\.\d+)?\Z")


def _gravity_forms(values: Values) -> Values:
    """The inputs by number (`2`, `1.3`), which the mapping names; the third and sixth part of a name are known."""
    found = {name: value for name, value in values.items() if name not in _ENTRY and value not in (None, "")}
    page = {"page_url": values["source_url"]} if values.get("source_url") else {}
    parts = {name.partition(".")[0] for name in found if name.endswith((".3", ".6"))}
    for number in parts:
        first, last = found.get(f"{number}.3"), found.get(f"{number}.6")
        if isinstance(first, str) and isinstance(last, str) and not {f"{number}.1", f"{number}.5"} & found.keys():
            found |= {"first_name": found.pop(f"{number}.3"), "last_name": found.pop(f"{number}.6")}
            break
    return found | page


def _is_gravity(values: Values, _: Headers) -> bool:
    return {"form_id", "date_created"} <= values.keys() and (
        "is_starred" in values or "source_url" in values or any(_INPUT.match(name) for name in values)
    )


GRAVITY_FORMS: Final = Provider(
    name="gravity_forms",
    looks_like=_is_gravity,
    proof=token,
    answers=_gravity_forms,
    key=("form_id", "id"),
    at="date_created",
    told=("form_id",),
)

# -- CRMs --------------------------------------------------------------------------------------------------------------

_SALESFORCE_OWN: Final = frozenset({"oid", "retURL", "debug", "debugEmail", "submit"})
SALESFORCE_WEB_TO_LEAD: Final = Provider(
    name="salesforce_web_to_lead",
    looks_like=lambda values, _: "oid" in values and bool({"last_name", "retURL", "company"} & values.keys()),
    proof=in_body("oid"),
    answers=lambda values: {name: value for name, value in values.items() if name not in _SALESFORCE_OWN},
    map={"lead_source": "attribution.lead_source", "Campaign_ID": "attribution.campaign_id"},
)
ESPOCRM: Final = Provider(
    name="espocrm",
    looks_like=lambda values, _: "emailAddress" in values and bool({"firstName", "lastName"} & values.keys()),
    proof=token,
    map={"description": "message", "accountName": "company", "phoneNumber": "phone"},
)

FORMS: Final = (
    HUBSPOT_FORMS,
    TYPEFORM,
    TALLY,
    JOTFORM,
    FORMSTACK,
    WUFOO,
    ELEMENTOR,
    GRAVITY_FORMS,
    SALESFORCE_WEB_TO_LEAD,
    ESPOCRM,
    CONTACT_FORM_7,
)
