"""
The words of a difference between two journeys: how every key is called, and what a value is in a sentence.

`told` says one difference, `plain` is a value as JSON has it; which differences there are, `diff` finds out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, Literal

from pydantic import BaseModel

from schema.journey import campaign_words, contract_words, follow_up_words, kpi_words, sla_words, survey_words, words
from schema.journey.campaign import Audience, Cap, Enter, Exit, FollowUp, Step
from schema.journey.contract import HealthRule
from schema.journey.expressions import Expression
from schema.journey.follow_up import Escalate, FollowUpRule
from schema.journey.model import Again, Capacity, Criterion, FitRule, Transition
from schema.journey.parts import Calendar
from schema.journey.phrases import said
from schema.journey.service import Escalation
from schema.journey.survey import Survey
from schema.journey.target import Target

Kind = Literal["added", "removed", "changed", "moved"]
Path = tuple[str, ...]

_FORMS: Final[dict[Path, tuple[str, str, str]]] = {
    ("lifecycle", "*", "to", "*"): (
        "State {0}: a new way to {after}, by {1}",
        "State {0}: no way to {before} by {1} any more",
        "State {0}: {1} leads to {before} -> {after}",
    ),
    ("sources", "*", "map", "*"): (
        "Source {0}: reads {1} as {after}",
        "Source {0}: no longer reads {1} as {before}",
        "Source {0}: reads {1} as {before} -> {after}",
    ),
    ("follow_ups", "*", "to"): (
        "Follow-up {0}: for {after}",
        "Follow-up {0}: for nobody named, it was for {before}",
        "Follow-up {0}: for {before} -> {after}",
    ),
    ("score", "grades", "*"): (
        "Grade {0} is new, from {after}",
        "Grade {0} is gone, it was from {before}",
        "Grade {0} from {before} -> {after}",
    ),
    ("score", "grid", "*", "*"): (
        "Grid: {0} {1} is new, from {after}",
        "Grid: {0} {1} is gone, it was from {before}",
        "Grid: {0} {1} from {before} -> {after}",
    ),
}
"""How single values are told when they are added, removed or changed."""
_SUBJECTS: Final[dict[Path, str]] = {
    ("route", "pools", "*"): "Pool {0}",
    ("score", "engagement", "on", "*"): "Engagement by {0}",
    ("score", "fit", "*"): "Fit rule “{0}”",
    ("score", "groups", "*"): "Group {0}",
    ("score", "engagement"): "Engagement",
    ("score", "machines"): "Scanners",
    ("score", "grid"): "Grid",
    ("sources", "*"): "Source {0}",
    ("qualify", "*"): "Criterion {0}",
    ("identity",): "Identity",
    ("requalify", "*"): "After a no for {0}",
    ("people", "*"): "Person {0}",
    ("calendars", "*"): "Calendar {0}",
    ("lists", "*"): "List {0}",
    ("lifecycle", "*"): "State {0}",
    ("transitions", "*"): "Transition {0}",
    ("templates", "*", "languages", "*"): "Template {0} in {1}",
    ("templates", "*"): "Template {0}",
    ("follow_ups", "*"): "Follow-up {0}",
    ("campaigns", "*", "steps", "*"): "Campaign {0}, step “{1}”",
    ("campaigns", "*"): "Campaign {0}",
    ("pipelines", "*", "stages", "*"): "Pipeline {0}, stage {1}",
    ("pipelines", "*"): "Pipeline {0}",
    ("health", "rules", "*"): "Health rule “{0}”",
    ("health",): "Health",
    ("contracts",): "Contracts",
    ("offers", "*"): "Offer {0}",
    ("service", "slas", "*"): "SLA {0}",
    ("service", "desks", "*"): "Desk {0}",
    ("service", "kinds", "*"): "Kind of ticket {0}",
    ("service", "opens"): "What opens tickets",
    ("service",): "Service",
    ("surveys", "*"): "Survey {0}",
    ("kpis", "segments", "*"): "Segment {0}",
    ("kpis", "targets", "*"): "Target {0}",
    ("kpis",): "Figures",
    ("mail",): "Mail",
    ("route",): "Routing",
    ("score",): "Score",
    (): "Journey",
}
"""Who or what a path is about: the first that its beginning fits."""
FIELDS: Final = {
    "accept_within": "to be accepted within",
    "address": "address",
    "after": "after",
    "after_send": "not sooner after a message than",
    "again": "entered again",
    "answer_within": "answered within",
    "assign": "becomes theirs",
    "assume": "zones of unknown people",
    "at": "at per cent of the time",
    "at_least": "at least",
    "at_most": "at most",
    "at_risk": "at risk from",
    "audience": "audience",
    "authority": "believed mail server",
    "before": "before",
    "branch": "ways",
    "burst": "how many at once are a scanner's",
    "calendar": "calendar",
    "calendars": "calendars",
    "campaign": "campaign",
    "campaigns": "campaigns",
    "cap": "at most",
    "capacity": "capacity",
    "capped": "when there was enough mail",
    "caps": "caps",
    "clicks": "notices clicks",
    "close_after": "closed after",
    "complaint": "opens a ticket of the kind",
    "consent": "leave asked for",
    "contracts": "contracts",
    "cooldown": "nobody who was asked within",
    "cost": "cost",
    "currency": "currency",
    "date": "on the day of",
    "days": "open",
    "dedupe": "the same again",
    "department": "department",
    "departments": "departments",
    "description": "description",
    "desks": "desks",
    "digest": "mail with what is due at",
    "double_opt_in": "confirmed by mail",
    "email": "e-mail address",
    "enabled": "switched on",
    "engagement": "engagement",
    "enter": "who enters",
    "escalate": "who is told of time that is over",
    "escalate_to": "escalated to",
    "event": "on",
    "exit": "what ends it",
    "expect": "expected",
    "fields": "fields",
    "final": "final",
    "first_response": "first answer within",
    "fit": "fit",
    "fits": "only to members for whom",
    "fixed": "once",
    "floor": "at least",
    "follow_up": "task",
    "follow_ups": "follow-ups",
    "go": "to",
    "goal": "goal",
    "grace": "can be renewed after its end for",
    "grades": "grades",
    "grid": "grid",
    "group": "group",
    "groups": "groups",
    "half_life": "halves every",
    "hand_on": "times it is handed on",
    "health": "health",
    "help": "help",
    "hold": "held from this many points",
    "holdout": "per cent held out",
    "holidays": "closed on",
    "hours": "hours",
    "html": "page of its own",
    "identity": "identity",
    "inactive_after": "inactive after",
    "journey": "name",
    "kind": "kind",
    "kinds": "kinds",
    "kpi": "figure",
    "kpis": "measured by",
    "label": "label",
    "language": "language",
    "languages": "in other languages",
    "late": "at the latest",
    "lifecycle": "states",
    "lists": "lists",
    "lost": "when the last one is lost, by",
    "low": "a complaint from this answer down",
    "machines": "scanners",
    "mail": "mail",
    "map": "mapping",
    "max": "at most this many",
    "members": "members",
    "merge": "merged by",
    "most": "times at most",
    "name": "name",
    "needed": "judged from",
    "news": "when heard of again",
    "next_response": "next answer within",
    "notify": "tells",
    "of": "of",
    "offers": "offers",
    "on": "points",
    "open": "leads at once",
    "opens": "notices opening",
    "options": "choices",
    "origins": "sites that may post",
    "otherwise": "without an answer",
    "outcome": "counts as",
    "outcomes": "comes to one of",
    "over": "over the latest",
    "pauses": "stands still while",
    "people": "people",
    "per": "within any",
    "per_send": "for each message",
    "percentile": "for so many of a hundred",
    "pipeline": "pipeline",
    "pipelines": "pipelines",
    "points": "points",
    "pools": "pools",
    "postal": "postal address",
    "preview": "preview",
    "priority": "priority",
    "probability": "per cent that are won",
    "product": "product",
    "provider": "provider",
    "purpose": "purpose",
    "qualify": "criteria",
    "question": "what is asked",
    "quiet": "told when nothing happens for",
    "reason": "reason",
    "reasons": "lost for",
    "redirect": "pages to send on to",
    "region": "country of telephone numbers",
    "reject": "fails if",
    "remind": "reminded before by",
    "remind_after": "reminded after",
    "reopen": "when taken up again, by",
    "reply_to": "answers go to",
    "requalify": "requalification",
    "require": "passes if",
    "required": "has to be filled in",
    "requires": "needs",
    "resolution": "resolved within",
    "root_cause": "put down to",
    "route": "routing",
    "rules": "rules",
    "sample": "asked of a hundred",
    "score": "score",
    "secret": "secret in",
    "segment": "segment",
    "segments": "segments",
    "send": "button",
    "sender": "sender",
    "served": "is a service rendered",
    "service": "service",
    "set": "answers set",
    "skills": "skills",
    "sla": "SLA",
    "slas": "SLAs",
    "sources": "sources",
    "spam": "spam",
    "speaks": "speaks",
    "split": "split",
    "stages": "stages",
    "start": "starts from",
    "state": "on coming into",
    "steps": "steps",
    "sticky": "comes back to the same owner within",
    "subject": "subject",
    "survey": "survey",
    "surveys": "surveys",
    "system": "system",
    "targets": "targets",
    "template": "message",
    "templates": "templates",
    "text": "text",
    "ticket": "kind of ticket",
    "tickets": "tickets at once",
    "timeout": "at most for",
    "to": "ways",
    "token": "token in",
    "touchpoint": "touchpoint",
    "transition": "transition",
    "transitions": "transitions",
    "trigger": "trigger",
    "type": "type",
    "tz": "time zone",
    "unknown": "when it is not known",
    "version": "version",
    "wait": "waits",
    "wait_until": "waits until",
    "when": "when",
    "window": "is one arrival within",
    "within": "within",
    "won": "when won, by",
    "yearly": "every year",
}
"""Every key of the language, as a difference names it."""


class Week(dict[str, tuple[str, ...]]):
    """The open times of a week: compared and told as a whole."""


def nothing(value: Any) -> bool:  # noqa: ANN401 - any value of a journey
    """Whether a key says nothing: left out, an empty list or an empty text."""
    return value is None or value in ((), "")


def plain(value: Any) -> Any:  # noqa: ANN401 - any value of a journey
    """JSON-ready, close to what stands in the file."""
    if isinstance(value, timedelta):
        return words.short(value)
    if isinstance(value, Expression):
        return value.source
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, tuple):
        return [plain(inner) for inner in value] or None
    if isinstance(value, Calendar):
        return {"tz": value.tz, "holidays": list(value.holidays), "days": plain(words.week(value))}
    if isinstance(value, BaseModel):
        value = _written(value)
    return {name: plain(inner) for name, inner in value.items()} if isinstance(value, dict) else value


def _written(value: BaseModel) -> dict[str, Any]:
    """The keys that the file has."""
    return {name: getattr(value, name) for name in type(value).model_fields if name in value.model_fields_set}


def told(path: Path, kind: Kind, a: Any, b: Any) -> str:  # noqa: ANN401 - any values of a journey
    """One difference as a sentence, from what was there (`a`) and what is (`b`)."""
    before, after = worded(a), worded(b)
    if before == after:
        before, after = str(plain(a)), str(plain(b))
    for pattern, forms in _FORMS.items():
        if (names := _fitting(pattern, path)) is not None and len(pattern) == len(path):
            form = dict(zip(("added", "removed", "changed"), forms, strict=True))[kind]
            return form.format(*names, before=before, after=after)
    subject, keys = _subject(path)
    about = ": ".join(FIELDS.get(name, name) for name in keys)
    if kind == "changed" and isinstance(a, tuple) and set(a) != set(b):
        before, after = "", _in_and_out(a, b)
    if kind == "added":
        return f"{subject}: {about} {after} (none before)" if about else f"{subject} is new: {after}"
    if kind == "removed":
        return f"{subject}: {about} no longer said (was {before})" if about else f"{subject} is gone: {before}"
    change = f"{before} -> {after}" if before else after
    return f"{subject}: {about} {change}" if about else f"{subject}: {change}"


def _fitting(pattern: Path, path: Path) -> list[str] | None:
    """What stands at the stars of a pattern that the path begins with; None when it does not."""
    pairs = list(zip(pattern, path, strict=False))
    fits = len(pairs) == len(pattern) and all(wanted in ("*", found) for wanted, found in pairs)
    return [found for wanted, found in pairs if wanted == "*"] if fits else None


def _subject(path: Path) -> tuple[str, Path]:
    """Who or what a path is about, and the keys below that."""
    pattern, form, names = next(
        (pattern, form, names) for pattern, form in _SUBJECTS.items() if (names := _fitting(pattern, path)) is not None
    )
    return form.format(*names), path[len(pattern) :]


def _in_and_out(a: tuple[Any, ...], b: tuple[Any, ...]) -> str:
    new, gone = tuple(item for item in b if item not in a), tuple(item for item in a if item not in b)
    parts = [f"{worded(new)} added"] if new else []
    return ", ".join([*parts, f"{worded(gone)} removed"] if gone else parts)


_WORDED: Final[tuple[tuple[type, Callable[[Any], str]], ...]] = (
    (bool, lambda value: "yes" if value else "no"),
    (timedelta, words.time),
    (Expression, said),
    (Week, words.opening),
    (Calendar, words.hours),
    (Capacity, words.capacity),
    (Again, words.again),
    (Step, campaign_words.step),
    (Enter, campaign_words.enter),
    (Exit, campaign_words.exit_),
    (Cap, campaign_words.cap),
    (FollowUp, campaign_words.task),
    (Escalate, follow_up_words.escalation),
    (HealthRule, contract_words.health_rule),
    (FollowUpRule, follow_up_words.summary),
    (Escalation, sla_words.escalation),
    (Survey, survey_words.summary),
    (Target, kpi_words.summary),
    (Audience, campaign_words.audience),
    (BaseModel, lambda value: _summary(value)),  # noqa: PLW0108 - it is defined below
    (dict, lambda value: ", ".join(f"{name} {worded(inner)}" for name, inner in value.items()) or "none"),
    (tuple, lambda value: ", ".join(map(worded, value))),
    (list, lambda value: ", ".join(map(worded, value))),
    (str, lambda value: f"“{value}”" if " " in value else value),
)


def worded(value: Any) -> str:  # noqa: ANN401 - any value of a journey
    """A value as a sentence names it."""
    if nothing(value):
        return "none"
    return next((tell(value) for kind, tell in _WORDED if isinstance(value, kind)), str(value))


def _summary(value: BaseModel) -> str:
    """What the file says of a thing that is new or gone; its name is told already."""
    known = {"label"} if isinstance(value, FitRule) else {"name"} if isinstance(value, Criterion) else set()
    parts = [f"{FIELDS[name]} {worded(inner)}" for name, inner in _written(value).items() if name not in known]
    return "; ".join(parts) or ("asked for by hand" if isinstance(value, Transition) else "as usual")
