"""
The JSON Schema of the language, with which editors complete and check a journey file while it is written.

It is made from the model, so that it says what `load` does; what JSON Schema cannot say (names that have to exist,
expressions, the checks across the whole) it lets through. Whatever `load` accepts is valid.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from schema.journey.campaign import ACTIONS
from schema.journey.keys import KEYS
from schema.journey.model import Journey
from schema.journey.parts import DAYS
from schema.journey.service import METRICS
from schema.messages import STEPS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_AUTOMATIC: Final = {"const": "automatic"}
_TOGETHER: Final[dict[str, JsonSchemaValue]] = {
    "Capacity": {"dependentRequired": {"max": ["per"], "per": ["max"]}},
    "TouchPoints": {"dependentRequired": {"per": ["max"]}},
    "Person": {"not": {"required": ["hours", "calendar"]}},
    "Mail": {"not": {"required": ["hours", "calendar"]}},
    "Exit": {"oneOf": [{"required": ["when"]}, {"required": ["event"]}]},
    "Step": {
        "oneOf": [{"required": [action]} for action in ACTIONS],
        "dependentRequired": {
            "capped": ["send"],
            "wait_until": ["timeout"],
            "timeout": ["wait_until"],
            "otherwise": ["wait_until"],
        },
    },
    "Sla": {
        "not": {"required": ["hours", "calendar"]},
        "anyOf": [{"required": [metric]} for metric in METRICS],
    },
    "Escalation": {"dependentRequired": {"assign": ["to"]}},
    "FollowUpRule": {
        "not": {"required": ["hours", "calendar"]},
        "oneOf": [{"required": ["state"]}, {"required": ["event"]}],
    },
    "Survey": {
        "oneOf": [{"required": ["state"]}, {"required": ["event"]}],
        "dependentRequired": {"low": ["complaint"], "complaint": ["low"]},
    },
    "Pool": {"not": {"required": ["hours", "calendar"]}},
    "Criterion": {
        "oneOf": [{"required": ["require"]}, {"required": ["reject"]}],
        "if": {"properties": {"unknown": {"enum": ["pass", "fail"]}}, "required": ["unknown"]},
        "then": {"properties": {"question": False, "within": False}},
    },
    "Transition": {
        "if": {"properties": {"trigger": _AUTOMATIC}, "required": ["trigger"]},
        "then": {"anyOf": [{"required": ["when"]}, {"required": ["after"]}]},
        "dependentSchemas": {"after": {"properties": {"trigger": _AUTOMATIC}}},
    },
}
"""What keys of one part say about each other, as the model's validators have it."""


def json_schema() -> JsonSchemaValue:
    """The schema, draft 2020-12, as a new dict."""
    schema = Journey.model_json_schema(schema_generator=_Generator)
    parts: dict[str, JsonSchemaValue] = schema["$defs"]
    for name, part in [*parts.items(), ("Journey", schema)]:
        for key, words in KEYS.get(name, {}).items():
            part["properties"][key]["description"] = words
        part.update(_TOGETHER.get(name, {}))
    days = parts["Calendar"].pop("additionalProperties")
    parts["Calendar"] |= {"patternProperties": {DAYS: days}}
    _close(schema)
    schema["properties"]["steps"] |= {"items": {"enum": list(STEPS[1:])}, "uniqueItems": True}
    return {"$schema": DIALECT, **schema, "title": "Throughline journey"}


def _close(node: object) -> None:
    """Where keys have to look in a certain way, others are refused."""
    if isinstance(node, dict):
        if "patternProperties" in node:
            node["additionalProperties"] = False
        for inner in node.values():
            _close(inner)
    elif isinstance(node, list):
        for inner in node:
            _close(inner)


class _Generator(GenerateJsonSchema):
    """Pydantic's own, for a file: no nulls, durations as they are written, and only defaults that are one word."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        default = _written(schema.get("default"))
        return inner if default is None else {**inner, "default": default}

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's own signature
        return False


def _written(default: object) -> bool | int | str | None:
    """A default as somebody would write it; None for what is more than one word."""
    if isinstance(default, timedelta):
        seconds = int(default.total_seconds())
        size, unit = next((size, unit) for size, unit in _SIZES if seconds % size == 0)
        return f"{seconds // size}{unit}"
    return default if isinstance(default, bool | int) or (isinstance(default, str) and default) else None


_SIZES: Final = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
