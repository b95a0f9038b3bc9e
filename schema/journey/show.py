"""
A journey as people read it: every part of the file in plain sentences.

`sections` is what there is to say, without a layout; `printed` lays it out for a terminal or a file, in plain text.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from schema.journey import (
    campaign_words,
    contract_words,
    follow_up_words,
    kpi_words,
    pipeline_words,
    service_words,
    sla_words,
    survey_words,
    words,
)
from schema.journey.model import Criterion, Journey, Person, Pool, State, TouchPoints, Transition
from schema.journey.parts import Worked
from schema.journey.phrases import said
from schema.journey.question import Told, atoms
from schema.journey.source import Dedupe, Source

USUAL_STEPS: Final = Journey.model_fields["steps"].default
USUAL_WINDOW: Final = Dedupe().window
OTHERWISE: Final = "otherwise"


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence or entry; `depth` 0 stands by itself, each further one belongs to the last one above it."""

    depth: int
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the journey: the key of the file it comes from, a title and its lines."""

    part: str
    title: str
    lines: tuple[Line, ...]

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        lines = [{"depth": line.depth, "text": line.text} for line in self.lines]
        return {"part": self.part, "title": self.title, "lines": lines}


def sections(journey: Journey) -> list[Section]:
    """All there is to say of a journey, part by part; parts it does not have are left out."""
    told = (
        ("sources", "Where leads come from", _sources(journey)),
        ("identity", "Who is one person", _identity(journey)),
        ("steps", "Which steps a lead takes", _steps(journey)),
        ("qualify", "Who is qualified", _qualify(journey)),
        ("requalify", "Who is looked at again", _requalify(journey)),
        ("score", "How warm a lead is, 0 to 100", _score(journey)),
        ("route", "Who gets it", _route(journey)),
        ("people", "People", _people(journey)),
        ("lifecycle", "Where a lead can be, and the ways from there", _lifecycle(journey)),
        ("waiting", "What happens by itself, and when", _waiting(journey)),
        ("mail", "How campaigns write", (Line(1, text) for text in campaign_words.mail(journey))),
        ("campaigns", "Campaigns", _campaigns(journey)),
        ("follow_ups", "Work for people", _follow_ups(journey)),
        ("templates", "Messages", _templates(journey)),
        ("pipelines", "How possible sales are worked on", _pipelines(journey)),
        ("contracts", "What renews", _contracts(journey)),
        ("health", "How well a customer is, 0 to 100", _health(journey)),
        ("offers", "What is offered to customers", _offers(journey)),
        ("service", "How customers are helped", _service(journey)),
        ("surveys", "What customers are asked", _surveys(journey)),
        ("kpis", "How figures are counted", (Line(1 + depth, text) for depth, text in kpi_words.lines(journey.kpis))),
        ("lists", "Lists", _lists(journey)),
    )
    found = [Section(part, title, tuple(lines)) for part, title, lines in told]
    return [section for section in found if section.lines]


def printed(journey: Journey, width: int = 80) -> str:
    """The whole journey as text, no line longer than `width` where words allow."""
    departments = f" Departments: {', '.join(journey.departments)}." if journey.departments else ""
    head = [Line(0, f"{journey.name}, version {journey.version}.{departments}")]
    if journey.description:
        head.insert(0, Line(0, journey.description))
    text = [journey.label or journey.name, *_laid_out(head, width)]
    for section in sections(journey):
        text += ["", section.title.upper(), *_laid_out(section.lines, width)]
    return "\n".join(text) + "\n"


def _laid_out(lines: Iterable[Line], width: int) -> Iterator[str]:
    for line in lines:
        indent = "  " * line.depth
        yield from textwrap.wrap(
            line.text,
            width,
            initial_indent=indent,
            subsequent_indent=indent + "    ",
            break_long_words=False,
            break_on_hyphens=False,
        )


# -- sources -----------------------------------------------------------------------------------------------------------


def _sources(journey: Journey) -> Iterator[Line]:
    for name, source in journey.sources.items():
        yield Line(1, f"{name}: {_source(source)}")
    yield Line(1, f"Unless said otherwise, the same again within {words.time(USUAL_WINDOW)} is one arrival.")


def _source(source: Source) -> str:
    parts = [f"{source.label} ({source.kind})" if source.label else source.kind]
    parts += [] if source.enabled else ["switched off, takes nothing"]
    parts += [source.description.rstrip(".")] if source.description else []
    parts += [f"address {source.address}"] if source.address else []
    if source.map:
        parts.append("reads " + words.listing(f"{theirs} as {ours}" for theirs, ours in source.map.items()))
    parts += [f"national telephone numbers are of {source.region}"] if source.region else []
    parts += [f"may send on to {words.listing(source.redirect, 'or')}"] if source.redirect else []
    parts += [f"scripts of {words.listing(source.origins)} may post"] if source.origins else []
    if source.dedupe.window != USUAL_WINDOW:
        parts.append(f"the same again within {words.time(source.dedupe.window)} is one arrival")
    return "; ".join(parts) + "."


def _identity(journey: Journey) -> Iterator[Line]:
    if len(set(journey.identity.merge)) > 1:
        yield Line(1, "Two people are merged when one arrival carries an external id of one and the other's address.")


def _steps(journey: Journey) -> Iterator[Line]:
    if journey.steps != USUAL_STEPS:
        yield Line(1, f"{', '.join(journey.steps)}: in this order.")


# -- qualification -----------------------------------------------------------------------------------------------------


def _qualify(journey: Journey) -> Iterator[Line]:
    for number, criterion in enumerate(journey.qualify, 1):
        yield Line(1, f"{number}. {criterion.name}" + (f": {criterion.description}" if criterion.description else ""))
        yield Line(2, _criterion(criterion))
        if criterion.unknown == "ask" and not _always_answered(criterion):
            yield Line(2, _asked(criterion))


def _criterion(criterion: Criterion) -> str:
    verb = "Passes" if criterion.require else "Fails"
    reason = criterion.reason or criterion.name
    unknown = {"ask": "", "pass": " Who has not told passes.", "fail": " Who has not told fails."}[criterion.unknown]
    return f"{verb} if {said(criterion.rule)}; who fails is disqualified: {reason}.{unknown}"


def _always_answered(criterion: Criterion) -> bool:
    """Whether something is known or not can always be told."""
    return all(isinstance(atom, Told) for atom in atoms(criterion.rule.tree))


def _asked(criterion: Criterion) -> str:
    question = f"asked: “{criterion.question}”" if criterion.question else "to be asked"
    if not criterion.within:
        return f"Who has not told is {question}."
    verdict = "passes" if criterion.otherwise == "pass" else "fails"
    return f"Who has not told is {question} Without an answer within {words.time(criterion.within)} it {verdict}."


def _requalify(journey: Journey) -> Iterator[Line]:
    policies = journey.requalify
    for reason, policy in policies.items():
        yield Line(1, f"{'any other reason' if reason == OTHERWISE else reason}: {words.again(policy)}.")
    if journey.qualify and OTHERWISE not in policies:
        yield Line(1, "Any other reason: never." if policies else "Nobody: who is disqualified stays so.")


# -- score -------------------------------------------------------------------------------------------------------------


def _score(journey: Journey) -> Iterator[Line]:
    rules = journey.score
    if rules.fit:
        yield Line(1, "Fit: who they are. It does not age.")
    for rule in rules.fit:
        label = f"{rule.label}{_group(rule.group)}: " if rule.label else f"{_group(rule.group, '{}: ')}"
        yield Line(2, f"{rule.points:+d}  {label}{said(rule.when)}")
    if rules.engagement.on:
        halved = words.time(rules.engagement.half_life)
        yield Line(
            1, f"Engagement: what they do. It halves every {halved} and is at most {rules.engagement.cap} together."
        )
    for name, points in rules.engagement.on.items():
        yield Line(2, f"{points.points:+d}  {name}{_limits(points)}")
    for name, group in rules.groups.items():
        floor = f" and at least {group.floor}" if group.floor > -100 else ""  # noqa: PLR2004 - the least there is
        yield Line(1, f"Group {name}: at most {group.cap}{floor} together.")
    if rules.grades:
        yield Line(1, f"Grades: {_thresholds(rules.grades)}.")
    if rules.grid:
        yield Line(1, f"Grid: fit {_thresholds(rules.grid.fit)}; engagement {_thresholds(rules.grid.engagement)}.")
    if rules.engagement.on.keys() & set(rules.machines.kinds):
        yield Line(1, _machines(journey))


def _group(name: str | None, form: str = " (group {})") -> str:
    return form.format(name) if name else ""


def _limits(points: TouchPoints) -> str:
    within = f" within any {words.time(points.per)}" if points.per else ""
    parts = [f"at most {points.max} count{within}"] if points.max else []
    parts += [f"halves every {words.time(points.half_life)}"] if points.half_life else []
    parts += [f"group {points.group}"] if points.group else []
    return f" ({', '.join(parts)})" if parts else ""


def _thresholds(least: Mapping[str, int]) -> str:
    return ", ".join(f"{name} from {points}" for name, points in least.items())


def _machines(journey: Journey) -> str:
    rules = journey.score.machines
    return (
        f"Not counted, because a scanner did it: {words.listing(rules.kinds, 'or')} that comes {rules.burst} times or "
        f"more within {words.time(rules.within)}, or sooner than {words.time(rules.after_send)} after a message left."
    )


# -- routing -----------------------------------------------------------------------------------------------------------


def _route(journey: Journey) -> Iterator[Line]:
    route = journey.route
    for number, (name, pool) in enumerate(route.pools.items(), 1):
        yield from _pool(journey, number, name, pool)
    if route.accept_within:
        yield Line(1, _acceptance(journey, route.accept_within))
    if route.sticky:
        yield Line(1, f"Who comes back within {words.time(route.sticky)} gets the owner they had.")


def _pool(journey: Journey, number: int, name: str, pool: Pool) -> Iterator[Line]:
    label = f" ({pool.label})" if pool.label else ""
    when = f"if {said(pool.when)}" if pool.when else "whatever is left"
    yield Line(1, f"{number}. {name}{label}: {when}.")
    shares = words.shares(pool.members)
    yield Line(2, "; ".join(f"{_named(journey, member)}: {share}" for member, share in shares.items()) + ".")
    if pool.fits:
        yield Line(2, f"Only to those for whom: {said(pool.fits)}.")
    if found := _hours(journey, pool):
        yield Line(2, f"Given out {found}; else leads wait here.")
    if pool.accept_within:
        yield Line(2, f"To be accepted within {words.time(pool.accept_within)}.")


def _acceptance(journey: Journey, within: timedelta) -> str:
    route = journey.route
    parts = [f"To be accepted within {words.time(within)} of working time"]
    parts += [f"the owner is reminded after {words.time(route.remind_after)}"] if route.remind_after else []
    parts += [f"then it is handed on to the next in turn, {words.times(route.hand_on)}"] if route.hand_on else []
    parts += [f"and at last to {_named(journey, route.escalate_to)}"] if route.escalate_to else []
    return "; ".join(parts) + "."


def _named(journey: Journey, short: str) -> str:
    person = journey.people.get(short)
    return f"{short} ({person.name})" if person and person.name else short


def _hours(journey: Journey, worked: Worked) -> str:
    if worked.calendar:
        calendar = journey.calendars.get(worked.calendar)
        return f"in the hours of {worked.calendar}: {words.hours(calendar)}" if calendar else ""
    return f"on {words.hours(worked.hours)}" if worked.hours else ""


def _people(journey: Journey) -> Iterator[Line]:
    for short, person in journey.people.items():
        yield Line(1, f"{short}: {_person(journey, person)}.")
    if journey.people:
        yield Line(
            1, "Who has no hours of their own works when their pool does; who has no limit takes any number of leads."
        )


def _person(journey: Journey, person: Person) -> str:
    parts = [", ".join(part for part in (person.name, person.email, person.tz) if part)]
    parts += [f"department {person.department}"] if person.department else []
    parts += [f"speaks {words.listing(person.speaks)}"] if person.speaks else []
    parts += [f"skills {words.listing(person.skills)}"] if person.skills else []
    parts += [f"takes {words.capacity(person.capacity)}"] if person.capacity else []
    parts += [f"works {hours}"] if (hours := _hours(journey, person)) else []
    parts += [f"gets a mail at {person.digest} with what is due"] if person.digest else []
    return "; ".join(parts)


# -- lifecycle ---------------------------------------------------------------------------------------------------------


def _lifecycle(journey: Journey) -> Iterator[Line]:
    for name, state in journey.lifecycle.items():
        notes = (["every lead starts here"] if name == journey.initial else []) + (["final"] if state.final else [])
        notes += [f"counts as {state.outcome}"] if state.outcome else []
        title = f"{state.label} ({name})" if state.label else name
        yield Line(1, title + (f" - {', '.join(notes)}" if notes else ""))
        if state.description:
            yield Line(2, state.description)
        if about := _about(state):
            yield Line(2, f"{about}.")
        for transition, target in state.to.items():
            yield Line(2, _way(journey, transition, target))


def _about(state: State) -> str:
    parts = [f"department {state.department}"] if state.department else []
    parts += [f"system {state.system}"] if state.system else []
    parts += [f"SLA {words.time(state.sla)}"] if state.sla else []
    parts += [f"measured: {', '.join(state.kpis)}"] if state.kpis else []
    text = "; ".join(parts)
    return text[:1].upper() + text[1:]


def _way(journey: Journey, name: str, target: str) -> str:
    transition = journey.transition(name)
    called = f"{name} ({transition.label})" if transition.label else name
    details = [_trigger(transition)]
    if len(transition.reason) > 1:
        details.append(f"for one of: {', '.join(transition.reason)}")
    elif transition.reason:
        details.append(f"reason {transition.reason[0]}")
    details += [f"by {transition.department}"] if transition.department else []
    details += [f"in {transition.system}"] if transition.system else []
    details += [f"measured: {', '.join(transition.kpis)}"] if transition.kpis else []
    described = f" {transition.description}" if transition.description else ""
    return f"-> {journey.lifecycle[target].label or target}, by {called}: {'; '.join(details)}.{described}"


def _trigger(transition: Transition) -> str:
    if transition.trigger == "requalify":
        return "by itself when nothing speaks against a disqualified lead any more"
    when = f" if {said(transition.when)}" if transition.when else ""
    if transition.trigger == "manual":
        return f"when somebody asks for it{',' if when else ''}{when}"
    return f"by itself{f' after {words.time(transition.after)}' if transition.after else ''}{when}"


# -- time --------------------------------------------------------------------------------------------------------------


def _waiting(journey: Journey) -> Iterator[Line]:
    """Everything that a clock sets off, in the order of a lead's life."""
    for criterion in journey.qualify:
        if criterion.within:
            verdict = "passes" if criterion.otherwise == "pass" else "fails"
            yield Line(
                1, f"{words.time(criterion.within)} after being asked, without an answer: {criterion.name} {verdict}."
            )
    for reason, policy in journey.requalify.items():
        if policy.after:
            yield Line(1, f"{words.time(policy.after)} after a no for {reason}: asked anew.")
    if journey.score.engagement.on and (journey.score.grades or journey.score.grid):
        yield Line(1, "When points have faded so far that the grade changes: scored, routed and moved anew.")
    yield from _acceptance_times(journey)
    for name, state in journey.lifecycle.items():
        if state.sla:
            yield Line(1, f"{words.time(state.sla)} in {name}: told as overdue.")
        for transition, target in state.to.items():
            after = journey.transition(transition).after
            if after:
                when = journey.transition(transition).when
                condition = f" if {said(when)}" if when else ""
                yield Line(1, f"{words.time(after)} in {name}: moved to {target} by {transition}{condition}.")


def _acceptance_times(journey: Journey) -> Iterator[Line]:
    route = journey.route
    if route.remind_after:
        yield Line(1, f"{words.time(route.remind_after)} after a lead was given out: its owner is reminded.")
    if route.accept_within:
        yield Line(1, f"{words.time(route.accept_within)} after a lead was given out and not accepted: handed on.")
    for name, pool in route.pools.items():
        if pool.accept_within:
            yield Line(1, f"{words.time(pool.accept_within)} in pool {name} instead.")


def _campaigns(journey: Journey) -> Iterator[Line]:
    for name, campaign in journey.campaigns.items():
        title = f"{campaign.label} ({name})" if campaign.label else name
        yield Line(1, f"{title} - {campaign_words.headline(campaign)}")
        if campaign.description:
            yield Line(2, campaign.description)
        for text in campaign_words.lines(campaign):
            yield Line(2, text)
        for number, step in enumerate(campaign.steps, 1):
            called = f"{step.name}: " if step.name else ""
            yield Line(2, f"{number}. {called}{campaign_words.step(step)}")


def _contracts(journey: Journey) -> Iterator[Line]:
    if journey.contracts:
        yield from (Line(1, text) for text in contract_words.contracts(journey.contracts))


def _health(journey: Journey) -> Iterator[Line]:
    if journey.health:
        yield from (Line(1 + depth, text) for depth, text in contract_words.health(journey.health))


def _offers(journey: Journey) -> Iterator[Line]:
    yield from (Line(1, contract_words.offer(name, offer)) for name, offer in journey.offers.items())


def _service(journey: Journey) -> Iterator[Line]:
    told = (*service_words.lines(journey), *sla_words.policies(journey))
    yield from (Line(1 + depth, text) for depth, text in told)


def _pipelines(journey: Journey) -> Iterator[Line]:
    for name, pipeline in journey.pipelines.items():
        title = f"{pipeline.label} ({name})" if pipeline.label else name
        yield Line(1, f"{title} - {pipeline_words.headline(pipeline)}")
        yield from (Line(2, text) for text in pipeline_words.lines(pipeline))


def _surveys(journey: Journey) -> Iterator[Line]:
    for name, survey in journey.surveys.items():
        yield Line(1, survey_words.title(name, survey))
        yield from (Line(2, text) for text in survey_words.lines(survey))


def _follow_ups(journey: Journey) -> Iterator[Line]:
    for name, rule in journey.follow_ups.items():
        yield Line(1, follow_up_words.title(name, rule))
        yield from (Line(2, text) for text in follow_up_words.lines(rule, _hours(journey, rule)))


def _templates(journey: Journey) -> Iterator[Line]:
    for name, template in journey.templates.items():
        yield Line(1, f"{template.label} ({name})" if template.label else name)
        yield from (Line(2, text) for text in campaign_words.template(template))


def _lists(journey: Journey) -> Iterator[Line]:
    for name, items in journey.lists.items():
        yield Line(1, f"{name}: {', '.join(items)}.")
