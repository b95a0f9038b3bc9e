"""
Clocks: what becomes of the promises of a ticket while time passes and things are said and done?

A clock goes `active`, `at_risk`, `breached` as its time passes, and stops as `hit` or `missed`; never back. How it ends
is decided by when the answer was given, not by when a timer went off, so timers may come late or not at all.

- `first_response` goes from the opening to our first answer. It does not start again.
- `next_response` goes from the customer's first message after our latest answer to the next one.
- `resolution` goes from the opening until the ticket is resolved. One that is reopened has another, which goes on with
  the time that was left: while it was resolved it stood still.

Automatic answers and internal notes are no answers. What is resolved needs no answer any more: a response clock that
still runs then is `cancelled`, or `missed` if its time was over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Final, NamedTuple

from msgspec import structs

from schema import sla
from schema.facts import Facts
from schema.journey.model import Journey
from schema.journey.service import Escalation
from schema.sla import FULL, Clock, Pause, Rule

RESPONSES: Final = ("first_response", "next_response")


class Ticket(NamedTuple):
    """How a ticket stands after all that happened to it. `answered`: we have answered it at some time."""

    status: str
    status_since: datetime
    opened_at: datetime
    answered: bool = False


class Entry(NamedTuple):
    """What was said or done: the kind of a ticket's entry, when, and whether a program wrote it."""

    kind: str
    at: datetime
    machine: bool = False


class Passed(NamedTuple):
    """
    A threshold, in per cent, that a clock came over, at a moment that may be long ago.

    `state` is the one that it came into thereby, if any; `escalations` what the policy says to do then.
    """

    clock: Clock
    percent: int
    at: datetime
    state: str | None
    escalations: tuple[Escalation, ...]


def policy(facts: Facts, journey: Journey, ticket: Mapping[str, Any]) -> str | None:
    """The policy of a ticket, of which `ticket` may be asked: the first one that holds; None: nothing is promised."""
    slas = journey.service.slas if journey.service else {}
    view = facts.context(journey)
    view.replace("ticket", ticket)
    held = (name for name, each in slas.items() if each.when is None or each.when.evaluate(view) is True)
    found = next(held, None)
    view.replace("ticket", None)
    return found


class Life:
    """
    The clocks and pauses of one ticket, as they become.

    `rules` gives the rule of a version and policy for a desk. `changed` are the clocks, by metric and cycle, and
    `paused` the beginnings of the pauses that have to be written.
    """

    def __init__(
        self,
        rules: Callable[[str, str, str | None], Rule],
        clocks: Iterable[Clock] = (),
        pauses: Iterable[Pause] = (),
    ) -> None:
        self._rules = rules
        self.clocks = {(clock.metric, clock.cycle): clock for clock in clocks}
        self.pauses = sorted(pauses)
        self.changed: set[tuple[str, int]] = set()
        self.paused: set[datetime] = set()

    def follow(
        self, ticket: Ticket, entries: Sequence[Entry], rule: Rule | None, now: datetime, *, chosen: bool = False
    ) -> list[Passed]:
        """
        Take up what happened to the ticket, oldest first, and what time has passed; return what is to be told.

        `rule` is that of the ticket's policy; `chosen`: it was chosen anew, as `choose` says.
        """
        passed: list[Passed] = []
        if chosen:
            passed += self.choose(ticket, rule, min([now, *(entry.at for entry in entries)]))
        for entry in entries:
            at = min(entry.at, now)
            passed += self._pass(at)
            if not entry.machine:
                self._hear(entry.kind, at, rule, ticket.opened_at)
        since = min(ticket.status_since, now)
        passed += self._pass(since)
        self._enter(ticket, since, rule)
        return passed + self._pass(now)

    def choose(self, ticket: Ticket, rule: Rule | None, at: datetime) -> list[Passed]:
        """
        Have the clocks be counted by another rule from a moment on; return what had passed by then.

        A clock that runs keeps its start, its state and what it told. What is breached stays with the rule that it
        broke, what is stopped stays as it is. A promise that the rule does not give is cancelled; one that there was
        not counts from now on.
        """
        passed = self._pass(at)
        for clock in self._running():
            target = _target(rule, clock.metric)
            if clock.state == "breached":
                continue
            if rule is None or target is None:
                self._stop(clock, at, answered=False)
            else:
                self._count(
                    structs.replace(clock, journey=rule.journey, policy=rule.policy, desk=rule.desk, target_s=target)
                )
        if not self._was_resolved() and ticket.status not in sla.ENDED:
            for metric in ("resolution",) if ticket.answered else ("first_response", "resolution"):
                earlier = self._of(metric)
                if all(clock.state == "cancelled" for clock in earlier):
                    start = earlier[-1].started_at if earlier else max(at, ticket.opened_at)
                    self._begin(metric, start, rule)
        return passed

    def next_moment(self) -> datetime | None:
        """When the next threshold is passed, if nothing happens until then."""
        return min((at for clock in self._running() if (at := self._next(clock)) is not None), default=None)

    # -- the ticket ----------------------------------------------------------------------------------------------------

    def _hear(self, kind: str, at: datetime, rule: Rule | None, opened_at: datetime) -> None:
        responses = self._of(*RESPONSES)
        waiting = [clock for clock in responses if clock.running]
        if kind == "opened":
            self._begin("first_response", opened_at, rule)
            self._begin("resolution", opened_at, rule)
        elif kind == "message_in" and not waiting:
            answered = [clock.stopped_at for clock in responses if clock.stopped_at]
            self._begin("next_response", max(at, opened_at, *answered), rule)
        elif kind == "message_out":
            for clock in waiting:
                if at >= clock.started_at:  # what was said before is no answer to it
                    self._stop(clock, at)

    def _enter(self, ticket: Ticket, since: datetime, rule: Rule | None) -> None:
        """Begin or end the pause that a status is, and what goes with being resolved."""
        last = self.pauses[-1] if self.pauses else None
        before = last.status if last and last.to_at is None else None
        now = ticket.status if ticket.status in sla.STILL else None
        if before == now or {before, now} == sla.ENDED:
            return
        if last is not None:
            since = max(since, last.to_at or last.from_at)
        if last is not None and before is not None:
            self._keep(last._replace(to_at=since))
        if now in sla.ENDED:
            for clock in self._running():
                self._stop(clock, since, answered=clock.metric == "resolution")
        if now is not None:
            self._keep(Pause(since, None, now))
        if before in sla.ENDED:
            earlier = self._of("resolution")[-1:]
            start = earlier[0].started_at if earlier else since
            self._begin("resolution", start, rule, told=earlier[0].told if earlier else ())
        for clock in self._running():
            self._count(clock)

    def _was_resolved(self) -> bool:
        """Whether the ticket was resolved before, if only for the very moment in which it was reopened."""
        done = any(clock.state in {"hit", "missed"} for clock in self._of("resolution"))
        return done or any(pause.status in sla.ENDED for pause in self.pauses)

    def _keep(self, pause: Pause) -> None:
        """Of two that begin at the same moment the first took no time, or is the same as it was before."""
        if self.pauses and self.pauses[-1].from_at == pause.from_at:
            self.pauses.pop()
        self.pauses.append(pause)
        self.paused.add(pause.from_at)

    # -- one clock -----------------------------------------------------------------------------------------------------

    def _begin(self, metric: str, at: datetime, rule: Rule | None, *, told: tuple[int, ...] = ()) -> None:
        target, earlier = _target(rule, metric), self._of(metric)
        if rule is not None and target is not None and not any(clock.running for clock in earlier):
            cycle = len(earlier) + 1
            self._count(Clock(metric, cycle, rule.journey, rule.policy, rule.desk, target, at, told=told))

    def _stop(self, clock: Clock, at: datetime, *, answered: bool = True) -> None:
        at = max(at, clock.started_at)
        time = sla.over(clock.started_at, self.pauses, self._rule(clock), at)
        in_time = "hit" if answered else "cancelled"
        state = in_time if time < sla.share(clock.target_s, FULL) else "missed"
        self._put(structs.replace(clock, state=state, stopped_at=at, worked_s=time // timedelta(seconds=1)))

    def _count(self, clock: Clock) -> None:
        """Say anew when its time is over."""
        at = sla.moment(clock.started_at, self.pauses, self._rule(clock), sla.share(clock.target_s, FULL))
        self._put(structs.replace(clock, due_at=at))

    def _pass(self, until: datetime) -> list[Passed]:
        """Let time pass for the clocks that run; return what they came over, in that order."""
        return sorted((one for clock in self._running() for one in self._over(clock, until)), key=attrgetter("at"))

    def _over(self, clock: Clock, until: datetime) -> Iterator[Passed]:
        rule = self._rule(clock)
        ahead = _ahead(clock, rule)
        if not ahead:
            return
        time = sla.over(clock.started_at, self.pauses, rule, until)
        for percent in ahead:
            if time < sla.share(clock.target_s, percent):
                break
            state = _state(clock, rule, percent)
            new = percent not in clock.told
            told = (*clock.told, percent) if new else clock.told
            clock = structs.replace(clock, state=state or clock.state, told=told)
            self._put(clock)
            at = sla.moment(clock.started_at, self.pauses, rule, sla.share(clock.target_s, percent))
            if new:
                escalations = tuple(one for one in rule.sla.escalate if one.at == percent)
                yield Passed(clock, percent, at or until, state, escalations)

    def _next(self, clock: Clock) -> datetime | None:
        rule = self._rule(clock)
        ahead = _ahead(clock, rule)
        if not ahead:
            return None
        return sla.moment(clock.started_at, self.pauses, rule, sla.share(clock.target_s, ahead[0]))

    def _put(self, clock: Clock) -> None:
        place = clock.metric, clock.cycle
        if self.clocks.get(place) != clock:
            self.clocks[place] = clock
            self.changed.add(place)

    def _of(self, *metrics: str) -> list[Clock]:
        return [clock for clock in self.clocks.values() if clock.metric in metrics]

    def _running(self) -> list[Clock]:
        return [clock for clock in self.clocks.values() if clock.running]

    def _rule(self, clock: Clock) -> Rule:
        return self._rules(clock.journey, clock.policy, clock.desk)


def _target(rule: Rule | None, metric: str) -> int | None:
    """The seconds of working time that a rule gives for a metric; None: it promises nothing."""
    time: timedelta | None = getattr(rule.sla, metric) if rule else None
    return None if time is None else time // timedelta(seconds=1)


def _ahead(clock: Clock, rule: Rule) -> list[int]:
    """The thresholds of its policy that have still to do with a clock, in order."""
    known = {rule.sla.at_risk, FULL, *(one.at for one in rule.sla.escalate)}
    return [percent for percent in sorted(known) if percent not in clock.told or _state(clock, rule, percent)]


def _state(clock: Clock, rule: Rule, percent: int) -> str | None:
    """The state that a clock comes into by a threshold; None: it stays in its own."""
    if percent == FULL:
        return None if clock.state == "breached" else "breached"
    return "at_risk" if percent == rule.sla.at_risk and clock.state == "active" else None
