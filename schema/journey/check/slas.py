"""Policies: people who are there, hours that are open some time, and tickets that are left for each of them."""

from __future__ import annotations

from collections.abc import Iterator

from schema.journey.check.finding import Finding, View, key, warning
from schema.journey.document import Path
from schema.journey.fields import nearest
from schema.journey.holds import can_hold
from schema.journey.question import Always, Tree
from schema.journey.service import OWNER, Sla

_SLAS: Path = ("service", "slas")
_MOST = 60
"""So many policies are compared with those before them."""


def people(view: View) -> Iterator[Finding]:
    """Escalations to nobody who is there; and to the same person at the same time."""
    known = list(view.journey.people)
    for path, sla in _slas(view):
        met: set[tuple[int, str]] = set()
        for at, one in enumerate(sla.escalate):
            if one.to != OWNER and one.to not in known:
                message = f"{one.to} is not among the people{nearest(one.to, [OWNER, *known])}"
                yield Finding((*path, "escalate", at, "to"), message)
            if (one.at, one.to) in met:
                yield warning((*path, "escalate", at, "at"), f"{one.to} is told at {one.at}% already")
            met.add((one.at, one.to))


def order(view: View) -> Iterator[Finding]:
    """Policies to which those before them leave no ticket."""
    before: dict[str, Tree] = {}
    for path, sla in list(_slas(view))[:_MOST]:
        asked = sla.when.tree if sla.when else Always(answer=True)
        unread = (*path, "when") in view.unread
        possible = not unread and can_hold(view.world, (asked, "true")) is not None
        if possible and (taken := _taken(view, asked, before)):
            yield key(path, f"is never a ticket's: {taken} all of them; put it first, or ask for less there")
        if not unread:
            before[str(path[-1])] = asked


def _taken(view: View, asked: Tree, before: dict[str, Tree]) -> str:
    """Which policies before have all of these tickets, as the beginning of a sentence; empty where some are left."""
    for name, tree in before.items():
        if can_hold(view.world, (asked, "true"), (tree, "not true")) is None:
            return f"{name} before it has"
    if not before:
        return ""
    left = can_hold(view.world, (asked, "true"), *((tree, "not true") for tree in before.values()))
    return "" if left else f"{' and '.join(before)} before it have"


def _slas(view: View) -> Iterator[tuple[Path, Sla]]:
    if view.journey.service is not None:
        for name, sla in view.journey.service.slas.items():
            yield (*_SLAS, name), sla
