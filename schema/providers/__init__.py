"""
Providers' webhooks: `read_hook` for a receipt of channel `hook`.

    adapter      what an adapter is, and what the adapters share
    signatures   how a delivery proves whose it is
    forms, ads, systems, mails   the adapters
    suggest      a mapping to suggest for what nobody knows

A payload becomes values by name (`answers`), and those a draft, by the source's `map`, the adapter's, and the usual
names. What is no provider's shape is read like a form; if it names nobody it waits in quarantine, with a mapping to
suggest. `throughline sources test` shows all of it for a file.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from schema import payload
from schema.draft import draft, kind_of, match_keys, moment, our_kind
from schema.journey import Source
from schema.mailing.reports import note_report
from schema.payload import Fields
from schema.providers.adapter import MAIL_LIMITS, Headers, Provider, Values, as_text, at, fields_of, nested, readable
from schema.providers.ads import ADS, has_answers
from schema.providers.forms import FORMS
from schema.providers.mails import MAILS, RFC822
from schema.providers.signatures import token
from schema.providers.suggest import suggested_map
from schema.providers.systems import SYSTEMS
from schema.understood import Raw, Understood

__all__ = [
    "FETCHED",
    "FETCH_PENDING",
    "KEPT_HEADERS",
    "PROVIDERS",
    "UNKNOWN",
    "Provider",
    "answers_of",
    "provider_of",
    "read_hook",
    "recognised",
    "values_of",
]

FETCHED: Final = "hook-fetched"
"""The header that says: the body is what was fetched, the receipt's own body only named it."""
FETCH_PENDING: Final = "fetch_pending"
KEPT_HEADERS: Final = ("content-encoding", "webhook-id", "webhook-signature", "x-twenty-webhook-signature")
"""Headers by which a shape is recognised or named; those that begin with `ce-` belong to them too."""
UNKNOWN: Final = Provider(
    name="", proof=token, answers=lambda values: readable(nested(values)), kind="form", limits=MAIL_LIMITS
)
"""Stands for whoever is none of the others."""
_IN_ORDER: Final = (*SYSTEMS, *ADS, *MAILS, *FORMS)
"""Those whose shape says most come first."""
PROVIDERS: Final = {provider.name: provider for provider in _IN_ORDER}
_KEPT_CHARACTERS: Final = 500


def provider_of(source: Source, values: Values | None, headers: Headers, content_type: str) -> Provider:
    """The provider of a delivery: the one the source names, else the one it looks like, else `UNKNOWN`."""
    return PROVIDERS[source.provider] if source.provider else recognised(values, headers, content_type)


def recognised(values: Values | None, headers: Headers, content_type: str) -> Provider:
    """The provider that a delivery looks like; `values` is None where the body could not be read."""
    if content_type.startswith("message/rfc822"):
        return RFC822
    if content_type.startswith("application/cloudevents") or "ce-id" in headers:
        return PROVIDERS["cloudevents"]
    if values is None:
        return UNKNOWN
    return next((provider for provider in _IN_ORDER if provider.looks_like(values, headers)), UNKNOWN)


def values_of(raw: Raw) -> Values | None:
    """The payload's values; None where there are none to read."""
    try:
        return fields_of(raw, MAIL_LIMITS).values
    except payload.Refused:
        return None


def answers_of(provider: Provider, values: Values) -> Values:
    """The values that a mapping names for this provider."""
    return provider.answers(values)


def read_hook(raw: Raw, source: Source) -> Understood:
    """
    What a provider's delivery says.

    :raises payload.Refused: it cannot be read; `fetch_pending`: it only names what is to be fetched
    """
    provider = provider_of(source, values_of(raw) if not source.provider else None, raw.headers, raw.content_type)
    if provider.read:
        return provider.read(raw, source)
    fields = fields_of(raw, provider.limits)
    values = fields.values
    if provider.fetch and FETCHED not in raw.headers and provider.fetch(values) and not has_answers(values):
        raise payload.Refused(409, FETCH_PENDING, "The answers have to be fetched.")
    answers = provider.answers(values)
    mapping = {**source.map, **{path: field for path, field in provider.map.items() if path not in source.map}}
    read = draft(Fields(answers, fields.issues), mapping, region=source.region)
    type_ = as_text(at(values, provider.type)) if provider.type else ""
    kinds = {**provider.kinds, **source.kinds}
    read.kind = our_kind(read.kind, kinds)
    kind = read.kind or kinds.get(type_) or (kind_of(type_) if type_ and not provider.kinds else None) or provider.kind
    understood = Understood(read, kind, _when(values, provider) or read.occurred_at)
    understood.data = _told(values, provider, type_)
    note_report(understood)
    if provider.judge:
        provider.judge(values, understood)
    if understood.outcome:
        return understood
    if type_ and kinds and type_ not in kinds:
        understood.outcome, understood.reason = "rejected", "ignored_unknown_type"
        understood.detail = {"type": payload.without_controls(type_)[:_KEPT_CHARACTERS]}
    else:
        _ask_for_a_mapping(understood, answers, provider, source)
    return understood


def _ask_for_a_mapping(understood: Understood, answers: Values, provider: Provider, source: Source) -> None:
    """Hold what names nobody, with the mapping that would probably do; a form's message goes on as any other does."""
    if understood.keys or match_keys(understood.draft, "hook"):
        return
    suggested = suggested_map(answers, source.region)
    if provider is UNKNOWN or {"email", "phone"} & set(suggested.values()):
        understood.outcome = "quarantined"
        understood.reason = "shape_unknown" if provider is UNKNOWN else "nothing_recognised"
        understood.detail = {"provider": provider.name or None, "suggested_map": suggested}


def _when(values: Values, provider: Provider) -> datetime | None:
    """When it happened, as the provider says; None where it does not."""
    return moment(at(values, provider.at))[0] if provider.at else None


def _told(values: Values, provider: Provider, type_: str) -> dict[str, Any]:
    """What the touchpoint keeps: whose it is, what happened in its words, and what else is told of it."""
    kept = {path.rpartition(".")[2]: at(values, path) for path in provider.told}
    properties = {
        name: value[:_KEPT_CHARACTERS] if isinstance(value, str) else value
        for name, value in kept.items()
        if isinstance(value, str | int | float | bool)
    }
    told: dict[str, Any] = {"provider": provider.name} if provider.name else {}
    if type_:
        told["type"] = payload.without_controls(type_)[:_KEPT_CHARACTERS]
    return told | ({"properties": properties} if properties else {})
