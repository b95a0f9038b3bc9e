"""Surveys in plain sentences, and what each of their keys means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from schema.journey import words
from schema.journey.phrases import said
from schema.journey.survey import Survey

KEYS: Final[dict[str, dict[str, str]]] = {
    "Survey": {
        "label": "What people call the survey.",
        "kind": "csat: how satisfied, 1 to 5. nps: would they recommend us, 0 to 10.",
        "event": "After this kind of touchpoint, or this happening here; of several, any of them.",
        "state": "After coming into this state.",
        "when": "Only if this holds when they are to be asked.",
        "after": "How long after that they are asked; without it at once.",
        "sample": "How many of a hundred are asked.",
        "cooldown": "Nobody is asked who was asked anything within this time.",
        "answer_within": "How long it can be answered; the latest answer counts.",
        "question": "What is asked, in the mail and on the page.",
        "template": "The mail that asks; it can name survey.question, survey.url, survey.answers (value, label, url).",
        "low": "An answer of so much or less opens a ticket.",
        "complaint": "The kind of ticket that a low answer opens.",
    },
}
_KINDS: Final = {"csat": "CSAT, 1 to 5", "nps": "NPS, 0 to 10"}


def title(name: str, survey: Survey) -> str:
    """What it is called, and when it is asked."""
    called = f"{survey.label} ({name})" if survey.label else name
    return f"{called} - {_KINDS[survey.kind]}, {moment(survey)}"


def moment(survey: Survey) -> str:
    """`2 hours after ticket.resolved, if …`."""
    after = f"{words.time(survey.after)} " if survey.after else ""
    what = f"a lead comes into {survey.state}" if survey.state else words.listing(survey.event, "or")
    return f"{after}after {what}" + (f", if {said(survey.when)}" if survey.when else "")


def lines(survey: Survey) -> Iterator[str]:
    """What is asked, of how many, and what follows."""
    yield f"“{survey.question}”, by the message {survey.template}."
    who = "Everybody is asked" if survey.sample == 100 else f"{survey.sample} in a hundred are asked"  # noqa: PLR2004
    yield f"{who}, nobody twice within {words.time(survey.cooldown)}."
    yield f"Answers count for {words.time(survey.answer_within)}."
    if survey.low is not None:
        yield f"An answer of {survey.low} or less opens a ticket: {survey.complaint}."


def summary(survey: Survey) -> str:
    """The whole of it in one sentence."""
    return " ".join([f"{_KINDS[survey.kind]}, {moment(survey)}:", *lines(survey)]).rstrip(".")
