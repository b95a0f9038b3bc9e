"""Figures as values: the days they are counted by, the segments that they tell apart, and what they are to come to."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from schema.journey.fields import nearest
from schema.journey.parts import Code, FieldName, Part, Question, Zone
from schema.journey.target import Target

PLAIN: Final = ("source", "channel", "person.country", "person.language")
"""Fields that a segment can be."""
GROUPS: Final = ("person.custom", "person.preferences", "lead.attribution")
"""Maps below which every field can be one."""


def _segment(name: str) -> str:
    parent, _, inner = name.rpartition(".")
    while parent and parent not in GROUPS:
        parent, _, rest = parent.rpartition(".")
        inner = f"{rest}.{inner}"
    if name in PLAIN or (parent and inner.strip(".")):
        return name
    known = [*PLAIN, *(f"{group}.…" for group in GROUPS)]
    raise ValueError(f"a segment cannot be this field{nearest(name, known)}; it can be {', '.join(known)}")


class Kpis(Part):
    """
    How figures are counted. A day begins at midnight in `tz`.

    What `segment` a lead is of is said when it begins, and again when more is known of it: the first of `segments`
    whose question holds, else what the field `segment` says. That is to be a code; of an address or a sentence there is
    no segment. `campaign` is what of its first touchpoint's attribution names the advertising campaign.

    `targets` say what figures are to come to; that one is missed is told as an event, once, and when it is met again.
    """

    tz: Zone = "UTC"
    segment: Annotated[str, Field(max_length=200), AfterValidator(_segment)] | None = None
    segments: Annotated[dict[Code, Question], Field(max_length=100)] = {}
    campaign: FieldName = "utm_campaign"
    targets: Annotated[dict[Code, Target], Field(max_length=100)] = {}
