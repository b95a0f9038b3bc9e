"""Tickets: kinds and sources that are there, rules that open any, desks that are reached and have people."""

from __future__ import annotations

from collections.abc import Iterator

from schema.journey.check.finding import Finding, View, key, warning
from schema.journey.document import Path
from schema.journey.fields import nearest
from schema.journey.holds import can_hold
from schema.journey.question import Always, Tree
from schema.journey.service import Service

_SERVICE: Path = ("service",)
_MOST = 60
"""So many desks are compared with those before them."""


def names(view: View) -> Iterator[Finding]:
    """Kinds, sources, departments and members that are not there."""
    service = view.journey.service
    if service is None:
        return
    departments = view.journey.departments
    worked: dict[Path, str | None] = {_SERVICE: service.department}
    worked |= {(*_SERVICE, "desks", name): desk.department for name, desk in service.desks.items()}
    for place, department in worked.items():
        if departments and department not in {None, *departments}:
            message = f"{department} is not among the departments{nearest(str(department), [*departments])}"
            yield Finding((*place, "department"), message)
    for at, rule in enumerate(service.opens):
        path: Path = (*_SERVICE, "opens", at)
        if rule.kind not in service.kinds:
            known = list(service.kinds)
            there = nearest(rule.kind, known) or f"; there are {', '.join(known[:8])}"
            yield Finding((*path, "kind"), f"there is no kind of ticket {rule.kind}{there}")
        for source in rule.sources:
            if source not in view.journey.sources:
                near = nearest(source, list(view.journey.sources))
                yield Finding((*path, "sources"), f"there is no source {source}{near}")
        if not rule.on and not rule.sources:
            yield key(path, "fits no arrival: say which kinds of touchpoints it is `on`, or its `sources`")


def members(view: View) -> Iterator[Finding]:
    """People of desks who are not there."""
    known = list(view.journey.people)
    desks_ = view.journey.service.desks if view.journey.service else {}
    for name, desk in desks_.items():
        for member in desk.members:
            if member not in known:
                message = f"{member} is not among the people{nearest(member, known)}"
                yield key((*_SERVICE, "desks", name, "members", member), message)


def opened(view: View) -> Iterator[Finding]:
    """Rules to which those before them leave no arrival."""
    service = view.journey.service
    if service is None:
        return
    taken: set[str] = set()
    for at, rule in enumerate(service.opens):
        named = {*(f"on {kind}" for kind in rule.on), *(f"from {source}" for source in rule.sources)}
        if named and named <= taken:
            message = "opens nothing: a rule above takes all of these without any `when`; put this one first"
            yield warning((*_SERVICE, "opens", at), message, of_key=True)
        if rule.when is None:
            taken |= named


def desks(view: View) -> Iterator[Finding]:
    """The last desk takes whatever is left, and no desk before it takes everything from those that follow."""
    service = view.journey.service
    if service is None:
        return
    yield from _last(service)
    before: dict[str, Tree] = {}
    for name, desk in list(service.desks.items())[:_MOST]:
        path: Path = (*_SERVICE, "desks", name)
        asked = desk.when.tree if desk.when else Always(answer=True)
        read = (*path, "when") not in view.unread
        left = can_hold(view.world, (asked, "true"), *((tree, "not true") for tree in before.values()))
        if before and read and left is None and can_hold(view.world, (asked, "true")) is not None:
            yield key(path, f"never gets a ticket: {', '.join(before)} before it takes all of them")
        if desk.when is not None and read:
            before[name] = desk.when.tree


def _last(service: Service) -> Iterator[Finding]:
    *firsts, last = service.desks
    for name in firsts:
        if service.desks[name].when is None:
            message = f"takes every ticket, so {last} never gets one: put it last, or add `when`"
            yield key((*_SERVICE, "desks", name), message)
    if service.desks[last].when is not None:
        message = "the last desk takes whatever is left: leave out its `when`, or add another desk"
        yield Finding((*_SERVICE, "desks", last, "when"), message, of_key=True)
