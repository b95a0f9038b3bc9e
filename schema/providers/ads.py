"""Adapters of advertising platforms. Meta and LinkedIn only send ids; the answers are fetched (`services/fetch`)."""

from __future__ import annotations

import re
from typing import Any, Final

from schema.providers.adapter import (
    Headers,
    Provider,
    Values,
    as_text,
    at,
    by_name,
    members,
    objects,
    put,
)
from schema.providers.signatures import in_body, signed, signed_either
from schema.understood import Understood

ERASURE: Final = "erasure.requested"
"""The kind of a touchpoint by which a provider says that somebody wants to be forgotten."""


def erasure(understood: Understood) -> None:
    """Tell it of somebody known; of anybody else a person has to look at it."""
    understood.kind, understood.only_known = ERASURE, True
    understood.outcome, understood.reason = "quarantined", "erasure_requested"


# -- Meta --------------------------------------------------------------------------------------------------------------


def _meta_split(values: Values) -> list[Values]:
    """One notice for each lead."""
    return [
        {**values, "entry": [{**entry, "changes": [change]}]}
        for entry in objects(values.get("entry"))
        for change in objects(entry.get("changes"))
    ]


def _meta_change(values: Values) -> Values:
    entries = objects(values.get("entry"))
    changes = objects(entries[0].get("changes")) if entries else []
    return members(changes[0].get("value")) if changes and changes[0].get("field") == "leadgen" else {}


_META_ID: Final = re.compile(r"[0-9]{1,30}\Z", re.ASCII)


def _meta_id(values: Values) -> str:
    found = as_text(_meta_change(values).get("leadgen_id"))
    return found if _META_ID.match(found) else ""


def _meta_answers(values: Values) -> Values:
    given = by_name(values.get("field_data")) or {}
    shown = {name: values[name] for name in ("ad_id", "form_id", "campaign_id") if values.get(name)}
    return {name: value for name, value in given.items() if value not in (None, "")} | {"attribution": shown}


META_LEAD_ADS: Final = Provider(
    name="meta_lead_ads",
    looks_like=lambda values, _: (
        as_text(values.get("object")) in {"page", "instagram"} and isinstance(values.get("entry"), list)
    ),
    proof=signed("x-hub-signature-256", "sha256="),
    split=_meta_split,
    key=lambda values, _: _meta_id(values),
    fetch=_meta_id,
    answers=_meta_answers,
    at="created_time",
    told=("id", "form_id", "ad_id"),
)

# -- LinkedIn ----------------------------------------------------------------------------------------------------------

_RESPONSE: Final = re.compile(r"urn:li:leadGenFormResponse:([A-Za-z0-9_-]{1,100})\Z", re.ASCII)
DELETED: Final = "DELETED"


def _linkedin_id(values: Values) -> str:
    found = _RESPONSE.match(as_text(values.get("leadGenFormResponse")))
    return found[1] if found else ""


def _linkedin_key(values: Values, _: Headers) -> str:
    return linkedin_key(_linkedin_id(values), as_text(values.get("leadAction")))


def linkedin_key(response: str, action: str) -> str:
    """What makes a notice the same: which answers, and what became of them."""
    return f"{response} {action}" if response else ""


def _linkedin_answers(values: Values) -> Values:
    """The answers by the id of their question, which the mapping names; the id of the whole, to find it again."""
    found: Values = {"response": values.get("id") or _linkedin_id(values)}
    for answer in objects(at(values, "formResponse.answers")):
        details = members(answer.get("answerDetails"))
        put(found, as_text(answer.get("name")) or as_text(answer.get("questionId")), _linkedin_value(details))
    for consent in objects(at(values, "formResponse.consentResponses")):
        found[f"consent.{as_text(consent.get('consentId'))}"] = consent.get("accepted")
    campaign = at(values, "leadMetadata.sponsoredLeadMetadata.campaign")
    return found | ({"attribution": {"campaign": campaign}} if campaign else {})


def _linkedin_value(details: Values) -> Any:  # noqa: ANN401 - whatever was answered
    text = at(details, "textQuestionAnswer.answer")
    return text if text is not None else at(details, "multipleChoiceAnswer.options")


def _linkedin_judge(values: Values, understood: Understood) -> None:
    understood.test = values.get("testLead") is True
    if values.get("leadAction") == DELETED:
        erasure(understood)


LINKEDIN_LEAD_SYNC: Final = Provider(
    name="linkedin_lead_sync",
    looks_like=lambda values, _: values.get("type") == "LEAD_ACTION" or "leadGenFormResponse" in values,
    proof=signed_either(
        signed("x-li-signature", before=b"hmacsha256="), signed("x-li-signature", "hmacsha256=", before=b"hmacsha256=")
    ),
    key=_linkedin_key,
    fetch=lambda values: "" if values.get("leadAction") == DELETED else _linkedin_id(values),
    answers=_linkedin_answers,
    map={"response": "external_id"},
    at="submittedAt",
    told=("id", "leadType", "versionedLeadGenFormUrn"),
    judge=_linkedin_judge,
)

# -- Google ------------------------------------------------------------------------------------------------------------

_GOOGLE_ORIGINS: Final = ("campaign_id", "adgroup_id", "creative_id", "form_id")


def _google_answers(values: Values) -> Values:
    shown = {name: values[name] for name in _GOOGLE_ORIGINS if values.get(name)}
    click = {"gclid": values["gcl_id"]} if values.get("gcl_id") else {}
    return (by_name(values.get("user_column_data")) or {}) | {"attribution": shown | click}


def _google_judge(values: Values, understood: Understood) -> None:
    understood.test = values.get("is_test") is True


GOOGLE_LEAD_FORM: Final = Provider(
    name="google_lead_form",
    looks_like=lambda values, _: isinstance(values.get("user_column_data"), list),
    proof=in_body("google_key"),
    answers=_google_answers,
    map={"WORK_PHONE": "phone"},
    key=("lead_id",),
    told=("lead_id", "form_id", "campaign_id"),
    judge=_google_judge,
    hidden=("google_key",),
)

ADS: Final = (META_LEAD_ADS, LINKEDIN_LEAD_SYNC, GOOGLE_LEAD_FORM)


def deletion_key(provider: str, id_: str) -> str:
    """The key under which a provider would have told that these answers are deleted; empty where it never says so."""
    return linkedin_key(id_, DELETED) if provider == LINKEDIN_LEAD_SYNC.name else ""


def has_answers(values: Values) -> bool:
    """Whether a fetched body holds answers at all."""
    return isinstance(values.get("field_data"), list) or isinstance(at(values, "formResponse.answers"), list)


__all__ = ["ADS", "ERASURE", "deletion_key", "erasure", "has_answers"]
