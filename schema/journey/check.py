"""
Checks across the whole journey: names that lead nowhere, ways without an end, rules that can never apply.

Each check yields where it found something and what to do about it; together they see everything at once.
"""

from __future__ import annotations

from collections.abc import Iterator

from schema.journey.document import Path
from schema.journey.fields import nearest
from schema.journey.model import IDS_ONLY, PROVIDERS, Journey, State, Way
from schema.messages import STEPS

Finding = tuple[Path, str]


def findings(journey: Journey) -> Iterator[Finding]:
    """Everything that is wrong with the journey as a whole; nothing for one that can be switched on."""
    yield from _sources(journey)
    yield from _forms(journey)
    yield from _steps(journey)
    yield from _states(journey)
    yield from _reachable(journey)
    yield from _transitions(journey)
    yield from _automation(journey)
    yield from _criteria(journey)
    yield from _grades(journey)
    yield from _pools(journey)


def _sources(journey: Journey) -> Iterator[Finding]:
    for name, source in journey.sources.items():
        for key in ("provider", "token"):
            if source.kind != "hook" and getattr(source, key) is not None:
                yield ("sources", name, key), f"only sources of kind hook have a {key}"
        if source.provider in IDS_ONLY and source.token is None:
            message = f"{PROVIDERS[source.provider]} only sends ids: name the environment variable of its `token`"
            yield ("sources", name, "provider"), message


def _forms(journey: Journey) -> Iterator[Finding]:
    for name, source in journey.sources.items():
        for key in ("fields", "consent", "double_opt_in"):
            if source.kind != "form" and getattr(source, key):
                yield ("sources", name, key), f"`{key}` is for sources of kind form; this one is of kind {source.kind}"
        seen: set[str] = set()
        for index, field in enumerate(source.fields):
            if field.name in seen:
                yield ("sources", name, "fields", index), f"{field.name} stands twice; each field has a name of its own"
            seen.add(field.name)
        if source.double_opt_in and source.fields and not any(field.kind == "email" for field in source.fields):
            yield ("sources", name, "double_opt_in"), "nobody can be asked to confirm without an e-mail field"


def _steps(journey: Journey) -> Iterator[Finding]:
    known = STEPS[1:]
    for at, name in enumerate(journey.steps):
        if name not in known:
            yield ("steps", at), f"there is no step {name}{nearest(name, list(known))}; there are {', '.join(known)}"
        if name in journey.steps[:at]:
            yield ("steps", at), f"{name} stands twice; a lead takes each step once"
    if journey.steps[-1] != known[-1]:
        yield ("steps",), f"the last step has to be {known[-1]}, which moves the lead"


def _states(journey: Journey) -> Iterator[Finding]:
    states = list(journey.lifecycle)
    for name, state in journey.lifecycle.items():
        for transition, target in state.to.items():
            if target not in journey.lifecycle:
                yield ("lifecycle", name, "to", transition), f"there is no state {target}{nearest(target, states)}"
        if journey.departments and state.department not in {None, *journey.departments}:
            yield ("lifecycle", name, "department"), f"{state.department} is not among the departments"
        if not state.to and not state.final:
            yield ("lifecycle", name), "a lead would stay here for ever: add `to`, or say `final: true`"


def _reachable(journey: Journey) -> Iterator[Finding]:
    seen, ahead = set(), [journey.initial]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += journey.lifecycle.get(name, State()).to.values()
    for name in journey.lifecycle:
        if name not in seen:
            yield ("lifecycle", name), f"no lead can get here: no way leads here from {journey.initial}"


def _transitions(journey: Journey) -> Iterator[Finding]:
    used = {name for _, name, _ in journey.moves}
    for name in journey.transitions:
        if name not in used:
            yield ("transitions", name), f"no state uses this transition{nearest(name, sorted(used))}"


def _automation(journey: Journey) -> Iterator[Finding]:
    for state, moves in journey.automatic.items():
        if moves and journey.lifecycle[state].final:
            left = next((way.name for way in moves if way.transition.trigger == "automatic"), None)
            if left:
                message = f"{state} is final, but {left} leaves it by itself: add `trigger: manual`"
                yield ("transitions", left), message
        guards: dict[str, str] = {}
        for name, _, transition in moves:
            if transition.when is None or transition.after is not None:
                continue
            if earlier := guards.get(transition.when.source):
                yield ("transitions", name, "when"), f"never happens: {earlier} has the same `when` and comes first"
            guards.setdefault(transition.when.source, name)
        if _returns(journey, state):
            yield ("lifecycle", state), "automatic transitions lead round in a circle back here: make one a manual one"


def _returns(journey: Journey, start: str) -> bool:
    """Whether a state can come back to itself with nothing new: waiting for a touchpoint breaks the circle."""
    seen: set[str] = set()
    ahead = _standing(journey, start)
    while ahead:
        state = ahead.pop()
        if state == start:
            return True
        if state not in seen:
            seen.add(state)
            ahead += _standing(journey, state)
    return False


def _standing(journey: Journey, state: str) -> list[str]:
    """Where a lead can go by itself for what is known of it already, without a new touchpoint."""
    moves = journey.automatic.get(state, ())
    return [way.to for way in moves if not _waits(way)]


def _waits(way: Way) -> bool:
    """Whether something has to happen first: a touchpoint, time, or another look at the qualification."""
    guard = way.transition.when
    asks_for_news = guard is not None and any(path.startswith("touchpoint.") for path in guard.paths)
    return asks_for_news or way.transition.after is not None or way.transition.trigger == "requalify"


def _criteria(journey: Journey) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, criterion in enumerate(journey.qualify):
        if criterion.name in seen:
            yield ("qualify", index, "name"), f"{criterion.name} is the name of an earlier criterion; give it its own"
        seen.add(criterion.name)


def _grades(journey: Journey) -> Iterator[Finding]:
    before: int | None = None
    for grade, least in journey.score.grades.items():
        if before is not None and least >= before:
            yield ("score", "grades", grade), "grades go down: the best first, each with a lower score than the last"
        before = least


def _pools(journey: Journey) -> Iterator[Finding]:
    pools = journey.route.pools
    last = next(reversed(pools))
    for name, pool in pools.items():
        if pool.when is None and name != last:
            yield ("route", "pools", name), f"takes every lead, so {last} never gets one: put it last, or add `when`"
        for member in pool.members:
            if member not in journey.people:
                message = f"{member} is not among the people{nearest(member, list(journey.people))}"
                yield ("route", "pools", name, "members", member), message
    if pools[last].when is not None:
        yield (
            ("route", "pools", last),
            "the last pool takes whatever is left: leave out its `when`, or add another pool",
        )
