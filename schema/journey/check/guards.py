"""Questions: about what is known by then, with answers that can be, and neither never nor always true."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from schema.journey.check.finding import Finding, View, warning
from schema.journey.document import Path
from schema.journey.expressions import Expression
from schema.journey.fields import nearest
from schema.journey.holds import World, can_hold
from schema.journey.model import Journey
from schema.journey.question import Always, Among, Atom, Compare, Contains, Every, Not, Some, Told, Tree, Value, atoms

MOST_PARTS = 12
_DECIDED = {"qualification": "qualify", "score": "score", "owner": "route", "pool": "route"}
"""The step that finds out about each field."""
_FORMS = {
    "person.country": (r"[A-Z]{2}", "two capitals, as in DE"),
    "company.domain": (r"[^A-Z\s/@]+\.[^A-Z\s/@]+", "small letters without www, as in example.com"),
    "person.language": (r"[a-z]{2,3}(-.+)?", "small letters, as in de"),
}
"""How the values of some fields are written, whatever came in."""
_NOUNS = {
    "source": "source",
    "owner": "person",
    "pool": "pool",
    "state": "state",
    "score.grade": "grade",
    "score.cell": "cell of the grid",
    "qualification.reason": "reason of a criterion",
    "qualification.outcome": "outcome",
    "opportunity.status": "status of an opportunity",
    "opportunity.pipeline": "pipeline",
    "opportunity.stage": "stage of a pipeline",
    "member.name": "person",
}


_SUBJECTS = {
    "ticket": "the ticket that something is asked about; it is known in `service`, in `surveys`, and in `follow_ups` "
    "whose `event` is one of tickets",
    "opportunity": "the opportunity that something happens to; it is known in `follow_ups` whose `event` is one of "
    "opportunities",
}
"""What a question may only be put about where there is one."""
_EFFECTS = {
    "enter": "lets anybody in",
    "exit": "ends it for anybody",
    "goal": "is reached",
    "steps": "leads anybody this way",
}
"""What happens where a question of a campaign holds."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question of the file: where, in which step, and what happens where it holds."""

    path: Path
    expression: Expression
    step: str
    effect: str


def _questions(journey: Journey) -> Iterator[_Asked]:
    for at, criterion in enumerate(journey.qualify):
        way = "require" if criterion.require else "reject"
        effect = "lets a lead through" if criterion.require else "turns a lead away"
        yield _Asked(("qualify", at, way), criterion.rule, "qualify", effect)
    for at, rule in enumerate(journey.score.fit):
        yield _Asked(("score", "fit", at, "when"), rule.when, "score", "gives a lead these points")
    for name, pool in journey.route.pools.items():
        if pool.when:
            yield _Asked(("route", "pools", name, "when"), pool.when, "route", "brings a lead here")
        if pool.fits:
            yield _Asked(("route", "pools", name, "fits"), pool.fits, "route", "lets somebody have a lead")
    for name, transition in journey.transitions.items():
        if transition.when:
            yield _Asked(("transitions", name, "when"), transition.when, "advance", "moves a lead")
    for name, campaign in journey.campaigns.items():
        for place, question in campaign.questions():
            yield _Asked(("campaigns", name, *place), question, "advance", _EFFECTS[str(place[0])])
    yield from _of_follow_ups(journey)
    yield from _of_service(journey)
    yield from _of_customers(journey)


def _of_follow_ups(journey: Journey) -> Iterator[_Asked]:
    for name, rule in journey.follow_ups.items():
        if rule.when:
            yield _Asked(("follow_ups", name, "when"), rule.when, "advance", "makes any work")
    for name, survey in journey.surveys.items():
        if survey.when:
            yield _Asked(("surveys", name, "when"), survey.when, "advance", "has anybody asked")


def _of_customers(journey: Journey) -> Iterator[_Asked]:
    for at, rule in enumerate(journey.health.rules if journey.health else ()):
        yield _Asked(("health", "rules", at, "when"), rule.when, "advance", "gives a customer these points")
    for name, offer in journey.offers.items():
        yield _Asked(("offers", name, "when"), offer.when, "advance", "is offered to anybody")


def _of_service(journey: Journey) -> Iterator[_Asked]:
    for name, sla in (journey.service.slas if journey.service else {}).items():
        if sla.when:
            yield _Asked(("service", "slas", name, "when"), sla.when, "advance", "is a ticket's policy")


def answers(view: View) -> Iterator[Finding]:
    """Everything about each question by itself."""
    for asked in _questions(view.journey):
        if asked.path in view.unread:
            continue
        wrong = [*_timely(view.journey, asked), *_values(view.world, asked)]
        yield from wrong
        if all(finding.severity == "warning" for finding in wrong):
            yield from _ever(view.world, asked)


def _timely(journey: Journey, asked: _Asked) -> Iterator[Finding]:
    """What is found out only later, or never."""
    for path, at in asked.expression.places.items():
        root = path.partition(".")[0]
        if root == "member" and asked.path[-1] != "fits":
            message = f"{path} is the person a pool asks about; it is known in `fits` of a pool only"
            yield Finding(asked.path, message, at=at)
        if root in _SUBJECTS and not _is_about(journey, asked.path, root):
            yield Finding(asked.path, f"{path} is {_SUBJECTS[root]}", at=at)
        for kept, key in (("person.health", "health"), ("person.contracts", "contracts")):
            if path.startswith(kept) and getattr(journey, key) is None:
                message = f"{path} is never known: the journey has no `{key}`"
                yield Finding(asked.path, message, at=at)
        by = _DECIDED.get(root)
        if by is None or asked.step not in journey.steps:
            continue
        if by not in journey.steps:
            yield Finding(asked.path, f"{path} is never known: the step {by} is not among the steps", at=at)
        elif journey.steps.index(by) >= journey.steps.index(asked.step):
            message = f"{path} is not known yet when a lead first comes here: {by} finds it out later"
            yield warning(asked.path, message, at=at)


def _is_about(journey: Journey, path: Path, root: str) -> bool:
    """Whether a question is put about a ticket, or about an opportunity."""
    begins = ("ticket.", "service.delivered") if root == "ticket" else ("opportunity.",)
    if path[0] == "service":
        return root == "ticket"
    if path[0] == "follow_ups":
        return any(event.startswith(begins) for event in journey.follow_ups[str(path[1])].event)
    return path[0] == "surveys" and root == "ticket"


def _values(world: World, asked: _Asked) -> Iterator[Finding]:
    """Texts that a field is compared with and never has."""
    for atom in atoms(asked.expression.tree):
        if isinstance(atom, Compare | Among):
            yield from _value(world, asked, atom)


def _value(world: World, asked: _Asked, atom: Compare | Among) -> Iterator[Finding]:
    given = _given(atom)
    known = world.values.get(atom.term)
    if known is not None:
        wrong = sorted(value for value in given if value not in known)
        if wrong and (not _from_list(atom) or len(wrong) == len(given)):
            noun = _NOUNS.get(atom.term, atom.term)
            there = f"; there are {', '.join(sorted(known)[:8])}" if known else ""
            message = f"there is no {noun} {wrong[0]}{nearest(wrong[0], sorted(known)) or there}"
            yield Finding(asked.path, message, at=atom.at)
    form, words = _FORMS.get(atom.term, ("", ""))
    odd = next((value for value in sorted(given) if form and not re.fullmatch(form, value)), None)
    if odd is not None:
        yield warning(asked.path, f"{atom.term} is never written as {odd!r}: it is {words}", at=atom.at)


def _given(atom: Compare | Among) -> list[str]:
    values: list[Value] = list(atom.values) if isinstance(atom, Among) else [atom.value]
    return [value for value in values if isinstance(value, str)]


def _from_list(atom: Atom) -> bool:
    return isinstance(atom, Among) and bool(atom.named)


def _ever(world: World, asked: _Asked) -> Iterator[Finding]:
    """A question that can never hold, in whole or in part, or that holds whoever the lead is."""
    tree = asked.expression.tree
    if can_hold(world, (tree, "true")) is None:
        yield Finding(asked.path, f"this can never hold, so it never {asked.effect}{_because(world, tree)}")
        return
    if can_hold(world, (tree, "not true")) is None:
        if not (isinstance(tree, Always) and asked.step == "score"):
            yield warning(asked.path, f"this always holds, so it always {asked.effect}: leave it out, or ask for more")
        return
    if can_hold(world, (tree, "false")) is None and not _about_presence(tree):
        yield warning(asked.path, "this holds wherever it is known: ask has(…) if that is meant")
        return
    for part in tree.parts if isinstance(tree, Some) else ():
        if can_hold(world, (part, "true")) is None:
            first = next(atoms(part))
            at = None if isinstance(first, Always) else first.at
            yield warning(asked.path, f"this part can never hold{_because(world, part)}", at=at)


def _about_presence(tree: Tree) -> bool:
    """Whether the question is one of knowing something at all, as has() and size() are, or more than can be said."""
    plain = (isinstance(atom, Compare | Among) and not atom.term.startswith("size(") for atom in atoms(tree))
    return not all(plain)


def _because(world: World, tree: Tree) -> str:
    """What is in the way, where one comparison alone is: the range of a number, or points nobody can have."""
    for atom in atoms(tree):
        if isinstance(atom, Compare) and atom.term in world.limits and can_hold(world, (atom, "true")) is None:
            low, high = world.limits[atom.term]
            return (
                f": {atom.term} is {low:g} to {high:g}" if high < float("inf") else f": {atom.term} is {low:g} or more"
            )
        if isinstance(atom, Compare) and atom.term.startswith("size(") and can_hold(world, (atom, "true")) is None:
            inner = atom.term.removeprefix("size(").removesuffix(")")
            return f": what is empty is unknown; ask !has({inner})"
        if isinstance(atom, Compare) and atom.value == "":
            return f": what is empty is unknown; ask !has({atom.term})"
    return _excluding(world, tree)


def _excluding(world: World, tree: Tree) -> str:
    """Two parts of an `a && b` that exclude each other."""
    parts = tree.parts[:MOST_PARTS] if isinstance(tree, Every) else ()
    for one, other in combinations(parts, 2):
        said = [_said(one), _said(other)]
        if all(said) and can_hold(world, (one, "true"), (other, "true")) is None:
            return f": {said[0]} and {said[1]} exclude each other"
    return ""


def _said(tree: Tree) -> str:
    """A simple part as it is written; empty for what is longer."""
    if isinstance(tree, Not):
        return f"!({inner})" if (inner := _said(tree.part)) else ""
    if isinstance(tree, Compare):
        return f"{tree.term} {tree.sign} {json.dumps(tree.value, ensure_ascii=False)}"
    if isinstance(tree, Among):
        return f"{tree.term} in {tree.named or json.dumps(sorted(map(str, tree.values)), ensure_ascii=False)}"
    if isinstance(tree, Contains):
        return f"{json.dumps(tree.value, ensure_ascii=False)} in {tree.term}"
    return f"has({tree.term})" if isinstance(tree, Told) else ""


def lists(view: View) -> Iterator[Finding]:
    """Named lists that are empty or that nothing asks about."""
    named = {
        name
        for asked in _questions(view.journey)
        for name in re.findall(r"lists\s*\.\s*(\w+)", asked.expression.source)
    }
    for name, items in view.journey.lists.items():
        if name not in named and not view.unread:
            yield warning(("lists", name), "no expression asks about this list", of_key=True)
        elif not items:
            yield warning(("lists", name), "this list is empty, so nothing is in it", of_key=True)
        twice = next((at for at, item in enumerate(items) if item in items[:at]), None) if len(items) < 1000 else None  # noqa: PLR2004 - squared
        if twice is not None:
            yield warning(("lists", name, twice), f"{items[twice]} stands in this list twice")
