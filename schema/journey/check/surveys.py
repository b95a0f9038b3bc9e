"""Surveys: states, events, messages and kinds of tickets that are there, and somebody they are from."""

from __future__ import annotations

from collections.abc import Iterator

from schema.journey.check.finding import Finding, View, warning
from schema.journey.document import Path
from schema.journey.fields import nearest
from schema.journey.follow_up import HAPPENS
from schema.journey.survey import Survey

_OURS = {kind.partition(".")[0] for kind in HAPPENS}


def names(view: View) -> Iterator[Finding]:
    """States, messages and kinds of tickets that are not there, and events of ours that never happen."""
    journey = view.journey
    kinds = list(journey.service.kinds) if journey.service else []
    for path, survey in _surveys(view):
        if survey.state and survey.state not in journey.lifecycle:
            yield _missing((*path, "state"), f"there is no state {survey.state}", survey.state, list(journey.lifecycle))
        if survey.template not in journey.templates:
            message = f"there is no template {survey.template}"
            yield _missing((*path, "template"), message, survey.template, list(journey.templates))
        if survey.complaint and survey.complaint not in kinds:
            message = f"there is no kind of ticket {survey.complaint}"
            yield _missing((*path, "complaint"), message, survey.complaint, kinds)
        for at, event in enumerate(survey.event):
            if event.partition(".")[0] in _OURS and event not in HAPPENS:
                where = (*path, "event", at) if len(survey.event) > 1 else (*path, "event")
                known = nearest(event, list(HAPPENS)) or f"; there are {', '.join(HAPPENS)}"
                yield warning(where, f"nothing here is called {event}{known}")


def asking(view: View) -> Iterator[Finding]:
    """Surveys that nobody is there to send, or that are asked about what is new long after it was."""
    for path, survey in _surveys(view):
        if view.journey.mail is None:
            yield Finding(path, "nobody is there to ask: add `mail` with a `sender`")
        if survey.when is not None and any(name.startswith("touchpoint.kind") for name in survey.when.paths):
            at = min(place for name, place in survey.when.places.items() if name.startswith("touchpoint.kind"))
            message = "nothing is new any more when somebody is to be asked: name what they did in `event`"
            yield warning((*path, "when"), message, at=at)


def links(view: View) -> Iterator[Finding]:
    """Messages of surveys that nobody could answer."""
    for path, survey in _surveys(view):
        template = view.journey.templates.get(survey.template)
        parts = (template.text, template.html or "") if template else ()
        if template and not any("survey.answers" in part or "survey.url" in part for part in parts):
            message = "this message has no link to answer by: write {{ survey.url }}, or go through survey.answers"
            yield Finding((*path, "template"), message)


def _surveys(view: View) -> Iterator[tuple[Path, Survey]]:
    for name, survey in view.journey.surveys.items():
        yield ("surveys", name), survey


def _missing(path: Path, message: str, wrong: str, known: list[str]) -> Finding:
    there = f"; there are {', '.join(known[:8])}" if known else "; there are none"
    return Finding(path, message + (nearest(wrong, known) or there))
