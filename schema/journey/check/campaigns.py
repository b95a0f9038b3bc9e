"""Campaigns: steps that lead on and are reached, people who can enter and are not out again at once, and an end."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from schema.journey.campaign import Campaign, Enter, Step
from schema.journey.check.finding import Finding, View, key, warning
from schema.journey.document import Path
from schema.journey.expressions import Expression
from schema.journey.fields import FIELDS, kind, nearest
from schema.journey.holds import can_hold, follows
from schema.journey.question import Compare, Every, Tree
from schema.journey.words import time

WAITS_FOR_GOAL = "goal"
"""What the place is called where an enrolment waits for its goal after the last step."""


def names(view: View) -> Iterator[Finding]:
    """Names that are not there: states, departments, people, fields, templates; and steps that share one."""
    known = view.journey.departments
    for path, campaign in _campaigns(view):
        if known and campaign.department not in {None, *known}:
            message = f"{campaign.department} is not among the departments"
            yield _missing((*path, "department"), message, str(campaign.department), known)
        for at, way in enumerate(campaign.enter):
            yield from _ways_in(view, (*path, "enter", at), way)
        for at, step in enumerate(campaign.steps):
            yield from _step(view, (*path, "steps", at), step)
            name = campaign.names[at]
            if name in campaign.names[:at]:
                yield Finding((*path, "steps", at, "name"), f"{name} stands twice; each step has a name of its own")


def _ways_in(view: View, path: Path, way: Enter) -> Iterator[Finding]:
    states = view.journey.lifecycle
    if way.state and way.state not in states:
        yield _missing((*path, "state"), f"there is no state {way.state}", way.state, states)
    if way.date and kind(way.date) not in {"moment", "any"}:
        could = [name for name, of in FIELDS.items() if of in {"moment", "map"}]
        near = nearest(way.date, could) or "; write it as in person.custom.renewal"
        yield Finding((*path, "date"), f"{way.date} is not a field with a date{near}")


def _step(view: View, path: Path, step: Step) -> Iterator[Finding]:
    journey = view.journey
    if step.send and step.send not in journey.templates:
        yield _missing((*path, "send"), f"there is no template {step.send}", step.send, journey.templates)
    to = step.follow_up.to if step.follow_up else "owner"
    if to not in {"owner", *journey.people}:
        yield _missing((*path, "follow_up", "to"), f"there is no person {to}", to, ["owner", *journey.people])
    if step.name == WAITS_FOR_GOAL:
        message = f"{WAITS_FOR_GOAL} is what waiting for the goal is called; give the step another name"
        yield Finding((*path, "name"), message)


def _campaigns(view: View) -> Iterator[tuple[Path, Campaign]]:
    for name, campaign in view.journey.campaigns.items():
        yield ("campaigns", name), campaign


def _missing(path: Path, message: str, wrong: str, known: object) -> Finding:
    there = [str(name) for name in known] if isinstance(known, (list, tuple, dict)) else []
    listed = f"; there are {', '.join(there[:8])}" if there else ""
    return Finding(path, message + (nearest(wrong, there) or listed))


_OUR_KINDS = (
    "form",
    "email",
    "email.reply",
    "email.open",
    "email.click",
    "email.bounce",
    "email.complaint",
    "email.unsubscribe",
    "email.preferences",
    "opt_in.confirmed",
)
"""Kinds of touchpoints that come by themselves; all others are what a business's own sources call them."""


def kinds(view: View) -> Iterator[Finding]:
    """Events that nothing of ours is called, where something is called nearly so."""
    for path, campaign in _campaigns(view):
        for part in ("enter", "exit"):
            for at, way in enumerate(getattr(campaign, part)):
                event = way.event
                if event is None or event in _OUR_KINDS or event in view.journey.score.engagement.on:
                    continue
                near = [f"email.{event}"] if f"email.{event}" in _OUR_KINDS else None
                near = near or difflib.get_close_matches(event, _OUR_KINDS, n=1, cutoff=0.8)
                if near:
                    message = f"{event} only comes if a source of yours sends it; did you mean {near[0]}?"
                    yield warning((*path, part, at, "event"), message)


# -- ways through ------------------------------------------------------------------------------------------------------


def jumps(view: View) -> Iterator[Finding]:
    """Jumps to steps that are not there or stand above, and steps that nobody comes to."""
    for path, campaign in _campaigns(view):
        wrong = list(_wrong_jumps(path, campaign))
        yield from wrong
        if wrong:
            continue
        come_to = {0}
        for at in range(len(campaign.steps)):
            if at in come_to:
                come_to.update(campaign.following(at))
            else:
                message = "nobody comes to this step: the one before leads elsewhere, and none leads here"
                yield key((*path, "steps", at), message)


def _wrong_jumps(path: Path, campaign: Campaign) -> Iterator[Finding]:
    for at, step in enumerate(campaign.steps):
        for inner, target in _targets(step):
            where = (*path, "steps", at, *inner)
            if target not in campaign.names:
                yield _missing(where, f"there is no step {target}", target, campaign.names[at + 1 :])
            elif campaign.place(target) <= at:
                message = f"{target} does not stand further down: steps only lead forward, so that there is an end"
                yield Finding(where, message)


def _targets(step: Step) -> Iterator[tuple[Path, str]]:
    if step.go:
        yield ("go",), step.go
    if step.otherwise:
        yield ("otherwise",), step.otherwise
    for at, way in enumerate(step.branch or ()):
        yield ("branch", at, "go"), way.go
    for name in step.split or ():
        yield ("split", name), name


def ways(view: View) -> Iterator[Finding]:
    """Ways of a branch that come after one that is always taken."""
    for path, campaign in _campaigns(view):
        for at, step in enumerate(campaign.steps):
            taken = False
            for number, way in enumerate(step.branch or ()):
                if taken:
                    message = "a way above is always taken, so this one never is"
                    yield key((*path, "steps", at, "branch", number), message)
                taken = taken or way.when is None


# -- who enters, and how it ends ---------------------------------------------------------------------------------------


def entering(view: View) -> Iterator[Finding]:
    """Ways in that are never open, and goals and exits that hold for everybody who comes in."""
    for path, campaign in _campaigns(view):
        open_ways: list[Tree | None] = []
        for at, way in enumerate(campaign.enter):
            where: Path = (*path, "enter", at)
            if (*where, "when") in view.unread:
                open_ways.append(None)
                continue
            tree = _enters(way)
            if tree and way.state and way.when and can_hold(view.world, (tree, "true")) is None:
                message = f"this never holds for who comes into {way.state}, so nobody enters here"
                yield Finding((*where, "when"), message)
            else:
                open_ways.append(tree)
        for where, leaves in _ends(path, campaign):
            if where in view.unread or _about_deeds(leaves):
                continue
            at_once = [tree is not None and follows(view.world, tree, leaves.tree) for tree in open_ways]
            if at_once and all(at_once):
                yield Finding(where, "this holds for everybody who would enter, so nobody does")
            elif any(at_once):
                number = at_once.index(True) + 1
                message = f"this holds for everybody who would enter by way {number}, so nobody enters there"
                yield warning(where, message)


def _enters(way: Enter) -> Tree | None:
    """What is sure about somebody who comes in this way."""
    state: Tree | None = Compare("state", "==", way.state) if way.state else None
    when = way.when.tree if way.when and not _about_deeds(way.when) else None
    return Every((state, when)) if state and when else state or when


def _about_deeds(question: Expression) -> bool:
    """Whether it asks about touchpoints: which ones count is another question at each place."""
    return any(path.startswith("touchpoint") for path in question.paths)


def _ends(path: Path, campaign: Campaign) -> Iterator[tuple[Path, Expression]]:
    if campaign.goal:
        yield (*path, "goal", "when"), campaign.goal.when
    for at, way in enumerate(campaign.exit):
        if way.when:
            yield (*path, "exit", at, "when"), way.when


def again(view: View) -> Iterator[Finding]:
    """Campaigns that somebody would go through again and again without any time passing."""
    for path, campaign in _campaigns(view):
        level = [at for at, way in enumerate(campaign.enter) if not (way.state or way.event or way.date)]
        if not level or campaign.again not in {"after_exit", "always"} or any(_wrong_jumps(path, campaign)):
            continue
        within = campaign.goal.within if campaign.goal else None
        if not (within or timedelta()) and not shortest(campaign)[len(campaign.steps)]:
            message = (
                "whoever this holds for could enter again the moment it is over, round and round: "
                "write `again: once` or a while as in 30d, or add a wait"
            )
            yield Finding((*path, "enter", level[0], "when"), message)


# -- time --------------------------------------------------------------------------------------------------------------


def shortest(campaign: Campaign) -> list[timedelta | None]:
    """How soon each step can be come to, and after them the end; None for what is never come to."""
    return _arrivals(campaign, min, lambda step: step.wait or timedelta())


def _arrivals(
    campaign: Campaign, choose: Callable[[Sequence[timedelta]], timedelta], takes: Callable[[Step], timedelta]
) -> list[timedelta | None]:
    found: list[list[timedelta]] = [[] for _ in range(len(campaign.steps) + 1)]
    found[0] = [timedelta()]
    for at, step in enumerate(campaign.steps):
        if found[at]:
            leaves = choose(found[at]) + takes(step)
            for following in campaign.following(at) if step.exit is None else (len(campaign.steps),):
                found[following].append(leaves)
    return [choose(moments) if moments else None for moments in found]


def goals(view: View) -> Iterator[Finding]:
    """Steps that come when the goal does not count any more, and groups held out for nothing."""
    for path, campaign in _campaigns(view):
        within = campaign.goal.within if campaign.goal else None
        if campaign.holdout and campaign.goal is None:
            yield warning((*path, "holdout"), "without a goal there is nothing to compare: give the campaign a `goal`")
        if campaign.audience and (campaign.audience.expect or 0) > campaign.audience.most:
            message = f"more are expected than may enter, {campaign.audience.most}: it would always wait for approval"
            yield Finding((*path, "audience", "expect"), message)
        if not within or any(_wrong_jumps(path, campaign)):
            continue
        for at, (step, soonest) in enumerate(zip(campaign.steps, shortest(campaign), strict=False)):
            waited = step.wait or step.timeout
            where = (*path, "steps", at, "wait" if step.wait else "timeout")
            if waited and waited > within:
                yield warning(where, f"this is longer than the goal counts, {time(within)}")
            elif step.send and soonest is not None and soonest >= within:
                message = f"this goes out after {time(soonest)} or later, when the goal does not count any more"
                yield warning((*path, "steps", at, "send"), message)


def endings(view: View) -> Iterator[Finding]:
    """Waits that nothing follows."""
    for path, campaign in _campaigns(view):
        last = campaign.steps[-1]
        if last.wait is not None and campaign.again != "after_exit":
            message = "nothing follows this wait: leave it out"
            yield warning((*path, "steps", len(campaign.steps) - 1, "wait"), message)
