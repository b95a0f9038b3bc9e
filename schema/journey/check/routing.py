"""Routing: people and calendars that exist, pools that are reached, and members who are free and fit at some time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from schema.hours import Hours, hours
from schema.journey.check.finding import Finding, View, key, warning
from schema.journey.document import Path
from schema.journey.expressions import Expression
from schema.journey.fields import nearest
from schema.journey.holds import can_hold
from schema.journey.model import Journey, Person, Pool
from schema.journey.parts import Calendar, Worked
from schema.journey.question import Always, Compare, Contains, Every, Not, Tree, atoms

_POOLS: Path = ("route", "pools")
_MOST_POOLS = 60
"""So many pools are compared with those before them."""
_SAMPLES = tuple(datetime(2026, month, 16, tzinfo=UTC) for month in range(1, 13))
"""A week from each of these days: summer and winter time everywhere, and the weeks in which they differ."""


def members(view: View) -> Iterator[Finding]:
    """Members and others that are no people, and people who never get a lead."""
    journey, known = view.journey, list(view.journey.people)
    for name, pool in journey.route.pools.items():
        for member in pool.members:
            if member not in journey.people:
                message = f"{member} is not among the people{nearest(member, known)}"
                yield key((*_POOLS, name, "members", member), message)
    at_last = journey.route.escalate_to
    if at_last and at_last not in journey.people:
        yield Finding(("route", "escalate_to"), f"{at_last} is not among the people{nearest(at_last, known)}")
    busy = {member for pool in journey.route.pools.values() for member in pool.members} | {at_last}
    if journey.service:
        busy |= {member for desk in journey.service.desks.values() for member in desk.members}
    for person in known:
        if person not in busy:
            yield warning(("people", person), f"{person} is in no pool and never gets a lead", of_key=True)


def order(view: View) -> Iterator[Finding]:
    """The last pool takes whatever is left, and no pool before it takes everything from those that follow."""
    pools = view.journey.route.pools
    names = list(pools)
    for name in names[:-1]:
        if pools[name].when is None:
            message = f"takes every lead, so {names[-1]} never gets one: put it last, or add `when`"
            yield key((*_POOLS, name), message)
    if pools[names[-1]].when is not None:
        message = "the last pool takes whatever is left: leave out its `when`, or add another pool"
        yield Finding((*_POOLS, names[-1], "when"), message, of_key=True)
    before: dict[str, Tree] = {}
    for name in names[:_MOST_POOLS]:
        pool = pools[name]
        asked = pool.when.tree if pool.when else Always(answer=True)
        if taken := _taken(view, asked, before):
            yield key((*_POOLS, name), f"never gets a lead: {taken} before it; put it first, or ask for less there")
        if pool.when is not None and pool.fits is None and (*_POOLS, name, "when") not in view.unread:
            before[name] = pool.when.tree


def _taken(view: View, asked: Tree, before: dict[str, Tree]) -> str:
    """Which of the pools before take all of these leads, as the beginning of a sentence; empty when some are left."""
    if can_hold(view.world, (asked, "true")) is None:
        return ""
    for name, tree in before.items():
        if can_hold(view.world, (asked, "true"), (tree, "not true")) is None:
            return f"{name} takes all of its leads"
    left = can_hold(view.world, (asked, "true"), *((tree, "not true") for tree in before.values()))
    return "" if left else f"{', '.join(before)} together take all of its leads"


def calendars(view: View) -> Iterator[Finding]:
    """Calendars that nobody defined, that nobody works by, or that are never open."""
    journey = view.journey
    workers: dict[Path, Worked] = {("people", name): person for name, person in journey.people.items()}
    workers |= {(*_POOLS, name): pool for name, pool in journey.route.pools.items()}
    workers |= {("follow_ups", name): rule for name, rule in journey.follow_ups.items()}
    if journey.service:
        workers |= {("service", "desks", name): desk for name, desk in journey.service.desks.items()}
        workers |= {("service", "slas", name): sla for name, sla in journey.service.slas.items()}
    for path, worked in workers.items():
        if worked.calendar and worked.calendar not in journey.calendars:
            known = list(journey.calendars)
            message = f"there is no calendar {worked.calendar}{nearest(worked.calendar, known) or _all(known)}"
            yield Finding((*path, "calendar"), message)
        elif worked.hours and not worked.hours.__pydantic_extra__:
            yield key((*path, "hours"), "names no days, so this is never open: add them, as in mon-fri: '09:00-17:00'")
    used: set[str | None] = {worked.calendar for worked in workers.values()}
    used |= {journey.mail.calendar} if journey.mail else set()
    for name, calendar in journey.calendars.items():
        if name not in used and used <= {None, *journey.calendars}:
            yield warning(("calendars", name), "nobody works by this calendar", of_key=True)
        if not calendar.__pydantic_extra__:
            message = "names no days, so this is never open: add them, as in mon-fri: '09:00-17:00'"
            yield key(("calendars", name), message)


def working(view: View) -> Iterator[Finding]:
    """Pools in whose hours nobody, or not everybody, ever works."""
    for name, pool in view.journey.route.pools.items():
        yield from _free(view.journey, name, pool)


def _all(known: list[str]) -> str:
    return f"; there are {', '.join(known[:8])}" if known else "; add it to `calendars`"


def _free(journey: Journey, name: str, pool: Pool) -> Iterator[Finding]:
    """Members who never work when their pool does; an error when that is all of them."""
    open_here = _worked(journey, pool)
    people = {member: journey.people[member] for member in pool.members if member in journey.people}
    if open_here is None or not people:
        return
    never = [member for member, person in people.items() if not _meet(open_here, _worked(journey, person))]
    if len(never) == len(people):
        message = "nobody in this pool ever works in its hours, so its leads wait for ever: look at the hours and zones"
        yield key((*_POOLS, name), message)
        return
    for member in never:
        message = f"{member} never works in the hours of this pool and gets nothing from it"
        yield warning((*_POOLS, name, "members", member), message, of_key=True)


def _worked(journey: Journey, worked: Pool | Person) -> Hours | None:
    """The usual working hours, holidays left out; None for whoever has none."""
    calendar = worked.hours or journey.calendars.get(worked.calendar or "")
    if calendar is None or not calendar.__pydantic_extra__:
        return None
    zone = worked.tz if isinstance(worked, Person) and "tz" not in calendar.model_fields_set else calendar.tz
    return hours(Calendar.model_validate({**calendar.__pydantic_extra__, "tz": zone}))


def _meet(one: Hours, other: Hours | None) -> bool:
    """Whether both are open at some time of some week."""
    return other is None or any(_meet_from(one, other, start) for start in _SAMPLES)


def _meet_from(one: Hours, other: Hours, start: datetime) -> bool:
    at, end = start, start + timedelta(days=7)
    while at < end:
        first, second = one.next_open(at), other.next_open(at)
        if first is None or second is None:
            return False
        if first == second:
            return True
        at = max(first, second)
    return False


def acceptance(view: View) -> Iterator[Finding]:
    """Reminders and escalation that lack the time within which a lead is to be accepted."""
    route = view.journey.route
    if route.accept_within or any(pool.accept_within for pool in route.pools.values()):
        return
    for name in ("escalate_to", "hand_on"):
        if name in route.model_fields_set and getattr(route, name):
            message = f"`{name}` needs `accept_within`: the time after which a lead counts as not accepted"
            yield warning(("route", name), message, of_key=True)


def fitting(view: View) -> Iterator[Finding]:
    """`fits` that nobody in the pool can meet."""
    for name, pool in view.journey.route.pools.items():
        path = (*_POOLS, name, "fits")
        people = {member: view.journey.people[member] for member in pool.members if member in view.journey.people}
        if pool.fits is None or not people or path in view.unread or _impossible(view, pool.fits.tree):
            continue
        if not any(expression.startswith("member.") for expression in pool.fits.paths):
            yield warning(path, 'does not ask about the member, as in "de" in member.speaks: `when` asks about leads')
        cannot = [member for member, person in people.items() if not _can_fit(view, pool.fits, member, person)]
        if len(cannot) == len(people):
            yield Finding(path, "nobody in this pool can ever meet this: look at what its members speak and can do")
            continue
        for member in cannot:
            yield warning((*_POOLS, name, "members", member), f"{member} can never meet `fits`", of_key=True)
        for key_of in ("speaks", "skills"):
            unsaid = [member for member, person in people.items() if not getattr(person, key_of)]
            if f"member.{key_of}" in pool.fits.paths and unsaid:
                message = f"{', '.join(unsaid)} without `{key_of}` counts as fitting, as all that is unknown does"
                yield warning(path, message)


def _impossible(view: View, tree: Tree) -> bool:
    return can_hold(view.world, (tree, "true")) is None


def _can_fit(view: View, fits: Expression, name: str, person: Person) -> bool:
    """Whether there are leads that this person fits; what is unknown counts as fitting."""
    sure: list[Tree] = [Compare("member.name", "==", name)]
    for term, there in (("member.speaks", person.speaks), ("member.skills", person.skills)):
        asked = {atom for atom in atoms(fits.tree) if isinstance(atom, Contains) and atom.term == term}
        if there:
            sure += [atom if atom.value in there else Not(atom) for atom in sorted(asked, key=repr)]
    return can_hold(view.world, (fits.tree, "not false"), (Every(tuple(sure)), "true")) is not None
