"""
The journey language: one YAML file says how leads travel.

`default.yaml` is the journey that is shipped and the place to learn the language; `model` says what each key means,
`expressions` what a `when` can ask, `fields` what it can ask about, `check` what is refused.
"""

from __future__ import annotations

from schema.journey.document import Problem
from schema.journey.expressions import Answer, Expression, ExpressionInvalid, Unknown, View
from schema.journey.load import JourneyInvalid, default_journey, default_text, load
from schema.journey.model import Journey, Source

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
    "load",
]
