"""The lifecycle: states that are reached and left, and transitions that do not stand in each other's way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations

from schema.journey.check.finding import Finding, View, key, warning
from schema.journey.document import Path
from schema.journey.fields import nearest
from schema.journey.holds import can_hold, follows
from schema.journey.model import Journey, State, Way
from schema.journey.question import Always, Compare, Contains, Every, Some, Tree

RESERVED = "migrate"
"""The move that takes a lead over to another version of its journey."""
_MOST_WAYS = 40
"""So many ways out of one state are compared with each other."""
_MOST_ROUNDS = 2000
"""So many steps are taken in search of circles."""
_LONGEST_CIRCLE = 32
_EVER = Always(answer=True)


def targets(view: View) -> Iterator[Finding]:
    """Ways to states that are none, or of a reserved name."""
    names = list(view.journey.lifecycle)
    for name, state in view.journey.lifecycle.items():
        here: Path = ("lifecycle", name)
        for transition, target in state.to.items():
            if target not in view.journey.lifecycle:
                yield Finding((*here, "to", transition), f"there is no state {target}{nearest(target, names)}")
            if transition == RESERVED:
                message = f"{RESERVED} is reserved for leads that follow another version: give it another name"
                yield key((*here, "to", transition), message)


def ends(view: View) -> Iterator[Finding]:
    """States without an end, and what final states cannot have."""
    journey = view.journey
    for name, state in journey.lifecycle.items():
        here: Path = ("lifecycle", name)
        if not state.to and not state.final:
            yield key(here, "a lead would stay here for ever: add `to`, or say `final: true`")
        if state.final and state.sla:
            message = "nothing is owed in a final state: leave out `sla`, or `final`"
            yield warning((*here, "sla"), message, of_key=True)
    if journey.lifecycle[journey.initial].final:
        message = "a lead starts in the first state, which is final: nothing ever happens to it"
        yield warning(("lifecycle", journey.initial), message, of_key=True)


def reachable(view: View) -> Iterator[Finding]:
    """States that no way leads to."""
    journey = view.journey
    seen: set[str] = set()
    ahead = [journey.initial]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += journey.lifecycle.get(name, State()).to.values()
    meant = " ".join(nearest(name, list(journey.lifecycle)) for name in seen - journey.lifecycle.keys())
    for name in journey.lifecycle:
        if name not in seen and f" {name}?" not in meant:
            yield key(("lifecycle", name), f"no lead can get here: no way leads here from {journey.initial}")


def transitions(view: View) -> Iterator[Finding]:
    """Transitions that no state uses, or that have a reserved name."""
    used = {name for _, name, _ in view.journey.moves}
    for name in view.journey.transitions:
        if name not in used and name != RESERVED:
            yield key(("transitions", name), f"no state uses this transition{nearest(name, sorted(used))}")


def departments(view: View) -> Iterator[Finding]:
    """Departments that are not among those of the journey."""
    known = view.journey.departments
    worked: dict[Path, str | None] = {
        ("lifecycle", name): state.department for name, state in view.journey.lifecycle.items()
    }
    worked |= {("transitions", name): move.department for name, move in view.journey.transitions.items()}
    worked |= {("people", name): person.department for name, person in view.journey.people.items()}
    for path, department in worked.items():
        if known and department not in {None, *known}:
            message = f"{department} is not among the departments{nearest(str(department), list(known))}"
            yield Finding((*path, "department"), message)


def automation(view: View) -> Iterator[Finding]:
    """Moves that happen by themselves: out of final states, in each other's way, round in a circle."""
    for state, ways in view.journey.automatic.items():
        moving = [way for way in ways if way.to != state]
        for way in ways:
            if way.to == state and way.transition.trigger == "automatic":
                message = f"leads from {state} to {state}, which never happens by itself: make it `trigger: manual`"
                yield key(("transitions", way.name), message)
        if view.journey.lifecycle[state].final:
            yield from _final(state, moving)
        for earlier, later in combinations(moving[:_MOST_WAYS], 2):
            yield from _both(view, state, earlier, later)
    yield from _circles(view)


def _final(state: str, ways: list[Way]) -> Iterator[Finding]:
    for way in ways:
        if way.transition.trigger == "automatic":
            message = f"{state} is final, but {way.name} leaves it by itself: add `trigger: manual`"
            yield key(("transitions", way.name), message)


def _both(view: View, state: str, earlier: Way, later: Way) -> Iterator[Finding]:
    """Two ways out of one state that both happen by themselves."""
    one, two = earlier.transition, later.transition
    if one.trigger != two.trigger or view.unread & {_guard_at(earlier), _guard_at(later)}:
        return
    first, second = _tree(earlier), _tree(later)
    if can_hold(view.world, (first, "true")) is None or can_hold(view.world, (second, "true")) is None:
        return  # told by itself
    waits, waits_too = one.after or timedelta(), two.after or timedelta()
    if waits <= waits_too and follows(view.world, second, first):
        message = f"never happens in {state}: {_why(earlier, later)}; change one of them, or put this one first"
        if _comes_back(view.journey, earlier.to, state):
            yield warning(_guard_at(later), f"hardly ever happens in {state}: {_why(earlier, later)}", of_key=True)
        else:
            yield Finding(_guard_at(later), message, of_key=True)
    elif waits_too < waits and isinstance(second, Always):
        message = f"never happens in {state}: {later.name} is over sooner, whatever the lead is"
        yield Finding(("transitions", earlier.name, "after"), message)
    elif not (one.after or two.after) and not _apart(first, second):
        found = can_hold(view.world, (first, "true"), (second, "true"))
        if found and found.sure:
            example = f" (for example when {found.example})" if found.example else ""
            message = f"can happen at the same time as {earlier.name} in {state}{example}; then {earlier.name} is made"
            yield warning(_guard_at(later), f"{message}, because it comes first")


def _why(earlier: Way, later: Way) -> str:
    one, two = earlier.transition, later.transition
    if one.when is None:
        return f"{earlier.name} comes first, whatever the lead is"
    if one.when == two.when:
        return f"{earlier.name} has the same `when` and comes first"
    return f"whenever it could, {earlier.name} does and comes first"


def _tree(way: Way) -> Tree:
    return way.transition.when.tree if way.transition.when else _EVER


def _guard_at(way: Way) -> Path:
    return ("transitions", way.name, "when" if way.transition.when else "after")


def _news(tree: Tree) -> frozenset[object]:
    """The touchpoints one of which has to have come in for this to hold; empty when it holds without, or for any."""
    if isinstance(tree, Contains) and tree.term == "touchpoint.kinds":
        return frozenset({tree.value})
    if isinstance(tree, Compare) and (tree.term, tree.sign) == ("touchpoint.kind", "=="):
        return frozenset({tree.value})
    if isinstance(tree, Every):
        return next((news for part in tree.parts if (news := _news(part))), frozenset())
    if isinstance(tree, Some):
        each = [_news(part) for part in tree.parts]
        return frozenset().union(*each) if all(each) else frozenset()
    return frozenset()


def _apart(one: Tree, other: Tree) -> bool:
    """Whether each waits for something else to come in: that both come at once is not what anybody has to settle."""
    first, second = _news(one), _news(other)
    return bool(first and second) and first.isdisjoint(second)


def _comes_back(journey: Journey, start: str, state: str) -> bool:
    """Whether automatic moves lead from `start` to `state`, so that a run may have been in `start` before."""
    seen, ahead = {start}, [start]
    while ahead:
        targets = {way.to for way in journey.automatic.get(ahead.pop(), ())}
        if state in targets:
            return True
        ahead += targets - seen
        seen |= targets
    return False


def _circles(view: View) -> Iterator[Finding]:
    """States to which a lead comes back with nothing new: at once, or again and again as time passes."""
    rounds = [_MOST_ROUNDS]
    in_time: set[frozenset[str]] = set()
    for state in view.journey.automatic:
        way = _round(view, [state], [], rounds)
        if way is None:
            continue
        timed = any(step.transition.after for step in way)
        if not timed:
            message = "automatic transitions lead round in a circle back here: make one a manual one"
            yield key(("lifecycle", state), message)
        elif (circle := frozenset(step.to for step in way)) not in in_time:
            in_time.add(circle)
            names = ", ".join(step.name for step in way)
            message = f"{names} lead round in a circle, again and again for as long as nothing new comes in"
            yield warning(("lifecycle", state), message, of_key=True)


def _round(view: View, path: list[str], ways: list[Way], rounds: list[int]) -> list[Way] | None:
    """A way from the first state of `path` back to it on which all guards can hold together, the quickest first."""
    rounds[0] -= 1
    if rounds[0] < 0 or len(ways) >= _LONGEST_CIRCLE:
        return None
    standing = [way for way in view.journey.automatic.get(path[-1], ()) if not _asks_for_news(way)]
    for way in sorted(standing, key=lambda way: (way.transition.after is not None, way.to != path[0])):
        taken = [*ways, way]
        if way.to == path[-1] or not can_hold(view.world, *((_tree(one), "true") for one in taken)):
            continue
        if way.to == path[0]:
            return taken
        if way.to not in path and (found := _round(view, [*path, way.to], taken, rounds)):
            return found
    return None


def _asks_for_news(way: Way) -> bool:
    """Whether something has to happen first: a touchpoint, or another look at the qualification."""
    guard = way.transition.when
    asks = guard is not None and any(path.startswith("touchpoint.") for path in guard.paths)
    return asks or way.transition.trigger == "requalify"
