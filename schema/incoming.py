"""
Events that come in: CloudEvents 1.0, and calls in the Segment dialect.

    reads   one event: an envelope (structured), or headers and data (binary), or a call (`track`, `identify`, …)
    gives   the person its data speaks of, what happened (the touchpoint's kind), and when

Paths of a source's `map` start at the envelope (`data.account.email`, `traits.email`). What happened is named by the
source's `kinds`; without them every type is a kind of its own. Nobody is recognised by a cookie: an `anonymousId` is
kept with the touchpoint and finds nobody.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from schema import payload
from schema.draft import Draft, draft, kind_of, moment, our_kind
from schema.journey import Source
from schema.mailing.reports import note_report
from schema.payload import JSON, Fields
from schema.understood import Raw, Understood

CLOUD_EVENT: Final = "application/cloudevents+json"
_CLOUD_EVENTS: Final = "application/cloudevents"
CALL: Final = "segment-call"
"""The header under which a receipt keeps which call of the Segment dialect it was."""
CALLS: Final = ("track", "identify", "page", "screen", "group", "alias")
_ATTRIBUTES: Final = ("id", "source", "specversion", "type")
"""What every CloudEvent has to have."""
_LONGEST_ATTRIBUTE: Final = 1000
_KEPT_CHARACTERS: Final = 2000
_KEPT_PROPERTIES: Final = 50


class CloudEvent(msgspec.Struct, frozen=True):
    """One event's envelope, its required attributes present; `data` is what it carries, None when it is not JSON."""

    id: str
    source: str
    type: str
    time: str | None
    subject: str | None
    data: JSON


def cloud_event(body: bytes, content_type: str, headers: Mapping[str, str]) -> CloudEvent:
    """
    Read one CloudEvent: binary when its headers say so (`ce-id`, …; names in lower case), else structured.

    :raises payload.Refused: `cloudevents_attribute` with its pointer, or as `payload.decode`
    """
    if "ce-specversion" in headers or "ce-id" in headers:
        if content_type.lower().startswith(_CLOUD_EVENTS):
            raise payload.Refused(400, "cloudevents_mode", "The event is sent in both modes at once.")
        named = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
        return _event(named, _data(body, content_type))
    fields = payload.decode(body, content_type, mode=payload.Mode.LENIENT).values
    return _event(fields, _structured_data(fields))


def event_or_fields(body: bytes, content_type: str, headers: Mapping[str, str]) -> CloudEvent | Fields:
    """
    Read a CloudEvent in whatever mode, or the fields of a message that does not say to be one.

    :raises payload.Refused: as `cloud_event`
    """
    if content_type.lower().startswith(_CLOUD_EVENTS) or any(name.startswith("ce-") for name in headers):
        return cloud_event(body, content_type, headers)
    fields = payload.decode(body, content_type, mode=payload.Mode.LENIENT)
    if "specversion" in fields.values:
        return _event(fields.values, _structured_data(fields.values))
    return fields


def _event(fields: Mapping[str, Any], data: JSON) -> CloudEvent:
    for name in _ATTRIBUTES:
        value = fields.get(name)
        if not isinstance(value, str) or not value or len(value) > _LONGEST_ATTRIBUTE:
            raise payload.Refused(400, "cloudevents_attribute", f"`{name}` has to be a text.", f"/{name}")
    if fields["specversion"] != "1.0":
        raise payload.Refused(400, "cloudevents_attribute", "This version of CloudEvents is not read.", "/specversion")
    time, subject = fields.get("time"), fields.get("subject")
    return CloudEvent(
        fields["id"],
        fields["source"],
        fields["type"],
        time if isinstance(time, str) else None,
        subject if isinstance(subject, str) else None,
        data,
    )


def _data(body: bytes, content_type: str) -> JSON:
    """What a binary event carries; anything that is not JSON is kept raw and says nothing about a person."""
    if not body.strip():
        return None
    media = content_type.partition(";")[0].strip().lower()
    if media and media != "application/json" and not media.endswith("+json"):
        return None
    try:
        return payload.decode(body, content_type or "application/json", mode=payload.Mode.LENIENT).values
    except payload.Refused as refused:
        if refused.code != "object_expected":
            raise
        return None  # a number or a list is JSON too


def _structured_data(fields: Mapping[str, Any]) -> JSON:
    if "data_base64" not in fields:
        return fields.get("data")
    if "data" in fields:
        raise payload.Refused(400, "cloudevents_attribute", "`data` and `data_base64` exclude each other.", "/data")
    encoded, kind = fields["data_base64"], fields.get("datacontenttype")
    try:
        data = base64.b64decode(encoded, validate=True)
    except (TypeError, ValueError):
        detail = "`data_base64` is no base64."
        raise payload.Refused(400, "cloudevents_attribute", detail, "/data_base64") from None
    return _data(data, kind) if isinstance(kind, str) and kind else None


def read_event(raw: Raw, source: Source) -> Understood:
    """What an event says; a type that the source's `kinds` do not name is not taken."""
    if call := raw.headers.get(CALL):
        return _call(call, raw, source)
    found = event_or_fields(raw.body, raw.content_type, raw.headers)
    if isinstance(found, CloudEvent):
        envelope = {"type": found.type, "source": found.source, "subject": found.subject, "time": found.time}
        read = _draft({name: value for name, value in envelope.items() if value} | {"data": found.data}, source)
        return _told(read, found.type, _moment(found.time), {"event": found.id, "type": found.type}, source)
    fields = found
    kind = fields.values.pop("type", None) or fields.values.pop("event", None)
    read = draft(fields, source.map, region=source.region)
    return _told(read, kind if isinstance(kind, str) else "event", read.occurred_at, {}, source)


def _draft(envelope: Mapping[str, Any], source: Source) -> Draft:
    """Read the data by its names; of the envelope only what the mapping asks for."""
    asked = {path.partition(".")[0] for path in source.map}
    values = {name: value for name, value in envelope.items() if name in asked or name == "data"}
    return draft(Fields(values, []), source.map, region=source.region)


def _told(read: Draft, type_: str, at: datetime | None, data: dict[str, Any], source: Source) -> Understood:
    if source.kinds and type_ not in source.kinds:
        return Understood(
            read, "event", outcome="rejected", reason="ignored_unknown_type", detail={"type": type_[:200]}
        )
    read.kind = our_kind(read.kind, source.kinds)
    kind = read.kind or source.kinds.get(type_) or kind_of(type_) or "event"
    understood = Understood(read, kind, at or read.occurred_at, data=data | _carried(read))
    note_report(understood)
    return understood


def _carried(read: Draft) -> dict[str, Any]:
    """What a touchpoint keeps of its event's own properties, so that rules and figures can ask for them."""
    kept = {
        name: value[:_KEPT_CHARACTERS] if isinstance(value, str) else value
        for name, value in list(read.custom.items())[:_KEPT_PROPERTIES]
        if isinstance(value, str | int | float | bool)
    }
    return {"properties": kept} if kept else {}


# -- the Segment dialect -----------------------------------------------------------------------------------------------

_PERSON_PARTS: Final = {"identify": ("traits",), "group": (), "alias": ()}
_USUAL_PARTS: Final = ("properties", "traits")


def _call(call: str, raw: Raw, source: Source) -> Understood:
    fields = payload.decode(raw.body, "application/json", mode=payload.Mode.LENIENT)
    values = fields.values
    if call == "alias":
        return Understood(Draft(), "alias", outcome="rejected", reason="ignored_call", detail={"call": call})
    context = values.get("context")
    traits = context.get("traits") if isinstance(context, dict) else None
    named = {name: values.get(name) for name in _PERSON_PARTS.get(call, _USUAL_PARTS)}
    parts = {name: part for name, part in named.items() if isinstance(part, dict)}
    mapped = source.map if "userId" in source.map else {"userId": "external_id"} | source.map
    spoken: dict[str, Any] = {**parts, "userId": _id(values.get("userId"))}
    if isinstance(traits, dict):
        spoken["traits"] = {**traits, **parts.get("traits", {})}
    if call == "group" and isinstance(group := values.get("traits"), dict):
        spoken["company"] = group.get("name")
        spoken["employees"] = group.get("employees")
        spoken["website"] = group.get("website")
    read = draft(Fields({name: value for name, value in spoken.items() if value}, []), mapped, region=source.region)
    data: dict[str, Any] = {"call": call}
    if isinstance(anonymous := values.get("anonymousId"), str):
        data["anonymous_id"] = anonymous[:200]
    return _told(read, _happening(call, values), _moment(values.get("timestamp")), data, source)


def _id(value: JSON) -> str | None:
    """A user's id, which some senders write as a number."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def _happening(call: str, values: Mapping[str, Any]) -> str:
    """What happened, in the sender's words: the event's name, or `page.pricing` for a look at a page."""
    name = values.get("event") if call == "track" else values.get("name")
    if not isinstance(name, str) or not name.strip():
        return call
    return name if call == "track" else f"{call}.{name}"


def _moment(value: JSON) -> datetime | None:
    """A moment that is written as text; None for anything else."""
    return moment(value)[0] if isinstance(value, str) else None
