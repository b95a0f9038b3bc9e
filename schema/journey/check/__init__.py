"""
Checks across the whole journey: names that lead nowhere, ways without an end, rules that can never apply.

Each check yields where it found something and what to do about it; together they see everything at once. An `error` is
a journey that would lose leads or do something that cannot be meant; a `warning` may be meant.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from schema.journey.check import (
    campaigns,
    contracts,
    follow_ups,
    guards,
    lifecycle,
    mailing,
    pipelines,
    qualification,
    routing,
    scoring,
    service,
    slas,
    sources,
    steps,
    surveys,
    targets,
)
from schema.journey.check.finding import Finding, View
from schema.journey.check.world import POINTS, world
from schema.journey.document import Path
from schema.journey.model import Journey

__all__ = ["Finding", "findings"]

_Check = Callable[[View], Iterator[Finding]]


def _of(part: str, *keys: str) -> frozenset[str]:
    return frozenset(f"{part}.{key}" for key in ("*", *keys))


_STEPS = _of("campaigns", "steps", "send", "go", "branch", "split", "otherwise", "name", "wait", "timeout")

_CHECKS: tuple[tuple[_Check, frozenset[str]], ...] = (
    (sources.names, _of("sources")),
    (sources.hooks, _of("sources", "kind", "provider", "token")),
    (sources.forms, _of("sources", "kind", "fields", "name", "type", "consent", "double_opt_in")),
    (steps.order, _of("steps")),
    (lifecycle.targets, _of("lifecycle", "to")),
    (lifecycle.ends, _of("lifecycle", "to", "final", "sla")),
    (lifecycle.reachable, _of("lifecycle", "to")),
    (lifecycle.transitions, _of("lifecycle", "to") | _of("transitions")),
    (lifecycle.departments, _of("departments")),
    (lifecycle.automation, _of("lifecycle", "to", "final") | _of("transitions", "when", "after", "trigger")),
    (qualification.criteria, _of("qualify", "name")),
    (qualification.reasons, _of("qualify", "name", "reason")),
    (
        qualification.requalification,
        _of("qualify") | _of("requalify", "news", "after") | _of("lifecycle", "to")
        | _of("transitions", "trigger", "when", "after") | _of("steps"),
    ),
    (scoring.falling, _of("score", "grades", "grid")),
    (scoring.reached, POINTS | _of("score", "grades", "grid")),
    (scoring.groups, _of("score", "groups", "group", "fit", "engagement", "on")),
    (scoring.points, POINTS | _of("score", "floor")),
    (routing.members, _of("people") | _of("route", "pools", "members", "escalate_to")),
    (routing.order, _of("route", "pools", "when", "fits")),
    (
        routing.calendars,
        _of("calendars") | _of("people", "calendar") | _of("route", "pools", "calendar")
        | _of("follow_ups", "calendar", "hours") | _of("service", "desks", "slas", "calendar", "hours"),
    ),
    (
        routing.working,
        _of("calendars", "tz") | _of("people", "calendar", "hours", "tz")
        | _of("route", "pools", "members", "calendar", "hours", "tz"),
    ),
    (routing.acceptance, _of("route", "pools", "accept_within")),
    (routing.fitting, _of("people", "name", "speaks", "skills") | _of("route", "pools", "members", "fits")),
    (
        campaigns.names,
        _of("lifecycle") | _of("people") | _of("departments") | _of("templates") | _of("campaigns", "name", "steps"),
    ),
    (campaigns.kinds, _of("campaigns", "enter", "exit", "event") | _of("score", "on")),
    (campaigns.jumps, _STEPS),
    (campaigns.ways, _STEPS),
    (campaigns.entering, _of("campaigns", "enter", "exit", "goal") | _of("lifecycle")),
    (campaigns.again, _STEPS | _of("campaigns", "enter", "again", "goal")),
    (campaigns.goals, _STEPS | _of("campaigns", "goal", "audience", "holdout")),
    (campaigns.endings, _STEPS),
    (
        pipelines.names,
        _of("pipelines", "state", "won", "lost", "reopen", "department", "currency", "stages", "requires")
        | _of("lifecycle", "to") | _of("departments"),
    ),
    (pipelines.stages, _of("pipelines", "stages", "probability", "requires")),
    (
        pipelines.ways,
        _of("pipelines", "state", "won", "lost", "reopen", "reasons") | _of("lifecycle", "to", "final")
        | _of("transitions", "reason"),
    ),
    (contracts.names, _of("contracts", "department") | _of("departments")),
    (contracts.moments, _of("contracts", "before")),
    (contracts.health, _of("health", "start", "rules", "points", "at_risk", "when")),
    (contracts.offers, _of("offers", "product", "when")),
    (mailing.sender, _of("mail", "sender", "postal") | _STEPS),
    (mailing.answers, _of("mail", "sender", "reply_to") | _of("sources", "kind", "address")),
    (mailing.hours, _of("mail", "hours", "calendar", "assume", "tz") | _of("calendars", "tz")),
    (mailing.caps, _of("mail", "caps", "most", "per") | _STEPS),
    (mailing.templates, _of("templates", "subject", "text", "html", "preview") | _STEPS),
    (service.names, _of("service", "kinds", "opens", "kind", "on", "sources") | _of("sources") | _of("departments")),
    (service.members, _of("people") | _of("service", "desks", "members")),
    (service.opened, _of("service", "opens", "on", "sources", "when")),
    (service.desks, _of("service", "kinds", "desks", "when")),
    (slas.people, _of("people") | _of("service", "slas", "escalate", "at", "to")),
    (slas.order, _of("service", "kinds", "slas", "when")),
    (
        follow_ups.names,
        _of("lifecycle") | _of("people") | _of("follow_ups", "state", "event", "to", "escalate"),
    ),
    (follow_ups.times, _of("follow_ups", "remind", "within", "to", "state") | _of("people", "digest") | _of("mail")),
    (
        surveys.names,
        _of("surveys", "state", "template", "complaint", "event") | _of("lifecycle", "templates")
        | _of("templates") | _of("service", "kinds"),
    ),
    (surveys.asking, _of("surveys", "when") | _of("mail")),
    (surveys.links, _of("surveys", "template") | _of("templates", "text", "html")),
    (
        targets.names,
        _of("kpis", "targets", "of", "state", "transition", "pipeline", "ticket", "survey", "campaign")
        | _of("lifecycle", "to") | _of("transitions") | _of("pipelines") | _of("service", "kinds")
        | _of("surveys") | _of("campaigns"),
    ),
    (guards.lists, _of("lists")),
    (guards.answers, frozenset()),
)  # fmt: skip
"""The checks, each with what it has to know whole: a key of a part of the file, or `*` for all that is named there."""


def findings(journey: Journey, spoilt: Collection[str] = (), unread: Collection[Path] = ()) -> Iterator[Finding]:
    """
    Everything there is to say about the journey as a whole; no error for one that can be switched on.

    `spoilt` are the keys (`people.tz`, `people.*` for a whole person) of which something had to be left out, `unread`
    the expressions that could not be read.
    """
    view = View(journey, world(journey, spoilt), frozenset(unread))
    for check, needs in _CHECKS:
        if needs.isdisjoint(spoilt):
            yield from check(view)
