"""Adapters of other systems: what they send is something that happened to somebody."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from schema import contract
from schema.incoming import CALL, CALLS, read_event
from schema.journey import Source
from schema.payload import JSON
from schema.providers.adapter import (
    Headers,
    Provider,
    Values,
    as_text,
    at,
    by_name,
    fields_of,
    members,
    objects,
    text_at,
)
from schema.providers.ads import erasure
from schema.providers.signatures import hubspot, stamped, standard, token, twenty
from schema.purchase import prepared
from schema.understood import Raw, Understood

# -- HubSpot -----------------------------------------------------------------------------------------------------------

_CONTACT: Final = "0-1"


def _is_contact(values: Values) -> bool:
    group, _, _ = as_text(values.get("subscriptionType")).partition(".")
    return group == "contact" or (group == "object" and as_text(values.get("objectTypeId")) == _CONTACT)


def _hubspot_answers(values: Values) -> Values:
    if not _is_contact(values):
        return {}
    named = as_text(values.get("propertyName"))
    return {"contact": as_text(values.get("objectId"))} | ({named: values.get("propertyValue")} if named else {})


def _hubspot_judge(values: Values, understood: Understood) -> None:
    """Ids of other things are nobody's; a change of somebody we never heard of is kept for a look."""
    if not _is_contact(values):
        understood.outcome, understood.reason = "rejected", "ignored_unknown_type"
    elif text_at(values, "subscriptionType").endswith("privacyDeletion"):
        erasure(understood)
    elif not understood.draft.email:
        understood.only_known = True
        understood.outcome, understood.reason = "quarantined", "person_unknown"


HUBSPOT_WEBHOOKS: Final = Provider(
    name="hubspot_webhooks",
    looks_like=lambda values, _: "subscriptionType" in values and "objectId" in values,
    proof=hubspot,
    answers=_hubspot_answers,
    map={"contact": "external_id"},
    key=("subscriptionId", "objectId", "occurredAt", "propertyName"),
    type="subscriptionType",
    kinds={
        "contact.creation": "contact.created",
        "contact.propertyChange": "contact.changed",
        "contact.privacyDeletion": "erasure.requested",
        "object.creation": "contact.created",
        "object.propertyChange": "contact.changed",
    },
    at="occurredAt",
    told=("objectId", "propertyName"),
    judge=_hubspot_judge,
)

# -- Calendly ----------------------------------------------------------------------------------------------------------


def _calendly_answers(values: Values) -> Values:
    about = members(values.get("payload"))
    asked = by_name(about.get("questions_and_answers")) or {}
    named = {name: about.get(name) for name in ("email", "name", "first_name", "last_name", "text_reminder_number")}
    tracking = {name: value for name, value in members(about.get("tracking")).items() if value}
    return {name: value for name, value in named.items() if value} | tracking | asked


def _calendly_judge(values: Values, understood: Understood) -> None:
    """A meeting that is moved is told twice, in any order: a new one booked, an old one cancelled. It is no loss."""
    about = members(values.get("payload"))
    if understood.kind == "meeting.cancelled" and about.get("rescheduled") is True:
        understood.kind = "meeting.moved"
    elif understood.kind == "meeting.booked" and about.get("old_invitee"):
        understood.kind = "meeting.rescheduled"


CALENDLY: Final = Provider(
    name="calendly",
    looks_like=lambda values, _: (
        as_text(values.get("event")).startswith(("invitee", "routing_form_submission"))
        and isinstance(values.get("payload"), dict)
    ),
    proof=stamped("calendly-webhook-signature"),
    answers=_calendly_answers,
    map={"text_reminder_number": "phone", "salesforce_uuid": "custom.salesforce_uuid"},
    key=lambda values, _: f"{uri} {values.get('event')}" if (uri := text_at(values, "payload.uri")) else "",
    type="event",
    kinds={
        "invitee.created": "meeting.booked",
        "invitee.canceled": "meeting.cancelled",
        "invitee_no_show.created": "meeting.missed",
        "routing_form_submission.created": "form",
    },
    at="created_at",
    told=("payload.event", "payload.cancellation.reason", "payload.cancellation.canceler_type"),
    judge=_calendly_judge,
)

# -- Stripe ------------------------------------------------------------------------------------------------------------

_STRIPE_EMAILS: Final = (
    "email",
    "customer_email",
    "receipt_email",
    "customer_details.email",
    "billing_details.email",
)
_STRIPE_WHOLE: Final = ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF")
_STRIPE_DIGITS: Final = dict.fromkeys((*_STRIPE_WHOLE, "XOF", "XPF"), 0) | dict.fromkeys(
    ("BHD", "JOD", "KWD", "OMR", "TND"), 3
)
"""Digits after the point, where they are not two."""
_STRIPE_NAMES: Final = ("name", "customer_name", "customer_details.name", "billing_details.name")
_STRIPE_PHONES: Final = ("phone", "customer_phone", "customer_details.phone", "billing_details.phone")


def _first(values: Values, paths: tuple[str, ...]) -> Any:  # noqa: ANN401 - a value of the payload
    return next((found for path in paths if (found := at(values, path))), None)


def _stripe_answers(values: Values) -> Values:
    """Who it is about, whatever kind of object it is; what the business wrote on it itself stands under `metadata`."""
    thing = members(at(values, "data.object"))
    customer = thing.get("customer")
    if thing.get("object") == "customer":
        customer = thing.get("id")
    elif isinstance(customer, dict):
        customer = customer.get("id")
    found = {
        "customer": customer,
        "email": _first(thing, _STRIPE_EMAILS),
        "name": _first(thing, _STRIPE_NAMES) if thing.get("object") != "product" else None,
        "phone": _first(thing, _STRIPE_PHONES),
        "country": _first(thing, ("address.country", "customer_address.country", "customer_details.address.country")),
        "metadata": thing.get("metadata"),
    }
    return {name: value for name, value in found.items() if value}


def _stripe_judge(values: Values, understood: Understood) -> None:
    """The next term of a subscription is a renewal; a payment nobody asked for, of nothing, is no purchase."""
    thing = members(at(values, "data.object"))
    understood.test = values.get("livemode") is False
    if values.get("type") == "invoice.paid" and understood.kind == "purchase":
        if thing.get("billing_reason") == "subscription_cycle":
            understood.kind = "contract.renewed"
        elif thing.get("amount_paid") == 0:
            understood.kind = "trial.started"
    if understood.kind in {"purchase", "contract.renewed"}:
        lines: list[JSON] = [
            {"name": line.get("description"), "quantity": line.get("quantity"), "price": _stripe_amount(line, "amount")}
            for line in objects(at(thing, "lines.data"))
        ]
        money = _stripe_amount(thing, "amount_paid")
        understood.data["purchase"] = prepared(money, thing.get("currency"), thing.get("id"), products=lines)
        if understood.kind == "contract.renewed":
            understood.data["contract"] = contract.prepared(id=thing.get("subscription"))
    elif understood.kind in {"contract.started", "contract.ended"}:
        understood.data["contract"] = _stripe_contract(thing)
    elif understood.kind == "payment.refunded":
        paid_back = thing.get("invoice") or thing.get("payment_intent")
        money = _stripe_amount(thing, "amount_refunded")
        understood.data["purchase"] = prepared(money, thing.get("currency"), paid_back, refund=thing.get("id"))


def _stripe_contract(thing: Values) -> Values:
    """A subscription's term: on newer versions of the interface it stands with the items."""
    item = next(iter(objects(at(thing, "items.data"))), {})
    renews = None if thing.get("cancel_at_period_end") is None else not thing["cancel_at_period_end"]
    ended = thing.get("status") == "canceled"
    return contract.prepared(
        id=thing.get("id"),
        current_period_start=thing.get("current_period_start") or item.get("current_period_start"),
        current_period_end=None if ended else thing.get("current_period_end") or item.get("current_period_end"),
        auto_renew=renews,
    )


def _stripe_amount(thing: Values, name: str) -> str | None:
    """An amount as people write it: it comes in the currency's smallest unit."""
    value = thing.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    digits = _STRIPE_DIGITS.get(as_text(thing.get("currency")).upper(), 2)
    return format(Decimal(value).scaleb(-digits), "f")


STRIPE: Final = Provider(
    name="stripe",
    looks_like=lambda values, _: values.get("object") == "event" and as_text(values.get("id")).startswith("evt_"),
    proof=stamped("stripe-signature"),
    answers=_stripe_answers,
    map={"customer": "external_id"},
    key=("id",),
    type="type",
    kinds={
        "checkout.session.completed": "checkout.completed",
        "customer.created": "contact.created",
        "customer.updated": "contact.changed",
        "customer.subscription.created": "contract.started",
        "customer.subscription.updated": "contract.changed",
        "customer.subscription.deleted": "contract.ended",
        "customer.subscription.trial_will_end": "trial.ending",
        "invoice.paid": "purchase",
        "invoice.payment_failed": "payment.failed",
        "charge.refunded": "payment.refunded",
        "charge.dispute.created": "payment.disputed",
    },
    at="created",
    told=(
        "data.object.id",
        "data.object.status",
        "data.object.amount_paid",
        "data.object.amount_total",
        "data.object.currency",
        "data.object.billing_reason",
        "data.object.subscription",
    ),
    judge=_stripe_judge,
)

# -- Standard Webhooks, Twenty, Mautic ---------------------------------------------------------------------------------

STANDARD_WEBHOOKS: Final = Provider(
    name="standard_webhooks",
    looks_like=lambda _, headers: "webhook-id" in headers and "webhook-signature" in headers,
    proof=standard,
    answers=lambda values: {"data": values.get("data")} if isinstance(values.get("data"), dict) else values,
    key=lambda _, headers: headers.get("webhook-id", ""),
    type="type",
    kind="event",
    at="timestamp",
)


def _twenty_answers(values: Values) -> Values:
    """A record's fields; names, addresses and numbers are objects of their own there."""
    data = members(values.get("data")) or members(values.get("record"))
    name = data.get("name")
    found: Values = {
        "record": data.get("id"),
        "firstName": at(name, "firstName"),
        "lastName": at(name, "lastName"),
        "email": at(data, "emails.primaryEmail") or data.get("email"),
        "phone": _twenty_phone(members(data.get("phones"))) or data.get("phone"),
        "city": data.get("city"),
        "jobTitle": data.get("jobTitle"),
        "company": at(data, "company.name"),
    }
    if isinstance(name, str):
        found["name"] = name
    return {key: value for key, value in found.items() if value}


def _twenty_phone(phones: Values) -> str:
    number = as_text(phones.get("primaryPhoneNumber"))
    code = as_text(phones.get("primaryPhoneCallingCode"))
    return f"{code}{number}" if number and code and not number.startswith("+") else number


TWENTY: Final = Provider(
    name="twenty",
    looks_like=lambda values, headers: (
        "x-twenty-webhook-signature" in headers
        or ("." in as_text(values.get("event")) and "timestamp" in values and isinstance(values.get("data"), dict))
    ),
    proof=twenty,
    answers=_twenty_answers,
    map={"record": "external_id"},
    key=lambda values, _: (
        f"{values.get('event')} {id_} {values.get('timestamp')}"
        if (id_ := text_at(values, "data.id") or text_at(values, "record.id"))
        else ""
    ),
    type="event",
    kinds={
        "person.created": "contact.created",
        "person.updated": "contact.changed",
    },
    kind="event",
    at="timestamp",
    told=("data.id",),
)
_MAUTIC: Final = "mautic."


def _mautic_split(values: Values) -> list[Values]:
    """One for each thing that happened, of each trigger."""
    return [
        {name: each} for name, told in values.items() if name.startswith(_MAUTIC) for each in objects(_in_a_list(told))
    ]


def _in_a_list(value: Any) -> Any:  # noqa: ANN401 - a value of the payload
    return value if isinstance(value, list) else [value]


def _mautic_told(values: Values) -> tuple[str, Values]:
    parts = _mautic_split(values)
    name = next(iter(parts[0]), "") if parts else ""
    return name, members(parts[0][name]) if parts else {}


def _mautic_answers(values: Values) -> Values:
    """The contact's fields by their aliases; `fields` holds them in groups."""
    _, told = _mautic_told(values)
    contact = members(told.get("contact")) or members(told.get("lead"))
    fields = members(contact.get("fields"))
    groups = [members(fields.get(group)) for group in ("core", "social", "personal", "professional")]
    found = {name: at(field, "value") for group in groups for name, field in group.items()} | members(fields.get("all"))
    return {"contact": contact.get("id")} | {name: value for name, value in found.items() if value not in (None, "")}


def _mautic_judge(values: Values, understood: Understood) -> None:
    name, _ = _mautic_told(values)
    understood.kind = _MAUTIC_KINDS.get(name.removeprefix(_MAUTIC), understood.kind)


_MAUTIC_KINDS: Final = {
    "lead_post_save_new": "contact.created",
    "lead_post_save_update": "contact.changed",
    "form_on_submit": "form",
    "email_on_open": "email.open",
    "page_on_hit": "page",
}
MAUTIC: Final = Provider(
    name="mautic",
    looks_like=lambda values, _: any(name.startswith(_MAUTIC) for name in values),
    proof=token,
    split=_mautic_split,
    answers=_mautic_answers,
    map={"contact": "external_id"},
    kind="event",
    judge=_mautic_judge,
)

# -- what the readers of events know -----------------------------------------------------------------------------------


def _is_cloud_event(values: Values, headers: Headers) -> bool:
    return "ce-id" in headers or {"specversion", "id", "source", "type"} <= values.keys()


def _cloud_event_key(values: Values, headers: Headers) -> str:
    source, id_ = headers.get("ce-source") or values.get("source"), headers.get("ce-id") or values.get("id")
    return f"{source} {id_}" if source and id_ else ""


def _read_cloud_event(raw: Raw, source: Source) -> Understood:
    type_ = raw.content_type
    if "ce-id" not in raw.headers and not type_.startswith("application/cloudevents"):
        type_ = "application/cloudevents+json"
    return read_event(msgspec.structs.replace(raw, content_type=type_), source)


CLOUDEVENTS: Final = Provider(
    name="cloudevents",
    looks_like=_is_cloud_event,
    proof=token,
    key=_cloud_event_key,
    read=_read_cloud_event,
    kind="event",
)


def _is_call(values: Values, _: Headers) -> bool:
    calls = objects(values.get("batch")) or [values]
    return all(
        call.get("type") in CALLS and bool({"userId", "anonymousId", "messageId"} & call.keys()) for call in calls
    )


def _read_call(raw: Raw, source: Source) -> Understood:
    call = text_at(fields_of(raw).values, "type")
    told = msgspec.structs.replace(raw, headers=raw.headers | {CALL: call if call in CALLS else "track"})
    return read_event(told, source)


SEGMENT: Final = Provider(
    name="segment",
    looks_like=_is_call,
    proof=token,
    split=lambda values: objects(values.get("batch")) if "batch" in values else [values],
    key=("messageId",),
    read=_read_call,
    kind="event",
)

SYSTEMS: Final = (HUBSPOT_WEBHOOKS, CALENDLY, STRIPE, CLOUDEVENTS, SEGMENT, STANDARD_WEBHOOKS, TWENTY, MAUTIC)
