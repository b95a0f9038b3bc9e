"""
The journey language: one YAML file says how leads travel.

`default.yaml` is the journey that a new installation follows and, with `solar.yaml`, the place to learn the language;
`model` says what each key means, `expressions` what a `when` can ask, `fields` what it can ask about, `check` what is
refused, `show` and `diff` put a journey and what changes in it into words.
"""

from __future__ import annotations

from schema.journey.document import Problem
from schema.journey.expressions import Answer, Expression, ExpressionInvalid, Unknown, View
from schema.journey.load import JourneyInvalid, default_journey, default_text, load, load_stored, review, shipped
from schema.journey.model import Journey
from schema.journey.published import json_schema
from schema.journey.source import Source

__all__ = [
    "Answer",
    "Expression",
    "ExpressionInvalid",
    "Journey",
    "JourneyInvalid",
    "Problem",
    "Source",
    "Unknown",
    "View",
    "default_journey",
    "default_text",
    "json_schema",
    "load",
    "load_stored",
    "review",
    "shipped",
]
