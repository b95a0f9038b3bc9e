"""
Checks across the whole journey: names that lead nowhere, ways without an end, rules that can never apply.

Each check yields where it found something and what to do about it; together they see everything at once. An `error` is
a journey that would lose leads or do something that cannot be meant; a `warning` may be meant.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from schema.journey.check import guards, lifecycle, qualification, routing, scoring, sources, steps
from schema.journey.check.finding import Finding, View
from schema.journey.check.world import POINTS, world
from schema.journey.document import Path
from schema.journey.model import Journey

__all__ = ["Finding", "findings"]

_Check = Callable[[View], Iterator[Finding]]


def _of(part: str, *keys: str) -> frozenset[str]:
    return frozenset(f"{part}.{key}" for key in ("*", *keys))


_CHECKS: tuple[tuple[_Check, frozenset[str]], ...] = (
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
    (routing.calendars, _of("calendars") | _of("people", "calendar") | _of("route", "pools", "calendar")),
    (
        routing.working,
        _of("calendars", "tz") | _of("people", "calendar", "hours", "tz")
        | _of("route", "pools", "members", "calendar", "hours", "tz"),
    ),
    (routing.acceptance, _of("route", "pools", "accept_within")),
    (routing.fitting, _of("people", "name", "speaks", "skills") | _of("route", "pools", "members", "fits")),
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
