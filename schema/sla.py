"""
Service levels: what a ticket's clocks count, and the arithmetic of it.

A clock counts the working time since it was started, without the pauses that stop it: it has so much time, however the
hours of the day fall. What is over at a moment, and the moment at which so much is over, follow from its rule, its
start and the ticket's pauses alone; whatever is kept beside them can be counted again. Pure and exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from schema.hours import Hours, hours
from schema.journey.model import Journey
from schema.journey.service import Sla

STILL: Final = frozenset({"waiting", "on_hold", "resolved", "closed"})
"""The statuses whose stays are kept as pauses; which of them stop a clock is said by its policy."""
ENDED: Final = frozenset({"resolved", "closed"})
"""The statuses in which every clock stands still: nothing is left to be done."""
RUNNING: Final = ("active", "at_risk", "breached")
"""The states of a clock that runs, from which it only goes on."""
FULL: Final = 100


class Clock(msgspec.Struct, frozen=True, gc=False):
    """
    One promise of one ticket: a row of `ticket_clock`.

    `metric` is `first_response`, `next_response` or `resolution`, `cycle` counts those of one metric from 1. It is
    counted by the `policy` of the version `journey`, for tickets of the `desk`, and has `target_s` seconds of working
    time. `told` are the thresholds, in per cent, that were told already. `due_at` is None while it stands still before
    its time is over.
    """

    metric: str
    cycle: int
    journey: str
    policy: str
    desk: str | None
    target_s: int
    started_at: datetime
    due_at: datetime | None = None
    state: str = "active"
    told: tuple[int, ...] = ()
    stopped_at: datetime | None = None
    worked_s: int | None = None

    @property
    def running(self) -> bool:
        """Whether it is not stopped yet; it may stand still."""
        return self.stopped_at is None


class Pause(NamedTuple):
    """A stay of a ticket in a status in which clocks may stand still; without an end it goes on."""

    from_at: datetime
    to_at: datetime | None
    status: str


class Rule(NamedTuple):
    """
    How a clock is counted: a policy of a version, for tickets of a desk, and its working time; None: day and night.

    `whose` hours they are: the `policy`'s own, those of the `desk`, or `always`.
    """

    journey: str
    policy: str
    desk: str | None
    sla: Sla
    hours: Hours | None
    whose: str


def rule(journey: Journey, policy: str | None, desk: str | None) -> Rule | None:
    """The rule of a policy for tickets of a desk, whose hours count where the policy has none; None: no such policy."""
    sla = journey.service.slas.get(policy or "") if journey.service else None
    if sla is None or policy is None or journey.service is None:
        return None
    for whose, worked in (("policy", sla), ("desk", journey.service.desks.get(desk or ""))):
        calendar = worked and (journey.calendars[worked.calendar] if worked.calendar else worked.hours)
        if calendar:
            return Rule(journey.version, policy, desk, sla, hours(calendar), whose)
    return Rule(journey.version, policy, desk, sla, None, "always")


def over(started_at: datetime, pauses: Sequence[Pause], rule: Rule, until: datetime) -> timedelta:
    """How much of a clock's time is over at a moment; `pauses` in order."""
    total = timedelta()
    for start, end in _stretches(started_at, pauses, rule):
        if start >= until:
            break
        last = until if end is None else min(end, until)
        total += rule.hours.worked(start, last) if rule.hours else last - start
    return total


def moment(started_at: datetime, pauses: Sequence[Pause], rule: Rule, time: timedelta) -> datetime | None:
    """The earliest moment at which so much (more than none) is over; None: never, as it stands or as hours are."""
    left = time
    for start, end in _stretches(started_at, pauses, rule):
        if end is None:
            return rule.hours.add(start, left) if rule.hours else start + left
        done = rule.hours.worked(start, end) if rule.hours else end - start
        if done >= left:
            return rule.hours.add(start, left) if rule.hours else start + left
        left -= done
    return None


def share(target_s: int, percent: int) -> timedelta:
    """Per cent of a clock's time."""
    return timedelta(milliseconds=10 * target_s * percent)


def state(clock: Clock, rule: Rule, time: timedelta) -> str:
    """The state of a clock that runs, when so much is over; never one before that which it is in."""
    reached = [clock.state]
    reached += ["at_risk"] if time >= share(clock.target_s, rule.sla.at_risk) else []
    reached += ["breached"] if time >= share(clock.target_s, FULL) else []
    return max(reached, key=RUNNING.index)


def stands_still(pauses: Sequence[Pause], rule: Rule) -> bool:
    """Whether the ticket is in a status in which clocks of this rule stand still."""
    return bool(pauses) and pauses[-1].to_at is None and _stops(pauses[-1], rule)


def _stops(pause: Pause, rule: Rule) -> bool:
    return pause.status in ENDED or pause.status in rule.sla.pauses


def _stretches(started_at: datetime, pauses: Sequence[Pause], rule: Rule) -> Iterator[tuple[datetime, datetime | None]]:
    """From when to when the clock goes, in order; the last one without an end, unless it stands still."""
    at = started_at
    for pause in pauses:
        if not _stops(pause, rule) or (pause.to_at is not None and pause.to_at <= at):
            continue
        if pause.from_at > at:
            yield at, pause.from_at
        if pause.to_at is None:
            return
        at = pause.to_at
    yield at, None
