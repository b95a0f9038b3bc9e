"""Surveys as values: who is asked how satisfied they are, when, how often, and what a low answer leads to."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, StrictInt, model_validator

from schema.journey.parts import Code, Duration, Name, Part, Question, Text, TouchKind, in_a_list

SCALES: Final[dict[str, tuple[int, int]]] = {"csat": (1, 5), "nps": (0, 10)}
"""The least and the most that can be answered."""


class Survey(Part):
    """
    A question to a customer: `csat` (1 to 5, how satisfied with this) or `nps` (0 to 10, would they recommend us).

    It is asked `after` an `event` (a kind of touchpoint, or something that happens here, such as `ticket.resolved`) or
    after the lead came into a `state`. Of those whose turn it is `sample` per cent are asked, if `when` holds at the
    moment of asking; nobody twice within `cooldown` by whichever survey, and not at all when the ticket was opened
    again meanwhile, or the lead has come to another final state. The mail is made of `template`; until
    `answer_within` is over the latest answer counts. One of `low` or less opens a ticket of the kind `complaint`.
    """

    label: Text | None = None
    kind: Literal["csat", "nps"]
    event: Annotated[tuple[TouchKind, ...], BeforeValidator(in_a_list, TouchKind | tuple[TouchKind, ...])] = ()
    state: Code | None = None
    when: Question | None = None
    after: Duration | None = None
    sample: Annotated[StrictInt, Field(ge=1, le=100)] = 100
    cooldown: Duration = timedelta(days=14)
    answer_within: Duration = timedelta(days=30)
    question: Text
    template: Name
    low: Annotated[StrictInt, Field(ge=0, le=9)] | None = None
    complaint: Code | None = None

    @model_validator(mode="after")
    def _set_off(self) -> Survey:
        if (self.state is None) == (not self.event):
            raise ValueError("give either `state` or `event`: after what it is asked")
        if any(kind.startswith("survey.") for kind in self.event):
            raise ValueError("a survey is not set off by surveys: name what the customer is asked about")
        if (self.low is None) != (self.complaint is None):
            raise ValueError("`low` and `complaint` belong together: which answers open a ticket of which kind")
        least, most = self.scale
        if self.low is not None and not least <= self.low < most:
            raise ValueError(f"`low` is one of {least} to {most - 1}: not every answer is a complaint")
        return self

    @property
    def scale(self) -> tuple[int, int]:
        """The least and the most that can be answered."""
        return SCALES[self.kind]
